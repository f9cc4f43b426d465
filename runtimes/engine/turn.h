/* turn.h - one turn of one worker: an object from its acceptance until its
 * turn.ended is appended. */
#ifndef ENG_TURN_H
#define ENG_TURN_H

#include "call.h"
#include "context.h"
#include "read.h"
#include "worker.h"

/*
 *   QUEUED (queue.c; at once when the worker is idle)
 *      |
 *      v turn.started   context read            model's END
 *      +------> CONTEXT ---------------> MODEL ----------------> WRITING
 *                ^  ^                    |                      |   |
 *                |  +-- ENG_DO_STEP, no call is open -----------+   |
 *                |                       |                      |   |
 *                +- all have results - TOOLS <- some are open --+   |
 *                     (tools.c)          |                          |
 *                                        | cancel, limit, error     | ENG_DO_END
 *                                        +-------> WRITING -------> ENDED
 *                          worker.stop, from any state: ENG_DO_STOP --^
 *
 * Steps run as tasks on the turn's loop (turn_task); `state` and all that is
 * marked so below are guarded by the worker's lock, the rest belongs to the
 * loop.
 */
enum eng_turn_state {
  ENG_TURN_QUEUED,
  ENG_TURN_CONTEXT,
  ENG_TURN_MODEL,
  ENG_TURN_TOOLS,
  ENG_TURN_WRITING,
  ENG_TURN_ENDED
};

/* -1: unknown. */
struct eng_usage {
  int64_t input, output, cached, reasoning;
};

/* How a turn ends. */
struct eng_end_of {
  enum eng_ended ended;
  const char *reason;  /* of YOI_TURN_ENDS */
  int32_t code;        /* of turn.error; 0: none */
  const char *message; /* of turn.error */
  const char *kind;    /* of a model error, or NULL */
  bool retryable;
};

/* Why it must end, once something else than its model says so. */
enum eng_cut { ENG_CUT_NONE, ENG_CUT_CANCEL, ENG_CUT_DRAIN };

struct eng_turn {
  struct eng_worker *w; /* a reference */
  atomic_uint refs;
  _Atomic uint32_t busy; /* no task | posted or running | and once more */
  uint32_t loop, slot, generation;
  char id[37];
  char *words;
  yoi_str request_id, trace, principal; /* in words; principal: whose input it is */
  uint64_t accepted_mono;               /* its input came */

  /* the worker's lock */
  enum eng_turn_state state;
  enum eng_cut cut;
  uint64_t cancel_sequence;
  uint64_t started_wall, started_mono; /* 0: it has not begun */
  uint64_t ended_wall, ended_mono;     /* of one that ended in memory */
  uint64_t took_ns;                    /* since accepted_mono, once its end is written down */
  struct eng_turn *next;               /* in the queue, or in w->owed */
  uint64_t input_sequence;             /* of its input.accepted */
  uint32_t input_bytes;
  bool front;           /* it interrupts: before all that wait */
  struct eng_pos begun; /* of the last frame before its turn.started */
  uint32_t n_begun;     /* of the queue's, with itself: what its model is shown */
  uint32_t step;        /* of the model call that runs, from 1 */
  struct yoi_sdk_buf text, reasoning;
  struct eng_usage usage; /* of all steps; meaningful when has_usage */
  bool has_usage;
  struct eng_ring *ring; /* until it begins: the buffer it will have */
  bool lost;             /* it was found interrupted: no loop has it */

  /* its loop */
  uint64_t token, timer;
  uint64_t host_turn; /* the host's: what config it keeps to; 0: none */
  bool expired, cleaned;
  bool complete;       /* the model's answer is, and waits to be staged */
  bool failed;         /* `end` says how */
  atomic_bool reading; /* a read is under way; it holds a reference */
  yoi_stream *model;
  bool model_over; /* it said END or an error */
  bool counted;    /* policy was told what all of the turn may use */
  bool step_spoke; /* it said something */
  uint64_t step_mono;
  struct eng_context *context;
  struct eng_read *read;
  struct eng_call *calls; /* of the last answer; changed by the loop, see call.h */
  uint32_t n_calls;
  size_t call_bytes;         /* of all calls */
  struct eng_print repeated; /* the last call, and how often it was made in a row */
  uint32_t repeats;
  uint64_t tool_timer, tool_due;
  uint64_t paused_mono; /* since when people are waited for; 0: they are not */
  uint64_t waited_ns;   /* for them, before that */
  bool parked;          /* in a drain: it waits for a person, and nothing else */
  struct eng_usage step_usage;
  bool step_has_usage, incomplete_usage;
  enum {
    ENG_FINISH_NONE,
    ENG_FINISH_STOP,
    ENG_FINISH_LENGTH,
    ENG_FINISH_FILTER,
    ENG_FINISH_TOOLS
  } finish;
  uint64_t spent_bytes; /* sent and received where no usage is known */
  uint64_t step_bytes;  /* the same of the step that runs */
  uint64_t tool_bytes;
  struct eng_end_of end;
};

/* With one reference and a slot; NULL: memory is short. */
struct eng_turn *eng_turn_new(struct eng_worker *w, const yoi_request *req);
/* The same with an id from a record. */
struct eng_turn *eng_turn_found(struct eng_worker *w, const char id[37], yoi_str principal);
/* It starts now. The lock of w is held, as in the next one. */
void eng_turn_starts(struct eng_turn *t);
struct eng_turn *eng_turn_ref(struct eng_turn *t);
void eng_turn_unref(struct eng_turn *t);
/* Frees it whatever refers to it: at close, when nothing runs any more. */
void eng_turn_destroy(struct eng_turn *t);
/* The running turn of w ends although nothing could be appended: owed, see
 * worker.c. */
void eng_turn_end_in_memory(struct eng_worker *w, const struct eng_end_of *end,
                            struct eng_after *after);
/* Lets a task of its loop look at it. [any], without locks. */
void eng_turn_kick(struct eng_turn *t);
void eng_turn_wake(struct eng_engine *eng, uint64_t cookie);

/* model.c: the stream of one step. */
/* Polls once: OK: something came; AGAIN; END: the step is complete; an
 * error: t->end says how the turn ends. */
yoi_status eng_model_poll(struct eng_turn *t);
yoi_status eng_model_start(struct eng_turn *t);
void eng_model_release(struct eng_turn *t);
/* Loop. Its time runs, or stands still while people are waited for. */
void eng_turn_clock(struct eng_turn *t, bool on);
/* When it must have ended, monotonic. */
uint64_t eng_turn_until(const struct eng_turn *t);
/* It fails: the host has no token or timer left. */
void eng_turn_short_of_host(struct eng_turn *t);
/* Locked, nothing staged: it ends for want of memory. */
void eng_turn_short(struct eng_turn *t, struct eng_after *after);
/* Tokens spent, counted or estimated. */
uint64_t eng_turn_tokens(const struct eng_turn *t);

#endif
