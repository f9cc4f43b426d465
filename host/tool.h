/* host/tool.h - calls of tools: what there is, what may run, and the one way to
 * run it. */
#ifndef YOI__TOOL_H
#define YOI__TOOL_H

#include <yoi/host_tool.h>

#include "instance.h"
#include "policy.h"

extern const yoi_host_tool yoi__tool_table; /* yoi.host.tool/1 */

/* [any] What policy is asked about a call: the tool is there, and the arguments
 * fit. Of grants nothing is said. */
yoi_status yoi__tool_question_of(struct yoi_embed *host, yoi_str runtime_id,
                                 const yoi_tool_call *call, struct yoi__tool_question *out,
                                 yoi_error *err);

/* [main] The instances of all plugins of tools, unopened; and the counter of
 * results. */
yoi_status yoi__tools_new(struct yoi_embed *host, yoi_error *err);
yoi_status yoi__tool_counters(struct yoi_embed *host);

#endif
