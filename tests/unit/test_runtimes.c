/* test_runtimes.c - runtimes that come and go while the host runs: added,
 * asked and watched meanwhile, removed, and everything as before.
 */
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>

#include "host/clock.h"
#include "support/files.h"
#include "support/host_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_MEMORY 0 /* the allocator is the sanitizer's */
#else
#define COUNTS_MEMORY 1
#endif

/* ---- a host from its files --------------------------------------------- */

#define HOST(extra)                                                                              \
  "{\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\",\"runtimes\",\"plugins\"]," \
  "\"runtimes\":[{\"id\":\"first\",\"plugin\":\"dev.yoi.test.null\"}],"                          \
  "\"models\":[{\"name\":\"main\",\"plugin\":\"dev.yoi.model-script\","                          \
  "\"config\":{\"steps\":[{\"say\":\"begun \"},{\"stall\":true}]}}],\"ingress\":[]" extra "}"
#define THREADED "{\"id\":\"x\",\"plugin\":\"dev.yoi.test.threaded\"}"
#define EMBEDDED                                                                           \
  "// an entry may have comments\n{\"id\":\"x\",\"plugin\":\"dev.yoi.embedded\"} // also " \
  "at its end"

static struct yoi_embed *started(const char *json) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  const char *build = getenv("YOI_BUILD");
  yoi_status st = yoi_host_new(json, strlen(json), build == NULL ? "build" : build, &host,
                               yoi_sdk_error_init(&e));
  if (st == YOI_OK) st = yoi_host_start(host, &e.e);
  if (st != YOI_OK) fail_msg("%s (%s)", e.message, e.private_detail);
  return host;
}

static void add(struct yoi_embed *host, const char *json) {
  struct yoi_sdk_error e;
  yoi_status st = yoi_host_add_runtime(host, json, strlen(json), yoi_sdk_error_init(&e));
  if (st != YOI_OK) fail_msg("%s (%s)", e.message, e.private_detail);
}

static void refused(struct yoi_embed *host, const char *json, yoi_status st, const char *message) {
  struct yoi_sdk_error e;
  assert_int_equal(yoi_host_add_runtime(host, json, strlen(json), yoi_sdk_error_init(&e)), st);
  assert_string_equal(e.message, message);
}

static yoi_status ask(struct yoi_embed *host, const char *id, uint32_t op, const char *worker,
                      const char *body, struct yoi_sdk_error *e) {
  yoi_request r = {
      .size = sizeof r, .op = op, .worker_id = yoi_sdk_str(worker), .body = yoi_sdk_str(body)};
  char *text = NULL;
  yoi_status st = yoi_call_sync(host, yoi_sdk_str(id), &r, &text, NULL, yoi_sdk_error_init(e));
  yoi_free(text);
  return st;
}

/* ---- rounds ------------------------------------------------------------ */

struct caller {
  struct yoi_embed *host;
  _Atomic int stop, ok, gone, ended;
};

static void on_end(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct caller *c = ctx;
  if (ev != NULL) return;
  if (st == YOI_END)
    atomic_fetch_add(&c->ok, 1);
  else
    assert_true(err->code == YOI_CODE_SHUTTING_DOWN || err->code == 0);
  atomic_store(&c->ended, 1);
}

/* Calls; every third is cancelled at once. */
static void *calls(void *arg) {
  struct caller *c = arg;
  for (int i = 0; !atomic_load(&c->stop); i++) {
    struct yoi_sdk_error e;
    uint64_t id = 0;
    yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
    atomic_store(&c->ended, 0);
    yoi_status st = yoi_call(c->host, YOI_LIT("x"), &r, on_end, c, &id, yoi_sdk_error_init(&e));
    if (st != YOI_OK) {
      assert_true(e.e.code == YOI_CODE_RUNTIME_NOT_FOUND ||
                  e.e.code == YOI_CODE_RUNTIME_UNAVAILABLE || e.e.code == YOI_CODE_SHUTTING_DOWN);
      atomic_fetch_add(&c->gone, 1);
      (void)poll(NULL, 0, 1);
      continue;
    }
    if (i % 3 == 0) yoi_call_cancel(c->host, id);
    while (!atomic_load(&c->ended)) (void)poll(NULL, 0, 0);
    yoi_request all = {.size = sizeof all, .op = YOI_OP_HOST_RUNTIMES};
    char *text = NULL;
    if (i % 7 == 0 && yoi_call_sync(c->host, YOI_LIT(""), &all, &text, NULL, NULL) == YOI_OK)
      assert_non_null(strstr(text, "\"first\""));
    yoi_free(text);
  }
  return NULL;
}

static void wait_more(_Atomic int *what, int from) {
  uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
  while (atomic_load(what) <= from) {
    assert_true(yoi__now_ns() < until);
    (void)poll(NULL, 0, 1);
  }
}

static void test_a_hundred_rounds_under_load(void **state) {
  struct yoi_embed *host = started(HOST(",\"loops\":2"));
  struct caller callers[3];
  pthread_t threads[3];
  (void)state;
  size_t before = 0;
  int files = 0;
  for (int i = 0; i < 3; i++) {
    memset(&callers[i], 0, sizeof callers[i]);
    callers[i].host = host;
    assert_int_equal(pthread_create(&threads[i], NULL, calls, &callers[i]), 0);
  }
  for (int round = 0; round < 100; round++) {
    if (round == 20) {
      before = mallinfo2().uordblks;
      files = files_count("/proc/self/fd");
    }
    add(host, round % 4 == 3 ? EMBEDDED : THREADED);
    int ok = atomic_load(&callers[round % 3].ok);
    wait_more(&callers[round % 3].ok, ok);
    assert_int_equal(yoi_host_remove_runtime(host, YOI_LIT("x"), 5000, NULL), YOI_OK);
  }
  for (int i = 0; i < 3; i++) {
    wait_more(&callers[i].gone, atomic_load(&callers[i].gone));
    atomic_store(&callers[i].stop, 1);
    pthread_join(threads[i], NULL);
  }
  assert_int_equal(files_count("/proc/self/fd"), files);
  if (COUNTS_MEMORY) assert_true(mallinfo2().uordblks < before + 65536);
  yoi_host_free(host);
}

/* ---- turns and watchers ------------------------------------------------- */

struct watch {
  _Atomic int events, deltas, ended;
  char last[1024];
  yoi_status st;
};

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct watch *w = ctx;
  (void)err;
  if (ev != NULL) {
    (void)snprintf(w->last, sizeof w->last, "%u %.*s", ev->kind, YOI_ARG(ev->text));
    atomic_fetch_add(&w->events, 1);
    if (ev->kind == YOI_EVENT_TEXT_DELTA) atomic_fetch_add(&w->deltas, 1);
    return;
  }
  w->st = st;
  atomic_store(&w->ended, 1);
}

static void until(struct yoi_embed *host, _Atomic int *what) {
  uint64_t end = yoi__now_ns() + 20000 * YOI__MS;
  while (atomic_load(what) == 0) {
    assert_true(yoi__now_ns() < end);
    if (yoi_host_fd(host) >= 0)
      assert_int_equal(yoi_host_step(host, 20, NULL), YOI_OK);
    else
      (void)poll(NULL, 0, 1);
  }
}

static void remove_while_watched(const char *config) {
  struct yoi_embed *host = started(config);
  for (int round = 0; round < 3; round++) {
    struct watch idle = {0}, busy = {0};
    struct yoi_sdk_error e;
    add(host, EMBEDDED);
    assert_int_equal(ask(host, "x", YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"idle\"}", &e), 0);
    assert_int_equal(ask(host, "x", YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"busy\"}", &e), 0);
    yoi_request r = {.size = sizeof r, .op = YOI_OP_WORKER_EVENTS, .worker_id = YOI_LIT("idle")};
    assert_int_equal(yoi_call(host, YOI_LIT("x"), &r, on_event, &idle, NULL, NULL), YOI_OK);
    r.worker_id = YOI_LIT("busy");
    assert_int_equal(yoi_call(host, YOI_LIT("x"), &r, on_event, &busy, NULL, NULL), YOI_OK);
    until(host, &idle.events); /* the snapshots; deltas come after them */
    until(host, &busy.events);
    assert_int_equal(ask(host, "x", YOI_OP_WORKER_INPUT, "busy", "{\"content\":\"hi\"}", &e), 0);
    until(host, &busy.deltas); /* the model has begun, and stalls */
    assert_int_equal(yoi_host_remove_runtime(host, YOI_LIT("x"), 50, yoi_sdk_error_init(&e)),
                     YOI_DEADLINE_EXCEEDED);
    assert_string_equal(e.message, "work was cancelled at the deadline");
    struct watch *both[] = {&idle, &busy};
    for (int i = 0; i < 2; i++) {
      until(host, &both[i]->ended);
      assert_int_equal(both[i]->st, YOI_END);
      assert_non_null(strstr(both[i]->last, "\"reason\":\"draining\""));
      assert_non_null(strstr(both[i]->last, "\"retryable\":true"));
      assert_non_null(strstr(both[i]->last, "\"cursor\":\""));
    }
    assert_int_equal(ask(host, "x", YOI_OP_WORKER_GET, "idle", "", &e), YOI_NOT_FOUND);
    assert_int_equal(e.e.code, YOI_CODE_RUNTIME_NOT_FOUND);
    assert_int_equal(ask(host, "first", YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_OK);
  }
  yoi_host_free(host);
}

static void test_remove_while_turns_run_and_watchers_watch(void **state) {
  (void)state;
  remove_while_watched(HOST(",\"loops\":2"));
  remove_while_watched(HOST(",\"step\":true"));
}

/* ---- refusals ----------------------------------------------------------- */

static void test_a_bad_entry_changes_nothing(void **state) {
  struct yoi_embed *host = started(HOST(""));
  struct yoi_sdk_error e;
  (void)state;
  refused(host, "", YOI_INVALID_ARGUMENT,
          "config line 1 column 1: expected '{': a config is one JSON object");
  refused(host, "5", YOI_INVALID_ARGUMENT,
          "config line 1 column 1: expected an object, found a number");
  refused(host, "{\"id\":\"x\"}", YOI_INVALID_ARGUMENT,
          "config line 1 column 1: key 'plugin' is missing");
  refused(host, "{\"id\":\"x\",\n \"plugin\":\"dev.yoi.test.nul\"}", YOI_INVALID_ARGUMENT,
          "config line 2 column 11: no plugin has the id 'dev.yoi.test.nul', did you mean "
          "'dev.yoi.test.null'");
  refused(host, "{\"id\":\"x\",\"plugin\":\"dev.yoi.test.null\",\"color\":1}", YOI_INVALID_ARGUMENT,
          "config line 1 column 40: unknown key 'color'");
  refused(host, "{\"id\":\"x\",\"plugin\":\"dev.yoi.model-script\"}", YOI_INVALID_ARGUMENT,
          "config line 1 column 20: plugin 'dev.yoi.model-script': expected kind 'runtime', found "
          "'model'");
  /* Not a way to say something else in the config that it stands in. */
  assert_int_equal(yoi_host_add_runtime(host, THREADED "," THREADED, sizeof THREADED * 2 - 1,
                                        yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_int_equal(ask(host, "x", YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_NOT_FOUND);
  refused(host, "{\"id\":\"first\",\"plugin\":\"dev.yoi.test.null\"}", YOI_ALREADY_EXISTS,
          "runtime 'first' is registered already");
  refused(host, "{\"id\":\"x\",\"plugin\":\"dev.yoi.test.faulty\",\"config\":{\"open\":\"fail\"}}",
          YOI_UNAVAILABLE, "cannot open runtime 'x': open failed as asked");
  assert_int_equal(ask(host, "first", YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_OK);
  assert_int_equal(ask(host, "x", YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_NOT_FOUND);
  add(host, THREADED);
  assert_int_equal(ask(host, "x", YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_OK);
  yoi_host_free(host);
}

static void test_as_many_as_there_may_be(void **state) {
  struct yoi_embed *host = started(HOST(""));
  struct yoi_sdk_error e;
  char json[128];
  (void)state;
  for (int i = 1; i < YOI_RUNTIMES_MAX; i++) {
    (void)snprintf(json, sizeof json, "{\"id\":\"r%d\",\"plugin\":\"dev.yoi.test.null\"}", i);
    add(host, json);
  }
  refused(host, "{\"id\":\"x\",\"plugin\":\"dev.yoi.test.null\"}", YOI_RESOURCE_EXHAUSTED,
          "more than 256 runtimes");
  for (int i = 1; i < YOI_RUNTIMES_MAX; i++) {
    (void)snprintf(json, sizeof json, "r%d", i);
    assert_int_equal(ask(host, json, YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_OK);
    assert_int_equal(yoi_host_remove_runtime(host, yoi_sdk_str(json), 0, NULL), YOI_OK);
    assert_int_equal(ask(host, json, YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_NOT_FOUND);
  }
  yoi_host_free(host);
}

static yoi_status remove_x(struct yoi_embed *host, const char *id, struct yoi_sdk_error *e) {
  return yoi_host_remove_runtime(host, yoi_sdk_str(id), 100, yoi_sdk_error_init(e));
}

static void removes_inside(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct caller *c = ctx;
  struct yoi_sdk_error e;
  (void)st;
  (void)err;
  if (ev != NULL) return;
  assert_int_equal(remove_x(c->host, "first", &e), YOI_FAILED_PRECONDITION);
  assert_string_equal(e.message, "a callback may not add or remove a runtime");
  assert_int_equal(yoi_host_add_runtime(c->host, THREADED, sizeof THREADED - 1, NULL),
                   YOI_FAILED_PRECONDITION);
  atomic_store(&c->ended, 1);
}

static void test_what_remove_refuses(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    const char *config = step ? HOST(",\"step\":true") : HOST("");
    struct yoi_embed *host = NULL;
    struct yoi_sdk_error e;
    const char *build = getenv("YOI_BUILD");
    assert_int_equal(
        yoi_host_new(config, strlen(config), build == NULL ? "build" : build, &host, NULL), YOI_OK);
    assert_int_equal(remove_x(host, "first", &e), YOI_FAILED_PRECONDITION); /* not started */
    assert_int_equal(yoi_host_start(host, NULL), YOI_OK);
    assert_int_equal(remove_x(host, "nobody", &e), YOI_NOT_FOUND);
    assert_int_equal(e.e.code, YOI_CODE_RUNTIME_NOT_FOUND);
    struct caller c = {.host = host};
    yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
    assert_int_equal(yoi_call(host, YOI_LIT("first"), &r, removes_inside, &c, NULL, NULL), YOI_OK);
    until(host, &c.ended);
    assert_int_equal(remove_x(host, "first", &e), YOI_OK);        /* one of the config's */
    assert_int_equal(remove_x(host, "first", &e), YOI_NOT_FOUND); /* twice */
    add(host, THREADED);
    assert_int_equal(yoi_host_drain(host, 100, NULL), YOI_OK);
    assert_int_equal(remove_x(host, "x", &e), YOI_UNAVAILABLE);
    assert_int_equal(e.e.code, YOI_CODE_SHUTTING_DOWN);
    assert_int_equal(yoi_host_add_runtime(host, THREADED, sizeof THREADED - 1, NULL),
                     YOI_UNAVAILABLE);
    yoi_host_free(host);
  }
}

/* ---- one that is still held --------------------------------------------- */

static struct { /* process-wide: tables of plugins have no argument for it */
  const yoi_host *host;
  struct yoi_sdk_queue *queue;
  _Atomic int closes;
} t;

static yoi_status held_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)config;
  (void)err;
  t.host = host;
  *out_self = NULL;
  return YOI_OK;
}

static void held_close(void *self) {
  (void)self;
  atomic_fetch_add(&t.closes, 1);
}

static yoi_status held_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  (void)self;
  (void)err;
  t.queue = yoi_sdk_queue_new(t.host, req->token, 4096, NULL, NULL, NULL);
  *out = yoi_sdk_queue_stream(t.queue);
  return YOI_OK;
}

static const yoi_runtime held_table = {.size = sizeof held_table,
                                       .thread_model = YOI_PARALLEL,
                                       .open = held_open,
                                       .close = held_close,
                                       .start = held_start};

static void test_one_that_is_held_is_left_open(void **state) {
  (void)state;
  for (int reap = 0; reap < 2; reap++) {
    struct host_fixture f;
    struct yoi_sdk_error e;
    struct watch w = {0};
    uint64_t id = 0;
    atomic_store(&t.closes, 0);
    host_fixture_init(&f, reap);
    host_fixture_runtime(&f, "a", &held_table);
    host_fixture_start(&f);
    yoi_request r = {.size = sizeof r, .op = YOI_OP_WORKER_EVENTS, .worker_id = YOI_LIT("w")};
    assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &r, on_event, &w, &id, NULL), YOI_OK);
    assert_int_equal(remove_x(f.host, "a", &e), YOI_DEADLINE_EXCEEDED);
    assert_string_equal(e.message, "runtime 'a' is removed, but stays open while it is held");
    assert_int_equal(atomic_load(&t.closes), 0);
    assert_int_equal(ask(f.host, "a", YOI_OP_RUNTIME_DESCRIBE, "", "", &e), YOI_NOT_FOUND);
    yoi_sdk_queue_push(t.queue, YOI_EVENT_TEXT_DELTA, 0, YOI_LIT(""), YOI_LIT("{}"));
    until(f.host, &w.events); /* its stream goes on */
    assert_int_equal(remove_x(f.host, "a", &e), YOI_NOT_FOUND);
    assert_int_equal(atomic_load(&t.closes), 0);
    if (reap) {
      yoi_sdk_queue_finish(t.queue);
      until(f.host, &w.ended);
      assert_int_equal(remove_x(f.host, "a", &e), YOI_NOT_FOUND); /* looks at what was left */
      assert_int_equal(atomic_load(&t.closes), 1);
    }
    host_fixture_stop(&f); /* else the host's end lets go of it */
    yoi_sdk_queue_drop(t.queue);
    assert_int_equal(atomic_load(&t.closes), 1);
    assert_int_equal(atomic_load(&w.ended), 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_hundred_rounds_under_load),
      cmocka_unit_test(test_remove_while_turns_run_and_watchers_watch),
      cmocka_unit_test(test_a_bad_entry_changes_nothing),
      cmocka_unit_test(test_as_many_as_there_may_be),
      cmocka_unit_test(test_what_remove_refuses),
      cmocka_unit_test(test_one_that_is_held_is_left_open),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
