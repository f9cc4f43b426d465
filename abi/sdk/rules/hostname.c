/* hostname.c - reads the host of a URL, and refuses what two readers may read
 * in two ways.
 *
 * A rule says where a tool may go, and another program goes there: where the
 * two take the same text for two hosts, the rule is void. So what is taken is a
 * part of RFC 3986 that all read alike, and names are compared in one form. In
 * "http://a@b/", "http://a\@b/", "http://1.2.3/" and "http://0x7f.1/" somebody
 * sees another host than somebody else.
 */
#include "hostname.h"

#include <arpa/inet.h>
#include <sdk/str.h>
#include <string.h>
#include <strings.h>

static int is_label_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static int is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* A last label that some take for a number makes an address of the whole. */
static int is_number(yoi_str label) {
  size_t i = 0;
  if (label.len > 1 && label.ptr[0] == '0' && label.ptr[1] == 'x') return 1;
  while (i < label.len && is_digit(label.ptr[i])) i++;
  return i == label.len;
}

static int write_address(int family, yoi_str s, char out[HOSTNAME_MAX + 1], size_t *out_len) {
  unsigned char address[sizeof(struct in6_addr)];
  char text[INET6_ADDRSTRLEN + 1];
  int brackets = family == AF_INET6;
  if (s.len >= sizeof text) return 0;
  memcpy(text, s.ptr, s.len);
  text[s.len] = '\0';
  if (inet_pton(family, text, address) != 1) return 0;
  /* ::ffff:1.2.3.4 and ::1.2.3.4 are 1.2.3.4 by another name. */
  if (brackets && memcmp(address, (const unsigned char[10]){0}, 10) == 0 &&
      memcmp(address + 10, (const unsigned char[5]){0}, 5) != 0)
    return 0;
  if (inet_ntop(family, address, out + brackets, INET6_ADDRSTRLEN) == NULL) return 0;
  *out_len = strlen(out + brackets);
  if (brackets) {
    out[0] = '[';
    out[++*out_len] = ']';
    out[++*out_len] = '\0';
  }
  return 1;
}

static int write_name(yoi_str host, char out[HOSTNAME_MAX + 1], size_t *out_len) {
  size_t label = 0; /* where the current one begins */
  if (host.len > 0 && host.ptr[host.len - 1] == '.') host.len--;
  if (host.len == 0 || host.len > HOSTNAME_MAX) return 0;
  for (size_t i = 0; i <= host.len; i++) {
    char c = i < host.len ? host.ptr[i] : '.';
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    if (c == '.') {
      if (i == label || i - label > 63) return 0;
      if (i < host.len) label = i + 1;
    } else if (!is_label_char(c)) {
      return 0;
    }
    out[i] = c;
  }
  out[host.len] = '\0';
  *out_len = host.len;
  if (is_number((yoi_str){out + label, host.len - label}))
    return write_address(AF_INET, (yoi_str){out, host.len}, out, out_len);
  return 1;
}

static int write_host(yoi_str host, char out[HOSTNAME_MAX + 1], size_t *out_len) {
  if (host.len < 2 || host.ptr[0] != '[') return write_name(host, out, out_len);
  if (host.ptr[host.len - 1] != ']') return 0;
  return write_address(AF_INET6, (yoi_str){host.ptr + 1, host.len - 2}, out, out_len);
}

static int is_port(yoi_str s) {
  uint64_t port = 0;
  for (size_t i = 0; i < s.len; i++) {
    if (!is_digit(s.ptr[i]) || s.len > 5) return 0;
    port = port * 10 + (uint64_t)(s.ptr[i] - '0');
  }
  return port <= 65535;
}

/* What stands between the slashes and the path; empty: it is none of ours. */
static yoi_str authority_of(yoi_str url) {
  static const char *const schemes[] = {"https://", "http://"};
  for (size_t i = 0; i < url.len; i++)
    if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7f || url.ptr[i] == '\\')
      return (yoi_str){NULL, 0};
  for (size_t i = 0; i < 2; i++) {
    size_t n = strlen(schemes[i]), end = n;
    if (url.len < n || strncasecmp(url.ptr, schemes[i], n) != 0) continue;
    while (end < url.len && strchr("/?#", url.ptr[end]) == NULL) end++;
    return (yoi_str){url.ptr + n, end - n};
  }
  return (yoi_str){NULL, 0};
}

int yoi__sdk_rules_hostname_of_url(yoi_str url, char out[HOSTNAME_MAX + 1], size_t *out_len) {
  yoi_str host = authority_of(url);
  size_t colon = host.len;
  *out_len = 0;
  if (host.len == 0) return 0;
  while (colon > 0 && is_digit(host.ptr[colon - 1])) colon--;
  if (colon > 0 && host.ptr[colon - 1] == ':') {
    if (!is_port((yoi_str){host.ptr + colon, host.len - colon})) return 0;
    host.len = colon - 1;
  }
  return write_host(host, out, out_len);
}

const char *yoi__sdk_rules_hostname_pattern(yoi_str pattern, char out[HOSTNAME_MAX + 1],
                                            size_t *out_len) {
  size_t star = yoi_sdk_str_starts(pattern, YOI_LIT("*.")) ? 2 : 0;
  yoi_str name = {pattern.ptr + star, pattern.len - star};
  char host[HOSTNAME_MAX + 1];
  if (yoi_sdk_str_is(pattern, "*")) {
    memcpy(out, "*", 2);
    *out_len = 1;
    return NULL;
  }
  if (name.len > 0 && memchr(name.ptr, '*', name.len) != NULL)
    return "a star of a host stands at its beginning, before a dot";
  if (!write_host(name, host, out_len)) return "expected a name, '*.NAME' or an address";
  struct in_addr address;
  if (star > 0 && (host[0] == '[' || inet_pton(AF_INET, host, &address) == 1))
    return "nothing is below an address";
  if (*out_len + star > HOSTNAME_MAX) return "it is too long";
  memcpy(out, pattern.ptr, star);
  memcpy(out + star, host, *out_len + 1);
  *out_len += star;
  return NULL;
}
