/* hostname.h - the host that a URL leads to, and patterns of hosts. */
#ifndef HOSTNAME_H
#define HOSTNAME_H

#include <yoi/base.h>

#define HOSTNAME_MAX 253

/* The host of an http:// or https:// URL in the one form that it is compared
 * in: lower case, without port and last dot, an address as inet_ntop writes
 * it, IPv6 in brackets. 0: it is no such URL, or one of those that readers of
 * URLs differ about: with a user, a backslash, white space, percent signs or
 * other than ASCII in its host, an address in another form than the usual. */
int yoi__sdk_rules_hostname_of_url(yoi_str url, char out[HOSTNAME_MAX + 1], size_t *out_len);

/* A host, "*.NAME" for all below it, or "*", in the same form. NULL, or what is
 * wrong with it. */
const char *yoi__sdk_rules_hostname_pattern(yoi_str pattern, char out[HOSTNAME_MAX + 1],
                                            size_t *out_len);

#endif
