/* ingress-http/auth.h - from where one may ask: Host, Origin, Sec-Fetch-Site; and
 * the token that a request brings. */
#ifndef YOI_HTTP_AUTH_H
#define YOI_HTTP_AUTH_H

#include "codec.h"

#include <sdk/error.h>
#include <yoi/ingress.h>

#define HTTP_HOSTS_MAX 32 /* of config `hosts`: names of one machine */

/* What one listener demands. Immutable once it serves. */
struct http_guard {
  uint32_t surface; /* YOI_SURFACE_* */
  int check_host;
  int local;   /* only this machine can reach it */
  int is_unix; /* there is no port, so none is compared */
  int tls;     /* an origin of ours begins with https:// */
  char address[280]; /* as bound */
  yoi_str port;      /* of address */
  size_t n_hosts;
  yoi_str hosts[HTTP_HOSTS_MAX]; /* owned */
};

/* Reads a listener. `closed`: whoever comes must have a token. Refuses a runtime
 * surface that is not closed unless it is insecure and on loopback, and a browser
 * surface off loopback that is not closed. */
yoi_status http_guard_set(struct http_guard *g, const yoi_listener *on, int closed,
                          yoi_error *err);
void http_guard_close(struct http_guard *g);

/* Errors: origin_denied. `page`: what a link of anywhere may lead to. `open_path`:
 * /healthz and /readyz, which need no token and no Host. */
yoi_status http_guard_check(const struct http_guard *g, const struct http_request *r, int page,
                            int open_path, yoi_error *err);

/* The token of a request: OK, or unauthorized, with what is wrong. */
yoi_status http_bearer(const struct http_request *r, yoi_str *out_token, yoi_error *err);

#endif
