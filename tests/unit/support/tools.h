/* tools.h - a worker "a" with tools, and what must hold of each history of one:
 * for the tests of calls. */
#ifndef TOOLS_H
#define TOOLS_H

#include "fake_tool.h"
#include "history.h"

/* Closes what there is, opens anew in the same mode with a profile that has
 *
 *   look   read-only, allowed           act    not idempotent, allowed
 *   again  idempotent, allowed          ask    not idempotent, asked for
 *
 * and makes the worker. limits: members of the profile's limits, or "". */
void tools_open(struct rig *r, const char *limits);
/* The same in a store that outlives the engine. */
void tools_open_durable(struct rig *r, const char *limits);
/* The next answer asks for these: "look c1", "act c2 {\\\"a\\\":1}", ..., NULL
 * at the end. */
void tools_answer(struct rig *r, const char *first, ...) __attribute__((sentinel));
/* Input "go". */
void tools_go(struct rig *r);
/* The id of the i-th approval that is open. */
const char *tools_approval(struct rig *r, size_t i, char id[37]);
size_t tools_open_approvals(struct rig *r);
/* decision: "allow", "deny", or a whole body. */
yoi_status tools_resolve(struct rig *r, const char *approval, const char *decision);
yoi_stream *tools_resolve_start(struct rig *r, const char *approval, const char *decision);
/* Hears the whole history, and checks it: each call that was asked for has one
 * result, in its turn and before the next answer (with all_ended), is started
 * at most once and never behind a cancel or without leave; and what models were
 * shown is paired, in the order of the calls. */
void tools_history(struct rig *r, struct ear *e, int all_ended);
/* The same, and that part was heard n times. */
void tools_heard(struct rig *r, const char *part, size_t n);
/* rig_ended, tools_history, and that nothing runs. */
void tools_ended(struct rig *r, const char *want_state, const char *want_reason);
/* The kinds of the history from the first turn.started on; static buffer. */
const char *tools_kinds(struct rig *r);
/* The content of the result of that call in the history, raw; static buffer. */
const char *tools_result(struct rig *r, const char *call_id);

#endif
