/* plugin.c - dev.yoi.tool-http: fetches pages from the hosts that a call may
 * reach.
 *
 * The instance: its config, its HTTP client, and per loop the list of its
 * calls, which is how close finds what nobody released in time. close runs
 * when the host has taken away every watch, timer and task of this instance
 * (yoi/host_loop.h, 4).
 */
#include "fetch.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/take.h>

YOI_MANIFEST_FILE(MANIFEST);

static void http_close(void *self) {
  struct fetch_instance *i = self;
  if (!i) return;
  yoi_sdk_http_close(i->http);
  for (uint32_t n = 0; n < i->n_loops; n++)
    while (i->loops[n].calls) fetch_call_free(i->loops[n].calls);
  yoi_sdk_free(i);
}

static uint32_t number_of(const yoi_sdk_json *config, const char *name, int64_t usual) {
  (void)yoi_sdk_json_int(yoi_sdk_json_get(config, name), &usual);
  return (uint32_t)usual;
}

static yoi_status configure(struct fetch_instance *i, yoi_str text, yoi_error *err) {
  yoi_sdk_json *config = NULL;
  yoi_str ca_file;
  yoi_status st = yoi_sdk_http_open(i->host, &i->http, err);
  if (st != YOI_OK) return st;
  if (yoi_sdk_json_parse(text, 0, &config, NULL) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the config is no JSON");
  i->connect_ms = number_of(config, "connect_ms", YOI_FETCH_CONNECT_MS);
  i->first_byte_ms = number_of(config, "first_byte_ms", YOI_FETCH_FIRST_BYTE_MS);
  i->gap_ms = number_of(config, "gap_ms", YOI_FETCH_GAP_MS);
  i->body_bytes = number_of(config, "body_bytes", YOI_FETCH_BODY_MAX);
  if (yoi_sdk_json_str(yoi_sdk_json_get(config, "ca_file"), &ca_file))
    st = yoi_sdk_http_trust(i->http, ca_file.ptr, err);
  yoi_sdk_json_free(config);
  return st;
}

static yoi_status http_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  const yoi_host_loop *loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *loop);
  const yoi_host_net *net = yoi_sdk_host_get(host, YOI_HOST_NET_ID, sizeof *net);
  if (!loop || !net)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host lacks '%s'",
                        loop ? YOI_HOST_NET_ID : YOI_HOST_LOOP_ID);
  uint32_t n = loop->count(host);
  struct fetch_instance *i = yoi_sdk_calloc(1, sizeof *i + n * sizeof i->loops[0]);
  if (!i) return yoi_sdk_fail_memory(err);
  i->host = host;
  i->loop = loop;
  i->net = net;
  i->n_loops = n;
  yoi_status st = configure(i, config, err);
  if (st == YOI_OK)
    *out_self = i;
  else
    http_close(i);
  return st;
}

static yoi_status http_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                             yoi_error *err) {
  yoi_tool_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  return st == YOI_OK ? fetch_start(self, &whole, out, err) : st;
}

static const yoi_tool http_tool = {
    .size = sizeof http_tool,
    .thread_model = YOI_PARALLEL,
    .open = http_open,
    .close = http_close,
    .start = http_start,
};

YOI_SDK_PLUGIN("dev.yoi.tool-http", "1.0.0", YOI_KIND_TOOL, YOI_TOOL_ID, http_tool);
