/* host/isolate/wire.h - every member that crosses to a worker process.
 *
 * The lists stand beside the ABI's structs and are compared with them: a member
 * that is added there and not here does not compile, and one that is here needs
 * its function on both sides, whose names are made from it.
 */
#ifndef YOI__WIRE_H
#define YOI__WIRE_H

#include <yoi/host_clock.h>
#include <yoi/host_grant.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_metrics.h>
#include <yoi/host_mount.h>
#include <yoi/host_net.h>
#include <yoi/host_secret.h>
#include <yoi/model.h>
#include <yoi/policy.h>
#include <yoi/tool.h>

#include "frame.h"

/* ---- requests: M(type, member) --------------------------------------------- */
/* u32, u64, str; strs: an array of texts, whose length is the member behind it,
 * a `count`. size and token are made anew on the other side. */

#define YOI__WIRE_TOOL_REQUEST(M)                                                                \
  M(u32, size)                                                                                   \
  M(u32, reserved) M(u64, deadline_ns) M(u64, token) M(u64, call) M(str, name) M(str, arguments) \
      M(str, worker_id) M(str, idempotency_key) M(str, request_id) M(str, trace)

#define YOI__WIRE_POLICY_REQUEST(M)                                                        \
  M(u32, size)                                                                             \
  M(u32, origin) M(u64, deadline_ns) M(u64, token) M(str, operation) M(str, principal)     \
      M(str, runtime_id) M(str, worker_id) M(str, subject) M(str, body) M(str, request_id) \
          M(str, tool) M(str, plugin) M(str, arguments) M(str, grants) M(u32, tool_flags)  \
              M(u32, asked_again) M(u64, tokens)

#define YOI__WIRE_MODEL_REQUEST(M)                                                              \
  M(u32, size)                                                                                  \
  M(u32, max_output_tokens) M(u64, deadline_ns) M(u64, token) M(str, request_id) M(str, trace)  \
      M(strs, messages) M(count, n_messages) M(str, tools) M(str, parameters) M(str, worker_id) \
          M(str, principal) M(u64, turn_tokens) M(u32, counted) M(u32, reserved)

/* ---- the plugin's tables: M(member) ------------------------------------------ */

#define YOI__WIRE_PLUGIN(M) M(open) M(close) M(start) M(wake)

/* ---- the host's: M(interface, member, where) ------------------------------------ */
/* ASK: the host answers. TELL: it is told. HERE: the worker does it itself. */

#define YOI__WIRE_CLOCK(M) M(clock, monotonic_ns, HERE) M(clock, wall_ns, HERE)
#define YOI__WIRE_LOOP(M)                                                                \
  M(loop, count, HERE)                                                                   \
  M(loop, current, HERE) M(loop, post, HERE) M(loop, watch, HERE) M(loop, rewatch, HERE) \
      M(loop, unwatch, HERE) M(loop, timer, HERE) M(loop, timer_cancel, HERE)
#define YOI__WIRE_LOG(M) M(log, enabled, HERE) M(log, write, TELL)
#define YOI__WIRE_METRICS(M)                                                              \
  M(metrics, counter, ASK)                                                                \
  M(metrics, add, TELL) M(metrics, make, ASK) M(metrics, sub, TELL) M(metrics, set, TELL) \
      M(metrics, observe, TELL)
#define YOI__WIRE_SECRET(M) M(secret, get, ASK) M(secret, refresh, TELL) M(secret, generation, ASK)
#define YOI__WIRE_GRANT(M) M(grant, check, ASK) M(grant, list, ASK) M(grant, value, ASK)
#define YOI__WIRE_MOUNT(M) M(mount, open, ASK)
#define YOI__WIRE_NET(M) M(net, check, ASK) M(net, check_address, ASK)

#define YOI__WIRE_HOST(M)                                                                        \
  YOI__WIRE_CLOCK(M)                                                                             \
  YOI__WIRE_LOOP(M) YOI__WIRE_LOG(M) YOI__WIRE_METRICS(M) YOI__WIRE_SECRET(M) YOI__WIRE_GRANT(M) \
      YOI__WIRE_MOUNT(M) YOI__WIRE_NET(M)

/* What a question or a word is about: YOI__ASK_secret_get. 0 is none. */
#define YOI__WIRE_NUMBER(interface, member, where) YOI__ASK_##interface##_##member,
enum yoi__asked { YOI__ASK_NONE, YOI__WIRE_HOST(YOI__WIRE_NUMBER) YOI__ASK_COUNT };
#undef YOI__WIRE_NUMBER

/* ---- compared with the ABI ----------------------------------------------------- */

typedef uint32_t yoi__wire_u32;
typedef uint64_t yoi__wire_u64;
typedef yoi_str yoi__wire_str;
typedef size_t yoi__wire_count;

struct yoi__wire_texts {
  const yoi_str *all;
};
typedef struct yoi__wire_texts yoi__wire_strs; /* as large as the pointer in it */

#define YOI__WIRE_MEMBER(type, member) yoi__wire_##type member;
#define YOI__WIRE_FN(member) void (*member)(void);
#define YOI__WIRE_HOST_FN(interface, member, where) void (*member)(void);
#define YOI__WIRE_SAME(list, member_of, of, head)                     \
  _Static_assert(sizeof(struct {head list(member_of)}) == sizeof(of), \
                 "a member of " #of " has no wire support")
#define YOI__WIRE_HEAD uint32_t size, second;

YOI__WIRE_SAME(YOI__WIRE_TOOL_REQUEST, YOI__WIRE_MEMBER, yoi_tool_request, );
YOI__WIRE_SAME(YOI__WIRE_POLICY_REQUEST, YOI__WIRE_MEMBER, yoi_policy_request, );
YOI__WIRE_SAME(YOI__WIRE_MODEL_REQUEST, YOI__WIRE_MEMBER, yoi_model_request, );
YOI__WIRE_SAME(YOI__WIRE_PLUGIN, YOI__WIRE_FN, yoi_tool, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_PLUGIN, YOI__WIRE_FN, yoi_policy, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_PLUGIN, YOI__WIRE_FN, yoi_model, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_CLOCK, YOI__WIRE_HOST_FN, yoi_host_clock, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_LOOP, YOI__WIRE_HOST_FN, yoi_host_loop, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_LOG, YOI__WIRE_HOST_FN, yoi_host_log, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_METRICS, YOI__WIRE_HOST_FN, yoi_host_metrics, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_SECRET, YOI__WIRE_HOST_FN, yoi_host_secret, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_GRANT, YOI__WIRE_HOST_FN, yoi_host_grant, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_MOUNT, YOI__WIRE_HOST_FN, yoi_host_mount, YOI__WIRE_HEAD);
YOI__WIRE_SAME(YOI__WIRE_NET, YOI__WIRE_HOST_FN, yoi_host_net, YOI__WIRE_HEAD);

/* ---- crossing ------------------------------------------------------------------- */

void yoi__put_tool_request(struct yoi_sdk_buf *b, const yoi_tool_request *r);
void yoi__put_policy_request(struct yoi_sdk_buf *b, const yoi_policy_request *r);
void yoi__put_model_request(struct yoi_sdk_buf *b, const yoi_model_request *r);
/* Texts point into the body; the model's messages are to be freed by
 * yoi_sdk_free. token is 0. */
void yoi__get_tool_request(struct yoi__reader *in, yoi_tool_request *r);
void yoi__get_policy_request(struct yoi__reader *in, yoi_policy_request *r);
void yoi__get_model_request(struct yoi__reader *in, yoi_model_request *r);

/* EVENTS: a status, its error when it is one, and events. b->failed is
 * OUT_OF_RANGE when the host would not take them: a text of more than
 * YOI_JSON_BYTES_MAX, or YOI__EVENTS_BYTES in all. */
void yoi__put_events(struct yoi_sdk_buf *b, yoi_status st, const yoi_error *err,
                     const yoi_event *const *events, size_t n);
/* In front of the events; *e is filled when the status is an error. */
void yoi__get_events(struct yoi__reader *in, yoi_status *st, yoi_error *e, uint32_t *n);
void yoi__get_event(struct yoi__reader *in, yoi_event *ev);
/* 1: of what a plugin of that kind (YOI_KIND_*) says. */
int yoi__event_fits(uint32_t plugin_kind, const yoi_event *ev);

#endif
