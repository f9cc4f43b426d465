/* host/loop.c - turns of the event loops: one epoll, eventfd and timerfd each.
 *
 *   turn:  wait -> descriptors -> timers -> purges -> one batch of posts
 *
 * Why a timerfd and not a timeout of epoll_wait: in step mode the application
 * polls our epoll descriptor in a loop of its own, which then must become
 * readable for timers and posts too. Both descriptors are edge-triggered, so
 * that neither needs a read. The timer is re-armed only for something earlier
 * than what it is armed for; a wait that ends early finds nothing due.
 *
 * Invariants
 *  1. `lock` of a loop guards its incoming queue, nodes, purges and flags; it
 *     is held for a few instructions, never across a callback or a system
 *     call, and no other lock is taken under it.
 *  2. One queue per loop, so posts of one thread run in order. A batch is
 *     what was queued when the turn came to it; what it posts runs in the
 *     next turn, so descriptors and timers are never starved.
 *  3. A post is refused when its owner is closing, checked under `lock`;
 *     purge sets closing first and then filters the queue under `lock`.
 *     Hence nothing of a purged owner is left in any queue.
 *  4. Nodes, the host's own, bring their memory along: posting one cannot
 *     fail, so no wake of the host is ever lost for want of memory.
 */
#include "loop.h"

#include <sdk/error.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "loop_impl.h"
#include "metrics.h"

#define EVENTS YOI_SDK_HARD(128, 2)    /* descriptors of one turn: 1.5 KiB of stack */
#define ID_EVENTFD 0u /* epoll data that is no id */
#define ID_TIMERFD 1u

struct yoi__loops {
  uint32_t n;
  int step;
  struct yoi__metrics *metrics; /* NULL: lag is not measured */
  uint32_t lag;                 /* a histogram of metrics */
  struct yoi__loop loops[];
};

/* On the stack of whoever purges. */
struct yoi__purge {
  struct yoi__owner *owner;
  struct yoi__purge *next;
  pthread_mutex_t lock;
  pthread_cond_t done_cond;
  int done;
};

_Thread_local struct yoi__loop *yoi__current_loop; /* process-wide, per thread; see the header */

/* ---- posts ------------------------------------------------------------- */

static void signal_loop(struct yoi__loop *l) {
  uint64_t one = 1;
  /* A full counter (2^64 writes) is as readable as any. */
  ssize_t n = write(l->event, &one, sizeof one);
  (void)n;
}

static yoi_status queue_add(struct yoi__queue *q, struct yoi__queued t) {
  if (q->n == q->cap) {
    size_t cap = YOI_SDK_MORE(q->cap, 64);
    if (cap > YOI_LOOP_POSTS_MAX) return YOI_RESOURCE_EXHAUSTED;
    struct yoi__queued *grown = yoi_sdk_reallocarray(q->tasks, cap, sizeof *grown);
    if (grown == NULL) return YOI_RESOURCE_EXHAUSTED;
    q->tasks = grown;
    q->cap = cap;
  }
  q->tasks[q->n++] = t;
  return YOI_OK;
}

yoi_status yoi__loop_post(struct yoi__loops *ls, struct yoi__owner *o, uint32_t loop,
                          yoi_loop_fn fn, void *ctx) {
  if (loop >= ls->n || fn == NULL) return YOI_INVALID_ARGUMENT;
  struct yoi__loop *l = &ls->loops[loop];
  int wake = 0;
  pthread_mutex_lock(&l->lock);
  yoi_status st = yoi__owner_closing(o) ? YOI_UNAVAILABLE
                                        : queue_add(&l->incoming, (struct yoi__queued){fn, ctx, o});
  if (st == YOI_OK && l != yoi__current_loop && !l->signalled) wake = l->signalled = 1;
  pthread_mutex_unlock(&l->lock);
  if (wake) signal_loop(l);
  return st;
}

void yoi__loop_post_node(struct yoi__loops *ls, uint32_t loop, struct yoi__node *node) {
  struct yoi__loop *l = &ls->loops[loop];
  int wake = 0;
  node->next = NULL;
  pthread_mutex_lock(&l->lock);
  *l->last = node;
  l->last = &node->next;
  if (l != yoi__current_loop && !l->signalled) wake = l->signalled = 1;
  pthread_mutex_unlock(&l->lock);
  if (wake) signal_loop(l);
}

/* ---- purging an owner -------------------------------------------------- */

static void queue_purge(struct yoi__queue *q, const struct yoi__owner *o) {
  for (size_t i = 0; i < q->n; i++)
    if (q->tasks[i].owner == o) q->tasks[i].fn = NULL;
}

/* On the loop's thread, or where no thread runs it. */
static void loop_purge(struct yoi__loop *l, const struct yoi__owner *o) {
  yoi__objects_purge(l, o);
  queue_purge(&l->running, o);
  pthread_mutex_lock(&l->lock);
  queue_purge(&l->incoming, o);
  pthread_mutex_unlock(&l->lock);
}

static void purge_wait(struct yoi__loop *l, struct yoi__owner *o) {
  struct yoi__purge p = {.owner = o};
  pthread_mutex_init(&p.lock, NULL);
  pthread_cond_init(&p.done_cond, NULL);
  pthread_mutex_lock(&l->lock);
  p.next = l->purges;
  l->purges = &p;
  pthread_mutex_unlock(&l->lock);
  signal_loop(l);
  pthread_mutex_lock(&p.lock);
  while (!p.done) pthread_cond_wait(&p.done_cond, &p.lock);
  pthread_mutex_unlock(&p.lock);
  pthread_cond_destroy(&p.done_cond);
  pthread_mutex_destroy(&p.lock);
}

void yoi__loops_purge(struct yoi__loops *ls, struct yoi__owner *o) {
  atomic_store_explicit(&o->closing, 1, memory_order_release);
  for (uint32_t i = 0; i < ls->n; i++) {
    struct yoi__loop *l = &ls->loops[i];
    if (l->has_thread && l != yoi__current_loop)
      purge_wait(l, o);
    else
      loop_purge(l, o);
  }
}

static void run_purges(struct yoi__loop *l) {
  pthread_mutex_lock(&l->lock);
  struct yoi__purge *p = l->purges;
  l->purges = NULL;
  pthread_mutex_unlock(&l->lock);
  while (p != NULL) {
    struct yoi__purge *next = p->next; /* p is gone once it is done */
    loop_purge(l, p->owner);
    pthread_mutex_lock(&p->lock);
    p->done = 1;
    pthread_cond_signal(&p->done_cond);
    pthread_mutex_unlock(&p->lock);
    p = next;
  }
}

/* ---- a turn ------------------------------------------------------------ */

static void run_posts(struct yoi__loop *l) {
  pthread_mutex_lock(&l->lock);
  struct yoi__queue q = l->running;
  struct yoi__node *node = l->first;
  l->running = l->incoming;
  l->incoming = q;
  l->first = NULL;
  l->last = &l->first;
  l->signalled = 0;
  pthread_mutex_unlock(&l->lock);
  while (node != NULL) {
    struct yoi__node *next = node->next; /* fn may post it again */
    node->fn(node->ctx);
    node = next;
  }
  for (size_t i = 0; i < l->running.n; i++) {
    struct yoi__queued t = l->running.tasks[i];
    if (t.fn != NULL) t.fn(t.ctx);
  }
  l->running.n = 0;
}

static void run_timers(struct yoi__loop *l) {
  uint64_t first = yoi__objects_first(l);
  if (first == UINT64_MAX) return;
  uint64_t now = yoi__now_ns();
  if (l->armed_ns != 0 && now >= l->armed_ns) l->armed_ns = 0;
  uint64_t before = l->looked_ns;
  l->looked_ns = now;
  if (first > now) return;
  /* Of those that are due the first has waited longest. One for a time before
   * the last look was set into the past, and says nothing of the loop. */
  if (l->set->metrics != NULL && first > before)
    yoi__metrics_observe(l->set->metrics, l->set->lag, now - first);
  yoi__objects_due(l, now);
}

static void arm_timer(struct yoi__loop *l) {
  uint64_t at = yoi__objects_first(l);
  if (at == UINT64_MAX) return;
  if (at == 0) at = 1; /* 0 would disarm it */
  if (l->armed_ns != 0 && l->armed_ns <= at) return;
  struct itimerspec when = {
      .it_value = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)}};
  /* Times past what the kernel takes are never reached. */
  if (when.it_value.tv_sec > INT32_MAX) when.it_value.tv_sec = INT32_MAX;
  if (timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0) l->armed_ns = at;
}

static int has_posts(struct yoi__loop *l) {
  pthread_mutex_lock(&l->lock);
  int has = l->incoming.n > 0 || l->first != NULL || l->purges != NULL;
  pthread_mutex_unlock(&l->lock);
  return has;
}

static void loop_turn(struct yoi__loop *l, int timeout_ms) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(l->epoll, events, EVENTS, has_posts(l) ? 0 : timeout_ms);
  for (int i = 0; i < n; i++) {
    if (events[i].data.u64 >= YOI__ID_MIN)
      yoi__objects_ready(l, &events[i]);
    else if (events[i].data.u64 == ID_TIMERFD)
      l->armed_ns = 0; /* it went off */
  }
  run_timers(l);
  run_purges(l);
  run_posts(l);
  arm_timer(l);
}

static void *loop_main(void *arg) {
  struct yoi__loop *l = arg;
  yoi__current_loop = l;
  for (;;) {
    loop_turn(l, -1);
    pthread_mutex_lock(&l->lock);
    int stop = l->stopping && l->incoming.n == 0 && l->first == NULL && l->purges == NULL;
    pthread_mutex_unlock(&l->lock);
    if (stop) break;
  }
  yoi__current_loop = NULL;
  return NULL;
}

/* ---- the set ----------------------------------------------------------- */

static int event_add(struct yoi__loop *l, int fd, uint64_t id) {
  struct epoll_event ev = {.events = (uint32_t)EPOLLIN | (uint32_t)EPOLLET, .data.u64 = id};
  return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static yoi_status loop_init(struct yoi__loop *l, struct yoi__loops *set, uint32_t index) {
  l->set = set;
  l->index = index;
  l->free_slot = YOI__NO_SLOT;
  l->last = &l->first;
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  pthread_mutex_init(&l->lock, NULL);
  if (l->epoll < 0 || l->event < 0 || l->timer < 0) return YOI_RESOURCE_EXHAUSTED;
  if (event_add(l, l->event, ID_EVENTFD) != 0 || event_add(l, l->timer, ID_TIMERFD) != 0)
    return YOI_RESOURCE_EXHAUSTED;
  return YOI_OK;
}

static void loop_release(struct yoi__loop *l) {
  if (l->epoll >= 0) close(l->epoll);
  if (l->event >= 0) close(l->event);
  if (l->timer >= 0) close(l->timer);
  pthread_mutex_destroy(&l->lock);
  yoi__objects_release(l);
  yoi_sdk_free(l->running.tasks);
  yoi_sdk_free(l->incoming.tasks);
}

yoi_status yoi__loops_new(uint32_t n, int step, struct yoi__loops **out, yoi_error *err) {
  if (step || n == 0) n = 1;
  if (n > YOI_LOOPS_MAX) n = YOI_LOOPS_MAX;
  struct yoi__loops *ls = yoi_sdk_calloc(1, sizeof *ls + n * sizeof *ls->loops);
  if (ls == NULL) return yoi_sdk_fail_memory(err);
  ls->step = step;
  yoi_status st = YOI_OK;
  for (uint32_t i = 0; i < n && st == YOI_OK; i++) {
    ls->n = i + 1;
    st = loop_init(&ls->loops[i], ls, i);
  }
  if (st != YOI_OK) {
    for (uint32_t i = 0; i < ls->n; i++) loop_release(&ls->loops[i]);
    yoi_sdk_free(ls);
    (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot make an event loop: out of descriptors");
    return YOI_RESOURCE_EXHAUSTED;
  }
  *out = ls;
  return YOI_OK;
}

yoi_status yoi__loops_wake_on(struct yoi__loops *ls, int event, yoi_error *err) {
  if (event_add(&ls->loops[0], event, ID_EVENTFD) == 0) return YOI_OK;
  (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot make an event loop: out of descriptors");
  return YOI_RESOURCE_EXHAUSTED;
}

void yoi__loops_measure(struct yoi__loops *ls, struct yoi__metrics *metrics, uint32_t lag) {
  ls->metrics = metrics;
  ls->lag = lag;
}

yoi_status yoi__loops_start(struct yoi__loops *ls, yoi_error *err) {
  if (ls->step) return YOI_OK;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = 0;
  for (uint32_t i = 0; i < ls->n && !failed; i++) {
    struct yoi__loop *l = &ls->loops[i];
    failed = pthread_create(&l->thread, NULL, loop_main, l) != 0;
    l->has_thread = !failed;
    if (!failed) (void)pthread_setname_np(l->thread, "yoi-loop");
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!failed) return YOI_OK;
  (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot start a thread for an event loop");
  return YOI_RESOURCE_EXHAUSTED;
}

void yoi__loops_free(struct yoi__loops *ls) {
  if (ls == NULL) return;
  for (uint32_t i = 0; i < ls->n; i++) {
    struct yoi__loop *l = &ls->loops[i];
    if (!l->has_thread) continue;
    pthread_mutex_lock(&l->lock);
    l->stopping = 1;
    pthread_mutex_unlock(&l->lock);
    signal_loop(l);
  }
  for (uint32_t i = 0; i < ls->n; i++)
    if (ls->loops[i].has_thread) pthread_join(ls->loops[i].thread, NULL);
  /* Posts of one loop to another that had ended, and those of step mode. */
  struct yoi__loop *before = yoi__current_loop; /* another host's, in whose callback this is */
  for (uint32_t i = 0; i < ls->n; i++) {
    struct yoi__loop *l = &ls->loops[i];
    yoi__current_loop = l;
    while (has_posts(l)) run_posts(l);
  }
  yoi__current_loop = before;
  for (uint32_t i = 0; i < ls->n; i++) loop_release(&ls->loops[i]);
  yoi_sdk_free(ls);
}

uint32_t yoi__loops_count(const struct yoi__loops *ls) {
  return ls->n;
}

uint32_t yoi__loops_current(const struct yoi__loops *ls) {
  return yoi__current_loop != NULL && yoi__current_loop->set == ls ? yoi__current_loop->index
                                                                   : YOI_NO_LOOP;
}

int yoi__loops_inside(const struct yoi__loops *ls) {
  return yoi__loops_current(ls) != YOI_NO_LOOP ||
         (ls->step && atomic_load(&ls->loops[0].turn_of) == yoi__thread());
}

int yoi__loops_fd(const struct yoi__loops *ls) {
  return ls->step ? ls->loops[0].epoll : -1;
}

yoi_status yoi__loops_step(struct yoi__loops *ls, int timeout_ms) {
  struct yoi__loop *before = yoi__current_loop;
  struct yoi__loop *l = &ls->loops[0];
  uintptr_t nobody = 0;
  if (!ls->step || !atomic_compare_exchange_strong(&l->turn_of, &nobody, yoi__thread()))
    return YOI_FAILED_PRECONDITION;
  yoi__current_loop = l; /* one host may be stepped inside a callback of another */
  loop_turn(l, timeout_ms);
  yoi__current_loop = before;
  atomic_store(&l->turn_of, 0);
  /* What this turn posted does not signal by itself; the application that
   * polls the descriptor must see it. */
  pthread_mutex_lock(&l->lock);
  int wake = (l->incoming.n > 0 || l->first != NULL) && !l->signalled;
  if (wake) l->signalled = 1;
  pthread_mutex_unlock(&l->lock);
  if (wake) signal_loop(l);
  return YOI_OK;
}

void yoi__loops_wakeup(struct yoi__loops *ls) {
  if (ls->step) signal_loop(&ls->loops[0]);
}
