/* host/control.c - one queue of tasks, and in threaded mode its thread.
 *
 * Why a thread of its own: opening a plugin may take long (dlopen, a name
 * look-up, the certificate store), and nothing on a loop may.
 *
 * Invariants
 *  1. A task is in the queue at most once; `queued` is cleared before its
 *     function runs, so that a post meanwhile runs it again.
 *  2. `lock` is never held across a task, and no other lock is taken under it.
 *  3. A task never waits for another task.
 */
#include "control.h"

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <signal.h>

struct yoi__control {
  struct yoi__loops *step;
  pthread_t thread;
  int has_thread;
  pthread_mutex_t lock;
  pthread_cond_t news, done;
  struct yoi__task *first, **last;
  int stopping;
};

/* Takes the next task; NULL when there is none. With the lock held. */
static struct yoi__task *take(struct yoi__control *c) {
  struct yoi__task *t = c->first;
  if (t == NULL) return NULL;
  c->first = t->next;
  if (c->first == NULL) c->last = &c->first;
  t->next = NULL;
  t->queued = 0;
  return t;
}

static void *control_main(void *arg) {
  struct yoi__control *c = arg;
  pthread_mutex_lock(&c->lock);
  for (;;) {
    struct yoi__task *t = take(c);
    if (t != NULL) {
      yoi_loop_fn fn = t->fn; /* t may be gone when fn returns */
      void *ctx = t->ctx;
      pthread_mutex_unlock(&c->lock);
      fn(ctx);
      pthread_mutex_lock(&c->lock);
    } else if (c->stopping) {
      break;
    } else {
      pthread_cond_wait(&c->news, &c->lock);
    }
  }
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

yoi_status yoi__control_new(struct yoi__loops *step, struct yoi__control **out, yoi_error *err) {
  struct yoi__control *c = yoi_sdk_calloc(1, sizeof *c);
  if (c == NULL) return yoi_sdk_fail_memory(err);
  c->step = step;
  c->last = &c->first;
  pthread_mutex_init(&c->lock, NULL);
  pthread_cond_init(&c->news, NULL);
  pthread_cond_init(&c->done, NULL);
  if (step == NULL) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->has_thread = pthread_create(&c->thread, NULL, control_main, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!c->has_thread) {
      yoi__control_free(c);
      (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot start the control thread");
      return YOI_RESOURCE_EXHAUSTED;
    }
    (void)pthread_setname_np(c->thread, "yoi-control");
  }
  *out = c;
  return YOI_OK;
}

void yoi__control_free(struct yoi__control *c) {
  if (c == NULL) return;
  if (c->has_thread) {
    pthread_mutex_lock(&c->lock);
    c->stopping = 1;
    pthread_cond_signal(&c->news);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
  } else {
    (void)yoi__control_step(c);
  }
  pthread_cond_destroy(&c->done);
  pthread_cond_destroy(&c->news);
  pthread_mutex_destroy(&c->lock);
  yoi_sdk_free(c);
}

void yoi__control_post(struct yoi__control *c, struct yoi__task *task) {
  pthread_mutex_lock(&c->lock);
  int fresh = !task->queued;
  if (fresh) {
    task->queued = 1;
    task->next = NULL;
    *c->last = task;
    c->last = &task->next;
    pthread_cond_signal(&c->news);
  }
  pthread_mutex_unlock(&c->lock);
  if (fresh && c->step != NULL) yoi__loops_wakeup(c->step);
}

void yoi__control_unpost(struct yoi__control *c, struct yoi__task *task) {
  struct yoi__task **p;
  pthread_mutex_lock(&c->lock);
  for (p = &c->first; *p != NULL && *p != task; p = &(*p)->next) continue;
  if (*p != NULL) {
    *p = task->next;
    if (*p == NULL) c->last = p;
    task->queued = 0;
  }
  pthread_mutex_unlock(&c->lock);
}

struct waiting {
  struct yoi__control *control;
  struct yoi__task task;
  yoi_loop_fn fn;
  void *ctx;
  int done;
};

static void run_waiting(void *arg) {
  struct waiting *w = arg;
  w->fn(w->ctx);
  struct yoi__control *c = w->control;
  pthread_mutex_lock(&c->lock);
  w->done = 1;
  pthread_cond_broadcast(&c->done);
  pthread_mutex_unlock(&c->lock);
}

void yoi__control_run(struct yoi__control *c, yoi_loop_fn fn, void *ctx) {
  if (!c->has_thread) {
    fn(ctx);
    return;
  }
  struct waiting w = {.control = c, .fn = fn, .ctx = ctx};
  w.task = (struct yoi__task){.fn = run_waiting, .ctx = &w};
  yoi__control_post(c, &w.task);
  pthread_mutex_lock(&c->lock);
  while (!w.done) pthread_cond_wait(&c->done, &c->lock);
  pthread_mutex_unlock(&c->lock);
}

static void nothing(void *ctx) {
  (void)ctx;
}

void yoi__control_settle(struct yoi__control *c) {
  if (c->has_thread)
    yoi__control_run(c, nothing, NULL);
  else
    (void)yoi__control_step(c);
}

uint32_t yoi__control_step(struct yoi__control *c) {
  uint32_t ran = 0;
  pthread_mutex_lock(&c->lock);
  /* Only what is there now: a task that posts itself must not hold the step. */
  uint32_t n = 0;
  for (struct yoi__task *t = c->first; t != NULL; t = t->next) n++;
  for (; n > 0; n--) {
    struct yoi__task *t = take(c);
    if (t == NULL) break;
    yoi_loop_fn fn = t->fn;
    void *ctx = t->ctx;
    pthread_mutex_unlock(&c->lock);
    fn(ctx);
    ran++;
    pthread_mutex_lock(&c->lock);
  }
  pthread_mutex_unlock(&c->lock);
  return ran;
}
