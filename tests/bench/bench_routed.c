/* bench_routed.c - what the host adds to a call: the routed call (look up,
 * reference, start, next to END, release) on the null runtime, beside the same
 * calls straight through the plugin's table.
 *
 *   bench_routed BUILD-DIRECTORY
 *
 * Prints one line of JSON: nanoseconds per call, the best of several runs, so
 * that what else the machine does disturbs least.
 */
#include <sdk/error.h>
#include <sdk/str.h>

#include "../../host/clock.h"
#include "../../host/host.h"

#define RUNS 9
#define CALLS 200000u

static const char config[] =
    "{\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\"],\"loops\":1,"
    "\"runtimes\":[{\"id\":\"null\",\"plugin\":\"dev.yoi.test.null\"}],"
    "\"models\":[],\"ingress\":[]}";

static int drink(yoi_stream *s) {
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status st = YOI_OK;
  while (st == YOI_OK) st = s->ops->next(s, &events, &n, NULL);
  s->ops->release(s);
  return st == YOI_END;
}

static int routed(struct yoi_embed *host, const yoi_request *req) {
  yoi_stream *s = NULL;
  return yoi__registry_start(host, YOI_LIT("null"), req, &s, NULL) == YOI_OK && drink(s);
}

static int direct(const struct yoi__instance *in, const yoi_request *req) {
  yoi_stream *s = NULL;
  return in->plugin->table.runtime.start(in->self, req, &s, NULL) == YOI_OK && drink(s);
}

static double best(struct yoi_embed *host, const struct yoi__instance *in, const yoi_request *req) {
  double least = 1e9;
  for (int run = 0; run < RUNS; run++) {
    uint64_t begin = yoi__now_ns();
    for (uint32_t i = 0; i < CALLS; i++)
      if (!(in != NULL ? direct(in, req) : routed(host, req))) return -1;
    double ns = (double)(yoi__now_ns() - begin) / CALLS;
    if (ns < least) least = ns;
  }
  return least;
}

int main(int argc, char **argv) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  yoi_error *err = yoi_sdk_error_init(&e);
  if (yoi_host_new(config, strlen(config), argc > 1 ? argv[1] : "build", &host, err) != YOI_OK ||
      yoi_host_start(host, err) != YOI_OK) {
    (void)fprintf(stderr, "bench_routed: %s\n", e.message);
    return 1;
  }
  yoi_request req = {.size = sizeof req,
                     .op = YOI_OP_RUNTIME_DESCRIBE,
                     .origin = YOI_ORIGIN_EMBED,
                     .principal = YOI_LIT("embed"),
                     .request_id = YOI_LIT("0190f7a2-6a34-7bfa-9e1d-0123456789ab")};
  double through = best(host, NULL, &req);
  double raw = best(host, yoi__registry_find(&host->registry, YOI_LIT("null")), &req);
  yoi_host_free(host);
  if (through < 0 || raw < 0) {
    (void)fprintf(stderr, "bench_routed: a call failed\n");
    return 1;
  }
  (void)printf("{\"routed_ns\":%.1f,\"direct_ns\":%.1f}\n", through, raw);
  return 0;
}
