/* host/isolate/table.h - what the rest of the host knows of plugins that run in a
 * worker process: their table, and when one process is as good as another. */
#ifndef YOI__TABLE_H
#define YOI__TABLE_H

#include "../config.h"
#include "../loader.h"

/* [main] Of a tool, a policy or a model: fills p->table, whose functions take
 * instances of the host and run none of the plugin's code here. */
void yoi__isolate_table(struct yoi__plugin *p);

/* [main] 1: as far as isolation goes, an instance of the plugin x under the config
 * a can stand for one of y under b (outfit.c). */
int yoi__isolate_same(const struct yoi__config *a, const struct yoi__plugin *x,
                      const struct yoi__config *b, const struct yoi__plugin *y);

#endif
