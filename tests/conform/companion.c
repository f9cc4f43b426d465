/* companion.c - the model of companion.h. It needs no queue and no timer: what it
 * says is known at start, and what it waits for is a cancel.
 */
#include "companion.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/str.h>
#include <yoi/model.h>

static const char manifest[] =
    "{\"manifest\":\"yoi.plugin/1\",\"id\":\"" COMPANION_MODEL "\",\"kind\":\"model\","
    "\"version\":\"1.0.0\",\"abi\":1,\"interfaces\":[\"yoi.model/1\"],\"threads\":\"parallel\","
    "\"config\":{\"type\":\"object\",\"additionalProperties\":false}}";

struct talk {
  yoi_stream head;
  const yoi_host *host;
  uint64_t token;
  int waits, calls, eager;
  unsigned pieces, said, asked;
  _Atomic int cancelled;
};

static const char pieces[] = "one two three four five six seven eight ";

static const yoi_event piece = {.size = sizeof piece,
                                .kind = YOI_EVENT_MODEL_TEXT,
                                .text = {pieces, sizeof pieces - 1}};
static const yoi_event ok = {
    .size = sizeof ok, .kind = YOI_EVENT_MODEL_TEXT, .text = {"ok", 2}};
static const yoi_event finish = {.size = sizeof finish,
                                 .kind = YOI_EVENT_MODEL_FINISH,
                                 .text = {"{\"finish_reason\":\"stop\"}", 24}};
static const char wish[] =
    "{\"id\":\"call-1\",\"name\":\"" COMPANION_TOOL_NAME "\",\"arguments\":\"{}\"}";
static const yoi_event call = {
    .size = sizeof call, .kind = YOI_EVENT_MODEL_TOOL_CALL, .text = {wish, sizeof wish - 1}};
static const yoi_event called = {.size = sizeof called,
                                 .kind = YOI_EVENT_MODEL_FINISH,
                                 .text = {"{\"finish_reason\":\"tool_calls\"}", 30}};
static const yoi_event *const events[] = {&piece, &ok, &finish, &call, &called};

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)(void *)s;
  if (atomic_load(&t->cancelled)) {
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  if (t->waits) return YOI_AGAIN;
  if (t->eager && t->asked++ % 2 == 0) {
    t->host->wake(t->host, t->token); /* news, before anybody can have waited for it */
    return YOI_AGAIN;
  }
  if (t->said > t->pieces) return YOI_END;
  unsigned last = t->said == t->pieces;
  *out = &events[last ? (t->calls ? 4 : 2) : t->calls ? 3 : t->pieces > 1 ? 0 : 1];
  *out_n = 1;
  t->said++;
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

static yoi_status open_model(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  (void)config, (void)err;
  memcpy(out_self, &host, sizeof host);
  return YOI_OK;
}

static void close_model(void *self) {
  (void)self;
}

static int says(yoi_str message, const char *word) {
  return memmem(message.ptr, message.len, word, strlen(word)) != NULL;
}

static yoi_status start(void *self, const yoi_model_request *req, yoi_stream **out,
                        yoi_error *err) {
  struct talk *t = calloc(1, sizeof *t);
  if (!t) return yoi_sdk_fail_memory(err);
  yoi_str last = req->n_messages ? req->messages[req->n_messages - 1] : (yoi_str){NULL, 0};
  t->head.ops = &ops;
  t->host = self;
  t->token = req->token;
  t->waits = says(last, "wait");
  t->pieces = says(last, "long") ? 8 : 1;
  t->calls = says(last, "count");
  t->eager = says(last, "eager");
  if (t->eager) t->host->wake(t->host, t->token);
  *out = &t->head;
  return YOI_OK;
}

static const yoi_model table = {.size = sizeof table,
                                .thread_model = YOI_PARALLEL,
                                .open = open_model,
                                .close = close_model,
                                .start = start};

static const void *get_interface(yoi_str id) {
  return yoi_sdk_str_is(id, YOI_MODEL_ID) ? &table : NULL;
}

static const yoi_plugin *entry(void) {
  static const yoi_plugin plugin = {.size = sizeof plugin,
                                    .abi_minor = YOI_ABI_MINOR,
                                    .kind = YOI_KIND_MODEL,
                                    .id = {COMPANION_MODEL, sizeof COMPANION_MODEL - 1},
                                    .version = {"1.0.0", 5},
                                    .get_interface = get_interface};
  return &plugin;
}

const yoi_linked_plugin companion_model = {.size = sizeof companion_model,
                                           .entry = entry,
                                           .manifest = manifest,
                                           .manifest_end = manifest + sizeof manifest - 1};
