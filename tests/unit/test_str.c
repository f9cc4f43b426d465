/* Views, strict decimals, the growable buffer's invariants (sdk/str.h). */
#include <sdk/mem.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void views(void **state) {
  (void)state;
  yoi_str none = {NULL, 0};
  assert_true(yoi_sdk_str_eq(none, YOI_LIT("")));
  assert_int_equal(yoi_sdk_str(NULL).len, 0);
  assert_true(yoi_sdk_str_is(YOI_LIT("a\0b"), "a") == 0);
  assert_true(yoi_sdk_str_is(YOI_LIT("ab"), "ab"));
  assert_true(yoi_sdk_str_is(none, NULL));
  assert_true(yoi_sdk_str_cmp(YOI_LIT("a"), YOI_LIT("ab")) < 0);
  assert_true(yoi_sdk_str_cmp(YOI_LIT("b"), YOI_LIT("ab")) > 0);
  assert_true(yoi_sdk_str_cmp(YOI_LIT("\xff"), YOI_LIT("a")) > 0);
  assert_int_equal(yoi_sdk_str_cmp(none, YOI_LIT("")), 0);
  assert_true(yoi_sdk_str_starts(YOI_LIT("abc"), YOI_LIT("ab")));
  assert_true(yoi_sdk_str_starts(YOI_LIT("abc"), none));
  assert_false(yoi_sdk_str_starts(YOI_LIT("a"), YOI_LIT("ab")));
  yoi_str copy = yoi_sdk_str_dup(YOI_LIT("abc"));
  assert_string_equal(copy.ptr, "abc");
  yoi_sdk_str_free(&copy);
  assert_null(copy.ptr);
  yoi_sdk_str_free(&copy);
  yoi_sdk_str_free(NULL);
  (void)yoi_sdk_mem_fail_at(1);
  copy = yoi_sdk_str_dup(YOI_LIT("abc"));
  (void)yoi_sdk_mem_fail_at(0);
  assert_null(copy.ptr);
  assert_int_equal(copy.len, 0);
}

static void decimals_are_parsed_strictly(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "+1",
                                    "-1",
                                    " 1",
                                    "1 ",
                                    "01",
                                    "00",
                                    "0x",
                                    "1.",
                                    "1e1",
                                    "١",
                                    "18446744073709551616",
                                    "99999999999999999999",
                                    "100000000000000000000"};
  uint64_t n = 7;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(yoi_sdk_parse_u64(yoi_sdk_str(bad[i]), UINT64_MAX, &n), 0);
  assert_int_equal(n, 7);
  assert_int_equal(yoi_sdk_parse_u64(YOI_LIT("18446744073709551615"), UINT64_MAX, &n), 1);
  assert_true(n == UINT64_MAX);
  assert_int_equal(yoi_sdk_parse_u64(YOI_LIT("0"), 0, &n), 1);
  assert_int_equal(n, 0);
  assert_int_equal(yoi_sdk_parse_u64(YOI_LIT("10"), 10, &n), 1);
  assert_int_equal(yoi_sdk_parse_u64(YOI_LIT("11"), 10, &n), 0);
  assert_int_equal(n, 10);
}

static void buffer_never_grows_past_its_max(void **state) {
  (void)state;
  for (size_t max = 0; max < 200; max++) {
    struct yoi_sdk_buf b;
    yoi_sdk_buf_init(&b, max);
    for (size_t i = 0; i < max; i++) yoi_sdk_buf_addc(&b, 'x');
    assert_int_equal(b.failed, 0);
    assert_int_equal(b.len, max);
    assert_true(b.cap <= 64 || b.cap <= max + 1);
    yoi_sdk_buf_addc(&b, 'y');
    assert_int_equal(b.failed, YOI_OUT_OF_RANGE);
    assert_int_equal(b.len, max);
    yoi_sdk_buf_release(&b);
    assert_null(b.data);
    assert_int_equal(b.max, max);
  }
}

static void failed_append_changes_nothing_and_sticks(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 5);
  yoi_sdk_buf_adds(&b, YOI_LIT("abc"));
  yoi_sdk_buf_adds(&b, YOI_LIT("def"));
  assert_string_equal(b.data, "abc");
  yoi_sdk_buf_addc(&b, 'd'); /* would fit; lost */
  yoi_sdk_buf_addf(&b, "%d", 1);
  assert_null(yoi_sdk_buf_reserve(&b, 0));
  assert_string_equal(b.data, "abc");
  yoi_sdk_buf_clear(&b);
  assert_int_equal(b.failed, 0);
  assert_string_equal(b.data, "");
  yoi_sdk_buf_addf(&b, "%s-%d", "ab", 12);
  assert_string_equal(b.data, "ab-12");
  yoi_sdk_buf_addf(&b, "%d", 1);
  assert_int_equal(b.failed, YOI_OUT_OF_RANGE);
  yoi_sdk_buf_release(&b);
  yoi_sdk_buf_init(&b, SIZE_MAX);
  yoi_sdk_buf_addc(&b, 'x');
  volatile size_t huge = SIZE_MAX - 8;
  assert_null(yoi_sdk_buf_reserve(&b, huge));
  assert_int_not_equal(b.failed, 0);
  assert_string_equal(b.data, "x");
  yoi_sdk_buf_release(&b);
}

static void short_memory_keeps_the_text(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 1000);
  yoi_sdk_buf_adds(&b, YOI_LIT("abc"));
  (void)yoi_sdk_mem_fail_at(1);
  for (int i = 0; i < 100; i++) yoi_sdk_buf_addc(&b, 'x');
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(b.failed, YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(strncmp(b.data, "abc", 3), 0);
  assert_int_equal(strspn(b.data + 3, "x"), b.len - 3);
  assert_int_equal(strlen(b.data), b.len);
  yoi_sdk_buf_release(&b);
}

static void drop_and_take(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  size_t len = 9;
  yoi_sdk_buf_init(&b, 100);
  yoi_sdk_buf_drop(&b, 3);
  yoi_sdk_buf_adds(&b, YOI_LIT("abcdef"));
  yoi_sdk_buf_drop(&b, 2);
  assert_string_equal(b.data, "cdef");
  yoi_sdk_buf_drop(&b, 100);
  assert_string_equal(b.data, "");
  yoi_sdk_buf_adds(&b, YOI_LIT("xy"));
  char *text = yoi_sdk_buf_take(&b, &len);
  assert_string_equal(text, "xy");
  assert_int_equal(len, 2);
  yoi_sdk_free(text);
  assert_null(b.data);
  text = yoi_sdk_buf_take(&b, NULL); /* empty is a text as well */
  assert_string_equal(text, "");
  yoi_sdk_free(text);
  b.max = 1;
  yoi_sdk_buf_adds(&b, YOI_LIT("xy"));
  assert_null(yoi_sdk_buf_take(&b, &len)); /* half a text is none */
  assert_int_equal(len, 0);
}

static void a_buffer_may_append_what_is_formatted_long(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_buf_addf(&b, "%050000d", 7);
  assert_int_equal(b.len, 50000);
  assert_int_equal(b.data[49999], '7');
  assert_int_equal(b.data[50000], 0);
  yoi_sdk_buf_release(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views),
      cmocka_unit_test(decimals_are_parsed_strictly),
      cmocka_unit_test(buffer_never_grows_past_its_max),
      cmocka_unit_test(failed_append_changes_nothing_and_sticks),
      cmocka_unit_test(short_memory_keeps_the_text),
      cmocka_unit_test(drop_and_take),
      cmocka_unit_test(a_buffer_may_append_what_is_formatted_long),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
