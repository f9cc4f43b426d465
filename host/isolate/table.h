/* host/isolate/table.h - the table of a plugin that runs in a worker process. */
#ifndef YOI__TABLE_H
#define YOI__TABLE_H

#include "../loader.h"

/* [main] Of a tool, a policy or a model: fills p->table, whose functions take
 * instances of the host and run none of the plugin's code here. */
void yoi__isolate_table(struct yoi__plugin *p);

#endif
