/* plugin.c - a policy in fifty lines: some may have tools that only read.
 *
 * docs/write-a-policy.md goes through it. config: `readers`, the principals whose
 * workers may change nothing.
 */
#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>
#include <sdk/take.h>
#include <yoi/policy.h>
#include <yoi/tool.h>

struct readers {
  yoi_sdk_json *config; /* never changes, so that any thread may read it */
};

static yoi_status readers_open(const yoi_host *host, yoi_str config, void **out_self,
                               yoi_error *err) {
  struct readers *r = yoi_sdk_calloc(1, sizeof *r);
  (void)host;
  if (!r || yoi_sdk_json_parse(config, 0, &r->config, NULL) != YOI_OK) {
    yoi_sdk_free(r);
    return yoi_sdk_fail_memory(err);
  }
  *out_self = r;
  return YOI_OK;
}

static void readers_close(void *self) {
  struct readers *r = self;
  yoi_sdk_json_free(r->config);
  yoi_sdk_free(r);
}

static int is_reader(const struct readers *r, yoi_str principal) {
  const yoi_sdk_json *e = yoi_sdk_json_first(yoi_sdk_json_get(r->config, "readers"));
  yoi_str name = {"", 0};
  while (e && yoi_sdk_json_str(e, &name) && !yoi_sdk_str_eq(name, principal))
    e = yoi_sdk_json_next(e);
  return e != NULL;
}

static yoi_status readers_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                                yoi_error *err) {
  yoi_str answer = YOI_LIT("{\"decision\":\"abstain\"}");
  yoi_policy_request whole; /* be the host an older one or a newer */
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  int changes = yoi_sdk_str_is(whole.operation, "tool.start") &&
                (whole.tool_flags & YOI_TOOL_READ_ONLY) == 0;
  if (changes && is_reader(self, whole.principal))
    answer = YOI_LIT("{\"decision\":\"deny\",\"rule\":\"readers\","
                     "\"reason\":\"you may only look\"}");
  *out = yoi_sdk_stream_one(answer, 0);
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_policy readers_policy = {
    .size = sizeof(yoi_policy),
    .thread_model = YOI_PARALLEL,
    .open = readers_open,
    .close = readers_close,
    .start = readers_start,
};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.readers", "1.0.0", YOI_KIND_POLICY, YOI_POLICY_ID, readers_policy);
