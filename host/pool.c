/* host/pool.c - the threads of a SERIAL plugin, and the clock of its calls.
 *
 *   strand has work --offer--> runnable --taken by a thread--> one step of it
 *        ^                                                        |
 *        +------------------- more to do: at the end of the list -+
 *
 * At most YOI_STRAND_THREADS_MAX threads of a plugin do work. A thread whose
 * call was written off is inside the plugin and may never come back; it is not
 * counted any more, another one takes its place, and when it does come back
 * the one too many idles. Since the plugin is refused at YOI_STRAND_LOST_MAX
 * such calls, the sum of both is the most threads that there can be.
 *
 * A plugin is its code: the row that is linked, or id and digest. What a config
 * says of it is of that config, and goes with it; so instances of several configs
 * have one pool, and its limits, together. Threads stay until the last strand
 * goes. The pool is freed on loop 0 then, by its node: behind what the clock
 * does there. While the host ends no loop is asked for that any more.
 *
 * Invariants
 *  1. `lock` of a pool guards its errands, strands and threads. It is not held
 *     across a call of the plugin, a wake, a log line or a post: what those
 *     are needed for is noted in a yoi__after and done by yoi__pool_leave.
 *  2. A strand is in the list at most once and never while a thread is on it.
 *  3. The clock is one timer on loop 0, set for the earliest errand that is
 *     due. It is a loop's because every thread of a pool may be blocked.
 *  4. Threads are made when there is work and none is idle, never before.
 *  5. The list of pools and the count of strands are [main]. When the last strand
 *     goes no call is left, so who may still be in here is a thread of the pool,
 *     which is joined, or the clock.
 */
#include <sdk/mem.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "host.h"
#include "strand_impl.h"

/* ---- leaving the lock -------------------------------------------------- */

static void say(struct yoi__pool *p, const struct yoi__after *a, uint32_t level, const char *what) {
  yoi__log_host(
      p->host->log, level, what,
      (yoi_log_field[]){{YOI_LIT("plugin"), yoi_sdk_str(p->id)}, {YOI_LIT("name"), a->name}},
      2);
}

void yoi__pool_leave(struct yoi__pool *p, struct yoi__after *a) {
  struct yoi_embed *host = p->host;
  pthread_mutex_unlock(&p->lock);
  if (a->said_lost) say(p, a, YOI_LOG_WARN, "call written off, it did not come back in time");
  if (a->said_refusing)
    say(p, a, YOI_LOG_ERROR, "plugin refused, too many of its calls did not come back");
  if (a->said_again) say(p, a, YOI_LOG_INFO, "plugin called again, its calls came back");
  if (a->tick) yoi__loop_post_node(host->loops, 0, &p->node);
  if (a->wake != 0) yoi__token_wake(host->tokens, a->wake);
  if (a->token_free != 0) yoi__token_free(host->tokens, &p->holder, a->token_free);
  if (a->work != NULL) a->work->free(a->work);
  yoi__batches_free(a->batches);
  if (a->errand != NULL) yoi__errand_free(a->errand);
  /* Last: who waits for the instance may free it, the pool and the host. */
  if (a->unref != NULL)
    yoi__instance_unref(a->unref);
  else if (a->notify)
    yoi__host_notify(host);
}

/* ---- threads ----------------------------------------------------------- */

/* How many threads do work, of those that count. */
static uint32_t busy(const struct yoi__pool *p) {
  return p->n - p->idle - p->stuck;
}

static void *pool_main(void *arg) {
  struct yoi__worker *w = arg;
  struct yoi__pool *p = w->pool;
  pthread_mutex_lock(&p->lock);
  while (!p->stopping || p->first != NULL) {
    struct yoi__strand *s = p->first;
    if (s == NULL || (busy(p) > YOI_STRAND_THREADS_MAX && !p->stopping)) {
      p->idle++;
      pthread_cond_wait(&p->work, &p->lock);
      p->idle--;
      continue;
    }
    p->first = s->next;
    if (p->first == NULL) p->last = &p->first;
    p->listed--;
    s->listed = 0;
    s->running = 1;
    yoi__strand_step(s, w);
  }
  w->done = 1;
  pthread_cond_broadcast(&p->told);
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

/* Without memory for a thread, what waits is run by the threads there are, or
 * times out. */
static void spawn(struct yoi__pool *p) {
  struct yoi__worker *w = &p->workers[p->n];
  sigset_t all, before;
  w->pool = p;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int made = pthread_create(&w->thread, NULL, pool_main, w) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!made) return;
  (void)pthread_setname_np(w->thread, "yoi-strand");
  p->n++;
}

void yoi__pool_list(struct yoi__pool *p, struct yoi__strand *s) {
  if (s->running || s->listed || s->first == NULL) return;
  s->listed = 1;
  s->next = NULL;
  *p->last = s;
  p->last = &s->next;
  p->listed++;
}

void yoi__pool_unlist(struct yoi__pool *p, struct yoi__strand *s) {
  struct yoi__strand **at = &p->first;
  if (!s->listed) return;
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  if (*at == NULL) p->last = at;
  p->listed--;
  s->listed = 0;
}

void yoi__pool_offer(struct yoi__pool *p, struct yoi__strand *s) {
  if (s != NULL) yoi__pool_list(p, s);
  if (p->listed == 0 || p->stopping) return;
  if (p->idle > 0) pthread_cond_signal(&p->work);
  int may = p->n < YOI_STRAND_WORKERS && busy(p) < YOI_STRAND_THREADS_MAX;
  if (may && p->listed > p->idle) spawn(p);
}

/* ---- the clock --------------------------------------------------------- */

/* The earliest that is due later, 0 for none. With the lock held, which is
 * left for each one that is due now. */
static uint64_t scan(struct yoi__pool *p) {
  uint64_t first = 0;
  for (uint32_t i = 0; i < p->n_places; i++) {
    struct yoi__errand *e = p->places[i].errand;
    uint64_t now = yoi__now_ns();
    if (e != NULL && e->due_ns != 0 && e->due_ns <= now) {
      struct yoi__after after = {0};
      yoi__errand_due(e, now, &after);
      yoi__pool_leave(p, &after);
      pthread_mutex_lock(&p->lock);
      e = p->places[i].errand; /* another one, or none, by now */
    }
    if (e != NULL && e->due_ns != 0 && (first == 0 || e->due_ns < first)) first = e->due_ns;
  }
  return first;
}

static void tick(struct yoi__pool *p);

static void tick_timer(void *ctx) {
  struct yoi__pool *p = ctx;
  p->timer = 0;
  tick(p);
}

/* On loop 0, which `timer` belongs to. */
static void tick(struct yoi__pool *p) {
  struct yoi__loops *loops = p->host->loops;
  pthread_mutex_lock(&p->lock);
  p->ticking = 1;
  uint64_t first;
  do {
    p->rescan = 0;
    first = scan(p);
  } while (p->rescan);
  p->ticking = 0;
  p->armed_ns = first;
  pthread_mutex_unlock(&p->lock);
  if (p->timer != 0) yoi__loop_timer_cancel(loops, NULL, p->timer);
  p->timer = 0;
  if (first == 0 || yoi__loop_timer(loops, NULL, first, tick_timer, p, &p->timer) == YOI_OK) return;
  pthread_mutex_lock(&p->lock);
  p->armed_ns = 0; /* memory is short; the next call sets it */
  pthread_mutex_unlock(&p->lock);
}

static void pool_free(struct yoi__pool *p) {
  pthread_cond_destroy(&p->told);
  pthread_cond_destroy(&p->work);
  pthread_mutex_destroy(&p->lock);
  yoi_sdk_free(p);
}

/* The node is out of its queue, and may be posted again. */
static void tick_post(void *ctx) {
  struct yoi__pool *p = ctx;
  pthread_mutex_lock(&p->lock);
  p->tick_posted = 0;
  int ended = p->ended;
  pthread_mutex_unlock(&p->lock);
  if (!ended) {
    tick(p);
    return;
  }
  if (p->timer != 0) yoi__loop_timer_cancel(p->host->loops, NULL, p->timer);
  pool_free(p);
}

void yoi__pool_due(struct yoi__pool *p, uint64_t at_ns, struct yoi__after *after) {
  if (p->ticking) {
    p->rescan = 1;
  } else if (!p->tick_posted && (p->armed_ns == 0 || p->armed_ns > at_ns)) {
    p->tick_posted = 1;
    after->tick = 1;
  }
}

/* ---- the plugin's wakes ------------------------------------------------ */

static void pool_wake(void *self, uint64_t cookie) {
  struct yoi__pool *p = self;
  struct yoi__after after = {0};
  uint32_t i = (uint32_t)(cookie % YOI_STRAND_CALLS_MAX);
  pthread_mutex_lock(&p->lock);
  struct yoi__place *at = &p->places[i];
  if (at->errand != NULL && at->generation == cookie / YOI_STRAND_CALLS_MAX)
    yoi__errand_news(at->errand, &after);
  yoi__pool_leave(p, &after);
}

/* ---- pools ------------------------------------------------------------- */

static int is_of(const struct yoi__pool *p, const struct yoi__plugin *plugin) {
  return p->linked == plugin->linked && yoi_sdk_str_is(plugin->manifest.id, p->id) &&
         strcmp(p->digest, plugin->digest) == 0;
}

static struct yoi__pool *pool_new(struct yoi_embed *host, const struct yoi__plugin *plugin) {
  struct yoi__pool *p = yoi_sdk_calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  p->host = host;
  p->linked = plugin->linked;
  (void)snprintf(p->id, sizeof p->id, "%.*s", YOI_ARG(plugin->manifest.id));
  memcpy(p->digest, plugin->digest, sizeof p->digest);
  p->holder.wake = pool_wake;
  p->holder.self = p;
  p->node = (struct yoi__node){.fn = tick_post, .ctx = p};
  p->cancel_any = plugin->table.model.thread_model == YOI_SERIAL_CANCEL;
  p->last = &p->first;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->told, NULL);
  p->next = host->pools;
  host->pools = p;
  return p;
}

struct yoi__pool *yoi__pool_of(struct yoi_embed *host, const struct yoi__plugin *plugin) {
  struct yoi__pool *p = host->pools;
  while (p != NULL && !is_of(p, plugin)) p = p->next;
  if (p == NULL) p = pool_new(host, plugin);
  if (p != NULL) p->strands++;
  return p;
}

static void pool_stop(struct yoi__pool *p) {
  pthread_mutex_lock(&p->lock);
  p->stopping = 1;
  pthread_cond_broadcast(&p->work);
  while (p->n > 0) {
    struct yoi__worker *w = &p->workers[--p->n];
    /* One that is between two calls may still go into one. */
    while (!w->done && !w->inside) pthread_cond_wait(&p->told, &p->lock);
    int inside = !w->done;
    pthread_mutex_unlock(&p->lock);
    if (inside)
      pthread_detach(w->thread);
    else
      pthread_join(w->thread, NULL);
    pthread_mutex_lock(&p->lock);
  }
  pthread_mutex_unlock(&p->lock);
}

void yoi__pool_give(struct yoi__pool *p) {
  struct yoi_embed *host = p->host;
  struct yoi__pool **at = &host->pools;
  if (--p->strands > 0 || p->stopping) return; /* the host ends: yoi__pools_free */
  while (*at != p) at = &(*at)->next;
  *at = p->next;
  pool_stop(p);
  yoi__holder_close(host->tokens, &p->holder);
  pthread_mutex_lock(&p->lock);
  int posted = p->tick_posted;
  p->ended = p->tick_posted = 1;
  pthread_mutex_unlock(&p->lock);
  if (!posted) yoi__loop_post_node(host->loops, 0, &p->node);
}

void yoi__pools_stop(struct yoi_embed *host) {
  for (struct yoi__pool *p = host->pools; p != NULL; p = p->next) pool_stop(p);
}

void yoi__pools_free(struct yoi_embed *host) {
  while (host->pools != NULL) {
    struct yoi__pool *p = host->pools;
    host->pools = p->next;
    yoi__holder_close(host->tokens, &p->holder);
    pool_free(p);
  }
}
