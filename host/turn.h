/* host/turn.h - which setup each turn of a runtime began with. */
#ifndef YOI__TURN_H
#define YOI__TURN_H

#include <yoi/host_turn.h>

struct yoi_embed;
struct yoi__instance;
struct yoi__turns; /* of one host */

extern const yoi_host_turn yoi__turn_table; /* yoi.host.turn/1 */

/* NULL: memory is short. */
struct yoi__turns *yoi__turns_new(void);
/* [main] Ends those of an instance; of all, with NULL. */
void yoi__turns_end(struct yoi__turns *t, const struct yoi__instance *in);
void yoi__turns_free(struct yoi__turns *t);

#endif
