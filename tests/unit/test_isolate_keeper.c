/* test_isolate_keeper.c - when a worker process may be started again: time is
 * told, so nothing here waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/isolate/keeper.h"

#define MS 1000000ull

static void a_start_is_one_at_a_time(void **state) {
  (void)state;
  struct yoi__keeper k = {.state = YOI__KEEPER_IDLE};
  assert_true(yoi__keeper_start(&k, 5));
  assert_false(yoi__keeper_start(&k, 5));
  yoi__keeper_ready(&k);
  assert_false(yoi__keeper_start(&k, 5));
  yoi__keeper_ended(&k);
  assert_true(yoi__keeper_start(&k, 5));
}

static void waits_double_and_end_in_quarantine(void **state) {
  (void)state;
  struct yoi__keeper k = {.state = YOI__KEEPER_IDLE};
  uint64_t now = 1000 * MS, wait = YOI_ISOLATED_BACKOFF_MS * MS;
  for (int i = 1; i < YOI_ISOLATED_DEATHS_MAX; i++) {
    assert_true(yoi__keeper_start(&k, now));
    yoi__keeper_died(&k, now);
    assert_int_equal(k.state, YOI__KEEPER_DOWN);
    assert_int_equal(k.again_ns, now + wait);
    assert_false(yoi__keeper_start(&k, now + wait - 1));
    now += wait;
    wait *= 2;
  }
  assert_true(yoi__keeper_start(&k, now));
  yoi__keeper_died(&k, now);
  assert_int_equal(k.state, YOI__KEEPER_QUARANTINED);
  assert_false(yoi__keeper_start(&k, now + 1000 * YOI_ISOLATED_DEATHS_MS * MS));
  yoi__keeper_ended(&k);
  assert_int_equal(k.state, YOI__KEEPER_QUARANTINED);
}

static void a_death_is_forgotten_in_time(void **state) {
  (void)state;
  struct yoi__keeper k = {.state = YOI__KEEPER_IDLE};
  uint64_t now = 0;
  for (int i = 0; i < 10 * YOI_ISOLATED_DEATHS_MAX; i++) {
    assert_true(yoi__keeper_start(&k, now));
    yoi__keeper_died(&k, now);
    assert_int_equal(k.n, 1);
    assert_int_equal(k.again_ns, now + YOI_ISOLATED_BACKOFF_MS * MS);
    now += YOI_ISOLATED_DEATHS_MS * MS;
  }
  /* One nanosecond earlier it still counts. */
  yoi__keeper_died(&k, now - 1);
  assert_int_equal(k.n, 2);
}

static void an_end_in_peace_does_not_undo_a_death(void **state) {
  (void)state;
  struct yoi__keeper k = {.state = YOI__KEEPER_IDLE};
  assert_true(yoi__keeper_start(&k, 0));
  yoi__keeper_died(&k, 0);
  yoi__keeper_ended(&k);
  assert_int_equal(k.state, YOI__KEEPER_DOWN);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_start_is_one_at_a_time),
      cmocka_unit_test(waits_double_and_end_in_quarantine),
      cmocka_unit_test(a_death_is_forgotten_in_time),
      cmocka_unit_test(an_end_in_peace_does_not_undo_a_death),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
