/* resolve.c - what create makes of a profile.
 *
 * A profile says by name what it wants: a model, tools of plugins, grants. What
 * this host has under those names, it says itself; what it has not is refused
 * here, at create, and not met by a turn. The result is a spec: JSON that needs
 * neither the bundle nor anything else to be read again. It names no path,
 * address or secret, and is shown whole. Invariants:
 *
 *  1. Nothing of a bundle is replaced by something similar: a model, a tool or
 *     a plugin that is not here as it was asked for is an error. A builtin
 *     profile alone takes the only model of a host that has no `main`.
 *  2. A tool that is marked as optional is left out as a whole, where the host
 *     lacks it, its plugin as it is pinned, or a grant of it.
 */
#include "resolve.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <string.h>

#include "profile.h"

/* ---- lists of names, for people ---- */

static void add_name(struct yoi_sdk_buf *list, yoi_str name) {
  struct yoi_sdk_jsonw w;
  size_t before = list->len;
  yoi_sdk_jsonw_init(&w, list);
  if (before > 0) yoi_sdk_buf_addc(list, ',');
  yoi_sdk_jsonw_str(&w, name);
  if (list->failed) list->len = before; /* those that there is room for */
}

static void name_them(yoi_error *err, const char *member, const struct yoi_sdk_buf *list) {
  char details[YOI_ERROR_DETAILS_MAX];
  int n = snprintf(details, sizeof details, "{\"%s\":[%.*s]}", member, (int)list->len,
                   list->data ? list->data : "");
  if (n > 0 && (size_t)n < sizeof details) yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
}

/* ---- which profile ---- */

yoi_status eng_resolve_profile(const struct yoi_sdk_bundle *b, bool builtin, yoi_str name,
                               struct eng_recipe *out, yoi_error *err) {
  struct yoi_sdk_buf names;
  *out = (struct eng_recipe){b, yoi_sdk_bundle_profile(b, name), builtin};
  if (out->profile) return YOI_OK;
  yoi_sdk_buf_init(&names, YOI_ERROR_DETAILS_MAX);
  for (uint32_t i = 0; i < b->n_profiles; i++) add_name(&names, b->profiles[i].name);
  yoi_status st = builtin
                      ? yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                                     "there is no builtin profile '%.*s'", YOI_ARG(name))
                      : yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                                     "the bundle '%.*s' has no profile '%.*s'", YOI_ARG(b->id),
                                     YOI_ARG(name));
  name_them(err, "profiles", &names);
  yoi_sdk_buf_release(&names);
  return st;
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
  c->n++;
  add_name(&c->names, name);
  if (c->found || name.len > YOI_NAME_MAX) return;
  c->found = yoi_sdk_str_eq(name, c->wanted);
  memcpy(c->name, name.ptr, name.len);
  c->name[name.len] = 0;
}

yoi_status eng_resolve_model(const struct eng_around *a, const struct eng_recipe *r,
                             char out[YOI_NAME_MAX + 1], yoi_error *err) {
  struct census c = {.wanted = r->bundle->models[r->profile->model].host_model};
  int32_t code = r->builtin ? YOI_CODE_INVALID_PROFILE : YOI_CODE_UNSUPPORTED_DECLARATION;
  yoi_status st = YOI_OK;
  yoi_sdk_buf_init(&c.names, 16384);
  a->models->list(a->host, count_model, &c);
  if (c.found || (r->builtin && c.n == 1)) {
    (void)snprintf(out, YOI_NAME_MAX + 1, "%s", c.name);
  } else if (c.n == 0) {
    st = yoi_sdk_fail(err, code, "profile '%.*s' needs a model, and this host has none",
                      YOI_ARG(r->profile->name));
    name_them(err, "models", &c.names);
  } else {
    st = yoi_sdk_fail(err, code, "profile '%.*s' needs a model '%.*s'; this host has [%.*s]",
                      YOI_ARG(r->profile->name), YOI_ARG(c.wanted), (int)c.names.len,
                      c.names.data);
    name_them(err, "models", &c.names);
  }
  yoi_sdk_buf_release(&c.names);
  return st;
}

int eng_resolve_has_model(const struct eng_around *a, const char *name) {
  struct census c = {.wanted = yoi_sdk_str(name)};
  yoi_sdk_buf_init(&c.names, 16384);
  a->models->list(a->host, count_model, &c);
  yoi_sdk_buf_release(&c.names);
  return c.found;
}

/* ---- pins ---- */

struct pin {
  const struct yoi_sdk_bundle_plugin *wanted;
  bool found, fits;
  char version[64];
};

static void look_at_plugin(void *ctx, const yoi_plugin_info *info) {
  struct pin *p = ctx;
  if (!yoi_sdk_str_eq(info->id, p->wanted->id)) return;
  p->found = true;
  (void)snprintf(p->version, sizeof p->version, "%.*s", YOI_ARG(info->version));
  p->fits = p->wanted->version.len == 0 || yoi_sdk_version_in(info->version, p->wanted->version);
  if (!p->fits || !p->wanted->digests) return;
  p->fits = false;
  const yoi_sdk_json *d = yoi_sdk_json_first(p->wanted->digests);
  for (; d && !p->fits; d = yoi_sdk_json_next(d)) {
    yoi_str digest = {0};
    p->fits = yoi_sdk_json_str(d, &digest) && yoi_sdk_str_eq(digest, info->digest);
  }
}

/* The plugin of that id is here as the bundle pins it, if it does. */
static yoi_status check_pin(const struct eng_around *a, const struct eng_recipe *r, yoi_str id,
                            yoi_error *err) {
  struct pin p = {0};
  for (uint32_t i = 0; i < r->bundle->n_plugins; i++)
    if (yoi_sdk_str_eq(r->bundle->plugins[i].id, id)) p.wanted = &r->bundle->plugins[i];
  if (!p.wanted) return YOI_OK;
  if (a->plugins) a->plugins->list(a->host, look_at_plugin, &p);
  if (p.fits) return YOI_OK;
  if (!p.found)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                        "the bundle pins plugin '%.*s', which this host does not have",
                        YOI_ARG(id));
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                      "the bundle pins plugin '%.*s' to other builds than this host's, which is "
                      "of version %s",
                      YOI_ARG(id), p.version);
}

/* ---- tools ---- */

/* What is missing so far: grants, as JSON strings, and where the first was. */
struct missing {
  struct yoi_sdk_buf grants;
  uint32_t n;
  yoi_str first, tool;
};

static yoi_status check_there(const struct eng_around *a, const struct eng_recipe *r,
                              const struct yoi_sdk_bundle_tool *t, yoi_tool_info *info,
                              yoi_error *err) {
  *info = (yoi_tool_info){.size = sizeof *info};
  if (!a->tools || a->tools->find(a->host, t->plugin, t->name, info, NULL) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                        "profile '%.*s' needs tool '%.*s' of plugin '%.*s', which this host "
                        "does not have",
                        YOI_ARG(r->profile->name), YOI_ARG(t->name), YOI_ARG(t->plugin));
  return check_pin(a, r, t->plugin, err);
}

/* 1: the host has all of its grants; those that it has not are written down. */
static int check_grants(const struct eng_around *a, const struct yoi_sdk_bundle_tool *t,
                        struct missing *m) {
  int all = 1;
  for (const yoi_sdk_json *g = yoi_sdk_json_first(t->grants); g; g = yoi_sdk_json_next(g)) {
    struct yoi_sdk_error e;
    yoi_str grant = {0};
    (void)yoi_sdk_json_str(g, &grant);
    if (a->grants && a->grants->check(a->host, grant, yoi_sdk_error_init(&e)) == YOI_OK) continue;
    all = 0;
    if (t->optional) break;
    if (m->n++ == 0) {
      m->first = grant;
      m->tool = t->name;
    }
    add_name(&m->grants, grant);
  }
  return all;
}

static void write_tool(const struct yoi_sdk_bundle_tool *t, yoi_str digest,
                       struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "name", t->name);
  yoi_sdk_jsonw_kstr(w, "plugin", t->plugin);
  if (digest.len > 0)
    yoi_sdk_jsonw_kstr(w, "plugin_digest", digest);
  else
    yoi_sdk_jsonw_kraw(w, "plugin_digest", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(w, "policy", yoi_sdk_str(eng_verdict_name(t->verdict)));
  yoi_sdk_jsonw_key(w, "grants");
  if (t->grants)
    yoi_sdk_json_write(t->grants, w);
  else
    yoi_sdk_jsonw_raw(w, YOI_LIT("[]"));
  yoi_sdk_jsonw_close(w, '}');
}

static yoi_status write_tools(const struct eng_around *a, const struct eng_recipe *r,
                              struct yoi_sdk_jsonw *w, yoi_error *err) {
  const struct yoi_sdk_bundle_profile *p = r->profile;
  struct missing m = {.n = 0};
  yoi_status st = YOI_OK;
  yoi_sdk_buf_init(&m.grants, YOI_ERROR_DETAILS_MAX);
  yoi_sdk_jsonw_key(w, "tools");
  yoi_sdk_jsonw_open(w, '[');
  for (uint32_t i = 0; i < p->n_tools && st == YOI_OK; i++) {
    const struct yoi_sdk_bundle_tool *t = &r->bundle->tools[p->tools[i]];
    yoi_tool_info info;
    st = check_there(a, r, t, &info, t->optional ? NULL : err);
    if (st == YOI_OK && check_grants(a, t, &m)) write_tool(t, info.digest, w);
    if (t->optional) st = YOI_OK;
  }
  yoi_sdk_jsonw_close(w, ']');
  if (st == YOI_OK && m.n > 0) {
    st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                      "profile '%.*s' needs the grant '%.*s' for tool '%.*s', which this host "
                      "does not have%s",
                      YOI_ARG(p->name), YOI_ARG(m.first), YOI_ARG(m.tool),
                      m.n > 1 ? ", and others" : "");
    name_them(err, "missing", &m.grants);
  }
  yoi_sdk_buf_release(&m.grants);
  return st;
}

/* ---- the rest ---- */

/* The model, and what the tools that it got have, each once. */
static void write_grants(yoi_str tools, const char *model, struct yoi_sdk_jsonw *w) {
  struct yoi_sdk_buf seen;
  yoi_str tool, grant, other;
  yoi_sdk_buf_init(&seen, YOI_BODY_BYTES_MAX);
  yoi_sdk_buf_addf(&seen, "[\"model:%s\"", model);
  for (size_t pos = 0; yoi_sdk_json_raw_each(tools, &pos, &tool);) {
    yoi_str list = yoi_sdk_json_raw_get(tool, "grants");
    for (size_t at = 0; yoi_sdk_json_raw_each(list, &at, &grant);) {
      bool is_new = true;
      yoi_sdk_buf_addc(&seen, ']');
      for (size_t k = 0; is_new && yoi_sdk_json_raw_each(yoi_sdk_buf_str(&seen), &k, &other);)
        is_new = !yoi_sdk_str_eq(grant, other);
      if (!seen.failed) seen.len--;
      if (!is_new) continue;
      yoi_sdk_buf_addc(&seen, ',');
      yoi_sdk_buf_adds(&seen, grant);
    }
  }
  yoi_sdk_buf_addc(&seen, ']');
  if (seen.failed)
    w->buf->failed = seen.failed;
  else
    yoi_sdk_jsonw_kraw(w, "grants", yoi_sdk_buf_str(&seen));
  yoi_sdk_buf_release(&seen);
}

static void write_prompt(const struct yoi_sdk_bundle_prompt *p, yoi_str workflow,
                         struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "name", p->name);
  yoi_sdk_jsonw_kstr_opt(w, "workflow", workflow);
  yoi_sdk_jsonw_kstr(w, "media_type", p->media_type);
  yoi_sdk_jsonw_kstr(w, "text", p->text);
  yoi_sdk_jsonw_close(w, '}');
}

/* The profile's prompt first, then those of its workflows. */
static void write_prompts(const struct eng_recipe *r, struct yoi_sdk_jsonw *w) {
  const struct yoi_sdk_bundle *b = r->bundle;
  yoi_sdk_jsonw_key(w, "prompts");
  yoi_sdk_jsonw_open(w, '[');
  write_prompt(&b->prompts[r->profile->prompt], (yoi_str){0}, w);
  for (uint32_t i = 0; i < r->profile->n_workflows; i++) {
    const struct yoi_sdk_bundle_workflow *f = &b->workflows[r->profile->workflows[i]];
    write_prompt(&b->prompts[f->prompt], f->name, w);
  }
  yoi_sdk_jsonw_close(w, ']');
}

static void write_policies(const struct eng_recipe *r, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_key(w, "policies");
  yoi_sdk_jsonw_open(w, '[');
  for (uint32_t i = 0; i < r->bundle->n_policies; i++) {
    const struct yoi_sdk_bundle_policy *p = &r->bundle->policies[i];
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", p->name);
    yoi_sdk_jsonw_kstr(w, "plugin", p->plugin);
    yoi_sdk_jsonw_key(w, "rules");
    yoi_sdk_json_write(p->rules, w);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

static void write_head(const struct eng_recipe *r, struct yoi_sdk_jsonw *w) {
  const struct yoi_sdk_bundle *b = r->bundle;
  yoi_sdk_jsonw_kstr(w, "source", r->builtin ? YOI_LIT("builtin") : YOI_LIT("bundle"));
  yoi_sdk_jsonw_key(w, "bundle");
  if (r->builtin) {
    yoi_sdk_jsonw_null(w);
  } else {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "id", b->id);
    yoi_sdk_jsonw_kstr(w, "digest", yoi_sdk_str(b->digest));
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_kstr(w, "profile", r->profile->name);
}

static void write_place(const struct eng_recipe *r, struct yoi_sdk_jsonw *w) {
  const struct yoi_sdk_bundle *b = r->bundle;
  yoi_sdk_jsonw_key(w, "language");
  if (b->language.len > 0)
    yoi_sdk_jsonw_str(w, b->language);
  else
    yoi_sdk_jsonw_null(w);
  yoi_sdk_jsonw_key(w, "workspace");
  if (r->builtin) {
    yoi_sdk_jsonw_null(w);
    return;
  }
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "id", b->workspace_id);
  yoi_sdk_jsonw_kstr_opt(w, "name", b->workspace);
  yoi_sdk_jsonw_kstr_opt(w, "project", b->project);
  yoi_sdk_jsonw_close(w, '}');
}

yoi_status eng_resolve(const struct eng_around *a, const struct eng_recipe *r, const char *model,
                       struct yoi_sdk_buf *out, yoi_error *err) {
  const yoi_sdk_json *parameters = r->bundle->models[r->profile->model].parameters;
  struct eng_turn_limits limits;
  struct yoi_sdk_jsonw w;
  yoi_status st = eng_limits_read(&limits, r->profile->limits, err);
  for (uint32_t i = 0; i < r->bundle->n_policies && st == YOI_OK; i++)
    st = check_pin(a, r, r->bundle->policies[i].plugin, err);
  if (st != YOI_OK) return st;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  write_head(r, &w);
  write_prompts(r, &w);
  write_place(r, &w);
  yoi_sdk_jsonw_kstr(&w, "model", yoi_sdk_str(model));
  yoi_sdk_jsonw_key(&w, "parameters");
  if (parameters)
    yoi_sdk_json_write(parameters, &w);
  else
    yoi_sdk_jsonw_null(&w);
  size_t tools = out->len;
  st = write_tools(a, r, &w, err);
  if (st != YOI_OK) return st;
  if (!out->failed) {
    const char *list = memchr(out->data + tools, '[', out->len - tools);
    write_grants((yoi_str){list, (size_t)(out->data + out->len - list)}, model, &w);
  }
  write_policies(r, &w);
  yoi_sdk_jsonw_key(&w, "limits");
  eng_limits_write(&limits, &w);
  yoi_sdk_jsonw_close(&w, '}');
  return out->failed ? yoi_sdk_fail_memory(err) : YOI_OK;
}
