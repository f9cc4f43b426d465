/* offline_root.c - the folder of a store, as it is found.
 *
 * A host makes what is missing (root.c); here nothing is made, and the lock
 * is taken without writing into LOCK, so that looking changes no byte. A lock
 * that only reads is enough to keep every host out, since a host's one writes.
 * It leads through no link either.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "offline.h"

#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define OPEN (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define STORE_MAX 256 /* bytes of store.json and more */
#define FORMAT 1

static yoi_status held(struct fs_off *o) {
  unsigned long pid = fs_root_holder(&o->root);
  if (pid > 0)
    (void)yoi_sdk_fail(o->err, YOI_CODE_STORE_ERROR, "the store is held by process %lu", pid);
  else
    (void)yoi_sdk_fail(o->err, YOI_CODE_STORE_ERROR, "the store is held by another process");
  yoi_sdk_fail_private(o->err, "root '%s'", o->path);
  return YOI_FAILED_PRECONDITION;
}

static yoi_status lock(struct fs_off *o) {
  struct flock whole = {.l_type = o->apply ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
  struct stat sb;
  int fd = openat(o->root.fd, "LOCK", (o->apply ? O_RDWR : O_RDONLY) | OPEN);
  if (fd < 0 && errno == ENOENT && o->apply)
    fd = openat(o->root.fd, "LOCK", O_RDWR | O_CREAT | O_EXCL | OPEN, 0600);
  if (fd < 0 && errno == ENOENT) {
    fs_off_warn(o, &(struct fs_place){.file = "LOCK"}, "lock",
                "it is missing: nothing keeps a host "
                "from starting meanwhile");
    return YOI_OK;
  }
  if (fd < 0) return fs_off_fail(o, "cannot open", "LOCK", errno);
  o->root.lock_fd = fd;
  if (fcntl(fd, F_OFD_SETLK, &whole) != 0)
    return errno == EAGAIN || errno == EACCES ? held(o)
                                              : fs_off_fail(o, "cannot lock", "LOCK", errno);
  return fs_off_look(o, fd, S_IFREG, "LOCK", &sb) ? YOI_OK
                                                  : fs_off_fail(o, "cannot lock", "LOCK", 0);
}

int fs_off_look(struct fs_off *o, int fd, mode_t type, const char *file, struct stat *sb) {
  const struct fs_place p = {.file = file};
  mode_t want = type == S_IFDIR ? 0700 : 0600;
  if (fstat(fd, sb) != 0 || (sb->st_mode & S_IFMT) != type) {
    fs_off_error(o, &p, "kind", "it is something of another kind than a %s of a store",
                 type == S_IFDIR ? "folder" : "file");
    return 0;
  }
  if (sb->st_uid != geteuid())
    fs_off_error(o, &p, "owner", "it belongs to user %lu, and not to the one that looks, %lu",
                 (unsigned long)sb->st_uid, (unsigned long)geteuid());
  mode_t is = sb->st_mode & 0777;
  if ((is & ~want) == 0) return 1;
  if (o->mends && fchmod(fd, want) == 0) {
    fs_off_step(o, &p, "take away what its mode %03o allows to others", (unsigned)is);
  } else if ((is & 0022) != 0) {
    fs_off_error(o, &p, "mode", "others may write it: its mode is %03o", (unsigned)is);
  } else {
    fs_off_warn(o, &p, "mode", "its mode is %03o; %03o is what a store gives", (unsigned)is,
                (unsigned)want);
  }
  return 1;
}

static yoi_status open_below(struct fs_off *o, const char *name, int *out_fd) {
  struct stat sb;
  *out_fd = openat(o->root.fd, name, FOLDER);
  int error = errno;
  if (*out_fd < 0 && error == ENOENT) {
    fs_off_error(o, &(struct fs_place){.file = name}, "missing", "the folder is missing");
    return YOI_OK;
  }
  if (*out_fd < 0) return fs_off_fail(o, "cannot open", name, error);
  return fs_off_look(o, *out_fd, S_IFDIR, name, &sb) ? YOI_OK
                                                     : fs_off_fail(o, "cannot use", name, 0);
}

/* What stands in front decides: a newer version may have changed all else. */
static yoi_status read_format(struct fs_off *o, int fd) {
  const struct fs_place p = {.file = "store.json", .line = 1};
  yoi_str head = YOI_LIT("{\"yoi_store\":");
  char text[STORE_MAX];
  struct fs_line l;
  uint64_t version = 0;
  ssize_t n = pread(fd, text, sizeof text, 0);
  if (n < 0) return fs_off_fail(o, "cannot read", "store.json", errno);
  yoi_str all = {text, (size_t)n};
  if (yoi_sdk_str_starts(all, head)) {
    yoi_str digits = {text + head.len, 0};
    while (head.len + digits.len < all.len && digits.ptr[digits.len] >= '0' &&
           digits.ptr[digits.len] <= '9')
      digits.len++;
    if (yoi_sdk_parse_u64(digits, UINT32_MAX, &version) && version > FORMAT) {
      (void)yoi_sdk_fail(o->err, YOI_CODE_STORE_ERROR,
                         "the store has format %llu, this version knows %d",
                         (unsigned long long)version, FORMAT);
      return YOI_FAILED_PRECONDITION;
    }
  }
  if (all.len > 0 && text[all.len - 1] == '\n' && fs_line_parse((yoi_str){text, all.len - 1}, &l) &&
      l.kind == FS_LINE_STORE && l.store.len == YOI_SDK_UUID_SIZE - 1) {
    memcpy(o->root.store, l.store.ptr, l.store.len);
    return YOI_OK;
  }
  o->no_format = true;
  fs_off_error(o, &p, "format", "it is damaged: no host opens the store without it");
  return YOI_OK;
}

static yoi_status format(struct fs_off *o) {
  struct stat sb;
  int fd = openat(o->root.fd, "store.json", O_RDONLY | OPEN);
  if (fd < 0 && errno != ENOENT) return fs_off_fail(o, "cannot open", "store.json", errno);
  if (fd >= 0) {
    yoi_status st = fs_off_look(o, fd, S_IFREG, "store.json", &sb)
                        ? read_format(o, fd)
                        : fs_off_fail(o, "cannot use", "store.json", 0);
    close(fd);
    return st;
  }
  if (faccessat(o->root.fd, "workers", F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
      faccessat(o->root.fd, "log", F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
    (void)yoi_sdk_fail(o->err, YOI_CODE_NOT_FOUND, "the folder is no store: it has no store.json");
    yoi_sdk_fail_private(o->err, "root '%s'", o->path);
    return YOI_NOT_FOUND;
  }
  o->no_format = true;
  fs_off_error(o, &(struct fs_place){.file = "store.json"}, "format",
               "it is missing: no host opens the store without it");
  return YOI_OK;
}

static yoi_status open_folder(struct fs_off *o) {
  size_t n = strlen(o->path);
  while (n > 1 && o->path[n - 1] == '/') n--; /* one there would have a link followed */
  char *path = yoi_sdk_strndup(o->path, n);
  if (path == NULL) return yoi_sdk_fail_memory(o->err);
  o->root.fd = open(path, FOLDER);
  int error = errno;
  yoi_sdk_free(path);
  if (o->root.fd >= 0) return YOI_OK;
  if (error == ENOENT) {
    (void)yoi_sdk_fail(o->err, YOI_CODE_NOT_FOUND, "there is no store: the folder does not exist");
    yoi_sdk_fail_private(o->err, "root '%s'", o->path);
    return YOI_NOT_FOUND;
  }
  if (error == ELOOP || error == ENOTDIR) {
    (void)yoi_sdk_fail(o->err, YOI_CODE_STORE_ERROR,
                       "the store's folder is a symbolic link or no folder");
    yoi_sdk_fail_private(o->err, "root '%s'", o->path);
    return YOI_FAILED_PRECONDITION;
  }
  return fs_off_fail(o, "cannot open", "the folder", error);
}

yoi_status fs_off_root_open(struct fs_off *o) {
  struct stat sb;
  yoi_status st = open_folder(o);
  if (st == YOI_OK) st = lock(o);
  if (st == YOI_OK) st = format(o);
  if (st == YOI_OK && !fs_off_look(o, o->root.fd, S_IFDIR, ".", &sb))
    st = fs_off_fail(o, "cannot use", "the folder", 0);
  if (st == YOI_OK) st = open_below(o, "log", &o->root.log_fd);
  if (st == YOI_OK) st = open_below(o, "workers", &o->root.workers_fd);
  return st;
}

yoi_status fs_off_each(struct fs_off *o, int folder_fd, const char *folder,
                       yoi_status (*one)(struct fs_off *o, int folder_fd, const char *folder,
                                         const char *name)) {
  int fd = openat(folder_fd, ".", FOLDER);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  yoi_status st = YOI_OK;
  if (d == NULL) {
    int error = errno;
    if (fd >= 0) close(fd);
    return fs_off_fail(o, "cannot list", folder, error);
  }
  for (const struct dirent *e; st == YOI_OK && (e = readdir(d)) != NULL;)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
      st = one(o, folder_fd, folder, e->d_name);
  closedir(d);
  return st == YOI_OK ? o->stop : st;
}
