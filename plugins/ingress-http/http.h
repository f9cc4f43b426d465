/* ingress-http/http.h - the things of this plugin: an instance, its loops,
 * their connections, and the request that a connection has in hand.
 *
 *   instance --1:n-- loop --1:n-- connection --0:1-- exchange
 *
 * A connection is small and stays; its exchange (the codec, what was asked,
 * by whom) comes with the first byte of a request and goes with its answer,
 * or when the answer has become a stream. An idle connection or watcher costs
 * its struct http_conn and, for a watcher, its last cursor.
 *
 * Threads: an instance's members are set before it serves; counts are atomic.
 * Everything of a loop belongs to that loop's thread, but for the stack of
 * woken slots.
 */
#ifndef YOI_HTTP_HTTP_H
#define YOI_HTTP_HTTP_H

#include "auth.h"
#include "callers.h"
#include "guesses.h"
#include "peers.h"
#include "response.h"
#include "router.h"
#include "sessions.h"
#include "slots.h"
#include "timers.h"
#include "tls.h"

#include <sdk/hard.h>
#include <sdk/json.h>
#include <sdk/metric.h>
#include <sdk/stream.h>
#include <sys/uio.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_registry.h>
#include <yoi/host_secret.h>

#define HTTP_READ_BYTES 16384  /* of one read: a header and a common body */
#define HTTP_READS_PER_TURN YOI_SDK_HARD(8, 2)  /* of one connection on one wake-up */
#define HTTP_BATCHES_PER_TURN YOI_SDK_HARD(8, 1) /* of one stream on one wake-up */
#define HTTP_ACCEPTS_PER_TURN YOI_SDK_HARD(64, 1)
#define HTTP_LINGER_MS 1000    /* a client reads its refusal before the reset */
#define HTTP_LINGER_BYTES 1048576
#define HTTP_QUIET_MS 100      /* after which a watcher gets its head, if nothing came */
#define HTTP_DRAIN_IDLE_MS 1000 /* an idle connection may bring one more request */
#define HTTP_DRAIN_END_MS 500  /* past its deadline, when runtimes cancel and say so */
#define HTTP_POLICY_MAX 512    /* Content-Security-Policy of a page */
#define HTTP_COOKIE_NAME 32    /* with the port of the listener */
#define HTTP_REFUSED_MAX 64    /* connections that only get limit_reached */

struct http_loop;
struct http_collect;
struct http_access;
struct ssl_st;

/* http_conn.state; conn.c draws how they follow each other. */
enum {
  HTTP_CONN_IDLE,
  HTTP_CONN_HEADER,
  HTTP_CONN_BODY,
  HTTP_CONN_HANDLING,
  HTTP_CONN_WRITING,
  HTTP_CONN_STREAMING,
  HTTP_CONN_HANDSHAKE,
  HTTP_CONN_CLOSING,
  HTTP_CONN_GONE,
};

/* http_conn.refused: it gets limit_reached and no more. */
enum {
  HTTP_REFUSED_NOT,
  HTTP_REFUSED_CONNECTIONS, /* of the listener */
  HTTP_REFUSED_PEER,        /* connections of one peer */
  HTTP_REFUSED_DESCRIPTORS, /* of the process */
};

/* http_config.access_log */
enum { HTTP_ACCESS_OFF, HTTP_ACCESS_ERRORS, HTTP_ACCESS_ALL };

/* How an operation is answered. */
enum {
  HTTP_BY_RESULT, /* one result, sent as it is */
  HTTP_BY_EVENTS, /* server-sent events */
  HTTP_BY_TURN,   /* ?wait: the turn when it has ended, else its ack */
  HTTP_BY_BATCH,  /* events as one JSON document */
};

/* A request in hand. Nothing of it is a view of the header, which moves while the
 * body comes; the codec has the places. */
struct http_exchange {
  struct http_codec codec;
  struct http_match match;
  struct http_params params;
  uint8_t by;         /* HTTP_BY_* */
  uint8_t once;       /* a batch of what there is: it comes, or an error does */
  uint8_t keep_alive; /* the connection may go on behind the answer */
  uint8_t routed;     /* match is good */
  uint8_t has_trace;  /* trace_id is good */
  uint8_t unchanged;  /* the caller has the bundle that it asks for */
  uint32_t hops;
  uint64_t begun_ms; /* its first byte */
  uint64_t deadline_ns;
  uint64_t began_ns; /* when the header was whole */
  struct yoi_sdk_buf body;      /* made from query and path */
  struct http_collect *collect; /* wait.c: what came so far */
  size_t request_id_len;
  char trace_id[32];
  char request_id[YOI_REQUEST_ID_MAX + 1];
};

/* Bytes that did not go out at once: a copied head, and text that the stream
 * keeps. */
struct http_pending {
  uint64_t until_ms; /* an answer's end as a whole; 0: a stream's, no end */
  size_t off, head_len;
  yoi_str text;
  char head[];
};

struct http_conn {
  struct http_timer timer; /* first: a timer is its connection */
  struct http_loop *loop;
  struct http_conn *prev, *next; /* all of the loop */
  struct http_conn *slot_prev, *slot_next;
  struct http_conn *ready_next;
  struct ssl_st *tls;        /* NULL: none, or no byte came yet */
  struct http_peer *peer;    /* NULL: no cap of peers counts for it */
  struct http_access *access; /* NULL: no line will be written */
  struct http_pass *pass;     /* of the request or stream in hand; NULL: none yet */
  uint64_t watch;
  int32_t fd;
  uint32_t batch_at, batch_n; /* events sent, events there */
  uint8_t state, interest;
  uint8_t local;      /* the peer is on this machine */
  uint8_t ready;      /* stands in the loop's ready list */
  uint8_t refused;    /* HTTP_REFUSED_*; counted apart */
  uint8_t chunked;    /* of a stream: HTTP/1.1 */
  uint8_t keep_alive; /* of the answer that is being written */
  uint8_t counted;    /* as a stream */
  uint8_t eof;        /* the client has sent all it will */
  uint8_t timed;      /* the state that the timer was set for, and 1 */
  uint8_t small_sends; /* TCP_NOTSENT_LOWAT is set */
  uint8_t tls_broken;  /* nothing is sent by it any more */
  uint8_t tls_blocked; /* a read waits for room to send: interest is WRITE */
  uint16_t tls_retry;  /* length of the record that the socket did not take */
  uint16_t requests;  /* on this wake-up */
  uint16_t cursor_len;
  uint32_t discarded; /* bytes read while closing */
  size_t batch_off;   /* bytes sent of event batch_at */
  const yoi_event *const *batch;
  yoi_stream *stream;
  struct http_slot *slot;
  struct http_exchange *x;
  struct http_pending *pending;
  char *cursor;           /* of the last event with one */
  struct yoi_sdk_buf in;  /* read, but behind the request in hand */
};

struct http_loop {
  struct http_instance *in;
  uint32_t index;
  int32_t listen_fd, spare_fd;
  uint64_t listen_watch, timer, timer_at_ms, earliest_ms;
  struct http_conn *all, *dead, *ready, *ready_last;
  struct http_exchange *spare; /* one, for the next request */
  uint64_t now_ns, now_ms, date_s;
  uint8_t ready_posted; /* a task for `ready` is on its way */
  uint8_t listen_paused;
  uint8_t told; /* of the drain */
  struct ssl_ctx_st *tls; /* what new connections show; NULL: plain */
  struct ssl_ctx_st *_Atomic tls_next; /* to be taken by the next one */
  char *record;           /* of HTTP_TLS_RECORD, with TLS */
  struct http_ring *ring; /* who is let in */
  struct http_ring *_Atomic ring_next; /* to be taken by the next request */
  char date[HTTP_DATE_SIZE];
  char read[HTTP_READ_BYTES];
  char frames[YOI_EVENT_BATCH_MAX][HTTP_FRAME_HEAD_MAX];
  size_t gathered; /* 0 between two connections */
  char gather[YOI_DELTA_BYTES_MAX];
  struct yoi_sdk_buf out; /* heads are written here */
  struct http_wheel wheel;
  struct http_slots slots;
};

struct http_config {
  uint64_t header_ms, body_ms, idle_ms, write_ms, heartbeat_ms;
  uint32_t connections, streams;
  uint32_t peer_connections, peer_streams;   /* each other machine */
  uint32_t local_connections, local_streams; /* this one; UINT32_MAX: no cap */
  uint64_t session_ms;
  uint8_t access_log, secure_cookie;
};

/* pages.c: a page for people. */
struct http_page {
  char *text;
  size_t len;
  char policy[HTTP_POLICY_MAX];
};

/* certificate.c: what TLS of an instance is made of. */
struct http_certificate {
  yoi_str certificate, key; /* names of secrets; empty: no TLS. Owned */
  uint64_t reload_ms;
  uint64_t seen[2], said[2]; /* generations of what is shown, and of what was
                              * last said not to work */
  int expired; /* as http_tls_context_expired last said */
  struct ssl_ctx_st *ctx;
};

/* door.c: who is let in. One entry is one caller, by any of his secrets. */
struct http_entry {
  struct http_caller *caller;
  size_t n, min; /* secrets; characters of a value */
  yoi_str secrets[YOI_HTTP_TOKEN_SECRETS_MAX]; /* names, owned */
};
struct http_door {
  size_t n;
  struct http_entry *entries;
  struct http_rate rate; /* of callers that have none of their own */
  uint64_t reload_ms;
  uint64_t *seen, *said;  /* per entry: generations of what is in the ring, and of
                           * what was last said not to work */
  struct http_ring *ring; /* the newest; loop 0's, once it serves */
  struct http_pass *open; /* of who needs no token, or is where none is asked for */
  int closed;             /* a token is asked for */
};

/* Ids of metrics; measure.c makes them. */
#define HTTP_CLASSES 3 /* of status: 2xx, 4xx, 5xx; there are no others */
struct http_metrics {
  uint32_t requests, errors, connections, streams, streams_total;
  uint32_t answer_time[HTTP_CLASSES];
};

struct http_instance {
  const yoi_host *host;
  const yoi_host_loop *loops_of;
  const yoi_host_registry *registry;
  const yoi_host_clock *clock;
  const yoi_host_log *log;
  struct yoi_sdk_metrics metrics;
  struct http_metrics metric;
  struct http_config config;
  struct http_certificate tls;
  struct http_peers peers;
  struct http_guard guard;
  struct http_door door;
  char runtime_id[YOI_ID_MAX + 1]; /* of a runtime surface */
  uint32_t n_loops;
  struct http_loop *loops;
  struct http_page page, login_page;
  struct http_sessions sessions;
  struct http_guesses guesses;
  char cookie[HTTP_COOKIE_NAME], device[HTTP_COOKIE_NAME]; /* names of cookies */
  _Atomic uint32_t connections, refused, streams, draining;
  _Atomic uint32_t untold; /* loops that do not know of a drain yet */
  _Atomic uint64_t starved_ms; /* when descriptors were last short; 0: never */
  uint64_t drain_until_ms;
  struct yoi_sdk_queue *drained;
};

/* ---- plugin.c ---- */
void http_log(struct http_instance *in, uint32_t level, const char *msg, yoi_str request_id,
              const char *key, yoi_str value);

/* ---- door.c ---- */
/* NULL: the host has none. */
const yoi_host_secret *http_secrets(const struct http_instance *in);
/* [main] At open: reads `tokens`, `token_reload_ms` and `rate`. */
yoi_status http_door_read(struct http_instance *in, const yoi_sdk_json *config, yoi_error *err);
/* [main] At start: with the token of the listener, and all values. */
yoi_status http_door_serve(struct http_instance *in, const yoi_listener *on, yoi_error *err);
void http_door_close(struct http_instance *in);
/* [loop] Looks for other values from now on, on this loop. */
void http_door_watch(struct http_loop *l);
/* [loop] The ring for a request of this loop. */
const struct http_ring *http_door_ring(struct http_loop *l);

/* ---- login.c: where a browser surface asks for tokens ---- */
/* [main] At start, once the guard is set. */
void http_login_names(struct http_instance *in);
/* [loop] Sets c->pass to that of the session whose cookie the request has; 0:
 * none. */
int http_login_known(struct http_conn *c);
/* [loop] Sets c->pass by a token: OK, unauthorized, or rate_limited when whoever
 * asks has to wait. */
yoi_status http_login_token(struct http_conn *c, yoi_str token, yoi_error *err);
/* POST /login and /logout are whole. */
void http_login(struct http_conn *c);
void http_logout(struct http_conn *c);

/* ---- pages.c ---- */
/* [main] */
yoi_status http_pages_make(struct http_instance *in, yoi_error *err);
void http_pages_free(struct http_instance *in);

/* ---- measure.c ---- */
void http_measure_open(struct http_instance *in);
void http_measure_surface(struct http_instance *in); /* once it is known */
void http_measure_request(struct http_conn *c);
void http_measure_answer(struct http_conn *c, int status); /* its head is made */
void http_measure_error(struct http_instance *in);
void http_measure_connection(struct http_instance *in, int comes);
void http_measure_stream(struct http_instance *in, int comes);

/* ---- listener.c: tasks of a loop ---- */
void http_loop_listen(void *loop);
void http_loop_stop(void *loop);
void http_loop_drain(void *loop);
void http_loop_woken(void *loop);
/* Every callback of the host stands between these two: the time is read once,
 * and what is gone is freed when nothing refers to it any more. */
void http_loop_enter(struct http_loop *l);
void http_loop_leave(struct http_loop *l);
/* The connection goes on in a task of its own: others come first. */
void http_loop_ready(struct http_conn *c);
void http_loop_unready(struct http_conn *c);
void http_loop_drained(struct http_loop *l); /* finishes drain after the last */
void http_loop_free(struct http_loop *l);    /* [main], at close */
/* A descriptor of this process may be free again. */
void http_loop_resume(struct http_loop *l);

/* ---- conn.c ---- */
/* With an entry of `peer`, or NULL when nothing is counted for it. */
void http_conn_new(struct http_loop *l, int32_t fd, int refused, int local,
                   struct http_peer *peer);
void http_conn_gone(struct http_conn *c);
void http_conn_expired(struct http_conn *c);
void http_conn_continue(struct http_conn *c); /* with what was read before */
void http_conn_interest(struct http_conn *c, uint32_t interest);
/* Output is queued: the socket says when it goes on. */
int http_conn_full(const struct http_conn *c);
void http_conn_timer(struct http_conn *c, uint64_t ms);
/* The answer is out: on to the next request, or the end. */
void http_conn_answered(struct http_conn *c);
void http_conn_drop_exchange(struct http_conn *c);
void http_conn_drop_stream(struct http_conn *c);

/* ---- write.c ---- */
/* Bytes that the socket took, 0 when it is full, -1 when it is broken. All that
 * goes out goes out here. */
ssize_t http_socket_send(int fd, struct iovec *iov, size_t n);
/* Sends head and text with one call. Of what does not go out, head is copied;
 * text must live as long as c->stream. The connection is idle, closing,
 * writing or gone then. */
void http_conn_answer(struct http_conn *c, yoi_str head, yoi_str text);
/* Writes pending bytes: 1 when none are left, 0 when the socket is full, -1
 * when the connection is gone. */
int http_conn_flush(struct http_conn *c);
/* Keeps what of head and text is behind `sent`; 0: no memory. */
int http_conn_pend(struct http_conn *c, size_t sent, yoi_str head, yoi_str text);
/* The same for a connection, through its TLS. */
ssize_t http_conn_send(struct http_conn *c, struct iovec *iov, size_t n);
void http_conn_blocked(struct http_conn *c);

/* ---- exchange.c: a request, from its header to its answer ---- */
/* The header is whole. An error is to be answered. */
yoi_status http_exchange_head(struct http_conn *c, yoi_error *err);
/* The request is whole: starts the operation, or answers at once. */
void http_exchange_run(struct http_conn *c);
/* Polls the stream. */
void http_exchange_poll(struct http_conn *c);
/* A ?wait, or a quiet start, has lasted long enough. */
void http_exchange_expired(struct http_conn *c);
/* It is refused before its header is whole: it gets an id and a line. */
void http_exchange_refused(struct http_conn *c);
/* The trace id of its traceparent, 32 hex digits or none. */
yoi_str http_exchange_trace(const struct http_exchange *x);

/* ---- answer.c ---- */
void http_answer_error(struct http_conn *c, const yoi_error *err);
void http_answer_code(struct http_conn *c, int32_t code, const char *message);
/* limit_reached, with details that say which limit and how much it is. */
yoi_status http_limit_reached(yoi_error *err, const char *message, const char *limit,
                              uint32_t max);
/* A result; its text stays with the stream. */
void http_answer_result(struct http_conn *c, yoi_str text, uint32_t event_flags);
/* The inside of the ETag of what is asked for; empty: it has none. */
yoi_str http_answer_tag(const struct http_match *m);
/* A JSON object made here, wrapped for /api; copied. */
void http_answer_json(struct http_conn *c, int status, yoi_str json);
void http_answer_page(struct http_conn *c, const struct http_page *page);
/* With what a reply says, and a JSON object or nothing; copied. */
void http_answer_made(struct http_conn *c, struct http_reply *r, yoi_str json);
struct http_reply http_answer_reply(struct http_conn *c, int status, const char *type);

/* ---- sse.c ---- */
/* The answer is a stream of events from here on. */
void http_sse_begin(struct http_conn *c);
void http_sse_batch(struct http_conn *c, const yoi_event *const *evs, size_t n);
void http_sse_pump(struct http_conn *c);
void http_sse_heartbeat(struct http_conn *c);
/* The data of an `end` that is an error, made here; counts as one. */
void http_end_failed(struct http_conn *c, const yoi_error *err, yoi_str cursor,
                     struct yoi_sdk_buf *out);
/* Counts the runtime's own `end`, when it is an error. */
void http_end_note(struct http_conn *c, yoi_str data);

/* ---- wait.c: answers that are gathered from a stream ---- */
/* A batch begins at the cursor that the operation's body names, or ends at that
 * which the data of its end names; if any. */
void http_wait_from(struct http_conn *c, yoi_str body);
/* Each is 1 when the answer was given. */
int http_wait_events(struct http_conn *c, const yoi_event *const *evs, size_t n);
int http_wait_quiet(struct http_conn *c, int expired); /* nothing more for now */
void http_wait_end(struct http_conn *c, yoi_status st, const yoi_error *err);
void http_wait_free(struct http_collect *w);

/* ---- access.c: the line of the log; each does nothing when there is none ---- */
void http_access_begin(struct http_conn *c);
void http_access_status(struct http_conn *c, int status);
void http_access_sent(struct http_conn *c, size_t bytes);
void http_access_stream(struct http_conn *c);
void http_access_failed(struct http_conn *c); /* the stream ended in an error */
void http_access_end(struct http_conn *c);    /* writes it, if it is to be */

/* ---- certificate.c ---- */
/* [main] Reads `tls` of the config and makes the context. */
yoi_status http_certificate_open(struct http_instance *in, const yoi_sdk_json *config,
                                 yoi_error *err);
void http_certificate_close(struct http_instance *in);
/* [loop] Looks for other certificates from now on, on this loop. */
void http_certificate_watch(struct http_loop *l);
/* [loop] The context for a new connection of this loop; NULL: plain. */
struct ssl_ctx_st *http_certificate_take(struct http_loop *l);

#endif
