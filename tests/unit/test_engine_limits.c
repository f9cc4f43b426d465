/* test_engine_limits.c - what bounds a turn: steps, time, tokens, what tools
 * say, the history. */
#include <stdlib.h>

#include "support/builtin.h"
#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

static void make(struct rig *r) {
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
}

static void say(struct rig *r) {
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
}

/* ---- limits ---- */

#define PROFILE(limits) \
  "{\"name\":\"p\",\"prompt\":\"p.system\",\"model\":\"main\",\"limits\":{" limits "}}"

static void steps_are_limited(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"steps\":3"));
  make(r);
  for (int i = 0; i < 5; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_call(a, "c", "f", "{}");
    fake_answer_finish(a, "tool_calls");
  }
  say(r);
  assert_int_equal(fake_model_requests(r->fh), 3);
  rig_ended(r, "failed", "step_limit");
  assert_string_equal(rig_get(r, "worker.turn.error.code"), "\"limit_reached\"");
  assert_string_equal(rig_get(r, "worker.turn.steps"), "3");
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.total"), "7"); /* every call has its result */
}

static void wall_time_is_limited(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"wall_ms\":5000"));
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "x");
  fake_answer_gate(a);
  say(r);
  fake_host_advance(r->fh, 4999);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"running\"");
  fake_host_advance(r->fh, 1);
  rig_settle(r);
  rig_ended(r, "failed", "time_limit");
  assert_string_equal(rig_get(r, "worker.turn.error.code"), "\"timeout\"");
  assert_int_equal(fake_model_cancelled(r->fh), 1);
  assert_int_equal(fake_host_timers(r->fh), 0);
}

static void tokens_are_limited(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"tokens\":2000"));
  make(r);
  for (int i = 0; i < 3; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_call(a, "c", "f", "{}");
    fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{\"input_tokens\":900,\"output_tokens\":100}");
    fake_answer_finish(a, "tool_calls");
  }
  say(r);
  assert_int_equal(fake_model_requests(r->fh), 2);
  rig_ended(r, "failed", "token_limit");
  assert_string_equal(rig_get(r, "worker.turn.usage.input_tokens"), "1800");
}

/* Without usage the bytes count, so that a talkative model ends too. */
static void tokens_are_estimated_while_it_talks(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"tokens\":1000"));
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  for (int i = 0; i < 100; i++) {
    fake_answer_text(a, "0123456789012345678901234567890123456789012345678901234567890123456789");
    fake_answer_cut(a);
  }
  fake_answer_gate(a);
  say(r);
  rig_ended(r, "failed", "token_limit");
  assert_int_equal(fake_model_cancelled(r->fh), 1);
}

/* Also when the steps before it had said what they used. */
static void tokens_of_a_running_step_count_before_its_usage(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"tokens\":3000"));
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{\"input_tokens\":100,\"output_tokens\":100}");
  fake_answer_finish(a, "tool_calls");
  a = fake_model_answer(r->fh);
  for (int i = 0; i < 200; i++) {
    fake_answer_text(a, "0123456789012345678901234567890123456789012345678901234567890123456789");
    fake_answer_cut(a);
  }
  fake_answer_gate(a);
  say(r);
  rig_ended(r, "failed", "token_limit");
  assert_int_equal(fake_model_cancelled(r->fh), 1);
}

/* So that the most that a turn may use is what policy was told of before. */
static void an_input_that_is_too_much_is_not_sent(void **state) {
  struct rig *r = *state;
  char body[4096] = "{\"content\":\"";
  rig_reopen(r, NULL, PROFILE("\"tokens\":1000"));
  make(r);
  size_t n = strlen(body);
  memset(body + n, 'x', 3200);
  (void)snprintf(body + n + 3200, sizeof body - n - 3200, "\"}");
  rig_ok(r, INPUT, "a", body);
  assert_int_equal(fake_model_requests(r->fh), 0);
  rig_ended(r, "failed", "token_limit");
}

/* The whole turn before its first call, and nothing more behind it; then the
 * next turn. What is sent to a provider is not bounded by it. */
static void a_turn_says_what_it_may_use_before_it_calls(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"tokens\":5000"));
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c", "f", "{}");
  fake_answer_finish(a, "tool_calls");
  say(r);
  say(r);
  assert_int_equal(fake_model_requests(r->fh), 3);
  static const char *const counted[] = {" 5000 0 0", " 5000 1 0", " 5000 0 0"};
  for (size_t i = 0; i < 3; i++) {
    const char *budget = fake_model_budget(r->fh, i), *tail = strstr(budget, " 5000 ");
    assert_non_null(tail);
    assert_string_equal(tail, counted[i]);
    assert_int_equal(strncmp(budget, "a ", 2), 0);
    assert_true(tail > budget + 2); /* whose input it was */
  }
}

static void a_turn_that_policy_denies_says_so(void **state) {
  struct rig *r = *state;
  make(r);
  fake_answer_refuse(fake_model_answer(r->fh), YOI_PERMISSION_DENIED, YOI_CODE_POLICY_DENIED);
  say(r);
  rig_ended(r, "failed", "model_error");
  assert_string_equal(rig_get(r, "worker.turn.error.details.kind"), "\"quota\"");
  assert_string_equal(rig_get(r, "worker.turn.error.details.retryable"), "false");
  assert_string_equal(rig_get(r, "worker.turn.error.message"),
                      "\"policy does not let the model be called: it is denied, or a budget is "
                      "used up\"");
  say(r); /* the next one is asked about anew */
  rig_ended(r, "completed", "stop");
  assert_non_null(strstr(fake_model_budget(r->fh, 1), " 0 0"));
}

/* A turn that fills the history ends behind the step that did it. */
static void a_turn_does_not_pass_the_history_by_more_than_a_step(void **state) {
  struct rig *r = *state;
  rig_reopen(r, "{\"limits\":{\"history_bytes\":20000}}", PROFILE("\"steps\":100"));
  make(r);
  for (int i = 0; i < 100; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_call(a, "c", "f", "{}");
    fake_answer_finish(a, "tool_calls");
  }
  say(r);
  assert_in_range(fake_model_requests(r->fh), 4, 30);
  rig_ended(r, "failed", "history_limit");
  assert_string_equal(rig_get(r, "worker.turn.error.code"), "\"limit_reached\"");
  rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_LIMIT_REACHED);
}

static void tool_output_is_limited(void **state) {
  struct rig *r = *state;
  rig_reopen(r, NULL, PROFILE("\"tool_output_bytes\":40"));
  make(r);
  for (int i = 0; i < 3; i++) {
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_call(a, "c", "f", "{}");
    fake_answer_finish(a, "tool_calls");
  }
  say(r);
  assert_int_equal(fake_model_requests(r->fh), 2);
  rig_ended(r, "failed", "tool_output_limit");
}

static void a_profile_that_passes_a_maximum_is_refused(void **state) {
  struct rig *r = *state;
  char *builtin = builtin_of(PROFILE("\"steps\":257"));
  const struct eng_options o = {.store = eng_store_mem_new(), .builtin = yoi_sdk_str(builtin)};
  void *self = NULL;
  assert_int_equal(eng_open(fake_host_instance(r->fh), YOI_LIT("{}"), &o, &self, r->err),
                   YOI_INVALID_ARGUMENT);
  assert_int_equal(r->err->code, YOI_CODE_BUNDLE_INVALID);
  free(builtin);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(steps_are_limited),
      RIG_TESTS(wall_time_is_limited),
      RIG_TESTS(tokens_are_limited),
      RIG_TESTS(tokens_are_estimated_while_it_talks),
      RIG_TESTS(tokens_of_a_running_step_count_before_its_usage),
      RIG_TESTS(an_input_that_is_too_much_is_not_sent),
      RIG_TESTS(a_turn_says_what_it_may_use_before_it_calls),
      RIG_TESTS(a_turn_that_policy_denies_says_so),
      RIG_TESTS(a_turn_does_not_pass_the_history_by_more_than_a_step),
      RIG_TESTS(tool_output_is_limited),
      RIG_TESTS(a_profile_that_passes_a_maximum_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
