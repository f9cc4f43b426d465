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

struct yoi__table; /* what look-ups read; see registry.c */

struct yoi__registry {
  pthread_mutex_t lock;                        /* guards `all` and writing */
  struct yoi__instance *all[YOI_RUNTIMES_MAX]; /* sorted by id */
  size_t n;
  struct yoi__table *tables; /* two */
  _Atomic uint64_t version;  /* the table of this number's lowest bit is read */
  _Atomic uint64_t writing;  /* the version that is being made, or was last */
};

extern const yoi_host_registry yoi__registry_table; /* yoi.host.registry/1 */

yoi_status yoi__registry_init(struct yoi__registry *r);
void yoi__registry_release(struct yoi__registry *r);
/* [main] Takes all out at once; it is as after init. */
void yoi__registry_clear(struct yoi__registry *r);

/* [main] Makes an open runtime reachable under in->name. ALREADY_EXISTS: that
 * id is taken; what is there stays. */
yoi_status yoi__registry_add(struct yoi__registry *r, struct yoi__instance *in, yoi_error *err);
/* [main] Takes out and adds, all at once: whoever looks finds the runtimes of before,
 * or those of after; requests under way go on. What is not there is not taken out;
 * what comes in is open, fits, and has an id that is then free. */
void yoi__registry_exchange(struct yoi__registry *r, struct yoi__instance *const *out, size_t n_out,
                            struct yoi__instance *const *in, size_t n_in);

/* [any] The runtime of an id with a reference, lock-free. NULL: there is none,
 * or it is closing, which *out_closing says. */
struct yoi__instance *yoi__registry_acquire(struct yoi__registry *r, yoi_str id, int *out_closing);
/* [any] All that are not closing, sorted by id, each with a reference. */
size_t yoi__registry_acquire_all(struct yoi__registry *r,
                                 struct yoi__instance *out[YOI_RUNTIMES_MAX]);
/* [any] 1: a runtime of that plugin is registered. */
int yoi__registry_uses(struct yoi__registry *r, const struct yoi__plugin *plugin);
/* [main] Without a reference; NULL: there is none, or past the end. */
struct yoi__instance *yoi__registry_find(struct yoi__registry *r, yoi_str id);
struct yoi__instance *yoi__registry_at(struct yoi__registry *r, size_t i);

/* [any] Checks, routes and starts a request; what `start` of
 * yoi/host_registry.h does. */
yoi_status yoi__registry_start(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                               yoi_stream **out, yoi_error *err);
/* [any] The second half, for requests that the host makes itself. The caller
 * holds a reference, which this leaves alone. */
yoi_status yoi__registry_route(struct yoi_embed *host, struct yoi__instance *in,
                               const yoi_request *req, yoi_stream **out, yoi_error *err);

/* request.c: what every request must be, whatever it is for. */
yoi_status yoi__request_check(const yoi_request *r, yoi_str runtime_id, yoi_error *err);
/* The bytes of its texts; and lets them be copies that lie at `at`. */
size_t yoi__request_bytes(const yoi_request *r);
void yoi__request_own(yoi_request *r, char *at);

/* hostops.c: the operations of the host itself. */
yoi_status yoi__hostop_start(struct yoi_embed *host, const yoi_request *req, yoi_stream **out,
                             yoi_error *err);

#endif
