/* host/net.c - hosts, ports and addresses, compared without asking anybody.
 *
 * Invariants:
 *  1. A name is never looked up here: the tool does, and asks about each address
 *     that it got, so that what was judged is what is connected to.
 *  2. One address has one form: IPv4 is ::ffff:a.b.c.d, however it was written.
 *     What other programs would read as an address ("127.1", "0x7f000001",
 *     "2130706433") is neither a name nor an address here.
 *  3. Of two rows that have an address in them the narrower one counts. IPv6 is
 *     special unless a row says that it is not: of what is not handed out yet
 *     nobody knows what it will mean.
 *  4. An address that carries one of IPv4 (mapped, NAT64, 6to4) is judged by
 *     that one: it is where the packets end.
 *
 * Sources: the IANA special-purpose registries of IPv4 and IPv6 (RFC 6890),
 * RFC 6052 (64:ff9b::/96), RFC 3056 (2002::/16), RFC 9637 (3fff::/20).
 */
#include "net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <sdk/str.h>

#define LABEL_MAX 63

static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
#define V4 sizeof mapped /* where an IPv4 address stands in ours */

/* ---- ranges ---------------------------------------------------------------- */

/* of IPv4: the first bits of four bytes. */
static const struct {
  uint8_t prefix[4];
  unsigned bits;
} special4[] = {
    {{0}, 8},             /* this network */
    {{10}, 8},            /* private */
    {{100, 64}, 10},      /* shared, behind a carrier's NAT */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local: metadata services of clouds */
    {{172, 16}, 12},      /* private */
    {{192, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays, given up */
    {{192, 168}, 16},     /* private */
    {{198, 18}, 15},      /* benchmarks */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},           /* multicast */
    {{240}, 4},           /* reserved, and broadcast */
};

enum meaning { SPECIAL, PUBLIC, HAS_V4 };

/* of IPv6, the narrower row first. `at`: where the IPv4 address stands. */
static const struct {
  uint8_t prefix[YOI__ADDRESS_SIZE];
  unsigned bits;
  enum meaning meaning;
  unsigned at;
} ranges6[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, HAS_V4, 12},
    {{0, 0x64, 0xff, 0x9b}, 96, HAS_V4, 12},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, SPECIAL, 0}, /* documentation */
    {{0x20, 0x01}, 23, SPECIAL, 0},             /* protocols: Teredo, ORCHID, ... */
    {{0x3f, 0xff}, 20, SPECIAL, 0},             /* documentation */
    {{0x20, 0x02}, 16, HAS_V4, 2},              /* 6to4 */
    {{0x20}, 3, PUBLIC, 0},                     /* global unicast */
};

static int begins(const uint8_t *address, const uint8_t *prefix, unsigned bits) {
  unsigned bytes = bits / 8, rest = bits % 8;
  if (memcmp(address, prefix, bytes) != 0) return 0;
  return rest == 0 || (address[bytes] ^ prefix[bytes]) >> (8 - rest) == 0;
}

static int is_special4(const uint8_t *address) {
  for (size_t i = 0; i < sizeof special4 / sizeof *special4; i++)
    if (begins(address, special4[i].prefix, special4[i].bits)) return 1;
  return 0;
}

int yoi__net_special(const uint8_t address[YOI__ADDRESS_SIZE]) {
  for (size_t i = 0; i < sizeof ranges6 / sizeof *ranges6; i++) {
    if (!begins(address, ranges6[i].prefix, ranges6[i].bits)) continue;
    if (ranges6[i].meaning == HAS_V4) return is_special4(address + ranges6[i].at);
    return ranges6[i].meaning == SPECIAL;
  }
  return 1;
}

int yoi__net_loopback(const uint8_t address[YOI__ADDRESS_SIZE]) {
  static const uint8_t one[YOI__ADDRESS_SIZE] = {[YOI__ADDRESS_SIZE - 1] = 1};
  if (memcmp(address, mapped, V4) == 0) return address[V4] == 127;
  return memcmp(address, one, sizeof one) == 0;
}

/* ---- hosts ------------------------------------------------------------------ */

int yoi__net_address(yoi_str text, struct yoi__net_host *out) {
  char s[INET6_ADDRSTRLEN];
  memset(out, 0, sizeof *out);
  if (text.len == 0 || text.len >= sizeof s || memchr(text.ptr, '\0', text.len) != NULL) return 0;
  memcpy(s, text.ptr, text.len);
  s[text.len] = '\0';
  out->is_address = 1;
  if (inet_pton(AF_INET6, s, out->address) == 1) return 1;
  memcpy(out->address, mapped, V4);
  return inet_pton(AF_INET, s, out->address + V4) == 1;
}

/* 1: other programs take a name that ends so for an address. */
static int is_number(yoi_str label) {
  size_t i = 0;
  if (yoi_sdk_str_starts(label, YOI_LIT("0x"))) return 1;
  while (i < label.len && label.ptr[i] >= '0' && label.ptr[i] <= '9') i++;
  return i == label.len;
}

static const char *read_name(yoi_str text, struct yoi__net_host *out) {
  static const char expected[] =
      "a host name of letters, digits, '-' and '_' in parts of 1 to 63, at most 253 in all "
      "(an international one in its xn-- form), or an address";
  size_t label = 0;
  memset(out, 0, sizeof *out);
  if (text.len > 0 && text.ptr[text.len - 1] == '.') text.len--;
  if (text.len == 0 || text.len > YOI__HOST_NAME_MAX) return expected;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    int good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (c == '.' ? i == label : !good || i - label >= LABEL_MAX) return expected;
    if (c == '.') label = i + 1;
    out->text[i] = c;
  }
  if (label == text.len) return expected;
  out->name = (yoi_str){out->text, text.len};
  if (is_number((yoi_str){out->text + label, text.len - label}))
    return "an address written in full, as 127.0.0.1";
  return NULL;
}

const char *yoi__net_host(yoi_str text, struct yoi__net_host *out) {
  int brackets = text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']';
  yoi_str inside = {text.ptr + brackets, text.len - 2 * (size_t)brackets};
  int v6 = inside.len > 0 && memchr(inside.ptr, ':', inside.len) != NULL;
  if ((v6 || !brackets) && yoi__net_address(inside, out)) return NULL;
  if (brackets || v6) return "an IPv6 address, without a zone";
  return read_name(text, out);
}

const char *yoi__net_endpoint(yoi_str text, struct yoi__endpoint *out) {
  const yoi_str star = YOI_LIT("*.");
  const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
  uint64_t port = 0;
  memset(out, 0, sizeof *out);
  if (colon == NULL) return "HOST:PORT, for example example.org:443";
  yoi_str host = {text.ptr, (size_t)(colon - text.ptr)};
  if (!yoi_sdk_parse_u64((yoi_str){colon + 1, text.len - host.len - 1}, UINT16_MAX, &port) ||
      port == 0)
    return "a port of 1 to 65535 behind the last ':'";
  out->port = (uint32_t)port;
  if (host.len > 0 && host.ptr[0] != '[' && memchr(host.ptr, ':', host.len) != NULL)
    return "brackets around an IPv6 address";
  if (!yoi_sdk_str_starts(host, star)) return yoi__net_host(host, &out->host);
  out->below = 1;
  return read_name((yoi_str){host.ptr + star.len, host.len - star.len}, &out->host);
}

static int is_below(yoi_str name, yoi_str parent) {
  return name.len > parent.len + 1 && name.ptr[name.len - parent.len - 1] == '.' &&
         memcmp(name.ptr + name.len - parent.len, parent.ptr, parent.len) == 0;
}

int yoi__net_listed(const struct yoi__endpoint *all, size_t n, const struct yoi__net_host *host,
                    uint32_t port) {
  for (size_t i = 0; i < n; i++) {
    const struct yoi__endpoint *e = &all[i];
    if (e->port != port || e->host.is_address != host->is_address) continue;
    if (host->is_address ? memcmp(e->host.address, host->address, sizeof host->address) == 0
        : e->below       ? is_below(host->name, e->host.name)
                         : yoi_sdk_str_eq(host->name, e->host.name))
      return 1;
  }
  return 0;
}
