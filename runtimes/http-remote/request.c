/* request.c - an operation as URL, header lines and body.
 *
 * Driven by the tables of ops.h: method and path of the operation, and which
 * members of its body stand in the query. What has its place in the body goes
 * there as the caller wrote it.
 *
 *  1. Nothing of the caller's gets into a URL or a header line unescaped, or
 *     without having been held to its grammar.
 *  2. Each request has crossed one host more than the one that led to it. At
 *     YOI_HOPS_MAX it is refused here: hosts in a ring find each other out.
 *  3. A create and an input go out with an idempotency key, so that they may be
 *     repeated. A key of a caller's is mixed with who he is: at the remote all
 *     callers of this host are one.
 *  4. What only people's surfaces are refused is refused here, since the remote
 *     takes this host for no browser.
 *  5. bundle.have is asked of the list, from just before the digest: HEAD, the
 *     operation's own route, has no body, and who has the bytes wants to know
 *     under which id.
 */
#include "remote.h"

#include <sdk/mem.h>

#define LINES_MAX 2048

enum { T_STRING, T_INTEGER, T_OBJECT, T_ARRAY, T_CONTENT };
enum { P_BODY, P_QUERY, P_PATH };

static const struct field {
  uint32_t op;
  uint8_t type, place;
  const char *name;
} fields[] = {
#define FIELD(op, name, type, place, min, max) {YOI_OP_##op, T_##type, P_##place, name},
    YOI_OP_FIELDS(FIELD)
#undef FIELD
};

static void add_percent(struct yoi_sdk_buf *b, yoi_str s) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.ptr[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        (c && strchr("-._~:", c))) {
      yoi_sdk_buf_addc(b, (char)c);
    } else {
      yoi_sdk_buf_addc(b, '%');
      yoi_sdk_buf_addc(b, hex[c >> 4]);
      yoi_sdk_buf_addc(b, hex[c & 15]);
    }
  }
}

static void add_path(struct yoi_sdk_buf *b, const char *path, const yoi_request *req) {
  while (*path) {
    if (strncmp(path, "{id}", 4) == 0) {
      add_percent(b, req->worker_id);
      path += 4;
    } else if (strncmp(path, "{sub}", 5) == 0) {
      add_percent(b, req->subject);
      path += 5;
    } else {
      yoi_sdk_buf_addc(b, *path++);
    }
  }
}

static const struct field *field_of(uint32_t op, yoi_str name) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (fields[i].op == op && yoi_sdk_str_is(name, fields[i].name)) return &fields[i];
  return NULL;
}

static yoi_status add_parameter(struct yoi_sdk_buf *b, uint32_t op, const yoi_sdk_json *v,
                                char before, yoi_error *err) {
  const struct field *f = field_of(op, yoi_sdk_json_key(v));
  yoi_str s;
  int64_t n;
  if (!f)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the body has an unknown member");
  yoi_sdk_buf_addc(b, before);
  yoi_sdk_buf_adds(b, yoi_sdk_str(f->name));
  yoi_sdk_buf_addc(b, '=');
  if (f->type == T_INTEGER && yoi_sdk_json_int(v, &n)) {
    yoi_sdk_buf_addf(b, "%lld", (long long)n);
  } else if (f->type == T_STRING && yoi_sdk_json_str(v, &s) && s.len > 0) {
    add_percent(b, s);
  } else {
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%s' is not %s", f->name,
                        f->type == T_INTEGER ? "an integer" : "a text");
  }
  return YOI_OK;
}

/* The members of the body that stand in the query. */
static yoi_status add_query(struct yoi_sdk_buf *b, const yoi_request *req, yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error e;
  yoi_status st = YOI_OK;
  if (req->body.len == 0) return YOI_OK;
  if (yoi_sdk_json_parse(req->body, 0, &tree, &e) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "the body is not valid JSON: %s", e.message);
  if (yoi_sdk_json_type(tree) != YOI_SDK_JSON_OBJECT)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the body is not an object");
  char before = '?';
  for (const yoi_sdk_json *v = yoi_sdk_json_first(tree); st == YOI_OK && v;
       v = yoi_sdk_json_next(v)) {
    st = add_parameter(b, req->op, v, before, err);
    before = '&';
  }
  yoi_sdk_json_free(tree);
  return st;
}

/* The page of the list that has the digest if there is one: it begins behind
 * the digest before it. */
static yoi_status add_have(struct yoi_sdk_buf *b, yoi_str digest, yoi_error *err) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char before[YOI_SDK_DIGEST_SIZE];
  if (!yoi_sdk_digest_bytes(digest, sha))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "that is not the digest of a bundle");
  size_t i = sizeof sha;
  while (i > 0 && sha[i - 1]-- == 0) i--;
  yoi_sdk_buf_adds(b, YOI_LIT("?limit=1"));
  if (i == 0) return YOI_OK; /* it is the first that there can be */
  yoi_sdk_digest_text(sha, before);
  yoi_sdk_buf_adds(b, YOI_LIT("&after="));
  yoi_sdk_buf_adds(b, yoi_sdk_str(before));
  return YOI_OK;
}

static void add_line(struct yoi_sdk_buf *b, const char *name, yoi_str value) {
  yoi_sdk_buf_adds(b, yoi_sdk_str(name));
  yoi_sdk_buf_adds(b, value);
  yoi_sdk_buf_addc(b, '\0');
}

/* 3 above. */
static yoi_status add_key(const struct rem_instance *i, const yoi_request *req,
                          struct yoi_sdk_buf *b, yoi_error *err) {
  char text[YOI_SDK_SHA256_SIZE * 2 + 1] = "";
  if (req->idempotency_key.len > 0) {
    uint8_t sha[YOI_SDK_SHA256_SIZE];
    struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
    if (!h) return yoi_sdk_fail_memory(err);
    yoi_sdk_sha256_field(h, req->principal);
    yoi_sdk_sha256_field(h, req->idempotency_key);
    if (!yoi_sdk_sha256_final(h, sha)) return yoi_sdk_fail_memory(err);
    yoi_sdk_hex(sha, sizeof sha, text);
  } else if (!yoi_sdk_uuid7(i->clock->wall_ns(i->host), text)) {
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "there is no randomness for a key");
  }
  add_line(b, "Idempotency-Key: ", yoi_sdk_str(text));
  return YOI_OK;
}

static yoi_status add_lines(const struct rem_instance *i, const yoi_request *req,
                            enum rem_form form, const struct rem_op *op, struct rem_request *r,
                            yoi_error *err) {
  char hops[16];
  struct yoi_sdk_buf *b = &r->lines;
  add_line(b, "User-Agent: ", YOI_LIT("yoi/1.0"));
  add_line(b, "Accept: ",
           form == REM_STREAM ? YOI_LIT("text/event-stream") : YOI_LIT("application/json"));
  if (r->has_body) add_line(b, "Content-Type: ", YOI_LIT("application/json"));
  snprintf(hops, sizeof hops, "%u", req->hops + 1);
  add_line(b, "Yoi-Hops: ", yoi_sdk_str(hops));
  if (yoi_sdk_token_valid(req->request_id, YOI_REQUEST_ID_MAX))
    add_line(b, "X-Request-Id: ", req->request_id);
  if (yoi_sdk_traceparent_valid(req->trace)) add_line(b, "traceparent: ", req->trace);
  if ((req->flags & YOI_REQ_WORKSPACE) != 0) add_line(b, "Yoi-Workspace: ", req->workspace);
  return op->keyed ? add_key(i, req, b, err) : YOI_OK;
}

/* 4 above. */
static yoi_status check_origin(const yoi_request *req, yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  yoi_str kind;
  if (req->op != YOI_OP_WORKER_INPUT || req->origin != YOI_ORIGIN_BROWSER) return YOI_OK;
  if (yoi_sdk_json_parse(req->body, 0, &tree, NULL) != YOI_OK) return YOI_OK; /* refused there */
  int is_system = yoi_sdk_json_str(yoi_sdk_json_get(tree, "kind"), &kind) &&
                  yoi_sdk_str_is(kind, "system");
  yoi_sdk_json_free(tree);
  if (!is_system) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "input of kind 'system' is not for people's surfaces");
}

static yoi_status check_hops(const yoi_request *req, yoi_error *err) {
  char details[32];
  if (req->hops < YOI_HOPS_MAX) return YOI_OK;
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                               "the request crossed %d hosts: they may stand in a ring",
                               YOI_HOPS_MAX);
  int n = snprintf(details, sizeof details, "{\"hops\":%d}", YOI_HOPS_MAX);
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

/* Who is made may have been given its id, in the body. Of one that is too long as
 * much is kept as no id has: the remote is to refuse it. */
static void add_about(struct yoi_sdk_buf *b, const yoi_request *req) {
  yoi_sdk_json *tree = NULL;
  yoi_str id;
  yoi_sdk_buf_adds(b, req->subject.len > 0 ? req->subject : req->worker_id);
  if (req->op != YOI_OP_WORKER_CREATE || yoi_sdk_json_parse(req->body, 0, &tree, NULL) != YOI_OK)
    return; /* what is no JSON is refused there */
  if (yoi_sdk_json_str(yoi_sdk_json_get(tree, "worker_id"), &id))
    yoi_sdk_buf_add(b, id.ptr, id.len > YOI_ID_MAX ? YOI_ID_MAX + 1 : id.len);
  yoi_sdk_json_free(tree);
}

yoi_status rem_request_make(const struct rem_instance *i, const yoi_request *req,
                            enum rem_form form, struct rem_request *r, yoi_error *err) {
  const struct rem_op *op = rem_op_find(req->op);
  memset(r, 0, sizeof *r);
  yoi_sdk_buf_init(&r->url, YOI_URL_MAX + YOI_HTTP_TARGET_MAX);
  yoi_sdk_buf_init(&r->lines, LINES_MAX);
  yoi_sdk_buf_init(&r->body, YOI_BODY_BYTES_MAX);
  yoi_sdk_buf_init(&r->about, YOI_HTTP_TARGET_MAX);
  if (!op)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "this runtime does not do that");
  r->op = req->op;
  r->form = form;
  const struct rem_op *asked = req->op == YOI_OP_BUNDLE_HAVE ? rem_op_find(YOI_OP_BUNDLE_LIST) : op;
  int post = strcmp(asked->method, "POST") == 0, put = strcmp(asked->method, "PUT") == 0;
  r->has_body = post || put;
  r->method = post || strcmp(asked->method, "GET") == 0 ? NULL : asked->method;
  yoi_status st = check_hops(req, err);
  if (st == YOI_OK) st = check_origin(req, err);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_adds(&r->url, yoi_sdk_str(i->config.base));
  add_path(&r->url, asked->path, req);
  if (req->op == YOI_OP_BUNDLE_HAVE)
    st = add_have(&r->url, req->subject, err);
  else if (!r->has_body)
    st = add_query(&r->url, req, err);
  if (st == YOI_OK) st = add_lines(i, req, form, op, r, err);
  if (r->has_body) yoi_sdk_buf_adds(&r->body, req->body);
  add_about(&r->about, req);
  if (st != YOI_OK || !(r->url.failed | r->lines.failed | r->body.failed | r->about.failed))
    return st;
  return yoi_sdk_fail_memory(err);
}

void rem_request_release(struct rem_request *r) {
  yoi_sdk_buf_release(&r->url);
  yoi_sdk_buf_release(&r->lines);
  yoi_sdk_buf_release(&r->body);
  yoi_sdk_buf_release(&r->about);
}

/* The value goes from the host's buffer to the line, and is wiped with it. */
static yoi_status add_token(const struct rem_instance *i, struct yoi_sdk_buf *out, yoi_error *err) {
  char value[YOI_SECRET_BYTES_MAX];
  size_t n = 0;
  yoi_str name = yoi_sdk_str(i->config.token);
  yoi_status st = i->secret->get(i->host, name, value, sizeof value, &n, err);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "the token for the remote has no value");
  /* Files end in a line feed; nobody means it. */
  while (n && (value[n - 1] == '\n' || value[n - 1] == '\r')) n--;
  for (size_t k = 0; k < n && st == YOI_OK; k++)
    if ((unsigned char)value[k] <= ' ' || value[k] == 0x7f)
      st = yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE,
                        "the token for the remote has a blank or a control character");
  if (st == YOI_OK) add_line(out, "Authorization: Bearer ", (yoi_str){value, n});
  yoi_sdk_wipe(value, sizeof value);
  return st;
}

yoi_status rem_request_lines(const struct rem_instance *i, uint64_t deadline_ns,
                             struct yoi_sdk_buf *out, yoi_error *err) {
  char text[24];
  uint64_t now = rem_now(i);
  yoi_status st = YOI_OK;
  if (deadline_ns) {
    if (deadline_ns < now + REM_NS_PER_MS)
      return yoi_sdk_fail(err, YOI_CODE_TIMEOUT, "the remote did not answer in time");
    snprintf(text, sizeof text, "%llu",
             (unsigned long long)((deadline_ns - now) / REM_NS_PER_MS));
    add_line(out, "Yoi-Timeout-Ms: ", yoi_sdk_str(text));
  }
  if (i->config.token) st = add_token(i, out, err);
  return st == YOI_OK && out->failed ? yoi_sdk_fail_memory(err) : st;
}
