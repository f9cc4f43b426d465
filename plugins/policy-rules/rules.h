/* rules.h - the list of rules: read once, asked from any thread. */
#ifndef RULES_H
#define RULES_H

#include <sdk/error.h>
#include <sdk/json.h>
#include <yoi/host_tool.h>
#include <yoi/policy.h>

#include "index.h"
#include "quota.h"
#include "value.h"

#define RULES_ARGUMENTS_MAX 32 /* arguments that all rules together look at */
#define RULES_ELEMENTS_MAX 64  /* of an array in an argument, likewise of grants */

/* What a rule may name, beside arguments. */
enum rules_name { OPERATION, PRINCIPAL, RUNTIME, WORKER, TOOL, PLUGIN, GRANT, RULES_NAMES };

/* One thing that rules name: the patterns of all of them. */
struct rules_named {
  struct index index;
  struct bits by; /* the rules that name it; any other fits */
};

struct rules_argument {
  struct rules_named named; /* index.kind says how it is compared */
  yoi_str key;              /* as in the config */
  struct value_place place;
  struct bits dots; /* rules that have a pattern with ".." */
};

struct rule {
  yoi_str name;
  uint32_t decision; /* YOI_VERDICT_* of host_tool.h */
  struct quota rate, above;
  int of_tokens;            /* `above` counts tokens, not questions */
  char *answer, *too_often; /* as yoi.policy/1 wants them */
};

struct rules {
  yoi_sdk_json *tree; /* owns the texts */
  struct rule *all;
  uint32_t n;
  struct rules_named names[RULES_NAMES];
  struct rules_argument *arguments; /* RULES_ARGUMENTS_MAX */
  uint32_t n_arguments;
  struct bits allow, ask, deny, above; /* above: only what is too much */
  struct bits of_calls, of_models;     /* may fit a call of a tool, a generation, */
  struct bits of_operations;           /* and all else */
  struct bits of_origin[4];            /* by YOI_ORIGIN_*; 0: not known */
  struct bits of_reads, of_writes;     /* tools that are read-only, and others */
};

/* read.c: config was checked against the schema. An error names the rule. */
yoi_status rules_open(struct rules *r, yoi_str config, yoi_error *err);
void rules_close(struct rules *r);
/* The answer, which lives as long as r. now_ns: CLOCK_MONOTONIC. */
const char *rules_decide(struct rules *r, const yoi_policy_request *req, uint64_t now_ns);

#endif
