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
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
  len += offsetof(struct sockaddr_un, sun_path);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, (socklen_t)len), 0);
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
    case 8: return script("cd ..; cd %s && cat .ssh/id; cat ../../../..%s", o->folder, o->secret);
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
    case 7: return script("touch a; python3 -c 'import os, threading\n"
                          "def flip():\n"
                          "  for n in range(3000):\n"
                          "    os.symlink(\"%s\", \"n\"); os.rename(\"n\", \"a\")\n"
                          "    os.close(os.open(\"n\", os.O_CREAT)); os.rename(\"n\", \"a\")\n"
                          "t = threading.Thread(target=flip); t.start()\n"
                          "while t.is_alive():\n"
                          "  for g in (lambda: os.chmod(\"a\", 0o666),\n"
                          "            lambda: os.utime(\"a\", (1, 1))):\n"
                          "    try: g()\n    except OSError: pass'", o->secret);
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

/* What is opened for writing is not written to: where a test fails, nothing has
 * happened. */
static void the_system_is_read_only(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  shell_rig_says(&r, "python3 -c 'import os\n"
                     "own = (\"/proc/self\", \"/proc/thread-self\", \"/dev/pts\",\n"
                     "       \"/dev/shm\")\n"
                     "devices = \"null zero full random urandom tty ptmx stdin stdout stderr\"\n"
                     "for top in (\"/proc\", \"/sys\", \"/dev\", \"/etc\", \"/run\", \"/var\"):\n"
                     "  for at, folders, files in os.walk(top):\n"
                     "    if at.startswith(own) or at[6:7].isdigit(): continue\n"
                     "    if at == \"/var/tmp\": continue\n"
                     "    for name in files:\n"
                     "      if at == \"/dev\" and name in devices.split(): continue\n"
                     "      try: os.open(at + \"/\" + name, os.O_WRONLY | os.O_NONBLOCK)\n"
                     "      except OSError: continue\n"
                     "      print(at, name, \"OPEN FOR WRITING\")\n"
                     "print(\"looked\")' > found; wc -l < found; tail -3 found",
                 "1\nlooked\nexit code 0");
  shell_rig_never(&r, "python3 -c 'import os\nfor p in (\"/proc/sys/kernel/core_pattern\",\n"
                      "  \"/proc/sysrq-trigger\", \"/proc/self/oom_score_adj\",\n"
                      "  \"/sys/power/state\"):\n"
                      "  try: os.open(p, os.O_WRONLY); print(p, \"OPEN FOR WRITING\")\n"
                      "  except OSError: pass'", "OPEN FOR WRITING");
  shell_rig_close(&r);
}
EACH(the_system_is_read_only)

/* Modes and times of its own files are the command's, but nobody's rights. */
static void own_files_are_changed(const char *sandbox) {
  static const struct {
    const char *script, *part;
  } rows[] = {
      {"echo 'echo it ran' > x; chmod +x x; ./x", "it ran\n"},
      {"touch -d 2001-01-01 x; stat -c %Y x", "978307200\n"},
      {"touch y; chmod 640 ./y; ln -s y z; chmod 600 z; stat -c %a y", "600\n"},
      {"cd $TMPDIR && touch t && chmod 700 t && stat -c %a t", "700\n"},
      {"echo abc > s; chmod 640 s; sed -i s/a/x/ s 2>&1; cat s; stat -c %a s", "xbc\n640\nexit"},
      {"mkdir d; chmod 0700 d; cp -p x d/x; stat -c %a d/x; chown $(id -u) d", "755\nexit code 0"},
      {"python3 -c 'import os; os.fchmod(os.open(\"y\", 0), 0o644)'; stat -c %a y", "644\n"},
      {"chmod 4755 x; chmod g+s x; chmod 6755 x; stat -c %a x", "755\n"},
      {"python3 -c 'import os\n"
       "for f in (lambda: os.open(\"u\", os.O_CREAT | os.O_WRONLY, 0o4755),\n"
       "  lambda: os.mknod(\"v\", 0o104755), lambda: os.fchmod(os.open(\"x\", 0), 0o4755)):\n"
       "  try: f()\n  except OSError: pass'; find . -perm /6000 | wc -l", "0\nexit"},
      {"chmod 600 nothing; echo code $?", "code 1\n"},
  };
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    shell_rig_says(&r, rows[i].script, rows[i].part);
  shell_rig_close(&r);
}
EACH(own_files_are_changed)

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

/* A pair needs no socket(), and one of datagrams sends to whom it likes. */
#define SEND                                                                       \
  "python3 -c 'import socket\n"                                                  \
  "for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_DGRAM | 0o4000):\n" \
  "  for to in (\"\\0%s-mail\", \"%s/mail\"):\n"                            \
  "    try: socket.socketpair(socket.AF_UNIX, kind)[0].sendto(b\"x\", to)\n"   \
  "    except OSError: pass\n"                                                   \
  "a, b = socket.socketpair(); a.send(b\"x\"); print(\"stream\", b.recv(1))\n"  \
  "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); print(\"all tried\")'"

static int mailbox(const char *name, size_t len) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  memcpy(a.sun_path, name, len);
  len += offsetof(struct sockaddr_un, sun_path);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, (socklen_t)len), 0);
  return fd;
}

static void datagrams(const char *sandbox, const char *limits, int reached) {
  struct outside o;
  struct shell_rig r;
  char path[320], abstract[80] = "", byte;
  outside_open(&o);
  int n = snprintf(abstract + 1, sizeof abstract - 1, "%s-mail", o.name);
  snprintf(path, sizeof path, "%s/mail", o.folder);
  const int fds[] = {mailbox(abstract, (size_t)n + 1), mailbox(path, strlen(path))};
  shell_rig_open(&r, sandbox, limits);
  char *s = script(SEND, o.name, o.folder);
  shell_rig_says(&r, s, "all tried");
  free(s);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(recv(fds[i], &byte, 1, 0), reached ? 1 : -1);
    close(fds[i]);
  }
  unlink(path);
  shell_rig_close(&r);
  outside_close(&o);
}

static void no_datagram_gets_out(const char *sandbox) {
  datagrams(sandbox, "", 0);
  datagrams(sandbox, ",\"network\":true", 0);
}
EACH(no_datagram_gets_out)

/* The attacks succeed where nothing is in their way. */
static void controls(void **state) {
  struct outside o;
  struct shell_rig r;
  (void)state;
  sockets("none", "", 1, 1);
  datagrams("none", "", 1);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(controls),
      ROWS(secrets_are_not_read),
      ROWS(nothing_outside_is_changed),
      ROWS(the_system_is_read_only),
      ROWS(own_files_are_changed),
      ROWS(nobody_is_reached),
      ROWS(a_network_is_no_local_socket),
      ROWS(no_datagram_gets_out),
      ROWS(calls_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
