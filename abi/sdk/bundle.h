/* sdk/bundle.h - "yoi.bundle/1": profiles, prompts, tools, models and rules in
 * one immutable JSON document, whose name is the sha256 of its bytes.
 *
 * Reading one is checking it: what is handed out is whole, every reference in
 * it leads somewhere, everything in it is used, and nothing in it is a secret,
 * a path or an address. What may stand where is decided by a grammar for each
 * field (docs/bundles.md); bundles/bundle.schema.json says the same of the
 * shape, for editors. Beyond the grammars a scanner looks for the well-known
 * forms of credentials in every text, prompts included.
 *
 * A bundle never changes and needs no lock.
 */
#ifndef YOI_SDK_BUNDLE_H
#define YOI_SDK_BUNDLE_H

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <yoi/base.h>
#include <yoi/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The limits of a profile: X(name, default, maximum). 1 is the least. */
#define YOI_SDK_BUNDLE_LIMITS(X)                                                   \
  X(steps, YOI_STEPS_DEFAULT, YOI_STEPS_MAX)                                       \
  X(wall_ms, YOI_WALL_MS_DEFAULT, YOI_WALL_MS_MAX)                                 \
  X(tokens, YOI_TOKENS_DEFAULT, YOI_TOKENS_MAX_PER_TURN)                           \
  X(tool_output_bytes, YOI_TOOL_OUTPUT_BYTES_DEFAULT, YOI_TOOL_OUTPUT_BYTES_MAX)   \
  X(context_tokens, YOI_CONTEXT_TOKENS_DEFAULT, YOI_CONTEXT_TOKENS_MAX)            \
  X(tool_result_bytes, YOI_TOOL_RESULT_BYTES_DEFAULT, YOI_TOOL_RESULT_BYTES_MAX)   \
  X(approval_ms, YOI_APPROVAL_MS_DEFAULT, YOI_APPROVAL_MS_MAX)

/* All texts lie in the bundle; an absent one is empty. */
struct yoi_sdk_bundle_prompt {
  yoi_str name, media_type, text;
};

struct yoi_sdk_bundle_model {
  yoi_str name;
  yoi_str host_model;              /* NAME of "model:NAME" */
  const yoi_sdk_json *parameters; /* an object, or NULL */
};

struct yoi_sdk_bundle_tool {
  yoi_str name;
  yoi_str plugin;              /* its id */
  uint32_t verdict;            /* YOI_VERDICT_* of yoi/host_tool.h; ask when none is given */
  uint32_t optional;           /* 1: left out where the host lacks it or a grant of it */
  const yoi_sdk_json *grants; /* an array of strings, or NULL */
};

/* A pin: any of several builds of a plugin. */
struct yoi_sdk_bundle_plugin {
  yoi_str id;
  yoi_str version;              /* a range, ">=1.0 <2"; or empty */
  const yoi_sdk_json *digests; /* an array of "sha256:HEX", or NULL */
};

struct yoi_sdk_bundle_policy {
  yoi_str name, plugin;
  const yoi_sdk_json *rules; /* an array */
};

struct yoi_sdk_bundle_workflow {
  yoi_str name;
  uint32_t prompt; /* index in prompts */
};

struct yoi_sdk_bundle_profile {
  yoi_str name;
  uint32_t prompt, model;       /* indices */
  const uint32_t *tools;        /* indices, in the order of the profile */
  const uint32_t *workflows;
  uint32_t n_tools, n_workflows;
  const yoi_sdk_json *limits; /* an object, or NULL */
};

struct yoi_sdk_bundle {
  yoi_str id, revision, workspace_id, created_at;
  yoi_str source, detail;     /* of provenance */
  yoi_str language;           /* BCP 47 */
  yoi_str workspace, project; /* workspace.name, workspace.project */
  const struct yoi_sdk_bundle_prompt *prompts;
  const struct yoi_sdk_bundle_model *models;
  const struct yoi_sdk_bundle_tool *tools;
  const struct yoi_sdk_bundle_plugin *plugins;
  const struct yoi_sdk_bundle_policy *policies;
  const struct yoi_sdk_bundle_workflow *workflows;
  const struct yoi_sdk_bundle_profile *profiles;
  uint32_t n_prompts, n_models, n_tools, n_plugins, n_policies, n_workflows, n_profiles;
  char digest[YOI_SDK_DIGEST_SIZE]; /* of the bytes */
  size_t bytes;                     /* how many */
};

/* What is wrong with one. Texts are borrowed for the call; none has a value of
 * the bundle in it, but names. */
struct yoi_sdk_bundle_finding {
  uint32_t code;        /* YOI_CODE_BUNDLE_INVALID, _BUNDLE_FORBIDDEN_CONTENT or
                         * _UNSUPPORTED_DECLARATION: well written, and more than
                         * this version can enforce */
  const char *rule;     /* a stable id: "unknown-member", "unused", "credential.github" */
  const char *pointer;  /* RFC 6901 */
  const char *message;  /* what was expected */
  uint32_t line, column; /* from 1; 0: not known */
};
typedef void (*yoi_sdk_bundle_report_fn)(void *ctx, const struct yoi_sdk_bundle_finding *f);

/* Reads `bytes`, of which nothing is borrowed. report (may be NULL) gets every
 * finding in the order of the text. The error is that of the first finding of
 * the gravest kind: forbidden content, invalid, unsupported; its details are
 * {"pointer", "rule"}. payload_too_large: more than YOI_BUNDLE_BYTES_MAX.
 * RESOURCE_EXHAUSTED: memory is short. */
yoi_status yoi_sdk_bundle_new(yoi_str bytes, yoi_sdk_bundle_report_fn report, void *ctx,
                              struct yoi_sdk_bundle **out, yoi_error *err);
void yoi_sdk_bundle_free(struct yoi_sdk_bundle *b);

/* NULL: there is none of that name. */
const struct yoi_sdk_bundle_profile *yoi_sdk_bundle_profile(const struct yoi_sdk_bundle *b,
                                                            yoi_str name);

/* What lists of bundles show of it, as members of an object that is open: id,
 * digest, revision, workspace_id, created_at, provenance. */
void yoi_sdk_bundle_write(const struct yoi_sdk_bundle *b, struct yoi_sdk_jsonw *w);

/* 1: "sha256:" and 64 hex digits, lower case. */
int yoi_sdk_digest_valid(yoi_str s);
/* 1: a version, "1.4" or "1.4.2", is within the range of a pin; 0 also when
 * either is none. */
int yoi_sdk_version_in(yoi_str version, yoi_str range);

#ifdef __cplusplus
}
#endif
#endif
