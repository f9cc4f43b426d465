/* utf8.h - one character of UTF-8, for the files of sdk/core. */
#ifndef YOI_SDK_CORE_UTF8_H
#define YOI_SDK_CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Length of the well-formed character at p, of n > 0 bytes; 0 when there is
 * none. The table of RFC 3629, section 4: the second byte has a narrower
 * range behind E0, ED, F0 and F4. */
static inline size_t yoi_sdk__utf8_char(const unsigned char *p, size_t n) {
  unsigned char c = p[0];
  if (c < 0x80) return 1;
  if (c < 0xC2 || c > 0xF4 || n < 2) return 0;
  unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (p[1] < low || p[1] > high) return 0;
  if (c < 0xE0) return 2;
  if (n < 3 || (p[2] & 0xC0) != 0x80) return 0;
  if (c < 0xF0) return 3;
  return n >= 4 && (p[3] & 0xC0) == 0x80 ? 4 : 0;
}

/* Eight bytes at p as a number, whatever their alignment. */
static inline uint64_t yoi_sdk__load8(const void *p) {
  uint64_t w;
  memcpy(&w, p, sizeof w);
  return w;
}

#define YOI_SDK__ONES 0x0101010101010101u
#define YOI_SDK__HIGHS 0x8080808080808080u

/* Not 0 when one of the eight bytes needs a look inside a JSON string: a
 * control, a quote, a backslash or a byte that is not ASCII. The bits of
 * bytes behind the first such one may be wrong, which does no harm. */
static inline uint64_t yoi_sdk__json_special8(uint64_t w) {
  uint64_t quote = w ^ (YOI_SDK__ONES * '"');
  uint64_t slash = w ^ (YOI_SDK__ONES * '\\');
  return ((w - YOI_SDK__ONES * 0x20) | (quote - YOI_SDK__ONES) | (slash - YOI_SDK__ONES) | w) &
         YOI_SDK__HIGHS;
}

#endif
