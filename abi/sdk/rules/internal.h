/* internal.h - the list of rules: read once, asked from any thread.
 *
 *   read.c      a list as it is looked at
 *   bundle.c    what of it a bundle may say
 *   rules.c     which rules fit, and which of them counts
 *   index.c     many patterns against one text
 *   value.c     texts out of the arguments of a call; path.c, hostname.c
 *   quota.c     counts
 */
#ifndef YOI_SDK_RULES_INTERNAL_H
#define YOI_SDK_RULES_INTERNAL_H

#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/rules.h>

#include "index.h"
#include "quota.h"
#include "value.h"

#define RULES_ARGUMENTS_MAX 32 /* arguments that all rules together look at */
#define RULES_OFTEN_MAX 96     /* "more than N tokens in N ms" */
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
  int of_tokens;                                 /* `above` counts tokens, not questions */
  struct yoi_sdk_rules_answer answer, too_often; /* json is owned */
  char often[RULES_OFTEN_MAX];                   /* the reason of too_often */
};

struct yoi_sdk_rules {
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

/* Where reading ended. */
struct rules_where {
  uint32_t at;        /* in which rule */
  const char *member; /* in what of it; NULL: not known */
  int known;          /* 0: in none of them */
};

/* read.c: `list` was checked against the schema, and is in `tree`, which is the
 * rules' from now on, also when this fails. of_bundle: they are about calls of
 * tools only. */
yoi_status yoi__sdk_rules_read(yoi_sdk_json *tree, const yoi_sdk_json *list, int of_bundle,
                               struct yoi_sdk_rules **out, struct rules_where *where,
                               yoi_error *err);

#endif
