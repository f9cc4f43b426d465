/* host/bind.h - the listening sockets of one ingress, made by the host. */
#ifndef YOI__BIND_H
#define YOI__BIND_H

#include <sdk/error.h>

#include "config.h"
#include "socket_file.h"

/* "unix:", 107 bytes, NUL; "[", 45 characters of IPv6, "]:65535" are fewer */
#define YOI__ADDRESS_MAX 120

struct yoi__bound {
  uint32_t n;
  int32_t fds[YOI_LOOPS_MAX]; /* fds[i] is for loop i */
  char address[YOI__ADDRESS_MAX];
  struct yoi__socket_file file; /* of a Unix socket; outlives the descriptors */
};

/* [main] Binds and listens, one socket per loop, or one Unix socket; none is
 * left open when it fails. The message names what the config says, never
 * more. */
yoi_status yoi__bind(const struct yoi__config_ingress *in, uint32_t n, struct yoi__bound *out,
                     yoi_error *err);
/* [main] Closes what was not handed over, removes the file. */
void yoi__bound_close(struct yoi__bound *l);

#endif
