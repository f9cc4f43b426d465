/* ask.c - one request to the remote, from its first attempt to its outcome.
 *
 *   send --not verified--> PARKED --looked at--+
 *     |                                        |
 *     +--------> SENT <---backoff--- (again) <-+---- done(outcome)
 *                  |                     ^
 *                  | answer, or none     | may be repeated, attempts and time
 *                  +---------------------+ are left
 *                  | a stream: open, event ..., done
 *
 *  1. Each ask that was sent has exactly one `done`, unless it is freed before.
 *  2. What is asked again: requests that got no answer, or one that is none.
 *     An error in the one form of errors is an answer, and final. All that is
 *     sent is safe to repeat (request.c, 3), but a cancel, which names no turn: if
 *     it had its effect, the turn behind would be the next to go; nor does libcurl
 *     send that again. A stream that was open is lost; who holds it decides what
 *     then.
 *  3. Nothing but a look at the remote is sent before it was looked at.
 *  4. A delete that is repeated may find its own work done: then it is done.
 *  5. The private detail of an error is fixed words and numbers: it stands in the
 *     log. What libcurl says of addresses is for the level debug.
 */
#include "remote.h"

#include <sdk/mem.h>
#include <sdk/retry.h>

#define LEAVE_MS 1000 /* for the end of an answer whose last event came */
#define VARYING_MAX (YOI_SECRET_BYTES_MAX + 128)

uint64_t rem_backoff_ns(uint32_t attempt) {
  uint32_t r = 0;
  (void)yoi_sdk_random(&r, sizeof r); /* without: all wait alike */
  return yoi_sdk_retry_backoff(attempt, YOI_REMOTE_BACKOFF_MS, YOI_REMOTE_BACKOFF_MAX_MS, r) *
         REM_NS_PER_MS;
}

static void finish(struct rem_ask *a, struct rem_outcome *o) {
  struct rem_instance *i = a->i;
  uint32_t id = o->st == YOI_OK ? i->metric.answered
                : o->again      ? i->metric.failed
                                : i->metric.refused;
  yoi_sdk_metric_add(&i->metrics, id, 1);
  a->over = 1;
  a->handler->done(a->ctx, o);
}

static void on_retry(void *ctx) {
  struct rem_ask *a = ctx;
  a->timer = 0;
  rem_ask_send(a);
}

/* 1: it will be sent again. */
static int try_again(struct rem_ask *a) {
  struct rem_instance *i = a->i;
  uint64_t at = rem_now(i) + rem_backoff_ns(a->attempt);
  if (a->attempt >= a->retries || (a->deadline_ns && at >= a->deadline_ns)) return 0;
  if (i->loop->timer(i->host, at, on_retry, a, &a->timer) != YOI_OK) return 0;
  a->attempt++;
  yoi_sdk_metric_add(&i->metrics, i->metric.retries, 1);
  return 1;
}

static void failed(struct rem_ask *a, struct rem_outcome *o) {
  if (!o->again || !try_again(a)) finish(a, o);
}

/* ---- answers --------------------------------------------------------------- */

/* JSON may be laid out in lines; an event is one. Outside of strings, where
 * none can stand, a line feed is white space. */
static void one_line(struct yoi_sdk_buf *b) {
  for (char *p = b->data, *end = p + b->len; p < end; p++)
    if (*p == '\n' || *p == '\r') *p = ' ';
}

static void is_malformed(struct rem_outcome *o, const char *why) {
  o->st = yoi_sdk_fail(&o->error.e, YOI_CODE_REMOTE_MALFORMED,
                       "the remote answered with something that is no answer");
  yoi_sdk_fail_private(&o->error.e, "%s", why);
  o->again = 1;
}

static int digest_fits(const struct rem_ask *a, yoi_str bytes) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char text[YOI_SDK_DIGEST_SIZE];
  if (!yoi_sdk_sha256(bytes.ptr, bytes.len, sha)) return 0;
  yoi_sdk_digest_text(sha, text);
  yoi_str url = yoi_sdk_buf_str(&a->request.url);
  return url.len >= YOI_SDK_DIGEST_SIZE - 1 &&
         memcmp(url.ptr + url.len - (YOI_SDK_DIGEST_SIZE - 1), text, YOI_SDK_DIGEST_SIZE - 1) == 0;
}

static void success(struct rem_ask *a, struct rem_outcome *o) {
  const struct rem_op *op = rem_op_find(a->request.op);
  int created = a->status == 201 && (op->status == 201 || a->request.op == YOI_OP_BUNDLE_PUT);
  int there = a->status == 200 && op->status == 201;
  if (a->request.op == YOI_OP_BUNDLE_GET) {
    o->text = yoi_sdk_buf_str(&a->answer);
    if (a->status != 200 || !digest_fits(a, o->text))
      is_malformed(o, "not the bytes of the digest");
    return;
  }
  if (op->status == 204 && a->status == 204) {
    o->text = YOI_LIT("{}");
    return;
  }
  one_line(&a->answer);
  o->flags = created ? YOI_EV_CREATED : 0;
  if (op->status == 204 || (a->status != op->status && !created && !there))
    is_malformed(o, "a status that the operation does not have");
  else if (a->answer.failed || !a->json ||
           !rem_answer_fits(a->request.op, yoi_sdk_buf_str(&a->request.about), &a->answer))
    is_malformed(o, "not the answer of the operation");
  o->text = yoi_sdk_buf_str(&a->answer);
}

/* 4 above. */
static int done_before(const struct rem_ask *a, const struct rem_outcome *o) {
  if (!a->sent_before) return 0;
  return (a->request.op == YOI_OP_WORKER_DELETE &&
          o->error.e.code == YOI_CODE_WORKER_NOT_FOUND) ||
         (a->request.op == YOI_OP_BUNDLE_DELETE && o->error.e.code == YOI_CODE_BUNDLE_NOT_FOUND);
}

static void refused(struct rem_ask *a, struct rem_outcome *o) {
  uint32_t wait = a->retry_after_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)a->retry_after_ms;
  o->st = rem_error_map(a->request.op, yoi_sdk_buf_str(&a->request.body), a->status,
                        yoi_sdk_buf_str(&a->answer), wait, &o->error.e);
  /* A proxy between says that nobody is there, in words of its own. */
  o->again = o->error.e.code == YOI_CODE_REMOTE_MALFORMED;
  if (a->status == 401 && a->i->secret && YOI_HAS(yoi_host_secret, a->i->secret, refresh))
    a->i->secret->refresh(a->i->host);
  if (!done_before(a, o)) return;
  o->st = YOI_OK;
  o->again = 0;
  o->text = YOI_LIT("{}");
}

/* No answer came. */
static void transport(struct rem_ask *a, const struct yoi_sdk_http_result *result,
                      struct rem_outcome *o) {
  int32_t code = YOI_CODE_RUNTIME_UNAVAILABLE;
  const char *message = "the remote cannot be reached";
  o->again = 1;
  switch (result->end) {
    case YOI_SDK_HTTP_CONNECT: break;
    case YOI_SDK_HTTP_TLS:
      message = "there is no secure connection to the remote";
      break;
    case YOI_SDK_HTTP_FIRST_BYTE:
    case YOI_SDK_HTTP_STALLED:
    case YOI_SDK_HTTP_TOTAL:
      code = YOI_CODE_TIMEOUT;
      message = "the remote did not answer in time";
      o->again = result->end != YOI_SDK_HTTP_TOTAL;
      break;
    case YOI_SDK_HTTP_OK: /* a stream that ended by itself */
    case YOI_SDK_HTTP_CLOSED:
      message = "the connection to the remote was lost";
      break;
    case YOI_SDK_HTTP_INTERNAL:
      code = YOI_CODE_INTERNAL;
      message = "the request could not be sent";
      o->again = 0;
      break;
    default: /* malformed, too large, stopped */
      code = YOI_CODE_REMOTE_MALFORMED;
      message = "the remote answered with something that is no answer";
      break;
  }
  o->st = yoi_sdk_fail(&o->error.e, code, "%s", message);
  yoi_sdk_fail_private(&o->error.e, "%s", result->cause);
  rem_log(a->i, YOI_LOG_DEBUG, "no answer came", result->detail, NULL);
  if (code == YOI_CODE_RUNTIME_UNAVAILABLE) rem_health_suspect(a->i);
}

/* ---- the exchange ----------------------------------------------------------- */

static int has_type(yoi_str content_type, const char *type) {
  size_t n = strlen(type);
  return content_type.len >= n && memcmp(content_type.ptr, type, n) == 0 &&
         (content_type.len == n || content_type.ptr[n] == ';' || content_type.ptr[n] == ' ');
}

static int on_head(void *ctx, const struct yoi_sdk_http_head *head) {
  struct rem_ask *a = ctx;
  const struct rem_instance *i = a->i;
  a->status = head->status;
  a->json = has_type(head->content_type, "application/json") != 0;
  if (!yoi_sdk_retry_after(head->retry_after_ms, head->retry_after, i->clock->wall_ns(i->host),
                           &a->retry_after_ms))
    a->retry_after_ms = 0;
  if (a->request.form != REM_STREAM || head->status != 200) return 0;
  if (!has_type(head->content_type, "text/event-stream")) return 1;
  a->opened = 1;
  if (a->handler->open) a->handler->open(a->ctx);
  return 0;
}

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  struct rem_ask *a = ctx;
  return a->handler->event(a->ctx, ev);
}

static int on_body(void *ctx, yoi_str bytes) {
  struct rem_ask *a = ctx;
  if (a->opened) return yoi_sdk_sse_feed(&a->sse, bytes) != YOI_OK;
  yoi_sdk_buf_adds(&a->answer, bytes);
  return a->answer.failed != 0;
}

static void on_done(void *ctx, const struct yoi_sdk_http_result *result) {
  struct rem_ask *a = ctx;
  struct rem_outcome o;
  a->x = NULL;
  o = (struct rem_outcome){.st = YOI_OK, .opened = a->opened};
  (void)yoi_sdk_error_init(&o.error);
  if (a->opened || result->end != YOI_SDK_HTTP_OK)
    transport(a, result, &o);
  else if (a->status >= 200 && a->status < 300)
    success(a, &o);
  else
    refused(a, &o);
  a->sent_before |= result->sent != 0;
  if (a->request.op == YOI_OP_WORKER_CANCEL && a->sent_before) o.again = 0;
  if (o.st == YOI_OK || a->opened)
    finish(a, &o);
  else
    failed(a, &o);
}

static const struct yoi_sdk_http_handler exchange = {
    .head = on_head, .body = on_body, .done = on_done};

static yoi_status start(struct rem_ask *a, yoi_error *err) {
  struct rem_instance *i = a->i;
  const struct rem_config *c = &i->config;
  const char *lines[YOI_HTTP_CLIENT_HEADERS_MAX];
  struct yoi_sdk_buf *all[] = {&a->request.lines, &a->varying};
  size_t n = 0;
  uint32_t wait_ms = a->request.form == REM_STREAM ? c->idle_ms : c->answer_ms;
  if (a->varying.len) yoi_sdk_wipe(a->varying.data, a->varying.len);
  yoi_sdk_buf_clear(&a->varying);
  yoi_status st = rem_request_lines(i, a->deadline_ns, &a->varying, err);
  if (st != YOI_OK) return st;
  for (size_t k = 0; k < 2; k++)
    for (size_t at = 0; at < all[k]->len && n < YOI_HTTP_CLIENT_HEADERS_MAX;
         at += strlen(all[k]->data + at) + 1)
      lines[n++] = all[k]->data + at;
  yoi_str body = yoi_sdk_buf_str(&a->request.body);
  struct yoi_sdk_http_request req = {
      .url = a->request.url.data,
      .headers = lines,
      .n_headers = n,
      .body = {a->request.has_body ? (body.len ? body.ptr : "") : NULL, body.len},
      .method = a->request.method,
      .flags = a->request.op == YOI_OP_WORKER_CANCEL ? YOI_SDK_HTTP_FRESH : 0,
      .connect_ms = c->connect_ms,
      .first_byte_ms = wait_ms,
      .gap_ms = wait_ms,
      .deadline_ns = a->request.form == REM_STREAM ? 0 : a->deadline_ns,
      .response_max = a->request.form == REM_STREAM ? SIZE_MAX : YOI_JSON_BYTES_MAX,
  };
  return yoi_sdk_http_start(i->http, &req, &exchange, a, &a->x, err);
}

void rem_ask_send(struct rem_ask *a) {
  a->loop = rem_here(a->i);
  struct rem_outcome o = {.st = YOI_OK};
  if (!a->free_of_check && !atomic_load(&a->i->health.verified)) {
    rem_health_park(a);
    return;
  }
  a->status = 0;
  a->retry_after_ms = 0;
  a->opened = a->paused = 0;
  yoi_sdk_buf_clear(&a->answer);
  yoi_sdk_sse_clear(&a->sse);
  o.st = start(a, yoi_sdk_error_init(&o.error));
  if (o.st != YOI_OK) finish(a, &o);
}

void rem_ask_unpark(struct rem_ask *a, const yoi_error *why) {
  struct rem_outcome o = {.again = 1};
  if (!why) {
    rem_ask_send(a);
    return;
  }
  yoi_sdk_error_copy(yoi_sdk_error_init(&o.error), why);
  o.st = yoi_sdk_code_status(why->code);
  failed(a, &o);
}

void rem_ask_pause(struct rem_ask *a, int on) {
  if (!a->x || a->paused == on) return;
  a->paused = on != 0;
  if (on)
    yoi_sdk_http_pause(a->x);
  else
    yoi_sdk_http_resume(a->x);
}

/* ---- making and freeing ------------------------------------------------------ */

yoi_status rem_ask_new(struct rem_instance *i, const yoi_request *req, enum rem_form form,
                       uint32_t retries, const struct rem_ask_handler *handler, void *ctx,
                       struct rem_ask **out, yoi_error *err) {
  struct rem_ask *a = yoi_sdk_calloc(1, sizeof *a);
  if (!a) return yoi_sdk_fail_memory(err);
  a->i = i;
  a->handler = handler;
  a->ctx = ctx;
  a->retries = retries;
  a->deadline_ns = req->deadline_ns;
  /* It is the look itself, if only another host's: two hosts that wait for
   * each other's would find no ring. */
  a->free_of_check = req->op == YOI_OP_RUNTIME_DESCRIBE;
  yoi_sdk_buf_init(&a->varying, VARYING_MAX);
  yoi_sdk_buf_init(&a->answer, YOI_JSON_BYTES_MAX);
  yoi_sdk_sse_init(&a->sse, YOI_JSON_BYTES_MAX, YOI_JSON_BYTES_MAX, on_event, a);
  yoi_status st = rem_request_make(i, req, form, &a->request, err);
  if (st == YOI_OK)
    *out = a;
  else
    rem_ask_free(a);
  return st;
}

void rem_ask_free(struct rem_ask *a) {
  if (!a) return;
  struct rem_instance *i = a->i;
  if (!atomic_load(&i->closing)) {
    if (a->timer) i->loop->timer_cancel(i->host, a->timer);
    yoi_sdk_http_cancel(a->x);
    if (a->parked) {
      *(a->prev ? &a->prev->next : &i->loops[a->loop].parked) = a->next;
      if (a->next) a->next->prev = a->prev;
    }
  }
  if (a->varying.len) yoi_sdk_wipe(a->varying.data, a->varying.len);
  rem_request_release(&a->request);
  yoi_sdk_buf_release(&a->varying);
  yoi_sdk_buf_release(&a->answer);
  yoi_sdk_sse_release(&a->sse);
  yoi_sdk_free(a);
}

void rem_ask_leave(struct rem_ask *a) {
  if (a && a->x && !atomic_load(&a->i->closing)) {
    yoi_sdk_http_leave(a->x, LEAVE_MS);
    a->x = NULL;
  }
  rem_ask_free(a);
}
