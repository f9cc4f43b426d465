/* oai.h - what the files of this plugin share; each part says its own rules.
 *
 *   plugin.c   open, close, the table
 *   config.c   the instance's config, checked and made ready to send
 *   request.c  the body of a request
 *   stream.c   one generation: attempts, deadlines, the ABI's stream
 *   wait.c     retries, the rate gate and which model to ask for
 *   models.c   GET /models, one at a time
 *   answer.c   chunks of the provider -> events
 *   calls.c    tool calls from their fragments
 *   text.c     characters from their pieces
 *   out.c      events that wait to be handed out
 *   failure.c  what went wrong, as one of YOI_MODEL_ERRORS
 *
 * Threads. Everything of a stream, and of its loop's list, is touched on its
 * loop only; `cancel_asked` is the one exception. The rate gate is an atomic.
 * models.c has the only lock, under which nothing is called.
 */
#ifndef OAI_H
#define OAI_H

#include <pthread.h>
#include <sdk/http.h>
#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/sse.h>
#include <sdk/str.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/limits.h>
#include <yoi/model.h>
#include <yoi/ops.h>

/* ---- failure.c ----------------------------------------------------------- */

/* kind is a name of YOI_MODEL_ERRORS, or "" when nothing failed. */
struct oai_failure {
  const char *kind;
  uint32_t status;         /* of HTTP, 0 = none */
  uint32_t retry_after_ms; /* what the provider asked for; 0 = nothing */
  uint8_t again;           /* may be asked again, if nothing was handed out */
  uint8_t limited;         /* closes the rate gate */
  uint8_t has_wait;        /* retry_after_ms was given, if only as 0 */
  char detail[512];        /* private, cut */
};

static inline void oai_failure_clear(struct oai_failure *f) {
  *f = (struct oai_failure){.kind = ""};
}
void oai_failure_set(struct oai_failure *f, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends the provider's own words, cut. */
void oai_failure_quote(struct oai_failure *f, yoi_str text);
/* An answer that is no success: its status and as much of its body as there
 * is, which may be anything. should_retry: the header's value. */
void oai_failure_http(struct oai_failure *f, uint32_t status, yoi_str should_retry, yoi_str body);
/* An error member (or the whole text) inside a stream. */
void oai_failure_event(struct oai_failure *f, yoi_str data);
/* How an exchange ended, when that was no answer. */
void oai_failure_transport(struct oai_failure *f, const struct yoi_sdk_http_result *result);
/* Fills in what the host gets; returns the status. */
yoi_status oai_failure_tell(const struct oai_failure *f, yoi_error *err);
int oai_kind_retryable(const char *kind);

/* ---- out.c ---------------------------------------------------------------- */

struct oai_item {
  uint32_t kind, offset, len;
};
struct oai_batch {
  struct yoi_sdk_buf text; /* of all items, one after the other */
  struct oai_item *items;
  uint32_t n, cap;
};
struct oai_out {
  struct oai_batch fill, hand; /* being written; being handed out */
  uint32_t at;                 /* next item of hand */
  uint32_t failed;             /* memory: the events are not complete */
  yoi_event events[YOI_EVENT_BATCH_MAX];
  const yoi_event *pointers[YOI_EVENT_BATCH_MAX];
};
void oai_out_init(struct oai_out *o);
void oai_out_clear(struct oai_out *o);
void oai_out_release(struct oai_out *o);
/* What was appended to fill.text since it was `from` long is an event, or
 * more of the last one. */
void oai_out_commit(struct oai_out *o, uint32_t kind, size_t from);
int oai_out_any(const struct oai_out *o);
/* The next slice; 0 when there is none. What was handed out before is gone. */
size_t oai_out_next(struct oai_out *o, const yoi_event *const **out_events);

/* ---- text.c --------------------------------------------------------------- */

/* The unfinished end of a text: the head of a character, or a high surrogate
 * whose other half is in the next piece. */
struct oai_text {
  char held[8];
  size_t n_held;
};
/* Appends the characters that held and piece make, holds back the rest. What
 * can never become a character is U+FFFD. */
void oai_text_add(struct oai_text *t, yoi_str piece, struct yoi_sdk_buf *out);
/* No more comes: what is held becomes U+FFFD. */
void oai_text_end(struct oai_text *t, struct yoi_sdk_buf *out);
/* A copy of JSON text with every byte that is not UTF-8 and every half of a
 * surrogate pair replaced, of the same length: offsets stay true. 0: memory. */
int oai_text_mend(yoi_str json, struct yoi_sdk_buf *out);
/* The inside of a raw JSON string that mend would have changed: unescaped,
 * bytes and surrogates as they are, for oai_text_add. 0: no string. */
int oai_text_loose(yoi_str raw, struct yoi_sdk_buf *scratch, struct yoi_sdk_buf *out);

/* ---- calls.c -------------------------------------------------------------- */

struct oai_call {
  struct yoi_sdk_buf id, name, arguments;
  int64_t index; /* -1 = the provider gave none */
};
struct oai_calls {
  struct oai_call *list;
  uint32_t n, cap;
};
void oai_calls_clear(struct oai_calls *c);
void oai_calls_release(struct oai_calls *c);
/* One element of tool_calls (JSON that was checked); position and count: of
 * the array it stands in. NULL, or the kind of failure. */
const char *oai_calls_add(struct oai_calls *c, yoi_str fragment, size_t position, size_t count,
                          struct oai_failure *f);
/* The deprecated delta.function_call. */
const char *oai_calls_add_legacy(struct oai_calls *c, yoi_str function, struct oai_failure *f);
/* Every call as an event. cut: the answer ended early, so that calls that are
 * not whole are dropped; otherwise they are a failure. */
const char *oai_calls_emit(struct oai_calls *c, int cut, uint64_t wall_ns, struct oai_out *out,
                           uint32_t *out_n, struct oai_failure *f);

/* ---- answer.c ------------------------------------------------------------- */

#define OAI_FINISH_NONE 0u
#define OAI_FINISH_STOP 1u
#define OAI_FINISH_LENGTH 2u
#define OAI_FINISH_FILTER 3u
#define OAI_FINISH_TOOLS 4u
#define OAI_FINISH_ODD 5u /* a word that we do not know */

/* usage, in the order of the event's members; -1 = unknown */
#define OAI_USAGE_N 4

struct oai_answer {
  struct oai_out out;
  struct oai_calls calls;
  struct oai_text text;
  uint32_t text_kind; /* whose end `text` holds */
  uint32_t finish;    /* OAI_FINISH_* */
  uint32_t chunks;    /* that were understood */
  uint8_t done;       /* [DONE] came */
  uint8_t closed;     /* FINISH was written; nothing follows */
  uint8_t emitted;    /* an event was written: no more retries */
  uint8_t has_usage;
  size_t bytes[2]; /* of text and reasoning so far */
  int64_t usage[OAI_USAGE_N];
  char odd_finish[32];
  struct yoi_sdk_buf mended, scratch;
  /* The last plain text chunk, whole, and where its string stands: the next
   * one that differs in that string only is read without looking again. */
  struct yoi_sdk_buf shape;
  size_t shape_head, shape_tail;
  uint32_t shape_kind; /* 0 = none */
};
void oai_answer_init(struct oai_answer *a);
void oai_answer_clear(struct oai_answer *a); /* for another attempt */
void oai_answer_release(struct oai_answer *a);
/* One server-sent event, or (type "message") one whole JSON answer. NULL, or
 * the kind of failure. */
const char *oai_answer_event(struct oai_answer *a, yoi_str type, yoi_str data,
                             struct oai_failure *f);
/* The event that the end of the stream cut off: only whether it says that the
 * answer is complete. */
void oai_answer_rest(struct oai_answer *a, yoi_str data);
/* Complete: calls, usage and FINISH. NULL, or the kind of failure. */
const char *oai_answer_close(struct oai_answer *a, uint64_t wall_ns, struct oai_failure *f);

/* ---- config.c ------------------------------------------------------------- */

struct oai_config {
  char *chat_url, *models_url;
  char *model;      /* NULL = ask */
  char *parameters; /* a JSON object, or NULL */
  char *ca_file;    /* NULL = the system's certificates */
  char *lines[YOI_HTTP_CLIENT_HEADERS_MAX]; /* header lines; hold secrets */
  size_t n_lines;
  char *secrets[YOI_HTTP_CLIENT_HEADERS_MAX]; /* values, to be wiped */
  size_t n_secrets;
  const char *max_tokens_field;
  uint32_t max_output_tokens; /* 0 = none */
  uint32_t connect_ms, first_byte_ms, gap_ms, retries;
  int bare_key; /* a secret goes over plain http to another machine */
};
yoi_status oai_config_read(const yoi_host *host, yoi_str text, struct oai_config *c,
                           yoi_error *err);
void oai_config_release(struct oai_config *c);

/* ---- the instance --------------------------------------------------------- */

struct oai_stream;
struct oai_loop {
  struct oai_instance *instance;
  struct oai_stream *streams; /* all that are not freed */
};

struct oai_models {
  pthread_mutex_t lock;
  _Atomic(char *) id; /* set once */
  uint64_t flight;    /* number of the last one begun */
  uint64_t landed;    /* number of the last one that ended */
  struct oai_failure failure; /* of `landed`, when id is not set */
  uint8_t waiting[YOI_LOOPS_MAX];
  /* of the one in flight; its loop's */
  struct yoi_sdk_buf body;
  uint32_t status;
  struct oai_failure trouble;
};

struct oai_instance {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_clock *clock;
  const yoi_host_log *log; /* may be NULL */
  struct yoi_sdk_http *http;
  struct oai_config config;
  struct oai_models models;
  _Atomic uint64_t gate_ns; /* nothing is sent before */
  uint32_t n_loops;
  struct oai_loop loops[];
};

/* ---- request.c ------------------------------------------------------------ */

/* 1 when no member is one that only we set; *out_bad otherwise. */
int oai_request_parameters_valid(const yoi_sdk_json *parameters, yoi_str *out_bad);
/* What start was given as a JSON object without its end, which
 * oai_request_end writes. */
yoi_status oai_request_write(const struct oai_config *c, const yoi_model_request *req,
                             struct yoi_sdk_buf *out, yoi_error *err);

void oai_request_end(struct yoi_sdk_buf *out, const char *model);

/* ---- stream.c ------------------------------------------------------------- */

/* oai_stream.state, drawn in stream.c */
#define OAI_NAMING 1u  /* waits for GET /models */
#define OAI_WAITING 2u /* for the gate or the next attempt */
#define OAI_ASKING 3u  /* an exchange runs */
#define OAI_ENDED 4u   /* sticky: END, CANCELLED or failure */

/* oai_stream.form: what the body turned out to be */
#define OAI_FORM_NONE 0u
#define OAI_FORM_SSE 1u
#define OAI_FORM_JSON 2u
#define OAI_FORM_OTHER 3u

struct oai_stream {
  yoi_stream head; /* first: this is the ABI's stream */
  struct oai_instance *instance;
  struct oai_stream *prev, *next; /* of its loop */
  uint32_t loop;
  uint32_t state, form;
  uint32_t attempt; /* exchanges that failed */
  uint64_t token, deadline_ns;
  uint64_t timer; /* in WAITING */
  uint64_t gated_ms; /* how long it was kept at the gate */
  uint64_t flight;   /* in NAMING */
  yoi_status status; /* in ENDED: YOI_END, YOI_CANCELLED, else failure */
  uint8_t owed;      /* AGAIN was given out: one wake is due */
  uint8_t paused;    /* the exchange is, because nobody polls */
  uint8_t released;  /* only the cancelling task still knows it */
  uint8_t named;     /* the body is complete */
  uint8_t has_wait;  /* the provider said how long to wait */
  uint64_t asked_ms; /* that */
  _Atomic uint32_t cancel_asked; /* 1: a task that cancels is on its way */
  struct yoi_sdk_http_exchange *x; /* in ASKING, and after [DONE] */
  uint32_t http_status;
  char should_retry[8];
  struct oai_failure failure;
  struct oai_answer answer;
  struct yoi_sdk_sse sse;
  struct yoi_sdk_buf body;  /* of the request */
  struct yoi_sdk_buf lines; /* header lines of this request, NUL between */
  struct yoi_sdk_buf text;  /* of an answer that is no stream */
};

yoi_status oai_stream_start(struct oai_instance *i, const yoi_model_request *req,
                            yoi_stream **out, yoi_error *err);
void oai_stream_free(struct oai_stream *s);
/* Sends the request. */
void oai_stream_send(struct oai_stream *s);
/* Ends it: YOI_END, YOI_CANCELLED, or with s->failure. */
void oai_stream_end(struct oai_stream *s, yoi_status st);
/* One wake if AGAIN was given out. */
void oai_stream_news(struct oai_stream *s);

/* ---- wait.c --------------------------------------------------------------- */

/* The first step, and each after a wait: names the model, stands at the gate,
 * then sends. */
void oai_wait_begin(struct oai_stream *s);
/* s->failure says what went wrong with an attempt: again later, or the end. */
void oai_wait_failed(struct oai_stream *s);
void oai_log(const struct oai_instance *i, uint32_t level, const char *msg, const char *kind,
             uint32_t status, uint64_t wait_ms);

/* ---- models.c ------------------------------------------------------------- */

int oai_models_init(struct oai_models *m);
void oai_models_release(struct oai_models *m);
/* The name to ask for; NULL when it is not known yet: then s is in NAMING and
 * goes on (or fails) when the answer is there. */
const char *oai_models_name(struct oai_stream *s);

#endif
