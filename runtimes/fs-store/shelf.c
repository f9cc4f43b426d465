/* shelf.c - the files of bundles: bundles/HEX.json, the exact bytes.
 *
 * `sha256sum` of a file is its name. A file is written beside, synced and
 * renamed, so that it is there whole or not at all, and then never written
 * again; what does not have its name's hash is put aside when the store is
 * opened, and is missing until somebody puts the bundle once more. Changes are
 * made one after another, by the first of the readers: there are few, and each
 * waits for a disk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fs.h"

#define FOLDER "bundles"
#define READ (O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define HEX_LEN (2 * YOI_SDK_SHA256_SIZE)
#define NAME_SIZE (HEX_LEN + sizeof ".json.tmp")

static void name_of(const char *digest, const char *end, char out[NAME_SIZE]) {
  (void)snprintf(out, NAME_SIZE, "%.*s%s", (int)HEX_LEN, digest + sizeof "sha256:" - 1, end);
}

/* ---- changing ------------------------------------------------------------------ */

static int write_file(int dir_fd, const char *digest, yoi_str bytes) {
  char name[NAME_SIZE], tmp[NAME_SIZE];
  name_of(digest, ".json", name);
  name_of(digest, ".json.tmp", tmp);
  int fd = fs_open_tmp(dir_fd, tmp, O_WRONLY);
  if (fd < 0) return errno;
  int error = fs_write_all(fd, bytes.ptr, bytes.len, 0);
  if (error == 0 && fsync(fd) != 0) error = errno;
  close(fd);
  if (error == 0 && renameat(dir_fd, tmp, dir_fd, name) != 0) error = errno;
  if (error != 0)
    (void)unlinkat(dir_fd, tmp, 0);
  else if (fsync(dir_fd) != 0)
    error = errno;
  return error;
}

static int remove_file(int dir_fd, const char *digest) {
  char name[NAME_SIZE];
  name_of(digest, ".json", name);
  if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) return errno;
  return fsync(dir_fd) == 0 ? 0 : errno;
}

yoi_status fs_shelf_change(struct fs_store *s, const char *digest, const struct eng_text *bytes) {
  int fd = fs_folder_below(s->root.fd, FOLDER);
  int error = fd < 0   ? errno
              : bytes ? write_file(fd, digest, eng_text_str(bytes))
                       : remove_file(fd, digest);
  if (fd >= 0) close(fd);
  if (error == 0) return YOI_OK;
  fs_log(s, YOI_LOG_ERROR, "a bundle cannot be changed", digest, error);
  return YOI_INTERNAL;
}

/* ---- reading ------------------------------------------------------------------- */

/* As of fs_shelf_read, but for what the bytes are. */
static int read_file(int dir_fd, const char *name, char **out, size_t *out_len) {
  struct stat sb;
  int fd = openat(dir_fd, name, READ);
  if (fd < 0) return fs_is_in_the_way(errno) || errno == ENOENT ? 0 : -1;
  int result = fstat(fd, &sb) != 0 ? -1
               : S_ISREG(sb.st_mode) && sb.st_size > 0 && sb.st_size <= YOI_BUNDLE_BYTES_MAX;
  if (result == 1 && (*out = yoi_sdk_malloc((size_t)sb.st_size)) == NULL) result = -1;
  for (*out_len = 0; result == 1 && *out_len < (size_t)sb.st_size;) {
    ssize_t got = pread(fd, *out + *out_len, yoi_sdk_short((size_t)sb.st_size - *out_len),
                        (off_t)*out_len);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) result = got == 0 ? 0 : -1;
    if (got > 0) *out_len += (size_t)got;
  }
  close(fd);
  return result;
}

int fs_shelf_name(const char *name, char digest[YOI_SDK_DIGEST_SIZE]) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (strlen(name) != HEX_LEN + 5 || strcmp(name + HEX_LEN, ".json") != 0) return 0;
  (void)snprintf(digest, YOI_SDK_DIGEST_SIZE, "sha256:%.*s", (int)HEX_LEN, name);
  return yoi_sdk_digest_bytes(yoi_sdk_str(digest), sha);
}

int fs_shelf_read(int dir_fd, const char *name, const char *digest, char **out, size_t *out_len) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char is[YOI_SDK_DIGEST_SIZE];
  *out = NULL;
  int result = read_file(dir_fd, name, out, out_len);
  if (result != 1) return result;
  if (!yoi_sdk_sha256(*out, *out_len, sha)) return -1;
  yoi_sdk_digest_text(sha, is);
  return strcmp(is, digest) == 0;
}

struct shelf {
  struct fs_store *s;
  int fd;
  void (*found)(void *ctx, yoi_str digest, yoi_str bytes);
  void *ctx;
};

/* 0: it cannot be read now. */
static int one_file(const struct shelf *x, const char *name) {
  char digest[YOI_SDK_DIGEST_SIZE], *bytes = NULL;
  size_t len = 0, n = strlen(name);
  if (n > 4 && strcmp(name + n - 4, ".tmp") == 0) {
    (void)unlinkat(x->fd, name, 0); /* of a put that was interrupted */
    return 1;
  }
  if (!fs_shelf_name(name, digest)) return 1;
  int result = fs_shelf_read(x->fd, name, digest, &bytes, &len);
  if (result == 1) {
    x->found(x->ctx, yoi_sdk_str(digest), (yoi_str){bytes, len});
  } else if (result == 0) {
    fs_log(x->s, YOI_LOG_ERROR, "a bundle's file is damaged", digest, 0);
    pthread_mutex_lock(&x->s->mu);
    fs_amiss(x->s, FS_AMISS_BUNDLE);
    pthread_mutex_unlock(&x->s->mu);
    (void)fs_move_aside(x->fd, name);
  } else {
    fs_log(x->s, YOI_LOG_ERROR, "a bundle's file cannot be read", digest, errno);
  }
  yoi_sdk_free(bytes);
  return result >= 0;
}

yoi_status fs_shelf_open(struct fs_store *s,
                         void (*found)(void *ctx, yoi_str digest, yoi_str bytes), void *ctx,
                         yoi_error *err) {
  int fd = openat(s->root.fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return YOI_OK;
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  if (d == NULL) {
    int error = errno;
    if (fd >= 0) close(fd);
    return yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the folder of the bundles cannot be read: %s",
                        strerror(error));
  }
  const struct shelf x = {s, fd, found, ctx};
  int good = 1;
  for (const struct dirent *e; good && (e = readdir(d)) != NULL;) good = one_file(&x, e->d_name);
  closedir(d);
  return good ? YOI_OK
              : yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the file of a bundle cannot be read");
}
