/* test_engine_input.c - input, its replays, cancel, stop, transcript. */
#include <stdlib.h>

#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define CANCEL YOI_OP_WORKER_CANCEL
#define STOP YOI_OP_WORKER_STOP
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

static void make(struct rig *r) {
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
}

/* A turn that waits for fake_model_open. */
static void begin_turn(struct rig *r) {
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_gate(a);
  fake_answer_text(a, "late");
  fake_answer_finish(a, "stop");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
}

static void keep(struct rig *r, const char *path, char out[256]) {
  (void)snprintf(out, 256, "%s", rig_get(r, path));
}

static const yoi_request keyed = {.idempotency_key = {"k1", 2}};

static void input_refuses_what_it_cannot_do(void **state) {
  struct rig *r = *state;
  static const struct {
    const char *body;
    int32_t code;
  } rows[] = {
      {"", YOI_CODE_INVALID_REQUEST},
      {"{}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":1}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":\"\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":[]}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":[\"x\"]}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":[{\"type\":\"text\"}]}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":[{\"type\":\"image\",\"text\":\"x\"}]}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":[{\"type\":\"text\",\"text\":\"x\",\"y\":1}]}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":\"x\",\"role\":\"user\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":\"x\",\"kind\":\"assistant\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":\"x\",\"on_busy\":\"wait\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":\"x\",\"on_busy\":\"queue\",\"kind\":\"system\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"content\":\"x\",\"on_busy\":\"interrupt\",\"kind\":\"system\"}",
       YOI_CODE_INVALID_REQUEST},
      {"{\"content\":\"x\"", YOI_CODE_INVALID_JSON},
      {"{\"content\":\"\\ud800\"}", YOI_CODE_INVALID_JSON},
  };
  make(r);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    rig_refused(r, INPUT, "a", rows[i].body, rows[i].code);
  rig_refused(r, INPUT, "b", "{\"content\":\"x\"}", YOI_CODE_WORKER_NOT_FOUND);
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.total"), "0");
  assert_int_equal(fake_model_requests(r->fh), 0);
}

static void input_is_bounded(void **state) {
  struct rig *r = *state;
  rig_reopen(r, "{\"limits\":{\"input_bytes\":10}}", NULL);
  make(r);
  rig_refused(r, INPUT, "a", "{\"content\":\"12345678901\"}", YOI_CODE_PAYLOAD_TOO_LARGE);
  rig_refused(r, INPUT, "a",
              "{\"content\":[{\"type\":\"text\",\"text\":\"123456\"},"
              "{\"type\":\"text\",\"text\":\"78901\"}]}",
              YOI_CODE_PAYLOAD_TOO_LARGE);
  rig_ok(r, INPUT, "a", "{\"content\":\"1234567890\"}");
}

/* Pitfall 8: acknowledged means appended. */
static void an_ack_comes_after_the_append(void **state) {
  struct rig *r = *state;
  make(r);
  if (r->late) {
    (void)fake_token_wakes(r->fh, r->token);
    yoi_stream *s = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL);
    const yoi_event *const *evs = NULL;
    size_t n = 0;
    assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_AGAIN);
    (void)fake_host_run(r->fh);
    assert_int_equal(fake_token_wakes(r->fh, r->token), 0);
    assert_int_equal(fake_model_requests(r->fh), 0);
    assert_true(eng_store_mem_step(r->store));
    assert_int_equal(fake_token_wakes(r->fh, r->token), 1);
    assert_int_equal(rig_finish(r, s), YOI_OK);
  } else {
    rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  }
  assert_string_equal(rig_get(r, "ack.sequence"), "2");
  assert_string_equal(rig_get(r, "ack.state"), "\"running\"");
  assert_int_equal(strlen(rig_get(r, "ack.turn_id")), 38);
  assert_true(strstr(rig_get(r, "ack.cursor"), "-2-0\"") != NULL);
}

static void a_failed_input_changes_nothing(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  ear_open(&e, r, "a", NULL);
  eng_store_mem_fail(r->store, 1, 1);
  rig_refused(r, INPUT, "a", "{\"content\":\"hi\"}", YOI_CODE_STORE_ERROR);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn"), "");
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  ear_settle(&e);
  assert_int_equal(ear_count(&e, "turn.ended"), 1);
  ear_close(&e);
}

static void a_second_input_is_busy(void **state) {
  struct rig *r = *state;
  make(r);
  begin_turn(r);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_WORKER_BUSY);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}", YOI_CODE_WORKER_BUSY);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\",\"on_busy\":\"reject\"}", YOI_CODE_WORKER_BUSY);
  assert_int_equal(r->err->flags & YOI_ERROR_RETRYABLE, YOI_ERROR_RETRYABLE);
  fake_model_open(r->fh);
  rig_settle(r);
  rig_ok(r, INPUT, "a", "{\"content\":\"x\"}");
}

static void while_an_input_is_staged_a_second_one_is_busy(void **state) {
  struct rig *r = *state;
  make(r);
  if (!r->late) return;
  yoi_stream *s = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL);
  assert_null(rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL));
  assert_int_equal(r->err->code, YOI_CODE_WORKER_BUSY);
  assert_int_equal(rig_call(r, GET, "a", ""), YOI_OK);
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_int_equal(rig_finish(r, s), YOI_OK);
}

/* ---- idempotency ---- */

static void a_replayed_input_gets_the_stored_ack(void **state) {
  struct rig *r = *state;
  char first[256], second[256];
  make(r);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &keyed), YOI_OK);
  keep(r, "ack", first);
  yoi_request quoted = {.idempotency_key = YOI_LIT("\"k1\"")};
  assert_int_equal(rig_call_as(r, INPUT, "a",
                               "{\"kind\":\"user\",\"on_busy\":\"reject\",\"content\":"
                               "[{\"type\":\"text\",\"text\":\"hi\"}]}",
                               &quoted),
                   YOI_OK);
  keep(r, "ack", second);
  assert_string_equal(first, second);
  rig_settle(r);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &keyed), YOI_OK);
  keep(r, "ack", second);
  assert_string_equal(first, second);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"ho\"}", &keyed), YOI_ALREADY_EXISTS);
  assert_int_equal(r->err->code, YOI_CODE_IDEMPOTENCY_CONFLICT);
  rig_settle(r);
  assert_int_equal(fake_model_requests(r->fh), 1);
  /* another principal's key is another key */
  yoi_request other = {.idempotency_key = YOI_LIT("k1"), .principal = YOI_LIT("token:b")};
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"ho\"}", &other), YOI_OK);
  /* and the replay comes before stopped and busy */
  rig_ok(r, STOP, "a", "");
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &keyed), YOI_OK);
  keep(r, "ack", second);
  assert_string_equal(first, second);
}

static void a_replay_of_a_staged_input_waits_for_its_ticket(void **state) {
  struct rig *r = *state;
  char first[256];
  make(r);
  if (!r->late) return;
  yoi_stream *a = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", &keyed);
  yoi_stream *b = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", &keyed);
  assert_null(rig_start(r, INPUT, "a", "{\"content\":\"ho\"}", &keyed));
  assert_int_equal(r->err->code, YOI_CODE_IDEMPOTENCY_CONFLICT);
  assert_non_null(b);
  assert_int_equal(rig_finish(r, b), YOI_OK);
  keep(r, "ack", first);
  assert_int_equal(rig_finish(r, a), YOI_OK);
  assert_string_equal(rig_get(r, "ack"), first);
  assert_int_equal(fake_model_requests(r->fh), 1);
  eng_store_mem_fail(r->store, 1, 1);
  yoi_request k2 = {.idempotency_key = YOI_LIT("k2")};
  a = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", &k2);
  b = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", &k2);
  assert_int_equal(rig_finish(r, a), YOI_INTERNAL);
  assert_int_equal(rig_finish(r, b), YOI_INTERNAL);
  assert_int_equal(r->err->code, YOI_CODE_STORE_ERROR);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &k2), YOI_OK);
}

static void a_key_lives_a_day_beyond_the_last_64(void **state) {
  struct rig *r = *state;
  make(r);
  if (r->late) return;
  for (int i = 0; i < 70; i++) {
    char key[16];
    (void)snprintf(key, sizeof key, "n%d", i);
    yoi_request k = {.idempotency_key = yoi_sdk_str(key)};
    assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &k), YOI_OK);
    rig_settle(r);
    if (i == 0) fake_host_advance(r->fh, 1000);
  }
  yoi_request first = {.idempotency_key = YOI_LIT("n0")};
  size_t before = fake_model_requests(r->fh);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &first), YOI_OK);
  assert_int_equal(fake_model_requests(r->fh), before);
  fake_host_advance(r->fh, YOI_IDEMPOTENCY_KEEP_MS);
  yoi_request later = {.idempotency_key = YOI_LIT("n70")};
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &later), YOI_OK);
  rig_settle(r);
  before = fake_model_requests(r->fh);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &first), YOI_OK);
  rig_settle(r);
  assert_int_equal(fake_model_requests(r->fh), before + 1);
}

/* ---- kind system ---- */

static void system_input_is_an_item_and_no_turn(void **state) {
  struct rig *r = *state;
  make(r);
  rig_ok(r, INPUT, "a", "{\"content\":\"be kind\",\"kind\":\"system\"}");
  assert_string_equal(rig_get(r, "ack.turn_id"), "");
  assert_string_equal(rig_get(r, "ack.state"), "\"idle\"");
  assert_int_equal(fake_model_requests(r->fh), 0);
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_true(rig_has(r, "\"turn_id\":null,\"step\":null,\"role\":\"system\""));
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  assert_non_null(strstr(fake_model_messages(r->fh, 0),
                         "{\"role\":\"system\",\"content\":\"be kind\"}\n"
                         "{\"role\":\"user\",\"content\":\"hi\"}\n"));
}

/* Pitfall 7: people's surfaces send user input only. */
static void a_browser_sends_no_system_text(void **state) {
  struct rig *r = *state;
  make(r);
  yoi_request browser = {.origin = YOI_ORIGIN_BROWSER};
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}", &browser),
                   YOI_INVALID_ARGUMENT);
  assert_int_equal(r->err->code, YOI_CODE_INVALID_REQUEST);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"x\"}", &browser), YOI_OK);
  rig_settle(r);
  yoi_request host = {.origin = YOI_ORIGIN_RUNTIME};
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}", &host),
                   YOI_OK);
}

/* ---- cancel and stop ---- */

static void cancel_ends_the_turn_and_not_the_worker(void **state) {
  struct rig *r = *state;
  char first[256];
  struct ear e;
  make(r);
  ear_open(&e, r, "a", NULL);
  begin_turn(r);
  rig_ok(r, CANCEL, "a", "{\"reason\":\"enough\"}");
  assert_string_equal(rig_get(r, "ack.state"), "\"running\"");
  assert_int_equal(strlen(rig_get(r, "ack.turn_id")), 38);
  assert_string_equal(rig_get(r, "ack.sequence"), "4");
  keep(r, "ack", first);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started turn.cancel_requested "
                      "turn.ended");
  assert_true(ear_has(&e, "\"reason\":\"enough\",\"principal\":\"embed\""));
  assert_true(ear_has(&e, "\"state\":\"cancelled\",\"reason\":\"cancel_requested\""));
  assert_int_equal(fake_model_cancelled(r->fh), 1);
  assert_int_equal(fake_model_live(r->fh), 0);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"cancelled\"");
  rig_ok(r, CANCEL, "a", ""); /* no turn: acknowledged as such */
  assert_string_equal(rig_get(r, "ack.turn_id"), "");
  assert_string_equal(rig_get(r, "ack.state"), "\"idle\"");
  rig_ok(r, INPUT, "a", "{\"content\":\"go on\"}");
  ear_close(&e);
}

static void a_requested_cancel_shows_in_the_turn(void **state) {
  struct rig *r = *state;
  make(r);
  begin_turn(r);
  if (!r->late) {
    /* Before its loop looks, the turn still runs. */
    assert_int_equal(rig_call(r, CANCEL, "a", ""), YOI_OK);
    assert_int_equal(rig_call(r, GET, "a", ""), YOI_OK);
    assert_string_equal(rig_get(r, "worker.state"), "\"running\"");
    assert_string_equal(rig_get(r, "worker.turn.cancel_requested"), "true");
    assert_int_equal(rig_call(r, CANCEL, "a", ""), YOI_OK); /* the stored ack */
    assert_string_equal(rig_get(r, "ack.sequence"), "4");
  }
  rig_settle(r);
}

static void two_cancels_append_one_record(void **state) {
  struct rig *r = *state;
  char first[256];
  make(r);
  begin_turn(r);
  yoi_stream *a = rig_start(r, CANCEL, "a", "", NULL);
  yoi_stream *b = rig_start(r, CANCEL, "a", "", NULL);
  assert_int_equal(rig_finish(r, a), YOI_OK);
  keep(r, "ack", first);
  assert_int_equal(rig_finish(r, b), YOI_OK);
  assert_string_equal(rig_get(r, "ack"), first);
  struct ear e;
  rig_settle(r);
  ear_open(&e, r, "a", NULL);
  ear_settle(&e);
  char body[256], *at = strrchr(e.cursor, '-');
  *at = 0;
  *strrchr(e.cursor, '-') = 0;
  (void)snprintf(body, sizeof body, "%s-1-0", e.cursor);
  ear_close(&e);
  ear_open(&e, r, "a", body);
  ear_settle(&e);
  assert_int_equal(ear_count(&e, "turn.cancel_requested "), 1);
  assert_int_equal(ear_count(&e, "turn.ended "), 1);
  ear_close(&e);
}

/* Pitfall 61: after a cancel is acknowledged nothing of the turn is acted on. */
static void no_late_chunk_is_acted_on_after_a_cancel(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "before");
  fake_answer_gate(a);
  fake_answer_text(a, "after");
  fake_answer_event(a, YOI_EVENT_MODEL_TOOL_CALL,
                    "{\"id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}");
  fake_answer_finish(a, "tool_calls");
  ear_open(&e, r, "a", NULL);
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  yoi_stream *s = rig_start(r, CANCEL, "a", "", NULL);
  fake_model_open(r->fh); /* the model goes on at the same moment */
  assert_int_equal(rig_finish(r, s), YOI_OK);
  ear_settle(&e);
  if (!r->late) assert_int_equal(ear_count(&e, "after"), 0);
  assert_int_equal(ear_count(&e, "tool."), 0);
  assert_int_equal(ear_count(&e, "message.completed"), 0);
  assert_int_equal(ear_count(&e, "\"state\":\"cancelled\",\"reason\":\"cancel_requested\""), 1);
  assert_int_equal(fake_model_requests(r->fh), 1);
  ear_close(&e);
}

static void cancel_now(void *ctx) {
  struct rig *r = ctx;
  rig_ok(r, CANCEL, "a", "");
}

/* The same in the narrowest moment: the chunk is already in the engine's
 * hands when the cancel is acknowledged. */
static void a_chunk_in_hand_is_dropped_after_a_cancel(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  if (r->late) return;
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "in hand");
  fake_answer_finish(a, "stop");
  ear_open(&e, r, "a", NULL);
  fake_model_on_next(r->fh, cancel_now, r);
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started turn.cancel_requested "
                      "turn.ended");
  ear_close(&e);
}

/* turn.ended first: a cancel is acknowledged and changes nothing. */
static void a_cancel_behind_the_end_changes_nothing(void **state) {
  struct rig *r = *state;
  make(r);
  if (!r->late) return;
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "x");
  fake_answer_finish(a, "stop");
  yoi_stream *in = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL);
  assert_true(eng_store_mem_step(r->store));
  (void)fake_host_run(r->fh);
  while (eng_store_mem_waiting(r->store) > 0 && fake_model_requests(r->fh) == 0) {
    assert_true(eng_store_mem_step(r->store)); /* the context's read */
    (void)fake_host_run(r->fh);
  }
  assert_int_equal(eng_store_mem_waiting(r->store), 1); /* message and turn.ended */
  yoi_stream *s = rig_start(r, CANCEL, "a", "", NULL);
  assert_int_equal(eng_store_mem_waiting(r->store), 1); /* it waits */
  assert_int_equal(rig_finish(r, s), YOI_OK);
  assert_string_equal(rig_get(r, "ack.turn_id"), "");
  assert_string_equal(rig_get(r, "ack.state"), "\"idle\"");
  assert_int_equal(rig_finish(r, in), YOI_OK);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
}

/* turn.cancel_requested first: cancelled, even when the model finished. */
static void a_cancel_before_the_end_wins(void **state) {
  struct rig *r = *state;
  make(r);
  begin_turn(r);
  if (!r->late) return;
  yoi_stream *s = rig_start(r, CANCEL, "a", "", NULL);
  assert_int_equal(eng_store_mem_waiting(r->store), 1);
  fake_model_open(r->fh); /* the model finishes while the cancel is staged */
  (void)fake_host_run(r->fh);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"cancelled\"");
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.total"), "1");
}

static void a_failed_cancel_changes_nothing(void **state) {
  struct rig *r = *state;
  make(r);
  begin_turn(r);
  eng_store_mem_fail(r->store, 1, 1);
  rig_refused(r, CANCEL, "a", "", YOI_CODE_STORE_ERROR);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.cancel_requested"), "");
  fake_model_open(r->fh);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
}

/* Pitfall 1: terminal is terminal. */
static void stop_is_terminal_and_sticky(void **state) {
  struct rig *r = *state;
  char first[256], turn[256];
  struct ear e;
  make(r);
  ear_open(&e, r, "a", NULL);
  begin_turn(r);
  rig_ok(r, STOP, "a", "{\"reason\":\"bye\"}");
  assert_string_equal(rig_get(r, "ack.state"), "\"stopped\"");
  keep(r, "ack.sequence", first);
  keep(r, "ack.turn_id", turn);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started turn.ended worker.stopped");
  assert_true(ear_has(&e, "\"state\":\"cancelled\",\"reason\":\"worker_stopped\""));
  assert_int_equal(fake_model_live(r->fh), 0);
  for (int i = 0; i < 2; i++) {
    rig_ok(r, i ? STOP : CANCEL, "a", "");
    assert_string_equal(rig_get(r, "ack.state"), "\"stopped\"");
    assert_string_equal(rig_get(r, "ack.sequence"), first);
    assert_string_equal(rig_get(r, "ack.turn_id"), turn);
  }
  rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_WORKER_STOPPED);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}", YOI_CODE_WORKER_STOPPED);
  ear_settle(&e);
  assert_int_equal(ear_count(&e, "turn.ended "), 1);
  assert_int_equal(e.st, YOI_AGAIN); /* the stream of a stopped worker stays open */
  ear_close(&e);
}

static void stop_and_cancel_at_once_end_the_turn_once(void **state) {
  struct rig *r = *state;
  for (int order = 0; order < 2; order++) {
    struct ear e;
    rig_reopen(r, NULL, NULL);
    make(r);
    begin_turn(r);
    ear_open(&e, r, "a", NULL);
    yoi_stream *a = rig_start(r, order ? STOP : CANCEL, "a", "", NULL);
    yoi_stream *b = rig_start(r, order ? CANCEL : STOP, "a", "", NULL);
    assert_int_equal(rig_finish(r, a), YOI_OK);
    assert_int_equal(rig_finish(r, b), YOI_OK);
    ear_settle(&e);
    assert_int_equal(ear_count(&e, "turn.ended "), 1);
    assert_int_equal(ear_count(&e, "worker.stopped "), 1);
    assert_int_equal(ear_count(&e, order ? "worker_stopped" : "\"reason\":\"cancel_requested\""),
                     1);
    ear_close(&e);
  }
}

static void a_failed_stop_changes_nothing(void **state) {
  struct rig *r = *state;
  make(r);
  begin_turn(r);
  eng_store_mem_fail(r->store, 1, 1);
  rig_refused(r, STOP, "a", "", YOI_CODE_STORE_ERROR);
  fake_model_open(r->fh);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
  rig_ok(r, STOP, "a", "");
}

static void reasons_are_bounded(void **state) {
  struct rig *r = *state;
  char body[1200];
  make(r);
  (void)snprintf(body, sizeof body, "{\"reason\":\"%01025d\"}", 0);
  rig_refused(r, CANCEL, "a", body, YOI_CODE_INVALID_REQUEST);
  rig_refused(r, STOP, "a", body, YOI_CODE_INVALID_REQUEST);
  rig_refused(r, STOP, "a", "{\"why\":\"x\"}", YOI_CODE_INVALID_REQUEST);
  (void)snprintf(body, sizeof body, "{\"reason\":\"%01024d\"}", 0);
  rig_ok(r, STOP, "a", body);
}

static void too_many_waiting_operations_are_refused(void **state) {
  struct rig *r = *state;
  yoi_stream *s[YOI_PENDING_OPS_MAX + 1];
  make(r);
  if (!r->late) return;
  begin_turn(r);
  for (size_t i = 0; i <= YOI_PENDING_OPS_MAX; i++) {
    s[i] = rig_start(r, CANCEL, "a", "", NULL);
    assert_non_null(s[i]);
  }
  assert_null(rig_start(r, CANCEL, "a", "", NULL));
  assert_int_equal(r->err->code, YOI_CODE_QUEUE_FULL);
  for (size_t i = 0; i <= YOI_PENDING_OPS_MAX; i++) assert_int_equal(rig_finish(r, s[i]), YOI_OK);
}

/* Cancelling the stream of an operation ends the waiting, not the operation. */
static void what_was_asked_is_done_though_nobody_waits(void **state) {
  struct rig *r = *state;
  make(r);
  yoi_stream *s = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", NULL);
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  s->ops->cancel(s);
  s->ops->cancel(s);
  assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_CANCELLED);
  s->ops->release(s);
  rig_settle(r);
  assert_int_equal(fake_model_requests(r->fh), 1);
}

/* ---- the history's limit ---- */

static void a_full_history_refuses_input(void **state) {
  struct rig *r = *state;
  rig_reopen(r, "{\"limits\":{\"history_bytes\":6000}}", NULL);
  make(r);
  int n = 0;
  while (rig_call(r, INPUT, "a", "{\"content\":\"hi\"}") == YOI_OK && n < 100) {
    rig_settle(r);
    n++;
  }
  assert_int_equal(r->err->code, YOI_CODE_LIMIT_REACHED);
  assert_in_range(n, 2, 10);
  rig_ok(r, TRANSCRIPT, "a", "");
  char want[16];
  (void)snprintf(want, sizeof want, "%d", 2 * n);
  assert_string_equal(rig_get(r, "transcript.total"), want); /* nothing was dropped */
  rig_ok(r, STOP, "a", "");
}

/* ---- transcript ---- */

static void a_transcript_is_paged(void **state) {
  struct rig *r = *state;
  make(r);
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(r->text,
                      "{\"transcript\":{\"start\":0,\"limit\":256,\"total\":0,"
                      "\"next_start\":null,\"items\":[]}}");
  for (int i = 0; i < 100; i++) {
    char body[64];
    (void)snprintf(body, sizeof body, "{\"content\":\"n%d\"}", i);
    rig_ok(r, INPUT, "a", body);
  }
  rig_ok(r, TRANSCRIPT, "a", "{\"start\":10,\"limit\":3}");
  assert_string_equal(rig_get(r, "transcript.start"), "10");
  assert_string_equal(rig_get(r, "transcript.limit"), "3");
  assert_string_equal(rig_get(r, "transcript.total"), "200");
  assert_string_equal(rig_get(r, "transcript.next_start"), "13");
  assert_true(rig_has(r, "\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"n5\"}]"));
  assert_true(
      rig_has(r, "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]"));
  assert_true(rig_has(r, "\"text\":\"n6\""));
  assert_null(strstr(r->text, "n7"));
  rig_ok(r, TRANSCRIPT, "a", "{\"start\":199}");
  assert_string_equal(rig_get(r, "transcript.next_start"), "null");
  rig_ok(r, TRANSCRIPT, "a", "{\"start\":200}");
  assert_string_equal(rig_get(r, "transcript.items"), "[]");
  rig_ok(r, TRANSCRIPT, "a", "{\"limit\":256}");
  assert_true(rig_has(r, "n99"));
  rig_refused(r, TRANSCRIPT, "a", "{\"limit\":257}", YOI_CODE_LIMIT_TOO_LARGE);
  rig_refused(r, TRANSCRIPT, "a", "{\"start\":-1}", YOI_CODE_INVALID_REQUEST);
  rig_refused(r, TRANSCRIPT, "b", "", YOI_CODE_WORKER_NOT_FOUND);
  eng_store_mem_fail_read(r->store, 2, 1);
  rig_refused(r, TRANSCRIPT, "a", "", YOI_CODE_STORE_ERROR);
}

static void a_runtime_may_lower_the_page(void **state) {
  struct rig *r = *state;
  rig_reopen(r, "{\"limits\":{\"transcript_items\":1}}", NULL);
  make(r);
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.limit"), "1");
  assert_string_equal(rig_get(r, "transcript.next_start"), "1");
  rig_refused(r, TRANSCRIPT, "a", "{\"limit\":2}", YOI_CODE_LIMIT_TOO_LARGE);
}

static void a_page_is_bounded_in_bytes(void **state) {
  struct rig *r = *state;
  make(r);
  if (r->late) return;
  char *big = malloc(262144 + 64);
  (void)snprintf(big, 262144 + 64, "{\"content\":\"%0262144d\"}", 0);
  for (int i = 0; i < 20; i++) rig_ok(r, INPUT, "a", big);
  free(big);
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_in_range(strlen(r->text), 3 << 20, 5 << 20);
  assert_string_not_equal(rig_get(r, "transcript.next_start"), "null");
  char body[64];
  (void)snprintf(body, sizeof body, "{\"start\":%s}", rig_get(r, "transcript.next_start"));
  rig_ok(r, TRANSCRIPT, "a", body);
  assert_string_equal(rig_get(r, "transcript.next_start"), "null");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(input_refuses_what_it_cannot_do),
      RIG_TESTS(input_is_bounded),
      RIG_TESTS(an_ack_comes_after_the_append),
      RIG_TESTS(a_failed_input_changes_nothing),
      RIG_TESTS(a_second_input_is_busy),
      RIG_TESTS(while_an_input_is_staged_a_second_one_is_busy),
      RIG_TESTS(a_replayed_input_gets_the_stored_ack),
      RIG_TESTS(a_replay_of_a_staged_input_waits_for_its_ticket),
      RIG_TESTS(a_key_lives_a_day_beyond_the_last_64),
      RIG_TESTS(system_input_is_an_item_and_no_turn),
      RIG_TESTS(a_browser_sends_no_system_text),
      RIG_TESTS(cancel_ends_the_turn_and_not_the_worker),
      RIG_TESTS(a_requested_cancel_shows_in_the_turn),
      RIG_TESTS(two_cancels_append_one_record),
      RIG_TESTS(no_late_chunk_is_acted_on_after_a_cancel),
      RIG_TESTS(a_chunk_in_hand_is_dropped_after_a_cancel),
      RIG_TESTS(a_cancel_behind_the_end_changes_nothing),
      RIG_TESTS(a_cancel_before_the_end_wins),
      RIG_TESTS(a_failed_cancel_changes_nothing),
      RIG_TESTS(stop_is_terminal_and_sticky),
      RIG_TESTS(stop_and_cancel_at_once_end_the_turn_once),
      RIG_TESTS(a_failed_stop_changes_nothing),
      RIG_TESTS(reasons_are_bounded),
      RIG_TESTS(too_many_waiting_operations_are_refused),
      RIG_TESTS(what_was_asked_is_done_though_nobody_waits),
      RIG_TESTS(a_full_history_refuses_input),
      RIG_TESTS(a_transcript_is_paged),
      RIG_TESTS(a_runtime_may_lower_the_page),
      RIG_TESTS(a_page_is_bounded_in_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
