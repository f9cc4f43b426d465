/* host/clock.h - the two clocks, in the nanoseconds of the ABI. */
#ifndef YOI__CLOCK_H
#define YOI__CLOCK_H

#include <stdint.h>
#include <time.h>

#define YOI__MS 1000000ull /* nanoseconds */

static inline uint64_t yoi__clock_ns(clockid_t id) {
  struct timespec t;
  if (clock_gettime(id, &t) != 0) return 0;
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t yoi__now_ns(void) {
  return yoi__clock_ns(CLOCK_MONOTONIC);
}
static inline uint64_t yoi__wall_ns(void) {
  return yoi__clock_ns(CLOCK_REALTIME);
}

#endif
