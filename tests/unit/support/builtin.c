/* builtin.c - puts the parts of one profile into the sections of a bundle. */
#include "builtin.h"

#include <sdk/json.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

static void copy_member(struct yoi_sdk_jsonw *w, const yoi_sdk_json *from, const char *name) {
  const yoi_sdk_json *v = yoi_sdk_json_get(from, name);
  if (!v) return;
  yoi_sdk_jsonw_key(w, name);
  yoi_sdk_json_write(v, w);
}

static yoi_str text_of(const yoi_sdk_json *v, const char *name) {
  yoi_str s = {0};
  assert_true(yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s));
  return s;
}

static void write_grants(struct yoi_sdk_jsonw *w, const yoi_sdk_json *p) {
  char model[80];
  char seen[16][128];
  size_t n = 0;
  (void)snprintf(model, sizeof model, "model:%.*s", YOI_ARG(text_of(p, "model")));
  yoi_sdk_jsonw_key(w, "grants");
  yoi_sdk_jsonw_open(w, '[');
  yoi_sdk_jsonw_str(w, yoi_sdk_str(model));
  const yoi_sdk_json *tools = yoi_sdk_json_get(p, "tools");
  for (const yoi_sdk_json *t = yoi_sdk_json_first(tools); t; t = yoi_sdk_json_next(t))
    for (const yoi_sdk_json *g = yoi_sdk_json_first(yoi_sdk_json_get(t, "grants")); g;
         g = yoi_sdk_json_next(g)) {
      yoi_str grant = {0};
      size_t i = 0;
      assert_true(yoi_sdk_json_str(g, &grant));
      while (i < n && !yoi_sdk_str_is(grant, seen[i])) i++;
      if (i < n) continue;
      assert_true(n < sizeof seen / sizeof *seen);
      (void)snprintf(seen[n++], sizeof *seen, "%.*s", YOI_ARG(grant));
      yoi_sdk_jsonw_str(w, grant);
    }
  yoi_sdk_jsonw_close(w, ']');
}

static void write_profile(struct yoi_sdk_jsonw *w, const yoi_sdk_json *p) {
  const yoi_sdk_json *tools = yoi_sdk_json_get(p, "tools");
  yoi_sdk_jsonw_key(w, "profiles");
  yoi_sdk_jsonw_open(w, '[');
  yoi_sdk_jsonw_open(w, '{');
  copy_member(w, p, "name");
  copy_member(w, p, "prompt");
  yoi_sdk_jsonw_kstr(w, "model", YOI_LIT("main"));
  yoi_sdk_jsonw_key(w, "tools");
  yoi_sdk_jsonw_open(w, '[');
  for (const yoi_sdk_json *t = yoi_sdk_json_first(tools); t; t = yoi_sdk_json_next(t))
    yoi_sdk_jsonw_str(w, text_of(t, "name"));
  yoi_sdk_jsonw_close(w, ']');
  copy_member(w, p, "limits");
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, ']');
}

char *bundle_of(const char *profile, const char *id, const char *revision, const char *workspace,
                const char *more) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_json *p = NULL;
  if (!profile) return NULL;
  assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(profile), 0, &p, NULL), YOI_OK);
  yoi_sdk_buf_init(&b, YOI_BUNDLE_BYTES_MAX);
  yoi_sdk_buf_addf(&b,
                   "{\"schema\":\"yoi.bundle/1\",\"id\":\"%s\",\"revision\":\"%s\","
                   "\"workspace_id\":\"%s\",\"created_at\":\"2026-06-26T00:00:00Z\","
                   "\"provenance\":{\"source\":\"test\"}%s,\"prompts\":[{\"name\":\"%.*s\","
                   "\"media_type\":\"text/markdown\",\"text\":\"You are a companion of "
                   "tests.\"}],\"models\":[{\"name\":\"main\",\"ref\":\"model:%.*s\"}]",
                   id, revision, workspace, more, YOI_ARG(text_of(p, "prompt")),
                   YOI_ARG(text_of(p, "model")));
  yoi_sdk_jsonw_init(&w, &b);
  w.comma = 1;
  copy_member(&w, p, "tools");
  write_grants(&w, p);
  write_profile(&w, p);
  yoi_sdk_buf_addc(&b, '}');
  assert_int_equal(b.failed, 0);
  yoi_sdk_json_free(p);
  char *text = strndup(b.data, b.len);
  yoi_sdk_buf_release(&b);
  return text;
}

char *builtin_of(const char *profile) {
  return bundle_of(profile, "builtin", "1", "builtin", "");
}
