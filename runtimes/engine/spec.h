/* spec.h - what a worker was resolved to: profile, prompt, model, tools,
 * limits. */
#ifndef ENG_SPEC_H
#define ENG_SPEC_H

#include <pthread.h>
#include <sdk/rules.h>

#include "frame.h"
#include "profile.h"
#include "resolve.h"

/* A tool that the worker may call. */
struct eng_spec_tool {
  char *name, *plugin, *grants; /* owned; grants: JSON array */
  uint32_t verdict;             /* the profile's, YOI_VERDICT_* */
  uint32_t flags, max_ms;       /* of its manifest */
  bool there;                   /* this host has it */
};

/* The part of a resolved spec that does not depend on the worker; workers of
 * one bundle, profile and model share it. Immutable, but for what the rules
 * count. */
struct eng_spec {
  struct eng_text *json; /* its members, as one JSON object */
  char workspace[YOI_ID_MAX + 1]; /* of its bundle; empty: none */
  char *model;           /* the model's name on this host */
  char *parameters;      /* for it: a JSON object, or NULL */
  yoi_str prompt;        /* all that stands before the intent, escaped for a JSON
                          * string; owned */
  yoi_str offer;         /* what a model is told of its tools: a JSON array, or
                          * empty; owned */
  struct eng_spec_tool *tools;
  struct yoi_sdk_rules **rules; /* of the bundle's policies */
  uint32_t n_tools, n_rules;
  struct eng_turn_limits limits;
  struct eng_spec *next;
  uint32_t refs; /* of workers, and one more while it is known what it was made
                  * of; specs.mu */
};

struct eng_made; /* a spec, and what create made it of */

struct eng_specs {
  pthread_mutex_t mu;
  struct eng_around around;
  struct yoi_sdk_bundle *builtin; /* its first profile is the default */
  struct eng_spec *all;           /* those that somebody refers to, one per text */
  struct eng_made *made;
};

/* builtin: a bundle in the place of the one that is compiled in, or empty. */
yoi_status eng_specs_init(struct eng_specs *s, const struct eng_around *around, yoi_str builtin,
                          yoi_error *err);
void eng_specs_release(struct eng_specs *s);

/* What a create asks for: a profile (empty: the first builtin one) of a bundle,
 * or, without bytes, a builtin one. */
struct eng_wanted {
  yoi_str profile;
  const char *digest;
  struct eng_text *bytes; /* borrowed */
};
/* Its spec on this host, with a reference. Errors: those of resolve.h. */
yoi_status eng_specs_resolve(struct eng_specs *s, const struct eng_wanted *wanted,
                             struct eng_spec **out, yoi_error *err);
/* The bundle is gone: what was made of it is no longer kept for others. */
void eng_specs_forget(struct eng_specs *s, const char *digest);

/* The tool of that name, or NULL. */
const struct eng_spec_tool *eng_spec_tool(const struct eng_spec *spec, yoi_str name);
/* 1: the spec has a tool or a grant of that name. */
int eng_spec_has(const struct eng_spec *spec, yoi_str capability);
/* What the bundle's rules say of a call: YOI_VERDICT_*; *out_rule and
 * *out_reason live as long as the spec. [any] */
uint32_t eng_spec_judge(const struct eng_spec *spec, const yoi_policy_request *req,
                        uint64_t now_ns, yoi_str *out_rule, yoi_str *out_reason);

struct eng_spec *eng_spec_ref(struct eng_specs *s, struct eng_spec *spec);
/* NULL is accepted. */
void eng_spec_unref(struct eng_specs *s, struct eng_spec *spec);
/* The spec that a worker was created with, from its record: as it was
 * resolved then, whatever this host has now; a tool that it has no more is
 * not offered. With a reference. DATA_LOSS: it is no spec;
 * RESOURCE_EXHAUSTED. */
yoi_status eng_specs_restore(struct eng_specs *s, struct eng_text *json, struct eng_spec **out);

#endif
