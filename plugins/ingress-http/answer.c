/* ingress-http/answer.c - from results and errors to answers.
 *
 * A result goes out as the runtime wrote it. Under /api the id of the runtime
 * is put in front, `{"runtime_id":"...",` instead of the first brace, so that
 * the rest need not be touched or copied. Errors have their one body; the
 * private detail goes to the log, joined by the request id.
 */
#include "http.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <string.h>
#include <yoi/ingress.h>

static yoi_str request_id(const struct http_conn *c) {
  if (!c->x) return (yoi_str){NULL, 0};
  return (yoi_str){c->x->request_id, c->x->request_id_len};
}

struct http_reply http_answer_reply(struct http_conn *c, int status, const char *type) {
  struct http_loop *l = c->loop;
  uint64_t wall = l->in->clock->wall_ns(l->in->host);
  if (wall / 1000000000u != l->date_s) {
    l->date_s = wall / 1000000000u;
    http_date(wall, l->date);
  }
  c->keep_alive = c->x && c->x->keep_alive && !c->eof && !atomic_load(&l->in->draining);
  yoi_sdk_buf_clear(&l->out);
  http_access_status(c, status);
  return (struct http_reply){.status = status,
                             .type = type,
                             .date = l->date,
                             .close = !c->keep_alive,
                             .head = c->x && c->x->match.head,
                             .browser = l->in->guard.surface == YOI_SURFACE_BROWSER,
                             .request_id = request_id(c)};
}

static void send_out(struct http_conn *c, int status, yoi_str text) {
  struct http_loop *l = c->loop;
  http_measure_answer(c, status);
  if (l->out.failed) {
    http_conn_gone(c);
    return;
  }
  http_conn_answer(c, yoi_sdk_buf_str(&l->out), text);
}

static void log_failure(struct http_conn *c, yoi_str id, const yoi_error *err) {
  struct http_instance *in = c->loop->in;
  yoi_str trace = c->x ? http_exchange_trace(c->x) : (yoi_str){NULL, 0};
  const yoi_log_field fields[] = {{YOI_LIT("private"), yoi_sdk_str(err->private_detail)},
                                  {YOI_LIT("trace_id"), trace}};
  in->log->write(in->host, YOI_LOG_WARN, YOI_LIT("request failed"), id, fields,
                 trace.len > 0 ? 2 : 1);
}

void http_answer_error(struct http_conn *c, const yoi_error *err) {
  struct http_instance *in = c->loop->in;
  struct http_reply r = http_answer_reply(c, 0, NULL);
  char made[YOI_SDK_UUID_SIZE];
  if (r.request_id.len == 0) { /* refused before there was a request */
    if (yoi_sdk_uuid7(in->clock->wall_ns(in->host), made))
      r.request_id = (yoi_str){made, sizeof made - 1};
  }
  if (err->code == YOI_CODE_METHOD_NOT_ALLOWED && c->x) r.allow = c->x->match.allow;
  http_reply_error(&c->loop->out, &r, err);
  http_access_status(c, r.status);
  http_measure_error(in);
  if (r.status >= 500 && err->private_cap > 0 && err->private_detail[0])
    log_failure(c, r.request_id, err);
  send_out(c, r.status, (yoi_str){NULL, 0});
}

void http_answer_code(struct http_conn *c, int32_t code, const char *message) {
  struct yoi_sdk_error e;
  yoi_sdk_fail(yoi_sdk_error_init(&e), code, "%s", message);
  /* Said by the codec, a deadline or a limit: the framing is not certain. */
  if (c->x) c->x->keep_alive = 0;
  http_answer_error(c, &e.e);
}

yoi_status http_limit_reached(yoi_error *err, const char *message, const char *limit,
                              uint32_t max) {
  char details[96];
  int n = snprintf(details, sizeof details, "{\"limit\":\"%s\",\"max\":%u}", limit, max);
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "%s", message);
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

static int is_wrapped(const struct http_conn *c) {
  const struct http_match *m = &c->x->match;
  return c->loop->in->guard.surface == YOI_SURFACE_BROWSER && !m->host_scope &&
         m->runtime_id[0] != 0;
}

/* What replaces the first brace of `json`, which is cut off then. */
static size_t wrap(struct http_conn *c, char out[96], yoi_str *json) {
  size_t i = 0;
  if (!is_wrapped(c) || json->len == 0 || json->ptr[0] != '{') return 0;
  json->ptr++, json->len--;
  while (i < json->len && (json->ptr[i] == ' ' || json->ptr[i] == '\t')) i++;
  int empty = i < json->len && json->ptr[i] == '}';
  return (size_t)snprintf(out, 96, "{\"runtime_id\":\"%s\"%s", c->x->match.runtime_id,
                          empty ? "" : ",");
}

static int result_status(const struct http_match *m, uint32_t event_flags) {
  int created = (event_flags & YOI_EV_CREATED) != 0;
  if (m->status == 201) return created ? 201 : 200;
  return m->op == YOI_OP_BUNDLE_PUT && created ? 201 : m->status;
}

/* The digest that the path names; nothing else gets into a field. */
static yoi_str digest_of(const struct http_match *m) {
  yoi_str prefix = YOI_LIT("sha256:"), s = yoi_sdk_str(m->subject);
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (!yoi_sdk_str_starts(s, prefix) ||
      !yoi_sdk_unhex((yoi_str){s.ptr + prefix.len, s.len - prefix.len}, sha, sizeof sha))
    return (yoi_str){NULL, 0};
  return s;
}

yoi_str http_answer_tag(const struct http_match *m) {
  int bytes = m->op == YOI_OP_BUNDLE_GET || m->op == YOI_OP_BUNDLE_HAVE;
  return bytes ? digest_of(m) : (yoi_str){NULL, 0};
}

/* Where a new worker or bundle is; an id is taken from the answer and checked. */
static yoi_str location(struct http_conn *c, yoi_str text, char *out, size_t cap) {
  const struct http_match *m = &c->x->match;
  yoi_str id = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(text, "worker"), "worker_id");
  int n = 0;
  if (m->op == YOI_OP_BUNDLE_PUT && digest_of(m).len > 0) {
    n = snprintf(out, cap, "/v1/config-bundles/%s", m->subject);
    return (yoi_str){out, (size_t)n};
  }
  if (m->op != YOI_OP_WORKER_CREATE || id.len < 3) return (yoi_str){NULL, 0};
  id = (yoi_str){id.ptr + 1, id.len - 2};
  if (!yoi_sdk_id_valid(id)) return (yoi_str){NULL, 0};
  n = is_wrapped(c) ? snprintf(out, cap, "/api/runtimes/%s/workers/%.*s", m->runtime_id,
                               YOI_ARG(id))
                    : snprintf(out, cap, "/v1/workers/%.*s", YOI_ARG(id));
  return (yoi_str){out, (size_t)n};
}

/* HEAD of a bundle is answered from what is known of it: how long its bytes are. */
static uint64_t bytes_of(yoi_str have) {
  int64_t n = 0;
  yoi_str raw = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(have, "bundle"), "bytes");
  return yoi_sdk_json_raw_int(raw, &n) && n > 0 ? (uint64_t)n : have.len;
}

void http_answer_result(struct http_conn *c, yoi_str text, uint32_t event_flags) {
  const struct http_match *m = &c->x->match;
  char prefix[96], where[2 * YOI_ID_MAX + 32];
  int status = c->x->unchanged ? 304 : result_status(m, event_flags);
  struct http_reply r = http_answer_reply(c, status, HTTP_TYPE_JSON);
  size_t wrapped = 0;
  if (r.status == 201) r.location = location(c, text, where, sizeof where);
  r.etag = http_answer_tag(m);
  if (m->op == YOI_OP_HOST_METRICS) r.type = HTTP_TYPE_METRICS;
  else if (m->op != YOI_OP_BUNDLE_GET) wrapped = wrap(c, prefix, &text);
  r.length = m->op == YOI_OP_BUNDLE_HAVE ? bytes_of(text) : wrapped + text.len;
  if (r.status == 204 || r.status == 304) r.type = NULL, text.len = wrapped = 0;
  http_reply_head(&c->loop->out, &r);
  if (r.head) text.len = 0;
  else if (wrapped > 0) yoi_sdk_buf_add(&c->loop->out, prefix, wrapped);
  send_out(c, r.status, text);
}

void http_answer_json(struct http_conn *c, int status, yoi_str json) {
  char prefix[96];
  struct http_reply r = http_answer_reply(c, status, HTTP_TYPE_JSON);
  size_t wrapped = wrap(c, prefix, &json);
  r.length = wrapped + json.len;
  http_reply_head(&c->loop->out, &r);
  if (!r.head) {
    yoi_sdk_buf_add(&c->loop->out, prefix, wrapped);
    yoi_sdk_buf_adds(&c->loop->out, json);
  }
  send_out(c, r.status, (yoi_str){NULL, 0});
}

void http_answer_page(struct http_conn *c, const struct http_page *page) {
  struct http_reply r = http_answer_reply(c, 200, HTTP_TYPE_HTML);
  r.length = page->len;
  r.policy = page->policy;
  http_reply_head(&c->loop->out, &r);
  if (!r.head) yoi_sdk_buf_add(&c->loop->out, page->text, page->len);
  send_out(c, r.status, (yoi_str){NULL, 0});
}

void http_answer_made(struct http_conn *c, struct http_reply *r, yoi_str json) {
  if (json.len == 0) r->type = NULL;
  r->length = json.len;
  http_reply_head(&c->loop->out, r);
  if (!r->head) yoi_sdk_buf_adds(&c->loop->out, json);
  send_out(c, r->status, (yoi_str){NULL, 0});
}
