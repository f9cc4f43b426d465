/* landlock.c - what files an isolated plugin can open, and whom it can reach.
 *
 *   system's libraries, files of the config   read
 *   mounts                                    read, or all but devices
 *   everything else                           nothing
 *
 *  1. Nothing can be executed: a shared object needs to be read only.
 *  2. A plugin that makes sandboxes (YOI__CONFINE_SHELL) is kept from no file,
 *     since Landlock allows no mount to whom it keeps from one. It still cannot
 *     look into processes outside, and signals and abstract sockets end here.
 *  3. A kernel of an older version keeps what it knows; what a version lacks
 *     that matters is refused by the filter as well (filter.c).
 */
#include "confine.h"

#include <errno.h>
#include <sdk/confine.h>

static int add_all(const struct yoi__confine *c, struct yoi_sdk_landlock *r) {
  uint32_t which = YOI_SDK_SYSTEM_LIBRARIES;
  if (c->uses & YOI__CONFINE_NET) which |= YOI_SDK_SYSTEM_NETWORK;
  int error = yoi_sdk_landlock_add_system(r, which);
  for (size_t i = 0; i < c->n_files && error == 0; i++)
    error = yoi_sdk_landlock_add_path(r, c->files[i], YOI_SDK_LANDLOCK_READ_FILE);
  for (size_t i = 0; i < c->n_mounts && error == 0; i++)
    error = yoi_sdk_landlock_add(
        r, c->mounts[i].fd,
        c->mounts[i].writable ? YOI_SDK_LANDLOCK_WRITES : YOI_SDK_LANDLOCK_READS);
  return error;
}

int yoi__confine_landlock(const struct yoi__confine *c, int *out_version, const char **out_what) {
  int shell = (c->uses & YOI__CONFINE_SHELL) != 0;
  int connects = (c->uses & (YOI__CONFINE_NET | YOI__CONFINE_SHELL)) != 0;
  struct yoi_sdk_landlock r = {.fs = shell ? 0 : YOI_SDK_LANDLOCK_ALL,
                               .net = shell      ? 0
                                      : connects ? YOI_SDK_LANDLOCK_BIND
                                                 : YOI_SDK_LANDLOCK_NET,
                               .scoped = YOI_SDK_LANDLOCK_SCOPES};
  *out_what = "use landlock";
  *out_version = yoi_sdk_landlock_version();
  if (*out_version == 0) return ENOSYS;
  int error = yoi_sdk_landlock_begin(&r, 1);
  if (error != 0) return error;
  *out_what = "add a landlock rule";
  error = shell ? 0 : add_all(c, &r);
  if (error == 0) {
    *out_what = "restrict itself with landlock";
    error = yoi_sdk_landlock_end(&r);
  }
  yoi_sdk_landlock_forget(&r);
  return error;
}
