/* table.c - a hash table of pointers, linear probing.
 *
 *  1. At most half of the slots are used, so a miss ends soon.
 *  2. Removing shifts the rest of the cluster back; there are no tombstones,
 *     and a table that was once full is as fast as a new one.
 */
#include "table.h"

#include <assert.h>
#include <sdk/mem.h>
#include <sdk/str.h>

void *eng_table_find(const struct eng_table *t, uint64_t hash, eng_table_eq eq, const void *key) {
  if (t->cap == 0) return NULL;
  size_t mask = t->cap - 1;
  for (size_t i = (size_t)hash & mask; t->slots[i].value; i = (i + 1) & mask)
    if (t->slots[i].hash == hash && eq(t->slots[i].value, key)) return t->slots[i].value;
  return NULL;
}

static void place(struct eng_slot *slots, size_t cap, uint64_t hash, void *value) {
  size_t mask = cap - 1, i = (size_t)hash & mask;
  while (slots[i].value) i = (i + 1) & mask;
  slots[i] = (struct eng_slot){.hash = hash, .value = value};
}

int eng_table_reserve(struct eng_table *t) {
  if (t->cap > 0 && (t->n + 1) * 2 <= t->cap) return 1;
  size_t cap = t->cap ? t->cap * 2 : 16;
  struct eng_slot *slots = yoi_sdk_calloc(cap, sizeof *slots);
  if (!slots) return 0;
  for (size_t i = 0; i < t->cap; i++)
    if (t->slots[i].value) place(slots, cap, t->slots[i].hash, t->slots[i].value);
  yoi_sdk_free(t->slots);
  t->slots = slots;
  t->cap = cap;
  return 1;
}

void eng_table_put(struct eng_table *t, uint64_t hash, void *value) {
  assert((t->n + 1) * 2 <= t->cap);
  place(t->slots, t->cap, hash, value);
  t->n++;
}

void eng_table_remove(struct eng_table *t, uint64_t hash, const void *value) {
  if (t->cap == 0) return;
  size_t mask = t->cap - 1, hole = (size_t)hash & mask;
  while (t->slots[hole].value && t->slots[hole].value != value) hole = (hole + 1) & mask;
  if (!t->slots[hole].value) return;
  t->n--;
  for (size_t i = (hole + 1) & mask; t->slots[i].value; i = (i + 1) & mask) {
    /* It may move back unless its home lies cyclically in (hole, i]. */
    size_t home = (size_t)t->slots[i].hash & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    t->slots[hole] = t->slots[i];
    hole = i;
  }
  t->slots[hole] = (struct eng_slot){0};
}

void eng_table_release(struct eng_table *t) {
  yoi_sdk_free(t->slots);
  *t = (struct eng_table){0};
}

static uint64_t rotl(uint64_t x, int b) {
  return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4]) {
  v[0] += v[1];
  v[1] = rotl(v[1], 13) ^ v[0];
  v[0] = rotl(v[0], 32);
  v[2] += v[3];
  v[3] = rotl(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = rotl(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = rotl(v[1], 17) ^ v[2];
  v[2] = rotl(v[2], 32);
}

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one
 * compression and three finalization rounds. */
uint64_t eng_hash(const uint64_t key[2], yoi_str s) {
  uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                   key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
  uint64_t last = (uint64_t)s.len << 56;
  size_t at = 0;
  for (; s.len - at >= 8; at += 8) {
    uint64_t m;
    memcpy(&m, s.ptr + at, 8);
    v[3] ^= m;
    sip_round(v);
    v[0] ^= m;
  }
  for (size_t i = 0; at + i < s.len; i++) last |= (uint64_t)(unsigned char)s.ptr[at + i] << (8 * i);
  v[3] ^= last;
  sip_round(v);
  v[0] ^= last;
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++) sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}
