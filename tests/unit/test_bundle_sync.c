/* A runtime that lacks a bundle gets it: once for all who ask at the same time,
 * within the time of each, whatever the runtime says of it and whoever gives up.
 */
#include "host/bundle_sync.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>

#include "host/clock.h"
#include "support/host_fixture.h"

#define DIGEST "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define BYTES "{\"schema\":\"yoi.bundle/1\"}\n"
#define FROM(digest) "{\"config_bundle\":{\"id\":\"team\",\"digest\":\"" digest "\"}}"
#define MANY 200
#define HELD_MAX 512

/* ---- a runtime --------------------------------------------------------- */

/* Streams that it holds back until the test says what they answer. */
struct held {
  struct yoi_sdk_queue *queue;
  uint32_t op;
};

struct fake {
  pthread_mutex_t lock;
  const yoi_host *host;
  int has;                 /* the bundle */
  int hold_create, hold_put; /* a stream that waits, not an answer */
  int late;                /* creates say in a stream what they say, not at once */
  int forgets;             /* a put changes nothing */
  int32_t put_code;        /* what a put fails with; 0: it works */
  int creates, puts, bad_puts;
  struct held held[HELD_MAX];
  size_t n;
};

static struct fake *next_open; /* process-wide: open has no argument for it */

static yoi_status fake_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  (void)config;
  (void)err;
  next_open->host = host;
  *out_self = next_open;
  return YOI_OK;
}

static void let_go(struct fake *f, uint32_t op, const char *text, int32_t code);

static void fake_close(void *self) {
  let_go(self, 0, NULL, YOI_CODE_SHUTTING_DOWN);
}

static struct yoi_sdk_queue *hold(struct fake *f, const yoi_request *req, int keep) {
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(f->host, req->token, 65536, NULL, NULL, NULL);
  if (q != NULL && keep) f->held[f->n++] = (struct held){q, req->op};
  return q;
}

static void answer(struct yoi_sdk_queue *q, const char *text, int32_t code) {
  struct yoi_sdk_error e;
  if (code == 0) {
    (void)yoi_sdk_queue_push(q, YOI_EVENT_RESULT, 0, (yoi_str){"", 0}, yoi_sdk_str(text));
    yoi_sdk_queue_finish(q);
  } else {
    yoi_status st = yoi_sdk_fail(yoi_sdk_error_init(&e), code, "said by the fake");
    yoi_sdk_queue_fail(q, st, &e.e);
  }
}

/* With the lock held; what it lets go is answered without. */
static yoi_status decide(struct fake *f, const yoi_request *req, struct yoi_sdk_queue **out_q,
                         int32_t *out_code, int *out_hold, yoi_error *err) {
  int puts = req->op == YOI_OP_BUNDLE_PUT;
  if (puts) {
    f->puts++;
    if (!yoi_sdk_str_is(req->subject, DIGEST) || !yoi_sdk_str_is(req->body, BYTES) ||
        req->principal.len == 0)
      f->bad_puts++;
    *out_code = f->put_code;
    if (f->put_code == 0 && !f->hold_put && !f->forgets) f->has = 1;
  } else {
    f->creates++;
    *out_code = f->has ? 0 : YOI_CODE_BUNDLE_NOT_FOUND;
  }
  *out_hold = puts ? f->hold_put : f->hold_create;
  if (*out_hold || (!puts && f->late)) {
    *out_q = hold(f, req, *out_hold);
    if (*out_q == NULL) return yoi_sdk_fail_memory(err);
  }
  return YOI_OK;
}

static yoi_status fake_start(void *self, const yoi_request *req, yoi_stream **out,
                             yoi_error *err) {
  struct fake *f = self;
  struct yoi_sdk_queue *q = NULL;
  int32_t code = 0;
  int holds = 0;
  pthread_mutex_lock(&f->lock);
  yoi_status st = decide(f, req, &q, &code, &holds, err);
  pthread_mutex_unlock(&f->lock);
  if (st != YOI_OK) return st;
  if (q != NULL) {
    *out = yoi_sdk_queue_stream(q);
    if (!holds) {
      answer(q, "{\"worker\":{}}", code);
      yoi_sdk_queue_drop(q);
    }
    return YOI_OK;
  }
  if (code != 0) return yoi_sdk_fail(err, code, "said by the fake");
  *out = yoi_sdk_stream_one(YOI_LIT("{\"worker\":{}}"), YOI_EV_CREATED);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

/* Answers what is held, of one operation or of all. */
static void let_go(struct fake *f, uint32_t op, const char *text, int32_t code) {
  for (;;) {
    struct yoi_sdk_queue *q = NULL;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n && q == NULL; i++) {
      if (op != 0 && f->held[i].op != op) continue;
      q = f->held[i].queue;
      if (f->held[i].op == YOI_OP_BUNDLE_PUT && code == 0 && !f->forgets) f->has = 1;
      f->held[i] = f->held[--f->n];
    }
    pthread_mutex_unlock(&f->lock);
    if (q == NULL) return;
    answer(q, text, code);
    yoi_sdk_queue_drop(q);
  }
}

static yoi_status fake_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                             yoi_error *err) {
  (void)deadline_ns;
  (void)token;
  let_go(self, 0, NULL, YOI_CODE_SHUTTING_DOWN);
  *out = yoi_sdk_stream_empty();
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_runtime fake_table = {.size = sizeof fake_table,
                                       .thread_model = YOI_PARALLEL,
                                       .open = fake_open,
                                       .close = fake_close,
                                       .start = fake_start,
                                       .drain = fake_drain};

/* ---- the host ---------------------------------------------------------- */

struct rig {
  struct host_fixture f;
  struct fake fake;
  struct yoi_sdk_bundle made;
  struct yoi__config_bundle bundle;
  yoi_str only[1];
};

static void rig_open(struct rig *r, int step) {
  memset(r, 0, sizeof *r);
  pthread_mutex_init(&r->fake.lock, NULL);
  r->made = (struct yoi_sdk_bundle){.id = YOI_LIT("team"), .workspace_id = YOI_LIT("acme")};
  memcpy(r->made.digest, DIGEST, sizeof DIGEST);
  r->bundle = (struct yoi__config_bundle){.it = &r->made, .bytes = YOI_LIT(BYTES)};
  host_fixture_init(&r->f, step);
  r->f.config.bundles = &r->bundle;
  r->f.config.n_bundles = 1;
  next_open = &r->fake;
  host_fixture_runtime(&r->f, "a", &fake_table);
  host_fixture_start(&r->f);
}

static void rig_close(struct rig *r) {
  host_fixture_stop(&r->f);
  let_go(&r->fake, 0, NULL, YOI_CODE_SHUTTING_DOWN);
  pthread_mutex_destroy(&r->fake.lock);
  assert_int_equal(r->fake.bad_puts, 0);
}

struct seen {
  _Atomic int results, ends;
  _Atomic int32_t code; /* of the last error */
  _Atomic int st;
};

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct seen *s = ctx;
  if (ev != NULL) {
    s->results += ev->kind == YOI_EVENT_RESULT;
    return;
  }
  s->st = st;
  s->code = err != NULL ? err->code : 0;
  s->ends++;
}

static uint64_t begin(struct rig *r, struct seen *s, const char *body, uint32_t ms) {
  struct yoi_sdk_error e;
  yoi_request req = fixture_request(YOI_OP_WORKER_CREATE);
  uint64_t id = 0;
  req.body = yoi_sdk_str(body);
  if (ms > 0) req.deadline_ns = yoi__now_ns() + ms * YOI__MS;
  yoi_status st = yoi_call(r->f.host, YOI_LIT("a"), &req, on_event, s, &id, yoi_sdk_error_init(&e));
  if (st != YOI_OK) on_event(s, NULL, st, &e.e);
  return id;
}

struct until {
  struct rig *r;
  struct seen *s;
  int ends, puts, creates;
};

static int reached(void *ctx) {
  struct until *u = ctx;
  pthread_mutex_lock(&u->r->fake.lock);
  int there = u->r->fake.puts >= u->puts && u->r->fake.creates >= u->creates;
  pthread_mutex_unlock(&u->r->fake.lock);
  return there && (u->s == NULL || u->s->ends >= u->ends);
}

static void until(struct rig *r, struct seen *s, int ends, int puts, int creates) {
  struct until u = {r, s, ends, puts, creates};
  host_fixture_until(&r->f, reached, &u);
}

static void settle(struct rig *r) {
  for (int i = 0; i < 8; i++) assert_int_equal(yoi_host_step(r->f.host, 0, NULL), YOI_OK);
}

/* One create from the bundle, to its end. */
static void create(struct rig *r, struct seen *s) {
  *s = (struct seen){0};
  (void)begin(r, s, FROM(DIGEST), 0);
  until(r, s, 1, 0, 0);
}

/* ---- what a runtime may say ------------------------------------------------ */

static void test_the_bundle_is_given_and_the_create_asked_again(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++)
    for (int late = 0; late < 2; late++) {
      struct rig r;
      struct seen s;
      rig_open(&r, step);
      r.fake.late = late;
      create(&r, &s);
      assert_int_equal(s.st, YOI_END);
      assert_int_equal(s.results, 1);
      assert_int_equal(r.fake.puts, 1);
      assert_int_equal(r.fake.creates, 2);
      create(&r, &s); /* now it is there */
      assert_int_equal(s.results, 1);
      assert_int_equal(r.fake.puts, 1);
      assert_int_equal(r.fake.creates, 3);
      r.fake.has = 0; /* lost */
      create(&r, &s);
      assert_int_equal(s.results, 1);
      assert_int_equal(r.fake.puts, 2);
      assert_int_equal(r.fake.creates, 5);
      rig_close(&r);
    }
}

static void test_only_the_bundles_of_the_config_are_given(void **state) {
  struct rig r;
  struct seen s = {0};
  (void)state;
  rig_open(&r, 1);
  (void)begin(&r, &s, FROM(OTHER), 0);
  until(&r, &s, 1, 0, 0);
  assert_int_equal(s.code, YOI_CODE_BUNDLE_NOT_FOUND);
  (void)begin(&r, &s, "{}", 0);
  until(&r, &s, 2, 0, 0);
  assert_int_equal(s.code, YOI_CODE_BUNDLE_NOT_FOUND);
  assert_int_equal(r.fake.puts, 0);
  assert_int_equal(r.fake.creates, 2);
  rig_close(&r);
}

static void test_a_bundle_that_is_not_allowed_never_arrives(void **state) {
  struct rig r;
  struct seen s = {0};
  struct yoi_sdk_error e;
  char *text = NULL;
  (void)state;
  rig_open(&r, 1);
  r.only[0] = YOI_LIT("b");
  r.bundle.runtimes = (struct yoi__config_names){1, r.only, 1};
  (void)begin(&r, &s, FROM(DIGEST), 0);
  assert_int_equal(s.ends, 1);
  assert_int_equal(s.code, YOI_CODE_POLICY_DENIED);
  yoi_request put = fixture_request(YOI_OP_BUNDLE_PUT);
  put.subject = YOI_LIT(DIGEST);
  put.body = YOI_LIT(BYTES);
  assert_int_equal(yoi_call_sync(r.f.host, YOI_LIT("a"), &put, &text, NULL, yoi_sdk_error_init(&e)),
                   YOI_PERMISSION_DENIED);
  assert_int_equal(e.e.code, YOI_CODE_POLICY_DENIED);
  assert_int_equal(r.fake.puts + r.fake.creates, 0);
  r.bundle.runtimes.given = 0;
  r.bundle.runtimes.n = 0;
  assert_int_equal(yoi_call_sync(r.f.host, YOI_LIT("a"), &put, &text, NULL, NULL), YOI_OK);
  yoi_free(text);
  assert_int_equal(r.fake.puts, 1);
  rig_close(&r);
}

static void test_a_put_that_fails_is_the_answer(void **state) {
  static const int32_t codes[] = {YOI_CODE_UNSUPPORTED_OPERATION, YOI_CODE_STORE_ERROR,
                                  YOI_CODE_BUNDLE_INVALID, YOI_CODE_BUNDLE_NOT_FOUND};
  (void)state;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    struct rig r;
    struct seen s;
    rig_open(&r, (int)i % 2);
    r.fake.put_code = codes[i];
    create(&r, &s);
    assert_int_equal(s.code, codes[i]);
    assert_int_equal(r.fake.creates, 1);
    create(&r, &s); /* the next one tries again */
    assert_int_equal(s.code, codes[i]);
    assert_int_equal(r.fake.puts, 2);
    r.fake.put_code = 0;
    create(&r, &s);
    assert_int_equal(s.results, 1);
    rig_close(&r);
  }
}

static void test_what_is_still_missing_is_no_loop(void **state) {
  (void)state;
  for (int late = 0; late < 2; late++) {
    struct rig r;
    struct seen s;
    rig_open(&r, 1);
    r.fake.forgets = 1;
    r.fake.late = late;
    create(&r, &s);
    assert_int_equal(s.code, YOI_CODE_BUNDLE_NOT_FOUND);
    assert_int_equal(r.fake.puts, 1);
    assert_int_equal(r.fake.creates, 2);
    rig_close(&r);
  }
}

/* ---- many at once ------------------------------------------------------------ */

static void test_two_hundred_creates_cause_one_put(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++)
    for (int late = 0; late < 2; late++) {
      struct rig r;
      struct seen s = {0};
      rig_open(&r, step);
      r.fake.hold_put = 1;
      r.fake.late = late;
      for (int i = 0; i < MANY; i++) (void)begin(&r, &s, FROM(DIGEST), 0);
      until(&r, NULL, 0, 1, MANY);
      if (step) settle(&r);
      assert_int_equal(s.ends, 0);
      let_go(&r.fake, YOI_OP_BUNDLE_PUT, "{\"bundle\":{}}", 0);
      until(&r, &s, MANY, 1, 2 * MANY);
      assert_int_equal(s.results, MANY);
      assert_int_equal(r.fake.puts, 1);
      assert_int_equal(r.fake.creates, 2 * MANY);
      rig_close(&r);
    }
}

/* Threads that ask while puts are over at once: who was told before the end of
 * the put that the bundle is missing needs none. */
struct asking {
  struct rig *r;
  struct seen s;
};

static void *ask_some(void *ctx) {
  struct asking *a = ctx;
  for (int i = 0; i < MANY / 4; i++) (void)begin(a->r, &a->s, FROM(DIGEST), 0);
  return NULL;
}

static void test_nobody_puts_what_was_put_meanwhile(void **state) {
  struct rig r;
  struct asking all[4];
  pthread_t threads[4];
  (void)state;
  rig_open(&r, 0);
  for (int i = 0; i < 4; i++) {
    all[i] = (struct asking){.r = &r};
    assert_int_equal(pthread_create(&threads[i], NULL, ask_some, &all[i]), 0);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    until(&r, &all[i].s, MANY / 4, 1, 0);
    assert_int_equal(all[i].s.results, MANY / 4);
  }
  assert_int_equal(r.fake.puts, 1);
  rig_close(&r);
  /* The same, one step after the other. */
  struct seen first = {0}, second = {0};
  rig_open(&r, 1);
  r.fake.hold_create = 1;
  (void)begin(&r, &second, FROM(DIGEST), 0);
  r.fake.hold_create = 0;
  (void)begin(&r, &first, FROM(DIGEST), 0);
  until(&r, &first, 1, 1, 3);
  assert_int_equal(first.results, 1);
  let_go(&r.fake, YOI_OP_WORKER_CREATE, NULL, YOI_CODE_BUNDLE_NOT_FOUND);
  until(&r, &second, 1, 1, 4);
  assert_int_equal(second.results, 1);
  assert_int_equal(r.fake.puts, 1);
  rig_close(&r);
}

static void test_a_failing_put_answers_all_who_wait(void **state) {
  struct rig r;
  struct seen s = {0};
  (void)state;
  rig_open(&r, 1);
  r.fake.hold_put = 1;
  for (int i = 0; i < MANY; i++) (void)begin(&r, &s, FROM(DIGEST), 0);
  until(&r, NULL, 0, 1, MANY);
  let_go(&r.fake, YOI_OP_BUNDLE_PUT, NULL, YOI_CODE_STORE_ERROR);
  until(&r, &s, MANY, 1, 0);
  assert_int_equal(s.results, 0);
  assert_int_equal(s.code, YOI_CODE_STORE_ERROR);
  assert_int_equal(r.fake.creates, MANY);
  assert_int_equal(r.fake.puts, 1);
  rig_close(&r);
}

/* ---- who gives up ---------------------------------------------------------- */

static void test_a_deadline_is_the_callers(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct rig r;
    struct seen soon = {0}, later = {0};
    rig_open(&r, step);
    r.fake.hold_put = 1;
    (void)begin(&r, &soon, FROM(DIGEST), 30);
    (void)begin(&r, &later, FROM(DIGEST), 0);
    until(&r, &soon, 1, 1, 2);
    assert_int_equal(soon.code, YOI_CODE_TIMEOUT);
    assert_int_equal(later.ends, 0);
    let_go(&r.fake, YOI_OP_BUNDLE_PUT, "{\"bundle\":{}}", 0);
    until(&r, &later, 1, 1, 3);
    assert_int_equal(later.results, 1);
    /* Behind the put, too. */
    r.fake.has = 0;
    r.fake.hold_create = 1;
    soon = (struct seen){0};
    (void)begin(&r, &soon, FROM(DIGEST), 30);
    until(&r, &soon, 1, 0, 0);
    assert_int_equal(soon.code, YOI_CODE_TIMEOUT);
    rig_close(&r);
  }
}

static void test_a_put_that_hangs_ends(void **state) {
  struct rig r;
  struct seen s = {0};
  (void)state;
  rig_open(&r, 1);
  r.fake.hold_put = 1;
  host_fixture_instance(&r.f, "a")->deadline_ms = 50;
  (void)begin(&r, &s, FROM(DIGEST), 0);
  until(&r, &s, 1, 1, 1);
  assert_int_equal(s.code, YOI_CODE_TIMEOUT);
  host_fixture_instance(&r.f, "a")->deadline_ms = 10000;
  r.fake.hold_put = 0;
  s = (struct seen){0};
  (void)begin(&r, &s, FROM(DIGEST), 0);
  until(&r, &s, 1, 1, 1);
  /* Either the put that hung is over and there is a new one, or it ended it. */
  if (s.code == YOI_CODE_TIMEOUT) create(&r, &s);
  assert_int_equal(s.results, 1);
  rig_close(&r);
}

/* 0: while the first answer is to come; 1: while the put is; 2: while the second
 * answer is. */
static void in_state(struct rig *r, int state) {
  r->fake.hold_create = state == 0;
  r->fake.hold_put = state > 0;
}

static void on_to(struct rig *r, int state) {
  if (state < 2) return;
  r->fake.hold_create = 1;
  let_go(&r->fake, YOI_OP_BUNDLE_PUT, "{\"bundle\":{}}", 0);
}

static void test_a_cancelled_create_takes_nothing_from_others(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++)
    for (int at = 0; at < 3; at++) {
      struct rig r;
      struct seen gone = {0}, stays = {0};
      rig_open(&r, step);
      in_state(&r, at);
      uint64_t id = begin(&r, &gone, FROM(DIGEST), 0);
      (void)begin(&r, &stays, FROM(DIGEST), 0);
      until(&r, NULL, 0, at > 0, 2);
      on_to(&r, at);
      if (at == 2) until(&r, NULL, 0, 1, 4);
      if (step) settle(&r);
      yoi_call_cancel(r.f.host, id);
      until(&r, &gone, 1, 0, 0);
      assert_int_equal(gone.st, YOI_CANCELLED);
      assert_int_equal(gone.results, 0);
      assert_int_equal(stays.ends, 0);
      r.fake.hold_create = r.fake.hold_put = 0;
      let_go(&r.fake, YOI_OP_BUNDLE_PUT, "{\"bundle\":{}}", 0);
      let_go(&r.fake, YOI_OP_WORKER_CREATE, "{\"worker\":{}}", 0);
      until(&r, &stays, 1, 0, 0);
      assert_int_equal(stays.results, 1);
      rig_close(&r);
    }
}

static void test_a_stream_is_released_in_any_state(void **state) {
  (void)state;
  for (int at = 0; at < 3; at++)
    for (int polled = 0; polled < 2; polled++) {
      struct rig r;
      struct seen s;
      struct yoi_sdk_error e;
      yoi_stream *stream = NULL;
      const yoi_event *const *events = NULL;
      size_t n = 0;
      yoi_request req = fixture_request(YOI_OP_WORKER_CREATE);
      req.body = YOI_LIT(FROM(DIGEST));
      rig_open(&r, 1);
      in_state(&r, at);
      assert_int_equal(yoi__registry_start(r.f.host, YOI_LIT("a"), &req, &stream, NULL), YOI_OK);
      if (polled) {
        assert_int_equal(stream->ops->next(stream, &events, &n, yoi_sdk_error_init(&e)), YOI_AGAIN);
        on_to(&r, at);
        settle(&r);
        assert_int_equal(stream->ops->next(stream, &events, &n, yoi_sdk_error_init(&e)), YOI_AGAIN);
      }
      stream->ops->release(stream);
      r.fake.hold_create = r.fake.hold_put = 0;
      let_go(&r.fake, YOI_OP_BUNDLE_PUT, "{\"bundle\":{}}", 0);
      settle(&r);
      create(&r, &s);
      assert_int_equal(s.results, 1);
      rig_close(&r);
    }
}

/* ---- ends of runtimes and hosts ------------------------------------------------ */

static void test_a_runtime_is_removed_while_it_is_given_a_bundle(void **state) {
  struct rig r;
  struct seen s = {0};
  (void)state;
  rig_open(&r, 0);
  r.fake.hold_put = 1;
  for (int i = 0; i < 8; i++) (void)begin(&r, &s, FROM(DIGEST), 0);
  until(&r, NULL, 0, 1, 8);
  assert_int_equal(yoi_host_remove_runtime(r.f.host, YOI_LIT("a"), 5000, NULL), YOI_OK);
  assert_int_equal(s.ends, 8);
  assert_int_equal(s.results, 0);
  assert_int_equal(s.code, YOI_CODE_SHUTTING_DOWN);
  rig_close(&r);
}

static void test_a_host_ends_while_a_put_is_under_way(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct rig r;
    struct seen s = {0};
    rig_open(&r, step);
    r.fake.hold_put = 1;
    for (int i = 0; i < 8; i++) (void)begin(&r, &s, FROM(DIGEST), 0);
    until(&r, NULL, 0, 1, 8);
    rig_close(&r);
    assert_int_equal(s.ends, 8);
    assert_int_equal(s.results, 0);
  }
}

/* Whatever allocation fails: an answer, and the next create works. */
static void test_memory_is_short(void **state) {
  int more = 1;
  (void)state;
  for (uint64_t n = 1; more; n++) {
    struct rig r;
    struct seen s = {0};
    rig_open(&r, 1);
    (void)yoi_sdk_mem_fail_at(n);
    (void)begin(&r, &s, FROM(DIGEST), 0);
    for (int i = 0; i < 16; i++) assert_int_equal(yoi_host_step(r.f.host, 0, NULL), YOI_OK);
    more = yoi_sdk_mem_fail_at(0) >= n;
    until(&r, &s, 1, 0, 0);
    if (s.results == 0) assert_int_equal(s.st, YOI_RESOURCE_EXHAUSTED);
    create(&r, &s);
    assert_int_equal(s.results, 1);
    rig_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_bundle_is_given_and_the_create_asked_again),
      cmocka_unit_test(test_only_the_bundles_of_the_config_are_given),
      cmocka_unit_test(test_a_bundle_that_is_not_allowed_never_arrives),
      cmocka_unit_test(test_a_put_that_fails_is_the_answer),
      cmocka_unit_test(test_what_is_still_missing_is_no_loop),
      cmocka_unit_test(test_two_hundred_creates_cause_one_put),
      cmocka_unit_test(test_nobody_puts_what_was_put_meanwhile),
      cmocka_unit_test(test_a_failing_put_answers_all_who_wait),
      cmocka_unit_test(test_a_deadline_is_the_callers),
      cmocka_unit_test(test_a_put_that_hangs_ends),
      cmocka_unit_test(test_a_cancelled_create_takes_nothing_from_others),
      cmocka_unit_test(test_a_stream_is_released_in_any_state),
      cmocka_unit_test(test_a_runtime_is_removed_while_it_is_given_a_bundle),
      cmocka_unit_test(test_a_host_ends_while_a_put_is_under_way),
      cmocka_unit_test(test_memory_is_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
