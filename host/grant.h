/* host/grant.h - whether a grant (sdk/grant.h) is in force on this host. */
#ifndef YOI__GRANT_H
#define YOI__GRANT_H

#include <sdk/grant.h>
#include <yoi/base.h>

struct yoi__config;
struct yoi__plugin;

/* 1: it is of the section `local`, which is for tools. */
int yoi__grant_local(const struct yoi_sdk_grant *grant);

/* OK: the host has it now. grant_missing: it has not, or not for writing. */
yoi_status yoi__grant_has(const struct yoi__config *c, const struct yoi_sdk_grant *grant,
                          yoi_error *err);
/* The same of a text; INVALID_ARGUMENT: it is no grant. */
yoi_status yoi__grant_check(const struct yoi__config *c, yoi_str grant, yoi_error *err);
/* OK: the plugin's manifest wants it, its entry in the config does not leave it
 * out, and the host has it now. */
yoi_status yoi__grant_for(const struct yoi__config *c, const struct yoi__plugin *p,
                          const struct yoi_sdk_grant *grant, yoi_error *err);

#endif
