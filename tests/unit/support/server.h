/* server.h - a server for one test: a thread that answers each path with the
 * bytes that the test gave it, on a free port of 127.0.0.1.
 *
 *   struct server *s = server_new();
 *   server_says(s, "/a", "HTTP/1.1 200 OK\r\n...", SERVER_CLOSES);
 *   ... s->port, server_seen(s), server_last(s) ...
 *   server_free(s);
 *
 * "%PORT%" in an answer is its port.
 */
#ifndef SUPPORT_SERVER_H
#define SUPPORT_SERVER_H

#include <stddef.h>
#include <stdint.h>

#define SERVER_CLOSES 0u
#define SERVER_KEEPS 1u   /* the connection, for another request */
#define SERVER_HANGS 2u   /* sends nothing more, until the client goes */
#define SERVER_REPEATS 3u /* the answer's last part (behind the empty line), without end */

struct server {
  int port;
};

struct server *server_new(void);
/* before the first request of it; text, or bytes with their length */
void server_says(struct server *s, const char *path, const char *answer, uint32_t then);
void server_says_bytes(struct server *s, const char *path, const void *p, size_t n, uint32_t then);
unsigned server_connections(struct server *s); /* so far */
void server_last(struct server *s, char *out, size_t size); /* head of the last request */
void server_free(struct server *s);

#endif
