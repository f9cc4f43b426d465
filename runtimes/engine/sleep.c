/* sleep.c - workers that nobody uses are forgotten again.
 *
 * What a worker is stands in its records, so in a store that outlives the
 * process memory is a cache: when more than limits.loaded_workers are awake
 * those that were used longest ago go back to sleep (load.c). The list is in
 * order of use; a look takes the oldest one, and puts it at the other end when
 * it is in use after all, so that each look costs the same however many
 * workers there are, and those that cannot sleep are not looked at in vain
 * again and again.
 *
 * Invariants:
 *  1. `awake` is cleared under the worker's lock and dir_mu, and only while
 *     the directory and this file have the only references. Whoever takes one
 *     does so under dir_mu or has one already: it finds a worker that sleeps,
 *     or one that stays awake.
 *  2. What is slept through is told by nothing: a worker with a stream, a
 *     buffer, a turn, something staged or owed, or events since its last
 *     record, does not sleep.
 *  3. Errors that the process has met with a worker are no records, and stay.
 *  4. The store is told that it may forget too, before it is asked to read
 *     again (`resting`).
 */
#include <sdk/hard.h>

#include "load.h"
#include "queue.h"

#define LOOKS YOI_SDK_HARD(8, 2)

static void list_remove(struct eng_uses *x, struct eng_worker *w) {
  if (w->use_prev)
    w->use_prev->use_next = w->use_next;
  else
    x->first = w->use_next;
  if (w->use_next)
    w->use_next->use_prev = w->use_prev;
  else
    x->last = w->use_prev;
  w->use_prev = w->use_next = NULL;
}

static void list_add(struct eng_uses *x, struct eng_worker *w) {
  w->use_prev = x->last;
  w->use_next = NULL;
  if (x->last)
    x->last->use_next = w;
  else
    x->first = w;
  x->last = w;
}

void eng_use_add(struct eng_worker *w) {
  struct eng_engine *eng = w->eng;
  struct eng_uses *x = &eng->uses;
  pthread_mutex_lock(&x->mu);
  bool added = !w->used;
  if (added) list_add(x, w);
  w->used = true;
  pthread_mutex_unlock(&x->mu);
  if (!added) return;
  atomic_fetch_add(&x->n, 1);
  yoi_sdk_metric_add(&eng->metrics, eng->metric.awake, 1);
}

void eng_use_remove(struct eng_worker *w) {
  struct eng_engine *eng = w->eng;
  struct eng_uses *x = &eng->uses;
  pthread_mutex_lock(&x->mu);
  bool removed = w->used;
  if (removed) list_remove(x, w);
  w->used = false;
  pthread_mutex_unlock(&x->mu);
  if (!removed) return;
  atomic_fetch_sub(&x->n, 1);
  yoi_sdk_metric_sub(&eng->metrics, eng->metric.awake, 1);
}

void eng_use(struct eng_worker *w) {
  struct eng_uses *x = &w->eng->uses;
  if (!w->eng->sleeps) return;
  pthread_mutex_lock(&x->mu);
  if (w->used && w->use_next) {
    list_remove(x, w);
    list_add(x, w);
  }
  pthread_mutex_unlock(&x->mu);
}

/* Everything of it is in its records. */
static bool is_quiet(const struct eng_worker *w) {
  uint8_t state = atomic_load(&w->state);
  return (state == ENG_IDLE || state == ENG_STOPPED || state == ENG_CORRUPT) && !w->turn &&
         !w->stage && !w->waiting && !w->bells && w->n_streams == 0 && !w->owed && !w->ring &&
         !w->load && w->last.index == 0 && !eng_queue_first(w);
}

int eng_sleep(struct eng_worker *w) {
  struct eng_engine *eng = w->eng;
  const struct eng_store_ops *ops = eng->store->ops;
  pthread_mutex_lock(&w->mu);
  bool quiet = atomic_load(&w->awake) && is_quiet(w);
  pthread_mutex_lock(&eng->dir_mu);
  quiet = quiet && w->listed && atomic_load(&w->refs) == 2;
  if (quiet) atomic_store(&w->awake, false);
  pthread_mutex_unlock(&eng->dir_mu);
  if (quiet) {
    eng_use_remove(w);
    eng_worker_clear(w);
    w->resting = ops->log_rest != NULL;
  }
  pthread_mutex_unlock(&w->mu);
  if (!quiet) return 0;
  if (!ops->log_rest) return 1;
  ops->log_rest(eng->store, w->log);
  pthread_mutex_lock(&w->mu);
  w->resting = false;
  struct eng_load *wanted = w->load;
  pthread_mutex_unlock(&w->mu);
  if (wanted) eng_load_begin(wanted);
  return 1;
}

/* The oldest one, with a reference; it is the newest now. */
static struct eng_worker *oldest(struct eng_uses *x) {
  pthread_mutex_lock(&x->mu);
  struct eng_worker *w = x->first;
  if (w) {
    list_remove(x, w);
    list_add(x, w);
    if (!eng_worker_try_ref(w)) w = NULL;
  }
  pthread_mutex_unlock(&x->mu);
  return w;
}

void eng_sleep_some(struct eng_engine *eng) {
  if (!eng->sleeps || atomic_load(&eng->closing)) return;
  for (int i = 0; i < LOOKS && atomic_load(&eng->uses.n) > eng->limits.loaded_workers; i++) {
    struct eng_worker *w = oldest(&eng->uses);
    if (!w) return;
    (void)eng_sleep(w);
    eng_worker_unref(w);
  }
}
