/* sdk/http.h - an HTTP client on the host's loops: libcurl's multi interface
 * driven by yoi.host.loop/1. For event streams and plain answers alike.
 *
 * One client per plugin instance; inside it one multi handle per loop, made
 * when the loop first needs it. An exchange is one request and its answer.
 * It is started, called back and ended on one loop, so nothing is locked.
 *
 *   start ---> OPENING ---> SENT ---> FLOWING ---> done(result)
 *                 |           |          |
 *              connect   first byte     gap      deadlines; `total` is over all
 *
 *  1. Every exchange that is started ends with exactly one `done`, unless it
 *     is cancelled or left before; then no callback comes any more.
 *  2. done is the last callback; the exchange is gone when it returns. A new
 *     one may be started in it.
 *  3. The first-byte deadline runs from the moment the connection stands to
 *     the first byte of the body: a server that sends its header at once and
 *     then thinks is waited for. The gap deadline then runs from byte to byte
 *     and stands still while the exchange is paused.
 *  4. http and https only, HTTP/1.1, no redirects, no cookies, no proxy from
 *     the environment, no netrc: credentials go where the URL says. Who wants
 *     to follow a redirect starts another exchange.
 *  5. TLS is verified against the system's store, which is read when the
 *     first https connection is made.
 *  6. Nothing here is public: the details of results may name addresses.
 *  7. With `connect` in its handler an exchange has a connection of its own,
 *     which is neither taken from those that are kept nor kept: each address
 *     that anything is sent to was asked about, for this very exchange.
 *  8. A transfer coding but chunked is MALFORMED without YOI_SDK_HTTP_DECODE:
 *     libcurl would undo five of them unasked, and what yields no byte of a
 *     body is held to no maximum and no deadline.
 */
#ifndef YOI_SDK_HTTP_H
#define YOI_SDK_HTTP_H

#include <sdk/str.h>
#include <yoi/host.h>
#include <yoi/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_sdk_http;
struct yoi_sdk_http_exchange;

/* How an exchange ended. X(SYMBOL, number, name) */
#define YOI_SDK_HTTP_ENDS(X)                                               \
  X(OK, 0, "ok")                    /* the whole answer came, any status */ \
  X(CONNECT, 1, "connect")          /* no name, no connection, no time */  \
  X(TLS, 2, "tls")                  /* handshake or verification */        \
  X(FIRST_BYTE, 3, "first_byte_timeout")                                   \
  X(STALLED, 4, "stalled")          /* the gap deadline */                 \
  X(TOTAL, 5, "total_timeout")                                             \
  X(CLOSED, 6, "closed")            /* before the answer was whole */      \
  X(MALFORMED, 7, "malformed")      /* not HTTP */                         \
  X(TOO_LARGE, 8, "too_large")      /* header or body past its maximum */  \
  X(STOPPED, 9, "stopped")          /* a callback said so */               \
  X(INTERNAL, 10, "internal")       /* memory, or a URL that is none */
#define YOI__SDK_HTTP_END(sym, num, name) YOI_SDK_HTTP_##sym = (num),
enum { YOI_SDK_HTTP_ENDS(YOI__SDK_HTTP_END) YOI_SDK_HTTP__END };
#undef YOI__SDK_HTTP_END
const char *yoi_sdk_http_end_name(uint32_t end);

/* What is kept of an answer's header; cut when longer than any sane value. */
struct yoi_sdk_http_head {
  uint32_t status;
  uint32_t reserved;
  yoi_str content_type;
  yoi_str retry_after, retry_after_ms, should_retry;
  yoi_str request_id; /* x-request-id, for the log */
};

struct yoi_sdk_http_result {
  uint32_t end;    /* YOI_SDK_HTTP_* */
  uint32_t status; /* 0 when no header came */
  uint32_t sent;   /* 1 once the request may have reached the server */
  uint32_t unknown_name; /* 1: CONNECT, because the name was not found */
  const char *detail; /* for the log; never NULL */
  const char *cause;  /* in fixed words: no address, name or path; never NULL */
};

/* [loop] head and body return 0 to go on; anything else ends the exchange as
 * STOPPED. They may be called before start or resume returns (start has set
 * *out by then), done never is. head and body may start and pause exchanges
 * but not cancel, leave or resume any. A callback may be NULL. */
struct yoi_sdk_http_handler {
  int (*head)(void *ctx, const struct yoi_sdk_http_head *head);
  int (*body)(void *ctx, yoi_str bytes);
  void (*done)(void *ctx, const struct yoi_sdk_http_result *result);
  /* A field of the header, before head: of an answer of this status, which is
   * below 200 where another answer follows. The value is trimmed, not cut. */
  void (*field)(void *ctx, uint32_t status, yoi_str name, yoi_str value);
  /* Before each connection: 1 = to this address, as inet_ntop writes it, it
   * may be made. A name's next address is then tried. See 7 above. */
  int (*connect)(void *ctx, yoi_str address, uint32_t port);
};

/* yoi_sdk_http_request.flags */
#define YOI_SDK_HTTP_HEAD 1u /* a HEAD instead of a GET */
/* Offers gzip and deflate and undoes them: body gets, and response_max counts,
 * what comes out. More than one coding on top of each other is MALFORMED: each
 * multiplies what a byte from outside costs by 1,000. See 8 above. */
#define YOI_SDK_HTTP_DECODE 2u
/* Not over a connection that was used before: where such a one is lost before the
 * first byte of an answer, libcurl sends the request once more by itself. */
#define YOI_SDK_HTTP_FRESH 4u

struct yoi_sdk_http_request {
  const char *url;  /* NUL-terminated, checked with yoi_sdk_http_url_check */
  /* Whole lines "Name: value", NUL-terminated; they and the body must stay
   * until the exchange has ended. Host and Content-Length are added, and
   * Accept and Content-Type when they are missing. At most
   * YOI_HTTP_CLIENT_HEADERS_MAX. */
  const char *const *headers;
  size_t n_headers;
  yoi_str body;     /* a POST when ptr is not NULL, else a GET */
  const char *method; /* another than these two: PUT, DELETE; else NULL */
  uint32_t connect_ms, first_byte_ms, gap_ms; /* 0 = none */
  uint32_t flags;
  uint64_t deadline_ns; /* CLOCK_MONOTONIC, 0 = none */
  size_t response_max;  /* bytes of the body */
};

/* [main] FAILED_PRECONDITION when this libcurl cannot be used from several
 * threads or is too old. */
yoi_status yoi_sdk_http_open(const yoi_host *host, struct yoi_sdk_http **out,
                             yoi_error *err);
/* [main] In close of the instance, after the host took its watches away.
 * Ends all exchanges without a callback. NULL is accepted. */
void yoi_sdk_http_close(struct yoi_sdk_http *c);

/* [main] Right after open: a PEM file of the certificates that are trusted
 * instead of the system's. INVALID_ARGUMENT when it cannot be read. */
yoi_status yoi_sdk_http_trust(struct yoi_sdk_http *c, const char *ca_file,
                              yoi_error *err);

/* [main] Right after open: every connection is made to this socket of the file
 * system, whatever host the URL names; path is NUL-terminated. */
yoi_status yoi_sdk_http_unix(struct yoi_sdk_http *c, const char *path,
                             yoi_error *err);

/* 1 when url is an absolute http or https URL with a host and without
 * credentials, query or fragment. *out_tls may be NULL. */
int yoi_sdk_http_url_check(const char *url, int *out_tls, int *out_loopback);

/* [loop] Errors are of the request or memory; what the network does comes
 * with done. */
yoi_status yoi_sdk_http_start(struct yoi_sdk_http *c,
                              const struct yoi_sdk_http_request *req,
                              const struct yoi_sdk_http_handler *handler,
                              void *ctx, struct yoi_sdk_http_exchange **out,
                              yoi_error *err);
/* [loop] Ends it at once and closes its connection. NULL is accepted. */
void yoi_sdk_http_cancel(struct yoi_sdk_http_exchange *x);
/* [loop] For an answer whose last bytes are of no interest: reads them for
 * at most ms, so that the connection can be used again, else closes it; at once
 * before the answer's head has come. No callback comes any more, and headers and
 * body may be freed. */
void yoi_sdk_http_leave(struct yoi_sdk_http_exchange *x, uint32_t ms);
/* [loop] Stops reading; what libcurl has read already is still to come.
 * resume may call body before it returns. */
void yoi_sdk_http_pause(struct yoi_sdk_http_exchange *x);
void yoi_sdk_http_resume(struct yoi_sdk_http_exchange *x);

#ifdef __cplusplus
}
#endif
#endif
