/* confine.c - the order of what confine.h lists.
 *
 *   process.c    while /proc and paths can be reached
 *      |
 *   Landlock     opens what it gives, and looks at the mounts
 *      |
 *   seccomp      last: it allows nothing of the above
 *
 *  1. The first step that fails ends it: nothing is tried instead.
 *  2. Only a kernel without Landlock or seccomp may be gone on with, and only
 *     when that is wanted. A kernel that has them and fails is an error.
 */
#include "confine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int steps(const struct yoi__confine *c, struct yoi__confined *out, const char **out_what) {
  int error = yoi__confine_process(c, out_what);
  if (error != 0) return error;
  error = yoi__confine_landlock(c, &out->landlock, out_what);
  int absent = out->landlock == 0 && (error == ENOSYS || error == EOPNOTSUPP);
  if (error != 0 && (c->required || !absent)) return error;
  *out_what = "close the mounts";
  if ((error = yoi__confine_close(c, 0)) != 0) return error;
  *out_what = "set the seccomp filter";
  error = yoi__confine_filter(c);
  absent = error == ENOSYS || error == EINVAL;
  out->seccomp = error == 0;
  return c->required || !absent ? error : 0;
}

int yoi__confine(const struct yoi__confine *c, struct yoi__confined *out) {
  const char *what = "";
  memset(out, 0, sizeof *out);
  int error = steps(c, out, &what);
  if (error != 0) {
    snprintf(out->text, sizeof out->text, "cannot %s: %s", what, strerrordesc_np(error));
    return error;
  }
  char landlock[32] = "no landlock";
  if (out->landlock != 0) snprintf(landlock, sizeof landlock, "landlock version %d", out->landlock);
  snprintf(out->text, sizeof out->text, "%s, %s", landlock,
           out->seccomp ? "seccomp" : "no seccomp");
  return 0;
}
