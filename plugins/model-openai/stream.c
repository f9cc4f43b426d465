/* stream.c - one generation, as the stream that the holder polls.
 *
 *             start
 *               |
 *               v        name known           send
 *            NAMING --------------> WAITING -------> ASKING
 *               ^  \                  ^  |              | |
 *               |   \ no name, again  |  | gate, backoff| | failed, nothing
 *               |    +----------------+  | (wait.c)     | | handed out: again
 *               |                     ^  +--------------+ |
 *               |                     +-------------------+
 *               |
 *    any of these --[DONE], end of answer--> ENDED (END)
 *                 --cancel----------------> ENDED (CANCELLED)
 *                 --failed, no retry------> ENDED (failure)
 *
 * The stream is polled on the loop that it was started on, which is also the
 * one that reads the provider's socket: chunks are parsed into `answer.out`,
 * next takes them out, and no lock and no copy lies between.
 *
 * Invariants:
 *  1. Everything is touched on the stream's loop, but for cancel_asked and
 *     what never changes. cancel from elsewhere posts a task; while that task
 *     is on its way the memory stays, whoever has released the stream.
 *  2. One wake per AGAIN: `owed` is set when AGAIN is given out and cleared
 *     by the wake. Before the first AGAIN the holder polls unasked.
 *  3. Once an event was written there is no other attempt (answer.emitted).
 *  4. After [DONE] the answer is complete, whatever still comes: the exchange
 *     then only ends, so that its connection can be used again.
 *  5. While more than YOI_MODEL_BUFFER_BYTES wait unpolled, nothing is read.
 */
#include "oai.h"

#include <assert.h>
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/retry.h>

#define REQUEST_BYTES_MAX 16777216 /* a context of 2 million tokens fits */

static int is_success(uint32_t status) {
  return status >= 200 && status < 300;
}

void oai_stream_news(struct oai_stream *s) {
  if (!s->owed) return;
  s->owed = 0;
  s->instance->host->wake(s->instance->host, s->token);
}

void oai_stream_end(struct oai_stream *s, yoi_status st) {
  assert(s->state != OAI_ENDED);
  s->state = OAI_ENDED;
  s->status = st;
  oai_stream_news(s);
}

/* ---- the exchange ------------------------------------------------------------ */

static int on_head(void *ctx, const struct yoi_sdk_http_head *head) {
  struct oai_stream *s = ctx;
  const struct oai_instance *i = s->instance;
  s->http_status = head->status;
  s->has_wait = yoi_sdk_retry_after(head->retry_after_ms, head->retry_after,
                                    i->clock->wall_ns(i->host), &s->asked_ms) != 0;
  snprintf(s->should_retry, sizeof s->should_retry, "%.*s", YOI_ARG(head->should_retry));
  return 0;
}

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  struct oai_stream *s = ctx;
  return oai_answer_event(&s->answer, ev->type, ev->data, &s->failure) != NULL;
}

/* What a body is, by its first byte: servers that ignore `stream`, or name
 * the wrong type, are recognised all the same. */
static uint32_t form_of(yoi_str bytes) {
  if (bytes.len >= 3 && memcmp(bytes.ptr, "\xef\xbb\xbf", 3) == 0) bytes.ptr += 3, bytes.len -= 3;
  for (size_t i = 0; i < bytes.len; i++) {
    char c = bytes.ptr[i];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    return c == '{' ? OAI_FORM_JSON : c == '<' ? OAI_FORM_OTHER : OAI_FORM_SSE;
  }
  return OAI_FORM_NONE;
}

/* The answer is complete. */
static void complete(struct oai_stream *s) {
  struct oai_instance *i = s->instance;
  if (oai_answer_close(&s->answer, i->clock->wall_ns(i->host), &s->failure) != NULL) {
    oai_stream_end(s, YOI_UNAVAILABLE);
    return;
  }
  if (s->answer.finish == OAI_FINISH_ODD)
    oai_log(i, YOI_LOG_WARN, "unknown finish reason taken as stop", s->answer.odd_finish, 0, 0);
  oai_stream_end(s, YOI_END);
}

static int feed(struct oai_stream *s, yoi_str bytes) {
  yoi_status st = yoi_sdk_sse_feed(&s->sse, bytes);
  if (st != YOI_OK) {
    if (!s->failure.kind[0])
      oai_failure_set(&s->failure, "too_large", "a line or an event of the stream is too long");
    return 1;
  }
  if (s->answer.done) {
    complete(s);
  } else if (oai_out_any(&s->answer.out)) {
    oai_stream_news(s);
    if (s->answer.out.fill.text.len > YOI_MODEL_BUFFER_BYTES && !s->paused) {
      s->paused = 1;
      yoi_sdk_http_pause(s->x);
    }
  }
  return 0;
}

static int on_body(void *ctx, yoi_str bytes) {
  struct oai_stream *s = ctx;
  if (s->state == OAI_ENDED) return 0;
  if (!is_success(s->http_status)) {
    size_t room = YOI_MODEL_ERROR_BODY_MAX - s->text.len;
    if (bytes.len > room) bytes.len = room;
    yoi_sdk_buf_adds(&s->text, bytes);
    return s->text.failed || s->text.len == YOI_MODEL_ERROR_BODY_MAX;
  }
  if (s->form == OAI_FORM_NONE) s->form = form_of(bytes);
  if (s->form == OAI_FORM_SSE) return feed(s, bytes);
  if (s->form == OAI_FORM_OTHER) {
    oai_failure_set(&s->failure, "malformed", "the answer is neither a stream nor JSON");
    oai_failure_quote(&s->failure, bytes);
    return 1;
  }
  yoi_sdk_buf_adds(&s->text, bytes);
  if (s->text.failed) oai_failure_set(&s->failure, "too_large", "the answer is too long");
  return s->text.failed != 0;
}

/* The body ended: is that the end of the answer? */
static void end_of_answer(struct oai_stream *s, const struct yoi_sdk_http_result *result) {
  struct oai_answer *a = &s->answer;
  struct yoi_sdk_sse_event rest;
  if (s->form == OAI_FORM_JSON && result->end == YOI_SDK_HTTP_OK) {
    if (oai_answer_event(a, (yoi_str){0}, yoi_sdk_buf_str(&s->text), &s->failure) != NULL) return;
    if (a->chunks) a->done = 1;
  }
  if (s->form == OAI_FORM_SSE && yoi_sdk_sse_rest(&s->sse, &rest)) oai_answer_rest(a, rest.data);
  if (a->done || a->finish != OAI_FINISH_NONE) return;
  if (result->end != YOI_SDK_HTTP_OK)
    oai_failure_transport(&s->failure, result);
  else if (s->form != OAI_FORM_NONE && a->chunks == 0)
    oai_failure_set(&s->failure, "malformed", "the answer holds no completion");
  else
    oai_failure_set(&s->failure, "closed", "the answer ended without a finish reason");
}

static void on_done(void *ctx, const struct yoi_sdk_http_result *result) {
  struct oai_stream *s = ctx;
  s->x = NULL;
  s->paused = 0;
  if (s->state == OAI_ENDED) return;
  if (s->failure.kind[0]) {
    s->failure.status = s->http_status;
  } else if (result->status && !is_success(result->status)) {
    oai_failure_http(&s->failure, result->status, yoi_sdk_str(s->should_retry),
                     yoi_sdk_buf_str(&s->text));
  } else if (result->end == YOI_SDK_HTTP_OK || result->end == YOI_SDK_HTTP_CLOSED) {
    end_of_answer(s, result);
  } else {
    oai_failure_transport(&s->failure, result);
  }
  if (!s->failure.kind[0]) {
    complete(s);
    return;
  }
  s->failure.has_wait = s->has_wait;
  s->failure.retry_after_ms = s->asked_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)s->asked_ms;
  oai_wait_failed(s);
}

static const struct yoi_sdk_http_handler handler = {
    .head = on_head, .body = on_body, .done = on_done};

void oai_stream_send(struct oai_stream *s) {
  struct oai_instance *i = s->instance;
  const struct oai_config *c = &i->config;
  const char *lines[YOI_HTTP_CLIENT_HEADERS_MAX];
  size_t n = c->n_lines;
  memcpy(lines, c->lines, n * sizeof lines[0]);
  for (size_t at = 0; at < s->lines.len; at += strlen(s->lines.data + at) + 1)
    lines[n++] = s->lines.data + at;
  struct yoi_sdk_http_request req = {
      .url = c->chat_url,
      .headers = lines,
      .n_headers = n,
      .body = yoi_sdk_buf_str(&s->body),
      .connect_ms = c->connect_ms,
      .first_byte_ms = c->first_byte_ms,
      .gap_ms = c->gap_ms,
      .deadline_ns = s->deadline_ns,
      .response_max = YOI_MODEL_RESPONSE_MAX,
  };
  struct yoi_sdk_error e;
  s->state = OAI_ASKING;
  s->form = OAI_FORM_NONE;
  s->http_status = 0;
  s->has_wait = 0;
  s->asked_ms = 0;
  s->should_retry[0] = '\0';
  oai_failure_clear(&s->failure);
  yoi_sdk_buf_clear(&s->text);
  yoi_sdk_sse_clear(&s->sse);
  oai_answer_clear(&s->answer);
  if (yoi_sdk_http_start(i->http, &req, &handler, s, &s->x, yoi_sdk_error_init(&e)) == YOI_OK)
    return;
  oai_failure_set(&s->failure, "connect", "%s: %s", e.message, e.private_detail);
  s->failure.again = 0;
  oai_wait_failed(s);
}

/* ---- the ABI's stream --------------------------------------------------------- */

static yoi_status next(yoi_stream *stream, const yoi_event *const **out_events, size_t *out_n,
                       yoi_error *err) {
  struct oai_stream *s = (struct oai_stream *)(void *)stream;
  if (s->state == OAI_ENDED && s->status == YOI_CANCELLED) {
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  size_t n = oai_out_next(&s->answer.out, out_events);
  if (n) {
    *out_n = n;
    /* What is read now goes into the other batch; this one stays. */
    if (s->paused && s->x && s->answer.out.fill.text.len < YOI_MODEL_BUFFER_BYTES / 2) {
      s->paused = 0;
      yoi_sdk_http_resume(s->x);
    }
    return YOI_OK;
  }
  if (s->state != OAI_ENDED) {
    s->owed = 1;
    return YOI_AGAIN;
  }
  return s->status == YOI_END ? YOI_END : oai_failure_tell(&s->failure, err);
}

static void drop_timer(struct oai_stream *s) {
  if (s->timer) s->instance->loop->timer_cancel(s->instance->host, s->timer);
  s->timer = 0;
}

/* On the stream's loop. */
static void cancel_here(struct oai_stream *s) {
  if (s->state == OAI_ENDED) return;
  drop_timer(s);
  yoi_sdk_http_cancel(s->x);
  s->x = NULL;
  oai_stream_end(s, YOI_CANCELLED);
}

static void cancel_task(void *ctx) {
  struct oai_stream *s = ctx;
  atomic_store(&s->cancel_asked, 0);
  if (s->released)
    oai_stream_free(s);
  else
    cancel_here(s);
}

static void cancel(yoi_stream *stream) {
  struct oai_stream *s = (struct oai_stream *)(void *)stream;
  struct oai_instance *i = s->instance;
  if (i->loop->current(i->host) == s->loop) {
    cancel_here(s);
    return;
  }
  if (atomic_exchange(&s->cancel_asked, 1)) return;
  /* After a post that succeeded the stream may be gone any moment. */
  if (i->loop->post(i->host, s->loop, cancel_task, s) != YOI_OK) atomic_store(&s->cancel_asked, 0);
}

static void release_here(void *ctx) {
  struct oai_stream *s = ctx;
  drop_timer(s);
  if (s->x && s->state == OAI_ENDED && s->status == YOI_END)
    yoi_sdk_http_leave(s->x, YOI_MODEL_LINGER_MS);
  else
    yoi_sdk_http_cancel(s->x);
  s->x = NULL;
  s->owed = 0;
  s->released = 1;
  if (!atomic_load(&s->cancel_asked)) oai_stream_free(s);
}

static void release(yoi_stream *stream) {
  struct oai_stream *s = (struct oai_stream *)(void *)stream;
  if (!s) return;
  struct oai_instance *i = s->instance;
  /* Off its loop (a holder that is being torn down) the socket is not ours to
   * touch. When the post fails, close frees what is left. */
  if (i->loop->current(i->host) == s->loop)
    release_here(s);
  else
    (void)i->loop->post(i->host, s->loop, release_here, s);
}

static const yoi_stream_ops ops = {
    .size = sizeof ops, .next = next, .cancel = cancel, .release = release};

/* ---- making one ------------------------------------------------------------------ */

static void add_line(struct yoi_sdk_buf *lines, const char *name, yoi_str value) {
  yoi_sdk_buf_adds(lines, yoi_sdk_str(name));
  yoi_sdk_buf_adds(lines, value);
  yoi_sdk_buf_addc(lines, '\0');
}

void oai_stream_free(struct oai_stream *s) {
  struct oai_loop *l = &s->instance->loops[s->loop];
  *(s->prev ? &s->prev->next : &l->streams) = s->next;
  if (s->next) s->next->prev = s->prev;
  oai_answer_release(&s->answer);
  yoi_sdk_sse_release(&s->sse);
  yoi_sdk_buf_release(&s->body);
  yoi_sdk_buf_release(&s->lines);
  yoi_sdk_buf_release(&s->text);
  yoi_sdk_free(s);
}

yoi_status oai_stream_start(struct oai_instance *i, const yoi_model_request *req,
                            yoi_stream **out, yoi_error *err) {
  uint32_t loop = i->loop->current(i->host);
  if (loop >= i->n_loops)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "a model stream was started off the loops");
  struct oai_stream *s = yoi_sdk_calloc(1, sizeof *s);
  if (!s) return yoi_sdk_fail_memory(err);
  s->head.ops = &ops;
  s->instance = i;
  s->loop = loop;
  s->token = req->token;
  s->deadline_ns = req->deadline_ns;
  oai_failure_clear(&s->failure);
  oai_answer_init(&s->answer);
  yoi_sdk_sse_init(&s->sse, 0, 0, on_event, s);
  yoi_sdk_buf_init(&s->body, REQUEST_BYTES_MAX);
  yoi_sdk_buf_init(&s->lines, YOI_TRACE_MAX + YOI_REQUEST_ID_MAX + 64);
  yoi_sdk_buf_init(&s->text, YOI_JSON_BYTES_MAX);
  struct oai_loop *l = &i->loops[loop];
  s->next = l->streams;
  if (s->next) s->next->prev = s;
  l->streams = s;
  yoi_status st = oai_request_write(&i->config, req, &s->body, err);
  if (st == YOI_OK) {
    if (yoi_sdk_traceparent_valid(req->trace)) add_line(&s->lines, "traceparent: ", req->trace);
    if (yoi_sdk_token_valid(req->request_id, YOI_REQUEST_ID_MAX))
      add_line(&s->lines, "X-Request-Id: ", req->request_id);
    if (s->lines.failed) st = yoi_sdk_fail_memory(err);
  }
  if (st != YOI_OK) {
    oai_stream_free(s);
    return st;
  }
  oai_wait_begin(s);
  *out = &s->head;
  return YOI_OK;
}
