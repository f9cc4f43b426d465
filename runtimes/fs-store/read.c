/* read.c - the readers: records of a worker, from its file and from what is
 * not there yet.
 *
 * What a read sees was taken at one moment under the lock: how long the file
 * is, and references of the chunks behind it. The file is only ever appended
 * to up to there, so it is read without the lock. Invariants:
 *  1. One reader serves a log, so that reads of one log end in order.
 *  2. Lines are given when they are the worker's, in sequence without a gap
 *     and with the right sum; from the first that is not, the rest is lost
 *     (DATA_LOSS), and what was read before it is given.
 *     What may be over another time (a disk that cannot read, a permission, a
 *     record of a newer version) is told so too, but is not remembered.
 *  3. A file that is shorter than is known has lost records. One that is longer
 *     has what nobody acknowledged, and the next append cuts it off.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fs.h"

/* One read under way. */
struct reading {
  struct fs_store *s;
  struct fs_read *r;
  uint64_t bytes, seq; /* of the file; its last record */
  uint64_t at, next;   /* where to begin in it, and with which record */
  bool damaged;
  bool passing; /* what was met may be over another time: nothing is lost */
  struct fs_chunk **chunks; /* references */
  size_t n_chunks;
  struct eng_frame *frames[YOI_REPLAY_BATCH_MAX];
  size_t n;
};

/* mu held: chunks that have what is wanted, and no more than that needs: a busy
 * worker has many. */
static yoi_status take_chunks(struct reading *x) {
  size_t cap = 0, have = 0;
  struct fs_chunk *c = fs_log_chunk_at(x->r->log, x->r->from);
  for (; c != NULL && have < x->r->limit; c = c->next) {
    if (x->n_chunks == cap) {
      cap = YOI_SDK_MORE(cap, 16);
      struct fs_chunk **more = yoi_sdk_reallocarray(x->chunks, cap, sizeof *more);
      if (more == NULL) return YOI_RESOURCE_EXHAUSTED;
      x->chunks = more;
    }
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    x->chunks[x->n_chunks++] = c;
    if (c->seq < x->r->from) continue; /* of its records only the last are wanted */
    have += x->r->items_only ? c->items : c->records;
  }
  return YOI_OK;
}

/* mu held. */
static yoi_status begin(struct reading *x) {
  const struct eng_log *log = x->r->log;
  if (x->r->limit > YOI_REPLAY_BATCH_MAX) x->r->limit = YOI_REPLAY_BATCH_MAX;
  if (x->r->from == 0) x->r->from = 1;
  x->bytes = log->file_bytes;
  x->seq = log->file_seq;
  x->damaged = log->damaged;
  x->next = 1;
  if (log->n_offsets > 0) {
    uint64_t i = (x->r->from - 1) / FS_OFFSET_EVERY;
    if (i >= log->n_offsets) i = log->n_offsets - 1;
    x->at = log->offsets[i];
    x->next = 1 + i * FS_OFFSET_EVERY;
  }
  return take_chunks(x);
}

/* A place that later reads begin at. Where there is no memory for it, they
 * begin earlier. */
static void remember(struct reading *x, uint64_t seq, uint64_t at) {
  struct eng_log *log = x->r->log;
  pthread_mutex_lock(&x->s->mu);
  if (log->n_offsets == (seq - 1) / FS_OFFSET_EVERY) {
    if (log->n_offsets == log->cap_offsets) {
      uint32_t cap = YOI_SDK_MORE(log->cap_offsets, 4);
      uint64_t *more = yoi_sdk_reallocarray(log->offsets, cap, sizeof *more);
      if (more != NULL) {
        log->offsets = more;
        log->cap_offsets = cap;
      }
    }
    if (log->n_offsets < log->cap_offsets) log->offsets[log->n_offsets++] = at;
  }
  pthread_mutex_unlock(&x->s->mu);
}

static struct eng_frame *frame_of(const struct eng_log *log, const struct fs_line *l) {
  char text[ENG_CURSOR_SIZE];
  struct eng_cursor cursor = {.epoch = log->birth.epoch,
                              .worker = eng_cursor_worker(l->worker),
                              .pos = {.sequence = l->seq}};
  struct eng_text *spec = l->spec.len > 0 ? eng_text_new(l->spec) : NULL;
  if (l->spec.len > 0 && spec == NULL) return NULL;
  size_t n = eng_cursor_write(&cursor, text);
  struct eng_frame *f = eng_frame_new(&(struct eng_frame_parts){
      .kind = l->event,
      .pos = cursor.pos,
      .cursor = {text, n},
      .text = l->data,
      .aux = l->aux,
      .shared = spec,
      .role = (enum eng_role)l->role,
      .content_at = l->content_at,
      .content_len = l->content_len,
      .turn_at = l->turn_at,
  });
  eng_text_unref(spec);
  return f;
}

/* A line that should be record x->next. END: enough was read. */
static yoi_status add_line(struct reading *x, yoi_str text) {
  const struct eng_log *log = x->r->log;
  struct fs_line l;
  if (!fs_line_parse(text, &l) || l.kind != FS_LINE_RECORD || l.seq != x->next ||
      !yoi_sdk_str_is(l.worker, log->id))
    return YOI_DATA_LOSS;
  if (l.born && l.birth.epoch != log->birth.epoch) return YOI_DATA_LOSS; /* of another */
  if (l.event == 0) { /* of a newer version */
    x->passing = true;
    return YOI_DATA_LOSS;
  }
  x->next++;
  if (l.seq < x->r->from || (x->r->items_only && !eng_kind_is_item(l.event))) return YOI_OK;
  struct eng_frame *f = frame_of(log, &l);
  if (f == NULL) return YOI_RESOURCE_EXHAUSTED;
  x->frames[x->n++] = f;
  return x->n == x->r->limit ? YOI_END : YOI_OK;
}

static yoi_status read_lines(struct reading *x, int fd) {
  struct fs_lines in;
  yoi_str text;
  yoi_status st = YOI_OK;
  fs_lines_init(&in, fd, x->at, x->bytes);
  while (st == YOI_OK) {
    st = fs_lines_next(&in, &text);
    if (st == YOI_END) break;
    if (st == YOI_OK) {
      if ((x->next - 1) % FS_OFFSET_EVERY == 0) remember(x, x->next, in.at);
      st = add_line(x, text);
      if (st == YOI_END) break;
    } else if (st != YOI_RESOURCE_EXHAUSTED) {
      x->passing = st == YOI_INTERNAL; /* the disk cannot read it now */
      st = YOI_DATA_LOSS;
    }
  }
  /* The file must end with its last record. */
  if (st == YOI_END && x->n < x->r->limit)
    st = in.next == x->bytes && x->next == x->seq + 1 ? YOI_OK : YOI_DATA_LOSS;
  fs_lines_release(&in);
  return st;
}

static yoi_status read_file(struct reading *x) {
  struct stat sb;
  if (x->bytes == 0) return YOI_OK;
  if (x->r->from > x->seq) {
    x->next = x->seq + 1;
    return YOI_OK;
  }
  int fd = fs_open_worker(&x->s->root, yoi_sdk_str(x->r->log->id), O_RDONLY);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) return YOI_INTERNAL;
  if (fd < 0) x->passing = errno != ENOENT && errno != ELOOP && errno != ENXIO;
  if (fd < 0) return YOI_DATA_LOSS;
  /* The file may be of one that was made since: its first record says it. */
  pthread_mutex_lock(&x->s->mu);
  if (x->r->log->removed_n != 0) {
    x->at = 0;
    x->next = 1;
  }
  pthread_mutex_unlock(&x->s->mu);
  yoi_status st = YOI_DATA_LOSS;
  if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && (uint64_t)sb.st_size >= x->bytes)
    st = read_lines(x, fd);
  close(fd);
  return st;
}

static yoi_status read_chunks(struct reading *x) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < x->n_chunks && st == YOI_OK; i++) {
    const struct fs_chunk *c = x->chunks[i];
    if (i == 0 && c->seq <= x->r->from) x->next = c->seq; /* the file ends before it */
    yoi_str left = {c->bytes, c->len};
    while (left.len > 0 && st == YOI_OK) {
      const char *feed = memchr(left.ptr, '\n', left.len);
      size_t n = feed != NULL ? (size_t)(feed - left.ptr) : left.len;
      st = add_line(x, (yoi_str){left.ptr, n});
      left.ptr += n + (feed != NULL);
      left.len -= n + (feed != NULL);
    }
  }
  return st;
}

static yoi_status read_all(struct reading *x) {
  pthread_mutex_lock(&x->s->mu);
  yoi_status st = begin(x);
  pthread_mutex_unlock(&x->s->mu);
  if (st == YOI_OK) st = read_file(x);
  if (st == YOI_OK) st = read_chunks(x);
  if (st == YOI_OK && x->damaged) return YOI_DATA_LOSS; /* all that there is */
  return st == YOI_END ? YOI_OK : st;
}

/* A bundle's file is written or removed. */
static void serve_change(struct fs_store *s, struct fs_read *r, bool stopping) {
  struct eng_ticket *t = r->ticket;
  yoi_status st = stopping ? YOI_CANCELLED : fs_shelf_change(s, r->digest, r->bytes);
  eng_text_unref(r->bytes);
  yoi_sdk_free(r);
  t->done(t, st, NULL, 0);
}

static void serve(struct fs_store *s, struct fs_read *r, bool stopping) {
  if (r->log == NULL) {
    serve_change(s, r, stopping);
    return;
  }
  struct reading x = {.s = s, .r = r};
  yoi_status st = stopping ? YOI_CANCELLED : read_all(&x);
  for (size_t i = 0; i < x.n_chunks; i++) fs_chunk_unref(x.chunks[i]);
  yoi_sdk_free(x.chunks);
  if (st != YOI_OK && st != YOI_DATA_LOSS) {
    for (size_t i = 0; i < x.n; i++) eng_frame_unref(x.frames[i]);
    x.n = 0;
  }
  struct eng_ticket *t = r->ticket;
  pthread_mutex_lock(&s->mu);
  bool news = st == YOI_DATA_LOSS && !r->log->damaged && r->log->removed_n == 0;
  if (news) fs_amiss(s, FS_AMISS_LOST);
  if (news && !x.passing) r->log->damaged = s->changed = true;
  pthread_mutex_unlock(&s->mu);
  const char *what = x.passing ? "a worker's file cannot be read" : "a worker's file is damaged";
  if (news) fs_log(s, YOI_LOG_ERROR, what, r->log->id, 0);
  pthread_mutex_lock(&s->mu);
  fs_log_unref(s, r->log);
  pthread_mutex_unlock(&s->mu);
  yoi_sdk_free(r);
  t->done(t, st, x.frames, x.n);
}

void *fs_read_run(void *queue) {
  struct fs_reads *q = queue;
  pthread_mutex_lock(&q->mu);
  for (;;) {
    while (q->first == NULL && !q->stopping) pthread_cond_wait(&q->work, &q->mu);
    struct fs_read *r = q->first;
    if (r == NULL) break;
    q->first = r->next;
    if (q->first == NULL) q->tail = &q->first;
    bool stopping = q->stopping;
    pthread_mutex_unlock(&q->mu);
    serve(q->s, r, stopping);
    pthread_mutex_lock(&q->mu);
  }
  pthread_mutex_unlock(&q->mu);
  return NULL;
}

void fs_read_put(struct fs_store *s, struct fs_read *r) {
  struct fs_reads *q = &s->reads[((uintptr_t)r->log >> 6) % FS_READERS];
  r->next = NULL;
  pthread_mutex_lock(&q->mu);
  *q->tail = r;
  q->tail = &r->next;
  pthread_cond_signal(&q->work);
  pthread_mutex_unlock(&q->mu);
}
