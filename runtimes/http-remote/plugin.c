/* plugin.c - dev.yoi.http-remote: a runtime of another host.
 *
 * The instance: its config, its HTTP client, what is known of the remote, and
 * the lists by which close finds whatever was not released in time. close runs
 * when the host has taken away every watch, timer and task of this instance
 * (yoi/host_loop.h, 4).
 *
 * The remote's workers live on whatever happens here: a drain ends the streams
 * of this host, not the turns.
 */
#include "remote.h"

#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/take.h>

YOI_MANIFEST_FILE(MANIFEST);

void rem_log(const struct rem_instance *i, uint32_t level, const char *msg, const char *what,
             const char *cause) {
  const yoi_log_field fields[] = {{YOI_LIT("what"), yoi_sdk_str(what)},
                                  {YOI_LIT("cause"), yoi_sdk_str(cause)}};
  size_t n = !what ? 0 : cause && *cause ? 2 : 1;
  if (i->log) i->log->write(i->host, level, yoi_sdk_str(msg), (yoi_str){0}, fields, n);
}

/* ---- open and close --------------------------------------------------------- */

static void rem_close(void *self) {
  struct rem_instance *i = self;
  if (!i) return;
  atomic_store(&i->closing, 1u);
  yoi_sdk_http_close(i->http);
  while (i->calls) rem_call_free(i->calls);
  while (i->watched) {
    struct rem_watched *w = i->watched;
    i->watched = w->next;
    rem_watched_free(w);
  }
  rem_health_release(i);
  rem_config_release(&i->config);
  pthread_mutex_destroy(&i->mu);
  yoi_sdk_free(i);
}

static uint32_t counter(struct rem_instance *i, const char *result) {
  return yoi_sdk_metric(&i->metrics, YOI_METRIC_COUNTER, "yoi_remote_requests_total",
                        "Requests to other hosts, by how they ended.",
                        YOI_SDK_LABELS("result", result));
}

static void make_metrics(struct rem_instance *i) {
  i->metrics = yoi_sdk_metrics_of(i->host);
  i->metric.answered = counter(i, "answered");
  i->metric.refused = counter(i, "refused");
  i->metric.failed = counter(i, "failed");
  i->metric.retries =
      yoi_sdk_metric(&i->metrics, YOI_METRIC_COUNTER, "yoi_remote_retries_total",
                     "Requests to other hosts that were sent again.", NULL);
  i->metric.resumes =
      yoi_sdk_metric(&i->metrics, YOI_METRIC_COUNTER, "yoi_remote_resumes_total",
                     "Event streams of other hosts that were lost and taken up again.", NULL);
  i->metric.upstreams = yoi_sdk_metric(&i->metrics, YOI_METRIC_GAUGE, "yoi_remote_upstreams",
                                       "Event streams of other hosts that are open.", NULL);
}

static yoi_status prepare(struct rem_instance *i, yoi_str config, yoi_error *err) {
  yoi_status st = rem_config_read(config, &i->config, err);
  if (st == YOI_OK && i->config.token && !i->secret)
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host lacks '%s'", YOI_HOST_SECRET_ID);
  if (st == YOI_OK) st = yoi_sdk_http_open(i->host, &i->http, err);
  if (st == YOI_OK && i->config.ca_file)
    st = yoi_sdk_http_trust(i->http, i->config.ca_file, err);
  if (st == YOI_OK && i->config.socket) st = yoi_sdk_http_unix(i->http, i->config.socket, err);
  return st == YOI_OK ? rem_health_begin(i, err) : st;
}

static yoi_status rem_open(const yoi_host *host, yoi_str config, void **out_self,
                           yoi_error *err) {
  const yoi_host_loop *loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *loop);
  const yoi_host_clock *clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *clock);
  if (!loop || !clock)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host lacks '%s'",
                        loop ? YOI_HOST_CLOCK_ID : YOI_HOST_LOOP_ID);
  uint32_t n = loop->count(host);
  struct rem_instance *i = yoi_sdk_calloc(1, sizeof *i + n * sizeof i->loops[0]);
  if (!i) return yoi_sdk_fail_memory(err);
  i->host = host;
  i->loop = loop;
  i->clock = clock;
  i->log = yoi_sdk_host_get(host, YOI_HOST_LOG_ID, sizeof *i->log);
  i->secret = yoi_sdk_host_get(host, YOI_HOST_SECRET_ID, offsetof(yoi_host_secret, refresh));
  i->n_loops = n;
  for (uint32_t k = 0; k < n; k++) i->loops[k].instance = i;
  if (pthread_mutex_init(&i->mu, NULL) != 0 || rem_health_init(i) != YOI_OK) {
    yoi_sdk_free(i);
    return yoi_sdk_fail_memory(err);
  }
  make_metrics(i);
  yoi_status st = prepare(i, config, err);
  if (st != YOI_OK) {
    rem_close(i);
    return st;
  }
  if (i->config.bare_token)
    rem_log(i, YOI_LOG_WARN, "a token is sent over plain http to another machine", "base_url",
            NULL);
  *out_self = i;
  return YOI_OK;
}

/* ---- operations --------------------------------------------------------------- */

static yoi_status read_request(const yoi_request *in, yoi_request *out, yoi_error *err) {
  yoi_status st = yoi_sdk_take(out, sizeof *out, in, "the request", err);
  if (st != YOI_OK) return st;
  const uint32_t known = YOI_REQ_FOLLOW | YOI_REQ_ONCE | YOI_REQ_WORKSPACE;
  if (out->reserved != 0 || (out->flags & ~known) != 0)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the request has unknown flags");
  if (out->worker_id.len > YOI_ID_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the worker id is not valid");
  if ((out->flags & YOI_REQ_WORKSPACE) != 0 && !yoi_sdk_id_valid(out->workspace))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the workspace is not valid");
  return YOI_OK;
}

static yoi_status rem_start(void *self, const yoi_request *req, yoi_stream **out,
                            yoi_error *err) {
  yoi_request r;
  struct rem_instance *i = self;
  yoi_status st = read_request(req, &r, err);
  if (st != YOI_OK) return st;
  if (r.op == YOI_OP_WORKER_INPUT && atomic_load(&i->draining))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is shutting down");
  int streams = r.op == YOI_OP_WORKER_EVENTS ||
                (r.op == YOI_OP_WORKER_INPUT && (r.flags & YOI_REQ_FOLLOW) != 0);
  return streams ? rem_watch_start(self, &r, out, err) : rem_call_start(self, &r, out, err);
}

/* ---- the drain ------------------------------------------------------------------ */

/* Locked or not: wakes after `mu` is given back. */
static void drained(struct rem_instance *i, int over) {
  pthread_mutex_lock(&i->mu);
  if (over) i->drain.over = 1;
  int wake = i->drain.armed && (i->follows == 0 || i->drain.over);
  if (wake) i->drain.armed = 0;
  uint64_t token = i->drain.token;
  pthread_mutex_unlock(&i->mu);
  if (wake) i->host->wake(i->host, token);
}

void rem_follow_gone(struct rem_instance *i) {
  pthread_mutex_lock(&i->mu);
  if (i->follows) i->follows--;
  pthread_mutex_unlock(&i->mu);
  if (!atomic_load(&i->closing)) drained(i, 0);
}

static yoi_status drain_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                             yoi_error *err) {
  struct rem_instance *i = ((struct rem_drain *)(void *)s)->i;
  (void)out_events, (void)out_n, (void)err;
  pthread_mutex_lock(&i->mu);
  int over = i->drain.over || i->follows == 0;
  i->drain.over = over != 0;
  i->drain.armed = !over;
  pthread_mutex_unlock(&i->mu);
  return over ? YOI_END : YOI_AGAIN;
}

static void drain_cancel(yoi_stream *s) {
  (void)s; /* what is draining goes on draining; it ends as it would have */
}

static void drain_release(yoi_stream *s) {
  struct rem_drain *d = (struct rem_drain *)(void *)s;
  if (!d) return;
  pthread_mutex_lock(&d->i->mu);
  d->armed = 0;
  pthread_mutex_unlock(&d->i->mu);
}

static const yoi_stream_ops drain_ops = {
    .size = sizeof drain_ops, .next = drain_next, .cancel = drain_cancel, .release = drain_release};

static void end_watches(void *ctx) {
  rem_watched_end_here(((struct rem_loop *)ctx)->instance, 0);
}

static void end_all(void *ctx) {
  rem_watched_end_here(((struct rem_loop *)ctx)->instance, 1);
}

static void on_deadline(void *ctx) {
  struct rem_instance *i = ctx;
  for (uint32_t n = 0; n < i->n_loops; n++)
    (void)i->loop->post(i->host, n, end_all, &i->loops[n]);
  drained(i, 1);
}

static void set_timer(void *ctx) {
  struct rem_instance *i = ctx;
  if (i->loop->timer(i->host, i->drain.deadline_ns, on_deadline, i, &i->drain.timer) != YOI_OK)
    on_deadline(i);
}

static yoi_status rem_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                            yoi_error *err) {
  struct rem_instance *i = self;
  if (atomic_exchange(&i->draining, 1u))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is draining already");
  i->drain.head.ops = &drain_ops;
  i->drain.i = i;
  i->drain.token = token;
  i->drain.deadline_ns = deadline_ns;
  *out = &i->drain.head;
  for (uint32_t n = 0; n < i->n_loops; n++)
    (void)i->loop->post(i->host, n, end_watches, &i->loops[n]);
  if (i->loop->post(i->host, 0, set_timer, i) != YOI_OK) drained(i, 1);
  return YOI_OK;
}

static const yoi_runtime rem_runtime = {
    .size = sizeof rem_runtime,
    .thread_model = YOI_PARALLEL,
    .open = rem_open,
    .close = rem_close,
    .start = rem_start,
    .drain = rem_drain,
};

static const struct yoi_sdk_interface rem_interfaces[] = {{YOI_RUNTIME_ID, &rem_runtime},
                                                          {YOI_WORKSPACES_ID, &rem_runtime}};

YOI_SDK_PLUGIN_OF("dev.yoi.http-remote", "1.0.0", YOI_KIND_RUNTIME, rem_interfaces);
