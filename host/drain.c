/* host/drain.c - yoi_host_drain: everything ends, in order, by a deadline.
 *
 *   ingresses stop accepting
 *     -> runtimes and ingresses drain, together, each a stream
 *          -> all streams have ended, or the deadline and a grace are over
 *
 * The streams are polled on the control thread, which must stay free for what
 * a turn that is still running may need (a model that opens late): a wake
 * posts a task there, and only the application's thread waits.
 */
#include <sdk/mem.h>

#include "bind.h"
#include "clock.h"
#include "host.h"
#include "stream.h"

#define MARGIN_MS 1000 /* beyond the grace that streams have: other threads run too */

struct part {
  struct yoi__instance *in;
  struct yoi__bound *bound; /* of an ingress whose address is to be free; else NULL */
  yoi_stream *stream;       /* NULL: it has ended */
  uint64_t token;
};

struct yoi__drain {
  struct yoi_embed *host;
  struct yoi__holder holder;
  struct yoi__task task;
  uint64_t deadline_ns;
  _Atomic uint32_t left; /* parts that go on, and one until all were started */
  _Atomic uint32_t late;
  size_t n;
  struct part parts[];
};

static void part_ended(struct yoi__drain *d, struct part *p) {
  if (p->stream != NULL) p->stream->ops->release(p->stream);
  p->stream = NULL;
  yoi__token_free(d->host->tokens, &d->holder, p->token);
  if (atomic_fetch_sub(&d->left, 1u) == 1) yoi__host_notify(d->host);
}

static void part_poll(struct yoi__drain *d, struct part *p) {
  struct yoi_sdk_error e;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status st = YOI_OK;
  while (st == YOI_OK) st = p->stream->ops->next(p->stream, &events, &n, yoi_sdk_error_init(&e));
  if (st == YOI_AGAIN) return;
  if (st != YOI_END) {
    atomic_store(&d->late, 1u);
    yoi__log_failure(d->host->log, st == YOI_DEADLINE_EXCEEDED ? YOI_LOG_INFO : YOI_LOG_WARN,
                     "drain ended early", p->in->name, (yoi_str){0}, &e.e);
  }
  if (yoi__now_ns() > d->deadline_ns) atomic_store(&d->late, 1u);
  part_ended(d, p);
}

/* [main] */
static void poll_parts(void *ctx) {
  struct yoi__drain *d = ctx;
  for (size_t i = 0; i < d->n; i++)
    if (d->parts[i].stream != NULL) part_poll(d, &d->parts[i]);
}

static void drain_wake(void *self, uint64_t cookie) {
  struct yoi__drain *d = self;
  (void)cookie;
  yoi__control_post(d->host->control, &d->task);
}

static void part_start(struct yoi__drain *d, struct part *p) {
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  struct yoi__instance *in = p->in;
  int ingress = in->plugin->manifest.kind == YOI_KIND_INGRESS;
  yoi_status (*drain)(void *, uint64_t, uint64_t, yoi_stream **, yoi_error *) =
      ingress ? in->plugin->table.ingress.drain : in->plugin->table.runtime.drain;
  atomic_fetch_add(&d->left, 1u);
  yoi_status st = YOI_OK;
  if (drain != NULL && atomic_load(&in->state) == YOI__OPEN) {
    st = yoi__token_new(d->host->tokens, &d->holder, 0, &p->token, &e.e);
    if (st == YOI_OK) st = drain(in->self, d->deadline_ns, p->token, &p->stream, &e.e);
    if (st == YOI_OK && yoi__stream_valid(p->stream)) return;
    p->stream = NULL;
    atomic_store(&d->late, 1u);
    yoi__log_failure(d->host->log, YOI_LOG_WARN, "cannot drain", in->name, (yoi_str){0}, &e.e);
  }
  part_ended(d, p);
}

/* [main] */
static void start_parts(void *ctx) {
  struct yoi__drain *d = ctx;
  for (size_t i = 0; i < d->n; i++) {
    struct yoi__instance *in = d->parts[i].in;
    if (in->plugin->manifest.kind == YOI_KIND_INGRESS && atomic_load(&in->state) == YOI__OPEN)
      in->plugin->table.ingress.stop_accepting(in->self);
    if (d->parts[i].bound != NULL) yoi__bound_forget(d->parts[i].bound);
  }
  for (size_t i = 0; i < d->n; i++) part_start(d, &d->parts[i]);
  poll_parts(d);
  if (atomic_fetch_sub(&d->left, 1u) == 1) yoi__host_notify(d->host);
}

/* [main] Streams that did not end are released as they are. */
static void abandon_parts(void *ctx) {
  struct yoi__drain *d = ctx;
  yoi__holder_close(d->host->tokens, &d->holder);
  for (size_t i = 0; i < d->n; i++)
    if (d->parts[i].stream != NULL) part_ended(d, &d->parts[i]);
}

static int none_left(void *ctx) {
  struct yoi__drain *d = ctx;
  return atomic_load(&d->left) == 0;
}

/* NULL: memory is short. */
static struct yoi__drain *drain_new(struct yoi_embed *host, size_t parts, uint64_t deadline_ns) {
  struct yoi__drain *d = yoi_sdk_calloc(1, sizeof *d + parts * sizeof *d->parts);
  if (d == NULL) return NULL;
  d->host = host;
  d->holder.wake = drain_wake;
  d->holder.self = d;
  d->task = (struct yoi__task){.fn = poll_parts, .ctx = d};
  d->deadline_ns = deadline_ns;
  atomic_init(&d->left, 1u);
  return d;
}

/* 1: something was late. */
static int drain_run(struct yoi__drain *d) {
  struct yoi_embed *host = d->host;
  yoi__control_run(host->control, start_parts, d);
  uint64_t until = d->deadline_ns + (YOI_CANCEL_GRACE_MS + MARGIN_MS) * YOI__MS;
  if (!yoi__host_wait(host, none_left, d, until)) atomic_store(&d->late, 1u);
  yoi__control_run(host->control, abandon_parts, d);
  return atomic_load(&d->late) != 0;
}

int yoi__drain_some(struct yoi_embed *host, struct yoi__instance *const *all, size_t n,
                    uint64_t deadline_ns) {
  struct yoi__drain *d = drain_new(host, n, deadline_ns);
  if (d == NULL) return 1;
  while (d->n < n) {
    d->parts[d->n].in = all[d->n];
    d->n++;
  }
  int late = drain_run(d);
  yoi__control_settle(host->control); /* a wake may have queued the task */
  yoi__drain_free(d);
  return late;
}

yoi_status yoi_host_drain(struct yoi_embed *host, uint32_t deadline_ms, yoi_error *err) {
  uint32_t ready = YOI__READY;
  yoi_status st = yoi__host_mine(host, err);
  if (st != YOI_OK) return st;
  uint32_t phase = atomic_load(&host->phase);
  if ((phase == YOI__READY || phase == YOI__DRAINING) && yoi__loops_inside(host->loops)) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "a callback may not drain");
    return YOI_FAILED_PRECONDITION;
  }
  if (phase == YOI__DRAINING) return YOI_OK;
  if (!atomic_compare_exchange_strong(&host->phase, &ready, YOI__DRAINING)) {
    (void)yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "the host is not started");
    return YOI_FAILED_PRECONDITION;
  }
  struct yoi__drain *d = drain_new(host, YOI_RUNTIMES_MAX + host->config->n_ingress,
                                   yoi__now_ns() + deadline_ms * YOI__MS);
  if (d == NULL) {
    atomic_store(&host->phase, YOI__READY); /* nothing was ended; try again */
    return yoi_sdk_fail_memory(err);
  }
  yoi__log_host(host->log, YOI_LOG_INFO, "draining", NULL, 0);
  struct yoi__instance *in = NULL;
  for (size_t i = 0; (in = yoi__registry_at(&host->registry, i)) != NULL; i++)
    d->parts[d->n++].in = in;
  for (size_t i = 0; i < host->config->n_ingress; i++)
    d->parts[d->n++] = (struct part){.in = host->ingress[i], .bound = &host->bound[i]};
  host->drain = d;
  int late = drain_run(d);
  yoi__log_host(host->log, YOI_LOG_INFO, late ? "drained, work was cancelled" : "drained", NULL, 0);
  if (!late) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_TIMEOUT, "work was cancelled at the deadline");
}

/* Once nothing can post its task any more. */
void yoi__drain_free(struct yoi__drain *d) {
  yoi_sdk_free(d);
}
