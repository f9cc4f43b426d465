/* test_engine_queue_ends.c - how inputs that wait end without having begun: a
 * stop, a drain, a store that fails, short memory. */
#include <sdk/mem.h>

#include "support/history.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define STOP YOI_OP_WORKER_STOP
#define DELETE YOI_OP_WORKER_DELETE

/* ---- ends ---- */

static void a_stop_ends_all_of_them(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  char id[64], first[256];
  queue_make(r);
  queue_begin(r);
  ear_follow(&f, r, "a", QUEUE("b"), "");
  ear_settle(&f);
  queue_say(r, QUEUE("c"), id);
  rig_ok(r, STOP, "a", "");
  (void)snprintf(first, sizeof first, "%s", r->text);
  ear_settle(&f);
  assert_string_equal(ear_kinds(&f), "ack turn.ended end");
  assert_true(ear_has(&f, "\"reason\":\"worker_stopped\",\"started_at\":null,"));
  ear_close(&f);
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "turn.ended "), 3);
  assert_int_equal(ear_count(&e, "worker.stopped "), 1);
  ear_close(&e);
  rig_ok(r, STOP, "a", "");
  assert_string_equal(r->text, first);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.queued"), "");
  assert_string_equal(rig_get(r, "worker.turn.steps"), "1"); /* the one that ran */
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "cancelled"), 3);
  rig_ok(r, DELETE, "a", "");
}

static yoi_status drain_next(yoi_stream *s) {
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  return s->ops->next(s, &evs, &n, NULL);
}

static void a_drain_ends_what_waits_and_lets_the_running_one_end(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  uint64_t token = fake_token(r->fh);
  yoi_stream *drain = NULL;
  char id[64];
  queue_make(r);
  queue_begin(r);
  ear_follow(&f, r, "a", QUEUE("b"), "");
  ear_settle(&f);
  queue_say(r, QUEUE("c"), id);
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + 1000000000u, token, &drain, r->err),
                   YOI_OK);
  ear_settle(&f);
  assert_string_equal(ear_kinds(&f), "ack turn.ended end");
  assert_true(ear_has(&f, "\"state\":\"cancelled\",\"reason\":\"shutting_down\""));
  ear_close(&f);
  assert_int_equal(drain_next(drain), YOI_AGAIN);
  queue_let_go(r);
  assert_int_equal(drain_next(drain), YOI_END);
  queue_began(r, "hi");
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "\"state\":\"completed\""), 1);
  ear_close(&e);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

/* What a drain ended is none of the running turn's business, whose next step
 * is still to come. */
static void a_step_in_a_drain_sees_nothing_of_what_waited(void **state) {
  struct rig *r = *state;
  uint64_t token = fake_token(r->fh);
  yoi_stream *drain = NULL;
  queue_make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_gate(a);
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_finish(a, "tool_calls");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  rig_ok(r, INPUT, "a", QUEUE("waits"));
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + 1000000000u, token, &drain, r->err),
                   YOI_OK);
  rig_settle(r);
  queue_let_go(r);
  assert_int_equal(drain_next(drain), YOI_END);
  assert_int_equal(fake_model_requests(r->fh), 2);
  const char *m = fake_model_messages(r->fh, 1);
  assert_non_null(strstr(m, "{\"role\":\"user\",\"content\":\"hi\"}\n"));
  assert_null(strstr(m, "waits"));
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

static void a_drain_meets_one_that_is_just_accepted(void **state) {
  struct rig *r = *state;
  struct ear e;
  uint64_t token = fake_token(r->fh);
  yoi_stream *drain = NULL;
  queue_make(r);
  queue_begin(r);
  yoi_stream *s = rig_start(r, INPUT, "a", QUEUE("b"), NULL);
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh), token, &drain, r->err), YOI_OK);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  fake_host_advance(r->fh, 1);
  rig_settle(r);
  assert_int_equal(drain_next(drain), YOI_END);
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "\"reason\":\"shutting_down\""), 2);
  ear_close(&e);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

/* A store that outlives the process: what waits is there when it comes back. */
static void a_drain_of_a_durable_store_drops_nothing(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  uint64_t token;
  yoi_stream *drain = NULL;
  unsigned mode = r->mode;
  rig_close(r);
  rig_open_as(r, mode, NULL, NULL, "durable");
  token = fake_token(r->fh);
  queue_make(r);
  queue_begin(r);
  ear_follow(&f, r, "a", QUEUE("b"), "");
  ear_settle(&f);
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + 1000000000u, token, &drain, r->err),
                   YOI_OK);
  queue_let_go(r);
  assert_int_equal(drain_next(drain), YOI_END);
  ear_settle(&f);
  assert_string_equal(ear_kinds(&f), "ack end");
  assert_true(ear_has(&f, "\"reason\":\"draining\""));
  ear_close(&f);
  queue_history(r, &e, 0);
  assert_int_equal(ear_count(&e, "turn.started "), 1);
  assert_int_equal(ear_count(&e, "turn.ended "), 1);
  assert_int_equal(ear_count(&e, "input.accepted "), 2);
  ear_close(&e);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

/* ---- stores that fail ---- */

static void a_failed_queue_or_interrupt_changes_nothing(void **state) {
  struct rig *r = *state;
  queue_make(r);
  queue_begin(r);
  eng_store_mem_fail(r->store, 1, 2);
  rig_refused(r, INPUT, "a", QUEUE("b"), YOI_CODE_STORE_ERROR);
  rig_refused(r, INPUT, "a", INTERRUPT("b"), YOI_CODE_STORE_ERROR);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.queued"), "");
  assert_string_equal(rig_get(r, "worker.turn.cancel_requested"), "");
  queue_let_go(r);
  queue_began(r, "hi");
}

static void an_end_that_cannot_be_written_is_written_with_the_next_begin(void **state) {
  struct rig *r = *state;
  struct ear e;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  eng_store_mem_fail(r->store, 1, 1);
  queue_let_go(r);
  queue_began(r, "hi b");
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "\"state\":\"failed\",\"reason\":\"store_error\""), 1);
  assert_int_equal(ear_count(&e, "\"state\":\"completed\""), 1);
  ear_close(&e);
}

/* The end of the turn is lost when an interrupt waits behind it. */
static void an_interrupt_meets_an_end_that_fails(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  if (!r->late) return;
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  fake_model_open(r->fh);
  (void)fake_host_run(r->fh);
  assert_int_equal(eng_store_mem_waiting(r->store), 1);
  eng_store_mem_fail(r->store, 1, 1);
  yoi_stream *s = rig_start(r, INPUT, "a", INTERRUPT("i"), NULL);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  queue_let_go(r);
  queue_began(r, "hi i b");
}

static void what_cannot_be_begun_ends(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  char id[64];
  queue_make(r);
  queue_begin(r);
  ear_follow(&f, r, "a", QUEUE("b"), "");
  ear_settle(&f);
  queue_say(r, QUEUE("c"), id);
  eng_store_mem_fail(r->store, 1, 2);
  queue_let_go(r);
  ear_settle(&f);
  assert_string_equal(ear_kinds(&f), "ack end");
  assert_true(ear_has(&f, "\"code\":\"store_error\""));
  ear_close(&f);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.queued"), "");
  assert_string_equal(rig_get(r, "worker.turn.turn_id"), id);
  assert_string_equal(rig_get(r, "worker.turn.reason"), "\"store_error\"");
  queue_history(r, &e, 0);
  assert_int_equal(ear_count(&e, "turn.ended "), 0); /* nothing is shown as durable */
  ear_close(&e);
  rig_ok(r, INPUT, "a", "{\"content\":\"d\"}");
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "\"reason\":\"store_error\""), 3);
  ear_close(&e);
  queue_began(r, "hi d");
  rig_ok(r, STOP, "a", "");
}

static void owed_ends_go_with_a_deleted_worker(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  eng_store_mem_fail(r->store, 1, 2);
  queue_let_go(r);
  rig_ok(r, STOP, "a", "");
  rig_ok(r, DELETE, "a", "");
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
}

static void a_stop_that_fails_leaves_the_queue(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  eng_store_mem_fail(r->store, 1, 1);
  rig_refused(r, STOP, "a", "", YOI_CODE_STORE_ERROR);
  queue_let_go(r);
  queue_began(r, "hi b");
}

static void a_drain_that_cannot_write_ends_them_in_memory(void **state) {
  struct rig *r = *state;
  uint64_t token = fake_token(r->fh);
  yoi_stream *drain = NULL;
  struct ear e;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  eng_store_mem_fail(r->store, 1, 1);
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + 1000000000u, token, &drain, r->err),
                   YOI_OK);
  queue_let_go(r);
  assert_int_equal(drain_next(drain), YOI_END);
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "\"reason\":\"shutting_down\""), 1);
  ear_close(&e);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

/* The queue cannot be ended, and then not the turn that runs. */
static void a_drain_owes_the_queue_before_the_running_turn(void **state) {
  struct rig *r = *state;
  uint64_t token = fake_token(r->fh);
  yoi_stream *drain = NULL;
  struct ear e;
  char id[64];
  queue_make(r);
  queue_begin(r);
  rig_ok(r, GET, "a", "");
  (void)snprintf(id, sizeof id, "%s", rig_get(r, "worker.turn.turn_id"));
  rig_ok(r, INPUT, "a", QUEUE("b"));
  eng_store_mem_fail(r->store, 1, 2);
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + 1000000000u, token, &drain, r->err),
                   YOI_OK);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.queued"), "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"running\"");
  queue_let_go(r);
  assert_int_equal(drain_next(drain), YOI_END);
  for (int written = 0; written < 2; written++) {
    rig_ok(r, GET, "a", "");
    assert_string_equal(rig_get(r, "worker.turn.turn_id"), id);
    assert_string_equal(rig_get(r, "worker.turn.reason"), "\"store_error\"");
    rig_ok(r, STOP, "a", "");
  }
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "turn.ended "), 2);
  const char *b = strstr(e.heard.data, "\"reason\":\"shutting_down\"");
  assert_non_null(b);
  assert_non_null(strstr(b, "\"reason\":\"store_error\""));
  ear_close(&e);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
}

/* ---- memory, and the end of everything ---- */

/* The end of the turn before could not be written; and now memory is short. */
static void what_was_about_to_begin_has_not_begun(void **state) {
  struct rig *r = *state;
  size_t failed = 0;
  for (uint64_t n = 1, made = n; made >= n; n++) {
    struct ear e;
    char id[64];
    assert_true(n < 200);
    rig_reopen(r, NULL, NULL);
    queue_make(r);
    queue_begin(r);
    queue_say(r, QUEUE("b"), id);
    eng_store_mem_fail(r->store, 1, 1);
    fake_host_advance(r->fh, 5);
    (void)yoi_sdk_mem_fail_at(n);
    queue_let_go(r);
    made = yoi_sdk_mem_fail_at(0);
    rig_ok(r, INPUT, "a", "{\"content\":\"d\"}");
    queue_let_go(r);
    queue_history(r, &e, 1);
    failed += ear_count(&e, "\"code\":\"internal\"");
    ear_close(&e);
  }
  assert_true(failed > 0);
}

static int scenario(struct rig *r, uint64_t n) {
  rig_reopen(r, NULL, NULL);
  queue_make(r);
  queue_begin(r);
  (void)yoi_sdk_mem_fail_at(n);
  yoi_stream *s[] = {
      rig_start(r, INPUT, "a", QUEUE("b"), NULL),
      rig_start(r, INPUT, "a", QUEUE("c"), &(yoi_request){.idempotency_key = YOI_LIT("k")}),
      rig_start(r, INPUT, "a", INTERRUPT("d"), NULL),
      rig_start(r, INPUT, "a", INTERRUPT("e"), NULL),
  };
  for (size_t i = 0; i < 4; i++)
    if (s[i]) (void)rig_finish(r, s[i]);
  queue_let_go(r);
  uint64_t made = yoi_sdk_mem_fail_at(0);
  struct ear e;
  rig_ok(r, INPUT, "a", QUEUE("again"));
  queue_let_go(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
  queue_history(r, &e, 1); /* also those that ended while memory was short */
  ear_close(&e);
  return made >= n;
}

static void any_allocation_may_fail(void **state) {
  struct rig *r = *state;
  uint64_t n = 1;
  while (scenario(r, n)) assert_true(++n < 2000);
  assert_true(n > 50);
}

static void close_takes_everything_along(void **state) {
  struct rig *r = *state;
  for (int steps = 0; steps < 10; steps++) {
    rig_reopen(r, NULL, NULL);
    queue_make(r);
    queue_begin(r);
    yoi_stream *s[] = {
        rig_start(r, INPUT, "a", QUEUE("b"), NULL), rig_start(r, INPUT, "a", INTERRUPT("c"), NULL),
        rig_start(r, INPUT, "a", INTERRUPT("d"), NULL), rig_start(r, INPUT, "a", QUEUE("e"), NULL)};
    for (int i = 0; i < steps; i++) {
      if (r->late && i % 2) (void)eng_store_mem_step(r->store);
      (void)fake_host_step(r->fh, (uint32_t)i / 2 % 2);
    }
    for (size_t i = 0; i < 4; i++) s[i]->ops->release(s[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(a_stop_ends_all_of_them),
      RIG_TESTS(a_drain_ends_what_waits_and_lets_the_running_one_end),
      RIG_TESTS(a_step_in_a_drain_sees_nothing_of_what_waited),
      RIG_TESTS(a_drain_meets_one_that_is_just_accepted),
      RIG_TESTS(a_drain_of_a_durable_store_drops_nothing),
      RIG_TESTS(a_failed_queue_or_interrupt_changes_nothing),
      RIG_TESTS(an_end_that_cannot_be_written_is_written_with_the_next_begin),
      RIG_TESTS(an_interrupt_meets_an_end_that_fails),
      RIG_TESTS(what_cannot_be_begun_ends),
      RIG_TESTS(owed_ends_go_with_a_deleted_worker),
      RIG_TESTS(a_stop_that_fails_leaves_the_queue),
      RIG_TESTS(a_drain_that_cannot_write_ends_them_in_memory),
      RIG_TESTS(a_drain_owes_the_queue_before_the_running_turn),
      RIG_TESTS(what_was_about_to_begin_has_not_begun),
      RIG_TESTS_OF_MEMORY(any_allocation_may_fail),
      RIG_TESTS(close_takes_everything_along),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
