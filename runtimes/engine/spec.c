/* spec.c - what create resolves a profile to.
 *
 * Create resolves once: the name of the model that this host has, the prompt,
 * the tools with their plugins and grants, the limits. The result stands with
 * the worker, so that a later change of the host's config does not change what
 * a worker is, and a restart needs nothing else. It names no path, address or
 * secret and is shown whole. Invariants:
 *
 *  1. Equal specs are one object: there is one per (profile, model), and of
 *     those that were restored from records one per text.
 *  2. What a spec says is what was asked for; what is there now, the host says
 *     at each use. A tool that has gone since is known here, and not offered.
 */
#include "spec.h"

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "artefact.h"

yoi_status eng_specs_init(struct eng_specs *s, const struct eng_around *around, yoi_str profile,
                          yoi_error *err) {
  yoi_status st = YOI_OK;
  *s = (struct eng_specs){.around = *around};
  pthread_mutex_init(&s->mu, NULL);
  for (size_t i = 0; st == YOI_OK && i < ENG_PROFILES; i++) {
    yoi_str prompt, json = eng_builtin(i, &prompt);
    if (i == 0 && profile.len > 0) json = profile;
    st = eng_profile_init(&s->profiles[i], json, prompt, err);
  }
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
  yoi_sdk_free(spec->tools);
  eng_text_unref(spec->json);
  yoi_sdk_free(spec->model);
  yoi_sdk_str_free(&spec->prompt);
  yoi_sdk_str_free(&spec->offer);
  yoi_sdk_free(spec);
}

void eng_specs_release(struct eng_specs *s) {
  while (s->made) {
    struct eng_spec *spec = s->made;
    s->made = spec->next;
    spec_free(spec);
  }
  for (size_t i = 0; i < ENG_PROFILES; i++) eng_profile_release(&s->profiles[i]);
  pthread_mutex_destroy(&s->mu);
}

/* ---- which model ---- */

struct census {
  yoi_str wanted;
  char name[YOI_NAME_MAX + 1]; /* the wanted one, else the last one seen */
  size_t n;
  int found;
  struct yoi_sdk_buf names; /* JSON strings */
};

static void count_model(void *ctx, yoi_str name) {
  struct census *c = ctx;
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &c->names);
  if (c->n++ > 0) yoi_sdk_buf_addc(&c->names, ',');
  yoi_sdk_jsonw_str(&w, name);
  if (c->found || name.len > YOI_NAME_MAX) return;
  c->found = yoi_sdk_str_eq(name, c->wanted);
  memcpy(c->name, name.ptr, name.len);
  c->name[name.len] = 0;
}

static yoi_status refuse_models(const struct eng_profile *p, const struct census *c,
                                yoi_error *err) {
  char details[YOI_ERROR_DETAILS_MAX];
  yoi_status st;
  if (c->n == 0)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                      "profile '%.*s' needs a model, and this host has none", YOI_ARG(p->name));
  else
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                      "profile '%.*s' needs a model '%.*s'; this host has [%.*s]", YOI_ARG(p->name),
                      YOI_ARG(p->model), (int)c->names.len, c->names.data);
  int n = snprintf(details, sizeof details, "{\"models\":[%.*s]}", (int)c->names.len,
                   c->names.data ? c->names.data : "");
  if (n > 0 && (size_t)n < sizeof details) yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

/* ---- tools ---- */

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

/* What create refuses. OK with *out_has 0: it is optional and not there. */
static yoi_status check_tool(const struct eng_around *a, const struct eng_profile *p,
                             const struct eng_profile_tool *t, int *out_has, yoi_error *err) {
  yoi_tool_info info = {.size = sizeof info};
  yoi_status st = YOI_NOT_FOUND;
  if (a->tools) st = a->tools->find(a->host, t->plugin, t->name, &info, NULL);
  *out_has = st == YOI_OK;
  if (st != YOI_OK && !t->optional)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                        "profile '%.*s' needs tool '%.*s' of plugin '%.*s', which this host "
                        "does not have",
                        YOI_ARG(p->name), YOI_ARG(t->name), YOI_ARG(t->plugin));
  for (const yoi_sdk_json *g = yoi_sdk_json_first(t->grants); g && *out_has;
       g = yoi_sdk_json_next(g)) {
    struct yoi_sdk_error e;
    yoi_str grant = {0};
    (void)yoi_sdk_json_str(g, &grant);
    if (a->grants && a->grants->check(a->host, grant, yoi_sdk_error_init(&e)) == YOI_OK) continue;
    *out_has = 0;
    if (t->optional) continue;
    st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                      "profile '%.*s' needs the grant '%.*s' for tool '%.*s', which this host "
                      "does not have",
                      YOI_ARG(p->name), YOI_ARG(grant), YOI_ARG(t->name));
    char details[YOI_GRANT_MAX + 32];
    int n = snprintf(details, sizeof details, "{\"missing\":[\"%.*s\"]}", YOI_ARG(grant));
    yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
    return st;
  }
  return YOI_OK;
}

static yoi_status add_tools(const struct eng_around *a, const struct eng_profile *p,
                            struct eng_spec *spec, yoi_error *err) {
  if (p->n_tools == 0) return YOI_OK;
  spec->tools = yoi_sdk_calloc(p->n_tools, sizeof *spec->tools);
  if (!spec->tools) return yoi_sdk_fail_memory(err);
  for (uint32_t i = 0; i < p->n_tools; i++) {
    const struct eng_profile_tool *t = &p->tools[i];
    int has = 0;
    yoi_status st = check_tool(a, p, t, &has, err);
    if (st != YOI_OK) return st;
    if (has && !add_tool(spec, t->name, t->plugin, t->grants, t->verdict))
      return yoi_sdk_fail_memory(err);
  }
  return make_offer(a, spec) ? YOI_OK : yoi_sdk_fail_memory(err);
}

/* ---- making one ---- */

static void write_tools(const struct eng_around *a, const struct eng_spec *spec,
                        struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_key(w, "tools");
  yoi_sdk_jsonw_open(w, '[');
  for (uint32_t i = 0; i < spec->n_tools; i++) {
    const struct eng_spec_tool *t = &spec->tools[i];
    yoi_tool_info info;
    (void)ask_host(a, t->plugin, t->name, &info);
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", yoi_sdk_str(t->name));
    yoi_sdk_jsonw_kstr(w, "plugin", yoi_sdk_str(t->plugin));
    if (info.digest.len > 0)
      yoi_sdk_jsonw_kstr(w, "plugin_digest", info.digest);
    else
      yoi_sdk_jsonw_kraw(w, "plugin_digest", YOI_LIT("null"));
    yoi_sdk_jsonw_kstr(w, "policy", yoi_sdk_str(eng_verdict_name(t->verdict)));
    yoi_sdk_jsonw_kraw(w, "grants", yoi_sdk_str(t->grants));
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

/* The model, and what the tools have, each once. */
static void write_grants(const struct eng_spec *spec, struct yoi_sdk_jsonw *w) {
  char grant[YOI_NAME_MAX + 8];
  int n = snprintf(grant, sizeof grant, "model:%s", spec->model);
  yoi_sdk_jsonw_key(w, "grants");
  yoi_sdk_jsonw_open(w, '[');
  yoi_sdk_jsonw_str(w, (yoi_str){grant, (size_t)n});
  for (uint32_t i = 0; i < spec->n_tools; i++) {
    yoi_str raw, other, list = yoi_sdk_str(spec->tools[i].grants);
    for (size_t pos = 0; yoi_sdk_json_raw_each(list, &pos, &raw);) {
      bool seen = false;
      for (uint32_t k = 0; k < i && !seen; k++)
        for (size_t at = 0;
             !seen && yoi_sdk_json_raw_each(yoi_sdk_str(spec->tools[k].grants), &at, &other);)
          seen = yoi_sdk_str_eq(raw, other) != 0;
      if (!seen) yoi_sdk_jsonw_raw(w, raw);
    }
  }
  yoi_sdk_jsonw_close(w, ']');
}

static void write_spec(const struct eng_around *a, const struct eng_profile *p,
                       const struct eng_spec *spec, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "source", YOI_LIT("builtin"));
  yoi_sdk_jsonw_kraw(w, "bundle", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(w, "profile", p->name);
  yoi_sdk_jsonw_key(w, "prompts");
  yoi_sdk_jsonw_open(w, '[');
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "name", p->prompt_name);
  yoi_sdk_jsonw_kstr(w, "media_type", YOI_LIT("text/markdown"));
  yoi_sdk_jsonw_kstr(w, "text", p->prompt);
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_kraw(w, "language", YOI_LIT("null"));
  yoi_sdk_jsonw_kraw(w, "workspace", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(w, "model", yoi_sdk_str(spec->model));
  write_tools(a, spec, w);
  write_grants(spec, w);
  yoi_sdk_jsonw_kraw(w, "policies", YOI_LIT("[]"));
  yoi_sdk_jsonw_key(w, "limits");
  eng_limits_write(&spec->limits, w);
  yoi_sdk_jsonw_close(w, '}');
}

static int add_prompt(struct eng_spec *spec, yoi_str prompt) {
  struct yoi_sdk_buf buf;
  size_t len = 0;
  yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
  yoi_sdk_json_escape(&buf, prompt);
  if (!buf.failed) spec->prompt.ptr = yoi_sdk_buf_take(&buf, &len);
  spec->prompt.len = len;
  yoi_sdk_buf_release(&buf);
  return spec->prompt.ptr != NULL;
}

static yoi_status spec_new(const struct eng_around *a, const struct eng_profile *p,
                           const char *model, struct eng_spec **out, yoi_error *err) {
  struct eng_spec *spec = yoi_sdk_calloc(1, sizeof *spec);
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  if (!spec) return yoi_sdk_fail_memory(err);
  spec->limits = p->limits;
  spec->profile = p;
  spec->refs = 1;
  spec->model = yoi_sdk_strndup(model, strlen(model));
  yoi_status st = spec->model && add_prompt(spec, p->prompt) ? YOI_OK : yoi_sdk_fail_memory(err);
  if (st == YOI_OK) st = add_tools(a, p, spec, err);
  if (st == YOI_OK) {
    yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
    yoi_sdk_jsonw_init(&w, &buf);
    write_spec(a, p, spec, &w);
    if (!buf.failed) spec->json = eng_text_new(yoi_sdk_buf_str(&buf));
    yoi_sdk_buf_release(&buf);
    if (!spec->json) st = yoi_sdk_fail_memory(err);
  }
  if (st == YOI_OK)
    *out = spec;
  else
    spec_free(spec);
  return st;
}

/* specs.mu held. */
static struct eng_spec *find_made(const struct eng_specs *s, const struct eng_profile *p,
                                  const char *model) {
  struct eng_spec *spec = s->made;
  while (spec && !(spec->profile == p && strcmp(spec->model, model) == 0)) spec = spec->next;
  return spec;
}

static const struct eng_profile *find_profile(const struct eng_specs *s, yoi_str name) {
  for (size_t i = 0; i < ENG_PROFILES; i++)
    if (name.len == 0 || yoi_sdk_str_eq(s->profiles[i].name, name)) return &s->profiles[i];
  return NULL;
}

yoi_status eng_specs_resolve(struct eng_specs *s, yoi_str name, struct eng_spec **out,
                             yoi_error *err) {
  const struct eng_profile *p = find_profile(s, name);
  if (!p)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "there is no builtin profile '%.*s'",
                        YOI_ARG(name));
  struct census c = {.wanted = p->model};
  yoi_sdk_buf_init(&c.names, 16384);
  s->around.models->list(s->around.host, count_model, &c);
  yoi_status st = YOI_OK;
  if (!c.found && c.n != 1) st = refuse_models(p, &c, err);
  yoi_sdk_buf_release(&c.names);
  if (st != YOI_OK) return st;
  pthread_mutex_lock(&s->mu);
  *out = find_made(s, p, c.name);
  pthread_mutex_unlock(&s->mu);
  if (*out) return YOI_OK;
  struct eng_spec *made = NULL; /* without the lock: the host is asked */
  st = spec_new(&s->around, p, c.name, &made, err);
  if (st != YOI_OK) return st;
  pthread_mutex_lock(&s->mu);
  *out = find_made(s, p, c.name); /* made meanwhile */
  if (!*out) {
    made->next = s->made;
    s->made = *out = made;
  }
  pthread_mutex_unlock(&s->mu);
  if (*out != made) spec_free(made);
  return YOI_OK;
}

/* ---- from a record ---- */

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
  struct eng_spec **at = &s->made;
  while (last && *at != spec) at = &(*at)->next;
  if (last) *at = spec->next;
  pthread_mutex_unlock(&s->mu);
  if (last) spec_free(spec);
}

static struct eng_spec *find_text(const struct eng_specs *s, yoi_str json) {
  struct eng_spec *spec = s->made;
  while (spec && !yoi_sdk_str_eq(eng_text_str(spec->json), json)) spec = spec->next;
  return spec;
}

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

/* What the engine needs of it, checked as a profile is: the record may have
 * been edited. */
static yoi_status spec_read(struct eng_spec *spec, const yoi_sdk_json *tree) {
  yoi_str model = {0}, prompt = {0};
  const yoi_sdk_json *first = yoi_sdk_json_first(yoi_sdk_json_get(tree, "prompts"));
  if (!yoi_sdk_json_str(yoi_sdk_json_get(tree, "model"), &model) || !yoi_sdk_name_valid(model) ||
      !yoi_sdk_json_str(yoi_sdk_json_get(first, "text"), &prompt) ||
      eng_limits_read(&spec->limits, yoi_sdk_json_get(tree, "limits"), NULL) != YOI_OK)
    return YOI_DATA_LOSS;
  spec->model = yoi_sdk_strndup(model.ptr, model.len);
  if (!spec->model || !add_prompt(spec, prompt)) return YOI_RESOURCE_EXHAUSTED;
  return read_tools(spec, yoi_sdk_json_get(tree, "tools"));
}

yoi_status eng_specs_restore(struct eng_specs *s, struct eng_text *json, struct eng_spec **out) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  pthread_mutex_lock(&s->mu);
  struct eng_spec *spec = find_text(s, eng_text_str(json));
  if (spec) spec->refs++;
  pthread_mutex_unlock(&s->mu);
  *out = spec;
  if (spec) return YOI_OK;
  yoi_status st = yoi_sdk_json_parse(eng_text_str(json), 0, &tree, &jerr);
  if (st == YOI_INVALID_ARGUMENT) return YOI_DATA_LOSS;
  if (st != YOI_OK) return st;
  spec = yoi_sdk_calloc(1, sizeof *spec);
  st = !spec                                            ? YOI_RESOURCE_EXHAUSTED
       : yoi_sdk_json_type(tree) != YOI_SDK_JSON_OBJECT ? YOI_DATA_LOSS
                                                        : spec_read(spec, tree);
  yoi_sdk_json_free(tree);
  if (st == YOI_OK && !make_offer(&s->around, spec)) st = YOI_RESOURCE_EXHAUSTED;
  if (st != YOI_OK) {
    spec_free(spec);
    return st;
  }
  spec->json = eng_text_ref(json);
  spec->refs = 1;
  pthread_mutex_lock(&s->mu);
  struct eng_spec *other = find_text(s, eng_text_str(json)); /* made meanwhile */
  if (other) {
    other->refs++;
  } else {
    spec->next = s->made;
    s->made = spec;
  }
  pthread_mutex_unlock(&s->mu);
  if (other) spec_free(spec);
  *out = other ? other : spec;
  return YOI_OK;
}
