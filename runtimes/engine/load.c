/* load.c - a worker's records are read when it is first asked for.
 *
 * A worker that its store named is asleep: some hundred bytes. Whoever wants
 * it finds that out under dir_mu, with a reference, and waits for one load
 * that all share:
 *
 *    eng_load_wait        a place is free        pages read and replayed
 *   (none) --------> QUEUED -----------> READING ----------------------+
 *                                          | the store failed, or       |
 *                                          v memory is short            v
 *                        asleep as before <+           nothing is owed: AWAKE
 *                        who waits is refused          else CLOSING ----> AWAKE
 *                                                      stage_done, either way
 *
 * Invariants:
 *  1. While it is read the worker belongs to its load: others look at `awake`
 *     and `load` only. It is shown, and its waiters start, once it is whole
 *     and the end of a turn that a crash has interrupted was appended; if that
 *     fails the end is owed, as always, and shown nevertheless.
 *  2. A waiter holds a reference of the worker from before it waits until its
 *     operation has started, so nobody puts the worker to sleep in between.
 *  3. YOI_LOADS_MAX histories are read at a time, in the order in which they
 *     were asked for; YOI_PENDING_OPS_MAX operations wait for one of them.
 *  4. Nothing here blocks, and nothing recurses over the number of workers: a
 *     load that ends takes the next one along.
 *
 * Workers that were found busy are loaded without being asked, in the order of
 * their ids, YOI_LOADS_BUSY_MAX at a time: the walk is a position in the
 * directory. It begins with a post from open, so that it runs when the host's
 * loops do, and goes on from the ends of its loads.
 */
#include "load.h"

#include <sdk/hard.h>
#include <sdk/mem.h>

#include "queue.h"
#include "read.h"
#include "replay.h"

#define RETRY_MS 1000u
#define RETRY_MS_MAX 60000u

struct eng_load {
  struct eng_worker *w; /* a reference */
  struct eng_read *read;
  struct eng_replay *replay;
  struct eng_waiter *first, *last; /* w->mu, as the count */
  uint32_t n_waiters;
  bool walked;           /* the walk waits for it too; w->mu */
  struct eng_load *next; /* loads.mu: in the queue */
  uint64_t from, expected, begun_mono;
};

static void load_run(struct eng_load *l, bool there);

static void on_read(struct eng_read *r) {
  struct eng_load *l = r->ctx;
  if (!atomic_load(&l->w->eng->closing)) load_run(l, true);
}

static struct eng_load *load_new(struct eng_worker *w) {
  struct eng_load *l = yoi_sdk_calloc(1, sizeof *l);
  if (!l) return NULL;
  l->read = eng_read_new(on_read, l);
  if (!l->read) {
    yoi_sdk_free(l);
    return NULL;
  }
  l->w = eng_worker_ref(w);
  l->from = 1;
  l->expected = w->last.sequence;
  l->begun_mono = eng_mono(w->eng);
  return l;
}

static void load_free(struct eng_load *l) {
  eng_replay_free(l->replay);
  eng_read_free(l->read);
  eng_worker_unref(l->w);
  yoi_sdk_free(l);
}

/* With w's lock. *begin: it is new, and to be begun. */
static enum eng_waits join(struct eng_worker *w, struct eng_waiter *x, struct eng_load **begin) {
  if (atomic_load(&w->awake)) return ENG_WAIT_NONE;
  struct eng_load *l = w->load;
  if (!l) {
    l = w->load = load_new(w);
    if (!l) return ENG_WAIT_MEMORY;
    if (!w->resting) *begin = l;
  }
  if (!x) {
    l->walked = true;
    return ENG_WAIT_LOADED;
  }
  if (l->n_waiters == YOI_PENDING_OPS_MAX) return ENG_WAIT_FULL;
  x->next = NULL;
  if (l->first)
    l->last->next = x;
  else
    l->first = x;
  l->last = x;
  l->n_waiters++;
  return ENG_WAIT_LOADED;
}

enum eng_waits eng_load_wait(struct eng_worker *w, struct eng_waiter *x) {
  struct eng_load *begin = NULL;
  pthread_mutex_lock(&w->mu);
  enum eng_waits waits = join(w, x, &begin);
  pthread_mutex_unlock(&w->mu);
  if (begin) eng_load_begin(begin);
  return waits;
}

/* ---- places ---- */

#define PLACES YOI_SDK_HARD(YOI_LOADS_MAX, 2)

void eng_load_begin(struct eng_load *l) {
  struct eng_loads *x = &l->w->eng->loads;
  pthread_mutex_lock(&x->mu);
  bool now = x->active < PLACES;
  if (now) {
    x->active++;
  } else {
    l->next = NULL;
    if (x->first)
      x->last->next = l;
    else
      x->first = l;
    x->last = l;
  }
  pthread_mutex_unlock(&x->mu);
  if (now) load_run(l, false);
}

/* The next one that waits for a place, which it gets; else the place is free. */
static struct eng_load *next_load(struct eng_engine *eng) {
  struct eng_loads *x = &eng->loads;
  pthread_mutex_lock(&x->mu);
  struct eng_load *l = x->first;
  if (l)
    x->first = l->next;
  else
    x->active--;
  pthread_mutex_unlock(&x->mu);
  return l;
}

/* ---- reading ---- */

static void say_corrupt(const struct eng_load *l, const char *why) {
  char behind[24];
  int n = snprintf(behind, sizeof behind, "%llu", (unsigned long long)l->w->last.sequence);
  const yoi_log_field fields[] = {
      {YOI_LIT("worker_id"), l->w->entry.id},
      {YOI_LIT("behind"), {behind, (size_t)n}},
      {YOI_LIT("why"), yoi_sdk_str(why)},
  };
  eng_log(l->w->eng, YOI_LOG_ERROR, YOI_LIT("a history is damaged"), (yoi_str){0}, fields, 3);
}

static void corrupt(struct eng_load *l, const char *why) {
  say_corrupt(l, why);
  eng_replay_corrupt(l->replay);
}

enum took { MORE, WHOLE, BROKEN, FAILED };

static enum took take_page(struct eng_load *l) {
  struct eng_read *r = l->read;
  if (r->st != YOI_OK && r->st != YOI_DATA_LOSS) return FAILED;
  for (size_t i = 0; i < r->n; i++) {
    yoi_status st = eng_replay_add(l->replay, r->frames[i]);
    if (st == YOI_RESOURCE_EXHAUSTED) return FAILED;
    if (st == YOI_OK) continue;
    corrupt(l, eng_replay_why(l->replay));
    return BROKEN;
  }
  l->from += r->n;
  if (r->st == YOI_OK && !r->damaged && r->n == YOI_REPLAY_BATCH_MAX) return MORE;
  if (r->st == YOI_OK && !r->damaged && l->from > l->expected && l->from > 1) return WHOLE;
  corrupt(l, r->st == YOI_OK && !r->damaged ? "records are missing" : "it cannot be read");
  return BROKEN;
}

/* Reads on; 0: on_read comes. *how: what became of it. */
static int read_all(struct eng_load *l, bool there, enum took *how) {
  struct eng_worker *w = l->w;
  *how = FAILED;
  if (!l->replay) l->replay = eng_replay_new(w);
  if (!l->replay) return 1;
  for (;;) {
    if (there) {
      *how = take_page(l);
      if (*how != MORE) break;
    }
    there = eng_read_start(l->read, w->eng->store, w->log, l->from, 0) != 0;
    if (!there) return 0;
  }
  eng_read_clear(l->read);
  return 1;
}

/* ---- its end ---- */

void eng_load_awake(struct eng_load *l) {
  l->w->load = NULL;
  eng_use_add(l->w);
  atomic_store(&l->w->awake, true);
}

static void tell(struct eng_load *l, int32_t code, const char *message) {
  struct eng_engine *eng = l->w->eng;
  bool walked = l->walked;
  for (struct eng_waiter *x = l->first, *next; x; x = next) {
    next = x->next; /* it may be gone behind the next line */
    eng_deferred_loaded(x->d, code, message);
  }
  load_free(l);
  if (!walked) return;
  pthread_mutex_lock(&eng->loads.mu);
  eng->loads.walking--;
  if (code != 0) eng->loads.failed++;
  pthread_mutex_unlock(&eng->loads.mu);
  eng_load_busy(eng);
}

void eng_load_over(struct eng_load *l) {
  struct eng_engine *eng = l->w->eng;
  eng_count(eng, eng->metric.loads, 1);
  yoi_sdk_metric_observe(&eng->metrics, eng->metric.load_time, eng_mono(eng) - l->begun_mono);
  tell(l, 0, NULL);
  eng_sleep_some(eng);
}

static void failed(struct eng_load *l) {
  struct eng_worker *w = l->w;
  bool memory = l->read->st == YOI_OK || l->read->st == YOI_RESOURCE_EXHAUSTED;
  eng_worker_clear(w);
  pthread_mutex_lock(&w->mu);
  w->last = (struct eng_pos){.sequence = l->expected};
  w->load = NULL; /* whoever comes now tries again */
  pthread_mutex_unlock(&w->mu);
  if (memory)
    tell(l, YOI_CODE_INTERNAL, "memory is short");
  else
    tell(l, YOI_CODE_STORE_ERROR, "the history could not be read");
}

static void finish(struct eng_load *l, enum took how) {
  struct eng_worker *w = l->w;
  struct eng_after after = {0};
  if (how == WHOLE && !eng_replay_end(l->replay, &after)) how = FAILED;
  if (how == FAILED) {
    failed(l);
    return;
  }
  pthread_mutex_lock(&w->mu);
  eng_queue_next(w, &after); /* with what is owed before */
  if (!w->stage && w->owed) (void)eng_worker_pay(w, &after);
  bool over = !w->stage;
  if (over) eng_load_awake(l);
  eng_worker_leave(w, &after); /* stage_done goes on, otherwise */
  if (over) eng_load_over(l);
}

/* there: a page was read. */
static void load_run(struct eng_load *l, bool there) {
  struct eng_engine *eng = l->w->eng;
  enum took how;
  while (l && read_all(l, there, &how)) {
    finish(l, how);
    l = next_load(eng);
    there = false;
  }
}

void eng_load_drop(struct eng_load *l) {
  l->w->load = NULL;
  for (struct eng_waiter *x = l->first, *next; x; x = next) {
    next = x->next;
    eng_deferred_unref(x->d);
  }
  load_free(l);
}

/* ---- those that were found busy ---- */

static void retry(void *ctx) {
  struct eng_engine *eng = ctx;
  pthread_mutex_lock(&eng->loads.mu);
  eng->loads.behind_len = 0;
  eng->loads.walked = false;
  pthread_mutex_unlock(&eng->loads.mu);
  eng_load_busy(eng);
}

/* On loop 0. */
static void set_retry(void *ctx) {
  struct eng_engine *eng = ctx;
  struct eng_loads *x = &eng->loads;
  uint64_t id;
  pthread_mutex_lock(&x->mu);
  x->pause_ms = x->pause_ms == 0 ? RETRY_MS : 2 * x->pause_ms;
  if (x->pause_ms > RETRY_MS_MAX) x->pause_ms = RETRY_MS_MAX;
  uint64_t at = eng_mono(eng) + x->pause_ms * 1000000u;
  pthread_mutex_unlock(&x->mu);
  (void)eng->loop->timer(eng->host, at, retry, eng, &id);
}

/* The next one, with a reference; NULL: enough are loaded, or those were all. */
static struct eng_worker *next_busy(struct eng_engine *eng, bool *out_again) {
  struct eng_loads *x = &eng->loads;
  struct eng_worker *w = NULL;
  char behind[YOI_ID_MAX];
  int more;
  pthread_mutex_lock(&x->mu);
  bool full = x->walked || x->walking == YOI_LOADS_BUSY_MAX;
  size_t len = x->behind_len;
  memcpy(behind, x->behind, len);
  pthread_mutex_unlock(&x->mu);
  yoi_str after = {behind, len};
  size_t n = full ? 0 : eng_page_workers(eng, after, "running", NULL, &w, 1, &more);
  pthread_mutex_lock(&x->mu);
  if (n > 0) {
    x->walking++;
    x->behind_len = w->entry.id.len;
    memcpy(x->behind, w->entry.id.ptr, w->entry.id.len);
  } else if (!full) {
    x->walked = true;
  }
  *out_again = x->walked && x->walking == 0 && x->failed > 0;
  if (*out_again) x->failed = 0;
  pthread_mutex_unlock(&x->mu);
  return n > 0 ? w : NULL;
}

static void walk(struct eng_engine *eng) {
  struct eng_loads *x = &eng->loads;
  bool again = false;
  for (struct eng_worker *w; (w = next_busy(eng, &again)) != NULL; eng_worker_unref(w)) {
    enum eng_waits waits = eng_load_wait(w, NULL);
    if (waits == ENG_WAIT_LOADED) continue;
    pthread_mutex_lock(&x->mu);
    x->walking--;
    if (waits == ENG_WAIT_MEMORY) x->failed++;
    pthread_mutex_unlock(&x->mu);
  }
  if (again) (void)eng->loop->post(eng->host, 0, set_retry, eng);
}

void eng_load_busy(struct eng_engine *eng) {
  struct eng_loads *x = &eng->loads;
  bool mine, more = true;
  pthread_mutex_lock(&x->mu);
  mine = !x->walks; /* else whoever walks, perhaps a caller of this, goes on */
  x->walks = x->again = true;
  pthread_mutex_unlock(&x->mu);
  while (mine && more) {
    pthread_mutex_lock(&x->mu);
    x->again = false;
    pthread_mutex_unlock(&x->mu);
    if (!atomic_load(&eng->closing) && !atomic_load(&eng->draining)) walk(eng);
    pthread_mutex_lock(&x->mu);
    more = x->again;
    x->walks = more;
    pthread_mutex_unlock(&x->mu);
  }
}
