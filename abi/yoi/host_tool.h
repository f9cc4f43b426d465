/* yoi/host_tool.h - "yoi.host.tool/1": for runtimes. Since 1.4.
 *
 *   find      what a profile asks for, and what a model is offered
 *   decide    may this call run? Nothing has happened when it returns
 *   start     runs it. It asks everything once more: there is no other way
 *
 * Between decide and start a runtime writes down that the call starts.
 *
 *  1. Both look, in this order: is the tool there; do the arguments fit its
 *     schema; are the call's grants there, on this host, now; what do the
 *     layers of policy say: the host's, and of the request the bundle's and
 *     the profile's. The strictest wins, so a request can only restrict; the
 *     silence of the host's layer is deny.
 *  2. The host's layer is its policies. Without any, a tool that is read-only
 *     is allowed, and another is asked for.
 *  3. start of a call that is to be asked for wants `approval`; it satisfies
 *     ask and nothing else, and stands in the audit log.
 */
#ifndef YOI_HOST_TOOL_H
#define YOI_HOST_TOOL_H

#include <yoi/tool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_TOOL_ID "yoi.host.tool/1"

/* In the order of strictness. */
#define YOI_VERDICT_ABSTAIN 0u
#define YOI_VERDICT_ALLOW 1u
#define YOI_VERDICT_ASK 2u
#define YOI_VERDICT_DENY 3u

typedef struct yoi_tool_info {
  uint32_t size;
  uint32_t flags;  /* YOI_TOOL_* */
  uint32_t max_ms; /* of a call: after that it is cancelled */
  uint32_t reserved;
  yoi_str name;
  yoi_str plugin; /* its id */
  yoi_str version;
  yoi_str digest; /* of the file; empty when it is linked into the program */
  yoi_str description;
  yoi_str parameters; /* JSON Schema, one line */
  yoi_str grants;     /* JSON array: the kinds that it needs, ["mount"] */
} yoi_tool_info;

typedef struct yoi_tool_call {
  uint32_t size;
  uint32_t flags;       /* YOI_TOOL_CALL_* */
  uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: max_ms from now */
  uint64_t token;       /* of the holder, for the stream */
  yoi_str plugin;       /* id */
  yoi_str name;         /* of the tool */
  yoi_str arguments;    /* JSON, as the model wrote it */
  yoi_str worker_id;
  yoi_str call_id;         /* the model's; unique in its turn */
  yoi_str idempotency_key; /* see yoi/tool.h */
  yoi_str principal;       /* whose input began the turn */
  yoi_str grants;          /* JSON array: ["mount:workspace:ro"]; or empty */
  yoi_str approval;        /* id of the approval that allows it; or empty */
  yoi_str approved_by;     /* the principal that gave it */
  yoi_str request_id;
  yoi_str trace;
  uint32_t bundle_verdict; /* YOI_VERDICT_* of the spec's layers */
  uint32_t profile_verdict;
} yoi_tool_call;

/* decide said of this call before that it may run, and was counted. */
#define YOI_TOOL_CALL_DECIDED 1u

/* Texts are NUL-terminated; an empty plugin is the host itself, or the layer
 * that `rule` names. */
typedef struct yoi_tool_decision {
  uint32_t size;
  uint32_t verdict; /* YOI_VERDICT_ALLOW, _ASK, _DENY */
  char plugin[136];
  char rule[72];
  char reason[264];
} yoi_tool_decision;

typedef struct yoi_host_tool {
  uint32_t size;
  uint32_t reserved;
  /* [any] Texts are the host's, valid as long as it is. NOT_FOUND: no plugin
   * of that id, or no such tool in it. An empty plugin: the only one that has
   * a tool of that name. */
  yoi_status (*find)(const yoi_host *h, yoi_str plugin, yoi_str name,
                     yoi_tool_info *out, yoi_error *err);
  /* [any] OK: *out says allow, ask or deny. INVALID_ARGUMENT: the arguments
   * do not fit; `message` tells the model why. NOT_FOUND: no such tool. */
  yoi_status (*decide)(const yoi_host *h, const yoi_tool_call *call,
                       yoi_tool_decision *out, yoi_error *err);
  /* [loop] The stream stays on this loop. PERMISSION_DENIED: policy or a grant
   * forbids it. FAILED_PRECONDITION: a person has to be asked. Else as decide.
   * Nothing of the tool has run when it is an error. */
  yoi_status (*start)(const yoi_host *h, const yoi_tool_call *call,
                      yoi_stream **out, yoi_error *err);
} yoi_host_tool;

#ifdef __cplusplus
}
#endif
#endif
