/* host/listing.c - what the search of a config found, told to whoever asks.
 *
 * It shows what the host would act on, from the same structs, so it cannot
 * disagree with it. Paths are in it: it is for the operator, and no operation
 * of a surface gives it out.
 */
#include "listing.h"

#include <sdk/mem.h>

#include "generation.h"

static void strings(struct yoi_sdk_jsonw *w, const char *key, const yoi_str *list, size_t n) {
  yoi_sdk_jsonw_kopen(w, key, '[');
  for (size_t i = 0; i < n; i++) yoi_sdk_jsonw_str(w, list[i]);
  yoi_sdk_jsonw_close(w, ']');
}

static void user(struct yoi_sdk_jsonw *w, const struct yoi__plugin *p,
                 const struct yoi__config_instance *in, const char *what, yoi_str name) {
  if (in->plugin != p) return;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "section", yoi_sdk_str(what));
  yoi_sdk_jsonw_kstr(w, "name", name);
  yoi_sdk_jsonw_close(w, '}');
}

static void users(struct yoi_sdk_jsonw *w, const struct yoi__config *c,
                  const struct yoi__plugin *p) {
  yoi_sdk_jsonw_kopen(w, "used_by", '[');
  for (size_t i = 0; i < c->n_runtimes; i++)
    user(w, p, &c->runtimes[i].instance, "runtimes", c->runtimes[i].id);
  for (size_t i = 0; i < c->n_models; i++)
    user(w, p, &c->models[i].instance, "models", c->models[i].name);
  for (size_t i = 0; i < c->n_ingress; i++)
    user(w, p, &c->ingress[i].instance, "ingress", c->ingress[i].listen);
  for (size_t i = 0; i < c->n_policies; i++)
    user(w, p, &c->policies[i].instance, "policy", p->manifest.id);
  yoi_sdk_jsonw_close(w, ']');
}

static void tools(struct yoi_sdk_jsonw *w, const struct yoi__manifest *m) {
  yoi_sdk_jsonw_kopen(w, "tools", '[');
  for (size_t i = 0; i < m->n_tools; i++) {
    const struct yoi__manifest_tool *t = &m->tools[i];
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", t->name);
    yoi_sdk_jsonw_kstr(w, "description", t->description);
    yoi_sdk_jsonw_kbool(w, "read_only", (t->flags & YOI_TOOL_READ_ONLY) != 0);
    yoi_sdk_jsonw_kbool(w, "idempotent", (t->flags & YOI_TOOL_IDEMPOTENT) != 0);
    yoi_sdk_jsonw_kint(w, "max_ms", t->max_ms);
    yoi_sdk_jsonw_kraw(w, "grants", t->grants);
    yoi_sdk_jsonw_kraw(w, "parameters", t->parameters);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

void yoi__listing_plugin(struct yoi_sdk_jsonw *w, const struct yoi__config *c,
                         const struct yoi__plugin *p) {
  const struct yoi__manifest *m = &p->manifest;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "id", m->id);
  yoi_sdk_jsonw_kstr(w, "kind", yoi_sdk_str(yoi__kind_name(m->kind)));
  yoi_sdk_jsonw_kstr(w, "version", m->version);
  yoi_sdk_jsonw_kstr(w, "display_name", m->display_name);
  yoi_sdk_jsonw_kstr_opt(w, "runtime_id", m->runtime_id);
  yoi_sdk_jsonw_kstr(w, "threads", yoi_sdk_str(m->threads == YOI_SERIAL ? "serial" : "parallel"));
  yoi_sdk_jsonw_kstr(w, "isolation", yoi_sdk_str(m->isolated ? "process" : "none"));
  strings(w, "interfaces", m->interfaces, m->n_interfaces);
  strings(w, "grants", m->grants, m->n_grants);
  if (m->n_operations > 0) strings(w, "operations", m->operations, m->n_operations);
  if (m->n_tools > 0) tools(w, m);
  yoi_sdk_jsonw_kstr_opt(w, "digest", yoi_sdk_str(p->digest));
  yoi_sdk_jsonw_kstr_opt(w, "pin", yoi_sdk_str(p->pin));
  yoi_sdk_jsonw_kint(w, "generation", p->linked != NULL ? 0 : yoi__generation_of(m->id, p->digest));
  yoi_sdk_jsonw_kbool(w, "linked", p->linked != NULL);
  if (p->linked == NULL) yoi_sdk_jsonw_kstr(w, "path", p->path);
  if (c != NULL) {
    yoi_sdk_jsonw_kbool(w, "drop_in", p->drop_in);
    users(w, c, p);
  }
  yoi_sdk_jsonw_key(w, "config");
  yoi_sdk_json_write(m->config, w);
  yoi_sdk_jsonw_close(w, '}');
}

static void passed_over(struct yoi_sdk_jsonw *w, const struct yoi__catalogue *c) {
  const struct yoi__passed *p;
  yoi_sdk_jsonw_kopen(w, "passed_over", '[');
  for (size_t i = 0; (p = yoi__catalogue_passed(c, i)) != NULL; i++) {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "path", p->path);
    yoi_sdk_jsonw_kstr_opt(w, "id", p->id);
    yoi_sdk_jsonw_kstr(w, "reason", p->reason);
    yoi_sdk_jsonw_kbool(w, "folder", p->directory);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

static void look(void *ctx, const struct yoi__config *c) {
  struct yoi_sdk_jsonw *w = ctx;
  yoi_str path;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kopen(w, "plugins", '[');
  for (size_t i = 0; i < yoi__catalogue_count(c->plugins); i++)
    yoi__listing_plugin(w, c, yoi__catalogue_at(c->plugins, i));
  yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_kopen(w, "searched", '[');
  for (size_t i = 0;; i++) {
    size_t n = yoi__catalogue_searched(c->plugins, i, &path);
    if (path.len == 0) break;
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "path", path);
    yoi_sdk_jsonw_kint(w, "plugins", (int64_t)n);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
  passed_over(w, c->plugins);
  yoi_sdk_jsonw_close(w, '}');
}

yoi_status yoi__listing_take(struct yoi_sdk_buf *text, char **out_text, size_t *out_len,
                             yoi_error *err) {
  size_t len = 0;
  *out_text = text->failed == 0 ? yoi_sdk_buf_take(text, &len) : NULL;
  yoi_sdk_buf_release(text);
  if (*out_text == NULL) return yoi_sdk_fail_memory(err);
  if (out_len != NULL) *out_len = len;
  return YOI_OK;
}

yoi_status yoi_host_plugins(const char *json, size_t len, const char *base_dir, char **out_text,
                            size_t *out_len, yoi_error *err) {
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
  *out_text = NULL;
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &text);
  yoi_status st = yoi__config_look((yoi_str){json, len}, base_dir, look, &w, err);
  if (st == YOI_OK) return yoi__listing_take(&text, out_text, out_len, err);
  yoi_sdk_buf_release(&text);
  return st;
}
