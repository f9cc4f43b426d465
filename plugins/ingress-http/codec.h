/* ingress-http/codec.h - bytes to requests, without any I/O.
 *
 *              feed: header whole            feed: body whole
 *   HEADER ----------------------> ANNOUNCED ----------------> DONE
 *     |  ^                          | (http_codec_want)  ^       |
 *     |  +- feed: MORE              +--> BODY -----------+       | init
 *     |                                    |  ^                  v
 *     +---------> FAILED <-----------------+  +- feed: MORE    HEADER
 *
 * The header is checked line by line by ourselves, then given to llhttp with
 * every lenient flag off; both must read the same message out of it. What
 * llhttp 8.1 lets through and we refuse: a space before the colon, folded
 * lines, versions other than 1.0 and 1.1, methods that no web server knows,
 * a TAB in the target. What RFC 9112 leaves to the application is here too:
 * exactly one Host, one framing, limits before anything is kept.
 *
 *  1. However the bytes of a valid request are split, the result is the same.
 *  2. Nothing is kept beyond YOI_HTTP_HEADER_BYTES_MAX bytes of header and
 *     the body limit that the caller gave.
 *  3. After FAILED the framing is unknown: answer, then close.
 *  4. Text of a request is borrowed: from the bytes given to feed while the
 *     codec did not have to keep them, otherwise from the codec. It is valid
 *     until the next feed, http_codec_init or http_codec_release.
 */
#ifndef YOI_HTTP_CODEC_H
#define YOI_HTTP_CODEC_H

#include <llhttp.h>
#include <sdk/str.h>
#include <yoi/limits.h>

/* X(SYMBOL, name). The methods of RFC 9110 and PATCH; others are refused. */
#define HTTP_METHODS(X) \
  X(GET, "GET")         \
  X(HEAD, "HEAD")       \
  X(POST, "POST")       \
  X(PUT, "PUT")         \
  X(DELETE, "DELETE")   \
  X(PATCH, "PATCH")     \
  X(OPTIONS, "OPTIONS") \
  X(TRACE, "TRACE")     \
  X(CONNECT, "CONNECT")

/* X(SYMBOL, name, repetition). ONE: a second one is refused. DROP: several
 * count as none, as W3C trace context wants it (for if-none-match that is an
 * answer with its content). LIST: each line is read when
 * it comes, into a member of its own. */
#define HTTP_FIELDS(X)                        \
  X(HOST, "host", ONE)                        \
  X(CONTENT_LENGTH, "content-length", ONE)    \
  X(TRANSFER_ENCODING, "transfer-encoding", ONE) \
  X(EXPECT, "expect", ONE)                    \
  X(CONTENT_TYPE, "content-type", ONE)        \
  X(CONTENT_ENCODING, "content-encoding", ONE) \
  X(AUTHORIZATION, "authorization", ONE)      \
  X(ORIGIN, "origin", ONE)                    \
  X(SEC_FETCH_SITE, "sec-fetch-site", ONE)    \
  X(COOKIE, "cookie", ONE)                    \
  X(IDEMPOTENCY_KEY, "idempotency-key", ONE)  \
  X(USER_AGENT, "user-agent", DROP)           \
  X(X_REQUEST_ID, "x-request-id", DROP)       \
  X(TRACEPARENT, "traceparent", DROP)         \
  X(YOI_TIMEOUT_MS, "yoi-timeout-ms", ONE)    \
  X(YOI_HOPS, "yoi-hops", ONE)                \
  X(YOI_WORKSPACE, "yoi-workspace", ONE)      \
  X(LAST_EVENT_ID, "last-event-id", ONE)      \
  X(IF_NONE_MATCH, "if-none-match", DROP)     \
  X(CONNECTION, "connection", LIST)           \
  X(ACCEPT, "accept", LIST)

/* Prefixes other than HTTP_, which is llhttp's. */
#define HTTP__METHOD(sym, name) HTTPM_##sym,
enum { HTTP_METHODS(HTTP__METHOD) HTTPM__COUNT };
#undef HTTP__METHOD
#define HTTP__FIELD(sym, name, rep) HTTPF_##sym,
enum { HTTP_FIELDS(HTTP__FIELD) HTTPF__COUNT };
#undef HTTP__FIELD

/* http_request.accept */
#define HTTP_ACCEPT_SSE 1u  /* text/event-stream is named */
#define HTTP_ACCEPT_JSON 2u /* application/json is named */

/* Form of the target, RFC 9112 section 3.2. */
enum { HTTP_TARGET_PATH, HTTP_TARGET_STAR, HTTP_TARGET_AUTHORITY };

/* A piece of the header block. Its maximum fits in 16 bits. */
struct http_span {
  uint16_t at, len;
};

struct http_request {
  const char *base; /* what the spans count from */
  uint8_t method;   /* HTTPM_* */
  uint8_t minor;    /* HTTP/1.minor */
  uint8_t form;     /* HTTP_TARGET_* */
  uint8_t accept;   /* HTTP_ACCEPT_* */
  uint8_t keep_alive, expect, chunked, reserved;
  uint32_t seen; /* bit per HTTPF_*: the field is there */
  struct http_span path, query, authority;
  struct http_span fields[HTTPF__COUNT];
  uint64_t content_length;
  yoi_str body;
};

/* What feed answers. */
enum {
  HTTP_FEED_MORE,  /* all bytes were used, more are needed */
  HTTP_FEED_HEAD,  /* the header is whole; http_codec_want, then go on */
  HTTP_FEED_DONE,  /* the request is whole */
  HTTP_FEED_ERROR, /* code and message say why */
};

struct http_codec {
  struct http_request req;
  uint8_t state, chunk_state, complete, discard;
  uint16_t n_fields, chunk_digits;
  int32_t code;        /* YOI_CODE_* after HTTP_FEED_ERROR */
  const char *message; /* a literal */
  uint32_t line, looked; /* start of the line; where the search goes on */
  uint32_t trailer_bytes;
  uint64_t chunk_left, announced; /* of this chunk; of all so far */
  uint64_t got;                   /* body bytes so far */
  size_t body_max;
  struct yoi_sdk_buf head, body;
  llhttp_t parser;
};

/* Makes it ready for a request. */
void http_codec_init(struct http_codec *c);
void http_codec_release(struct http_codec *c);
/* Takes up to n bytes, sets *out_used to how many, answers HTTP_FEED_*. */
int http_codec_feed(struct http_codec *c, const char *p, size_t n,
                    size_t *out_used);
/* After HTTP_FEED_HEAD, before the bytes that feed was given go away: the body
 * may have body_max bytes; with discard it is read but not kept. Then feed
 * gets the rest, be it empty. 0 when the announced length is more: the codec
 * has failed as feed would. */
int http_codec_want(struct http_codec *c, size_t body_max, int discard);
/* 1 once any byte of a request was taken. */
int http_codec_begun(const struct http_codec *c);

/* Empty when the field is not there. */
yoi_str http_request_field(const struct http_request *r, int field);
int http_request_has(const struct http_request *r, int field);
yoi_str http_request_path(const struct http_request *r);
yoi_str http_request_query(const struct http_request *r);
/* The authority of an absolute target, else the Host field (RFC 9112 3.2.2).*/
yoi_str http_request_host(const struct http_request *r);
int http_request_has_body(const struct http_request *r);
const char *http_method_name(uint8_t method);

#endif
