/* host/listen.h - the address of a listener, as text and as the kernel's. */
#ifndef YOI__LISTEN_H
#define YOI__LISTEN_H

#include <sys/socket.h>
#include <yoi/base.h>

/* "127.0.0.1:38800", "[::1]:0", "localhost:80", "unix:run/yoi.sock"; a
 * relative path is below base, which is absolute. NULL, or what is wrong: a
 * constant text. Names are not resolved: a listener's address must not depend
 * on a name server. */
const char *yoi__listen_parse(yoi_str text, const char *base, struct sockaddr_storage *out,
                              socklen_t *out_len);
/* 1: only this machine can reach it. */
int yoi__listen_loopback(const struct sockaddr_storage *a);
/* 1: both would listen on the same port (port 0 never) or path. */
int yoi__listen_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
