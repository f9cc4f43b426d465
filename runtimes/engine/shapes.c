/* shapes.c - workers, turns and items as JSON.
 *
 * The shapes are those of docs/http.md; this file is the only one that
 * writes them, so that an answer, an event and a transcript never differ.
 * What a worker may do (`capabilities`) is computed from its state here and
 * nowhere else. Members that never change are written once, at create, and
 * copied (w->fixed).
 */
#include "shapes.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <yoi/ops.h>

#include "op.h"
#include "queue.h"

/* ---- the worker ---- */

int eng_shape_fixed(struct eng_worker *w, const struct eng_ask_create *a) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw jw;
  yoi_sdk_buf_init(&buf, 2 * YOI_CREATE_BYTES_MAX);
  yoi_sdk_jsonw_init(&jw, &buf);
  yoi_sdk_jsonw_kstr(&jw, "display_name", a->display_name.len ? a->display_name : w->entry.id);
  yoi_sdk_jsonw_key(&jw, "intent");
  size_t intent = buf.len;
  yoi_sdk_jsonw_open(&jw, '{');
  yoi_sdk_jsonw_kstr(&jw, "kind", a->intent_kind);
  yoi_sdk_jsonw_kstr_opt(&jw, "objective", a->objective);
  yoi_sdk_jsonw_kstr_opt(&jw, "role", a->role);
  yoi_sdk_jsonw_kstr_opt(&jw, "purpose", a->purpose);
  yoi_sdk_jsonw_close(&jw, '}');
  size_t intent_len = buf.len - intent;
  yoi_sdk_jsonw_key(&jw, "profile");
  yoi_sdk_jsonw_open(&jw, '{');
  yoi_sdk_jsonw_kstr(&jw, "kind", a->profile_kind);
  yoi_sdk_jsonw_kstr_opt(&jw, "value", a->profile_value);
  yoi_sdk_jsonw_close(&jw, '}');
  yoi_sdk_jsonw_key(&jw, "config_bundle");
  if (a->bundle_id.len > 0) {
    yoi_sdk_jsonw_open(&jw, '{');
    yoi_sdk_jsonw_kstr(&jw, "id", a->bundle_id);
    yoi_sdk_jsonw_kstr(&jw, "digest", a->bundle_digest);
    yoi_sdk_jsonw_close(&jw, '}');
  } else {
    yoi_sdk_jsonw_null(&jw);
  }
  w->fixed = buf.failed ? NULL : yoi_sdk_strndup(buf.data, buf.len);
  yoi_sdk_buf_release(&buf);
  if (!w->fixed) return 0;
  w->intent = (yoi_str){w->fixed + intent, intent_len};
  return 1;
}

static void write_capabilities(struct yoi_sdk_jsonw *w, const struct eng_engine *eng,
                               enum eng_state state) {
  bool idle = state == ENG_IDLE;
  bool running = state == ENG_RUNNING || state == ENG_AWAITING;
  const struct {
    uint32_t op;
    bool yes;
  } rows[] = {
      {YOI_OP_WORKER_GET, true},
      {YOI_OP_WORKER_INPUT, (idle || running) && !atomic_load(&eng->draining)},
      {YOI_OP_WORKER_CANCEL, running},
      {YOI_OP_WORKER_STOP, idle || running},
      {YOI_OP_WORKER_DELETE, state == ENG_STOPPED || state == ENG_CORRUPT},
      {YOI_OP_WORKER_TRANSCRIPT, true},
      {YOI_OP_WORKER_EVENTS, true},
      {YOI_OP_WORKER_APPROVALS, true},
      {YOI_OP_WORKER_APPROVE, state == ENG_AWAITING},
      {YOI_OP_WORKER_ARTEFACT, true},
  };
  yoi_sdk_jsonw_key(w, "capabilities");
  yoi_sdk_jsonw_open(w, '[');
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].yes) yoi_sdk_jsonw_str(w, yoi_sdk_str(yoi_sdk_op_name(rows[i].op)));
  yoi_sdk_jsonw_close(w, ']');
}

static void write_time(struct yoi_sdk_jsonw *w, const char *key, uint64_t wall_ns) {
  char text[YOI_SDK_TIME_SIZE];
  yoi_sdk_time_text(wall_ns, text);
  yoi_sdk_jsonw_kstr(w, key, (yoi_str){text, YOI_SDK_TIME_SIZE - 1});
}

/* The spec is stored once for all workers of a profile; what belongs to this
 * worker is put behind its members. */
static void write_spec(struct yoi_sdk_jsonw *w, const struct eng_worker *worker) {
  yoi_str json = eng_text_str(worker->spec->json);
  yoi_sdk_jsonw_key(w, "spec");
  yoi_sdk_jsonw_raw(w, (yoi_str){json.ptr, json.len - 1});
  yoi_sdk_jsonw_kraw(w, "intent", worker->intent);
  write_time(w, "resolved_at", worker->created_ns);
  yoi_sdk_jsonw_close(w, '}');
}

void eng_shape_diagnostic(struct yoi_sdk_jsonw *w, const struct eng_amiss *a) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "code", yoi_sdk_str(a->code));
  yoi_sdk_jsonw_kstr(w, "severity", yoi_sdk_str(a->severity));
  yoi_sdk_jsonw_kstr(w, "message", yoi_sdk_str(a->message));
  yoi_sdk_jsonw_kint(w, "count", (int64_t)a->count);
  write_time(w, "last_at", a->last_ns);
  yoi_sdk_jsonw_close(w, '}');
}

void eng_shape_store_errors(struct yoi_sdk_jsonw *w, uint64_t store_errors, uint64_t last_ns) {
  const struct eng_amiss a = {"store_error", "error", "the history could not be written",
                              store_errors, last_ns};
  if (store_errors > 0) eng_shape_diagnostic(w, &a);
}

/* What is amiss with this worker. */
static void write_diagnostics(struct yoi_sdk_jsonw *w, const struct eng_worker *worker) {
  char text[96];
  struct eng_amiss a = {"store_corrupt", "error", text, 1, worker->corrupt_ns};
  bool corrupt = worker->state == ENG_CORRUPT;
  if (!corrupt && worker->store_errors == 0) return;
  yoi_sdk_jsonw_key(w, "diagnostics");
  yoi_sdk_jsonw_open(w, '[');
  (void)snprintf(text, sizeof text, "the history is damaged behind record %llu",
                 (unsigned long long)worker->last.sequence);
  if (corrupt) eng_shape_diagnostic(w, &a);
  eng_shape_store_errors(w, worker->store_errors, worker->store_error_ns);
  yoi_sdk_jsonw_close(w, ']');
}

void eng_shape_worker(struct yoi_sdk_jsonw *w, const struct eng_worker *worker, int detail) {
  eng_shape_worker_as(w, worker, (enum eng_state)worker->state, worker->last, detail);
}

void eng_shape_worker_as(struct yoi_sdk_jsonw *w, const struct eng_worker *worker,
                         enum eng_state state, struct eng_pos last, int detail) {
  /* Of a corrupt one whose first record is not there. */
  static const char nothing_known[] =
      "\"display_name\":null,\"intent\":null,\"profile\":null,\"config_bundle\":null";
  char cursor[ENG_CURSOR_SIZE];
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "worker_id", worker->entry.id);
  yoi_sdk_jsonw_kstr(w, "state", yoi_sdk_str(eng_state_name(state)));
  yoi_sdk_buf_addc(w->buf, ',');
  yoi_sdk_buf_adds(w->buf, yoi_sdk_str(worker->fixed ? worker->fixed : nothing_known));
  write_capabilities(w, worker->eng, state);
  if (worker->fixed)
    write_time(w, "created_at", worker->created_ns);
  else
    yoi_sdk_jsonw_kraw(w, "created_at", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(w, "cursor", eng_worker_cursor(worker, last, cursor));
  if (worker->turn) {
    const struct eng_engine *eng = worker->eng;
    yoi_sdk_jsonw_key(w, "turn");
    eng_shape_turn(w, worker->turn, NULL, eng_wall(eng), eng_mono(eng));
  } else if (worker->owed) {
    const struct eng_turn *t = worker->owed;
    while (t->next) t = t->next;
    yoi_sdk_jsonw_key(w, "turn");
    eng_shape_turn(w, t, &t->end, t->ended_wall, t->ended_mono);
  } else if (worker->last_end) {
    yoi_sdk_jsonw_kraw(w, "turn", yoi_sdk_json_raw_get(worker->last_end->ev.text, "turn"));
  }
  if (eng_queue_first(worker)) yoi_sdk_jsonw_kint(w, "queued", eng_queue_count(worker));
  write_diagnostics(w, worker);
  if (detail && worker->spec)
    write_spec(w, worker);
  else if (detail)
    yoi_sdk_jsonw_kraw(w, "spec", YOI_LIT("null"));
  yoi_sdk_jsonw_close(w, '}');
}

/* ---- the turn ---- */

static void write_count(struct yoi_sdk_jsonw *w, const char *key, int64_t n) {
  yoi_sdk_jsonw_key(w, key);
  if (n < 0)
    yoi_sdk_jsonw_null(w);
  else
    yoi_sdk_jsonw_int(w, n);
}

void eng_shape_usage(struct yoi_sdk_jsonw *w, const struct eng_usage *u) {
  yoi_sdk_jsonw_open(w, '{');
  write_count(w, "input_tokens", u->input);
  write_count(w, "output_tokens", u->output);
  write_count(w, "cached_tokens", u->cached);
  write_count(w, "reasoning_tokens", u->reasoning);
  yoi_sdk_jsonw_close(w, '}');
}

static void write_error(struct yoi_sdk_jsonw *w, const struct eng_end_of *end) {
  yoi_sdk_jsonw_key(w, "error");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "code", yoi_sdk_str(yoi_sdk_code_name(end->code)));
  yoi_sdk_jsonw_kstr(w, "message", yoi_sdk_str(end->message));
  if (end->kind) {
    yoi_sdk_jsonw_key(w, "details");
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "kind", yoi_sdk_str(end->kind));
    yoi_sdk_jsonw_kbool(w, "retryable", end->retryable);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, '}');
}

static const char *const ended_names[ENG_ENDED_COUNT] = {
    [ENG_COMPLETED] = "completed",
    [ENG_FAILED] = "failed",
    [ENG_CANCELLED] = "cancelled",
    [ENG_INTERRUPTED] = "interrupted",
};

void eng_shape_turn(struct yoi_sdk_jsonw *w, const struct eng_turn *t, const struct eng_end_of *end,
                    uint64_t now_wall, uint64_t now_mono) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "turn_id", yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr(w, "state",
                     yoi_sdk_str(end                 ? ended_names[end->ended]
                                 : eng_calls_wait(t) ? "awaiting_approval"
                                                     : "running"));
  if (end)
    yoi_sdk_jsonw_kstr(w, "reason", yoi_sdk_str(end->reason));
  else
    yoi_sdk_jsonw_kraw(w, "reason", YOI_LIT("null"));
  if (end && end->code) write_error(w, end);
  if (t->started_wall > 0)
    write_time(w, "started_at", t->started_wall);
  else
    yoi_sdk_jsonw_kraw(w, "started_at", YOI_LIT("null"));
  if (end)
    write_time(w, "ended_at", now_wall);
  else
    yoi_sdk_jsonw_kraw(w, "ended_at", YOI_LIT("null"));
  uint64_t ran = t->started_wall > 0 ? now_mono - t->started_mono : 0;
  yoi_sdk_jsonw_kint(w, "duration_ms", (int64_t)(ran / 1000000u));
  yoi_sdk_jsonw_kint(w, "steps", t->step);
  yoi_sdk_jsonw_key(w, "usage");
  if (t->has_usage)
    eng_shape_usage(w, &t->usage);
  else
    yoi_sdk_jsonw_null(w);
  if (t->cut == ENG_CUT_CANCEL) yoi_sdk_jsonw_kbool(w, "cancel_requested", 1);
  yoi_sdk_jsonw_close(w, '}');
}

/* ---- items ---- */

int eng_shape_item(struct yoi_sdk_jsonw *w, const struct eng_frame *f) {
  if (!eng_frame_is_item(f)) return 0;
  yoi_str text = f->ev.text;
  if (f->ev.kind != YOI_EVENT_INPUT_ACCEPTED) {
    yoi_sdk_jsonw_raw(w, yoi_sdk_json_raw_get(text, "item"));
    return 1;
  }
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kint(w, "sequence", (int64_t)f->pos.sequence);
  yoi_sdk_jsonw_kraw(w, "turn_id", yoi_sdk_json_raw_get(text, "turn_id"));
  yoi_sdk_jsonw_kraw(w, "step", YOI_LIT("null"));
  yoi_sdk_jsonw_kraw(w, "role", yoi_sdk_json_raw_get(text, "kind"));
  yoi_sdk_jsonw_kraw(w, "content", yoi_sdk_json_raw_get(text, "content"));
  yoi_sdk_jsonw_kraw(w, "created_at", yoi_sdk_json_raw_get(text, "at"));
  yoi_sdk_jsonw_close(w, '}');
  return 1;
}

/* ---- the snapshot ---- */

struct eng_frame *eng_shape_snapshot(const struct eng_worker *w, struct eng_pos pos) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw jw;
  yoi_sdk_buf_init(&buf, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&jw, &buf);
  yoi_sdk_jsonw_open(&jw, '{');
  yoi_sdk_jsonw_key(&jw, "worker");
  eng_shape_worker(&jw, w, 0);
  yoi_sdk_jsonw_kint(&jw, "sequence", (int64_t)w->last.sequence);
  yoi_sdk_jsonw_key(&jw, "in_flight");
  const struct eng_turn *t = w->turn;
  if (t && (t->state == ENG_TURN_MODEL || t->state == ENG_TURN_WRITING)) {
    yoi_sdk_jsonw_open(&jw, '{');
    yoi_sdk_jsonw_kstr(&jw, "turn_id", yoi_sdk_str(t->id));
    yoi_sdk_jsonw_kint(&jw, "step", t->step);
    yoi_sdk_jsonw_kstr(&jw, "text", yoi_sdk_buf_str(&t->text));
    yoi_sdk_jsonw_kstr(&jw, "reasoning", yoi_sdk_buf_str(&t->reasoning));
    yoi_sdk_jsonw_close(&jw, '}');
  } else {
    yoi_sdk_jsonw_null(&jw);
  }
  yoi_sdk_jsonw_close(&jw, '}');
  char cursor[ENG_CURSOR_SIZE];
  struct eng_frame_parts parts = {
      .kind = YOI_EVENT_SNAPSHOT,
      .pos = pos,
      .cursor = eng_worker_cursor(w, pos, cursor),
      .text = yoi_sdk_buf_str(&buf),
  };
  struct eng_frame *f = buf.failed ? NULL : eng_frame_new(&parts);
  yoi_sdk_buf_release(&buf);
  return f;
}
