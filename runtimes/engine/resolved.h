/* resolved.h - what became of approvals, for those who answer them again. */
#ifndef ENG_RESOLVED_H
#define ENG_RESOLVED_H

#include <stdbool.h>
#include <stdint.h>

enum eng_decision { ENG_DECIDED_ALLOW, ENG_DECIDED_DENY, ENG_DECIDED_EXPIRED };

struct eng_resolved_one {
  char approval[37], turn[37];
  uint64_t sequence; /* of tool.approval_resolved */
  enum eng_decision decision;
};

/* The newest YOI_TOOL_CALLS_MAX, made for the first. */
struct eng_resolved {
  struct eng_resolved_one *list;
  uint32_t n, next; /* next: the place of the next one */
};

const struct eng_resolved_one *eng_resolved_find(const struct eng_resolved *r,
                                                 const char *approval);
/* Without memory it is forgotten: it stands in the history all the same. */
void eng_resolved_add(struct eng_resolved *r, const struct eng_resolved_one *one);
void eng_resolved_release(struct eng_resolved *r);

#endif
