/* quota.h - how much of something there was: rates that fill up again, and
 * windows of time in which there is only so much. */
#ifndef QUOTA_H
#define QUOTA_H

#include <pthread.h>
#include <yoi/policy.h>

/* Whose: what is counted together has these in common. */
#define QUOTA_PER_PRINCIPAL 1u
#define QUOTA_PER_RUNTIME 2u
#define QUOTA_PER_WORKER 4u
#define QUOTA_PER_TOOL 8u

#define QUOTA_RATES_MAX 256    /* whose rate is known; then the oldest is forgotten */
#define QUOTA_WINDOWS_MAX 4096 /* who is counted in a window; then nobody else has room */
#define QUOTA_SLOTS 8          /* parts of a window */

struct quota_rate; /* what one has left of a rate */
struct quota_window;

struct quota {
  uint32_t per;  /* QUOTA_PER_*; 0: all together */
  uint64_t most; /* 0: there is no quota */
  uint64_t per_ns;
  pthread_mutex_t mu;
  struct quota_rate *rates;     /* QUOTA_RATES_MAX, or NULL */
  struct quota_window *windows; /* `room` of them, a power of two; or NULL */
  uint32_t room, used;
};

/* `window`: else a rate. 0: memory is short. */
int yoi__sdk_rules_quota_open(struct quota *q, int window, uint32_t per, uint64_t most,
                              uint64_t per_ns);
void yoi__sdk_rules_quota_close(struct quota *q);

/* [any] 1: there was room, and it is counted. Of a rate `amount` is 1. now_ns:
 * CLOCK_MONOTONIC. */
int yoi__sdk_rules_quota_take(struct quota *q, const yoi_policy_request *req, uint64_t amount,
                              uint64_t now_ns);
/* [any] Of a window: what was taken at at_ns, was not used after all. */
void yoi__sdk_rules_quota_give(struct quota *q, const yoi_policy_request *req, uint64_t amount,
                               uint64_t at_ns);

#endif
