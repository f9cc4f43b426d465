/* call.h - one call of a tool, from a model's answer until its result. */
#ifndef ENG_CALL_H
#define ENG_CALL_H

#include <sdk/id.h>
#include <yoi/host_tool.h>

#include "frame.h"
#include "idem.h"
#include "spec.h"

struct eng_turn;
struct eng_stage;
struct eng_worker;

/*
 *            decide: policy.decided and ...
 *   NEW --+-- tool.started -----------------> STARTED --+
 *         |                                     ^       | tool.completed
 *         +-- tool.approval_requested --> WAITS |       |
 *         |                                 |   |       v
 *         |   tool.approval_resolved: allow v   |     OVER
 *         |                            APPROVED-+       ^
 *         +-- tool.completed: refused, denied ----------+
 *
 * Each edge is an append. What is started has been written down before; from
 * WAITS and APPROVED the result may come too: denied, expired, cancelled.
 */
enum eng_call_state {
  ENG_CALL_NEW,
  ENG_CALL_WAITS,
  ENG_CALL_APPROVED,
  ENG_CALL_STARTED,
  ENG_CALL_OVER
};

enum eng_call_status {
  ENG_CALL_OK,
  ENG_CALL_ERROR,
  ENG_CALL_UNCERTAIN,
  ENG_CALL_CANCELLED,
  ENG_CALL_DENIED
};

/* Its result, once that is known: not in the history before tool.completed. */
struct eng_outcome {
  enum eng_call_status status;
  int32_t code; /* of the item's error; 0: none */
  char message[YOI_ERROR_MESSAGE_MAX];
};

struct eng_call {
  char *text; /* owned; the three stand in it */
  yoi_str id, name, arguments;
  bool broken;                      /* arguments were no JSON object; they stand as {} */
  const struct eng_spec_tool *tool; /* NULL: there is none of that name */
  struct eng_print print;           /* of name and arguments */

  /* the worker's lock */
  _Atomic uint8_t state;       /* enum eng_call_state; the loop looks without it */
  _Atomic uint8_t next;        /* once what is staged is applied; NEW: as it is */
  enum eng_call_status status; /* with next OVER: of its result */
  bool recorded;               /* tool.requested is in the history */
  bool allowed;                /* APPROVED: it was; OVER: it had been */
  char approval[37];           /* id; empty: nobody was asked */
  struct eng_frame *asked;     /* tool.approval_requested, a reference */
  uint64_t expires;            /* wall time, of the approval */
  uint64_t resolved;           /* sequence of tool.approval_resolved; 0: it is open */
  char *approver;              /* principal; owned */
  bool expired;                /* nobody has answered in time */
  bool begun;                  /* its tool may have run */

  /* the turn's loop */
  bool judged;              /* `said` is what the host decided */
  bool ended;               /* `outcome` is known, and not yet in the history */
  bool stopped, late, full; /* cancelled; because of its deadline; it said too much */
  yoi_tool_decision said;
  char digest[YOI_SDK_DIGEST_SIZE]; /* of the plugin that was judged; may be empty */
  struct eng_outcome outcome;
  yoi_stream *stream;
  uint64_t until; /* monotonic: its deadline; once it is stopped, of its grace */
  struct yoi_sdk_buf output;
  char tail[4]; /* the beginning of a character, whose rest comes next */
  size_t n_tail;
  size_t progress; /* bytes that watchers were shown */
};

/* Takes what a model asks for into the turn: {"id","name","arguments"}. An
 * error: why the answer is refused, a kind of a model error. */
const char *eng_call_take(struct eng_turn *t, yoi_str text);
/* The same from a record of this engine, which it must be. 0: memory is
 * short, or it is none. */
int eng_call_restore(struct eng_turn *t, yoi_str text);
/* The print of one in a record; 0: memory is short, or it is none. */
int eng_call_print(yoi_str text, struct eng_print *out);
/* On the turn's loop, or when nobody else has it. Forgets them all. */
void eng_calls_clear(struct eng_turn *t);

/* Twice is as good as once. */
bool eng_call_is_harmless(const struct eng_call *c);
/* Loop. The result of a call that was not started, or has ended. */
void eng_call_end(struct eng_call *c, enum eng_call_status status, int32_t code, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));

/* The worker's lock. */
/* How many have no result in the history, though they are there. */
uint32_t eng_calls_open(const struct eng_turn *t);
/* Adds a result for each of these: the known one when own (the loop's call),
 * else uncertain for what may have had an effect, and cancelled. */
void eng_calls_stage_ends(struct eng_stage *s, struct eng_turn *t, bool own);
/* What was staged is applied. */
void eng_calls_applied(struct eng_turn *t);
/* What was staged is not: the append failed. NULL is accepted. */
void eng_calls_unstage(struct eng_turn *t);
/* One waits for a person. */
bool eng_calls_wait(const struct eng_turn *t);

#endif
