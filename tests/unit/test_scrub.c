/* test_scrub.c - known values in texts: against a naive reference on random
 * values, texts and cuts, and each form by itself.
 */
#include <sdk/scrub.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <yoi/limits.h>

#include "support/naive_scrub.h"

static struct yoi_sdk_scrub *make(const char *name, const char *value) {
  struct yoi_sdk_scrub_value v = {yoi_sdk_str(name), yoi_sdk_str(value)};
  struct yoi_sdk_scrub *s = NULL;
  assert_int_equal(yoi_sdk_scrub_new(&v, 1, &s), YOI_OK);
  return s;
}

/* What a whole text becomes. */
static void becomes(const struct yoi_sdk_scrub *s, const char *text, uint32_t flags,
                    const char *expected) {
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 65536);
  yoi_sdk_buf_addc(&out, '>');
  int found = yoi_sdk_scrub_text(s, yoi_sdk_str(text), flags, &out);
  assert_int_equal(found, strcmp(text, expected) != 0);
  assert_string_equal(out.data + 1, found ? expected : "");
  yoi_sdk_buf_release(&out);
}

static void json_becomes(const struct yoi_sdk_scrub *s, const char *text, const char *expected) {
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 65536);
  yoi_sdk_buf_addc(&out, '>');
  int found = yoi_sdk_scrub_json(s, yoi_sdk_str(text), &out);
  assert_string_equal(found ? out.data + 1 : text, expected);
  assert_int_equal(found, strcmp(text, expected) != 0);
  yoi_sdk_buf_release(&out);
}

/* ---- forms --------------------------------------------------------------- */

static void test_a_value_is_found_as_it_is(void **state) {
  (void)state;
  struct yoi_sdk_scrub *s = make("key", "abcdefgh");
  becomes(s, "", 0, "");
  becomes(s, "abcdefg", 0, "abcdefg");
  becomes(s, "abcdefgh", 0, "[secret key]");
  becomes(s, "abcdefghabcdefgh", 0, "[secret key][secret key]");
  becomes(s, "xabcdefgabcdefghx", 0, "xabcdefg[secret key]x");
  becomes(s, "see abcdefgh.", 0, "see [secret key].");
  becomes(s, "ABCDEFGH", 0, "ABCDEFGH");
  yoi_sdk_scrub_free(s);
}

static void test_short_values_and_white_space(void **state) {
  (void)state;
  assert_null(make("key", "1234567"));
  assert_null(make("key", " 1234567 \r\n"));
  assert_int_equal(yoi_sdk_scrub_fits(YOI_LIT("1234567\n")), 0);
  assert_int_equal(yoi_sdk_scrub_fits(YOI_LIT("12345678")), 1);
  becomes(NULL, "abcdefgh", 0, "abcdefgh");
  json_becomes(NULL, "\"abcdefgh\"", "\"abcdefgh\"");
  struct yoi_sdk_scrub *s = make("key", "\t12345678\r\n"); /* who uses it may have cut the ends */
  becomes(s, "<12345678>", 0, "<[secret key]>");
  yoi_sdk_scrub_free(s);
}

static void test_escapes_of_json_are_found_in_text(void **state) {
  (void)state;
  struct yoi_sdk_scrub *s = make("pw", "a\"b\\c/d\n\x01\xc3\xa9\xf0\x9f\x98\x80");
  becomes(s, "x a\"b\\c/d\n\x01\xc3\xa9\xf0\x9f\x98\x80 y", 0, "x [secret pw] y");
  becomes(s, "{\"p\":\"a\\\"b\\\\c/d\\n\\u0001\xc3\xa9\xf0\x9f\x98\x80\"}", 0,
          "{\"p\":\"[secret pw]\"}");
  becomes(s, "a\\\"b\\\\c\\/d\\n\\u0001\xc3\xa9\xf0\x9f\x98\x80", 0, "[secret pw]");
  becomes(s, "a\\\"b\\\\c/d\\n\\u0001\\u00e9\\ud83d\\ude00", 0, "[secret pw]");
  becomes(s, "a\\\\\\\"b\\\\\\\\c/d\\\\n\\\\u0001\\\\u00e9\\\\ud83d\\\\ude00", 0, "[secret pw]");
  yoi_sdk_scrub_free(s);
}

static void test_percent_and_base64_are_found(void **state) {
  (void)state;
  struct yoi_sdk_scrub *s = make("k", "p@ss?w\xff~\xfe\xfb.-z");
  becomes(s, "u=p%40ss%3Fw%FF~%FE%FB.-z&v", 0, "u=[secret k]&v");
  /* of "p@...", "xp@...", "xxp@..." each with one more byte behind, from
   * base64(1); what has bits of a neighbour stays */
  becomes(s, "cEBzcz93/37++y4teiE=", 0, "[secret k]iE=");
  becomes(s, "eHBAc3M/d/9+/vsuLXoh", 0, "eH[secret k]oh");
  becomes(s, "eHhwQHNzP3f/fv77Li16IQ==", 0, "eHh[secret k]IQ==");
  becomes(s, "eHBAc3M_d_9-_vsuLXoh", 0, "eH[secret k]oh");
  becomes(s, "p@ss?w\xff~\xfe\xfb.-z", 0, "p@ss?w\xff~\xfe\xfb.-z"); /* that is no text */
  yoi_sdk_scrub_free(s);
}

static void test_of_two_the_longest_and_the_leftmost(void **state) {
  (void)state;
  static const struct yoi_sdk_scrub_value values[] = {
      {{"a", 1}, {"12345678", 8}},       {{"longer", 6}, {"1234567890", 10}},
      {{"around", 6}, {"x12345678y", 10}}, {{"late", 4}, {"78abcdef", 8}},
      {{"same", 4}, {"12345678", 8}}};
  struct yoi_sdk_scrub *s = NULL;
  assert_int_equal(yoi_sdk_scrub_new(values, 5, &s), YOI_OK);
  becomes(s, "123456789", 0, "[secret a]9");
  becomes(s, "1234567890", 0, "[secret longer]");
  becomes(s, "x12345678y", 0, "[secret around]");
  becomes(s, "x12345678z", 0, "x[secret a]z");
  becomes(s, "12345678abcdef", 0, "[secret a]abcdef");
  becomes(s, "2345678abcdef", 0, "23456[secret late]");
  yoi_sdk_scrub_free(s);
}

static void test_a_text_that_was_cut(void **state) {
  (void)state;
  struct yoi_sdk_scrub *s = make("key", "abcdefghijkl");
  becomes(s, "got abcdefghijk", 0, "got abcdefghijk");
  becomes(s, "got abcdefghijk", YOI_SDK_SCRUB_CUT, "got [secret key]");
  becomes(s, "got abcdefgh", YOI_SDK_SCRUB_CUT, "got [secret key]");
  becomes(s, "got abcdefg", YOI_SDK_SCRUB_CUT, "got abcdefg");
  becomes(s, "abcdefgh.", YOI_SDK_SCRUB_CUT, "abcdefgh.");
  becomes(s, "abcdefghijkl abcdefghij", YOI_SDK_SCRUB_CUT, "[secret key] [secret key]");
  yoi_sdk_scrub_free(s);
}

/* ---- JSON ---------------------------------------------------------------- */

static void test_json_stays_json(void **state) {
  (void)state;
  struct yoi_sdk_scrub *s = make("k", "nabcdefgh");
  json_becomes(s, "{\"a\":\"nabcdefgh\"}", "{\"a\":\"[secret k]\"}");
  json_becomes(s, "{\"nabcdefgh\":1.50e3,\"\\u0061\":[ ]}",
               "{\"[secret k]\":1.50e3,\"\\u0061\":[ ]}");
  json_becomes(s, "[\"\\nabcdefgh\"]", "[\"\\nabcdefgh\"]"); /* a line feed and abcdefgh */
  json_becomes(s, "[\"\\u006e\\u0061bcdef\\u0067h\"]", "[\"[secret k]\"]");
  json_becomes(s, "[\"nabcdefg\",\"h\"]", "[\"nabcdefg\",\"h\"]");
  json_becomes(s, "{\"arguments\":\"{\\\"x\\\":\\\"n\\\\u0061bcdefgh\\\"}\"}",
               "{\"arguments\":\"{\\\"x\\\":\\\"[secret k]\\\"}\"}");
  json_becomes(s, "{\"arguments\":\"{\\\"x\\\":\\\"\\\\nabcdefgh\\\"}\"}",
               "{\"arguments\":\"{\\\"x\\\":\\\"\\\\[secret k]\\\"}\"}"); /* safe, if no JSON */
  json_becomes(s, "{\"arguments\":\"{\\\"x\\\": nabcdefgh\"}",
               "{\"arguments\":\"{\\\"x\\\": [secret k]\"}");
  json_becomes(s, "no JSON: nabcdefgh \\", "no JSON: [secret k] \\");
  yoi_sdk_scrub_free(s);
  s = make("pin", "12345678");
  json_becomes(s, "[-123456789.5,12345678]", "[\"-[secret pin]9.5\",\"[secret pin]\"]");
  yoi_sdk_scrub_free(s);
  s = make("file", "{\"type\":\"key\"}");
  json_becomes(s, "{\"a\":\"{\\\"type\\\":\\\"key\\\"}\"}", "{\"a\":\"[secret file]\"}");
  yoi_sdk_scrub_free(s);
}

/* ---- pieces -------------------------------------------------------------- */

static void said(struct yoi_sdk_buf *out, const char *expected) {
  assert_string_equal(out->data != NULL ? out->data : "", expected);
  yoi_sdk_buf_clear(out);
}

static void test_only_what_may_go_on_is_held(void **state) {
  (void)state;
  struct yoi_sdk_scrub *s = make("key", "abcdefgh");
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 65536);
  yoi_sdk_scrub_add(s, &h, YOI_LIT("x ab"), &out);
  said(&out, "x ");
  yoi_sdk_scrub_add(s, &h, YOI_LIT(""), &out);
  yoi_sdk_scrub_add(s, &h, YOI_LIT("cdefg"), &out);
  said(&out, "");
  yoi_sdk_scrub_add(s, &h, YOI_LIT("ha"), &out);
  said(&out, "[secret key]");
  yoi_sdk_scrub_add(s, &h, YOI_LIT("a"), &out);
  said(&out, "a");
  yoi_sdk_scrub_end(s, &h, &out);
  said(&out, "a");
  yoi_sdk_scrub_end(s, &h, &out);
  said(&out, "");
  yoi_sdk_buf_release(&out);
  yoi_sdk_scrub_free(s);
}

static void test_what_was_flushed_is_remembered(void **state) {
  (void)state;
  struct yoi_sdk_scrub *s = make("key", "abcdefgh");
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 65536);
  yoi_sdk_scrub_add(s, &h, YOI_LIT("ab"), &out);
  yoi_sdk_scrub_flush(s, &h, &out);
  said(&out, "ab");
  yoi_sdk_scrub_flush(s, &h, &out);
  said(&out, "");
  yoi_sdk_scrub_add(s, &h, YOI_LIT("cd"), &out);
  said(&out, "");
  yoi_sdk_scrub_flush(s, &h, &out);
  said(&out, "cd");
  yoi_sdk_scrub_add(s, &h, YOI_LIT("efgh."), &out);
  said(&out, "[secret key].");
  yoi_sdk_scrub_add(s, &h, YOI_LIT("abc"), &out);
  yoi_sdk_scrub_flush(s, &h, &out);
  yoi_sdk_scrub_add(s, &h, YOI_LIT("x"), &out);
  said(&out, "abcx");
  yoi_sdk_buf_release(&out);
  yoi_sdk_scrub_free(s);
}

/* ---- against the reference ----------------------------------------------- */

#define VALUES 6
#define VALUE_BYTES 24
#define TEXT_BYTES 256
#ifdef __SANITIZE_THREAD__
#define ROUNDS 300 /* one thread: what is looked for here is the same in each build */
#else
#define ROUNDS 3000
#endif

struct round {
  uint64_t random;
  char value[VALUES][VALUE_BYTES + 1], text[TEXT_BYTES + 64];
  struct yoi_sdk_scrub_value values[VALUES];
  size_t n, len;
  struct yoi_sdk_scrub *s;
  struct naive r;
};

static size_t below(struct round *t, size_t n) {
  t->random = t->random * 6364136223846793005u + 1442695040888963407u;
  return (size_t)(t->random >> 33) % n;
}

/* Values over few letters, many of them made from parts of others, so that
 * there are prefixes, infixes and periods; texts of the same and of values. */
static void make_round(struct round *t, const char *letters, size_t n_letters) {
  t->n = 1 + below(t, VALUES);
  for (size_t i = 0; i < t->n; i++) {
    size_t len = YOI_SECRET_SCRUB_MIN + below(t, VALUE_BYTES - YOI_SECRET_SCRUB_MIN + 1), at = 0;
    const char *other = t->value[below(t, i + 1)];
    if (i > 0 && other != t->value[i] && below(t, 2)) {
      size_t from = below(t, strlen(other)), most = strlen(other) - from;
      at = most < len ? most : len;
      memcpy(t->value[i], other + from, at);
    }
    while (at < len) t->value[i][at++] = letters[below(t, n_letters)];
    t->value[i][len] = '\0';
    t->values[i] =
        (struct yoi_sdk_scrub_value){{&"012345"[i], 1}, {t->value[i], len}};
  }
  for (t->len = 0; t->len < TEXT_BYTES;) {
    const char *v = t->value[below(t, t->n)];
    size_t n = below(t, 3) == 0 ? strlen(v) : below(t, strlen(v));
    if (below(t, 3) == 0) t->text[t->len++] = letters[below(t, n_letters)];
    memcpy(t->text + t->len, v, n);
    t->len += n;
  }
  assert_int_equal(yoi_sdk_scrub_new(t->values, t->n, &t->s), YOI_OK);
  naive_init(&t->r, t->values, t->n);
}

static void end_round(struct round *t) {
  naive_release(&t->r);
  yoi_sdk_scrub_free(t->s);
}

static void same(const struct yoi_sdk_buf *got, const struct yoi_sdk_buf *expected) {
  assert_int_equal(got->failed, 0);
  assert_int_equal(got->len, expected->len);
  if (got->len > 0) assert_memory_equal(got->data, expected->data, got->len);
}

static void in_pieces(struct round *t) {
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf got, expected;
  size_t most = 1 + below(t, 20);
  yoi_sdk_buf_init(&got, 65536);
  yoi_sdk_buf_init(&expected, 65536);
  for (size_t i = 0; i < t->len;) {
    size_t n = 1 + below(t, most);
    if (n > t->len - i) n = t->len - i;
    char *piece = yoi_sdk_strndup(t->text + i, n); /* of its own, so that overruns are seen */
    assert_non_null(piece);
    yoi_sdk_scrub_add(t->s, &h, (yoi_str){piece, n}, &got);
    yoi_sdk_free(piece);
    i += n;
    yoi_sdk_buf_clear(&expected);
    assert_int_equal(h.len, naive_scrub(&t->r, (yoi_str){t->text, i}, 0, &expected));
    same(&got, &expected);
  }
  yoi_sdk_scrub_end(t->s, &h, &got);
  yoi_sdk_buf_clear(&expected);
  naive_scrub(&t->r, (yoi_str){t->text, t->len}, 1, &expected);
  same(&got, &expected);
  assert_false(naive_has(&t->r, yoi_sdk_buf_str(&got)));
  yoi_sdk_buf_release(&got);
  yoi_sdk_buf_release(&expected);
}

static void at_once(struct round *t) {
  struct yoi_sdk_buf got, expected;
  yoi_str text = {t->text, t->len};
  yoi_sdk_buf_init(&got, 65536);
  yoi_sdk_buf_init(&expected, 65536);
  naive_scrub(&t->r, text, 1, &expected);
  if (!yoi_sdk_scrub_text(t->s, text, 0, &got)) yoi_sdk_buf_adds(&got, text);
  same(&got, &expected);
  yoi_sdk_buf_clear(&expected);
  naive_scrub(&t->r, text, 0, &expected);
  size_t clean = yoi_sdk_scrub_clean(t->s, text);
  assert_true(clean <= t->len && clean <= expected.len);
  assert_memory_equal(expected.data, t->text, clean);
  assert_true(clean == expected.len || expected.data[clean] == '[');
  yoi_sdk_buf_release(&got);
  yoi_sdk_buf_release(&expected);
}

/* Flushed anywhere: no value, and nothing but values is missing. */
static void with_flushes(struct round *t) {
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf got;
  yoi_sdk_buf_init(&got, 65536);
  for (size_t i = 0; i < t->len;) {
    size_t n = 1 + below(t, 9);
    if (n > t->len - i) n = t->len - i;
    yoi_sdk_scrub_add(t->s, &h, (yoi_str){t->text + i, n}, &got);
    i += n;
    if (below(t, 2)) continue;
    yoi_sdk_scrub_flush(t->s, &h, &got);
    assert_int_equal(h.given, h.len);
  }
  yoi_sdk_scrub_end(t->s, &h, &got);
  assert_false(naive_has(&t->r, yoi_sdk_buf_str(&got)));
  if (!naive_has(&t->r, (yoi_str){t->text, t->len})) {
    assert_int_equal(got.len, t->len);
    assert_memory_equal(got.data, t->text, t->len);
  }
  yoi_sdk_buf_release(&got);
}

static void test_any_values_in_any_text_cut_anywhere(void **state) {
  static struct round t;
  static const char few[] = "ab", some[] = "abcd", odd[] = "\"\\/\xc3\xa9%";
  (void)state;
  t.random = 20231;
  for (size_t i = 0; i < ROUNDS; i++) {
    if (i % 3 == 0)
      make_round(&t, few, 2);
    else if (i % 3 == 1)
      make_round(&t, some, 4);
    else
      make_round(&t, odd, sizeof odd - 1);
    at_once(&t);
    in_pieces(&t);
    with_flushes(&t);
    end_round(&t);
  }
}

/* ---- JSON against what it means ------------------------------------------ */

static void write_escaped(struct round *t, struct yoi_sdk_buf *out, const char *p, size_t n) {
  yoi_sdk_buf_addc(out, '"');
  for (size_t i = 0; i < n; i++) {
    if (below(t, 3) == 0)
      yoi_sdk_buf_addf(out, below(t, 2) ? "\\u%04x" : "\\u%04X", (unsigned char)p[i]);
    else
      yoi_sdk_json_escape(out, (yoi_str){p + i, 1});
  }
  yoi_sdk_buf_addc(out, '"');
}

static void means_no_value(const struct round *t, const yoi_sdk_json *v) {
  yoi_str s;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c != NULL; c = yoi_sdk_json_next(c))
    means_no_value(t, c);
  if (!yoi_sdk_json_str(v, &s)) return;
  assert_false(naive_has(&t->r, s));
  yoi_sdk_json *inner = NULL;
  if (yoi_sdk_json_parse(s, 0, &inner, NULL) == YOI_OK) means_no_value(t, inner);
  yoi_sdk_json_free(inner);
}

static void test_any_escapes_at_any_level(void **state) {
  static struct round t;
  (void)state;
  t.random = 7;
  for (size_t i = 0; i < ROUNDS / 6; i++) {
    struct yoi_sdk_buf inner, outer, out;
    yoi_sdk_json *tree = NULL;
    make_round(&t, "ab\"\\/", 5);
    yoi_sdk_buf_init(&inner, 1 << 20);
    yoi_sdk_buf_init(&outer, 1 << 20);
    yoi_sdk_buf_init(&out, 1 << 20);
    yoi_sdk_buf_adds(&inner, YOI_LIT("{\"q\": [1, "));
    write_escaped(&t, &inner, t.text, t.len);
    yoi_sdk_buf_adds(&inner, YOI_LIT("]}"));
    yoi_sdk_buf_adds(&outer, YOI_LIT("{\"id\":\"c\",\"arguments\":"));
    write_escaped(&t, &outer, inner.data, inner.len);
    yoi_sdk_buf_addc(&outer, '}');
    yoi_str result = yoi_sdk_buf_str(&outer);
    if (yoi_sdk_scrub_json(t.s, result, &out)) result = yoi_sdk_buf_str(&out);
    assert_int_equal(out.failed, 0);
    assert_int_equal(yoi_sdk_json_parse(result, 0, &tree, NULL), YOI_OK);
    means_no_value(&t, tree);
    yoi_sdk_json_free(tree);
    yoi_sdk_buf_release(&inner);
    yoi_sdk_buf_release(&outer);
    yoi_sdk_buf_release(&out);
    end_round(&t);
  }
}

/* ---- bounds -------------------------------------------------------------- */

static void test_short_memory_is_told(void **state) {
  (void)state;
  struct yoi_sdk_scrub_value v = {YOI_LIT("key"), YOI_LIT("abcdefghijkl")};
  struct yoi_sdk_scrub *s = NULL;
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(yoi_sdk_scrub_new(&v, 1, &s), YOI_OK);
  yoi_sdk_scrub_free(s);
  uint64_t made = yoi_sdk_mem_fail_at(0);
  for (uint64_t i = 1; i <= made; i++) {
    (void)yoi_sdk_mem_fail_at(i);
    assert_int_equal(yoi_sdk_scrub_new(&v, 1, &s), YOI_RESOURCE_EXHAUSTED);
    assert_null(s);
  }
  (void)yoi_sdk_mem_fail_at(0);
  s = make("key", "abcdefghijkl");
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 65536);
  char text[512];
  memset(text, 'x', sizeof text);
  yoi_sdk_scrub_add(s, &h, YOI_LIT("abcd"), &out);
  (void)yoi_sdk_mem_fail_at(1);
  yoi_sdk_scrub_add(s, &h, (yoi_str){text, sizeof text}, &out);
  assert_int_equal(out.failed, YOI_RESOURCE_EXHAUSTED);
  (void)yoi_sdk_mem_fail_at(0);
  yoi_sdk_buf_release(&out);
  yoi_sdk_scrub_free(s);
}

static void test_the_longest_value_byte_by_byte(void **state) {
  static char value[YOI_SECRET_BYTES_MAX + 1];
  (void)state;
  for (size_t i = 0; i < YOI_SECRET_BYTES_MAX; i++) value[i] = (char)('a' + i * i % 23);
  struct yoi_sdk_scrub *s = make("key", value);
  struct yoi_sdk_scrub_hold h = {0, 0, 0};
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 65536);
  for (size_t i = 0; i < YOI_SECRET_BYTES_MAX; i++) {
    assert_int_equal(out.len, 0);
    yoi_sdk_scrub_add(s, &h, (yoi_str){value + i, 1}, &out);
  }
  said(&out, "[secret key]");
  yoi_sdk_buf_release(&out);
  yoi_sdk_scrub_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_value_is_found_as_it_is),
      cmocka_unit_test(test_short_values_and_white_space),
      cmocka_unit_test(test_escapes_of_json_are_found_in_text),
      cmocka_unit_test(test_percent_and_base64_are_found),
      cmocka_unit_test(test_of_two_the_longest_and_the_leftmost),
      cmocka_unit_test(test_a_text_that_was_cut),
      cmocka_unit_test(test_json_stays_json),
      cmocka_unit_test(test_only_what_may_go_on_is_held),
      cmocka_unit_test(test_what_was_flushed_is_remembered),
      cmocka_unit_test(test_any_values_in_any_text_cut_anywhere),
      cmocka_unit_test(test_any_escapes_at_any_level),
      cmocka_unit_test(test_short_memory_is_told),
      cmocka_unit_test(test_the_longest_value_byte_by_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
