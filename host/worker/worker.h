/* host/worker/worker.h - the program yoi-worker: one plugin, one instance of it,
 * and the socket to the host that it belongs to.
 *
 *   main.c      from the first message to the last; the plugin's file
 *   link.c      messages, in both directions at once
 *   stream.c    calls: started, polled, cancelled, released
 *   service.c   what the plugin finds behind its yoi_host
 *
 * Threads. The main one runs the loop, reads the socket and calls a PARALLEL
 * plugin. A SERIAL one is called by a second thread, so that what comes for it
 * meanwhile is read. The plugin may have threads of its own, which call services.
 *
 * Locks: `lock` guards calls and questions, `sending` one message at a time on the
 * busy channel. Neither is held across a call of the plugin, nor under the other.
 */
#ifndef YOI__WORKER_H
#define YOI__WORKER_H

#include <pthread.h>

#include "../isolate/wire.h"
#include "../loader.h"
#include "../loop.h"
#include "../token.h"

struct worker_call;
struct worker_asked;
struct worker_late;

struct worker {
  yoi_host host; /* what the plugin sees; ctx is this struct */
  struct yoi__plugin plugin;
  void *self;
  yoi_str config;
  uint32_t log_level;
  int serial, cancel_any;

  struct yoi__loops *loops;
  struct yoi__owner owner; /* the plugin's */
  struct yoi__tokens *tokens;
  _Atomic uint64_t stale;
  struct yoi__holder calls_holder, plugin_holder;
  pthread_t main;
  int closing; /* CLOSE came; its id */
  uint64_t close_id;

  pthread_mutex_t sending;
  struct yoi__channel busy, calm;

  pthread_mutex_t lock;
  pthread_cond_t news; /* of questions, and of calls of a SERIAL plugin */
  struct worker_call *calls[YOI_ISOLATED_CALLS_MAX];
  struct worker_call *first, **last; /* those with something to do */
  int posted;                        /* the loop will look at them */
  int stopping;
  struct worker_asked *asked; /* questions without an answer */
  uint64_t ask_id;
  struct worker_late *late, **late_last; /* messages that came while main waited */
};

/* ---- link.c ---------------------------------------------------------------- */

/* [any] Waits for room; without the host there is no reason to live. */
void worker_send(struct worker *w, uint32_t kind, uint64_t id, yoi_str body);
/* [any] A question, and its answer: a copy, to be released by the caller, who
 * reads its status first. *out_fd, when it is not NULL: a descriptor, or -1. */
void worker_ask(struct worker *w, yoi_str question, struct yoi_sdk_buf *answer, int *out_fd);
/* [loop] What has come over the busy channel. */
void worker_read(struct worker *w);
/* Waits for the first message over the calm channel; the caller owns its fd. */
struct yoi__message worker_first(struct worker *w);

/* ---- stream.c --------------------------------------------------------------- */

/* [loop] */
void worker_start(struct worker *w, uint64_t id, yoi_str request);
void worker_cancel(struct worker *w, uint64_t id);
void worker_release(struct worker *w, uint64_t id);
void worker_credit(struct worker *w, uint64_t id, yoi_str body);
/* [loop] Does what is to be done for calls, for a while. */
void worker_work(struct worker *w);
/* What the thread of a SERIAL plugin runs. */
void *worker_serial_main(void *w);
/* [any] The token of a call was woken. */
void worker_woken(void *w, uint64_t id);
/* [loop] A decision: start, one next, release. */
void worker_decide(struct worker *w, uint64_t id, yoi_str request);

/* ---- service.c ---------------------------------------------------------------- */

void worker_host_init(struct worker *w);
/* The plugin's wake, for tokens of its own. */
void worker_plugin_woken(void *w, uint64_t cookie);

#endif
