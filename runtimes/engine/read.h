/* read.h - one read of a history, whichever way the store completes. */
#ifndef ENG_READ_H
#define ENG_READ_H

#include "store.h"

struct eng_read {
  struct eng_ticket ticket;
  _Atomic uint32_t state;
  yoi_status st; /* DATA_LOSS: only when there is no record before the damage */
  bool damaged;  /* what comes behind the n records cannot be read */
  size_t n;
  struct eng_frame *frames[YOI_REPLAY_BATCH_MAX]; /* references */
  /* Called, on any thread and without a lock, when the result did not come
   * before start returned. */
  void (*resume)(struct eng_read *r);
  void *ctx;
};

struct eng_read *eng_read_new(void (*resume)(struct eng_read *r), void *ctx);
/* Clears the last result and asks for the next YOI_REPLAY_BATCH_MAX records,
 * or messages only. 1: the result is there; 0: resume comes. */
int eng_read_start(struct eng_read *r, struct eng_store *store, struct eng_log *log, uint64_t from,
                   int items_only);
void eng_read_clear(struct eng_read *r);
/* Not while a read is under way. */
void eng_read_free(struct eng_read *r);

#endif
