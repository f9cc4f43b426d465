/* root.c - opens, makes and locks the folder of a store.
 *
 * Everything is opened relative to a descriptor and without following a link,
 * so that the folder that was looked at is the one that is used, and nobody
 * can lead a store elsewhere. Invariants:
 *  1. The folder and all in it belong to the user that runs the host, and
 *     nobody else may write there.
 *  2. One process holds it: a lock of the kernel on LOCK, which ends with its
 *     holder. The text in LOCK is for people only.
 *  3. A folder that has files but no store.json is not made a store.
 */
#include "root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crc32c.h"
#include "line.h"

#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FORMAT 1

/* ---- names ---------------------------------------------------------------- */

void fs_name_worker(yoi_str id, char out[FS_NAME_SIZE]) {
  snprintf(out, FS_NAME_SIZE, "%02x/%.*s.jsonl", (unsigned)(fs_crc32c(0, id.ptr, id.len) & 255u),
           YOI_ARG(id));
}

void fs_name_segment(uint64_t first, char out[FS_NAME_SIZE]) {
  snprintf(out, FS_NAME_SIZE, "%020llu.jsonl", (unsigned long long)first);
}

int fs_name_is_segment(const char *name, uint64_t *out_first) {
  char again[FS_NAME_SIZE];
  uint64_t v = 0;
  for (int i = 0; i < 20; i++) {
    if (name[i] < '0' || name[i] > '9') return 0;
    if (v > (UINT64_MAX - 9) / 10) return 0;
    v = v * 10 + (uint64_t)(name[i] - '0');
  }
  fs_name_segment(v, again);
  *out_first = v;
  return strcmp(name, again) == 0;
}

/* The same in two steps, for kernels before Linux 5.6 and sandboxes that do not
 * know openat2. */
static int open_in_steps(int dir_fd, const char *name, int flags, mode_t mode) {
  char folder[FS_NAME_SIZE];
  const char *slash = strchr(name, '/');
  if (slash == NULL) return openat(dir_fd, name, flags, mode);
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - name), name);
  int folder_fd = openat(dir_fd, folder, FOLDER);
  if (folder_fd < 0) return -1;
  int fd = openat(folder_fd, slash + 1, flags, mode), error = errno;
  close(folder_fd);
  errno = error;
  return fd;
}

/* Without a link anywhere on the way; a FIFO must not stop us. */
static int open_beneath(int dir_fd, const char *name, int flags) {
  struct open_how how = {
      .flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
      .mode = (flags & O_CREAT) != 0 ? 0600 : 0,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
  };
  int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
  if (fd < 0 && (errno == ENOSYS || errno == EPERM))
    fd = open_in_steps(dir_fd, name, (int)how.flags, (mode_t)how.mode);
  return fd;
}

/* ---- what is in the way ------------------------------------------------------ */

int fs_is_in_the_way(int error) {
  return error == EEXIST || error == ELOOP || error == EISDIR || error == ENXIO;
}

int fs_move_aside(int dir_fd, const char *name) {
  char aside[FS_NAME_SIZE + 32];
  for (unsigned i = 0; i < 1000; i++) {
    snprintf(aside, sizeof aside, "%s.foreign-%u", name, i);
    if (renameat2(dir_fd, name, dir_fd, aside, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EEXIST) return errno;
  }
  return EEXIST;
}

int fs_open_tmp(int dir_fd, const char *name, int flags) {
  flags |= O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(dir_fd, name, flags, 0600);
  if (fd >= 0 || errno != EEXIST) return fd;
  /* Left over, or a link, or of other modes: it is not written to. */
  int error = unlinkat(dir_fd, name, 0) == 0 ? 0 : errno;
  if (error == EISDIR) error = fs_move_aside(dir_fd, name);
  errno = error;
  return error == 0 ? openat(dir_fd, name, flags, 0600) : -1;
}

int fs_open_worker(const struct fs_root *r, yoi_str id, int flags) {
  char name[FS_NAME_SIZE];
  fs_name_worker(id, name);
  int fd = open_beneath(r->workers_fd, name, flags);
  if (fd >= 0 || errno != ENOENT || (flags & O_CREAT) == 0) return fd;
  name[2] = '\0';
  if (mkdirat(r->workers_fd, name, 0700) != 0 && errno != EEXIST) return -1;
  name[2] = '/';
  return open_beneath(r->workers_fd, name, flags);
}

int fs_folder_below(int dir_fd, const char *name) {
  int made = mkdirat(dir_fd, name, 0700) == 0;
  if (!made && errno != EEXIST) return -1;
  if (made && fsync(dir_fd) != 0) return -1;
  return openat(dir_fd, name, FOLDER);
}

/* A second name. One that is there already is of a run that was interrupted, or
 * a copy that somebody has put back: of the same epoch, so no more than ours is
 * lost with it. */
static int link_file(int from_fd, const char *from, int to_fd, const char *to) {
  struct stat ours, there;
  if (linkat(from_fd, from, to_fd, to, 0) == 0) return 0;
  if (errno != EEXIST) return errno;
  if (fstatat(from_fd, from, &ours, AT_SYMLINK_NOFOLLOW) != 0 ||
      fstatat(to_fd, to, &there, AT_SYMLINK_NOFOLLOW) != 0)
    return errno;
  if (ours.st_dev == there.st_dev && ours.st_ino == there.st_ino) return 0;
  if (!S_ISREG(there.st_mode) || there.st_size > ours.st_size) return EEXIST;
  if (unlinkat(to_fd, to, 0) != 0 || linkat(from_fd, from, to_fd, to, 0) != 0) return errno;
  return 0;
}

int fs_archive_worker(const struct fs_root *r, yoi_str id, uint64_t epoch) {
  char name[FS_NAME_SIZE], second[FS_NAME_SIZE + 32];
  fs_name_worker(id, name);
  snprintf(second, sizeof second, "%.*s.%016llx.jsonl", YOI_ARG(id), (unsigned long long)epoch);
  name[2] = '\0';
  int archive_fd = fs_folder_below(r->fd, "archive");
  int fd = archive_fd >= 0 ? fs_folder_below(archive_fd, name) : -1;
  int error = fd < 0 ? errno : 0;
  name[2] = '/';
  if (error == 0) error = link_file(r->workers_fd, name, fd, second);
  if (error == 0 && fsync(fd) != 0) error = errno;
  if (fd >= 0) close(fd);
  if (archive_fd >= 0) close(archive_fd);
  return error;
}

int fs_write_all(int fd, const char *bytes, size_t n, uint64_t at) {
  while (n > 0) {
    ssize_t put = pwrite(fd, bytes, yoi_sdk_short(n), (off_t)at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    if (put == 0) return ENOSPC;
    bytes += put;
    n -= (size_t)put;
    at += (uint64_t)put;
  }
  return 0;
}

/* ---- the folder ------------------------------------------------------------ */

static yoi_status refuse(const char *path, yoi_error *err, const char *why, int error) {
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the store's folder %s%s%s", why,
                               error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
  yoi_sdk_fail_private(err, "root '%s'", path);
  return st;
}

/* So that the folder is there after the power was cut. */
static int sync_parent(const char *path) {
  const char *slash = strrchr(path, '/');
  char *parent = slash == NULL    ? yoi_sdk_strndup(".", 1)
                 : slash == path ? yoi_sdk_strndup("/", 1)
                                 : yoi_sdk_strndup(path, (size_t)(slash - path));
  if (parent == NULL) return ENOMEM;
  int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = fd < 0 || fsync(fd) != 0 ? errno : 0;
  if (fd >= 0) close(fd);
  yoi_sdk_free(parent);
  return error;
}

/* Makes the folders of a path, as `mkdir -p`. */
static int make_path(char *path) {
  for (char *at = path + 1;; at++) {
    char was = *at;
    if (was != '/' && was != '\0') continue;
    *at = '\0';
    int made = mkdir(path, 0700) == 0, failed = !made && errno != EEXIST;
    int error = failed ? errno : made ? sync_parent(path) : 0;
    *at = was;
    if (error != 0) return error;
    if (was == '\0') return 0;
  }
}

/* The path without slashes at its end: one would have a link followed. */
static char *trimmed(const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  return yoi_sdk_strndup(path, n);
}

static const char *not_ours(int fd, mode_t type) {
  struct stat sb;
  if (fstat(fd, &sb) != 0) return "cannot be looked at";
  if ((sb.st_mode & S_IFMT) != type) return "has something of another kind in the place of a file";
  if (sb.st_uid != geteuid()) return "is not all of the user that runs the host";
  return (sb.st_mode & (S_IWGRP | S_IWOTH)) != 0 ? "may be written by others" : NULL;
}

static yoi_status open_folder(struct fs_root *r, const char *asked, yoi_error *err) {
  char *path = trimmed(asked);
  if (path == NULL) return yoi_sdk_fail_memory(err);
  yoi_status st = YOI_OK;
  r->fd = open(path, FOLDER);
  if (r->fd < 0 && errno == ENOENT) {
    int error = make_path(path);
    if (error == 0) r->fd = open(path, FOLDER);
    if (error != 0) errno = error;
  }
  if (r->fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
    st = refuse(asked, err, "is a symbolic link or no folder", 0);
  } else if (r->fd < 0) {
    st = refuse(asked, err, "cannot be opened", errno);
  } else {
    const char *why = not_ours(r->fd, S_IFDIR);
    if (why != NULL) st = refuse(asked, err, why, 0);
  }
  yoi_sdk_free(path);
  return st;
}

static yoi_status open_below(const struct fs_root *r, const char *path, const char *name,
                             int *out_fd, yoi_error *err) {
  int made = mkdirat(r->fd, name, 0700) == 0;
  if ((!made && errno != EEXIST) || (made && fsync(r->fd) != 0))
    return refuse(path, err, "cannot be written to", errno);
  *out_fd = openat(r->fd, name, FOLDER);
  if (*out_fd < 0) return refuse(path, err, "has no folder in the place of one of its own", errno);
  const char *why = not_ours(*out_fd, S_IFDIR);
  return why != NULL ? refuse(path, err, why, 0) : YOI_OK;
}

/* ---- the lock --------------------------------------------------------------- */

static void boot_id(char out[64]) {
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, out, 36) : 0;
  if (fd >= 0) close(fd);
  out[n == 36 ? 36 : 0] = '\0';
}

/* A verb that looks at a store (offline.c) holds it and writes nothing, so what
 * stands in LOCK may be of a process that is long gone. */
unsigned long fs_root_holder(const struct fs_root *r) {
  char text[128], boot[64], now[64];
  unsigned long pid = 0;
  ssize_t n = pread(r->lock_fd, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = '\0';
  boot_id(now);
  int named = sscanf(text, "{\"pid\":%lu,\"boot\":\"%36[0-9a-f-]", &pid, boot) == 2;
  if (!named || pid == 0 || pid > INT32_MAX || strcmp(boot, now) != 0) return 0;
  return kill((pid_t)pid, 0) == 0 || errno == EPERM ? pid : 0;
}

static yoi_status held(const struct fs_root *r, const char *path, yoi_error *err) {
  unsigned long pid = fs_root_holder(r);
  yoi_status st = pid > 0 ? yoi_sdk_fail(err, YOI_CODE_STORE_ERROR,
                                         "the store is held by process %lu", pid)
                          : yoi_sdk_fail(err, YOI_CODE_STORE_ERROR,
                                         "the store is held by another process");
  yoi_sdk_fail_private(err, "root '%s'", path);
  return st;
}

static yoi_status lock(struct fs_root *r, const char *path, yoi_error *err) {
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  char text[160], boot[64];
  r->lock_fd = openat(
      r->fd, "LOCK", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
  if (r->lock_fd < 0) return refuse(path, err, "cannot be locked", errno);
  const char *why = not_ours(r->lock_fd, S_IFREG);
  if (why != NULL) return refuse(path, err, why, 0);
  if (fcntl(r->lock_fd, F_OFD_SETLK, &whole) != 0) {
    if (errno == EAGAIN || errno == EACCES) return held(r, path, err);
    return refuse(path, err, "cannot be locked", errno);
  }
  boot_id(boot);
  int n = snprintf(text, sizeof text, "{\"pid\":%ld,\"boot\":\"%s\"}\n", (long)getpid(), boot);
  /* For people only: a full disk must not keep a store from being opened. */
  if (ftruncate(r->lock_fd, 0) == 0) (void)fs_write_all(r->lock_fd, text, (size_t)n, 0);
  return YOI_OK;
}

/* ---- store.json -------------------------------------------------------------- */

static int is_empty(const struct fs_root *r) {
  int fd = openat(r->fd, ".", FOLDER);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  int empty = 1;
  if (d == NULL) {
    if (fd >= 0) close(fd);
    return 0;
  }
  for (const struct dirent *e; (e = readdir(d)) != NULL;)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
        strcmp(e->d_name, "LOCK") != 0 && strcmp(e->d_name, "store.json.tmp") != 0)
      empty = 0;
  closedir(d);
  return empty;
}

static int write_format(const struct fs_root *r) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 256);
  fs_line_store(&b, yoi_sdk_str(r->store));
  int fd = fs_open_tmp(r->fd, "store.json.tmp", O_WRONLY);
  int error = fd < 0 ? errno : b.failed ? ENOMEM : fs_write_all(fd, b.data, b.len, 0);
  if (error == 0 && fsync(fd) != 0) error = errno;
  if (fd >= 0) close(fd);
  if (error == 0 && renameat(r->fd, "store.json.tmp", r->fd, "store.json") != 0) error = errno;
  if (error == 0 && fsync(r->fd) != 0) error = errno;
  yoi_sdk_buf_release(&b);
  return error;
}

static yoi_status read_format(struct fs_root *r, int fd, const char *path, yoi_error *err) {
  char text[256];
  struct fs_line l;
  uint64_t version = 0;
  ssize_t n = pread(fd, text, sizeof text, 0);
  if (n < 0) return refuse(path, err, "cannot be read", errno);
  yoi_str all = {text, (size_t)n}, head = YOI_LIT("{\"yoi_store\":");
  if (yoi_sdk_str_starts(all, head)) {
    yoi_str rest = {text + head.len, 0};
    while (head.len + rest.len < all.len && rest.ptr[rest.len] >= '0' && rest.ptr[rest.len] <= '9')
      rest.len++;
    if (yoi_sdk_parse_u64(rest, UINT32_MAX, &version) && version > FORMAT) {
      yoi_status st = yoi_sdk_fail(err, YOI_CODE_STORE_ERROR,
                                   "the store has format %llu, this version knows %d",
                                   (unsigned long long)version, FORMAT);
      yoi_sdk_fail_private(err, "root '%s'", path);
      return st;
    }
  }
  if (all.len == 0 || text[all.len - 1] != '\n' ||
      !fs_line_parse((yoi_str){text, all.len - 1}, &l) || l.kind != FS_LINE_STORE ||
      l.store.len != YOI_SDK_UUID_SIZE - 1)
    return refuse(path, err, "has a damaged store.json", 0);
  memcpy(r->store, l.store.ptr, l.store.len);
  r->store[l.store.len] = '\0';
  return YOI_OK;
}

static yoi_status format(struct fs_root *r, const char *path, uint64_t wall_ns, yoi_error *err) {
  int fd = openat(r->fd, "store.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 && errno != ENOENT) return refuse(path, err, "has a store.json of no use", errno);
  if (fd >= 0) {
    const char *why = not_ours(fd, S_IFREG);
    yoi_status st = why != NULL ? refuse(path, err, why, 0) : read_format(r, fd, path, err);
    close(fd);
    return st;
  }
  if (!is_empty(r)) return refuse(path, err, "has files, but no store.json", 0);
  if (!yoi_sdk_uuid7(wall_ns, r->store)) return refuse(path, err, "gets no random name", 0);
  r->fresh = true;
  int error = write_format(r);
  return error != 0 ? refuse(path, err, "cannot be written to", error) : YOI_OK;
}

yoi_status fs_root_open(struct fs_root *r, const char *path, uint64_t wall_ns, yoi_error *err) {
  *r = (struct fs_root){.fd = -1, .log_fd = -1, .workers_fd = -1, .lock_fd = -1};
  yoi_status st = open_folder(r, path, err);
  if (st == YOI_OK) st = lock(r, path, err);
  if (st == YOI_OK) st = format(r, path, wall_ns, err);
  if (st == YOI_OK) st = open_below(r, path, "log", &r->log_fd, err);
  if (st == YOI_OK) st = open_below(r, path, "workers", &r->workers_fd, err);
  if (st != YOI_OK) fs_root_close(r);
  return st;
}

void fs_root_close(struct fs_root *r) {
  int *const fds[] = {&r->log_fd, &r->workers_fd, &r->lock_fd, &r->fd};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    if (*fds[i] >= 0) close(*fds[i]);
    *fds[i] = -1;
  }
}
