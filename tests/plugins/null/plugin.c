/* plugin.c - the null runtime: the least that is one.
 *
 * It has no workers. It answers what it is, and refuses all else with the
 * code that callers know. docs/write-a-plugin.md goes through it line by
 * line; the benchmark calls it, because what it costs is the host's share.
 */
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>
#include <sdk/take.h>
#include <yoi/runtime.h>

static const char description[] =
    "{\"runtime\":{\"display_name\":\"Null\",\"kind\":\"null\",\"version\":\"1.0.0\","
    "\"api_version\":\"1\",\"instance_id\":\"null\",\"state_kind\":\"memory\","
    "\"status\":\"ready\",\"capabilities\":[\"runtime.describe\"],\"limits\":{},"
    "\"counts\":{\"workers\":0},\"diagnostics\":[]}}";

struct null {
  const yoi_host *host; /* where log, clock, models and the rest are found */
};

static yoi_status null_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  (void)config; /* fits the manifest's schema: there is nothing in it */
  struct null *n = yoi_sdk_calloc(1, sizeof *n);
  if (!n) return yoi_sdk_fail_memory(err);
  n->host = host;
  *out_self = n;
  return YOI_OK;
}

static void null_close(void *self) {
  yoi_sdk_free(self);
}

static yoi_status null_start(void *self, const yoi_request *req, yoi_stream **out,
                             yoi_error *err) {
  yoi_request whole; /* be the host an older one or a newer */
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  (void)self;
  if (st != YOI_OK) return st;
  if (whole.op != YOI_OP_RUNTIME_DESCRIBE || whole.flags) {
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "this runtime has no workers");
  }
  *out = yoi_sdk_stream_one((yoi_str){description, sizeof description - 1}, 0);
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_runtime null_runtime = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = null_open,
    .close = null_close,
    .start = null_start,
};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.null", "1.0.0", YOI_KIND_RUNTIME, YOI_RUNTIME_ID, null_runtime);
