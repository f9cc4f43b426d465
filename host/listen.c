/* host/listen.c - parsing the `listen` of an ingress entry, strictly.
 *
 * The text must be an address and a port, or `unix:` and a path, and nothing
 * else, so that what it means can be read off it: what it lets in is decided
 * by whether only this machine can reach it. Two listeners on one port are
 * found here and not by bind, because the host binds with SO_REUSEPORT and the
 * kernel would accept both.
 */
#include "listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <sdk/str.h>
#include <sys/un.h>

static const struct sockaddr_in *v4(const struct sockaddr_storage *a) {
  return (const void *)a;
}

static const struct sockaddr_in6 *v6(const struct sockaddr_storage *a) {
  return (const void *)a;
}

static const char no_address[] = "expected a numeric address or 'localhost' before the port";

static const struct sockaddr_un *un(const struct sockaddr_storage *a) {
  return (const void *)a;
}

/* What callers type is this very path, so its length counts as a whole. */
static const char *parse_path(yoi_str path, const char *base, struct sockaddr_storage *out,
                              socklen_t *out_len) {
  struct sockaddr_un *in = (void *)out;
  if (path.len == 0 || memchr(path.ptr, '\0', path.len) != NULL)
    return "expected a path after 'unix:'";
  if (path.ptr[path.len - 1] == '/') return "expected the path of a socket, not of a folder";
  int absolute = path.ptr[0] == '/';
  int n = snprintf(in->sun_path, sizeof in->sun_path, "%s%s%.*s", absolute ? "" : base,
                   absolute ? "" : "/", YOI_ARG(path));
  if (n < 0 || (size_t)n >= sizeof in->sun_path)
    return "the path of a Unix socket has at most 107 bytes, with the config's folder in front "
           "of a relative one";
  in->sun_family = AF_UNIX;
  *out_len = sizeof *in;
  return NULL;
}

const char *yoi__listen_parse(yoi_str text, const char *base, struct sockaddr_storage *out,
                              socklen_t *out_len) {
  struct sockaddr_in *in4 = (void *)out;
  struct sockaddr_in6 *in6 = (void *)out;
  const char *colon;
  char host[INET6_ADDRSTRLEN];
  size_t n;
  uint64_t port = 0;
  memset(out, 0, sizeof *out);
  if (yoi_sdk_str_starts(text, YOI_LIT("unix:")))
    return parse_path((yoi_str){text.ptr + 5, text.len - 5}, base, out, out_len);
  colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
  if (colon == NULL)
    return "expected ADDRESS:PORT, for example 127.0.0.1:38800, unix:PATH or socket:NAME";
  if (memmem(text.ptr, text.len, "://", 3) != NULL) return "expected ADDRESS:PORT and no more";
  n = (size_t)(colon - text.ptr);
  if (text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
    return "expected a port behind the brackets, [ADDRESS]:PORT";
  if (!yoi_sdk_parse_u64((yoi_str){colon + 1, text.len - n - 1}, UINT16_MAX, &port))
    return "expected a port of 0 to 65535";
  if (n == 0 || n + 1 > sizeof host) return no_address;
  if (text.ptr[0] == '[' && text.ptr[n - 1] == ']') {
    snprintf(host, sizeof host, "%.*s", (int)(n - 2), text.ptr + 1);
    if (strlen(host) != n - 2 || inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
      return "expected an IPv6 address between the brackets";
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    *out_len = sizeof *in6;
    return NULL;
  }
  snprintf(host, sizeof host, "%.*s", (int)n, text.ptr);
  if (strlen(host) != n) return no_address;
  if (memchr(host, ':', n) != NULL) return "expected brackets around an IPv6 address";
  if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in4->sin_addr) != 1)
    return no_address;
  in4->sin_family = AF_INET;
  in4->sin_port = htons((uint16_t)port);
  *out_len = sizeof *in4;
  return NULL;
}

int yoi__listen_loopback(const struct sockaddr_storage *a) {
  if (a->ss_family == AF_UNIX) return 1;
  if (a->ss_family == AF_INET) return ntohl(v4(a)->sin_addr.s_addr) >> 24 == 127;
  return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6(a)->sin6_addr);
}

int yoi__listen_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
  if (a->ss_family != b->ss_family) return 0;
  if (a->ss_family == AF_UNIX) /* a name without a file begins with '\0' */
    return memcmp(un(a)->sun_path, un(b)->sun_path, sizeof un(a)->sun_path) == 0;
  if (a->ss_family == AF_INET) {
    in_addr_t x = v4(a)->sin_addr.s_addr, y = v4(b)->sin_addr.s_addr;
    return v4(a)->sin_port == v4(b)->sin_port && v4(a)->sin_port != 0 &&
           (x == y || x == INADDR_ANY || y == INADDR_ANY);
  }
  return v6(a)->sin6_port == v6(b)->sin6_port && v6(a)->sin6_port != 0 &&
         (memcmp(&v6(a)->sin6_addr, &v6(b)->sin6_addr, sizeof v6(a)->sin6_addr) == 0 ||
          IN6_IS_ADDR_UNSPECIFIED(&v6(a)->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&v6(b)->sin6_addr));
}
