/* worker.h - one worker: its state, its history's index, what is staged and
 * who waits and watches. */
#ifndef ENG_WORKER_H
#define ENG_WORKER_H

#include "core.h"
#include "idem.h"
#include "resolved.h"
#include "ring.h"
#include "uncertain.h"

/*
 *            create          input                cancel_requested
 *   (none) --------> CREATING      +-----> RUNNING ------------+
 *                      |   append  |         |                 |
 *               failed |   done    |         | turn.ended      | turn.ended
 *                      v           |         v                 |
 *                    GONE  <---+   +------ IDLE <--------------+
 *                              |   (or the next that waits: queue.c)
 *                              |             |   RUNNING too
 *                       delete +-- STOPPED <-+ stop
 *                              |
 *                       delete +-- CORRUPT: its records could not be understood
 *                                  when it was loaded (replay.c)
 *
 * While a person is asked whether a tool may run, RUNNING is called AWAITING:
 * all edges are the same.
 *
 * Edges are the applied transitions of worker.c (eng_what); a state is never
 * shown before its append has completed.
 *
 * In a store that outlives the process a worker is asleep until it is asked
 * for: then it has no more than what its store named, and `state` is what its
 * mark said.
 *
 *        open            load.c: records are read    interrupted turn's end
 *   ASLEEP <---+  ASLEEP --------------------------> appended -----> AWAKE
 *              +------------------------------------------------------+
 *                sleep.c: idle, stopped or corrupt, and nobody has it
 */
enum eng_state {
  ENG_CREATING,
  ENG_IDLE,
  ENG_RUNNING,
  ENG_AWAITING,
  ENG_STOPPED,
  ENG_CORRUPT,
  ENG_GONE
};
const char *eng_state_name(enum eng_state s);

/* One message of the history, as transcript and context need it. */
struct eng_item {
  uint64_t sequence;
  uint32_t bytes; /* of its text, roughly */
  uint32_t flags;
};
#define ENG_ITEM_FIRST 1u /* a turn, or a note between turns, begins here */
#define ENG_ITEM_APART 2u /* an input that had to wait: see eng_begun */

/* The distinct tokens of those who watch one worker. */
struct eng_bell {
  uint64_t token;
  uint32_t streams;
  enum { ENG_BELL_QUIET, ENG_BELL_ARMED, ENG_BELL_DUE } state;
  struct eng_bell *next;        /* all */
  struct eng_bell *prev, *succ; /* in `armed` or `due` */
};

struct eng_queue;
struct eng_end_of;

struct eng_worker {
  struct eng_entry entry; /* first: the directory's */
  struct eng_engine *eng;
  atomic_uint refs;
  _Atomic uint8_t state; /* enum eng_state; written under mu, peeked at by list */
  atomic_bool awake;     /* cleared under mu and dir_mu, with no reference but theirs */
  bool resting;          /* the store is told that it sleeps: not to be read yet */
  bool used;             /* in the list of sleep.c; uses.mu */
  bool keyed;            /* its create had a key */
  bool bundled;          /* it was made of `bundle` */
  bool kept;             /* in the keep list */
  bool listed;
  bool held;       /* cancel and what is like it waits: a tool is being started */
  bool stop_ended; /* stop ended a turn: that of last_end */
  pthread_mutex_t mu;
  uint64_t epoch;
  uint32_t cursor_worker;
  uint32_t ring_turn;  /* counts turns: whose frames the ring has */
  struct eng_pos last; /* of the last frame that was emitted */
  struct eng_log *log;
  uint64_t history_bytes;
  uint64_t created_ns, stop_sequence;
  uint64_t store_errors, store_error_ns; /* appends of it that failed */
  uint64_t corrupt_ns;                   /* when that was found */
  struct eng_spec *spec;                 /* a reference */
  char *fixed;                           /* JSON members that never change, see shapes.c */
  yoi_str intent;                        /* its JSON, inside fixed */
  struct eng_print key, print;           /* of the create */
  uint8_t bundle[YOI_SDK_SHA256_SIZE];   /* a digest */
  struct eng_item *items;
  uint32_t n_items, cap_items;
  struct eng_turn *turn;      /* RUNNING only */
  struct eng_queue *queue;    /* NULL: no input ever had to wait */
  struct eng_frame *last_end; /* turn.ended of the last turn, or NULL */
  struct eng_turn *owed;      /* references: ended, but not in the history */
  struct eng_ring *ring;
  struct eng_frame *snapshot; /* of `last`, or NULL */
  struct eng_idem idem;
  struct eng_uncertain uncertain;
  struct eng_resolved resolved;
  struct eng_stage *stage; /* the one append under way */
  struct eng_op *waiting, *waiting_last;
  struct eng_bell *bells, *armed, *due;
  uint32_t n_waiting, n_streams, n_owed;
  struct eng_worker *keep_prev, *keep_next; /* keep.mu */
  uint64_t keep_until;
  struct eng_load *load;                  /* its records are read, or its end is appended */
  struct eng_worker *use_prev, *use_next; /* uses.mu */
  char id[];
};

/* A worker in CREATING with one reference; key: of its create, or NULL. NULL:
 * memory is short. */
struct eng_worker *eng_worker_new(struct eng_engine *eng, yoi_str id, const struct eng_print *key,
                                  yoi_str bundle);
/* One that the store named, asleep; takes the log over unless it returns
 * NULL: memory is short. */
struct eng_worker *eng_worker_found(struct eng_engine *eng, const struct eng_found *f);
/* What its records said is forgotten; the lock is held, or nobody has it. */
void eng_worker_clear(struct eng_worker *w);
struct eng_worker *eng_worker_ref(struct eng_worker *w);
/* Unless the last reference is just being let go. */
bool eng_worker_try_ref(struct eng_worker *w);
void eng_worker_unref(struct eng_worker *w);

/* What is to be done once the lock is given back. */
struct eng_after {
  struct eng_op *answered; /* references; woken and let go */
  struct eng_turn *kick;   /* references */
  struct eng_turn *begun;
  struct eng_stage *write; /* staged, to be appended */
  uint32_t events;
  bool bells, timer;
  uint32_t over[ENG_ENDED_COUNT]; /* turns that ended */
  bool ran;                       /* one that had begun ended, after took_ns */
  uint64_t took_ns;
};
/* Lets the next queued turn begin if nothing else does; unlocks w and does
 * the rest. */
void eng_worker_leave(struct eng_worker *w, struct eng_after *after);

/* ---- all below: w->mu held ---- */

/* The transitions. */
enum eng_what {
  ENG_DO_CREATE,    /* worker.created */
  ENG_DO_INPUT,     /* input.accepted, turn.started */
  ENG_DO_QUEUE,     /* input.accepted: it waits */
  ENG_DO_INTERRUPT, /* the same, and turn.cancel_requested of the running turn */
  ENG_DO_NOTE,      /* input.accepted of kind system */
  ENG_DO_CANCEL,    /* turn.cancel_requested */
  ENG_DO_STEP,      /* message.completed, tool.*: the turn goes on */
  ENG_DO_APPROVE,   /* tool.approval_resolved, and the result when it is denied */
  ENG_DO_END,       /* ... and turn.ended, and turn.started of the next */
  ENG_DO_BEGIN,     /* turn.started of the next alone */
  ENG_DO_DROP,      /* turn.ended of all that wait */
  ENG_DO_CLOSE,     /* what is owed, and nothing else */
  ENG_DO_STOP,      /* turn.ended of all turns, worker.stopped */
  ENG_DO_DELETE,    /* removes the history */
};
struct eng_stage {
  struct eng_ticket ticket;
  struct eng_worker *w; /* a reference */
  enum eng_what what;
  enum eng_mark mark;
  struct eng_op *op;     /* a reference: who is answered; NULL: the turn */
  struct eng_turn *turn; /* a reference: that is accepted, or that goes on */
  struct eng_idem_entry idem;
  bool keyed;
  bool begins;         /* its last frame is turn.started of the first in the queue */
  uint32_t owed;       /* its first frames are those of w->owed */
  uint64_t begun_mono; /* the append */
  uint32_t n, cap;
  struct eng_frame *frames[];
};
/* For at most n frames beside what is owed, which is there already; NULL:
 * memory is short. Nothing else may be staged. */
struct eng_stage *eng_stage_new(struct eng_worker *w, enum eng_what what, uint32_t n);
void eng_stage_free(struct eng_stage *s);
/* The position of the next record to be added. */
struct eng_pos eng_stage_pos(const struct eng_stage *s);
/* Takes the frame over; a NULL one makes the stage useless: commit says so. */
void eng_stage_add(struct eng_stage *s, struct eng_frame *f);
/* Stages it, to be written by leave; 0: memory was short, and s is freed. */
int eng_stage_commit(struct eng_stage *s, struct eng_after *after);

/* A record is shown: indexed and counted; apart: see ENG_ITEM_APART. There is
 * room in items. */
void eng_worker_index(struct eng_worker *w, const struct eng_frame *f, bool apart);
/* Emits a frame that is no record. NULL is accepted: memory was short, and
 * watchers who need it will be told to start anew. */
void eng_worker_emit(struct eng_worker *w, struct eng_frame *f, struct eng_after *after);
/* Position of the next live frame. */
struct eng_pos eng_worker_next_pos(const struct eng_worker *w);
/* The cursor text of a position. */
yoi_str eng_worker_cursor(const struct eng_worker *w, struct eng_pos pos,
                          char buf[ENG_CURSOR_SIZE]);
/* A snapshot of now for all who watch: what no record says has changed. */
void eng_worker_emit_snapshot(struct eng_worker *w, struct eng_after *after);
/* t, whose reference is taken over, ended as `end` says; its turn.ended is to
 * be appended. */
void eng_worker_owe(struct eng_worker *w, struct eng_turn *t, const struct eng_end_of *end);
/* Stages what is owed alone; 0: memory is short. Nothing is staged. */
int eng_worker_pay(struct eng_worker *w, struct eng_after *after);
/* What is owed will never be appended. */
void eng_worker_forgive(struct eng_worker *w);
void eng_worker_drop_ring(struct eng_worker *w);

/* Bells. attach: NULL for token 0 or when memory is short (*ok says). */
struct eng_bell *eng_bell_attach(struct eng_worker *w, uint64_t token, bool *ok);
void eng_bell_detach(struct eng_worker *w, struct eng_bell *b);
void eng_bell_arm(struct eng_worker *w, struct eng_bell *b);
/* That bell alone, or all armed ones, are to be rung by leave. */
void eng_bell_due(struct eng_worker *w, struct eng_bell *b, struct eng_after *after);
void eng_bells_due(struct eng_worker *w, struct eng_after *after);

/* Without the lock: what waited because of `held` goes on. */
void eng_worker_unhold(struct eng_worker *w);
/* A turn that a record says waits for a person is the running one; its
 * reference is taken over. */
void eng_worker_resume(struct eng_worker *w, struct eng_turn *t, struct eng_after *after);
/* An operation waits behind what is staged; 0: too many do. */
int eng_worker_wait(struct eng_worker *w, struct eng_op *op);

#endif
