/* test_engine_stress.c - several threads do everything at once to a few
 * shared workers, over loops that run on threads of their own. For the thread
 * sanitizer, and for what every interleaving must keep: an operation is
 * answered, a watcher sees each record once and in order, a turn ends once. */
#include <pthread.h>
#include <sdk/json.h>
#include <stdlib.h>

#include "support/rig.h"

enum { LOOPS = 2, THREADS = 4, ROUNDS = 800, WORKERS = 3 };

/* When the runtime is drained: not at all, in the middle of everything, or
 * when all have done their work. */
enum when { NEVER, MEANWHILE, AFTERWARDS };

struct yard {
  struct fake_host *fh;
  void *self;
  struct eng_store *store;
  uint32_t next_loop;
  pthread_mutex_t mu;
  uint64_t answered, refused, seen;
};

static void step_store(void *ctx) {
  struct yard *y = ctx;
  (void)eng_store_mem_step(y->store);
}

/* Late: whatever waits is completed by a task of some loop. */
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
  uint32_t seed;
  uint64_t token, answered, refused, seen;
  struct yoi_sdk_error se;
  yoi_error *err;
};

static uint32_t pick(struct hand *h, uint32_t n) {
  h->seed = h->seed * 1664525u + 1013904223u;
  return (h->seed >> 10) % n;
}

static yoi_stream *start(struct hand *h, uint32_t op, uint32_t worker, const char *body,
                         uint32_t flags, const char *key) {
  char id[8];
  (void)snprintf(id, sizeof id, "w%u", worker);
  yoi_request req = {
      .size = sizeof req,
      .op = op,
      .origin = YOI_ORIGIN_EMBED,
      .flags = flags,
      .token = h->token,
      .worker_id = yoi_sdk_str(op == YOI_OP_WORKER_CREATE || op == YOI_OP_WORKER_LIST ? "" : id),
      .principal = YOI_LIT("embed"),
      .idempotency_key = yoi_sdk_str(key),
      .body = yoi_sdk_str(body),
  };
  yoi_stream *s = NULL;
  yoi_status st = eng_start(h->y->self, &req, &s, h->err);
  if (st != YOI_OK) h->refused++;
  return st == YOI_OK ? s : NULL;
}

/* What a watcher must see: sequences rise by one (a follower's turn may have
 * records of others between its own), a turn that starts ends once before the
 * next one starts. */
struct order {
  int64_t last;
  int running;
  bool follows;
};

static void check(struct hand *h, struct order *o, const yoi_event *ev) {
  int64_t sequence = 0;
  h->seen++;
  if (ev->kind == YOI_EVENT_SNAPSHOT) {
    assert_true(yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(ev->text, "sequence"), &o->last));
    o->running = -1;
    return;
  }
  if (ev->kind == YOI_EVENT_ACK) o->follows = true;
  if (!(ev->flags & YOI_EV_DURABLE)) return;
  assert_true(yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(ev->text, "sequence"), &sequence));
  if (o->last > 0 && o->follows) assert_true(sequence > o->last);
  if (o->last > 0 && !o->follows) assert_int_equal(sequence, o->last + 1);
  o->last = sequence;
  if (ev->kind == YOI_EVENT_TURN_STARTED) {
    assert_int_not_equal(o->running, 1);
    o->running = 1;
  }
  yoi_str turn = yoi_sdk_json_raw_get(ev->text, "turn");
  bool began = !yoi_sdk_str_is(yoi_sdk_json_raw_get(turn, "started_at"), "null");
  if (ev->kind == YOI_EVENT_TURN_ENDED && began) {
    assert_int_not_equal(o->running, 0);
    o->running = 0;
  }
}

/* Takes a stream to its end, or until it has been quiet or long enough. */
static void drive(struct hand *h, yoi_stream *s, int patience) {
  struct order o = {.running = -1};
  yoi_status st = YOI_OK;
  if (!s) return;
  for (int i = 0; i < patience && st >= YOI_AGAIN && st <= YOI_OK; i++) {
    const yoi_event *const *evs = NULL;
    size_t n = 0;
    st = s->ops->next(s, &evs, &n, h->err);
    for (size_t k = 0; st == YOI_OK && k < n; k++) check(h, &o, evs[k]);
    if (st == YOI_AGAIN && !fake_token_wait(h->y->fh, h->token, patience < 1000 ? 5 : 20000)) {
      if (patience < 1000) break;
      fail_msg("a stream that said AGAIN was never woken");
    }
    if (patience < 1000 && pick(h, 10) == 0) s->ops->cancel(s);
  }
  if (st == YOI_END) h->answered++;
  if (st > YOI_OK) h->refused++;
  s->ops->release(s);
}

static void one_thing(struct hand *h) {
  uint32_t w = pick(h, WORKERS), what = pick(h, 20);
  static const char *const inputs[] = {"{\"content\":\"x\"}",
                                       "{\"content\":\"x\",\"on_busy\":\"queue\"}",
                                       "{\"content\":\"x\",\"on_busy\":\"interrupt\"}"};
  const char *input = inputs[pick(h, 3)];
  char body[64], key[16];
  (void)snprintf(body, sizeof body, "{\"worker_id\":\"w%u\"}", w);
  (void)snprintf(key, sizeof key, "k%u", pick(h, 4));
  switch (what) {
    case 0:
      drive(h, start(h, YOI_OP_WORKER_STOP, w, "", 0, ""), 1000);
      break;
    case 1:
      drive(h, start(h, YOI_OP_WORKER_DELETE, w, "", 0, ""), 1000);
      break;
    case 2:
    case 3:
    case 4:
      drive(h, start(h, YOI_OP_WORKER_CREATE, w, body, 0, ""), 1000);
      break;
    case 5:
    case 6:
      drive(h, start(h, YOI_OP_WORKER_CANCEL, w, "", 0, ""), 1000);
      break;
    case 7:
      drive(h, start(h, YOI_OP_WORKER_LIST, w, "", 0, ""), 1000);
      break;
    case 8:
      drive(h, start(h, YOI_OP_WORKER_GET, w, "", 0, ""), 1000);
      break;
    case 9:
      drive(h, start(h, YOI_OP_WORKER_TRANSCRIPT, w, "", 0, ""), 1000);
      break;
    case 10:
    case 11:
    case 12:
      drive(h, start(h, YOI_OP_WORKER_EVENTS, w, "", 0, ""), 30);
      break;
    case 13:
    case 14:
      drive(h, start(h, YOI_OP_WORKER_INPUT, w, input, YOI_REQ_FOLLOW, key), 1000);
      break;
    case 15:
      drive(h, start(h, YOI_OP_WORKER_INPUT, w, input, 0, key), 1000);
      break;
    default:
      drive(h, start(h, YOI_OP_WORKER_INPUT, w, input, YOI_REQ_FOLLOW, ""), 1000);
      break;
  }
}

static void *work(void *ctx) {
  struct hand *h = ctx;
  h->err = yoi_sdk_error_init(&h->se);
  for (int i = 0; i < ROUNDS; i++) one_thing(h);
  pthread_mutex_lock(&h->y->mu);
  h->y->answered += h->answered;
  h->y->refused += h->refused;
  h->y->seen += h->seen;
  pthread_mutex_unlock(&h->y->mu);
  return NULL;
}

static void drain(struct yard *y, yoi_error *err) {
  uint64_t token = fake_token(y->fh);
  yoi_stream *s = NULL;
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  assert_int_equal(eng_drain(y->self, fake_host_now(y->fh), token, &s, err), YOI_OK);
  while (s->ops->next(s, &evs, &n, err) == YOI_AGAIN)
    assert_true(fake_token_wait(y->fh, token, 20000));
  s->ops->release(s);
  fake_token_free(y->fh, token);
}

/* Some have begun, and most is still to come. */
static void wait_until_busy(struct yard *y) {
  uint64_t ended = 0, token = fake_token(y->fh);
  for (int i = 0; i < 20000 && ended < WORKERS; i++) {
    (void)fake_token_wait(y->fh, token, 1);
    ended = fake_metric(y->fh, "yoi_turns_total", "completed");
  }
  fake_token_free(y->fh, token);
  assert_true(ended >= WORKERS);
}

/* Another engine over what they left: it finds every history sound. */
static void look_again(struct eng_vault *v) {
  struct rig r;
  rig_open_over(&r, v);
  rig_settle(&r);
  rig_ok(&r, YOI_OP_WORKER_LIST, "", "");
  assert_null(strstr(r.text, "\"state\":\"running\""));
  assert_null(strstr(r.text, "\"state\":\"corrupt\""));
  rig_close(&r); /* and the vault */
}

/* vault: the store outlives the engine, and one worker may be awake. */
static void everything_in(struct eng_vault *vault, bool late, enum when drained) {
  struct yard y = {0};
  struct hand hands[THREADS];
  pthread_t threads[THREADS];
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  pthread_mutex_init(&y.mu, NULL);
  y.fh = fake_host_new(LOOPS);
  if (vault)
    y.store = eng_store_mem_new_in(vault, late, on_queued, &y);
  else
    y.store = late ? eng_store_mem_new_late(on_queued, &y) : eng_store_mem_new();
  yoi_str kind = vault ? YOI_LIT("durable") : YOI_LIT("memory");
  yoi_str config = YOI_LIT("{\"limits\":{\"loaded_workers\":1}}");
  const struct eng_options o = {.kind = YOI_LIT("test"), .state_kind = kind, .store = y.store};
  assert_int_equal(eng_open(fake_host_instance(y.fh), config, &o, &y.self, err), YOI_OK);
  fake_host_holder(y.fh, eng_wake, y.self);
  fake_model_async(y.fh, true);
  fake_host_threads(y.fh);
  for (uint32_t i = 0; i < THREADS; i++) {
    hands[i] = (struct hand){.y = &y, .seed = i * 77 + 1, .token = fake_token(y.fh)};
    assert_int_equal(pthread_create(&threads[i], NULL, work, &hands[i]), 0);
  }
  if (drained == MEANWHILE) {
    wait_until_busy(&y);
    drain(&y, err);
  }
  for (uint32_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  if (drained == AFTERWARDS) drain(&y, err);
  if (vault && drained != MEANWHILE)
    assert_true(fake_metric(y.fh, "yoi_worker_loads_total", "") > THREADS);
  fake_host_threads_stop(y.fh);
  fake_host_close(y.fh);
  eng_close(y.self);
  for (uint32_t i = 0; i < THREADS; i++) fake_token_free(y.fh, hands[i].token);
  fake_host_free(y.fh);
  pthread_mutex_destroy(&y.mu);
  if (drained == MEANWHILE) return;
  assert_true(y.answered > THREADS * ROUNDS / 8);
  assert_true(y.seen > THREADS * ROUNDS / 4);
}

static void everything_at_once(bool late, enum when drained) {
  everything_in(NULL, late, drained);
  struct eng_vault *v = eng_vault_new();
  everything_in(v, late, drained);
  look_again(v);
}

static void at_once(void **state) {
  (void)state;
  everything_at_once(false, AFTERWARDS);
}

static void late(void **state) {
  (void)state;
  everything_at_once(true, AFTERWARDS);
}

static void late_and_closed_in_the_middle(void **state) {
  (void)state;
  everything_at_once(true, NEVER);
}

static void drained_in_the_middle(void **state) {
  (void)state;
  everything_at_once(false, MEANWHILE);
}

static void late_and_drained_in_the_middle(void **state) {
  (void)state;
  everything_at_once(true, MEANWHILE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(at_once),
      cmocka_unit_test(late),
      cmocka_unit_test(late_and_closed_in_the_middle),
      cmocka_unit_test(drained_in_the_middle),
      cmocka_unit_test(late_and_drained_in_the_middle),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
