/* host/grant.c - whether this host has a grant.
 *
 *   the profile gives it to the call     given.c
 *   the plugin's manifest wants it       here, yoi__grant_for
 *   plugins[].grants does not lack it    here
 *   `local` has it, in that mode         here, yoi__grant_has
 *
 * A grant is in force when all four say so, and all four are asked at each use.
 * Invariants:
 *  1. A pattern is never taken for a grant (sdk/grant.h): nobody can ask for "all".
 *  2. Why something is missing is said by name, never by path or address: the
 *     message may reach a model.
 */
#include "grant.h"

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/str.h>

#include "config.h"

int yoi__grant_local(const struct yoi_sdk_grant *grant) {
  return grant->kind != YOI_SDK_GRANT_MODEL;
}

/* ---- what there is ---------------------------------------------------------- */

static int has_model(const struct yoi__config *c, yoi_str name) {
  for (size_t i = 0; i < c->n_models; i++)
    if (yoi_sdk_str_eq(c->models[i].name, name)) return 1;
  return 0;
}

yoi_status yoi__grant_has(const struct yoi__config *c, const struct yoi_sdk_grant *grant,
                          yoi_error *err) {
  const struct yoi__mount *m;
  int has = 0;
  switch (grant->kind) {
    case YOI_SDK_GRANT_MODEL:
      has = has_model(c, grant->name);
      break;
    case YOI_SDK_GRANT_MOUNT:
      m = yoi__local_mount(&c->local, grant->name);
      if (m != NULL && m->writable < grant->writable)
        return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                            "this host gives mount '%.*s' for reading only", YOI_ARG(grant->name));
      has = m != NULL;
      break;
    case YOI_SDK_GRANT_NET:
      has = yoi__local_network(&c->local, grant->name) != NULL;
      break;
    default:
      has = yoi__local_commands(&c->local, grant->kind == YOI_SDK_GRANT_GIT, grant->name) != NULL;
  }
  if (has) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "this host has no grant '%s'",
                      yoi_sdk_grant_show(grant).text);
}

yoi_status yoi__grant_check(const struct yoi__config *c, yoi_str text, yoi_error *err) {
  struct yoi_sdk_grant grant;
  const char *expected = yoi_sdk_grant_parse(text, &grant);
  if (expected != NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%.*s' is no grant: expected %s",
                        (int)yoi_sdk_utf8_cut(text, YOI_GRANT_MAX), text.ptr, expected);
  return yoi__grant_has(c, &grant, err);
}

static int wants(const struct yoi__plugin *p, const struct yoi_sdk_grant *grant) {
  for (size_t i = 0; i < p->manifest.n_grants; i++) {
    struct yoi_sdk_grant pattern;
    if (yoi_sdk_grant_pattern(p->manifest.grants[i], &pattern) == NULL &&
        yoi_sdk_grant_covers(&pattern, grant))
      return 1;
  }
  return 0;
}

yoi_status yoi__grant_for(const struct yoi__config *c, const struct yoi__plugin *p,
                          const struct yoi_sdk_grant *grant, yoi_error *err) {
  struct yoi_sdk_grant_text text = yoi_sdk_grant_show(grant);
  if (!wants(p, grant))
    return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                        "the manifest of plugin '%.*s' does not want the grant '%s'",
                        YOI_ARG(p->manifest.id), text.text);
  if (!yoi__config_granted(c, p, yoi_sdk_str(text.text)))
    return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                        "this host does not give plugin '%.*s' the grant '%s'",
                        YOI_ARG(p->manifest.id), text.text);
  return yoi__grant_has(c, grant, err);
}
