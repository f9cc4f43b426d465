/* test_engine_edges.c - where two things meet that seldom do: a drain and an
 * input that is not accepted yet, a store that has a record before the worker
 * does, a task that cannot be posted, an answer behind a cancel.
 */
#include <sdk/mem.h>
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define STOP YOI_OP_WORKER_STOP
#define CANCEL YOI_OP_WORKER_CANCEL
#define DELETE YOI_OP_WORKER_DELETE
#define EVENTS YOI_OP_WORKER_EVENTS
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

static void make(struct rig *r) {
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
}

static void begin_turn(struct rig *r) {
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "x");
  fake_answer_gate(a);
  fake_answer_finish(a, "stop");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
}

static void run_loops(struct rig *r) {
  (void)fake_host_run(r->fh);
}

/* ---- drain ---- */

static void a_drain_meets_an_input_that_is_not_accepted(void **state) {
  struct rig *r = *state;
  uint64_t token = fake_token(r->fh);
  yoi_stream *drain = NULL;
  make(r);
  eng_store_mem_fail(r->store, 1, 1);
  yoi_stream *s = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL);
  assert_non_null(s); /* staged, not written */
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh), token, &drain, r->err), YOI_OK);
  assert_int_equal(fake_host_step(r->fh, 0), 1);     /* sets the timer */
  assert_int_equal(fake_host_step(r->fh, 0), 1);     /* cuts, and looks for turns */
  assert_int_equal(eng_store_mem_step(r->store), 1); /* the input fails */
  run_loops(r);
  assert_int_equal(rig_finish(r, s), YOI_INTERNAL);
  assert_int_equal(r->err->code, YOI_CODE_STORE_ERROR);
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  assert_int_equal(drain->ops->next(drain, &evs, &n, NULL), YOI_END);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn"), "");
  /* What comes behind its END changes nothing about it. */
  s = rig_start(r, STOP, "a", "", NULL);
  assert_int_equal(drain->ops->next(drain, &evs, &n, NULL), YOI_END);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

struct late_drain {
  struct rig *r;
  uint64_t token;
  yoi_stream *s;
};

static yoi_status drain_next(yoi_stream *s) {
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  return s->ops->next(s, &evs, &n, NULL);
}

static void drain_now(void *ctx) {
  struct late_drain *d = ctx;
  uint64_t at = fake_host_now(d->r->fh) + 1000000000u;
  assert_int_equal(eng_drain(d->r->self, at, d->token, &d->s, d->r->err), YOI_OK);
  assert_int_equal(drain_next(d->s), YOI_AGAIN); /* the create is not done */
}

static void a_drain_waits_for_a_create_in_flight(void **state) {
  struct rig *r = *state;
  struct late_drain d = {.r = r, .token = fake_token(r->fh)};
  fake_model_on_list(r->fh, drain_now, &d);
  make(r); /* it had looked before the drain began */
  assert_true(fake_token_wakes(r->fh, d.token) > 0);
  assert_int_equal(drain_next(d.s), YOI_END);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"b\"}", YOI_CODE_SHUTTING_DOWN);
  d.s->ops->release(d.s);
  fake_token_free(r->fh, d.token);
}

/* ---- a post that fails ---- */

static void a_turn_whose_last_task_cannot_be_posted_is_cleaned_up(void **state) {
  struct rig *r = *state;
  uint64_t token = fake_token(r->fh);
  yoi_stream *drain = NULL;
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  make(r);
  begin_turn(r);
  fake_host_fail_post(r->fh, 1);
  rig_ok(r, STOP, "a", "");
  assert_int_equal(fake_model_live(r->fh), 1); /* it is still held, on its loop */
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + 1000000000u, token, &drain, r->err),
                   YOI_OK);
  assert_int_equal(drain->ops->next(drain, &evs, &n, NULL), YOI_AGAIN);
  fake_host_advance(r->fh, 1000);
  rig_settle(r);
  assert_int_equal(fake_model_live(r->fh), 0);
  assert_int_equal(fake_host_timers(r->fh), 0);
  assert_int_equal(fake_host_tokens(r->fh), 0);
  assert_int_equal(drain->ops->next(drain, &evs, &n, NULL), YOI_END);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

static void a_wake_that_cannot_be_posted_is_made_good_by_the_wall_limit(void **state) {
  struct rig *r = *state;
  make(r);
  begin_turn(r);
  fake_host_fail_post(r->fh, 1);
  fake_model_open(r->fh);
  rig_settle(r);
  fake_host_advance(r->fh, YOI_WALL_MS_DEFAULT);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn.reason"), "\"time_limit\"");
  assert_int_equal(fake_host_timers(r->fh), 0);
}

/* ---- late verbs ---- */

static void a_late_stop_or_cancel_gets_the_outcome_of_the_first(void **state) {
  struct rig *r = *state;
  char first[512];
  make(r);
  begin_turn(r);
  rig_ok(r, STOP, "a", "");
  assert_true(rig_has(r, "\"turn_id\":"));
  (void)snprintf(first, sizeof first, "%s", r->text);
  rig_ok(r, STOP, "a", "");
  assert_string_equal(r->text, first);
  rig_ok(r, CANCEL, "a", "");
  assert_string_equal(r->text, first);
}

static void a_late_stop_of_an_idle_worker_names_no_turn(void **state) {
  struct rig *r = *state;
  char first[512];
  make(r);
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  rig_ok(r, STOP, "a", "");
  (void)snprintf(first, sizeof first, "%s", r->text);
  rig_ok(r, STOP, "a", "");
  assert_string_equal(r->text, first);
  assert_null(strstr(r->text, "turn_id"));
}

static void a_cancelled_operation_stays_cancelled(void **state) {
  struct rig *r = *state;
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  make(r);
  eng_store_mem_fail(r->store, 1, 1);
  yoi_stream *s = rig_start(r, STOP, "a", "", NULL);
  assert_non_null(s);
  s->ops->cancel(s);
  assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_CANCELLED);
  rig_settle(r);
  assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_CANCELLED);
  s->ops->release(s);
}

static void a_worker_that_is_gone_is_shown_to_nobody(void **state) {
  struct rig *r = *state;
  struct ear e = {.r = r, .token = fake_token(r->fh)};
  make(r);
  yoi_sdk_buf_init(&e.heard, 65536);
  e.s = rig_start(r, EVENTS, "a", "", &(yoi_request){.token = e.token});
  assert_non_null(e.s);
  rig_ok(r, STOP, "a", "");
  rig_ok(r, DELETE, "a", "");
  ear_settle(&e);
  assert_int_equal(e.st, YOI_END);
  assert_null(strstr(e.heard.data, "\"gone\""));
  assert_true(ear_has(&e, "\"reason\":\"worker_deleted\""));
  ear_close(&e);
}

static void a_watch_without_memory_ends_for_good(void **state) {
  struct rig *r = *state;
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  struct ear e;
  make(r);
  ear_open(&e, r, "a", NULL);
  ear_settle(&e);
  begin_turn(r);
  (void)yoi_sdk_mem_fail_at(1);
  assert_int_equal(e.s->ops->next(e.s, &evs, &n, r->err), YOI_INTERNAL);
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(e.s->ops->next(e.s, &evs, &n, r->err), YOI_INTERNAL);
  assert_int_equal(r->err->code, YOI_CODE_INTERNAL);
  ear_close(&e);
}

static void a_position_that_never_was_shows_no_worker_that_is_gone(void **state) {
  struct rig *r = *state;
  struct ear e;
  char cursor[128];
  make(r);
  rig_ok(r, STOP, "a", "");
  rig_ok(r, GET, "a", "");
  (void)snprintf(cursor, sizeof cursor, "%s", rig_get(r, "worker.cursor") + 1);
  memcpy(strrchr(cursor, '-'), "-9", 3);
  ear_open(&e, r, "a", cursor);
  rig_ok(r, DELETE, "a", "");
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "end");
  ear_close(&e);
}

/* ---- calls ---- */

static void call(struct fake_answer *a, const char *id, const char *arguments) {
  struct yoi_sdk_buf buf;
  yoi_sdk_buf_init(&buf, 1 << 20);
  yoi_sdk_buf_addf(&buf, "{\"id\":\"%s\",\"name\":\"t\",\"arguments\":\"%s\"}", id, arguments);
  fake_answer_event(a, YOI_EVENT_MODEL_TOOL_CALL, buf.data);
  yoi_sdk_buf_release(&buf);
}

static void an_id_that_is_made_up_is_no_other_call(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  call(a, "call_1_2", "{}");
  call(a, "", "{}");
  fake_answer_finish(a, "tool_calls");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_true(rig_has(r, "\"tool_call_id\":\"call_1_2\""));
  assert_true(rig_has(r, "\"tool_call_id\":\"call_1_3\""));
}

static void the_calls_of_an_answer_are_bounded_together(void **state) {
  struct rig *r = *state;
  size_t n = YOI_TOOL_ARGUMENTS_MAX - 64;
  char *arguments = malloc(n + 32);
  memset(arguments, ' ', n + 31);
  memcpy(arguments, "{", 1);
  memcpy(arguments + n, "}", 2);
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  for (int i = 0; i < 4; i++) call(a, "", arguments);
  fake_answer_finish(a, "tool_calls");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
  a = fake_model_answer(r->fh);
  for (int i = 0; i < 5; i++) call(a, "", arguments);
  fake_answer_finish(a, "tool_calls");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.error.details.kind"), "\"too_large\"");
  free(arguments);
}

/* ---- a store that has a record before the worker does ---- */

struct slow_store {
  struct eng_store head;
  struct eng_store *inner;
  struct eng_ticket ticket; /* given to inner */
  struct eng_ticket *held;  /* whose completion the test keeps back */
  yoi_status st;
  bool hold;
};

static struct slow_store *slow_of(struct eng_store *s) {
  return (struct slow_store *)s;
}

static void slow_done(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames,
                      size_t n) {
  struct slow_store *s =
      (struct slow_store *)(void *)((char *)t - offsetof(struct slow_store, ticket));
  (void)frames, (void)n;
  s->st = st;
}

static struct eng_log *slow_log_new(struct eng_store *s, yoi_str id,
                                    const struct eng_birth *birth) {
  return slow_of(s)->inner->ops->log_new(slow_of(s)->inner, id, birth);
}

static void slow_log_free(struct eng_store *s, struct eng_log *log) {
  slow_of(s)->inner->ops->log_free(slow_of(s)->inner, log);
}

static void slow_append(struct eng_store *s, struct eng_log *log, struct eng_frame *const *frames,
                        size_t n, enum eng_mark mark, struct eng_ticket *t) {
  struct slow_store *m = slow_of(s);
  if (!m->hold) {
    m->inner->ops->append(m->inner, log, frames, n, mark, t);
    return;
  }
  m->held = t;
  m->ticket.done = slow_done;
  m->inner->ops->append(m->inner, log, frames, n, mark, &m->ticket);
}

static void slow_read(struct eng_store *s, struct eng_log *log, uint64_t from, size_t limit,
                      int items_only, struct eng_ticket *t) {
  slow_of(s)->inner->ops->read(slow_of(s)->inner, log, from, limit, items_only, t);
}

static void slow_remove(struct eng_store *s, struct eng_log *log, struct eng_ticket *t) {
  slow_of(s)->inner->ops->remove(slow_of(s)->inner, log, t);
}

static void slow_stop(struct eng_store *s) {
  slow_of(s)->inner->ops->stop(slow_of(s)->inner);
}

static void slow_close(struct eng_store *s) {
  slow_of(s)->inner->ops->close(slow_of(s)->inner);
  free(s);
}

static void slow_release(struct slow_store *s) {
  struct eng_ticket *t = s->held;
  s->held = NULL;
  s->hold = false;
  assert_non_null(t);
  t->done(t, s->st, NULL, 0);
}

/* The rig, opened anew with such a store. */
static struct slow_store *open_slow(struct rig *r) {
  static const struct eng_store_ops ops = {
      .log_new = slow_log_new,
      .log_free = slow_log_free,
      .append = slow_append,
      .read = slow_read,
      .remove = slow_remove,
      .stop = slow_stop,
      .close = slow_close,
  };
  rig_close(r);
  *r = (struct rig){.fh = fake_host_new(2), .text = calloc(1, 1)};
  r->err = yoi_sdk_error_init(&r->se);
  r->token = fake_token(r->fh);
  struct slow_store *slow = calloc(1, sizeof *slow);
  slow->head.ops = &ops;
  slow->inner = eng_store_mem_new();
  r->store = slow->inner;
  const struct eng_options options = {.kind = YOI_LIT("test"),
                                      .display_name = YOI_LIT("Test"),
                                      .version = YOI_LIT("1.0.0"),
                                      .state_kind = YOI_LIT("memory"),
                                      .store = &slow->head};
  assert_int_equal(eng_open(fake_host_instance(r->fh), YOI_LIT("{}"), &options, &r->self, r->err),
                   YOI_OK);
  fake_host_holder(r->fh, eng_wake, r->self);
  return slow;
}

struct stopping {
  struct rig *r;
  struct slow_store *slow;
  yoi_stream *s;
};

static void stop_now(void *ctx) {
  struct stopping *x = ctx;
  x->slow->hold = true;
  x->s = rig_start(x->r, STOP, "a", "", NULL);
}

/* The stop is staged between the look at the turn and the step that the look
 * was for: no model is asked, since turn.ended says how many were. */
static void a_step_does_not_begin_behind_a_stop(void **state) {
  struct rig *r = *state;
  struct stopping x = {.r = r, .slow = open_slow(r)};
  make(r);
  fake_host_on_token(r->fh, stop_now, &x);
  yoi_stream *in = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL);
  run_loops(r);
  assert_non_null(x.s);
  slow_release(x.slow);
  assert_int_equal(rig_finish(r, in), YOI_OK);
  assert_int_equal(rig_finish(r, x.s), YOI_OK);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.reason"), "\"worker_stopped\"");
  assert_string_equal(rig_get(r, "worker.turn.steps"), "0");
  assert_int_equal(fake_model_requests(r->fh), 0);
}

static void a_replay_shows_no_record_before_it_is_applied(void **state) {
  struct rig *r = *state;
  struct ear e;
  char cursor[128];
  struct slow_store *slow = open_slow(r);
  make(r);
  (void)snprintf(cursor, sizeof cursor, "%s", rig_get(r, "worker.cursor") + 1);
  *strchr(cursor, '"') = 0;
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  slow->hold = true;
  yoi_stream *s = rig_start(r, STOP, "a", "", NULL);
  ear_open(&e, r, "a", cursor);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "input.accepted turn.started message.completed turn.ended");
  assert_int_equal(e.st, YOI_AGAIN);
  slow_release(slow);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "input.accepted turn.started message.completed turn.ended worker.stopped");
  ear_close(&e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_drain_meets_an_input_that_is_not_accepted, rig_setup_late,
                                      rig_teardown),
      RIG_TESTS(a_drain_waits_for_a_create_in_flight),
      RIG_TESTS(a_turn_whose_last_task_cannot_be_posted_is_cleaned_up),
      RIG_TESTS(a_wake_that_cannot_be_posted_is_made_good_by_the_wall_limit),
      RIG_TESTS(a_late_stop_or_cancel_gets_the_outcome_of_the_first),
      RIG_TESTS(a_late_stop_of_an_idle_worker_names_no_turn),
      cmocka_unit_test_setup_teardown(a_cancelled_operation_stays_cancelled, rig_setup_late,
                                      rig_teardown),
      RIG_TESTS(a_worker_that_is_gone_is_shown_to_nobody),
      RIG_TESTS(a_watch_without_memory_ends_for_good),
      RIG_TESTS(a_position_that_never_was_shows_no_worker_that_is_gone),
      RIG_TESTS(an_id_that_is_made_up_is_no_other_call),
      RIG_TESTS(the_calls_of_an_answer_are_bounded_together),
      cmocka_unit_test_setup_teardown(a_step_does_not_begin_behind_a_stop, rig_setup_at_once,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(a_replay_shows_no_record_before_it_is_applied,
                                      rig_setup_at_once, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
