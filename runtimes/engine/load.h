/* load.h - reading a worker's records when it is first asked for, and the
 * operations that wait for it. */
#ifndef ENG_LOAD_H
#define ENG_LOAD_H

#include "worker.h"

struct eng_deferred;

/* Embedded in what waits; see eng_load_wait. */
struct eng_waiter {
  struct eng_deferred *d; /* a reference */
  struct eng_waiter *next;
};

enum eng_waits { ENG_WAIT_NONE, ENG_WAIT_LOADED, ENG_WAIT_FULL, ENG_WAIT_MEMORY };
/* NONE: w is awake, and stays so while the caller has its reference. LOADED:
 * x will be told by eng_deferred_loaded, perhaps before this returns. */
enum eng_waits eng_load_wait(struct eng_worker *w, struct eng_waiter *x);
/* One that was to be read, and may be now. */
void eng_load_begin(struct eng_load *l);
/* Its end is appended, or could not be: it is awake. w's lock held. */
void eng_load_awake(struct eng_load *l);
/* Tells all who waited; without locks. */
void eng_load_over(struct eng_load *l);
/* Loads all that the store says are busy, a few at a time. */
void eng_load_busy(struct eng_engine *eng);
/* At close: nobody is told. */
void eng_load_drop(struct eng_load *l);

/* ---- defer.c ---- */

/* The operation itself, once all of d's workers are awake. */
typedef yoi_status eng_then_fn(struct eng_deferred *d, yoi_stream **out, yoi_error *err);
struct eng_deferred {
  yoi_stream head;
  struct eng_engine *eng;
  atomic_uint refs, missing;
  pthread_mutex_t mu; /* all below up to the question */
  uint8_t state;
  bool armed, cancelled, cancel_seen, released;
  yoi_stream *inner;
  int32_t code;
  uint32_t retry_ms;
  char *message, *details; /* NULL: memory was short */
  /* the question */
  yoi_request req;
  char *words;
  eng_then_fn *then;
  int more; /* of worker.list: see eng_page_workers */
  uint32_t n;
  struct eng_worker **workers; /* references, until it is started */
  struct eng_waiter waiters[];
};
/* Starts an operation once n workers are awake: at once when they are, else
 * *out is a stream that waits for them. References of workers are taken over,
 * the request is copied. */
yoi_status eng_defer(struct eng_engine *eng, const yoi_request *req,
                     struct eng_worker *const *workers, size_t n, int more, eng_then_fn *then,
                     yoi_stream **out, yoi_error *err);
/* One of its workers is awake; code: it could not be loaded. Takes a
 * reference over. */
void eng_deferred_loaded(struct eng_deferred *d, int32_t code, const char *message);
void eng_deferred_unref(struct eng_deferred *d);

#endif
