/* sdk/rules.h - who may do what, as a list of rules: what yoi.policy/1 asks is
 * compared with them, and the strictest of those that fit counts.
 *
 * Two readers, one matcher. The plugin dev.yoi.policy-rules reads a config
 * (its README is the manual of rules), a runtime reads the rules of a bundle.
 * Those are about calls of tools and nothing else: a bundle is for workers, and
 * says nothing of callers, doors and budgets.
 *
 * Rules do not change once they are read; what they count has locks of its own.
 * Any threads may ask at once. In libyoi-sdk-rules.a.
 */
#ifndef YOI_SDK_RULES_H
#define YOI_SDK_RULES_H

#include <yoi/host_tool.h>
#include <yoi/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_sdk_rules;

/* The texts live as long as the rules. */
struct yoi_sdk_rules_answer {
  uint32_t verdict; /* YOI_VERDICT_* of yoi/host_tool.h */
  yoi_str rule;     /* its name; empty: none fits, and it is ABSTAIN */
  yoi_str reason;   /* for people; or empty */
  yoi_str json;     /* the same as yoi.policy/1 has it */
};

/* config: {"rules":[...]}, checked against the schema of the plugin's manifest.
 * An error names the rule. */
yoi_status yoi_sdk_rules_new(yoi_str config, struct yoi_sdk_rules **out, yoi_error *err);

/* rules: a JSON array from a bundle, of which nothing was checked. All of it is
 * checked here. unsupported_declaration: it says what a bundle cannot
 * (operations, principals, origins, runtimes, workers, tokens, and a count per
 * runtime), and the message names the key. bundle_invalid: all else that is
 * wrong. The details are {"pointer":"/0/paths"}, from the array on.
 * RESOURCE_EXHAUSTED with code internal: memory is short.
 *
 * They are asked about "tool.start" and abstain from all else. The runtime id
 * in a question is left empty. */
yoi_status yoi_sdk_rules_of_bundle(yoi_str rules, struct yoi_sdk_rules **out, yoi_error *err);

/* NULL is allowed. */
void yoi_sdk_rules_free(struct yoi_sdk_rules *r);

/* [any] Counts what it does not deny, unless req->asked_again. now_ns:
 * CLOCK_MONOTONIC. Never NULL. */
const struct yoi_sdk_rules_answer *yoi_sdk_rules_decide(struct yoi_sdk_rules *r,
                                                        const yoi_policy_request *req,
                                                        uint64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
