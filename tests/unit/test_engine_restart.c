/* test_engine_restart.c - an engine over the records of one that is gone: what
 * survives, how a turn ends that a crash has cut at each of its records, and
 * when what waited begins. */
#include <sdk/hard.h>
#include <sdk/json.h>

#include "support/history.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define CANCEL YOI_OP_WORKER_CANCEL
#define STOP YOI_OP_WORKER_STOP
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

static char *text_of(struct rig *r, uint32_t op, const char *worker, const char *body) {
  rig_ok(r, op, worker, body);
  return strdup(r->text);
}

static void is_the_same(struct rig *r, uint32_t op, const char *worker, const char *body,
                        char *before) {
  rig_ok(r, op, worker, body);
  assert_string_equal(r->text, before);
  free(before);
}

/* ---- what survives ---- */

static void an_idle_worker_is_what_it_was(void **state) {
  struct rig *r = *state;
  yoi_request keyed = {.idempotency_key = YOI_LIT("k1")}, once = {.idempotency_key = YOI_LIT("i1")};
  const char *body =
      "{\"worker_id\":\"a\",\"display_name\":\"Ada \\\"L\\\"\",\"intent\":{\"kind\":\"task\","
      "\"objective\":\"count\\n\"}}";
  char cursor[128];
  assert_int_equal(rig_call_as(r, CREATE, "", body, &keyed), YOI_OK);
  (void)snprintf(cursor, sizeof cursor, "%s", rig_get(r, "worker.cursor") + 1);
  *strchr(cursor, '"') = 0;
  rig_ok(r, INPUT, "a", "{\"kind\":\"system\",\"content\":\"be kind\"}");
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &once), YOI_OK);
  char *ack = strdup(r->text);
  rig_settle(r);
  char *detail = text_of(r, GET, "a", ""), *items = text_of(r, TRANSCRIPT, "a", "");
  char *list = text_of(r, YOI_OP_WORKER_LIST, "", "");
  assert_int_equal(rig_call_as(r, CREATE, "", body, &keyed), YOI_OK);
  char *created = strdup(r->text);
  rig_restart(r);
  assert_int_equal(rig_call_as(r, CREATE, "", body, &keyed), YOI_OK);
  assert_string_equal(r->text, created);
  assert_int_equal(r->flags & YOI_EV_CREATED, 0);
  free(created);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &once), YOI_OK);
  assert_string_equal(r->text, ack);
  free(ack);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"ho\"}", &once),
                   YOI_ALREADY_EXISTS);
  is_the_same(r, GET, "a", "", detail);
  is_the_same(r, TRANSCRIPT, "a", "", items);
  is_the_same(r, YOI_OP_WORKER_LIST, "", "", list);
  struct ear e;
  ear_open(&e, r, "a", cursor);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "input.accepted input.accepted turn.started message.completed turn.ended");
  ear_close(&e);
  assert_int_equal(fake_model_requests(r->fh), 1);
}

static void a_create_by_id_meets_a_worker_that_sleeps(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_restart(r);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"a\",\"display_name\":\"other\"}",
              YOI_CODE_WORKER_CONFLICT);
  rig_restart(r);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  assert_int_equal(r->flags & YOI_EV_CREATED, 0);
}

/* Pitfall 24: the models of now say nothing about what was resolved then. */
static void the_spec_is_that_of_the_create(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  char *detail = text_of(r, GET, "a", "");
  rig_crash(r);
  fake_model_add(r->fh, "other");
  fake_model_add(r->fh, "main");
  rig_begin_again(r);
  is_the_same(r, GET, "a", "", detail);
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  assert_string_equal(fake_model_name(r->fh, 0), "main");
}

static void a_late_stop_is_told_the_same(void **state) {
  for (int cut = 0; cut < 3; cut++) {
    struct rig *r = *state;
    if (cut > 0) rig_reopen(r, NULL, NULL);
    queue_make(r);
    if (cut > 0) queue_begin(r);
    if (cut == 2) { /* cancelled and ended before the stop, which ended nothing */
      rig_ok(r, CANCEL, "a", "");
      queue_let_go(r);
    }
    char *stop = text_of(r, STOP, "a", "{\"reason\":\"enough\"}");
    char *detail = text_of(r, GET, "a", "");
    rig_restart(r);
    is_the_same(r, STOP, "a", "", stop);
    is_the_same(r, GET, "a", "", detail);
    rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_WORKER_STOPPED);
    rig_ok(r, YOI_OP_WORKER_DELETE, "a", "");
    rig_restart(r);
    rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
  }
}

/* ---- interrupted turns ---- */

/* One turn with two calls: created, accepted, started, message, requested,
 * completed, requested, completed, message, ended. */
#define RECORDS 10
static void whole_turn(struct rig *r) {
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c\\\"1", "f", "{}");
  fake_answer_call(a, "c2", "g", "{}");
  fake_answer_finish(a, "tool_calls");
  queue_make(r);
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  assert_int_equal(eng_vault_count(r->vault, "a"), RECORDS);
}

static void is_paired(struct rig *r) {
  struct ear e;
  rig_ok(r, INPUT, "a", "{\"content\":\"and now\"}");
  rig_settle(r);
  rig_ended(r, "completed", "stop");
  queue_history(r, &e, 1);
  size_t calls = ear_count(&e, "\"arguments\":") - ear_count(&e, "tool.requested ");
  assert_int_equal(ear_count(&e, "tool.completed "), calls);
  ear_close(&e);
  assert_null(strstr(fake_log(r->fh), "without results"));
}

static void a_crash_at_each_record_of_a_turn(void **state) {
  struct rig *r = *state;
  for (size_t n = 2; n <= RECORDS; n++) {
    for (int crashes = 1; crashes <= 3; crashes++) {
      struct ear e;
      rig_close(r);
      rig_open_as(r, r->mode, NULL, NULL, "durable");
      whole_turn(r);
      rig_crash(r);
      eng_vault_cut(r->vault, "a", n, n < RECORDS ? ENG_MARK_BUSY : ENG_MARK_IDLE);
      rig_begin_again(r);
      for (int i = 1; i < crashes; i++) {
        if (i == 2) rig_settle(r);
        rig_restart(r);
      }
      rig_settle(r);
      if (n > 2 && n < RECORDS)
        rig_ended(r, "interrupted", "host_restarted");
      else
        rig_ended(r, "completed", "stop"); /* it had not begun, or was over */
      queue_history(r, &e, 1);
      assert_int_equal(ear_count(&e, "turn.ended "), 1);
      ear_close(&e);
      is_paired(r);
    }
  }
}

static void an_interrupted_turn_says_what_is_known(void **state) {
  struct rig *r = *state;
  queue_make(r);
  queue_begin(r);
  fake_host_advance(r->fh, 1500);
  rig_ok(r, INPUT, "a", QUEUE("b")); /* the last that is known */
  rig_crash(r);
  fake_host_advance(r->fh, 60000);
  rig_begin_again(r);
  struct ear e;
  rig_settle(r);
  queue_history(r, &e, 1);
  assert_true(ear_has(&e, "\"state\":\"interrupted\",\"reason\":\"host_restarted\""));
  assert_true(ear_has(&e, "\"duration_ms\":1500,\"steps\":0,\"usage\":null"));
  ear_close(&e);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "interrupted"), 1);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_running", ""), 0);
}

/* Contract: what was appended first decides. */
static void a_cancel_that_was_recorded_cancels(void **state) {
  struct rig *r = *state;
  queue_make(r);
  queue_begin(r);
  rig_ok(r, CANCEL, "a", "{\"reason\":\"no\"}");
  queue_let_go(r);
  rig_ended(r, "cancelled", "cancel_requested");
  rig_crash(r);
  eng_vault_cut(r->vault, "a", eng_vault_count(r->vault, "a") - 1, ENG_MARK_BUSY);
  rig_begin_again(r);
  rig_settle(r);
  rig_ended(r, "cancelled", "cancel_requested");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.cancel_requested"), "true");
}

static void a_tool_that_was_started_is_uncertain(void **state) {
  struct rig *r = *state;
  struct ear e;
  whole_turn(r);
  rig_crash(r);
  /* tool.started in the place of the second tool.requested */
  const struct eng_frame *f = eng_vault_frame(r->vault, "a", 7);
  char text[512];
  yoi_str turn = yoi_sdk_json_raw_get(f->ev.text, "turn_id");
  (void)snprintf(text, sizeof text,
                 "{\"sequence\":7,\"at\":\"2026-01-01T00:00:00.000Z\",\"turn_id\":%.*s,"
                 "\"call_id\":\"c2\"}",
                 YOI_ARG(turn));
  struct eng_frame_parts parts = {.kind = YOI_EVENT_TOOL_STARTED,
                                  .pos = f->pos,
                                  .cursor = f->ev.cursor,
                                  .text = yoi_sdk_str(text)};
  eng_vault_replace(r->vault, "a", 7, eng_frame_new(&parts));
  eng_vault_cut(r->vault, "a", 7, ENG_MARK_BUSY);
  rig_begin_again(r);
  rig_settle(r);
  queue_history(r, &e, 1);
  assert_true(ear_has(&e, "\"call_id\":\"c2\",\"status\":\"uncertain\""));
  ear_close(&e);
  is_paired(r);
}

/* ---- inputs that waited ---- */

static void what_waited_begins_in_order(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  queue_say(r, QUEUE("c"), id);
  rig_restart(r);
  rig_settle(r);
  queue_let_go(r);
  queue_began(r, "hi b c");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.turn_id"), id);
  rig_restart(r);
  queue_began(r, "hi b c");
}

static void an_interrupting_input_is_the_first(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  size_t n = eng_vault_count(r->vault, "a");
  queue_say(r, INTERRUPT("i"), id);
  queue_let_go(r);
  queue_began(r, "hi i b");
  rig_crash(r);
  eng_vault_cut(r->vault, "a", n + 2, ENG_MARK_BUSY); /* accepted, cancel requested */
  rig_begin_again(r);
  rig_settle(r);
  queue_let_go(r);
  queue_began(r, "hi i b");
  struct ear e;
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "\"state\":\"cancelled\""), 1);
  ear_close(&e);
}

static void a_drain_leaves_them_for_the_next_process(void **state) {
  struct rig *r = *state;
  yoi_stream *drain = NULL;
  queue_make(r);
  queue_begin(r);
  rig_ok(r, INPUT, "a", QUEUE("b"));
  uint64_t token = fake_token(r->fh);
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + 1000000000u, token, &drain, r->err),
                   YOI_OK);
  queue_let_go(r);
  drain->ops->release(drain);
  fake_token_free(r->fh, token);
  rig_restart(r);
  rig_settle(r);
  queue_began(r, "hi b");
}

static void a_follower_of_one_that_waited_is_served(void **state) {
  struct rig *r = *state;
  struct ear e;
  yoi_request keyed = {.idempotency_key = YOI_LIT("k")};
  queue_make(r);
  queue_begin(r);
  assert_int_equal(rig_call_as(r, INPUT, "a", QUEUE("b"), &keyed), YOI_OK);
  rig_restart(r);
  ear_follow(&e, r, "a", QUEUE("b"), "k");
  ear_settle(&e);
  assert_int_equal(ear_count(&e, "ack {"), 1);
  assert_int_equal(ear_count(&e, "turn.started {"), 1);
  assert_int_equal(ear_count(&e, "message.completed {"), 1);
  assert_true(ear_has(&e, "\nend {\"reason\":\"turn_ended\""));
  ear_close(&e);
}

/* ---- the end of an interrupted turn is appended once ---- */

static void who_dies_before_the_end_is_written_repeats_nothing(void **state) {
  struct rig *r = *state;
  struct ear e;
  if (!r->late) return;
  whole_turn(r);
  rig_crash(r);
  eng_vault_cut(r->vault, "a", 5, ENG_MARK_BUSY);
  rig_begin_again(r);
  (void)fake_host_run(r->fh);
  for (int i = 0; i <= 5 / YOI_REPLAY_BATCH_MAX; i++) /* its records are read */
    assert_int_equal(eng_store_mem_step(r->store), 1);
  assert_int_equal(eng_store_mem_waiting(r->store), 1);
  rig_restart(r);
  rig_settle(r);
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "tool.completed "), 2);
  ear_close(&e);
  is_paired(r);
}

static void an_end_that_cannot_be_written_is_owed(void **state) {
  struct rig *r = *state;
  whole_turn(r);
  rig_crash(r);
  eng_vault_cut(r->vault, "a", 4, ENG_MARK_BUSY);
  rig_begin_again(r);
  eng_store_mem_fail(r->store, 1, 1);
  rig_settle(r);
  rig_ended(r, "interrupted", "host_restarted");
  assert_int_equal(eng_vault_count(r->vault, "a"), 4);
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.status"), "\"degraded\"");
  is_paired(r);
}

/* Operations that wait find the worker as it is behind that append. */
static void an_input_in_the_meantime_is_not_refused(void **state) {
  struct rig *r = *state;
  queue_make(r);
  queue_begin(r);
  rig_restart(r);
  rig_ok(r, INPUT, "a", "{\"content\":\"again\"}");
  rig_ended(r, "completed", "stop");
  queue_began(r, "hi again");
}

/* ---- many ---- */

static void those_found_busy_are_loaded_without_being_asked(void **state) {
  struct rig *r = *state;
  char text[64];
  fake_model_async(r->fh, true);
  for (int i = 0; i < 20; i++) {
    (void)snprintf(text, sizeof text, "{\"worker_id\":\"w%02d\"}", i);
    rig_ok(r, CREATE, "", text);
    (void)snprintf(text, sizeof text, "w%02d", i);
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_gate(a);
    fake_answer_finish(a, "stop");
    if (i % 2) rig_ok(r, INPUT, text, "{\"content\":\"hi\"}");
  }
  rig_crash(r);
  rig_begin_again(r);
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_int_equal(fake_metric(r->fh, "yoi_worker_loads_total", ""), 10);
  assert_int_equal(fake_metric(r->fh, "yoi_workers_awake", ""), 10);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "interrupted"), 10);
  rig_ok(r, YOI_OP_WORKER_LIST, "", "{\"state\":\"running\"}");
  assert_string_equal(rig_get(r, "workers"), "[]");
}

/* Its last record says that a turn runs, and none does. */
static void one_that_was_cut_is_listed_as_what_it_is(void **state) {
  struct rig *r = *state;
  queue_make(r);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"b\"}");
  queue_begin(r);
  rig_ok(r, YOI_OP_WORKER_LIST, "", "{\"state\":\"running\"}");
  assert_true(rig_has(r, "\"worker_id\":\"a\",\"state\":\"running\""));
  const char *const asked[] = {"{\"state\":\"running\"}", "{\"state\":\"idle\",\"limit\":1}",
                               "{\"state\":\"stopped\"}"};
  for (size_t i = 0; i < 3; i++) {
    rig_crash(r);
    eng_vault_cut(r->vault, "a", 3, ENG_MARK_BUSY);
    rig_begin_again(r);
    rig_ok(r, YOI_OP_WORKER_LIST, "", asked[i]);
    assert_int_equal(rig_has(r, "\"worker_id\":\"a\",\"state\":\"idle\""), i == 1);
    assert_int_equal(rig_has(r, "\"worker_id\":\"a\""), i == 1);
  }
}

static void one_that_could_not_be_loaded_is_tried_again(void **state) {
  struct rig *r = *state;
  queue_make(r);
  queue_begin(r);
  rig_crash(r);
  rig_begin_again(r);
  eng_store_mem_fail_read(r->store, 1, 2);
  rig_settle(r);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "interrupted"), 0);
  fake_host_advance(r->fh, 1000);
  rig_settle(r);
  fake_host_advance(r->fh, 1999);
  rig_settle(r);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "interrupted"), 0);
  fake_host_advance(r->fh, 1);
  rig_settle(r);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "interrupted"), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_VAULT_TESTS(an_idle_worker_is_what_it_was),
      RIG_VAULT_TESTS(a_create_by_id_meets_a_worker_that_sleeps),
      RIG_VAULT_TESTS(the_spec_is_that_of_the_create),
      RIG_VAULT_TESTS(a_late_stop_is_told_the_same),
      RIG_VAULT_TESTS(a_crash_at_each_record_of_a_turn),
      RIG_VAULT_TESTS(an_interrupted_turn_says_what_is_known),
      RIG_VAULT_TESTS(a_cancel_that_was_recorded_cancels),
      RIG_VAULT_TESTS(a_tool_that_was_started_is_uncertain),
      RIG_VAULT_TESTS(what_waited_begins_in_order),
      RIG_VAULT_TESTS(an_interrupting_input_is_the_first),
      RIG_VAULT_TESTS(a_drain_leaves_them_for_the_next_process),
      RIG_VAULT_TESTS(a_follower_of_one_that_waited_is_served),
      RIG_VAULT_TESTS(who_dies_before_the_end_is_written_repeats_nothing),
      RIG_VAULT_TESTS(an_end_that_cannot_be_written_is_owed),
      RIG_VAULT_TESTS(an_input_in_the_meantime_is_not_refused),
      RIG_VAULT_TESTS(those_found_busy_are_loaded_without_being_asked),
      RIG_VAULT_TESTS(one_that_was_cut_is_listed_as_what_it_is),
      RIG_VAULT_TESTS(one_that_could_not_be_loaded_is_tried_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
