/* spec.h - what a worker was resolved to: profile, prompt, model, limits. */
#ifndef ENG_SPEC_H
#define ENG_SPEC_H

#include <pthread.h>
#include <stdbool.h>
#include <yoi/host_model.h>

#include "frame.h"

/* Of one turn; see the profile's page for the meaning. */
struct eng_turn_limits {
  uint32_t steps, wall_ms;
  uint64_t tokens, tool_output_bytes, context_tokens;
};

/* The part of a resolved spec that does not depend on the worker; workers of
 * one profile and model share it. Immutable. */
struct eng_spec {
  struct eng_text *json; /* its members, as one JSON object */
  char *model;           /* the model's name on this host */
  yoi_str prompt;        /* the prompt, escaped for a JSON string; owned */
  struct eng_turn_limits limits;
  struct eng_spec *next;
  uint32_t refs; /* of workers, and one more when resolved; specs.mu */
  bool resolved; /* on this host, in this process */
};

/* The builtin profile, and the specs that were made of it. */
struct eng_specs {
  pthread_mutex_t mu;
  yoi_str name, prompt_name, model, prompt; /* owned */
  struct eng_turn_limits limits;
  struct eng_spec *made; /* at most one per model of the host, and those that
                          * awake workers were restored with */
};

/* profile: JSON text, empty for the companion. */
yoi_status eng_specs_init(struct eng_specs *s, yoi_str profile, yoi_error *err);
void eng_specs_release(struct eng_specs *s);
/* The spec of the builtin profile on this host; lives as long as s. The
 * profile's model, else the host's only one, else invalid_profile. */
yoi_status eng_specs_resolve(struct eng_specs *s, const yoi_host *host,
                             const yoi_host_model *models, struct eng_spec **out,
                             yoi_error *err);

struct eng_spec *eng_spec_ref(struct eng_specs *s, struct eng_spec *spec);
/* NULL is accepted. */
void eng_spec_unref(struct eng_specs *s, struct eng_spec *spec);
/* The spec that a worker was created with, from its record: as it was
 * resolved then, whatever this host has now. With a reference. DATA_LOSS: it
 * is no spec; RESOURCE_EXHAUSTED. */
yoi_status eng_specs_restore(struct eng_specs *s, struct eng_text *json, struct eng_spec **out);

#endif
