/* policy.c - a policy that allows, and how each promise of policies is broken. */
#include <yoi/policy.h>

#include "common.h"

#include <sdk/stream.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define BREAKS(X)                                                                             \
  X(none) X(policy_decision) X(policy_ready) X(policy_same_answer) X(policy_operations)       \
  X(policy_hostile) X(policy_threads) X(policy_decision_twice) X(policy_decision_error)
enum { BREAKS(ENUM) };

/* An answer that comes with the second next, or twice, or with an error behind it. */
struct late {
  yoi_stream head;
  yoi_stream *inner;
  const yoi_host *host;
  uint64_t token;
  int asked;
  const yoi_event *const *events;
  size_t n;
};

static yoi_status late_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                            yoi_error *err) {
  struct late *l = (struct late *)(void *)s;
  l->asked++;
  if (IS(policy_decision_error) && l->asked > 1)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "that was not all");
  if (IS(policy_decision_twice) && l->asked == 2) {
    *out = l->events;
    *out_n = l->n;
    return YOI_OK;
  }
  if (!IS(policy_ready) || l->asked > 1) {
    yoi_status st = l->inner->ops->next(l->inner, out, out_n, err);
    if (st == YOI_OK) l->events = *out, l->n = *out_n;
    return st;
  }
  l->host->wake(l->host, l->token);
  return YOI_AGAIN;
}

static void late_cancel(yoi_stream *s) {
  struct late *l = (struct late *)(void *)s;
  l->inner->ops->cancel(l->inner);
}

static void late_release(yoi_stream *s) {
  struct late *l = (struct late *)(void *)s;
  if (l) l->inner->ops->release(l->inner);
  free(l);
}

static const yoi_stream_ops late_ops = {
    .size = sizeof late_ops, .next = late_next, .cancel = late_cancel, .release = late_release};

static yoi_stream *delay(const yoi_host *host, const yoi_policy_request *req, yoi_stream *inner) {
  struct late *l = calloc(1, sizeof *l);
  if (!l || !inner) {
    free(l);
    return inner;
  }
  *l = (struct late){.head = {&late_ops}, .inner = inner, .host = host, .token = req->token};
  return &l->head;
}

struct self {
  const yoi_host *host;
  _Atomic unsigned calls, inside;
};

static yoi_status policy_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  struct self *p = calloc(1, sizeof *p);
  (void)config;
  if (!p) return yoi_sdk_fail_memory(err);
  p->host = host;
  *out_self = p;
  return YOI_OK;
}

static void policy_close(void *self) {
  free(self);
}

static yoi_status policy_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                               yoi_error *err) {
  struct self *p = self;
  yoi_policy_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  req = &whole;
  unsigned n = atomic_fetch_add(&p->calls, 1u);
  yoi_str answer = YOI_LIT("{\"decision\":\"allow\",\"rule\":\"all\"}");
  if (IS(policy_threads)) {
    if (atomic_fetch_add(&p->inside, 1u) != 0) abort();
    usleep(1); /* so that another thread comes meanwhile */
    atomic_fetch_sub(&p->inside, 1u);
  }
  if (IS(policy_decision)) answer = YOI_LIT("{\"decision\":\"maybe\"}");
  if (IS(policy_same_answer) && n % 2 == 0) answer = YOI_LIT("{\"decision\":\"deny\"}");
  if (IS(policy_operations) && yoi_sdk_str_is(req->operation, "worker.stop"))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "it has not heard of that");
  if (IS(policy_hostile) && req->body.len && req->body.ptr[req->body.len - 1] != '}')
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "that is no object");
  *out = yoi_sdk_stream_one(answer, 0);
  if (!*out) return yoi_sdk_fail_memory(err);
  if (IS(policy_ready) || IS(policy_decision_twice) || IS(policy_decision_error))
    *out = delay(p->host, req, *out);
  return YOI_OK;
}

static const yoi_policy policy_table = {.size = sizeof policy_table,
                                        .thread_model = YOI_PARALLEL,
                                        .open = policy_open,
                                        .close = policy_close,
                                        .start = policy_start};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.broken", "1.0.0", YOI_KIND_POLICY, YOI_POLICY_ID, policy_table);
