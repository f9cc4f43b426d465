/* uncertain.c - the calls that a person is asked about before they run again.
 *
 * A call that was started and did not end, of a tool for which twice is not as
 * good as once, may have had its effect. A model that is told so tends to try
 * again. So the same call, name and arguments, is asked for from then on, until
 * it has run to its end. What is remembered follows from the records
 * (replay.c), and is bounded: the oldest is forgotten first.
 */
#include "uncertain.h"

#include <sdk/mem.h>
#include <string.h>
#include <yoi/limits.h>

static uint32_t find(const struct eng_uncertain *u, const struct eng_print *print) {
  uint32_t i = 0;
  while (i < u->n && !eng_print_eq(&u->prints[i], print)) i++;
  return i;
}

int eng_uncertain_has(const struct eng_uncertain *u, const struct eng_print *print) {
  return find(u, print) < u->n;
}

void eng_uncertain_remove(struct eng_uncertain *u, const struct eng_print *print) {
  uint32_t i = find(u, print);
  if (i == u->n) return;
  memmove(&u->prints[i], &u->prints[i + 1], (--u->n - i) * sizeof *u->prints);
}

void eng_uncertain_add(struct eng_uncertain *u, const struct eng_print *print) {
  eng_uncertain_remove(u, print);
  if (!u->prints) u->prints = yoi_sdk_calloc(YOI_TOOL_UNCERTAIN_MAX, sizeof *u->prints);
  if (!u->prints) return;
  if (u->n == YOI_TOOL_UNCERTAIN_MAX) eng_uncertain_remove(u, &u->prints[0]);
  u->prints[u->n++] = *print;
}

void eng_uncertain_release(struct eng_uncertain *u) {
  yoi_sdk_free(u->prints);
  *u = (struct eng_uncertain){0};
}
