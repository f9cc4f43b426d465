/* host/worker/stream.c - calls of the plugin, for a host that waits elsewhere.
 *
 *   START --> queued --> begun --> next, next, ... --> final --> forgotten
 *
 * One step of a call is one function of the plugin's, or a few: what next gives
 * is gathered into one message, with the END that follows it. A SERIAL plugin's
 * next blocks and need not say AGAIN: of it a step has one, so that each piece
 * goes out when it is there, its streams take turns and a cancel comes between
 * two pieces. A call that says AGAIN rests until its token is woken, one that has
 * sent YOI_ISOLATED_WINDOW bytes until the host has read some.
 *
 * Invariants:
 *  1. A step runs on the loop, of a SERIAL plugin on its thread; never two of a
 *     call at once, and of a SERIAL plugin never two at all.
 *  2. The plugin's stream is released before the final status is sent, so that
 *     nothing of a call is left when the host forgets it.
 *  3. With YOI_SERIAL_CANCEL, cancel may run on the main thread beside a step,
 *     never beside or after the release of that stream.
 *  4. What the host asked to end comes before other calls: it waits for it, and
 *     ends this process when that takes too long.
 */
#include <string.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "worker.h"

#define STEPS 32 /* of calls, before other work of the loop has its turn */

struct yoi__worker_call {
  uint64_t id, token;
  struct yoi__worker_call *next;
  yoi_stream *inner;
  struct yoi_sdk_buf request; /* until it has begun */
  uint64_t sent;              /* and not read by the host */
  uint8_t begun, cancelled, told, telling, released, waiting, woken;
  uint8_t queued, running;
};

/* ---- with the lock held ---------------------------------------------------------- */

static struct yoi__worker_call *find(const struct yoi__worker *w, uint64_t id) {
  struct yoi__worker_call *c = w->calls[id % YOI_ISOLATED_CALLS_MAX];
  return c != NULL && c->id == id ? c : NULL;
}

static int has_work(const struct yoi__worker_call *c) {
  if (!c->begun || c->released || (c->cancelled && !c->told)) return 1;
  return (!c->waiting || c->woken) && c->sent < YOI_ISOLATED_WINDOW;
}

static void work_posted(void *ctx) {
  yoi__worker_work(ctx);
}

static int is_urgent(const struct yoi__worker_call *c) {
  return c->released || (c->cancelled && !c->told);
}

static void unqueue(struct yoi__worker *w, struct yoi__worker_call *c) {
  struct yoi__worker_call **at = &w->first;
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  if (c->next == NULL) w->last = at;
  c->queued = 0;
}

static void queue(struct yoi__worker *w, struct yoi__worker_call *c) {
  if (c->running || !has_work(c)) return;
  if (c->queued && !is_urgent(c)) return;
  if (c->queued) unqueue(w, c);
  struct yoi__worker_call **at = is_urgent(c) ? &w->first : w->last;
  c->queued = 1;
  c->next = *at;
  *at = c;
  if (c->next == NULL) w->last = &c->next;
  if (w->serial) {
    pthread_cond_broadcast(&w->news);
  } else if (!w->posted) {
    w->posted = 1;
    (void)yoi__loop_post(w->loops, NULL, 0, work_posted, w);
  }
}

static struct yoi__worker_call *take(struct yoi__worker *w) {
  struct yoi__worker_call *c = w->first;
  if (c == NULL) return NULL;
  unqueue(w, c);
  c->running = 1;
  return c;
}

/* ---- what goes out ------------------------------------------------------------------ */

static void send_final(struct yoi__worker *w, uint64_t id, yoi_status st, const yoi_error *err) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi__put_events(&b, st, err, NULL, 0);
  if (b.failed != 0) _exit(4); /* a call without an end is worse than none */
  yoi__worker_send(w, YOI__MSG_EVENTS, id, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
}

/* A status of a stream: what is none is an error. */
static yoi_status fit(yoi_status st) {
  return st >= YOI_END && st <= YOI_UNAUTHENTICATED ? st : YOI_UNKNOWN;
}

/* Events of one call of next, or several. AGAIN: there are no more now; OK: there
 * may be; else it is over, with *err. */
static yoi_status gather(const struct yoi__worker *w, struct yoi__worker_call *c,
                         struct yoi_sdk_buf *b, uint32_t *out_n, yoi_error *err) {
  yoi_status st;
  do {
    const yoi_event *const *events = NULL;
    size_t n = 0;
    st = fit(c->inner->ops->next(c->inner, &events, &n, err));
    if (st != YOI_OK) break;
    if (n == 0 || events == NULL) return YOI_UNKNOWN;
    struct yoi_sdk_buf one;
    yoi_sdk_buf_init(&one, YOI_ISOLATED_MESSAGE_BYTES);
    yoi__put_events(&one, YOI_OK, NULL, events, n);
    yoi_str text = yoi_sdk_buf_str(&one);
    size_t head = 2 * sizeof(uint32_t);
    int failed = one.failed;
    if (failed == 0) yoi_sdk_buf_add(b, text.ptr + head, text.len - head);
    yoi_sdk_buf_release(&one);
    if (failed != 0 || b->failed != 0)
      return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "it gave more than the host takes at once");
    *out_n += (uint32_t)n;
  } while (!w->serial && b->len < YOI__GATHER_BYTES);
  return st;
}

/* ---- steps ------------------------------------------------------------------------------ */

static void forget(struct yoi__worker *w, struct yoi__worker_call *c, yoi_status st,
                   const yoi_error *err) {
  pthread_mutex_lock(&w->lock);
  while (c->telling) pthread_cond_wait(&w->news, &w->lock);
  yoi_stream *inner = c->inner;
  c->inner = NULL;
  pthread_mutex_unlock(&w->lock);
  if (inner != NULL) inner->ops->release(inner);
  yoi__token_free(w->tokens, &w->calls_holder, c->token);
  pthread_mutex_lock(&w->lock);
  w->calls[c->id % YOI_ISOLATED_CALLS_MAX] = NULL;
  pthread_mutex_unlock(&w->lock);
  if (st != YOI_OK) send_final(w, c->id, st, err);
  yoi_sdk_buf_release(&c->request);
  yoi_sdk_free(c);
  pthread_mutex_lock(&w->lock);
  w->n_calls--;
  if (w->closing && w->serial) (void)yoi__loop_post(w->loops, NULL, 0, work_posted, w);
  pthread_mutex_unlock(&w->lock);
}

static yoi_status call_start(struct yoi__worker *w, struct yoi__worker_call *c, yoi_stream **out,
                             yoi_error *err) {
  struct yoi__reader in = yoi__reader_of(yoi_sdk_buf_str(&c->request));
  yoi_status st;
  if (w->plugin.manifest.kind == YOI_KIND_TOOL) {
    yoi_tool_request r;
    yoi__get_tool_request(&in, &r);
    if (!yoi__reader_done(&in)) _exit(3);
    r.token = c->token;
    st = w->plugin.table.tool.start(w->self, &r, out, err);
  } else {
    yoi_model_request r;
    yoi__get_model_request(&in, &r);
    if (!yoi__reader_done(&in)) _exit(3);
    r.token = c->token;
    st = w->plugin.table.model.start(w->self, &r, out, err);
    yoi_sdk_free((void *)(uintptr_t)r.messages);
  }
  return fit(st) < YOI_OK || (st == YOI_OK && (*out == NULL || (*out)->ops == NULL)) ? YOI_UNKNOWN
                                                                                     : fit(st);
}

/* 1: it is over, and forgotten. */
static int advance(struct yoi__worker *w, struct yoi__worker_call *c) {
  struct yoi_sdk_error e;
  struct yoi_sdk_buf b;
  uint32_t n = 0;
  (void)yoi_sdk_error_init(&e);
  yoi_sdk_buf_init(&b, YOI_ISOLATED_MESSAGE_BYTES);
  yoi__put_u32(&b, YOI_OK);
  yoi__put_u32(&b, 0);
  pthread_mutex_lock(&w->lock);
  c->woken = 0;
  pthread_mutex_unlock(&w->lock);
  yoi_status st = b.failed != 0 ? yoi_sdk_fail_memory(&e.e) : gather(w, c, &b, &n, &e.e);
  int ended = st == YOI_END && n > 0; /* goes along; released before it does */
  if (ended) {
    yoi_status final = YOI_END;
    memcpy(b.data, &final, sizeof final);
  }
  if (n > 0) memcpy(b.data + sizeof st, &n, sizeof n);
  uint64_t id = c->id;
  pthread_mutex_lock(&w->lock);
  c->waiting = st == YOI_AGAIN;
  if (n > 0) c->sent += b.len;
  pthread_mutex_unlock(&w->lock);
  if (ended) forget(w, c, YOI_OK, NULL);
  if (n > 0) yoi__worker_send(w, YOI__MSG_EVENTS, id, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
  if (ended) return 1;
  if (st == YOI_OK || st == YOI_AGAIN) return 0;
  forget(w, c, st, &e.e);
  return 1;
}

static int begin(struct yoi__worker *w, struct yoi__worker_call *c) {
  struct yoi_sdk_error e;
  yoi_stream *inner = NULL;
  (void)yoi_sdk_error_init(&e);
  yoi_status st = call_start(w, c, &inner, &e.e);
  yoi_sdk_buf_release(&c->request);
  pthread_mutex_lock(&w->lock);
  c->begun = 1;
  c->inner = inner;
  pthread_mutex_unlock(&w->lock);
  if (st == YOI_OK) return c->cancelled ? 0 : advance(w, c);
  forget(w, c, st, &e.e);
  return 1;
}

static int step(struct yoi__worker *w, struct yoi__worker_call *c) {
  struct yoi_sdk_error e;
  pthread_mutex_lock(&w->lock);
  int released = c->released, cancelled = c->cancelled;
  int tell = cancelled && !c->told && c->begun;
  int full = c->sent >= YOI_ISOLATED_WINDOW; /* a cancel makes no room */
  if (tell) c->told = c->woken = 1;
  pthread_mutex_unlock(&w->lock);
  if (released || (cancelled && !c->begun)) {
    if (released && c->inner != NULL) c->inner->ops->cancel(c->inner);
    forget(w, c, YOI_CANCELLED, yoi_sdk_error_init(&e));
    return 1;
  }
  if (!c->begun) return begin(w, c);
  if (tell) c->inner->ops->cancel(c->inner);
  return full ? 0 : advance(w, c);
}

/* 0: nothing was to be done. */
static int do_one(struct yoi__worker *w) {
  pthread_mutex_lock(&w->lock);
  struct yoi__worker_call *c = take(w);
  pthread_mutex_unlock(&w->lock);
  if (c == NULL) return 0;
  if (step(w, c)) return 1;
  pthread_mutex_lock(&w->lock);
  c->running = 0;
  queue(w, c);
  pthread_mutex_unlock(&w->lock);
  return 1;
}

void yoi__worker_work(struct yoi__worker *w) {
  if (w->serial) return;
  for (int left = STEPS; left > 0 && do_one(w); left--) continue;
  pthread_mutex_lock(&w->lock);
  w->posted = w->first != NULL;
  if (w->posted) (void)yoi__loop_post(w->loops, NULL, 0, work_posted, w);
  pthread_mutex_unlock(&w->lock);
}

void *yoi__worker_serial_main(void *arg) {
  struct yoi__worker *w = arg;
  for (;;) {
    pthread_mutex_lock(&w->lock);
    while (w->first == NULL && !w->stopping) pthread_cond_wait(&w->news, &w->lock);
    int stop = w->stopping;
    pthread_mutex_unlock(&w->lock);
    if (stop) return NULL;
    (void)do_one(w);
  }
}

/* ---- what the host says -------------------------------------------------------------------- */

void yoi__worker_start(struct yoi__worker *w, uint64_t id, yoi_str request) {
  struct yoi_sdk_error e;
  struct yoi__worker_call *c = yoi_sdk_calloc(1, sizeof *c);
  yoi_status st = c == NULL ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
  if (st == YOI_OK) {
    c->id = id;
    yoi_sdk_buf_init(&c->request, YOI_ISOLATED_MESSAGE_BYTES);
    yoi_sdk_buf_adds(&c->request, request);
    if (c->request.failed != 0) st = YOI_RESOURCE_EXHAUSTED;
  }
  if (st == YOI_OK) st = yoi__token_new(w->tokens, &w->calls_holder, id, &c->token, NULL);
  if (st != YOI_OK) {
    send_final(w, id, yoi_sdk_fail_memory(yoi_sdk_error_init(&e)), &e.e);
    if (c != NULL) yoi_sdk_buf_release(&c->request);
    yoi_sdk_free(c);
    return;
  }
  pthread_mutex_lock(&w->lock);
  int taken = w->calls[id % YOI_ISOLATED_CALLS_MAX] != NULL;
  if (!taken) {
    w->calls[id % YOI_ISOLATED_CALLS_MAX] = c;
    w->n_calls++;
    queue(w, c);
  }
  pthread_mutex_unlock(&w->lock);
  if (taken) _exit(3);
}

/* Beside what the plugin's thread does, where it may. */
static void tell_beside(struct yoi__worker *w, struct yoi__worker_call *c) {
  if (!w->serial || !w->cancel_any || !c->running || c->told || c->inner == NULL) return;
  yoi_stream *inner = c->inner;
  c->told = c->woken = c->telling = 1;
  pthread_mutex_unlock(&w->lock);
  inner->ops->cancel(inner);
  pthread_mutex_lock(&w->lock);
  c->telling = 0;
  pthread_cond_broadcast(&w->news);
}

/* With the lock held, which is let go of meanwhile. */
static void end_call(struct yoi__worker *w, struct yoi__worker_call *c, int release) {
  uint64_t id = c->id;
  c->cancelled = 1;
  if (release) c->released = 1;
  tell_beside(w, c);
  c = find(w, id);
  if (c != NULL) queue(w, c);
}

static void asked_to_end(struct yoi__worker *w, uint64_t id, int release) {
  pthread_mutex_lock(&w->lock);
  struct yoi__worker_call *c = find(w, id);
  if (c != NULL) end_call(w, c, release); /* else its end is under way to the host */
  pthread_mutex_unlock(&w->lock);
}

void yoi__worker_cancel(struct yoi__worker *w, uint64_t id) {
  asked_to_end(w, id, 0);
}

void yoi__worker_release(struct yoi__worker *w, uint64_t id) {
  asked_to_end(w, id, 1);
}

void yoi__worker_close_calls(struct yoi__worker *w) {
  pthread_mutex_lock(&w->lock);
  w->closing = 1;
  for (size_t i = 0; i < YOI_ISOLATED_CALLS_MAX; i++)
    if (w->calls[i] != NULL) end_call(w, w->calls[i], 1);
  pthread_mutex_unlock(&w->lock);
}

int yoi__worker_is_done(struct yoi__worker *w) {
  pthread_mutex_lock(&w->lock);
  int done = w->closing && w->n_calls == 0;
  pthread_mutex_unlock(&w->lock);
  return done;
}

void yoi__worker_credit(struct yoi__worker *w, uint64_t id, yoi_str body) {
  struct yoi__reader in = yoi__reader_of(body);
  uint64_t n = yoi__get_u64(&in);
  if (!yoi__reader_done(&in)) _exit(3);
  pthread_mutex_lock(&w->lock);
  struct yoi__worker_call *c = find(w, id);
  if (c != NULL) {
    c->sent -= n < c->sent ? n : c->sent;
    queue(w, c);
  }
  pthread_mutex_unlock(&w->lock);
}

void yoi__worker_woken(void *arg, uint64_t id) {
  struct yoi__worker *w = arg;
  pthread_mutex_lock(&w->lock);
  struct yoi__worker_call *c = find(w, id);
  if (c != NULL) {
    c->woken = 1;
    queue(w, c);
  }
  pthread_mutex_unlock(&w->lock);
}

/* ---- decisions
 * ----------------------------------------------------------------------------------- */

void yoi__worker_decide(struct yoi__worker *w, uint64_t id, yoi_str request) {
  struct yoi__reader in = yoi__reader_of(request);
  const yoi_event *const *events = NULL;
  struct yoi_sdk_error e;
  struct yoi_sdk_buf b;
  yoi_policy_request r;
  yoi_stream *s = NULL;
  size_t n = 0;
  yoi__get_policy_request(&in, &r);
  if (!yoi__reader_done(&in)) _exit(3);
  (void)yoi_sdk_error_init(&e);
  yoi_sdk_buf_init(&b, YOI_ISOLATED_MESSAGE_BYTES);
  yoi_status st = fit(w->plugin.table.policy.start(w->self, &r, &s, &e.e));
  if (st < YOI_OK || (st == YOI_OK && s == NULL)) st = YOI_UNKNOWN;
  if (st == YOI_OK) st = fit(s->ops->next(s, &events, &n, &e.e));
  if (st == YOI_OK && (n == 0 || events == NULL)) st = YOI_UNKNOWN;
  yoi__put_events(&b, st, &e.e, st == YOI_OK ? events : NULL, st == YOI_OK ? n : 0);
  if (b.failed != 0) {
    yoi_sdk_buf_clear(&b);
    b.failed = 0;
    st = yoi_sdk_fail(&e.e, YOI_CODE_INTERNAL, "the decision is too large");
    yoi__put_events(&b, st, &e.e, NULL, 0);
  }
  if (b.failed != 0 ||
      yoi__channel_send(&w->calm, YOI__MSG_EVENTS, id, yoi_sdk_buf_str(&b), -1) != YOI_OK)
    _exit(3);
  if (s != NULL && st == YOI_AGAIN) s->ops->cancel(s);
  if (s != NULL) s->ops->release(s);
  yoi_sdk_buf_release(&b);
}
