/* policy.c - rules and the parameters of models: what of them this version
 * takes from a bundle.
 *
 * In a bundle a rule is about calls of tools. The other keys of a rule, which
 * are about operations and who asks for them, are the host's alone: well written
 * and refused.
 */
#include "reader.h"

#include <sdk/error.h>
#include <sdk/rules.h>
#include <string.h>

#define N(a) (sizeof(a) / sizeof(a)[0])

/* ---- parameters ----------------------------------------------------------------------- */

static const struct parameter {
  const char *name;
  double least, most;
  int whole;
} parameters[] = {
    {"temperature", 0, 2, 0},
    {"top_p", 0, 1, 0},
    {"min_p", 0, 1, 0},
    {"top_k", 0, 1000000, 1},
    {"presence_penalty", -2, 2, 0},
    {"frequency_penalty", -2, 2, 0},
    {"repetition_penalty", 0, 2, 0},
    {"seed", -9007199254740991.0, 9007199254740991.0, 1},
    {"max_tokens", 1, YOI_CONTEXT_TOKENS_MAX, 1},
    {"max_completion_tokens", 1, YOI_CONTEXT_TOKENS_MAX, 1},
};

static void read_effort(struct bundle_reader *r, const yoi_sdk_json *v) {
  static const char *const words[] = {"none", "minimal", "low", "medium", "high"};
  yoi_str s = {NULL, 0};
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_STRING) || !yoi_sdk_json_str(v, &s)) return;
  for (size_t i = 0; i < N(words); i++)
    if (yoi_sdk_str_is(s, words[i])) return;
  if (yoi_sdk__bundle_credential(&r->forms, s) == NULL)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "parameter",
                        "expected 'none', 'minimal', 'low', 'medium' or 'high'");
}

static void read_parameter(struct bundle_reader *r, const yoi_sdk_json *v) {
  yoi_str key = yoi_sdk_json_key(v);
  const struct parameter *p = NULL;
  double n;
  int64_t whole;
  for (size_t i = 0; i < N(parameters); i++)
    if (yoi_sdk_str_is(key, parameters[i].name)) p = &parameters[i];
  if (yoi_sdk_str_is(key, "reasoning_effort")) {
    read_effort(r, v);
  } else if (p == NULL) {
    if (yoi_sdk__bundle_credential(&r->forms, key) != NULL) return;
    if (yoi_sdk_name_valid(key))
      yoi_sdk__bundle_say(r, 1, YOI_CODE_UNSUPPORTED_DECLARATION, "parameter",
                          "this version does not know the parameter '%.*s'", YOI_ARG(key));
    else
      yoi_sdk__bundle_say(r, 1, YOI_CODE_BUNDLE_INVALID, "name", "expected %s",
                          yoi_sdk__bundle_name.expected);
  } else if (yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_NUMBER) && yoi_sdk_json_number(v, &n) &&
             (n < p->least || n > p->most || (p->whole && !yoi_sdk_json_int(v, &whole)))) {
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "parameter",
                        "expected a %snumber from %.17g to %.17g", p->whole ? "whole " : "",
                        p->least, p->most);
  }
}

void yoi_sdk__bundle_parameters(struct bundle_reader *r, const yoi_sdk_json *v,
                                const struct bundle_member *m, void *out) {
  (void)m;
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_OBJECT)) return;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e)) {
    struct bundle_place place;
    yoi_sdk__bundle_enter(r, &place, yoi_sdk_json_key(e), 0);
    read_parameter(r, e);
    yoi_sdk__bundle_leave(r);
  }
  *(const yoi_sdk_json **)out = v;
}

/* ---- rules ------------------------------------------------------------------------------ */

static void read_text(struct bundle_reader *r, const yoi_sdk_json *v,
                      const struct bundle_member *m, void *out) {
  (void)out;
  (void)yoi_sdk__bundle_string(r, v, m->grammar, NULL);
}

static void read_list(struct bundle_reader *r, const yoi_sdk_json *v,
                      const struct bundle_member *m, void *out) {
  (void)out;
  (void)yoi_sdk__bundle_strings(r, v, m->grammar, YOI_BUNDLE_ENTRIES_MAX);
}

static void read_boolean(struct bundle_reader *r, const yoi_sdk_json *v,
                         const struct bundle_member *m, void *out) {
  (void)m;
  (void)out;
  (void)yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_BOOL);
}

/* The name of an argument, or a JSON pointer to it. */
static int argument_name(yoi_str s) {
  if (s.len < 1 || s.len > YOI_PLUGIN_ID_MAX) return 0;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
        (c == '\0' || strchr("._-/~", c) == NULL))
      return 0;
  }
  return 1;
}

/* By argument: a pattern, or patterns. */
static void read_by_argument(struct bundle_reader *r, const yoi_sdk_json *v,
                             const struct bundle_member *m, void *out) {
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_OBJECT)) return;
  if (yoi_sdk_json_count(v) > YOI_RULE_ARGUMENTS_MAX)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "count", "expected at most %d arguments",
                        YOI_RULE_ARGUMENTS_MAX);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e)) {
    struct bundle_place place;
    yoi_str key = yoi_sdk_json_key(e);
    yoi_sdk__bundle_enter(r, &place, key, 0);
    if (!argument_name(key) && yoi_sdk__bundle_credential(&r->forms, key) == NULL)
      yoi_sdk__bundle_say(r, 1, YOI_CODE_BUNDLE_INVALID, "argument-name",
                          "expected the name of an argument, or a JSON pointer to it");
    if (yoi_sdk_json_type(e) == YOI_SDK_JSON_ARRAY) read_list(r, e, m, out);
    else read_text(r, e, m, out);
    yoi_sdk__bundle_leave(r);
  }
}

static void read_either(struct bundle_reader *r, const yoi_sdk_json *v,
                        const struct bundle_member *m, void *out) {
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT) read_by_argument(r, v, m, out);
  else read_list(r, v, m, out);
}

static void read_count(struct bundle_reader *r, const yoi_sdk_json *v,
                       const struct bundle_member *m, void *out) {
  int64_t n;
  (void)out;
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_NUMBER)) return;
  if (!yoi_sdk_json_int(v, &n) || n < 1 || n > m->most)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "limit",
                        "expected a whole number from 1 to %lld", (long long)m->most);
}

/* In all policies together. */
static void count_quota(struct bundle_reader *r) {
  if (r->n_quotas++ == YOI_BUNDLE_QUOTAS_MAX)
    yoi_sdk__bundle_say(r, 1, YOI_CODE_BUNDLE_INVALID, "count",
                        "expected at most %d rules that count", YOI_BUNDLE_QUOTAS_MAX);
}

static void read_rate(struct bundle_reader *r, const yoi_sdk_json *v,
                      const struct bundle_member *m, void *out) {
  static const struct bundle_member members[] = {
      {"count", 1, read_count, 0, NULL, YOI_RULE_RATE_COUNT_MAX},
      {"per_ms", 1, read_count, 0, NULL, YOI_RULE_RATE_MS_MAX},
      {"per", 0, read_list, 0, &yoi_sdk__bundle_per, 0},
  };
  (void)m;
  count_quota(r);
  yoi_sdk__bundle_object(r, v, members, N(members), out);
}

static void read_above(struct bundle_reader *r, const yoi_sdk_json *v,
                       const struct bundle_member *m, void *out) {
  static const struct bundle_member members[] = {
      {"count", 1, read_count, 0, NULL, YOI_JSON_INT_MAX},
      {"per_ms", 1, read_count, 0, NULL, YOI_RULE_ABOVE_MS_MAX},
      {"per", 0, read_list, 0, &yoi_sdk__bundle_per, 0},
  };
  (void)m;
  count_quota(r);
  yoi_sdk__bundle_object(r, v, members, N(members), out);
}

static void read_host_key(struct bundle_reader *r, const yoi_sdk_json *v,
                          const struct bundle_member *m, void *out) {
  (void)v;
  (void)out;
  yoi_sdk__bundle_say(r, 1, YOI_CODE_UNSUPPORTED_DECLARATION, "rule-key",
                      "'%s' is for the rules of a host; rules of a bundle are about calls of tools",
                      m->name);
}

static const struct bundle_member rule_members[] = {
    {"name", 1, read_text, 0, &yoi_sdk__bundle_name, 0},
    {"decision", 1, read_text, 0, &yoi_sdk__bundle_decision, 0},
    {"reason", 0, read_text, 0, &yoi_sdk__bundle_reason, 0},
    {"tools", 0, read_list, 0, &yoi_sdk__bundle_pattern, 0},
    {"plugins", 0, read_list, 0, &yoi_sdk__bundle_pattern, 0},
    {"read_only", 0, read_boolean, 0, NULL, 0},
    {"grants", 0, read_list, 0, &yoi_sdk__bundle_grant_pattern, 0},
    {"arguments", 0, read_by_argument, 0, &yoi_sdk__bundle_argument, 0},
    {"paths", 0, read_either, 0, &yoi_sdk__bundle_path_glob, 0},
    {"hosts", 0, read_either, 0, &yoi_sdk__bundle_host, 0},
    {"rate", 0, read_rate, 0, NULL, 0},
    {"above", 0, read_above, 0, NULL, 0},
    {"operations", 0, read_host_key, 0, NULL, 0},
    {"principals", 0, read_host_key, 0, NULL, 0},
    {"origins", 0, read_host_key, 0, NULL, 0},
    {"runtimes", 0, read_host_key, 0, NULL, 0},
    {"workers", 0, read_host_key, 0, NULL, 0},
    {"tokens", 0, read_host_key, 0, NULL, 0},
};

/* What the matcher that will be asked says to them. It names rules: it is left
 * out where one could be a credential. */
static void compile(struct bundle_reader *r, const yoi_sdk_json *v) {
  struct yoi_sdk_rules *rules = NULL;
  struct yoi_sdk_error e;
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
  struct bundle_place place;
  yoi_sdk_json *details = NULL;
  yoi_str at = {"", 0};
  yoi_sdk_buf_init(&text, YOI_BUNDLE_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &text);
  yoi_sdk_json_write(v, &w);
  yoi_status st = text.failed ? YOI_RESOURCE_EXHAUSTED
                              : yoi_sdk_rules_of_bundle(yoi_sdk_buf_str(&text), &rules,
                                                        yoi_sdk_error_init(&e));
  if (text.failed == YOI_OUT_OF_RANGE) {
    /* written out, escapes are longer than they came */
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "rules", "expected fewer rules");
  } else if (text.failed || (st != YOI_OK && e.e.code == YOI_CODE_INTERNAL)) {
    r->short_of_memory = 1;
  } else if (st != YOI_OK) {
    if (yoi_sdk_json_parse(yoi_sdk_str(e.details), 0, &details, NULL) == YOI_OK)
      (void)yoi_sdk_json_str(yoi_sdk_json_get(details, "pointer"), &at);
    yoi_sdk__bundle_enter(r, &place, at, BUNDLE_POINTER);
    yoi_sdk__bundle_say(r, 0, (uint32_t)e.e.code, "rules", "%s", e.message);
    yoi_sdk__bundle_leave(r);
    yoi_sdk_json_free(details);
  }
  yoi_sdk_rules_free(rules);
  yoi_sdk_buf_release(&text);
}

void yoi_sdk__bundle_rules(struct bundle_reader *r, const yoi_sdk_json *v,
                           const struct bundle_member *m, void *out) {
  size_t i = 0, before = r->n_found;
  if (!yoi_sdk__bundle_array(r, v, (size_t)m->most)) return;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e), i++) {
    struct bundle_place place;
    yoi_sdk__bundle_enter(r, &place, (yoi_str){NULL, 0}, i);
    yoi_sdk__bundle_object(r, e, rule_members, N(rule_members), NULL);
    yoi_sdk__bundle_leave(r);
  }
  if (r->n_found == before && r->n_of[0] == 0) compile(r, v);
  *(const yoi_sdk_json **)out = v;
}
