/* test_token.c - wake tokens: stale ones are counted, none meets a stranger,
 * and close is a barrier.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <yoi/limits.h>

#include "host/token.h"

struct counting {
  uint64_t last;
  uint32_t n;
};

static void count(void *self, uint64_t cookie) {
  struct counting *c = self;
  c->last = cookie;
  c->n++;
}

static void test_wake_reaches_the_holder_with_its_cookie(void **state) {
  (void)state;
  _Atomic uint64_t stale = 0;
  struct yoi__tokens *t = yoi__tokens_new(&stale);
  struct counting c = {0};
  struct yoi__holder h = {.wake = count, .self = &c};
  uint64_t a = 0, b = 0;
  assert_int_equal(yoi__token_new(t, &h, 7, &a, NULL), YOI_OK);
  assert_int_equal(yoi__token_new(t, &h, 8, &b, NULL), YOI_OK);
  assert_int_not_equal(a, 0);
  assert_int_not_equal(a, b);
  yoi__token_wake(t, a);
  assert_int_equal(c.last, 7);
  yoi__token_wake(t, b);
  assert_int_equal(c.last, 8);
  yoi__token_wake(t, 0);
  assert_int_equal(c.n, 2);
  assert_int_equal(stale, 0);
  yoi__holder_close(t, &h);
  yoi__tokens_free(t);
}

static void test_stale_wakes_are_counted_and_ignored(void **state) {
  (void)state;
  _Atomic uint64_t stale = 0;
  struct yoi__tokens *t = yoi__tokens_new(&stale);
  struct counting c = {0}, d = {0};
  struct yoi__holder h = {.wake = count, .self = &c}, other = {.wake = count, .self = &d};
  uint64_t a = 0, b = 0;
  yoi__token_new(t, &h, 1, &a, NULL);
  yoi__token_free(t, &h, a);
  yoi__token_free(t, &h, a);
  yoi__token_free(t, &h, 0);
  yoi__token_new(t, &other, 2, &b, NULL); /* the same slot, another generation */
  yoi__token_wake(t, a);
  yoi__token_wake(t, UINT64_MAX);
  yoi__token_wake(t, 12345);
  assert_int_equal(stale, 3);
  assert_int_equal(c.n, 0);
  assert_int_equal(d.n, 0);
  yoi__token_free(t, &h, b); /* not its own: nothing happens */
  yoi__token_wake(t, b);
  assert_int_equal(d.n, 1);
  yoi__holder_close(t, &h);
  yoi__holder_close(t, &other);
  yoi__token_wake(t, b);
  assert_int_equal(stale, 4);
  yoi__tokens_free(t);
}

static void test_limit_and_refusals(void **state) {
  (void)state;
  _Atomic uint64_t stale = 0;
  struct yoi__tokens *t = yoi__tokens_new(&stale);
  struct counting c = {0};
  struct yoi__holder h = {.wake = count, .self = &c}, deaf = {0};
  uint64_t token = 0, last = 0;
  assert_int_equal(yoi__token_new(t, &deaf, 0, &token, NULL), YOI_FAILED_PRECONDITION);
  for (uint32_t i = 0; i < YOI_TOKENS_MAX; i++) {
    if (yoi__token_new(t, &h, i, &token, NULL) != YOI_OK) fail_msg("at %u", i);
    last = token;
  }
  assert_int_equal(yoi__token_new(t, &h, 0, &token, NULL), YOI_RESOURCE_EXHAUSTED);
  yoi__token_free(t, &h, last);
  assert_int_equal(yoi__token_new(t, &h, 99, &token, NULL), YOI_OK);
  yoi__token_wake(t, token);
  assert_int_equal(c.last, 99);
  yoi__holder_close(t, &h);
  assert_int_equal(yoi__token_new(t, &h, 0, &token, NULL), YOI_UNAVAILABLE);
  yoi__tokens_free(t);
}

struct nested {
  struct yoi__tokens *t;
  struct yoi__holder holder;
  uint64_t mine, next;
  int n;
};

static void frees_and_mints(void *self, uint64_t cookie) {
  struct nested *x = self;
  (void)cookie;
  x->n++;
  yoi__token_free(x->t, &x->holder, x->mine);
  assert_int_equal(yoi__token_new(x->t, &x->holder, 0, &x->next, NULL), YOI_OK);
}

/* No lock is held across a wake. */
static void test_a_wake_may_use_tokens(void **state) {
  (void)state;
  _Atomic uint64_t stale = 0;
  struct nested x = {.t = yoi__tokens_new(&stale)};
  x.holder.wake = frees_and_mints;
  x.holder.self = &x;
  yoi__token_new(x.t, &x.holder, 0, &x.mine, NULL);
  yoi__token_wake(x.t, x.mine);
  assert_int_equal(x.n, 1);
  yoi__token_wake(x.t, x.mine);
  assert_int_equal(stale, 1);
  yoi__holder_close(x.t, &x.holder);
  yoi__tokens_free(x.t);
}

/* ---- threads ----------------------------------------------------------- */

#define WAKERS 3
#define HOLDERS 40

struct shared {
  struct yoi__tokens *t;
  _Atomic uint64_t token;
  _Atomic uint32_t woken, stop;
};

static void note_wake(void *self, uint64_t cookie) {
  uint32_t *alive = self;
  (void)cookie;
  __atomic_fetch_add(alive, 1u, __ATOMIC_RELAXED);
}

static void *wakes_for_ever(void *arg) {
  struct shared *s = arg;
  while (!atomic_load(&s->stop)) {
    yoi__token_wake(s->t, atomic_load(&s->token));
    atomic_fetch_add(&s->woken, 1u);
  }
  return NULL;
}

/* Holders come and go under constant wakes; each is freed right after its
 * close, so that a late wake is a use after free. */
static void test_close_is_a_barrier(void **state) {
  (void)state;
  _Atomic uint64_t stale = 0;
  struct shared s = {.t = yoi__tokens_new(&stale)};
  pthread_t threads[WAKERS];
  for (int i = 0; i < WAKERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, wakes_for_ever, &s), 0);
  for (int i = 0; i < HOLDERS; i++) {
    struct yoi__holder *h = yoi_sdk_calloc(1, sizeof *h);
    uint32_t *seen = yoi_sdk_calloc(1, sizeof *seen);
    uint64_t token = 0;
    h->wake = note_wake;
    h->self = seen;
    assert_int_equal(yoi__token_new(s.t, h, 0, &token, NULL), YOI_OK);
    atomic_store(&s.token, token);
    uint32_t from = atomic_load(&s.woken);
    while (atomic_load(&s.woken) - from < 20) sched_yield();
    if (i % 2 == 0) yoi__token_free(s.t, h, token);
    yoi__holder_close(s.t, h);
    assert_int_equal(atomic_load(&h->in_flight), 0);
    yoi_sdk_free(seen);
    yoi_sdk_free(h);
  }
  atomic_store(&s.stop, 1u);
  for (int i = 0; i < WAKERS; i++) pthread_join(threads[i], NULL);
  yoi__tokens_free(s.t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_wake_reaches_the_holder_with_its_cookie),
      cmocka_unit_test(test_stale_wakes_are_counted_and_ignored),
      cmocka_unit_test(test_limit_and_refusals),
      cmocka_unit_test(test_a_wake_may_use_tokens),
      cmocka_unit_test(test_close_is_a_barrier),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
