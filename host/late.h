/* host/late.h - streams of plugins that are opened at first use: models and
 * tools. late.c has the life of one. */
#ifndef YOI__LATE_H
#define YOI__LATE_H

#include "instance.h"
#include "strand.h"

struct yoi__results;
struct yoi__setup;

/* What differs between the kinds. */
struct yoi__late_kind {
  /* Calls the plugin's start, with the caller's request. */
  yoi_status (*start)(struct yoi__instance *in, const void *req, yoi_stream **out, yoi_error *err);
  /* A copy of it, whose start does the same later, or on a strand. NULL: memory
   * is short. */
  struct yoi__work *(*copy)(const void *req);
  /* A public error: the plugin cannot be opened; or too much is asked of it. */
  yoi_status (*cannot)(yoi_error *err, yoi_str name);
  yoi_status (*busy)(yoi_error *err);
  /* The stream is over, with that status (OK: released before its end), or it
   * never came to be. */
  void (*over)(struct yoi__instance *in, yoi_status final, uint64_t call);
};

/* [loop] What a start of a host's interface does, its request checked. The stream
 * holds the setup, which has the instance. token,
 * deadline_ns (of the request; for a strand), request_id: as in it; call: for
 * `over`. */
yoi_status yoi__late_start(struct yoi__setup *setup, struct yoi__instance *in,
                           const struct yoi__late_kind *kind, const void *req, uint64_t token,
                           uint64_t deadline_ns, yoi_str request_id, uint64_t call,
                           yoi_stream **out, yoi_error *err);

/* The counter `name` by result, made once; and one more stream in it. */
yoi_status yoi__late_counters(struct yoi_embed *host, const char *name, const char *help,
                              struct yoi__results *out);
void yoi__late_count(struct yoi_embed *host, const struct yoi__results *results, yoi_status final);

/* [main] The open task of such an instance, which is ctx: opens it if it is
 * not, then wakes who waits. */
void yoi__late_open(void *ctx);

#endif
