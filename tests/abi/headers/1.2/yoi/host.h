/* yoi/host.h - what a plugin instance gets from its host.
 *
 * One yoi_host per instance, valid until its close has returned. Interfaces
 * are asked for by id (yoi/host_*.h); possession is the grant: what was not
 * granted is NULL. In one process that is hygiene, not a sandbox.
 *
 * Tokens. Whoever holds streams mints a token with a cookie of its own and
 * puts it into the requests that it starts. host->wake(token) calls the
 * holder's wake(self, cookie), possibly on the waking thread and before
 * host->wake returns: call it with no lock held, and let wake only enqueue.
 * A freed token is stale: a wake of it is counted and ignored.
 */
#ifndef YOI_HOST_H
#define YOI_HOST_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoi_host {
  uint32_t size;
  uint32_t reserved;
  void *ctx; /* the host's own */
  /* [any] A table that starts with `uint32_t size`, or NULL; the same
   * pointer every time, valid as long as this struct. */
  const void *(*get_interface)(const struct yoi_host *h, yoi_str id);
  /* [any] RESOURCE_EXHAUSTED when YOI_TOKENS_MAX are live. */
  yoi_status (*token_new)(const struct yoi_host *h, uint64_t cookie,
                          uint64_t *out_token, yoi_error *err);
  /* [any] After the last stream under it was released. 0 is accepted. A
   * wake that already runs may still arrive once. */
  void (*token_free)(const struct yoi_host *h, uint64_t token);
  /* [any] News for whoever holds the token. 0 is accepted. */
  void (*wake)(const struct yoi_host *h, uint64_t token);
} yoi_host;

#ifdef __cplusplus
}
#endif
#endif
