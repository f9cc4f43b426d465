/* The mapping of a remote's errors: each code by operation, and all that is no
 * error of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtimes/http-remote/remote.h"

static yoi_status map(uint32_t op, const char *sent, uint32_t status, const char *body,
                      struct yoi_sdk_error *e) {
  return rem_error_map(op, yoi_sdk_str(sent), status, yoi_sdk_str(body), 0, yoi_sdk_error_init(e));
}

static void write_error(char out[256], const char *code) {
  snprintf(out, 256, "{\"error\":{\"code\":\"%s\",\"message\":\"m\",\"request_id\":\"r\"}}", code);
}

static void each_code_passes_only_where_it_may(void **state) {
  struct yoi_sdk_error e;
  char body[256];
  (void)state;
  for (int32_t code = 1; code < YOI_CODE__END; code++) {
    write_error(body, yoi_sdk_code_name(code));
    for (uint32_t op = YOI_OP_RUNTIME_DESCRIBE; op < YOI_OP__END; op++) {
      if (!rem_op_find(op)) continue;
      int32_t becomes = rem_code_map(op, code);
      yoi_status st = map(op, "", (uint32_t)yoi_sdk_code_http(code), body, &e);
      assert_int_equal(e.e.code, becomes ? becomes : YOI_CODE_REMOTE_MALFORMED);
      assert_int_equal(st, yoi_sdk_code_status(e.e.code));
      assert_true(e.message[0] != '\0' && strcmp(e.message, "m") != 0);
    }
  }
}

static void codes_that_name_a_thing_are_for_operations_on_it(void **state) {
  (void)state;
  assert_int_equal(rem_code_map(YOI_OP_WORKER_GET, YOI_CODE_WORKER_NOT_FOUND),
                   YOI_CODE_WORKER_NOT_FOUND);
  assert_int_equal(rem_code_map(YOI_OP_BUNDLE_GET, YOI_CODE_WORKER_NOT_FOUND), 0);
  assert_int_equal(rem_code_map(YOI_OP_WORKER_LIST, YOI_CODE_WORKER_NOT_FOUND), 0);
  assert_int_equal(rem_code_map(YOI_OP_WORKER_CREATE, YOI_CODE_BUNDLE_NOT_FOUND),
                   YOI_CODE_BUNDLE_NOT_FOUND);
  assert_int_equal(rem_code_map(YOI_OP_WORKER_GET, YOI_CODE_CURSOR_EXPIRED), 0);
  assert_int_equal(rem_code_map(YOI_OP_WORKER_GET, YOI_CODE_UNAUTHORIZED),
                   YOI_CODE_RUNTIME_UNAVAILABLE);
  assert_int_equal(rem_code_map(YOI_OP_WORKER_GET, YOI_CODE_ORIGIN_DENIED), 0);
  assert_int_equal(rem_code_map(YOI_OP_WORKER_GET, 0), 0);
  assert_int_equal(rem_code_map(YOI_OP_WORKER_GET, YOI_CODE__END), 0);
  assert_int_equal(rem_code_map(YOI_OP__END, YOI_CODE_INTERNAL), 0);
}

static void what_is_no_error_body_is_malformed(void **state) {
  static const struct {
    uint32_t status;
    const char *body;
  } rows[] = {
      {404, ""},
      {404, "<html>"},
      {404, "[]"},
      {404, "{}"},
      {404, "{\"error\":\"worker_not_found\"}"},
      {404, "{\"error\":{}}"},
      {404, "{\"error\":{\"code\":5}}"},
      {404, "{\"error\":{\"code\":\"\"}}"},
      {404, "{\"error\":{\"code\":\"worker_not_founds\"}}"},
      {404, "{\"error\":{\"code\":\"worker_not_found\"}"},
      {404, "{\"error\":{\"code\":\"worker_not_found\"}} x"},
      {500, "{\"error\":{\"code\":\"worker_not_found\"}}"}, /* not its status */
      {404, "{\"error\":{\"code\":\"worker_not_found\",\"code\":\"internal\"}}"},
  };
  struct yoi_sdk_error e;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(map(YOI_OP_WORKER_GET, "", rows[i].status, rows[i].body, &e),
                     YOI_UNAVAILABLE);
    assert_int_equal(e.e.code, YOI_CODE_REMOTE_MALFORMED);
  }
}

static void details_are(const char *sent, const char *details, const char *expected) {
  struct yoi_sdk_error e;
  char body[1024];
  snprintf(body, sizeof body, "{\"error\":{\"code\":\"invalid_request\",\"details\":%s}}", details);
  (void)map(YOI_OP_WORKER_CREATE, sent, 400, body, &e);
  assert_int_equal(e.e.code, YOI_CODE_INVALID_REQUEST);
  assert_string_equal(e.details, expected);
}

static void details_pass_when_they_are_numbers_fields_or_the_caller_s_words(void **state) {
  (void)state;
  details_are("", "{\"line\":3,\"column\":-1}", "{\"line\":3}");
  details_are("", "{\"max\":\"8\",\"other\":7}", "");
  details_are("", "{\"parameter\":\"limit\"}", "{\"parameter\":\"limit\"}");
  details_are("", "{\"parameter\":\"secret\"}", "");
  details_are("{\"wat\":1}", "{\"field\":\"wat\"}", "{\"field\":\"wat\"}");
  details_are("{\"wat\":1}", "{\"field\":\"watt\"}", "");
  details_are("", "7", "");
  details_are("", "{\"digest\":\"sha256:00\"}", "");
  details_are("{\"a\":[\"shell\"]}", "{\"missing\":[\"shell\"]}", "{\"missing\":[\"shell\"]}");
  details_are("{\"a\":[\"shell\"]}", "{\"missing\":[\"shell\",\"x\"]}", "");
  details_are("{\"a\":[\"shell\"]}", "{\"missing\":[\"shel\"]}", "");
  details_are("{\"a\":[\"shell\"]}", "{\"missing\":[]}", "");
  details_are("{\"a\":[\"shell\"]}", "{\"pointer\":\"/a/0\"}", "{\"pointer\":\"/a/0\"}");
  details_are("{\"a\":[\"shell\"]}", "{\"pointer\":\"/b/0\"}", "");
  details_are("{\"a\":[\"shell\"]}", "{\"pointer\":\"/a//\"}", "");
}

static void what_was_refused_is_named(void **state) {
  static const char body[] =
      "{\"error\":{\"code\":\"invalid_request\",\"message\":\"m\",\"request_id\":\"r\","
      "\"details\":{\"field\":\"on_busy\"}}}";
  struct yoi_sdk_error e;
  (void)state;
  map(YOI_OP_WORKER_INPUT, "", 400, body, &e);
  assert_string_equal(e.message, "the remote refused 'on_busy' as invalid");
  map(YOI_OP_WORKER_INPUT, "", 400, "{\"error\":{\"code\":\"invalid_request\",\"message\":\"m\","
      "\"request_id\":\"r\",\"details\":{\"field\":\"http://x\"}}}", &e);
  assert_string_equal(e.message, "the remote refused the request as invalid");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_code_passes_only_where_it_may),
      cmocka_unit_test(codes_that_name_a_thing_are_for_operations_on_it),
      cmocka_unit_test(what_is_no_error_body_is_malformed),
      cmocka_unit_test(what_was_refused_is_named),
      cmocka_unit_test(details_pass_when_they_are_numbers_fields_or_the_caller_s_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
