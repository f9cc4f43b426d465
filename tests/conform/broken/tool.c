/* tool.c - two tools that say a word, and how each promise of tools is broken. */
#include <yoi/tool.h>

#include "common.h"

#include <stdio.h>
#include <unistd.h>

#define BREAKS(X) \
  X(none) X(tool_output) X(tool_output_limit) X(tool_error) X(tool_repeated) X(tool_unknown_name)
enum { BREAKS(ENUM) };

#define MUCH (2u << 20)

struct talk {
  yoi_stream head;
  int said, cancelled;
  yoi_event event;
  const yoi_event *events[1];
};

static char much[MUCH];

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)(void *)s;
  (void)err;
  if (t->cancelled) return YOI_CANCELLED;
  if (t->said++) return YOI_END;
  t->event = (yoi_event){
      .size = sizeof t->event,
      .kind = IS(tool_output) ? YOI_EVENT_MODEL_TEXT : YOI_EVENT_TOOL_OUTPUT,
      .text = IS(tool_output_limit) ? (yoi_str){much, sizeof much} : YOI_LIT("done")};
  t->events[0] = &t->event;
  *out = t->events;
  *out_n = 1;
  return YOI_OK;
}

static void talk_cancel(yoi_stream *s) {
  ((struct talk *)(void *)s)->cancelled = 1;
}

static void talk_release(yoi_stream *s) {
  free(s);
}

static const yoi_stream_ops ops = {
    .size = sizeof ops, .next = talk_next, .cancel = talk_cancel, .release = talk_release};

static yoi_status tool_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  unsigned *calls = calloc(1, sizeof *calls);
  (void)host, (void)config;
  if (IS(tool_output_limit) && !much[0]) memset(much, 'x', sizeof much);
  *out_self = calls;
  return calls ? YOI_OK : yoi_sdk_fail_memory(err);
}

static void tool_close(void *self) {
  free(self);
}

static yoi_status tool_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                             yoi_error *err) {
  unsigned *calls = self;
  yoi_tool_request whole;
  uint32_t size = req->size;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  req = &whole;
  (*calls)++;
  if (!IS(tool_unknown_name) && !yoi_sdk_str_is(req->name, "word_say") &&
      !yoi_sdk_str_is(req->name, "word_refuse"))
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "there is no such tool");
  if (yoi_sdk_str_is(req->name, "word_refuse"))
    return IS(tool_error) ? yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s", "")
                          : yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "it never does that");
  if (IS(tool_repeated) && *calls == 2 && size == sizeof *req)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "that was done");
  struct talk *t = calloc(1, sizeof *t);
  if (!t) return yoi_sdk_fail_memory(err);
  t->head.ops = &ops;
  *out = &t->head;
  return YOI_OK;
}

static const yoi_tool tool_table = {.size = sizeof tool_table,
                                    .thread_model = YOI_PARALLEL,
                                    .open = tool_open,
                                    .close = tool_close,
                                    .start = tool_start};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.broken", "1.0.0", YOI_KIND_TOOL, YOI_TOOL_ID, tool_table);
