/* host/worker/confine.h - what an isolated plugin's process gives up before
 * any code of the plugin is mapped into it.
 *
 *   spawned --main--> yoi__confine --> dlopen of the plugin --> serving
 *
 * Called once, on the main thread, while it is the only one: what is given up
 * is given up by threads, and those that begin later inherit it. Nothing can
 * be had back.
 *
 *   descriptors   all are closed but 0, 1, 2 and those that are kept
 *   folder        `/`
 *   process       no new privileges, no core, not dumpable, no capabilities,
 *                 ends with its parent, first to go when memory is short
 *   limits        data, address space, open files (yoi/limits.h)
 *   Landlock      files: the system's libraries and what the plugin's config
 *                 names, to be read, and the mounts; no TCP, no signals and no
 *                 abstract sockets to what is outside (landlock.c)
 *   seccomp       no other process, no sockets, and none of the calls that
 *                 kernels are broken into by (filter.c)
 *
 * Landlock looks at where a file lies, also below a descriptor that another
 * process has opened and sent. So the mounts of the plugin have to be known
 * here; a folder that comes later and is none of them cannot be looked into.
 */
#ifndef YOI__WORKER_CONFINE_H
#define YOI__WORKER_CONFINE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the plugin is granted, of any name: */
#define YOI__CONFINE_NET 1u   /* a model, or a tool with a grant net: it connects */
#define YOI__CONFINE_SHELL 2u /* a tool with shell or git: it starts programs,
                                 which make sandboxes of their own. Landlock
                                 allows no mount to whom it keeps from files, so
                                 files stay open to it */

struct yoi__confine_mount {
  int fd; /* an open folder, O_PATH will do; borrowed, closed with the rest */
  int writable;
};

struct yoi__confine {
  uint32_t uses;      /* YOI__CONFINE_* */
  int required;       /* 1: what this kernel cannot do is an error, not a loss */
  const char *const *files; /* that the plugin's own config names, to be read */
  size_t n_files;
  const struct yoi__confine_mount *mounts;
  size_t n_mounts;
  const int *keep; /* descriptors above 2 that stay open, in any order */
  size_t n_keep;
  pid_t parent; /* not 0: end when the thread ends that has spawned this one, a
                   thread of this process that lives as long as the host does;
                   when it is gone by now, that is an error (ESRCH) */
};

#define YOI__CONFINED_TEXT_MAX 256 /* never with a path */

/* What came of it, for the host's log. */
struct yoi__confined {
  int landlock; /* the version that is in force; 0: none */
  int seccomp;  /* 1: the filter is in force */
  char text[YOI__CONFINED_TEXT_MAX]; /* "landlock version 7, seccomp", or
                                        "cannot use landlock: REASON" */
};

/* 0, or an errno; then the process is in no state to go on and has to end.
 * Writes *out in any case. Without `required`, only a kernel that has no
 * Landlock or no seccomp is no error: anything else that fails is one. */
int yoi__confine(const struct yoi__confine *c, struct yoi__confined *out);

/* ---- the steps; each 0 or an errno, with what was tried ---- */
/* process.c */
int yoi__confine_process(const struct yoi__confine *c, const char **out_what);
/* All but 0, 1, 2, what is kept, and the mounts while they are needed. */
int yoi__confine_close(const struct yoi__confine *c, int with_mounts);
/* landlock.c: *out_version is 0 when the kernel has none (ENOSYS). */
int yoi__confine_landlock(const struct yoi__confine *c, int *out_version, const char **out_what);
/* filter.c: EINVAL and ENOSYS: the kernel has no seccomp. */
int yoi__confine_filter(const struct yoi__confine *c);

#endif
