/* store_mem.c - histories in memory: a vector of frames per worker.
 *
 * Nothing is copied: the record that was appended is the frame that watchers
 * saw. Two further modes exist for tests, which is why the engine may trust
 * that another store changes nothing in it: late (a ticket completes when the
 * test says so) and failing at the n-th write. Invariants:
 *
 *  1. Record i of a log has the sequence i + 1.
 *  2. No ticket completes under a lock. A lock is never held with another.
 *  3. Late: everything happens when the ticket completes, in the order in
 *     which it was asked for.
 *
 * Locks: one of 64 stripes guards a log; the store's own guards the queue.
 */
#include "store_mem.h"

#include <assert.h>
#include <pthread.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sdk/id.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yoi/limits.h>

#define STRIPES YOI_SDK_HARD(64u, 1u)

struct eng_log {
  struct eng_frame **frames;
  uint64_t n, cap;
  uint32_t stripe;
  bool kept; /* it is one of a vault: the beginning of a vault_log */
};

/* A vault's lock guards its list; what is in a log, that log's stripe. */
struct vault_log {
  struct eng_log log;
  struct vault_log *next;
  struct eng_vault *vault;
  struct eng_birth birth;
  enum eng_mark mark;
  uint64_t damaged; /* from this sequence on; 0: sound */
  size_t id_len;
  char id[YOI_ID_MAX];
};
/* What was asked for, and which of it is to fail. */
struct counts {
  uint64_t writes, fail_at, fail_times, reads, fail_read_at, fail_read_times;
};

struct vault_bundle {
  struct vault_bundle *next;
  struct eng_text *bytes;
  char digest[YOI_SDK_DIGEST_SIZE];
};

struct eng_vault {
  pthread_mutex_t mu;
  struct vault_log *first;
  struct vault_bundle *bundles;
  struct counts counts; /* of the last store, for the next one */
  bool expires;
  struct eng_expired expired; /* without an id: nobody is */
};

enum job_kind { JOB_APPEND, JOB_READ, JOB_REMOVE, JOB_BUNDLE };

struct job {
  struct job *next;
  enum job_kind kind;
  struct eng_log *log;
  struct eng_ticket *ticket;
  enum eng_mark mark; /* append */
  uint64_t from;      /* read */
  size_t n;           /* append: frames; read: limit */
  int items_only;
  struct eng_text *bytes; /* bundle: a reference; NULL: it is removed */
  char digest[YOI_SDK_DIGEST_SIZE];
  struct eng_frame *frames[];
};

struct mem_store {
  struct eng_store head;
  struct eng_vault *vault; /* NULL: it ends with the store */
  bool late;
  void (*queued)(void *ctx);
  void *ctx;
  pthread_mutex_t mu; /* the queue and the counters */
  struct job *jobs, **tail;
  size_t n_jobs;
  struct counts counts;
  uint32_t next_stripe;
  pthread_mutex_t stripes[STRIPES];
};

static struct mem_store *mem_of(struct eng_store *s) {
  return (struct mem_store *)s;
}

static struct eng_log *vault_log_new(struct eng_vault *v, yoi_str id,
                                     const struct eng_birth *birth) {
  struct vault_log *l = yoi_sdk_calloc(1, sizeof *l);
  if (!l) return NULL;
  assert(id.len <= sizeof l->id);
  memcpy(l->id, id.ptr, id.len);
  l->id_len = id.len;
  l->birth = *birth;
  l->vault = v;
  l->log.kept = true;
  pthread_mutex_lock(&v->mu);
  l->next = v->first;
  v->first = l;
  pthread_mutex_unlock(&v->mu);
  return &l->log;
}

static struct eng_log *mem_log_new(struct eng_store *s, yoi_str worker_id,
                                   const struct eng_birth *birth) {
  struct mem_store *m = mem_of(s);
  struct eng_log *log = NULL;
  if (m->vault)
    log = vault_log_new(m->vault, worker_id, birth);
  else
    log = yoi_sdk_calloc(1, sizeof *log);
  if (!log) return NULL;
  pthread_mutex_lock(&m->mu);
  log->stripe = m->next_stripe++ % STRIPES;
  pthread_mutex_unlock(&m->mu);
  return log;
}

static void log_clear(struct eng_log *log) {
  for (uint64_t i = 0; i < log->n; i++) eng_frame_unref(log->frames[i]);
  yoi_sdk_free(log->frames);
  log->frames = NULL;
  log->n = log->cap = 0;
}

/* One without records is no worker. */
static void vault_leave(struct vault_log *l) {
  struct eng_vault *v = l->vault;
  if (l->log.n > 0) return;
  pthread_mutex_lock(&v->mu);
  struct vault_log **at = &v->first;
  while (*at != l) at = &(*at)->next;
  *at = l->next;
  pthread_mutex_unlock(&v->mu);
  log_clear(&l->log);
  yoi_sdk_free(l);
}

static void mem_log_free(struct eng_store *s, struct eng_log *log) {
  (void)s;
  if (!log) return;
  if (log->kept) {
    vault_leave((struct vault_log *)log);
    return;
  }
  log_clear(log);
  yoi_sdk_free(log);
}

static bool counts(uint64_t *asked, uint64_t at, uint64_t times) {
  ++*asked;
  return at > 0 && *asked >= at && *asked - at < times;
}

static bool write_fails(struct mem_store *m) {
  pthread_mutex_lock(&m->mu);
  bool fails = counts(&m->counts.writes, m->counts.fail_at, m->counts.fail_times);
  pthread_mutex_unlock(&m->mu);
  return fails;
}

static bool read_fails(struct mem_store *m) {
  pthread_mutex_lock(&m->mu);
  bool fails = counts(&m->counts.reads, m->counts.fail_read_at, m->counts.fail_read_times);
  pthread_mutex_unlock(&m->mu);
  return fails;
}

/* Small steps at first: most workers have a handful of records. */
static bool log_reserve(struct eng_log *log, size_t n) {
  if (log->n + n <= log->cap) return true;
  uint64_t cap = YOI_SDK_HARD(log->cap ? log->cap + log->cap / 2 + 4 : n, 0);
  if (cap < log->n + n) cap = log->n + n;
  struct eng_frame **frames = yoi_sdk_reallocarray(log->frames, cap, sizeof(struct eng_frame *));
  if (!frames) return false;
  log->frames = frames;
  log->cap = cap;
  return true;
}

static uint64_t damage_of(const struct eng_log *log) {
  return log->kept ? ((const struct vault_log *)log)->damaged : 0;
}

static void do_append(struct mem_store *m, struct eng_log *log, struct eng_frame *const *frames,
                      size_t n, enum eng_mark mark, struct eng_ticket *t) {
  yoi_status st = write_fails(m) ? YOI_INTERNAL : YOI_OK;
  pthread_mutex_lock(&m->stripes[log->stripe]);
  if (damage_of(log) > 0) st = YOI_DATA_LOSS;
  if (st == YOI_OK && !log_reserve(log, n)) st = YOI_RESOURCE_EXHAUSTED;
  for (size_t i = 0; st == YOI_OK && i < n; i++) {
    assert(frames[i]->pos.sequence == log->n + 1);
    log->frames[log->n++] = eng_frame_ref(frames[i]);
  }
  if (st == YOI_OK && log->kept) ((struct vault_log *)log)->mark = mark;
  pthread_mutex_unlock(&m->stripes[log->stripe]);
  t->done(t, st, NULL, 0);
}

static void do_read(struct mem_store *m, struct eng_log *log, uint64_t from, size_t limit,
                    int items_only, struct eng_ticket *t) {
  struct eng_frame *frames[YOI_REPLAY_BATCH_MAX];
  size_t n = 0;
  if (limit > YOI_REPLAY_BATCH_MAX) limit = YOI_REPLAY_BATCH_MAX;
  yoi_status st = read_fails(m) ? YOI_INTERNAL : YOI_OK;
  pthread_mutex_lock(&m->stripes[log->stripe]);
  uint64_t end = log->n, damaged = damage_of(log);
  if (damaged > 0 && damaged <= end) end = damaged - 1;
  for (uint64_t i = from > 0 ? from - 1 : 0; st == YOI_OK && i < end && n < limit; i++)
    if (!items_only || eng_frame_is_item(log->frames[i]))
      frames[n++] = eng_frame_ref(log->frames[i]);
  if (st == YOI_OK && damaged > 0 && n < limit) st = YOI_DATA_LOSS;
  pthread_mutex_unlock(&m->stripes[log->stripe]);
  t->done(t, st, frames, n);
}

static void do_remove(struct mem_store *m, struct eng_log *log, struct eng_ticket *t) {
  bool fails = write_fails(m);
  pthread_mutex_lock(&m->stripes[log->stripe]);
  if (!fails) log_clear(log);
  pthread_mutex_unlock(&m->stripes[log->stripe]);
  t->done(t, fails ? YOI_INTERNAL : YOI_OK, NULL, 0);
}

static void drop_bundle(struct vault_bundle **at) {
  struct vault_bundle *b = *at;
  *at = b->next;
  eng_text_unref(b->bytes);
  yoi_sdk_free(b);
}

/* One that is put again takes the place of the other. */
static void do_bundle(struct mem_store *m, const char *digest, struct eng_text *bytes,
                      struct eng_ticket *t) {
  struct eng_vault *v = m->vault;
  yoi_status st = write_fails(m) ? YOI_INTERNAL : YOI_OK;
  struct vault_bundle *b = st == YOI_OK && bytes ? yoi_sdk_calloc(1, sizeof *b) : NULL;
  if (st == YOI_OK && bytes && !b) st = YOI_RESOURCE_EXHAUSTED;
  pthread_mutex_lock(&v->mu);
  for (struct vault_bundle **at = &v->bundles; st == YOI_OK && *at;)
    if (strcmp((*at)->digest, digest) == 0)
      drop_bundle(at);
    else
      at = &(*at)->next;
  if (b) {
    b->bytes = eng_text_ref(bytes);
    (void)snprintf(b->digest, sizeof b->digest, "%s", digest);
    b->next = v->bundles;
    v->bundles = b;
  }
  pthread_mutex_unlock(&v->mu);
  t->done(t, st, NULL, 0);
}

/* 0: memory is short, and the ticket is done. */
static int enqueue(struct mem_store *m, const struct job *what, struct eng_frame *const *frames) {
  size_t n = what->kind == JOB_APPEND ? what->n : 0;
  struct job *j = yoi_sdk_malloc(sizeof *j + n * sizeof *j->frames);
  if (!j) {
    what->ticket->done(what->ticket, YOI_RESOURCE_EXHAUSTED, NULL, 0);
    return 0;
  }
  *j = *what;
  j->next = NULL;
  for (size_t i = 0; i < n; i++) j->frames[i] = eng_frame_ref(frames[i]);
  pthread_mutex_lock(&m->mu);
  *m->tail = j;
  m->tail = &j->next;
  m->n_jobs++;
  pthread_mutex_unlock(&m->mu);
  if (m->queued) m->queued(m->ctx);
  return 1;
}

static void mem_append(struct eng_store *s, struct eng_log *log, struct eng_frame *const *frames,
                       size_t n, enum eng_mark mark, struct eng_ticket *t) {
  struct mem_store *m = mem_of(s);
  if (!m->late) {
    do_append(m, log, frames, n, mark, t);
    return;
  }
  struct job j = {.kind = JOB_APPEND, .log = log, .ticket = t, .mark = mark, .n = n};
  (void)enqueue(m, &j, frames);
}

static void mem_read(struct eng_store *s, struct eng_log *log, uint64_t from, size_t limit,
                     int items_only, struct eng_ticket *t) {
  struct mem_store *m = mem_of(s);
  if (!m->late) {
    do_read(m, log, from, limit, items_only, t);
    return;
  }
  struct job j = {.kind = JOB_READ,
                  .log = log,
                  .ticket = t,
                  .from = from,
                  .n = limit,
                  .items_only = items_only};
  (void)enqueue(m, &j, NULL);
}

static void mem_remove(struct eng_store *s, struct eng_log *log, struct eng_ticket *t) {
  struct mem_store *m = mem_of(s);
  if (!m->late) {
    do_remove(m, log, t);
    return;
  }
  struct job j = {.kind = JOB_REMOVE, .log = log, .ticket = t};
  (void)enqueue(m, &j, NULL);
}

static struct job *dequeue(struct mem_store *m) {
  pthread_mutex_lock(&m->mu);
  struct job *j = m->jobs;
  if (j) {
    m->jobs = j->next;
    if (!m->jobs) m->tail = &m->jobs;
    m->n_jobs--;
  }
  pthread_mutex_unlock(&m->mu);
  return j;
}

static void job_free(struct job *j) {
  if (j->kind == JOB_APPEND)
    for (size_t i = 0; i < j->n; i++) eng_frame_unref(j->frames[i]);
  if (j->kind == JOB_BUNDLE) eng_text_unref(j->bytes);
  yoi_sdk_free(j);
}

int eng_store_mem_step(struct eng_store *s) {
  struct mem_store *m = mem_of(s);
  struct job *j = dequeue(m);
  if (!j) return 0;
  switch (j->kind) {
    case JOB_APPEND:
      do_append(m, j->log, j->frames, j->n, j->mark, j->ticket);
      break;
    case JOB_READ:
      do_read(m, j->log, j->from, j->n, j->items_only, j->ticket);
      break;
    case JOB_REMOVE:
      do_remove(m, j->log, j->ticket);
      break;
    case JOB_BUNDLE:
      do_bundle(m, j->digest, j->bytes, j->ticket);
      break;
  }
  job_free(j);
  return 1;
}

static void mem_stop(struct eng_store *s) {
  struct mem_store *m = mem_of(s);
  for (struct job *j; (j = dequeue(m)) != NULL; job_free(j))
    j->ticket->done(j->ticket, YOI_CANCELLED, NULL, 0);
}

static void mem_close(struct eng_store *s) {
  struct mem_store *m = mem_of(s);
  if (m->vault) m->vault->counts = m->counts;
  for (size_t i = 0; i < STRIPES; i++) pthread_mutex_destroy(&m->stripes[i]);
  pthread_mutex_destroy(&m->mu);
  yoi_sdk_free(m);
}

static const struct eng_store_ops mem_ops = {
    .log_new = mem_log_new,
    .log_free = mem_log_free,
    .append = mem_append,
    .read = mem_read,
    .remove = mem_remove,
    .stop = mem_stop,
    .close = mem_close,
};

/* ---- vaults ---- */

struct eng_vault *eng_vault_new(void) {
  struct eng_vault *v = yoi_sdk_calloc(1, sizeof *v);
  if (v) pthread_mutex_init(&v->mu, NULL);
  return v;
}

void eng_vault_free(struct eng_vault *v) {
  if (!v) return;
  while (v->first) {
    struct vault_log *l = v->first;
    v->first = l->next;
    log_clear(&l->log);
    yoi_sdk_free(l);
  }
  while (v->bundles) drop_bundle(&v->bundles);
  pthread_mutex_destroy(&v->mu);
  yoi_sdk_free(v);
}

static struct vault_log *vault_find(struct eng_vault *v, const char *id) {
  struct vault_log *l = v->first;
  while (l && !(l->id_len == strlen(id) && memcmp(l->id, id, l->id_len) == 0)) l = l->next;
  assert(l);
  return l;
}

size_t eng_vault_count(struct eng_vault *v, const char *id) {
  return (size_t)vault_find(v, id)->log.n;
}

void eng_vault_cut(struct eng_vault *v, const char *id, size_t n, enum eng_mark mark) {
  struct vault_log *l = vault_find(v, id);
  while (l->log.n > n) eng_frame_unref(l->log.frames[--l->log.n]);
  l->mark = mark;
}

void eng_vault_damage(struct eng_vault *v, const char *id, uint64_t sequence) {
  vault_find(v, id)->damaged = sequence;
}

const struct eng_frame *eng_vault_frame(struct eng_vault *v, const char *id, uint64_t sequence) {
  const struct eng_log *log = &vault_find(v, id)->log;
  assert(sequence >= 1 && sequence <= log->n);
  return log->frames[sequence - 1];
}

void eng_vault_replace(struct eng_vault *v, const char *id, uint64_t sequence,
                       struct eng_frame *f) {
  struct eng_log *log = &vault_find(v, id)->log;
  assert(sequence >= 1 && sequence <= log->n);
  eng_frame_unref(log->frames[sequence - 1]);
  log->frames[sequence - 1] = f;
}

/* The handles are the logs themselves: an engine at a time. */
static yoi_status vault_open(struct eng_store *s,
                             void (*found)(void *ctx, const struct eng_found *f), void *ctx,
                             yoi_error *err) {
  (void)err;
  struct vault_log *next;
  for (struct vault_log *l = mem_of(s)->vault->first; l; l = next) {
    next = l->next;
    struct eng_found f = {
        .worker_id = {l->id, l->id_len},
        .birth = l->birth,
        .mark = l->damaged ? ENG_MARK_CORRUPT : l->mark,
        .sequence = l->log.n,
        .log = &l->log,
    };
    found(ctx, &f);
  }
  return YOI_OK;
}

static yoi_status vault_bundles(struct eng_store *s,
                                void (*found)(void *ctx, yoi_str digest, yoi_str bytes), void *ctx,
                                yoi_error *err) {
  (void)err;
  for (const struct vault_bundle *b = mem_of(s)->vault->bundles; b; b = b->next)
    found(ctx, yoi_sdk_str(b->digest), eng_text_str(b->bytes));
  return YOI_OK;
}

static void change_bundle(struct eng_store *s, const char *digest, struct eng_text *bytes,
                          struct eng_ticket *t) {
  struct mem_store *m = mem_of(s);
  if (!m->late) {
    do_bundle(m, digest, bytes, t);
    return;
  }
  struct job j = {.kind = JOB_BUNDLE, .ticket = t, .bytes = bytes ? eng_text_ref(bytes) : NULL};
  (void)snprintf(j.digest, sizeof j.digest, "%s", digest);
  if (!enqueue(m, &j, NULL)) eng_text_unref(bytes);
}

static void vault_bundle_remove(struct eng_store *s, const char *digest, struct eng_ticket *t) {
  change_bundle(s, digest, NULL, t);
}

void eng_vault_expires(struct eng_vault *v) {
  v->expires = true;
}

void eng_vault_expire(struct eng_vault *v, const char *id, uint64_t epoch) {
  (void)snprintf(v->expired.worker_id, sizeof v->expired.worker_id, "%s", id);
  v->expired.epoch = epoch;
}

static int vault_expired(struct eng_store *s, struct eng_expired *out) {
  struct eng_vault *v = mem_of(s)->vault;
  *out = v->expired;
  v->expired.worker_id[0] = 0;
  return out->worker_id[0] != 0;
}

static const struct eng_store_ops vault_ops = {
    .open = vault_open,
    .bundles = vault_bundles,
    .bundle_put = change_bundle,
    .bundle_remove = vault_bundle_remove,
    .log_new = mem_log_new,
    .log_free = mem_log_free,
    .append = mem_append,
    .read = mem_read,
    .remove = mem_remove,
    .expired = vault_expired,
    .stop = mem_stop,
    .close = mem_close,
};

/* ---- making one ---- */

struct eng_store *eng_store_mem_new_in(struct eng_vault *v, bool late, void (*queued)(void *ctx),
                                       void *ctx) {
  struct eng_store *s = late ? eng_store_mem_new_late(queued, ctx) : eng_store_mem_new();
  if (!s) return NULL;
  mem_of(s)->vault = v;
  mem_of(s)->counts = v->counts;
  s->ops = &vault_ops;
  s->expires = v->expires;
  return s;
}

struct eng_store *eng_store_mem_new(void) {
  struct mem_store *m = yoi_sdk_calloc(1, sizeof *m);
  if (!m) return NULL;
  m->head.ops = &mem_ops;
  m->tail = &m->jobs;
  pthread_mutex_init(&m->mu, NULL);
  for (size_t i = 0; i < STRIPES; i++) pthread_mutex_init(&m->stripes[i], NULL);
  return &m->head;
}

struct eng_store *eng_store_mem_new_late(void (*queued)(void *ctx), void *ctx) {
  struct eng_store *s = eng_store_mem_new();
  if (!s) return NULL;
  mem_of(s)->late = true;
  mem_of(s)->queued = queued;
  mem_of(s)->ctx = ctx;
  return s;
}

size_t eng_store_mem_waiting(struct eng_store *s) {
  struct mem_store *m = mem_of(s);
  pthread_mutex_lock(&m->mu);
  size_t n = m->n_jobs;
  pthread_mutex_unlock(&m->mu);
  return n;
}

void eng_store_mem_fail(struct eng_store *s, uint64_t n, uint64_t times) {
  struct mem_store *m = mem_of(s);
  pthread_mutex_lock(&m->mu);
  m->counts.fail_at = n > 0 ? m->counts.writes + n : 0;
  m->counts.fail_times = times;
  pthread_mutex_unlock(&m->mu);
}

void eng_store_mem_fail_read(struct eng_store *s, uint64_t n, uint64_t times) {
  struct mem_store *m = mem_of(s);
  pthread_mutex_lock(&m->mu);
  m->counts.fail_read_at = n > 0 ? m->counts.reads + n : 0;
  m->counts.fail_read_times = times;
  pthread_mutex_unlock(&m->mu);
}

uint64_t eng_store_mem_writes(struct eng_store *s) {
  struct mem_store *m = mem_of(s);
  pthread_mutex_lock(&m->mu);
  uint64_t n = m->counts.writes;
  pthread_mutex_unlock(&m->mu);
  return n;
}
