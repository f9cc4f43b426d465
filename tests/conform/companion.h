/* companion.h - the model and the tool that the kit gives to runtimes: what a turn
 * needs. */
#ifndef COMPANION_H
#define COMPANION_H

#include <yoi.h>

/* The last message says what it does: "wait" until it is cancelled, "long" a
 * text in eight pieces, "count" a call of the tool, "eager" wakes inside of start
 * and of each next, before it has anything; all else is answered with "ok". */
#define COMPANION_MODEL "dev.yoi.conform.model"

/* It has one tool, which does nothing but count its calls. */
#define COMPANION_TOOL "dev.yoi.conform.tool"
#define COMPANION_TOOL_NAME "conform_count"
unsigned companion_counted(void); /* in this process */

/* To be linked, as any plugin of a program. */
extern const yoi_linked_plugin companion_model, companion_tool;

#endif
