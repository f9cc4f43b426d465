/* op.c - operations on a worker, and the streams that answer them.
 *
 * A unary operation is usually answered before start returns; when something
 * is staged, or the store is slow, its stream says AGAIN and is woken. Two
 * references: the holder's stream, and whoever will answer (a stage, the
 * worker's queue, a read). Invariants:
 *
 *  1. Every operation is answered exactly once: with a text or an error.
 *  2. A late verb gets the stored outcome: cancel after cancel, stop after
 *     stop, input after input with one key; nothing is appended for it.
 *  3. cancel of the stream ends the stream only; what is appended stays.
 */
#include "op.h"

#include <assert.h>
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "page.h"
#include "queue.h"
#include "shapes.h"

static yoi_status op_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                          yoi_error *err);
static void op_cancel(yoi_stream *s);
static void op_release(yoi_stream *s);

static const yoi_stream_ops op_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = op_next,
    .cancel = op_cancel,
    .release = op_release,
};

struct eng_op *eng_op_new(struct eng_worker *w, const yoi_request *req, yoi_str reason) {
  struct eng_op *op = yoi_sdk_calloc(1, sizeof *op);
  if (!op) return NULL;
  if (req->op == YOI_OP_WORKER_CANCEL || req->op == YOI_OP_WORKER_STOP ||
      req->op == YOI_OP_WORKER_APPROVE) {
    op->words = yoi_sdk_malloc(req->principal.len + reason.len + 1);
    if (!op->words) {
      yoi_sdk_free(op);
      return NULL;
    }
    if (req->principal.len) memcpy(op->words, req->principal.ptr, req->principal.len);
    if (reason.len) memcpy(op->words + req->principal.len, reason.ptr, reason.len);
    op->principal = (yoi_str){op->words, req->principal.len};
    op->reason = (yoi_str){op->words + req->principal.len, reason.len};
  }
  op->head.ops = &op_ops;
  op->w = eng_worker_ref(w);
  atomic_init(&op->refs, 1);
  op->op = req->op;
  op->token = req->token;
  op->follow = req->op == YOI_OP_WORKER_INPUT && (req->flags & YOI_REQ_FOLLOW) != 0;
  op->once = (req->flags & YOI_REQ_ONCE) != 0;
  return op;
}

struct eng_op *eng_op_ref(struct eng_op *op) {
  atomic_fetch_add_explicit(&op->refs, 1, memory_order_relaxed);
  return op;
}

void eng_op_unref(struct eng_op *op) {
  if (!op || atomic_fetch_sub_explicit(&op->refs, 1, memory_order_acq_rel) != 1) return;
  assert(!op->watch.counted && !op->watch.batch);
  eng_read_free(op->watch.read);
  eng_page_free(op->page);
  eng_artefact_free(op->artefact);
  eng_asked_free(op->asked);
  eng_worker_unref(op->w);
  yoi_sdk_free(op->text);
  yoi_sdk_free(op->words);
  yoi_sdk_free(op);
}

/* ---- answering ---- */

static void answered(struct eng_op *op, struct eng_after *after) {
  op->wake = op->armed ? op->token : 0;
  op->next = after->answered;
  after->answered = op;
  op->armed = false;
}

void eng_op_fail(struct eng_op *op, int32_t code, const char *message, struct eng_after *after) {
  assert(op->state == ENG_OP_PENDING);
  op->state = ENG_OP_FAILED;
  op->code = code;
  op->message = message;
  answered(op, after);
}

void eng_op_answer(struct eng_op *op, struct yoi_sdk_buf *text, uint32_t flags,
                   struct eng_after *after) {
  assert(op->state == ENG_OP_PENDING);
  size_t len = 0;
  if (!text->failed) op->text = yoi_sdk_buf_take(text, &len);
  yoi_sdk_buf_release(text);
  if (!op->text) {
    eng_op_fail(op, YOI_CODE_INTERNAL, "memory is short", after);
    return;
  }
  op->state = ENG_OP_ANSWERED;
  op->event = (yoi_event){
      .size = sizeof(yoi_event),
      .kind = op->follow ? YOI_EVENT_ACK : YOI_EVENT_RESULT,
      .flags = flags,
      .text = {op->text, len},
  };
  op->event_at = &op->event;
  answered(op, after);
}

void eng_op_ack(struct eng_op *op, yoi_str turn_id, uint64_t sequence, const char *state,
                struct eng_after *after) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  char cursor[ENG_CURSOR_SIZE];
  struct eng_pos pos = {.sequence = sequence};
  yoi_sdk_buf_init(&buf, 1024);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "ack");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr_opt(&w, "turn_id", turn_id);
  yoi_sdk_jsonw_kint(&w, "sequence", (int64_t)sequence);
  yoi_sdk_jsonw_kstr(&w, "cursor", eng_worker_cursor(op->w, pos, cursor));
  yoi_sdk_jsonw_kstr(&w, "state", yoi_sdk_str(state));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
  if (op->follow) {
    op->watch.pos = pos;
    op->watch.ring_turn = op->w->ring_turn;
    op->watch.replaying = op->replay;
    memcpy(op->watch.turn, turn_id.ptr ? turn_id.ptr : "", turn_id.len);
    op->watch.turn[turn_id.len] = 0;
  }
  eng_op_answer(op, &buf, 0, after);
}

/* ---- what waited, or comes first ---- */

static void stage_failed(struct eng_op *op, struct eng_after *after) {
  eng_op_fail(op, YOI_CODE_INTERNAL, "memory is short", after);
}

/* The outcome of the stop that was first. */
static void ack_stopped(struct eng_op *op, struct eng_after *after) {
  const struct eng_worker *w = op->w;
  yoi_str id = {0};
  if (w->stop_ended && w->last_end) id = yoi_sdk_json_raw_get(w->last_end->ev.text, "turn_id");
  if (id.len > 2) id = (yoi_str){id.ptr + 1, id.len - 2}; /* a UUID needs no unescaping */
  eng_op_ack(op, id, w->stop_sequence, "stopped", after);
}

/* Nothing can be appended to it, so nothing of it changes but that it goes. */
static bool refuse_corrupt(struct eng_op *op, struct eng_after *after) {
  if (op->w->state != ENG_CORRUPT) return false;
  eng_op_fail(op, YOI_CODE_STORE_CORRUPT, "the worker's history is damaged", after);
  return true;
}

static void step_cancel(struct eng_op *op, struct eng_after *after) {
  struct eng_worker *w = op->w;
  struct eng_turn *t = w->turn;
  if (refuse_corrupt(op, after)) return;
  if (w->state == ENG_STOPPED) {
    ack_stopped(op, after);
    return;
  }
  if (!t || (op->aimed > 0 && op->aimed != w->ring_turn)) {
    eng_op_ack(op, (yoi_str){0}, w->last.sequence, eng_state_name(w->state), after);
    return;
  }
  if (t->cut == ENG_CUT_CANCEL) {
    eng_op_ack(op, yoi_sdk_str(t->id), t->cancel_sequence, eng_state_name(w->state), after);
    return;
  }
  struct eng_stage *s = eng_stage_new(w, ENG_DO_CANCEL, 1);
  if (!s) {
    stage_failed(op, after);
    return;
  }
  s->turn = eng_turn_ref(t);
  eng_stage_add(s, eng_record_cancel(s, t, op->reason, op->principal));
  s->op = eng_op_ref(op);
  if (!eng_stage_commit(s, after))
    stage_failed(op, after);
  else
    eng_op_unref(op);
}

static void step_stop(struct eng_op *op, struct eng_after *after) {
  struct eng_worker *w = op->w;
  struct eng_turn *t = w->turn;
  if (refuse_corrupt(op, after)) return;
  if (w->state == ENG_STOPPED) {
    ack_stopped(op, after);
    return;
  }
  struct eng_stage *s =
      eng_stage_new(w, ENG_DO_STOP, 2 + eng_queue_count(w) + (t ? eng_calls_open(t) : 0));
  if (!s) {
    stage_failed(op, after);
    return;
  }
  if (t) {
    struct eng_end_of end = {
        .ended = ENG_CANCELLED,
        .reason = t->cut == ENG_CUT_CANCEL ? "cancel_requested" : "worker_stopped",
    };
    s->turn = eng_turn_ref(t);
    eng_calls_stage_ends(s, t, false);
    eng_stage_add(s, eng_record_turn_ended(w, eng_stage_pos(s), t, &end));
  }
  eng_queue_stage_ends(s, "worker_stopped", true);
  eng_stage_add(s, eng_record_stopped(s, op->reason, op->principal));
  s->op = eng_op_ref(op);
  if (eng_stage_commit(s, after)) {
    eng_op_unref(op);
    return;
  }
  eng_calls_unstage(t);
  stage_failed(op, after);
}

static void step_delete(struct eng_op *op, struct eng_after *after) {
  struct eng_worker *w = op->w;
  bool corrupt_too = op->op == YOI_OP_WORKER_DELETE;
  if (w->state != ENG_STOPPED && (w->state != ENG_CORRUPT || !corrupt_too)) {
    eng_op_fail(op, YOI_CODE_WORKER_NOT_STOPPED, "only a stopped worker can be deleted", after);
    return;
  }
  struct eng_stage *s = eng_stage_new(w, ENG_DO_DELETE, 0);
  if (!s) {
    stage_failed(op, after);
    return;
  }
  /* What was owed goes with the rest. */
  while (s->n > 0) eng_frame_unref(s->frames[--s->n]);
  s->owed = 0;
  s->op = eng_op_ref(op);
  if (!eng_stage_commit(s, after))
    stage_failed(op, after);
  else
    eng_op_unref(op);
}

/* An input with a key that is known, or that was staged a moment ago; one that
 * was refused has answered for it (input.c). */
static void step_replay(struct eng_op *op, struct eng_after *after) {
  struct eng_worker *w = op->w;
  const struct eng_idem_entry *e = eng_idem_find(&w->idem, &op->key);
  if (!e) {
    eng_op_fail(op, YOI_CODE_STORE_ERROR, "the history could not be written", after);
    return;
  }
  static const uint8_t none[sizeof e->turn];
  bool turn = memcmp(e->turn, none, sizeof none) != 0;
  char id[37] = "";
  if (turn) {
    char hex[32];
    yoi_sdk_hex(e->turn, sizeof e->turn, hex);
    (void)snprintf(id, sizeof id, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
  }
  op->replay = true;
  eng_op_ack(op, yoi_sdk_str(id), e->sequence, turn ? "running" : "idle", after);
}

/* A create that met its own first attempt. */
static void step_create(struct eng_op *op, struct eng_after *after) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw jw;
  yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
  yoi_sdk_jsonw_init(&jw, &buf);
  yoi_sdk_jsonw_open(&jw, '{');
  yoi_sdk_jsonw_key(&jw, "worker");
  eng_shape_worker(&jw, op->w, 0);
  yoi_sdk_jsonw_close(&jw, '}');
  eng_op_answer(op, &buf, 0, after);
}

static void step_gone(struct eng_op *op, struct eng_after *after) {
  if (op->op == YOI_OP_WORKER_CREATE) {
    eng_op_fail(op, YOI_CODE_STORE_ERROR, "the history could not be written", after);
  } else if (op->op == YOI_OP_WORKER_DELETE || op->op == ENG_OP_EXPIRE) {
    struct yoi_sdk_buf buf;
    yoi_sdk_buf_init(&buf, 16);
    yoi_sdk_buf_adds(&buf, YOI_LIT("{}"));
    eng_op_answer(op, &buf, 0, after);
  } else {
    eng_op_fail(op, YOI_CODE_WORKER_NOT_FOUND, "the worker was deleted", after);
  }
}

void eng_op_step(struct eng_op *op, struct eng_after *after) {
  assert(!op->w->stage || op->op == YOI_OP_WORKER_INPUT || op->op == YOI_OP_WORKER_CREATE);
  if (op->w->state == ENG_GONE) {
    step_gone(op, after);
    return;
  }
  switch (op->op) {
    case YOI_OP_WORKER_CREATE:
      step_create(op, after);
      break;
    case YOI_OP_WORKER_INPUT:
      if (op->asked)
        eng_input_step(op, after);
      else
        step_replay(op, after);
      break;
    case YOI_OP_WORKER_CANCEL:
      step_cancel(op, after);
      break;
    case YOI_OP_WORKER_STOP:
      step_stop(op, after);
      break;
    case YOI_OP_WORKER_APPROVE:
      eng_approve_step(op, after);
      break;
    default:
      step_delete(op, after);
      break;
  }
}

/* ---- the stream ---- */

yoi_status eng_op_error(const struct eng_op *op, yoi_error *err) {
  yoi_status st = yoi_sdk_fail(err, op->code, "%s", op->message);
  if (err) err->retry_after_ms = op->retry_ms;
  return st;
}

yoi_status eng_op_return(struct eng_op *op, yoi_stream **out, yoi_error *err) {
  pthread_mutex_lock(&op->w->mu);
  bool failed = op->state == ENG_OP_FAILED;
  pthread_mutex_unlock(&op->w->mu);
  if (!failed) {
    *out = &op->head;
    return YOI_OK;
  }
  yoi_status st = eng_op_error(op, err);
  op_release(&op->head);
  return st;
}

static yoi_status op_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                          yoi_error *err) {
  struct eng_op *op = (struct eng_op *)s;
  yoi_status st = YOI_END;
  pthread_mutex_lock(&op->w->mu);
  if (op->cancelled && op->state != ENG_OP_FAILED && op->state != ENG_OP_DONE)
    op->cancel_seen = true;
  if (op->cancel_seen) { /* for ever, whatever is answered meanwhile */
    pthread_mutex_unlock(&op->w->mu);
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  switch ((enum eng_op_state)op->state) {
    case ENG_OP_PENDING:
      op->armed = true;
      st = YOI_AGAIN;
      break;
    case ENG_OP_ANSWERED:
      op->state = ENG_OP_GIVEN;
      *out_events = &op->event_at;
      *out_n = 1;
      st = YOI_OK;
      break;
    case ENG_OP_GIVEN:
      op->state = op->follow ? ENG_OP_WATCHING : ENG_OP_DONE;
      break;
    case ENG_OP_FAILED:
      st = eng_op_error(op, err);
      break;
    case ENG_OP_WATCHING:
    case ENG_OP_DONE:
      break;
  }
  bool watching = op->state == ENG_OP_WATCHING;
  pthread_mutex_unlock(&op->w->mu);
  return watching ? eng_watch_next(op, out_events, out_n, err) : st;
}

static void op_cancel(yoi_stream *s) {
  struct eng_op *op = (struct eng_op *)s;
  const yoi_host *host = op->w->eng->host;
  pthread_mutex_lock(&op->w->mu);
  bool first = !op->cancelled;
  op->cancelled = true;
  uint64_t token = op->token;
  pthread_mutex_unlock(&op->w->mu);
  if (first && token) host->wake(host, token);
}

static void op_release(yoi_stream *s) {
  if (!s) return;
  struct eng_op *op = (struct eng_op *)s;
  pthread_mutex_lock(&op->w->mu);
  eng_watch_end(op);
  op->armed = false;
  op->token = 0;
  pthread_mutex_unlock(&op->w->mu);
  struct eng_engine *eng = op->w->eng;
  eng_op_unref(op);
  eng_sleep_some(eng);
}
