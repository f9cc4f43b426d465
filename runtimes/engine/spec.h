/* spec.h - what a worker was resolved to: profile, prompt, model, tools,
 * limits. */
#ifndef ENG_SPEC_H
#define ENG_SPEC_H

#include <pthread.h>
#include <yoi/host_grant.h>
#include <yoi/host_model.h>
#include <yoi/host_tool.h>

#include "frame.h"
#include "profile.h"

/* A tool that the worker may call. */
struct eng_spec_tool {
  char *name, *plugin, *grants; /* owned; grants: JSON array */
  uint32_t verdict;             /* the profile's, YOI_VERDICT_* */
  uint32_t flags, max_ms;       /* of its manifest */
  bool there;                   /* this host has it */
};

/* The part of a resolved spec that does not depend on the worker; workers of
 * one profile and model share it. Immutable. */
struct eng_spec {
  struct eng_text *json; /* its members, as one JSON object */
  char *model;           /* the model's name on this host */
  yoi_str prompt;        /* the prompt, escaped for a JSON string; owned */
  yoi_str offer;         /* what a model is told of its tools: a JSON array, or
                          * empty; owned */
  struct eng_spec_tool *tools;
  uint32_t n_tools;
  struct eng_turn_limits limits;
  const struct eng_profile *profile; /* resolved: of */
  struct eng_spec *next;
  uint32_t refs; /* of workers, and one more when resolved; specs.mu */
};

/* What a spec is resolved against. tools and grants may be NULL: an older
 * host. */
struct eng_around {
  const yoi_host *host;
  const yoi_host_model *models;
  const yoi_host_tool *tools;
  const yoi_host_grant *grants;
};

#define ENG_PROFILES 2

/* The builtin profiles, and the specs that were made of them. */
struct eng_specs {
  pthread_mutex_t mu;
  struct eng_profile profiles[ENG_PROFILES]; /* the first is the default */
  struct eng_around around;
  struct eng_spec *made; /* at most one per profile and model of the host, and
                          * those that awake workers were restored with */
};

/* profile: JSON text in the place of the first one; empty for the companion. */
yoi_status eng_specs_init(struct eng_specs *s, const struct eng_around *around, yoi_str profile,
                          yoi_error *err);
void eng_specs_release(struct eng_specs *s);
/* The spec of a builtin profile on this host, the first one when name is
 * empty; lives as long as s. Errors: invalid_profile (no such profile; no such
 * model, and not a single one), unsupported_declaration (a tool that is not
 * here), grant_missing. */
yoi_status eng_specs_resolve(struct eng_specs *s, yoi_str name, struct eng_spec **out,
                             yoi_error *err);
/* The tool of that name, or NULL. */
const struct eng_spec_tool *eng_spec_tool(const struct eng_spec *spec, yoi_str name);
/* 1: the spec has a tool or a grant of that name. */
int eng_spec_has(const struct eng_spec *spec, yoi_str capability);

struct eng_spec *eng_spec_ref(struct eng_specs *s, struct eng_spec *spec);
/* NULL is accepted. */
void eng_spec_unref(struct eng_specs *s, struct eng_spec *spec);
/* The spec that a worker was created with, from its record: as it was
 * resolved then, whatever this host has now; a tool that it has no more is
 * not offered. With a reference. DATA_LOSS: it is no spec;
 * RESOURCE_EXHAUSTED. */
yoi_status eng_specs_restore(struct eng_specs *s, struct eng_text *json, struct eng_spec **out);

#endif
