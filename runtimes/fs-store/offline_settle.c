/* offline_settle.c - repair and compact: everything into the workers' files,
 * and a log that is empty.
 *
 *   backup-TIME.tmp: copies, synced -> backup-TIME
 *     -> each worker's file: cut behind its last whole append, the log's lines
 *        appended -> syncfs
 *     -> store.json, where it is damaged -> an empty segment -> index.jsonl
 *     -> old segments removed
 *
 * Both do the same; they differ in what they begin with. Compact only takes a
 * store that is sound, so nothing of it is lost; repair takes any, and a
 * worker ends where its chain ends. Invariants:
 *  1. Before the backup has its name, nothing but modes was changed.
 *  2. The backup has every byte that is taken away: the files that are cut,
 *     the log, the index, store.json. It does not have files that only grow.
 *  3. The log stays until the files, the empty segment and the index are
 *     durable. A run that was interrupted and is done again finds lines of the
 *     log that the files have, and passes them over.
 *  4. The empty segment begins behind every number that was ever durable.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "offline.h"

#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define READ (O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define MAKE (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define BLOCK 65536
#define BACKUP_NAME_SIZE 64

/* ---- what is to be done ------------------------------------------------------------- */

static int is_removed(const struct fs_seen *w) {
  return w->has_file && (w->removed || w->file_old) && w->pieces == NULL;
}

/* Nothing of it can be read: the file goes, and its id is free. */
static int is_hopeless(const struct fs_seen *w) {
  return w->has_file && !w->removed && !w->file_old && w->seq == 0;
}

/* Bytes of the file that stay. */
static uint64_t stays(const struct fs_seen *w) {
  return w->file_old || is_hopeless(w) ? 0 : w->good;
}

static int is_cut(const struct fs_seen *w) {
  return w->has_file && !is_removed(w) && w->size > stays(w);
}

static int is_touched(const struct fs_seen *w) {
  return is_cut(w) || is_hopeless(w) || is_removed(w) || w->pieces != NULL;
}

/* ---- the backup ------------------------------------------------------------------------ */

struct backup {
  int fd, log_fd, workers_fd;
  char name[BACKUP_NAME_SIZE];
};

static int copy_bytes(int from, int to) {
  char block[BLOCK];
  uint64_t at = 0;
  for (;;) {
    ssize_t got = pread(from, block, sizeof block, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return fsync(to) == 0 ? 0 : errno;
    int error = fs_write_all(to, block, (size_t)got, at);
    if (error != 0) return error;
    at += (uint64_t)got;
  }
}

/* What is no file, a link say, is not copied: it has no bytes of ours. */
static yoi_status copy(struct fs_off *o, int from_dir, int to_dir, const char *name) {
  struct stat sb;
  int from = openat(from_dir, name, READ);
  if (from < 0 && (errno == ENOENT || errno == ELOOP)) return YOI_OK;
  if (from < 0) return fs_off_fail(o, "cannot copy", name, errno);
  if (fstat(from, &sb) != 0 || !S_ISREG(sb.st_mode)) {
    close(from);
    return YOI_OK;
  }
  int to = openat(to_dir, name, MAKE, 0600);
  int error = to < 0 ? errno : copy_bytes(from, to);
  if (to >= 0) close(to);
  close(from);
  return error == 0 ? o->stop : fs_off_fail(o, "cannot make a backup of", name, error);
}

static int make_folder(int at, const char *name, int *out_fd) {
  if (mkdirat(at, name, 0700) != 0 && errno != EEXIST) return errno;
  *out_fd = openat(at, name, FOLDER);
  return *out_fd < 0 ? errno : 0;
}

static yoi_status copy_worker(struct fs_off *o, const struct backup *b, const struct fs_seen *w) {
  char name[FS_NAME_SIZE], folder[3];
  int fd;
  fs_name_worker(yoi_sdk_str(w->id), name);
  memcpy(folder, name, 2);
  folder[2] = '\0';
  int error = make_folder(b->workers_fd, folder, &fd);
  if (error != 0) return fs_off_fail(o, "cannot make a backup of", name, error);
  yoi_status st = copy(o, o->root.workers_fd, b->workers_fd, name);
  if (st == YOI_OK && fsync(fd) != 0) st = fs_off_fail(o, "cannot sync", name, errno);
  close(fd);
  return st;
}

/* A start that met damage has left a second name of its segment: with the log
 * it goes into the backup. */
static yoi_status copy_log(struct fs_off *o, const struct backup *b) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < o->n_segments && st == YOI_OK; i++) {
    char name[FS_NAME_SIZE];
    fs_name_segment(o->segments[i], name);
    fs_off_progress(o, "making a backup", i, o->n_segments);
    st = copy(o, o->root.log_fd, b->log_fd, name);
  }
  for (size_t i = 0; i < o->n_evidence && st == YOI_OK; i++)
    st = copy(o, o->root.log_fd, b->log_fd, o->evidence[i].name);
  return st;
}

static yoi_status fill(struct fs_off *o, struct backup *b) {
  int error = make_folder(b->fd, "log", &b->log_fd);
  if (error == 0) error = make_folder(b->fd, "workers", &b->workers_fd);
  if (error != 0) return fs_off_fail(o, "cannot make a backup in", b->name, error);
  yoi_status st = copy(o, o->root.fd, b->fd, "store.json");
  if (st == YOI_OK) st = copy(o, o->root.fd, b->fd, "index.jsonl");
  if (st == YOI_OK) st = copy_log(o, b);
  for (size_t i = 0; i < o->n && st == YOI_OK; i++)
    if (is_cut(o->workers[i]) && !fs_off_unknown(o, o->workers[i]))
      st = copy_worker(o, b, o->workers[i]);
  if (st != YOI_OK) return st;
  if (fsync(b->log_fd) != 0 || fsync(b->workers_fd) != 0 || fsync(b->fd) != 0)
    return fs_off_fail(o, "cannot sync", b->name, errno);
  return o->stop;
}

static yoi_status make_backup(struct fs_off *o) {
  struct backup b = {.fd = -1, .log_fd = -1, .workers_fd = -1};
  struct timespec now;
  char text[YOI_SDK_TIME_SIZE], tmp[BACKUP_NAME_SIZE + 8], *to = b.name + 7;
  clock_gettime(CLOCK_REALTIME, &now);
  yoi_sdk_time_text((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, text);
  memcpy(b.name, "backup-", 7);
  for (const char *at = text; *at != '\0'; at++)
    if (*at != '-' && *at != ':') *to++ = *at; /* as ISO 8601 has it for names */
  *to = '\0';
  snprintf(tmp, sizeof tmp, "%s.tmp", b.name);
  if (mkdirat(o->root.fd, tmp, 0700) != 0 || (b.fd = openat(o->root.fd, tmp, FOLDER)) < 0)
    return fs_off_fail(o, "cannot make", tmp, errno);
  yoi_status st = fill(o, &b);
  if (st == YOI_OK && (renameat2(o->root.fd, tmp, o->root.fd, b.name, RENAME_NOREPLACE) != 0 ||
                       fsync(o->root.fd) != 0))
    st = fs_off_fail(o, "cannot name", b.name, errno);
  if (b.log_fd >= 0) close(b.log_fd);
  if (b.workers_fd >= 0) close(b.workers_fd);
  close(b.fd);
  if (st == YOI_OK)
    fs_off_step(o, &(struct fs_place){.file = b.name}, "keep here what the next steps take away");
  return st;
}

/* ---- the workers' files ---------------------------------------------------------------- */

static yoi_status append_piece(struct fs_off *o, const struct fs_piece *p, int to, uint64_t at,
                               const char *file) {
  char name[FS_NAME_SIZE], block[BLOCK];
  fs_name_segment(p->segment, name);
  int from = openat(o->root.log_fd, name, READ), error = from < 0 ? errno : 0;
  for (uint64_t done = 0; error == 0 && done < p->len;) {
    size_t want = p->len - done < sizeof block ? (size_t)(p->len - done) : sizeof block;
    ssize_t got = pread(from, block, want, (off_t)(p->at + done));
    if (got < 0 && errno == EINTR) continue;
    error = got < 0 ? errno : got == 0 ? EIO : fs_write_all(to, block, (size_t)got, at + done);
    if (got > 0) done += (uint64_t)got;
  }
  if (from >= 0) close(from);
  return error == 0 ? YOI_OK : fs_off_fail(o, "cannot write", file, error);
}

static void say_steps(struct fs_off *o, const struct fs_seen *w, const struct fs_place *p) {
  uint64_t bytes = 0;
  for (const struct fs_piece *k = w->pieces; k != NULL; k = k->next) bytes += k->len;
  if (is_removed(w)) {
    fs_off_step(o, p, "remove the file: the log says that the worker was removed");
  } else if (is_hopeless(w)) {
    fs_off_step(o, p, "remove the file: nothing of it can be read, and the worker is lost");
  } else {
    if (is_cut(w) && (fs_off_damaged(w) || w->file_old))
      fs_off_step(o, p, "cut off %llu bytes of the file; the worker ends with its record %llu",
                  (unsigned long long)(w->size - stays(w)), (unsigned long long)w->seq);
    else if (is_cut(w))
      fs_off_step(o, p, "cut off %llu bytes that the log has whole",
                  (unsigned long long)(w->size - stays(w)));
    if (w->behind > 0)
      fs_off_step(o, p,
                  "leave out %llu records behind lost ones; the worker ends with its record "
                  "%llu",
                  (unsigned long long)w->behind, (unsigned long long)w->seq);
    if (bytes > 0) fs_off_step(o, p, "append %llu bytes from the log", (unsigned long long)bytes);
  }
}

/* A folder there is somebody's, and keeps what is in it under another name. */
static yoi_status drop_file(struct fs_off *o, int dir_fd, const char *name) {
  if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return YOI_OK;
  int error = errno == EISDIR ? fs_move_aside(dir_fd, name) : errno;
  return error == 0 ? YOI_OK : fs_off_fail(o, "cannot remove", name, error);
}

static yoi_status settle_file(struct fs_off *o, struct fs_seen *w, const char *name) {
  int hopeless = is_hopeless(w) || is_removed(w);
  uint64_t at = stays(w);
  if (hopeless) return drop_file(o, o->root.workers_fd, name);
  int fd = fs_open_worker(&o->root, yoi_sdk_str(w->id), O_RDWR | O_CREAT);
  if (fd < 0 && fs_is_in_the_way(errno)) {
    yoi_status dropped = drop_file(o, o->root.workers_fd, name);
    if (dropped != YOI_OK) return dropped;
    fd = fs_open_worker(&o->root, yoi_sdk_str(w->id), O_RDWR | O_CREAT);
  }
  if (fd < 0) return fs_off_fail(o, "cannot open", name, errno);
  yoi_status st =
      ftruncate(fd, (off_t)at) == 0 ? YOI_OK : fs_off_fail(o, "cannot cut", name, errno);
  for (const struct fs_piece *p = w->pieces; p != NULL && st == YOI_OK; p = p->next) {
    st = append_piece(o, p, fd, at, name);
    at += p->len;
  }
  close(fd);
  w->good = at;
  return st;
}

static yoi_status settle_workers(struct fs_off *o) {
  char name[FS_NAME_SIZE], file[FS_PATH_SIZE];
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < o->n && st == YOI_OK; i++) {
    struct fs_seen *w = o->workers[i];
    if (!is_touched(w) || fs_off_unknown(o, w)) continue;
    fs_name_worker(yoi_sdk_str(w->id), name);
    snprintf(file, sizeof file, "workers/%s", name);
    say_steps(o, w, &(struct fs_place){.file = file, .worker = w->id});
    fs_off_progress(o, "writing workers", i, o->n);
    st = o->stop;
    if (st == YOI_OK && o->apply) st = settle_file(o, w, name);
  }
  if (st == YOI_OK && o->apply && syncfs(o->root.fd) != 0)
    st = fs_off_fail(o, "cannot sync", ".", errno);
  return st;
}

/* ---- what is about all of them ------------------------------------------------------------ */

/* A small file, whole or not at all. */
static yoi_status replace(struct fs_off *o, int dir, const char *name, const char *file,
                          const struct yoi_sdk_buf *b) {
  char tmp[FS_NAME_SIZE + 8];
  if (b->failed) return YOI_RESOURCE_EXHAUSTED;
  snprintf(tmp, sizeof tmp, "%s.tmp", name);
  int fd = fs_open_tmp(dir, tmp, O_WRONLY); /* it may be of a run that was interrupted */
  int error = fd < 0 ? errno : fs_write_all(fd, b->data, b->len, 0);
  if (error == 0 && fsync(fd) != 0) error = errno;
  if (fd >= 0) close(fd);
  if (error == 0 && renameat(dir, tmp, dir, name) != 0) error = errno;
  if (error == 0 && fsync(dir) != 0) error = errno;
  return error == 0 ? YOI_OK : fs_off_fail(o, "cannot write", file, error);
}

static yoi_status write_format(struct fs_off *o) {
  struct yoi_sdk_buf b;
  struct timespec now;
  const struct fs_place p = {.file = "store.json"};
  if (!o->no_format) return YOI_OK;
  fs_off_step(o, &p, "write it anew%s", o->adopted[0] != '\0' ? "" : ", with a new identity");
  memcpy(o->root.store, o->adopted, sizeof o->root.store);
  clock_gettime(CLOCK_REALTIME, &now);
  if (o->adopted[0] == '\0' &&
      !yoi_sdk_uuid7((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, o->root.store))
    return fs_off_fail(o, "no random name for", "store.json", 0);
  if (!o->apply) return YOI_OK;
  yoi_sdk_buf_init(&b, YOI_STORE_LINE_MAX);
  fs_line_store(&b, yoi_sdk_str(o->root.store));
  yoi_status st = replace(o, o->root.fd, "store.json", "store.json", &b);
  yoi_sdk_buf_release(&b);
  return st;
}

static yoi_status write_segment(struct fs_off *o) {
  char name[FS_NAME_SIZE];
  struct yoi_sdk_buf b;
  fs_name_segment(o->next_n, name);
  yoi_sdk_buf_init(&b, YOI_STORE_LINE_MAX);
  fs_line_head(&b, yoi_sdk_str(o->root.store), o->next_n);
  yoi_status st = replace(o, o->root.log_fd, name, "log", &b);
  yoi_sdk_buf_release(&b);
  return st;
}

static yoi_status write_index(struct fs_off *o) {
  struct yoi_sdk_buf b;
  uint64_t n = 0;
  yoi_sdk_buf_init(&b, SIZE_MAX / 2);
  fs_line_index(&b, yoi_sdk_str(o->root.store), o->next_n - 1);
  for (size_t i = 0; i < o->n; i++) {
    const struct fs_seen *w = o->workers[i];
    uint64_t stopped_ns = 0;
    if (w->seq == 0 || fs_off_unknown(o, w)) continue;
    if (w->mark == ENG_MARK_STOPPED)
      (void)yoi_sdk_time_parse(yoi_sdk_str(w->last_at), &stopped_ns);
    fs_line_worker(&b, &(struct fs_line){.worker = yoi_sdk_str(w->id),
                                         .mark = w->mark,
                                         .seq = w->seq,
                                         .bytes = w->good,
                                         .stopped_ms = stopped_ns / 1000000u,
                                         .birth = w->birth});
    n++;
  }
  fs_line_end(&b, n);
  yoi_status st = replace(o, o->root.fd, "index.jsonl", "index.jsonl", &b);
  yoi_sdk_buf_release(&b);
  return st;
}

static yoi_status drop(struct fs_off *o, const char *name) {
  if (unlinkat(o->root.log_fd, name, 0) == 0 || errno == ENOENT) return YOI_OK;
  return fs_off_fail(o, "cannot remove", name, errno);
}

static yoi_status drop_log(struct fs_off *o) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < o->n_segments && st == YOI_OK; i++) {
    char name[FS_NAME_SIZE];
    fs_name_segment(o->segments[i], name);
    if (o->segments[i] != o->next_n) st = drop(o, name);
  }
  for (size_t i = 0; i < o->n_evidence && st == YOI_OK; i++) st = drop(o, o->evidence[i].name);
  if (st == YOI_OK && fsync(o->root.log_fd) != 0) st = fs_off_fail(o, "cannot sync", "log", errno);
  return st;
}

static size_t old_segments(const struct fs_off *o) {
  size_t n = 0;
  for (size_t i = 0; i < o->n_segments; i++) n += o->segments[i] != o->next_n;
  return n;
}

/* The log is empty and the index is right already. */
static int is_settled(const struct fs_off *o) {
  if (!o->index_good || o->no_format || o->n_segments != 1 || o->log_lines > 0) return 0;
  for (size_t i = 0; i < o->n; i++)
    if (is_touched(o->workers[i]) && !fs_off_unknown(o, o->workers[i])) return 0;
  return 1;
}

yoi_status fs_off_settle(struct fs_off *o, bool repair) {
  /* What a host mends by itself is left to it, unless something else is wrong. */
  if (repair ? o->errors == 0 : is_settled(o)) return YOI_OK;
  int error = 0;
  if (o->apply && o->root.log_fd < 0) error = make_folder(o->root.fd, "log", &o->root.log_fd);
  if (error == 0 && o->apply && o->root.workers_fd < 0)
    error = make_folder(o->root.fd, "workers", &o->root.workers_fd);
  if (error != 0) return fs_off_fail(o, "cannot make a folder in", ".", error);
  yoi_status st = YOI_OK;
  if (o->apply) st = make_backup(o);
  if (st == YOI_OK) st = settle_workers(o);
  if (st == YOI_OK) st = write_format(o);
  if (st != YOI_OK) return st;
  fs_off_step(o, &(struct fs_place){.file = "index.jsonl"}, "write it anew");
  fs_off_step(o, &(struct fs_place){.file = "log"},
              "begin it anew with number %llu; segments that go then: %zu",
              (unsigned long long)o->next_n, old_segments(o));
  if (!o->apply || o->stop != YOI_OK) return o->stop;
  st = write_segment(o);
  if (st == YOI_OK) st = write_index(o);
  return st == YOI_OK ? drop_log(o) : st;
}
