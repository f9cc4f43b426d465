/* The loop's own parts: the timer wheel is never early and forgets nothing,
 * and slots keep every wake that comes from any thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "plugins/ingress-http/slots.h"
#include "plugins/ingress-http/timers.h"
#include "tests/unit/support/fake_host.h"

#include <sdk/mem.h>
#include <sdk/str.h>

#define START 1000003u

static struct http_wheel wheel;

static size_t due(uint64_t now) {
  size_t n = 0;
  for (struct http_timer *t; (t = http_wheel_take(&wheel, now));) {
    assert_true(t->at_ms <= now);
    assert_null(t->link);
    n++;
  }
  return n;
}

static void a_timer_is_never_early_and_hardly_late(void **state) {
  (void)state;
  static const uint64_t after[] = {0,     1,     19,    20,    21,   300,
                                   5000,  20479, 20480, 20481, 60000, 3600000};
  for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
    struct http_timer t = {.at_ms = 0};
    http_wheel_init(&wheel, START);
    http_timer_set(&wheel, &t, START + after[i]);
    uint64_t now = START;
    for (size_t steps = 0; t.link; steps++) {
      uint64_t next = http_wheel_next(&wheel);
      assert_true(next > now);
      assert_true(steps < 100 + 3600000 / (HTTP_WHEEL_SLOTS * HTTP_WHEEL_MS));
      now = next;
      if (due(now) > 0) break;
    }
    assert_in_range(now, START + after[i], START + after[i] + 2 * HTTP_WHEEL_MS);
    assert_int_equal(http_wheel_next(&wheel), UINT64_MAX);
  }
}

static void moved_and_cancelled_timers(void **state) {
  (void)state;
  struct http_timer a = {.at_ms = 0}, b = {.at_ms = 0};
  http_wheel_init(&wheel, START);
  http_timer_cancel(&wheel, &a);
  http_timer_set(&wheel, &a, START + 100);
  http_timer_set(&wheel, &b, START + 100);
  http_timer_set(&wheel, &a, START + 500); /* later: moved lazily */
  assert_int_equal(due(START + 200), 1);
  assert_int_equal(due(START + 480), 0);
  http_timer_set(&wheel, &a, START + 490); /* earlier: moved at once */
  assert_int_equal(due(START + 530), 1);
  http_timer_set(&wheel, &a, START + 600);
  http_timer_cancel(&wheel, &a);
  assert_int_equal(due(START + 1000), 0);
  assert_int_equal(http_wheel_next(&wheel), UINT64_MAX);
}

static void a_long_pause_loses_nothing(void **state) {
  (void)state;
  enum { N = 3000 };
  struct http_timer *t = yoi_sdk_calloc(N, sizeof *t);
  assert_non_null(t);
  http_wheel_init(&wheel, START);
  for (size_t i = 0; i < N; i++) http_timer_set(&wheel, &t[i], START + i * 37);
  assert_int_equal(due(START + 1000000), N);
  yoi_sdk_free(t);
}

static void a_timer_set_while_others_are_taken_waits(void **state) {
  (void)state;
  struct http_timer a = {.at_ms = 0}, b = {.at_ms = 0};
  http_wheel_init(&wheel, START);
  http_timer_set(&wheel, &a, START + 10);
  http_timer_set(&wheel, &b, START + 10);
  struct http_timer *first = http_wheel_take(&wheel, START + 40);
  assert_non_null(first);
  http_timer_cancel(&wheel, first == &a ? &b : &a); /* one may end the other */
  http_timer_set(&wheel, first, START + 50);
  assert_null(http_wheel_take(&wheel, START + 40));
  assert_ptr_equal(http_wheel_take(&wheel, START + 80), first);
}

/* ---- slots ---------------------------------------------------------------- */

static struct http_slots *slots;
static struct fake_host *fh;

static int set_up(void **state) {
  (void)state;
  fh = fake_host_new(1);
  slots = yoi_sdk_malloc(sizeof *slots);
  assert_non_null(slots);
  http_slots_init(slots, fake_host_instance(fh), 3);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  http_slots_close(slots);
  yoi_sdk_free(slots);
  assert_int_equal(fake_host_tokens(fh), 0);
  fake_host_free(fh);
  return 0;
}

static void watchers_of_one_worker_share_a_token(void **state) {
  (void)state;
  struct http_slot *a = http_slot_get(slots, YOI_LIT("r/w"));
  struct http_slot *b = http_slot_get(slots, YOI_LIT("r/w"));
  struct http_slot *c = http_slot_get(slots, YOI_LIT("r/x"));
  struct http_slot *d = http_slot_get(slots, (yoi_str){NULL, 0});
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
  assert_ptr_not_equal(c, d);
  assert_int_equal(fake_host_tokens(fh), 3);
  http_slot_put(slots, a);
  http_slot_put(slots, d);
  struct http_slot *e = http_slot_get(slots, (yoi_str){NULL, 0});
  assert_ptr_equal(e, d);
  assert_ptr_equal(http_slot_get(slots, YOI_LIT("r/w")), b);
  http_slot_put(slots, b);
  http_slot_put(slots, b);
  http_slot_put(slots, c);
  http_slot_put(slots, e);
  http_slot_put(slots, NULL);
  assert_int_equal(fake_host_tokens(fh), 3);
}

static void many_slots_keep_their_place(void **state) {
  (void)state;
  enum { N = 300 };
  struct http_slot *all[N];
  for (uint32_t i = 0; i < N; i++) {
    all[i] = http_slot_get(slots, (yoi_str){NULL, 0});
    assert_non_null(all[i]);
    assert_int_equal(http_slot_cookie_loop(http_slot_cookie(3, all[i]->index)), 3);
  }
  for (uint32_t i = 0; i < N; i++)
    assert_int_equal(http_slots_wake(slots, http_slot_cookie(3, all[i]->index)), i == 0);
  assert_int_equal(http_slots_wake(slots, http_slot_cookie(3, all[5]->index)), 0);
  uint32_t cursor = http_slots_take(slots);
  for (uint32_t i = 0; i < N; i++) assert_ptr_equal(http_slots_next(slots, &cursor), all[i]);
  assert_null(http_slots_next(slots, &cursor));
  assert_int_equal(http_slots_take(slots), 0);
  assert_int_equal(http_slots_wake(slots, http_slot_cookie(3, YOI_HTTP_CONNECTIONS_MAX)), 0);
  for (uint32_t i = 0; i < N; i++) http_slot_put(slots, all[i]);
}

/* Two threads wake while the loop takes: whatever was counted up before a
 * wake is seen by some walk after it. */
#define ROUNDS 20000
static _Atomic uint32_t news[2], told, stopped;
static struct http_slot *shared[2];

static void *waker(void *arg) {
  uint32_t which = arg ? 1 : 0;
  for (uint32_t i = 0; i < ROUNDS; i++) {
    atomic_fetch_add(&news[which], 1u);
    if (http_slots_wake(slots, http_slot_cookie(3, shared[which]->index)))
      atomic_fetch_add(&told, 1u);
  }
  atomic_fetch_add(&stopped, 1u);
  return NULL;
}

static void no_wake_is_lost(void **state) {
  (void)state;
  pthread_t threads[2];
  uint32_t seen[2] = {0, 0}, done = 0;
  atomic_store(&told, 0);
  atomic_store(&stopped, 0);
  for (int i = 0; i < 2; i++) {
    atomic_store(&news[i], 0);
    shared[i] = http_slot_get(slots, (yoi_str){NULL, 0});
    assert_non_null(shared[i]);
  }
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, waker, i ? &seen : NULL), 0);
  do {
    done = atomic_load(&stopped);
    if (atomic_exchange(&told, 0) == 0) continue; /* a loop is told, it never looks */
    uint32_t cursor = http_slots_take(slots);
    for (struct http_slot *s; (s = http_slots_next(slots, &cursor));)
      seen[s == shared[1]] = atomic_load(&news[s == shared[1]]);
  } while (done < 2 || atomic_load(&told) > 0);
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(seen[i], ROUNDS);
    http_slot_put(slots, shared[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_timer_is_never_early_and_hardly_late),
      cmocka_unit_test(moved_and_cancelled_timers),
      cmocka_unit_test(a_long_pause_loses_nothing),
      cmocka_unit_test(a_timer_set_while_others_are_taken_waits),
      cmocka_unit_test_setup_teardown(watchers_of_one_worker_share_a_token, set_up, tear_down),
      cmocka_unit_test_setup_teardown(many_slots_keep_their_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(no_wake_is_lost, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
