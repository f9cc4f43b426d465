/* call.c - operations with one answer.
 *
 *   start --on its loop, or posted--> asked --outcome--> queue: result or error
 *                                       | cancel: the ask is freed, CANCELLED
 *                                       v
 *             release, in any state --on its loop, or posted--> gone
 *
 * Invariants:
 *  1. The ask is touched on the call's loop only. cancel and release from
 *     elsewhere post a task; while a task is on its way the memory stays.
 *  2. What is not released in time is found by close in the instance's list.
 *  3. A delete looks first whether its thing is there. Only so can one whose
 *     answer was lost tell what it did from what never was: without, a second
 *     attempt that finds nothing would say that it deleted it (ask.c, 4).
 */
#include "remote.h"

#include <sdk/mem.h>

struct rem_call {
  struct rem_call *prev, *next; /* of the instance */
  struct rem_instance *i;
  struct rem_ask *ask;  /* NULL once it ended */
  struct rem_ask *then; /* a delete, until its thing is known to be there */
  struct yoi_sdk_queue *queue;
  uint32_t loop, op;
  char subject[YOI_SDK_DIGEST_SIZE]; /* of a bundle */
  uint8_t released;
  _Atomic uint32_t tasks; /* posted, and not run */
};

static void unlink_call(struct rem_call *c) {
  struct rem_instance *i = c->i;
  pthread_mutex_lock(&i->mu);
  *(c->prev ? &c->prev->next : &i->calls) = c->next;
  if (c->next) c->next->prev = c->prev;
  pthread_mutex_unlock(&i->mu);
}

static void drop_asks(struct rem_call *c) {
  rem_ask_free(c->ask);
  rem_ask_free(c->then);
  c->ask = c->then = NULL;
}

void rem_call_free(struct rem_call *c) {
  unlink_call(c);
  drop_asks(c);
  yoi_sdk_queue_drop(c->queue);
  yoi_sdk_free(c);
}

/* 0: it could not be posted; close will free it. */
static int post(struct rem_call *c, yoi_loop_fn fn) {
  atomic_fetch_add(&c->tasks, 1u);
  if (c->i->loop->post(c->i->host, c->loop, fn, c) == YOI_OK) return 1;
  atomic_fetch_sub(&c->tasks, 1u);
  return 0;
}

/* A task of the call ended; the last one after its release frees. */
static void settled(struct rem_call *c) {
  if (c->released && atomic_load(&c->tasks) == 0) rem_call_free(c);
}

/* ---- the answer ------------------------------------------------------------- */

/* From a page of the list to what bundle.have says. */
static yoi_status have(struct rem_call *c, yoi_str page, struct yoi_sdk_buf *out, yoi_error *err) {
  size_t at = 0;
  yoi_str row;
  yoi_str list = yoi_sdk_json_raw_get(page, "bundles");
  if (yoi_sdk_json_raw_each(list, &at, &row)) {
    yoi_str digest = yoi_sdk_json_raw_get(row, "digest");
    if (digest.len == YOI_SDK_DIGEST_SIZE + 1 &&
        memcmp(digest.ptr + 1, c->subject, YOI_SDK_DIGEST_SIZE - 1) == 0) {
      struct yoi_sdk_jsonw w;
      yoi_sdk_jsonw_init(&w, out);
      yoi_sdk_jsonw_open(&w, '{');
      yoi_sdk_jsonw_kraw(&w, "bundle", row);
      yoi_sdk_jsonw_close(&w, '}');
      return out->failed ? yoi_sdk_fail_memory(err) : YOI_OK;
    }
  }
  char details[YOI_SDK_DIGEST_SIZE + 32];
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_BUNDLE_NOT_FOUND, "%s",
                               rem_code_message(YOI_CODE_BUNDLE_NOT_FOUND));
  int n = snprintf(details, sizeof details, "{\"digest\":\"%s\"}", c->subject);
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

static void on_done(void *ctx, struct rem_outcome *o) {
  struct rem_call *c = ctx;
  struct yoi_sdk_buf made;
  yoi_error *err = &o->error.e;
  yoi_status st = o->st;
  yoi_str text = o->text;
  yoi_sdk_buf_init(&made, YOI_JSON_BYTES_MAX);
  if (st == YOI_OK && c->op == YOI_OP_RUNTIME_DESCRIBE) {
    st = rem_health_take(c->i, yoi_sdk_json_raw_get(text, "runtime"), err);
    if (st == YOI_OK) st = rem_describe(c->i, text, &made, err);
    text = yoi_sdk_buf_str(&made);
  } else if (st == YOI_OK && c->op == YOI_OP_BUNDLE_HAVE) {
    st = have(c, text, &made, err);
    text = yoi_sdk_buf_str(&made);
  }
  if (st == YOI_OK) {
    st = yoi_sdk_queue_push(c->queue, YOI_EVENT_RESULT, o->flags, (yoi_str){0}, text);
    if (st == YOI_RESOURCE_EXHAUSTED) st = yoi_sdk_fail_memory(err);
  }
  yoi_sdk_buf_release(&made);
  if (st == YOI_OK)
    yoi_sdk_queue_finish(c->queue);
  else
    yoi_sdk_queue_fail(c->queue, st, err);
  drop_asks(c);
}

static const struct rem_ask_handler handler = {.done = on_done};

/* 3 above: what is not there is not deleted; what cannot be looked at may be. */
static void on_looked(void *ctx, struct rem_outcome *o) {
  struct rem_call *c = ctx;
  struct yoi_sdk_buf found;
  yoi_sdk_buf_init(&found, YOI_JSON_BYTES_MAX);
  if (o->st == YOI_OK && c->op == YOI_OP_BUNDLE_DELETE)
    o->st = have(c, o->text, &found, &o->error.e);
  yoi_sdk_buf_release(&found);
  int32_t code = o->error.e.code;
  if (o->st != YOI_OK && (o->again || code == YOI_CODE_WORKER_NOT_FOUND ||
                          code == YOI_CODE_BUNDLE_NOT_FOUND || code == YOI_CODE_TIMEOUT)) {
    on_done(c, o);
    return;
  }
  rem_ask_free(c->ask);
  c->ask = c->then;
  c->then = NULL;
  rem_ask_send(c->ask);
}

static const struct rem_ask_handler looked = {.done = on_looked};

/* ---- the consumer ------------------------------------------------------------ */

static void cancel_here(struct rem_call *c) {
  if (!c->ask) return;
  drop_asks(c);
  yoi_sdk_queue_fail(c->queue, YOI_CANCELLED, NULL);
}

static void cancel_task(void *ctx) {
  struct rem_call *c = ctx;
  atomic_fetch_sub(&c->tasks, 1u);
  if (!c->released) cancel_here(c);
  settled(c);
}

static void on_cancel(void *ctx) {
  struct rem_call *c = ctx;
  if (rem_here(c->i) == c->loop && atomic_load(&c->tasks) == 0)
    cancel_here(c);
  else
    (void)post(c, cancel_task);
}

static void release_here(struct rem_call *c) {
  drop_asks(c);
  c->released = 1;
  settled(c);
}

static void release_task(void *ctx) {
  struct rem_call *c = ctx;
  atomic_fetch_sub(&c->tasks, 1u);
  release_here(c);
}

static void on_release(void *ctx) {
  struct rem_call *c = ctx;
  if (rem_here(c->i) == c->loop)
    release_here(c);
  else
    (void)post(c, release_task);
}

static void send_task(void *ctx) {
  struct rem_call *c = ctx;
  atomic_fetch_sub(&c->tasks, 1u);
  if (!c->released && c->ask) rem_ask_send(c->ask);
  settled(c);
}

/* ---- starting ----------------------------------------------------------------- */

static yoi_status make(struct rem_instance *i, const yoi_request *req, struct rem_call **out,
                       yoi_error *err) {
  struct rem_call *c = yoi_sdk_calloc(1, sizeof *c);
  if (!c) return yoi_sdk_fail_memory(err);
  c->i = i;
  c->op = req->op;
  c->loop = rem_loop_for(i, req->worker_id);
  if (req->subject.len > 0 && req->subject.len < sizeof c->subject)
    memcpy(c->subject, req->subject.ptr, req->subject.len);
  yoi_status st =
      rem_ask_new(i, req, REM_UNARY, i->config.retries, &handler, c, &c->ask, err);
  if (st == YOI_OK && (c->op == YOI_OP_WORKER_DELETE || c->op == YOI_OP_BUNDLE_DELETE)) {
    yoi_request look = *req;
    look.op = c->op == YOI_OP_WORKER_DELETE ? YOI_OP_WORKER_GET : YOI_OP_BUNDLE_HAVE;
    look.body = (yoi_str){0};
    c->then = c->ask;
    c->ask = NULL;
    st = rem_ask_new(i, &look, REM_UNARY, i->config.retries, &looked, c, &c->ask, err);
  }
  if (st == YOI_OK) {
    c->queue = yoi_sdk_queue_new(i->host, req->token, YOI_JSON_BYTES_MAX, on_cancel, on_release, c);
    if (!c->queue) st = yoi_sdk_fail_memory(err);
  }
  if (st != YOI_OK) {
    drop_asks(c);
    yoi_sdk_free(c);
    return st;
  }
  pthread_mutex_lock(&i->mu);
  c->next = i->calls;
  if (c->next) c->next->prev = c;
  i->calls = c;
  pthread_mutex_unlock(&i->mu);
  *out = c;
  return YOI_OK;
}

yoi_status rem_call_start(struct rem_instance *i, const yoi_request *req, yoi_stream **out,
                          yoi_error *err) {
  struct rem_call *c = NULL;
  if (req->op == YOI_OP_RUNTIME_DESCRIBE && rem_health_down(i, err))
    return yoi_sdk_code_status(err ? err->code : YOI_CODE_RUNTIME_UNAVAILABLE);
  yoi_status st = make(i, req, &c, err);
  if (st != YOI_OK) return st;
  yoi_stream *stream = yoi_sdk_queue_stream(c->queue);
  if (rem_here(i) == c->loop) {
    rem_ask_send(c->ask);
  } else if (!post(c, send_task)) {
    stream->ops->release(stream); /* off its loop; close finds it */
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is closing");
  }
  *out = stream;
  return YOI_OK;
}
