/* host/control.h - the control thread: where plugins are opened and closed.
 *
 * Tags of the ABI: what is [main] runs here. In step mode there is no thread:
 * tasks run inside yoi_host_step, on no loop, and yoi__control_run runs its
 * function at once.
 */
#ifndef YOI__CONTROL_H
#define YOI__CONTROL_H

#include "loop.h"

struct yoi__control;

/* Part of what it is about, so that posting cannot fail. */
struct yoi__task {
  yoi_loop_fn fn;
  void *ctx;
  struct yoi__task *next;
  int queued; /* guarded by the control's lock */
};

/* step: the loops to wake in step mode, NULL in threaded mode, which starts
 * the thread. */
yoi_status yoi__control_new(struct yoi__loops *step, struct yoi__control **out, yoi_error *err);
/* Runs what is queued, ends and joins the thread. NULL is accepted. */
void yoi__control_free(struct yoi__control *c);

/* [any] Runs task->fn once, later; nothing when it is queued already. */
void yoi__control_post(struct yoi__control *c, struct yoi__task *task);
/* [main] What is queued does not run; on the thread that runs tasks. */
void yoi__control_unpost(struct yoi__control *c, struct yoi__task *task);
/* The application's thread only: runs fn(ctx) there and waits for it. */
void yoi__control_run(struct yoi__control *c, yoi_loop_fn fn, void *ctx);
/* The application's thread only: returns when all that is queued now has run. */
void yoi__control_settle(struct yoi__control *c);
/* Step mode: runs what is queued; the number of tasks that ran. */
uint32_t yoi__control_step(struct yoi__control *c);

#endif
