/* shell_rig.h - the plugin in a host for tests, with one sandbox or the other,
 * and a look at what is alive.
 *
 * A sandbox that this machine does not have skips the test, with the reason.
 */
#ifndef SHELL_RIG_H
#define SHELL_RIG_H

#include "tests/unit/support/tool_host.h"

#define SHELL_GRANTS "mount:workspace:rw shell:workspace"
#define GIT_GRANTS "mount:workspace:rw git:workspace"

struct shell_rig {
  struct tool_host *th;
  const char *sandbox;
  char folder[64]; /* of the mount */
  char marker[32]; /* "sleep MARKER" is a process of this test's */
};

/* limits: members of the value that are added, ",\"processes\":8" or "". */
void shell_rig_open(struct shell_rig *r, const char *sandbox, const char *limits);
void shell_rig_limits(struct shell_rig *r, const char *limits);
void shell_rig_close(struct shell_rig *r);
/* The script's result; `%M` in it is the marker. */
void shell_rig_run(struct shell_rig *r, const char *script, struct tool_result *out);
/* The same in steps. */
struct tool_call *shell_rig_start(struct shell_rig *r, const char *script);
/* Runs it, and asserts that it is done and its output has the part, or has not. */
void shell_rig_says(struct shell_rig *r, const char *script, const char *part);
void shell_rig_never(struct shell_rig *r, const char *script, const char *part);
/* Processes that have the marker on their command line. */
unsigned shell_rig_alive(const struct shell_rig *r);
/* Waits until there are so many, 5 s at most. */
void shell_rig_wait_alive(struct shell_rig *r, unsigned least);
void shell_rig_wait_gone(struct shell_rig *r);
/* Below the mount. */
void shell_rig_write(struct shell_rig *r, const char *name, const char *text);
char *shell_rig_json(const char *script); /* a string of JSON; free it */

#endif
