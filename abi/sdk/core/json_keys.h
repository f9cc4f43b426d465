/* json_keys.h - the keys of all objects that are open; see json_keys.c. */
#ifndef YOI_SDK_CORE_JSON_KEYS_H
#define YOI_SDK_CORE_JSON_KEYS_H

#include <sdk/str.h>

struct yoi_sdk__json_key {
  uint32_t at;    /* offset of its opening quote in the text */
  uint32_t len;   /* unescaped */
  uint32_t arena; /* where its unescaped bytes are; YOI_SDK__IN_TEXT: behind at */
};
#define YOI_SDK__IN_TEXT UINT32_MAX

struct yoi_sdk__json_keys {
  const char *text;
  struct yoi_sdk__json_key *v;
  size_t n, cap;
  struct yoi_sdk_buf arena;
  struct yoi_sdk__json_key local[64]; /* most texts need no allocation */
};

/* Where an object's keys begin. */
struct yoi_sdk__json_mark {
  uint32_t keys, arena;
};

void yoi_sdk__json_keys_init(struct yoi_sdk__json_keys *k, const char *text);
void yoi_sdk__json_keys_release(struct yoi_sdk__json_keys *k);
struct yoi_sdk__json_mark yoi_sdk__json_keys_mark(const struct yoi_sdk__json_keys *k);
/* Adds the key whose opening quote is at `at` and whose raw inside has `raw`
 * bytes. OK, ALREADY_EXISTS or RESOURCE_EXHAUSTED. */
yoi_status yoi_sdk__json_keys_add(struct yoi_sdk__json_keys *k, struct yoi_sdk__json_mark m,
                                  uint32_t at, uint32_t raw, int escaped);
/* The object ends: forgets its keys. ALREADY_EXISTS sets *out_at to the first
 * key of the text that stood there before. */
yoi_status yoi_sdk__json_keys_close(struct yoi_sdk__json_keys *k, struct yoi_sdk__json_mark m,
                                    uint32_t *out_at);

#endif
