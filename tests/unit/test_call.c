/* test_call.c - yoi_call against plugins that do not keep the rules, and hosts
 * that are driven from inside each other's callbacks.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>
#include <yoi/host_loop.h>
#include <yoi/host_model.h>

#include "host/clock.h"
#include "support/host_fixture.h"

/* ---- a runtime that talks for ever, one that never answers ---------------- */

static yoi_status flood_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                             yoi_error *err) {
  static const yoi_event event = {
      .size = sizeof event, .kind = YOI_EVENT_TEXT_DELTA, .text = {"{}", 2}};
  static const yoi_event *const events[] = {&event};
  (void)s;
  (void)err;
  *out_events = events;
  *out_n = 1;
  return YOI_OK;
}

static yoi_status silent_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                              yoi_error *err) {
  (void)s;
  (void)out_events;
  (void)out_n;
  (void)err;
  return YOI_AGAIN;
}

static void nothing(yoi_stream *s) {
  (void)s;
}

static const yoi_stream_ops flood_ops = {sizeof flood_ops, 0, flood_next, nothing, nothing};
static const yoi_stream_ops silent_ops = {sizeof silent_ops, 0, silent_next, nothing, nothing};

static yoi_status open_self(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)host;
  (void)config;
  (void)err;
  *out_self = NULL;
  return YOI_OK;
}

static void close_self(void *self) {
  (void)self;
}

static yoi_status start_stream(void *self, const yoi_request *req, yoi_stream **out,
                               yoi_error *err) {
  static yoi_stream flood = {&flood_ops}, silent = {&silent_ops}; /* constants in fact */
  (void)self;
  (void)err;
  if (req->op == YOI_OP_RUNTIME_DESCRIBE)
    *out = yoi_sdk_stream_one(YOI_LIT("{}"), 0);
  else
    *out = req->op == YOI_OP_WORKER_EVENTS ? &flood : &silent;
  return YOI_OK;
}

static const yoi_runtime table = {.size = sizeof table,
                                  .thread_model = YOI_PARALLEL,
                                  .open = open_self,
                                  .close = close_self,
                                  .start = start_stream};

struct seen {
  uint32_t events, ends;
  yoi_status st;
};

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct seen *s = ctx;
  (void)err;
  if (ev != NULL) {
    s->events++;
    return;
  }
  s->ends++;
  s->st = st;
}

static void set_up(struct host_fixture *f) {
  host_fixture_init(f, 1);
  host_fixture_runtime(f, "a", &table);
  host_fixture_start(f);
}

/* A stream that always has an event, and is deaf to its cancel. */
static void test_a_cancel_ends_a_flood(void **state) {
  struct host_fixture f;
  struct seen s = {0};
  uint64_t id = 0;
  (void)state;
  set_up(&f);
  yoi_request req = fixture_request(YOI_OP_WORKER_EVENTS);
  assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &req, on_event, &s, &id, NULL), YOI_OK);
  assert_int_equal(yoi_host_step(f.host, 0, NULL), YOI_OK);
  assert_true(s.events > 0);
  yoi_call_cancel(f.host, id);
  uint64_t until = yoi__now_ns() + 3 * YOI_CANCEL_GRACE_MS * YOI__MS;
  while (s.ends == 0 && yoi__now_ns() < until)
    assert_int_equal(yoi_host_step(f.host, 100, NULL), YOI_OK);
  assert_int_equal(s.ends, 1);
  assert_int_equal(s.st, YOI_CANCELLED);
  host_fixture_stop(&f);
}

/* ---- when memory is short ------------------------------------------------- */

/* Whichever allocation of a call fails: it is refused and never called back,
 * or its last callback comes. */
static void test_a_call_ends_whatever_allocation_fails(void **state) {
  int more = 1;
  (void)state;
  for (uint64_t n = 1; more; n++) {
    struct host_fixture f;
    struct seen warm = {0}, s = {0};
    set_up(&f);
    yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
    /* The tables have grown then, and the loop has changed to its other queue. */
    assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &req, on_event, &warm, NULL, NULL), YOI_OK);
    for (int i = 0; i < 5 && warm.ends == 0; i++)
      assert_int_equal(yoi_host_step(f.host, 0, NULL), YOI_OK);
    assert_int_equal(warm.ends, 1);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi_call(f.host, YOI_LIT("a"), &req, on_event, &s, NULL, NULL);
    more = yoi_sdk_mem_fail_at(0) >= n;
    for (int i = 0; i < 5; i++) assert_int_equal(yoi_host_step(f.host, 0, NULL), YOI_OK);
    assert_int_equal(s.ends, st == YOI_OK ? 1 : 0);
    if (!more) assert_int_equal(st, YOI_OK);
    host_fixture_stop(&f);
    assert_int_equal(s.ends, st == YOI_OK ? 1 : 0);
  }
}

static yoi_status refuse_start(void *self, const yoi_request *req, yoi_stream **out,
                               yoi_error *err) {
  (void)self;
  (void)req;
  (void)out;
  return yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the disk is full");
}

/* A runtime that fails has its diagnostic, also when the reason is lost. */
static void test_a_failed_row_is_never_an_empty_one(void **state) {
  int more = 1;
  yoi_runtime refusing = table;
  (void)state;
  refusing.start = refuse_start;
  for (uint64_t n = 1; more; n++) {
    struct host_fixture f;
    char *text = NULL;
    host_fixture_init(&f, 1);
    host_fixture_runtime(&f, "a", &refusing);
    host_fixture_start(&f);
    yoi_request req = fixture_request(YOI_OP_HOST_WORKERS);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi_call_sync(f.host, (yoi_str){0}, &req, &text, NULL, NULL);
    more = yoi_sdk_mem_fail_at(0) >= n;
    if (st == YOI_OK && strstr(text, "\"diagnostics\":[{") == NULL)
      fail_msg("allocation %d: %s", (int)n, text);
    if (!more) assert_non_null(strstr(text, "\"code\":\"store_error\""));
    yoi_free(text);
    host_fixture_stop(&f);
  }
}

static int profile_lost; /* process-wide: tables of plugins have no argument for it */

static yoi_status see_profile(void *self, const yoi_request *req, yoi_stream **out,
                              yoi_error *err) {
  (void)self;
  (void)err;
  if (memmem(req->body.ptr, req->body.len, "\"value\":\"own\"", 13) == NULL) profile_lost++;
  *out = yoi_sdk_stream_one(YOI_LIT("{}"), 0);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

/* A create is routed with the profile of its runtime's entry, or not at all. */
static void test_the_default_profile_is_never_lost(void **state) {
  int more = 1;
  yoi_runtime seeing = table;
  (void)state;
  seeing.start = see_profile;
  profile_lost = 0;
  for (uint64_t n = 1; more; n++) {
    struct host_fixture f;
    struct seen s = {0};
    host_fixture_init(&f, 1);
    host_fixture_runtime(&f, "a", &seeing)->default_profile = YOI_LIT("own");
    host_fixture_start(&f);
    yoi_request req = fixture_request(YOI_OP_WORKER_CREATE);
    /* A key with an escape makes the reader of JSON allocate. */
    req.body = YOI_LIT("{\"display\\u005fname\":\"x\"}");
    (void)yoi_sdk_mem_fail_at(n);
    (void)yoi_call(f.host, YOI_LIT("a"), &req, on_event, &s, NULL, NULL);
    more = yoi_sdk_mem_fail_at(0) >= n;
    for (int i = 0; i < 5; i++) assert_int_equal(yoi_host_step(f.host, 0, NULL), YOI_OK);
    if (profile_lost > 0) fail_msg("allocation %d", (int)n);
    host_fixture_stop(&f);
  }
}

static void test_a_drain_without_memory_has_not_begun(void **state) {
  struct host_fixture f;
  (void)state;
  set_up(&f);
  (void)yoi_sdk_mem_fail_at(1);
  assert_int_equal(yoi_host_drain(f.host, 1000, NULL), YOI_RESOURCE_EXHAUSTED);
  (void)yoi_sdk_mem_fail_at(0);
  struct seen s = {0};
  yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &req, on_event, &s, NULL, NULL), YOI_OK);
  assert_int_equal(yoi_host_drain(f.host, 0, NULL), YOI_OK); /* nothing was cancelled */
  host_fixture_stop(&f);
}

/* ---- wakes that come as soon as they can ----------------------------------- */

#define WOKEN_CALLS 4000

struct early_wakes {
  const yoi_host *host;
  _Atomic uint64_t token;
  _Atomic uint32_t stop, ends;
};

static yoi_status woken_open(const yoi_host *host, yoi_str config, void **self, yoi_error *err) {
  (void)config, (void)err;
  ((struct early_wakes *)*self)->host = host;
  return YOI_OK;
}

static yoi_status woken_start(void *self, const yoi_request *req, yoi_stream **out,
                              yoi_error *err) {
  struct early_wakes *w = self;
  *out = yoi_sdk_stream_one(YOI_LIT("{}"), 0);
  if (*out == NULL) return yoi_sdk_fail_memory(err);
  atomic_store(&w->token, req->token);
  return YOI_OK;
}

static void *wakes_ever(void *arg) {
  struct early_wakes *w = arg;
  while (!atomic_load(&w->stop)) {
    uint64_t token = atomic_load(&w->token);
    if (token != 0) w->host->wake(w->host, token);
  }
  return NULL;
}

static void counts_end(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct early_wakes *w = ctx;
  (void)st, (void)err;
  if (ev == NULL) atomic_fetch_add(&w->ends, 1u);
}

/* A wake may have the call polled to its end, and freed, before yoi_call returns. */
static void test_a_wake_may_end_a_call_before_it_has_begun(void **state) {
  struct early_wakes w = {0};
  struct host_fixture f;
  yoi_runtime woken = table;
  pthread_t thread;
  (void)state;
  woken.open = woken_open;
  woken.start = woken_start;
  const yoi_linked_plugin row = {.size = sizeof row, .table = &woken, .user = &w};
  host_fixture_init(&f, 0);
  host_fixture_runtime(&f, "a", &woken);
  f.plugins[0].linked = &row;
  host_fixture_start(&f);
  assert_int_equal(pthread_create(&thread, NULL, wakes_ever, &w), 0);
  yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  for (uint32_t i = 0; i < WOKEN_CALLS; i++) {
    assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &req, counts_end, &w, NULL, NULL), YOI_OK);
    while (i > atomic_load(&w.ends) + 8) sched_yield();
  }
  while (atomic_load(&w.ends) < WOKEN_CALLS) sched_yield();
  atomic_store(&w.stop, 1u);
  pthread_join(thread, NULL);
  host_fixture_stop(&f);
}

/* ---- drain inside a callback ------------------------------------------------- */

struct drainer {
  struct yoi_embed *host;
  yoi_status st;
  _Atomic uint32_t done;
  struct yoi_sdk_error e;
};

static void drains(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct drainer *d = ctx;
  (void)st, (void)err;
  if (ev != NULL) return;
  d->st = yoi_host_drain(d->host, 0, yoi_sdk_error_init(&d->e));
  atomic_store(&d->done, 1u);
}

static int has_drained(void *ctx) {
  return atomic_load(&((struct drainer *)ctx)->done) != 0;
}

static void test_a_callback_may_not_drain(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct host_fixture f;
    struct seen s = {0};
    uint64_t id = 0;
    host_fixture_init(&f, step);
    host_fixture_runtime(&f, "a", &table);
    host_fixture_start(&f);
    struct drainer d = {.host = f.host};
    yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
    assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &req, drains, &d, &id, NULL), YOI_OK);
    host_fixture_until(&f, has_drained, &d);
    assert_int_equal(d.st, YOI_FAILED_PRECONDITION);
    assert_non_null(strstr(d.e.message, "a callback may not drain"));
    /* Nothing has begun: work is taken as before. */
    assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &req, on_event, &s, &id, NULL), YOI_OK);
    assert_int_equal(yoi_host_drain(f.host, 1000, NULL), YOI_OK);
    host_fixture_stop(&f);
    assert_int_equal(s.ends, 1);
  }
}

/* ---- threads beside the one that steps ------------------------------------- */

struct beside {
  struct yoi_embed *host;
  yoi_status sync, step;
  char *text;
  struct yoi_sdk_error e;
};

static void *waits(void *arg) {
  struct beside *b = arg;
  yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  b->sync = yoi_call_sync(b->host, YOI_LIT("a"), &req, &b->text, NULL, yoi_sdk_error_init(&b->e));
  return NULL;
}

static void *steps_then_waits(void *arg) {
  struct beside *b = arg;
  b->step = yoi_host_step(b->host, 0, NULL);
  return waits(arg);
}

static void beside(struct beside *b, void *(*what)(void *arg)) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, what, b), 0);
  pthread_join(thread, NULL);
}

static void refused_beside(struct beside *b, void *(*what)(void *arg)) {
  beside(b, what);
  assert_int_equal(b->sync, YOI_FAILED_PRECONDITION);
  assert_non_null(strstr(b->e.message, "only the thread that steps the host may wait"));
  assert_null(b->text);
}

/* In the callback the other thread meets a turn that is under way. */
static void others_wait(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct beside *b = ctx;
  (void)st;
  (void)err;
  if (ev != NULL) return;
  refused_beside(b, steps_then_waits);
  assert_int_equal(b->step, YOI_FAILED_PRECONDITION);
  b->host = NULL;
}

static int was_asked(void *ctx) {
  return ((struct beside *)ctx)->host == NULL;
}

static void test_sync_is_for_the_thread_that_steps(void **state) {
  struct host_fixture f;
  (void)state;
  set_up(&f);
  struct beside b = {.host = f.host};
  refused_beside(&b, waits);
  yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  assert_int_equal(yoi_call(f.host, YOI_LIT("a"), &req, others_wait, &b, NULL, NULL), YOI_OK);
  host_fixture_until(&f, was_asked, &b);
  b = (struct beside){.host = f.host};
  (void)waits(&b);
  assert_int_equal(b.sync, YOI_OK);
  yoi_free(b.text);
  b = (struct beside){.host = f.host};
  beside(&b, steps_then_waits); /* the host is that thread's now */
  assert_int_equal(b.step, YOI_OK);
  assert_int_equal(b.sync, YOI_OK);
  assert_non_null(strstr(b.text, "{}"));
  yoi_free(b.text);
  b = (struct beside){.host = f.host};
  (void)waits(&b); /* and no longer this one's */
  assert_int_equal(b.sync, YOI_FAILED_PRECONDITION);
  host_fixture_stop(&f);
}

/* ---- hosts inside each other ---------------------------------------------- */

struct nested {
  struct host_fixture outer, inner;
  yoi_status st;
  int ran;
};

static void in_inner(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct nested *n = ctx;
  char *text = NULL;
  (void)st;
  (void)err;
  if (ev == NULL) return;
  /* The outer host is in the middle of a step, further up this stack. */
  yoi_request req = fixture_request(YOI_OP_WORKER_GET);
  n->st = yoi_call_sync(n->outer.host, YOI_LIT("a"), &req, &text, NULL, NULL);
  n->ran++;
}

static void in_outer(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct nested *n = ctx;
  (void)st;
  (void)err;
  if (ev == NULL) return;
  yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  assert_int_equal(yoi_call(n->inner.host, YOI_LIT("a"), &req, in_inner, n, NULL, NULL), YOI_OK);
  for (int i = 0; i < 5; i++) assert_int_equal(yoi_host_step(n->inner.host, 0, NULL), YOI_OK);
}

static void test_sync_inside_a_callback_is_refused_at_any_depth(void **state) {
  struct nested n = {.st = YOI_OK};
  (void)state;
  set_up(&n.outer);
  set_up(&n.inner);
  yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  assert_int_equal(yoi_call(n.outer.host, YOI_LIT("a"), &req, in_outer, &n, NULL, NULL), YOI_OK);
  for (int i = 0; i < 5; i++) assert_int_equal(yoi_host_step(n.outer.host, 0, NULL), YOI_OK);
  assert_int_equal(n.ran, 1);
  assert_int_equal(n.st, YOI_FAILED_PRECONDITION);
  host_fixture_stop(&n.inner);
  host_fixture_stop(&n.outer);
}

static void frees_inner(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct nested *n = ctx;
  (void)st;
  (void)err;
  if (ev == NULL) return;
  uint32_t before = yoi__loops_current(n->outer.host->loops);
  host_fixture_stop(&n->inner);
  assert_int_equal(yoi__loops_current(n->outer.host->loops), before); /* still on its loop */
  n->ran++;
}

static void test_a_host_may_be_freed_in_anothers_callback(void **state) {
  struct nested n = {.st = YOI_OK};
  (void)state;
  set_up(&n.outer);
  set_up(&n.inner);
  yoi_request req = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  assert_int_equal(yoi_call(n.outer.host, YOI_LIT("a"), &req, frees_inner, &n, NULL, NULL),
                   YOI_OK);
  for (int i = 0; i < 5; i++) assert_int_equal(yoi_host_step(n.outer.host, 0, NULL), YOI_OK);
  assert_int_equal(n.ran, 1);
  host_fixture_stop(&n.outer);
}

/* ---- a start that fails --------------------------------------------------- */

struct early {
  const yoi_host *host;
  yoi_stream *stream;
  _Atomic int asked, opened;
};

static struct early early; /* process-wide: tables of plugins have no argument for it */

static yoi_status model_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  atomic_fetch_add(&early.opened, 1);
  return open_self(host, config, out_self, err);
}

static yoi_status model_start(void *self, const yoi_model_request *req, yoi_stream **out,
                              yoi_error *err) {
  (void)self;
  (void)req;
  (void)err;
  *out = yoi_sdk_stream_empty();
  return YOI_OK;
}

static void ask_model(void *ctx) {
  const yoi_host_model *models = early.host->get_interface(early.host, YOI_LIT(YOI_HOST_MODEL_ID));
  yoi_model_request req = {.size = sizeof req};
  (void)ctx;
  assert_int_equal(models->start(early.host, YOI_LIT("m"), &req, &early.stream, NULL), YOI_OK);
  atomic_store(&early.asked, 1);
}

static yoi_status asking_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  const yoi_host_loop *loop = host->get_interface(host, YOI_LIT(YOI_HOST_LOOP_ID));
  early.host = host;
  assert_int_equal(loop->post(host, 0, ask_model, NULL), YOI_OK);
  return open_self(host, config, out_self, err);
}

static void asking_close(void *self) {
  (void)self;
  if (early.stream != NULL) early.stream->ops->release(early.stream);
  early.stream = NULL;
}

static yoi_status failing_open(const yoi_host *host, yoi_str config, void **out_self,
                               yoi_error *err) {
  uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
  (void)host;
  (void)config;
  (void)out_self;
  while (!atomic_load(&early.asked) && yoi__now_ns() < until) sched_yield();
  assert_true(atomic_load(&early.asked));
  return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "not today");
}

/* The open of a model waits on the control thread while the start is undone. */
static void test_a_failed_start_opens_nothing_more(void **state) {
  struct host_fixture f;
  struct yoi_sdk_error e;
  yoi_model model = {.size = sizeof model,
                     .thread_model = YOI_PARALLEL,
                     .open = model_open,
                     .close = close_self,
                     .start = model_start};
  yoi_runtime asking = table, failing = table;
  (void)state;
  memset(&early, 0, sizeof early);
  asking.open = asking_open;
  asking.close = asking_close;
  failing.open = failing_open;
  host_fixture_init(&f, 0);
  host_fixture_model(&f, "m", &model);
  host_fixture_runtime(&f, "a", &asking);
  host_fixture_runtime(&f, "b", &failing);
  host_fixture_start_as(&f, YOI_INTERNAL, yoi_sdk_error_init(&e));
  assert_int_equal(early.opened, 0);
  assert_null(early.stream);
  host_fixture_stop(&f);
}

/* ---- a wake while open runs ------------------------------------------------ */

struct opening {
  const yoi_host *host;
  uint64_t token;
  _Atomic int woke, wakes;
};

static struct opening opening; /* process-wide: tables of plugins have no argument for it */

static void wake_self(void *ctx) {
  (void)ctx;
  opening.host->wake(opening.host, opening.token);
  atomic_store(&opening.woke, 1);
}

static yoi_status slow_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  const yoi_host_loop *loop = host->get_interface(host, YOI_LIT(YOI_HOST_LOOP_ID));
  uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
  (void)config;
  opening.host = host;
  assert_int_equal(host->token_new(host, 7, &opening.token, err), YOI_OK);
  assert_int_equal(loop->post(host, 0, wake_self, NULL), YOI_OK);
  while (!atomic_load(&opening.woke) && yoi__now_ns() < until) sched_yield();
  *out_self = &opening;
  return YOI_OK;
}

static void opening_wake(void *self, uint64_t cookie) {
  assert_ptr_equal(self, &opening);
  assert_int_equal(cookie, 7);
  atomic_fetch_add(&opening.wakes, 1);
}

/* What open posted may hold streams before open returns: their news is kept. */
static void test_a_wake_during_open_is_kept(void **state) {
  struct host_fixture f;
  yoi_runtime slow = table;
  (void)state;
  slow.open = slow_open;
  slow.wake = opening_wake;
  host_fixture_init(&f, 0);
  host_fixture_runtime(&f, "a", &slow);
  host_fixture_start(&f);
  assert_int_equal(opening.woke, 1);
  assert_int_equal(opening.wakes, 1);
  host_fixture_stop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_cancel_ends_a_flood),
      cmocka_unit_test(test_a_call_ends_whatever_allocation_fails),
      cmocka_unit_test(test_a_failed_row_is_never_an_empty_one),
      cmocka_unit_test(test_the_default_profile_is_never_lost),
      cmocka_unit_test(test_a_drain_without_memory_has_not_begun),
      cmocka_unit_test(test_a_wake_may_end_a_call_before_it_has_begun),
      cmocka_unit_test(test_a_callback_may_not_drain),
      cmocka_unit_test(test_sync_is_for_the_thread_that_steps),
      cmocka_unit_test(test_sync_inside_a_callback_is_refused_at_any_depth),
      cmocka_unit_test(test_a_wake_during_open_is_kept),
      cmocka_unit_test(test_a_failed_start_opens_nothing_more),
      cmocka_unit_test(test_a_host_may_be_freed_in_anothers_callback),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
