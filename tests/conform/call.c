/* call.c - a stream of the plugin, driven, with what it said kept.
 *
 * Who waits here is patient: next is asked again now and then also without a wake,
 * so that a lost wake fails the one test that looks for it and no other.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 20

static void keep(struct call *k, const yoi_event *e) {
  if (k->n == CALL_EVENTS_MAX) return;
  k->events = realloc(k->events, (k->n + 1) * sizeof *k->events);
  if (!k->events) abort();
  struct call_event *o = &k->events[k->n++];
  *o = (struct call_event){.kind = e->kind, .flags = e->flags, .len = e->text.len};
  o->text = strndup(e->text.len ? e->text.ptr : "", e->text.len);
  o->cursor = strndup(e->cursor.len ? e->cursor.ptr : "", e->cursor.len);
  if (!o->text || !o->cursor) abort();
}

int call_start(struct conform *c, struct rig_instance *i, struct call *out,
               void (*change)(union rig_request *req, void *ctx), void *ctx) {
  *out = (struct call){.status = YOI_OK};
  yoi_error *err = yoi_sdk_error_init(&out->error);
  if (!rig_token_new(c, &out->token)) abort();
  union rig_request *req = rig_request(c, i, &out->paper, out->token.token);
  if (change) change(req, ctx);
  out->status = rig_ask(c, i, req, &out->stream, err);
  paper_release(&out->paper);
  if (out->status != YOI_OK) out->stream = NULL;
  return out->stream != NULL;
}

void call_start_or_skip(struct conform *c, struct rig_instance *i, struct call *out) {
  if (!call_start(c, i, out, NULL, NULL))
    conform_skip(c, "start answers with an error, so there is no stream: %s", out->error.message);
}

struct op {
  uint32_t op, flags;
  yoi_str worker, subject, body, key;
};

static void change_op(union rig_request *req, void *ctx) {
  const struct op *o = ctx;
  req->runtime.op = o->op;
  req->runtime.flags = o->flags;
  req->runtime.worker_id = o->worker;
  req->runtime.subject = o->subject;
  req->runtime.body = o->body;
  req->runtime.idempotency_key = o->key;
}

int call_start_op(struct conform *c, struct rig_instance *i, uint32_t op, const char *worker,
                  const char *body, const char *key, uint32_t flags, struct call *out) {
  struct op o = {op, flags, yoi_sdk_str(worker), {NULL, 0}, yoi_sdk_str(body), yoi_sdk_str(key)};
  return call_start(c, i, out, change_op, &o);
}

void call_op(struct conform *c, struct rig_instance *i, uint32_t op, const char *worker,
             const char *body, const char *key, uint32_t flags, struct call *out) {
  if (call_start_op(c, i, op, worker, body, key, flags, out)) (void)call_finish(c, out, 10000);
  call_release(out);
}

void call_op_on(struct conform *c, struct rig_instance *i, uint32_t op, const char *worker,
                const char *subject, const char *body, struct call *out) {
  struct op o = {op, 0, yoi_sdk_str(worker), yoi_sdk_str(subject), yoi_sdk_str(body), {NULL, 0}};
  if (call_start(c, i, out, change_op, &o)) (void)call_finish(c, out, 10000);
  call_release(out);
}

yoi_status call_next(struct conform *c, struct call *k) {
  const yoi_event *const *events = NULL;
  size_t n = 0;
  (void)c;
  k->seen = atomic_load(&k->token.wakes->n);
  k->status = k->stream->ops->next(k->stream, &events, &n, yoi_sdk_error_init(&k->error));
  for (size_t i = 0; k->status == YOI_OK && i < n; i++) {
    if (events[i]->kind != YOI_EVENT_TOOL_STATUS) k->bytes += events[i]->text.len;
    keep(k, events[i]);
  }
  return k->status;
}

static void wait_for_news(struct conform *c, struct call *k) {
  uint64_t until = conform_now_ns() + PATIENCE_MS * 1000000ull;
  while (atomic_load(&k->token.wakes->n) == k->seen && conform_now_ns() < until) rig_pump(c, 5);
}

uint64_t call_share(const struct conform *c) {
  return conform_now_ns() + c->options->timeout_ms * 1000000ull / 3;
}

int call_finish(struct conform *c, struct call *k, uint32_t ms) {
  uint64_t until = conform_now_ns() + ms * 1000000ull;
  for (unsigned same = 0; k->stream && conform_now_ns() < until; same++) {
    yoi_status st = call_next(c, k);
    if (st == YOI_AGAIN) wait_for_news(c, k);
    else if (st != YOI_OK) return 1;
    if (same % 64 == 63) rig_pump(c, 0);
  }
  return 0;
}

const struct call_event *call_event(const struct call *k, uint32_t kind) {
  for (size_t i = 0; i < k->n; i++)
    if (k->events[i].kind == kind) return &k->events[i];
  return NULL;
}

const struct call_event *call_until(struct conform *c, struct call *k, uint32_t kind,
                                    uint32_t ms) {
  uint64_t until = conform_now_ns() + ms * 1000000ull;
  while (!call_event(k, kind) && k->stream && conform_now_ns() < until) {
    yoi_status st = call_next(c, k);
    if (st == YOI_AGAIN) wait_for_news(c, k);
    else if (st != YOI_OK) break;
  }
  return call_event(k, kind);
}

void call_release(struct call *k) {
  if (k->stream) k->stream->ops->release(k->stream);
  k->stream = NULL;
}
