/* Watched workers between loops: whatever another loop does while one calls out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <yoi/plugin.h>

#include "runtimes/http-remote/remote.h"

#define TASKS 32

/* A host of two loops, on one thread. Nothing of the network ever happens. */
static struct {
  uint32_t here;
  struct {
    uint32_t loop;
    yoi_loop_fn fn;
    void *ctx;
  } tasks[TASKS];
  uint32_t n_tasks;
  uint64_t last_id;
  /* Once, when loop 1 calls out: what loop 0 does meanwhile. */
  const char *at; /* the table's function */
  yoi_stream *released;
  struct rem_instance *instance;
} the; /* process-wide: a test has one */

static void meanwhile(const char *at) {
  yoi_stream *s = the.released;
  if (the.here != 1 || !s || strcmp(the.at, at) != 0) return;
  the.released = NULL;
  the.here = 0;
  s->ops->release(s);
  the.here = 1;
}

static uint32_t loop_count(const yoi_host *h) {
  (void)h;
  return 2;
}

static uint32_t loop_current(const yoi_host *h) {
  (void)h;
  meanwhile("current");
  return the.here;
}

static yoi_status loop_post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  (void)h;
  meanwhile("post");
  assert_true(the.n_tasks < TASKS);
  the.tasks[the.n_tasks].loop = loop;
  the.tasks[the.n_tasks].fn = fn;
  the.tasks[the.n_tasks++].ctx = ctx;
  /* What loop 1 posts is about a worker, which must be there when it runs. */
  if (the.here == 1) assert_ptr_equal(the.instance->watched, ctx);
  return YOI_OK;
}

static yoi_status loop_watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                             void *ctx, uint64_t *out_id) {
  (void)h, (void)fd, (void)interest, (void)fn, (void)ctx;
  *out_id = ++the.last_id;
  return YOI_OK;
}

static yoi_status loop_rewatch(const yoi_host *h, uint64_t id, uint32_t interest) {
  (void)h, (void)id, (void)interest;
  return YOI_OK;
}

static void loop_unwatch(const yoi_host *h, uint64_t id) { (void)h, (void)id; }

static yoi_status loop_timer(const yoi_host *h, uint64_t at_ns, yoi_loop_fn fn, void *ctx,
                             uint64_t *out_id) {
  (void)h, (void)at_ns, (void)fn, (void)ctx;
  *out_id = ++the.last_id;
  return YOI_OK;
}

static uint64_t clock_ns(const yoi_host *h) {
  (void)h;
  return 1000000000;
}

static void host_wake(const yoi_host *h, uint64_t token) { (void)h, (void)token; }

static const void *host_get(const yoi_host *h, yoi_str id) {
  static const yoi_host_loop loop = {.size = sizeof loop,
                                     .count = loop_count,
                                     .current = loop_current,
                                     .post = loop_post,
                                     .watch = loop_watch,
                                     .rewatch = loop_rewatch,
                                     .unwatch = loop_unwatch,
                                     .timer = loop_timer,
                                     .timer_cancel = loop_unwatch};
  static const yoi_host_clock clock = {
      .size = sizeof clock, .monotonic_ns = clock_ns, .wall_ns = clock_ns};
  (void)h;
  return yoi_sdk_str_is(id, YOI_HOST_LOOP_ID)    ? (const void *)&loop
         : yoi_sdk_str_is(id, YOI_HOST_CLOCK_ID) ? (const void *)&clock
                                                 : NULL;
}

static const yoi_host host = {.size = sizeof host, .get_interface = host_get, .wake = host_wake};

static const yoi_runtime *opened(void) {
  struct yoi_sdk_error e;
  const yoi_runtime *r = yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_RUNTIME_ID));
  void *self = NULL;
  memset(&the, 0, sizeof the);
  assert_int_equal(r->open(&host, YOI_LIT("{\"base_url\":\"http://127.0.0.1:1\"}"), &self,
                           yoi_sdk_error_init(&e)),
                   YOI_OK);
  the.instance = self;
  return r;
}

static yoi_stream *watched_on(const yoi_runtime *r, uint32_t loop) {
  yoi_request req = {.size = sizeof req, .op = YOI_OP_WORKER_EVENTS, .worker_id = YOI_LIT("ann")};
  struct yoi_sdk_error e;
  yoi_stream *s = NULL;
  the.here = loop;
  assert_int_equal(r->start(the.instance, &req, &s, yoi_sdk_error_init(&e)), YOI_OK);
  return s;
}

/* All that was posted, on its loops. */
static void run(void) {
  for (uint32_t n = 0; n < the.n_tasks; n++) {
    the.here = the.tasks[n].loop;
    the.tasks[n].fn(the.tasks[n].ctx);
  }
  the.n_tasks = 0;
}

static void two_loops_leave_a_worker_at_once(void **state) {
  static const char *const places[] = {"current", "post"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    const yoi_runtime *r = opened();
    yoi_stream *first = watched_on(r, 0), *second = watched_on(r, 1);
    run();
    assert_non_null(the.instance->watched);
    the.here = 1;
    the.at = places[i];
    the.released = first;
    second->ops->release(second);
    assert_null(the.released); /* it came to it */
    assert_non_null(the.instance->watched);
    run();
    assert_null(the.instance->watched);
    r->close(the.instance);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_loops_leave_a_worker_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
