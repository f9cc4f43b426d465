/* host/model.c - yoi.host.model/1, and streams of models that open late.
 *
 *                    start: not open yet            opened: next starts it
 *   (none) ------------------------------> PENDING -----------------------> LIVE
 *      |                                      | open failed, cancelled
 *      | start: open                          v
 *      +--------------------> LIVE           DONE
 *
 * A model is loaded and opened on the control thread when the first stream
 * asks for it; until then each stream keeps a copy of its request, says AGAIN
 * and is woken when the open is done. The start itself happens in that
 * stream's next, so on the stream's own loop, where it also stays.
 *
 * Invariants
 *  1. instance.lock guards `waiting` and the `pending` of the streams in it; it
 *     is not held across a call, a wake or an open.
 *  2. A failed open answers those who waited for it; the next start tries
 *     again.
 *  3. A SERIAL model is asked on its strand; its inner stream is the strand's,
 *     which never blocks, so all else is the same for it.
 *  4. What a model says has no known secret in it (scrub.c). What is held at
 *     the end goes out before the end does.
 *  5. A stream that is released off its loop (its holder is being closed) is
 *     released there by a post; it keeps its reference until then.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/hard.h>
#include <sdk/mem.h>

#include "host.h"
#include "strand.h"
#include "stream.h"
#include "take.h"

#define BATCHES_HELD YOI_SDK_HARD(64, 1) /* in a row, without one event to give */

static const yoi_stream_ops model_ops;

/* ---- the copy of a request --------------------------------------------- */

struct yoi__model_copy {
  struct yoi__work work; /* first: what a strand is given */
  yoi_model_request req;
  yoi_str messages[];
};

static yoi_status work_start(struct yoi__work *w, struct yoi__instance *in, uint64_t token,
                             yoi_stream **out, yoi_error *err) {
  struct yoi__model_copy *c = (struct yoi__model_copy *)w;
  c->req.token = token;
  return in->plugin->table.model.start(in->self, &c->req, out, err);
}

static void work_free(struct yoi__work *w) {
  yoi_sdk_free(w);
}

static yoi_str put(char **at, yoi_str s) {
  yoi_str copy = {*at, s.len};
  if (s.len > 0) memcpy(*at, s.ptr, s.len);
  *at += s.len;
  return copy;
}

static struct yoi__model_copy *copy_request(const yoi_model_request *req) {
  size_t n = req->n_messages;
  size_t bytes = req->request_id.len + req->trace.len + req->tools.len + req->parameters.len;
  for (size_t i = 0; i < n; i++) bytes += req->messages[i].len;
  struct yoi__model_copy *c = yoi_sdk_malloc(sizeof *c + n * sizeof *c->messages + bytes);
  if (c == NULL) return NULL;
  char *at = (char *)&c->messages[n];
  c->work = (struct yoi__work){work_start, work_free};
  c->req = *req;
  c->req.request_id = put(&at, req->request_id);
  c->req.trace = put(&at, req->trace);
  c->req.tools = put(&at, req->tools);
  c->req.parameters = put(&at, req->parameters);
  for (size_t i = 0; i < n; i++) c->messages[i] = put(&at, req->messages[i]);
  c->req.messages = c->messages;
  return c;
}

/* ---- opening ----------------------------------------------------------- */

void yoi__model_open(void *ctx) {
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
    yoi__log_failure(in->top->log, YOI_LOG_ERROR, "cannot open a model", in->name, (yoi_str){0},
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

/* Puts the stream among those who wait, unless the model is open by now. */
static void wait_for_open(struct yoi__instance *in, struct yoi__stream *s) {
  int ask = 0;
  pthread_mutex_lock(&in->lock);
  uint32_t state = atomic_load(&in->state);
  if (state != YOI__OPEN) {
    s->pending = YOI__PENDING_WAIT;
    s->next_waiter = in->waiting;
    in->waiting = s;
    /* yoi__model_open sets OPENING itself; several posts of the task are one. */
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

static yoi_status model_failed(yoi_error *err, yoi_str name, const char *what) {
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "model '%.*s' %s", YOI_ARG(name), what);
  yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"not_found\",\"retryable\":false}"));
  return st;
}

/* A SERIAL model is asked on its strand, with a copy that may be there already.
 * A plugin that is refused is, to whoever asked, a model that has too much to
 * do. */
static yoi_status start_serial(struct yoi__stream *s, const yoi_model_request *req,
                               yoi_stream **out, yoi_error *err) {
  struct yoi__model_copy *c = s->request != NULL ? s->request : copy_request(req);
  s->request = NULL;
  if (c == NULL) return yoi_sdk_fail_memory(err);
  yoi_status st =
      yoi__strand_start(s->in->strand, &c->work, s->token, c->req.deadline_ns, out, err);
  if (st != YOI_RESOURCE_EXHAUSTED || err->code != YOI_CODE_LIMIT_REACHED) return st;
  err->code = YOI_CODE_MODEL_ERROR;
  yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"overloaded\",\"retryable\":true}"));
  return YOI_UNAVAILABLE;
}

/* Calls the plugin's start. OK: there is an inner stream. */
static yoi_status start_inner(struct yoi__stream *s, const yoi_model_request *req, yoi_error *err) {
  struct yoi__instance *in = s->in;
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  yoi_stream *inner = NULL;
  yoi_status st = in->strand != NULL ? start_serial(s, req, &inner, &e.e)
                                     : in->plugin->table.model.start(in->self, req, &inner, &e.e);
  if (st == YOI_OK && yoi__stream_valid(inner)) {
    atomic_store(&s->inner, inner);
    return YOI_OK;
  }
  /* req may be gone: a strand takes it over, also when it refuses. */
  yoi_str request_id = {s->request_id, s->id_len};
  st = yoi__public_error(in, request_id, st == YOI_OK ? YOI_END - 1 : st, &e.e);
  yoi_sdk_error_copy(err, &e.e);
  return st;
}

static void count_result(struct yoi__stream *s) {
  const struct yoi__counters *c = &s->in->top->counters;
  uint32_t id = s->final == YOI_END                               ? c->model_ok
                : s->final == YOI_OK || s->final == YOI_CANCELLED ? c->model_cancelled
                                                                  : c->model_error;
  yoi__metrics_add(s->in->top->metrics, id, 1);
}

/* The first next after the model was opened. */
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
    st = model_failed(&e.e, s->in->name, "cannot be opened");
  } else {
    st = start_inner(s, &s->request->req, &e.e);
  }
  if (st != YOI_OK) return yoi__stream_end(s, st, &e.e, err);
  yoi_sdk_free(s->request);
  s->request = NULL;
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

static yoi_status model_next(yoi_stream *stream, const yoi_event *const **out_events, size_t *out_n,
                             yoi_error *err) {
  struct yoi__stream *s = (struct yoi__stream *)stream;
  if (s->final == YOI_OK && atomic_load_explicit(&s->inner, memory_order_relaxed) == NULL) {
    yoi_status st = begin(s, err);
    if (st != YOI_OK) return st;
  }
  return s->run != NULL ? next_scrubbed(s, out_events, out_n, err)
                        : yoi__stream_next(s, out_events, out_n, err);
}

static void model_cancel(yoi_stream *stream) {
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
  count_result(s);
  yoi_stream *inner = atomic_load(&s->inner);
  if (inner != NULL) inner->ops->release(inner);
  yoi_sdk_free(s->request);
  yoi__stream_free(s);
}

static void model_release(yoi_stream *stream) {
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

static const yoi_stream_ops model_ops = {sizeof model_ops, 0, model_next, model_cancel,
                                         model_release};

/* ---- the interface ----------------------------------------------------- */

static struct yoi__instance *of(const yoi_host *h) {
  return h->ctx;
}

static int granted(const struct yoi__instance *who, yoi_str name) {
  char grant[sizeof "model:" + YOI_NAME_MAX];
  int n = snprintf(grant, sizeof grant, "model:%.*s", YOI_ARG(name));
  return n > 0 && (size_t)n < sizeof grant &&
         yoi__config_granted(who->top->config, who->plugin, (yoi_str){grant, (size_t)n});
}

static int by_name(const void *a, const void *b) {
  return yoi_sdk_str_cmp(*(const yoi_str *)a, *(const yoi_str *)b);
}

static void model_list(const yoi_host *h, void (*each)(void *ctx, yoi_str name), void *ctx) {
  const struct yoi__config *c = of(h)->top->config;
  yoi_str names[YOI_MODELS_MAX];
  size_t n = 0;
  for (size_t i = 0; i < c->n_models && n < YOI_MODELS_MAX; i++)
    if (granted(of(h), c->models[i].name)) names[n++] = c->models[i].name;
  qsort(names, n, sizeof *names, by_name);
  for (size_t i = 0; i < n; i++) each(ctx, names[i]);
}

static yoi_status model_start(const yoi_host *h, yoi_str name, const yoi_model_request *req,
                              yoi_stream **out, yoi_error *err) {
  struct yoi_embed *top = of(h)->top;
  struct yoi__instance *in = NULL;
  for (size_t i = 0; i < top->config->n_models && in == NULL; i++)
    if (yoi_sdk_str_eq(top->config->models[i].name, name)) in = top->models[i];
  if (in == NULL || !granted(of(h), name)) {
    (void)model_failed(err, name, "is not there");
    return YOI_NOT_FOUND;
  }
  yoi_model_request r;
  yoi_status st = yoi__take_in(&r, sizeof r, req, "model request", err);
  if (st != YOI_OK) return st;
  uint32_t here = yoi__loops_current(top->loops);
  if (here == YOI_NO_LOOP) {
    (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "a model is started on a loop only");
    return YOI_FAILED_PRECONDITION;
  }
  if (!yoi__instance_ref(in))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  struct yoi__stream *s = yoi__stream_new(in, r.token, r.request_id);
  if (s == NULL) {
    yoi__instance_unref(in);
    return yoi_sdk_fail_memory(err);
  }
  s->head.ops = &model_ops;
  s->loop = here;
  if (yoi__secrets_count(top->config->secrets) > 0) {
    s->run = yoi__scrub_run_new(top->scrub);
    if (s->run == NULL) {
      yoi__stream_free(s);
      return yoi_sdk_fail_memory(err);
    }
  }
  if (atomic_load_explicit(&in->state, memory_order_acquire) == YOI__OPEN) {
    st = start_inner(s, &r, err);
  } else {
    s->request = copy_request(&r);
    if (s->request == NULL)
      st = yoi_sdk_fail_memory(err);
    else
      wait_for_open(in, s);
  }
  if (st != YOI_OK) {
    s->final = st;
    count_result(s);
    yoi__stream_free(s);
    return st;
  }
  *out = &s->head;
  return YOI_OK;
}

const yoi_host_model yoi__model_table = {sizeof yoi__model_table, 0, model_list, model_start};

yoi_status yoi__model_counters(struct yoi_embed *host) {
  static const char help[] = "Generations asked of models, by how they ended.";
  struct {
    const char *result;
    uint32_t *id;
  } all[] = {{"ok", &host->counters.model_ok},
             {"error", &host->counters.model_error},
             {"cancelled", &host->counters.model_cancelled}};
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < 3 && st == YOI_OK; i++)
    st = yoi__metrics_make_one(host->metrics, YOI_METRIC_COUNTER,
                               YOI_LIT("yoi_model_requests_total"), yoi_sdk_str(help),
                               YOI_LIT("result"), yoi_sdk_str(all[i].result), all[i].id);
  return st;
}
