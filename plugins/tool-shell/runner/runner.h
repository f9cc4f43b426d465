/* runner.h - the runner's parts. See job.h for what it is and main.c for how
 * they go together.
 *
 * It is single-threaded and nobody else's process: unlike the plugin it may
 * change its signals, limits and folder, and it may wait.
 */
#ifndef TOOL_SHELL_RUNNER_H
#define TOOL_SHELL_RUNNER_H

#include <stddef.h>
#include <sys/types.h>

#include "job.h"

/* What stands in the job, as arrays; owned by the process. */
struct sh_work {
  struct sh_job job;
  char *cwd;
  char **argv; /* NULL at the end */
  char **env;  /* of the operator; NULL at the end */
  char *tmp;   /* the folder for temporary files, as the command sees it */
  int report;  /* where enter says why it could not, or -1 */
};

/* work.c: 0, or an errno. */
int sh_work_read(struct sh_work *w);
uint64_t sh_now_ms(void);

/* enter.c: the last steps, inside; becomes the command or reports and exits. */
_Noreturn void sh_enter(struct sh_work *w);
_Noreturn void sh_report(const struct sh_work *w, enum sh_how how, int value, const char *what);

/* bwrap.c: becomes bubblewrap, or reports and exits. */
_Noreturn void sh_bwrap(struct sh_work *w);

/* landlock.c: both return 0 or an errno with *out_what. sh_scope leaves all
 * that the process starts unable to signal what is outside. */
int sh_scope(const char **out_what);
int sh_landlock(const struct sh_work *w, const char **out_what);

/* filter.c: seccomp. 0 or an errno; a listener for relay.c goes to `report`. */
int sh_filter(const struct sh_work *w);

/* relay.c: calls that the runner does for the command. */
int sh_relay_send(int to, int listener);
int sh_relay_receive(int from, struct sh_end *out, int *listener);
void sh_relay_answer(const struct sh_work *w, int listener);

/* tree.c: what descends from a process. */
struct sh_tree {
  uint64_t processes; /* with threads */
  uint64_t memory;    /* bytes of their own: anonymous and shared memory */
  uint64_t cpu_ms;    /* also of those that are gone */
  int over;           /* more than a walk takes */
};
/* root itself is not counted and not signalled, unless `self`. */
void sh_tree_read(pid_t root, int self, struct sh_tree *out);
void sh_tree_kill(pid_t root, int self, int sig);

/* scratch.c: a folder below /tmp; NULL when there cannot be one. */
char *sh_scratch_new(void);
void sh_scratch_remove(const char *path);

#endif
