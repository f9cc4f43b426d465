/* host/isolate/isolate.h - an instance whose plugin runs in a worker process,
 * for the files of this folder and those that open it.
 *
 *   table.c    what the rest of the host calls: tables like a plugin's own
 *   isolate.c  one worker process after the other: started, watched, ended
 *   stream.c   a call in it, and the host's stream over that
 *   serve.c    what it asks; disk.c what of that may wait for a disk
 *
 * Locks. `reading` is held while what came over the busy channel is read and
 * answered; `lock` guards all else and is taken under it. Neither is held across
 * a wake, a callback or a wait; `lock` is held across sends that never wait.
 */
#ifndef YOI__ISOLATE_H
#define YOI__ISOLATE_H

#include <pthread.h>
#include <sys/types.h>

#include "../host.h"
#include "../loader.h"
#include "frame.h"
#include "keeper.h"

struct yoi__batch_far; /* events, as they came */
struct yoi__disk;

/* A call in the worker, and its holder's stream. */
struct yoi__far {
  yoi_stream head;
  struct yoi__isolate *iso;
  uint64_t id;     /* on the wire */
  uint64_t token;  /* the holder's */
  uint64_t due_ns; /* when the clock looks at it */
  struct yoi__batch_far *first, **last, *given;
  uint64_t received, credited, read; /* bytes of events */
  yoi_status final;
  struct yoi_sdk_error *why;
  uint8_t armed;     /* the holder was told AGAIN */
  uint8_t cancelled; /* by the holder */
  uint8_t timed;     /* by the clock */
  uint8_t released;
  uint8_t over; /* no more comes of it; it has no place any more */
};

struct yoi__far_place {
  struct yoi__far *call; /* NULL: free */
  uint64_t generation;
};

struct yoi__isolate {
  struct yoi__instance *in;
  uint32_t home; /* the loop that watches it */
  struct yoi__owner owner;
  uint32_t restarts, quarantined; /* metrics */
  int is_quarantined;             /* [main] and counted */

  pthread_mutex_t reading; /* and what is received over `busy` */
  struct yoi__metrics_own metrics;
  uint64_t log_ns, log_lost; /* a bucket of lines */
  uint32_t log_left;

  pthread_mutex_t lock;
  pthread_cond_t calm_free;
  struct yoi__keeper keeper;
  pid_t pid;            /* 0: there is none */
  uint64_t life;        /* counts them */
  int dead;             /* and not buried */
  const char *why;      /* it is */
  int closing, leaving; /* nothing is posted any more; it was told to end */
  struct yoi__channel busy, calm;
  int calm_taken;
  uint64_t calm_id, calm_late_ns; /* an answer is late; until when */
  struct yoi__far_place *places;
  uint32_t n_places;

  struct yoi__node node; /* of tend */
  int tending;
  int watched, writing; /* on the home loop */
  uint64_t watch_id, timer_id, armed_ns;
  struct yoi__task task; /* of mend */
  struct yoi__disk *disk;
};

/* ---- isolate.c ------------------------------------------------------------ */

/* [main] Of an instance, at its first open; kept over opens. NULL: memory. */
struct yoi__isolate *yoi__isolate_new(struct yoi__instance *in);
/* [main] When nothing refers to it. NULL is accepted. */
void yoi__isolate_free(struct yoi__isolate *iso);
/* [main] What open and close of a plugin do. */
yoi_status yoi__isolate_open(struct yoi__isolate *iso, yoi_error *err);
void yoi__isolate_close(struct yoi__isolate *iso);

/* With the lock held. 1: it can be called. */
static inline int yoi__isolate_ready(const struct yoi__isolate *iso) {
  return iso->keeper.state == YOI__KEEPER_READY && !iso->dead && !iso->closing;
}
/* With the lock held: ends the worker; `why` is a constant text. Afterwards,
 * without it: yoi__isolate_told. */
void yoi__isolate_fail(struct yoi__isolate *iso, const char *why);
/* Without the lock: wakes who waits for calls that are over. */
void yoi__isolate_told(struct yoi__isolate *iso);
/* With the lock held: has the home loop look at deadlines and at what is queued. */
void yoi__isolate_tend(struct yoi__isolate *iso);
/* With the lock held: sends over the busy channel, or ends the worker. */
void yoi__isolate_say(struct yoi__isolate *iso, uint32_t kind, uint64_t id, yoi_str body, int fd);
/* Over the calm channel, until an answer of that kind is there or until until_ns.
 * The answer's body is given to take(ctx), with nothing held. DEADLINE_EXCEEDED,
 * UNAVAILABLE (it is gone, or still owes an answer), or what take says. */
yoi_status yoi__isolate_ask(struct yoi__isolate *iso, uint32_t kind, uint32_t answer, yoi_str body,
                            int fd, uint64_t until_ns, yoi_status (*take)(void *ctx, yoi_str body),
                            void *ctx);
/* A public error: why it cannot be called now. With the lock held. */
yoi_status yoi__isolate_down(const struct yoi__isolate *iso, yoi_error *err);
/* It ended while it was asked. */
yoi_status yoi__isolate_lost(const struct yoi__isolate *iso, yoi_error *err);

/* ---- outfit.c --------------------------------------------------------------- */

/* YOI__OPEN_*: what a call of the plugin may be given under that config, so that
 * its process can give up all else. */
uint32_t yoi__isolate_uses(const struct yoi__config *c, const struct yoi__plugin *p);
/* 1: the folder too; *out_writable: to write into. */
int yoi__isolate_mount(const struct yoi__config *c, const struct yoi__plugin *p,
                       const struct yoi__mount *m, int *out_writable);

/* ---- stream.c --------------------------------------------------------------- */

/* [any] Starts a call with that request, as it is on the wire. */
yoi_status yoi__far_start(struct yoi__isolate *iso, yoi_str request, uint64_t token,
                          uint64_t deadline_ns, yoi_stream **out, yoi_error *err);
/* [any] A decision: waits for it until deadline_ns. */
yoi_status yoi__far_decide(struct yoi__isolate *iso, yoi_str request, uint64_t deadline_ns,
                           yoi_stream **out, yoi_error *err);
/* EVENTS came; NULL, or a breach: a constant text. *out_wake is a token or 0. */
const char *yoi__far_events(struct yoi__isolate *iso, uint64_t id, yoi_str body,
                            uint64_t *out_wake);
/* With the lock held. The first time at which one of the calls is to be looked
 * at, UINT64_MAX: none; those that are due before now are. */
uint64_t yoi__far_due(struct yoi__isolate *iso, uint64_t now_ns);
/* With the lock held: all are over. */
void yoi__far_fail_all(struct yoi__isolate *iso);

/* ---- serve.c, disk.c ----------------------------------------------------------- */

/* With `reading` held. NULL, or a breach: a constant text. */
const char *yoi__serve_ask(struct yoi__isolate *iso, uint64_t id, yoi_str body);
const char *yoi__serve_tell(struct yoi__isolate *iso, yoi_str body);
/* How each answer begins. */
void yoi__serve_begin(struct yoi_sdk_buf *out, yoi_status st, const yoi_error *err);
/* Answers a question of that life, when it still is. Takes over fd. */
void yoi__serve_answer(struct yoi__isolate *iso, uint64_t life, uint64_t id, yoi_str body, int fd);

/* Opens what is in a mount, on a thread of its own. 0: too much is asked. */
int yoi__disk_open(struct yoi__isolate *iso, uint64_t id, uint64_t call, yoi_str mount,
                   yoi_str path, uint32_t flags);
/* [main] Ends the thread. */
void yoi__disk_free(struct yoi__disk *d);

#endif
