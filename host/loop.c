/* host/loop.c - epoll, one eventfd, one timerfd and a heap per loop.
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
 *  1. Slots, heap and epoll set of a loop are touched by its thread only.
 *     `lock` guards the incoming queue, the purges and `signalled`; it is
 *     held for a few instructions, never across a callback or a system call
 *     that can block, and no other lock is taken under it.
 *  2. An id is (sequence << 20 | slot); sequences come from a counter of the
 *     process and are never used twice, so a stale id never meets a new
 *     object, on no loop and in no host. epoll carries ids, not pointers: an
 *     event of something that was unwatched in this turn finds no slot.
 *  3. One mutex-guarded queue per loop, so posts of one thread run in order.
 *     A batch is what was queued when the turn came to it; what it posts runs
 *     in the next turn, so descriptors and timers are never starved.
 *  4. A post is refused when its owner is closing, checked under `lock`;
 *     purge sets closing first and then filters the queue under `lock`.
 *     Hence nothing of a purged owner is left in any queue.
 */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

#define SLOT_BITS 20u
#define SLOT_MASK ((1u << SLOT_BITS) - 1u)
#define NO_SLOT UINT32_MAX
#define SEQ_BLOCK 1024u /* sequences that a loop takes at once */
#define EVENTS 128      /* descriptors of one turn: 1.5 KiB of stack */
#define ID_EVENTFD 0u   /* epoll data that is no id: sequences begin at 1 */
#define ID_TIMERFD 1u

struct slot {
  uint64_t id; /* 0: free */
  union {
    yoi_loop_fd_fn fd;
    yoi_loop_fn timer;
  } fn;
  void *ctx;
  struct yoi__owner *owner;
  uint64_t at_ns;    /* timers */
  uint32_t heap;     /* timers: place in the heap; NO_SLOT: a watch */
  uint32_t interest; /* watches */
  int32_t fd;        /* watches */
  uint32_t next;     /* of the free list */
};

struct task {
  yoi_loop_fn fn; /* NULL: purged */
  void *ctx;
  struct yoi__owner *owner;
};

struct queue {
  struct task *tasks;
  size_t n, cap;
};

/* On the stack of whoever purges. */
struct purge {
  struct yoi__owner *owner;
  struct purge *next;
  pthread_mutex_t lock;
  pthread_cond_t done_cond;
  int done;
};

struct loop {
  struct yoi__loops *set;
  uint32_t index;
  int epoll, event, timer;
  pthread_t thread;
  int has_thread;

  struct slot *slots;
  uint32_t n_slots, free_slot;
  uint32_t *heap;
  uint32_t n_heap, cap_heap;
  uint64_t armed_ns; /* what the timerfd is armed for; 0: for nothing */
  uint64_t seq, seq_end;
  struct queue running;
  int in_turn; /* step mode: a callback must not step again */

  pthread_mutex_t lock;
  struct queue incoming;
  struct purge *purges;
  int signalled; /* the eventfd was written for the incoming queue */
  int stopping;
};

struct yoi__loops {
  uint32_t n;
  int step;
  struct loop loops[];
};

/* process-wide: ids are unique in the process, whatever hosts it has. */
static _Atomic uint64_t next_sequence = 1;
/* process-wide, per thread: the loop that it is running. */
static _Thread_local struct loop *current_loop;

/* ---- slots ------------------------------------------------------------- */

static struct slot *slot_of(struct loop *l, uint64_t id) {
  uint32_t i = (uint32_t)(id & SLOT_MASK);
  if (id == 0 || i >= l->n_slots || l->slots[i].id != id) return NULL;
  return &l->slots[i];
}

static struct slot *slot_new(struct loop *l) {
  if (l->free_slot == NO_SLOT) {
    uint32_t n = l->n_slots == 0 ? 64 : l->n_slots * 2;
    if (n > YOI_LOOP_OBJECTS_MAX) return NULL;
    struct slot *grown = yoi_sdk_reallocarray(l->slots, n, sizeof *grown);
    if (grown == NULL) return NULL;
    l->slots = grown;
    for (uint32_t i = n; i-- > l->n_slots;) {
      l->slots[i] = (struct slot){.next = l->free_slot, .heap = NO_SLOT};
      l->free_slot = i;
    }
    l->n_slots = n;
  }
  if (l->seq == l->seq_end) {
    l->seq = atomic_fetch_add_explicit(&next_sequence, SEQ_BLOCK, memory_order_relaxed);
    l->seq_end = l->seq + SEQ_BLOCK;
  }
  struct slot *s = &l->slots[l->free_slot];
  uint32_t index = l->free_slot;
  l->free_slot = s->next;
  *s = (struct slot){.id = l->seq++ << SLOT_BITS | index, .heap = NO_SLOT};
  return s;
}

static void slot_free(struct loop *l, struct slot *s) {
  *s = (struct slot){.next = l->free_slot, .heap = NO_SLOT};
  l->free_slot = (uint32_t)(s - l->slots);
}

/* ---- the heap of timers ------------------------------------------------ */

static void heap_set(struct loop *l, uint32_t at, uint32_t slot) {
  l->heap[at] = slot;
  l->slots[slot].heap = at;
}

static uint64_t heap_time(const struct loop *l, uint32_t at) {
  return l->slots[l->heap[at]].at_ns;
}

static void heap_up(struct loop *l, uint32_t at) {
  uint32_t slot = l->heap[at];
  while (at > 0 && heap_time(l, (at - 1) / 2) > l->slots[slot].at_ns) {
    heap_set(l, at, l->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  heap_set(l, at, slot);
}

static void heap_down(struct loop *l, uint32_t at) {
  uint32_t slot = l->heap[at];
  for (;;) {
    uint32_t child = 2 * at + 1;
    if (child >= l->n_heap) break;
    if (child + 1 < l->n_heap && heap_time(l, child + 1) < heap_time(l, child)) child++;
    if (heap_time(l, child) >= l->slots[slot].at_ns) break;
    heap_set(l, at, l->heap[child]);
    at = child;
  }
  heap_set(l, at, slot);
}

static yoi_status heap_add(struct loop *l, uint32_t slot) {
  if (l->n_heap == l->cap_heap) {
    uint32_t cap = l->cap_heap == 0 ? 64 : l->cap_heap * 2;
    uint32_t *grown = yoi_sdk_reallocarray(l->heap, cap, sizeof *grown);
    if (grown == NULL) return YOI_RESOURCE_EXHAUSTED;
    l->heap = grown;
    l->cap_heap = cap;
  }
  heap_set(l, l->n_heap, slot);
  heap_up(l, l->n_heap++);
  return YOI_OK;
}

static void heap_remove(struct loop *l, struct slot *s) {
  uint32_t at = s->heap;
  uint32_t last = l->heap[--l->n_heap];
  s->heap = NO_SLOT;
  if (at == l->n_heap) return;
  heap_set(l, at, last);
  heap_up(l, at);
  heap_down(l, l->slots[last].heap);
}

/* ---- watches and timers ------------------------------------------------ */

static struct loop *here(struct yoi__loops *ls) {
  return current_loop != NULL && current_loop->set == ls ? current_loop : NULL;
}

static int is_closing(struct yoi__owner *o) {
  return o != NULL && atomic_load_explicit(&o->closing, memory_order_acquire) != 0;
}

static uint32_t epoll_bits(uint32_t interest) {
  return ((interest & YOI_FD_READ) != 0 ? (uint32_t)EPOLLIN : 0u) |
         ((interest & YOI_FD_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0u);
}

yoi_status yoi__loop_watch(struct yoi__loops *ls, struct yoi__owner *o, int32_t fd,
                           uint32_t interest, yoi_loop_fd_fn fn, void *ctx, uint64_t *out_id) {
  struct loop *l = here(ls);
  if (l == NULL) return YOI_FAILED_PRECONDITION;
  if (is_closing(o)) return YOI_UNAVAILABLE;
  if (fd < 0 || fn == NULL || out_id == NULL || (interest & ~(YOI_FD_READ | YOI_FD_WRITE)) != 0)
    return YOI_INVALID_ARGUMENT;
  struct slot *s = slot_new(l);
  if (s == NULL) return YOI_RESOURCE_EXHAUSTED;
  struct epoll_event ev = {.events = epoll_bits(interest), .data.u64 = s->id};
  if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
    int cause = errno;
    slot_free(l, s);
    if (cause == EEXIST) return YOI_ALREADY_EXISTS;
    return cause == ENOMEM || cause == ENOSPC ? YOI_RESOURCE_EXHAUSTED : YOI_INVALID_ARGUMENT;
  }
  s->fn.fd = fn;
  s->ctx = ctx;
  s->owner = o;
  s->fd = fd;
  s->interest = interest;
  *out_id = s->id;
  return YOI_OK;
}

yoi_status yoi__loop_rewatch(struct yoi__loops *ls, struct yoi__owner *o, uint64_t id,
                             uint32_t interest) {
  struct loop *l = here(ls);
  if (l == NULL) return YOI_FAILED_PRECONDITION;
  if ((interest & ~(YOI_FD_READ | YOI_FD_WRITE)) != 0) return YOI_INVALID_ARGUMENT;
  struct slot *s = slot_of(l, id);
  if (s == NULL || s->heap != NO_SLOT || s->owner != o) return YOI_NOT_FOUND;
  if (s->interest == interest) return YOI_OK;
  struct epoll_event ev = {.events = epoll_bits(interest), .data.u64 = id};
  if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, s->fd, &ev) != 0) return YOI_INTERNAL;
  s->interest = interest;
  return YOI_OK;
}

static void watch_remove(struct loop *l, struct slot *s) {
  struct epoll_event none = {0};
  /* It fails only for a descriptor that was closed before, against the rule;
   * the kernel has then forgotten it too. */
  (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, &none);
  slot_free(l, s);
}

void yoi__loop_unwatch(struct yoi__loops *ls, struct yoi__owner *o, uint64_t id) {
  struct loop *l = here(ls);
  struct slot *s = l == NULL ? NULL : slot_of(l, id);
  if (s != NULL && s->heap == NO_SLOT && s->owner == o) watch_remove(l, s);
}

yoi_status yoi__loop_timer(struct yoi__loops *ls, struct yoi__owner *o, uint64_t at_ns,
                           yoi_loop_fn fn, void *ctx, uint64_t *out_id) {
  struct loop *l = here(ls);
  if (l == NULL) return YOI_FAILED_PRECONDITION;
  if (is_closing(o)) return YOI_UNAVAILABLE;
  if (fn == NULL || out_id == NULL) return YOI_INVALID_ARGUMENT;
  struct slot *s = slot_new(l);
  if (s == NULL) return YOI_RESOURCE_EXHAUSTED;
  s->fn.timer = fn;
  s->ctx = ctx;
  s->owner = o;
  s->at_ns = at_ns;
  if (heap_add(l, (uint32_t)(s - l->slots)) != YOI_OK) {
    slot_free(l, s);
    return YOI_RESOURCE_EXHAUSTED;
  }
  *out_id = s->id;
  return YOI_OK;
}

void yoi__loop_timer_cancel(struct yoi__loops *ls, struct yoi__owner *o, uint64_t id) {
  struct loop *l = here(ls);
  struct slot *s = l == NULL ? NULL : slot_of(l, id);
  if (s == NULL || s->heap == NO_SLOT || s->owner != o) return;
  heap_remove(l, s);
  slot_free(l, s);
}

/* ---- posts ------------------------------------------------------------- */

static void signal_loop(struct loop *l) {
  uint64_t one = 1;
  /* A full counter (2^64 writes) is as readable as any. */
  ssize_t n = write(l->event, &one, sizeof one);
  (void)n;
}

static yoi_status queue_add(struct queue *q, struct task t) {
  if (q->n == q->cap) {
    size_t cap = q->cap == 0 ? 64 : q->cap * 2;
    if (cap > YOI_LOOP_POSTS_MAX) return YOI_RESOURCE_EXHAUSTED;
    struct task *grown = yoi_sdk_reallocarray(q->tasks, cap, sizeof *grown);
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
  struct loop *l = &ls->loops[loop];
  int wake = 0;
  pthread_mutex_lock(&l->lock);
  yoi_status st =
      is_closing(o) ? YOI_UNAVAILABLE : queue_add(&l->incoming, (struct task){fn, ctx, o});
  if (st == YOI_OK && l != current_loop && !l->signalled) wake = l->signalled = 1;
  pthread_mutex_unlock(&l->lock);
  if (wake) signal_loop(l);
  return st;
}

/* ---- purging an owner -------------------------------------------------- */

static void queue_purge(struct queue *q, const struct yoi__owner *o) {
  for (size_t i = 0; i < q->n; i++)
    if (q->tasks[i].owner == o) q->tasks[i].fn = NULL;
}

/* On the loop's thread (or where no thread runs it). */
static void loop_purge(struct loop *l, const struct yoi__owner *o) {
  for (uint32_t i = 0; i < l->n_slots; i++) {
    struct slot *s = &l->slots[i];
    if (s->id == 0 || s->owner != o) continue;
    if (s->heap == NO_SLOT) {
      watch_remove(l, s);
    } else {
      heap_remove(l, s);
      slot_free(l, s);
    }
  }
  queue_purge(&l->running, o);
  pthread_mutex_lock(&l->lock);
  queue_purge(&l->incoming, o);
  pthread_mutex_unlock(&l->lock);
}

static void purge_wait(struct loop *l, struct yoi__owner *o) {
  struct purge p = {.owner = o};
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
    struct loop *l = &ls->loops[i];
    if (l->has_thread && l != current_loop)
      purge_wait(l, o);
    else
      loop_purge(l, o);
  }
}

static void run_purges(struct loop *l) {
  pthread_mutex_lock(&l->lock);
  struct purge *p = l->purges;
  l->purges = NULL;
  pthread_mutex_unlock(&l->lock);
  while (p != NULL) {
    struct purge *next = p->next; /* p is gone once it is done */
    loop_purge(l, p->owner);
    pthread_mutex_lock(&p->lock);
    p->done = 1;
    pthread_cond_signal(&p->done_cond);
    pthread_mutex_unlock(&p->lock);
    p = next;
  }
}

/* ---- a turn ------------------------------------------------------------ */

static void run_posts(struct loop *l) {
  pthread_mutex_lock(&l->lock);
  struct queue q = l->running;
  l->running = l->incoming;
  l->incoming = q;
  l->signalled = 0;
  pthread_mutex_unlock(&l->lock);
  for (size_t i = 0; i < l->running.n; i++) {
    struct task t = l->running.tasks[i];
    if (t.fn != NULL) t.fn(t.ctx);
  }
  l->running.n = 0;
}

static void run_timers(struct loop *l) {
  if (l->n_heap == 0) return;
  uint64_t now = yoi__now_ns();
  if (l->armed_ns != 0 && now >= l->armed_ns) l->armed_ns = 0;
  /* At most as many as there were: one that re-arms itself in the past must
   * not keep the loop from its descriptors. */
  for (uint32_t left = l->n_heap; left > 0 && l->n_heap > 0; left--) {
    struct slot *s = &l->slots[l->heap[0]];
    if (s->at_ns > now) break;
    yoi_loop_fn fn = s->fn.timer;
    void *ctx = s->ctx;
    heap_remove(l, s);
    slot_free(l, s);
    fn(ctx);
  }
}

static void arm_timer(struct loop *l) {
  if (l->n_heap == 0) return;
  uint64_t at = heap_time(l, 0);
  if (at == 0) at = 1; /* 0 would disarm it */
  if (l->armed_ns != 0 && l->armed_ns <= at) return;
  struct itimerspec when = {
      .it_value = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)}};
  /* Times past what the kernel takes are never reached. */
  if (when.it_value.tv_sec > INT32_MAX) when.it_value.tv_sec = INT32_MAX;
  if (timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0) l->armed_ns = at;
}

static void run_descriptor(struct loop *l, const struct epoll_event *ev) {
  struct slot *s = slot_of(l, ev->data.u64);
  if (s == NULL) return;
  uint32_t ready = ((ev->events & (uint32_t)EPOLLIN) != 0 ? YOI_FD_READ : 0u) |
                   ((ev->events & (uint32_t)EPOLLOUT) != 0 ? YOI_FD_WRITE : 0u) |
                   ((ev->events & (uint32_t)(EPOLLERR | EPOLLHUP)) != 0 ? YOI_FD_ERROR : 0u);
  s->fn.fd(s->ctx, s->fd, ready);
}

static int has_posts(struct loop *l) {
  pthread_mutex_lock(&l->lock);
  int has = l->incoming.n > 0 || l->purges != NULL;
  pthread_mutex_unlock(&l->lock);
  return has;
}

static void loop_turn(struct loop *l, int timeout_ms) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(l->epoll, events, EVENTS, has_posts(l) ? 0 : timeout_ms);
  for (int i = 0; i < n; i++) {
    if (events[i].data.u64 > ID_TIMERFD)
      run_descriptor(l, &events[i]);
    else if (events[i].data.u64 == ID_TIMERFD)
      l->armed_ns = 0; /* it went off */
  }
  run_timers(l);
  run_purges(l);
  run_posts(l);
  arm_timer(l);
}

static void *loop_main(void *arg) {
  struct loop *l = arg;
  current_loop = l;
  for (;;) {
    loop_turn(l, -1);
    pthread_mutex_lock(&l->lock);
    int stop = l->stopping && l->incoming.n == 0 && l->purges == NULL;
    pthread_mutex_unlock(&l->lock);
    if (stop) break;
  }
  current_loop = NULL;
  return NULL;
}

/* ---- the set ----------------------------------------------------------- */

static yoi_status loop_init(struct loop *l, struct yoi__loops *set, uint32_t index) {
  l->set = set;
  l->index = index;
  l->free_slot = NO_SLOT;
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  pthread_mutex_init(&l->lock, NULL);
  if (l->epoll < 0 || l->event < 0 || l->timer < 0) return YOI_RESOURCE_EXHAUSTED;
  struct epoll_event ev = {.events = (uint32_t)EPOLLIN | (uint32_t)EPOLLET, .data.u64 = ID_EVENTFD};
  if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->event, &ev) != 0) return YOI_RESOURCE_EXHAUSTED;
  ev.data.u64 = ID_TIMERFD;
  if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev) != 0) return YOI_RESOURCE_EXHAUSTED;
  return YOI_OK;
}

static void loop_release(struct loop *l) {
  if (l->epoll >= 0) close(l->epoll);
  if (l->event >= 0) close(l->event);
  if (l->timer >= 0) close(l->timer);
  pthread_mutex_destroy(&l->lock);
  yoi_sdk_free(l->slots);
  yoi_sdk_free(l->heap);
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

yoi_status yoi__loops_start(struct yoi__loops *ls, yoi_error *err) {
  if (ls->step) return YOI_OK;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = 0;
  for (uint32_t i = 0; i < ls->n && !failed; i++) {
    struct loop *l = &ls->loops[i];
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
    struct loop *l = &ls->loops[i];
    if (!l->has_thread) continue;
    pthread_mutex_lock(&l->lock);
    l->stopping = 1;
    pthread_mutex_unlock(&l->lock);
    signal_loop(l);
  }
  for (uint32_t i = 0; i < ls->n; i++)
    if (ls->loops[i].has_thread) pthread_join(ls->loops[i].thread, NULL);
  /* Posts of one loop to another that had ended, and those of step mode. */
  for (uint32_t i = 0; i < ls->n; i++) {
    struct loop *l = &ls->loops[i];
    current_loop = l;
    while (has_posts(l)) run_posts(l);
    current_loop = NULL;
  }
  for (uint32_t i = 0; i < ls->n; i++) loop_release(&ls->loops[i]);
  yoi_sdk_free(ls);
}

uint32_t yoi__loops_count(const struct yoi__loops *ls) {
  return ls->n;
}

uint32_t yoi__loops_current(const struct yoi__loops *ls) {
  return current_loop != NULL && current_loop->set == ls ? current_loop->index : YOI_NO_LOOP;
}

int yoi__loops_fd(const struct yoi__loops *ls) {
  return ls->step ? ls->loops[0].epoll : -1;
}

yoi_status yoi__loops_step(struct yoi__loops *ls, int timeout_ms) {
  struct loop *before = current_loop;
  struct loop *l = &ls->loops[0];
  if (!ls->step || l->in_turn) return YOI_FAILED_PRECONDITION;
  l->in_turn = 1;
  current_loop = l; /* one host may be stepped inside a callback of another */
  loop_turn(l, timeout_ms);
  current_loop = before;
  l->in_turn = 0;
  /* What this turn posted does not signal by itself; the application that
   * polls the descriptor must see it. */
  pthread_mutex_lock(&l->lock);
  int wake = l->incoming.n > 0 && !l->signalled;
  if (wake) l->signalled = 1;
  pthread_mutex_unlock(&l->lock);
  if (wake) signal_loop(l);
  return YOI_OK;
}

void yoi__loops_wakeup(struct yoi__loops *ls) {
  if (ls->step) signal_loop(&ls->loops[0]);
}
