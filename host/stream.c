/* host/stream.c - the wrapper stream.
 *
 *           yoi__stream_start            next: events      (deadline off)
 *   (none) -------------------> LIVE <--------------------+
 *                                | next: AGAIN            |
 *                                +----> WAITING ----------+
 *                                |         | deadline: inner cancelled
 *             next: END, error   v         v
 *                               DONE (the same answer for ever)
 *                                |
 *                release, in any state: inner released, reference given back
 *
 * Invariants
 *  1. The holder's token goes straight to the plugin: a wake is one hop. The
 *     wrapper wakes it by itself only for a deadline, or to say that a model
 *     is open.
 *  2. The inner stream lives until release, also when DONE: cancel is [any]
 *     and may run until release is called.
 *  3. A unary operation, and until its first event a stream that follows or
 *     gives what there is, has a deadline;
 *     it is looked at when the plugin says AGAIN, and its timer is armed at
 *     the first AGAIN only. What answers at once pays nothing for it. END
 *     before the first event is an error there: nothing ends without an answer.
 *     A unary operation is over with its RESULT: its END is ours, so that a
 *     plugin that forgets it keeps nobody waiting.
 *  4. A runtime's event is one line, and a result looks like an object: enough
 *     that no text ends a frame or a wrapping early; but for the bytes of a
 *     bundle, which are given out as they are. Whether it is JSON all
 *     through is not looked at: that costs 3 ns a byte, this 20 ns an event.
 *  5. No error leaves without a known code and a message, and none with its
 *     private detail or a known secret; yoi__public_error is the one place.
 */
#include "stream.h"

#include <stdio.h>
#include <string.h>

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "bundle_sync.h"
#include "clock.h"
#include "gate.h"
#include "host.h"

/* ---- errors ------------------------------------------------------------ */

static int message_fits(const yoi_error *e) {
  if (e->message_cap == 0) return 0;
  e->message[e->message_cap - 1] = '\0';
  yoi_str text = yoi_sdk_str(e->message);
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] < ' ') return 0;
  return text.len > 0 && yoi_sdk_utf8_valid(text);
}

static int details_fit(const yoi_error *e) {
  if (e->details_cap == 0) return 0;
  e->details[e->details_cap - 1] = '\0';
  yoi_str text = yoi_sdk_str(e->details);
  return text.len == 0 || (text.ptr[0] == '{' && yoi_sdk_json_check(text, 0, NULL) == YOI_OK);
}

/* What an operator should see: failures of ours, not refusals of callers, and
 * neither what a runtime does not do nor the end of the host. */
static uint32_t level_of(int32_t code) {
  if (code == YOI_CODE_UNSUPPORTED_OPERATION || code == YOI_CODE_SHUTTING_DOWN)
    return YOI_LOG_DEBUG;
  return yoi_sdk_code_http(code) >= 500 ? YOI_LOG_WARN : YOI_LOG_DEBUG;
}

yoi_status yoi__public_error(struct yoi__instance *in, yoi_str request_id, yoi_status st,
                             yoi_error *e) {
  yoi__scrub_error(in->top->scrub, e);
  if (st == YOI_CANCELLED) {
    e->code = 0;
    if (!message_fits(e)) (void)snprintf(e->message, e->message_cap, "cancelled");
    if (!details_fit(e)) e->details[0] = '\0';
    e->private_detail[0] = '\0';
    return st;
  }
  int known = st > YOI_OK && st <= YOI_UNAUTHENTICATED;
  if (e->code == 0 && known) e->code = yoi_sdk_code_of_status(st);
  const char *name = known ? yoi_sdk_code_name(e->code) : NULL;
  if (name == NULL || !message_fits(e)) {
    char private_detail[YOI_ERROR_PRIVATE_MAX];
    (void)snprintf(private_detail, sizeof private_detail, "%s", e->private_detail);
    int32_t code = name == NULL ? YOI_CODE_INTERNAL : e->code;
    int32_t strange = e->code;
    yoi_status said = st;
    st = yoi_sdk_fail(e, code, "%s '%.*s' failed without a reason",
                      yoi__kind_name(in->plugin->manifest.kind), YOI_ARG(in->name));
    yoi_sdk_fail_private(e, "status %d, code %d, %s", (int)said, (int)strange, private_detail);
  } else if (!details_fit(e)) {
    e->details[0] = '\0';
  }
  int lost = st == YOI_UNKNOWN && in->plugin->manifest.kind == YOI_KIND_TOOL; /* tool.h */
  if (st != YOI_RESOURCE_EXHAUSTED && !lost) st = yoi_sdk_code_status(e->code);
  yoi__log_failure(in->top->log, level_of(e->code), "operation failed", in->name, request_id, e);
  e->private_detail[0] = '\0';
  return st;
}

yoi_status yoi__stream_end(struct yoi__stream *s, yoi_status st, const yoi_error *why,
                           yoi_error *err) {
  s->final = st;
  if (st == YOI_END) return st;
  s->why = yoi_sdk_malloc(sizeof *s->why);
  if (s->why != NULL) yoi_sdk_error_copy(yoi_sdk_error_init(s->why), why);
  yoi_sdk_error_copy(err, why);
  return st;
}

static yoi_status repeat(const struct yoi__stream *s, yoi_error *err) {
  if (s->why != NULL)
    yoi_sdk_error_copy(err, &s->why->e);
  else if (s->final != YOI_END)
    (void)yoi_sdk_fail(err, yoi_sdk_code_of_status(s->final), "the operation failed");
  return s->final;
}

/* ---- the deadline ------------------------------------------------------ */

/* Shared by the stream and a timer on one loop; whoever is last frees it. A
 * stream may be polled and released anywhere, a timer only on its loop. */
struct yoi__deadline {
  _Atomic uint32_t refs;
  struct yoi_embed *top;
  uint64_t at_ns, token;
  uint64_t timer; /* on the loop only; 0: not armed, or it went off */
  uint32_t loop;
  struct yoi__node arm, disarm;
};

static void deadline_unref(struct yoi__deadline *d) {
  if (atomic_fetch_sub(&d->refs, 1u) == 1) yoi_sdk_free(d);
}

static void deadline_passed(void *ctx) {
  struct yoi__deadline *d = ctx;
  d->timer = 0;
  /* When the stream is gone its token is stale, which is counted; harmless. */
  yoi__token_wake(d->top->tokens, d->token);
  deadline_unref(d);
}

static void deadline_arm_here(void *ctx) {
  struct yoi__deadline *d = ctx;
  if (yoi__loop_timer(d->top->loops, NULL, d->at_ns, deadline_passed, d, &d->timer) != YOI_OK)
    deadline_unref(d);
}

static void deadline_disarm_here(void *ctx) {
  struct yoi__deadline *d = ctx;
  if (d->timer != 0) {
    yoi__loop_timer_cancel(d->top->loops, NULL, d->timer);
    d->timer = 0;
    deadline_unref(d);
  }
  deadline_unref(d);
}

static void deadline_arm(struct yoi__stream *s) {
  struct yoi_embed *top = s->in->top;
  struct yoi__deadline *d = yoi_sdk_calloc(1, sizeof *d);
  if (d == NULL) return; /* the holder's own polls still see it pass */
  uint32_t here = yoi__loops_current(top->loops);
  *d = (struct yoi__deadline){.top = top, .at_ns = s->deadline_ns, .token = s->token};
  atomic_init(&d->refs, 2u);
  d->loop = here != YOI_NO_LOOP ? here : (uint32_t)(s->token % yoi__loops_count(top->loops));
  s->deadline = d;
  if (here != YOI_NO_LOOP) {
    deadline_arm_here(d);
    return;
  }
  d->arm = (struct yoi__node){.fn = deadline_arm_here, .ctx = d};
  yoi__loop_post_node(top->loops, d->loop, &d->arm);
}

static void deadline_disarm(struct yoi__stream *s) {
  struct yoi__deadline *d = s->deadline;
  s->deadline_ns = 0;
  s->deadline = NULL;
  if (d == NULL) return;
  /* Not armed: its post may still be in the queue, and must not come second. */
  if (yoi__loops_current(d->top->loops) == d->loop && d->timer != 0) {
    deadline_disarm_here(d);
    return;
  }
  d->disarm = (struct yoi__node){.fn = deadline_disarm_here, .ctx = d};
  yoi__loop_post_node(d->top->loops, d->loop, &d->disarm); /* behind the arming */
}

/* ---- next, cancel, release --------------------------------------------- */

int yoi__stream_valid(const yoi_stream *s) {
  return s != NULL && s->ops != NULL && YOI_HAS(yoi_stream_ops, s->ops, release) &&
         s->ops->next != NULL && s->ops->cancel != NULL && s->ops->release != NULL;
}

static yoi_str request_id(const struct yoi__stream *s) {
  return (yoi_str){s->request_id, s->id_len};
}

static yoi_status timed_out(struct yoi__stream *s, yoi_error *err) {
  struct yoi_sdk_error e;
  yoi_stream *inner = atomic_load(&s->inner);
  inner->ops->cancel(inner);
  deadline_disarm(s);
  yoi_status st =
      yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_TIMEOUT, "%s '%.*s' did not answer in time",
                   yoi__kind_name(s->in->plugin->manifest.kind), YOI_ARG(s->in->name));
  st = yoi__public_error(s->in, request_id(s), st, &e.e);
  return yoi__stream_end(s, st, &e.e, err);
}

yoi_status yoi__stream_next(struct yoi__stream *s, const yoi_event *const **out_events,
                            size_t *out_n, yoi_error *err) {
  if (s->final != YOI_OK) return repeat(s, err);
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  yoi_stream *inner = atomic_load_explicit(&s->inner, memory_order_relaxed);
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status st = inner->ops->next(inner, &events, &n, &e.e);
  if (st == YOI_OK && n > 0 && events != NULL) {
    int answered = !s->unary || events[n - 1]->kind == YOI_EVENT_RESULT;
    if (answered && s->deadline_ns != 0) deadline_disarm(s);
    if (answered && s->unary) s->final = YOI_END;
    *out_events = events;
    *out_n = n;
    return YOI_OK;
  }
  if (st == YOI_AGAIN) {
    if (s->deadline_ns == 0) return st;
    if (yoi__now_ns() >= s->deadline_ns) return timed_out(s, err);
    if (s->deadline == NULL && s->token != 0) deadline_arm(s);
    return st;
  }
  int unanswered = s->deadline_ns != 0;
  if (unanswered) deadline_disarm(s);
  if (st == YOI_END && !unanswered) return yoi__stream_end(s, st, NULL, err);
  st = yoi__public_error(s->in, request_id(s), st <= YOI_OK ? YOI_END - 1 : st, &e.e);
  return yoi__stream_end(s, st, &e.e, err);
}

static void stream_cancel(yoi_stream *stream) {
  struct yoi__stream *s = (struct yoi__stream *)stream;
  yoi_stream *inner = atomic_load(&s->inner);
  inner->ops->cancel(inner);
}

/* What a holder puts into frames and lines of its own. */
static int one_line(yoi_str s) {
  return s.len == 0 || (memchr(s.ptr, '\n', s.len) == NULL && memchr(s.ptr, '\r', s.len) == NULL);
}

static int event_fits(const yoi_event *ev) {
  yoi_str t = ev->text;
  if (!one_line(t) || !one_line(ev->cursor)) return 0;
  return ev->kind != YOI_EVENT_RESULT || (t.len >= 2 && t.ptr[0] == '{' && t.ptr[t.len - 1] == '}');
}

static yoi_status malformed(struct yoi__stream *s, yoi_error *err) {
  struct yoi_sdk_error e;
  stream_cancel(&s->head);
  deadline_disarm(s);
  yoi_status st = yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_INTERNAL,
                               "%s '%.*s' answered with something that is no line of JSON",
                               yoi__kind_name(s->in->plugin->manifest.kind), YOI_ARG(s->in->name));
  st = yoi__public_error(s->in, request_id(s), st, &e.e);
  return yoi__stream_end(s, st, &e.e, err);
}

static yoi_status stream_next(yoi_stream *stream, const yoi_event *const **out_events,
                              size_t *out_n, yoi_error *err) {
  struct yoi__stream *s = (struct yoi__stream *)stream;
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status st = yoi__stream_next(s, &events, &n, err);
  if (st != YOI_OK) return st;
  for (size_t i = 0; i < n && !s->raw; i++)
    if (!event_fits(events[i])) return malformed(s, err);
  *out_events = events;
  *out_n = n;
  return YOI_OK;
}

static void stream_release(yoi_stream *stream) {
  struct yoi__stream *s = (struct yoi__stream *)stream;
  if (s == NULL) return;
  deadline_disarm(s);
  yoi_stream *inner = atomic_load(&s->inner);
  inner->ops->release(inner);
  yoi__stream_free(s);
}

static const yoi_stream_ops ops = {sizeof ops, 0, stream_next, stream_cancel, stream_release};

struct yoi__stream *yoi__stream_new(struct yoi__instance *in, uint64_t token, yoi_str id) {
  struct yoi__stream *s = yoi_sdk_malloc(sizeof *s + id.len);
  if (s == NULL) return NULL;
  *s = (struct yoi__stream){.head = {&ops}, .in = in, .token = token, .id_len = (uint32_t)id.len};
  if (id.len > 0) memcpy(s->request_id, id.ptr, id.len);
  return s;
}

void yoi__stream_free(struct yoi__stream *s) {
  struct yoi__instance *in = s->in;
  struct yoi__setup *setup = s->setup;
  yoi__scrub_run_free(s->run);
  yoi_sdk_free(s->why);
  yoi_sdk_free(s);
  yoi__instance_unref(in);
  yoi__setup_give(setup);
}

/* 0: no deadline for that operation. A caller may only lower the runtime's;
 * watching for what may come has none. */
static uint64_t deadline_of(const struct yoi__instance *in, const yoi_request *req) {
  if (req->op == YOI_OP_WORKER_EVENTS && (req->flags & YOI_REQ_ONCE) == 0) return 0;
  uint64_t own =
      yoi__now_ns() + atomic_load_explicit(&in->deadline_ms, memory_order_relaxed) * YOI__MS;
  return req->deadline_ns != 0 && req->deadline_ns < own ? req->deadline_ns : own;
}

yoi_status yoi__stream_start(struct yoi__instance *in, const yoi_request *req,
                             struct yoi__setup *setup, const struct yoi__config_bundle *bundle,
                             yoi_stream **out, yoi_error *err) {
  if ((req->flags & YOI_REQ_WORKSPACE) != 0 &&
      !yoi__manifest_has(&in->plugin->manifest, YOI_LIT(YOI_WORKSPACES_ID))) {
    yoi_status no = yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION,
                                 "runtime '%.*s' knows no workspaces", YOI_ARG(in->name));
    yoi__instance_unref(in);
    return no;
  }
  struct yoi__stream *s = yoi__stream_new(in, req->token, req->request_id);
  if (s == NULL) {
    yoi__instance_unref(in);
    return yoi_sdk_fail_memory(err);
  }
  if (bundle != NULL) s->setup = yoi__setup_ref(setup);
  yoi_request r = *req;
  r.deadline_ns = s->deadline_ns = deadline_of(in, req);
  s->unary = req->op != YOI_OP_WORKER_EVENTS && (req->flags & YOI_REQ_FOLLOW) == 0;
  s->raw = req->op == YOI_OP_BUNDLE_GET;
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  yoi_stream *inner = NULL;
  yoi_status st = in->gate != NULL ? yoi__gate_start(in, &r, setup, bundle, &inner, &e.e)
                  : bundle != NULL ? yoi__create_start(in, &r, setup, bundle, &inner, &e.e)
                                   : in->plugin->table.runtime.start(in->self, &r, &inner, &e.e);
  if (st != YOI_OK || !yoi__stream_valid(inner)) {
    st = yoi__public_error(in, req->request_id, st == YOI_OK ? YOI_END - 1 : st, &e.e);
    yoi_sdk_error_copy(err, &e.e);
    yoi__stream_free(s);
    return st;
  }
  atomic_init(&s->inner, inner);
  *out = &s->head;
  return YOI_OK;
}
