/* process.c - what is the process's own: memory, limits, descriptors, parent.
 *
 *  1. What needs /proc or a path comes first: it is out of reach afterwards.
 *  2. A build with a sanitizer has no limits of memory: its shadow is larger
 *     than any of them. All else is the same in it.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sdk/confine.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <yoi/limits.h>

#define OOM_SCORE "600" /* of 1000: the more, the sooner the kernel ends it */
#define FIRST 3         /* above the standard three */

static int fail(const char **out_what, int error, const char *what) {
  *out_what = what;
  return error;
}

/* Without /proc, or a kernel that does so, it is as likely as others to go. */
static void offer_memory(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t n = write(fd, OOM_SCORE, strlen(OOM_SCORE));
  (void)n;
  close(fd);
}

int yoi__confine_close(const struct yoi__confine *c, int with_mounts) {
  int keep[YOI_ISOLATED_FILES_MAX];
  size_t n = 0;
  if (c->n_keep + c->n_mounts > YOI_ISOLATED_FILES_MAX) return EMFILE;
  for (size_t i = 0; i < c->n_keep; i++) keep[n++] = c->keep[i];
  for (size_t i = 0; i < c->n_mounts && with_mounts; i++) keep[n++] = c->mounts[i].fd;
  return yoi_sdk_confine_close(FIRST, keep, n);
}

static int limits(const struct yoi__confine *c) {
  int shell = (c->uses & YOI__CONFINE_SHELL) != 0;
  const struct {
    unsigned which;
    uint64_t soft, hard;
    int skip;
  } all[] = {
      {RLIMIT_CORE, 0, 0, 0},
      {RLIMIT_NOFILE, YOI_ISOLATED_FILES_MAX, YOI_ISOLATED_FILES_MAX, 0},
      {RLIMIT_MEMLOCK, 65536, 65536, 0},
      {RLIMIT_MSGQUEUE, 0, 0, 0},
      {RLIMIT_NICE, 0, 0, 0},
      {RLIMIT_RTPRIO, 0, 0, 0},
      /* What commands may have, each command is told by its grant. */
      {RLIMIT_DATA, YOI_ISOLATED_DATA_BYTES_MAX,
       shell ? RLIM_INFINITY : YOI_ISOLATED_DATA_BYTES_MAX, YOI_SDK_SANITIZED},
      {RLIMIT_AS, YOI_ISOLATED_ADDRESS_BYTES_MAX, YOI_ISOLATED_ADDRESS_BYTES_MAX,
       YOI_SDK_SANITIZED || shell},
  };
  int error = 0;
  for (size_t i = 0; i < sizeof all / sizeof *all && error == 0; i++)
    if (!all[i].skip) error = yoi_sdk_confine_limit(all[i].which, all[i].soft, all[i].hard);
  return error;
}

int yoi__confine_process(const struct yoi__confine *c, const char **out_what) {
  offer_memory();
  if (chdir("/") != 0) return fail(out_what, errno, "enter the root folder");
  int error = yoi__confine_close(c, 1);
  if (error != 0) return fail(out_what, error, "close what was inherited");
  if ((error = limits(c)) != 0) return fail(out_what, error, "set a limit");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(out_what, errno, "give up new privileges");
  /* Bubblewrap, run by root, makes its sandboxes with what root may. */
  if (!(c->uses & YOI__CONFINE_SHELL) && (error = yoi_sdk_confine_capabilities()) != 0)
    return fail(out_what, error, "drop capabilities");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return fail(out_what, errno, "keep its memory to itself");
  if (c->parent != 0) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
      return fail(out_what, errno, "end with its parent");
    if (getppid() != c->parent) return fail(out_what, ESRCH, "find its parent");
  }
  return 0;
}
