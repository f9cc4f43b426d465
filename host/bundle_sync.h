/* host/bundle_sync.h - a create whose bundle the runtime may lack. */
#ifndef YOI__BUNDLE_SYNC_H
#define YOI__BUNDLE_SYNC_H

#include <yoi/request.h>
#include <yoi/stream.h>

#include "config.h"

struct yoi_embed;
struct yoi__instance;
struct yoi__puts; /* of one host */
struct yoi__setup;

/* NULL: memory is short. */
struct yoi__puts *yoi__puts_new(void);
void yoi__puts_free(struct yoi__puts *p);

/* [any] Starts a worker.create from a bundle of the setup's config, as the runtime's own
 * start does: it is for the stream around it, which holds the runtime (stream.c).
 * When the runtime says bundle_not_found it is given the bundle and asked again,
 * once. */
yoi_status yoi__create_start(struct yoi__instance *in, const yoi_request *req,
                             struct yoi__setup *setup, const struct yoi__config_bundle *bundle,
                             yoi_stream **out, yoi_error *err);

/* [any] Says in the log that a runtime was given a bundle, or was not: st. */
void yoi__bundle_log(struct yoi__instance *in, const struct yoi__config_bundle *bundle,
                     yoi_str request_id, yoi_status st, const yoi_error *err);

#endif
