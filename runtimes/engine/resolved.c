/* resolved.c - what became of approvals.
 *
 * Who answers an approval and does not hear that it was taken, answers again,
 * and by then the call may have run and its turn may be over. The same answer
 * is acknowledged again, another one is a conflict. What is remembered follows
 * from the records (replay.c), and is bounded: as many as one answer of a model
 * can ask for.
 */
#include "resolved.h"

#include <sdk/mem.h>
#include <string.h>
#include <yoi/limits.h>

const struct eng_resolved_one *eng_resolved_find(const struct eng_resolved *r,
                                                 const char *approval) {
  for (uint32_t i = 0; i < r->n; i++)
    if (strcmp(r->list[i].approval, approval) == 0) return &r->list[i];
  return NULL;
}

void eng_resolved_add(struct eng_resolved *r, const struct eng_resolved_one *one) {
  if (!r->list) r->list = yoi_sdk_calloc(YOI_TOOL_CALLS_MAX, sizeof *r->list);
  if (!r->list) return;
  r->list[r->next] = *one;
  r->next = (r->next + 1) % YOI_TOOL_CALLS_MAX;
  if (r->n < YOI_TOOL_CALLS_MAX) r->n++;
}

void eng_resolved_release(struct eng_resolved *r) {
  yoi_sdk_free(r->list);
  *r = (struct eng_resolved){0};
}
