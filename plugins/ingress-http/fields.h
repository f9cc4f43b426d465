/* ingress-http/fields.h - grammars of field and parameter values. Pure
 * functions over borrowed text; each answers 1 when the text is well-formed. */
#ifndef YOI_HTTP_FIELDS_H
#define YOI_HTTP_FIELDS_H

#include <yoi/base.h>

/* A token character of RFC 9110. */
int http_is_token(unsigned char c);
int http_str_caseeq(yoi_str a, const char *lower);
yoi_str http_str_trim(yoi_str s); /* spaces and tabs at both ends */
/* The next element of a comma-separated list, trimmed; *pos begins at 0.
 * 0 at the end. Empty elements are skipped (RFC 9110 section 5.6.1). */
int http_list_next(yoi_str list, size_t *pos, yoi_str *out);

/* host [":" port]: a name, an IPv4 address or an IPv6 one in brackets. */
int http_host_valid(yoi_str s);
/* Splits a valid one; *port is empty when it has none. */
void http_host_split(yoi_str s, yoi_str *host, yoi_str *port);
/* HTTP_ACCEPT_* bits of one Accept line; what has q=0 does not count. */
unsigned http_accept_bits(yoi_str line);
/* application/json, with no parameter but charset=utf-8. */
int http_is_json(yoi_str content_type);
/* The key, bare or as a quoted string (RFC 8941); *out points into s. */
int http_idempotency_key(yoi_str s, yoi_str *out);
/* 1: If-None-Match has "tag" in it, strong or weak, or is "*": the caller has it. */
int http_none_match(yoi_str field, yoi_str tag);
/* The value of a cookie; empty: there is none of that name, or there are two, of
 * which somebody else may have set one. */
yoi_str http_cookie(yoi_str field, yoi_str name);
/* Seconds with at most three decimals, as milliseconds; 2 when the number is
 * well-formed and above max_ms (*out is max_ms then). */
int http_seconds(yoi_str s, uint64_t max_ms, uint64_t *out_ms);
/* Percent-decodes s into out, which has room for s.len bytes; no NUL. '+' is
 * itself. */
int http_percent_decode(yoi_str s, char *out, size_t *out_len);

#endif
