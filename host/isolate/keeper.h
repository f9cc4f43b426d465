/* host/isolate/keeper.h - whether a worker process may be started again.
 *
 *             started             ready
 *   IDLE -------------> STARTING -------> READY
 *     ^                    |                |
 *     | its time has come  v      died      v        too many
 *     +------------------ DOWN <------------+------------------> QUARANTINED
 *
 * Time is told to it, so that a test can turn it. Not thread-safe.
 */
#ifndef YOI__KEEPER_H
#define YOI__KEEPER_H

#include <yoi/base.h>
#include <yoi/limits.h>

#define YOI__KEEPER_IDLE 0u
#define YOI__KEEPER_STARTING 1u
#define YOI__KEEPER_READY 2u
#define YOI__KEEPER_DOWN 3u
#define YOI__KEEPER_QUARANTINED 4u

/* Zeroed is IDLE. */
struct yoi__keeper {
  uint32_t state;
  uint32_t n;        /* deaths that are remembered */
  uint64_t again_ns; /* DOWN: when it may be started */
  uint64_t deaths[YOI_ISOLATED_DEATHS_MAX];
};

/* 1: it is STARTING now. 0: it is not its time, or never will be. */
int yoi__keeper_start(struct yoi__keeper *k, uint64_t now_ns);
void yoi__keeper_ready(struct yoi__keeper *k);
/* It was ended in peace; one that died stays what it is. */
void yoi__keeper_ended(struct yoi__keeper *k);
/* DOWN or QUARANTINED now. */
void yoi__keeper_died(struct yoi__keeper *k, uint64_t now_ns);

#endif
