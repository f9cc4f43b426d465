/* host/isolate/spawn.c - a process that has nothing of ours but two sockets.
 *
 * Invariants:
 *  1. Between fork and exec only what POSIX allows there is called: the process
 *     that forks has threads.
 *  2. What is started is a regular file of root or this user that nobody else
 *     may write to: whoever could change it would run in the place of all
 *     isolated plugins.
 *  3. The environment is a constant one. What a sanitizer is told goes along in
 *     a build with one, and nowhere else.
 *  4. No descriptor comes from it, where the kernel can refuse that. None is
 *     asked for, and to close a foreign one may take long: a socket that has
 *     not sent all may wait for it, and the kernel closes for who receives.
 *  5. The new process leads a session, so that one kill reaches all that it
 *     started and did not put elsewhere; it dies with the thread that started
 *     it, which is the control thread (the application's, in step mode), and
 *     ends by itself when its socket does.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sdk/confine.h>
#include <sdk/error.h>
#include <sdk/str.h>

#include "../place.h"
#include "protocol.h"

#define NAME "yoi-worker"
#define BURY_STEPS 2000 /* of a millisecond */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/* ---- where it is -------------------------------------------------------------- */

static const char *check(const char *path) {
  struct stat sb;
  if (lstat(path, &sb) != 0) return strerror(errno);
  if (!S_ISREG(sb.st_mode)) return "not a regular file";
  if (sb.st_uid != 0 && sb.st_uid != geteuid()) return "neither root's nor this user's";
  if ((sb.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "group or others may write to it";
  return access(path, X_OK) == 0 ? NULL : strerror(errno);
}

/* The folder of the program that runs; 0: unknown. */
static size_t own_folder(char *out, size_t cap) {
  ssize_t n = readlink("/proc/self/exe", out, cap - 1);
  if (n <= 0) return 0;
  while (n > 0 && out[n - 1] != '/') n--;
  out[n] = '\0';
  return (size_t)n;
}

yoi_status yoi__worker_find(yoi_str named, char *out, yoi_error *err) {
  char tried[YOI_ERROR_PRIVATE_MAX] = "";
  const char *why = NULL;
  for (int i = named.len > 0 ? 0 : 1; i < (named.len > 0 ? 1 : 3); i++) {
    size_t n = strlen(tried);
    size_t folder = i == 1 ? own_folder(out, YOI_PATH_BYTES_MAX) : 0;
    if (i == 1 && folder == 0) continue;
    int len = i == 0   ? snprintf(out, YOI_PATH_BYTES_MAX, "%.*s", YOI_ARG(named))
              : i == 1 ? snprintf(out + folder, YOI_PATH_BYTES_MAX - folder, NAME)
                       : snprintf(out, YOI_PATH_BYTES_MAX, "%s/" NAME, yoi__place);
    why = len < 0 || folder + (size_t)len >= YOI_PATH_BYTES_MAX ? "path too long" : check(out);
    if (why == NULL) return YOI_OK;
    (void)snprintf(tried + n, sizeof tried - n, "%s'%.200s': %s", n > 0 ? "; " : "", out, why);
  }
  yoi_status st =
      yoi_sdk_fail(err, YOI_CODE_INTERNAL,
                   "the program '" NAME "', which isolated plugins run in, is not there");
  yoi_sdk_fail_private(err, "%s", tried);
  return st;
}

/* ---- starting -------------------------------------------------------------------- */

/* What the new process sees; the texts live as long as this one's. */
static void make_environment(const char *env[], size_t cap) {
  size_t n = 0;
  env[n++] = "PATH=/usr/local/bin:/usr/bin:/bin";
  env[n++] = "LC_ALL=C.UTF-8";
#if YOI_SDK_SANITIZED
  extern char **environ;
  env[n++] = "LSAN_OPTIONS=detect_leaks=0"; /* it traces, which is refused there */
  static const char *const wanted[] = {"ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS="};
  for (char **e = environ; e != NULL && *e != NULL; e++)
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
      if (n + 1 < cap && strncmp(*e, wanted[i], strlen(wanted[i])) == 0) env[n++] = *e;
#else
  (void)cap;
#endif
  env[n] = NULL;
}

/* In the new process; returns when it could not become the program. */
static void become(const char *path, const char *const *env, int busy, int calm, pid_t parent) {
  char *const argv[] = {(char *)(uintptr_t)NAME, NULL};
  sigset_t none;
  if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) return;
  /* First out of the way of where they go. */
  busy = fcntl(busy, F_DUPFD, YOI__WORKER_CALM_FD + 1);
  calm = fcntl(calm, F_DUPFD, YOI__WORKER_CALM_FD + 1);
  int null = open("/dev/null", O_RDWR);
  if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0) return;
#if !YOI_SDK_SANITIZED /* whose last words go there */
  if (dup2(null, 2) < 0) return;
#endif
  if (dup2(busy, YOI__WORKER_BUSY_FD) < 0 || dup2(calm, YOI__WORKER_CALM_FD) < 0) return;
  if (syscall(SYS_close_range, YOI__WORKER_CALM_FD + 1, ~0u, 0) != 0) return;
  sigemptyset(&none);
  for (int s = 1; s < NSIG; s++) (void)signal(s, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(path, argv, (char *const *)(uintptr_t)env);
}

static int make_pair(int pair[2]) {
  static const int no = 0;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return 0;
  (void)setsockopt(pair[0], SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
  return 1;
}

static void close_pair(const int pair[2]) {
  if (pair[0] >= 0) close(pair[0]);
  if (pair[1] >= 0) close(pair[1]);
}

yoi_status yoi__worker_spawn(const char *path, struct yoi__spawned *out, yoi_error *err) {
  int busy[2] = {-1, -1}, calm[2] = {-1, -1};
  const char *env[8];
  make_environment(env, sizeof env / sizeof *env);
  int ok = make_pair(busy) && make_pair(calm);
  pid_t parent = getpid(), pid = -1;
  if (ok) pid = fork();
  if (pid == 0) {
    become(path, env, busy[1], calm[1], parent);
    _exit(127);
  }
  if (pid < 0) {
    int why = errno;
    close_pair(busy);
    close_pair(calm);
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot start a process: %s", strerror(why));
  }
  close(busy[1]);
  close(calm[1]);
  *out = (struct yoi__spawned){pid, busy[0], calm[0]};
  return YOI_OK;
}

/* ---- ending ------------------------------------------------------------------------ */

void yoi__worker_kill(pid_t pid) {
  /* The group is there once setsid was called; the process itself always. */
  (void)kill(-pid, SIGKILL);
  (void)kill(pid, SIGKILL);
}

void yoi__worker_bury(pid_t pid, char *how, size_t cap) {
  const struct timespec step = {.tv_nsec = 1000000};
  (void)snprintf(how, cap, "unknown");
  for (int i = 0; i < BURY_STEPS; i++) {
    siginfo_t info = {.si_pid = 0};
    int status = 0;
    /* Not taken away yet, so that the number still is that group's. */
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno != EINTR)
      return; /* the application waits for all children itself */
    if (info.si_pid == pid) {
      (void)kill(-pid, SIGKILL); /* what it left behind */
      if (waitpid(pid, &status, 0) != pid) return;
      if (WIFSIGNALED(status))
        (void)snprintf(how, cap, "signal %d", WTERMSIG(status));
      else
        (void)snprintf(how, cap, "exit %d", WEXITSTATUS(status));
      return;
    }
    if (i == BURY_STEPS / 2) yoi__worker_kill(pid);
    (void)nanosleep(&step, NULL);
  }
}
