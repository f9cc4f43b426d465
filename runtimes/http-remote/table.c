/* table.c - the operations, and what each error of a remote becomes here.
 *
 * A remote may be anything: a yoi host, another one behind the same address, a
 * proxy's page, an attacker. So nothing of its words is passed on: a code goes
 * through the one table below, by operation, and the message is ours. Of its
 * details only those members pass whose values are numbers, digests, names of
 * fields that ops.h knows, or words that stand in what the caller had sent.
 *
 *  1. Each code of ops.h has its row. It passes as `becomes` for the operations
 *     that may have it, and is remote_malformed for all others.
 *  2. A body that is not the one error body, a code that is not known, and an
 *     HTTP status that is not its code's are remote_malformed: a page of 404 is
 *     no worker that is not there.
 */
#include "remote.h"

#define POINTER_MAX 512

/* ---- operations ------------------------------------------------------------ */

enum { SCOPE_RUNTIME = 1, SCOPE_HOST = 0, IDEM_YES = 0, IDEM_KEY = 1 };

static const struct row {
  struct rem_op op;
  uint8_t ours;
} rows[YOI_OP__END] = {
#define ROW(sym, num, id, scope, method, v1, api, http, idem) \
  [num] = {{method, v1, http, IDEM_##idem}, SCOPE_##scope},
    YOI_OPS(ROW)
#undef ROW
};

const struct rem_op *rem_op_find(uint32_t op) {
  return op < YOI_OP__END && rows[op].ours && rows[op].op.path[0] ? &rows[op].op : NULL;
}

/* ---- errors ---------------------------------------------------------------- */

#define BIT(sym) ((uint64_t)1 << YOI_OP_##sym)
#define ANY UINT64_MAX
#define CREATE BIT(WORKER_CREATE)
#define INPUT BIT(WORKER_INPUT)
#define WORKER                                                                            \
  (INPUT | BIT(WORKER_GET) | BIT(WORKER_CANCEL) | BIT(WORKER_STOP) | BIT(WORKER_DELETE) |  \
   BIT(WORKER_TRANSCRIPT) | BIT(WORKER_EVENTS) | BIT(WORKER_APPROVALS) | BIT(WORKER_APPROVE) | \
   BIT(WORKER_ARTEFACT))
#define PUT BIT(BUNDLE_PUT)
#define BUNDLE (PUT | BIT(BUNDLE_HAVE) | BIT(BUNDLE_GET) | BIT(BUNDLE_LIST) | BIT(BUNDLE_DELETE))
#define NEVER 0

/* X(code, operations that may have it, what it becomes, what is said) */
#define ERRORS(X)                                                                              \
  X(INVALID_REQUEST, ANY, INVALID_REQUEST, "the remote refused the request as invalid")        \
  X(INVALID_JSON, ANY, INVALID_JSON, "the body is not valid JSON")                             \
  X(INVALID_IDENTIFIER, ANY, INVALID_IDENTIFIER, "an identifier is not valid")                 \
  X(LIMIT_TOO_LARGE, ANY, LIMIT_TOO_LARGE, "a limit is larger than the remote allows")         \
  X(UNAUTHORIZED, ANY, RUNTIME_UNAVAILABLE, "the remote does not accept the token of this host") \
  X(POLICY_DENIED, ANY, POLICY_DENIED, "the remote does not allow this")                       \
  X(ORIGIN_DENIED, NEVER, REMOTE_MALFORMED, "")                                                \
  X(RUNTIME_NOT_FOUND, ANY, RUNTIME_UNAVAILABLE, "the remote has no runtime there")            \
  X(WORKER_NOT_FOUND, WORKER, WORKER_NOT_FOUND, "there is no such worker")                     \
  X(BUNDLE_NOT_FOUND, BUNDLE | CREATE, BUNDLE_NOT_FOUND, "the remote does not have the bundle") \
  X(APPROVAL_NOT_FOUND, BIT(WORKER_APPROVE), APPROVAL_NOT_FOUND, "there is no such approval")  \
  X(NOT_FOUND, ANY, UNSUPPORTED_OPERATION, "the remote does not know this operation")          \
  X(METHOD_NOT_ALLOWED, ANY, UNSUPPORTED_OPERATION, "the remote does not know this operation") \
  X(REQUEST_TIMEOUT, ANY, TIMEOUT, "the remote did not get the request in time")               \
  X(WORKER_BUSY, WORKER, WORKER_BUSY, "the worker is busy")                                    \
  X(WORKER_STOPPED, WORKER, WORKER_STOPPED, "the worker is stopped")                           \
  X(WORKER_CONFLICT, CREATE, WORKER_CONFLICT, "another worker has that id")                    \
  X(IDEMPOTENCY_CONFLICT, CREATE | INPUT, IDEMPOTENCY_CONFLICT,                                \
    "the idempotency key was used for something else")                                         \
  X(BUNDLE_IN_USE, BIT(BUNDLE_DELETE), BUNDLE_IN_USE, "the bundle is in use")                  \
  X(BUNDLE_REQUIRED, CREATE, BUNDLE_REQUIRED, "the remote wants a bundle")                     \
  X(WORKER_NOT_STOPPED, BIT(WORKER_DELETE), WORKER_NOT_STOPPED, "the worker is not stopped")   \
  X(CURSOR_EXPIRED, BIT(WORKER_EVENTS), CURSOR_EXPIRED, "the cursor has expired")              \
  X(PAYLOAD_TOO_LARGE, ANY, PAYLOAD_TOO_LARGE, "it is larger than the remote takes")           \
  X(UNSUPPORTED_MEDIA_TYPE, NEVER, REMOTE_MALFORMED, "")                                       \
  X(BUNDLE_DIGEST_MISMATCH, CREATE | PUT, BUNDLE_DIGEST_MISMATCH,                              \
    "the digest is not that of the bundle")                                                    \
  X(BUNDLE_INVALID, CREATE | PUT, BUNDLE_INVALID, "the remote finds the bundle invalid")       \
  X(BUNDLE_FORBIDDEN_CONTENT, CREATE | PUT, BUNDLE_FORBIDDEN_CONTENT,                          \
    "the bundle holds what no bundle may hold")                                                \
  X(INVALID_PROFILE, CREATE, INVALID_PROFILE, "the remote cannot use that profile")            \
  X(UNSUPPORTED_DECLARATION, CREATE | PUT, UNSUPPORTED_DECLARATION,                            \
    "the remote cannot do what is declared")                                                   \
  X(GRANT_MISSING, CREATE, GRANT_MISSING, "the remote does not grant what is asked for")       \
  X(RATE_LIMITED, ANY, RATE_LIMITED, "the remote is asked too often")                          \
  X(QUEUE_FULL, WORKER | CREATE, QUEUE_FULL, "the queue is full")                              \
  X(LIMIT_REACHED, ANY, LIMIT_REACHED, "the remote has reached a limit")                       \
  X(HEADER_TOO_LARGE, NEVER, REMOTE_MALFORMED, "")                                             \
  X(INTERNAL, ANY, INTERNAL, "the remote failed")                                              \
  X(STORE_ERROR, ANY, STORE_ERROR, "the remote could not write or read its store")             \
  X(STORE_CORRUPT, ANY, STORE_CORRUPT, "the records on the remote are damaged")                \
  X(UNSUPPORTED_OPERATION, ANY, UNSUPPORTED_OPERATION, "the remote does not do this")          \
  X(REMOTE_MALFORMED, ANY, REMOTE_MALFORMED, "a remote behind the remote answered nonsense")   \
  X(MODEL_ERROR, ANY, MODEL_ERROR, "a model of the remote failed")                             \
  X(RUNTIME_UNAVAILABLE, ANY, RUNTIME_UNAVAILABLE, "the remote's runtime is not available")    \
  X(SHUTTING_DOWN, ANY, SHUTTING_DOWN, "the remote is shutting down")                          \
  X(TIMEOUT, ANY, TIMEOUT, "the remote did not answer in time")                                \
  X(APPROVAL_CONFLICT, BIT(WORKER_APPROVE), APPROVAL_CONFLICT,                                 \
    "the approval was decided otherwise")                                                      \
  X(ARTEFACT_NOT_FOUND, BIT(WORKER_ARTEFACT), ARTEFACT_NOT_FOUND, "there is no such artefact")

static const struct error {
  uint64_t ops;
  int32_t becomes;
  const char *message;
} errors[] = {
#define ERROR(sym, ops, becomes, message) [YOI_CODE_##sym] = {ops, YOI_CODE_##becomes, message},
    ERRORS(ERROR)
#undef ERROR
};
_Static_assert(sizeof errors / sizeof *errors == YOI_CODE__END, "each code has its row");
_Static_assert(YOI_OP__END <= 64, "a bit for each operation");

int32_t rem_code_map(uint32_t op, int32_t code) {
  if (code <= 0 || code >= YOI_CODE__END || op >= YOI_OP__END) return 0;
  return errors[code].ops >> op & 1 ? errors[code].becomes : 0;
}

const char *rem_code_message(int32_t code) {
  return code > 0 && code < YOI_CODE__END ? errors[code].message : "";
}

/* ---- details --------------------------------------------------------------- */

/* The word is a string of the request's body, whole. */
static int is_word_of(yoi_str word, yoi_str sent) {
  for (size_t at = 1; word.len > 0 && at + word.len < sent.len; at++)
    if (sent.ptr[at - 1] == '"' && sent.ptr[at + word.len] == '"' &&
        memcmp(sent.ptr + at, word.ptr, word.len) == 0)
      return 1;
  return 0;
}

/* A field, or what the caller took for one. */
static int is_field(yoi_str raw, yoi_str sent) {
  static const char *const names[] = {
#define NAME(op, name, type, place, min, max) name,
      YOI_OP_FIELDS(NAME)
#undef NAME
  };
  if (raw.len < 3 || raw.ptr[0] != '"') return 0;
  yoi_str name = {raw.ptr + 1, raw.len - 2};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (yoi_sdk_str_is(name, names[i])) return 1;
  return is_word_of(name, sent);
}

static int is_number(yoi_str raw, yoi_str sent) {
  int64_t n;
  (void)sent;
  return yoi_sdk_json_raw_int(raw, &n) && n >= 0;
}

static int is_digest(yoi_str raw, yoi_str sent) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  (void)sent;
  return raw.len > 2 && yoi_sdk_digest_bytes((yoi_str){raw.ptr + 1, raw.len - 2}, sha);
}

/* A list of such words. */
static int are_words(yoi_str raw, yoi_str sent) {
  yoi_str each;
  size_t at = 0, n = 0;
  if (raw.len < 2 || raw.ptr[0] != '[') return 0;
  while (yoi_sdk_json_raw_each(raw, &at, &each))
    if (++n > YOI_CAPABILITIES_MAX || each.len < 3 || each.ptr[0] != '"' ||
        !is_word_of((yoi_str){each.ptr + 1, each.len - 2}, sent))
      return 0;
  return n > 0;
}

/* A JSON pointer into the body: its tokens are words of it, or places in lists. */
static int is_pointer(yoi_str raw, yoi_str sent) {
  if (raw.len < 3 || raw.len > POINTER_MAX || raw.ptr[0] != '"' || raw.ptr[1] != '/') return 0;
  const char *at = raw.ptr + 2, *end = raw.ptr + raw.len - 1;
  for (;;) {
    const char *slash = memchr(at, '/', (size_t)(end - at));
    yoi_str token = {at, (size_t)((slash ? slash : end) - at)};
    uint64_t n;
    if (!yoi_sdk_parse_u64(token, YOI_JSON_NODES_MAX, &n) && !is_word_of(token, sent)) return 0;
    if (!slash) return 1;
    at = slash + 1;
  }
}

static void pass_details(yoi_str details, yoi_str sent, yoi_error *err) {
  static const struct {
    const char *name;
    int (*fits)(yoi_str raw, yoi_str sent);
  } known[] = {{"line", is_number},    {"column", is_number},   {"max", is_number},
               {"hops", is_number},    {"workers", is_number},  {"digest", is_digest},
               {"field", is_field},    {"parameter", is_field}, {"missing", are_words},
               {"pointer", is_pointer}};
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  if (details.len < 2 || details.ptr[0] != '{') return;
  yoi_sdk_buf_init(&b, YOI_ERROR_DETAILS_MAX - 1);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    yoi_str raw = yoi_sdk_json_raw_get(details, known[i].name);
    if (raw.len > 0 && known[i].fits(raw, sent)) yoi_sdk_jsonw_kraw(&w, known[i].name, raw);
  }
  yoi_sdk_jsonw_close(&w, '}');
  if (!b.failed && b.len > 2) yoi_sdk_fail_details(err, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
}

/* What was refused, where that passes and is short. */
static yoi_str named(yoi_str details, yoi_str sent) {
  static const char *const members[] = {"field", "parameter"};
  for (size_t i = 0; i < 2 && details.len > 1 && details.ptr[0] == '{'; i++) {
    yoi_str raw = yoi_sdk_json_raw_get(details, members[i]);
    if (raw.len - 2 <= YOI_NAME_MAX && is_field(raw, sent))
      return (yoi_str){raw.ptr + 1, raw.len - 2};
  }
  return (yoi_str){0};
}

static yoi_status malformed(uint32_t status, yoi_error *err) {
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_REMOTE_MALFORMED,
                               "the remote answered with something that is no answer");
  yoi_sdk_fail_private(err, "HTTP status %u", status);
  return st;
}

yoi_status rem_error_map(uint32_t op, yoi_str sent, uint32_t status, yoi_str body,
                         uint32_t retry_after_ms, yoi_error *err) {
  if (body.len < 2 || body.ptr[0] != '{' || yoi_sdk_json_check(body, 0, NULL) != YOI_OK)
    return malformed(status, err);
  yoi_str error = yoi_sdk_json_raw_get(body, "error");
  if (error.len < 2 || error.ptr[0] != '{') return malformed(status, err);
  yoi_str name = yoi_sdk_json_raw_get(error, "code");
  if (name.len < 3 || name.ptr[0] != '"') return malformed(status, err);
  int32_t code = yoi_sdk_code_find((yoi_str){name.ptr + 1, name.len - 2});
  int32_t becomes = rem_code_map(op, code);
  if (becomes == 0 || yoi_sdk_code_http(code) != (int)status) return malformed(status, err);
  yoi_str details = yoi_sdk_json_raw_get(error, "details"), what = named(details, sent);
  yoi_status st =
      code == YOI_CODE_INVALID_REQUEST && what.len > 0
          ? yoi_sdk_fail(err, becomes, "the remote refused '%.*s' as invalid", (int)what.len,
                         what.ptr)
          : yoi_sdk_fail(err, becomes, "%s", errors[code].message);
  pass_details(details, sent, err);
  if (err && retry_after_ms) err->retry_after_ms = retry_after_ms;
  return st;
}
