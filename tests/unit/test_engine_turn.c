/* test_engine_turn.c - how turns run and how they end, and what a model is
 * shown. */
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define STOP YOI_OP_WORKER_STOP
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

static void make(struct rig *r) {
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
}

static void say(struct rig *r) {
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
}

/* ---- completed ---- */

static void finish_reasons_are_kept(void **state) {
  struct rig *r = *state;
  static const char *const reasons[] = {"stop", "length", "content_filter"};
  make(r);
  for (size_t i = 0; i < 3; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_text(a, "x");
    fake_answer_finish(a, reasons[i]);
    say(r);
    rig_ended(r, "completed", reasons[i]);
  }
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "completed"), 3);
  assert_int_equal(fake_model_cancelled(r->fh), 0); /* what has ended is not cancelled */
}

static void a_turn_is_measured(void **state) {
  struct rig *r = *state;
  const uint64_t ms = 1000000;
  make(r);
  assert_int_equal(fake_metric(r->fh, "yoi_workers", ""), 1);
  assert_int_equal(fake_metric(r->fh, "yoi_store_append_seconds", ""), 1);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_gate(a);
  fake_answer_text(a, "x");
  fake_answer_gate(a);
  fake_answer_text(a, "y"); /* not the first */
  fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{\"input_tokens\":11,\"output_tokens\":null}");
  fake_answer_finish(a, "stop");
  say(r);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_running", ""), 1);
  assert_int_equal(fake_metric(r->fh, "yoi_turn_queue_seconds", ""), 1);
  fake_host_advance(r->fh, 5);
  fake_model_open(r->fh);
  rig_settle(r);
  assert_int_equal(fake_metric_ns(r->fh, "yoi_model_first_delta_seconds", ""), 5 * ms);
  fake_host_advance(r->fh, 7);
  fake_model_open(r->fh);
  rig_settle(r);
  rig_ended(r, "completed", "stop");
  assert_int_equal(fake_metric(r->fh, "yoi_model_first_delta_seconds", ""), 1);
  assert_int_equal(fake_metric(r->fh, "yoi_turn_duration_seconds", ""), 1);
  assert_int_equal(fake_metric_ns(r->fh, "yoi_turn_duration_seconds", ""), 12 * ms);
  assert_int_equal(fake_metric_ns(r->fh, "yoi_turn_queue_seconds", ""), 0);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_running", ""), 0);
  assert_int_equal(fake_metric(r->fh, "yoi_model_tokens_total", "input"), 11);
  assert_int_equal(fake_metric(r->fh, "yoi_model_tokens_total", "output"), 0);
  assert_int_equal(fake_metric(r->fh, "yoi_store_append_seconds", ""), 3);
}

static void a_turn_has_its_shape(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_gate(a);
  fake_answer_text(a, "x");
  fake_answer_event(a, YOI_EVENT_MODEL_USAGE,
                    "{\"input_tokens\":3,\"output_tokens\":5,\"cached_tokens\":null,"
                    "\"reasoning_tokens\":2}");
  fake_answer_finish(a, "stop");
  say(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"running\"");
  assert_string_equal(rig_get(r, "worker.turn.reason"), "null");
  assert_string_equal(rig_get(r, "worker.turn.ended_at"), "null");
  assert_string_equal(rig_get(r, "worker.turn.usage"), "null");
  assert_string_equal(rig_get(r, "worker.turn.steps"), "1");
  assert_string_equal(rig_get(r, "worker.capabilities"),
                      "[\"worker.get\",\"worker.input\",\"worker.cancel\",\"worker.stop\","
                      "\"worker.transcript\",\"worker.events\",\"worker.approvals\","
                      "\"worker.artefact\"]");
  fake_host_advance(r->fh, 1500);
  fake_model_open(r->fh);
  rig_settle(r);
  rig_ended(r, "completed", "stop");
  assert_string_equal(rig_get(r, "worker.turn.duration_ms"), "1500");
  assert_string_equal(rig_get(r, "worker.turn.started_at"), "\"2026-05-28T20:26:41.000Z\"");
  assert_string_equal(rig_get(r, "worker.turn.ended_at"), "\"2026-05-28T20:26:42.500Z\"");
  assert_string_equal(rig_get(r, "worker.turn.usage"),
                      "{\"input_tokens\":3,\"output_tokens\":5,\"cached_tokens\":null,"
                      "\"reasoning_tokens\":2}");
  assert_string_equal(rig_get(r, "worker.turn.error"), "");
}

static void a_message_has_its_shape(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_event(a, YOI_EVENT_MODEL_REASONING, "hm");
  fake_answer_text(a, "a \"b\"\n");
  fake_answer_finish(a, "stop");
  say(r);
  rig_ok(r, TRANSCRIPT, "a", "{\"start\":1}");
  char items[1024];
  (void)snprintf(items, sizeof items, "%s", rig_get(r, "transcript.items"));
  assert_non_null(strstr(items,
                         "\"step\":1,\"role\":\"assistant\",\"content\":[{\"type\":\"text\","
                         "\"text\":\"a \\\"b\\\"\\n\"}],\"reasoning\":\"hm\","
                         "\"created_at\":\"2026"));
}

static void an_empty_answer_is_an_empty_message(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_finish(a, "stop");
  say(r);
  rig_ended(r, "completed", "stop");
  rig_ok(r, TRANSCRIPT, "a", "{\"start\":1}");
  assert_true(rig_has(r, "\"content\":[]"));
  say(r);
  assert_non_null(
      strstr(fake_model_messages(r->fh, 1), "{\"role\":\"assistant\",\"content\":\"\"}"));
}

static void deltas_are_merged_and_cut_at_characters(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  /* With one byte before it, two full deltas and a character. */
  size_t bytes = (2 * YOI_DELTA_BYTES_MAX + 3) / 3 * 3;
  char *big = malloc(bytes + 1);
  for (size_t i = 0; i < bytes; i += 3) memcpy(big + i, "\xe2\x82\xac", 3);
  big[bytes] = 0;
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "x");
  fake_answer_text(a, big);
  fake_answer_event(a, YOI_EVENT_MODEL_REASONING, "r1");
  fake_answer_event(a, YOI_EVENT_MODEL_REASONING, "r2");
  fake_answer_text(a, "z");
  fake_answer_finish(a, "stop");
  ear_open(&e, r, "a", NULL);
  say(r);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started text.delta text.delta text.delta "
                      "reasoning.delta text.delta message.completed turn.ended");
  assert_true(ear_has(&e, "reasoning.delta {"));
  assert_true(ear_has(&e, "\"text\":\"r1r2\""));
  for (const char *p = e.heard.data; (p = strstr(p, "text.delta ")) != NULL; p++)
    assert_true(strcspn(p, "\n") <= YOI_DELTA_BYTES_MAX + 128);
  ear_close(&e);
  free(big);
}

/* ---- tools ---- */

static void an_undeclared_tool_gets_an_error_and_the_model_goes_on(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "let me");
  fake_answer_call(a, "c1", "fs_read", "{\\\"p\\\":1}");
  fake_answer_call(a, "c2", "rm", "{}");
  fake_answer_finish(a, "tool_calls");
  ear_open(&e, r, "a", NULL);
  say(r);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started text.delta message.completed "
                      "tool.requested tool.requested tool.completed tool.completed "
                      "text.delta text.delta message.completed turn.ended");
  assert_int_equal(ear_count(&e, "tool.started"), 0);
  assert_true(ear_has(&e,
                      "\"step\":1,\"call\":{\"id\":\"c1\",\"name\":\"fs_read\","
                      "\"arguments\":\"{\\\"p\\\":1}\"}"));
  assert_true(ear_has(&e, "\"call_id\":\"c1\",\"status\":\"error\",\"item\":{"));
  assert_true(ear_has(&e,
                      "\"role\":\"tool\",\"content\":[{\"type\":\"text\",\"text\":"
                      "\"error: there is no tool 'fs_read'\"}],\"tool_call_id\":\"c1\","
                      "\"error\":{\"code\":\"not_found\""));
  assert_true(ear_has(&e, "\"tool_calls\":[{\"id\":\"c1\",\"name\":\"fs_read\""));
  rig_ended(r, "completed", "stop");
  assert_string_equal(rig_get(r, "worker.turn.steps"), "2");
  assert_non_null(strstr(
      fake_model_messages(r->fh, 1),
      "{\"role\":\"assistant\",\"content\":\"let me\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
      "\"function\",\"function\":{\"name\":\"fs_read\",\"arguments\":\"{\\\"p\\\":1}\"}},"
      "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"rm\",\"arguments\":\"{}\"}}]}"
      "\n"
      "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"error: there is no tool "
      "'fs_read'\"}\n"
      "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"error: there is no tool "
      "'rm'\"}\n"));
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.total"), "5");
  ear_close(&e);
}

static void calls_are_made_fit_to_be_paired(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c", "good", "{}");
  fake_answer_call(a, "c", "same id", "{}");
  fake_answer_call(a, "", "no id", "{}");
  fake_answer_call(a, "d",
                   "b\xc3\xa4"
                   "d/name",
                   "{\\\"a\\\":");
  fake_answer_finish(a, "tool_calls");
  say(r);
  const char *m = fake_model_messages(r->fh, 1);
  assert_non_null(strstr(m, "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"good\""));
  assert_non_null(
      strstr(m, "\"id\":\"call_1_2\",\"type\":\"function\",\"function\":{\"name\":\"same_id\""));
  assert_non_null(
      strstr(m, "\"id\":\"call_1_3\",\"type\":\"function\",\"function\":{\"name\":\"no_id\""));
  assert_non_null(strstr(m, "\"name\":\"b__d_name\",\"arguments\":\"{}\""));
  assert_non_null(strstr(m,
                         "\"tool_call_id\":\"d\",\"content\":\"error: the arguments of "
                         "'b__d_name' are not a JSON object\""));
  rig_ended(r, "completed", "stop");
}

/* Partial arguments never become a call: a cut answer asks for nothing. */
static void a_cut_answer_asks_for_nothing(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "x");
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_finish(a, "length");
  say(r);
  rig_ended(r, "completed", "length");
  say(r);
  assert_null(strstr(fake_model_messages(r->fh, 1), "tool_calls"));
}

static void stop_with_calls_is_taken_for_tool_calls(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_finish(a, "stop");
  say(r);
  assert_int_equal(fake_model_requests(r->fh), 2);
  a = fake_model_answer(r->fh);
  fake_answer_text(a, "x");
  fake_answer_finish(a, "tool_calls"); /* and none without calls for stop */
  say(r);
  rig_ended(r, "completed", "stop");
}

#define PROFILE(limits) \
  "{\"name\":\"p\",\"prompt\":\"p.system\",\"model\":\"main\",\"limits\":{" limits "}}"

/* ---- usage ---- */

static void usage_is_summed_and_unknown_stays_unknown(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_event(a, YOI_EVENT_MODEL_USAGE,
                    "{\"input_tokens\":10,\"output_tokens\":2,\"cached_tokens\":4}");
  fake_answer_finish(a, "tool_calls");
  a = fake_model_answer(r->fh);
  fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{\"input_tokens\":20,\"output_tokens\":3}");
  fake_answer_finish(a, "stop");
  ear_open(&e, r, "a", NULL);
  say(r);
  ear_settle(&e);
  assert_true(ear_has(&e, "usage.updated {"));
  assert_true(ear_has(&e,
                      "\"step\":2,\"usage\":{\"input_tokens\":30,\"output_tokens\":5,"
                      "\"cached_tokens\":null,\"reasoning_tokens\":null}"));
  ear_close(&e);
  a = fake_model_answer(r->fh);
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{\"input_tokens\":10,\"output_tokens\":2}");
  fake_answer_finish(a, "tool_calls");
  say(r); /* the second step says nothing of usage */
  rig_ended(r, "completed", "stop");
  assert_string_equal(rig_get(r, "worker.turn.usage"), "null");
}

/* ---- model errors ---- */

static void model_errors_are_typed_and_worded_by_us(void **state) {
  struct rig *r = *state;
  static const struct {
    yoi_status st;
    int32_t code;
    const char *details, *kind, *retryable;
  } rows[] = {
#define ROW(name, retry)                                                                      \
  {YOI_UNAVAILABLE, YOI_CODE_MODEL_ERROR, "{\"kind\":\"" name "\",\"retryable\":" #retry "}", \
   "\"" name "\"", retry ? "true" : "false"},
      YOI_MODEL_ERRORS(ROW)
#undef ROW
          {YOI_UNAVAILABLE, YOI_CODE_MODEL_ERROR, "{\"kind\":\"connect\",\"retryable\":false}",
           "\"connect\"", "false"},
      {YOI_UNAVAILABLE, YOI_CODE_MODEL_ERROR, "{\"kind\":\"quota\",\"retryable\":true}",
       "\"quota\"", "true"},
      {YOI_UNAVAILABLE, YOI_CODE_MODEL_ERROR, "{\"kind\":\"tired\"}", "\"server_error\"", "true"},
      {YOI_INTERNAL, YOI_CODE_INTERNAL, "", "\"server_error\"", "true"},
      {YOI_DEADLINE_EXCEEDED, YOI_CODE_TIMEOUT, "", "\"total_timeout\"", "true"},
      {YOI_RESOURCE_EXHAUSTED, YOI_CODE_RATE_LIMITED, "", "\"overloaded\"", "true"},
      {YOI_CANCELLED, 0, "", "\"closed\"", "true"},
  };
  make(r);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_text(a, "half");
    fake_answer_fail(a, rows[i].st, rows[i].code, rows[i].details);
    say(r);
    rig_ended(r, "failed", "model_error");
    assert_string_equal(rig_get(r, "worker.turn.error.code"), "\"model_error\"");
    assert_string_equal(rig_get(r, "worker.turn.error.details.kind"), rows[i].kind);
    const char *retry = rig_get(r, "worker.turn.error.details.retryable");
    assert_string_equal(retry[0] == '1'   ? "true"
                        : retry[0] == '0' ? "false"
                                          : retry,
                        rows[i].retryable);
    assert_null(strstr(r->text, "provider words"));
  }
  assert_null(strstr(fake_log(r->fh), "provider words"));
  assert_non_null(strstr(fake_log(r->fh), "model failed worker=a kind=quota"));
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_null(strstr(r->text, "half")); /* half an answer is none */
}

static void a_model_that_does_not_start_is_an_error(void **state) {
  struct rig *r = *state;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_refuse(a, YOI_UNAVAILABLE, YOI_CODE_RUNTIME_UNAVAILABLE);
  say(r);
  rig_ended(r, "failed", "model_error");
  fake_model_none(r->fh); /* it has gone since create */
  say(r);
  rig_ended(r, "failed", "model_error");
  assert_string_equal(rig_get(r, "worker.turn.error.details.kind"), "\"not_found\"");
}

static void a_model_that_breaks_the_rules_is_malformed(void **state) {
  struct rig *r = *state;
  make(r);
  for (int i = 0; i < 8; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    switch (i) {
      case 0:
        break; /* END without FINISH */
      case 1:
        fake_answer_finish(a, "done");
        break;
      case 2:
        fake_answer_finish(a, "stop");
        fake_answer_text(a, "more");
        break;
      case 3:
        fake_answer_finish(a, "stop");
        fake_answer_finish(a, "stop");
        break;
      case 4:
        fake_answer_event(a, YOI_EVENT_MODEL_TOOL_CALL, "{\"id\":\"c\"}");
        break;
      case 5:
        fake_answer_event(a, YOI_EVENT_TEXT_DELTA, "{}");
        break;
      case 6:
        fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{}");
        fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{}");
        break;
      default:
        fake_answer_event(a, YOI_EVENT_MODEL_TOOL_CALL,
                          "{\"id\":\"c\",\"name\":\"\",\"arguments\":\"{}\"}");
        break;
    }
    fake_answer_gate(a);
    if (i == 0) fake_model_open(r->fh);
    say(r);
    fake_model_open(r->fh);
    rig_settle(r);
    rig_ended(r, "failed", "model_error");
    assert_string_equal(rig_get(r, "worker.turn.error.details.kind"), "\"malformed\"");
  }
}

static void an_answer_is_bounded(void **state) {
  struct rig *r = *state;
  make(r);
  char *big = malloc(65537);
  memset(big, 'x', 65536);
  big[65536] = 0;
  struct fake_answer *a = fake_model_answer(r->fh);
  for (int i = 0; i < 16; i++) fake_answer_text(a, big); /* exactly the maximum */
  fake_answer_finish(a, "stop");
  say(r);
  rig_ended(r, "completed", "stop");
  a = fake_model_answer(r->fh);
  for (int i = 0; i < 16; i++) fake_answer_text(a, big);
  fake_answer_text(a, "x");
  fake_answer_finish(a, "stop");
  say(r);
  rig_ended(r, "failed", "model_error");
  assert_string_equal(rig_get(r, "worker.turn.error.details.kind"), "\"too_large\"");
  a = fake_model_answer(r->fh);
  for (int i = 0; i < 65; i++) fake_answer_call(a, "c", "f", "{}");
  fake_answer_finish(a, "tool_calls");
  say(r);
  assert_true(rig_call(r, GET, "a", "") == YOI_OK &&
              strstr(rig_get(r, "worker.turn.error.details.kind"), "too_large"));
  free(big);
}

/* ---- the store fails ---- */

static void when_the_answer_cannot_be_written_the_turn_fails_in_memory(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "lost");
  fake_answer_gate(a);
  fake_answer_finish(a, "stop");
  ear_open(&e, r, "a", NULL);
  ear_follow(&f, r, "a", "{\"content\":\"hi\"}", "");
  rig_settle(r);
  eng_store_mem_fail(r->store, 1, 2);
  fake_model_open(r->fh);
  ear_settle(&e);
  rig_ended(r, "failed", "store_error");
  assert_string_equal(rig_get(r, "worker.turn.error.code"), "\"store_error\"");
  assert_string_equal(ear_kinds(&e), "snapshot input.accepted turn.started text.delta snapshot");
  assert_int_equal(e.flags, 0);
  const char *last = strstr(e.heard.data + 10, "snapshot ");
  assert_non_null(strstr(last, "\"in_flight\":null"));
  assert_non_null(strstr(last, "\"reason\":\"store_error\""));
  ear_settle(&f);
  assert_true(ear_has(&f, "end {\"reason\":\"error\",\"code\":\"store_error\",\"retryable\":true"));
  assert_int_equal(f.st, YOI_END);
  ear_close(&f);
  assert_string_equal(
      rig_get(r, "worker.diagnostics"),
      "[{\"code\":\"store_error\",\"severity\":\"error\",\"message\":\"the history "
      "could not be written\",\"count\":1,\"last_at\":\"2026-05-28T20:26:41.000Z\"}]");
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.status"), "\"degraded\"");
  assert_true(rig_has(r, "\"code\":\"store_error\""));
  /* Refused until an append succeeds; then the missing end comes first. */
  rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_STORE_ERROR);
  ear_settle(&e);
  assert_int_equal(ear_count(&e, "turn.ended "), 0);
  ear_forget(&e);
  say(r);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "turn.ended input.accepted turn.started text.delta text.delta "
                      "message.completed turn.ended");
  assert_true(ear_has(&e, "\"sequence\":4,"));
  assert_true(ear_has(&e, "\"sequence\":5,"));
  rig_ended(r, "completed", "stop");
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.status"), "\"ready\"");
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_null(strstr(r->text, "lost"));
  ear_close(&e);
}

static void each_append_of_a_turn_may_fail(void **state) {
  struct rig *r = *state;
  for (uint64_t n = 1; n <= 3; n++) {
    rig_reopen(r, NULL, NULL);
    make(r);
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_call(a, "c", "f", "{}");
    fake_answer_finish(a, "tool_calls");
    eng_store_mem_fail(r->store, n, 1);
    yoi_status st = rig_call(r, INPUT, "a", "{\"content\":\"hi\"}");
    rig_settle(r);
    assert_int_equal(st == YOI_OK, n > 1);
    if (n > 1) rig_ended(r, "failed", "store_error");
    rig_ok(r, STOP, "a", ""); /* takes the owed end along */
    struct ear e;
    rig_ok(r, GET, "a", "");
    char cursor[128];
    (void)snprintf(cursor, sizeof cursor, "%s", rig_get(r, "worker.cursor") + 1);
    char *dash = strrchr(cursor, '-');
    *dash = 0;
    (void)snprintf(strrchr(cursor, '-'), 16, "-0-0");
    ear_open(&e, r, "a", cursor);
    ear_settle(&e);
    assert_int_equal(ear_count(&e, "turn.ended "), n > 1 ? 1 : 0);
    assert_int_equal(ear_count(&e, "worker.stopped "), 1);
    ear_close(&e);
  }
}

static void a_history_that_cannot_be_read_fails_the_turn(void **state) {
  struct rig *r = *state;
  make(r);
  /* The first read of one that sleeps is for the worker itself. */
  eng_store_mem_fail_read(r->store, r->mode & RIG_SLEEPY ? 2 : 1, 1);
  say(r);
  rig_ended(r, "failed", "store_error");
  say(r);
  rig_ended(r, "completed", "stop");
}

static void a_turn_that_cannot_be_posted_ends(void **state) {
  struct rig *r = *state;
  make(r);
  fake_host_fail_post(r->fh, 1);
  say(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.reason"), "\"internal\"");
  say(r);
  rig_ended(r, "completed", "stop");
}

/* ---- loops ---- */

static void a_turn_stays_on_the_loop_that_accepted_it(void **state) {
  struct rig *r = *state;
  make(r);
  for (uint32_t loop = 0; loop < 2; loop++) {
    fake_host_enter(loop);
    assert_int_equal(rig_call(r, INPUT, "a", "{\"content\":\"hi\"}"), YOI_OK);
    fake_host_enter(YOI_NO_LOOP);
    rig_settle(r);
    assert_int_equal(fake_model_loop(r->fh, loop), loop);
  }
  say(r);
  say(r);
  if (r->restarts == 0) /* each engine has a hash of its own */
    assert_int_equal(fake_model_loop(r->fh, 2), fake_model_loop(r->fh, 3));
}

static void request_id_and_trace_reach_the_model(void **state) {
  struct rig *r = *state;
  make(r);
  yoi_request more = {.request_id = YOI_LIT("r-1"), .trace = YOI_LIT("00-aa-bb-01")};
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_finish(a, "tool_calls");
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &more), YOI_OK);
  rig_settle(r);
  assert_string_equal(fake_model_origin(r->fh, 0), "r-1 00-aa-bb-01");
  assert_string_equal(fake_model_origin(r->fh, 1), "r-1 00-aa-bb-01");
  assert_string_equal(fake_model_name(r->fh, 1), "main");
}

/* ---- context ---- */

static void the_system_text_is_prompt_and_intent(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "",
         "{\"worker_id\":\"a\",\"intent\":{\"kind\":\"role\",\"role\":\"a \\\"cook\\\"\","
         "\"objective\":\"soup\",\"purpose\":\"dinner\"}}");
  say(r);
  const char *m = fake_model_messages(r->fh, 0);
  assert_int_equal(strncmp(m, "{\"role\":\"system\",\"content\":\"You are a companion", 45), 0);
  assert_non_null(strstr(m,
                         "\\n\\nYour role: a \\\"cook\\\" Your objective: soup Its purpose: "
                         "dinner\"}\n"));
}

static void parts_are_joined_as_lines(void **state) {
  struct rig *r = *state;
  make(r);
  rig_ok(
      r, INPUT, "a",
      "{\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"text\",\"text\":\"two\"}]}");
  assert_non_null(strstr(fake_model_messages(r->fh, 0), "\"content\":\"one\\ntwo\"}\n"));
}

static void whole_turns_fit_or_are_left_out(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"context_tokens\":1000"));
  make(r);
  char body[700];
  for (int i = 0; i < 30; i++) {
    (void)snprintf(body, sizeof body, "{\"content\":\"n%d %0300d\"}", i, 0);
    rig_ok(r, INPUT, "a", body);
  }
  const char *m = fake_model_messages(r->fh, 29);
  assert_true(strlen(m) < 1000 * 3 + 600);
  assert_non_null(strstr(m, "n29 "));
  assert_non_null(strstr(m, "n28 "));
  assert_null(strstr(m, "n10 "));
  /* an answer never stands without its question */
  const char *first = strchr(m, '\n') + 1;
  assert_int_equal(strncmp(first, "{\"role\":\"user\"", 14), 0);
}

/* The input that is to be answered is always there, however large. */
static void the_turn_that_runs_is_always_shown(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"context_tokens\":10"));
  make(r);
  say(r);
  char *big = malloc(20100);
  (void)snprintf(big, 20100, "{\"content\":\"%020000d\"}", 7);
  rig_ok(r, INPUT, "a", big);
  assert_non_null(strstr(fake_model_messages(r->fh, 1), "00007\"}\n"));
  assert_null(strstr(fake_model_messages(r->fh, 1), "\"hi\""));
  free(big);
}

static void long_turns_are_read_in_batches(void **state) {
  struct rig *r = *state;
  make(r);
  for (int i = 0; i < 15; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    for (int k = 0; k < 5; k++) {
      char id[32];
      (void)snprintf(id, sizeof id, "c%d_%d", i, k);
      fake_answer_call(a, id, "f", "{}");
    }
    fake_answer_finish(a, "tool_calls");
  }
  say(r);
  rig_ended(r, "completed", "stop");
  const char *m = fake_model_messages(r->fh, 15);
  size_t lines = 0;
  for (const char *p = m; (p = strchr(p, '\n')) != NULL; p++) lines++;
  assert_int_equal(lines, 2 + 15 * 6);
  assert_non_null(strstr(m, "\"tool_call_id\":\"c14_4\""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(finish_reasons_are_kept),
      RIG_TESTS(a_turn_is_measured),
      RIG_TESTS(a_turn_has_its_shape),
      RIG_TESTS(a_message_has_its_shape),
      RIG_TESTS(an_empty_answer_is_an_empty_message),
      RIG_TESTS(deltas_are_merged_and_cut_at_characters),
      RIG_TESTS(an_undeclared_tool_gets_an_error_and_the_model_goes_on),
      RIG_TESTS(calls_are_made_fit_to_be_paired),
      RIG_TESTS(a_cut_answer_asks_for_nothing),
      RIG_TESTS(stop_with_calls_is_taken_for_tool_calls),
      RIG_TESTS(usage_is_summed_and_unknown_stays_unknown),
      RIG_TESTS(model_errors_are_typed_and_worded_by_us),
      RIG_TESTS(a_model_that_does_not_start_is_an_error),
      RIG_TESTS(a_model_that_breaks_the_rules_is_malformed),
      RIG_TESTS(an_answer_is_bounded),
      RIG_TESTS(when_the_answer_cannot_be_written_the_turn_fails_in_memory),
      RIG_TESTS(each_append_of_a_turn_may_fail),
      RIG_TESTS(a_history_that_cannot_be_read_fails_the_turn),
      RIG_TESTS(a_turn_that_cannot_be_posted_ends),
      RIG_TESTS(a_turn_stays_on_the_loop_that_accepted_it),
      RIG_TESTS(request_id_and_trace_reach_the_model),
      RIG_TESTS(the_system_text_is_prompt_and_intent),
      RIG_TESTS(parts_are_joined_as_lines),
      RIG_TESTS(whole_turns_fit_or_are_left_out),
      RIG_TESTS(the_turn_that_runs_is_always_shown),
      RIG_TESTS(long_turns_are_read_in_batches),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
