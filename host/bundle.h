/* host/bundle.h - the bundles of the config: which runtime may have which, and
 * how they are told of. */
#ifndef YOI__BUNDLE_H
#define YOI__BUNDLE_H

#include "config.h"

/* 1: the name is in the list, or there is none. */
int yoi__names_have(const struct yoi__config_names *list, yoi_str name);
/* 1: neither the bundle's list nor its workspace leaves that runtime out. */
int yoi__bundle_allowed(const struct yoi__config_bundle *e, const struct yoi__config_runtime *r);
/* The same as an error: policy_denied. */
yoi_status yoi__bundle_check(const struct yoi__config_bundle *e,
                             const struct yoi__config_runtime *r, yoi_error *err);
/* 1: a was made before b. */
int yoi__bundle_older(const struct yoi_sdk_bundle *a, const struct yoi_sdk_bundle *b);
/* Of a workspace, or, when that is empty, of all: what a request may see. NULL:
 * the config has none of that digest. */
const struct yoi__config_bundle *yoi__bundle_find(const struct yoi__config *c, yoi_str workspace,
                                                  yoi_str digest);
/* The one whose digest is the next in byte order behind that of `last`, or the
 * first of all; NULL: none is. */
const struct yoi__config_bundle *yoi__bundle_behind(const struct yoi__config *c, yoi_str workspace,
                                                    const struct yoi__config_bundle *last);
size_t yoi__bundle_count(const struct yoi__config *c, yoi_str workspace);
/* The answer of host.bundles: all of them, in byte order of digest. */
void yoi__bundles_write(struct yoi_sdk_jsonw *w, const struct yoi__config *c,
                        yoi_str workspace);

#endif
