/* offline_out.c - what a store has, for other programs and for people: export,
 * cat, stat.
 *
 * A record is given as watchers of the worker got it. What is private to the
 * store (aux, spec) is left out unless it was asked for. Of a worker that is
 * damaged, what comes before the damage is given.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "offline.h"

#define READ (O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MAKE (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define BLOCK 262144u /* bytes of one write */

struct out {
  struct fs_off *o;
  int folder_fd, fd; /* fd -1: to the sink */
  uint64_t at, records, workers;
  struct yoi_sdk_buf buf; /* a line, or a block of a file */
};

/* ---- records ----------------------------------------------------------------------- */

static void put_record(struct out *out, yoi_str text, const struct fs_line *l) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &out->buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "worker", l->worker);
  yoi_sdk_jsonw_kint(&w, "seq", (int64_t)l->seq);
  yoi_sdk_jsonw_kraw(&w, "kind", yoi_sdk_json_raw_get(text, "kind"));
  yoi_sdk_jsonw_kraw(&w, "data", l->data);
  if (out->o->is_private && l->aux.len > 0) yoi_sdk_jsonw_kraw(&w, "aux", l->aux);
  if (out->o->is_private && l->spec.len > 0) yoi_sdk_jsonw_kraw(&w, "spec", l->spec);
  yoi_sdk_jsonw_close(&w, '}');
}

static yoi_status flush(struct out *out) {
  if (out->buf.failed) return YOI_RESOURCE_EXHAUSTED;
  int error = fs_write_all(out->fd, out->buf.data, out->buf.len, out->at);
  out->at += out->buf.len;
  yoi_sdk_buf_clear(&out->buf);
  return error == 0 ? YOI_OK : fs_off_fail(out->o, "cannot write to", out->o->to, error);
}

static yoi_status end_line(struct out *out) {
  if (out->fd < 0) {
    fs_off_say(out->o, YOI_OFFLINE_OUTPUT, &out->buf);
    yoi_sdk_buf_clear(&out->buf);
    return out->o->stop;
  }
  yoi_sdk_buf_addc(&out->buf, '\n');
  return out->buf.len >= BLOCK || out->buf.failed ? flush(out) : YOI_OK;
}

/* Lines of a file that were sound when they were read before. */
static yoi_status give_lines(struct out *out, int fd, uint64_t from, uint64_t to,
                             const char *file) {
  struct fs_lines in;
  struct fs_line l;
  yoi_str text;
  yoi_status st;
  fs_lines_init(&in, fd, from, to);
  while ((st = fs_lines_next(&in, &text)) == YOI_OK && fs_line_parse(text, &l)) {
    put_record(out, text, &l);
    out->records++;
    st = end_line(out);
    if (st != YOI_OK) break;
  }
  int whole = st == YOI_END && in.next == to;
  fs_lines_release(&in);
  if (whole) return YOI_OK;
  return st > YOI_OK && st != YOI_INTERNAL ? st
                                           : fs_off_fail(out->o, "it changed meanwhile:", file, 0);
}

static yoi_status give_worker(struct out *out, const struct fs_seen *w) {
  struct fs_off *o = out->o;
  char name[FS_NAME_SIZE];
  yoi_status st = YOI_OK;
  if (w->good > 0 && !w->file_old) {
    fs_name_worker(yoi_sdk_str(w->id), name);
    int fd = fs_open_worker(&o->root, yoi_sdk_str(w->id), O_RDONLY);
    if (fd < 0) return fs_off_fail(o, "cannot open", name, errno);
    st = give_lines(out, fd, 0, w->good, name);
    close(fd);
  }
  for (const struct fs_piece *p = w->pieces; p != NULL && st == YOI_OK; p = p->next) {
    fs_name_segment(p->segment, name);
    int fd = openat(o->root.log_fd, name, READ);
    if (fd < 0) return fs_off_fail(o, "cannot open", name, errno);
    st = give_lines(out, fd, p->at, p->at + p->len, name);
    close(fd);
  }
  return st;
}

static int is_there(const struct fs_seen *w) {
  return w->seq > 0 || fs_off_damaged(w);
}

static const struct fs_seen *asked_for(struct fs_off *o) {
  const struct fs_seen *w = fs_off_find(o, o->worker);
  if (w != NULL && (is_there(w) || (w->has_file && !w->removed))) return w;
  (void)yoi_sdk_fail(o->err, YOI_CODE_WORKER_NOT_FOUND, "the store has no worker '%.*s'",
                     YOI_ARG(o->worker));
  return NULL;
}

yoi_status fs_off_cat(struct fs_off *o) {
  struct out out = {.o = o, .fd = -1, .folder_fd = -1};
  const struct fs_seen *w = asked_for(o);
  if (w == NULL) return YOI_NOT_FOUND;
  yoi_sdk_buf_init(&out.buf, SIZE_MAX / 2);
  yoi_status st = give_worker(&out, w);
  yoi_sdk_buf_release(&out.buf);
  return st;
}

/* ---- export -------------------------------------------------------------------------- */

static void put_manifest(struct out *out) {
  struct fs_off *o = out->o;
  struct yoi_sdk_jsonw w;
  struct timespec now;
  char at[YOI_SDK_TIME_SIZE];
  clock_gettime(CLOCK_REALTIME, &now);
  yoi_sdk_time_text((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, at);
  yoi_sdk_jsonw_init(&w, &out->buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "export", YOI_LIT("yoi.records/1"));
  yoi_sdk_jsonw_kstr(&w, "store", yoi_sdk_str(o->no_format ? o->adopted : o->root.store));
  yoi_sdk_jsonw_kstr(&w, "at", yoi_sdk_str(at));
  yoi_sdk_jsonw_kbool(&w, "private", o->is_private);
  yoi_sdk_jsonw_kstr_opt(&w, "worker", o->worker);
  yoi_sdk_jsonw_close(&w, '}');
}

/* So that a text that was cut off shows it. */
static void put_end(struct out *out) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &out->buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "end");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kint(&w, "workers", (int64_t)out->workers);
  yoi_sdk_jsonw_kint(&w, "records", (int64_t)out->records);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
}

static yoi_status begin_file(struct out *out, const char *name) {
  if (out->folder_fd < 0) return YOI_OK;
  out->fd = openat(out->folder_fd, name, MAKE, 0600);
  out->at = 0;
  return out->fd >= 0 ? YOI_OK : fs_off_fail(out->o, "cannot make", name, errno);
}

static yoi_status end_file(struct out *out) {
  if (out->fd < 0) return YOI_OK;
  yoi_status st = flush(out);
  if (close(out->fd) != 0 && st == YOI_OK)
    st = fs_off_fail(out->o, "cannot write to", out->o->to, errno);
  out->fd = -1;
  return st;
}

static yoi_status export_worker(struct out *out, const struct fs_seen *w) {
  char name[YOI_ID_MAX + sizeof ".jsonl"];
  snprintf(name, sizeof name, "%s.jsonl", w->id);
  yoi_status st = begin_file(out, name);
  if (st == YOI_OK) st = give_worker(out, w);
  out->workers++;
  yoi_status ended = end_file(out);
  return st != YOI_OK ? st : ended;
}

static yoi_status export_all(struct out *out) {
  struct fs_off *o = out->o;
  yoi_status st = YOI_OK;
  if (out->folder_fd < 0) {
    put_manifest(out);
    st = end_line(out);
  }
  for (size_t i = 0; i < o->n && st == YOI_OK; i++) {
    const struct fs_seen *w = o->workers[i];
    bool asked = o->worker.len > 0 ? yoi_sdk_str_is(o->worker, w->id) : !fs_off_unknown(o, w);
    if (w->seq == 0 || !asked) continue;
    fs_off_progress(o, "exporting", i, o->n);
    st = export_worker(out, w);
  }
  if (st == YOI_OK) st = begin_file(out, "manifest.jsonl"); /* last: without it, it is not whole */
  if (st == YOI_OK && out->folder_fd >= 0) {
    put_manifest(out);
    st = end_line(out);
  }
  if (st == YOI_OK) put_end(out);
  if (st == YOI_OK) st = end_line(out);
  yoi_status ended = end_file(out);
  return st != YOI_OK ? st : ended;
}

static yoi_status make_folder(struct fs_off *o, int *out_fd) {
  if (mkdir(o->to, 0700) != 0) return fs_off_fail(o, "cannot make the folder", o->to, errno);
  *out_fd = open(o->to, FOLDER);
  return *out_fd >= 0 ? YOI_OK : fs_off_fail(o, "cannot open", o->to, errno);
}

yoi_status fs_off_export(struct fs_off *o) {
  struct out out = {.o = o, .fd = -1, .folder_fd = -1};
  yoi_status st = YOI_OK;
  if (o->worker.len > 0 && asked_for(o) == NULL) return YOI_NOT_FOUND;
  if (o->to != NULL) st = make_folder(o, &out.folder_fd);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_init(&out.buf, SIZE_MAX / 2);
  st = export_all(&out);
  yoi_sdk_buf_release(&out.buf);
  if (out.folder_fd >= 0) close(out.folder_fd);
  return st;
}

/* ---- stat ------------------------------------------------------------------------------ */

struct sums {
  uint64_t states[ENG_MARK_CORRUPT + 1], workers, records, waiting, largest_bytes;
  const struct fs_seen *largest;
  const char *oldest, *newest;
};

static void add(struct sums *s, const struct fs_seen *w) {
  uint64_t bytes = w->good;
  for (const struct fs_piece *p = w->pieces; p != NULL; p = p->next) {
    s->waiting += p->len;
    bytes += p->len;
  }
  s->workers++;
  s->states[fs_off_damaged(w) ? ENG_MARK_CORRUPT : w->mark]++;
  s->records += w->seq;
  if (s->largest == NULL || bytes > s->largest_bytes) {
    s->largest = w;
    s->largest_bytes = bytes;
  }
  if (w->first_at[0] != '\0' && (s->oldest == NULL || strcmp(w->first_at, s->oldest) < 0))
    s->oldest = w->first_at;
  if (w->last_at[0] != '\0' && (s->newest == NULL || strcmp(w->last_at, s->newest) > 0))
    s->newest = w->last_at;
}

static void put_text(struct yoi_sdk_jsonw *w, const char *key, const char *text) {
  yoi_sdk_jsonw_key(w, key);
  if (text != NULL)
    yoi_sdk_jsonw_str(w, yoi_sdk_str(text));
  else
    yoi_sdk_jsonw_null(w);
}

static void put_sums(const struct fs_off *o, const struct sums *s, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "root", yoi_sdk_str(o->path));
  yoi_sdk_jsonw_kstr(w, "store", yoi_sdk_str(o->no_format ? o->adopted : o->root.store));
  yoi_sdk_jsonw_kint(w, "workers", (int64_t)s->workers);
  yoi_sdk_jsonw_key(w, "states");
  yoi_sdk_jsonw_open(w, '{');
  for (int m = ENG_MARK_IDLE; m <= ENG_MARK_CORRUPT; m++)
    yoi_sdk_jsonw_kint(w, fs_mark_name((enum eng_mark)m), (int64_t)s->states[m]);
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_kint(w, "records", (int64_t)s->records);
  put_text(w, "oldest", s->oldest);
  put_text(w, "newest", s->newest);
  put_text(w, "largest_worker", s->largest != NULL ? s->largest->id : NULL);
  yoi_sdk_jsonw_key(w, "bytes");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kint(w, "workers", (int64_t)o->bytes_workers);
  yoi_sdk_jsonw_kint(w, "log", (int64_t)o->bytes_log);
  yoi_sdk_jsonw_kint(w, "log_only", (int64_t)s->waiting);
  yoi_sdk_jsonw_kint(w, "index", (int64_t)o->bytes_index);
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_kint(w, "segments", (int64_t)o->n_segments);
  yoi_sdk_jsonw_kint(w, "next_number", (int64_t)o->next_n);
  yoi_sdk_jsonw_kint(w, "errors", (int64_t)o->errors);
  yoi_sdk_jsonw_kint(w, "warnings", (int64_t)o->warnings);
  yoi_sdk_jsonw_close(w, '}');
}

yoi_status fs_off_stat(struct fs_off *o) {
  struct sums s = {0};
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  for (size_t i = 0; i < o->n; i++)
    if (is_there(o->workers[i]) && !fs_off_unknown(o, o->workers[i])) add(&s, o->workers[i]);
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  put_sums(o, &s, &w);
  fs_off_say(o, YOI_OFFLINE_OUTPUT, &b);
  yoi_sdk_buf_release(&b);
  return o->stop;
}
