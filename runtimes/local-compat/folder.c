/* folder.c - the folder of records, read once and carefully.
 *
 * Whoever writes the folder may not be a friend:
 *
 *  1. The folder itself and every file in it are opened without following a
 *     symbolic link, files relative to the folder's descriptor.
 *  2. Only regular files are read: a FIFO would wait for ever, and opening
 *     one does not (O_NONBLOCK). A file may grow while it is read; reading
 *     stops behind YOI_RECORD_BYTES_MAX whatever its size was.
 *  3. The file's name is the worker's id, strictly: ID.json. What is named
 *     otherwise and ends in .json is counted as ignored, all else is not ours.
 *  4. A file that cannot be read is a corrupt worker: its id stays taken and
 *     nobody else is affected. Bytes of all files together are bounded; those
 *     behind the bound, in order of their ids, are corrupt as not read.
 *
 * Public messages never name a path; errors keep it for the log.
 */
#include "local_compat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/mem.h>

#define READ_BYTES YOI_SDK_HARD(65536, 4099) /* at once */

/* ---- one file --------------------------------------------------------- */

/* All bytes of fd into buf; OUT_OF_RANGE when there are too many, INTERNAL
 * (errno says why) when it cannot be read. */
static yoi_status read_all(int fd, struct yoi_sdk_buf *buf) {
  while (buf->len < buf->max) {
    size_t room = buf->max - buf->len < READ_BYTES ? buf->max - buf->len : READ_BYTES;
    char *to = yoi_sdk_buf_reserve(buf, room);
    if (!to) return YOI_RESOURCE_EXHAUSTED;
    ssize_t got = read(fd, to, yoi_sdk_short(room));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return YOI_INTERNAL;
    if (got == 0) return YOI_OK;
    buf->len += (size_t)got;
  }
  return YOI_OUT_OF_RANGE;
}

static yoi_status unreadable(struct lc_worker *w, const char *why) {
  return lc_record_corrupt(w, "record_unreadable", "the record's file cannot be read: %s", why);
}

static const char *cause(int error) {
  switch (error) {
    case ELOOP:
      return "it is a symbolic link";
    case EACCES:
    case EPERM:
      return "permission denied";
    case ENOENT:
      return "it is gone";
    default:
      return "input error";
  }
}

/* What an open file holds; *left is what all files may still have. */
static yoi_status read_open(struct lc_worker *w, int fd, struct yoi_sdk_buf *buf, size_t *left) {
  struct stat sb;
  if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) return unreadable(w, "it is no regular file");
  yoi_status st = YOI_OUT_OF_RANGE;
  yoi_sdk_buf_clear(buf);
  if (sb.st_size <= YOI_RECORD_BYTES_MAX) {
    if ((uint64_t)sb.st_size > *left) *left = 0; /* nothing behind this one either */
    if (*left == 0)
      return lc_record_corrupt(w, "record_not_read", "all records together have more than %d bytes",
                               YOI_RECORDS_BYTES_MAX);
    st = read_all(fd, buf);
  }
  *left -= buf->len < *left ? buf->len : *left;
  if (st == YOI_INTERNAL) return unreadable(w, cause(errno));
  if (st == YOI_OUT_OF_RANGE)
    return lc_record_corrupt(w, "record_too_large", "the record has more than %d bytes",
                             YOI_RECORD_BYTES_MAX);
  return st == YOI_OK ? lc_record_read(w, yoi_sdk_buf_str(buf)) : st;
}

static yoi_status read_record(struct lc_worker *w, int folder, struct yoi_sdk_buf *buf,
                              size_t *left) {
  char name[YOI_ID_MAX + sizeof ".json"];
  (void)snprintf(name, sizeof name, "%s.json", w->id);
  int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return unreadable(w, cause(errno));
  yoi_status st = read_open(w, fd, buf, left);
  (void)close(fd);
  return st;
}

/* ---- all of them ------------------------------------------------------ */

/* Room for one more worker; the array doubles. */
static struct lc_worker *next_worker(struct lc *lc, size_t *cap) {
  if (lc->n == *cap) {
    size_t more = YOI_SDK_MORE(*cap, 64);
    struct lc_worker *v = yoi_sdk_reallocarray(lc->workers, more, sizeof *v);
    if (!v) return NULL;
    lc->workers = v;
    *cap = more;
  }
  struct lc_worker *w = &lc->workers[lc->n];
  memset(w, 0, sizeof *w);
  return w;
}

static yoi_status take_names(struct lc *lc, DIR *folder) {
  size_t cap = 0;
  for (;;) {
    errno = 0;
    const struct dirent *e = readdir(folder);
    if (!e) return errno ? YOI_INTERNAL : YOI_OK;
    yoi_str name = yoi_sdk_str(e->d_name);
    static const char suffix[] = ".json";
    size_t n = sizeof suffix - 1;
    if (name.ptr[0] == '.' || name.len <= n || memcmp(name.ptr + name.len - n, suffix, n) != 0)
      continue;
    yoi_str id = {name.ptr, name.len - n};
    if (!yoi_sdk_id_valid(id)) {
      lc->ignored++;
    } else if (lc->n == YOI_RECORDS_MAX) {
      lc->left_out++;
    } else {
      struct lc_worker *w = next_worker(lc, &cap);
      if (!w) return YOI_RESOURCE_EXHAUSTED;
      memcpy(w->id, id.ptr, id.len);
      lc->n++;
    }
  }
}

static int by_id(const void *a, const void *b) {
  return strcmp(((const struct lc_worker *)a)->id, ((const struct lc_worker *)b)->id);
}

/* Tells whether it is still the same folder, without telling which. */
static void identify(struct lc *lc, const struct stat *sb) {
  uint64_t place[2] = {(uint64_t)sb->st_dev, (uint64_t)sb->st_ino};
  uint8_t sha[YOI_SDK_SHA256_SIZE] = {0};
  char hex[17] = "";
  (void)yoi_sdk_sha256(place, sizeof place, sha);
  yoi_sdk_hex(sha, 8, hex);
  (void)snprintf(lc->instance_id, sizeof lc->instance_id, "records-%s", hex);
}

/* Past the open: fd is closed here. */
static yoi_status read_folder(struct lc *lc, int fd) {
  struct stat sb;
  if (fstat(fd, &sb) == 0) identify(lc, &sb);
  DIR *folder = fdopendir(fd);
  if (!folder) {
    int error = errno;
    (void)close(fd);
    return error == ENOMEM ? YOI_RESOURCE_EXHAUSTED : YOI_INTERNAL;
  }
  struct yoi_sdk_buf buf;
  size_t left = YOI_RECORDS_BYTES_MAX;
  yoi_sdk_buf_init(&buf, (size_t)YOI_RECORD_BYTES_MAX + 1);
  yoi_status st = take_names(lc, folder);
  if (st == YOI_OK && lc->n) qsort(lc->workers, lc->n, sizeof *lc->workers, by_id);
  for (size_t i = 0; st == YOI_OK && i < lc->n; i++) {
    st = read_record(&lc->workers[i], dirfd(folder), &buf, &left);
    lc->corrupt += lc->workers[i].fault != NULL;
  }
  yoi_sdk_buf_release(&buf);
  (void)closedir(folder);
  return st;
}

static yoi_status refuse(yoi_error *err, const char *root, int error) {
  yoi_status st =
      yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "cannot open the folder of records in 'root': %s",
                   error == ENOENT                      ? "there is none"
                   : error == ELOOP || error == ENOTDIR ? "it is a symbolic link or no folder"
                   : error == EACCES                    ? "permission denied"
                                                        : "input error");
  yoi_sdk_fail_private(err, "%s: errno %d", root, error);
  return st;
}

yoi_status lc_folder_read(struct lc *lc, const char *root, int asked_for, yoi_error *err) {
  yoi_str path = yoi_sdk_str(root);
  while (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--; /* else a link is followed */
  char *name = yoi_sdk_strndup(path.ptr, path.len);
  if (!name) return yoi_sdk_fail_memory(err);
  int fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int error = errno;
  yoi_sdk_free(name);
  (void)snprintf(lc->instance_id, sizeof lc->instance_id, "records-none");
  if (fd < 0 && error == ENOENT && !asked_for) {
    lc->missing = 1;
    return YOI_OK;
  }
  if (fd < 0) return refuse(err, root, error);
  yoi_status st = read_folder(lc, fd);
  if (st == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  if (st != YOI_OK) {
    st = yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "cannot read the folder of records in 'root'");
    yoi_sdk_fail_private(err, "%s", root);
  }
  return st;
}
