/* json_scan.c - the one strict pass over JSON that is not ours (RFC 8259).
 *
 *            +------------------- ',' in an array --------+
 *            v                                            |
 *   --> VALUE -- scalar, or '}' ']' of an empty one --> AFTER -- end --> done
 *        |  ^                                             |
 *    '{' |  '[' (back to VALUE)                           |
 *        v                                                |
 *       KEY <----------------- ',' in an object ----------+
 *        |  '"..."' ':' --> VALUE              '}' ']' --> AFTER
 *
 * The tree builder behind it accepts much that is not JSON and loses some of
 * what is (duplicate keys, NULs, numbers). What passes here means the same to
 * every reader. It allocates nothing for ordinary texts and does not recurse:
 * open containers stand in an array of YOI_JSON_DEPTH_MAX frames.
 *
 *  1. `p` never passes `end`; the text needs no terminator.
 *  2. Each value counts as one node, keys do not: that is what a tree costs.
 *  3. The first error in the order of reading wins; a key of a large object
 *     that is there twice is seen at the object's end (json_keys.c).
 *  4. A number is at most YOI_JSON_NUMBER_MAX long and its nearest double is
 *     finite: decided on its digits, since strtod follows the locale.
 *
 * Position and pointer are computed when there is an error, from the frames.
 */
#include "json_keys.h"
#include "json_text.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

struct frame {
  struct yoi_sdk__json_mark mark;
  uint32_t at; /* object: offset of the current key's quote; array: index */
  uint8_t object;
  uint8_t inside; /* the position is in a member, not between them */
};

struct scan {
  const unsigned char *text, *p, *end;
  uint32_t flags;
  int comments;
  size_t depth, nodes;
  struct yoi_sdk_json_error *err;
  struct frame frames[YOI_JSON_DEPTH_MAX];
  struct yoi_sdk__json_keys keys;
};

/* ---- errors ----------------------------------------------------------- */

/* Appends one token to the pointer, whole or not at all. */
static int pointer_token(char *to, size_t cap, size_t *len, const unsigned char *p,
                         const unsigned char *end) {
  size_t n = *len;
  if (n + 2 > cap) return 0;
  to[n++] = '/';
  while (p < end) {
    char c[4] = {(char)*p};
    size_t k = 1;
    int used = *p == '\\' ? yoi_sdk__json_escape_at(p, end, c, &k) : 1;
    if (used <= 0) break;
    for (size_t i = 0; i < k; i++) {
      int special = c[i] == '~' || c[i] == '/';
      if (n + 2 + (size_t)special > cap) {
        to[*len] = '\0';
        return 0;
      }
      if (special) to[n++] = '~';
      to[n++] = c[i] == '~' ? '0' : c[i] == '/' ? '1' : c[i];
    }
    p += used;
  }
  to[n] = '\0';
  *len = n;
  return 1;
}

static void pointer_of(const struct scan *s, char *to, size_t cap) {
  size_t len = 0;
  to[0] = '\0';
  for (size_t i = 0; i < s->depth && s->frames[i].inside; i++) {
    const struct frame *f = &s->frames[i];
    char digits[12];
    const unsigned char *from, *end;
    if (f->object) {
      from = end = s->text + f->at + 1;
      while (end < s->end && *end != '"') end += *end == '\\' && s->end - end > 1 ? 2 : 1;
    } else {
      int n = snprintf(digits, sizeof digits, "%u", f->at);
      from = (const unsigned char *)digits;
      end = from + n;
    }
    if (!pointer_token(to, cap, &len, from, end)) return;
  }
}

static yoi_status fail(const struct scan *s, yoi_status st, const unsigned char *at,
                       const char *message) {
  struct yoi_sdk_json_error *err = s->err;
  if (!err) return st;
  const unsigned char *line = s->text;
  err->line = 1;
  for (const unsigned char *p = s->text; p < at; p++) {
    if (*p != '\n') continue;
    err->line++;
    line = p + 1;
  }
  err->column = (uint32_t)(at - line) + 1;
  err->offset = (size_t)(at - s->text);
  pointer_of(s, err->pointer, sizeof err->pointer);
  (void)snprintf(err->message, sizeof err->message, "%s", message);
  return st;
}

static yoi_status bad(const struct scan *s, const unsigned char *at, const char *message) {
  if (at == s->end)
    message = s->depth == 0                    ? "unexpected end of the text"
              : s->frames[s->depth - 1].object ? "unexpected end of the text, '}' is missing"
                                               : "unexpected end of the text, ']' is missing";
  else if (*at == '/' && (s->flags & YOI_SDK_JSON_COMMENTS))
    message = "a comment without an end, or a stray '/'";
  return fail(s, YOI_INVALID_ARGUMENT, at, message);
}

static yoi_status too_much(const struct scan *s, const unsigned char *at, const char *message) {
  return fail(s, YOI_RESOURCE_EXHAUSTED, at, message);
}

/* ---- scalars ---------------------------------------------------------- */

static void white(struct scan *s) {
  s->p = yoi_sdk__json_white(s->p, s->end, s->flags, &s->comments);
}

static yoi_status control(const struct scan *s, const unsigned char *p) {
  if (*p == '\t') return bad(s, p, "a tab in a string is written \\t");
  if (*p == '\n') return bad(s, p, "a string ends on its line; a line feed in it is written \\n");
  return bad(s, p, "control character in a string");
}

static yoi_status escape(const struct scan *s, const unsigned char **p) {
  char c[4];
  size_t n;
  int used = yoi_sdk__json_escape_at(*p, s->end, c, &n);
  if (used > 0) {
    *p += used;
    return YOI_OK;
  }
  return bad(s, *p,
             used == YOI_SDK__ESCAPE_NUL         ? "\\u0000 is not accepted"
             : used == YOI_SDK__ESCAPE_SURROGATE ? "half of a surrogate pair"
                                                 : "unknown escape");
}

/* From the opening quote past the closing one. */
static yoi_status string(struct scan *s, int *out_escaped) {
  const unsigned char *p = s->p + 1, *end = s->end;
  *out_escaped = 0;
  for (;;) {
    while (end - p >= 8) {
      uint64_t special = yoi_sdk__json_special8(yoi_sdk__load8(p));
      if (special) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        p += __builtin_ctzll(special) / 8; /* the first one is exact */
#endif
        break;
      }
      p += 8;
    }
    if (p == end) return bad(s, p, "");
    if (*p == '"') {
      s->p = p + 1;
      return YOI_OK;
    }
    if (*p == '\\') {
      yoi_status st = escape(s, &p);
      if (st != YOI_OK) return st;
      *out_escaped = 1;
    } else if (*p < 0x20) {
      return control(s, p);
    } else if (*p >= 0x80) {
      size_t n = yoi_sdk__utf8_char(p, (size_t)(end - p));
      if (n == 0) return bad(s, p, "invalid UTF-8");
      p += n;
    } else {
      p++;
    }
  }
}

/* The first digits of 2^1024 - 2^970: from there on the nearest double is
 * infinite. It has 309 digits, the last of them not zero, so that no number of
 * YOI_JSON_NUMBER_MAX characters equals it. */
static const char infinite[] = "179769313486231580793728971405303415079934132710037826936173778";
_Static_assert(sizeof infinite - 1 == YOI_JSON_NUMBER_MAX, "as many digits as a number may have");

/* Is the number at p, of correct grammar, at or above that? */
static int overflows(const unsigned char *p, const unsigned char *end) {
  char digits[YOI_JSON_NUMBER_MAX];
  size_t n = 0;
  int32_t scale = -1; /* decimal exponent of the first digit that counts */
  int point = 0;
  for (; p < end && (*p | 0x20) != 'e'; p++) {
    if (*p == '-') continue;
    if (*p == '.') {
      point = 1;
      continue;
    }
    if (n == 0 && *p == '0') {
      scale -= point;
      continue;
    }
    if (!point) scale++;
    digits[n++] = (char)*p;
  }
  if (n == 0 || p == end) return 0; /* zero; or too short for 309 digits */
  int negative = *++p == '-';
  if (*p == '-' || *p == '+') p++;
  int32_t exponent = 0;
  for (; p < end; p++) exponent = exponent < 100000 ? exponent * 10 + (*p - '0') : exponent;
  int32_t magnitude = scale + (negative ? -exponent : exponent);
  if (magnitude != 308) return magnitude > 308;
  return memcmp(digits, infinite, n) > 0;
}

static const unsigned char *digits(const unsigned char *p, const unsigned char *end) {
  while (p < end && *p >= '0' && *p <= '9') p++;
  return p;
}

static yoi_status number(struct scan *s) {
  const unsigned char *p = s->p, *end = s->end, *from;
  int exponent = 0;
  if (*p == '-') p++;
  from = p;
  p = p < end && *p == '0' ? p + 1 : digits(p, end);
  if (p == from) return bad(s, p, "expected a digit");
  if (p < end && *p == '.') {
    from = ++p;
    p = digits(p, end);
    if (p == from) return bad(s, p, "expected a digit");
  }
  if (p < end && (*p | 0x20) == 'e') {
    exponent = 1;
    p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    from = p;
    p = digits(p, end);
    if (p == from) return bad(s, p, "expected a digit");
  }
  if (p - s->p > YOI_JSON_NUMBER_MAX) return too_much(s, s->p, "too many digits");
  if (exponent && overflows(s->p, p)) return bad(s, s->p, "number out of range");
  s->p = p;
  return YOI_OK;
}

/* What people write who come from another language: 'text', text, True. */
static yoi_status no_value(const struct scan *s) {
  unsigned char c = *s->p;
  if (c == 'T' || c == 'F' || c == 'N')
    return bad(s, s->p, "expected a value; true, false and null are lower case");
  if (c == '\'' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
    return bad(s, s->p, "expected a value; text stands in double quotes");
  return bad(s, s->p, "expected a value");
}

static yoi_status literal(struct scan *s, const char *word, size_t n) {
  if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return no_value(s);
  s->p += n;
  return YOI_OK;
}

/* ---- structure -------------------------------------------------------- */

enum state { VALUE, AFTER, KEY };

static const char too_deep[] = "nested more than 64 deep";
_Static_assert(YOI_JSON_DEPTH_MAX == 64, "the message names it");

static yoi_status open_container(struct scan *s, enum state *state) {
  int object = *s->p == '{';
  if (s->depth == YOI_JSON_DEPTH_MAX) return too_much(s, s->p, too_deep);
  s->frames[s->depth++] =
      (struct frame){.mark = yoi_sdk__json_keys_mark(&s->keys), .object = (uint8_t)object};
  s->p++;
  white(s);
  if (s->p < s->end && *s->p == (object ? '}' : ']')) {
    s->depth--;
    s->p++;
    *state = AFTER;
  } else {
    s->frames[s->depth - 1].inside = (uint8_t)!object;
    *state = object ? KEY : VALUE;
  }
  return YOI_OK;
}

static yoi_status value(struct scan *s, enum state *state) {
  int escaped;
  if (s->p == s->end) return bad(s, s->p, "");
  if (s->nodes++ == YOI_JSON_NODES_MAX) return too_much(s, s->p, "too many values");
  *state = AFTER;
  switch (*s->p) {
    case '{':
    case '[':
      return open_container(s, state);
    case '"':
      return string(s, &escaped);
    case 't':
      return literal(s, "true", 4);
    case 'f':
      return literal(s, "false", 5);
    case 'n':
      return literal(s, "null", 4);
    default:
      if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) return number(s);
      if (*s->p == ']' && s->depth > 0 && !s->frames[s->depth - 1].object)
        return bad(s, s->p, "expected a value, since a comma stands before");
      return no_value(s);
  }
}

static yoi_status twice(struct scan *s, uint32_t at) {
  struct frame *f = &s->frames[s->depth - 1];
  f->at = at;
  f->inside = 1;
  return bad(s, s->text + at, "this key is there twice");
}

static yoi_status key(struct scan *s) {
  struct frame *f = &s->frames[s->depth - 1];
  f->inside = 0;
  const unsigned char *from = s->p;
  if (from < s->end && *from == '}')
    return bad(s, from, "expected a key, since a comma stands before");
  if (from == s->end || *from != '"') return bad(s, from, "expected a key in double quotes");
  int escaped;
  yoi_status st = string(s, &escaped);
  if (st != YOI_OK) return st;
  f->at = (uint32_t)(from - s->text);
  st = yoi_sdk__json_keys_add(&s->keys, f->mark, f->at, (uint32_t)(s->p - from - 2), escaped);
  if (st == YOI_ALREADY_EXISTS) return twice(s, f->at);
  if (st != YOI_OK) return too_much(s, from, "out of memory");
  f->inside = 1;
  white(s);
  if (s->p == s->end || *s->p != ':') return bad(s, s->p, "expected ':'");
  s->p++;
  return YOI_OK;
}

static yoi_status close_container(struct scan *s) {
  struct frame *f = &s->frames[s->depth - 1];
  uint32_t at;
  if (f->object && yoi_sdk__json_keys_close(&s->keys, f->mark, &at) != YOI_OK) return twice(s, at);
  s->depth--;
  s->p++;
  return YOI_OK;
}

/* Behind a value: a comma, the end of its container, or of the text. */
static yoi_status after(struct scan *s, enum state *state) {
  if (s->depth == 0)
    return s->p == s->end ? YOI_END : bad(s, s->p, "something stands behind the value");
  struct frame *f = &s->frames[s->depth - 1];
  f->inside = 0;
  if (s->p < s->end && *s->p == (f->object ? '}' : ']')) return close_container(s);
  if (s->p == s->end || *s->p != ',')
    return bad(s, s->p, f->object ? "expected ',' or '}'" : "expected ',' or ']'");
  s->p++;
  *state = f->object ? KEY : VALUE;
  if (f->object) return YOI_OK;
  f->at++;
  f->inside = 1;
  return YOI_OK;
}

static yoi_status run(struct scan *s) {
  enum state state = VALUE;
  for (;;) {
    yoi_status st;
    white(s);
    if (state == VALUE) {
      st = value(s, &state);
    } else if (state == AFTER) {
      st = after(s, &state);
    } else {
      st = key(s);
      state = VALUE;
    }
    if (st != YOI_OK) return st == YOI_END ? YOI_OK : st;
  }
}

yoi_status yoi_sdk__json_scan(yoi_str text, uint32_t flags, int *out_comments,
                              struct yoi_sdk_json_error *err) {
  struct scan s;
  s.text = s.p = (const unsigned char *)(text.len ? text.ptr : "");
  s.end = s.text + text.len;
  s.flags = flags;
  s.comments = 0;
  s.depth = s.nodes = 0;
  s.err = err;
  yoi_sdk__json_keys_init(&s.keys, (const char *)s.text);
  yoi_status st = text.len > YOI_JSON_BYTES_MAX ? too_much(&s, s.p, "too long") : run(&s);
  yoi_sdk__json_keys_release(&s.keys);
  *out_comments = s.comments;
  return st;
}

yoi_status yoi_sdk_json_check(yoi_str text, uint32_t flags, struct yoi_sdk_json_error *err) {
  int comments;
  return yoi_sdk__json_scan(text, flags, &comments, err);
}
