/* test_isolate_wire.c - requests and events as they cross: nothing is lost, and
 * what is cut or of another kind is seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <sdk/mem.h>
#include <yoi/ops.h>
#include <yoi/plugin.h>

#include "host/isolate/wire.h"

static void requests_keep_every_member(void **state) {
  (void)state;
  const yoi_str messages[] = {YOI_LIT("{\"a\":1}"), YOI_LIT("{}"), YOI_LIT("")};
  const yoi_model_request m = {.size = sizeof m,
                               .max_output_tokens = 3,
                               .deadline_ns = 4,
                               .token = 5,
                               .request_id = YOI_LIT("r"),
                               .trace = YOI_LIT("t"),
                               .messages = messages,
                               .n_messages = 3,
                               .tools = YOI_LIT("[]"),
                               .parameters = YOI_LIT("{}"),
                               .worker_id = YOI_LIT("w"),
                               .principal = YOI_LIT("p"),
                               .turn_tokens = 6,
                               .counted = 1};
  yoi_model_request back;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 10000);
  yoi__put_model_request(&b, &m);
  struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
  yoi__get_model_request(&r, &back);
  assert_true(yoi__reader_done(&r));
  assert_int_equal(back.token, 0); /* tokens are of one process */
  assert_int_equal(back.n_messages, 3);
  for (size_t i = 0; i < 3; i++) assert_true(yoi_sdk_str_eq(back.messages[i], messages[i]));
  assert_true(yoi_sdk_str_is(back.principal, "p"));
  assert_int_equal(back.turn_tokens, 6);
  assert_int_equal(back.counted, 1);
  yoi_sdk_free((void *)(uintptr_t)back.messages);
  for (size_t n = 0; n < b.len; n++) {
    struct yoi__reader cut = yoi__reader_of((yoi_str){b.data, n});
    yoi__get_model_request(&cut, &back);
    assert_false(yoi__reader_done(&cut));
    yoi_sdk_free((void *)(uintptr_t)back.messages);
  }
  yoi_sdk_buf_release(&b);

  const yoi_tool_request t = {.size = sizeof t, .call = 77, .name = YOI_LIT("now")};
  yoi_tool_request t_back;
  yoi_sdk_buf_init(&b, 10000);
  yoi__put_tool_request(&b, &t);
  r = yoi__reader_of(yoi_sdk_buf_str(&b));
  yoi__get_tool_request(&r, &t_back);
  assert_true(yoi__reader_done(&r));
  assert_int_equal(t_back.call, 77);
  assert_true(yoi_sdk_str_is(t_back.name, "now"));
  yoi_sdk_buf_release(&b);
}

/* A count of texts that no body of that size can have is none. */
static void a_count_is_not_believed(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_model_request back;
  yoi_sdk_buf_init(&b, 10000);
  const yoi_model_request m = {.size = sizeof m};
  yoi__put_model_request(&b, &m);
  size_t at = 2 * sizeof(uint32_t) + 2 * sizeof(uint64_t) + 2 * sizeof(uint32_t);
  const uint32_t many = UINT32_MAX;
  memcpy(b.data + at, &many, sizeof many);
  struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
  yoi__get_model_request(&r, &back);
  assert_true(r.bad);
  assert_null(back.messages);
  yoi_sdk_buf_release(&b);
}

static void events_keep_what_they_say(void **state) {
  (void)state;
  const yoi_event ev = {.size = sizeof ev,
                        .kind = YOI_EVENT_TOOL_OUTPUT,
                        .flags = YOI_EV_DURABLE,
                        .text = YOI_LIT("cut in a character: \xc3")};
  const yoi_event *all[] = {&ev};
  struct yoi_sdk_error e;
  struct yoi_sdk_buf b;
  yoi_status st = YOI_OK;
  yoi_event back;
  uint32_t n = 0;
  yoi_sdk_buf_init(&b, 10000);
  yoi__put_events(&b, YOI_END, NULL, all, 1);
  struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
  yoi__get_events(&r, &st, yoi_sdk_error_init(&e), &n);
  assert_int_equal(st, YOI_END);
  assert_int_equal(n, 1);
  yoi__get_event(&r, &back);
  assert_true(yoi__reader_done(&r));
  assert_true(yoi_sdk_str_eq(back.text, ev.text));
  assert_int_equal(back.flags, YOI_EV_DURABLE);
  /* The same text of a model is a breach: it is never cut. */
  const uint32_t text = YOI_EVENT_MODEL_TEXT, flags = 1u << 30;
  memcpy(b.data + 2 * sizeof(uint32_t), &text, sizeof text);
  r = yoi__reader_of(yoi_sdk_buf_str(&b));
  yoi__get_events(&r, &st, yoi_sdk_error_init(&e), &n);
  yoi__get_event(&r, &back);
  assert_true(r.bad);
  /* And so is a flag that there is not. */
  const uint32_t output = YOI_EVENT_TOOL_OUTPUT;
  memcpy(b.data + 2 * sizeof(uint32_t), &output, sizeof output);
  memcpy(b.data + 3 * sizeof(uint32_t), &flags, sizeof flags);
  r = yoi__reader_of(yoi_sdk_buf_str(&b));
  yoi__get_events(&r, &st, yoi_sdk_error_init(&e), &n);
  yoi__get_event(&r, &back);
  assert_true(r.bad);
  yoi_sdk_buf_release(&b);
}

/* No more events than bytes are there for, each at its smallest. */
static void a_count_of_events_is_not_believed(void **state) {
  (void)state;
  const yoi_event empty = {.size = sizeof empty, .kind = YOI_EVENT_TOOL_OUTPUT};
  const yoi_event *all[] = {&empty, &empty, &empty};
  for (uint32_t more = 0; more < 2; more++) {
    struct yoi_sdk_error e;
    struct yoi_sdk_buf b;
    yoi_event back;
    yoi_status st;
    uint32_t n = 3 + more;
    yoi_sdk_buf_init(&b, 100);
    yoi__put_events(&b, YOI_OK, NULL, all, 3);
    memcpy(b.data + sizeof st, &n, sizeof n);
    struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
    yoi__get_events(&r, &st, yoi_sdk_error_init(&e), &n);
    assert_int_equal(r.bad, more);
    for (uint32_t i = 0; i < 3; i++) yoi__get_event(&r, &back);
    assert_int_equal(yoi__reader_done(&r), !more);
    yoi_sdk_buf_release(&b);
  }
}

static int fits(size_t first, size_t second) {
  struct yoi_sdk_buf b;
  size_t most = first > second ? first : second;
  char *text = yoi_sdk_calloc(1, most + 1);
  assert_non_null(text);
  const yoi_event a = {.size = sizeof a, .kind = YOI_EVENT_TOOL_OUTPUT, .text = {text, first}};
  yoi_event z = a;
  z.text.len = second;
  const yoi_event *all[] = {&a, &z};
  yoi_sdk_buf_init(&b, YOI_ISOLATED_MESSAGE_BYTES);
  yoi__put_events(&b, YOI_OK, NULL, all, 2);
  int failed = b.failed;
  assert_true(failed == 0 || failed == YOI_OUT_OF_RANGE);
  if (failed == 0) { /* and then they are read */
    struct yoi_sdk_error e;
    yoi_event back;
    yoi_status st;
    uint32_t n;
    struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
    yoi__get_events(&r, &st, yoi_sdk_error_init(&e), &n);
    for (uint32_t i = 0; i < n; i++) yoi__get_event(&r, &back);
    assert_true(yoi__reader_done(&r));
    assert_in_range(b.len, 0, YOI__FROM_WORKER_BYTES - YOI__GATHER_BYTES);
  }
  yoi_sdk_buf_release(&b);
  yoi_sdk_free(text);
  return failed == 0;
}

/* What one side may send is what the other takes. */
static void events_are_no_larger_than_is_taken(void **state) {
  (void)state;
  const size_t most = YOI_JSON_BYTES_MAX, heads = (2 + 2 * 4) * sizeof(uint32_t);
  assert_true(fits(most, most - heads));
  assert_false(fits(most, most - heads + 1));
  assert_true(fits(most, 0));
  assert_false(fits(most + 1, 0));
}

static void a_status_is_one_of_ours(void **state) {
  (void)state;
  const int32_t strange[] = {-3, 17, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
    struct yoi_sdk_error e;
    struct yoi_sdk_buf b;
    yoi_status st;
    uint32_t n;
    yoi_sdk_buf_init(&b, 100);
    yoi__put_u32(&b, (uint32_t)strange[i]);
    yoi__put_u32(&b, 0);
    struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
    yoi__get_events(&r, &st, yoi_sdk_error_init(&e), &n);
    assert_true(r.bad);
    yoi_sdk_buf_release(&b);
  }
}

static void each_kind_says_its_own(void **state) {
  (void)state;
  const uint32_t kinds[] = {YOI_KIND_RUNTIME, YOI_KIND_MODEL, YOI_KIND_INGRESS, YOI_KIND_POLICY,
                            YOI_KIND_TOOL};
  const struct {
    uint32_t event, kind;
  } fits[] = {{YOI_EVENT_RESULT, YOI_KIND_POLICY},
              {YOI_EVENT_TOOL_OUTPUT, YOI_KIND_TOOL},
              {YOI_EVENT_TOOL_STATUS, YOI_KIND_TOOL},
              {YOI_EVENT_MODEL_TEXT, YOI_KIND_MODEL},
              {YOI_EVENT_MODEL_FINISH, YOI_KIND_MODEL},
              {YOI_EVENT_TURN_ENDED, 0},
              {0, 0}};
  for (size_t i = 0; i < sizeof fits / sizeof *fits; i++)
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
      const yoi_event ev = {.size = sizeof ev, .kind = fits[i].event};
      assert_int_equal(yoi__event_fits(kinds[k], &ev), kinds[k] == fits[i].kind);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_keep_every_member),
      cmocka_unit_test(a_count_is_not_believed),
      cmocka_unit_test(events_keep_what_they_say),
      cmocka_unit_test(a_count_of_events_is_not_believed),
      cmocka_unit_test(events_are_no_larger_than_is_taken),
      cmocka_unit_test(a_status_is_one_of_ours),
      cmocka_unit_test(each_kind_says_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
