/* ingress-http/auth.c - from where one may ask; who, says the door (door.c).
 *
 * Runtime surface, for hosts, with bearer tokens. No browser may use it: there
 * are no CORS headers, and a request with Origin or Sec-Fetch-Site is refused
 * before a token is looked at. Browsers use the browser surface.
 *
 * Browser surface, for people: what a browser sends by itself, its reach into
 * this machine or a cookie, must not be of use to other pages. A page elsewhere
 * can send requests to 127.0.0.1 (CSRF), and a name that resolves to 127.0.0.1
 * makes a page elsewhere same-origin (DNS rebinding). Therefore:
 *
 *  1. Host must be a name of this listener, on every path but the two probes.
 *  2. All but the page `/` and the probes needs Origin absent or equal to Host, and
 *     Sec-Fetch-Site absent, same-origin or none; `Origin: null` is some page
 *     without an origin. Another page could not read the answer of a read, but it
 *     could hold a stream or an image of it.
 *  3. Off loopback it does not start without tokens to log in with.
 *
 * An insecure runtime surface has no token to keep rebound pages out, so rule
 * 1 holds there too. It holds on a Unix socket as well: no page can reach one,
 * but a proxy in front of it can be reached by any. There the names of this
 * machine and of `hosts` count with whatever port, since the proxy has its own.
 */
#include "auth.h"

#include "fields.h"

#include <sdk/json.h>
#include <sdk/mem.h>
#include <string.h>

static int is_loopback(yoi_str host) {
  return yoi_sdk_str_starts(host, YOI_LIT("127.")) || yoi_sdk_str_is(host, "[::1]") ||
         yoi_sdk_str_is(host, "localhost");
}

static int str_caseeq(yoi_str a, yoi_str b) {
  return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static yoi_status read_hosts(struct http_guard *g, yoi_str json, yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  if (json.len == 0) return YOI_OK;
  yoi_status st = yoi_sdk_json_parse(json, 0, &tree, NULL);
  if (st != YOI_OK) return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'hosts' is not JSON");
  for (const yoi_sdk_json *v = yoi_sdk_json_first(tree); v; v = yoi_sdk_json_next(v)) {
    yoi_str s;
    if (!yoi_sdk_json_str(v, &s) || !http_host_valid(s)) {
      st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'hosts' has an entry that is no host name");
      break;
    }
    if (g->n_hosts == HTTP_HOSTS_MAX) {
      st = yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE, "'hosts' has more than %d entries",
                        HTTP_HOSTS_MAX);
      break;
    }
    g->hosts[g->n_hosts] = yoi_sdk_str_dup(s);
    if (!g->hosts[g->n_hosts].ptr) {
      st = yoi_sdk_fail_memory(err);
      break;
    }
    g->n_hosts++;
  }
  yoi_sdk_json_free(tree);
  return st;
}

/* What must be so before a listener serves. */
static yoi_status check_exposure(const yoi_listener *on, int loopback, int closed,
                                 yoi_error *err) {
  int insecure = (on->flags & YOI_LISTEN_INSECURE) != 0;
  if (on->surface == YOI_SURFACE_BROWSER) {
    if (loopback || closed) return YOI_OK;
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "a browser surface off loopback needs 'tokens' to log in with");
  }
  if (on->surface != YOI_SURFACE_RUNTIME)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "surface %u is not known",
                        on->surface);
  if (closed && insecure)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'insecure' contradicts the tokens");
  if (closed) return YOI_OK;
  if (!insecure)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "a runtime surface needs a token, or \"insecure\": true on loopback");
  if (!loopback)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "an insecure runtime surface must listen on loopback");
  return YOI_OK;
}

yoi_status http_guard_set(struct http_guard *g, const yoi_listener *on, int closed,
                          yoi_error *err) {
  yoi_str host = {NULL, 0}, port = {NULL, 0};
  int is_unix = (on->flags & YOI_LISTEN_UNIX) != 0;
  memset(g, 0, sizeof *g);
  g->surface = on->surface;
  if (on->address.len >= sizeof g->address)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "address is too long");
  if (on->address.len > 0) memcpy(g->address, on->address.ptr, on->address.len);
  if (!is_unix) http_host_split((yoi_str){g->address, on->address.len}, &host, &port);
  g->port = port;
  g->local = is_unix || is_loopback(host);
  yoi_status st = check_exposure(on, g->local, closed, err);
  if (st != YOI_OK) return st;
  g->is_unix = is_unix;
  g->check_host = on->surface == YOI_SURFACE_BROWSER || !closed;
  st = read_hosts(g, on->hosts, err);
  if (st != YOI_OK) http_guard_close(g);
  return st;
}

void http_guard_close(struct http_guard *g) {
  for (size_t i = 0; i < g->n_hosts; i++) yoi_sdk_str_free(&g->hosts[i]);
  g->n_hosts = 0;
}

/* ---- checks -------------------------------------------------------------- */

static int host_allowed(const struct http_guard *g, yoi_str given) {
  yoi_str host, port;
  static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
  if (given.len == 0) return 0;
  if (!g->is_unix && str_caseeq(given, yoi_sdk_str(g->address))) return 1;
  http_host_split(given, &host, &port);
  int same_port = g->is_unix || yoi_sdk_str_eq(port, g->port) ||
                  (port.len == 0 && yoi_sdk_str_is(g->port, g->tls ? "443" : "80"));
  for (size_t i = 0; same_port && i < sizeof local / sizeof *local; i++)
    if (http_str_caseeq(host, local[i])) return 1;
  for (size_t i = 0; i < g->n_hosts; i++)
    if (str_caseeq(given, g->hosts[i]) || (same_port && str_caseeq(host, g->hosts[i]))) return 1;
  return 0;
}

/* Without TLS here there may be some in front, at a proxy. */
static int origin_is_host(const struct http_guard *g, yoi_str origin, yoi_str host) {
  size_t scheme = 0;
  if (!g->tls && origin.len > 7 && http_str_caseeq((yoi_str){origin.ptr, 7}, "http://")) scheme = 7;
  else if (origin.len > 8 && http_str_caseeq((yoi_str){origin.ptr, 8}, "https://")) scheme = 8;
  if (scheme == 0) return 0;
  return str_caseeq((yoi_str){origin.ptr + scheme, origin.len - scheme}, host);
}

static yoi_status check_origin(const struct http_guard *g, const struct http_request *r,
                               yoi_error *err) {
  yoi_str site = http_request_field(r, HTTPF_SEC_FETCH_SITE);
  if (http_request_has(r, HTTPF_ORIGIN) &&
      !origin_is_host(g, http_request_field(r, HTTPF_ORIGIN), http_request_host(r)))
    return yoi_sdk_fail(err, YOI_CODE_ORIGIN_DENIED, "another origin may not ask this");
  if (http_request_has(r, HTTPF_SEC_FETCH_SITE) && !yoi_sdk_str_is(site, "same-origin") &&
      !yoi_sdk_str_is(site, "none"))
    return yoi_sdk_fail(err, YOI_CODE_ORIGIN_DENIED, "another site may not ask this");
  return YOI_OK;
}

yoi_status http_bearer(const struct http_request *r, yoi_str *out_token, yoi_error *err) {
  yoi_str given = http_request_field(r, HTTPF_AUTHORIZATION);
  if (given.len == 0)
    return yoi_sdk_fail(err, YOI_CODE_UNAUTHORIZED, "a bearer token is needed");
  if (given.len < 8 || !http_str_caseeq((yoi_str){given.ptr, 7}, "bearer "))
    return yoi_sdk_fail(err, YOI_CODE_UNAUTHORIZED, "authorization is not a bearer token");
  *out_token = http_str_trim((yoi_str){given.ptr + 7, given.len - 7});
  return YOI_OK;
}

yoi_status http_guard_check(const struct http_guard *g, const struct http_request *r, int page,
                            int open_path, yoi_error *err) {
  if (g->check_host && !open_path && !host_allowed(g, http_request_host(r)))
    return yoi_sdk_fail(err, YOI_CODE_ORIGIN_DENIED, "host is not one of this listener");
  if (g->surface == YOI_SURFACE_BROWSER)
    return page || open_path ? YOI_OK : check_origin(g, r, err);
  if (http_request_has(r, HTTPF_ORIGIN) || http_request_has(r, HTTPF_SEC_FETCH_SITE))
    return yoi_sdk_fail(err, YOI_CODE_ORIGIN_DENIED,
                        "browsers use the browser surface (/api), not this one");
  return YOI_OK;
}
