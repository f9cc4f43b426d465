/* refs.c - everything that is named is there, once, and everything is used.
 *
 *   profile --> prompt, model, tools, workflows
 *   workflow --> prompt       model, tool --> grants
 *   pin --> the plugin of a tool or a policy
 *
 *  1. A reference that is no text of its grammar is no reference: it was said.
 *  2. A mistake is told once: what is used by something unused is used, and what
 *     a reference that leads nowhere may have meant is not called unused.
 *  3. A grant is used by exactly the text that it is: "mount:a:rw" is no
 *     "mount:a:ro".
 */
#include "reader.h"

#include <sdk/mem.h>

#define NONE UINT32_MAX

/* One section: the names of its entries, and which of them are used. */
struct names {
  const char *section, *member;
  const yoi_sdk_json *list;
  yoi_str *name; /* empty: it has none */
  unsigned char *used;
  uint32_t n;
  int unsure; /* a reference to it leads nowhere: who knows what was meant */
  int unread; /* it, or the name of an entry, cannot be read */
};

static yoi_str text_of(const yoi_sdk_json *v) {
  yoi_str s = {NULL, 0};
  (void)yoi_sdk_json_str(v, &s);
  return s;
}

static void say_here(struct bundle_reader *r, yoi_str member, size_t index, const char *rule,
                     const char *expected) {
  struct bundle_place entry, place;
  yoi_sdk__bundle_enter(r, &entry, (yoi_str){NULL, 0}, index);
  if (member.len > 0) yoi_sdk__bundle_enter(r, &place, member, 0);
  yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, rule, "%s", expected);
  if (member.len > 0) yoi_sdk__bundle_leave(r);
  yoi_sdk__bundle_leave(r);
}

static yoi_str fitting(const yoi_sdk_json *v, const struct bundle_grammar *g) {
  yoi_str s = text_of(v);
  return s.len > 0 && g->fits(s) == BUNDLE_GOOD ? s : (yoi_str){NULL, 0};
}

/* "" in place of a member: the entries are the names. */
static int names_of(struct bundle_reader *r, const yoi_sdk_json *tree, const char *section,
                    const char *member, const struct bundle_grammar *g, struct names *out) {
  const yoi_sdk_json *list = yoi_sdk_json_get(tree, section);
  size_t n = yoi_sdk_json_type(list) == YOI_SDK_JSON_ARRAY ? yoi_sdk_json_count(list) : 0;
  *out = (struct names){.section = section, .member = member, .list = list};
  out->unread = (list != NULL && yoi_sdk_json_type(list) != YOI_SDK_JSON_ARRAY) ||
                n > YOI_BUNDLE_ENTRIES_MAX;
  if (n == 0 || out->unread) return 1;
  out->name = yoi_sdk_calloc(n, sizeof *out->name);
  out->used = yoi_sdk_calloc(n, 1);
  if (out->name == NULL || out->used == NULL) {
    r->short_of_memory = 1;
    return 0;
  }
  for (const yoi_sdk_json *e = yoi_sdk_json_first(list); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str name = fitting(*member == '\0' ? e : yoi_sdk_json_get(e, member), g);
    if (name.len == 0) out->unread = 1;
    out->name[out->n++] = name;
  }
  return 1;
}

static void names_free(struct names *s) {
  yoi_sdk_free(s->name);
  yoi_sdk_free(s->used);
}

static uint32_t find(const struct names *s, yoi_str name) {
  for (uint32_t i = 0; i < s->n && name.len > 0; i++)
    if (yoi_sdk_str_eq(s->name[i], name)) return i;
  return NONE;
}

static void say_twice(struct bundle_reader *r, const struct names *s) {
  struct bundle_place place;
  yoi_sdk__bundle_enter(r, &place, yoi_sdk_str(s->section), 0);
  for (uint32_t i = 1; i < s->n; i++)
    if (s->name[i].len > 0 && find(s, s->name[i]) < i)
      say_here(r, yoi_sdk_str(s->member), i, "duplicate",
               "expected a name that no entry before has");
  yoi_sdk__bundle_leave(r);
}

static void say_unused(struct bundle_reader *r, const struct names *s) {
  struct bundle_place place;
  yoi_sdk__bundle_enter(r, &place, yoi_sdk_str(s->section), 0);
  for (uint32_t i = 0; i < s->n && !s->unsure; i++)
    if (!s->used[i] && s->name[i].len > 0 && find(s, s->name[i]) == i)
      say_here(r, (yoi_str){NULL, 0}, i, "unused", "nothing uses this entry");
  yoi_sdk__bundle_leave(r);
}

/* ---- one reference -------------------------------------------------------------------- */

/* The entry that `name` is, which is used then; NONE: there is none, which is
 * said. An empty name is none. */
static uint32_t resolve(struct bundle_reader *r, struct names *s, yoi_str name) {
  uint32_t i = find(s, name);
  if (i != NONE) {
    s->used[i] = 1;
    return i;
  }
  s->unsure = 1;
  if (name.len > 0 && !s->unread)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "dangling", "expected an entry of '%s'",
                        s->section);
  return NONE;
}

static uint32_t member(struct bundle_reader *r, const yoi_sdk_json *entry, const char *name,
                       struct names *s, const struct bundle_grammar *g) {
  struct bundle_place place;
  yoi_sdk__bundle_enter(r, &place, yoi_sdk_str(name), 0);
  uint32_t i = resolve(r, s, fitting(yoi_sdk_json_get(entry, name), g));
  yoi_sdk__bundle_leave(r);
  return i;
}

/* Indices of all that a list names; NULL: it names nothing. */
static uint32_t *members(struct bundle_reader *r, const yoi_sdk_json *entry, const char *name,
                         struct names *s, const struct bundle_grammar *g, uint32_t *out_n) {
  const yoi_sdk_json *list = yoi_sdk_json_get(entry, name);
  size_t n = yoi_sdk_json_type(list) == YOI_SDK_JSON_ARRAY ? yoi_sdk_json_count(list) : 0, i = 0;
  struct bundle_place place, one;
  uint32_t *out;
  *out_n = 0;
  if (list != NULL && yoi_sdk_json_type(list) != YOI_SDK_JSON_ARRAY) s->unsure = 1;
  if (n == 0 || n > YOI_BUNDLE_ENTRIES_MAX) return NULL;
  out = yoi_sdk__bundle_keep(r, n, sizeof *out);
  if (out == NULL) return NULL;
  yoi_sdk__bundle_enter(r, &place, yoi_sdk_str(name), 0);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(list); e != NULL; e = yoi_sdk_json_next(e), i++) {
    yoi_sdk__bundle_enter(r, &one, (yoi_str){NULL, 0}, i);
    out[i] = resolve(r, s, fitting(e, g));
    yoi_sdk__bundle_leave(r);
  }
  yoi_sdk__bundle_leave(r);
  *out_n = (uint32_t)n;
  return out;
}

/* ---- sections -------------------------------------------------------------------------- */

struct all {
  struct names prompts, models, tools, plugins, grants, policies, workflows, profiles;
};

/* Runs `one` for each entry of a section, at its place. */
static void each(struct bundle_reader *r, const struct names *s, struct all *a, void *entries,
                 void (*one)(struct bundle_reader *, const yoi_sdk_json *, struct all *, void *,
                             uint32_t)) {
  struct bundle_place section, place;
  uint32_t i = 0;
  yoi_sdk__bundle_enter(r, &section, yoi_sdk_str(s->section), 0);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(s->list); i < s->n; e = yoi_sdk_json_next(e)) {
    yoi_sdk__bundle_enter(r, &place, (yoi_str){NULL, 0}, i);
    one(r, e, a, entries, i++);
    yoi_sdk__bundle_leave(r);
  }
  yoi_sdk__bundle_leave(r);
}

static void profile(struct bundle_reader *r, const yoi_sdk_json *e, struct all *a, void *entries,
                    uint32_t i) {
  struct yoi_sdk_bundle_profile *p = (struct yoi_sdk_bundle_profile *)entries + i;
  p->prompt = member(r, e, "prompt", &a->prompts, &yoi_sdk__bundle_name);
  p->model = member(r, e, "model", &a->models, &yoi_sdk__bundle_name);
  p->tools = members(r, e, "tools", &a->tools, &yoi_sdk__bundle_tool_name, &p->n_tools);
  p->workflows =
      members(r, e, "workflows", &a->workflows, &yoi_sdk__bundle_name, &p->n_workflows);
}

static void workflow(struct bundle_reader *r, const yoi_sdk_json *e, struct all *a, void *entries,
                     uint32_t i) {
  struct yoi_sdk_bundle_workflow *w = (struct yoi_sdk_bundle_workflow *)entries + i;
  struct bundle_place place;
  yoi_str kind, name = {NULL, 0},
                ref = fitting(yoi_sdk_json_get(e, "ref"), &yoi_sdk__bundle_prompt_ref);
  if (ref.len > 0) (void)yoi_sdk__bundle_split_ref(ref, &kind, &name);
  yoi_sdk__bundle_enter(r, &place, YOI_LIT("ref"), 0);
  w->prompt = resolve(r, &a->prompts, name);
  yoi_sdk__bundle_leave(r);
}

static void model(struct bundle_reader *r, const yoi_sdk_json *e, struct all *a, void *entries,
                  uint32_t i) {
  (void)entries;
  (void)i;
  (void)member(r, e, "ref", &a->grants, &yoi_sdk__bundle_model_ref);
}

/* A plugin need not be pinned. */
static void use_pin(const yoi_sdk_json *e, struct names *plugins) {
  yoi_str id = fitting(yoi_sdk_json_get(e, "plugin"), &yoi_sdk__bundle_plugin_id);
  uint32_t pin = find(plugins, id);
  if (pin != NONE) plugins->used[pin] = 1;
  if (id.len == 0) plugins->unsure = 1;
}

static void tool(struct bundle_reader *r, const yoi_sdk_json *e, struct all *a, void *entries,
                 uint32_t i) {
  uint32_t n;
  (void)entries;
  (void)i;
  use_pin(e, &a->plugins);
  (void)members(r, e, "grants", &a->grants, &yoi_sdk__bundle_grant, &n);
}

static void policy(struct bundle_reader *r, const yoi_sdk_json *e, struct all *a, void *entries,
                   uint32_t i) {
  (void)r;
  (void)entries;
  (void)i;
  use_pin(e, &a->plugins);
}

/* 1: the profile has the prompt of its workflow k already, as its own or by an
 * earlier workflow. */
static int says_twice(const struct yoi_sdk_bundle *b, const struct yoi_sdk_bundle_profile *p,
                      uint32_t k) {
  if (p->workflows[k] == NONE || b->workflows[p->workflows[k]].prompt == NONE) return 0;
  uint32_t prompt = b->workflows[p->workflows[k]].prompt;
  for (uint32_t i = 0; i < k; i++)
    if (p->workflows[i] != NONE && b->workflows[p->workflows[i]].prompt == prompt) return 1;
  return p->prompt == prompt;
}

/* A prompt stands once in what a model is told: a profile is no longer than its
 * bundle. */
static void say_repeated(struct bundle_reader *r, const struct yoi_sdk_bundle *b) {
  struct bundle_place section, entry, list;
  yoi_sdk__bundle_enter(r, &section, YOI_LIT("profiles"), 0);
  for (uint32_t i = 0; i < b->n_profiles; i++) {
    const struct yoi_sdk_bundle_profile *p = &b->profiles[i];
    yoi_sdk__bundle_enter(r, &entry, (yoi_str){NULL, 0}, i);
    yoi_sdk__bundle_enter(r, &list, YOI_LIT("workflows"), 0);
    for (uint32_t k = 0; k < p->n_workflows; k++)
      if (says_twice(b, p, k))
        say_here(r, (yoi_str){NULL, 0}, k, "repeated",
                 "expected a workflow whose prompt the profile does not have already");
    yoi_sdk__bundle_leave(r);
    yoi_sdk__bundle_leave(r);
  }
  yoi_sdk__bundle_leave(r);
}

/* Who uses something cannot be read: that nothing uses it would be a guess. */
static void doubt(struct all *a) {
  if (a->profiles.unread || a->profiles.n == 0)
    a->prompts.unsure = a->models.unsure = a->tools.unsure = a->workflows.unsure = 1;
  if (a->workflows.unread) a->prompts.unsure = 1;
  if (a->models.unread || a->tools.unread) a->grants.unsure = 1;
  if (a->tools.unread || a->policies.unread) a->plugins.unsure = 1;
}

/* The lists are ours until the bundle is handed out. */
static void *ours(const void *entries) {
  return (void *)(uintptr_t)entries;
}

void yoi_sdk__bundle_refs(struct bundle_reader *r, const yoi_sdk_json *tree,
                          struct yoi_sdk_bundle *b) {
  struct all a = {.prompts = {.n = 0}};
  if (names_of(r, tree, "prompts", "name", &yoi_sdk__bundle_name, &a.prompts) &&
      names_of(r, tree, "models", "name", &yoi_sdk__bundle_name, &a.models) &&
      names_of(r, tree, "tools", "name", &yoi_sdk__bundle_tool_name, &a.tools) &&
      names_of(r, tree, "plugins", "id", &yoi_sdk__bundle_plugin_id, &a.plugins) &&
      names_of(r, tree, "grants", "", &yoi_sdk__bundle_grant, &a.grants) &&
      names_of(r, tree, "policies", "name", &yoi_sdk__bundle_name, &a.policies) &&
      names_of(r, tree, "workflows", "name", &yoi_sdk__bundle_name, &a.workflows) &&
      names_of(r, tree, "profiles", "name", &yoi_sdk__bundle_name, &a.profiles)) {
    struct names *const sections[] = {&a.prompts, &a.models,   &a.tools,
                                      &a.plugins, &a.policies, &a.workflows, &a.profiles};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) say_twice(r, sections[i]);
    each(r, &a.profiles, &a, ours(b->profiles), profile);
    each(r, &a.workflows, &a, ours(b->workflows), workflow);
    each(r, &a.models, &a, ours(b->models), model);
    each(r, &a.tools, &a, ours(b->tools), tool);
    each(r, &a.policies, &a, ours(b->policies), policy);
    if (r->n_found == 0) say_repeated(r, b);
    doubt(&a);
    struct names *const used[] = {&a.prompts, &a.models, &a.tools,
                                  &a.plugins, &a.grants, &a.workflows};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) say_unused(r, used[i]);
  }
  names_free(&a.prompts);
  names_free(&a.models);
  names_free(&a.tools);
  names_free(&a.plugins);
  names_free(&a.grants);
  names_free(&a.policies);
  names_free(&a.workflows);
  names_free(&a.profiles);
}
