/* index.h - many patterns against one text: which rules have one that fits. */
#ifndef INDEX_H
#define INDEX_H

#include <yoi/base.h>

#include "bits.h"

/* How a pattern is compared. */
#define INDEX_TEXT 0u /* sdk/glob.h */
#define INDEX_PATH 1u /* path.h: both sides as yoi__sdk_rules_path_normal makes them */
#define INDEX_HOST 2u /* hostname.h: likewise */

struct index_pattern {
  yoi_str text;  /* owned */
  uint64_t hash; /* of the bytes that a text must begin, or end, with */
  uint32_t literal;
  uint32_t next; /* in its chain, + 1; 0: the last */
  struct bits rules;
};

struct index {
  uint32_t kind, n, room, mask;
  struct index_pattern *all;
  uint32_t *begins, *ends; /* chains by hash */
  uint32_t rest;           /* the chain of those that begin and end with a star */
  uint64_t begin_lengths[17], end_lengths[17]; /* bit N: there is one of N bytes */
};

#define INDEX_LITERAL_MAX 1023 /* longer beginnings are cut; any would do */

/* Copies the pattern. 0: memory is short. */
int yoi__sdk_rules_index_add(struct index *x, yoi_str pattern, uint32_t rule);
/* After the last add, before the first find. 0: memory is short. */
int yoi__sdk_rules_index_build(struct index *x);
/* Adds to *out the rules that have a pattern that fits. */
void yoi__sdk_rules_index_find(const struct index *x, yoi_str text, struct bits *out);
void yoi__sdk_rules_index_free(struct index *x);

#endif
