/* The allocation wrappers and their failing mode (sdk/mem.h). */
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

static void size_zero_is_a_pointer(void **state) {
  (void)state;
  void *a = yoi_sdk_malloc(0), *b = yoi_sdk_calloc(0, 8), *c = yoi_sdk_calloc(8, 0);
  void *d = yoi_sdk_realloc(NULL, 0), *e = yoi_sdk_reallocarray(NULL, 0, 8);
  assert_non_null(a);
  assert_non_null(b);
  assert_non_null(c);
  assert_non_null(d);
  assert_non_null(e);
  yoi_sdk_free(a);
  yoi_sdk_free(b);
  yoi_sdk_free(c);
  yoi_sdk_free(d);
  yoi_sdk_free(e);
  yoi_sdk_free(NULL);
}

static void overflow_is_a_failed_allocation(void **state) {
  (void)state;
  size_t half = SIZE_MAX / 2 + 1; /* the compiler must not see the product */
  volatile size_t two = 2;
  assert_null(yoi_sdk_calloc(half, two));
  char *p = yoi_sdk_malloc(4);
  memcpy(p, "abc", 4);
  assert_null(yoi_sdk_reallocarray(p, half, two));
  assert_string_equal(p, "abc");
  yoi_sdk_free(p);
  volatile size_t all = SIZE_MAX;
  assert_null(yoi_sdk_strndup("x", all));
}

static void strndup_terminates(void **state) {
  (void)state;
  char *p = yoi_sdk_strndup("abcdef", 3), *q = yoi_sdk_strndup(NULL, 0);
  assert_string_equal(p, "abc");
  assert_string_equal(q, "");
  yoi_sdk_free(p);
  yoi_sdk_free(q);
}

static void nth_allocation_fails_once(void **state) {
  (void)state;
  (void)yoi_sdk_mem_fail_at(2);
  void *a = yoi_sdk_malloc(1), *b = yoi_sdk_malloc(1), *c = yoi_sdk_malloc(1);
  assert_non_null(a);
  assert_null(b);
  assert_non_null(c);
  assert_int_equal(yoi_sdk_mem_fail_at(0), 3);
  assert_int_equal(yoi_sdk_mem_fail_at(0), 0);
  yoi_sdk_free(a);
  yoi_sdk_free(c);
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_calloc(1, 1));
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_realloc(NULL, 1));
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_reallocarray(NULL, 1, 1));
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_strndup("x", 1));
  (void)yoi_sdk_mem_fail_at(0);
}

static void *allocate(void *out) {
  void **p = out;
  *p = yoi_sdk_malloc(1);
  return NULL;
}

static void failing_is_per_thread(void **state) {
  (void)state;
  pthread_t t;
  void *p = NULL;
  (void)yoi_sdk_mem_fail_at(1);
  assert_int_equal(pthread_create(&t, NULL, allocate, &p), 0);
  (void)pthread_join(t, NULL);
  assert_non_null(p);
  assert_null(yoi_sdk_malloc(1));
  assert_int_equal(yoi_sdk_mem_fail_at(0), 1);
  yoi_sdk_free(p);
}

static void wipe_overwrites(void **state) {
  (void)state;
  char secret[8] = "secret!";
  yoi_sdk_wipe(secret, sizeof secret);
  for (size_t i = 0; i < sizeof secret; i++) assert_int_equal(secret[i], 0);
  yoi_sdk_wipe(NULL, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(size_zero_is_a_pointer), cmocka_unit_test(overflow_is_a_failed_allocation),
      cmocka_unit_test(strndup_terminates),     cmocka_unit_test(nth_allocation_fails_once),
      cmocka_unit_test(failing_is_per_thread),  cmocka_unit_test(wipe_overwrites),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
