/* remote.h - what the files of this plugin share; each part says its own rules.
 *
 *   plugin.c    open, close, drain, the table
 *   config.c    the instance's config
 *   table.c     the operations, and every error of a remote
 *   shape.c     what answers and events must be made of
 *   request.c   an operation as URL, header and body
 *   ask.c       one request to the remote: attempts, deadlines, its outcome
 *   call.c      operations with one answer, as the ABI's stream
 *   health.c    who the remote is, and whether it is there
 *   describe.c  what is said of it
 *   frame.c     events of the remote as frames
 *   watch.c     a watched worker: found, made, tended, freed
 *   upstream.c  its one stream of the remote's, and its one buffer
 *   watcher.c   one stream on it: what it gets next
 *   reader.c    what a watcher reads on its own, and where it joins
 *
 * Threads. Asks, timers and exchanges of a thing belong to its loop. Lists and
 * the map of the instance are under `mu`, a watched worker's buffer and
 * watchers under its own; nothing is called with either held, and whoever
 * holds the worker's takes no other.
 */
#ifndef REMOTE_H
#define REMOTE_H

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/http.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/metric.h>
#include <sdk/sse.h>
#include <sdk/stream.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_secret.h>
#include <yoi/runtime.h>

#define REM_NS_PER_MS 1000000u
#define REM_INSTANCE_MAX 128 /* bytes of an instance_id */

struct rem_instance;
struct rem_ask;

/* ---- config.c ------------------------------------------------------------- */

struct rem_config {
  char *base; /* without a slash at the end */
  char *socket, *ca_file, *expect_instance; /* or NULL */
  char *token;                              /* the secret's name, or NULL */
  uint32_t connect_ms, answer_ms, idle_ms, probe_ms, resume_ms, retries;
  int bare_token; /* it goes over plain http to another machine */
};
yoi_status rem_config_read(yoi_str text, struct rem_config *c, yoi_error *err);
void rem_config_release(struct rem_config *c);

/* ---- table.c -------------------------------------------------------------- */

struct rem_op {
  const char *method, *path; /* of ops.h; NULL: not a runtime's */
  uint32_t status;
  uint8_t keyed; /* safe to repeat with an idempotency key only */
};
const struct rem_op *rem_op_find(uint32_t op); /* NULL: unknown here */
/* An error of the remote, or what came instead of one, as ours. sent: the body
 * of the request. */
yoi_status rem_error_map(uint32_t op, yoi_str sent, uint32_t status, yoi_str body,
                         uint32_t retry_after_ms, yoi_error *err);
/* The same for the code that ends an event stream; 0: none that may be said. */
int32_t rem_code_map(uint32_t op, int32_t code);
const char *rem_code_message(int32_t code);

/* ---- shape.c -------------------------------------------------------------- */

/* 1 when b has an answer to op, asked for about the thing of that id; what is
 * beside the answer is taken out of it. */
int rem_answer_fits(uint32_t op, yoi_str about, struct yoi_sdk_buf *b);
/* 1 when data, which is JSON, may be that of an event of the kind. */
int rem_event_fits(uint32_t kind, yoi_str data);
/* 0 when it has a worker that is not the one of that id. */
int rem_event_is_of(yoi_str about, uint32_t kind, yoi_str data);

/* ---- request.c ------------------------------------------------------------ */

/* How the answer is wanted. */
enum rem_form { REM_UNARY, REM_BATCH, REM_STREAM };

struct rem_request {
  uint32_t op;
  enum rem_form form;
  const char *method; /* NULL: GET or POST */
  struct yoi_sdk_buf url, lines, body; /* lines: each NUL-terminated */
  struct yoi_sdk_buf about; /* the id of what is asked for; empty: of its own */
  int has_body;
};
yoi_status rem_request_make(const struct rem_instance *i, const yoi_request *req,
                            enum rem_form form, struct rem_request *out, yoi_error *err);
void rem_request_release(struct rem_request *r);
/* Adds the lines that differ from attempt to attempt. */
yoi_status rem_request_lines(const struct rem_instance *i, uint64_t deadline_ns,
                             struct yoi_sdk_buf *out, yoi_error *err);

/* ---- ask.c ---------------------------------------------------------------- */

struct rem_outcome {
  yoi_status st; /* YOI_OK: text and flags count, else error */
  yoi_str text;  /* of an answer; may be changed in place by whoever is told */
  uint32_t flags; /* of the event */
  uint8_t again;  /* it may be asked again, later */
  uint8_t opened; /* a stream had begun */
  struct yoi_sdk_error error;
};
struct rem_ask_handler {
  void (*open)(void *ctx); /* a stream begins; may be NULL */
  /* 0 to go on; else the stream is malformed. */
  int (*event)(void *ctx, const struct yoi_sdk_sse_event *ev);
  /* Last; the ask may be freed in it. */
  void (*done)(void *ctx, struct rem_outcome *outcome);
};

struct rem_ask {
  struct rem_ask *prev, *next; /* parked ones of its loop */
  struct rem_instance *i;
  const struct rem_ask_handler *handler;
  void *ctx;
  struct rem_request request;
  struct yoi_sdk_buf varying, answer;
  struct yoi_sdk_sse sse;
  struct yoi_sdk_http_exchange *x;
  uint64_t deadline_ns, timer, retry_after_ms;
  uint32_t loop, attempt, retries, status;
  uint8_t parked, paused, opened, free_of_check, sent_before, json, over;
};
/* [any] Copies what it needs. retries: how often more it may be sent. */
yoi_status rem_ask_new(struct rem_instance *i, const yoi_request *req, enum rem_form form,
                       uint32_t retries, const struct rem_ask_handler *handler, void *ctx,
                       struct rem_ask **out, yoi_error *err);
/* [loop] Sends it; done may only come later, but for errors of its making. */
void rem_ask_send(struct rem_ask *a);
void rem_ask_pause(struct rem_ask *a, int on);
/* [loop] Without a callback; NULL is accepted. */
void rem_ask_free(struct rem_ask *a);
/* The same, for an answer that is nearly over: its connection is used again. */
void rem_ask_leave(struct rem_ask *a);
/* A parked one, after the remote was looked at; why: NULL when it is fine. */
void rem_ask_unpark(struct rem_ask *a, const yoi_error *why);
uint64_t rem_backoff_ns(uint32_t attempt);

/* ---- health.c ------------------------------------------------------------- */

enum rem_status { REM_STARTING, REM_READY, REM_UNREACHABLE };

struct rem_health {
  pthread_mutex_t mu; /* for all down to why */
  enum rem_status status;
  char instance_id[REM_INSTANCE_MAX + 1];
  uint64_t replaced, replaced_wall_ns; /* how often, and when last */
  uint32_t news;                       /* looks until the new one is accepted */
  uint64_t looked_ns;                  /* the end of the last look */
  struct yoi_sdk_error why;            /* when it is not ready */
  _Atomic uint32_t verified; /* it is the runtime that it should be */
  /* loop 0 only */
  struct rem_ask *probe;
  uint64_t timer;
};
yoi_status rem_health_init(struct rem_instance *i);
void rem_health_release(struct rem_instance *i);
/* [main] From now on it is looked at. */
yoi_status rem_health_begin(struct rem_instance *i, yoi_error *err);
/* [any] A connection was lost or refused: who answers next is to be seen. */
void rem_health_suspect(struct rem_instance *i);
/* [loop] Keeps it until the remote was looked at. */
void rem_health_park(struct rem_ask *a);
/* [any] Takes what the remote says of itself: a runtime of this API, and the
 * one that is expected. */
yoi_status rem_health_take(struct rem_instance *i, yoi_str runtime, yoi_error *err);
/* [any] 1: it was looked at just now and is not there; *err says why. */
int rem_health_down(struct rem_instance *i, yoi_error *err);

/* ---- describe.c ----------------------------------------------------------- */

/* From {"runtime": ...} of the remote, which was taken, to ours. */
yoi_status rem_describe(struct rem_instance *i, yoi_str text, struct yoi_sdk_buf *out,
                        yoi_error *err);

/* ---- call.c --------------------------------------------------------------- */

struct rem_call;
yoi_status rem_call_start(struct rem_instance *i, const yoi_request *req, yoi_stream **out,
                          yoi_error *err);
void rem_call_free(struct rem_call *c); /* in close only */

/* ---- frame.c -------------------------------------------------------------- */

/* An event, shared by all who watch; of kind 0: the place of an unknown one. */
struct rem_frame {
  _Atomic uint32_t refs;
  uint32_t size; /* what it counts as in a buffer */
  yoi_event ev;
  char text[];
};
struct rem_frame *rem_frame_new(uint32_t kind, yoi_str cursor, yoi_str text);
struct rem_frame *rem_frame_ref(struct rem_frame *f);
void rem_frame_unref(struct rem_frame *f);
/* A kind that goes over HTTP; 0: none that is known. */
uint32_t rem_frame_kind(yoi_str name);
/* The `end` of a stream. code 0: null. */
struct rem_frame *rem_frame_end(const char *reason, int32_t code, int retryable, yoi_str cursor);
/* What the data of a remote's `end` says, as it is here; a code in any case. */
int32_t rem_end_code(yoi_str data);
int rem_end_retryable(yoi_str data);
/* 1 when data is one JSON object as the kind has it, and cursor may be one. Of
 * kind 0 data says nothing. */
int rem_frame_fits(uint32_t kind, yoi_str cursor, yoi_str data);

/* ---- watch.c, upstream.c, watcher.c, reader.c ------------------------------- */

struct rem_cursor {
  uint16_t len;
  char text[YOI_CURSOR_MAX];
};
static inline yoi_str rem_cursor_str(const struct rem_cursor *c) {
  return (yoi_str){c->text, c->len};
}
static inline void rem_cursor_set(struct rem_cursor *c, yoi_str s) {
  c->len = (uint16_t)(s.len <= YOI_CURSOR_MAX ? s.len : 0);
  if (c->len) memcpy(c->text, s.ptr, c->len);
}

/* rem_watcher.state, drawn in watcher.c */
enum rem_place { REM_LIVE, REM_READING, REM_JOINING, REM_ENDING };

struct rem_watcher {
  yoi_stream head; /* first: this is the ABI's stream */
  struct rem_watched *w;
  struct rem_watcher *prev, *next; /* of w */
  struct rem_watcher *todo_next;
  uint64_t token;
  /* under w->mu */
  enum rem_place state;
  uint64_t at;        /* LIVE: index of the next frame */
  uint64_t asked_at;  /* READING: the buffer's end when it was asked */
  struct rem_cursor cursor; /* behind what it was given, or asks from */
  struct rem_cursor join;   /* JOINING: of the frame that it waits for */
  uint8_t armed, cancelled, released, todo, once, given, over;
  struct rem_frame **got; /* what it read on its own */
  uint32_t n_got, at_got;
  struct rem_frame *end;      /* ENDING, when it was given something before */
  struct yoi_sdk_error *why;  /* ENDING, when it was not */
  uint64_t lost_ns;           /* since when reading fails */
  /* the consumer's */
  uint32_t n_batch;
  struct rem_frame *batch[YOI_EVENT_BATCH_MAX];
  const yoi_event *events[YOI_EVENT_BATCH_MAX];
  /* loop only */
  struct rem_ask *read;
  uint64_t timer, deadline_ns;
  uint32_t attempt;
};

enum rem_phase { REM_CLOSED, REM_OPENING, REM_OPEN, REM_LOST, REM_OVER };

struct rem_watched {
  struct rem_watched *prev, *next; /* all of the instance */
  struct rem_watched *bucket_next; /* of the map, by id and asked.workspace */
  struct rem_instance *i;
  char id[YOI_ID_MAX + 1];
  uint32_t loop;
  /* under the instance's mu */
  uint32_t holds; /* watchers that are not gone */
  uint8_t mapped, told; /* told: that its runtime is draining */

  pthread_mutex_t mu; /* for all down to `todo` */
  struct rem_frame **ring; /* by index, modulo cap, a power of 2 */
  uint64_t base, end;      /* indices of the first and behind the last */
  uint64_t front;          /* of the watcher that is ahead of all */
  size_t bytes, behind;    /* of all; from `front` on */
  uint32_t cap;
  enum rem_phase phase;
  struct rem_cursor cursor; /* where the upstream goes on */
  struct rem_watcher *watchers, *todo, **todo_last;
  uint32_t n_joining;
  uint8_t posted, wanted, ending;
  uint8_t paused, slack; /* the upstream: it is not read; read on again */
  /* OVER: */
  const char *reason;
  int32_t code;
  uint8_t retryable;
  struct yoi_sdk_error *why; /* for whoever was given nothing */

  /* loop only */
  struct rem_ask *up;
  uint64_t timer, lost_ns;
  uint32_t attempt;
  uint32_t bad; /* streams in a row that ended with what is no event */
  uint8_t tending, again, ever, malformed;
  /* a followed input: not in the map, of one watcher */
  uint8_t follow, acked, ack_given;
  char turn[YOI_ID_MAX + 1];
  yoi_request asked;       /* with its texts in `texts` */
  struct yoi_sdk_buf texts;
};

yoi_status rem_watch_start(struct rem_instance *i, const yoi_request *req, yoi_stream **out,
                           yoi_error *err);
/* In close only: with all its watchers. */
void rem_watched_free(struct rem_watched *w);
/* [loop] Ends those of this loop for all who watch; followed inputs too? */
void rem_watched_end_here(struct rem_instance *i, int follows);

/* Shared by the four files. "locked": w->mu is held. */
/* For who holds a watcher of it, or is on its loop. */
void rem_watched_kick(struct rem_watched *w);                    /* not locked */
void rem_watched_leave(struct rem_watcher *x); /* it is released; not locked */
void rem_watched_unmap(struct rem_watched *w);                   /* not locked */
void rem_watched_todo(struct rem_watched *w, struct rem_watcher *x); /* locked */
void rem_watched_advance(struct rem_watched *w, uint64_t at);    /* locked */
void rem_watched_wake(struct rem_watched *w);                    /* not locked */
void rem_upstream_open(struct rem_watched *w); /* [loop], not locked */
void rem_upstream_over(struct rem_watched *w, const char *reason, int32_t code, int retryable,
                       const yoi_error *why); /* likewise */
/* [loop] The stream of x has its way: joins, or reads. */
void rem_reader_step(struct rem_watcher *x);
void rem_reader_free(struct rem_watcher *x);
/* 1 when a frame of the buffer has the cursor: the index behind it. Locked. */
int rem_reader_find(const struct rem_watched *w, yoi_str cursor, uint64_t *out_at);
void rem_reader_anew(struct rem_watcher *x); /* locked */
void rem_watcher_end(struct rem_watcher *x, const char *reason, int32_t code, int retryable,
                     const yoi_error *why); /* locked */
extern const yoi_stream_ops rem_watcher_ops;

/* ---- the instance --------------------------------------------------------- */

#define REM_BUCKETS 256 /* of watched workers; a power of 2 */

struct rem_loop {
  struct rem_instance *instance;
  struct rem_ask *parked;
};

struct rem_metrics {
  uint32_t answered, refused, failed, retries, upstreams, resumes;
};

struct rem_instance {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_clock *clock;
  const yoi_host_log *log;       /* may be NULL */
  const yoi_host_secret *secret; /* NULL: no token */
  struct yoi_sdk_http *http;
  struct yoi_sdk_metrics metrics;
  struct rem_metrics metric;
  struct rem_config config;
  struct rem_health health;
  pthread_mutex_t mu;
  struct rem_call *calls;
  struct rem_watched *watched, *map[REM_BUCKETS];
  uint32_t follows; /* followed inputs that are open */
  _Atomic uint32_t draining, closing;
  /* the drain; under mu but for the head */
  struct rem_drain {
    yoi_stream head;
    struct rem_instance *i;
    uint64_t token, deadline_ns, timer;
    uint8_t armed, over;
  } drain;
  uint32_t n_loops;
  struct rem_loop loops[];
};

static inline uint64_t rem_now(const struct rem_instance *i) {
  return i->clock->monotonic_ns(i->host);
}
static inline uint32_t rem_here(const struct rem_instance *i) {
  return i->loop->current(i->host);
}
/* The loop that an operation begun on this thread belongs to. */
uint32_t rem_loop_for(const struct rem_instance *i, yoi_str id);
/* cause: of what, in words that name nobody; both may be NULL. */
void rem_log(const struct rem_instance *i, uint32_t level, const char *msg, const char *what,
             const char *cause);
/* A followed input has gone. */
void rem_follow_gone(struct rem_instance *i);

#endif
