/* UTF-8 against a second, naive decoder, on every pair of bytes and on every
 * sequence of the bytes at which RFC 3629 changes its mind. */
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Decodes by arithmetic and then asks whether the number was allowed and
 * whether it took as few bytes as it could. */
static size_t naive_char(const unsigned char *p, size_t n) {
  size_t len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
  if (len == 0 || len > n) return 0;
  uint32_t c = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
  for (size_t i = 1; i < len; i++) {
    if (p[i] >> 6 != 2) return 0;
    c = c << 6 | (p[i] & 63u);
  }
  size_t least = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  if (least != len || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return 0;
  return len;
}

static int naive_valid(const unsigned char *p, size_t n) {
  while (n) {
    size_t k = naive_char(p, n);
    if (k == 0) return 0;
    p += k;
    n -= k;
  }
  return 1;
}

/* Could bytes be appended to s so that it ends in a whole character? */
static size_t naive_tail(const unsigned char *p, size_t n) {
  for (size_t k = 1; k <= 3 && k <= n; k++) {
    unsigned char c[4] = {0};
    memcpy(c, p + n - k, k);
    for (int second = 0x80; second < 0xC0; second++) {
      if (k == 1) c[1] = (unsigned char)second;
      if (k <= 2) c[2] = 0x80;
      c[3] = 0x80;
      if (naive_char(c, 4) > k) return k;
    }
  }
  return 0;
}

static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                      0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
                                      0xEE, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
#define EDGES (sizeof edges)

static void agree(const unsigned char *p, size_t n) {
  yoi_str s = {(const char *)p, n};
  if (yoi_sdk_utf8_valid(s) != naive_valid(p, n)) fail_msg("valid: %02x %02x", p[0], p[1]);
  if (yoi_sdk_utf8_tail(s) != naive_tail(p, n)) fail_msg("tail: %02x %02x", p[0], p[1]);
}

static void every_pair_of_bytes(void **state) {
  (void)state;
  for (unsigned a = 0; a < 256; a++) {
    for (unsigned b = 0; b < 256; b++) {
      unsigned char p[2] = {(unsigned char)a, (unsigned char)b};
      agree(p, 1);
      agree(p, 2);
    }
  }
}

static void every_four_edges(void **state) {
  (void)state;
  for (size_t i = 0; i < EDGES * EDGES * EDGES * EDGES; i++) {
    unsigned char p[4] = {edges[i % EDGES], edges[i / EDGES % EDGES],
                          edges[i / EDGES / EDGES % EDGES], edges[i / EDGES / EDGES / EDGES]};
    agree(p, 3);
    agree(p, 4);
  }
}

/* The fast path looks at eight bytes together: a bad byte at each place. */
static void a_bad_byte_at_every_place(void **state) {
  (void)state;
  for (size_t len = 0; len < 40; len++) {
    char text[40];
    memset(text, 'a', sizeof text);
    assert_true(yoi_sdk_utf8_valid((yoi_str){text, len}));
    for (size_t i = 0; i < len; i++) {
      text[i] = (char)0x80;
      assert_false(yoi_sdk_utf8_valid((yoi_str){text, len}));
      text[i] = 'a';
    }
  }
  assert_true(yoi_sdk_utf8_valid((yoi_str){NULL, 0}));
}

static void cut_is_never_inside_a_character(void **state) {
  (void)state;
  yoi_str s = YOI_LIT("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z");
  for (size_t max = 0; max < s.len + 3; max++) {
    size_t n = yoi_sdk_utf8_cut(s, max);
    assert_true(n <= max && n <= s.len);
    assert_true(yoi_sdk_utf8_valid((yoi_str){s.ptr, n}));
    if (max >= s.len) assert_int_equal(n, s.len);
    assert_true(n + 4 > (max < s.len ? max : s.len)); /* the largest one */
  }
  assert_int_equal(yoi_sdk_utf8_cut(YOI_LIT("\x80\x80\x80\x80\x80\x80"), 5), 5);
}

/* What was cut at a chunk's border comes back whole with the next chunk. */
static void tail_and_rest_make_the_text(void **state) {
  (void)state;
  yoi_str s = YOI_LIT("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z");
  for (size_t at = 0; at <= s.len; at++) {
    size_t tail = yoi_sdk_utf8_tail((yoi_str){s.ptr, at});
    assert_true(yoi_sdk_utf8_valid((yoi_str){s.ptr, at - tail}));
    assert_true(yoi_sdk_utf8_valid((yoi_str){s.ptr + at - tail, s.len - at + tail}));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_pair_of_bytes),
      cmocka_unit_test(every_four_edges),
      cmocka_unit_test(a_bad_byte_at_every_place),
      cmocka_unit_test(cut_is_never_inside_a_character),
      cmocka_unit_test(tail_and_rest_make_the_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
