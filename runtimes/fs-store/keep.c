/* keep.c - the keeper: brings what the log has into the workers' files, and
 * lets the log be short.
 *
 *   dirty logs -> their chunks, appended to their files -> syncfs
 *     -> index.jsonl.tmp, fsync, rename, fsync -> old segments removed
 *
 * One pass is a checkpoint. It runs when the log has grown by
 * checkpoint_bytes, when checkpoint_ms have passed with something to do, and
 * at the end. Invariants:
 *  1. Lines are written at the offset where they belong, so that a pass that
 *     was interrupted, by an error or a crash, is simply done again.
 *  2. A chunk is let go once it is in its file. The log keeps its lines until
 *     the files are synced and an index says so; after a sync that failed,
 *     until the store was opened again and has written them once more.
 *  3. Logs are taken in the order in which they became dirty: a worker that
 *     was removed loses its file before another of that id gets one.
 *  4. What could not be done is dirty again, before all else. An error that all
 *     files would meet ends the pass, and the log stays; one of a single file
 *     does not keep the others from theirs, and what the log has of its worker
 *     is carried on in the log (carry.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store_fs.h"

#define RETRY_MS 1000

/* What one pass appends to one file. */
struct flush {
  struct fs_chunk **chunks; /* references */
  size_t n, cap;
  struct yoi_sdk_buf bytes;
};

static void flush_clear(struct flush *f) {
  for (size_t i = 0; i < f->n; i++) fs_chunk_unref(f->chunks[i]);
  f->n = 0;
  yoi_sdk_buf_clear(&f->bytes);
}

/* mu held. */
static int gather(struct flush *f, const struct eng_log *log, uint64_t upto) {
  for (struct fs_chunk *c = log->chunks; c != NULL && c->last <= upto; c = c->next) {
    if (f->n == f->cap) {
      size_t cap = f->cap * 2 + 16;
      struct fs_chunk **grown = yoi_sdk_reallocarray(f->chunks, cap, sizeof *grown);
      if (grown == NULL) return ENOMEM;
      f->chunks = grown;
      f->cap = cap;
    }
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    f->chunks[f->n++] = c;
  }
  return 0;
}

/* ---- files ------------------------------------------------------------------ */

/* A file that lies where a new worker's is to be: whoever put it there keeps
 * it, under another name. */
static int move_aside(struct fs_store *s, const struct eng_log *log) {
  char name[FS_NAME_SIZE];
  fs_name_worker(yoi_sdk_str(log->id), name);
  int error = fs_move_aside(s->root.workers_fd, name);
  if (error == 0)
    fs_log(s, YOI_LOG_WARN, "what lay in the place of a worker's file was moved aside", name, 0);
  return error;
}

/* It has what a pass before a crash may have left: a beginning of ours. */
static bool is_ours(int fd, const struct flush *f) {
  char begins[256];
  size_t n = f->bytes.len < sizeof begins ? f->bytes.len : sizeof begins;
  struct stat sb;
  if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) return false;
  if ((uint64_t)sb.st_size < n) n = (size_t)sb.st_size;
  return pread(fd, begins, n, 0) == (ssize_t)n && memcmp(begins, f->bytes.data, n) == 0;
}

static bool is_file(int fd) {
  struct stat sb;
  return fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode);
}

/* Of one that is damaged nobody knows how its file begins: what is there stays. */
static int open_file(struct fs_store *s, const struct eng_log *log, const struct flush *f,
                     bool damaged) {
  yoi_str id = yoi_sdk_str(log->id);
  int flags = O_RDWR | O_CREAT | (log->file_bytes > 0 ? 0 : O_EXCL);
  int fd = fs_open_worker(&s->root, id, flags);
  if (fd >= 0 && is_file(fd)) return fd;
  if (fd >= 0) {
    close(fd);
    errno = ENXIO; /* a FIFO or the like */
  }
  if (!fs_is_in_the_way(errno)) return -1;
  if (errno == EEXIST && log->found) {
    fd = fs_open_worker(&s->root, id, O_RDWR);
    if (fd >= 0 && (is_ours(fd, f) || (damaged && is_file(fd)))) return fd;
    if (fd < 0 && !fs_is_in_the_way(errno)) return -1;
    if (fd >= 0) close(fd);
  }
  errno = move_aside(s, log);
  return errno != 0 ? -1 : fs_open_worker(&s->root, id, O_RDWR | O_CREAT | O_EXCL);
}

/* Where the lines go: behind those that are there. A file that has lost some
 * would get a hole: then what is left of it is ended, and there is a gap. One
 * that is damaged keeps what is behind the damage. */
static int find_place(int fd, bool damaged, uint64_t *at, bool *out_lost) {
  struct stat sb;
  char last = '\n';
  if (fstat(fd, &sb) != 0) return errno;
  *out_lost = (uint64_t)sb.st_size < *at || (damaged && (uint64_t)sb.st_size > *at);
  if (!*out_lost) return 0;
  *at = (uint64_t)sb.st_size;
  if (*at > 0 && pread(fd, &last, 1, (off_t)(*at - 1)) != 1) return errno != 0 ? errno : EIO;
  return last == '\n' ? 0 : fs_write_all(fd, "\n", 1, (*at)++);
}

/* Appends; *out_end is the length of the file then. */
static int write_file(struct fs_store *s, const struct eng_log *log, struct flush *f,
                      bool damaged, uint64_t *out_end, bool *out_lost) {
  uint64_t at = log->file_bytes;
  for (size_t i = 0; i < f->n; i++)
    yoi_sdk_buf_add(&f->bytes, f->chunks[i]->bytes, f->chunks[i]->len);
  if (f->bytes.failed) {
    yoi_sdk_buf_release(&f->bytes);
    return ENOMEM;
  }
  int fd = open_file(s, log, f, damaged);
  if (fd < 0) return errno;
  int error = find_place(fd, damaged, &at, out_lost);
  *out_end = at + f->bytes.len;
  if (error == 0) error = fs_write_all(fd, f->bytes.data, f->bytes.len, at);
  /* Behind it is what a pass before a crash has left, and this one wrote. */
  if (error == 0 && ftruncate(fd, (off_t)*out_end) != 0) error = errno;
  close(fd);
  return error;
}

static int remove_file(struct fs_store *s, const struct eng_log *log) {
  char name[FS_NAME_SIZE];
  fs_name_worker(yoi_sdk_str(log->id), name);
  if (log->file_bytes == 0 && !log->found) return 0;
  if (unlinkat(s->root.workers_fd, name, 0) == 0 || errno == ENOENT) return 0;
  return fs_is_in_the_way(errno) ? move_aside(s, log) : errno;
}

/* mu held: what f has is in the file. */
static void flushed(struct fs_store *s, struct eng_log *log, const struct flush *f, uint64_t end,
                    bool lost) {
  if (lost) {
    log->damaged = true;
    fs_amiss(s, FS_AMISS_LOST);
  }
  log->file_bytes = end;
  for (size_t i = 0; i < f->n; i++) {
    log->file_seq = log->chunks->seq + log->chunks->records - 1;
    log->file_mark = (uint8_t)log->chunks->mark;
    fs_log_chunk_let_go(log);
  }
}

static int keep_log(struct fs_store *s, struct eng_log *log, struct flush *f, uint64_t upto) {
  uint64_t end = 0;
  bool lost = false;
  flush_clear(f);
  pthread_mutex_lock(&s->mu);
  bool removed = log->removed_n != 0 && log->removed_n <= upto, damaged = log->damaged;
  int error = removed ? 0 : gather(f, log, upto);
  pthread_mutex_unlock(&s->mu);
  if (removed) {
    error = remove_file(s, log);
    pthread_mutex_lock(&s->mu);
    if (error == 0) fs_log_let_go(s, log);
    pthread_mutex_unlock(&s->mu);
    return error;
  }
  if (error != 0 || f->n == 0) return error;
  error = write_file(s, log, f, damaged, &end, &lost);
  if (error != 0) return error;
  if (lost) fs_log(s, YOI_LOG_ERROR, "a worker's file is shorter than it was", log->id, 0);
  pthread_mutex_lock(&s->mu);
  flushed(s, log, f, end, lost);
  pthread_mutex_unlock(&s->mu);
  return 0;
}

/* ---- a checkpoint -------------------------------------------------------------- */

#define OLD_MAX YOI_SDK_HARD(64, 2) /* segments that one pass removes */

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Of all that are added, the oldest are kept. */
static size_t add_oldest(uint64_t old[OLD_MAX], size_t n, uint64_t first) {
  size_t newest = 0;
  if (n < OLD_MAX) {
    old[n] = first;
    return n + 1;
  }
  for (size_t i = 1; i < n; i++)
    if (old[i] > old[newest]) newest = i;
  if (first < old[newest]) old[newest] = first;
  return n;
}

/* Segments of which nothing is needed any more: those before one that begins
 * at or before upto + 1, and never the one that is written to. */
static void remove_segments(struct fs_store *s, uint64_t upto) {
  uint64_t keep = 0, first;
  pthread_mutex_lock(&s->mu);
  uint64_t current = s->log_first != 0 ? s->log_first : UINT64_MAX;
  pthread_mutex_unlock(&s->mu);
  uint64_t old[OLD_MAX];
  size_t n = 0;
  int fd = openat(s->root.log_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  if (d == NULL) {
    if (fd >= 0) close(fd);
    return;
  }
  for (const struct dirent *e; (e = readdir(d)) != NULL;)
    if (fs_name_is_segment(e->d_name, &first) && first <= upto + 1 && first > keep &&
        first <= current)
      keep = first;
  rewinddir(d);
  for (const struct dirent *e; (e = readdir(d)) != NULL;)
    if (fs_name_is_segment(e->d_name, &first) && first < keep) n = add_oldest(old, n, first);
  closedir(d);
  /* The oldest first, and for good: a removal must not go before what it
   * removes. */
  if (n > 1) qsort(old, n, sizeof *old, by_number);
  for (size_t i = 0; i < n; i++) {
    char name[FS_NAME_SIZE];
    fs_name_segment(old[i], name);
    if (unlinkat(s->root.log_fd, name, 0) != 0 || fsync(s->root.log_fd) != 0) return;
  }
}

/* mu held: all that is dirty, which is so no more; it may become dirty again
 * at any moment, so the list has links of its own. */
static struct eng_log *take_dirty(struct fs_store *s) {
  struct eng_log *list = s->dirty;
  for (struct eng_log *log = list; log != NULL; log = log->dirty_next) {
    log->dirty = false;
    log->keep_next = log->dirty_next;
  }
  s->dirty = NULL;
  s->dirty_tail = &s->dirty;
  return list;
}

/* mu held: what was not done is dirty again, before all else. */
static void put_back(struct fs_store *s, struct eng_log *list) {
  struct eng_log *first = NULL, **at = &first;
  for (struct eng_log *log = list, *next; log != NULL; log = next) {
    next = log->keep_next;
    if (log->dirty) { /* again, meanwhile */
      fs_log_unref(s, log);
      continue;
    }
    log->dirty = true;
    *at = log;
    at = &log->dirty_next;
  }
  if (first == NULL) return;
  *at = s->dirty;
  if (s->dirty == NULL) s->dirty_tail = at;
  s->dirty = first;
}

/* An error that all files would meet. */
static bool is_of_all(int error) {
  return error == ENOSPC || error == EDQUOT || error == EROFS || error == ENOMEM ||
         error == EMFILE || error == ENFILE;
}

/* One of that id is to be done before. */
static bool must_wait(const struct eng_log *failed, const struct eng_log *log) {
  while (failed != NULL && strcmp(failed->id, log->id) != 0) failed = failed->keep_next;
  return failed != NULL;
}

/* mu held: up to some number it is done; what has come since is not. */
static void done(struct fs_store *s, struct eng_log *log, uint64_t upto) {
  log->stuck = false;
  if (log->removed_n == 0 ? log->chunks != NULL : log->removed_n > upto) fs_log_dirty(s, log);
  fs_log_unref(s, log);
}

/* Those that failed, and when it is an error of all, those that were not tried,
 * go behind *failed. */
static int keep_logs(struct fs_store *s, struct eng_log *list, uint64_t upto,
                     struct eng_log **failed) {
  struct flush f = {0};
  struct eng_log **failed_tail = failed;
  int error = 0;
  while (*failed_tail != NULL) failed_tail = &(*failed_tail)->keep_next;
  yoi_sdk_buf_init(&f.bytes, SIZE_MAX / 2);
  while (list != NULL && !is_of_all(error)) {
    struct eng_log *log = list;
    int its = must_wait(*failed, log) ? EBUSY : keep_log(s, log, &f, upto);
    if (its != 0) error = its;
    if (is_of_all(its)) break;
    list = log->keep_next;
    if (its != 0) {
      fs_log(s, YOI_LOG_ERROR, "a worker's file cannot be written", log->id, its);
      log->keep_next = NULL;
      *failed_tail = log;
      failed_tail = &log->keep_next;
      continue;
    }
    pthread_mutex_lock(&s->mu);
    done(s, log, upto);
    pthread_mutex_unlock(&s->mu);
  }
  *failed_tail = list;
  flush_clear(&f);
  yoi_sdk_free(f.chunks);
  yoi_sdk_buf_release(&f.bytes);
  return error;
}

/* The log has the records of those once more; the others', as far as before
 * that, go into their files. */
static int keep_others(struct fs_store *s, uint64_t *upto, struct eng_log **failed) {
  int error = fs_carry_ask(s, *failed, upto);
  if (error != 0) return error;
  pthread_mutex_lock(&s->mu);
  struct eng_log *list = take_dirty(s);
  pthread_mutex_unlock(&s->mu);
  return keep_logs(s, list, *upto, failed);
}

/* The files are as they are to be: they, and an index of them, made durable. */
static int settle(struct fs_store *s, uint64_t upto) {
  if (syncfs(s->root.fd) != 0) {
    s->unsure = true; /* what it did not write may be gone, and the next would not say so */
    return errno;
  }
  int error = fs_index_write(s, upto);
  if (error == 0) remove_segments(s, upto);
  return error;
}

int fs_keep_checkpoint(struct fs_store *s) {
  if (s->unsure) return EROFS;
  uint64_t begun = fs_mono();
  struct eng_log *failed = NULL;
  pthread_mutex_lock(&s->mu);
  uint64_t upto = s->committed;
  uint64_t covered = s->log_bytes;
  struct eng_log *list = take_dirty(s);
  s->changed = false;
  pthread_mutex_unlock(&s->mu);
  int error = keep_logs(s, list, upto, &failed);
  bool stuck = error != 0 && !is_of_all(error), grown = covered > 0;
  if (stuck) error = grown ? keep_others(s, &upto, &failed) : 0;
  pthread_mutex_lock(&s->mu);
  put_back(s, failed);
  if (error == 0 && !stuck) s->stuck_bytes = 0;
  pthread_mutex_unlock(&s->mu);
  /* Where nothing has come the log need not be shorter. */
  if (error == 0 && (grown || !stuck)) error = settle(s, upto);
  pthread_mutex_lock(&s->mu);
  if (error == 0) s->log_bytes -= covered;
  if (error != 0 || stuck) s->changed = true;
  if (error == 0 && !stuck)
    fs_amiss_over(s, FS_AMISS_KEEP);
  else
    fs_amiss(s, FS_AMISS_KEEP);
  pthread_mutex_unlock(&s->mu);
  if (error != 0)
    fs_log(s, YOI_LOG_WARN, "a checkpoint failed, and will be tried again", "", error);
  yoi_sdk_metric_observe(&s->metrics, s->metric.checkpoint_time, fs_mono() - begun);
  return error;
}

/* mu held. */
static void wait_until(struct fs_store *s, uint64_t at_ns) {
  struct timespec until = {.tv_sec = (time_t)(at_ns / 1000000000u),
                           .tv_nsec = (long)(at_ns % 1000000000u)};
  pthread_cond_timedwait(&s->keep, &s->mu, &until);
}

/* The last checkpoint leaves a log that begins behind the index, so that the
 * next start has nothing to read. Where the index on the disk says all there is
 * nothing to be done: many runtimes that were only looked at end at once. */
static void last_checkpoint(struct fs_store *s) {
  pthread_mutex_lock(&s->mu);
  bool idle = s->broken || !s->changed;
  pthread_mutex_unlock(&s->mu);
  if (idle) return;
  int error = fs_segment_rotate(s, s->next_n, 0);
  if (error != 0) {
    fs_log(s, YOI_LOG_WARN, "the log could not be ended", "log", error);
    return;
  }
  s->committed = s->next_n - 1;
  (void)fs_keep_checkpoint(s);
}

void *fs_keep_run(void *store) {
  struct fs_store *s = store;
  uint64_t next = fs_mono() + s->config.checkpoint_ms * 1000000u;
  pthread_mutex_lock(&s->mu);
  while (!s->committer_over) {
    uint64_t now = fs_mono();
    bool grown = s->log_bytes > 0 || s->dirty != NULL;
    bool due = s->log_bytes >= s->config.checkpoint_bytes ||
               (now >= next && (grown || s->head.expires));
    if (!due || s->broken || s->unsure) {
      wait_until(s, s->log_bytes > 0 && next > now ? next : now + 1000000000u);
      continue;
    }
    pthread_mutex_unlock(&s->mu);
    int error = grown ? fs_keep_checkpoint(s) : 0;
    if (error == 0) fs_retain(s);
    next = fs_mono() + (error == 0 ? s->config.checkpoint_ms : RETRY_MS) * 1000000u;
    pthread_mutex_lock(&s->mu);
    /* An error is not helped by trying again at once. */
    while (error != 0 && !s->committer_over && fs_mono() < next) wait_until(s, next);
  }
  pthread_mutex_unlock(&s->mu);
  last_checkpoint(s);
  return NULL;
}
