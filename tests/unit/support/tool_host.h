/* tool_host.h - a host for the unit tests of tool plugins.
 *
 *   struct tool_host *th = tool_host_new(&my_tool);
 *   tool_host_mount(th, "workspace", "folder", 1);
 *   tool_host_open(th, "{}");
 *   struct tool_result r;
 *   tool_host_call(th, "fs_read", "{\"path\":\"a\"}", "mount:workspace:ro", &r);
 *   assert_int_equal(r.status, YOI_END);
 *   tool_result_release(&r);
 *   tool_host_free(th);
 *
 * It holds a plugin to the headers, and aborts the test where one breaks them:
 * what is borrowed is gone when start has returned, next is called once, and
 * then after a wake only (rule 2 of stream.h), ends stay ends, output is UTF-8
 * without NUL, no message names the folder of a mount, and when it is freed no
 * call, token or post is left. Watches and timers are taken away before close.
 *
 * The loop, mounts and checks are real: it polls, it opens with openat2, and
 * time passes. It is loop 0, on the thread that made it. wake, post and
 * tool_call_cancel may be called from any thread, all else from that one.
 */
#ifndef TOOL_HOST_H
#define TOOL_HOST_H

#include <sdk/error.h>
#include <sdk/str.h>
#include <yoi/host_loop.h>
#include <yoi/tool.h>

struct tool_host;
struct tool_call;

/* How a call ended. */
struct tool_result {
  yoi_status status;      /* YOI_END: it is done; else of start or of next */
  int started;            /* start gave a stream */
  char *output;           /* all of it, NUL-terminated; never NULL */
  size_t output_len;
  size_t n_output;        /* pieces */
  char *progress;         /* TOOL_STATUS, each with a line feed behind it */
  size_t n_progress;
  struct yoi_sdk_error error; /* empty without an error */
};
void tool_result_release(struct tool_result *r);

/* The table may be of any thread model; a SERIAL one gets no loop. */
struct tool_host *tool_host_new(const yoi_tool *table);
/* Closes the instance if it is open. */
void tool_host_free(struct tool_host *th);
const yoi_host *tool_host_of(struct tool_host *th);

/* ---- what the operator gives; before or between calls ---- */
/* A folder, absolute or below the working directory. Again: replaces it. */
void tool_host_mount(struct tool_host *th, const char *name, const char *path, int writable);
void tool_host_unmount(struct tool_host *th, const char *name);
/* What stands below local.shell or local.git: "shell:workspace", an object. */
void tool_host_value(struct tool_host *th, const char *grant, const char *json);
/* local.network: entries with blanks between them, "a.example:443 *.b:80". */
void tool_host_net(struct tool_host *th, const char *name, const char *entries);
/* wall_ns stands still at that; 0: it is the real one. */
void tool_host_wall(struct tool_host *th, uint64_t ns);

/* ---- calls ---- */
/* config: JSON; asserts that it opens. */
void tool_host_open(struct tool_host *th, const char *config);
yoi_status tool_host_try_open(struct tool_host *th, const char *config, yoi_error *err);
/* One call to its end. grants: those of the call, with blanks between them.
 * Aborts after 60 s. */
void tool_host_call(struct tool_host *th, const char *name, const char *arguments,
                    const char *grants, struct tool_result *out);
/* The same in steps. deadline_ms: from now; 0: 60 s. NULL: start failed, and
 * *out says how. */
struct tool_call *tool_call_start(struct tool_host *th, const char *name, const char *arguments,
                                  const char *grants, uint64_t deadline_ms,
                                  struct tool_result *out);
/* Runs what there is to run, and the calls' next; waits at most ms for more.
 * 1: something ran. */
int tool_host_step(struct tool_host *th, int ms);
int tool_call_ended(const struct tool_call *c);
void tool_call_cancel(struct tool_call *c); /* [any] */
/* What it has said so far. */
const struct tool_result *tool_call_result(const struct tool_call *c);
/* Runs it to its end and releases it. */
void tool_call_finish(struct tool_call *c, struct tool_result *out);
/* Releases it as it is, in the middle. */
void tool_call_drop(struct tool_call *c);

/* ---- what can be looked at ---- */
size_t tool_host_watches(struct tool_host *th);
size_t tool_host_timers(struct tool_host *th);
const char *tool_host_log(struct tool_host *th); /* lines, `msg key=value...` */

#endif
