/* test_retry.c - when to ask a server again, and after how long: the rules of
 * sdk/retry.h row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sdk/retry.h>
#include <sdk/str.h>

static void test_header_decides_before_status(void **state) {
  (void)state;
  assert_true(yoi_sdk_retry_wanted(400, YOI_LIT("true")));
  assert_false(yoi_sdk_retry_wanted(503, YOI_LIT("False")));
  assert_true(yoi_sdk_retry_wanted(503, YOI_LIT("maybe")));
  static const uint32_t yes[] = {408, 409, 429, 500, 502, 503, 529, 599};
  static const uint32_t no[] = {200, 301, 400, 401, 403, 404, 413, 422, 499, 600};
  for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
    assert_true(yoi_sdk_retry_wanted(yes[i], (yoi_str){0}));
  for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
    assert_false(yoi_sdk_retry_wanted(no[i], (yoi_str){0}));
}

static void test_retry_after(void **state) {
  (void)state;
  static const uint64_t now = 784111777000000000u; /* 1994-11-06 08:49:37 */
  static const struct {
    const char *ms, *s;
    int ok;
    uint64_t want;
  } rows[] = {
      {"1500", "9", 1, 1500},
      {"10.2", "", 1, 11},
      {"", "2", 1, 2000},
      {"", "0", 1, 0},
      {"", "0.25", 1, 250},
      {"", "1.0001", 1, 1001},
      {"x", "3", 1, 3000},
      {"", "Sun, 06 Nov 1994 08:49:40 GMT", 1, 3000},
      {"", "Sunday, 06-Nov-94 08:49:40 GMT", 1, 3000},
      {"", "Sun Nov  6 08:49:40 1994", 1, 3000},
      {"", "Sun, 06 Nov 1994 08:49:30 GMT", 1, 0},
      {"", "Sun, 06 Nov 2094 08:49:30 GMT", 1, 31536000000u},
      {"", "99999999999999999999999", 1, 31536000000u},
      {"", "", 0, 0},
      {"", "-1", 0, 0},
      {"", "+1", 0, 0},
      {"", "1.", 0, 0},
      {"", ".5", 0, 0},
      {"", "1e3", 0, 0},
      {"", " 1", 0, 0},
      {"", "soon", 0, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint64_t ms = 77;
    int ok = yoi_sdk_retry_after(yoi_sdk_str(rows[i].ms), yoi_sdk_str(rows[i].s), now, &ms);
    assert_int_equal(ok, rows[i].ok);
    assert_int_equal(ms, rows[i].ok ? rows[i].want : 77);
  }
}

static void test_http_date(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint64_t want; /* 0 = refused, except the first row */
  } rows[] = {
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
      {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
      {"Sun Nov 16 08:49:37 1994", 784975777},
      {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
      {"Tue, 01 Jan 2069 00:00:00 GMT", 3124224000},
      {"Tuesday, 01-Jan-69 00:00:00 GMT", 3124224000},
      {"Thursday, 01-Jan-70 00:00:01 GMT", 1},
      {"Fri, 29 Feb 2023 12:00:00 GMT", UINT64_MAX},
      {"Fri, 31 Apr 2023 12:00:00 GMT", UINT64_MAX},
      {"Fri, 00 Apr 2023 12:00:00 GMT", UINT64_MAX},
      {"Fri, 01 Foo 2023 12:00:00 GMT", UINT64_MAX},
      {"Fri, 01 Apr 2023 24:00:00 GMT", UINT64_MAX},
      {"Fri, 01 Apr 2023 12:60:00 GMT", UINT64_MAX},
      {"Fri, 01 Apr 1969 12:00:00 GMT", UINT64_MAX},
      {"Fri, 01 Apr 2023 12:00:00 CET", UINT64_MAX},
      {"Fri, 1 Apr 2023 12:00:00 GMT", UINT64_MAX},
      {" Fri, 01 Apr 2023 12:00:00 GMT", UINT64_MAX},
      {"Fri, 01 Apr 2023 12:00:00 GMT ", UINT64_MAX},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint64_t at = 0;
    int ok = yoi_sdk_http_date(yoi_sdk_str(rows[i].text), &at);
    assert_int_equal(ok, rows[i].want != UINT64_MAX);
    if (ok) assert_int_equal(at, rows[i].want);
  }
}

static void test_waits_are_bounded_and_spread(void **state) {
  (void)state;
  static const uint64_t want[] = {500, 1000, 2000, 4000, 8000, 8000, 8000};
  for (uint32_t i = 0; i < 7; i++) {
    assert_int_equal(yoi_sdk_retry_backoff(i, 500, 8000, 0), want[i]);
    uint64_t low = yoi_sdk_retry_backoff(i, 500, 8000, UINT32_MAX);
    assert_true(low >= want[i] * 3 / 4 && low < want[i]);
  }
  assert_int_equal(yoi_sdk_retry_backoff(UINT32_MAX, 1, UINT64_MAX / 4, 0), UINT64_MAX / 4);
  assert_int_equal(yoi_sdk_retry_spread(1000, 1000, 0), 1000);
  assert_true(yoi_sdk_retry_spread(1000, 1000, UINT32_MAX) > 1200);
  assert_true(yoi_sdk_retry_spread(1000, 1000, UINT32_MAX) <= 1250);
  assert_true(yoi_sdk_retry_spread(60000, 1000, UINT32_MAX) <= 61000);
  assert_int_equal(yoi_sdk_retry_spread(0, 1000, UINT32_MAX), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_header_decides_before_status),
      cmocka_unit_test(test_retry_after),
      cmocka_unit_test(test_http_date),
      cmocka_unit_test(test_waits_are_bounded_and_spread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
