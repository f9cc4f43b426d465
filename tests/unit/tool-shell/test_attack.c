/* test_attack.c - a command that means harm, in each sandbox.
 *
 * What the attacks reach for is really there: `controls` makes the same attacks
 * without a sandbox, where they have to succeed, so that no test here passes
 * because it asks for the wrong thing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell_rig.h"

#define EACH(test)                                                    \
  static void test##_in_bwrap(void **s) { (void)s; test("bwrap"); } \
  static void test##_in_landlock(void **s) { (void)s; test("landlock"); }

#define ROWS(test) cmocka_unit_test(test##_in_bwrap), cmocka_unit_test(test##_in_landlock)

#define SECRET "planted-secret-4f1d"

/* What is outside: a folder with a secret file, and who listens. */
struct outside {
  char folder[256], secret[300];
  int tcp, abstract, path; /* listening sockets */
  unsigned port;
  char name[64]; /* of the abstract one */
  int held;      /* a descriptor of the secret that is not close-on-exec */
};

static int listen_unix(const char *name, size_t len) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  memcpy(a.sun_path, name, len);
  assert_int_equal(
      bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
  assert_int_equal(listen(fd, 4), 0);
  return fd;
}

static void outside_open(struct outside *o) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof a;
  char template[] = "/tmp/yoi-outside-XXXXXX", path[320];
  memset(o, 0, sizeof *o);
  assert_non_null(mkdtemp(template));
  snprintf(o->folder, sizeof o->folder, "%s", template);
  snprintf(path, sizeof path, "%s/.ssh", o->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(o->secret, sizeof o->secret, "%s/.ssh/id", o->folder);
  o->held = open(o->secret, O_RDWR | O_CREAT, 0600);
  assert_true(o->held >= 0 && write(o->held, SECRET "\n", strlen(SECRET) + 1) > 0);
  setenv("PLANTED", SECRET, 1);
  o->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  assert_int_equal(bind(o->tcp, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(o->tcp, 4), 0);
  assert_int_equal(getsockname(o->tcp, (struct sockaddr *)&a, &len), 0);
  o->port = ntohs(a.sin_port);
  snprintf(o->name, sizeof o->name, "yoi-attack-%u", (unsigned)getpid());
  char abstract[64] = "";
  memcpy(abstract + 1, o->name, strlen(o->name));
  o->abstract = listen_unix(abstract, strlen(o->name) + 1);
  snprintf(path, sizeof path, "%s/socket", o->folder);
  o->path = listen_unix(path, strlen(path));
}

static void outside_close(struct outside *o) {
  const char *const names[] = {"socket", ".ssh/id", ".ssh", "."};
  close(o->tcp);
  close(o->abstract);
  close(o->path);
  close(o->held);
  for (size_t i = 0; i < 4; i++) {
    char path[320];
    snprintf(path, sizeof path, "%s/%s", o->folder, i == 3 ? "" : names[i]);
    assert_int_equal(i < 2 ? unlink(path) : rmdir(path), 0); /* nothing else came to be there */
  }
  unsetenv("PLANTED");
}

static char *script(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *script(const char *format, ...) {
  char *text;
  va_list ap;
  va_start(ap, format);
  if (vasprintf(&text, format, ap) < 0) abort();
  va_end(ap);
  return text;
}

/* Each tries to show the secret, or to do something to where it is. */
static char *reading(const struct outside *o, size_t i) {
  switch (i) {
    case 0: return script("cat %s", o->secret);
    case 1: return script("cat /proc/self/root%s /proc/1/root%s", o->secret, o->secret);
    case 2: return script("ln -sf %s link; cat link/.ssh/id; cat link/../*/.ssh/id", o->folder);
    case 3: return script("ln %s hard && cat hard; cp %s copy && cat copy", o->secret, o->secret);
    case 4: return script("cat /proc/%d/environ | tr '\\0' '\\n'; cat /proc/*/environ", getpid());
    case 5: return script("cat /proc/%d/fd/%d; timeout 1 cat /proc/*/fd/*%s", getpid(), o->held,
                          "/../.ssh/id");
    case 6: return script("for n in 3 4 5 6 7 8 9; do eval \"cat <&$n\"; done; "
                          "timeout 1 cat /proc/self/fd/*; python3 -c 'import os\n"
                          "for n in range(3, 99):\n  try: print(os.pread(n, 99, 0))\n"
                          "  except OSError: pass'");
    case 7: return script("for p in /proc/[0-9]*; do cat $p/root%s $p/cwd/../%s; done", o->secret,
                          o->secret);
    case 8: return script("cd ..; cd %s && cat .ssh/id; cat ../../../../..%s", o->folder, o->secret);
    case 9: return script("cp /bin/cat ./c; ./c %s; /lib64/ld-linux-x86-64.so.2 /bin/cat %s",
                          o->secret, o->secret);
    case 10: return script("python3 -c 'import os\n"
                           "d = os.open(\"/\", os.O_PATH)\n"
                           "print(open(os.open(\"%s\", os.O_RDONLY, dir_fd=d)).read())'",
                           o->secret + 1);
    default: return NULL;
  }
}

static void secrets_are_not_read(const char *sandbox) {
  struct outside o;
  struct shell_rig r;
  outside_open(&o);
  shell_rig_open(&r, sandbox, "");
  for (size_t i = 0;; i++) {
    char *s = reading(&o, i);
    if (s == NULL) break;
    shell_rig_never(&r, s, SECRET);
    free(s);
  }
  shell_rig_close(&r);
  outside_close(&o);
}
EACH(secrets_are_not_read)

static char *writing(const struct outside *o, size_t i) {
  switch (i) {
    case 0: return script("echo x > %s; echo x >> %s; echo x > %s/new", o->secret, o->secret,
                          o->folder);
    case 1: return script("ln -sfn %s link; echo x > link/new; rm link/.ssh/id; mkdir link/d",
                          o->folder);
    case 2: return script("chmod 666 %s; chown 1:1 %s; touch -d 2001-01-01 %s; truncate -s 0 %s",
                          o->secret, o->secret, o->secret, o->secret);
    case 3: return script("python3 -c 'import os\ntry:\n  os.chmod(\"%s\", 0o666)\n"
                          "except OSError: pass\nos.utime(\"%s\", (1, 1))'", o->secret, o->secret);
    case 4: return script("mv %s/.ssh moved; mv %s . ; rm -rf %s", o->folder, o->secret, o->folder);
    case 5: return script("ln -s /proc/self/root%s l; echo x > l; echo x > /proc/%d/root%s",
                          o->secret, getpid(), o->secret);
    case 6: return script("python3 -c 'import os\n"
                          "f = os.open(\"%s\", os.O_PATH)\n"
                          "for g in (lambda: os.chmod(\"/proc/self/fd/%%d\" %% f, 0o666),\n"
                          "          lambda: os.setxattr(\"%s\", \"user.x\", b\"y\")):\n"
                          "  try: g()\n  except OSError: pass'", o->secret, o->secret);
    default: return NULL;
  }
}

static void nothing_outside_is_changed(const char *sandbox) {
  struct outside o;
  struct shell_rig r;
  struct stat before, after;
  outside_open(&o);
  shell_rig_open(&r, sandbox, "");
  assert_int_equal(stat(o.secret, &before), 0);
  for (size_t i = 0;; i++) {
    struct tool_result got;
    char *s = writing(&o, i);
    if (s == NULL) break;
    shell_rig_run(&r, s, &got);
    assert_int_equal(got.status, YOI_END);
    if (stat(o.secret, &after) != 0) fail_msg("%s: it is gone", s);
    if (after.st_size != before.st_size || after.st_mode != before.st_mode ||
        after.st_mtime != before.st_mtime || after.st_ctime != before.st_ctime ||
        after.st_uid != before.st_uid || after.st_nlink != before.st_nlink)
      fail_msg("%s: it has changed", s);
    tool_result_release(&got);
    free(s);
  }
  shell_rig_close(&r);
  outside_close(&o); /* fails when there is more than was */
}
EACH(nothing_outside_is_changed)

#define CONNECT                                                          \
  "python3 -c 'import socket\n"                                        \
  "def t(name, family, to):\n"                                         \
  "  try:\n"                                                           \
  "    s = socket.socket(family); s.settimeout(2); s.connect(to); print(name, \"reached\")\n" \
  "  except OSError as e: print(name, \"failed\", e)\n"                  \
  "t(\"tcp\", socket.AF_INET, (\"127.0.0.1\", %u))\n"                    \
  "t(\"abstract\", socket.AF_UNIX, \"\\0%s\")\n"                         \
  "t(\"path\", socket.AF_UNIX, \"%s/socket\")'"

static void sockets(const char *sandbox, const char *limits, int tcp, int others) {
  struct outside o;
  struct shell_rig r;
  struct tool_result got;
  outside_open(&o);
  shell_rig_open(&r, sandbox, limits);
  char *s = script(CONNECT, o.port, o.name, o.folder);
  shell_rig_run(&r, s, &got);
  free(s);
  assert_int_equal(got.status, YOI_END);
  const char *const names[] = {"tcp", "abstract", "path"};
  const int fds[] = {o.tcp, o.abstract, o.path};
  for (int i = 0; i < 3; i++) {
    char said[64];
    int reached = i == 0 ? tcp : others;
    snprintf(said, sizeof said, "%s %s", names[i], reached ? "reached" : "failed");
    if (strstr(got.output, said) == NULL) fail_msg("not '%s':\n%s", said, got.output);
    int fd = accept(fds[i], NULL, NULL);
    assert_int_equal(fd >= 0, reached);
    if (fd >= 0) close(fd);
  }
  tool_result_release(&got);
  shell_rig_close(&r);
  outside_close(&o);
}

static void nobody_is_reached(const char *sandbox) {
  sockets(sandbox, "", 0, 0);
}
EACH(nobody_is_reached)

static void a_network_is_no_local_socket(const char *sandbox) {
  sockets(sandbox, ",\"network\":true", 1, 0);
}
EACH(a_network_is_no_local_socket)

/* The attacks succeed where nothing is in their way. */
static void controls(void **state) {
  struct outside o;
  struct shell_rig r;
  (void)state;
  sockets("none", "", 1, 1);
  outside_open(&o);
  shell_rig_open(&r, "none", "");
  static const int plain[] = {0, 1, 2, 3, 7, 8, 9, 10};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    char *s = reading(&o, (size_t)plain[i]);
    shell_rig_says(&r, s, SECRET);
    free(s);
  }
  shell_rig_close(&r);
  outside_close(&o);
}

/* Calls that must fail, whatever they would do; by their names. */
static void calls_are_refused(const char *sandbox) {
  struct shell_rig r;
#ifdef __x86_64__
  char *s = script(
      "python3 -c 'import ctypes, os, fcntl, termios, socket\n"
      "c = ctypes.CDLL(None, use_errno=True)\n"
      "def t(name, nr, *a):\n"
      "  ctypes.set_errno(0)\n"
      "  r = c.syscall(nr, *a); e = ctypes.get_errno()\n"
      "  if r != -1 or e not in (1, 38): print(name, \"GOT THROUGH\", r, e)\n"
      "t(\"ptrace attach\", 101, 16, %d, 0, 0)\n"
      "t(\"ptrace traceme\", 101, 0, 0, 0, 0)\n"
      "t(\"process_vm_readv\", 310, %d, 0, 0, 0, 0, 0)\n"
      "t(\"keyctl\", 250, 0, -4, 0, 0, 0)\n"
      "t(\"add_key\", 248, 0, 0, 0, 0, 0)\n"
      "t(\"mount\", 165, b\"none\", b\"/tmp\", b\"tmpfs\", 0, 0)\n"
      "t(\"umount\", 166, b\"/proc\", 2)\n"
      "t(\"pivot_root\", 155, b\".\", b\".\")\n"
      "t(\"chroot\", 161, b\".\")\n"
      "t(\"unshare\", 272, 0x10000000)\n"
      "t(\"unshare mounts\", 272, 0x00020000)\n"
      "t(\"clone new user\", 56, 0x10000011, 0, 0, 0, 0)\n"
      "t(\"clone3\", 435, 0, 0)\n"
      "t(\"setns\", 308, 0, 0)\n"
      "t(\"bpf\", 321, 0, 0, 0)\n"
      "t(\"io_uring\", 425, 8, 0)\n"
      "t(\"userfaultfd\", 323, 0)\n"
      "t(\"perf\", 298, 0, 0, -1, -1, 0)\n"
      "t(\"open_by_handle\", 304, -100, 0, 0)\n"
      "t(\"init_module\", 175, 0, 0, b\"\")\n"
      "t(\"prlimit\", 302, %d, 7, b\"\\0\" * 16, 0)\n"
      "t(\"open_tree\", 428, -100, b\"/\", 0)\n"
      "t(\"newer than the filter\", 463, 0)\n"
      "t(\"x32\", 0x40000000 + 39)\n"
      "def x(name, f):\n"
      "  try: f(); print(name, \"GOT THROUGH\")\n"
      "  except OSError: pass\n"
      "x(\"TIOCSTI\", lambda: fcntl.ioctl(0, termios.TIOCSTI, b\"x\"))\n"
      "x(\"TIOCSTI of a terminal\", lambda: fcntl.ioctl(os.open(\"/dev/ptmx\", os.O_RDWR), "
      "termios.TIOCSTI, b\"x\"))\n"
      "x(\"packet\", lambda: socket.socket(17, socket.SOCK_RAW))\n"
      "x(\"vsock\", lambda: socket.socket(40, socket.SOCK_STREAM))\n"
      "x(\"netlink audit\", lambda: socket.socket(16, socket.SOCK_RAW, 9))\n"
      "x(\"alg\", lambda: socket.socket(38, socket.SOCK_SEQPACKET))\n"
      "caps = (ctypes.c_uint32 * 6)()\n"
      "c.syscall(125, (ctypes.c_uint32 * 2)(0x20080522, 0), caps)\n"
      "print(\"no new privileges\", c.prctl(39, 0, 0, 0, 0), \"capabilities\", list(caps))\n"
      "print(\"all tried\")'",
      getpid(), getpid(), getpid());
  shell_rig_open(&r, sandbox, "");
  shell_rig_never(&r, s, "GOT THROUGH");
  shell_rig_says(&r, s, "all tried");
  shell_rig_says(&r, s, "no new privileges 1 capabilities [0, 0, 0, 0, 0, 0]");
  shell_rig_close(&r);
  free(s);
#else
  printf("SKIPPED: the numbers of calls in this test are those of x86-64\n");
  (void)r, (void)sandbox, (void)script;
  skip();
#endif
}
EACH(calls_are_refused)

/* ---- processes ---- */
static void ends(struct shell_rig *r, const char *s, const char *part) {
  shell_rig_says(r, s, part);
  assert_int_equal(shell_rig_alive(r), 0); /* when the end is said, it is so */
}

static void nothing_survives(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  ends(&r, "sleep %M & setsid sleep %M & (setsid setsid sleep %M &) ; nohup sleep %M & exit 3",
       "exit code 3");
  ends(&r, "python3 - %M <<'END'\n"
           "import os, signal, time\n"
           "for s in range(1, 65):\n"
           "  try: signal.signal(s, signal.SIG_IGN)\n"
           "  except (OSError, ValueError): pass\n"
           "for depth in range(5):\n"
           "  if os.fork(): os._exit(0)\n"
           "  os.setsid()\n"
           "os.closerange(0, 3)\n"
           "time.sleep(60)\n"
           "END\n"
           "exit 4",
       "exit code 4");
  ends(&r, "trap '' TERM HUP INT; (trap '' TERM; sleep %M) & sleep 1; kill -STOP $! ; exit 5",
       "exit code 5");
  shell_rig_close(&r);
}
EACH(nothing_survives)

static void a_fork_bomb_goes_out(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  shell_rig_open(&r, sandbox, ",\"wall_ms\":4000");
  shell_rig_run(&r, "f() { f | f & f | f & }; f; sleep 9; : %M", &got);
  assert_int_equal(got.status, YOI_END);
  assert_int_equal(shell_rig_alive(&r), 0);
  if (strstr(got.output, "killed: processes") == NULL &&
      strstr(got.output, "timed out") == NULL && strstr(got.output, "exit code 2") == NULL)
    fail_msg("%s", got.output);
  tool_result_release(&got);
  ends(&r, "python3 -c 'import os, sys\nwhile 1:\n  try: os.fork()\n  except OSError: pass' %M", "");
  ends(&r, "python3 -c 'import threading, time\n"
           "for n in range(500): threading.Thread(target=time.sleep, args=(9,)).start()' %M", "");
  shell_rig_says(&r, "echo it still works", "it still works");
  shell_rig_close(&r);
}
EACH(a_fork_bomb_goes_out)

static void memory_is_limited(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  ends(&r, "python3 -c 'a = []\nwhile 1: a.append(bytearray(9 << 20))' %M", "MemoryError");
  ends(&r, "for i in 1 2 3 4 5 6; do python3 -c 'import time\na = bytearray(90 << 20)\n"
           "time.sleep(9)' %M & done; wait", "killed: memory");
  ends(&r, "python3 -c 'import mmap\na = mmap.mmap(-1, 1 << 30)\n"
           "for i in range(0, 1 << 30, 4096): a[i] = 1\nprint(\"GOT IT\")' %M", "killed: memory");
  shell_rig_close(&r);
}
EACH(memory_is_limited)

static void files_are_limited(const char *sandbox) {
  struct shell_rig r;
  struct stat st;
  char path[128];
  shell_rig_open(&r, sandbox, ",\"file_bytes\":1000000");
  shell_rig_says(&r, "head -c 9000000 /dev/zero > big; echo code $?", "code 153");
  snprintf(path, sizeof path, "%s/big", r.folder);
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_size <= 1000000);
  shell_rig_says(&r, "exec head -c 9000000 /dev/zero > big", "(a file became too large)");
  shell_rig_says(&r, "truncate -s 9000000 big; echo code $?", "code 153");
  if (strcmp(sandbox, "bwrap") == 0) {
    shell_rig_limits(&r, "");
    shell_rig_says(&r, "for d in /tmp /dev/shm; do i=0; while head -c 16000000 /dev/zero > $d/$i; "
                       "do i=$((i+1)); done; echo $d $i; done", "No space left");
    shell_rig_says(&r, "touch /x /dev/x /etc/x /usr/x /run/x; ls /x /dev/x /etc/x /usr/x /run/x | "
                       "wc -l", "0\nexit");
  }
  shell_rig_close(&r);
}
EACH(files_are_limited)

static void time_is_limited(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, ",\"cpu_s\":1");
  ends(&r, "exec python3 -c 'while 1: pass' %M", "CPU time");
  ends(&r, "for i in 1 2 3; do python3 -c 'while 1: pass' %M & done; wait", "killed: CPU time");
  shell_rig_limits(&r, ",\"wall_ms\":300");
  ends(&r, "trap '' TERM; sleep %M & while :; do sleep %M; done", "timed out after 0.3 s");
  shell_rig_close(&r);
}
EACH(time_is_limited)

struct canceller {
  struct shell_rig *r;
  struct tool_call *call;
};

static void *cancel_when_it_runs(void *ctx) {
  struct canceller *c = ctx;
  while (shell_rig_alive(c->r) == 0) poll(NULL, 0, 5);
  tool_call_cancel(c->call);
  return NULL;
}

static void output_without_end_is_cut_off(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  pthread_t thread;
  shell_rig_open(&r, sandbox, "");
  struct canceller c = {&r, shell_rig_start(&r, "yes %M")};
  assert_int_equal(pthread_create(&thread, NULL, cancel_when_it_runs, &c), 0);
  tool_call_finish(c.call, &got); /* there is always something to read */
  pthread_join(thread, NULL);
  assert_int_equal(got.status, YOI_CANCELLED);
  assert_int_equal(shell_rig_alive(&r), 0);
  tool_result_release(&got);
  shell_rig_close(&r);
}
EACH(output_without_end_is_cut_off)

static void signals_stay_inside(const char *sandbox) {
  struct shell_rig r;
  pid_t bystander = fork();
  if (bystander == 0) {
    for (;;) pause();
  }
  shell_rig_open(&r, sandbox, "");
  char *s = script("kill -9 %d %d; kill -9 -%d; python3 -c 'import os, signal\n"
                   "for p in (%d, %d, os.getppid(), os.getsid(0), 1):\n"
                   "  for f in (lambda: os.kill(p, 9), lambda: os.killpg(p, 9)):\n"
                   "    try:\n"
                   "      if p in (%d, %d): f()\n"
                   "    except OSError: pass'; echo still here; kill -9 -1; echo %%M",
                   getpid(), bystander, getpgrp(), getpid(), bystander, getpid(), bystander);
  ends(&r, s, "still here");
  free(s);
  assert_int_equal(waitpid(bystander, NULL, WNOHANG), 0);
  kill(bystander, SIGKILL);
  waitpid(bystander, NULL, 0);
  shell_rig_close(&r);
}
EACH(signals_stay_inside)

/* ---- who watches is killed ---- */
static pid_t runner_of(pid_t self) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", self, self);
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
  close(fd);
  return (pid_t)strtol(text, NULL, 10);
}

static void nothing_outlives_the_runner(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  shell_rig_open(&r, sandbox, "");
  struct tool_call *c = shell_rig_start(
      &r, "trap '' TERM; setsid sleep %M & (setsid sleep %M &) ; sleep %M; sleep %M");
  shell_rig_wait_alive(&r, 4);
  assert_int_equal(kill(runner_of(getpid()), SIGKILL), 0);
  shell_rig_wait_gone(&r);
  tool_call_finish(c, &got);
  assert_int_equal(got.status, YOI_INTERNAL);
  assert_non_null(strstr(got.error.message, "not known"));
  tool_result_release(&got);
  shell_rig_close(&r);
}
EACH(nothing_outlives_the_runner)

static void nothing_outlives_the_host(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  pid_t host = fork();
  if (host == 0) {
    struct shell_rig inner;
    shell_rig_open(&inner, sandbox, "");
    memcpy(inner.marker, r.marker, sizeof r.marker);
    struct tool_call *c = shell_rig_start(
        &inner, "trap '' TERM; setsid sleep %M & (setsid sleep %M &) ; sleep %M; sleep %M");
    while (!tool_call_ended(c)) tool_host_step(inner.th, 100);
    _exit(1);
  }
  shell_rig_wait_alive(&r, 4);
  kill(host, SIGKILL);
  waitpid(host, NULL, 0);
  shell_rig_wait_gone(&r);
  shell_rig_close(&r);
}
EACH(nothing_outlives_the_host)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(controls),
      ROWS(secrets_are_not_read),
      ROWS(nothing_outside_is_changed),
      ROWS(nobody_is_reached),
      ROWS(a_network_is_no_local_socket),
      ROWS(calls_are_refused),
      ROWS(nothing_survives),
      ROWS(a_fork_bomb_goes_out),
      ROWS(memory_is_limited),
      ROWS(files_are_limited),
      ROWS(time_is_limited),
      ROWS(output_without_end_is_cut_off),
      ROWS(signals_stay_inside),
      ROWS(nothing_outlives_the_runner),
      ROWS(nothing_outlives_the_host),
  };
  cmocka_set_test_filter(getenv("YOI_TEST"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
