/* test_engine_queue.c - inputs that wait for their turn: their order, who
 * watches what, what a model sees. */
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/history.h"

#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define STOP YOI_OP_WORKER_STOP
#define CANCEL YOI_OP_WORKER_CANCEL
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

/* ---- queue ---- */

static void queued_inputs_run_in_order(void **state) {
  struct rig *r = *state;
  char t[3][64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), t[0]);
  assert_string_equal(rig_get(r, "ack.state"), "\"running\"");
  assert_string_equal(rig_get(r, "ack.sequence"), "4");
  queue_say(r, QUEUE("c"), t[1]);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"running\"");
  assert_string_equal(rig_get(r, "worker.queued"), "2");
  assert_non_null(strstr(rig_get(r, "worker.capabilities"), "worker.input"));
  assert_string_not_equal(rig_get(r, "worker.turn.turn_id"), t[0]);
  assert_int_equal(fake_model_requests(r->fh), 1);
  queue_let_go(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.queued"), "");
  assert_string_equal(rig_get(r, "worker.turn.turn_id"), t[1]);
  queue_began(r, "hi b c");
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "completed"), 3);
}

static void an_idle_worker_begins_at_once(void **state) {
  struct rig *r = *state;
  queue_make(r);
  rig_ok(r, INPUT, "a", QUEUE("b"));
  rig_ok(r, INPUT, "a", INTERRUPT("c"));
  queue_began(r, "b c");
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.total"), "4");
}

static void the_next_begins_with_the_end_of_the_one_before(void **state) {
  struct rig *r = *state;
  struct ear e;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  ear_open(&e, r, "a", NULL);
  uint64_t before = eng_store_mem_writes(r->store);
  queue_let_go(r);
  ear_settle(&e);
  assert_int_equal(eng_store_mem_writes(r->store) - before, 2); /* and never idle between */
  assert_non_null(strstr(ear_kinds(&e), "message.completed turn.ended turn.started"));
  ear_close(&e);
}

static void the_queue_is_bounded(void **state) {
  struct rig *r = *state;
  char id[64];
  rig_reopen(r, "{\"limits\":{\"queued_inputs\":2}}", NULL);
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  queue_say(r, QUEUE("c"), id);
  rig_refused(r, INPUT, "a", QUEUE("d"), YOI_CODE_QUEUE_FULL);
  assert_int_equal(r->err->retry_after_ms, YOI_RETRY_TURN_MS);
  assert_int_equal(r->err->flags & YOI_ERROR_RETRYABLE, YOI_ERROR_RETRYABLE);
  rig_refused(r, INPUT, "a", "{\"content\":\"e\"}", YOI_CODE_WORKER_BUSY);
  rig_refused(r, INPUT, "a", "{\"content\":\"e\",\"kind\":\"system\"}", YOI_CODE_WORKER_BUSY);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_gate(a);
  fake_answer_finish(a, "stop");
  queue_say(r, INTERRUPT("i"), id); /* it is not one of them */
  rig_refused(r, INPUT, "a", QUEUE("d"), YOI_CODE_QUEUE_FULL);
  queue_let_go(r);
  queue_began(r, "hi i b c");
}

static void as_many_as_the_limit_wait(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  queue_begin(r);
  for (int i = 0; i < YOI_QUEUED_INPUTS_MAX; i++) queue_say(r, QUEUE("x"), id);
  rig_refused(r, INPUT, "a", QUEUE("x"), YOI_CODE_QUEUE_FULL);
  queue_let_go(r);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "completed"), YOI_QUEUED_INPUTS_MAX + 1);
  queue_say(r, QUEUE("y"), id);
}

static void a_cancel_lets_the_next_begin(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  rig_ok(r, CANCEL, "a", "");
  queue_let_go(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.turn_id"), id);
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
  queue_began(r, "hi b");
}

/* The end of its turn is staged when the cancel comes. */
static void a_cancel_that_waited_does_not_hit_the_next(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  if (!r->late) return;
  queue_begin(r);
  queue_say(r, QUEUE("b"), id);
  fake_model_open(r->fh);
  (void)fake_host_run(r->fh);
  assert_int_equal(eng_store_mem_waiting(r->store), 1);
  yoi_stream *s = rig_start(r, CANCEL, "a", "", NULL);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  assert_string_equal(rig_get(r, "ack.turn_id"), "");
  queue_let_go(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.turn_id"), id);
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
}

static void an_input_waits_behind_what_is_staged(void **state) {
  struct rig *r = *state;
  queue_make(r);
  if (!r->late) return;
  yoi_request k = {.idempotency_key = YOI_LIT("k")};
  yoi_stream *s[] = {rig_start(r, INPUT, "a", "{\"content\":\"a\"}", NULL),
                     rig_start(r, INPUT, "a", QUEUE("b"), &k),
                     rig_start(r, INPUT, "a", QUEUE("b"), &k)};
  assert_null(rig_start(r, INPUT, "a", QUEUE("c"), &k));
  assert_int_equal(r->err->code, YOI_CODE_IDEMPOTENCY_CONFLICT);
  char ids[3][64];
  for (int i = 0; i < 3; i++) {
    assert_non_null(s[i]);
    assert_int_equal(rig_finish(r, s[i]), YOI_OK);
    (void)snprintf(ids[i], 64, "%s", rig_get(r, "ack.turn_id"));
  }
  assert_string_equal(ids[1], ids[2]);
  assert_string_not_equal(ids[0], ids[1]);
  queue_let_go(r);
  queue_began(r, "a b");
}

static void one_that_waited_is_refused_when_it_is_its_turn(void **state) {
  struct rig *r = *state;
  queue_make(r);
  if (!r->late) return;
  yoi_stream *stop = rig_start(r, STOP, "a", "", NULL);
  yoi_stream *s = rig_start(r, INPUT, "a", QUEUE("b"), NULL);
  assert_non_null(s);
  assert_int_equal(rig_finish(r, s), YOI_FAILED_PRECONDITION);
  assert_int_equal(r->err->code, YOI_CODE_WORKER_STOPPED);
  assert_int_equal(rig_finish(r, stop), YOI_OK);
}

/* Its repetitions, which waited behind it, are told the same. */
static void a_refusal_is_that_of_its_replays(void **state) {
  struct rig *r = *state;
  char id[64];
  rig_reopen(r, "{\"limits\":{\"queued_inputs\":1}}", NULL);
  queue_make(r);
  if (!r->late) return;
  queue_begin(r);
  yoi_request k = {.idempotency_key = YOI_LIT("k")}, l = {.idempotency_key = YOI_LIT("l")};
  yoi_stream *s[] = {
      rig_start(r, INPUT, "a", QUEUE("b"), NULL),   rig_start(r, INPUT, "a", QUEUE("c"), &k),
      rig_start(r, INPUT, "a", INTERRUPT("d"), &l), rig_start(r, INPUT, "a", QUEUE("c"), &k),
      rig_start(r, INPUT, "a", INTERRUPT("d"), &l), rig_start(r, INPUT, "a", QUEUE("c"), &k),
  };
  assert_true(eng_store_mem_step(r->store));
  yoi_stream *f = rig_start(r, INPUT, "a", INTERRUPT("f"), NULL); /* the last in line */
  for (size_t i = 0; i < 6; i++) {
    yoi_status want = i % 2 ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
    assert_non_null(s[i]);
    assert_int_equal(rig_finish(r, s[i]), want);
    if (want == YOI_OK) continue;
    assert_int_equal(r->err->code, YOI_CODE_QUEUE_FULL);
    assert_int_equal(r->err->retry_after_ms, YOI_RETRY_TURN_MS);
  }
  assert_int_equal(rig_finish(r, f), YOI_OK);
  queue_let_go(r);
  queue_say(r, QUEUE("e"), id);
  assert_int_equal(rig_call_as(r, INPUT, "a", QUEUE("c"), &k), YOI_OK);
  queue_let_go(r);
  queue_began(r, "hi f b e c");
}

/* Metrics count from the arrival, a turn's own duration from its start. */
static void the_wait_of_a_queued_input_is_measured(void **state) {
  struct rig *r = *state;
  const uint64_t ms = 1000000;
  char id[64];
  queue_make(r);
  queue_begin(r);
  fake_host_advance(r->fh, 5);
  queue_say(r, QUEUE("b"), id);
  fake_host_advance(r->fh, 7);
  queue_let_go(r);
  assert_int_equal(fake_metric(r->fh, "yoi_turn_queue_seconds", ""), 2);
  assert_int_equal(fake_metric_ns(r->fh, "yoi_turn_queue_seconds", ""), 7 * ms);
  assert_int_equal(fake_metric(r->fh, "yoi_turn_duration_seconds", ""), 2);
  assert_int_equal(fake_metric_ns(r->fh, "yoi_turn_duration_seconds", ""), (12 + 7) * ms);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.turn_id"), id);
  assert_string_equal(rig_get(r, "worker.turn.duration_ms"), "0");
  queue_begin(r);
  queue_say(r, QUEUE("c"), id);
  fake_host_advance(r->fh, 3);
  eng_store_mem_fail(r->store, 2, 1); /* the end of the second */
  queue_let_go(r);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "failed"), 1);
  assert_int_equal(fake_metric_ns(r->fh, "yoi_turn_queue_seconds", ""), (7 + 3) * ms);
  assert_int_equal(fake_metric_ns(r->fh, "yoi_turn_duration_seconds", ""), (19 + 3 + 3) * ms);
}

/* ---- interrupt ---- */

static void an_interrupting_input_is_the_next(void **state) {
  struct rig *r = *state;
  struct ear e;
  char b[64], i[64];
  queue_make(r);
  queue_begin(r);
  queue_say(r, QUEUE("b"), b);
  ear_open(&e, r, "a", NULL);
  queue_say(r, INTERRUPT("i"), i);
  queue_let_go(r);
  ear_settle(&e);
  assert_non_null(strstr(ear_kinds(&e),
                         "snapshot input.accepted turn.cancel_requested turn.ended "
                         "turn.started"));
  assert_int_equal(ear_count(&e, "\"state\":\"cancelled\",\"reason\":\"cancel_requested\""), 1);
  ear_close(&e);
  queue_began(r, "hi i b");
  assert_non_null(strstr(fake_model_messages(r->fh, 1),
                         "{\"role\":\"user\",\"content\":\"hi\"}\n"
                         "{\"role\":\"user\",\"content\":\"i\"}\n"));
  assert_null(strstr(fake_model_messages(r->fh, 1), "\"b\""));
  assert_non_null(strstr(fake_model_messages(r->fh, 2),
                         "{\"role\":\"user\",\"content\":\"i\"}\n"
                         "{\"role\":\"assistant\",\"content\":\"ok\"}\n"
                         "{\"role\":\"user\",\"content\":\"b\"}\n"));
}

/* Whether the first one's turn had begun or not, the last one wins. */
static void of_two_that_interrupt_the_last_one_wins(void **state) {
  struct rig *r = *state;
  for (int begun = 0; begun < 2; begun++) {
    struct ear e;
    rig_reopen(r, NULL, NULL);
    queue_make(r);
    queue_begin(r);
    if (begun) {
      struct fake_answer *a = fake_model_answer(r->fh);
      fake_answer_gate(a);
      fake_answer_finish(a, "stop");
    }
    yoi_stream *one = rig_start(r, INPUT, "a", INTERRUPT("one"), NULL);
    if (begun) rig_settle(r);
    yoi_stream *two = rig_start(r, INPUT, "a", INTERRUPT("two"), NULL);
    assert_int_equal(rig_finish(r, one), YOI_OK);
    assert_int_equal(rig_finish(r, two), YOI_OK);
    queue_let_go(r);
    queue_began(r, begun ? "hi one two" : "hi two");
    queue_history(r, &e, 1);
    assert_int_equal(ear_count(&e, "\"state\":\"cancelled\",\"reason\":\"cancel_requested\""), 2);
    assert_int_equal(ear_count(&e, "\"started_at\":null"), begun ? 0 : 1);
    assert_int_equal(ear_count(&e, "turn.cancel_requested "), begun ? 2 : 1);
    ear_close(&e);
    const char *m = fake_model_messages(r->fh, fake_model_requests(r->fh) - 1);
    assert_non_null(strstr(m,
                           "{\"role\":\"user\",\"content\":\"one\"}\n"
                           "{\"role\":\"user\",\"content\":\"two\"}\n"));
  }
}

static void an_interrupt_meets_an_end_that_is_staged(void **state) {
  struct rig *r = *state;
  queue_make(r);
  if (!r->late) return;
  queue_begin(r);
  fake_model_open(r->fh);
  (void)fake_host_run(r->fh);
  assert_int_equal(eng_store_mem_waiting(r->store), 1); /* message and turn.ended */
  yoi_stream *s = rig_start(r, INPUT, "a", INTERRUPT("i"), NULL);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  queue_let_go(r);
  queue_began(r, "hi i");
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "completed"), 2);
}

static void an_interrupt_of_a_cancelled_turn_asks_no_second_time(void **state) {
  struct rig *r = *state;
  struct ear e;
  queue_make(r);
  queue_begin(r);
  yoi_stream *c = rig_start(r, CANCEL, "a", "", NULL);
  yoi_stream *s = rig_start(r, INPUT, "a", INTERRUPT("i"), NULL);
  assert_int_equal(rig_finish(r, c), YOI_OK);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  queue_let_go(r);
  queue_began(r, "hi i");
  queue_history(r, &e, 1);
  assert_int_equal(ear_count(&e, "turn.cancel_requested "), 1);
  ear_close(&e);
}

/* ---- replays and followers ---- */

static void a_queued_input_is_replayed(void **state) {
  struct rig *r = *state;
  static const yoi_request k = {.idempotency_key = {"k", 1}};
  char first[256];
  queue_make(r);
  queue_begin(r);
  assert_int_equal(rig_call_as(r, INPUT, "a", QUEUE("b"), &k), YOI_OK);
  (void)snprintf(first, sizeof first, "%s", r->text);
  assert_int_equal(rig_call_as(r, INPUT, "a", QUEUE("b"), &k), YOI_OK);
  assert_string_equal(r->text, first);
  assert_int_equal(rig_call_as(r, INPUT, "a", INTERRUPT("b"), &k), YOI_ALREADY_EXISTS);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"b\"}", &k), YOI_ALREADY_EXISTS);
  queue_let_go(r);
  assert_int_equal(rig_call_as(r, INPUT, "a", QUEUE("b"), &k), YOI_OK);
  assert_string_equal(r->text, first);
  rig_settle(r);
  queue_began(r, "hi b");
}

#define OWN "ack turn.started text.delta text.delta message.completed turn.ended end"

static void a_follower_of_a_queued_input_gets_its_own_turn(void **state) {
  struct rig *r = *state;
  struct ear e, again;
  queue_make(r);
  queue_begin(r);
  ear_follow(&e, r, "a", QUEUE("b"), "k");
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "ack");
  assert_int_equal(e.st, YOI_AGAIN);
  ear_follow(&again, r, "a", QUEUE("b"), "k");
  ear_settle(&again);
  assert_string_equal(ear_kinds(&again), "ack");
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "o");
  fake_answer_gate(a);
  fake_answer_text(a, "k");
  fake_answer_finish(a, "stop");
  fake_model_open(r->fh);
  ear_settle(&e);
  ear_settle(&again);
  queue_let_go(r);
  ear_settle(&e);
  ear_settle(&again);
  assert_string_equal(ear_kinds(&e), OWN);
  assert_string_equal(ear_kinds(&again), OWN);
  assert_int_equal(ear_count(&e, "begun"), 0);
  assert_true(ear_has(&e, "\"reason\":\"turn_ended\""));
  ear_close(&e);
  ear_close(&again);
}

/* It looks for the first time when all is over, and others ran since. */
static void a_follower_that_comes_late_gets_its_own_turn(void **state) {
  struct rig *r = *state;
  struct ear e[2];
  char id[64];
  queue_make(r);
  queue_begin(r);
  ear_follow(&e[0], r, "a", QUEUE("b"), "");
  queue_say(r, QUEUE("c"), id);
  ear_follow(&e[1], r, "a", INTERRUPT("d"), "");
  queue_let_go(r);
  for (int i = 0; i < 2; i++) {
    ear_settle(&e[i]);
    assert_string_equal(ear_kinds(&e[i]), "ack turn.started message.completed turn.ended end");
    ear_close(&e[i]);
  }
}

/* Its turn's buffer has dropped the oldest deltas; it was never given any. */
static void a_replayed_follower_of_a_long_turn_gets_a_snapshot(void **state) {
  struct rig *r = *state;
  static const yoi_request k = {.idempotency_key = {"k", 1}};
  struct ear e;
  queue_make(r);
  queue_begin(r);
  assert_int_equal(rig_call_as(r, INPUT, "a", QUEUE("b"), &k), YOI_OK);
  struct fake_answer *a = fake_model_answer(r->fh);
  for (int i = 0; i < 12000; i++) {
    fake_answer_text(a, "y");
    fake_answer_cut(a);
  }
  fake_answer_gate(a);
  fake_answer_finish(a, "stop");
  fake_model_open(r->fh);
  rig_settle(r);
  ear_follow(&e, r, "a", QUEUE("b"), "k");
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "ack turn.started snapshot");
  assert_true(ear_has(&e, "\"text\":\"yyyy"));
  queue_let_go(r);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "ack turn.started snapshot message.completed turn.ended end");
  assert_true(ear_has(&e, "\"reason\":\"turn_ended\""));
  ear_close(&e);
}

/* A replay comes before every limit, that of watchers too. */
static void a_replay_without_room_to_watch_gets_its_ack(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  rig_reopen(r, "{\"limits\":{\"watchers\":1}}", NULL);
  queue_make(r);
  queue_begin(r);
  ear_follow(&f, r, "a", QUEUE("b"), "k");
  ear_settle(&f);
  ear_follow(&e, r, "a", QUEUE("b"), "k");
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "ack end");
  assert_true(ear_has(&e, "\"reason\":\"error\",\"code\":\"limit_reached\",\"retryable\":true"));
  ear_close(&e);
  ear_follow(&e, r, "a", QUEUE("c"), "");
  assert_null(e.s);
  assert_int_equal(r->err->code, YOI_CODE_LIMIT_REACHED);
  ear_close(&e);
  queue_let_go(r);
  ear_close(&f);
  queue_began(r, "hi b");
}

static void a_follower_of_the_running_turn_does_not_see_the_queue(void **state) {
  struct rig *r = *state;
  struct ear e;
  char id[64];
  queue_make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_gate(a);
  fake_answer_text(a, "x");
  fake_answer_finish(a, "stop");
  ear_follow(&e, r, "a", "{\"content\":\"hi\"}", "");
  rig_settle(r);
  queue_say(r, QUEUE("b"), id);
  queue_let_go(r);
  ear_settle(&e);
  assert_int_equal(ear_count(&e, "input.accepted"), 0);
  assert_int_equal(ear_count(&e, "turn.started "), 1);
  assert_true(ear_has(&e, "\"reason\":\"turn_ended\""));
  ear_close(&e);
}

/* ---- what a model sees ---- */

static void a_turn_sees_no_input_that_waits(void **state) {
  struct rig *r = *state;
  char id[64];
  queue_make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_gate(a);
  fake_answer_event(a, YOI_EVENT_MODEL_TOOL_CALL,
                    "{\"id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"}");
  fake_answer_finish(a, "tool_calls");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  queue_say(r, QUEUE("waits"), id);
  queue_let_go(r);
  assert_int_equal(fake_model_requests(r->fh), 3);
  const char *m = fake_model_messages(r->fh, 1);
  assert_null(strstr(m, "waits"));
  assert_non_null(strstr(m, "{\"role\":\"tool\",\"tool_call_id\":\"c1\""));
  m = fake_model_messages(r->fh, 2);
  assert_non_null(strstr(m,
                         "{\"role\":\"assistant\",\"content\":\"ok\"}\n"
                         "{\"role\":\"user\",\"content\":\"waits\"}\n"));
  rig_ok(r, TRANSCRIPT, "a", ""); /* the order of the records */
  const char *items = strstr(r->text, "\"items\"");
  assert_true(strstr(items, "waits") < strstr(items, "tool_calls"));
}

/* Its record reaches the log between two reads of a context that is chosen. */
static void a_context_that_is_chosen_takes_in_no_more(void **state) {
  struct rig *r = *state;
  queue_make(r);
  if (!r->late) return;
  for (int i = 0; i < YOI_REPLAY_BATCH_MAX; i++)
    rig_ok(r, INPUT, "a", "{\"content\":\"note\",\"kind\":\"system\"}");
  yoi_stream *hi = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL);
  assert_true(eng_store_mem_step(r->store));
  (void)fake_host_run(r->fh);
  assert_int_equal(eng_store_mem_waiting(r->store), 1); /* the first of two reads */
  yoi_stream *b = rig_start(r, INPUT, "a", QUEUE("waits"), NULL);
  assert_true(eng_store_mem_step(r->store));
  assert_true(eng_store_mem_step(r->store)); /* it waits before the second is asked for */
  assert_int_equal(rig_finish(r, hi), YOI_OK);
  assert_int_equal(rig_finish(r, b), YOI_OK);
  queue_let_go(r);
  assert_int_equal(fake_model_requests(r->fh), 2);
  const char *m = fake_model_messages(r->fh, 0);
  assert_non_null(strstr(m, "{\"role\":\"user\",\"content\":\"hi\"}\n"));
  assert_null(strstr(m, "waits"));
  assert_non_null(strstr(fake_model_messages(r->fh, 1),
                         "{\"role\":\"user\",\"content\":\"hi\"}\n"
                         "{\"role\":\"assistant\",\"content\":\"ok\"}\n"
                         "{\"role\":\"user\",\"content\":\"waits\"}\n"));
}

/* Whole turns in the order in which they began, also when only some fit. */
static void turns_that_waited_are_taken_whole(void **state) {
  struct rig *r = *state;
  char id[64], body[1200], text[1024];
  rig_reopen(r, NULL,
             "{\"name\":\"p\",\"prompt\":\"p.system\",\"model\":\"main\",\"limits\":"
             "{\"context_tokens\":1100}}");
  queue_make(r);
  queue_begin(r);
  for (char c = 'b'; c <= 'f'; c++) {
    memset(text, c, 800);
    text[800] = 0;
    (void)snprintf(body, sizeof body, "{\"content\":\"%s\",\"on_busy\":\"queue\"}", text);
    queue_say(r, body, id);
  }
  queue_let_go(r);
  const char *m = fake_model_messages(r->fh, 5);
  assert_null(strstr(m, "\"hi\""));
  assert_null(strstr(m, "bbbb"));
  const char *e = strstr(m, "eeee"), *f = strstr(m, "ffff");
  assert_non_null(e);
  assert_non_null(f);
  assert_true(e < f);
  size_t users = 0, answers = 0;
  for (const char *p = m; (p = strstr(p, "\"user\"")) != NULL; p++) users++;
  for (const char *p = m; (p = strstr(p, "\"assistant\"")) != NULL; p++) answers++;
  assert_int_equal(users, answers + 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(queued_inputs_run_in_order),
      RIG_TESTS(an_idle_worker_begins_at_once),
      RIG_TESTS(the_next_begins_with_the_end_of_the_one_before),
      RIG_TESTS(the_queue_is_bounded),
      RIG_TESTS(as_many_as_the_limit_wait),
      RIG_TESTS(a_cancel_lets_the_next_begin),
      RIG_TESTS(a_cancel_that_waited_does_not_hit_the_next),
      RIG_TESTS(an_input_waits_behind_what_is_staged),
      RIG_TESTS(one_that_waited_is_refused_when_it_is_its_turn),
      RIG_TESTS(a_refusal_is_that_of_its_replays),
      RIG_TESTS(the_wait_of_a_queued_input_is_measured),
      RIG_TESTS(an_interrupting_input_is_the_next),
      RIG_TESTS(of_two_that_interrupt_the_last_one_wins),
      RIG_TESTS(an_interrupt_meets_an_end_that_is_staged),
      RIG_TESTS(an_interrupt_of_a_cancelled_turn_asks_no_second_time),
      RIG_TESTS(a_queued_input_is_replayed),
      RIG_TESTS(a_follower_of_a_queued_input_gets_its_own_turn),
      RIG_TESTS(a_follower_that_comes_late_gets_its_own_turn),
      RIG_TESTS(a_replayed_follower_of_a_long_turn_gets_a_snapshot),
      RIG_TESTS(a_replay_without_room_to_watch_gets_its_ack),
      RIG_TESTS(a_follower_of_the_running_turn_does_not_see_the_queue),
      RIG_TESTS(a_turn_sees_no_input_that_waits),
      RIG_TESTS(a_context_that_is_chosen_takes_in_no_more),
      RIG_TESTS(turns_that_waited_are_taken_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
