/* test_value.c - which value of some arguments is meant, and which texts are
 * compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "abi/sdk/rules/index.h"
#include "abi/sdk/rules/value.h"

static void a_value_is_found_by_name_or_pointer(void **state) {
  static const char arguments[] =
      " { \"path\": \"x\", \"a/b\" : 1, \"m~n\":2, \"\": 3, "
      "\"in\":{\"list\":[10,[20,30],{\"k\":40}],\"\\u0061\":5}}";
  static const struct {
    const char *key, *raw; /* NULL: there is none */
  } rows[] = {
      {"path", "\"x\""},
      {"/path", "\"x\""},
      {"a/b", "1"},
      {"/a~1b", "1"},
      {"/m~0n", "2"},
      {"m~n", "2"},
      {"", "3"},
      {"/", "3"},
      {"/in/list/0", "10"},
      {"/in/list/1/1", "30"},
      {"/in/list/2/k", "40"},
      {"/in/a", "5"},
      {"/in/list/3", NULL},
      {"/in/list/01", NULL},
      {"/in/list/-", NULL},
      {"/in/list/k", NULL},
      {"/path/0", NULL},
      {"in/list", NULL},
      {"/a/b", NULL},
      {"no", NULL},
      {"/in/list/18446744073709551616", NULL},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct value_place p;
    assert_null(yoi__sdk_rules_value_place_open(&p, yoi_sdk_str(rows[i].key)));
    yoi_str raw = yoi__sdk_rules_value_find(&p, yoi_sdk_str(arguments));
    if (rows[i].raw == NULL ? raw.len > 0 : !yoi_sdk_str_is(raw, rows[i].raw))
      fail_msg("'%s': %.*s", rows[i].key, (int)raw.len, raw.ptr);
    assert_int_equal(yoi__sdk_rules_value_find(&p, YOI_LIT("")).len, 0);
    assert_int_equal(yoi__sdk_rules_value_find(&p, YOI_LIT("{\"path\":")).len, 0);
    yoi__sdk_rules_value_place_close(&p);
  }
}

static void a_pointer_that_is_none_is_refused(void **state) {
  struct value_place p;
  (void)state;
  assert_non_null(yoi__sdk_rules_value_place_open(&p, YOI_LIT("/a~2")));
  yoi__sdk_rules_value_place_close(&p);
  assert_non_null(yoi__sdk_rules_value_place_open(&p, YOI_LIT("/a/~")));
  yoi__sdk_rules_value_place_close(&p);
  for (int n = VALUE_STEPS_MAX; n <= VALUE_STEPS_MAX + 1; n++) {
    char key[2 * VALUE_STEPS_MAX + 2];
    for (int i = 0; i < 2 * n; i++) key[i] = i % 2 == 0 ? '/' : 'x';
    const char *why = yoi__sdk_rules_value_place_open(&p, (yoi_str){key, 2 * (size_t)n});
    assert_int_equal(why == NULL, n == VALUE_STEPS_MAX);
    yoi__sdk_rules_value_place_close(&p);
  }
}

static void what_has_one_text_is_compared(void **state) {
  static const struct {
    uint32_t kind;
    const char *raw, *text; /* NULL: it is not compared */
    int dots;
  } rows[] = {
      {INDEX_TEXT, "\"make all\"", "make all", 0},
      {INDEX_TEXT, "\"a\\u0062\\n\"", "ab\n", 0},
      {INDEX_TEXT, "\"\"", "", 0},
      {INDEX_TEXT, "true", "true", 0},
      {INDEX_TEXT, "null", "null", 0},
      {INDEX_TEXT, "-12", "-12", 0},
      {INDEX_TEXT, "0", "0", 0},
      {INDEX_TEXT, "-0", NULL, 0},
      {INDEX_TEXT, "1.0", NULL, 0},
      {INDEX_TEXT, "1e3", NULL, 0},
      {INDEX_TEXT, "{\"a\":1}", NULL, 0},
      {INDEX_TEXT, "[1]", NULL, 0},
      {INDEX_TEXT, "\"cat ../x\"", "cat ../x", 1},
      {INDEX_TEXT, "\"x/..\"", "x/..", 1},
      {INDEX_TEXT, "\"x/..;y\"", "x/..;y", 1},
      {INDEX_TEXT, "\"\\u002e./x\"", "../x", 1},
      {INDEX_TEXT, "\"..\"", "..", 1},
      {INDEX_TEXT, "\"go test ./...\"", "go test ./...", 0},
      {INDEX_TEXT, "\"a..b/c\"", "a..b/c", 0},
      {INDEX_TEXT, "\"wait .. what\"", "wait .. what", 0},
      {INDEX_PATH, "\"./src//a\"", "src/a", 0},
      {INDEX_PATH, "\"src\\/a\"", "src/a", 0},
      {INDEX_PATH, "\"src/../a\"", NULL, 0},
      {INDEX_PATH, "\"src/\\u002e\\u002e/a\"", NULL, 0},
      {INDEX_PATH, "12", NULL, 0},
      {INDEX_PATH, "null", NULL, 0},
      {INDEX_HOST, "\"https://Example.com/\"", "example.com", 0},
      {INDEX_HOST, "\"https:\\/\\/example.com\"", "example.com", 0},
      {INDEX_HOST, "\"https://a@example.com/\"", NULL, 0},
      {INDEX_HOST, "true", NULL, 0},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct value v;
    int good = yoi__sdk_rules_value_read(&v, rows[i].kind, yoi_sdk_str(rows[i].raw));
    if (good != (rows[i].text != NULL)) fail_msg("'%s'", rows[i].raw);
    if (good && !yoi_sdk_str_is(v.text, rows[i].text)) fail_msg("'%s'", rows[i].raw);
    if (good) assert_int_equal(v.dots, rows[i].dots);
    yoi__sdk_rules_value_release(&v);
  }
}

static void what_is_too_long_is_not_compared(void **state) {
  char raw[VALUE_MAX + 8];
  (void)state;
  for (int escaped = 0; escaped <= 1; escaped++) {
    for (int n = VALUE_MAX; n <= VALUE_MAX + 1; n++) {
      struct value v;
      (void)snprintf(raw, sizeof raw, "\"%s%0*d\"", escaped ? "\\n" : "", n - escaped, 0);
      assert_int_equal(yoi__sdk_rules_value_read(&v, INDEX_TEXT, yoi_sdk_str(raw)), n == VALUE_MAX);
      yoi__sdk_rules_value_release(&v);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_value_is_found_by_name_or_pointer),
      cmocka_unit_test(a_pointer_that_is_none_is_refused),
      cmocka_unit_test(what_has_one_text_is_compared),
      cmocka_unit_test(what_is_too_long_is_not_compared),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
