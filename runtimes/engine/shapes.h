/* shapes.h - the JSON that callers and watchers get. The worker's lock is
 * held in all of them. */
#ifndef ENG_SHAPES_H
#define ENG_SHAPES_H

#include <sdk/jsonw.h>

#include "ask.h"
#include "turn.h"
#include "worker.h"

/* w->fixed, of a create; 0: memory is short. */
int eng_shape_fixed(struct eng_worker *w, const struct eng_ask_create *a);
/* The worker object; detail adds spec. */
void eng_shape_worker(struct yoi_sdk_jsonw *w, const struct eng_worker *worker, int detail);
/* The same as it will be in that state, at that position. */
void eng_shape_worker_as(struct yoi_sdk_jsonw *w, const struct eng_worker *worker,
                         enum eng_state state, struct eng_pos last, int detail);
/* The turn object of a running turn, or of one that ends as `end` says. */
void eng_shape_turn(struct yoi_sdk_jsonw *w, const struct eng_turn *t, const struct eng_end_of *end,
                    uint64_t now_wall, uint64_t now_mono);
void eng_shape_usage(struct yoi_sdk_jsonw *w, const struct eng_usage *u);
/* One diagnostic, of the array that is open. */
void eng_shape_diagnostic(struct yoi_sdk_jsonw *w, const struct eng_amiss *a);
/* Appends that failed, as one. */
void eng_shape_store_errors(struct yoi_sdk_jsonw *w, uint64_t store_errors, uint64_t last_ns);
/* A transcript item from a record; 0: the record is none. */
int eng_shape_item(struct yoi_sdk_jsonw *w, const struct eng_frame *f);
/* The snapshot of now, with the position that it includes. */
struct eng_frame *eng_shape_snapshot(const struct eng_worker *w, struct eng_pos pos);

/* ---- records: frames for a stage, NULL when memory is short ---- */
struct eng_frame *eng_record_created(struct eng_stage *s);
struct eng_frame *eng_record_input(struct eng_stage *s, const struct eng_ask_input *a,
                                   yoi_str principal, yoi_str turn_id);
struct eng_frame *eng_record_turn_started(struct eng_stage *s, const struct eng_turn *t);
/* The answer of a step: text, reasoning and, with calls, tool_calls. */
struct eng_frame *eng_record_message(struct eng_stage *s, const struct eng_turn *t, int calls);
/* What becomes of a call, each appended before anybody depends on it. */
struct eng_frame *eng_record_tool_requested(struct eng_stage *s, const struct eng_turn *t,
                                            const struct eng_call *call);
struct eng_frame *eng_record_policy_decided(struct eng_stage *s, const struct eng_turn *t,
                                            const struct eng_call *call);
struct eng_frame *eng_record_tool_started(struct eng_stage *s, const struct eng_turn *t,
                                          const struct eng_call *call);
/* Draws the approval's id and expiry, and puts them into the call. */
struct eng_frame *eng_record_approval_requested(struct eng_stage *s, const struct eng_turn *t,
                                                struct eng_call *call);
/* decision: "allow", "deny", "expired" (then without a principal). */
struct eng_frame *eng_record_approval_resolved(struct eng_stage *s, const struct eng_turn *t,
                                               const struct eng_call *call, const char *decision,
                                               yoi_str principal, yoi_str reason);
/* The result; output: with what the tool said. */
struct eng_frame *eng_record_tool_completed(struct eng_stage *s, const struct eng_turn *t,
                                            const struct eng_call *call,
                                            const struct eng_outcome *outcome, bool output);
struct eng_frame *eng_record_cancel(struct eng_stage *s, const struct eng_turn *t, yoi_str reason,
                                    yoi_str principal);
struct eng_frame *eng_record_turn_ended(const struct eng_worker *w, struct eng_pos pos,
                                        struct eng_turn *t, const struct eng_end_of *end);
/* With s->turn: it ended that turn, which a later stop is told. */
struct eng_frame *eng_record_stopped(struct eng_stage *s, yoi_str reason, yoi_str principal);

/* ---- live frames ---- */
/* n pieces of text as one delta of kind TEXT_DELTA or REASONING_DELTA. */
struct eng_frame *eng_live_delta(const struct eng_turn *t, uint32_t kind, const yoi_str *pieces,
                                 size_t n);
struct eng_frame *eng_live_usage(const struct eng_turn *t);
/* What a tool says, or says of itself, as it comes. */
struct eng_frame *eng_live_progress(const struct eng_turn *t, yoi_str call_id, yoi_str text);

#endif
