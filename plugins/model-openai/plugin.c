/* plugin.c - dev.yoi.model-openai: a model behind a chat completions endpoint.
 *
 * The instance: its config, its HTTP client, the rate gate, and per loop the
 * list of its streams, which is how close finds what nobody released in time.
 *
 * close runs when the host has taken away every watch, timer and task of this
 * instance (yoi/host_loop.h, 4): it ends the exchanges without callbacks,
 * closing their connections, and frees. Secrets are wiped with the config.
 */
#include "oai.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/take.h>

YOI_MANIFEST_FILE(MANIFEST);

static void oai_close(void *self) {
  struct oai_instance *i = self;
  if (!i) return;
  yoi_sdk_http_close(i->http);
  for (uint32_t n = 0; n < i->n_loops; n++)
    while (i->loops[n].streams) oai_stream_free(i->loops[n].streams);
  oai_models_release(&i->models);
  oai_config_release(&i->config);
  yoi_sdk_free(i);
}

static yoi_status oai_open(const yoi_host *host, yoi_str config, void **out_self,
                           yoi_error *err) {
  const yoi_host_loop *loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *loop);
  const yoi_host_clock *clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *clock);
  if (!loop || !clock)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host lacks '%s'",
                        loop ? YOI_HOST_CLOCK_ID : YOI_HOST_LOOP_ID);
  uint32_t n = loop->count(host);
  struct oai_instance *i = yoi_sdk_calloc(1, sizeof *i + n * sizeof i->loops[0]);
  if (!i || !oai_models_init(&i->models)) {
    yoi_sdk_free(i);
    return yoi_sdk_fail_memory(err);
  }
  i->host = host;
  i->loop = loop;
  i->clock = clock;
  i->log = yoi_sdk_host_get(host, YOI_HOST_LOG_ID, sizeof *i->log);
  i->n_loops = n;
  for (uint32_t k = 0; k < n; k++) i->loops[k].instance = i;
  yoi_status st = oai_config_read(host, config, &i->config, err);
  if (st == YOI_OK) st = yoi_sdk_http_open(host, &i->http, err);
  if (st == YOI_OK && i->config.ca_file) st = yoi_sdk_http_trust(i->http, i->config.ca_file, err);
  if (st != YOI_OK) {
    oai_close(i);
    return st;
  }
  if (i->config.bare_key)
    oai_log(i, YOI_LOG_WARN, "a secret is sent over plain http to another machine", "base_url", 0,
            0);
  *out_self = i;
  return YOI_OK;
}

static yoi_status oai_start(void *self, const yoi_model_request *req, yoi_stream **out,
                            yoi_error *err) {
  yoi_model_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  return st == YOI_OK ? oai_stream_start(self, &whole, out, err) : st;
}

static const yoi_model oai_model = {
    .size = sizeof oai_model,
    .thread_model = YOI_PARALLEL,
    .open = oai_open,
    .close = oai_close,
    .start = oai_start,
};

YOI_SDK_PLUGIN("dev.yoi.model-openai", "1.0.0", YOI_KIND_MODEL, YOI_MODEL_ID, oai_model);
