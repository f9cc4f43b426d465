/* host/sockets.h - sockets that the application has bound (yoi_host_options). */
#ifndef YOI__SOCKETS_H
#define YOI__SOCKETS_H

#include <sdk/error.h>
#include <sys/socket.h>
#include <yoi.h>

struct yoi__socket {
  char name[YOI_NAME_MAX + 1];
  int fd; /* a copy of the host's own, for its life */
  struct sockaddr_storage address; /* as the kernel says it */
  socklen_t address_len;
};

struct yoi__sockets {
  size_t n;
  struct yoi__socket all[YOI_INGRESS_MAX];
};

/* [main] Checks and copies; nothing is kept when it fails. INVALID_ARGUMENT,
 * RESOURCE_EXHAUSTED: memory or descriptors are short. */
yoi_status yoi__sockets_take(const yoi_socket *given, size_t n, struct yoi__sockets **out,
                             yoi_error *err);
/* Closes the copies. NULL is accepted. */
void yoi__sockets_free(struct yoi__sockets *s);
/* NULL: there is none of that name. */
const struct yoi__socket *yoi__sockets_find(const struct yoi__sockets *s, yoi_str name);

#endif
