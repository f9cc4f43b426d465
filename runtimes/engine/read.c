/* read.c - a read that may complete inside the call, or later, elsewhere.
 *
 * A loop over a history must not recurse when the store completes at once,
 * nor miss a completion on another thread. Both sides swap the state; who
 * comes second goes on:
 *
 *   start: ISSUED --swap WAITED--> was DONE: the caller goes on
 *   done:  ISSUED --swap DONE----> was WAITED: resume goes on
 */
#include "read.h"

#include <sdk/mem.h>

enum { IDLE, ISSUED, WAITED, DONE };

/* Its numbers are used as they are, and a store that reads files may have been
 * told anything. */
static bool is_sound(const struct eng_frame *f) {
  size_t len = f->ev.text.len;
  if (f->role > ENG_ROLE_ASSISTANT || f->content_at > len || f->content_len > len - f->content_at)
    return false;
  return f->turn_at == 0 || (f->turn_at < len && len - f->turn_at >= 36);
}

static void take(struct eng_read *r, struct eng_frame *const *frames, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!r->damaged && !is_sound(frames[i])) r->damaged = true;
    if (r->damaged)
      eng_frame_unref(frames[i]);
    else
      r->frames[r->n++] = frames[i];
  }
}

static void read_done(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames,
                      size_t n) {
  struct eng_read *r = (struct eng_read *)t;
  r->n = 0;
  r->damaged = false;
  if (st == YOI_OK || st == YOI_DATA_LOSS) take(r, frames, n);
  if (st == YOI_DATA_LOSS) r->damaged = true;
  r->st = r->damaged ? (r->n > 0 ? YOI_OK : YOI_DATA_LOSS) : st;
  if (atomic_exchange(&r->state, DONE) == WAITED) r->resume(r);
}

struct eng_read *eng_read_new(void (*resume)(struct eng_read *r), void *ctx) {
  struct eng_read *r = yoi_sdk_calloc(1, sizeof *r);
  if (!r) return NULL;
  r->ticket.done = read_done;
  r->resume = resume;
  r->ctx = ctx;
  return r;
}

int eng_read_start(struct eng_read *r, struct eng_store *store, struct eng_log *log, uint64_t from,
                   int items_only) {
  eng_read_clear(r);
  atomic_store(&r->state, ISSUED);
  store->ops->read(store, log, from, YOI_REPLAY_BATCH_MAX, items_only, &r->ticket);
  return atomic_exchange(&r->state, WAITED) == DONE;
}

void eng_read_clear(struct eng_read *r) {
  for (size_t i = 0; i < r->n; i++) eng_frame_unref(r->frames[i]);
  r->n = 0;
}

void eng_read_free(struct eng_read *r) {
  if (!r) return;
  eng_read_clear(r);
  yoi_sdk_free(r);
}
