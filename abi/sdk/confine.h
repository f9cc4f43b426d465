/* sdk/confine.h - what a process needs to shut itself in: a seccomp filter,
 * a Landlock ruleset, limits, and the end of what it has inherited.
 *
 * For programs that run what nobody trusts: they know what they need, here is
 * what is the same for all of them. It stands on libc alone, so that a small
 * program can be made of it and nothing else, and it allocates nothing.
 *
 * Everything is about the calling thread and what it starts later: call it
 * while there is one thread. Functions return 0 or an errno.
 */
#ifndef YOI_SDK_CONFINE_H
#define YOI_SDK_CONFINE_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1: a build with a sanitizer whose shadow is larger than any limit of memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define YOI_SDK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define YOI_SDK_SANITIZED 1
#endif
#endif
#ifndef YOI_SDK_SANITIZED
#define YOI_SDK_SANITIZED 0
#endif

/* ---- seccomp: what the kernel does not do (filter.c) ---- */
#define YOI_SDK_FILTER_MAX 1024 /* instructions; the kernel takes 4,096 */

struct yoi_sdk_filter {
  struct sock_filter at[YOI_SDK_FILTER_MAX];
  unsigned n; /* may be more than fit: then end says E2BIG */
};

/* Begins with what is refused everywhere: calls of other machines (the process
 * is killed), those that are newer than this list and those that hide their
 * flags behind a pointer (ENOSYS, so that programs take another way), what
 * reaches other processes, keyrings, the clock and the parts of the kernel
 * that are broken into most (EPERM). */
void yoi_sdk_filter_begin(struct yoi_sdk_filter *f);
/* Roots, mounts and namespaces. */
void yoi_sdk_filter_mounts(struct yoi_sdk_filter *f);
/* The flags of openat2 and its modes are behind a pointer too. */
void yoi_sdk_filter_openat2(struct yoi_sdk_filter *f);
/* What Landlock does not look at: System V's memory and queues, watches. */
void yoi_sdk_filter_unwatched(struct yoi_sdk_filter *f);
/* Priorities and processors of others. */
void yoi_sdk_filter_scheduling(struct yoi_sdk_filter *f);
/* Cutting off a file that is opened for reading: Landlock knows of it only
 * from version 3 on. */
void yoi_sdk_filter_cuts(struct yoi_sdk_filter *f);
/* Files with setuid or setgid. */
void yoi_sdk_filter_set_id(struct yoi_sdk_filter *f);
/* Sockets but of these families; of netlink only routes. Without `names`
 * a pair is one of streams: one of datagrams can be sent to any name. */
void yoi_sdk_filter_sockets(struct yoi_sdk_filter *f, const unsigned *families, unsigned n,
                            int names);

/* No socket whose close waits (SO_LINGER): who is given it would wait too. */
void yoi_sdk_filter_linger(struct yoi_sdk_filter *f);

/* One call: always; when argument i is k (test BPF_JEQ) or has a bit of k
 * (BPF_JSET); unless it is k. Of arguments the low 32 bits are looked at. */
void yoi_sdk_filter_deny(struct yoi_sdk_filter *f, long nr, int error);
void yoi_sdk_filter_deny_if(struct yoi_sdk_filter *f, long nr, unsigned i, unsigned test,
                            unsigned k, int error);
void yoi_sdk_filter_deny_other(struct yoi_sdk_filter *f, long nr, unsigned i, unsigned k,
                               int error);
/* Unless the argument has a bit of k. */
void yoi_sdk_filter_deny_without(struct yoi_sdk_filter *f, long nr, unsigned i, unsigned k,
                                 int error);
/* Always, by whoever has the listener (end). */
void yoi_sdk_filter_notify(struct yoi_sdk_filter *f, long nr);

/* All else is allowed; no new privileges, and the filter is in force. A listener
 * for what is notified goes to *out_listener, which is NULL without one. */
int yoi_sdk_filter_end(struct yoi_sdk_filter *f, int *out_listener);

/* ---- Landlock: files, TCP, signals (landlock.c) ----
 * The numbers are those of linux/landlock.h; they are here since the headers
 * of a system are often older than its kernel. */
#define YOI_SDK_LANDLOCK_EXECUTE (1u << 0)
#define YOI_SDK_LANDLOCK_WRITE_FILE (1u << 1)
#define YOI_SDK_LANDLOCK_READ_FILE (1u << 2)
#define YOI_SDK_LANDLOCK_READ_DIR (1u << 3)
#define YOI_SDK_LANDLOCK_MAKE_CHAR (1u << 6)
#define YOI_SDK_LANDLOCK_MAKE_BLOCK (1u << 11)
#define YOI_SDK_LANDLOCK_TRUNCATE (1u << 14)  /* from version 3 */
#define YOI_SDK_LANDLOCK_IOCTL_DEV (1u << 15) /* from version 5 */
#define YOI_SDK_LANDLOCK_ALL ((1u << 16) - 1)

#define YOI_SDK_LANDLOCK_READS (YOI_SDK_LANDLOCK_READ_FILE | YOI_SDK_LANDLOCK_READ_DIR)
#define YOI_SDK_LANDLOCK_WRITES                                         \
  (YOI_SDK_LANDLOCK_ALL & ~(YOI_SDK_LANDLOCK_EXECUTE | YOI_SDK_LANDLOCK_MAKE_CHAR | \
                            YOI_SDK_LANDLOCK_MAKE_BLOCK | YOI_SDK_LANDLOCK_IOCTL_DEV))

#define YOI_SDK_LANDLOCK_BIND 1u   /* of TCP: from version 4, Linux 6.7 */
#define YOI_SDK_LANDLOCK_NET 3u    /* and connect */
#define YOI_SDK_LANDLOCK_SCOPES 3u /* abstract sockets, signals: version 6, 6.12 */

/* What of the system's is to be readable. */
#define YOI_SDK_SYSTEM_LIBRARIES 1u /* what a shared object needs to be loaded */
#define YOI_SDK_SYSTEM_NETWORK 2u   /* certificates, and how names are resolved */
#define YOI_SDK_SYSTEM_PROGRAMS 4u  /* with all they count on, to be executed */

struct yoi_sdk_landlock {
  uint64_t fs, net, scoped; /* what is handled, so refused where no rule gives it */
  int version;              /* of the kernel's interface */
  int fd;                   /* -1: none */
};

/* 0: this kernel has none, or it is switched off. */
int yoi_sdk_landlock_version(void);
/* r->fs, net and scoped say what is to be handled; what the kernel's version
 * does not know is taken out. EOPNOTSUPP: it has less than `needed`. */
int yoi_sdk_landlock_begin(struct yoi_sdk_landlock *r, int needed);
/* What was opened is what is given, whatever the name leads to later. */
int yoi_sdk_landlock_add(struct yoi_sdk_landlock *r, int fd, uint64_t allowed);
/* A path that leads nowhere, or that nobody may look at, is given to nobody. */
int yoi_sdk_landlock_add_path(struct yoi_sdk_landlock *r, const char *path, uint64_t allowed);
int yoi_sdk_landlock_add_system(struct yoi_sdk_landlock *r, uint32_t which);
/* No new privileges, and the ruleset is in force. Closes it. */
int yoi_sdk_landlock_end(struct yoi_sdk_landlock *r);
/* Closes it when something before the end has failed. */
void yoi_sdk_landlock_forget(struct yoi_sdk_landlock *r);

/* ---- the process (process.c) ---- */
/* A limit that is lower already stays. */
int yoi_sdk_confine_limit(unsigned which, uint64_t soft, uint64_t hard);
/* None is left, and none can come back. */
int yoi_sdk_confine_capabilities(void);
/* All descriptors from `from` on are closed but those in keep. */
int yoi_sdk_confine_close(int from, const int *keep, size_t n);

#ifdef __cplusplus
}
#endif

#endif
