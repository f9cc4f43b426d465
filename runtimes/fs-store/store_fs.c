/* store_fs.c - the store as the engine sees it: what is asked goes into a
 * queue, and a thread does it.
 *
 *   fs_store_new -> open: root, recover, names, threads -> ... -> stop: the
 *   queue is emptied, a last checkpoint, threads end -> close
 *
 * A log is freed when nobody refers to it: the engine, a job, a read, the
 * list of those that are dirty, or the store itself, for which it stands as
 * long as there are records: what the engine has in hand decides nothing about
 * what is in the index.
 */
#include "store_fs.h"

#include <errno.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* ---- telling ------------------------------------------------------------------ */

void fs_log(const struct fs_store *s, uint32_t level, const char *msg, const char *file,
            int error) {
  yoi_log_field fields[3];
  size_t n = 0;
  if (s->log == NULL || !s->log->enabled(s->host, level)) return;
  fields[n++] = (yoi_log_field){YOI_LIT("root"), yoi_sdk_str(s->config.root)};
  if (file[0] != '\0') fields[n++] = (yoi_log_field){YOI_LIT("file"), yoi_sdk_str(file)};
  if (error != 0) fields[n++] = (yoi_log_field){YOI_LIT("error"), yoi_sdk_str(strerror(error))};
  s->log->write(s->host, level, yoi_sdk_str(msg), (yoi_str){0}, fields, n);
}

uint64_t fs_mono(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void fs_amiss(struct fs_store *s, enum fs_amiss what) {
  s->amiss[what].count++;
  s->amiss[what].last_ns = s->clock->wall_ns(s->host);
  s->amiss[what].now = true;
}

void fs_amiss_over(struct fs_store *s, enum fs_amiss what) {
  s->amiss[what].now = false;
}

static size_t store_amiss(struct eng_store *store, struct eng_amiss out[ENG_AMISS_MAX]) {
  static const struct {
    const char *severity, *message;
    bool stays; /* it is not over with its cause */
  } texts[FS_AMISS_COUNT] = {
      [FS_AMISS_WRITE] = {"error", "the log cannot be written", false},
      [FS_AMISS_SYNC] = {"error", "a write could not be made durable: nothing is written any more "
                                  "until the runtime is started again", true},
      [FS_AMISS_KEEP] = {"warning", "histories cannot be brought from the log into their files",
                         false},
      [FS_AMISS_ARCHIVE] = {"warning", "stopped workers that are to go cannot be archived, "
                                        "and stay", false},
      [FS_AMISS_INDEX] = {"warning", "the index was of no use and was made anew", true},
      [FS_AMISS_LOST] = {"error", "records of a worker are damaged or lost", true},
      [FS_AMISS_BUNDLE] = {"warning", "the file of a bundle was damaged: it is missing until it "
                                      "is put again", true},
  };
  struct fs_store *s = fs_of(store);
  size_t n = 0;
  pthread_mutex_lock(&s->mu);
  for (int i = 0; i < FS_AMISS_COUNT; i++) {
    if (s->amiss[i].count == 0 || (!texts[i].stays && !s->amiss[i].now)) continue;
    bool damage = i == FS_AMISS_LOST;
    out[n++] = (struct eng_amiss){.code = damage ? "store_corrupt" : "store_error",
                                  .severity = texts[i].severity,
                                  .message = texts[i].message,
                                  .count = s->amiss[i].count,
                                  .last_ns = s->amiss[i].last_ns};
  }
  pthread_mutex_unlock(&s->mu);
  return n;
}

/* ---- logs ---------------------------------------------------------------------- */

struct eng_log *fs_log_add(struct fs_store *s, yoi_str id, const struct eng_birth *birth) {
  struct eng_log *log = yoi_sdk_calloc(1, sizeof *log + id.len + 1);
  if (log == NULL) return NULL;
  log->id = memcpy((char *)log + sizeof *log, id.ptr, id.len);
  log->birth = *birth;
  log->refs = 1;
  log->next = &s->all;
  log->prev = s->all.prev;
  log->prev->next = log;
  s->all.prev = log;
  s->n_logs++;
  return log;
}

void fs_log_unref(struct fs_store *s, struct eng_log *log) {
  if (--log->refs > 0) return;
  log->prev->next = log->next;
  log->next->prev = log->prev;
  s->n_logs--;
  for (struct fs_chunk *c = log->chunks, *next; c != NULL; c = next) {
    next = c->next;
    fs_chunk_unref(c);
  }
  yoi_sdk_free(log->offsets);
  yoi_sdk_free(log);
}

void fs_log_keep(struct eng_log *log) {
  if (!log->kept) log->refs++;
  log->kept = true;
}

void fs_log_let_go(struct fs_store *s, struct eng_log *log) {
  if (!log->kept) return;
  log->kept = false;
  fs_log_unref(s, log);
}

void fs_log_lose(struct fs_store *s, struct eng_log *log, uint64_t seq) {
  log->damaged = s->changed = true;
  if (seq > log->lost_seq) log->lost_seq = seq;
}

void fs_log_dirty(struct fs_store *s, struct eng_log *log) {
  s->changed = true;
  if (log->dirty) return;
  log->dirty = true;
  log->dirty_next = NULL;
  log->refs++;
  *s->dirty_tail = log;
  s->dirty_tail = &log->dirty_next;
}

void fs_logs_free(struct fs_store *s) {
  while (s->all.next != &s->all) {
    s->all.next->refs = 1;
    fs_log_unref(s, s->all.next);
  }
  s->dirty = NULL;
  s->dirty_tail = &s->dirty;
}

static struct eng_log *store_log_new(struct eng_store *store, yoi_str worker_id,
                                     const struct eng_birth *birth) {
  struct fs_store *s = fs_of(store);
  pthread_mutex_lock(&s->mu);
  struct eng_log *log = fs_log_add(s, worker_id, birth);
  pthread_mutex_unlock(&s->mu);
  return log;
}

static void store_log_free(struct eng_store *store, struct eng_log *log) {
  struct fs_store *s = fs_of(store);
  if (log == NULL) return;
  pthread_mutex_lock(&s->mu);
  fs_log_unref(s, log);
  pthread_mutex_unlock(&s->mu);
}

static void store_log_rest(struct eng_store *store, struct eng_log *log) {
  struct fs_store *s = fs_of(store);
  pthread_mutex_lock(&s->mu);
  yoi_sdk_free(log->offsets);
  log->offsets = NULL;
  log->n_offsets = log->cap_offsets = 0;
  pthread_mutex_unlock(&s->mu);
}

/* ---- asking --------------------------------------------------------------------- */

static void put_job(struct fs_store *s, struct fs_job *j, struct eng_log *log,
                    struct eng_ticket *t) {
  j->log = log;
  j->ticket = t;
  j->next = NULL;
  pthread_mutex_lock(&s->mu);
  log->refs++;
  /* Behind what is lost nothing could be read. */
  if (log->damaged && !j->removes) j->st = YOI_DATA_LOSS;
  else if (!j->removes && fs_carry_full(s, log)) j->st = YOI_INTERNAL;
  *s->jobs_tail = j;
  s->jobs_tail = &j->next;
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->mu);
}

static void store_append(struct eng_store *store, struct eng_log *log,
                         struct eng_frame *const *frames, size_t n, enum eng_mark mark,
                         struct eng_ticket *t) {
  struct fs_job *j = yoi_sdk_calloc(1, sizeof *j + n * sizeof *j->frames);
  if (j == NULL) {
    t->done(t, YOI_RESOURCE_EXHAUSTED, NULL, 0);
    return;
  }
  for (size_t i = 0; i < n; i++) j->frames[i] = eng_frame_ref(frames[i]);
  j->n = n;
  j->mark = mark;
  put_job(fs_of(store), j, log, t);
}

static void store_remove(struct eng_store *store, struct eng_log *log, struct eng_ticket *t) {
  struct fs_job *j = yoi_sdk_calloc(1, sizeof *j);
  if (j == NULL) {
    t->done(t, YOI_RESOURCE_EXHAUSTED, NULL, 0);
    return;
  }
  j->removes = true;
  put_job(fs_of(store), j, log, t);
}

static void store_read(struct eng_store *store, struct eng_log *log, uint64_t from, size_t limit,
                       int items_only, struct eng_ticket *t) {
  struct fs_store *s = fs_of(store);
  struct fs_read *r = yoi_sdk_malloc(sizeof *r);
  if (r == NULL) {
    t->done(t, YOI_RESOURCE_EXHAUSTED, NULL, 0);
    return;
  }
  *r = (struct fs_read){
      .log = log, .ticket = t, .from = from, .limit = limit, .items_only = items_only};
  pthread_mutex_lock(&s->mu);
  log->refs++;
  pthread_mutex_unlock(&s->mu);
  fs_read_put(s, r);
}

static void put_change(struct fs_store *s, const char *digest, struct eng_text *bytes,
                       struct eng_ticket *t) {
  struct fs_read *r = yoi_sdk_calloc(1, sizeof *r);
  if (r == NULL) {
    t->done(t, YOI_RESOURCE_EXHAUSTED, NULL, 0);
    return;
  }
  r->ticket = t;
  r->bytes = bytes != NULL ? eng_text_ref(bytes) : NULL;
  snprintf(r->digest, sizeof r->digest, "%s", digest);
  fs_read_put(s, r);
}

static void store_bundle_put(struct eng_store *store, const char *digest, struct eng_text *bytes,
                             struct eng_ticket *t) {
  put_change(fs_of(store), digest, bytes, t);
}

static void store_bundle_remove(struct eng_store *store, const char *digest,
                                struct eng_ticket *t) {
  put_change(fs_of(store), digest, NULL, t);
}

static yoi_status store_bundles(struct eng_store *store,
                                void (*found)(void *ctx, yoi_str digest, yoi_str bytes), void *ctx,
                                yoi_error *err) {
  return fs_shelf_open(fs_of(store), found, ctx, err);
}

/* ---- life ------------------------------------------------------------------------ */

static int start_threads(struct fs_store *s) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* they inherit it */
  int error = pthread_create(&s->committer, NULL, fs_commit_run, s);
  s->started.committer = error == 0;
  if (error == 0) error = pthread_create(&s->keeper, NULL, fs_keep_run, s);
  if (error == 0) s->started.keeper = true;
  for (size_t i = 0; i < FS_READERS && error == 0; i++) {
    error = pthread_create(&s->readers[i], NULL, fs_read_run, &s->reads[i]);
    if (error == 0) s->started.readers++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

/* Every worker that is there. */
static void name_all(struct fs_store *s, void (*found)(void *ctx, const struct eng_found *f),
                     void *ctx) {
  for (struct eng_log *log = s->all.next, *next; log != &s->all; log = next) {
    next = log->next;
    if (log->removed_n != 0) {
      fs_log_unref(s, log); /* the keeper has it too */
      continue;
    }
    struct eng_found f = {.worker_id = yoi_sdk_str(log->id),
                          .birth = log->birth,
                          .mark = (enum eng_mark)log->file_mark,
                          .sequence = log->seq,
                          .log = log};
    if (log->last_chunk != NULL) f.mark = log->last_chunk->mark;
    if (log->damaged) f.mark = ENG_MARK_CORRUPT;
    found(ctx, &f);
  }
}

static yoi_status store_open(struct eng_store *store,
                             void (*found)(void *ctx, const struct eng_found *f), void *ctx,
                             yoi_error *err) {
  struct fs_store *s = fs_of(store);
  yoi_status st = fs_root_open(&s->root, s->config.root, s->clock->wall_ns(s->host), err);
  if (st == YOI_OK) s->head.id = s->root.store;
  if (st == YOI_OK) st = fs_recover(s, err);
  if (st != YOI_OK) return st;
  name_all(s, found, ctx);
  if (start_threads(s) != 0)
    return yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the store's threads cannot be started");
  return YOI_OK;
}

static void store_stop(struct eng_store *store) {
  struct fs_store *s = fs_of(store);
  /* The readers first: what they end may append. */
  for (size_t i = 0; i < s->started.readers; i++) {
    pthread_mutex_lock(&s->reads[i].mu);
    s->reads[i].stopping = true;
    pthread_cond_signal(&s->reads[i].work);
    pthread_mutex_unlock(&s->reads[i].mu);
    pthread_join(s->readers[i], NULL);
  }
  pthread_mutex_lock(&s->mu);
  s->stopping = true;
  if (!s->started.committer) s->committer_over = true;
  pthread_cond_signal(&s->work);
  pthread_cond_signal(&s->keep);
  pthread_mutex_unlock(&s->mu);
  if (s->started.committer) pthread_join(s->committer, NULL);
  if (s->started.keeper) pthread_join(s->keeper, NULL);
}

static void store_close(struct eng_store *store) {
  struct fs_store *s = fs_of(store);
  fs_logs_free(s);
  fs_segment_close(s);
  yoi_sdk_buf_release(&s->lines);
  fs_root_close(&s->root);
  for (size_t i = 0; i < FS_READERS; i++) {
    pthread_cond_destroy(&s->reads[i].work);
    pthread_mutex_destroy(&s->reads[i].mu);
  }
  pthread_cond_destroy(&s->carried);
  pthread_cond_destroy(&s->keep);
  pthread_cond_destroy(&s->work);
  pthread_mutex_destroy(&s->mu);
  yoi_sdk_free(s->config.root);
  yoi_sdk_free(s);
}

static void make_metrics(struct fs_store *s) {
  const struct yoi_sdk_metrics *m = &s->metrics;
  s->metric.commit_time =
      yoi_sdk_metric(m, YOI_METRIC_HISTOGRAM, "yoi_store_commit_seconds",
                     "How long one write of the log and its sync took.", NULL);
  s->metric.records = yoi_sdk_metric(m, YOI_METRIC_COUNTER, "yoi_store_records_total",
                                     "Records written to the log.", NULL);
  s->metric.bytes = yoi_sdk_metric(m, YOI_METRIC_COUNTER, "yoi_store_log_bytes_total",
                                   "Bytes written to the log.", NULL);
  s->metric.checkpoint_time =
      yoi_sdk_metric(m, YOI_METRIC_HISTOGRAM, "yoi_store_checkpoint_seconds",
                     "How long it took to bring the log into the workers' files.", NULL);
  s->metric.recovery_time =
      yoi_sdk_metric(m, YOI_METRIC_HISTOGRAM, "yoi_store_recovery_seconds",
                     "How long it took to find all workers at the start.", NULL);
}

static int store_expired(struct eng_store *store, struct eng_expired *out) {
  return fs_expired(fs_of(store), out);
}

static const struct eng_store_ops ops = {
    .open = store_open,
    .log_new = store_log_new,
    .log_free = store_log_free,
    .log_rest = store_log_rest,
    .append = store_append,
    .read = store_read,
    .remove = store_remove,
    .bundles = store_bundles,
    .bundle_put = store_bundle_put,
    .bundle_remove = store_bundle_remove,
    .amiss = store_amiss,
    .expired = store_expired,
    .stop = store_stop,
    .close = store_close,
};

static void init_condition(pthread_cond_t *c) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(c, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

yoi_status fs_store_new(const yoi_host *host, const struct fs_config *config,
                        struct eng_store **out, yoi_error *err) {
  struct fs_store *s = yoi_sdk_calloc(1, sizeof *s);
  if (s == NULL) return yoi_sdk_fail_memory(err);
  s->config = *config;
  s->config.root = yoi_sdk_strndup(config->root, strlen(config->root));
  s->host = host;
  s->clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *s->clock);
  s->log = yoi_sdk_host_get(host, YOI_HOST_LOG_ID, sizeof *s->log);
  if (s->config.root == NULL || s->clock == NULL) {
    yoi_status st = s->clock != NULL
                        ? yoi_sdk_fail_memory(err)
                        : yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no clocks");
    yoi_sdk_free(s->config.root);
    yoi_sdk_free(s);
    return st;
  }
  s->head.ops = &ops;
  s->head.expires = config->max_age_s > 0 || config->max_bytes > 0;
  s->metrics = yoi_sdk_metrics_of(host);
  make_metrics(s);
  s->root = (struct fs_root){.fd = -1, .log_fd = -1, .workers_fd = -1, .lock_fd = -1};
  s->segment.fd = -1;
  s->next_n = 1;
  s->jobs_tail = &s->jobs;
  s->dirty_tail = &s->dirty;
  s->all.next = s->all.prev = &s->all;
  yoi_sdk_buf_init(&s->lines, SIZE_MAX / 2);
  pthread_mutex_init(&s->mu, NULL);
  init_condition(&s->work);
  init_condition(&s->keep);
  init_condition(&s->carried);
  for (size_t i = 0; i < FS_READERS; i++) {
    s->reads[i].s = s;
    s->reads[i].tail = &s->reads[i].first;
    pthread_mutex_init(&s->reads[i].mu, NULL);
    pthread_cond_init(&s->reads[i].work, NULL);
  }
  *out = &s->head;
  return YOI_OK;
}
