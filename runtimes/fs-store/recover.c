/* recover.c - opens a store: names every worker, and finds where the log
 * ends.
 *
 *   index sound, and the log begins where it ends? -- no --> rebuild.c: the
 *                 | yes                                      workers' files
 *                 v                                             |
 *              replay.c: the lines of the log behind that <-----+
 *                 |
 *                 v
 *   logs with what is not in their files yet: dirty, for the keeper
 *
 * Nothing but the torn end of the log is changed here.
 */
#include "recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"

/* ---- names ------------------------------------------------------------------ */

static size_t place(const struct fs_names *t, yoi_str id) {
  size_t at = fs_crc32c(0, id.ptr, id.len) & (t->cap - 1);
  while (t->slots[at].log != NULL && !yoi_sdk_str_is(id, t->slots[at].log->id))
    at = (at + 1) & (t->cap - 1);
  return at;
}

struct eng_log *fs_names_find(const struct fs_names *t, yoi_str id) {
  return t->cap == 0 ? NULL : t->slots[place(t, id)].log;
}

static int grow(struct fs_names *t) {
  struct fs_names more = {.cap = t->cap == 0 ? 64 : t->cap * 2, .n = t->n};
  more.slots = yoi_sdk_calloc(more.cap, sizeof *more.slots);
  if (more.slots == NULL) return 0;
  for (size_t i = 0; i < t->cap; i++) {
    struct eng_log *log = t->slots[i].log;
    if (log != NULL) more.slots[place(&more, yoi_sdk_str(log->id))].log = log;
  }
  yoi_sdk_free(t->slots);
  *t = more;
  return 1;
}

int fs_names_put(struct fs_names *t, struct eng_log *log) {
  if (2 * (t->n + 1) > t->cap && !grow(t)) return 0;
  size_t at = place(t, yoi_sdk_str(log->id));
  if (t->slots[at].log == NULL) t->n++;
  t->slots[at].log = log;
  return 1;
}

static yoi_status name_all(struct fs_recovery *r) {
  struct fs_store *s = r->s;
  for (struct eng_log *log = s->all.next; log != &s->all; log = log->next) {
    if (fs_names_find(&r->names, yoi_sdk_str(log->id)) != NULL) return YOI_DATA_LOSS;
    if (!fs_names_put(&r->names, log)) return YOI_RESOURCE_EXHAUSTED;
    yoi_status st = log->damaged ? fs_judge_again(r, log) : YOI_OK;
    if (st != YOI_OK) return st;
  }
  return YOI_OK;
}

static void forget_all(struct fs_recovery *r) {
  struct fs_store *s = r->s;
  fs_logs_free(s);
  yoi_sdk_free(r->names.slots);
  r->names = (struct fs_names){0};
}

/* ---- segments ---------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static yoi_status list_segments(struct fs_recovery *r) {
  uint64_t first;
  yoi_status st = YOI_OK;
  int fd = openat(r->s->root.log_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  if (d == NULL) {
    if (fd >= 0) close(fd);
    return YOI_INTERNAL;
  }
  for (const struct dirent *e; st == YOI_OK && (errno = 0, e = readdir(d)) != NULL;) {
    if (!fs_name_is_segment(e->d_name, &first)) continue;
    if (r->n_segments == r->cap_segments) {
      size_t cap = r->cap_segments * 2 + 8;
      uint64_t *more = yoi_sdk_reallocarray(r->segments, cap, sizeof *more);
      if (more == NULL) st = YOI_RESOURCE_EXHAUSTED;
      if (more == NULL) break;
      r->segments = more;
      r->cap_segments = cap;
    }
    r->segments[r->n_segments++] = first;
  }
  if (st == YOI_OK && errno != 0) st = YOI_INTERNAL; /* a list that is too short lies */
  closedir(d);
  if (r->n_segments > 1) qsort(r->segments, r->n_segments, sizeof *r->segments, by_number);
  return st;
}

/* ---- open --------------------------------------------------------------------- */

/* The index, where it can be trusted: an older one that was put back would
 * have the log begin behind its end. */
static yoi_status use_index(struct fs_recovery *r) {
  yoi_status st = fs_index_read(r->s, &r->upto);
  if (st != YOI_OK) return st;
  if (r->n_segments == 0 || r->segments[0] > r->upto + 1) return YOI_DATA_LOSS;
  return name_all(r);
}

static yoi_status find_workers(struct fs_recovery *r) {
  struct fs_store *s = r->s;
  yoi_status st = use_index(r);
  if (st != YOI_DATA_LOSS) return st;
  forget_all(r);
  s->changed = true;
  r->upto = 0;
  r->expect = 1;
  if (s->root.fresh) return YOI_OK;
  st = fs_rebuild(r);
  if (st == YOI_OK && s->n_logs > 0) {
    fs_log(s, YOI_LOG_WARN, "the index was of no use: every worker's file was read", "index.jsonl",
           0);
    fs_amiss(s, FS_AMISS_INDEX);
  }
  return st;
}

/* What was in doubt until the log was read. */
static void judge(struct fs_store *s) {
  for (struct eng_log *log = s->all.next; log != &s->all; log = log->next) {
    if (log->chunks == NULL && log->torn) log->damaged = s->changed = true;
    if (log->damaged) fs_log(s, YOI_LOG_ERROR, "the records of a worker are damaged", log->id, 0);
    if (log->damaged) fs_amiss(s, FS_AMISS_LOST);
  }
}

yoi_status fs_recover(struct fs_store *s, yoi_error *err) {
  struct fs_recovery r = {.s = s};
  uint64_t begun = fs_mono();
  yoi_sdk_buf_init(&r.group, SIZE_MAX / 2);
  yoi_status st = list_segments(&r);
  if (st == YOI_OK) st = find_workers(&r);
  if (st == YOI_OK) st = fs_replay(&r);
  if (st == YOI_OK) judge(s);
  s->next_n = r.expect;
  s->committed = s->durable = r.expect - 1;
  yoi_sdk_buf_release(&r.group);
  yoi_sdk_free(r.names.slots);
  yoi_sdk_free(r.segments);
  if (st == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  if (st != YOI_OK) return yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the store cannot be read");
  yoi_sdk_metric_observe(&s->metrics, s->metric.recovery_time, fs_mono() - begun);
  return YOI_OK;
}
