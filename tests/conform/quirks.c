/* quirks.c - what an author declares of a plugin, from a JSON file:
 *
 *   { "arguments": { "fs_write": { "path": "a" } },   of calls of a tool
 *     "buffer_bytes": 262144,                         of an unread stream
 *     "known": [ { "test": "stream.*", "reason": "..." } ] }
 *
 * A listed test may fail. A row of which nothing fails, though all that it names was
 * run, is out of date, and the run fails for it. What names nothing is refused.
 */
#include "conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/glob.h>

#define QUIRKS_BYTES_MAX 1048576

static int wrong(const char *path, const char *what) {
  (void)fprintf(stderr, "yoi-conform: '%s': %s\n", path, what);
  return 0;
}

static char *slurp(const char *path, size_t *out_len) {
  FILE *f = fopen(path, "rbe");
  char *text = f ? malloc(QUIRKS_BYTES_MAX + 1) : NULL;
  size_t n = text ? fread(text, 1, QUIRKS_BYTES_MAX + 1, f) : 0;
  if (f) (void)fclose(f);
  if (!text || n > QUIRKS_BYTES_MAX) {
    free(text);
    return NULL;
  }
  *out_len = n;
  return text;
}

/* A text of the tree; it lives as long as that. */
static const char *member(const yoi_sdk_json *v, const char *name) {
  yoi_str s;
  return yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s) && s.len > 0 ? s.ptr : NULL;
}

static int read_known(struct conform_options *o, const char *path) {
  const yoi_sdk_json *v = yoi_sdk_json_get(o->quirks, "known");
  if (v && yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY) return wrong(path, "'known' is an array");
  for (v = yoi_sdk_json_first(v); v; v = yoi_sdk_json_next(v)) {
    if (o->n_known == sizeof o->known / sizeof *o->known) return wrong(path, "too many are known");
    struct conform_known *k = &o->known[o->n_known++];
    *k = (struct conform_known){member(v, "test"), member(v, "reason")};
    if (!k->test || !k->reason)
      return wrong(path, "an entry of 'known' is {\"test\", \"reason\"}");
    const struct conform_test *t;
    size_t i = 0;
    while ((t = conform_test_at(i)) != NULL && !conform_names(k, t->id)) i++;
    if (!t) return wrong(path, "an entry of 'known' names no test");
  }
  return 1;
}

int conform_quirks(struct conform_options *o, const char *path) {
  size_t len = 0;
  char *text = slurp(path, &len);
  struct yoi_sdk_json_error e;
  if (!text) return wrong(path, "cannot be read, or has more than 1 MiB");
  yoi_status st = yoi_sdk_json_parse((yoi_str){text, len}, YOI_SDK_JSON_COMMENTS, &o->quirks, &e);
  free(text);
  if (st != YOI_OK) {
    (void)fprintf(stderr, "yoi-conform: %s:%u:%u: %s\n", path, e.line, e.column, e.message);
    return 0;
  }
  if (yoi_sdk_json_type(o->quirks) != YOI_SDK_JSON_OBJECT) return wrong(path, "is not an object");
  for (const yoi_sdk_json *v = yoi_sdk_json_first(o->quirks); v; v = yoi_sdk_json_next(v)) {
    yoi_str key = yoi_sdk_json_key(v);
    if (!yoi_sdk_str_is(key, "arguments") && !yoi_sdk_str_is(key, "buffer_bytes") &&
        !yoi_sdk_str_is(key, "known"))
      return wrong(path, "it may have 'arguments', 'buffer_bytes' and 'known' only");
  }
  const yoi_sdk_json *arguments = yoi_sdk_json_get(o->quirks, "arguments");
  if (arguments && yoi_sdk_json_type(arguments) != YOI_SDK_JSON_OBJECT)
    return wrong(path, "'arguments' is an object");
  int64_t bytes;
  const yoi_sdk_json *buffer = yoi_sdk_json_get(o->quirks, "buffer_bytes");
  if (buffer && (!yoi_sdk_json_int(buffer, &bytes) || bytes < 1))
    return wrong(path, "'buffer_bytes' is a number of bytes");
  if (buffer) o->buffer_bytes = (uint64_t)bytes;
  return read_known(o, path);
}

int conform_names(const struct conform_known *row, const char *id) {
  return yoi_sdk_glob(yoi_sdk_str(row->test), yoi_sdk_str(id));
}

const char *conform_known(const struct conform_options *o, const char *id) {
  for (size_t i = 0; i < o->n_known; i++)
    if (conform_names(&o->known[i], id)) return o->known[i].reason;
  return NULL;
}
