/* host/metrics.h - the host's metrics, and their Prometheus text. */
#ifndef YOI__METRICS_H
#define YOI__METRICS_H

#include <sdk/str.h>
#include <stdatomic.h>
#include <yoi/host_metrics.h>
#include <yoi/limits.h>

struct yoi__metrics;

/* What one has made that is not trusted with all; zeroed: nothing. Its makes are
 * one after the other. */
struct yoi__metrics_own {
  uint32_t n, ids[YOI_ISOLATED_METRICS_MAX];
};

/* NULL: memory is short. */
struct yoi__metrics *yoi__metrics_new(void);
void yoi__metrics_free(struct yoi__metrics *m);

/* [any] As `make` of yoi/host_metrics.h. Errors: INVALID_ARGUMENT (a name,
 * label, value or help that does not fit the format, or another one than
 * before), RESOURCE_EXHAUSTED; *out_id is 0 then. */
yoi_status yoi__metrics_make(struct yoi__metrics *m, const yoi_metric *metric, uint32_t *out_id);
/* [any] The same for a plugin that others may share its metrics with. own: it is
 * in a process of its own, and what it has; NULL: it is in this one. For one with
 * own also INVALID_ARGUMENT, a name that yoi__metrics_make has made, and
 * RESOURCE_EXHAUSTED, YOI_ISOLATED_METRICS_MAX of its own: then nothing was made. */
yoi_status yoi__metrics_make_shared(struct yoi__metrics *m, const yoi_metric *metric,
                                    struct yoi__metrics_own *own, uint32_t *out_id);
/* What has at most one label; empty: none. Until the end of the block. */
#define YOI__METRIC_ONE(type_, name_, help_, label_, value_)                \
  (&(const yoi_metric){.size = sizeof(yoi_metric),                          \
                       .type = (type_),                                     \
                       .name = (name_),                                     \
                       .help = (help_),                                     \
                       .labels = &(const yoi_metric_label){label_, value_}, \
                       .n_labels = (label_).len > 0 || (value_).len > 0})
/* [any] yoi__metrics_make of one. */
yoi_status yoi__metrics_make_one(struct yoi__metrics *m, uint32_t type, yoi_str name, yoi_str help,
                                 yoi_str label, yoi_str value, uint32_t *out_id);

/* 1: the id is one of those. */
int yoi__metrics_owns(const struct yoi__metrics_own *own, uint32_t id);

/* [any] 0, unknown ids and those of another type are ignored. */
void yoi__metrics_add(struct yoi__metrics *m, uint32_t id, uint64_t n);
void yoi__metrics_sub(struct yoi__metrics *m, uint32_t id, uint64_t n);
void yoi__metrics_set(struct yoi__metrics *m, uint32_t id, uint64_t n);
void yoi__metrics_observe(struct yoi__metrics *m, uint32_t id, uint64_t ns);

/* [any] A cell that is counted with a counter, for the host's own parts that
 * know no metrics; NULL for id 0. */
_Atomic uint64_t *yoi__metrics_cell(struct yoi__metrics *m, uint32_t id);
/* [any] A counter's or gauge's value; how often a histogram has observed. */
uint64_t yoi__metrics_value(const struct yoi__metrics *m, uint32_t id);
/* [any] Prometheus text format 0.0.4, in byte order of names and labels. */
void yoi__metrics_text(const struct yoi__metrics *m, struct yoi_sdk_buf *out);

#endif
