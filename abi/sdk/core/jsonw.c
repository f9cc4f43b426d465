/* jsonw.c - the direct writer: JSON into a buffer, no tree, one line.
 *
 * Escaping copies runs of plain bytes and looks at eight of them together. A
 * NUL, which the strict reader refuses also as an escape, becomes U+FFFD like
 * whatever is no UTF-8: what is written here can be read here.
 * Integers are exact. A double is written with the fewest of 15, 16 or 17
 * digits that read back as the same value; a whole number within +-(2^53-1)
 * is written without an exponent. The C library puts the decimal point of the
 * application's locale there, so that whatever is no digit, sign or `e`
 * becomes a dot. NaN and the infinities, which JSON does not have, are null.
 */
#include <sdk/jsonw.h>
#include <sdk/hard.h>

#include "utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>

static void escape_ascii(struct yoi_sdk_buf *buf, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  char out[6] = {'\\', 0, '0', '0', 0, 0};
  switch (c) {
    case '"':
    case '\\':
      out[1] = (char)c;
      break;
    case '\n':
      out[1] = 'n';
      break;
    case '\r':
      out[1] = 'r';
      break;
    case '\t':
      out[1] = 't';
      break;
    case '\b':
      out[1] = 'b';
      break;
    case '\f':
      out[1] = 'f';
      break;
    default:
      out[1] = 'u';
      out[4] = hex[c >> 4];
      out[5] = hex[c & 15];
      yoi_sdk_buf_add(buf, out, 6);
      return;
  }
  yoi_sdk_buf_add(buf, out, 2);
}

void yoi_sdk_json_escape(struct yoi_sdk_buf *buf, yoi_str s) {
  const unsigned char *p = (const unsigned char *)s.ptr;
  size_t i = 0, run = 0; /* run: begin of what is copied as it is */
  while (i < s.len) {
    if (s.len - i >= 8 && !yoi_sdk__json_special8(yoi_sdk__load8(p + i))) {
      i += 8;
      continue;
    }
    unsigned char c = p[i];
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      i++;
      continue;
    }
    size_t n = c < 0x80 ? 0 : yoi_sdk__utf8_char(p + i, s.len - i);
    if (n) {
      i += n;
      continue;
    }
    yoi_sdk_buf_add(buf, p + run, i - run);
    if (c > 0 && c < 0x80)
      escape_ascii(buf, c);
    else
      yoi_sdk_buf_adds(buf, YOI_LIT("\xEF\xBF\xBD")); /* U+FFFD */
    run = ++i;
  }
  if (i > run) yoi_sdk_buf_add(buf, p + run, i - run);
}

void yoi_sdk_jsonw_init(struct yoi_sdk_jsonw *w, struct yoi_sdk_buf *buf) {
  *w = (struct yoi_sdk_jsonw){.buf = buf};
}

static void begin_value(struct yoi_sdk_jsonw *w) {
  if (w->comma) yoi_sdk_buf_addc(w->buf, ',');
  w->comma = 1;
}

void yoi_sdk_jsonw_open(struct yoi_sdk_jsonw *w, char c) {
  begin_value(w);
  yoi_sdk_buf_addc(w->buf, c);
  w->comma = 0;
}

void yoi_sdk_jsonw_close(struct yoi_sdk_jsonw *w, char c) {
  yoi_sdk_buf_addc(w->buf, c);
  w->comma = 1;
}

/* Nothing in it needs an escape or a closer look. */
static int is_plain(yoi_str s) {
  const unsigned char *p = (const unsigned char *)s.ptr;
  if (s.len < 8) {
    for (size_t i = 0; i < s.len; i++)
      if (p[i] < 0x20 || p[i] >= 0x80 || p[i] == '"' || p[i] == '\\') return 0;
    return 1;
  }
  uint64_t special = yoi_sdk__json_special8(yoi_sdk__load8(p + s.len - 8)); /* overlaps */
  for (size_t i = 0; i + 8 < s.len; i += 8)
    special |= yoi_sdk__json_special8(yoi_sdk__load8(p + i));
  return special == 0;
}

/* Puts down what needs no escape, in one piece: [,]"text"[:] */
static void put_plain(struct yoi_sdk_jsonw *w, yoi_str s, int key) {
  size_t comma = w->comma != 0, n = comma + s.len + 2 + (key != 0);
  char *to = yoi_sdk_buf_reserve(w->buf, n);
  if (to == NULL) return;
  if (comma) *to++ = ',';
  *to++ = '"';
  if (s.len > 0) memcpy(to, s.ptr, s.len);
  to += s.len;
  *to++ = '"';
  if (key) *to++ = ':';
  *to = '\0';
  w->buf->len += n;
  w->comma = !key;
}

/* A string value or a key; nearly all are plain. */
static void quoted(struct yoi_sdk_jsonw *w, yoi_str s, int key) {
  if (is_plain(s)) {
    put_plain(w, s, key);
    return;
  }
  begin_value(w);
  yoi_sdk_buf_addc(w->buf, '"');
  yoi_sdk_json_escape(w->buf, s);
  yoi_sdk_buf_adds(w->buf, key ? YOI_LIT("\":") : YOI_LIT("\""));
  w->comma = !key;
}

void yoi_sdk_jsonw_keyn(struct yoi_sdk_jsonw *w, yoi_str key) {
  quoted(w, key, 1);
}

void yoi_sdk_jsonw_word(struct yoi_sdk_jsonw *w, yoi_str key) {
  assert(YOI_SDK_HARD(1, is_plain(key)));
  put_plain(w, key, 1);
}

void yoi_sdk_jsonw_str(struct yoi_sdk_jsonw *w, yoi_str s) {
  quoted(w, s, 0);
}

void yoi_sdk_jsonw_int(struct yoi_sdk_jsonw *w, int64_t n) {
  char digits[20];
  size_t i = sizeof digits;
  uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
  do {
    digits[--i] = (char)('0' + u % 10);
    u /= 10;
  } while (u);
  begin_value(w);
  if (n < 0) yoi_sdk_buf_addc(w->buf, '-');
  yoi_sdk_buf_add(w->buf, digits + i, sizeof digits - i);
}

/* Digits, sign and exponent as they are, one dot for anything else: the point
 * of a locale may be several bytes. */
static size_t plain_point(char *text, size_t n) {
  size_t out = 0;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    int plain = (c >= '0' && c <= '9') || c == 'e' || c == '-' || c == '+';
    if (plain)
      text[out++] = c;
    else if (out == 0 || text[out - 1] != '.')
      text[out++] = '.';
  }
  return out;
}

void yoi_sdk_jsonw_double(struct yoi_sdk_jsonw *w, double n) {
  if (!isfinite(n)) {
    yoi_sdk_jsonw_null(w);
    return;
  }
  if (fabs(n) <= (double)YOI_JSON_INT_MAX && (double)(int64_t)n == n && !(n == 0 && signbit(n))) {
    yoi_sdk_jsonw_int(w, (int64_t)n);
    return;
  }
  char text[64];
  int len = 0;
  for (int digits = 15; digits <= 17; digits++) {
    len = snprintf(text, sizeof text, "%.*g", digits, n);
    if (strtod(text, NULL) == n) break; /* same locale on both sides */
  }
  begin_value(w);
  yoi_sdk_buf_add(w->buf, text, plain_point(text, (size_t)len));
}

void yoi_sdk_jsonw_bool(struct yoi_sdk_jsonw *w, int v) {
  begin_value(w);
  yoi_sdk_buf_adds(w->buf, v ? YOI_LIT("true") : YOI_LIT("false"));
}

void yoi_sdk_jsonw_null(struct yoi_sdk_jsonw *w) {
  begin_value(w);
  yoi_sdk_buf_adds(w->buf, YOI_LIT("null"));
}

void yoi_sdk_jsonw_raw(struct yoi_sdk_jsonw *w, yoi_str json) {
  begin_value(w);
  yoi_sdk_buf_adds(w->buf, json.len ? json : YOI_LIT("null"));
}
