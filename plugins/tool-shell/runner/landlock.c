/* landlock.c - files, sockets and signals without a namespace.
 *
 *  1. Version 6 of its interface (Linux 6.12) is needed: earlier ones let a
 *     command signal every process of the user, the host among them.
 *  2. The scope stands around init (main.c) and all that it starts; the rules
 *     stand inside, around the command. So init, and only init, reaches the
 *     whole of it with one kill(-1), and the command cannot reach init.
 */
#include <sdk/confine.h>

#include "runner.h"

#define NEEDED 6

#define WRITES (YOI_SDK_LANDLOCK_WRITES | YOI_SDK_LANDLOCK_EXECUTE)
#define READS (YOI_SDK_LANDLOCK_READS | YOI_SDK_LANDLOCK_EXECUTE)

static int begin(struct yoi_sdk_landlock *r, const char **out_what) {
  *out_what = "use landlock: it needs version 6, of Linux 6.12";
  return yoi_sdk_landlock_begin(r, NEEDED);
}

static int end(struct yoi_sdk_landlock *r, const char **out_what) {
  *out_what = "restrict itself with landlock";
  return yoi_sdk_landlock_end(r);
}

int sh_scope(const char **out_what) {
  struct yoi_sdk_landlock r = {.scoped = YOI_SDK_LANDLOCK_SCOPES};
  int error = begin(&r, out_what);
  return error != 0 ? error : end(&r, out_what);
}

int sh_landlock(const struct sh_work *w, const char **out_what) {
  struct yoi_sdk_landlock r = {.fs = YOI_SDK_LANDLOCK_ALL,
                               .net = w->job.network ? 0 : YOI_SDK_LANDLOCK_NET,
                               .scoped = YOI_SDK_LANDLOCK_SCOPES};
  uint32_t which = YOI_SDK_SYSTEM_PROGRAMS | (w->job.network ? YOI_SDK_SYSTEM_NETWORK : 0u);
  int error = begin(&r, out_what);
  if (error != 0) return error;
  *out_what = "add a landlock rule";
  error = yoi_sdk_landlock_add_system(&r, which);
  if (error == 0)
    error = yoi_sdk_landlock_add(&r, SH_FD_MOUNT, w->job.writable ? WRITES : READS);
  if (error == 0 && w->tmp != NULL) error = yoi_sdk_landlock_add_path(&r, w->tmp, WRITES);
  if (error == 0) return end(&r, out_what);
  yoi_sdk_landlock_forget(&r);
  return error;
}
