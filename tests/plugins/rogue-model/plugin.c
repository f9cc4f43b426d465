/* plugin.c - a model that means harm: tests/plugins/rogue/rogue.h says how it is
 * told what to do, which here stands in the last message.
 */
#include "../rogue/rogue.h"

#include <yoi/model.h>

static yoi_status start(void *self, const yoi_model_request *req, yoi_stream **out,
                        yoi_error *err) {
  yoi_str text = {"", 0};
  if (req->n_messages > 0) text = req->messages[req->n_messages - 1];
  struct rogue_stream *s = rogue_begin(self, text, req->token, YOI_EVENT_MODEL_TEXT);
  if (s == NULL) return yoi_sdk_fail_memory(err);
  s->last = YOI_LIT("{\"finish_reason\":\"stop\"}");
  s->last_kind = YOI_EVENT_MODEL_FINISH;
  *out = &s->head;
  return YOI_OK;
}

static const yoi_model rogue_model = {
    .size = sizeof(yoi_model),
    .thread_model = YOI_PARALLEL,
    .open = rogue_open,
    .close = rogue_close,
    .start = start,
};

YOI_SDK_PLUGIN("dev.yoi.test.rogue-model", "1.0.0", YOI_KIND_MODEL, YOI_MODEL_ID, rogue_model);
YOI_MANIFEST_FILE(MANIFEST);
