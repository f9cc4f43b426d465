/* idem.h - which inputs of a worker had an idempotency key. Guarded by the
 * worker's lock. */
#ifndef ENG_IDEM_H
#define ENG_IDEM_H

#include <yoi/base.h>

/* The first half of a SHA-256: of (principal, key), or of a request. */
#define ENG_PRINT_SIZE 16
struct eng_print {
  uint8_t b[ENG_PRINT_SIZE];
};
int eng_print_eq(const struct eng_print *a, const struct eng_print *b);

struct eng_idem_entry {
  struct eng_print key, request;
  uint64_t sequence; /* of input.accepted */
  uint64_t wall_ms;
  uint8_t turn[16]; /* the turn's UUID; all 0: it started none */
};

struct eng_idem {
  uint64_t *tags; /* the first bytes of each key: what a search reads */
  struct eng_idem_entry *entries;
  uint32_t n, cap;
};

void eng_idem_release(struct eng_idem *x);
/* Valid until the next call that changes x; NULL when there is none. */
const struct eng_idem_entry *eng_idem_find(const struct eng_idem *x, const struct eng_print *key);
/* Room for one more; 0 when memory is short. add cannot fail behind it. */
int eng_idem_reserve(struct eng_idem *x);
/* Newest last; forgets what is beyond 64 inputs and 24 hours. */
void eng_idem_add(struct eng_idem *x, const struct eng_idem_entry *e);

#endif
