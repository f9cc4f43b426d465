/* test_registry.c - who may be under an id, and what a request must be.
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

#include "support/host_fixture.h"

static yoi_request last; /* process-wide: what the runtime got */
static char last_body[256];

static yoi_status echo_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)host;
  (void)config;
  (void)err;
  *out_self = NULL;
  return YOI_OK;
}

static void echo_close(void *self) {
  (void)self;
}

static yoi_status echo_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  (void)self;
  (void)err;
  if (req->op != YOI_OP_RUNTIME_DESCRIBE) { /* the racing test does nothing else */
    last = *req;
    (void)snprintf(last_body, sizeof last_body, "%.*s", YOI_ARG(req->body));
  }
  *out = yoi_sdk_stream_one(YOI_LIT("{}"), 0);
  return YOI_OK;
}

static const yoi_runtime echo_table = {.size = sizeof echo_table,
                                       .thread_model = YOI_PARALLEL,
                                       .open = echo_open,
                                       .close = echo_close,
                                       .start = echo_start};

static void set_up(struct host_fixture *f, int step) {
  host_fixture_init(f, step);
  host_fixture_runtime(f, "b", &echo_table);
  host_fixture_runtime(f, "a", &echo_table);
  host_fixture_runtime(f, "c.d-e_9", &echo_table);
  host_fixture_start(f);
}

static yoi_status route(struct host_fixture *f, const char *id, const yoi_request *r,
                        struct yoi_sdk_error *e) {
  yoi_stream *s = NULL;
  yoi_status st = yoi__registry_start(f->host, yoi_sdk_str(id), r, &s, yoi_sdk_error_init(e));
  assert_int_equal(st == YOI_OK, s != NULL);
  if (s != NULL) s->ops->release(s);
  return st;
}

static void test_lookup_is_exact_and_sorted(void **state) {
  struct host_fixture f;
  (void)state;
  set_up(&f, 1);
  static const char *const sorted[] = {"a", "b", "c.d-e_9"};
  struct yoi__registry *r = &f.host->registry;
  struct yoi__instance *all[YOI_RUNTIMES_MAX];
  assert_int_equal(yoi__registry_acquire_all(r, all), 3);
  for (size_t i = 0; i < 3; i++) {
    int closing = 1;
    assert_true(yoi_sdk_str_is(all[i]->name, sorted[i]));
    assert_ptr_equal(yoi__registry_at(r, i), all[i]);
    assert_ptr_equal(yoi__registry_acquire(r, yoi_sdk_str(sorted[i]), &closing), all[i]);
    assert_int_equal(closing, 0);
    yoi__instance_unref(all[i]);
    yoi__instance_unref(all[i]);
  }
  assert_null(yoi__registry_at(r, 3));
  assert_null(host_fixture_instance(&f, "aa"));
  assert_null(host_fixture_instance(&f, ""));
  static const char *const none[] = {"", "aa", "b.", "c.d-e_", "c.d-e_99", "zzzzzzzzzzzz"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    int closing = 1;
    assert_null(yoi__registry_acquire(r, yoi_sdk_str(none[i]), &closing));
    assert_int_equal(closing, 0);
  }
  host_fixture_stop(&f);
}

static void test_duplicates_are_refused_and_the_first_stays(void **state) {
  struct host_fixture f;
  struct yoi_sdk_error e;
  (void)state;
  set_up(&f, 1);
  struct yoi__instance *first = host_fixture_instance(&f, "a");
  struct yoi__instance *second =
      yoi__instance_new(f.host, &f.config, &f.runtimes[1].instance, YOI_LIT("a"));
  assert_int_equal(yoi__registry_add(&f.host->registry, second, yoi_sdk_error_init(&e)),
                   YOI_ALREADY_EXISTS);
  assert_string_equal(e.message, "runtime 'a' is registered already");
  assert_ptr_equal(host_fixture_instance(&f, "a"), first);
  yoi__registry_exchange(&f.host->registry, &second, 1, NULL, 0); /* not what stands there */
  assert_ptr_equal(host_fixture_instance(&f, "a"), first);
  yoi__instance_free(second);
  host_fixture_stop(&f);
}

static void test_remove_ends_new_requests_only(void **state) {
  struct host_fixture f;
  struct yoi_sdk_error e;
  yoi_stream *s = NULL;
  (void)state;
  set_up(&f, 1);
  yoi_request r = fixture_request(YOI_OP_WORKER_GET);
  struct yoi__instance *in = host_fixture_instance(&f, "a");
  assert_int_equal(yoi__registry_start(f.host, YOI_LIT("a"), &r, &s, NULL), YOI_OK);
  yoi__registry_exchange(&f.host->registry, &in, 1, NULL, 0);
  assert_int_equal(route(&f, "a", &r, &e), YOI_NOT_FOUND);
  assert_int_equal(e.e.code, YOI_CODE_RUNTIME_NOT_FOUND);
  const yoi_event *const *events = NULL;
  size_t n = 0;
  assert_int_equal(s->ops->next(s, &events, &n, NULL), YOI_OK); /* it goes on */
  s->ops->release(s);
  assert_int_equal(route(&f, "b", &r, &e), YOI_OK);
  yoi__instance_close(in);
  yoi__instance_free(in);
  host_fixture_stop(&f);
}

static void expect(struct host_fixture *f, const char *id, const yoi_request *r, int32_t code) {
  struct yoi_sdk_error e;
  yoi_status st = route(f, id, r, &e);
  if (code == 0) {
    assert_int_equal(st, YOI_OK);
    return;
  }
  assert_int_equal(e.e.code, code);
  assert_int_equal(st, yoi_sdk_code_status(code));
  assert_true(e.message[0] != '\0');
}

static void test_what_a_request_must_be(void **state) {
  struct host_fixture f;
  char longest[YOI_ID_MAX + 2];
  (void)state;
  set_up(&f, 1);
  memset(longest, 'a', sizeof longest);
  yoi_request ok = fixture_request(YOI_OP_WORKER_GET), r = ok;
  expect(&f, "a", &ok, 0);

  expect(&f, "nobody", &ok, YOI_CODE_RUNTIME_NOT_FOUND);
  expect(&f, "No", &ok, YOI_CODE_INVALID_IDENTIFIER);
  expect(&f, "../a", &ok, YOI_CODE_INVALID_IDENTIFIER);
  expect(&f, "", &ok, YOI_CODE_INVALID_IDENTIFIER);

  r.op = 0;
  expect(&f, "a", &r, YOI_CODE_UNSUPPORTED_OPERATION);
  r.op = YOI_OP__END;
  expect(&f, "a", &r, YOI_CODE_UNSUPPORTED_OPERATION);
  r = fixture_request(YOI_OP_HOST_READY);
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST); /* of the host, not of a runtime */
  r = fixture_request(YOI_OP_HOST_BUNDLES);
  expect(&f, "", &r, 0);

  r = ok, r.worker_id = YOI_LIT("");
  expect(&f, "a", &r, YOI_CODE_INVALID_IDENTIFIER);
  r = ok, r.worker_id = YOI_LIT("a/b");
  expect(&f, "a", &r, YOI_CODE_INVALID_IDENTIFIER);
  r = ok, r.worker_id = (yoi_str){longest, YOI_ID_MAX};
  expect(&f, "a", &r, 0);
  r = ok, r.worker_id = (yoi_str){longest, YOI_ID_MAX + 1};
  expect(&f, "a", &r, YOI_CODE_INVALID_IDENTIFIER);
  r = fixture_request(YOI_OP_WORKER_LIST), r.worker_id = YOI_LIT("w");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = fixture_request(YOI_OP_WORKER_APPROVE);
  expect(&f, "a", &r, YOI_CODE_INVALID_IDENTIFIER);
  r.subject = YOI_LIT("appr-1");
  expect(&f, "a", &r, 0);
  r = ok, r.subject = YOI_LIT("x");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);

  r = ok, r.principal = YOI_LIT("");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.principal = YOI_LIT("a b");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.origin = 0;
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.origin = 4;
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.request_id = YOI_LIT("a\nb");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.request_id = YOI_LIT("");
  expect(&f, "a", &r, 0);
  r = ok, r.trace = YOI_LIT("00-xyz");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.trace = YOI_LIT("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  expect(&f, "a", &r, 0);
  r = ok, r.idempotency_key = YOI_LIT("two words");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.hops = YOI_HOPS_MAX;
  expect(&f, "a", &r, 0);
  r = ok, r.hops = YOI_HOPS_MAX + 1;
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.flags = 8;
  expect(&f, "a", &r, YOI_CODE_UNSUPPORTED_OPERATION);
  r = ok, r.flags = YOI_REQ_WORKSPACE;
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST); /* it names none */
  r.workspace = YOI_LIT("acme");
  expect(&f, "a", &r, YOI_CODE_UNSUPPORTED_OPERATION); /* its manifest knows none */
  r.workspace = YOI_LIT("Two Words");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST);
  r = ok, r.workspace = YOI_LIT("acme");
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST); /* nothing says that it counts */
  r = ok, r.flags = YOI_REQ_FOLLOW;
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST); /* an input can be followed */
  r.op = YOI_OP_WORKER_INPUT;
  expect(&f, "a", &r, 0);
  r.flags = YOI_REQ_ONCE;
  expect(&f, "a", &r, YOI_CODE_INVALID_REQUEST); /* events end with what there is */
  r.op = YOI_OP_WORKER_EVENTS;
  expect(&f, "a", &r, 0);

  char *body = yoi_sdk_calloc(1, YOI_BODY_BYTES_MAX + 1);
  r = ok, r.body = (yoi_str){body, YOI_BODY_BYTES_MAX};
  expect(&f, "a", &r, 0);
  r.body.len++;
  expect(&f, "a", &r, YOI_CODE_PAYLOAD_TOO_LARGE);
  yoi_sdk_free(body);
  host_fixture_stop(&f);
}

/* A caller built against another minor version. */
static void test_sizes_of_requests(void **state) {
  struct host_fixture f;
  struct {
    yoi_request r;
    unsigned char more[16];
  } grown;
  (void)state;
  set_up(&f, 1);
  memset(&grown, 0, sizeof grown);
  grown.r = fixture_request(YOI_OP_WORKER_GET);
  grown.r.size = sizeof grown;
  expect(&f, "a", &grown.r, 0); /* zero means the behaviour of before */
  assert_int_equal(last.size, sizeof(yoi_request));
  grown.more[3] = 1;
  expect(&f, "a", &grown.r, YOI_CODE_UNSUPPORTED_OPERATION);
  grown.r.size = 0;
  expect(&f, "a", &grown.r, YOI_CODE_INVALID_REQUEST);
  yoi_request old = fixture_request(YOI_OP_WORKER_GET);
  old.size = offsetof(yoi_request, body); /* the body is not its business */
  old.body = YOI_LIT("never read");
  expect(&f, "a", &old, 0);
  assert_string_equal(last_body, "");
  host_fixture_stop(&f);
}

static void test_after_drain_all_is_shutting_down(void **state) {
  struct host_fixture f;
  (void)state;
  set_up(&f, 1);
  yoi_request r = fixture_request(YOI_OP_WORKER_GET), ready = fixture_request(YOI_OP_HOST_READY);
  yoi_request metrics = fixture_request(YOI_OP_HOST_METRICS);
  expect(&f, "", &ready, 0);
  assert_int_equal(yoi_host_drain(f.host, 100, NULL), YOI_OK);
  expect(&f, "a", &r, YOI_CODE_SHUTTING_DOWN);
  expect(&f, "nobody", &r, YOI_CODE_SHUTTING_DOWN);
  expect(&f, "", &ready, YOI_CODE_SHUTTING_DOWN);
  expect(&f, "", &metrics, 0); /* whoever scrapes sees the end */
  host_fixture_stop(&f);
}

/* ---- threads ----------------------------------------------------------- */

struct routing {
  struct host_fixture *f;
  _Atomic uint32_t ok, closed;
  _Atomic int stop;
};

static void *routes(void *arg) {
  struct routing *x = arg;
  while (!atomic_load(&x->stop)) {
    struct yoi_sdk_error e;
    yoi_request r = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
    yoi_status st = route(x->f, "a", &r, &e);
    if (st == YOI_OK) {
      atomic_fetch_add(&x->ok, 1u);
    } else {
      assert_true(e.e.code == YOI_CODE_RUNTIME_UNAVAILABLE ||
                  e.e.code == YOI_CODE_RUNTIME_NOT_FOUND);
      atomic_fetch_add(&x->closed, 1u);
    }
  }
  return NULL;
}

static void close_it(void *ctx) {
  yoi__instance_close(ctx);
}

static void test_routing_races_with_close_and_remove(void **state) {
  (void)state;
  for (int round = 0; round < 10; round++) {
    struct host_fixture f;
    pthread_t threads[2];
    set_up(&f, 0);
    struct routing x = {.f = &f};
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, routes, &x), 0);
    while (atomic_load(&x.ok) < 200) sched_yield();
    struct yoi__instance *in = host_fixture_instance(&f, "a");
    yoi__control_run(f.host->control, close_it, in);
    assert_int_equal(atomic_load(&in->state), YOI__CLOSED);
    yoi__registry_exchange(&f.host->registry, &in, 1, NULL, 0);
    uint32_t from = atomic_load(&x.closed);
    while (atomic_load(&x.closed) - from < 50) sched_yield();
    atomic_store(&x.stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    yoi__instance_free(in);
    host_fixture_stop(&f);
  }
}

struct looking {
  struct yoi__registry *registry;
  struct yoi__instance *in;
  _Atomic int away, stop, late;
};

static void *looks(void *arg) {
  struct looking *x = arg;
  while (!atomic_load(&x->stop)) {
    int closing;
    struct yoi__instance *in = yoi__registry_acquire(x->registry, YOI_LIT("a"), &closing);
    if (in == NULL) continue;
    if (atomic_load(&x->away)) atomic_fetch_add(&x->late, 1);
    yoi__instance_unref(in);
  }
  return NULL;
}

/* As a reload looks whether a runtime is empty: all who had found it are through. */
static void test_what_was_taken_out_is_found_by_nobody_who_is_late(void **state) {
  (void)state;
  struct host_fixture f;
  pthread_t threads[2];
  set_up(&f, 1);
  struct yoi__instance *in = host_fixture_instance(&f, "a");
  struct looking x = {.registry = &f.host->registry, .in = in};
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, looks, &x), 0);
  for (int round = 0; round < 500; round++) {
    yoi__registry_exchange(x.registry, &in, 1, NULL, 0);
    yoi__instance_shut(in);
    while (!yoi__instance_unreferenced(in)) sched_yield();
    yoi__instance_reopen(in);
    atomic_store(&x.away, 1);
    for (int i = 0; i < 5; i++) sched_yield();
    atomic_store(&x.away, 0);
    yoi__registry_exchange(x.registry, NULL, 0, &in, 1);
    sched_yield();
  }
  atomic_store(&x.stop, 1);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&x.late), 0);
  host_fixture_stop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lookup_is_exact_and_sorted),
      cmocka_unit_test(test_duplicates_are_refused_and_the_first_stays),
      cmocka_unit_test(test_remove_ends_new_requests_only),
      cmocka_unit_test(test_what_a_request_must_be),
      cmocka_unit_test(test_sizes_of_requests),
      cmocka_unit_test(test_after_drain_all_is_shutting_down),
      cmocka_unit_test(test_routing_races_with_close_and_remove),
      cmocka_unit_test(test_what_was_taken_out_is_found_by_nobody_who_is_late),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
