/* bench_routed.c - what the host adds to a call: the routed call (look up,
 * reference, start, next to END, release) on the null runtime, beside the same
 * calls straight through the plugin's table.
 *
 *   bench_routed BUILD-DIRECTORY
 *
 * And once more with a policy that has twenty rules, of which the last one
 * fits; then what it costs to decide on the call of a tool, with a policy that
 * has a thousand rules about arguments. Prints one line of JSON: nanoseconds per
 * call, the best of several runs, so that what else the machine does disturbs
 * least.
 */
#include <sdk/error.h>
#include <sdk/str.h>

#include "../../host/clock.h"
#include "../../host/host.h"
#include "../../host/policy.h"

#define RUNS 9
#define CALLS 200000u

#define RULES 20

#define CONFIG                                                                      \
  "{\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\",\"plugins\"]," \
  "\"loops\":1,\"runtimes\":[{\"id\":\"null\",\"plugin\":\"dev.yoi.test.null\"}],"  \
  "\"models\":[],\"ingress\":[]"

static const char plain[] = CONFIG "}";

static const char *with_rules(void) {
  static char text[8192];
  int n = snprintf(text, sizeof text,
                   CONFIG
                   ",\"policy\":[{\"plugin\":\"dev.yoi.policy-rules\",\"config\":"
                   "{\"rules\":[");
  for (int i = 1; i < RULES; i++)
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "{\"name\":\"r%d\",\"decision\":\"deny\",\"operations\":[\"worker.*\"],"
                  "\"principals\":[\"token:team-%d-*\"],\"workers\":[\"w%d-*\"]},",
                  i, i, i);
  (void)snprintf(text + n, sizeof text - (size_t)n,
                 "{\"name\":\"all\",\"decision\":\"allow\",\"principals\":[\"e*d\"]}]}}]}");
  return text;
}

#define CALL_RULES 1000

/* Each denies another folder to another team, and looks at another tool, so
 * that all of it is looked at; the last one allows. */
static const char *with_rules_of_calls(void) {
  static char text[262144];
  int n = snprintf(text, sizeof text,
                   CONFIG
                   ",\"policy\":[{\"plugin\":\"dev.yoi.policy-rules\",\"config\":"
                   "{\"rules\":[");
  for (int i = 1; i < CALL_RULES; i++)
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "{\"name\":\"r%d\",\"decision\":\"%s\",\"tools\":[\"%s\"],"
                  "\"principals\":[\"token:team-%d-*\",\"surface:*\"],"
                  "\"paths\":[\"src/team-%d/**\",\"**/*.key%d\"]},",
                  i, i % 2 == 0 ? "deny" : "ask", i % 3 == 0 ? "fs_read" : "fs_*", i, i, i);
  (void)snprintf(text + n, sizeof text - (size_t)n,
                 "{\"name\":\"all\",\"decision\":\"allow\",\"tools\":[\"fs_*\"],"
                 "\"paths\":[\"src/**\"],\"arguments\":{\"/mode\":\"a*\"}}]}}]}");
  return text;
}

static struct yoi_sdk_error why; /* process-wide: of the call that failed */

static int drink(yoi_stream *s) {
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_status st = YOI_OK;
  while (st == YOI_OK) st = s->ops->next(s, &events, &n, &why.e);
  s->ops->release(s);
  return st == YOI_END;
}

static int routed(struct yoi_embed *host, const yoi_request *req) {
  yoi_stream *s = NULL;
  return yoi__registry_start(host, YOI_LIT("null"), req, &s, &why.e) == YOI_OK && drink(s);
}

static int direct(const struct yoi__instance *in, const yoi_request *req) {
  yoi_stream *s = NULL;
  return in->plugin->table.runtime.start(in->self, req, &s, &why.e) == YOI_OK && drink(s);
}

static double best(struct yoi_embed *host, const struct yoi__instance *in, const yoi_request *req) {
  double least = 1e9;
  (void)yoi_sdk_error_init(&why);
  for (int run = 0; run < RUNS; run++) {
    uint64_t begin = yoi__now_ns();
    for (uint32_t i = 0; i < CALLS; i++)
      if (!(in != NULL ? direct(in, req) : routed(host, req))) return -1;
    double ns = (double)(yoi__now_ns() - begin) / CALLS;
    if (ns < least) least = ns;
  }
  return least;
}

/* Through the host, and, when it is asked for, past it. 0: it failed. */
static int measure(const char *config, const char *build, double *out_routed, double *out_direct) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  yoi_error *err = yoi_sdk_error_init(&e);
  if (yoi_host_new(config, strlen(config), build, &host, err) != YOI_OK ||
      yoi_host_start(host, err) != YOI_OK) {
    (void)fprintf(stderr, "bench_routed: %s\n", e.message);
    return 0;
  }
  yoi_request req = {.size = sizeof req,
                     .op = YOI_OP_RUNTIME_DESCRIBE,
                     .origin = YOI_ORIGIN_EMBED,
                     .principal = YOI_LIT("embed"),
                     .request_id = YOI_LIT("0190f7a2-6a34-7bfa-9e1d-0123456789ab")};
  *out_routed = best(host, NULL, &req);
  if (out_direct != NULL)
    *out_direct = best(host, yoi__registry_find(&host->registry, YOI_LIT("null")), &req);
  yoi_host_free(host);
  if (*out_routed >= 0 && (out_direct == NULL || *out_direct >= 0)) return 1;
  (void)fprintf(stderr, "bench_routed: a call failed: %s\n", why.message);
  return 0;
}

/* 0: it failed, or was not allowed. */
static int measure_calls(const char *build, double *out) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  yoi_error *err = yoi_sdk_error_init(&e);
  const char *config = with_rules_of_calls();
  struct yoi__tool_question q = {
      .origin = YOI_ORIGIN_BROWSER,
      .principal = YOI_LIT("surface:browser"),
      .runtime_id = YOI_LIT("null"),
      .worker_id = YOI_LIT("ada"),
      .tool = YOI_LIT("fs_write"),
      .plugin = YOI_LIT("dev.yoi.tool-fs"),
      .grants = YOI_LIT("[\"mount:workspace:rw\"]"),
      .arguments = YOI_LIT("{\"path\":\"./src/team-2000/parser/lexer.c\",\"mode\":\"append\","
                           "\"content\":\"int main(void) {\\n  return 0;\\n}\\n\"}")};
  if (yoi_host_new(config, strlen(config), build, &host, err) != YOI_OK ||
      yoi_host_start(host, err) != YOI_OK) {
    (void)fprintf(stderr, "bench_routed: %s\n", e.message);
    return 0;
  }
  *out = 1e9;
  for (int run = 0; run < RUNS; run++) {
    struct yoi__decision d = {.verdict = YOI_VERDICT_ALLOW};
    uint64_t begin = yoi__now_ns();
    for (uint32_t i = 0; i < CALLS / 4 && d.verdict == YOI_VERDICT_ALLOW; i++)
      yoi__policy_decide_tool(host->setup, &q, NULL, NULL, &d);
    double ns = (double)(yoi__now_ns() - begin) / (CALLS / 4);
    if (d.verdict != YOI_VERDICT_ALLOW) {
      (void)fprintf(stderr, "bench_routed: %s %s\n", d.rule, d.reason);
      *out = -1;
      break;
    }
    if (ns < *out) *out = ns;
  }
  yoi_host_free(host);
  return *out >= 0;
}

int main(int argc, char **argv) {
  const char *build = argc > 1 ? argv[1] : "build";
  double routed_ns, direct_ns, ruled_ns, called_ns;
  if (!measure(plain, build, &routed_ns, &direct_ns) ||
      !measure(with_rules(), build, &ruled_ns, NULL) || !measure_calls(build, &called_ns))
    return 1;
  (void)printf("{\"routed_ns\":%.1f,\"direct_ns\":%.1f,\"ruled_ns\":%.1f,\"called_ns\":%.1f}\n",
               routed_ns, direct_ns, ruled_ns, called_ns);
  return 0;
}
