/* host/net.h - hosts, ports and addresses: whom a tool may speak with. The
 * rules stand in yoi/host_net.h. */
#ifndef YOI__NET_H
#define YOI__NET_H

#include <yoi/base.h>

#define YOI__HOST_NAME_MAX 253 /* RFC 1035, without the last dot */
#define YOI__ADDRESS_SIZE 16   /* IPv4 as ::ffff:a.b.c.d */

/* A name in lower case without its last dot, or an address. */
struct yoi__net_host {
  int is_address;
  uint8_t address[YOI__ADDRESS_SIZE];
  yoi_str name; /* in `text` */
  char text[YOI__HOST_NAME_MAX + 1];
};

/* HOST:PORT of the config. */
struct yoi__endpoint {
  struct yoi__net_host host;
  int below; /* "*.NAME": what is below the name, not the name itself */
  uint32_t port;
};

/* NULL, or what was expected. *out must not move. */
const char *yoi__net_endpoint(yoi_str text, struct yoi__endpoint *out);
/* A host as a tool writes it; an IPv6 address with or without brackets. */
const char *yoi__net_host(yoi_str text, struct yoi__net_host *out);
/* As inet_ntop writes it. 0: it is none. */
int yoi__net_address(yoi_str text, struct yoi__net_host *out);

/* 1: one of the endpoints is that host and port. */
int yoi__net_listed(const struct yoi__endpoint *all, size_t n, const struct yoi__net_host *host,
                    uint32_t port);
/* 1: an address of a private, local or otherwise special range. */
int yoi__net_special(const uint8_t address[YOI__ADDRESS_SIZE]);
int yoi__net_loopback(const uint8_t address[YOI__ADDRESS_SIZE]);

#endif
