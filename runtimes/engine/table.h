/* table.h - from a 64-bit hash to a pointer: open addressing, no tombstones.
 * Not locked; its owner does that. */
#ifndef ENG_TABLE_H
#define ENG_TABLE_H

#include <yoi/base.h>

struct eng_slot {
  uint64_t hash;
  void *value; /* NULL: free */
};

struct eng_table {
  struct eng_slot *slots;
  size_t n, cap; /* cap is 0 or a power of two, at least twice n */
};

typedef int (*eng_table_eq)(const void *value, const void *key);

/* The value for which eq(value, key) holds, or NULL. */
void *eng_table_find(const struct eng_table *t, uint64_t hash, eng_table_eq eq, const void *key);
/* Room for one more; 0 when memory is short. put cannot fail behind it. */
int eng_table_reserve(struct eng_table *t);
void eng_table_put(struct eng_table *t, uint64_t hash, void *value);
/* Takes this very pointer out; ignored when it is not there. */
void eng_table_remove(struct eng_table *t, uint64_t hash, const void *value);
void eng_table_release(struct eng_table *t);

/* SipHash-1-3 of s under a secret key: callers choose ids, and must not be
 * able to choose collisions. */
uint64_t eng_hash(const uint64_t key[2], yoi_str s);

#endif
