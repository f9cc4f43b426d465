/* plugin.c - tools that do nothing: each says with what arguments it was called.
 *
 * One of them only reads, by what its manifest says, the other one writes.
 */
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>
#include <yoi/limits.h>
#include <yoi/ops.h>
#include <yoi/tool.h>

static yoi_status pretend_open(const yoi_host *host, yoi_str config, void **out_self,
                               yoi_error *err) {
  const yoi_host **self = yoi_sdk_malloc(sizeof *self);
  (void)config;
  if (!self) return yoi_sdk_fail_memory(err);
  *self = host;
  *out_self = self;
  return YOI_OK;
}

static void pretend_close(void *self) {
  yoi_sdk_free(self);
}

static yoi_status pretend_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                                yoi_error *err) {
  const yoi_host *host = *(const yoi_host **)self;
  struct yoi_sdk_queue *q =
      yoi_sdk_queue_new(host, req->token, YOI_TOOL_OUTPUT_MAX, NULL, NULL, NULL);
  if (!q) return yoi_sdk_fail_memory(err);
  yoi_status st =
      yoi_sdk_queue_push(q, YOI_EVENT_TOOL_OUTPUT, 0, (yoi_str){NULL, 0}, req->arguments);
  if (st == YOI_OK) yoi_sdk_queue_finish(q);
  *out = yoi_sdk_queue_stream(q);
  yoi_sdk_queue_drop(q);
  return YOI_OK;
}

static const yoi_tool pretend_table = {
    .size = sizeof(yoi_tool),
    .thread_model = YOI_PARALLEL,
    .open = pretend_open,
    .close = pretend_close,
    .start = pretend_start,
};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.pretend", "1.0.0", YOI_KIND_TOOL, YOI_TOOL_ID, pretend_table);
