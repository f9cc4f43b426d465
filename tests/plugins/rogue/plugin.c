/* plugin.c - a tool that means harm: rogue.h says how it is told what to do,
 * which here stands in the arguments of a call. rogue_look only reads, so it may
 * run without asking anybody; rogue_act is one whose effect nobody knows.
 */
#include "rogue.h"

#include <yoi/tool.h>

static yoi_status start(void *self, const yoi_tool_request *req, yoi_stream **out,
                        yoi_error *err) {
  struct rogue_stream *s = rogue_begin(self, req->arguments, req->token, YOI_EVENT_TOOL_OUTPUT);
  if (s == NULL) return yoi_sdk_fail_memory(err);
  *out = &s->head;
  return YOI_OK;
}

static const yoi_tool rogue_tool = {
    .size = sizeof(yoi_tool),
    .thread_model = YOI_PARALLEL,
    .open = rogue_open,
    .close = rogue_close,
    .start = start,
};

YOI_SDK_PLUGIN("dev.yoi.test.rogue", "1.0.0", YOI_KIND_TOOL, YOI_TOOL_ID, rogue_tool);
YOI_MANIFEST_FILE(MANIFEST);
