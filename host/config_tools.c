/* host/config_tools.c - which plugins of tools there are, and with what config.
 *
 * A tool is called by the id of its plugin and its own name, so a plugin of
 * tools needs no entry anywhere: that it lies on a search path makes it known,
 * and it is opened when a worker may call it and does. An entry in `plugins`
 * is there to give it a config, or less than it wants.
 *
 * Invariant: what cannot be opened as it stands is not among them. With an entry
 * that is a finding; without one it has no tools, since a file that somebody
 * puts into a folder must not make a config wrong.
 */
#include <stdio.h>

#include <sdk/mem.h>
#include <sdk/schema.h>

#include "config_build.h"

/* The entry of a plugin, and its place; or NULL. */
static const yoi_sdk_json *entry_of(const struct yoi__build *b, const struct yoi__plugin *p,
                                    size_t *out_i) {
  *out_i = 0;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(b->tree, "plugins")); v != NULL;
       v = yoi_sdk_json_next(v), (*out_i)++) {
    yoi_str id = {NULL, 0};
    if (yoi_sdk_json_str(yoi_sdk_json_get(v, "id"), &id) && yoi_sdk_str_eq(id, p->manifest.id))
      return v;
  }
  return NULL;
}

/* 1: an empty config is a good one. */
static int needs_nothing(struct yoi__build *b, const struct yoi__plugin *p) {
  yoi_sdk_json *empty = NULL;
  yoi_status st = yoi_sdk_json_parse(YOI_LIT("{}"), 0, &empty, NULL);
  if (st == YOI_OK) st = yoi_sdk_schema_check(p->manifest.config, empty, "", NULL, NULL);
  yoi_sdk_json_free(empty);
  if (st == YOI_RESOURCE_EXHAUSTED) b->failed = 1;
  return st == YOI_OK;
}

/* A config stands where the plugin is used, but a tool is used by workers. */
static void check_places(struct yoi__build *b) {
  size_t i = 0;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(b->tree, "plugins")); v != NULL;
       v = yoi_sdk_json_next(v), i++) {
    yoi_str id = {NULL, 0};
    char at[YOI__POINTER_MAX];
    const struct yoi__plugin *p = NULL;
    if (yoi_sdk_json_str(yoi_sdk_json_get(v, "id"), &id))
      p = yoi__catalogue_find(b->c->plugins, id);
    if (yoi_sdk_json_get(v, "config") == NULL || p == NULL || p->manifest.kind == YOI_KIND_TOOL)
      continue;
    snprintf(at, sizeof at, "/plugins/%zu/config", i);
    yoi__findings_add(&b->found, at, 1, "the config of a %s stands in its own entry",
                      yoi__kind_name(p->manifest.kind));
  }
}

void yoi__build_tools(struct yoi__build *b) {
  size_t n = yoi__catalogue_count(b->c->plugins);
  check_places(b);
  b->c->tools = yoi__build_alloc(b, n, sizeof *b->c->tools);
  if (b->c->tools == NULL) return;
  for (size_t i = 0, at = 0; i < n; i++) {
    struct yoi__plugin *p = yoi__catalogue_at(b->c->plugins, i);
    struct yoi__config_instance *ci = &b->c->tools[b->c->n_tools];
    char pointer[YOI__POINTER_MAX];
    if (p->manifest.kind != YOI_KIND_TOOL) continue;
    const yoi_sdk_json *entry = entry_of(b, p, &at);
    if (entry == NULL && !needs_nothing(b, p)) continue;
    ci->plugin = p;
    ci->config = YOI_LIT("{}");
    snprintf(pointer, sizeof pointer, "/plugins/%zu", at);
    if (entry != NULL) yoi__build_config(b, entry, pointer, (yoi_str){NULL, 0}, ci);
    b->c->n_tools++;
  }
}
