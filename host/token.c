/* host/token.c - the one mapping from tokens to holders.
 *
 *   token = generation << 20 | slot in its shard << 4 | shard
 *
 * Why sharded: every event of every stream wakes somebody, on all loops at
 * once. A thread keeps to one shard for new tokens, so loops rarely meet.
 *
 * Invariants
 *  1. Generations of a slot begin at 1 and grow when it is freed; a token
 *     whose generation is not the slot's is stale. No token is 0.
 *  2. A shard's lock is held to look at slots, never across a wake and never
 *     together with another lock.
 *  3. in_flight of a holder grows under the lock of the shard in which its
 *     token was found. close marks the holder, sweeps every shard, and then
 *     waits for in_flight to be 0: after the sweep nobody can find it.
 *  4. Whoever counts in_flight down does not touch the holder afterwards; it
 *     may be gone. It tells waiters through the table, which is not.
 */
#include "token.h"

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <yoi/limits.h>

#define SHARD_BITS 4u
#define SHARDS (1u << SHARD_BITS)
#define SLOT_BITS 16u
#define SLOTS_MAX (1u << SLOT_BITS)
#define NO_SLOT UINT32_MAX

_Static_assert(SHARDS *SLOTS_MAX == YOI_TOKENS_MAX, "the bits of a token make the limit");

struct slot {
  uint64_t generation;
  struct yoi__holder *holder; /* NULL: free */
  uint64_t cookie;
  uint32_t next; /* of the free list */
};

struct shard {
  pthread_mutex_t lock;
  struct slot *slots;
  uint32_t n, free;
  char apart[64]; /* shards do not share cache lines */
};

struct yoi__tokens {
  struct shard shards[SHARDS];
  _Atomic uint64_t *stale;
  _Atomic uint32_t next_shard;
  _Atomic uint32_t waiters;
  pthread_mutex_t wait_lock;
  pthread_cond_t idle;
};

struct yoi__tokens *yoi__tokens_new(_Atomic uint64_t *stale) {
  struct yoi__tokens *t = yoi_sdk_calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  t->stale = stale;
  for (uint32_t i = 0; i < SHARDS; i++) {
    pthread_mutex_init(&t->shards[i].lock, NULL);
    t->shards[i].free = NO_SLOT;
  }
  pthread_mutex_init(&t->wait_lock, NULL);
  pthread_cond_init(&t->idle, NULL);
  return t;
}

void yoi__tokens_free(struct yoi__tokens *t) {
  if (t == NULL) return;
  for (uint32_t i = 0; i < SHARDS; i++) {
    pthread_mutex_destroy(&t->shards[i].lock);
    yoi_sdk_free(t->shards[i].slots);
  }
  pthread_cond_destroy(&t->idle);
  pthread_mutex_destroy(&t->wait_lock);
  yoi_sdk_free(t);
}

/* Under the shard's lock. */
static int shard_grow(struct shard *s) {
  uint32_t n = YOI_SDK_MORE(s->n, 64);
  if (n > SLOTS_MAX) return 0;
  struct slot *grown = yoi_sdk_reallocarray(s->slots, n, sizeof *grown);
  if (grown == NULL) return 0;
  s->slots = grown;
  for (uint32_t i = n; i-- > s->n;) {
    grown[i] = (struct slot){.generation = 1, .next = s->free};
    s->free = i;
  }
  s->n = n;
  return 1;
}

static void slot_free(struct shard *s, uint32_t i) {
  s->slots[i].generation++;
  s->slots[i].holder = NULL;
  s->slots[i].next = s->free;
  s->free = i;
}

static uint64_t token_of(const struct slot *slot, uint32_t i, uint32_t shard) {
  return slot->generation << (SLOT_BITS + SHARD_BITS) | (uint64_t)i << SHARD_BITS | shard;
}

static uint64_t shard_take(struct yoi__tokens *t, uint32_t index, struct yoi__holder *h,
                           uint64_t cookie) {
  struct shard *s = &t->shards[index];
  uint64_t token = 0;
  pthread_mutex_lock(&s->lock);
  /* Under the lock, so that the sweep of a close misses nothing. */
  if (atomic_load(&h->closing) == 0 && (s->free != NO_SLOT || shard_grow(s))) {
    uint32_t i = s->free;
    struct slot *slot = &s->slots[i];
    s->free = slot->next;
    slot->holder = h;
    slot->cookie = cookie;
    token = token_of(slot, i, index);
  }
  pthread_mutex_unlock(&s->lock);
  return token;
}

yoi_status yoi__token_new(struct yoi__tokens *t, struct yoi__holder *h, uint64_t cookie,
                          uint64_t *out_token, yoi_error *err) {
  /* process-wide, per thread: its shard, in whatever host. */
  static _Thread_local uint32_t mine = NO_SLOT;
  if (h->wake == NULL) {
    (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot make a token: the holder has no wake");
    return YOI_FAILED_PRECONDITION;
  }
  if (mine == NO_SLOT) mine = atomic_fetch_add(&t->next_shard, 1u) % SHARDS;
  for (uint32_t i = 0; i < SHARDS; i++) {
    *out_token = shard_take(t, (mine + i) % SHARDS, h, cookie);
    if (*out_token != 0) return YOI_OK;
    if (atomic_load(&h->closing) != 0)
      return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "cannot make a token: closing");
  }
  return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "cannot make a token: %u are live",
                      YOI_TOKENS_MAX);
}

static struct slot *find(struct shard *s, uint64_t token) {
  uint32_t i = (uint32_t)(token >> SHARD_BITS) & (SLOTS_MAX - 1);
  if (i >= s->n || s->slots[i].holder == NULL ||
      s->slots[i].generation != token >> (SLOT_BITS + SHARD_BITS))
    return NULL;
  return &s->slots[i];
}

void yoi__token_free(struct yoi__tokens *t, struct yoi__holder *h, uint64_t token) {
  struct shard *s = &t->shards[token & (SHARDS - 1)];
  if (token == 0) return;
  pthread_mutex_lock(&s->lock);
  struct slot *slot = find(s, token);
  if (slot != NULL && slot->holder == h) slot_free(s, (uint32_t)(slot - s->slots));
  pthread_mutex_unlock(&s->lock);
}

void yoi__token_wake(struct yoi__tokens *t, uint64_t token) {
  struct shard *s = &t->shards[token & (SHARDS - 1)];
  if (token == 0) return;
  pthread_mutex_lock(&s->lock);
  struct slot *slot = find(s, token);
  struct yoi__holder *h = slot == NULL ? NULL : slot->holder;
  uint64_t cookie = slot == NULL ? 0 : slot->cookie;
  if (h != NULL) atomic_fetch_add(&h->in_flight, 1u);
  pthread_mutex_unlock(&s->lock);
  if (h == NULL) {
    atomic_fetch_add_explicit(t->stale, 1u, memory_order_relaxed);
    return;
  }
  h->wake(h->self, cookie);
  if (atomic_fetch_sub(&h->in_flight, 1u) == 1 && atomic_load(&t->waiters) != 0) {
    pthread_mutex_lock(&t->wait_lock);
    pthread_cond_broadcast(&t->idle);
    pthread_mutex_unlock(&t->wait_lock);
  }
}

void yoi__holder_wake(struct yoi__tokens *t, const struct yoi__holder *h) {
  for (uint32_t i = 0; i < SHARDS; i++) {
    struct shard *s = &t->shards[i];
    uint64_t token = 0;
    for (uint32_t k = 0;; k++) {
      pthread_mutex_lock(&s->lock);
      int end = k >= s->n;
      if (!end) token = s->slots[k].holder == h ? token_of(&s->slots[k], k, i) : 0;
      pthread_mutex_unlock(&s->lock);
      if (end) break;
      yoi__token_wake(t, token);
    }
  }
}

void yoi__holder_close(struct yoi__tokens *t, struct yoi__holder *h) {
  atomic_store(&h->closing, 1u);
  for (uint32_t i = 0; i < SHARDS; i++) {
    struct shard *s = &t->shards[i];
    pthread_mutex_lock(&s->lock);
    for (uint32_t k = 0; k < s->n; k++)
      if (s->slots[k].holder == h) slot_free(s, k);
    pthread_mutex_unlock(&s->lock);
  }
  atomic_fetch_add(&t->waiters, 1u);
  pthread_mutex_lock(&t->wait_lock);
  while (atomic_load(&h->in_flight) != 0) pthread_cond_wait(&t->idle, &t->wait_lock);
  pthread_mutex_unlock(&t->wait_lock);
  atomic_fetch_sub(&t->waiters, 1u);
}
