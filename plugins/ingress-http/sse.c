/* ingress-http/sse.c - watchers: server-sent events (WHATWG HTML 9.2).
 *
 *   head, `retry:` once, then per event  id: CURSOR / event: KIND / data: JSON
 *
 * A batch that the stream handed out is sent from where it stands, as many
 * events as the socket takes with one call. A watcher that cannot keep up pins
 * that one batch and nothing more: the next one is taken when it is out. The
 * runtime bounds what it keeps for a watcher and ends the slow one.
 *
 *          events               all sent, AGAIN
 *   BEGIN --------> SENDING -----------------------> QUIET -- heartbeat_ms --> comment
 *                    |    ^                            |
 *     socket is full |    | writable                   | woken
 *                    v    |                            v
 *                    FULL (write_ms without progress: closed)    SENDING
 *
 *  1. Chunked over HTTP/1.1, so that a cut is seen as one and the connection
 *     serves the next request; over HTTP/1.0 its end is the connection's.
 *  2. The runtime's last event is `end`; only when `next` fails one is made
 *     here, with the reason error and the last cursor that was sent.
 *  3. The kernel holds at most YOI_HTTP_NOTSENT_BYTES that were not sent: what
 *     it holds can be neither merged nor taken back.
 */
#include "http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <string.h>
#include <sys/socket.h>

/* Frames of one call: a head, a text and a tail each, and what is pending. */
#define WINDOW YOI_EVENT_BATCH_MAX

static yoi_str tail_of(const struct http_conn *c, const yoi_event *ev) {
  /* Nothing comes behind `end`: the last chunk goes with it. */
  if (c->chunked && ev->kind == YOI_EVENT_END) return YOI_LIT("\n\n\r\n" HTTP_LAST_CHUNK);
  return http_frame_tail(c->chunked);
}

/* The stream is over and its last bytes are out. */
static void finish(struct http_conn *c) {
  if (!c->chunked) c->keep_alive = 0;
  http_conn_answered(c);
}

/* The last bytes, made here. */
static void finish_with(struct http_conn *c, yoi_str bytes) {
  http_conn_drop_stream(c);
  if (!c->chunked) c->keep_alive = 0;
  if (bytes.len > 0) http_conn_answer(c, bytes, (yoi_str){NULL, 0});
  else http_conn_answered(c);
}

static void finish_failed(struct http_conn *c, const yoi_error *err) {
  struct http_loop *l = c->loop;
  struct yoi_sdk_jsonw w;
  struct yoi_sdk_buf data;
  char head[HTTP_FRAME_HEAD_MAX];
  const char *name = yoi_sdk_code_name(err->code);
  yoi_sdk_buf_init(&data, 1024);
  yoi_sdk_jsonw_init(&w, &data);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "reason", YOI_LIT("error"));
  yoi_sdk_jsonw_kstr(&w, "code", yoi_sdk_str(name ? name : "internal"));
  yoi_sdk_jsonw_kbool(&w, "retryable", (err->flags & YOI_ERROR_RETRYABLE) != 0);
  yoi_sdk_jsonw_key(&w, "cursor");
  if (c->cursor_len > 0) yoi_sdk_jsonw_str(&w, (yoi_str){c->cursor, c->cursor_len});
  else yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_close(&w, '}');
  const yoi_event ev = {
      .size = sizeof ev, .kind = YOI_EVENT_END, .text = yoi_sdk_buf_str(&data)};
  yoi_sdk_buf_clear(&l->out);
  yoi_sdk_buf_add(&l->out, head, http_frame_head(head, &ev, c->chunked));
  yoi_sdk_buf_adds(&l->out, ev.text);
  yoi_sdk_buf_adds(&l->out, tail_of(c, &ev));
  int failed = data.failed | l->out.failed;
  yoi_sdk_buf_release(&data);
  l->in->metrics->add(l->in->host, l->in->errors_total, 1);
  if (failed) http_conn_gone(c);
  else finish_with(c, yoi_sdk_buf_str(&l->out));
}

void http_sse_begin(struct http_conn *c) {
  struct http_loop *l = c->loop;
  struct http_reply r = http_answer_reply(c, 200, HTTP_TYPE_SSE);
  int lowat = YOI_HTTP_NOTSENT_BYTES, head_only = r.head;
  c->chunked = c->x->codec.req.minor == 1;
  r.chunked = c->chunked;
  r.close = !c->chunked || !c->keep_alive;
  http_reply_head(&l->out, &r);
  if (head_only) {
    http_conn_drop_stream(c);
    http_conn_answer(c, yoi_sdk_buf_str(&l->out), (yoi_str){NULL, 0});
    return;
  }
  yoi_sdk_buf_adds(&l->out, http_frame_retry(c->chunked));
  if (l->out.failed || !http_conn_pend(c, 0, yoi_sdk_buf_str(&l->out), (yoi_str){NULL, 0})) {
    http_conn_gone(c);
    return;
  }
  if (!c->small_sends)
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
  c->small_sends = 1;
  c->state = HTTP_CONN_STREAMING;
  http_conn_drop_exchange(c);
}

void http_sse_batch(struct http_conn *c, const yoi_event *const *evs, size_t n) {
  c->batch = evs;
  c->batch_n = (uint32_t)n;
  c->batch_at = 0;
  c->batch_off = 0;
  for (size_t i = n; i > 0; i--) {
    yoi_str id = evs[i - 1]->cursor;
    if (id.len == 0 || id.len > YOI_CURSOR_MAX) continue;
    if (id.len > c->cursor_len || !c->cursor) {
      char *grown = yoi_sdk_realloc(c->cursor, id.len);
      if (!grown) return; /* the `end` frame will say an older one */
      c->cursor = grown;
    }
    memcpy(c->cursor, id.ptr, id.len);
    c->cursor_len = (uint16_t)id.len;
    return;
  }
}

struct window {
  struct iovec iov[3 * WINDOW + 1];
  size_t n, pending, frames, bytes, sizes[WINDOW];
};

static void add(struct window *w, const char *p, size_t len, size_t *skip) {
  size_t cut = *skip < len ? *skip : len;
  *skip -= cut;
  if (cut == len) return;
  w->iov[w->n++] = (struct iovec){(void *)(uintptr_t)(p + cut), len - cut};
  w->bytes += len - cut;
}

/* Lays out what is pending and the next events; 0 when one cannot be framed. */
static int lay_out(struct http_conn *c, struct window *w) {
  struct http_loop *l = c->loop;
  struct http_pending *p = c->pending;
  size_t skip = 0;
  memset(w, 0, offsetof(struct window, sizes));
  if (p) {
    skip = p->off;
    add(w, p->head, p->head_len, &skip);
    w->pending = w->bytes;
  }
  skip = c->batch_off;
  for (uint32_t i = c->batch_at; i < c->batch_n && w->frames < WINDOW; i++) {
    const yoi_event *ev = c->batch[i];
    char *head = l->frames[w->frames];
    yoi_str tail = tail_of(c, ev);
    size_t len = http_frame_head(head, ev, c->chunked);
    if (len == 0) return 0;
    add(w, head, len, &skip);
    add(w, ev->text.ptr, ev->text.len, &skip);
    add(w, tail.ptr, tail.len, &skip);
    w->sizes[w->frames++] = len + ev->text.len + tail.len;
  }
  return 1;
}

/* Notes that the first `sent` bytes of the window are out. */
static void advance(struct http_conn *c, const struct window *w, size_t sent) {
  if (c->pending) {
    size_t part = sent < w->pending ? sent : w->pending;
    c->pending->off += part;
    sent -= part;
    if (part == w->pending) {
      yoi_sdk_free(c->pending);
      c->pending = NULL;
    }
  }
  for (size_t i = 0; i < w->frames; i++) {
    size_t left = w->sizes[i] - c->batch_off;
    if (sent < left) {
      c->batch_off += sent;
      return;
    }
    sent -= left;
    c->batch_off = 0;
    c->batch_at++;
  }
}

/* Sends until nothing is left: 1. 0: the socket is full, or all is over. */
static int send_batch(struct http_conn *c) {
  struct window w;
  while (c->pending || c->batch_at < c->batch_n) {
    if (!lay_out(c, &w)) {
      struct yoi_sdk_error e;
      yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_INTERNAL, "an event is malformed");
      /* Mid-frame nothing can be said any more. */
      if (c->batch_off > 0 || c->pending) http_conn_gone(c);
      else finish_failed(c, &e.e);
      return 0;
    }
    ssize_t sent = http_conn_send(c, w.iov, w.n);
    if (sent < 0) {
      http_conn_gone(c);
      return 0;
    }
    advance(c, &w, (size_t)sent);
    if ((size_t)sent < w.bytes) {
      if (sent > 0 || !(c->interest & YOI_FD_WRITE)) http_conn_blocked(c);
      return 0;
    }
  }
  return 1;
}

void http_sse_pump(struct http_conn *c) {
  struct yoi_sdk_error e;
  for (int i = 0; i < HTTP_BATCHES_PER_TURN; i++) {
    const yoi_event *const *evs = NULL;
    size_t n = 0;
    int last = c->batch_n > 0 && c->batch && c->batch[c->batch_n - 1]->kind == YOI_EVENT_END;
    if (!send_batch(c)) return;
    if (last) {
      finish(c);
      return;
    }
    yoi_status st = c->stream->ops->next(c->stream, &evs, &n, yoi_sdk_error_init(&e));
    if (st == YOI_OK) {
      http_sse_batch(c, evs, n);
      continue;
    }
    c->batch = NULL;
    c->batch_at = c->batch_n = 0;
    if (st == YOI_AGAIN) {
      http_conn_timer(c, c->loop->in->config.heartbeat_ms);
      http_conn_interest(c, YOI_FD_READ);
    } else if (st == YOI_END) {
      finish_with(c, c->chunked ? YOI_LIT(HTTP_LAST_CHUNK) : (yoi_str){NULL, 0});
    } else {
      finish_failed(c, &e.e);
    }
    return;
  }
  http_loop_ready(c);
}

void http_sse_heartbeat(struct http_conn *c) {
  yoi_str beat = http_frame_heartbeat(c->chunked);
  if (!c->pending && !http_conn_pend(c, 0, beat, (yoi_str){NULL, 0})) {
    http_conn_gone(c);
    return;
  }
  http_sse_pump(c);
}
