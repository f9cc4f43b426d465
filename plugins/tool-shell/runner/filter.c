/* filter.c - seccomp: what the kernel does not do for a command. The parts are
 * those of sdk/confine.h; here is which of them.
 *
 *  1. Nothing that makes namespaces, mounts, or reaches another process:
 *     the sandbox around it stays the one there is.
 *  2. Sockets of few families. One of AF_UNIX only where its names are the
 *     sandbox's own: Landlock lets connect through to any socket file, and a
 *     shared network has the abstract names of the whole host.
 *  3. With Landlock alone, also what it does not look at: attributes, System V
 *     memory, watches of foreign folders. Modes, owners and times go to the
 *     runner, which changes what the command may change (relay.c).
 *  4. No file becomes setuid or setgid: it would be the user's outside.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sdk/confine.h>

#include "runner.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void sockets(struct yoi_sdk_filter *f, const struct sh_work *w) {
  unsigned families[4], n = 0;
  int own_names = w->job.mode == SH_BWRAP && !w->job.network;
  if (own_names) families[n++] = AF_UNIX;
  if (w->job.mode == SH_BWRAP || w->job.network) {
    families[n++] = AF_INET;
    families[n++] = AF_INET6;
    families[n++] = AF_NETLINK;
  }
  yoi_sdk_filter_sockets(f, families, n, own_names);
}

static void landlock_gaps(struct yoi_sdk_filter *f) {
  /* As on a file system that has none: what copies them goes on. */
  static const long attributes[] = {SYS_setxattr,    SYS_lsetxattr,    SYS_fsetxattr,
                                    SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr};
  /* Those that the runner does. */
  static const long relayed[] = {
      SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat,
#ifdef SYS_chmod
      SYS_chmod,  SYS_chown,    SYS_lchown,
#endif
  };
  yoi_sdk_filter_unwatched(f);
#ifdef SYS_utime
  yoi_sdk_filter_deny(f, SYS_utime, EPERM);
  yoi_sdk_filter_deny(f, SYS_utimes, EPERM);
  yoi_sdk_filter_deny(f, SYS_futimesat, EPERM);
#endif
  for (size_t i = 0; i < COUNT(attributes); i++)
    yoi_sdk_filter_deny(f, attributes[i], EOPNOTSUPP);
  for (size_t i = 0; i < COUNT(relayed); i++) yoi_sdk_filter_notify(f, relayed[i]);
  yoi_sdk_filter_scheduling(f);
}

int sh_filter(const struct sh_work *w) {
  struct yoi_sdk_filter f;
  int listener, relays = w->job.mode == SH_LANDLOCK;
  yoi_sdk_filter_begin(&f);
  yoi_sdk_filter_mounts(&f);
  yoi_sdk_filter_openat2(&f);
  sockets(&f, w);
  yoi_sdk_filter_set_id(&f);
  if (relays) landlock_gaps(&f);
  int error = yoi_sdk_filter_end(&f, relays ? &listener : NULL);
  if (error != 0 || !relays) return error;
  error = sh_relay_send(w->report, listener);
  close(listener);
  return error;
}
