/* Identifiers by grammar, digests against known vectors, UUIDs, secrets,
 * times (sdk/id.h). */
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

/* ---- grammars --------------------------------------------------------- */

/* Which of the 256 bytes are taken at place `at` of `text`? */
static void takes(int (*valid)(yoi_str s), const char *text, size_t at, const char *set) {
  char copy[64];
  size_t n = strlen(text);
  for (int c = 0; c < 256; c++) {
    memcpy(copy, text, n);
    copy[at] = (char)c;
    int expected = c != 0 && strchr(set, c) != NULL;
    if (valid((yoi_str){copy, n}) != expected) fail_msg("byte %d at %zu of %s", c, at, text);
  }
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static int any_token(yoi_str s) {
  return yoi_sdk_token_valid(s, 64);
}

static void each_grammar_takes_what_it_lists(void **state) {
  (void)state;
  takes(yoi_sdk_id_valid, "abc", 0, LOWER DIGITS);
  takes(yoi_sdk_id_valid, "abc", 1, LOWER DIGITS "._-");
  takes(yoi_sdk_id_valid, "abc", 2, LOWER DIGITS "._-");
  takes(yoi_sdk_name_valid, "abc", 0, LOWER UPPER DIGITS "._-");
  takes(yoi_sdk_name_valid, "abc", 2, LOWER UPPER DIGITS "._-");
  takes(yoi_sdk_plugin_id_valid, "dev.yoi", 0, LOWER DIGITS);
  takes(yoi_sdk_plugin_id_valid, "dev.yoi", 1, LOWER DIGITS "-.");
  takes(yoi_sdk_plugin_id_valid, "dev.yoi", 3, ".");
  takes(yoi_sdk_plugin_id_valid, "dev.yoi", 4, LOWER DIGITS);
  takes(yoi_sdk_plugin_id_valid, "dev.yoi", 6, LOWER DIGITS);
  takes(any_token, "abc", 1, LOWER UPPER DIGITS "!#$%&'*+-.^_`|~/:=");
}

static void lengths(void **state) {
  (void)state;
  char text[300];
  memset(text, 'a', sizeof text);
  assert_false(yoi_sdk_id_valid((yoi_str){NULL, 0}));
  assert_true(yoi_sdk_id_valid((yoi_str){text, YOI_ID_MAX}));
  assert_false(yoi_sdk_id_valid((yoi_str){text, YOI_ID_MAX + 1}));
  assert_false(yoi_sdk_name_valid((yoi_str){NULL, 0}));
  assert_true(yoi_sdk_name_valid((yoi_str){text, YOI_NAME_MAX}));
  assert_false(yoi_sdk_name_valid((yoi_str){text, YOI_NAME_MAX + 1}));
  assert_false(yoi_sdk_token_valid((yoi_str){NULL, 0}, 10));
  assert_true(yoi_sdk_token_valid((yoi_str){text, 10}, 10));
  assert_false(yoi_sdk_token_valid((yoi_str){text, 11}, 10));
  text[1] = '.';
  assert_false(yoi_sdk_plugin_id_valid((yoi_str){NULL, 0}));
  assert_true(yoi_sdk_plugin_id_valid((yoi_str){text, YOI_PLUGIN_ID_MAX}));
  assert_false(yoi_sdk_plugin_id_valid((yoi_str){text, YOI_PLUGIN_ID_MAX + 1}));
}

static void plugin_ids_have_two_labels(void **state) {
  (void)state;
  static const char *const bad[] = {"dev",  "dev.", ".dev", "dev..yoi", "dev.yoi.", "-a.b",
                                    "a-.b", "a.-b", "a.b-", "dev.Yoi",  "dev yoi",  "a_b.c"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(yoi_sdk_plugin_id_valid(yoi_sdk_str(bad[i])));
  assert_true(yoi_sdk_plugin_id_valid(YOI_LIT("a.b")));
  assert_true(yoi_sdk_plugin_id_valid(YOI_LIT("dev.yoi.model-openai")));
}

static void traceparents(void **state) {
  (void)state;
#define ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"
  static const char *const good[] = {"00-" ID "-" SPAN "-00", "00-" ID "-" SPAN "-ff",
                                     "01-" ID "-" SPAN "-01", "01-" ID "-" SPAN "-01-more",
                                     "fe-" ID "-" SPAN "-01-"};
  static const char *const bad[] = {
      "",
      "00-" ID "-" SPAN,
      "00-" ID "-" SPAN "-0",
      "00-" ID "-" SPAN "-01-more", /* version 00 has no more */
      "01-" ID "-" SPAN "-01more",
      "ff-" ID "-" SPAN "-01",
      "0F-" ID "-" SPAN "-01",
      "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
      "00-00000000000000000000000000000000-" SPAN "-01",
      "00-" ID "-0000000000000000-01",
      "00-" ID "-" SPAN "-0g",
      "00_" ID "-" SPAN "-01",
      "00-" ID "_" SPAN "-01",
      "00-" ID "-" SPAN "_01",
      " 0-" ID "-" SPAN "-01",
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    assert_true(yoi_sdk_traceparent_valid(yoi_sdk_str(good[i])));
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(yoi_sdk_traceparent_valid(yoi_sdk_str(bad[i])));
  char text[YOI_TRACE_MAX + 1];
  memset(text, 'a', sizeof text);
  memcpy(text, "01-" ID "-" SPAN "-01-", 56);
  assert_true(yoi_sdk_traceparent_valid((yoi_str){text, YOI_TRACE_MAX}));
  assert_false(yoi_sdk_traceparent_valid((yoi_str){text, YOI_TRACE_MAX + 1}));
}

static void hex_is_lower_case_only(void **state) {
  (void)state;
  const uint8_t bytes[] = {0x00, 0x1f, 0xa0, 0xff};
  char text[9] = "";
  uint8_t back[4] = {9, 9, 9, 9};
  yoi_sdk_hex(bytes, 4, text);
  assert_string_equal(text, "001fa0ff");
  assert_int_equal(yoi_sdk_unhex(YOI_LIT("001fa0ff"), back, 4), 1);
  assert_memory_equal(back, bytes, 4);
  assert_int_equal(yoi_sdk_unhex(YOI_LIT("001FA0FF"), back, 4), 0);
  assert_int_equal(yoi_sdk_unhex(YOI_LIT("001fa0f"), back, 4), 0);
  assert_int_equal(yoi_sdk_unhex(YOI_LIT("001fa0ff0"), back, 4), 0);
  assert_int_equal(yoi_sdk_unhex(YOI_LIT("001fa0ff00"), back, 4), 0);
  assert_int_equal(yoi_sdk_unhex(YOI_LIT("0x1fa0ff"), back, 4), 0);
  assert_int_equal(yoi_sdk_unhex((yoi_str){NULL, 0}, back, 0), 1);
}

/* ---- digests ---------------------------------------------------------- */

static void hashes_to(const void *p, size_t n, const char *expected) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char text[YOI_SDK_DIGEST_SIZE];
  assert_int_equal(yoi_sdk_sha256(p, n, sha), 1);
  yoi_sdk_digest_text(sha, text);
  assert_string_equal(text, expected);
  for (size_t step = 1; step < 70; step += 23) {
    struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
    assert_non_null(h);
    for (size_t i = 0; i < n; i += step)
      yoi_sdk_sha256_add(h, (const char *)p + i, n - i < step ? n - i : step);
    assert_int_equal(yoi_sdk_sha256_final(h, sha), 1);
    yoi_sdk_digest_text(sha, text);
    assert_string_equal(text, expected);
  }
}

/* FIPS 180-4's examples. */
static void sha256_known_vectors(void **state) {
  (void)state;
  hashes_to(NULL, 0, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  hashes_to("abc", 3, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  hashes_to("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
            "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  char *million = yoi_sdk_malloc(1000000);
  memset(million, 'a', 1000000);
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char text[YOI_SDK_DIGEST_SIZE];
  assert_int_equal(yoi_sdk_sha256(million, 1000000, sha), 1);
  yoi_sdk_digest_text(sha, text);
  assert_string_equal(text,
                      "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  yoi_sdk_free(million);
}

static void fields_of(const char *a, const char *b, uint8_t out[YOI_SDK_SHA256_SIZE]) {
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  yoi_sdk_sha256_field(h, yoi_sdk_str(a));
  yoi_sdk_sha256_field(h, yoi_sdk_str(b));
  assert_int_equal(yoi_sdk_sha256_final(h, out), 1);
}

static void a_digest_over_fields_is_injective(void **state) {
  (void)state;
  uint8_t a[YOI_SDK_SHA256_SIZE], b[YOI_SDK_SHA256_SIZE];
  fields_of("ab", "c", a);
  fields_of("a", "bc", b);
  assert_memory_not_equal(a, b, sizeof a);
  fields_of("abc", "", b);
  assert_memory_not_equal(a, b, sizeof a);
  fields_of("ab", "c", b);
  assert_memory_equal(a, b, sizeof a);
}

static void short_memory_gives_no_hash(void **state) {
  (void)state;
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  (void)yoi_sdk_mem_fail_at(1);
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  (void)yoi_sdk_mem_fail_at(0);
  assert_null(h);
  yoi_sdk_sha256_add(h, "x", 1);
  yoi_sdk_sha256_field(h, YOI_LIT("x"));
  assert_int_equal(yoi_sdk_sha256_final(h, sha), 0);
}

static void secrets(void **state) {
  (void)state;
  yoi_str none = {NULL, 0};
  assert_true(yoi_sdk_secret_eq(YOI_LIT("abc"), YOI_LIT("abc")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT("abc"), YOI_LIT("abd")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT("abc"), YOI_LIT("ab")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT("abc"), YOI_LIT("abcd")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT("abc"), none));
  assert_false(yoi_sdk_secret_eq(none, YOI_LIT("abc")));
  assert_false(yoi_sdk_secret_eq(none, none)); /* no secret lets nobody in */
  assert_true(yoi_sdk_secret_eq(YOI_LIT("a\0b"), YOI_LIT("a\0b")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT("a\0b"), YOI_LIT("a\0c")));
}

/* ---- random, UUIDs, times --------------------------------------------- */

static void random_bytes_differ(void **state) {
  (void)state;
  uint8_t a[1000] = {0}, b[1000] = {0};
  assert_int_equal(yoi_sdk_random(a, sizeof a), 1);
  assert_int_equal(yoi_sdk_random(b, sizeof b), 1);
  assert_memory_not_equal(a, b, sizeof a);
  assert_int_equal(yoi_sdk_random(a, 0), 1);
}

static void uuids_have_the_layout_of_version_7(void **state) {
  (void)state;
  char u[YOI_SDK_UUID_SIZE];
  /* The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z. */
  assert_int_equal(yoi_sdk_uuid7(1645557742000000000u, u), 1);
  assert_int_equal(strncmp(u, "017f22e2-79b0-7", 15), 0);
  assert_int_equal(strlen(u), 36);
  assert_true(strchr("89ab", u[19]) != NULL);
  for (size_t i = 0; i < 36; i++) {
    int dash = i == 8 || i == 13 || i == 18 || i == 23;
    assert_true(dash ? u[i] == '-' : strchr("0123456789abcdef", u[i]) != NULL);
  }
  assert_true(yoi_sdk_id_valid(yoi_sdk_str(u)));
}

static void uuids_increase_when_the_clock_does_not(void **state) {
  (void)state;
  char last[YOI_SDK_UUID_SIZE] = "", now[YOI_SDK_UUID_SIZE];
  for (int i = 0; i < 10000; i++) {
    assert_int_equal(yoi_sdk_uuid7(1700000000000000000u - (uint64_t)i * 1000000, now), 1);
    assert_true(strcmp(last, now) < 0);
    memcpy(last, now, sizeof now);
  }
}

#define THREADS 4
#define EACH 2000

static void *make_uuids(void *out) {
  char(*u)[YOI_SDK_UUID_SIZE] = out;
  for (int i = 0; i < EACH; i++) (void)yoi_sdk_uuid7(1800000000000000000u, u[i]);
  return NULL;
}

static int compare(const void *a, const void *b) {
  return strcmp(a, b);
}

static void uuids_increase_per_thread_and_never_repeat(void **state) {
  (void)state;
  char(*u)[YOI_SDK_UUID_SIZE] = yoi_sdk_calloc(THREADS * EACH, sizeof *u);
  pthread_t t[THREADS];
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&t[i], NULL, make_uuids, u + i * EACH), 0);
  for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
  for (int i = 0; i < THREADS; i++)
    for (int k = 1; k < EACH; k++) assert_true(strcmp(u[i * EACH + k - 1], u[i * EACH + k]) < 0);
  qsort(u, THREADS * EACH, sizeof *u, compare);
  for (int i = 1; i < THREADS * EACH; i++) assert_true(strcmp(u[i - 1], u[i]) < 0);
  yoi_sdk_free(u);
}

static void times(void **state) {
  (void)state;
  static const struct {
    uint64_t ns;
    const char *text;
  } rows[] = {
      {0, "1970-01-01T00:00:00.000Z"},
      {951782399999000000u, "2000-02-28T23:59:59.999Z"},
      {951825600000000000u, "2000-02-29T12:00:00.000Z"},
      {1709164800123456789u, "2024-02-29T00:00:00.123Z"},
      {1735689599999999999u, "2024-12-31T23:59:59.999Z"},
      {4107542400000000000u, "2100-03-01T00:00:00.000Z"}, /* no leap year */
      {UINT64_MAX, "2554-07-21T23:34:33.709Z"},
  };
  char t[YOI_SDK_TIME_SIZE];
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    yoi_sdk_time_text(rows[i].ns, t);
    assert_string_equal(t, rows[i].text);
  }
}

static void only_times_of_that_form_are_parsed(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "2026-02-29T00:00:00.000Z",
      "2026-13-01T00:00:00.000Z",
      "2026-00-01T00:00:00.000Z",
      "2026-01-00T00:00:00.000Z",
      "2026-01-32T00:00:00.000Z",
      "2026-01-01T24:00:00.000Z",
      "2026-01-01T00:60:00.000Z",
      "2026-01-01T00:00:60.000Z",
      "2026-01-01T00:00:00.00Z",
      "2026-01-01T00:00:00.0000Z",
      "2026-01-01 00:00:00.000Z",
      "2026-01-01T00:00:00.000z",
      "2026-01-01T00:00:00,000Z",
      "+026-01-01T00:00:00.000Z",
      "1969-12-31T23:59:59.999Z",
      "2554-01-01T00:00:00.000Z",
  };
  uint64_t ns = 7;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    if (yoi_sdk_time_parse(yoi_sdk_str(bad[i]), &ns) || ns != 7) fail_msg("'%s'", bad[i]);
  assert_true(yoi_sdk_time_parse(YOI_LIT("2024-12-31T23:59:59.999Z"), &ns));
  assert_true(ns == 1735689599999000000u);
}

/* Each day from 1970 to 2553 follows from the one before. */
static void the_calendar_has_no_gap(void **state) {
  (void)state;
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int y = 1970, m = 1, d = 1;
  for (uint64_t day = 0; y < 2554; day++) {
    char t[YOI_SDK_TIME_SIZE], expected[64];
    yoi_sdk_time_text(day * 86400 * 1000000000u, t);
    (void)snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00.000Z", y, m, d);
    assert_string_equal(t, expected);
    uint64_t back = 0;
    assert_true(yoi_sdk_time_parse(yoi_sdk_str(t), &back) && back == day * 86400 * 1000000000u);
    int leap = m == 2 && (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    if (++d > days[m - 1] + leap) d = 1, m++;
    if (m > 12) m = 1, y++;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_grammar_takes_what_it_lists),
      cmocka_unit_test(lengths),
      cmocka_unit_test(plugin_ids_have_two_labels),
      cmocka_unit_test(traceparents),
      cmocka_unit_test(hex_is_lower_case_only),
      cmocka_unit_test(sha256_known_vectors),
      cmocka_unit_test(a_digest_over_fields_is_injective),
      cmocka_unit_test(short_memory_gives_no_hash),
      cmocka_unit_test(secrets),
      cmocka_unit_test(random_bytes_differ),
      cmocka_unit_test(uuids_have_the_layout_of_version_7),
      cmocka_unit_test(uuids_increase_when_the_clock_does_not),
      cmocka_unit_test(uuids_increase_per_thread_and_never_repeat),
      cmocka_unit_test(times),
      cmocka_unit_test(the_calendar_has_no_gap),
      cmocka_unit_test(only_times_of_that_form_are_parsed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
