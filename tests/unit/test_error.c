/* Filling in and copying errors, and the tables of ops.h (sdk/error.h). */
#include <sdk/error.h>
#include <sdk/plugin.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void fail_fills_in_the_row(void **state) {
  (void)state;
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  assert_int_equal(err->size, sizeof(yoi_error));
  assert_string_equal(se.message, "");
  yoi_sdk_fail_private(err, "old %d", 1);
  yoi_sdk_fail_details(err, YOI_LIT("{\"a\":1}"));
  err->retry_after_ms = 5;
  assert_int_equal(
      yoi_sdk_fail(err, YOI_CODE_WORKER_BUSY, "worker '%.*s' is busy", YOI_ARG(YOI_LIT("w1"))),
      YOI_FAILED_PRECONDITION);
  assert_int_equal(err->code, YOI_CODE_WORKER_BUSY);
  assert_int_equal(err->flags, YOI_ERROR_RETRYABLE);
  assert_int_equal(err->retry_after_ms, 0);
  assert_string_equal(se.message, "worker 'w1' is busy");
  assert_string_equal(se.details, "");
  assert_string_equal(se.private_detail, "");
  assert_int_equal(yoi_sdk_fail(err, YOI_CODE_WORKER_STOPPED, "x"), YOI_FAILED_PRECONDITION);
  assert_int_equal(err->flags, 0);
}

static void an_unknown_code_is_internal_never_ok(void **state) {
  (void)state;
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  static const int32_t codes[] = {0, -1, YOI_CODE__END, 9999, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    assert_int_equal(yoi_sdk_fail(err, codes[i], "x"), YOI_INTERNAL);
    assert_int_equal(err->code, YOI_CODE_INTERNAL);
    assert_null(yoi_sdk_code_name(codes[i]));
    assert_int_equal(yoi_sdk_code_http(codes[i]), 0);
    assert_int_equal(yoi_sdk_code_status(codes[i]), 0);
    assert_int_equal(yoi_sdk_code_retryable(codes[i]), 0);
  }
}

static void texts_are_cut_at_characters_details_left_out_whole(void **state) {
  (void)state;
  char message[6], details[8], private_detail[4];
  yoi_error err = {.size = sizeof err,
                   .message = message,
                   .message_cap = sizeof message,
                   .details = details,
                   .details_cap = sizeof details,
                   .private_detail = private_detail,
                   .private_cap = sizeof private_detail};
  (void)yoi_sdk_fail(&err, YOI_CODE_INTERNAL, "abc%s", "\xE2\x82\xAC");
  assert_string_equal(message, "abc");
  (void)yoi_sdk_fail(&err, YOI_CODE_INTERNAL, "ab%s", "\xE2\x82\xAC");
  assert_string_equal(message, "ab\xE2\x82\xAC");
  yoi_sdk_fail_private(&err, "a%s", "\xC3\xA9\xC3\xA9");
  assert_string_equal(private_detail, "a\xC3\xA9");
  yoi_sdk_fail_details(&err, YOI_LIT("{\"a\":1}"));
  assert_string_equal(details, "{\"a\":1}");
  yoi_sdk_fail_details(&err, YOI_LIT("{\"a\":12}"));
  assert_string_equal(details, "");
}

static void null_and_capacity_zero_are_fine(void **state) {
  (void)state;
  assert_int_equal(yoi_sdk_fail(NULL, YOI_CODE_TIMEOUT, "x"), YOI_DEADLINE_EXCEEDED);
  assert_int_equal(yoi_sdk_fail_memory(NULL), YOI_RESOURCE_EXHAUSTED);
  yoi_sdk_fail_private(NULL, "x");
  yoi_sdk_fail_details(NULL, YOI_LIT("{}"));
  yoi_sdk_error_clear(NULL);
  yoi_sdk_error_copy(NULL, NULL);
  yoi_error bare = {.size = sizeof bare};
  char poison[1] = {'x'};
  bare.message = poison; /* any pointer, capacity 0 */
  (void)yoi_sdk_fail(&bare, YOI_CODE_TIMEOUT, "abc");
  yoi_sdk_fail_private(&bare, "abc");
  yoi_sdk_fail_details(&bare, YOI_LIT("{}"));
  assert_int_equal(poison[0], 'x');
  assert_int_equal(bare.code, YOI_CODE_TIMEOUT);
}

static void copies(void **state) {
  (void)state;
  struct yoi_sdk_error a, b;
  yoi_error *from = yoi_sdk_error_init(&a), *to = yoi_sdk_error_init(&b);
  (void)yoi_sdk_fail(from, YOI_CODE_RATE_LIMITED, "slow down");
  yoi_sdk_fail_private(from, "path");
  yoi_sdk_fail_details(from, YOI_LIT("{}"));
  from->retry_after_ms = 1500;
  yoi_sdk_error_copy(to, from);
  assert_int_equal(to->code, YOI_CODE_RATE_LIMITED);
  assert_int_equal(to->flags, YOI_ERROR_RETRYABLE);
  assert_int_equal(to->retry_after_ms, 1500);
  assert_string_equal(b.message, "slow down");
  assert_string_equal(b.details, "{}");
  assert_string_equal(b.private_detail, "path");
  yoi_sdk_error_copy(to, to);
  assert_string_equal(b.message, "slow down");
  char tiny[5];
  yoi_error small = {.size = sizeof small, .message = tiny, .message_cap = sizeof tiny};
  small.details = tiny;
  yoi_sdk_error_copy(&small, from);
  assert_string_equal(tiny, "slow");
  yoi_sdk_error_copy(from, &small); /* from one without private text */
  assert_string_equal(a.message, "slow");
  assert_string_equal(a.private_detail, "");
  yoi_sdk_error_copy(to, NULL);
  assert_int_equal(to->code, 0);
  assert_string_equal(b.message, "");
}

static void every_code_has_its_row(void **state) {
  (void)state;
  int32_t expected = 1;
#define ROW(sym, num, name, http, status, retry)                     \
  assert_int_equal(num, expected++); /* no gap: a code is its row */ \
  assert_string_equal(yoi_sdk_code_name(num), name);                 \
  assert_int_equal(yoi_sdk_code_http(num), http);                    \
  assert_int_equal(yoi_sdk_code_status(num), status);                \
  assert_int_equal(yoi_sdk_code_retryable(num), retry);              \
  assert_int_equal(yoi_sdk_code_find(yoi_sdk_str(name)), num);       \
  assert_true((status) > 0);
  YOI_CODES(ROW)
#undef ROW
  assert_int_equal(yoi_sdk_code_find(YOI_LIT("")), 0);
  assert_int_equal(yoi_sdk_code_find(YOI_LIT("Timeout")), 0);
}

static void every_status_has_a_code_that_names_an_error(void **state) {
  (void)state;
  for (yoi_status st = -3; st < 20; st++)
    assert_non_null(yoi_sdk_code_name(yoi_sdk_code_of_status(st)));
  assert_int_equal(yoi_sdk_code_of_status(YOI_UNIMPLEMENTED), YOI_CODE_UNSUPPORTED_OPERATION);
  assert_int_equal(yoi_sdk_code_of_status(YOI_DEADLINE_EXCEEDED), YOI_CODE_TIMEOUT);
  assert_int_equal(yoi_sdk_code_of_status(YOI_UNAUTHENTICATED), YOI_CODE_UNAUTHORIZED);
}

static void operations_and_events_both_ways(void **state) {
  (void)state;
#define OP(sym, num, id, scope, method, v1, api, http, idem) \
  assert_string_equal(yoi_sdk_op_name(num), id);             \
  assert_int_equal(yoi_sdk_op_find(yoi_sdk_str(id)), num);
  YOI_OPS(OP)
#undef OP
#define EVENT(sym, num, name, cls)                    \
  assert_string_equal(yoi_sdk_event_name(num), name); \
  assert_int_equal(yoi_sdk_event_find(yoi_sdk_str(name)), num);
  YOI_EVENTS(EVENT)
#undef EVENT
  assert_null(yoi_sdk_op_name(0));
  assert_null(yoi_sdk_event_name(5));
  assert_int_equal(yoi_sdk_op_find(YOI_LIT("worker.Get")), 0);
  assert_int_equal(yoi_sdk_event_find(YOI_LIT("")), 0);
}

/* ---- asking a host for an interface ----------------------------------- */

static const struct {
  uint32_t size, reserved;
  void *one;
} table = {.size = sizeof table};

static const void *get_interface(const yoi_host *h, yoi_str id) {
  (void)h;
  return yoi_sdk_str_is(id, "x/1") ? &table : NULL;
}

static void an_older_table_is_none(void **state) {
  (void)state;
  const yoi_host host = {.size = sizeof host, .get_interface = get_interface};
  assert_ptr_equal(yoi_sdk_host_get(&host, "x/1", sizeof table), &table);
  assert_null(yoi_sdk_host_get(&host, "x/1", sizeof table + 1));
  assert_null(yoi_sdk_host_get(&host, "y/1", 0));
  assert_null(yoi_sdk_host_get(NULL, "x/1", 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fail_fills_in_the_row),
      cmocka_unit_test(an_unknown_code_is_internal_never_ok),
      cmocka_unit_test(texts_are_cut_at_characters_details_left_out_whole),
      cmocka_unit_test(null_and_capacity_zero_are_fine),
      cmocka_unit_test(copies),
      cmocka_unit_test(every_code_has_its_row),
      cmocka_unit_test(every_status_has_a_code_that_names_an_error),
      cmocka_unit_test(operations_and_events_both_ways),
      cmocka_unit_test(an_older_table_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
