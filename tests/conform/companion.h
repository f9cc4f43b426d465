/* companion.h - the model that the kit gives to runtimes: what a turn needs. */
#ifndef COMPANION_H
#define COMPANION_H

#include <yoi.h>

/* The last user message says what it does: "wait" until it is cancelled, "long" a
 * text in eight pieces, all else is answered with "ok". */
#define COMPANION_MODEL "dev.yoi.conform.model"

/* To be linked, as any plugin of a program. */
extern const yoi_linked_plugin companion_model;

#endif
