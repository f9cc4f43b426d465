/* test_glob.c - patterns with stars, against a plain definition that may take
 * for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/glob.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>

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

/* ---- paths ---- */

static int path_fits(const char *pattern, const char *path) {
  return yoi_sdk_glob_path(yoi_sdk_str(pattern), yoi_sdk_str(path));
}

static void paths_have_folders(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *path;
    int fits;
  } rows[] = {
      {"", "", 1},           {"", "a", 0},           {"*", "a", 1},         {"*", "a/b", 0},
      {"*.c", "a.c", 1},     {"*.c", "d/a.c", 0},    {"**/*.c", "a.c", 1},  {"**/*.c", "d/a.c", 1},
      {"**/*.c", "d/e/a.c", 1}, {"**/*.c", "d/e/a.h", 0}, {"a/**/b", "a/b", 1},
      {"a/**/b", "a/x/b", 1},   {"a/**/b", "a/x/y/b", 1}, {"a/**/b", "a/x/y/c", 0},
      {"a/**", "a/x", 1},    {"a/**", "a/x/y", 1},   {"a/**", "b/x", 0},    {"**", "a/b/c", 1},
      {"a**b", "axb", 1},    {"a**b", "a/b", 0},     {"a?b", "a/b", 0},
      {"a/?", "a/\xc3\xa4", 1},
      {"[a-c].h", "b.h", 1}, {"[a-c].h", "d.h", 0},  {"[!a-c].h", "d.h", 1}, {"[^a-c].h", "a.h", 0},
      {"[]]", "]", 1},       {"[!]]", "]", 0},       {"[a-]", "-", 1},      {"[a", "[a", 1},
      {"a[/]b", "a/b", 0},   {"[\xc3\xa4-\xc3\xbc]", "\xc3\xb6", 1}, {"[a]", "\xc3\xa4", 0},
      {"**/a/**/b/*", "x/a/y/b/z", 1}, {"**/a/**/b/*", "x/a/y/b", 0},
      {"\xff*", "\xff\xfe", 1}, {"a//b", "a//b", 1}, {"a/", "a/", 1}, {"a/", "a", 0},
      {"*[0-9].log", "x12.log", 1}, {"*[0-9].log", "x12a.log", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (path_fits(rows[i].pattern, rows[i].path) != rows[i].fits)
      fail_msg("'%s' on '%s'", rows[i].pattern, rows[i].path);
}

/* The plain definition, by components. */
static int slow_path(char **p, size_t n, char **t, size_t m) {
  if (n == 0) return m == 0;
  if (strcmp(p[0], "**") == 0)
    return slow_path(p + 1, n - 1, t, m) || (m > 0 && slow_path(p, n, t + 1, m - 1));
  return m > 0 && slow(p[0], t[0]) && slow_path(p + 1, n - 1, t + 1, m - 1);
}

static size_t split(char *s, char *parts[16]) {
  size_t n = 0;
  for (char *slash = s; slash; s = slash + 1) {
    slash = strchr(s, '/');
    if (slash) *slash = 0;
    parts[n++] = s;
    if (!slash) break;
  }
  return n;
}

static void paths_agree_with_the_definition(void **state) {
  int fit = 0;
  (void)state;
  srand(2);
  for (int round = 0; round < 200000; round++) {
    char p[12] = "", t[13] = "", *q = p;
    size_t n = (size_t)rand() % 4, m = 1 + (size_t)rand() % 10;
    for (size_t i = 0; i < n; i++) {
      static const char *const parts[] = {"**/", "a", "*", "?", "b/", "/", "*b"};
      const char *part = parts[rand() % 7];
      memcpy(q, part, strlen(part));
      q += strlen(part);
    }
    *q = '\0';
    for (size_t i = 0; i < m; i++) t[i] = "ab/"[rand() % 3];
    char *ps[16], *ts[16], p2[12], t2[13];
    memcpy(p2, p, sizeof p2);
    memcpy(t2, t, sizeof t2);
    n = split(p2, ps);
    m = split(t2, ts);
    fit += path_fits(p, t);
    if (path_fits(p, t) != slow_path(ps, n, ts, m)) fail_msg("'%s' on '%s'", p, t);
  }
  assert_true(fit > 1000);
}

/* Exponential for whoever tries every double star. */
static void many_double_stars_take_no_time(void **state) {
  char p[YOI_GLOB_BYTES_MAX + 1] = "", t[8192];
  size_t n = 0;
  (void)state;
  for (; n + 5 < sizeof p; n += 5) memcpy(p + n, "**/a/", 5);
  for (size_t i = 0; i < sizeof t; i++) t[i] = "a/"[i % 2];
  assert_int_equal(yoi_sdk_glob_path((yoi_str){p, n - 1}, (yoi_str){t, sizeof t - 1}), 1);
  p[n - 2] = 'b';
  assert_int_equal(yoi_sdk_glob_path((yoi_str){p, n - 1}, (yoi_str){t, sizeof t - 1}), 0);
}

static int globs_fit(const char *pattern, const char *path) {
  const char *why = NULL;
  struct yoi_sdk_globs *g = yoi_sdk_globs_new(yoi_sdk_str(pattern), &why);
  if (!g) fail_msg("'%s': %s", pattern, why);
  int fits = yoi_sdk_globs_fit(g, yoi_sdk_str(path));
  yoi_sdk_globs_free(g);
  return fits;
}

static void choices_are_written_out(void **state) {
  (void)state;
  assert_true(globs_fit("src/**/*.{c,h}", "src/a/b.h"));
  assert_true(globs_fit("src/**/*.{c,h}", "src/b.c"));
  assert_false(globs_fit("src/**/*.{c,h}", "src/b.o"));
  assert_true(globs_fit("{a,b{c,d{e,}}}x", "bdex"));
  assert_true(globs_fit("{a,b{c,d{e,}}}x", "bdx"));
  assert_true(globs_fit("{a,b{c,d{e,}}}x", "bcx"));
  assert_false(globs_fit("{a,b{c,d{e,}}}x", "bx"));
  assert_true(globs_fit("{,a}{,b}c", "c"));
  assert_true(globs_fit("{,a}{,b}c", "abc"));
  assert_true(globs_fit("{a}", "{a}")); /* no choice */
  assert_true(globs_fit("{a,b", "{a,b"));
  assert_true(globs_fit("a,b}", "a,b}"));
}

static void choices_have_a_maximum(void **state) {
  const char *why = NULL;
  char long_one[YOI_GLOB_BYTES_MAX + 2];
  (void)state;
  struct yoi_sdk_globs *g = yoi_sdk_globs_new(YOI_LIT("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"), &why);
  assert_non_null(g); /* 64 */
  yoi_sdk_globs_free(g);
  assert_null(yoi_sdk_globs_new(YOI_LIT("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b,c}"), &why));
  assert_string_equal(why, "it has too many choices");
  memset(long_one, '{', sizeof long_one);
  g = yoi_sdk_globs_new((yoi_str){long_one, YOI_GLOB_BYTES_MAX}, &why);
  assert_non_null(g);
  yoi_sdk_globs_free(g);
  assert_null(yoi_sdk_globs_new((yoi_str){long_one, YOI_GLOB_BYTES_MAX + 1}, &why));
  assert_null(yoi_sdk_globs_new(YOI_LIT(""), &why));
  assert_null(yoi_sdk_globs_new(YOI_LIT("a\0b"), &why));
}

static void globs_without_memory_are_none(void **state) {
  const char *why = "";
  (void)state;
  for (uint64_t n = 1; n < 9; n++) {
    (void)yoi_sdk_mem_fail_at(n);
    assert_null(yoi_sdk_globs_new(YOI_LIT("{a,b}{c,d}"), &why));
    assert_null(why);
  }
  (void)yoi_sdk_mem_fail_at(0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_mean_what_they_say),
      cmocka_unit_test(it_agrees_with_the_definition),
      cmocka_unit_test(many_stars_take_no_time),
      cmocka_unit_test(paths_have_folders),
      cmocka_unit_test(paths_agree_with_the_definition),
      cmocka_unit_test(many_double_stars_take_no_time),
      cmocka_unit_test(choices_are_written_out),
      cmocka_unit_test(choices_have_a_maximum),
      cmocka_unit_test(globs_without_memory_are_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
