/* sdk/http/internal.h - what the files of the HTTP client share.
 *
 *   client.c    the instance: open, close, one `loop` per loop of the host
 *   drive.c     sockets and the one timer of a loop, both ways
 *   exchange.c  one request: easy handles, callbacks, deadlines, its end
 *   classify.c  libcurl's codes as ours; URLs
 *
 * Ownership: client -> loops[] -> exchanges (active or pooled) and sockets.
 * Everything below a loop is touched on that loop only, and by close once
 * the loops no longer run anything of the instance.
 */
#ifndef YOI_SDK_HTTP_INTERNAL_H
#define YOI_SDK_HTTP_INTERNAL_H

#include <curl/curl.h>
#include <sdk/hard.h>
#include <sdk/http.h>
#include <string.h>
#include <yoi/host_clock.h>
#include <yoi/host_loop.h>

#define YOI__SDK_HTTP_VALUE_MAX 128 /* of a header value that is kept */
#define YOI__SDK_HTTP_BUCKETS YOI_SDK_HARD(64, 2)    /* sockets by descriptor; a power of 2 */

/* A descriptor of libcurl's that is watched. It outlives libcurl's interest:
 * a kept connection is asked for again at the next request, and taking the
 * watch away and back would cost two system calls each time. */
struct yoi__sdk_http_socket {
  struct yoi__sdk_http_socket *next; /* in its bucket */
  struct yoi__sdk_http_loop *loop;
  uint64_t watch;
  curl_socket_t fd;
  uint32_t interest; /* what the host watches for */
  uint32_t wanted;   /* what libcurl asked for; 0 = it is idle */
  uint32_t kept;     /* of a connection that stands: closed by closesocket_cb */
  const struct yoi_sdk_http_exchange *opener; /* until it is connected */
};

enum { YOI__SDK_HTTP_OPENING, YOI__SDK_HTTP_SENT, YOI__SDK_HTTP_FLOWING };

struct yoi_sdk_http_exchange {
  struct yoi_sdk_http_exchange *prev, *next; /* active list, or pool (next) */
  struct yoi__sdk_http_loop *loop;
  CURL *easy;
  CURLU *url; /* of url_text, which easy refers to */
  char *url_text;
  const struct yoi_sdk_http_handler *handler; /* NULL: left */
  void *ctx;
  uint64_t deadline_ns; /* of the whole exchange, UINT64_MAX = none */
  uint64_t since_ns;    /* when the phase began, or the last byte came */
  uint64_t first_byte_ns, gap_ns; /* UINT64_MAX = none */
  size_t body_bytes, response_max, header_bytes;
  curl_off_t post_bytes;
  uint32_t phase;
  uint32_t end; /* decided by us before libcurl knows; 0 = not */
  uint32_t connect_ms;
  uint32_t codings;    /* that libcurl will undo */
  uint32_t flags;      /* of the request */
  uint32_t set_flags;  /* that the easy handle is set to */
  uint8_t paused, head_done, is_post;
  uint8_t alone;   /* the easy handle shares no connection */
  uint8_t guarded; /* handler->connect is asked */
  uint8_t opened;  /* a socket, which is not connected yet */
  char method[8];  /* that the easy handle is set to; empty: its own */
  struct yoi_sdk_http_head head;
  char content_type[YOI__SDK_HTTP_VALUE_MAX];
  char retry_after[YOI__SDK_HTTP_VALUE_MAX];
  char retry_after_ms[YOI__SDK_HTTP_VALUE_MAX];
  char should_retry[YOI__SDK_HTTP_VALUE_MAX];
  char request_id[YOI__SDK_HTTP_VALUE_MAX];
  char error[CURL_ERROR_SIZE];
  struct curl_slist lines[YOI_HTTP_CLIENT_HEADERS_MAX + 1]; /* and Expect */
};

struct yoi__sdk_http_loop {
  struct yoi_sdk_http *client;
  CURLM *multi;
  struct yoi_sdk_http_exchange *active; /* doubly linked */
  struct yoi_sdk_http_exchange *pool;
  uint32_t n_pool;
  uint32_t index;
  uint32_t n_active;
  uint8_t driving; /* inside libcurl, or handing out its results */
  uint8_t closing; /* callbacks of libcurl do nothing */
  uint64_t timer;       /* of the host, 0 = none */
  uint64_t timer_at;    /* when it fires */
  uint64_t curl_at;     /* when libcurl wants to be called, UINT64_MAX = not */
  struct yoi__sdk_http_socket *sockets[YOI__SDK_HTTP_BUCKETS];
};

struct yoi_sdk_http {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_clock *clock;
  char *ca_file; /* NULL: the system's certificates */
  char *socket;  /* NULL: addresses are those of URLs */
  uint32_t n_loops;
  uint32_t reserved;
  struct yoi__sdk_http_loop *loops[]; /* each made and used on its loop */
};

/* client.c */
/* The loop that this thread runs; NULL with err. */
struct yoi__sdk_http_loop *yoi__sdk_http_loop_here(struct yoi_sdk_http *c,
                                                   yoi_error *err);

/* drive.c */
curl_socket_t yoi__sdk_http_opensocket_cb(void *ctx, curlsocktype purpose,
                                          struct curl_sockaddr *addr);
int yoi__sdk_http_socket_cb(CURL *easy, curl_socket_t fd, int what, void *ctx,
                            void *socket);
int yoi__sdk_http_timer_cb(CURLM *multi, long ms, void *ctx);
int yoi__sdk_http_closesocket_cb(void *ctx, curl_socket_t fd);
/* The connection of an exchange stands. */
void yoi__sdk_http_connected(const struct yoi_sdk_http_exchange *x);
/* Before libcurl is told to give it up: what is not connected is watched no more. */
void yoi__sdk_http_forget(const struct yoi_sdk_http_exchange *x);
/* Lets libcurl act on a socket (or CURL_SOCKET_TIMEOUT), then hands out what
 * ended. */
void yoi__sdk_http_drive(struct yoi__sdk_http_loop *l, curl_socket_t fd,
                         int flags);
/* Begins what was just added, without handing out results; nothing when an
 * outer drive will do it. n_active: exchanges that libcurl should be running. */
void yoi__sdk_http_kick(struct yoi__sdk_http_loop *l, uint32_t n_active);
/* The timer fires at `at_ns` at the latest. */
void yoi__sdk_http_wake_at(struct yoi__sdk_http_loop *l, uint64_t at_ns);
void yoi__sdk_http_sockets_free(struct yoi__sdk_http_loop *l);

/* exchange.c */
/* When its present deadline passes, UINT64_MAX = never. */
uint64_t yoi__sdk_http_due(const struct yoi_sdk_http_exchange *x);
/* A deadline passed: end it. */
void yoi__sdk_http_expire(struct yoi_sdk_http_exchange *x);
/* libcurl says that it ended. */
void yoi__sdk_http_ended(struct yoi_sdk_http_exchange *x, CURLcode code);
void yoi__sdk_http_exchange_free(struct yoi_sdk_http_exchange *x);

/* classify.c */
uint32_t yoi__sdk_http_classify(CURLcode code, uint32_t phase);
/* Why, in words that are the same for everybody. */
const char *yoi__sdk_http_cause(CURL *easy, CURLcode code);

#endif
