/* out.c - events between the provider's chunks and the holder's next.
 *
 * Two batches take turns: chunks are written into `fill`; when the holder has
 * had all of `hand`, the two change places, so that what was handed out stays
 * where it is until the holder asks again, and nothing is copied.
 *
 *   provider --append, commit--> fill ==swap==> hand --next--> holder
 *
 * Invariants:
 *  1. Items lie in fill.text one behind the other, without gaps; text of one
 *     kind that follows itself grows the last item, up to YOI_DELTA_BYTES_MAX.
 *  2. events[] point into hand.text, which nothing changes before the next
 *     call of next.
 */
#include "oai.h"

#include <sdk/mem.h>
#include <sdk/hard.h>

#define KEEP_BYTES YOI_SDK_HARD(65536, 64) /* of a text buffer between two answers */

void oai_out_init(struct oai_out *o) {
  memset(o, 0, sizeof *o);
  yoi_sdk_buf_init(&o->fill.text, YOI_MODEL_RESPONSE_MAX);
  yoi_sdk_buf_init(&o->hand.text, YOI_MODEL_RESPONSE_MAX);
}

static void batch_clear(struct oai_batch *b) {
  b->n = 0;
  if (b->text.cap > KEEP_BYTES)
    yoi_sdk_buf_release(&b->text);
  else
    yoi_sdk_buf_clear(&b->text);
}

void oai_out_clear(struct oai_out *o) {
  batch_clear(&o->fill);
  batch_clear(&o->hand);
  o->at = o->failed = 0;
}

void oai_out_release(struct oai_out *o) {
  yoi_sdk_buf_release(&o->fill.text);
  yoi_sdk_buf_release(&o->hand.text);
  yoi_sdk_free(o->fill.items);
  yoi_sdk_free(o->hand.items);
}

static int room(struct oai_batch *b) {
  if (b->n < b->cap) return 1;
  uint32_t cap = YOI_SDK_MORE(b->cap, 16);
  void *p = yoi_sdk_reallocarray(b->items, cap, sizeof *b->items);
  if (!p) return 0;
  b->items = p;
  b->cap = cap;
  return 1;
}

void oai_out_commit(struct oai_out *o, uint32_t kind, size_t from) {
  struct oai_batch *b = &o->fill;
  size_t n = b->text.len - from;
  if (b->text.failed) o->failed = 1;
  if (o->failed || n == 0) return;
  struct oai_item *last = b->n ? &b->items[b->n - 1] : NULL;
  int text = kind == YOI_EVENT_MODEL_TEXT || kind == YOI_EVENT_MODEL_REASONING;
  if (last && text && last->kind == kind && last->len + n <= YOI_DELTA_BYTES_MAX) {
    last->len += (uint32_t)n;
    return;
  }
  if (!room(b)) {
    o->failed = 1;
    return;
  }
  b->items[b->n++] = (struct oai_item){kind, (uint32_t)from, (uint32_t)n};
}

int oai_out_any(const struct oai_out *o) {
  return o->at < o->hand.n || o->fill.n > 0;
}

size_t oai_out_next(struct oai_out *o, const yoi_event *const **out_events) {
  if (o->at == o->hand.n) {
    batch_clear(&o->hand);
    struct oai_batch b = o->hand;
    o->hand = o->fill;
    o->fill = b;
    o->at = 0;
  }
  size_t n = 0;
  for (; o->at < o->hand.n && n < YOI_EVENT_BATCH_MAX; n++, o->at++) {
    const struct oai_item *item = &o->hand.items[o->at];
    o->events[n] = (yoi_event){.size = sizeof(yoi_event),
                               .kind = item->kind,
                               .text = {o->hand.text.data + item->offset, item->len}};
    o->pointers[n] = &o->events[n];
  }
  if (n) *out_events = o->pointers;
  return n;
}
