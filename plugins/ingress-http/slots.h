/* ingress-http/slots.h - wake tokens of one loop, and who waits under them.
 *
 *             http_slot_get            wake (any thread)
 *    free ------------------> held ------------------------> woken
 *     ^                        |  ^                            |
 *     +--- the last one left --+  +--- http_slots_next --------+
 *
 * A slot is one token of the host. Connections that watch the same worker
 * share one, so that an event costs one wake however many watch; every other
 * request has one to itself. The token's cookie holds loop and slot.
 *
 *  1. A free slot keeps its token for the next holder: minting is not part of
 *     a request. A wake that was meant for the former holder makes the new one
 *     poll once in vain.
 *  2. http_slots_wake may run on any thread; it touches the atomic members
 *     only and says whether the loop must be told. All else is the loop's.
 *  3. Slots do not move: they stand in chunks that live until close.
 */
#ifndef YOI_HTTP_SLOTS_H
#define YOI_HTTP_SLOTS_H

#include <sdk/hard.h>
#include <stdatomic.h>
#include <yoi/host.h>
#include <yoi/limits.h>

#define HTTP_SLOT_CHUNK YOI_SDK_HARD(64u, 8u)
#define HTTP_SLOT_CHUNKS (YOI_HTTP_CONNECTIONS_MAX / HTTP_SLOT_CHUNK)
#define HTTP_SLOT_BUCKETS YOI_SDK_HARD(1024u, 2u) /* of the table of watched workers */

struct http_conn;

struct http_slot {
  uint64_t token;
  uint32_t index;             /* from 1 */
  uint32_t count;             /* who holds it */
  struct http_conn *first;    /* linked by slot_prev and slot_next */
  struct http_slot *next;     /* free list, or bucket */
  char *key;                  /* runtime/worker, NULL for a private one */
  uint32_t hash;
  _Atomic uint32_t woken;     /* stands in the stack */
  _Atomic uint32_t next_woken;
};

struct http_slots {
  const yoi_host *host;
  uint32_t loop;
  uint32_t made;           /* slots that exist */
  struct http_slot *free;
  _Atomic uint32_t top;    /* of the stack of woken slots; 0: empty */
  struct http_slot *buckets[HTTP_SLOT_BUCKETS];
  struct http_slot *_Atomic chunks[HTTP_SLOT_CHUNKS];
};

void http_slots_init(struct http_slots *s, const yoi_host *host, uint32_t loop);
/* Gives all tokens back. */
void http_slots_close(struct http_slots *s);
/* A slot for one more holder; key empty: a private one. NULL when memory or
 * tokens are short. http_slot_put gives it back. */
struct http_slot *http_slot_get(struct http_slots *s, yoi_str key);
void http_slot_put(struct http_slots *s, struct http_slot *slot);

uint64_t http_slot_cookie(uint32_t loop, uint32_t index);
uint32_t http_slot_cookie_loop(uint64_t cookie);
/* [any] 1 when the loop has to be told: no other wake stands before it. */
int http_slots_wake(struct http_slots *s, uint64_t cookie);
/* Takes all woken slots off the stack; the cursor walks them, oldest first,
 * and must be walked to its end. */
uint32_t http_slots_take(struct http_slots *s);
struct http_slot *http_slots_next(struct http_slots *s, uint32_t *cursor);

#endif
