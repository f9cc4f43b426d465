/* test_script.c - dev.yoi.model-script says what its script says, answers the
 * same request always the same, keeps to the stream rules, and refuses a
 * script that it could not follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off: cmocka needs the four above */
#include <cmocka.h>
/* clang-format on */
#include <sdk/error.h>
#include <sdk/str.h>
#include <string.h>
#include <yoi/model.h>
#include <yoi/ops.h>
#include <yoi/plugin.h>

#include "tests/unit/support/fake_host.h"

struct rig {
  struct fake_host *fh;
  const yoi_model *model;
  void *self;
  uint64_t token;
  struct yoi_sdk_error se;
  yoi_error *err;
  char heard[4096]; /* "kind:text|" per event */
  size_t events;
};

static int rig_open(struct rig *r, const char *config) {
  memset(r, 0, sizeof *r);
  r->err = yoi_sdk_error_init(&r->se);
  r->fh = fake_host_new(1);
  r->model = yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_MODEL_ID));
  assert_non_null(r->model);
  r->token = fake_token(r->fh);
  fake_host_enter(0);
  return r->model->open(fake_host_instance(r->fh), yoi_sdk_str(config), &r->self, r->err);
}

static void rig_close(struct rig *r) {
  r->model->close(r->self);
  fake_host_enter(YOI_NO_LOOP);
  fake_token_free(r->fh, r->token);
  fake_host_free(r->fh);
}

static yoi_stream *ask(struct rig *r, const char *const *messages, size_t n) {
  yoi_str list[16];
  for (size_t i = 0; i < n; i++) list[i] = yoi_sdk_str(messages[i]);
  yoi_model_request req = {
      .size = sizeof req, .token = r->token, .messages = list, .n_messages = n};
  yoi_stream *s = NULL;
  assert_int_equal(r->model->start(r->self, &req, &s, r->err), YOI_OK);
  return s;
}

/* Polls until something else than events comes. */
static yoi_status hear(struct rig *r, yoi_stream *s) {
  for (int i = 0; i < 100000; i++) {
    const yoi_event *const *evs = NULL;
    size_t n = 0;
    yoi_status st = s->ops->next(s, &evs, &n, r->err);
    if (st != YOI_OK) return st;
    assert_true(n >= 1);
    for (size_t k = 0; k < n; k++) {
      r->events++;
      size_t at = strlen(r->heard);
      (void)snprintf(r->heard + at, sizeof r->heard - at, "%s:%.*s|",
                     yoi_sdk_event_name(evs[k]->kind) + 6, YOI_ARG(evs[k]->text));
    }
  }
  return YOI_INTERNAL;
}

static const char *const hello[] = {"{\"role\":\"system\",\"content\":\"s\"}",
                                    "{\"role\":\"user\",\"content\":\"hello\"}"};

static void all_of(const char *config, const char *const *messages, size_t n, const char *want) {
  struct rig r;
  assert_int_equal(rig_open(&r, config), YOI_OK);
  yoi_stream *s = ask(&r, messages, n);
  assert_int_equal(hear(&r, s), YOI_END);
  assert_string_equal(r.heard, want);
  assert_int_equal(hear(&r, s), YOI_END); /* sticky */
  s->ops->release(s);
  rig_close(&r);
}

static void empty_config_says_it_is_no_model(void **state) {
  (void)state;
  struct rig r;
  assert_int_equal(rig_open(&r, "{}"), YOI_OK);
  yoi_stream *s = ask(&r, hello, 2);
  assert_int_equal(hear(&r, s), YOI_END);
  assert_non_null(strstr(r.heard, "no language model"));
  assert_non_null(strstr(r.heard, "OPENAI_BASE_URL=http://127.0.0.1:11434/v1 make run"));
  s->ops->release(s);
  rig_close(&r);
}

static void every_step_is_heard(void **state) {
  (void)state;
  all_of(
      "{\"steps\":[{\"reason\":\"hm\"},{\"say\":\"you said: \"},{\"echo\":true},{\"chunk\":2},"
      "{\"say\":\"abcde\"},{\"usage\":{\"input_tokens\":3}},{\"finish\":\"length\"}]}",
      hello, 2,
      "reasoning:hm|text:you said: |text:hello|text:ab|text:cd|text:e|"
      "usage:{\"input_tokens\":3,\"output_tokens\":null,\"cached_tokens\":null,"
      "\"reasoning_tokens\":null}|finish:{\"finish_reason\":\"length\"}|");
}

static void chunks_never_cut_a_character(void **state) {
  (void)state;
  all_of(
      "{\"chunk\":2,\"steps\":[{\"say\":\"a\xc3\xa4\xe2\x82\xac"
      "b\"}]}",
      hello, 2,
      "text:a|text:\xc3\xa4|text:\xe2\x82\xac|text:b|finish:{\"finish_reason\":\"stop\"}|");
}

static void calls_end_with_tool_calls(void **state) {
  (void)state;
  all_of(
      "{\"steps\":[{\"call\":{\"name\":\"f\",\"arguments\":{\"a\":1}}},"
      "{\"call\":{\"name\":\"g\",\"arguments\":\"x\",\"id\":\"i\"}}]}",
      hello, 2,
      "tool_call:{\"id\":\"call_0_0\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}|"
      "tool_call:{\"id\":\"i\",\"name\":\"g\",\"arguments\":\"x\"}|"
      "finish:{\"finish_reason\":\"tool_calls\"}|");
}

static void the_request_chooses_the_script(void **state) {
  (void)state;
  static const char config[] =
      "{\"answers\":[{\"match\":\"ell\",\"step\":1,\"steps\":[{\"say\":\"B\"}]},"
      "{\"match\":\"ell\",\"steps\":[{\"say\":\"A\"}]}],"
      "\"turns\":[[{\"say\":\"T0\"}],[{\"say\":\"T1\"}]],\"steps\":[{\"say\":\"S\"}]}";
  static const char *const again[] = {"{\"role\":\"user\",\"content\":\"hello\"}",
                                      "{\"role\":\"assistant\",\"content\":null}",
                                      "{\"role\":\"tool\",\"content\":\"r\"}"};
  static const char *const parts[] = {
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"he\"},"
      "{\"type\":\"text\",\"text\":\"ll\"}]}"};
  static const char *const other[] = {"{\"role\":\"user\",\"content\":\"x\"}"};
  static const char *const second[] = {"{\"role\":\"user\",\"content\":\"x\"}",
                                       "{\"role\":\"assistant\",\"content\":\"T0\"}",
                                       "{\"role\":\"user\",\"content\":\"y\"}"};
  static const char *const third[] = {"{\"role\":\"assistant\",\"content\":\"1\"}",
                                      "{\"role\":\"assistant\",\"content\":\"2\"}",
                                      "{\"role\":\"user\",\"content\":\"y\"}"};
#define SAYS(t) "text:" t "|finish:{\"finish_reason\":\"stop\"}|"
  all_of(config, hello, 2, SAYS("A"));
  all_of(config, again, 3, SAYS("B"));
  all_of(config, parts, 1, SAYS("A"));
  all_of(config, other, 1, SAYS("T0"));
  all_of(config, second, 3, SAYS("T1"));
  all_of(config, third, 3, SAYS("S"));
}

static void waiting_is_on_the_hosts_clock(void **state) {
  (void)state;
  struct rig r;
  assert_int_equal(rig_open(&r, "{\"steps\":[{\"say\":\"a\"},{\"wait_ms\":50},{\"say\":\"b\"}]}"),
                   YOI_OK);
  yoi_stream *s = ask(&r, hello, 2);
  assert_int_equal(hear(&r, s), YOI_AGAIN);
  assert_string_equal(r.heard, "text:a|");
  fake_host_advance(r.fh, 49);
  assert_int_equal(fake_token_wakes(r.fh, r.token), 0);
  fake_host_advance(r.fh, 1);
  assert_int_equal(fake_token_wakes(r.fh, r.token), 1);
  assert_int_equal(hear(&r, s), YOI_END);
  s->ops->release(s);
  /* released while it waits: the timer is gone */
  s = ask(&r, hello, 2);
  assert_int_equal(hear(&r, s), YOI_AGAIN);
  assert_int_equal(fake_host_timers(r.fh), 1);
  s->ops->release(s);
  assert_int_equal(fake_host_timers(r.fh), 0);
  rig_close(&r);
}

static void failures_are_typed(void **state) {
  (void)state;
  struct rig r;
  assert_int_equal(rig_open(&r, "{\"steps\":[{\"say\":\"a\"},{\"fail\":\"overloaded\"}]}"), YOI_OK);
  yoi_stream *s = ask(&r, hello, 2);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(hear(&r, s), YOI_UNAVAILABLE);
    assert_int_equal(r.err->code, YOI_CODE_MODEL_ERROR);
    assert_string_equal(r.err->details, "{\"kind\":\"overloaded\",\"retryable\":true}");
  }
  assert_string_equal(r.heard, "text:a|");
  s->ops->release(s);
  rig_close(&r);
}

static void cancel_ends_a_stall(void **state) {
  (void)state;
  struct rig r;
  assert_int_equal(rig_open(&r, "{\"steps\":[{\"stall\":true}]}"), YOI_OK);
  yoi_stream *s = ask(&r, hello, 2);
  assert_int_equal(hear(&r, s), YOI_AGAIN);
  fake_host_advance(r.fh, 3600000);
  assert_int_equal(hear(&r, s), YOI_AGAIN);
  s->ops->cancel(s);
  s->ops->cancel(s);
  assert_int_equal(fake_token_wakes(r.fh, r.token), 1);
  assert_int_equal(hear(&r, s), YOI_CANCELLED);
  assert_int_equal(hear(&r, s), YOI_CANCELLED);
  s->ops->release(s);
  rig_close(&r);
}

static void times_repeats_as_events_of_their_own(void **state) {
  (void)state;
  struct rig r;
  assert_int_equal(rig_open(&r, "{\"steps\":[{\"say\":\"z\",\"times\":100}]}"), YOI_OK);
  yoi_stream *s = ask(&r, hello, 2);
  assert_int_equal(hear(&r, s), YOI_END);
  assert_int_equal(r.events, 101);
  s->ops->release(s);
  rig_close(&r);
}

static void scripts_that_cannot_be_followed_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "{\"steps\":[{}]}",
      "{\"steps\":[{\"shout\":\"x\"}]}",
      "{\"steps\":[{\"say\":\"x\",\"reason\":\"y\"}]}",
      "{\"steps\":[{\"say\":1}]}",
      "{\"steps\":[{\"say\":\"x\",\"times\":0}]}",
      "{\"steps\":[{\"reason\":\"x\",\"times\":2}]}",
      "{\"steps\":[{\"wait_ms\":-1}]}",
      "{\"steps\":[{\"wait_ms\":1.5}]}",
      "{\"steps\":[{\"echo\":false}]}",
      "{\"steps\":[{\"finish\":\"done\"}]}",
      "{\"steps\":[{\"fail\":\"somehow\"}]}",
      "{\"steps\":[{\"finish\":\"stop\"},{\"say\":\"x\"}]}",
      "{\"steps\":[{\"stall\":true},{\"say\":\"x\"}]}",
      "{\"steps\":[{\"usage\":{}},{\"usage\":{}}]}",
      "{\"steps\":[{\"usage\":{\"tokens\":1}}]}",
      "{\"steps\":[{\"usage\":{\"input_tokens\":-1}}]}",
      "{\"steps\":[{\"call\":{}}]}",
      "{\"steps\":[{\"call\":{\"name\":\"f\",\"args\":{}}}]}",
      "{\"steps\":[{\"call\":{\"name\":\"f\",\"arguments\":[]}}]}",
      "{\"turns\":[{}]}",
      "{\"answers\":[{\"match\":\"x\"}]}",
      "{\"steps\":",
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct rig r;
    assert_int_equal(rig_open(&r, bad[i]), YOI_INVALID_ARGUMENT);
    assert_true(r.err->message[0] != 0);
    r.self = NULL;
    rig_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(empty_config_says_it_is_no_model),
      cmocka_unit_test(every_step_is_heard),
      cmocka_unit_test(chunks_never_cut_a_character),
      cmocka_unit_test(calls_end_with_tool_calls),
      cmocka_unit_test(the_request_chooses_the_script),
      cmocka_unit_test(waiting_is_on_the_hosts_clock),
      cmocka_unit_test(failures_are_typed),
      cmocka_unit_test(cancel_ends_a_stall),
      cmocka_unit_test(times_repeats_as_events_of_their_own),
      cmocka_unit_test(scripts_that_cannot_be_followed_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
