/* test_engine_artefact.c - outputs that are too long to be shown whole, read by
 * callers and by the model. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/tools.h"

/* "0123456789" and the like, n bytes of it; the artefact's id. */
static void make(struct rig *r, const char *limits, const char *says, char id[24]) {
  struct ear e;
  tools_open(r, limits);
  fake_run_output(fake_tool_run(r->fh, "look"), says);
  tools_answer(r, "look c1", NULL);
  tools_go(r);
  tools_history(r, &e, 1);
  const char *at = strstr(e.heard.data, "\"artefact_id\":\"");
  assert_non_null(at);
  assert_int_equal(sscanf(at, "\"artefact_id\":\"%23[0-9]", id), 1);
  ear_close(&e);
}

static yoi_status get(struct rig *r, const char *id, const char *body) {
  yoi_stream *s =
      rig_start(r, YOI_OP_WORKER_ARTEFACT, "a", body, &(yoi_request){.subject = yoi_sdk_str(id)});
  return s ? rig_finish(r, s) : yoi_sdk_code_status(r->err->code);
}

static void a_page_is_whole_characters(void **state) {
  struct rig *r = *state;
  static const struct {
    const char *body, *text, *start, *next;
  } rows[] = {
      {"", "\"a\xe2\x82\xacz\xe2\x82\xac!\"", "0", "null"},
      {"{\"start\":0,\"limit\":1}", "\"a\"", "0", "1"},
      {"{\"start\":1,\"limit\":1}", "\"\xe2\x82\xac\"", "1", "4"}, /* at least one */
      {"{\"start\":2,\"limit\":1}", "\"z\"", "4", "5"},            /* inside of one */
      {"{\"start\":3,\"limit\":3}", "\"z\"", "4", "5"},
      {"{\"start\":4,\"limit\":4}", "\"z\xe2\x82\xac\"", "4", "8"},
      {"{\"start\":8}", "\"!\"", "8", "null"},
      {"{\"start\":9}", "\"\"", "9", "null"},
      {"{\"start\":1000000}", "\"\"", "9", "null"},
      {"{\"limit\":262144}", "\"a\xe2\x82\xacz\xe2\x82\xac!\"", "0", "null"},
  };
  char id[24];
  make(r, "\"tool_result_bytes\":4", "a\xe2\x82\xacz\xe2\x82\xac!", id);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    assert_int_equal(get(r, id, rows[i].body), YOI_OK);
    assert_string_equal(rig_get(r, "artefact.text"), rows[i].text);
    assert_string_equal(rig_get(r, "artefact.start"), rows[i].start);
    assert_string_equal(rig_get(r, "artefact.next_start"), rows[i].next);
    assert_string_equal(rig_get(r, "artefact.bytes"), "9");
    assert_string_equal(rig_get(r, "artefact.call_id"), "\"c1\"");
  }
}

static void what_is_none_is_not_found(void **state) {
  struct rig *r = *state;
  char id[24];
  static const char *const none[] = {
      "1", "2", "4", "999", "0", "-1", "x", "", "99999999999999999999"};
  make(r, "\"tool_result_bytes\":4", "123456789", id);
  for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
    assert_int_not_equal(get(r, none[i], ""), YOI_OK);
    assert_int_equal(r->err->code, YOI_CODE_ARTEFACT_NOT_FOUND);
  }
  static const struct {
    const char *body;
    int32_t code;
  } bad[] = {
      {"{\"limit\":0}", YOI_CODE_INVALID_REQUEST},
      {"{\"limit\":262145}", YOI_CODE_LIMIT_TOO_LARGE},
      {"{\"start\":-1}", YOI_CODE_INVALID_REQUEST},
      {"{\"start\":\"1\"}", YOI_CODE_INVALID_REQUEST},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_not_equal(get(r, id, bad[i].body), YOI_OK);
    assert_int_equal(r->err->code, bad[i].code);
  }
  eng_store_mem_fail_read(r->store, 1, 1); /* its own, or that of the worker */
  assert_int_not_equal(get(r, id, ""), YOI_OK);
  assert_int_equal(r->err->code, YOI_CODE_STORE_ERROR);
}

/* ---- the model's ---- */

static void ask(struct rig *r, const char *id, const char *rest) {
  char call[128];
  (void)snprintf(call, sizeof call, "artefact_read r1 {\\\"artefact_id\\\":\\\"%s\\\"%s}", id,
                 rest);
  tools_answer(r, call, NULL);
  tools_go(r);
}

static void a_model_reads_on(void **state) {
  struct rig *r = *state;
  static const struct {
    const char *rest, *want;
  } rows[] = {
      {"", "ok: 01234567\\n[bytes 0 to 8 of 20; it goes on at start 8]"},
      {",\\\"start\\\":4,\\\"limit\\\":3", "ok: 456\\n[bytes 4 to 7 of 20; it goes on at start 7]"},
      {",\\\"start\\\":12", "ok: 23456789\\n[bytes 12 to 20 of 20; this is the end]"},
      {",\\\"start\\\":99", "ok: [bytes 20 to 20 of 20; this is the end]"},
      {",\\\"limit\\\":99", "ok: 01234567\\n[bytes 0 to 8 of 20; it goes on at start 8]"},
      {",\\\"limit\\\":0", "error: error: 'limit' is not a whole number from 1 on"},
      {",\\\"start\\\":-1", "error: error: 'start' is not a whole number from 0 on"},
      {",\\\"start\\\":1.5", "error: error: 'start' is not a whole number from 0 on"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char id[24];
    make(r, "\"tool_result_bytes\":8", "01234567890123456789", id);
    assert_non_null(strstr(fake_model_messages(r->fh, 1), "artefact_read with artefact_id "));
    assert_non_null(strstr(fake_model_messages(r->fh, 1), " and start 4 shows them"));
    ask(r, id, rows[i].rest);
    tools_ended(r, "completed", "stop");
    assert_string_equal(tools_result(r, "r1"), rows[i].want);
    tools_heard(r, "\"artefact_id\":\"", 1); /* a part is none itself */
    tools_heard(r, "\"call_id\":\"r1\",\"decision\":\"allow\",\"plugin\":null,\"rule\":\"engine\"",
                strncmp(rows[i].want, "ok", 2) == 0);
    assert_int_equal(fake_tool_starts(r->fh), 1);
  }
}

static void what_a_model_asks_for_wrongly_it_is_told(void **state) {
  struct rig *r = *state;
  char id[24];
  make(r, "\"tool_result_bytes\":8", "01234567890123456789", id);
  assert_non_null(
      strstr(fake_model_offer(r->fh, 0), "{\"name\":\"artefact_read\",\"description\":"));
  assert_int_equal(yoi_sdk_json_check(yoi_sdk_str(fake_model_offer(r->fh, 0)), 0, NULL), YOI_OK);
  tools_answer(r, "artefact_read r1", "artefact_read r2 {\\\"artefact_id\\\":\\\"2\\\"}",
               "artefact_read r3 {\\\"artefact_id\\\":\\\"../x\\\"}",
               "artefact_read r4 {\\\"artefact_id\\\":null}", NULL);
  tools_go(r);
  assert_string_equal(tools_result(r, "r1"),
                      "error: error: 'artefact_id' is missing: it stands where an output was cut");
  assert_string_equal(
      tools_result(r, "r2"),
      "error: error: there is no artefact '2': its id stands where an output was cut");
  static const char none[] =
      "error: error: 'artefact_id' is no artefact's: it stands where an output was cut";
  assert_string_equal(tools_result(r, "r3"), none);
  assert_string_equal(tools_result(r, "r4"), none);
  tools_ended(r, "completed", "stop");
}

static void without_tools_there_is_none(void **state) {
  struct rig *r = *state;
  queue_make(r);
  tools_answer(r, "artefact_read r1 {\\\"artefact_id\\\":\\\"2\\\"}", NULL);
  tools_go(r);
  assert_string_equal(fake_model_offer(r->fh, 0), "");
  assert_string_equal(tools_result(r, "r1"), "error: error: there is no tool 'artefact_read'");
}

/* The turn ends, in each way, while the store still reads. */
static void it_may_end_while_it_is_read(void **state) {
  struct rig *r = *state;
  if (!r->late) return;
  for (int how = 0; how < 3; how++) {
    char id[24], call[96];
    make(r, "\"tool_result_bytes\":8", "01234567890123456789", id);
    (void)snprintf(call, sizeof call, "artefact_read r1 {\\\"artefact_id\\\":\\\"%s\\\"}", id);
    tools_answer(r, call, NULL);
    struct ear e;
    ear_open(&e, r, "a", NULL);
    yoi_stream *in = rig_start(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"go\"}", NULL);
    /* Until it is written down as started; what the loop begins then is a read. */
    for (int i = 0; i < 1000 && ear_count(&e, "tool.started ") == 0; i++) {
      if (fake_host_run(r->fh) == 0) assert_true(eng_store_mem_step(r->store));
      ear_listen(&e);
    }
    (void)fake_host_run(r->fh);
    assert_true(eng_store_mem_waiting(r->store) > 0);
    yoi_stream *s =
        how == 2 ? NULL
                 : rig_start(r, how ? YOI_OP_WORKER_STOP : YOI_OP_WORKER_CANCEL, "a", "", NULL);
    rig_settle(r);
    ear_close(&e);
    if (s) assert_int_equal(rig_finish(r, s), YOI_OK);
    assert_int_equal(rig_finish(r, in), YOI_OK);
    tools_heard(r, "\"call_id\":\"r1\",\"status\":", 1);
  }
}

static void it_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  bool more = true;
  for (uint64_t n = 1; more; n += 1 + n / 60) {
    char id[24];
    make(r, "\"tool_result_bytes\":8", "01234567890123456789", id);
    char call[96];
    (void)snprintf(call, sizeof call, "artefact_read r1 {\\\"artefact_id\\\":\\\"%s\\\"}", id);
    tools_answer(r, call, NULL);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = rig_call(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"go\"}");
    rig_settle(r);
    more = yoi_sdk_mem_fail_at(0) >= n;
    fake_model_forget(r->fh);
    tools_go(r);
    struct ear e;
    tools_history(r, &e, 1);
    ear_close(&e);
    if (!more) assert_int_equal(st, YOI_OK);
    assert_true(n < 50000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(a_page_is_whole_characters),
      RIG_TESTS(what_is_none_is_not_found),
      RIG_TESTS(a_model_reads_on),
      RIG_TESTS(what_a_model_asks_for_wrongly_it_is_told),
      RIG_TESTS(without_tools_there_is_none),
      RIG_TESTS(it_may_end_while_it_is_read),
      RIG_TESTS_OF_MEMORY(it_may_fail_at_any_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
