/* json_raw.c - reading JSON text without a tree.
 *
 * For text that we wrote or that check accepted, whole values are skipped:
 * strings by looking for the next quote, containers by counting brackets
 * outside strings. Nothing is checked again, but nothing is ever read behind
 * the end of the text either, whatever stands in it: what does not add up is
 * absent.
 */
#include "json_text.h"

#include <string.h>

typedef unsigned char byte;

/* Past the string whose opening quote is at p; NULL: no end. A quote ends it
 * when an even number of backslashes stands before it. */
static const byte *skip_string(const byte *p, const byte *end) {
  const byte *from = ++p;
  while (p < end) {
    const byte *quote = memchr(p, '"', (size_t)(end - p));
    if (!quote) return NULL;
    const byte *slash = quote;
    while (slash > from && slash[-1] == '\\') slash--;
    if ((quote - slash) % 2 == 0) return quote + 1;
    p = from = quote + 1;
  }
  return NULL;
}

static const byte *skip_scalar(const byte *p, const byte *end) {
  static const uint8_t stops[256] = {[','] = 1, [']'] = 1, ['}'] = 1, ['/'] = 1};
  const byte *from = p;
  while (p < end && *p > ' ' && !stops[*p]) p++;
  return p > from ? p : NULL;
}

static const byte *skip_container(const byte *p, const byte *end, uint32_t flags) {
  static const uint8_t kind[256] = {
      ['{'] = 1, ['['] = 1, ['}'] = 2, [']'] = 2, ['"'] = 3, ['/'] = 4};
  size_t depth = 0;
  while (p < end) {
    switch (kind[*p]) {
      case 1:
        depth++;
        p++;
        break;
      case 2:
        p++;
        if (--depth == 0) return p;
        break;
      case 3:
        p = skip_string(p, end);
        break;
      case 4: {
        const byte *past = yoi_sdk__json_white(p, end, flags, NULL);
        p = past > p ? past : p + 1;
        break;
      }
      default:
        p++;
    }
    if (!p) return NULL;
  }
  return NULL;
}

static const byte *skip_value(const byte *p, const byte *end, uint32_t flags) {
  if (*p == '"') return skip_string(p, end);
  if (*p == '{' || *p == '[') return skip_container(p, end, flags);
  return skip_scalar(p, end);
}

static const byte *skip_white(const byte *p, const byte *end, uint32_t flags) {
  p = yoi_sdk__json_white(p, end, flags, NULL);
  return p == end ? NULL : p;
}

/* Is the raw inside of a key, p to end, `name` when unescaped? With `pointer`
 * name is a token of a JSON pointer, where ~1 is a slash and ~0 a tilde. */
static int key_is(const byte *p, const byte *end, yoi_str name, int pointer) {
  size_t i = 0;
  if (!pointer && !memchr(p, '\\', (size_t)(end - p)))
    return (size_t)(end - p) == name.len && memcmp(p, name.ptr, name.len) == 0;
  while (p < end) {
    char c[4] = {(char)*p};
    size_t n = 1;
    int used = *p == '\\' ? yoi_sdk__json_escape_at(p, end, c, &n) : 1;
    if (used <= 0) return 0;
    p += used;
    for (size_t k = 0; k < n; k++) {
      if (i == name.len) return 0;
      char want = name.ptr[i++];
      if (pointer && want == '~') {
        if (i == name.len) return 0;
        want = name.ptr[i] == '0' ? '~' : name.ptr[i] == '1' ? '/' : '\0';
        i++;
      }
      if (c[k] != want) return 0;
    }
  }
  return i == name.len;
}

/* A walk over the members of one container. */
struct walk {
  const byte *p, *end;
  uint32_t flags;
  int object;
  const byte *key, *key_end; /* of the current member, without quotes */
  const byte *value, *value_end;
};

/* 0 when the text at w->p is no container. */
static int walk_open(struct walk *w) {
  w->p = skip_white(w->p, w->end, w->flags);
  if (!w->p || (*w->p != '{' && *w->p != '[')) return 0;
  w->object = *w->p++ == '{';
  return 1;
}

/* The next member, from behind the opening bracket or the last value. */
static int walk_next(struct walk *w) {
  const byte *p = skip_white(w->p, w->end, w->flags);
  if (p && *p == ',') p = skip_white(p + 1, w->end, w->flags);
  if (p && w->object) {
    if (*p != '"') return 0;
    w->key = p + 1;
    p = skip_string(p, w->end);
    if (!p) return 0;
    w->key_end = p - 1;
    p = skip_white(p, w->end, w->flags);
    if (!p || *p != ':') return 0;
    p = skip_white(p + 1, w->end, w->flags);
  }
  if (!p) return 0;
  w->value = p;
  w->value_end = skip_value(p, w->end, w->flags);
  if (!w->value_end) return 0;
  w->p = w->value_end;
  return 1;
}

static struct walk walk_over(yoi_str text, uint32_t flags) {
  const byte *p = (const byte *)(text.len ? text.ptr : "");
  return (struct walk){.p = p, .end = p + text.len, .flags = flags};
}

static yoi_str walk_value(const struct walk *w) {
  return (yoi_str){(const char *)w->value, (size_t)(w->value_end - w->value)};
}

yoi_str yoi_sdk_json_raw_get(yoi_str text, const char *name) {
  struct walk w = walk_over(text, 0);
  yoi_str want = yoi_sdk_str(name);
  if (walk_open(&w) && w.object) {
    while (walk_next(&w))
      if (key_is(w.key, w.key_end, want, 0)) return walk_value(&w);
  }
  return (yoi_str){NULL, 0};
}

int yoi_sdk_json_raw_each(yoi_str text, size_t *pos, yoi_str *out) {
  struct walk w = walk_over(text, 0);
  const byte *from = w.p;
  if (*pos > text.len) return 0;
  if (*pos == 0) {
    if (!walk_open(&w) || w.object) return 0;
  } else {
    w.p += *pos;
  }
  if (!walk_next(&w)) return 0;
  *out = walk_value(&w);
  *pos = (size_t)(w.p - from);
  return 1;
}

int yoi_sdk_json_raw_member(yoi_str text, size_t *pos, yoi_str *out_key, yoi_str *out_value) {
  struct walk w = walk_over(text, 0);
  const byte *from = w.p;
  if (*pos > text.len) return 0;
  if (*pos == 0) {
    if (!walk_open(&w) || !w.object) return 0;
  } else {
    w.p += *pos;
    w.object = 1;
  }
  if (!walk_next(&w)) return 0;
  *out_key = (yoi_str){(const char *)w.key, (size_t)(w.key_end - w.key)};
  *out_value = walk_value(&w);
  *pos = (size_t)(w.p - from);
  return 1;
}

int yoi_sdk_json_raw_unescape(yoi_str raw, struct yoi_sdk_buf *out) {
  if (raw.len < 2 || raw.ptr[0] != '"' || raw.ptr[raw.len - 1] != '"') return 0;
  const byte *p = (const byte *)raw.ptr + 1, *end = p + raw.len - 2;
  size_t before = out->len;
  while (p < end) {
    const byte *slash = memchr(p, '\\', (size_t)(end - p));
    yoi_sdk_buf_add(out, p, (size_t)((slash ? slash : end) - p));
    if (!slash) break;
    char c[4];
    size_t n;
    int used = yoi_sdk__json_escape_at(slash, end, c, &n);
    if (used <= 0) {
      if (out->data && !out->failed) out->data[out->len = before] = '\0';
      return 0;
    }
    yoi_sdk_buf_add(out, c, n);
    p = slash + used;
  }
  return 1;
}

int yoi_sdk_json_raw_int(yoi_str raw, int64_t *out) {
  int negative = raw.len && raw.ptr[0] == '-';
  yoi_str digits = negative ? (yoi_str){raw.ptr + 1, raw.len - 1} : raw;
  uint64_t n;
  if (!yoi_sdk_parse_u64(digits, YOI_JSON_INT_MAX, &n)) return 0;
  *out = negative ? -(int64_t)n : (int64_t)n;
  return 1;
}

/* Steps into the member that a pointer's token names; 0 when there is none. */
static int step(struct walk *w, yoi_str token) {
  uint64_t index = 0;
  if (!walk_open(w)) return 0;
  if (!w->object && !yoi_sdk_parse_u64(token, UINT32_MAX, &index)) return 0;
  while (walk_next(w)) {
    if (w->object ? key_is(w->key, w->key_end, token, 1) : index-- == 0) {
      w->p = w->value;
      return 1;
    }
  }
  return 0;
}

int yoi_sdk_json_locate(yoi_str text, uint32_t flags, yoi_str pointer, int key, uint32_t *out_line,
                        uint32_t *out_column) {
  struct walk w = walk_over(text, flags);
  const byte *from = w.p, *at = skip_white(w.p, w.end, flags);
  size_t i = 0;
  if (!at || (key && pointer.len == 0)) return 0;
  while (i < pointer.len) {
    if (pointer.ptr[i++] != '/') return 0;
    size_t begin = i;
    while (i < pointer.len && pointer.ptr[i] != '/') i++;
    if (!step(&w, (yoi_str){pointer.ptr + begin, i - begin})) return 0;
    at = key && i == pointer.len ? (w.object ? w.key - 1 : NULL) : w.value;
    if (!at) return 0;
  }
  uint32_t line = 1;
  const byte *begin = from;
  for (const byte *p = from; p < at; p++) {
    if (*p != '\n') continue;
    line++;
    begin = p + 1;
  }
  *out_line = line;
  *out_column = (uint32_t)(at - begin) + 1;
  return 1;
}
