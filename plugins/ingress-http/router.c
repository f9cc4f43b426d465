/* ingress-http/router.c - paths, methods and query parameters.
 *
 * The tables of yoi/ops.h say which paths there are, under which method, and
 * which members of an operation's body stand in the query. Besides them only
 * `/healthz`, `/`, and where there are logins `/login` and `/logout` exist, and
 * the ingress' own parameters: `timeout` on every operation, `wait` on
 * worker.input, `wait` and `limit` on the JSON batches of worker.events.
 *
 *  1. Percent-encoding is decoded once, per segment or value, after the split:
 *     an encoded slash never separates.
 *  2. What is not understood is refused; nothing is ignored.
 *  3. A path that exists under other methods is method_not_allowed, one that
 *     does not exist is not_found, whatever the method.
 */
#include "router.h"

#include "fields.h"

#include <sdk/id.h>
#include <sdk/jsonw.h>
#include <string.h>
#include <yoi/ingress.h>

#define SEGMENTS_MAX 8
#define SEGMENT_MAX 255
#define VALUE_MAX 512 /* decoded; the longest parameter is a cursor */

enum { SCOPE_RUNTIME, SCOPE_HOST };

static const struct route {
  uint32_t op;
  uint16_t status;
  uint8_t scope;
  const char *method;
  const char *path[2]; /* /v1, /api */
} routes[] = {
#define ROUTE(sym, num, id, scope, method, v1, api, http, idem) \
  {num, http, SCOPE_##scope, method, {v1, api}},
    YOI_OPS(ROUTE)
#undef ROUTE
};
#define N_ROUTES (sizeof routes / sizeof *routes)

enum { T_STRING, T_INTEGER, T_OBJECT, T_ARRAY, T_CONTENT };
enum { P_BODY, P_QUERY, P_PATH };

static const struct field {
  uint32_t op;
  uint8_t type, place;
  const char *name;
  uint64_t min, max;
} op_fields[] = {
#define FIELD(op, name, type, place, min, max) {YOI_OP_##op, T_##type, P_##place, name, min, max},
    YOI_OP_FIELDS(FIELD)
#undef FIELD
};
#define N_FIELDS (sizeof op_fields / sizeof *op_fields)

/* ---- paths ------------------------------------------------------------- */

struct segments {
  size_t n;
  int too_many;
  uint16_t len[SEGMENTS_MAX];
  char text[SEGMENTS_MAX][SEGMENT_MAX + 1];
};

static yoi_status split_path(yoi_str path, struct segments *s, yoi_error *err) {
  size_t at = 1; /* behind the first slash */
  s->n = 0;
  s->too_many = 0;
  if (path.len == 1) return YOI_OK;
  while (at <= path.len) {
    const char *slash = memchr(path.ptr + at, '/', path.len - at);
    size_t end = slash ? (size_t)(slash - path.ptr) : path.len, n = 0;
    char *out = s->n < SEGMENTS_MAX ? s->text[s->n] : NULL;
    if (!out || end - at > SEGMENT_MAX) {
      s->too_many = 1; /* no route is like that */
      return YOI_OK;
    }
    if (!http_percent_decode((yoi_str){path.ptr + at, end - at}, out, &n))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "path is not percent-encoded properly");
    out[n] = 0;
    s->len[s->n++] = (uint16_t)n;
    at = end + 1;
  }
  return YOI_OK;
}

/* Walks a template along the segments; 1 when they fit. */
static int fits(const char *path, const struct segments *s) {
  size_t i = 0;
  if (s->too_many || *path == 0) return 0;
  if (path[1] == 0) return s->n == 0;
  for (; *path == '/'; i++) {
    const char *from = ++path;
    while (*path && *path != '/') path++;
    if (i >= s->n || s->len[i] == 0) return 0;
    if (*from == '{') continue;
    if (s->len[i] != (size_t)(path - from) || memcmp(from, s->text[i], s->len[i]) != 0) return 0;
  }
  return i == s->n;
}

static yoi_status copy_id(char *to, const char *what, yoi_str id, yoi_error *err) {
  if (!yoi_sdk_id_valid(id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER,
                        "%s is not 1 to 64 of a-z 0-9 . _ -, alphanumeric first", what);
  memcpy(to, id.ptr, id.len);
  to[id.len] = 0;
  return YOI_OK;
}

static yoi_status take_segments(struct http_match *m, const char *path, const struct segments *s,
                                yoi_error *err) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; st == YOI_OK && i < s->n; i++) {
    yoi_str text = {s->text[i], s->len[i]};
    const char *from = ++path;
    while (*path && *path != '/') path++;
    if (strncmp(from, "{rid}", 5) == 0) st = copy_id(m->runtime_id, "runtime id", text, err);
    else if (strncmp(from, "{id}", 4) == 0) st = copy_id(m->worker_id, "worker id", text, err);
    else if (strncmp(from, "{sub}", 5) == 0) {
      if (!yoi_sdk_token_valid(text, HTTP_SUBJECT_MAX))
        return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "last part of the path is malformed");
      memcpy(m->subject, text.ptr, text.len + 1);
    }
  }
  return st;
}

static void allow(struct http_match *m, const char *method) {
  size_t n = strlen(m->allow);
  if (strstr(m->allow, method)) return;
  snprintf(m->allow + n, sizeof m->allow - n, "%s%s", n ? ", " : "", method);
}

static yoi_status not_allowed(struct http_match *m, yoi_error *err) {
  if (strstr(m->allow, "GET")) allow(m, "HEAD");
  return yoi_sdk_fail(err, YOI_CODE_METHOD_NOT_ALLOWED, "method is not allowed here");
}

/* The pages that are no operations. */
static yoi_status route_own(const struct http_request *r, struct http_match *m, uint8_t kind,
                            yoi_error *err) {
  int posted = kind == HTTP_KIND_LOGIN || kind == HTTP_KIND_LOGOUT;
  m->kind = kind;
  m->status = 200;
  m->no_token = kind == HTTP_KIND_HEALTH;
  m->no_pass = 1;
  if (posted ? r->method == HTTPM_POST : r->method == HTTPM_GET || m->head) return YOI_OK;
  allow(m, posted ? "POST" : "GET");
  return not_allowed(m, err);
}

static const struct route *find(const char *method, size_t column, const struct segments *s) {
  for (size_t i = 0; i < N_ROUTES; i++)
    if (strcmp(routes[i].method, method) == 0 && fits(routes[i].path[column], s)) return &routes[i];
  return NULL;
}

/* What the path allows instead, if it is one; what cannot be there has no
 * methods either. */
static yoi_status no_route(struct http_match *m, size_t column, const struct segments *s,
                           yoi_error *err) {
  const struct route *any = NULL;
  for (size_t i = 0; i < N_ROUTES; i++) {
    if (!fits(routes[i].path[column], s)) continue;
    any = &routes[i];
    allow(m, any->method);
    if (any->op == YOI_OP_HOST_READY) m->no_token = m->no_pass = 1;
  }
  if (!any) return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "no such path");
  yoi_status st = take_segments(m, any->path[column], s, err);
  return st == YOI_OK ? not_allowed(m, err) : st;
}

yoi_status http_route(uint32_t surface, int logins, const struct http_request *r,
                      struct http_match *m, yoi_error *err) {
  struct segments s;
  const struct route *hit;
  const char *method = http_method_name(r->method);
  size_t column = surface == YOI_SURFACE_BROWSER ? 1 : 0;
  memset(m, 0, sizeof *m);
  m->head = r->method == HTTPM_HEAD;
  if (r->form != HTTP_TARGET_PATH) {
    snprintf(m->allow, sizeof m->allow, "GET, HEAD, POST, PUT, DELETE");
    return not_allowed(m, err);
  }
  yoi_status st = split_path(http_request_path(r), &s, err);
  if (st != YOI_OK) return st;
  if (fits("/healthz", &s)) return route_own(r, m, HTTP_KIND_HEALTH, err);
  if (column == 1 && fits("/", &s)) return route_own(r, m, HTTP_KIND_PAGE, err);
  if (column == 1 && logins && fits("/login", &s)) return route_own(r, m, HTTP_KIND_LOGIN, err);
  if (column == 1 && logins && fits("/logout", &s)) return route_own(r, m, HTTP_KIND_LOGOUT, err);
  hit = find(method, column, &s);
  if (!hit && m->head) hit = find("GET", column, &s);
  if (!hit) return no_route(m, column, &s, err);
  m->no_token = m->no_pass = hit->op == YOI_OP_HOST_READY;
  m->kind = HTTP_KIND_OP;
  m->op = hit->op;
  m->status = hit->status;
  m->host_scope = hit->scope == SCOPE_HOST;
  return take_segments(m, hit->path[column], &s, err);
}

/* ---- queries ------------------------------------------------------------ */

struct query {
  struct http_params *out;
  struct yoi_sdk_jsonw w;
  int open;      /* the object has begun */
  uint64_t seen; /* bit per row of op_fields, then the ingress' own */
};
enum { OWN_WAIT = 60, OWN_LIMIT, OWN_TIMEOUT };

static void member(struct query *q, const char *name) {
  if (!q->open) yoi_sdk_jsonw_open(&q->w, '{');
  q->open = 1;
  yoi_sdk_jsonw_key(&q->w, name);
}

static yoi_status refuse(yoi_error *err, int32_t code, const char *name, const char *why) {
  char details[160];
  yoi_status st = yoi_sdk_fail(err, code, "parameter '%s' %s", name, why);
  int n = snprintf(details, sizeof details, "{\"parameter\":\"%s\"}", name);
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

/* A name of the caller's, which is UTF-8 and may be anything else. */
static yoi_status unknown(yoi_error *err, yoi_str name) {
  struct yoi_sdk_buf details;
  struct yoi_sdk_jsonw w;
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                               "query has an unknown parameter '%.*s'", YOI_ARG(name));
  yoi_sdk_buf_init(&details, YOI_ERROR_DETAILS_MAX);
  yoi_sdk_jsonw_init(&w, &details);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "parameter");
  yoi_sdk_jsonw_str(&w, name);
  yoi_sdk_jsonw_close(&w, '}');
  if (!details.failed) yoi_sdk_fail_details(err, yoi_sdk_buf_str(&details));
  yoi_sdk_buf_release(&details);
  return st;
}

static yoi_status read_integer(const struct field *f, yoi_str value, uint64_t *out,
                               yoi_error *err) {
  int all_digits = value.len > 0;
  for (size_t i = 0; i < value.len; i++)
    all_digits &= value.ptr[i] >= '0' && value.ptr[i] <= '9';
  if (!all_digits || (value.len > 1 && value.ptr[0] == '0'))
    return refuse(err, YOI_CODE_INVALID_REQUEST, f->name, "is not an integer");
  if (!yoi_sdk_parse_u64(value, f->max, out)) {
    char why[64];
    snprintf(why, sizeof why, "is above %llu", (unsigned long long)f->max);
    return refuse(err, YOI_CODE_LIMIT_TOO_LARGE, f->name, why);
  }
  if (*out < f->min) return refuse(err, YOI_CODE_INVALID_REQUEST, f->name, "is too small");
  return YOI_OK;
}

static yoi_status add_integer(struct query *q, const struct field *f, yoi_str value,
                              yoi_error *err) {
  uint64_t n = 0;
  yoi_status st = read_integer(f, value, &n, err);
  if (st != YOI_OK) return st;
  member(q, f->name);
  yoi_sdk_jsonw_int(&q->w, (int64_t)n);
  return YOI_OK;
}

static yoi_status add_string(struct query *q, const struct field *f, yoi_str value,
                             yoi_error *err) {
  if (value.len < f->min || value.len > f->max)
    return refuse(err, YOI_CODE_INVALID_REQUEST, f->name, "has a length that is not accepted");
  if (!yoi_sdk_utf8_valid(value))
    return refuse(err, YOI_CODE_INVALID_REQUEST, f->name, "is not UTF-8");
  member(q, f->name);
  yoi_sdk_jsonw_str(&q->w, value);
  return YOI_OK;
}

static int first_time(struct query *q, unsigned bit) {
  int fresh = (q->seen >> bit & 1u) == 0;
  q->seen |= (uint64_t)1 << bit;
  return fresh;
}

static yoi_status twice(yoi_error *err, const char *name) {
  return refuse(err, YOI_CODE_INVALID_REQUEST, name, "is there twice");
}

static const struct field batch_limit = {0, T_INTEGER, P_QUERY, "limit", 1, YOI_HTTP_BATCH_MAX};

/* The ingress' own parameters; NOT_FOUND when it is none. */
static yoi_status own_parameter(const struct http_match *m, struct query *q, yoi_str name,
                                yoi_str value, yoi_error *err) {
  struct http_params *p = q->out;
  int waits = m->op == YOI_OP_WORKER_INPUT || m->op == YOI_OP_WORKER_EVENTS;
  if (waits && yoi_sdk_str_is(name, "wait")) {
    int ok = http_seconds(value, YOI_WAIT_MS_MAX, &p->wait_ms);
    if (!first_time(q, OWN_WAIT)) return twice(err, "wait");
    if (!ok) return refuse(err, YOI_CODE_INVALID_REQUEST, "wait", "is not a number of seconds");
    if (ok == 2) return refuse(err, YOI_CODE_LIMIT_TOO_LARGE, "wait", "is above 600");
    p->has_wait = 1;
    return YOI_OK;
  }
  if (m->kind == HTTP_KIND_OP && yoi_sdk_str_is(name, "timeout")) {
    int ok = http_seconds(value, YOI_DEADLINE_MS_MAX, &p->timeout_ms);
    if (!first_time(q, OWN_TIMEOUT)) return twice(err, "timeout");
    if (ok && p->timeout_ms > 0) return YOI_OK;
    return refuse(err, YOI_CODE_INVALID_REQUEST, "timeout", "is not a number of seconds above 0");
  }
  if (m->op == YOI_OP_WORKER_EVENTS && yoi_sdk_str_is(name, "limit")) {
    uint64_t n = 0;
    if (!first_time(q, OWN_LIMIT)) return twice(err, "limit");
    yoi_status st = read_integer(&batch_limit, value, &n, err);
    p->has_limit = 1;
    p->limit = (uint32_t)n;
    return st;
  }
  return YOI_NOT_FOUND;
}

static yoi_status parameter(const struct http_match *m, struct query *q, yoi_str cursor,
                            yoi_str name, yoi_str value, yoi_error *err) {
  yoi_status st = own_parameter(m, q, name, value, err);
  if (st != YOI_NOT_FOUND) return st;
  for (size_t i = 0; m->kind == HTTP_KIND_OP && i < N_FIELDS; i++) {
    const struct field *f = &op_fields[i];
    if (f->op != m->op || f->place != P_QUERY || !yoi_sdk_str_is(name, f->name)) continue;
    if (!first_time(q, (unsigned)i)) return twice(err, f->name);
    if (f->type == T_INTEGER) return add_integer(q, f, value, err);
    /* A Last-Event-ID is newer than the cursor that its URL began with. */
    if (cursor.len > 0 && strcmp(f->name, "cursor") == 0) return YOI_OK;
    return add_string(q, f, value, err);
  }
  return unknown(err, name);
}

static yoi_status each_parameter(const struct http_match *m, yoi_str query, yoi_str cursor,
                                 struct query *q, yoi_error *err) {
  char name[VALUE_MAX], value[VALUE_MAX];
  size_t at = 0;
  yoi_status st = YOI_OK;
  while (st == YOI_OK && query.len > 0 && at <= query.len) {
    const char *from = query.ptr + at, *amp = memchr(from, '&', query.len - at);
    yoi_str pair = {from, amp ? (size_t)(amp - from) : query.len - at};
    const char *eq = pair.len > 0 ? memchr(from, '=', pair.len) : NULL;
    yoi_str n = {name, 0}, v = {value, 0};
    at += pair.len + 1;
    if (!eq || eq == from)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "query is not name=value pairs");
    yoi_str raw_name = {from, (size_t)(eq - from)};
    yoi_str raw_value = {eq + 1, pair.len - raw_name.len - 1};
    if (raw_name.len > sizeof name || raw_value.len > sizeof value)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "query parameter is too long");
    if (!http_percent_decode(raw_name, name, &n.len) ||
        !http_percent_decode(raw_value, value, &v.len) || !yoi_sdk_utf8_valid(n))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "query is not percent-encoded properly");
    st = parameter(m, q, cursor, n, v, err);
  }
  return st;
}

yoi_status http_route_query(const struct http_match *m, const struct http_request *r,
                            struct http_params *out, struct yoi_sdk_buf *body, yoi_error *err) {
  struct query q = {.out = out};
  yoi_str cursor = {NULL, 0};
  yoi_status st = YOI_OK;
  memset(out, 0, sizeof *out);
  yoi_sdk_jsonw_init(&q.w, body);
  if (m->op == YOI_OP_WORKER_EVENTS) cursor = http_request_field(r, HTTPF_LAST_EVENT_ID);
  for (size_t i = 0; st == YOI_OK && m->kind == HTTP_KIND_OP && i < N_FIELDS; i++) {
    const struct field *f = &op_fields[i];
    if (f->op != m->op) continue;
    if (f->place == P_PATH) {
      member(&q, f->name);
      yoi_sdk_jsonw_str(&q.w, yoi_sdk_str(m->runtime_id));
    } else if (cursor.len > 0 && f->place == P_QUERY && strcmp(f->name, "cursor") == 0) {
      st = add_string(&q, f, cursor, err);
    }
  }
  if (st == YOI_OK) st = each_parameter(m, http_request_query(r), cursor, &q, err);
  if (q.open) yoi_sdk_jsonw_close(&q.w, '}');
  return st == YOI_OK && body->failed ? yoi_sdk_fail_memory(err) : st;
}

size_t http_route_body_max(const struct http_match *m) {
  uint32_t op = m->op;
  if (m->kind == HTTP_KIND_LOGIN) return YOI_HTTP_LOGIN_BYTES_MAX;
  if (m->kind != HTTP_KIND_OP) return 0;
  if (op == YOI_OP_WORKER_CREATE) return YOI_CREATE_BYTES_MAX;
  /* Escapes may make a content of YOI_INPUT_BYTES_MAX longer. */
  if (op == YOI_OP_WORKER_INPUT || op == YOI_OP_BUNDLE_PUT) return YOI_BODY_BYTES_MAX;
  for (size_t i = 0; i < N_FIELDS; i++)
    if (op_fields[i].op == op && op_fields[i].place == P_BODY) return 8 * YOI_REASON_MAX;
  return 0;
}

int http_route_needs_body(uint32_t op) {
  return op == YOI_OP_WORKER_CREATE || op == YOI_OP_WORKER_INPUT || op == YOI_OP_WORKER_APPROVE ||
         op == YOI_OP_BUNDLE_PUT;
}
