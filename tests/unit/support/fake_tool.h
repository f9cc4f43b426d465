/* fake_tool.h - the tools of the fake host: there are those that the test has
 * declared, and each call says what the test has written for it.
 *
 *   fake_tool_add(fh, "look", YOI_TOOL_READ_ONLY | YOI_TOOL_IDEMPOTENT);
 *   struct fake_run *run = fake_tool_run(fh, "look");
 *   fake_run_output(run, "found"); fake_run_gate(run);
 *
 * What a run has not been told it does not say; behind its last act it ends. A
 * call for which no run was written says "done" and ends.
 */
#ifndef FAKE_TOOL_H
#define FAKE_TOOL_H

#include <yoi/host_tool.h>

#include "fake_host.h"

#define FAKE_TOOL_PLUGIN "dev.test.tool"
#define FAKE_TOOL_MAX_MS 1000u

struct fake_run;

/* A tool of FAKE_TOOL_PLUGIN; flags: YOI_TOOL_*. Its calls are allowed. */
void fake_tool_add(struct fake_host *fh, const char *name, uint32_t flags);
/* The plugin is taken away, or is there again. */
void fake_tool_there(struct fake_host *fh, const char *name, bool there);
/* What decide says of its calls from now on, and start looks at: ALLOW, ASK,
 * DENY. */
/* Of the plugin's file, from now on; "sha256:00" at first. */
void fake_tool_digest(struct fake_host *fh, const char *digest);
void fake_tool_verdict(struct fake_host *fh, const char *name, uint32_t verdict);
/* The same, but only in start: it has changed in between. */
void fake_tool_verdict_at_start(struct fake_host *fh, const char *name, uint32_t verdict);
/* decide and start say INVALID_ARGUMENT with that message; NULL: no more. */
void fake_tool_invalid(struct fake_host *fh, const char *name, const char *message);
/* This grant is not there; NULL: all are. */
void fake_grant_missing(struct fake_host *fh, const char *grant);

/* What the next call of it that has none does. */
struct fake_run *fake_tool_run(struct fake_host *fh, const char *name);
void fake_run_output(struct fake_run *run, const char *text);
void fake_run_bytes(struct fake_run *run, const char *bytes, size_t n);
void fake_run_status(struct fake_run *run, const char *text);
void fake_run_cut(struct fake_run *run);  /* the batch ends here */
void fake_run_gate(struct fake_run *run); /* AGAIN until a gate is opened */
void fake_run_fail(struct fake_run *run, yoi_status st, int32_t code, const char *message);
/* start itself fails. */
void fake_run_refuse(struct fake_run *run, yoi_status st, int32_t code, const char *message);
/* It takes no notice of cancel. */
void fake_run_deaf(struct fake_run *run);
/* A cancel lets it go on behind its gates: it finishes what it does. */
void fake_run_polite(struct fake_run *run);
/* It says its last event again and again; each takes a millisecond. */
void fake_run_flood(struct fake_run *run);

/* Opens the gate of every call of that tool, NULL of all, that stands before
 * one, and wakes. */
void fake_tool_open(struct fake_host *fh, const char *name);
/* Calls fn(ctx) inside the next decide, or start, once, without a lock. */
void fake_tool_on_decide(struct fake_host *fh, void (*fn)(void *ctx), void *ctx);
void fake_tool_on_start(struct fake_host *fh, void (*fn)(void *ctx), void *ctx);

size_t fake_tool_decides(struct fake_host *fh);
size_t fake_tool_starts(struct fake_host *fh); /* that were not refused */
size_t fake_tool_live(struct fake_host *fh);   /* streams not released */
size_t fake_tool_cancelled(struct fake_host *fh);
/* Of start i: "name call_id arguments approval approved_by", and the key. */
const char *fake_tool_start(struct fake_host *fh, size_t i);
const char *fake_tool_key(struct fake_host *fh, size_t i);
/* The same of one worker. */
size_t fake_tool_starts_of(struct fake_host *fh, const char *worker);
/* How often a call with that key was started. */
size_t fake_tool_same_key(struct fake_host *fh, const char *key);

#endif
