/* faulty - a runtime that fails in the way that it is asked to.
 *
 * The tests need every error that a healthy runtime hardly ever gives, and
 * every way of a stream that a careless plugin could have. The id of the worker (for
 * create the one in the body, for input also its content) says which:
 *
 *   CODE              start fails with that public code of ops.h ("store_error")
 *   CODE.next         start succeeds, the first next fails with it
 *   hang              AGAIN for ever, until cancelled
 *   deaf              AGAIN for ever; a cancel is honoured 400 ms late
 *   late              the answer after 200 ms, with a wake
 *   wake-in-start     the wake comes inside start; the unasked poll says AGAIN
 *   wake-in-next      the wake comes inside next, which then says AGAIN
 *   wakes             many wakes for nothing before, during and after the answer
 *   unknown-code      an error whose code no table knows
 *   unknown-status    a status that is none
 *   no-message        an error without any text
 *   no-code           a status without a code
 *   bad-text          an error whose texts are no UTF-8 and no JSON
 *   canary            an error whose private detail is the config's canary
 *   garbage           a result that is no JSON
 *   lines             a result of two lines
 *   no-object         a result that is no object
 *   no-result         END without a result
 *   no-event          OK with no event at all
 *   no-stream         OK with no stream
 *   two-results       a second result after the first
 *   events-N          (events, follow) N deltas, then the end event and END
 *   events-N.error    N deltas, then internal
 *   events-N.cut      N deltas, then END without an end event
 *   events-N.frame    N deltas, then one that would be two frames
 *   trickle-N         like events-N, with AGAIN and 20 ms between them
 *   idle              nothing is wrong
 *
 * Config: `lists` is what describe and list do, so that a dead runtime can
 * stand beside healthy ones; `open` and `drain` fail likewise; `workers` is
 * how many more workers a list shows.
 *
 * Invariants:
 *  1. A stream is touched by its consumer only, but for `cancel`, which is
 *     atomic. A nap knows a token, never a stream, so that it may fire late.
 *  2. Lock order: one lock, of the list of naps; nothing is called under it.
 */
#include "faulty.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>

#define FLT_MS 1000000ull
#define FLT_LATE_NS (200 * FLT_MS)
#define FLT_DEAF_NS (400 * FLT_MS)
#define FLT_TRICKLE_NS (20 * FLT_MS)
#define FLT_TEXT_MAX 131072
#define FLT_FLOOD 64

/* A wake that is owed for later. */
struct nap {
  struct nap *prev, *next;
  struct flt *self;
  uint64_t token, at_ns;
};

enum flt_way {
  WAY_ANSWER,
  WAY_FAIL,
  WAY_HANG,
  WAY_DEAF,
  WAY_LATE,
  WAY_SOON, /* the wake comes before AGAIN */
  WAY_WAKES,
  WAY_GARBAGE,
  WAY_LINES,
  WAY_NO_OBJECT,
  WAY_NO_RESULT,
  WAY_NO_EVENT,
  WAY_TWO,
  WAY_EVENTS,
  WAY_EVENTS_ERROR,
  WAY_EVENTS_CUT,
  WAY_EVENTS_FRAME,
  WAY_TRICKLE,
};

struct flt_stream {
  yoi_stream head;
  struct flt *self;
  enum flt_way way;
  uint64_t token, due_ns;
  _Atomic uint64_t cancelled_ns; /* 0 = not; 1 = now */
  int32_t code;
  uint32_t flags;
  int polled, wake_in_next;
  uint64_t sent, events;
  yoi_status final; /* sticky, YOI_OK while live */
  char *answer;
  size_t answer_len;
  char text[128], cursor[32];
  yoi_event event;
  const yoi_event *batch[1];
};

static uint64_t flt_now(const struct flt *self) {
  return self->clock->monotonic_ns(self->host);
}

/* ---- wakes for later ----------------------------------------------------- */

static void nap_free(struct nap *n) {
  struct flt *self = n->self;
  pthread_mutex_lock(&self->lock);
  if (n->prev)
    n->prev->next = n->next;
  else
    self->naps = n->next;
  if (n->next) n->next->prev = n->prev;
  pthread_mutex_unlock(&self->lock);
  yoi_sdk_free(n);
}

static void nap_over(void *ctx) {
  struct nap *n = ctx;
  n->self->host->wake(n->self->host, n->token);
  nap_free(n);
}

static void nap_begin(void *ctx) {
  struct nap *n = ctx;
  uint64_t id = 0;
  if (n->self->loop->timer(n->self->host, n->at_ns, nap_over, n, &id) != YOI_OK) nap_over(n);
}

/* Timers belong to a loop and this may be called anywhere, hence the post. */
static void nap_take(struct flt *self, uint64_t token, uint64_t at_ns) {
  struct nap *n = yoi_sdk_calloc(1, sizeof *n);
  if (!n) return;
  *n = (struct nap){.self = self, .token = token, .at_ns = at_ns};
  pthread_mutex_lock(&self->lock);
  n->next = self->naps;
  if (n->next) n->next->prev = n;
  self->naps = n;
  pthread_mutex_unlock(&self->lock);
  if (self->loop->post(self->host, 0, nap_begin, n) != YOI_OK) nap_free(n);
}

/* ---- the stream ---------------------------------------------------------- */

static yoi_status flt_end(struct flt_stream *s, yoi_status st) {
  return s->final = st;
}

static yoi_status flt_give(struct flt_stream *s, uint32_t kind, yoi_str cursor, yoi_str text,
                           const yoi_event *const **out, size_t *out_n) {
  s->event = (yoi_event){
      .size = sizeof s->event, .kind = kind, .flags = s->flags, .cursor = cursor, .text = text};
  s->batch[0] = &s->event;
  *out = s->batch;
  *out_n = 1;
  return YOI_OK;
}

static yoi_status flt_next_event(struct flt_stream *s, const yoi_event *const **out, size_t *out_n,
                                 yoi_error *err) {
  if (s->sent < s->events) {
    if (s->way == WAY_TRICKLE && flt_now(s->self) < s->due_ns) return YOI_AGAIN;
    s->sent++;
    if (s->way == WAY_TRICKLE) {
      s->due_ns = flt_now(s->self) + FLT_TRICKLE_NS;
      nap_take(s->self, s->token, s->due_ns);
    }
    int n = snprintf(s->text, sizeof s->text, "{\"turn_id\":\"t\",\"step\":1,\"text\":\"%llu \"}",
                     (unsigned long long)s->sent);
    int c = snprintf(s->cursor, sizeof s->cursor, "c-%llu", (unsigned long long)s->sent);
    return flt_give(s, YOI_EVENT_TEXT_DELTA, (yoi_str){s->cursor, (size_t)c},
                    (yoi_str){s->text, (size_t)n}, out, out_n);
  }
  if (s->way == WAY_EVENTS_FRAME)
    return flt_give(s, YOI_EVENT_TEXT_DELTA, (yoi_str){NULL, 0},
                    YOI_LIT("{\n\nevent: turn.ended\ndata: {}"), out, out_n);
  if (s->way == WAY_EVENTS_ERROR)
    return flt_end(s, yoi_sdk_fail(err, YOI_CODE_INTERNAL, "stream failed as asked"));
  if (s->way == WAY_EVENTS_CUT || s->sent > s->events) return flt_end(s, YOI_END);
  s->sent++;
  return flt_give(
      s, YOI_EVENT_END, (yoi_str){NULL, 0},
      YOI_LIT("{\"reason\":\"turn_ended\",\"code\":null,\"retryable\":false,\"cursor\":null}"), out,
      out_n);
}

static yoi_status flt_next(yoi_stream *base, const yoi_event *const **out, size_t *out_n,
                           yoi_error *err) {
  struct flt_stream *s = (struct flt_stream *)base;
  if (s->final == YOI_CANCELLED || s->final > 0)
    return yoi_sdk_fail(err, s->code ? s->code : YOI_CODE_INTERNAL, "ended before"), s->final;
  if (s->final != YOI_OK) return s->final;
  uint64_t cancelled = atomic_load(&s->cancelled_ns);
  if (cancelled != 0 && flt_now(s->self) >= cancelled) return flt_end(s, YOI_CANCELLED);
  int first = !s->polled;
  s->polled = 1;
  switch (s->way) {
    case WAY_HANG:
    case WAY_DEAF:
      return YOI_AGAIN;
    case WAY_LATE:
      if (flt_now(s->self) < s->due_ns) return YOI_AGAIN;
      break;
    case WAY_SOON:
      if (!first) break;
      if (s->wake_in_next) s->self->host->wake(s->self->host, s->token);
      return YOI_AGAIN;
    case WAY_WAKES:
      for (int i = 0; i < FLT_FLOOD; i++) s->self->host->wake(s->self->host, s->token);
      if (first) return YOI_AGAIN;
      break;
    case WAY_FAIL:
      return flt_end(s, yoi_sdk_fail(err, s->code, "failed as asked"));
    case WAY_NO_RESULT:
      return flt_end(s, YOI_END);
    case WAY_NO_EVENT:
      if (!first) return flt_end(s, YOI_END);
      *out = s->batch;
      *out_n = 0;
      return YOI_OK;
    case WAY_GARBAGE:
      if (s->sent++ > 0) return flt_end(s, YOI_END);
      return flt_give(s, YOI_EVENT_RESULT, (yoi_str){NULL, 0}, YOI_LIT("{\"worker\": [}"), out,
                      out_n);
    case WAY_LINES:
    case WAY_NO_OBJECT:
      return flt_give(s, YOI_EVENT_RESULT, (yoi_str){NULL, 0},
                      s->way == WAY_LINES ? YOI_LIT("{\"worker\":\n{}}") : YOI_LIT("null"), out,
                      out_n);
    case WAY_EVENTS:
    case WAY_EVENTS_ERROR:
    case WAY_EVENTS_CUT:
    case WAY_EVENTS_FRAME:
    case WAY_TRICKLE:
      return flt_next_event(s, out, out_n, err);
    case WAY_ANSWER:
    case WAY_TWO:
      break;
  }
  if (s->sent++ > (s->way == WAY_TWO)) return flt_end(s, YOI_END);
  return flt_give(s, YOI_EVENT_RESULT, (yoi_str){NULL, 0}, (yoi_str){s->answer, s->answer_len}, out,
                  out_n);
}

static void flt_cancel(yoi_stream *base) {
  struct flt_stream *s = (struct flt_stream *)base;
  uint64_t when = s->way == WAY_DEAF ? flt_now(s->self) + FLT_DEAF_NS : 1, before = 0;
  if (!atomic_compare_exchange_strong(&s->cancelled_ns, &before, when)) return;
  if (s->way == WAY_DEAF)
    nap_take(s->self, s->token, when);
  else
    s->self->host->wake(s->self->host, s->token);
}

static void flt_release(yoi_stream *base) {
  struct flt_stream *s = (struct flt_stream *)base;
  if (!s) return;
  if (s->way == WAY_WAKES) nap_take(s->self, s->token, flt_now(s->self) + FLT_TRICKLE_NS);
  yoi_sdk_free(s->answer);
  yoi_sdk_free(s);
}

static const yoi_stream_ops flt_stream_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = flt_next,
    .cancel = flt_cancel,
    .release = flt_release,
};

/* ---- which fault --------------------------------------------------------- */

/* Splits "NAME.tail"; a number at the end of "NAME-N" goes to *n. */
static yoi_str flt_split(yoi_str s, yoi_str *tail, uint64_t *n) {
  *tail = (yoi_str){NULL, 0};
  for (size_t i = 0; i < s.len; i++) {
    if (s.ptr[i] != '.') continue;
    *tail = (yoi_str){s.ptr + i + 1, s.len - i - 1};
    s.len = i;
  }
  for (size_t i = s.len; i > 0; i--)
    if (s.ptr[i - 1] == '-' && yoi_sdk_parse_u64((yoi_str){s.ptr + i, s.len - i}, 100000, n)) {
      s.len = i - 1;
      break;
    }
  return s;
}

static const struct {
  const char *name, *tail;
  enum flt_way way;
} flt_ways[] = {
    {"idle", "", WAY_ANSWER},
    {"hang", "", WAY_HANG},
    {"deaf", "", WAY_DEAF},
    {"late", "", WAY_LATE},
    {"wake-in-start", "", WAY_SOON},
    {"wake-in-next", "", WAY_SOON},
    {"wakes", "", WAY_WAKES},
    {"garbage", "", WAY_GARBAGE},
    {"lines", "", WAY_LINES},
    {"no-object", "", WAY_NO_OBJECT},
    {"no-result", "", WAY_NO_RESULT},
    {"no-event", "", WAY_NO_EVENT},
    {"two-results", "", WAY_TWO},
    {"events", "", WAY_EVENTS},
    {"events", "error", WAY_EVENTS_ERROR},
    {"events", "cut", WAY_EVENTS_CUT},
    {"events", "frame", WAY_EVENTS_FRAME},
    {"trickle", "", WAY_TRICKLE},
};

/* Errors that no helper of the sdk would write. */
static int flt_odd_error(const struct flt *self, yoi_str name, yoi_error *err, yoi_status *out) {
  *out = YOI_INTERNAL;
  if (yoi_sdk_str_is(name, "unknown-code")) {
    yoi_sdk_fail(err, YOI_CODE_INTERNAL, "a code from another time");
    if (err) err->code = 9999;
  } else if (yoi_sdk_str_is(name, "unknown-status")) {
    yoi_sdk_error_clear(err);
    *out = 77;
  } else if (yoi_sdk_str_is(name, "no-message")) {
    yoi_sdk_error_clear(err);
    if (err) err->code = YOI_CODE_INTERNAL;
  } else if (yoi_sdk_str_is(name, "no-code")) {
    yoi_sdk_error_clear(err);
    *out = YOI_NOT_FOUND;
  } else if (yoi_sdk_str_is(name, "bad-text")) {
    yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "text");
    if (err && err->message_cap > 8) memcpy(err->message, "bad \xff\xc3", 7);
    if (err && err->details_cap > 8) memcpy(err->details, "{\"a\":", 6);
    *out = YOI_INTERNAL;
  } else if (yoi_sdk_str_is(name, "canary")) {
    *out = yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "store failed as asked");
    yoi_sdk_fail_private(err, "cannot write '%.*s'", YOI_ARG(self->canary));
  } else {
    return 0;
  }
  return 1;
}

static yoi_status flt_make(struct flt *self, const yoi_request *req, enum flt_way way,
                           yoi_str worker, uint64_t n, int32_t code, yoi_stream **out,
                           yoi_error *err) {
  struct flt_stream *s = yoi_sdk_calloc(1, sizeof *s);
  if (!s) return yoi_sdk_fail_memory(err);
  int streams = req->op == YOI_OP_WORKER_EVENTS || (req->flags & YOI_REQ_FOLLOW) != 0;
  s->head.ops = &flt_stream_ops;
  s->self = self;
  s->way = way >= WAY_EVENTS && !streams ? WAY_ANSWER : way;
  s->token = req->token;
  s->code = code;
  s->events = n;
  if (req->op == YOI_OP_WORKER_CREATE) s->flags = YOI_EV_CREATED;
  struct yoi_sdk_buf buf;
  yoi_sdk_buf_init(&buf, FLT_TEXT_MAX);
  flt_answer(self, req, worker, &buf);
  s->answer = yoi_sdk_buf_take(&buf, &s->answer_len);
  if (!s->answer) {
    yoi_sdk_free(s);
    return yoi_sdk_fail_memory(err);
  }
  *out = &s->head;
  if (way == WAY_LATE) {
    s->due_ns = flt_now(self) + FLT_LATE_NS;
    nap_take(self, s->token, s->due_ns);
  } else if (way == WAY_SOON) {
    s->wake_in_next = yoi_sdk_str_is(worker, "wake-in-next");
    if (!s->wake_in_next) self->host->wake(self->host, req->token);
  }
  return YOI_OK;
}

static yoi_status flt_fault(struct flt *self, const yoi_request *req, yoi_str name,
                            yoi_stream **out, yoi_error *err) {
  uint64_t n = 0;
  yoi_str tail;
  yoi_str head = flt_split(name, &tail, &n);
  yoi_status st;
  if (flt_odd_error(self, name, err, &st)) return st;
  if (yoi_sdk_str_is(name, "no-stream")) {
    *out = NULL;
    return YOI_OK;
  }
  int32_t code = yoi_sdk_code_find(head);
  if (code != 0 && yoi_sdk_str_is(tail, "next"))
    return flt_make(self, req, WAY_FAIL, name, 0, code, out, err);
  if (code != 0 && tail.len == 0) return yoi_sdk_fail(err, code, "failed as asked");
  for (size_t i = 0; i < sizeof flt_ways / sizeof *flt_ways; i++)
    if (yoi_sdk_str_is(head, flt_ways[i].name) && yoi_sdk_str_is(tail, flt_ways[i].tail))
      return flt_make(self, req, flt_ways[i].way, name, n, 0, out, err);
  return yoi_sdk_fail(err, YOI_CODE_WORKER_NOT_FOUND, "worker '%.*s' is not here", YOI_ARG(name));
}

/* ---- yoi.runtime/1 ------------------------------------------------------- */

static yoi_status flt_start(void *ctx, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  struct flt *self = ctx;
  if (req->op == YOI_OP_RUNTIME_DESCRIBE || req->op == YOI_OP_WORKER_LIST) {
    static const enum flt_way ways[] = {[FLT_OK] = WAY_ANSWER,
                                        [FLT_HANG] = WAY_HANG,
                                        [FLT_ERROR] = WAY_FAIL,
                                        [FLT_GARBAGE] = WAY_GARBAGE,
                                        [FLT_LATE] = WAY_LATE};
    return flt_make(self, req, ways[self->lists], (yoi_str){NULL, 0}, 0,
                    YOI_CODE_RUNTIME_UNAVAILABLE, out, err);
  }
  if (req->op >= YOI_OP_WORKER_APPROVALS)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "not in this runtime");
  if (req->op != YOI_OP_WORKER_CREATE && req->op != YOI_OP_WORKER_INPUT)
    return flt_fault(self, req, req->worker_id, out, err);
  int create = req->op == YOI_OP_WORKER_CREATE;
  struct yoi_sdk_buf name;
  yoi_sdk_buf_init(&name, FLT_TEXT_MAX);
  if (create || yoi_sdk_str_is(req->worker_id, "idle"))
    yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(req->body, create ? "worker_id" : "content"),
                              &name);
  yoi_str fault = name.len > 0 ? yoi_sdk_buf_str(&name) : req->worker_id;
  yoi_status st = flt_fault(self, req, fault.len > 0 ? fault : YOI_LIT("idle"), out, err);
  yoi_sdk_buf_release(&name);
  return st;
}

static enum flt_lists flt_mode(const yoi_sdk_json *config, const char *key) {
  static const char *const names[] = {"ok", "hang", "error", "garbage", "late"};
  yoi_str s = {NULL, 0};
  if (yoi_sdk_json_str(yoi_sdk_json_get(config, key), &s))
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      if (yoi_sdk_str_is(s, names[i])) return (enum flt_lists)i;
  return FLT_OK;
}

static void flt_close(void *ctx) {
  struct flt *self = ctx;
  if (!self) return;
  while (self->naps) nap_free(self->naps);
  yoi_sdk_str_free(&self->canary);
  pthread_mutex_destroy(&self->lock);
  yoi_sdk_free(self);
}

static yoi_status flt_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  yoi_str s = {NULL, 0};
  struct flt *self = yoi_sdk_calloc(1, sizeof *self);
  if (!self) return yoi_sdk_fail_memory(err);
  pthread_mutex_init(&self->lock, NULL);
  self->host = host;
  self->loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *self->loop);
  self->clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *self->clock);
  yoi_status st = YOI_OK;
  if (!self->loop || !self->clock) {
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "host has no loop or no clock");
    goto out;
  }
  if (config.len > 0 && yoi_sdk_json_parse(config, 0, &tree, NULL) != YOI_OK) {
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "config is no JSON");
    goto out;
  }
  self->lists = flt_mode(tree, "lists");
  self->drain = flt_mode(tree, "drain");
  yoi_sdk_json_int(yoi_sdk_json_get(tree, "workers"), &self->workers);
  if (yoi_sdk_json_str(yoi_sdk_json_get(tree, "canary"), &s)) self->canary = yoi_sdk_str_dup(s);
  if (yoi_sdk_json_str(yoi_sdk_json_get(tree, "open"), &s) && yoi_sdk_str_is(s, "fail")) {
    st = yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "open failed as asked");
    yoi_sdk_fail_private(err, "'%.*s'", YOI_ARG(self->canary));
  }
out:
  yoi_sdk_json_free(tree);
  if (st == YOI_OK)
    *out_self = self;
  else
    flt_close(self);
  return st;
}

static yoi_status flt_drain(void *ctx, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                            yoi_error *err) {
  (void)deadline_ns;
  struct flt *self = ctx;
  const yoi_request req = {.size = sizeof req, .token = token};
  if (self->drain == FLT_OK) {
    *out = yoi_sdk_stream_empty();
    return *out ? YOI_OK : yoi_sdk_fail_memory(err);
  }
  return flt_make(self, &req, self->drain == FLT_HANG ? WAY_HANG : WAY_LATE, (yoi_str){NULL, 0}, 0,
                  0, out, err);
}

static const yoi_runtime flt_runtime = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = flt_open,
    .close = flt_close,
    .start = flt_start,
    .drain = flt_drain,
};

YOI_SDK_PLUGIN("dev.yoi.test.faulty", "1.0.0", YOI_KIND_RUNTIME, YOI_RUNTIME_ID, flt_runtime);
YOI_MANIFEST_FILE(MANIFEST);
