/* host/request.c - what every request must be before anything else sees it.
 *
 * Checked here: what the host itself relies on, and what is the same for each
 * runtime: the operation and its scope, ids, who asks, hops, sizes. The
 * members of the body are the runtime's business.
 */
#include <sdk/id.h>
#include <string.h>

#include "registry.h"

/* Per operation: its scope, and what its paths name. */
#define HOST_SCOPE 1u /* answered by the host */
#define WORKER 2u     /* names a worker */
#define SUBJECT 4u    /* names a bundle, an approval or an artefact */

#define SCOPE_RUNTIME 0u
#define SCOPE_HOST HOST_SCOPE

static uint32_t needs(uint32_t op) {
#define ROW(sym, num, id, scope, method, v1, api, http, idem) [num] = SCOPE_##scope,
  static const uint8_t scopes[YOI_OP__END] = {YOI_OPS(ROW)};
#undef ROW
#define ROW(sym, num, id, scope, method, v1, api, http, idem) [num] = v1 api,
  static const char *const paths[YOI_OP__END] = {YOI_OPS(ROW)};
#undef ROW
  uint32_t n = scopes[op];
  if (strstr(paths[op], "{id}")) n |= WORKER;
  if (strstr(paths[op], "{sub}")) n |= SUBJECT;
  return n;
}

static yoi_status invalid(yoi_error *err, const char *what) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s", what);
}

/* Printable text without blanks, as principals and subjects are. */
static int visible(yoi_str s, size_t max) {
  if (s.len == 0 || s.len > max) return 0;
  for (size_t i = 0; i < s.len; i++)
    if (s.ptr[i] <= ' ' || s.ptr[i] > '~') return 0;
  return 1;
}

static yoi_status check_ids(const yoi_request *r, yoi_str runtime_id, uint32_t need,
                            yoi_error *err) {
  if ((need & HOST_SCOPE) == 0 && !yoi_sdk_id_valid(runtime_id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the runtime id is not valid");
  if ((need & WORKER) != 0 && !yoi_sdk_id_valid(r->worker_id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the worker id is not valid");
  if ((need & WORKER) == 0 && r->worker_id.len > 0)
    return invalid(err, "this operation is about no worker");
  if ((need & SUBJECT) != 0 && !visible(r->subject, YOI_PRINCIPAL_MAX))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the subject is not valid");
  if ((need & SUBJECT) == 0 && r->subject.len > 0)
    return invalid(err, "this operation has no subject");
  return YOI_OK;
}

yoi_status yoi__request_check(const yoi_request *r, yoi_str runtime_id, yoi_error *err) {
  if (r->op == 0 || r->op >= YOI_OP__END)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "there is no operation %u", r->op);
  uint32_t need = needs(r->op);
  if ((need & HOST_SCOPE) != 0 && runtime_id.len > 0)
    return invalid(err, "this operation is about no runtime");
  yoi_status st = check_ids(r, runtime_id, need, err);
  if (st != YOI_OK) return st;
  if (r->origin < YOI_ORIGIN_EMBED || r->origin > YOI_ORIGIN_BROWSER)
    return invalid(err, "the origin is not known");
  if ((r->flags & ~(YOI_REQ_FOLLOW | YOI_REQ_ONCE | YOI_REQ_WORKSPACE)) != 0 || r->reserved != 0)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the request has unknown flags");
  if ((r->flags & YOI_REQ_FOLLOW) != 0 && r->op != YOI_OP_WORKER_INPUT)
    return invalid(err, "only an input can be followed");
  if ((r->flags & YOI_REQ_ONCE) != 0 && r->op != YOI_OP_WORKER_EVENTS)
    return invalid(err, "only events end with what there is");
  if ((r->flags & YOI_REQ_WORKSPACE) != 0 ? !yoi_sdk_id_valid(r->workspace) : r->workspace.len > 0)
    return invalid(err, "the workspace is not valid");
  if (!visible(r->principal, YOI_PRINCIPAL_MAX)) return invalid(err, "the principal is not valid");
  if (r->request_id.len > 0 && !yoi_sdk_token_valid(r->request_id, YOI_REQUEST_ID_MAX))
    return invalid(err, "the request id is not valid");
  if (r->trace.len > 0 && (r->trace.len > YOI_TRACE_MAX || !yoi_sdk_traceparent_valid(r->trace)))
    return invalid(err, "the trace context is not valid");
  if (r->idempotency_key.len > 0 &&
      !yoi_sdk_token_valid(r->idempotency_key, YOI_IDEMPOTENCY_KEY_MAX))
    return invalid(err, "the idempotency key is not valid");
  if (r->hops > YOI_HOPS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the request crossed more than %d hosts",
                        YOI_HOPS_MAX);
  if (r->body.len > YOI_BODY_BYTES_MAX)
    return yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "the body has more than %d bytes",
                        YOI_BODY_BYTES_MAX);
  return YOI_OK;
}

/* ---- one that is kept ------------------------------------------------------ */

#define TEXTS 8

static void texts_of(yoi_request *r, yoi_str *out[TEXTS]) {
  yoi_str *const all[TEXTS] = {&r->worker_id, &r->subject, &r->principal,       &r->request_id,
                               &r->trace,     &r->body,    &r->idempotency_key, &r->workspace};
  memcpy(out, all, sizeof all);
}

size_t yoi__request_bytes(const yoi_request *r) {
  yoi_request copy = *r;
  yoi_str *texts[TEXTS];
  size_t n = 0;
  texts_of(&copy, texts);
  for (size_t i = 0; i < TEXTS; i++) n += texts[i]->len;
  return n;
}

void yoi__request_own(yoi_request *r, char *at) {
  yoi_str *texts[TEXTS];
  texts_of(r, texts);
  for (size_t i = 0; i < TEXTS; i++) {
    if (texts[i]->len > 0) memcpy(at, texts[i]->ptr, texts[i]->len);
    texts[i]->ptr = at;
    at += texts[i]->len;
  }
}
