/* bundle_show.c - yoi-host bundle show: what a bundle would have a worker do.
 *
 * For a person: whose it is, then each profile with its model, its limits and
 * its tools, each with what policy says and which grants it asks for; then what
 * profiles share. Prompts are named with their sizes; `diff` and the file have
 * their words. With --json the same as one object.
 */
#include <sdk/json.h>
#include <stdio.h>
#include <string.h>
#include <yoi/limits.h>

#include "bundle.h"

#define TEXT_MAX 512 /* bytes of any one text that are shown */
#define WIDTH 12     /* of the left column */

static const struct {
  const char *name;
  uint64_t standard;
} limits[] = {
#define X(name, standard, most) {#name, standard},
    YOI_SDK_BUNDLE_LIMITS(X)
#undef X
};

uint64_t cli_bundle_limit(const struct yoi_sdk_bundle_profile *p, size_t i, const char **out_name) {
  int64_t n;
  if (i >= sizeof limits / sizeof *limits) return 0;
  *out_name = limits[i].name;
  return yoi_sdk_json_int(yoi_sdk_json_get(p->limits, limits[i].name), &n) ? (uint64_t)n
                                                                           : limits[i].standard;
}

const char *cli_bundle_verdict(uint32_t verdict) {
  return verdict == YOI_VERDICT_ALLOW ? "allow" : verdict == YOI_VERDICT_DENY ? "deny" : "ask";
}

/* ---- for a person ------------------------------------------------------------ */

static void left(struct yoi_sdk_buf *out, const char *indent, const char *name) {
  yoi_sdk_buf_addf(out, "%s%-*s ", indent, WIDTH, name);
}

static void fact(struct yoi_sdk_buf *out, const char *indent, const char *name, yoi_str value) {
  if (!value.len) return;
  left(out, indent, name);
  cli_safe(out, value, TEXT_MAX);
  yoi_sdk_buf_addc(out, '\n');
}

/* A word behind another. */
static void also(struct yoi_sdk_buf *out, yoi_str value) {
  if (!value.len) return;
  yoi_sdk_buf_addc(out, ' ');
  cli_safe(out, value, TEXT_MAX);
}

static void strings(struct yoi_sdk_buf *out, const yoi_sdk_json *v) {
  for (v = yoi_sdk_json_first(v); v; v = yoi_sdk_json_next(v)) {
    yoi_str s = {"", 0};
    yoi_sdk_json_str(v, &s);
    also(out, s);
  }
}

static void put_tool(struct yoi_sdk_buf *out, const struct yoi_sdk_bundle_tool *t) {
  yoi_sdk_buf_addf(out, "%-5s %-16.*s %.*s%s", cli_bundle_verdict(t->verdict), YOI_ARG(t->name),
                   YOI_ARG(t->plugin), t->optional ? " optional" : "");
  strings(out, t->grants);
  yoi_sdk_buf_addc(out, '\n');
}

static void put_profile(struct yoi_sdk_buf *out, const struct yoi_sdk_bundle *b,
                        const struct yoi_sdk_bundle_profile *p) {
  const struct yoi_sdk_bundle_prompt *prompt = &b->prompts[p->prompt];
  const struct yoi_sdk_bundle_model *model = &b->models[p->model];
  const char *name = "";
  yoi_sdk_buf_addf(out, "\nprofile %.*s\n", YOI_ARG(p->name));
  left(out, "  ", "prompt");
  yoi_sdk_buf_addf(out, "%.*s, %zu bytes\n", YOI_ARG(prompt->name), prompt->text.len);
  left(out, "  ", "model");
  yoi_sdk_buf_addf(out, "%.*s, the host's '%.*s'\n", YOI_ARG(model->name),
                   YOI_ARG(model->host_model));
  left(out, "  ", "limits");
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    uint64_t n = cli_bundle_limit(p, i, &name);
    yoi_sdk_buf_addf(out, "%s%s %llu", i ? ", " : "", name, (unsigned long long)n);
  }
  yoi_sdk_buf_addc(out, '\n');
  for (uint32_t i = 0; i < p->n_tools; i++) {
    left(out, "  ", i ? "" : "tools");
    put_tool(out, &b->tools[p->tools[i]]);
  }
  for (uint32_t i = 0; i < p->n_workflows; i++)
    fact(out, "  ", i ? "" : "workflows", b->workflows[p->workflows[i]].name);
}

static void put_rule(struct yoi_sdk_buf *out, const yoi_sdk_json *rule, int first) {
  yoi_str name = {"", 0}, decision = {"", 0}, reason = {"", 0};
  yoi_sdk_json_str(yoi_sdk_json_get(rule, "name"), &name);
  yoi_sdk_json_str(yoi_sdk_json_get(rule, "decision"), &decision);
  yoi_sdk_json_str(yoi_sdk_json_get(rule, "reason"), &reason);
  left(out, "  ", first ? "rules" : "");
  yoi_sdk_buf_addf(out, "%-5.*s", YOI_ARG(decision));
  also(out, name);
  if (reason.len) yoi_sdk_buf_addc(out, ':');
  also(out, reason);
  yoi_sdk_buf_addc(out, '\n');
}

static void put_shared(struct yoi_sdk_buf *out, const struct yoi_sdk_bundle *b) {
  for (uint32_t i = 0; i < b->n_policies; i++) {
    const yoi_sdk_json *rule = yoi_sdk_json_first(b->policies[i].rules);
    yoi_sdk_buf_addf(out, "\npolicy %.*s\n", YOI_ARG(b->policies[i].name));
    for (int first = 1; rule; rule = yoi_sdk_json_next(rule), first = 0) put_rule(out, rule, first);
  }
  if (b->n_plugins) yoi_sdk_buf_addc(out, '\n');
  for (uint32_t i = 0; i < b->n_plugins; i++) {
    left(out, "", i ? "" : "plugins");
    yoi_sdk_buf_adds(out, b->plugins[i].id);
    also(out, b->plugins[i].version);
    strings(out, b->plugins[i].digests);
    yoi_sdk_buf_addc(out, '\n');
  }
  yoi_sdk_buf_addc(out, '\n');
  for (uint32_t i = 0; i < b->n_prompts; i++) {
    const struct yoi_sdk_bundle_prompt *p = &b->prompts[i];
    left(out, "", i ? "" : "prompts");
    yoi_sdk_buf_addf(out, "%.*s, %zu bytes%s%.*s\n", YOI_ARG(p->name), p->text.len,
                     p->media_type.len ? ", " : "", YOI_ARG(p->media_type));
  }
}

static void put_all(struct yoi_sdk_buf *out, const struct yoi_sdk_bundle *b) {
  left(out, "", "bundle");
  yoi_sdk_buf_addf(out, "%.*s, revision %.*s\n", YOI_ARG(b->id), YOI_ARG(b->revision));
  fact(out, "", "digest", yoi_sdk_str(b->digest));
  left(out, "", "bytes");
  yoi_sdk_buf_addf(out, "%zu\n", b->bytes);
  left(out, "", "workspace");
  yoi_sdk_buf_adds(out, b->workspace_id);
  also(out, b->workspace);
  also(out, b->project);
  yoi_sdk_buf_addc(out, '\n');
  fact(out, "", "created", b->created_at);
  left(out, "", "from");
  yoi_sdk_buf_adds(out, b->source);
  also(out, b->detail);
  yoi_sdk_buf_addc(out, '\n');
  fact(out, "", "language", b->language);
  for (uint32_t i = 0; i < b->n_profiles; i++) put_profile(out, b, &b->profiles[i]);
  put_shared(out, b);
}

/* ---- for a program ------------------------------------------------------------ */

static void write_array(struct yoi_sdk_jsonw *w, const char *name, const yoi_sdk_json *v) {
  yoi_sdk_jsonw_key(w, name);
  if (v) {
    yoi_sdk_json_write(v, w);
  } else {
    yoi_sdk_jsonw_raw(w, YOI_LIT("[]"));
  }
}

static void begin(struct yoi_sdk_jsonw *w, const char *name) {
  yoi_sdk_jsonw_kopen(w, name, '[');
}

static void write_tool(struct yoi_sdk_jsonw *w, const struct yoi_sdk_bundle_tool *t) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "name", t->name);
  yoi_sdk_jsonw_kstr(w, "plugin", t->plugin);
  yoi_sdk_jsonw_kstr(w, "policy", yoi_sdk_str(cli_bundle_verdict(t->verdict)));
  yoi_sdk_jsonw_kbool(w, "optional", t->optional != 0);
  write_array(w, "grants", t->grants);
  yoi_sdk_jsonw_close(w, '}');
}

static void write_profile(struct yoi_sdk_jsonw *w, const struct yoi_sdk_bundle *b,
                          const struct yoi_sdk_bundle_profile *p) {
  const char *name = "";
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "name", p->name);
  yoi_sdk_jsonw_kstr(w, "prompt", b->prompts[p->prompt].name);
  yoi_sdk_jsonw_kstr(w, "model", b->models[p->model].name);
  begin(w, "tools");
  for (uint32_t i = 0; i < p->n_tools; i++) yoi_sdk_jsonw_str(w, b->tools[p->tools[i]].name);
  yoi_sdk_jsonw_close(w, ']');
  begin(w, "workflows");
  for (uint32_t i = 0; i < p->n_workflows; i++)
    yoi_sdk_jsonw_str(w, b->workflows[p->workflows[i]].name);
  yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_kopen(w, "limits", '{');
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    uint64_t n = cli_bundle_limit(p, i, &name);
    yoi_sdk_jsonw_kint(w, name, (int64_t)n);
  }
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, '}');
}

static void write_rest(struct yoi_sdk_jsonw *w, const struct yoi_sdk_bundle *b) {
  begin(w, "models");
  for (uint32_t i = 0; i < b->n_models; i++) {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", b->models[i].name);
    yoi_sdk_jsonw_kstr(w, "host_model", b->models[i].host_model);
    if (b->models[i].parameters) yoi_sdk_jsonw_key(w, "parameters");
    if (b->models[i].parameters) yoi_sdk_json_write(b->models[i].parameters, w);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
  begin(w, "plugins");
  for (uint32_t i = 0; i < b->n_plugins; i++) {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "id", b->plugins[i].id);
    yoi_sdk_jsonw_kstr_opt(w, "version", b->plugins[i].version);
    write_array(w, "digests", b->plugins[i].digests);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
  begin(w, "policies");
  for (uint32_t i = 0; i < b->n_policies; i++) {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", b->policies[i].name);
    yoi_sdk_jsonw_kstr(w, "plugin", b->policies[i].plugin);
    write_array(w, "rules", b->policies[i].rules);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
  begin(w, "workflows");
  for (uint32_t i = 0; i < b->n_workflows; i++) {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", b->workflows[i].name);
    yoi_sdk_jsonw_kstr(w, "prompt", b->prompts[b->workflows[i].prompt].name);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
  begin(w, "prompts");
  for (uint32_t i = 0; i < b->n_prompts; i++) {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", b->prompts[i].name);
    yoi_sdk_jsonw_kstr_opt(w, "media_type", b->prompts[i].media_type);
    yoi_sdk_jsonw_kint(w, "bytes", (int64_t)b->prompts[i].text.len);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

static void write_all(struct yoi_sdk_buf *out, const struct yoi_sdk_bundle *b) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "id", b->id);
  yoi_sdk_jsonw_kstr(&w, "revision", b->revision);
  yoi_sdk_jsonw_kstr(&w, "digest", yoi_sdk_str(b->digest));
  yoi_sdk_jsonw_kint(&w, "bytes", (int64_t)b->bytes);
  yoi_sdk_jsonw_kstr(&w, "workspace_id", b->workspace_id);
  yoi_sdk_jsonw_kstr_opt(&w, "workspace", b->workspace);
  yoi_sdk_jsonw_kstr_opt(&w, "project", b->project);
  yoi_sdk_jsonw_kstr(&w, "created_at", b->created_at);
  yoi_sdk_jsonw_kstr(&w, "source", b->source);
  yoi_sdk_jsonw_kstr_opt(&w, "detail", b->detail);
  yoi_sdk_jsonw_kstr_opt(&w, "language", b->language);
  begin(&w, "profiles");
  for (uint32_t i = 0; i < b->n_profiles; i++) write_profile(&w, b, &b->profiles[i]);
  yoi_sdk_jsonw_close(&w, ']');
  begin(&w, "tools");
  for (uint32_t i = 0; i < b->n_tools; i++) write_tool(&w, &b->tools[i]);
  yoi_sdk_jsonw_close(&w, ']');
  write_rest(&w, b);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_buf_addc(out, '\n');
}

int cli_bundle_show(const struct cli_bundle *b, int json) {
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, YOI_JSON_BYTES_MAX);
  if (json) {
    write_all(&out, b->is);
  } else {
    put_all(&out, b->is);
  }
  int code = out.failed ? CLI_INTERNAL : cli_bundle_write(NULL, yoi_sdk_buf_str(&out));
  if (out.failed) cli_say("cannot show it: no memory");
  yoi_sdk_buf_release(&out);
  return code;
}
