/* sdk/metric.h - metrics of a plugin, whatever its host can count.
 *
 * An id is 0 when the host has no such interface, is an older one, or has no
 * room left: then moving the metric does nothing, and costs a comparison.
 */
#ifndef YOI_SDK_METRIC_H
#define YOI_SDK_METRIC_H

#include <yoi/host_metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_sdk_metrics {
  const yoi_host *host;
  const yoi_host_metrics *table; /* NULL: nothing is counted */
};

/* Finds the interface. */
struct yoi_sdk_metrics yoi_sdk_metrics_of(const yoi_host *host);
/* Makes a metric. labels: a name, its value, ... and NULL; or NULL for none. */
uint32_t yoi_sdk_metric(const struct yoi_sdk_metrics *m, uint32_t type, const char *name,
                        const char *help, const char *const *labels);
#define YOI_SDK_LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline void yoi_sdk_metric_add(const struct yoi_sdk_metrics *m, uint32_t id, uint64_t n) {
  if (id != 0) m->table->add(m->host, id, n);
}
static inline void yoi_sdk_metric_sub(const struct yoi_sdk_metrics *m, uint32_t id, uint64_t n) {
  if (id != 0) m->table->sub(m->host, id, n);
}
static inline void yoi_sdk_metric_observe(const struct yoi_sdk_metrics *m, uint32_t id,
                                          uint64_t ns) {
  if (id != 0) m->table->observe(m->host, id, ns);
}

#ifdef __cplusplus
}
#endif
#endif
