/* value.c - finds a value in JSON text, and makes a text of it.
 *
 * The text was checked before (yoi/policy.h), so that it is skipped over and
 * nothing is built of it. What can be written in several ways, and so would let
 * one of them past a rule, is not compared: objects, and numbers with a point or
 * an exponent.
 */
#include "value.h"

#include <sdk/json.h>
#include <sdk/mem.h>
#include <string.h>

#include "hostname.h"
#include "index.h"
#include "path.h"

/* ---- where ----------------------------------------------------------------------- */

/* One step out of a pointer, its "~1" and "~0" undone. 0: another "~". */
static int put_step(char **out, yoi_str token) {
  for (size_t i = 0; i < token.len; i++) {
    char c = token.ptr[i];
    if (c == '~') {
      if (++i == token.len || (token.ptr[i] != '0' && token.ptr[i] != '1')) return 0;
      c = token.ptr[i] == '1' ? '/' : '~';
    }
    *(*out)++ = c;
  }
  *(*out)++ = '\0';
  return 1;
}

const char *yoi__sdk_rules_value_place_open(struct value_place *p, yoi_str key) {
  *p = (struct value_place){.steps = yoi_sdk_calloc(1, key.len + 1), .n = 1};
  if (p->steps == NULL) return "memory is short";
  if (key.len == 0 || key.ptr[0] != '/') {
    if (key.len > 0) memcpy(p->steps, key.ptr, key.len);
    return NULL;
  }
  char *out = p->steps;
  p->n = 0;
  for (size_t at = 1; at <= key.len; p->n++) {
    const char *slash = memchr(key.ptr + at, '/', key.len - at);
    size_t end = slash != NULL ? (size_t)(slash - key.ptr) : key.len;
    if (p->n == VALUE_STEPS_MAX) return "so deep nothing is looked for:";
    if (!put_step(&out, (yoi_str){key.ptr + at, end - at}))
      return "behind '~' stands 0 or 1 in a JSON pointer, not so in";
    at = end + 1;
  }
  return NULL;
}

void yoi__sdk_rules_value_place_close(struct value_place *p) {
  yoi_sdk_free(p->steps);
  p->steps = NULL;
}

static yoi_str element(yoi_str array, const char *step) {
  uint64_t wanted = 0;
  size_t pos = 0;
  yoi_str e = {NULL, 0};
  if (!yoi_sdk_parse_u64(yoi_sdk_str(step), array.len, &wanted)) return e;
  for (uint64_t i = 0; i <= wanted; i++)
    if (!yoi_sdk_json_raw_each(array, &pos, &e)) return (yoi_str){NULL, 0};
  return e;
}

yoi_str yoi__sdk_rules_value_find(const struct value_place *p, yoi_str arguments) {
  const char *step = p->steps;
  yoi_str v = yoi_sdk_json_raw_get(arguments, step);
  for (uint32_t i = 1; i < p->n && v.len > 0; i++) {
    step += strlen(step) + 1;
    v = v.ptr[0] == '{'   ? yoi_sdk_json_raw_get(v, step)
        : v.ptr[0] == '[' ? element(v, step)
                          : (yoi_str){NULL, 0};
  }
  return v;
}

/* ---- what ------------------------------------------------------------------------ */

static int read_string(struct value *v, yoi_str raw) {
  v->text = (yoi_str){raw.ptr + 1, raw.len - 2};
  if (memchr(v->text.ptr, '\\', v->text.len) == NULL) return 1;
  if (!yoi_sdk_json_raw_unescape(raw, &v->unescaped) || v->unescaped.failed) return 0;
  v->text = yoi_sdk_buf_str(&v->unescaped);
  return 1;
}

static int read_scalar(struct value *v, yoi_str raw) {
  int64_t number;
  v->text = raw;
  return yoi_sdk_str_is(raw, "true") || yoi_sdk_str_is(raw, "false") ||
         yoi_sdk_str_is(raw, "null") ||
         (yoi_sdk_json_raw_int(raw, &number) && !yoi_sdk_str_is(raw, "-0"));
}

/* "..", "../x", "x/..", but not "./..." and "a..b/c". */
static int has_dots(yoi_str s) {
  for (size_t i = 0; i + 1 < s.len; i++) {
    if (s.ptr[i] != '.' || s.ptr[i + 1] != '.') continue;
    char before = i > 0 ? s.ptr[i - 1] : '\0', behind = i + 2 < s.len ? s.ptr[i + 2] : '\0';
    if (before == '.' || behind == '.') continue;
    if (before == '/' || behind == '/' || s.len == 2) return 1;
  }
  return 0;
}

int yoi__sdk_rules_value_read(struct value *v, uint32_t kind, yoi_str raw) {
  int is_string = raw.len > 1 && raw.ptr[0] == '"';
  v->text = (yoi_str){NULL, 0};
  v->dots = 0;
  yoi_sdk_buf_init(&v->unescaped, VALUE_MAX);
  if (!(is_string ? read_string(v, raw) : kind == INDEX_TEXT && read_scalar(v, raw))) return 0;
  if (v->text.len > VALUE_MAX) return 0;
  int good = 1;
  size_t len = 0;
  if (kind == INDEX_PATH) good = yoi__sdk_rules_path_normal(v->text, v->room, sizeof v->room, &len);
  if (kind == INDEX_HOST) good = yoi__sdk_rules_hostname_of_url(v->text, v->room, &len);
  if (kind == INDEX_TEXT)
    v->dots = has_dots(v->text);
  else
    v->text = (yoi_str){v->room, len};
  return good;
}

void yoi__sdk_rules_value_release(struct value *v) {
  yoi_sdk_buf_release(&v->unescaped);
}
