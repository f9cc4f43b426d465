/* host/strand_impl.h - what strand.c and pool.c share: errands, strands, pools.
 *
 * All of it is guarded by the lock of the pool.
 */
#ifndef YOI__STRAND_IMPL_H
#define YOI__STRAND_IMPL_H

#include <pthread.h>
#include <sdk/error.h>

#include "instance.h"
#include "strand.h"

/* yoi__errand.where */
#define YOI__IDLE 0u    /* nothing to do: the queue of results is full, or AGAIN */
#define YOI__QUEUED 1u  /* in its strand's queue */
#define YOI__RUNNING 2u /* a thread is inside the plugin for it */
#define YOI__GONE 3u    /* the plugin's side is over; the holder's may not be */

#define YOI_STRAND_WORKERS (YOI_STRAND_THREADS_MAX + YOI_STRAND_LOST_MAX)

struct yoi__batch; /* the events of one next, copied */

struct yoi__errand {
  yoi_stream head; /* the holder's */
  struct yoi__strand *strand;
  struct yoi__work *work; /* until it was started */
  yoi_stream *inner;      /* the plugin's; called on the strand */
  uint64_t token;         /* the holder's */
  uint64_t news;          /* the plugin's, to wake */
  uint64_t due_ns;        /* when the clock looks at it; 0: never */
  uint32_t slot, where;
  struct yoi__worker *inside; /* RUNNING, until it is written off */
  struct yoi__errand *next;   /* of the strand's queue */

  uint8_t begun;     /* start was called */
  uint8_t cancelled; /* by the holder */
  uint8_t timed;     /* its deadline passed */
  uint8_t told;      /* the plugin's cancel was called */
  uint8_t telling;   /* and runs now, beside what the strand does */
  uint8_t waiting;   /* the last next said AGAIN ... */
  uint8_t woken;     /* ... and there is news since */
  uint8_t armed;     /* the holder was told AGAIN: it is owed a wake */
  uint8_t released;  /* by the holder */
  uint8_t stuck;     /* written off and not back */

  struct yoi__batch *first, **last, *given;
  size_t bytes; /* of what waits */
  yoi_status final;
  struct yoi_sdk_error *why;
};

struct yoi__strand {
  struct yoi__pool *pool;
  struct yoi__instance *in;
  struct yoi__errand *first, **last; /* to be run, in turn */
  int running;                       /* a thread is on it */
  struct yoi__strand *next;          /* of the pool's runnable ones */
  int listed;
};

struct yoi__worker {
  struct yoi__pool *pool;
  pthread_t thread;
  struct yoi__strand *strand; /* that it is on; NULL: none, or it was written off */
  int inside;                 /* the plugin */
  int done;                   /* the thread is at its end */
};

struct yoi__place {
  struct yoi__errand *errand; /* NULL: free */
  uint64_t generation;
};

struct yoi__pool {
  struct yoi_embed *host;
  const yoi_linked_plugin *linked; /* the plugin's code, as in yoi__plugin ... */
  char digest[YOI_SDK_DIGEST_SIZE];
  char id[YOI_PLUGIN_ID_MAX + 1]; /* ... and its name */
  uint32_t strands;               /* [main] */
  struct yoi__pool *next;         /* of the host; [main] */
  struct yoi__holder holder;
  struct yoi__node node; /* of the clock */
  uint64_t timer;        /* of the clock, on loop 0 only; 0: none */
  int cancel_any;        /* YOI_SERIAL_CANCEL */

  pthread_mutex_t lock; /* guards what follows, and all errands and strands */
  pthread_cond_t work, told;
  int stopping; /* set on [main] */
  int ended;    /* the node frees it */
  int tick_posted, ticking, rescan;
  uint64_t armed_ns;                 /* the clock is set for then; 0: it is not */
  struct yoi__strand *first, **last; /* that have work and no thread */
  uint32_t listed;                   /* how many those are */
  uint32_t n, idle, stuck;           /* threads; stuck: in calls that were written off */
  struct yoi__worker workers[YOI_STRAND_WORKERS];
  uint32_t n_places;
  struct yoi__place places[YOI_STRAND_CALLS_MAX];
};

/* What is to be done once the lock is free, since it calls out. */
struct yoi__after {
  uint64_t wake;                /* a holder's token */
  int tick;                     /* post the clock */
  int notify;                   /* somebody may wait for the instance */
  int said_lost, said_refusing; /* log lines that are due */
  int said_again;
  yoi_str name; /* of the instance, for those lines */
  struct yoi__instance *unref;
  uint64_t token_free;
  struct yoi__work *work;     /* to be freed */
  struct yoi__batch *batches; /* to be freed, a list */
  struct yoi__errand *errand; /* to be freed */
};

/* ---- pool.c ------------------------------------------------------------ */
/* [main] The pool of that code, for one more strand; NULL: memory is short. */
struct yoi__pool *yoi__pool_of(struct yoi_embed *host, const struct yoi__plugin *plugin);
/* [main] One strand, which has no call left, less; the last one ends the pool. */
void yoi__pool_give(struct yoi__pool *p);
/* Unlocks and does what is due. */
void yoi__pool_leave(struct yoi__pool *p, struct yoi__after *after);
/* The following with the lock held. */
/* The strand may have work, or has none any more; offer finds a thread for it,
 * NULL for any. */
void yoi__pool_list(struct yoi__pool *p, struct yoi__strand *s);
void yoi__pool_unlist(struct yoi__pool *p, struct yoi__strand *s);
void yoi__pool_offer(struct yoi__pool *p, struct yoi__strand *s);
/* The clock must look again then. */
void yoi__pool_due(struct yoi__pool *p, uint64_t at_ns, struct yoi__after *after);

/* ---- strand.c, with the lock held -------------------------------------- */
/* On a thread of the pool: does one thing for the first errand of the strand.
 * Leaves and takes the lock again. */
void yoi__strand_step(struct yoi__strand *s, struct yoi__worker *w);
/* The clock came to an errand. */
void yoi__errand_due(struct yoi__errand *e, uint64_t now_ns, struct yoi__after *after);
/* The plugin woke it. */
void yoi__errand_news(struct yoi__errand *e, struct yoi__after *after);

void yoi__batches_free(struct yoi__batch *b);
void yoi__errand_free(struct yoi__errand *e);

#endif
