/* ingress-http/conn.c - a connection: what it may do in which state.
 *
 *   accept, TLS: HANDSHAKE -- done --> IDLE      failed, or header_ms: the end
 *
 *        accept                       first byte          header whole
 *          |        +---------> IDLE ------------> HEADER ------------> BODY
 *          +------->|            |                   |                   |
 *                   |            | idle_ms           | header_ms: 408    | body_ms: 408
 *   answered, goes on            v                   | malformed: 4xx    | malformed: 4xx
 *                   |          GONE                  v                   v
 *                   |            ^                CLOSING <----------- (answer)
 *                   |            |                                       | whole
 *                   |   +--------+---------------------------+          v
 *                   |   | write_ms   | client left           +--- HANDLING -- next: AGAIN
 *                   |   |            |                       |    |      |
 *                   +- WRITING <---- | ----------------------+----+      | first event
 *                   |   | full       |        result                     v
 *                   |   v            +---------------------------- STREAMING
 *                   |  (socket)                                          | end
 *                   +----------------------------------------------------+
 *   answered, ends: CLOSING -- client closed, or HTTP_LINGER_MS --> GONE
 *
 *  1. One request is handled at a time; what the client sends behind it waits,
 *     unread beyond what one read brought. Answers go out in order.
 *  2. Nothing is read while output is queued (WRITING, a full STREAMING).
 *  3. Every state but HANDLING has a deadline; there the host's holds.
 *  4. GONE is final: the descriptor is closed, nothing is owned any more, and
 *     the struct is freed when the loop leaves the callback. Whoever calls
 *     what may end a connection looks at the state afterwards.
 *  5. An end is announced: after the last answer the sending side is shut and
 *     the client's bytes are read away, or a reset would take the answer from
 *     it (RFC 9112 section 9.6).
 */
#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_fd(void *ctx, int32_t fd, uint32_t ready);

/* ---- coming and going --------------------------------------------------- */

void http_conn_timer(struct http_conn *c, uint64_t ms) {
  struct http_loop *l = c->loop;
  uint64_t at = l->now_ms + ms;
  http_timer_set(&l->wheel, &c->timer, at);
  if (at < l->earliest_ms) l->earliest_ms = at;
}

void http_conn_interest(struct http_conn *c, uint32_t interest) {
  const struct http_instance *in = c->loop->in;
  c->tls_blocked = 0;
  if (c->interest == interest) return;
  c->interest = (uint8_t)interest;
  if (in->loops_of->rewatch(in->host, c->watch, interest) != YOI_OK) http_conn_gone(c);
}

int http_conn_full(const struct http_conn *c) {
  return (c->interest & YOI_FD_WRITE) && !c->tls_blocked;
}

static void refuse(struct http_conn *c) {
  const struct http_config *cf = &c->loop->in->config;
  struct yoi_sdk_error e;
  yoi_error *err = yoi_sdk_error_init(&e);
  if (c->refused == HTTP_REFUSED_PEER)
    http_limit_reached(err, "too many connections of one peer", "connections_per_peer",
                       c->local ? cf->local_connections : cf->peer_connections);
  else if (c->refused == HTTP_REFUSED_CONNECTIONS)
    http_limit_reached(err, "too many connections", "connections", cf->connections);
  else
    yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "no descriptor is left for a connection");
  http_answer_error(c, err);
}

void http_conn_new(struct http_loop *l, int32_t fd, int refused, int local,
                   struct http_peer *peer) {
  struct http_instance *in = l->in;
  int on = 1;
  struct http_conn *c = yoi_sdk_calloc(1, sizeof *c);
  if (!c || in->loops_of->watch(in->host, fd, YOI_FD_READ, on_fd, c, &c->watch) != YOI_OK) {
    yoi_sdk_free(c);
    close(fd);
    http_peers_leave(&in->peers, peer);
    return;
  }
  /* Answers are sent whole, so there is nothing to gather; on a Unix socket
   * this fails, and rightly has no effect. */
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  c->loop = l;
  c->fd = fd;
  c->interest = YOI_FD_READ;
  c->refused = (uint8_t)refused;
  c->peer = peer;
  c->local = local != 0;
  yoi_sdk_buf_init(&c->in, HTTP_READ_BYTES);
  c->next = l->all;
  if (l->all) l->all->prev = c;
  l->all = c;
  atomic_fetch_add(refused ? &in->refused : &in->connections, 1u);
  http_measure_connection(in, 1);
  if (http_certificate_take(l)) {
    c->state = HTTP_CONN_HANDSHAKE;
    /* What holds a reserve holds it as briefly as without TLS. */
    http_conn_timer(c, refused ? HTTP_LINGER_MS : in->config.header_ms);
    return;
  }
  http_conn_timer(c, in->config.idle_ms);
  if (refused) refuse(c);
}

static void idle_timer(struct http_conn *c) {
  const struct http_instance *in = c->loop->in;
  http_conn_timer(c, atomic_load(&in->draining) ? HTTP_DRAIN_IDLE_MS : in->config.idle_ms);
}

/* ---- TLS ------------------------------------------------------------------- */

/* The first byte tells a record of TLS from a letter of an HTTP method. */
static int is_plain(struct http_conn *c) {
  char byte = 0;
  return recv(c->fd, &byte, 1, MSG_PEEK) == 1 && byte >= 'A' && byte <= 'Z';
}

static void closing(struct http_conn *c);

static void shake(struct http_conn *c) {
  uint32_t interest = YOI_FD_READ;
  if (!c->tls && is_plain(c)) {
    http_answer_code(c, YOI_CODE_INVALID_REQUEST, "this listener speaks TLS: use https://");
    return;
  }
  if (!c->tls && !http_tls_begin(c, c->loop->tls)) {
    http_conn_gone(c);
    return;
  }
  int st = http_tls_handshake(c, &interest);
  if (st < 0) {
    closing(c);
    return;
  }
  http_conn_interest(c, interest);
  if (st == 0 || c->state == HTTP_CONN_GONE) return;
  c->state = HTTP_CONN_IDLE;
  http_timer_cancel(&c->loop->wheel, &c->timer);
  idle_timer(c);
  if (c->refused) refuse(c);
}

/* As recv. */
static ssize_t take(struct http_conn *c, char *buf, size_t n) {
  /* Of TLS all is taken: what is left inside it wakes nobody. */
  return c->tls ? http_tls_recv(c, buf, n) : recv(c->fd, buf, yoi_sdk_short(n), 0);
}

void http_conn_drop_exchange(struct http_conn *c) {
  struct http_exchange *x = c->x;
  if (!x) return;
  c->x = NULL;
  http_codec_release(&x->codec);
  yoi_sdk_buf_release(&x->body);
  http_wait_free(x->collect);
  x->collect = NULL;
  if (c->loop->spare) yoi_sdk_free(x);
  else c->loop->spare = x;
}

void http_conn_drop_stream(struct http_conn *c) {
  struct http_loop *l = c->loop;
  if (c->stream) c->stream->ops->release(c->stream);
  c->stream = NULL;
  c->batch = NULL;
  c->batch_at = c->batch_n = 0;
  c->batch_off = 0;
  if (c->slot) {
    if (c->slot_prev) c->slot_prev->slot_next = c->slot_next;
    else c->slot->first = c->slot_next;
    if (c->slot_next) c->slot_next->slot_prev = c->slot_prev;
    http_slot_put(&l->slots, c->slot);
    c->slot = NULL;
    c->slot_prev = c->slot_next = NULL;
  }
  if (c->counted) {
    atomic_fetch_sub(&l->in->streams, 1u);
    http_measure_stream(l->in, 0);
    http_peers_stream_end(&l->in->peers, c->peer);
  }
  c->counted = 0;
  yoi_sdk_free(c->cursor);
  c->cursor = NULL;
  c->cursor_len = 0;
}

static void drop_pass(struct http_conn *c) {
  http_pass_unref(c->pass);
  c->pass = NULL;
}

void http_conn_gone(struct http_conn *c) {
  struct http_loop *l = c->loop;
  if (c->state == HTTP_CONN_GONE) return;
  http_access_end(c);
  if (c->tls && c->state != HTTP_CONN_CLOSING) (void)http_tls_end(c);
  c->state = HTTP_CONN_GONE;
  l->in->loops_of->unwatch(l->in->host, c->watch);
  http_tls_free(c);
  close(c->fd);
  http_loop_resume(l);
  http_timer_cancel(&l->wheel, &c->timer);
  http_loop_unready(c);
  http_conn_drop_stream(c);
  http_conn_drop_exchange(c);
  drop_pass(c);
  yoi_sdk_free(c->pending);
  c->pending = NULL;
  yoi_sdk_buf_release(&c->in);
  if (c->prev) c->prev->next = c->next;
  else l->all = c->next;
  if (c->next) c->next->prev = c->prev;
  c->next = l->dead;
  l->dead = c;
  http_peers_leave(&l->in->peers, c->peer);
  atomic_fetch_sub(c->refused ? &l->in->refused : &l->in->connections, 1u);
  http_measure_connection(l->in, 0);
  http_loop_drained(l);
}

/* Shuts the sending side, behind the close_notify of TLS. */
static void shut(struct http_conn *c) {
  uint32_t interest = YOI_FD_READ;
  if (c->tls && !http_tls_end(c)) interest |= YOI_FD_WRITE;
  else (void)shutdown(c->fd, SHUT_WR);
  http_conn_interest(c, interest);
}

static void closing(struct http_conn *c) {
  c->state = HTTP_CONN_CLOSING;
  c->discarded = 0;
  yoi_sdk_buf_release(&c->in);
  http_timer_cancel(&c->loop->wheel, &c->timer);
  http_conn_timer(c, HTTP_LINGER_MS);
  shut(c);
}

void http_conn_answered(struct http_conn *c) {
  int goes_on = c->keep_alive && !c->eof; /* as the client was told */
  http_access_end(c);
  http_conn_drop_stream(c);
  http_conn_drop_exchange(c);
  drop_pass(c);
  if (!goes_on) {
    closing(c);
    return;
  }
  c->state = HTTP_CONN_IDLE;
  c->timed = 0;
  idle_timer(c);
  http_conn_interest(c, YOI_FD_READ);
  if (c->state == HTTP_CONN_IDLE && c->in.len > 0) http_loop_ready(c);
}

/* ---- reading --------------------------------------------------------------- */

static int begin(struct http_conn *c) {
  struct http_loop *l = c->loop;
  struct http_exchange *x = l->spare;
  l->spare = NULL;
  if (!x) x = yoi_sdk_malloc(sizeof *x);
  if (!x) return 0;
  memset(x, 0, sizeof *x);
  http_codec_init(&x->codec);
  yoi_sdk_buf_init(&x->body, YOI_HTTP_TARGET_MAX);
  x->begun_ms = l->now_ms;
  c->x = x;
  c->state = HTTP_CONN_HEADER;
  return 1;
}

/* More is to come: from now on the deadline of this part holds. */
static void more(struct http_conn *c) {
  const struct http_config *cf = &c->loop->in->config;
  struct http_request *r = &c->x->codec.req;
  if (c->timed != c->state + 1) {
    c->timed = (uint8_t)(c->state + 1);
    http_timer_cancel(&c->loop->wheel, &c->timer);
    http_conn_timer(c, c->state == HTTP_CONN_HEADER ? cf->header_ms : cf->body_ms);
  }
  if (c->state != HTTP_CONN_BODY || !r->expect) return;
  r->expect = 0;
  if (c->x->codec.got > 0) return; /* it did not wait for us */
  for (size_t at = 0, n = sizeof HTTP_CONTINUE - 1; at < n;) {
    struct iovec iov = {(char *)(uintptr_t)HTTP_CONTINUE + at, n - at};
    ssize_t sent = http_conn_send(c, &iov, 1);
    if (sent <= 0) { /* a socket that has no room for these has a client that reads nothing */
      http_conn_gone(c);
      return;
    }
    at += (size_t)sent;
  }
}

/* The header is whole. A request that is refused by it is answered at once;
 * the connection goes on when the body is there already, to be skipped. */
static void on_head(struct http_conn *c, const char **p, size_t *n) {
  struct yoi_sdk_error e;
  struct http_codec *codec = &c->x->codec;
  size_t used = 0;
  c->state = HTTP_CONN_BODY;
  if (http_exchange_head(c, yoi_sdk_error_init(&e)) == YOI_OK) return;
  if (http_codec_want(codec, YOI_BODY_BYTES_MAX, 1) &&
      http_codec_feed(codec, *p, *n, &used) == HTTP_FEED_DONE)
    *p += used, *n -= used;
  else
    c->x->keep_alive = 0;
  http_answer_error(c, &e.e);
}

static void keep(struct http_conn *c, const char *p, size_t n) {
  if (n > 0) yoi_sdk_buf_add(&c->in, p, n);
  if (c->in.failed) http_conn_gone(c);
}

/* Takes bytes that were read. They are the loop's or the caller's. */
static void consume(struct http_conn *c, const char *p, size_t n) {
  while (n > 0 || c->state == HTTP_CONN_BODY) {
    size_t used = 0;
    if (c->state == HTTP_CONN_IDLE && !begin(c)) {
      http_conn_gone(c);
      return;
    }
    struct http_codec *codec = &c->x->codec;
    int st = http_codec_feed(codec, p, n, &used);
    p += used;
    n -= used;
    if (st == HTTP_FEED_MORE) {
      more(c);
      return;
    }
    if (st == HTTP_FEED_HEAD) on_head(c, &p, &n);
    else if (st == HTTP_FEED_DONE) http_exchange_run(c);
    else {
      http_exchange_refused(c);
      http_answer_code(c, codec->code, codec->message);
    }
    if (c->state == HTTP_CONN_GONE || c->state == HTTP_CONN_CLOSING) return;
    if (c->state == HTTP_CONN_BODY) continue;
    if (c->state == HTTP_CONN_IDLE && ++c->requests < YOI_HTTP_REQUESTS_PER_TURN) continue;
    keep(c, p, n);
    if (c->state == HTTP_CONN_IDLE && c->in.len > 0) http_loop_ready(c);
    return;
  }
}

void http_conn_continue(struct http_conn *c) {
  struct yoi_sdk_buf in = c->in;
  yoi_sdk_buf_init(&c->in, HTTP_READ_BYTES);
  c->requests = 0;
  consume(c, in.data, in.len);
  yoi_sdk_buf_release(&in);
}

/* There was nothing to read, or TLS has to send before it reads on. Its timer
 * stays: a client that takes nothing has no more time than one that says
 * nothing. */
static void wait_for_more(struct http_conn *c) {
  if (!c->tls_blocked) return;
  http_conn_interest(c, YOI_FD_WRITE);
  c->tls_blocked = 1;
}

static void read_requests(struct http_conn *c) {
  struct http_loop *l = c->loop;
  c->requests = 0;
  for (int i = 0; i < HTTP_READS_PER_TURN; i++) {
    ssize_t n = take(c, l->read, sizeof l->read);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      wait_for_more(c);
      return;
    }
    if (n <= 0) {
      http_conn_gone(c);
      return;
    }
    consume(c, l->read, (size_t)n);
    if (c->state > HTTP_CONN_BODY || (size_t)n < sizeof l->read) return;
    if (c->ready) return; /* its turn is over; the next read would overtake */
  }
}

/* While a request is handled only one thing is of interest: is the client
 * still there? */
static void look(struct http_conn *c) {
  char byte;
  /* TLS can be looked into record by record only: one that has data waits
   * with us, and no other is taken before it was read. */
  ssize_t n = !c->tls          ? recv(c->fd, &byte, 1, MSG_PEEK)
              : c->in.len == 0 ? http_tls_recv(c, c->loop->read, sizeof c->loop->read)
                               : 1;
  if (c->tls && n > 0 && c->in.len == 0) keep(c, c->loop->read, (size_t)n);
  if (c->state == HTTP_CONN_GONE) return;
  if (n > 0) { /* pipelined: not read before its time */
    http_conn_interest(c, c->interest & ~YOI_FD_READ);
    return;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    wait_for_more(c);
    return;
  }
  int waits = c->state == HTTP_CONN_STREAMING || (c->x && c->x->by != HTTP_BY_RESULT);
  if (n < 0 || waits) {
    http_conn_gone(c);
    return;
  }
  /* It has shut its sending side and still wants its answer. */
  c->eof = 1;
  http_conn_interest(c, c->interest & ~YOI_FD_READ);
}

static void read_away(struct http_conn *c) {
  struct http_loop *l = c->loop;
  for (int i = 0; i < HTTP_READS_PER_TURN; i++) {
    ssize_t n = recv(c->fd, l->read, yoi_sdk_short(sizeof l->read), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) c->discarded += (uint32_t)n;
    if (n <= 0 || c->discarded > HTTP_LINGER_BYTES) {
      http_conn_gone(c);
      return;
    }
  }
}

/* There are bytes, or there is room for what TLS has to send before them. */
static void go_on_reading(struct http_conn *c) {
  if (c->tls_blocked) http_conn_interest(c, YOI_FD_READ);
  if (c->state == HTTP_CONN_GONE) return;
  if (c->state > HTTP_CONN_BODY) look(c);
  else if (!c->ready) read_requests(c);
}

static void on_fd(void *ctx, int32_t fd, uint32_t ready) {
  struct http_conn *c = ctx;
  struct http_loop *l = c->loop;
  (void)fd;
  http_loop_enter(l);
  if ((ready & YOI_FD_ERROR) && !(c->interest & YOI_FD_READ)) {
    http_conn_gone(c); /* nobody is there to read what is queued */
  } else if (c->state == HTTP_CONN_HANDSHAKE) {
    shake(c);
  } else if (c->state == HTTP_CONN_CLOSING) {
    if (ready & YOI_FD_WRITE) shut(c);
    if (c->state == HTTP_CONN_CLOSING && (ready & ~YOI_FD_WRITE)) read_away(c);
  } else if ((ready & YOI_FD_WRITE) && http_conn_full(c)) {
    if (c->state == HTTP_CONN_STREAMING) http_sse_pump(c);
    else if (http_conn_flush(c) == 1) http_conn_answered(c);
  } else {
    go_on_reading(c);
  }
  http_loop_leave(l);
}

/* ---- deadlines --------------------------------------------------------------- */

/* A busy loop comes to a deadline before it comes to the bytes that were there
 * in time, and to end a connection with unread bytes resets it. What has come
 * has header_ms to become a request, as any has that has begun: once, for half
 * a record of TLS is read and leaves the connection as it was. */
static int has_come(struct http_conn *c) {
  char byte;
  if (c->timed == c->state + 1 || recv(c->fd, &byte, 1, MSG_PEEK) != 1) return 0;
  c->timed = (uint8_t)(c->state + 1);
  http_conn_timer(c, c->loop->in->config.header_ms);
  return 1;
}

void http_conn_expired(struct http_conn *c) {
  switch (c->state) {
  case HTTP_CONN_HEADER:
    http_exchange_refused(c);
    http_answer_code(c, YOI_CODE_REQUEST_TIMEOUT, "the header took too long");
    break;
  case HTTP_CONN_BODY:
    http_answer_code(c, YOI_CODE_REQUEST_TIMEOUT, "the body took too long");
    break;
  case HTTP_CONN_HANDLING: http_exchange_expired(c); break;
  case HTTP_CONN_STREAMING:
    if (http_conn_full(c)) http_conn_gone(c);
    else http_sse_heartbeat(c);
    break;
  case HTTP_CONN_IDLE:
    /* One that stands in the ready list is about to go on. */
    if (!c->ready && !has_come(c)) http_conn_gone(c);
    break;
  case HTTP_CONN_HANDSHAKE:
    if (c->refused || !has_come(c)) http_conn_gone(c);
    break;
  default: http_conn_gone(c); break;
  }
}
