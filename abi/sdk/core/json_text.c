/* json_text.c - escapes, white space and comments (RFC 8259, sections 2, 7).
 *
 * An escape stands for one character: a pair of surrogates is decoded
 * together, one alone is refused, and so is \u0000, since a reader whose
 * strings end at a NUL would see another text than the one that was checked.
 */
#include "json_text.h"

static int hex4(const unsigned char *p, uint32_t *out) {
  uint32_t v = 0;
  for (int i = 0; i < 4; i++) {
    unsigned char c = p[i];
    uint32_t d;
    if (c >= '0' && c <= '9')
      d = (uint32_t)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
      d = (uint32_t)((c | 0x20) - 'a' + 10);
    else
      return 0;
    v = v << 4 | d;
  }
  *out = v;
  return 1;
}

static size_t encode(uint32_t c, char out[4]) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 63));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 63));
    out[2] = (char)(0x80 | (c & 63));
    return 3;
  }
  out[0] = (char)(0xF0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 63));
  out[2] = (char)(0x80 | (c >> 6 & 63));
  out[3] = (char)(0x80 | (c & 63));
  return 4;
}

static int unicode_escape(const unsigned char *p, const unsigned char *end, char out[4],
                          size_t *out_n) {
  uint32_t c, low;
  if (end - p < 6 || !hex4(p + 2, &c)) return YOI_SDK__ESCAPE_UNKNOWN;
  if (c == 0) return YOI_SDK__ESCAPE_NUL;
  if (c < 0xD800 || c > 0xDFFF) {
    *out_n = encode(c, out);
    return 6;
  }
  if (c >= 0xDC00 || end - p < 12 || p[6] != '\\' || p[7] != 'u' || !hex4(p + 8, &low) ||
      low < 0xDC00 || low > 0xDFFF)
    return YOI_SDK__ESCAPE_SURROGATE;
  *out_n = encode(0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00), out);
  return 12;
}

int yoi_sdk__json_escape_at(const unsigned char *p, const unsigned char *end, char out[4],
                            size_t *out_n) {
  if (end - p < 2) return YOI_SDK__ESCAPE_UNKNOWN;
  char c;
  switch (p[1]) {
    case '"':
    case '\\':
    case '/':
      c = (char)p[1];
      break;
    case 'b':
      c = '\b';
      break;
    case 'f':
      c = '\f';
      break;
    case 'n':
      c = '\n';
      break;
    case 'r':
      c = '\r';
      break;
    case 't':
      c = '\t';
      break;
    case 'u':
      return unicode_escape(p, end, out, out_n);
    default:
      return YOI_SDK__ESCAPE_UNKNOWN;
  }
  out[0] = c;
  *out_n = 1;
  return 2;
}

/* Past the comment at p; NULL when it is none or has no end. */
static const unsigned char *comment_end(const unsigned char *p, const unsigned char *end) {
  if (end - p < 2) return NULL;
  if (p[1] == '/') {
    while (p < end && *p != '\n') p++;
    return p;
  }
  if (p[1] != '*') return NULL;
  for (p += 2; end - p >= 2; p++)
    if (p[0] == '*' && p[1] == '/') return p + 2;
  return NULL;
}

const unsigned char *yoi_sdk__json_white_here(const unsigned char *p, const unsigned char *end,
                                              uint32_t flags, int *comment) {
  for (;;) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    if (p == end || *p != '/' || !(flags & YOI_SDK_JSON_COMMENTS)) return p;
    const unsigned char *past = comment_end(p, end);
    if (!past) return p;
    p = past;
    if (comment) *comment = 1;
  }
}

void yoi_sdk__json_blank(char *text, size_t n) {
  unsigned char *p = (unsigned char *)text, *end = p + n;
  int quoted = 0;
  while (p < end) {
    if (quoted) {
      if (*p == '\\')
        p++;
      else if (*p == '"')
        quoted = 0;
      p++;
    } else if (*p == '/') {
      const unsigned char *stop = comment_end(p, end);
      if (!stop) return;
      while (p < stop) *p++ = ' ';
    } else {
      quoted = *p++ == '"';
    }
  }
}
