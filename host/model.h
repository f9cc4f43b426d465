/* host/model.h - models: opened at first use, called by their config name. */
#ifndef YOI__MODEL_H
#define YOI__MODEL_H

#include <yoi/host_model.h>

#include "instance.h"
#include "setup.h"

extern const yoi_host_model yoi__model_table; /* yoi.host.model/1 */

/* [loop] What `start` does, with the models and policies of a setup. */
yoi_status yoi__model_start(struct yoi__setup *s, struct yoi__instance *who, yoi_str name,
                            const yoi_model_request *req, yoi_stream **out, yoi_error *err);

/* The counter of results, made when the host is; see host.h. */
struct yoi_embed;
yoi_status yoi__model_counters(struct yoi_embed *host);

#endif
