/* host/turn.c - yoi.host.turn/1: what a turn began with, it keeps.
 *
 *   turn = generation << 20 | slot
 *
 * Invariants:
 *  1. Generations of a slot begin at 1 and grow when it is freed. No turn is 0.
 *  2. A slot in use holds a reference of its setup. Who uses a turn takes one of
 *     their own under the lock, so an end beside that takes nothing away.
 *  3. A turn is its instance's: another one that guesses it finds nothing.
 *  4. `lock` is held to look at slots, never across a call.
 */
#include "turn.h"

#include <pthread.h>

#include <sdk/hard.h>
#include <sdk/mem.h>

#include "host.h"
#include "model.h"
#include "tool.h"

#define SLOT_BITS 20
#define NO_SLOT UINT32_MAX

_Static_assert(YOI_TURNS_MAX <= 1u << SLOT_BITS, "a slot's number fits");

struct slot {
  uint64_t generation;
  const struct yoi__instance *in; /* NULL: free */
  struct yoi__setup *setup;
  uint32_t next; /* of the free ones */
};

struct yoi__turns {
  pthread_mutex_t lock;
  struct slot *slots;
  uint32_t n, free;
};

static struct yoi__instance *of(const yoi_host *h) {
  return h->ctx;
}

/* ---- the table -------------------------------------------------------------- */

struct yoi__turns *yoi__turns_new(void) {
  struct yoi__turns *t = yoi_sdk_calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  pthread_mutex_init(&t->lock, NULL);
  t->free = NO_SLOT;
  return t;
}

void yoi__turns_free(struct yoi__turns *t) {
  if (t == NULL) return;
  pthread_mutex_destroy(&t->lock);
  yoi_sdk_free(t->slots);
  yoi_sdk_free(t);
}

/* Under the lock, as the next two. */
static int grow(struct yoi__turns *t) {
  uint32_t n = YOI_SDK_MORE(t->n, 16);
  if (n > YOI_TURNS_MAX) n = YOI_TURNS_MAX;
  if (n == t->n) return 0;
  struct slot *slots = yoi_sdk_reallocarray(t->slots, n, sizeof *slots);
  if (slots == NULL) return 0;
  t->slots = slots;
  for (uint32_t i = n; i-- > t->n;) {
    slots[i] = (struct slot){.generation = 1, .next = t->free};
    t->free = i;
  }
  t->n = n;
  return 1;
}

/* NULL: no such turn of that instance. */
static struct slot *find(struct yoi__turns *t, const struct yoi__instance *in, uint64_t turn) {
  uint32_t i = (uint32_t)(turn & ((1u << SLOT_BITS) - 1));
  if (i >= t->n || t->slots[i].in != in || t->slots[i].generation != turn >> SLOT_BITS) return NULL;
  return &t->slots[i];
}

/* Its setup, which is to be given back. */
static struct yoi__setup *clear(struct yoi__turns *t, struct slot *s) {
  struct yoi__setup *setup = s->setup;
  *s = (struct slot){.generation = s->generation + 1, .next = t->free};
  t->free = (uint32_t)(s - t->slots);
  return setup;
}

void yoi__turns_end(struct yoi__turns *t, const struct yoi__instance *in) {
  for (uint32_t i = 0;; i++) {
    struct yoi__setup *setup = NULL;
    pthread_mutex_lock(&t->lock);
    int more = i < t->n;
    if (more && t->slots[i].in != NULL && (in == NULL || t->slots[i].in == in))
      setup = clear(t, &t->slots[i]);
    pthread_mutex_unlock(&t->lock);
    yoi__setup_give(setup);
    if (!more) return;
  }
}

/* With a reference; NULL: no such turn. */
static struct yoi__setup *setup_of(const yoi_host *h, uint64_t turn, yoi_error *err) {
  struct yoi__turns *t = of(h)->top->turns;
  struct yoi__setup *setup = NULL;
  if (turn == 0) return yoi__setup_of(of(h));
  pthread_mutex_lock(&t->lock);
  const struct slot *s = find(t, of(h), turn);
  if (s != NULL) setup = yoi__setup_ref(s->setup);
  pthread_mutex_unlock(&t->lock);
  if (setup == NULL) (void)yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "no such turn of this runtime");
  return setup;
}

/* ---- the interface ----------------------------------------------------------- */

static yoi_status turn_begin(const yoi_host *h, uint64_t *out_turn, yoi_error *err) {
  struct yoi__turns *t = of(h)->top->turns;
  struct yoi__setup *setup = yoi__setup_of(of(h));
  *out_turn = 0;
  pthread_mutex_lock(&t->lock);
  if (t->free != NO_SLOT || grow(t)) {
    uint32_t i = t->free;
    struct slot *s = &t->slots[i];
    t->free = s->next;
    s->in = of(h);
    s->setup = setup;
    *out_turn = s->generation << SLOT_BITS | i;
  }
  pthread_mutex_unlock(&t->lock);
  if (*out_turn != 0) return YOI_OK;
  yoi__setup_give(setup);
  return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "cannot begin a turn: too many run");
}

static void turn_end(const yoi_host *h, uint64_t turn) {
  struct yoi__turns *t = of(h)->top->turns;
  pthread_mutex_lock(&t->lock);
  struct slot *s = find(t, of(h), turn);
  struct yoi__setup *setup = s != NULL ? clear(t, s) : NULL;
  pthread_mutex_unlock(&t->lock);
  yoi__setup_give(setup);
}

static yoi_status turn_model_start(const yoi_host *h, uint64_t turn, yoi_str name,
                                   const yoi_model_request *req, yoi_stream **out, yoi_error *err) {
  struct yoi__setup *s = setup_of(h, turn, err);
  if (s == NULL) return YOI_NOT_FOUND;
  yoi_status st = yoi__model_start(s, of(h), name, req, out, err);
  yoi__setup_give(s);
  return st;
}

static yoi_status turn_tool_find(const yoi_host *h, uint64_t turn, yoi_str plugin, yoi_str name,
                                 yoi_tool_info *out, yoi_error *err) {
  struct yoi__setup *s = setup_of(h, turn, err);
  if (s == NULL) return YOI_NOT_FOUND;
  yoi_status st = yoi__tool_find(s, plugin, name, out, err);
  yoi__setup_give(s);
  return st;
}

static yoi_status turn_tool_decide(const yoi_host *h, uint64_t turn, const yoi_tool_call *call,
                                   yoi_tool_decision *out, yoi_error *err) {
  struct yoi__setup *s = setup_of(h, turn, err);
  if (s == NULL) return YOI_NOT_FOUND;
  yoi_status st = yoi__tool_decide(s, of(h), call, out, err);
  yoi__setup_give(s);
  return st;
}

static yoi_status turn_tool_start(const yoi_host *h, uint64_t turn, const yoi_tool_call *call,
                                  yoi_stream **out, yoi_error *err) {
  struct yoi__setup *s = setup_of(h, turn, err);
  if (s == NULL) return YOI_NOT_FOUND;
  yoi_status st = yoi__tool_start(s, of(h), call, out, err);
  yoi__setup_give(s);
  return st;
}

const yoi_host_turn yoi__turn_table = {.size = sizeof yoi__turn_table,
                                       .begin = turn_begin,
                                       .end = turn_end,
                                       .model_start = turn_model_start,
                                       .tool_find = turn_tool_find,
                                       .tool_decide = turn_tool_decide,
                                       .tool_start = turn_tool_start};
