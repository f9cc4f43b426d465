/* test_engine_path.c - the whole way: create, input, events, transcript. */
#include "support/rig.h"

static void a_conversation(void **state) {
  struct rig *r = *state;
  struct ear e;
  rig_ok(r, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}");
  assert_int_equal(r->flags & YOI_EV_CREATED, YOI_EV_CREATED);
  assert_true(rig_has(r, "\"worker_id\":\"a\",\"state\":\"idle\""));
  ear_open(&e, r, "a", NULL);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot");
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "hel");
  fake_answer_text(a, "lo");
  fake_answer_gate(a);
  fake_answer_text(a, " you");
  fake_answer_event(a, YOI_EVENT_MODEL_USAGE, "{\"input_tokens\":3,\"output_tokens\":4}");
  fake_answer_finish(a, "stop");
  rig_ok(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"hi\"}");
  assert_true(rig_has(r, "\"state\":\"running\""));
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot input.accepted turn.started text.delta");
  assert_true(ear_has(&e, "\"text\":\"hello\""));
  rig_refused(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"hi\"}", YOI_CODE_WORKER_BUSY);
  fake_model_open(r->fh);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started text.delta text.delta usage.updated "
                      "message.completed turn.ended");
  assert_true(ear_has(&e, "\"state\":\"completed\",\"reason\":\"stop\""));
  assert_true(ear_has(&e, "hello you"));
  rig_ok(r, YOI_OP_WORKER_TRANSCRIPT, "a", "");
  assert_string_equal(rig_get(r, "transcript.total"), "2");
  assert_true(rig_has(r, "hello you"));
  rig_ok(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"again\"}");
  ear_settle(&e);
  assert_int_equal(fake_model_requests(r->fh), 2);
  assert_non_null(strstr(fake_model_messages(r->fh, 1),
                         "{\"role\":\"user\",\"content\":\"hi\"}\n"
                         "{\"role\":\"assistant\",\"content\":\"hello you\"}\n"
                         "{\"role\":\"user\",\"content\":\"again\"}\n"));
  ear_close(&e);
}

static void an_input_that_is_followed(void **state) {
  struct rig *r = *state;
  struct ear e;
  rig_ok(r, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}");
  ear_follow(&e, r, "a", "{\"content\":\"hi\"}", "");
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "ack turn.started text.delta text.delta message.completed turn.ended end");
  assert_int_equal(e.st, YOI_END);
  assert_true(ear_has(&e, "\"reason\":\"turn_ended\",\"code\":null,\"retryable\":false"));
  ear_close(&e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(a_conversation),
      RIG_TESTS(an_input_that_is_followed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
