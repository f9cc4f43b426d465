/* Logins: what a cookie opens, for how long, and what ends it before; and how a
 * cookie is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>

#include "plugins/ingress-http/fields.h"
#include "plugins/ingress-http/sessions.h"

static struct http_sessions s;
static struct http_caller *ann, *bob;
static struct http_pass *ann_token, *bob_token;

static int begin(void **state) {
  (void)state;
  http_sessions_init(&s);
  ann = http_caller_new(YOI_LIT("token:ann"), HTTP_OPS_ALL, (yoi_str){NULL, 0},
                        (struct http_rate){0, 0});
  bob = http_caller_new(YOI_LIT("token:bob"), HTTP_OPS_ALL, (yoi_str){NULL, 0},
                        (struct http_rate){0, 0});
  ann_token = http_pass_new(ann, NULL, NULL, 0);
  bob_token = http_pass_new(bob, NULL, NULL, 0);
  return 0;
}

static int end(void **state) {
  (void)state;
  http_sessions_free(&s);
  http_pass_unref(ann_token);
  http_pass_unref(bob_token);
  http_caller_unref(ann);
  http_caller_unref(bob);
  return 0;
}

static const char *who(const char *text, uint64_t now_ms) {
  static char name[YOI_PRINCIPAL_MAX + 1];
  struct http_pass *p = http_session_find(&s, yoi_sdk_str(text), now_ms);
  if (!p) return "";
  snprintf(name, sizeof name, "%s", p->caller->principal);
  http_pass_unref(p);
  return name;
}

static void a_cookie_opens_until_it_is_over(void **state) {
  (void)state;
  char a[HTTP_SESSION_TEXT + 1], b[HTTP_SESSION_TEXT + 1];
  assert_int_equal(http_session_new(&s, ann_token, 1000, 500, a), 1);
  assert_int_equal(http_session_new(&s, bob_token, 1000, 5000, b), 1);
  assert_string_not_equal(a, b);
  assert_string_equal(who(a, 1499), "token:ann");
  assert_string_equal(who(b, 1499), "token:bob");
  assert_string_equal(who(a, 1500), "");
  assert_string_equal(who(b, 5999), "token:bob");
  assert_string_equal(who("", 1), "");
  b[0] = b[0] == '0' ? '1' : '0';
  assert_string_equal(who(b, 1499), "");
}

static void a_logout_ends_it_for_who_has_the_cookie_too(void **state) {
  (void)state;
  char a[HTTP_SESSION_TEXT + 1], other[HTTP_SESSION_TEXT + 1];
  assert_int_equal(http_session_new(&s, ann_token, 1, 1000, a), 1);
  assert_int_equal(http_session_new(&s, ann_token, 1, 1000, other), 1);
  struct http_pass *held = http_session_find(&s, yoi_sdk_str(a), 2); /* a stream */
  http_session_end(&s, yoi_sdk_str(a));
  assert_int_equal(http_pass_good(held, 2), 0);
  assert_string_equal(who(a, 2), "");
  assert_string_equal(who(other, 2), "token:ann");
  http_session_end(&s, yoi_sdk_str(a)); /* twice is nothing */
  http_pass_unref(held);
}

static void the_end_of_a_token_ends_its_sessions(void **state) {
  (void)state;
  char a[HTTP_SESSION_TEXT + 1], b[HTTP_SESSION_TEXT + 1];
  assert_int_equal(http_session_new(&s, ann_token, 1, 1000, a), 1);
  assert_int_equal(http_session_new(&s, bob_token, 1, 1000, b), 1);
  http_pass_revoke(ann_token);
  assert_string_equal(who(a, 2), "");
  assert_string_equal(who(b, 2), "token:bob");
}

static void a_caller_has_so_many_and_the_oldest_goes(void **state) {
  (void)state;
  char all[YOI_HTTP_SESSIONS_MAX + 1][HTTP_SESSION_TEXT + 1], b[HTTP_SESSION_TEXT + 1];
  assert_int_equal(http_session_new(&s, bob_token, 1, 1000, b), 1);
  for (size_t i = 0; i <= YOI_HTTP_SESSIONS_MAX; i++)
    assert_int_equal(http_session_new(&s, ann_token, 1, 1000, all[i]), 1);
  assert_string_equal(who(all[0], 2), "");
  for (size_t i = 1; i <= YOI_HTTP_SESSIONS_MAX; i++)
    assert_string_equal(who(all[i], 2), "token:ann");
  assert_string_equal(who(b, 2), "token:bob");
}

static void a_cookie_field_is_read_strictly(void **state) {
  (void)state;
  static const struct {
    const char *field, *value;
  } rows[] = {
      {"yoi-1=abc", "abc"},          {"a=b; yoi-1=abc", "abc"},  {"yoi-1=abc; a=b", "abc"},
      {"a=b;yoi-1=abc;c=d", "abc"},  {"yoi-1=", ""},             {"yoi-1", ""},
      {"xyoi-1=abc", ""},            {"yoi-12=abc", ""},         {"YOI-1=abc", ""},
      {"yoi-1=a; yoi-1=b", ""},      {"yoi-1=; yoi-1=b", ""},    {"a=yoi-1=abc", ""},
      {"", ""},                      {";;;", ""},                {"yoi-1=a=b", "a=b"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    yoi_str v = http_cookie(yoi_sdk_str(rows[i].field), YOI_LIT("yoi-1"));
    char text[32];
    snprintf(text, sizeof text, "%.*s", YOI_ARG(v));
    assert_string_equal(text, rows[i].value);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_cookie_opens_until_it_is_over, begin, end),
      cmocka_unit_test_setup_teardown(a_logout_ends_it_for_who_has_the_cookie_too, begin, end),
      cmocka_unit_test_setup_teardown(the_end_of_a_token_ends_its_sessions, begin, end),
      cmocka_unit_test_setup_teardown(a_caller_has_so_many_and_the_oldest_goes, begin, end),
      cmocka_unit_test(a_cookie_field_is_read_strictly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
