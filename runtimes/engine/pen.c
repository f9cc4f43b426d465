/* pen.c - what all records have, and messages and deltas.
 *
 * A record is made under the worker's lock, in one buffer, and becomes a frame
 * that nobody changes again. Every durable record begins with sequence and at;
 * what belongs to a turn has its turn_id.
 */
#include "pen.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <yoi/ops.h>

void eng_pen_init(struct eng_pen *p) {
  *p = (struct eng_pen){0};
  yoi_sdk_buf_init(&p->buf, 2 * YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&p->aux, YOI_JSON_BYTES_MAX);
  (void)yoi_sdk_buf_reserve(&p->buf, 384);
  yoi_sdk_jsonw_init(&p->w, &p->buf);
  yoi_sdk_jsonw_open(&p->w, '{');
}

void eng_pen_at(struct eng_pen *p, const char *key, uint64_t wall_ns) {
  char text[YOI_SDK_TIME_SIZE];
  yoi_sdk_time_text(wall_ns, text);
  yoi_sdk_jsonw_kstr(&p->w, key, (yoi_str){text, YOI_SDK_TIME_SIZE - 1});
}

static void write_turn_id(struct eng_pen *p, yoi_str turn_id) {
  if (turn_id.len == 0) return;
  yoi_sdk_jsonw_kstr(&p->w, "turn_id", turn_id);
  p->turn_at = p->buf.len - 1 - turn_id.len; /* a UUID is written as it is */
}

uint64_t eng_pen_record(struct eng_pen *p, const struct eng_worker *w, struct eng_pos pos,
                        yoi_str turn_id) {
  uint64_t now = eng_wall(w->eng);
  eng_pen_init(p);
  yoi_sdk_jsonw_kint(&p->w, "sequence", (int64_t)pos.sequence);
  eng_pen_at(p, "at", now);
  write_turn_id(p, turn_id);
  return now;
}

struct eng_frame *eng_pen_frame(struct eng_pen *p, const struct eng_worker *w, uint32_t kind,
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

void eng_pen_item(struct eng_pen *p, struct eng_pos pos, const struct eng_turn *t,
                  const char *role) {
  yoi_sdk_jsonw_key(&p->w, "item");
  yoi_sdk_jsonw_open(&p->w, '{');
  yoi_sdk_jsonw_kint(&p->w, "sequence", (int64_t)pos.sequence);
  yoi_sdk_jsonw_kstr(&p->w, "turn_id", yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kint(&p->w, "step", t->step);
  yoi_sdk_jsonw_kstr(&p->w, "role", yoi_sdk_str(role));
}

void eng_pen_content(struct eng_pen *p, yoi_str text, int remember) {
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

void eng_pen_call(struct eng_pen *p, const struct eng_call *call) {
  yoi_sdk_jsonw_open(&p->w, '{');
  yoi_sdk_jsonw_kstr(&p->w, "id", call->id);
  yoi_sdk_jsonw_kstr(&p->w, "name", call->name);
  yoi_sdk_jsonw_kstr(&p->w, "arguments", call->arguments);
  yoi_sdk_jsonw_close(&p->w, '}');
}

void eng_pen_live(struct eng_pen *p, const struct eng_turn *t) {
  eng_pen_init(p);
  write_turn_id(p, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kint(&p->w, "step", t->step);
}
