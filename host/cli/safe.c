/* safe.c - texts of strangers, so that a person sees what they are.
 *
 * What a model wants to run is shown to whoever has to allow it, so nothing in
 * it may act on the screen, hide, or change places: control characters, those
 * of format (which turn the direction of writing, or have no width at all) and
 * separators of lines are written as in JSON, \u202e. Arguments are JSON, where
 * that is the same text again. White space between members becomes spaces:
 * all stands on one line, and what was left out is said.
 */
#include "cli.h"

#include <sdk/str.h>

/* Unicode's Cc, Cf, Zl, Zp, fillers and selectors of variants. */
static const struct range {
  uint32_t from, to;
} hidden[] = {
    {0x00, 0x1f},       {0x7f, 0x9f},       {0xad, 0xad},       {0x034f, 0x034f},
    {0x0600, 0x0605},   {0x061c, 0x061c},   {0x06dd, 0x06dd},   {0x070f, 0x070f},
    {0x0890, 0x0891},   {0x08e2, 0x08e2},   {0x115f, 0x1160},   {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},
    {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfffb},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static int is_hidden(uint32_t c) {
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
    if (c >= hidden[i].from && c <= hidden[i].to) return 1;
  return 0;
}

/* The character at i of valid UTF-8, and its length. */
static uint32_t decode(yoi_str s, size_t i, size_t *out_n) {
  unsigned char first = (unsigned char)s.ptr[i];
  size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  uint32_t c = n == 1 ? first : first & (0x7fu >> n);
  for (size_t k = 1; k < n; k++) c = c << 6 | ((unsigned char)s.ptr[i + k] & 0x3fu);
  *out_n = n;
  return c;
}

static void escape(struct yoi_sdk_buf *out, uint32_t c) {
  if (c > 0xffff) {
    yoi_sdk_buf_addf(out, "\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)));
    c = 0xdc00 + ((c - 0x10000) & 0x3ff);
  }
  yoi_sdk_buf_addf(out, "\\u%04x", (unsigned)c);
}

void cli_safe(struct yoi_sdk_buf *out, yoi_str s, size_t most) {
  size_t shown = s.len > most ? yoi_sdk_utf8_cut(s, most) : s.len, n = 1;
  if (!yoi_sdk_utf8_valid(s)) {
    yoi_sdk_buf_addf(out, "(%zu bytes that are no text)", s.len);
    return;
  }
  for (size_t i = 0; i < shown; i += n) {
    uint32_t c = decode(s, i, &n);
    if (c == '\n' || c == '\r' || c == '\t')
      yoi_sdk_buf_addc(out, ' ');
    else if (is_hidden(c))
      escape(out, c);
    else
      yoi_sdk_buf_add(out, s.ptr + i, n);
  }
  if (shown < s.len) yoi_sdk_buf_addf(out, " [... and %zu bytes more ...]", s.len - shown);
}
