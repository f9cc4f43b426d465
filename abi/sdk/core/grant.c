/* grant.c - grants and patterns of them as text: reading, comparing, writing. */
#include <sdk/grant.h>

#include <sdk/id.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>

static const struct {
  uint32_t kind;
  const char *name;
} kinds[] = {{YOI_SDK_GRANT_MODEL, "model"},
             {YOI_SDK_GRANT_MOUNT, "mount"},
             {YOI_SDK_GRANT_NET, "net"},
             {YOI_SDK_GRANT_SHELL, "shell"},
             {YOI_SDK_GRANT_GIT, "git"}};
#define N_KINDS (sizeof kinds / sizeof *kinds)

uint32_t yoi_sdk_grant_kind(yoi_str text) {
  const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
  if (colon == NULL) return 0;
  yoi_str kind = {text.ptr, (size_t)(colon - text.ptr)};
  for (size_t i = 0; i < N_KINDS; i++)
    if (yoi_sdk_str_is(kind, kinds[i].name)) return kinds[i].kind;
  return 0;
}

/* Takes ":ro" or ":rw" from the end of a name. 1: there was one. */
static int take_mode(struct yoi_sdk_grant *g) {
  yoi_str *s = &g->name;
  int mode = s->len > 3 && s->ptr[s->len - 3] == ':' && s->ptr[s->len - 2] == 'r' &&
             (s->ptr[s->len - 1] == 'o' || s->ptr[s->len - 1] == 'w');
  if (!mode) return 0;
  g->writable = s->ptr[s->len - 1] == 'w';
  s->len -= 3;
  return 1;
}

static const char *parse(yoi_str text, int pattern, struct yoi_sdk_grant *out) {
  *out = (struct yoi_sdk_grant){.kind = yoi_sdk_grant_kind(text)};
  if (out->kind == 0 || text.len > YOI_GRANT_MAX)
    return "'model:NAME', 'mount:NAME:ro', 'mount:NAME:rw', 'net:NAME', 'shell:NAME' or 'git:NAME'";
  size_t behind = strlen(kinds[out->kind - 1].name) + 1;
  out->name = (yoi_str){text.ptr + behind, text.len - behind};
  if (out->kind == YOI_SDK_GRANT_MOUNT && !take_mode(out)) {
    if (!pattern) return "'mount:NAME:ro' or 'mount:NAME:rw'";
    out->writable = 1;
  }
  if (yoi_sdk_name_valid(out->name) || (pattern && yoi_sdk_str_is(out->name, "*"))) return NULL;
  return pattern ? "a name of 1 to 64 of A-Z a-z 0-9 _ - . behind the kind, or '*'"
                 : "a name of 1 to 64 of A-Z a-z 0-9 _ - . behind the kind";
}

const char *yoi_sdk_grant_parse(yoi_str text, struct yoi_sdk_grant *out) {
  return parse(text, 0, out);
}

const char *yoi_sdk_grant_pattern(yoi_str text, struct yoi_sdk_grant *out) {
  return parse(text, 1, out);
}

int yoi_sdk_grant_covers(const struct yoi_sdk_grant *pattern, const struct yoi_sdk_grant *grant) {
  return pattern->kind == grant->kind && pattern->writable >= grant->writable &&
         (yoi_sdk_str_is(pattern->name, "*") || yoi_sdk_str_eq(pattern->name, grant->name));
}

struct yoi_sdk_grant_text yoi_sdk_grant_show(const struct yoi_sdk_grant *grant) {
  struct yoi_sdk_grant_text t;
  const char *mode = grant->kind != YOI_SDK_GRANT_MOUNT ? "" : grant->writable ? ":rw" : ":ro";
  (void)snprintf(t.text, sizeof t.text, "%s:%.*s%s", kinds[grant->kind - 1].name,
                 YOI_ARG(grant->name), mode);
  return t;
}
