/* ingress-http/slots.c - wake tokens of one loop; slots.h draws their states.
 *
 * The stack of woken slots is lock-free: a slot is pushed at most once (its
 * `woken` flag guards that), and the loop takes the whole stack with one
 * exchange, so there is no ABA problem. The flag is cleared before the slot's
 * streams are polled: a wake that comes during the poll is kept.
 */
#include "slots.h"

#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>

void http_slots_init(struct http_slots *s, const yoi_host *host, uint32_t loop) {
  memset(s, 0, sizeof *s);
  s->host = host;
  s->loop = loop;
}

static struct http_slot *at(struct http_slots *s, uint32_t index) {
  struct http_slot *chunk =
      atomic_load_explicit(&s->chunks[(index - 1) / HTTP_SLOT_CHUNK], memory_order_acquire);
  return chunk ? &chunk[(index - 1) % HTTP_SLOT_CHUNK] : NULL;
}

void http_slots_close(struct http_slots *s) {
  for (uint32_t i = 1; i <= s->made; i++) {
    struct http_slot *slot = at(s, i);
    if (slot->token) s->host->token_free(s->host, slot->token);
    yoi_sdk_free(slot->key);
  }
  for (uint32_t i = 0; i < HTTP_SLOT_CHUNKS; i++) yoi_sdk_free(atomic_load(&s->chunks[i]));
}

uint64_t http_slot_cookie(uint32_t loop, uint32_t index) { return (uint64_t)loop << 32 | index; }
uint32_t http_slot_cookie_loop(uint64_t cookie) { return (uint32_t)(cookie >> 32); }

static struct http_slot *make(struct http_slots *s) {
  uint32_t chunk = s->made / HTTP_SLOT_CHUNK;
  if (s->free) {
    struct http_slot *slot = s->free;
    s->free = slot->next;
    return slot;
  }
  if (chunk == HTTP_SLOT_CHUNKS) return NULL;
  if (s->made % HTTP_SLOT_CHUNK == 0 && !atomic_load(&s->chunks[chunk])) {
    struct http_slot *fresh = yoi_sdk_calloc(HTTP_SLOT_CHUNK, sizeof *fresh);
    if (!fresh) return NULL;
    atomic_store_explicit(&s->chunks[chunk], fresh, memory_order_release);
  }
  struct http_slot *slot = at(s, s->made + 1);
  slot->index = s->made + 1;
  if (s->host->token_new(s->host, http_slot_cookie(s->loop, slot->index), &slot->token, NULL) !=
      YOI_OK)
    return NULL;
  s->made++;
  return slot;
}

static uint32_t hash_of(yoi_str key) {
  uint32_t h = 2166136261u; /* FNV-1a; ids are checked and short */
  for (size_t i = 0; i < key.len; i++) h = (h ^ (unsigned char)key.ptr[i]) * 16777619u;
  return h;
}

struct http_slot *http_slot_get(struct http_slots *s, yoi_str key) {
  uint32_t hash = key.len > 0 ? hash_of(key) : 0;
  struct http_slot **bucket = &s->buckets[hash % HTTP_SLOT_BUCKETS];
  for (struct http_slot *o = key.len > 0 ? *bucket : NULL; o; o = o->next)
    if (o->hash == hash && yoi_sdk_str_is(key, o->key)) {
      o->count++;
      return o;
    }
  struct http_slot *slot = make(s);
  if (!slot) return NULL;
  slot->key = NULL;
  slot->next = NULL;
  if (key.len > 0) {
    slot->key = yoi_sdk_strndup(key.ptr, key.len);
    if (!slot->key) {
      slot->next = s->free;
      s->free = slot;
      return NULL;
    }
    slot->hash = hash;
    slot->next = *bucket;
    *bucket = slot;
  }
  slot->count = 1;
  return slot;
}

void http_slot_put(struct http_slots *s, struct http_slot *slot) {
  if (!slot || --slot->count > 0) return;
  if (slot->key) {
    struct http_slot **p = &s->buckets[slot->hash % HTTP_SLOT_BUCKETS];
    while (*p != slot) p = &(*p)->next;
    *p = slot->next;
    yoi_sdk_free(slot->key);
    slot->key = NULL;
  }
  slot->next = s->free;
  s->free = slot;
}

int http_slots_wake(struct http_slots *s, uint64_t cookie) {
  uint32_t index = (uint32_t)cookie, top;
  struct http_slot *slot = index > 0 && index <= YOI_HTTP_CONNECTIONS_MAX ? at(s, index) : NULL;
  if (!slot || atomic_exchange(&slot->woken, 1u)) return 0;
  top = atomic_load(&s->top);
  do atomic_store(&slot->next_woken, top);
  while (!atomic_compare_exchange_weak(&s->top, &top, index));
  return top == 0;
}

uint32_t http_slots_take(struct http_slots *s) {
  uint32_t index = atomic_exchange(&s->top, 0u), oldest = 0;
  while (index) {
    struct http_slot *slot = at(s, index);
    uint32_t next = atomic_load(&slot->next_woken);
    atomic_store(&slot->next_woken, oldest);
    oldest = index;
    index = next;
  }
  return oldest;
}

struct http_slot *http_slots_next(struct http_slots *s, uint32_t *cursor) {
  if (*cursor == 0) return NULL;
  struct http_slot *slot = at(s, *cursor);
  *cursor = atomic_load(&slot->next_woken);
  /* From here on it may be pushed again, and its next be overwritten. */
  atomic_store(&slot->woken, 0u);
  return slot;
}
