/* sources: abi/sdk/core tests/unit/support/naive_scrub.c;
 * libs: -lcjson -lcrypto
 *
 * Any values in any text, cut anywhere. The first byte says how many values
 * there are (1 to 4), the second how the text is cut; then each value with its
 * length, and the text, whose characters say where it is flushed. What must hold:
 *
 *  1. In pieces and whole, what comes out is what the reference says, after
 *     each piece too: nothing more is held.
 *  2. Flushed or not, no value is in what comes out (of a value that shares no
 *     character with a marker).
 *  3. JSON stays JSON.
 */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>

#include "tests/unit/support/naive_scrub.h"

#define MUST(x)        \
  do {                 \
    if (!(x)) abort(); \
  } while (0)

#define VALUES 4
#define VALUE_MAX 48
#define TEXT_MAX 256 /* the reference is as slow as it is plain */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
  struct yoi_sdk_scrub_value values[VALUES];
  size_t n;
  uint8_t cut;
  yoi_str text;
};

static int read_input(struct input *in, const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  in->n = 1 + data[0] % VALUES;
  in->cut = data[1];
  size_t at = 2;
  for (size_t i = 0; i < in->n; i++) {
    if (at >= size) return 0;
    size_t len = YOI_SECRET_SCRUB_MIN + data[at++] % (VALUE_MAX - YOI_SECRET_SCRUB_MIN);
    if (len > size - at) return 0;
    in->values[i] = (struct yoi_sdk_scrub_value){{&"0123"[i], 1}, {(const char *)data + at, len}};
    at += len;
  }
  in->text = (yoi_str){(const char *)data + at, size - at < TEXT_MAX ? size - at : TEXT_MAX};
  return 1;
}

/* A value with these in it may come to be at a marker. */
static int meets_markers(const struct naive *r) {
  for (size_t i = 0; i < r->n; i++)
    for (size_t k = 0; k < r->forms[i].len; k++)
      if (memchr("[secret 0123]", r->forms[i].ptr[k], 13) != NULL) return 1;
  return 0;
}

static void must_be_same(const struct yoi_sdk_buf *a, const struct yoi_sdk_buf *b) {
  MUST(!a->failed && !b->failed && a->len == b->len);
  MUST(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static size_t piece(const struct input *in, size_t i) {
  size_t n = in->cut == 0 ? 1 : 1 + (size_t)(in->cut * (i + 1) * 31u >> 3) % in->cut;
  return n < in->text.len - i ? n : in->text.len - i;
}

static void pieces(const struct input *in, const struct yoi_sdk_scrub *s, const struct naive *r) {
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf got, expected;
  yoi_sdk_buf_init(&got, SIZE_MAX / 2);
  yoi_sdk_buf_init(&expected, SIZE_MAX / 2);
  for (size_t i = 0; i < in->text.len;) {
    size_t n = piece(in, i);
    char *own = yoi_sdk_strndup(in->text.ptr + i, n);
    MUST(own != NULL);
    yoi_sdk_scrub_add(s, &h, (yoi_str){own, n}, &got);
    yoi_sdk_free(own);
    i += n;
    yoi_sdk_buf_clear(&expected);
    MUST(h.len == naive_scrub(r, (yoi_str){in->text.ptr, i}, 0, &expected));
    must_be_same(&got, &expected);
  }
  yoi_sdk_scrub_end(s, &h, &got);
  yoi_sdk_buf_clear(&expected);
  (void)naive_scrub(r, in->text, 1, &expected);
  must_be_same(&got, &expected);
  yoi_sdk_buf_clear(&got);
  if (!yoi_sdk_scrub_text(s, in->text, 0, &got)) yoi_sdk_buf_adds(&got, in->text);
  must_be_same(&got, &expected);
  MUST(meets_markers(r) || !naive_has(r, yoi_sdk_buf_str(&got)));
  yoi_sdk_buf_release(&got);
  yoi_sdk_buf_release(&expected);
}

static void flushed(const struct input *in, const struct yoi_sdk_scrub *s, const struct naive *r) {
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf got;
  yoi_sdk_buf_init(&got, SIZE_MAX / 2);
  for (size_t i = 0; i < in->text.len;) {
    size_t n = piece(in, i);
    yoi_sdk_scrub_add(s, &h, (yoi_str){in->text.ptr + i, n}, &got);
    if ((in->text.ptr[i] & 31) % 3 == 0) yoi_sdk_scrub_flush(s, &h, &got);
    i += n;
  }
  yoi_sdk_scrub_end(s, &h, &got);
  MUST(!got.failed);
  MUST(meets_markers(r) || !naive_has(r, yoi_sdk_buf_str(&got)));
  if (!naive_has(r, in->text))
    MUST(got.len == in->text.len &&
         (got.len == 0 || memcmp(got.data, in->text.ptr, got.len) == 0));
  yoi_sdk_buf_release(&got);
}

static void json(const struct input *in, const struct yoi_sdk_scrub *s) {
  struct yoi_sdk_buf got;
  yoi_sdk_buf_init(&got, SIZE_MAX / 2);
  int is_json = yoi_sdk_json_check(in->text, 0, NULL) == YOI_OK;
  int found = yoi_sdk_scrub_json(s, in->text, &got);
  MUST(!got.failed);
  /* Keys that differ in a value only are alike then, which the check refuses. */
  struct yoi_sdk_json_error e;
  if (found && is_json && yoi_sdk_json_check(yoi_sdk_buf_str(&got), 0, &e) != YOI_OK)
    MUST(strstr(e.message, "twice") != NULL);
  yoi_sdk_buf_release(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in;
  struct yoi_sdk_scrub *s = NULL;
  struct naive r;
  if (!read_input(&in, data, size)) return 0;
  MUST(yoi_sdk_scrub_new(in.values, in.n, &s) == YOI_OK);
  naive_init(&r, in.values, in.n);
  pieces(&in, s, &r);
  flushed(&in, s, &r);
  json(&in, s);
  naive_release(&r);
  yoi_sdk_scrub_free(s);
  return 0;
}
