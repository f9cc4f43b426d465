/* deeds.h - what a plugin does that means harm, for the three rogues. They do
 * it where they are told to, and only an isolated one may be told: in the host
 * each of these is the end of it.
 *
 * deed_do() does one and says what came of it, when it comes back. Deeds with a
 * number have it behind a colon, "connect:8080".
 */
#ifndef ROGUE_DEEDS_H
#define ROGUE_DEEDS_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sdk/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yoi/host_log.h>
#include <yoi/host_metrics.h>
#include <yoi/host_mount.h>
#include <yoi/host_secret.h>

#define DEED_TEXT 8192
#define DEED_FDS 64      /* that are looked at, or tampered with */
#define DEED_LINES 20000 /* of a log */
#define DEED_METRICS 80  /* more than are given to one */
#define DEED_LEAK (3ull << 30) /* more than any limit lets through */

/* The head of a packet between the two programs. */
struct deed_packet {
  uint32_t kind, total;
  uint64_t id;
  char body[48];
};

static inline void deed_say(char *out, size_t cap, const char *what, long result) {
  snprintf(out, cap, "%s: %s", what, result < 0 ? strerrorname_np(errno) : "done");
}

/* To every descriptor that takes it. */
static inline void deed_send(const void *bytes, size_t n) {
  for (int fd = 3; fd < DEED_FDS; fd++) (void)!send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline void deed_garbage(const char *how) {
  struct deed_packet p = {.kind = 6, .total = sizeof p.body};
  memset(p.body, 0xa5, sizeof p.body);
  if (strcmp(how, "torn") == 0) {
    deed_send(&p, 5);
  } else if (strcmp(how, "empty") == 0) {
    deed_send(&p, 0);
  } else if (strcmp(how, "oversize") == 0) {
    p.total = UINT32_MAX;
    deed_send(&p, sizeof p);
  } else if (strcmp(how, "foreign") == 0) {
    for (p.id = 0; p.id < 4096; p.id++) deed_send(&p, sizeof p);
  } else { /* each kind there is, and some that are none */
    for (p.kind = 0; p.kind < 256; p.kind++) deed_send(&p, sizeof p);
  }
}

static inline void deed_leak(char *out, size_t cap) {
  const size_t step = 1u << 20;
  unsigned long long got = 0;
  for (char *p; got < DEED_LEAK && (p = malloc(step)) != NULL; got += step) memset(p, 1, step);
  snprintf(out, cap, "leak: %llu MiB", got >> 20);
}

static inline void deed_connect(int port, char *out, size_t cap) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  deed_say(out, cap, "connect", fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a, sizeof a));
}

/* Gives the host a descriptor that it did not ask for, over one of two sockets. */
static inline long deed_pass(int over, int fd) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {.bytes = {0}};
  struct deed_packet p = {.kind = 12, .total = sizeof p.body};
  struct iovec v = {&p, sizeof p};
  struct msghdr m = {.msg_iov = &v,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return sendmsg(over, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A descriptor whose close waits for who never reads: that of the last to have
 * it, who is the host. It looks at the calm socket when it has asked something. */
static inline void deed_linger(int port, char *out, size_t cap) {
  static const char much[65536];
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct linger l = {.l_onoff = 1, .l_linger = 600};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void)!connect(fd, (struct sockaddr *)&a, sizeof a);
  (void)!setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
  while (send(fd, much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) continue;
  deed_say(out, cap, "linger", deed_pass(4, fd));
  close(fd);
}

static inline void deed_open(const char *path, char *out, size_t cap) {
  deed_say(out, cap, "open", open(path, O_RDONLY | O_CLOEXEC));
}

/* What it was born with: descriptors with their types, folder and environment. */
static inline void deed_inherited(char *out, size_t cap) {
  extern char **environ;
  char cwd[256] = "?";
  (void)!getcwd(cwd, sizeof cwd);
  size_t n = (size_t)snprintf(out, cap, "inherited: cwd=%s", cwd);
  for (int fd = 0; fd < 4096 && n < cap; fd++) {
    struct stat sb;
    struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof a;
    if (fstat(fd, &sb) != 0) continue;
    (void)getsockname(fd, (struct sockaddr *)&a, &len);
    n += (size_t)snprintf(out + n, cap - n, " fd=%d/%o/%d", fd, sb.st_mode & S_IFMT, a.ss_family);
  }
  for (char **e = environ; *e != NULL && n < cap; e++)
    n += (size_t)snprintf(out + n, cap - n, " env=%s", *e);
}

static inline void *deed_thread(void *p) {
  (void)p;
  for (;;) continue;
  return NULL;
}

/* Takes the place of each socket to the host, and goes on without it. */
static inline void deed_replace(void) {
  int pair[2];
  pthread_t t;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
  for (int fd = 3; fd < DEED_FDS; fd++)
    if (fd != pair[0] && fd != pair[1] && fcntl(fd, F_GETFD) >= 0) dup2(pair[0], fd);
  pthread_create(&t, NULL, deed_thread, NULL);
}

/* Nobody can tell it anything any more, and it does not end. */
static inline void deed_shut(void) {
  for (int fd = 3; fd < DEED_FDS; fd++) (void)shutdown(fd, SHUT_RD);
  for (;;) pause();
}

static inline void deed_secret(const yoi_host *host, const char *name, char *out, size_t cap) {
  const yoi_host_secret *s = yoi_sdk_host_get(host, YOI_HOST_SECRET_ID, sizeof *s);
  char value[256];
  size_t len = 0;
  yoi_str id = {name, strlen(name)};
  if (s == NULL) {
    snprintf(out, cap, "secret: no interface");
    return;
  }
  yoi_status st = s->get(host, id, value, sizeof value, &len, NULL);
  if (st == YOI_OK)
    snprintf(out, cap, "secret: %.*s", (int)len, value);
  else
    snprintf(out, cap, "secret: refused %d", st);
}

static inline void deed_mount(const yoi_host *host, const char *name, char *out, size_t cap) {
  const yoi_host_mount *m = yoi_sdk_host_get(host, YOI_HOST_MOUNT_ID, sizeof *m);
  int32_t fd = -1;
  yoi_status st = YOI_UNIMPLEMENTED;
  for (uint64_t call = 0; m != NULL && call < 64 && st != YOI_OK; call++)
    st = m->open(host, call, (yoi_str){name, strlen(name)}, YOI_LIT("."),
                 YOI_MOUNT_READ | YOI_MOUNT_FOLDER, &fd, NULL);
  snprintf(out, cap, m == NULL ? "mount: no interface" : "mount: %s", fd >= 0 ? "done" : "refused");
}

/* What the host counts itself, and as many of its own as there are. */
static inline void deed_metrics(const yoi_host *host, char *out, size_t cap) {
  const yoi_host_metrics *m = yoi_sdk_host_get(host, YOI_HOST_METRICS_ID, sizeof *m);
  const yoi_metric turns = {.size = sizeof turns, .type = YOI_METRIC_GAUGE,
                            .name = YOI_LIT("yoi_turns_running"),
                            .help = YOI_LIT("Turns in progress.")};
  uint32_t id = 0;
  int got = 0;
  yoi_status st = m->make(host, &turns, &id);
  m->set(host, id, 4242);
  for (int i = 0; i < DEED_METRICS; i++) {
    char name[32];
    snprintf(name, sizeof name, "yoi_rogue_%d_total", i);
    got += m->counter(host, (yoi_str){name, strlen(name)}, YOI_LIT("Of a rogue."),
                      (yoi_str){NULL, 0}, (yoi_str){NULL, 0}, &id) == YOI_OK;
    m->add(host, id, 1);
  }
  snprintf(out, cap, "metrics: %s, %d", st == YOI_OK ? "done" : "refused", got);
}

static inline void deed_log(const yoi_host *host) {
  const yoi_host_log *log = yoi_sdk_host_get(host, YOI_HOST_LOG_ID, sizeof *log);
  static const char line[] = "msg=ready rogue\nmsg=rogue again \x1b[2J";
  for (int i = 0; log != NULL && i < DEED_LINES; i++)
    log->write(host, YOI_LOG_ERROR, (yoi_str){line, sizeof line - 1}, (yoi_str){NULL, 0}, NULL, 0);
}

/* A fault, not what a sanitizer says instead. */
__attribute__((no_sanitize("undefined"))) static inline void deed_fault(void) {
  volatile int *volatile nowhere = NULL;
  signal(SIGSEGV, SIG_DFL);
  *nowhere = 1;
}

/* Stops itself, by what no call says. */
static inline void deed_halt(void) {
  struct sigevent stop = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGSTOP};
  const struct itimerspec soon = {.it_value.tv_nsec = 1};
  timer_t t;
  if (timer_create(CLOCK_MONOTONIC, &stop, &t) == 0) timer_settime(t, 0, &soon, NULL);
  for (;;) pause();
}

static inline void deed_crash(const char *deed) {
  if (strcmp(deed, "segfault") == 0) deed_fault();
  if (strcmp(deed, "abort") == 0) abort();
  if (strcmp(deed, "exit") == 0) exit(0);
  if (strcmp(deed, "_exit") == 0) _exit(0);
  if (strcmp(deed, "kill") == 0) raise(SIGKILL);
  if (strcmp(deed, "term") == 0) raise(SIGTERM);
  if (strcmp(deed, "spin") == 0) deed_thread(NULL);
  if (strcmp(deed, "halt") == 0) deed_halt();
  while (strcmp(deed, "sleep") == 0) pause();
}

static inline void deed_do(const char *deed, const yoi_host *host, char *out, size_t cap) {
  const char *colon = strchr(deed, ':'), *rest = colon != NULL ? colon + 1 : "";
  char name[32];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(deed, ":"), deed);
  snprintf(out, cap, "%s: done", name);
  deed_crash(name);
  if (strcmp(name, "garbage") == 0) deed_garbage(rest);
  if (strcmp(name, "leak") == 0) deed_leak(out, cap);
  if (strcmp(name, "log") == 0) deed_log(host);
  if (strcmp(name, "metrics") == 0) deed_metrics(host, out, cap);
  if (strcmp(name, "connect") == 0) deed_connect((int)strtol(rest, NULL, 10), out, cap);
  if (strcmp(name, "linger") == 0) deed_linger((int)strtol(rest, NULL, 10), out, cap);
  if (strcmp(name, "pass") == 0) deed_say(out, cap, name, deed_pass(3, 0));
  if (strcmp(name, "open") == 0) deed_open(rest, out, cap);
  if (strcmp(name, "inherited") == 0) deed_inherited(out, cap);
  if (strcmp(name, "replace") == 0) deed_replace();
  if (strcmp(name, "shut") == 0) deed_shut();
  if (strcmp(name, "secret") == 0) deed_secret(host, rest, out, cap);
  if (strcmp(name, "mount") == 0) deed_mount(host, rest, out, cap);
  if (strcmp(name, "stop") == 0) deed_say(out, cap, name, raise(SIGSTOP));
  if (strcmp(name, "attack") == 0) deed_say(out, cap, name, kill(getppid(), SIGKILL));
  if (strcmp(name, "ptrace") == 0)
    deed_say(out, cap, name, ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
  if (strcmp(name, "environ") == 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", getppid());
    deed_open(path, out, cap);
  }
  if (strcmp(name, "fork") == 0) {
    pid_t pid = fork();
    while (pid == 0) pause(); /* with the sockets */
    deed_say(out, cap, name, pid);
  }
  if (strcmp(name, "run") == 0) {
    char *const argv[] = {(char[]){"true"}, NULL};
    deed_say(out, cap, name, execv("/bin/true", argv));
  }
  for (int fd = 3; strcmp(name, "close") == 0 && fd < DEED_FDS; fd++) close(fd);
}

#endif
