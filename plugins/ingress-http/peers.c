/* ingress-http/peers.c - how much one peer has of a listener; peers.h says
 * what a peer is.
 *
 * Connections of one peer are spread over the loops, so the table is the
 * instance's and has a lock. It is held for a look-up in a short list, once per
 * connection and once per stream; peers that no cap is meant for (those of this
 * machine, unless the config names a cap) never come here.
 */
#include "peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>

int http_peers_init(struct http_peers *p) {
  memset(p, 0, sizeof *p);
  pthread_mutex_init(&p->lock, NULL);
  return yoi_sdk_random(p->seed, sizeof p->seed);
}

void http_peers_free(struct http_peers *p) {
  yoi_sdk_free(p->buckets); /* entries go with the connections */
  p->buckets = NULL;
  pthread_mutex_destroy(&p->lock);
}

/* ---- who ---------------------------------------------------------------------- */

/* 1: over IPv4, also to a socket of both families, as a service manager binds one;
 * *out is in the order of this machine. */
static int is_v4(const struct sockaddr_storage *from, uint32_t *out) {
  const struct in6_addr *six = &((const struct sockaddr_in6 *)from)->sin6_addr;
  if (from->ss_family == AF_INET) *out = ((const struct sockaddr_in *)from)->sin_addr.s_addr;
  else if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(six))
    memcpy(out, &six->s6_addr[12], sizeof *out);
  else
    return 0;
  *out = ntohl(*out);
  return 1;
}

int http_peer_local(const struct sockaddr_storage *from) {
  uint32_t v4;
  if (is_v4(from, &v4)) return v4 >> 24 == 127;
  return from->ss_family != AF_INET6 ||
         IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)from)->sin6_addr);
}

struct http_peer_key http_peer_key(int fd, const struct sockaddr_storage *from) {
  struct http_peer_key key = {.family = from->ss_family};
  uint32_t v4;
  if (is_v4(from, &v4)) {
    key.family = AF_INET;
    key.id = v4;
  } else if (from->ss_family == AF_INET6) {
    memcpy(&key.id, ((const struct sockaddr_in6 *)from)->sin6_addr.s6_addr, sizeof key.id);
  } else {
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t len = sizeof who;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
    key.id = who.uid;
  }
  return key;
}

void http_peer_text(int fd, char out[HTTP_PEER_TEXT]) {
  struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
  socklen_t len = sizeof a;
  char host[INET6_ADDRSTRLEN] = "";
  int known = getpeername(fd, (struct sockaddr *)&a, &len) == 0;
  uint32_t v4;
  if (known && is_v4(&a, &v4)) {
    /* the port stands in the same place for both families */
    (void)snprintf(out, HTTP_PEER_TEXT, "%u.%u.%u.%u:%u", v4 >> 24, v4 >> 16 & 255, v4 >> 8 & 255,
                   v4 & 255, ntohs(((const struct sockaddr_in *)&a)->sin_port));
  } else if (known && a.ss_family == AF_INET6) {
    const struct sockaddr_in6 *in = (const void *)&a;
    (void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
    (void)snprintf(out, HTTP_PEER_TEXT, "[%s]:%u", host, ntohs(in->sin6_port));
  } else if (known && a.ss_family == AF_UNIX) {
    (void)snprintf(out, HTTP_PEER_TEXT, "uid=%llu", (unsigned long long)http_peer_key(fd, &a).id);
  } else {
    (void)snprintf(out, HTTP_PEER_TEXT, "gone");
  }
}

/* ---- the table -------------------------------------------------------------------- */

static uint64_t mix(uint64_t x) { /* the finaliser of MurmurHash3 */
  x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
  x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
  return x ^ x >> 33;
}

static struct http_peer **place(struct http_peers *p, struct http_peer_key key) {
  uint64_t h = mix(mix(key.id ^ p->seed[0]) ^ key.family ^ p->seed[1]);
  struct http_peer **at = &p->buckets[h % HTTP_PEER_BUCKETS];
  while (*at && ((*at)->key.id != key.id || (*at)->key.family != key.family)) at = &(*at)->next;
  return at;
}

/* With the lock held; NULL: no memory. */
static struct http_peer *entry(struct http_peers *p, struct http_peer_key key) {
  if (!p->buckets) p->buckets = yoi_sdk_calloc(HTTP_PEER_BUCKETS, sizeof *p->buckets);
  if (!p->buckets) return NULL;
  struct http_peer **at = place(p, key), *peer = *at;
  if (peer) return peer;
  peer = yoi_sdk_calloc(1, sizeof *peer);
  if (peer) peer->key = key;
  *at = peer;
  return peer;
}

int http_peers_enter(struct http_peers *p, struct http_peer_key key, uint32_t max,
                     struct http_peer **out) {
  int st = -1;
  pthread_mutex_lock(&p->lock);
  struct http_peer *peer = entry(p, key);
  if (peer) st = peer->connections < max; /* max is above 0: a new one has room */
  if (st == 1) peer->connections++;
  pthread_mutex_unlock(&p->lock);
  *out = st == 1 ? peer : NULL;
  return st;
}

void http_peers_leave(struct http_peers *p, struct http_peer *peer) {
  if (!peer) return;
  pthread_mutex_lock(&p->lock);
  if (--peer->connections == 0) {
    *place(p, peer->key) = peer->next;
    yoi_sdk_free(peer);
  }
  pthread_mutex_unlock(&p->lock);
}

int http_peers_stream(struct http_peers *p, struct http_peer *peer, uint32_t max) {
  if (!peer) return 1;
  pthread_mutex_lock(&p->lock);
  int room = peer->streams < max;
  if (room) peer->streams++;
  pthread_mutex_unlock(&p->lock);
  return room;
}

void http_peers_stream_end(struct http_peers *p, struct http_peer *peer) {
  if (!peer) return;
  pthread_mutex_lock(&p->lock);
  peer->streams--;
  pthread_mutex_unlock(&p->lock);
}
