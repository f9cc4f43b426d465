/* host/loop.h - the event loops: descriptors, timers and posted tasks.
 *
 * What yoi/host_loop.h promises to plugins is made here, with one addition:
 * every watch, timer and post has an owner, so that all of an instance can be
 * taken away at once, on every loop, before its close. NULL is the host.
 *
 * Threads. In threaded mode each loop has a thread of its own that blocks all
 * signals. In step mode there is one loop and yoi__loops_step runs it.
 * Tags as in the ABI: [any], [loop]; [main] is the control thread, or in step
 * mode the thread that steps.
 */
#ifndef YOI__LOOP_H
#define YOI__LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <yoi/host_loop.h>

/* [any] The calling thread, as a number that is not 0. */
static inline uintptr_t yoi__thread(void) {
  return (uintptr_t)pthread_self();
}

struct yoi__loops;
struct yoi__metrics;

/* Whose a watch, timer or post is. Zeroed is open; purge closes it. */
struct yoi__owner {
  _Atomic uint32_t closing;
};

/* [main] n loops, 1 in step mode; no thread runs yet, posts are accepted. */
yoi_status yoi__loops_new(uint32_t n, int step, struct yoi__loops **out, yoi_error *err);
/* [main] Step mode, before start: a step also ends when that eventfd is written. It
 * stays the caller's. */
yoi_status yoi__loops_wake_on(struct yoi__loops *ls, int event, yoi_error *err);
/* [main] Before start: how late timers run goes into that histogram. */
void yoi__loops_measure(struct yoi__loops *ls, struct yoi__metrics *metrics, uint32_t lag);
/* [main] Starts the threads; nothing to do in step mode. */
yoi_status yoi__loops_start(struct yoi__loops *ls, yoi_error *err);
/* [main] Runs what is posted already, ends and joins the threads, frees.
 * NULL is accepted. */
void yoi__loops_free(struct yoi__loops *ls);

/* A post of the host that brings its memory along. fn is called once per post;
 * the node may be posted again, or freed, from inside it. */
struct yoi__node {
  yoi_loop_fn fn;
  void *ctx;
  struct yoi__node *next; /* the loop's */
};
/* [any] Cannot fail; the node is in no loop. Order with other posts: none. */
void yoi__loop_post_node(struct yoi__loops *ls, uint32_t loop, struct yoi__node *node);

/* [any] */
uint32_t yoi__loops_count(const struct yoi__loops *ls);
/* [any] The loop of this set that the calling thread runs, or YOI_NO_LOOP. */
uint32_t yoi__loops_current(const struct yoi__loops *ls);
/* 1: the caller is inside a callback of this set, be it that another set,
 * stepped in that callback, is what its thread runs now. [any] */
int yoi__loops_inside(const struct yoi__loops *ls);

/* [any] and [loop], as in yoi/host_loop.h. */
yoi_status yoi__loop_post(struct yoi__loops *ls, struct yoi__owner *o, uint32_t loop,
                          yoi_loop_fn fn, void *ctx);
yoi_status yoi__loop_watch(struct yoi__loops *ls, struct yoi__owner *o, int32_t fd,
                           uint32_t interest, yoi_loop_fd_fn fn, void *ctx, uint64_t *out_id);
yoi_status yoi__loop_rewatch(struct yoi__loops *ls, struct yoi__owner *o, uint64_t id,
                             uint32_t interest);
void yoi__loop_unwatch(struct yoi__loops *ls, struct yoi__owner *o, uint64_t id);
yoi_status yoi__loop_timer(struct yoi__loops *ls, struct yoi__owner *o, uint64_t at_ns,
                           yoi_loop_fn fn, void *ctx, uint64_t *out_id);
void yoi__loop_timer_cancel(struct yoi__loops *ls, struct yoi__owner *o, uint64_t id);

/* [main] Closes the owner and takes away all that it has. When it returns no
 * callback of the owner runs or will run, and later calls with it answer
 * UNAVAILABLE. */
void yoi__loops_purge(struct yoi__loops *ls, struct yoi__owner *o);

/* Step mode. The descriptor is readable when step has work. */
int yoi__loops_fd(const struct yoi__loops *ls);
/* One turn, waiting at most timeout_ms (negative: for ever). FAILED_PRECONDITION:
 * a turn is under way, of this thread or another. */
yoi_status yoi__loops_step(struct yoi__loops *ls, int timeout_ms);
/* [any] Ends the waiting of a step; safe in signal handlers. */
void yoi__loops_wakeup(struct yoi__loops *ls);

#endif
