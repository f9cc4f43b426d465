/* shape.c - what an answer and an event of a remote must be made of.
 *
 * Whoever reads here what came from a remote, this host or a console far behind
 * it, may take for granted what docs/workers.md says of it. So nothing passes on
 * that has another type where a member is known, or lacks one without which it
 * could not be used. Members that are not known pass within a thing, since a
 * later version may have more of them; around it, where no version has any, they
 * are left out: nothing of a remote gets in beside what was asked for.
 *
 *  1. What is looked at here was accepted by yoi_sdk_json_check: UTF-8, its depth
 *     and size, no member twice.
 *  2. One table says it all. Each object is gone through once, and only as deep
 *     as shapes are nested: four at the most.
 *  3. A worker or an artefact that was asked for by its id has that id, as has the
 *     worker in an event: answers that got mixed up on the way are noticed.
 */
#include "remote.h"

enum shape {
  NONE,
  WORKER,
  TURN,
  ITEM,
  CALL,
  ACK,
  TRANSCRIPT,
  APPROVAL,
  ARTEFACT,
  BUNDLE,
  DIAGNOSTIC,
  ROW, /* of a batch of events */
  RUNTIME,
  /* answers */
  OF_RUNTIME,
  OF_WORKER,
  OF_WORKERS,
  OF_ACK,
  OF_TRANSCRIPT,
  OF_EVENTS,
  OF_APPROVALS,
  OF_ARTEFACT,
  OF_BUNDLE,
  OF_BUNDLES,
  /* events */
  E_SNAPSHOT,
  E_END,
  E_OF_WORKER,
  E_INPUT,
  E_TURN,
  E_MESSAGE,
  E_CALL,
  E_APPROVAL,
  E_DECIDED,
  E_RESOLVED,
  E_STARTED,
  E_COMPLETED,
  E_ENDED,
  E_STOPPED,
  E_DIAGNOSTIC,
  E_TEXT,
  E_PROGRESS,
  E_USAGE,
  SHAPES
};

enum type {
  STRING,
  ID,     /* as yoi_sdk_id_valid has it */
  TOKEN,  /* 1 to YOI_SUBJECT_MAX bytes of printable ASCII without blanks */
  CURSOR, /* likewise, up to YOI_CURSOR_MAX */
  DIGEST,
  TIME,
  COUNT,
  BOOL,
  OBJECT,
  LIST
};

enum { MAY = 0, MUST = 1, NULLS = 2 }; /* NULLS: or null */

#define TOKEN_MAX 128 /* bytes of an id that a remote makes: approvals, calls */

/* X(shape, member, type, how, shape of the object or of the list's rows). Rows of
 * one shape stand together, at most 32. */
#define MEMBERS(X)                                     \
  X(WORKER, "worker_id", ID, MUST, NONE)               \
  X(WORKER, "state", TOKEN, MUST, NONE)                \
  X(WORKER, "cursor", CURSOR, MUST | NULLS, NONE)      \
  X(WORKER, "capabilities", LIST, MUST, NONE)          \
  X(WORKER, "display_name", STRING, NULLS, NONE)       \
  X(WORKER, "intent", OBJECT, NULLS, NONE)             \
  X(WORKER, "profile", OBJECT, NULLS, NONE)            \
  X(WORKER, "config_bundle", OBJECT, NULLS, NONE)      \
  X(WORKER, "created_at", TIME, NULLS, NONE)           \
  X(WORKER, "turn", OBJECT, MAY, TURN)                 \
  X(WORKER, "queued", COUNT, MAY, NONE)                \
  X(WORKER, "diagnostics", LIST, MAY, DIAGNOSTIC)      \
  X(WORKER, "spec", OBJECT, NULLS, NONE)               \
  X(TURN, "turn_id", TOKEN, MUST, NONE)                \
  X(TURN, "state", TOKEN, MUST, NONE)                  \
  X(TURN, "reason", TOKEN, NULLS, NONE)                \
  X(TURN, "error", OBJECT, MAY, NONE)                  \
  X(TURN, "started_at", TIME, NULLS, NONE)             \
  X(TURN, "ended_at", TIME, NULLS, NONE)               \
  X(TURN, "duration_ms", COUNT, MAY, NONE)             \
  X(TURN, "steps", COUNT, MAY, NONE)                   \
  X(TURN, "usage", OBJECT, NULLS, NONE)                \
  X(ITEM, "sequence", COUNT, MUST, NONE)               \
  X(ITEM, "role", TOKEN, MUST, NONE)                   \
  X(ITEM, "content", LIST, MUST, NONE)                 \
  X(ITEM, "turn_id", TOKEN, NULLS, NONE)               \
  X(ITEM, "step", COUNT, NULLS, NONE)                  \
  X(ITEM, "reasoning", STRING, MAY, NONE)              \
  X(ITEM, "tool_calls", LIST, MAY, CALL)               \
  X(ITEM, "tool_call_id", STRING, MAY, NONE)           \
  X(ITEM, "error", OBJECT, MAY, NONE)                  \
  X(ITEM, "created_at", TIME, NULLS, NONE)             \
  X(CALL, "id", STRING, MUST, NONE)                    \
  X(CALL, "name", STRING, MUST, NONE)                  \
  X(CALL, "arguments", STRING, MUST, NONE)             \
  X(ACK, "sequence", COUNT, MUST, NONE)                \
  X(ACK, "cursor", CURSOR, MUST, NONE)                 \
  X(ACK, "state", TOKEN, MUST, NONE)                   \
  X(ACK, "turn_id", TOKEN, MAY, NONE)                  \
  X(TRANSCRIPT, "start", COUNT, MUST, NONE)            \
  X(TRANSCRIPT, "limit", COUNT, MUST, NONE)            \
  X(TRANSCRIPT, "total", COUNT, MUST, NONE)            \
  X(TRANSCRIPT, "next_start", COUNT, MUST | NULLS, NONE) \
  X(TRANSCRIPT, "items", LIST, MUST, ITEM)             \
  X(APPROVAL, "approval_id", TOKEN, MUST, NONE)        \
  X(APPROVAL, "turn_id", TOKEN, MUST, NONE)            \
  X(APPROVAL, "call_id", STRING, MUST, NONE)           \
  X(APPROVAL, "tool", STRING, MUST, NONE)              \
  X(APPROVAL, "arguments", STRING, MUST, NONE)         \
  X(APPROVAL, "expires_at", TIME, MUST, NONE)          \
  X(ARTEFACT, "artefact_id", TOKEN, MUST, NONE)        \
  X(ARTEFACT, "bytes", COUNT, MUST, NONE)              \
  X(ARTEFACT, "start", COUNT, MUST, NONE)              \
  X(ARTEFACT, "next_start", COUNT, MUST | NULLS, NONE) \
  X(ARTEFACT, "text", STRING, MUST, NONE)              \
  X(BUNDLE, "digest", DIGEST, MUST, NONE)              \
  X(BUNDLE, "id", STRING, MUST, NONE)                  \
  X(BUNDLE, "revision", STRING, MUST, NONE)            \
  X(BUNDLE, "workspace_id", STRING, MUST, NONE)        \
  X(BUNDLE, "provenance", OBJECT, MUST, NONE)          \
  X(BUNDLE, "profiles", LIST, MUST, NONE)              \
  X(DIAGNOSTIC, "code", STRING, MUST, NONE)            \
  X(DIAGNOSTIC, "severity", TOKEN, MUST, NONE)         \
  X(DIAGNOSTIC, "message", STRING, MUST, NONE)         \
  X(ROW, "event", TOKEN, MUST, NONE)                   \
  X(ROW, "data", OBJECT, MUST, NONE)                   \
  X(ROW, "id", CURSOR, NULLS, NONE)                    \
  X(OF_RUNTIME, "runtime", OBJECT, MUST, RUNTIME)      \
  X(OF_WORKER, "worker", OBJECT, MUST, WORKER)         \
  X(OF_WORKERS, "workers", LIST, MUST, WORKER)         \
  X(OF_WORKERS, "next", ID, NULLS, NONE)               \
  X(OF_ACK, "ack", OBJECT, MUST, ACK)                  \
  X(OF_TRANSCRIPT, "transcript", OBJECT, MUST, TRANSCRIPT) \
  X(OF_EVENTS, "events", LIST, MUST, ROW)              \
  X(OF_EVENTS, "cursor", CURSOR, NULLS, NONE)          \
  X(OF_EVENTS, "end", OBJECT, NULLS, E_END)            \
  X(OF_APPROVALS, "approvals", LIST, MUST, APPROVAL)   \
  X(OF_ARTEFACT, "artefact", OBJECT, MUST, ARTEFACT)   \
  X(OF_BUNDLE, "bundle", OBJECT, MUST, BUNDLE)         \
  X(OF_BUNDLES, "bundles", LIST, MUST, BUNDLE)         \
  X(OF_BUNDLES, "next", DIGEST, NULLS, NONE)           \
  X(E_SNAPSHOT, "worker", OBJECT, MUST, WORKER)        \
  X(E_SNAPSHOT, "sequence", COUNT, MUST, NONE)         \
  X(E_SNAPSHOT, "in_flight", OBJECT, MUST | NULLS, E_TEXT) \
  X(E_END, "reason", TOKEN, MUST, NONE)                \
  X(E_END, "code", TOKEN, NULLS, NONE)                 \
  X(E_END, "retryable", BOOL, MUST, NONE)              \
  X(E_END, "cursor", CURSOR, NULLS, NONE)              \
  X(E_OF_WORKER, "sequence", COUNT, MUST, NONE)        \
  X(E_OF_WORKER, "worker", OBJECT, MUST, WORKER)       \
  X(E_INPUT, "sequence", COUNT, MUST, NONE)            \
  X(E_INPUT, "kind", TOKEN, MUST, NONE)                \
  X(E_INPUT, "content", LIST, MUST, NONE)              \
  X(E_INPUT, "turn_id", TOKEN, MAY, NONE)              \
  X(E_TURN, "sequence", COUNT, MUST, NONE)             \
  X(E_TURN, "turn_id", TOKEN, MUST, NONE)              \
  X(E_MESSAGE, "sequence", COUNT, MUST, NONE)          \
  X(E_MESSAGE, "turn_id", TOKEN, MUST | NULLS, NONE)   \
  X(E_MESSAGE, "item", OBJECT, MUST, ITEM)             \
  X(E_CALL, "sequence", COUNT, MUST, NONE)             \
  X(E_CALL, "turn_id", TOKEN, MUST, NONE)              \
  X(E_CALL, "call", OBJECT, MUST, CALL)                \
  X(E_APPROVAL, "sequence", COUNT, MUST, NONE)         \
  X(E_APPROVAL, "turn_id", TOKEN, MUST, NONE)          \
  X(E_APPROVAL, "approval", OBJECT, MUST, APPROVAL)    \
  X(E_DECIDED, "sequence", COUNT, MUST, NONE)          \
  X(E_DECIDED, "turn_id", TOKEN, MUST, NONE)           \
  X(E_DECIDED, "call_id", STRING, MUST, NONE)          \
  X(E_DECIDED, "decision", TOKEN, MUST, NONE)          \
  X(E_RESOLVED, "sequence", COUNT, MUST, NONE)         \
  X(E_RESOLVED, "turn_id", TOKEN, MUST, NONE)          \
  X(E_RESOLVED, "approval_id", TOKEN, MUST, NONE)      \
  X(E_RESOLVED, "decision", TOKEN, MUST, NONE)         \
  X(E_STARTED, "sequence", COUNT, MUST, NONE)          \
  X(E_STARTED, "turn_id", TOKEN, MUST, NONE)           \
  X(E_STARTED, "call_id", STRING, MUST, NONE)          \
  X(E_COMPLETED, "sequence", COUNT, MUST, NONE)        \
  X(E_COMPLETED, "turn_id", TOKEN, MUST, NONE)         \
  X(E_COMPLETED, "call_id", STRING, MUST, NONE)        \
  X(E_COMPLETED, "status", TOKEN, MUST, NONE)          \
  X(E_COMPLETED, "item", OBJECT, MUST, ITEM)           \
  X(E_ENDED, "sequence", COUNT, MUST, NONE)            \
  X(E_ENDED, "turn_id", TOKEN, MUST, NONE)             \
  X(E_ENDED, "turn", OBJECT, MUST, TURN)               \
  X(E_STOPPED, "sequence", COUNT, MUST, NONE)          \
  X(E_DIAGNOSTIC, "sequence", COUNT, MUST, NONE)       \
  X(E_DIAGNOSTIC, "code", STRING, MUST, NONE)          \
  X(E_DIAGNOSTIC, "severity", TOKEN, MUST, NONE)       \
  X(E_DIAGNOSTIC, "message", STRING, MUST, NONE)       \
  X(E_TEXT, "turn_id", TOKEN, MUST, NONE)              \
  X(E_TEXT, "step", COUNT, MUST, NONE)                 \
  X(E_TEXT, "text", STRING, MUST, NONE)                \
  X(E_PROGRESS, "turn_id", TOKEN, MUST, NONE)          \
  X(E_PROGRESS, "step", COUNT, MUST, NONE)             \
  X(E_PROGRESS, "call_id", STRING, MUST, NONE)         \
  X(E_PROGRESS, "text", STRING, MUST, NONE)            \
  X(E_USAGE, "turn_id", TOKEN, MUST, NONE)             \
  X(E_USAGE, "step", COUNT, MUST, NONE)                \
  X(E_USAGE, "usage", OBJECT, MUST, NONE)

static const struct member {
  const char *name;
  uint8_t shape, type, how, inner;
} members[] = {
#define MEMBER(shape, name, type, how, inner) {name, shape, type, how, inner},
    MEMBERS(MEMBER)
#undef MEMBER
};
#define MEMBERS_N (sizeof members / sizeof *members)

/* Where the rows of a shape begin; those of the next one are behind them. */
static size_t first_of(unsigned shape) {
  size_t n = 0;
  while (n < MEMBERS_N && members[n].shape != shape) n++;
  return n;
}

/* ---- values ------------------------------------------------------------------- */

/* The inside of a raw string that stands as it is meant. */
static int is_plain(yoi_str raw, size_t max) {
  if (raw.len < 3 || raw.len - 2 > max || raw.ptr[0] != '"') return 0;
  for (size_t i = 1; i < raw.len - 1; i++)
    if (raw.ptr[i] <= ' ' || raw.ptr[i] > '~' || raw.ptr[i] == '\\') return 0;
  return 1;
}

static int object_fits(unsigned shape, yoi_str raw);

static int list_fits(unsigned shape, yoi_str raw) {
  yoi_str row;
  size_t at = 0;
  if (raw.ptr[0] != '[') return 0;
  while (shape != NONE && yoi_sdk_json_raw_each(raw, &at, &row))
    if (!object_fits(shape, row)) return 0;
  return 1;
}

static int value_fits(const struct member *m, yoi_str raw) {
  yoi_str inside = {raw.ptr + 1, raw.len > 2 ? raw.len - 2 : 0};
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  int64_t n;
  uint64_t ns;
  if (raw.len == 0) return 0;
  if ((m->how & NULLS) && yoi_sdk_str_is(raw, "null")) return 1;
  switch (m->type) {
    case STRING: return raw.ptr[0] == '"';
    case ID: return raw.ptr[0] == '"' && yoi_sdk_id_valid(inside);
    case TOKEN: return is_plain(raw, TOKEN_MAX);
    case CURSOR: return is_plain(raw, YOI_CURSOR_MAX);
    case DIGEST: return raw.ptr[0] == '"' && yoi_sdk_digest_bytes(inside, sha);
    case TIME: return raw.ptr[0] == '"' && yoi_sdk_time_parse(inside, &ns);
    case COUNT: return yoi_sdk_json_raw_int(raw, &n) && n >= 0;
    case BOOL: return yoi_sdk_str_is(raw, "true") || yoi_sdk_str_is(raw, "false");
    case OBJECT: return raw.ptr[0] == '{' && (m->inner == NONE || object_fits(m->inner, raw));
    default: return list_fits(m->inner, raw);
  }
}

static const struct member *find(unsigned shape, size_t first, yoi_str key) {
  for (size_t n = first; n < MEMBERS_N && members[n].shape == shape; n++)
    if (yoi_sdk_str_is(key, members[n].name)) return &members[n];
  return NULL;
}

static int object_fits(unsigned shape, yoi_str raw) {
  size_t at = 0, first = first_of(shape);
  uint32_t seen = 0;
  yoi_str key, value;
  if (raw.len < 2 || raw.ptr[0] != '{') return 0;
  while (yoi_sdk_json_raw_member(raw, &at, &key, &value)) {
    const struct member *m = find(shape, first, key);
    if (!m) continue;
    if (!value_fits(m, value)) return 0;
    seen |= (uint32_t)1 << (size_t)(m - members - (ptrdiff_t)first);
  }
  for (size_t n = first; n < MEMBERS_N && members[n].shape == shape; n++)
    if ((members[n].how & MUST) && !(seen >> (n - first) & 1)) return 0;
  return 1;
}

/* ---- answers ------------------------------------------------------------------- */

/* X(operation, shape, the thing that was asked for by its id, its id) */
#define ANSWERS(X)                                            \
  X(RUNTIME_DESCRIBE, OF_RUNTIME, "", "")                     \
  X(WORKER_CREATE, OF_WORKER, "worker", "worker_id") /* or of none */ \
  X(WORKER_LIST, OF_WORKERS, "", "")                          \
  X(WORKER_GET, OF_WORKER, "worker", "worker_id")             \
  X(WORKER_INPUT, OF_ACK, "", "")                             \
  X(WORKER_CANCEL, OF_ACK, "", "")                            \
  X(WORKER_STOP, OF_ACK, "", "")                              \
  X(WORKER_TRANSCRIPT, OF_TRANSCRIPT, "", "")                 \
  X(WORKER_EVENTS, OF_EVENTS, "", "")                         \
  X(WORKER_APPROVALS, OF_APPROVALS, "", "")                   \
  X(WORKER_APPROVE, OF_ACK, "", "")                           \
  X(WORKER_ARTEFACT, OF_ARTEFACT, "artefact", "artefact_id")  \
  X(BUNDLE_PUT, OF_BUNDLE, "bundle", "digest")                \
  X(BUNDLE_HAVE, OF_BUNDLES, "", "") /* asked of the list, request.c */ \
  X(BUNDLE_LIST, OF_BUNDLES, "", "")

static const struct answer {
  uint8_t shape;
  const char *thing, *id;
} answers[YOI_OP__END] = {
#define ANSWER(sym, shape, thing, id) [YOI_OP_##sym] = {shape, thing, id},
    ANSWERS(ANSWER)
#undef ANSWER
};

/* What no version has beside the answer goes, in place: what stays is no longer
 * than what stood there. */
static void strip(unsigned shape, yoi_str *text, char *bytes) {
  size_t at = 0, first = first_of(shape), n = 0, unknown = 0;
  yoi_str key, value;
  while (yoi_sdk_json_raw_member(*text, &at, &key, &value)) unknown += !find(shape, first, key);
  if (unknown == 0) return;
  bytes[n++] = '{';
  for (at = 0; yoi_sdk_json_raw_member(*text, &at, &key, &value);) {
    const struct member *m = find(shape, first, key);
    if (!m) continue;
    if (n > 1) bytes[n++] = ',';
    bytes[n++] = '"';
    memcpy(bytes + n, m->name, key.len);
    n += key.len;
    bytes[n++] = '"';
    bytes[n++] = ':';
    memmove(bytes + n, value.ptr, value.len);
    n += value.len;
  }
  bytes[n++] = '}';
  text->len = n;
}

/* 1 when raw is the text of that id. */
static int is_id(yoi_str raw, yoi_str id) {
  return raw.len > 2 && yoi_sdk_str_eq((yoi_str){raw.ptr + 1, raw.len - 2}, id);
}

/* 1 when all known events of a batch are of that worker. */
static int batch_is_of(yoi_str about, yoi_str text) {
  yoi_str rows = yoi_sdk_json_raw_get(text, "events"), row;
  size_t at = 0;
  while (yoi_sdk_json_raw_each(rows, &at, &row)) {
    yoi_str name = yoi_sdk_json_raw_get(row, "event"); /* has at least one byte: TOKEN */
    uint32_t kind = rem_frame_kind((yoi_str){name.ptr + 1, name.len - 2});
    if (!rem_event_is_of(about, kind, yoi_sdk_json_raw_get(row, "data"))) return 0;
  }
  return 1;
}

int rem_answer_fits(uint32_t op, yoi_str about, struct yoi_sdk_buf *b) {
  yoi_str text = yoi_sdk_buf_str(b);
  if (op >= YOI_OP__END || answers[op].shape == NONE) return 0;
  const struct answer *a = &answers[op];
  if (text.len < 2 || text.ptr[0] != '{' || yoi_sdk_json_check(text, 0, NULL) != YOI_OK ||
      !object_fits(a->shape, text))
    return 0;
  if (a->id[0] && (about.len > 0 || op != YOI_OP_WORKER_CREATE) &&
      !is_id(yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(text, a->thing), a->id), about))
    return 0;
  if (a->shape == OF_EVENTS && !batch_is_of(about, text)) return 0;
  strip(a->shape, &text, b->data);
  b->len = text.len;
  return 1;
}

/* ---- events --------------------------------------------------------------------- */

int rem_event_fits(uint32_t kind, yoi_str data) {
  static const uint8_t shapes[] = {
      [YOI_EVENT_ACK] = OF_ACK,
      [YOI_EVENT_SNAPSHOT] = E_SNAPSHOT,
      [YOI_EVENT_END] = E_END,
      [YOI_EVENT_WORKER_CREATED] = E_OF_WORKER,
      [YOI_EVENT_INPUT_ACCEPTED] = E_INPUT,
      [YOI_EVENT_TURN_STARTED] = E_TURN,
      [YOI_EVENT_MESSAGE_COMPLETED] = E_MESSAGE,
      [YOI_EVENT_TOOL_REQUESTED] = E_CALL,
      [YOI_EVENT_TOOL_APPROVAL_REQUESTED] = E_APPROVAL,
      [YOI_EVENT_TOOL_APPROVAL_RESOLVED] = E_RESOLVED,
      [YOI_EVENT_TOOL_STARTED] = E_STARTED,
      [YOI_EVENT_TOOL_COMPLETED] = E_COMPLETED,
      [YOI_EVENT_POLICY_DECIDED] = E_DECIDED,
      [YOI_EVENT_TURN_CANCEL_REQUESTED] = E_TURN,
      [YOI_EVENT_TURN_ENDED] = E_ENDED,
      [YOI_EVENT_WORKER_STOPPED] = E_STOPPED,
      [YOI_EVENT_DIAGNOSTIC] = E_DIAGNOSTIC,
      [YOI_EVENT_TEXT_DELTA] = E_TEXT,
      [YOI_EVENT_REASONING_DELTA] = E_TEXT,
      [YOI_EVENT_TOOL_PROGRESS] = E_PROGRESS,
      [YOI_EVENT_USAGE_UPDATED] = E_USAGE,
  };
  return kind < sizeof shapes && shapes[kind] != NONE && object_fits(shapes[kind], data);
}

int rem_event_is_of(yoi_str about, uint32_t kind, yoi_str data) {
  if (kind != YOI_EVENT_SNAPSHOT && kind != YOI_EVENT_WORKER_CREATED) return 1;
  return is_id(yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(data, "worker"), "worker_id"), about);
}
