/* host/call.h - the calls of the embedding application, see yoi.h. */
#ifndef YOI__CALL_H
#define YOI__CALL_H

#include <yoi.h>

struct yoi__calls;
struct yoi__instance;

/* NULL: memory is short. */
struct yoi__calls *yoi__calls_new(struct yoi_embed *host);
/* The application's thread: ends every call with YOI_CANCELLED, waits for the
 * callbacks, and refuses more. */
void yoi__calls_end(struct yoi__calls *c);
void yoi__calls_free(struct yoi__calls *c);

/* [any] A call of the host's own, of a runtime that the caller holds: no policy
 * is asked, and nobody can cancel it but yoi__calls_end. on_event as for
 * yoi_call; not when this fails. */
yoi_status yoi__call_runtime(struct yoi__instance *in, const yoi_request *req,
                             yoi_event_fn on_event, void *ctx, yoi_error *err);

#endif
