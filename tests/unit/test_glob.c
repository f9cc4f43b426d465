/* test_glob.c - patterns with stars, against a plain definition that may take
 * for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/glob.h>
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>

static int fits(const char *pattern, const char *text) {
  return yoi_sdk_glob(yoi_sdk_str(pattern), yoi_sdk_str(text));
}

static void patterns_mean_what_they_say(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *text;
    int fits;
  } rows[] = {
      {"", "", 1},          {"", "a", 0},          {"a", "", 0},         {"*", "", 1},
      {"*", "a.b", 1},      {"**", "a", 1},        {"?", "", 0},         {"?", "a", 1},
      {"?", "ab", 0},       {"?", "\xc3\xa4", 1}, {"??", "\xc3\xa4", 0},
      {"a?c", "a\xe2\x98\x83" "c", 1},
      {"worker.*", "worker.stop", 1}, {"worker.*", "worker.", 1}, {"worker.*", "worker", 0},
      {"*.stop", "worker.stop", 1},   {"*.stop", "worker.stops", 0},
      {"a*b*c", "abc", 1},  {"a*b*c", "aXbYbZc", 1}, {"a*b*c", "acb", 0}, {"*a*a*a", "aa", 0},
      {"*?", "", 0},        {"*?", "x", 1},        {"?*?", "x", 0},      {"[a]", "a", 0},
      {"[a]", "[a]", 1},    {"a\\*", "a*", 0},     {"a\\*", "a\\b", 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (fits(rows[i].pattern, rows[i].text) != rows[i].fits)
      fail_msg("'%s' on '%s'", rows[i].pattern, rows[i].text);
}

/* The plain definition, which may take for ever. */
static int slow(const char *p, const char *t) {
  if (*p == '\0') return *t == '\0';
  if (*p == '*') return slow(p + 1, t) || (*t != '\0' && slow(p, t + 1));
  return *t != '\0' && (*p == '?' || *p == *t) && slow(p + 1, t + 1);
}

static void it_agrees_with_the_definition(void **state) {
  (void)state;
  srand(1);
  for (int round = 0; round < 20000; round++) {
    char p[9] = "", t[13] = "";
    size_t n = (size_t)rand() % 8, m = (size_t)rand() % 12;
    for (size_t i = 0; i < n; i++) p[i] = "ab*?"[rand() % 4];
    for (size_t i = 0; i < m; i++) t[i] = "ab"[rand() % 2];
    if (fits(p, t) != slow(p, t)) fail_msg("'%s' on '%s'", p, t);
  }
}

/* Exponential for whoever tries every star. */
static void many_stars_take_no_time(void **state) {
  (void)state;
  char p[129], t[4097];
  for (size_t i = 0; i < 128; i++) p[i] = i % 2 == 0 ? '*' : 'a';
  p[127] = 'b';
  p[128] = '\0';
  memset(t, 'a', 4096);
  t[4096] = '\0';
  assert_false(fits(p, t));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_mean_what_they_say),
      cmocka_unit_test(it_agrees_with_the_definition),
      cmocka_unit_test(many_stars_take_no_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
