/* fake_host.h - a host for unit tests: time stands still until the test says
 * so, tasks run when the test says so, models say what the test says.
 *
 *   struct fake_host *fh = fake_host_new(2);
 *   ... open a runtime with fake_host_instance(fh) ...
 *   fake_host_holder(fh, table->wake, self);
 *   struct fake_answer *a = fake_model_answer(fh);
 *   fake_answer_text(a, "hello"); fake_answer_finish(a, "stop");
 *   fake_host_run(fh);
 *   fake_host_close(fh); table->close(self); fake_host_free(fh);
 *
 * All functions may be called from any thread. Deterministic use is on one
 * thread with fake_host_run; fake_host_threads gives every loop a thread of
 * its own instead, for the thread sanitizer.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <stdbool.h>
#include <yoi/host.h>
#include <yoi/host_loop.h>
#include <yoi/stream.h>

struct fake_host;
struct fake_answer;

struct fake_host *fake_host_new(uint32_t loops);
/* Asserts that no token, timer, post or model stream is left behind when
 * fake_host_close was not called. */
void fake_host_free(struct fake_host *fh);
const yoi_host *fake_host_instance(struct fake_host *fh);
/* Whose wake(self, cookie) the instance's tokens call. */
void fake_host_holder(struct fake_host *fh, void (*wake)(void *self, uint64_t cookie), void *self);
/* What a host does before an instance's close: drops posts and timers, and
 * refuses new ones. */
void fake_host_close(struct fake_host *fh);

/* The next instance on it, behind that close. */
void fake_host_reopen(struct fake_host *fh);

/* ---- loops and time ---- */
/* Runs posts and due timers until there are none; how many ran. */
size_t fake_host_run(struct fake_host *fh);
/* Runs at most one post or due timer of a loop; 1 when it did. */
int fake_host_step(struct fake_host *fh, uint32_t loop);
/* Moves both clocks, running what becomes due, in order. */
void fake_host_advance(struct fake_host *fh, uint64_t ms);
/* Moves them, and runs nothing. */
void fake_host_jump(struct fake_host *fh, uint64_t ms);
uint64_t fake_host_now(struct fake_host *fh); /* monotonic, ns */
/* The calling thread counts as running that loop; YOI_NO_LOOP: none. */
void fake_host_enter(uint32_t loop);
size_t fake_host_timers(struct fake_host *fh);
/* The n-th post from now fails; 0: none. */
void fake_host_fail_post(struct fake_host *fh, uint64_t n);
/* The same for timers. */
void fake_host_fail_timer(struct fake_host *fh, uint64_t n);
void fake_host_threads(struct fake_host *fh);
void fake_host_threads_stop(struct fake_host *fh);

/* ---- tokens of the test ---- */
uint64_t fake_token(struct fake_host *fh);
void fake_token_free(struct fake_host *fh, uint64_t token);
/* Wakes since the last call. */
uint32_t fake_token_wakes(struct fake_host *fh, uint64_t token);
/* Waits at most ms of real time for a wake; 1 when there was one. */
int fake_token_wait(struct fake_host *fh, uint64_t token, uint32_t ms);
uint64_t fake_host_stale_wakes(struct fake_host *fh);
size_t fake_host_tokens(struct fake_host *fh); /* live ones of the instance */

/* ---- models ---- */
/* Adds a model; without any there is "main". */
void fake_model_add(struct fake_host *fh, const char *name);
void fake_model_none(struct fake_host *fh);
/* The answer to the next request that has none; requests without one get
 * the text "ok" and stop. */
struct fake_answer *fake_model_answer(struct fake_host *fh);
/* Forgets those that nobody has asked for. */
void fake_model_forget(struct fake_host *fh);
void fake_answer_event(struct fake_answer *a, uint32_t kind, const char *text);
void fake_answer_text(struct fake_answer *a, const char *text);
void fake_answer_finish(struct fake_answer *a, const char *reason);
/* A tool call; arguments as they stand inside a JSON string. */
void fake_answer_call(struct fake_answer *a, const char *id, const char *name,
                      const char *arguments);
void fake_answer_cut(struct fake_answer *a);  /* the batch ends here */
void fake_answer_gate(struct fake_answer *a); /* AGAIN until a gate is opened */
void fake_answer_fail(struct fake_answer *a, yoi_status st, int32_t code, const char *details);
/* The start itself fails. */
void fake_answer_refuse(struct fake_answer *a, yoi_status st, int32_t code);
/* Opens the next gate of every stream that stands before one, and wakes. */
void fake_model_open(struct fake_host *fh);
/* Requests without an answer say "ok" only after a wake from a post. */
void fake_model_async(struct fake_host *fh, bool on);
/* Calls fn(ctx) inside the next `next` of any stream, once, without a lock. */
void fake_model_on_next(struct fake_host *fh, void (*fn)(void *ctx), void *ctx);
/* The same inside the next list of models. */
void fake_model_on_list(struct fake_host *fh, void (*fn)(void *ctx), void *ctx);
/* The same when the instance mints its next token. */
void fake_host_on_token(struct fake_host *fh, void (*fn)(void *ctx), void *ctx);
size_t fake_model_requests(struct fake_host *fh);
/* The messages of request i, one per line, and its name and parameters. */
const char *fake_model_messages(struct fake_host *fh, size_t i);
const char *fake_model_name(struct fake_host *fh, size_t i);
/* Its request id and trace, with a blank between them. */
const char *fake_model_origin(struct fake_host *fh, size_t i);
/* The tools that it was offered; empty: none. */
const char *fake_model_offer(struct fake_host *fh, size_t i);
/* For whom it is and what may come of it: worker, principal, tokens of the turn,
 * whether they were counted, most tokens of output, with blanks between them. */
const char *fake_model_budget(struct fake_host *fh, size_t i);
uint32_t fake_model_loop(struct fake_host *fh, size_t i);
size_t fake_model_live(struct fake_host *fh); /* streams not released */
size_t fake_model_cancelled(struct fake_host *fh);

/* ---- what was counted and logged ---- */
uint64_t fake_metric(struct fake_host *fh, const char *name, const char *value);
/* A histogram's sum; fake_metric is how often it has observed. */
uint64_t fake_metric_ns(struct fake_host *fh, const char *name, const char *value);
/* All lines above debug level, each `msg key=value...`. */
const char *fake_log(struct fake_host *fh);

#endif
