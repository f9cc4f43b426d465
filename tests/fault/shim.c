/* shim.c - a disk that fails when a test says so: preloaded into a process, it
 * stands between the program and what the C library does with files.
 *
 *   LD_PRELOAD=build/tests/fault/shim.so YOI_FAULT_ROOT=DIR YOI_FAULT_CONTROL=FILE program
 *
 * Calls on DIR and on what lies below it are counted; all others pass. FILE is
 * mapped and shared: whoever drives the test reads the counters there and arms
 * the next fault while the program runs. tests/e2e/lib/fault.py is that side;
 * struct control below is the protocol between the two.
 *
 *   call --> below DIR? --no--> the kernel
 *               |yes
 *               v
 *            counted, matched --no fault--> the kernel --> counted as ended, traced
 *               |armed for this one
 *               v
 *            an error | half of it | SIGKILL before, after or in the midst
 *
 *  1. What is not below DIR behaves as without the shim, errno included.
 *  2. No state is kept about descriptors: where one leads is read from
 *     /proc/self/fd at each call, so that dup, fcntl and closedir, which are
 *     not seen here, cannot make it lie.
 *  3. Nothing is allocated and no lock is taken; it may be called from any
 *     thread, and from a signal handler. The real call is a system call, not
 *     the library's function: there is no order of start-up to get wrong.
 *     Folders are read by the library, which is why those four are looked up.
 *  4. A fault is given to whole calls: one that the kernel was not asked for
 *     had no effect, save that a failed close has closed, as with Linux.
 *  5. Every call takes a tick when it begins and one when it ended. A write
 *     that ended before an fsync began is covered by it; that is what makes a
 *     trace (YOI_FAULT_TRACE) good for building the disk after a power cut.
 *
 * YOI_FAULT_CLOCK=SECONDS shifts the wall clock, to the past when negative.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MAGIC 0x746c756166696f79u /* "yoifault" */
#define TAIL 48

/* The kinds of calls; a bit each in control.mask, and the names in fault.py. */
enum call {
  C_OPEN, C_READ, C_WRITE, C_FSYNC, C_FDATASYNC, C_SYNCFS, C_SYNC_RANGE, C_RENAME, C_UNLINK,
  C_TRUNCATE, C_ALLOCATE, C_MKDIR, C_CLOSE, C_STAT, C_DIR, C_LINK, C_MODE
};
enum fault {
  F_NONE, F_ERRNO, F_SHORT, F_FULL, F_CRASH_BEFORE, F_CRASH_AFTER, F_CRASH_TORN, F_SLOW
};

struct logged { /* a call that was counted, for reports and for picking by kind */
  _Atomic uint32_t call; /* enum call + 1, written last */
  int32_t error;         /* errno behind it, 0 for none */
  uint64_t matched;      /* its number since the last arming, 0: not in the mask */
  char tail[TAIL];       /* the end of its path */
};

struct control {
  uint64_t magic;
  _Atomic uint64_t calls;   /* below the root, since the start */
  _Atomic uint64_t ticks;   /* begins and ends of them */
  _Atomic uint64_t mask;    /* kinds that the fault is for */
  _Atomic uint64_t matched; /* calls of those kinds since it was armed */
  _Atomic uint64_t from, to;/* which of them; from 0: none */
  _Atomic uint64_t fault, error;
  _Atomic uint64_t hits;    /* faults that were given */
  _Atomic uint64_t first;   /* the number of the first such call */
  char only[128];           /* in the path of the call, when it is not empty */
  uint64_t log_max;         /* entries behind this */
  char pad[4096 - 11 * 8 - 128 - 8];
  struct logged log[];
};

/* A record of the trace, then path, other path, bytes. */
struct traced {
  uint64_t begin, end, offset;
  uint32_t call, flags, bytes;
  uint16_t path, other;
};

/* The library's syscall, since ours stands in front of it; found at the first
 * call, which may come before start(). Two threads find the same. */
typedef long raw_call(long nr, ...);
static _Atomic(raw_call *) raw_found;

static raw_call *find_raw(void) {
  raw_call *call = atomic_load(&raw_found);
  if (!call) {
    *(void **)&call = dlsym(RTLD_NEXT, "syscall");
    atomic_store(&raw_found, call);
  }
  return call;
}
#define raw(...) find_raw()(__VA_ARGS__)

static struct control *control; /* process-wide: one disk, one plan */
static char root[PATH_MAX];
static size_t root_len;
static int trace_fd = -1;
static time_t clock_shift;

struct at { /* a call under way */
  enum call call;
  enum fault fault;
  uint64_t n, begin;
  int error, below;
  size_t len;
  char path[PATH_MAX];
};

/* ---- where a call goes ---------------------------------------------------- */

static int is_below(const char *path) {
  return root_len && strncmp(path, root, root_len) == 0 &&
         (path[root_len] == 0 || path[root_len] == '/');
}

static size_t path_of_fd(int fd, char out[PATH_MAX]) {
  char name[32] = "/proc/self/fd/", digits[12];
  size_t at = strlen(name), n = 0;
  if (fd < 0) return 0;
  do digits[n++] = (char)('0' + fd % 10);
  while ((fd /= 10) > 0);
  while (n > 0) name[at++] = digits[--n];
  long got = raw(SYS_readlinkat, AT_FDCWD, name, out, PATH_MAX - 1);
  if (got < 0) got = 0;
  out[got] = 0;
  return (size_t)got;
}

/* Names are taken as they are written: a store that is tested has no ".." and
 * no link in them. */
static size_t path_at(int dir, const char *name, char out[PATH_MAX]) {
  size_t len = 0, more = name ? strlen(name) : 0;
  if (more == 0) return path_of_fd(dir, out);
  if (name[0] != '/') {
    if (dir == AT_FDCWD) {
      len = raw(SYS_getcwd, out, PATH_MAX) > 0 ? strlen(out) : 0;
    } else {
      len = path_of_fd(dir, out);
    }
    if (len == 0 || len + more + 2 > PATH_MAX) return out[0] = 0, 0;
    if (out[len - 1] != '/') out[len++] = '/';
  } else if (more + 1 > PATH_MAX) {
    return out[0] = 0, 0;
  }
  memcpy(out + len, name, more + 1);
  return len + more;
}

/* ---- a call begins and ends ------------------------------------------------ */

static void die(void) {
  for (;;) raw(SYS_kill, raw(SYS_getpid), SIGKILL);
}

static int chosen(struct at *a) {
  uint64_t from = atomic_load(&control->from);
  if (!(atomic_load(&control->mask) >> a->call & 1)) return 0;
  if (control->only[0] && !strstr(a->path + root_len, control->only)) return 0;
  uint64_t k = atomic_fetch_add(&control->matched, 1) + 1;
  if (a->n <= control->log_max) control->log[a->n - 1].matched = k;
  return from && k >= from && k <= atomic_load(&control->to);
}

/* a->path is set. Counts the call and says what becomes of it. */
static void begin(struct at *a, enum call call) {
  a->call = call;
  a->fault = F_NONE;
  a->below = control && is_below(a->path);
  if (!a->below) return;
  a->n = atomic_fetch_add(&control->calls, 1) + 1;
  a->begin = atomic_fetch_add(&control->ticks, 1);
  if (a->n <= control->log_max) {
    struct logged *l = &control->log[a->n - 1];
    size_t skip = a->len - root_len > TAIL - 1 ? a->len - (TAIL - 1) : root_len;
    memcpy(l->tail, a->path + skip, a->len - skip);
    atomic_store(&l->call, (uint32_t)call + 1);
  }
  if (!chosen(a)) return;
  a->fault = (enum fault)atomic_load(&control->fault);
  a->error = (int)atomic_load(&control->error);
  int moves = call == C_WRITE || call == C_READ;
  if ((a->fault == F_SHORT || a->fault == F_CRASH_TORN) && !moves) {
    a->fault = a->fault == F_SHORT ? F_NONE : F_CRASH_BEFORE;
    if (a->fault == F_NONE) return;
  }
  uint64_t none = 0;
  int is_first = atomic_compare_exchange_strong(&control->first, &none, a->n);
  /* A disk that becomes full takes the half of one write, then nothing. */
  if (a->fault == F_FULL) a->fault = is_first && call == C_WRITE ? F_SHORT : F_ERRNO;
  atomic_fetch_add(&control->hits, 1);
  if (a->fault == F_CRASH_BEFORE) die();
  if (a->fault == F_SLOW) {
    struct timespec t = {a->error / 1000, a->error % 1000 * 1000000L};
    raw(SYS_nanosleep, &t, NULL);
  }
}

static void begin_fd(struct at *a, enum call call, int fd) {
  int before = errno;
  a->path[0] = 0;
  a->len = control ? path_of_fd(fd, a->path) : 0;
  errno = before;
  begin(a, call);
}

static void begin_at(struct at *a, enum call call, int dir, const char *name) {
  int before = errno;
  a->path[0] = 0;
  a->len = control ? path_at(dir, name, a->path) : 0;
  errno = before;
  begin(a, call);
}

/* 1 when the call fails without having been made; errno says why. */
static int fails(struct at *a) {
  if (a->fault != F_ERRNO) return 0;
  if (a->n <= control->log_max) control->log[a->n - 1].error = a->error;
  atomic_fetch_add(&control->ticks, 1);
  errno = a->error;
  return 1;
}

static size_t half(const struct at *a, size_t n) {
  return (a->fault == F_SHORT || a->fault == F_CRASH_TORN) && n > 1 ? n / 2 : n;
}

static void trace(struct at *a, uint64_t end, const char *other, uint32_t flags, uint64_t offset,
                  const void *bytes, size_t n) {
  struct traced t = {a->begin, end, offset, (uint32_t)a->call, flags, (uint32_t)n,
                     (uint16_t)a->len, (uint16_t)(other ? strlen(other) : 0)};
  struct iovec v[4] = {{&t, sizeof t}, {a->path, a->len},
                       {(void *)(uintptr_t)other, t.other}, {(void *)(uintptr_t)bytes, n}};
  if (raw(SYS_writev, trace_fd, v, 4) < 0) die(); /* a trace with a gap proves nothing */
}

/* What every call that was made ends with. The rest is for the trace. */
static long ended(struct at *a, long r, const char *other, uint32_t flags, uint64_t offset,
                  const void *bytes) {
  if (!a->below) return r;
  int after = errno;
  if (r < 0 && a->n <= control->log_max) control->log[a->n - 1].error = after;
  uint64_t end = atomic_fetch_add(&control->ticks, 1);
  int changes = a->call != C_READ && a->call != C_STAT && a->call != C_DIR && a->call != C_CLOSE;
  if (trace_fd >= 0 && r >= 0 && changes)
    trace(a, end, other, flags, offset, bytes, bytes ? (size_t)r : 0);
  if (a->fault == F_CRASH_AFTER || a->fault == F_CRASH_TORN) die();
  errno = after;
  return r;
}

static long done(struct at *a, long r) { return ended(a, r, NULL, 0, 0, NULL); }

/* ---- opening ---------------------------------------------------------------- */

static int open_at(int dir, const char *name, int flags, mode_t mode) {
  struct at a;
  begin_at(&a, C_OPEN, dir, name);
  if (fails(&a)) return -1;
  return (int)ended(&a, raw(SYS_openat, dir, name, flags, mode), NULL, (uint32_t)flags, 0,
                    NULL);
}

static int has_mode(int flags) { return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE; }

/* openat2 has no function in the library; who wants it calls this. */
static long open_how(int dir, const char *name, const struct open_how *how, size_t size) {
  struct at a;
  begin_at(&a, C_OPEN, dir, name);
  if (fails(&a)) return -1;
  return ended(&a, raw(SYS_openat2, dir, name, how, size), NULL, (uint32_t)how->flags, 0, NULL);
}
EXPORT long syscall(long nr, ...) {
  long v[6];
  va_list ap;
  va_start(ap, nr);
  for (int i = 0; i < 6; i++) v[i] = va_arg(ap, long);
  va_end(ap);
  if (nr == SYS_openat2)
    return open_how((int)v[0], (const char *)v[1], (const struct open_how *)v[2], (size_t)v[3]);
  return raw(nr, v[0], v[1], v[2], v[3], v[4], v[5]);
}

#define OPEN_AT(fn)                                          \
  EXPORT int fn(int dir, const char *name, int flags, ...) { \
    mode_t mode = 0;                                         \
    if (has_mode(flags)) {                                   \
      va_list ap;                                            \
      va_start(ap, flags);                                   \
      mode = va_arg(ap, mode_t);                             \
      va_end(ap);                                            \
    }                                                        \
    return open_at(dir, name, flags, mode);                  \
  }
#define OPEN(fn)                                             \
  EXPORT int fn(const char *name, int flags, ...) {          \
    mode_t mode = 0;                                         \
    if (has_mode(flags)) {                                   \
      va_list ap;                                            \
      va_start(ap, flags);                                   \
      mode = va_arg(ap, mode_t);                             \
      va_end(ap);                                            \
    }                                                        \
    return open_at(AT_FDCWD, name, flags, mode);             \
  }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
/* What _FORTIFY_SOURCE makes of calls without a mode. */
EXPORT int __open_2(const char *name, int flags);
EXPORT int __open_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
EXPORT int __open64_2(const char *name, int flags);
EXPORT int __open64_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
EXPORT int __openat_2(int dir, const char *name, int flags);
EXPORT int __openat_2(int dir, const char *name, int flags) { return open_at(dir, name, flags, 0); }
EXPORT int __openat64_2(int dir, const char *name, int flags);
EXPORT int __openat64_2(int dir, const char *name, int flags) {
  return open_at(dir, name, flags, 0);
}
EXPORT int creat(const char *name, mode_t mode) {
  return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* It is closed whatever the answer is: only the answer can be a lie. */
EXPORT int close(int fd) {
  struct at a;
  begin_fd(&a, C_CLOSE, fd);
  long r = raw(SYS_close, fd);
  return fails(&a) ? -1 : (int)done(&a, r);
}

/* ---- reading and writing ----------------------------------------------------- */

static uint64_t offset_of(int fd) {
  long at = raw(SYS_lseek, fd, 0, SEEK_CUR);
  return at < 0 ? 0 : (uint64_t)at;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t n) {
  struct at a;
  begin_fd(&a, C_WRITE, fd);
  if (fails(&a)) return -1;
  long r = raw(SYS_write, fd, bytes, half(&a, n));
  /* behind the write, since it may be an appending one */
  uint64_t behind = a.below && trace_fd >= 0 ? offset_of(fd) : 0;
  return ended(&a, r, NULL, 0, behind - (r > 0 ? (uint64_t)r : 0), bytes);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  struct at a;
  begin_fd(&a, C_WRITE, fd);
  if (fails(&a)) return -1;
  return ended(&a, raw(SYS_pwrite64, fd, bytes, half(&a, n), at), NULL, 0, (uint64_t)at, bytes);
}
EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) {
  return pwrite(fd, bytes, n, at);
}

/* Below the root each piece is a call of its own: that is what a kernel may
 * make of it as well, and a fault falls between two of them. */
static ssize_t write_v(int fd, const struct iovec *v, int n, off_t at) {
  ssize_t sum = 0;
  for (int i = 0; i < n; i++) {
    ssize_t r = at < 0 ? write(fd, v[i].iov_base, v[i].iov_len)
                       : pwrite(fd, v[i].iov_base, v[i].iov_len, at + sum);
    if (r < 0) return sum ? sum : -1;
    sum += r;
    if ((size_t)r < v[i].iov_len) break;
  }
  return sum;
}

static int fd_below(int fd) {
  char path[PATH_MAX];
  int before = errno, below = control && path_of_fd(fd, path) && is_below(path);
  errno = before;
  return below;
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int n) {
  return fd_below(fd) ? write_v(fd, v, n, -1) : raw(SYS_writev, fd, v, n);
}
EXPORT ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) {
  return fd_below(fd) ? write_v(fd, v, n, at) : raw(SYS_pwritev, fd, v, n, at, 0);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at) {
  return pwritev(fd, v, n, at);
}
EXPORT ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags) {
  return flags == 0 || fd_below(fd) ? pwritev(fd, v, n, at)
                                    : raw(SYS_pwritev2, fd, v, n, at, 0, flags);
}
EXPORT ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t at, int flags) {
  return pwritev2(fd, v, n, at, flags);
}

EXPORT ssize_t read(int fd, void *out, size_t n) {
  struct at a;
  begin_fd(&a, C_READ, fd);
  if (fails(&a)) return -1;
  return done(&a, raw(SYS_read, fd, out, half(&a, n)));
}
EXPORT ssize_t pread(int fd, void *out, size_t n, off_t at) {
  struct at a;
  begin_fd(&a, C_READ, fd);
  if (fails(&a)) return -1;
  return done(&a, raw(SYS_pread64, fd, out, half(&a, n), at));
}
EXPORT ssize_t pread64(int fd, void *out, size_t n, off_t at) { return pread(fd, out, n, at); }
/* What _FORTIFY_SOURCE makes of them; the check is the library's. */
EXPORT ssize_t __read_chk(int fd, void *out, size_t n, size_t room);
EXPORT ssize_t __read_chk(int fd, void *out, size_t n, size_t room) {
  if (n > room) abort();
  return read(fd, out, n);
}
EXPORT ssize_t __pread_chk(int fd, void *out, size_t n, off_t at, size_t room);
EXPORT ssize_t __pread_chk(int fd, void *out, size_t n, off_t at, size_t room) {
  if (n > room) abort();
  return pread(fd, out, n, at);
}
EXPORT ssize_t __pread64_chk(int fd, void *out, size_t n, off_t at, size_t room);
EXPORT ssize_t __pread64_chk(int fd, void *out, size_t n, off_t at, size_t room) {
  return __pread_chk(fd, out, n, at, room);
}

/* ---- making durable ---------------------------------------------------------- */

static int sync_fd(enum call call, long nr, int fd) {
  struct at a;
  begin_fd(&a, call, fd);
  if (fails(&a)) return -1;
  return (int)done(&a, raw(nr, fd));
}
EXPORT int fsync(int fd) { return sync_fd(C_FSYNC, SYS_fsync, fd); }
EXPORT int fdatasync(int fd) { return sync_fd(C_FDATASYNC, SYS_fdatasync, fd); }
EXPORT int syncfs(int fd) { return sync_fd(C_SYNCFS, SYS_syncfs, fd); }
EXPORT int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags) {
  struct at a;
  begin_fd(&a, C_SYNC_RANGE, fd);
  if (fails(&a)) return -1;
  return (int)done(&a, raw(SYS_sync_file_range, fd, at, n, flags));
}
EXPORT int ftruncate(int fd, off_t n) {
  struct at a;
  begin_fd(&a, C_TRUNCATE, fd);
  if (fails(&a)) return -1;
  return (int)ended(&a, raw(SYS_ftruncate, fd, n), NULL, 0, (uint64_t)n, NULL);
}
EXPORT int ftruncate64(int fd, off_t n) { return ftruncate(fd, n); }
EXPORT int fallocate(int fd, int mode, off_t at, off_t n) {
  struct at a;
  begin_fd(&a, C_ALLOCATE, fd);
  if (fails(&a)) return -1;
  return (int)ended(&a, raw(SYS_fallocate, fd, mode, at, n), NULL, (uint32_t)mode,
                    (uint64_t)(at + n), NULL);
}
EXPORT int fallocate64(int fd, int mode, off_t at, off_t n) { return fallocate(fd, mode, at, n); }
/* Gives its error, and leaves errno. */
EXPORT int posix_fallocate(int fd, off_t at, off_t n) {
  int before = errno, r = fallocate(fd, 0, at, n) < 0 ? errno : 0;
  errno = before;
  return r;
}
EXPORT int posix_fallocate64(int fd, off_t at, off_t n) { return posix_fallocate(fd, at, n); }

/* ---- names -------------------------------------------------------------------- */

static int two(enum call call, long nr, int from_dir, const char *from, int to_dir, const char *to,
               unsigned flags) {
  struct at a;
  char other[PATH_MAX];
  int before = errno;
  other[0] = 0;
  if (control) path_at(to_dir, to, other);
  errno = before;
  begin_at(&a, call, from_dir, from);
  if (fails(&a)) return -1;
  return (int)ended(&a, raw(nr, from_dir, from, to_dir, to, flags), other, flags, 0, NULL);
}
EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
  return two(C_RENAME, SYS_renameat2, from_dir, from, to_dir, to, flags);
}
EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to) {
  return renameat2(from_dir, from, to_dir, to, 0);
}
EXPORT int rename(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}
EXPORT int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
  return two(C_LINK, SYS_linkat, from_dir, from, to_dir, to, (unsigned)flags);
}
EXPORT int unlinkat(int dir, const char *name, int flags) {
  struct at a;
  begin_at(&a, C_UNLINK, dir, name);
  if (fails(&a)) return -1;
  return (int)ended(&a, raw(SYS_unlinkat, dir, name, flags), NULL, (uint32_t)flags, 0, NULL);
}
EXPORT int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
EXPORT int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
EXPORT int mkdirat(int dir, const char *name, mode_t mode) {
  struct at a;
  begin_at(&a, C_MKDIR, dir, name);
  if (fails(&a)) return -1;
  return (int)done(&a, raw(SYS_mkdirat, dir, name, mode));
}
EXPORT int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
EXPORT int fchmod(int fd, mode_t mode) {
  struct at a;
  begin_fd(&a, C_MODE, fd);
  if (fails(&a)) return -1;
  return (int)done(&a, raw(SYS_fchmod, fd, mode));
}

static int stat_at(int dir, const char *name, struct stat *out, int flags) {
  struct at a;
  begin_at(&a, C_STAT, dir, name);
  if (fails(&a)) return -1;
  return (int)done(&a, raw(SYS_newfstatat, dir, name, out, flags));
}
EXPORT int fstatat(int dir, const char *name, struct stat *out, int flags) {
  return stat_at(dir, name, out, flags);
}
EXPORT int fstat(int fd, struct stat *out) { return stat_at(fd, "", out, AT_EMPTY_PATH); }
EXPORT int stat(const char *name, struct stat *out) { return stat_at(AT_FDCWD, name, out, 0); }
EXPORT int lstat(const char *name, struct stat *out) {
  return stat_at(AT_FDCWD, name, out, AT_SYMLINK_NOFOLLOW);
}
/* The same structure on 64-bit Linux, under the name that other languages use. */
EXPORT int fstatat64(int dir, const char *name, struct stat64 *out, int flags) {
  return stat_at(dir, name, (struct stat *)out, flags);
}
EXPORT int fstat64(int fd, struct stat64 *out) { return fstatat64(fd, "", out, AT_EMPTY_PATH); }
EXPORT int stat64(const char *name, struct stat64 *out) {
  return fstatat64(AT_FDCWD, name, out, 0);
}
EXPORT int lstat64(const char *name, struct stat64 *out) {
  return fstatat64(AT_FDCWD, name, out, AT_SYMLINK_NOFOLLOW);
}

/* ---- folders ------------------------------------------------------------------- */

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

EXPORT DIR *fdopendir(int fd) {
  struct at a;
  DIR *(*call)(int);
  *(void **)&call = real("fdopendir");
  begin_fd(&a, C_DIR, fd);
  if (fails(&a)) return NULL;
  DIR *d = call(fd);
  done(&a, d ? 0 : -1);
  return d;
}
EXPORT DIR *opendir(const char *name) {
  struct at a;
  DIR *(*call)(const char *);
  *(void **)&call = real("opendir");
  begin_at(&a, C_DIR, AT_FDCWD, name);
  if (fails(&a)) return NULL;
  DIR *d = call(name);
  done(&a, d ? 0 : -1);
  return d;
}
/* The end of a folder leaves errno as it was: that is how it is told from a
 * failure. */
#define READDIR(fn, type)                    \
  EXPORT struct type *fn(DIR *d) {           \
    struct at a;                             \
    struct type *(*call)(DIR *);             \
    *(void **)&call = real(#fn);             \
    begin_fd(&a, C_DIR, dirfd(d));           \
    if (fails(&a)) return NULL;              \
    struct type *e = call(d);                \
    done(&a, 0);                             \
    return e;                                \
  }
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

/* ---- time ----------------------------------------------------------------------- */

EXPORT int clock_gettime(clockid_t id, struct timespec *out) {
  int r = (int)raw(SYS_clock_gettime, id, out);
  if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) out->tv_sec += clock_shift;
  return r;
}
EXPORT int gettimeofday(struct timeval *out, void *zone) {
  int r = (int)raw(SYS_gettimeofday, out, zone);
  if (r == 0) out->tv_sec += clock_shift;
  return r;
}
EXPORT time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

/* ---- start ------------------------------------------------------------------------ */

__attribute__((constructor)) static void start(void) {
  const char *dir = getenv("YOI_FAULT_ROOT"), *file = getenv("YOI_FAULT_CONTROL");
  const char *shift = getenv("YOI_FAULT_CLOCK"), *tracing = getenv("YOI_FAULT_TRACE");
  if (shift) clock_shift = (time_t)strtoll(shift, NULL, 10);
  if (!dir || !file || strlen(dir) >= sizeof root) return;
  long fd = raw(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
  struct stat st;
  if (fd < 0 || raw(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) < 0) return;
  void *at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
  raw(SYS_close, fd);
  if (at == MAP_FAILED) return;
  if (tracing) {
    trace_fd = (int)raw(SYS_openat, AT_FDCWD, tracing,
                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trace_fd < 0) die();
  }
  root_len = strlen(dir);
  while (root_len > 1 && dir[root_len - 1] == '/') root_len--;
  memcpy(root, dir, root_len);
  struct control *c = at;
  if ((size_t)st.st_size >= sizeof *c && c->magic == MAGIC) control = c; /* last: it switches on */
}
