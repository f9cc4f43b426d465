/* yoi/policy.h - "yoi.policy/1": decides whether somebody may do something.
 * Since 1.3.
 *
 * The host asks before it routes an operation. One stream is one decision: a
 * RESULT with one JSON object, then END:
 *
 *   { "decision": "allow" | "deny" | "ask" | "abstain",
 *     "rule": "who-may-stop",      optional: which of its rules says so
 *     "reason": "for a person" }   optional
 *
 *  1. Of all policies of a host the strictest wins: deny, ask, allow. When all
 *     abstain it is deny. `ask` is for what a person can be asked about; for
 *     the operations of ops.h it is deny.
 *  2. A decision about an operation of ops.h is ready inside start: next is
 *     asked once. AGAIN, an error, a text of another form, and an answer behind
 *     the deadline (YOI_POLICY_DEADLINE_MS) are deny.
 *  3. The same question has the same answer, unless the policy counts (rates,
 *     budgets): what it is told is all that it may decide on.
 *  4. The manifest names the operations that the policy knows, in the member
 *     "operations": names of ops.h, a beginning of them such as "worker.*", or
 *     "*". A host refuses a policy that leaves one out that it asks about, so
 *     that an operation of a later version is never let through by a policy
 *     that has not heard of it.
 */
#ifndef YOI_POLICY_H
#define YOI_POLICY_H

#include <yoi/host.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_POLICY_ID "yoi.policy/1"

/* Borrowed until start returns. Texts that are not known are empty. */
typedef struct yoi_policy_request {
  uint32_t size;
  uint32_t origin;      /* YOI_ORIGIN_* of request.h */
  uint64_t deadline_ns; /* CLOCK_MONOTONIC; then it is deny */
  uint64_t token;       /* 0: nobody waits for a wake */
  yoi_str operation;    /* the name in ops.h: "worker.stop" */
  yoi_str principal;    /* never empty */
  yoi_str runtime_id;   /* empty: an operation of the host itself */
  yoi_str worker_id;
  yoi_str subject;      /* as in yoi_request */
  yoi_str body;         /* the same: what the caller sent, not validated */
  yoi_str request_id;
} yoi_policy_request;

typedef struct yoi_policy {
  uint32_t size;
  uint32_t thread_model; /* YOI_PARALLEL */
  /* [main] */
  yoi_status (*open)(const yoi_host *host, yoi_str config, void **out_self,
                     yoi_error *err);
  /* [main] As of a runtime. */
  void (*close)(void *self);
  /* [any & open] */
  yoi_status (*start)(void *self, const yoi_policy_request *req,
                      yoi_stream **out, yoi_error *err);
  /* [any & open] NULL when the policy holds no streams. */
  void (*wake)(void *self, uint64_t cookie);
} yoi_policy;

#ifdef __cplusplus
}
#endif
#endif
