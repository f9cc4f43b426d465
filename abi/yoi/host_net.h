/* yoi/host_net.h - "yoi.host.net/1": for tools. Since 1.4.
 *
 * The operator names hosts and ports (local.network); a call has some of these
 * lists by name. A tool asks twice: for the name before it is looked up, and
 * for each address before it is connected to.
 *
 *  1. An entry is HOST:PORT. HOST is a name, "*.NAME" for all below it, or an
 *     address; names are compared without regard to case and to a last dot.
 *  2. An address that a name was looked up to is refused when it is of a
 *     private, local, or otherwise special range: a name that somebody else
 *     controls may say today that it is 127.0.0.1. An address that stands in
 *     the list itself is what the operator wanted, whatever it is; so is
 *     "localhost" for loopback.
 */
#ifndef YOI_HOST_NET_H
#define YOI_HOST_NET_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_NET_ID "yoi.host.net/1"

typedef struct yoi_host_net {
  uint32_t size;
  uint32_t reserved;
  /* [any] May this call speak with that host and port? port: 1 to 65,535.
   * PERMISSION_DENIED with grant_missing. */
  yoi_status (*check)(const yoi_host *h, uint64_t call, yoi_str host,
                      uint32_t port, yoi_error *err);
  /* [any] The same, and `address` (as inet_ntop writes it), which `host` was
   * looked up to, may be connected to. */
  yoi_status (*check_address)(const yoi_host *h, uint64_t call, yoi_str host,
                              uint32_t port, yoi_str address, yoi_error *err);
} yoi_host_net;

#ifdef __cplusplus
}
#endif
#endif
