/* record.c - the records of the history and the deltas, each one JSON line.
 *
 * A record is made under the worker's lock, in one buffer, and becomes a
 * frame that nobody changes again. Invariants:
 *
 *  1. Every durable record begins with sequence and at; what belongs to a
 *     turn has its turn_id.
 *  2. Keys, fingerprints and the spec go into aux and shared, never into the
 *     text that watchers get.
 *  3. A message with one text part and no calls says where that part's raw
 *     string stands (content_at), which is what a context copies.
 */
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <yoi/ops.h>

#include "shapes.h"

struct pen {
  struct yoi_sdk_buf buf, aux;
  struct yoi_sdk_jsonw w;
  enum eng_role role;
  size_t content_at, content_len, turn_at;
};

static void pen_init(struct pen *p) {
  *p = (struct pen){0};
  yoi_sdk_buf_init(&p->buf, 2 * YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&p->aux, 1024);
  (void)yoi_sdk_buf_reserve(&p->buf, 384);
  yoi_sdk_jsonw_init(&p->w, &p->buf);
  yoi_sdk_jsonw_open(&p->w, '{');
}

static void write_at(struct pen *p, const char *key, uint64_t wall_ns) {
  char text[YOI_SDK_TIME_SIZE];
  yoi_sdk_time_text(wall_ns, text);
  yoi_sdk_jsonw_kstr(&p->w, key, (yoi_str){text, YOI_SDK_TIME_SIZE - 1});
}

static void write_turn_id(struct pen *p, yoi_str turn_id) {
  if (turn_id.len == 0) return;
  yoi_sdk_jsonw_kstr(&p->w, "turn_id", turn_id);
  p->turn_at = p->buf.len - 1 - turn_id.len; /* a UUID is written as it is */
}

/* The beginning of a record; returns its time. */
static uint64_t record_init(struct pen *p, const struct eng_worker *w, struct eng_pos pos,
                            yoi_str turn_id) {
  uint64_t now = eng_wall(w->eng);
  pen_init(p);
  yoi_sdk_jsonw_kint(&p->w, "sequence", (int64_t)pos.sequence);
  write_at(p, "at", now);
  write_turn_id(p, turn_id);
  return now;
}

static struct eng_frame *pen_frame(struct pen *p, const struct eng_worker *w, uint32_t kind,
                                   struct eng_pos pos, struct eng_text *shared) {
  char cursor[ENG_CURSOR_SIZE];
  yoi_sdk_jsonw_close(&p->w, '}');
  struct eng_frame_parts parts = {
      .kind = kind,
      .pos = pos,
      .cursor = eng_worker_cursor(w, pos, cursor),
      .text = yoi_sdk_buf_str(&p->buf),
      .aux = yoi_sdk_buf_str(&p->aux),
      .shared = shared,
      .role = p->role,
      .content_at = p->content_at,
      .content_len = p->content_len,
      .turn_at = p->turn_at,
  };
  struct eng_frame *f = p->buf.failed || p->aux.failed ? NULL : eng_frame_new(&parts);
  yoi_sdk_buf_release(&p->buf);
  yoi_sdk_buf_release(&p->aux);
  return f;
}

static void aux_print(struct yoi_sdk_jsonw *w, const char *key, const struct eng_print *print) {
  char hex[2 * ENG_PRINT_SIZE];
  yoi_sdk_hex(print->b, sizeof print->b, hex);
  yoi_sdk_jsonw_kstr(w, key, (yoi_str){hex, sizeof hex});
}

struct eng_frame *eng_record_created(struct eng_stage *s) {
  struct eng_worker *w = s->w;
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  struct yoi_sdk_jsonw aux;
  (void)record_init(&p, w, pos, (yoi_str){0});
  yoi_sdk_jsonw_key(&p.w, "worker");
  eng_shape_worker_as(&p.w, w, ENG_IDLE, pos, 0);
  yoi_sdk_jsonw_init(&aux, &p.aux);
  yoi_sdk_jsonw_open(&aux, '{');
  aux_print(&aux, "request", &w->print);
  if (w->keyed) aux_print(&aux, "key", &w->key);
  yoi_sdk_jsonw_close(&aux, '}');
  return pen_frame(&p, w, YOI_EVENT_WORKER_CREATED, pos, w->spec->json);
}

struct eng_frame *eng_record_input(struct eng_stage *s, const struct eng_ask_input *a,
                                   yoi_str principal, yoi_str turn_id) {
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  s->idem.wall_ms = record_init(&p, s->w, pos, turn_id) / 1000000u;
  yoi_sdk_jsonw_kstr(&p.w, "kind", a->is_system ? YOI_LIT("system") : YOI_LIT("user"));
  p.role = a->is_system ? ENG_ROLE_SYSTEM : ENG_ROLE_USER;
  yoi_sdk_jsonw_key(&p.w, "content");
  if (a->text_len > 0) {
    p.content_at = p.buf.len + a->text_at;
    p.content_len = a->text_len;
  }
  yoi_sdk_jsonw_raw(&p.w, yoi_sdk_buf_str(&a->content));
  yoi_sdk_jsonw_kstr(&p.w, "principal", principal);
  bool front = s->what == ENG_DO_INTERRUPT;
  if (s->keyed || front) {
    struct yoi_sdk_jsonw aux;
    yoi_sdk_jsonw_init(&aux, &p.aux);
    yoi_sdk_jsonw_open(&aux, '{');
    if (s->keyed) {
      aux_print(&aux, "request", &s->idem.request);
      aux_print(&aux, "key", &s->idem.key);
    }
    if (front) yoi_sdk_jsonw_kbool(&aux, "front", 1);
    yoi_sdk_jsonw_close(&aux, '}');
  }
  return pen_frame(&p, s->w, YOI_EVENT_INPUT_ACCEPTED, pos, NULL);
}

struct eng_frame *eng_record_turn_started(struct eng_stage *s, const struct eng_turn *t) {
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  (void)record_init(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr(&p.w, "model", yoi_sdk_str(s->w->spec->model));
  return pen_frame(&p, s->w, YOI_EVENT_TURN_STARTED, pos, NULL);
}

/* ---- messages ---- */

/* An item up to its content, which the caller writes. */
static void item_init(struct pen *p, struct eng_pos pos, const struct eng_turn *t,
                      const char *role) {
  yoi_sdk_jsonw_key(&p->w, "item");
  yoi_sdk_jsonw_open(&p->w, '{');
  yoi_sdk_jsonw_kint(&p->w, "sequence", (int64_t)pos.sequence);
  yoi_sdk_jsonw_kstr(&p->w, "turn_id", yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kint(&p->w, "step", t->step);
  yoi_sdk_jsonw_kstr(&p->w, "role", yoi_sdk_str(role));
}

static void write_content(struct pen *p, yoi_str text, int remember) {
  (void)yoi_sdk_buf_reserve(&p->buf, text.len + text.len / 8 + 128);
  yoi_sdk_jsonw_key(&p->w, "content");
  yoi_sdk_jsonw_open(&p->w, '[');
  if (text.len > 0) {
    yoi_sdk_jsonw_open(&p->w, '{');
    yoi_sdk_jsonw_kstr(&p->w, "type", YOI_LIT("text"));
    yoi_sdk_jsonw_key(&p->w, "text");
    size_t at = p->buf.len;
    yoi_sdk_jsonw_str(&p->w, text);
    if (remember) {
      p->content_at = at;
      p->content_len = p->buf.len - at;
    }
    yoi_sdk_jsonw_close(&p->w, '}');
  }
  yoi_sdk_jsonw_close(&p->w, ']');
}

static void write_call(struct pen *p, const struct eng_tool_call *call) {
  yoi_sdk_jsonw_open(&p->w, '{');
  yoi_sdk_jsonw_kstr(&p->w, "id", call->id);
  yoi_sdk_jsonw_kstr(&p->w, "name", call->name);
  yoi_sdk_jsonw_kstr(&p->w, "arguments", call->arguments);
  yoi_sdk_jsonw_close(&p->w, '}');
}

struct eng_frame *eng_record_message(struct eng_stage *s, const struct eng_turn *t, int calls) {
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  uint64_t now = record_init(&p, s->w, pos, yoi_sdk_str(t->id));
  p.role = ENG_ROLE_ASSISTANT;
  item_init(&p, pos, t, "assistant");
  write_content(&p, yoi_sdk_buf_str(&t->text), !calls);
  yoi_sdk_jsonw_kstr_opt(&p.w, "reasoning", yoi_sdk_buf_str(&t->reasoning));
  if (calls) {
    yoi_sdk_jsonw_key(&p.w, "tool_calls");
    yoi_sdk_jsonw_open(&p.w, '[');
    for (uint32_t i = 0; i < t->n_calls; i++) write_call(&p, &t->calls[i]);
    yoi_sdk_jsonw_close(&p.w, ']');
  }
  write_at(&p, "created_at", now);
  yoi_sdk_jsonw_close(&p.w, '}');
  return pen_frame(&p, s->w, YOI_EVENT_MESSAGE_COMPLETED, pos, NULL);
}

struct eng_frame *eng_record_tool_requested(struct eng_stage *s, const struct eng_turn *t,
                                            const struct eng_tool_call *call) {
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  (void)record_init(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kint(&p.w, "step", t->step);
  yoi_sdk_jsonw_key(&p.w, "call");
  write_call(&p, call);
  return pen_frame(&p, s->w, YOI_EVENT_TOOL_REQUESTED, pos, NULL);
}

/* tool.completed: what was said begins with "error: ", and the rest of it is
 * the message. */
static struct eng_frame *tool_failed(struct eng_stage *s, const struct eng_turn *t, yoi_str call_id,
                                     const char *status, int32_t code, yoi_str said) {
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  uint64_t now = record_init(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr(&p.w, "call_id", call_id);
  yoi_sdk_jsonw_kstr(&p.w, "status", yoi_sdk_str(status));
  item_init(&p, pos, t, "tool");
  write_content(&p, said, 0);
  yoi_sdk_jsonw_kstr(&p.w, "tool_call_id", call_id);
  yoi_sdk_jsonw_key(&p.w, "error");
  yoi_sdk_jsonw_open(&p.w, '{');
  yoi_sdk_jsonw_kstr(&p.w, "code", yoi_sdk_str(yoi_sdk_code_name(code)));
  yoi_sdk_jsonw_kstr(&p.w, "message", (yoi_str){said.ptr + 7, said.len - 7});
  yoi_sdk_jsonw_close(&p.w, '}');
  write_at(&p, "created_at", now);
  yoi_sdk_jsonw_close(&p.w, '}');
  return pen_frame(&p, s->w, YOI_EVENT_TOOL_COMPLETED, pos, NULL);
}

struct eng_frame *eng_record_tool_refused(struct eng_stage *s, const struct eng_turn *t,
                                          const struct eng_tool_call *call, size_t *out_bytes) {
  char text[256];
  int n = call->broken
              ? snprintf(text, sizeof text, "error: the arguments of '%.*s' are not a JSON object",
                         YOI_ARG(call->name))
              : snprintf(text, sizeof text, "error: there is no tool '%.*s'", YOI_ARG(call->name));
  yoi_str said = {text, n < 0 ? 0 : (size_t)n};
  *out_bytes = said.len;
  return tool_failed(s, t, call->id, "error",
                     call->broken ? YOI_CODE_INVALID_REQUEST : YOI_CODE_NOT_FOUND, said);
}

/* Once its tool was started nobody knows whether it had its effect. */
struct eng_frame *eng_record_tool_lost(struct eng_stage *s, const struct eng_turn *t,
                                       const struct eng_lost_call *call) {
  yoi_str id = {call->id, call->id_len};
  return call->started
             ? tool_failed(s, t, id, "uncertain", YOI_CODE_RUNTIME_UNAVAILABLE,
                           YOI_LIT("error: the host was restarted while the tool ran; what it "
                                   "did is not known"))
             : tool_failed(s, t, id, "error", YOI_CODE_RUNTIME_UNAVAILABLE,
                           YOI_LIT("error: the host was restarted before the tool was started"));
}

/* ---- ends ---- */

struct eng_frame *eng_record_cancel(struct eng_stage *s, const struct eng_turn *t, yoi_str reason,
                                    yoi_str principal) {
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  (void)record_init(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr_opt(&p.w, "reason", reason);
  yoi_sdk_jsonw_kstr(&p.w, "principal", principal);
  return pen_frame(&p, s->w, YOI_EVENT_TURN_CANCEL_REQUESTED, pos, NULL);
}

struct eng_frame *eng_record_turn_ended(const struct eng_worker *w, struct eng_pos pos,
                                        struct eng_turn *t, const struct eng_end_of *end) {
  struct pen p;
  uint64_t now = record_init(&p, w, pos, yoi_sdk_str(t->id)), mono = eng_mono(w->eng);
  if (t->started_mono > 0 && t->ended_wall == 0) t->took_ns = mono - t->accepted_mono;
  yoi_sdk_jsonw_key(&p.w, "turn");
  if (t->ended_wall > 0) /* long ago, in memory */
    eng_shape_turn(&p.w, t, end, t->ended_wall, t->ended_mono);
  else
    eng_shape_turn(&p.w, t, end, now, mono);
  return pen_frame(&p, w, YOI_EVENT_TURN_ENDED, pos, NULL);
}

struct eng_frame *eng_record_stopped(struct eng_stage *s, yoi_str reason, yoi_str principal) {
  struct eng_pos pos = eng_stage_pos(s);
  struct pen p;
  (void)record_init(&p, s->w, pos, (yoi_str){0});
  yoi_sdk_jsonw_kstr_opt(&p.w, "reason", reason);
  yoi_sdk_jsonw_kstr(&p.w, "principal", principal);
  if (s->turn) yoi_sdk_buf_adds(&p.aux, YOI_LIT("{\"ended\":true}"));
  return pen_frame(&p, s->w, YOI_EVENT_WORKER_STOPPED, pos, NULL);
}

/* ---- live ---- */

static void live_init(struct pen *p, const struct eng_turn *t) {
  pen_init(p);
  write_turn_id(p, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kint(&p->w, "step", t->step);
}

struct eng_frame *eng_live_delta(const struct eng_turn *t, uint32_t kind, const yoi_str *pieces,
                                 size_t n) {
  struct pen p;
  live_init(&p, t);
  yoi_sdk_buf_adds(&p.buf, YOI_LIT(",\"text\":\""));
  for (size_t i = 0; i < n; i++) yoi_sdk_json_escape(&p.buf, pieces[i]);
  yoi_sdk_buf_addc(&p.buf, '"');
  return pen_frame(&p, t->w, kind, eng_worker_next_pos(t->w), NULL);
}

struct eng_frame *eng_live_usage(const struct eng_turn *t) {
  struct pen p;
  live_init(&p, t);
  yoi_sdk_jsonw_key(&p.w, "usage");
  eng_shape_usage(&p.w, &t->usage);
  return pen_frame(&p, t->w, YOI_EVENT_USAGE_UPDATED, eng_worker_next_pos(t->w), NULL);
}
