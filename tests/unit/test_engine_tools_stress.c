/* test_engine_tools_stress.c - turns with tools on loops that run on threads of
 * their own, answered and cancelled from other threads: for the thread
 * sanitizer, and for what every interleaving must keep: nothing of a turn starts
 * once its cancel was acknowledged, and each call has one result. */
#include <pthread.h>
#include <sched.h>
#include <sdk/json.h>
#include <stdlib.h>

#include "support/builtin.h"
#include "support/fake_tool.h"
#include "support/rig.h"

enum { LOOPS = 2, THREADS = 3, ROUNDS = 120 };

#define TOOL(name, policy) \
  "{\"name\":\"" name "\",\"plugin\":\"" FAKE_TOOL_PLUGIN "\",\"policy\":\"" policy "\"}"
#define PROFILE                                                                                \
  "{\"name\":\"p\",\"prompt\":\"p.system\",\"model\":\"main\",\"limits\":{},\"tools\":[" TOOL( \
      "act", "allow") "," TOOL("ask", "ask") "]}"

struct yard {
  struct fake_host *fh;
  void *self;
  struct eng_store *store;
  uint32_t next_loop;
  pthread_mutex_t mu;
};

static void step_store(void *ctx) {
  struct yard *y = ctx;
  (void)eng_store_mem_step(y->store);
}

static void on_queued(void *ctx) {
  struct yard *y = ctx;
  const yoi_host *h = fake_host_instance(y->fh);
  const yoi_host_loop *loop = h->get_interface(h, YOI_LIT(YOI_HOST_LOOP_ID));
  pthread_mutex_lock(&y->mu);
  uint32_t at = y->next_loop++ % LOOPS;
  pthread_mutex_unlock(&y->mu);
  (void)loop->post(h, at, step_store, y);
}

struct hand {
  struct yard *y;
  char worker[8];
  uint64_t token;
  struct yoi_sdk_error se;
  yoi_error *err;
  char text[16384]; /* of the last result */
};

/* A unary operation to its end. */
static yoi_status call(struct hand *h, uint32_t op, const char *subject, const char *body) {
  yoi_request req = {.size = sizeof req,
                     .op = op,
                     .origin = YOI_ORIGIN_EMBED,
                     .token = h->token,
                     .worker_id = yoi_sdk_str(op == YOI_OP_WORKER_CREATE ? "" : h->worker),
                     .subject = yoi_sdk_str(subject),
                     .principal = YOI_LIT("embed"),
                     .body = yoi_sdk_str(body)};
  yoi_stream *s = NULL;
  yoi_status st = eng_start(h->y->self, &req, &s, h->err);
  if (st != YOI_OK) return st;
  for (;;) {
    const yoi_event *const *evs = NULL;
    size_t n = 0;
    st = s->ops->next(s, &evs, &n, h->err);
    if (st == YOI_OK)
      (void)snprintf(h->text, sizeof h->text, "%.*s", YOI_ARG(evs[0]->text));
    else if (st == YOI_AGAIN)
      (void)fake_token_wait(h->y->fh, h->token, 10000);
    else
      break;
  }
  s->ops->release(s);
  return st == YOI_END ? YOI_OK : st;
}

static bool is(struct hand *h, const char *state) {
  assert_int_equal(call(h, YOI_OP_WORKER_GET, "", ""), YOI_OK);
  yoi_str worker = yoi_sdk_json_raw_get(yoi_sdk_str(h->text), "worker");
  yoi_str now = yoi_sdk_json_raw_get(worker, "state");
  return now.len > 2 && strncmp(now.ptr + 1, state, now.len - 2) == 0;
}

static void answer_one(struct hand *h, bool allow) {
  yoi_str one;
  char id[37];
  size_t pos = 0;
  assert_int_equal(call(h, YOI_OP_WORKER_APPROVALS, "", ""), YOI_OK);
  if (!yoi_sdk_json_raw_each(yoi_sdk_json_raw_get(yoi_sdk_str(h->text), "approvals"), &pos, &one))
    return;
  (void)snprintf(id, sizeof id, "%.36s", yoi_sdk_json_raw_get(one, "approval_id").ptr + 1);
  (void)call(h, YOI_OP_WORKER_APPROVE, id,
             allow ? "{\"decision\":\"allow\"}" : "{\"decision\":\"deny\"}");
}

static void *work(void *ctx) {
  struct hand *h = ctx;
  char body[64];
  h->err = yoi_sdk_error_init(&h->se);
  (void)snprintf(body, sizeof body, "{\"worker_id\":\"%s\"}", h->worker);
  assert_int_equal(call(h, YOI_OP_WORKER_CREATE, "", body), YOI_OK);
  for (int i = 0; i < ROUNDS; i++) {
    assert_int_equal(call(h, YOI_OP_WORKER_INPUT, "", "{\"content\":\"go\"}"), YOI_OK);
    for (int k = 0; k < i % 5; k++) {
      answer_one(h, k % 2 == 0);
      fake_tool_open(h->y->fh, NULL);
    }
    while (i == 0 && fake_tool_starts_of(h->y->fh, h->worker) == 0) (void)sched_yield();
    assert_int_equal(call(h, YOI_OP_WORKER_CANCEL, "", ""), YOI_OK);
    size_t starts = fake_tool_starts_of(h->y->fh, h->worker);
    while (!is(h, "idle")) (void)sched_yield();
    assert_int_equal(fake_tool_starts_of(h->y->fh, h->worker), starts);
  }
  assert_int_equal(call(h, YOI_OP_WORKER_STOP, "", ""), YOI_OK);
  return NULL;
}

/* All that the models are going to ask for: some calls wait at a gate. */
static void write_answers(struct fake_host *fh) {
  for (int i = 0; i < 2 * THREADS * ROUNDS; i++) {
    struct fake_answer *a = fake_model_answer(fh);
    char n[32];
    (void)snprintf(n, sizeof n, "{\\\"n\\\":%d}", i);
    fake_answer_call(a, "c1", "act", n);
    fake_answer_call(a, "c2", "ask", n);
    fake_answer_call(a, "c3", "act", "{}");
    fake_answer_finish(a, "tool_calls");
    if (i % 3 == 0) fake_run_gate(fake_tool_run(fh, "act"));
    if (i % 4 == 0) fake_run_gate(fake_tool_run(fh, "ask"));
  }
}

static void everything(bool late) {
  struct yard y = {0};
  static struct hand hands[THREADS];
  pthread_t threads[THREADS];
  struct yoi_sdk_error se;
  pthread_mutex_init(&y.mu, NULL);
  y.fh = fake_host_new(LOOPS);
  y.store = late ? eng_store_mem_new_late(on_queued, &y) : eng_store_mem_new();
  char *builtin = builtin_of(PROFILE);
  const struct eng_options o = {.kind = YOI_LIT("test"),
                                .state_kind = YOI_LIT("memory"),
                                .store = y.store,
                                .builtin = yoi_sdk_str(builtin)};
  assert_int_equal(
      eng_open(fake_host_instance(y.fh), (yoi_str){0}, &o, &y.self, yoi_sdk_error_init(&se)),
      YOI_OK);
  fake_host_holder(y.fh, eng_wake, y.self);
  fake_tool_add(y.fh, "act", 0);
  fake_tool_add(y.fh, "ask", 0);
  write_answers(y.fh);
  fake_host_threads(y.fh);
  for (uint32_t i = 0; i < THREADS; i++) {
    hands[i] = (struct hand){.y = &y, .token = fake_token(y.fh)};
    (void)snprintf(hands[i].worker, sizeof hands[i].worker, "w%u", i);
    assert_int_equal(pthread_create(&threads[i], NULL, work, &hands[i]), 0);
  }
  for (uint32_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  fake_host_threads_stop(y.fh);
  assert_true(fake_tool_starts(y.fh) >= THREADS); /* in the first round, see work */
  for (uint32_t i = 0; i < fake_tool_starts(y.fh); i += 7)
    assert_int_equal(fake_tool_same_key(y.fh, fake_tool_key(y.fh, i)), 1);
  fake_host_close(y.fh);
  eng_close(y.self);
  for (uint32_t i = 0; i < THREADS; i++) fake_token_free(y.fh, hands[i].token);
  fake_host_free(y.fh);
  free(builtin);
  pthread_mutex_destroy(&y.mu);
}

static void at_once(void **state) {
  (void)state;
  everything(false);
}

static void late(void **state) {
  (void)state;
  everything(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(at_once), cmocka_unit_test(late)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
