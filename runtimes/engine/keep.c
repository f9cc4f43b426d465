/* keep.c - buffers of ended turns, for watchers who are still behind in them.
 *
 * The frames of the last turn are kept until the next one begins, at most
 * ten seconds. One list per runtime, oldest first, and one timer on loop 0
 * that is set while the list is not empty. keep.mu is taken under a worker's
 * lock; the sweep takes a reference of a worker under keep.mu alone, and then
 * that worker's lock.
 */
#include <sdk/mem.h>

#include "worker.h"

static void sweep(void *ctx);

/* On loop 0. */
static void set_timer(void *ctx) {
  struct eng_engine *eng = ctx;
  struct eng_keep *k = &eng->keep;
  uint64_t id;
  pthread_mutex_lock(&k->mu);
  uint64_t at = k->first ? k->first->keep_until : 0;
  k->timer = at > 0;
  pthread_mutex_unlock(&k->mu);
  if (at == 0 || eng->loop->timer(eng->host, at, sweep, eng, &id) == YOI_OK) return;
  pthread_mutex_lock(&k->mu);
  k->timer = false;
  pthread_mutex_unlock(&k->mu);
}

static void unlink_worker(struct eng_keep *k, struct eng_worker *w) {
  if (w->keep_prev)
    w->keep_prev->keep_next = w->keep_next;
  else
    k->first = w->keep_next;
  if (w->keep_next)
    w->keep_next->keep_prev = w->keep_prev;
  else
    k->last = w->keep_prev;
  w->keep_prev = w->keep_next = NULL;
  w->kept = false;
}

static void sweep(void *ctx) {
  struct eng_engine *eng = ctx;
  struct eng_keep *k = &eng->keep;
  uint64_t now = eng_mono(eng);
  for (;;) {
    pthread_mutex_lock(&k->mu);
    struct eng_worker *w = k->first;
    if (!w || w->keep_until > now) {
      pthread_mutex_unlock(&k->mu);
      break;
    }
    uint64_t until = w->keep_until;
    bool alive = eng_worker_try_ref(w);
    if (!alive) unlink_worker(k, w); /* its last reference is just going */
    pthread_mutex_unlock(&k->mu);
    if (!alive) continue;
    pthread_mutex_lock(&w->mu);
    if (!w->turn && w->kept && w->keep_until == until) eng_worker_drop_ring(w);
    pthread_mutex_unlock(&w->mu);
    eng_worker_unref(w);
  }
  set_timer(eng);
}

bool eng_keep_add(struct eng_worker *w) {
  struct eng_engine *eng = w->eng;
  struct eng_keep *k = &eng->keep;
  uint64_t now = eng_mono(eng);
  pthread_mutex_lock(&k->mu);
  w->keep_until = now + (uint64_t)YOI_TURN_BUFFER_KEEP_MS * 1000000u;
  w->kept = true;
  w->keep_prev = k->last;
  w->keep_next = NULL;
  if (k->last)
    k->last->keep_next = w;
  else
    k->first = w;
  k->last = w;
  bool set = !k->timer;
  k->timer = true;
  pthread_mutex_unlock(&k->mu);
  return set;
}

void eng_keep_timer(struct eng_engine *eng) {
  struct eng_keep *k = &eng->keep;
  if (eng->loop->post(eng->host, 0, set_timer, eng) == YOI_OK) return;
  pthread_mutex_lock(&k->mu);
  k->timer = false;
  pthread_mutex_unlock(&k->mu);
}

void eng_keep_remove(struct eng_worker *w) {
  struct eng_keep *k = &w->eng->keep;
  pthread_mutex_lock(&k->mu);
  if (w->kept) unlink_worker(k, w);
  pthread_mutex_unlock(&k->mu);
}
