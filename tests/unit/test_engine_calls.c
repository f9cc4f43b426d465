/* test_engine_calls.c - calls whose turn ends while they are in the middle, and
 * records that cannot be written: in each phase of a call. */
#include <sdk/mem.h>
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/tools.h"

#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT

/* ---- something ends it ---- */

enum how { CANCEL, STOP, INTERRUPTS, N_HOW };

static yoi_stream *begin_end(struct rig *r, int how) {
  static const uint32_t ops[] = {YOI_OP_WORKER_CANCEL, YOI_OP_WORKER_STOP, INPUT};
  yoi_stream *s = rig_start(r, ops[how], "a", how == INTERRUPTS ? INTERRUPT("next") : "", NULL);
  if (!s) fail_msg("%s", r->err->message);
  return s;
}

/* Behind its acknowledgement nothing of the turn starts. */
static void finish_end(struct rig *r, yoi_stream *s, int how) {
  assert_int_equal(rig_finish(r, s), YOI_OK);
  size_t starts = fake_tool_starts(r->fh);
  rig_settle(r);
  fake_host_advance(r->fh, YOI_CANCEL_GRACE_MS);
  rig_settle(r);
  assert_int_equal(fake_tool_starts(r->fh), starts);
  assert_int_equal(fake_tool_live(r->fh), 0);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), how == STOP ? "\"stopped\"" : "\"idle\"");
  tools_heard(r, "\"state\":\"cancelled\"", 1);
}

struct at {
  struct rig *r;
  int how;
  yoi_stream *s;
};

/* From another thread than that of the loop, as far as anybody can see. */
static void end_now(void *ctx) {
  struct at *at = ctx;
  at->s = begin_end(at->r, at->how);
}

static void it_ends_while_the_host_decides(void **state) {
  struct rig *r = *state;
  for (int how = 0; how < N_HOW; how++) {
    struct at at = {.r = r, .how = how};
    tools_open(r, "");
    at.r = r;
    tools_answer(r, "act c1", "ask c2", NULL);
    fake_tool_on_decide(r->fh, end_now, &at);
    tools_go(r);
    assert_non_null(at.s);
    finish_end(r, at.s, how);
    assert_int_equal(fake_tool_starts(r->fh), 0);
  }
}

/* Written down as started, and not begun. */
static void it_ends_before_what_was_written_down_is_begun(void **state) {
  struct rig *r = *state;
  if (!r->late) return; /* there is nothing in between, at once */
  for (int how = 0; how < N_HOW; how++) {
    tools_open(r, "");
    tools_answer(r, "act c1", "again c2", NULL);
    yoi_stream *in = rig_start(r, INPUT, "a", "{\"content\":\"go\"}", NULL);
    while (fake_tool_decides(r->fh) < 2)
      if (fake_host_run(r->fh) == 0) assert_true(eng_store_mem_step(r->store));
    yoi_stream *s = begin_end(r, how); /* it waits behind that append */
    finish_end(r, s, how);
    assert_int_equal(fake_tool_starts(r->fh), 0);
    tools_heard(r, "tool.started ", 2);
    assert_string_equal(tools_result(r, "c1"),
                        "cancelled: error: the turn was ended before the tool was started");
    assert_string_equal(tools_result(r, "c2"),
                        "cancelled: error: the turn was ended before the tool was started");
    assert_int_equal(rig_finish(r, in), YOI_OK);
  }
}

/* Between the start of one call and the next. */
static void it_ends_while_a_tool_is_being_started(void **state) {
  struct rig *r = *state;
  for (int how = 0; how < N_HOW; how++) {
    struct at at = {.r = r, .how = how};
    tools_open(r, "");
    fake_run_gate(fake_tool_run(r->fh, "act"));
    tools_answer(r, "act c1", "again c2", NULL);
    fake_tool_on_start(r->fh, end_now, &at);
    tools_go(r);
    finish_end(r, at.s, how);
    assert_int_equal(fake_tool_starts(r->fh), 1);
    assert_string_equal(tools_result(r, "c2"),
                        "cancelled: error: the turn was ended before the tool was started");
  }
}

static void it_ends_while_tools_run(void **state) {
  struct rig *r = *state;
  for (int how = 0; how < N_HOW; how++) {
    tools_open(r, "");
    struct fake_run *run = fake_tool_run(r->fh, "act"); /* stops when it is told to */
    fake_run_output(run, "half");
    fake_run_gate(run);
    run = fake_tool_run(r->fh, "look"); /* finishes what it does */
    fake_run_gate(run);
    fake_run_output(run, "whole");
    fake_run_polite(run);
    run = fake_tool_run(r->fh, "ask"); /* does not care */
    fake_run_gate(run);
    fake_run_deaf(run);
    fake_tool_verdict(r->fh, "ask", YOI_VERDICT_ALLOW);
    char id[37];
    tools_answer(r, "act c1", "look c2", "ask c3", NULL);
    tools_go(r);
    assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
    assert_int_equal(fake_tool_starts(r->fh), 3);
    finish_end(r, begin_end(r, how), how);
    assert_int_equal(fake_tool_cancelled(r->fh), 3);
    if (how == STOP) continue; /* there is no grace: what ran is uncertain */
    assert_string_equal(tools_result(r, "c1"), "cancelled: half\\nerror: the tool was stopped");
    assert_string_equal(tools_result(r, "c2"), "ok: whole");
    assert_string_equal(
        tools_result(r, "c3"),
        "uncertain: error: the tool was stopped and did not end; what it did is not known");
  }
}

static void a_stop_knows_not_what_a_tool_did(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  fake_run_gate(fake_tool_run(r->fh, "act"));
  fake_run_gate(fake_tool_run(r->fh, "look"));
  tools_answer(r, "act c1", "look c2", NULL);
  tools_go(r);
  finish_end(r, begin_end(r, STOP), STOP);
  assert_string_equal(
      tools_result(r, "c1"),
      "uncertain: error: the turn was ended while the tool ran; what it did is not known");
  assert_string_equal(tools_result(r, "c2"),
                      "cancelled: error: the turn was ended while the tool ran");
  rig_ok(r, YOI_OP_WORKER_DELETE, "a", "");
}

/* ---- appends that fail ---- */

/* One that is run, one that is allowed, one that is denied: eight appends. */
static void session(struct rig *r) {
  char id[37];
  tools_answer(r, "act c1", "ask c2", "ask c3 {\\\"a\\\":1}", NULL);
  tools_answer(r, "act d1 {\\\"d\\\":1}", NULL);
  if (rig_call(r, INPUT, "a", "{\"content\":\"go\"}") != YOI_OK) return;
  rig_settle(r);
  for (int i = 0; i < 2 && tools_open_approvals(r) > 0; i++)
    (void)tools_resolve(r, tools_approval(r, 0, id), i ? "deny" : "allow");
}

static void is_whole_again(struct rig *r) {
  char id[37];
  rig_settle(r);
  while (tools_open_approvals(r) > 0)
    assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "deny"), YOI_OK);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_int_equal(fake_tool_live(r->fh), 0);
  fake_model_forget(r->fh);
  tools_go(r); /* takes along what is owed */
  tools_ended(r, "completed", "stop");
  for (size_t i = 0; i < fake_tool_starts(r->fh); i++)
    assert_int_equal(fake_tool_same_key(r->fh, fake_tool_key(r->fh, i)), 1);
}

static void each_append_of_a_session_may_fail(void **state) {
  struct rig *r = *state;
  uint64_t writes = 1;
  for (uint64_t n = 0; n <= writes; n++) {
    tools_open(r, "");
    uint64_t before = eng_store_mem_writes(r->store);
    if (n > 0) eng_store_mem_fail(r->store, n, 1);
    session(r);
    if (n == 0) writes = eng_store_mem_writes(r->store) - before;
    is_whole_again(r);
  }
  assert_true(writes >= 8);
}

/* What it ended without is asked for when it is made again. */
static void a_result_that_cannot_be_written_is_uncertain(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  fake_run_gate(fake_tool_run(r->fh, "act"));
  tools_answer(r, "act c1", NULL);
  tools_go(r);
  eng_store_mem_fail(r->store, 1, 1);
  fake_tool_open(r->fh, NULL);
  rig_settle(r);
  rig_ended(r, "failed", "store_error");
  tools_answer(r, "act c2", NULL);
  tools_go(r);
  assert_string_equal(
      tools_result(r, "c1"),
      "uncertain: error: the turn was ended while the tool ran; what it did is not known");
  assert_int_equal(tools_open_approvals(r), 1);
  tools_heard(r, "\"rule\":\"uncertain\"", 2);
  rig_ok(r, YOI_OP_WORKER_CANCEL, "a", "");
  tools_ended(r, "cancelled", "cancel_requested");
}

static void a_session_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  bool more = true;
  for (uint64_t n = 1; more; n += 1 + n / 60) {
    tools_open(r, "");
    (void)yoi_sdk_mem_fail_at(n);
    session(r);
    more = yoi_sdk_mem_fail_at(0) >= n;
    is_whole_again(r);
    assert_true(n < 50000);
  }
}

static void a_stop_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  bool more = true;
  for (uint64_t n = 1; more; n++) {
    char id[37];
    tools_open(r, "");
    fake_run_gate(fake_tool_run(r->fh, "act"));
    tools_answer(r, "act c1", "ask c2", NULL);
    tools_go(r);
    tools_approval(r, 0, id);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = rig_call(r, YOI_OP_WORKER_STOP, "a", "");
    more = yoi_sdk_mem_fail_at(0) >= n;
    rig_settle(r);
    if (st != YOI_OK) { /* it goes on as if nothing had been said */
      fake_tool_open(r->fh, NULL);
      rig_settle(r);
      if (tools_open_approvals(r) > 0) assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
      rig_ok(r, YOI_OP_WORKER_STOP, "a", "");
    }
    tools_heard(r, "\"call_id\":\"c1\",\"status\":", 1);
    tools_heard(r, "\"call_id\":\"c2\",\"status\":", 1);
    assert_int_equal(fake_tool_live(r->fh), 0);
    assert_true(n < 5000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(it_ends_while_the_host_decides),
      RIG_TESTS(it_ends_before_what_was_written_down_is_begun),
      RIG_TESTS(it_ends_while_a_tool_is_being_started),
      RIG_TESTS(it_ends_while_tools_run),
      RIG_TESTS(a_stop_knows_not_what_a_tool_did),
      RIG_TESTS(each_append_of_a_session_may_fail),
      RIG_TESTS(a_result_that_cannot_be_written_is_uncertain),
      RIG_TESTS_OF_MEMORY(a_session_may_fail_at_any_allocation),
      RIG_TESTS_OF_MEMORY(a_stop_may_fail_at_any_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
