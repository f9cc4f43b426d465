/* Each operation of a runtime with its n-th allocation failing, for every n.
 *
 * Whatever it was: the caller gets a typed error or the answer, the worker is
 * as before or as after, the same call then works, and nothing is left behind.
 * In a hard build (sdk/hard.h) every block is counted; elsewhere the leak
 * checker of the sanitizers does.
 */
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <stdlib.h>

#include "support/rig.h"

enum before { NOTHING, IDLE, SPOKEN, RUNNING, STOPPED };

struct fault {
  const char *name;
  enum before before;
  uint32_t op;
  const char *worker, *body, *key;
  uint32_t flags;
  const char *then; /* worker.state when it has worked; NULL: it is gone */
};

static const struct fault faults[] = {
    {"describe", IDLE, YOI_OP_RUNTIME_DESCRIBE, "", "", "", 0, "\"idle\""},
    {"create", NOTHING, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}", "", 0, "\"idle\""},
    {"create keyed", NOTHING, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}", "c", 0,
     "\"idle\""},
    {"create again", IDLE, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}", "", 0, "\"idle\""},
    {"input", IDLE, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"x\"}", "", 0, "\"idle\""},
    {"input keyed", IDLE, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"x\"}", "n", 0, "\"idle\""},
    {"replay", SPOKEN, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"x\"}", "k", 0, "\"idle\""},
    {"cancel", RUNNING, YOI_OP_WORKER_CANCEL, "a", "{\"reason\":\"enough\"}", "", 0, "\"idle\""},
    {"cancel nothing", SPOKEN, YOI_OP_WORKER_CANCEL, "a", "", "", 0, "\"idle\""},
    {"stop", IDLE, YOI_OP_WORKER_STOP, "a", "{\"reason\":\"done\"}", "", 0, "\"stopped\""},
    {"stop a turn", RUNNING, YOI_OP_WORKER_STOP, "a", "", "", 0, "\"stopped\""},
    {"delete", STOPPED, YOI_OP_WORKER_DELETE, "a", "", "", 0, NULL},
    {"list", SPOKEN, YOI_OP_WORKER_LIST, "", "{\"limit\":1}", "", 0, "\"idle\""},
    {"get", RUNNING, YOI_OP_WORKER_GET, "a", "", "", 0, NULL},
    {"transcript", SPOKEN, YOI_OP_WORKER_TRANSCRIPT, "a", "{\"limit\":1}", "", 0, "\"idle\""},
};

static void prepare(struct rig *r, enum before before) {
  yoi_request keyed = {.idempotency_key = YOI_LIT("k")};
  if (before == NOTHING) return;
  rig_ok(r, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}");
  if (before == SPOKEN)
    assert_int_equal(rig_call_as(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"x\"}", &keyed),
                     YOI_OK);
  if (before == RUNNING) {
    struct fake_answer *a = fake_model_answer(r->fh);
    fake_answer_text(a, "well");
    fake_answer_gate(a);
    fake_answer_finish(a, "stop");
    rig_ok(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"x\"}");
  }
  if (before == STOPPED) rig_ok(r, YOI_OP_WORKER_STOP, "a", "");
  rig_settle(r);
}

static yoi_status attempt(struct rig *r, const struct fault *f) {
  const yoi_request more = {.flags = f->flags, .idempotency_key = yoi_sdk_str(f->key)};
  yoi_status st = rig_call_as(r, f->op, f->worker, f->body, &more);
  rig_settle(r);
  return st;
}

/* What was half done would show here: the worker goes on as if nothing was. */
static void works(struct rig *r, const struct fault *f) {
  yoi_status st = attempt(r, f);
  if (f->op == YOI_OP_WORKER_DELETE && st == YOI_NOT_FOUND) st = YOI_OK;
  assert_int_equal(st, YOI_OK);
  if (f->then) {
    rig_ok(r, YOI_OP_WORKER_GET, "a", "");
    assert_string_equal(rig_get(r, "worker.state"), f->then);
    if (strcmp(f->then, "\"stopped\"") == 0) return;
  } else if (f->op == YOI_OP_WORKER_DELETE) {
    rig_refused(r, YOI_OP_WORKER_GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
    rig_ok(r, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}");
  }
  fake_model_open(r->fh);
  rig_settle(r);
  rig_ok(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"and now\"}");
  rig_ok(r, YOI_OP_WORKER_GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
}

static uint64_t blocks(void) {
#ifdef YOI_HARD
  return yoi_sdk_hard_live();
#else
  return 0;
#endif
}

static void each_operation(bool late) {
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
    const struct fault *f = &faults[i];
    bool more = true;
    uint64_t n = 1, failed = 0;
    for (; more; n++) {
      struct rig r;
      uint64_t before = blocks();
      rig_open(&r, late, NULL, NULL);
      prepare(&r, f->before);
      (void)yoi_sdk_mem_fail_at(n);
      yoi_status st = attempt(&r, f);
      more = yoi_sdk_mem_fail_at(0) >= n;
      if (!more && st != YOI_OK) fail_msg("%s failed without a reason", f->name);
      if (st != YOI_OK) {
        failed++;
        if (r.err->code != YOI_CODE_INTERNAL && r.err->code != YOI_CODE_STORE_ERROR)
          fail_msg("%s, allocation %d: %s", f->name, (int)n, r.err->message);
      }
      works(&r, f);
      rig_close(&r);
      if (blocks() != before) fail_msg("%s, allocation %d: leaks", f->name, (int)n);
      assert_true(n < 5000);
    }
    if (failed == 0) fail_msg("%s: no allocation failed of %d", f->name, (int)n);
  }
}

static void each_operation_at_once(void **state) {
  (void)state;
  each_operation(false);
}

static void each_operation_late(void **state) {
  (void)state;
  each_operation(true);
}

/* A turn that is followed: its end is told, whichever allocation of the turn
 * fails, and the next one is a turn like any other. */
static void each_turn(bool late) {
  bool more = true;
  for (uint64_t n = 1; more; n++) {
    struct rig r;
    struct ear e;
    uint64_t before = blocks();
    rig_open(&r, late, NULL, NULL);
    prepare(&r, IDLE);
    struct fake_answer *a = fake_model_answer(r.fh);
    fake_answer_text(a, "one");
    fake_answer_cut(a);
    fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{\"input_tokens\":1,\"output_tokens\":2}");
    fake_answer_event(a, YOI_EVENT_MODEL_TOOL_CALL,
                      "{\"id\":\"c\",\"name\":\"t\",\"arguments\":\"{}\"}");
    fake_answer_finish(a, "tool_calls");
    ear_follow(&e, &r, "a", "{\"content\":\"x\"}", "k");
    (void)yoi_sdk_mem_fail_at(n);
    rig_settle(&r);
    more = yoi_sdk_mem_fail_at(0) >= n;
    ear_settle(&e);
    if (e.st == YOI_END) {
      assert_int_equal(ear_count(&e, "\nend "), 1);
    } else { /* refused as a whole: its record was not stored */
      assert_int_equal(e.st, YOI_INTERNAL);
      assert_int_equal(e.events, 0);
      assert_true(more);
    }
    if (!more) assert_true(ear_has(&e, "\"turn_ended\""));
    ear_close(&e);
    rig_ok(&r, YOI_OP_WORKER_GET, "a", "");
    assert_string_equal(rig_get(&r, "worker.state"), "\"idle\"");
    if (!more) assert_string_equal(rig_get(&r, "worker.turn.state"), "\"completed\"");
    rig_ok(&r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"and now\"}");
    rig_ok(&r, YOI_OP_WORKER_GET, "a", "");
    assert_string_equal(rig_get(&r, "worker.turn.state"), "\"completed\"");
    rig_close(&r);
    if (blocks() != before) fail_msg("a turn, allocation %d: leaks", (int)n);
    assert_true(n < 5000);
  }
}

static void each_turn_at_once(void **state) {
  (void)state;
  each_turn(false);
}

static void each_turn_late(void **state) {
  (void)state;
  each_turn(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_operation_at_once),
      cmocka_unit_test(each_operation_late),
      cmocka_unit_test(each_turn_at_once),
      cmocka_unit_test(each_turn_late),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
