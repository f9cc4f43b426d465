/* main.c - the runner: starts one command in its sandbox, watches over it, and
 * leaves nothing of it behind.
 *
 *   plugin ---- runner ---- bwrap --- init of a pid namespace --- command
 *          \            \-- init, scoped by Landlock ------------ command
 *           (socket)     \------------------------------------------ command
 *
 *   RUNNING --(command ended)------------------------------> KILLING
 *      |--(socket closed, a limit over all)-----------------> KILLING
 *      `--("c", wall_ms)--> ASKED (TERM) --(grace, ended)---> KILLING
 *                                      no child is left: --> end is sent
 *
 *  1. It is the subreaper of all that it starts. It ends when it has no child,
 *     so whatever detaches itself comes back to it and is killed.
 *  2. KILLING does not count on lists: the kernel kills a pid namespace with
 *     its init, and kill(-1) of the scoped init reaches all of its scope at
 *     once, so nothing can fork faster. Only without a sandbox it is a walk.
 *  3. It goes with the plugin's process: the socket is closed then. What it
 *     started goes with it: bwrap by its parent-death signal, init by one too,
 *     which it answers with that kill(-1). Both are tied to this thread, the
 *     only one, and not to a thread of the host's.
 *  4. A process that hangs in the kernel is waited for END_MS, then reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"

#define SAMPLE_MS 50 /* a fork bomb makes some thousand processes in that */
#define STUBBORN_MS 1000 /* after the kill: then also by a walk */
#define END_MS 5000
#define OURS 2 /* processes of the sandbox itself: bwrap, init */

enum state { RUNNING, ASKED, KILLING };

struct run {
  struct sh_work work;
  enum state state;
  pid_t child;   /* bwrap, init or the command; 0: it has been waited for */
  int report;    /* where enter reports: its reading end */
  int why;       /* what bwrap says of itself: its reading end, or -1 */
  int signals;   /* a signalfd of SIGCHLD */
  int listener;  /* for relay.c, or -1 */
  int inside;    /* the other side has come to be inside */
  uint64_t deadline_ms, kill_ms, sample_ms;
  struct sh_end end;
  int named; /* end.how says already why it ended */
};

/* ---- the command's side of the fork ---- */
static int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void signal_mask(int how, int a, int b) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, a);
  sigaddset(&set, b);
  sigprocmask(how, &set, NULL);
}

/* Inside of the scope, outside of the rules. SIGTERM: kill all. */
static _Noreturn void init(struct sh_work *w, pid_t runner) {
  const char *what;
  sigset_t set;
  int code = 125, status;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGCHLD); /* both are blocked */
  prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (getppid() != runner) _exit(125);
  int error = sh_scope(&what);
  if (error != 0) sh_report(w, SH_NO_SANDBOX, error, what);
  pid_t command = fork();
  if (command == 0) sh_enter(w);
  if (command < 0) sh_report(w, SH_NO_SANDBOX, errno, "fork");
  syscall(SYS_close_range, 0u, ~0u, 0u); /* the output ends with the command's */
  for (;;) {
    int sig = sigwaitinfo(&set, NULL);
    int all = sig == SIGTERM;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
      if (pid == command) {
        code = code_of(status);
        all = 1;
      }
    if (all) {
      kill(-1, SIGKILL);
      while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
      _exit(code);
    }
  }
}

static _Noreturn void child(struct run *r, int report, int why, pid_t runner) {
  struct sh_work *w = &r->work;
  w->report = report;
  if (w->job.mode == SH_LANDLOCK) init(w, runner);
  signal_mask(SIG_UNBLOCK, SIGCHLD, SIGTERM);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != runner) _exit(125);
  if (w->job.mode == SH_NONE) sh_enter(w);
  fcntl(report, F_SETFD, 0); /* goes through bwrap to the other side */
  dup2(why, STDERR_FILENO);
  sh_bwrap(w);
}

/* ---- the runner's side ---- */
static int start(struct run *r) {
  int report[2], why[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) != 0) return errno;
  if (pipe2(why, O_CLOEXEC) != 0) return errno;
  pid_t self = getpid();
  r->child = fork();
  if (r->child == 0) child(r, report[1], why[1], self);
  if (r->child < 0) return errno;
  close(report[1]);
  close(why[1]);
  r->report = report[0];
  r->why = why[0];
  fcntl(r->why, F_SETFL, O_NONBLOCK);
  return 0;
}

static void name_end(struct run *r, enum sh_how how, int value) {
  if (r->named) return;
  r->named = 1;
  r->end.how = how;
  r->end.value = value;
}

static void kill_all(struct run *r) {
  r->state = KILLING;
  r->kill_ms = sh_now_ms();
  if (r->child == 0) return;
  if (r->work.job.mode == SH_NONE) sh_tree_kill(getpid(), 0, SIGKILL);
  if (r->work.job.mode == SH_BWRAP) kill(r->child, SIGKILL);
  if (r->work.job.mode == SH_LANDLOCK) kill(r->child, SIGTERM);
}

static void ask(struct run *r, enum sh_how how) {
  if (r->state != RUNNING) return;
  name_end(r, how, 0);
  r->state = ASKED;
  r->kill_ms = sh_now_ms() + r->work.job.grace_ms;
  sh_tree_kill(r->work.job.mode == SH_NONE ? getpid() : r->child, 0, SIGTERM);
}

static void from_plugin(struct run *r) {
  char c;
  ssize_t n = recv(SH_FD_CONTROL, &c, 1, MSG_DONTWAIT);
  if (n > 0) {
    ask(r, SH_CANCELLED);
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    name_end(r, SH_CANCELLED, 0);
    if (r->state != KILLING) kill_all(r);
  }
}

/* Over all processes together; each one alone has limits of its own. */
static void sample(struct run *r) {
  const struct sh_job *j = &r->work.job;
  struct sh_tree t;
  if (r->child == 0 || sh_now_ms() < r->sample_ms) return;
  sh_tree_read(r->child, 1, &t);
  r->sample_ms = sh_now_ms() + SAMPLE_MS;
  if (t.over || t.processes > j->processes + OURS)
    name_end(r, SH_OVER_PROCESSES, 0);
  else if (t.memory > j->memory_bytes)
    name_end(r, SH_OVER_MEMORY, 0);
  else if (t.cpu_ms > j->cpu_s * 1000u)
    name_end(r, SH_OVER_CPU, 0);
  else
    return;
  kill_all(r);
}

/* What the other side says of itself: a mark when it is inside, one with the
 * listener, and why when it can go no further. */
static void from_inside(struct run *r) {
  struct sh_end said;
  while (sh_relay_receive(r->report, &said, &r->listener)) {
    r->inside = 1;
    if (said.how == 0) continue;
    r->named = 1;
    r->end = said;
  }
}

/* It is gone; when it never came to be inside, bubblewrap says why. */
static void explain(struct run *r) {
  from_inside(r);
  if (r->inside || r->named) return;
  name_end(r, SH_NO_SANDBOX, EPERM);
  ssize_t n = read(r->why, r->end.text, SH_END_TEXT - 1);
  r->end.text[n > 0 ? n : 0] = 0;
}

/* 1: no child is left. */
static int reap(struct run *r) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid != r->child) continue;
    r->child = 0;
    explain(r);
    name_end(r, SH_EXITED, code_of(status));
    kill_all(r);
    sh_tree_kill(getpid(), 0, SIGKILL);
  }
  return pid < 0 && errno == ECHILD;
}

/* What is due now. 1: there is nothing more to wait for. */
static int act(struct run *r) {
  uint64_t now = sh_now_ms();
  if (r->state == RUNNING && now >= r->deadline_ms) ask(r, SH_TIMED_OUT);
  if (r->state == ASKED && now >= r->kill_ms) kill_all(r);
  if (r->state != KILLING) {
    sample(r);
    return 0;
  }
  if (now >= r->kill_ms + STUBBORN_MS) sh_tree_kill(getpid(), 0, SIGKILL);
  r->end.survivors = now >= r->kill_ms + END_MS;
  return (int)r->end.survivors;
}

static void watch(struct run *r) {
  struct signalfd_siginfo info;
  while (!reap(r)) {
    if (act(r)) return;
    /* Closed sockets stay readable: each is looked at while it may say something. */
    int last = r->state == KILLING, awaited = r->work.job.mode == SH_LANDLOCK && r->listener < 0;
    struct pollfd fds[] = {{.fd = r->signals, .events = POLLIN},
                           {.fd = last ? -1 : SH_FD_CONTROL, .events = POLLIN},
                           {.fd = awaited ? r->report : -1, .events = POLLIN},
                           {.fd = r->listener, .events = POLLIN}};
    if (poll(fds, 4, SAMPLE_MS) <= 0) continue;
    if (fds[0].revents != 0 && read(r->signals, &info, sizeof info) < 0) continue;
    if (fds[1].revents != 0) from_plugin(r);
    if (fds[2].revents & POLLIN) from_inside(r);
    if (fds[3].revents & POLLIN) sh_relay_answer(&r->work, r->listener);
  }
}

static int run(struct run *r) {
  sigset_t set;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return errno;
  signal_mask(SIG_BLOCK, SIGCHLD, SIGTERM);
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (r->signals < 0) return errno;
  r->work.tmp = r->work.job.mode == SH_LANDLOCK ? sh_scratch_new() : strdup("/tmp");
  r->deadline_ms = sh_now_ms() + r->work.job.wall_ms;
  int error = start(r);
  if (error != 0) return error;
  for (int fd = 0; fd <= 2; fd++) close(fd); /* the output ends with the command's */
  watch(r);
  return 0;
}

int main(int argc, char **argv) {
  struct run r = {.state = RUNNING, .listener = -1};
  int error = sh_work_read(&r.work);
  if (argc == 3 && strcmp(argv[1], "inside") == 0) {
    r.work.report = (int)strtol(argv[2], NULL, 10);
    if (error != 0) sh_report(&r.work, SH_NO_SANDBOX, error, "read the job");
    r.work.tmp = strdup("/tmp");
    sh_enter(&r.work);
  }
  syscall(SYS_close_range, SH_FD_SELF + 1u, ~0u, 0u);
  if (error == 0) error = run(&r);
  if (error != 0) {
    r.end.how = SH_NO_SANDBOX;
    r.end.value = error;
    snprintf(r.end.text, sizeof r.end.text, "start");
  }
  send(SH_FD_CONTROL, &r.end, sizeof r.end, MSG_NOSIGNAL);
  if (r.work.job.mode == SH_LANDLOCK && r.work.tmp != NULL) sh_scratch_remove(r.work.tmp);
  return 0;
}
