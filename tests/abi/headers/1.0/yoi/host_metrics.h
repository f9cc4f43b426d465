/* yoi/host_metrics.h - "yoi.host.metrics/1": counters for /metrics. */
#ifndef YOI_HOST_METRICS_H
#define YOI_HOST_METRICS_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_METRICS_ID "yoi.host.metrics/1"

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
  /* [any] */
  void (*add)(const yoi_host *h, uint32_t id, uint64_t n);
} yoi_host_metrics;

#ifdef __cplusplus
}
#endif
#endif
