/* ingress-http/exchange.c - a request, from its header to its answer.
 *
 * The order of checks is the order of what a caller may learn: the codec has
 * refused what is malformed; then who asks (Host, Origin, token), then what is
 * asked (path, method, query, fields), then the body. So a caller without a
 * token cannot find out which paths there are.
 *
 *   http_exchange_head   header whole    -> 4xx, or the body's limit
 *   http_exchange_run    body whole      -> 4xx, or registry.start
 *   http_exchange_poll   stream has news -> result, events, or gathers
 *
 *  1. The principal is never empty and never comes from the request.
 *  2. A runtime surface serves its own runtime only; its paths have no id.
 *  3. What the registry or the runtime answers maps to HTTP by its code alone
 *     (yoi_sdk_code_http); nothing is decided again here.
 *  4. The codec's text is borrowed by the request until start returns.
 */
#include "http.h"

#include "fields.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <string.h>
#include <yoi/ingress.h>

static int header_number(const struct http_request *r, int field, uint64_t max, uint64_t *out) {
  return !http_request_has(r, field) ||
         yoi_sdk_parse_u64(http_request_field(r, field), max, out);
}

static void take_request_id(struct http_conn *c) {
  struct http_exchange *x = c->x;
  struct http_instance *in = c->loop->in;
  yoi_str given = http_request_field(&x->codec.req, HTTPF_X_REQUEST_ID);
  char made[YOI_SDK_UUID_SIZE];
  if (!yoi_sdk_token_valid(given, YOI_REQUEST_ID_MAX)) {
    if (!yoi_sdk_uuid7(in->clock->wall_ns(in->host), made)) return;
    given = (yoi_str){made, sizeof made - 1};
  }
  memcpy(x->request_id, given.ptr, given.len);
  x->request_id_len = given.len;
}

void http_exchange_refused(struct http_conn *c) {
  if (c->x->request_id_len == 0) take_request_id(c);
  http_access_begin(c);
}

yoi_str http_exchange_trace(const struct http_exchange *x) {
  return (yoi_str){x->trace_id, x->has_trace ? sizeof x->trace_id : 0};
}

/* A traceparent is the caller's wish: what is none is left out. */
static void take_trace(struct http_exchange *x) {
  yoi_str trace = http_request_field(&x->codec.req, HTTPF_TRACEPARENT);
  if (!yoi_sdk_traceparent_valid(trace)) return;
  memcpy(x->trace_id, trace.ptr + 3, sizeof x->trace_id);
  x->has_trace = 1;
}

/* How the answer is to look: Accept and ?wait. */
static yoi_status take_form(struct http_exchange *x, yoi_error *err) {
  uint8_t accept = x->codec.req.accept;
  const struct http_params *p = &x->params;
  if (x->match.op == YOI_OP_WORKER_INPUT) {
    if (accept & HTTP_ACCEPT_SSE) x->by = HTTP_BY_EVENTS;
    else if (p->has_wait) x->by = HTTP_BY_TURN;
    if (x->by != HTTP_BY_EVENTS || !p->has_wait) return YOI_OK;
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "'wait' is for JSON answers, not for text/event-stream");
  }
  if (x->match.op != YOI_OP_WORKER_EVENTS) return YOI_OK;
  int json = (accept & HTTP_ACCEPT_JSON) && !(accept & HTTP_ACCEPT_SSE);
  x->by = json ? HTTP_BY_BATCH : HTTP_BY_EVENTS;
  if (json || (!p->has_wait && !p->has_limit)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "'wait' and 'limit' are for 'Accept: application/json'");
}

static yoi_status take_fields(struct http_conn *c, yoi_error *err) {
  struct http_exchange *x = c->x;
  struct http_request *r = &x->codec.req;
  uint64_t hops = 0, timeout_ms = 0;
  yoi_str key;
  if (http_request_has(r, HTTPF_IDEMPOTENCY_KEY) &&
      !http_idempotency_key(http_request_field(r, HTTPF_IDEMPOTENCY_KEY), &key))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "idempotency-key is not a token of 1 to %d bytes", YOI_IDEMPOTENCY_KEY_MAX);
  if (!header_number(r, HTTPF_YOI_HOPS, YOI_HOPS_MAX, &hops))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "yoi-hops is not a number up to %d",
                        YOI_HOPS_MAX);
  if (!header_number(r, HTTPF_YOI_TIMEOUT_MS, YOI_JSON_INT_MAX, &timeout_ms) ||
      (timeout_ms == 0 && http_request_has(r, HTTPF_YOI_TIMEOUT_MS)))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "yoi-timeout-ms is not a number above 0");
  if (timeout_ms == 0 || (x->params.timeout_ms > 0 && x->params.timeout_ms < timeout_ms))
    timeout_ms = x->params.timeout_ms;
  if (timeout_ms > YOI_DEADLINE_MS_MAX) timeout_ms = YOI_DEADLINE_MS_MAX;
  x->hops = (uint32_t)hops;
  if (timeout_ms > 0) x->deadline_ns = (c->loop->now_ms + timeout_ms) * 1000000u;
  return YOI_OK;
}

/* Size and media type of what is announced; the codec watches what comes. */
static yoi_status take_body_rules(struct http_exchange *x, yoi_error *err) {
  struct http_request *r = &x->codec.req;
  size_t max = http_route_body_max(&x->match);
  yoi_str coding = http_request_field(r, HTTPF_CONTENT_ENCODING);
  int has_body = http_request_has_body(r), typed = http_request_has(r, HTTPF_CONTENT_TYPE);
  if (max == 0) {
    if (!has_body) return YOI_OK;
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "this operation takes no body");
  }
  if (coding.len > 0 && !http_str_caseeq(coding, "identity"))
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_MEDIA_TYPE, "content-encoding is not accepted");
  /* Without a body no type is needed; one that is not JSON is some form. */
  if (typed ? !http_is_json(http_request_field(r, HTTPF_CONTENT_TYPE)) : has_body)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_MEDIA_TYPE, "content-type is not %s",
                        HTTP_TYPE_JSON);
  if (http_codec_want(&x->codec, max, 0)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "body is larger than %zu bytes", max);
}

/* ---- who asks ----------------------------------------------------------------- */

/* People have a cookie; programs may bring a token here too. */
static yoi_status let_in_browser(struct http_conn *c, yoi_error *err) {
  const struct http_request *r = &c->x->codec.req;
  yoi_str token = {NULL, 0};
  if (c->x->match.no_pass) {
    if (!http_login_known(c)) c->pass = http_pass_ref(c->loop->in->door.open);
    return YOI_OK;
  }
  if (http_request_has(r, HTTPF_AUTHORIZATION)) {
    yoi_status st = http_bearer(r, &token, err);
    return st == YOI_OK ? http_login_token(c, token, err) : st;
  }
  if (http_login_known(c)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_UNAUTHORIZED, "a login or a bearer token is needed");
}

static yoi_status let_in(struct http_conn *c, yoi_error *err) {
  struct http_loop *l = c->loop;
  struct http_door *d = &l->in->door;
  yoi_str token = {NULL, 0};
  if (!d->closed || c->x->match.no_token) {
    c->pass = http_pass_ref(d->open);
    return YOI_OK;
  }
  if (l->in->guard.surface == YOI_SURFACE_BROWSER) return let_in_browser(c, err);
  yoi_status st = http_bearer(&c->x->codec.req, &token, err);
  if (st != YOI_OK) return st;
  c->pass = http_ring_find(http_door_ring(l), token, l->now_ms);
  if (c->pass) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_UNAUTHORIZED, "the token is not the right one");
}

/* The workspace that the request sees: the caller's, or one that it names; it
 * can give up the sight of others, and gain none. */
static yoi_status check_workspace(const struct http_conn *c, yoi_error *err) {
  const struct http_request *r = &c->x->codec.req;
  yoi_str own = yoi_sdk_str(c->pass->caller->workspace);
  yoi_str named = http_request_field(r, HTTPF_YOI_WORKSPACE);
  if (!http_request_has(r, HTTPF_YOI_WORKSPACE)) return YOI_OK;
  if (!yoi_sdk_id_valid(named))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "yoi-workspace is not an identifier");
  if (own.len > 0 && !yoi_sdk_str_eq(own, named))
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "this token is not for workspace '%.*s'",
                        YOI_ARG(named));
  return YOI_OK;
}

/* Who it is, whether it is too often, what he may see and do. */
static yoi_status admit(struct http_conn *c, yoi_status routed, yoi_error *err) {
  const struct http_match *m = &c->x->match;
  yoi_status st = let_in(c, err);
  if (st == YOI_OK && !m->no_token) st = http_caller_take(c->pass->caller, c->loop->now_ns, err);
  if (st == YOI_OK) st = check_workspace(c, err);
  if (st == YOI_OK && routed == YOI_OK && m->kind == HTTP_KIND_OP)
    st = http_caller_may(c->pass->caller, m->op, err);
  return st;
}

yoi_status http_exchange_head(struct http_conn *c, yoi_error *err) {
  struct http_exchange *x = c->x;
  struct http_instance *in = c->loop->in;
  struct http_request *r = &x->codec.req;
  struct yoi_sdk_error routed;
  http_measure_request(c);
  take_request_id(c);
  take_trace(x);
  http_access_begin(c);
  x->keep_alive = r->keep_alive;
  yoi_status found = http_route(in->guard.surface, in->door.closed, r, &x->match,
                                yoi_sdk_error_init(&routed));
  int page = found == YOI_OK && x->match.kind == HTTP_KIND_PAGE;
  yoi_status st = http_guard_check(&in->guard, r, page, x->match.no_token, err);
  if (st == YOI_OK) st = admit(c, found, err);
  if (st != YOI_OK) return st;
  if (found != YOI_OK) {
    yoi_sdk_error_copy(err, &routed.e);
    return found;
  }
  if ((st = http_route_query(&x->match, r, &x->params, &x->body, err)) != YOI_OK) return st;
  if ((st = take_fields(c, err)) != YOI_OK) return st;
  if ((st = take_form(x, err)) != YOI_OK) return st;
  yoi_str tag = http_answer_tag(&x->match);
  x->unchanged = tag.len > 0 && http_none_match(http_request_field(r, HTTPF_IF_NONE_MATCH), tag);
  return take_body_rules(x, err);
}

/* ---- starting -------------------------------------------------------------- */

static yoi_status check_json(yoi_str body, yoi_error *err) {
  struct yoi_sdk_json_error e;
  yoi_status st = yoi_sdk_json_check(body, 0, &e);
  size_t i = 0;
  if (st != YOI_OK) {
    char details[96];
    int n = snprintf(details, sizeof details, "{\"line\":%u,\"column\":%u}", e.line, e.column);
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "body is not valid JSON: %s", e.message);
    yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
    return st;
  }
  while (i < body.len && strchr(" \t\r\n", body.ptr[i])) i++;
  if (body.ptr[i] == '{') return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "body is not a JSON object");
}

/* Streams that last need a place; they count as long as they are held. */
static yoi_status reserve(struct http_conn *c, yoi_error *err) {
  struct http_instance *in = c->loop->in;
  struct http_exchange *x = c->x;
  char key[2 * YOI_ID_MAX + 2];
  yoi_str k = {key, 0};
  if (x->by != HTTP_BY_RESULT) {
    if (atomic_fetch_add(&in->streams, 1u) >= in->config.streams) {
      atomic_fetch_sub(&in->streams, 1u);
      return http_limit_reached(err, "too many event streams", "streams", in->config.streams);
    }
    uint32_t of_peer = c->local ? in->config.local_streams : in->config.peer_streams;
    if (!http_peers_stream(&in->peers, c->peer, of_peer)) {
      atomic_fetch_sub(&in->streams, 1u);
      return http_limit_reached(err, "too many event streams of one peer", "streams_per_peer",
                                of_peer);
    }
    c->counted = 1;
    http_measure_stream(in, 1);
    k.len = (size_t)snprintf(key, sizeof key, "%s/%s", x->match.runtime_id, x->match.worker_id);
  }
  c->slot = http_slot_get(&c->loop->slots, k);
  if (!c->slot) return yoi_sdk_fail_memory(err);
  c->slot_prev = NULL;
  c->slot_next = c->slot->first;
  if (c->slot_next) c->slot_next->slot_prev = c;
  c->slot->first = c;
  return YOI_OK;
}

/* What the header says, read again: while the body came it has moved, and what was
 * checked then is at these places only now. */
static void take_header(const struct http_conn *c, yoi_request *req) {
  const struct http_exchange *x = c->x;
  const struct http_request *r = &x->codec.req;
  const char *own = c->pass->caller->workspace;
  if (x->has_trace) req->trace = http_request_field(r, HTTPF_TRACEPARENT);
  if (http_request_has(r, HTTPF_IDEMPOTENCY_KEY))
    (void)http_idempotency_key(http_request_field(r, HTTPF_IDEMPOTENCY_KEY), &req->idempotency_key);
  req->workspace = *own ? yoi_sdk_str(own) : http_request_field(r, HTTPF_YOI_WORKSPACE);
  if (req->workspace.len > 0) req->flags |= YOI_REQ_WORKSPACE;
}

static yoi_status start(struct http_conn *c, yoi_error *err) {
  struct http_instance *in = c->loop->in;
  struct http_exchange *x = c->x;
  const struct http_match *m = &x->match;
  int runtime_surface = in->guard.surface == YOI_SURFACE_RUNTIME, follows = 0;
  const char *rid = m->host_scope ? "" : runtime_surface ? in->runtime_id : m->runtime_id;
  yoi_str body = x->codec.req.body.len > 0 ? x->codec.req.body : yoi_sdk_buf_str(&x->body);
  yoi_status st = YOI_OK;
  if (x->codec.req.body.len > 0 && m->op != YOI_OP_BUNDLE_PUT) st = check_json(body, err);
  else if (body.len == 0 && http_route_needs_body(m->op))
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "this operation needs a JSON body");
  if (st == YOI_OK) st = reserve(c, err);
  if (st != YOI_OK) return st;
  follows = m->op == YOI_OP_WORKER_INPUT && x->by != HTTP_BY_RESULT;
  x->once = x->by == HTTP_BY_BATCH && x->params.wait_ms == 0;
  yoi_request req = {
      .size = sizeof req,
      .op = m->op,
      .origin = runtime_surface ? YOI_ORIGIN_RUNTIME : YOI_ORIGIN_BROWSER,
      .hops = x->hops,
      .flags = follows ? YOI_REQ_FOLLOW : x->once ? YOI_REQ_ONCE : 0,
      .deadline_ns = x->deadline_ns,
      .token = c->slot->token,
      .worker_id = yoi_sdk_str(m->worker_id),
      .subject = yoi_sdk_str(m->subject),
      .principal = yoi_sdk_str(c->pass->caller->principal),
      .request_id = {x->request_id, x->request_id_len},
      .body = body,
  };
  take_header(c, &req);
  st = in->registry->start(in->host, yoi_sdk_str(rid), &req, &c->stream, err);
  if (!x->once || st == YOI_OK || !err || err->code != YOI_CODE_UNSUPPORTED_OPERATION) return st;
  x->once = 0; /* a runtime of before ABI 1.3, or one without events */
  req.flags &= ~(uint32_t)YOI_REQ_ONCE;
  return in->registry->start(in->host, yoi_sdk_str(rid), &req, &c->stream, err);
}

/* How long a batch of what there is may take; the host says so first, when nothing came. */
static uint64_t once_ms(const struct http_conn *c) {
  uint64_t at_ms = c->x->deadline_ns / 1000000u, now_ms = c->loop->now_ms;
  uint64_t left = at_ms == 0 ? YOI_DEADLINE_MS_DEFAULT : at_ms > now_ms ? at_ms - now_ms : 0;
  return left + HTTP_QUIET_MS;
}

void http_exchange_run(struct http_conn *c) {
  struct http_exchange *x = c->x;
  struct http_instance *in = c->loop->in;
  struct yoi_sdk_error e;
  switch (x->match.kind) {
  case HTTP_KIND_HEALTH: {
    struct http_reply r = http_answer_reply(c, 200, HTTP_TYPE_JSON);
    http_answer_made(c, &r, YOI_LIT("{\"status\":\"ok\"}"));
    return;
  }
  case HTTP_KIND_PAGE:
    /* Who has no session has the open pass, where tokens are asked for. */
    http_answer_page(c, in->door.closed && c->pass == in->door.open ? &in->login_page : &in->page);
    return;
  case HTTP_KIND_LOGIN: http_login(c); return;
  case HTTP_KIND_LOGOUT: http_logout(c); return;
  default: break;
  }
  c->state = HTTP_CONN_HANDLING;
  http_timer_cancel(&c->loop->wheel, &c->timer); /* that of the header or the body */
  if (start(c, yoi_sdk_error_init(&e)) != YOI_OK) {
    http_answer_error(c, &e.e);
    return;
  }
  if (x->by == HTTP_BY_BATCH) http_wait_from(c, yoi_sdk_buf_str(&x->body));
  /* From here on nothing refers to the request's bytes. */
  http_codec_release(&x->codec);
  yoi_sdk_buf_release(&x->body);
  if (x->by == HTTP_BY_TURN) http_conn_timer(c, x->params.wait_ms);
  if (x->by == HTTP_BY_BATCH && !x->once)
    http_conn_timer(c, x->params.wait_ms > HTTP_QUIET_MS ? x->params.wait_ms : HTTP_QUIET_MS);
  if (x->once) http_conn_timer(c, once_ms(c)); /* the host's deadline ends with the first event */
  if (x->by == HTTP_BY_EVENTS && x->match.op == YOI_OP_WORKER_EVENTS)
    http_conn_timer(c, HTTP_QUIET_MS);
  http_exchange_poll(c);
}

/* ---- polling ----------------------------------------------------------------- */

static void no_answer(struct http_conn *c) {
  struct yoi_sdk_error e;
  yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_INTERNAL, "the operation ended without an answer");
  http_answer_error(c, &e.e);
}

static void ended(struct http_conn *c, yoi_status st, const yoi_error *err) {
  if (c->x->by == HTTP_BY_TURN || c->x->by == HTTP_BY_BATCH) http_wait_end(c, st, err);
  else if (st == YOI_END) no_answer(c);
  else http_answer_error(c, err);
}

/* 1 when the connection needs no further event now. */
static int take_events(struct http_conn *c, const yoi_event *const *evs, size_t n) {
  switch (c->x->by) {
  case HTTP_BY_EVENTS:
    http_sse_begin(c);
    if (c->state == HTTP_CONN_STREAMING) {
      /* Not sent yet: a turn that was asked for begins in a task of this loop
       * that is due before this one's, and its first events go along. */
      http_sse_batch(c, evs, n);
      http_loop_ready(c);
    }
    return 1;
  case HTTP_BY_TURN:
  case HTTP_BY_BATCH: return http_wait_events(c, evs, n);
  default: break;
  }
  for (size_t i = 0; i < n; i++) {
    if (evs[i]->kind != YOI_EVENT_RESULT) continue;
    http_answer_result(c, evs[i]->text, evs[i]->flags);
    return 1;
  }
  return 0;
}

/* 1: who waits may no more. What was asked for at once is answered all the same:
 * it was allowed when it began. */
static int is_over(struct http_conn *c) {
  struct yoi_sdk_error e;
  if (c->x->by == HTTP_BY_RESULT || http_pass_good(c->pass, c->loop->now_ms)) return 0;
  yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_UNAUTHORIZED, "the token or login is over");
  http_answer_error(c, &e.e);
  return 1;
}

void http_exchange_poll(struct http_conn *c) {
  struct yoi_sdk_error e;
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  if (c->state == HTTP_CONN_STREAMING) {
    /* A full socket says when it goes on. */
    if (!http_conn_full(c)) http_sse_pump(c);
    return;
  }
  if (c->state != HTTP_CONN_HANDLING || is_over(c)) return;
  for (int i = 0; i < HTTP_BATCHES_PER_TURN; i++) {
    yoi_status st = c->stream->ops->next(c->stream, &evs, &n, yoi_sdk_error_init(&e));
    if (st == YOI_AGAIN) {
      if (c->x->by == HTTP_BY_TURN || c->x->by == HTTP_BY_BATCH) http_wait_quiet(c, 0);
      else if (c->x->by == HTTP_BY_EVENTS && c->x->match.head) http_sse_begin(c);
      return;
    }
    if (st != YOI_OK) {
      ended(c, st, &e.e);
      return;
    }
    if (take_events(c, evs, n)) return;
  }
  http_loop_ready(c);
}

void http_exchange_expired(struct http_conn *c) {
  if (is_over(c)) return;
  if (c->x->by == HTTP_BY_TURN || c->x->by == HTTP_BY_BATCH) http_wait_quiet(c, 1);
  else if (c->x->by == HTTP_BY_EVENTS && c->x->match.op == YOI_OP_WORKER_EVENTS) {
    http_sse_begin(c);
    if (c->state == HTTP_CONN_STREAMING) http_sse_pump(c);
  }
}
