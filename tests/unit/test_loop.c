/* test_loop.c - the rules of yoi/host_loop.h, in both modes.
 *
 * Step mode shows order and exactness without threads; the threaded tests are
 * for the thread sanitizer: posts, timers and watches of owners that are
 * purged meanwhile.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include <sched.h>
#include <sdk/error.h>
#include <sdk/mem.h>

#include "host/clock.h"
#include "host/loop.h"

static struct yoi__loops *loops_of(uint32_t n, int step) {
  struct yoi__loops *ls = NULL;
  assert_int_equal(yoi__loops_new(n, step, &ls, NULL), YOI_OK);
  assert_int_equal(yoi__loops_start(ls, NULL), YOI_OK);
  return ls;
}

/* ---- step mode --------------------------------------------------------- */

struct trace {
  struct yoi__loops *ls;
  struct yoi__owner owner;
  char seen[64];
  size_t n;
  uint64_t id, other;
  int fds[2];
  uint32_t ready;
};

static void note(struct trace *t, char c) {
  assert_true(t->n + 1 < sizeof t->seen);
  t->seen[t->n++] = c;
}

static void post_a(void *ctx) {
  struct trace *t = ctx;
  note(t, 'a');
  assert_int_equal(yoi__loops_current(t->ls), 0);
}

static void post_b(void *ctx) {
  note(ctx, 'b');
}

static void post_more(void *ctx) {
  struct trace *t = ctx;
  note(t, 'm');
  assert_int_equal(yoi__loop_post(t->ls, &t->owner, 0, post_b, t), YOI_OK);
}

static int is_readable(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, 0) == 1;
}

static void test_posts_run_in_order_and_later(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)};
  assert_int_equal(yoi__loops_current(t.ls), YOI_NO_LOOP);
  assert_false(is_readable(yoi__loops_fd(t.ls)));
  yoi__loop_post(t.ls, &t.owner, 0, post_a, &t);
  yoi__loop_post(t.ls, &t.owner, 0, post_more, &t);
  yoi__loop_post(t.ls, &t.owner, 0, post_a, &t);
  assert_int_equal(t.n, 0);
  assert_true(is_readable(yoi__loops_fd(t.ls)));
  assert_int_equal(yoi__loops_step(t.ls, 0), YOI_OK);
  assert_string_equal(t.seen, "ama"); /* what a post posts comes a turn later */
  assert_true(is_readable(yoi__loops_fd(t.ls)));
  yoi__loops_step(t.ls, 0);
  assert_string_equal(t.seen, "amab");
  assert_false(is_readable(yoi__loops_fd(t.ls)));
  assert_int_equal(yoi__loop_post(t.ls, &t.owner, 1, post_a, &t), YOI_INVALID_ARGUMENT);
  yoi__loops_free(t.ls);
}

static void timer_c(void *ctx) {
  note(ctx, 'c');
}

static void timer_d(void *ctx) {
  note(ctx, 'd');
}

static void timer_e(void *ctx) {
  note(ctx, 'e');
}

static void cancels_other(void *ctx) {
  struct trace *t = ctx;
  note(t, 'x');
  yoi__loop_timer_cancel(t->ls, &t->owner, t->other);
}

static void arm_three(void *ctx) {
  struct trace *t = ctx;
  uint64_t now = yoi__now_ns(), id = 0;
  assert_int_equal(yoi__loop_timer(t->ls, &t->owner, now + 3 * YOI__MS, timer_e, t, &id), YOI_OK);
  assert_int_equal(yoi__loop_timer(t->ls, &t->owner, now + 1 * YOI__MS, timer_c, t, &id), YOI_OK);
  assert_int_equal(yoi__loop_timer(t->ls, &t->owner, now + 2 * YOI__MS, timer_d, t, &id), YOI_OK);
}

static void arm_pair(void *ctx) {
  struct trace *t = ctx;
  uint64_t id = 0;
  yoi__loop_timer(t->ls, &t->owner, 1, cancels_other, t, &id);
  yoi__loop_timer(t->ls, &t->owner, 2, timer_c, t, &t->other);
}

static void test_timers_in_order_of_time(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)};
  yoi__loop_post(t.ls, &t.owner, 0, arm_three, &t);
  for (int i = 0; i < 1000 && t.n < 3; i++) {
    struct pollfd p = {.fd = yoi__loops_fd(t.ls), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1); /* the descriptor tells of timers */
    yoi__loops_step(t.ls, 0);
  }
  assert_string_equal(t.seen, "cde");
  yoi__loops_free(t.ls);
}

static void test_cancelled_timer_does_not_run(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)};
  yoi__loop_post(t.ls, &t.owner, 0, arm_pair, &t);
  for (int i = 0; i < 4; i++) yoi__loops_step(t.ls, 1);
  assert_string_equal(t.seen, "x"); /* both were due; the first took the second away */
  yoi__loops_free(t.ls);
}

static void test_off_a_loop_is_refused(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)};
  uint64_t id = 0;
  assert_int_equal(yoi__loop_timer(t.ls, &t.owner, 1, timer_c, &t, &id), YOI_FAILED_PRECONDITION);
  assert_int_equal(pipe(t.fds), 0);
  yoi_loop_fd_fn never = NULL;
  assert_int_equal(yoi__loop_watch(t.ls, &t.owner, t.fds[0], YOI_FD_READ, never, &t, &id),
                   YOI_FAILED_PRECONDITION);
  assert_int_equal(yoi__loop_rewatch(t.ls, &t.owner, 77, YOI_FD_READ), YOI_FAILED_PRECONDITION);
  yoi__loop_unwatch(t.ls, &t.owner, 77);
  yoi__loop_timer_cancel(t.ls, &t.owner, 77);
  close(t.fds[0]);
  close(t.fds[1]);
  yoi__loops_free(t.ls);
}

static void on_ready(void *ctx, int32_t fd, uint32_t ready) {
  struct trace *t = ctx;
  (void)fd;
  t->ready = ready;
  note(t, 'r');
}

static void watch_pipe(void *ctx) {
  struct trace *t = ctx;
  uint64_t twice = 0;
  assert_int_equal(yoi__loop_watch(t->ls, &t->owner, t->fds[0], YOI_FD_READ, on_ready, t, &t->id),
                   YOI_OK);
  assert_int_equal(yoi__loop_watch(t->ls, &t->owner, t->fds[0], YOI_FD_READ, on_ready, t, &twice),
                   YOI_ALREADY_EXISTS);
}

static void rewatch_none(void *ctx) {
  struct trace *t = ctx;
  assert_int_equal(yoi__loop_rewatch(t->ls, &t->owner, t->id, 0), YOI_OK);
}

static void rewatch_read(void *ctx) {
  struct trace *t = ctx;
  assert_int_equal(yoi__loop_rewatch(t->ls, &t->owner, t->id, YOI_FD_READ), YOI_OK);
}

static void unwatch_pipe(void *ctx) {
  struct trace *t = ctx;
  yoi__loop_unwatch(t->ls, &t->owner, t->id);
  assert_int_equal(yoi__loop_rewatch(t->ls, &t->owner, t->id, YOI_FD_READ), YOI_NOT_FOUND);
}

static void step_post(struct trace *t, yoi_loop_fn fn) {
  assert_int_equal(yoi__loop_post(t->ls, &t->owner, 0, fn, t), YOI_OK);
  yoi__loops_step(t->ls, 0);
}

static void test_watch_is_level_triggered(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)};
  assert_int_equal(pipe(t.fds), 0);
  step_post(&t, watch_pipe);
  yoi__loops_step(t.ls, 0);
  assert_int_equal(t.n, 0);
  assert_int_equal(write(t.fds[1], "x", 1), 1);
  yoi__loops_step(t.ls, 0);
  yoi__loops_step(t.ls, 0);
  assert_string_equal(t.seen, "rr"); /* as long as there is something to read */
  assert_int_equal(t.ready, YOI_FD_READ);
  step_post(&t, rewatch_none);
  size_t before = t.n;
  yoi__loops_step(t.ls, 0);
  assert_int_equal(t.n, before);
  close(t.fds[1]); /* interest 0 still tells of errors */
  yoi__loops_step(t.ls, 0);
  assert_int_equal(t.n, before + 1);
  assert_int_equal(t.ready, YOI_FD_ERROR);
  step_post(&t, rewatch_read);
  step_post(&t, unwatch_pipe);
  before = t.n;
  yoi__loops_step(t.ls, 0);
  assert_int_equal(t.n, before);
  close(t.fds[0]);
  yoi__loops_free(t.ls);
}

static void unwatch_in_callback(void *ctx, int32_t fd, uint32_t ready) {
  struct trace *t = ctx;
  (void)fd;
  (void)ready;
  note(t, 'u');
  /* The other one is ready in the same turn. */
  yoi__loop_unwatch(t->ls, &t->owner, t->id);
  yoi__loop_unwatch(t->ls, &t->owner, t->other);
}

static void watch_both_ends(void *ctx) {
  struct trace *t = ctx;
  yoi__loop_watch(t->ls, &t->owner, t->fds[0], YOI_FD_READ, unwatch_in_callback, t, &t->id);
  yoi__loop_watch(t->ls, &t->owner, t->fds[1], YOI_FD_WRITE, unwatch_in_callback, t, &t->other);
}

static void test_no_callback_after_unwatch_in_the_same_turn(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)};
  assert_int_equal(pipe(t.fds), 0);
  assert_int_equal(write(t.fds[1], "x", 1), 1);
  step_post(&t, watch_both_ends);
  yoi__loops_step(t.ls, 0);
  yoi__loops_step(t.ls, 0);
  assert_string_equal(t.seen, "u");
  close(t.fds[0]);
  close(t.fds[1]);
  yoi__loops_free(t.ls);
}

static void arm_far(void *ctx) {
  struct trace *t = ctx;
  yoi__loop_timer(t->ls, &t->owner, 1, timer_c, t, &t->other);
}

static void test_purge_takes_all_of_one_owner(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)}, other = {.ls = t.ls};
  assert_int_equal(pipe(t.fds), 0);
  step_post(&t, watch_pipe);
  step_post(&t, arm_far);
  assert_int_equal(write(t.fds[1], "x", 1), 1);
  yoi__loop_post(t.ls, &t.owner, 0, post_a, &t);
  yoi__loop_post(t.ls, &other.owner, 0, post_b, &other);
  yoi__loops_purge(t.ls, &t.owner);
  assert_int_equal(yoi__loop_post(t.ls, &t.owner, 0, post_a, &t), YOI_UNAVAILABLE);
  for (int i = 0; i < 3; i++) yoi__loops_step(t.ls, 0);
  assert_int_equal(t.n, 0);
  assert_string_equal(other.seen, "b");
  close(t.fds[0]);
  close(t.fds[1]);
  yoi__loops_free(t.ls);
}

static void steps_itself(void *ctx) {
  struct trace *t = ctx;
  note(t, 's');
  assert_int_equal(yoi__loops_step(t->ls, 0), YOI_FAILED_PRECONDITION);
}

static void test_step_in_a_callback_is_refused(void **state) {
  (void)state;
  struct trace t = {.ls = loops_of(1, 1)};
  step_post(&t, steps_itself);
  assert_string_equal(t.seen, "s");
  yoi__loops_free(t.ls);
}

static void *wakes_up(void *arg) {
  yoi__loops_wakeup(arg);
  return NULL;
}

static void test_wakeup_ends_a_waiting_step(void **state) {
  (void)state;
  struct yoi__loops *ls = loops_of(1, 1);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, wakes_up, ls), 0);
  assert_int_equal(yoi__loops_step(ls, -1), YOI_OK); /* else it waits for ever */
  pthread_join(thread, NULL);
  yoi__loops_free(ls);
}

/* Ids of two hosts, and of objects that used the same slot, never meet. */
static void test_ids_are_never_used_twice(void **state) {
  (void)state;
  struct trace a = {.ls = loops_of(1, 1)}, b = {.ls = loops_of(1, 1)};
  uint64_t last = 0;
  for (int i = 0; i < 3000; i++) {
    struct trace *t = i % 2 == 0 ? &a : &b;
    step_post(t, arm_far);
    assert_int_not_equal(t->other, 0);
    assert_int_not_equal(t->other, last);
    last = t->other;
    t->n = 0;
  }
  yoi__loops_free(a.ls);
  yoi__loops_free(b.ls);
}

/* ---- threads ----------------------------------------------------------- */

#define LOOPS 2
#define POSTERS 3
#define POSTS 3000

struct poster {
  struct yoi__loops *ls;
  struct yoi__owner *owner;
  _Atomic uint32_t *next; /* per loop: what the loop expects of this poster */
  _Atomic uint32_t refused;
};

struct numbered {
  _Atomic uint32_t *next;
  uint32_t n;
};

static void check_number(void *ctx) {
  struct numbered *m = ctx;
  assert_int_equal(atomic_fetch_add(m->next, 1u), m->n);
  yoi_sdk_free(m);
}

static void *posts_numbers(void *arg) {
  struct poster *p = arg;
  for (uint32_t i = 0; i < POSTS; i++)
    for (uint32_t l = 0; l < LOOPS; l++) {
      struct numbered *m = yoi_sdk_malloc(sizeof *m);
      *m = (struct numbered){&p->next[l], i};
      assert_int_equal(yoi__loop_post(p->ls, p->owner, l, check_number, m), YOI_OK);
    }
  return NULL;
}

static void test_posts_of_one_thread_keep_their_order(void **state) {
  (void)state;
  struct yoi__loops *ls = loops_of(LOOPS, 0);
  struct yoi__owner owner = {0};
  _Atomic uint32_t next[POSTERS][LOOPS] = {0};
  struct poster posters[POSTERS];
  pthread_t threads[POSTERS];
  for (int i = 0; i < POSTERS; i++) {
    posters[i] = (struct poster){.ls = ls, .owner = &owner, .next = next[i]};
    assert_int_equal(pthread_create(&threads[i], NULL, posts_numbers, &posters[i]), 0);
  }
  for (int i = 0; i < POSTERS; i++) pthread_join(threads[i], NULL);
  yoi__loops_free(ls); /* runs what is left */
  for (int i = 0; i < POSTERS; i++)
    for (int l = 0; l < LOOPS; l++) assert_int_equal(atomic_load(&next[i][l]), POSTS);
}

/* An instance that keeps its loops busy until it is purged. What it counts is
 * not atomic: after the purge the loops must not touch it any more. */
struct busy {
  struct yoi__loops *ls;
  struct yoi__owner owner;
  uint32_t calls[LOOPS];
  _Atomic uint32_t warm;
  int fds[LOOPS][2];
};

static void busy_post(void *ctx) {
  struct busy *b = ctx;
  uint32_t here = yoi__loops_current(b->ls);
  b->calls[here]++;
  atomic_fetch_add(&b->warm, 1u);
  (void)yoi__loop_post(b->ls, &b->owner, here, busy_post, b);
}

static void busy_timer(void *ctx) {
  struct busy *b = ctx;
  uint64_t id = 0;
  b->calls[yoi__loops_current(b->ls)]++;
  (void)yoi__loop_timer(b->ls, &b->owner, yoi__now_ns(), busy_timer, b, &id);
}

static void busy_fd(void *ctx, int32_t fd, uint32_t ready) {
  struct busy *b = ctx;
  (void)fd;
  (void)ready;
  b->calls[yoi__loops_current(b->ls)]++;
}

static void busy_start(void *ctx) {
  struct busy *b = ctx;
  uint64_t id = 0;
  uint32_t here = yoi__loops_current(b->ls);
  /* Either may be refused: the purge can begin while this runs. */
  (void)yoi__loop_watch(b->ls, &b->owner, b->fds[here][1], YOI_FD_WRITE, busy_fd, b, &id);
  (void)yoi__loop_timer(b->ls, &b->owner, 0, busy_timer, b, &id);
  busy_post(b);
}

static void test_purge_is_a_barrier(void **state) {
  (void)state;
  struct yoi__loops *ls = loops_of(LOOPS, 0);
  for (int round = 0; round < 20; round++) {
    struct busy b = {.ls = ls};
    for (uint32_t l = 0; l < LOOPS; l++) {
      assert_int_equal(pipe(b.fds[l]), 0);
      assert_int_equal(yoi__loop_post(ls, &b.owner, l, busy_start, &b), YOI_OK);
    }
    while (atomic_load(&b.warm) < 50) sched_yield();
    yoi__loops_purge(ls, &b.owner);
    uint32_t sum = b.calls[0] + b.calls[1]; /* the sanitizer sees a late call */
    assert_true(sum > 0);
    for (uint32_t l = 0; l < LOOPS; l++) {
      close(b.fds[l][0]);
      close(b.fds[l][1]);
    }
  }
  yoi__loops_free(ls);
}

static void no_signals(void *ctx) {
  sigset_t set;
  pthread_sigmask(SIG_BLOCK, NULL, &set);
  atomic_store((_Atomic int *)ctx, sigismember(&set, SIGTERM) && sigismember(&set, SIGINT) ? 1 : 2);
}

static void test_threads_block_signals(void **state) {
  (void)state;
  struct yoi__loops *ls = loops_of(1, 0);
  _Atomic int blocked = 0;
  yoi__loop_post(ls, NULL, 0, no_signals, (void *)&blocked);
  yoi__loops_free(ls);
  assert_int_equal(atomic_load(&blocked), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_posts_run_in_order_and_later),
      cmocka_unit_test(test_timers_in_order_of_time),
      cmocka_unit_test(test_cancelled_timer_does_not_run),
      cmocka_unit_test(test_off_a_loop_is_refused),
      cmocka_unit_test(test_watch_is_level_triggered),
      cmocka_unit_test(test_no_callback_after_unwatch_in_the_same_turn),
      cmocka_unit_test(test_purge_takes_all_of_one_owner),
      cmocka_unit_test(test_step_in_a_callback_is_refused),
      cmocka_unit_test(test_wakeup_ends_a_waiting_step),
      cmocka_unit_test(test_ids_are_never_used_twice),
      cmocka_unit_test(test_posts_of_one_thread_keep_their_order),
      cmocka_unit_test(test_purge_is_a_barrier),
      cmocka_unit_test(test_threads_block_signals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
