/* sdk/core/metric.c - making metrics on hosts of any version.
 *
 * A host of 1.0 has counters with one label; what it does not have is made as
 * nothing (id 0), so ids that are not 0 are only of what the table can move.
 */
#include <sdk/metric.h>
#include <sdk/plugin.h>
#include <sdk/str.h>
#include <yoi/limits.h>

struct yoi_sdk_metrics yoi_sdk_metrics_of(const yoi_host *host) {
  const size_t first = offsetof(yoi_host_metrics, add) + sizeof(void (*)(void));
  return (struct yoi_sdk_metrics){host, yoi_sdk_host_get(host, YOI_HOST_METRICS_ID, first)};
}

uint32_t yoi_sdk_metric(const struct yoi_sdk_metrics *m, uint32_t type, const char *name,
                        const char *help, const char *const *labels) {
  yoi_metric_label pairs[YOI_METRIC_LABELS_MAX];
  uint32_t id = 0;
  size_t n = 0;
  for (; labels != NULL && labels[2 * n] != NULL; n++) {
    if (n == YOI_METRIC_LABELS_MAX) return 0;
    pairs[n] = (yoi_metric_label){yoi_sdk_str(labels[2 * n]), yoi_sdk_str(labels[2 * n + 1])};
  }
  if (m->table == NULL) return 0;
  if (YOI_HAS(yoi_host_metrics, m->table, observe)) {
    const yoi_metric metric = {.size = sizeof metric,
                               .type = type,
                               .name = yoi_sdk_str(name),
                               .help = yoi_sdk_str(help),
                               .labels = pairs,
                               .n_labels = n};
    (void)m->table->make(m->host, &metric, &id);
  } else if (type == YOI_METRIC_COUNTER && n <= 1) {
    const yoi_str none = {NULL, 0};
    (void)m->table->counter(m->host, yoi_sdk_str(name), yoi_sdk_str(help),
                            n == 1 ? pairs[0].name : none, n == 1 ? pairs[0].value : none, &id);
  }
  return id;
}
