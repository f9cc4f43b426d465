/* host/instance.h - one opened plugin: a runtime, model, ingress, policy or
 * tool.
 *
 *            open                 shut              refs are 0
 *  DECLARED ------> OPENING ---> OPEN ---> DRAINING ----------> CLOSING --> CLOSED
 *      ^               |
 *      |  (models try  | open failed
 *      |   again)      v
 *      +------------ FAILED
 *
 * A reference keeps an instance open: each stream that the host handed out
 * holds one. Taking one is an atomic addition and fails once shut was called.
 * Instances are freed with their host, so a pointer to one never dangles; a
 * closed one may be used again for something else, which its serial says.
 */
#ifndef YOI__INSTANCE_H
#define YOI__INSTANCE_H

#include <pthread.h>
#include <sdk/error.h>
#include <stdatomic.h>
#include <yoi/host.h>

#include "config.h"
#include "control.h"
#include "loop.h"
#include "token.h"

/* yoi__instance.state */
#define YOI__DECLARED 0u
#define YOI__OPENING 1u
#define YOI__OPEN 2u
#define YOI__SHUT 3u /* DRAINING above */
#define YOI__CLOSING 4u
#define YOI__CLOSED 5u
#define YOI__FAILED 6u

struct yoi_embed;
struct yoi__gate;
struct yoi__setup;
struct yoi__stream;
struct yoi__strand;
struct yoi__isolate;

struct yoi__instance {
  yoi_host host; /* what the plugin sees; ctx is this struct */
  struct yoi_embed *top;
  struct yoi__config *from; /* a reference: what config, plugin and name lie in */
  const struct yoi__config_instance *config;
  struct yoi__plugin *plugin;
  yoi_str name;    /* runtime id, model name, an ingress' address, or the plugin */
  uint64_t serial; /* of this use of the struct; read with a reference */
  const struct yoi__config_runtime *entry; /* runtimes: what holds before routing */
  void *memory;                            /* of the config, when the entry came later; else NULL */
  _Atomic uint32_t deadline_ms;            /* runtimes: of unary operations */
  _Atomic(struct yoi__setup *) ahead;      /* a reference; see setup.h */
  void *self;
  struct yoi__gate *gate;     /* of one that stands where a runtime is replaced; gate.h */
  struct yoi__isolate *isolate; /* of an isolated plugin, from its first open on */
  struct yoi__strand *strand; /* of a SERIAL plugin: its functions are called there */
  _Atomic uint32_t state;
  _Atomic uint32_t early;        /* a wake came while open ran */
  _Atomic uint64_t last_seen_ns; /* wall clock of the last answer; 0: never */
  struct yoi__holder holder;
  struct yoi__owner owner;
  _Atomic uint64_t refs; /* and the bit that refuses more */

  uint32_t shared;            /* setups that have it; [main] */
  struct yoi__instance *next; /* of the host's `left` or `spare` */

  pthread_mutex_t lock;          /* guards `waiting` and `said_name` */
  yoi_str said_name;             /* runtimes: the last that it gave itself, as JSON; or empty */
  struct yoi__stream *waiting;   /* streams that wait for the open; late.c */
  struct yoi__task open_task;    /* of what opens late; else without a function */
  struct yoi__task refresh_task; /* of its secrets */
};

/* [main] kind and plugin come from the entry `config`, which lies in `from`.
 * NULL: memory is short. */
struct yoi__instance *yoi__instance_new(struct yoi_embed *top, struct yoi__config *from,
                                        const struct yoi__config_instance *config, yoi_str name);
/* [main] Closed or never opened. free is for the end of the host; before that
 * it is forgotten: kept to be used again, since look-ups may still meet it. */
void yoi__instance_free(struct yoi__instance *in);
void yoi__instance_forget(struct yoi__instance *in);

/* [main] Loads the plugin if need be and opens. The error is public. */
yoi_status yoi__instance_open(struct yoi__instance *in, yoi_error *err);
/* [any] 1: a reference was taken. */
int yoi__instance_ref(struct yoi__instance *in);
/* [any] */
void yoi__instance_unref(struct yoi__instance *in);
/* [any] No reference is given out any more. */
void yoi__instance_shut(struct yoi__instance *in);
/* [main] Of one that was shut and not closed: as if it had not been. */
void yoi__instance_reopen(struct yoi__instance *in);
/* 1: shut, and only calls that were written off hold references. */
int yoi__instance_unreferenced(void *in);
/* [main] Shuts, waits for the references, takes away watches, timers, posts
 * and tokens, calls close. What is still referenced after a while stays open:
 * that is logged. */
void yoi__instance_close(struct yoi__instance *in);

/* services.c: the interfaces of yoi/host_*.h by id; the task behind `refresh`
 * of yoi.host.secret/1. */
const void *yoi__service(const struct yoi__instance *in, yoi_str id);
void yoi__refresh_secrets(void *instance);

#endif
