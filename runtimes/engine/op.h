/* op.h - one operation under way, and the stream that its caller holds. */
#ifndef ENG_OP_H
#define ENG_OP_H

#include "ask.h"
#include "read.h"
#include "worker.h"

/*
 *            eng_op_new           eng_op_answer              next
 *   (none) ------------> PENDING ---------------> ANSWERED ------> GIVEN
 *                           | eng_op_fail                     next: END, or
 *                           v                                 WATCHING when
 *                        FAILED (next: the error, for ever)   it follows
 *
 * worker.events begins as WATCHING (watch.c); DONE: END, for ever.
 */
enum eng_op_state {
  ENG_OP_PENDING,
  ENG_OP_ANSWERED,
  ENG_OP_GIVEN,
  ENG_OP_FAILED,
  ENG_OP_WATCHING,
  ENG_OP_DONE,
};

struct eng_batch;
struct eng_artefact;
void eng_artefact_free(struct eng_artefact *a); /* artefact.c */

/* An input that waits behind what is staged, to be accepted or refused. */
struct eng_asked {
  struct eng_ask_input ask;
  struct eng_turn *turn; /* a reference; NULL once it is staged */
};

/* A watcher: where it stands, and what it was given last. */
struct eng_watch {
  struct eng_pos pos;
  uint32_t ring_turn;
  bool attached;  /* it was given something live of turn ring_turn */
  bool replaying; /* reads the store until it is where the worker is */
  bool snapshot;  /* the next event is one */
  bool counted;   /* in eng->watchers and w->n_streams */
  bool denied;    /* follow: a replay that found no room to watch */
  bool turn_seen; /* follow: its turn.ended was given */
  bool over;      /* its end event was given */
  bool asked;     /* a read is under way; it holds a reference of the op */
  bool ready;     /* read holds records that were not given yet */
  size_t read_at; /* the next of them */
  char turn[37];  /* follow: the turn's id, or empty */
  struct eng_bell *bell;
  struct eng_read *read;
  struct eng_batch *batch;
};

struct eng_op {
  yoi_stream head;
  struct eng_worker *w; /* a reference; its lock guards all below */
  atomic_uint refs;
  uint32_t op; /* YOI_OP_* */
  uint8_t state;
  bool follow, once, armed, cancelled, cancel_seen, replay;
  uint64_t token, wake; /* wake: the token that leave has to wake, or 0 */
  struct eng_op *next;  /* in w->waiting, or in eng_after.answered */
  /* the answer */
  char *text;
  yoi_event event;
  const yoi_event *event_at;
  int32_t code;
  uint32_t retry_ms;
  const char *message; /* a literal */
  /* the question */
  char *words;
  yoi_str principal, reason; /* inside words */
  bool keyed;
  struct eng_print key, print;
  struct eng_asked *asked;
  char approval[37]; /* approve: which, and what is said */
  bool allow;
  uint32_t aimed; /* cancel: w->ring_turn of the turn that it is for; 0: any */
  struct eng_watch watch;
  /* worker.transcript */
  struct eng_page *page;
  /* worker.artefact */
  struct eng_artefact *artefact;
};

/* For a worker (a reference is taken) and a request; copies what is kept. */
struct eng_op *eng_op_new(struct eng_worker *w, const yoi_request *req, yoi_str reason);
struct eng_op *eng_op_ref(struct eng_op *op);
void eng_op_unref(struct eng_op *op);

/* w's lock held. Each takes a reference of op over, which leave lets go. */
void eng_op_answer(struct eng_op *op, struct yoi_sdk_buf *text, uint32_t flags,
                   struct eng_after *after);
void eng_op_fail(struct eng_op *op, int32_t code, const char *message, struct eng_after *after);
/* Does what an operation asks for, nothing being staged: answers it or stages
 * its transition. Takes a reference over. */
void eng_op_step(struct eng_op *op, struct eng_after *after);
/* The same for an input that is no replay. (input.c) */
void eng_input_step(struct eng_op *op, struct eng_after *after);
void eng_asked_free(struct eng_asked *a);
/* The same for an approve. (approve.c) */
void eng_approve_step(struct eng_op *op, struct eng_after *after);
/* What start of cancel, stop, delete and approve does with its op, whose
 * reference is taken over. (input.c) */
yoi_status eng_op_submit(struct eng_op *op, yoi_stream **out, yoi_error *err);

/* Answers an ack: of turn_id (may be empty) and a record's sequence. */
void eng_op_ack(struct eng_op *op, yoi_str turn_id, uint64_t sequence, const char *state,
                struct eng_after *after);

/* What start returns for an op that it holds one reference of: the stream,
 * or the error when it failed already. */
yoi_status eng_op_return(struct eng_op *op, yoi_stream **out, yoi_error *err);
yoi_status eng_op_error(const struct eng_op *op, yoi_error *err);

/* watch.c; w's lock held. */
/* Counts the op among the watchers and gives it its bell; limit_reached. */
yoi_status eng_watch_admit(struct eng_op *op, yoi_error *err);
void eng_watch_end(struct eng_op *op);
/* May take the lock itself; called without it, one call at a time. */
yoi_status eng_watch_next(struct eng_op *op, const yoi_event *const **out, size_t *n,
                          yoi_error *err);

#endif
