/* offline_log.c - reads the log as a start would (replay.c), and says what it
 * meets.
 *
 * Lines are numbered without a gap. Where the next number is not there, what
 * comes behind decides: when any of it says that the number was durable, what
 * is missing is lost; else it was being written when the process died, and
 * does not count. Only appends of which all lines were read count.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gap.h"
#include "offline.h"

struct log {
  struct fs_off *o;
  size_t i; /* of o->segments */
  int fd;
  char file[FS_PATH_SIZE];
  uint64_t expect;
  uint64_t lost_from, lost_to; /* numbers of which not all are there, since the last batch */
  bool batch_ended;            /* the line before was that of a batch */
  uint64_t read, total;        /* bytes, for people */
  uint64_t in_batch;           /* lines since the last batch */
  uint64_t durable;            /* what evidence() said last */
  bool over;                   /* nothing behind counts */
  /* The append that is being read. */
  struct fs_seen *w;
  uint64_t seq, at, count;
};

/* A segment, line by line; what is none is passed over. */
struct walk {
  int fd;
  struct fs_lines in;
  uint64_t line, end;
  uint64_t bad_at, bad_line; /* the first that was passed over */
  bool bad;
};

/* ---- segments ------------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* SEGMENT.damaged */
static int is_evidence(const char *name) {
  char segment[FS_NAME_SIZE];
  const char *dot = strstr(name, ".jsonl.damaged");
  uint64_t first;
  if (dot == NULL || strcmp(dot, ".jsonl.damaged") != 0 || dot - name > 40) return 0;
  snprintf(segment, sizeof segment, "%.*s.jsonl", (int)(dot - name), name);
  return fs_name_is_segment(segment, &first);
}

static yoi_status add_evidence(struct fs_off *o, const char *name) {
  struct fs_evidence *more = yoi_sdk_reallocarray(o->evidence, o->n_evidence + 1, sizeof *more);
  if (more == NULL) return YOI_RESOURCE_EXHAUSTED;
  o->evidence = more;
  snprintf(more[o->n_evidence].name, sizeof more->name, "%s", name);
  o->n_evidence++;
  return YOI_OK;
}

static yoi_status one_name(struct fs_off *o, int folder_fd, const char *folder, const char *name) {
  char file[FS_PATH_SIZE + 256];
  struct fs_place p = {.file = file};
  uint64_t first;
  (void)folder_fd;
  snprintf(file, sizeof file, "%s/%s", folder, name);
  if (is_evidence(name)) {
    fs_off_warn(o, &p, "evidence", "a start found damage in this segment, and kept a copy of it");
    return add_evidence(o, name);
  }
  if (!fs_name_is_segment(name, &first)) {
    fs_off_warn(o, &p, "foreign", "nothing of a store; nothing reads it");
    return YOI_OK;
  }
  if (o->n_segments == o->cap_segments) {
    size_t cap = o->cap_segments * 2 + 8;
    uint64_t *more = yoi_sdk_reallocarray(o->segments, cap, sizeof *more);
    if (more == NULL) return YOI_RESOURCE_EXHAUSTED;
    o->segments = more;
    o->cap_segments = cap;
  }
  o->segments[o->n_segments++] = first;
  return YOI_OK;
}

yoi_status fs_off_list_segments(struct fs_off *o) {
  if (o->root.log_fd < 0) return YOI_OK;
  yoi_status st = fs_off_each(o, o->root.log_fd, "log", one_name);
  if (o->n_segments > 1) qsort(o->segments, o->n_segments, sizeof *o->segments, by_number);
  return st;
}

static int open_segment(struct fs_off *o, size_t i) {
  char name[FS_NAME_SIZE];
  fs_name_segment(o->segments[i], name);
  return openat(o->root.log_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* ---- lines that are some ----------------------------------------------------------- */

static void walk_begin(struct walk *k, int fd, uint64_t from, uint64_t end) {
  *k = (struct walk){.fd = fd, .end = end};
  fs_lines_init(&k->in, fd, from, end);
}

static void walk_end(struct walk *k) {
  fs_lines_release(&k->in);
}

static void note_bad(struct walk *k, uint64_t at) {
  if (k->bad) return;
  k->bad = true;
  k->bad_at = at;
  k->bad_line = k->line;
}

static void walk_from(struct walk *k, uint64_t at) {
  fs_lines_release(&k->in);
  fs_lines_init(&k->in, k->fd, at, k->end);
}

/* The next sound line that is numbered; END: there is none. */
static yoi_status walk_next(struct walk *k, yoi_str *text, struct fs_line *l) {
  for (;;) {
    yoi_status st = fs_lines_next(&k->in, text);
    k->line++;
    if (st == YOI_RESOURCE_EXHAUSTED || st == YOI_INTERNAL) return st;
    if (st == YOI_OK) {
      if (fs_line_parse(*text, l) && l->kind <= FS_LINE_SEAL) return YOI_OK;
      note_bad(k, k->in.at);
      continue;
    }
    /* Zeros, a line that is too long, or bytes without an end. */
    uint64_t at = k->in.next, next = fs_behind_zeros(k->fd, at, k->in.end);
    if (next >= k->in.end) return YOI_END;
    if (next == at && st == YOI_END) {
      note_bad(k, at);
      return YOI_END;
    }
    note_bad(k, at);
    if (next == at) next = at + 1; /* into the long line: its end is found */
    walk_from(k, next);
  }
}

/* All up to which number was durable, says what is behind this place. An answer
 * at or above the number that is looked for holds: the line that gave it has a
 * higher one, so it is still to come. */
static uint64_t evidence(struct log *g, uint64_t from, uint64_t end) {
  struct fs_off *o = g->o;
  uint64_t durable = 0;
  if (g->durable >= g->expect) return g->durable;
  struct walk k;
  struct fs_line l;
  yoi_str text;
  walk_begin(&k, g->fd, from, end);
  while (walk_next(&k, &text, &l) == YOI_OK)
    if (l.n > g->expect && l.durable > durable) durable = l.durable;
  walk_end(&k);
  for (size_t i = g->i + 1; i < o->n_segments; i++) {
    int fd = open_segment(o, i);
    if (fd < 0) continue;
    fs_lines_init(&k.in, fd, 0, UINT64_MAX);
    if (fs_lines_next(&k.in, &text) == YOI_OK && fs_line_parse(text, &l) &&
        l.kind == FS_LINE_HEAD && l.first == o->segments[i] && l.first > durable + 1)
      durable = l.first - 1;
    fs_lines_release(&k.in);
    close(fd);
  }
  g->durable = durable;
  return durable;
}

/* ---- appends ------------------------------------------------------------------------ */

static void drop_append(struct log *g) {
  g->w = NULL;
  g->count = 0;
}

/* The append ends with this line. */
static yoi_status end_append(struct log *g, const struct fs_line *l, uint64_t end) {
  struct fs_seen *w = g->w;
  uint64_t first = g->seq, at = g->at;
  drop_append(g);
  if (l->seq <= w->seq) return YOI_OK; /* its file has it */
  if (first != w->seq + 1) {
    if (w->lost == 0 && w->behind == 0) w->lost = first - w->seq - 1;
    w->behind += l->seq - first + 1;
    return YOI_OK;
  }
  struct fs_piece *p = yoi_sdk_calloc(1, sizeof *p);
  if (p == NULL) return YOI_RESOURCE_EXHAUSTED;
  *p = (struct fs_piece){.segment = g->o->segments[g->i], .at = at, .len = end - at};
  if (w->last_piece != NULL)
    w->last_piece->next = p;
  else
    w->pieces = p;
  w->last_piece = p;
  w->removed = false;
  w->seq = l->seq;
  w->last_n = l->n;
  w->mark = l->mark;
  return YOI_OK;
}

static yoi_status remove_worker(struct fs_off *o, const struct fs_line *l) {
  struct fs_seen *w = fs_off_add(o, l->worker);
  if (w == NULL) return YOI_RESOURCE_EXHAUSTED;
  w->in_log = true;
  if (w->first_n > l->n) return YOI_OK; /* the file is of the one that came after it */
  fs_off_drop_pieces(w);
  w->removed = true;
  w->file_old = w->has_file;
  w->seq = w->last_n = w->lost = w->behind = w->looked = w->turn = w->calls = 0;
  w->n_calls = 0;
  return YOI_OK;
}

/* As replay.c: the line of its removal is lost, and it shows. */
static yoi_status imply_removal(struct fs_off *o, const struct fs_line *l,
                                const struct fs_place *p) {
  const struct fs_seen *w = l->born ? fs_off_find(o, l->worker) : NULL;
  if (w == NULL || w->seq == 0 || w->birth.epoch == l->birth.epoch) return YOI_OK;
  fs_off_warn(o, p, "removal", "it is made anew here, so it was removed before (worker '%s')",
              w->id);
  return remove_worker(o, l);
}

static yoi_status add_record(struct log *g, const struct fs_line *l, const struct fs_place *p,
                             uint64_t end) {
  struct fs_off *o = g->o;
  if (g->w != NULL && (!yoi_sdk_str_is(l->worker, g->w->id) || l->seq != g->seq + g->count)) {
    fs_off_error(o, p, "append", "an append of worker '%s' before this line has no end", g->w->id);
    drop_append(g);
  }
  if (g->w == NULL) {
    yoi_status st = imply_removal(o, l, p);
    if (st != YOI_OK) return st;
    g->w = fs_off_add(o, l->worker);
    if (g->w == NULL) return YOI_RESOURCE_EXHAUSTED;
    g->w->in_log = true;
    g->seq = l->seq;
    g->at = p->at;
  }
  g->count++;
  if (g->seq == g->w->seq + 1) fs_off_record(o, g->w, l, p);
  return l->more ? YOI_OK : end_append(g, l, end);
}

/* ---- batches ------------------------------------------------------------------------- */

/* Whose records of a gap were lost, as far as a batch says it. */
static yoi_status blame(struct log *g, const struct fs_line *batch, uint64_t count) {
  size_t pos = 0;
  uint64_t seq, n = batch->n - count;
  yoi_str worker;
  for (; fs_line_batch_next(batch, &pos, &worker, &seq); n++) {
    if (n < g->lost_from || n >= g->lost_to || n <= g->o->upto) continue;
    struct fs_seen *w = fs_off_add(g->o, worker);
    if (w == NULL) return YOI_RESOURCE_EXHAUSTED;
    if (w->removed) continue; /* what it had is of no use, or this is it */
    if (seq > w->seq) w->lost++;
    if (seq == 0)
      fs_off_error(g->o, &(struct fs_place){.worker = w->id}, "lost",
                   "the removal of the worker is lost: it is there again");
  }
  return YOI_OK;
}

static yoi_status end_batch(struct log *g, const struct fs_line *l, const struct fs_place *p) {
  size_t pos = 0;
  uint64_t seq, count = 0;
  yoi_str worker;
  while (fs_line_batch_next(l, &pos, &worker, &seq)) count++;
  if (count >= l->n) {
    fs_off_error(g->o, p, "batch", "it names more lines than there were");
    return YOI_OK;
  }
  bool whole = l->n - count >= g->lost_to;
  yoi_status st = whole ? YOI_OK : blame(g, l, count);
  g->lost_from = g->lost_to = 0;
  if (whole && count != g->in_batch)
    fs_off_error(g->o, p, "batch", "it names %llu lines, and ends %llu", (unsigned long long)count,
                 (unsigned long long)g->in_batch);
  return st;
}

static yoi_status add_line(struct log *g, const struct fs_line *l, const struct fs_place *p,
                           uint64_t end) {
  g->o->log_lines++;
  if (l->durable >= l->n)
    fs_off_error(g->o, p, "durable", "it says that itself was durable before it was written");
  if (l->kind == FS_LINE_RECORD && l->n > g->o->upto) {
    g->in_batch++;
    return add_record(g, l, p, end);
  }
  if (g->w != NULL) drop_append(g);
  if (l->kind == FS_LINE_RECORD || l->kind == FS_LINE_REMOVAL) g->in_batch++;
  if (l->kind == FS_LINE_REMOVAL && l->n > g->o->upto) return remove_worker(g->o, l);
  if (l->kind != FS_LINE_BATCH) return YOI_OK;
  yoi_status st = end_batch(g, l, p);
  g->in_batch = 0;
  return st;
}

/* ---- gaps ---------------------------------------------------------------------------- */

/* Numbers from expect up to next are not there; p is where. */
static void lose(struct log *g, uint64_t next, const struct fs_place *p) {
  if (next == g->expect + 1)
    fs_off_error(g->o, p, "lost", "line %llu of the log is damaged", (unsigned long long)g->expect);
  else
    fs_off_error(g->o, p, "lost", "lines %llu to %llu of the log are damaged or missing",
                 (unsigned long long)g->expect, (unsigned long long)(next - 1));
  if (g->lost_to == 0) g->lost_from = g->expect;
  g->lost_to = next;
  g->expect = next;
  g->in_batch = 0;
  drop_append(g);
}

static void tear(struct log *g, const struct fs_place *p, uint64_t end) {
  fs_off_warn(g->o, p, "torn",
              "%llu bytes at the end of the log were being written when the "
              "process died; nobody was told of them",
              (unsigned long long)(end - p->at));
  drop_append(g);
  g->over = true;
}

/* The segment is over; passed over: what is behind its last sound line. */
static void end_segment(struct log *g, const struct walk *k) {
  struct fs_off *o = g->o;
  struct fs_place p = {.file = g->file, .line = k->bad_line, .at = k->bad_at};
  bool last = g->i + 1 == o->n_segments;
  if (!k->bad) return;
  if (!last && o->segments[g->i + 1] == g->expect) {
    fs_off_warn(o, &p, "foreign", "something that is no line stands behind the last one");
    return;
  }
  uint64_t durable = evidence(g, k->bad_at, k->end);
  if (durable >= g->expect)
    lose(g, last ? durable + 1 : o->segments[g->i + 1], &p);
  else
    tear(g, &p, fs_behind_zeros(g->fd, k->bad_at, k->end) == k->end ? k->bad_at : k->end);
}

/* Line `expect` is not at this place. OK: it was a seal, and nothing is lost. */
static yoi_status was_seal(struct log *g, struct walk *k, const struct fs_place *bad) {
  uint64_t at;
  if (!g->batch_ended) return YOI_END;
  yoi_status st = fs_gap_is_seal(g->fd, bad->at, k->end, g->expect, &at);
  if (st != YOI_OK) return st;
  fs_off_warn(g->o, bad, "seal", "a seal of the log is damaged, and nothing with it");
  walk_from(k, at);
  k->line = bad->line;
  k->bad = g->batch_ended = false;
  g->expect++;
  return YOI_OK;
}

static yoi_status read_lines(struct log *g, struct walk *k) {
  struct fs_line l;
  yoi_str text;
  yoi_status st;
  while (!g->over && (st = walk_next(k, &text, &l)) == YOI_OK) {
    struct fs_place p = {.file = g->file, .line = k->line, .at = k->in.at};
    fs_off_progress(g->o, "reading the log", g->read + k->in.at, g->total);
    if (g->o->stop != YOI_OK) return g->o->stop;
    if (l.n < g->expect) {
      fs_off_error(g->o, &p, "order", "its number %llu was there before", (unsigned long long)l.n);
      continue;
    }
    if (l.n > g->expect) {
      struct fs_place bad = {.file = g->file, .line = k->bad_line, .at = k->bad_at};
      if (!k->bad) bad = p;
      st = was_seal(g, k, &bad);
      if (st == YOI_OK) continue;
      if (st != YOI_END) break;
      if (evidence(g, bad.at, k->end) < g->expect) {
        tear(g, &bad, k->end);
        break;
      }
      lose(g, l.n, &bad);
    } else if (k->bad) {
      fs_off_error(g->o, &(struct fs_place){g->file, k->bad_line, k->bad_at, NULL}, "foreign",
                   "something that is no line stands in the log");
    }
    k->bad = false;
    st = add_line(g, &l, &p, k->in.next);
    if (st != YOI_OK) return st;
    g->batch_ended = l.kind == FS_LINE_BATCH;
    g->expect++;
  }
  if (g->over) return YOI_OK;
  if (st != YOI_END) return st;
  end_segment(g, k);
  return YOI_OK;
}

/* A damaged head: all that it said is said by its name. */
static yoi_status pass_head(struct log *g, struct walk *k) {
  uint64_t at;
  yoi_status st = fs_gap_find(g->fd, 0, k->end, g->o->segments[g->i], &at);
  if (st == YOI_OK) walk_from(k, at);
  note_bad(k, 0);
  return st == YOI_END ? YOI_OK : st;
}

/* OK: it begins as the segment that its name says. END: it does not. */
static yoi_status read_head(struct log *g, struct walk *k) {
  struct fs_off *o = g->o;
  const struct fs_place p = {.file = g->file, .line = 1};
  struct fs_line l;
  yoi_str text;
  k->line = 1;
  g->batch_ended = false;
  yoi_status st = fs_lines_next(&k->in, &text);
  if (st == YOI_RESOURCE_EXHAUSTED || st == YOI_INTERNAL) return st;
  if (st != YOI_OK || !fs_line_parse(text, &l)) return pass_head(g, k);
  if (o->no_format && o->adopted[0] == '\0' && l.store.len < sizeof o->adopted)
    memcpy(o->adopted, l.store.ptr, l.store.len);
  if (l.kind == FS_LINE_HEAD && l.first == o->segments[g->i] &&
      yoi_sdk_str_is(l.store, o->no_format ? o->adopted : o->root.store))
    return YOI_OK;
  fs_off_error(o, &p, "foreign", "it is a segment of another store, or has another's name");
  return YOI_END;
}

static yoi_status read_segment(struct log *g) {
  struct fs_off *o = g->o;
  struct stat sb;
  struct walk k;
  yoi_status st = YOI_OK;
  const struct fs_place p = {.file = g->file};
  if (o->segments[g->i] < g->expect) {
    fs_off_error(o, &p, "order", "it begins with a number that the segment before it has");
    return YOI_OK;
  }
  if (o->segments[g->i] > g->expect) lose(g, o->segments[g->i], &p);
  g->fd = open_segment(o, g->i);
  if (g->fd < 0) return fs_off_fail(o, "cannot open", g->file, errno);
  if (fs_off_look(o, g->fd, S_IFREG, g->file, &sb)) {
    walk_begin(&k, g->fd, 0, (uint64_t)sb.st_size);
    st = read_head(g, &k);
    if (st == YOI_OK) st = read_lines(g, &k);
    if (st == YOI_INTERNAL) st = fs_off_fail(o, "cannot read", g->file, errno);
    if (st == YOI_END) st = YOI_OK;
    walk_end(&k);
    g->read += (uint64_t)sb.st_size;
  }
  close(g->fd);
  return st;
}

/* The last that begins at or before what is needed first: a start removes
 * those before it. */
static size_t first_segment(const struct fs_off *o) {
  size_t at = 0;
  while (at + 1 < o->n_segments && o->segments[at + 1] <= o->upto + 1) at++;
  return at;
}

static uint64_t last_number(const struct fs_off *o) {
  uint64_t n = o->upto;
  for (size_t i = 0; i < o->n; i++)
    if (o->workers[i]->last_n > n) n = o->workers[i]->last_n;
  return n;
}

yoi_status fs_off_read_log(struct fs_off *o) {
  struct log g = {.o = o, .fd = -1};
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < o->n_segments; i++) {
    struct stat sb;
    int fd = open_segment(o, i);
    if (fd >= 0 && fstat(fd, &sb) == 0) o->bytes_log += (uint64_t)sb.st_size;
    if (fd >= 0) close(fd);
  }
  g.total = o->bytes_log;
  if (o->n_segments > 0) {
    g.i = first_segment(o);
    g.expect = o->segments[g.i];
  } else if (o->n > 0) {
    fs_off_error(o, &(struct fs_place){.file = "log"}, "missing",
                 "there is no log: what was not in the workers' files is lost");
  }
  for (; g.i < o->n_segments && st == YOI_OK && !g.over; g.i++) {
    char name[FS_NAME_SIZE];
    fs_name_segment(o->segments[g.i], name);
    snprintf(g.file, sizeof g.file, "log/%s", name);
    st = read_segment(&g);
  }
  if (g.w != NULL)
    fs_off_warn(o, &(struct fs_place){.file = "log", .worker = g.w->id}, "torn",
                "the last append has no end, so none of it counts");
  uint64_t last = last_number(o);
  o->next_n = g.expect > last ? g.expect : last + 1;
  return st;
}
