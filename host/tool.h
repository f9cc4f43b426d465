/* host/tool.h - calls of tools: what there is, what may run, and the one way to
 * run it. */
#ifndef YOI__TOOL_H
#define YOI__TOOL_H

#include <yoi/host_tool.h>

#include "instance.h"
#include "policy.h"
#include "setup.h"

extern const yoi_host_tool yoi__tool_table; /* yoi.host.tool/1 */

/* [any] What policy is asked about a call: the tool is there, and the arguments
 * fit. Of grants nothing is said. */
yoi_status yoi__tool_question_of(struct yoi__setup *s, yoi_str runtime_id,
                                 const yoi_tool_call *call, struct yoi__tool_question *out,
                                 yoi_error *err);

/* What the functions of that interface do, with the tools and policies of a setup. */
yoi_status yoi__tool_find(struct yoi__setup *s, yoi_str plugin, yoi_str name, yoi_tool_info *out,
                          yoi_error *err);
yoi_status yoi__tool_decide(struct yoi__setup *s, struct yoi__instance *who,
                            const yoi_tool_call *call, yoi_tool_decision *out, yoi_error *err);
yoi_status yoi__tool_start(struct yoi__setup *s, struct yoi__instance *who,
                           const yoi_tool_call *call, yoi_stream **out, yoi_error *err);

/* The counter of results, made when the host is. */
yoi_status yoi__tool_counters(struct yoi_embed *host);

#endif
