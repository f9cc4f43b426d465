/* t_stream.c - the rules of yoi/stream.h, on the usual call of the plugin. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <yoi/limits.h>

#include "rig.h"

#define CALL_MS CONFORM_CALL_MS(c)
#define STEP_MS 300   /* after AGAIN: then it is asked whether there was news */
#define LATE_MS 500   /* a wake that is on its way */
#define BLOCK_MS 500  /* start and next: far more than any of them needs */

/* The next after a start, with nothing kept. */
static yoi_status ask(struct call *k, const yoi_event *const **events, size_t *n) {
  k->seen = atomic_load(&k->token.wakes->n);
  return k->stream->ops->next(k->stream, events, n, yoi_sdk_error_init(&k->error));
}

static void to_end(struct conform *c, struct call *k) {
  if (!call_finish(c, k, CALL_MS)) conform_skip(c, "see stream.again-wakes: it does not end");
}

static void end_is_sticky(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  call_start_or_skip(c, &i, &k);
  to_end(c, &k);
  for (int again = 0; again < 3; again++) {
    yoi_status st = ask(&k, &events, &n);
    if (st != k.status)
      conform_fail(c, "next repeats the end", "it ended with %d, then it says %d", k.status, st);
  }
  call_release(&k);
  rig_close(c, &i);
}

static int woken(struct conform *c, struct call *k, uint32_t ms) {
  uint64_t until = conform_now_ns() + ms * 1000000ull;
  while (atomic_load(&k->token.wakes->n) == k->seen && conform_now_ns() < until) rig_pump(c, 5);
  return atomic_load(&k->token.wakes->n) != k->seen;
}

static void again_wakes(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  uint64_t until = conform_now_ns() + CALL_MS * 1000000ull;
  int forgot = 0;
  call_start_or_skip(c, &i, &k);
  while (conform_now_ns() < until) {
    yoi_status st = ask(&k, &events, &n);
    uint32_t seen = k.seen;
    if (forgot && st != YOI_AGAIN) {
      /* There is news, and nobody was told; unless that is on its way. */
      if (!woken(c, &k, LATE_MS))
        conform_fail(c, "a wake of the token when there is news after AGAIN", "none");
      k.seen = seen;
    }
    if (st != YOI_OK && st != YOI_AGAIN) break;
    forgot = st == YOI_AGAIN && !woken(c, &k, STEP_MS);
  }
  if (conform_now_ns() >= until) {
    /* Nothing says how long a call may take, but what is cancelled ends. */
    k.stream->ops->cancel(k.stream);
    if (call_finish(c, &k, YOI_CANCEL_GRACE_MS))
      conform_skip(c, "the usual call takes more than %u ms; --timeout gives more", CALL_MS);
    conform_fail(c, "the usual call ends", "it has not ended after %u ms", CALL_MS);
  }
  call_release(&k);
  rig_close(c, &i);
}

static void untouched(struct conform *c) {
  static const yoi_event *const mark[1];
  struct rig_instance i = rig_open(c);
  struct call k;
  call_start_or_skip(c, &i, &k);
  uint64_t until = conform_now_ns() + CALL_MS * 1000000ull;
  while (conform_now_ns() < until) {
    const yoi_event *const *events = mark;
    size_t n = 77;
    yoi_status st = ask(&k, &events, &n);
    if (st == YOI_OK) continue;
    if (events != mark || n != 77)
      conform_fail(c, "AGAIN, END and errors leave *out_events and *out_n as they are",
                   "status %d has changed them", st);
    if (st != YOI_AGAIN) break;
    (void)woken(c, &k, STEP_MS);
  }
  call_release(&k);
  rig_close(c, &i);
}

static void each_batch(struct conform *c, void (*look)(struct conform *c,
                                                       const yoi_event *const *events, size_t n)) {
  struct rig_instance i = rig_open(c);
  struct call k;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  call_start_or_skip(c, &i, &k);
  uint64_t until = conform_now_ns() + CALL_MS * 1000000ull;
  while (conform_now_ns() < until) {
    n = 0;
    events = NULL;
    yoi_status st = ask(&k, &events, &n);
    if (st == YOI_OK) look(c, events, n);
    else if (st != YOI_AGAIN) break;
    else (void)woken(c, &k, STEP_MS);
  }
  call_release(&k);
  rig_close(c, &i);
}

static void look_at_batch(struct conform *c, const yoi_event *const *events, size_t n) {
  if (n == 0 || !events) conform_fail(c, "OK comes with at least one event", "OK with none");
  for (size_t i = 0; i < n; i++)
    if (!events[i]) conform_fail(c, "each of the n pointers leads to an event", "one is NULL");
}

static void batches(struct conform *c) {
  each_batch(c, look_at_batch);
}

static void look_at_event(struct conform *c, const yoi_event *const *events, size_t n) {
  for (size_t i = 0; events && i < n; i++) {
    const yoi_event *e = events[i];
    if (e && e->size < sizeof *e)
      conform_fail(c, "an event has the size of yoi_event", "%u of %zu bytes", e->size, sizeof *e);
    if (e && e->reserved != 0)
      conform_fail(c, "reserved members are zero", "reserved of an event is %u", e->reserved);
  }
}

static void event_shape(struct conform *c) {
  each_batch(c, look_at_event);
}

static void ops_shape(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  call_start_or_skip(c, &i, &k);
  const yoi_stream_ops *ops = k.stream->ops;
  if (!ops || ops->size < sizeof *ops)
    conform_fail(c, "a table of three functions", "%u bytes", ops ? ops->size : 0);
  if (ops->reserved != 0)
    conform_fail(c, "reserved members are zero", "reserved of the table is %u", ops->reserved);
  if (!ops->next || !ops->cancel || !ops->release)
    conform_fail(c, "next, cancel and release", "one of them is NULL");
  (void)call_finish(c, &k, CALL_MS);
  call_release(&k);
  rig_close(c, &i);
}

/* ---- cancel and release ---------------------------------------------------------------- */

static void cancel_ends(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  call_start_or_skip(c, &i, &k);
  k.stream->ops->cancel(k.stream);
  if (!call_finish(c, &k, YOI_CANCEL_GRACE_MS))
    conform_fail(c, "it ends within the grace of 2000 ms", "it has not");
  call_release(&k);
  rig_close(c, &i);
}

/* From where it waits: nobody would ask again without a wake. */
static void cancel_wakes(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status st;
  uint64_t until = conform_now_ns() + CALL_MS * 1000000ull;
  call_start_or_skip(c, &i, &k);
  do st = ask(&k, &events, &n);
  while (conform_now_ns() < until && (st == YOI_OK || (st == YOI_AGAIN && woken(c, &k, 0))));
  if (st != YOI_AGAIN) conform_skip(c, "it never has to wait");
  k.stream->ops->cancel(k.stream);
  if (!woken(c, &k, YOI_CANCEL_GRACE_MS))
    conform_fail(c, "a wake within the grace of 2000 ms: the end is news", "none");
  call_release(&k);
  rig_close(c, &i);
}

static void cancel_twice(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  call_start_or_skip(c, &i, &k);
  k.stream->ops->cancel(k.stream);
  k.stream->ops->cancel(k.stream);
  (void)call_finish(c, &k, YOI_CANCEL_GRACE_MS);
  k.stream->ops->cancel(k.stream);
  call_release(&k);
  rig_close(c, &i);
}

static void *cancel_it(void *arg) {
  struct call *k = arg;
  k->stream->ops->cancel(k->stream);
  return NULL;
}

/* SERIAL_CANCEL may be called beside, too; SERIAL may not. */
static void cancel_races(struct conform *c) {
  struct rig_instance i = rig_open(c);
  if (rig_thread_model(c) == YOI_SERIAL) conform_skip(c, "it is serial");
  uint64_t over = call_share(c);
  for (int round = 0; round < 50 && conform_now_ns() < over; round++) {
    struct call k;
    pthread_t other;
    call_start_or_skip(c, &i, &k);
    uint64_t steps = conform_random(c, 3);
    while (steps-- > 0 && k.status == YOI_OK) (void)call_next(c, &k);
    if (pthread_create(&other, NULL, cancel_it, &k) != 0) abort();
    int ended = call_finish(c, &k, YOI_CANCEL_GRACE_MS);
    (void)pthread_join(other, NULL);
    if (!ended) conform_skip(c, "see stream.cancel-ends");
    call_release(&k);
  }
  rig_close(c, &i);
}

/* Random lives: some events, perhaps a cancel, the end in any state. */
static void release_any_state(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k[4];
  uint64_t over = call_share(c);
  for (int round = 0; round < 40 && conform_now_ns() < over; round++) {
    size_t n = 1 + conform_random(c, 4);
    for (size_t s = 0; s < n; s++) call_start_or_skip(c, &i, &k[s]);
    for (size_t s = 0; s < n; s++) {
      uint64_t steps = conform_random(c, 4), pump = conform_random(c, 2);
      while (steps-- > 0 && (k[s].status == YOI_OK || k[s].status == YOI_AGAIN))
        (void)call_next(c, &k[s]);
      if (pump) rig_pump(c, 0);
      if (conform_random(c, 3) == 0) k[s].stream->ops->cancel(k[s].stream);
    }
    for (size_t s = n; s-- > 0;) call_release(&k[s]);
    rig_pump(c, 0);
  }
  rig_close(c, &i);
}

static void release_null(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  call_start_or_skip(c, &i, &k);
  k.stream->ops->release(NULL);
  (void)call_finish(c, &k, CALL_MS);
  call_release(&k);
  rig_close(c, &i);
}

/* ---- time and memory --------------------------------------------------------------------- */

struct stand {
  uint64_t ns, busy; /* what the thread has run, and has waited for a processor */
  long switches;
};

static struct stand stand(void) {
  struct rusage u;
  struct stand s = {.ns = conform_now_ns()};
  unsigned long long ran = 0, waited = 0;
  FILE *f = fopen("/proc/thread-self/schedstat", "re"); /* where the kernel has it */
  (void)getrusage(RUSAGE_THREAD, &u);
  if (f && fscanf(f, "%llu %llu", &ran, &waited) == 2) s.busy = ran + waited;
  if (f) (void)fclose(f);
  s.switches = u.ru_nvcsw;
  return s;
}

/* Long, and because it waited: who only had no processor has not blocked. */
static void not_blocked(struct conform *c, struct stand from, const char *what) {
  struct stand now = stand();
  if (now.ns - from.ns > BLOCK_MS * 1000000ull + (now.busy - from.busy) &&
      now.switches > from.switches)
    conform_fail(c, "start and next never block", "%s took %llu ms", what,
                 (unsigned long long)((now.ns - from.ns) / 1000000u));
}

static void never_blocks(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  if (rig_thread_model(c) != YOI_PARALLEL) conform_skip(c, "it is serial: it may block");
  struct stand from = stand();
  call_start_or_skip(c, &i, &k);
  not_blocked(c, from, "start");
  uint64_t until = conform_now_ns() + CALL_MS * 1000000ull;
  while (conform_now_ns() < until) {
    from = stand();
    yoi_status st = call_next(c, &k);
    not_blocked(c, from, "next");
    if (st == YOI_AGAIN) (void)woken(c, &k, STEP_MS);
    else if (st != YOI_OK) break;
  }
  call_release(&k);
  rig_close(c, &i);
}

#define UNREAD 32

static void bounded(struct conform *c) {
  struct rig_instance i = rig_open(c);
  static struct call k[UNREAD];
  if (!conform_heap_can()) conform_skip(c, "a sanitizer has the allocator");
  struct mallinfo2 before = mallinfo2();
  for (int s = 0; s < UNREAD; s++) call_start_or_skip(c, &i, &k[s]);
  for (int n = 0; n < 5; n++) rig_pump(c, 10);
  struct mallinfo2 after = mallinfo2();
  size_t grown = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
  uint64_t most = c->options->buffer_bytes;
  if (after.uordblks + after.hblkhd > before.uordblks + before.hblkhd && grown / UNREAD > most)
    conform_fail(c, "a stream that nobody reads holds no more than it declares (buffer_bytes)",
                 "%zu bytes each, with %llu declared", grown / UNREAD, (unsigned long long)most);
  for (int s = 0; s < UNREAD; s++) {
    k[s].stream->ops->cancel(k[s].stream);
    call_release(&k[s]);
  }
  rig_close(c, &i);
}

#define STREAM(name, fn, says, promise) \
  {"stream." name, ON_STREAMS, 0, fn, says, "yoi/stream.h", promise}
#define NEAR(name, fn, says, promise) \
  {"stream." name, ON_STREAMS, NEEDS_NEAR, fn, says, "yoi/stream.h", promise}

extern const struct conform_test conform_stream[];
const struct conform_test conform_stream[] = {
    STREAM("ops-shape", ops_shape, "A stream has its three functions.",
           "OK sets *out_events to *out_n >= 1 pointers"),
    STREAM("batch", batches, "OK comes with events.",
           "OK sets *out_events to *out_n >= 1 pointers"),
    STREAM("event-shape", event_shape, "An event has its size, and no more than it may.",
           "One event; immutable."),
    STREAM("untouched", untouched, "Without events next touches nothing of the caller's.",
           "AGAIN, END or an error leave them untouched."),
    STREAM("end-is-sticky", end_is_sticky, "After its end next repeats the end.",
           "END and errors are final and sticky."),
    STREAM("again-wakes", again_wakes, "After AGAIN there is a wake when there is news.",
           "After AGAIN the plugin owes one host->wake(token)"),
    STREAM("cancel-ends", cancel_ends, "A cancelled stream ends within the grace.",
           "the stream ends with YOI_CANCELLED, or as it would have, within the declared grace"),
    STREAM("cancel-wakes", cancel_wakes, "A cancel of a stream that waits is news.",
           "it counts as news for a wake."),
    STREAM("cancel-twice", cancel_twice, "cancel may be called again, also after the end.",
           "[any] Idempotent, waits for no other thread."),
    STREAM("cancel-races", cancel_races, "cancel may come from another thread, beside next.",
           "[any] Idempotent, waits for no other thread."),
    STREAM("release-any-state", release_any_state, "A stream may be released in any state.",
           "release, in any state"),
    STREAM("release-null", release_null, "release accepts NULL.",
           "Gives the stream back; NULL is accepted."),
    NEAR("never-blocks", never_blocks, "start and next do not wait.",
         "start and next never block."),
    NEAR("bounded", bounded, "What nobody reads does not pile up.",
         "a plugin buffers at most what limits.h or its page says"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
