/* host/setup.h - what one config makes of a host for those who run in it: its
 * models, tools and policies, the grants, the section `local`, the bundles.
 *
 *             fill            switch              another switch, and
 *   (none) --------> MADE --------------> CURRENT -----------------> (gone)
 *                      | given up            nobody has a reference
 *                      +----------------------------------------------^
 *
 * A setup is immutable and counted. The host has one that is current; whoever
 * begins something takes a reference and sees nothing but this setup until it
 * is over, whatever is reloaded meanwhile. So a turn keeps the models, tools,
 * policies and grants it began with (turn.h).
 *
 * An instance that the next config describes in the same words is in both
 * setups: its connections, and what a policy has counted, outlive a reload.
 */
#ifndef YOI__SETUP_H
#define YOI__SETUP_H

#include <stdatomic.h>

#include "config.h"
#include "control.h"

struct yoi_embed;
struct yoi__instance;

struct yoi__setup {
  struct yoi_embed *host;
  struct yoi__config *config; /* a reference; NULL: nobody's, to be used again */
  uint64_t number;            /* of this host's configs, from 1 */
  /* As in the config; [main] while they are made, then immutable. */
  struct yoi__instance **models, **tools, **policies;
  _Atomic uint64_t refs;
  struct yoi__task task;   /* takes it apart */
  struct yoi__setup *next; /* of the host's `setups`, or of its spare ones; [main] */
};

/* [main] One without instances, whose reference is the caller's. NULL: memory
 * is short. */
struct yoi__setup *yoi__setup_new(struct yoi_embed *host, struct yoi__config *config);
/* [main] Makes or takes over its instances, and opens policies. before: the
 * setup whose instances may be taken; NULL: none. When it fails what was opened
 * is closed with the reference. The error is public. */
yoi_status yoi__setup_fill(struct yoi__setup *s, const struct yoi__setup *before, yoi_error *err);
/* [main] From here on it is the current one. Takes over the reference, and
 * gives back that of the one before. */
void yoi__setup_switch(struct yoi__setup *s);

/* [any] The current one, with a reference; no lock. */
struct yoi__setup *yoi__setup_now(struct yoi_embed *host);
/* [any] What an instance sees: the current one; of a runtime that is opened for
 * another setup, that one already. */
struct yoi__setup *yoi__setup_of(struct yoi__instance *in);
/* [main] Lets an instance see it before it is current; NULL: no more. */
void yoi__setup_ahead(struct yoi__instance *in, struct yoi__setup *s);
/* [any] Another reference of who has one. */
struct yoi__setup *yoi__setup_ref(struct yoi__setup *s);
/* [any] The last one takes it apart, on the control thread. NULL is accepted. */
void yoi__setup_give(struct yoi__setup *s);

/* [any] What the config says of a runtime, which the caller holds: of one that was
 * added later what was said then. */
const struct yoi__config_runtime *yoi__setup_entry(const struct yoi__setup *s,
                                                   const struct yoi__instance *in);

/* [main] 1: both stand for the same instance: the same bytes of the plugin, the
 * same config, secrets from the same places. */
int yoi__instance_same(const struct yoi__config *a, const struct yoi__config_instance *x,
                       const struct yoi__config *b, const struct yoi__config_instance *y);

/* [main] How many setups there are, the current one among them. */
size_t yoi__setups_count(const struct yoi_embed *host);
/* [main] Each instance of each of them, some more than once; entries may be NULL. */
void yoi__setups_each(struct yoi_embed *host, void (*each)(void *ctx, struct yoi__instance *in),
                      void *ctx);
/* At the host's end, or when its start is undone: frees their instances, which
 * are closed. free: all else of them. */
void yoi__setups_clear(struct yoi_embed *host);
void yoi__setups_free(struct yoi_embed *host);

#endif
