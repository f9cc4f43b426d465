/* run.c - one test, in a process of its own.
 *
 *   fork -> child: group of its own, limits, output into a file, folder of its own
 *        -> the test -> one message over a pipe -> _exit
 *        -> parent: waits for the message, the child's end or the time limit, and
 *           then kills the group
 *
 * A child that ends without a message has crashed, or the plugin has ended the
 * process. The pipe says nothing by its end: the plugin may have closed it, and a
 * process that the plugin has started may hold it open. It has a high number, out of
 * the way of who closes or writes what it guesses. Invariants:
 *  1. Nothing of the plugin runs in the parent.
 *  2. Whatever the child does, the parent waits no longer than the time limit.
 *  3. A message is believed only when it has the form of one.
 *  4. When a test is over nothing that it started is left (after.c), and its folder
 *     is taken away by the parent.
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
#include <sys/syscall.h>
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
  if (write(c->pipe, m, sizeof *m) == sizeof *m) _exit(0);
  (void)dprintf(2, "the kit's pipe cannot be written: %s\n", strerror(errno));
  _exit(1);
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

/* The same pipe at the highest number that there is. */
static int raised(int fd) {
  struct rlimit most;
  int high = getrlimit(RLIMIT_NOFILE, &most) == 0
                 ? fcntl(fd, F_DUPFD_CLOEXEC, (int)most.rlim_cur - 1)
                 : -1;
  if (high < 0) return fd;
  (void)close(fd);
  return high;
}

static void child(struct conform *c, int output) {
  static const struct message passed = {.is = CONFORM_PASS};
  (void)setpgid(0, 0);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)signal(SIGPIPE, SIG_IGN);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, CHILD_FILES);
  limit(RLIMIT_FSIZE, CHILD_FILE_BYTES);
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(1);
  (void)close(nothing);
  (void)close(output);
  if (c->signals >= 0) (void)close(c->signals);
  (void)sigprocmask(SIG_SETMASK, &c->before, NULL);
  c->pipe = raised(c->pipe);
  c->test->run(c);
  end_with(c, &passed);
}

/* ---- in the parent ------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *sb, int what, struct FTW *at) {
  (void)sb, (void)what, (void)at;
  return remove(path);
}

void conform_remove(const char *folder) {
  (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A process that is not waited for yet. */
struct child {
  pid_t pid;
  int ended, from; /* descriptors: of the process, of its messages */
};

static int has_ended(const struct child *k) {
  struct pollfd p = {.fd = k->ended, .events = POLLIN};
  return poll(&p, 1, 0) > 0;
}

/* 1: something was said, and is in out. */
static int take_message(const struct child *k, struct conform_result *out) {
  struct {
    struct message m;
    char more;
  } in;
  ssize_t n = read(k->from, &in, sizeof in);
  if (n <= 0) return 0;
  if (n == sizeof in.m && in.m.is <= CONFORM_SKIP) {
    out->is = in.m.is;
    in.m.seen[CONFORM_TEXT_MAX - 1] = in.m.expected[CONFORM_TEXT_MAX - 1] = 0;
    memcpy(out->seen, in.m.seen, sizeof in.m.seen);
    memcpy(out->expected, in.m.expected, sizeof in.m.expected);
  } else {
    out->is = CONFORM_FAIL;
    (void)snprintf(out->seen, sizeof out->seen, "the plugin wrote into the kit's pipe");
    (void)snprintf(out->expected, sizeof out->expected,
                   "it writes into what it has opened, or was given");
  }
  return 1;
}

/* Until there is a message, its end, a signal to this process, or no time left; 1: out
 * has the message. */
static int listen_to(const struct child *k, int signals, uint64_t until,
                     struct conform_result *out) {
  struct pollfd p[3] = {{.fd = k->ended, .events = POLLIN},
                        {.fd = k->from, .events = POLLIN},
                        {.fd = signals, .events = POLLIN}};
  for (uint64_t now; (now = conform_now_ns()) < until;) {
    int ready = poll(p, 3, (int)((until - now) / 1000000u) + 1);
    if (ready < 0 && errno != EINTR) break;
    if (ready <= 0) continue;
    if (p[1].revents && take_message(k, out)) return 1;
    if (p[0].revents) return take_message(k, out);
    if (p[2].revents) return 0;
    if (p[1].revents) p[1].fd = -1; /* closed, and it goes on */
  }
  return 0;
}

static void say_how_it_ended(int status, struct conform_result *out) {
  out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (out->signal)
    (void)snprintf(out->seen, sizeof out->seen, "the process was ended by SIG%s",
                   sigabbrev_np(out->signal));
  else
    (void)snprintf(out->seen, sizeof out->seen, "the process ended by itself, exit code %d",
                   WEXITSTATUS(status));
}

static void wait_for(const struct conform *c, const struct child *k, struct conform_result *out) {
  siginfo_t info;
  int status = 0;
  uint32_t ms = c->options->timeout_ms;
  int said = listen_to(k, c->signals, conform_now_ns() + ms * 1000000ull, out);
  if (!said) out->is = has_ended(k) ? CONFORM_CRASH : CONFORM_TIMEOUT;
  /* Both numbers are still its own: it has not been waited for. */
  if (out->is != CONFORM_CRASH) (void)kill(k->pid, SIGKILL);
  while (waitid(P_PID, (id_t)k->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
  (void)kill(-k->pid, SIGKILL);
  while (waitpid(k->pid, &status, 0) < 0 && errno == EINTR) continue;
  if (out->is == CONFORM_TIMEOUT)
    (void)snprintf(out->seen, sizeof out->seen, "it was not over after %u ms", ms);
  if (out->is == CONFORM_CRASH) say_how_it_ended(status, out);
}

static void cannot_start(struct conform_result *out) {
  (void)snprintf(out->seen, sizeof out->seen, "cannot start a process: %s", strerror(errno));
  out->is = CONFORM_CRASH;
}

static void apart(struct conform *c, struct conform_result *out) {
  int ends[2], output = memfd_create("output", MFD_CLOEXEC);
  /* What is written at once is read at once: a message is whole, or is none. */
  if (output < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0) {
    cannot_start(out);
    if (output >= 0) (void)close(output);
    return;
  }
  (void)fflush(NULL);
  struct child k = {.pid = fork(), .ended = -1, .from = ends[0]};
  if (k.pid == 0) {
    (void)close(ends[0]);
    c->pipe = ends[1];
    child(c, output);
  }
  if (k.pid > 0) (void)setpgid(k.pid, k.pid);
  if (k.pid > 0) k.ended = (int)syscall(SYS_pidfd_open, k.pid, 0u);
  if (k.ended < 0) cannot_start(out);
  (void)close(ends[1]);
  if (k.ended >= 0) {
    wait_for(c, &k, out);
    (void)close(k.ended);
  } else if (k.pid > 0) {
    (void)kill(k.pid, SIGKILL);
    (void)waitpid(k.pid, NULL, 0);
  }
  conform_end_rest();
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
  conform_remove(folder);
  free(folder);
  out->ms = (conform_now_ns() - from) / 1000000u;
}
