/* after.c - what a test leaves behind, and how a run is stopped.
 *
 * A plugin, or a program that it has started, may leave the group of the test's
 * process, so that group is not all. This process is the subreaper: whatever loses
 * its parent becomes a child of it, and is found among its children. Those that it
 * had before, from who was this process before exec, are not the run's.
 *
 * Signals that end a run are held back while one is on, seen through a descriptor,
 * and let through when all is tidy: so the run ends by them as it would have.
 */
#include "conform.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define REST_MS 5000 /* who makes processes faster than they are ended is left then */
#define EARLIER_MAX 256

static pid_t earlier[EARLIER_MAX];
static size_t n_earlier;

static int is_earlier(pid_t pid) {
  for (size_t i = 0; i < n_earlier; i++)
    if (earlier[i] == pid) return 1;
  return 0;
}

static void note(pid_t pid) {
  if (n_earlier < EARLIER_MAX) earlier[n_earlier++] = pid;
}

/* Its memory may still be counted and its folder be written: until it has ended. */
static void end_one(pid_t pid) {
  if (kill(pid, SIGKILL) != 0) return;
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
}

/* Each child of the run, whichever thread of this process has it; how many were told. */
static size_t each_child(void (*tell)(pid_t pid)) {
  DIR *threads = opendir("/proc/self/task");
  size_t n = 0;
  for (struct dirent *e; threads && (e = readdir(threads)) != NULL;) {
    char *path = conform_text("/proc/self/task/%s/children", e->d_name);
    FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
    char pid[32];
    while (f && fscanf(f, "%31s", pid) == 1) {
      pid_t child = (pid_t)strtol(pid, NULL, 10);
      if (is_earlier(child)) continue;
      tell(child);
      n++;
    }
    if (f) (void)fclose(f);
    free(path);
  }
  if (threads) (void)closedir(threads);
  return n;
}

void conform_adopt(void) {
  (void)each_child(note);
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void conform_end_rest(void) {
  uint64_t until = conform_now_ns() + REST_MS * 1000000ull;
  while (each_child(end_one) > 0 && conform_now_ns() < until) continue;
}

/* ---- signals ------------------------------------------------------------------------ */

static void ending(sigset_t *set) {
  static const int all[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  (void)sigemptyset(set);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) (void)sigaddset(set, all[i]);
}

int conform_hold_signals(sigset_t *before) {
  sigset_t set;
  ending(&set);
  (void)sigprocmask(SIG_BLOCK, &set, before);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int conform_is_stopped(const struct conform *c) {
  sigset_t pending, set;
  ending(&set);
  return c->signals >= 0 && sigpending(&pending) == 0 && sigandset(&set, &set, &pending) == 0 &&
         !sigisemptyset(&set);
}
