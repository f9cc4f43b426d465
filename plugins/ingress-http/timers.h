/* ingress-http/timers.h - a timer wheel: every connection of a loop has one
 * deadline, and the loop has one timer of the host.
 *
 * The wheel has 1,024 slots of 20 ms. A deadline beyond its 20 s stands in its
 * slot for another round. Moving a deadline later only stores it: the timer is
 * put where it belongs when its old slot comes by, so that keep-alive costs a
 * store per request. Times are milliseconds of CLOCK_MONOTONIC.
 *
 *  1. A timer that is not set is in no list; unset ones may be cancelled.
 *  2. What is due is handed out by http_wheel_take, unset by then; the caller
 *     may set or cancel any timer between two takes.
 *  3. A deadline is never early, and late by one slot at most, plus what the
 *     loop is late.
 */
#ifndef YOI_HTTP_TIMERS_H
#define YOI_HTTP_TIMERS_H

#include <sdk/hard.h>
#include <stdint.h>

#define HTTP_WHEEL_SLOTS YOI_SDK_HARD(1024u, 64u)
#define HTTP_WHEEL_MS 20u

struct http_timer {
  struct http_timer *next, **link; /* link: what points here; NULL: not set */
  uint64_t at_ms;
};

struct http_wheel {
  uint64_t tick; /* the next one to look at, in units of HTTP_WHEEL_MS */
  uint64_t count;
  uint64_t used[HTTP_WHEEL_SLOTS / 64]; /* bit per slot that may have some */
  struct http_timer *slots[HTTP_WHEEL_SLOTS];
  struct http_timer *visiting; /* of the slot that is being looked at */
};

void http_wheel_init(struct http_wheel *w, uint64_t now_ms);
void http_timer_set(struct http_wheel *w, struct http_timer *t, uint64_t at_ms);
void http_timer_cancel(struct http_wheel *w, struct http_timer *t);
/* The next timer that is due at now_ms, NULL when there is none. */
struct http_timer *http_wheel_take(struct http_wheel *w, uint64_t now_ms);
/* When the wheel wants to be looked at; UINT64_MAX: never. */
uint64_t http_wheel_next(const struct http_wheel *w);

#endif
