/* idem.c - idempotency records of one worker, oldest first.
 *
 * The key stands in the input's record, which is its durability; this is the
 * index. A record is kept for 24 hours and at least for the last 64 inputs;
 * there can be no more of them than records in a history, which is bounded.
 * When there is no memory to grow, the oldest beyond 64 go first.
 */
#include "idem.h"

#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <yoi/limits.h>

int eng_print_eq(const struct eng_print *a, const struct eng_print *b) {
  return memcmp(a->b, b->b, sizeof a->b) == 0;
}

void eng_idem_release(struct eng_idem *x) {
  yoi_sdk_free(x->tags);
  yoi_sdk_free(x->entries);
  *x = (struct eng_idem){0};
}

static uint64_t tag_of(const struct eng_print *key) {
  uint64_t tag;
  memcpy(&tag, key->b, sizeof tag);
  return tag;
}

const struct eng_idem_entry *eng_idem_find(const struct eng_idem *x, const struct eng_print *key) {
  uint64_t tag = tag_of(key);
  for (uint32_t i = x->n; i-- > 0;)
    if (x->tags[i] == tag && eng_print_eq(&x->entries[i].key, key)) return &x->entries[i];
  return NULL;
}

static void drop(struct eng_idem *x, uint32_t n) {
  x->n -= n;
  memmove(x->tags, x->tags + n, x->n * sizeof *x->tags);
  memmove(x->entries, x->entries + n, x->n * sizeof *x->entries);
}

int eng_idem_reserve(struct eng_idem *x) {
  if (x->n < x->cap) return 1;
  uint32_t cap = YOI_SDK_MORE(x->cap, 4);
  uint64_t *tags = yoi_sdk_reallocarray(x->tags, cap, sizeof *tags);
  if (tags) x->tags = tags;
  struct eng_idem_entry *entries =
      tags ? yoi_sdk_reallocarray(x->entries, cap, sizeof *entries) : NULL;
  if (entries) {
    x->entries = entries;
    x->cap = cap;
    return 1;
  }
  if (x->n <= YOI_IDEMPOTENCY_KEEP_INPUTS) return 0;
  drop(x, x->n - YOI_IDEMPOTENCY_KEEP_INPUTS);
  return 1;
}

void eng_idem_add(struct eng_idem *x, const struct eng_idem_entry *e) {
  uint32_t old = 0;
  while (x->n - old >= YOI_IDEMPOTENCY_KEEP_INPUTS &&
         e->wall_ms > x->entries[old].wall_ms + YOI_IDEMPOTENCY_KEEP_MS)
    old++;
  if (old > 0) drop(x, old);
  x->tags[x->n] = tag_of(&e->key);
  x->entries[x->n] = *e;
  x->n++;
}
