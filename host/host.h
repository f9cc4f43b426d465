/* host/host.h - what a host is made of, for the files of libyoi.
 *
 * Locks of the host, none of which is held across a plugin call, a callback
 * or file I/O, and none of which is taken under another, except that who waits
 * under host.idle_lock looks at pool.lock: under that nobody notifies.
 *
 *   loop.c      loop.lock         queue of posts, purges
 *   token.c     shard.lock        slots of tokens; wait_lock
 *   control.c   control.lock      queue of tasks
 *   log.c       log.lock          queue of lines
 *   scrub.c     scrub.lock        which secrets are known
 *   registry.c  registry.lock     adding, removing and listing runtimes
 *   metrics.c   metrics.lock      making a counter
 *   late.c      instance.lock     who waits for a plugin to open
 *   pool.c      pool.lock         calls, queues and threads of a SERIAL plugin
 *   call.c      calls.lock        slots of calls
 *   bundle_sync.c  puts.lock      bundles on their way, and who waits for one
 *   given.c     given.lock        slots of tool calls
 *   isolate/    reading, lock     of a worker process; isolate/isolate.h
 *   embed.c     host.idle_lock    waiting for something to end
 */
#ifndef YOI__HOST_H
#define YOI__HOST_H

#include <pthread.h>
#include <sdk/error.h>
#include <stdatomic.h>
#include <yoi.h>

#include "config.h"
#include "control.h"
#include "instance.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "registry.h"
#include "token.h"

/* yoi_embed.phase
 *
 *   NEW --start--> STARTING --> READY --drain--> DRAINING
 *    ^                |           |                 |
 *    |                | failed    +-----free------->+
 *    |     undone     v                             |
 *    +------------ FREEING <------------------------+
 */
#define YOI__NEW 0u
#define YOI__STARTING 1u
#define YOI__READY 2u
#define YOI__DRAINING 3u
#define YOI__FREEING 4u

/* Metrics of the host itself; ids of metrics.h. */
/* Streams of one kind, by how they ended. */
struct yoi__results {
  uint32_t ok, error, cancelled;
};

struct yoi__counters {
  uint32_t wakes_stale, log_dropped, loop_lag, plugins_mapped;
  struct yoi__results models, tools;
};

struct yoi__given;
struct yoi__pool;
struct yoi__puts;

struct yoi_embed {
  struct yoi__config *config;
  int own_config; /* 0: it is the maker's (unit tests) */
  struct yoi__metrics *metrics;
  struct yoi__counters counters;
  uint64_t began_ns; /* the process; process.h */
  struct yoi__log *log;
  struct yoi__scrub *scrub; /* the config's */
  struct yoi__tokens *tokens;
  struct yoi__given *given;
  struct yoi__loops *loops;
  struct yoi__control *control;
  struct yoi__registry registry;
  struct yoi__instance **models, **ingress, **policies, **tools; /* as in the config */
  struct yoi__bound *bound;                 /* of the ingresses */
  struct yoi__instance *left;               /* runtimes that were removed and are still held */
  struct yoi__instance *spare;              /* closed ones, to be used again */
  uint64_t serials;                         /* of instances; on the control thread or before it */
  struct yoi__pool *pools;                  /* of SERIAL plugins; a list */
  struct yoi__calls *calls;
  struct yoi__puts *puts;
  struct yoi__drain *drain;
  _Atomic uint32_t phase; /* YOI__* */

  pthread_mutex_t idle_lock;
  pthread_cond_t idle;
  _Atomic uint32_t waiters;
};

/* embed.c. A host of a config that was checked; the config stays the
 * caller's. yoi_host_new is this after yoi__config_load. */
yoi_status yoi__host_of(struct yoi__config *config, struct yoi_embed **out, yoi_error *err);

/* Waits until done(ctx), which is asked again after each yoi__host_notify, or
 * until until_ns; in step mode it steps. The result of the last done. Not on a
 * loop, and on the control thread only for what needs no task there. */
int yoi__host_wait(struct yoi_embed *host, int (*done)(void *ctx), void *ctx, uint64_t until_ns);
void yoi__host_notify(struct yoi_embed *host);

/* An error of a plugin's open or start, with what it is about in front. */
yoi_status yoi__cannot(struct yoi__instance *in, const char *what, yoi_status st,
                       struct yoi_sdk_error *e, yoi_error *err);

/* runtimes.c. [main] Opens a runtime and makes it reachable. Takes over memory,
 * also when it fails: what the config lies in, or NULL. */
yoi_status yoi__runtime_open(struct yoi_embed *host, const struct yoi__config_runtime *c,
                             void *memory, yoi_error *err);

/* drain.c: the streams of a drain under way. */
void yoi__drain_free(struct yoi__drain *d);
/* The application's thread: drains one runtime that is open. 1: work had to be
 * cancelled, or it failed. */
int yoi__drain_one(struct yoi_embed *host, struct yoi__instance *in, uint64_t deadline_ns);

/* services.c. [main] Warns of secrets that are too short to be scrubbed. */
void yoi__warn_short(struct yoi_embed *host);

/* 1 once new work is refused with shutting_down. */
static inline int yoi__host_ending(struct yoi_embed *host) {
  return atomic_load_explicit(&host->phase, memory_order_acquire) >= YOI__DRAINING;
}

#endif
