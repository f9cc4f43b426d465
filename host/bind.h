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
  /* The same sockets once more, for an ingress that takes the place of this one. */
  uint32_t n_kept;
  int32_t kept[YOI_LOOPS_MAX];
};

/* [main] Binds and listens, one socket per loop, or one Unix socket, or takes the
 * one that was given; none is
 * left open when it fails. The message names what the config says, never
 * more. */
yoi_status yoi__bind(const struct yoi__config_ingress *in, uint32_t n, struct yoi__bound *out,
                     yoi_error *err);
/* [main] Before fds are handed over: keeps them. RESOURCE_EXHAUSTED: descriptors
 * are short. */
yoi_status yoi__bound_keep(struct yoi__bound *l, yoi_error *err);
/* [main] The sockets of another ingress, which goes on with its own: what waits
 * to be accepted is lost to neither. The file is still that one's, until
 * yoi__bound_inherit. */
yoi_status yoi__bound_take(const struct yoi__bound *from, struct yoi__bound *out, yoi_error *err);
void yoi__bound_inherit(struct yoi__bound *to, struct yoi__bound *from);
/* [main] Lets go of what is kept: with the plugin's own, the address is free. */
void yoi__bound_forget(struct yoi__bound *l);
/* [main] Closes what was not handed over and what is kept, removes the file. */
void yoi__bound_close(struct yoi__bound *l);

#endif
