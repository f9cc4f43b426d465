/* test_calls.c - each rule of host/worker/filter.c: what is refused, with what,
 * and what beside it is not. Tests run as any user, so that a call which the
 * kernel would refuse anyway says nothing: those that give EPERM without a filter
 * are tried with arguments for which the kernel has another answer. */
#include "confined.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL(...) confined_errno(syscall(__VA_ARGS__))

struct row {
  const char *name;
  int expected;
  confined_deed deed;
};
#define ROW(deed, expected) {#deed, expected, deed}

static void all(const struct yoi__confine *c, const struct row *rows, size_t n) {
  for (size_t i = 0; i < n; i++)
    CONFINED_IS(rows[i].name, confined_run(c, NULL, rows[i].deed), rows[i].expected);
}
#define ALL(c, rows) all(c, rows, sizeof(rows) / sizeof *(rows))

/* ---- calls that nobody has, whatever the arguments ---- */
static long number; /* inherited by the child */

static int numbered(void) {
  return CALL(number, -1L, -1L, -1L, -1L, -1L, -1L);
}

static void calls_are_refused(void **state) {
  static const struct {
    const char *name;
    long nr;
    int error;
  } rows[] = {
#define E(name, error) {#name, SYS_##name, error}
      E(ptrace, EPERM), E(process_vm_readv, EPERM), E(process_vm_writev, EPERM), E(kcmp, EPERM),
      E(pidfd_getfd, EPERM), E(process_madvise, EPERM), E(move_pages, EPERM),
      E(migrate_pages, EPERM), E(add_key, EPERM), E(request_key, EPERM), E(keyctl, EPERM),
      E(bpf, EPERM), E(perf_event_open, EPERM), E(userfaultfd, EPERM), E(init_module, EPERM),
      E(finit_module, EPERM), E(delete_module, EPERM), E(kexec_load, EPERM), E(reboot, EPERM),
      E(swapon, EPERM), E(swapoff, EPERM), E(acct, EPERM), E(quotactl, EPERM), E(syslog, EPERM),
      E(settimeofday, EPERM), E(clock_settime, EPERM), E(adjtimex, EPERM), E(fanotify_init, EPERM),
      E(open_by_handle_at, EPERM), E(name_to_handle_at, EPERM), E(mount, EPERM), E(umount2, EPERM),
      E(pivot_root, EPERM), E(chroot, EPERM), E(unshare, EPERM), E(setns, EPERM),
      E(move_mount, EPERM), E(open_tree, EPERM), E(fsopen, EPERM), E(fsmount, EPERM),
      E(mount_setattr, EPERM), E(sethostname, EPERM), E(setdomainname, EPERM),
      E(clone3, ENOSYS), E(io_uring_setup, ENOSYS), E(io_uring_enter, ENOSYS),
      E(io_uring_register, ENOSYS), E(openat2, ENOSYS), E(execve, EPERM), E(execveat, EPERM),
      E(tkill, EPERM), E(pidfd_open, EPERM), E(pidfd_send_signal, EPERM), E(fchmodat, EPERM),
      E(fchownat, EPERM), E(truncate, EPERM), E(setxattr, EPERM), E(lsetxattr, EPERM),
      E(fsetxattr, EPERM), E(removexattr, EPERM), E(mknodat, EPERM), E(memfd_create, EPERM),
      E(fchmod, EPERM), E(fchown, EPERM), E(utimensat, EPERM), E(shmget, EPERM), E(shmat, EPERM),
      E(msgget, EPERM), E(semget, EPERM), E(mq_open, EPERM), E(mq_unlink, EPERM),
      E(inotify_init1, EPERM), E(listen, EPERM), E(accept, EPERM), E(accept4, EPERM),
#ifdef SYS_chmod
      E(chmod, EPERM), E(chown, EPERM), E(lchown, EPERM), E(utime, EPERM), E(utimes, EPERM),
      E(futimesat, EPERM), E(mknod, EPERM), E(inotify_init, EPERM), E(fork, EPERM),
      E(vfork, EPERM), E(iopl, EPERM), E(ioperm, EPERM), E(modify_ldt, EPERM), E(uselib, EPERM),
#endif
      {"the newest that is known", 450, 0},
      {"one that is newer", 451, ENOSYS},
      {"one of a kernel to come", 4000, ENOSYS},
#ifdef __x86_64__
      {"getpid of x32", 0x40000000L + SYS_getpid, ENOSYS},
#endif
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    number = rows[i].nr;
    int got = confined_run(&confined_plain, NULL, numbered);
    if (rows[i].error == 0)
      assert_int_not_equal(got, EPERM); /* its arguments are wrong, no more */
    else
      CONFINED_IS(rows[i].name, got, rows[i].error);
  }
}

#ifdef __x86_64__
static int call_as_32_bit(void) {
  long r;
  __asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory"); /* getpid there */
  return r < 0 ? (int)-r : 0;
}

static void another_machine_is_killed(void **state) {
  (void)state;
  int got = confined_run(&confined_plain, NULL, call_as_32_bit);
  /* SEGV: a kernel without such calls */
  assert_true(got == SIGNALLED + SIGSYS || got == SIGNALLED + SIGSEGV);
}
#endif

/* ---- one process ---- */
static int fork_itself(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  return confined_errno(pid);
}
static int clone_with_memory(void) {
  return CALL(SYS_clone, (unsigned long)CLONE_VM | CLONE_FILES, 0L, 0L, 0L, 0L);
}
static int run_program(void) {
  char *argv[] = {(char[]){"true"}, NULL};
  return confined_errno(execv("/bin/true", argv));
}
static void *nothing(void *p) {
  return p;
}
static int start_thread(void) {
  pthread_t t;
  int error = pthread_create(&t, NULL, nothing, NULL);
  return error != 0 ? error : pthread_join(t, NULL);
}

static void it_stays_one_process(void **state) {
  static const struct row rows[] = {ROW(fork_itself, EPERM), ROW(clone_with_memory, EPERM),
                                    ROW(run_program, EPERM), ROW(start_thread, 0)};
  (void)state;
  ALL(&confined_plain, rows);
}

/* ---- signals ---- */
static int signal_parent(void) {
  return confined_errno(kill(getppid(), 0));
}
static int signal_all(void) {
  return confined_errno(kill(-1, 0));
}
static int signal_group(void) {
  return confined_errno(kill(0, 0));
}
static int signal_itself(void) {
  return confined_errno(kill(getpid(), 0));
}
static int signal_thread(void) {
  return pthread_kill(pthread_self(), 0);
}
static int signal_thread_of_parent(void) {
  return CALL(SYS_tgkill, getppid(), getppid(), 0);
}
static int queue_to_parent(void) {
  return confined_errno(sigqueue(getppid(), SIGURG, (union sigval){.sival_int = 0}));
}
static int stop_itself(void) {
  return confined_errno(kill(getpid(), SIGSTOP));
}
static int stop_by_thread(void) {
  return pthread_kill(pthread_self(), SIGTSTP);
}
static int abort_itself(void) {
  abort();
}
static int own_descriptor(void) {
  int pair[2];
  if (pipe(pair) != 0) return errno;
  return confined_errno(fcntl(pair[0], F_SETOWN, getppid()));
}
static int own_socket(void) {
  int pair[2], who = getppid();
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return errno;
  return confined_errno(ioctl(pair[0], FIOSETOWN, &who));
}
static int outlive_parent(void) {
  return confined_errno(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}
static int be_dumpable(void) {
  return confined_errno(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
static int name_itself(void) {
  return confined_errno(prctl(PR_SET_NAME, "named", 0, 0, 0));
}

static void nobody_else_is_signalled(void **state) {
  static const struct row rows[] = {
      ROW(signal_parent, EPERM),           ROW(signal_all, EPERM),     ROW(signal_group, EPERM),
      ROW(signal_itself, 0),               ROW(signal_thread, 0),      ROW(queue_to_parent, EPERM),
      ROW(signal_thread_of_parent, EPERM), ROW(stop_itself, EPERM),    ROW(stop_by_thread, EPERM),
      ROW(abort_itself, SIGNALLED + SIGABRT), ROW(own_descriptor, EPERM), ROW(own_socket, EPERM),
      ROW(outlive_parent, EPERM),          ROW(be_dumpable, EPERM),    ROW(name_itself, 0)};
  (void)state;
  ALL(&confined_plain, rows);
}

/* ---- others ---- */
static int type_into_terminal(void) {
  char c = 'x';
  return confined_errno(ioctl(0, TIOCSTI, &c));
}
static int type_into_console(void) {
  char c = 2;
  return confined_errno(ioctl(0, TIOCLINUX, &c));
}
static int limit_parent(void) {
  struct rlimit l;
  return confined_errno(prlimit(getppid(), RLIMIT_NOFILE, NULL, &l));
}
static int limit_itself(void) {
  struct rlimit l;
  return confined_errno(prlimit(0, RLIMIT_NOFILE, NULL, &l));
}
static int slow_parent(void) {
  return confined_errno(setpriority(PRIO_PROCESS, (id_t)getppid(), 19));
}
static int slow_itself(void) {
  return confined_errno(setpriority(PRIO_PROCESS, 0, 19));
}

static void nobody_else_is_changed(void **state) {
  static const struct row rows[] = {ROW(type_into_terminal, EPERM), ROW(type_into_console, EPERM),
                                    ROW(limit_parent, EPERM),       ROW(limit_itself, 0),
                                    ROW(slow_parent, EPERM),        ROW(slow_itself, 0)};
  (void)state;
  ALL(&confined_plain, rows);
}

/* ---- sockets ---- */
static int family, type, protocol;

static int make_socket(void) {
  return confined_errno(socket(family, type, protocol));
}
static int pair_of_streams(void) {
  int pair[2];
  return confined_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
}
static int pair_of_packets(void) {
  int pair[2];
  return confined_errno(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
}
static int pair_of_datagrams(void) {
  int pair[2];
  return confined_errno(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
}

static void sockets_are_of_granted_families(void **state) {
  static const struct {
    int family, type, protocol, plain, net, shell;
  } rows[] = {
      {AF_INET, SOCK_STREAM, 0, EAFNOSUPPORT, 0, 0},
      {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, EAFNOSUPPORT, 0, 0},
      {AF_INET6, SOCK_STREAM, 0, EAFNOSUPPORT, 0, 0},
      {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, EAFNOSUPPORT, 0, 0},
      {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT},
      {AF_UNIX, SOCK_STREAM, 0, EAFNOSUPPORT, EAFNOSUPPORT, 0},
      {AF_UNIX, SOCK_DGRAM, 0, EAFNOSUPPORT, EAFNOSUPPORT, 0},
      {AF_PACKET, SOCK_RAW, 0, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT},
      {AF_ALG, SOCK_SEQPACKET, 0, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT},
      {AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT, EAFNOSUPPORT, EAFNOSUPPORT},
  };
  const struct yoi__confine net = {.required = 1, .uses = YOI__CONFINE_NET},
                            shell = {.required = 1, .uses = YOI__CONFINE_SHELL};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    family = rows[i].family;
    type = rows[i].type;
    protocol = rows[i].protocol;
    int here = make_socket(); /* a kernel may have no such family at all */
    assert_int_equal(confined_run(&confined_plain, NULL, make_socket), rows[i].plain);
    int got = confined_run(&net, NULL, make_socket);
    assert_int_equal(got, rows[i].net != 0 ? rows[i].net : here);
    got = confined_run(&shell, NULL, make_socket);
    assert_int_equal(got, rows[i].shell != 0 ? rows[i].shell : here);
  }
  const struct row pairs[] = {ROW(pair_of_streams, 0), ROW(pair_of_packets, 0),
                              ROW(pair_of_datagrams, EPROTONOSUPPORT)};
  ALL(&confined_plain, pairs);
  ALL(&net, pairs);
}

static int listener_port;

static int connect_home(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listener_port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 ? errno : confined_errno(connect(fd, (struct sockaddr *)&a, sizeof a));
}
static int listen_unbound(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 ? errno : confined_errno(listen(fd, 1));
}
static int option(int level, int name, const void *v, socklen_t n) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 ? errno : confined_errno(setsockopt(fd, level, name, v, n));
}
static int linger(void) {
  const struct linger l = {.l_onoff = 1, .l_linger = 60};
  return option(SOL_SOCKET, SO_LINGER, &l, sizeof l);
}
static int keep_alive(void) {
  const int on = 1;
  return option(SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}
static int other_level(void) { /* where the number is of something else */
  const int on = 1;
  return option(IPPROTO_IP, SO_LINGER, &on, sizeof on);
}
static int bind_tcp(void) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd < 0 ? errno : confined_errno(bind(fd, (struct sockaddr *)&a, sizeof a));
}

static void who_connects_does_not_listen(void **state) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  const struct yoi__confine net = {.required = 1, .uses = YOI__CONFINE_NET};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void)state;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(fd, 4), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
  listener_port = ntohs(a.sin_port);
  assert_int_equal(confined_run(&net, NULL, connect_home), 0);
  assert_int_equal(confined_run(&confined_plain, NULL, connect_home), EAFNOSUPPORT);
  assert_int_equal(confined_run(&net, NULL, listen_unbound), EPERM);
  assert_int_equal(confined_run(&net, NULL, linger), EPERM);
  assert_int_equal(confined_run(&net, NULL, keep_alive), 0);
  assert_int_equal(confined_run(&net, NULL, other_level), 0);
  int got = confined_run(&net, NULL, bind_tcp);
  assert_true(got == EACCES || got == 0); /* 0: Landlock before version 4 */
  close(fd);
}

/* ---- who makes sandboxes ---- */
static int new_user_namespace(void) {
  int error = confined_errno(unshare(CLONE_NEWUSER));
  return error == ENOSPC || error == EINVAL ? SKIPPED : error;
}
static int run_and_wait(void) {
  int status;
  pid_t pid = fork();
  if (pid == 0) _exit(run_program());
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR; /* a signal ended it */
}
static int file_in_memory(void) {
  return confined_errno(memfd_create("x", 0));
}
static int trace_parent(void) {
  return confined_errno(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static void a_shell_starts_programs(void **state) {
  static const struct row rows[] = {ROW(run_and_wait, 0), ROW(file_in_memory, 0),
                                    ROW(pair_of_datagrams, 0), ROW(trace_parent, EPERM),
                                    ROW(type_into_terminal, EPERM)};
  const struct yoi__confine shell = {.required = 1, .uses = YOI__CONFINE_SHELL};
  int here = fork_itself(), may = 0;
  (void)state;
  assert_int_equal(here, 0);
  ALL(&shell, rows);
  /* Not every system lets users have namespaces. */
  pid_t pid = fork();
  if (pid == 0) _exit(new_user_namespace());
  assert_int_equal(waitpid(pid, &may, 0), pid);
  assert_int_equal(confined_run(&shell, NULL, new_user_namespace), WEXITSTATUS(may));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_are_refused),
#ifdef __x86_64__
      cmocka_unit_test(another_machine_is_killed),
#endif
      cmocka_unit_test(it_stays_one_process),
      cmocka_unit_test(nobody_else_is_signalled),
      cmocka_unit_test(nobody_else_is_changed),
      cmocka_unit_test(sockets_are_of_granted_families),
      cmocka_unit_test(who_connects_does_not_listen),
      cmocka_unit_test(a_shell_starts_programs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
