/* spawn.c - a runner, from its start until it has been waited for.
 *
 * The program is in this object and is executed from a memory file, so there
 * is no second file to find, to pin or to be replaced. Between the fork and the
 * exec only posix_spawn runs, which takes no lock and copies no memory: neither
 * the size nor the threads of the host matter, and what is started has nothing
 * of the host's memory, its secrets least of all.
 *
 *  1. Descriptors are moved out of the way first (to LOW and above), so that
 *     none that is wanted is written over by another one's new place.
 *  2. The end is a descriptor's too (pidfd): no signal, no number that could
 *     have become somebody else's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sdk/embed.h>
#include <sdk/mem.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell.h"

YOI_SDK_EMBED(sh_runner, RUNNER);

#define LOW 10
#define P_PIDFD_ 3 /* P_PIDFD; an enum that older headers lack */

static int write_all(int fd, const char *p, size_t n) {
  while (n > 0) {
    ssize_t w = write(fd, p, n);
    if (w < 0 && errno == EINTR) continue;
    if (w <= 0) return 0;
    p += w;
    n -= (size_t)w;
  }
  return 1;
}

/* A memory file at a place of LOW or above; -1 and errno. */
static int memory_file(const char *name, unsigned flags) {
  int low = memfd_create(name, MFD_CLOEXEC | flags);
  if (low < 0) return -1;
  int fd = fcntl(low, F_DUPFD_CLOEXEC, LOW), error = errno;
  close(low);
  errno = error;
  return fd;
}

int sh_runner_file(void) {
  int fd = memory_file("yoi-run", MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  if (write_all(fd, sh_runner, (size_t)(sh_runner_end - sh_runner)) &&
      fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
    return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* ---- what it is given ---- */
void sh_start_init(struct sh_start *s) {
  memset(s, 0, sizeof *s);
  s->job.magic = SH_JOB_MAGIC;
  s->folder = -1;
  yoi_sdk_buf_init(&s->text.cwd, YOI_MOUNT_PATH_MAX + 1);
  yoi_sdk_buf_init(&s->text.argv, 2 * YOI_TOOL_ARGUMENTS_MAX);
  yoi_sdk_buf_init(&s->text.env, 2 * YOI_GRANT_VALUE_MAX);
}

void sh_start_release(struct sh_start *s) {
  yoi_sdk_buf_release(&s->text.cwd);
  yoi_sdk_buf_release(&s->text.argv);
  yoi_sdk_buf_release(&s->text.env);
  if (s->folder >= 0) close(s->folder);
  s->folder = -1;
}

void sh_start_arg(struct sh_start *s, yoi_str arg) {
  yoi_sdk_buf_adds(&s->text.argv, arg);
  yoi_sdk_buf_addc(&s->text.argv, 0);
  s->job.n_argv++;
}

void sh_start_env(struct sh_start *s, yoi_str name, yoi_str value) {
  yoi_sdk_buf_adds(&s->text.env, name);
  yoi_sdk_buf_addc(&s->text.env, '=');
  yoi_sdk_buf_adds(&s->text.env, value);
  yoi_sdk_buf_addc(&s->text.env, 0);
  s->job.n_env++;
}

static int job_file(const struct sh_start *s) {
  const struct yoi_sdk_buf *cwd = &s->text.cwd, *argv = &s->text.argv, *env = &s->text.env;
  struct sh_job job = s->job;
  job.text_len = cwd->len + 1 + argv->len + env->len;
  int fd = memory_file("job", 0);
  if (fd < 0) return -1;
  if (write_all(fd, (const char *)&job, sizeof job) &&
      write_all(fd, cwd->data != NULL ? cwd->data : "", cwd->len + 1) &&
      write_all(fd, argv->data, argv->len) && (env->len == 0 || write_all(fd, env->data, env->len)))
    return fd;
  close(fd);
  return -1;
}

static int input_file(yoi_str input) {
  int fd = memory_file("input", 0);
  if (fd < 0) return -1;
  if (write_all(fd, input.ptr, input.len) && lseek(fd, 0, SEEK_SET) == 0) return fd;
  close(fd);
  return -1;
}

/* ---- starting ---- */
enum { INPUT, OUTPUT, ERRORS, CONTROL, JOB, MOUNT, SELF, PLACES };

/* Moves *fd to LOW or above. */
static int lift(int *fd) {
  int high = fcntl(*fd, F_DUPFD_CLOEXEC, LOW);
  if (high < 0) return 0;
  close(*fd);
  *fd = high;
  return 1;
}

static int spawn(const int at[PLACES], pid_t *out) {
  static const char *const argv[] = {"yoi-run", NULL};
  static const char *const env[] = {NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t how;
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  if (posix_spawnattr_init(&how) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return ENOMEM;
  }
  int error = 0;
  for (int i = 0; i < PLACES && error == 0; i++)
    error = posix_spawn_file_actions_adddup2(&actions, at[i], i);
  posix_spawnattr_setsigdefault(&how, &all);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setflags(&how,
                           POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  if (error == 0)
    error = posix_spawn(out, "/proc/self/fd/6", &actions, &how, (char *const *)argv,
                        (char *const *)env);
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

static void close_all(const int *fds, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (fds[i] >= 0) close(fds[i]);
}

/* Both ends of what there is between us; 0 and errno. */
static int connect_both(struct sh_child *c, int at[PLACES]) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) != 0) return 0;
  c->output = pair[0];
  at[OUTPUT] = pair[1];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return 0;
  c->control = pair[0];
  at[CONTROL] = pair[1];
  return lift(&at[OUTPUT]) && lift(&at[CONTROL]) && fcntl(c->output, F_SETFL, O_NONBLOCK) == 0 &&
         fcntl(c->control, F_SETFL, O_NONBLOCK) == 0;
}

static int begin(struct sh_plugin *p, const struct sh_start *s, struct sh_child *c) {
  int at[PLACES] = {-1, -1, -1, -1, -1, -1, -1}, error = 0;
  pid_t pid = -1;
  at[JOB] = job_file(s);
  at[INPUT] = s->input.len > 0 ? input_file(s->input) : open("/dev/null", O_RDONLY | O_CLOEXEC);
  at[MOUNT] = fcntl(s->folder, F_DUPFD_CLOEXEC, LOW);
  if (at[JOB] < 0 || at[INPUT] < 0 || at[MOUNT] < 0 || !lift(&at[INPUT]) || !connect_both(c, at))
    error = errno;
  int places[PLACES];
  memcpy(places, at, sizeof places);
  places[ERRORS] = at[OUTPUT];
  places[SELF] = p->runner;
  if (error == 0) error = spawn(places, &pid);
  if (error == 0) {
    c->process = (int)syscall(SYS_pidfd_open, pid, 0u);
    if (c->process < 0) error = errno; /* its socket closes: it ends */
  }
  close_all(at, PLACES);
  return error;
}

static void forget(struct sh_child *c) {
  struct sh_plugin *p = c->plugin;
  pthread_mutex_lock(&p->lock);
  for (struct sh_child **at = &p->children; *at != NULL; at = &(*at)->next)
    if (*at == c) {
      *at = c->next;
      p->n_children--;
      break;
    }
  pthread_mutex_unlock(&p->lock);
  close_all((int[]){c->process, c->output, c->control}, 3);
  yoi_sdk_free(c);
}

yoi_status sh_spawn(struct sh_plugin *p, const struct sh_start *s, struct sh_child **out,
                    yoi_error *err) {
  if (s->text.cwd.failed || s->text.argv.failed || s->text.env.failed)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the command line is too long");
  struct sh_child *c = yoi_sdk_calloc(1, sizeof *c);
  if (c == NULL) return yoi_sdk_fail_memory(err);
  c->plugin = p;
  c->process = c->output = c->control = -1;
  pthread_mutex_lock(&p->lock);
  int full = p->n_children >= YOI_SHELL_CALLS_MAX;
  if (!full) {
    c->next = p->children;
    p->children = c;
    p->n_children++;
  }
  pthread_mutex_unlock(&p->lock);
  if (full) {
    yoi_sdk_free(c);
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "%d commands run already; try again later",
                        YOI_SHELL_CALLS_MAX);
  }
  int error = begin(p, s, c);
  if (error != 0) {
    forget(c);
    yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot start a command on this host");
    yoi_sdk_fail_private(err, "start of the runner: %s", strerrordesc_np(error));
    return YOI_INTERNAL;
  }
  *out = c;
  return YOI_OK;
}

/* ---- ending ---- */
/* 1: it has been waited for, by us or by whoever else waits for children. */
static int waited(struct sh_child *c) {
  siginfo_t info = {.si_pid = 0};
  int r = waitid((idtype_t)P_PIDFD_, (id_t)c->process, &info, WEXITED | WNOHANG);
  return r == 0 ? info.si_pid != 0 : errno == ECHILD;
}

static void ended(void *ctx, int32_t fd, uint32_t ready) {
  struct sh_child *c = ctx;
  (void)fd;
  (void)ready;
  if (!waited(c)) return;
  c->plugin->loop->unwatch(c->plugin->host, c->watch);
  forget(c);
}

void sh_child_let_go(struct sh_child *c) {
  if (c == NULL) return;
  close_all((int[]){c->output, c->control}, 2);
  c->output = c->control = -1;
  if (waited(c)) {
    forget(c);
    return;
  }
  const yoi_host_loop *loop = c->plugin->loop;
  /* Without a watch it is waited for in close. */
  if (loop->watch(c->plugin->host, c->process, YOI_FD_READ, ended, c, &c->watch) != YOI_OK)
    c->watch = 0;
}

int sh_child_join(struct sh_child *c, int ms) {
  struct pollfd p = {.fd = c->process, .events = POLLIN};
  close_all((int[]){c->output, c->control}, 2);
  c->output = c->control = -1;
  if (c->watch != 0) c->plugin->loop->unwatch(c->plugin->host, c->watch); /* it has done so */
  int n;
  while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR) continue;
  int done = n > 0 && waited(c);
  forget(c);
  return done;
}
