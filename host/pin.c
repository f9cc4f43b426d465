/* host/pin.c - code that runs is the code that was pinned.
 *
 * dlopen takes a name, and a name can mean another file a moment later: what
 * was hashed would not be what runs. So the bytes of a pinned plugin are
 * copied, from the descriptor that they were hashed from, to where nobody else
 * can write, and the copy is what is loaded. Invariants:
 *  1. All checks are of one descriptor, opened without following a link; the
 *     name is looked up once.
 *  2. What is written into the copy is what is hashed, block by block: the
 *     file may have been changed since its manifest was read, and may change
 *     in place meanwhile. The manifest is the one of the pinned bytes, since
 *     the digest that was found with it is compared too.
 *  3. The private folder is new (mkdtemp, 0700), and each folder above it
 *     belongs to root or this user and keeps others from renaming in it; so
 *     its name means the same folder until it is released.
 *  4. Nothing stays: file and folder are removed once the code is mapped. The
 *     mapping keeps the inode, so neither a cleaner of temporary files nor a
 *     second host in this process can meet it. Killed in between, a host
 *     leaves one folder yoi-plugin-XXXXXX, which no host ever reads.
 *  5. A host without pins never comes here and writes no file.
 *
 * Where: the first of $XDG_RUNTIME_DIR, $TMPDIR, /tmp, /var/tmp that may hold
 * code (no noexec) and fulfils 3. The environment is not asked in a process
 * with raised privileges (secure_getenv, AT_SECURE).
 */
#include "pin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <sdk/mem.h>

#define CHUNK 65536
#define OTHERS_MAY_WRITE (S_IWGRP | S_IWOTH)
#define PREFIX YOI_LIT("sha256:")

static yoi_status refuse(const struct yoi__plugin *p, yoi_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static yoi_status refuse(const struct yoi__plugin *p, yoi_error *err, const char *fmt, ...) {
  char why[YOI_ERROR_MESSAGE_MAX];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(why, sizeof why, fmt, ap);
  va_end(ap);
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "pinned plugin '%.*s': %s",
                               YOI_ARG(p->manifest.id), why);
  yoi_sdk_fail_private(err, "file '%.*s'", YOI_ARG(p->path));
  return st;
}

int yoi__pin_valid(yoi_str digest) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (!yoi_sdk_str_starts(digest, PREFIX)) return 0;
  return yoi_sdk_unhex((yoi_str){digest.ptr + PREFIX.len, digest.len - PREFIX.len}, sha,
                       sizeof sha);
}

static yoi_status check_digest(const struct yoi__plugin *p, const char *found, const char *of,
                               yoi_error *err) {
  if (strcmp(found, p->pin) == 0) return YOI_OK;
  return refuse(p, err, "field 'digest': expected %s, found %s in %s", p->pin, found, of);
}

/* ---- how it lies there --------------------------------------------------- */

static yoi_status check_owner(const struct yoi__plugin *p, const struct stat *sb, const char *of,
                              yoi_error *err) {
  if (sb->st_uid != 0 && sb->st_uid != geteuid())
    return refuse(p, err, "field 'owner' of its %s: expected root or user %u, found user %u", of,
                  (unsigned)geteuid(), (unsigned)sb->st_uid);
  if ((sb->st_mode & OTHERS_MAY_WRITE) != 0)
    return refuse(p, err,
                  "field 'mode' of its %s: expected no writing by group or others, found %04o", of,
                  (unsigned)(sb->st_mode & 07777));
  return YOI_OK;
}

/* Opens the folder of the plugin's file; the operator may have named a link. */
static yoi_status open_folder(const struct yoi__plugin *p, const char **out_name, int *out_fd,
                              yoi_error *err) {
  const char *slash = strrchr(p->path.ptr, '/');
  char dir[YOI_PATH_BYTES_MAX] = ".";
  struct stat sb;
  if (slash != NULL)
    snprintf(dir, sizeof dir, "%.*s", slash == p->path.ptr ? 1 : (int)(slash - p->path.ptr),
             p->path.ptr);
  *out_name = slash != NULL ? slash + 1 : p->path.ptr;
  *out_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*out_fd < 0 || fstat(*out_fd, &sb) != 0)
    return refuse(p, err, "cannot open its folder: %s", strerror(errno));
  return check_owner(p, &sb, "folder", err);
}

static yoi_status open_file(const struct yoi__plugin *p, int dir_fd, const char *name,
                            struct yoi__pinned *out, yoi_error *err) {
  struct stat sb;
  /* NONBLOCK: opening a FIFO must not wait for its writer. */
  out->fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (out->fd < 0 && errno == ELOOP)
    return refuse(p, err, "field 'type': expected a regular file, found a symbolic link");
  if (out->fd < 0 || fstat(out->fd, &sb) != 0)
    return refuse(p, err, "cannot open its file: %s", strerror(errno));
  if (!S_ISREG(sb.st_mode))
    return refuse(p, err, "field 'type': expected a regular file, found another kind");
  if (sb.st_size > YOI_PLUGIN_BYTES_MAX)
    return refuse(p, err, "field 'size': expected at most %d bytes, found %lld",
                  YOI_PLUGIN_BYTES_MAX, (long long)sb.st_size);
  out->size = (uint64_t)sb.st_size;
  return check_owner(p, &sb, "file", err);
}

yoi_status yoi__pin_open(const struct yoi__plugin *p, struct yoi__pinned *out, yoi_error *err) {
  const char *name = NULL;
  int dir_fd = -1;
  yoi_status st;
  *out = (struct yoi__pinned){.fd = -1, .dir_fd = -1};
  st = open_folder(p, &name, &dir_fd, err);
  if (st == YOI_OK) st = open_file(p, dir_fd, name, out, err);
  if (st == YOI_OK) st = check_digest(p, p->digest, "its file", err);
  if (dir_fd >= 0) close(dir_fd);
  if (st != YOI_OK) yoi__pin_release(out);
  return st;
}

/* ---- the private folder --------------------------------------------------- */

/* NULL, or why the folder named by an absolute path without links is no place
 * for code: somebody else could put another folder in the place of ours. */
static const char *unsafe(char *path) {
  size_t n = strlen(path);
  for (;;) {
    struct stat sb;
    if (lstat(path, &sb) != 0) return strerror(errno);
    if (!S_ISDIR(sb.st_mode)) return "not a folder";
    if (sb.st_uid != 0 && sb.st_uid != geteuid()) return "a folder on its path is another user's";
    if ((sb.st_mode & OTHERS_MAY_WRITE) != 0 && (sb.st_mode & S_ISVTX) == 0)
      return "others may rename in a folder on its path";
    if (n == 1) return NULL;
    while (n > 1 && path[n - 1] != '/') n--;
    if (n > 1) n--; /* the slash, but for the root's */
    path[n] = '\0';
  }
}

/* Makes a folder of ours below `place`; NULL, or why not. */
static const char *make_below(const char *place, struct yoi__pinned *in) {
  char real[PATH_MAX];
  struct statvfs vfs;
  struct stat sb;
  const char *why;
  if (place[0] != '/') return "not an absolute path";
  if (realpath(place, real) == NULL) return strerror(errno);
  if (statvfs(real, &vfs) != 0) return strerror(errno);
  if ((vfs.f_flag & ST_NOEXEC) != 0) return "mounted noexec";
  if ((size_t)snprintf(in->dir, sizeof in->dir, "%s/yoi-plugin-XXXXXX",
                       strcmp(real, "/") == 0 ? "" : real) >= sizeof in->dir)
    return "path too long";
  why = unsafe(real);
  if (why == NULL && mkdtemp(in->dir) == NULL) why = strerror(errno);
  if (why != NULL) {
    in->dir[0] = '\0';
    return why;
  }
  in->dir_fd = open(in->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (in->dir_fd < 0 || fstat(in->dir_fd, &sb) != 0) return strerror(errno);
  if (sb.st_uid != geteuid() || (sb.st_mode & 077) != 0) return "its new folder is not private";
  return NULL;
}

static void drop_folder(struct yoi__pinned *in) {
  if (in->dir[0] != '\0') (void)rmdir(in->dir);
  if (in->dir_fd >= 0) close(in->dir_fd);
  in->dir[0] = '\0';
  in->dir_fd = -1;
}

static yoi_status make_folder(const struct yoi__plugin *p, struct yoi__pinned *in, yoi_error *err) {
  const char *const places[] = {secure_getenv("XDG_RUNTIME_DIR"), secure_getenv("TMPDIR"), "/tmp",
                                "/var/tmp"};
  char tried[YOI_ERROR_PRIVATE_MAX / 2] = "";
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const char *why;
    size_t n = strlen(tried);
    if (places[i] == NULL || places[i][0] == '\0') continue;
    why = make_below(places[i], in);
    if (why == NULL) return YOI_OK;
    snprintf(tried + n, sizeof tried - n, "; '%s': %s", places[i], why);
    drop_folder(in);
  }
  yoi_status st = refuse(p, err, "no folder for its private copy");
  yoi_sdk_fail_private(err, "file '%.*s'%s", YOI_ARG(p->path), tried);
  return st;
}

/* ---- the copy -------------------------------------------------------------- */

static const char *write_all(int fd, const char *from, size_t n) {
  while (n > 0) {
    ssize_t put = write(fd, from, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return strerror(errno);
    from += put;
    n -= (size_t)put;
  }
  return NULL;
}

/* Copies, and hashes what it copies. */
static const char *copy_bytes(int from, int to, uint64_t size, char digest[YOI_SDK_DIGEST_SIZE]) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char *chunk = yoi_sdk_malloc(CHUNK);
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  const char *why = chunk == NULL || h == NULL ? "memory is short" : NULL;
  uint64_t at = 0;
  while (why == NULL && at < size) {
    size_t want = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
    ssize_t got = pread(from, chunk, want, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      why = got < 0 ? strerror(errno) : "it became shorter";
    } else {
      yoi_sdk_sha256_add(h, chunk, (size_t)got);
      why = write_all(to, chunk, (size_t)got);
      at += (uint64_t)got;
    }
  }
  if (h != NULL && !yoi_sdk_sha256_final(h, sha) && why == NULL) why = "it cannot be hashed";
  if (why == NULL) yoi_sdk_digest_text(sha, digest);
  yoi_sdk_free(chunk);
  return why;
}

yoi_status yoi__pin_copy(const struct yoi__plugin *p, struct yoi__pinned *in, yoi_error *err) {
  char name[2 * YOI_SDK_SHA256_SIZE + sizeof ".so"], found[YOI_SDK_DIGEST_SIZE];
  const char *why;
  yoi_status st = make_folder(p, in, err);
  int fd;
  if (st != YOI_OK) return st;
  snprintf(name, sizeof name, "%s.so", p->pin + PREFIX.len);
  if ((size_t)snprintf(in->path, sizeof in->path, "%s/%s", in->dir, name) >= sizeof in->path) {
    in->path[0] = '\0';
    return refuse(p, err, "path of its private copy is too long");
  }
  fd = openat(in->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return refuse(p, err, "cannot make its private copy: %s", strerror(errno));
  why = copy_bytes(in->fd, fd, in->size, found);
  if (why == NULL && fchmod(fd, 0500) != 0) why = strerror(errno);
  st = why != NULL ? refuse(p, err, "cannot make its private copy: %s", why)
                   : check_digest(p, found, "its private copy", err);
  close(fd);
  return st;
}

void yoi__pin_release(struct yoi__pinned *in) {
  if (in->path[0] != '\0') (void)unlink(in->path);
  drop_folder(in);
  if (in->fd >= 0) close(in->fd);
  in->fd = -1;
  in->path[0] = '\0';
}
