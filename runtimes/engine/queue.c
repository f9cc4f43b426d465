/* queue.c - inputs that wait until the worker is free.
 *
 * A second input is refused as busy unless it says what to do: `queue` waits
 * behind those that wait already, `interrupt` has the running turn cancelled
 * and is the next one. Both are durable before they are acknowledged: their
 * input.accepted has the id of a turn that has not begun.
 *
 *                  idle: ENG_DO_INPUT
 *             +------------------------------------------+
 *             |                                          v
 *   accepted -+- running: ENG_DO_QUEUE,    +-------> begun (turn.h)
 *                         ENG_DO_INTERRUPT |   turn.started, appended with the
 *                           |              |   end of the turn before
 *                           v              |   (ENG_DO_END) or, when that end
 *                         QUEUED ----------+   stands in memory only, alone
 *                           |                  (ENG_DO_BEGIN)
 *                           | turn.ended, without turn.started:
 *                           |   ENG_DO_STOP        the worker was stopped
 *                           |   ENG_DO_INTERRUPT   another one interrupted
 *                           |   ENG_DO_DROP        a drain of a store in memory
 *                           |   in memory, owed    it could not be begun
 *                           v
 *                         ENDED
 *
 * Invariants:
 *  1. Each input that was acknowledged with a turn_id gets one turn.ended,
 *     whether its turn began or not. One that never began says so with
 *     `started_at` null.
 *  2. Order: the interrupting one, then the queued ones as they came. There
 *     is at most one interrupting one, since the next one ends it: whether its
 *     turn had begun by then or not, the last one wins.
 *  3. While nothing runs and nothing is staged, nothing waits: leave sees to
 *     it (eng_queue_next). While something is staged the queue stays as it is.
 *  4. The queue follows from the records alone: an input.accepted of a turn
 *     without turn.started and turn.ended waits; what its aux has as `front`
 *     is before all others. So a store that outlives the process drops
 *     nothing in a drain: what waits starts when the worker is loaded again,
 *     since it never ran.
 *  5. A model sees a turn when it has begun, and in the order in which turns
 *     began (context.c); a transcript has the order of the records.
 *  6. What is needed to begin or end was reserved when the input was accepted.
 *
 * A cancel is for the running turn, and lets the next one begin. One that
 * waited behind the end of its turn does not hit the next (eng_op.aimed).
 */
#include "queue.h"

#include <assert.h>
#include <sdk/mem.h>

#include "shapes.h"

struct eng_turn *eng_queue_first(const struct eng_worker *w) {
  return w->queue ? w->queue->first : NULL;
}

uint32_t eng_queue_count(const struct eng_worker *w) {
  return w->queue ? w->queue->n : 0;
}

struct eng_turn *eng_queue_find(const struct eng_worker *w, const char *turn_id) {
  struct eng_turn *t = eng_queue_first(w);
  while (t && strcmp(t->id, turn_id) != 0) t = t->next;
  return t;
}

struct eng_turn *eng_queue_front(const struct eng_worker *w) {
  struct eng_turn *t = eng_queue_first(w);
  return t && t->front ? t : NULL;
}

int eng_queue_reserve(struct eng_worker *w) {
  if (!w->queue) w->queue = yoi_sdk_calloc(1, sizeof *w->queue);
  struct eng_queue *q = w->queue;
  if (!q) return 0;
  if (q->n_begun + q->n < q->cap_begun) return 1;
  uint32_t cap = q->cap_begun + q->cap_begun / 2 + 4;
  struct eng_begun *begun = yoi_sdk_reallocarray(q->begun, cap, sizeof *begun);
  if (!begun) return 0;
  q->begun = begun;
  q->cap_begun = cap;
  return 1;
}

void eng_queue_add(struct eng_worker *w, struct eng_turn *t) {
  struct eng_queue *q = w->queue;
  struct eng_turn **at = &q->first;
  assert(t->state == ENG_TURN_QUEUED && q->n_begun + q->n < q->cap_begun);
  while (*at && !t->front) at = &(*at)->next;
  t->next = *at;
  *at = t;
  q->n++;
}

struct eng_turn *eng_queue_take(struct eng_worker *w, uint64_t at) {
  struct eng_queue *q = w->queue;
  struct eng_turn *t = q->first;
  assert(t && q->n_begun < q->cap_begun);
  q->begun[q->n_begun++] =
      (struct eng_begun){.input = t->input_sequence, .at = at, .bytes = t->input_bytes};
  q->first = t->next;
  q->n--;
  t->next = NULL;
  return t;
}

void eng_queue_free(struct eng_queue *q) {
  if (!q) return;
  assert(!q->first);
  yoi_sdk_free(q->begun);
  yoi_sdk_free(q);
}

/* ---- beginning ---- */

void eng_queue_stage_begin(struct eng_stage *s) {
  struct eng_turn *t = eng_queue_first(s->w);
  if (!t || atomic_load(&s->w->eng->draining)) return;
  s->begins = true;
  eng_turn_starts(t);
  eng_stage_add(s, eng_record_turn_started(s, t));
}

static int stage_next(struct eng_worker *w, struct eng_after *after) {
  struct eng_stage *s = eng_stage_new(w, ENG_DO_BEGIN, 1);
  if (!s) return 0;
  eng_queue_stage_begin(s);
  return eng_stage_commit(s, after);
}

/* ---- ending without having begun ---- */

static struct eng_end_of cancelled(const char *reason) {
  return (struct eng_end_of){.ended = ENG_CANCELLED, .reason = reason};
}

/* A turn.started of it may have been made that was never appended. */
static void not_begun(struct eng_turn *t) {
  t->started_wall = t->started_mono = 0;
}

void eng_queue_stage_ends(struct eng_stage *s, const char *reason, bool all) {
  struct eng_end_of end = cancelled(reason);
  for (struct eng_turn *t = eng_queue_first(s->w); t; t = all ? t->next : NULL) {
    not_begun(t);
    eng_stage_add(s, eng_record_turn_ended(s->w, eng_stage_pos(s), t, &end));
  }
}

/* It has nothing of the host, so there is nothing to clean. */
static void over(struct eng_turn *t, enum eng_ended ended, struct eng_after *after) {
  t->cleaned = true;
  t->state = ENG_TURN_ENDED;
  after->over[ended]++;
}

void eng_queue_over(struct eng_stage *s, bool all, struct eng_after *after) {
  struct eng_worker *w = s->w;
  while (eng_queue_first(w)) {
    struct eng_turn *t = eng_queue_take(w, w->last.sequence);
    over(t, ENG_CANCELLED, after);
    eng_turn_unref(t);
    if (!all) return;
  }
}

void eng_queue_over_in_memory(struct eng_worker *w, const struct eng_end_of *end,
                              struct eng_after *after) {
  while (eng_queue_first(w)) {
    struct eng_turn *t = eng_queue_take(w, w->last.sequence + w->n_owed + 1);
    over(t, end->ended, after);
    not_begun(t);
    eng_worker_owe(w, t, end);
  }
  eng_worker_emit_snapshot(w, after);
}

/* ---- what is due ---- */

static void drop_all(struct eng_worker *w, struct eng_after *after) {
  struct eng_stage *s = eng_stage_new(w, ENG_DO_DROP, eng_queue_count(w));
  if (s) eng_queue_stage_ends(s, "shutting_down", true);
  if (s && eng_stage_commit(s, after)) return;
  struct eng_end_of end = cancelled("shutting_down");
  eng_queue_over_in_memory(w, &end, after);
}

void eng_queue_next(struct eng_worker *w, struct eng_after *after) {
  static const struct eng_end_of end = {
      .ended = ENG_FAILED,
      .reason = "internal",
      .code = YOI_CODE_INTERNAL,
      .message = "memory is short",
  };
  if (w->stage || !eng_queue_first(w) || atomic_load(&w->eng->closing)) return;
  if (atomic_load(&w->eng->draining)) {
    if (!w->eng->durable) drop_all(w, after);
  } else if (!w->turn && !stage_next(w, after)) {
    eng_queue_over_in_memory(w, &end, after);
  }
}
