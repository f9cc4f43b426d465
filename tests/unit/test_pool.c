/* test_pool.c - whose threads a SERIAL plugin's are: one pool for all that is the
 * same code, in whichever config, and none once the last instance of it is gone.
 *
 * Instances are opened and closed as a reload does it, beside those of the host.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <yoi/host_log.h>

#include "host/clock.h"
#include "host/strand_impl.h"
#include "support/files.h"
#include "support/host_fixture.h"
#include "support/serial_model.h"

struct call {
  struct yoi__work work; /* first */
  char mode[1];
};

struct bench {
  struct host_fixture f;
  struct yoi__plugin plugin; /* of the config that comes and goes */
  struct yoi__config_instance entry;
  struct yoi__instance *in;
  void (*task)(struct bench *b);
};

static void reset(void) {
  serial.opens = serial.closes = serial.starts = serial.releases = 0;
  serial.gate = serial.cancel_opens = 0;
  serial_table.thread_model = YOI_SERIAL;
}

static void set_up(struct bench *b, int step) {
  memset(b, 0, sizeof *b);
  reset();
  host_fixture_init(&b->f, step);
  host_fixture_model(&b->f, "main", &serial_table);
  host_fixture_start(&b->f);
  b->plugin = *b->f.models[0].instance.plugin;
  b->plugin.manifest.id = YOI_LIT("dev.yoi.test.own");
  b->entry = (struct yoi__config_instance){.plugin = &b->plugin, .config = YOI_LIT("{}")};
}

static void gate(int open) {
  pthread_mutex_lock(&serial.lock);
  serial.gate = open;
  pthread_cond_broadcast(&serial.moved);
  pthread_mutex_unlock(&serial.lock);
}

static void tear_down(struct bench *b) {
  gate(1);
  host_fixture_stop(&b->f);
  assert_int_equal(serial.closes, serial.opens);
  assert_false(serial.two);
}

/* ---- as the control thread does it ---------------------------------------- */

static void run_task(void *ctx) {
  struct bench *b = ctx;
  b->task(b);
}

static void on_main(struct bench *b, void (*task)(struct bench *b)) {
  b->task = task;
  yoi__control_run(b->f.host->control, run_task, b);
}

static void open_it(struct bench *b) {
  b->in = yoi__instance_new(b->f.host, &b->f.config, &b->entry, YOI_LIT("own"));
  assert_non_null(b->in);
  assert_int_equal(yoi__instance_open(b->in, NULL), YOI_OK);
}

static void close_it(struct bench *b) {
  yoi__instance_close(b->in);
  assert_int_equal(b->in->state, YOI__CLOSED);
  yoi__instance_forget(b->in);
}

static struct yoi__instance *opened(struct bench *b) {
  on_main(b, open_it);
  return b->in;
}

static void closed(struct bench *b, struct yoi__instance *in) {
  b->in = in;
  on_main(b, close_it);
}

/* ---- calls ------------------------------------------------------------------ */

static yoi_status call_start(struct yoi__work *w, struct yoi__instance *in, uint64_t token,
                             yoi_stream **out, yoi_error *err) {
  yoi_str message = {((struct call *)w)->mode, 1};
  const yoi_model_request r = {
      .size = sizeof r, .token = token, .messages = &message, .n_messages = 1};
  return in->plugin->table.model.start(in->self, &r, out, err);
}

static void call_free(struct yoi__work *w) {
  yoi_sdk_free(w);
}

/* Held by a reference, as by a stream of the host's. */
static yoi_stream *called(struct yoi__instance *in, int mode) {
  struct call *c = yoi_sdk_calloc(1, sizeof *c);
  yoi_stream *s = NULL;
  c->work = (struct yoi__work){call_start, call_free};
  c->mode[0] = (char)('0' + mode);
  assert_true(yoi__instance_ref(in));
  assert_int_equal(yoi__strand_start(in->strand, &c->work, 0, 0, &s, NULL), YOI_OK);
  return s;
}

static void released(struct yoi__instance *in, yoi_stream *s) {
  s->ops->release(s);
  yoi__instance_unref(in);
}

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

/* ---- tests -------------------------------------------------------------------- */

/* More rounds than a pool has threads, each from a config of its own. */
static void threads_go_with_the_last_instance(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct bench b;
    set_up(&b, step);
    int before = files_count("/proc/self/task");
    for (int round = 1; round <= 2 * (int)YOI_STRAND_WORKERS; round++) {
      struct yoi__plugin *of_config = yoi_sdk_calloc(1, sizeof *of_config);
      *of_config = b.plugin;
      b.entry.plugin = of_config;
      struct yoi__instance *in = opened(&b);
      yoi_stream *s = called(in, ANSWER);
      reach(&b, &serial.starts, round);
      released(in, s);
      reach(&b, &serial.releases, round);
      closed(&b, in);
      assert_null(b.f.host->pools);
      yoi_sdk_free(of_config); /* as its config is */
    }
    assert_true(files_threads_at_most(before));
    tear_down(&b);
  }
}

static struct yoi__pool *pool_of(struct bench *b, const struct yoi__plugin *p) {
  b->plugin = *p;
  return opened(b)->strand->pool;
}

/* The struct that says what it is stands at one place for all of them. */
static void a_pool_is_of_the_code(void **state) {
  (void)state;
  static const yoi_linked_plugin rows[2];
  struct bench b;
  set_up(&b, 0);
  struct yoi__plugin file = b.plugin, bytes = b.plugin, row = b.plugin, other_row = b.plugin;
  (void)snprintf(file.digest, sizeof file.digest, "sha256:%064d", 1);
  (void)snprintf(bytes.digest, sizeof bytes.digest, "sha256:%064d", 2);
  bytes.table.model.thread_model = YOI_SERIAL_CANCEL;
  row.linked = &rows[0];
  other_row.linked = &rows[1];
  struct yoi__plugin other_id = row;
  other_id.manifest.id = YOI_LIT("dev.yoi.test.own2");
  const struct yoi__plugin *const all[] = {&file, &bytes, &row, &other_row, &other_id};
  struct yoi__instance *in[5];
  for (size_t i = 0; i < 5; i++) {
    struct yoi__pool *p = pool_of(&b, all[i]);
    in[i] = b.in;
    assert_int_equal(p->cancel_any, all[i] == &bytes);
    for (size_t k = 0; k < i; k++) assert_ptr_not_equal(p, in[k]->strand->pool);
  }
  for (size_t i = 0; i < 5; i++) {
    assert_ptr_equal(pool_of(&b, all[i]), in[i]->strand->pool);
    closed(&b, b.in);
    b.plugin = *all[i];
    closed(&b, in[i]);
  }
  assert_null(b.f.host->pools);
  tear_down(&b);
}

/* As many calls at work as there may be, of one code, and one that waits. */
static void a_strand_that_waits_may_go(void **state) {
  (void)state;
  struct bench b;
  yoi_stream *held[YOI_STRAND_THREADS_MAX];
  struct yoi__instance *in[YOI_STRAND_THREADS_MAX + 1];
  set_up(&b, 0);
  for (int i = 0; i <= YOI_STRAND_THREADS_MAX; i++) in[i] = opened(&b);
  for (int i = 0; i < YOI_STRAND_THREADS_MAX; i++) held[i] = called(in[i], HOLD);
  reach(&b, &serial.holding, YOI_STRAND_THREADS_MAX);
  struct yoi__instance *last = in[YOI_STRAND_THREADS_MAX];
  yoi_stream *waits = called(last, ANSWER);
  pthread_mutex_lock(&last->strand->pool->lock);
  assert_int_equal(last->strand->pool->n, YOI_STRAND_THREADS_MAX);
  assert_true(last->strand->listed);
  pthread_mutex_unlock(&last->strand->pool->lock);
  /* Taken back, and its instance gone, before a thread came to it. */
  released(last, waits);
  closed(&b, last);
  gate(1);
  for (int i = 0; i < YOI_STRAND_THREADS_MAX; i++) released(in[i], held[i]);
  reach(&b, &serial.releases, YOI_STRAND_THREADS_MAX);
  for (int i = 0; i < YOI_STRAND_THREADS_MAX; i++) closed(&b, in[i]);
  assert_int_equal(serial.starts, YOI_STRAND_THREADS_MAX);
  assert_null(b.f.host->pools);
  tear_down(&b);
}

/* The end of the host comes while some are open, and the clock has been set. */
static void the_host_may_end_first(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct bench b;
    set_up(&b, step);
    struct yoi__instance *in = opened(&b), *more = opened(&b);
    yoi_stream *s = called(in, ANSWER);
    reach(&b, &serial.starts, 1);
    released(in, s);
    reach(&b, &serial.releases, 1);
    closed(&b, in); /* its clock runs on, for the other one */
    assert_ptr_equal(b.f.host->pools, more->strand->pool);
    closed(&b, more);
    tear_down(&b);
  }
}

static void on_line(void *ctx, uint32_t level, yoi_str line) {
  (void)level;
  (void)line;
  atomic_fetch_add((_Atomic int *)ctx, 1);
}

static void open_main(struct bench *b) {
  b->in = atomic_load(&b->f.host->setup)->models[0];
  assert_int_equal(yoi__instance_open(b->in, NULL), YOI_OK);
}

static void says(const char *words) {
  const yoi_host_log *log = serial.host->get_interface(serial.host, YOI_LIT(YOI_HOST_LOG_ID));
  log->write(serial.host, YOI_LOG_WARN, yoi_sdk_str(words), (yoi_str){0}, NULL, 0);
}

/* A call is inside for longer than anybody waits, and then has something to say. */
static void what_is_left_behind_is_silent(void **state) {
  static struct bench b; /* what is left is found from here */
  _Atomic int lines = 0;
  (void)state;
  memset(&b, 0, sizeof b);
  reset();
  host_fixture_init(&b.f, 0);
  b.f.config.log_level = YOI_LOG_WARN;
  host_fixture_model(&b.f, "main", &serial_table);
  assert_int_equal(yoi__host_of(&b.f.config, &b.f.host, NULL), YOI_OK);
  yoi__log_to(b.f.host->log, on_line, &lines);
  host_fixture_start(&b.f);
  on_main(&b, open_main);
  yoi_stream *s = called(b.in, HOLD);
  reach(&b, &serial.holding, 1);
  released(b.in, s);
  says("it is heard");
  assert_int_equal(lines, 1);
  yoi_host_free(b.f.host);
  assert_int_equal(serial.closes, 0);
  int before = atomic_load(&lines);
  assert_in_range(before, 2, 3); /* "call written off", "cannot close" */
  says("nobody is there");
  gate(1);
  reach(&b, &serial.releases, 1);
  says("nobody is there");
  assert_int_equal(lines, before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_go_with_the_last_instance),
      cmocka_unit_test(a_pool_is_of_the_code),
      cmocka_unit_test(a_strand_that_waits_may_go),
      cmocka_unit_test(the_host_may_end_first),
      cmocka_unit_test(what_is_left_behind_is_silent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
