/* confined.h - a child that shuts itself in and then does one thing, for the
 * tests of host/worker/confine.h.
 *
 * A deed returns 0 when it could be done, else the errno of what stopped it,
 * or SKIPPED when this machine has no such thing. It runs in a child, so it
 * may leave behind what it likes.
 */
#ifndef CONFINED_H
#define CONFINED_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "host/worker/confine.h"

#define SKIPPED 250
#define FAILED 251     /* the child could not be confined */
#define SIGNALLED 1000 /* and the number of the signal */

typedef int (*confined_deed)(void);

/* What became of the deed. `before` may be NULL: it runs unconfined. */
int confined_run(const struct yoi__confine *c, confined_deed before, confined_deed deed);
/* 0 or errno, of a call that says -1. */
int confined_errno(long result);
/* The shape of most: everything is required, and nothing granted. */
extern const struct yoi__confine confined_plain;
/* As if the kernel had not this call; in a child only. */
void confined_without(long nr, int error);

/* Says which row it is when it is not as expected. */
#define CONFINED_IS(what, got, wanted)                                                   \
  do {                                                                                   \
    int got_ = (got), wanted_ = (wanted);                                                \
    if (got_ != wanted_ && got_ != SKIPPED) fail_msg("%s: %d, not %d", what, got_, wanted_); \
  } while (0)

#endif
