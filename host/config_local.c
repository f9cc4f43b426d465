/* host/config_local.c - the section `local` beside its secrets: what tools can
 * be granted on this machine.
 *
 * Invariants:
 *  1. A folder is opened here, once, and kept: what was checked is what tools
 *     get. It is opened to check a config too, so that `check` cannot pass what
 *     `serve` refuses.
 *  2. What a plugin enforces (shell, git) it gets whole: what was not written has
 *     the default of the schema, which is the one place where it stands.
 *  3. No text here can be taken for an option, a path or another command by who
 *     gets it: commands and remotes never begin with '-'.
 *  4. No secret can be handed on to a command: its environment is what stands
 *     here, literally.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sdk/id.h>
#include <sdk/mem.h>

#include "config_build.h"
#include "mount.h"

#define WORDS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* The members of /local/SECTION with a good name, one after the other: v is the
 * one before, or NULL. */
static const yoi_sdk_json *member(struct yoi__build *b, const char *section,
                                  const yoi_sdk_json *v) {
  char at[YOI__POINTER_MAX];
  if (v == NULL) {
    v = yoi_sdk_json_get(yoi_sdk_json_get(b->tree, "local"), section);
    v = yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT ? yoi_sdk_json_first(v) : NULL;
  } else {
    v = yoi_sdk_json_next(v);
  }
  for (; v != NULL; v = yoi_sdk_json_next(v)) {
    if (yoi_sdk_name_valid(yoi_sdk_json_key(v))) return v;
    snprintf(at, sizeof at, "/local/%s", section);
    yoi__findings_add(&b->found, at, 0, "name in '%s': expected 1 to 64 of A-Z a-z 0-9 _ - .",
                      section);
  }
  return NULL;
}

/* Room for all of a section. */
static void *room(struct yoi__build *b, const char *section, size_t size) {
  const yoi_sdk_json *all = yoi_sdk_json_get(yoi_sdk_json_get(b->tree, "local"), section);
  return yoi__build_alloc(b, yoi_sdk_json_count(all), size);
}

/* ---- mounts ------------------------------------------------------------------ */

static void read_mount(struct yoi__build *b, const yoi_sdk_json *v, struct yoi__mount *m) {
  yoi_str path = yoi__text(v, "path");
  char at[YOI__POINTER_MAX], whole[PATH_MAX], detail[PATH_MAX + 8];
  int absolute = path.len > 0 && path.ptr[0] == '/';
  m->fd = -1;
  m->name = yoi__build_str(b, yoi_sdk_json_key(v));
  m->writable = yoi_sdk_str_is(yoi__text(v, "mode"), "rw");
  if (path.len == 0 || memmem(path.ptr, path.len, "${", 2) != NULL) return; /* that is said */
  snprintf(at, sizeof at, "/local/mounts/%.*s/path", YOI_ARG(m->name));
  int n = snprintf(whole, sizeof whole, "%s%s%.*s", absolute ? "" : b->base, absolute ? "" : "/",
                   YOI_ARG(path));
  const char *why =
      (size_t)n >= sizeof whole ? "has a path that is too long" : yoi__mount_root(whole, &m->fd);
  if (why == NULL) return;
  yoi__findings_add(&b->found, at, 0, "the folder of mount '%.*s' %s", YOI_ARG(m->name), why);
  snprintf(detail, sizeof detail, "; '%s'", whole);
  yoi__findings_detail(&b->found, yoi_sdk_str(detail));
}

static void build_mounts(struct yoi__build *b) {
  struct yoi__local *l = &b->c->local;
  l->mounts = room(b, "mounts", sizeof *l->mounts);
  if (l->mounts == NULL) return;
  for (const yoi_sdk_json *v = NULL; (v = member(b, "mounts", v)) != NULL;)
    read_mount(b, v, &l->mounts[l->n_mounts++]);
}

/* ---- network ------------------------------------------------------------------ */

static void read_network(struct yoi__build *b, const yoi_sdk_json *v, struct yoi__network *net) {
  struct yoi__endpoint *hosts = yoi__build_alloc(b, yoi_sdk_json_count(v), sizeof *hosts);
  size_t i = 0;
  net->name = yoi__build_str(b, yoi_sdk_json_key(v));
  if (hosts == NULL || yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY) return;
  net->hosts = hosts;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e), i++) {
    char at[YOI__POINTER_MAX];
    yoi_str s = {NULL, 0};
    if (!yoi_sdk_json_str(e, &s)) continue;
    const char *expected = yoi__net_endpoint(s, &hosts[net->n]);
    if (expected == NULL) {
      net->n++;
      continue;
    }
    snprintf(at, sizeof at, "/local/network/%.*s/%zu", YOI_ARG(net->name), i);
    yoi__findings_add(&b->found, at, 0, "expected %s", expected);
  }
}

static void build_networks(struct yoi__build *b) {
  struct yoi__local *l = &b->c->local;
  l->networks = room(b, "network", sizeof *l->networks);
  if (l->networks == NULL) return;
  for (const yoi_sdk_json *v = NULL; (v = member(b, "network", v)) != NULL;)
    read_network(b, v, &l->networks[l->n_networks++]);
}

/* ---- shell and git -------------------------------------------------------------- */

/* A name that a folder of programs can have in it. */
static const char *command_of_shell(yoi_str s) {
  if (yoi_sdk_str_is(s, "*")) return NULL;
  int good = s.len > 0 && s.len <= YOI_NAME_MAX && s.ptr[0] != '-' && s.ptr[0] != '.' &&
             strspn(s.ptr, WORDS "_-.+") == s.len;
  return good ? NULL : "expected the name of a program, without a path or arguments, or '*'";
}

static const char *command_of_git(yoi_str s) {
  if (yoi_sdk_str_is(s, "*")) return NULL;
  int good = s.len > 0 && s.len <= YOI_NAME_MAX && s.ptr[0] != '-' &&
             strspn(s.ptr, "abcdefghijklmnopqrstuvwxyz0123456789-") == s.len;
  return good ? NULL : "expected a subcommand of git, for example 'status', or '*'";
}

static const char *remote_of_git(yoi_str s) {
  for (size_t i = 0; i < s.len; i++)
    if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
      return "expected the URL or the name of a remote";
  return s.len > 0 && s.ptr[0] != '-' ? NULL : "expected the URL or the name of a remote";
}

static void check_each(struct yoi__build *b, const yoi_sdk_json *v, const char *section,
                       const char *list, const char *(*check)(yoi_str s)) {
  const yoi_sdk_json *all = yoi_sdk_json_get(v, list);
  size_t i = 0;
  if (yoi_sdk_json_type(all) != YOI_SDK_JSON_ARRAY) return;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(all); e != NULL; e = yoi_sdk_json_next(e), i++) {
    yoi_str s = {NULL, 0};
    char at[YOI__POINTER_MAX];
    const char *why = yoi_sdk_json_str(e, &s) ? check(s) : NULL;
    if (why == NULL) continue;
    snprintf(at, sizeof at, "/local/%s/%.*s/%s/%zu", section, YOI_ARG(yoi_sdk_json_key(v)), list,
             i);
    yoi__findings_add(&b->found, at, 0, "%s", why);
  }
}

static void check_env(struct yoi__build *b, const yoi_sdk_json *v) {
  const yoi_sdk_json *all = yoi_sdk_json_get(v, "env");
  if (yoi_sdk_json_type(all) != YOI_SDK_JSON_OBJECT) return;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(all); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str s = {NULL, 0};
    char at[YOI__POINTER_MAX];
    snprintf(at, sizeof at, "/local/shell/%.*s/env", YOI_ARG(yoi_sdk_json_key(v)));
    if (!yoi__variable_valid(yoi_sdk_json_key(e)))
      yoi__findings_add(&b->found, at, 0, "expected the names of environment variables");
    if (yoi_sdk_json_str(e, &s) && yoi_sdk_str_starts(s, YOI_LIT("secret:")))
      yoi__findings_add(&b->found, at, 0, "a secret is not handed on to commands");
  }
}

/* The entry with each key of the schema in it. */
static yoi_str filled(struct yoi__build *b, const char *section, const yoi_sdk_json *v) {
  static const char *const way[] = {"properties",           "local",     "properties", NULL,
                                    "additionalProperties", "properties"};
  const yoi_sdk_json *keys = b->schema;
  struct yoi_sdk_buf out;
  struct yoi_sdk_jsonw w;
  for (size_t i = 0; i < sizeof way / sizeof *way; i++)
    keys = yoi_sdk_json_get(keys, way[i] != NULL ? way[i] : section);
  yoi_sdk_buf_init(&out, YOI_CONFIG_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &out);
  yoi_sdk_jsonw_open(&w, '{');
  for (const yoi_sdk_json *k = yoi_sdk_json_first(keys); k != NULL; k = yoi_sdk_json_next(k)) {
    const yoi_sdk_json *written = yoi_sdk_json_getn(v, yoi_sdk_json_key(k));
    if (written == NULL) written = yoi_sdk_json_get(k, "default");
    if (written == NULL) continue; /* a finding has said that it is missing */
    yoi_sdk_jsonw_keyn(&w, yoi_sdk_json_key(k));
    yoi_sdk_json_write(written, &w);
  }
  yoi_sdk_jsonw_close(&w, '}');
  if (out.failed != 0) b->failed = 1;
  yoi_str s = yoi__build_str(b, yoi_sdk_buf_str(&out));
  yoi_sdk_buf_release(&out);
  return s;
}

static void check_size(struct yoi__build *b, const char *section, const struct yoi__commands *c) {
  char at[YOI__POINTER_MAX];
  if (c->value.len <= YOI_GRANT_VALUE_MAX) return;
  snprintf(at, sizeof at, "/local/%s/%.*s", section, YOI_ARG(c->name));
  yoi__findings_add(&b->found, at, 0, "with its defaults it has %zu bytes, at most %d are read",
                    c->value.len, YOI_GRANT_VALUE_MAX);
}

static struct yoi__commands *build_commands(struct yoi__build *b, const char *section,
                                            size_t *out_n) {
  struct yoi__commands *all = room(b, section, sizeof *all);
  int git = strcmp(section, "git") == 0;
  if (all == NULL) return NULL;
  for (const yoi_sdk_json *v = NULL; (v = member(b, section, v)) != NULL;) {
    if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT) continue;
    check_each(b, v, section, "commands", git ? command_of_git : command_of_shell);
    if (git) check_each(b, v, section, "remotes", remote_of_git);
    if (!git) check_env(b, v);
    all[*out_n].name = yoi__build_str(b, yoi_sdk_json_key(v));
    all[*out_n].value = filled(b, section, v);
    check_size(b, section, &all[(*out_n)++]);
  }
  return all;
}

void yoi__build_local(struct yoi__build *b) {
  struct yoi__local *l = &b->c->local;
  build_mounts(b);
  build_networks(b);
  l->shell = build_commands(b, "shell", &l->n_shell);
  l->git = build_commands(b, "git", &l->n_git);
}

/* ---- what it answers -------------------------------------------------------------- */

const struct yoi__mount *yoi__local_mount(const struct yoi__local *l, yoi_str name) {
  for (size_t i = 0; i < l->n_mounts; i++)
    if (yoi_sdk_str_eq(l->mounts[i].name, name)) return &l->mounts[i];
  return NULL;
}

const struct yoi__network *yoi__local_network(const struct yoi__local *l, yoi_str name) {
  for (size_t i = 0; i < l->n_networks; i++)
    if (yoi_sdk_str_eq(l->networks[i].name, name)) return &l->networks[i];
  return NULL;
}

const struct yoi__commands *yoi__local_commands(const struct yoi__local *l, int git, yoi_str name) {
  const struct yoi__commands *all = git ? l->git : l->shell;
  for (size_t i = 0; i < (git ? l->n_git : l->n_shell); i++)
    if (yoi_sdk_str_eq(all[i].name, name)) return &all[i];
  return NULL;
}

void yoi__local_release(struct yoi__local *l) {
  for (size_t i = 0; i < l->n_mounts; i++)
    if (l->mounts[i].fd >= 0) close(l->mounts[i].fd);
  l->n_mounts = 0;
}
