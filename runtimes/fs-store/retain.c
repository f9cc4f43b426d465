/* retain.c - stopped workers that are kept no longer.
 *
 *   keeper: who is over a limit --> archive/, a second name, synced --> listed
 *   engine: takes them from the list, and deletes them as a client would
 *     --> a removal in the log --> keeper: the worker's file goes
 *
 * Invariants:
 *  1. Only what stands in its file whole can be listed, and a stopped worker
 *     gets no more records; so that a second name of its file is a copy of its
 *     history that costs nothing and cannot be half done.
 *  2. Nothing is listed that could not be archived, if it is to be.
 *  3. The list is made anew each time: what was taken from it and is still
 *     there, since the engine failed or the process died, is in the next one,
 *     and its second name is there already.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_fs.h"

#define SLICE YOI_SDK_HARD(512u, 2u) /* logs that are looked at under one lock */

/* The oldest of all that were put in: a heap, the newest of them on top. */
struct oldest {
  struct eng_log *logs[FS_EXPIRED_MAX]; /* references */
  size_t n;
  uint64_t bytes; /* of all, of those that are not in it too */
};

static bool is_newer(const struct eng_log *a, const struct eng_log *b) {
  return a->stopped_ms > b->stopped_ms;
}

static void swap(struct eng_log **a, struct eng_log **b) {
  struct eng_log *was = *a;
  *a = *b;
  *b = was;
}

static void sink(struct oldest *o, size_t at) {
  for (size_t child; (child = 2 * at + 1) < o->n; at = child) {
    if (child + 1 < o->n && is_newer(o->logs[child + 1], o->logs[child])) child++;
    if (!is_newer(o->logs[child], o->logs[at])) return;
    swap(&o->logs[child], &o->logs[at]);
  }
}

/* mu held. */
static void put(struct fs_store *s, struct oldest *o, struct eng_log *log) {
  if (o->n < FS_EXPIRED_MAX) {
    log->refs++;
    size_t at = o->n++;
    o->logs[at] = log;
    for (; at > 0 && is_newer(o->logs[at], o->logs[(at - 1) / 2]); at = (at - 1) / 2)
      swap(&o->logs[at], &o->logs[(at - 1) / 2]);
  } else if (is_newer(o->logs[0], log)) {
    log->refs++;
    fs_log_unref(s, o->logs[0]);
    o->logs[0] = log;
    sink(o, 0);
  }
}

/* mu held: stopped, all of it in its file, and since when is known. */
static bool may_go(const struct eng_log *log) {
  return log->file_mark == ENG_MARK_STOPPED && log->chunks == NULL && log->removed_n == 0 &&
         !log->damaged && log->file_bytes > 0 && log->stopped_ms > 0;
}

/* mu held: looks at the next logs behind `log`, of which there is a reference;
 * the last that was looked at, or NULL. */
static struct eng_log *put_slice(struct fs_store *s, struct eng_log *log, struct oldest *o) {
  for (size_t i = 0; i < SLICE; i++) {
    log = log->next;
    if (log == &s->all) return NULL;
    if (!may_go(log)) continue;
    o->bytes += log->file_bytes;
    put(s, o, log);
  }
  return log;
}

static int by_age(const void *a, const void *b) {
  const struct eng_log *x = *(struct eng_log *const *)a, *y = *(struct eng_log *const *)b;
  return is_newer(x, y) - is_newer(y, x);
}

static void find_oldest(struct fs_store *s, struct oldest *o) {
  struct eng_log *at = &s->all;
  while (at != NULL) {
    pthread_mutex_lock(&s->mu);
    struct eng_log *was = at;
    at = put_slice(s, at, o);
    if (at != NULL) at->refs++;
    if (was != &s->all) fs_log_unref(s, was);
    pthread_mutex_unlock(&s->mu);
  }
  if (o->n > 1) qsort(o->logs, o->n, sizeof o->logs[0], by_age);
}

/* false: it has to stay. */
static bool archive(struct fs_store *s, const struct eng_log *log) {
  int error = fs_archive_worker(&s->root, yoi_sdk_str(log->id), log->birth.epoch);
  if (error == 0) return true;
  pthread_mutex_lock(&s->mu);
  bool gone = log->removed_n != 0; /* meanwhile, by a client */
  if (!gone) fs_amiss(s, FS_AMISS_ARCHIVE);
  pthread_mutex_unlock(&s->mu);
  if (!gone) fs_log(s, YOI_LOG_ERROR, "a worker cannot be archived, and stays", log->id, error);
  return false;
}

/* mu held. */
static void drop_list(struct fs_store *s) {
  while (s->next_expired < s->n_expired) fs_log_unref(s, s->expired[s->next_expired++]);
  s->n_expired = s->next_expired = 0;
}

void fs_retain(struct fs_store *s) {
  struct oldest o = {.n = 0};
  uint64_t now_ms = s->clock->wall_ns(s->host) / 1000000u;
  const struct fs_config *c = &s->config;
  if (!s->head.expires) return;
  pthread_mutex_lock(&s->mu);
  drop_list(s);
  fs_amiss_over(s, FS_AMISS_ARCHIVE);
  pthread_mutex_unlock(&s->mu);
  find_oldest(s, &o);
  struct eng_log *go[FS_EXPIRED_MAX];
  size_t n = 0;
  for (size_t i = 0; i < o.n; i++) {
    struct eng_log *log = o.logs[i];
    bool old = c->max_age_s > 0 && log->stopped_ms + c->max_age_s * 1000u <= now_ms;
    bool over = c->max_bytes > 0 && o.bytes > c->max_bytes;
    if ((!old && !over) || (c->archive && !archive(s, log))) continue;
    o.bytes -= log->file_bytes;
    go[n++] = log;
  }
  pthread_mutex_lock(&s->mu);
  for (size_t i = 0; i < n; i++) {
    go[i]->refs++;
    s->expired[i] = go[i];
  }
  s->n_expired = n;
  for (size_t i = 0; i < o.n; i++) fs_log_unref(s, o.logs[i]);
  pthread_mutex_unlock(&s->mu);
}

int fs_expired(struct fs_store *s, struct eng_expired *out) {
  pthread_mutex_lock(&s->mu);
  bool one = s->next_expired < s->n_expired;
  if (one) {
    struct eng_log *log = s->expired[s->next_expired++];
    snprintf(out->worker_id, sizeof out->worker_id, "%s", log->id);
    out->epoch = log->birth.epoch;
    fs_log_unref(s, log);
  }
  pthread_mutex_unlock(&s->mu);
  return one;
}
