/* test_engine_tools.c - calls of tools that run: how they are judged, written
 * down, run and shown to the model. */
#include <sdk/json.h>
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/tools.h"

#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT

/* ---- one, and several ---- */

static void one_call_is_run_and_shown(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  struct fake_run *run = fake_tool_run(r->fh, "look");
  fake_run_output(run, "there ");
  fake_run_status(run, "half");
  fake_run_gate(run);
  fake_run_output(run, "it is");
  tools_answer(r, "look c1 {\\\"at\\\":1}", NULL);
  tools_go(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"running\"");
  fake_tool_open(r->fh, NULL);
  rig_settle(r);
  tools_ended(r, "completed", "stop");
  assert_string_equal(tools_kinds(r),
                      "turn.started message.completed tool.requested policy.decided tool.started "
                      "tool.completed message.completed turn.ended");
  assert_int_equal(fake_tool_decides(r->fh), 1);
  assert_int_equal(fake_tool_starts(r->fh), 1);
  assert_string_equal(fake_tool_start(r->fh, 0), "look c1 {\"at\":1}  ");
  assert_string_equal(tools_result(r, "c1"), "ok: there it is");
  assert_int_equal(fake_tool_cancelled(r->fh), 0);
  assert_non_null(
      strstr(fake_model_messages(r->fh, 1),
             "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"there it is\"}"));
  assert_non_null(strstr(fake_model_offer(r->fh, 0),
                         "{\"name\":\"look\",\"description\":\"a tool of the test\","
                         "\"parameters\":{\"type\":\"object\"}}"));
}

static void two_run_at_once_and_end_in_either_order(void **state) {
  struct rig *r = *state;
  for (int first = 0; first < 2; first++) {
    tools_open(r, "");
    fake_run_gate(fake_tool_run(r->fh, "look"));
    fake_run_gate(fake_tool_run(r->fh, "act"));
    tools_answer(r, "look c1", "act c2", NULL);
    tools_go(r);
    assert_int_equal(fake_tool_starts(r->fh), 2);
    fake_tool_open(r->fh, first == 0 ? "look" : "act");
    rig_settle(r);
    tools_heard(r, "tool.completed ", 1);
    assert_int_equal(fake_model_requests(r->fh), 1);
    fake_tool_open(r->fh, NULL);
    rig_settle(r);
    tools_ended(r, "completed", "stop"); /* in the order of the calls, see tools.c */
    assert_int_equal(fake_model_requests(r->fh), 2);
  }
}

static void a_chain_of_ten_steps(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  for (int i = 0; i < 10; i++) {
    char call[64];
    (void)snprintf(call, sizeof call, "act c {\\\"n\\\":%d}", i); /* one id for all of them */
    tools_answer(r, call, NULL);
  }
  tools_go(r);
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 10);
  assert_int_equal(fake_model_requests(r->fh), 11);
  assert_string_equal(rig_get(r, "worker.turn.steps"), "11");
  /* They are ten calls, and no two of them are the same one. */
  for (size_t i = 0; i < 10; i++)
    assert_int_equal(fake_tool_same_key(r->fh, fake_tool_key(r->fh, i)), 1);
}

/* ---- what is not run ---- */

static void what_is_wrong_with_a_call_its_model_is_told(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  fake_tool_invalid(r->fh, "look", "'at' is not a number");
  fake_tool_verdict(r->fh, "again", YOI_VERDICT_DENY);
  tools_answer(r, "look c1", "act c2 {\\\"a\\\":", "none c3", "again c4", "act c5 [1]", NULL);
  tools_go(r);
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 0);
  assert_string_equal(tools_result(r, "c1"), "error: error: 'at' is not a number");
  assert_string_equal(tools_result(r, "c2"),
                      "error: error: the arguments of 'act' are not a JSON object");
  assert_string_equal(tools_result(r, "c3"), "error: error: there is no tool 'none'");
  assert_string_equal(tools_result(r, "c4"),
                      "denied: error: the call was denied: no, said the test");
  assert_string_equal(tools_result(r, "c5"),
                      "error: error: the arguments of 'act' are not a JSON object");
  tools_heard(r, "policy.decided ", 1);
  tools_heard(
      r, "\"decision\":\"deny\",\"plugin\":null,\"rule\":\"test\",\"reason\":\"no, said the test\"",
      1);
  tools_heard(r, "tool.started ", 0);
  tools_heard(r, "\"error\":{\"code\":\"policy_denied\"", 1);
}

static void what_start_refuses_has_not_run(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  fake_tool_verdict_at_start(r->fh, "look", YOI_VERDICT_DENY);
  fake_tool_verdict_at_start(r->fh, "again", YOI_VERDICT_ASK);
  fake_run_refuse(fake_tool_run(r->fh, "act"), YOI_UNAVAILABLE, YOI_CODE_RUNTIME_UNAVAILABLE,
                  "the plugin could not be opened");
  tools_answer(r, "look c1", "again c2", "act c3", NULL);
  tools_go(r);
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), 0);
  assert_string_equal(tools_result(r, "c1"), "denied: error: no, said the test at the start");
  assert_string_equal(tools_result(r, "c2"), "denied: error: a person has to be asked");
  assert_string_equal(tools_result(r, "c3"), "error: error: the plugin could not be opened");
  tools_heard(r, "tool.started ", 3);
}

static void one_that_went_between_is_an_error(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  fake_tool_there(r->fh, "look", false);
  tools_answer(r, "look c1", NULL);
  tools_go(r);
  tools_ended(r, "completed", "stop");
  /* A worker that is made anew from its records learns it sooner. */
  assert_non_null(strstr(tools_result(r, "c1"), "error: error: "));
  assert_int_equal(fake_tool_starts(r->fh), 0);
}

static void the_same_over_and_over_is_stopped(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  for (int i = 0; i < YOI_TOOL_REPEATS_MAX + 2; i++) tools_answer(r, "look c {\\\"a\\\":1}", NULL);
  tools_answer(r, "look c {\\\"a\\\":2}", NULL);
  tools_answer(r, "look d1", "look d2", "look d3", "look d4", NULL);
  tools_go(r);
  tools_ended(r, "completed", "stop");
  assert_int_equal(fake_tool_starts(r->fh), YOI_TOOL_REPEATS_MAX + 1 + 3);
  tools_heard(r, "the same call was made 3 times in a row: do something else, or stop", 6);
  tools_heard(r, "\"code\":\"limit_reached\"", 3);
}

/* ---- errors, deadlines ---- */

static void an_error_keeps_what_was_said(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  struct fake_run *run = fake_tool_run(r->fh, "act");
  fake_run_output(run, "line one\n");
  fake_run_fail(run, YOI_NOT_FOUND, YOI_CODE_NOT_FOUND, "'x' is not there");
  run = fake_tool_run(r->fh, "act");
  fake_run_output(run, "half");
  fake_run_fail(run, YOI_INTERNAL, 0, "broken");
  tools_answer(r, "act c1", "act c2 {\\\"b\\\":1}", NULL);
  tools_go(r);
  tools_ended(r, "completed", "stop");
  assert_string_equal(tools_result(r, "c1"), "error: line one\\nerror: 'x' is not there");
  assert_string_equal(tools_result(r, "c2"), "error: half\\nerror: broken");
  tools_heard(r, "\"error\":{\"code\":\"not_found\",\"message\":\"'x' is not there\"}", 1);
  tools_heard(r, "\"error\":{\"code\":\"internal\",\"message\":\"broken\"}", 1);
}

/* Only for who asks what it did: a tool that may run twice has just failed. */
static void what_nobody_knows_is_uncertain(void **state) {
  struct rig *r = *state;
  static const char *const calls[] = {"act c1", "again c2", "look c3"};
  tools_open(r, "");
  for (size_t i = 0; i < 3; i++) {
    struct fake_run *run =
        fake_tool_run(r->fh, i == 0 ? "act" : i == 1 ? "again" : "look");
    fake_run_output(run, "half");
    fake_run_fail(run, YOI_UNKNOWN, YOI_CODE_RUNTIME_UNAVAILABLE, "it is gone");
  }
  tools_answer(r, calls[0], calls[1], calls[2], NULL);
  tools_go(r);
  tools_ended(r, "completed", "stop");
  assert_string_equal(
      tools_result(r, "c1"),
      "uncertain: half\\nerror: it is gone; what the tool did is not known");
  assert_string_equal(tools_result(r, "c2"), "error: half\\nerror: it is gone");
  assert_string_equal(tools_result(r, "c3"), "error: half\\nerror: it is gone");
  tools_heard(r, "\"code\":\"runtime_unavailable\"", 3);
}

static void one_that_takes_too_long_is_cancelled(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  struct fake_run *run = fake_tool_run(r->fh, "act");
  fake_run_output(run, "begun");
  fake_run_gate(run);
  tools_answer(r, "act c1", NULL);
  tools_go(r);
  fake_host_advance(r->fh, FAKE_TOOL_MAX_MS - 1);
  rig_settle(r);
  assert_int_equal(fake_tool_cancelled(r->fh), 0);
  fake_host_advance(r->fh, 1);
  rig_settle(r);
  assert_int_equal(fake_tool_cancelled(r->fh), 1);
  tools_ended(r, "completed", "stop");
  assert_string_equal(tools_result(r, "c1"),
                      "error: begun\\nerror: the tool took too long and was stopped");
  tools_heard(r, "\"error\":{\"code\":\"timeout\"", 1);
}

/* And goes on to its end within the grace: that is what counts. */
static void one_that_ends_within_the_grace_has_its_result(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  struct fake_run *run = fake_tool_run(r->fh, "act");
  fake_run_gate(run);
  fake_run_output(run, "whole");
  fake_run_polite(run);
  tools_answer(r, "act c1", NULL);
  tools_go(r);
  fake_host_advance(r->fh, FAKE_TOOL_MAX_MS);
  rig_settle(r);
  tools_ended(r, "completed", "stop");
  assert_string_equal(tools_result(r, "c1"), "ok: whole");
}

static void one_that_does_not_stop_is_let_go(void **state) {
  struct rig *r = *state;
  static const char *const tools[] = {"act c1", "again c1"};
  static const char *const results[] = {
      "uncertain: error: the tool was stopped and did not end; what it did is not known",
      "error: error: the tool was stopped and did not end; what it did is not known"};
  for (size_t i = 0; i < 2; i++) {
    tools_open(r, "");
    struct fake_run *run = fake_tool_run(r->fh, i == 0 ? "act" : "again");
    fake_run_deaf(run);
    fake_run_gate(run);
    tools_answer(r, tools[i], NULL);
    tools_go(r);
    fake_host_advance(r->fh, FAKE_TOOL_MAX_MS + YOI_CANCEL_GRACE_MS - 1);
    rig_settle(r);
    assert_int_equal(fake_tool_live(r->fh), 1);
    fake_host_advance(r->fh, 1);
    rig_settle(r);
    tools_ended(r, "completed", "stop");
    assert_string_equal(tools_result(r, "c1"), results[i]);
  }
}

/* It has no end, says something whenever it is asked, and takes no notice. */
static void one_that_floods_has_its_time_and_no_more(void **state) {
  struct rig *r = *state;
  for (int deaf = 0; deaf < 2; deaf++) {
    tools_open(r, "");
    struct fake_run *run = fake_tool_run(r->fh, "act");
    char *page = malloc(60001);
    memset(page, 'x', 60000);
    page[60000] = 0;
    fake_run_gate(run);
    fake_run_output(run, page);
    fake_run_flood(run);
    if (deaf) fake_run_deaf(run);
    tools_answer(r, "act c1", NULL);
    tools_go(r);
    fake_tool_open(r->fh, NULL);
    rig_settle(r);
    assert_int_equal(fake_tool_cancelled(r->fh), 1);
    tools_ended(r, "completed", "stop");
    tools_heard(r,
                deaf ? "\"status\":\"uncertain\""
                     : "the output passed 1048576 bytes, so the tool was stopped",
                deaf ? 1 : 2);
    free(page);
  }
}

/* ---- its output ---- */

static void as_much_as_a_call_may_say(void **state) {
  struct rig *r = *state;
  char *page = malloc(65537);
  memset(page, 'x', 65536);
  page[65536] = 0;
  for (int more = 0; more < 2; more++) {
    tools_open(r, "");
    struct fake_run *run = fake_tool_run(r->fh, "look");
    for (int i = 0; i < YOI_TOOL_OUTPUT_MAX / 65536; i++) fake_run_output(run, page);
    if (more) fake_run_output(run, "y");
    tools_answer(r, "look c1", NULL);
    tools_go(r);
    tools_ended(r, "completed", "stop"); /* what the model was shown is what counts */
    tools_heard(r, more ? "\"status\":\"error\"" : "\"status\":\"ok\"", 1);
    tools_heard(r, "\"artefact_bytes\":1048576", 1);
    assert_int_equal(fake_tool_cancelled(r->fh), more);
  }
  free(page);
}

static void its_text_may_be_cut_anywhere(void **state) {
  struct rig *r = *state;
  static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
  for (size_t cut = 0; cut <= sizeof text - 1; cut++) {
    tools_open(r, "");
    struct fake_run *run = fake_tool_run(r->fh, "look");
    fake_run_bytes(run, text, cut);
    fake_run_bytes(run, text + cut, sizeof text - 1 - cut);
    tools_answer(r, "look c1", NULL);
    tools_go(r);
    tools_ended(r, "completed", "stop");
    assert_string_equal(tools_result(r, "c1"), "ok: a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
  }
  tools_open(r, "");
  struct fake_run *run = fake_tool_run(r->fh, "look");
  for (size_t i = 0; i < sizeof text - 1; i++) fake_run_bytes(run, text + i, 1);
  tools_answer(r, "look c1", NULL);
  tools_go(r);
  assert_string_equal(tools_result(r, "c1"), "ok: a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
}

static void what_is_no_text_becomes_text(void **state) {
  struct rig *r = *state;
#define BAD "\xef\xbf\xbd"
  static const struct {
    const char *bytes;
    size_t n;
    const char *want;
  } rows[] = {
      {"a\0b", 3, "ok: a" BAD "b"},
      {"\xff\xfe", 2, "ok: " BAD BAD},
      {"x\xc3", 2, "ok: x" BAD},            /* cut at the end for ever */
      {"\xed\xa0\x80y", 4, "ok: " BAD "y"}, /* a surrogate */
      {"\xc0\xaf", 2, "ok: " BAD},          /* overlong */
      {"\x80\x80\x80\x80\x80", 5, "ok: " BAD BAD},
      {"\x1b[1m\"\\\n", 7, "ok: \\u001b[1m\\\"\\\\\\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    tools_open(r, "");
    fake_run_bytes(fake_tool_run(r->fh, "look"), rows[i].bytes, rows[i].n);
    tools_answer(r, "look c1", NULL);
    tools_go(r);
    tools_ended(r, "completed", "stop");
    assert_string_equal(tools_result(r, "c1"), rows[i].want);
  }
}

/* Of bytes that are no text each may become three. */
static void what_grows_is_bounded_too(void **state) {
  struct rig *r = *state;
  char *page = malloc(65536);
  for (int i = 0; i < 65536; i++) page[i] = (char)0xff;
  tools_open(r, "\"tool_output_bytes\":16777216");
  struct fake_run *run = fake_tool_run(r->fh, "look");
  for (int i = 0; i < 16; i++) fake_run_bytes(run, page, 65536);
  tools_answer(r, "look c1", NULL);
  tools_go(r);
  tools_ended(r, "completed", "stop");
  tools_heard(r, "the output passed 1048576 bytes", 2);
  free(page);
}

static void head_and_tail_are_shown_of_much(void **state) {
  struct rig *r = *state;
  static const struct {
    int limit;
    const char *says, *want;
  } rows[] = {
      {8, "12345678", "ok: 12345678"},
      {8, "123456789", "ok: 1234\\n[... 1 of 9 bytes are left out here; "},
      {7, "123456789", "ok: 123\\n[... 2 of 9 bytes are left out here; "},
      {1, "123", "ok: \\n[... 2 of 3 bytes are left out here; "},
      {1, "\xe2\x82\xac", "ok: \\n[... 3 of 3 bytes are left out here; "},
      {4, "\xe2\x82\xac\xe2\x82\xac", "ok: \\n[... 6 of 6 bytes are left out here; "},
      {6, "\xe2\x82\xac\xe2\x82\xac", "ok: \xe2\x82\xac\xe2\x82\xac"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char limits[64];
    (void)snprintf(limits, sizeof limits, "\"tool_result_bytes\":%d", rows[i].limit);
    tools_open(r, limits);
    fake_run_output(fake_tool_run(r->fh, "look"), rows[i].says);
    tools_answer(r, "look c1", NULL);
    tools_go(r);
    tools_ended(r, "completed", "stop");
    const char *got = tools_result(r, "c1");
    if (strncmp(got, rows[i].want, strlen(rows[i].want)) != 0) fail_msg("%s", got);
    tools_heard(r, "\"artefact_id\":", strstr(rows[i].want, "left out") ? 1 : 0);
  }
}

static void progress_is_shown_and_bounded(void **state) {
  struct rig *r = *state;
  struct ear e;
  tools_open(r, "");
  struct fake_run *run = fake_tool_run(r->fh, "look");
  char *page = malloc(5001);
  memset(page, 'x', 5000);
  page[5000] = 0;
  for (int i = 0; i < 200; i++) fake_run_output(run, page);
  fake_run_status(run, "much of it");
  tools_answer(r, "look c1", NULL);
  ear_open(&e, r, "a", NULL);
  assert_int_equal(rig_call(r, INPUT, "a", "{\"content\":\"go\"}"), YOI_OK);
  ear_settle(&e);
  size_t shown = 0;
  for (const char *p = e.heard.data; (p = strstr(p, "tool.progress {")) != NULL; p++) {
    yoi_str data = {p + 14, strcspn(p + 14, "\n")};
    yoi_str text = yoi_sdk_json_raw_get(data, "text");
    assert_true(text.len - 2 <= YOI_DELTA_BYTES_MAX);
    shown += text.len - 2;
  }
#ifndef YOI_HARD /* where the turn's buffer is too small for it, a watcher begins anew */
  assert_int_equal(shown, YOI_TOOL_PROGRESS_BYTES_MAX);
  assert_true(ear_has(&e, "\"step\":1,\"call_id\":\"c1\",\"text\":\"xxx"));
#endif
  assert_true(shown <= YOI_TOOL_PROGRESS_BYTES_MAX);
  ear_close(&e);
  free(page);
  tools_ended(r, "completed", "stop");
}

/* ---- limits of the turn ---- */

static void the_tools_of_a_turn_may_say_so_much(void **state) {
  struct rig *r = *state;
  for (int more = 0; more < 2; more++) {
    tools_open(r, "\"tool_output_bytes\":8");
    fake_run_output(fake_tool_run(r->fh, "look"), "1234");
    fake_run_output(fake_tool_run(r->fh, "act"), more ? "12345" : "1234");
    tools_answer(r, "look c1", NULL);
    tools_answer(r, "act c2", NULL);
    tools_go(r);
    tools_ended(r, more ? "failed" : "completed", more ? "tool_output_limit" : "stop");
  }
}

static void calls_of_the_last_step_are_not_made(void **state) {
  struct rig *r = *state;
  tools_open(r, "\"steps\":2");
  tools_answer(r, "look c1", NULL);
  tools_answer(r, "look c2 {\\\"a\\\":1}", "none c3", NULL);
  tools_go(r);
  tools_ended(r, "failed", "step_limit");
  assert_int_equal(fake_tool_starts(r->fh), 1);
  assert_string_equal(tools_result(r, "c2"),
                      "cancelled: error: the call was not made: the turn took more steps than its "
                      "profile allows");
  assert_string_equal(tools_result(r, "c3"), "error: error: there is no tool 'none'");
  tools_go(r); /* and the history can be gone on with */
  tools_ended(r, "completed", "stop");
}

static void the_turn_has_its_time(void **state) {
  struct rig *r = *state;
  tools_open(r, "\"wall_ms\":500");
  fake_run_gate(fake_tool_run(r->fh, "act"));
  tools_answer(r, "act c1", NULL);
  tools_go(r);
  fake_host_advance(r->fh, 499);
  rig_settle(r);
  assert_int_equal(fake_tool_live(r->fh), 1);
  fake_host_advance(r->fh, 1);
  rig_settle(r);
  tools_ended(r, "failed", "time_limit");
  tools_heard(r, "\"call_id\":\"c1\",\"status\":\"", 1);
}

/* The host has no timer left, when the n-th is asked for. */
static void without_a_timer_no_tool_runs_for_ever(void **state) {
  struct rig *r = *state;
  for (uint64_t n = 1; n <= 3; n++) {
    tools_open(r, "");
    struct fake_run *run = fake_tool_run(r->fh, "act");
    fake_run_gate(run);
    fake_run_deaf(run);
    tools_answer(r, "ask c0", "act c1", NULL);
    fake_host_fail_timer(r->fh, n);
    tools_go(r);
    fake_host_advance(r->fh, FAKE_TOOL_MAX_MS + YOI_CANCEL_GRACE_MS);
    rig_settle(r);
    fake_host_fail_timer(r->fh, 0);
    rig_ok(r, GET, "a", "");
    if (strcmp(rig_get(r, "worker.state"), "\"awaiting_approval\"") == 0)
      rig_ok(r, YOI_OP_WORKER_CANCEL, "a", "");
    rig_ok(r, GET, "a", "");
    assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
    assert_int_equal(fake_tool_live(r->fh), 0);
  }
}

static void a_tool_that_the_spec_cannot_have_is_refused_at_create(void **state) {
  struct rig *r = *state;
  tools_open(r, "");
  rig_close(r);
  rig_open_as(r, r->mode, NULL,
              "{\"name\":\"p\",\"prompt\":\"p.system\",\"model\":\"main\",\"tools\":["
              "{\"name\":\"look\",\"plugin\":\"dev.test.tool\",\"grants\":[\"mount:w:ro\"]},"
              "{\"name\":\"act\",\"plugin\":\"dev.test.tool\",\"optional\":true,"
              "\"grants\":[\"mount:w:rw\"]}]}",
              NULL);
  rig_refused(r, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}",
              YOI_CODE_UNSUPPORTED_DECLARATION);
  fake_tool_add(r->fh, "look", 0);
  fake_grant_missing(r->fh, "mount:w:ro");
  rig_refused(r, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}", YOI_CODE_GRANT_MISSING);
  assert_string_equal(r->err->details, "{\"missing\":[\"mount:w:ro\"]}");
  fake_tool_add(r->fh, "act", 0);
  fake_grant_missing(r->fh, "mount:w:rw");
  queue_make(r); /* it goes without what is optional */
  rig_ok(r, GET, "a", "");
  assert_non_null(strstr(r->text, "\"name\":\"look\""));
  assert_null(strstr(r->text, "\"name\":\"act\""));
  assert_string_equal(rig_get(r, "worker.spec.grants"), "[\"model:main\",\"mount:w:ro\"]");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(one_call_is_run_and_shown),
      RIG_TESTS(two_run_at_once_and_end_in_either_order),
      RIG_TESTS(a_chain_of_ten_steps),
      RIG_TESTS(what_is_wrong_with_a_call_its_model_is_told),
      RIG_TESTS(what_start_refuses_has_not_run),
      RIG_TESTS(one_that_went_between_is_an_error),
      RIG_TESTS(the_same_over_and_over_is_stopped),
      RIG_TESTS(an_error_keeps_what_was_said),
      RIG_TESTS(what_nobody_knows_is_uncertain),
      RIG_TESTS(one_that_takes_too_long_is_cancelled),
      RIG_TESTS(one_that_ends_within_the_grace_has_its_result),
      RIG_TESTS(one_that_does_not_stop_is_let_go),
      RIG_TESTS(one_that_floods_has_its_time_and_no_more),
      RIG_TESTS(as_much_as_a_call_may_say),
      RIG_TESTS(its_text_may_be_cut_anywhere),
      RIG_TESTS(what_is_no_text_becomes_text),
      RIG_TESTS(what_grows_is_bounded_too),
      RIG_TESTS(head_and_tail_are_shown_of_much),
      RIG_TESTS(progress_is_shown_and_bounded),
      RIG_TESTS(the_tools_of_a_turn_may_say_so_much),
      RIG_TESTS(calls_of_the_last_step_are_not_made),
      RIG_TESTS(the_turn_has_its_time),
      RIG_TESTS(without_a_timer_no_tool_runs_for_ever),
      RIG_TESTS(a_tool_that_the_spec_cannot_have_is_refused_at_create),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
