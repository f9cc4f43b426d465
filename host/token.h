/* host/token.h - wake tokens: integers that lead to a holder.
 *
 * A holder is whoever polls streams: an instance, or a part of the host that
 * gives a C function. Tokens are generation-checked: a freed one is stale for
 * ever, and a wake of it is counted and does nothing.
 */
#ifndef YOI__TOKEN_H
#define YOI__TOKEN_H

#include <stdatomic.h>
#include <yoi/base.h>

struct yoi__tokens;

/* Lives as long as any token of it and until yoi__holder_close returned. */
struct yoi__holder {
  void (*wake)(void *self, uint64_t cookie); /* only enqueues; NULL: holds none */
  void *self;
  _Atomic uint32_t in_flight; /* wakes that run now */
  _Atomic uint32_t closing;
};

/* NULL: memory is short. stale: the counter of stale wakes, never NULL. */
struct yoi__tokens *yoi__tokens_new(_Atomic uint64_t *stale);
void yoi__tokens_free(struct yoi__tokens *t);

/* [any] RESOURCE_EXHAUSTED when YOI_TOKENS_MAX are live or memory is short,
 * UNAVAILABLE when the holder is closing, FAILED_PRECONDITION when it has no
 * wake. */
yoi_status yoi__token_new(struct yoi__tokens *t, struct yoi__holder *h, uint64_t cookie,
                          uint64_t *out_token, yoi_error *err);
/* [any] Only of that holder; 0 is accepted. */
void yoi__token_free(struct yoi__tokens *t, struct yoi__holder *h, uint64_t token);
/* [any] Calls the holder on this thread, with no lock held; 0 is accepted. */
void yoi__token_wake(struct yoi__tokens *t, uint64_t token);

/* [any] Wakes every token that the holder has now. */
void yoi__holder_wake(struct yoi__tokens *t, const struct yoi__holder *h);
/* [main] All tokens of the holder become stale; returns when no wake of it
 * runs, and none will come. Not from inside a wake of that holder. */
void yoi__holder_close(struct yoi__tokens *t, struct yoi__holder *h);

#endif
