/* text.c - the output of a command as text that harms nobody.
 *
 * It goes to a model, into a transcript, onto terminals and pages. What would
 * be done there instead of shown becomes visible: a control character becomes
 * its picture (U+2400 and on), what is no UTF-8, and what turns the direction
 * of reading, becomes U+FFFD. Ends of lines become line feeds, also a carriage
 * return that stands alone, as bars of progress have them.
 *
 *   1. Cut anywhere, the pieces give the same text.
 *   2. At most three bytes come of one, and one line feed at the end.
 */
#include "shell.h"

#define REPLACEMENT "\xef\xbf\xbd"

static void put(struct sh_text *t, struct yoi_sdk_buf *out, const void *p, size_t n) {
  yoi_sdk_buf_add(out, p, n);
  t->line = 1;
}

static void end_line(struct sh_text *t, struct yoi_sdk_buf *out) {
  yoi_sdk_buf_addc(out, '\n');
  t->line = 0;
}

static void control(struct sh_text *t, unsigned char c, struct yoi_sdk_buf *out) {
  unsigned char picture[3] = {0xe2, 0x90, (unsigned char)(c == 0x7f ? 0xa1 : 0x80 + c)};
  put(t, out, picture, sizeof picture);
}

/* U+0080 to U+009F; U+202A to U+202E, U+2066 to U+2069; U+2028, U+2029. */
static int is_harmful(const unsigned char *p, size_t n) {
  if (n == 2) return p[0] == 0xc2 && p[1] < 0xa0;
  if (n != 3 || p[0] != 0xe2) return 0;
  return (p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
         (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

/* Bytes that a character with this first one has; 0: none begins so. */
static size_t length_of(unsigned char c) {
  return c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Whether c may be the n-th byte of what begins with p (Unicode, table 3-7). */
static int continues(const unsigned char *p, size_t n, unsigned char c) {
  unsigned char low = 0x80, high = 0xbf;
  if (n == 1) {
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
  }
  return c >= low && c <= high;
}

static void broken(struct sh_text *t, struct yoi_sdk_buf *out) {
  if (t->n_tail > 0) put(t, out, REPLACEMENT, 3);
  t->n_tail = 0;
}

static void ascii(struct sh_text *t, unsigned char c, struct yoi_sdk_buf *out) {
  if (c == '\n')
    end_line(t, out);
  else if (c == '\t' || (c >= 0x20 && c != 0x7f))
    put(t, out, &c, 1);
  else
    control(t, c, out);
}

static void byte(struct sh_text *t, unsigned char c, struct yoi_sdk_buf *out) {
  if (t->n_tail > 0 && continues(t->tail, t->n_tail, c)) {
    t->tail[t->n_tail++] = c;
    if (t->n_tail < length_of(t->tail[0])) return;
    if (is_harmful(t->tail, t->n_tail))
      put(t, out, REPLACEMENT, 3);
    else
      put(t, out, t->tail, t->n_tail);
    t->n_tail = 0;
    return;
  }
  broken(t, out);
  if (t->cr) end_line(t, out);
  int end_of_it = t->cr && c == '\n';
  t->cr = c == '\r';
  if (t->cr || end_of_it) return;
  if (c < 0x80) {
    ascii(t, c, out);
  } else if (length_of(c) > 0) {
    t->tail[t->n_tail++] = c;
  } else {
    put(t, out, REPLACEMENT, 3);
  }
}

void sh_text_clean(struct sh_text *t, yoi_str in, int last, struct yoi_sdk_buf *out) {
  for (size_t i = 0; i < in.len; i++) byte(t, (unsigned char)in.ptr[i], out);
  if (!last) return;
  broken(t, out);
  if (t->cr) end_line(t, out);
  t->cr = 0;
  if (t->line) end_line(t, out);
}
