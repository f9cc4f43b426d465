/* test_engine_drain.c - how a runtime ends: drained, or closed in the middle
 * of everything; and what happens when memory is short. */
#include <sdk/mem.h>
#include <stdlib.h>

#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define STOP YOI_OP_WORKER_STOP
#define CANCEL YOI_OP_WORKER_CANCEL
#define DELETE YOI_OP_WORKER_DELETE
#define TRANSCRIPT YOI_OP_WORKER_TRANSCRIPT

static void make(struct rig *r, const char *id) {
  char body[64];
  (void)snprintf(body, sizeof body, "{\"worker_id\":\"%s\"}", id);
  rig_ok(r, CREATE, "", body);
}

static void begin_turn(struct rig *r, const char *id) {
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "x");
  fake_answer_gate(a);
  fake_answer_finish(a, "stop");
  rig_ok(r, INPUT, id, "{\"content\":\"hi\"}");
}

struct drain {
  yoi_stream *s;
  uint64_t token;
};

static void drain_open(struct drain *d, struct rig *r, uint64_t ms) {
  d->token = fake_token(r->fh);
  uint64_t deadline = fake_host_now(r->fh) + ms * 1000000u;
  assert_int_equal(eng_drain(r->self, deadline, d->token, &d->s, r->err), YOI_OK);
}

static yoi_status drain_next(struct drain *d) {
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  return d->s->ops->next(d->s, &evs, &n, NULL);
}

static void drain_close(struct drain *d, struct rig *r) {
  d->s->ops->cancel(d->s);
  d->s->ops->release(d->s);
  fake_token_free(r->fh, d->token);
}

static void an_idle_runtime_is_drained_at_once(void **state) {
  struct rig *r = *state;
  struct drain d;
  struct ear e;
  make(r, "a");
  ear_open(&e, r, "a", NULL);
  ear_settle(&e);
  drain_open(&d, r, 1000);
  assert_int_equal(drain_next(&d), YOI_END);
  assert_int_equal(drain_next(&d), YOI_END);
  assert_int_equal(fake_token_wakes(r->fh, e.token), 1);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot end");
  assert_true(ear_has(&e,
                      "end {\"reason\":\"draining\",\"code\":\"shutting_down\","
                      "\"retryable\":true,"));
  ear_close(&e);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\"}", YOI_CODE_SHUTTING_DOWN);
  rig_refused(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}", YOI_CODE_SHUTTING_DOWN);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"b\"}", YOI_CODE_SHUTTING_DOWN);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}"); /* a replay is answered */
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.status"), "\"draining\"");
  assert_null(strstr(rig_get(r, "runtime.capabilities"), "worker.input"));
  rig_ok(r, GET, "a", "");
  assert_null(strstr(rig_get(r, "worker.capabilities"), "worker.input"));
  drain_close(&d, r);
}

static void turns_may_end_within_the_deadline(void **state) {
  struct rig *r = *state;
  struct drain d;
  struct ear e;
  make(r, "a");
  begin_turn(r, "a");
  ear_open(&e, r, "a", NULL);
  drain_open(&d, r, 1000);
  rig_settle(r);
  assert_int_equal(drain_next(&d), YOI_AGAIN);
  ear_settle(&e);
  assert_int_equal(e.st, YOI_AGAIN); /* it still has something to see */
  (void)fake_token_wakes(r->fh, d.token);
  fake_host_advance(r->fh, 500);
  fake_model_open(r->fh);
  rig_settle(r);
  assert_int_equal(fake_token_wakes(r->fh, d.token), 1);
  assert_int_equal(drain_next(&d), YOI_END);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot message.completed turn.ended end");
  assert_true(ear_has(&e, "\"reason\":\"draining\""));
  ear_close(&e);
  drain_close(&d, r);
}

static void the_rest_is_cancelled(void **state) {
  struct rig *r = *state;
  struct drain d;
  struct ear e;
  make(r, "a");
  make(r, "b");
  begin_turn(r, "a");
  begin_turn(r, "b");
  ear_open(&e, r, "a", NULL);
  drain_open(&d, r, 1000);
  rig_settle(r);
  assert_int_equal(drain_next(&d), YOI_AGAIN);
  fake_host_advance(r->fh, 1000);
  rig_settle(r);
  assert_true(fake_token_wakes(r->fh, d.token) >= 1);
  assert_int_equal(drain_next(&d), YOI_END);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot turn.ended end");
  assert_true(ear_has(&e, "\"state\":\"cancelled\",\"reason\":\"shutting_down\""));
  assert_int_equal(fake_model_live(r->fh), 0);
  assert_int_equal(fake_metric(r->fh, "yoi_turns_total", "cancelled"), 2);
  ear_close(&e);
  drain_close(&d, r);
}

static void what_is_staged_is_flushed(void **state) {
  struct rig *r = *state;
  struct drain d;
  make(r, "a");
  if (!r->late) return;
  yoi_stream *s = rig_start(r, STOP, "a", "", NULL);
  drain_open(&d, r, 1000);
  (void)fake_host_run(r->fh);
  assert_int_equal(drain_next(&d), YOI_AGAIN);
  assert_true(eng_store_mem_step(r->store));
  assert_int_equal(fake_token_wakes(r->fh, d.token), 1);
  assert_int_equal(drain_next(&d), YOI_END);
  assert_int_equal(rig_finish(r, s), YOI_OK);
  drain_close(&d, r);
}

static void a_second_drain_is_refused(void **state) {
  struct rig *r = *state;
  struct drain d;
  yoi_stream *s = NULL;
  drain_open(&d, r, 0);
  assert_int_equal(eng_drain(r->self, 0, 0, &s, r->err), YOI_UNAVAILABLE);
  drain_close(&d, r);
}

/* A host that ends without a drain: nothing may be left behind (the address
 * sanitizer and fake_host_free look). */
static void close_takes_everything_along(void **state) {
  struct rig *r = *state;
  for (int steps = 0; steps < 12; steps++) {
    struct ear e;
    rig_reopen(r, NULL, NULL);
    make(r, "a");
    make(r, "b");
    begin_turn(r, "b");
    ear_open(&e, r, "a", NULL);
    yoi_stream *s[5] = {
        rig_start(r, INPUT, "a", "{\"content\":\"x\"}",
                  &(yoi_request){.idempotency_key = YOI_LIT("k")}),
        rig_start(r, CANCEL, "a", "", NULL),
        rig_start(r, STOP, "b", "", NULL),
        rig_start(r, CREATE, "", "{\"worker_id\":\"c\"}", NULL),
        rig_start(r, TRANSCRIPT, "a", "", NULL),
    };
    for (int i = 0; i < steps; i++) {
      if (r->late && i % 2) (void)eng_store_mem_step(r->store);
      (void)fake_host_step(r->fh, (uint32_t)i / 2 % 2);
      (void)ear_poll(&e);
    }
    for (size_t i = 0; i < 5; i++) s[i]->ops->release(s[i]);
    ear_close(&e);
  }
}

/* ---- memory is short ---- */

/* Runs one scenario with the n-th allocation failing, for every n: nothing
 * crashes, nothing leaks, and every operation gets an answer. */
static int scenario(struct rig *r, uint64_t n) {
  int failed = 0;
  (void)yoi_sdk_mem_fail_at(n);
  failed += rig_call(r, CREATE, "", "{\"worker_id\":\"a\"}") != YOI_OK;
  struct ear e = {.r = r};
  e.token = fake_token(r->fh);
  e.s = rig_start(r, YOI_OP_WORKER_EVENTS, "a", "", &(yoi_request){.token = e.token});
  failed += !e.s;
  yoi_request k = {.idempotency_key = YOI_LIT("k"), .flags = YOI_REQ_FOLLOW};
  yoi_stream *f = rig_start(r, INPUT, "a", "{\"content\":\"hi\"}", &k);
  failed += !f;
  rig_settle(r);
  yoi_stream *const streams[] = {e.s, f};
  for (size_t i = 0; i < 2; i++) {
    if (!streams[i]) continue;
    yoi_status st = YOI_OK;
    for (int k2 = 0; k2 < 50 && (st == YOI_OK || st == YOI_AGAIN); k2++) {
      const yoi_event *const *evs = NULL;
      size_t got = 0;
      st = streams[i]->ops->next(streams[i], &evs, &got, r->err);
      if (st == YOI_AGAIN) rig_settle(r);
    }
    if (i == 1 && st != YOI_END) failed++;
    if (i == 0 && st != YOI_AGAIN) failed++;
  }
  failed += rig_call(r, CANCEL, "a", "") != YOI_OK;
  failed += rig_call(r, TRANSCRIPT, "a", "") != YOI_OK;
  failed += rig_call(r, GET, "a", "") != YOI_OK;
  failed += rig_call(r, YOI_OP_WORKER_LIST, "", "") != YOI_OK;
  rig_settle(r);
  uint64_t made = yoi_sdk_mem_fail_at(0);
  /* With memory again everything works: no state was left half-way. */
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_ok(r, INPUT, "a", "{\"content\":\"again\"}");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
  rig_ok(r, STOP, "a", "");
  rig_ok(r, DELETE, "a", "");
  for (size_t i = 0; i < 2; i++)
    if (streams[i]) streams[i]->ops->release(streams[i]);
  fake_token_free(r->fh, e.token);
  (void)failed;
  return made >= n;
}

static void any_allocation_may_fail(void **state) {
  struct rig *r = *state;
  uint64_t n = 1;
  while (scenario(r, n)) {
    rig_reopen(r, NULL, NULL);
    n++;
    assert_true(n < 2000);
  }
  assert_true(n > 50);
}

static void open_may_fail_at_any_allocation(void **state) {
  struct rig *r = *state;
  for (uint64_t n = 1;; n++) {
    void *self = NULL;
    (void)yoi_sdk_mem_fail_at(n);
    const struct eng_options o = {.kind = YOI_LIT("t"), .store = eng_store_mem_new()};
    yoi_status st = eng_open(fake_host_instance(r->fh), YOI_LIT("{}"), &o, &self, r->err);
    uint64_t made = yoi_sdk_mem_fail_at(0);
    if (st == YOI_OK) eng_close(self);
    if (made < n) break;
    assert_true(st == YOI_OK || !self);
    assert_true(n < 1000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(an_idle_runtime_is_drained_at_once),
      RIG_TESTS(turns_may_end_within_the_deadline),
      RIG_TESTS(the_rest_is_cancelled),
      RIG_TESTS(what_is_staged_is_flushed),
      RIG_TESTS(a_second_drain_is_refused),
      RIG_TESTS(close_takes_everything_along),
      RIG_TESTS_OF_MEMORY(any_allocation_may_fail),
      RIG_TESTS_OF_MEMORY(open_may_fail_at_any_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
