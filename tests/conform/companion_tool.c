/* companion_tool.c - the tool of companion.h: what it does can be counted. */
#include "companion.h"

#include <stdatomic.h>
#include <stddef.h>

#include <sdk/error.h>
#include <sdk/str.h>
#include <sdk/stream.h>
#include <sdk/take.h>
#include <yoi/tool.h>

static const char manifest[] =
    "{\"manifest\":\"yoi.plugin/1\",\"id\":\"" COMPANION_TOOL "\",\"kind\":\"tool\","
    "\"version\":\"1.0.0\",\"abi\":1,\"interfaces\":[\"yoi.tool/1\"],\"threads\":\"parallel\","
    "\"config\":{\"type\":\"object\",\"additionalProperties\":false},"
    "\"tools\":[{\"name\":\"" COMPANION_TOOL_NAME "\",\"description\":\"Counts.\","
    "\"parameters\":{\"type\":\"object\",\"additionalProperties\":false},\"read_only\":true}]}";

static _Atomic unsigned counted;

unsigned companion_counted(void) {
  return atomic_load(&counted);
}

static yoi_status open_tool(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  (void)host, (void)config, (void)out_self, (void)err;
  return YOI_OK;
}

static void close_tool(void *self) {
  (void)self;
}

static yoi_status start(void *self, const yoi_tool_request *req, yoi_stream **out,
                        yoi_error *err) {
  yoi_tool_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  (void)self;
  if (st != YOI_OK) return st;
  *out = yoi_sdk_stream_output(YOI_LIT("done"));
  if (!*out) return yoi_sdk_fail_memory(err);
  atomic_fetch_add(&counted, 1u);
  return YOI_OK;
}

static const yoi_tool table = {.size = sizeof table,
                               .thread_model = YOI_PARALLEL,
                               .open = open_tool,
                               .close = close_tool,
                               .start = start};

const yoi_linked_plugin companion_tool = {
    .size = sizeof companion_tool, .manifest = manifest, .table = &table};
