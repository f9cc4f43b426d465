/* index.c - where each worker stands, so that a start reads no worker's file.
 *
 * The index is a copy of what the files say, and is replaced as a whole. It
 * is trusted when every line of it is sound, the last one counts them, and
 * the log goes on where it ends (recover.c); otherwise it is thrown away and
 * the workers' files are read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fs.h"

#define NAME "index.jsonl"
#define SLICE YOI_SDK_HARD(512u, 2u)     /* logs that are looked at under one lock */
#define BLOCK YOI_SDK_HARD(262144u, 64u) /* bytes of one write */

struct out {
  int fd;
  uint64_t at;
  struct yoi_sdk_buf buf;
};

static int write_out(struct out *o) {
  if (o->buf.failed) return ENOMEM;
  int error = fs_write_all(o->fd, o->buf.data, o->buf.len, o->at);
  o->at += o->buf.len;
  yoi_sdk_buf_clear(&o->buf);
  return error;
}

/* mu held: the lines of the next logs behind `log`, of which there is a
 * reference; returns the last that was looked at, or NULL. */
static struct eng_log *add_slice(struct fs_store *s, struct eng_log *log, uint64_t upto,
                                 struct yoi_sdk_buf *b, uint64_t *count) {
  for (size_t i = 0; i < SLICE; i++) {
    log = log->next;
    if (log == &s->all) return NULL;
    bool gone = log->removed_n != 0 && log->removed_n <= upto;
    if (gone || (log->file_bytes == 0 && !log->damaged)) continue;
    /* A record that is lost and in no file: the file ends before it, for ever. */
    uint64_t seq = log->lost_seq > log->file_seq ? log->lost_seq : log->file_seq;
    fs_line_worker(b, &(struct fs_line){
                          .worker = yoi_sdk_str(log->id),
                          .mark = log->damaged ? ENG_MARK_CORRUPT : (enum eng_mark)log->file_mark,
                          .seq = log->damaged ? seq : log->file_seq,
                          .bytes = log->file_bytes,
                          .stopped_ms = log->stopped_ms,
                          .birth = log->birth,
                      });
    ++*count;
  }
  return log;
}

static int write_logs(struct fs_store *s, uint64_t upto, struct out *o, uint64_t *count) {
  struct eng_log *at = &s->all;
  int error = 0;
  while (at != NULL && error == 0) {
    pthread_mutex_lock(&s->mu);
    struct eng_log *was = at;
    at = add_slice(s, at, upto, &o->buf, count);
    if (at != NULL) at->refs++;
    if (was != &s->all) fs_log_unref(s, was);
    pthread_mutex_unlock(&s->mu);
    if (o->buf.len >= BLOCK || o->buf.failed) error = write_out(o);
  }
  if (at == NULL || at == &s->all) return error;
  pthread_mutex_lock(&s->mu);
  fs_log_unref(s, at);
  pthread_mutex_unlock(&s->mu);
  return error;
}

int fs_index_write(struct fs_store *s, uint64_t upto) {
  struct out o = {.fd = fs_open_tmp(s->root.fd, NAME ".tmp", O_WRONLY)};
  uint64_t count = 0;
  if (o.fd < 0) return errno;
  yoi_sdk_buf_init(&o.buf, SIZE_MAX / 2);
  fs_line_index(&o.buf, yoi_sdk_str(s->root.store), upto);
  int error = write_logs(s, upto, &o, &count);
  if (error == 0) {
    fs_line_end(&o.buf, count);
    error = write_out(&o);
  }
  if (error == 0 && fsync(o.fd) != 0) error = errno;
  close(o.fd);
  yoi_sdk_buf_release(&o.buf);
  if (error == 0 && renameat(s->root.fd, NAME ".tmp", s->root.fd, NAME) != 0) error = errno;
  if (error == 0 && fsync(s->root.fd) != 0) error = errno;
  if (error != 0) (void)unlinkat(s->root.fd, NAME ".tmp", 0);
  return error;
}

/* ---- reading ---------------------------------------------------------------- */

static yoi_status add_worker(struct fs_store *s, const struct fs_line *l) {
  struct eng_log *log = fs_log_add(s, l->worker, &l->birth);
  if (log == NULL) return YOI_RESOURCE_EXHAUSTED;
  log->found = true;
  fs_log_keep(log);
  log->seq = log->file_seq = l->seq;
  log->file_bytes = l->bytes;
  log->file_mark = (uint8_t)l->mark;
  log->stopped_ms = l->stopped_ms;
  log->damaged = l->mark == ENG_MARK_CORRUPT;
  return YOI_OK;
}

/* OK: all of it; DATA_LOSS: it is not to be trusted. */
static yoi_status read_lines(struct fs_store *s, struct fs_lines *in, uint64_t *out_upto) {
  struct fs_line l;
  yoi_str text;
  uint64_t count = 0;
  yoi_status st = fs_lines_next(in, &text);
  if (st != YOI_OK || !fs_line_parse(text, &l) || l.kind != FS_LINE_INDEX ||
      !yoi_sdk_str_is(l.store, s->root.store))
    return st == YOI_RESOURCE_EXHAUSTED ? st : YOI_DATA_LOSS;
  *out_upto = l.upto;
  while ((st = fs_lines_next(in, &text)) == YOI_OK) {
    if (!fs_line_parse(text, &l)) return YOI_DATA_LOSS;
    if (l.kind != FS_LINE_WORKER) break;
    st = add_worker(s, &l);
    if (st != YOI_OK) return st;
    count++;
  }
  if (st == YOI_RESOURCE_EXHAUSTED) return st;
  bool whole = st == YOI_OK && l.kind == FS_LINE_END && l.workers == count && in->next == in->end;
  return whole ? YOI_OK : YOI_DATA_LOSS;
}

yoi_status fs_index_read(struct fs_store *s, uint64_t *out_upto) {
  struct fs_lines in;
  struct stat sb;
  int fd = openat(s->root.fd, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return YOI_DATA_LOSS;
  if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
    close(fd);
    return YOI_DATA_LOSS;
  }
  fs_lines_init(&in, fd, 0, (uint64_t)sb.st_size);
  yoi_status st = read_lines(s, &in, out_upto);
  fs_lines_release(&in);
  close(fd);
  return st;
}
