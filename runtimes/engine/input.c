/* input.c - the operations that reach into one worker: input, cancel, stop,
 * delete, events.
 *
 * Each is checked under the worker's lock against its last applied state, in
 * this order: replay, then stopped, shutting down, busy, limits. A replay
 * comes first because a caller that repeats itself must get its first answer,
 * whatever has happened since. While something is staged, a plain input is
 * busy; one that would queue or interrupt waits until it is known what for.
 */
#include <sdk/id.h>
#include <sdk/mem.h>

#include "op.h"
#include "queue.h"
#include "shapes.h"

static yoi_status too_many_wait(yoi_error *err) {
  yoi_status st =
      yoi_sdk_fail(err, YOI_CODE_QUEUE_FULL, "too many operations wait for this worker");
  if (err) err->retry_after_ms = YOI_RETRY_APPEND_MS;
  return st;
}

/* ---- cancel, stop, delete ---- */

yoi_status eng_op_submit(struct eng_op *op, yoi_stream **out, yoi_error *err) {
  struct eng_worker *w = op->w;
  struct eng_after after = {0};
  bool full = false;
  (void)eng_op_ref(op);
  pthread_mutex_lock(&w->mu);
  if (!w->stage && !w->held)
    eng_op_step(op, &after);
  else
    full = !eng_worker_wait(w, op);
  if (w->turn) op->aimed = w->ring_turn;
  eng_worker_leave(w, &after);
  if (!full) return eng_op_return(op, out, err);
  eng_op_unref(op);
  eng_op_unref(op);
  return too_many_wait(err);
}

static yoi_status start_verb(const yoi_request *req, struct eng_worker *w, yoi_stream **out,
                             yoi_error *err) {
  yoi_sdk_json *body = NULL;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  struct eng_op *op = w ? eng_op_new(w, req, eng_ask_str(body, "reason")) : NULL;
  yoi_sdk_json_free(body);
  if (!w) return eng_ask_no_worker(err);
  if (!op) return yoi_sdk_fail_memory(err);
  return eng_op_submit(op, out, err);
}

yoi_status eng_start_cancel(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                            yoi_stream **out, yoi_error *err) {
  (void)eng;
  return start_verb(req, w, out, err);
}

yoi_status eng_start_stop(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                          yoi_stream **out, yoi_error *err) {
  (void)eng;
  return start_verb(req, w, out, err);
}

yoi_status eng_start_delete(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                            yoi_stream **out, yoi_error *err) {
  (void)eng;
  return start_verb(req, w, out, err);
}

/* ---- input ---- */

/* Everything that one input has in hand. */
struct hand {
  const yoi_request *req;
  struct eng_ask_input ask;
  struct eng_worker *w; /* borrowed */
  struct eng_op *op;
  struct eng_turn *turn;
};

static yoi_status conflict(yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_IDEMPOTENCY_CONFLICT,
                      "this idempotency key was used with another body");
}

/* The fingerprint of the attempt with that key that is on its way. */
static const struct eng_print *under_way(const struct eng_worker *w, const struct eng_print *key) {
  const struct eng_stage *s = w->stage;
  if (s && s->keyed && eng_print_eq(&s->idem.key, key)) return &s->idem.request;
  for (const struct eng_op *op = w->waiting; op; op = op->next)
    if (op->asked && op->keyed && eng_print_eq(&op->key, key)) return &op->print;
  return NULL;
}

/* Locked. 1: it is a replay, and *st says what became of it. */
static int replay(struct hand *h, struct eng_after *after, yoi_status *st, yoi_error *err) {
  struct eng_worker *w = h->w;
  struct eng_op *op = h->op;
  *st = YOI_OK;
  if (!op->keyed) return 0;
  const struct eng_idem_entry *e = eng_idem_find(&w->idem, &op->key);
  const struct eng_print *first = e ? &e->request : under_way(w, &op->key);
  if (!first) return 0;
  if (!eng_print_eq(first, &op->print)) {
    *st = conflict(err);
  } else if (e) {
    eng_op_step(eng_op_ref(op), after);
  } else if (!eng_worker_wait(w, eng_op_ref(op))) {
    eng_op_unref(op);
    *st = too_many_wait(err);
  }
  return 1;
}

struct refusal {
  int32_t code;
  uint32_t retry_ms;
  const char *message;
};

static bool is_busy(const struct eng_worker *w) {
  return w->turn || eng_queue_first(w);
}

/* Locked: why the input cannot be taken now; NULL: it can. */
static const struct refusal *refusal(const struct eng_worker *w, const struct eng_ask_input *ask) {
  static const struct refusal gone = {YOI_CODE_WORKER_NOT_FOUND, 0, "there is no such worker"};
  static const struct refusal stopped = {YOI_CODE_WORKER_STOPPED, 0, "the worker is stopped"};
  static const struct refusal corrupt = {YOI_CODE_STORE_CORRUPT, 0,
                                         "the worker's history is damaged"};
  static const struct refusal draining = {YOI_CODE_SHUTTING_DOWN, 0,
                                          "the runtime is shutting down"};
  static const struct refusal busy = {YOI_CODE_WORKER_BUSY, 0,
                                      "the worker is busy with another turn"};
  static const struct refusal queue = {YOI_CODE_QUEUE_FULL, YOI_RETRY_TURN_MS,
                                       "too many inputs wait for this worker"};
  static const struct refusal history = {YOI_CODE_LIMIT_REACHED, 0,
                                         "the worker's history has reached its limit"};
  const struct eng_engine *eng = w->eng;
  bool rejects = ask->on_busy == ENG_BUSY_REJECT;
  if (w->state == ENG_GONE) return &gone;
  if (w->state == ENG_STOPPED) return &stopped;
  if (w->state == ENG_CORRUPT) return &corrupt;
  if (atomic_load(&eng->draining)) return &draining;
  if (rejects && (w->stage || is_busy(w))) return &busy;
  if (ask->on_busy == ENG_BUSY_QUEUE && eng_queue_count(w) >= eng->limits.queued_inputs)
    return &queue;
  if (w->history_bytes + ask->content.len > eng->limits.history_bytes) return &history;
  return NULL;
}

static void uuid_bytes(const char *text, uint8_t out[16]) {
  char hex[32];
  size_t n = 0;
  for (size_t i = 0; i < 36; i++)
    if (text[i] != '-') hex[n++] = text[i];
  (void)yoi_sdk_unhex((yoi_str){hex, n}, out, 16);
}

static enum eng_what what_it_does(const struct eng_worker *w, const struct eng_ask_input *ask) {
  if (ask->is_system) return ENG_DO_NOTE;
  if (!is_busy(w)) return ENG_DO_INPUT;
  return ask->on_busy == ENG_BUSY_INTERRUPT ? ENG_DO_INTERRUPT : ENG_DO_QUEUE;
}

/* The running turn is cancelled unless it was, and an earlier interrupting
 * one that still waits has lost. */
static void add_interrupt(struct eng_stage *s, yoi_str principal) {
  struct eng_worker *w = s->w;
  s->turn->front = true;
  if (w->turn && w->turn->cut == ENG_CUT_NONE)
    eng_stage_add(s, eng_record_cancel(s, w->turn, (yoi_str){0}, principal));
  if (eng_queue_front(w)) eng_queue_stage_ends(s, "cancel_requested", false);
}

/* Locked: stages input.accepted and what goes with it. *turn is taken over,
 * NULL for a system's. */
static int stage_input(struct eng_op *op, const struct eng_ask_input *ask, struct eng_turn **turn,
                       yoi_str principal, struct eng_after *after) {
  struct eng_worker *w = op->w;
  enum eng_what what = what_it_does(w, ask);
  bool waits = what == ENG_DO_QUEUE || what == ENG_DO_INTERRUPT;
  if (waits && !eng_queue_reserve(w)) return 0;
  struct eng_stage *s = eng_stage_new(w, what, 3);
  if (!s) return 0;
  s->keyed = op->keyed;
  s->idem.key = op->key;
  s->idem.request = op->print;
  s->turn = *turn;
  *turn = NULL;
  yoi_str turn_id = s->turn ? yoi_sdk_str(s->turn->id) : (yoi_str){0};
  if (s->turn) uuid_bytes(s->turn->id, s->idem.turn);
  eng_stage_add(s, eng_record_input(s, ask, principal, turn_id));
  if (what == ENG_DO_INPUT) {
    eng_turn_starts(s->turn);
    eng_stage_add(s, eng_record_turn_started(s, s->turn));
  }
  if (what == ENG_DO_INTERRUPT) add_interrupt(s, principal);
  s->op = eng_op_ref(op);
  return eng_stage_commit(s, after);
}

/* Locked: it waits behind what is staged, with all that it needs then. */
static yoi_status wait_behind(struct hand *h, yoi_error *err) {
  struct eng_op *op = h->op;
  struct eng_asked *a = yoi_sdk_calloc(1, sizeof *a);
  op->words = a ? yoi_sdk_strndup(h->req->principal.ptr, h->req->principal.len) : NULL;
  if (!op->words) {
    yoi_sdk_free(a);
    return yoi_sdk_fail_memory(err);
  }
  op->principal = (yoi_str){op->words, h->req->principal.len};
  if (!eng_worker_wait(h->w, eng_op_ref(op))) {
    eng_op_unref(op);
    yoi_sdk_free(a);
    return too_many_wait(err);
  }
  *a = (struct eng_asked){.ask = h->ask, .turn = h->turn};
  op->asked = a;
  yoi_sdk_buf_init(&h->ask.content, 0);
  h->turn = NULL;
  return YOI_OK;
}

void eng_asked_free(struct eng_asked *a) {
  if (!a) return;
  yoi_sdk_buf_release(&a->ask.content);
  eng_turn_unref(a->turn);
  yoi_sdk_free(a);
}

static void refuse(struct eng_op *op, const struct refusal *r, struct eng_after *after) {
  op->retry_ms = r->retry_ms;
  eng_op_fail(op, r->code, r->message, after);
}

/* Its repetitions wait behind it: what they repeat was refused. */
static void refuse_replays(const struct eng_op *op, const struct refusal *r,
                           struct eng_after *after) {
  struct eng_worker *w = op->w;
  struct eng_op **at = &w->waiting, *last = NULL;
  for (struct eng_op *o; (o = *at) != NULL;) {
    if (!o->keyed || o->asked || !eng_print_eq(&o->key, &op->key)) {
      last = o;
      at = &o->next;
      continue;
    }
    *at = o->next;
    w->n_waiting--;
    refuse(o, r, after);
  }
  w->waiting_last = last;
}

void eng_input_step(struct eng_op *op, struct eng_after *after) {
  static const struct refusal memory = {YOI_CODE_INTERNAL, 0, "memory is short"};
  struct eng_asked *a = op->asked;
  const struct refusal *r = refusal(op->w, &a->ask);
  op->asked = NULL;
  if (!r && !stage_input(op, &a->ask, &a->turn, op->principal, after)) r = &memory;
  if (!r) {
    eng_op_unref(op);
  } else {
    if (op->keyed) refuse_replays(op, r, after);
    refuse(op, r, after);
  }
  eng_asked_free(a);
}

static yoi_status accept(struct hand *h, struct eng_after *after, yoi_error *err) {
  struct eng_worker *w = h->w;
  yoi_status st, admitted = YOI_OK;
  if (w->state == ENG_GONE || w->state == ENG_CREATING) return eng_ask_no_worker(err);
  if (h->op->follow) admitted = eng_watch_admit(h->op, err);
  h->op->watch.denied = admitted != YOI_OK;
  if (replay(h, after, &st, err)) {
    if (st == YOI_OK) yoi_sdk_error_clear(err);
    return st;
  }
  if (admitted != YOI_OK) return admitted;
  const struct refusal *r = refusal(w, &h->ask);
  if (r) {
    st = yoi_sdk_fail(err, r->code, "%s", r->message);
    if (err) err->retry_after_ms = r->retry_ms;
    return st;
  }
  if (w->stage || w->held) return wait_behind(h, err);
  return stage_input(h->op, &h->ask, &h->turn, h->req->principal, after) ? YOI_OK
                                                                         : yoi_sdk_fail_memory(err);
}

static yoi_status prepare(struct eng_engine *eng, struct hand *h, yoi_error *err) {
  const yoi_request *req = h->req;
  yoi_sdk_json *body = NULL;
  struct eng_print key;
  bool keyed;
  yoi_status st = eng_ask_key(req, &key, &keyed, err);
  if (st == YOI_OK) st = eng_ask_parse(req, &body, err);
  if (st == YOI_OK) st = eng_ask_input(&h->ask, body, (size_t)eng->limits.input_bytes, keyed, err);
  yoi_sdk_json_free(body);
  if (st != YOI_OK) return st;
  if (h->ask.is_system && req->origin == YOI_ORIGIN_BROWSER)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "input of kind 'system' is not for people's surfaces");
  if (!h->w) return eng_ask_no_worker(err);
  h->op = eng_op_new(h->w, req, (yoi_str){0});
  if (!h->op) return yoi_sdk_fail_memory(err);
  h->op->keyed = keyed;
  if (keyed) {
    h->op->key = key;
    h->op->print = h->ask.print;
  }
  if (h->ask.is_system) return YOI_OK;
  h->turn = eng_turn_new(h->w, req);
  return h->turn ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status eng_start_input(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                           yoi_stream **out, yoi_error *err) {
  struct hand h = {.req = req, .w = w};
  yoi_status st = prepare(eng, &h, err);
  if (st == YOI_OK) {
    struct eng_after after = {0};
    pthread_mutex_lock(&h.w->mu);
    st = accept(&h, &after, err);
    if (st != YOI_OK) eng_watch_end(h.op);
    eng_worker_leave(h.w, &after);
  }
  yoi_sdk_buf_release(&h.ask.content);
  eng_turn_unref(h.turn);
  if (st == YOI_OK) return eng_op_return(h.op, out, err);
  eng_op_unref(h.op);
  return st;
}

/* ---- events ---- */

static yoi_status place(struct eng_op *op, yoi_str text, yoi_error *err) {
  const struct eng_worker *w = op->w;
  struct eng_watch *x = &op->watch;
  struct eng_cursor c;
  x->pos = w->last;
  x->ring_turn = w->ring_turn;
  x->snapshot = text.len == 0;
  if (text.len == 0) return YOI_OK;
  if (!eng_cursor_parse(text, &c))
    return eng_ask_refuse(err, "cursor", "is not a cursor");
  if (c.epoch != w->epoch || c.worker != w->cursor_worker)
    return yoi_sdk_fail(err, YOI_CODE_CURSOR_EXPIRED, "the cursor is not of this worker");
  if (c.pos.sequence > w->last.sequence)
    return eng_ask_refuse(err, "cursor", "is ahead of the history");
  x->pos = c.pos;
  x->replaying = c.pos.sequence < w->last.sequence;
  return YOI_OK;
}

yoi_status eng_start_events(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                            yoi_stream **out, yoi_error *err) {
  yoi_sdk_json *body = NULL;
  yoi_status st = eng_ask_parse(req, &body, err);
  (void)eng;
  if (st != YOI_OK) return st;
  struct eng_op *op = w ? eng_op_new(w, req, (yoi_str){0}) : NULL;
  if (!w) st = eng_ask_no_worker(err);
  if (w && !op) st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK) {
    op->state = ENG_OP_WATCHING;
    pthread_mutex_lock(&w->mu);
    if (w->state == ENG_GONE) st = eng_ask_no_worker(err);
    if (st == YOI_OK) st = place(op, eng_ask_str(body, "cursor"), err);
    if (st == YOI_OK) st = eng_watch_admit(op, err);
    pthread_mutex_unlock(&w->mu);
  }
  yoi_sdk_json_free(body);
  if (st == YOI_OK)
    *out = &op->head;
  else
    eng_op_unref(op);
  return st;
}
