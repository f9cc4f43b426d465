/* utf8.c - is it UTF-8, and where may it be cut (RFC 3629).
 *
 * Text is mostly ASCII: eight bytes are looked at together, and only what has
 * a high bit goes through the table in utf8.h.
 */
#include "utf8.h"

#include <sdk/str.h>

int yoi_sdk_utf8_valid(yoi_str s) {
  const unsigned char *p = (const unsigned char *)s.ptr;
  size_t left = s.len;
  while (left) {
    if (left >= 8 && !(yoi_sdk__load8(p) & YOI_SDK__HIGHS)) {
      p += 8;
      left -= 8;
      continue;
    }
    size_t n = yoi_sdk__utf8_char(p, left);
    if (n == 0) return 0;
    p += n;
    left -= n;
  }
  return 1;
}

size_t yoi_sdk_utf8_cut(yoi_str s, size_t max) {
  if (s.len <= max) return s.len;
  const unsigned char *p = (const unsigned char *)s.ptr;
  for (size_t back = 0; back <= 3 && back <= max; back++) {
    size_t at = max - back;
    if ((p[at] & 0xC0) == 0x80) continue;
    /* A character starts here; the cut is inside it when it reaches past max. */
    return yoi_sdk__utf8_char(p + at, s.len - at) > back ? at : max;
  }
  return max; /* no UTF-8: any place is as good */
}

size_t yoi_sdk_utf8_tail(yoi_str s) {
  for (size_t k = 1; k <= 3 && k <= s.len; k++) {
    const unsigned char *p = (const unsigned char *)s.ptr + s.len - k;
    if ((p[0] & 0xC0) == 0x80) continue;
    /* A proper prefix is one that the right bytes behind it complete. 0x80,
     * 0x90 and 0xA0 cover every range that a second byte may need. */
    static const unsigned char second[] = {0x80, 0x90, 0xA0};
    for (size_t i = 0; i < sizeof second; i++) {
      unsigned char c[4] = {0, second[i], 0x80, 0x80};
      memcpy(c, p, k);
      if (yoi_sdk__utf8_char(c, sizeof c) > k) return k;
    }
    return 0;
  }
  return 0;
}
