/* resolve.h - from a profile of a bundle to a spec, on this host: what create
 * does once. */
#ifndef ENG_RESOLVE_H
#define ENG_RESOLVE_H

#include <stdbool.h>
#include <sdk/bundle.h>
#include <yoi/host_grant.h>
#include <yoi/host_model.h>
#include <yoi/host_plugin.h>
#include <yoi/host_tool.h>

/* What a profile is resolved against. All but the first two may be NULL: an
 * older host. */
struct eng_around {
  const yoi_host *host;
  const yoi_host_model *models;
  const yoi_host_tool *tools;
  const yoi_host_grant *grants;
  const yoi_host_plugin *plugins;
};

/* A profile of a bundle. `builtin`: of the one that is compiled in. */
struct eng_recipe {
  const struct yoi_sdk_bundle *bundle;
  const struct yoi_sdk_bundle_profile *profile;
  bool builtin;
};

/* The profile of that name; invalid_profile names those that there are. */
yoi_status eng_resolve_profile(const struct yoi_sdk_bundle *b, bool builtin, yoi_str name,
                               struct eng_recipe *out, yoi_error *err);
/* The name of the host's model that it gets. invalid_profile, of a builtin one;
 * unsupported_declaration. */
yoi_status eng_resolve_model(const struct eng_around *a, const struct eng_recipe *r,
                             char out[YOI_NAME_MAX + 1], yoi_error *err);
/* 1: the host has a model of that name. */
int eng_resolve_has_model(const struct eng_around *a, const char *name);
/* The spec as JSON. unsupported_declaration: a tool, or a plugin as it is
 * pinned, is not here; grant_missing, which names each. */
yoi_status eng_resolve(const struct eng_around *a, const struct eng_recipe *r, const char *model,
                       struct yoi_sdk_buf *out, yoi_error *err);

#endif
