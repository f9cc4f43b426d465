/* host/call.h - the calls of the embedding application, see yoi.h. */
#ifndef YOI__CALL_H
#define YOI__CALL_H

#include <yoi/base.h>

struct yoi_embed;
struct yoi__calls;

/* NULL: memory is short. */
struct yoi__calls *yoi__calls_new(struct yoi_embed *host);
/* The application's thread: ends every call with YOI_CANCELLED, waits for the
 * callbacks, and refuses more. */
void yoi__calls_end(struct yoi__calls *c);
void yoi__calls_free(struct yoi__calls *c);

#endif
