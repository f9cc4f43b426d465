/* run.c - one test, in a process of its own.
 *
 *   fork -> child: group of its own, limits, output into a file, folder of its own
 *        -> the test -> one message over a pipe -> _exit
 *        -> parent: waits for the message or the time limit, then kills the group
 *
 * A child that ends without a message has crashed, or the plugin has ended the
 * process. Invariants:
 *  1. Nothing of the plugin runs in the parent.
 *  2. When a test is over nothing of its process group is left, and its folder is
 *     taken away by the parent.
 */
#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILD_FILES 2048
#define CHILD_FILE_BYTES (256ull << 20)

struct message {
  uint32_t is;
  char seen[CONFORM_TEXT_MAX], expected[CONFORM_TEXT_MAX];
};

static jmp_buf back; /* with --in-process */

uint64_t conform_now_ns(void) {
  struct timespec ts;
  (void)clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

char *conform_text(const char *fmt, ...) {
  char *text = NULL;
  va_list ap;
  va_start(ap, fmt);
  int n = vasprintf(&text, fmt, ap);
  va_end(ap);
  if (n < 0) abort();
  return text;
}

uint64_t conform_random(struct conform *c, uint64_t below) {
  uint64_t z = c->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) % below;
}

/* ---- in the child ------------------------------------------------------------- */

static void end_with(struct conform *c, const struct message *m) __attribute__((noreturn));

static void end_with(struct conform *c, const struct message *m) {
  if (c->result) {
    c->result->is = m->is;
    memcpy(c->result->seen, m->seen, sizeof m->seen);
    memcpy(c->result->expected, m->expected, sizeof m->expected);
    longjmp(back, 1);
  }
  ssize_t n = write(c->pipe, m, sizeof *m);
  _exit(n == sizeof *m ? 0 : 1);
}

void conform_fail(struct conform *c, const char *expected, const char *seen, ...) {
  struct message m = {.is = CONFORM_FAIL};
  va_list ap;
  va_start(ap, seen);
  (void)vsnprintf(m.seen, sizeof m.seen, seen, ap);
  va_end(ap);
  (void)snprintf(m.expected, sizeof m.expected, "%s", expected);
  end_with(c, &m);
}

void conform_skip(struct conform *c, const char *why, ...) {
  struct message m = {.is = CONFORM_SKIP};
  va_list ap;
  va_start(ap, why);
  (void)vsnprintf(m.seen, sizeof m.seen, why, ap);
  va_end(ap);
  end_with(c, &m);
}

static void limit(enum __rlimit_resource what, rlim_t n) {
  struct rlimit now;
  if (getrlimit(what, &now) != 0) return;
  if (now.rlim_max != RLIM_INFINITY && n > now.rlim_max) n = now.rlim_max;
  now.rlim_cur = now.rlim_max = n;
  (void)setrlimit(what, &now);
}

static void child(struct conform *c, int output) {
  static const struct message passed = {.is = CONFORM_PASS};
  (void)setpgid(0, 0);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)signal(SIGPIPE, SIG_IGN);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, CHILD_FILES);
  limit(RLIMIT_FSIZE, CHILD_FILE_BYTES);
  if (dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(1);
  (void)close(output);
  c->test->run(c);
  end_with(c, &passed);
}

/* ---- in the parent ------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *sb, int what, struct FTW *at) {
  (void)sb, (void)what, (void)at;
  return remove(path);
}

static void wait_for(pid_t pid, int from, uint32_t ms, struct conform_result *out) {
  uint64_t until = conform_now_ns() + ms * 1000000ull;
  struct pollfd p = {.fd = from, .events = POLLIN};
  struct message m = {.is = CONFORM_CRASH};
  int ready = 0, status = 0;
  for (;;) {
    uint64_t now = conform_now_ns();
    int left = now < until ? (int)((until - now) / 1000000u) + 1 : 0;
    ready = poll(&p, 1, left);
    if (ready >= 0 || errno != EINTR) break;
  }
  if (ready > 0 && read(from, &m, sizeof m) == sizeof m) {
    out->is = m.is;
    memcpy(out->seen, m.seen, sizeof m.seen);
    memcpy(out->expected, m.expected, sizeof m.expected);
  } else {
    out->is = ready > 0 ? CONFORM_CRASH : CONFORM_TIMEOUT;
  }
  /* Its group is still its own: it has not been waited for. */
  if (out->is != CONFORM_CRASH) (void)kill(-pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  (void)kill(-pid, SIGKILL);
  if (out->is == CONFORM_TIMEOUT)
    (void)snprintf(out->seen, sizeof out->seen, "it was not over after %u ms", ms);
  if (out->is != CONFORM_CRASH) return;
  out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (out->signal)
    (void)snprintf(out->seen, sizeof out->seen, "the process was ended by SIG%s",
                   sigabbrev_np(out->signal));
  else
    (void)snprintf(out->seen, sizeof out->seen, "the process ended by itself, exit code %d",
                   WEXITSTATUS(status));
}

static void apart(struct conform *c, struct conform_result *out) {
  int ends[2], output = memfd_create("output", MFD_CLOEXEC);
  if (output < 0 || pipe2(ends, O_CLOEXEC) != 0) {
    (void)snprintf(out->seen, sizeof out->seen, "cannot start a process: %s", strerror(errno));
    out->is = CONFORM_CRASH;
    return;
  }
  (void)fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    (void)close(ends[0]);
    c->pipe = ends[1];
    child(c, output);
  }
  (void)close(ends[1]);
  if (pid > 0) {
    (void)setpgid(pid, pid);
    wait_for(pid, ends[0], c->options->timeout_ms, out);
  } else {
    out->is = CONFORM_CRASH;
  }
  ssize_t n = pread(output, out->output, sizeof out->output - 1, 0);
  out->output[n > 0 ? n : 0] = 0;
  (void)close(ends[0]);
  (void)close(output);
}

void conform_run(struct conform *c, struct conform_result *out) {
  char *folder = conform_text("%s/%s", c->copies, c->test->id);
  uint64_t from = conform_now_ns();
  *out = (struct conform_result){.test = c->test, .seed = c->seed};
  c->folder = folder;
  c->rig = NULL;
  c->state = c->seed;
  for (const char *s = c->test->id; *s; s++) c->state = c->state * 31 + (unsigned char)*s;
  if (mkdir(folder, 0700) != 0) {
    out->is = CONFORM_CRASH;
    (void)snprintf(out->seen, sizeof out->seen, "cannot make a folder: %s", strerror(errno));
    free(folder);
    return;
  }
  if (!c->options->in_process) {
    apart(c, out);
  } else {
    c->result = out;
    if (setjmp(back) == 0) c->test->run(c);
  }
  (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  free(folder);
  out->ms = (conform_now_ns() - from) / 1000000u;
}
