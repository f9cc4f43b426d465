/* test_stream_rules.c - the rules of yoi/stream.h, driven from both ends.
 *
 * The runtime that fails on request gives each kind of stream; this side
 * starts many at once, cancels some at any moment from another thread, and
 * takes the host away under them. All runs in both modes and is meant for the
 * thread sanitizer. Rules 1 to 5 of the header: an answer is found wherever
 * its wake came, every call ends exactly once, a cancel ends what would never
 * end, nothing arrives after the end, a late wake is harmless.
 */
#include <pthread.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <yoi.h>

#include <cmocka.h>

#define CALLS 64u
#define ROUNDS 20u
#define WAIT_S 20 /* until a call must have ended; far above any of them */

static const char CONFIG[] =
    "{\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\"],"
    "\"runtimes\":[{\"id\":\"f\",\"plugin\":\"dev.yoi.test.faulty\",\"deadline_ms\":%u}],"
    "\"models\":[],\"ingress\":[],\"loops\":2}";

/* Counts what came of some calls. */
struct tally {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned results, events, ended, ok, cancelled, failed, after_end;
};

struct one {
  struct tally *tally;
  int ended; /* only touched by its callbacks, which come one at a time */
};

static struct yoi_embed *started(uint32_t deadline_ms) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  const char *build = getenv("YOI_BUILD");
  char json[sizeof CONFIG + 16];
  snprintf(json, sizeof json, CONFIG, deadline_ms);
  yoi_status st = yoi_host_new(json, strlen(json), build == NULL ? "build" : build, &host,
                               yoi_sdk_error_init(&e));
  if (st == YOI_OK) st = yoi_host_start(host, yoi_sdk_error_init(&e));
  if (st != YOI_OK) print_message("%s (%s)\n", e.message, e.private_detail);
  assert_int_equal(st, YOI_OK);
  return host;
}

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct one *one = ctx;
  struct tally *t = one->tally;
  (void)err;
  pthread_mutex_lock(&t->lock);
  if (one->ended) t->after_end++;
  if (ev != NULL) {
    t->events++;
    if (ev->kind == YOI_EVENT_RESULT) t->results++;
  } else {
    one->ended = 1;
    t->ended++;
    if (st == YOI_END)
      t->ok++;
    else if (st == YOI_CANCELLED)
      t->cancelled++;
    else
      t->failed++;
    pthread_cond_broadcast(&t->changed);
  }
  pthread_mutex_unlock(&t->lock);
}

static void tally_init(struct tally *t, struct one *ones, unsigned n) {
  *t = (struct tally){0};
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->changed, NULL);
  for (unsigned i = 0; i < n; i++) ones[i] = (struct one){.tally = t};
}

static void tally_wait(struct tally *t, unsigned ended) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += WAIT_S;
  pthread_mutex_lock(&t->lock);
  while (t->ended < ended)
    if (pthread_cond_timedwait(&t->changed, &t->lock, &end) != 0) break;
  pthread_mutex_unlock(&t->lock);
  assert_int_equal(t->ended, ended);
  assert_int_equal(t->after_end, 0);
}

static void tally_release(struct tally *t) {
  pthread_cond_destroy(&t->changed);
  pthread_mutex_destroy(&t->lock);
}

static uint64_t call(struct yoi_embed *host, uint32_t op, const char *worker, struct one *one) {
  struct yoi_sdk_error e;
  uint64_t id = 0;
  yoi_request r = {.size = sizeof r, .op = op, .worker_id = yoi_sdk_str(worker)};
  yoi_status st = yoi_call(host, YOI_LIT("f"), &r, on_event, one, &id, yoi_sdk_error_init(&e));
  if (st != YOI_OK) print_message("%s: %s\n", worker, e.message);
  assert_int_equal(st, YOI_OK);
  return id;
}

/* Rule 2: a wake during start, during next, later, or for nothing. */
static void test_an_answer_is_found_wherever_its_wake_came(void **state) {
  static const char *const ways[] = {"idle", "late", "wake-in-start", "wake-in-next", "wakes"};
  struct one ones[CALLS];
  struct tally t;
  (void)state;
  struct yoi_embed *host = started(30000);
  for (unsigned round = 0; round < 3; round++) {
    tally_init(&t, ones, CALLS);
    for (unsigned i = 0; i < CALLS; i++) call(host, YOI_OP_WORKER_GET, ways[i % 5], &ones[i]);
    tally_wait(&t, CALLS);
    assert_int_equal(t.results, CALLS);
    assert_int_equal(t.ok, CALLS);
    tally_release(&t);
  }
  yoi_host_free(host);
}

/* Rule 1: OK without events, END without a result, a stream that is none: the
 * call ends once, with an error. */
static void test_a_stream_that_breaks_the_rules_ends_as_an_error(void **state) {
  static const char *const ways[] = {"no-event",     "no-result",      "no-stream",
                                     "unknown-code", "unknown-status", "internal.next"};
  struct one one;
  struct tally t;
  struct yoi_sdk_error e;
  (void)state;
  struct yoi_embed *host = started(30000);
  for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
    tally_init(&t, &one, 1);
    yoi_request r = {.size = sizeof r, .op = YOI_OP_WORKER_GET, .worker_id = yoi_sdk_str(ways[i])};
    yoi_status st = yoi_call(host, YOI_LIT("f"), &r, on_event, &one, NULL, yoi_sdk_error_init(&e));
    if (st == YOI_OK) {
      tally_wait(&t, 1);
      if (t.failed != 1) print_message("%s: no error\n", ways[i]);
      assert_int_equal(t.failed, 1);
      assert_int_equal(t.results, 0);
    } else {
      assert_true(st > 0);
      assert_int_equal(t.ended, 0);
    }
    tally_release(&t);
  }
  yoi_host_free(host);
}

/* Rule 3: what would never end ends by a cancel, also one that comes late. */
static void test_a_cancel_ends_what_would_never_end(void **state) {
  struct one ones[CALLS];
  uint64_t ids[CALLS];
  struct tally t;
  (void)state;
  struct yoi_embed *host = started(30000);
  tally_init(&t, ones, CALLS);
  for (unsigned i = 0; i < CALLS; i++)
    ids[i] = call(host, YOI_OP_WORKER_EVENTS, i % 4 == 3 ? "deaf" : "hang", &ones[i]);
  for (unsigned i = 0; i < CALLS; i++) {
    yoi_call_cancel(host, ids[i]);
    yoi_call_cancel(host, ids[i]);
  }
  tally_wait(&t, CALLS);
  assert_int_equal(t.cancelled, CALLS);
  for (unsigned i = 0; i < CALLS; i++) yoi_call_cancel(host, ids[i]);
  tally_release(&t);
  yoi_host_free(host);
}

struct canceller {
  struct yoi_embed *host;
  const uint64_t *ids;
  _Atomic unsigned started;
};

static void *cancel_all(void *ctx) {
  struct canceller *c = ctx;
  for (unsigned i = 0; i < CALLS; i++) {
    while (c->started <= i) sched_yield();
    yoi_call_cancel(c->host, c->ids[i]);
  }
  return NULL;
}

/* Rule 3 again, as a race: a cancel at any moment, from another thread, of
 * streams that answer, trickle, hang and fail. Each ends once. */
static void test_cancels_race_with_everything(void **state) {
  static const char *const ways[] = {
      "idle",      "late", "wake-in-next",  "wakes",          "trickle-3",
      "events-50", "hang", "internal.next", "events-9.error", "wake-in-start"};
  (void)state;
  struct yoi_embed *host = started(30000);
  for (unsigned round = 0; round < ROUNDS; round++) {
    struct one ones[CALLS];
    uint64_t ids[CALLS];
    struct tally t;
    struct canceller c = {.host = host, .ids = ids};
    pthread_t thread;
    tally_init(&t, ones, CALLS);
    assert_int_equal(pthread_create(&thread, NULL, cancel_all, &c), 0);
    for (unsigned i = 0; i < CALLS; i++) {
      const char *way = ways[(i + round) % 10];
      ids[i] = call(host, i % 2 ? YOI_OP_WORKER_EVENTS : YOI_OP_WORKER_GET, way, &ones[i]);
      c.started = i + 1;
    }
    pthread_join(thread, NULL);
    tally_wait(&t, CALLS);
    assert_int_equal(t.ok + t.cancelled + t.failed, CALLS);
    tally_release(&t);
  }
  yoi_host_free(host);
}

/* Rule 4: the host goes away under streams in every state; each call is told
 * so once, before free returns. */
static void test_a_host_that_goes_away_ends_every_call(void **state) {
  static const char *const ways[] = {"idle",  "late",         "hang",        "deaf",
                                     "wakes", "trickle-1000", "events-1000", "wake-in-start"};
  (void)state;
  for (unsigned round = 0; round < 4; round++) {
    struct one ones[CALLS];
    struct tally t;
    struct yoi_embed *host = started(30000);
    tally_init(&t, ones, CALLS);
    for (unsigned i = 0; i < CALLS; i++) call(host, YOI_OP_WORKER_EVENTS, ways[i % 8], &ones[i]);
    yoi_host_free(host);
    assert_int_equal(t.ended, CALLS);
    assert_int_equal(t.after_end, 0);
    tally_release(&t);
  }
}

/* A deadline ends a unary operation, and only that. */
static void test_a_deadline_ends_a_unary_operation_only(void **state) {
  struct one ones[2];
  struct tally t;
  (void)state;
  struct yoi_embed *host = started(100);
  tally_init(&t, ones, 2);
  uint64_t stream = call(host, YOI_OP_WORKER_EVENTS, "trickle-20", &ones[0]);
  call(host, YOI_OP_WORKER_GET, "hang", &ones[1]);
  tally_wait(&t, 2);
  assert_int_equal(t.failed, 1);
  assert_int_equal(t.ok, 1);
  assert_int_equal(t.events, 21);
  yoi_call_cancel(host, stream);
  tally_release(&t);
  yoi_host_free(host);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_answer_is_found_wherever_its_wake_came),
      cmocka_unit_test(test_a_stream_that_breaks_the_rules_ends_as_an_error),
      cmocka_unit_test(test_a_cancel_ends_what_would_never_end),
      cmocka_unit_test(test_cancels_race_with_everything),
      cmocka_unit_test(test_a_host_that_goes_away_ends_every_call),
      cmocka_unit_test(test_a_deadline_ends_a_unary_operation_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
