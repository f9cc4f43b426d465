/* commit.c - the committer: takes what waits, makes it durable, says so.
 *
 *   take a batch -> lines into one buffer -> one write -> one fdatasync
 *     -> chunks into the logs -> done, in order -> (nothing waits: a seal)
 *
 * While it syncs, appends gather; so that the busier the store is, the more
 * of them share a sync. Invariants:
 *  1. All memory that an append needs afterwards is there before it is
 *     written; from then on only the disk can fail it.
 *  2. Numbers are given out here, without a gap, and only once: those of a
 *     write that failed are taken back, since nothing of it is in the file.
 *  3. With `relaxed` an append is done when it is written, and synced some
 *     milliseconds later: it survives the process, not the power.
 */
#include <errno.h>
#include <sdk/mem.h>
#include <string.h>
#include <time.h>

#include "store_fs.h"

/* A log that has grown so many times longer than a checkpoint takes is one
 * that no checkpoint takes: then nothing is written, before the disk is full
 * for everybody. */
#define LOG_TIMES 64

struct batch {
  struct fs_job *first, *last;
  size_t n;
};

/* mu held: the jobs of one batch. */
static struct batch take(struct fs_store *s) {
  struct batch b = {.first = s->jobs};
  size_t bytes = 0, records = 0;
  for (struct fs_job *j = s->jobs; j != NULL; j = j->next) {
    for (size_t i = 0; i < j->n; i++) bytes += eng_frame_cost(j->frames[i]);
    records += j->n + j->removes;
    if (b.n > 0 && (bytes > YOI_STORE_BATCH_BYTES || records > YOI_STORE_BATCH_RECORDS)) break;
    b.last = j;
    b.n++;
  }
  if (b.last == NULL) return b;
  s->jobs = b.last->next;
  if (s->jobs == NULL) s->jobs_tail = &s->jobs;
  b.last->next = NULL;
  return b;
}

/* ---- lines ------------------------------------------------------------------ */

static void add_record(struct fs_store *s, const struct fs_job *j, size_t i) {
  const struct eng_frame *f = j->frames[i];
  fs_line_record(&s->lines, &(struct fs_line){
                                .n = s->next_n + i,
                                .worker = yoi_sdk_str(j->log->id),
                                .seq = f->pos.sequence,
                                .event = f->ev.kind,
                                .more = i + 1 < j->n,
                                .mark = j->mark,
                                .role = f->role,
                                .content_at = f->content_at,
                                .content_len = f->content_len,
                                .turn_at = f->turn_at,
                                .data = f->ev.text,
                                .aux = eng_frame_aux(f),
                                .spec = eng_text_str(f->shared),
                                .born = f->pos.sequence == 1,
                                .birth = j->log->birth,
                            });
}

static void undo(struct fs_store *s, struct fs_job *j, size_t start) {
  s->lines.len = start;
  s->lines.failed = 0;
  j->st = YOI_RESOURCE_EXHAUSTED;
}

/* Its lines, behind those that are there; without any when it fails. */
static void add_job(struct fs_store *s, struct fs_job *j) {
  size_t start = s->lines.len;
  j->first = s->next_n;
  if (j->removes) {
    fs_line_removal(&s->lines, s->next_n, yoi_sdk_str(j->log->id));
    if (s->lines.failed) {
      undo(s, j, start);
      return;
    }
    s->next_n++;
    return;
  }
  for (size_t i = 0; i < j->n; i++) add_record(s, j, i);
  if (!s->lines.failed)
    j->chunk = fs_chunk_new(s->lines.data + start, s->lines.len - start);
  if (j->chunk == NULL) {
    undo(s, j, start);
    return;
  }
  s->next_n += j->n;
  j->chunk->records = (uint32_t)j->n;
  for (size_t i = 0; i < j->n; i++) j->chunk->items += (uint32_t)eng_frame_is_item(j->frames[i]);
  j->chunk->mark = j->mark;
  j->chunk->seq = j->frames[0]->pos.sequence;
  j->chunk->last = s->next_n - 1;
  if (j->mark == ENG_MARK_STOPPED)
    j->chunk->stopped_ms = fs_line_at_ms(j->frames[j->n - 1]->ev.text);
}

static void add_batch_line(struct fs_store *s, const struct batch *b) {
  size_t start;
  fs_line_batch_begin(&s->lines, s->next_n, &start);
  for (const struct fs_job *j = b->first; j != NULL; j = j->next) {
    if (j->st != YOI_OK) continue;
    for (size_t i = 0; i < j->n; i++)
      fs_line_batch_add(&s->lines, yoi_sdk_str(j->log->id), j->frames[i]->pos.sequence);
    if (j->removes) fs_line_batch_add(&s->lines, yoi_sdk_str(j->log->id), 0);
  }
  fs_line_batch_end(&s->lines, start, s->durable);
  s->next_n++;
}

/* ---- the disk ---------------------------------------------------------------- */

static int make_durable(struct fs_store *s) {
  uint64_t upto = s->next_n - 1;
  int error = fs_segment_sync(s);
  s->unsynced_ns = 0;
  if (error != 0) return error;
  s->durable = upto;
  return 0;
}

static int write_lines(struct fs_store *s, uint64_t first) {
  int error = s->lines.failed ? ENOMEM : fs_segment_write(s, first, s->lines.data, s->lines.len);
  if (error != 0) s->next_n = first;
  return error;
}

int fs_commit_lines(struct fs_store *s, uint64_t first) {
  int error = write_lines(s, first);
  if (error != 0) return error;
  error = make_durable(s);
  if (error != 0) fs_segment_cut(s, s->lines.len);
  return error;
}

static int write_relaxed(struct fs_store *s, uint64_t first) {
  int error = write_lines(s, first);
  if (error == 0 && s->unsynced_ns == 0) s->unsynced_ns = fs_mono();
  return error;
}

/* Not waited for: it only says that the last batch was no torn one. */
static void seal(struct fs_store *s) {
  if (s->segment.fd < 0 || s->durable + 1 != s->next_n) return;
  yoi_sdk_buf_clear(&s->lines);
  fs_line_seal(&s->lines, s->next_n, s->durable);
  if (s->lines.failed || s->segment.at + s->lines.len > s->segment.size) return;
  if (fs_segment_write(s, s->next_n, s->lines.data, s->lines.len) != 0) return;
  s->next_n++;
}

/* ---- telling ------------------------------------------------------------------ */

/* mu held. */
static void apply(struct fs_store *s, const struct batch *b) {
  for (struct fs_job *j = b->first; j != NULL; j = j->next) {
    if (j->st != YOI_OK) continue;
    if (j->removes) {
      j->log->removed_n = j->first;
      fs_log_dirty(s, j->log);
    } else {
      fs_log_chunk(s, j->log, j->chunk);
      j->chunk = NULL;
    }
  }
  s->committed = s->next_n - 1;
  s->log_bytes += s->lines.len;
}

static void tell(struct fs_store *s, struct batch *b) {
  for (struct fs_job *j = b->first, *next; j != NULL; j = next) {
    next = j->next;
    for (size_t i = 0; i < j->n; i++) eng_frame_unref(j->frames[i]);
    fs_chunk_unref(j->chunk);
    struct eng_ticket *t = j->ticket;
    yoi_status st = j->st;
    pthread_mutex_lock(&s->mu);
    fs_log_unref(s, j->log);
    pthread_mutex_unlock(&s->mu);
    yoi_sdk_free(j);
    t->done(t, st, NULL, 0);
  }
}

static void commit(struct fs_store *s, struct batch *b, bool refuses) {
  uint64_t first = s->next_n, begun = fs_mono();
  int error = refuses ? EROFS : 0;
  yoi_sdk_buf_clear(&s->lines);
  for (struct fs_job *j = b->first; j != NULL && !refuses; j = j->next)
    if (j->st == YOI_OK) add_job(s, j);
  if (error == 0 && s->next_n > first) {
    uint64_t records = s->next_n - first;
    add_batch_line(s, b);
    error = s->config.relaxed ? write_relaxed(s, first) : fs_commit_lines(s, first);
    yoi_sdk_metric_observe(&s->metrics, s->metric.commit_time, fs_mono() - begun);
    if (error == 0) yoi_sdk_metric_add(&s->metrics, s->metric.records, records);
    if (error == 0) yoi_sdk_metric_add(&s->metrics, s->metric.bytes, s->lines.len);
  }
  if (error != 0 && !refuses) fs_log(s, YOI_LOG_WARN, "cannot write to the log", "log", error);
  for (struct fs_job *j = b->first; j != NULL; j = j->next)
    if (error != 0 && j->st == YOI_OK) j->st = YOI_INTERNAL;
  pthread_mutex_lock(&s->mu);
  if (error == 0) {
    apply(s, b);
    fs_amiss_over(s, FS_AMISS_WRITE);
    if (s->log_bytes >= s->config.checkpoint_bytes) pthread_cond_signal(&s->keep);
  } else if (!refuses) {
    fs_amiss(s, FS_AMISS_WRITE);
  }
  pthread_mutex_unlock(&s->mu);
  tell(s, b);
}

/* mu held: waits for work, or until something must be synced. */
static void wait_for_work(struct fs_store *s) {
  if (s->unsynced_ns == 0) {
    pthread_cond_wait(&s->work, &s->mu);
    return;
  }
  uint64_t at = s->unsynced_ns + s->config.relaxed_ms * 1000000u;
  struct timespec until = {.tv_sec = (time_t)(at / 1000000000u),
                           .tv_nsec = (long)(at % 1000000000u)};
  pthread_cond_timedwait(&s->work, &s->mu, &until);
}

static bool sync_is_due(struct fs_store *s) {
  return s->unsynced_ns != 0 &&
         fs_mono() >= s->unsynced_ns + s->config.relaxed_ms * 1000000u;
}

static void carry(struct fs_store *s, struct fs_carry *c) {
  c->error = fs_carry_over(s, c->logs, &c->upto);
  pthread_mutex_lock(&s->mu);
  s->carry = NULL;
  c->done = true;
  pthread_cond_broadcast(&s->carried);
  pthread_mutex_unlock(&s->mu);
}

/* From here on the keeper writes to the log, unless it has just asked for it. */
static bool end(struct fs_store *s) {
  pthread_mutex_lock(&s->mu);
  s->committer_over = s->carry == NULL;
  bool over = s->committer_over;
  pthread_cond_signal(&s->keep);
  pthread_mutex_unlock(&s->mu);
  return over;
}

void *fs_commit_run(void *store) {
  struct fs_store *s = store;
  for (;;) {
    pthread_mutex_lock(&s->mu);
    while (s->jobs == NULL && s->carry == NULL && !s->stopping && !sync_is_due(s))
      wait_for_work(s);
    struct fs_carry *c = s->carry;
    bool over = s->jobs == NULL && c == NULL && s->stopping;
    bool is_broken = s->broken;
    bool refuses = is_broken || s->log_bytes / LOG_TIMES > s->config.checkpoint_bytes;
    struct batch b = take(s);
    bool last = s->jobs == NULL;
    pthread_mutex_unlock(&s->mu);
    if (b.n > 0) commit(s, &b, refuses);
    if (!is_broken && s->unsynced_ns != 0 && (over || sync_is_due(s))) (void)make_durable(s);
    if (c != NULL) carry(s, c);
    if (over && end(s)) return NULL;
    if (last && !refuses && (b.n > 0 || c != NULL) && !fs_is_broken(s)) seal(s);
  }
}
