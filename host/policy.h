/* host/policy.h - who may do what: the host's layer of policy. */
#ifndef YOI__POLICY_H
#define YOI__POLICY_H

#include <yoi/host_tool.h>
#include <yoi/limits.h>
#include <yoi/request.h>

struct yoi_embed;
struct yoi__setup;

#define YOI__TOOL_START "tool.start"   /* what policies are asked before a call */
#define YOI__MODEL_START "model.start" /* and before a generation */

struct yoi__decision {
  uint32_t verdict; /* YOI_VERDICT_* */
  yoi_str plugin;   /* whose it is: its id, of the config; empty: the host's */
  char rule[YOI_NAME_MAX + 1], reason[YOI_POLICY_REASON_MAX + 1];
};

/* Is told what each policy and each layer says. */
typedef void (*yoi__policy_each)(void *ctx, const struct yoi__decision *d);

/* May this call run? What is not known is empty or 0. */
struct yoi__tool_question {
  uint32_t origin; /* YOI_ORIGIN_* */
  uint32_t tool_flags;
  uint32_t asked_again; /* 1: it was decided and counted before */
  uint32_t bundle_verdict, profile_verdict;
  yoi_str principal, runtime_id, worker_id, call_id, request_id;
  yoi_str tool, plugin, arguments, grants;
};

/* May this generation start? */
struct yoi__model_question {
  yoi_str model, principal, runtime_id, worker_id, request_id;
  uint64_t tokens; /* as in yoi_policy_request */
};

/* "deny"; also of a number that is none. */
const char *yoi__verdict_name(uint32_t verdict);

/* 1: policy has a say about this operation. Not about whether the host is
 * there and well. */
int yoi__policy_is_asked(uint32_t op);

/* [any] What the host's layer says; each may be NULL. Without policies all is
 * allowed: every principal that comes here was let in by a door. */
void yoi__policy_decide(struct yoi__setup *s, yoi_str runtime_id, const yoi_request *req,
                        yoi__policy_each each, void *ctx, struct yoi__decision *out);

/* [any] What all layers say of a call: ALLOW, ASK or DENY. Where the bundle or
 * the profile is the strictest, `rule` is "bundle" or "profile"; where the host
 * has no policies, "builtin". Logs nothing. */
void yoi__policy_decide_tool(struct yoi__setup *s, const struct yoi__tool_question *q,
                             yoi__policy_each each, void *ctx, struct yoi__decision *out);

/* [any] Into the audit log, as the config says: what was decided on a call, and
 * that a person's approval let it run. */
void yoi__policy_audit_tool(struct yoi__setup *s, const struct yoi__tool_question *q,
                            const struct yoi__decision *d);
void yoi__policy_audit_approval(struct yoi__setup *s, const struct yoi__tool_question *q,
                                yoi_str approval_id, yoi_str approved_by);

/* [any] OK, or policy_denied, by the setup that is current. What is decided is
 * logged as its config says. */
yoi_status yoi__policy_allows(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                              yoi_error *err);

/* [any] The same of a generation. Silence is allow, and policies that do not
 * know "model.start" are not asked. */
yoi_status yoi__policy_allows_model(struct yoi__setup *s, const struct yoi__model_question *q,
                                    yoi_error *err);

#endif
