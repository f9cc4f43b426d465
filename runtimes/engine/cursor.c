/* cursor.c - the text of cursors: y1-EPOCH-WORKER-SEQUENCE-INDEX.
 *
 * EPOCH is 16 and WORKER 8 lower-case hex digits, the numbers are decimal
 * without sign or leading zero. Callers must treat it as opaque; the leading
 * y1 lets a later form live beside this one. It is parsed by hand and
 * strictly: exactly one text means one cursor, so what we did not write is
 * refused and never understood as something else.
 */
#include "cursor.h"

#include <assert.h>
#include <sdk/id.h>
#include <sdk/str.h>

int eng_pos_cmp(struct eng_pos a, struct eng_pos b) {
  if (a.sequence != b.sequence) return a.sequence < b.sequence ? -1 : 1;
  if (a.index != b.index) return a.index < b.index ? -1 : 1;
  return 0;
}

/* FNV-1a; the epoch is what cannot be guessed, this only tells apart. */
uint32_t eng_cursor_worker(yoi_str worker_id) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < worker_id.len; i++) h = (h ^ (unsigned char)worker_id.ptr[i]) * 16777619u;
  return h;
}

static char *put_hex(char *at, uint64_t v, int digits) {
  static const char hex[] = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; i--) *at++ = hex[(v >> (4 * i)) & 15];
  return at;
}

static char *put_dec(char *at, uint64_t v) {
  char tmp[20];
  size_t n = 0;
  do {
    tmp[n++] = (char)('0' + v % 10);
    v /= 10;
  } while (v > 0);
  while (n > 0) *at++ = tmp[--n];
  return at;
}

size_t eng_cursor_write(const struct eng_cursor *c, char out[ENG_CURSOR_SIZE]) {
  char *at = out;
  *at++ = 'y';
  *at++ = '1';
  *at++ = '-';
  at = put_hex(at, c->epoch, 16);
  *at++ = '-';
  at = put_hex(at, c->worker, 8);
  *at++ = '-';
  at = put_dec(at, c->pos.sequence);
  *at++ = '-';
  at = put_dec(at, c->pos.index);
  *at = 0;
  assert(at - out < ENG_CURSOR_SIZE && at - out <= YOI_CURSOR_MAX);
  return (size_t)(at - out);
}

static int take_hex(yoi_str *s, size_t digits, uint64_t *out) {
  uint8_t bytes[8];
  size_t n = digits / 2;
  if (s->len < digits || !yoi_sdk_unhex((yoi_str){s->ptr, digits}, bytes, n)) return 0;
  *out = 0;
  for (size_t i = 0; i < n; i++) *out = *out << 8 | bytes[i];
  s->ptr += digits;
  s->len -= digits;
  return 1;
}

static int take_char(yoi_str *s, char c) {
  if (s->len == 0 || s->ptr[0] != c) return 0;
  s->ptr++;
  s->len--;
  return 1;
}

static int take_dec(yoi_str *s, uint64_t max, uint64_t *out) {
  size_t n = 0;
  while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9') n++;
  if (!yoi_sdk_parse_u64((yoi_str){s->ptr, n}, max, out)) return 0;
  s->ptr += n;
  s->len -= n;
  return 1;
}

int eng_cursor_parse(yoi_str s, struct eng_cursor *out) {
  uint64_t epoch, worker, sequence, index;
  if (s.len > YOI_CURSOR_MAX) return 0;
  if (!take_char(&s, 'y') || !take_char(&s, '1') || !take_char(&s, '-')) return 0;
  if (!take_hex(&s, 16, &epoch) || !take_char(&s, '-')) return 0;
  if (!take_hex(&s, 8, &worker) || !take_char(&s, '-')) return 0;
  if (!take_dec(&s, YOI_JSON_INT_MAX, &sequence) || !take_char(&s, '-')) return 0;
  if (!take_dec(&s, UINT32_MAX, &index) || s.len > 0) return 0;
  *out = (struct eng_cursor){
      .epoch = epoch,
      .worker = (uint32_t)worker,
      .pos = {.sequence = sequence, .index = (uint32_t)index},
  };
  return 1;
}
