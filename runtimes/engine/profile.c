/* profile.c - reads the built-in profiles, which are data (bundles/builtin/).
 *
 * Invariants:
 *  1. A limit that a profile leaves out has its default, and none passes the
 *     maximum of yoi/limits.h: a profile that tries is refused at open.
 *  2. A tool that is named without a policy is asked for: what nobody has
 *     thought about is nobody's permission.
 */
#include "profile.h"

#include <sdk/embed.h>
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <string.h>
#include <yoi/host_tool.h>

#include "artefact.h"

YOI_SDK_EMBED(eng_companion_json, "bundles/builtin/companion.json");
YOI_SDK_EMBED(eng_companion_md, "bundles/builtin/companion.md");
YOI_SDK_EMBED(eng_coder_json, "bundles/builtin/coder.json");
YOI_SDK_EMBED(eng_coder_md, "bundles/builtin/coder.md");

static yoi_str between(const char *begin, const char *end) {
  while (end > begin && end[-1] == '\n') end--;
  return (yoi_str){begin, (size_t)(end - begin)};
}

yoi_str eng_builtin(size_t i, yoi_str *out_prompt) {
  if (i == 0) {
    *out_prompt = between(eng_companion_md, eng_companion_md_end);
    return between(eng_companion_json, eng_companion_json_end);
  }
  if (i == 1) {
    *out_prompt = between(eng_coder_md, eng_coder_md_end);
    return between(eng_coder_json, eng_coder_json_end);
  }
  return (yoi_str){NULL, 0};
}

/* ---- limits ---- */

#define N_LIMITS 7
static const struct {
  const char *name;
  uint64_t standard, max;
} limit_rows[N_LIMITS] = {
    {"steps", YOI_STEPS_DEFAULT, YOI_STEPS_MAX},
    {"wall_ms", YOI_WALL_MS_DEFAULT, YOI_WALL_MS_MAX},
    {"tokens", YOI_TOKENS_DEFAULT, YOI_TOKENS_MAX_PER_TURN},
    {"tool_output_bytes", YOI_TOOL_OUTPUT_BYTES_DEFAULT, YOI_TOOL_OUTPUT_BYTES_MAX},
    {"context_tokens", YOI_CONTEXT_TOKENS_DEFAULT, YOI_CONTEXT_TOKENS_MAX},
    {"tool_result_bytes", YOI_TOOL_RESULT_BYTES_DEFAULT, YOI_TOOL_RESULT_BYTES_MAX},
    {"approval_ms", YOI_APPROVAL_MS_DEFAULT, YOI_APPROVAL_MS_MAX},
};

yoi_status eng_limits_read(struct eng_turn_limits *out, const yoi_sdk_json *v, yoi_error *err) {
  uint64_t n[N_LIMITS];
  for (size_t i = 0; i < N_LIMITS; i++) {
    const yoi_sdk_json *m = yoi_sdk_json_get(v, limit_rows[i].name);
    int64_t given = (int64_t)limit_rows[i].standard;
    if (m && (!yoi_sdk_json_int(m, &given) || given < 1 || (uint64_t)given > limit_rows[i].max))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "the limit '%s' is out of range",
                          limit_rows[i].name);
    n[i] = (uint64_t)given;
  }
  *out = (struct eng_turn_limits){
      .steps = (uint32_t)n[0],
      .wall_ms = (uint32_t)n[1],
      .tokens = n[2],
      .tool_output_bytes = n[3],
      .context_tokens = n[4],
      .tool_result_bytes = n[5],
      .approval_ms = n[6],
  };
  return YOI_OK;
}

void eng_limits_write(const struct eng_turn_limits *l, struct yoi_sdk_jsonw *w) {
  const uint64_t n[N_LIMITS] = {
      l->steps,          l->wall_ms,           l->tokens,     l->tool_output_bytes,
      l->context_tokens, l->tool_result_bytes, l->approval_ms};
  yoi_sdk_jsonw_open(w, '{');
  for (size_t i = 0; i < N_LIMITS; i++) yoi_sdk_jsonw_kint(w, limit_rows[i].name, (int64_t)n[i]);
  yoi_sdk_jsonw_close(w, '}');
}

/* ---- tools ---- */

static const char *const verdicts[] = {
    [YOI_VERDICT_ABSTAIN] = "abstain",
    [YOI_VERDICT_ALLOW] = "allow",
    [YOI_VERDICT_ASK] = "ask",
    [YOI_VERDICT_DENY] = "deny",
};

uint32_t eng_verdict(yoi_str word) {
  for (uint32_t v = YOI_VERDICT_ALLOW; v <= YOI_VERDICT_DENY; v++)
    if (yoi_sdk_str_is(word, verdicts[v])) return v;
  return YOI_VERDICT_ABSTAIN;
}

const char *eng_verdict_name(uint32_t verdict) {
  return verdicts[verdict <= YOI_VERDICT_DENY ? verdict : YOI_VERDICT_DENY];
}

static int are_strings(const yoi_sdk_json *v) {
  yoi_str s;
  if (!v) return 1;
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY || yoi_sdk_json_count(v) > YOI_TOOL_GRANTS_MAX)
    return 0;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e; e = yoi_sdk_json_next(e))
    if (!yoi_sdk_json_str(e, &s) || s.len == 0 || s.len > YOI_GRANT_MAX) return 0;
  return 1;
}

static int read_tool(struct eng_profile_tool *t, const yoi_sdk_json *v) {
  const yoi_sdk_json *policy = yoi_sdk_json_get(v, "policy");
  const yoi_sdk_json *optional = yoi_sdk_json_get(v, "optional");
  yoi_str word = YOI_LIT("ask");
  int on = 0;
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "name"), &t->name) || !yoi_sdk_name_valid(t->name) ||
      !yoi_sdk_json_str(yoi_sdk_json_get(v, "plugin"), &t->plugin) ||
      !yoi_sdk_plugin_id_valid(t->plugin))
    return 0;
  if (yoi_sdk_str_eq(t->name, yoi_sdk_str(eng_artefact_tool.name))) return 0; /* the engine's */
  if (policy && !yoi_sdk_json_str(policy, &word)) return 0;
  if (optional && !yoi_sdk_json_bool(optional, &on)) return 0;
  t->verdict = eng_verdict(word);
  t->grants = yoi_sdk_json_get(v, "grants");
  t->optional = on != 0;
  return t->verdict != YOI_VERDICT_ABSTAIN && are_strings(t->grants);
}

static yoi_status read_tools(struct eng_profile *p, const yoi_sdk_json *v, yoi_error *err) {
  size_t n = yoi_sdk_json_count(v);
  if (n == 0) return YOI_OK;
  if (n > YOI_TOOLS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "the profile has more than %d tools",
                        YOI_TOOLS_MAX);
  p->tools = yoi_sdk_calloc(n, sizeof *p->tools);
  if (!p->tools) return yoi_sdk_fail_memory(err);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e; e = yoi_sdk_json_next(e)) {
    struct eng_profile_tool *t = &p->tools[p->n_tools++];
    if (!read_tool(t, e))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "tool %u of the profile is none",
                          (unsigned)p->n_tools);
    for (uint32_t i = 0; i + 1 < p->n_tools; i++)
      if (yoi_sdk_str_eq(p->tools[i].name, t->name))
        return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "the profile has tool '%.*s' twice",
                            YOI_ARG(t->name));
  }
  return YOI_OK;
}

/* ---- one ---- */

yoi_status eng_profile_init(struct eng_profile *p, yoi_str json, yoi_str prompt, yoi_error *err) {
  struct yoi_sdk_json_error jerr;
  *p = (struct eng_profile){.prompt = prompt};
  yoi_status st = yoi_sdk_json_parse(json, 0, &p->tree, &jerr);
  if (st != YOI_OK) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "cannot read the builtin profile: %s",
                       jerr.message);
  } else if (!yoi_sdk_json_str(yoi_sdk_json_get(p->tree, "name"), &p->name) ||
             !yoi_sdk_json_str(yoi_sdk_json_get(p->tree, "prompt"), &p->prompt_name) ||
             !yoi_sdk_json_str(yoi_sdk_json_get(p->tree, "model"), &p->model)) {
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "the builtin profile is not complete");
  }
  if (st == YOI_OK) st = eng_limits_read(&p->limits, yoi_sdk_json_get(p->tree, "limits"), err);
  if (st == YOI_OK) st = read_tools(p, yoi_sdk_json_get(p->tree, "tools"), err);
  if (st != YOI_OK) eng_profile_release(p);
  return st;
}

void eng_profile_release(struct eng_profile *p) {
  yoi_sdk_free(p->tools);
  yoi_sdk_json_free(p->tree);
  *p = (struct eng_profile){0};
}
