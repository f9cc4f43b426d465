/* sdk/hard.h - the hard mode: `make HARD=1`, for tests only.
 *
 * What happens once a month elsewhere happens all the time here:
 *
 *   limits shrink   the batches, buffers and first sizes below, and those
 *                   that a file gives with YOI_SDK_HARD
 *   buffers move    at every growth, by the least step; the old place and
 *                   what is freed is overwritten, fresh memory is not zero
 *   writes, reads   of every third call are cut (yoi_sdk_short)
 *   allocations     the n-th of a thread fails (sdk/mem.h), or of a whole
 *                   process: YOI_HARD_FAIL="N" or "N:M" in the environment,
 *                   counted from yoi_sdk_hard_begin; with M every M-th after
 *                   it fails too
 *
 * A hard build includes this file by force, so that the smaller limits hold
 * wherever yoi/limits.h is read. What callers see as a fact (lengths of ids,
 * rows of a page, sizes of bodies, times) keeps its value: the features are
 * all there, only their edges are met sooner.
 */
#ifndef YOI_SDK_HARD_H
#define YOI_SDK_HARD_H

#include <stddef.h>
#include <stdint.h>
#include <yoi/limits.h>

#ifdef YOI_HARD

#define YOI_SDK_HARD(usual, hard) (hard)

#undef YOI_DELTA_BYTES_MAX
#define YOI_DELTA_BYTES_MAX 64 /* each frame with its head is longer */
#undef YOI_EVENT_BATCH_MAX
#define YOI_EVENT_BATCH_MAX 3
#undef YOI_REPLAY_BATCH_MAX
#define YOI_REPLAY_BATCH_MAX 2
#undef YOI_HTTP_REQUESTS_PER_TURN
#define YOI_HTTP_REQUESTS_PER_TURN 2
#undef YOI_HTTP_NOTSENT_BYTES
#define YOI_HTTP_NOTSENT_BYTES 512
#undef YOI_MODEL_BUFFER_BYTES
#define YOI_MODEL_BUFFER_BYTES 256 /* a stream pauses after some deltas */
#undef YOI_REMOTE_BUFFER_BYTES
#define YOI_REMOTE_BUFFER_BYTES 1024 /* watchers fall behind and read again */
#undef YOI_HTTP_CLIENT_IDLE_MAX
#define YOI_HTTP_CLIENT_IDLE_MAX 1
#undef YOI_HTTP_CLIENT_POOL_MAX
#define YOI_HTTP_CLIENT_POOL_MAX 1

/* How many bytes of n a call moves: all, and of every third call 1 to n. The
 * order is the same in each run: a thread counts on its own from one seed. */
size_t yoi_sdk_short(size_t n);
/* From here on YOI_HARD_FAIL counts. */
void yoi_sdk_hard_begin(void);
/* Blocks that are allocated now, by whoever links this copy. */
uint64_t yoi_sdk_hard_live(void);

#else

/* The usual value, or the one of the hard mode. */
#define YOI_SDK_HARD(usual, hard) (usual)

static inline size_t yoi_sdk_short(size_t n) {
  return n;
}

static inline void yoi_sdk_hard_begin(void) {
}

#endif

/* The next capacity of an array that doubles, a power of 2 times `first`: in
 * the hard mode one more, while that is not too slow for the largest. */
#define YOI_SDK_MORE(cap, first)                   \
  (YOI_SDK_HARD(0, (cap) < 64) ? (cap) + 1 : \
   (cap) == 0 ? (first) : (cap) * 2)

#endif
