/* wait.c - before a request is sent, and after one failed.
 *
 * A provider that answers 429 means all of us, not the one request that it
 * happened to refuse. So an instance has one gate: a point in time before
 * which nothing is sent, set by every 429, checked before every send. What
 * the provider named as Retry-After is the least that is waited; each stream
 * adds a little of its own, or all would come back in the same millisecond.
 *
 * Retries are for failures that may pass, while nothing was handed out, at
 * most config.retries of them, and never past the deadline of the request: a
 * wait that would not end in time is reported at once, with what it was for.
 *
 * The gate is closed for at most YOI_MODEL_RETRY_AFTER_MAX_MS at a time: a
 * provider that asked for an hour is asked again after a minute, by one.
 */
#include "oai.h"

#include <sdk/id.h>
#include <sdk/retry.h>

#define NS_PER_MS 1000000u
#define SPREAD_MS 1000 /* the most that is added to a wait that is a minimum */

static uint64_t now_ns(const struct oai_instance *i) {
  return i->clock->monotonic_ns(i->host);
}

static uint32_t random32(void) {
  uint32_t r = 0;
  (void)yoi_sdk_random(&r, sizeof r); /* without: all wait alike */
  return r;
}

void oai_log(const struct oai_instance *i, uint32_t level, const char *msg, const char *kind,
             uint32_t status, uint64_t wait_ms) {
  char number[2][24];
  yoi_log_field fields[3] = {{YOI_LIT("kind"), yoi_sdk_str(kind)}};
  size_t n = 1;
  if (!i->log) return;
  if (status) {
    snprintf(number[0], sizeof number[0], "%u", status);
    fields[n++] = (yoi_log_field){YOI_LIT("status"), yoi_sdk_str(number[0])};
  }
  if (wait_ms) {
    snprintf(number[1], sizeof number[1], "%llu", (unsigned long long)wait_ms);
    fields[n++] = (yoi_log_field){YOI_LIT("wait_ms"), yoi_sdk_str(number[1])};
  }
  i->log->write(i->host, level, yoi_sdk_str(msg), (yoi_str){0}, fields, n);
}

static void on_timer(void *ctx) {
  struct oai_stream *s = ctx;
  s->timer = 0;
  oai_wait_begin(s);
}

/* 0: the wait would end past the deadline, or there is no timer. */
static int wait_until(struct oai_stream *s, uint64_t at_ns) {
  const struct oai_instance *i = s->instance;
  if (s->deadline_ns && at_ns >= s->deadline_ns) return 0;
  if (i->loop->timer(i->host, at_ns, on_timer, s, &s->timer) != YOI_OK) return 0;
  s->state = OAI_WAITING;
  return 1;
}

static void fail_limited(struct oai_stream *s, uint64_t ms) {
  oai_failure_set(&s->failure, "rate_limited", "waiting for the provider's rate limit");
  s->failure.retry_after_ms = (uint32_t)ms;
  oai_stream_end(s, YOI_UNAVAILABLE);
}

void oai_wait_begin(struct oai_stream *s) {
  struct oai_instance *i = s->instance;
  const char *name = oai_models_name(s);
  if (!name) return;
  if (!s->named) {
    s->named = 1;
    oai_request_end(&s->body, name);
  }
  if (s->body.failed) {
    oai_failure_set(&s->failure, "too_large", "the request passed its limit");
    oai_stream_end(s, YOI_UNAVAILABLE);
    return;
  }
  uint64_t now = now_ns(i), gate = atomic_load(&i->gate_ns);
  if (gate <= now) {
    oai_stream_send(s);
    return;
  }
  uint64_t ms = (gate - now + NS_PER_MS - 1) / NS_PER_MS;
  uint64_t more = yoi_sdk_retry_spread(ms, SPREAD_MS, random32());
  s->gated_ms += more;
  if (s->gated_ms > 2 * YOI_MODEL_RETRY_AFTER_MAX_MS || !wait_until(s, now + more * NS_PER_MS))
    fail_limited(s, ms);
}

static void close_gate(struct oai_instance *i, uint64_t until) {
  uint64_t have = atomic_load(&i->gate_ns);
  while (have < until && !atomic_compare_exchange_weak(&i->gate_ns, &have, until)) {
  }
}

void oai_wait_failed(struct oai_stream *s) {
  struct oai_instance *i = s->instance;
  struct oai_failure *f = &s->failure;
  uint64_t now = now_ns(i);
  uint64_t ms = f->has_wait ? f->retry_after_ms
                            : yoi_sdk_retry_backoff(s->attempt, YOI_MODEL_BACKOFF_MS,
                                                    YOI_MODEL_BACKOFF_MAX_MS, random32());
  if (f->limited) {
    uint64_t shut = ms < YOI_MODEL_RETRY_AFTER_MAX_MS ? ms : YOI_MODEL_RETRY_AFTER_MAX_MS;
    close_gate(i, now + shut * NS_PER_MS);
    if (!f->has_wait) f->retry_after_ms = (uint32_t)shut;
  }
  if (f->has_wait) ms = yoi_sdk_retry_spread(ms, SPREAD_MS, random32());
  if (f->again && !s->answer.emitted && s->attempt < i->config.retries &&
      f->retry_after_ms <= YOI_MODEL_RETRY_AFTER_MAX_MS && wait_until(s, now + ms * NS_PER_MS)) {
    s->attempt++;
    oai_log(i, YOI_LOG_WARN, "model request failed and is sent again", f->kind, f->status, ms);
    return;
  }
  oai_stream_end(s, YOI_UNAVAILABLE);
}
