/* filter.c - seccomp: what the kernel does not do for a command.
 *
 * A list of what is refused, not of what is allowed: compilers, interpreters
 * and test suites have to run. What is newer than this file is refused too,
 * as if the kernel did not know it, so the list cannot fall behind.
 *
 *  1. Nothing that makes namespaces, mounts, or reaches another process:
 *     the sandbox around it stays the one there is.
 *  2. Sockets of few families. One of AF_UNIX only where its names are the
 *     sandbox's own: Landlock lets connect through to any socket file, and a
 *     shared network has the abstract names of the whole host. Elsewhere a pair
 *     is one of streams: one of datagrams can still be sent to any name.
 *  3. io_uring is refused since it does calls that no filter sees.
 *  4. With Landlock alone, also what it does not look at: attributes, System V
 *     memory, watches of foreign folders. Modes, owners and times go to the
 *     runner, which changes what the command may change (relay.c).
 *  5. No file becomes setuid or setgid: it would be the user's outside.
 *
 * Written by hand: it is one table and five kinds of checks, which is less
 * than what calling libseccomp for the same takes, and no library is needed in
 * the process that has to be small.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "which calls to refuse is not known for this machine"
#endif

#define INSTRUCTIONS 512 /* the kernel takes 4,096 */
#define NEWEST 450u      /* set_mempolicy_home_node, of Linux 5.17 */
#define SET_ID 06000u /* setuid, setgid */
#define DATAGRAMS 2u  /* SOCK_DGRAM and SOCK_RAW have it; STREAM, SEQPACKET and flags do not */
#define NAMESPACES 0x7e020000u /* CLONE_NEW*, without NEWTIME: no clone flag */

struct program {
  struct sock_filter at[INSTRUCTIONS];
  unsigned short n;
};

static void put(struct program *p, unsigned code, unsigned k, unsigned yes, unsigned no) {
  if (p->n < INSTRUCTIONS)
    p->at[p->n] = (struct sock_filter){(unsigned short)code, (unsigned char)yes,
                                       (unsigned char)no, k};
  p->n++;
}

static void load(struct program *p, size_t offset) {
  put(p, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

#define NR offsetof(struct seccomp_data, nr)
/* The low word: both machines are little-endian. */
#define ARGUMENT(i) (offsetof(struct seccomp_data, args) + 8 * (i))

static void refuse(struct program *p, int error) {
  put(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error, 0, 0);
}

static void deny(struct program *p, long nr, int error) {
  put(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1);
  refuse(p, error);
}

/* test: BPF_JEQ or BPF_JSET. */
static void deny_if(struct program *p, long nr, size_t i, unsigned test, unsigned k, int error) {
  put(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 4);
  load(p, ARGUMENT(i));
  put(p, BPF_JMP | test | BPF_K, k, 0, 1);
  refuse(p, error);
  load(p, NR);
}

/* Refused unless the argument is k. */
static void deny_other(struct program *p, long nr, size_t i, unsigned k, int error) {
  put(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 4);
  load(p, ARGUMENT(i));
  put(p, BPF_JMP | BPF_JEQ | BPF_K, k, 1, 0);
  refuse(p, error);
  load(p, NR);
}

/* No set-id bits in the mode, of a call that makes a file when its flags say. */
static void deny_set_id(struct program *p, long nr, size_t flags, size_t mode) {
  put(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 6);
  load(p, ARGUMENT(flags));
  put(p, BPF_JMP | BPF_JSET | BPF_K, O_CREAT | (O_TMPFILE & ~O_DIRECTORY), 0, 3);
  load(p, ARGUMENT(mode));
  put(p, BPF_JMP | BPF_JSET | BPF_K, SET_ID, 0, 1);
  refuse(p, EPERM);
  load(p, NR);
}

static void set_id(struct program *p) {
  deny_if(p, SYS_fchmod, 1, BPF_JSET, SET_ID, EPERM);
  deny_if(p, SYS_fchmodat, 2, BPF_JSET, SET_ID, EPERM);
  deny_if(p, SYS_mknodat, 2, BPF_JSET, SET_ID, EPERM);
  deny_if(p, SYS_mkdirat, 2, BPF_JSET, SET_ID, EPERM);
  deny_set_id(p, SYS_openat, 2, 3);
#ifdef SYS_chmod
  deny_if(p, SYS_chmod, 1, BPF_JSET, SET_ID, EPERM);
  deny_if(p, SYS_creat, 1, BPF_JSET, SET_ID, EPERM);
  deny_if(p, SYS_mknod, 1, BPF_JSET, SET_ID, EPERM);
  deny_if(p, SYS_mkdir, 1, BPF_JSET, SET_ID, EPERM);
  deny_set_id(p, SYS_open, 1, 2);
#endif
}

/* In every sandbox. */
static const long never[] = {
    /* mounts, roots and namespaces */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_move_mount,
    SYS_open_tree, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    SYS_open_by_handle_at, SYS_name_to_handle_at,
    /* other processes */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd,
    SYS_process_madvise, SYS_process_mrelease, SYS_move_pages, SYS_migrate_pages,
    /* keyrings are the user's, in no namespace */
    SYS_add_key, SYS_request_key, SYS_keyctl,
    /* the machine, and parts of the kernel that are broken into most */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_init_module, SYS_finit_module,
    SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
    SYS_syslog, SYS_vhangup, SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex,
    SYS_sethostname, SYS_setdomainname, SYS_fanotify_init, SYS_lookup_dcookie, SYS_nfsservctl,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_quotactl_fd
    SYS_quotactl_fd,
#endif
#ifdef SYS_memfd_secret
    SYS_memfd_secret,
#endif
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm,
#endif
#ifdef SYS_modify_ldt
    SYS_modify_ldt,
#endif
#ifdef SYS_uselib
    SYS_uselib, SYS_ustat, SYS_sysfs, SYS__sysctl,
#endif
};

/* As if the kernel did not have them: programs then take another way. */
static const long absent[] = {
    SYS_clone3, /* its flags are behind a pointer, where no filter looks */
    SYS_openat2, /* likewise its mode */
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
};

/* What Landlock does not look at. */
static const long by_path[] = {
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_semget,
    SYS_semop, SYS_semtimedop, SYS_semctl, SYS_mq_open, SYS_mq_unlink, SYS_inotify_init1,
    SYS_inotify_add_watch,
#ifdef SYS_chmod
    SYS_utime, SYS_utimes, SYS_futimesat, SYS_inotify_init,
#endif
};

/* As on a file system that has none: what copies them goes on. */
static const long attributes[] = {SYS_setxattr,    SYS_lsetxattr,    SYS_fsetxattr,
                                  SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr};

/* Those that the runner does. */
static const long relayed[] = {
    SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat,
#ifdef SYS_chmod
    SYS_chmod, SYS_chown, SYS_lchown,
#endif
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void sockets(struct program *p, const struct sh_work *w) {
  unsigned families[4], n = 0;
  int own_names = w->job.mode == SH_BWRAP && !w->job.network;
  if (own_names) families[n++] = AF_UNIX;
  if (w->job.mode == SH_BWRAP || w->job.network) {
    families[n++] = AF_INET;
    families[n++] = AF_INET6;
    families[n++] = AF_NETLINK;
  }
  put(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, n + 3);
  load(p, ARGUMENT(0));
  for (unsigned i = 0; i < n; i++)
    put(p, BPF_JMP | BPF_JEQ | BPF_K, families[i], n - i, 0);
  refuse(p, EAFNOSUPPORT);
  load(p, NR);
  /* Of netlink the routes only, which C libraries list interfaces with. */
  put(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 6);
  load(p, ARGUMENT(0));
  put(p, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3);
  load(p, ARGUMENT(2));
  put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
  refuse(p, EAFNOSUPPORT);
  load(p, NR);
  deny_other(p, SYS_socketpair, 0, AF_UNIX, EAFNOSUPPORT);
  if (!own_names) deny_if(p, SYS_socketpair, 1, BPF_JSET, DATAGRAMS, EPROTONOSUPPORT);
}

static void landlock_gaps(struct program *p) {
  for (size_t i = 0; i < COUNT(by_path); i++) deny(p, by_path[i], EPERM);
  for (size_t i = 0; i < COUNT(attributes); i++) deny(p, attributes[i], EOPNOTSUPP);
  for (size_t i = 0; i < COUNT(relayed); i++) {
    put(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)relayed[i], 0, 1);
    put(p, BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF, 0, 0);
  }
  deny_other(p, SYS_setpriority, 1, 0, EPERM);
  deny_other(p, SYS_ioprio_set, 1, 0, EPERM);
  deny_other(p, SYS_sched_setaffinity, 0, 0, EPERM);
  deny_other(p, SYS_sched_setscheduler, 0, 0, EPERM);
  deny_other(p, SYS_sched_setparam, 0, 0, EPERM);
  deny_other(p, SYS_sched_setattr, 0, 0, EPERM);
}

int sh_filter(const struct sh_work *w) {
  struct program p = {.n = 0};
  load(&p, offsetof(struct seccomp_data, arch));
  put(&p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
  put(&p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
  load(&p, NR);
  /* Newer calls, and those of the x32 ABI, which has a bit above. */
  put(&p, BPF_JMP | BPF_JGT | BPF_K, NEWEST, 0, 1);
  refuse(&p, ENOSYS);
  for (size_t i = 0; i < COUNT(absent); i++) deny(&p, absent[i], ENOSYS);
  for (size_t i = 0; i < COUNT(never); i++) deny(&p, never[i], EPERM);
  deny_if(&p, SYS_clone, 0, BPF_JSET, NAMESPACES, EPERM);
  deny_if(&p, SYS_ioctl, 1, BPF_JEQ, TIOCSTI, EPERM);
  deny_if(&p, SYS_ioctl, 1, BPF_JEQ, TIOCLINUX, EPERM);
  deny_other(&p, SYS_prlimit64, 0, 0, EPERM);
  sockets(&p, w);
  set_id(&p);
  if (w->job.mode == SH_LANDLOCK) landlock_gaps(&p);
  put(&p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
  if (p.n > INSTRUCTIONS) return E2BIG;
  struct sock_fprog program = {.len = p.n, .filter = p.at};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  int relays = w->job.mode == SH_LANDLOCK;
  long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          relays ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0u, &program);
  if (listener < 0) return errno;
  if (!relays) return 0;
  int error = sh_relay_send(w->report, (int)listener);
  close((int)listener);
  return error;
}
