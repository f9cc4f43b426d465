/* tables.c - the tables of yoi/ops.h as functions.
 *
 * Numbers are dense enough for a switch, which the compiler turns into a
 * table; names are looked up once per request at most, so that a walk over
 * some forty rows is good enough.
 */
#include <sdk/error.h>
#include <sdk/str.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct code {
  int32_t number;
  int http;
  yoi_status status;
  int retryable;
  const char *name;
};

static const struct code codes[] = {
#define ROW(sym, num, name, http, status, retry) {num, http, status, retry, name},
    YOI_CODES(ROW)
#undef ROW
};

struct name {
  uint32_t number;
  const char *name;
};

static const struct name ops[] = {
#define ROW(sym, num, id, scope, method, v1, api, http, idem) {num, id},
    YOI_OPS(ROW)
#undef ROW
};

static const struct name events[] = {
#define ROW(sym, num, name, cls) {num, name},
    YOI_EVENTS(ROW)
#undef ROW
};

static const struct code *code_row(int32_t number) {
  /* Append only and without a gap: the row stands at its number. */
  if (number < 1 || (size_t)number > COUNT(codes)) return NULL;
  const struct code *row = &codes[number - 1];
  return row->number == number ? row : NULL;
}

const char *yoi_sdk_code_name(int32_t code) {
  const struct code *row = code_row(code);
  return row ? row->name : NULL;
}

int yoi_sdk_code_http(int32_t code) {
  const struct code *row = code_row(code);
  return row ? row->http : 0;
}

yoi_status yoi_sdk_code_status(int32_t code) {
  const struct code *row = code_row(code);
  return row ? row->status : 0;
}

int yoi_sdk_code_retryable(int32_t code) {
  const struct code *row = code_row(code);
  return row ? row->retryable : 0;
}

int32_t yoi_sdk_code_find(yoi_str name) {
  for (size_t i = 0; i < COUNT(codes); i++)
    if (yoi_sdk_str_is(name, codes[i].name)) return codes[i].number;
  return 0;
}

/* What several codes share has no code of its own: an unspecific conflict or
 * a cancel that nobody asked for is a defect of whoever gave no code. */
int32_t yoi_sdk_code_of_status(yoi_status st) {
  switch (st) {
    case YOI_INVALID_ARGUMENT:
    case YOI_OUT_OF_RANGE:
      return YOI_CODE_INVALID_REQUEST;
    case YOI_DEADLINE_EXCEEDED:
      return YOI_CODE_TIMEOUT;
    case YOI_NOT_FOUND:
      return YOI_CODE_NOT_FOUND;
    case YOI_PERMISSION_DENIED:
      return YOI_CODE_POLICY_DENIED;
    case YOI_RESOURCE_EXHAUSTED:
      return YOI_CODE_LIMIT_REACHED;
    case YOI_UNIMPLEMENTED:
      return YOI_CODE_UNSUPPORTED_OPERATION;
    case YOI_UNAVAILABLE:
      return YOI_CODE_RUNTIME_UNAVAILABLE;
    case YOI_DATA_LOSS:
      return YOI_CODE_STORE_CORRUPT;
    case YOI_UNAUTHENTICATED:
      return YOI_CODE_UNAUTHORIZED;
    default:
      return YOI_CODE_INTERNAL;
  }
}

static const char *find_number(const struct name *rows, size_t n, uint32_t number) {
  for (size_t i = 0; i < n; i++)
    if (rows[i].number == number) return rows[i].name;
  return NULL;
}

static uint32_t find_name(const struct name *rows, size_t n, yoi_str name) {
  for (size_t i = 0; i < n; i++)
    if (yoi_sdk_str_is(name, rows[i].name)) return rows[i].number;
  return 0;
}

const char *yoi_sdk_op_name(uint32_t op) {
  return find_number(ops, COUNT(ops), op);
}

uint32_t yoi_sdk_op_find(yoi_str name) {
  return find_name(ops, COUNT(ops), name);
}

const char *yoi_sdk_event_name(uint32_t kind) {
  return find_number(events, COUNT(events), kind);
}

uint32_t yoi_sdk_event_find(yoi_str name) {
  return find_name(events, COUNT(events), name);
}
