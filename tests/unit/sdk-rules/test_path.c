/* test_path.c - one form for each path, none for those that lead out of sight,
 * and patterns of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/str.h>
#include <string.h>

#include "abi/sdk/rules/path.h"

static void a_path_has_one_form(void **state) {
  static const struct {
    const char *path, *normal; /* NULL: it is refused */
  } rows[] = {
      {"src/a.c", "src/a.c"},
      {"./src//a.c", "src/a.c"},
      {"src/./a/", "src/a"},
      {"src///", "src"},
      {"", ""},
      {".", ""},
      {"./", ""},
      {".hidden", ".hidden"},
      {"...", "..."},
      {"a/..b/c..", "a/..b/c.."},
      {"src/../etc/passwd", NULL},
      {"..", NULL},
      {"../", NULL},
      {"a/..", NULL},
      {"/etc/passwd", NULL},
      {"/", NULL},
      {"//a", NULL},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char out[64];
    size_t len = 99;
    int good = yoi__sdk_rules_path_normal(yoi_sdk_str(rows[i].path), out, sizeof out, &len);
    assert_int_equal(good, rows[i].normal != NULL);
    assert_int_equal(len, good ? strlen(rows[i].normal) : 0);
    if (good) assert_memory_equal(out, rows[i].normal, len);
  }
}

static void it_may_be_so_long(void **state) {
  char out[4];
  size_t len;
  (void)state;
  assert_true(yoi__sdk_rules_path_normal(YOI_LIT("./abcd"), out, sizeof out, &len) && len == 4);
  assert_true(yoi__sdk_rules_path_normal(YOI_LIT("a/bc"), out, sizeof out, &len) && len == 4);
  assert_false(yoi__sdk_rules_path_normal(YOI_LIT("abcde"), out, sizeof out, &len));
  assert_false(yoi__sdk_rules_path_normal(YOI_LIT("a/bcd"), out, sizeof out, &len));
}

static void a_pattern_fits_whole_segments(void **state) {
  static const struct {
    const char *pattern, *path;
    int fits;
  } rows[] = {
      {"src/**", "src/a/b.c", 1},
      {"src/**", "src", 1},
      {"src/**", "src2/a", 0},
      {"src/**", "", 0},
      {"**", "", 1},
      {"**", "a/b", 1},
      {"**/a", "a", 1},
      {"**/a", "x/y/a", 1},
      {"**/a", "x/ya", 0},
      {"a/**/b", "a/b", 1},
      {"a/**/b", "a/x/y/b", 1},
      {"a/**/b", "a/x/b/c", 0},
      {"*", "a", 1},
      {"*", "a/b", 0},
      {"*", "", 0},
      {"src/*.c", "src/a.c", 1},
      {"src/*.c", "src/x/a.c", 0},
      {"s?c", "src", 1},
      {"s?c", "s/c", 0},
      {"**/a/*/**/c", "a/a/b/c", 1},
      {"**/a/*/**/c", "a/c", 0},
      {"**/x/**/x/**", "x/x", 1},
      {"**/x/**/x/**", "x", 0},
      {"a", "a/b", 0},
      {"a/b", "a", 0},
      {"", "", 1},
      {"", "a", 0},
      {"**/ab/**/b", "ab/ab/a/b", 1},
      {"**/**", "", 1},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (yoi__sdk_rules_path_glob(yoi_sdk_str(rows[i].pattern), yoi_sdk_str(rows[i].path)) !=
        rows[i].fits)
      fail_msg("'%s' and '%s'", rows[i].pattern, rows[i].path);
}

static void a_pattern_that_no_path_can_fit_is_refused(void **state) {
  static const struct {
    const char *pattern, *why;
  } rows[] = {
      {"/etc/**", "a path begins at its folder, not with '/'"},
      {"src/../**", "no path that has '..' fits a pattern"},
      {"..", "no path that has '..' fits a pattern"},
      {"src/**.c", "'**' stands alone between slashes"},
      {"a**/b", "'**' stands alone between slashes"},
      {"0123456789abcdefg", "it is too long"},
      {"./src//**/", NULL},
      {".", NULL},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char out[16];
    size_t len;
    const char *why =
        yoi__sdk_rules_path_pattern(yoi_sdk_str(rows[i].pattern), out, sizeof out, &len);
    if (rows[i].why != NULL) {
      assert_non_null(why);
      assert_string_equal(why, rows[i].why);
    } else {
      assert_null(why);
      assert_memory_equal(out, i == 6 ? "src/**" : "", len);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_path_has_one_form),
      cmocka_unit_test(it_may_be_so_long),
      cmocka_unit_test(a_pattern_fits_whole_segments),
      cmocka_unit_test(a_pattern_that_no_path_can_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
