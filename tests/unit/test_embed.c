/* test_embed.c - the verbs of yoi.h: hosts in both modes, calls and every way
 * out of them, the order of the end.
 *
 * Most runs on plugins that are tables of the test; the first tests load the
 * null runtime from its file.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>

#include "host/clock.h"
#include "support/files.h"
#include "support/host_fixture.h"

/* ---- with the null runtime from its file -------------------------------- */

#define NULL_CONFIG(extra)                                              \
  "{\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\"]," \
  "\"runtimes\":[{\"id\":\"a\",\"plugin\":\"dev.yoi.test.null\"}],"     \
  "\"models\":[],\"ingress\":[]" extra "}"

static struct yoi_embed *started(const char *json) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  const char *build = getenv("YOI_BUILD");
  yoi_status st = yoi_host_new(json, strlen(json), build == NULL ? "build" : build, &host,
                               yoi_sdk_error_init(&e));
  if (st == YOI_OK) st = yoi_host_start(host, &e.e);
  if (st != YOI_OK) print_message("%s (%s)\n", e.message, e.private_detail);
  assert_int_equal(st, YOI_OK);
  return host;
}

static void describe(struct yoi_embed *host, const char *id) {
  yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
  char *text = NULL;
  size_t len = 0;
  assert_int_equal(yoi_call_sync(host, yoi_sdk_str(id), &r, &text, &len, NULL), YOI_OK);
  assert_non_null(strstr(text, "{\"runtime\":{\"display_name\":\"Null\""));
  assert_int_equal(len, strlen(text));
  yoi_free(text);
}

static void test_sync_in_both_modes(void **state) {
  (void)state;
  struct yoi_embed *threads = started(NULL_CONFIG("")),
                   *step = started(NULL_CONFIG(",\"step\":true"));
  describe(threads, "a"); /* two hosts in one process */
  describe(step, "a");
  describe(threads, "a");
  assert_int_equal(yoi_host_fd(threads), -1);
  assert_true(yoi_host_fd(step) >= 0);
  assert_int_equal(yoi_host_step(threads, 0, NULL), YOI_FAILED_PRECONDITION);
  yoi_host_free(step);
  yoi_host_free(threads);
  yoi_host_free(NULL);
  assert_string_equal(yoi_version(), "1.0.0");
}

static int sockets(void) {
  int n = 0;
  for (int fd = 0; fd < 256; fd++) {
    int type;
    socklen_t len = sizeof type;
    n += getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
  }
  return n;
}

static void test_a_host_alone_touches_nothing(void **state) {
  struct sigaction before[32], after;
  (void)state;
  for (int sig = 1; sig < 32; sig++) (void)sigaction(sig, NULL, &before[sig]);
  int files = files_count("."), fds = files_count("/proc/self/fd"), open_sockets = sockets();
  int tasks = files_count("/proc/self/task");
  struct yoi_embed *host = started(NULL_CONFIG(",\"step\":true"));
  describe(host, "a");
  assert_int_equal(sockets(), open_sockets);
  assert_int_equal(files_count("."), files);
  assert_int_equal(files_count("/proc/self/task"), tasks); /* step mode: no threads */
  yoi_host_free(host);
  host = started(NULL_CONFIG(""));
  describe(host, "a");
  assert_int_equal(sockets(), open_sockets);
  yoi_host_free(host);
  assert_int_equal(files_count("/proc/self/fd"), fds);
  assert_int_equal(files_count("."), files);
  for (int sig = 1; sig < 32; sig++) {
    (void)sigaction(sig, NULL, &after);
    assert_ptr_equal(after.sa_handler, before[sig].sa_handler);
  }
}

/* ---- tables of the test ------------------------------------------------- */

enum { HOLD, ANSWER, DEAF };
enum { DRAIN_NOW, DRAIN_HANGS, DRAIN_FAILS, DRAIN_LATER };

static struct { /* process-wide: tables of plugins have no argument for it */
  int mode, drain;
  const yoi_host *host;
  struct yoi_sdk_queue *held[8], *draining;
  size_t n_held;
  char trace[128];
  int fail_ingress;
  _Atomic int releases, has_drain;
} t;

static void note(const char *what) {
  size_t at = strlen(t.trace);
  (void)snprintf(t.trace + at, sizeof t.trace - at, "%s ", what);
}

static void on_release(void *ctx) {
  (void)ctx;
  atomic_fetch_add(&t.releases, 1);
}

static void on_cancel(void *ctx) {
  if (t.mode == DEAF) return;
  yoi_sdk_queue_fail(t.held[(size_t)(uintptr_t)ctx], YOI_CANCELLED, NULL);
}

static yoi_status rt_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)config;
  (void)err;
  note("rt.open");
  t.host = host;
  *out_self = NULL;
  return YOI_OK;
}

static void rt_close(void *self) {
  (void)self;
  note("rt.close");
}

static yoi_status rt_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  (void)self;
  assert_int_equal(req->origin, YOI_ORIGIN_EMBED);
  assert_true(yoi_sdk_str_is(req->principal, "embed"));
  assert_int_not_equal(req->token, 99);
  assert_true(req->request_id.len > 0);
  if (t.mode == ANSWER) {
    *out = yoi_sdk_stream_one(YOI_LIT("{\"a\":1}"), 0);
    return *out == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
  }
  size_t i = t.n_held++;
  t.held[i] =
      yoi_sdk_queue_new(t.host, req->token, 65536, on_cancel, on_release, (void *)(uintptr_t)i);
  *out = yoi_sdk_queue_stream(t.held[i]);
  return YOI_OK;
}

static yoi_status rt_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                           yoi_error *err) {
  (void)self;
  (void)deadline_ns;
  note("rt.drain");
  for (size_t i = 0; i < t.n_held; i++) yoi_sdk_queue_finish(t.held[i]);
  if (t.drain == DRAIN_FAILS) return yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "cannot flush");
  t.draining = yoi_sdk_queue_new(t.host, token, 64, NULL, NULL, NULL);
  if (t.draining == NULL) return yoi_sdk_fail_memory(err);
  *out = yoi_sdk_queue_stream(t.draining);
  if (t.drain == DRAIN_NOW) yoi_sdk_queue_finish(t.draining);
  atomic_store(&t.has_drain, 1);
  return YOI_OK;
}

static const yoi_runtime rt_table = {.size = sizeof rt_table,
                                     .thread_model = YOI_PARALLEL,
                                     .open = rt_open,
                                     .close = rt_close,
                                     .start = rt_start,
                                     .drain = rt_drain};

static yoi_status in_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)host;
  (void)config;
  note("in.open");
  *out_self = yoi_sdk_calloc(YOI_LOOPS_MAX + 1, sizeof(int32_t));
  return *out_self == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
}

static void in_close(void *self) {
  int32_t *fds = self;
  note("in.close");
  for (int32_t i = 1; i <= fds[0]; i++) close(fds[i]);
  yoi_sdk_free(fds);
}

static yoi_status in_start(void *self, const yoi_listener *on, yoi_error *err) {
  int32_t *fds = self;
  note("in.start");
  assert_int_equal(on->surface, YOI_SURFACE_BROWSER);
  assert_memory_equal(on->address.ptr, "127.0.0.1:", 10);
  fds[0] = (int32_t)on->n_fds;
  memcpy(fds + 1, on->fds, on->n_fds * sizeof *fds);
  return t.fail_ingress ? yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "no loops") : YOI_OK;
}

static void in_stop(void *self) {
  (void)self;
  note("in.stop");
}

static yoi_status in_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                           yoi_error *err) {
  (void)self;
  (void)deadline_ns;
  (void)token;
  note("in.drain");
  *out = yoi_sdk_stream_empty();
  return *out == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
}

static void in_wake(void *self, uint64_t cookie) {
  (void)self;
  (void)cookie;
}

static const yoi_ingress in_table = {.size = sizeof in_table,
                                     .thread_model = YOI_PARALLEL,
                                     .open = in_open,
                                     .close = in_close,
                                     .start = in_start,
                                     .stop_accepting = in_stop,
                                     .drain = in_drain,
                                     .wake = in_wake};

static void set_up(struct host_fixture *f, int step, int mode) {
  memset(&t, 0, sizeof t);
  t.mode = mode;
  host_fixture_init(f, step);
  host_fixture_runtime(f, "a", &rt_table);
}

static void drop_queues(void) {
  for (size_t i = 0; i < t.n_held; i++) yoi_sdk_queue_drop(t.held[i]);
  if (t.draining != NULL) yoi_sdk_queue_drop(t.draining);
  t.n_held = 0;
  t.draining = NULL;
}

struct ending {
  struct host_fixture *f;
  _Atomic int events, ended;
  _Atomic yoi_status st, inner;
};

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct ending *x = ctx;
  (void)err;
  assert_int_equal(atomic_load(&x->ended), 0); /* nothing comes after the last */
  if (ev != NULL) {
    atomic_fetch_add(&x->events, 1);
    return;
  }
  atomic_store(&x->st, st);
  atomic_store(&x->ended, 1);
}

static int has_ended(void *ctx) {
  return atomic_load(&((struct ending *)ctx)->ended);
}

static yoi_status call(struct host_fixture *f, struct ending *x, uint64_t *out_id) {
  yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE, .token = 99, .hops = 7};
  memset(x, 0, sizeof *x);
  x->f = f;
  return yoi_call(f->host, YOI_LIT("a"), &r, on_event, x, out_id, NULL);
}

/* ---- calls -------------------------------------------------------------- */

static void test_a_call_is_cancelled(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct ending x;
    uint64_t id = 0;
    set_up(&f, step, HOLD);
    host_fixture_start(&f);
    assert_int_equal(call(&f, &x, &id), YOI_OK);
    yoi_call_cancel(f.host, id + 1); /* nobody's */
    yoi_call_cancel(f.host, id);
    yoi_call_cancel(f.host, id);
    host_fixture_until(&f, has_ended, &x);
    assert_int_equal(x.st, YOI_CANCELLED);
    yoi_call_cancel(f.host, id);
    host_fixture_stop(&f);
    assert_int_equal(t.releases, 1);
    drop_queues();
  }
}

/* Its last callback comes, also when the plugin does not care. */
static void test_a_deaf_call_ends_after_the_grace(void **state) {
  struct host_fixture f;
  struct ending x;
  uint64_t id = 0;
  (void)state;
  set_up(&f, 1, DEAF);
  host_fixture_start(&f);
  assert_int_equal(call(&f, &x, &id), YOI_OK);
  uint64_t begin = yoi__now_ns();
  yoi_call_cancel(f.host, id);
  host_fixture_until(&f, has_ended, &x);
  assert_int_equal(x.st, YOI_CANCELLED);
  assert_true(yoi__now_ns() - begin >= YOI_CANCEL_GRACE_MS * YOI__MS);
  host_fixture_stop(&f);
  drop_queues();
}

static void test_free_ends_calls_in_flight(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++)
    for (int mode = HOLD; mode <= DEAF; mode += DEAF - HOLD) {
      struct host_fixture f;
      struct ending x[5];
      set_up(&f, step, mode);
      host_fixture_start(&f);
      for (int i = 0; i < 5; i++) assert_int_equal(call(&f, &x[i], NULL), YOI_OK);
      yoi_sdk_queue_push(t.held[2], YOI_EVENT_TEXT_DELTA, 0, YOI_LIT(""), YOI_LIT("{}"));
      yoi_host_free(f.host);
      f.host = NULL;
      for (int i = 0; i < 5; i++) {
        assert_int_equal(x[i].ended, 1);
        assert_int_equal(x[i].st, YOI_CANCELLED);
      }
      assert_int_equal(t.releases, 5);
      assert_string_equal(t.trace, "rt.open rt.close ");
      drop_queues();
      host_fixture_stop(&f);
    }
}

static void waits_inside(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct ending *x = ctx;
  if (ev != NULL) {
    yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
    char *text = NULL;
    atomic_store(&x->inner, yoi_call_sync(x->f->host, YOI_LIT("a"), &r, &text, NULL, NULL));
    if (x->f->config.step)
      assert_int_equal(yoi_host_step(x->f->host, 0, NULL), YOI_FAILED_PRECONDITION);
  }
  on_event(ctx, ev, st, err);
}

static void test_a_callback_may_not_wait(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct ending x = {.f = &f};
    yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
    set_up(&f, step, ANSWER);
    host_fixture_start(&f);
    assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &r, waits_inside, &x, NULL, NULL), YOI_OK);
    host_fixture_until(&f, has_ended, &x);
    assert_int_equal(x.inner, YOI_FAILED_PRECONDITION);
    assert_int_equal(x.st, YOI_END);
    host_fixture_stop(&f);
  }
}

struct chain {
  struct host_fixture *f;
  _Atomic int left, ended;
};

static void calls_again(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct chain *c = ctx;
  yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
  (void)err;
  if (ev != NULL) return;
  assert_int_equal(st, YOI_END);
  if (atomic_fetch_sub(&c->left, 1) > 1)
    assert_int_equal(yoi_call(c->f->host, YOI_LIT("a"), &r, calls_again, c, NULL, NULL), YOI_OK);
  else
    atomic_store(&c->ended, 1);
}

static int chain_ended(void *ctx) {
  return atomic_load(&((struct chain *)ctx)->ended);
}

static void test_a_callback_may_call(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct chain c = {.f = &f, .left = 50};
    set_up(&f, step, ANSWER);
    host_fixture_start(&f);
    yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
    assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &r, calls_again, &c, NULL, NULL), YOI_OK);
    host_fixture_until(&f, chain_ended, &c);
    host_fixture_stop(&f);
  }
}

static void test_what_sync_refuses(void **state) {
  struct host_fixture f;
  struct yoi_sdk_error e;
  char *text = NULL;
  (void)state;
  set_up(&f, 1, ANSWER);
  yoi_request r = {.size = sizeof r, .op = YOI_OP_WORKER_EVENTS, .worker_id = YOI_LIT("w")};
  assert_int_equal(yoi__host_of(&f.config, &f.host, NULL), YOI_OK);
  assert_int_equal(yoi_host_step(f.host, 0, NULL), YOI_FAILED_PRECONDITION);
  yoi_request d = {.size = sizeof d, .op = YOI_OP_RUNTIME_DESCRIBE};
  assert_int_equal(yoi_call_sync(f.host, YOI_LIT("a"), &d, &text, NULL, yoi_sdk_error_init(&e)),
                   YOI_FAILED_PRECONDITION); /* not started */
  host_fixture_start(&f);
  assert_int_equal(yoi_host_start(f.host, NULL), YOI_FAILED_PRECONDITION); /* once */
  assert_int_equal(yoi_call_sync(f.host, YOI_LIT("a"), &r, &text, NULL, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  r.op = YOI_OP_WORKER_INPUT;
  r.flags = YOI_REQ_FOLLOW;
  assert_int_equal(yoi_call_sync(f.host, YOI_LIT("a"), &r, &text, NULL, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_call_sync(f.host, YOI_LIT("z"), &d, &text, NULL, yoi_sdk_error_init(&e)),
                   YOI_NOT_FOUND);
  assert_int_equal(e.e.code, YOI_CODE_RUNTIME_NOT_FOUND);
  assert_null(text);
  host_fixture_stop(&f);
}

/* An application's own loop: it polls the descriptor and steps. */
static void test_step_mode_in_somebody_elses_loop(void **state) {
  struct host_fixture f;
  struct ending x;
  (void)state;
  set_up(&f, 1, HOLD);
  host_fixture_start(&f);
  assert_int_equal(call(&f, &x, NULL), YOI_OK);
  struct pollfd p = {.fd = yoi_host_fd(f.host), .events = POLLIN};
  for (int i = 0; i < 100 && poll(&p, 1, 0) == 1; i++) yoi_host_step(f.host, 0, NULL);
  assert_int_equal(poll(&p, 1, 0), 0); /* quiet until there is news */
  yoi_sdk_queue_push(t.held[0], YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{}"));
  yoi_sdk_queue_finish(t.held[0]);
  for (int i = 0; i < 100 && !x.ended; i++) {
    assert_int_equal(poll(&p, 1, 5000), 1);
    yoi_host_step(f.host, 0, NULL);
  }
  assert_int_equal(x.st, YOI_END);
  assert_int_equal(x.events, 1);
  host_fixture_stop(&f);
  drop_queues();
}

static struct yoi_embed *woken_host; /* process-wide: of the signal handler */

static void on_alarm(int sig) {
  (void)sig;
  yoi_host_wakeup(woken_host);
}

static void test_wakeup_in_a_signal_handler(void **state) {
  struct host_fixture f;
  struct sigaction act = {.sa_handler = on_alarm}, before;
  (void)state;
  set_up(&f, 1, ANSWER);
  host_fixture_start(&f);
  woken_host = f.host;
  sigaction(SIGALRM, &act, &before);
  struct itimerspec soon = {.it_value = {.tv_nsec = 20 * 1000000}};
  timer_t timer;
  assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
  assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
  uint64_t begin = yoi__now_ns();
  assert_int_equal(yoi_host_step(f.host, 20000, NULL), YOI_OK);
  assert_true(yoi__now_ns() - begin < 15000 * YOI__MS);
  timer_delete(timer);
  sigaction(SIGALRM, &before, NULL);
  host_fixture_stop(&f);
}

/* ---- the end ------------------------------------------------------------ */

static void test_order_of_the_end(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    set_up(&f, step, ANSWER);
    host_fixture_ingress(&f, &in_table);
    host_fixture_start(&f);
    assert_int_equal(yoi_host_drain(f.host, 1000, NULL), YOI_OK);
    assert_int_equal(yoi_host_drain(f.host, 1000, NULL), YOI_OK); /* done already */
    host_fixture_stop(&f);
    assert_string_equal(t.trace,
                        "rt.open in.open in.start in.stop rt.drain in.drain in.close rt.close ");
    drop_queues();
  }
}

static void test_drain_ends_calls_and_refuses_more(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct ending x;
    struct yoi_sdk_error e;
    yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
    char *text = NULL;
    set_up(&f, step, HOLD);
    host_fixture_start(&f);
    assert_int_equal(call(&f, &x, NULL), YOI_OK);
    yoi_sdk_queue_push(t.held[0], YOI_EVENT_RESULT, 0, YOI_LIT(""), YOI_LIT("{}"));
    assert_int_equal(yoi_host_drain(f.host, 2000, NULL), YOI_OK);
    host_fixture_until(&f, has_ended, &x);
    assert_int_equal(x.st, YOI_END);
    assert_int_equal(yoi_call_sync(f.host, YOI_LIT("a"), &r, &text, NULL, yoi_sdk_error_init(&e)),
                     YOI_UNAVAILABLE);
    assert_int_equal(e.e.code, YOI_CODE_SHUTTING_DOWN);
    host_fixture_stop(&f);
    drop_queues();
  }
}

static void *finishes_drain(void *arg) {
  (void)arg;
  while (!atomic_load(&t.has_drain)) sched_yield();
  yoi_sdk_queue_finish(t.draining); /* from another thread, while the host waits */
  return NULL;
}

static void test_drain_waits_and_has_an_end(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++)
    for (int drain = DRAIN_HANGS; drain <= DRAIN_LATER; drain++) {
      struct host_fixture f;
      struct yoi_sdk_error e;
      pthread_t thread;
      set_up(&f, step, ANSWER);
      t.drain = drain;
      host_fixture_start(&f);
      uint64_t begin = yoi__now_ns();
      if (drain == DRAIN_LATER)
        assert_int_equal(pthread_create(&thread, NULL, finishes_drain, NULL), 0);
      yoi_status st =
          yoi_host_drain(f.host, drain == DRAIN_LATER ? 20000 : 50, yoi_sdk_error_init(&e));
      if (drain == DRAIN_LATER) pthread_join(thread, NULL);
      assert_int_equal(st, drain == DRAIN_LATER ? YOI_OK : YOI_DEADLINE_EXCEEDED);
      assert_true(yoi__now_ns() - begin < 10000 * YOI__MS);
      host_fixture_stop(&f);
      drop_queues();
    }
}

static void test_failed_start_leaves_nothing_open(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct yoi_sdk_error e;
    int fds = files_count("/proc/self/fd");
    set_up(&f, step, ANSWER);
    host_fixture_ingress(&f, &in_table);
    t.fail_ingress = 1;
    host_fixture_start_as(&f, YOI_INVALID_ARGUMENT, yoi_sdk_error_init(&e));
    assert_string_equal(e.message, "cannot start ingress '127.0.0.1:0': no loops");
    assert_string_equal(t.trace, "rt.open in.open in.start in.close rt.close ");
    assert_int_equal(files_count("/proc/self/fd"), fds + step); /* what wakes a step stays */
    t.fail_ingress = 0;
    host_fixture_start(&f); /* and again, when the cause is gone */
    host_fixture_stop(&f);
    assert_int_equal(files_count("/proc/self/fd"), fds);
  }
}

/* ---- memory -------------------------------------------------------------- */

/* Each allocation of this thread fails once: every verb answers with an error
 * or does its work, and nothing stays behind. */
static void test_every_allocation_may_fail(void **state) {
  (void)state;
  int fds = files_count("/proc/self/fd");
  uint64_t made = 0, n = 1;
  do {
    struct host_fixture f;
    struct ending x;
    set_up(&f, 1, ANSWER);
    host_fixture_ingress(&f, &in_table);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi__host_of(&f.config, &f.host, NULL);
    if (st == YOI_OK) st = yoi_host_start(f.host, NULL);
    if (st == YOI_OK) st = call(&f, &x, NULL);
    if (st == YOI_OK)
      for (int i = 0; i < 20 && !x.ended; i++) (void)yoi_host_step(f.host, 0, NULL);
    if (st == YOI_OK) (void)yoi_host_drain(f.host, 100, NULL);
    yoi_host_free(f.host);
    f.host = NULL;
    made = yoi_sdk_mem_fail_at(0);
    host_fixture_stop(&f);
    drop_queues();
    assert_int_equal(files_count("/proc/self/fd"), fds);
  } while (made >= n++ && n < 1000); /* until the n-th is not reached */
  assert_true(n > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sync_in_both_modes),
      cmocka_unit_test(test_a_host_alone_touches_nothing),
      cmocka_unit_test(test_a_call_is_cancelled),
      cmocka_unit_test(test_a_deaf_call_ends_after_the_grace),
      cmocka_unit_test(test_free_ends_calls_in_flight),
      cmocka_unit_test(test_a_callback_may_not_wait),
      cmocka_unit_test(test_a_callback_may_call),
      cmocka_unit_test(test_what_sync_refuses),
      cmocka_unit_test(test_step_mode_in_somebody_elses_loop),
      cmocka_unit_test(test_wakeup_in_a_signal_handler),
      cmocka_unit_test(test_order_of_the_end),
      cmocka_unit_test(test_drain_ends_calls_and_refuses_more),
      cmocka_unit_test(test_drain_waits_and_has_an_end),
      cmocka_unit_test(test_failed_start_leaves_nothing_open),
      cmocka_unit_test(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
