/* ring.c - the frames of the current or last turn, in order.
 *
 * Watchers are pulled, each at its own position; the ring lets those who are
 * a little behind catch up without the store, and holds the deltas, which
 * are nowhere else. Invariants:
 *
 *  1. Positions rise. Every frame that was emitted behind `base` is here, so
 *     a watcher at or behind base misses nothing, and one before it does.
 *  2. The sum of costs is at most max_bytes, or there is one frame only.
 */
#include "ring.h"

#include <assert.h>
#include <sdk/hard.h>
#include <sdk/mem.h>

#define RING_FIRST YOI_SDK_HARD(16u, 1u)

void eng_ring_init(struct eng_ring *r, struct eng_pos base) {
  *r = (struct eng_ring){.base = base};
}

void eng_ring_release(struct eng_ring *r) {
  for (uint32_t i = 0; i < r->n; i++) eng_frame_unref(r->frames[(r->head + i) & (r->cap - 1)]);
  yoi_sdk_free(r->frames);
  *r = (struct eng_ring){0};
}

static void drop_oldest(struct eng_ring *r) {
  struct eng_frame *f = r->frames[r->head];
  r->base = f->pos;
  r->bytes -= eng_frame_cost(f);
  r->head = (r->head + 1) & (r->cap - 1);
  r->n--;
  eng_frame_unref(f);
}

static int grow(struct eng_ring *r) {
  if (r->n < r->cap) return 1;
  uint32_t cap = r->cap ? r->cap * 2 : RING_FIRST;
  struct eng_frame **frames = yoi_sdk_reallocarray(NULL, cap, sizeof(struct eng_frame *));
  if (!frames) return 0;
  for (uint32_t i = 0; i < r->n; i++) frames[i] = r->frames[(r->head + i) & (r->cap - 1)];
  yoi_sdk_free(r->frames);
  r->frames = frames;
  r->head = 0;
  r->cap = cap;
  return 1;
}

void eng_ring_push(struct eng_ring *r, struct eng_frame *f, size_t max_bytes) {
  assert(r->n == 0 || eng_pos_cmp(r->base, f->pos) < 0);
  if (!grow(r)) {
    while (r->n > 0) drop_oldest(r);
    if (r->cap == 0) {
      r->base = f->pos;
      return;
    }
  }
  r->frames[(r->head + r->n) & (r->cap - 1)] = eng_frame_ref(f);
  r->n++;
  r->bytes += eng_frame_cost(f);
  while (r->bytes > max_bytes && r->n > 1) drop_oldest(r);
}

size_t eng_ring_take(const struct eng_ring *r, struct eng_pos pos, struct eng_frame **out,
                     size_t max) {
  assert(eng_pos_cmp(pos, r->base) >= 0);
  uint32_t low = 0, high = r->n;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    if (eng_pos_cmp(r->frames[(r->head + mid) & (r->cap - 1)]->pos, pos) <= 0)
      low = mid + 1;
    else
      high = mid;
  }
  size_t n = 0;
  for (; low < r->n && n < max; low++) out[n++] = r->frames[(r->head + low) & (r->cap - 1)];
  return n;
}
