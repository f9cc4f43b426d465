/* sdk/http/drive.c - between libcurl's socket interface and the host's loop.
 *
 *   host: fd ready ----> on_ready --\
 *   host: timer -------> on_timer ---> drive ---> curl_multi_socket_action
 *   start -------------> kick ------/      |         | socket_cb, timer_cb
 *                                          |         v
 *                                          |    watches; `curl_at`
 *                                          \--> curl_multi_info_read ---> ended
 *
 * What it costs matters: on a connection that is used again a request makes
 * no system call beyond its send and its receives.
 *
 * Invariants:
 *  1. A socket of a connection that stands stays watched while libcurl keeps
 *     it idle; it leaves the table when libcurl closes it, which it does
 *     through closesocket_cb, before the descriptor number can be used again.
 *     Other sockets (the resolver's, and those that are not connected yet)
 *     leave as soon as libcurl loses interest, because it closes them itself,
 *     those of an attempt before it says so: so an exchange that is taken out
 *     gives up the watches of its attempts before (forget).
 *  2. One host timer per loop. It fires at or before the earliest of libcurl's
 *     timeout and every exchange's deadline; it is never moved back, so that
 *     a request normally does not touch it. Firing early is harmless.
 *  3. `driving` is set while libcurl acts and until its results were handed
 *     out: what a callback starts is run by the loop in `drive`, not by
 *     recursion.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS_MAX YOI_SDK_HARD(16, 1) /* of one drive; more is left to the timer: fairness */

static uint64_t now_ns(const struct yoi__sdk_http_loop *l) {
  return l->client->clock->monotonic_ns(l->client->host);
}

/* ---- sockets ---------------------------------------------------------- */

static struct yoi__sdk_http_socket **slot_of(struct yoi__sdk_http_loop *l, curl_socket_t fd) {
  struct yoi__sdk_http_socket **at = &l->sockets[(unsigned)fd & (YOI__SDK_HTTP_BUCKETS - 1)];
  while (*at && (*at)->fd != fd) at = &(*at)->next;
  return at;
}

static struct yoi__sdk_http_socket *socket_add(struct yoi__sdk_http_loop *l, curl_socket_t fd,
                                               const struct yoi_sdk_http_exchange *opener) {
  struct yoi__sdk_http_socket *s = yoi_sdk_calloc(1, sizeof *s);
  if (!s) return NULL;
  s->loop = l;
  s->fd = fd;
  s->opener = opener;
  struct yoi__sdk_http_socket **at = slot_of(l, fd);
  s->next = *at;
  *at = s;
  return s;
}

static void socket_unwatch(struct yoi__sdk_http_socket *s) {
  struct yoi_sdk_http *c = s->loop->client;
  if (s->watch && !s->loop->closing) c->loop->unwatch(c->host, s->watch);
  s->watch = 0;
  s->interest = 0;
}

static void socket_remove(struct yoi__sdk_http_loop *l, curl_socket_t fd) {
  struct yoi__sdk_http_socket **at = slot_of(l, fd), *s = *at;
  if (!s) return;
  socket_unwatch(s);
  *at = s->next;
  yoi_sdk_free(s);
}

void yoi__sdk_http_sockets_free(struct yoi__sdk_http_loop *l) {
  for (size_t i = 0; i < YOI__SDK_HTTP_BUCKETS; i++)
    while (l->sockets[i]) socket_remove(l, l->sockets[i]->fd);
}

static int may_connect(const struct yoi_sdk_http_exchange *x, const struct curl_sockaddr *addr) {
  char text[INET6_ADDRSTRLEN];
  const void *address = NULL;
  in_port_t port = 0;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  if (!x->guarded) return 1;
  if (addr->family == AF_INET && addr->addrlen >= sizeof in) {
    memcpy(&in, &addr->addr, sizeof in);
    address = &in.sin_addr;
    port = ntohs(in.sin_port);
  } else if (addr->family == AF_INET6 && addr->addrlen >= sizeof in6) {
    memcpy(&in6, &addr->addr, sizeof in6);
    address = &in6.sin6_addr;
    port = ntohs(in6.sin6_port);
  }
  return x->handler && address && inet_ntop(addr->family, address, text, sizeof text) &&
         x->handler->connect(x->ctx, (yoi_str){text, strlen(text)}, port);
}

curl_socket_t yoi__sdk_http_opensocket_cb(void *ctx, curlsocktype purpose,
                                          struct curl_sockaddr *addr) {
  struct yoi_sdk_http_exchange *x = ctx;
  (void)purpose;
  if (!may_connect(x, addr)) return CURL_SOCKET_BAD;
  x->opened = 1;
  int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  if (socket_add(x->loop, fd, x)) return fd;
  close(fd);
  return CURL_SOCKET_BAD;
}

/* Of the sockets that an exchange opened one is connected; it has closed the
 * others, which went when they were closed. */
void yoi__sdk_http_connected(const struct yoi_sdk_http_exchange *x) {
  for (size_t i = 0; i < YOI__SDK_HTTP_BUCKETS; i++)
    for (struct yoi__sdk_http_socket *s = x->loop->sockets[i]; s; s = s->next)
      if (s->opener == x) {
        s->opener = NULL;
        s->kept = 1;
      }
}

void yoi__sdk_http_forget(const struct yoi_sdk_http_exchange *x) {
  for (size_t i = 0; i < YOI__SDK_HTTP_BUCKETS; i++)
    for (struct yoi__sdk_http_socket *s = x->loop->sockets[i]; s; s = s->next)
      if (s->opener == x) socket_unwatch(s);
}

int yoi__sdk_http_closesocket_cb(void *ctx, curl_socket_t fd) {
  socket_remove(ctx, fd);
  return close(fd);
}

static void on_ready(void *ctx, int32_t fd, uint32_t ready) {
  struct yoi__sdk_http_socket *s = ctx;
  if (!s->wanted) {
    /* The other side closed an idle connection; libcurl finds out when it
     * would use it. */
    socket_unwatch(s);
    return;
  }
  int flags = (ready & YOI_FD_READ ? CURL_CSELECT_IN : 0) |
              (ready & YOI_FD_WRITE ? CURL_CSELECT_OUT : 0) |
              (ready & YOI_FD_ERROR ? CURL_CSELECT_ERR : 0);
  yoi__sdk_http_drive(s->loop, fd, flags);
}

/* Its socket cannot be watched: end the exchange, soon. A failure returned to
 * libcurl would make the whole multi handle unusable. */
static void cannot_watch(struct yoi__sdk_http_loop *l, CURL *easy) {
  struct yoi_sdk_http_exchange *x = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&x);
  if (!x) return;
  x->end = YOI_SDK_HTTP_INTERNAL;
  yoi__sdk_http_wake_at(l, 0);
}

int yoi__sdk_http_socket_cb(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket) {
  struct yoi__sdk_http_loop *l = ctx;
  struct yoi_sdk_http *c = l->client;
  struct yoi__sdk_http_socket *s = socket ? socket : *slot_of(l, fd);
  if (l->closing) return 0;
  if (what == CURL_POLL_REMOVE) {
    if (s && s->kept)
      s->wanted = 0;
    else
      socket_remove(l, fd);
    return 0;
  }
  if (!s && !(s = socket_add(l, fd, NULL))) {
    cannot_watch(l, easy);
    return 0;
  }
  s->wanted = (what & CURL_POLL_IN ? YOI_FD_READ : 0) | (what & CURL_POLL_OUT ? YOI_FD_WRITE : 0);
  if (s->watch && s->interest == s->wanted) return 0;
  yoi_status st = s->watch ? c->loop->rewatch(c->host, s->watch, s->wanted)
                           : c->loop->watch(c->host, fd, s->wanted, on_ready, s, &s->watch);
  if (st != YOI_OK)
    cannot_watch(l, easy);
  else
    s->interest = s->wanted;
  if (!socket) curl_multi_assign(l->multi, fd, s);
  return 0;
}

/* ---- time ------------------------------------------------------------- */

static void on_timer(void *ctx) {
  struct yoi__sdk_http_loop *l = ctx;
  l->timer = 0;
  yoi__sdk_http_drive(l, CURL_SOCKET_TIMEOUT, 0);
  uint64_t now = now_ns(l), next = UINT64_MAX;
  l->driving = 1;
  for (struct yoi_sdk_http_exchange *x = l->active, *after; x; x = after) {
    uint64_t due = yoi__sdk_http_due(x);
    after = x->next;
    if (due <= now) {
      yoi__sdk_http_expire(x);
      /* Its done may have started or cancelled any other. */
      after = l->active;
      next = UINT64_MAX;
    } else if (due < next) {
      next = due;
    }
  }
  l->driving = 0;
  if (next != UINT64_MAX) yoi__sdk_http_wake_at(l, next);
  if (l->curl_at != UINT64_MAX) yoi__sdk_http_wake_at(l, l->curl_at);
}

void yoi__sdk_http_wake_at(struct yoi__sdk_http_loop *l, uint64_t at_ns) {
  struct yoi_sdk_http *c = l->client;
  if (l->closing || (l->timer && l->timer_at <= at_ns)) return;
  if (l->timer) c->loop->timer_cancel(c->host, l->timer);
  l->timer = 0;
  if (c->loop->timer(c->host, at_ns, on_timer, l, &l->timer) == YOI_OK) l->timer_at = at_ns;
}

int yoi__sdk_http_timer_cb(CURLM *multi, long ms, void *ctx) {
  struct yoi__sdk_http_loop *l = ctx;
  (void)multi;
  if (l->closing) return 0;
  l->curl_at = ms < 0 ? UINT64_MAX : now_ns(l) + (uint64_t)ms * 1000000;
  if (!l->driving && l->curl_at != UINT64_MAX) yoi__sdk_http_wake_at(l, l->curl_at);
  return 0;
}

/* ---- driving ---------------------------------------------------------- */

/* The number of exchanges that still run, by libcurl's count. */
static int act(struct yoi__sdk_http_loop *l, curl_socket_t fd, int flags) {
  int running = 0;
  /* Asked for its timeout, libcurl names the next one again if there is one:
   * forgetting it here is safe, and it is due. */
  if (fd == CURL_SOCKET_TIMEOUT) l->curl_at = UINT64_MAX;
  curl_multi_socket_action(l->multi, fd, flags, &running);
  return running;
}

static void hand_out(struct yoi__sdk_http_loop *l) {
  CURLMsg *msg;
  int left;
  while ((msg = curl_multi_info_read(l->multi, &left)) != NULL) {
    struct yoi_sdk_http_exchange *x = NULL;
    CURLcode code = msg->data.result;
    if (msg->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&x);
    if (x) yoi__sdk_http_ended(x, code);
  }
}

void yoi__sdk_http_drive(struct yoi__sdk_http_loop *l, curl_socket_t fd, int flags) {
  l->driving = 1;
  act(l, fd, flags);
  hand_out(l);
  for (int i = 0; i < ROUNDS_MAX && l->curl_at != UINT64_MAX && l->curl_at <= now_ns(l); i++) {
    act(l, CURL_SOCKET_TIMEOUT, 0);
    hand_out(l);
  }
  l->driving = 0;
  if (l->curl_at != UINT64_MAX) yoi__sdk_http_wake_at(l, l->curl_at);
}

void yoi__sdk_http_kick(struct yoi__sdk_http_loop *l, uint32_t n_active) {
  if (l->driving) return; /* drive sees curl_at */
  l->driving = 1;
  int running = act(l, CURL_SOCKET_TIMEOUT, 0);
  l->driving = 0;
  /* Something ended already: its done must not be called within start. */
  if (running < 0 || (uint32_t)running < n_active) yoi__sdk_http_wake_at(l, 0);
  if (l->curl_at != UINT64_MAX) yoi__sdk_http_wake_at(l, l->curl_at);
}
