/* Watched workers, with a remote that says what the test says. What is asked of it
 * is never sent: nobody has looked at the remote yet, so that all asks are parked,
 * and the test answers in their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sdk/plugin.h>

#include "runtimes/http-remote/remote.h"
#include "tests/unit/support/fake_host.h"

#define RESUME_MS 10000
#define ACK "{\"ack\":{\"sequence\":1,\"cursor\":\"k1\",\"state\":\"running\",\"turn_id\":\"t\"}}"
#define SNAPSHOT                                                                          \
  "{\"worker\":{\"worker_id\":\"ann\",\"state\":\"idle\",\"cursor\":\"k1\",\"capabilities\":[]}," \
  "\"sequence\":1,\"in_flight\":null}"
#define STARTED "{\"sequence\":1,\"turn_id\":\"t\"}"
#define ENDED                                                                 \
  "{\"sequence\":3,\"turn_id\":\"t\",\"turn\":{\"turn_id\":\"t\",\"state\":\"completed\"}}"
#define ROW(id) "{\"id\":\"" id "\",\"event\":\"turn.started\",\"data\":" STARTED "}"
#define NEWER(id) "{\"id\":\"" id "\",\"event\":\"audio.delta\",\"data\":{}}" /* unknown */
#define BATCH(rows, cursor) "{\"events\":[" rows "],\"cursor\":\"" cursor "\",\"end\":null}"

static struct fake_host *fh;
static struct rem_instance *remote;
static struct yoi_sdk_buf seen, text;

static int setup(void **state) {
  (void)state;
  fh = fake_host_new(2);
  const yoi_host *host = fake_host_instance(fh);
  struct rem_instance *i = calloc(1, sizeof *i + 2 * sizeof i->loops[0]);
  assert_non_null(i);
  remote = i;
  i->host = host;
  i->loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *i->loop);
  i->clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *i->clock);
  i->n_loops = 2;
  i->loops[0].instance = i->loops[1].instance = i;
  struct yoi_sdk_error e;
  assert_int_equal(rem_config_read(YOI_LIT("{\"base_url\":\"http://127.0.0.1:1\"}"), &i->config,
                                   yoi_sdk_error_init(&e)),
                   YOI_OK);
  i->config.resume_ms = RESUME_MS;
  assert_int_equal(pthread_mutex_init(&i->mu, NULL), 0);
  assert_int_equal(rem_health_init(i), YOI_OK);
  i->health.probe = (struct rem_ask *)(void *)i; /* it is being looked at, for ever */
  yoi_sdk_buf_init(&seen, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  fake_host_enter(0);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  fake_host_run(fh);
  assert_null(remote->watched); /* all that was released is gone */
  fake_host_close(fh);
  atomic_store(&remote->closing, 1u);
  remote->health.probe = NULL;
  rem_health_release(remote);
  rem_config_release(&remote->config);
  pthread_mutex_destroy(&remote->mu);
  free(remote);
  yoi_sdk_buf_release(&seen);
  yoi_sdk_buf_release(&text);
  fake_host_enter(YOI_NO_LOOP);
  fake_host_free(fh);
  return 0;
}

/* A stream with a token of its own; NULL: without a cursor. */
static struct rem_watcher *start(uint32_t op, const char *body, uint32_t flags) {
  struct yoi_sdk_error e;
  yoi_stream *s = NULL;
  yoi_request req = {.size = sizeof req,
                     .op = op,
                     .flags = flags,
                     .origin = YOI_ORIGIN_EMBED,
                     .token = fake_token(fh),
                     .worker_id = YOI_LIT("ann"),
                     .principal = YOI_LIT("embed"),
                     .body = body ? yoi_sdk_str(body) : (yoi_str){0}};
  assert_int_equal(rem_watch_start(remote, &req, &s, yoi_sdk_error_init(&e)), YOI_OK);
  return (struct rem_watcher *)(void *)s;
}

static struct rem_watcher *watch(const char *cursor_body) {
  return start(YOI_OP_WORKER_EVENTS, cursor_body, 0);
}

static struct rem_watcher *follow(void) {
  return start(YOI_OP_WORKER_INPUT, "{\"content\":\"hi\"}", YOI_REQ_FOLLOW);
}

static void leave(struct rem_watcher *x) {
  fake_token_free(fh, x->token);
  x->head.ops->release(&x->head);
}

/* All that it is given until it has to wait: "NAME CURSOR;", and how it ended. */
static const char *given(struct rem_watcher *x) {
  const yoi_event *const *events = NULL;
  struct yoi_sdk_error e;
  yoi_status st = YOI_OK;
  size_t n = 0;
  yoi_sdk_buf_clear(&seen);
  for (int rounds = 0; rounds < 1000; rounds++) {
    st = x->head.ops->next(&x->head, &events, &n, yoi_sdk_error_init(&e));
    if (st != YOI_OK) break;
    assert_true(n > 0);
    for (size_t k = 0; k < n; k++) {
      const yoi_event *ev = events[k];
      yoi_str more = ev->kind == YOI_EVENT_END ? ev->text : ev->cursor;
      yoi_sdk_buf_addf(&seen, "%s %.*s;", yoi_sdk_event_name(ev->kind), (int)more.len, more.ptr);
    }
  }
  if (st == YOI_END) yoi_sdk_buf_adds(&seen, YOI_LIT("END"));
  if (st != YOI_END && st != YOI_AGAIN) yoi_sdk_buf_addf(&seen, "%s", yoi_sdk_code_name(e.e.code));
  yoi_sdk_buf_addc(&seen, '\0');
  return seen.data;
}

static int sse(struct rem_watched *w, const char *type, const char *id, const char *data) {
  struct yoi_sdk_sse_event ev = {yoi_sdk_str(type), yoi_sdk_str(data), yoi_sdk_str(id)};
  assert_non_null(w->up);
  return w->up->handler->event(w->up->ctx, &ev);
}

static void opened(struct rem_watched *w) {
  assert_non_null(w->up);
  w->up->handler->open(w->up->ctx);
}

static void lost(struct rem_watched *w) {
  struct rem_outcome o = {.opened = 1, .again = 1};
  assert_non_null(w->up);
  o.st = yoi_sdk_fail(yoi_sdk_error_init(&o.error), YOI_CODE_RUNTIME_UNAVAILABLE, "lost");
  w->up->handler->done(w->up->ctx, &o);
}

/* The token is not the right one. */
static void refused(struct rem_watched *w) {
  static const char body[] = "{\"error\":{\"code\":\"unauthorized\",\"message\":\"\"}}";
  struct rem_outcome o = {0};
  assert_non_null(w->up);
  o.st = rem_error_map(YOI_OP_WORKER_EVENTS, (yoi_str){0}, 401, yoi_sdk_str(body), 0,
                       yoi_sdk_error_init(&o.error));
  w->up->handler->done(w->up->ctx, &o);
}

/* All that the remote answers to a followed input. */
static void acknowledged(struct rem_watched *w, const char *answer) {
  struct rem_outcome o = {.text = yoi_sdk_str(answer)};
  (void)yoi_sdk_error_init(&o.error);
  assert_non_null(w->up);
  w->up->handler->done(w->up->ctx, &o);
}

static void batch(struct rem_watcher *x, const char *answer) {
  struct rem_outcome o = {.text = yoi_sdk_str(answer)};
  (void)yoi_sdk_error_init(&o.error);
  assert_non_null(x->read);
  x->read->handler->done(x->read->ctx, &o);
}

static int asks(const struct rem_ask *a, const char *cursor) {
  assert_non_null(a);
  yoi_str url = yoi_sdk_buf_str(&a->request.url);
  char query[64];
  size_t n = (size_t)snprintf(query, sizeof query, "cursor=%s", cursor);
  return url.len > n && memcmp(url.ptr + url.len - n, query, n) == 0;
}

/* A message of the turn, or of another one, with so many bytes of text. */
static const char *message(const char *turn, size_t bytes) {
  yoi_sdk_buf_clear(&text);
  yoi_sdk_buf_addf(&text,
                   "{\"sequence\":1,\"turn_id\":\"%s\",\"item\":{\"sequence\":1,\"turn_id\":null,"
                   "\"role\":\"assistant\",\"content\":[],\"reasoning\":\"",
                   turn);
  memset(yoi_sdk_buf_reserve(&text, bytes), 'y', bytes);
  text.len += bytes;
  yoi_sdk_buf_adds(&text, YOI_LIT("\"}}"));
  yoi_sdk_buf_addc(&text, '\0');
  assert_false(text.failed);
  return text.data;
}

/* ---- a followed input ---------------------------------------------------------- */

static void a_followed_turn_has_all_its_events_however_large(void **state) {
  (void)state;
  struct rem_watcher *x = follow();
  struct rem_watched *w = x->w;
  opened(w);
  assert_int_equal(sse(w, "ack", "", ACK), 0);
  assert_int_equal(sse(w, "turn.started", "k2", STARTED), 0);
  assert_int_equal(sse(w, "message.completed", "k3", message("t", YOI_REMOTE_BUFFER_BYTES)), 0);
  assert_int_equal(sse(w, "message.completed", "k4", message("u", 10)), 0);
  assert_int_equal(sse(w, "message.completed", "k5", message("t", YOI_REMOTE_BUFFER_BYTES)), 0);
  assert_true(w->paused);
  assert_string_equal(given(x), "ack ;turn.started k2;message.completed k3;message.completed k5;");
  assert_null(x->read);
  assert_false(w->paused);
  /* What was given goes again. */
  assert_int_equal(sse(w, "message.completed", "k6", message("t", YOI_REMOTE_BUFFER_BYTES)), 0);
  assert_int_equal(w->end - w->base, 1);
  leave(x);
}

static void a_stream_taken_up_again_is_not_read_before_there_is_room(void **state) {
  (void)state;
  struct rem_watcher *x = follow();
  struct rem_watched *w = x->w;
  opened(w);
  assert_int_equal(sse(w, "ack", "", ACK), 0);
  assert_int_equal(sse(w, "message.completed", "k2", message("t", YOI_REMOTE_BUFFER_BYTES)), 0);
  lost(w);
  fake_host_advance(fh, RESUME_MS / 2);
  assert_true(asks(w->up, "k2"));
  opened(w);
  assert_true(w->paused);
  assert_string_equal(given(x), "ack ;message.completed k2;");
  assert_false(w->paused);
  leave(x);
}

/* ---- what is read on one's own -------------------------------------------------- */

#define FROM(cursor) "{\"cursor\":\"" cursor "\"}"

/* One who watches without a cursor, at `k1`. */
static struct rem_watcher *first_one(void) {
  struct rem_watcher *x = watch(NULL);
  opened(x->w);
  assert_int_equal(sse(x->w, "snapshot", "k1", SNAPSHOT), 0);
  assert_string_equal(given(x), "snapshot k1;");
  return x;
}

/* What makes it look for its place anew comes before it takes what it has read. */
static void a_slow_one_reads_on_when_its_place_never_came(void **state) {
  (void)state;
  for (int by_time = 0; by_time < 2; by_time++) {
    struct rem_watcher *one = first_one(), *two = watch(FROM("k0"));
    batch(two, BATCH(ROW("k2") "," ROW("k3"), "k3"));
    assert_int_equal(two->state, REM_JOINING);
    if (by_time) {
      fake_host_advance(fh, RESUME_MS);
    } else {
      lost(one->w);
      fake_host_advance(fh, RESUME_MS / 2);
      assert_true(asks(one->w->up, "k1"));
    }
    assert_int_equal(two->state, REM_READING);
    assert_null(two->read);
    assert_string_equal(given(two), "turn.started k2;turn.started k3;");
    fake_host_advance(fh, RESUME_MS); /* it waits before it asks the same again */
    assert_true(asks(two->read, "k3"));
    leave(one);
    leave(two);
  }
}

#define CUT(rows, cursor, retryable)                                                     \
  "{\"events\":[" rows "],\"cursor\":\"" cursor "\",\"end\":{\"reason\":\"error\",\"code\":" \
  "\"internal\",\"retryable\":" retryable ",\"cursor\":\"" cursor "\"}}"
#define END_OF(code, retryable, cursor)                                                \
  "end {\"reason\":\"error\",\"code\":\"" code "\",\"retryable\":" retryable ",\"cursor\":" cursor \
  "};END"

static void a_batch_that_is_cut_is_read_again_for_so_long(void **state) {
  (void)state;
  struct rem_watcher *x = watch(FROM("k0"));
  int asked = 0;
  batch(x, CUT(ROW("k1"), "k1", "true")); /* it gets on */
  assert_string_equal(given(x), "turn.started k1;");
  for (; x->state == REM_READING && asked < 100; asked++) {
    assert_true(asks(x->read, "k1"));
    batch(x, CUT("", "k1", "true"));
    fake_host_advance(fh, RESUME_MS / 4);
  }
  assert_in_range(asked, 2, 10);
  assert_string_equal(given(x), END_OF("runtime_unavailable", "true", "\"k1\""));
  leave(x);
}

static void a_batch_that_is_cut_for_good_ends_the_stream(void **state) {
  (void)state;
  struct rem_watcher *x = watch(FROM("k0"));
  batch(x, CUT("", "k0", "false"));
  assert_string_equal(given(x), END_OF("internal", "false", "\"k0\""));
  leave(x);
}

static void a_stream_that_only_ends_is_taken_up_again_for_so_long(void **state) {
  (void)state;
  struct rem_watcher *x = watch(NULL);
  struct rem_watched *w = x->w;
  int streams = 0;
  for (; w->phase != REM_OVER && streams < 100; streams++) {
    opened(w);
    assert_int_equal(sse(w, "end", "", "{\"reason\":\"error\",\"code\":\"internal\","
                                       "\"retryable\":true,\"cursor\":null}"), 0);
    lost(w);
    fake_host_advance(fh, RESUME_MS / 4);
  }
  assert_in_range(streams, 2, 10);
  assert_string_equal(given(x), "runtime_unavailable");
  leave(x);
}

/* What the remote says when the token that opened the stream was changed. */
#define UNAUTHORIZED                                                                      \
  "{\"reason\":\"error\",\"code\":\"unauthorized\",\"retryable\":false,\"cursor\":\"k1\"}"

static void a_stream_whose_token_is_over_is_taken_up_again_for_so_long(void **state) {
  (void)state;
  struct rem_watcher *x = first_one();
  struct rem_watched *w = x->w;
  int asked = 0;
  assert_int_equal(sse(w, "end", "", UNAUTHORIZED), 0);
  lost(w);
  assert_int_equal(w->phase, REM_LOST);
  assert_string_equal(given(x), "");
  for (; w->phase != REM_OVER && asked < 100; asked++) {
    fake_host_advance(fh, RESUME_MS / 4);
    if (w->phase == REM_OVER) break;
    assert_true(asks(w->up, "k1"));
    refused(w);
  }
  assert_in_range(asked, 2, 10);
  assert_string_equal(given(x), END_OF("runtime_unavailable", "true", "\"k1\""));
  leave(x);
}

static void a_batch_whose_token_is_over_may_be_read_again(void **state) {
  (void)state;
  struct rem_watcher *x = watch(FROM("k0"));
  batch(x, "{\"events\":[" ROW("k1") "],\"cursor\":\"k1\",\"end\":" UNAUTHORIZED "}");
  assert_string_equal(given(x), "turn.started k1;");
  batch(x, "{\"events\":[],\"cursor\":\"k1\",\"end\":" UNAUTHORIZED "}");
  assert_string_equal(given(x), "");
  fake_host_advance(fh, RESUME_MS / 4);
  assert_true(asks(x->read, "k1"));
  leave(x);
}

/* ---- kinds of events of a later version --------------------------------------------- */

static void a_full_batch_of_unknown_events_is_gone_on_behind(void **state) {
  (void)state;
  struct rem_watcher *x = watch(FROM("k0"));
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_adds(&b, YOI_LIT("{\"events\":["));
  for (int n = 1; n <= YOI_HTTP_BATCH_MAX; n++)
    yoi_sdk_buf_addf(&b, "%s{\"id\":\"k%d\",\"event\":\"audio.delta\",\"data\":{}}",
                     n > 1 ? "," : "", n);
  yoi_sdk_buf_adds(&b, YOI_LIT("],\"cursor\":\"k256\",\"end\":null}"));
  yoi_sdk_buf_addc(&b, '\0');
  batch(x, b.data);
  yoi_sdk_buf_release(&b);
  assert_string_equal(given(x), "");
  assert_true(asks(x->read, "k256"));
  batch(x, BATCH(ROW("k257"), "k257"));
  assert_string_equal(given(x), "turn.started k257;");
  assert_int_equal(x->state, REM_LIVE);
  leave(x);
}

static void a_large_batch_without_known_events_is_no_trap(void **state) {
  (void)state;
  static const char *const head[] = {
      "{\"events\":[{\"id\":\"k1\",\"event\":\"audio.delta\",\"data\":{}}],", "{\"events\":[],"};
  for (size_t n = 0; n < 2; n++) {
    struct rem_watcher *x = watch(FROM("k0"));
    yoi_sdk_buf_clear(&text);
    yoi_sdk_buf_addf(&text, "%s%*s\"cursor\":\"k0\",\"end\":null}", head[n],
                     YOI_BODY_BYTES_MAX, "");
    yoi_sdk_buf_addc(&text, '\0');
    batch(x, text.data);
    assert_string_equal(given(x), "");
    assert_true(n ? x->state == REM_LIVE : asks(x->read, "k1"));
    leave(x);
  }
}

static void who_reads_up_to_an_unknown_event_joins_there(void **state) {
  (void)state;
  struct rem_watcher *one = first_one(), *two = watch(FROM("k0")), *three = watch(FROM("j0"));
  struct rem_watched *w = one->w;
  /* Still to come for the one, there already for the other. */
  batch(two, BATCH(ROW("k2") "," NEWER("k3"), "k3"));
  assert_int_equal(two->state, REM_JOINING);
  assert_int_equal(sse(w, "turn.started", "k2", STARTED), 0);
  assert_int_equal(sse(w, "audio.delta", "k3", "no JSON, as it may be"), 0);
  assert_int_equal(two->state, REM_LIVE);
  assert_int_equal(sse(w, "turn.started", "k4", STARTED), 0);
  batch(three, BATCH(ROW("k2") "," NEWER("k3"), "k3"));
  assert_int_equal(three->state, REM_LIVE);
  assert_string_equal(given(one), "turn.started k2;turn.started k4;");
  assert_string_equal(given(two), "turn.started k2;turn.started k4;");
  assert_string_equal(given(three), "turn.started k2;turn.started k4;");
  lost(w);
  fake_host_advance(fh, RESUME_MS / 2);
  opened(w);
  assert_int_equal(sse(w, "audio.delta", "k5", "{}"), 0);
  lost(w);
  fake_host_advance(fh, RESUME_MS / 2);
  assert_true(asks(w->up, "k5")); /* it was got on to */
  rem_upstream_over(w, "worker_deleted", YOI_CODE_WORKER_NOT_FOUND, 0, NULL);
  /* The unknown one is the last in the buffer: that is no news, the end is. */
  assert_string_equal(given(two),
                      "end {\"reason\":\"worker_deleted\",\"code\":\"worker_not_found\","
                      "\"retryable\":false,\"cursor\":\"k5\"};END");
  leave(one);
  leave(two);
  leave(three);
}

static void all_there_is_may_end_with_unknown_events(void **state) {
  (void)state;
  struct rem_watcher *x = start(YOI_OP_WORKER_EVENTS, FROM("k0"), YOI_REQ_ONCE);
  batch(x, BATCH(ROW("k1") "," NEWER("k2"), "k2"));
  assert_string_equal(given(x), "turn.started k1;end {\"reason\":\"caught_up\",\"code\":null,"
                                "\"retryable\":true,\"cursor\":\"k2\"};END");
  leave(x);
}

/* What is no event is no stream's beginning, nor progress. */
static void what_has_no_kind_and_no_place_is_nothing(void **state) {
  (void)state;
  struct rem_watcher *x = watch(NULL);
  opened(x->w);
  assert_int_equal(sse(x->w, "message", "", "not JSON"), 0);
  assert_false(x->w->ever);
  assert_int_equal(x->w->end, 0);
  assert_int_equal(sse(x->w, "audio.delta", "a b", "{}"), 1); /* no cursor */
  leave(x);
}

static void who_wants_a_snapshot_gets_it_whoever_joins_meanwhile(void **state) {
  (void)state;
  struct rem_watcher *with = watch(FROM("k0"));
  fake_host_enter(1);
  struct rem_watcher *without = watch(NULL); /* loop 0 does not know it yet */
  fake_host_enter(0);
  struct rem_watched *w = with->w;
  assert_ptr_equal(without->w, w);
  batch(with, BATCH(ROW("k5"), "k5"));
  assert_non_null(w->up);
  assert_null(strstr(yoi_sdk_buf_str(&w->up->request.url).ptr, "cursor="));
  opened(w);
  assert_int_equal(sse(w, "snapshot", "k5", SNAPSHOT), 0);
  assert_string_equal(given(without), "snapshot k5;");
  assert_string_equal(given(with), "turn.started k5;");
  fake_host_advance(fh, RESUME_MS); /* it waits before it asks the same again */
  batch(with, BATCH("", "k5"));
  assert_int_equal(sse(w, "turn.started", "k6", STARTED), 0);
  assert_string_equal(given(without), "turn.started k6;");
  assert_string_equal(given(with), "turn.started k6;");
  leave(without);
  leave(with);
}

/* It is one of a remote that has no stream for it: the turn is followed all the same. */
static void an_acknowledgement_alone_passes_and_the_turn_is_followed(void **state) {
  (void)state;
  struct rem_watcher *x = follow();
  struct rem_watched *w = x->w;
  acknowledged(w, ACK " \t");
  assert_string_equal(given(x), "ack ;");
  fake_host_advance(fh, RESUME_MS / 4);
  assert_true(asks(w->up, "k1"));
  opened(w);
  assert_int_equal(sse(w, "turn.started", "k2", "{\"sequence\":2,\"turn_id\":\"u\"}"), 0);
  assert_int_equal(sse(w, "turn.ended", "k3", ENDED), 0);
  assert_string_equal(given(x), "turn.ended k3;end {\"reason\":\"turn_ended\",\"code\":null,"
                                "\"retryable\":false,\"cursor\":\"k3\"};END");
  leave(x);
}

static void an_acknowledgement_without_a_turn_is_all(void **state) {
  (void)state;
  struct rem_watcher *x = follow();
  acknowledged(x->w, "{\"ack\":{\"sequence\":1,\"cursor\":\"k1\",\"state\":\"idle\"}}");
  assert_string_equal(given(x), "ack ;end {\"reason\":\"turn_ended\",\"code\":null,"
                                "\"retryable\":false,\"cursor\":null};END");
  leave(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
      T(a_followed_turn_has_all_its_events_however_large),
      T(a_stream_taken_up_again_is_not_read_before_there_is_room),
      T(a_slow_one_reads_on_when_its_place_never_came),
      T(a_batch_that_is_cut_is_read_again_for_so_long),
      T(a_batch_that_is_cut_for_good_ends_the_stream),
      T(a_stream_that_only_ends_is_taken_up_again_for_so_long),
      T(a_stream_whose_token_is_over_is_taken_up_again_for_so_long),
      T(a_batch_whose_token_is_over_may_be_read_again),
      T(a_full_batch_of_unknown_events_is_gone_on_behind),
      T(a_large_batch_without_known_events_is_no_trap),
      T(who_reads_up_to_an_unknown_event_joins_there),
      T(all_there_is_may_end_with_unknown_events),
      T(what_has_no_kind_and_no_place_is_nothing),
      T(who_wants_a_snapshot_gets_it_whoever_joins_meanwhile),
      T(an_acknowledgement_alone_passes_and_the_turn_is_followed),
      T(an_acknowledgement_without_a_turn_is_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
