/* test_host_stream.c - the wrapper stream: what a plugin may do wrong, and the
 * stream rules, each in every state.
 *
 * The runtime here is a table of the test: start hands out a queue whose other
 * end the test holds, or does what `mode` says.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>

#include "host/clock.h"
#include "host/stream.h"
#include "support/host_fixture.h"

enum { QUEUE, FAIL_START, NO_STREAM, BAD_NEXT, WAKE_IN_NEXT, WAKE_IN_START };

struct probe {
  const yoi_host *host;
  int mode;
  yoi_status st; /* what the failing modes answer */
  int32_t code;
  const char *message, *details, *private_detail;
  struct yoi_sdk_queue *queue;
  uint64_t token, deadline_ns;
  int wakes_left; /* WAKE_IN_NEXT */
  _Atomic int nexts, cancels, releases;
};

static struct probe probe; /* process-wide: the tables of plugins have no argument for it */

static void fill(yoi_error *err) {
  if (err == NULL) return;
  err->code = probe.code;
  if (probe.message != NULL) (void)snprintf(err->message, err->message_cap, "%s", probe.message);
  if (probe.details != NULL) (void)snprintf(err->details, err->details_cap, "%s", probe.details);
  if (probe.private_detail != NULL)
    (void)snprintf(err->private_detail, err->private_cap, "%s", probe.private_detail);
}

static yoi_status bad_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                           yoi_error *err) {
  (void)s;
  atomic_fetch_add(&probe.nexts, 1);
  if (probe.mode == WAKE_IN_NEXT && probe.wakes_left > 0) {
    probe.wakes_left--;
    probe.host->wake(probe.host, probe.token); /* between the look and AGAIN */
    return YOI_AGAIN;
  }
  if (probe.mode == WAKE_IN_START && probe.nexts == 1) return YOI_AGAIN; /* owes no wake */
  if (probe.mode == WAKE_IN_NEXT || probe.mode == WAKE_IN_START) return YOI_END;
  if (probe.st == YOI_OK) {
    *out_events = NULL;
    *out_n = 0;
  }
  fill(err);
  return probe.st;
}

static void bad_cancel(yoi_stream *s) {
  (void)s;
  atomic_fetch_add(&probe.cancels, 1);
}

static void bad_release(yoi_stream *s) {
  (void)s;
  atomic_fetch_add(&probe.releases, 1);
}

static const yoi_stream_ops bad_ops = {sizeof bad_ops, 0, bad_next, bad_cancel, bad_release};
static yoi_stream bad_stream = {&bad_ops}; /* process-wide: a constant in fact */

static void on_cancel(void *ctx) {
  (void)ctx;
  atomic_fetch_add(&probe.cancels, 1);
}

static void on_release(void *ctx) {
  (void)ctx;
  atomic_fetch_add(&probe.releases, 1);
}

static yoi_status probe_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  (void)config;
  (void)err;
  probe.host = host;
  *out_self = &probe;
  return YOI_OK;
}

static void probe_close(void *self) {
  assert_ptr_equal(self, &probe);
}

static yoi_status probe_start(void *self, const yoi_request *req, yoi_stream **out,
                              yoi_error *err) {
  (void)self;
  probe.token = req->token;
  probe.deadline_ns = req->deadline_ns;
  switch (probe.mode) {
    case QUEUE:
      probe.queue = yoi_sdk_queue_new(probe.host, req->token, 65536, on_cancel, on_release, NULL);
      *out = yoi_sdk_queue_stream(probe.queue);
      return YOI_OK;
    case FAIL_START:
      fill(err);
      return probe.st;
    case NO_STREAM:
      return YOI_OK;
    case WAKE_IN_START:
      probe.host->wake(probe.host, req->token);
      *out = &bad_stream;
      return YOI_OK;
    default:
      *out = &bad_stream;
      return YOI_OK;
  }
}

static const yoi_runtime probe_table = {.size = sizeof probe_table,
                                        .thread_model = YOI_PARALLEL,
                                        .open = probe_open,
                                        .close = probe_close,
                                        .start = probe_start};

/* The holder of the streams: counts its wakes. */
struct holding {
  struct yoi__holder holder;
  uint64_t token;
  _Atomic uint32_t wakes;
};

static void count_wake(void *self, uint64_t cookie) {
  (void)cookie;
  atomic_fetch_add(&((struct holding *)self)->wakes, 1u);
}

struct bench {
  struct host_fixture f;
  struct holding h;
  struct yoi_sdk_error e;
};

static void set_up(struct bench *b, int step, int mode) {
  memset(&probe, 0, sizeof probe);
  probe.mode = mode;
  memset(b, 0, sizeof *b);
  host_fixture_init(&b->f, step);
  host_fixture_runtime(&b->f, "a", &probe_table);
  host_fixture_start(&b->f);
  b->h.holder.wake = count_wake;
  b->h.holder.self = &b->h;
  yoi__token_new(b->f.host->tokens, &b->h.holder, 0, &b->h.token, NULL);
  (void)yoi_sdk_error_init(&b->e);
}

static void tear_down(struct bench *b) {
  if (probe.queue != NULL) yoi_sdk_queue_drop(probe.queue);
  probe.queue = NULL;
  yoi__holder_close(b->f.host->tokens, &b->h.holder);
  /* All references are back: closing would wait for them else. */
  assert_int_equal(atomic_load(&host_fixture_instance(&b->f, "a")->refs), 0);
  host_fixture_stop(&b->f);
}

static yoi_status start_op(struct bench *b, uint32_t op, uint64_t deadline_ns, yoi_stream **out) {
  yoi_request r = fixture_request(op);
  r.token = b->h.token;
  r.deadline_ns = deadline_ns;
  return yoi__registry_start(b->f.host, YOI_LIT("a"), &r, out, &b->e.e);
}

static yoi_stream *stream_of(struct bench *b) {
  yoi_stream *s = NULL;
  assert_int_equal(start_op(b, YOI_OP_RUNTIME_DESCRIBE, 0, &s), YOI_OK);
  assert_non_null(s);
  return s;
}

static yoi_status next_of(struct bench *b, yoi_stream *s, size_t *out_n) {
  const yoi_event *const *events = NULL;
  *out_n = 0;
  return s->ops->next(s, &events, out_n, &b->e.e);
}

/* ---- answers ----------------------------------------------------------- */

static void test_events_then_end_and_end_is_sticky(void **state) {
  struct bench b;
  size_t n = 0;
  (void)state;
  set_up(&b, 1, QUEUE);
  yoi_stream *s = stream_of(&b);
  assert_int_equal(next_of(&b, s, &n), YOI_AGAIN);
  yoi_sdk_queue_push(probe.queue, YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{}"));
  assert_int_equal(b.h.wakes, 1); /* straight to the holder, no hop */
  assert_int_equal(next_of(&b, s, &n), YOI_OK);
  assert_int_equal(n, 1);
  yoi_sdk_queue_finish(probe.queue);
  assert_int_equal(next_of(&b, s, &n), YOI_END);
  assert_int_equal(next_of(&b, s, &n), YOI_END);
  s->ops->release(s);
  assert_int_equal(probe.releases, 1);
  tear_down(&b);
}

static void test_a_unary_answer_needs_no_end(void **state) {
  struct bench b;
  size_t n = 0;
  (void)state;
  set_up(&b, 1, QUEUE);
  yoi_stream *s = stream_of(&b);
  yoi_sdk_queue_push(probe.queue, YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{}"));
  assert_int_equal(next_of(&b, s, &n), YOI_OK);
  assert_int_equal(next_of(&b, s, &n), YOI_END); /* and not AGAIN for ever */
  yoi_sdk_queue_push(probe.queue, YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{}"));
  assert_int_equal(next_of(&b, s, &n), YOI_END);
  s->ops->release(s);
  tear_down(&b);
}

/* A bundle is given out as it is; everything else is one line. */
static void test_the_bytes_of_a_bundle_need_be_no_line(void **state) {
  static const uint32_t ops[] = {YOI_OP_BUNDLE_GET, YOI_OP_BUNDLE_HAVE};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    struct bench b;
    size_t n = 0;
    yoi_stream *s = NULL;
    yoi_request r = fixture_request(ops[i]);
    set_up(&b, 1, QUEUE);
    r.token = b.h.token;
    r.subject = YOI_LIT("sha256:00");
    assert_int_equal(yoi__registry_start(b.f.host, YOI_LIT("a"), &r, &s, &b.e.e), YOI_OK);
    yoi_sdk_queue_push(probe.queue, YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{\n}\r\n"));
    if (i == 0)
      assert_int_equal(next_of(&b, s, &n), YOI_OK);
    else
      assert_int_equal(next_of(&b, s, &n), YOI_INTERNAL);
    s->ops->release(s);
    tear_down(&b);
  }
}

static void expect_error(struct bench *b, yoi_status st, int32_t code, const char *message) {
  size_t n = 0;
  yoi_stream *s = NULL;
  yoi_status got = start_op(b, YOI_OP_RUNTIME_DESCRIBE, 0, &s);
  if (s != NULL) {
    assert_int_equal(got, YOI_OK);
    got = next_of(b, s, &n);
  }
  for (int again = 0; again < 2; again++) {
    assert_int_equal(got, st);
    assert_int_equal(b->e.e.code, code);
    if (message != NULL) assert_string_equal(b->e.message, message);
    assert_true(b->e.message[0] != '\0');
    assert_string_equal(b->e.private_detail, ""); /* the log's, nobody else's */
    if (s == NULL) return;
    (void)yoi_sdk_error_init(&b->e);
    got = next_of(b, s, &n); /* sticky, with its text */
  }
  s->ops->release(s);
}

static void test_errors_are_made_public(void **state) {
  static const struct {
    yoi_status st;
    int32_t code;
    const char *message, *details;
    yoi_status out_st;
    int32_t out_code;
    const char *out_details;
  } rows[] = {
      {YOI_FAILED_PRECONDITION, YOI_CODE_WORKER_BUSY, "worker 'w' is busy", "{\"a\":1}",
       YOI_FAILED_PRECONDITION, YOI_CODE_WORKER_BUSY, "{\"a\":1}"},
      /* the code decides, also over a status that does not fit it */
      {YOI_UNKNOWN, YOI_CODE_WORKER_BUSY, "busy", NULL, YOI_FAILED_PRECONDITION,
       YOI_CODE_WORKER_BUSY, ""},
      /* no code: from the status */
      {YOI_UNAVAILABLE, 0, "gone", NULL, YOI_UNAVAILABLE, YOI_CODE_RUNTIME_UNAVAILABLE, ""},
      /* a code that nobody knows */
      {YOI_NOT_FOUND, 9999, "strange", NULL, YOI_INTERNAL, YOI_CODE_INTERNAL, ""},
      /* statuses that are none */
      {77, YOI_CODE_WORKER_BUSY, "strange", NULL, YOI_INTERNAL, YOI_CODE_INTERNAL, ""},
      {-9, 0, "strange", NULL, YOI_INTERNAL, YOI_CODE_INTERNAL, ""},
      /* no message, and one with a control character */
      {YOI_NOT_FOUND, YOI_CODE_WORKER_NOT_FOUND, NULL, NULL, YOI_NOT_FOUND,
       YOI_CODE_WORKER_NOT_FOUND, ""},
      {YOI_NOT_FOUND, YOI_CODE_WORKER_NOT_FOUND, "two\nlines", NULL, YOI_NOT_FOUND,
       YOI_CODE_WORKER_NOT_FOUND, ""},
      {YOI_NOT_FOUND, YOI_CODE_WORKER_NOT_FOUND, "\xff\xfe", NULL, YOI_NOT_FOUND,
       YOI_CODE_WORKER_NOT_FOUND, ""},
      /* details that are no object */
      {YOI_NOT_FOUND, YOI_CODE_WORKER_NOT_FOUND, "x", "[1]", YOI_NOT_FOUND,
       YOI_CODE_WORKER_NOT_FOUND, ""},
      {YOI_NOT_FOUND, YOI_CODE_WORKER_NOT_FOUND, "x", "{\"a\":", YOI_NOT_FOUND,
       YOI_CODE_WORKER_NOT_FOUND, ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int mode = FAIL_START; mode <= BAD_NEXT; mode += BAD_NEXT - FAIL_START) {
      struct bench b;
      set_up(&b, 1, mode);
      probe.st = rows[i].st;
      probe.code = rows[i].code;
      probe.message = rows[i].message;
      probe.details = rows[i].details;
      probe.private_detail = "/secret/path";
      expect_error(&b, rows[i].out_st, rows[i].out_code, NULL);
      assert_string_equal(b.e.details, rows[i].out_details);
      assert_null(strstr(b.e.message, "secret"));
      tear_down(&b);
    }
}

static void test_no_stream_and_no_events_are_internal(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 1, NO_STREAM);
  expect_error(&b, YOI_INTERNAL, YOI_CODE_INTERNAL, "runtime 'a' failed without a reason");
  tear_down(&b);
  set_up(&b, 1, BAD_NEXT);
  probe.st = YOI_OK;
  expect_error(&b, YOI_INTERNAL, YOI_CODE_INTERNAL, "runtime 'a' failed without a reason");
  tear_down(&b);
}

static void test_end_without_an_answer_is_internal(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 1, BAD_NEXT);
  probe.st = YOI_END;
  expect_error(&b, YOI_INTERNAL, YOI_CODE_INTERNAL, "runtime 'a' failed without a reason");
  tear_down(&b);
}

static void test_cancelled_stays_cancelled(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 1, BAD_NEXT);
  probe.st = YOI_CANCELLED;
  probe.private_detail = "/home/someone";
  expect_error(&b, YOI_CANCELLED, 0, "cancelled");
  tear_down(&b);
}

/* ---- deadlines --------------------------------------------------------- */

static int woken(void *ctx) {
  return atomic_load(&((struct bench *)ctx)->h.wakes) > 0;
}

static void times_out(int step) {
  struct bench b;
  size_t n = 0;
  yoi_stream *s = NULL;
  set_up(&b, step, QUEUE);
  uint64_t at = yoi__now_ns() + 20 * YOI__MS;
  assert_int_equal(start_op(&b, YOI_OP_RUNTIME_DESCRIBE, at, &s), YOI_OK);
  assert_int_equal(probe.deadline_ns, at); /* the plugin knows it too */
  assert_int_equal(next_of(&b, s, &n), YOI_AGAIN);
  host_fixture_until(&b.f, woken, &b); /* the timer is news for the holder */
  assert_int_equal(next_of(&b, s, &n), YOI_DEADLINE_EXCEEDED);
  assert_int_equal(b.e.e.code, YOI_CODE_TIMEOUT);
  assert_string_equal(b.e.message, "runtime 'a' did not answer in time");
  assert_int_equal(probe.cancels, 1);
  yoi_sdk_queue_push(probe.queue, YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{}"));
  assert_int_equal(next_of(&b, s, &n), YOI_DEADLINE_EXCEEDED); /* too late is too late */
  s->ops->release(s);
  tear_down(&b);
}

static void test_unary_deadline_is_a_timeout(void **state) {
  (void)state;
  times_out(1);
  times_out(0); /* polled off the loops: the timer is posted */
}

static void test_a_caller_may_only_lower_the_deadline(void **state) {
  struct bench b;
  yoi_stream *s = NULL;
  (void)state;
  set_up(&b, 1, QUEUE);
  uint64_t now = yoi__now_ns();
  assert_int_equal(start_op(&b, YOI_OP_WORKER_GET, now + 3600000 * YOI__MS, &s), YOI_OK);
  assert_true(probe.deadline_ns <= yoi__now_ns() + 10000 * YOI__MS);
  assert_true(probe.deadline_ns >= now + 10000 * YOI__MS);
  s->ops->release(s);
  yoi_sdk_queue_drop(probe.queue);
  assert_int_equal(start_op(&b, YOI_OP_WORKER_EVENTS, now + 1, &s), YOI_OK);
  assert_int_equal(probe.deadline_ns, 0); /* watching has none */
  s->ops->release(s);
  tear_down(&b);
}

static void test_follow_has_a_deadline_until_its_ack(void **state) {
  struct bench b;
  size_t n = 0;
  yoi_stream *s = NULL;
  (void)state;
  set_up(&b, 1, QUEUE);
  yoi_request r = fixture_request(YOI_OP_WORKER_INPUT);
  r.flags = YOI_REQ_FOLLOW;
  r.token = b.h.token;
  r.deadline_ns = yoi__now_ns() + 10 * YOI__MS;
  assert_int_equal(yoi__registry_start(b.f.host, YOI_LIT("a"), &r, &s, NULL), YOI_OK);
  assert_int_equal(next_of(&b, s, &n), YOI_AGAIN);
  yoi_sdk_queue_push(probe.queue, YOI_EVENT_ACK, 0, YOI_LIT(""), YOI_LIT("{}"));
  assert_int_equal(next_of(&b, s, &n), YOI_OK);
  while (yoi__now_ns() < r.deadline_ns + YOI__MS) sched_yield();
  assert_int_equal(next_of(&b, s, &n), YOI_AGAIN);
  s->ops->release(s);
  tear_down(&b);
}

static void test_events_of_what_there_is_have_a_deadline_until_the_first(void **state) {
  for (int comes = 0; comes < 2; comes++) {
    struct bench b;
    size_t n = 0;
    yoi_stream *s = NULL;
    (void)state;
    set_up(&b, 1, QUEUE);
    yoi_request r = fixture_request(YOI_OP_WORKER_EVENTS);
    r.flags = YOI_REQ_ONCE;
    r.token = b.h.token;
    r.deadline_ns = yoi__now_ns() + 10 * YOI__MS;
    assert_int_equal(yoi__registry_start(b.f.host, YOI_LIT("a"), &r, &s, NULL), YOI_OK);
    assert_int_equal(probe.deadline_ns, r.deadline_ns);
    assert_int_equal(next_of(&b, s, &n), YOI_AGAIN);
    if (comes) {
      yoi_sdk_queue_push(probe.queue, YOI_EVENT_SNAPSHOT, 0, YOI_LIT(""), YOI_LIT("{}"));
      assert_int_equal(next_of(&b, s, &n), YOI_OK);
    }
    while (yoi__now_ns() < r.deadline_ns + YOI__MS) sched_yield();
    assert_int_equal(next_of(&b, s, &n), comes ? YOI_AGAIN : YOI_DEADLINE_EXCEEDED);
    s->ops->release(s);
    tear_down(&b);
  }
}

/* ---- release in every state -------------------------------------------- */

static void test_release_in_every_state(void **state) {
  (void)state;
  enum { FRESH, WAITING, AFTER_EVENT, ENDED, FAILED, CANCELLED, TIMED_OUT, STATES };
  for (int step = 0; step < 2; step++)
    for (int at = FRESH; at < STATES; at++) {
      struct bench b;
      size_t n = 0;
      yoi_stream *s = NULL;
      set_up(&b, step, QUEUE);
      uint64_t soon = at == TIMED_OUT ? yoi__now_ns() + 1 : 0;
      assert_int_equal(start_op(&b, YOI_OP_RUNTIME_DESCRIBE, soon, &s), YOI_OK);
      if (at == AFTER_EVENT)
        yoi_sdk_queue_push(probe.queue, YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{}"));
      if (at == ENDED) yoi_sdk_queue_finish(probe.queue);
      if (at == FAILED) yoi_sdk_queue_fail(probe.queue, YOI_ABORTED, NULL);
      if (at == CANCELLED) s->ops->cancel(s);
      if (at != FRESH) (void)next_of(&b, s, &n);
      s->ops->release(s);
      assert_int_equal(probe.releases, 1);
      probe.host->wake(probe.host, b.h.token); /* late, and harmless */
      tear_down(&b);
    }
}

/* ---- wakes and races --------------------------------------------------- */

struct ending {
  _Atomic int events, ended;
  _Atomic yoi_status st;
};

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct ending *x = ctx;
  (void)err;
  assert_int_equal(atomic_load(&x->ended), 0);
  if (ev != NULL) {
    atomic_fetch_add(&x->events, 1);
    return;
  }
  atomic_store(&x->st, st);
  atomic_fetch_add(&x->ended, 1);
}

static int has_ended(void *ctx) {
  return atomic_load(&((struct ending *)ctx)->ended) > 0;
}

static int stream_gone(void *ctx) {
  struct bench *b = ctx;
  return atomic_load(&host_fixture_instance(&b->f, "a")->refs) == 0;
}

/* A wake inside next, before it says AGAIN, must cause one more next. */
static void wake_before_again(int step) {
  struct bench b;
  struct ending x = {0};
  set_up(&b, step, WAKE_IN_NEXT);
  probe.wakes_left = 100;
  yoi_request r = fixture_request(YOI_OP_WORKER_EVENTS);
  assert_int_equal(yoi_call(b.f.host, YOI_LIT("a"), &r, on_event, &x, NULL, NULL), YOI_OK);
  host_fixture_until(&b.f, has_ended, &x);
  assert_int_equal(x.st, YOI_END);
  assert_int_equal(probe.nexts, 101);
  host_fixture_until(&b.f, stream_gone, &b);
  tear_down(&b);
}

static void test_wake_between_look_and_again_is_kept(void **state) {
  (void)state;
  wake_before_again(1);
  wake_before_again(0);
}

/* A wake inside start must cause one more next after the unasked one. */
static void wake_in_start(int step) {
  struct bench b;
  struct ending x = {0};
  set_up(&b, step, WAKE_IN_START);
  yoi_request r = fixture_request(YOI_OP_WORKER_EVENTS);
  assert_int_equal(yoi_call(b.f.host, YOI_LIT("a"), &r, on_event, &x, NULL, NULL), YOI_OK);
  host_fixture_until(&b.f, has_ended, &x);
  assert_int_equal(x.st, YOI_END);
  assert_int_equal(probe.nexts, 2);
  host_fixture_until(&b.f, stream_gone, &b);
  tear_down(&b);
}

static void test_wake_during_start_is_kept(void **state) {
  (void)state;
  wake_in_start(1);
  wake_in_start(0);
}

struct racing {
  struct yoi_sdk_queue *queue;
  yoi_stream *stream;
  _Atomic int go;
};

static void *feeds(void *arg) {
  struct racing *r = arg;
  while (!atomic_load(&r->go)) sched_yield();
  for (int i = 0; i < 20; i++)
    yoi_sdk_queue_push(r->queue, YOI_EVENT_TEXT_DELTA, 0, YOI_LIT(""), YOI_LIT("{}"));
  yoi_sdk_queue_finish(r->queue);
  return NULL;
}

static void *cancels(void *arg) {
  struct racing *r = arg;
  while (!atomic_load(&r->go)) sched_yield();
  for (int i = 0; i < 3; i++) r->stream->ops->cancel(r->stream);
  return NULL;
}

/* next, cancel and the producer's wakes at once; then release. */
static void test_cancel_and_wake_race_with_next(void **state) {
  (void)state;
  for (int round = 0; round < 60; round++) {
    struct bench b;
    size_t n = 0;
    pthread_t feeder, canceller;
    set_up(&b, 0, QUEUE);
    struct racing r = {0};
    assert_int_equal(start_op(&b, YOI_OP_WORKER_EVENTS, 0, &r.stream), YOI_OK);
    r.queue = probe.queue;
    assert_int_equal(pthread_create(&feeder, NULL, feeds, &r), 0);
    assert_int_equal(pthread_create(&canceller, NULL, cancels, &r), 0);
    atomic_store(&r.go, 1);
    yoi_status st = YOI_AGAIN;
    uint32_t seen = 0;
    while (st == YOI_OK || st == YOI_AGAIN) {
      st = next_of(&b, r.stream, &n);
      if (st == YOI_AGAIN && seen == atomic_load(&b.h.wakes)) {
        uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
        while (seen == atomic_load(&b.h.wakes) && yoi__now_ns() < until) sched_yield();
        assert_true(yoi__now_ns() < until); /* AGAIN owes a wake */
      }
      seen = atomic_load(&b.h.wakes);
    }
    assert_int_equal(st, YOI_END);
    pthread_join(canceller, NULL); /* no cancel runs once release is called */
    r.stream->ops->release(r.stream);
    pthread_join(feeder, NULL);
    tear_down(&b);
  }
}

/* The same through yoi_call, where the library keeps cancel and release
 * apart; the call is cancelled while the feeder ends it. */
static void test_call_cancel_races_with_its_end(void **state) {
  (void)state;
  for (int round = 0; round < 60; round++) {
    struct bench b;
    struct ending x = {0};
    pthread_t feeder;
    uint64_t id = 0;
    set_up(&b, 0, QUEUE);
    yoi_request req = fixture_request(YOI_OP_WORKER_EVENTS);
    assert_int_equal(yoi_call(b.f.host, YOI_LIT("a"), &req, on_event, &x, &id, NULL), YOI_OK);
    struct racing r = {.queue = probe.queue};
    assert_int_equal(pthread_create(&feeder, NULL, feeds, &r), 0);
    atomic_store(&r.go, 1);
    for (int i = 0; i < 10; i++) yoi_call_cancel(b.f.host, id);
    host_fixture_until(&b.f, has_ended, &x);
    assert_int_equal(x.st, YOI_END);
    assert_int_equal(x.events, 20);
    yoi_call_cancel(b.f.host, id); /* finished: ignored */
    pthread_join(feeder, NULL);
    host_fixture_until(&b.f, stream_gone, &b);
    tear_down(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_events_then_end_and_end_is_sticky),
      cmocka_unit_test(test_a_unary_answer_needs_no_end),
      cmocka_unit_test(test_the_bytes_of_a_bundle_need_be_no_line),
      cmocka_unit_test(test_errors_are_made_public),
      cmocka_unit_test(test_no_stream_and_no_events_are_internal),
      cmocka_unit_test(test_cancelled_stays_cancelled),
      cmocka_unit_test(test_unary_deadline_is_a_timeout),
      cmocka_unit_test(test_a_caller_may_only_lower_the_deadline),
      cmocka_unit_test(test_follow_has_a_deadline_until_its_ack),
      cmocka_unit_test(test_events_of_what_there_is_have_a_deadline_until_the_first),
      cmocka_unit_test(test_release_in_every_state),
      cmocka_unit_test(test_wake_between_look_and_again_is_kept),
      cmocka_unit_test(test_wake_during_start_is_kept),
      cmocka_unit_test(test_end_without_an_answer_is_internal),
      cmocka_unit_test(test_cancel_and_wake_race_with_next),
      cmocka_unit_test(test_call_cancel_races_with_its_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
