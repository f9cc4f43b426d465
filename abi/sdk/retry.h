/* sdk/retry.h - when to ask a server again, and how long to wait first.
 *
 * The rule is that of the official clients of the large providers:
 * x-should-retry decides when it is there, else 408, 409, 429 and 5xx are
 * asked again. Where they cut a long Retry-After short, we do not: what the
 * server asks for is the least that is waited, and a wait that is too long
 * for the caller is an error that says so.
 */
#ifndef YOI_SDK_RETRY_H
#define YOI_SDK_RETRY_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1 when an answer with this status may be asked for again. should_retry is
 * the value of x-should-retry, or empty. */
int yoi_sdk_retry_wanted(uint32_t status, yoi_str should_retry);

/* The wait that a server asked for: retry-after-ms (decimal, fraction
 * allowed), else retry-after (seconds, fraction allowed, or an HTTP-date
 * against wall_ns). Each may be empty. Rounded up to whole milliseconds,
 * at most a year. 0 when neither can be understood. */
int yoi_sdk_retry_after(yoi_str retry_after_ms, yoi_str retry_after,
                        uint64_t wall_ns, uint64_t *out_ms);

/* The wait before retry number `attempt` (from 0) when the server named
 * none: base_ms doubled each time up to max_ms, less up to a quarter of it
 * by `random`, so that clients that failed together do not come together. */
uint64_t yoi_sdk_retry_backoff(uint32_t attempt, uint64_t base_ms,
                               uint64_t max_ms, uint32_t random);
/* A wait that is a minimum, plus up to a quarter of it, at most max_more. */
uint64_t yoi_sdk_retry_spread(uint64_t ms, uint64_t max_more, uint32_t random);

/* Seconds since 1970 of an HTTP-date (RFC 9110, 5.6.7: the fixed form and
 * both obsolete ones, years 1970 to 9999). 0 when it is none. */
int yoi_sdk_http_date(yoi_str s, uint64_t *out_seconds);

#ifdef __cplusplus
}
#endif
#endif
