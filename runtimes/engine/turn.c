/* turn.c - carries one input to its end: context, model, tools, records.
 *
 * All of a turn runs on one loop, as a task that looks at the state and does
 * the next thing; whoever has news (the model, a tool, a person, the store, a
 * cancel, a timer) only kicks it. Kicks that come while it runs make it look once more, so
 * nothing is missed and nothing runs twice at a time:
 *
 *      kick              task begins           task ends
 *   0 ------> 1 (posted) ----------> 1 (runs) ----------> 0
 *             |  kick                |  kick
 *             +--------> 2 <---------+      task ends: runs again
 *
 * Invariants:
 *  1. A turn ends exactly once: with ENG_DO_END, ENG_DO_STOP, or in memory.
 *  2. Once it is cut nothing of it starts: no step, no call, no delta. Tools
 *     that run then have their grace (tools.c) before it ends; a stop gives
 *     none.
 *  3. What it holds of the host (its turn there, token, timers, the streams of the
 *     model and of tools) is made and given back on its loop, before the last task lets
 *     go of it.
 *  4. A stage of someone else (a cancel, a person's answer) makes it wait; the
 *     completion kicks.
 *  5. Each call that it wrote down has one result before its turn.ended, in
 *     the same append at the latest.
 *  6. While it waits for people and nothing runs, its time stands still; in a
 *     drain of a store that outlives the process it is parked, and goes on in
 *     the next one.
 */
#include "turn.h"

#include <assert.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>

#include "queue.h"
#include "shapes.h"
#include "tools.h"

#define POLLS_PER_TASK YOI_SDK_HARD(16, 1) /* then other tasks of the loop have their turn */
#define ROUNDS_PER_TASK YOI_SDK_HARD(4, 1)

/* ---- slots ---- */

static int slot_take(struct eng_slots *x, struct eng_turn *t) {
  pthread_mutex_lock(&x->mu);
  if (x->first_free == 0) {
    uint32_t n = YOI_SDK_MORE(x->n, 16);
    struct eng_turn_slot *slots = yoi_sdk_reallocarray(x->slots, n, sizeof *slots);
    if (!slots) {
      pthread_mutex_unlock(&x->mu);
      return 0;
    }
    for (uint32_t i = x->n; i < n; i++)
      slots[i] = (struct eng_turn_slot){.next_free = i + 1 < n ? i + 2 : 0};
    x->slots = slots;
    x->first_free = x->n + 1;
    x->n = n;
  }
  t->slot = x->first_free - 1;
  struct eng_turn_slot *slot = &x->slots[t->slot];
  x->first_free = slot->next_free;
  slot->turn = t;
  t->generation = ++slot->generation;
  pthread_mutex_unlock(&x->mu);
  return 1;
}

static void slot_give(struct eng_slots *x, const struct eng_turn *t) {
  pthread_mutex_lock(&x->mu);
  x->slots[t->slot].turn = NULL;
  x->slots[t->slot].next_free = x->first_free;
  x->first_free = t->slot + 1;
  pthread_mutex_unlock(&x->mu);
}

/* A reference, unless the last one is just being let go. */
static bool try_ref(struct eng_turn *t) {
  unsigned n = atomic_load(&t->refs);
  while (n > 0)
    if (atomic_compare_exchange_weak(&t->refs, &n, n + 1)) return true;
  return false;
}

void eng_turn_wake(struct eng_engine *eng, uint64_t cookie) {
  struct eng_slots *x = &eng->slots;
  uint32_t index = (uint32_t)cookie, generation = (uint32_t)(cookie >> 32);
  struct eng_turn *t = NULL;
  pthread_mutex_lock(&x->mu);
  if (index < x->n && x->slots[index].generation == generation) t = x->slots[index].turn;
  if (t && !try_ref(t)) t = NULL;
  pthread_mutex_unlock(&x->mu);
  if (!t) return;
  eng_turn_kick(t);
  eng_turn_unref(t);
}

void eng_turns_each(struct eng_engine *eng, void (*each)(struct eng_turn *t)) {
  struct eng_slots *x = &eng->slots;
  for (uint32_t i = 0;; i++) {
    pthread_mutex_lock(&x->mu);
    bool more = i < x->n;
    struct eng_turn *t = more ? x->slots[i].turn : NULL;
    if (t && !try_ref(t)) t = NULL;
    pthread_mutex_unlock(&x->mu);
    if (!more) return;
    if (t) each(t);
    eng_turn_unref(t);
  }
}

/* ---- life ---- */

static struct eng_turn *turn_new(struct eng_worker *w, const yoi_request *req, const char *id) {
  struct eng_engine *eng = w->eng;
  struct eng_turn *t = yoi_sdk_calloc(1, sizeof *t);
  if (!t) return NULL;
  t->ring = yoi_sdk_calloc(1, sizeof *t->ring);
  const yoi_str from[] = {req->request_id, req->trace, req->principal};
  yoi_str *const to[] = {&t->request_id, &t->trace, &t->principal};
  t->words = yoi_sdk_malloc(from[0].len + from[1].len + from[2].len + 1);
  if (!t->ring || !t->words) goto fail;
  if (id)
    memcpy(t->id, id, sizeof t->id);
  else if (!yoi_sdk_uuid7(eng_wall(eng), t->id))
    goto fail;
  char *at = t->words;
  for (size_t i = 0; i < 3; i++) {
    if (from[i].len) memcpy(at, from[i].ptr, from[i].len);
    *to[i] = (yoi_str){at, from[i].len};
    at += from[i].len;
  }
  t->w = eng_worker_ref(w);
  t->accepted_mono = eng_mono(eng);
  atomic_init(&t->refs, 1);
  yoi_sdk_buf_init(&t->text, YOI_MESSAGE_BYTES_MAX + 1);
  yoi_sdk_buf_init(&t->reasoning, YOI_MESSAGE_BYTES_MAX + 1);
  uint32_t here = eng->loop->current(eng->host);
  t->loop = here != YOI_NO_LOOP ? here : (uint32_t)(w->entry.hash % eng->loop->count(eng->host));
  if (slot_take(&eng->slots, t)) return t; /* from here on others find it */
  eng_worker_unref(t->w);
fail:
  yoi_sdk_free(t->ring);
  yoi_sdk_free(t->words);
  yoi_sdk_free(t);
  return NULL;
}

struct eng_turn *eng_turn_new(struct eng_worker *w, const yoi_request *req) {
  return turn_new(w, req, NULL);
}

struct eng_turn *eng_turn_found(struct eng_worker *w, const char id[37], yoi_str principal) {
  const yoi_request none = {.principal = principal};
  return turn_new(w, &none, id);
}

void eng_turn_starts(struct eng_turn *t) {
  t->started_wall = eng_wall(t->w->eng);
  t->started_mono = eng_mono(t->w->eng);
}

struct eng_turn *eng_turn_ref(struct eng_turn *t) {
  atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
  return t;
}

void eng_turn_destroy(struct eng_turn *t) {
  struct eng_engine *eng = t->w->eng;
  slot_give(&eng->slots, t);
  eng_model_release(t);
  for (uint32_t i = 0; i < t->n_calls; i++)
    if (t->calls[i].stream) t->calls[i].stream->ops->release(t->calls[i].stream);
  if (t->token) eng->host->token_free(eng->host, t->token);
  if (t->host_turn) eng->turns->end(eng->host, t->host_turn);
  eng_calls_clear(t);
  eng_context_free(t->context);
  eng_read_free(t->read);
  if (t->ring) eng_ring_release(t->ring);
  yoi_sdk_free(t->ring);
  yoi_sdk_buf_release(&t->text);
  yoi_sdk_buf_release(&t->reasoning);
  yoi_sdk_free(t->words);
  eng_worker_unref(t->w);
  yoi_sdk_free(t);
}

void eng_turn_unref(struct eng_turn *t) {
  if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) eng_turn_destroy(t);
}

/* ---- its time ---- */

static void end_as(struct eng_turn *t, enum eng_ended ended, const char *reason, int32_t code,
                   const char *message) {
  t->failed = true;
  t->end = (struct eng_end_of){.ended = ended, .reason = reason, .code = code, .message = message};
}

static void end_internal(struct eng_turn *t) {
  end_as(t, ENG_FAILED, "internal", YOI_CODE_INTERNAL, "memory is short");
}

void eng_turn_short_of_host(struct eng_turn *t) {
  end_as(t, ENG_FAILED, "internal", YOI_CODE_INTERNAL, "the host has no token or timer left");
}

static void on_deadline(void *ctx) {
  struct eng_turn *t = ctx;
  t->timer = 0;
  t->expired = true;
  eng_turn_kick(t);
  eng_turn_unref(t);
}

static void stop_clock(struct eng_turn *t) {
  struct eng_engine *eng = t->w->eng;
  if (!t->timer) return;
  eng->loop->timer_cancel(eng->host, t->timer);
  t->timer = 0;
  eng_turn_unref(t); /* the caller has another */
}

uint64_t eng_turn_until(const struct eng_turn *t) {
  return t->started_mono + t->waited_ns + (uint64_t)t->w->spec->limits.wall_ms * 1000000u;
}

static int start_clock(struct eng_turn *t) {
  struct eng_engine *eng = t->w->eng;
  if (eng->loop->timer(eng->host, eng_turn_until(t), on_deadline, t, &t->timer) == YOI_OK) {
    (void)eng_turn_ref(t); /* the timer's: what is set on a loop must not outlive t */
    return 1;
  }
  t->timer = 0;
  return 0;
}

/* Its turn with the host, its token and its timer, at its first step; 0: there are
 * none left. */
static int begin(struct eng_turn *t) {
  struct eng_engine *eng = t->w->eng;
  if (t->token) return 1;
  if (eng->turns && !t->host_turn && eng->turns->begin(eng->host, &t->host_turn, NULL) != YOI_OK)
    return 0;
  uint64_t cookie = (uint64_t)t->generation << 32 | t->slot;
  if (eng->host->token_new(eng->host, cookie, &t->token, NULL) != YOI_OK) t->token = 0;
  return t->token && start_clock(t);
}

void eng_turn_clock(struct eng_turn *t, bool on) {
  if (on && t->paused_mono > 0) {
    t->waited_ns += eng_mono(t->w->eng) - t->paused_mono;
    t->paused_mono = 0;
    if (!t->token ? begin(t) : start_clock(t)) return;
  } else if (on ? begin(t) : true) {
    if (on || t->paused_mono > 0) return;
    stop_clock(t);
    t->paused_mono = eng_mono(t->w->eng);
    return;
  }
  eng_turn_short_of_host(t);
}

/* On its loop, or when it never began: gives back what it has of the host. */
static void clean(struct eng_turn *t) {
  struct eng_engine *eng = t->w->eng;
  if (t->cleaned) return;
  t->cleaned = true;
  eng_model_release(t);
  eng_tools_release(t);
  if (t->token) eng->host->token_free(eng->host, t->token);
  t->token = 0;
  if (t->host_turn) eng->turns->end(eng->host, t->host_turn);
  t->host_turn = 0;
  stop_clock(t);
  eng_active_done(eng);
}

/* ---- ending ---- */

/* Stages the results of what is open, turn.ended as t->end says, and what
 * comes next. */
static void finish(struct eng_turn *t) {
  struct eng_worker *w = t->w;
  struct eng_after after = {0};
  eng_model_release(t);
  pthread_mutex_lock(&w->mu);
  if (t->state != ENG_TURN_ENDED && !w->stage) {
    struct eng_stage *s = eng_stage_new(w, ENG_DO_END, 2 + eng_calls_open(t));
    if (s) {
      s->turn = eng_turn_ref(t);
      eng_calls_stage_ends(s, t, true);
      eng_stage_add(s, eng_record_turn_ended(w, eng_stage_pos(s), t, &t->end));
      eng_queue_stage_begin(s);
    }
    if (s && eng_stage_commit(s, &after))
      t->state = ENG_TURN_WRITING;
    else
      eng_turn_end_in_memory(w, &t->end, &after);
  }
  eng_worker_leave(w, &after);
}

/* ---- the answer of a step becomes history ---- */

/* The history has as much as it may once s is applied. */
static bool fills_history(const struct eng_stage *s) {
  uint64_t bytes = s->w->history_bytes;
  for (uint32_t i = 0; i < s->n; i++)
    if (s->frames[i]) bytes += eng_frame_cost(s->frames[i]);
  return bytes > s->w->eng->limits.history_bytes;
}

/* Why no call of the answer is made, nor the model asked again; 0: nothing is
 * in the way. */
static int meets_limit(struct eng_turn *t, const struct eng_stage *s) {
  const struct eng_turn_limits *l = &t->w->spec->limits;
  if (t->step >= l->steps) {
    end_as(t, ENG_FAILED, "step_limit", YOI_CODE_LIMIT_REACHED,
           "the turn took more steps than its profile allows");
  } else if (eng_turn_tokens(t) >= l->tokens) {
    end_as(t, ENG_FAILED, "token_limit", YOI_CODE_LIMIT_REACHED,
           "the turn used more tokens than its profile allows");
  } else if (fills_history(s)) {
    end_as(t, ENG_FAILED, "history_limit", YOI_CODE_LIMIT_REACHED,
           "the worker's history has reached its limit");
  } else {
    return 0;
  }
  return 1;
}

static bool has_calls(const struct eng_turn *t) {
  return t->n_calls > 0 && (t->finish == ENG_FINISH_TOOLS || t->finish == ENG_FINISH_STOP);
}

/* Locked: the answer, what becomes of its calls, and the end if it is, with the
 * beginning of what comes next. */
static struct eng_stage *answer_stage(struct eng_turn *t) {
  int calls = has_calls(t), over = !calls;
  struct eng_stage *s = eng_stage_new(t->w, ENG_DO_STEP, 3 + (calls ? 3 * t->n_calls : 0));
  if (!s) return NULL;
  s->turn = eng_turn_ref(t);
  eng_stage_add(s, eng_record_message(s, t, calls));
  for (uint32_t i = 0; calls && i < t->n_calls; i++)
    eng_stage_add(s, eng_record_tool_requested(s, t, &t->calls[i]));
  if (over) {
    end_as(t, ENG_COMPLETED,
           t->finish == ENG_FINISH_LENGTH   ? "length"
           : t->finish == ENG_FINISH_FILTER ? "content_filter"
                                            : "stop",
           0, NULL);
  } else if (meets_limit(t, s)) {
    eng_tools_forgo(t, t->end.message);
    over = 1;
  }
  if (calls) eng_tools_stage(s, t);
  if (over) {
    s->what = ENG_DO_END;
    eng_stage_add(s, eng_record_turn_ended(t->w, eng_stage_pos(s), t, &t->end));
    eng_queue_stage_begin(s);
  }
  return s;
}

void eng_turn_short(struct eng_turn *t, struct eng_after *after) {
  end_internal(t);
  eng_turn_end_in_memory(t->w, &t->end, after);
}

static void complete(struct eng_turn *t) {
  struct eng_worker *w = t->w;
  struct eng_after after = {0};
  eng_model_release(t);
  t->complete = true;
  if (has_calls(t)) eng_tools_judge(t); /* asks the host, so without the lock */
  pthread_mutex_lock(&w->mu);
  if (t->state == ENG_TURN_MODEL && t->cut == ENG_CUT_NONE && !w->stage) {
    t->complete = false;
    struct eng_stage *s = answer_stage(t);
    if (s && eng_stage_commit(s, &after))
      t->state = ENG_TURN_WRITING;
    else
      eng_turn_short(t, &after);
  }
  eng_worker_leave(w, &after);
}

/* ---- the next step begins ---- */

static void on_read(struct eng_read *r) {
  struct eng_turn *t = r->ctx;
  atomic_store(&t->reading, false);
  eng_turn_kick(t);
  eng_turn_unref(t);
}

/* Locked: what the tools said, or what it all took, is too much. */
static int over_limits(struct eng_turn *t) {
  const struct eng_turn_limits *l = &t->w->spec->limits;
  if (t->tool_bytes > l->tool_output_bytes)
    end_as(t, ENG_FAILED, "tool_output_limit", YOI_CODE_LIMIT_REACHED,
           "the tools said more than the profile allows");
  else if (t->w->history_bytes > t->w->eng->limits.history_bytes)
    end_as(t, ENG_FAILED, "history_limit", YOI_CODE_LIMIT_REACHED,
           "the worker's history has reached its limit");
  return t->failed;
}

/* 1: it has begun; 0: it has failed, or what was staged meanwhile decides. */
static int begin_context(struct eng_turn *t) {
  struct eng_worker *w = t->w;
  const struct eng_engine *eng = w->eng;
  pthread_mutex_lock(&w->mu);
  if (w->stage || w->turn != t) { /* a record of it may say already how many steps it took */
    pthread_mutex_unlock(&w->mu);
    return 0;
  }
  t->step_mono = eng_mono(eng);
  if (t->step > 0 && over_limits(t)) {
    pthread_mutex_unlock(&w->mu);
    return 0;
  }
  if (t->step == 0)
    yoi_sdk_metric_observe(&eng->metrics, eng->metric.queue_time, t->step_mono - t->accepted_mono);
  t->step++;
  yoi_sdk_buf_clear(&t->text);
  yoi_sdk_buf_clear(&t->reasoning);
  t->context = eng_context_new(w);
  pthread_mutex_unlock(&w->mu);
  if (t->context && !t->read) t->read = eng_read_new(on_read, t);
  if (t->context && t->read) return 1;
  end_internal(t);
  return 0;
}

/* Reads what the context needs. 1: it is whole; 0: on_read comes, or it has
 * failed. */
static int read_context(struct eng_turn *t) {
  struct eng_context *c = t->context;
  struct eng_worker *w = t->w;
  for (;;) {
    if (t->read->st != YOI_OK) break;
    for (size_t i = 0; i < t->read->n; i++) {
      eng_context_add(c, t->read->frames[i]);
      c->from = t->read->frames[i]->pos.sequence + 1;
    }
    eng_read_clear(t->read);
    if (c->from > c->to) return 1;
    uint64_t before = c->from;
    (void)eng_turn_ref(t);
    atomic_store(&t->reading, true);
    if (!eng_read_start(t->read, w->eng->store, w->log, c->from, 1)) return 0;
    atomic_store(&t->reading, false);
    eng_turn_unref(t);
    if (t->read->st == YOI_OK && (t->read->n == 0 || t->read->frames[0]->pos.sequence < before))
      t->read->st = YOI_DATA_LOSS;
  }
  t->read->st = YOI_OK;
  end_as(t, ENG_FAILED, "store_error", YOI_CODE_STORE_ERROR, "the history could not be read");
  return 0;
}

static void start_model(struct eng_turn *t) {
  struct eng_context *c = t->context;
  int ok = eng_context_finish(c);
  if (c->mended > 0)
    eng_log(t->w->eng, YOI_LOG_WARN, YOI_LIT("a history had calls without results"), t->request_id,
            NULL, 0);
  yoi_status st = ok ? eng_model_start(t) : YOI_RESOURCE_EXHAUSTED;
  t->context = NULL;
  eng_context_free(c);
  if (st == YOI_OK) {
    pthread_mutex_lock(&t->w->mu);
    if (t->state == ENG_TURN_CONTEXT) t->state = ENG_TURN_MODEL;
    pthread_mutex_unlock(&t->w->mu);
  } else if (!t->failed) {
    end_internal(t);
  }
}

/* 0: it waits for a read, or for what is staged. */
static int next_step(struct eng_turn *t) {
  if (!begin(t)) {
    eng_turn_short_of_host(t);
    return 1;
  }
  if (!t->context && !begin_context(t)) return t->failed;
  if (!read_context(t)) return t->failed;
  start_model(t);
  return 1;
}

/* ---- the task ---- */

/* A person who is asked is not asked in vain: in a store that outlives the
 * process the turn goes on in the next one. */
static bool drains_around(struct eng_turn *t, enum eng_cut cut) {
  struct eng_worker *w = t->w;
  if (cut == ENG_CUT_CANCEL || !w->eng->durable || !atomic_load(&w->eng->draining)) return false;
  pthread_mutex_lock(&w->mu);
  bool waits = eng_calls_wait(t);
  pthread_mutex_unlock(&w->mu);
  return waits && (cut == ENG_CUT_DRAIN || !eng_tools_run(t));
}

/* What runs ends first, and is written down; then nobody waits for the turn. */
static int park(struct eng_turn *t) {
  enum eng_tools_stopped stopped = eng_tools_stop(t);
  if (stopped != ENG_TOOLS_QUIET) return stopped == ENG_TOOLS_AGAIN;
  if (eng_tools_write(t)) return 1;
  t->parked = true;
  clean(t);
  return 0;
}

static int end(struct eng_turn *t, enum eng_turn_state state) {
  if (state == ENG_TURN_TOOLS) {
    enum eng_tools_stopped stopped = eng_tools_stop(t);
    if (stopped != ENG_TOOLS_QUIET) return stopped == ENG_TOOLS_AGAIN;
  }
  finish(t);
  return 1;
}

/* Looks at what is next; 0: nothing to do until the next kick. */
static int look(struct eng_turn *t) {
  struct eng_worker *w = t->w;
  pthread_mutex_lock(&w->mu);
  /* A drain looks for turns and may find one that has not begun. */
  bool idle = w->turn != t && t->state != ENG_TURN_ENDED;
  if (t->cut == ENG_CUT_NONE && atomic_load(&w->eng->cutting)) t->cut = ENG_CUT_DRAIN;
  enum eng_turn_state state = t->state;
  enum eng_cut cut = t->cut;
  bool staged = w->stage != NULL;
  pthread_mutex_unlock(&w->mu);
  if (state == ENG_TURN_ENDED) {
    clean(t);
    return 0;
  }
  if (idle || staged || t->parked || atomic_load(&t->reading)) return 0;
  assert(state != ENG_TURN_WRITING);
  if (state == ENG_TURN_TOOLS && drains_around(t, cut)) return park(t);
  if (cut == ENG_CUT_CANCEL) end_as(t, ENG_CANCELLED, "cancel_requested", 0, NULL);
  if (cut == ENG_CUT_DRAIN) end_as(t, ENG_CANCELLED, "shutting_down", 0, NULL);
  if (t->expired && !t->failed)
    end_as(t, ENG_FAILED, "time_limit", YOI_CODE_TIMEOUT,
           "the turn took longer than its profile allows");
  if (t->failed) return end(t, state);
  if (state == ENG_TURN_TOOLS) return eng_tools_look(t);
  if (state == ENG_TURN_CONTEXT) return next_step(t);
  if (t->complete) {
    complete(t);
    return 1;
  }
  yoi_status st = eng_model_poll(t);
  if (st == YOI_END) complete(t);
  return st != YOI_AGAIN;
}

/* Looks until there is nothing to do; 0: the task is over, and so may be t. */
static int rounds(struct eng_turn *t) {
  for (int round = 0; round < ROUNDS_PER_TASK; round++) {
    int more = 1;
    atomic_store(&t->busy, 1);
    for (int i = 0; i < POLLS_PER_TASK && more; i++) more = look(t);
    uint32_t one = 1;
    if (!more && atomic_compare_exchange_strong(&t->busy, &one, 0)) return 0;
    if (more) return 1;
  }
  return 1;
}

static void turn_task(void *ctx) {
  struct eng_turn *t = ctx;
  const struct eng_engine *eng = t->w->eng;
  while (rounds(t)) {
    /* Others of this loop first; without memory for a post it goes on here. */
    yoi_status st = eng->loop->post(eng->host, t->loop, turn_task, t);
    if (st == YOI_OK) return;
    if (st == YOI_UNAVAILABLE) break;
  }
  eng_turn_unref(t);
}

/* Its first task could not be posted: it never begins. */
static void abandon(struct eng_turn *t) {
  struct eng_worker *w = t->w;
  struct eng_after after = {0};
  pthread_mutex_lock(&w->mu);
  bool never = w->turn == t && t->step == 0 && t->state == ENG_TURN_CONTEXT && !w->stage;
  if (never) {
    end_internal(t);
    eng_turn_end_in_memory(w, &t->end, &after);
  }
  eng_turn_unref(after.kick);
  after.kick = NULL;
  eng_worker_leave(w, &after);
  if (never) clean(t);
}

void eng_turn_kick(struct eng_turn *t) {
  const struct eng_engine *eng = t->w->eng;
  uint32_t busy = atomic_load(&t->busy);
  for (;;) {
    if (busy == 2) return;
    if (atomic_compare_exchange_weak(&t->busy, &busy, busy + 1)) break;
  }
  if (busy == 1) return;
  yoi_status st = eng->loop->post(eng->host, t->loop, turn_task, eng_turn_ref(t));
  if (st == YOI_OK) return;
  atomic_store(&t->busy, 0);
  if (st != YOI_UNAVAILABLE) abandon(t);
  eng_turn_unref(t);
}
