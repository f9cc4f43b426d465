/* ring.h - the bounded buffer of one turn's frames. Guarded by the worker's
 * lock. */
#ifndef ENG_RING_H
#define ENG_RING_H

#include "frame.h"

struct eng_ring {
  struct eng_frame **frames; /* circular; cap is a power of two */
  uint32_t head, n, cap;
  size_t bytes;        /* eng_frame_cost of all */
  struct eng_pos base; /* every frame behind base is here */
};

void eng_ring_init(struct eng_ring *r, struct eng_pos base);
void eng_ring_release(struct eng_ring *r);
/* Keeps a reference. Drops the oldest while there are more than max_bytes,
 * and all when memory is short: base then says so. */
void eng_ring_push(struct eng_ring *r, struct eng_frame *f, size_t max_bytes);
/* Copies up to max frames behind pos, without references; pos >= base. */
size_t eng_ring_take(const struct eng_ring *r, struct eng_pos pos, struct eng_frame **out,
                     size_t max);

#endif
