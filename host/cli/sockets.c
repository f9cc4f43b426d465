/* sockets.c - listening sockets that a service manager has bound, as
 * sd_listen_fds(3) says: LISTEN_FDS descriptors from 3 on for the process
 * LISTEN_PID, their names in LISTEN_FDNAMES with ':' between. (No library is
 * needed for it, as for notify.c.) What they are is looked at by the host.
 *
 * No program that is started from here gets any of it: neither the descriptors
 * nor the variables, which would be about another process then.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define FIRST 3

static int wrong(const char *variable, const char *value, const char *expected) {
  cli_say("%s is '%.200s', expected %s; see sd_listen_fds(3)", variable, value, expected);
  return 0;
}

static int take(yoi_host_options *out) {
  static const char as_many[] = "as many names as LISTEN_FDS says, of at most 64 bytes each";
  static yoi_socket all[YOI_INGRESS_MAX]; /* process-wide, as what it is made of */
  static char names[YOI_INGRESS_MAX * (YOI_NAME_MAX + 1)]; /* process-wide, the same */
  const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
  const char *given = getenv("LISTEN_FDNAMES");
  char *rest = given != NULL ? names : NULL;
  uint64_t id = 0, n = 0;
  if (pid == NULL || fds == NULL) return 1;
  if (!yoi_sdk_parse_u64(yoi_sdk_str(pid), INT_MAX, &id))
    return wrong("LISTEN_PID", pid, "the number of a process");
  if (id != (uint64_t)getpid()) return 1; /* of who has started this */
  if (!yoi_sdk_parse_u64(yoi_sdk_str(fds), YOI_INGRESS_MAX, &n) || n == 0)
    return wrong("LISTEN_FDS", fds, "1 to 16 sockets");
  if (given != NULL && strlen(given) >= sizeof names)
    return wrong("LISTEN_FDNAMES", given, as_many);
  if (given != NULL) memcpy(names, given, strlen(given) + 1);
  for (size_t i = 0; i < n; i++) {
    const char *name = given != NULL ? strsep(&rest, ":") : "unknown";
    if (name == NULL) return wrong("LISTEN_FDNAMES", given, as_many);
    if (fcntl(FIRST + (int)i, F_SETFD, FD_CLOEXEC) != 0)
      return wrong("LISTEN_FDS", fds, "that many open descriptors from 3 on");
    all[i] = (yoi_socket){.name = yoi_sdk_str(name), .fd = FIRST + (int)i};
  }
  out->sockets = all;
  out->n_sockets = n;
  return rest == NULL ? 1 : wrong("LISTEN_FDNAMES", given, as_many);
}

int cli_sockets_take(yoi_host_options *out) {
  int ok = take(out);
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return ok;
}
