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
 *   turn.c      turns.lock        slots of turns
 *   told.c      told.lock         what runtimes were told of tools
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
#include "setup.h"
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
  uint32_t reloads_ok, reloads_refused, generation;
  struct yoi__results models, tools;
};

struct yoi__given;
struct yoi__pool;
struct yoi__puts;
struct yoi__sockets;
struct yoi__told;
struct yoi__turns;

struct yoi_embed {
  _Atomic(struct yoi__setup *) setup; /* the current one; setup.h */
  _Atomic uint32_t decides;           /* 1: policy is to be asked or logged in it */
  struct yoi__config *config;         /* its config; [main] */
  struct yoi__setup *setups;          /* all that are held, a list; [main] */
  struct yoi__setup *spare_setups;    /* structs to be used again; [main] */
  uint64_t config_number;             /* of the last one that was made; [main] */
  int step;                           /* as every config of it says */
  int wake;                           /* step mode: an eventfd, for the host's life; else -1 */
  _Atomic uintptr_t stepper;          /* step mode: the thread that started or stepped it last */
  uint32_t forks;                     /* how often this process was forked, at its making */
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
  struct yoi__instance **ingress; /* as in the config */
  struct yoi__bound *bound;       /* of the ingresses */
  struct yoi__sockets *sockets;   /* given to it; configs point there */
  struct yoi__instance *stuck;    /* of setups that are gone, and still called; [main] */
  struct yoi__instance *left;     /* runtimes that were removed and are still held */
  struct yoi__instance *spare;    /* closed ones, to be used again */
  uint64_t serials;               /* of instances; on the control thread or before it */
  struct yoi__pool *pools;        /* of SERIAL plugins; a list */
  struct yoi__calls *calls;
  struct yoi__puts *puts;
  struct yoi__told *told;
  struct yoi__turns *turns;
  struct yoi__drain *drain;
  _Atomic uint32_t phase; /* YOI__* */

  pthread_mutex_t idle_lock;
  pthread_cond_t idle;
  _Atomic uint32_t waiters;
};

/* embed.c. A host of a config that was checked, of which it has a reference of
 * its own. yoi_host_new is this after yoi__config_load. */
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
/* The application's thread: drains runtimes and ingresses that are open. 1: work had
 * to be cancelled, or it failed. */
int yoi__drain_some(struct yoi_embed *host, struct yoi__instance *const *all, size_t n,
                    uint64_t deadline_ns);

/* [main] Says which plugins were found and not taken, and which sockets its config
 * does not use. */
void yoi__log_passed(struct yoi_embed *host);

/* services.c. [main] Warns of secrets that are too short to be scrubbed. */
void yoi__warn_short(struct yoi_embed *host);
/* services.c. [main] Warns of secrets that the config uses and that have no value. */
void yoi__warn_unset(struct yoi_embed *host);

/* A child of fork has a copy of the memory, none of the threads, and shares the
 * descriptors with its parent: there the host is refused. */
int yoi__host_here(const struct yoi_embed *host);
yoi_status yoi__host_mine(const struct yoi_embed *host, yoi_error *err);

/* 1 once new work is refused with shutting_down. */
static inline int yoi__host_ending(struct yoi_embed *host) {
  return atomic_load_explicit(&host->phase, memory_order_acquire) >= YOI__DRAINING;
}

#endif
