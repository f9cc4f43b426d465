/* ingress-http/sse.c - watchers: server-sent events (WHATWG HTML 9.2).
 *
 *   head, `retry:` once, then per event  id: CURSOR / event: KIND / data: JSON
 *
 * A call of the kernel costs more than copying a small frame: small frames of
 * several batches are gathered, up to YOI_DELTA_BYTES_MAX, until the stream has
 * nothing more for now, and go out with one call. What is larger is sent from
 * where it stands. A watcher that cannot keep up pins one batch, or what was
 * gathered, and nothing more: the next one is taken when it is out. The runtime
 * bounds what it keeps for a watcher and ends the slow one.
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
 *  3. Before anything goes out the pass is looked at: a watcher whose token was
 *     changed, or who has logged out, sees no further event, and is gone by the
 *     next heartbeat.
 *  4. The kernel holds at most YOI_HTTP_NOTSENT_BYTES that were not sent: what
 *     it holds can be neither merged nor taken back.
 */
#include "http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sdk/json.h>
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

void http_end_note(struct http_conn *c, yoi_str data) {
  yoi_str reason = yoi_sdk_json_raw_get(data, "reason");
  if (yoi_sdk_str_is(reason, "\"error\"") || yoi_sdk_str_is(reason, "\"lagged\""))
    http_access_failed(c);
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

void http_end_failed(struct http_conn *c, const yoi_error *err, yoi_str cursor,
                     struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  const char *name = yoi_sdk_code_name(err->code);
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "reason", YOI_LIT("error"));
  yoi_sdk_jsonw_kstr(&w, "code", yoi_sdk_str(name ? name : "internal"));
  yoi_sdk_jsonw_kbool(&w, "retryable", (err->flags & YOI_ERROR_RETRYABLE) != 0);
  yoi_sdk_jsonw_key(&w, "cursor");
  if (cursor.len > 0) yoi_sdk_jsonw_str(&w, cursor);
  else yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_close(&w, '}');
  http_access_failed(c);
  http_measure_error(c->loop->in);
}

static void finish_failed(struct http_conn *c, const yoi_error *err) {
  struct http_loop *l = c->loop;
  struct yoi_sdk_buf data;
  char head[HTTP_FRAME_HEAD_MAX];
  yoi_sdk_buf_init(&data, 1024);
  http_end_failed(c, err, (yoi_str){c->cursor, c->cursor_len}, &data);
  const yoi_event ev = {
      .size = sizeof ev, .kind = YOI_EVENT_END, .text = yoi_sdk_buf_str(&data)};
  yoi_sdk_buf_clear(&l->out);
  yoi_sdk_buf_add(&l->out, head, http_frame_head(head, &ev, c->chunked));
  yoi_sdk_buf_adds(&l->out, ev.text);
  yoi_sdk_buf_adds(&l->out, tail_of(c, &ev));
  int failed = data.failed | l->out.failed;
  yoi_sdk_buf_release(&data);
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
  http_measure_answer(c, r.status);
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
  /* A Unix socket knows no such mark; there all that it holds is unsent. */
  if (!c->small_sends &&
      setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat) != 0)
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &lowat, sizeof lowat);
  c->small_sends = 1;
  c->state = HTTP_CONN_STREAMING;
  http_access_stream(c);
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
  size_t n, bytes, frames;
  size_t sizes[WINDOW];
  struct iovec iov[3 * WINDOW + 2];
};

static void add(struct window *w, const char *p, size_t len, size_t *skip) {
  size_t cut = *skip < len ? *skip : len;
  *skip -= cut;
  if (cut == len) return;
  w->iov[w->n++] = (struct iovec){(void *)(uintptr_t)(p + cut), len - cut};
  w->bytes += len - cut;
}

/* Copies the next events of the batch to what is gathered, while they fit. */
static void gather(struct http_conn *c) {
  struct http_loop *l = c->loop;
  while (c->batch_at < c->batch_n && c->batch_off == 0) {
    const yoi_event *ev = c->batch[c->batch_at];
    char *head = l->frames[0], *out = l->gather + l->gathered;
    yoi_str tail = tail_of(c, ev);
    size_t room = sizeof l->gather - l->gathered;
    if (ev->text.len + tail.len > room) return;
    size_t len = http_frame_head(head, ev, c->chunked);
    if (len == 0 || len + ev->text.len + tail.len > room) return;
    memcpy(out, head, len);
    if (ev->text.len > 0) memcpy(out + len, ev->text.ptr, ev->text.len);
    memcpy(out + len + ev->text.len, tail.ptr, tail.len);
    l->gathered += len + ev->text.len + tail.len;
    c->batch_at++;
  }
}

/* Lays out what is pending, what is gathered, and the next events. */
static void lay_out(struct http_conn *c, struct window *w) {
  struct http_loop *l = c->loop;
  struct http_pending *p = c->pending;
  size_t skip = p ? p->off : 0;
  w->n = w->bytes = w->frames = 0;
  if (p) add(w, p->head, p->head_len, &skip);
  skip = 0;
  add(w, l->gather, l->gathered, &skip);
  skip = c->batch_off;
  for (uint32_t i = c->batch_at; i < c->batch_n && w->frames < WINDOW; i++) {
    const yoi_event *ev = c->batch[i];
    char *head = l->frames[w->frames];
    yoi_str tail = tail_of(c, ev);
    size_t len = http_frame_head(head, ev, c->chunked);
    if (len == 0) return; /* malformed: what stands before it goes out first */
    add(w, head, len, &skip);
    add(w, ev->text.ptr, ev->text.len, &skip);
    add(w, tail.ptr, tail.len, &skip);
    w->sizes[w->frames++] = len + ev->text.len + tail.len;
  }
}

/* Of what was pending and gathered, keeps what is behind `sent`; 0: no
 * memory. */
static int keep_rest(struct http_conn *c, size_t sent) {
  struct http_loop *l = c->loop;
  struct http_pending *old = c->pending;
  size_t before = old ? old->head_len - old->off : 0, total = before + l->gathered;
  size_t from = sent > before ? sent - before : 0, left = total - sent;
  struct http_pending *p = left > 0 ? yoi_sdk_malloc(sizeof *p + left) : NULL;
  if (p) {
    size_t head = before > sent ? before - sent : 0;
    *p = (struct http_pending){.off = 0, .head_len = left, .text = {NULL, 0}};
    if (head > 0) memcpy(p->head, old->head + old->off + sent, head);
    memcpy(p->head + head, l->gather + from, l->gathered - from);
  }
  yoi_sdk_free(old);
  c->pending = p;
  l->gathered = 0;
  return left == 0 || p;
}

/* Notes that the first `sent` bytes of the window are out; 0: no memory. */
static int advance(struct http_conn *c, const struct window *w, size_t sent) {
  struct http_pending *p = c->pending;
  size_t first = (p ? p->head_len - p->off : 0) + c->loop->gathered;
  size_t part = sent < first ? sent : first;
  if (first > 0 && !keep_rest(c, part)) return 0;
  sent -= part;
  for (size_t i = 0; i < w->frames; i++) {
    size_t left = w->sizes[i] - c->batch_off;
    if (sent < left) {
      c->batch_off += sent;
      break;
    }
    sent -= left;
    c->batch_off = 0;
    c->batch_at++;
  }
  return 1;
}

/* Sends all that is there: 1. 0: the socket is full, or all is over. */
static int send_all(struct http_conn *c) {
  struct http_loop *l = c->loop;
  struct window w;
  while (c->pending || l->gathered > 0 || c->batch_at < c->batch_n) {
    lay_out(c, &w);
    if (w.bytes == 0) { /* only the malformed one is left */
      struct yoi_sdk_error e;
      yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_INTERNAL, "an event is malformed");
      finish_failed(c, &e.e);
      return 0;
    }
    ssize_t sent = http_conn_send(c, w.iov, w.n);
    if (sent < 0 || !advance(c, &w, (size_t)sent)) {
      l->gathered = 0;
      http_conn_gone(c);
      return 0;
    }
    if ((size_t)sent < w.bytes) {
      if (sent > 0 || !http_conn_full(c)) http_conn_blocked(c);
      return 0;
    }
  }
  return 1;
}

static void quiet(struct http_conn *c) {
  http_conn_timer(c, c->loop->in->config.heartbeat_ms);
  http_conn_interest(c, YOI_FD_READ);
}

/* 1: who watches may no more: no further event goes out. What is half out cannot
 * be ended properly, and is cut. */
static int is_over(struct http_conn *c) {
  struct yoi_sdk_error e;
  if (http_pass_good(c->pass, c->loop->now_ms)) return 0;
  yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_UNAUTHORIZED, "the token or login is over");
  if (c->pending || c->batch_off > 0) http_conn_gone(c);
  else finish_failed(c, &e.e);
  return 1;
}

void http_sse_pump(struct http_conn *c) {
  struct yoi_sdk_error e;
  if (is_over(c)) return;
  for (int i = 0; i < HTTP_BATCHES_PER_TURN; i++) {
    const yoi_event *const *evs = NULL;
    size_t n = 0;
    int last = c->batch_n > 0 && c->batch && c->batch[c->batch_n - 1]->kind == YOI_EVENT_END;
    if (last) http_end_note(c, c->batch[c->batch_n - 1]->text);
    gather(c);
    if ((last || c->batch_at < c->batch_n) && !send_all(c)) return;
    if (last) {
      finish(c);
      return;
    }
    /* What cannot wait is out; the rest goes with what comes, if it does. */
    yoi_status st = c->stream->ops->next(c->stream, &evs, &n, yoi_sdk_error_init(&e));
    if (st == YOI_OK) {
      http_sse_batch(c, evs, n);
      continue;
    }
    c->batch = NULL;
    c->batch_at = c->batch_n = 0;
    if (!send_all(c)) return; /* END and errors are said again */
    if (st == YOI_AGAIN) quiet(c);
    else if (st != YOI_END) finish_failed(c, &e.e);
    else finish_with(c, c->chunked ? YOI_LIT(HTTP_LAST_CHUNK) : (yoi_str){NULL, 0});
    return;
  }
  gather(c);
  if (send_all(c)) http_loop_ready(c);
}

void http_sse_heartbeat(struct http_conn *c) {
  if (is_over(c)) return;
  yoi_str beat = http_frame_heartbeat(c->chunked);
  if (!c->pending && !http_conn_pend(c, 0, beat, (yoi_str){NULL, 0})) {
    http_conn_gone(c);
    return;
  }
  http_sse_pump(c);
}
