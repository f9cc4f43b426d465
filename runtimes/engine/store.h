/* store.h - where histories are kept. The engine knows no more of it.
 *
 * append, read and remove return at once; the ticket's done comes once,
 * later or before they return, on any thread, without any lock of the store,
 * and in order for the tickets of one log. The engine stages a transition,
 * shows it to nobody, and on done applies, emits and acknowledges it
 * (worker.c). An append is all or nothing.
 */
#ifndef ENG_STORE_H
#define ENG_STORE_H

#include "frame.h"

struct eng_log; /* one worker's place in a store */

/* Embedded in whoever asks, and alive until done. */
struct eng_ticket {
  /* frames: of a read; the array is borrowed for the call, the references are
   * taken over. CANCELLED: the store stops. */
  void (*done)(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames, size_t n);
  struct eng_ticket *next; /* the store's */
};

struct eng_store {
  const struct eng_store_ops *ops;
};

struct eng_store_ops {
  /* A log without records; nothing is written yet. NULL: memory is short. */
  struct eng_log *(*log_new)(struct eng_store *s, yoi_str worker_id);
  /* Frees the handle; what was appended stays unless it was removed. */
  void (*log_free)(struct eng_store *s, struct eng_log *log);
  /* n records whose sequences follow the last ones; references are taken. */
  void (*append)(struct eng_store *s, struct eng_log *log, struct eng_frame *const *frames,
                 size_t n, struct eng_ticket *t);
  /* Up to limit records from that sequence on; with items_only only those of
   * eng_frame_is_item. */
  void (*read)(struct eng_store *s, struct eng_log *log, uint64_t from, size_t limit,
               int items_only, struct eng_ticket *t);
  /* The worker's records, all of them. */
  void (*remove)(struct eng_store *s, struct eng_log *log, struct eng_ticket *t);
  /* Ends what is under way with CANCELLED; nothing is asked afterwards. */
  void (*stop)(struct eng_store *s);
  /* Frees it, once every log was. */
  void (*close)(struct eng_store *s);
};

#endif
