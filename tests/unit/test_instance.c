/* test_instance.c - the life of an opened plugin: states, references, what it
 * is given, and that close meets nothing that still runs.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_metrics.h>
#include <yoi/host_model.h>
#include <yoi/host_plugin.h>
#include <yoi/host_registry.h>
#include <yoi/host_secret.h>

#include "host/clock.h"
#include "support/host_fixture.h"

/* A runtime that is never quiet: a task that posts itself, a timer, and a
 * token that another thread wakes. What it touches is freed at close. */
struct noisy {
  const yoi_host *host;
  const yoi_host_loop *loop;
  uint64_t token;
  uint32_t *touched; /* freed by close: a late call is a use after free */
};

static _Atomic uint64_t shared_token; /* process-wide: what the waker wakes */
static const yoi_host *seen_host;     /* process-wide: of the last open */
static _Atomic uint32_t closes, turns;
static int fail_open;        /* process-wide: the next open fails */
static struct noisy *failed; /* process-wide: what a failed open left behind */

static void again(void *ctx) {
  struct noisy *n = ctx;
  __atomic_fetch_add(n->touched, 1u, __ATOMIC_RELAXED);
  atomic_fetch_add(&turns, 1u);
  (void)n->loop->post(n->host, n->loop->current(n->host), again, n);
}

static void tick(void *ctx) {
  struct noisy *n = ctx;
  uint64_t id = 0;
  __atomic_fetch_add(n->touched, 1u, __ATOMIC_RELAXED);
  (void)n->loop->timer(n->host, 0, tick, n, &id);
}

static void begin(void *ctx) {
  tick(ctx);
  again(ctx);
}

static yoi_status noisy_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  (void)config;
  seen_host = host;
  struct noisy *n = yoi_sdk_calloc(1, sizeof *n);
  n->host = host;
  n->loop = host->get_interface(host, YOI_LIT(YOI_HOST_LOOP_ID));
  n->touched = yoi_sdk_calloc(1, sizeof *n->touched);
  for (uint32_t i = 0; i < n->loop->count(host); i++)
    assert_int_equal(n->loop->post(host, i, begin, n), YOI_OK);
  if (fail_open) {
    /* Against the rules it leaves tasks behind. */
    while (atomic_load(&turns) < 10 && n->loop->count(host) > 1) sched_yield();
    failed = n;
    yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "no '%s'", "thing");
    yoi_sdk_fail_private(err, "/the/path");
    return YOI_INVALID_ARGUMENT;
  }
  *out_self = n;
  return YOI_OK;
}

static void noisy_close(void *self) {
  struct noisy *n = self;
  uint64_t id = 0;
  /* Rule 4 of host_loop.h. */
  assert_int_equal(n->loop->post(n->host, 0, again, n), YOI_UNAVAILABLE);
  assert_int_not_equal(n->loop->timer(n->host, 0, tick, n, &id), YOI_OK);
  n->loop->timer_cancel(n->host, 1);
  n->loop->unwatch(n->host, 1);
  assert_int_not_equal(n->host->token_new(n->host, 0, &id, NULL), YOI_OK);
  atomic_fetch_add(&closes, 1u);
  yoi_sdk_free(n->touched);
  yoi_sdk_free(n);
}

static void noisy_wake(void *self, uint64_t cookie) {
  struct noisy *n = self;
  assert_int_equal(cookie, 5);
  __atomic_fetch_add(n->touched, 1u, __ATOMIC_RELAXED);
}

static yoi_status noisy_start(void *self, const yoi_request *req, yoi_stream **out,
                              yoi_error *err) {
  struct noisy *n = self;
  (void)req;
  (void)err;
  if (n->token == 0) {
    assert_int_equal(n->host->token_new(n->host, 5, &n->token, NULL), YOI_OK);
    atomic_store(&shared_token, n->token);
  }
  *out = yoi_sdk_stream_one(YOI_LIT("{}"), 0);
  return YOI_OK;
}

static const yoi_runtime noisy_table = {.size = sizeof noisy_table,
                                        .thread_model = YOI_PARALLEL,
                                        .open = noisy_open,
                                        .close = noisy_close,
                                        .start = noisy_start,
                                        .wake = noisy_wake};

struct waking {
  struct yoi__tokens *tokens;
  _Atomic int stop;
};

static void *wakes(void *arg) {
  struct waking *w = arg;
  while (!atomic_load(&w->stop)) yoi__token_wake(w->tokens, atomic_load(&shared_token));
  return NULL;
}

static void ask(struct host_fixture *f) {
  yoi_request r = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  char *text = NULL;
  assert_int_equal(yoi_call_sync(f->host, YOI_LIT("a"), &r, &text, NULL, NULL), YOI_OK);
  yoi_free(text);
}

static void close_it(void *ctx) {
  yoi__instance_close(ctx);
}

static void test_close_meets_nothing_that_runs(void **state) {
  (void)state;
  for (int round = 0; round < 15; round++) {
    struct host_fixture f;
    host_fixture_init(&f, 0);
    host_fixture_runtime(&f, "a", &noisy_table);
    atomic_store(&closes, 0u);
    host_fixture_start(&f);
    ask(&f);
    pthread_t thread;
    struct waking w = {.tokens = f.host->tokens};
    assert_int_equal(pthread_create(&thread, NULL, wakes, &w), 0);
    uint32_t from = atomic_load(&turns);
    while (atomic_load(&turns) - from < 100) sched_yield();
    /* Close under way while another thread wakes: that thread may use the
     * tokens only, which live until the host is freed. */
    struct yoi__instance *in = host_fixture_instance(&f, "a");
    yoi__control_run(f.host->control, close_it, in);
    assert_int_equal(atomic_load(&in->state), YOI__CLOSED);
    assert_int_equal(atomic_load(&closes), 1);
    atomic_store(&w.stop, 1);
    pthread_join(thread, NULL);
    host_fixture_stop(&f);
    assert_int_equal(atomic_load(&closes), 1); /* once */
  }
}

static void test_states_in_step_mode(void **state) {
  struct host_fixture f;
  (void)state;
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "a", &noisy_table);
  host_fixture_start(&f);
  struct yoi__instance *in = host_fixture_instance(&f, "a");
  assert_int_equal(atomic_load(&in->state), YOI__OPEN);
  assert_true(yoi__instance_ref(in));
  yoi__instance_shut(in);
  assert_int_equal(atomic_load(&in->state), YOI__SHUT);
  assert_false(yoi__instance_ref(in));
  yoi_stream *s = NULL;
  struct yoi_sdk_error e;
  yoi_request r = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  assert_int_equal(yoi__registry_start(f.host, YOI_LIT("a"), &r, &s, yoi_sdk_error_init(&e)),
                   YOI_UNAVAILABLE);
  assert_int_equal(e.e.code, YOI_CODE_RUNTIME_UNAVAILABLE);
  yoi__instance_unref(in);
  yoi__instance_close(in);
  assert_int_equal(atomic_load(&in->state), YOI__CLOSED);
  yoi__instance_close(in); /* nothing to do */
  host_fixture_stop(&f);
}

static void test_failed_open_leaves_nothing(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct yoi_sdk_error e;
    host_fixture_init(&f, step);
    host_fixture_runtime(&f, "a", &noisy_table);
    host_fixture_runtime(&f, "b", &noisy_table);
    fail_open = 1;
    atomic_store(&turns, 0u);
    atomic_store(&closes, 0u);
    host_fixture_start_as(&f, YOI_INVALID_ARGUMENT, yoi_sdk_error_init(&e));
    assert_string_equal(e.message, "cannot open runtime 'a': no 'thing'");
    assert_string_equal(e.private_detail, "/the/path");
    assert_int_equal(atomic_load(&closes), 0);
    assert_int_equal(yoi_host_fd(f.host), -1);
    yoi_sdk_free(failed->touched); /* its tasks are gone */
    yoi_sdk_free(failed);
    fail_open = 0; /* the same host starts when the cause is gone */
    host_fixture_start(&f);
    host_fixture_stop(&f);
    assert_int_equal(atomic_load(&closes), 2);
  }
}

static void test_interfaces_by_kind(void **state) {
  struct host_fixture f;
  (void)state;
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "a", &noisy_table);
  host_fixture_start(&f);
  const yoi_host *h = seen_host;
  static const char *const given[] = {YOI_HOST_LOG_ID,     YOI_HOST_CLOCK_ID,  YOI_HOST_LOOP_ID,
                                      YOI_HOST_METRICS_ID, YOI_HOST_SECRET_ID, YOI_HOST_MODEL_ID,
                                      YOI_HOST_PLUGIN_ID};
  for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
    const uint32_t *table = h->get_interface(h, yoi_sdk_str(given[i]));
    assert_non_null(table);
    assert_true(*table > 8); /* its size */
    assert_ptr_equal(table, h->get_interface(h, yoi_sdk_str(given[i])));
  }
  assert_null(h->get_interface(h, YOI_LIT(YOI_HOST_REGISTRY_ID))); /* for ingresses */
  assert_null(h->get_interface(h, YOI_LIT("yoi.host.log/2")));
  assert_null(h->get_interface(h, YOI_LIT("")));
  const yoi_host_clock *clock = h->get_interface(h, YOI_LIT(YOI_HOST_CLOCK_ID));
  uint64_t before = yoi__now_ns();
  assert_true(clock->monotonic_ns(h) >= before);
  assert_true(clock->wall_ns(h) > 1600000000000000000ull);
  const yoi_host_secret *secret = h->get_interface(h, YOI_LIT(YOI_HOST_SECRET_ID));
  char buf[8];
  size_t len = 0;
  assert_int_equal(secret->get(h, YOI_LIT("llm"), buf, sizeof buf, &len, NULL),
                   YOI_PERMISSION_DENIED);
  host_fixture_stop(&f);
}

static void test_second_runtime_under_one_id_is_refused(void **state) {
  struct host_fixture f;
  struct yoi_sdk_error e;
  (void)state;
  host_fixture_init(&f, 0);
  host_fixture_runtime(&f, "a", &noisy_table);
  host_fixture_runtime(&f, "a", &noisy_table);
  atomic_store(&closes, 0u);
  host_fixture_start_as(&f, YOI_ALREADY_EXISTS, yoi_sdk_error_init(&e));
  assert_string_equal(e.message, "runtime 'a' is registered already");
  assert_int_equal(atomic_load(&closes), 1); /* the first, since the start failed */
  host_fixture_stop(&f);
}

static void test_metrics_of_another_size_are_taken_in(void **state) {
  struct host_fixture f;
  struct {
    yoi_metric metric;
    uint64_t more; /* of a later version */
  } later = {.metric = {.size = sizeof later,
                        .type = YOI_METRIC_HISTOGRAM,
                        .name = YOI_LIT("yoi_x_seconds"),
                        .help = YOI_LIT("X.")}};
  uint32_t id = 0, again = 0;
  (void)state;
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "a", &noisy_table);
  host_fixture_start(&f);
  const yoi_host_metrics *m = seen_host->get_interface(seen_host, YOI_LIT(YOI_HOST_METRICS_ID));
  assert_true(YOI_HAS(yoi_host_metrics, m, observe));
  assert_int_equal(m->make(seen_host, &later.metric, &id), YOI_OK);
  later.metric.size = sizeof later.metric;
  later.more = 1;
  assert_int_equal(m->make(seen_host, &later.metric, &again), YOI_OK);
  assert_int_equal(again, id);
  later.metric.size = sizeof later;
  assert_int_equal(m->make(seen_host, &later.metric, &again), YOI_INVALID_ARGUMENT);
  assert_int_equal(again, 0);
  m->observe(seen_host, id, 5);
  m->observe(seen_host, id, 5);
  assert_int_equal(yoi__metrics_value(f.host->metrics, id), 2);
  const yoi_metric now = {.size = sizeof now,
                          .type = YOI_METRIC_GAUGE,
                          .name = YOI_LIT("yoi_now"),
                          .help = YOI_LIT("Now.")};
  assert_int_equal(m->make(seen_host, &now, &id), YOI_OK);
  m->set(seen_host, id, 9);
  assert_int_equal(yoi__metrics_value(f.host->metrics, id), 9);
  m->sub(seen_host, id, 4);
  m->add(seen_host, id, 1);
  assert_int_equal(yoi__metrics_value(f.host->metrics, id), 6);
  host_fixture_stop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_close_meets_nothing_that_runs),
      cmocka_unit_test(test_states_in_step_mode),
      cmocka_unit_test(test_failed_open_leaves_nothing),
      cmocka_unit_test(test_interfaces_by_kind),
      cmocka_unit_test(test_second_runtime_under_one_id_is_refused),
      cmocka_unit_test(test_metrics_of_another_size_are_taken_in),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
