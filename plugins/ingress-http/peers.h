/* ingress-http/peers.h - how much one peer has of a listener.
 *
 * A peer is an IPv4 address, an IPv6 /64 (what one customer of a provider has),
 * or on a Unix socket a user. It has an entry while it has a connection, so the
 * table is bounded by the listener's connections. Every function is [any].
 */
#ifndef YOI_HTTP_PEERS_H
#define YOI_HTTP_PEERS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#define HTTP_PEER_BUCKETS 4096u
#define HTTP_PEER_TEXT 64 /* of an address or user with NUL */

struct http_peer_key {
  uint64_t family, id; /* AF_*; address, upper half of it, or user */
};

struct http_peer {
  struct http_peer *next;
  struct http_peer_key key;
  uint32_t connections, streams;
};

struct http_peers {
  pthread_mutex_t lock;
  uint64_t seed[2]; /* or a peer chooses addresses that share a bucket */
  struct http_peer **buckets; /* made with the first entry */
};

/* 0: no randomness. */
int http_peers_init(struct http_peers *p);
void http_peers_free(struct http_peers *p);

/* 1: the peer is on this machine. `from` is what accept gave. */
int http_peer_local(const struct sockaddr_storage *from);
struct http_peer_key http_peer_key(int fd, const struct sockaddr_storage *from);
/* The peer as text for a log: address and port, or uid=N. */
void http_peer_text(int fd, char out[HTTP_PEER_TEXT]);

/* One more connection of that peer: 1 and its entry, 0 when it has max, -1
 * when memory is short. */
int http_peers_enter(struct http_peers *p, struct http_peer_key key, uint32_t max,
                     struct http_peer **out);
void http_peers_leave(struct http_peers *p, struct http_peer *peer);
/* One more stream: 0 when it has max. NULL counts nothing. */
int http_peers_stream(struct http_peers *p, struct http_peer *peer, uint32_t max);
void http_peers_stream_end(struct http_peers *p, struct http_peer *peer);

#endif
