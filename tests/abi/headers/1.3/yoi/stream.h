/* yoi/stream.h - everything that takes time is a stream, pulled.
 *
 *            start                 next: OK (n >= 1 events)
 *   (none) ---------> LIVE <------------------------------+
 *                      |  \___ next: AGAIN ---> WAITING --+  after a wake
 *                      |
 *                      | next: END or an error      release, in any state
 *                      v                         (LIVE, WAITING, DONE) --> gone
 *                     DONE (next repeats the same answer)
 *
 *  1. start and next never block. END and errors are final and sticky.
 *  2. The holder polls once unasked after start. After AGAIN the plugin owes
 *     one host->wake(token); the token is live before start is called, so a
 *     wake during start or next is kept and causes one more next.
 *  3. cancel only requests: the stream ends with YOI_CANCELLED, or as it
 *     would have, within the declared grace; it counts as news for a wake.
 *     No cancel may run once release was called.
 *  4. release never waits. A wake after it is stale: counted and ignored.
 *  5. Several streams of one holder may share a token; a wake of it means:
 *     poll each of them until AGAIN.
 *  6. Backpressure is not being polled: a plugin buffers at most what
 *     limits.h or its page says and then stops reading its own source.
 *  7. A stream keeps its last batch alive until its next next or release.
 */
#ifndef YOI_STREAM_H
#define YOI_STREAM_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* yoi_event.flags */
#define YOI_EV_REPLAYED 1u /* from the history, not as it happened */
#define YOI_EV_DURABLE 2u  /* is a record of the history */
#define YOI_EV_CREATED 4u  /* a result that made something new: HTTP 201 */

/* One event; immutable. */
typedef struct yoi_event {
  uint32_t size;
  uint32_t kind;  /* YOI_EVENT_* of ops.h */
  uint32_t flags; /* YOI_EV_* */
  uint32_t reserved;
  yoi_str cursor; /* where a watcher resumes after it; empty: no id */
  yoi_str text;   /* one line of JSON; MODEL_TEXT, _REASONING: raw UTF-8 */
} yoi_event;

/* Frozen head: a plugin's own stream starts with this. */
typedef struct yoi_stream {
  const struct yoi_stream_ops *ops;
} yoi_stream;

typedef struct yoi_stream_ops {
  uint32_t size;
  uint32_t reserved;
  /* [one] OK sets *out_events to *out_n >= 1 pointers, valid until the next
   * next or release. AGAIN, END or an error leave them untouched. */
  yoi_status (*next)(yoi_stream *s, const yoi_event *const **out_events,
                     size_t *out_n, yoi_error *err);
  /* [any] Idempotent, waits for no other thread. */
  void (*cancel)(yoi_stream *s);
  /* [one] Gives the stream back; NULL is accepted. */
  void (*release)(yoi_stream *s);
} yoi_stream_ops;

#ifdef __cplusplus
}
#endif
#endif
