/* host/isolate/give.c - what of the machine an isolated plugin is left.
 *
 * Its process gives up everything else (worker/confine.h), once, before the
 * plugin is mapped; so it is told all that any of its calls may be granted. What
 * one call has is decided here in the host, each time (given.c, mount.c).
 *
 * Invariants:
 *  1. What counts is the config: what the manifest wants, plugins[].grants does
 *     not leave out, and the host has.
 *  2. A mount goes as the path of the folder that is open here, whatever stands
 *     in the config: that is what the host itself opens things in.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../grant.h"
#include "../worker/confine.h"
#include "isolate.h"
#include "wire.h"

/* 1: some call of it may have that grant. */
static int may(const struct yoi__isolate *iso, uint32_t kind, yoi_str name, int writable) {
  const struct yoi_sdk_grant g = {.kind = kind, .writable = writable, .name = name};
  struct yoi_sdk_error e;
  return yoi__grant_for(iso->in->top->config, iso->in->plugin, &g, yoi_sdk_error_init(&e)) ==
         YOI_OK;
}

static uint32_t uses(const struct yoi__isolate *iso) {
  const struct yoi__local *l = &iso->in->top->config->local;
  /* What a model is asked is answered elsewhere, or it would not be one. */
  uint32_t found = iso->in->plugin->manifest.kind == YOI_KIND_MODEL ? YOI__CONFINE_NET : 0;
  for (size_t i = 0; i < l->n_networks; i++)
    if (may(iso, YOI_SDK_GRANT_NET, l->networks[i].name, 0)) found |= YOI__CONFINE_NET;
  for (size_t i = 0; i < l->n_shell; i++)
    if (may(iso, YOI_SDK_GRANT_SHELL, l->shell[i].name, 0)) found |= YOI__CONFINE_SHELL;
  for (size_t i = 0; i < l->n_git; i++)
    if (may(iso, YOI_SDK_GRANT_GIT, l->git[i].name, 0)) found |= YOI__CONFINE_SHELL;
  return found;
}

static void put(struct yoi_sdk_buf *b, uint32_t what, yoi_str path) {
  yoi__put_u32(b, what);
  yoi__put_str(b, path);
}

static void put_mounts(struct yoi_sdk_buf *b, const struct yoi__isolate *iso) {
  const struct yoi__local *l = &iso->in->top->config->local;
  for (size_t i = 0; i < l->n_mounts; i++) {
    const struct yoi__mount *m = &l->mounts[i];
    char link[32], path[YOI_PATH_BYTES_MAX];
    if (!may(iso, YOI_SDK_GRANT_MOUNT, m->name, 0)) continue;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", m->fd);
    ssize_t n = readlink(link, path, sizeof path);
    if (n <= 0 || (size_t)n == sizeof path) continue; /* then nothing in it can be opened */
    int writable = m->writable && may(iso, YOI_SDK_GRANT_MOUNT, m->name, 1);
    put(b, writable ? YOI__GIVEN_WRITABLE : YOI__GIVEN_READABLE, (yoi_str){path, (size_t)n});
  }
}

/* Paths that the plugin's own config names, as the schema says, are absolute in it. */
static void put_files(struct yoi_sdk_buf *b, const struct yoi__isolate *iso) {
  const yoi_sdk_json *schema =
      yoi_sdk_json_get(iso->in->plugin->manifest.config, "properties");
  yoi_sdk_json *config = NULL;
  if (yoi_sdk_json_parse(iso->in->config->config, 0, &config, NULL) != YOI_OK) return;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(config); v != NULL; v = yoi_sdk_json_next(v)) {
    char key[64];
    yoi_str path, format, name = yoi_sdk_json_key(v);
    if (name.len >= sizeof key || !yoi_sdk_json_str(v, &path)) continue;
    memcpy(key, name.ptr, name.len);
    key[name.len] = '\0';
    if (yoi_sdk_json_str(yoi_sdk_json_get(yoi_sdk_json_get(schema, key), "format"), &format) &&
        yoi_sdk_str_is(format, "path"))
      put(b, YOI__GIVEN_FILE, path);
  }
  yoi_sdk_json_free(config);
}

void yoi__isolate_give(const struct yoi__isolate *iso, struct yoi_sdk_buf *b) {
  yoi__put_u32(b, uses(iso));
  yoi__put_u32(b, (uint32_t)yoi__config_confined(iso->in->top->config, iso->in->plugin));
  put_files(b, iso);
  put_mounts(b, iso);
  yoi__put_u32(b, YOI__GIVEN_END);
}
