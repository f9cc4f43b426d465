/* glob.c - patterns with `*` and `?`.
 *
 * Only the last star that was met is ever gone back to: if what is behind it
 * fits anywhere, taking the first place where it does loses nothing, since the
 * stars before it have all that they need already. So there is no recursion,
 * and no pattern that takes exponential time.
 */
#include <sdk/glob.h>

/* Bytes of the character at s, which need not be well-formed. */
static size_t character(yoi_str s, size_t at) {
  size_t n = 1;
  while (at + n < s.len && ((unsigned char)s.ptr[at + n] & 0xc0u) == 0x80u) n++;
  return n;
}

int yoi_sdk_glob(yoi_str pattern, yoi_str text) {
  size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
  while (t < text.len) {
    if (p < pattern.len && pattern.ptr[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.len && pattern.ptr[p] == '?') {
      p++;
      t += character(text, t);
    } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
      p++;
      t++;
    } else if (star != SIZE_MAX) {
      p = star + 1;
      t = ++from;
    } else {
      return 0;
    }
  }
  while (p < pattern.len && pattern.ptr[p] == '*') p++;
  return p == pattern.len;
}
