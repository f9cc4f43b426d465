/* yoi/host_clock.h - "yoi.host.clock/1": the host's clocks, so that tests can
 * turn them. Deadlines are monotonic; only what people read is wall time. */
#ifndef YOI_HOST_CLOCK_H
#define YOI_HOST_CLOCK_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_CLOCK_ID "yoi.host.clock/1"

typedef struct yoi_host_clock {
  uint32_t size;
  uint32_t reserved;
  /* [any] Nanoseconds of CLOCK_MONOTONIC, the scale of every *_ns. */
  uint64_t (*monotonic_ns)(const yoi_host *h);
  /* [any] Nanoseconds since 1970-01-01T00:00:00Z; may jump. */
  uint64_t (*wall_ns)(const yoi_host *h);
} yoi_host_clock;

#ifdef __cplusplus
}
#endif
#endif
