/* host/tool.h - calls of tools: what there is, what may run, and the one way to
 * run it. */
#ifndef YOI__TOOL_H
#define YOI__TOOL_H

#include <yoi/host_tool.h>

#include "instance.h"

extern const yoi_host_tool yoi__tool_table; /* yoi.host.tool/1 */

/* [main] The instances of all plugins of tools, unopened; and the counter of
 * results. */
yoi_status yoi__tools_new(struct yoi_embed *host, yoi_error *err);
yoi_status yoi__tool_counters(struct yoi_embed *host);

#endif
