/* host/isolate/frame.c - packets: put together, taken apart, checked.
 *
 * Both sides use it; only the host has reason to distrust the other. Invariants:
 *  1. No length that came over the socket is believed: a body is as long as the
 *     bytes that arrived, at most `max`, and memory is taken as they arrive.
 *  2. A piece carries the id of its message and says where it begins; one that
 *     does not follow ends the channel.
 *  3. Descriptors come with the first packet of a message, one at most; what
 *     else comes is closed here.
 *  4. Order is kept: while something is queued, what is sent is queued too.
 *  5. What is queued has an end, in bytes and, as one may bring a descriptor, in
 *     answers.
 */
#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <sdk/mem.h>

#define FDS_MAX 4 /* that are taken, to be closed */

/* ---- bodies --------------------------------------------------------------- */

void yoi__put_u32(struct yoi_sdk_buf *b, uint32_t v) {
  yoi_sdk_buf_add(b, &v, sizeof v);
}

void yoi__put_u64(struct yoi_sdk_buf *b, uint64_t v) {
  yoi_sdk_buf_add(b, &v, sizeof v);
}

void yoi__put_str(struct yoi_sdk_buf *b, yoi_str s) {
  if (s.len > UINT32_MAX) b->failed = YOI_OUT_OF_RANGE;
  yoi__put_u32(b, (uint32_t)s.len);
  yoi_sdk_buf_adds(b, s);
}

void yoi__put_error(struct yoi_sdk_buf *b, const yoi_error *e) {
  yoi__put_u32(b, (uint32_t)e->code);
  yoi__put_u32(b, e->flags);
  yoi__put_u32(b, e->retry_after_ms);
  yoi__put_str(b, yoi_sdk_str(e->message));
  yoi__put_str(b, yoi_sdk_str(e->details));
  yoi__put_str(b, yoi_sdk_str(e->private_detail));
}

struct yoi__reader yoi__reader_of(yoi_str body) {
  return (struct yoi__reader){body.ptr, body.len, 0};
}

static void get(struct yoi__reader *r, void *out, size_t n) {
  if (r->bad || r->left < n) {
    r->bad = 1;
    memset(out, 0, n);
    return;
  }
  memcpy(out, r->at, n);
  r->at += n;
  r->left -= n;
}

uint32_t yoi__get_u32(struct yoi__reader *r) {
  uint32_t v;
  get(r, &v, sizeof v);
  return v;
}

uint64_t yoi__get_u64(struct yoi__reader *r) {
  uint64_t v;
  get(r, &v, sizeof v);
  return v;
}

yoi_str yoi__get_bytes(struct yoi__reader *r, size_t max) {
  uint32_t n = yoi__get_u32(r);
  if (r->bad || n > r->left || n > max) {
    r->bad = 1;
    return (yoi_str){"", 0};
  }
  yoi_str s = {r->at, n};
  r->at += n;
  r->left -= n;
  return s;
}

yoi_str yoi__get_text(struct yoi__reader *r, size_t max) {
  yoi_str s = yoi__get_bytes(r, max);
  if (yoi_sdk_utf8_valid(s)) return s;
  r->bad = 1;
  return (yoi_str){"", 0};
}

/* A text without NUL, into a buffer of the ABI's error. */
static void get_into(struct yoi__reader *r, char *out, size_t cap) {
  yoi_str s = yoi__get_text(r, cap - 1);
  if (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL) r->bad = 1;
  size_t n = r->bad ? 0 : s.len;
  memcpy(out, s.ptr, n);
  out[n] = '\0';
}

void yoi__get_error(struct yoi__reader *r, yoi_error *e) {
  e->code = (int32_t)yoi__get_u32(r);
  e->flags = yoi__get_u32(r);
  e->retry_after_ms = yoi__get_u32(r);
  if ((e->flags & ~YOI_ERROR_RETRYABLE) != 0) r->bad = 1;
  get_into(r, e->message, e->message_cap);
  get_into(r, e->details, e->details_cap);
  get_into(r, e->private_detail, e->private_cap);
}

int yoi__reader_done(const struct yoi__reader *r) {
  return !r->bad && r->left == 0;
}

/* ---- receiving ------------------------------------------------------------- */

yoi_status yoi__channel_init(struct yoi__channel *c, int fd, int waiting, size_t max) {
  *c = (struct yoi__channel){.fd = fd, .waiting = waiting, .max = max, .got_fd = -1};
  c->last = &c->first;
  yoi_sdk_buf_init(&c->body, max);
  c->packet = yoi_sdk_malloc(YOI__PACKET_BYTES);
  return c->packet != NULL ? YOI_OK : YOI_RESOURCE_EXHAUSTED;
}

struct yoi__unsent {
  struct yoi__unsent *next;
  struct yoi__frame_head head;
  int fd;      /* a copy; -1: none, or it has gone */
  size_t sent; /* of the body */
  size_t len;
  int begun; /* its first packet has gone */
  char body[];
};

_Static_assert(sizeof(struct yoi__unsent) + 2 * sizeof(max_align_t) <= YOI__UNSENT_BYTES,
               "with what an allocation costs");

static int is_answer(const struct yoi__frame_head *h) {
  return h->kind == YOI__MSG_ANSWER;
}

static void unsent_free(struct yoi__channel *c) {
  struct yoi__unsent *u = c->first;
  c->queued -= YOI__UNSENT_BYTES + u->len;
  c->answers -= (uint32_t)is_answer(&u->head);
  c->first = u->next;
  if (c->first == NULL) c->last = &c->first;
  if (u->fd >= 0) close(u->fd);
  yoi_sdk_wipe(u->body, u->len);
  yoi_sdk_free(u);
}

static void drop_fd(struct yoi__channel *c) {
  if (c->got_fd >= 0) close(c->got_fd);
  c->got_fd = -1;
}

void yoi__channel_release(struct yoi__channel *c) {
  if (c->last == NULL) return; /* it was never made, or is released */
  while (c->first != NULL) unsent_free(c);
  drop_fd(c);
  if (c->fd >= 0) close(c->fd);
  yoi_sdk_buf_release(&c->body);
  yoi_sdk_free(c->packet);
  *c = (struct yoi__channel){.fd = -1};
}

/* Takes the descriptors of a packet: the first into *out, the rest is closed.
 * 1: there was at most one. */
static int take_fds(struct msghdr *m, int *out) {
  int n = 0;
  *out = -1;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    size_t all = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < all; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
      if (n++ == 0)
        *out = fd;
      else
        close(fd);
    }
  }
  return n <= 1 && (m->msg_flags & MSG_CTRUNC) == 0;
}

/* One packet into c->packet. Its size, 0: none is there, -1: over. */
static ssize_t recv_packet(struct yoi__channel *c, int *out_fd, const char **why) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
  } control;
  struct iovec v = {c->packet, YOI__PACKET_BYTES};
  struct msghdr m = {.msg_iov = &v,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  ssize_t n;
  *out_fd = -1;
  do {
    n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  *why = NULL;
  if (n <= 0) return -1; /* an empty packet is none of ours, and looks like the end */
  int one = take_fds(&m, out_fd);
  if (!one) *why = "several descriptors in a packet";
  if ((m.msg_flags & MSG_TRUNC) != 0) *why = "a packet is too large";
  if ((size_t)n < sizeof c->head) *why = "a packet is too small";
  if (*why == NULL) return n;
  if (*out_fd >= 0) close(*out_fd);
  return -1;
}

/* A packet that begins a message. */
static int begin(struct yoi__channel *c, const struct yoi__frame_head *h, yoi_str piece, int fd,
                 struct yoi__message *out, const char **why) {
  if (h->kind == YOI__MSG_MORE || h->kind > YOI__MSG_LAST || h->total > c->max ||
      (h->total != piece.len && (h->total < piece.len || piece.len != YOI_ISOLATED_PIECE_BYTES))) {
    if (fd >= 0) close(fd);
    *why = "a packet does not begin a message";
    return -1;
  }
  c->head = *h;
  c->got_fd = fd;
  if (h->total != piece.len) {
    c->partial = 1;
    yoi_sdk_buf_clear(&c->body);
    yoi_sdk_buf_adds(&c->body, piece);
    return 0;
  }
  *out = (struct yoi__message){h->kind, h->id, piece, fd};
  c->got_fd = -1;
  return 1;
}

/* One that goes on with it. */
static int go_on(struct yoi__channel *c, const struct yoi__frame_head *h, yoi_str piece, int fd,
                 struct yoi__message *out, const char **why) {
  size_t left = c->head.total - c->body.len;
  size_t want = left < YOI_ISOLATED_PIECE_BYTES ? left : YOI_ISOLATED_PIECE_BYTES;
  if (fd >= 0) close(fd);
  if (fd >= 0 || h->kind != YOI__MSG_MORE || h->id != c->head.id || h->total != c->body.len ||
      piece.len != want) {
    *why = "a packet does not go on with its message";
    return -1;
  }
  yoi_sdk_buf_adds(&c->body, piece);
  if (c->body.failed != 0) {
    *why = "memory is short";
    return -1;
  }
  if (c->body.len < c->head.total) return 0;
  c->partial = 0;
  *out = (struct yoi__message){c->head.kind, c->head.id, yoi_sdk_buf_str(&c->body), c->got_fd};
  c->got_fd = -1;
  return 1;
}

int yoi__channel_recv(struct yoi__channel *c, struct yoi__message *out, const char **why) {
  for (;;) {
    struct yoi__frame_head h;
    int fd = -1;
    ssize_t n = recv_packet(c, &fd, why);
    if (n <= 0) return (int)n;
    memcpy(&h, c->packet, sizeof h);
    yoi_str piece = {c->packet + sizeof h, (size_t)n - sizeof h};
    int done = c->partial ? go_on(c, &h, piece, fd, out, why) : begin(c, &h, piece, fd, out, why);
    if (done != 0) return done;
  }
}

/* ---- sending ---------------------------------------------------------------- */

/* OK, AGAIN (no room), UNAVAILABLE. */
static yoi_status send_packet(const struct yoi__channel *c, const struct yoi__frame_head *h,
                              const char *piece, size_t len, int fd) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct yoi__frame_head head = *h;
  struct iovec v[2] = {{&head, sizeof head}, {(void *)(uintptr_t)piece, len}};
  struct msghdr m = {.msg_iov = v, .msg_iovlen = len > 0 ? 2 : 1};
  if (fd >= 0) {
    memset(&control, 0, sizeof control);
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof control.bytes;
    struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cm), &fd, sizeof fd);
  }
  for (;;) {
    if (sendmsg(c->fd, &m, MSG_NOSIGNAL | (c->waiting ? 0 : MSG_DONTWAIT)) >= 0) return YOI_OK;
    if (errno == EINTR) continue;
    /* ETOOMANYREFS: descriptors that are under way are many; they are read. */
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS)
      return YOI_AGAIN;
    return YOI_UNAVAILABLE;
  }
}

/* Sends from *sent on; OK: all of it. */
static yoi_status send_from(const struct yoi__channel *c, const struct yoi__frame_head *h,
                            const char *body, size_t len, int *begun, size_t *sent, int fd) {
  while (!*begun || *sent < len) {
    struct yoi__frame_head head = *h;
    size_t n = len - *sent;
    if (n > YOI_ISOLATED_PIECE_BYTES) n = YOI_ISOLATED_PIECE_BYTES;
    if (*begun) {
      head.kind = YOI__MSG_MORE;
      head.total = (uint32_t)*sent;
    }
    yoi_status st = send_packet(c, &head, body + *sent, n, *begun ? -1 : fd);
    if (st != YOI_OK) return st;
    *begun = 1;
    *sent += n;
  }
  return YOI_OK;
}

yoi_status yoi__channel_send(struct yoi__channel *c, uint32_t kind, uint64_t id, yoi_str body,
                             int fd) {
  struct yoi__frame_head head = {kind, (uint32_t)body.len, id};
  yoi_status st = YOI_AGAIN;
  size_t sent = 0;
  int begun = 0;
  if (c->fd < 0) return YOI_UNAVAILABLE;
  if (body.len > YOI_ISOLATED_MESSAGE_BYTES) return YOI_RESOURCE_EXHAUSTED;
  if (c->first == NULL) st = send_from(c, &head, body.ptr, body.len, &begun, &sent, fd);
  if (st != YOI_AGAIN) return st;
  if (c->queued + YOI__UNSENT_BYTES + body.len > YOI_ISOLATED_QUEUE_BYTES ||
      (is_answer(&head) && c->answers == YOI_ISOLATED_ASKS_MAX))
    return YOI_RESOURCE_EXHAUSTED;
  struct yoi__unsent *u = yoi_sdk_malloc(sizeof *u + body.len);
  if (u == NULL) return YOI_RESOURCE_EXHAUSTED;
  *u = (struct yoi__unsent){.head = head, .fd = -1, .sent = sent, .len = body.len, .begun = begun};
  if (fd >= 0 && !begun) u->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (fd >= 0 && !begun && u->fd < 0) {
    yoi_sdk_free(u);
    return YOI_RESOURCE_EXHAUSTED;
  }
  if (body.len > 0) memcpy(u->body, body.ptr, body.len);
  *c->last = u;
  c->last = &u->next;
  c->queued += YOI__UNSENT_BYTES + body.len;
  c->answers += (uint32_t)is_answer(&head);
  return YOI_OK;
}

yoi_status yoi__channel_flush(struct yoi__channel *c) {
  while (c->first != NULL) {
    struct yoi__unsent *u = c->first;
    yoi_status st = send_from(c, &u->head, u->body, u->len, &u->begun, &u->sent, u->fd);
    if (st == YOI_AGAIN) return YOI_OK;
    if (st != YOI_OK) return st;
    unsent_free(c);
  }
  return YOI_OK;
}
