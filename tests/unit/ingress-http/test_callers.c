/* Who asks: tokens in a ring, what their callers may, how often, and passes that
 * are good no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>

#include "plugins/ingress-http/callers.h"

static struct yoi_sdk_error err;

static struct http_caller *caller(const char *principal, uint64_t count, uint64_t per_ms) {
  struct http_caller *c =
      http_caller_new(yoi_sdk_str(principal), HTTP_OPS_ALL, (yoi_str){NULL, 0},
                      (struct http_rate){count, per_ms});
  assert_non_null(c);
  return c;
}

static struct http_pass *pass(struct http_caller *c, const char *token) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  assert_int_equal(yoi_sdk_sha256(token, strlen(token), sha), 1);
  struct http_pass *p = http_pass_new(c, NULL, sha, 0);
  assert_non_null(p);
  return p;
}

static const char *who(const struct http_ring *r, const char *token) {
  static char name[YOI_PRINCIPAL_MAX + 1];
  struct http_pass *p = http_ring_find(r, yoi_sdk_str(token), 1);
  if (!p) return "";
  snprintf(name, sizeof name, "%s", p->caller->principal);
  http_pass_unref(p);
  return name;
}

static void a_token_is_its_callers(void **state) {
  (void)state;
  struct http_caller *a = caller("token:a", 0, 0), *b = caller("token:b", 0, 0);
  struct http_pass *all[] = {pass(a, "alpha"), pass(b, "beta"), pass(b, "gamma")};
  struct http_ring *r = http_ring_new(all, 3);
  assert_string_equal(who(r, "alpha"), "token:a");
  assert_string_equal(who(r, "beta"), "token:b");
  assert_string_equal(who(r, "gamma"), "token:b");
  static const char *const bad[] = {"", "alph", "alpha2", "Alpha", "alpha alpha", "gammA"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_string_equal(who(r, bad[i]), "");
  struct http_ring *none = http_ring_new(NULL, 0);
  assert_string_equal(who(none, "alpha"), "");
  http_ring_unref(none);
  http_ring_unref(r);
  http_caller_unref(a);
  http_caller_unref(b);
}

static void a_pass_ends(void **state) {
  (void)state;
  struct http_caller *a = caller("token:a", 0, 0);
  struct http_pass *token = pass(a, "alpha");
  struct http_pass *session = http_pass_new(a, token, NULL, 100);
  struct http_pass *held = http_pass_ref(token);
  struct http_ring *r = http_ring_new(&token, 1);
  assert_int_equal(http_pass_good(session, 99), 1);
  assert_int_equal(http_pass_good(session, 100), 0);
  http_pass_revoke(token);
  assert_int_equal(http_pass_good(session, 1), 0); /* with what it was made by */
  assert_int_equal(http_pass_good(held, 1), 0);
  assert_string_equal(who(r, "alpha"), "");
  http_ring_unref(r);
  http_pass_unref(session);
  http_pass_unref(held);
  http_caller_unref(a);
}

static int32_t take(struct http_caller *c, uint64_t now_ms) {
  yoi_sdk_error_init(&err);
  (void)http_caller_take(c, now_ms * 1000000u, &err.e);
  return err.e.code;
}

static void a_rate_is_so_many_at_once_and_then_evenly(void **state) {
  (void)state;
  struct http_caller *c = caller("token:a", 4, 1000);
  for (int i = 0; i < 4; i++) assert_int_equal(take(c, 5000), 0);
  assert_int_equal(take(c, 5000), YOI_CODE_RATE_LIMITED);
  assert_int_equal(err.e.retry_after_ms, 250);
  assert_int_equal(take(c, 5249), YOI_CODE_RATE_LIMITED);
  assert_int_equal(err.e.retry_after_ms, 1);
  assert_int_equal(take(c, 5250), 0);
  assert_int_equal(take(c, 5250), YOI_CODE_RATE_LIMITED);
  for (int i = 0; i < 4; i++) assert_int_equal(take(c, 9000), 0);
  assert_int_equal(take(c, 9000), YOI_CODE_RATE_LIMITED);
  http_caller_unref(c);
  c = caller("token:a", 0, 0);
  for (int i = 0; i < 1000; i++) assert_int_equal(take(c, 1), 0);
  http_caller_unref(c);
  c = caller("token:a", YOI_HTTP_RATE_COUNT_MAX, 1); /* more than one in a nanosecond is one */
  for (int i = 0; i < 1000; i++) assert_int_equal(take(c, 1), 0);
  http_caller_unref(c);
  c = caller("token:a", 1, YOI_HTTP_RATE_MS_MAX);
  assert_int_equal(take(c, 1), 0);
  assert_int_equal(take(c, YOI_HTTP_RATE_MS_MAX), YOI_CODE_RATE_LIMITED);
  assert_int_equal(take(c, YOI_HTTP_RATE_MS_MAX + 1), 0);
  http_caller_unref(c);
}

static yoi_status read(const char *json, int workspace, uint64_t *ops) {
  yoi_sdk_json *tree = NULL;
  if (json) assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(json), 0, &tree, NULL), YOI_OK);
  yoi_sdk_error_init(&err);
  yoi_status st = http_permissions(tree, workspace, ops, &err.e);
  yoi_sdk_json_free(tree);
  return st;
}

static void permissions_are_groups_and_operations(void **state) {
  (void)state;
  uint64_t ops = 0;
  assert_int_equal(read(NULL, 0, &ops), YOI_OK);
  for (uint32_t op = 1; op < YOI_OP__END; op++) assert_true(ops & HTTP_OP_BIT(op));
  assert_int_equal(read(NULL, 1, &ops), YOI_OK);
  assert_false(ops & HTTP_OP_BIT(YOI_OP_HOST_METRICS));
  assert_int_equal(read("[]", 0, &ops), YOI_OK);
  assert_true(ops == HTTP_OP_BIT(YOI_OP_HOST_READY));
  assert_int_equal(read("[\"observe\", \"worker.stop\"]", 1, &ops), YOI_OK);
  assert_true(ops & HTTP_OP_BIT(YOI_OP_WORKER_GET));
  assert_true(ops & HTTP_OP_BIT(YOI_OP_WORKER_STOP));
  assert_false(ops & HTTP_OP_BIT(YOI_OP_WORKER_DELETE));
  assert_false(ops & HTTP_OP_BIT(YOI_OP_WORKER_INPUT));
  assert_false(ops & HTTP_OP_BIT(YOI_OP_HOST_METRICS));
  static const char *const bad[] = {"[\"\"]", "[\"worker\"]", "[\"worker.*\"]", "[\"Observe\"]",
                                    "[1]", "[\"observe\", \"everything\"]"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_not_equal(read(bad[i], 0, &ops), YOI_OK);
  assert_int_not_equal(read("[\"metrics\"]", 1, &ops), YOI_OK);
  assert_int_not_equal(read("[\"host.metrics\"]", 1, &ops), YOI_OK);
}

/* Each operation is in one group, so that a new one is not left out of all. */
static void each_operation_has_a_group(void **state) {
  (void)state;
  static const char *const groups[] = {"[\"observe\"]", "[\"input\"]",   "[\"approve\"]",
                                       "[\"manage\"]",  "[\"bundles\"]", "[\"metrics\"]"};
  for (uint32_t op = 1; op < YOI_OP__END; op++) {
    int n = 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups && op != YOI_OP_HOST_READY; i++) {
      uint64_t ops = 0;
      assert_int_equal(read(groups[i], 0, &ops), YOI_OK);
      n += (ops & HTTP_OP_BIT(op)) != 0;
    }
    assert_int_equal(n, op != YOI_OP_HOST_READY);
  }
}

static void what_one_may_not_is_denied_by_name(void **state) {
  (void)state;
  uint64_t ops = 0;
  assert_int_equal(read("[\"observe\"]", 0, &ops), YOI_OK);
  struct http_caller *c = http_caller_new(YOI_LIT("token:a"), ops, YOI_LIT("acme"),
                                          (struct http_rate){0, 0});
  yoi_sdk_error_init(&err);
  assert_int_equal(http_caller_may(c, YOI_OP_WORKER_LIST, &err.e), YOI_OK);
  assert_int_not_equal(http_caller_may(c, YOI_OP_WORKER_STOP, &err.e), YOI_OK);
  assert_int_equal(err.e.code, YOI_CODE_POLICY_DENIED);
  assert_non_null(strstr(err.message, "worker.stop"));
  assert_string_equal(c->workspace, "acme");
  http_caller_unref(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_token_is_its_callers),
      cmocka_unit_test(a_pass_ends),
      cmocka_unit_test(a_rate_is_so_many_at_once_and_then_evenly),
      cmocka_unit_test(permissions_are_groups_and_operations),
      cmocka_unit_test(each_operation_has_a_group),
      cmocka_unit_test(what_one_may_not_is_denied_by_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
