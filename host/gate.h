/* host/gate.h - where operations wait while their runtime is replaced.
 *
 * An instance that has a gate is no runtime: it stands in the registry in the
 * place of one, from when that begins to drain until another one is open. What
 * comes meanwhile is accepted, waits with its deadline, and then starts on what
 * the gate was opened to.
 */
#ifndef YOI__GATE_H
#define YOI__GATE_H

#include <yoi/request.h>
#include <yoi/stream.h>

struct yoi__config_bundle;
struct yoi__gate;
struct yoi__instance;
struct yoi__setup;

/* [main] A gate for an instance that was never opened. NULL: memory is short. */
struct yoi__gate *yoi__gate_new(void);
/* Nobody waits. NULL is accepted. */
void yoi__gate_free(struct yoi__gate *g);

/* [any] Starts an operation as its runtime would: what is given out says AGAIN
 * until the gate is open. For the stream around it, which holds `in` and, with a
 * bundle, the setup (stream.c). */
yoi_status yoi__gate_start(struct yoi__instance *in, const yoi_request *req,
                           struct yoi__setup *setup, const struct yoi__config_bundle *bundle,
                           yoi_stream **out, yoi_error *err);

/* [main] Once: all who wait, and who still come, start on `to`, an open runtime;
 * NULL: they are told that there is none. */
void yoi__gate_open(struct yoi__instance *in, struct yoi__instance *to);

#endif
