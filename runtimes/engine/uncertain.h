/* uncertain.h - calls of a worker of which nobody knows what they did. */
#ifndef ENG_UNCERTAIN_H
#define ENG_UNCERTAIN_H

#include "idem.h"

/* The newest YOI_TOOL_UNCERTAIN_MAX of them, made for the first. */
struct eng_uncertain {
  struct eng_print *prints;
  uint32_t n;
};

int eng_uncertain_has(const struct eng_uncertain *u, const struct eng_print *print);
/* Without memory it is forgotten: it stands in the history all the same. */
void eng_uncertain_add(struct eng_uncertain *u, const struct eng_print *print);
void eng_uncertain_remove(struct eng_uncertain *u, const struct eng_print *print);
void eng_uncertain_release(struct eng_uncertain *u);

#endif
