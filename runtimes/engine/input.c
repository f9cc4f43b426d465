/* input.c - the operations that reach into one worker: input, cancel, stop,
 * delete, events.
 *
 * Each is checked under the worker's lock against its last applied state, in
 * this order: replay, then stopped, shutting down, busy, limits. A replay
 * comes first because a caller that repeats itself must get its first answer,
 * whatever has happened since.
 */
#include <sdk/id.h>
#include <sdk/mem.h>

#include "op.h"
#include "shapes.h"

static yoi_status not_found(yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_WORKER_NOT_FOUND, "there is no such worker");
}

/* ---- cancel, stop, delete ---- */

static yoi_status start_verb(struct eng_engine *eng, const yoi_request *req, yoi_stream **out,
                             yoi_error *err) {
  yoi_sdk_json *body = NULL;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  struct eng_worker *w = eng_find(eng, req->worker_id);
  struct eng_op *op = w ? eng_op_new(w, req, eng_ask_str(body, "reason")) : NULL;
  yoi_sdk_json_free(body);
  if (!w) return not_found(err);
  eng_worker_unref(w);
  if (!op) return yoi_sdk_fail_memory(err);
  struct eng_after after = {0};
  bool full = false;
  (void)eng_op_ref(op);
  pthread_mutex_lock(&w->mu);
  if (!w->stage)
    eng_op_step(op, &after);
  else
    full = !eng_worker_wait(w, op);
  eng_worker_leave(w, &after);
  if (!full) return eng_op_return(op, out, err);
  eng_op_unref(op);
  eng_op_unref(op);
  return yoi_sdk_fail(err, YOI_CODE_QUEUE_FULL, "too many operations wait for this worker");
}

yoi_status eng_start_cancel(struct eng_engine *eng, const yoi_request *req, yoi_stream **out,
                            yoi_error *err) {
  return start_verb(eng, req, out, err);
}

yoi_status eng_start_stop(struct eng_engine *eng, const yoi_request *req, yoi_stream **out,
                          yoi_error *err) {
  return start_verb(eng, req, out, err);
}

yoi_status eng_start_delete(struct eng_engine *eng, const yoi_request *req, yoi_stream **out,
                            yoi_error *err) {
  return start_verb(eng, req, out, err);
}

/* ---- input ---- */

/* Everything that one input has in hand. */
struct asked {
  const yoi_request *req;
  struct eng_ask_input ask;
  struct eng_worker *w;
  struct eng_op *op;
  struct eng_turn *turn;
};

static yoi_status conflict(yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_IDEMPOTENCY_CONFLICT,
                      "this idempotency key was used with another body");
}

/* Locked. 1: it is a replay, and *st says what became of it. */
static int replay(struct asked *a, struct eng_after *after, yoi_status *st, yoi_error *err) {
  struct eng_worker *w = a->w;
  struct eng_op *op = a->op;
  *st = YOI_OK;
  if (!op->keyed) return 0;
  const struct eng_idem_entry *e = eng_idem_find(&w->idem, &op->key);
  if (e) {
    if (!eng_print_eq(&e->request, &op->print))
      *st = conflict(err);
    else
      eng_op_step(eng_op_ref(op), after);
    return 1;
  }
  const struct eng_stage *s = w->stage;
  if (!s || !s->keyed || !eng_print_eq(&s->idem.key, &op->key)) return 0;
  if (!eng_print_eq(&s->idem.request, &op->print)) {
    *st = conflict(err);
  } else if (!eng_worker_wait(w, eng_op_ref(op))) {
    eng_op_unref(op);
    *st = yoi_sdk_fail(err, YOI_CODE_QUEUE_FULL, "too many operations wait for this worker");
  }
  return 1;
}

static yoi_status refuse(const struct asked *a, yoi_error *err) {
  const struct eng_worker *w = a->w;
  const struct eng_engine *eng = w->eng;
  uint64_t needed = w->history_bytes + a->ask.content.len;
  if (w->state == ENG_STOPPED)
    return yoi_sdk_fail(err, YOI_CODE_WORKER_STOPPED, "the worker is stopped");
  if (atomic_load(&eng->draining))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is shutting down");
  if (w->stage || w->state == ENG_RUNNING)
    return yoi_sdk_fail(err, YOI_CODE_WORKER_BUSY, "the worker is busy with another turn");
  if (needed > eng->limits.history_bytes)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED,
                        "the worker's history has reached its limit of %llu bytes",
                        (unsigned long long)eng->limits.history_bytes);
  return YOI_OK;
}

static void uuid_bytes(const char *text, uint8_t out[16]) {
  char hex[32];
  size_t n = 0;
  for (size_t i = 0; i < 36; i++)
    if (text[i] != '-') hex[n++] = text[i];
  (void)yoi_sdk_unhex((yoi_str){hex, n}, out, 16);
}

/* Locked: stages input.accepted and, for a user's, turn.started. */
static int stage_input(struct asked *a, struct eng_after *after) {
  struct eng_stage *s = eng_stage_new(a->w, a->turn ? ENG_DO_INPUT : ENG_DO_NOTE, 2);
  if (!s) return 0;
  s->keyed = a->op->keyed;
  s->idem.key = a->op->key;
  s->idem.request = a->op->print;
  yoi_str turn_id = a->turn ? yoi_sdk_str(a->turn->id) : (yoi_str){0};
  if (a->turn) uuid_bytes(a->turn->id, s->idem.turn);
  eng_stage_add(s, eng_record_input(s, &a->ask, a->req->principal, turn_id));
  if (a->turn) {
    eng_stage_add(s, eng_record_turn_started(s, a->turn));
    s->turn = a->turn;
    a->turn = NULL;
  }
  s->op = eng_op_ref(a->op);
  return eng_stage_commit(s, after);
}

static yoi_status accept(struct asked *a, struct eng_after *after, yoi_error *err) {
  yoi_status st;
  if (a->w->state == ENG_GONE || a->w->state == ENG_CREATING) return not_found(err);
  if (a->op->follow) {
    st = eng_watch_admit(a->op, err);
    if (st != YOI_OK) return st;
  }
  if (replay(a, after, &st, err)) return st;
  st = refuse(a, err);
  if (st == YOI_OK && !stage_input(a, after)) st = yoi_sdk_fail_memory(err);
  return st;
}

static yoi_status prepare(struct eng_engine *eng, struct asked *a, yoi_error *err) {
  const yoi_request *req = a->req;
  yoi_sdk_json *body = NULL;
  struct eng_print key;
  bool keyed;
  yoi_status st = eng_ask_key(req, &key, &keyed, err);
  if (st == YOI_OK) st = eng_ask_parse(req, &body, err);
  if (st == YOI_OK) st = eng_ask_input(&a->ask, body, (size_t)eng->limits.input_bytes, keyed, err);
  yoi_sdk_json_free(body);
  if (st != YOI_OK) return st;
  if (a->ask.is_system && req->origin == YOI_ORIGIN_BROWSER)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "input of kind 'system' is not for people's surfaces");
  a->w = eng_find(eng, req->worker_id);
  if (!a->w) return not_found(err);
  a->op = eng_op_new(a->w, req, (yoi_str){0});
  if (!a->op) return yoi_sdk_fail_memory(err);
  a->op->keyed = keyed;
  if (keyed) {
    a->op->key = key;
    a->op->print = a->ask.print;
  }
  if (a->ask.is_system) return YOI_OK;
  a->turn = eng_turn_new(a->w, req);
  return a->turn ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status eng_start_input(struct eng_engine *eng, const yoi_request *req, yoi_stream **out,
                           yoi_error *err) {
  struct asked a = {.req = req};
  yoi_status st = prepare(eng, &a, err);
  if (st == YOI_OK) {
    struct eng_after after = {0};
    pthread_mutex_lock(&a.w->mu);
    st = accept(&a, &after, err);
    if (st != YOI_OK) eng_watch_end(a.op);
    eng_worker_leave(a.w, &after);
  }
  yoi_sdk_buf_release(&a.ask.content);
  eng_turn_unref(a.turn);
  eng_worker_unref(a.w);
  if (st == YOI_OK) return eng_op_return(a.op, out, err);
  eng_op_unref(a.op);
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
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'cursor' is not a cursor");
  if (c.epoch != w->epoch || c.worker != w->cursor_worker)
    return yoi_sdk_fail(err, YOI_CODE_CURSOR_EXPIRED, "the cursor is not of this worker");
  if (c.pos.sequence > w->last.sequence)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'cursor' is ahead of the history");
  x->pos = c.pos;
  x->replaying = c.pos.sequence < w->last.sequence;
  return YOI_OK;
}

yoi_status eng_start_events(struct eng_engine *eng, const yoi_request *req, yoi_stream **out,
                            yoi_error *err) {
  yoi_sdk_json *body = NULL;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  struct eng_worker *w = eng_find(eng, req->worker_id);
  struct eng_op *op = w ? eng_op_new(w, req, (yoi_str){0}) : NULL;
  if (!w) st = not_found(err);
  if (w && !op) st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK) {
    op->state = ENG_OP_WATCHING;
    pthread_mutex_lock(&w->mu);
    if (w->state == ENG_GONE) st = not_found(err);
    if (st == YOI_OK) st = place(op, eng_ask_str(body, "cursor"), err);
    if (st == YOI_OK) st = eng_watch_admit(op, err);
    pthread_mutex_unlock(&w->mu);
  }
  yoi_sdk_json_free(body);
  eng_worker_unref(w);
  if (st == YOI_OK)
    *out = &op->head;
  else
    eng_op_unref(op);
  return st;
}
