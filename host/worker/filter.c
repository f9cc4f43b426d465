/* filter.c - seccomp: what the kernel does not do for an isolated plugin.
 *
 * The parts that are the same for a command of tool-shell are those of
 * sdk/confine.h. A plugin is narrower than a command, since what runs is known:
 * one process with threads, that has its folders from the host.
 *
 *  1. It stays one process: no fork, no exec. Threads only.
 *  2. It reaches no other: signals go to itself, whatever the kernel's Landlock
 *     knows. By these calls it does not stop itself; a timer still can stop it,
 *     which is no more than not to come back: it is killed all the same.
 *  3. What Landlock does not look at, or did not in older versions, is refused
 *     here: modes, owners and times by path, cutting a file off, attributes.
 *     By descriptor they are for plugins with a folder to write to.
 *  4. No memory but what has a limit: no files in memory, no System V memory.
 *  5. It has no socket whose close waits: given to the host, it would hold up
 *     the thread that closes it there, where the kernel lets it be given.
 *  6. A plugin that makes sandboxes (YOI__CONFINE_SHELL) needs nearly all of
 *     this for them, and gets it; then what all are refused is refused.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sdk/confine.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void one_process(struct yoi_sdk_filter *f) {
  static const long starting[] = {
      SYS_execve, SYS_execveat,
#ifdef SYS_fork
      SYS_fork,   SYS_vfork,
#endif
  };
  for (size_t i = 0; i < COUNT(starting); i++) yoi_sdk_filter_deny(f, starting[i], EPERM);
  yoi_sdk_filter_deny_without(f, SYS_clone, 0, CLONE_THREAD, EPERM);
}

/* Who is signalled, and by what: SIGSTOP cannot be handled, and of the others
 * that stop nobody here makes use. */
static void signals(struct yoi_sdk_filter *f) {
  static const struct {
    long nr;
    unsigned sig;
  } calls[] = {
      {SYS_kill, 1}, {SYS_tgkill, 2}, {SYS_rt_sigqueueinfo, 1}, {SYS_rt_tgsigqueueinfo, 2}};
  static const unsigned stops[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < COUNT(calls); i++) {
    yoi_sdk_filter_deny_other(f, calls[i].nr, 0, (unsigned)getpid(), EPERM);
    for (size_t k = 0; k < COUNT(stops); k++)
      yoi_sdk_filter_deny_if(f, calls[i].nr, calls[i].sig, BPF_JEQ, stops[k], EPERM);
  }
  yoi_sdk_filter_deny(f, SYS_tkill, EPERM);
  yoi_sdk_filter_deny(f, SYS_pidfd_open, EPERM);
  yoi_sdk_filter_deny(f, SYS_pidfd_send_signal, EPERM);
  /* A descriptor that is ready signals its owner, who may be anybody. */
  yoi_sdk_filter_deny_if(f, SYS_fcntl, 1, BPF_JEQ, F_SETOWN, EPERM);
  yoi_sdk_filter_deny_if(f, SYS_fcntl, 1, BPF_JEQ, F_SETOWN_EX, EPERM);
  yoi_sdk_filter_deny_if(f, SYS_ioctl, 1, BPF_JEQ, FIOSETOWN, EPERM);
  yoi_sdk_filter_deny_if(f, SYS_ioctl, 1, BPF_JEQ, SIOCSPGRP, EPERM);
  yoi_sdk_filter_deny_if(f, SYS_prctl, 0, BPF_JEQ, PR_SET_PDEATHSIG, EPERM);
  yoi_sdk_filter_deny_if(f, SYS_prctl, 0, BPF_JEQ, PR_SET_DUMPABLE, EPERM);
}

static void files(struct yoi_sdk_filter *f, int writes) {
  static const long by_path[] = {
      SYS_fchmodat,  SYS_fchownat,     SYS_truncate,     SYS_setxattr,
      SYS_lsetxattr, SYS_fsetxattr,    SYS_removexattr,  SYS_lremovexattr,
      SYS_mknodat,   SYS_fremovexattr, SYS_memfd_create,
#ifdef SYS_chmod
      SYS_chmod,     SYS_chown,        SYS_lchown,       SYS_utime,
      SYS_utimes,    SYS_futimesat,    SYS_mknod,
#endif
  };
  static const long by_descriptor[] = {SYS_fchmod, SYS_fchown, SYS_utimensat};
  for (size_t i = 0; i < COUNT(by_path); i++) yoi_sdk_filter_deny(f, by_path[i], EPERM);
  for (size_t i = 0; i < COUNT(by_descriptor) && !writes; i++)
    yoi_sdk_filter_deny(f, by_descriptor[i], EPERM);
  yoi_sdk_filter_deny_other(f, SYS_utimensat, 1, 0, EPERM); /* no path: of the descriptor */
  yoi_sdk_filter_cuts(f);
  yoi_sdk_filter_set_id(f);
  yoi_sdk_filter_openat2(f);
  yoi_sdk_filter_unwatched(f);
}

static void sockets(struct yoi_sdk_filter *f, uint32_t uses) {
  unsigned families[4], n = 0;
  int shell = (uses & YOI__CONFINE_SHELL) != 0;
  if (uses != 0) {
    families[n++] = AF_INET;
    families[n++] = AF_INET6;
    families[n++] = AF_NETLINK;
  }
  if (shell) families[n++] = AF_UNIX; /* in its sandboxes, whose names are their own */
  yoi_sdk_filter_sockets(f, families, n, shell);
  if (shell) return;
  yoi_sdk_filter_linger(f);
  yoi_sdk_filter_deny(f, SYS_listen, EPERM);
  yoi_sdk_filter_deny(f, SYS_accept, EPERM);
  yoi_sdk_filter_deny(f, SYS_accept4, EPERM);
}

int yoi__confine_filter(const struct yoi__confine *c) {
  struct yoi_sdk_filter f;
  int writes = 0;
  for (size_t i = 0; i < c->n_mounts; i++) writes |= c->mounts[i].writable;
  yoi_sdk_filter_begin(&f);
  sockets(&f, c->uses);
  if (!(c->uses & YOI__CONFINE_SHELL)) {
    yoi_sdk_filter_mounts(&f);
    one_process(&f);
    signals(&f);
    files(&f, writes);
    yoi_sdk_filter_scheduling(&f);
  }
  return yoi_sdk_filter_end(&f, NULL);
}
