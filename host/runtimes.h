/* host/runtimes.h - how instances come and go while the host runs. */
#ifndef YOI__RUNTIMES_H
#define YOI__RUNTIMES_H

#include "host.h"

/* The application's thread: OK, or why it may not `what` now. */
yoi_status yoi__runtimes_caller(struct yoi_embed *host, const char *what, yoi_error *err);

/* [main] Opens a runtime of a config; it is not reachable yet. ahead: the setup
 * that it sees until yoi__setup_ahead says otherwise; NULL: the current one. */
yoi_status yoi__runtime_make(struct yoi_embed *host, struct yoi__config *from,
                             const struct yoi__config_runtime *c, struct yoi__setup *ahead,
                             struct yoi__instance **out, yoi_error *err);

/* [main] Of any kind. What could not be closed may still be called, and is kept
 * among the host's `left`. */
void yoi__close_and_forget(struct yoi__instance *in);
/* The application's thread: of any kind, drained. Shuts, waits until nobody
 * holds it, closes. 0: it is still held, and left. */
int yoi__retire(struct yoi_embed *host, struct yoi__instance *in, uint64_t until_ns);
/* How long that may take behind a drain with that deadline. */
uint64_t yoi__retire_until(uint64_t deadline_ns);
/* The application's thread: closes those that were left and that nobody holds
 * any more. */
void yoi__look_at_left(struct yoi_embed *host);

#endif
