/* test_zone.c - files of time zones: by the table, by the rule behind it, cut
 * at each byte and with each byte changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/id.h>
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plugins/tool-time/zone.h"

/* A file with one turn, at 1,000,000,000, to type 1, and a rule. */
static yoi_str file(const char *rule) {
  static char b[512]; /* process-wide: a test has one thread */
  static const unsigned char counts1[24] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                            0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4};
  static const unsigned char counts2[24] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                            0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4};
  static const unsigned char body[8 + 1 + 12 + 4] = {
      0,    0,    0,    0,    0x3b, 0x9a, 0xca, 0, /* the time */
      1,                                           /* its type */
      0,    0,    0x0e, 0x10, 0,    0,             /* 3,600 */
      0xff, 0xff, 0xf1, 0xf0, 0,    0,             /* -3,600 */
      'A',  'B',  'C',  0};
  size_t n = 0;
  memset(b, 0, sizeof b);
  memcpy(b, "TZif2", 5);
  memcpy(b + 20, counts1, 24);
  n = 44 + 6 + 4;
  memcpy(b + n, "TZif2", 5);
  memcpy(b + n + 20, counts2, 24);
  memcpy(b + n + 44, body, sizeof body);
  n += 44 + sizeof body;
  n += (size_t)snprintf(b + n, sizeof b - n, "\n%s\n", rule);
  return (yoi_str){b, n};
}

static int64_t at(const char *time) {
  uint64_t ns = 0;
  assert_true(yoi_sdk_time_parse(yoi_sdk_str(time), &ns));
  return (int64_t)(ns / 1000000000u);
}

static void the_table_counts_where_there_is_one(void **state) {
  int32_t s = 0;
  (void)state;
  assert_true(zone_of_file(file("ABC-3"), 999999999, &s));
  assert_int_equal(s, 3600);
  assert_true(zone_of_file(file(""), 1000000000, &s));
  assert_int_equal(s, -3600);
  assert_true(zone_of_file(file("ABC-3"), 1000000000, &s));
  assert_int_equal(s, 3 * 3600);
}

static void the_rule_counts_behind_it(void **state) {
  static const struct {
    const char *rule, *time;
    int32_t s;
  } rows[] = {
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T00:59:59.000Z", 3600},
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T01:00:00.000Z", 7200},
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T00:59:59.000Z", 7200},
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T01:00:00.000Z", 3600},
      {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T06:59:59.000Z", -18000},
      {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T07:00:00.000Z", -14400},
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01T00:00:00.000Z", 39600},
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-07-01T00:00:00.000Z", 36000},
      {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-01-01T00:00:00.000Z", 39600},
      {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59.000Z", -7200},
      {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00.000Z", -3600},
      {"ABC3DEF,J60/0,J300/0", "2028-03-01T02:59:59.000Z", -10800},
      {"ABC3DEF,J60/0,J300/0", "2028-03-01T03:00:00.000Z", -7200},
      {"ABC3DEF,59/0,J300/0", "2028-02-29T03:00:00.000Z", -7200},
      {"ABC3", "2026-12-31T23:59:59.000Z", -10800},
      {"ABC-0:15:30", "2026-12-31T23:59:59.000Z", 930},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int32_t s = 0;
    if (!zone_of_file(file(rows[i].rule), at(rows[i].time), &s) || s != rows[i].s)
      fail_msg("%s at %s: %d", rows[i].rule, rows[i].time, s);
  }
}

static void a_damaged_rule_is_no_rule(void **state) {
  static const char *const rules[] = {
      "X3",          "ABC",           "ABC25",           "ABC3DEF",         "ABC3DEF,M3.5.0",
      "ABC3DEF,M13.5.0,J1", "ABC3DEF,M3.6.0,J1", "ABC3DEF,M3.5.7,J1", "ABC3DEF,J0,J1",
      "ABC3DEF,J366,J1",    "ABC3DEF,J1/168,J2", "ABC3DEF,J1,J2x",    "<+3",
      "ABC3:60",     "ABC3DEF,,",     "ABC99999999999"};
  (void)state;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    int32_t s = 0;
    if (zone_of_file(file(rules[i]), 1700000000, &s)) fail_msg("%s", rules[i]);
  }
}

static void damaged_files_are_not_read_past_their_end(void **state) {
  yoi_str whole = file("CET-1CEST,M3.5.0,M10.5.0/3");
  int32_t s = 0;
  (void)state;
  for (size_t n = 0; n < whole.len; n++) {
    char *cut = malloc(n + 1); /* of just that size, for the sanitizer */
    memcpy(cut, whole.ptr, n);
    cut = realloc(cut, n ? n : 1);
    (void)zone_of_file((yoi_str){cut, n}, 1700000000, &s);
    if (n < 120) assert_false(zone_of_file((yoi_str){cut, n}, 1700000000, &s));
    free(cut);
  }
  for (size_t i = 0; i < whole.len; i++) {
    for (int v = 0; v < 256; v += 5) {
      char *bent = malloc(whole.len);
      memcpy(bent, whole.ptr, whole.len);
      bent[i] = (char)v;
      (void)zone_of_file((yoi_str){bent, whole.len}, 1700000000, &s);
      (void)zone_of_file((yoi_str){bent, whole.len}, INT64_MAX / 2000000000, &s);
      free(bent);
    }
  }
}

/* Against what the C library makes of the same files, through twelve years. */
static void the_systems_zones_are_what_the_c_library_says(void **state) {
  static const char *const zones[] = {"Europe/Berlin",    "America/New_York", "Australia/Lord_Howe",
                                      "America/Sao_Paulo", "Asia/Kolkata",     "Africa/Casablanca",
                                      "America/Nuuk",      "Pacific/Chatham",  "Etc/GMT+5"};
  (void)state;
  for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
    char path[128];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", zones[i]);
    if (access(path, R_OK) != 0) skip();
    assert_int_equal(setenv("TZ", zones[i], 1), 0);
    tzset();
    for (time_t t = 1700000000; t < 1700000000 + 12 * 31557600; t += 5 * 3600 + 7) {
      struct tm tm;
      int32_t s = 0;
      assert_non_null(localtime_r(&t, &tm));
      assert_int_equal(zone_offset(yoi_sdk_str(zones[i]), t, &s, NULL), YOI_OK);
      if (s != tm.tm_gmtoff) fail_msg("%s at %ld: %d, not %ld", zones[i], t, s, tm.tm_gmtoff);
    }
  }
  unsetenv("TZ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_table_counts_where_there_is_one),
      cmocka_unit_test(the_rule_counts_behind_it),
      cmocka_unit_test(a_damaged_rule_is_no_rule),
      cmocka_unit_test(damaged_files_are_not_read_past_their_end),
      cmocka_unit_test(the_systems_zones_are_what_the_c_library_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
