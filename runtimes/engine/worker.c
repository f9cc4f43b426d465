/* worker.c - how a worker changes: stage, append, and only then apply.
 *
 * Every change of a worker is a record, and nothing of it is seen before the
 * store has it. So a change is built as a stage (frames with their sequences)
 * under the lock, written without it, and applied when the store says so:
 *
 *      eng_stage_commit        leave            stage_done
 *   (none) ---------> STAGED ---------> WRITING ----------> applied, emitted,
 *                                          |                acknowledged
 *                                          +--------------> failed: nothing
 *                                             store error   has changed
 *
 * Invariants:
 *  1. At most one stage per worker. While there is one, readers see the last
 *     applied state; cancel, stop, answers of people and replays wait in
 *     `waiting`, in order; so they do while a tool is being started (`held`).
 *  2. Applying cannot fail: all memory it needs was reserved at commit.
 *  3. `last` rises with every frame that is emitted, and every emitted frame
 *     goes into the ring when there is one, so that the ring has no holes.
 *  4. When a turn's own records cannot be appended, the turn ends in memory
 *     as failed(store_error). Its turn.ended is owed: it goes first in the
 *     next append, whatever that is for, and nothing is accepted without it.
 *     The turn itself is kept for that, and its record is made when there is
 *     an append, behind the results of its open calls, so that short memory
 *     costs no record. Inputs that waited may
 *     have ended so while a turn runs (a drain); its own end goes behind them
 *     and is the last one.
 *  5. Wakes, kicks and appends happen in leave, after the lock is given back.
 */
#include "worker.h"

#include <assert.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>

#include "load.h"
#include "op.h"
#include "queue.h"
#include "shapes.h"

const char *eng_state_name(enum eng_state s) {
  static const char *const names[] = {
      [ENG_CREATING] = "creating", [ENG_IDLE] = "idle",
      [ENG_RUNNING] = "running",   [ENG_AWAITING] = "awaiting_approval",
      [ENG_STOPPED] = "stopped",   [ENG_CORRUPT] = "corrupt",
      [ENG_GONE] = "gone",
  };
  return names[s];
}

/* ---- life ---- */

static struct eng_worker *alloc(struct eng_engine *eng, yoi_str id, const struct eng_birth *birth) {
  struct eng_worker *w = yoi_sdk_calloc(1, sizeof *w + id.len + 1);
  if (!w) return NULL;
  memcpy(w->id, id.ptr, id.len);
  w->entry.id = (yoi_str){w->id, id.len};
  w->eng = eng;
  w->cursor_worker = eng_cursor_worker(id);
  w->epoch = birth->epoch;
  w->keyed = birth->keyed;
  memcpy(w->key.b, birth->key, sizeof w->key.b);
  w->bundled = birth->bundled;
  memcpy(w->bundle, birth->bundle, sizeof w->bundle);
  atomic_init(&w->refs, 1);
  atomic_init(&w->state, ENG_CREATING);
  atomic_init(&w->awake, true);
  pthread_mutex_init(&w->mu, NULL);
  return w;
}

struct eng_worker *eng_worker_new(struct eng_engine *eng, yoi_str id, const struct eng_print *key,
                                  yoi_str bundle) {
  struct eng_birth birth = {.keyed = key != NULL};
  birth.bundled = yoi_sdk_digest_bytes(bundle, birth.bundle) != 0;
  if (!yoi_sdk_random(&birth.epoch, sizeof birth.epoch)) return NULL;
  if (key) memcpy(birth.key, key->b, sizeof birth.key);
  struct eng_worker *w = alloc(eng, id, &birth);
  if (w) w->log = eng->store->ops->log_new(eng->store, id, &birth);
  if (w && w->log) return w;
  eng_worker_unref(w);
  return NULL;
}

struct eng_worker *eng_worker_found(struct eng_engine *eng, const struct eng_found *f) {
  static const uint8_t states[] = {
      [ENG_MARK_IDLE] = ENG_IDLE,
      [ENG_MARK_BUSY] = ENG_RUNNING,
      [ENG_MARK_STOPPED] = ENG_STOPPED,
      [ENG_MARK_CORRUPT] = ENG_CORRUPT,
  };
  struct eng_worker *w = alloc(eng, f->worker_id, &f->birth);
  if (!w) return NULL;
  atomic_init(&w->state, states[f->mark]);
  atomic_init(&w->awake, false);
  w->last.sequence = f->sequence;
  w->log = f->log;
  return w;
}

void eng_worker_clear(struct eng_worker *w) {
  eng_queue_free(w->queue);
  eng_frame_unref(w->last_end);
  eng_frame_unref(w->snapshot);
  eng_idem_release(&w->idem);
  eng_uncertain_release(&w->uncertain);
  eng_resolved_release(&w->resolved);
  eng_spec_unref(&w->eng->specs, w->spec);
  yoi_sdk_free(w->items);
  yoi_sdk_free(w->fixed);
  w->queue = NULL;
  w->last_end = w->snapshot = NULL;
  w->spec = NULL;
  w->items = NULL;
  w->fixed = NULL;
  w->intent = (yoi_str){0};
  w->n_items = w->cap_items = 0;
  w->history_bytes = 0;
}

struct eng_worker *eng_worker_ref(struct eng_worker *w) {
  atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
  return w;
}

bool eng_worker_try_ref(struct eng_worker *w) {
  unsigned n = atomic_load(&w->refs);
  while (n > 0)
    if (atomic_compare_exchange_weak(&w->refs, &n, n + 1)) return true;
  return false;
}

void eng_worker_unref(struct eng_worker *w) {
  if (!w || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) != 1) return;
  assert(!w->stage && !w->waiting && !w->turn && !w->bells && !w->owed && !w->load && !w->used);
  eng_worker_drop_ring(w);
  eng_worker_clear(w);
  if (w->log) w->eng->store->ops->log_free(w->eng->store, w->log);
  pthread_mutex_destroy(&w->mu);
  yoi_sdk_free(w);
}

/* ---- emitting ---- */

struct eng_pos eng_worker_next_pos(const struct eng_worker *w) {
  struct eng_pos pos = w->last;
  pos.index++;
  return pos;
}

yoi_str eng_worker_cursor(const struct eng_worker *w, struct eng_pos pos,
                          char buf[ENG_CURSOR_SIZE]) {
  struct eng_cursor c = {.epoch = w->epoch, .worker = w->cursor_worker, .pos = pos};
  size_t n = eng_cursor_write(&c, buf);
  return (yoi_str){buf, n};
}

void eng_worker_emit(struct eng_worker *w, struct eng_frame *f, struct eng_after *after) {
  eng_frame_unref(w->snapshot);
  w->snapshot = NULL;
  if (f) {
    w->last = f->pos;
    if (w->ring) eng_ring_push(w->ring, f, YOI_TURN_BUFFER_BYTES);
  } else {
    w->last = eng_worker_next_pos(w);
    if (w->ring) {
      eng_ring_release(w->ring);
      eng_ring_init(w->ring, w->last);
    }
  }
  after->events++;
  eng_bells_due(w, after);
}

void eng_worker_emit_snapshot(struct eng_worker *w, struct eng_after *after) {
  struct eng_frame *snapshot = eng_shape_snapshot(w, eng_worker_next_pos(w));
  eng_worker_emit(w, snapshot, after);
  eng_frame_unref(snapshot);
}

void eng_worker_drop_ring(struct eng_worker *w) {
  if (!w->ring) return;
  eng_keep_remove(w);
  eng_ring_release(w->ring);
  yoi_sdk_free(w->ring);
  w->ring = NULL;
}

void eng_worker_index(struct eng_worker *w, const struct eng_frame *f, bool apart) {
  w->history_bytes += eng_frame_cost(f);
  if (eng_frame_is_item(f)) {
    assert(w->n_items < w->cap_items);
    size_t bytes = f->content_len ? f->content_len : f->ev.text.len;
    w->items[w->n_items++] = (struct eng_item){
        .sequence = f->pos.sequence,
        .bytes = (uint32_t)bytes,
        .flags = (f->ev.kind == YOI_EVENT_INPUT_ACCEPTED ? ENG_ITEM_FIRST : 0) |
                 (apart ? ENG_ITEM_APART : 0),
    };
  }
}

/* The same, and emitted. */
static void show(struct eng_worker *w, struct eng_frame *f, bool apart, struct eng_after *after) {
  assert(f->pos.sequence == w->last.sequence + 1);
  eng_worker_index(w, f, apart);
  eng_worker_emit(w, f, after);
}

/* ---- bells ---- */

struct eng_bell *eng_bell_attach(struct eng_worker *w, uint64_t token, bool *ok) {
  *ok = true;
  if (token == 0) return NULL;
  struct eng_bell *b = w->bells;
  while (b && b->token != token) b = b->next;
  if (!b) {
    b = yoi_sdk_calloc(1, sizeof *b);
    if (!b) {
      *ok = false;
      return NULL;
    }
    b->token = token;
    b->next = w->bells;
    w->bells = b;
  }
  b->streams++;
  return b;
}

static struct eng_bell **bell_list(struct eng_worker *w, const struct eng_bell *b) {
  return b->state == ENG_BELL_ARMED ? &w->armed : &w->due;
}

static void bell_set(struct eng_worker *w, struct eng_bell *b, int state) {
  if (b->state != ENG_BELL_QUIET) {
    if (b->prev)
      b->prev->succ = b->succ;
    else
      *bell_list(w, b) = b->succ;
    if (b->succ) b->succ->prev = b->prev;
    b->prev = b->succ = NULL;
  }
  b->state = state == ENG_BELL_ARMED ? ENG_BELL_ARMED
             : state == ENG_BELL_DUE ? ENG_BELL_DUE
                                     : ENG_BELL_QUIET;
  if (b->state == ENG_BELL_QUIET) return;
  struct eng_bell **list = bell_list(w, b);
  b->succ = *list;
  if (b->succ) b->succ->prev = b;
  *list = b;
}

void eng_bell_detach(struct eng_worker *w, struct eng_bell *b) {
  if (!b || --b->streams > 0) return;
  bell_set(w, b, ENG_BELL_QUIET);
  struct eng_bell **at = &w->bells;
  while (*at != b) at = &(*at)->next;
  *at = b->next;
  yoi_sdk_free(b);
}

void eng_bell_arm(struct eng_worker *w, struct eng_bell *b) {
  if (b && b->state == ENG_BELL_QUIET) bell_set(w, b, ENG_BELL_ARMED);
}

void eng_bell_due(struct eng_worker *w, struct eng_bell *b, struct eng_after *after) {
  if (!b || b->state == ENG_BELL_DUE) return;
  bell_set(w, b, ENG_BELL_DUE);
  after->bells = true;
}

void eng_bells_due(struct eng_worker *w, struct eng_after *after) {
  while (w->armed) eng_bell_due(w, w->armed, after);
}

/* ---- stages ---- */

static void stage_done(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames,
                       size_t n);

struct eng_stage *eng_stage_new(struct eng_worker *w, enum eng_what what, uint32_t n) {
  assert(!w->stage);
  uint32_t cap = n + w->n_owed;
  for (const struct eng_turn *t = w->owed; t; t = t->next) cap += eng_calls_open(t);
  struct eng_stage *s = yoi_sdk_calloc(1, sizeof *s + cap * sizeof s->frames[0]);
  if (!s) return NULL;
  s->ticket.done = stage_done;
  s->w = eng_worker_ref(w);
  s->what = what;
  s->cap = cap;
  for (struct eng_turn *t = w->owed; t; t = t->next) {
    eng_calls_stage_ends(s, t, t->lost);
    eng_stage_add(s, eng_record_turn_ended(w, eng_stage_pos(s), t, &t->end));
  }
  s->owed = s->n;
  return s;
}

void eng_stage_free(struct eng_stage *s) {
  if (!s) return;
  for (uint32_t i = 0; i < s->n; i++) eng_frame_unref(s->frames[i]);
  eng_op_unref(s->op);
  eng_turn_unref(s->turn);
  eng_worker_unref(s->w);
  yoi_sdk_free(s);
}

struct eng_pos eng_stage_pos(const struct eng_stage *s) {
  return (struct eng_pos){.sequence = s->w->last.sequence + s->n + 1};
}

void eng_stage_add(struct eng_stage *s, struct eng_frame *f) {
  assert(s->n < s->cap);
  s->frames[s->n++] = f;
}

static bool reserve(struct eng_worker *w, const struct eng_stage *s) {
  uint32_t items = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    if (!s->frames[i]) return false;
    items += (uint32_t)eng_frame_is_item(s->frames[i]);
  }
  if (s->keyed && !eng_idem_reserve(&w->idem)) return false;
  if (w->n_items + items <= w->cap_items) return true;
  uint32_t cap = w->n_items + items + YOI_SDK_HARD(w->cap_items / 2 + 2, 0);
  struct eng_item *grown = yoi_sdk_reallocarray(w->items, cap, sizeof *grown);
  if (!grown) return false;
  w->items = grown;
  w->cap_items = cap;
  return true;
}

/* What the worker is once s is applied: BUSY while a turn runs or waits, so
 * that whoever opens the store knows without reading which workers a crash has
 * left in the middle of something. */
static enum eng_mark mark_of(const struct eng_stage *s) {
  const struct eng_worker *w = s->w;
  switch (s->what) {
    case ENG_DO_STOP:
      return ENG_MARK_STOPPED;
    case ENG_DO_INPUT:
    case ENG_DO_QUEUE:
    case ENG_DO_INTERRUPT:
      return ENG_MARK_BUSY;
    case ENG_DO_DROP:
      return w->turn ? ENG_MARK_BUSY : ENG_MARK_IDLE;
    case ENG_DO_END:
      return eng_queue_first(w) ? ENG_MARK_BUSY : ENG_MARK_IDLE;
    default:
      return w->turn || eng_queue_first(w) ? ENG_MARK_BUSY : ENG_MARK_IDLE;
  }
}

int eng_stage_commit(struct eng_stage *s, struct eng_after *after) {
  struct eng_worker *w = s->w;
  assert(!w->stage && !after->write);
  if (!reserve(w, s)) {
    eng_stage_free(s);
    return 0;
  }
  s->mark = mark_of(s);
  w->stage = s;
  after->write = s;
  atomic_fetch_add(&w->eng->active, 1);
  return 1;
}

static void stage_write(struct eng_stage *s) {
  const struct eng_store_ops *ops = s->w->eng->store->ops;
  s->begun_mono = eng_mono(s->w->eng);
  if (s->what == ENG_DO_DELETE)
    ops->remove(s->w->eng->store, s->w->log, &s->ticket);
  else
    ops->append(s->w->eng->store, s->w->log, s->frames, s->n, s->mark, &s->ticket);
}

/* ---- what is owed ---- */

void eng_worker_owe(struct eng_worker *w, struct eng_turn *t, const struct eng_end_of *end) {
  struct eng_turn **at = &w->owed;
  while (*at) at = &(*at)->next;
  *at = t;
  w->n_owed++;
  t->next = NULL;
  t->end = *end;
  t->ended_wall = eng_wall(w->eng);
  t->ended_mono = eng_mono(w->eng);
  yoi_sdk_buf_release(&t->text);
  yoi_sdk_buf_release(&t->reasoning);
}

int eng_worker_pay(struct eng_worker *w, struct eng_after *after) {
  struct eng_stage *s = eng_stage_new(w, ENG_DO_CLOSE, 0);
  return s && eng_stage_commit(s, after);
}

void eng_worker_forgive(struct eng_worker *w) {
  while (w->owed) {
    struct eng_turn *t = w->owed;
    w->owed = t->next;
    eng_turn_unref(t);
  }
  w->n_owed = 0;
}

static void set_last_end(struct eng_worker *w, struct eng_frame *end) {
  eng_frame_unref(w->last_end);
  w->last_end = eng_frame_ref(end);
}

/* ---- applying ---- */

/* The running turn is over; end: its turn.ended, NULL when that is owed. */
static void turn_over(struct eng_worker *w, struct eng_frame *end, enum eng_ended ended,
                      struct eng_after *after) {
  struct eng_turn *t = w->turn;
  assert(t && t->state != ENG_TURN_ENDED);
  t->state = ENG_TURN_ENDED;
  w->turn = NULL;
  eng_turn_unref(after->kick);
  after->kick = t;
  atomic_store(&w->state, ENG_IDLE);
  set_last_end(w, end);
  atomic_fetch_sub(&w->eng->running, 1);
  yoi_sdk_metric_sub(&w->eng->metrics, w->eng->metric.running, 1);
  after->ran = true;
  after->took_ns = t->took_ns;
  after->over[ended]++;
  if (w->n_streams == 0)
    eng_worker_drop_ring(w);
  else if (w->ring && eng_keep_add(w))
    after->timer = true;
}

/* Whether people are waited for has changed, perhaps. */
static void show_waiting(struct eng_worker *w) {
  atomic_store(&w->state, eng_calls_wait(w->turn) ? ENG_AWAITING : ENG_RUNNING);
}

/* Takes a reference over. */
static void run_turn(struct eng_worker *w, struct eng_turn *t, struct eng_after *after) {
  assert(!w->turn);
  t->begun = w->last;
  t->n_begun = w->queue ? w->queue->n_begun : 0;
  eng_worker_drop_ring(w);
  w->ring = t->ring;
  t->ring = NULL;
  eng_ring_init(w->ring, w->last);
  w->ring_turn++;
  w->turn = t;
  after->begun = eng_turn_ref(t);
  show_waiting(w);
  atomic_fetch_add(&w->eng->running, 1);
  yoi_sdk_metric_add(&w->eng->metrics, w->eng->metric.running, 1);
  atomic_fetch_add(&w->eng->active, 1);
}

/* The same; its turn.started is shown next. */
static void begin_turn(struct eng_worker *w, struct eng_turn *t, struct eng_after *after) {
  assert(t->state == ENG_TURN_QUEUED);
  t->state = ENG_TURN_CONTEXT;
  run_turn(w, t, after);
}

void eng_worker_resume(struct eng_worker *w, struct eng_turn *t, struct eng_after *after) {
  t->state = ENG_TURN_TOOLS;
  run_turn(w, t, after);
}

static bool runs(const struct eng_worker *w) {
  return w->state == ENG_RUNNING || w->state == ENG_AWAITING;
}

/* The first record of a kind that is not owed. */
static struct eng_frame *frame_of(const struct eng_stage *s, uint32_t kind) {
  for (uint32_t i = s->owed; i < s->n; i++)
    if (s->frames[i]->ev.kind == kind) return s->frames[i];
  return NULL;
}

static void answer_created(struct eng_stage *s, struct eng_after *after) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "worker");
  eng_shape_worker(&w, s->w, 0);
  yoi_sdk_jsonw_close(&w, '}');
  eng_op_answer(s->op, &buf, YOI_EV_CREATED, after);
  s->op = NULL;
}

static void answer_ack(struct eng_stage *s, yoi_str turn_id, const char *state,
                       struct eng_after *after) {
  struct eng_op *op = s->op;
  s->op = NULL;
  /* The first record behind what was owed is the one that was asked for. */
  uint64_t sequence = s->frames[s->owed]->pos.sequence;
  if (s->what == ENG_DO_STOP) sequence = s->frames[s->n - 1]->pos.sequence;
  eng_op_ack(op, turn_id, sequence, state, after);
}

/* The records of a stage become visible, what was owed first. */
static void show_all(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  bool waits = s->what == ENG_DO_QUEUE || s->what == ENG_DO_INTERRUPT;
  uint32_t n = s->n - (s->what == ENG_DO_END && s->begins); /* that is for the next turn */
  if (s->what == ENG_DO_INPUT) begin_turn(w, eng_turn_ref(s->turn), after);
  if (s->what == ENG_DO_BEGIN)
    begin_turn(w, eng_queue_take(w, s->frames[s->n - 1]->pos.sequence), after);
  for (uint32_t i = 0; i < n; i++) show(w, s->frames[i], waits && i == s->owed, after);
  if (s->owed > 0) {
    set_last_end(w, s->frames[s->owed - 1]);
    for (struct eng_turn *t = w->owed; t; t = t->next) eng_calls_applied(t);
    eng_worker_forgive(w); /* it is paid */
  }
  if (!s->keyed) return;
  s->idem.sequence = s->frames[s->owed]->pos.sequence;
  eng_idem_add(&w->idem, &s->idem);
}

static void apply_end(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  struct eng_frame *end = frame_of(s, YOI_EVENT_TURN_ENDED);
  assert(runs(w) && w->turn == s->turn);
  eng_calls_applied(s->turn);
  turn_over(w, end, s->turn->end.ended, after);
  if (!s->begins) return;
  struct eng_frame *started = s->frames[s->n - 1];
  begin_turn(w, eng_queue_take(w, started->pos.sequence), after);
  show(w, started, false, after);
}

static void apply_cancel(struct eng_worker *w, const struct eng_frame *requested) {
  if (!requested) return; /* it was cancelled already, or its end is owed */
  assert(runs(w));
  w->turn->cut = ENG_CUT_CANCEL;
  w->turn->cancel_sequence = requested->pos.sequence;
}

/* An input waits; that it interrupts was staged as such. */
static void apply_wait(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  struct eng_turn *t = s->turn;
  if (s->what == ENG_DO_INTERRUPT) {
    apply_cancel(w, frame_of(s, YOI_EVENT_TURN_CANCEL_REQUESTED));
    if (eng_queue_front(w)) eng_queue_over(s, false, after);
  }
  const struct eng_frame *f = s->frames[s->owed];
  t->input_sequence = f->pos.sequence;
  t->input_bytes = f->content_len ? f->content_len : (uint32_t)f->ev.text.len;
  eng_queue_add(w, eng_turn_ref(t));
  answer_ack(s, yoi_sdk_str(t->id), eng_state_name(w->state), after);
}

static void apply_stop(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  assert(runs(w) || w->state == ENG_IDLE);
  w->stop_sequence = w->last.sequence;
  w->stop_ended = w->turn != NULL;
  if (w->turn) eng_calls_applied(w->turn);
  if (w->turn) turn_over(w, frame_of(s, YOI_EVENT_TURN_ENDED), ENG_CANCELLED, after);
  eng_queue_over(s, true, after);
  atomic_store(&w->state, ENG_STOPPED);
  answer_ack(s, s->turn ? yoi_sdk_str(s->turn->id) : (yoi_str){0}, "stopped", after);
}

static void apply_delete(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  struct yoi_sdk_buf buf;
  assert(w->state == ENG_STOPPED || w->state == ENG_CORRUPT);
  atomic_store(&w->state, ENG_GONE);
  eng_forget(w->eng, w); /* before anybody learns of it: the id is free */
  eng_worker_forgive(w);
  eng_bells_due(w, after);
  if (s->op->op == ENG_OP_EXPIRE) eng_count(w->eng, w->eng->metric.expired, 1);
  yoi_sdk_buf_init(&buf, 16);
  yoi_sdk_buf_adds(&buf, YOI_LIT("{}"));
  eng_op_answer(s->op, &buf, 0, after);
  s->op = NULL;
}

/* Calls went on: the turn is with its tools until all of them have results. */
static void apply_calls(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  struct eng_turn *t = s->turn;
  assert(runs(w) && w->turn == t);
  eng_calls_applied(t);
  t->state = eng_calls_open(t) > 0 ? ENG_TURN_TOOLS : ENG_TURN_CONTEXT;
  show_waiting(w);
  if (s->what != ENG_DO_APPROVE) return;
  answer_ack(s, yoi_sdk_str(t->id), eng_state_name(w->state), after);
}

static void apply(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  if (atomic_load(&w->eng->store_failing)) atomic_store(&w->eng->store_failing, false);
  show_all(w, s, after);
  switch (s->what) {
    case ENG_DO_CREATE:
      assert(w->state == ENG_CREATING);
      atomic_store(&w->state, ENG_IDLE);
      answer_created(s, after);
      break;
    case ENG_DO_INPUT:
      assert(runs(w));
      answer_ack(s, yoi_sdk_str(s->turn->id), "running", after);
      break;
    case ENG_DO_QUEUE:
    case ENG_DO_INTERRUPT:
      apply_wait(w, s, after);
      break;
    case ENG_DO_NOTE:
      assert(w->state == ENG_IDLE);
      answer_ack(s, (yoi_str){0}, "idle", after);
      break;
    case ENG_DO_CANCEL:
      assert(w->turn == s->turn);
      apply_cancel(w, frame_of(s, YOI_EVENT_TURN_CANCEL_REQUESTED));
      answer_ack(s, yoi_sdk_str(s->turn->id), eng_state_name(w->state), after);
      break;
    case ENG_DO_STEP:
    case ENG_DO_APPROVE:
      apply_calls(w, s, after);
      break;
    case ENG_DO_END:
      apply_end(w, s, after);
      break;
    case ENG_DO_BEGIN:
      assert(runs(w));
      break;
    case ENG_DO_DROP:
      eng_queue_over(s, true, after);
      break;
    case ENG_DO_CLOSE:
      break;
    case ENG_DO_STOP:
      apply_stop(w, s, after);
      break;
    case ENG_DO_DELETE:
      apply_delete(w, s, after);
      break;
  }
}

void eng_turn_end_in_memory(struct eng_worker *w, const struct eng_end_of *end,
                            struct eng_after *after) {
  struct eng_turn *t = w->turn;
  assert(t);
  struct eng_end_of copy = *end; /* it may be t's own */
  t->took_ns = eng_mono(w->eng) - t->accepted_mono;
  turn_over(w, NULL, copy.ended, after);
  eng_worker_owe(w, eng_turn_ref(t), &copy);
  eng_worker_emit_snapshot(w, after);
}

/* How what was to be appended ends without it. */
static void end_without(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  static const struct eng_end_of end = {
      .ended = ENG_FAILED,
      .reason = "store_error",
      .code = YOI_CODE_STORE_ERROR,
      .message = "the history could not be written",
  };
  static const struct eng_end_of dropped = {.ended = ENG_CANCELLED, .reason = "shutting_down"};
  if (s->what == ENG_DO_STEP || s->what == ENG_DO_END) eng_turn_end_in_memory(w, &end, after);
  if (s->what == ENG_DO_APPROVE || s->what == ENG_DO_STOP) eng_calls_unstage(s->turn);
  if (s->what == ENG_DO_BEGIN) eng_queue_over_in_memory(w, &end, after);
  if (s->what == ENG_DO_DROP) eng_queue_over_in_memory(w, &dropped, after);
}

static void apply_failure(struct eng_worker *w, struct eng_stage *s, struct eng_after *after) {
  struct eng_engine *eng = w->eng;
  w->store_errors++;
  w->store_error_ns = eng_wall(eng);
  atomic_fetch_add(&eng->store_errors, 1);
  atomic_store(&eng->store_error_ns, w->store_error_ns);
  atomic_store(&eng->store_failing, true);
  if (s->what == ENG_DO_CREATE) {
    atomic_store(&w->state, ENG_GONE);
    eng_forget(eng, w);
  }
  end_without(w, s, after);
  if (s->op) {
    eng_op_fail(s->op, YOI_CODE_STORE_ERROR, "the history could not be written", after);
    s->op = NULL;
  }
}

int eng_worker_wait(struct eng_worker *w, struct eng_op *op) {
  if (w->n_waiting == YOI_PENDING_OPS_MAX) return 0;
  op->next = NULL;
  if (w->waiting)
    w->waiting_last->next = op;
  else
    w->waiting = op;
  w->waiting_last = op;
  w->n_waiting++;
  return 1;
}

static void step_waiting(struct eng_worker *w, struct eng_after *after) {
  while (!w->stage && !w->held && w->waiting) {
    struct eng_op *op = w->waiting;
    w->waiting = op->next;
    w->n_waiting--;
    eng_op_step(op, after);
  }
}

void eng_worker_unhold(struct eng_worker *w) {
  struct eng_after after = {0};
  pthread_mutex_lock(&w->mu);
  w->held = false;
  step_waiting(w, &after);
  eng_worker_leave(w, &after);
}

static void stage_done(struct eng_ticket *ticket, yoi_status st, struct eng_frame *const *frames,
                       size_t n) {
  (void)frames, (void)n;
  struct eng_stage *s = (struct eng_stage *)ticket;
  struct eng_worker *w = eng_worker_ref(s->w);
  struct eng_engine *eng = w->eng;
  struct eng_after after = {0};
  pthread_mutex_lock(&w->mu);
  struct eng_load *load = w->load; /* it waited for this */
  w->stage = NULL;
  if (atomic_load(&eng->closing)) {
    pthread_mutex_unlock(&w->mu);
    eng_stage_free(s);
    eng_worker_unref(w);
    return;
  }
  if (st == YOI_OK && s->what != ENG_DO_DELETE)
    yoi_sdk_metric_observe(&eng->metrics, eng->metric.append_time, eng_mono(eng) - s->begun_mono);
  if (st == YOI_OK)
    apply(w, s, &after);
  else
    apply_failure(w, s, &after);
  step_waiting(w, &after);
  if (w->turn && !w->stage && !after.kick && !after.begun) after.kick = eng_turn_ref(w->turn);
  if (atomic_load(&eng->draining)) eng_bells_due(w, &after);
  if (load) eng_load_awake(load);
  eng_worker_leave(w, &after);
  if (load) eng_load_over(load);
  eng_stage_free(s);
  eng_worker_unref(w);
  eng_sleep_some(eng);
  eng_active_done(eng);
}

/* ---- leaving ---- */

#define LEAVE_TOKENS YOI_SDK_HARD(16, 2)
static size_t pop_due(struct eng_worker *w, uint64_t *tokens) {
  size_t n = 0;
  for (; n < LEAVE_TOKENS && w->due; n++) {
    tokens[n] = w->due->token;
    bell_set(w, w->due, ENG_BELL_QUIET);
  }
  return n;
}

void eng_worker_leave(struct eng_worker *w, struct eng_after *after) {
  struct eng_engine *eng = w->eng;
  uint64_t tokens[LEAVE_TOKENS];
  eng_queue_next(w, after);
  size_t n = after->bells ? pop_due(w, tokens) : 0;
  pthread_mutex_unlock(&w->mu);
  if (after->events > 0) eng_count(eng, eng->metric.events, after->events);
  for (size_t i = 0; i < ENG_ENDED_COUNT; i++)
    if (after->over[i] > 0) eng_count(eng, eng->metric.turns[i], after->over[i]);
  if (after->ran) yoi_sdk_metric_observe(&eng->metrics, eng->metric.turn_time, after->took_ns);
  if (after->timer) eng_keep_timer(eng);
  while (after->answered) {
    struct eng_op *op = after->answered;
    after->answered = op->next;
    if (op->wake) eng->host->wake(eng->host, op->wake);
    eng_op_unref(op);
  }
  while (n > 0) {
    for (size_t i = 0; i < n; i++) eng->host->wake(eng->host, tokens[i]);
    if (n < LEAVE_TOKENS) break;
    pthread_mutex_lock(&w->mu);
    n = pop_due(w, tokens);
    pthread_mutex_unlock(&w->mu);
  }
  struct eng_turn *const kicks[] = {after->kick, after->begun};
  for (size_t i = 0; i < 2; i++) {
    if (!kicks[i]) continue;
    eng_turn_kick(kicks[i]);
    eng_turn_unref(kicks[i]);
  }
  if (after->write) stage_write(after->write);
}
