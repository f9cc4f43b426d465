/* text.c - characters from pieces.
 *
 * A delta should hold whole characters, and the JSON reader insists on it.
 * Some servers cut where their tokens end: the first bytes of a character in
 * one chunk and the rest in the next, or the two halves of a surrogate pair
 * as two escapes. Such a chunk is mended (same length, so that offsets in the
 * mended copy are offsets in the original), read as usual, and its text is
 * taken from the original and joined with what was held back before.
 *
 * A half of a surrogate pair is carried as its three-byte form (ED A0..BF xx),
 * which UTF-8 does not allow, so that it is never mistaken for text.
 *
 * Invariants:
 *  1. What oai_text_add and oai_text_end append is UTF-8, whatever came in.
 *  2. held is never longer than five bytes: half a pair and the head of the
 *     other half.
 */
#include "oai.h"

#define FFFD "\xef\xbf\xbd"

/* ---- mending -------------------------------------------------------------- */

static int hex4(const char *p, uint32_t *out) {
  uint32_t v = 0;
  for (int i = 0; i < 4; i++) {
    char c = p[i];
    uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                 : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                 : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                        : 16;
    if (d == 16) return 0;
    v = v << 4 | d;
  }
  *out = v;
  return 1;
}

/* The code of the escape \uXXXX at p when it is half of a pair, else 0. */
static uint32_t half_at(const char *p, const char *end) {
  uint32_t v;
  if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex4(p + 2, &v)) return 0;
  return v >= 0xd800 && v <= 0xdfff ? v : 0;
}

/* Length of the escape at p that is a half without its other one, else 0. */
static size_t lone_half(const char *p, const char *end) {
  uint32_t v = half_at(p, end);
  if (!v) return 0;
  if (v < 0xdc00 && half_at(p + 6, end) >= 0xdc00) return 0;
  return 6;
}

/* Bytes of the valid character at p, 0 when there is none. */
static size_t char_at(const char *p, const char *end) {
  size_t most = (size_t)(end - p);
  for (size_t n = 1; n <= 4 && n <= most; n++)
    if (yoi_sdk_utf8_valid((yoi_str){p, n})) return n;
  return 0;
}

int oai_text_mend(yoi_str json, struct yoi_sdk_buf *out) {
  const char *p = json.ptr, *end = json.ptr + json.len;
  while (p < end) {
    size_t n;
    if (*p == '\\') {
      if (lone_half(p, end)) {
        yoi_sdk_buf_adds(out, YOI_LIT("\\u003f"));
        p += 6;
        continue;
      }
      /* A pair goes as one, or its second half would look alone. */
      n = half_at(p, end) ? 12 : 2;
      if (n > (size_t)(end - p)) n = (size_t)(end - p);
      if (n == 2 && (p[1] & 0x80)) n = 1;
    } else {
      n = char_at(p, end);
    }
    if (n)
      yoi_sdk_buf_add(out, p, n);
    else
      yoi_sdk_buf_addc(out, '?');
    p += n ? n : 1;
  }
  return !out->failed;
}

int oai_text_loose(yoi_str raw, struct yoi_sdk_buf *scratch, struct yoi_sdk_buf *out) {
  const char *p = raw.ptr, *end = raw.ptr + raw.len;
  yoi_sdk_buf_clear(scratch);
  while (p < end) {
    size_t n = 1;
    if (*p == '\\' && lone_half(p, end)) {
      uint32_t v = half_at(p, end);
      char three[3] = {(char)0xed, (char)(0x80 | (v >> 6 & 0x3f)), (char)(0x80 | (v & 0x3f))};
      yoi_sdk_buf_add(scratch, three, 3);
      p += 6;
      continue;
    }
    if (*p == '\\') n = half_at(p, end) ? 12 : 2;
    if (n > (size_t)(end - p)) n = (size_t)(end - p);
    yoi_sdk_buf_add(scratch, p, n);
    p += n;
  }
  return !scratch->failed && yoi_sdk_json_raw_unescape(yoi_sdk_buf_str(scratch), out);
}

/* ---- joining -------------------------------------------------------------- */

static int is_half(const char *p, const char *end, unsigned low, unsigned high) {
  return end - p >= 3 && (unsigned char)p[0] == 0xed && (unsigned char)p[1] >= low &&
         (unsigned char)p[1] <= high && ((unsigned char)p[2] & 0xc0) == 0x80;
}

static uint32_t half_value(const char *p) {
  return 0xd000u | ((unsigned char)p[1] & 0x3fu) << 6 | ((unsigned char)p[2] & 0x3fu);
}

static void add_pair(struct yoi_sdk_buf *out, uint32_t high, uint32_t low) {
  uint32_t v = 0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff));
  char four[4] = {(char)(0xf0 | v >> 18), (char)(0x80 | (v >> 12 & 0x3f)),
                  (char)(0x80 | (v >> 6 & 0x3f)), (char)(0x80 | (v & 0x3f))};
  yoi_sdk_buf_add(out, four, 4);
}

/* 1 when what lies between p and end may be the head of something longer. */
static int may_grow(const char *p, const char *end) {
  static const char high_low[] = "\xed\xb0";
  yoi_str rest = {p, (size_t)(end - p)};
  if (is_half(p, end, 0xa0, 0xaf)) {
    rest.ptr += 3, rest.len -= 3;
    return rest.len == 0 || (rest.len == 1 && rest.ptr[0] == high_low[0]) ||
           (rest.len == 2 && rest.ptr[0] == high_low[0] &&
            (unsigned char)rest.ptr[1] >= 0xb0 && (unsigned char)rest.ptr[1] <= 0xbf);
  }
  if (rest.len <= 2 && rest.ptr[0] == high_low[0]) return 1; /* half of a pair, or a character */
  return rest.len <= 3 && yoi_sdk_utf8_tail(rest) == rest.len;
}

static void join(struct oai_text *t, yoi_str text, struct yoi_sdk_buf *out) {
  const char *p = text.ptr, *end = p + text.len;
  t->n_held = 0;
  while (p < end) {
    size_t n = char_at(p, end);
    if (n) {
      yoi_sdk_buf_add(out, p, n);
      p += n;
    } else if (is_half(p, end, 0xa0, 0xaf) && is_half(p + 3, end, 0xb0, 0xbf)) {
      add_pair(out, half_value(p), half_value(p + 3));
      p += 6;
    } else if (may_grow(p, end)) {
      t->n_held = (size_t)(end - p);
      memcpy(t->held, p, t->n_held);
      return;
    } else {
      yoi_sdk_buf_adds(out, YOI_LIT(FFFD));
      p += is_half(p, end, 0xa0, 0xbf) ? 3 : 1;
    }
  }
}

void oai_text_add(struct oai_text *t, yoi_str piece, struct yoi_sdk_buf *out) {
  if (t->n_held == 0 && yoi_sdk_utf8_valid(piece)) {
    yoi_sdk_buf_adds(out, piece);
    return;
  }
  struct yoi_sdk_buf all;
  yoi_sdk_buf_init(&all, YOI_SSE_EVENT_MAX + sizeof t->held);
  yoi_sdk_buf_add(&all, t->held, t->n_held);
  yoi_sdk_buf_adds(&all, piece);
  if (all.failed)
    out->failed = all.failed;
  else
    join(t, yoi_sdk_buf_str(&all), out);
  yoi_sdk_buf_release(&all);
}

void oai_text_end(struct oai_text *t, struct yoi_sdk_buf *out) {
  if (t->n_held) yoi_sdk_buf_adds(out, YOI_LIT(FFFD));
  t->n_held = 0;
}
