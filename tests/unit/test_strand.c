/* test_strand.c - SERIAL models: one call at a time, off the loops; calls that
 * hang, are late, full, cancelled, refused, and what is left of each.
 *
 * The model does in each call what the test says (support/serial_model.h).
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>
#include <yoi/host_model.h>

#include "host/clock.h"
#include "host/strand.h"
#include "support/host_fixture.h"
#include "support/serial_model.h"

/* ---- who asks it ------------------------------------------------------- */

static const yoi_host *runtime_host; /* process-wide, as above */

static yoi_status asking_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  (void)config;
  (void)err;
  runtime_host = host;
  *out_self = NULL;
  return YOI_OK;
}

static void asking_close(void *self) {
  (void)self;
}

static yoi_status asking_start(void *self, const yoi_request *req, yoi_stream **out,
                               yoi_error *err) {
  (void)self;
  (void)req;
  *out = yoi_sdk_stream_one(YOI_LIT("{}"), 0);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_runtime asking_table = {.size = sizeof asking_table,
                                         .thread_model = YOI_PARALLEL,
                                         .open = asking_open,
                                         .close = asking_close,
                                         .start = asking_start};

#define CALLS 40

struct call {
  uint64_t token;
  _Atomic uint32_t wakes;
  yoi_stream *stream;
  yoi_status st;
  struct yoi_sdk_error e;
  size_t n, bytes;
};

struct bench {
  struct host_fixture f;
  struct yoi__holder holder;
  struct call calls[CALLS];
  void (*task)(struct bench *b, struct call *c);
  struct call *about;
  const char *model;
  int mode;
  uint64_t deadline_ns;
  _Atomic int done;
};

static void on_wake(void *self, uint64_t cookie) {
  struct bench *b = self;
  atomic_fetch_add(&b->calls[cookie].wakes, 1u);
}

static void warm_up(struct bench *b);

static void set_up(struct bench *b, int step, uint32_t threads) {
  memset(b, 0, sizeof *b);
  _Atomic int *counts[] = {&serial.starts, &serial.nexts,  &serial.cancels,      &serial.releases,
                           &serial.opens,  &serial.closes, &serial.cancel_beside};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) atomic_store(counts[i], 0);
  serial.gate = serial.cancel_opens = 0;
  serial_table.thread_model = threads;
  host_fixture_init(&b->f, step);
  host_fixture_runtime(&b->f, "a", &asking_table);
  host_fixture_model(&b->f, "main", &serial_table);
  host_fixture_model(&b->f, "other", &serial_table); /* of another plugin: a pool of its own */
  b->f.models[1].instance.plugin->manifest.id = YOI_LIT("dev.yoi.test.other");
  for (int i = 1; i < 5; i++) {                      /* of the same plugin as main */
    static const char *const more[] = {"", "m1", "m2", "m3", "m4"};
    struct yoi__config_model *same = &b->f.models[b->f.config.n_models++];
    *same = b->f.models[0];
    same->name = yoi_sdk_str(more[i]);
  }
  host_fixture_start(&b->f);
  b->model = "main";
  b->holder.wake = on_wake;
  b->holder.self = b;
  for (uint64_t i = 0; i < CALLS; i++)
    yoi__token_new(b->f.host->tokens, &b->holder, i, &b->calls[i].token, NULL);
  warm_up(b);
}

static void gate(int open) {
  pthread_mutex_lock(&serial.lock);
  serial.gate = open;
  pthread_cond_broadcast(&serial.moved);
  pthread_mutex_unlock(&serial.lock);
}

static void tear_down(struct bench *b) {
  gate(1);
  yoi__holder_close(b->f.host->tokens, &b->holder);
  host_fixture_stop(&b->f);
  assert_int_equal(serial.closes, serial.opens);
  assert_false(serial.two);
}

static void run_task(void *ctx) {
  struct bench *b = ctx;
  b->task(b, b->about);
  atomic_store(&b->done, 1);
}

static int is_done(void *ctx) {
  return atomic_load(&((struct bench *)ctx)->done);
}

static void on_loop(struct bench *b, int i, void (*task)(struct bench *b, struct call *c)) {
  b->task = task;
  b->about = &b->calls[i];
  atomic_store(&b->done, 0);
  assert_int_equal(yoi__loop_post(b->f.host->loops, NULL, 0, run_task, b), YOI_OK);
  host_fixture_until(&b->f, is_done, b);
}

static void start_it(struct bench *b, struct call *c) {
  const yoi_host_model *model =
      runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_MODEL_ID));
  char text[] = {(char)('0' + b->mode), '\0'}; /* gone after the start */
  yoi_str messages[] = {yoi_sdk_str(text)};
  yoi_model_request r = {.size = sizeof r,
                         .deadline_ns = b->deadline_ns,
                         .token = c->token,
                         .messages = messages,
                         .n_messages = 1};
  c->stream = NULL;
  c->st =
      model->start(runtime_host, yoi_sdk_str(b->model), &r, &c->stream, yoi_sdk_error_init(&c->e));
  text[0] = '?';
}

static void next_it(struct bench *b, struct call *c) {
  const yoi_event *const *events = NULL;
  (void)b;
  c->n = c->bytes = 0;
  c->st = c->stream->ops->next(c->stream, &events, &c->n, yoi_sdk_error_init(&c->e));
  for (size_t i = 0; i < c->n; i++) {
    c->bytes += events[i]->text.len;
    for (size_t k = 0; k < events[i]->text.len; k++) assert_int_equal(events[i]->text.ptr[k], 'x');
  }
}

static void cancel_it(struct bench *b, struct call *c) {
  (void)b;
  c->stream->ops->cancel(c->stream);
}

static void release_it(struct bench *b, struct call *c) {
  (void)b;
  c->stream->ops->release(c->stream);
  c->stream = NULL;
}

static void start_of(struct bench *b, int i, int mode) {
  b->mode = mode;
  on_loop(b, i, start_it);
}

static int is_open(void *ctx) {
  struct yoi__instance **models = ((struct bench *)ctx)->f.host->setup->models;
  return atomic_load(&models[0]->state) == YOI__OPEN && atomic_load(&models[1]->state) == YOI__OPEN;
}

/* Both models are open: a start goes to the strand. No call was begun. */
static void warm_up(struct bench *b) {
  static const char *const names[] = {"other", "main"};
  for (int i = 0; i < 2; i++) {
    b->model = names[i];
    start_of(b, i, ANSWER);
  }
  host_fixture_until(&b->f, is_open, b);
  for (int i = 0; i < 2; i++) on_loop(b, i, release_it);
}

/* Polls as a holder does: once, then after wakes. */
static yoi_status await(struct bench *b, int i) {
  struct call *c = &b->calls[i];
  uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
  for (;;) {
    uint32_t wakes = atomic_load(&c->wakes);
    on_loop(b, i, next_it);
    if (c->st != YOI_AGAIN) return c->st;
    while (atomic_load(&c->wakes) == wakes) {
      assert_true(yoi__now_ns() < until);
      if (b->f.config.step)
        assert_int_equal(yoi_host_step(b->f.host, 20, NULL), YOI_OK);
      else
        (void)poll(NULL, 0, 1);
    }
  }
}

/* Waits until `*what` is at least n. */
static void reach(struct bench *b, _Atomic int *what, int n) {
  uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
  while (atomic_load(what) < n) {
    assert_true(yoi__now_ns() < until);
    if (b->f.config.step)
      assert_int_equal(yoi_host_step(b->f.host, 1, NULL), YOI_OK);
    else
      (void)poll(NULL, 0, 1);
  }
}

/* Waits until so many calls were written off. */
static void reach_lost_of(struct bench *b, int model, uint32_t n) {
  uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
  while (yoi__strand_lost(b->f.host->setup->models[model]->strand) != n) {
    assert_true(yoi__now_ns() < until);
    if (b->f.config.step)
      assert_int_equal(yoi_host_step(b->f.host, 5, NULL), YOI_OK);
    else
      (void)poll(NULL, 0, 1);
  }
}

static void reach_lost(struct bench *b, uint32_t n) {
  reach_lost_of(b, 0, n);
}

static uint64_t in_ms(uint64_t ms) {
  return yoi__now_ns() + ms * YOI__MS;
}

/* Starts a call of a model that may not be open yet, and polls until `what`,
 * which another thread counts, is at least n. */
static void begin_of(struct bench *b, int i, int mode, const char *model, _Atomic int *what,
                     int n) {
  uint64_t until = in_ms(20000);
  b->model = model;
  start_of(b, i, mode);
  on_loop(b, i, next_it);
  while (atomic_load(what) < n) {
    assert_true(yoi__now_ns() < until);
    assert_int_equal(b->calls[i].st, YOI_AGAIN);
    (void)poll(NULL, 0, 1);
    on_loop(b, i, next_it);
  }
}

/* ---- tests ------------------------------------------------------------- */

static void answers(int step) {
  struct bench b;
  set_up(&b, step, YOI_SERIAL);
  for (int i = 0; i < 5; i++) {
    start_of(&b, i, ANSWER);
    assert_int_equal(b.calls[i].st, YOI_OK);
  }
  for (int i = 0; i < 5; i++) {
    assert_int_equal(await(&b, i), YOI_OK);
    assert_int_equal(b.calls[i].bytes, 3);
    assert_int_equal(await(&b, i), YOI_END);
    on_loop(&b, i, next_it); /* sticky */
    assert_int_equal(b.calls[i].st, YOI_END);
    on_loop(&b, i, release_it);
  }
  reach(&b, &serial.releases, 5);
  assert_false(pthread_equal(serial.thread, pthread_self()));
  assert_true(serial.no_loop);
  assert_true(serial.no_token);
  assert_int_equal(serial.cancels, 0);
  tear_down(&b);
}

static void test_a_conversation_off_the_loops(void **state) {
  (void)state;
  answers(0);
  answers(1);
}

static void test_nothing_blocks_who_asks(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 1, YOI_SERIAL); /* one thread would stand still */
  start_of(&b, 0, HOLD_START);
  start_of(&b, 1, ANSWER);
  b.model = "other";
  start_of(&b, 2, ANSWER);
  reach(&b, &serial.holding, 1);
  on_loop(&b, 0, next_it);
  assert_int_equal(b.calls[0].st, YOI_AGAIN);
  assert_int_equal(await(&b, 2), YOI_OK); /* another plugin's model answers */
  on_loop(&b, 1, next_it);                /* behind the first: one at a time */
  assert_int_equal(b.calls[1].st, YOI_AGAIN);
  assert_int_equal(serial.starts, 2);
  yoi_request r = fixture_request(YOI_OP_RUNTIME_DESCRIBE);
  char *text = NULL;
  assert_int_equal(yoi_call_sync(b.f.host, YOI_LIT("a"), &r, &text, NULL, NULL), YOI_OK);
  yoi_free(text);
  gate(1);
  assert_int_equal(await(&b, 0), YOI_OK);
  assert_int_equal(await(&b, 1), YOI_OK);
  for (int i = 0; i < 3; i++) on_loop(&b, i, release_it);
  tear_down(&b);
}

static void test_a_start_error_comes_from_next(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  for (int i = 0; i < 2; i++) {
    start_of(&b, i, FAIL_START);
    assert_int_equal(b.calls[i].st, YOI_OK);
    assert_int_equal(await(&b, i), YOI_UNAVAILABLE);
    assert_int_equal(b.calls[i].e.e.code, YOI_CODE_MODEL_ERROR);
    assert_string_equal(b.calls[i].e.message, "no such weights");
    assert_string_equal(b.calls[i].e.details, "{\"kind\":\"not_found\",\"retryable\":false}");
    assert_string_equal(b.calls[i].e.private_detail, "");
    on_loop(&b, i, release_it);
  }
  assert_int_equal(serial.releases, 0); /* there was no stream */
  tear_down(&b);
}

static void test_a_start_that_says_again_is_an_error(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  start_of(&b, 0, START_AGAIN);
  assert_int_equal(await(&b, 0), YOI_INTERNAL);
  on_loop(&b, 0, release_it);
  tear_down(&b);
}

static void test_what_waits_for_a_thread_may_be_taken_back(void **state) {
  static const char *const names[] = {"main", "m1", "m2", "m3"};
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  for (int i = 0; i < YOI_STRAND_THREADS_MAX; i++)
    begin_of(&b, i, HOLD_START, names[i], &serial.holding, i + 1);
  begin_of(&b, 4, ANSWER, "m4", &serial.opens, 6); /* all threads are busy */
  on_loop(&b, 4, next_it);
  assert_int_equal(b.calls[4].st, YOI_AGAIN);
  cancel_it(&b, &b.calls[4]);
  assert_int_equal(await(&b, 4), YOI_CANCELLED);
  start_of(&b, 5, ANSWER);
  on_loop(&b, 5, release_it);
  gate(1);
  for (int i = 0; i < YOI_STRAND_THREADS_MAX; i++) assert_int_equal(await(&b, i), YOI_OK);
  start_of(&b, 6, ANSWER);
  assert_int_equal(await(&b, 6), YOI_OK);
  for (int i = 0; i < 7; i++)
    if (b.calls[i].stream != NULL) on_loop(&b, i, release_it);
  tear_down(&b);
}

static void test_errors_of_next_are_final(void **state) {
  static const struct {
    int mode;
    yoi_status st;
    const char *message;
  } all[] = {{FAIL_NEXT, YOI_UNAVAILABLE, "out of words"},
             {HUGE_BATCH, YOI_INTERNAL, "it gave more than 8388608 bytes at once"},
             {NOTHING, YOI_INTERNAL, "model 'main' failed without a reason"}};
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  for (int i = 0; i < 3; i++) {
    start_of(&b, i, all[i].mode);
    assert_int_equal(await(&b, i), all[i].st);
    assert_string_equal(b.calls[i].e.message, all[i].message);
    on_loop(&b, i, release_it);
  }
  reach(&b, &serial.releases, 3);
  tear_down(&b);
}

static void test_again_is_ended_by_the_plugins_wake(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  start_of(&b, 0, WAITS);
  on_loop(&b, 0, next_it);
  reach(&b, &serial.nexts, 1);
  assert_int_equal(b.calls[0].st, YOI_AGAIN);
  start_of(&b, 1, ANSWER); /* meanwhile the strand is free */
  assert_int_equal(await(&b, 1), YOI_OK);
  serial.host->wake(serial.host, serial.news); /* of the second, which is over soon or was */
  on_loop(&b, 0, cancel_it);                   /* counts as news */
  assert_int_equal(await(&b, 0), YOI_CANCELLED);
  on_loop(&b, 0, release_it);
  on_loop(&b, 1, release_it);
  reach(&b, &serial.releases, 2);
  int nexts = serial.nexts;
  start_of(&b, 2, WAITS);
  on_loop(&b, 2, next_it);
  reach(&b, &serial.nexts, nexts + 1);
  serial.host->wake(serial.host, serial.news);
  assert_int_equal(await(&b, 2), YOI_OK);
  on_loop(&b, 2, release_it);
  tear_down(&b);
}

/* One that produces without end stops being asked when nobody reads. */
static void test_results_are_bounded(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  start_of(&b, 0, ENDLESS);
  int most = YOI_STRAND_BUFFER_BYTES / 4096 + 1;
  reach(&b, &serial.nexts, most - 2); /* what else a batch takes is counted too */
  start_of(&b, 1, ANSWER);            /* its turn comes all the same */
  assert_int_equal(await(&b, 1), YOI_OK);
  assert_int_equal(await(&b, 1), YOI_END);
  on_loop(&b, 1, release_it);
  reach(&b, &serial.releases, 1);
  int before = serial.nexts;
  assert_true(before <= most + 3);
  size_t got = 0;
  while (got < 4 * YOI_STRAND_BUFFER_BYTES) { /* read, it goes on */
    assert_int_equal(await(&b, 0), YOI_OK);
    got += b.calls[0].bytes;
  }
  on_loop(&b, 0, release_it);
  reach(&b, &serial.releases, 2);
  tear_down(&b);
}

/* It says what it will for ever; the holder is answered after the grace. */
static void test_a_deaf_stream_ends_after_the_grace(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  start_of(&b, 0, ENDLESS);
  reach(&b, &serial.nexts, 3);
  uint64_t begin = yoi__now_ns();
  on_loop(&b, 0, cancel_it);
  while (await(&b, 0) == YOI_OK) continue;
  assert_int_equal(b.calls[0].st, YOI_CANCELLED);
  assert_true(yoi__now_ns() - begin >= YOI_CANCEL_GRACE_MS * YOI__MS);
  assert_int_equal(serial.cancels, 1);
  reach(&b, &serial.releases, 1); /* it is back: nothing is written off */
  assert_int_equal(yoi__strand_lost(b.f.host->setup->models[0]->strand), 0);
  on_loop(&b, 0, release_it);
  tear_down(&b);
}

static void test_cancel_before_it_began(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  start_of(&b, 0, HOLD);
  reach(&b, &serial.holding, 1);
  start_of(&b, 1, ANSWER);
  start_of(&b, 2, ANSWER);
  on_loop(&b, 1, next_it);
  assert_int_equal(b.calls[1].st, YOI_AGAIN);
  on_loop(&b, 1, cancel_it); /* at once, though the strand is busy */
  assert_int_equal(await(&b, 1), YOI_CANCELLED);
  on_loop(&b, 1, release_it);
  on_loop(&b, 2, release_it);
  gate(1);
  assert_int_equal(await(&b, 0), YOI_OK);
  on_loop(&b, 0, release_it);
  assert_int_equal(serial.starts, 1);
  tear_down(&b);
}

/* SERIAL: between two calls; SERIAL_CANCEL: beside the one that blocks. */
static void test_cancel_of_a_blocked_call(void **state) {
  (void)state;
  for (uint32_t threads = YOI_SERIAL; threads <= YOI_SERIAL_CANCEL; threads++) {
    struct bench b;
    set_up(&b, 0, threads);
    serial.cancel_opens = 1;
    start_of(&b, 0, HOLD);
    reach(&b, &serial.holding, 1);
    on_loop(&b, 0, cancel_it);
    on_loop(&b, 0, cancel_it);
    if (threads == YOI_SERIAL) {
      assert_int_equal(serial.cancels, 0);
      on_loop(&b, 0, next_it);
      assert_int_equal(b.calls[0].st, YOI_AGAIN);
      gate(1);
      while (await(&b, 0) == YOI_OK) continue; /* what it had to say, then its end */
      assert_int_equal(serial.cancel_beside, 0);
    } else {
      assert_int_equal(serial.cancel_beside, 1);
      assert_int_equal(await(&b, 0), YOI_CANCELLED);
    }
    assert_true(b.calls[0].st == YOI_CANCELLED || b.calls[0].st == YOI_END);
    assert_int_equal(serial.cancels, 1);
    on_loop(&b, 0, release_it);
    reach(&b, &serial.releases, 1);
    tear_down(&b);
  }
}

static void test_deadline_of_a_blocked_call(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct bench b;
    set_up(&b, step, YOI_SERIAL);
    b.deadline_ns = in_ms(50);
    start_of(&b, 0, HOLD);
    reach(&b, &serial.holding, 1);
    b.deadline_ns = in_ms(50);
    start_of(&b, 1, ANSWER); /* waits behind it */
    b.deadline_ns = 0;
    start_of(&b, 2, ANSWER);
    assert_int_equal(await(&b, 1), YOI_DEADLINE_EXCEEDED); /* at its deadline: not begun */
    assert_int_equal(await(&b, 0), YOI_DEADLINE_EXCEEDED); /* and a grace */
    assert_int_equal(b.calls[0].e.e.code, YOI_CODE_TIMEOUT);
    assert_string_equal(b.calls[0].e.message, "model 'main' did not answer in time");
    reach_lost(&b, 1);
    assert_int_equal(await(&b, 2), YOI_OK); /* the strand goes on */
    assert_int_equal(await(&b, 2), YOI_END);
    assert_int_equal(serial.starts, 2);
    on_loop(&b, 0, release_it);
    reach(&b, &serial.releases, 1);
    assert_int_equal(serial.releases, 1); /* it is inside still */
    gate(1);
    reach(&b, &serial.releases, 2);
    reach_lost(&b, 0);
    on_loop(&b, 1, release_it);
    on_loop(&b, 2, release_it);
    tear_down(&b);
  }
}

/* A deadline that passes while the plugin could still answer. */
static void test_cancelled_for_its_deadline_is_a_timeout(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL_CANCEL);
  serial.cancel_opens = 1;
  b.deadline_ns = in_ms(30);
  start_of(&b, 0, HOLD);
  assert_int_equal(await(&b, 0), YOI_DEADLINE_EXCEEDED);
  assert_int_equal(serial.cancel_beside, 1);
  reach(&b, &serial.releases, 1);
  on_loop(&b, 0, release_it);
  tear_down(&b);
}

/* Four instances of one plugin, so that four calls hang at a time. */
static void test_eight_that_hang_and_the_ninth_is_refused(void **state) {
  static const char *const names[] = {"main", "m1", "m2", "m3"};
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  for (int i = 0; i < YOI_STRAND_LOST_MAX; i++) {
    begin_of(&b, i, HOLD, names[i % 4], &serial.holding, i + 1);
    on_loop(&b, i, release_it); /* nobody waits; its grace begins */
  }
  for (int i = 0; i < 4; i++) reach_lost_of(&b, i == 0 ? 0 : i + 1, 2);
  b.model = "main";
  start_of(&b, 8, ANSWER);
  assert_int_equal(b.calls[8].st, YOI_UNAVAILABLE);
  assert_int_equal(b.calls[8].e.e.code, YOI_CODE_MODEL_ERROR);
  assert_string_equal(b.calls[8].e.message,
                      "plugin 'dev.yoi.test.fixture' is not called: 8 of its calls did not come "
                      "back");
  assert_string_equal(b.calls[8].e.details, "{\"kind\":\"overloaded\",\"retryable\":true}");
  b.model = "m4"; /* opened first, and refused then */
  start_of(&b, 11, ANSWER);
  assert_int_equal(await(&b, 11), YOI_UNAVAILABLE);
  assert_string_equal(b.calls[11].e.details, "{\"kind\":\"overloaded\",\"retryable\":true}");
  on_loop(&b, 11, release_it);
  b.model = "other"; /* another plugin */
  start_of(&b, 9, ANSWER);
  assert_int_equal(await(&b, 9), YOI_OK);
  on_loop(&b, 9, release_it);
  b.model = "m1";
  gate(1); /* they come back, and it is called again */
  reach(&b, &serial.releases, YOI_STRAND_LOST_MAX + 1);
  for (int i = 0; i < 4; i++) reach_lost_of(&b, i == 0 ? 0 : i + 1, 0);
  start_of(&b, 10, ANSWER);
  assert_int_equal(await(&b, 10), YOI_OK);
  on_loop(&b, 10, release_it);
  tear_down(&b);
}

static void test_calls_of_a_plugin_are_bounded(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  yoi_stream **all = yoi_sdk_calloc(YOI_STRAND_CALLS_MAX, sizeof *all);
  start_of(&b, 0, HOLD);
  reach(&b, &serial.holding, 1);
  for (int i = 1; i < YOI_STRAND_CALLS_MAX; i++) {
    start_of(&b, 1, ANSWER);
    assert_int_equal(b.calls[1].st, YOI_OK);
    all[i] = b.calls[1].stream;
  }
  start_of(&b, 1, ANSWER);
  assert_int_equal(b.calls[1].st, YOI_UNAVAILABLE);
  assert_string_equal(b.calls[1].e.message,
                      "more than 1024 calls of plugin 'dev.yoi.test.fixture'");
  for (int i = 1; i < YOI_STRAND_CALLS_MAX; i++) {
    b.calls[1].stream = all[i];
    on_loop(&b, 1, release_it);
  }
  start_of(&b, 1, ANSWER);
  assert_int_equal(b.calls[1].st, YOI_OK);
  on_loop(&b, 1, release_it);
  on_loop(&b, 0, release_it);
  yoi_sdk_free(all);
  tear_down(&b);
}

/* The host's end does not wait for it, and frees nothing that it may touch. */
static void test_free_leaves_what_hangs(void **state) {
  static struct bench b; /* what is left is found from here */
  (void)state;
  set_up(&b, 0, YOI_SERIAL);
  start_of(&b, 0, HOLD);
  reach(&b, &serial.holding, 1);
  on_loop(&b, 0, release_it);
  yoi__holder_close(b.f.host->tokens, &b.holder);
  uint64_t begin = yoi__now_ns();
  yoi_host_free(b.f.host);
  assert_true(yoi__now_ns() - begin < 60000 * YOI__MS);
  assert_int_equal(serial.closes, 1); /* the other one */
  gate(1);
  reach(&b, &serial.releases, 1); /* when it comes back, what it owned is freed */
  assert_int_equal(serial.closes, 1);
}

static void *churns(void *arg) {
  _Atomic int *stop = arg;
  while (!atomic_load(stop)) sched_yield();
  return NULL;
}

/* Everything at once, to be looked at by the sanitizers. */
static void test_many_calls_of_all_kinds(void **state) {
  static const int modes[] = {ANSWER, FAIL_START, FAIL_NEXT, ENDLESS, WAITS};
  (void)state;
  for (uint32_t threads = YOI_SERIAL; threads <= YOI_SERIAL_CANCEL; threads++) {
    struct bench b;
    _Atomic int stop = 0;
    pthread_t other;
    set_up(&b, 0, threads);
    gate(1);
    assert_int_equal(pthread_create(&other, NULL, churns, &stop), 0);
    for (int round = 0; round < 15; round++) {
      for (int i = 0; i < CALLS; i++) {
        b.model = i % 2 == 0 ? "main" : "other";
        start_of(&b, i, modes[(i + round) % 5]);
        assert_int_equal(b.calls[i].st, YOI_OK);
      }
      for (int i = 0; i < CALLS; i++) {
        if (i % 3 == 0) on_loop(&b, i, next_it);
        if (i % 3 == 1) cancel_it(&b, &b.calls[i]); /* [any] */
        if (i % 4 == 0) on_loop(&b, i, next_it);
        on_loop(&b, i, release_it);
      }
    }
    atomic_store(&stop, 1);
    pthread_join(other, NULL);
    tear_down(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_conversation_off_the_loops),
      cmocka_unit_test(test_nothing_blocks_who_asks),
      cmocka_unit_test(test_a_start_error_comes_from_next),
      cmocka_unit_test(test_a_start_that_says_again_is_an_error),
      cmocka_unit_test(test_what_waits_for_a_thread_may_be_taken_back),
      cmocka_unit_test(test_errors_of_next_are_final),
      cmocka_unit_test(test_again_is_ended_by_the_plugins_wake),
      cmocka_unit_test(test_results_are_bounded),
      cmocka_unit_test(test_a_deaf_stream_ends_after_the_grace),
      cmocka_unit_test(test_cancel_before_it_began),
      cmocka_unit_test(test_cancel_of_a_blocked_call),
      cmocka_unit_test(test_deadline_of_a_blocked_call),
      cmocka_unit_test(test_cancelled_for_its_deadline_is_a_timeout),
      cmocka_unit_test(test_eight_that_hang_and_the_ninth_is_refused),
      cmocka_unit_test(test_calls_of_a_plugin_are_bounded),
      cmocka_unit_test(test_free_leaves_what_hangs),
      cmocka_unit_test(test_many_calls_of_all_kinds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
