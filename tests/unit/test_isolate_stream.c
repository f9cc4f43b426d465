/* test_isolate_stream.c - the host's stream over a call elsewhere: this test is the
 * worker, and says what one may and may not say.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sdk/mem.h>
#include <yoi/ops.h>

#include "host/clock.h"
#include "host/isolate/isolate.h"
#include "host/isolate/wire.h"

struct scene {
  struct yoi_embed top;
  struct yoi__config config;
  struct yoi__plugin plugin;
  struct yoi__instance in;
  struct yoi__isolate *iso;
  struct yoi__channel worker;
  struct yoi__holder holder;
  _Atomic uint64_t stale;
  uint64_t token;
  uint32_t wakes;
};

static void woken(void *self, uint64_t cookie) {
  struct scene *s = self;
  (void)cookie;
  s->wakes++;
}

static struct scene *open_scene(void) {
  struct scene *s = yoi_sdk_calloc(1, sizeof *s);
  int busy[2];
  assert_non_null(s);
  assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, busy), 0);
  s->config.step = 1;
  s->plugin.manifest.kind = YOI_KIND_TOOL;
  s->plugin.manifest.id = YOI_LIT("org.example.far");
  s->top.config = &s->config;
  s->top.metrics = yoi__metrics_new();
  s->top.tokens = yoi__tokens_new(&s->stale);
  assert_int_equal(yoi__loops_new(1, 1, &s->top.loops, NULL), YOI_OK);
  s->in.top = &s->top;
  s->in.plugin = &s->plugin;
  s->in.name = s->plugin.manifest.id;
  s->holder = (struct yoi__holder){.wake = woken, .self = s};
  assert_int_equal(yoi__token_new(s->top.tokens, &s->holder, 0, &s->token, NULL), YOI_OK);
  s->iso = yoi__isolate_new(&s->in);
  assert_non_null(s->iso);
  assert_int_equal(yoi__channel_init(&s->iso->busy, busy[0], 0, YOI_JSON_BYTES_MAX), YOI_OK);
  assert_int_equal(yoi__channel_init(&s->worker, busy[1], 0, YOI_JSON_BYTES_MAX), YOI_OK);
  assert_true(yoi__keeper_start(&s->iso->keeper, 1));
  yoi__keeper_ready(&s->iso->keeper);
  /* A process that is not there: nothing of this test reaches one. */
  s->iso->pid = INT32_MAX;
  s->iso->closing = 0;
  return s;
}

static void close_scene(struct scene *s) {
  pthread_mutex_lock(&s->iso->lock);
  s->iso->closing = 1;
  pthread_mutex_unlock(&s->iso->lock);
  yoi__loops_free(s->top.loops); /* runs what was posted */
  yoi__channel_release(&s->worker);
  yoi__channel_release(&s->iso->busy);
  yoi__isolate_free(s->iso);
  yoi__tokens_free(s->top.tokens);
  yoi__metrics_free(s->top.metrics);
  yoi_sdk_free(s);
}

static yoi_stream *start(struct scene *s, uint64_t deadline_ns) {
  yoi_stream *out = NULL;
  assert_int_equal(yoi__far_start(s->iso, YOI_LIT("request"), s->token, deadline_ns, &out, NULL),
                   YOI_OK);
  return out;
}

/* What the host has said, which must be of that kind. */
static struct yoi__message said(struct scene *s, uint32_t kind) {
  struct yoi__message m;
  const char *why = NULL;
  assert_int_equal(yoi__channel_recv(&s->worker, &m, &why), 1);
  assert_int_equal(m.kind, kind);
  return m;
}

static void said_nothing(struct scene *s) {
  struct yoi__message m;
  const char *why = NULL;
  assert_int_equal(yoi__channel_recv(&s->worker, &m, &why), 0);
}

/* The worker says so; NULL, or the breach. */
static const char *says(struct scene *s, uint64_t id, yoi_status st, size_t text_len) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_error e;
  char *text = yoi_sdk_calloc(1, text_len + 1);
  const yoi_event ev = {.size = sizeof ev, .kind = YOI_EVENT_TOOL_OUTPUT, .text = {text, text_len}};
  const yoi_event *all[] = {&ev};
  uint64_t wake = 0;
  assert_non_null(text);
  memset(text, 'x', text_len);
  (void)yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_NOT_FOUND, "no such file");
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi__put_events(&b, st, &e.e, all, text_len > 0);
  const char *why = yoi__far_events(s->iso, id, yoi_sdk_buf_str(&b), &wake);
  if (wake != 0) yoi__token_wake(s->top.tokens, wake);
  yoi_sdk_buf_release(&b);
  yoi_sdk_free(text);
  return why;
}

static yoi_status next(yoi_stream *st, size_t *out_len) {
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status got = st->ops->next(st, &events, &n, NULL);
  if (out_len != NULL) *out_len = got == YOI_OK ? events[0]->text.len : 0;
  return got;
}

static void a_call_from_start_to_end(void **state) {
  struct scene *s = open_scene();
  (void)state;
  size_t len = 0;
  yoi_stream *st = start(s, 0);
  struct yoi__message m = said(s, YOI__MSG_START);
  assert_true(yoi_sdk_str_is(m.body, "request"));
  uint64_t id = m.id;
  assert_int_equal(next(st, NULL), YOI_AGAIN);
  assert_null(says(s, id, YOI_OK, 3));
  assert_int_equal(s->wakes, 1);
  assert_null(says(s, id, YOI_OK, 4));
  assert_int_equal(s->wakes, 1); /* one AGAIN, one wake */
  assert_int_equal(next(st, &len), YOI_OK);
  assert_int_equal(len, 3);
  assert_int_equal(next(st, &len), YOI_OK);
  assert_int_equal(len, 4);
  assert_int_equal(next(st, NULL), YOI_AGAIN);
  assert_null(says(s, id, YOI_END, 5));
  assert_int_equal(next(st, &len), YOI_OK);
  assert_int_equal(len, 5);
  assert_int_equal(next(st, NULL), YOI_END);
  assert_int_equal(next(st, NULL), YOI_END);
  assert_non_null(says(s, id, YOI_OK, 1)); /* the id is of no call any more */
  st->ops->release(st);
  said_nothing(s); /* there is nothing to be released there */
  close_scene(s);
}

static void an_error_is_what_the_worker_said(void **state) {
  struct scene *s = open_scene();
  (void)state;
  struct yoi_sdk_error e;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_stream *st = start(s, 0);
  assert_null(says(s, said(s, YOI__MSG_START).id, YOI_NOT_FOUND, 0));
  assert_int_equal(st->ops->next(st, &events, &n, yoi_sdk_error_init(&e)), YOI_NOT_FOUND);
  assert_string_equal(e.message, "no such file");
  st->ops->release(st);
  close_scene(s);
}

static void credit_is_given_for_what_was_read(void **state) {
  struct scene *s = open_scene();
  (void)state;
  yoi_stream *st = start(s, 0);
  uint64_t id = said(s, YOI__MSG_START).id;
  /* Two that fill the window, and one that was sent before it was full. */
  assert_null(says(s, id, YOI_OK, YOI_ISOLATED_WINDOW / 2));
  assert_null(says(s, id, YOI_OK, YOI_ISOLATED_WINDOW / 2 - 100));
  assert_null(says(s, id, YOI_OK, 10));
  assert_null(says(s, id, YOI_OK, 1)); /* the last byte of it is still free */
  const char *why = says(s, id, YOI_OK, 1);
  if (why == NULL) why = says(s, id, YOI_OK, 1);
  assert_string_equal(why, "more events than it was allowed");
  said_nothing(s);
  assert_int_equal(next(st, NULL), YOI_OK);
  struct yoi__message m = said(s, YOI__MSG_CREDIT);
  struct yoi__reader r = yoi__reader_of(m.body);
  assert_true(yoi__get_u64(&r) > YOI_ISOLATED_WINDOW / 2);
  assert_true(yoi__reader_done(&r));
  assert_null(says(s, id, YOI_OK, 1)); /* and it may go on */
  st->ops->cancel(st);
  assert_null(says(s, id, YOI_CANCELLED, 0));
  st->ops->release(st);
  close_scene(s);
}

static void cancel_and_release_are_told_once(void **state) {
  struct scene *s = open_scene();
  (void)state;
  yoi_stream *st = start(s, 0);
  uint64_t id = said(s, YOI__MSG_START).id;
  st->ops->cancel(st);
  st->ops->cancel(st);
  assert_int_equal(said(s, YOI__MSG_CANCEL).id, id);
  said_nothing(s);
  st->ops->release(st);
  assert_int_equal(said(s, YOI__MSG_RELEASE).id, id);
  /* The worker's last word frees it; leaks are the sanitizer's to find. */
  assert_null(says(s, id, YOI_OK, 100));
  assert_null(says(s, id, YOI_CANCELLED, 0));
  assert_non_null(says(s, id, YOI_CANCELLED, 0));
  close_scene(s);
}

static void a_deadline_cancels_and_then_ends_the_worker(void **state) {
  struct scene *s = open_scene();
  (void)state;
  uint64_t now = yoi__now_ns();
  yoi_stream *st = start(s, now + 1000 * YOI__MS);
  uint64_t id = said(s, YOI__MSG_START).id;
  pthread_mutex_lock(&s->iso->lock);
  assert_int_equal(yoi__far_due(s->iso, now), now + 1000 * YOI__MS);
  now += 1000 * YOI__MS;
  assert_int_equal(yoi__far_due(s->iso, now), now + YOI_CANCEL_GRACE_MS * YOI__MS);
  pthread_mutex_unlock(&s->iso->lock);
  assert_int_equal(said(s, YOI__MSG_CANCEL).id, id);
  assert_int_equal(next(st, NULL), YOI_AGAIN);
  pthread_mutex_lock(&s->iso->lock);
  (void)yoi__far_due(s->iso, now + YOI_CANCEL_GRACE_MS * YOI__MS);
  assert_true(s->iso->dead);
  pthread_mutex_unlock(&s->iso->lock);
  yoi__isolate_told(s->iso);
  assert_int_equal(s->wakes, 1);
  assert_int_equal(next(st, NULL), YOI_UNKNOWN); /* of a tool: what it did nobody knows */
  st->ops->release(st);
  close_scene(s);
}

static void a_worker_that_ends_answers_all_its_calls(void **state) {
  struct scene *s = open_scene();
  (void)state;
  struct yoi_sdk_error e;
  yoi_stream *all[3], *more = NULL;
  for (size_t i = 0; i < 3; i++) all[i] = start(s, 0);
  assert_int_equal(next(all[0], NULL), YOI_AGAIN);
  all[1]->ops->cancel(all[1]);
  all[2]->ops->release(all[2]);
  pthread_mutex_lock(&s->iso->lock);
  yoi__isolate_fail(s->iso, NULL);
  yoi__isolate_fail(s->iso, "twice");
  pthread_mutex_unlock(&s->iso->lock);
  yoi__isolate_told(s->iso);
  assert_int_equal(s->wakes, 1);
  const yoi_event *const *events = NULL;
  size_t n = 0;
  assert_int_equal(all[0]->ops->next(all[0], &events, &n, yoi_sdk_error_init(&e)), YOI_UNKNOWN);
  assert_int_equal(e.e.code, YOI_CODE_RUNTIME_UNAVAILABLE);
  assert_int_equal(e.e.flags & YOI_ERROR_RETRYABLE, YOI_ERROR_RETRYABLE);
  assert_int_equal(next(all[1], NULL), YOI_UNKNOWN);
  assert_int_equal(yoi__far_start(s->iso, YOI_LIT("r"), s->token, 0, &more, &e.e), YOI_UNAVAILABLE);
  all[0]->ops->release(all[0]);
  all[1]->ops->release(all[1]);
  close_scene(s);
}

static void calls_have_a_limit(void **state) {
  struct scene *s = open_scene();
  (void)state;
  static yoi_stream *all[YOI_ISOLATED_CALLS_MAX];
  struct yoi_sdk_error e;
  yoi_stream *more = NULL;
  for (size_t i = 0; i < YOI_ISOLATED_CALLS_MAX; i++) all[i] = start(s, 0);
  assert_int_equal(yoi__far_start(s->iso, YOI_LIT("r"), s->token, 0, &more, yoi_sdk_error_init(&e)),
                   YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(e.e.code, YOI_CODE_LIMIT_REACHED);
  uint64_t id = said(s, YOI__MSG_START).id;
  assert_null(says(s, id, YOI_END, 0));
  all[0]->ops->release(all[0]);
  all[0] = start(s, 0); /* the place again, and not the id */
  assert_non_null(says(s, id, YOI_END, 0));
  pthread_mutex_lock(&s->iso->lock);
  yoi__isolate_fail(s->iso, NULL);
  pthread_mutex_unlock(&s->iso->lock);
  for (size_t i = 0; i < YOI_ISOLATED_CALLS_MAX; i++) all[i]->ops->release(all[i]);
  close_scene(s);
}

/* A send that fails ends the worker, and with it all its calls: this one too. */
static void a_release_that_nobody_takes(void **state) {
  (void)state;
  for (int cancelled = 0; cancelled < 2; cancelled++) {
    struct scene *s = open_scene();
    yoi_stream *st = start(s, 0), *other = start(s, 0);
    assert_int_equal(next(st, NULL), YOI_AGAIN);
    assert_int_equal(next(other, NULL), YOI_AGAIN);
    if (cancelled) st->ops->cancel(st);
    shutdown(s->worker.fd, SHUT_RD); /* as a plugin can */
    st->ops->release(st);
    assert_true(s->iso->dead);
    assert_int_equal(s->wakes, 1); /* the other's holder; its token is the same */
    assert_int_equal(next(other, NULL), YOI_UNKNOWN);
    other->ops->release(other);
    close_scene(s);
  }
}

/* It asks and asks, and what it is answered it does not read. */
static void who_reads_no_answers_is_ended(void **state) {
  struct scene *s = open_scene();
  (void)state;
  uint64_t n = 0;
  while (!s->iso->dead && n < 10000)
    yoi__serve_answer(s->iso, s->iso->life, n++, YOI_LIT("four"), dup(s->worker.fd));
  assert_true(s->iso->dead);
  assert_string_equal(s->iso->why, "it does not read what it is sent");
  assert_int_equal(s->iso->busy.answers, YOI_ISOLATED_ASKS_MAX);
  close_scene(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_call_from_start_to_end),
      cmocka_unit_test(an_error_is_what_the_worker_said),
      cmocka_unit_test(credit_is_given_for_what_was_read),
      cmocka_unit_test(cancel_and_release_are_told_once),
      cmocka_unit_test(a_release_that_nobody_takes),
      cmocka_unit_test(a_deadline_cancels_and_then_ends_the_worker),
      cmocka_unit_test(a_worker_that_ends_answers_all_its_calls),
      cmocka_unit_test(calls_have_a_limit),
      cmocka_unit_test(who_reads_no_answers_is_ended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
