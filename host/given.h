/* host/given.h - what each running call of a tool was given.
 *
 *   open --> a handle: yoi_tool_request.call --> close
 *
 * A tool names its call when it asks for a mount, a host or a value. The handle is
 * generation-checked like a token (token.h): one of a call that is over means
 * nothing for ever, and one of another instance's call is none.
 */
#ifndef YOI__GIVEN_H
#define YOI__GIVEN_H

#include <yoi/base.h>
#include <yoi/limits.h>

#include "grant.h"

struct yoi_embed;
struct yoi__given; /* of one host */
struct yoi__instance;
struct yoi__setup;

/* NULL: memory is short. */
struct yoi__given *yoi__given_new(void);
void yoi__given_free(struct yoi__given *g);

/* [any] A call of the instance with these grants: a JSON array of texts, or
 * empty. The setup, which says what is in force, is held until it is closed.
 * INVALID_ARGUMENT: it is none, or too long, or one is no grant. grant_missing:
 * one is not in force; see grant.c. */
yoi_status yoi__given_open(struct yoi__setup *setup, struct yoi__instance *in, yoi_str grants,
                           uint64_t *out_call, yoi_error *err);
/* [any] 0, and one that is closed, are accepted. */
void yoi__given_close(struct yoi_embed *host, uint64_t call);
/* [any] Whether open would take them. */
yoi_status yoi__given_check(const struct yoi__setup *setup, const struct yoi__plugin *p,
                            yoi_str grants, yoi_error *err);

/* The grants of a call: a copy, so that nothing is locked while they are used, and
 * a reference, so that what they stand for outlives a call that ends meanwhile. */
struct yoi__given_list {
  struct yoi__setup *setup; /* of the call; to be given back, NULL without one */
  size_t n;
  struct yoi_sdk_grant grants[YOI_TOOL_GRANTS_MAX]; /* names lie in `bytes` */
  yoi_str texts[YOI_TOOL_GRANTS_MAX];
  char bytes[YOI_TOOL_GRANTS_MAX * YOI_GRANT_MAX];
};
/* [any] NOT_FOUND: no such call of this instance. */
yoi_status yoi__given_get(struct yoi_embed *host, const struct yoi__instance *in, uint64_t call,
                          struct yoi__given_list *out, yoi_error *err);
/* [any] OK: the call has it, and it is in force. *out_setup (may be NULL): its
 * setup, to be given back; NULL when it is not OK. */
yoi_status yoi__given_has(struct yoi_embed *host, const struct yoi__instance *in, uint64_t call,
                          const struct yoi_sdk_grant *grant, struct yoi__setup **out_setup,
                          yoi_error *err);

#endif
