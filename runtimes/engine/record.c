/* record.c - the records of the history and the deltas, each one JSON line;
 * those of tools are in record_tool.c, what all have in pen.c. Invariants:
 *
 *  1. Keys, fingerprints and the spec go into aux and shared, never into the
 *     text that watchers get.
 *  2. A message with one text part and no calls says where that part's raw
 *     string stands (content_at), which is what a context copies.
 */
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <yoi/ops.h>

#include "pen.h"

static void aux_print(struct yoi_sdk_jsonw *w, const char *key, const struct eng_print *print) {
  char hex[2 * ENG_PRINT_SIZE];
  yoi_sdk_hex(print->b, sizeof print->b, hex);
  yoi_sdk_jsonw_kstr(w, key, (yoi_str){hex, sizeof hex});
}

struct eng_frame *eng_record_created(struct eng_stage *s) {
  struct eng_worker *w = s->w;
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  struct yoi_sdk_jsonw aux;
  (void)eng_pen_record(&p, w, pos, (yoi_str){0});
  yoi_sdk_jsonw_key(&p.w, "worker");
  eng_shape_worker_as(&p.w, w, ENG_IDLE, pos, 0);
  yoi_sdk_jsonw_init(&aux, &p.aux);
  yoi_sdk_jsonw_open(&aux, '{');
  aux_print(&aux, "request", &w->print);
  if (w->keyed) aux_print(&aux, "key", &w->key);
  yoi_sdk_jsonw_close(&aux, '}');
  return eng_pen_frame(&p, w, YOI_EVENT_WORKER_CREATED, pos, w->spec->json);
}

struct eng_frame *eng_record_input(struct eng_stage *s, const struct eng_ask_input *a,
                                   yoi_str principal, yoi_str turn_id) {
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  s->idem.wall_ms = eng_pen_record(&p, s->w, pos, turn_id) / 1000000u;
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
  return eng_pen_frame(&p, s->w, YOI_EVENT_INPUT_ACCEPTED, pos, NULL);
}

struct eng_frame *eng_record_turn_started(struct eng_stage *s, const struct eng_turn *t) {
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  (void)eng_pen_record(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr(&p.w, "model", yoi_sdk_str(s->w->spec->model));
  return eng_pen_frame(&p, s->w, YOI_EVENT_TURN_STARTED, pos, NULL);
}

struct eng_frame *eng_record_message(struct eng_stage *s, const struct eng_turn *t, int calls) {
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  uint64_t now = eng_pen_record(&p, s->w, pos, yoi_sdk_str(t->id));
  p.role = ENG_ROLE_ASSISTANT;
  eng_pen_item(&p, pos, t, "assistant");
  eng_pen_content(&p, yoi_sdk_buf_str(&t->text), !calls);
  yoi_sdk_jsonw_kstr_opt(&p.w, "reasoning", yoi_sdk_buf_str(&t->reasoning));
  if (calls) {
    yoi_sdk_jsonw_key(&p.w, "tool_calls");
    yoi_sdk_jsonw_open(&p.w, '[');
    for (uint32_t i = 0; i < t->n_calls; i++) eng_pen_call(&p, &t->calls[i]);
    yoi_sdk_jsonw_close(&p.w, ']');
  }
  eng_pen_at(&p, "created_at", now);
  yoi_sdk_jsonw_close(&p.w, '}');
  return eng_pen_frame(&p, s->w, YOI_EVENT_MESSAGE_COMPLETED, pos, NULL);
}

/* ---- ends ---- */

struct eng_frame *eng_record_cancel(struct eng_stage *s, const struct eng_turn *t, yoi_str reason,
                                    yoi_str principal) {
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  (void)eng_pen_record(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr_opt(&p.w, "reason", reason);
  yoi_sdk_jsonw_kstr(&p.w, "principal", principal);
  return eng_pen_frame(&p, s->w, YOI_EVENT_TURN_CANCEL_REQUESTED, pos, NULL);
}

struct eng_frame *eng_record_turn_ended(const struct eng_worker *w, struct eng_pos pos,
                                        struct eng_turn *t, const struct eng_end_of *end) {
  struct eng_pen p;
  uint64_t now = eng_pen_record(&p, w, pos, yoi_sdk_str(t->id)), mono = eng_mono(w->eng);
  if (t->started_mono > 0 && t->ended_wall == 0) t->took_ns = mono - t->accepted_mono;
  yoi_sdk_jsonw_key(&p.w, "turn");
  if (t->ended_wall > 0) /* long ago, in memory */
    eng_shape_turn(&p.w, t, end, t->ended_wall, t->ended_mono);
  else
    eng_shape_turn(&p.w, t, end, now, mono);
  return eng_pen_frame(&p, w, YOI_EVENT_TURN_ENDED, pos, NULL);
}

struct eng_frame *eng_record_stopped(struct eng_stage *s, yoi_str reason, yoi_str principal) {
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  (void)eng_pen_record(&p, s->w, pos, (yoi_str){0});
  yoi_sdk_jsonw_kstr_opt(&p.w, "reason", reason);
  yoi_sdk_jsonw_kstr(&p.w, "principal", principal);
  if (s->turn) yoi_sdk_buf_adds(&p.aux, YOI_LIT("{\"ended\":true}"));
  return eng_pen_frame(&p, s->w, YOI_EVENT_WORKER_STOPPED, pos, NULL);
}

/* ---- live ---- */

struct eng_frame *eng_live_delta(const struct eng_turn *t, uint32_t kind, const yoi_str *pieces,
                                 size_t n) {
  struct eng_pen p;
  eng_pen_live(&p, t);
  yoi_sdk_buf_adds(&p.buf, YOI_LIT(",\"text\":\""));
  for (size_t i = 0; i < n; i++) yoi_sdk_json_escape(&p.buf, pieces[i]);
  yoi_sdk_buf_addc(&p.buf, '"');
  return eng_pen_frame(&p, t->w, kind, eng_worker_next_pos(t->w), NULL);
}

struct eng_frame *eng_live_usage(const struct eng_turn *t) {
  struct eng_pen p;
  eng_pen_live(&p, t);
  yoi_sdk_jsonw_key(&p.w, "usage");
  eng_shape_usage(&p.w, &t->usage);
  return eng_pen_frame(&p, t->w, YOI_EVENT_USAGE_UPDATED, eng_worker_next_pos(t->w), NULL);
}
