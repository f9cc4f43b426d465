/* queue.c - a stream with a producer on some other thread.
 *
 *   producer:  OPEN --finish, fail--> FINAL --drop--> gone
 *                \------------------drop (fails as internal)--> gone
 *   consumer:  (not taken) --queue_stream--> LIVE <--push, final-- WAITING
 *                                             |  `--next: AGAIN------^
 *                                             +--release, in any state--> gone
 *
 *  1. One lock per queue, a leaf: nothing is called with it held, neither the
 *     host nor the producer, and no memory is freed under it.
 *  2. `armed` is set by AGAIN and cleared by whoever wakes, so that one AGAIN
 *     has at most one wake; a push that comes first makes next find it.
 *  3. Events are nodes that are allocated before the lock is taken. next moves
 *     up to YOI_EVENT_BATCH_MAX of them into the batch, which lives until the
 *     next next or release and no longer counts as waiting.
 *  4. Two owners, counted: whoever leaves last frees. A queue whose stream was
 *     never taken has one.
 *  5. A cancel of a producer that gave no on_cancel ends the stream as
 *     CANCELLED at once, behind what is queued; otherwise ending it is the
 *     producer's business.
 */
#include <sdk/stream.h>

#include <pthread.h>
#include <sdk/mem.h>
#include <stdatomic.h>
#include <string.h>

struct node {
  struct node *next;
  yoi_event event;
  char text[];
};

struct yoi_sdk_queue {
  yoi_stream stream;
  const yoi_host *host;
  uint64_t token;
  size_t max_bytes;
  void (*on_cancel)(void *ctx);
  void (*on_release)(void *ctx);
  void *ctx;
  atomic_int owners;

  pthread_mutex_t lock; /* for all down to the batch */
  struct node *first, **last;
  size_t bytes;
  int armed, cancelled, dropped, released;
  yoi_status final;            /* YOI_OK: not yet */
  struct yoi_sdk_error *error; /* of fail; NULL without one */

  struct node *batch; /* the consumer's alone */
  const yoi_event *events[YOI_EVENT_BATCH_MAX];
};

static void nodes_free(struct node *n) {
  while (n) {
    struct node *next = n->next;
    yoi_sdk_free(n);
    n = next;
  }
}

static void leave(struct yoi_sdk_queue *q) {
  if (atomic_fetch_sub(&q->owners, 1) != 1) return;
  nodes_free(q->first);
  nodes_free(q->batch);
  yoi_sdk_free(q->error);
  (void)pthread_mutex_destroy(&q->lock);
  yoi_sdk_free(q);
}

static void lock(struct yoi_sdk_queue *q) {
  (void)pthread_mutex_lock(&q->lock);
}

/* Unlocks, and wakes the consumer if it waits for news. */
static void unlock_with_news(struct yoi_sdk_queue *q) {
  int wake = q->armed;
  q->armed = 0;
  (void)pthread_mutex_unlock(&q->lock);
  if (wake) q->host->wake(q->host, q->token);
}

static void unlock(struct yoi_sdk_queue *q) {
  (void)pthread_mutex_unlock(&q->lock);
}

/* ---- the consumer ----------------------------------------------------- */

static yoi_status queue_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                             yoi_error *err) {
  struct yoi_sdk_queue *q = (struct yoi_sdk_queue *)s;
  struct node *old = q->batch;
  yoi_status st = YOI_OK;
  size_t n = 0;
  q->batch = NULL;
  lock(q);
  if (q->first) {
    struct node **end = &q->first;
    while (*end && n < YOI_EVENT_BATCH_MAX) {
      q->events[n++] = &(*end)->event;
      q->bytes -= (*end)->event.text.len + (*end)->event.cursor.len;
      end = &(*end)->next;
    }
    q->batch = q->first;
    q->first = *end;
    *end = NULL;
    if (!q->first) q->last = &q->first;
  } else if (q->final != YOI_OK) {
    st = q->final;
  } else {
    st = YOI_AGAIN;
    q->armed = 1;
  }
  unlock(q);
  nodes_free(old);
  if (st == YOI_OK) {
    *out_events = q->events;
    *out_n = n;
  } else if (st > 0 && q->error) {
    yoi_sdk_error_copy(err, &q->error->e); /* final: nobody writes it again */
  } else if (st > 0) {
    yoi_sdk_error_clear(err);
  }
  return st;
}

/* Makes st the end; 0 when there was one already. Under the lock. */
static int finalize(struct yoi_sdk_queue *q, yoi_status st, struct yoi_sdk_error *error) {
  if (q->final != YOI_OK) return 0;
  q->final = st;
  q->error = error;
  return 1;
}

static void queue_cancel(yoi_stream *s) {
  struct yoi_sdk_queue *q = (struct yoi_sdk_queue *)s;
  lock(q);
  int tell = !q->cancelled && !q->dropped && q->final == YOI_OK;
  q->cancelled = 1;
  if (tell && !q->on_cancel) (void)finalize(q, YOI_CANCELLED, NULL);
  if (tell && !q->on_cancel)
    unlock_with_news(q);
  else
    unlock(q);
  if (tell && q->on_cancel) q->on_cancel(q->ctx);
}

static void queue_release(yoi_stream *s) {
  struct yoi_sdk_queue *q = (struct yoi_sdk_queue *)s;
  if (!q) return;
  lock(q);
  struct node *waiting = q->first;
  q->first = NULL;
  q->last = &q->first;
  q->bytes = 0;
  q->armed = 0;
  q->released = 1;
  int tell = !q->dropped && q->on_release != NULL;
  unlock(q);
  nodes_free(waiting);
  nodes_free(q->batch);
  q->batch = NULL;
  if (tell) q->on_release(q->ctx);
  leave(q);
}

static const yoi_stream_ops queue_ops = {
    .size = sizeof queue_ops,
    .next = queue_next,
    .cancel = queue_cancel,
    .release = queue_release,
};

yoi_stream *yoi_sdk_queue_stream(struct yoi_sdk_queue *q) {
  (void)atomic_fetch_add(&q->owners, 1);
  return &q->stream;
}

/* ---- the producer ----------------------------------------------------- */

struct yoi_sdk_queue *yoi_sdk_queue_new(const yoi_host *host, uint64_t token, size_t max_bytes,
                                        void (*on_cancel)(void *ctx), void (*on_release)(void *ctx),
                                        void *ctx) {
  struct yoi_sdk_queue *q = yoi_sdk_calloc(1, sizeof *q);
  if (!q) return NULL;
  if (pthread_mutex_init(&q->lock, NULL) != 0) {
    yoi_sdk_free(q);
    return NULL;
  }
  q->stream.ops = &queue_ops;
  q->host = host;
  q->token = token;
  q->max_bytes = max_bytes;
  q->on_cancel = on_cancel;
  q->on_release = on_release;
  q->ctx = ctx;
  q->last = &q->first;
  atomic_init(&q->owners, 1);
  return q;
}

static struct node *node_new(uint32_t kind, uint32_t flags, yoi_str cursor, yoi_str text) {
  size_t size;
  if (__builtin_add_overflow(cursor.len, text.len, &size) ||
      __builtin_add_overflow(size, sizeof(struct node), &size))
    return NULL;
  struct node *n = yoi_sdk_malloc(size);
  if (!n) return NULL;
  *n = (struct node){.event = {.size = sizeof n->event, .kind = kind, .flags = flags}};
  if (text.len) memcpy(n->text, text.ptr, text.len);
  if (cursor.len) memcpy(n->text + text.len, cursor.ptr, cursor.len);
  n->event.text = (yoi_str){n->text, text.len};
  n->event.cursor = (yoi_str){n->text + text.len, cursor.len};
  return n;
}

yoi_status yoi_sdk_queue_push(struct yoi_sdk_queue *q, uint32_t kind, uint32_t flags,
                              yoi_str cursor, yoi_str text) {
  struct node *n = node_new(kind, flags, cursor, text);
  if (!n) return YOI_RESOURCE_EXHAUSTED;
  size_t size = cursor.len + text.len;
  yoi_status st = YOI_OK;
  lock(q);
  if (q->final != YOI_OK) {
    st = YOI_FAILED_PRECONDITION;
  } else if (q->released) {
    st = YOI_CANCELLED;
  } else if (size > q->max_bytes || q->bytes > q->max_bytes - size) {
    st = YOI_RESOURCE_EXHAUSTED;
  }
  if (st != YOI_OK) {
    unlock(q);
    yoi_sdk_free(n);
    return st;
  }
  *q->last = n;
  q->last = &n->next;
  q->bytes += size;
  unlock_with_news(q);
  return YOI_OK;
}

static void end(struct yoi_sdk_queue *q, yoi_status st, const yoi_error *err, int drop) {
  struct yoi_sdk_error *copy = NULL;
  if (err && st > 0 && (copy = yoi_sdk_malloc(sizeof *copy)) != NULL)
    yoi_sdk_error_copy(yoi_sdk_error_init(copy), err);
  lock(q);
  if (drop) q->dropped = 1;
  int first = finalize(q, st, copy);
  if (first)
    unlock_with_news(q);
  else
    unlock(q);
  if (!first) yoi_sdk_free(copy);
  if (drop) leave(q);
}

void yoi_sdk_queue_finish(struct yoi_sdk_queue *q) {
  end(q, YOI_END, NULL, 0);
}

void yoi_sdk_queue_fail(struct yoi_sdk_queue *q, yoi_status st, const yoi_error *err) {
  end(q, st > 0 ? st : YOI_INTERNAL, err, 0);
}

size_t yoi_sdk_queue_bytes(struct yoi_sdk_queue *q) {
  lock(q);
  size_t n = q->bytes;
  unlock(q);
  return n;
}

void yoi_sdk_queue_drop(struct yoi_sdk_queue *q) {
  if (!q) return;
  char text[64];
  yoi_error err = {.size = sizeof err, .message = text, .message_cap = sizeof text};
  (void)yoi_sdk_fail(&err, YOI_CODE_INTERNAL, "the stream was given up");
  end(q, YOI_INTERNAL, &err, 1);
}
