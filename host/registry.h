/* host/registry.h - which runtimes there are, and the way to them.
 *
 * runtime_id and worker_id together are the only authority: a request names
 * its runtime, the registry finds it, and nothing is looked up across
 * runtimes. A request with an empty runtime id is for the host itself.
 */
#ifndef YOI__REGISTRY_H
#define YOI__REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include <yoi/host_registry.h>

#include "instance.h"

struct yoi__table; /* an immutable snapshot, sorted by id */

struct yoi__registry {
  pthread_mutex_t lock; /* serialises register and remove */
  _Atomic(struct yoi__table *) table;
};

extern const yoi_host_registry yoi__registry_table; /* yoi.host.registry/1 */

yoi_status yoi__registry_init(struct yoi__registry *r);
void yoi__registry_release(struct yoi__registry *r);

/* [main] Makes an open runtime reachable under in->name. ALREADY_EXISTS: that
 * id is taken; what is there stays. */
yoi_status yoi__registry_add(struct yoi__registry *r, struct yoi__instance *in, yoi_error *err);
/* [main] New requests no longer find it; those under way go on. */
void yoi__registry_remove(struct yoi__registry *r, const struct yoi__instance *in);

/* [any] NULL: there is none. No reference is taken. */
struct yoi__instance *yoi__registry_find(struct yoi__registry *r, yoi_str id);
/* [any] The i-th by id, NULL past the end; consistent for a snapshot only. */
const struct yoi__table *yoi__registry_snapshot(struct yoi__registry *r);
size_t yoi__table_count(const struct yoi__table *t);
struct yoi__instance *yoi__table_at(const struct yoi__table *t, size_t i);

/* [any] Checks, routes and starts a request; what `start` of
 * yoi/host_registry.h does. */
yoi_status yoi__registry_start(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                               yoi_stream **out, yoi_error *err);
/* [any] The second half, for requests that the host makes itself. */
yoi_status yoi__registry_route(struct yoi_embed *host, struct yoi__instance *in,
                               const yoi_request *req, yoi_stream **out, yoi_error *err);

/* request.c: what every request must be, whatever it is for. */
yoi_status yoi__request_check(const yoi_request *r, yoi_str runtime_id, yoi_error *err);

/* hostops.c: the operations of the host itself. */
yoi_status yoi__hostop_start(struct yoi_embed *host, const yoi_request *req, yoi_stream **out,
                             yoi_error *err);

#endif
