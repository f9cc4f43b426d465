/* test_engine_lost.c - a process that ends in the middle of calls, and the next
 * one: nothing runs twice, and what waits for a person waits. */
#include <sdk/mem.h>
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/tools.h"

#define GET YOI_OP_WORKER_GET

/* created, accepted, started, message, requested x2, decided, started(c1),
 * decided, approval_requested(c2), completed(c1), resolved(c2), decided,
 * started(c2), completed(c2), ... */
static void session(struct rig *r, bool whole) {
  char id[37];
  tools_open_durable(r, "");
  tools_answer(r, "act c1", "ask c2", NULL);
  tools_go(r);
  assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
  if (whole) tools_ended(r, "completed", "stop");
}

static void is_over_with(struct rig *r) {
  char id[37];
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  if (tools_open_approvals(r) > 0)
    assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_int_equal(fake_tool_live(r->fh), 0);
  struct ear e;
  tools_history(r, &e, 1);
  ear_close(&e);
}

/* Behind each record of it. What this process started and what the next one
 * does is counted by the keys. */
static void a_crash_behind_each_record(void **state) {
  struct rig *r = *state;
  size_t all = 100;
  for (size_t n = 2; n < all; n++) {
    session(r, true);
    char keys[2][65];
    for (size_t i = 0; i < 2; i++)
      (void)snprintf(keys[i], sizeof keys[i], "%s", fake_tool_key(r->fh, i));
    all = eng_vault_count(r->vault, "a");
    rig_crash(r);
    uint32_t last = eng_vault_frame(r->vault, "a", n)->ev.kind;
    bool started[2] = {false, false};
    for (uint64_t i = 1; i <= n; i++) {
      const struct eng_frame *f = eng_vault_frame(r->vault, "a", i);
      if (f->ev.kind != YOI_EVENT_TOOL_STARTED) continue;
      started[strstr(f->ev.text.ptr, "\"call_id\":\"c2\"") != NULL] = true;
    }
    eng_vault_cut(r->vault, "a", n, last == YOI_EVENT_TURN_ENDED ? ENG_MARK_IDLE : ENG_MARK_BUSY);
    size_t before = fake_tool_starts(r->fh);
    rig_begin_again(r);
    is_over_with(r);
    /* What was written down as started runs never again; what was not runs at
     * most once, and with the key that it would have had. */
    for (size_t i = 0; i < 2; i++) {
      size_t again = fake_tool_same_key(r->fh, keys[i]) - 1;
      if (again > (started[i] ? 0u : 1u)) fail_msg("behind record %zu, call %zu", n, i);
    }
    assert_true(fake_tool_starts(r->fh) - before <= 2);
  }
  assert_true(all > 15 && all < 100);
}

/* The process ends while c1 runs and c2 waits. */
static void what_ran_is_uncertain_and_what_waits_waits(void **state) {
  struct rig *r = *state;
  char id[37], same[37];
  tools_open_durable(r, "");
  fake_run_gate(fake_tool_run(r->fh, "act"));
  fake_run_gate(fake_tool_run(r->fh, "again"));
  tools_answer(r, "act c1", "again c3", "ask c2", NULL);
  tools_go(r);
  tools_approval(r, 0, id);
  rig_restart(r);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"awaiting_approval\"");
  assert_string_equal(tools_approval(r, 0, same), id);
  assert_string_equal(
      tools_result(r, "c1"),
      "uncertain: error: the host was restarted while the tool ran; what it did is not known");
  assert_string_equal(
      tools_result(r, "c3"),
      "error: error: the host was restarted while the tool ran; what it did is not known");
  rig_restart(r); /* and once more, with nothing in between */
  tools_answer(r, "act d1", NULL);
  assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
  assert_int_equal(fake_tool_starts(r->fh), 3);
  /* The same call as the lost one is asked for now. */
  tools_heard(r, "\"rule\":\"uncertain\"", 2);
  assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "deny"), YOI_OK);
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 3);
}

/* Nobody was asked: the turn is over, and its call is asked for again, by the
 * process that found it so and by the one behind that. */
static void the_call_of_an_interrupted_turn_is_asked_for_again(void **state) {
  struct rig *r = *state;
  for (int more = 0; more < 2; more++) {
    tools_open_durable(r, "");
    fake_run_gate(fake_tool_run(r->fh, "act"));
    tools_answer(r, "act c1", NULL);
    tools_go(r);
    rig_restart(r);
    rig_settle(r);
    rig_ended(r, "interrupted", "host_restarted");
    if (more) rig_restart(r);
    tools_answer(r, "act c2", NULL);
    tools_go(r);
    tools_heard(r, "\"rule\":\"uncertain\"", 2);
    rig_ok(r, YOI_OP_WORKER_CANCEL, "a", "");
    tools_ended(r, "cancelled", "cancel_requested");
    assert_int_equal(fake_tool_starts(r->fh), 1);
  }
}

static void an_answer_is_known_in_the_next_process(void **state) {
  struct rig *r = *state;
  char id[37], ack[64];
  tools_open_durable(r, "");
  fake_run_gate(fake_tool_run(r->fh, "ask"));
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
  (void)snprintf(ack, sizeof ack, "%s", rig_get(r, "ack.sequence"));
  rig_restart(r);
  rig_settle(r);
  assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
  assert_string_equal(rig_get(r, "ack.sequence"), ack);
  assert_int_not_equal(tools_resolve(r, id, "deny"), YOI_OK);
  assert_int_equal(r->err->code, YOI_CODE_APPROVAL_CONFLICT);
  tools_ended(r, "interrupted", "host_restarted");
}

static void its_time_is_over_when_nobody_was_there(void **state) {
  struct rig *r = *state;
  tools_open_durable(r, "\"approval_ms\":5000");
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  rig_crash(r);
  fake_host_jump(r->fh, 6000);
  rig_begin_again(r);
  rig_settle(r);
  tools_ended(r, "completed", "stop");
  tools_heard(r, "\"decision\":\"expired\"", 1);
}

/* ---- drains ---- */

static void drained(struct rig *r, uint64_t ms) {
  yoi_stream *d = NULL;
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(eng_drain(r->self, fake_host_now(r->fh) + ms * 1000000u, r->token, &d, r->err),
                   YOI_OK);
  rig_settle(r);
  if (d->ops->next(d, &evs, &n, r->err) == YOI_AGAIN) {
    fake_host_advance(r->fh, ms + YOI_CANCEL_GRACE_MS);
    rig_settle(r);
  }
  assert_int_equal(d->ops->next(d, &evs, &n, r->err), YOI_END);
  d->ops->release(d);
  assert_int_equal(fake_tool_live(r->fh), 0);
  assert_int_equal(fake_host_tokens(r->fh), 0);
}

/* What runs ends first, or is stopped and written down. */
static void a_drain_leaves_what_waits_to_the_next_process(void **state) {
  struct rig *r = *state;
  for (int how = 0; how < 3; how++) {
    char id[37];
    tools_open_durable(r, "");
    struct fake_run *run = fake_tool_run(r->fh, "act");
    if (how > 0) fake_run_gate(run);
    if (how > 1) fake_run_deaf(run);
    tools_answer(r, "act c1", "ask c2", NULL);
    tools_go(r);
    drained(r, 100);
    rig_restart(r);
    rig_settle(r);
    static const char *const results[] = {
        "ok: [done, without output]", "cancelled: error: the tool was stopped",
        "uncertain: error: the tool was stopped and did not end; what it did is not known"};
    assert_string_equal(tools_result(r, "c1"), results[how]);
    assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
    tools_ended(r, "completed", "stop");
    assert_int_equal(fake_tool_starts(r->fh), 2);
  }
}

/* A parked turn can be answered and stopped; what runs then, the next one
 * does. */
static void a_parked_turn_can_be_answered_and_stopped(void **state) {
  struct rig *r = *state;
  for (int how = 0; how < 3; how++) {
    char id[37];
    tools_open_durable(r, "");
    tools_answer(r, "ask c1", NULL);
    tools_go(r);
    tools_approval(r, 0, id);
    drained(r, 100);
    if (how == 0) assert_int_equal(tools_resolve(r, id, "allow"), YOI_OK);
    if (how == 1) rig_ok(r, YOI_OP_WORKER_CANCEL, "a", "");
    if (how == 2) rig_ok(r, YOI_OP_WORKER_STOP, "a", "");
    assert_int_equal(fake_tool_starts(r->fh), 0);
    rig_restart(r);
    rig_settle(r);
    assert_int_equal(fake_tool_starts(r->fh), how == 0);
    if (how == 0) tools_ended(r, "completed", "stop");
    if (how == 1) tools_ended(r, "cancelled", "cancel_requested");
    tools_heard(r, "\"call_id\":\"c1\",\"status\":", 1);
  }
}

/* In a store that ends with the process nobody could answer it. */
static void a_drain_of_memory_ends_what_waits(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  tools_answer(r, "ask c1", NULL);
  tools_go(r);
  drained(r, 100);
  tools_ended(r, "cancelled", "shutting_down");
}

static void a_load_with_calls_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  bool more = true;
  for (uint64_t n = 1; more; n++) {
    char id[37];
    tools_open_durable(r, "");
    fake_run_gate(fake_tool_run(r->fh, "act"));
    tools_answer(r, "act c1", "ask c2", NULL);
    tools_go(r);
    rig_crash(r);
    rig_begin_again(r);
    (void)yoi_sdk_mem_fail_at(n);
    rig_settle(r);
    more = yoi_sdk_mem_fail_at(0) >= n;
    fake_host_advance(r->fh, 1000);
    rig_settle(r);
    rig_ok(r, GET, "a", "");
    if (tools_open_approvals(r) > 0)
      assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
    tools_go(r); /* takes along what is owed */
    tools_heard(r, "\"call_id\":\"c1\",\"status\":", 1);
    tools_heard(r, "\"call_id\":\"c2\",\"status\":", 1);
    assert_true(fake_tool_starts(r->fh) <= 2);
    assert_true(n < 5000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_VAULT_TESTS(a_crash_behind_each_record),
      RIG_VAULT_TESTS(what_ran_is_uncertain_and_what_waits_waits),
      RIG_VAULT_TESTS(the_call_of_an_interrupted_turn_is_asked_for_again),
      RIG_VAULT_TESTS(an_answer_is_known_in_the_next_process),
      RIG_VAULT_TESTS(its_time_is_over_when_nobody_was_there),
      RIG_VAULT_TESTS(a_drain_leaves_what_waits_to_the_next_process),
      RIG_VAULT_TESTS(a_parked_turn_can_be_answered_and_stopped),
      RIG_VAULT_TESTS(a_drain_of_memory_ends_what_waits),
      RIG_VAULT_TESTS(a_load_with_calls_may_fail_at_any_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
