/* host/reload.h - another config for a host that runs: what the files of it
 * share. plan.c says what is to be done, reload.c does it.
 */
#ifndef YOI__RELOAD_H
#define YOI__RELOAD_H

#include "bind.h"
#include "findings.h"
#include "host.h"

/* What becomes of an entry that the new config has. */
enum yoi__fate { YOI__KEEP, YOI__ADD, YOI__REPLACE };

struct yoi__plan_entry {
  enum yoi__fate fate;
  struct yoi__instance *in; /* KEEP: what there is; else once it is made */
  struct yoi__instance *old; /* REPLACE: what gives way */
  /* REPLACE of runtimes, see replace.c */
  struct yoi__instance *gate; /* while it stands */
  int memory;                       /* its state is lost with it */
  int drained, held;                /* it is closed; or could not be */
};

struct yoi__plan {
  struct yoi_embed *host;
  struct yoi__config *config; /* the new one: a reference */
  struct yoi__setup *setup;   /* of it, once it is made: a reference */
  struct yoi__findings found; /* why it is refused */
  /* As in the config. */
  struct yoi__plan_entry runtimes[YOI_RUNTIMES_MAX];
  struct yoi__plan_entry *ingress;
  struct yoi__instance **listening; /* the same instances, for the host */
  struct yoi__bound *bound;
  /* What there was and is no more. */
  struct yoi__instance *gone[YOI_RUNTIMES_MAX];
  size_t n_gone;
  struct yoi__instance **gone_ingress;
  struct yoi__bound *gone_bound;
  size_t n_gone_ingress;
};

/* plan.c, [main]. What is to be done, or findings: what cannot be changed while
 * the host runs. RESOURCE_EXHAUSTED: memory is short. */
yoi_status yoi__plan_make(struct yoi__plan *p, yoi_error *err);
void yoi__plan_release(struct yoi__plan *p);
/* Writes "runtime:a model:b ..." of what the new config has and the old one has
 * not, the other way round, and has in other words; and how many are as they
 * were. Before the switch. */
struct yoi__plan_words {
  struct yoi_sdk_buf added, removed, replaced;
  size_t kept;
};
void yoi__plan_say(const struct yoi__plan *p, struct yoi__plan_words *out);

#endif
