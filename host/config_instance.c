/* host/config_instance.c - what every entry with a plugin has: the plugin, its
 * config, the secrets that the config names.
 *
 * Invariants:
 *  1. A plugin's config is judged by the manifest's schema, with positions in
 *     the host's file, before any of its code runs.
 *  2. A string "secret:NAME" anywhere in an entry's config must name a
 *     declared secret, and is the grant of that secret to this instance;
 *     there is no other way to get one but the `token` of an ingress entry.
 *  3. A string that is meant to be a secret but is none (a token written
 *     into the file) is never repeated in a message.
 *  4. A plugin sees no relative path where its schema says "path": the host
 *     alone knows the folder that the file's paths start from.
 *  5. What the plugin's manifest wants must be granted, else the entry is
 *     refused naming each missing grant.
 */
#include <stdio.h>
#include <string.h>

#include <sdk/mem.h>
#include <sdk/schema.h>

#include "config_build.h"

#define SECRET_PREFIX YOI_LIT("secret:")
#define EXPLAIN_BYTES_MAX 12288

/* ---- strings ---------------------------------------------------------------- */

struct walk {
  struct yoi_sdk_buf pointer;
  void (*fn)(void *ctx, const char *pointer, yoi_str s);
  void *ctx;
};

static void walk_back(struct walk *w, size_t len) {
  w->pointer.len = len;
  w->pointer.data[len] = '\0';
}

/* Depth is bounded by the parser: YOI_JSON_DEPTH_MAX. */
static void walk(struct walk *w, const yoi_sdk_json *v) {
  yoi_str s = {NULL, 0};
  size_t len = w->pointer.len, i = 0;
  int is_object = yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT;
  if (yoi_sdk_json_str(v, &s)) {
    w->fn(w->ctx, w->pointer.data, s);
    return;
  }
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_sdk_buf_addc(&w->pointer, '/');
    if (is_object) {
      yoi_str key = yoi_sdk_json_key(e);
      for (size_t k = 0; k < key.len; k++) {
        if (key.ptr[k] == '~') {
          yoi_sdk_buf_adds(&w->pointer, YOI_LIT("~0"));
        } else if (key.ptr[k] == '/') {
          yoi_sdk_buf_adds(&w->pointer, YOI_LIT("~1"));
        } else {
          yoi_sdk_buf_addc(&w->pointer, key.ptr[k]);
        }
      }
    } else {
      yoi_sdk_buf_addf(&w->pointer, "%zu", i++);
    }
    walk(w, e);
    w->pointer.failed = 0; /* one that is too long stands for its parent */
    walk_back(w, len);
  }
}

int yoi__build_strings(const yoi_sdk_json *v, const char *base,
                       void (*fn)(void *ctx, const char *pointer, yoi_str s), void *ctx) {
  struct walk w = {.fn = fn, .ctx = ctx};
  yoi_sdk_buf_init(&w.pointer, YOI_JSON_DEPTH_MAX * YOI__POINTER_MAX);
  if (yoi_sdk_buf_reserve(&w.pointer, YOI__POINTER_MAX) == NULL) return 0;
  yoi_sdk_buf_adds(&w.pointer, yoi_sdk_str(base));
  walk_back(&w, w.pointer.len);
  walk(&w, v);
  yoi_sdk_buf_release(&w.pointer);
  return 1;
}

struct yoi__hint yoi__build_hint(yoi_str word, const yoi_str *names, size_t n) {
  struct yoi__hint h = {""};
  yoi_str near = yoi_sdk_nearest(word, names, n);
  if (near.len > 0 && near.len <= YOI_PLUGIN_ID_MAX)
    snprintf(h.text, sizeof h.text, ", did you mean '%.*s'", YOI_ARG(near));
  return h;
}

/* ---- secrets ----------------------------------------------------------------- */

yoi_str yoi__build_secret(struct yoi__build *b, yoi_str value, const char *pointer) {
  const struct yoi__secrets *s = b->c->secrets;
  yoi_str name, names[64];
  size_t n = yoi__secrets_count(s);
  if (yoi_sdk_str_starts(value, SECRET_PREFIX)) {
    name = (yoi_str){value.ptr + SECRET_PREFIX.len, value.len - SECRET_PREFIX.len};
  } else {
    name = (yoi_str){NULL, 0};
  }
  if (!yoi_sdk_name_valid(name)) {
    yoi__findings_add(&b->found, pointer, 0, "expected 'secret:NAME'");
    return (yoi_str){NULL, 0};
  }
  if (yoi__secrets_has(s, name)) return name;
  if (n > sizeof names / sizeof *names) n = sizeof names / sizeof *names;
  for (size_t i = 0; i < n; i++) names[i] = yoi__secrets_name(s, i);
  yoi__findings_add(&b->found, pointer, 0, "secret '%.*s' is not declared in local.secrets%s",
                    YOI_ARG(name), yoi__build_hint(name, names, n).text);
  return (yoi_str){NULL, 0};
}

struct grant_walk {
  struct yoi__build *b;
  yoi_str *names;
  size_t n;
};

static void add_grant(struct grant_walk *g, yoi_str name) {
  if (name.len == 0 || g->names == NULL) return;
  for (size_t i = 0; i < g->n; i++) {
    if (yoi_sdk_str_eq(g->names[i], name)) return;
  }
  g->names[g->n++] = yoi__build_str(g->b, name);
}

static void on_string(void *ctx, const char *pointer, yoi_str s) {
  struct grant_walk *g = ctx;
  if (yoi_sdk_str_starts(s, SECRET_PREFIX)) add_grant(g, yoi__build_secret(g->b, s, pointer));
}

/* ---- plugins ------------------------------------------------------------------- */

static void explain(struct yoi__build *b) {
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, EXPLAIN_BYTES_MAX);
  yoi__catalogue_explain(b->c->plugins, &text);
  if (text.len > 0) yoi__findings_detail(&b->found, yoi_sdk_buf_str(&text));
  yoi_sdk_buf_release(&text);
}

/* The one name that ends in ".WORD"; empty when none or several do. */
static yoi_str last_part(yoi_str word, const yoi_str *names, size_t n) {
  yoi_str found = {NULL, 0};
  for (size_t i = 0; i < n; i++) {
    size_t before = names[i].len - word.len;
    if (names[i].len <= word.len || names[i].ptr[before - 1] != '.' ||
        memcmp(names[i].ptr + before, word.ptr, word.len) != 0)
      continue;
    if (found.len > 0) return (yoi_str){NULL, 0};
    found = names[i];
  }
  return found;
}

struct yoi__plugin *yoi__build_plugin(struct yoi__build *b, yoi_str id, const char *pointer) {
  struct yoi__plugin *p = yoi__catalogue_find(b->c->plugins, id);
  yoi_str names[YOI_PLUGINS_MAX];
  size_t n = yoi__catalogue_count(b->c->plugins);
  if (p != NULL) return p;
  for (size_t i = 0; i < n; i++) names[i] = yoi__catalogue_at(b->c->plugins, i)->manifest.id;
  yoi_str meant = last_part(id, names, n);
  struct yoi__hint hint =
      meant.len > 0 ? yoi__build_hint(meant, &meant, 1) : yoi__build_hint(id, names, n);
  yoi__findings_add(&b->found, pointer, 0, "no plugin has the id '%.*s'%s",
                    (int)yoi_sdk_utf8_cut(id, YOI_PLUGIN_ID_MAX), id.ptr, hint.text);
  explain(b);
  return NULL;
}

static void check_grants(struct yoi__build *b, const struct yoi__plugin *p, const char *pointer) {
  for (size_t i = 0; i < p->manifest.n_grants; i++) {
    if (yoi__config_granted(b->c, p, p->manifest.grants[i])) continue;
    yoi__findings_add(&b->found, pointer, 0,
                      "plugin '%.*s' wants the grant '%.*s', which its entry in 'plugins' "
                      "does not give",
                      YOI_ARG(p->manifest.id), YOI_ARG(p->manifest.grants[i]));
  }
}

static void on_config_finding(void *ctx, const char *pointer, int is_key, const char *message) {
  struct yoi__build *b = ctx;
  yoi__findings_add(&b->found, pointer, is_key, "%s", message);
}

static void on_absent_finding(void *ctx, const char *pointer, int is_key, const char *message) {
  struct yoi__build *b = ctx;
  yoi__findings_add(&b->found, pointer, is_key, "'config': %s", message);
}

/* An absent config is an empty one; findings then stand at the entry. */
static void check_config(struct yoi__build *b, const struct yoi__plugin *p,
                         const yoi_sdk_json *config, const char *pointer) {
  yoi_sdk_json *empty = NULL;
  yoi_sdk_schema_report_fn found = config == NULL ? on_absent_finding : on_config_finding;
  if (config == NULL) {
    if (yoi_sdk_json_parse(YOI_LIT("{}"), 0, &empty, NULL) != YOI_OK) b->failed = 1;
    config = empty;
  }
  if (config != NULL && yoi_sdk_schema_check(p->manifest.config, config, pointer, found,
                                             b) == YOI_RESOURCE_EXHAUSTED)
    b->failed = 1;
  yoi_sdk_json_free(empty);
}

static yoi_str compact(struct yoi__build *b, const struct yoi__plugin *p,
                       const yoi_sdk_json *config, const char *pointer) {
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
  yoi_str s = {"{}", 2};
  if (yoi_sdk_json_type(config) != YOI_SDK_JSON_OBJECT) return s;
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &text);
  const yoi_sdk_json *schema = p != NULL ? p->manifest.config : NULL;
  if (yoi_sdk_schema_write(schema, config, pointer, yoi_sdk_str(b->base), on_config_finding, b,
                           &w) == YOI_RESOURCE_EXHAUSTED ||
      text.failed != 0)
    b->failed = 1;
  s = yoi__build_str(b, yoi_sdk_buf_str(&text));
  yoi_sdk_buf_release(&text);
  return s;
}

void yoi__build_config(struct yoi__build *b, const yoi_sdk_json *entry, const char *pointer,
                       yoi_str extra_secret, struct yoi__config_instance *out) {
  const yoi_sdk_json *config = yoi_sdk_json_get(entry, "config");
  struct grant_walk g = {.b = b};
  char at[YOI__POINTER_MAX];
  snprintf(at, sizeof at, "%s/config", pointer);
  if (config != NULL && yoi_sdk_json_type(config) != YOI_SDK_JSON_OBJECT) return;
  if (out->plugin != NULL) check_config(b, out->plugin, config, at);
  g.names = yoi__build_alloc(b, yoi__secrets_count(b->c->secrets), sizeof *g.names);
  add_grant(&g, extra_secret);
  if (config != NULL && !yoi__build_strings(config, at, on_string, &g)) b->failed = 1;
  out->secrets = (struct yoi__grants){g.names, g.n};
  out->config = compact(b, out->plugin, config, at);
}

void yoi__build_instance(struct yoi__build *b, const yoi_sdk_json *entry, const char *pointer,
                         uint32_t kind, yoi_str extra_secret, struct yoi__config_instance *out) {
  yoi_str id = {NULL, 0};
  char at[YOI__POINTER_MAX];
  snprintf(at, sizeof at, "%s/plugin", pointer);
  if (yoi_sdk_json_str(yoi_sdk_json_get(entry, "plugin"), &id) && id.len > 0) {
    out->plugin = yoi__build_plugin(b, id, at);
  }
  if (out->plugin != NULL && out->plugin->manifest.kind != kind) {
    yoi__findings_add(&b->found, at, 0, "plugin '%.*s': expected kind '%s', found '%s'",
                      YOI_ARG(id), yoi__kind_name(kind),
                      yoi__kind_name(out->plugin->manifest.kind));
    out->plugin = NULL;
  }
  if (out->plugin != NULL) check_grants(b, out->plugin, at);
  yoi__build_config(b, entry, pointer, extra_secret, out);
}

void yoi__build_dropped(struct yoi__build *b, struct yoi__plugin *p, const char *pointer,
                        struct yoi__config_instance *out) {
  size_t before = b->found.n;
  out->plugin = p;
  out->config = (yoi_str){"{}", 2};
  check_grants(b, p, pointer);
  check_config(b, p, NULL, pointer);
  if (b->found.n == before) return;
  yoi__findings_add(&b->found, pointer, 0,
                    "plugin '%.*s' cannot be dropped in: it needs an entry in 'runtimes'",
                    YOI_ARG(p->manifest.id));
}
