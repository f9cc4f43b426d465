/* ingress-http/timers.c - the timer wheel of one loop; timers.h says how it
 * behaves. Slots are singly walked lists with a link back, so that a timer
 * leaves its list in constant time. A slot that is looked at is first moved
 * aside: timers that belong to a later round go back, and nothing that a
 * caller sets meanwhile is met in the same pass.
 */
#include "timers.h"

#include <string.h>

static void insert(struct http_timer **list, struct http_timer *t) {
  t->next = *list;
  t->link = list;
  if (t->next) t->next->link = &t->next;
  *list = t;
}

static void unlink_timer(struct http_timer *t) {
  *t->link = t->next;
  if (t->next) t->next->link = t->link;
  t->next = NULL;
  t->link = NULL;
}

/* The tick at whose end the time has passed. */
static uint64_t tick_of(uint64_t ms) { return ms / HTTP_WHEEL_MS; }

static void place(struct http_wheel *w, struct http_timer *t) {
  uint64_t tick = tick_of(t->at_ms);
  if (tick < w->tick) tick = w->tick;
  uint64_t slot = tick % HTTP_WHEEL_SLOTS;
  w->used[slot / 64] |= (uint64_t)1 << slot % 64;
  insert(&w->slots[slot], t);
}

void http_wheel_init(struct http_wheel *w, uint64_t now_ms) {
  memset(w, 0, sizeof *w);
  w->tick = tick_of(now_ms);
}

void http_timer_set(struct http_wheel *w, struct http_timer *t, uint64_t at_ms) {
  if (t->link && at_ms >= t->at_ms) {
    t->at_ms = at_ms;
    return;
  }
  if (t->link) unlink_timer(t);
  else w->count++;
  t->at_ms = at_ms;
  place(w, t);
}

void http_timer_cancel(struct http_wheel *w, struct http_timer *t) {
  if (!t->link) return;
  unlink_timer(t);
  w->count--;
}

struct http_timer *http_wheel_take(struct http_wheel *w, uint64_t now_ms) {
  uint64_t until = tick_of(now_ms); /* slots before it are over */
  if (w->count == 0 && w->tick < until) w->tick = until;
  /* After a long pause one round finds everything. */
  if (until > w->tick + HTTP_WHEEL_SLOTS) w->tick = until - HTTP_WHEEL_SLOTS;
  for (;;) {
    while (w->visiting) {
      struct http_timer *t = w->visiting;
      unlink_timer(t);
      if (t->at_ms < until * HTTP_WHEEL_MS) {
        w->count--;
        return t;
      }
      place(w, t);
    }
    if (w->tick >= until) return NULL;
    uint64_t slot = w->tick++ % HTTP_WHEEL_SLOTS;
    if (!w->slots[slot]) continue;
    w->used[slot / 64] &= ~((uint64_t)1 << slot % 64);
    w->visiting = w->slots[slot];
    w->visiting->link = &w->visiting;
    w->slots[slot] = NULL;
  }
}

uint64_t http_wheel_next(const struct http_wheel *w) {
  if (w->count == 0) return UINT64_MAX;
  for (uint64_t i = 0; i < HTTP_WHEEL_SLOTS; i++) {
    uint64_t slot = (w->tick + i) % HTTP_WHEEL_SLOTS;
    if (slot % 64 == 0 && w->used[slot / 64] == 0 && i + 64 <= HTTP_WHEEL_SLOTS) {
      i += 63;
      continue;
    }
    if (w->slots[slot]) return (w->tick + i + 1) * HTTP_WHEEL_MS;
  }
  return (w->tick + 1) * HTTP_WHEEL_MS;
}
