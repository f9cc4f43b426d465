/* host/mount.c - opening what is beneath a folder, and nothing else.
 *
 *   path --openat2--> O_PATH descriptor --fstat--> file:   open of its own
 *          beneath                                         /proc/self/fd/N
 *                                                  folder: openat of "."
 *                                                  else:   refused
 *
 * Invariants:
 *  1. The kernel walks the path, in one call, and refuses what leads out
 *     (RESOLVE_BENEATH): links are judged where they are met, and a folder that is
 *     moved meanwhile is noticed. Nothing is resolved here by parts, compared as
 *     text or done instead where openat2 is missing.
 *  2. What is there is judged on a descriptor that opens nothing (O_PATH): a FIFO
 *     waits for nobody and a driver is not called. What is opened then is that
 *     inode, not the name once more, which may mean another file by now. The
 *     link below /proc/self/fd is one to our own descriptor, and where it led is
 *     compared all the same, should somebody have put another /proc there.
 *  3. A new file is made with O_EXCL, so it is a regular file and new.
 *  4. The root stays the folder that was there at the start, whatever its path
 *     means later: who may rename above it does not choose what a tool sees.
 */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sdk/error.h>
#include <sdk/str.h>
#include <yoi/host_mount.h>

/* A rename anywhere on the machine makes a walk over ".." uncertain: EAGAIN. */
#define TRIES 256
#define SHOWN 256 /* of a path, in a message */

/* Beside errno, what is said of what was found. */
#define IS_FOLDER (-1)
#define IS_FILE (-2)
#define IS_OTHER (-3)
#define NO_PROC (-4)
#define GONE (-5)
#define ABSOLUTE (-6)
#define FILE_SLASH (-7)

static const struct {
  int number;
  yoi_status st;
  const char *why;
} reasons[] = {
    {EXDEV, YOI_PERMISSION_DENIED, "it leads out of the mount"},
    {ELOOP, YOI_PERMISSION_DENIED, "it leads over too many links, or one of /proc"},
    {EACCES, YOI_PERMISSION_DENIED, "the system does not let this host"},
    {EPERM, YOI_PERMISSION_DENIED, "the system does not let this host"},
    {EROFS, YOI_PERMISSION_DENIED, "its file system can only be read"},
    {ETXTBSY, YOI_PERMISSION_DENIED, "it is a program that runs"},
    {ENOENT, YOI_NOT_FOUND, "it is not there"},
    {GONE, YOI_NOT_FOUND, "the folder of the mount was removed after this host began"},
    {EEXIST, YOI_ALREADY_EXISTS, "it is there already"},
    {ENOTDIR, YOI_INVALID_ARGUMENT, "a part of it is no folder"},
    {EISDIR, YOI_INVALID_ARGUMENT, "it is a folder; expected a file"},
    {IS_FOLDER, YOI_INVALID_ARGUMENT, "it is a folder; expected a file"},
    {IS_FILE, YOI_INVALID_ARGUMENT, "it is a file; expected a folder"},
    {IS_OTHER, YOI_INVALID_ARGUMENT, "it is neither a file nor a folder"},
    {ENAMETOOLONG, YOI_INVALID_ARGUMENT, "a name in it is too long"},
    {EINVAL, YOI_INVALID_ARGUMENT, "the file system takes no such name"},
    {EILSEQ, YOI_INVALID_ARGUMENT, "the file system takes no such name"},
    {ABSOLUTE, YOI_INVALID_ARGUMENT,
     "expected a path from the root of the mount, without a '/' "
     "in front"},
    {FILE_SLASH, YOI_INVALID_ARGUMENT, "a file has no '/' at its end"},
    {EAGAIN, YOI_RESOURCE_EXHAUSTED, "it is being changed right now; try again"},
    {EMFILE, YOI_RESOURCE_EXHAUSTED, "this host has too many files open"},
    {ENFILE, YOI_RESOURCE_EXHAUSTED, "this system has too many files open"},
    {ENOMEM, YOI_RESOURCE_EXHAUSTED, "memory is short"},
    {ENOSPC, YOI_RESOURCE_EXHAUSTED, "the disk is full"},
    {EDQUOT, YOI_RESOURCE_EXHAUSTED, "the quota is used up"},
    {ENOSYS, YOI_UNIMPLEMENTED, "this kernel has no openat2 (Linux 5.6)"},
    {NO_PROC, YOI_UNIMPLEMENTED, "this host needs /proc to open files"},
};

static yoi_status refuse(yoi_str name, yoi_str path, int number, yoi_error *err) {
  yoi_status st = YOI_INTERNAL;
  const char *why = "the system failed";
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
    if (reasons[i].number != number) continue;
    st = reasons[i].st;
    why = reasons[i].why;
  }
  (void)yoi_sdk_fail(err, yoi_sdk_code_of_status(st), "cannot open '%.*s'%s in mount '%.*s': %s",
                     (int)yoi_sdk_utf8_cut(path, SHOWN), path.ptr, path.len > SHOWN ? "..." : "",
                     YOI_ARG(name), why);
  yoi_sdk_fail_private(err, "%s", number > 0 ? strerror(number) : "");
  return st;
}

/* ---- the two ways into the kernel ------------------------------------------- */

static int beneath(int root, const char *path, int flags, mode_t mode) {
  struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
                         .mode = mode,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  for (int i = 1;; i++) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || i == TRIES || (errno != EAGAIN && errno != EINTR)) return (int)fd;
  }
}

/* The regular file behind an O_PATH descriptor. 0, or what is wrong. */
static int open_same(int fd, const struct stat *is, int flags, int32_t *out_fd) {
  char own[sizeof "/proc/self/fd/" + 12];
  struct stat sb;
  snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
  /* NONBLOCK: a lease of somebody else on the file must not hold us up. */
  *out_fd = open(own, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (*out_fd < 0) return errno == ENOENT ? NO_PROC : errno;
  int mode = fcntl(*out_fd, F_GETFL), why = 0;
  if (fstat(*out_fd, &sb) != 0 || sb.st_dev != is->st_dev || sb.st_ino != is->st_ino)
    why = NO_PROC;
  else if (mode < 0 || fcntl(*out_fd, F_SETFL, mode & ~O_NONBLOCK) != 0)
    why = errno;
  if (why == 0) return 0;
  close(*out_fd);
  *out_fd = -1;
  return why;
}

static int access_of(uint32_t flags) {
  if ((flags & YOI_MOUNT_WRITE) == 0) return O_RDONLY;
  return (flags & YOI_MOUNT_READ) != 0 ? O_RDWR : O_WRONLY;
}

/* ---- what is there, and what is new ------------------------------------------ */

static int open_there(int root, const char *path, uint32_t flags, int32_t *out_fd) {
  int fd = beneath(root, path, O_PATH, 0), why = 0;
  int folder = (flags & YOI_MOUNT_FOLDER) != 0;
  struct stat sb;
  if (fd < 0) return errno;
  if (fstat(fd, &sb) != 0) {
    why = errno;
  } else if (S_ISDIR(sb.st_mode)) {
    if (!folder) {
      why = IS_FOLDER;
    } else if ((*out_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
      why = errno;
    }
  } else if (S_ISREG(sb.st_mode)) {
    why = folder ? IS_FILE : open_same(fd, &sb, access_of(flags), out_fd);
  } else {
    why = IS_OTHER;
  }
  close(fd);
  return why;
}

/* mkdir takes no limits for its walk, so it gets one name, in a folder that was
 * opened beneath the root. */
static int make_folder(int root, char *path, size_t len, int32_t *out_fd) {
  char *last;
  while (len > 1 && path[len - 1] == '/') path[--len] = '\0';
  last = strrchr(path, '/');
  last = last != NULL ? last + 1 : path;
  if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
    int there = beneath(root, path, O_PATH | O_DIRECTORY, 0);
    if (there < 0) return errno;
    close(there);
    return EEXIST;
  }
  if (last > path) last[-1] = '\0';
  int in = beneath(root, last > path ? path : ".", O_PATH | O_DIRECTORY, 0), why = 0;
  if (in < 0) return errno;
  if (mkdirat(in, last, 0777) != 0) {
    why = errno;
  } else if ((*out_fd = beneath(in, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)) < 0) {
    why = errno;
  }
  close(in);
  return why;
}

static int make(int root, char *path, size_t len, uint32_t flags, int32_t *out_fd) {
  if ((flags & YOI_MOUNT_FOLDER) != 0) return make_folder(root, path, len, out_fd);
  if (path[len - 1] == '/') return FILE_SLASH;
  *out_fd = beneath(root, path, O_CREAT | O_EXCL | O_NOCTTY | access_of(flags), 0666);
  return *out_fd < 0 ? errno : 0;
}

yoi_status yoi__mount_flags(uint32_t flags, yoi_error *err) {
  const uint32_t known = YOI_MOUNT_READ | YOI_MOUNT_WRITE | YOI_MOUNT_FOLDER | YOI_MOUNT_CREATE;
  if ((flags & ~known) != 0 || (flags & (YOI_MOUNT_READ | YOI_MOUNT_WRITE)) == 0 ||
      (flags & (YOI_MOUNT_CREATE | YOI_MOUNT_WRITE)) == YOI_MOUNT_CREATE)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "flags of a mount: expected READ, WRITE or both, and CREATE with WRITE");
  return YOI_OK;
}

yoi_status yoi__mount_open(int root, yoi_str name, yoi_str path, uint32_t flags, int32_t *out_fd,
                           yoi_error *err) {
  char text[YOI_MOUNT_PATH_MAX + 1];
  struct stat sb;
  *out_fd = -1;
  if (path.len == 0 || path.len > YOI_MOUNT_PATH_MAX || memchr(path.ptr, '\0', path.len) != NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "a path in a mount has 1 to %d bytes without NUL, this one %zu",
                        YOI_MOUNT_PATH_MAX, path.len);
  memcpy(text, path.ptr, path.len);
  text[path.len] = '\0';
  if (text[0] == '/') return refuse(name, path, ABSOLUTE, err);
  /* An open descriptor keeps a removed folder, empty, for good. */
  if (fstat(root, &sb) == 0 && sb.st_nlink == 0) return refuse(name, path, GONE, err);
  int why = (flags & YOI_MOUNT_CREATE) != 0 ? make(root, text, path.len, flags, out_fd)
                                            : open_there(root, text, flags, out_fd);
  return why == 0 ? YOI_OK : refuse(name, path, why, err);
}

const char *yoi__mount_root(const char *path, int *out_fd) {
  *out_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (*out_fd < 0)
    return errno == ENOTDIR ? "is no folder" : errno == ENOENT ? "is not there" : strerror(errno);
  int fd = beneath(*out_fd, ".", O_PATH | O_DIRECTORY, 0);
  if (fd >= 0) {
    close(fd);
    return NULL;
  }
  close(*out_fd);
  *out_fd = -1;
  /* What filters system calls answers EPERM to what it does not know. */
  return "cannot be used: this system lets no openat2 through (Linux 5.6)";
}
