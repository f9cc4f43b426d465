/* yoi_host_reload as an application sees it: plugins that are built, a config as
 * text, in step mode; also when memory is short at any place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <yoi.h>

#define MODEL(says)                                                                                \
  "{\"name\":\"main\",\"plugin\":\"dev.yoi.model-script\",\"config\":{\"steps\":[{\"say\":\"" says \
  "\"}]}}"
#define RUNTIME(id, keys) "{\"id\":\"" id "\",\"plugin\":\"dev.yoi.embedded\"" keys "}"

static struct yoi_embed *host; /* process-wide: a test at a time */

/* A config of step mode; its text is good until the next call. */
static yoi_str config(const char *runtimes, const char *models) {
  static char text[4096]; /* process-wide: as above */
  const char *build = getenv("YOI_BUILD");
  assert_non_null(build);
  int n = snprintf(text, sizeof text,
                   "{\"step\":true,\"log\":{\"level\":\"error\"},\"drain_ms\":0,"
                   "\"plugin_path\":[\"%s/runtimes\",\"%s/plugins\"],\"runtimes\":[%s],"
                   "\"models\":[%s]}",
                   build, build, runtimes, models);
  assert_true(n > 0 && (size_t)n < sizeof text);
  return (yoi_str){text, (size_t)n};
}

static void begin(void) {
  struct yoi_sdk_error e;
  yoi_error *err = yoi_sdk_error_init(&e);
  yoi_str c = config(RUNTIME("main", ""), MODEL("one"));
  if (yoi_host_new(c.ptr, c.len, NULL, &host, err) != YOI_OK || yoi_host_start(host, err) != YOI_OK)
    fail_msg("%s", e.message);
}

static void end(void) {
  yoi_host_free(host);
  host = NULL;
}

static yoi_status reload(yoi_str c, struct yoi_sdk_error *e) {
  return yoi_host_reload(host, c.ptr, c.len, NULL, NULL, NULL, yoi_sdk_error_init(e));
}

/* The code of an operation; 0: it went well. */
static int32_t ask(const char *runtime, uint32_t op, const char *worker, const char *body) {
  const yoi_request req = {
      .size = sizeof req, .op = op, .worker_id = yoi_sdk_str(worker), .body = yoi_sdk_str(body)};
  struct yoi_sdk_error e;
  char *text = NULL;
  yoi_status st =
      yoi_call_sync(host, yoi_sdk_str(runtime), &req, &text, NULL, yoi_sdk_error_init(&e));
  yoi_free(text);
  return st == YOI_OK ? 0 : e.e.code;
}

static int32_t describe(const char *runtime) {
  return ask(runtime, YOI_OP_RUNTIME_DESCRIBE, "", "");
}

static void runtimes_of_the_application_stay(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  static const char own[] = RUNTIME("own", "");
  begin();
  assert_int_equal(yoi_host_add_runtime(host, own, sizeof own - 1, NULL), YOI_OK);
  assert_int_equal(ask("own", YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"w\"}"), 0);
  assert_int_equal(reload(config(RUNTIME("second", ""), MODEL("two")), &e), YOI_OK);
  assert_int_equal(describe("main"), YOI_CODE_RUNTIME_NOT_FOUND);
  assert_int_equal(describe("second"), 0);
  assert_int_equal(ask("own", YOI_OP_WORKER_GET, "w", ""), 0);
  assert_int_equal(reload(config(RUNTIME("own", "") "," RUNTIME("main", ""), MODEL("one")), &e),
                   YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "runtime 'own' was added by the application"));
  assert_int_equal(describe("main"), YOI_CODE_RUNTIME_NOT_FOUND);
  assert_int_equal(yoi_host_remove_runtime(host, YOI_LIT("own"), 20000, NULL), YOI_OK);
  assert_int_equal(reload(config(RUNTIME("own", ""), MODEL("one")), &e), YOI_OK);
  assert_int_equal(ask("own", YOI_OP_WORKER_GET, "w", ""), YOI_CODE_WORKER_NOT_FOUND);
  end();
}

struct inside {
  yoi_status st;
  int called;
};

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct inside *i = ctx;
  struct yoi_sdk_error e;
  (void)st;
  (void)err;
  if (ev == NULL) return;
  i->called = 1;
  i->st = reload(config(RUNTIME("second", ""), MODEL("two")), &e);
}

static void a_callback_may_not_reload(void **state) {
  (void)state;
  struct inside i = {YOI_OK, 0};
  const yoi_request req = {.size = sizeof req, .op = YOI_OP_RUNTIME_DESCRIBE};
  begin();
  assert_int_equal(yoi_call(host, YOI_LIT("main"), &req, on_event, &i, NULL, NULL), YOI_OK);
  for (int n = 0; n < 1000 && !i.called; n++)
    assert_int_equal(yoi_host_step(host, 20, NULL), YOI_OK);
  assert_int_equal(i.st, YOI_FAILED_PRECONDITION);
  assert_int_equal(describe("second"), YOI_CODE_RUNTIME_NOT_FOUND);
  end();
}

/* Whatever allocation fails, of the first ten and one in ten of the rest: all of the
 * new config, or nothing of it. */
static void memory_may_be_short_at_any_place(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  int refused = 0, taken = 0;
  begin();
  for (uint64_t n = 1; taken < 2; n += 1 + n / 10) {
    assert_true(n < 10000000);
    static const char *const limits[] = {"{\"limits\":{\"workers\":3}}", "{}"};
    char runtimes[256];
    (void)snprintf(runtimes, sizeof runtimes,
                   RUNTIME("main", ",\"config\":%s") "," RUNTIME("second", ""), limits[taken]);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = reload(config(runtimes, MODEL("two")), &e);
    (void)yoi_sdk_mem_fail_at(0);
    assert_int_equal(describe("main"), 0);
    if (st == YOI_OK) {
      taken++;
      assert_int_equal(describe("second"), 0);
      assert_int_equal(reload(config(RUNTIME("main", ""), MODEL("one")), &e), YOI_OK);
    } else {
      refused++;
      assert_int_equal(describe("second"), YOI_CODE_RUNTIME_NOT_FOUND);
    }
  }
  assert_true(refused > 10);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runtimes_of_the_application_stay),
      cmocka_unit_test(a_callback_may_not_reload),
      cmocka_unit_test(memory_may_be_short_at_any_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
