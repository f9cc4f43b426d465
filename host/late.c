/* host/late.c - streams of plugins that are opened at first use.
 *
 *                    start: not open yet            opened: next starts it
 *   (none) ------------------------------> PENDING -----------------------> LIVE
 *      |                                      | open failed, cancelled
 *      | start: open                          v
 *      +--------------------> LIVE           DONE
 *
 * A model, or what has a tool, is loaded and opened on the control thread when
 * the first stream asks for it; until then each stream keeps a copy of its
 * request, says AGAIN and is woken when the open is done. The start itself
 * happens in that stream's next, so on the stream's own loop, where it also
 * stays.
 *
 * Invariants
 *  1. instance.lock guards `waiting` and the `pending` of the streams in it (and a
 *     name, hostops.c); it is not held across a call, a wake or an open.
 *  2. A failed open answers those who waited for it; the next start tries
 *     again.
 *  3. A SERIAL plugin is asked on its strand; its inner stream is the strand's,
 *     which never blocks, so all else is the same for it.
 *  4. What a plugin says has no known secret in it (scrub.c). What is held at
 *     the end goes out before the end does.
 *  5. A stream that is released off its loop (its holder is being closed) is
 *     released there by a post; it keeps its reference until then.
 */
#include "late.h"

#include <stdlib.h>

#include <sdk/hard.h>
#include <sdk/mem.h>

#include "host.h"
#include "stream.h"

#define BATCHES_HELD YOI_SDK_HARD(64, 1) /* in a row, without one event to give */

static const yoi_stream_ops late_ops;

/* ---- opening ----------------------------------------------------------- */

void yoi__late_open(void *ctx) {
  struct yoi__instance *in = ctx;
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  uint32_t state = atomic_load(&in->state);
  yoi_status st = YOI_OK;
  if (atomic_load(&in->top->phase) == YOI__FREEING)
    st = yoi_sdk_fail(&e.e, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  else if (state == YOI__DECLARED || state == YOI__FAILED) /* else: asked for twice */
    st = yoi__instance_open(in, &e.e);
  if (st != YOI_OK)
    yoi__log_failure(in->top->log, YOI_LOG_ERROR, "cannot open a plugin", in->name, (yoi_str){0},
                     &e.e);
  for (;;) {
    pthread_mutex_lock(&in->lock);
    struct yoi__stream *s = in->waiting;
    uint64_t token = 0;
    if (s != NULL) {
      in->waiting = s->next_waiter;
      s->pending = st == YOI_OK ? YOI__PENDING_NO : YOI__PENDING_FAILED;
      token = s->token;
    }
    pthread_mutex_unlock(&in->lock);
    if (s == NULL) break;
    yoi__token_wake(in->top->tokens, token);
  }
}

/* Puts the stream among those who wait, unless it is open by now. */
static void wait_for_open(struct yoi__instance *in, struct yoi__stream *s) {
  int ask = 0;
  pthread_mutex_lock(&in->lock);
  uint32_t state = atomic_load(&in->state);
  if (state != YOI__OPEN) {
    s->pending = YOI__PENDING_WAIT;
    s->next_waiter = in->waiting;
    in->waiting = s;
    /* yoi__late_open sets OPENING itself; several posts of the task are one. */
    ask = state != YOI__OPENING;
  }
  pthread_mutex_unlock(&in->lock);
  if (ask) yoi__control_post(in->top->control, &in->open_task);
}

static void stop_waiting(struct yoi__instance *in, struct yoi__stream *s) {
  pthread_mutex_lock(&in->lock);
  if (s->pending == YOI__PENDING_WAIT)
    for (struct yoi__stream **at = &in->waiting; *at != NULL; at = &(*at)->next_waiter)
      if (*at == s) {
        *at = s->next_waiter;
        break;
      }
  pthread_mutex_unlock(&in->lock);
}

/* ---- streams ----------------------------------------------------------- */

/* A SERIAL plugin is asked on its strand, with a copy that may be there already:
 * the strand takes it over, also when it refuses. */
static yoi_status start_serial(struct yoi__stream *s, const void *req, yoi_stream **out,
                               yoi_error *err) {
  struct yoi__work *copy = s->request != NULL ? s->request : s->kind->copy(req);
  s->request = NULL;
  if (copy == NULL) return yoi_sdk_fail_memory(err);
  yoi_status st = yoi__strand_start(s->in->strand, copy, s->token, s->work_until_ns, out, err);
  return st == YOI_RESOURCE_EXHAUSTED && err->code == YOI_CODE_LIMIT_REACHED ? s->kind->busy(err)
                                                                             : st;
}

static yoi_status call_start(struct yoi__stream *s, const void *req, yoi_stream **out,
                             yoi_error *err) {
  if (s->in->strand != NULL) return start_serial(s, req, out, err);
  if (req != NULL) return s->kind->start(s->in, req, out, err);
  return s->request->start(s->request, s->in, s->token, out, err);
}

/* Calls the plugin's start, with the copy when req is NULL. OK: there is an
 * inner stream. */
static yoi_status start_inner(struct yoi__stream *s, const void *req, yoi_error *err) {
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  yoi_stream *inner = NULL;
  yoi_status st = call_start(s, req, &inner, &e.e);
  if (st == YOI_OK && yoi__stream_valid(inner)) {
    atomic_store(&s->inner, inner);
    return YOI_OK;
  }
  yoi_str request_id = {s->request_id, s->id_len};
  st = yoi__public_error(s->in, request_id, st == YOI_OK ? YOI_END - 1 : st, &e.e);
  yoi_sdk_error_copy(err, &e.e);
  return st;
}

static void drop_request(struct yoi__stream *s) {
  if (s->request != NULL) s->request->free(s->request);
  s->request = NULL;
}

/* The first next after it was opened. */
static yoi_status begin(struct yoi__stream *s, yoi_error *err) {
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  pthread_mutex_lock(&s->in->lock);
  uint32_t pending = s->pending;
  pthread_mutex_unlock(&s->in->lock);
  yoi_status st = YOI_OK;
  if (atomic_load(&s->cancelled)) {
    (void)yoi_sdk_fail(&e.e, YOI_CODE_INTERNAL, "cancelled");
    e.e.code = 0;
    st = YOI_CANCELLED;
  } else if (pending == YOI__PENDING_WAIT) {
    return YOI_AGAIN;
  } else if (pending == YOI__PENDING_FAILED) {
    st = s->kind->cannot(&e.e, s->in->name);
  } else {
    st = start_inner(s, NULL, &e.e);
  }
  if (st != YOI_OK) return yoi__stream_end(s, st, &e.e, err);
  drop_request(s);
  /* A cancel that came between the two looks saw no inner stream. */
  yoi_stream *inner = atomic_load(&s->inner);
  if (atomic_load(&s->cancelled)) inner->ops->cancel(inner);
  return YOI_OK;
}

static yoi_status scrub_failed(struct yoi__stream *s, yoi_error *err) {
  struct yoi_sdk_error e;
  yoi_stream *inner = atomic_load(&s->inner);
  inner->ops->cancel(inner);
  yoi_sdk_free(s->why); /* of an end that is not told any more */
  return yoi__stream_end(s, yoi_sdk_fail_memory(yoi_sdk_error_init(&e)), &e.e, err);
}

/* The next events that are not all held back. */
static yoi_status next_scrubbed(struct yoi__stream *s, const yoi_event *const **out_events,
                                size_t *out_n, yoi_error *err) {
  for (int left = BATCHES_HELD; left > 0; left--) {
    const yoi_event *const *events = NULL;
    size_t n = 0;
    yoi_status st = yoi__stream_next(s, &events, &n, err);
    if (st == YOI_AGAIN) return st;
    yoi_status clean = st == YOI_OK ? yoi__scrub_events(s->run, &events, &n, err)
                                    : yoi__scrub_rest(s->run, &events, &n, err);
    if (clean != YOI_OK) return scrub_failed(s, err);
    if (n > 0) { /* an end is told again */
      *out_events = events;
      *out_n = n;
      return YOI_OK;
    }
    if (st != YOI_OK) return st;
  }
  yoi__token_wake(s->in->top->tokens, s->token); /* then other work of the loop has its turn */
  return YOI_AGAIN;
}

static yoi_status late_next(yoi_stream *stream, const yoi_event *const **out_events, size_t *out_n,
                            yoi_error *err) {
  struct yoi__stream *s = (struct yoi__stream *)stream;
  if (s->final == YOI_OK && atomic_load_explicit(&s->inner, memory_order_relaxed) == NULL) {
    yoi_status st = begin(s, err);
    if (st != YOI_OK) return st;
  }
  return s->run != NULL ? next_scrubbed(s, out_events, out_n, err)
                        : yoi__stream_next(s, out_events, out_n, err);
}

static void late_cancel(yoi_stream *stream) {
  struct yoi__stream *s = (struct yoi__stream *)stream;
  if (atomic_exchange(&s->cancelled, 1u) != 0) return;
  yoi_stream *inner = atomic_load(&s->inner);
  if (inner != NULL)
    inner->ops->cancel(inner);
  else
    yoi__token_wake(s->in->top->tokens, s->token);
}

static void release_here(void *ctx) {
  struct yoi__stream *s = ctx;
  stop_waiting(s->in, s);
  s->kind->over(s->in, s->final, s->call);
  yoi_stream *inner = atomic_load(&s->inner);
  if (inner != NULL) inner->ops->release(inner);
  drop_request(s);
  yoi__stream_free(s);
}

static void late_release(yoi_stream *stream) {
  struct yoi__stream *s = (struct yoi__stream *)stream;
  if (s == NULL) return;
  struct yoi__loops *loops = s->in->top->loops;
  if (yoi__loops_current(loops) == s->loop) {
    release_here(s);
    return;
  }
  s->node = (struct yoi__node){.fn = release_here, .ctx = s};
  yoi__loop_post_node(loops, s->loop, &s->node);
}

static const yoi_stream_ops late_ops = {sizeof late_ops, 0, late_next, late_cancel, late_release};

/* ---- counting ------------------------------------------------------------- */

yoi_status yoi__late_counters(struct yoi_embed *host, const char *name, const char *help,
                              struct yoi__results *out) {
  const struct {
    const char *result;
    uint32_t *id;
  } all[] = {{"ok", &out->ok}, {"error", &out->error}, {"cancelled", &out->cancelled}};
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < sizeof all / sizeof *all && st == YOI_OK; i++)
    st = yoi__metrics_make_one(host->metrics, YOI_METRIC_COUNTER, yoi_sdk_str(name),
                               yoi_sdk_str(help), YOI_LIT("result"), yoi_sdk_str(all[i].result),
                               all[i].id);
  return st;
}

void yoi__late_count(struct yoi_embed *host, const struct yoi__results *results, yoi_status final) {
  yoi__metrics_add(host->metrics,
                   final == YOI_END                            ? results->ok
                   : final == YOI_OK || final == YOI_CANCELLED ? results->cancelled
                                                               : results->error,
                   1);
}

/* ---- starting ------------------------------------------------------------ */

static yoi_status start_or_wait(struct yoi__stream *s, const void *req, yoi_error *err) {
  if (atomic_load_explicit(&s->in->state, memory_order_acquire) == YOI__OPEN)
    return start_inner(s, req, err);
  s->request = s->kind->copy(req);
  if (s->request == NULL) return yoi_sdk_fail_memory(err);
  wait_for_open(s->in, s);
  return YOI_OK;
}

/* A stream with a reference of its own; it has started nothing. */
static yoi_status stream_new(struct yoi__setup *setup, struct yoi__instance *in, uint64_t token,
                             yoi_str request_id, struct yoi__stream **out, yoi_error *err) {
  uint32_t here = yoi__loops_current(in->top->loops);
  if (here == YOI_NO_LOOP) {
    (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "a %s is started on a loop only",
                       yoi__kind_name(in->plugin->manifest.kind));
    return YOI_FAILED_PRECONDITION;
  }
  if (!yoi__instance_ref(in))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  struct yoi__stream *s = *out = yoi__stream_new(in, token, request_id);
  if (s == NULL) {
    yoi__instance_unref(in);
    return yoi_sdk_fail_memory(err);
  }
  s->head.ops = &late_ops;
  s->loop = here;
  s->setup = yoi__setup_ref(setup);
  if (yoi__secrets_count(setup->config->secrets) == 0) return YOI_OK;
  s->run = yoi__scrub_run_new(in->top->scrub);
  return s->run != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status yoi__late_start(struct yoi__setup *setup, struct yoi__instance *in,
                           const struct yoi__late_kind *kind, const void *req, uint64_t token,
                           uint64_t deadline_ns, yoi_str request_id, uint64_t call,
                           yoi_stream **out, yoi_error *err) {
  struct yoi__stream *s = NULL;
  yoi_status st = stream_new(setup, in, token, request_id, &s, err);
  if (st == YOI_OK) {
    s->kind = kind;
    s->work_until_ns = deadline_ns;
    s->call = call;
    st = start_or_wait(s, req, err);
  }
  if (st == YOI_OK) {
    *out = &s->head;
    return st;
  }
  kind->over(in, st, call);
  if (s != NULL) yoi__stream_free(s);
  return st;
}
