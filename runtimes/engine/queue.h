/* queue.h - inputs that wait for their turn. The worker's lock is held in all
 * of it. */
#ifndef ENG_QUEUE_H
#define ENG_QUEUE_H

#include "turn.h"

/* An input that had to wait: where it stands in the history, and where its
 * turn began (or ended without having begun), which is its place in what a
 * model is shown. */
struct eng_begun {
  uint64_t input, at;
  uint32_t bytes;
};

/* Made for the first input of a worker that waits. */
struct eng_queue {
  struct eng_turn *first; /* references, linked by next; the next to begin */
  uint32_t n;
  struct eng_begun *begun; /* `at` rises */
  uint32_t n_begun, cap_begun;
};

struct eng_turn *eng_queue_first(const struct eng_worker *w);
uint32_t eng_queue_count(const struct eng_worker *w);
/* The turn of that id, when it waits. */
struct eng_turn *eng_queue_find(const struct eng_worker *w, const char *turn_id);
/* The interrupting one that waits, or NULL. */
struct eng_turn *eng_queue_front(const struct eng_worker *w);

/* Memory for one more to wait, and to begin or end later; 0: there is none. */
int eng_queue_reserve(struct eng_worker *w);
/* Takes a reference over. */
void eng_queue_add(struct eng_worker *w, struct eng_turn *t);
/* The first one, with the queue's reference; `at`: see eng_begun. */
struct eng_turn *eng_queue_take(struct eng_worker *w, uint64_t at);

/* Adds turn.started of the first one, which begins when s is applied. */
void eng_queue_stage_begin(struct eng_stage *s);
/* Adds turn.ended of all that wait, or of the first only. */
void eng_queue_stage_ends(struct eng_stage *s, const char *reason, bool all);
/* What was staged so is applied: all are over, or the first only. */
void eng_queue_over(struct eng_stage *s, bool all, struct eng_after *after);
/* All of them are over although nothing could be appended. */
void eng_queue_over_in_memory(struct eng_worker *w, const struct eng_end_of *end,
                              struct eng_after *after);
/* Does what is due when nothing is staged: begins the next one, or drops all
 * in a drain. */
void eng_queue_next(struct eng_worker *w, struct eng_after *after);
void eng_queue_free(struct eng_queue *q);

#endif
