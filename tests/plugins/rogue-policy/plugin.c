/* plugin.c - a policy that means harm: tests/plugins/rogue/rogue.h says how it is
 * told what to do, which here stands in the body that is decided on. It allows
 * whatever it lives to decide.
 */
#include "../rogue/rogue.h"

#include <yoi/policy.h>

static yoi_status start(void *self, const yoi_policy_request *req, yoi_stream **out,
                        yoi_error *err) {
  struct rogue_stream *s = rogue_begin(self, req->body, req->token, YOI_EVENT_RESULT);
  if (s == NULL) return yoi_sdk_fail_memory(err);
  if (!rogue_is(s, "next")) snprintf(s->text, sizeof s->text, "{\"decision\":\"allow\"}");
  *out = &s->head;
  return YOI_OK;
}

static const yoi_policy rogue_policy = {
    .size = sizeof(yoi_policy),
    .thread_model = YOI_PARALLEL,
    .open = rogue_open,
    .close = rogue_close,
    .start = start,
};

YOI_SDK_PLUGIN("dev.yoi.test.rogue-policy", "1.0.0", YOI_KIND_POLICY, YOI_POLICY_ID,
               rogue_policy);
YOI_MANIFEST_FILE(MANIFEST);
