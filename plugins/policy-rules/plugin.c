/* plugin.c - dev.yoi.policy-rules: who may do what, as a list of rules.
 *
 * The smallest policy that is of use: what is asked is compared with rules
 * (sdk/rules.h), and the answer is a text that was made when they were read.
 */
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/rules.h>
#include <sdk/stream.h>
#include <sdk/take.h>
#include <yoi/host_clock.h>

struct policy {
  const yoi_host *host;
  const yoi_host_clock *clock;
  struct yoi_sdk_rules *rules;
};

static yoi_status rules_policy_open(const yoi_host *host, yoi_str config, void **out_self,
                                    yoi_error *err) {
  struct policy *p = yoi_sdk_calloc(1, sizeof *p);
  if (p == NULL) return yoi_sdk_fail_memory(err);
  p->host = host;
  p->clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *p->clock);
  yoi_status st = p->clock == NULL ? yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no clocks")
                                   : yoi_sdk_rules_new(config, &p->rules, err);
  if (st == YOI_OK)
    *out_self = p;
  else
    yoi_sdk_free(p);
  return st;
}

static void rules_policy_close(void *self) {
  struct policy *p = self;
  if (p == NULL) return;
  yoi_sdk_rules_free(p->rules);
  yoi_sdk_free(p);
}

static yoi_status rules_policy_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                                     yoi_error *err) {
  struct policy *p = self;
  yoi_policy_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  *out = yoi_sdk_stream_one(
      yoi_sdk_rules_decide(p->rules, &whole, p->clock->monotonic_ns(p->host))->json, 0);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_policy rules_table = {
    .size = sizeof(yoi_policy),
    .thread_model = YOI_PARALLEL,
    .open = rules_policy_open,
    .close = rules_policy_close,
    .start = rules_policy_start,
};

YOI_SDK_PLUGIN("dev.yoi.policy-rules", "1.0.0", YOI_KIND_POLICY, YOI_POLICY_ID, rules_table);
YOI_MANIFEST_FILE(MANIFEST);
