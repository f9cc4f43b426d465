/* host/loop_objects.c - the watches and timers of a loop.
 *
 * Both live in one table of slots; timers stand in a binary heap by time as
 * well. Only the loop's thread touches any of it.
 *
 * Invariants
 *  1. An id is (sequence << 20 | slot). Sequences come from a counter of the
 *     process and are never used twice, so a stale id never meets a new
 *     object, on no loop and in no host.
 *  2. epoll carries ids, not pointers: an event of something that was
 *     unwatched earlier in the same turn finds no slot.
 *  3. A slot that is a timer knows its place in the heap and the heap its
 *     slot; `heap` of a watch is YOI__NO_SLOT.
 *  4. Objects are taken out before their callback runs, or stay in place
 *     (watches); the callback may change the table in any way.
 */
#include <errno.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <yoi/limits.h>

#include "loop_impl.h"

#define SLOT_BITS 20u
#define SLOT_MASK ((1u << SLOT_BITS) - 1u)
#define SEQ_BLOCK YOI_SDK_HARD(1024u, 2u) /* sequences that a loop takes at once */

_Static_assert(YOI__ID_MIN == 1ull << SLOT_BITS, "sequences begin at 1");
_Static_assert(YOI_LOOP_OBJECTS_MAX <= 1u << SLOT_BITS, "a slot fits its bits");

struct yoi__slot {
  uint64_t id; /* 0: free */
  union {
    yoi_loop_fd_fn fd;
    yoi_loop_fn timer;
  } fn;
  void *ctx;
  struct yoi__owner *owner;
  uint64_t at_ns;    /* timers */
  uint32_t heap;     /* timers: place in the heap; YOI__NO_SLOT: a watch */
  uint32_t interest; /* watches */
  int32_t fd;        /* watches */
  uint32_t next;     /* of the free list */
};

/* process-wide: ids are unique in the process, whatever hosts it has. */
static _Atomic uint64_t next_sequence = 1;

/* ---- slots ------------------------------------------------------------- */

static struct yoi__slot *slot_of(struct yoi__loop *l, uint64_t id) {
  uint32_t i = (uint32_t)(id & SLOT_MASK);
  if (id == 0 || i >= l->n_slots || l->slots[i].id != id) return NULL;
  return &l->slots[i];
}

static struct yoi__slot *slot_new(struct yoi__loop *l) {
  if (l->free_slot == YOI__NO_SLOT) {
    uint32_t n = YOI_SDK_MORE(l->n_slots, 64);
    if (n > YOI_LOOP_OBJECTS_MAX) return NULL;
    struct yoi__slot *grown = yoi_sdk_reallocarray(l->slots, n, sizeof *grown);
    if (grown == NULL) return NULL;
    l->slots = grown;
    for (uint32_t i = n; i-- > l->n_slots;) {
      l->slots[i] = (struct yoi__slot){.next = l->free_slot, .heap = YOI__NO_SLOT};
      l->free_slot = i;
    }
    l->n_slots = n;
  }
  if (l->seq == l->seq_end) {
    l->seq = atomic_fetch_add_explicit(&next_sequence, SEQ_BLOCK, memory_order_relaxed);
    l->seq_end = l->seq + SEQ_BLOCK;
  }
  struct yoi__slot *s = &l->slots[l->free_slot];
  uint32_t index = l->free_slot;
  l->free_slot = s->next;
  *s = (struct yoi__slot){.id = l->seq++ << SLOT_BITS | index, .heap = YOI__NO_SLOT};
  return s;
}

static void slot_free(struct yoi__loop *l, struct yoi__slot *s) {
  *s = (struct yoi__slot){.next = l->free_slot, .heap = YOI__NO_SLOT};
  l->free_slot = (uint32_t)(s - l->slots);
}

/* ---- the heap of timers ------------------------------------------------ */

static void heap_set(struct yoi__loop *l, uint32_t at, uint32_t slot) {
  l->heap[at] = slot;
  l->slots[slot].heap = at;
}

static uint64_t heap_time(const struct yoi__loop *l, uint32_t at) {
  return l->slots[l->heap[at]].at_ns;
}

static void heap_up(struct yoi__loop *l, uint32_t at) {
  uint32_t slot = l->heap[at];
  while (at > 0 && heap_time(l, (at - 1) / 2) > l->slots[slot].at_ns) {
    heap_set(l, at, l->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  heap_set(l, at, slot);
}

static void heap_down(struct yoi__loop *l, uint32_t at) {
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

static yoi_status heap_add(struct yoi__loop *l, uint32_t slot) {
  if (l->n_heap == l->cap_heap) {
    uint32_t cap = YOI_SDK_MORE(l->cap_heap, 64);
    uint32_t *grown = yoi_sdk_reallocarray(l->heap, cap, sizeof *grown);
    if (grown == NULL) return YOI_RESOURCE_EXHAUSTED;
    l->heap = grown;
    l->cap_heap = cap;
  }
  heap_set(l, l->n_heap, slot);
  heap_up(l, l->n_heap++);
  return YOI_OK;
}

static void heap_remove(struct yoi__loop *l, struct yoi__slot *s) {
  uint32_t at = s->heap;
  uint32_t last = l->heap[--l->n_heap];
  s->heap = YOI__NO_SLOT;
  if (at == l->n_heap) return;
  heap_set(l, at, last);
  heap_up(l, at);
  heap_down(l, l->slots[last].heap);
}

/* ---- watches and timers ------------------------------------------------ */

static uint32_t epoll_bits(uint32_t interest) {
  return ((interest & YOI_FD_READ) != 0 ? (uint32_t)EPOLLIN : 0u) |
         ((interest & YOI_FD_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0u);
}

yoi_status yoi__loop_watch(struct yoi__loops *ls, struct yoi__owner *o, int32_t fd,
                           uint32_t interest, yoi_loop_fd_fn fn, void *ctx, uint64_t *out_id) {
  struct yoi__loop *l = yoi__loop_here(ls);
  if (l == NULL) return YOI_FAILED_PRECONDITION;
  if (yoi__owner_closing(o)) return YOI_UNAVAILABLE;
  if (fd < 0 || fn == NULL || out_id == NULL || (interest & ~(YOI_FD_READ | YOI_FD_WRITE)) != 0)
    return YOI_INVALID_ARGUMENT;
  struct yoi__slot *s = slot_new(l);
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
  struct yoi__loop *l = yoi__loop_here(ls);
  if (l == NULL) return YOI_FAILED_PRECONDITION;
  if ((interest & ~(YOI_FD_READ | YOI_FD_WRITE)) != 0) return YOI_INVALID_ARGUMENT;
  struct yoi__slot *s = slot_of(l, id);
  if (s == NULL || s->heap != YOI__NO_SLOT || s->owner != o) return YOI_NOT_FOUND;
  if (s->interest == interest) return YOI_OK;
  struct epoll_event ev = {.events = epoll_bits(interest), .data.u64 = id};
  if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, s->fd, &ev) != 0) return YOI_INTERNAL;
  s->interest = interest;
  return YOI_OK;
}

static void watch_remove(struct yoi__loop *l, struct yoi__slot *s) {
  struct epoll_event none = {0};
  /* It fails only for a descriptor that was closed before, against the rule;
   * the kernel has then forgotten it too. */
  (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, &none);
  slot_free(l, s);
}

void yoi__loop_unwatch(struct yoi__loops *ls, struct yoi__owner *o, uint64_t id) {
  struct yoi__loop *l = yoi__loop_here(ls);
  struct yoi__slot *s = l == NULL ? NULL : slot_of(l, id);
  if (s != NULL && s->heap == YOI__NO_SLOT && s->owner == o) watch_remove(l, s);
}

yoi_status yoi__loop_timer(struct yoi__loops *ls, struct yoi__owner *o, uint64_t at_ns,
                           yoi_loop_fn fn, void *ctx, uint64_t *out_id) {
  struct yoi__loop *l = yoi__loop_here(ls);
  if (l == NULL) return YOI_FAILED_PRECONDITION;
  if (yoi__owner_closing(o)) return YOI_UNAVAILABLE;
  if (fn == NULL || out_id == NULL) return YOI_INVALID_ARGUMENT;
  struct yoi__slot *s = slot_new(l);
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
  struct yoi__loop *l = yoi__loop_here(ls);
  struct yoi__slot *s = l == NULL ? NULL : slot_of(l, id);
  if (s == NULL || s->heap == YOI__NO_SLOT || s->owner != o) return;
  heap_remove(l, s);
  slot_free(l, s);
}

/* ---- for the turn ------------------------------------------------------ */

void yoi__objects_ready(struct yoi__loop *l, const struct epoll_event *ev) {
  struct yoi__slot *s = slot_of(l, ev->data.u64);
  if (s == NULL) return;
  uint32_t ready = ((ev->events & (uint32_t)EPOLLIN) != 0 ? YOI_FD_READ : 0u) |
                   ((ev->events & (uint32_t)EPOLLOUT) != 0 ? YOI_FD_WRITE : 0u) |
                   ((ev->events & (uint32_t)(EPOLLERR | EPOLLHUP)) != 0 ? YOI_FD_ERROR : 0u);
  s->fn.fd(s->ctx, s->fd, ready);
}

void yoi__objects_due(struct yoi__loop *l, uint64_t now_ns) {
  /* At most as many as there were: one that re-arms itself in the past must
   * not keep the loop from its descriptors. */
  for (uint32_t left = l->n_heap; left > 0 && l->n_heap > 0; left--) {
    struct yoi__slot *s = &l->slots[l->heap[0]];
    if (s->at_ns > now_ns) break;
    yoi_loop_fn fn = s->fn.timer;
    void *ctx = s->ctx;
    heap_remove(l, s);
    slot_free(l, s);
    fn(ctx);
  }
}

uint64_t yoi__objects_first(const struct yoi__loop *l) {
  return l->n_heap == 0 ? UINT64_MAX : heap_time(l, 0);
}

void yoi__objects_purge(struct yoi__loop *l, const struct yoi__owner *o) {
  for (uint32_t i = 0; i < l->n_slots; i++) {
    struct yoi__slot *s = &l->slots[i];
    if (s->id == 0 || s->owner != o) continue;
    if (s->heap == YOI__NO_SLOT) {
      watch_remove(l, s);
    } else {
      heap_remove(l, s);
      slot_free(l, s);
    }
  }
}

void yoi__objects_release(struct yoi__loop *l) {
  yoi_sdk_free(l->slots);
  yoi_sdk_free(l->heap);
}
