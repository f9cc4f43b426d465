/* host/call.c - yoi_call: a stream polled on a loop, its events given to a
 * callback.
 *
 *            yoi_call             wake, cancel: poll posted       end, error
 *   (free) ------------> LIVE <--------------------------> LIVE ------------> ENDED
 *      ^                                                                        |
 *      +------------------------ last reference: stream released ---------------+
 *
 * Invariants
 *  1. A call belongs to one loop: polls, and so callbacks, run there only, one
 *     at a time. `queued` keeps at most one poll posted.
 *  2. A call's id is its slot and a generation; its token has that id as
 *     cookie. Whoever looks one up takes a reference under `lock`, and the
 *     last reference releases the stream: no cancel can meet a release.
 *  3. The last callback comes exactly once: `ended` is set on the loop only,
 *     right before it.
 *  4. A cancelled call that does not end within YOI_CANCEL_GRACE_MS is ended
 *     for it. The same happens at once to all calls when the host is freed.
 */
#include "call.h"

#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/take.h>

#include "clock.h"
#include "host.h"
#include "stream.h"

#define CALLS_MAX YOI_TOKENS_MAX             /* each has a token */
#define BATCHES_PER_TURN YOI_SDK_HARD(16, 1) /* then other work of the loop has its turn */

struct call {
  struct yoi__calls *calls;
  uint64_t id, token;
  uint32_t loop;
  uint32_t refs;         /* under calls->lock */
  uint64_t grace;        /* timer, on the loop; 0: none */
  struct yoi__node node; /* of the poll that is posted */
  _Atomic uint32_t queued, cancel_asked, kill;
  _Atomic uint32_t started, early; /* early: a wake came during start */
  int ended;                       /* on the loop */
  yoi_stream *stream;
  yoi_event_fn on_event;
  void *ctx;
};

struct slot {
  struct call *call; /* NULL: free */
  uint32_t generation, next;
};

struct yoi__calls {
  struct yoi_embed *host;
  struct yoi__holder holder;
  _Atomic uint32_t live; /* calls whose last callback is to come */
  _Atomic uint32_t next_loop;
  pthread_mutex_t lock;
  int closed;
  struct slot *slots;
  uint32_t n, free;
};

static void call_poll(void *ctx);

/* ---- slots and references ---------------------------------------------- */

static struct call *call_find(struct yoi__calls *c, uint64_t id) {
  struct call *call = NULL;
  uint32_t i = (uint32_t)id;
  pthread_mutex_lock(&c->lock);
  if (i < c->n && c->slots[i].call != NULL && c->slots[i].generation == id >> 32) {
    call = c->slots[i].call;
    call->refs++;
  }
  pthread_mutex_unlock(&c->lock);
  return call;
}

static void call_unref(struct call *call) {
  struct yoi__calls *c = call->calls;
  pthread_mutex_lock(&c->lock);
  uint32_t left = --call->refs;
  pthread_mutex_unlock(&c->lock);
  if (left > 0) return;
  if (call->stream != NULL) call->stream->ops->release(call->stream);
  yoi__token_free(c->host->tokens, &c->holder, call->token);
  yoi_sdk_free(call);
}

/* Gives the call a slot and its id. */
static yoi_status slot_take(struct yoi__calls *c, struct call *call, yoi_error *err) {
  yoi_status st = YOI_OK;
  pthread_mutex_lock(&c->lock);
  if (c->closed) {
    st = yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  } else if (c->free == UINT32_MAX) {
    uint32_t n = YOI_SDK_MORE(c->n, 16);
    struct slot *grown = n > CALLS_MAX ? NULL : yoi_sdk_reallocarray(c->slots, n, sizeof *grown);
    if (grown == NULL) {
      st = n > CALLS_MAX
               ? yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "more than %u calls", CALLS_MAX)
               : yoi_sdk_fail_memory(err);
    } else {
      c->slots = grown;
      for (uint32_t i = n; i-- > c->n;) {
        grown[i] = (struct slot){.generation = 1, .next = c->free};
        c->free = i;
      }
      c->n = n;
    }
  }
  if (st == YOI_OK) {
    uint32_t i = c->free;
    c->free = c->slots[i].next;
    c->slots[i].call = call;
    call->id = (uint64_t)c->slots[i].generation << 32 | i;
    call->refs = 2; /* of the slot, and of who starts it */
  }
  pthread_mutex_unlock(&c->lock);
  return st;
}

/* The id is stale from here on; references that were taken live on. */
static void slot_give(struct yoi__calls *c, const struct call *call) {
  uint32_t i = (uint32_t)call->id;
  pthread_mutex_lock(&c->lock);
  c->slots[i].call = NULL;
  c->slots[i].generation++;
  c->slots[i].next = c->free;
  c->free = i;
  pthread_mutex_unlock(&c->lock);
}

/* ---- on the loop ------------------------------------------------------- */

static void call_end(struct call *call, yoi_status st, const yoi_error *err) {
  struct yoi__calls *c = call->calls;
  call->ended = 1;
  if (call->grace != 0) yoi__loop_timer_cancel(c->host->loops, NULL, call->grace);
  slot_give(c, call);
  call->on_event(call->ctx, NULL, st, err);
  struct yoi_embed *host = c->host;
  if (atomic_fetch_sub(&c->live, 1u) == 1) yoi__host_notify(host);
  call_unref(call);
}

static void call_post(struct call *call) {
  if (atomic_exchange(&call->queued, 1u) != 0) return;
  /* The reference of the post; see call_find for why the lock. */
  pthread_mutex_lock(&call->calls->lock);
  call->refs++;
  pthread_mutex_unlock(&call->calls->lock);
  yoi__loop_post_node(call->calls->host->loops, call->loop, &call->node);
}

static void killed(struct call *call) {
  struct yoi_sdk_error e;
  (void)yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_INTERNAL, "cancelled");
  e.e.code = 0;
  call_end(call, YOI_CANCELLED, &e.e);
}

static void grace_over(void *ctx) {
  struct call *call = ctx;
  call->grace = 0;
  killed(call);
}

/* From the first poll after a cancel; also for a stream that never says AGAIN. */
static void arm_grace(struct call *call) {
  if (!atomic_load(&call->cancel_asked) || call->grace != 0) return;
  (void)yoi__loop_timer(call->calls->host->loops, NULL,
                        yoi__now_ns() + YOI_CANCEL_GRACE_MS * YOI__MS, grace_over, call,
                        &call->grace);
}

/* One batch; 0 when there is nothing more to do now. */
static int poll_once(struct call *call) {
  struct yoi_sdk_error e;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status st = call->stream->ops->next(call->stream, &events, &n, yoi_sdk_error_init(&e));
  if (st == YOI_AGAIN) return 0;
  if (st != YOI_OK) {
    call_end(call, st, st == YOI_END ? NULL : &e.e);
    return 0;
  }
  for (size_t i = 0; i < n; i++) call->on_event(call->ctx, events[i], YOI_OK, NULL);
  return 1;
}

static void call_poll(void *ctx) {
  struct call *call = ctx;
  atomic_store(&call->queued, 0u); /* before looking: a wake from here on is kept */
  if (!call->ended) arm_grace(call);
  for (int left = BATCHES_PER_TURN; !call->ended; left--) {
    if (atomic_load(&call->kill)) {
      killed(call);
    } else if (left == 0) {
      call_post(call);
      break;
    } else if (!poll_once(call) && atomic_exchange(&call->early, 0u) == 0) {
      break;
    }
  }
  call_unref(call);
}

static void call_wake(void *self, uint64_t cookie) {
  struct call *call = call_find(self, cookie);
  if (call == NULL) return;
  if (!atomic_load(&call->started)) atomic_store(&call->early, 1u);
  call_post(call);
  call_unref(call);
}

/* ---- starting ---------------------------------------------------------- */

static uint32_t choose_loop(struct yoi__calls *c) {
  uint32_t here = yoi__loops_current(c->host->loops);
  if (here != YOI_NO_LOOP) return here;
  return atomic_fetch_add_explicit(&c->next_loop, 1u, memory_order_relaxed) %
         yoi__loops_count(c->host->loops);
}

static yoi_status call_start(struct call *call, yoi_str runtime_id, const yoi_request *req,
                             yoi_error *err) {
  char id[YOI_SDK_UUID_SIZE];
  yoi_request r;
  yoi_status st = yoi_sdk_take(&r, sizeof r, req, "request", err);
  if (st != YOI_OK) return st;
  r.token = call->token;
  r.hops = 0;
  r.origin = YOI_ORIGIN_EMBED;
  r.principal = YOI_LIT("embed");
  if (r.request_id.len == 0 && yoi_sdk_uuid7(yoi__wall_ns(), id))
    r.request_id = (yoi_str){id, YOI_SDK_UUID_SIZE - 1};
  return yoi__registry_start(call->calls->host, runtime_id, &r, &call->stream, err);
}

static yoi_status call_start_own(struct call *call, struct yoi__instance *in,
                                 const yoi_request *req, yoi_error *err) {
  yoi_request r = *req;
  r.token = call->token;
  if (!yoi__instance_ref(in))
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "runtime '%.*s' is closing",
                        YOI_ARG(in->name));
  return yoi__stream_start(in, &r, NULL, NULL, &call->stream, err);
}

/* Of the runtime `in`, or else of runtime_id, as the application's. */
static yoi_status call_begin(struct yoi_embed *host, struct yoi__instance *in, yoi_str runtime_id,
                             const yoi_request *req, yoi_event_fn on_event, void *ctx,
                             uint64_t *out_call, yoi_error *err) {
  struct yoi__calls *c = host->calls;
  struct call *call = yoi_sdk_calloc(1, sizeof *call);
  if (call == NULL) return yoi_sdk_fail_memory(err);
  *call = (struct call){.calls = c, .on_event = on_event, .ctx = ctx, .loop = choose_loop(c)};
  call->node = (struct yoi__node){.fn = call_poll, .ctx = call};
  atomic_init(&call->queued, 1u); /* no poll during start; a wake then is kept in `early` */
  yoi_status st = slot_take(c, call, err);
  if (st != YOI_OK) {
    yoi_sdk_free(call);
    return st;
  }
  atomic_fetch_add(&c->live, 1u);
  st = yoi__token_new(host->tokens, &c->holder, call->id, &call->token, err);
  if (st == YOI_OK)
    st = in != NULL ? call_start_own(call, in, req, err) : call_start(call, runtime_id, req, err);
  if (st == YOI_OK) {
    if (out_call != NULL) *out_call = call->id; /* before callbacks can come */
    atomic_store(&call->started, 1u);
    atomic_store(&call->queued, 0u);
    call_post(call); /* a wake may have posted, and ended, it by now */
  } else {
    slot_give(c, call);
    if (atomic_fetch_sub(&c->live, 1u) == 1) yoi__host_notify(host);
    call_unref(call);
  }
  call_unref(call);
  return st;
}

yoi_status yoi_call(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                    yoi_event_fn on_event, void *ctx, uint64_t *out_call, yoi_error *err) {
  yoi_status st = yoi__host_mine(host, err);
  if (st != YOI_OK) return st;
  uint32_t phase = atomic_load(&host->phase);
  if (phase < YOI__READY) {
    (void)yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "the host is not started");
    return YOI_FAILED_PRECONDITION;
  }
  if (phase > YOI__READY)
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  return call_begin(host, NULL, runtime_id, req, on_event, ctx, out_call, err);
}

yoi_status yoi__call_runtime(struct yoi__instance *in, const yoi_request *req,
                             yoi_event_fn on_event, void *ctx, yoi_error *err) {
  uint32_t phase = atomic_load(&in->top->phase); /* a start that fails waits for no call */
  if (phase < YOI__READY)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "the host is starting");
  return call_begin(in->top, in, in->name, req, on_event, ctx, NULL, err);
}

void yoi_call_cancel(struct yoi_embed *host, uint64_t id) {
  if (host->calls == NULL || !yoi__host_here(host)) return;
  struct call *call = call_find(host->calls, id);
  if (call == NULL) return;
  if (atomic_exchange(&call->cancel_asked, 1u) == 0) {
    call->stream->ops->cancel(call->stream);
    call_post(call); /* arms the grace */
  }
  call_unref(call);
}

/* ---- all calls --------------------------------------------------------- */

struct yoi__calls *yoi__calls_new(struct yoi_embed *host) {
  struct yoi__calls *c = yoi_sdk_calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  c->host = host;
  c->holder.wake = call_wake;
  c->holder.self = c;
  c->free = UINT32_MAX;
  pthread_mutex_init(&c->lock, NULL);
  return c;
}

static int none_live(void *ctx) {
  struct yoi__calls *c = ctx;
  return atomic_load(&c->live) == 0;
}

void yoi__calls_end(struct yoi__calls *c) {
  pthread_mutex_lock(&c->lock);
  c->closed = 1;
  uint32_t n = c->n;
  pthread_mutex_unlock(&c->lock);
  for (uint32_t i = 0; i < n; i++) {
    pthread_mutex_lock(&c->lock);
    struct call *call = c->slots[i].call;
    if (call != NULL) call->refs++;
    pthread_mutex_unlock(&c->lock);
    if (call == NULL) continue;
    atomic_store(&call->kill, 1u);
    call_post(call);
    call_unref(call);
  }
  /* Callbacks are the application's; there is no limit to put on them. */
  while (!yoi__host_wait(c->host, none_live, c, UINT64_MAX)) continue;
}

void yoi__calls_free(struct yoi__calls *c) {
  if (c == NULL) return;
  pthread_mutex_destroy(&c->lock);
  yoi_sdk_free(c->slots);
  yoi_sdk_free(c);
}
