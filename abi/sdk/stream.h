/* sdk/stream.h - ready-made streams.
 *
 * One-event: what a unary operation returns when it is done inside start.
 * Queue: a producer on any thread, a consumer behind next. Invariants:
 *  1. push, finish and fail copy what they get and wake the token at most
 *     once per AGAIN that was given out, after all locks are released.
 *  2. finish and fail are final: the first one wins, later pushes are lost.
 *  3. The queue has two owners, producer and consumer. It is freed when the
 *     consumer has released and the producer has let go, whichever is last.
 *  4. on_cancel and on_release run on the consumer's thread, no lock held,
 *     never after yoi_sdk_queue_drop returned... except one already running.
 */
#ifndef YOI_SDK_STREAM_H
#define YOI_SDK_STREAM_H

#include <sdk/error.h>
#include <yoi/host.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One RESULT with these flags, then END. Copies text. NULL: memory short. */
yoi_stream *yoi_sdk_stream_one(yoi_str text, uint32_t event_flags);
/* The same; takes over text, which came from yoi_sdk_malloc (also freed when
 * memory is short). */
yoi_stream *yoi_sdk_stream_one_take(char *text, size_t len,
                                    uint32_t event_flags);
/* Of a tool that is done inside start: one TOOL_OUTPUT, then END. */
yoi_stream *yoi_sdk_stream_output(yoi_str text);
/* No event, END at once. */
yoi_stream *yoi_sdk_stream_empty(void);

struct yoi_sdk_queue;
/* max_bytes: what may wait in the queue, texts and cursors. on_cancel and
 * on_release may be NULL; without on_cancel a cancel ends the stream as
 * CANCELLED behind what waits, with one that is the producer's business. */
struct yoi_sdk_queue *yoi_sdk_queue_new(const yoi_host *host, uint64_t token,
                                        size_t max_bytes,
                                        void (*on_cancel)(void *ctx),
                                        void (*on_release)(void *ctx),
                                        void *ctx);
/* The consumer's side, to be returned from start; once. */
yoi_stream *yoi_sdk_queue_stream(struct yoi_sdk_queue *q);
/* RESOURCE_EXHAUSTED: beyond max_bytes or memory is short; FAILED_PRECONDITION:
 * the stream has its end already; CANCELLED: the consumer has released. In
 * each case the event is not queued. */
yoi_status yoi_sdk_queue_push(struct yoi_sdk_queue *q, uint32_t kind,
                              uint32_t flags, yoi_str cursor, yoi_str text);
void yoi_sdk_queue_finish(struct yoi_sdk_queue *q);
void yoi_sdk_queue_fail(struct yoi_sdk_queue *q, yoi_status st,
                        const yoi_error *err);
size_t yoi_sdk_queue_bytes(struct yoi_sdk_queue *q); /* waiting now */
/* The producer lets go; fails the stream as internal if it is not final. */
void yoi_sdk_queue_drop(struct yoi_sdk_queue *q);

#ifdef __cplusplus
}
#endif
#endif
