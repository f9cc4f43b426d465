/* ingress-http/auth.h - who may ask: token, Host, Origin, Sec-Fetch-Site. */
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
  char *token; /* NULL: none is wanted */
  size_t token_len;
  char principal[YOI_PRINCIPAL_MAX];
  char address[280]; /* as bound */
  yoi_str port;      /* of address */
  size_t n_hosts;
  yoi_str hosts[HTTP_HOSTS_MAX]; /* owned */
};

/* Reads a listener: refuses a runtime surface without a token unless it is
 * insecure and on loopback, and a browser surface off loopback. The token's
 * value comes from yoi.host.secret/1 of `host`. */
yoi_status http_guard_open(struct http_guard *g, const yoi_listener *on, const yoi_host *host,
                           yoi_error *err);
/* The same with the token given; for tests and http_guard_open. */
yoi_status http_guard_set(struct http_guard *g, const yoi_listener *on, yoi_str token,
                          yoi_error *err);
void http_guard_close(struct http_guard *g); /* wipes the token */

/* Errors: origin_denied, unauthorized. `write`: the method changes things.
 * `open_path`: /healthz and /readyz, which need no token and no Host. */
yoi_status http_guard_check(const struct http_guard *g, const struct http_request *r, int write,
                            int open_path, yoi_error *err);

#endif
