/* plugin.c - a plugin of an earlier minor: compiled once per kind and minor against the
 * headers as they were then (tests/abi/headers), and tested by today's kit.
 *
 * It is what somebody wrote at the time, by the headers alone: nothing of the sdk,
 * and nothing that came later. IS_runtime, IS_model or IS_policy
 * says of which kind. It keeps to the rule about tails: today's host has to be
 * understood by one that knows less.
 */
#include <yoi/plugin.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yoi/host.h>
#include <yoi/ops.h>
#include <yoi/request.h>
#include <yoi/stream.h>
#if defined(IS_model)
#include <yoi/model.h>
#elif defined(IS_policy)
#include <yoi/policy.h>
#else
#include <yoi/runtime.h>
#endif

#define TEXT(s) {s, sizeof(s) - 1}
#define ID "dev.yoi.test.frozen"

static yoi_status refuse(yoi_error *err, yoi_status st, int32_t code, const char *why) {
  if (!err) return st;
  err->code = code;
  if (err->message_cap) (void)snprintf(err->message, err->message_cap, "%s", why);
  return st;
}

/* Copies what the caller knows into a whole one of ours. */
static yoi_status take(void *own, uint32_t own_size, const void *from, yoi_error *err) {
  uint32_t size;
  memcpy(&size, from, sizeof size);
  for (uint32_t i = own_size; i < size; i++)
    if (((const char *)from)[i])
      return refuse(err, YOI_UNIMPLEMENTED, YOI_CODE_UNSUPPORTED_OPERATION,
                    "the request asks for something that this plugin does not know");
  memset(own, 0, own_size);
  memcpy(own, from, size < own_size ? size : own_size);
  return YOI_OK;
}

/* ---- a stream that says what it has, and ends --------------------------------- */

struct talk {
  yoi_stream head;
  const yoi_host *host;
  uint64_t token;
  const yoi_event *const *events;
  size_t n;
  _Atomic int cancelled;
};

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)(void *)s;
  if (atomic_load(&t->cancelled)) return refuse(err, YOI_CANCELLED, 0, "it was cancelled");
  if (!t->n) return YOI_END;
  *out = t->events++;
  *out_n = 1;
  t->n--;
  return YOI_OK;
}

static void talk_cancel(yoi_stream *s) {
  struct talk *t = (struct talk *)(void *)s;
  if (!atomic_exchange(&t->cancelled, 1)) t->host->wake(t->host, t->token);
}

static void talk_release(yoi_stream *s) {
  free(s);
}

static const yoi_stream_ops ops = {
    .size = sizeof ops, .next = talk_next, .cancel = talk_cancel, .release = talk_release};

static yoi_status say(void *self, uint64_t token, const yoi_event *const *events, size_t n,
                      yoi_stream **out, yoi_error *err) {
  struct talk *t = calloc(1, sizeof *t);
  if (!t) return refuse(err, YOI_RESOURCE_EXHAUSTED, 0, "memory is short");
  t->head.ops = &ops;
  memcpy(&t->host, self, sizeof t->host);
  t->token = token;
  t->events = events;
  t->n = n;
  *out = &t->head;
  return YOI_OK;
}

/* ---- the instance --------------------------------------------------------------- */

static yoi_status open_it(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  const yoi_host **self = malloc(sizeof *self);
  (void)config;
  if (!self) return refuse(err, YOI_RESOURCE_EXHAUSTED, 0, "memory is short");
  *self = host;
  *out_self = self;
  return YOI_OK;
}

static void close_it(void *self) {
  free(self);
}

#if defined(IS_model)
#define INTERFACE YOI_MODEL_ID
#define PLUGIN_KIND YOI_KIND_MODEL
static const yoi_event hello = {
    .size = sizeof hello, .kind = YOI_EVENT_MODEL_TEXT, .text = TEXT("hello")};
static const yoi_event finish = {.size = sizeof finish,
                                 .kind = YOI_EVENT_MODEL_FINISH,
                                 .text = TEXT("{\"finish_reason\":\"stop\"}")};
static const yoi_event *const events[] = {&hello, &finish};

static yoi_status start(void *self, const yoi_model_request *from, yoi_stream **out,
                        yoi_error *err) {
  yoi_model_request req;
  yoi_status st = take(&req, sizeof req, from, err);
  for (size_t i = 0; st == YOI_OK && i < req.n_messages; i++)
    if (!req.messages[i].len || req.messages[i].ptr[0] != '{') {
      st = refuse(err, YOI_INVALID_ARGUMENT, YOI_CODE_MODEL_ERROR, "a message is no object");
      if (err && err->details_cap)
        (void)snprintf(err->details, err->details_cap,
                       "{\"kind\":\"invalid_request\",\"retryable\":false}");
    }
  return st == YOI_OK ? say(self, req.token, events, 2, out, err) : st;
}

static const yoi_model table = {
    .size = sizeof table, .thread_model = YOI_PARALLEL, .open = open_it, .close = close_it,
    .start = start};

#elif defined(IS_policy)
#define INTERFACE YOI_POLICY_ID
#define PLUGIN_KIND YOI_KIND_POLICY
static const yoi_event allow = {
    .size = sizeof allow, .kind = YOI_EVENT_RESULT, .text = TEXT("{\"decision\":\"allow\"}")};
static const yoi_event *const events[] = {&allow};

static yoi_status start(void *self, const yoi_policy_request *from, yoi_stream **out,
                        yoi_error *err) {
  yoi_policy_request req;
  yoi_status st = take(&req, sizeof req, from, err);
  return st == YOI_OK ? say(self, req.token, events, 1, out, err) : st;
}

static const yoi_policy table = {
    .size = sizeof table, .thread_model = YOI_PARALLEL, .open = open_it, .close = close_it,
    .start = start};

#else
#define INTERFACE YOI_RUNTIME_ID
#define PLUGIN_KIND YOI_KIND_RUNTIME
static const yoi_event about = {
    .size = sizeof about,
    .kind = YOI_EVENT_RESULT,
    .text = TEXT("{\"runtime\":{\"display_name\":\"Frozen\",\"kind\":\"frozen\",\"version\":"
                 "\"1.0.0\",\"api_version\":\"1\",\"instance_id\":\"frozen\",\"state_kind\":"
                 "\"memory\",\"status\":\"ready\",\"capabilities\":[\"runtime.describe\","
                 "\"worker.list\"],\"limits\":{},\"counts\":{\"workers\":0},"
                 "\"diagnostics\":[]}}")};
static const yoi_event none = {.size = sizeof none,
                               .kind = YOI_EVENT_RESULT,
                               .text = TEXT("{\"workers\":[],\"next\":null}")};
static const yoi_event *const events[] = {&about, &none};

static yoi_status start(void *self, const yoi_request *from, yoi_stream **out, yoi_error *err) {
  yoi_request req;
  yoi_status st = take(&req, sizeof req, from, err);
  if (st != YOI_OK) return st;
  if (req.flags || (req.op != YOI_OP_RUNTIME_DESCRIBE && req.op != YOI_OP_WORKER_LIST))
    return refuse(err, YOI_UNIMPLEMENTED, YOI_CODE_UNSUPPORTED_OPERATION,
                  "this runtime does not know the operation");
  return say(self, req.token, &events[req.op == YOI_OP_WORKER_LIST], 1, out, err);
}

static const yoi_runtime table = {
    .size = sizeof table, .thread_model = YOI_PARALLEL, .open = open_it, .close = close_it,
    .start = start};
#endif

static const void *get_interface(yoi_str id) {
  return id.len == sizeof INTERFACE - 1 && memcmp(id.ptr, INTERFACE, id.len) == 0 ? &table : NULL;
}

const yoi_plugin *yoi_plugin_entry_v1(void) {
  static const yoi_plugin plugin = {.size = sizeof plugin,
                                    .abi_minor = YOI_ABI_MINOR,
                                    .kind = PLUGIN_KIND,
                                    .id = TEXT(ID),
                                    .version = TEXT("1.0.0"),
                                    .get_interface = get_interface};
  return &plugin;
}

YOI_MANIFEST_FILE(MANIFEST);
