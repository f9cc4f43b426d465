/* test_engine_replay.c - records that are damaged or make no sense, and what is
 * still possible with a worker that has them. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdlib.h>

#include "support/tools.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

/* created, accepted, started, message (two calls), requested, completed,
 * requested, completed, message, ended */
static void whole_turn(struct rig *r) {
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_call(a, "c1", "f", "{}");
  fake_answer_call(a, "c2", "g", "{}");
  fake_answer_finish(a, "tool_calls");
  queue_make(r);
  yoi_request keyed = {.idempotency_key = YOI_LIT("k")};
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &keyed), YOI_OK);
  rig_settle(r);
  assert_int_equal(eng_vault_count(r->vault, "a"), 10);
}

static void is_corrupt_behind(struct rig *r, unsigned n) {
  char text[128];
  rig_ok(r, GET, "a", "");
  assert_int_equal(yoi_sdk_json_check(yoi_sdk_str(r->text), 0, NULL), YOI_OK);
  assert_string_equal(rig_get(r, "worker.state"), "\"corrupt\"");
  (void)snprintf(text, sizeof text, "the history is damaged behind record %u\"", n);
  assert_true(rig_has(r, text));
  assert_true(rig_has(r, "\"store_corrupt\",\"severity\":\"error\""));
  assert_string_equal(rig_get(r, "worker.capabilities"),
                      "[\"worker.get\",\"worker.delete\",\"worker.transcript\","
                      "\"worker.events\",\"worker.approvals\","
                      "\"worker.artefact\"]");
}

static void a_damaged_one_can_be_read_and_deleted(void **state) {
  struct rig *r = *state;
  struct ear e;
  whole_turn(r);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"b\"}");
  rig_crash(r);
  eng_vault_damage(r->vault, "a", 5);
  rig_begin_again(r);
  is_corrupt_behind(r, 4);
  assert_non_null(strstr(fake_log(r->fh), "a history is damaged worker_id=a behind=4"));
  rig_ok(r, YOI_OP_WORKER_LIST, "", "{\"state\":\"corrupt\"}");
  assert_true(rig_has(r, "\"worker_id\":\"a\",\"state\":\"corrupt\""));
  assert_null(strstr(r->text, "\"worker_id\":\"b\""));
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.total"), "2");
  assert_true(rig_has(r, "\"tool_calls\""));
  ear_open(&e, r, "a", NULL);
  assert_true(ear_has(&e, "\"state\":\"corrupt\""));
  ear_close(&e);
  queue_history(r, &e, 0);
  assert_string_equal(ear_kinds(&e), "input.accepted turn.started message.completed");
  assert_int_equal(e.st, YOI_AGAIN);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_STORE_CORRUPT);
  rig_refused(r, YOI_OP_WORKER_CANCEL, "a", "", YOI_CODE_STORE_CORRUPT);
  rig_refused(r, YOI_OP_WORKER_STOP, "a", "", YOI_CODE_STORE_CORRUPT);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"a\"}", YOI_CODE_WORKER_CONFLICT);
  rig_ok(r, INPUT, "b", "{\"content\":\"x\"}");          /* nobody else is affected */
  yoi_request keyed = {.idempotency_key = YOI_LIT("k")}; /* its first answer stands */
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &keyed), YOI_OK);
  rig_ok(r, YOI_OP_WORKER_DELETE, "a", "");
  ear_settle(&e);
  assert_true(ear_has(&e, "\"worker_deleted\""));
  ear_close(&e);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  assert_int_equal(r->flags & YOI_EV_CREATED, YOI_EV_CREATED);
}

static void one_without_its_first_record_is_shown_nevertheless(void **state) {
  struct rig *r = *state;
  whole_turn(r);
  rig_crash(r);
  eng_vault_damage(r->vault, "a", 1);
  rig_begin_again(r);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"a\"}", YOI_CODE_WORKER_CONFLICT);
  is_corrupt_behind(r, 0);
  assert_string_equal(rig_get(r, "worker.spec"), "null");
  assert_string_equal(rig_get(r, "worker.created_at"), "null");
  rig_ok(r, TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.items"), "[]");
  rig_ok(r, YOI_OP_WORKER_DELETE, "a", "");
}

/* It was put to sleep sound. */
static void damage_is_met_when_it_is_read_again(void **state) {
  struct rig *r = *state;
  whole_turn(r);
  assert_int_equal(rig_sleep_one(r, "a"), 1);
  eng_vault_damage(r->vault, "a", 9);
  is_corrupt_behind(r, 8);
  char *before = strdup(r->text);
  fake_host_advance(r->fh, 1000);
  assert_int_equal(rig_sleep_one(r, "a"), 1);
  rig_ok(r, GET, "a", "");
  assert_string_equal(r->text, before);
  free(before);
}

static void fewer_records_than_there_were_are_damage(void **state) {
  struct rig *r = *state;
  whole_turn(r);
  assert_int_equal(rig_sleep_one(r, "a"), 1);
  eng_vault_cut(r->vault, "a", 3, ENG_MARK_IDLE);
  is_corrupt_behind(r, 3);
  rig_sleep_one(r, "a");
  eng_vault_cut(r->vault, "a", 0, ENG_MARK_IDLE);
  is_corrupt_behind(r, 0);
}

/* ---- records that make no sense ---- */

enum change { TEXT, AUX, SHARED, KIND, SEQUENCE, INDEX, CONTENT_AT, CONTENT_LEN, TURN_AT, ROLE };

#define CALL "{\"id\":\"x\",\"name\":\"f\",\"arguments\":\"{}\"},"
#define CALLS_10 CALL CALL CALL CALL CALL CALL CALL CALL CALL CALL
#define CALLS_62 CALLS_10 CALLS_10 CALLS_10 CALLS_10 CALLS_10 CALLS_10 CALL CALL

static const struct {
  uint64_t record; /* it is corrupt behind the one before */
  enum change what;
  const char *from, *to; /* texts; NULL: all of it */
  uint64_t n;
} cases[] = {
    {1, TEXT, "{\"sequence\"", "{\"sequence", 0},
    {1, TEXT, NULL, "", 0},
    {1, TEXT, NULL, "[]", 0},
    {1, TEXT, NULL, "null", 0},
    {1, TEXT, NULL, "{}", 0},
    {1, TEXT, "\"sequence\":1", "\"sequence\":2", 0},
    {1, TEXT, "\"sequence\":1", "\"sequence\":-1", 0},
    {1, TEXT, "\"sequence\":1", "\"sequence\":\"1\"", 0},
    {1, TEXT, "\"at\":\"", "\"at\":\"x", 0},
    {1, TEXT, "\"worker_id\":\"a\"", "\"worker_id\":\"b\"", 0},
    {1, TEXT, "\"worker_id\":\"a\"", "\"worker_id\":7", 0},
    {1, TEXT, "\"intent\":{", "\"intention\":{", 0},
    {1, TEXT, "\"display_name\":\"a\"", "\"display_name\":1", 0},
    {1, TEXT, "\"profile\":{\"kind\":\"runtime_default\"}", "\"profile\":[]", 0},
    {1, TEXT, "\"created_at\":\"", "\"created_at\":\"9", 0},
    {1, AUX, NULL, "", 0},
    {1, AUX, NULL, "{\"request\":\"zz\"}", 0},
    {1, AUX, NULL, "{\"request\":", 0},
    {1, AUX, "{\"request\"", "{\"key\":\"00000000000000000000000000000000\",\"request\"", 0},
    {1, SHARED, NULL, "", 0},
    {1, SHARED, NULL, "{}", 0},
    {1, SHARED, NULL, "[1]", 0},
    {1, SHARED, NULL, "{\"model\":\"main\",\"prompts\":[{\"text\":1}]}", 0},
    {1, SHARED, NULL, "{\"model\":\"../x\",\"prompts\":[{\"text\":\"\"}]}", 0},
    {1, SHARED, NULL,
     "{\"model\":\"main\",\"prompts\":[{\"text\":\"\"}],\"limits\":{\"steps\":100000}}", 0},
    {1, KIND, NULL, NULL, YOI_EVENT_TURN_STARTED},
    {1, KIND, NULL, NULL, YOI_EVENT_DIAGNOSTIC},
    {2, KIND, NULL, NULL, 30},
    {2, KIND, NULL, NULL, YOI_EVENT_WORKER_CREATED},
    {2, KIND, NULL, NULL, YOI_EVENT_TURN_STARTED},
    {2, KIND, NULL, NULL, YOI_EVENT_TURN_ENDED},
    {2, KIND, NULL, NULL, YOI_EVENT_MESSAGE_COMPLETED},
    {2, KIND, NULL, NULL, YOI_EVENT_TOOL_COMPLETED},
    {2, KIND, NULL, NULL, YOI_EVENT_TOOL_STARTED},
    {2, KIND, NULL, NULL, YOI_EVENT_TURN_CANCEL_REQUESTED},
    {2, SEQUENCE, NULL, NULL, 3},
    {2, SEQUENCE, NULL, NULL, 1},
    {2, INDEX, NULL, NULL, 1},
    {2, TEXT, "\"turn_id\":\"", "\"turn_id\":\"A", 0},
    {2, TEXT, "\"turn_id\":", "\"no_id\":", 0},
    {2, TEXT, "\"kind\":\"user\"", "\"kind\":\"system\"", 0},
    {2, TEXT, "\"kind\":\"user\"", "\"kind\":\"assistant\"", 0},
    {2, TEXT, "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]", "\"content\":\"hi\"", 0},
    {2, AUX, "\"key\":\"", "\"key\":\"q", 0},
    {2, CONTENT_AT, NULL, NULL, 100000},
    {2, CONTENT_LEN, NULL, NULL, UINT32_MAX},
    {2, TURN_AT, NULL, NULL, UINT32_MAX},
    {2, ROLE, NULL, NULL, 77},
    {3, KIND, NULL, NULL, YOI_EVENT_WORKER_STOPPED},
    {3, TEXT, "\"turn_id\":\"0", "\"turn_id\":\"f", 0},
    {4, TEXT, "\"role\":\"assistant\"", "\"role\":\"user\"", 0},
    {4, TEXT, "\"step\":1", "\"step\":0", 0},
    {4, TEXT, "\"step\":1", "\"step\":99999999", 0},
    {4, TEXT, "\"content\":[]", "\"content\":{}", 0},
    {4, TEXT, "\"id\":\"c1\"", "\"id\":1", 0},
    {4, TEXT, "\"id\":\"c1\"", "\"id\":\"\"", 0},
    {4, TEXT, "\"id\":\"c1\"", "\"id\":\"\\ud800\"", 0},
    {4, TEXT, "\"name\":\"f\"", "\"nome\":\"f\"", 0},
    {4, TEXT, "\"name\":\"f\"", "\"name\":\"\"", 0},
    {4, TEXT, "\"name\":\"f\"", "\"name\":[]", 0},
    {4, TEXT, "\"arguments\":\"{}\"", "\"arguments\":{}", 0},
    {4, TEXT, "\"item\":{", "\"tem\":{", 0},
    {4, KIND, NULL, NULL, YOI_EVENT_TURN_STARTED},
    {4, TEXT, "\"tool_calls\":[", "\"tool_calls\":[" CALLS_62 CALL, 0}, /* 65 of them */
    {5, TEXT, "\"id\":\"c1\"", "\"id\":\"c9\"", 0},
    {7, TEXT, "\"call_id\":\"c1\"", "\"call_id\":\"c9\"", 0},
    {7, TEXT, "\"tool_call_id\":\"c1\"", "\"tool_call_id\":\"c2\"", 0},
    {7, KIND, NULL, NULL, YOI_EVENT_MESSAGE_COMPLETED},
    {7, KIND, NULL, NULL, YOI_EVENT_TOOL_APPROVAL_REQUESTED},
    {8, KIND, NULL, NULL, YOI_EVENT_TURN_ENDED},
    {10, TEXT, "\"turn\":{\"turn_id\":\"0", "\"turn\":{\"turn_id\":\"f", 0},
    {10, TEXT, "\"turn\":{", "\"torn\":{", 0},
};

static char *changed(yoi_str text, const char *from, const char *to) {
  char *whole = strndup(text.ptr ? text.ptr : "", text.len), *out;
  size_t n = text.len + strlen(to ? to : "") + 1;
  assert_non_null(whole);
  if (!to) return whole;
  out = calloc(1, n);
  char *at = from ? strstr(whole, from) : whole;
  if (!at) fail_msg("'%s' is not in %s", from, whole);
  (void)snprintf(out, n, "%.*s%s%s", (int)(at - whole), whole, to, from ? at + strlen(from) : "");
  free(whole);
  return out;
}

static void change(struct rig *r, size_t i) {
  const struct eng_frame *f = eng_vault_frame(r->vault, "a", cases[i].record);
  const char *from = cases[i].from, *to = cases[i].to;
  enum change what = cases[i].what;
  char *text = changed(f->ev.text, from, what == TEXT ? to : NULL);
  char *aux = changed(eng_frame_aux(f), from, what == AUX ? to : NULL);
  struct eng_text *shared = eng_text_ref(f->shared);
  if (what == SHARED) {
    eng_text_unref(shared);
    shared = *to ? eng_text_new(yoi_sdk_str(to)) : NULL;
  }
  struct eng_frame_parts parts = {
      .kind = what == KIND ? (uint32_t)cases[i].n : f->ev.kind,
      .pos = f->pos,
      .cursor = f->ev.cursor,
      .text = yoi_sdk_str(text),
      .aux = yoi_sdk_str(aux),
      .shared = shared,
      .role = what == ROLE ? (enum eng_role)cases[i].n : (enum eng_role)f->role,
      .content_at = what == CONTENT_AT ? cases[i].n : f->content_at,
      .content_len = what == CONTENT_LEN ? cases[i].n : f->content_len,
      .turn_at = what == TURN_AT ? cases[i].n : f->turn_at,
  };
  if (what == TEXT) parts.role = ENG_ROLE_UNKNOWN, parts.content_at = parts.content_len = 0;
  if (what == TEXT) parts.turn_at = 0;
  if (what == SEQUENCE) parts.pos.sequence = cases[i].n;
  if (what == INDEX) parts.pos.index = (uint32_t)cases[i].n;
  eng_vault_replace(r->vault, "a", cases[i].record, eng_frame_new(&parts));
  eng_text_unref(shared);
  free(text);
  free(aux);
}

static void a_record_that_makes_no_sense_is_where_it_ends(void **state) {
  struct rig *r = *state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    rig_close(r);
    rig_open_as(r, r->mode, NULL, NULL, "durable");
    whole_turn(r);
    rig_crash(r);
    change(r, i);
    rig_begin_again(r);
    rig_ok(r, GET, "a", "");
    if (strcmp(rig_get(r, "worker.state"), "\"corrupt\"") != 0)
      fail_msg("case %d: %s", (int)i, r->text);
    is_corrupt_behind(r, (unsigned)cases[i].record - 1);
    rig_ok(r, TRANSCRIPT, "a", "");
    rig_ok(r, YOI_OP_WORKER_LIST, "", "");
    rig_sleep_one(r, "a");
    rig_ok(r, YOI_OP_WORKER_DELETE, "a", "");
  }
}

static void replace_text(struct rig *r, uint64_t record, uint32_t kind, const char *from,
                         const char *to) {
  const struct eng_frame *f = eng_vault_frame(r->vault, "a", record);
  char *text = changed(f->ev.text, from, to);
  struct eng_frame_parts parts = {
      .kind = kind, .pos = f->pos, .cursor = f->ev.cursor, .text = yoi_sdk_str(text)};
  eng_vault_replace(r->vault, "a", record, eng_frame_new(&parts));
  free(text);
}

/* Of a session of two calls, the second of which is asked for: created, accepted,
 * started, message, requested twice, decided, started, decided, asked, completed,
 * resolved, decided, started, completed, message, ended. */
static const struct {
  uint64_t record;
  const char *from, *to;
} of_calls[] = {
    {7, "\"call_id\":\"c1\"", "\"call_id\":\"c3\""},
    {7, "\"call_id\":\"c1\"", "\"call_id\":1"},
    {8, "\"call_id\":\"c1\"", "\"call_id\":\"c3\""},
    {8, "\"turn_id\":\"0", "\"turn_id\":\"f"},
    {10, "\"approval\":{", "\"aproval\":{"},
    {10, "\"turn_id\":\"0", "\"turn_id\":\"f"},
    {10, "\"approval_id\":\"0", "\"approval_id\":\"x"},
    {10, "\"approval_id\":\"0", "\"approval_id\":\"00"},
    {10, "\"call_id\":\"c2\"", "\"call_id\":\"c1\""}, /* that one runs */
    {10, "\"call_id\":\"c2\"", "\"call_id\":\"c3\""},
    {10, "\"expires_at\":\"", "\"expires_at\":\"x"},
    {12, "\"approval_id\":\"0", "\"approval_id\":\"f"},
    {12, "\"call_id\":\"c2\"", "\"call_id\":\"c1\""}, /* that one is over */
    {12, "\"turn_id\":\"0", "\"turn_id\":\"f"},
    {14, "\"call_id\":\"c2\"", "\"call_id\":\"c1\""},
    {15, "\"call_id\":\"c2\"", "\"call_id\":\"c1\""},
    {15, "\"tool_call_id\":\"c2\"", "\"tool_call_id\":\"c1\""},
};

static void session(struct rig *r) {
  char id[37];
  tools_open_durable(r, "");
  tools_answer(r, "act c1", "ask c2", NULL);
  tools_go(r);
  assert_int_equal(tools_resolve(r, tools_approval(r, 0, id), "allow"), YOI_OK);
  assert_int_equal(eng_vault_count(r->vault, "a"), 17);
}

static void a_record_of_a_call_that_makes_no_sense(void **state) {
  struct rig *r = *state;
  for (size_t i = 0; i < sizeof of_calls / sizeof of_calls[0]; i++) {
    session(r);
    rig_crash(r);
    replace_text(r, of_calls[i].record, eng_vault_frame(r->vault, "a", of_calls[i].record)->ev.kind,
                 of_calls[i].from, of_calls[i].to);
    rig_begin_again(r);
    rig_ok(r, GET, "a", "");
    if (strcmp(rig_get(r, "worker.state"), "\"corrupt\"") != 0)
      fail_msg("case %d: %s", (int)i, r->text);
    is_corrupt_behind(r, (unsigned)of_calls[i].record - 1);
  }
}

/* The same kinds of records, where they cannot be. */
static void calls_go_in_one_direction(void **state) {
  struct rig *r = *state;
  static const struct {
    uint64_t record;
    uint32_t kind;
    const char *from, *to;
  } rows[] = {
      /* started twice; started while it waits; resolved twice; a result too many */
      {9, YOI_EVENT_TOOL_STARTED, "\"call_id\":\"c2\"", "\"call_id\":\"c1\""},
      {11, YOI_EVENT_TOOL_STARTED, "\"call_id\":\"c1\"", "\"call_id\":\"c2\""},
      {13, YOI_EVENT_TOOL_APPROVAL_RESOLVED, "\"call_id\"", "\"call_id\""},
      {16, YOI_EVENT_TOOL_COMPLETED, "\"item\"", "\"call_id\":\"c2\",\"item\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    session(r);
    rig_crash(r);
    replace_text(r, rows[i].record, rows[i].kind, rows[i].from, rows[i].to);
    rig_begin_again(r);
    is_corrupt_behind(r, (unsigned)rows[i].record - 1);
  }
}

/* As many calls as there can be: it is not they what is wrong, but that they
 * have no results. */
static void as_many_calls_as_one_message_can_have(void **state) {
  struct rig *r = *state;
  whole_turn(r);
  rig_crash(r);
  replace_text(r, 4, YOI_EVENT_MESSAGE_COMPLETED, "\"tool_calls\":[", "\"tool_calls\":[" CALLS_62);
  rig_begin_again(r);
  is_corrupt_behind(r, 8);
}

/* A full queue, one that interrupts, and another for the length of a record: as
 * many as can wait. One more is none of ours. */
static void as_many_inputs_as_can_wait(void **state) {
  struct rig *r = *state;
  for (int n = YOI_QUEUED_INPUTS_MAX + 2; n < YOI_QUEUED_INPUTS_MAX + 4; n++) {
    rig_close(r);
    rig_open_as(r, r->mode, NULL, NULL, "durable");
    queue_make(r);
    for (int i = 0; i < n; i++) rig_ok(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}");
    rig_crash(r);
    for (int i = 0; i < n; i++) {
      char to[96];
      (void)snprintf(to, sizeof to,
                     "\"kind\":\"user\",\"turn_id\":\"00000000-0000-4000-8000-%012d\"", i);
      replace_text(r, 2 + (uint64_t)i, YOI_EVENT_INPUT_ACCEPTED, "\"kind\":\"system\"", to);
    }
    rig_begin_again(r);
    rig_ok(r, GET, "a", "");
    bool bad = strcmp(rig_get(r, "worker.state"), "\"corrupt\"") == 0;
    assert_int_equal(bad, n > YOI_QUEUED_INPUTS_MAX + 2);
    if (bad) is_corrupt_behind(r, (unsigned)n);
  }
}

static void nothing_comes_behind_the_stop(void **state) {
  struct rig *r = *state;
  queue_make(r);
  rig_ok(r, INPUT, "a", "{\"kind\":\"system\",\"content\":\"x\"}");
  rig_ok(r, YOI_OP_WORKER_STOP, "a", "");
  rig_crash(r);
  const struct eng_frame *f = eng_vault_frame(r->vault, "a", 3);
  char *text = changed(f->ev.text, "\"sequence\":3", "\"sequence\":2");
  struct eng_frame_parts parts = {.kind = YOI_EVENT_WORKER_STOPPED,
                                  .pos = {.sequence = 2},
                                  .cursor = f->ev.cursor,
                                  .text = yoi_sdk_str(text)};
  eng_vault_replace(r->vault, "a", 2, eng_frame_new(&parts));
  free(text);
  rig_begin_again(r);
  is_corrupt_behind(r, 2);
}

/* ---- short memory ---- */

static void a_load_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  whole_turn(r);
  rig_ok(r, INPUT, "a", "{\"content\":\"x\"}");
  queue_begin(r);
  rig_ok(r, INPUT, "a", QUEUE("y"));
  rig_ok(r, INPUT, "a", QUEUE("z"));
  rig_crash(r);
  rig_begin_again(r);
  rig_settle(r);
  rig_ok(r, GET, "a", "");
  char *want = strdup(r->text);
  bool more = true;
  size_t failed = 0;
  for (uint64_t n = 1; more; n++) {
    assert_int_equal(rig_sleep_one(r, "a"), 1);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = rig_call(r, GET, "a", "");
    more = yoi_sdk_mem_fail_at(0) >= n;
    if (st != YOI_OK) failed++;
    if (st != YOI_OK && r->err->code != YOI_CODE_INTERNAL && r->err->code != YOI_CODE_STORE_ERROR)
      fail_msg("allocation %d: %s", (int)n, r->err->message);
    rig_ok(r, GET, "a", "");
    assert_string_equal(r->text, want);
    assert_true(n < 5000);
  }
  assert_true(failed > 10);
  free(want);
}

static void an_open_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  bool more = true;
  rig_ok(r, CREATE, "", "");
  yoi_request keyed = {.idempotency_key = YOI_LIT("k")};
  assert_int_equal(rig_call_as(r, CREATE, "", "", &keyed), YOI_OK);
  queue_make(r);
  queue_begin(r);
  rig_crash(r);
  for (uint64_t n = 1; more; n++) {
    void *self = NULL;
    struct eng_options o = {.state_kind = YOI_LIT("durable")};
    o.store = eng_store_mem_new_in(r->vault, r->late, NULL, NULL);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = eng_open(fake_host_instance(r->fh), (yoi_str){0}, &o, &self, r->err);
    more = yoi_sdk_mem_fail_at(0) >= n;
    assert_int_equal(st == YOI_OK, !more);
    fake_host_close(r->fh);
    if (st == YOI_OK) eng_close(self);
    fake_host_reopen(r->fh);
    assert_true(n < 5000);
  }
  rig_begin_again(r);
  rig_settle(r);
  rig_ended(r, "interrupted", "host_restarted");
}

/* The same where something is to be done behind it. */
static void a_restart_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  bool more = true;
  for (uint64_t n = 1; more; n++) {
    struct ear e;
    rig_close(r);
    rig_open_as(r, r->mode, NULL, NULL, "durable");
    whole_turn(r);
    rig_crash(r);
    eng_vault_cut(r->vault, "a", 5, ENG_MARK_BUSY);
    rig_begin_again(r);
    (void)yoi_sdk_mem_fail_at(n);
    rig_settle(r);
    more = yoi_sdk_mem_fail_at(0) >= n;
    rig_ok(r, GET, "a", "");
    rig_ended(r, "interrupted", "host_restarted");
    rig_ok(r, INPUT, "a", "{\"content\":\"x\"}");
    rig_ended(r, "completed", "stop");
    queue_history(r, &e, 1);
    assert_int_equal(ear_count(&e, "tool.completed "), 2);
    ear_close(&e);
    assert_true(n < 5000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_VAULT_TESTS(a_damaged_one_can_be_read_and_deleted),
      RIG_VAULT_TESTS(one_without_its_first_record_is_shown_nevertheless),
      RIG_VAULT_TESTS(damage_is_met_when_it_is_read_again),
      RIG_VAULT_TESTS(fewer_records_than_there_were_are_damage),
      RIG_VAULT_TESTS(a_record_that_makes_no_sense_is_where_it_ends),
      RIG_VAULT_TESTS(as_many_inputs_as_can_wait),
      RIG_VAULT_TESTS(a_record_of_a_call_that_makes_no_sense),
      RIG_VAULT_TESTS(calls_go_in_one_direction),
      RIG_VAULT_TESTS(as_many_calls_as_one_message_can_have),
      RIG_VAULT_TESTS(nothing_comes_behind_the_stop),
      RIG_VAULT_TESTS(a_load_may_fail_at_any_allocation),
      RIG_VAULT_TESTS(an_open_may_fail_at_any_allocation),
      RIG_VAULT_TESTS(a_restart_may_fail_at_any_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
