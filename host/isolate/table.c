/* host/isolate/table.c - tables like those of a plugin, of plugins elsewhere.
 *
 * What an instance's plugin would give is given here: open starts a process,
 * start sends a request there. All of them are PARALLEL for the host: threads
 * and loops of the plugin are its worker's business.
 */
#include "table.h"

#include <string.h>

#include "isolate.h"
#include "wire.h"

static struct yoi__instance *instance_of(const yoi_host *host) {
  return host->ctx;
}

static yoi_status far_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  struct yoi__instance *in = instance_of(host);
  (void)config; /* the instance's own */
  if (in->isolate == NULL) in->isolate = yoi__isolate_new(in);
  if (in->isolate == NULL) return yoi_sdk_fail_memory(err);
  *out_self = in->isolate;
  return yoi__isolate_open(in->isolate, err);
}

static void far_close(void *self) {
  yoi__isolate_close(self);
}

static void put_init(struct yoi_sdk_buf *b) {
  yoi_sdk_buf_init(b, YOI_ISOLATED_MESSAGE_BYTES + 1);
}

/* Too large is said by who sends it. */
static yoi_status send_start(struct yoi__isolate *iso, struct yoi_sdk_buf *b, uint64_t token,
                             uint64_t deadline_ns, yoi_stream **out, yoi_error *err) {
  yoi_status st = b->failed == YOI_OUT_OF_RANGE
                      ? yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE,
                                     "a request of more than %d bytes cannot be passed to the "
                                     "plugin's process",
                                     YOI_ISOLATED_MESSAGE_BYTES)
                  : b->failed != 0
                      ? yoi_sdk_fail_memory(err)
                      : yoi__far_start(iso, yoi_sdk_buf_str(b), token, deadline_ns, out, err);
  yoi_sdk_buf_release(b);
  return st;
}

static yoi_status tool_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                             yoi_error *err) {
  struct yoi_sdk_buf b;
  put_init(&b);
  yoi__put_tool_request(&b, req);
  return send_start(self, &b, req->token, req->deadline_ns, out, err);
}

static yoi_status model_start(void *self, const yoi_model_request *req, yoi_stream **out,
                              yoi_error *err) {
  struct yoi_sdk_buf b;
  put_init(&b);
  yoi__put_model_request(&b, req);
  return send_start(self, &b, req->token, req->deadline_ns, out, err);
}

static yoi_status policy_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                               yoi_error *err) {
  struct yoi_sdk_buf b;
  put_init(&b);
  yoi__put_policy_request(&b, req);
  yoi_status st = b.failed != 0
                      ? yoi_sdk_fail_memory(err)
                      : yoi__far_decide(self, yoi_sdk_buf_str(&b), req->deadline_ns, out, err);
  yoi_sdk_buf_release(&b);
  return st;
}

static const yoi_tool tool_table = {
    .size = sizeof tool_table, .thread_model = YOI_PARALLEL, far_open, far_close, tool_start, NULL};
static const yoi_model model_table = {.size = sizeof model_table,
                                      .thread_model = YOI_PARALLEL,
                                      far_open,
                                      far_close,
                                      model_start,
                                      NULL};
static const yoi_policy policy_table = {.size = sizeof policy_table,
                                        .thread_model = YOI_PARALLEL,
                                        far_open,
                                        far_close,
                                        policy_start,
                                        NULL};

void yoi__isolate_table(struct yoi__plugin *p) {
  memset(&p->table, 0, sizeof p->table);
  switch (p->manifest.kind) {
    case YOI_KIND_TOOL:
      p->table.tool = tool_table;
      break;
    case YOI_KIND_MODEL:
      p->table.model = model_table;
      break;
    default:
      p->table.policy = policy_table;
      break;
  }
}
