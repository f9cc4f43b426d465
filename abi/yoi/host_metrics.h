/* yoi/host_metrics.h - "yoi.host.metrics/1": what /metrics shows.
 *
 * A metric is made once, at open, and moved by its id on hot paths: moving
 * takes no lock, allocates nothing, calls nobody back, and may be done with
 * any lock of the caller held. Metrics are the host's: whoever makes one that
 * is there already, another instance or plugin, gets the same. A plugin in a
 * process of its own has YOI_ISOLATED_METRICS_MAX at most, and none whose name
 * the host, a runtime or an ingress made: INVALID_ARGUMENT. */
#ifndef YOI_HOST_METRICS_H
#define YOI_HOST_METRICS_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_METRICS_ID "yoi.host.metrics/1"

/* yoi_metric.type; since 1.1. */
#define YOI_METRIC_COUNTER 1u   /* only grows; its name ends in _total */
#define YOI_METRIC_GAUGE 2u     /* how many there are now, never below 0 */
#define YOI_METRIC_HISTOGRAM 3u /* of durations; its name ends in _seconds */

/* Since 1.1. */
typedef struct yoi_metric_label {
  yoi_str name; /* [a-z_]+, not `le` */
  yoi_str value; /* 1 to YOI_NAME_MAX bytes of UTF-8 */
} yoi_metric_label;

/* Since 1.1. One name has one type, one help and the same label names in the
 * same order each time it is made. Names are yoi_[a-z0-9_]+ in base units, as
 * Prometheus wants them; those of gauges end in none of _total, _bucket, _sum,
 * _count. Values of labels are bounded sets, never ids of workers. */
typedef struct yoi_metric {
  uint32_t size, type;
  yoi_str name, help; /* help: a sentence, 1 to 256 bytes */
  const yoi_metric_label *labels;
  size_t n_labels; /* at most YOI_METRIC_LABELS_MAX */
} yoi_metric;

typedef struct yoi_host_metrics {
  uint32_t size;
  uint32_t reserved;
  /* [any] The counter of that name and label, made at first use and shared
   * by all who ask. name: yoi_[a-z0-9_]+_total, the same help each time;
   * label and value are both empty or both given. Values are bounded sets,
   * never ids of workers. *out_id is 0 when YOI_METRICS_MAX is reached; add
   * ignores 0. */
  yoi_status (*counter)(const yoi_host *h, yoi_str name, yoi_str help,
                        yoi_str label, yoi_str value, uint32_t *out_id);
  /* [any] To a counter or, since 1.1, a gauge; ignored for a histogram. */
  void (*add)(const yoi_host *h, uint32_t id, uint64_t n);

  /* [any] Since 1.1. The metric of that name and labels, as `counter`.
   * INVALID_ARGUMENT: it does not fit the rules above, or what was made under
   * that name; RESOURCE_EXHAUSTED: the limit is reached, to which a histogram
   * counts as the lines that it takes. *out_id is 0 then; what moves metrics
   * ignores 0, and ids of other types. */
  yoi_status (*make)(const yoi_host *h, const yoi_metric *metric,
                     uint32_t *out_id);
  /* [any] Since 1.1. Takes from a gauge what was added to it. */
  void (*sub)(const yoi_host *h, uint32_t id, uint64_t n);
  /* [any] Since 1.1. A gauge's value; what was added to it is not undone: one
   * gauge is either set, by one owner, or moved by add and sub. */
  void (*set)(const yoi_host *h, uint32_t id, uint64_t n);
  /* [any] Since 1.1. A histogram sees a duration. Its buckets are fixed: they
   * end at 50 microseconds and at each doubling of that up to 14 minutes. */
  void (*observe)(const yoi_host *h, uint32_t id, uint64_t duration_ns);
} yoi_host_metrics;

#ifdef __cplusplus
}
#endif
#endif
