/* frame.h - one event, serialised once: what history, buffer and watchers
 * share. A durable record is a frame; so is a delta. */
#ifndef ENG_FRAME_H
#define ENG_FRAME_H

#include <sdk/str.h>
#include <stdatomic.h>
#include <yoi/stream.h>

#include "cursor.h"

/* Counted, immutable text that several frames or workers share. */
struct eng_text {
  atomic_uint refs;
  size_t len;
  char bytes[];
};
struct eng_text *eng_text_new(yoi_str s);
struct eng_text *eng_text_ref(struct eng_text *t);
void eng_text_unref(struct eng_text *t);
yoi_str eng_text_str(const struct eng_text *t);

/* Whose message a record is, where that is known without looking. */
enum eng_role { ENG_ROLE_UNKNOWN, ENG_ROLE_USER, ENG_ROLE_SYSTEM, ENG_ROLE_ASSISTANT };

/* Immutable once made, counted, one allocation. */
struct eng_frame {
  atomic_uint refs;
  uint32_t aux_len;
  uint32_t role; /* enum eng_role */
  /* Where the raw JSON string of a message's only text part stands in
   * ev.text, so that a context is built without scanning; 0: look for it. */
  uint32_t content_at, content_len;
  uint32_t turn_at; /* where its turn_id stands in ev.text; 0: it has none */
  struct eng_pos pos;
  struct eng_text *shared; /* worker.created: the resolved spec; else NULL */
  yoi_event ev;            /* what watchers get; its texts stand in bytes */
  char bytes[];            /* cursor, text, aux, each with a NUL */
};

/* What a frame is made from; all text is copied, shared is referenced. */
struct eng_frame_parts {
  uint32_t kind;
  struct eng_pos pos;
  yoi_str cursor; /* empty: carries no id */
  yoi_str text;
  yoi_str aux; /* durable but private: keys, fingerprints */
  struct eng_text *shared;
  enum eng_role role;
  size_t content_at, content_len, turn_at;
};
/* NULL when memory is short. */
struct eng_frame *eng_frame_new(const struct eng_frame_parts *parts);
struct eng_frame *eng_frame_ref(struct eng_frame *f);
void eng_frame_unref(struct eng_frame *f);
/* Private text of a record; JSON or empty. */
yoi_str eng_frame_aux(const struct eng_frame *f);
/* What it costs in memory, overhead included. */
size_t eng_frame_cost(const struct eng_frame *f);
/* It is a message: an item of the transcript. */
int eng_frame_is_item(const struct eng_frame *f);
int eng_kind_is_item(uint32_t kind);

#endif
