/* host/grant.c - what a grant is, and whether this host has it.
 *
 *   the profile gives it to the call     given.c
 *   the plugin's manifest wants it       here, yoi__grant_for
 *   plugins[].grants does not lack it    here
 *   `local` has it, in that mode         here, yoi__grant_has
 *
 * A grant is in force when all four say so, and all four are asked at each use.
 * Invariants:
 *  1. A text is taken whole or not at all: nothing is trimmed, folded or guessed.
 *  2. A pattern is never taken for a grant: nobody can ask for "all".
 *  3. Why something is missing is said by name, never by path or address: the
 *     message may reach a model.
 */
#include "grant.h"

#include <stdio.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/str.h>

#include "config.h"

static const struct {
  uint32_t kind;
  const char *name;
} kinds[] = {{YOI__GRANT_MODEL, "model"},
             {YOI__GRANT_MOUNT, "mount"},
             {YOI__GRANT_NET, "net"},
             {YOI__GRANT_SHELL, "shell"},
             {YOI__GRANT_GIT, "git"}};
#define N_KINDS (sizeof kinds / sizeof *kinds)

/* Takes ":ro" or ":rw" from the end of a name. 1: there was one. */
static int take_mode(struct yoi__grant *g) {
  yoi_str *s = &g->name;
  int mode = s->len > 3 && s->ptr[s->len - 3] == ':' && s->ptr[s->len - 2] == 'r' &&
             (s->ptr[s->len - 1] == 'o' || s->ptr[s->len - 1] == 'w');
  if (!mode) return 0;
  g->writable = s->ptr[s->len - 1] == 'w';
  s->len -= 3;
  return 1;
}

static const char *parse(yoi_str text, int pattern, struct yoi__grant *out) {
  const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
  yoi_str kind = {text.ptr, colon != NULL ? (size_t)(colon - text.ptr) : text.len};
  *out = (struct yoi__grant){0};
  for (size_t i = 0; i < N_KINDS && colon != NULL; i++)
    if (yoi_sdk_str_is(kind, kinds[i].name)) out->kind = kinds[i].kind;
  if (out->kind == 0 || text.len > YOI_GRANT_MAX)
    return "'model:NAME', 'mount:NAME:ro', 'mount:NAME:rw', 'net:NAME', 'shell:NAME' or 'git:NAME'";
  out->name = (yoi_str){colon + 1, text.len - kind.len - 1};
  if (out->kind == YOI__GRANT_MOUNT && !take_mode(out)) {
    if (!pattern) return "'mount:NAME:ro' or 'mount:NAME:rw'";
    out->writable = 1;
  }
  if (yoi_sdk_name_valid(out->name) || (pattern && yoi_sdk_str_is(out->name, "*"))) return NULL;
  return pattern ? "a name of 1 to 64 of A-Z a-z 0-9 _ - . behind the kind, or '*'"
                 : "a name of 1 to 64 of A-Z a-z 0-9 _ - . behind the kind";
}

const char *yoi__grant_parse(yoi_str text, struct yoi__grant *out) {
  return parse(text, 0, out);
}

const char *yoi__grant_pattern(yoi_str text, struct yoi__grant *out) {
  return parse(text, 1, out);
}

int yoi__grant_covers(const struct yoi__grant *pattern, const struct yoi__grant *grant) {
  return pattern->kind == grant->kind && pattern->writable >= grant->writable &&
         (yoi_sdk_str_is(pattern->name, "*") || yoi_sdk_str_eq(pattern->name, grant->name));
}

int yoi__grant_local(const struct yoi__grant *grant) {
  return grant->kind != YOI__GRANT_MODEL;
}

struct yoi__grant_text yoi__grant_show(const struct yoi__grant *grant) {
  struct yoi__grant_text t;
  const char *mode = grant->kind != YOI__GRANT_MOUNT ? "" : grant->writable ? ":rw" : ":ro";
  snprintf(t.text, sizeof t.text, "%s:%.*s%s", kinds[grant->kind - 1].name, YOI_ARG(grant->name),
           mode);
  return t;
}

/* ---- what there is ---------------------------------------------------------- */

static int has_model(const struct yoi__config *c, yoi_str name) {
  for (size_t i = 0; i < c->n_models; i++)
    if (yoi_sdk_str_eq(c->models[i].name, name)) return 1;
  return 0;
}

yoi_status yoi__grant_has(const struct yoi__config *c, const struct yoi__grant *grant,
                          yoi_error *err) {
  const struct yoi__mount *m;
  int has = 0;
  switch (grant->kind) {
    case YOI__GRANT_MODEL:
      has = has_model(c, grant->name);
      break;
    case YOI__GRANT_MOUNT:
      m = yoi__local_mount(&c->local, grant->name);
      if (m != NULL && m->writable < grant->writable)
        return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                            "this host gives mount '%.*s' for reading only", YOI_ARG(grant->name));
      has = m != NULL;
      break;
    case YOI__GRANT_NET:
      has = yoi__local_network(&c->local, grant->name) != NULL;
      break;
    default:
      has = yoi__local_commands(&c->local, grant->kind == YOI__GRANT_GIT, grant->name) != NULL;
  }
  if (has) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "this host has no grant '%s'",
                      yoi__grant_show(grant).text);
}

yoi_status yoi__grant_check(const struct yoi__config *c, yoi_str text, yoi_error *err) {
  struct yoi__grant grant;
  const char *expected = yoi__grant_parse(text, &grant);
  if (expected != NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%.*s' is no grant: expected %s",
                        (int)yoi_sdk_utf8_cut(text, YOI_GRANT_MAX), text.ptr, expected);
  return yoi__grant_has(c, &grant, err);
}

static int wants(const struct yoi__plugin *p, const struct yoi__grant *grant) {
  for (size_t i = 0; i < p->manifest.n_grants; i++) {
    struct yoi__grant pattern;
    if (yoi__grant_pattern(p->manifest.grants[i], &pattern) == NULL &&
        yoi__grant_covers(&pattern, grant))
      return 1;
  }
  return 0;
}

yoi_status yoi__grant_for(const struct yoi__config *c, const struct yoi__plugin *p,
                          const struct yoi__grant *grant, yoi_error *err) {
  struct yoi__grant_text text = yoi__grant_show(grant);
  if (!wants(p, grant))
    return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                        "the manifest of plugin '%.*s' does not want the grant '%s'",
                        YOI_ARG(p->manifest.id), text.text);
  if (!yoi__config_granted(c, p, yoi_sdk_str(text.text)))
    return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                        "this host does not give plugin '%.*s' the grant '%s'",
                        YOI_ARG(p->manifest.id), text.text);
  return yoi__grant_has(c, grant, err);
}
