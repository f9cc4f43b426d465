/* The bundles of a host: what it tells of them, what it finds of them in a
 * runtime that answers, lacks, mixes up, hangs or knows no bundles, and what it
 * gives on request. */
#include "host/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/stream.h>

#include "host/clock.h"
#include "support/host_fixture.h"

#define HEX(d) d d d d d d d d d d d d d d d d d d d d d d d d d d d d d d d d
#define DIGEST(d) "sha256:" HEX(d d)

/* In the order of the config, which is not that of the digests. */
static const struct {
  const char *id, *digest, *detail, *only;
} bundles[] = {
    {"team", DIGEST("5"), "main@4867ab2", NULL}, {"lost", DIGEST("3"), "", NULL},
    {"alias", DIGEST("4"), "", NULL},            {"swap", DIGEST("2"), "", NULL},
    {"hang", DIGEST("6"), "", NULL},             {"none", DIGEST("1"), "", NULL},
    {"away", DIGEST("7"), "", "b"},              {"odd", DIGEST("8"), "", NULL},
};
#define BUNDLES (sizeof bundles / sizeof *bundles)

static const yoi_host *fake_host; /* process-wide: there is one runtime at a time */
static struct yoi_sdk_queue *hanging;
static int asked, gave;

static yoi_status fake_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  (void)config;
  (void)err;
  fake_host = host;
  *out_self = &fake_host;
  return YOI_OK;
}

static void fake_close(void *self) {
  (void)self;
}

static yoi_status say(yoi_stream **out, const char *id, const char *digest) {
  char text[256];
  (void)snprintf(text, sizeof text, "{\"bundle\":{\"id\":\"%s\",\"digest\":\"%s\",\"bytes\":7}}",
                 id, digest);
  *out = yoi_sdk_stream_one(yoi_sdk_str(text), 0);
  return YOI_OK;
}

/* What it does is in the id of the bundle that it is asked for. */
static yoi_status fake_start(void *self, const yoi_request *req, yoi_stream **out,
                             yoi_error *err) {
  size_t i = 0;
  (void)self;
  if (req->op != YOI_OP_BUNDLE_HAVE && req->op != YOI_OP_BUNDLE_PUT)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "asked for something else");
  asked++;
  while (i < BUNDLES && !yoi_sdk_str_is(req->subject, bundles[i].digest)) i++;
  assert_true(i < BUNDLES);
  if (req->op == YOI_OP_BUNDLE_PUT) {
    gave++;
    assert_true(yoi_sdk_str_is(req->body, bundles[i].id));
  } else {
    assert_int_equal(req->body.len, 0);
  }
  if (strcmp(bundles[i].id, "lost") == 0 && gave == 0)
    return yoi_sdk_fail(err, YOI_CODE_BUNDLE_NOT_FOUND, "it is not here");
  if (strcmp(bundles[i].id, "none") == 0)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "no bundles at all");
  if (strcmp(bundles[i].id, "alias") == 0) return say(out, "other", bundles[i].digest);
  if (strcmp(bundles[i].id, "swap") == 0) return say(out, bundles[i].id, DIGEST("9"));
  if (strcmp(bundles[i].id, "odd") == 0) {
    *out = yoi_sdk_stream_one(YOI_LIT("{\"bundle\":\"team\"}"), 0);
    return YOI_OK;
  }
  if (strcmp(bundles[i].id, "hang") == 0) {
    if (hanging != NULL) yoi_sdk_queue_drop(hanging);
    hanging = yoi_sdk_queue_new(fake_host, req->token, 64, NULL, NULL, NULL);
    *out = yoi_sdk_queue_stream(hanging);
    return YOI_OK;
  }
  return say(out, bundles[i].id, bundles[i].digest);
}

static const yoi_runtime fake_table = {.size = sizeof fake_table,
                                       .thread_model = YOI_PARALLEL,
                                       .open = fake_open,
                                       .close = fake_close,
                                       .start = fake_start};

struct rig {
  struct host_fixture f;
  struct yoi_sdk_bundle made[BUNDLES];
  struct yoi__config_bundle all[BUNDLES];
  yoi_str only[BUNDLES];
};

static void rig_init(struct rig *r) {
  memset(r, 0, sizeof *r);
  asked = gave = 0;
  for (size_t i = 0; i < BUNDLES; i++) {
    r->made[i] = (struct yoi_sdk_bundle){.id = yoi_sdk_str(bundles[i].id),
                                         .revision = YOI_LIT("7"),
                                         .workspace_id = YOI_LIT("acme"),
                                         .created_at = YOI_LIT("2026-06-26T00:00:00Z"),
                                         .source = YOI_LIT("git"),
                                         .detail = yoi_sdk_str(bundles[i].detail)};
    memcpy(r->made[i].digest, bundles[i].digest, sizeof r->made[i].digest);
    r->all[i] = (struct yoi__config_bundle){.it = &r->made[i], .bytes = r->made[i].id};
    if (bundles[i].only == NULL) continue;
    r->only[i] = yoi_sdk_str(bundles[i].only);
    r->all[i].runtimes = (struct yoi__config_names){1, &r->only[i], 1};
  }
  host_fixture_init(&r->f, 1);
  r->f.config.bundles = r->all;
  r->f.config.n_bundles = BUNDLES;
  host_fixture_runtime(&r->f, "a", &fake_table);
}

static void rig_close(struct rig *r) {
  host_fixture_stop(&r->f);
  if (hanging != NULL) yoi_sdk_queue_drop(hanging);
  hanging = NULL;
}

static yoi_status ask(struct rig *r, uint32_t op, const char *digest, const char *body,
                      char **out_text, struct yoi_sdk_error *e) {
  yoi_request req = fixture_request(op);
  req.body = yoi_sdk_str(body);
  req.subject = yoi_sdk_str(digest);
  *out_text = NULL;
  return yoi_call_sync(r->f.host, YOI_LIT(""), &req, out_text, NULL, yoi_sdk_error_init(e));
}

static void test_the_hosts_bundles_are_listed(void **state) {
  struct rig r;
  struct yoi_sdk_error e;
  char *text;
  yoi_sdk_json *tree = NULL;
  (void)state;
  rig_init(&r);
  host_fixture_start(&r.f);
  assert_int_equal(ask(&r, YOI_OP_HOST_BUNDLES, "", "", &text, &e), YOI_OK);
  assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(text), 0, &tree, NULL), YOI_OK);
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(tree, "bundles"));
  yoi_str last = {"", 0}, digest = {"", 0};
  size_t n = 0;
  for (; v != NULL; v = yoi_sdk_json_next(v), n++) {
    assert_true(yoi_sdk_json_str(yoi_sdk_json_get(v, "digest"), &digest));
    assert_true(yoi_sdk_str_cmp(last, digest) < 0);
    last = digest;
  }
  assert_int_equal(n, BUNDLES);
  assert_non_null(
      strstr(text, "{\"id\":\"team\",\"digest\":\"" DIGEST(
                       "5") "\",\"revision\":\"7\",\"workspace_id\":\"acme\",\"created_at\":\"2026-"
                            "06-26T00:00:00Z\",\"provenance\":{\"source\":\"git\",\"detail\":"
                            "\"main@4867ab2\"}}"));
  assert_non_null(strstr(text, "\"provenance\":{\"source\":\"git\"}}"));
  assert_non_null(strstr(text, "],\"next\":null}"));
  assert_int_equal(asked, 0);
  yoi_sdk_json_free(tree);
  yoi_free(text);
  assert_int_equal(ask(&r, YOI_OP_HOST_BUNDLES, "", "{\"limit\":1}", &text, &e),
                   YOI_INVALID_ARGUMENT);
  rig_close(&r);
}

static void test_no_bundles_are_an_empty_list(void **state) {
  struct rig r;
  struct yoi_sdk_error e;
  char *text;
  (void)state;
  rig_init(&r);
  r.f.config.n_bundles = 0;
  host_fixture_start(&r.f);
  assert_int_equal(ask(&r, YOI_OP_HOST_BUNDLES, "", "", &text, &e), YOI_OK);
  assert_string_equal(text, "{\"bundles\":[],\"next\":null}");
  yoi_free(text);
  assert_int_equal(
      ask(&r, YOI_OP_HOST_BUNDLE_STATUS, "", "{\"runtime_id\":\"a\"}", &text, &e), YOI_OK);
  assert_string_equal(text, "{\"runtime_id\":\"a\",\"bundles\":[]}");
  yoi_free(text);
  rig_close(&r);
}

static const char *status_of(const yoi_sdk_json *tree, const char *id) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(tree, "bundles"));
  yoi_str s = {"", 0};
  for (; v != NULL; v = yoi_sdk_json_next(v)) {
    assert_true(yoi_sdk_json_str(yoi_sdk_json_get(v, "id"), &s));
    if (!yoi_sdk_str_is(s, id)) continue;
    assert_true(yoi_sdk_json_str(yoi_sdk_json_get(v, "checked_at"), &s));
    assert_int_equal(s.len, YOI_SDK_TIME_SIZE - 1);
    assert_true(yoi_sdk_json_str(yoi_sdk_json_get(v, "status"), &s));
    return s.ptr;
  }
  return "(none)";
}

static void test_what_a_runtime_has(void **state) {
  static const char *const rows[][2] = {
      {"team", "available"}, {"lost", "missing"}, {"alias", "mismatch"},   {"swap", "mismatch"},
      {"hang", "unknown"},   {"none", "unknown"}, {"away", "not_allowed"}, {"odd", "unknown"}};
  struct rig r;
  struct yoi_sdk_error e;
  char *text;
  yoi_sdk_json *tree = NULL;
  (void)state;
  rig_init(&r);
  host_fixture_start(&r.f);
  uint64_t began = yoi__now_ns();
  assert_int_equal(
      ask(&r, YOI_OP_HOST_BUNDLE_STATUS, "", "{\"runtime_id\":\"a\"}", &text, &e), YOI_OK);
  assert_true(yoi__now_ns() - began >= YOI_LIST_ALL_MS * YOI__MS); /* of the one that hangs */
  assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(text), 0, &tree, NULL), YOI_OK);
  assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(tree, "bundles")), BUNDLES);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_string_equal(status_of(tree, rows[i][0]), rows[i][1]);
  assert_int_equal(asked, BUNDLES - 1); /* not for the one that is not allowed */
  assert_int_equal(gave, 0);
  yoi_sdk_json_free(tree);
  yoi_free(text);
  rig_close(&r);
}

static void sync_is(struct rig *r, const char *digest, int32_t code) {
  struct yoi_sdk_error e;
  char *text;
  yoi_status st = ask(r, YOI_OP_HOST_BUNDLE_SYNC, digest, "{\"runtime_id\":\"a\"}", &text, &e);
  assert_int_not_equal(st, YOI_OK);
  assert_string_equal(yoi_sdk_code_name(e.e.code), yoi_sdk_code_name(code));
}

static void test_a_bundle_is_given_on_request(void **state) {
  struct rig r;
  struct yoi_sdk_error e;
  char *text;
  (void)state;
  rig_init(&r);
  host_fixture_start(&r.f);
  assert_int_equal(
      ask(&r, YOI_OP_HOST_BUNDLE_SYNC, DIGEST("3"), "{\"runtime_id\":\"a\"}", &text, &e), YOI_OK);
  assert_int_equal(gave, 1);
  static const char begins[] = "{\"runtime_id\":\"a\",\"bundle\":{\"id\":\"lost\",\"digest\":\"";
  assert_int_equal(strncmp(text, begins, sizeof begins - 1), 0);
  assert_non_null(strstr(text, "\"status\":\"available\",\"checked_at\":\"2"));
  yoi_free(text);
  sync_is(&r, DIGEST("1"), YOI_CODE_UNSUPPORTED_OPERATION);
  assert_int_equal(gave, 2);
  sync_is(&r, DIGEST("7"), YOI_CODE_POLICY_DENIED);
  sync_is(&r, DIGEST("a"), YOI_CODE_BUNDLE_NOT_FOUND);
  sync_is(&r, "sha256:1", YOI_CODE_INVALID_IDENTIFIER);
  sync_is(&r, "team", YOI_CODE_INVALID_IDENTIFIER);
  assert_int_equal(gave, 2);
  host_fixture_instance(&r.f, "a")->deadline_ms = 50;
  sync_is(&r, DIGEST("6"), YOI_CODE_TIMEOUT);
  assert_int_equal(
      ask(&r, YOI_OP_HOST_BUNDLE_SYNC, DIGEST("3"), "{\"runtime_id\":\"b\"}", &text, &e),
      YOI_NOT_FOUND);
  assert_int_equal(e.e.code, YOI_CODE_RUNTIME_NOT_FOUND);
  assert_int_equal(ask(&r, YOI_OP_HOST_BUNDLE_SYNC, DIGEST("3"), "", &text, &e),
                   YOI_INVALID_ARGUMENT);
  rig_close(&r);
}

/* ---- policy --------------------------------------------------------------- */

static char denied[32]; /* process-wide, like the table: what the policy says no to */
static char heard[512];

static yoi_status policy_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  (void)host;
  (void)config;
  (void)err;
  *out_self = denied;
  return YOI_OK;
}

static yoi_status policy_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                               yoi_error *err) {
  size_t n = strlen(heard);
  (void)self;
  (void)snprintf(heard + n, sizeof heard - n, "%.*s ", YOI_ARG(req->operation));
  *out = yoi_sdk_stream_one(yoi_sdk_str_is(req->operation, denied)
                                ? YOI_LIT("{\"decision\":\"deny\"}")
                                : YOI_LIT("{\"decision\":\"allow\"}"),
                            0);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_policy policy_table = {.size = sizeof policy_table,
                                        .thread_model = YOI_PARALLEL,
                                        .open = policy_open,
                                        .close = fake_close,
                                        .start = policy_start};

/* Each operation is asked about, and what it asks of the runtime as well. */
static void test_policy_is_asked(void **state) {
  static const struct {
    uint32_t op;
    const char *denied, *heard;
  } rows[] = {
      {YOI_OP_HOST_BUNDLES, "", "host.bundles "},
      {YOI_OP_HOST_BUNDLES, "host.bundles", "host.bundles "},
      {YOI_OP_HOST_BUNDLE_STATUS, "", "host.bundle_status bundle.have "},
      {YOI_OP_HOST_BUNDLE_STATUS, "host.bundle_status", "host.bundle_status "},
      {YOI_OP_HOST_BUNDLE_SYNC, "", "host.bundle_sync bundle.put "},
      {YOI_OP_HOST_BUNDLE_SYNC, "host.bundle_sync", "host.bundle_sync "},
      {YOI_OP_HOST_BUNDLE_SYNC, "bundle.put", "host.bundle_sync bundle.put "},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct rig r;
    struct yoi_sdk_error e;
    char *text;
    int sync = rows[i].op == YOI_OP_HOST_BUNDLE_SYNC, all = rows[i].op == YOI_OP_HOST_BUNDLES;
    rig_init(&r);
    r.f.config.n_bundles = 1;
    host_fixture_policy(&r.f, "dev.yoi.test.policy", "{}", &policy_table);
    host_fixture_start(&r.f);
    (void)snprintf(denied, sizeof denied, "%s", rows[i].denied);
    heard[0] = '\0';
    yoi_status st = ask(&r, rows[i].op, sync ? DIGEST("5") : "",
                        all ? "" : "{\"runtime_id\":\"a\"}", &text, &e);
    assert_string_equal(heard, rows[i].heard);
    if (rows[i].denied[0] != '\0')
      assert_int_equal(e.e.code, YOI_CODE_POLICY_DENIED);
    else
      assert_int_equal(st, YOI_OK);
    yoi_free(text);
    rig_close(&r);
  }
}

static void test_memory_is_short(void **state) {
  static const uint32_t ops[] = {YOI_OP_HOST_BUNDLES, YOI_OP_HOST_BUNDLE_STATUS,
                                 YOI_OP_HOST_BUNDLE_SYNC};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    struct rig r;
    int more = 1;
    rig_init(&r);
    r.f.config.n_bundles = 2;
    host_fixture_start(&r.f);
    for (uint64_t n = 1; more; n++) {
      struct yoi_sdk_error e;
      char *text;
      gave = 1;
      (void)yoi_sdk_mem_fail_at(n);
      yoi_status st = ask(&r, ops[i], i == 2 ? DIGEST("5") : "",
                          i == 0 ? "" : "{\"runtime_id\":\"a\"}", &text, &e);
      more = yoi_sdk_mem_fail_at(0) >= n;
      if (st != YOI_OK) assert_true(e.e.message[0] != '\0');
      yoi_free(text);
    }
    rig_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_hosts_bundles_are_listed),
      cmocka_unit_test(test_no_bundles_are_an_empty_list),
      cmocka_unit_test(test_what_a_runtime_has),
      cmocka_unit_test(test_a_bundle_is_given_on_request),
      cmocka_unit_test(test_policy_is_asked),
      cmocka_unit_test(test_memory_is_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
