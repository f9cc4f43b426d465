/* defer.c - an operation whose workers are not there yet.
 *
 * Its caller holds a stream that says AGAIN; the request is copied. When the
 * last of its workers is awake the operation starts, on the thread on which
 * that happened, as if they had been there; from then on the stream is that
 * operation's:
 *
 *               all are awake       started
 *   WAITING -----------------> ... ---------> STARTED (next, cancel and release
 *      |                        |              are those of the inner stream)
 *      | one cannot be loaded   | refused
 *      +-----> FAILED <---------+
 *
 * Invariants:
 *  1. The operation is started once, also when its caller has let go of the
 *     stream: what was asked for happens, as it does behind a staged append.
 *  2. The workers are held until it has started; it holds its own then.
 *  3. It has its caller's token, so a wake for it is a wake for this stream.
 *  4. Its lock is held with no other, and not across a call.
 */
#include <sdk/error.h>
#include <sdk/mem.h>

#include "load.h"

enum { WAITING, STARTED, FAILED };

static struct eng_deferred *deferred_of(yoi_stream *s) {
  return (struct eng_deferred *)s;
}

static void let_go(struct eng_deferred *d) {
  for (uint32_t i = 0; i < d->n; i++) {
    eng_worker_unref(d->workers[i]);
    d->workers[i] = NULL;
  }
}

void eng_deferred_unref(struct eng_deferred *d) {
  if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1) return;
  let_go(d);
  pthread_mutex_destroy(&d->mu);
  yoi_sdk_free(d->workers);
  yoi_sdk_free(d->words);
  yoi_sdk_free(d->message);
  yoi_sdk_free(d->details);
  yoi_sdk_free(d);
}

/* ---- the stream ---- */

static yoi_status deferred_error(const struct eng_deferred *d, yoi_error *err) {
  yoi_status st = yoi_sdk_fail(err, d->code, "%s", d->message ? d->message : "memory is short");
  if (err) err->retry_after_ms = d->retry_ms;
  if (d->details) yoi_sdk_fail_details(err, yoi_sdk_str(d->details));
  return st;
}

static yoi_status deferred_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                                yoi_error *err) {
  struct eng_deferred *d = deferred_of(s);
  yoi_status st = YOI_AGAIN;
  pthread_mutex_lock(&d->mu);
  yoi_stream *inner = d->inner;
  if (!inner && d->cancelled && d->state != FAILED) d->cancel_seen = true;
  if (d->cancel_seen) {
    inner = NULL;
    st = YOI_CANCELLED;
    yoi_sdk_error_clear(err);
  } else if (d->state == FAILED) {
    st = deferred_error(d, err);
  } else if (!inner) {
    d->armed = true;
  }
  pthread_mutex_unlock(&d->mu);
  return inner ? inner->ops->next(inner, out_events, out_n, err) : st;
}

static void deferred_cancel(yoi_stream *s) {
  struct eng_deferred *d = deferred_of(s);
  pthread_mutex_lock(&d->mu);
  bool first = !d->cancelled;
  d->cancelled = true;
  yoi_stream *inner = d->inner;
  pthread_mutex_unlock(&d->mu);
  if (inner)
    inner->ops->cancel(inner);
  else if (first && d->req.token)
    d->eng->host->wake(d->eng->host, d->req.token);
}

static void deferred_release(yoi_stream *s) {
  struct eng_deferred *d = deferred_of(s);
  if (!d) return;
  pthread_mutex_lock(&d->mu);
  d->released = true;
  yoi_stream *inner = d->inner;
  d->inner = NULL;
  pthread_mutex_unlock(&d->mu);
  if (inner) inner->ops->release(inner);
  eng_deferred_unref(d);
}

static const yoi_stream_ops deferred_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = deferred_next,
    .cancel = deferred_cancel,
    .release = deferred_release,
};

/* ---- starting ---- */

static char *copy_text(const char *s) {
  return s && *s ? yoi_sdk_strndup(s, strlen(s)) : NULL;
}

/* All are awake. The one that comes here is alone; it has a reference. */
static void start(struct eng_deferred *d) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_stream *inner = NULL, *unwanted = NULL;
  yoi_status st = d->then(d, &inner, err);
  let_go(d);
  pthread_mutex_lock(&d->mu);
  /* Once it is published its holder may release it at any time. */
  if (st == YOI_OK && d->cancelled) {
    pthread_mutex_unlock(&d->mu);
    inner->ops->cancel(inner);
    pthread_mutex_lock(&d->mu);
  }
  if (st == YOI_OK) {
    d->state = STARTED;
    if (d->released)
      unwanted = inner;
    else
      d->inner = inner;
  } else {
    d->state = FAILED;
    d->code = err->code;
    d->retry_ms = err->retry_after_ms;
    d->message = copy_text(err->message);
    d->details = copy_text(err->details);
  }
  bool wake = d->armed && !d->released;
  d->armed = false;
  pthread_mutex_unlock(&d->mu);
  if (unwanted) unwanted->ops->release(unwanted);
  if (wake && d->req.token) d->eng->host->wake(d->eng->host, d->req.token);
}

static void fail(struct eng_deferred *d, int32_t code, const char *message) {
  pthread_mutex_lock(&d->mu);
  bool first = d->state == WAITING;
  bool wake = first && d->armed && !d->released;
  if (first) {
    d->state = FAILED;
    d->code = code;
    d->message = copy_text(message);
    d->retry_ms = code == YOI_CODE_QUEUE_FULL ? YOI_RETRY_APPEND_MS : 0;
    d->armed = false;
  }
  pthread_mutex_unlock(&d->mu);
  if (wake && d->req.token) d->eng->host->wake(d->eng->host, d->req.token);
}

/* One of what is missing came; 1: it was the last. */
static bool came(struct eng_deferred *d) {
  return atomic_fetch_sub_explicit(&d->missing, 1, memory_order_acq_rel) == 1;
}

void eng_deferred_loaded(struct eng_deferred *d, int32_t code, const char *message) {
  if (code != 0) fail(d, code, message);
  if (came(d) && d->state == WAITING) start(d);
  eng_deferred_unref(d);
}

/* ---- making one ---- */

static yoi_status copy_request(struct eng_deferred *d, const yoi_request *req) {
  d->req = *req;
  yoi_str *const texts[] = {&d->req.worker_id,  &d->req.subject, &d->req.principal,
                            &d->req.request_id, &d->req.trace,   &d->req.idempotency_key,
                            &d->req.body,       &d->req.workspace};
  size_t len = 1;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) len += texts[i]->len;
  char *at = d->words = yoi_sdk_malloc(len);
  if (!at) return YOI_RESOURCE_EXHAUSTED;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (texts[i]->len) memcpy(at, texts[i]->ptr, texts[i]->len);
    texts[i]->ptr = at;
    at += texts[i]->len;
  }
  return YOI_OK;
}

static struct eng_deferred *deferred_new(struct eng_engine *eng, const yoi_request *req,
                                         struct eng_worker *const *workers, size_t n) {
  struct eng_deferred *d = yoi_sdk_calloc(1, sizeof *d + n * sizeof d->waiters[0]);
  if (!d) return NULL;
  pthread_mutex_init(&d->mu, NULL);
  d->head.ops = &deferred_ops;
  d->eng = eng;
  atomic_init(&d->refs, 1);
  atomic_init(&d->missing, (unsigned)n + 1);
  d->workers = yoi_sdk_reallocarray(NULL, n, sizeof(struct eng_worker *));
  if (d->workers && copy_request(d, req) == YOI_OK) {
    memcpy(d->workers, workers, n * sizeof(struct eng_worker *));
    d->n = (uint32_t)n;
    return d;
  }
  eng_deferred_unref(d);
  return NULL;
}

static void wait_for(struct eng_deferred *d, uint32_t i) {
  struct eng_waiter *x = &d->waiters[i];
  x->d = d;
  atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
  enum eng_waits waits = eng_load_wait(d->workers[i], x);
  if (waits == ENG_WAIT_LOADED) return;
  if (waits == ENG_WAIT_FULL)
    fail(d, YOI_CODE_QUEUE_FULL, "too many operations wait for this worker");
  if (waits == ENG_WAIT_MEMORY) fail(d, YOI_CODE_INTERNAL, "memory is short");
  (void)came(d); /* not the last: the caller's own is still missing */
  eng_deferred_unref(d);
}

yoi_status eng_defer(struct eng_engine *eng, const yoi_request *req,
                     struct eng_worker *const *workers, size_t n, int more, eng_then_fn *then,
                     yoi_stream **out, yoi_error *err) {
  struct eng_deferred *d = deferred_new(eng, req, workers, n);
  if (!d) {
    for (size_t i = 0; i < n; i++) eng_worker_unref(workers[i]);
    return yoi_sdk_fail_memory(err);
  }
  d->more = more;
  d->then = then;
  for (uint32_t i = 0; i < n; i++) wait_for(d, i);
  bool here = came(d);
  pthread_mutex_lock(&d->mu);
  bool refused = d->state == FAILED;
  yoi_status st = refused ? deferred_error(d, err) : YOI_OK;
  if (refused) d->released = true;
  pthread_mutex_unlock(&d->mu);
  if (st == YOI_OK && !here) {
    *out = &d->head;
    return YOI_OK;
  }
  if (st == YOI_OK) st = then(d, out, err);
  eng_deferred_unref(d);
  return st;
}
