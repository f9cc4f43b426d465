/* ingress-http/write.c - bytes to the socket, one call per answer.
 *
 * What does not fit into the socket is pending: the head as a copy (it stands
 * in a buffer of the loop), the text where the stream keeps it. Nothing else
 * is queued: no further request is read and no further event is taken until
 * the socket has taken what is pending, or write_ms have passed without a
 * byte of progress. An answer as a whole must be out write_ms and a second
 * per YOI_HTTP_WRITE_BYTES_S after it first was blocked: a reader that takes
 * a byte now and then would hold it for ever. Streams have no such end; a
 * watcher that falls behind is the runtime's to end.
 */
#include "http.h"

#include <errno.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <string.h>
#include <sys/socket.h>

/* In the hard mode (sdk/hard.h) a socket takes a part of it now and then. */
static size_t cut(struct iovec *iov, size_t n) {
  size_t total = 0;
  for (size_t i = 0; i < n; i++) total += iov[i].iov_len;
  total = yoi_sdk_short(total);
  for (size_t i = 0; i < n; i++) {
    if (iov[i].iov_len >= total) {
      iov[i].iov_len = total;
      return i + 1;
    }
    total -= iov[i].iov_len;
  }
  return n;
}

ssize_t http_socket_send(int fd, struct iovec *iov, size_t n) {
  if (YOI_SDK_HARD(0, 1)) n = cut(iov, n);
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
  ssize_t sent;
  do sent = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) return 0;
  return sent;
}

ssize_t http_conn_send(struct http_conn *c, struct iovec *iov, size_t n) {
  ssize_t sent = c->tls ? http_tls_send(c, iov, n) : http_socket_send(c->fd, iov, n);
  if (sent > 0) http_access_sent(c, (size_t)sent);
  return sent;
}

static struct iovec piece(const char *p, size_t n) {
  return (struct iovec){(void *)(uintptr_t)p, n};
}

void http_conn_blocked(struct http_conn *c) {
  uint64_t now = c->loop->now_ms, ms = c->loop->in->config.write_ms;
  uint64_t until = c->state == HTTP_CONN_WRITING ? c->pending->until_ms : 0;
  if (until && until < now + ms) ms = until > now ? until - now : 0;
  http_timer_cancel(&c->loop->wheel, &c->timer);
  http_conn_timer(c, ms);
  http_conn_interest(c, YOI_FD_WRITE);
}

int http_conn_pend(struct http_conn *c, size_t sent, yoi_str head, yoi_str text) {
  size_t left = sent < head.len ? head.len - sent : 0;
  struct http_pending *p = yoi_sdk_malloc(sizeof *p + left);
  if (!p) return 0;
  p->off = sent > head.len ? sent - head.len : 0;
  p->head_len = left;
  p->text = text;
  p->until_ms = 0;
  if (left > 0) memcpy(p->head, head.ptr + sent, left);
  yoi_sdk_free(c->pending);
  c->pending = p;
  return 1;
}

void http_conn_answer(struct http_conn *c, yoi_str head, yoi_str text) {
  struct iovec iov[2] = {piece(head.ptr, head.len), piece(text.ptr, text.len)};
  ssize_t sent = http_conn_send(c, iov, text.len > 0 ? 2 : 1);
  if (sent < 0) {
    http_conn_gone(c);
    return;
  }
  if ((size_t)sent == head.len + text.len) {
    http_conn_answered(c);
    return;
  }
  if (!http_conn_pend(c, (size_t)sent, head, text)) {
    http_conn_gone(c);
    return;
  }
  c->state = HTTP_CONN_WRITING;
  c->pending->until_ms = c->loop->now_ms + c->loop->in->config.write_ms +
                         (head.len + text.len) * 1000u / YOI_HTTP_WRITE_BYTES_S;
  http_conn_blocked(c);
}

int http_conn_flush(struct http_conn *c) {
  struct http_pending *p = c->pending;
  if (!p) return 1;
  size_t total = p->head_len + p->text.len, in_head = p->off < p->head_len ? p->off : p->head_len;
  size_t in_text = p->off - in_head;
  struct iovec iov[2] = {piece(p->head + in_head, p->head_len - in_head),
                         piece(p->text.ptr ? p->text.ptr + in_text : NULL, p->text.len - in_text)};
  ssize_t sent = http_conn_send(c, iov, iov[1].iov_len > 0 ? 2 : 1);
  if (sent < 0) {
    http_conn_gone(c);
    return -1;
  }
  p->off += (size_t)sent;
  if (p->off < total) {
    if (sent > 0) http_conn_blocked(c);
    return c->state == HTTP_CONN_GONE ? -1 : 0;
  }
  yoi_sdk_free(p);
  c->pending = NULL;
  return 1;
}
