/* host/model.h - models: opened at first use, called by their config name. */
#ifndef YOI__MODEL_H
#define YOI__MODEL_H

#include <yoi/host_model.h>

#include "instance.h"

extern const yoi_host_model yoi__model_table; /* yoi.host.model/1 */

/* The counter of results, made when the host is; see host.h. */
struct yoi_embed;
yoi_status yoi__model_counters(struct yoi_embed *host);

#endif
