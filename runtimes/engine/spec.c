/* spec.c - what workers were resolved to, read and shared.
 *
 * Create resolves once (resolve.c), and the result stands with the worker, so
 * that a later change of the host's config or of a bundle does not change what a
 * worker is, and a restart needs nothing else. Invariants:
 *
 *  1. There is one way from the text of a spec to what the engine works with,
 *     whether it was resolved a moment ago or comes from a record; the record
 *     may have been edited, and is checked as a profile is.
 *  2. Equal specs are one object: there is one per text.
 *  3. What a spec says is what was asked for; what is there now, the host says
 *     at each use. A tool that has gone since is known here, and not offered.
 */
#include "spec.h"

#include <sdk/embed.h>
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "artefact.h"

YOI_SDK_EMBED(eng_builtin, "bundles/builtin.json");

struct eng_made {
  struct eng_made *next;
  struct eng_spec *spec; /* a reference */
  char digest[YOI_SDK_DIGEST_SIZE]; /* of the bundle; empty: a builtin one */
  char profile[YOI_NAME_MAX + 1]; /* empty: nobody asks for it by that */
};

yoi_status eng_specs_init(struct eng_specs *s, const struct eng_around *around, yoi_str builtin,
                          yoi_error *err) {
  yoi_str own = {eng_builtin, (size_t)(eng_builtin_end - eng_builtin)};
  *s = (struct eng_specs){.around = *around};
  pthread_mutex_init(&s->mu, NULL);
  yoi_status st =
      yoi_sdk_bundle_new(builtin.len > 0 ? builtin : own, NULL, NULL, &s->builtin, err);
  if (st != YOI_OK) eng_specs_release(s);
  return st;
}

static void spec_free(struct eng_spec *spec) {
  if (!spec) return;
  for (uint32_t i = 0; i < spec->n_tools; i++) {
    yoi_sdk_free(spec->tools[i].name);
    yoi_sdk_free(spec->tools[i].plugin);
    yoi_sdk_free(spec->tools[i].grants);
  }
  for (uint32_t i = 0; i < spec->n_rules; i++) yoi_sdk_rules_free(spec->rules[i]);
  yoi_sdk_free(spec->rules);
  yoi_sdk_free(spec->tools);
  eng_text_unref(spec->json);
  yoi_sdk_free(spec->model);
  yoi_sdk_free(spec->parameters);
  yoi_sdk_str_free(&spec->prompt);
  yoi_sdk_str_free(&spec->offer);
  yoi_sdk_free(spec);
}

/* Workers let their references go before. */
void eng_specs_release(struct eng_specs *s) {
  while (s->made) {
    struct eng_made *m = s->made;
    s->made = m->next;
    eng_spec_unref(s, m->spec);
    yoi_sdk_free(m);
  }
  yoi_sdk_bundle_free(s->builtin);
  pthread_mutex_destroy(&s->mu);
}

/* ---- what it says ---- */

const struct eng_spec_tool *eng_spec_tool(const struct eng_spec *spec, yoi_str name) {
  for (uint32_t i = 0; i < spec->n_tools; i++)
    if (yoi_sdk_str_is(name, spec->tools[i].name)) return &spec->tools[i];
  if (spec->offer.len > 0 && yoi_sdk_str_is(name, eng_artefact_tool.name))
    return &eng_artefact_tool;
  return NULL;
}

int eng_spec_has(const struct eng_spec *spec, yoi_str capability) {
  yoi_str raw, grants = yoi_sdk_json_raw_get(eng_text_str(spec->json), "grants");
  if (eng_spec_tool(spec, capability)) return 1;
  for (size_t pos = 0; yoi_sdk_json_raw_each(grants, &pos, &raw);) {
    yoi_str inside = {raw.ptr + 1, raw.len - 2}; /* a grant needs no escapes */
    if (yoi_sdk_str_eq(inside, capability)) return 1;
  }
  return 0;
}

static uint32_t strictest(const struct eng_spec *spec, const yoi_policy_request *req,
                          uint64_t now_ns, yoi_str *out_rule, yoi_str *out_reason) {
  uint32_t verdict = YOI_VERDICT_ABSTAIN;
  for (uint32_t i = 0; i < spec->n_rules; i++) {
    const struct yoi_sdk_rules_answer *a = yoi_sdk_rules_decide(spec->rules[i], req, now_ns);
    if (a->verdict <= verdict) continue;
    verdict = a->verdict;
    *out_rule = a->rule;
    *out_reason = a->reason;
  }
  return verdict;
}

/* Each policy counts for itself, so they are asked without counting first: what
 * one of them denies counts for none. */
uint32_t eng_spec_judge(const struct eng_spec *spec, const yoi_policy_request *req,
                        uint64_t now_ns, yoi_str *out_rule, yoi_str *out_reason) {
  if (spec->n_rules > 1 && !req->asked_again) {
    yoi_policy_request look = *req;
    look.asked_again = 1;
    uint32_t verdict = strictest(spec, &look, now_ns, out_rule, out_reason);
    if (verdict == YOI_VERDICT_DENY) return verdict;
    *out_rule = *out_reason = (yoi_str){0};
  }
  return strictest(spec, req, now_ns, out_rule, out_reason);
}

/* ---- its tools ---- */

static char *written(const yoi_sdk_json *v) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  size_t len = 0;
  if (!v) return yoi_sdk_strndup("[]", 2);
  yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_json_write(v, &w);
  char *text = buf.failed ? NULL : yoi_sdk_buf_take(&buf, &len);
  yoi_sdk_buf_release(&buf);
  return text;
}

/* What the host says of it now; 0: it has no such tool. */
static int ask_host(const struct eng_around *a, const char *plugin, const char *name,
                    yoi_tool_info *info) {
  *info = (yoi_tool_info){.size = sizeof *info};
  return a->tools &&
         a->tools->find(a->host, yoi_sdk_str(plugin), yoi_sdk_str(name), info, NULL) == YOI_OK;
}

/* 0: memory is short. */
static int add_tool(struct eng_spec *spec, yoi_str name, yoi_str plugin, const yoi_sdk_json *grants,
                    uint32_t verdict) {
  struct eng_spec_tool *t = &spec->tools[spec->n_tools++];
  *t = (struct eng_spec_tool){
      .name = yoi_sdk_strndup(name.ptr, name.len),
      .plugin = yoi_sdk_strndup(plugin.ptr, plugin.len),
      .grants = written(grants),
      .verdict = verdict,
  };
  return t->name && t->plugin && t->grants;
}

/* Asks the host about each, and writes down what a model is told. 0: memory is
 * short. */
static int make_offer(const struct eng_around *a, struct eng_spec *spec) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  size_t len = 0;
  uint32_t n = 0;
  yoi_sdk_buf_init(
      &buf, (size_t)(YOI_TOOLS_MAX + 1) * (YOI_TOOL_PARAMETERS_MAX + 2 * YOI_TOOL_DESCRIPTION_MAX));
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '[');
  for (uint32_t i = 0; i < spec->n_tools; i++) {
    struct eng_spec_tool *t = &spec->tools[i];
    yoi_tool_info info;
    t->there = ask_host(a, t->plugin, t->name, &info) != 0;
    if (!t->there) continue;
    t->flags = info.flags;
    t->max_ms = info.max_ms;
    n++;
    yoi_sdk_jsonw_open(&w, '{');
    yoi_sdk_jsonw_kstr(&w, "name", info.name);
    yoi_sdk_jsonw_kstr(&w, "description", info.description);
    yoi_sdk_jsonw_kraw(&w, "parameters", info.parameters);
    yoi_sdk_jsonw_close(&w, '}');
  }
  if (n > 0) yoi_sdk_jsonw_raw(&w, yoi_sdk_str(eng_artefact_offer));
  yoi_sdk_jsonw_close(&w, ']');
  if (n > 0 && !buf.failed) {
    spec->offer.ptr = yoi_sdk_buf_take(&buf, &len);
    spec->offer.len = spec->offer.ptr ? len : 0;
  }
  int failed = buf.failed;
  yoi_sdk_buf_release(&buf);
  return !failed && (n == 0 || spec->offer.ptr);
}

/* ---- reading one ---- */

static yoi_status read_tool(struct eng_spec *spec, const yoi_sdk_json *v) {
  yoi_str name = {0}, plugin = {0}, policy = {0};
  const yoi_sdk_json *grants = yoi_sdk_json_get(v, "grants");
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "name"), &name) || !yoi_sdk_name_valid(name) ||
      !yoi_sdk_json_str(yoi_sdk_json_get(v, "plugin"), &plugin) ||
      !yoi_sdk_plugin_id_valid(plugin) ||
      !yoi_sdk_json_str(yoi_sdk_json_get(v, "policy"), &policy) ||
      eng_verdict(policy) == YOI_VERDICT_ABSTAIN || yoi_sdk_json_type(grants) != YOI_SDK_JSON_ARRAY)
    return YOI_DATA_LOSS;
  return add_tool(spec, name, plugin, grants, eng_verdict(policy)) ? YOI_OK
                                                                   : YOI_RESOURCE_EXHAUSTED;
}

static yoi_status read_tools(struct eng_spec *spec, const yoi_sdk_json *v) {
  size_t n = yoi_sdk_json_count(v);
  if (n == 0) return YOI_OK;
  if (n > YOI_TOOLS_MAX) return YOI_DATA_LOSS;
  spec->tools = yoi_sdk_calloc(n, sizeof *spec->tools);
  if (!spec->tools) return YOI_RESOURCE_EXHAUSTED;
  yoi_status st = YOI_OK;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e && st == YOI_OK; e = yoi_sdk_json_next(e))
    st = read_tool(spec, e);
  return st;
}

/* The rules of one policy of a bundle. */
static yoi_status read_policy(struct eng_spec *spec, const yoi_sdk_json *v) {
  char *text = written(yoi_sdk_json_get(v, "rules"));
  if (!text) return YOI_RESOURCE_EXHAUSTED;
  struct yoi_sdk_error e;
  yoi_status st = yoi_sdk_rules_of_bundle(yoi_sdk_str(text), &spec->rules[spec->n_rules],
                                          yoi_sdk_error_init(&e));
  yoi_sdk_free(text);
  if (st == YOI_OK) spec->n_rules++;
  return st == YOI_OK || st == YOI_RESOURCE_EXHAUSTED ? st : YOI_DATA_LOSS;
}

static yoi_status read_policies(struct eng_spec *spec, const yoi_sdk_json *v) {
  size_t n = yoi_sdk_json_count(v);
  if (n == 0) return YOI_OK;
  if (n > YOI_BUNDLE_ENTRIES_MAX) return YOI_DATA_LOSS;
  spec->rules = yoi_sdk_calloc(n, sizeof *spec->rules);
  if (!spec->rules) return YOI_RESOURCE_EXHAUSTED;
  yoi_status st = YOI_OK;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e && st == YOI_OK; e = yoi_sdk_json_next(e))
    st = read_policy(spec, e);
  return st;
}

static void add_words(struct yoi_sdk_buf *b, const char *before, yoi_str text) {
  if (text.len == 0) return;
  yoi_sdk_buf_adds(b, yoi_sdk_str(before));
  yoi_sdk_buf_adds(b, text);
}

/* The texts of the prompts, those of workflows under their names; then where
 * and in which language the work is. */
static yoi_status read_prompts(struct eng_spec *spec, const yoi_sdk_json *tree) {
  const yoi_sdk_json *place = yoi_sdk_json_get(tree, "workspace");
  struct yoi_sdk_buf words, escaped;
  yoi_str s = {0};
  size_t len = 0, n = 0;
  yoi_status st = YOI_OK;
  yoi_sdk_buf_init(&words, YOI_BODY_BYTES_MAX);
  yoi_sdk_buf_init(&escaped, 6 * (size_t)YOI_BODY_BYTES_MAX);
  for (const yoi_sdk_json *p = yoi_sdk_json_first(yoi_sdk_json_get(tree, "prompts")); p;
       p = yoi_sdk_json_next(p)) {
    yoi_str workflow = {0}, text = {0};
    (void)yoi_sdk_json_str(yoi_sdk_json_get(p, "workflow"), &workflow);
    if (!yoi_sdk_json_str(yoi_sdk_json_get(p, "text"), &text)) st = YOI_DATA_LOSS;
    add_words(&words, "\n\n# ", workflow);
    add_words(&words, n++ > 0 ? "\n\n" : "", text);
  }
  if (yoi_sdk_json_str(yoi_sdk_json_get(tree, "language"), &s))
    add_words(&words, "\n\nLanguage: ", s);
  if (yoi_sdk_json_str(yoi_sdk_json_get(place, "name"), &s))
    add_words(&words, "\n\nWorkspace: ", s);
  if (yoi_sdk_json_str(yoi_sdk_json_get(place, "project"), &s))
    add_words(&words, "\n\nProject: ", s);
  if (n == 0) st = YOI_DATA_LOSS;
  if (!words.failed) yoi_sdk_json_escape(&escaped, yoi_sdk_buf_str(&words));
  if (!words.failed && !escaped.failed) spec->prompt.ptr = yoi_sdk_buf_take(&escaped, &len);
  spec->prompt.len = spec->prompt.ptr ? len : 0;
  yoi_sdk_buf_release(&words);
  yoi_sdk_buf_release(&escaped);
  return st == YOI_OK && !spec->prompt.ptr ? YOI_RESOURCE_EXHAUSTED : st;
}

static yoi_status spec_read(struct eng_spec *spec, const yoi_sdk_json *tree) {
  yoi_str model = {0}, place = {0};
  const yoi_sdk_json *parameters = yoi_sdk_json_get(tree, "parameters");
  if (!yoi_sdk_json_str(yoi_sdk_json_get(tree, "model"), &model) || !yoi_sdk_name_valid(model) ||
      eng_limits_read(&spec->limits, yoi_sdk_json_get(tree, "limits"), NULL) != YOI_OK)
    return YOI_DATA_LOSS;
  if (yoi_sdk_json_str(yoi_sdk_json_get(yoi_sdk_json_get(tree, "workspace"), "id"), &place)) {
    if (!yoi_sdk_id_valid(place)) return YOI_DATA_LOSS;
    memcpy(spec->workspace, place.ptr, place.len);
  }
  spec->model = yoi_sdk_strndup(model.ptr, model.len);
  if (!spec->model) return YOI_RESOURCE_EXHAUSTED;
  if (yoi_sdk_json_type(parameters) == YOI_SDK_JSON_OBJECT) {
    spec->parameters = written(parameters);
    if (!spec->parameters) return YOI_RESOURCE_EXHAUSTED;
  }
  yoi_status st = read_prompts(spec, tree);
  if (st == YOI_OK) st = read_tools(spec, yoi_sdk_json_get(tree, "tools"));
  if (st == YOI_OK) st = read_policies(spec, yoi_sdk_json_get(tree, "policies"));
  return st;
}

static yoi_status spec_new(const struct eng_around *a, struct eng_text *json,
                           struct eng_spec **out) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  yoi_status st = yoi_sdk_json_parse(eng_text_str(json), 0, &tree, &jerr);
  if (st == YOI_INVALID_ARGUMENT) return YOI_DATA_LOSS;
  if (st != YOI_OK) return st;
  struct eng_spec *spec = yoi_sdk_calloc(1, sizeof *spec);
  st = !spec                                            ? YOI_RESOURCE_EXHAUSTED
       : yoi_sdk_json_type(tree) != YOI_SDK_JSON_OBJECT ? YOI_DATA_LOSS
                                                        : spec_read(spec, tree);
  yoi_sdk_json_free(tree);
  if (st == YOI_OK && !make_offer(a, spec)) st = YOI_RESOURCE_EXHAUSTED;
  if (st == YOI_OK) {
    spec->json = eng_text_ref(json);
    spec->refs = 1;
    *out = spec;
  } else {
    spec_free(spec);
  }
  return st;
}

/* ---- sharing ---- */

struct eng_spec *eng_spec_ref(struct eng_specs *s, struct eng_spec *spec) {
  pthread_mutex_lock(&s->mu);
  spec->refs++;
  pthread_mutex_unlock(&s->mu);
  return spec;
}

void eng_spec_unref(struct eng_specs *s, struct eng_spec *spec) {
  if (!spec) return;
  pthread_mutex_lock(&s->mu);
  bool last = --spec->refs == 0;
  struct eng_spec **at = &s->all;
  while (last && *at != spec) at = &(*at)->next;
  if (last) *at = spec->next;
  pthread_mutex_unlock(&s->mu);
  if (last) spec_free(spec);
}

/* specs.mu held: with a reference. */
static struct eng_spec *find_text(const struct eng_specs *s, yoi_str json) {
  struct eng_spec *spec = s->all;
  while (spec && !yoi_sdk_str_eq(eng_text_str(spec->json), json)) spec = spec->next;
  if (spec) spec->refs++;
  return spec;
}

/* What rules have counted must not be forgotten when the last of its workers sleeps.
 * Nothing is resolved to it: what this host has may have changed since. */
static void keep_counts(struct eng_specs *s, struct eng_spec *spec) {
  yoi_str bundle = yoi_sdk_json_raw_get(eng_text_str(spec->json), "bundle");
  yoi_str digest = yoi_sdk_json_raw_get(bundle, "digest");
  if (spec->n_rules == 0 || digest.len != YOI_SDK_DIGEST_SIZE + 1) return;
  struct eng_made *m = yoi_sdk_calloc(1, sizeof *m);
  if (!m) return;
  (void)snprintf(m->digest, sizeof m->digest, "%.*s", (int)digest.len - 2, digest.ptr + 1);
  m->spec = eng_spec_ref(s, spec);
  pthread_mutex_lock(&s->mu);
  m->next = s->made;
  s->made = m;
  pthread_mutex_unlock(&s->mu);
}

yoi_status eng_specs_restore(struct eng_specs *s, struct eng_text *json, struct eng_spec **out) {
  struct eng_spec *spec = NULL;
  pthread_mutex_lock(&s->mu);
  *out = find_text(s, eng_text_str(json));
  pthread_mutex_unlock(&s->mu);
  if (*out) return YOI_OK;
  yoi_status st = spec_new(&s->around, json, &spec); /* without the lock: the host is asked */
  if (st != YOI_OK) return st;
  pthread_mutex_lock(&s->mu);
  *out = find_text(s, eng_text_str(json)); /* made meanwhile */
  if (!*out) {
    spec->next = s->all;
    s->all = *out = spec;
  }
  pthread_mutex_unlock(&s->mu);
  if (*out != spec)
    spec_free(spec);
  else
    keep_counts(s, spec);
  return YOI_OK;
}

/* ---- what was made of what ---- */

/* specs.mu held: with a reference. model NULL: any. */
static struct eng_spec *find_made(const struct eng_specs *s, const char *digest, yoi_str profile,
                                  const char *model) {
  for (const struct eng_made *m = s->made; m; m = m->next) {
    if (strcmp(m->digest, digest) != 0 || !yoi_sdk_str_is(profile, m->profile) ||
        (model && strcmp(m->spec->model, model) != 0))
      continue;
    m->spec->refs++;
    return m->spec;
  }
  return NULL;
}

static struct eng_spec *look_up(struct eng_specs *s, const char *digest, yoi_str profile,
                                const char *model) {
  pthread_mutex_lock(&s->mu);
  struct eng_spec *spec = find_made(s, digest, profile, model);
  pthread_mutex_unlock(&s->mu);
  return spec;
}

/* For the next create. Where memory is short it is resolved again. */
static void remember(struct eng_specs *s, const char *digest, yoi_str profile,
                     struct eng_spec *spec) {
  struct eng_made *m = yoi_sdk_calloc(1, sizeof *m);
  if (!m) return;
  (void)snprintf(m->digest, sizeof m->digest, "%s", digest);
  (void)snprintf(m->profile, sizeof m->profile, "%.*s", YOI_ARG(profile));
  m->spec = eng_spec_ref(s, spec);
  pthread_mutex_lock(&s->mu);
  struct eng_spec *other = find_made(s, digest, profile, spec->model); /* made meanwhile */
  if (!other) {
    m->next = s->made;
    s->made = m;
  }
  pthread_mutex_unlock(&s->mu);
  if (!other) return;
  eng_spec_unref(s, other);
  eng_spec_unref(s, m->spec);
  yoi_sdk_free(m);
}

static yoi_status resolve(struct eng_specs *s, const struct eng_recipe *r, const char *model,
                          struct eng_spec **out, yoi_error *err) {
  struct yoi_sdk_buf buf;
  struct eng_text *json = NULL;
  yoi_sdk_buf_init(&buf, 2 * (size_t)YOI_BODY_BYTES_MAX);
  yoi_status st = eng_resolve(&s->around, r, model, &buf, err);
  if (st == YOI_OK) json = eng_text_new(yoi_sdk_buf_str(&buf));
  yoi_sdk_buf_release(&buf);
  if (st != YOI_OK) return st;
  st = json ? eng_specs_restore(s, json, out) : YOI_RESOURCE_EXHAUSTED;
  eng_text_unref(json);
  if (st == YOI_OK) return st;
  return st == YOI_RESOURCE_EXHAUSTED
             ? yoi_sdk_fail_memory(err)
             : yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the profile was resolved to what is no spec");
}

yoi_status eng_specs_resolve(struct eng_specs *s, const struct eng_wanted *wanted,
                             struct eng_spec **out, yoi_error *err) {
  const char *digest = wanted->bytes ? wanted->digest : "";
  yoi_str profile =
      wanted->profile.len > 0 || wanted->bytes ? wanted->profile : s->builtin->profiles[0].name;
  struct yoi_sdk_bundle *bundle = NULL;
  struct eng_recipe r;
  char model[YOI_NAME_MAX + 1];
  /* The model of a bundle is one and no other: nothing has to be read for it. */
  *out = wanted->bytes ? look_up(s, digest, profile, NULL) : NULL;
  if (*out && eng_resolve_has_model(&s->around, (*out)->model)) return YOI_OK;
  eng_spec_unref(s, *out);
  yoi_status st = YOI_OK;
  if (wanted->bytes)
    st = yoi_sdk_bundle_new(eng_text_str(wanted->bytes), NULL, NULL, &bundle, err);
  if (st == YOI_OK)
    st = eng_resolve_profile(bundle ? bundle : s->builtin, !bundle, profile, &r, err);
  if (st == YOI_OK) st = eng_resolve_model(&s->around, &r, model, err);
  if (st == YOI_OK) {
    *out = look_up(s, digest, profile, model);
    if (!*out) {
      st = resolve(s, &r, model, out, err);
      if (st == YOI_OK) remember(s, digest, profile, *out);
    }
  }
  yoi_sdk_bundle_free(bundle);
  return st;
}

void eng_specs_forget(struct eng_specs *s, const char *digest) {
  struct eng_made *gone = NULL;
  pthread_mutex_lock(&s->mu);
  for (struct eng_made **at = &s->made; *at;) {
    struct eng_made *m = *at;
    if (strcmp(m->digest, digest) != 0) {
      at = &m->next;
      continue;
    }
    *at = m->next;
    m->next = gone;
    gone = m;
  }
  pthread_mutex_unlock(&s->mu);
  while (gone) {
    struct eng_made *m = gone;
    gone = m->next;
    eng_spec_unref(s, m->spec);
    yoi_sdk_free(m);
  }
}
