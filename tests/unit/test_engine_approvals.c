/* test_engine_approvals.c - calls that a person is asked about. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/tools.h"

#define GET YOI_OP_WORKER_GET
#define CANCEL YOI_OP_WORKER_CANCEL
#define STOP YOI_OP_WORKER_STOP

static void is_waiting(struct rig *r, size_t n) {
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"awaiting_approval\"");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"awaiting_approval\"");
  assert_int_equal(tools_open_approvals(r), n);
}

static void refused(struct rig *r, const char *id, const char *decision, int32_t code) {
  yoi_status st = tools_resolve(r, id, decision);
  if (st == YOI_OK || r->err->code != code) fail_msg("%s: %s", r->text, r->err->message);
}

static void what_is_allowed_is_run(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "");
  tools_answer(r, "ask c1 {\\\"a\\\":1}", NULL);
  tools_go(r);
  is_waiting(r, 1);
  rig_ok(r, YOI_OP_WORKER_APPROVALS, "a", "");
  assert_true(rig_has(r,
                      "\"call_id\":\"c1\",\"tool\":\"ask\",\"tool_plugin\":\"dev.test.tool\","
                      "\"tool_digest\":\"sha256:00\",\"arguments\":\"{\\\"a\\\":1}\","
                      "\"arguments_sha256\":\""));
  assert_true(rig_has(r, "\"rule\":\"test\""));
  rig_ok(r, GET, "a", "");
  assert_true(rig_has(r, "\"worker.approve\""));
  assert_int_equal(fake_tool_starts(r->fh), 0);
  tools_approval(r, 0, id);
  assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
  assert_string_equal(rig_get(r, "ack.state"), "\"running\"");
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 1);
  assert_int_equal(fake_tool_decides(r->fh), 2); /* once more behind the answer */
  char want[128];
  (void)snprintf(want, sizeof want, "ask c1 {\"a\":1} %s token:eve", id);
  assert_string_equal(fake_tool_start(r->fh, 0), want);
  assert_string_equal(tools_kinds(r),
                      "turn.started message.completed tool.requested policy.decided "
                      "tool.approval_requested tool.approval_resolved policy.decided tool.started "
                      "tool.completed message.completed turn.ended");
  tools_heard(r, "\"decision\":\"allow\",\"principal\":\"token:eve\"", 1);
  assert_int_equal(tools_open_approvals(r), 0);
}

/* The plugin's file is another one when the answer comes: that one nobody has
 * allowed. */
static void an_approval_is_for_the_plugin_as_it_was(void **state) {
  struct rig *r = *state;
  char id[37], second[37];
  tools_open(r, "");
  tools_answer(r, "ask c1 {\\\"a\\\":1}", NULL);
  tools_go(r);
  tools_approval(r, 0, id);
  fake_tool_digest(r->fh, "sha256:11");
  assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
  is_waiting(r, 1);
  assert_int_equal(fake_tool_starts(r->fh), 0);
  tools_approval(r, 0, second);
  assert_string_not_equal(id, second);
  rig_ok(r, YOI_OP_WORKER_APPROVALS, "a", "");
  assert_true(rig_has(r, "\"tool_digest\":\"sha256:11\""));
  assert_int_equal(tools_resolve(r, second, "allow"), YOI_OK);
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 1);
}

static void what_is_denied_is_not(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "");
  tools_answer(r, "ask c1", "ask c2 {\\\"a\\\":2}", NULL);
  tools_go(r);
  is_waiting(r, 2);
  tools_approval(r, 0, id);
  assert_int_equal(tools_resolve(r, id, "{\"decision\":\"deny\",\"reason\":\"not \\\"today\\\"\"}"),
                   YOI_OK);
  is_waiting(r, 1);
  tools_approval(r, 0, id);
  assert_int_equal(tools_resolve(r, id, "deny"), YOI_OK);
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 0);
  assert_string_equal(tools_result(r, "c1"),
                      "denied: error: a person has denied the call: not \\\"today\\\"");
  assert_string_equal(tools_result(r, "c2"), "denied: error: a person has denied the call");
  tools_heard(r, "\"reason\":\"not \\\"today\\\"\"", 1);
}

/* Each by itself, while others run; in either order. */
static void several_are_open_at_once(void **state) {
  struct rig *r = *state;
  for (int last = 0; last < 2; last++) {
    char first[37], second[37];
    tools_open(r, "");
    fake_run_gate(fake_tool_run(r->fh, "act"));
    tools_answer(r, "ask c1", "act c2", "ask c3 {\\\"a\\\":3}", NULL);
    tools_go(r);
    is_waiting(r, 2);
    assert_int_equal(fake_tool_live(r->fh), 1);
    tools_approval(r, 0, first);
    tools_approval(r, 1, second);
    assert_int_equal(tools_resolve(r, last ? second : first, "allow"), YOI_OK);
    is_waiting(r, 1);
    assert_int_equal(fake_tool_starts(r->fh), 2);
    assert_int_equal(tools_resolve(r, last ? first : second, "deny"), YOI_OK);
    rig_ok(r, GET, "a", "");
    assert_string_equal(rig_get(r, "worker.state"), "\"running\"");
    fake_tool_open(r->fh, NULL);
    rig_settle(r);
    tools_ended(r, "completed", "stop");
    assert_int_equal(fake_model_requests(r->fh), 2);
  }
}

static void twice_the_same_is_once(void **state) {
  struct rig *r = *state;
  char id[37], ack[512];
  tools_open(r, "");
  struct fake_run *run = fake_tool_run(r->fh, "ask");
  fake_run_gate(run);
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  tools_approval(r, 0, id);
  assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
  (void)snprintf(ack, sizeof ack, "%s", rig_get(r, "ack.sequence"));
  for (int later = 0; later < 3; later++) { /* while it runs; in the next step; when all is over */
    assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
    assert_string_equal(rig_get(r, "ack.sequence"), ack);
    refused(r, id, "deny", YOI_CODE_APPROVAL_CONFLICT);
    if (later == 0) {
      struct fake_answer *a = fake_model_answer(r->fh);
      fake_answer_gate(a);
      fake_answer_finish(a, "stop");
      fake_tool_open(r->fh, NULL);
    }
    if (later == 1) fake_model_open(r->fh);
    rig_settle(r);
  }
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 1);
  tools_heard(r, "tool.approval_resolved ", 1);
}

static void what_is_no_answer_is_refused(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "");
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  tools_approval(r, 0, id);
  refused(r, id, "perhaps", YOI_CODE_INVALID_REQUEST);
  refused(r, id, "{}", YOI_CODE_INVALID_REQUEST);
  refused(r, "", "allow", YOI_CODE_APPROVAL_NOT_FOUND);
  refused(r, "00000000-0000-4000-8000-000000000000", "allow", YOI_CODE_APPROVAL_NOT_FOUND);
  id[35]++;
  refused(r, id, "allow", YOI_CODE_APPROVAL_NOT_FOUND);
  refused(r, "00000000-0000-4000-8000-0000000000000", "allow", YOI_CODE_APPROVAL_NOT_FOUND);
  is_waiting(r, 1);
  rig_refused(r, YOI_OP_WORKER_APPROVALS, "b", "", YOI_CODE_WORKER_NOT_FOUND);
  rig_ok(r, CANCEL, "a", "");
  tools_ended(r, "cancelled", "cancel_requested");
}

static void what_was_forbidden_meanwhile_does_not_run(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "");
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  fake_tool_verdict(r->fh, "ask", YOI_VERDICT_DENY);
  assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
  tools_ended(r, "completed", "stop");
  assert_string_equal(tools_result(r, "c1"),
                      "denied: error: the call was denied: no, said the test");
  tools_heard(r, "tool.started ", 0);
  assert_int_equal(fake_tool_starts(r->fh), 0);
}

static void nobody_answers_in_time(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "\"approval_ms\":5000,\"wall_ms\":1000");
  tools_answer(r, "ask c1", "ask c2 {\\\"a\\\":1}", NULL);
  tools_go(r);
  tools_approval(r, 0, id);
  fake_host_advance(r->fh, 4999);
  rig_settle(r);
  is_waiting(r, 2);
  fake_host_advance(r->fh, 1);
  rig_settle(r);
  tools_ended(r, "completed", "stop");
  assert_string_equal(tools_result(r, "c1"),
                      "denied: error: the call was denied: nobody has allowed it in time");
  tools_heard(r, "\"decision\":\"expired\",\"principal\":null", 2);
  refused(r, id, "allow", YOI_CODE_APPROVAL_CONFLICT);
  refused(r, id, "deny", YOI_CODE_APPROVAL_CONFLICT);
}

/* An answer that comes when its time is over, before the turn has looked. */
static void an_answer_behind_the_expiry_is_none(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "\"approval_ms\":5000");
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  tools_approval(r, 0, id);
  fake_host_jump(r->fh, 5000);
  assert_null(tools_resolve_start(r, id, "allow"));
  assert_int_equal(r->err->code, YOI_CODE_APPROVAL_CONFLICT);
  rig_settle(r);
  tools_ended(r, "completed", "stop");
}

/* While people are waited for, and nothing runs. */
static void the_turn_stands_still_meanwhile(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "\"wall_ms\":1500");
  fake_run_gate(fake_tool_run(r->fh, "ask"));
  fake_run_gate(fake_tool_run(r->fh, "act"));
  tools_answer(r, "ask c1", "act c2", NULL);
  tools_go(r);
  fake_host_advance(r->fh, 500); /* this counts: one runs */
  fake_tool_open(r->fh, NULL);
  rig_settle(r);
  fake_host_advance(r->fh, 600000);
  rig_settle(r);
  is_waiting(r, 1);
  assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
  fake_host_advance(r->fh, 999);
  rig_settle(r);
  assert_int_equal(fake_tool_live(r->fh), 1);
  fake_host_advance(r->fh, 1);
  rig_settle(r);
  tools_ended(r, "failed", "time_limit");
}

static void a_cancel_ends_what_waits(void **state) {
  struct rig *r = *state;
  char id[37];
  for (int how = 0; how < 3; how++) {
    tools_open(r, "");
    fake_run_gate(fake_tool_run(r->fh, "act"));
    tools_answer(r, "ask c1", "act c2", NULL);
    tools_go(r);
    tools_approval(r, 0, id);
    if (how == 0) rig_ok(r, CANCEL, "a", "");
    if (how == 1) rig_ok(r, STOP, "a", "");
    if (how == 2) rig_ok(r, YOI_OP_WORKER_INPUT, "a", INTERRUPT("next"));
    refused(r, id, "allow", YOI_CODE_APPROVAL_NOT_FOUND);
    assert_string_equal(tools_result(r, "c1"),
                        "cancelled: error: the turn was ended before the tool was started");
    assert_int_equal(fake_tool_live(r->fh), 0);
    assert_int_equal(fake_tool_starts(r->fh), 1);
    assert_int_equal(tools_open_approvals(r), 0);
    tools_heard(r, "tool.completed ", 2);
  }
}

/* What is written of an answer cannot be: it was not given. */
static void an_answer_that_cannot_be_written_was_not_given(void **state) {
  struct rig *r = *state;
  char id[37];
  tools_open(r, "\"approval_ms\":5000");
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  tools_approval(r, 0, id);
  eng_store_mem_fail(r->store, 1, 2);
  refused(r, id, "allow", YOI_CODE_STORE_ERROR);
  refused(r, id, "deny", YOI_CODE_STORE_ERROR);
  is_waiting(r, 1);
  fake_host_advance(r->fh, 5000);
  rig_settle(r);
  refused(r, id, "allow", YOI_CODE_APPROVAL_CONFLICT);
  refused(r, id, "deny", YOI_CODE_APPROVAL_CONFLICT);
  assert_int_equal(fake_tool_starts(r->fh), 0);
}

static void an_answer_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  char id[37];
  bool more = true;
  for (uint64_t n = 1; more; n++) {
    tools_open(r, "");
    tools_answer(r, "ask c1", NULL);
    tools_go(r);
    tools_approval(r, 0, id);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = tools_resolve(r, id, "allow");
    more = yoi_sdk_mem_fail_at(0) >= n;
    rig_ok(r, GET, "a", "");
    if (st != YOI_OK && strcmp(rig_get(r, "worker.state"), "\"awaiting_approval\"") == 0)
      assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
    rig_ok(r, GET, "a", "");
    assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
    tools_go(r); /* what is owed is written with it */
    tools_heard(r, "\"call_id\":\"c1\",\"status\":", 1);
    tools_heard(r, "tool.approval_resolved ", 1);
    assert_true(fake_tool_starts(r->fh) <= 1);
    assert_true(n < 5000);
  }
}

/* One that may have had its effect is not made again unasked. */
static void the_same_call_after_an_uncertain_one_is_asked_for(void **state) {
  struct rig *r = *state;
  char id[37];
  for (int harmless = 0; harmless < 2; harmless++) {
    const char *call = harmless ? "again c {\\\"n\\\":1}" : "act c {\\\"n\\\":1}";
    tools_open(r, "");
    struct fake_run *run = fake_tool_run(r->fh, harmless ? "again" : "act");
    fake_run_gate(run);
    fake_run_deaf(run);
    tools_answer(r, call, NULL);
    tools_answer(r, call, NULL);
    tools_go(r);
    fake_host_advance(r->fh, FAKE_TOOL_MAX_MS + YOI_CANCEL_GRACE_MS);
    rig_settle(r);
    if (!harmless) {
      is_waiting(r, 1);
      tools_heard(r, "\"rule\":\"uncertain\"", 2);
      assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
    }
    tools_ended(r, "completed", "stop");
    tools_answer(r, call, NULL); /* it has run to its end now */
    tools_go(r);
    tools_ended(r, "completed", "stop");
    assert_int_equal(fake_tool_starts(r->fh), 3);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(what_is_allowed_is_run),
      RIG_TESTS(an_approval_is_for_the_plugin_as_it_was),
      RIG_TESTS(what_is_denied_is_not),
      RIG_TESTS(several_are_open_at_once),
      RIG_TESTS(twice_the_same_is_once),
      RIG_TESTS(what_is_no_answer_is_refused),
      RIG_TESTS(what_was_forbidden_meanwhile_does_not_run),
      RIG_TESTS(nobody_answers_in_time),
      RIG_TESTS(an_answer_behind_the_expiry_is_none),
      RIG_TESTS(the_turn_stands_still_meanwhile),
      RIG_TESTS(a_cancel_ends_what_waits),
      RIG_TESTS(an_answer_that_cannot_be_written_was_not_given),
      RIG_TESTS_OF_MEMORY(an_answer_may_fail_at_any_allocation),
      RIG_TESTS(the_same_call_after_an_uncertain_one_is_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
