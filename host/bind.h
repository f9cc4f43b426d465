/* host/bind.h - the listening sockets of one ingress, made by the host. */
#ifndef YOI__BIND_H
#define YOI__BIND_H

#include <sdk/error.h>

#include "config.h"

/* "[", 45 characters of IPv6, "]:65535", NUL */
#define YOI__ADDRESS_MAX 64

struct yoi__bound {
  uint32_t n;
  int32_t fds[YOI_LOOPS_MAX]; /* fds[i] is for loop i */
  char address[YOI__ADDRESS_MAX];
};

/* [main] Binds and listens, one socket per loop; none is left open when it
 * fails. The message names what the config says, never more. */
yoi_status yoi__bind(const struct yoi__config_ingress *in, uint32_t n, struct yoi__bound *out,
                     yoi_error *err);
/* Closes what was not handed over. */
void yoi__bound_close(struct yoi__bound *l);

#endif
