/* profile.h - the built-in profiles: recipes of prompt, model, tools, limits. */
#ifndef ENG_PROFILE_H
#define ENG_PROFILE_H

#include <sdk/json.h>
#include <stdbool.h>

/* Of one turn; see the profile's page for the meaning. */
struct eng_turn_limits {
  uint32_t steps, wall_ms;
  uint64_t tokens, tool_output_bytes, context_tokens;
  uint64_t tool_result_bytes, approval_ms;
};

struct eng_profile_tool {
  yoi_str name, plugin;
  const yoi_sdk_json *grants; /* array of strings, or NULL */
  uint32_t verdict;           /* YOI_VERDICT_* */
  bool optional;              /* left out where the host lacks it or a grant of it */
};

/* Texts lie in tree. */
struct eng_profile {
  yoi_str name, prompt_name, model;
  yoi_str prompt; /* the text; owned by the program */
  struct eng_turn_limits limits;
  struct eng_profile_tool *tools;
  uint32_t n_tools;
  yoi_sdk_json *tree;
};

/* Reads one: JSON, and its prompt. The error is invalid_profile. */
yoi_status eng_profile_init(struct eng_profile *p, yoi_str json, yoi_str prompt, yoi_error *err);
void eng_profile_release(struct eng_profile *p);

/* Those that are compiled in, in this order; NULL behind them. */
yoi_str eng_builtin(size_t i, yoi_str *out_prompt);

/* The limits of an object of a profile or a spec: what it leaves out has its
 * default, and none passes the maximum of yoi/limits.h. */
yoi_status eng_limits_read(struct eng_turn_limits *out, const yoi_sdk_json *v, yoi_error *err);
void eng_limits_write(const struct eng_turn_limits *l, struct yoi_sdk_jsonw *w);

/* "allow", ...; abstain for what is no verdict. */
uint32_t eng_verdict(yoi_str word);
const char *eng_verdict_name(uint32_t verdict);

#endif
