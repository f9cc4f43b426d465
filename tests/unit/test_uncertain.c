/* test_uncertain.c - what a worker remembers of calls and of approvals: bounded,
 * and the oldest is forgotten first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <yoi/limits.h>

#include "runtimes/engine/resolved.h"
#include "runtimes/engine/uncertain.h"

static struct eng_print print_of(uint32_t n) {
  struct eng_print p = {{0}};
  memcpy(p.b, &n, sizeof n);
  return p;
}

static void the_oldest_call_is_forgotten_first(void **state) {
  (void)state;
  struct eng_uncertain u = {0};
  struct eng_print first = print_of(0), second = print_of(1), p;
  assert_false(eng_uncertain_has(&u, &first));
  eng_uncertain_remove(&u, &first);
  for (uint32_t i = 0; i < YOI_TOOL_UNCERTAIN_MAX; i++) {
    p = print_of(i);
    eng_uncertain_add(&u, &p);
  }
  assert_true(eng_uncertain_has(&u, &first));
  eng_uncertain_add(&u, &first); /* it is the newest now, and there once */
  assert_int_equal(u.n, YOI_TOOL_UNCERTAIN_MAX);
  p = print_of(1000);
  eng_uncertain_add(&u, &p);
  assert_int_equal(u.n, YOI_TOOL_UNCERTAIN_MAX);
  assert_true(eng_uncertain_has(&u, &first));
  assert_false(eng_uncertain_has(&u, &second));
  eng_uncertain_remove(&u, &first);
  assert_false(eng_uncertain_has(&u, &first));
  assert_true(eng_uncertain_has(&u, &p));
  eng_uncertain_release(&u);
}

static struct eng_resolved_one one_of(unsigned n) {
  struct eng_resolved_one one = {.sequence = n + 1};
  (void)snprintf(one.approval, sizeof one.approval, "00000000-0000-4000-8000-%012u", n);
  return one;
}

static void the_oldest_answer_is_forgotten_first(void **state) {
  (void)state;
  struct eng_resolved r = {0};
  for (unsigned i = 0; i <= YOI_TOOL_CALLS_MAX; i++) {
    struct eng_resolved_one one = one_of(i);
    eng_resolved_add(&r, &one);
    assert_non_null(eng_resolved_find(&r, one.approval));
  }
  struct eng_resolved_one first = one_of(0);
  assert_null(eng_resolved_find(&r, first.approval));
  for (unsigned i = 1; i <= YOI_TOOL_CALLS_MAX; i++) {
    struct eng_resolved_one one = one_of(i);
    assert_int_equal(eng_resolved_find(&r, one.approval)->sequence, i + 1);
  }
  eng_resolved_release(&r);
}

static void without_memory_nothing_is_remembered(void **state) {
  (void)state;
  struct eng_resolved r = {0};
  struct eng_uncertain u = {0};
  struct eng_resolved_one one = one_of(0);
  struct eng_print p = print_of(0);
  (void)yoi_sdk_mem_fail_at(1);
  eng_resolved_add(&r, &one);
  (void)yoi_sdk_mem_fail_at(1);
  eng_uncertain_add(&u, &p);
  (void)yoi_sdk_mem_fail_at(0);
  assert_null(eng_resolved_find(&r, one.approval));
  assert_false(eng_uncertain_has(&u, &p));
  eng_resolved_release(&r);
  eng_uncertain_release(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_oldest_call_is_forgotten_first),
      cmocka_unit_test(the_oldest_answer_is_forgotten_first),
      cmocka_unit_test(without_memory_nothing_is_remembered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
