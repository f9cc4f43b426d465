/* host/loop_impl.h - what loop.c and loop_objects.c share: the loop itself.
 *
 * loop.c runs turns and posts; loop_objects.c keeps watches and timers, which
 * belong to one thread and need no lock.
 */
#ifndef YOI__LOOP_IMPL_H
#define YOI__LOOP_IMPL_H

#include <pthread.h>
#include <sys/epoll.h>

#include "loop.h"

struct yoi__slot; /* a watch or a timer */

struct yoi__queued {
  yoi_loop_fn fn; /* NULL: purged */
  void *ctx;
  struct yoi__owner *owner;
};

struct yoi__queue {
  struct yoi__queued *tasks;
  size_t n, cap;
};

struct yoi__loop {
  struct yoi__loops *set;
  uint32_t index;
  int epoll, event, timer;
  pthread_t thread;
  int has_thread;
  _Atomic uintptr_t turn_of; /* step mode: the thread that is in a turn; 0: none */

  /* loop_objects.c */
  struct yoi__slot *slots;
  uint32_t n_slots, free_slot;
  uint32_t *heap; /* of the slots that are timers, by time */
  uint32_t n_heap, cap_heap;
  uint64_t seq, seq_end; /* sequences for ids, taken from the process' */

  uint64_t armed_ns;         /* what the timerfd is armed for; 0: nothing */
  uint64_t looked_ns;        /* when timers were last looked through */
  struct yoi__queue running; /* the batch of this turn */

  pthread_mutex_t lock; /* guards what follows */
  struct yoi__queue incoming;
  struct yoi__node *first, **last;
  struct yoi__purge *purges;
  int signalled; /* the eventfd was written for what is queued */
  int stopping;
};

/* process-wide, per thread: the loop that it is running. */
extern _Thread_local struct yoi__loop *yoi__current_loop;

#define YOI__NO_SLOT UINT32_MAX
/* Ids are at least this; smaller epoll data is not an id. */
#define YOI__ID_MIN (1ull << 20)

/* NULL: the calling thread runs no loop of this set. */
static inline struct yoi__loop *yoi__loop_here(const struct yoi__loops *ls) {
  struct yoi__loop *l = yoi__current_loop;
  return l != NULL && l->set == ls ? l : NULL;
}
static inline int yoi__owner_closing(struct yoi__owner *o) {
  return o != NULL && atomic_load_explicit(&o->closing, memory_order_acquire) != 0;
}

/* On the loop's thread, or where no thread runs it. */
void yoi__objects_ready(struct yoi__loop *l, const struct epoll_event *ev);
void yoi__objects_due(struct yoi__loop *l, uint64_t now_ns);
/* When the first timer is due; UINT64_MAX: there is none. */
uint64_t yoi__objects_first(const struct yoi__loop *l);
void yoi__objects_purge(struct yoi__loop *l, const struct yoi__owner *o);
void yoi__objects_release(struct yoi__loop *l);

#endif
