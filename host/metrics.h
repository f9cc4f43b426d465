/* host/metrics.h - the host's counters, and their Prometheus text. */
#ifndef YOI__METRICS_H
#define YOI__METRICS_H

#include <sdk/str.h>
#include <stdatomic.h>

struct yoi__metrics;

/* NULL: memory is short. */
struct yoi__metrics *yoi__metrics_new(void);
void yoi__metrics_free(struct yoi__metrics *m);

/* [any] As `counter` of yoi/host_metrics.h. Errors: INVALID_ARGUMENT (a name,
 * label or value that does not fit the format, or another help),
 * RESOURCE_EXHAUSTED; *out_id is 0 then. */
yoi_status yoi__metrics_counter(struct yoi__metrics *m, yoi_str name, yoi_str help, yoi_str label,
                                yoi_str value, uint32_t *out_id);
/* [any] 0 and unknown ids are ignored. */
void yoi__metrics_add(struct yoi__metrics *m, uint32_t id, uint64_t n);
/* [any] The counter itself, for the host's own; NULL for id 0. */
_Atomic uint64_t *yoi__metrics_cell(struct yoi__metrics *m, uint32_t id);
/* [any] Prometheus text format 0.0.4, in byte order of names and values. */
void yoi__metrics_text(struct yoi__metrics *m, struct yoi_sdk_buf *out);

#endif
