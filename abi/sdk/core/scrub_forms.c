/* scrub_forms.c - the ways to write a value that a set looks for.
 *
 * Each form is written by a function that puts byte after byte. It runs twice,
 * first to count and then into memory of just that size: what grows by moving
 * would leave copies of secrets behind. Forms that come out alike, as most do
 * for most values, are made one when the set is sorted.
 *
 * Base64 has no single form: how three bytes are cut into four characters
 * depends on how many bytes stand in front. There are three cases, and in each
 * the characters that are made of the value's bits alone are a form.
 *
 * A value that is no UTF-8 cannot stand in a text as it is; a form of such
 * bytes could end inside a character of a text, so there is none. The encoded
 * ones are ASCII.
 */
#include "scrub.h"

#include <string.h>

#include <yoi/limits.h>

#include "utf8.h"

struct sink {
  char *at; /* NULL: only counts */
  size_t n;
};

static void put(struct sink *o, char c) {
  if (o->at != NULL) o->at[o->n] = c;
  o->n++;
}

/* ---- JSON (RFC 8259, section 7) ------------------------------------------ */

#define SLASH 1u /* "\/" */
#define ASCII 2u /* \uXXXX for all beyond */
#define TWICE 4u /* what was written, as a string in a string */
#define JSON_WAYS 8u

static void put_json(struct sink *o, char c, uint32_t how) {
  if ((how & TWICE) != 0 && (c == '"' || c == '\\')) put(o, '\\');
  put(o, c);
}

static void put_unit(struct sink *o, uint32_t unit, uint32_t how) {
  static const char hex[] = "0123456789abcdef";
  put_json(o, '\\', how);
  put(o, 'u');
  for (int shift = 12; shift >= 0; shift -= 4) put(o, hex[unit >> shift & 15]);
}

static void put_character(struct sink *o, uint32_t c, uint32_t how) {
  if (c < 0x10000) {
    put_unit(o, c, how);
    return;
  }
  put_unit(o, 0xD800 + ((c - 0x10000) >> 10), how);
  put_unit(o, 0xDC00 + (c & 0x3FF), how);
}

/* The character at v[*i], of a text that is UTF-8; *i is behind it then. */
static uint32_t character(yoi_str v, size_t *i) {
  uint32_t c = (unsigned char)v.ptr[(*i)++];
  int more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
  if (more > 0) c &= 0x3Fu >> more;
  for (; more > 0; more--) c = c << 6 | ((unsigned char)v.ptr[(*i)++] & 0x3Fu);
  return c;
}

static void json(struct sink *o, yoi_str v, uint32_t how) {
  static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
  for (size_t i = 0; i < v.len;) {
    char c = v.ptr[i];
    const char *known = c != '\0' ? strchr(plain, c) : NULL;
    if (known != NULL) {
      put_json(o, '\\', how);
      put_json(o, letter[known - plain], how);
      i++;
    } else if ((unsigned char)c < ' ' || ((how & ASCII) != 0 && (unsigned char)c >= 0x80)) {
      put_character(o, character(v, &i), how);
    } else {
      if (c == '/' && (how & SLASH) != 0) put_json(o, '\\', how);
      put(o, c);
      i++;
    }
  }
}

/* ---- percent (RFC 3986, section 2) --------------------------------------- */

static int is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void percent(struct sink *o, yoi_str v) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < v.len; i++) {
    char c = v.ptr[i];
    if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      put(o, c);
      continue;
    }
    put(o, '%');
    put(o, hex[(unsigned char)c >> 4]);
    put(o, hex[(unsigned char)c & 15]);
  }
}

/* ---- base64 (RFC 4648, sections 4 and 5) --------------------------------- */

/* before: how many bytes of the last three stand in front. */
static void base64(struct sink *o, yoi_str v, size_t before, const char *last_two) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  size_t end = 8 * (before + v.len) / 6;
  for (size_t k = (8 * before + 5) / 6; k < end; k++) {
    size_t bit = 6 * k - 8 * before, i = bit / 8;
    uint32_t two = (uint32_t)(unsigned char)v.ptr[i] << 8;
    if (i + 1 < v.len) two |= (unsigned char)v.ptr[i + 1];
    uint32_t six = two >> (10 - bit % 8) & 63;
    put(o, six < 62 ? alphabet[six] : last_two[six - 62]);
  }
}

/* ---- all of them --------------------------------------------------------- */

yoi_str yoi_sdk__scrub_trim(yoi_str v) {
  while (v.len > 0 && (unsigned char)v.ptr[v.len - 1] <= ' ') v.len--;
  while (v.len > 0 && (unsigned char)v.ptr[0] <= ' ') v = (yoi_str){v.ptr + 1, v.len - 1};
  return v;
}

struct forms {
  struct sink sink;
  struct yoi_sdk__pattern *all;
  size_t n;
  uint32_t index;
};

/* What was written since `from` is a form. */
static void is_form(struct forms *f, size_t from) {
  if (f->all != NULL)
    f->all[f->n] = (struct yoi_sdk__pattern){.ptr = f->sink.at + from,
                                             .len = (uint32_t)(f->sink.n - from),
                                             .value = f->index};
  f->n++;
}

size_t yoi_sdk__scrub_forms(yoi_str v, uint32_t index, char *text, struct yoi_sdk__pattern *all,
                            size_t *out_bytes) {
  static const char *const last_two[] = {"+/", "-_"};
  struct forms f = {.sink = {.at = text}, .all = all, .index = index};
  size_t from = 0;
  if (yoi_sdk_utf8_valid(v)) {
    for (size_t i = 0; i < v.len; i++) put(&f.sink, v.ptr[i]);
    is_form(&f, from);
    for (uint32_t how = 0; how < JSON_WAYS; how++) {
      from = f.sink.n;
      json(&f.sink, v, how);
      is_form(&f, from);
    }
  }
  from = f.sink.n;
  percent(&f.sink, v);
  is_form(&f, from);
  for (size_t i = 0; i < 6; i++) {
    from = f.sink.n;
    base64(&f.sink, v, i % 3, last_two[i / 3]);
    is_form(&f, from);
  }
  *out_bytes = f.sink.n;
  return f.n;
}
