/* ingress-http/measure.c - what /metrics tells of an HTTP surface.
 *
 *   request    counted when its header is whole
 *   answer     its time from there to the answer's head, by surface and class;
 *              of a stream of events too, however long it goes on then
 *   stream     how many began, and how many there are
 *
 * Requests whose header is never whole are counted as errors only. So the
 * histograms' counts and the requests in hand add up to the requests, less
 * those whose client left before an answer.
 */
#include "http.h"

static const char *surface_of(const struct http_instance *in) {
  return in->guard.surface == YOI_SURFACE_BROWSER ? "browser" : "runtime";
}

void http_measure_open(struct http_instance *in) {
  struct http_metrics *x = &in->metric;
  in->metrics = yoi_sdk_metrics_of(in->host);
  x->requests = yoi_sdk_metric(&in->metrics, YOI_METRIC_COUNTER, "yoi_http_requests_total",
                               "HTTP requests with a whole header.", NULL);
  x->errors = yoi_sdk_metric(&in->metrics, YOI_METRIC_COUNTER, "yoi_http_errors_total",
                             "HTTP answers that were errors, and streams ended by one.", NULL);
}

void http_measure_surface(struct http_instance *in) {
  static const char *const classes[HTTP_CLASSES] = {"2xx", "4xx", "5xx"};
  const struct yoi_sdk_metrics *m = &in->metrics;
  struct http_metrics *x = &in->metric;
  const char *surface = surface_of(in);
  for (int i = 0; i < HTTP_CLASSES; i++)
    x->answer_time[i] = yoi_sdk_metric(
        m, YOI_METRIC_HISTOGRAM, "yoi_http_request_duration_seconds",
        "From a request's whole header to its answer's head.",
        YOI_SDK_LABELS("surface", surface, "status", classes[i]));
  x->connections = yoi_sdk_metric(m, YOI_METRIC_GAUGE, "yoi_http_connections",
                                  "Open HTTP connections.", YOI_SDK_LABELS("surface", surface));
  x->streams = yoi_sdk_metric(m, YOI_METRIC_GAUGE, "yoi_http_streams",
                              "Requests that follow a turn or watch a worker.",
                              YOI_SDK_LABELS("surface", surface));
  x->streams_total = yoi_sdk_metric(m, YOI_METRIC_COUNTER, "yoi_http_streams_total",
                                    "Requests that followed a turn or watched a worker.",
                                    YOI_SDK_LABELS("surface", surface));
}

void http_measure_request(struct http_conn *c) {
  struct http_instance *in = c->loop->in;
  yoi_sdk_metric_add(&in->metrics, in->metric.requests, 1);
  c->x->began_ns = c->loop->now_ns; /* read already */
}

void http_measure_answer(struct http_conn *c, int status) {
  struct http_instance *in = c->loop->in;
  if (!c->x || c->x->began_ns == 0) return;
  uint64_t took = in->clock->monotonic_ns(in->host) - c->x->began_ns;
  int class = status < 400 ? 0 : status < 500 ? 1 : 2;
  yoi_sdk_metric_observe(&in->metrics, in->metric.answer_time[class], took);
  c->x->began_ns = 0; /* once */
}

void http_measure_error(struct http_instance *in) {
  yoi_sdk_metric_add(&in->metrics, in->metric.errors, 1);
}

void http_measure_connection(struct http_instance *in, int comes) {
  if (comes) yoi_sdk_metric_add(&in->metrics, in->metric.connections, 1);
  else yoi_sdk_metric_sub(&in->metrics, in->metric.connections, 1);
}

void http_measure_stream(struct http_instance *in, int comes) {
  if (!comes) {
    yoi_sdk_metric_sub(&in->metrics, in->metric.streams, 1);
    return;
  }
  yoi_sdk_metric_add(&in->metrics, in->metric.streams, 1);
  yoi_sdk_metric_add(&in->metrics, in->metric.streams_total, 1);
}
