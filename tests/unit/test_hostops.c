/* test_hostops.c - what the host answers itself: lists over runtimes that
 * answer, fail, hang, or answer nonsense, side by side.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/stream.h>

#include "host/clock.h"
#include "support/files.h"
#include "support/host_fixture.h"

/* Each runtime's `self` is what it does. */
struct behaviour {
  const char *describe, *list; /* NULL: it fails */
  int hang;
  const yoi_host *host;
  struct yoi_sdk_queue *hanging;
  char body[64];
};

static struct behaviour *next_open; /* process-wide: open has no argument for it */

static yoi_status any_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)config;
  (void)err;
  next_open->host = host;
  *out_self = next_open++;
  return YOI_OK;
}

static void any_close(void *self) {
  (void)self;
}

static yoi_status any_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  struct behaviour *b = self;
  const char *text = req->op == YOI_OP_WORKER_LIST ? b->list : b->describe;
  (void)snprintf(b->body, sizeof b->body, "%.*s", YOI_ARG(req->body));
  if (b->hang) {
    b->hanging = yoi_sdk_queue_new(b->host, req->token, 65536, NULL, NULL, NULL);
    *out = yoi_sdk_queue_stream(b->hanging);
    return YOI_OK;
  }
  if (text == NULL) {
    yoi_status st = yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the store is gone");
    yoi_sdk_fail_private(err, "/canary/path");
    return st;
  }
  *out = yoi_sdk_stream_one(yoi_sdk_str(text), 0);
  return YOI_OK;
}

static const yoi_runtime any_table = {.size = sizeof any_table,
                                      .thread_model = YOI_PARALLEL,
                                      .open = any_open,
                                      .close = any_close,
                                      .start = any_start};

#define RUNTIMES 5
static const char *const ids[RUNTIMES] = {"a", "b", "c", "d", "e"};

static void set_up(struct host_fixture *f, struct behaviour *all, int step) {
  host_fixture_init(f, step);
  for (int i = 0; i < RUNTIMES; i++) host_fixture_runtime(f, ids[i], &any_table);
  next_open = all;
  host_fixture_start(f);
}

static void tear_down(struct host_fixture *f, struct behaviour *all) {
  host_fixture_stop(f);
  for (int i = 0; i < RUNTIMES; i++)
    if (all[i].hanging != NULL) yoi_sdk_queue_drop(all[i].hanging);
}

static yoi_status ask(struct host_fixture *f, uint32_t op, const char *body, yoi_sdk_json **out,
                      char **out_text, struct yoi_sdk_error *e) {
  yoi_request r = fixture_request(op);
  char *text = NULL;
  r.body = yoi_sdk_str(body);
  *out = NULL;
  yoi_status st = yoi_call_sync(f->host, YOI_LIT(""), &r, &text, NULL, yoi_sdk_error_init(e));
  if (st == YOI_OK && op != YOI_OP_HOST_METRICS)
    assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(text), 0, out, NULL), YOI_OK);
  if (out_text != NULL)
    *out_text = text;
  else
    yoi_free(text);
  return st;
}

static const char *str_of(const yoi_sdk_json *v, const char *a, const char *b) {
  yoi_str s = {0};
  v = yoi_sdk_json_get(v, a);
  if (b != NULL) v = yoi_sdk_json_get(v, b);
  return yoi_sdk_json_str(v, &s) ? s.ptr : "(none)";
}

static const yoi_sdk_json *row_of(const yoi_sdk_json *tree, int i) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(tree, "runtimes"));
  while (i-- > 0) v = yoi_sdk_json_next(v);
  return v;
}

static const char *diagnostic_of(const yoi_sdk_json *v) {
  return str_of(yoi_sdk_json_first(yoi_sdk_json_get(v, "diagnostics")), "code", NULL);
}

#define DESCRIBE "{\"runtime\":{\"display_name\":\"X\",\"status\":\"ready\"}}"
#define LIST(next) "{\"workers\":[{\"worker_id\":\"w1\"}],\"next\":" next "}"

/* One answers, one fails, one hangs, one answers nonsense, one is not asked
 * less because of them. */
static void fill(struct behaviour *all) {
  memset(all, 0, RUNTIMES * sizeof *all);
  all[0] = (struct behaviour){.describe = DESCRIBE, .list = LIST("\"w1\"")};
  all[1] = (struct behaviour){0};
  all[2] = (struct behaviour){.hang = 1};
  all[3] = (struct behaviour){.describe = "[]", .list = "{\"workers\":{}}"};
  all[4] = (struct behaviour){.describe = DESCRIBE, .list = LIST("null")};
}

static void test_workers_of_all_runtimes(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct behaviour all[RUNTIMES];
    struct yoi_sdk_error e;
    yoi_sdk_json *tree;
    int truncated = -1;
    fill(all);
    set_up(&f, all, step);
    uint64_t begin = yoi__now_ns();
    assert_int_equal(ask(&f, YOI_OP_HOST_WORKERS, "{\"limit\":1}", &tree, NULL, &e), YOI_OK);
    uint64_t took = yoi__now_ns() - begin;
    assert_true(took >= YOI_LIST_ALL_MS * YOI__MS); /* the dead one's limit, once */
    assert_true(took < 3 * YOI_LIST_ALL_MS * YOI__MS);
    assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(tree, "runtimes")), RUNTIMES);
    for (int i = 0; i < RUNTIMES; i++)
      assert_string_equal(str_of(row_of(tree, i), "runtime_id", NULL), ids[i]);
    assert_string_equal(all[0].body, "{\"limit\":1}");
    assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(row_of(tree, 0), "workers")), 1);
    assert_string_equal(str_of(row_of(tree, 0), "next", NULL), "w1");
    assert_true(yoi_sdk_json_bool(yoi_sdk_json_get(row_of(tree, 0), "truncated"), &truncated));
    assert_int_equal(truncated, 1);
    assert_string_equal(diagnostic_of(row_of(tree, 0)), "(none)");
    assert_string_equal(diagnostic_of(row_of(tree, 1)), "store_error");
    assert_string_equal(diagnostic_of(row_of(tree, 2)), "timeout");
    assert_string_equal(diagnostic_of(row_of(tree, 3)), "internal");
    assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(row_of(tree, 3), "workers")), 0);
    assert_true(yoi_sdk_json_bool(yoi_sdk_json_get(row_of(tree, 4), "truncated"), &truncated));
    assert_int_equal(truncated, 0);
    assert_int_equal(yoi_sdk_json_type(yoi_sdk_json_get(row_of(tree, 4), "next")),
                     YOI_SDK_JSON_NULL);
    yoi_sdk_json_free(tree);
    tear_down(&f, all);
  }
}

static void test_runtimes_and_one_runtime(void **state) {
  struct host_fixture f;
  struct behaviour all[RUNTIMES];
  struct yoi_sdk_error e;
  yoi_sdk_json *tree;
  char *text = NULL;
  (void)state;
  fill(all);
  all[2].hang = 0; /* it fails at once */
  set_up(&f, all, 1);
  assert_int_equal(ask(&f, YOI_OP_HOST_RUNTIMES, "", &tree, &text, &e), YOI_OK);
  assert_null(strstr(text, "canary"));
  yoi_free(text);
  const yoi_sdk_json *row = row_of(tree, 0);
  assert_string_equal(str_of(row, "source", "kind"), "plugin");
  assert_string_equal(str_of(row, "source", "plugin"), "dev.yoi.test.fixture");
  assert_int_equal(yoi_sdk_json_type(yoi_sdk_json_get(row, "last_seen")), YOI_SDK_JSON_STRING);
  assert_string_equal(str_of(row, "runtime", "status"), "ready");
  row = row_of(tree, 1);
  assert_int_equal(yoi_sdk_json_type(yoi_sdk_json_get(row, "last_seen")), YOI_SDK_JSON_NULL);
  assert_string_equal(str_of(row, "runtime", "status"), "unreachable");
  assert_int_equal(
      yoi_sdk_json_count(yoi_sdk_json_get(yoi_sdk_json_get(row, "runtime"), "capabilities")), 0);
  assert_string_equal(diagnostic_of(yoi_sdk_json_get(row, "runtime")), "store_error");
  yoi_sdk_json_free(tree);

  assert_int_equal(ask(&f, YOI_OP_HOST_RUNTIME, "{\"runtime_id\":\"e\"}", &tree, NULL, &e), YOI_OK);
  assert_string_equal(str_of(tree, "runtime_id", NULL), "e");
  assert_string_equal(str_of(tree, "runtime", "status"), "ready");
  yoi_sdk_json_free(tree);
  tear_down(&f, all);
}

static void test_a_name_stays_while_nobody_answers(void **state) {
  static const char *const said[][2] = {
      {NULL, "Fixture"}, /* the plugin's: it has not said any yet */
      {DESCRIBE, "X"},
      {NULL, "X"},
      {"{\"runtime\":{\"display_name\":\"Y \\u0022\",\"status\":\"ready\"}}", "Y \""},
      {NULL, "Y \""},
      {"{\"runtime\":{\"display_name\":7,\"status\":\"ready\"}}", "(none)"},
      {NULL, "Y \""}};
  struct host_fixture f;
  struct behaviour all[RUNTIMES];
  struct yoi_sdk_error e;
  yoi_sdk_json *tree;
  (void)state;
  fill(all);
  set_up(&f, all, 1);
  for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
    all[0].describe = said[i][0];
    assert_int_equal(ask(&f, YOI_OP_HOST_RUNTIME, "{\"runtime_id\":\"a\"}", &tree, NULL, &e),
                     YOI_OK);
    assert_string_equal(str_of(tree, "runtime", "display_name"), said[i][1]);
    yoi_sdk_json_free(tree);
  }
  tear_down(&f, all);
}

static void test_the_operators_name_is_shown(void **state) {
  struct host_fixture f;
  struct behaviour all[RUNTIMES];
  struct yoi_sdk_error e;
  yoi_sdk_json *tree;
  (void)state;
  fill(all);
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "a", &any_table)->display_name = YOI_LIT("The \"A\"");
  next_open = all;
  host_fixture_start(&f);
  assert_int_equal(ask(&f, YOI_OP_HOST_RUNTIME, "{\"runtime_id\":\"a\"}", &tree, NULL, &e), YOI_OK);
  assert_string_equal(str_of(tree, "runtime", "display_name"), "The \"A\"");
  assert_string_equal(str_of(tree, "runtime", "status"), "ready");
  yoi_sdk_json_free(tree);
  tear_down(&f, all);
}

static void test_bodies_are_strict(void **state) {
  static const struct {
    uint32_t op;
    const char *body;
    int32_t code;
  } rows[] = {
      {YOI_OP_HOST_RUNTIME, "", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_RUNTIME, "{\"runtime_id\":7}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_RUNTIME, "{\"runtime_id\":\"A\"}", YOI_CODE_INVALID_IDENTIFIER},
      {YOI_OP_HOST_RUNTIME, "{\"runtime_id\":\"zz\"}", YOI_CODE_RUNTIME_NOT_FOUND},
      {YOI_OP_HOST_RUNTIME, "{\"runtime_id\":\"a\",\"x\":1}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_RUNTIME, "{", YOI_CODE_INVALID_JSON},
      {YOI_OP_HOST_RUNTIME, "[]", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_RUNTIMES, "{\"limit\":1}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_READY, "{\"a\":1}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_WORKERS, "{\"limit\":0}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_WORKERS, "{\"limit\":1.5}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_WORKERS, "{\"limit\":\"1\"}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_WORKERS, "{\"limit\":257}", YOI_CODE_LIMIT_TOO_LARGE},
      {YOI_OP_HOST_BUNDLES, "{\"limit\":1}", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_BUNDLE_STATUS, "", YOI_CODE_INVALID_REQUEST},
      {YOI_OP_HOST_BUNDLE_STATUS, "{\"runtime_id\":\"zz\"}", YOI_CODE_RUNTIME_NOT_FOUND},
      {YOI_OP_HOST_BUNDLE_STATUS, "{\"runtime_id\":\"a\",\"x\":1}", YOI_CODE_INVALID_REQUEST},
  };
  struct host_fixture f;
  struct behaviour all[RUNTIMES];
  struct yoi_sdk_error e;
  yoi_sdk_json *tree;
  (void)state;
  fill(all);
  set_up(&f, all, 1);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_not_equal(ask(&f, rows[i].op, rows[i].body, &tree, NULL, &e), YOI_OK);
    assert_int_equal(e.e.code, rows[i].code);
  }
  tear_down(&f, all);
}

/* Code that anybody has mapped is in the process of every host. */
static void test_mapped_plugins_are_the_process(void **state) {
  struct host_fixture f;
  char *text = NULL, *said = NULL;
  (void)state;
  host_fixture_init(&f, 1);
  host_fixture_start(&f);
  files_directory("plug");
  files_plugin("null", "plug/null.so");
  yoi_request r = fixture_request(YOI_OP_HOST_METRICS);
  assert_int_equal(yoi_call_sync(f.host, (yoi_str){0}, &r, &text, NULL, NULL), YOI_OK);
  assert_non_null(strstr(text, "\nyoi_plugins_mapped 0\n"));
  yoi_free(text);
  assert_int_equal(yoi_plugin_check("plug/null.so", YOI_PLUGIN_LOAD, &said, NULL, NULL), YOI_OK);
  assert_non_null(strstr(said, "\"loaded\":true"));
  yoi_free(said);
  assert_int_equal(yoi_call_sync(f.host, (yoi_str){0}, &r, &text, NULL, NULL), YOI_OK);
  assert_non_null(strstr(text, "\nyoi_plugins_mapped 1\n"));
  yoi_free(text);
  host_fixture_stop(&f);
}

static void test_ready_and_metrics(void **state) {
  struct host_fixture f;
  struct behaviour all[RUNTIMES];
  struct yoi_sdk_error e;
  yoi_sdk_json *tree;
  char *text = NULL;
  (void)state;
  fill(all);
  set_up(&f, all, 1);
  assert_int_equal(ask(&f, YOI_OP_HOST_READY, "", &tree, NULL, &e), YOI_OK);
  assert_string_equal(str_of(tree, "status", NULL), "ready");
  yoi_sdk_json_free(tree);
  assert_int_equal(ask(&f, YOI_OP_HOST_METRICS, "", &tree, &text, &e), YOI_OK);
  assert_non_null(strstr(text, "# TYPE yoi_wakes_stale_total counter\nyoi_wakes_stale_total "));
  assert_non_null(strstr(text, "\nyoi_log_dropped_total 0\n"));
  assert_non_null(strstr(text, "\nyoi_model_requests_total{result=\"ok\"} 0\n"));
  yoi_free(text);
  tear_down(&f, all);
}

/* Released, or cancelled, while runtimes are still being asked. */
static void test_a_list_may_be_left(void **state) {
  (void)state;
  for (int cancel = 0; cancel < 2; cancel++) {
    struct host_fixture f;
    struct behaviour all[RUNTIMES];
    struct yoi_sdk_error e;
    yoi_stream *s = NULL;
    const yoi_event *const *events = NULL;
    size_t n = 0;
    fill(all);
    set_up(&f, all, 1);
    yoi_request r = fixture_request(YOI_OP_HOST_WORKERS);
    assert_int_equal(yoi__registry_start(f.host, YOI_LIT(""), &r, &s, NULL), YOI_OK);
    assert_int_equal(s->ops->next(s, &events, &n, NULL), YOI_AGAIN);
    if (cancel) {
      s->ops->cancel(s);
      for (int again = 0; again < 2; again++)
        assert_int_equal(s->ops->next(s, &events, &n, yoi_sdk_error_init(&e)), YOI_CANCELLED);
    }
    s->ops->release(s);
    for (int i = 0; i < RUNTIMES; i++)
      assert_int_equal(atomic_load(&host_fixture_instance(&f, ids[i])->refs), 0);
    tear_down(&f, all);
  }
}

/* What does not fit its share is left out, and the row says so. */
static void test_a_large_answer_takes_nobodys_place(void **state) {
  struct host_fixture f;
  struct behaviour all[RUNTIMES];
  struct yoi_sdk_error e;
  yoi_sdk_json *tree;
  size_t len = YOI_JSON_BYTES_MAX / RUNTIMES;
  (void)state;
  fill(all);
  all[2].hang = 0;
  char *large = yoi_sdk_malloc(len + 64);
  memset(large, ' ', len + 64);
  memcpy(large, "{\"workers\":[", 12);
  memcpy(large + len, "],\"next\":null}", 15);
  all[0].list = large;
  set_up(&f, all, 1);
  assert_int_equal(ask(&f, YOI_OP_HOST_WORKERS, "", &tree, NULL, &e), YOI_OK);
  assert_string_equal(diagnostic_of(row_of(tree, 0)), "payload_too_large");
  assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(row_of(tree, 4), "workers")), 1);
  yoi_sdk_json_free(tree);
  yoi_sdk_free(large);
  tear_down(&f, all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_workers_of_all_runtimes),
      cmocka_unit_test(test_runtimes_and_one_runtime),
      cmocka_unit_test(test_a_name_stays_while_nobody_answers),
      cmocka_unit_test(test_the_operators_name_is_shown),
      cmocka_unit_test(test_bodies_are_strict),
      cmocka_unit_test(test_ready_and_metrics),
      cmocka_unit_test(test_mapped_plugins_are_the_process),
      cmocka_unit_test(test_a_list_may_be_left),
      cmocka_unit_test(test_a_large_answer_takes_nobodys_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
