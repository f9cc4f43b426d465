/* pen.h - writes one record or delta; for record.c and record_tool.c. */
#ifndef ENG_PEN_H
#define ENG_PEN_H

#include <sdk/jsonw.h>

#include "shapes.h"

struct eng_pen {
  struct yoi_sdk_buf buf, aux;
  struct yoi_sdk_jsonw w;
  enum eng_role role;
  size_t content_at, content_len, turn_at;
};

void eng_pen_init(struct eng_pen *p);
void eng_pen_at(struct eng_pen *p, const char *key, uint64_t wall_ns);
/* The beginning of a record; returns its time. */
uint64_t eng_pen_record(struct eng_pen *p, const struct eng_worker *w, struct eng_pos pos,
                        yoi_str turn_id);
/* The beginning of a frame of the turn's that is no record. */
void eng_pen_live(struct eng_pen *p, const struct eng_turn *t);
/* An item up to its content. */
void eng_pen_item(struct eng_pen *p, struct eng_pos pos, const struct eng_turn *t,
                  const char *role);
/* The content: one text part, or none; remember: see frame.h, content_at. */
void eng_pen_content(struct eng_pen *p, yoi_str text, int remember);
void eng_pen_call(struct eng_pen *p, const struct eng_call *call);
/* The end. NULL: memory was short. */
struct eng_frame *eng_pen_frame(struct eng_pen *p, const struct eng_worker *w, uint32_t kind,
                                struct eng_pos pos, struct eng_text *shared);

#endif
