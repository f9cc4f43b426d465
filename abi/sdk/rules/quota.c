/* quota.c - counts.
 *
 * A rate is a bucket that fills up evenly. A window is exact the other way
 * round: there are never more than `most` in any span of per_ns. It is cut into
 * seven parts, and the sum of the newest eight is what counts, since a span of
 * seven touches no more than eight:
 *
 *        |  0 |  3 |  0 |  1 |  2 |  0 |  4 |  1 |   11, and the next part
 *           [------------ per_ns ------------]       begins with 0
 *
 * Invariants:
 *  1. Of a window nothing is forgotten that still counts. When there is no
 *     place for one more, that one has no room: who could make many names would
 *     else have all that he wants.
 *  2. A clock that goes back gives nothing.
 */
#include "quota.h"

#include <sdk/mem.h>
#include <string.h>

struct quota_rate {
  uint64_t whose; /* hash; 0: nobody's */
  uint64_t at_ns; /* when `left` was right */
  double left;
};

struct quota_window {
  uint64_t whose;  /* hash; 0: nobody's */
  uint64_t newest; /* which part of time used[newest % QUOTA_SLOTS] is */
  uint64_t used[QUOTA_SLOTS];
};

int yoi__sdk_rules_quota_open(struct quota *q, int window, uint32_t per, uint64_t most,
                              uint64_t per_ns) {
  q->per = per;
  q->per_ns = per_ns;
  q->room = 16;
  if (window)
    q->windows = yoi_sdk_calloc(q->room, sizeof *q->windows);
  else
    q->rates = yoi_sdk_calloc(QUOTA_RATES_MAX, sizeof *q->rates);
  if (q->windows == NULL && q->rates == NULL) return 0;
  pthread_mutex_init(&q->mu, NULL);
  q->most = most;
  return 1;
}

void yoi__sdk_rules_quota_close(struct quota *q) {
  if (q->most > 0) pthread_mutex_destroy(&q->mu);
  yoi_sdk_free(q->rates);
  yoi_sdk_free(q->windows);
}

/* ---- whose -------------------------------------------------------------------- */

static uint64_t add(uint64_t h, yoi_str s) {
  for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * 1099511628211u;
  return (h ^ 0xffu) * 1099511628211u; /* no byte of UTF-8: the end of one */
}

/* FNV-1a, and the bits mixed once more, since the lower ones are a place. */
static uint64_t whose_of(const struct quota *q, const yoi_policy_request *req) {
  uint64_t h = 14695981039346656037u;
  if (q->per & QUOTA_PER_PRINCIPAL) h = add(h, req->principal);
  if (q->per & (QUOTA_PER_RUNTIME | QUOTA_PER_WORKER)) h = add(h, req->runtime_id);
  if (q->per & QUOTA_PER_WORKER) h = add(h, req->worker_id);
  if (q->per & QUOTA_PER_TOOL) h = add(add(h, req->plugin), req->tool);
  h ^= h >> 32;
  return h != 0 ? h : 1;
}

/* ---- rates -------------------------------------------------------------------- */

/* The one's, else that which nobody has used for longest: by then it is most
 * likely full again. */
static struct quota_rate *rate_of(struct quota *q, uint64_t whose) {
  struct quota_rate *oldest = q->rates;
  for (size_t i = 0; i < QUOTA_RATES_MAX; i++) {
    struct quota_rate *r = &q->rates[i];
    if (r->whose == whose) return r;
    if (r->at_ns < oldest->at_ns) oldest = r;
  }
  *oldest = (struct quota_rate){.whose = whose, .left = (double)q->most};
  return oldest;
}

static int take_rate(struct quota *q, uint64_t whose, uint64_t now_ns) {
  struct quota_rate *r = rate_of(q, whose);
  uint64_t passed = now_ns > r->at_ns ? now_ns - r->at_ns : 0;
  r->left += (double)passed * (double)q->most / (double)q->per_ns;
  if (r->left > (double)q->most) r->left = (double)q->most;
  r->at_ns += passed;
  int room = r->left >= 1;
  if (room) r->left -= 1;
  return room;
}

/* ---- windows ------------------------------------------------------------------ */

/* No span of per_ns is longer than seven of them. */
static uint64_t part_at(const struct quota *q, uint64_t ns) {
  return ns / (q->per_ns / (QUOTA_SLOTS - 1) + 1);
}

static struct quota_window *find(struct quota_window *all, uint32_t room, uint64_t whose) {
  uint32_t i = (uint32_t)whose & (room - 1);
  while (all[i].whose != 0 && all[i].whose != whose) i = (i + 1) & (room - 1);
  return &all[i];
}

/* Into a table of that size, without those of whom nothing counts any more. */
static int rebuild(struct quota *q, uint32_t room, uint64_t now) {
  struct quota_window *all = yoi_sdk_calloc(room, sizeof *all);
  if (all == NULL) return 0;
  q->used = 0;
  for (uint32_t i = 0; i < q->room; i++) {
    const struct quota_window *w = &q->windows[i];
    if (w->whose == 0 || w->newest + QUOTA_SLOTS <= now) continue;
    *find(all, room, w->whose) = *w;
    q->used++;
  }
  yoi_sdk_free(q->windows);
  q->windows = all;
  q->room = room;
  return 1;
}

/* At most half of the places are used, so that one is found fast. NULL: there
 * is none. */
static struct quota_window *window_of(struct quota *q, uint64_t whose, uint64_t now) {
  struct quota_window *w = find(q->windows, q->room, whose);
  if (w->whose == whose) return w;
  if (q->used >= q->room / 2) {
    uint32_t room = q->room < QUOTA_WINDOWS_MAX * 2 ? q->room * 2 : q->room;
    if (!rebuild(q, room, now) || q->used >= QUOTA_WINDOWS_MAX) return NULL;
    w = find(q->windows, q->room, whose);
  }
  q->used++;
  *w = (struct quota_window){.whose = whose, .newest = now};
  return w;
}

static void move_on(struct quota_window *w, uint64_t now) {
  if (now > w->newest + QUOTA_SLOTS) w->newest = now - QUOTA_SLOTS;
  while (w->newest < now) w->used[++w->newest % QUOTA_SLOTS] = 0;
}

static int take_window(struct quota *q, uint64_t whose, uint64_t amount, uint64_t now_ns) {
  uint64_t now = part_at(q, now_ns), sum = 0;
  struct quota_window *w = amount <= q->most ? window_of(q, whose, now) : NULL;
  if (w == NULL) return 0;
  move_on(w, now);
  for (uint32_t i = 0; i < QUOTA_SLOTS; i++) sum += w->used[i];
  if (sum > q->most - amount) return 0;
  w->used[w->newest % QUOTA_SLOTS] += amount;
  return 1;
}

int yoi__sdk_rules_quota_take(struct quota *q, const yoi_policy_request *req, uint64_t amount,
                              uint64_t now_ns) {
  if (q->most == 0) return 1;
  uint64_t whose = whose_of(q, req);
  pthread_mutex_lock(&q->mu);
  int room = q->rates != NULL ? take_rate(q, whose, now_ns) : take_window(q, whose, amount, now_ns);
  pthread_mutex_unlock(&q->mu);
  return room;
}

void yoi__sdk_rules_quota_give(struct quota *q, const yoi_policy_request *req, uint64_t amount,
                               uint64_t at_ns) {
  if (q->windows == NULL) return;
  uint64_t whose = whose_of(q, req), then = part_at(q, at_ns);
  pthread_mutex_lock(&q->mu);
  struct quota_window *w = find(q->windows, q->room, whose);
  if (w->whose == whose && then <= w->newest && then + QUOTA_SLOTS > w->newest) {
    uint64_t *used = &w->used[then % QUOTA_SLOTS];
    *used -= amount < *used ? amount : *used;
  }
  pthread_mutex_unlock(&q->mu);
}
