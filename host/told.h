/* host/told.h - texts that runtimes were told and may keep.
 *
 * yoi/host_tool.h promises that what `find` says of a tool stays as long as the
 * host does; the config that says it may be gone before. So it is copied, once
 * for each wording: what stays is what operators have changed, and no more.
 */
#ifndef YOI__TOLD_H
#define YOI__TOLD_H

#include <yoi/host_tool.h>

struct yoi__told;

/* NULL: memory is short. */
struct yoi__told *yoi__told_new(void);
void yoi__told_free(struct yoi__told *t);

/* [any] Lets the texts of *info be copies that live as long as t. 0: memory is
 * short. */
int yoi__told_keep(struct yoi__told *t, yoi_tool_info *info);

#endif
