/* test_engine_sleep.c - workers that sleep: who does, who never does, and what
 * waits while one is read. */
#include <stdlib.h>
#include <yoi/limits.h>

#include "runtimes/engine/worker.h"
#include "support/history.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT

static void make(struct rig *r, int n) {
  char text[64];
  for (int i = 0; i < n; i++) {
    (void)snprintf(text, sizeof text, "{\"worker_id\":\"w%d\"}", i);
    rig_ok(r, CREATE, "", text);
  }
}

static int is_awake(struct rig *r, const char *id) {
  struct eng_worker *w = eng_find(r->self, yoi_sdk_str(id));
  assert_non_null(w);
  int awake = atomic_load(&w->awake);
  eng_worker_unref(w);
  return awake;
}

static void limited(struct rig *r, const char *config) {
  unsigned mode = r->mode;
  rig_close(r);
  rig_open_as(r, mode, config, NULL, "durable");
}

static void the_one_used_longest_ago_sleeps(void **state) {
  struct rig *r = *state;
  limited(r, "{\"limits\":{\"loaded_workers\":2}}");
  make(r, 3);
  assert_int_equal(fake_metric(r->fh, "yoi_workers", ""), 3);
  assert_int_equal(fake_metric(r->fh, "yoi_workers_awake", ""), 2);
  assert_false(is_awake(r, "w0"));
  rig_ok(r, GET, "w1", "");
  rig_ok(r, GET, "w0", ""); /* w2 is the oldest now */
  assert_true(is_awake(r, "w0") && is_awake(r, "w1") && !is_awake(r, "w2"));
  assert_int_equal(fake_metric(r->fh, "yoi_worker_loads_total", ""), 1);
  assert_int_equal(fake_metric(r->fh, "yoi_worker_load_seconds", ""), 1);
  rig_ok(r, YOI_OP_WORKER_LIST, "", "");
  assert_true(rig_has(r, "\"w0\"") && rig_has(r, "\"w1\"") && rig_has(r, "\"w2\""));
  assert_int_equal(fake_metric(r->fh, "yoi_workers_awake", ""), 2);
  rig_ok(r, YOI_OP_WORKER_STOP, "w2", "");
  rig_ok(r, YOI_OP_WORKER_DELETE, "w2", "");
  rig_ok(r, GET, "w1", "");
  rig_ok(r, GET, "w0", "");
  assert_int_equal(fake_metric(r->fh, "yoi_workers_awake", ""), 2);
}

static void the_limit_has_a_default_and_a_maximum(void **state) {
  struct rig *r = *state;
  char config[96];
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_int_equal(atoll(rig_get(r, "runtime.limits.loaded_workers")), YOI_LOADED_WORKERS_DEFAULT);
  (void)snprintf(config, sizeof config, "{\"limits\":{\"loaded_workers\":%d}}",
                 YOI_LOADED_WORKERS_MAX);
  limited(r, config);
  for (int i = 0; i < 2; i++) {
    void *self = NULL;
    (void)snprintf(config, sizeof config, "{\"limits\":{\"loaded_workers\":%d}}",
                   i ? YOI_LOADED_WORKERS_MAX + 1 : 0);
    const struct eng_options o = {.store = eng_store_mem_new()};
    assert_int_equal(
        eng_open(fake_host_instance(r->fh), yoi_sdk_str(config), &o, &self, err),
        YOI_INVALID_ARGUMENT);
  }
}

static void a_history_may_be_longer_where_the_runtime_says_so(void **state) {
  struct rig *r = *state;
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  for (int i = 0; i < 2; i++) {
    void *self = NULL;
    const struct eng_options o = {.store = eng_store_mem_new(),
                                  .history_max = 2 * (uint64_t)YOI_HISTORY_BYTES_MAX};
    const char *config = i ? "{\"limits\":{\"history_bytes\":134217729}}"
                           : "{\"limits\":{\"history_bytes\":134217728}}";
    yoi_status st = eng_open(fake_host_instance(r->fh), yoi_sdk_str(config), &o, &self, err);
    assert_int_equal(st, i ? YOI_INVALID_ARGUMENT : YOI_OK);
    eng_close(self);
  }
}

/* A hundred thousand of them are no burden. */
static void one_that_sleeps_is_small(void **state) {
  struct rig *r = *state;
  make(r, 1);
  assert_int_equal(rig_sleep_one(r, "w0"), 1);
  struct eng_worker *w = eng_find(r->self, YOI_LIT("w0"));
  assert_true(sizeof *w + YOI_ID_MAX < 640);
  assert_true(!w->items && !w->fixed && !w->spec && !w->queue && !w->last_end && !w->snapshot &&
              !w->idem.entries && !w->idem.tags && !w->bells && !w->ring && !w->load);
  eng_worker_unref(w);
}

/* What the other tests rely on when they run "sleepy" and with "restarts". */
static void the_rig_sleeps_and_restarts(void **state) {
  struct rig *r = *state;
  make(r, 2);
  rig_ok(r, INPUT, "w0", "{\"content\":\"x\"}");
  assert_int_equal(r->slept > 0, (r->mode & RIG_SLEEPY) != 0);
  assert_int_equal(r->restarts > 0, (r->mode & RIG_RESTARTS) != 0);
  rig_ok(r, GET, "w0", "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
}

static size_t amiss_n;
static size_t amiss(struct eng_store *s, struct eng_amiss out[ENG_AMISS_MAX]) {
  (void)s;
  out[0] = (struct eng_amiss){"store_error", "warning", "the disk is nearly full", 2, 0};
  out[1] = (struct eng_amiss){"store_corrupt", "error", "a segment is damaged", 1, 1000000000u};
  return amiss_n;
}

static void describe_says_what_is_amiss_with_the_store(void **state) {
  struct rig *r = *state;
  struct eng_store_ops ops = *r->store->ops;
  const struct eng_store_ops *before = r->store->ops;
  static const char *const status[] = {"\"ready\"", "\"ready\"", "\"degraded\""};
  ops.amiss = amiss;
  r->store->ops = &ops;
  for (amiss_n = 0; amiss_n <= 2; amiss_n++) {
    rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
    assert_string_equal(rig_get(r, "runtime.status"), status[amiss_n]);
  }
  assert_string_equal(rig_get(r, "runtime.diagnostics"),
                      "[{\"code\":\"store_error\",\"severity\":\"warning\",\"message\":\"the "
                      "disk is nearly full\",\"count\":2,\"last_at\":\"1970-01-01T00:00:00.000Z\"},"
                      "{\"code\":\"store_corrupt\",\"severity\":\"error\",\"message\":\"a segment "
                      "is damaged\",\"count\":1,\"last_at\":\"1970-01-01T00:00:01.000Z\"}]");
  r->store->ops = before;
}

/* ---- who does not sleep ---- */

static void one_that_is_in_use_does_not(void **state) {
  struct rig *r = *state;
  struct ear e;
  queue_make(r);
  ear_open(&e, r, "a", NULL);
  ear_settle(&e);
  assert_int_equal(rig_sleep_one(r, "a"), 0); /* watched */
  queue_begin(r);
  ear_settle(&e);
  ear_close(&e);
  assert_int_equal(rig_sleep_one(r, "a"), 0); /* a turn runs */
  rig_ok(r, INPUT, "a", QUEUE("b"));
  queue_let_go(r);
  assert_int_equal(rig_sleep_one(r, "a"), 1);
  assert_int_equal(rig_sleep_one(r, "a"), 0); /* it does already */
  rig_ok(r, GET, "a", "");
  ear_open(&e, r, "a", NULL);
  rig_ok(r, INPUT, "a", "{\"content\":\"x\"}");
  ear_settle(&e);
  struct ear f;
  ear_open(&f, r, "a", NULL);
  ear_close(&e);
  ear_close(&f);
  rig_settle(r);
  assert_int_equal(rig_sleep_one(r, "a"), 1);
}

static void what_the_process_met_is_not_forgotten(void **state) {
  struct rig *r = *state;
  queue_make(r);
  eng_store_mem_fail(r->store, 1, 1);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_STORE_ERROR);
  rig_ok(r, GET, "a", "");
  char *before = strdup(r->text);
  assert_int_equal(rig_sleep_one(r, "a"), 1);
  rig_ok(r, GET, "a", "");
  assert_string_equal(r->text, before);
  free(before);
}

static void one_whose_end_is_owed_does_not(void **state) {
  struct rig *r = *state;
  queue_make(r);
  queue_begin(r);
  eng_store_mem_fail(r->store, 1, 1);
  queue_let_go(r);
  rig_ended(r, "failed", "store_error");
  assert_int_equal(rig_sleep_one(r, "a"), 0);
  rig_ok(r, INPUT, "a", "{\"content\":\"x\"}");
  assert_int_equal(rig_sleep_one(r, "a"), 1);
  rig_ended(r, "completed", "stop");
}

/* ---- who waits ---- */

static void a_load_is_shared_and_its_waiters_are_bounded(void **state) {
  struct rig *r = *state;
  yoi_stream *s[YOI_PENDING_OPS_MAX + 1];
  if (!r->late) return;
  queue_make(r);
  (void)rig_sleep(r);
  for (size_t i = 0; i <= YOI_PENDING_OPS_MAX; i++) s[i] = rig_start(r, GET, "a", "", NULL);
  assert_null(s[YOI_PENDING_OPS_MAX]);
  assert_int_equal(r->err->code, YOI_CODE_QUEUE_FULL);
  assert_int_equal(r->err->retry_after_ms, YOI_RETRY_APPEND_MS);
  assert_null(rig_start(r, YOI_OP_WORKER_LIST, "", "", NULL)); /* it would wait for it too */
  assert_int_equal(eng_store_mem_waiting(r->store), 1);
  assert_int_equal(rig_sleep_one(r, "a"), 0);
  for (size_t i = 0; i < YOI_PENDING_OPS_MAX; i++) {
    assert_int_equal(rig_finish(r, s[i]), YOI_OK);
    assert_true(rig_has(r, "\"worker_id\":\"a\""));
  }
  assert_int_equal(fake_metric(r->fh, "yoi_worker_loads_total", ""), 1);
}

static void an_operation_that_waited_is_woken_once(void **state) {
  struct rig *r = *state;
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  if (!r->late) return;
  queue_make(r);
  (void)rig_sleep(r);
  uint64_t token = fake_token(r->fh);
  yoi_stream *s = rig_start(r, GET, "a", "", &(yoi_request){.token = token});
  assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_AGAIN);
  assert_int_equal(fake_token_wakes(r->fh, token), 0);
  rig_settle(r);
  assert_int_equal(fake_token_wakes(r->fh, token), 1);
  assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_OK);
  assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_END);
  s->ops->release(s);
  fake_token_free(r->fh, token);
}

static void a_cancelled_one_stays_cancelled_and_still_happens(void **state) {
  struct rig *r = *state;
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  if (!r->late) return;
  for (int looked = 0; looked < 2; looked++) {
    if (looked) rig_reopen(r, NULL, NULL);
    queue_make(r);
    (void)rig_sleep(r);
    uint64_t token = fake_token(r->fh);
    yoi_stream *s = rig_start(r, INPUT, "a", "{\"content\":\"x\"}", &(yoi_request){.token = token});
    s->ops->cancel(s);
    s->ops->cancel(s);
    assert_int_equal(fake_token_wakes(r->fh, token), 1);
    if (looked) assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_CANCELLED);
    rig_settle(r);
    assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_CANCELLED);
    assert_int_equal(s->ops->next(s, &evs, &n, r->err), YOI_CANCELLED);
    s->ops->release(s);
    fake_token_free(r->fh, token);
    rig_ended(r, "completed", "stop");
  }
}

static void a_released_one_still_happens(void **state) {
  struct rig *r = *state;
  if (!r->late) return;
  queue_make(r);
  (void)rig_sleep(r);
  yoi_stream *s = rig_start(r, INPUT, "a", "{\"content\":\"x\"}", NULL);
  s->ops->release(s);
  rig_settle(r);
  rig_ended(r, "completed", "stop");
  s = rig_start(r, YOI_OP_WORKER_EVENTS, "a", "", NULL);
  if (s) s->ops->release(s);
  rig_settle(r);
  assert_int_equal(rig_sleep_one(r, "a"), 1);
  s = rig_start(r, YOI_OP_WORKER_EVENTS, "a", "", NULL);
  s->ops->release(s);
  rig_settle(r);
  assert_int_equal(fake_metric(r->fh, "yoi_watchers", ""), 0);
}

static void a_follow_goes_through(void **state) {
  struct rig *r = *state;
  struct ear e;
  queue_make(r);
  (void)rig_sleep(r);
  ear_follow(&e, r, "a", "{\"content\":\"x\"}", "");
  ear_settle(&e);
  assert_int_equal(e.st, YOI_END);
  assert_int_equal(ear_count(&e, "ack {"), 1);
  assert_int_equal(ear_count(&e, "turn.ended {"), 1);
  ear_close(&e);
}

static void an_error_comes_whole(void **state) {
  struct rig *r = *state;
  queue_make(r);
  (void)rig_sleep(r);
  rig_refused(r, INPUT, "a", "{\"content\":1}", YOI_CODE_INVALID_REQUEST);
  assert_string_equal(r->err->message, "'content' is neither a string nor an array of text parts");
  (void)rig_sleep(r);
  rig_refused(r, GET, "a", "{\"x\":1}", YOI_CODE_INVALID_REQUEST);
}

static void a_read_that_fails_is_said_and_tried_again(void **state) {
  struct rig *r = *state;
  queue_make(r);
  (void)rig_sleep(r);
  eng_store_mem_fail_read(r->store, 1, 1);
  rig_refused(r, GET, "a", "", YOI_CODE_STORE_ERROR);
  rig_ok(r, GET, "a", "");
  (void)rig_sleep(r);
  eng_store_mem_fail_read(r->store, 1, 1);
  rig_refused(r, YOI_OP_WORKER_LIST, "", "", YOI_CODE_STORE_ERROR);
  rig_ok(r, YOI_OP_WORKER_LIST, "", "");
}

static void close_takes_them_along(void **state) {
  struct rig *r = *state;
  yoi_stream *s[3];
  if (!r->late) return;
  make(r, 2);
  for (int step = 0; step < 2; step++) {
    (void)rig_sleep(r);
    s[0] = rig_start(r, GET, "w0", "", NULL);
    s[1] = rig_start(r, INPUT, "w0", "{\"content\":\"x\"}", NULL);
    s[2] = rig_start(r, YOI_OP_WORKER_LIST, "", "", NULL);
    if (step) (void)eng_store_mem_step(r->store);
    for (int i = 0; i < 3; i++) s[i]->ops->release(s[i]);
    rig_restart(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_VAULT_TESTS(the_one_used_longest_ago_sleeps),
      RIG_VAULT_TESTS(the_limit_has_a_default_and_a_maximum),
      RIG_VAULT_TESTS(a_history_may_be_longer_where_the_runtime_says_so),
      RIG_VAULT_TESTS(one_that_sleeps_is_small),
      RIG_VAULT_TESTS(describe_says_what_is_amiss_with_the_store),
      RIG_TESTS(the_rig_sleeps_and_restarts),
      RIG_VAULT_TESTS(one_that_is_in_use_does_not),
      RIG_VAULT_TESTS(what_the_process_met_is_not_forgotten),
      RIG_VAULT_TESTS(one_whose_end_is_owed_does_not),
      RIG_VAULT_TESTS(a_load_is_shared_and_its_waiters_are_bounded),
      RIG_VAULT_TESTS(an_operation_that_waited_is_woken_once),
      RIG_VAULT_TESTS(a_cancelled_one_stays_cancelled_and_still_happens),
      RIG_VAULT_TESTS(a_released_one_still_happens),
      RIG_VAULT_TESTS(a_follow_goes_through),
      RIG_VAULT_TESTS(an_error_comes_whole),
      RIG_VAULT_TESTS(a_read_that_fails_is_said_and_tried_again),
      RIG_VAULT_TESTS(close_takes_them_along),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
