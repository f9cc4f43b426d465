/* ingress-http/listener.c - what a loop does: accept, wake, time, drain.
 *
 * The host bound the sockets, one per loop (SO_REUSEPORT), so that the kernel
 * spreads connections and no loop hands one to another.
 *
 *  1. Above `connections` a caller gets limit_reached and a close; beyond
 *     HTTP_REFUSED_MAX of those at a time, only the close.
 *  2. A descriptor is kept in reserve. When the process has no other left and
 *     somebody waits, it is given up for one connection, which is told so and
 *     ends; others wait in the kernel until that one is gone, or any other, and
 *     the reserve is there again. Meanwhile the listener is not watched: a
 *     waiting connection that cannot be accepted would make the loop spin.
 *  3. enter and leave stand around every callback. Connections that ended are
 *     freed in leave, when no caller on the stack can touch them.
 *  4. One timer of the host stands for all deadlines of the loop.
 *  5. A drain ends when every loop was told of it and no connection is left, in
 *     this order: a loop that was told takes no connection any more. The post
 *     that tells it may have failed, so it looks at the end of each callback.
 */
#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sdk/mem.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_ACCEPT_PAUSE_MS 200     /* until what is short is asked for again */
#define HTTP_STARVED_QUIET_MS 60000 /* then it is said again */

/* ---- time ------------------------------------------------------------------- */

static void on_time(void *ctx) {
  struct http_loop *l = ctx;
  struct http_timer *t;
  l->timer = 0;
  /* A wake whose post failed for want of memory is found here. */
  if (atomic_load(&l->slots.top)) http_loop_woken(l);
  http_loop_enter(l);
  while ((t = http_wheel_take(&l->wheel, l->now_ms))) http_conn_expired((struct http_conn *)t);
  l->earliest_ms = http_wheel_next(&l->wheel);
  http_loop_resume(l);
  http_loop_leave(l);
}

void http_loop_enter(struct http_loop *l) {
  l->now_ns = l->in->clock->monotonic_ns(l->in->host);
  l->now_ms = l->now_ns / 1000000u;
}

static void arm(struct http_loop *l) {
  const struct http_instance *in = l->in;
  /* A wheel slot is over when its last millisecond is. */
  uint64_t at = l->earliest_ms == UINT64_MAX
                    ? UINT64_MAX
                    : (l->earliest_ms / HTTP_WHEEL_MS + 1) * HTTP_WHEEL_MS;
  if (at == UINT64_MAX || (l->timer && l->timer_at_ms <= at)) return;
  if (l->timer) in->loops_of->timer_cancel(in->host, l->timer);
  l->timer = 0;
  l->timer_at_ms = at;
  (void)in->loops_of->timer(in->host, at * 1000000u, on_time, l, &l->timer);
}

static void begin_drain(struct http_loop *l);

void http_loop_leave(struct http_loop *l) {
  if (!l->told && atomic_load(&l->in->draining)) begin_drain(l);
  while (l->dead) {
    struct http_conn *c = l->dead;
    l->dead = c->next;
    yoi_sdk_free(c);
  }
  /* A large answer does not keep its memory. */
  if (l->out.cap > 4 * HTTP_READ_BYTES) yoi_sdk_buf_release(&l->out);
  arm(l);
}

/* ---- connections that go on later ---------------------------------------------- */

static void on_ready(void *ctx) {
  struct http_loop *l = ctx;
  struct http_conn *c = l->ready;
  http_loop_enter(l);
  l->ready_posted = 0;
  /* Those that come back to the list are served in the next task. */
  struct http_conn *last = l->ready_last;
  while (c) {
    int is_last = c == last;
    l->ready = c->ready_next;
    if (!l->ready) l->ready_last = NULL;
    c->ready = 0;
    c->ready_next = NULL;
    if (c->state == HTTP_CONN_IDLE) http_conn_continue(c);
    else http_exchange_poll(c);
    if (is_last) break;
    c = l->ready;
  }
  http_loop_leave(l);
}

void http_loop_ready(struct http_conn *c) {
  struct http_loop *l = c->loop;
  if (c->ready || c->state == HTTP_CONN_GONE) return;
  c->ready = 1;
  c->ready_next = NULL;
  if (l->ready_last) l->ready_last->ready_next = c;
  else l->ready = c;
  l->ready_last = c;
  if (l->ready_posted) return;
  if (l->in->loops_of->post(l->in->host, l->index, on_ready, l) == YOI_OK) l->ready_posted = 1;
  else http_conn_gone(c); /* nobody would come back to it */
}

void http_loop_unready(struct http_conn *c) {
  struct http_loop *l = c->loop;
  if (!c->ready) return;
  struct http_conn *before = NULL;
  for (struct http_conn *o = l->ready; o != c; o = o->ready_next) before = o;
  if (before) before->ready_next = c->ready_next;
  else l->ready = c->ready_next;
  if (l->ready_last == c) l->ready_last = before;
  c->ready = 0;
  c->ready_next = NULL;
}

/* ---- wakes -------------------------------------------------------------------- */

void http_loop_woken(void *ctx) {
  struct http_loop *l = ctx;
  http_loop_enter(l);
  uint32_t cursor = http_slots_take(&l->slots);
  for (struct http_slot *s; (s = http_slots_next(&l->slots, &cursor));) {
    struct http_conn *next;
    for (struct http_conn *c = s->first; c; c = next) {
      next = c->slot_next;
      http_exchange_poll(c);
    }
  }
  http_loop_leave(l);
}

/* ---- accepting ------------------------------------------------------------------ */

static int open_spare(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

/* Once until it has not been so for a while: at the edge it comes and goes. */
static void note_starved(struct http_loop *l) {
  uint64_t before = atomic_exchange(&l->in->starved_ms, l->now_ms);
  if (before > 0 && l->now_ms < before + HTTP_STARVED_QUIET_MS) return;
  http_log(l->in, YOI_LOG_ERROR, "no descriptor left for a connection", (yoi_str){NULL, 0}, NULL,
           (yoi_str){NULL, 0});
}

static void look_again(struct http_loop *l) {
  if (l->now_ms + HTTP_ACCEPT_PAUSE_MS < l->earliest_ms)
    l->earliest_ms = l->now_ms + HTTP_ACCEPT_PAUSE_MS;
}

static void pause_accepting(struct http_loop *l) {
  (void)l->in->loops_of->rewatch(l->in->host, l->listen_watch, 0);
  l->listen_paused = 1;
  look_again(l);
}

static void on_listen(void *ctx, int32_t listen_fd, uint32_t ready);

static int watch_listener(struct http_loop *l) {
  return l->in->loops_of->watch(l->in->host, l->listen_fd, YOI_FD_READ, on_listen, l,
                                &l->listen_watch) == YOI_OK;
}

void http_loop_resume(struct http_loop *l) {
  if (l->listen_fd < 0) return;
  /* The reserve comes first, or a caller would get what belongs to it. */
  if (l->spare_fd < 0) l->spare_fd = open_spare();
  if (!l->listen_paused) return;
  if (l->spare_fd < 0) {
    look_again(l);
    return;
  }
  if (l->listen_watch == 0 && !watch_listener(l)) {
    look_again(l);
    return;
  }
  l->listen_paused = 0;
  (void)l->in->loops_of->rewatch(l->in->host, l->listen_watch, YOI_FD_READ);
}

/* Counts the connection for its peer: HTTP_REFUSED_*, -1 when memory is
 * short. */
static int count_peer(struct http_instance *in, int fd, const struct sockaddr_storage *from,
                      int local, struct http_peer **out) {
  const struct http_config *cf = &in->config;
  uint32_t max = local ? cf->local_connections : cf->peer_connections;
  if (local && max == UINT32_MAX && cf->local_streams == UINT32_MAX) return HTTP_REFUSED_NOT;
  int st = http_peers_enter(&in->peers, http_peer_key(fd, from), max, out);
  return st < 0 ? st : st == 1 ? HTTP_REFUSED_NOT : HTTP_REFUSED_PEER;
}

static void take(struct http_loop *l, int fd, const struct sockaddr_storage *from, int why) {
  struct http_instance *in = l->in;
  struct http_peer *peer = NULL;
  int local = http_peer_local(from), refused = why;
  if (!refused && atomic_load(&in->connections) >= in->config.connections)
    refused = HTTP_REFUSED_CONNECTIONS;
  if (!refused) refused = count_peer(in, fd, from, local, &peer);
  if (refused < 0 || (refused && atomic_load(&in->refused) >= HTTP_REFUSED_MAX)) {
    close(fd);
    return;
  }
  http_conn_new(l, fd, refused, local, peer);
}

static int accept_one(int listen_fd, struct sockaddr_storage *from) {
  socklen_t len = sizeof *from;
  from->ss_family = AF_UNIX; /* what an unnamed peer has */
  return accept4(listen_fd, (struct sockaddr *)from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* accept wants a descriptor before it looks for a connection: that there is
 * none says nothing about whether anybody waits for one. */
static int somebody_waits(int listen_fd) {
  struct pollfd p = {.fd = listen_fd, .events = POLLIN};
  return poll(&p, 1, 0) != 0;
}

/* No descriptor is left but the reserve. 0: not even that one. */
static int shed_one(struct http_loop *l) {
  struct sockaddr_storage from;
  note_starved(l);
  if (l->spare_fd < 0) return 0;
  close(l->spare_fd);
  l->spare_fd = -1;
  int fd = accept_one(l->listen_fd, &from);
  if (fd >= 0) take(l, fd, &from, HTTP_REFUSED_DESCRIPTORS);
  if (l->spare_fd < 0) l->spare_fd = open_spare();
  return l->spare_fd >= 0;
}

static void on_listen(void *ctx, int32_t listen_fd, uint32_t ready) {
  struct http_loop *l = ctx;
  (void)ready;
  http_loop_enter(l);
  for (int i = 0; i < HTTP_ACCEPTS_PER_TURN; i++) {
    struct sockaddr_storage from;
    int fd = accept_one(listen_fd, &from);
    if (fd >= 0) {
      take(l, fd, &from, HTTP_REFUSED_NOT);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    int starved = errno == EMFILE || errno == ENFILE;
    if (starved && !somebody_waits(listen_fd)) break;
    if (starved && shed_one(l)) continue;
    if (starved || errno != EAGAIN) pause_accepting(l);
    break;
  }
  http_loop_leave(l);
}

void http_loop_listen(void *ctx) {
  struct http_loop *l = ctx;
  l->spare_fd = open_spare();
  /* The kernel goes on to give this loop its share of the callers: they wait
   * until it can be watched. */
  if (l->listen_fd >= 0 && !watch_listener(l)) {
    http_log(l->in, YOI_LOG_ERROR, "cannot watch the listener, and tries again", (yoi_str){NULL, 0},
             NULL, (yoi_str){NULL, 0});
    http_loop_enter(l);
    l->listen_watch = 0;
    l->listen_paused = 1;
    look_again(l);
    http_loop_leave(l);
  }
  if (l->index == 0) {
    http_certificate_watch(l);
    http_door_watch(l);
  }
}

void http_loop_stop(void *ctx) {
  struct http_loop *l = ctx;
  if (l->listen_fd < 0) return;
  l->in->loops_of->unwatch(l->in->host, l->listen_watch);
  close(l->listen_fd);
  l->listen_fd = -1;
  l->listen_watch = 0;
  l->listen_paused = 0;
}

/* ---- the end ----------------------------------------------------------------------- */

void http_loop_drained(struct http_loop *l) {
  struct http_instance *in = l->in;
  if (atomic_load(&in->untold) > 0 || atomic_load(&in->connections) > 0 ||
      atomic_load(&in->refused) > 0)
    return;
  yoi_sdk_queue_finish(in->drained);
}

static void end_all(void *ctx) {
  struct http_loop *l = ctx;
  http_loop_enter(l);
  while (l->all) http_conn_gone(l->all);
  http_loop_leave(l);
}

static void begin_drain(struct http_loop *l) {
  struct http_instance *in = l->in;
  uint64_t unused;
  l->told = 1;
  http_loop_stop(l);
  for (struct http_conn *c = l->all, *next; c; c = next) {
    next = c->next;
    if (c->state != HTTP_CONN_IDLE && c->state != HTTP_CONN_HANDSHAKE) continue;
    http_timer_cancel(&l->wheel, &c->timer);
    http_conn_timer(c, HTTP_DRAIN_IDLE_MS);
  }
  /* At the deadline runtimes cancel what goes on and end their streams: what
   * they say then is still to go out. */
  uint64_t end_ms = in->drain_until_ms + HTTP_DRAIN_END_MS;
  if (l->all &&
      in->loops_of->timer(in->host, end_ms * 1000000u, end_all, l, &unused) != YOI_OK)
    while (l->all) http_conn_gone(l->all);
  /* The last connection may have gone before this one was told. Finishing
   * twice is harmless. */
  atomic_fetch_sub(&in->untold, 1u);
  http_loop_drained(l);
}

void http_loop_drain(void *ctx) {
  struct http_loop *l = ctx;
  http_loop_enter(l);
  http_loop_leave(l);
}

void http_loop_free(struct http_loop *l) {
  if (l->listen_fd >= 0) close(l->listen_fd);
  l->listen_fd = -1; /* nothing is watched any more */
  while (l->all) http_conn_gone(l->all);
  while (l->dead) {
    struct http_conn *c = l->dead;
    l->dead = c->next;
    yoi_sdk_free(c);
  }
  if (l->spare_fd >= 0) close(l->spare_fd);
  http_tls_context_free(l->tls);
  http_tls_context_free(atomic_load(&l->tls_next));
  http_ring_unref(l->ring);
  http_ring_unref(atomic_load(&l->ring_next));
  yoi_sdk_free(l->record);
  yoi_sdk_free(l->spare);
  yoi_sdk_buf_release(&l->out);
  http_slots_close(&l->slots);
}
