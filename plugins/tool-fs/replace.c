/* replace.c - a file takes another's place, whole or not at all.
 *
 *   temporary file in the same folder --> write --> mode --> fsync
 *     --> is what is there still what was read? --> rename --> fsync of the folder
 *     any step fails, or it is cancelled before the rename: unlink
 *
 *  1. Nothing that is there is ever opened for writing: not a link's target, not
 *     a file that has another name elsewhere. The name gets a new file.
 *  2. Only single names, in a folder that was opened beneath the mount.
 *  3. A new name is taken by a rename that replaces nothing, so that two who
 *     make the same file do not both succeed.
 *  4. Between the last look and the rename of an existing file another program
 *     may still change it; it is a few microseconds. Who writes through
 *     a descriptor that it has held all the time is not seen at all.
 *  5. A kill leaves the temporary file behind, nothing else: `.yoi-tmp-` and 16
 *     hex digits. Walks do not show it.
 */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEMPORARY ".yoi-tmp-"
#define RANDOM_BYTES 8

int fs_is_temporary(const char *name) {
  size_t head = sizeof TEMPORARY - 1;
  uint8_t random[RANDOM_BYTES];
  return strncmp(name, TEMPORARY, head) == 0 &&
         yoi_sdk_unhex(yoi_sdk_str(name + head), random, sizeof random);
}

void fs_target_init(struct fs_target *t) {
  t->folder = -1;
  fs_file_init(&t->file);
}

void fs_target_release(struct fs_target *t) {
  if (t->folder >= 0) close(t->folder);
  fs_file_release(&t->file);
}

/* ---- where ---- */

/* Its last name, and the path before it. */
static yoi_status split(struct fs_call *c, struct fs_target *t, yoi_str *out_folder,
                        yoi_error *err) {
  const char *slash = memrchr(c->path.ptr, '/', c->path.len);
  yoi_str name = c->path;
  *out_folder = YOI_LIT(".");
  if (slash) {
    *out_folder = (yoi_str){c->path.ptr, (size_t)(slash - c->path.ptr)};
    name = (yoi_str){slash + 1, c->path.len - out_folder->len - 1};
  }
  if (name.len == 0 || yoi_sdk_str_is(name, ".") || yoi_sdk_str_is(name, "..") ||
      memchr(c->path.ptr, 0, c->path.len) || (slash && out_folder->len == 0))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "'%s' names no file: 'src/main.c' would, from the root of the mount",
                        fs_show(c->path).text);
  if (name.len >= sizeof t->name) return fs_fail_errno(err, ENAMETOOLONG, "write", c->path);
  memcpy(t->name, name.ptr, name.len);
  t->name[name.len] = 0;
  if (!fs_is_temporary(t->name)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "'%s' is the name of a temporary file: choose another", t->name);
}

/* Makes what is not there of a path of folders; how many are there in the end
 * is a matter of whoever else makes and removes them meanwhile. */
static yoi_status make_folders(struct fs_call *c, yoi_str path, yoi_error *err) {
  size_t levels = 0;
  for (size_t i = 1; i <= path.len; i++) {
    int fd;
    if (i < path.len && (path.ptr[i] != '/' || path.ptr[i - 1] == '/')) continue;
    if (++levels > YOI_FS_DEPTH_MAX)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "'%s' has more than %d folders in each other", fs_show(path).text,
                          YOI_FS_DEPTH_MAX);
    yoi_str part = {path.ptr, i};
    yoi_status st = fs_open(c, part, YOI_MOUNT_WRITE | YOI_MOUNT_FOLDER, &fd, err);
    if (st == YOI_NOT_FOUND) {
      st = fs_open(c, part, YOI_MOUNT_WRITE | YOI_MOUNT_FOLDER | YOI_MOUNT_CREATE, &fd, err);
      if (st == YOI_ALREADY_EXISTS) /* just now, by somebody else */
        st = fs_open(c, part, YOI_MOUNT_WRITE | YOI_MOUNT_FOLDER, &fd, err);
    }
    if (st != YOI_OK) return st;
    close(fd);
  }
  return YOI_OK;
}

static yoi_status look(struct fs_call *c, struct fs_target *t, yoi_error *err) {
  struct stat sb;
  int seen = fs_look(t->folder, t->name, &sb);
  if (seen < 0 && errno == ENOENT) return YOI_OK;
  if (seen < 0) return fs_fail_errno(err, errno, "write", c->path);
  close(seen);
  if (S_ISLNK(sb.st_mode))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "'%s' is a symbolic link: name the file that it leads to",
                        fs_show(c->path).text);
  /* Its mode says whether it may be changed, though the rename would not ask. */
  int fd = fs_open_name(t->folder, t->name, O_RDWR, &sb);
  if (fd < 0) return fs_fail_errno(err, errno, "write", c->path);
  yoi_status st = fs_file_load(&t->file, fd, c->path, err);
  close(fd);
  t->exists = st == YOI_OK;
  return st;
}

yoi_status fs_target_open(struct fs_call *c, int make, struct fs_target *t, yoi_error *err) {
  yoi_str folder;
  yoi_status st = split(c, t, &folder, err);
  if (st == YOI_OK && make && !yoi_sdk_str_is(folder, ".")) st = make_folders(c, folder, err);
  if (st == YOI_OK)
    st = fs_open(c, folder, YOI_MOUNT_WRITE | YOI_MOUNT_FOLDER, &t->folder, err);
  if (st == YOI_NOT_FOUND && !make)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "the folder '%s' is not there",
                        fs_show(folder).text);
  return st == YOI_OK ? look(c, t, err) : st;
}

/* ---- what is there ---- */

yoi_status fs_target_expect(struct fs_call *c, const struct fs_target *t, yoi_str revision,
                            yoi_error *err) {
  struct fs_shown path = fs_show(c->path);
  if (!t->exists && revision.len == 0) return YOI_OK;
  if (t->exists && yoi_sdk_str_is(revision, t->file.revision)) return YOI_OK;
  if (!t->exists) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                       "'%s' is not there: leave out expected_revision to make it with fs_write",
                       path.text);
  } else if (revision.len == 0) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                       "'%s' is there already: read it with fs_read, and give the revision that "
                       "it says as expected_revision",
                       path.text);
  } else {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                       "'%s' has changed since revision '%s' was read, it is %s now: read it "
                       "again with fs_read",
                       path.text, fs_show(revision).text, t->file.revision);
  }
  return YOI_FAILED_PRECONDITION;
}

/* 1: the name still stands for what was looked at. */
static int unchanged(const struct fs_target *t) {
  const struct stat *was = &t->file.sb;
  struct stat is;
  int there = fstatat(t->folder, t->name, &is, AT_SYMLINK_NOFOLLOW) == 0;
  if (!t->exists || !there) return !t->exists && !there;
  return is.st_dev == was->st_dev && is.st_ino == was->st_ino && is.st_size == was->st_size &&
         is.st_mtim.tv_sec == was->st_mtim.tv_sec && is.st_mtim.tv_nsec == was->st_mtim.tv_nsec &&
         is.st_ctim.tv_sec == was->st_ctim.tv_sec && is.st_ctim.tv_nsec == was->st_ctim.tv_nsec;
}

/* ---- the change ---- */

static int temporary(const struct fs_target *t, char name[64]) {
  uint8_t random[RANDOM_BYTES];
  char hex[2 * RANDOM_BYTES + 1] = "";
  if (!yoi_sdk_random(random, sizeof random)) {
    errno = EIO;
    return -1;
  }
  yoi_sdk_hex(random, sizeof random, hex);
  snprintf(name, 64, TEMPORARY "%s", hex);
  return openat(t->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                t->exists ? 0600 : 0666);
}

static int write_all(int fd, yoi_str bytes) {
  for (size_t at = 0; at < bytes.len;) {
    ssize_t n = write(fd, bytes.ptr + at, yoi_sdk_short(bytes.len - at));
    if (n < 0 && errno != EINTR) return 0;
    if (n > 0) at += (size_t)n;
  }
  return 1;
}

/* The owner and the mode of what was there; of an owner that cannot be kept the
 * mode is, without what it would give away. */
static int keep_mode(int fd, const struct stat *was) {
  struct stat is;
  mode_t mode = was->st_mode & 07777;
  if (fstat(fd, &is) != 0) return 0;
  if ((is.st_uid != was->st_uid || is.st_gid != was->st_gid) &&
      fchown(fd, was->st_uid, was->st_gid) != 0)
    mode &= 0777;
  return fchmod(fd, mode) == 0;
}

/* Gives the temporary file its name. */
static int take_name(const struct fs_target *t, const char *from) {
  if (t->exists) return renameat(t->folder, from, t->folder, t->name) == 0;
  if (renameat2(t->folder, from, t->folder, t->name, RENAME_NOREPLACE) == 0) return 1;
  if (errno != EINVAL && errno != ENOSYS) return 0;
  if (linkat(t->folder, from, t->folder, t->name, 0) != 0) return 0;
  (void)unlinkat(t->folder, from, 0);
  return 1;
}

static yoi_status put_in_place(struct fs_call *c, const struct fs_target *t, const char *from,
                               yoi_error *err) {
  if (unchanged(t) && take_name(t, from)) return YOI_OK;
  int e = errno;
  if (unchanged(t)) return fs_fail_errno(err, e, "write", c->path);
  (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                     "'%s' was changed by somebody else meanwhile, and not by this call: read it "
                     "again with fs_read",
                     fs_show(c->path).text);
  return YOI_FAILED_PRECONDITION;
}

yoi_status fs_target_replace(struct fs_call *c, const struct fs_target *t, yoi_str bytes,
                             yoi_error *err) {
  char name[64];
  yoi_status st = YOI_OK;
  int fd = temporary(t, name);
  if (fd < 0) return fs_fail_errno(err, errno, "write", c->path);
  int good = write_all(fd, bytes) && (!t->exists || keep_mode(fd, &t->file.sb)) && fsync(fd) == 0;
  int e = errno;
  if (close(fd) != 0 && good) {
    e = errno;
    good = 0;
  }
  if (!good) st = fs_fail_errno(err, e, "write", c->path);
  if (st == YOI_OK && fs_call_pause(c) == FS_CANCELLED) st = fs_cancelled(err);
  if (st == YOI_OK) st = put_in_place(c, t, name, err);
  if (st != YOI_OK)
    (void)unlinkat(t->folder, name, 0);
  else
    (void)fsync(t->folder); /* it is there; a crash may still take it back */
  return st;
}
