/* frame.c - frames and shared texts.
 *
 * Ten thousand watchers of one worker get the same bytes: the event struct,
 * the cursor and the JSON line are made once, when the event happens, and
 * then only counted. A frame never changes, so it needs no lock; whoever
 * keeps a pointer holds a reference. Invariants:
 *
 *  1. One allocation per frame; the event's texts point into it.
 *  2. A frame of a DURABLE kind has index 0 and its own sequence; any other
 *     has the sequence of the last record before it and an index from 1 on.
 *     So positions are totally ordered, and a cursor is a position.
 *  3. Aux and shared are for stores; they never reach a watcher.
 */
#include "frame.h"

#include <assert.h>
#include <sdk/mem.h>
#include <yoi/ops.h>

struct eng_text *eng_text_new(yoi_str s) {
  struct eng_text *t = yoi_sdk_malloc(sizeof *t + s.len + 1);
  if (!t) return NULL;
  atomic_init(&t->refs, 1);
  t->len = s.len;
  if (s.len) memcpy(t->bytes, s.ptr, s.len);
  t->bytes[s.len] = 0;
  return t;
}

struct eng_text *eng_text_ref(struct eng_text *t) {
  if (t) atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
  return t;
}

void eng_text_unref(struct eng_text *t) {
  if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) yoi_sdk_free(t);
}

yoi_str eng_text_str(const struct eng_text *t) {
  return t ? (yoi_str){t->bytes, t->len} : (yoi_str){0};
}

static char *put(char *at, yoi_str s, yoi_str *out) {
  if (s.len) memcpy(at, s.ptr, s.len);
  at[s.len] = 0;
  *out = s.len ? (yoi_str){at, s.len} : (yoi_str){0};
  return at + s.len + 1;
}

static int kind_is_durable(uint32_t kind) {
  return kind >= YOI_EVENT_WORKER_CREATED && kind <= YOI_EVENT_DIAGNOSTIC;
}

struct eng_frame *eng_frame_new(const struct eng_frame_parts *parts) {
  assert(parts->text.len < UINT32_MAX && parts->aux.len < UINT32_MAX);
  size_t n = parts->cursor.len + parts->text.len + parts->aux.len + 3;
  struct eng_frame *f = yoi_sdk_malloc(sizeof *f + n);
  if (!f) return NULL;
  *f = (struct eng_frame){
      .aux_len = (uint32_t)parts->aux.len,
      .role = parts->role,
      .content_at = (uint32_t)parts->content_at,
      .content_len = (uint32_t)parts->content_len,
      .turn_at = (uint32_t)parts->turn_at,
      .pos = parts->pos,
      .shared = eng_text_ref(parts->shared),
      .ev = {.size = sizeof(yoi_event),
             .kind = parts->kind,
             .flags = kind_is_durable(parts->kind) ? YOI_EV_DURABLE : 0},
  };
  atomic_init(&f->refs, 1);
  char *at = put(f->bytes, parts->cursor, &f->ev.cursor);
  at = put(at, parts->text, &f->ev.text);
  yoi_str aux;
  (void)put(at, parts->aux, &aux);
  return f;
}

struct eng_frame *eng_frame_ref(struct eng_frame *f) {
  if (f) atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
  return f;
}

void eng_frame_unref(struct eng_frame *f) {
  if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1) return;
  eng_text_unref(f->shared);
  yoi_sdk_free(f);
}

yoi_str eng_frame_aux(const struct eng_frame *f) {
  return (yoi_str){f->bytes + f->ev.cursor.len + f->ev.text.len + 2, f->aux_len};
}

size_t eng_frame_cost(const struct eng_frame *f) {
  return sizeof *f + f->ev.cursor.len + f->ev.text.len + f->aux_len + 3;
}

int eng_kind_is_item(uint32_t kind) {
  return kind == YOI_EVENT_INPUT_ACCEPTED || kind == YOI_EVENT_MESSAGE_COMPLETED ||
         kind == YOI_EVENT_TOOL_COMPLETED;
}

int eng_frame_is_item(const struct eng_frame *f) {
  return eng_kind_is_item(f->ev.kind);
}
