/* host/replace.h - a runtime gives way to another one under its id. */
#ifndef YOI__REPLACE_H
#define YOI__REPLACE_H

#include "reload.h"

/* The application's thread: asks each runtime that is to be replaced what its
 * state is; a finding for one whose workers would be lost. */
void yoi__replace_check(struct yoi__plan *p);

/* The application's thread: those runtimes are behind gates and closed, or it
 * failed, with a finding; then some of them may be closed. */
yoi_status yoi__replace_close(struct yoi__plan *p, yoi_error *err);
/* [main] Opens the new ones. */
yoi_status yoi__replace_open(struct yoi__plan *p, yoi_error *err);

/* [main] Behind the exchange of the table: gates lead to the new ones. */
void yoi__replace_done(struct yoi__plan *p);
/* [main] Gates lead to what there was, opened again where it was closed. */
void yoi__replace_undo(struct yoi__plan *p);

#endif
