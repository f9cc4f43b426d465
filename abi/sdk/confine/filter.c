/* filter.c - seccomp: what the kernel does not do for a process that is shut
 * in; see sdk/confine.h.
 *
 * A list of what is refused, not of what is allowed: libraries and programs
 * of others have to run. What is newer than this file is refused too, as if the
 * kernel did not know it, so the list cannot fall behind.
 *
 *  1. io_uring is refused since it does calls that no filter sees; clone3 since
 *     its flags are behind a pointer, where no filter looks.
 *  2. Each rule leaves the number of the call loaded, so they stand in any
 *     order, and the first that fits decides.
 *
 * Written by hand: it is tables and five kinds of checks, which is less than
 * what calling libseccomp for the same takes, and no library is needed in a
 * process that has to be small.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sdk/confine.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "which calls to refuse is not known for this machine"
#endif

#define NEWEST 450u            /* set_mempolicy_home_node, of Linux 5.17 */
#define SET_ID 06000u          /* setuid, setgid */
#define DATAGRAMS 2u           /* SOCK_DGRAM and SOCK_RAW have it; STREAM, SEQPACKET not */
#define NAMESPACES 0x7e020000u /* CLONE_NEW*, without NEWTIME: no clone flag */

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const long never[] = {
    /* files by what is no path */
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
    SYS_setdomainname, SYS_fanotify_init, SYS_lookup_dcookie, SYS_nfsservctl,
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
static const long absent[] = {SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter,
                              SYS_io_uring_register};

/* What makes a sandbox, and unmakes one. */
static const long mounts[] = {
    SYS_mount,      SYS_umount2, SYS_pivot_root, SYS_chroot,  SYS_unshare, SYS_setns,
    SYS_move_mount, SYS_open_tree, SYS_fsopen,   SYS_fsconfig, SYS_fsmount, SYS_fspick,
    SYS_mount_setattr, SYS_sethostname};

/* What Landlock does not look at. */
static const long unwatched[] = {
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_semget,
    SYS_semop, SYS_semtimedop, SYS_semctl, SYS_mq_open, SYS_mq_unlink, SYS_inotify_init1,
    SYS_inotify_add_watch,
#ifdef SYS_inotify_init
    SYS_inotify_init,
#endif
};

#define NR offsetof(struct seccomp_data, nr)
/* The low word: these machines are little-endian. */
#define ARGUMENT(i) (offsetof(struct seccomp_data, args) + 8 * (size_t)(i))

static void put(struct yoi_sdk_filter *f, unsigned code, unsigned k, unsigned yes, unsigned no) {
  if (f->n < YOI_SDK_FILTER_MAX)
    f->at[f->n] =
        (struct sock_filter){(unsigned short)code, (unsigned char)yes, (unsigned char)no, k};
  f->n++;
}

static void load(struct yoi_sdk_filter *f, size_t offset) {
  put(f, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static void refuse(struct yoi_sdk_filter *f, int error) {
  put(f, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error, 0, 0);
}

/* ---- one call ---- */
void yoi_sdk_filter_deny(struct yoi_sdk_filter *f, long nr, int error) {
  put(f, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1);
  refuse(f, error);
}

/* The call is refused when the argument leads on from the test. */
static void deny_when(struct yoi_sdk_filter *f, long nr, unsigned i, unsigned test, unsigned k,
                      int fits, int error) {
  put(f, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 4);
  load(f, ARGUMENT(i));
  put(f, BPF_JMP | test | BPF_K, k, !fits, fits != 0);
  refuse(f, error);
  load(f, NR);
}

void yoi_sdk_filter_deny_if(struct yoi_sdk_filter *f, long nr, unsigned i, unsigned test,
                            unsigned k, int error) {
  deny_when(f, nr, i, test, k, 1, error);
}

void yoi_sdk_filter_deny_other(struct yoi_sdk_filter *f, long nr, unsigned i, unsigned k,
                               int error) {
  deny_when(f, nr, i, BPF_JEQ, k, 0, error);
}

void yoi_sdk_filter_deny_without(struct yoi_sdk_filter *f, long nr, unsigned i, unsigned k,
                                 int error) {
  deny_when(f, nr, i, BPF_JSET, k, 0, error);
}

void yoi_sdk_filter_notify(struct yoi_sdk_filter *f, long nr) {
  put(f, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1);
  put(f, BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF, 0, 0);
}

static void deny_each(struct yoi_sdk_filter *f, const long *list, size_t n, int error) {
  for (size_t i = 0; i < n; i++) yoi_sdk_filter_deny(f, list[i], error);
}

/* ---- parts ---- */
void yoi_sdk_filter_begin(struct yoi_sdk_filter *f) {
  f->n = 0;
  load(f, offsetof(struct seccomp_data, arch));
  put(f, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
  put(f, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
  load(f, NR);
  /* Newer calls, and those of the x32 ABI, which has a bit above. */
  put(f, BPF_JMP | BPF_JGT | BPF_K, NEWEST, 0, 1);
  refuse(f, ENOSYS);
  deny_each(f, absent, COUNT(absent), ENOSYS);
  deny_each(f, never, COUNT(never), EPERM);
  yoi_sdk_filter_deny_if(f, SYS_ioctl, 1, BPF_JEQ, TIOCSTI, EPERM);
  yoi_sdk_filter_deny_if(f, SYS_ioctl, 1, BPF_JEQ, TIOCLINUX, EPERM);
  yoi_sdk_filter_deny_other(f, SYS_prlimit64, 0, 0, EPERM);
}

void yoi_sdk_filter_mounts(struct yoi_sdk_filter *f) {
  deny_each(f, mounts, COUNT(mounts), EPERM);
  yoi_sdk_filter_deny_if(f, SYS_clone, 0, BPF_JSET, NAMESPACES, EPERM);
}

void yoi_sdk_filter_openat2(struct yoi_sdk_filter *f) {
  yoi_sdk_filter_deny(f, SYS_openat2, ENOSYS);
}

void yoi_sdk_filter_unwatched(struct yoi_sdk_filter *f) {
  deny_each(f, unwatched, COUNT(unwatched), EPERM);
}

void yoi_sdk_filter_scheduling(struct yoi_sdk_filter *f) {
  static const struct {
    long nr;
    unsigned who;
  } calls[] = {{SYS_setpriority, 1},       {SYS_ioprio_set, 1},     {SYS_sched_setaffinity, 0},
               {SYS_sched_setscheduler, 0}, {SYS_sched_setparam, 0}, {SYS_sched_setattr, 0}};
  for (size_t i = 0; i < COUNT(calls); i++)
    yoi_sdk_filter_deny_other(f, calls[i].nr, calls[i].who, 0, EPERM);
}

static void deny_cut(struct yoi_sdk_filter *f, long nr, unsigned flags) {
  put(f, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 5);
  load(f, ARGUMENT(flags));
  put(f, BPF_JMP | BPF_JSET | BPF_K, O_TRUNC, 0, 2);
  put(f, BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR, 1, 0);
  refuse(f, EPERM);
  load(f, NR);
}

void yoi_sdk_filter_cuts(struct yoi_sdk_filter *f) {
  deny_cut(f, SYS_openat, 2);
#ifdef SYS_open
  deny_cut(f, SYS_open, 1);
#endif
}

/* Of a call that makes a file when its flags say so. */
static void deny_set_id(struct yoi_sdk_filter *f, long nr, unsigned flags, unsigned mode) {
  put(f, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 6);
  load(f, ARGUMENT(flags));
  put(f, BPF_JMP | BPF_JSET | BPF_K, O_CREAT | (O_TMPFILE & ~O_DIRECTORY), 0, 3);
  load(f, ARGUMENT(mode));
  put(f, BPF_JMP | BPF_JSET | BPF_K, SET_ID, 0, 1);
  refuse(f, EPERM);
  load(f, NR);
}

void yoi_sdk_filter_set_id(struct yoi_sdk_filter *f) {
  static const struct {
    long nr;
    unsigned mode;
  } calls[] = {
      {SYS_fchmod, 1}, {SYS_fchmodat, 2}, {SYS_mknodat, 2}, {SYS_mkdirat, 2},
#ifdef SYS_chmod
      {SYS_chmod, 1},  {SYS_creat, 1},    {SYS_mknod, 1},   {SYS_mkdir, 1},
#endif
  };
  for (size_t i = 0; i < COUNT(calls); i++)
    yoi_sdk_filter_deny_if(f, calls[i].nr, calls[i].mode, BPF_JSET, SET_ID, EPERM);
  deny_set_id(f, SYS_openat, 2, 3);
#ifdef SYS_open
  deny_set_id(f, SYS_open, 1, 2);
#endif
}

void yoi_sdk_filter_sockets(struct yoi_sdk_filter *f, const unsigned *families, unsigned n,
                            int names) {
  put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, n + 3);
  load(f, ARGUMENT(0));
  for (unsigned i = 0; i < n; i++) put(f, BPF_JMP | BPF_JEQ | BPF_K, families[i], n - i, 0);
  refuse(f, EAFNOSUPPORT);
  load(f, NR);
  /* Of netlink the routes only, which C libraries list interfaces with. */
  put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 6);
  load(f, ARGUMENT(0));
  put(f, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3);
  load(f, ARGUMENT(2));
  put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
  refuse(f, EAFNOSUPPORT);
  load(f, NR);
  yoi_sdk_filter_deny_other(f, SYS_socketpair, 0, AF_UNIX, EAFNOSUPPORT);
  if (!names)
    yoi_sdk_filter_deny_if(f, SYS_socketpair, 1, BPF_JSET, DATAGRAMS, EPROTONOSUPPORT);
}

void yoi_sdk_filter_linger(struct yoi_sdk_filter *f) {
  put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 6);
  load(f, ARGUMENT(1));
  put(f, BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 0, 3);
  load(f, ARGUMENT(2));
  put(f, BPF_JMP | BPF_JEQ | BPF_K, SO_LINGER, 0, 1);
  refuse(f, EPERM);
  load(f, NR);
}

int yoi_sdk_filter_end(struct yoi_sdk_filter *f, int *out_listener) {
  put(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
  if (f->n > YOI_SDK_FILTER_MAX) return E2BIG;
  struct sock_fprog program = {.len = (unsigned short)f->n, .filter = f->at};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          out_listener != NULL ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0u, &program);
  if (listener < 0) return errno;
  if (out_listener != NULL) *out_listener = (int)listener;
  return 0;
}
