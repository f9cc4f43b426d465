/* segment.c - the segment of the log that is written to.
 *
 * A segment is filled with zeros when it is made, so that fdatasync of a line
 * later writes that line and no length, which on most file systems is a
 * second write. Invariants:
 *  1. What is in the file up to `at` is whole lines; behind it are zeros, or
 *     nothing.
 *  2. A write that fails leaves nothing: the file is cut back to `at`. When
 *     even that fails, or a sync, nothing is written to this log any more,
 *     since nobody knows what is in it.
 *  3. A segment gets its name when it has its head and its zeros, so that one
 *     of that name is whole; the folder is synced before its first line is
 *     acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <unistd.h>

#include "store_fs.h"

#define ZEROS YOI_SDK_HARD(262144u, 4096u)
#define SMALLEST 4096u
#define HALF_MADE "next.tmp"

void fs_segment_close(struct fs_store *s) {
  if (s->segment.fd >= 0) close(s->segment.fd);
  s->segment = (struct fs_segment){.fd = -1};
}

static int fill(int fd, uint64_t size) {
  char *zeros = yoi_sdk_calloc(1, ZEROS);
  if (zeros == NULL) return ENOMEM;
  int error = 0;
  for (uint64_t at = 0; at < size && error == 0; at += ZEROS)
    error = fs_write_all(fd, zeros, size - at < ZEROS ? (size_t)(size - at) : ZEROS, at);
  yoi_sdk_free(zeros);
  return error;
}

/* A new file with its head, of that size or of less when the disk is short. */
static int make(struct fs_store *s, struct fs_segment *g, uint64_t size) {
  struct yoi_sdk_buf head;
  char name[FS_NAME_SIZE];
  yoi_sdk_buf_init(&head, 256);
  fs_line_head(&head, yoi_sdk_str(s->root.store), g->first);
  int error = head.failed ? ENOMEM : 0;
  if (error == 0) {
    g->fd = fs_open_tmp(s->root.log_fd, HALF_MADE, O_RDWR);
    if (g->fd < 0) error = errno;
  }
  while (error == 0 && (error = fill(g->fd, size)) != 0) {
    if ((error != ENOSPC && error != EDQUOT) || size <= SMALLEST) break;
    size = size / 4 > SMALLEST ? size / 4 : SMALLEST;
    error = ftruncate(g->fd, 0) == 0 ? 0 : errno;
  }
  if (error == 0) error = fs_write_all(g->fd, head.data, head.len, 0);
  if (error == 0 && fsync(g->fd) != 0) error = errno;
  /* One of that name has no line that counts: numbers are used once. */
  fs_name_segment(g->first, name);
  if (error == 0 && renameat(s->root.log_fd, HALF_MADE, s->root.log_fd, name) != 0) error = errno;
  if (error == 0 && fsync(s->root.log_fd) != 0) {
    error = errno;
    fs_break(s); /* nobody knows which segments there are */
  }
  g->at = head.len;
  g->size = size > head.len ? size : head.len;
  yoi_sdk_buf_release(&head);
  return error;
}

int fs_segment_rotate(struct fs_store *s, uint64_t first, uint64_t size) {
  struct fs_segment g = {.fd = -1, .first = first};
  int error = s->segment.fd >= 0 ? fs_segment_sync(s) : 0;
  if (error != 0) return error;
  if (s->segment.fd >= 0 && s->segment.first == g.first) return 0; /* it has no line yet */
  error = make(s, &g, size);
  if (error != 0) {
    if (g.fd >= 0) close(g.fd);
    (void)unlinkat(s->root.log_fd, HALF_MADE, 0);
    return error;
  }
  fs_segment_close(s);
  s->segment = g;
  pthread_mutex_lock(&s->mu);
  s->log_first = g.first;
  pthread_mutex_unlock(&s->mu);
  return 0;
}

void fs_break(struct fs_store *s) {
  pthread_mutex_lock(&s->mu);
  s->broken = true;
  fs_amiss(s, FS_AMISS_SYNC);
  pthread_mutex_unlock(&s->mu);
}

bool fs_is_broken(struct fs_store *s) {
  pthread_mutex_lock(&s->mu);
  bool broken = s->broken;
  pthread_mutex_unlock(&s->mu);
  return broken;
}

int fs_segment_write(struct fs_store *s, uint64_t first, const char *bytes, size_t n) {
  struct fs_segment *g = &s->segment;
  int error = 0;
  if (g->fd < 0 || g->at + n > g->size) {
    uint64_t size = s->config.segment_bytes;
    if (size < n + SMALLEST) size = n + SMALLEST;
    error = fs_segment_rotate(s, first, size);
    /* Where there is no room for another, this one may grow. */
    if (error != 0 && (g->fd < 0 || fs_is_broken(s))) return error;
  }
  error = fs_write_all(g->fd, bytes, n, g->at);
  if (error != 0) {
    if (ftruncate(g->fd, (off_t)g->at) != 0) fs_break(s);
    g->size = g->at;
    return error;
  }
  g->at += n;
  if (g->size < g->at) g->size = g->at;
  return 0;
}

void fs_segment_cut(struct fs_store *s, size_t n) {
  struct fs_segment *g = &s->segment;
  if (g->at < n || ftruncate(g->fd, (off_t)(g->at - n)) != 0) return;
  g->at = g->size = g->at - n;
  (void)fsync(g->fd);
}

int fs_segment_sync(struct fs_store *s) {
  if (fdatasync(s->segment.fd) == 0) return 0;
  int error = errno;
  if (error == EINTR) return fs_segment_sync(s);
  fs_log(s, YOI_LOG_ERROR, "cannot make the log durable", "log", error);
  fs_break(s);
  return error;
}
