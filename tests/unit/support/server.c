/* server.c - see server.h. One thread per server, one poll over its listener
 * and its connections; what it writes it writes without blocking for long,
 * since a client that reads no more goes.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUTES 32
#define PEERS 16
#define HEAD 8192
#define MUST(x)                                                   \
  do {                                                            \
    if (!(x)) {                                                   \
      (void)fprintf(stderr, "server.c:%d: not so: %s\n", __LINE__, #x); \
      abort();                                                    \
    }                                                             \
  } while (0)

struct route {
  char path[64];
  char *bytes;
  size_t n;
  uint32_t then;
};

struct peer {
  int fd; /* -1: free */
  char head[HEAD];
  size_t n;
  const struct route *route; /* being answered */
  size_t sent;
};

struct real_server {
  struct server open; /* first */
  int listener, stop;
  pthread_t thread;
  pthread_mutex_t mu; /* for all below */
  struct route routes[ROUTES];
  unsigned n_routes, connections;
  char last[HEAD];
  struct peer peers[PEERS]; /* the thread's */
};

static void drop(struct peer *p) {
  close(p->fd);
  *p = (struct peer){.fd = -1};
}

static const struct route *route_of(struct real_server *s, const char *head) {
  const char *path = strchr(head, ' ');
  const struct route *found = NULL;
  MUST(path != NULL);
  size_t n = strcspn(++path, " ");
  pthread_mutex_lock(&s->mu);
  for (unsigned i = 0; i < s->n_routes; i++)
    if (strlen(s->routes[i].path) == n && memcmp(s->routes[i].path, path, n) == 0)
      found = &s->routes[i];
  memcpy(s->last, head, HEAD);
  pthread_mutex_unlock(&s->mu);
  return found;
}

static void answer(struct peer *p) {
  const struct route *r = p->route;
  if (p->sent == r->n && r->then == SERVER_REPEATS) {
    const char *body = strstr(r->bytes, "\r\n\r\n");
    MUST(body != NULL);
    p->sent = (size_t)(body + 4 - r->bytes);
  }
  ssize_t n = send(p->fd, r->bytes + p->sent, r->n - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) {
    drop(p);
    return;
  }
  p->sent += (size_t)n;
  if (p->sent < r->n || r->then == SERVER_REPEATS) return;
  if (r->then == SERVER_CLOSES) drop(p);
  if (r->then == SERVER_KEEPS) p->route = NULL;
}

static void take(struct real_server *s, struct peer *p) {
  ssize_t n = recv(p->fd, p->head + p->n, HEAD - 1 - p->n, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    drop(p);
    return;
  }
  p->n += (size_t)n;
  p->head[p->n] = '\0';
  if (p->route || !strstr(p->head, "\r\n\r\n")) return;
  p->route = route_of(s, p->head);
  p->n = p->sent = 0;
  if (!p->route) drop(p);
}

static void greet(struct real_server *s) {
  int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
  unsigned i = 0;
  if (fd < 0) return;
  while (i < PEERS && s->peers[i].fd >= 0) i++;
  MUST(i < PEERS);
  s->peers[i] = (struct peer){.fd = fd};
  pthread_mutex_lock(&s->mu);
  s->connections++;
  pthread_mutex_unlock(&s->mu);
}

static int busy(const struct peer *p) {
  return p->route && (p->sent < p->route->n || p->route->then == SERVER_REPEATS ||
                      p->route->then == SERVER_CLOSES);
}

static void *serve(void *ctx) {
  struct real_server *s = ctx;
  for (;;) {
    struct pollfd fds[PEERS + 2] = {{.fd = s->stop, .events = POLLIN},
                                    {.fd = s->listener, .events = POLLIN}};
    for (unsigned i = 0; i < PEERS; i++)
      fds[i + 2] = (struct pollfd){.fd = s->peers[i].fd,
                                   .events = busy(&s->peers[i]) ? POLLIN | POLLOUT : POLLIN};
    MUST(poll(fds, PEERS + 2, -1) > 0 || errno == EINTR);
    if (fds[0].revents) return NULL;
    for (unsigned i = 0; i < PEERS; i++) {
      if (s->peers[i].fd >= 0 && fds[i + 2].revents & (POLLIN | POLLHUP | POLLERR))
        take(s, &s->peers[i]);
      if (s->peers[i].fd >= 0 && fds[i + 2].revents & POLLOUT && busy(&s->peers[i]))
        answer(&s->peers[i]);
    }
    if (fds[1].revents) greet(s);
  }
}

struct server *server_new(void) {
  struct real_server *s = calloc(1, sizeof *s);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  MUST(s != NULL);
  for (unsigned i = 0; i < PEERS; i++) s->peers[i].fd = -1;
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  s->stop = eventfd(0, EFD_CLOEXEC);
  MUST(s->listener >= 0 && s->stop >= 0);
  MUST(bind(s->listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(s->listener, 16) == 0);
  MUST(getsockname(s->listener, (struct sockaddr *)&a, &n) == 0);
  s->open.port = ntohs(a.sin_port);
  MUST(pthread_mutex_init(&s->mu, NULL) == 0);
  MUST(pthread_create(&s->thread, NULL, serve, s) == 0);
  return &s->open;
}

void server_says_bytes(struct server *open, const char *path, const void *p, size_t n,
                       uint32_t then) {
  struct real_server *s = (struct real_server *)open;
  pthread_mutex_lock(&s->mu);
  MUST(s->n_routes < ROUTES && strlen(path) < sizeof s->routes[0].path);
  struct route *r = &s->routes[s->n_routes];
  memcpy(r->path, path, strlen(path) + 1);
  r->bytes = malloc(n + 1);
  MUST(r->bytes != NULL);
  memcpy(r->bytes, p, n);
  r->bytes[n] = '\0';
  r->n = n;
  r->then = then;
  s->n_routes++;
  pthread_mutex_unlock(&s->mu);
}

void server_says(struct server *s, const char *path, const char *text, uint32_t then) {
  char *copy = malloc(strlen(text) + 64), *at;
  MUST(copy != NULL);
  memcpy(copy, text, strlen(text) + 1);
  while ((at = strstr(copy, "%PORT%")) != NULL) {
    char port[8];
    int n = snprintf(port, sizeof port, "%d", s->port);
    memmove(at + n, at + 6, strlen(at + 6) + 1);
    memcpy(at, port, (size_t)n);
  }
  server_says_bytes(s, path, copy, strlen(copy), then);
  free(copy);
}

unsigned server_connections(struct server *open) {
  struct real_server *s = (struct real_server *)open;
  pthread_mutex_lock(&s->mu);
  unsigned n = s->connections;
  pthread_mutex_unlock(&s->mu);
  return n;
}

void server_last(struct server *open, char *out, size_t size) {
  struct real_server *s = (struct real_server *)open;
  pthread_mutex_lock(&s->mu);
  snprintf(out, size, "%s", s->last);
  pthread_mutex_unlock(&s->mu);
}

void server_free(struct server *open) {
  struct real_server *s = (struct real_server *)open;
  uint64_t one = 1;
  MUST(write(s->stop, &one, sizeof one) == sizeof one);
  pthread_join(s->thread, NULL);
  for (unsigned i = 0; i < PEERS; i++)
    if (s->peers[i].fd >= 0) close(s->peers[i].fd);
  for (unsigned i = 0; i < s->n_routes; i++) free(s->routes[i].bytes);
  close(s->listener);
  close(s->stop);
  pthread_mutex_destroy(&s->mu);
  free(s);
}
