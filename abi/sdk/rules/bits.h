/* bits.h - sets of rules: one bit for each, in the order of the config. */
#ifndef BITS_H
#define BITS_H

#include <stdint.h>

#define RULES_MAX 1024
#define BITS_WORDS (RULES_MAX / 64)

struct bits {
  uint64_t w[BITS_WORDS];
};

static inline void bits_set(struct bits *b, uint32_t i) {
  b->w[i / 64] |= (uint64_t)1 << i % 64;
}

static inline int bits_has(const struct bits *b, uint32_t i) {
  return (int)(b->w[i / 64] >> i % 64 & 1u);
}

static inline void bits_or(struct bits *a, const struct bits *b) {
  for (uint32_t i = 0; i < BITS_WORDS; i++) a->w[i] |= b->w[i];
}

static inline void bits_and(struct bits *a, const struct bits *b) {
  for (uint32_t i = 0; i < BITS_WORDS; i++) a->w[i] &= b->w[i];
}

static inline int bits_any(const struct bits *b) {
  uint64_t all = 0;
  for (uint32_t i = 0; i < BITS_WORDS; i++) all |= b->w[i];
  return all != 0;
}

/* The first of a and b from i on; RULES_MAX: there is none. */
static inline uint32_t bits_next(const struct bits *a, const struct bits *b, uint32_t i) {
  while (i < RULES_MAX) {
    uint64_t word = (a->w[i / 64] & b->w[i / 64]) >> i % 64;
    if (word != 0) return i + (uint32_t)__builtin_ctzll(word);
    i = (i / 64 + 1) * 64;
  }
  return RULES_MAX;
}

#endif
