/* host/create.c - what a runtime's entry makes of a worker.create.
 *
 * The keys belong to the host, so that they hold for every runtime, whoever
 * wrote it; so the host answers `runtime_default` and the bundle that is not
 * named before it routes. What the runtime gets is a request that names its
 * profile and its bundle, as a caller could have sent it: its checks, its
 * fingerprint for replays and its answer are the same.
 *
 *   body --read--> workspace, bundle, profile --held to the entry--> a body
 *
 * Invariants:
 *  1. Validation stays with the runtime: what nothing here depends on is passed
 *     on as it is, also when it is nonsense.
 *  2. Where something does depend on the body (the entry restricts, or there are
 *     bundles that could be meant), a body that is not understood here is
 *     refused: a runtime that reads it otherwise would be a way around.
 *  3. With a bundle the default profile is one of the bundle's, never a built-in.
 *  4. A bundle that the config does not have is the runtime's business; but where
 *     workspaces are listed, the create names its workspace, or gets the only one
 *     there is, so that the runtime holds the bundle to it.
 *  5. What was judged is what is sent: a default that a check rests on is written
 *     down.
 */
#include "create.h"

#include <sdk/embed.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <string.h>
#include <yoi/limits.h>

#include "bundle.h"

YOI_SDK_EMBED(yoi__builtin_bundle, "bundles/builtin.json");

/* ---- built-in profiles ----------------------------------------------------------- */

int yoi__builtin_is_plain(yoi_str profile) {
  yoi_str text = {yoi__builtin_bundle, (size_t)(yoi__builtin_bundle_end - yoi__builtin_bundle)};
  yoi_str all = yoi_sdk_json_raw_get(text, "profiles"), one, tool;
  size_t at = 0;
  while (yoi_sdk_json_raw_each(all, &at, &one)) {
    yoi_str name = yoi_sdk_json_raw_get(one, "name");
    size_t first = 0;
    if (name.len != profile.len + 2 || memcmp(name.ptr + 1, profile.ptr, profile.len) != 0)
      continue;
    return !yoi_sdk_json_raw_each(yoi_sdk_json_raw_get(one, "tools"), &first, &tool);
  }
  return 0;
}

/* ---- reading ---------------------------------------------------------------------- */

struct create {
  const struct yoi__config *config;
  const struct yoi__config_runtime *entry;
  yoi_str sees;                            /* the request's workspace; empty: all */
  const yoi_sdk_json *tree;
  yoi_str workspace;                       /* empty: not named */
  const struct yoi__config_bundle *bundle; /* NULL: none of the config's */
  int names_bundle;                        /* be it one that only the runtime knows */
  int gets_bundle;                         /* the entry's, since it names none */
  int gets_workspace;                      /* the only one that there may be */
  yoi_str gets_profile;                    /* likewise; empty: its own */
};

/* 1: absent, or {"kind": "runtime_default"} and nothing else. */
static int is_default(const yoi_sdk_json *profile) {
  yoi_str kind = {NULL, 0};
  if (profile == NULL) return 1;
  return yoi_sdk_json_type(profile) == YOI_SDK_JSON_OBJECT && yoi_sdk_json_count(profile) == 1 &&
         yoi_sdk_json_str(yoi_sdk_json_get(profile, "kind"), &kind) &&
         yoi_sdk_str_is(kind, "runtime_default");
}

static yoi_status read_members(struct create *a, yoi_error *err) {
  const yoi_sdk_json *bundle = yoi_sdk_json_get(a->tree, "config_bundle");
  const yoi_sdk_json *workspace = yoi_sdk_json_get(a->tree, "workspace");
  yoi_str digest = {NULL, 0};
  if (workspace != NULL && (!yoi_sdk_json_str(workspace, &a->workspace) || a->workspace.len == 0))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'workspace' is not a name");
  if (workspace != NULL && !yoi_sdk_id_valid(a->workspace))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "'workspace' is not an identifier");
  if (bundle == NULL) {
    const struct yoi__config_bundle *own = a->entry->bundle;
    if (own != NULL && (a->sees.len == 0 || yoi_sdk_str_eq(a->sees, own->it->workspace_id)))
      a->bundle = own;
    a->gets_bundle = a->bundle != NULL;
  } else if (yoi_sdk_json_str(yoi_sdk_json_get(bundle, "digest"), &digest)) {
    a->bundle = yoi__bundle_find(a->config, a->sees, digest);
  } else {
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "'config_bundle' is not {\"id\", \"digest\"}");
  }
  a->names_bundle = bundle != NULL || a->gets_bundle;
  return YOI_OK;
}

/* ---- holding it to the entry --------------------------------------------------------- */

static int asks_for_nothing(const yoi_sdk_json *capabilities) {
  return capabilities == NULL || (yoi_sdk_json_type(capabilities) == YOI_SDK_JSON_ARRAY &&
                                  yoi_sdk_json_count(capabilities) == 0);
}

/* 1: a worker of a built-in profile that has no tools, and no wish for any. */
static int is_plain(const struct create *a) {
  const yoi_sdk_json *profile = yoi_sdk_json_get(a->tree, "profile");
  yoi_str kind = YOI_LIT("builtin"), name = {NULL, 0};
  if (!asks_for_nothing(yoi_sdk_json_get(a->tree, "requested_capabilities"))) return 0;
  if (is_default(profile)) {
    if (a->entry->profile_named) return 0;
    name = a->entry->default_profile.len > 0 ? a->entry->default_profile : YOI_LIT("companion");
  } else if (!yoi_sdk_json_str(yoi_sdk_json_get(profile, "kind"), &kind) ||
             !yoi_sdk_json_str(yoi_sdk_json_get(profile, "value"), &name)) {
    return 0;
  }
  return yoi_sdk_str_is(kind, "builtin") && yoi__builtin_is_plain(name);
}

/* Of a bundle that only the runtime knows. */
static yoi_status check_unknown(struct create *a, yoi_error *err) {
  const struct yoi__config_names *list = &a->entry->workspaces;
  if (!list->given || a->workspace.len > 0) return YOI_OK;
  if (list->n != 1)
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                        "runtime '%.*s' is for some workspaces, and neither does this host have "
                        "the bundle nor does 'workspace' say which one it is of",
                        YOI_ARG(a->entry->id));
  a->workspace = list->names[0];
  a->gets_workspace = 1;
  return YOI_OK;
}

static yoi_status check(struct create *a, yoi_error *err) {
  const struct yoi__config_runtime *r = a->entry;
  if (a->workspace.len > 0 && !yoi__names_have(&r->workspaces, a->workspace))
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                        "workspace '%.*s' is not allowed in runtime '%.*s'",
                        YOI_ARG(a->workspace), YOI_ARG(r->id));
  if (a->names_bundle && a->bundle == NULL) {
    yoi_status st = check_unknown(a, err);
    if (st != YOI_OK) return st;
  }
  if (a->bundle != NULL) {
    yoi_status st = yoi__bundle_check(a->bundle, r, err);
    if (st != YOI_OK) return st;
    if (a->workspace.len > 0 && !yoi_sdk_str_eq(a->workspace, a->bundle->it->workspace_id))
      return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                          "bundle '%.*s' is of workspace '%.*s', not of '%.*s'",
                          YOI_ARG(a->bundle->it->id), YOI_ARG(a->bundle->it->workspace_id),
                          YOI_ARG(a->workspace));
  }
  if (a->names_bundle || r->require_bundle == YOI__REQUIRE_NEVER) return YOI_OK;
  if (r->require_bundle == YOI__REQUIRE_TOOLS && is_plain(a)) {
    if (is_default(yoi_sdk_json_get(a->tree, "profile")) && a->gets_profile.len == 0)
      a->gets_profile = YOI_LIT("companion");
    return YOI_OK;
  }
  return yoi_sdk_fail(err, YOI_CODE_BUNDLE_REQUIRED,
                      "runtime '%.*s' makes %s from a bundle only, and 'config_bundle' names none",
                      YOI_ARG(r->id),
                      r->require_bundle == YOI__REQUIRE_TOOLS ? "workers with tools" : "workers");
}

/* ---- writing ----------------------------------------------------------------------- */

static void write_body(const struct create *a, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  for (const yoi_sdk_json *v = yoi_sdk_json_first(a->tree); v != NULL; v = yoi_sdk_json_next(v)) {
    yoi_str key = yoi_sdk_json_key(v);
    if (a->gets_profile.len > 0 && yoi_sdk_str_is(key, "profile")) continue;
    yoi_sdk_jsonw_keyn(&w, key);
    yoi_sdk_json_write(v, &w);
  }
  if (a->gets_bundle) {
    yoi_sdk_jsonw_kopen(&w, "config_bundle", '{');
    yoi_sdk_jsonw_kstr(&w, "id", a->bundle->it->id);
    yoi_sdk_jsonw_kstr(&w, "digest", yoi_sdk_str(a->bundle->it->digest));
    yoi_sdk_jsonw_close(&w, '}');
  }
  if (a->gets_workspace) yoi_sdk_jsonw_kstr(&w, "workspace", a->workspace);
  if (a->gets_profile.len > 0) {
    int named = a->names_bundle || a->entry->profile_named;
    yoi_sdk_jsonw_kopen(&w, "profile", '{');
    yoi_sdk_jsonw_kstr(&w, "kind", named ? YOI_LIT("named") : YOI_LIT("builtin"));
    yoi_sdk_jsonw_kstr(&w, "value", a->gets_profile);
    yoi_sdk_jsonw_close(&w, '}');
  }
  yoi_sdk_jsonw_close(&w, '}');
}

/* ---- all of it ---------------------------------------------------------------------- */

/* 1: something is refused here, or could be. */
static int restricts(const struct yoi__config *c, const struct yoi__config_runtime *r) {
  return c->n_bundles > 0 || r->workspaces.given || r->require_bundle != YOI__REQUIRE_NEVER;
}

/* OK without a tree: the body is the runtime's business. */
static yoi_status parse(struct create *a, yoi_str body, yoi_sdk_json **out, yoi_error *err) {
  int strict = restricts(a->config, a->entry);
  struct yoi_sdk_json_error e;
  if (body.len == 0) body = YOI_LIT("{}");
  if (body.len > YOI_CREATE_BYTES_MAX)
    return !strict ? YOI_OK
                   : yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE,
                                  "the body has more than %d bytes", YOI_CREATE_BYTES_MAX);
  yoi_status st = yoi_sdk_json_parse(body, 0, out, &e);
  /* A limit that is passed has the same status. */
  if (st == YOI_RESOURCE_EXHAUSTED && strcmp(e.message, "out of memory") == 0)
    return yoi_sdk_fail_memory(err);
  if (st == YOI_OK && yoi_sdk_json_type(*out) == YOI_SDK_JSON_OBJECT) return YOI_OK;
  yoi_sdk_json_free(*out);
  *out = NULL;
  if (!strict) return YOI_OK;
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "the body is not valid JSON: %s", e.message);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the body is not an object");
}

yoi_status yoi__create_prepare(const struct yoi__config *c, const struct yoi__config_runtime *r,
                               const yoi_request *req, struct yoi_sdk_buf *out,
                               const struct yoi__config_bundle **out_bundle, yoi_error *err) {
  struct create a = {.config = c, .entry = r, .sees = req->workspace, .workspace = {"", 0}};
  yoi_sdk_json *tree = NULL;
  *out_bundle = NULL;
  if (!restricts(c, r) && r->default_profile.len == 0) return YOI_OK;
  yoi_status st = parse(&a, req->body, &tree, err);
  if (st != YOI_OK || tree == NULL) return st;
  a.tree = tree;
  if (is_default(yoi_sdk_json_get(tree, "profile"))) a.gets_profile = r->default_profile;
  if (restricts(c, r)) {
    st = read_members(&a, err);
    if (st == YOI_OK) st = check(&a, err);
  } else {
    a.names_bundle = yoi_sdk_json_get(tree, "config_bundle") != NULL;
  }
  if (st == YOI_OK && (a.gets_bundle || a.gets_workspace || a.gets_profile.len > 0))
    write_body(&a, out);
  if (st == YOI_OK && out->failed != 0) st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK) *out_bundle = a.bundle;
  yoi_sdk_json_free(tree);
  return st;
}
