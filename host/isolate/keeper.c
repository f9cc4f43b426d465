/* host/isolate/keeper.c - restarts, further and further apart, and an end to them.
 *
 * Invariants:
 *  1. A death is forgotten YOI_ISOLATED_DEATHS_MS after it; at
 *     YOI_ISOLATED_DEATHS_MAX that are remembered it is quarantined, for its
 *     life: what dies that often is not mended by time. A reload that opens the
 *     plugin anew makes another.
 *  2. The wait before a restart doubles with each death that is remembered, so a
 *     process that dies at once costs a bounded number of starts.
 */
#include "keeper.h"

#include <string.h>

#define MS 1000000ull

int yoi__keeper_start(struct yoi__keeper *k, uint64_t now_ns) {
  if (k->state == YOI__KEEPER_QUARANTINED || k->state == YOI__KEEPER_STARTING ||
      k->state == YOI__KEEPER_READY)
    return 0;
  if (k->state == YOI__KEEPER_DOWN && now_ns < k->again_ns) return 0;
  k->state = YOI__KEEPER_STARTING;
  return 1;
}

void yoi__keeper_ready(struct yoi__keeper *k) {
  k->state = YOI__KEEPER_READY;
}

void yoi__keeper_ended(struct yoi__keeper *k) {
  if (k->state == YOI__KEEPER_STARTING || k->state == YOI__KEEPER_READY)
    k->state = YOI__KEEPER_IDLE;
}

static void forget(struct yoi__keeper *k, uint64_t now_ns) {
  uint32_t old = 0;
  while (old < k->n && k->deaths[old] + YOI_ISOLATED_DEATHS_MS * MS <= now_ns) old++;
  memmove(k->deaths, k->deaths + old, (k->n - old) * sizeof *k->deaths);
  k->n -= old;
}

void yoi__keeper_died(struct yoi__keeper *k, uint64_t now_ns) {
  if (k->state == YOI__KEEPER_QUARANTINED) return;
  forget(k, now_ns);
  k->deaths[k->n++] = now_ns;
  k->state = k->n == YOI_ISOLATED_DEATHS_MAX ? YOI__KEEPER_QUARANTINED : YOI__KEEPER_DOWN;
  k->again_ns = now_ns + ((uint64_t)YOI_ISOLATED_BACKOFF_MS << (k->n - 1)) * MS;
}
