/* From where one may ask: Host, Origin and Sec-Fetch-Site, per surface; and which
 * listeners refuse to serve at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugins/ingress-http/auth.h"

static struct http_guard guard;
static struct yoi_sdk_error err;

static yoi_listener listener(uint32_t surface, const char *address, const char *token) {
  return (yoi_listener){.size = sizeof(yoi_listener),
                        .surface = surface,
                        .address = yoi_sdk_str(address),
                        .token_secret = yoi_sdk_str(token)};
}

static void serve(uint32_t surface, const char *token, const char *hosts) {
  yoi_listener on = listener(surface, "127.0.0.1:38800", token);
  yoi_sdk_error_init(&err);
  on.hosts = yoi_sdk_str(hosts);
  if (surface == YOI_SURFACE_RUNTIME && !token) on.flags = YOI_LISTEN_INSECURE;
  assert_int_equal(http_guard_set(&guard, &on, token != NULL, &err.e), YOI_OK);
}

/* 0, or the code of the refusal. */
static int32_t ask(const char *fields, int page, int open_path) {
  char text[4096];
  struct http_codec c;
  size_t used = 0;
  int n = snprintf(text, sizeof text, "GET /x HTTP/1.1\r\n%s\r\n", fields);
  http_codec_init(&c);
  assert_int_equal(http_codec_feed(&c, text, (size_t)n, &used), HTTP_FEED_HEAD);
  yoi_sdk_error_init(&err);
  yoi_status st = http_guard_check(&guard, &c.req, page, open_path, &err.e);
  http_codec_release(&c);
  assert_int_equal(st == YOI_OK, err.e.code == 0);
  return err.e.code;
}

/* 0 and the token, or the code. */
static int32_t bearer(const char *fields, char out[64]) {
  char text[256];
  struct http_codec c;
  size_t used = 0;
  yoi_str token = {NULL, 0};
  int n = snprintf(text, sizeof text, "GET /x HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
  http_codec_init(&c);
  assert_int_equal(http_codec_feed(&c, text, (size_t)n, &used), HTTP_FEED_HEAD);
  yoi_sdk_error_init(&err);
  yoi_status st = http_bearer(&c.req, &token, &err.e);
  assert_int_equal(st == YOI_OK, err.e.code == 0);
  snprintf(out, 64, "%.*s", YOI_ARG(token));
  http_codec_release(&c);
  return err.e.code;
}

static void a_token_is_a_bearer_token(void **state) {
  (void)state;
  char token[64];
  assert_int_equal(bearer("Authorization: Bearer s3cret-token\r\n", token), 0);
  assert_string_equal(token, "s3cret-token");
  assert_int_equal(bearer("Authorization: bEaReR   s3cret-token\r\n", token), 0);
  assert_string_equal(token, "s3cret-token");
  static const char *const bad[] = {"", "Authorization:\r\n", "Authorization: Bearer\r\n",
                                    "Authorization: Basic s3cret-token\r\n",
                                    "Authorization: s3cret-token\r\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(bearer(bad[i], token), YOI_CODE_UNAUTHORIZED);
}

static void browsers_are_refused_on_the_runtime_surface(void **state) {
  (void)state;
  serve(YOI_SURFACE_RUNTIME, "t", NULL);
  static const char with_token[] =
      "Host: a\r\nAuthorization: Bearer s3cret-token\r\nOrigin: http://a\r\n";
  assert_int_equal(ask(with_token, 0, 0), YOI_CODE_ORIGIN_DENIED);
  assert_int_equal(ask("Host: a\r\nOrigin:\r\n", 0, 0), YOI_CODE_ORIGIN_DENIED);
  assert_int_equal(ask("Host: a\r\nSec-Fetch-Site: same-origin\r\n", 0, 0), YOI_CODE_ORIGIN_DENIED);
  assert_int_equal(ask("Host: a\r\nSec-Fetch-Site: none\r\n", 0, 1), YOI_CODE_ORIGIN_DENIED);
  http_guard_close(&guard);
}

static void host_is_a_name_of_the_listener(void **state) {
  (void)state;
  serve(YOI_SURFACE_BROWSER, NULL, "[\"yoi.lan\", \"yoi.test:8443\"]");
  static const char *const good[] = {"127.0.0.1:38800", "localhost:38800", "LocalHost:38800",
                                     "[::1]:38800",     "yoi.lan:38800",   "yoi.lan",
                                     "yoi.test:8443"};
  static const char *const bad[] = {"127.0.0.1",       "127.0.0.1:80",      "evil.test:38800",
                                    "localhost",       "yoi.test:38800",    "localhost.evil:38800",
                                    "127.0.0.2:38800", "yoi.lan.evil:38800", "yoi.lan:1"};
  char field[128];
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    snprintf(field, sizeof field, "Host: %s\r\n", good[i]);
    assert_int_equal(ask(field, 0, 0), 0);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snprintf(field, sizeof field, "Host: %s\r\n", bad[i]);
    assert_int_equal(ask(field, 0, 0), YOI_CODE_ORIGIN_DENIED);
    assert_int_equal(ask(field, 0, 1), 0);
  }
  http_guard_close(&guard);
}

static void an_insecure_runtime_surface_checks_host(void **state) {
  (void)state;
  serve(YOI_SURFACE_RUNTIME, NULL, NULL);
  assert_int_equal(ask("Host: 127.0.0.1:38800\r\n", 0, 0), 0);
  assert_int_equal(ask("Host: rebound.test:38800\r\n", 0, 0), YOI_CODE_ORIGIN_DENIED);
  http_guard_close(&guard);
}

#define LOCAL "Host: localhost:38800\r\n"
static void all_but_the_page_is_for_the_same_origin(void **state) {
  (void)state;
  serve(YOI_SURFACE_BROWSER, NULL, NULL);
  assert_int_equal(ask(LOCAL, 0, 0), 0);
  assert_int_equal(ask(LOCAL "Origin: http://localhost:38800\r\n", 0, 0), 0);
  assert_int_equal(ask(LOCAL "Origin: https://localhost:38800\r\n", 0, 0), 0);
  assert_int_equal(ask(LOCAL "Sec-Fetch-Site: same-origin\r\n", 0, 0), 0);
  assert_int_equal(ask(LOCAL "Sec-Fetch-Site: none\r\n", 0, 0), 0);
  static const char *const bad[] = {
      LOCAL "Origin: null\r\n", LOCAL "Origin:\r\n", LOCAL "Origin: http://evil.test\r\n",
      LOCAL "Origin: http://127.0.0.1:38800\r\n", LOCAL "Origin: http://localhost\r\n",
      LOCAL "Origin: localhost:38800\r\n", LOCAL "Origin: file://localhost:38800\r\n",
      LOCAL "Origin: http://localhost:38800/\r\n", LOCAL "Sec-Fetch-Site: cross-site\r\n",
      LOCAL "Sec-Fetch-Site: same-site\r\n", LOCAL "Sec-Fetch-Site:\r\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(ask(bad[i], 0, 0), YOI_CODE_ORIGIN_DENIED);
    assert_int_equal(ask(bad[i], 1, 0), 0); /* a link may lead to the page */
    assert_int_equal(ask(bad[i], 0, 1), 0);
  }
  http_guard_close(&guard);
}

/* Behind a proxy a page of anywhere may reach a Unix socket. */
static void a_unix_socket_has_names_without_a_port(void **state) {
  (void)state;
  static const char *const good[] = {"localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:38800",
                                     "yoi.lan", "yoi.lan:99", "yoi.test:8443"};
  static const char *const bad[] = {"evil.test", "unix", "localhost.evil", "yoi.lan.evil"};
  yoi_listener on = listener(YOI_SURFACE_BROWSER, "unix:/run/yoi.sock", NULL);
  char field[128];
  on.flags = YOI_LISTEN_UNIX;
  on.hosts = YOI_LIT("[\"yoi.lan\", \"yoi.test:8443\"]");
  yoi_sdk_error_init(&err);
  assert_int_equal(http_guard_set(&guard, &on, 0, &err.e), YOI_OK);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    snprintf(field, sizeof field, "Host: %s\r\n", good[i]);
    assert_int_equal(ask(field, 0, 0), 0);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snprintf(field, sizeof field, "Host: %s\r\n", bad[i]);
    assert_int_equal(ask(field, 0, 0), YOI_CODE_ORIGIN_DENIED);
  }
  assert_int_equal(ask("Host: localhost\r\nOrigin: http://localhost\r\n", 0, 0), 0);
  assert_int_equal(ask("Host: localhost\r\nOrigin: http://evil.test\r\n", 0, 0),
                   YOI_CODE_ORIGIN_DENIED);
  http_guard_close(&guard);
}

static void with_tls_an_origin_is_https(void **state) {
  (void)state;
  serve(YOI_SURFACE_BROWSER, NULL, NULL);
  guard.tls = 1;
  assert_int_equal(ask(LOCAL "Origin: https://localhost:38800\r\n", 0, 0), 0);
  assert_int_equal(ask(LOCAL "Origin: http://localhost:38800\r\n", 0, 0),
                   YOI_CODE_ORIGIN_DENIED);
  http_guard_close(&guard);
}

static yoi_status try_serve(uint32_t surface, const char *address, int closed, uint32_t flags) {
  yoi_listener on = listener(surface, address, NULL);
  on.flags = flags;
  yoi_sdk_error_init(&err);
  yoi_status st = http_guard_set(&guard, &on, closed, &err.e);
  if (st == YOI_OK) http_guard_close(&guard);
  return st;
}

static void unsafe_listeners_do_not_serve(void **state) {
  (void)state;
  const uint32_t run = YOI_SURFACE_RUNTIME, web = YOI_SURFACE_BROWSER;
  const uint32_t insecure = YOI_LISTEN_INSECURE, path = YOI_LISTEN_UNIX;
  assert_int_equal(try_serve(run, "10.0.0.1:1", 1, 0), YOI_OK);
  assert_int_equal(try_serve(run, "127.0.0.1:1", 0, insecure), YOI_OK);
  assert_int_equal(try_serve(run, "[::1]:1", 0, insecure), YOI_OK);
  assert_int_equal(try_serve(web, "127.9.9.9:1", 0, 0), YOI_OK);
  assert_int_equal(try_serve(web, "unix:/x", 0, path), YOI_OK);
  assert_int_equal(try_serve(run, "unix:/x", 0, path | insecure), YOI_OK);
  assert_int_equal(try_serve(web, "0.0.0.0:1", 1, 0), YOI_OK);
  assert_int_not_equal(try_serve(run, "127.0.0.1:1", 0, 0), YOI_OK);
  assert_int_not_equal(try_serve(run, "10.0.0.1:1", 0, insecure), YOI_OK);
  assert_int_not_equal(try_serve(run, "127.0.0.1:1", 1, insecure), YOI_OK);
  assert_int_not_equal(try_serve(web, "0.0.0.0:1", 0, 0), YOI_OK);
  assert_int_not_equal(try_serve(web, "[::]:1", 0, 0), YOI_OK);
  assert_int_not_equal(try_serve(9, "127.0.0.1:1", 0, 0), YOI_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_token_is_a_bearer_token),
      cmocka_unit_test(browsers_are_refused_on_the_runtime_surface),
      cmocka_unit_test(host_is_a_name_of_the_listener),
      cmocka_unit_test(an_insecure_runtime_surface_checks_host),
      cmocka_unit_test(all_but_the_page_is_for_the_same_origin),
      cmocka_unit_test(a_unix_socket_has_names_without_a_port),
      cmocka_unit_test(with_tls_an_origin_is_https),
      cmocka_unit_test(unsafe_listeners_do_not_serve),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
