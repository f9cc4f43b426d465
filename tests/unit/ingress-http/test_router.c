/* Routing: every row of ops.h is reached on both surfaces, and what is not
 * understood is refused with the right code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugins/ingress-http/fields.h"
#include "plugins/ingress-http/router.h"

#include <yoi/ingress.h>

struct routed {
  struct http_match m;
  struct http_params params;
  struct yoi_sdk_error err;
  char body[2048];
  yoi_status st;
};

static void route_with(uint32_t surface, const char *method, const char *target,
                       const char *fields, struct routed *out) {
  char text[12000];
  struct http_codec c;
  struct yoi_sdk_buf body;
  size_t used = 0;
  int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, target,
                   fields);
  memset(out, 0, sizeof *out);
  yoi_sdk_error_init(&out->err);
  http_codec_init(&c);
  assert_int_equal(http_codec_feed(&c, text, (size_t)n, &used), HTTP_FEED_HEAD);
  yoi_sdk_buf_init(&body, sizeof out->body - 1);
  out->st = http_route(surface, 1, &c.req, &out->m, &out->err.e);
  if (out->st == YOI_OK)
    out->st = http_route_query(&out->m, &c.req, &out->params, &body, &out->err.e);
  if (body.len) memcpy(out->body, body.data, body.len);
  yoi_sdk_buf_release(&body);
  http_codec_release(&c);
}

static void route(uint32_t surface, const char *method, const char *target, struct routed *out) {
  route_with(surface, method, target, "", out);
}

static void refused(uint32_t surface, const char *method, const char *target, int32_t code) {
  struct routed r;
  route(surface, method, target, &r);
  if (r.st == YOI_OK || r.err.e.code != code)
    print_error("%s %s: %d, code %d\n", method, target, r.st, r.err.e.code);
  assert_int_not_equal(r.st, YOI_OK);
  assert_int_equal(r.err.e.code, code);
}

static void gives(const char *target, const char *body) {
  struct routed r;
  route(YOI_SURFACE_RUNTIME, "GET", target, &r);
  if (r.st != YOI_OK) print_error("%s: %s\n", target, r.err.message);
  assert_int_equal(r.st, YOI_OK);
  assert_string_equal(r.body, body);
}

static const struct {
  uint32_t op;
  int status;
  const char *method, *path[2], *scope;
} rows[] = {
#define ROW(sym, num, id, scope, method, v1, api, http, idem) \
  {num, http, method, {v1, api}, #scope},
    YOI_OPS(ROW)
#undef ROW
};

static void fill(const char *template, char *out, size_t cap) {
  size_t n = 0;
  for (const char *p = template; *p && n + 8 < cap; p++) {
    const char *value = strncmp(p, "{rid}", 5) == 0   ? "r-1"
                        : strncmp(p, "{id}", 4) == 0  ? "w.2"
                        : strncmp(p, "{sub}", 5) == 0 ? "sub:3"
                                                      : NULL;
    if (!value) {
      out[n++] = *p;
      continue;
    }
    n += (size_t)snprintf(out + n, cap - n, "%s", value);
    p = strchr(p, '}');
  }
  out[n] = 0;
}

static void every_operation_has_its_route(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int s = 0; s < 2; s++) {
      struct routed r;
      char path[256];
      if (rows[i].path[s][0] == 0) continue;
      fill(rows[i].path[s], path, sizeof path);
      route(s ? YOI_SURFACE_BROWSER : YOI_SURFACE_RUNTIME, rows[i].method, path, &r);
      assert_int_equal(r.st, YOI_OK);
      assert_int_equal(r.m.op, rows[i].op);
      assert_int_equal(r.m.status, rows[i].status);
      assert_string_equal(r.m.worker_id, strstr(rows[i].path[s], "{id}") ? "w.2" : "");
      assert_string_equal(r.m.runtime_id, strstr(rows[i].path[s], "{rid}") ? "r-1" : "");
      assert_string_equal(r.m.subject, strstr(rows[i].path[s], "{sub}") ? "sub:3" : "");
      assert_int_equal(r.m.host_scope, strcmp(rows[i].scope, "HOST") == 0);
      refused(s ? YOI_SURFACE_BROWSER : YOI_SURFACE_RUNTIME, "PATCH", path,
              YOI_CODE_METHOD_NOT_ALLOWED);
    }
  }
}

static void surfaces_do_not_mix(void **state) {
  (void)state;
  refused(YOI_SURFACE_RUNTIME, "GET", "/api/runtimes", YOI_CODE_NOT_FOUND);
  refused(YOI_SURFACE_BROWSER, "GET", "/v1/runtime", YOI_CODE_NOT_FOUND);
  refused(YOI_SURFACE_RUNTIME, "GET", "/", YOI_CODE_NOT_FOUND);
  struct routed r;
  route(YOI_SURFACE_BROWSER, "GET", "/", &r);
  assert_int_equal(r.st, YOI_OK);
  assert_int_equal(r.m.kind, HTTP_KIND_PAGE);
}

static void head_is_get_without_body(void **state) {
  (void)state;
  struct routed r;
  route(YOI_SURFACE_RUNTIME, "HEAD", "/v1/workers", &r);
  assert_int_equal(r.m.op, YOI_OP_WORKER_LIST);
  assert_true(r.m.head);
  route(YOI_SURFACE_RUNTIME, "HEAD", "/v1/config-bundles/sha256:00", &r);
  assert_int_equal(r.m.op, YOI_OP_BUNDLE_HAVE);
  route(YOI_SURFACE_RUNTIME, "HEAD", "/healthz", &r);
  assert_int_equal(r.m.kind, HTTP_KIND_HEALTH);
  assert_true(r.m.head && r.m.no_token);
  refused(YOI_SURFACE_RUNTIME, "HEAD", "/v1/workers/a/input", YOI_CODE_METHOD_NOT_ALLOWED);
}

static void probes_need_no_token(void **state) {
  (void)state;
  struct routed r;
  route(YOI_SURFACE_RUNTIME, "GET", "/readyz", &r);
  assert_true(r.m.no_token);
  route(YOI_SURFACE_RUNTIME, "GET", "/metrics", &r);
  assert_false(r.m.no_token);
  route(YOI_SURFACE_RUNTIME, "GET", "/nothing", &r);
  assert_false(r.m.no_token);
}

static void allow_names_the_methods(void **state) {
  (void)state;
  struct routed r;
  route(YOI_SURFACE_RUNTIME, "PUT", "/v1/workers/a", &r);
  assert_string_equal(r.m.allow, "GET, DELETE, HEAD");
  route(YOI_SURFACE_RUNTIME, "OPTIONS", "/v1/workers", &r);
  assert_string_equal(r.m.allow, "POST, GET, HEAD");
  route(YOI_SURFACE_RUNTIME, "OPTIONS", "*", &r);
  assert_int_equal(r.err.e.code, YOI_CODE_METHOD_NOT_ALLOWED);
  assert_non_null(strstr(r.m.allow, "POST"));
  route(YOI_SURFACE_RUNTIME, "CONNECT", "a:1", &r);
  assert_int_equal(r.err.e.code, YOI_CODE_METHOD_NOT_ALLOWED);
  route(YOI_SURFACE_RUNTIME, "POST", "/healthz", &r);
  assert_string_equal(r.m.allow, "GET, HEAD");
}

static void odd_paths(void **state) {
  (void)state;
  static const char *const none[] = {
      "/nothing", "/v1", "/v1/", "/v1/workers/", "//v1/workers", "/v1//workers", "/V1/workers",
      "/v1/workers/a/b", "/v1/workers/a/input/", "/v1/workers/a/events/x/y/z/1/2/3/4/5",
      "/v1%2Fworkers", "/v1/workers;x"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    refused(YOI_SURFACE_RUNTIME, "GET", none[i], YOI_CODE_NOT_FOUND);
  static const char *const bad_id[] = {"/v1/workers/A", "/v1/workers/..", "/v1/workers/.",
                                       "/v1/workers/-a", "/v1/workers/a%2Fb", "/v1/workers/a%20b",
                                       "/v1/workers/%C3%A9"};
  for (size_t i = 0; i < sizeof bad_id / sizeof *bad_id; i++)
    refused(YOI_SURFACE_RUNTIME, "GET", bad_id[i], YOI_CODE_INVALID_IDENTIFIER);
  static const char *const bad[] = {"/v1/workers/a%", "/v1/workers/a%2", "/v1/workers/%zz",
                                    "/v1/workers/a%00", "/%"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refused(YOI_SURFACE_RUNTIME, "GET", bad[i], YOI_CODE_INVALID_REQUEST);
  struct routed r;
  route(YOI_SURFACE_RUNTIME, "GET", "/v1/%77orkers/%61", &r);
  assert_int_equal(r.m.op, YOI_OP_WORKER_GET);
  assert_string_equal(r.m.worker_id, "a");
  char longest[128] = "/v1/workers/";
  memset(longest + 12, 'a', 64);
  route(YOI_SURFACE_RUNTIME, "GET", longest, &r);
  assert_int_equal(r.st, YOI_OK);
  longest[76] = 'a';
  refused(YOI_SURFACE_RUNTIME, "GET", longest, YOI_CODE_INVALID_IDENTIFIER);
}

static void query_becomes_the_body(void **state) {
  (void)state;
  gives("/v1/workers", "");
  gives("/v1/workers?", "");
  gives("/v1/workers?limit=7", "{\"limit\":7}");
  gives("/v1/workers?after=w1&limit=256&state=idle",
        "{\"after\":\"w1\",\"limit\":256,\"state\":\"idle\"}");
  gives("/v1/workers?%6Cimit=%37", "{\"limit\":7}");
  gives("/v1/workers?state=a%22b", "{\"state\":\"a\\\"b\"}");
  gives("/v1/workers?state=a=b+c", "{\"state\":\"a=b+c\"}");
  gives("/v1/workers/a/transcript?start=0&limit=1", "{\"start\":0,\"limit\":1}");
  gives("/v1/workers/a/transcript?start=9007199254740991", "{\"start\":9007199254740991}");
  gives("/v1/workers/a/events?cursor=c", "{\"cursor\":\"c\"}");
  struct routed r;
  route(YOI_SURFACE_BROWSER, "GET", "/api/runtimes/r-1", &r);
  assert_string_equal(r.body, "{\"runtime_id\":\"r-1\"}");
}

static void last_event_id_wins(void **state) {
  (void)state;
  struct routed r;
  route_with(YOI_SURFACE_RUNTIME, "GET", "/v1/workers/a/events?cursor=old",
             "Last-Event-ID: new\r\n", &r);
  assert_string_equal(r.body, "{\"cursor\":\"new\"}");
  route_with(YOI_SURFACE_RUNTIME, "GET", "/v1/workers/a/events?cursor=old", "Last-Event-ID:\r\n",
             &r);
  assert_string_equal(r.body, "{\"cursor\":\"old\"}");
  route_with(YOI_SURFACE_RUNTIME, "GET", "/v1/workers/a/events", "Last-Event-ID: \xff\r\n", &r);
  assert_int_equal(r.err.e.code, YOI_CODE_INVALID_REQUEST);
}

static void bad_queries(void **state) {
  (void)state;
  static const char *const bad[] = {
      "/v1/workers?unknown=1", "/v1/workers?limit=1&limit=1", "/v1/workers?limit", "/v1/workers?=1",
      "/v1/workers?limit=1&", "/v1/workers?&limit=1", "/v1/workers?limit=", "/v1/workers?limit=0",
      "/v1/workers?limit=01", "/v1/workers?limit=+1", "/v1/workers?limit=-1",
      "/v1/workers?limit=1.0", "/v1/workers?limit=%31%", "/v1/workers?state=",
      "/v1/workers?state=%FF", "/v1/workers?state=%00",
      "/v1/workers?cursor=x", "/v1/workers?wait=1", "/v1/workers?Limit=1",
      "/v1/workers/a/transcript?start=-1", "/v1/workers/a?limit=1", "/v1/runtime?x=1",
      "/healthz?x=1",
      "/healthz?timeout=1", "/v1/workers?timeout=0", "/v1/workers?timeout=x",
      "/v1/workers?timeout=1&timeout=1", "/v1/workers/a/events?wait=-1",
      "/v1/workers/a/events?wait=1&wait=2", "/v1/workers/a/events?limit=0"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refused(YOI_SURFACE_RUNTIME, "GET", bad[i], YOI_CODE_INVALID_REQUEST);
  static const char *const large[] = {
      "/v1/workers?limit=257", "/v1/workers?limit=99999999999999999999999",
      "/v1/workers/a/transcript?start=9007199254740992", "/v1/workers/a/events?wait=601",
      "/v1/workers/a/events?limit=257"};
  for (size_t i = 0; i < sizeof large / sizeof *large; i++)
    refused(YOI_SURFACE_RUNTIME, "GET", large[i], YOI_CODE_LIMIT_TOO_LARGE);
  struct routed r;
  route(YOI_SURFACE_RUNTIME, "GET", "/v1/workers?limit=1&limit=2", &r);
  assert_string_equal(r.err.details, "{\"parameter\":\"limit\"}");
  route(YOI_SURFACE_RUNTIME, "GET", "/v1/workers?li%22mt%0A=10", &r);
  assert_string_equal(r.err.details, "{\"parameter\":\"li\\\"mt\\n\"}");
}

static void the_ingress_has_parameters_of_its_own(void **state) {
  (void)state;
  struct routed r;
  route(YOI_SURFACE_RUNTIME, "GET", "/v1/workers/a/events?wait=1.25&limit=9&cursor=c", &r);
  assert_int_equal(r.st, YOI_OK);
  assert_string_equal(r.body, "{\"cursor\":\"c\"}");
  assert_true(r.params.has_wait && r.params.has_limit);
  assert_int_equal(r.params.wait_ms, 1250);
  assert_int_equal(r.params.limit, 9);
  route(YOI_SURFACE_RUNTIME, "POST", "/v1/workers/a/input?wait=0&timeout=900", &r);
  assert_int_equal(r.st, YOI_OK);
  assert_int_equal(r.params.wait_ms, 0);
  assert_int_equal(r.params.timeout_ms, YOI_DEADLINE_MS_MAX);
  route(YOI_SURFACE_RUNTIME, "POST", "/v1/workers/a/stop?wait=1", &r);
  assert_int_equal(r.err.e.code, YOI_CODE_INVALID_REQUEST);
}

static size_t body_max(uint32_t op) {
  return http_route_body_max(&(struct http_match){.kind = HTTP_KIND_OP, .op = op});
}

static void bodies_have_their_sizes(void **state) {
  (void)state;
  assert_int_equal(body_max(YOI_OP_WORKER_CREATE), YOI_CREATE_BYTES_MAX);
  assert_int_equal(body_max(YOI_OP_WORKER_INPUT), YOI_BODY_BYTES_MAX);
  assert_int_equal(body_max(YOI_OP_BUNDLE_PUT), YOI_BODY_BYTES_MAX);
  assert_int_equal(body_max(YOI_OP_WORKER_GET), 0);
  assert_int_equal(body_max(YOI_OP_WORKER_DELETE), 0);
  assert_true(body_max(YOI_OP_WORKER_STOP) > YOI_REASON_MAX);
}

static void values_of_fields(void **state) {
  (void)state;
  yoi_str out;
  uint64_t ms = 0;
  assert_int_equal(http_accept_bits(YOI_LIT("text/html, Text/Event-Stream;q=0.5")),
                   HTTP_ACCEPT_SSE);
  assert_int_equal(http_accept_bits(YOI_LIT("*/*")), 0);
  assert_int_equal(http_accept_bits(YOI_LIT("application/json;q=0.0, a")), 0);
  assert_true(http_is_json(YOI_LIT("Application/JSON; Charset=UTF-8")));
  assert_true(http_is_json(YOI_LIT("application/json")));
  assert_false(http_is_json(YOI_LIT("application/json; charset=latin1")));
  assert_false(http_is_json(YOI_LIT("application/jsonp")));
  assert_false(http_is_json(YOI_LIT("text/plain")));
  assert_true(http_idempotency_key(YOI_LIT("\"k-1\""), &out) && yoi_sdk_str_is(out, "k-1"));
  assert_true(http_idempotency_key(YOI_LIT("k-1"), &out) && yoi_sdk_str_is(out, "k-1"));
  assert_false(http_idempotency_key(YOI_LIT("\"k"), &out));
  assert_false(http_idempotency_key(YOI_LIT("\"\""), &out));
  assert_false(http_idempotency_key(YOI_LIT("a b"), &out));
  assert_int_equal(http_seconds(YOI_LIT("0.3"), 1000, &ms), 1);
  assert_int_equal(ms, 300);
  assert_int_equal(http_seconds(YOI_LIT("1"), 1000, &ms), 1);
  assert_int_equal(http_seconds(YOI_LIT("1.001"), 1000, &ms), 2);
  assert_int_equal(http_seconds(YOI_LIT("99999999999999999999999"), 1000, &ms), 2);
  static const char *const no[] = {"", ".", "1.", ".5", "1.0000", "01", "1e3", " 1", "-1", "1,5"};
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    assert_int_equal(http_seconds(yoi_sdk_str(no[i]), 1000, &ms), 0);
}

static void tags_that_a_caller_has(void **state) {
  static const char *const yes[] = {"\"t:1\"", "*", "W/\"t:1\"", "\"a\", \"t:1\"", " \"t:1\" ,",
                                    "W/\"a\",\"b\",W/\"t:1\""};
  static const char *const no[] = {"",          "t:1",        "\"t:1",       "\"t:2\"", "\"T:1\"",
                                   "w/\"t:1\"", "W/ \"t:1\"", "\"a, t:1, b\"", "**",      "W/*"};
  (void)state;
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    assert_true(http_none_match(yoi_sdk_str(yes[i]), YOI_LIT("t:1")));
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    assert_false(http_none_match(yoi_sdk_str(no[i]), YOI_LIT("t:1")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_operation_has_its_route),
      cmocka_unit_test(surfaces_do_not_mix),
      cmocka_unit_test(head_is_get_without_body),
      cmocka_unit_test(probes_need_no_token),
      cmocka_unit_test(allow_names_the_methods),
      cmocka_unit_test(odd_paths),
      cmocka_unit_test(query_becomes_the_body),
      cmocka_unit_test(last_event_id_wins),
      cmocka_unit_test(bad_queries),
      cmocka_unit_test(the_ingress_has_parameters_of_its_own),
      cmocka_unit_test(bodies_have_their_sizes),
      cmocka_unit_test(values_of_fields),
      cmocka_unit_test(tags_that_a_caller_has),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
