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

struct yoi__worker_call;
struct yoi__worker_asked;
struct yoi__worker_late;

struct yoi__worker {
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
  uint64_t close_id; /* of the CLOSE that came */

  pthread_mutex_t sending;
  struct yoi__channel busy, calm;

  pthread_mutex_t lock;
  pthread_cond_t news; /* of questions, and of calls of a SERIAL plugin */
  struct yoi__worker_call *calls[YOI_ISOLATED_CALLS_MAX];
  struct yoi__worker_call *first, **last; /* those with something to do */
  uint32_t n_calls;                       /* all of them */
  int posted;                             /* the loop will look at them */
  int closing, stopping;                  /* CLOSE came; no call is left then */
  struct yoi__worker_asked *asked; /* questions without an answer */
  uint64_t ask_id;
  struct yoi__worker_late *late, **late_last; /* messages that came while main waited */
};

/* ---- link.c ---------------------------------------------------------------- */

/* [any] Waits for room; without the host there is no reason to live. */
void yoi__worker_send(struct yoi__worker *w, uint32_t kind, uint64_t id, yoi_str body);
/* [any] A question, and its answer: a copy, to be released by the caller, who
 * reads its status first. *out_fd, when it is not NULL: a descriptor, or -1. */
void yoi__worker_ask(struct yoi__worker *w, yoi_str question, struct yoi_sdk_buf *answer,
                     int *out_fd);
/* [loop] What has come over the busy channel. */
void yoi__worker_read(struct yoi__worker *w);
/* Waits for the first message over the calm channel; the caller owns its fd. */
struct yoi__message yoi__worker_first(struct yoi__worker *w);

/* ---- stream.c --------------------------------------------------------------- */

/* [loop] */
void yoi__worker_start(struct yoi__worker *w, uint64_t id, yoi_str request);
void yoi__worker_cancel(struct yoi__worker *w, uint64_t id);
void yoi__worker_release(struct yoi__worker *w, uint64_t id);
void yoi__worker_credit(struct yoi__worker *w, uint64_t id, yoi_str body);
/* [loop] Does what is to be done for calls, for a while. */
void yoi__worker_work(struct yoi__worker *w);
/* [loop] CLOSE came: what is not released is, as if the host had said so. */
void yoi__worker_close_calls(struct yoi__worker *w);
/* [loop] 1: CLOSE came, and nothing is left of any call. */
int yoi__worker_is_done(struct yoi__worker *w);
/* What the thread of a SERIAL plugin runs. */
void *yoi__worker_serial_main(void *w);
/* [any] The token of a call was woken. */
void yoi__worker_woken(void *w, uint64_t id);
/* [loop] A decision: start, one next, release. */
void yoi__worker_decide(struct yoi__worker *w, uint64_t id, yoi_str request);

/* ---- service.c ---------------------------------------------------------------- */

void yoi__worker_host_init(struct yoi__worker *w);
/* The plugin's wake, for tokens of its own. */
void yoi__worker_plugin_woken(void *w, uint64_t cookie);

#endif
