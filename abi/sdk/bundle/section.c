/* section.c - the sections of a bundle, each a table of members. */
#include "reader.h"

#include <stddef.h>
#include <yoi/host_tool.h>

#define N(a) (sizeof(a) / sizeof(a)[0])

/* ---- members of the usual kinds -------------------------------------------------- */

static void read_string(struct bundle_reader *r, const yoi_sdk_json *v,
                        const struct bundle_member *m, void *out) {
  (void)yoi_sdk__bundle_string(r, v, m->grammar, out);
}

/* A string, or strings, that refs.c looks at again for what they refer to. */
static void read_reference(struct bundle_reader *r, const yoi_sdk_json *v,
                           const struct bundle_member *m, void *out) {
  (void)out;
  (void)yoi_sdk__bundle_string(r, v, m->grammar, NULL);
}

static void read_references(struct bundle_reader *r, const yoi_sdk_json *v,
                            const struct bundle_member *m, void *out) {
  (void)out;
  (void)yoi_sdk__bundle_strings(r, v, m->grammar, (size_t)m->most);
}

/* Strings that are handed out as they are. */
static void read_strings(struct bundle_reader *r, const yoi_sdk_json *v,
                         const struct bundle_member *m, void *out) {
  if (yoi_sdk__bundle_strings(r, v, m->grammar, (size_t)m->most)) *(const yoi_sdk_json **)out = v;
}

static void read_digests(struct bundle_reader *r, const yoi_sdk_json *v,
                         const struct bundle_member *m, void *out) {
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY && yoi_sdk_json_count(v) == 0)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "empty",
                        "expected a digest; a pin of any build has no 'digests'");
  read_strings(r, v, m, out);
}

static void read_flag(struct bundle_reader *r, const yoi_sdk_json *v,
                      const struct bundle_member *m, void *out) {
  int flag = 0;
  (void)m;
  if (yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_BOOL) && yoi_sdk_json_bool(v, &flag))
    *(uint32_t *)out = (uint32_t)flag;
}

static void read_verdict(struct bundle_reader *r, const yoi_sdk_json *v,
                         const struct bundle_member *m, void *out) {
  yoi_str word;
  if (!yoi_sdk__bundle_string(r, v, m->grammar, &word)) return;
  *(uint32_t *)out = yoi_sdk_str_is(word, "allow")  ? YOI_VERDICT_ALLOW
                     : yoi_sdk_str_is(word, "deny") ? YOI_VERDICT_DENY
                                                    : YOI_VERDICT_ASK;
}

static void read_model_ref(struct bundle_reader *r, const yoi_sdk_json *v,
                           const struct bundle_member *m, void *out) {
  yoi_str ref, kind;
  if (yoi_sdk__bundle_string(r, v, m->grammar, &ref))
    (void)yoi_sdk__bundle_split_ref(ref, &kind, out);
}

static void read_policy_plugin(struct bundle_reader *r, const yoi_sdk_json *v,
                               const struct bundle_member *m, void *out) {
  yoi_str *id = out;
  if (yoi_sdk__bundle_string(r, v, m->grammar, id) &&
      !yoi_sdk_str_is(*id, "dev.yoi.policy-rules"))
    yoi_sdk__bundle_say(r, 0, YOI_CODE_UNSUPPORTED_DECLARATION, "policy-plugin",
                        "this version supports 'dev.yoi.policy-rules'");
}

/* ---- the limits of a profile ------------------------------------------------------- */

static void read_limit(struct bundle_reader *r, const yoi_sdk_json *v,
                       const struct bundle_member *m, void *out) {
  int64_t n;
  (void)out;
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_NUMBER)) return;
  if (!yoi_sdk_json_int(v, &n) || n < 1 || n > m->most)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "limit",
                        "expected a whole number from 1 to %lld", (long long)m->most);
}

static void read_limits(struct bundle_reader *r, const yoi_sdk_json *v,
                        const struct bundle_member *m, void *out) {
#define LIMIT(name, usual, maximum) {#name, 0, read_limit, 0, NULL, maximum},
  static const struct bundle_member members[] = {YOI_SDK_BUNDLE_LIMITS(LIMIT)};
#undef LIMIT
  (void)m;
  yoi_sdk__bundle_object(r, v, members, N(members), out);
  *(const yoi_sdk_json **)out = v;
}

/* ---- entries -------------------------------------------------------------------------- */

#define AT(of, member) offsetof(struct yoi_sdk_bundle_##of, member)
#define STRING(of, member, required, how) \
  { #member, required, read_string, AT(of, member), &yoi_sdk__bundle_##how, 0 }

static const struct bundle_member prompt_members[] = {
    STRING(prompt, name, 1, name),
    STRING(prompt, media_type, 0, media_type),
    STRING(prompt, text, 1, text),
};
static const struct bundle_member model_members[] = {
    STRING(model, name, 1, name),
    {"ref", 1, read_model_ref, AT(model, host_model), &yoi_sdk__bundle_model_ref, 0},
    {"parameters", 0, yoi_sdk__bundle_parameters, AT(model, parameters), NULL, 0},
};
static const struct bundle_member tool_members[] = {
    STRING(tool, name, 1, tool_name),
    STRING(tool, plugin, 1, plugin_id),
    {"policy", 0, read_verdict, AT(tool, verdict), &yoi_sdk__bundle_policy_word, 0},
    {"optional", 0, read_flag, AT(tool, optional), NULL, 0},
    {"grants", 0, read_strings, AT(tool, grants), &yoi_sdk__bundle_grant, YOI_TOOL_GRANTS_MAX},
};
static const struct bundle_member plugin_members[] = {
    STRING(plugin, id, 1, plugin_id),
    STRING(plugin, version, 0, range),
    {"digests", 0, read_digests, AT(plugin, digests), &yoi_sdk__bundle_digest,
     YOI_BUNDLE_DIGESTS_MAX},
};
static const struct bundle_member policy_members[] = {
    STRING(policy, name, 1, name),
    {"plugin", 1, read_policy_plugin, AT(policy, plugin), &yoi_sdk__bundle_plugin_id, 0},
    {"rules", 1, yoi_sdk__bundle_rules, AT(policy, rules), NULL, YOI_BUNDLE_ENTRIES_MAX},
};
static const struct bundle_member workflow_members[] = {
    STRING(workflow, name, 1, name),
    {"ref", 1, read_reference, 0, &yoi_sdk__bundle_prompt_ref, 0},
};
static const struct bundle_member profile_members[] = {
    STRING(profile, name, 1, name),
    {"prompt", 1, read_reference, 0, &yoi_sdk__bundle_name, 0},
    {"model", 1, read_reference, 0, &yoi_sdk__bundle_name, 0},
    {"tools", 0, read_references, 0, &yoi_sdk__bundle_tool_name, YOI_TOOLS_MAX},
    {"workflows", 0, read_references, 0, &yoi_sdk__bundle_name, YOI_BUNDLE_ENTRIES_MAX},
    {"limits", 0, read_limits, AT(profile, limits), NULL, 0},
};

/* ---- sections ------------------------------------------------------------------------- */

static const struct section {
  const char *name;
  const struct bundle_member *members;
  size_t n, size, items, count; /* of an entry; where the list and its length are */
} sections[] = {
#define SECTION(plural, one) \
  {#plural, one##_members, N(one##_members), sizeof(struct yoi_sdk_bundle_##one), \
   offsetof(struct yoi_sdk_bundle, plural), offsetof(struct yoi_sdk_bundle, n_##plural)}
    SECTION(prompts, prompt),   SECTION(models, model),         SECTION(tools, tool),
    SECTION(plugins, plugin),   SECTION(policies, policy),      SECTION(workflows, workflow),
    SECTION(profiles, profile),
};

/* All entries, also those with findings: an index is one everywhere. */
static void read_section(struct bundle_reader *r, const yoi_sdk_json *v,
                         const struct bundle_member *m, void *out) {
  const struct section *s = &sections[m->most];
  size_t n = yoi_sdk_json_count(v), i = 0;
  if (!yoi_sdk__bundle_array(r, v, YOI_BUNDLE_ENTRIES_MAX) || n == 0) return;
  char *items = yoi_sdk__bundle_keep(r, n, s->size);
  if (items == NULL) return;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e), i++) {
    struct bundle_place place;
    yoi_sdk__bundle_enter(r, &place, (yoi_str){NULL, 0}, i);
    yoi_sdk__bundle_object(r, e, s->members, s->n, items + i * s->size);
    yoi_sdk__bundle_leave(r);
  }
  *(void **)((char *)out + s->items) = items;
  *(uint32_t *)(void *)((char *)out + s->count) = (uint32_t)n;
}

static void read_tools(struct bundle_reader *r, const yoi_sdk_json *v,
                       const struct bundle_member *m, void *out) {
  struct yoi_sdk_bundle *b = out;
  read_section(r, v, m, out);
  for (uint32_t i = 0; i < b->n_tools; i++) {
    struct yoi_sdk_bundle_tool *t = (struct yoi_sdk_bundle_tool *)(uintptr_t)&b->tools[i];
    if (t->verdict == YOI_VERDICT_ABSTAIN) t->verdict = YOI_VERDICT_ASK;
  }
}

static void read_profiles(struct bundle_reader *r, const yoi_sdk_json *v,
                          const struct bundle_member *m, void *out) {
  read_section(r, v, m, out);
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY && yoi_sdk_json_count(v) == 0)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "empty", "expected a profile or more");
}

static void read_provenance(struct bundle_reader *r, const yoi_sdk_json *v,
                            const struct bundle_member *m, void *out) {
  static const struct bundle_member members[] = {
      {"source", 1, read_string, offsetof(struct yoi_sdk_bundle, source),
       &yoi_sdk__bundle_source, 0},
      {"detail", 0, read_string, offsetof(struct yoi_sdk_bundle, detail),
       &yoi_sdk__bundle_detail, 0},
  };
  (void)m;
  yoi_sdk__bundle_object(r, v, members, N(members), out);
}

static void read_workspace(struct bundle_reader *r, const yoi_sdk_json *v,
                           const struct bundle_member *m, void *out) {
  static const struct bundle_member members[] = {
      {"name", 0, read_string, offsetof(struct yoi_sdk_bundle, workspace),
       &yoi_sdk__bundle_label, 0},
      {"project", 0, read_string, offsetof(struct yoi_sdk_bundle, project),
       &yoi_sdk__bundle_label, 0},
  };
  (void)m;
  yoi_sdk__bundle_object(r, v, members, N(members), out);
}

void yoi_sdk__bundle_sections(struct bundle_reader *r, const yoi_sdk_json *tree,
                              struct yoi_sdk_bundle *b) {
#define TEXT(member, required, how)                                                     \
  { #member, required, read_string, offsetof(struct yoi_sdk_bundle, member),            \
    &yoi_sdk__bundle_##how, 0 }
  static const struct bundle_member members[] = {
      {"schema", 1, read_reference, 0, &yoi_sdk__bundle_schema, 0},
      TEXT(id, 1, id),
      TEXT(revision, 1, revision),
      TEXT(workspace_id, 1, id),
      TEXT(created_at, 1, time),
      {"provenance", 1, read_provenance, 0, NULL, 0},
      TEXT(language, 0, language),
      {"workspace", 0, read_workspace, 0, NULL, 0},
      {"prompts", 0, read_section, 0, NULL, 0},
      {"models", 0, read_section, 0, NULL, 1},
      {"tools", 0, read_tools, 0, NULL, 2},
      {"plugins", 0, read_section, 0, NULL, 3},
      {"grants", 0, read_references, 0, &yoi_sdk__bundle_grant, YOI_BUNDLE_ENTRIES_MAX},
      {"policies", 0, read_section, 0, NULL, 4},
      {"workflows", 0, read_section, 0, NULL, 5},
      {"profiles", 1, read_profiles, 0, NULL, 6},
  };
  yoi_sdk__bundle_object(r, tree, members, N(members), b);
}
