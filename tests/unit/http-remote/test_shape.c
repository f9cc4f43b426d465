/* What answers and events of a remote must be made of: each known member with
 * another type, each needed one left out, others beside and within. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtimes/http-remote/remote.h"

#define TURN "{\"turn_id\":\"t\",\"state\":\"completed\",\"reason\":null,\"steps\":1}"
#define WORKER(id)                                                                \
  "{\"worker_id\":\"" id "\",\"state\":\"idle\",\"cursor\":\"y1\",\"capabilities\":[]," \
  "\"turn\":" TURN "}"
#define ITEM "{\"sequence\":1,\"turn_id\":null,\"role\":\"user\",\"content\":[]}"
#define AT "\"sequence\":1,\"turn_id\":\"t\""

static struct yoi_sdk_buf answer;

static int fits(uint32_t op, const char *about, const char *text) {
  yoi_sdk_buf_clear(&answer);
  yoi_sdk_buf_adds(&answer, yoi_sdk_str(text));
  return rem_answer_fits(op, yoi_sdk_str(about), &answer);
}

static void an_answer_is_of_its_operation_and_of_whom_was_asked_for(void **state) {
  (void)state;
  assert_true(fits(YOI_OP_WORKER_GET, "a", "{\"worker\":" WORKER("a") "}"));
  assert_false(fits(YOI_OP_WORKER_GET, "b", "{\"worker\":" WORKER("a") "}"));
  assert_true(fits(YOI_OP_WORKER_CREATE, "", "{\"worker\":" WORKER("a") "}"));
  assert_true(fits(YOI_OP_WORKER_CREATE, "a", "{\"worker\":" WORKER("a") "}"));
  assert_false(fits(YOI_OP_WORKER_CREATE, "b", "{\"worker\":" WORKER("a") "}"));
  assert_false(fits(YOI_OP_WORKER_GET, "", "{\"worker\":" WORKER("a") "}"));
  assert_false(fits(YOI_OP_WORKER_CREATE, "", "{\"worker\":" WORKER("../a") "}"));
  assert_false(fits(YOI_OP_WORKER_LIST, "", "{\"worker\":" WORKER("a") "}"));
  assert_true(fits(YOI_OP_WORKER_LIST, "", "{\"workers\":[" WORKER("a") "," WORKER("b") "]}"));
  assert_false(fits(YOI_OP_WORKER_LIST, "", "{\"workers\":[" WORKER("a") ",7]}"));
  assert_false(fits(YOI_OP_WORKER_LIST, "", "{\"workers\":[],\"next\":\"http://x\"}"));
  assert_true(fits(YOI_OP_WORKER_LIST, "", "{\"workers\":[],\"next\":null}"));
  assert_true(fits(YOI_OP_WORKER_APPROVE, "x",
                   "{\"ack\":{\"sequence\":1,\"cursor\":\"y\",\"state\":\"idle\"}}"));
  assert_false(fits(YOI_OP_WORKER_APPROVE, "x", "{\"worker\":7}"));
  assert_false(fits(YOI_OP_WORKER_ARTEFACT, "x", "{\"x\":1}"));
  assert_true(fits(YOI_OP_WORKER_TRANSCRIPT, "",
                   "{\"transcript\":{\"start\":0,\"limit\":1,\"total\":1,\"next_start\":null,"
                   "\"items\":[" ITEM "]}}"));
  static const char *const none[] = {"", "[]", "{}", "{\"worker\":{}}", "{\"worker\":[]}",
                                     "{\"worker\":{}", "null", "{\"worker\":\"\xff\"}",
                                     "{\"worker\":7,\"worker\":" WORKER("a") "}"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_false(fits(YOI_OP_WORKER_GET, "a", none[i]));
  assert_false(fits(YOI_OP_WORKER_DELETE, "a", "{}")); /* it has no body */
  assert_false(fits(YOI_OP__END, "a", "{}"));
}

static void what_no_version_has_beside_it_is_left_out(void **state) {
  (void)state;
  assert_true(fits(YOI_OP_WORKER_LIST, "",
                   "{ \"note\" : \"http://10.0.0.1\", \"workers\" : [ ] , \"x\":{\"next\":1}, "
                   "\"next\" : \"a\" }"));
  assert_true(yoi_sdk_str_is(yoi_sdk_buf_str(&answer), "{\"workers\":[ ],\"next\":\"a\"}"));
  /* Within a thing it may be of a later version. */
  const char *more = "{\"worker\":{\"worker_id\":\"a\",\"state\":\"idle\",\"cursor\":null,"
                     "\"capabilities\":[],\"later\":7}}";
  assert_true(fits(YOI_OP_WORKER_GET, "a", more));
  assert_true(yoi_sdk_str_is(yoi_sdk_buf_str(&answer), more));
}

/* Each member in turn: left out, and of another type. */
static void each_member_counts(const char *const *pairs, size_t n, size_t needed,
                               int (*fit)(yoi_str text)) {
  for (size_t hit = 0; hit <= n; hit++)
    for (int how = 0; how < 2; how++) {
      struct yoi_sdk_buf b;
      yoi_sdk_buf_init(&b, 4096);
      yoi_sdk_buf_addc(&b, '{');
      for (size_t i = 0; i < n; i++) {
        if (i == hit && how == 0) continue;
        if (b.len > 1) yoi_sdk_buf_addc(&b, ',');
        yoi_sdk_buf_addf(&b, "\"%s\":%s", pairs[2 * i], i == hit ? "-7.5" : pairs[2 * i + 1]);
      }
      yoi_sdk_buf_addc(&b, '}');
      int right = hit == n || (how == 0 && hit >= needed);
      if (fit(yoi_sdk_buf_str(&b)) != right) fail_msg("%s", b.data);
      yoi_sdk_buf_release(&b);
    }
}

static int worker_fits(yoi_str text) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 4096);
  yoi_sdk_buf_addf(&b, "{\"worker\":%.*s}", (int)text.len, text.ptr);
  int fine = rem_answer_fits(YOI_OP_WORKER_GET, YOI_LIT("a"), &b);
  yoi_sdk_buf_release(&b);
  return fine;
}

static int ended_fits(yoi_str text) { return rem_event_fits(YOI_EVENT_TURN_ENDED, text); }

static void a_member_has_its_type_and_is_there(void **state) {
  static const char *const worker[] = {
      "worker_id", "\"a\"", "state", "\"idle\"", "cursor", "null", "capabilities", "[]",
      "display_name", "\"A\"", "intent", "{}", "profile", "null", "config_bundle", "null",
      "created_at", "\"2026-01-01T00:00:00.000Z\"", "turn", TURN, "queued", "1",
      "diagnostics", "[{\"code\":\"c\",\"severity\":\"info\",\"message\":\"m\"}]", "spec", "{}"};
  static const char *const ended[] = {"sequence", "1", "turn_id", "\"t\"", "turn", TURN};
  (void)state;
  each_member_counts(worker, sizeof worker / sizeof *worker / 2, 4, worker_fits);
  each_member_counts(ended, 3, 3, ended_fits);
}

static void every_kind_of_event_has_a_shape(void **state) {
  enum { CONTROL = 1, DURABLE = 1, LIVE = 1, MODEL = 0, TOOL = 0 };
  static const struct {
    uint32_t kind, shown;
  } kinds[] = {
#define KIND(sym, num, text, class) {num, class},
      YOI_EVENTS(KIND)
#undef KIND
  };
  static const char all[] =
      "{" AT ",\"ack\":{\"sequence\":1,\"cursor\":\"y\",\"state\":\"idle\"},\"worker\":" WORKER("a")
      ",\"in_flight\":null,\"reason\":\"r\",\"retryable\":true,\"kind\":\"user\",\"content\":[],"
      "\"item\":" ITEM ",\"step\":1,\"call\":{\"id\":\"c\",\"name\":\"n\",\"arguments\":\"{}\"},"
      "\"approval\":{\"approval_id\":\"a\",\"turn_id\":\"t\",\"call_id\":\"c\",\"tool\":\"n\","
      "\"arguments\":\"{}\",\"expires_at\":\"2026-01-01T00:00:00.000Z\"},\"approval_id\":\"a\","
      "\"call_id\":\"c\",\"decision\":\"allow\",\"status\":\"ok\",\"turn\":" TURN ",\"code\":\"c\","
      "\"severity\":\"info\",\"message\":\"m\",\"text\":\"x\",\"usage\":{}}";
  (void)state;
  assert_int_equal(yoi_sdk_json_check(yoi_sdk_str(all), 0, NULL), YOI_OK);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    int goes_over = kinds[i].shown && kinds[i].kind != YOI_EVENT_RESULT;
    assert_int_equal(rem_event_fits(kinds[i].kind, yoi_sdk_str(all)), goes_over);
    assert_false(rem_event_fits(kinds[i].kind, YOI_LIT("{\"wat\":1}")));
  }
  assert_false(rem_event_fits(0, YOI_LIT("{}")));
  assert_false(rem_event_fits(UINT32_MAX, YOI_LIT("{}")));
}

static void a_cursor_is_what_may_stand_in_a_header(void **state) {
  char cursor[YOI_CURSOR_MAX + 2];
  yoi_str data = YOI_LIT("{" AT ",\"turn\":" TURN "}");
  (void)state;
  memset(cursor, 'y', sizeof cursor);
  assert_true(rem_frame_fits(YOI_EVENT_TURN_ENDED, (yoi_str){cursor, YOI_CURSOR_MAX}, data));
  assert_false(rem_frame_fits(YOI_EVENT_TURN_ENDED, (yoi_str){cursor, YOI_CURSOR_MAX + 1}, data));
  assert_false(rem_frame_fits(YOI_EVENT_TURN_ENDED, (yoi_str){0}, data)); /* it could not resume */
  assert_false(rem_frame_fits(YOI_EVENT_TURN_ENDED, YOI_LIT("a\rb"), data));
  assert_false(rem_frame_fits(YOI_EVENT_TURN_ENDED, YOI_LIT("y"),
                              YOI_LIT("{" AT ",\n\"turn\":" TURN "}")));
}

#define ROW(event, id) "{\"event\":\"" event "\",\"data\":{\"worker\":" WORKER(id) "}}"

static void an_event_that_has_a_worker_has_the_one_that_was_asked_for(void **state) {
  static const uint32_t kinds[] = {YOI_EVENT_SNAPSHOT, YOI_EVENT_WORKER_CREATED};
  yoi_str a = YOI_LIT("{\"worker\":" WORKER("a") "}"), id = YOI_LIT("a");
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    assert_true(rem_event_is_of(id, kinds[i], a));
    assert_false(rem_event_is_of(YOI_LIT("b"), kinds[i], a));
    assert_false(rem_event_is_of(YOI_LIT("aa"), kinds[i], a));
    assert_false(rem_event_is_of(id, kinds[i], YOI_LIT("{\"worker\":7}")));
    assert_false(rem_event_is_of(id, kinds[i], YOI_LIT("{}")));
  }
  assert_true(rem_event_is_of(id, YOI_EVENT_TURN_ENDED, YOI_LIT("{}")));
  assert_true(fits(YOI_OP_WORKER_EVENTS, "a", "{\"events\":[" ROW("snapshot", "a") "]}"));
  assert_false(fits(YOI_OP_WORKER_EVENTS, "a",
                    "{\"events\":[" ROW("snapshot", "a") "," ROW("worker.created", "b") "]}"));
  assert_false(fits(YOI_OP_WORKER_EVENTS, "a", "{\"events\":[" ROW("snapshot", "b") "]}"));
  /* of a later version: it is left out, and may be about whatever it likes */
  assert_true(fits(YOI_OP_WORKER_EVENTS, "a", "{\"events\":[" ROW("worker.forked", "b") "]}"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_answer_is_of_its_operation_and_of_whom_was_asked_for),
      cmocka_unit_test(what_no_version_has_beside_it_is_left_out),
      cmocka_unit_test(a_member_has_its_type_and_is_there),
      cmocka_unit_test(every_kind_of_event_has_a_shape),
      cmocka_unit_test(a_cursor_is_what_may_stand_in_a_header),
      cmocka_unit_test(an_event_that_has_a_worker_has_the_one_that_was_asked_for),
  };
  yoi_sdk_buf_init(&answer, 65536);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  yoi_sdk_buf_release(&answer);
  return failed;
}
