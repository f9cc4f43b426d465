/* yoi/base.h - the words of the plugin ABI: text, status, error, version.
 *
 * Every other header of abi/yoi/ includes this one. Rules that hold for all:
 *
 *  1. A growable struct starts with `uint32_t size`, set by whoever allocates
 *     it. A reader copies min(sizes) into a zeroed struct of its own. Members
 *     are only ever appended; zero or NULL means the behaviour of before.
 *  2. Reserved members are zero, and a reader refuses them otherwise.
 *  3. yoi_str, yoi_status and the head of yoi_stream are frozen.
 *  4. Each function pointer has a thread tag in the comment above it:
 *       [main]  the host's control thread only
 *       [loop]  the thread of the loop that owns the object
 *       [one]   any thread, one call at a time per object
 *       [any]   any thread, concurrently
 *     "& open" adds: between open and close of the instance.
 *  5. Borrowed text lives until the call returns, or as long as its header
 *     says. Who allocates frees. Nothing unwinds across the boundary.
 *  6. Release and free functions accept NULL. Every yoi_error * may be NULL.
 *  7. What came after 1.0 says "since 1.N"; ask with YOI_HAS before using it.
 */
#ifndef YOI_BASE_H
#define YOI_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if UINTPTR_MAX != 0xffffffffffffffffu
#error "yoi's ABI is defined for 64-bit platforms only"
#endif

#define YOI_ABI_MAJOR 1u
#define YOI_ABI_MINOR 1u

/* Marks what a shared object exports; all else is built hidden. */
#define YOI_API __attribute__((visibility("default")))

/* True when the caller's table is large enough to hold `member`. */
#define YOI_HAS(type, table, member) \
  ((size_t)(table)->size >= offsetof(type, member) + sizeof((table)->member))

/* Borrowed UTF-8, not terminated; ptr may be NULL when len is 0. Frozen. */
typedef struct yoi_str {
  const char *ptr;
  size_t len;
} yoi_str;

/* 0 is success, positive values are errors with the numbers of
 * google.rpc.Code, negative ones are states of a stream and no errors. */
typedef int32_t yoi_status;

#define YOI_OK 0
#define YOI_CANCELLED 1
#define YOI_UNKNOWN 2
#define YOI_INVALID_ARGUMENT 3
#define YOI_DEADLINE_EXCEEDED 4
#define YOI_NOT_FOUND 5
#define YOI_ALREADY_EXISTS 6
#define YOI_PERMISSION_DENIED 7
#define YOI_RESOURCE_EXHAUSTED 8
#define YOI_FAILED_PRECONDITION 9
#define YOI_ABORTED 10
#define YOI_OUT_OF_RANGE 11
#define YOI_UNIMPLEMENTED 12
#define YOI_INTERNAL 13
#define YOI_UNAVAILABLE 14
#define YOI_DATA_LOSS 15
#define YOI_UNAUTHENTICATED 16
#define YOI_AGAIN (-1)
#define YOI_END (-2)

/* yoi_error.flags */
#define YOI_ERROR_RETRYABLE 1u

/* What went wrong, in buffers of the caller. `message` and `details` may
 * reach whoever called the host; `private_detail` reaches the log only.
 * Every text is NUL-terminated and cut at a UTF-8 boundary when its buffer
 * is too small; `details` is a JSON object or empty, left out whole when it
 * does not fit. A capacity of 0 (with any pointer) means: not wanted.
 * Messages are lower case, without a full stop, subject in quotes. */
typedef struct yoi_error {
  uint32_t size;
  int32_t code;            /* a public code of ops.h, 0 = from the status */
  uint32_t flags;          /* YOI_ERROR_* */
  uint32_t retry_after_ms; /* 0 = not known */
  char *message;
  size_t message_cap;
  char *details;
  size_t details_cap;
  char *private_detail;
  size_t private_cap;
} yoi_error;

#ifdef __cplusplus
}
#endif
#endif
