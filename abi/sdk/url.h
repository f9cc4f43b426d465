/* sdk/url.h - URLs that are not ours, taken apart by the library that will
 * connect: what is checked is what is connected to.
 *
 *  1. http and https, absolute or relative to a base. No user, password or
 *     IPv6 zone; a port from 1 to 65,535.
 *  2. host is as it is looked up: ASCII (other letters are refused: what name
 *     they stand for depends on the library and its locale), lower case,
 *     without a last dot, numbers of any form as a dotted address (0x7f.1 is
 *     127.0.0.1), an IPv6 address without its brackets.
 *  3. text is such that it gives itself and the same host when it is parsed
 *     again; it has no fragment.
 */
#ifndef YOI_SDK_URL_H
#define YOI_SDK_URL_H

#include <sdk/str.h>
#include <yoi/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_sdk_url {
  char *text; /* NUL-terminated, as is host */
  char *host;
  uint32_t port;
  uint32_t tls; /* 1: https */
};

/* base may be NULL. INVALID_ARGUMENT, with a message that says what is wrong
 * with it and quotes none of it: it may hold a password. */
yoi_status yoi_sdk_url_parse(const struct yoi_sdk_url *base, yoi_str text,
                             struct yoi_sdk_url *out, yoi_error *err);
void yoi_sdk_url_release(struct yoi_sdk_url *url);
/* What a link in a page leads to, with its fragment; free with yoi_sdk_free.
 * NULL: nowhere that 1 lets through, or memory is short. */
char *yoi_sdk_url_link(const struct yoi_sdk_url *base, yoi_str href);

#ifdef __cplusplus
}
#endif
#endif
