/* yoi/ops.h - every operation, event kind and public code, as tables.
 *
 * The registry, the ingress, the embedding API, the documentation and the
 * tests are driven by these X-macros, so that each is named in one place.
 * Tables are append only; a number is never used twice.
 */
#ifndef YOI_OPS_H
#define YOI_OPS_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(SYMBOL, number, id, scope, method, /v1 path, /api path, HTTP status,
 *   idempotent)
 * scope: RUNTIME is answered by a runtime, HOST by the host (runtime id
 * empty). A path is "" where the surface has no such route. {rid} is the
 * runtime id, {id} the worker id, {sub} the request's `subject`.
 * idempotent: YES, or KEY when only an idempotency key (or a worker_id
 * chosen by the caller) makes a repetition harmless.
 */
#define YOI_OPS(X)                                                            \
  X(RUNTIME_DESCRIBE, 1, "runtime.describe", RUNTIME, "GET", "/v1/runtime",   \
    "", 200, YES)                                                             \
  X(WORKER_CREATE, 2, "worker.create", RUNTIME, "POST", "/v1/workers",        \
    "/api/runtimes/{rid}/workers", 201, KEY)                                  \
  X(WORKER_LIST, 3, "worker.list", RUNTIME, "GET", "/v1/workers",             \
    "/api/runtimes/{rid}/workers", 200, YES)                                  \
  X(WORKER_GET, 4, "worker.get", RUNTIME, "GET", "/v1/workers/{id}",          \
    "/api/runtimes/{rid}/workers/{id}", 200, YES)                             \
  X(WORKER_INPUT, 5, "worker.input", RUNTIME, "POST",                         \
    "/v1/workers/{id}/input", "/api/runtimes/{rid}/workers/{id}/input", 202,  \
    KEY)                                                                      \
  X(WORKER_CANCEL, 6, "worker.cancel", RUNTIME, "POST",                       \
    "/v1/workers/{id}/cancel", "/api/runtimes/{rid}/workers/{id}/cancel",     \
    202, YES)                                                                 \
  X(WORKER_STOP, 7, "worker.stop", RUNTIME, "POST", "/v1/workers/{id}/stop",  \
    "/api/runtimes/{rid}/workers/{id}/stop", 202, YES)                        \
  X(WORKER_DELETE, 8, "worker.delete", RUNTIME, "DELETE", "/v1/workers/{id}", \
    "/api/runtimes/{rid}/workers/{id}", 204, YES)                             \
  X(WORKER_TRANSCRIPT, 9, "worker.transcript", RUNTIME, "GET",                \
    "/v1/workers/{id}/transcript",                                            \
    "/api/runtimes/{rid}/workers/{id}/transcript", 200, YES)                  \
  X(WORKER_EVENTS, 10, "worker.events", RUNTIME, "GET",                       \
    "/v1/workers/{id}/events", "/api/runtimes/{rid}/workers/{id}/events",     \
    200, YES)                                                                 \
  X(WORKER_APPROVALS, 11, "worker.approvals", RUNTIME, "GET",                 \
    "/v1/workers/{id}/approvals",                                             \
    "/api/runtimes/{rid}/workers/{id}/approvals", 200, YES)                   \
  X(WORKER_APPROVE, 12, "worker.approve", RUNTIME, "POST",                    \
    "/v1/workers/{id}/approvals/{sub}",                                       \
    "/api/runtimes/{rid}/workers/{id}/approvals/{sub}", 200, YES)             \
  X(BUNDLE_PUT, 13, "bundle.put", RUNTIME, "PUT", "/v1/config-bundles/{sub}", \
    "", 200, YES)                                                             \
  X(BUNDLE_HAVE, 14, "bundle.have", RUNTIME, "HEAD",                          \
    "/v1/config-bundles/{sub}", "", 200, YES)                                 \
  X(BUNDLE_GET, 15, "bundle.get", RUNTIME, "GET", "/v1/config-bundles/{sub}", \
    "", 200, YES)                                                             \
  X(BUNDLE_LIST, 16, "bundle.list", RUNTIME, "GET", "/v1/config-bundles", "", \
    200, YES)                                                                 \
  X(BUNDLE_DELETE, 17, "bundle.delete", RUNTIME, "DELETE",                    \
    "/v1/config-bundles/{sub}", "", 204, YES)                                 \
  X(HOST_READY, 18, "host.ready", HOST, "GET", "/readyz", "/readyz", 200,     \
    YES)                                                                      \
  X(HOST_METRICS, 19, "host.metrics", HOST, "GET", "/metrics", "/metrics",    \
    200, YES)                                                                 \
  X(HOST_RUNTIMES, 20, "host.runtimes", HOST, "GET", "", "/api/runtimes",     \
    200, YES)                                                                 \
  X(HOST_RUNTIME, 21, "host.runtime", HOST, "GET", "", "/api/runtimes/{rid}", \
    200, YES)                                                                 \
  X(HOST_WORKERS, 22, "host.workers", HOST, "GET", "", "/api/workers", 200,   \
    YES)                                                                      \
  X(HOST_BUNDLES, 23, "host.bundles", HOST, "GET", "", "/api/config-bundles", \
    200, YES)                                                                 \
  X(HOST_BUNDLE_STATUS, 24, "host.bundle_status", HOST, "GET", "",            \
    "/api/runtimes/{rid}/config-bundles", 200, YES)                           \
  X(HOST_BUNDLE_SYNC, 25, "host.bundle_sync", HOST, "POST", "",               \
    "/api/runtimes/{rid}/config-bundles/{sub}/sync", 200, YES)

/* The members of an operation's `body` and where they stand over HTTP.
 * X(OPERATION, name, type, place, minimum, maximum)
 * type: STRING (minimum and maximum are bytes), INTEGER (inclusive values),
 * OBJECT, ARRAY, CONTENT (a string or an array of text parts).
 * place: BODY, or QUERY (the ingress makes the member from the query).
 * An operation that is not listed takes no body. A member that is not listed
 * is refused as invalid_request. host.runtime, host.bundle_status and
 * host.bundle_sync name their runtime in the member runtime_id, which HTTP
 * has in the path: place PATH.
 */
#define YOI_OP_FIELDS(X)                                      \
  X(WORKER_CREATE, "worker_id", STRING, BODY, 1, 64)          \
  X(WORKER_CREATE, "display_name", STRING, BODY, 1, 256)      \
  X(WORKER_CREATE, "intent", OBJECT, BODY, 0, 4096)           \
  X(WORKER_CREATE, "profile", OBJECT, BODY, 0, 0)             \
  X(WORKER_CREATE, "config_bundle", OBJECT, BODY, 0, 0)       \
  X(WORKER_CREATE, "requested_capabilities", ARRAY, BODY, 0, 64) \
  X(WORKER_CREATE, "workspace", STRING, BODY, 1, 64)          \
  X(WORKER_LIST, "limit", INTEGER, QUERY, 1, 256)             \
  X(WORKER_LIST, "after", STRING, QUERY, 1, 64)               \
  X(WORKER_LIST, "state", STRING, QUERY, 1, 32)               \
  X(WORKER_INPUT, "content", CONTENT, BODY, 0, 0)             \
  X(WORKER_INPUT, "kind", STRING, BODY, 1, 16)                \
  X(WORKER_INPUT, "on_busy", STRING, BODY, 1, 16)             \
  X(WORKER_CANCEL, "reason", STRING, BODY, 1, 1024)           \
  X(WORKER_STOP, "reason", STRING, BODY, 1, 1024)             \
  X(WORKER_TRANSCRIPT, "start", INTEGER, QUERY, 0, 9007199254740991) \
  X(WORKER_TRANSCRIPT, "limit", INTEGER, QUERY, 1, 256)       \
  X(WORKER_EVENTS, "cursor", STRING, QUERY, 1, 160)           \
  X(WORKER_APPROVE, "decision", STRING, BODY, 1, 16)          \
  X(WORKER_APPROVE, "reason", STRING, BODY, 1, 1024)          \
  X(BUNDLE_LIST, "limit", INTEGER, QUERY, 1, 256)             \
  X(BUNDLE_LIST, "after", STRING, QUERY, 1, 80)               \
  X(HOST_RUNTIME, "runtime_id", STRING, PATH, 1, 64)          \
  X(HOST_WORKERS, "limit", INTEGER, QUERY, 1, 256)            \
  X(HOST_BUNDLE_STATUS, "runtime_id", STRING, PATH, 1, 64)    \
  X(HOST_BUNDLE_SYNC, "runtime_id", STRING, PATH, 1, 64)

/* X(SYMBOL, number, name, HTTP status, yoi_status, retryable 0 or 1) */
#define YOI_CODES(X)                                                          \
  X(INVALID_REQUEST, 1, "invalid_request", 400, YOI_INVALID_ARGUMENT, 0)      \
  X(INVALID_JSON, 2, "invalid_json", 400, YOI_INVALID_ARGUMENT, 0)            \
  X(INVALID_IDENTIFIER, 3, "invalid_identifier", 400, YOI_INVALID_ARGUMENT,   \
    0)                                                                        \
  X(LIMIT_TOO_LARGE, 4, "limit_too_large", 400, YOI_OUT_OF_RANGE, 0)          \
  X(UNAUTHORIZED, 5, "unauthorized", 401, YOI_UNAUTHENTICATED, 0)             \
  X(POLICY_DENIED, 6, "policy_denied", 403, YOI_PERMISSION_DENIED, 0)         \
  X(ORIGIN_DENIED, 7, "origin_denied", 403, YOI_PERMISSION_DENIED, 0)         \
  X(RUNTIME_NOT_FOUND, 8, "runtime_not_found", 404, YOI_NOT_FOUND, 0)         \
  X(WORKER_NOT_FOUND, 9, "worker_not_found", 404, YOI_NOT_FOUND, 0)           \
  X(BUNDLE_NOT_FOUND, 10, "bundle_not_found", 404, YOI_NOT_FOUND, 0)          \
  X(APPROVAL_NOT_FOUND, 11, "approval_not_found", 404, YOI_NOT_FOUND, 0)      \
  X(NOT_FOUND, 12, "not_found", 404, YOI_NOT_FOUND, 0)                        \
  X(METHOD_NOT_ALLOWED, 13, "method_not_allowed", 405, YOI_UNIMPLEMENTED, 0)  \
  X(REQUEST_TIMEOUT, 14, "request_timeout", 408, YOI_DEADLINE_EXCEEDED, 1)    \
  X(WORKER_BUSY, 15, "worker_busy", 409, YOI_FAILED_PRECONDITION, 1)          \
  X(WORKER_STOPPED, 16, "worker_stopped", 409, YOI_FAILED_PRECONDITION, 0)    \
  X(WORKER_CONFLICT, 17, "worker_conflict", 409, YOI_ALREADY_EXISTS, 0)       \
  X(IDEMPOTENCY_CONFLICT, 18, "idempotency_conflict", 409,                    \
    YOI_ALREADY_EXISTS, 0)                                                    \
  X(BUNDLE_IN_USE, 19, "bundle_in_use", 409, YOI_FAILED_PRECONDITION, 0)      \
  X(BUNDLE_REQUIRED, 20, "bundle_required", 409, YOI_FAILED_PRECONDITION, 0)  \
  X(WORKER_NOT_STOPPED, 21, "worker_not_stopped", 409,                        \
    YOI_FAILED_PRECONDITION, 0)                                               \
  X(CURSOR_EXPIRED, 22, "cursor_expired", 410, YOI_OUT_OF_RANGE, 0)           \
  X(PAYLOAD_TOO_LARGE, 23, "payload_too_large", 413, YOI_RESOURCE_EXHAUSTED,  \
    0)                                                                        \
  X(UNSUPPORTED_MEDIA_TYPE, 24, "unsupported_media_type", 415,                \
    YOI_INVALID_ARGUMENT, 0)                                                  \
  X(BUNDLE_DIGEST_MISMATCH, 25, "bundle_digest_mismatch", 422,                \
    YOI_INVALID_ARGUMENT, 0)                                                  \
  X(BUNDLE_INVALID, 26, "bundle_invalid", 422, YOI_INVALID_ARGUMENT, 0)       \
  X(BUNDLE_FORBIDDEN_CONTENT, 27, "bundle_forbidden_content", 422,            \
    YOI_INVALID_ARGUMENT, 0)                                                  \
  X(INVALID_PROFILE, 28, "invalid_profile", 422, YOI_INVALID_ARGUMENT, 0)     \
  X(UNSUPPORTED_DECLARATION, 29, "unsupported_declaration", 422,              \
    YOI_INVALID_ARGUMENT, 0)                                                  \
  X(GRANT_MISSING, 30, "grant_missing", 422, YOI_PERMISSION_DENIED, 0)        \
  X(RATE_LIMITED, 31, "rate_limited", 429, YOI_RESOURCE_EXHAUSTED, 1)         \
  X(QUEUE_FULL, 32, "queue_full", 429, YOI_RESOURCE_EXHAUSTED, 1)             \
  X(LIMIT_REACHED, 33, "limit_reached", 429, YOI_RESOURCE_EXHAUSTED, 1)       \
  X(HEADER_TOO_LARGE, 34, "header_too_large", 431, YOI_RESOURCE_EXHAUSTED, 0) \
  X(INTERNAL, 35, "internal", 500, YOI_INTERNAL, 0)                           \
  X(STORE_ERROR, 36, "store_error", 500, YOI_INTERNAL, 1)                     \
  X(STORE_CORRUPT, 37, "store_corrupt", 500, YOI_DATA_LOSS, 0)                \
  X(UNSUPPORTED_OPERATION, 38, "unsupported_operation", 501,                  \
    YOI_UNIMPLEMENTED, 0)                                                     \
  X(REMOTE_MALFORMED, 39, "remote_malformed", 502, YOI_UNAVAILABLE, 1)        \
  X(MODEL_ERROR, 40, "model_error", 502, YOI_UNAVAILABLE, 0)                  \
  X(RUNTIME_UNAVAILABLE, 41, "runtime_unavailable", 503, YOI_UNAVAILABLE, 1)  \
  X(SHUTTING_DOWN, 42, "shutting_down", 503, YOI_UNAVAILABLE, 1)              \
  X(TIMEOUT, 43, "timeout", 504, YOI_DEADLINE_EXCEEDED, 1)

/* X(SYMBOL, number, name, class)
 * class: CONTROL (answers and framing), DURABLE (a record of the history),
 * LIVE (a frame of the turn's buffer), MODEL (of yoi.model/1 only). The name
 * of a CONTROL, DURABLE or LIVE kind is its `event:` field over HTTP; result
 * never reaches a stream there.
 */
#define YOI_EVENTS(X)                                              \
  X(RESULT, 1, "result", CONTROL)                                  \
  X(ACK, 2, "ack", CONTROL)                                        \
  X(SNAPSHOT, 3, "snapshot", CONTROL)                              \
  X(END, 4, "end", CONTROL)                                        \
  X(WORKER_CREATED, 16, "worker.created", DURABLE)                 \
  X(INPUT_ACCEPTED, 17, "input.accepted", DURABLE)                 \
  X(TURN_STARTED, 18, "turn.started", DURABLE)                     \
  X(MESSAGE_COMPLETED, 19, "message.completed", DURABLE)           \
  X(TOOL_REQUESTED, 20, "tool.requested", DURABLE)                 \
  X(TOOL_APPROVAL_REQUESTED, 21, "tool.approval_requested", DURABLE) \
  X(TOOL_APPROVAL_RESOLVED, 22, "tool.approval_resolved", DURABLE) \
  X(TOOL_STARTED, 23, "tool.started", DURABLE)                     \
  X(TOOL_COMPLETED, 24, "tool.completed", DURABLE)                 \
  X(POLICY_DECIDED, 25, "policy.decided", DURABLE)                 \
  X(TURN_CANCEL_REQUESTED, 26, "turn.cancel_requested", DURABLE)   \
  X(TURN_ENDED, 27, "turn.ended", DURABLE)                         \
  X(WORKER_STOPPED, 28, "worker.stopped", DURABLE)                 \
  X(DIAGNOSTIC, 29, "diagnostic", DURABLE)                         \
  X(TEXT_DELTA, 48, "text.delta", LIVE)                            \
  X(REASONING_DELTA, 49, "reasoning.delta", LIVE)                  \
  X(TOOL_PROGRESS, 50, "tool.progress", LIVE)                      \
  X(USAGE_UPDATED, 51, "usage.updated", LIVE)                      \
  X(MODEL_TEXT, 64, "model.text", MODEL)                           \
  X(MODEL_REASONING, 65, "model.reasoning", MODEL)                 \
  X(MODEL_TOOL_CALL, 66, "model.tool_call", MODEL)                 \
  X(MODEL_USAGE, 67, "model.usage", MODEL)                         \
  X(MODEL_FINISH, 68, "model.finish", MODEL)

/* How a turn ends. X(state, reason) */
#define YOI_TURN_ENDS(X)            \
  X("completed", "stop")            \
  X("completed", "length")          \
  X("completed", "content_filter")  \
  X("failed", "model_error")        \
  X("failed", "step_limit")         \
  X("failed", "time_limit")         \
  X("failed", "token_limit")        \
  X("failed", "tool_output_limit")  \
  X("failed", "store_error")        \
  X("failed", "internal")           \
  X("cancelled", "cancel_requested") \
  X("cancelled", "worker_stopped")  \
  X("cancelled", "shutting_down")   \
  X("interrupted", "host_restarted")

/* turn.error.details.kind of a model_error. X(name, retryable 0 or 1) */
#define YOI_MODEL_ERRORS(X) \
  X("connect", 1)           \
  X("tls", 0)               \
  X("first_byte_timeout", 1) \
  X("stalled", 1)           \
  X("total_timeout", 1)     \
  X("closed", 1)            \
  X("malformed", 0)         \
  X("too_large", 0)         \
  X("unauthorized", 0)      \
  X("not_found", 0)         \
  X("invalid_request", 0)   \
  X("rate_limited", 1)      \
  X("quota", 0)             \
  X("overloaded", 1)        \
  X("server_error", 1)

/* The constants: YOI_OP_*, YOI_CODE_*, YOI_EV_*; anonymous, since no enum
 * type stands in the ABI. */
#define YOI__OP(sym, num, id, scope, m, v1, api, http, idem) \
  YOI_OP_##sym = (num),
enum { YOI_OPS(YOI__OP) YOI_OP__END };
#undef YOI__OP
#define YOI__CODE(sym, num, name, http, status, retry) YOI_CODE_##sym = (num),
enum { YOI_CODES(YOI__CODE) YOI_CODE__END };
#undef YOI__CODE
#define YOI__EVENT(sym, num, name, cls) YOI_EVENT_##sym = (num),
enum { YOI_EVENTS(YOI__EVENT) YOI_EVENT__END };
#undef YOI__EVENT

#ifdef __cplusplus
}
#endif
#endif
