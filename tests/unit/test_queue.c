/* The ready-made streams of sdk/stream.h: events and ends, one wake per AGAIN,
 * cancel, release in every state, and all of it between threads. */
#include <sdk/mem.h>
#include <sdk/str.h>
#include <sdk/stream.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define TOKEN 42

static atomic_int wakes;
static sem_t news;

static void count_wake(const yoi_host *h, uint64_t token) {
  (void)h;
  if (token == TOKEN) atomic_fetch_add(&wakes, 1);
  (void)sem_post(&news);
}

static const yoi_host host = {.size = sizeof host, .wake = count_wake};

static atomic_int cancels, releases;

static void on_cancel(void *ctx) {
  (void)ctx;
  atomic_fetch_add(&cancels, 1);
}

static void on_release(void *ctx) {
  (void)ctx;
  atomic_fetch_add(&releases, 1);
}

static int setup(void **state) {
  (void)state;
  atomic_store(&wakes, 0);
  atomic_store(&cancels, 0);
  atomic_store(&releases, 0);
  return sem_init(&news, 0, 0);
}

static int teardown(void **state) {
  (void)state;
  return sem_destroy(&news);
}

static yoi_status next(yoi_stream *s, const yoi_event *const **evs, size_t *n, yoi_error *err) {
  return s->ops->next(s, evs, n, err);
}

static yoi_status push(struct yoi_sdk_queue *q, const char *text) {
  return yoi_sdk_queue_push(q, YOI_EVENT_ACK, YOI_EV_DURABLE, YOI_LIT(""), yoi_sdk_str(text));
}

/* ---- one event, and none ---------------------------------------------- */

static void one_event_then_end(void **state) {
  (void)state;
  char text[] = "{\"a\":1}";
  yoi_stream *s = yoi_sdk_stream_one(yoi_sdk_str(text), YOI_EV_CREATED);
  const yoi_event *const *evs;
  size_t n;
  text[1] = 'X'; /* it was copied */
  s->ops->cancel(s);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 1);
  assert_int_equal(evs[0]->size, sizeof(yoi_event));
  assert_int_equal(evs[0]->kind, YOI_EVENT_RESULT);
  assert_int_equal(evs[0]->flags, YOI_EV_CREATED);
  assert_int_equal(evs[0]->cursor.len, 0);
  assert_true(yoi_sdk_str_is(evs[0]->text, "{\"a\":1}"));
  assert_int_equal(next(s, &evs, &n, NULL), YOI_END);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_END);
  const yoi_stream_ops *ops = s->ops;
  ops->cancel(s);
  ops->release(s);
  ops->release(NULL);
}

static void output_is_one_piece_of_a_tools_result(void **state) {
  (void)state;
  yoi_stream *s = yoi_sdk_stream_output(YOI_LIT("abc"));
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 1);
  assert_int_equal(evs[0]->kind, YOI_EVENT_TOOL_OUTPUT);
  assert_true(yoi_sdk_str_is(evs[0]->text, "abc"));
  assert_int_equal(next(s, &evs, &n, NULL), YOI_END);
  s->ops->release(s);
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_stream_output(YOI_LIT("x")));
  (void)yoi_sdk_mem_fail_at(0);
}

static void take_owns_the_text_in_any_case(void **state) {
  (void)state;
  yoi_stream *s = yoi_sdk_stream_one_take(yoi_sdk_strndup("abc", 3), 3, 0);
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(next(s, &evs, &n, NULL), YOI_OK);
  assert_true(yoi_sdk_str_is(evs[0]->text, "abc"));
  s->ops->release(s);
  assert_null(yoi_sdk_stream_one_take(NULL, 0, 0)); /* its allocation failed before */
  char *text = yoi_sdk_strndup("abc", 3);
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_stream_one_take(text, 3, 0));
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_stream_one(YOI_LIT("x"), 0));
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_stream_empty());
  (void)yoi_sdk_mem_fail_at(0);
}

static void empty_ends_at_once(void **state) {
  (void)state;
  yoi_stream *s = yoi_sdk_stream_empty();
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(next(s, &evs, &n, NULL), YOI_END);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_END);
  s->ops->release(s);
}

/* ---- the queue, one thread -------------------------------------------- */

static void one_wake_per_again(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 10, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(push(q, "abc"), YOI_OK);
  assert_int_equal(atomic_load(&wakes), 0); /* nobody waits yet */
  assert_int_equal(next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_AGAIN);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_AGAIN);
  assert_int_equal(push(q, "a"), YOI_OK);
  assert_int_equal(push(q, "b"), YOI_OK);
  assert_int_equal(atomic_load(&wakes), 1);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 2);
  assert_true(yoi_sdk_str_is(evs[1]->text, "b"));
  assert_int_equal(evs[1]->flags, YOI_EV_DURABLE);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_AGAIN);
  yoi_sdk_queue_finish(q);
  assert_int_equal(atomic_load(&wakes), 2);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_END);
  yoi_sdk_queue_drop(q);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_END);
  assert_int_equal(atomic_load(&wakes), 2);
  s->ops->release(s);
}

static void the_first_end_wins_and_stays(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 10, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  (void)yoi_sdk_fail(err, YOI_CODE_RATE_LIMITED, "slow down");
  yoi_sdk_fail_private(err, "the provider's words");
  err->retry_after_ms = 1500;
  assert_int_equal(push(q, "last"), YOI_OK);
  yoi_sdk_queue_fail(q, YOI_RESOURCE_EXHAUSTED, err);
  yoi_sdk_queue_finish(q);
  yoi_sdk_queue_fail(q, YOI_INTERNAL, NULL);
  assert_int_equal(push(q, "lost"), YOI_FAILED_PRECONDITION);
  yoi_sdk_queue_drop(q);
  yoi_sdk_error_clear(err);
  assert_int_equal(next(s, &evs, &n, err), YOI_OK); /* what was queued comes first */
  assert_true(n == 1 && yoi_sdk_str_is(evs[0]->text, "last"));
  for (int i = 0; i < 2; i++) {
    yoi_sdk_error_clear(err);
    assert_int_equal(next(s, &evs, &n, err), YOI_RESOURCE_EXHAUSTED);
    assert_int_equal(err->code, YOI_CODE_RATE_LIMITED);
    assert_int_equal(err->retry_after_ms, 1500);
    assert_string_equal(se.message, "slow down");
    assert_string_equal(se.private_detail, "the provider's words");
  }
  assert_int_equal(next(s, &evs, &n, NULL), YOI_RESOURCE_EXHAUSTED);
  s->ops->release(s);
}

static void a_producer_that_just_leaves_is_internal(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 10, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  struct yoi_sdk_error se;
  assert_int_equal(next(s, &evs, &n, NULL), YOI_AGAIN);
  yoi_sdk_queue_drop(q);
  assert_int_equal(atomic_load(&wakes), 1);
  assert_int_equal(next(s, &evs, &n, yoi_sdk_error_init(&se)), YOI_INTERNAL);
  assert_int_equal(se.e.code, YOI_CODE_INTERNAL);
  s->ops->release(s);
  yoi_sdk_queue_drop(NULL);
}

static void a_status_that_is_no_error_is_internal(void **state) {
  (void)state;
  static const yoi_status odd[] = {YOI_OK, YOI_AGAIN, YOI_END};
  for (size_t i = 0; i < 3; i++) {
    struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 10, NULL, NULL, NULL);
    yoi_stream *s = yoi_sdk_queue_stream(q);
    const yoi_event *const *evs;
    size_t n;
    yoi_sdk_queue_fail(q, odd[i], NULL);
    assert_int_equal(next(s, &evs, &n, NULL), YOI_INTERNAL);
    yoi_sdk_queue_drop(q);
    s->ops->release(s);
  }
}

static void what_waits_is_bounded(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 10, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(push(q, "01234567890"), YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(yoi_sdk_queue_push(q, YOI_EVENT_ACK, 0, YOI_LIT("cursor"), YOI_LIT("abc")),
                   YOI_OK);
  assert_int_equal(yoi_sdk_queue_bytes(q), 9);
  assert_int_equal(push(q, "ab"), YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(push(q, "a"), YOI_OK);
  assert_int_equal(push(q, ""), YOI_OK);
  assert_int_equal(yoi_sdk_queue_bytes(q), 10);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 3);
  assert_true(yoi_sdk_str_is(evs[0]->cursor, "cursor"));
  assert_int_equal(yoi_sdk_queue_bytes(q), 0);
  assert_int_equal(push(q, "0123456789"), YOI_OK);
  yoi_sdk_queue_drop(q);
  s->ops->release(s);
}

static void a_batch_lives_until_the_next_next(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 1000, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n, seen = 0, all = YOI_EVENT_BATCH_MAX * 2 + 3;
  for (size_t i = 0; i < all; i++) assert_int_equal(push(q, "x"), YOI_OK);
  while (next(s, &evs, &n, NULL) == YOI_OK) {
    assert_true(n >= 1 && n <= YOI_EVENT_BATCH_MAX);
    if (seen == 0) assert_int_equal(push(q, "x"), YOI_OK); /* the batch stays as it is */
    for (size_t i = 0; i < n; i++) assert_true(yoi_sdk_str_is(evs[i]->text, "x"));
    seen += n;
  }
  assert_int_equal(seen, all + 1);
  yoi_sdk_queue_drop(q);
  s->ops->release(s);
}

static void cancel_without_a_callback_ends_the_stream(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 10, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(next(s, &evs, &n, NULL), YOI_AGAIN);
  s->ops->cancel(s);
  s->ops->cancel(s);
  assert_int_equal(atomic_load(&wakes), 1); /* cancel counts as news */
  assert_int_equal(push(q, "lost"), YOI_FAILED_PRECONDITION);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_CANCELLED);
  yoi_sdk_queue_drop(q);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_CANCELLED);
  s->ops->release(s);
}

static void cancel_tells_the_producer_once(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 10, on_cancel, on_release, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(next(s, &evs, &n, NULL), YOI_AGAIN);
  s->ops->cancel(s);
  s->ops->cancel(s);
  assert_int_equal(atomic_load(&cancels), 1);
  assert_int_equal(push(q, "more"), YOI_OK); /* as it would have ended */
  yoi_sdk_queue_fail(q, YOI_CANCELLED, NULL);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(next(s, &evs, &n, NULL), YOI_CANCELLED);
  s->ops->release(s);
  assert_int_equal(atomic_load(&releases), 1);
  yoi_sdk_queue_drop(q);
  /* One that is final, or whose producer is gone, tells nobody. */
  for (int gone = 0; gone < 2; gone++) {
    q = yoi_sdk_queue_new(&host, TOKEN, 10, on_cancel, on_release, NULL);
    s = yoi_sdk_queue_stream(q);
    if (gone)
      yoi_sdk_queue_drop(q);
    else
      yoi_sdk_queue_finish(q);
    s->ops->cancel(s);
    s->ops->release(s);
    assert_int_equal(atomic_load(&cancels), 1);
    assert_int_equal(atomic_load(&releases), 2);
    if (!gone) yoi_sdk_queue_drop(q);
  }
}

static void drop_in_release(void *ctx) {
  yoi_sdk_queue_drop(*(struct yoi_sdk_queue **)ctx);
}

static void the_producer_may_leave_inside_on_release(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = NULL;
  q = yoi_sdk_queue_new(&host, TOKEN, 10, NULL, drop_in_release, &q);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  assert_int_equal(push(q, "x"), YOI_OK);
  s->ops->release(s);
}

/* Never polled, given, waiting, ended; producer there or gone; something
 * queued or not. Leaks and late uses are the sanitizer's to find. */
static void release_in_every_state(void **state) {
  (void)state;
  for (int polls = 0; polls < 3; polls++) {
    for (int bits = 0; bits < 8; bits++) {
      struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 100, on_cancel, on_release, NULL);
      yoi_stream *s = yoi_sdk_queue_stream(q);
      const yoi_event *const *evs;
      size_t n;
      if (bits & 1) assert_int_equal(push(q, "one"), YOI_OK);
      if (bits & 2) yoi_sdk_queue_finish(q);
      for (int i = 0; i < polls; i++) (void)next(s, &evs, &n, NULL);
      if (bits & 4) yoi_sdk_queue_drop(q);
      s->ops->release(s);
      if (bits & 4) continue;
      yoi_status st = push(q, "late");
      assert_int_equal(st, bits & 2 ? YOI_FAILED_PRECONDITION : YOI_CANCELLED);
      assert_int_equal(yoi_sdk_queue_bytes(q), 0);
      yoi_sdk_queue_drop(q);
    }
  }
}

static void a_stream_that_was_never_taken(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 100, on_cancel, on_release, NULL);
  assert_int_equal(push(q, "one"), YOI_OK);
  yoi_sdk_queue_drop(q);
  assert_int_equal(atomic_load(&releases), 0);
}

static void short_memory(void **state) {
  (void)state;
  (void)yoi_sdk_mem_fail_at(1);
  assert_null(yoi_sdk_queue_new(&host, TOKEN, 100, NULL, NULL, NULL));
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 100, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  (void)yoi_sdk_mem_fail_at(1);
  assert_int_equal(push(q, "x"), YOI_RESOURCE_EXHAUSTED);
  (void)yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "x");
  (void)yoi_sdk_mem_fail_at(1);
  yoi_sdk_queue_fail(q, YOI_UNAVAILABLE, err); /* the status stands, the words are lost */
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(next(s, &evs, &n, err), YOI_UNAVAILABLE);
  assert_int_equal(err->code, 0);
  s->ops->release(s);
  yoi_sdk_queue_drop(q);
}

/* ---- between threads -------------------------------------------------- */

#define EVENTS 5000

static void *produce(void *queue) {
  struct yoi_sdk_queue *q = queue;
  for (int i = 0; i < EVENTS; i++) {
    char text[16];
    (void)snprintf(text, sizeof text, "%d", i);
    while (push(q, text) == YOI_RESOURCE_EXHAUSTED) {
      struct timespec moment = {0, 10000};
      (void)nanosleep(&moment, NULL); /* a full queue is the producer's to handle */
    }
  }
  yoi_sdk_queue_finish(q);
  yoi_sdk_queue_drop(q);
  return NULL;
}

static void all_events_in_order_and_each_again_woken_once(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 64, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  pthread_t t;
  int seen = 0, agains = 0;
  yoi_status st;
  assert_int_equal(pthread_create(&t, NULL, produce, q), 0);
  do {
    const yoi_event *const *evs;
    size_t n;
    st = next(s, &evs, &n, NULL);
    if (st == YOI_AGAIN) {
      agains++;
      (void)sem_wait(&news); /* without a wake this never returns */
    }
    for (size_t i = 0; st == YOI_OK && i < n; i++) {
      uint64_t v = 0;
      assert_int_equal(yoi_sdk_parse_u64(evs[i]->text, EVENTS, &v), 1);
      assert_int_equal(v, seen++);
    }
  } while (st == YOI_OK || st == YOI_AGAIN);
  assert_int_equal(st, YOI_END);
  assert_int_equal(seen, EVENTS);
  s->ops->release(s);
  (void)pthread_join(t, NULL);
  assert_int_equal(atomic_load(&wakes), agains);
}

/* A producer as plugins have them: it stops when it is told to. */
struct worker {
  struct yoi_sdk_queue *q;
  atomic_int stop;
  int round;
};

static void stop(void *ctx) {
  struct worker *w = ctx;
  atomic_store(&w->stop, 1);
}

static void *work(void *ctx) {
  struct worker *w = ctx;
  for (int i = 0; !atomic_load(&w->stop) && i < w->round * 7; i++) (void)push(w->q, "event");
  if (w->round % 3 == 0) yoi_sdk_queue_fail(w->q, YOI_CANCELLED, NULL);
  if (w->round % 3 == 1) yoi_sdk_queue_finish(w->q);
  yoi_sdk_queue_drop(w->q);
  return NULL;
}

static void *cancel(void *stream) {
  yoi_stream *s = stream;
  s->ops->cancel(s);
  return NULL;
}

static void push_cancel_finish_drop_and_release_race(void **state) {
  (void)state;
  for (int round = 0; round < 300; round++) {
    struct worker w = {.round = round % 20};
    pthread_t producer, canceller;
    w.q = yoi_sdk_queue_new(&host, TOKEN, 50, stop, stop, &w);
    yoi_stream *s = yoi_sdk_queue_stream(w.q);
    assert_int_equal(pthread_create(&producer, NULL, work, &w), 0);
    assert_int_equal(pthread_create(&canceller, NULL, cancel, s), 0);
    for (int i = 0; i < round % 5; i++) {
      const yoi_event *const *evs;
      size_t n;
      if (next(s, &evs, &n, NULL) != YOI_OK) continue;
      for (size_t k = 0; k < n; k++) assert_int_equal(evs[k]->text.len, 5);
    }
    (void)pthread_join(canceller, NULL); /* no cancel once release was called */
    s->ops->release(s);
    (void)pthread_join(producer, NULL);
  }
}

static void *finish(void *queue) {
  yoi_sdk_queue_finish(queue);
  return NULL;
}

static void *fail_it(void *queue) {
  char text[16] = "both";
  yoi_error err = {
      .size = sizeof err, .code = YOI_CODE_TIMEOUT, .message = text, .message_cap = sizeof text};
  yoi_sdk_queue_fail(queue, YOI_DEADLINE_EXCEEDED, &err);
  return NULL;
}

static void of_two_ends_at_once_one_wins(void **state) {
  (void)state;
  for (int round = 0; round < 300; round++) {
    struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, TOKEN, 50, NULL, NULL, NULL);
    yoi_stream *s = yoi_sdk_queue_stream(q);
    pthread_t a, b;
    const yoi_event *const *evs;
    size_t n;
    struct yoi_sdk_error se;
    assert_int_equal(next(s, &evs, &n, NULL), YOI_AGAIN);
    assert_int_equal(pthread_create(&a, NULL, finish, q), 0);
    assert_int_equal(pthread_create(&b, NULL, fail_it, q), 0);
    (void)sem_wait(&news);
    yoi_status first = next(s, &evs, &n, yoi_sdk_error_init(&se));
    assert_true(first == YOI_END || first == YOI_DEADLINE_EXCEEDED);
    assert_int_equal(se.e.code, first == YOI_END ? 0 : YOI_CODE_TIMEOUT);
    (void)pthread_join(a, NULL);
    (void)pthread_join(b, NULL);
    assert_int_equal(next(s, &evs, &n, NULL), first);
    yoi_sdk_queue_drop(q);
    s->ops->release(s);
    assert_int_equal(atomic_load(&wakes), round + 1);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(one_event_then_end),
      TEST(output_is_one_piece_of_a_tools_result),
      TEST(take_owns_the_text_in_any_case),
      TEST(empty_ends_at_once),
      TEST(one_wake_per_again),
      TEST(the_first_end_wins_and_stays),
      TEST(a_producer_that_just_leaves_is_internal),
      TEST(a_status_that_is_no_error_is_internal),
      TEST(what_waits_is_bounded),
      TEST(a_batch_lives_until_the_next_next),
      TEST(cancel_without_a_callback_ends_the_stream),
      TEST(cancel_tells_the_producer_once),
      TEST(the_producer_may_leave_inside_on_release),
      TEST(release_in_every_state),
      TEST(a_stream_that_was_never_taken),
      TEST(short_memory),
      TEST(all_events_in_order_and_each_again_woken_once),
      TEST(push_cancel_finish_drop_and_release_race),
      TEST(of_two_ends_at_once_one_wins),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
