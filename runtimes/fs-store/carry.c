/* carry.c - a worker whose file cannot be written must not keep the log from
 * being shortened: what the log has of it is written to the log once more.
 *
 *   keeper: a file fails --> asks --> committer: upto = the last number so far;
 *     all lines of such workers again, with new numbers, synced --> keeper: all
 *     others' up to upto into their files, the index of upto, less log
 *
 * So the lines of such a worker stand in the log as long as its file is of no
 * use, and each checkpoint moves them. Whenever the process dies, they are there
 * at least once: the old ones go after an index that says the new ones are
 * behind it. Where both are read, a record with a sequence that was there is
 * passed over (replay.c, invariant 2).
 * Invariants:
 *  1. All of a worker is carried at once, by the committer, so that nothing of
 *     it comes between; what comes later stands behind it.
 *  2. A removal that could not be done is carried too, so that the index may go
 *     on to name the worker; not when another of that id is there: then the
 *     first record of that one, with an epoch of its own, says the same.
 *  3. What is carried is bounded: beyond a part of checkpoint_bytes only those
 *     workers get no more records. They can be read, and deleted.
 */
#include <errno.h>
#include <sdk/mem.h>
#include <string.h>

#include "store_fs.h"

#define PART 4 /* of checkpoint_bytes: each checkpoint writes it again */

struct item {
  struct eng_log *log;
  struct fs_chunk *chunk; /* NULL: its removal */
  uint64_t n;             /* of its last line, now */
};

struct items {
  struct item *list;
  size_t n, cap;
  uint64_t bytes;
};

static int add(struct items *x, struct eng_log *log, struct fs_chunk *chunk) {
  if (x->n == x->cap) {
    size_t cap = x->cap * 2 + 16;
    struct item *more = yoi_sdk_reallocarray(x->list, cap, sizeof *more);
    if (more == NULL) return ENOMEM;
    x->list = more;
    x->cap = cap;
  }
  x->list[x->n++] = (struct item){.log = log, .chunk = chunk};
  x->bytes += chunk != NULL ? chunk->len : 0;
  return 0;
}

/* mu held: another of that id that has records; those are newer ones. */
static const struct eng_log *find_next(const struct fs_store *s, const struct eng_log *log) {
  for (const struct eng_log *next = log->next; next != &s->all; next = next->next)
    if (next->seq > 0 && strcmp(next->id, log->id) == 0) return next;
  return NULL;
}

/* mu held. */
static int collect(const struct fs_store *s, struct eng_log *log, struct items *x) {
  int error = 0;
  if (log->removed_n == 0) {
    for (struct fs_chunk *c = log->chunks; c != NULL && error == 0; c = c->next)
      error = add(x, log, c);
    return error;
  }
  const struct eng_log *next = find_next(s, log), *later = log->keep_next;
  if (next == NULL) return add(x, log, NULL);
  while (later != NULL && later != next) later = later->keep_next;
  return later != NULL ? 0 : EAGAIN; /* it came just now: the next time, with it */
}

/* ---- lines ------------------------------------------------------------------ */

static void put_chunk(struct fs_store *s, const struct fs_chunk *c) {
  for (yoi_str left = {c->bytes, c->len}; left.len > 0;) {
    const char *feed = memchr(left.ptr, '\n', left.len);
    size_t n = feed != NULL ? (size_t)(feed - left.ptr) : left.len;
    fs_line_renumber(&s->lines, (yoi_str){left.ptr, n}, s->next_n++);
    left.ptr += n + (feed != NULL);
    left.len -= n + (feed != NULL);
  }
}

static size_t put_items(struct fs_store *s, struct item *list, size_t n) {
  size_t i = 0, records = 0;
  while (i < n) {
    struct item *x = &list[i];
    size_t more = x->chunk != NULL ? x->chunk->records : 1;
    size_t len = x->chunk != NULL ? x->chunk->len : 0;
    if (i > 0 && (records + more > YOI_STORE_BATCH_RECORDS ||
                  s->lines.len + len > YOI_STORE_BATCH_BYTES))
      break;
    if (x->chunk != NULL)
      put_chunk(s, x->chunk);
    else
      fs_line_removal(&s->lines, s->next_n++, yoi_sdk_str(x->log->id));
    x->n = s->next_n - 1;
    records += more;
    i++;
  }
  return i;
}

static void put_batch(struct fs_store *s, const struct item *list, size_t n) {
  size_t start;
  fs_line_batch_begin(&s->lines, s->next_n++, &start);
  for (size_t i = 0; i < n; i++) {
    const struct fs_chunk *c = list[i].chunk;
    yoi_str id = yoi_sdk_str(list[i].log->id);
    for (uint32_t k = 0; c != NULL && k < c->records; k++)
      fs_line_batch_add(&s->lines, id, c->seq + k);
    if (c == NULL) fs_line_batch_add(&s->lines, id, 0);
  }
  fs_line_batch_end(&s->lines, start, s->durable);
}

static int write_items(struct fs_store *s, struct items *x) {
  int error = 0;
  for (size_t i = 0, n; i < x->n && error == 0; i += n) {
    uint64_t first = s->next_n;
    yoi_sdk_buf_clear(&s->lines);
    n = put_items(s, &x->list[i], x->n - i);
    put_batch(s, &x->list[i], n);
    error = fs_commit_lines(s, first);
  }
  return error;
}

/* mu held: they are in the log anew. */
static void publish(struct fs_store *s, struct eng_log *logs, const struct items *x) {
  for (struct eng_log *log = logs; log != NULL; log = log->keep_next) {
    log->stuck = true;
    if (log->removed_n != 0) log->removed_n = s->next_n - 1; /* the index still has it */
  }
  for (size_t i = 0; i < x->n; i++)
    if (x->list[i].chunk != NULL) x->list[i].chunk->last = x->list[i].n;
  s->stuck_bytes = x->bytes;
  s->committed = s->next_n - 1;
}

/* ---- asked for ---------------------------------------------------------------- */

int fs_carry_over(struct fs_store *s, struct eng_log *logs, uint64_t *upto) {
  struct items x = {0};
  int error = fs_is_broken(s) ? EROFS : 0;
  *upto = s->next_n - 1;
  pthread_mutex_lock(&s->mu);
  for (struct eng_log *log = logs; log != NULL && error == 0; log = log->keep_next)
    error = collect(s, log, &x);
  pthread_mutex_unlock(&s->mu);
  /* Only this thread adds chunks, and the one that takes them away waits. */
  if (error == 0) error = write_items(s, &x);
  if (error == 0) {
    pthread_mutex_lock(&s->mu);
    publish(s, logs, &x);
    pthread_mutex_unlock(&s->mu);
  }
  yoi_sdk_free(x.list);
  return error;
}

int fs_carry_ask(struct fs_store *s, struct eng_log *logs, uint64_t *upto) {
  struct fs_carry c = {.logs = logs};
  pthread_mutex_lock(&s->mu);
  bool alone = !s->started.committer || s->committer_over;
  if (!alone) {
    s->carry = &c;
    pthread_cond_signal(&s->work);
    while (!c.done) pthread_cond_wait(&s->carried, &s->mu);
  }
  pthread_mutex_unlock(&s->mu);
  if (alone) return fs_carry_over(s, logs, upto);
  *upto = c.upto;
  return c.error;
}

bool fs_carry_full(const struct fs_store *s, const struct eng_log *log) {
  return log->stuck && s->stuck_bytes >= s->config.checkpoint_bytes / PART;
}
