/* watch.c - watching a worker: from the history, from the buffer, live.
 *
 * A watcher is a position and nothing more: what it gets next is everything
 * behind that position, pulled, so a slow one costs the worker nothing.
 *
 *               cursor into the past          position = last record
 *   (begin) ------------------------> REPLAY ----------------------+
 *      |  \  no cursor, or deltas that are gone                     |
 *      |   +-------------> SNAPSHOT ----------------------+         v
 *      +------------------------------------------------> | LIVE  (ring)
 *                                                          |   |
 *      the ring no longer has the next frame of this turn: |   | fell behind a
 *      LAGGED, end                                         <---+ whole turn:
 *                                                                REPLAY
 *
 * Invariants:
 *  1. Positions only rise; a frame is given once. What is given without a
 *     gap ends, in order: replayed records, frames of the ring, live frames.
 *  2. A resume skips the deltas of messages that are finished: it gets their
 *     message.completed. Deltas of a running message that are gone are made
 *     good by a snapshot, which carries the text in flight whole.
 *  3. Only a watcher that was attached to a running turn and fell out of its
 *     buffer is ended as lagged.
 *  4. The last event is `end`, once; then END.
 *     One that was asked for what there is ends where others begin to wait.
 *  5. Arming and looking happen under one hold of the lock: no lost wake.
 *  6. A follower gets the frames of its turn and no other's. While its turn
 *     waits in the queue it stands where the worker is.
 */
#include <assert.h>
#include <sdk/mem.h>

#include "op.h"
#include "queue.h"
#include "shapes.h"

struct eng_batch {
  size_t n;
  struct eng_frame *frames[YOI_EVENT_BATCH_MAX]; /* references */
  const yoi_event *at[YOI_EVENT_BATCH_MAX];
  yoi_event copies[]; /* of replayed ones, which carry a flag */
};

static struct eng_batch *batch_new(size_t copies) {
  struct eng_batch *b = yoi_sdk_malloc(sizeof *b + copies * sizeof b->copies[0]);
  if (b) b->n = 0;
  return b;
}

static void batch_free(struct eng_batch *b) {
  if (!b) return;
  for (size_t i = 0; i < b->n; i++) eng_frame_unref(b->frames[i]);
  yoi_sdk_free(b);
}

/* ---- coming and going ---- */

yoi_status eng_watch_admit(struct eng_op *op, yoi_error *err) {
  struct eng_engine *eng = op->w->eng;
  bool ok;
  if (atomic_fetch_add(&eng->watchers, 1) >= eng->limits.watchers) {
    atomic_fetch_sub(&eng->watchers, 1);
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "the runtime has its %llu watchers already",
                        (unsigned long long)eng->limits.watchers);
  }
  op->watch.bell = eng_bell_attach(op->w, op->token, &ok);
  if (!ok) {
    atomic_fetch_sub(&eng->watchers, 1);
    return yoi_sdk_fail_memory(err);
  }
  op->w->n_streams++;
  op->watch.counted = true;
  yoi_sdk_metric_add(&eng->metrics, eng->metric.watchers, 1);
  return YOI_OK;
}

void eng_watch_end(struct eng_op *op) {
  struct eng_worker *w = op->w;
  batch_free(op->watch.batch);
  op->watch.batch = NULL;
  if (!op->watch.counted) return;
  op->watch.counted = false;
  eng_bell_detach(w, op->watch.bell);
  op->watch.bell = NULL;
  atomic_fetch_sub(&w->eng->watchers, 1);
  yoi_sdk_metric_sub(&w->eng->metrics, w->eng->metric.watchers, 1);
  if (--w->n_streams > 0) return;
  eng_frame_unref(w->snapshot);
  w->snapshot = NULL;
  if (!w->turn) eng_worker_drop_ring(w);
}

/* ---- giving, with the lock held ---- */

struct look {
  struct eng_op *op;
  enum eng_end ended;
  bool has_ended;
  uint64_t read_from; /* 0: no read is needed */
};

static bool is_end_of(const struct eng_op *op, const struct eng_frame *f) {
  return op->follow && f->ev.kind == YOI_EVENT_TURN_ENDED;
}

/* Of what the worker has emitted. */
static bool is_for(const struct eng_op *op, const struct eng_frame *f) {
  if (!op->follow) return true;
  size_t len = strlen(op->watch.turn);
  return f->turn_at > 0 && memcmp(f->ev.text.ptr + f->turn_at, op->watch.turn, len) == 0;
}

/* A batch of nothing is none: the next look goes on behind it. */
static void hold(struct eng_op *op, struct eng_batch *b) {
  if (b->n > 0)
    op->watch.batch = b;
  else
    batch_free(b);
}

/* One that was made for it. */
static yoi_status give_one(struct eng_op *op, struct eng_frame *f) {
  struct eng_batch *b = batch_new(0);
  if (!b) return YOI_RESOURCE_EXHAUSTED;
  b->frames[0] = eng_frame_ref(f);
  b->at[0] = &f->ev;
  b->n = 1;
  op->watch.pos = f->pos;
  op->watch.batch = b;
  return YOI_OK;
}

/* Hands frames out as they are, up to a follower's last one. */
static yoi_status give(struct eng_op *op, struct eng_frame *const *frames, size_t n) {
  struct eng_watch *x = &op->watch;
  struct eng_batch *b = batch_new(0);
  if (!b) return YOI_RESOURCE_EXHAUSTED;
  for (size_t i = 0; i < n; i++) {
    x->pos = frames[i]->pos;
    if (!is_for(op, frames[i])) continue;
    b->frames[b->n] = eng_frame_ref(frames[i]);
    b->at[b->n++] = &frames[i]->ev;
    if (!is_end_of(op, frames[i])) continue;
    x->turn_seen = true;
    break;
  }
  hold(op, b);
  return YOI_OK;
}

/* A store has a record before the worker does; it is shown once applied, and
 * then stands in the ring. */
static void drop_unapplied(struct eng_read *r, uint64_t last) {
  while (r->n > 0 && r->frames[r->n - 1]->pos.sequence > last) eng_frame_unref(r->frames[--r->n]);
}

static yoi_status give_replayed(struct eng_op *op) {
  struct eng_watch *x = &op->watch;
  struct eng_read *r = x->read;
  size_t n = r->n - x->read_at;
  if (n > YOI_EVENT_BATCH_MAX) n = YOI_EVENT_BATCH_MAX;
  struct eng_batch *b = batch_new(n);
  if (!b) return YOI_RESOURCE_EXHAUSTED;
  for (size_t i = 0; i < n && !x->turn_seen; i++) {
    struct eng_frame *f = r->frames[x->read_at++];
    x->pos = f->pos;
    if (!is_for(op, f)) continue;
    b->frames[b->n] = eng_frame_ref(f);
    b->copies[b->n] = f->ev;
    b->copies[b->n].flags |= YOI_EV_REPLAYED;
    b->at[b->n] = &b->copies[b->n];
    b->n++;
    x->turn_seen = is_end_of(op, f);
  }
  if (x->read_at == r->n || x->turn_seen) {
    x->ready = false;
    eng_read_clear(r);
  }
  hold(op, b);
  return YOI_OK;
}

static yoi_status give_snapshot(struct eng_op *op) {
  struct eng_worker *w = op->w;
  if (!w->snapshot) w->snapshot = eng_shape_snapshot(w, w->last);
  if (!w->snapshot) return YOI_RESOURCE_EXHAUSTED;
  yoi_status st = give_one(op, w->snapshot);
  if (st != YOI_OK) return st;
  op->watch.snapshot = op->watch.replaying = false;
  op->watch.attached = true;
  op->watch.ring_turn = w->ring_turn;
  return YOI_OK;
}

static const struct {
  const char *name;
  int32_t code;
  bool retryable;
} ends[ENG_END_COUNT] = {
#define ROW(sym, name, code, retry) [ENG_END_##sym] = {name, code, (retry) != 0},
    ENG_ENDS(ROW)
#undef ROW
};

static yoi_status give_end(struct look *l, enum eng_end why) {
  struct eng_op *op = l->op;
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  char cursor[ENG_CURSOR_SIZE];
  yoi_sdk_buf_init(&buf, 512);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "reason", yoi_sdk_str(ends[why].name));
  yoi_sdk_jsonw_key(&w, "code");
  if (ends[why].code)
    yoi_sdk_jsonw_str(&w, yoi_sdk_str(yoi_sdk_code_name(ends[why].code)));
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_kbool(&w, "retryable", ends[why].retryable);
  yoi_sdk_jsonw_kstr(&w, "cursor", eng_worker_cursor(op->w, op->watch.pos, cursor));
  yoi_sdk_jsonw_close(&w, '}');
  struct eng_frame_parts parts = {
      .kind = YOI_EVENT_END, .pos = op->watch.pos, .text = yoi_sdk_buf_str(&buf)};
  struct eng_frame *f = buf.failed ? NULL : eng_frame_new(&parts);
  yoi_sdk_buf_release(&buf);
  yoi_status st = f ? give_one(op, f) : YOI_RESOURCE_EXHAUSTED;
  eng_frame_unref(f);
  if (st != YOI_OK) return st;
  op->watch.over = true;
  l->has_ended = true;
  l->ended = why;
  return YOI_OK;
}

/* It has all there is. */
static yoi_status caught_up(struct look *l) {
  struct eng_op *op = l->op;
  struct eng_worker *w = op->w;
  struct eng_watch *x = &op->watch;
  x->replaying = false;
  x->attached = true;
  x->ring_turn = w->ring_turn;
  eng_read_free(x->read); /* it may wait for ever now; 600 bytes are much */
  x->read = NULL;
  if (w->state == ENG_GONE) return give_end(l, ENG_END_WORKER_DELETED);
  bool waits = op->follow && eng_queue_find(w, x->turn);
  if (op->follow && !waits && !(w->turn && strcmp(w->turn->id, x->turn) == 0))
    return give_end(l, ENG_END_ERROR);
  if (atomic_load(&w->eng->draining) && !w->turn && !w->stage) return give_end(l, ENG_END_DRAINING);
  if (op->once) return give_end(l, ENG_END_CAUGHT_UP);
  eng_bell_arm(w, x->bell);
  return YOI_AGAIN;
}

/* A follower passes over what was before its turn began. */
static void pass_others(struct eng_op *op) {
  const struct eng_worker *w = op->w;
  struct eng_watch *x = &op->watch;
  struct eng_pos to = {0};
  if (eng_queue_find(w, x->turn))
    to = w->last;
  else if (w->turn && strcmp(w->turn->id, x->turn) == 0)
    to = w->turn->begun;
  if (eng_pos_cmp(x->pos, to) >= 0) return;
  x->pos = to; /* of its own turn it was given nothing yet: it is not attached */
}

static yoi_status look_live(struct look *l, bool *done) {
  struct eng_op *op = l->op;
  struct eng_worker *w = op->w;
  struct eng_watch *x = &op->watch;
  struct eng_frame *frames[YOI_EVENT_BATCH_MAX];
  *done = true;
  if (!w->ring || x->replaying) {
    *done = false;
    return YOI_OK;
  }
  if (eng_pos_cmp(x->pos, w->ring->base) >= 0) {
    size_t n = eng_ring_take(w->ring, x->pos, frames, YOI_EVENT_BATCH_MAX);
    if (n > 0) {
      x->attached = true;
      x->ring_turn = w->ring_turn;
      return give(op, frames, n);
    }
  } else if (x->attached && x->ring_turn == w->ring_turn) {
    return give_end(l, ENG_END_LAGGED);
  }
  *done = false;
  return YOI_OK;
}

/* What comes next; AGAIN, END and errors as a stream gives them. OK without
 * a batch: read_from says what must be read first; 0: look again. */
static yoi_status look(struct look *l) {
  struct eng_op *op = l->op;
  struct eng_worker *w = op->w;
  struct eng_watch *x = &op->watch;
  bool done;
  if (x->over) {
    op->state = ENG_OP_DONE;
    return YOI_END;
  }
  if (x->denied) return give_end(l, ENG_END_FULL);
  if (x->asked) {
    eng_bell_arm(w, x->bell);
    return YOI_AGAIN;
  }
  if (op->follow && (x->turn_seen || x->turn[0] == 0)) return give_end(l, ENG_END_TURN_ENDED);
  if (op->follow && !x->ready) pass_others(op);
  if (x->ready && x->read_at == 0) drop_unapplied(x->read, w->last.sequence);
  if (x->ready && (x->read->st != YOI_OK || x->read->n == 0)) {
    x->ready = false;
    return give_end(l, w->state == ENG_GONE ? ENG_END_WORKER_DELETED : ENG_END_ERROR);
  }
  if (x->ready) return give_replayed(op);
  if (x->snapshot && w->state != ENG_GONE) return give_snapshot(op);
  yoi_status st = look_live(l, &done);
  if (done) return st;
  if (x->pos.sequence < w->last.sequence) {
    if (w->state == ENG_GONE) return give_end(l, ENG_END_WORKER_DELETED);
    x->replaying = true;
    l->read_from = x->pos.sequence + 1;
    return YOI_OK;
  }
  if (x->replaying) {
    x->replaying = false;
    return look(l);
  }
  bool in_ring = w->ring && eng_pos_cmp(x->pos, w->ring->base) >= 0;
  int behind = eng_pos_cmp(x->pos, w->last);
  bool lost = behind > 0 || (behind < 0 && !in_ring);
  if (lost && w->state != ENG_GONE) return give_snapshot(op);
  return caught_up(l);
}

/* ---- reading the history ---- */

static void on_read(struct eng_read *r) {
  struct eng_op *op = r->ctx;
  struct eng_worker *w = op->w;
  struct eng_after after = {0};
  pthread_mutex_lock(&w->mu);
  op->watch.asked = false;
  op->watch.ready = true;
  if (op->watch.bell && op->watch.bell->state == ENG_BELL_ARMED)
    eng_bell_due(w, op->watch.bell, &after);
  eng_worker_leave(w, &after);
  eng_op_unref(op);
}

/* 1: the records are there. 0: on_read comes, and a wake with it. */
static int ask(struct eng_op *op, uint64_t from) {
  struct eng_worker *w = op->w;
  struct eng_watch *x = &op->watch;
  (void)eng_op_ref(op);
  if (!eng_read_start(x->read, w->eng->store, w->log, from, 0)) return 0;
  pthread_mutex_lock(&w->mu);
  x->asked = false;
  x->ready = true;
  pthread_mutex_unlock(&w->mu);
  eng_op_unref(op);
  return 1;
}

yoi_status eng_watch_next(struct eng_op *op, const yoi_event *const **out, size_t *n,
                          yoi_error *err) {
  struct eng_worker *w = op->w;
  struct eng_watch *x = &op->watch;
  for (;;) {
    struct look l = {.op = op};
    pthread_mutex_lock(&w->mu);
    batch_free(x->batch);
    x->batch = NULL;
    yoi_status st = look(&l);
    if (l.read_from > 0 && !x->read) x->read = eng_read_new(on_read, op);
    if (l.read_from > 0 && !x->read) st = YOI_RESOURCE_EXHAUSTED;
    if (l.read_from > 0 && x->read) {
      x->asked = true;
      x->read_at = 0;
      eng_bell_arm(w, x->bell);
    }
    if (st == YOI_RESOURCE_EXHAUSTED) { /* errors are final */
      op->state = ENG_OP_FAILED;
      op->code = YOI_CODE_INTERNAL;
      op->message = "memory is short";
    }
    pthread_mutex_unlock(&w->mu);
    if (l.has_ended) eng_count(w->eng, w->eng->metric.ends[l.ended], 1);
    if (st == YOI_RESOURCE_EXHAUSTED) return eng_op_error(op, err);
    if (st != YOI_OK) return st;
    if (x->batch) {
      *out = x->batch->at;
      *n = x->batch->n;
      return YOI_OK;
    }
    if (l.read_from > 0 && !ask(op, l.read_from)) return YOI_AGAIN;
  }
}
