/* replay.c - reads the log, line by line, and says what its end is.
 *
 * Lines are numbered without a gap. Where the next number is not there:
 *
 *   nothing behind it was ever durable  --> torn: the process died while it
 *                                           wrote; cut off, nobody was told
 *   something behind it says that it was --> damage: the records between are
 *                                           lost, and whose they were is said
 *                                           by the line of their batch
 *
 * "Says" is a batch or a seal with a `durable` at or above that number, or a
 * later segment, since one is only begun when all before it is durable.
 * Invariants:
 *  1. An append of several records counts when all of them were read.
 *  2. A record that its worker's file has already is passed over; one whose
 *     predecessor is missing makes its worker damaged, and is kept.
 *  3. A segment in which something is damaged keeps a second name, behind
 *     which it stays when the keeper has no more use for it.
 *  4. A damaged head or seal costs nothing, not even the batch behind it of
 *     which nobody says that it was durable (gap.c).
 *  5. The first record of a worker, where one of that id with another epoch is
 *     there, says that that one was removed before: the line is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gap.h"
#include "recover.h"

#define BLOCK YOI_SDK_HARD(65536, 300) /* of what is looked through for words */

struct segment {
  int fd;
  char name[FS_NAME_SIZE];
  struct fs_lines in;
};

static yoi_status open_segment(struct fs_recovery *r, size_t i, struct segment *g) {
  struct stat sb;
  fs_name_segment(r->segments[i], g->name);
  g->fd = openat(r->s->root.log_fd, g->name,
                 O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (g->fd < 0 || fstat(g->fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
    fs_log(r->s, YOI_LOG_ERROR, "cannot read a segment of the log", g->name, errno);
    if (g->fd >= 0) close(g->fd);
    return YOI_INTERNAL;
  }
  fs_lines_init(&g->in, g->fd, 0, (uint64_t)sb.st_size);
  return YOI_OK;
}

static void close_segment(struct segment *g) {
  fs_lines_release(&g->in);
  close(g->fd);
}

static void go_to(struct segment *g, uint64_t at) {
  fs_lines_release(&g->in);
  fs_lines_init(&g->in, g->fd, at, g->in.end);
}

static int is_head(const struct fs_recovery *r, size_t i, const struct fs_line *l) {
  return l->kind == FS_LINE_HEAD && l->first == r->segments[i] &&
         yoi_sdk_str_is(l->store, r->s->root.store);
}

/* Numbers of which not all are there, until the next line of a batch says whose
 * they were: [from, to). */
struct loss {
  uint64_t from, to; /* to 0: none */
};

static void lose(struct loss *lost, uint64_t from, uint64_t to) {
  if (lost->to == 0) lost->from = from;
  lost->to = to;
}

/* ---- appends ------------------------------------------------------------------ */

static void drop_group(struct fs_recovery *r) {
  yoi_sdk_buf_clear(&r->group);
  r->group_log = NULL;
  r->group_records = r->group_items = 0;
}

static struct eng_log *log_of(struct fs_recovery *r, yoi_str id, const struct eng_birth *birth) {
  static const struct eng_birth unknown = {0};
  struct eng_log *log = fs_names_find(&r->names, id);
  if (log != NULL && log->removed_n == 0) return log;
  log = fs_log_add(r->s, id, birth != NULL ? birth : &unknown);
  if (log == NULL || !fs_names_put(&r->names, log)) return NULL;
  log->found = true;
  fs_log_keep(log);
  return log;
}

static yoi_status end_group(struct fs_recovery *r, const struct fs_line *last) {
  struct eng_log *log = r->group_log;
  uint64_t seq = r->group_seq;
  if (r->group.failed) return YOI_RESOURCE_EXHAUSTED;
  if (last->seq <= log->seq) { /* its file has it */
    drop_group(r);
    return YOI_OK;
  }
  struct fs_chunk *c = fs_chunk_new(r->group.data, r->group.len);
  if (c == NULL) return YOI_RESOURCE_EXHAUSTED;
  if (seq != log->seq + 1) log->damaged = true;
  c->records = r->group_records;
  c->items = r->group_items;
  c->mark = last->mark;
  c->seq = seq;
  c->last = last->n;
  if (c->mark == ENG_MARK_STOPPED) c->stopped_ms = fs_line_at_ms(last->data);
  fs_log_chunk(r->s, log, c);
  drop_group(r);
  return YOI_OK;
}

static void imply_removal(struct fs_recovery *r, const struct fs_line *l) {
  struct eng_log *log = l->born ? fs_names_find(&r->names, l->worker) : NULL;
  if (log == NULL || log->removed_n != 0 || log->seq == 0 || log->birth.epoch == l->birth.epoch)
    return;
  fs_log(r->s, YOI_LOG_WARN, "a worker was made anew, so it was removed before", log->id, 0);
  log->removed_n = l->n;
  fs_log_dirty(r->s, log);
}

static yoi_status add_record(struct fs_recovery *r, yoi_str text, const struct fs_line *l) {
  if (r->group_log != NULL && (!yoi_sdk_str_is(l->worker, r->group_log->id) ||
                               l->seq != r->group_seq + r->group_records))
    drop_group(r);
  if (r->group_log == NULL) {
    imply_removal(r, l);
    r->group_log = log_of(r, l->worker, l->born ? &l->birth : NULL);
    if (r->group_log == NULL) return YOI_RESOURCE_EXHAUSTED;
    r->group_seq = l->seq;
  }
  if (l->born && r->group_log->seq == 0) r->group_log->birth = l->birth;
  yoi_sdk_buf_adds(&r->group, text);
  yoi_sdk_buf_addc(&r->group, '\n');
  r->group_records++;
  r->group_items += (uint32_t)eng_kind_is_item(l->event);
  return l->more ? YOI_OK : end_group(r, l);
}

static yoi_status add_line(struct fs_recovery *r, yoi_str text, const struct fs_line *l) {
  if (l->n > r->upto) r->s->log_bytes += text.len + 1;
  if (l->kind == FS_LINE_RECORD) return l->n <= r->upto ? YOI_OK : add_record(r, text, l);
  drop_group(r);
  if (l->kind != FS_LINE_REMOVAL || l->n <= r->upto) return YOI_OK;
  struct eng_log *log = log_of(r, l->worker, NULL);
  if (log == NULL) return YOI_RESOURCE_EXHAUSTED;
  log->removed_n = l->n;
  fs_log_dirty(r->s, log);
  return YOI_OK;
}

/* ---- damage -------------------------------------------------------------------- */

/* Looks at all lines from the reader's place on; a line that is none is
 * passed over. END, or an error of reading: then nobody knows. */
static yoi_status look(struct fs_lines *in, uint64_t expect, uint64_t *durable) {
  struct fs_line l;
  yoi_str text;
  yoi_status st;
  while ((st = fs_lines_next(in, &text)) == YOI_OK) {
    if (!fs_line_parse(text, &l) || l.kind > FS_LINE_SEAL || l.n <= expect) continue;
    if (l.durable > *durable) *durable = l.durable;
  }
  return st == YOI_RESOURCE_EXHAUSTED || st == YOI_INTERNAL ? st : YOI_END;
}

static yoi_status look_later(struct fs_recovery *r, size_t i, uint64_t *durable) {
  struct segment g;
  struct fs_line l;
  yoi_str text;
  yoi_status st = open_segment(r, i, &g);
  if (st != YOI_OK) return st;
  st = fs_lines_next(&g.in, &text);
  if (st == YOI_OK && fs_line_parse(text, &l) && is_head(r, i, &l)) {
    if (l.first - 1 > *durable) *durable = l.first - 1;
    st = look(&g.in, r->expect, durable);
  }
  close_segment(&g);
  return st == YOI_RESOURCE_EXHAUSTED || st == YOI_INTERNAL ? st : YOI_END;
}

/* All up to which number was durable, says what is behind this place. END, or
 * an error. */
static yoi_status find_sworn(struct fs_recovery *r, size_t i, const struct segment *g,
                             uint64_t from) {
  uint64_t end = g->in.end;
  yoi_status st = YOI_END;
  for (uint64_t at = fs_behind_zeros(g->fd, from, end); at < end && st == YOI_END;) {
    struct fs_lines in;
    fs_lines_init(&in, g->fd, at, end);
    st = look(&in, r->expect, &r->sworn);
    at = in.next > at ? fs_behind_zeros(g->fd, in.next, end) : end;
    fs_lines_release(&in);
  }
  for (size_t k = i + 1; k < r->n_segments && st == YOI_END; k++) st = look_later(r, k, &r->sworn);
  return st;
}

/* The records of a batch that were not read are lost: theirs. */
static yoi_status blame(struct fs_recovery *r, const struct fs_line *batch, struct loss *lost) {
  size_t pos = 0;
  uint64_t seq, n = batch->n, count = 0;
  yoi_str worker;
  while (fs_line_batch_next(batch, &pos, &worker, &seq)) count++;
  if (count >= n) return YOI_OK;
  n -= count;
  for (pos = 0; fs_line_batch_next(batch, &pos, &worker, &seq); n++) {
    if (n < lost->from || n >= lost->to || n <= r->upto) continue;
    struct eng_log *log = fs_names_find(&r->names, worker);
    if (log != NULL && log->removed_n >= n) continue; /* what it had is of no use, or this is it */
    log = log_of(r, worker, NULL);
    if (log == NULL) return YOI_RESOURCE_EXHAUSTED;
    if (seq == 0)
      fs_log(r->s, YOI_LOG_WARN, "the removal of a worker is lost: it is there again", log->id, 0);
    else if (seq > log->seq)
      fs_log_lose(r->s, log, seq);
  }
  *lost = (struct loss){0};
  return YOI_OK;
}

static void keep_evidence(struct fs_recovery *r, const struct segment *g) {
  char second[FS_NAME_SIZE + 16];
  snprintf(second, sizeof second, "%s.damaged", g->name);
  if (linkat(r->s->root.log_fd, g->name, r->s->root.log_fd, second, 0) != 0 && errno != EEXIST)
    fs_log(r->s, YOI_LOG_WARN, "a damaged segment cannot be given a second name", g->name, errno);
  fs_log(r->s, YOI_LOG_ERROR, "lines of the log are damaged; a copy of the segment stays",
         second, 0);
  fs_amiss(r->s, FS_AMISS_LOST);
}

/* Nothing at or behind this place counts. */
static yoi_status cut(struct fs_recovery *r, size_t i, const struct segment *g, uint64_t at) {
  if (ftruncate(g->fd, (off_t)at) != 0 || fsync(g->fd) != 0) {
    fs_log(r->s, YOI_LOG_ERROR, "cannot cut off the torn end of the log", g->name, errno);
    return YOI_INTERNAL;
  }
  for (size_t k = i + 1; k < r->n_segments; k++) {
    char name[FS_NAME_SIZE];
    fs_name_segment(r->segments[k], name);
    if (unlinkat(r->s->root.log_fd, name, 0) != 0) return YOI_INTERNAL;
  }
  r->n_segments = i + 1;
  return fsync(r->s->root.log_fd) == 0 ? YOI_OK : YOI_INTERNAL;
}

/* ---- reading -------------------------------------------------------------------- */

/* Goes on behind damage: the first sound line with a higher number. END: it
 * is not in this segment. */
static yoi_status resync(struct fs_recovery *r, const struct segment *g, uint64_t *at,
                         uint64_t *out_n) {
  struct fs_lines in;
  struct fs_line l;
  yoi_str text;
  yoi_status st = YOI_END;
  while (st == YOI_END && *at < g->in.end) {
    *at = fs_behind_zeros(g->fd, *at, g->in.end);
    fs_lines_init(&in, g->fd, *at, g->in.end);
    while (fs_lines_next(&in, &text) == YOI_OK) {
      if (!fs_line_parse(text, &l) || l.kind > FS_LINE_SEAL || l.n <= r->expect) continue;
      *at = in.at;
      *out_n = l.n;
      st = YOI_OK;
      break;
    }
    if (st == YOI_END) *at = in.next > *at ? in.next : g->in.end;
    fs_lines_release(&in);
  }
  return st;
}

/* The next line of a batch that is sound, from `at` on, is that of line n. */
static bool has_batch(struct fs_recovery *r, const struct segment *g, uint64_t at, uint64_t n) {
  struct fs_lines in;
  struct fs_line l;
  yoi_str text;
  bool more = n < r->batch_begin || n >= r->batch_end;
  fs_lines_init(&in, g->fd, at, g->in.end);
  while (more && fs_lines_next(&in, &text) == YOI_OK) {
    if (!fs_line_parse(text, &l) || l.kind != FS_LINE_BATCH || l.n <= n) continue;
    size_t pos = 0;
    uint64_t seq;
    yoi_str worker;
    r->batch_begin = r->batch_end = l.n;
    while (r->batch_begin > 0 && fs_line_batch_next(&l, &pos, &worker, &seq)) r->batch_begin--;
    more = false;
  }
  fs_lines_release(&in);
  return n >= r->batch_begin && n < r->batch_end;
}

static yoi_status blame_id(struct fs_recovery *r, yoi_str id, bool is_record) {
  struct eng_log *log = fs_names_find(&r->names, id);
  if (log != NULL && log->removed_n != 0) log = NULL;
  if (log == NULL && !is_record) return YOI_OK;
  if (log == NULL) log = log_of(r, id, NULL);
  if (log == NULL) return YOI_RESOURCE_EXHAUSTED;
  fs_log_lose(r->s, log, log->seq + 1);
  return YOI_OK;
}

/* Whose records stood in a damaged place, as far as it can be read: for lines
 * that were lost together with that of their batch. */
static yoi_status salvage(struct fs_recovery *r, int fd, uint64_t from, uint64_t to) {
  static const char word[] = ",\"worker\":\"", then[] = "\",\"seq\":";
  char text[BLOCK];
  yoi_status st = YOI_OK;
  while (st == YOI_OK && from < to) {
    size_t want = to - from < sizeof text ? (size_t)(to - from) : sizeof text;
    ssize_t got = pread(fd, text, want, (off_t)from);
    if (got <= 0) break;
    const char *end = text + got, *at = text, *next;
    while (st == YOI_OK &&
           (next = memmem(at, (size_t)(end - at), word, sizeof word - 1)) != NULL) {
      at = next + sizeof word - 1;
      const char *quote = memchr(at, '"', (size_t)(end - at));
      yoi_str id = {at, quote != NULL ? (size_t)(quote - at) : 0};
      bool is_record = quote != NULL && (size_t)(end - quote) >= sizeof then - 1 &&
                       memcmp(quote, then, sizeof then - 1) == 0;
      if (yoi_sdk_id_valid(id)) st = blame_id(r, id, is_record);
    }
    if ((size_t)got < want || from + (uint64_t)got >= to) break;
    from += (uint64_t)got - YOI_ID_MAX - sizeof word - sizeof then; /* one may be cut in two */
  }
  return st;
}

/* There is nothing more in this segment that counts. */
static bool is_over(const struct fs_recovery *r, size_t i, const struct segment *g,
                    uint64_t from) {
  bool last = i + 1 == r->n_segments, next = !last && r->segments[i + 1] == r->expect;
  bool zeros = fs_behind_zeros(g->fd, from, g->in.end) == g->in.end;
  if (next && !zeros)
    fs_log(r->s, YOI_LOG_WARN, "something stands behind the last line of a segment", g->name, 0);
  return next || (last && zeros);
}

/* The line that is expected next is not at `at`. OK: go on at *at. END: this
 * segment is over. */
static yoi_status mend(struct fs_recovery *r, size_t i, struct segment *g, uint64_t *at,
                       struct loss *lost) {
  uint64_t from = *at, n = r->expect, next = 0;
  bool last = i + 1 == r->n_segments;
  drop_group(r);
  if (is_over(r, i, g, from)) return YOI_END;
  yoi_status st = r->batch_ended ? fs_gap_is_seal(g->fd, from, g->in.end, n, at) : YOI_END;
  if (st == YOI_OK) {
    fs_log(r->s, YOI_LOG_WARN, "a seal of the log is damaged, and nothing with it", g->name, 0);
    r->expect++;
    return YOI_OK;
  }
  if (st == YOI_END && r->sworn < n) st = find_sworn(r, i, g, from);
  if (st != YOI_END) return st;
  if (r->sworn < n) {
    fs_log(r->s, YOI_LOG_INFO, "the end of the log was torn, and is cut off", g->name, 0);
    st = cut(r, i, g, from);
    return st == YOI_OK ? YOI_END : st;
  }
  keep_evidence(r, g);
  st = resync(r, g, at, &next);
  lose(lost, n, st == YOI_OK ? next : last ? r->sworn + 1 : r->segments[i + 1]);
  if (st == YOI_OK || last) r->expect = lost->to;
  if (st == YOI_OK && has_batch(r, g, *at, n)) return YOI_OK;
  yoi_status salvaged = salvage(r, g->fd, from, st == YOI_OK ? *at : g->in.end);
  return salvaged != YOI_OK ? salvaged : st;
}

/* A segment that another store has written: it keeps its bytes. */
static yoi_status set_aside(struct fs_recovery *r, const struct segment *g) {
  char aside[FS_NAME_SIZE + 16];
  snprintf(aside, sizeof aside, "%s.foreign", g->name);
  fs_log(r->s, YOI_LOG_ERROR, "a segment is not of this store, and is moved aside", g->name, 0);
  fs_amiss(r->s, FS_AMISS_LOST);
  return renameat2(r->s->root.log_fd, g->name, r->s->root.log_fd, aside, RENAME_NOREPLACE) == 0
             ? YOI_OK
             : YOI_INTERNAL;
}

static yoi_status read_segment(struct fs_recovery *r, size_t i, struct segment *g,
                               struct loss *lost) {
  struct fs_line l;
  yoi_str text;
  yoi_status st = fs_lines_next(&g->in, &text);
  uint64_t at = g->in.next;
  bool parsed = st == YOI_OK && fs_line_parse(text, &l), headed = parsed && is_head(r, i, &l);
  if (parsed && !headed) {
    return set_aside(r, g);
  }
  r->batch_ended = false;
  if (!headed && st == YOI_OK) { /* a damaged head: the lines behind it say all that it did */
    keep_evidence(r, g);
    st = fs_gap_find(g->fd, 0, g->in.end, r->segments[i], &at);
    if (st != YOI_OK && st != YOI_END) return st;
    if (st == YOI_OK) go_to(g, at);
    if (st == YOI_END) at = g->in.next;
    headed = true;
  } else if (!headed) {
    at = 0;
  }
  for (;;) {
    st = headed ? fs_lines_next(&g->in, &text) : YOI_DATA_LOSS;
    headed = true;
    if (st == YOI_RESOURCE_EXHAUSTED || st == YOI_INTERNAL) return st;
    if (st == YOI_OK && fs_line_parse(text, &l) && l.kind <= FS_LINE_SEAL && l.n == r->expect) {
      if (l.kind == FS_LINE_BATCH && lost->to > 0) st = blame(r, &l, lost);
      if (st == YOI_OK) st = add_line(r, text, &l);
      if (st != YOI_OK) return st;
      r->batch_ended = l.kind == FS_LINE_BATCH;
      r->expect++;
      at = g->in.next;
      continue;
    }
    st = mend(r, i, g, &at, lost);
    if (st != YOI_OK) return st == YOI_END ? YOI_OK : st;
    r->batch_ended = false;
    go_to(g, at);
  }
}

/* The last segment that begins at or before what is needed first; those before
 * it were to be removed. */
static size_t first_segment(const struct fs_recovery *r) {
  size_t at = 0;
  while (at + 1 < r->n_segments && r->segments[at + 1] <= r->upto + 1) at++;
  return at;
}

/* Numbers between two segments, or of one that is no more. */
static void miss(struct fs_recovery *r, uint64_t next, struct loss *lost) {
  fs_log(r->s, YOI_LOG_ERROR, "a segment of the log is missing", "log", 0);
  fs_amiss(r->s, FS_AMISS_LOST);
  lose(lost, r->expect, next);
  r->expect = next;
  drop_group(r);
}

yoi_status fs_replay(struct fs_recovery *r) {
  struct loss lost = {0};
  uint64_t least = r->expect > r->upto ? r->expect : r->upto + 1;
  yoi_status st = YOI_OK;
  size_t begin = first_segment(r);
  r->expect = r->n_segments > 0 ? r->segments[begin] : least;
  for (size_t i = begin; i < r->n_segments && st == YOI_OK; i++) {
    struct segment g;
    if (r->segments[i] < r->expect) {
      fs_name_segment(r->segments[i], g.name);
      fs_log(r->s, YOI_LOG_WARN, "a segment of the log has numbers of another", g.name, 0);
      continue;
    }
    if (r->segments[i] > r->expect) miss(r, r->segments[i], &lost);
    st = open_segment(r, i, &g);
    if (st != YOI_OK) break;
    st = read_segment(r, i, &g, &lost);
    /* What is built upon from here on must not go with the power. */
    if (st == YOI_OK && fdatasync(g.fd) != 0) st = YOI_INTERNAL;
    close_segment(&g);
  }
  if (st == YOI_OK && fsync(r->s->root.log_fd) != 0) st = YOI_INTERNAL;
  drop_group(r);
  if (r->expect < least) r->expect = least;
  return st;
}
