/* host/gate.c - the waiting of gate.h, a stream like a runtime's.
 *
 *             start: shut             opened: next starts it
 *   (none) ----------------> WAITS ---------------------------> LIVE
 *      |  start: open           | cancelled; opened to nothing; `to` is closing
 *      +--> WAITS, due at once  +--> an error
 *
 * Invariants:
 *  1. gate.lock guards where the gate leads and who waits; it is not held across
 *     a call or a wake.
 *  2. The deadline is that of the stream around this one: a request that waits too
 *     long is told so like one whose runtime did not answer.
 *  3. Whoever starts on `to` holds it, and only as the use of its struct that was
 *     meant (serial): it may have been replaced in its turn.
 *  4. Its stream lives until release, so cancel may touch it until then.
 */
#include "gate.h"

#include <pthread.h>
#include <sdk/mem.h>
#include <stdatomic.h>

#include "bundle_sync.h"
#include "host.h"
#include "stream.h"

struct waiter {
  yoi_stream head;
  struct yoi__instance *in; /* that has the gate; held by the stream around this one */
  struct yoi__instance *to; /* a reference, once it has started */
  struct yoi__setup *setup; /* held by that one too, with a bundle */
  const struct yoi__config_bundle *bundle;
  yoi_request request; /* its texts lie in `texts` */
  _Atomic(yoi_stream *) inner;
  _Atomic uint32_t cancelled;
  struct waiter *next;
  char texts[];
};

struct yoi__gate {
  pthread_mutex_t lock;
  int open;
  struct yoi__instance *to; /* NULL: nowhere */
  uint64_t serial;          /* of that */
  struct waiter *waiting;
};

struct yoi__gate *yoi__gate_new(void) {
  struct yoi__gate *g = yoi_sdk_calloc(1, sizeof *g);
  if (g != NULL) pthread_mutex_init(&g->lock, NULL);
  return g;
}

void yoi__gate_free(struct yoi__gate *g) {
  if (g == NULL) return;
  pthread_mutex_destroy(&g->lock);
  yoi_sdk_free(g);
}

void yoi__gate_open(struct yoi__instance *in, struct yoi__instance *to) {
  struct yoi__gate *g = in->gate;
  pthread_mutex_lock(&g->lock);
  g->to = to;
  g->serial = to != NULL ? to->serial : 0;
  g->open = 1;
  for (struct waiter *w; (w = g->waiting) != NULL;) {
    g->waiting = w->next;
    w->next = NULL;
    uint64_t token = w->request.token;
    pthread_mutex_unlock(&g->lock); /* w may be gone from here on */
    yoi__token_wake(in->top->tokens, token);
    pthread_mutex_lock(&g->lock);
  }
  pthread_mutex_unlock(&g->lock);
}

/* ---- one that waits --------------------------------------------------------- */

static void stop_waiting(struct waiter *w) {
  struct yoi__gate *g = w->in->gate;
  pthread_mutex_lock(&g->lock);
  for (struct waiter **at = &g->waiting; *at != NULL; at = &(*at)->next)
    if (*at == w) {
      *at = w->next;
      break;
    }
  pthread_mutex_unlock(&g->lock);
}

/* A reference to what the gate leads to. */
static yoi_status pass(struct waiter *w, yoi_error *err) {
  struct yoi__gate *g = w->in->gate;
  pthread_mutex_lock(&g->lock);
  int open = g->open;
  struct yoi__instance *to = g->to;
  uint64_t serial = g->serial;
  pthread_mutex_unlock(&g->lock);
  if (!open) return YOI_AGAIN;
  if (to != NULL && yoi__instance_ref(to)) {
    if (to->serial == serial) {
      w->to = to;
      return YOI_OK;
    }
    yoi__instance_unref(to);
  }
  return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "runtime '%.*s' is closing",
                      YOI_ARG(w->in->name));
}

static yoi_status begin(struct waiter *w, yoi_error *err) {
  yoi_stream *inner = NULL;
  if (atomic_load(&w->cancelled)) {
    (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cancelled");
    err->code = 0;
    return YOI_CANCELLED;
  }
  yoi_status st = pass(w, err);
  if (st != YOI_OK) return st;
  st = w->bundle != NULL
           ? yoi__create_start(w->to, &w->request, w->setup, w->bundle, &inner, err)
           : w->to->plugin->table.runtime.start(w->to->self, &w->request, &inner, err);
  if (st != YOI_OK) return st;
  if (!yoi__stream_valid(inner))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "runtime '%.*s' gave no stream",
                        YOI_ARG(w->in->name));
  atomic_store(&w->inner, inner);
  /* A cancel that came between the two looks saw no stream. */
  if (atomic_load(&w->cancelled)) inner->ops->cancel(inner);
  return YOI_OK;
}

static yoi_status waiter_next(yoi_stream *stream, const yoi_event *const **out_events,
                              size_t *out_n, yoi_error *err) {
  struct waiter *w = (struct waiter *)stream;
  yoi_stream *inner = atomic_load_explicit(&w->inner, memory_order_relaxed);
  if (inner == NULL) {
    yoi_status st = begin(w, err);
    if (st != YOI_OK) return st;
    inner = atomic_load(&w->inner);
  }
  return inner->ops->next(inner, out_events, out_n, err);
}

static void waiter_cancel(yoi_stream *stream) {
  struct waiter *w = (struct waiter *)stream;
  if (atomic_exchange(&w->cancelled, 1u) != 0) return;
  yoi_stream *inner = atomic_load(&w->inner);
  if (inner != NULL)
    inner->ops->cancel(inner);
  else
    yoi__token_wake(w->in->top->tokens, w->request.token);
}

static void waiter_release(yoi_stream *stream) {
  struct waiter *w = (struct waiter *)stream;
  if (w == NULL) return;
  stop_waiting(w);
  yoi_stream *inner = atomic_load(&w->inner);
  if (inner != NULL) inner->ops->release(inner);
  if (w->to != NULL) yoi__instance_unref(w->to);
  yoi_sdk_free(w);
}

static const yoi_stream_ops waiter_ops = {sizeof waiter_ops, 0, waiter_next, waiter_cancel,
                                          waiter_release};

yoi_status yoi__gate_start(struct yoi__instance *in, const yoi_request *req,
                           struct yoi__setup *setup, const struct yoi__config_bundle *bundle,
                           yoi_stream **out, yoi_error *err) {
  struct yoi__gate *g = in->gate;
  struct waiter *w = yoi_sdk_malloc(sizeof *w + yoi__request_bytes(req));
  if (w == NULL) return yoi_sdk_fail_memory(err);
  yoi_request r = *req;
  yoi__request_own(&r, (char *)w + offsetof(struct waiter, texts));
  *w = (struct waiter){
      .head = {&waiter_ops}, .in = in, .setup = setup, .bundle = bundle, .request = r};
  pthread_mutex_lock(&g->lock);
  if (!g->open) {
    w->next = g->waiting;
    g->waiting = w;
  }
  pthread_mutex_unlock(&g->lock);
  *out = &w->head; /* open by now: its first next starts it */
  return YOI_OK;
}
