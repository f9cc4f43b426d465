/* runtime.c - the runtime in memory of this tree, with answers that are changed on
 * their way: how each promise of runtimes and of workers is broken.
 *
 * Its plugin.c is linked in under a name of its own, as in the static build.
 */
#include <yoi/runtime.h>

#include "common.h"

#include <pthread.h>
#include <stdio.h>

#include <yoi/host_model.h>
#include <yoi/host_turn.h>

#define BREAKS(X)                                                                                \
  X(none) X(runtime_describe) X(runtime_unary) X(runtime_list) X(runtime_unknown_op)             \
  X(runtime_unknown_flags) X(runtime_error_text) X(worker_create) X(worker_create_replay)        \
  X(worker_create_conflict) X(worker_unknown) X(worker_stop) X(worker_delete) X(worker_follow)   \
  X(worker_input_replay) X(worker_busy) X(worker_cancel) X(worker_watch_is_no_hold)              \
  X(worker_transcript) X(worker_resume) X(worker_cursors) X(worker_watch_deleted) X(worker_drain) \
  X(worker_wake_inside) X(worker_tool_call) X(approval_listed) X(approval_allow)                 \
  X(approval_deny) X(approval_conflict) X(approval_unknown) X(bundle_put) X(bundle_digest)       \
  X(bundle_get) X(bundle_list) X(bundle_delete) X(none_once) X(none_few)                         \
  X(worker_transcript_none) X(worker_resume_none) X(worker_drain_error)
enum { BREAKS(ENUM) };

#define ANSWER_MAX 65536

extern const yoi_plugin *YOI_PLUGIN_NAMED(embedded)(void);

static const yoi_runtime *inner(void) {
  return YOI_PLUGIN_NAMED(embedded)()->get_interface(YOI_LIT(YOI_RUNTIME_ID));
}

/* ---- a stream whose events are changed --------------------------------------------- */

struct filter {
  yoi_stream head;
  yoi_stream *inner;
  uint32_t op, flags;
  const char *from, *to; /* in texts */
  uint32_t drop;         /* a kind of event that does not come through */
  int seen;
  void *self;            /* the runtime, for what a release does */
  char worker[128];
  yoi_event event;
  const yoi_event *kept[64];
  yoi_event lost[64];
  size_t n_lost;
  char text[ANSWER_MAX];
};

/* That event as it is to be seen; one of a batch is another one, at most. */
static const yoi_event *changed(struct filter *f, const yoi_event *e) {
  const char *at = f->from ? memmem(e->text.ptr, e->text.len, f->from, strlen(f->from)) : NULL;
  int news = IS(worker_create) && f->op == YOI_OP_WORKER_CREATE;
  int lost = IS(worker_resume_none) && f->op == YOI_OP_WORKER_EVENTS && f->flags & YOI_REQ_ONCE;
  if (lost) {
    yoi_event *copy = &f->lost[f->n_lost++ % 64];
    *copy = *e;
    copy->cursor = (yoi_str){NULL, 0};
    return copy;
  }
  if ((!at && !news) || e->text.len + 256 > sizeof f->text) return e;
  f->event = *e;
  if (news) f->event.flags = 0;
  if (!at) return &f->event;
  size_t head = (size_t)(at - e->text.ptr), tail = e->text.len - head - strlen(f->from);
  int n = snprintf(f->text, sizeof f->text, "%.*s%s%.*s", (int)head, e->text.ptr, f->to, (int)tail,
                   at + strlen(f->from));
  f->event.text = (yoi_str){f->text, (size_t)n};
  return &f->event;
}

/* Another error in place of the right one. */
static yoi_status worsen(uint32_t op, yoi_status st, yoi_error *err) {
  if (IS(runtime_unknown_op) && op > 1000)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "what is that");
  if (IS(runtime_error_text) && op > 1000)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "This is not supported.");
  int32_t code = err ? err->code : 0;
  if (IS(worker_unknown) && op == YOI_OP_WORKER_CANCEL && code == YOI_CODE_WORKER_NOT_FOUND)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "there is none");
  if (IS(worker_delete) && op == YOI_OP_WORKER_DELETE && code == YOI_CODE_WORKER_NOT_STOPPED)
    return yoi_sdk_fail(err, YOI_CODE_WORKER_BUSY, "it is not stopped");
  if (IS(worker_drain) && op == YOI_OP_WORKER_INPUT && code == YOI_CODE_SHUTTING_DOWN)
    return yoi_sdk_fail(err, YOI_CODE_WORKER_BUSY, "it ends");
  if (IS(approval_conflict) && code == YOI_CODE_APPROVAL_CONFLICT)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "it was decided");
  if (IS(approval_unknown) && code == YOI_CODE_APPROVAL_NOT_FOUND)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "there is none");
  if (IS(bundle_digest) && code == YOI_CODE_BUNDLE_DIGEST_MISMATCH)
    return yoi_sdk_fail(err, YOI_CODE_BUNDLE_INVALID, "it is another one");
  if (IS(bundle_delete) && op == YOI_OP_BUNDLE_HAVE && code == YOI_CODE_BUNDLE_NOT_FOUND)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "there is none");
  return st;
}

static yoi_status filter_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                              yoi_error *err) {
  struct filter *f = (struct filter *)(void *)s;
  const yoi_event *const *events;
  size_t n = 0, k = 0;
  yoi_status st = f->inner->ops->next(f->inner, &events, &n, err);
  if (st > YOI_OK) return worsen(f->op, st, err);
  if (st != YOI_OK) return st;
  for (size_t i = 0; i < n && k < 63; i++)
    if (!f->drop || events[i]->kind != f->drop) f->kept[k++] = changed(f, events[i]);
  if (k == 0) return filter_next(s, out, out_n, err);
  if (IS(runtime_unary) && f->op == YOI_OP_WORKER_LIST) f->kept[k++] = events[0];
  *out = f->kept;
  *out_n = k;
  return YOI_OK;
}

static void filter_cancel(yoi_stream *s) {
  struct filter *f = (struct filter *)(void *)s;
  f->inner->ops->cancel(f->inner);
}

static void filter_release(yoi_stream *s) {
  struct filter *f = (struct filter *)(void *)s;
  if (!f) return;
  f->inner->ops->release(f->inner);
  if (IS(worker_watch_is_no_hold) && f->op == YOI_OP_WORKER_INPUT &&
      (f->flags & YOI_REQ_FOLLOW) != 0) {
    yoi_request stop = {.size = sizeof stop,
                        .op = YOI_OP_WORKER_CANCEL,
                        .origin = YOI_ORIGIN_EMBED,
                        .worker_id = yoi_sdk_str(f->worker),
                        .principal = YOI_LIT("embed")};
    yoi_stream *done = NULL;
    if (inner()->start(f->self, &stop, &done, NULL) == YOI_OK) done->ops->release(done);
  }
  free(f);
}

static const yoi_stream_ops filter_ops = {
    .size = sizeof filter_ops, .next = filter_next, .cancel = filter_cancel,
    .release = filter_release};

/* ---- which operation is broken how ------------------------------------------------- */

static void aim(struct filter *f) {
  uint32_t op = f->op;
  if (IS(none_few) && op == YOI_OP_RUNTIME_DESCRIBE)
    f->from = "\"capabilities\":[",
    f->to = "\"capabilities\":[\"worker.create\",\"worker.input\"],\"of_all\":[";
  if (IS(runtime_describe) && op == YOI_OP_RUNTIME_DESCRIBE)
    f->from = "\"instance_id\"", f->to = "\"instance\"";
  if (IS(runtime_list) && op == YOI_OP_WORKER_LIST) f->from = "\"next\"", f->to = "\"more\"";
  if (IS(worker_stop) && op == YOI_OP_WORKER_GET) f->from = "\"stopped\"", f->to = "\"idle\"";
  if (IS(worker_follow) && op == YOI_OP_WORKER_INPUT && f->flags & YOI_REQ_FOLLOW)
    f->drop = YOI_EVENT_ACK;
  if (IS(worker_cancel) && op == YOI_OP_WORKER_INPUT)
    f->from = "\"state\":\"cancelled\"", f->to = "\"state\":\"completed\"";
  if (IS(worker_transcript) && op == YOI_OP_WORKER_TRANSCRIPT)
    f->from = "\"text\":\"ok\"", f->to = "\"text\":\"no\"";
  if (IS(worker_transcript_none) && op == YOI_OP_WORKER_TRANSCRIPT)
    f->from = "\"items\":[", f->to = "\"items\":[],\"others\":[";
  if (IS(worker_transcript_none) && op == YOI_OP_WORKER_EVENTS && f->flags & YOI_REQ_ONCE)
    f->drop = YOI_EVENT_MESSAGE_COMPLETED;
  if (IS(worker_watch_deleted) && op == YOI_OP_WORKER_EVENTS && !(f->flags & YOI_REQ_ONCE))
    f->from = "\"worker_deleted\"", f->to = "\"lagged\"";
  if (IS(worker_resume) && op == YOI_OP_WORKER_EVENTS && f->flags & YOI_REQ_ONCE && f->seen)
    f->drop = YOI_EVENT_TURN_STARTED;
  if (IS(worker_tool_call) && op == YOI_OP_WORKER_INPUT)
    f->from = "\"status\":\"ok\"", f->to = "\"status\":\"error\"";
  if (IS(approval_listed) && op == YOI_OP_WORKER_APPROVALS)
    f->from = "\"approval_id\"", f->to = "\"id\"";
  if (IS(approval_allow) && op == YOI_OP_WORKER_APPROVALS)
    f->from = "\"approvals\":[]", f->to = "\"approvals\":[{}]";
  if (IS(bundle_put) && op == YOI_OP_BUNDLE_PUT) f->from = "\"digest\"", f->to = "\"name\"";
  if (IS(bundle_get) && op == YOI_OP_BUNDLE_GET)
    f->from = ",\"revision\"", f->to = ", \"revision\"";
  if (IS(bundle_list) && op == YOI_OP_BUNDLE_LIST) f->from = "\"next\"", f->to = "\"more\"";
}

/* What is changed of a request; 1: it is answered here. */
static int meddle(yoi_request *r, yoi_status *st, yoi_error *err) {
  int once = r->op == YOI_OP_WORKER_EVENTS && r->flags & YOI_REQ_ONCE;
  if (IS(none_few) && r->op != YOI_OP_RUNTIME_DESCRIBE && r->op != YOI_OP_WORKER_CREATE &&
      r->op != YOI_OP_WORKER_INPUT) {
    *st = yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "it does not do that");
    return 1;
  }
  if (IS(worker_create_replay) && r->op == YOI_OP_WORKER_CREATE && r->idempotency_key.len &&
      memmem(r->body.ptr, r->body.len, "Other", 5)) {
    *st = yoi_sdk_fail(err, YOI_CODE_WORKER_CONFLICT, "the id is taken");
    return 1;
  }
  if (IS(worker_create_conflict) && r->op == YOI_OP_WORKER_CREATE && !r->idempotency_key.len &&
      memmem(r->body.ptr, r->body.len, "Other", 5)) {
    *st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "that went wrong");
    return 1;
  }
  if (IS(worker_input_replay) && r->op == YOI_OP_WORKER_INPUT &&
      memmem(r->body.ptr, r->body.len, "other", 5)) {
    *st = yoi_sdk_fail(err, YOI_CODE_WORKER_BUSY, "it is at work");
    return 1;
  }
  if (IS(worker_busy) && r->op == YOI_OP_WORKER_INPUT &&
      memmem(r->body.ptr, r->body.len, "\"x\"", 3))
    r->body = YOI_LIT("{\"content\":\"x\",\"on_busy\":\"queue\"}");
  if (IS(none_once) && once) {
    *st = yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "there is no such flag");
    return 1;
  }
  if (IS(worker_cursors) && once && memmem(r->body.ptr, r->body.len, "etc", 3)) r->body.len = 0;
  if (IS(approval_deny) && r->op == YOI_OP_WORKER_APPROVE &&
      memmem(r->body.ptr, r->body.len, "reason", 6))
    r->body = YOI_LIT("{\"decision\":\"allow\"}");
  if (IS(runtime_unknown_flags)) r->flags &= YOI_REQ_FOLLOW | YOI_REQ_ONCE | YOI_REQ_WORKSPACE;
  return 0;
}

static yoi_status broken_start(void *self, const yoi_request *req, yoi_stream **out,
                               yoi_error *err) {
  static unsigned replays;
  yoi_request r = {.size = sizeof r};
  yoi_status st = YOI_OK;
  if (req->size > sizeof r || IS(none)) return inner()->start(self, req, out, err);
  memcpy(&r, req, req->size);
  r.size = sizeof r;
  if (meddle(&r, &st, err)) return st;
  st = inner()->start(self, &r, out, err);
  if (st != YOI_OK) return worsen(r.op, st, err);
  struct filter *f = calloc(1, sizeof *f);
  if (!f) {
    (*out)->ops->release(*out);
    return yoi_sdk_fail_memory(err);
  }
  *f = (struct filter){.head = {&filter_ops}, .inner = *out, .op = r.op, .flags = r.flags,
                       .self = self};
  (void)snprintf(f->worker, sizeof f->worker, "%.*s", YOI_ARG(r.worker_id));
  if (r.op == YOI_OP_WORKER_EVENTS) f->seen = (int)replays++;
  aim(f);
  *out = &f->head;
  return YOI_OK;
}

/* ---- a lock that is held while a model is asked ------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const yoi_host *real;
static const yoi_host_model *models;

static yoi_status locked_start(const yoi_host *h, yoi_str name, const yoi_model_request *req,
                               yoi_stream **out, yoi_error *err) {
  pthread_mutex_lock(&lock);
  yoi_status st = models->start(real, name, req, out, err);
  pthread_mutex_unlock(&lock);
  (void)h;
  return st;
}

static const void *locked_interface(const yoi_host *h, yoi_str id) {
  static yoi_host_model table;
  const void *found = real->get_interface(real, id);
  (void)h;
  if (yoi_sdk_str_is(id, YOI_HOST_TURN_ID)) return NULL; /* the other way to a model */
  if (!found || !yoi_sdk_str_is(id, YOI_HOST_MODEL_ID)) return found;
  models = found;
  table = *models;
  table.start = locked_start;
  return &table;
}

static yoi_status broken_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  static yoi_host mine;
  if (IS(worker_wake_inside)) {
    real = host;
    mine = *host;
    mine.get_interface = locked_interface;
    host = &mine;
  }
  return inner()->open(host, config, out_self, err);
}

static void broken_close(void *self) {
  inner()->close(self);
}

static void broken_wake(void *self, uint64_t cookie) {
  if (IS(worker_wake_inside)) {
    if (pthread_mutex_trylock(&lock) != 0) abort(); /* where it would wait for itself */
    pthread_mutex_unlock(&lock);
  }
  inner()->wake(self, cookie);
}

static yoi_status broken_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                               yoi_error *err) {
  if (IS(worker_drain_error)) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "it does not");
  return inner()->drain(self, deadline_ns, token, out, err);
}

static const yoi_runtime broken_table = {.size = sizeof broken_table,
                                         .thread_model = YOI_PARALLEL,
                                         .open = broken_open,
                                         .close = broken_close,
                                         .start = broken_start,
                                         .wake = broken_wake,
                                         .drain = broken_drain};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.broken", "1.0.0", YOI_KIND_RUNTIME, YOI_RUNTIME_ID, broken_table);
