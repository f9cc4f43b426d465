/* enter.c - the last steps, the same in every sandbox.
 *
 *   namespaces are made (bwrap.c), or a scope (landlock.c)
 *      |
 *   folder, limits, signals, capabilities, Landlock   in this order: each
 *      |                                              needs what comes after
 *   descriptors but 0, 1 and 2 closed
 *      |
 *   seccomp, exec
 *
 *  1. What goes wrong is said over `report`, never over the output.
 *  2. A limit that cannot be set is a sandbox that cannot be made.
 *  3. In bubblewrap, what stands at /workspace is the folder of the descriptor
 *     that the host opened, or nothing runs: bubblewrap binds by path.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sdk/confine.h>

#include "runner.h"

#define PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
#define OPEN_FILES 1024u /* what programs count on that use select */

_Noreturn void sh_report(const struct sh_work *w, enum sh_how how, int value, const char *what) {
  struct sh_end end = {.how = how, .value = value};
  snprintf(end.text, sizeof end.text, "%s", what);
  if (w->report >= 0 && write(w->report, &end, sizeof end) != sizeof end) _exit(126);
  _exit(127);
}

/* Says that the sandbox is made. In it the errors of bubblewrap are over. */
static void arrive(const struct sh_work *w) {
  struct sh_end mark = {.how = 0};
  if (write(w->report, &mark, sizeof mark) != sizeof mark) _exit(126);
  dup2(STDOUT_FILENO, STDERR_FILENO);
}

static void need(const struct sh_work *w, int failed, const char *what) {
  if (failed) sh_report(w, SH_NO_SANDBOX, errno, what);
}

static void folder(const struct sh_work *w) {
  struct stat given, found;
  if (w->job.mode == SH_BWRAP) {
    need(w, chdir("/workspace") != 0, "enter the workspace");
    need(w, fstat(SH_FD_MOUNT, &given) != 0 || stat(".", &found) != 0, "look at the workspace");
    if (given.st_dev != found.st_dev || given.st_ino != found.st_ino)
      sh_report(w, SH_NO_SANDBOX, ESTALE, "bind the workspace");
  } else {
    need(w, fchdir(SH_FD_MOUNT) != 0, "enter the workspace");
  }
}

static void limit(const struct sh_work *w, unsigned which, uint64_t soft, uint64_t hard) {
  errno = yoi_sdk_confine_limit(which, soft, hard);
  need(w, errno != 0, "set a limit");
}

/* Before 5.14 processes are counted over all namespaces of a user, with those
 * of the host. */
static int counts_by_namespace(void) {
  struct utsname u;
  if (uname(&u) != 0) return 0;
  char *end;
  unsigned long major = strtoul(u.release, &end, 10);
  unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
  return major > 5 || (major == 5 && minor >= 14);
}

static void limits(const struct sh_work *w) {
  const struct sh_job *j = &w->job;
  limit(w, RLIMIT_CORE, 0, 0);
  limit(w, RLIMIT_CPU, j->cpu_s, j->cpu_s + 1); /* XCPU, then KILL */
  limit(w, RLIMIT_FSIZE, j->file_bytes, j->file_bytes);
  limit(w, RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES);
  /* Not AS: what reserves addresses and uses few of them has to run. */
  limit(w, RLIMIT_DATA, j->memory_bytes, j->memory_bytes);
  limit(w, RLIMIT_MEMLOCK, 65536, 65536);
  limit(w, RLIMIT_MSGQUEUE, 0, 0);
  limit(w, RLIMIT_SIGPENDING, 1024, 1024);
  limit(w, RLIMIT_NICE, 0, 0);
  limit(w, RLIMIT_RTPRIO, 0, 0);
  /* One more for the init of its namespace. */
  if (j->mode == SH_BWRAP && counts_by_namespace())
    limit(w, RLIMIT_NPROC, j->processes + 1, j->processes + 1);
}

static void signals(void) {
  sigset_t none;
  for (int sig = 1; sig < NSIG; sig++) signal(sig, SIG_DFL); /* fails for some, as it should */
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Bubblewrap has none left; a root that runs the host has all. */
static void capabilities(const struct sh_work *w) {
  errno = yoi_sdk_confine_capabilities();
  need(w, errno != 0, "drop capabilities");
}

static int is_named(const char *entry, const char *of) {
  size_t n = strcspn(of, "=") + 1;
  return strncmp(entry, of, n) == 0;
}

/* The environment, made of nothing; what the operator gives comes last and
 * wins. */
static char **environment(const struct sh_work *w) {
  enum { OURS = 8 };
  char **env = calloc((size_t)w->job.n_env + OURS + 1, sizeof *env), *cwd = getcwd(NULL, 0);
  size_t n = 0;
  if (env == NULL || cwd == NULL) return NULL;
  char *home = NULL, *tmp = NULL, *ceiling = NULL, *slash = strrchr(cwd, '/');
  if (slash != NULL) slash[slash == cwd] = 0; /* what lies above is not looked through */
  if (asprintf(&home, "HOME=%s", w->tmp != NULL ? w->tmp : "/nonexistent") < 0 ||
      asprintf(&tmp, "TMPDIR=%s", w->tmp != NULL ? w->tmp : "/nonexistent") < 0 ||
      asprintf(&ceiling, "GIT_CEILING_DIRECTORIES=%s", cwd) < 0)
    return NULL;
  /* Without its own file in /etc git goes on; with one that it may not read it does not. */
  const char *ours[OURS] = {"PATH=" PATH, "LANG=C.UTF-8", "TERM=dumb", "SHELL=/bin/sh",
                            home,         tmp,            ceiling,     "GIT_CONFIG_NOSYSTEM=1"};
  for (size_t i = 0; i < OURS; i++) {
    int given = 0;
    for (uint32_t e = 0; e < w->job.n_env; e++) given |= is_named(w->env[e], ours[i]);
    if (!given) env[n++] = (char *)ours[i];
  }
  for (uint32_t e = 0; e < w->job.n_env; e++) env[n++] = w->env[e];
  return env;
}

/* All but 0, 1, 2 and `report`, which closes itself when the command runs. */
static void descriptors(struct sh_work *w) {
  if (dup3(w->report, 3, O_CLOEXEC) == 3) w->report = 3;
  yoi_sdk_confine_close(4, NULL, 0);
}

_Noreturn void sh_enter(struct sh_work *w) {
  const char *what = "";
  arrive(w);
  folder(w);
  char **env = environment(w);
  need(w, env == NULL, "make an environment");
  limits(w);
  signals();
  setsid(); /* fails where it is the leader of one already */
  if (w->job.mode != SH_NONE) capabilities(w);
  int error = w->job.mode == SH_LANDLOCK ? sh_landlock(w, &what) : 0;
  if (error != 0) sh_report(w, SH_NO_SANDBOX, error, what);
  descriptors(w);
  if (w->cwd[0] != 0 && chdir(w->cwd) != 0) sh_report(w, SH_NO_COMMAND, errno, "cwd");
  error = w->job.mode != SH_NONE ? sh_filter(w) : prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (error != 0) sh_report(w, SH_NO_SANDBOX, error, "set the seccomp filter");
  environ = env;
  for (char **e = env; *e != NULL; e++)
    if (is_named(*e, "PATH=")) setenv("PATH", *e + 5, 1); /* where execvp looks */
  execvp(w->argv[0], w->argv);
  sh_report(w, SH_NO_COMMAND, errno, "exec");
}
