/* str.c - views and the growable buffer.
 *
 * The buffer is the only thing here that owns memory. Its invariants:
 *
 *  1. len <= max, and cap >= len + 1 once data is there: the NUL has its place.
 *  2. A failed append changes nothing but `failed`, and `failed` makes every
 *     later append a no-op, so that a writer looks once, at its end.
 *  3. Growth doubles, so that n appends cost O(n) bytes moved; in the hard mode
 *     (sdk/hard.h) small ones grow by what is asked for, so that nobody keeps
 *     a pointer across an append.
 *
 * Views may have ptr NULL when len is 0; no function here hands such a pointer
 * to memcpy or memcmp, for which that is undefined.
 */
#include <sdk/str.h>

#include <sdk/hard.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>

#define EXACT_BELOW 4096 /* in the hard mode; above it would be quadratic */

yoi_str yoi_sdk_str(const char *s) {
  return s ? (yoi_str){s, strlen(s)} : (yoi_str){NULL, 0};
}

int yoi_sdk_str_eq(yoi_str a, yoi_str b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

int yoi_sdk_str_is(yoi_str a, const char *s) {
  return yoi_sdk_str_eq(a, yoi_sdk_str(s));
}

int yoi_sdk_str_cmp(yoi_str a, yoi_str b) {
  size_t n = a.len < b.len ? a.len : b.len;
  int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
  if (c) return c;
  return a.len < b.len ? -1 : a.len > b.len;
}

int yoi_sdk_str_starts(yoi_str s, yoi_str prefix) {
  return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

yoi_str yoi_sdk_str_dup(yoi_str s) {
  char *copy = yoi_sdk_strndup(s.ptr, s.len);
  return copy ? (yoi_str){copy, s.len} : (yoi_str){NULL, 0};
}

void yoi_sdk_str_free(yoi_str *s) {
  if (!s) return;
  yoi_sdk_free((void *)(uintptr_t)s->ptr);
  *s = (yoi_str){NULL, 0};
}

int yoi_sdk_parse_u64(yoi_str s, uint64_t max, uint64_t *out) {
  if (s.len == 0 || s.len > 20 || (s.len > 1 && s.ptr[0] == '0')) return 0;
  uint64_t n = 0;
  for (size_t i = 0; i < s.len; i++) {
    if (s.ptr[i] < '0' || s.ptr[i] > '9') return 0;
    if (__builtin_mul_overflow(n, (uint64_t)10, &n)) return 0;
    if (__builtin_add_overflow(n, (uint64_t)(s.ptr[i] - '0'), &n)) return 0;
  }
  if (n > max) return 0;
  *out = n;
  return 1;
}

void yoi_sdk_buf_init(struct yoi_sdk_buf *b, size_t max) {
  *b = (struct yoi_sdk_buf){.max = max == SIZE_MAX ? max - 1 : max};
}

void yoi_sdk_buf_clear(struct yoi_sdk_buf *b) {
  b->len = 0;
  b->failed = 0;
  if (b->data) b->data[0] = '\0';
}

void yoi_sdk_buf_release(struct yoi_sdk_buf *b) {
  yoi_sdk_free(b->data);
  yoi_sdk_buf_init(b, b->max);
}

char *yoi_sdk_buf_reserve(struct yoi_sdk_buf *b, size_t n) {
  if (b->failed) return NULL;
  if (n > b->max - b->len) {
    b->failed = YOI_OUT_OF_RANGE;
    return NULL;
  }
  size_t need = b->len + n + 1;
  if (need <= b->cap) return b->data + b->len;
  size_t cap = b->cap < 32 ? 64 : b->cap;
  if (YOI_SDK_HARD(0, need < EXACT_BELOW)) cap = need;
  while (cap < need) cap = cap > b->max / 2 ? b->max + 1 : cap * 2;
  char *data = yoi_sdk_realloc(b->data, cap);
  if (!data) {
    b->failed = YOI_RESOURCE_EXHAUSTED;
    return NULL;
  }
  b->data = data;
  b->cap = cap;
  b->data[b->len] = '\0';
  return b->data + b->len;
}

void yoi_sdk_buf_add(struct yoi_sdk_buf *b, const void *p, size_t n) {
  /* What fits already is most of what is ever added. */
  int fits = !b->failed && n < b->cap - b->len && n <= b->max - b->len;
  char *to = fits ? b->data + b->len : yoi_sdk_buf_reserve(b, n);
  if (!to) return;
  if (n) memcpy(to, p, n);
  b->len += n;
  b->data[b->len] = '\0';
}

void yoi_sdk_buf_adds(struct yoi_sdk_buf *b, yoi_str s) {
  yoi_sdk_buf_add(b, s.ptr, s.len);
}

void yoi_sdk_buf_addc(struct yoi_sdk_buf *b, char c) {
  yoi_sdk_buf_add(b, &c, 1);
}

void yoi_sdk_buf_addf(struct yoi_sdk_buf *b, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *to = NULL;
  if (n < 0) {
    if (!b->failed) b->failed = YOI_OUT_OF_RANGE;
  } else {
    to = yoi_sdk_buf_reserve(b, (size_t)n);
  }
  if (to) {
    (void)vsnprintf(to, (size_t)n + 1, fmt, again);
    b->len += (size_t)n;
  }
  va_end(again);
}

void yoi_sdk_buf_drop(struct yoi_sdk_buf *b, size_t n) {
  if (n > b->len) n = b->len;
  if (n == 0) return;
  b->len -= n;
  memmove(b->data, b->data + n, b->len + 1);
}

yoi_str yoi_sdk_buf_str(const struct yoi_sdk_buf *b) {
  return (yoi_str){b->data, b->len};
}

char *yoi_sdk_buf_take(struct yoi_sdk_buf *b, size_t *out_len) {
  char *text = NULL;
  size_t len = 0;
  if (yoi_sdk_buf_reserve(b, 0)) {
    text = b->data;
    len = b->len;
    b->data = NULL;
  }
  yoi_sdk_buf_release(b);
  if (out_len) *out_len = len;
  return text;
}
