/* host/policy.h - who may do what: the host's layer of policy. */
#ifndef YOI__POLICY_H
#define YOI__POLICY_H

#include <yoi/limits.h>
#include <yoi/request.h>

struct yoi_embed;

/* In the order of strictness. */
enum yoi__verdict { YOI__ABSTAIN, YOI__ALLOW, YOI__ASK, YOI__DENY };

struct yoi__decision {
  enum yoi__verdict verdict;
  yoi_str plugin; /* whose it is: its id, of the config */
  char rule[YOI_NAME_MAX + 1], reason[YOI_POLICY_REASON_MAX + 1];
};

const char *yoi__verdict_name(enum yoi__verdict verdict);

/* 1: policy has a say about this operation. Not about whether the host is
 * there and well. */
int yoi__policy_is_asked(uint32_t op);

/* [main] Opens all policies of the config. */
yoi_status yoi__policies_open(struct yoi_embed *host, yoi_error *err);

/* [any] What the host's layer says; `each`, which may be NULL, is told what
 * each policy says. Without policies all is allowed: every principal that
 * comes here was let in by a door. */
void yoi__policy_decide(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                        void (*each)(void *ctx, const struct yoi__decision *d), void *ctx,
                        struct yoi__decision *out);

/* [any] OK, or policy_denied. What is decided is logged as the config says. */
yoi_status yoi__policy_allows(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                              yoi_error *err);

#endif
