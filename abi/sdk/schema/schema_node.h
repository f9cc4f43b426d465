/* schema_node.h - what the files of sdk/schema share: a compiled schema, where
 * a walk is and whom it tells, and a walk over a value.
 *
 *   compile  tree -> nodes           report   places, pointers, messages
 *   refs     $ref -> nodes, cycles   check    one value against one node
 *   equal    equality, multiples     choice   anyOf, oneOf, not, contains
 *   pattern  regular expressions     nearest  names that were meant
 */
#ifndef YOI_SDK_SCHEMA_NODE_H
#define YOI_SDK_SCHEMA_NODE_H

#include <sdk/schema.h>

#include <sdk/pattern.h>

/* ---- a compiled schema ------------------------------------------------------ */

struct schema_node;

/* Types are bits: those of YOI_SDK_JSON_*, and one for whole numbers. */
#define SCHEMA_INTEGER 7u
#define SCHEMA_TYPES 8u
#define SCHEMA_BIT(type) (1u << (type))
#define SCHEMA_ANY 0xFFFFFFFFu

struct schema_bounds {
  int64_t min, max;
};

struct schema_list {
  struct schema_node **nodes;
  size_t n;
};

/* A key and its schema, or a pattern of keys. */
struct schema_entry {
  yoi_str key;
  const struct yoi_sdk_pattern *pattern;
  struct schema_node *node;
};

struct schema_entries {
  struct schema_entry *at; /* those of `properties` in the order of their keys */
  size_t n;
};

struct schema_format {
  const char *name;
  int (*fits)(yoi_str s);
  const char *expected;
};

/* What is absent is NULL, empty, or a bound that nothing passes. */
struct schema_node {
  const yoi_sdk_json *tree;
  uint32_t types;
  uint8_t never; /* the schema false */
  uint8_t unique;
  uint8_t mark; /* refs: not seen, being looked at, done */
  struct schema_bounds length, items_count, keys_count, contains_count;
  double minimum, maximum, above, below, multiple;
  yoi_str pattern_text;
  const struct yoi_sdk_pattern *pattern;
  const struct schema_format *format;
  const yoi_sdk_json *constant, *choices, *required, *dependent;
  struct schema_entries properties, patterns, dependents;
  struct schema_list prefix, all, any, one;
  struct schema_node *additional, *names, *items, *contains;
  struct schema_node *no, *when, *then, *otherwise, *ref;
};

/* Everything that compiling made hangs on one list, newest first. */
struct schema_block {
  struct schema_block *next;
  struct yoi_sdk_pattern *pattern; /* or what stands behind the block */
};

struct yoi_sdk_schema {
  struct schema_node *root;
  struct schema_block *blocks;
};

/* ---- where a walk is, and whom it tells ---------------------------------------- */

/* A chain on the stack; the pointer is written when there is something to say. */
struct schema_place {
  const struct schema_place *up;
  yoi_str key; /* {NULL, 0}: an item */
  size_t index;
};

struct schema_report {
  const char *base;
  const struct schema_place *at;
  yoi_sdk_schema_report_fn fn;
  void *ctx;
  struct yoi_sdk_buf pointer, message;
  yoi_status st; /* the worst that came of it */
};

void yoi_sdk__schema_report_init(struct schema_report *r, const char *base,
                                 yoi_sdk_schema_report_fn fn, void *ctx);
yoi_status yoi_sdk__schema_report_end(struct schema_report *r);
/* Tells what stands in r->message, and empties it. Returns the length of the
 * pointer. */
size_t yoi_sdk__schema_finding(struct schema_report *r, int is_key);
void yoi_sdk__schema_say(struct schema_report *r, const char *message);
/* The pointer of the place as an owned text; NULL when memory is short. */
char *yoi_sdk__schema_where(struct schema_report *r);
/* A name as messages show it: a key may have megabytes. */
yoi_str yoi_sdk__schema_shown(yoi_str name);
/* "a string, an array or null" */
void yoi_sdk__schema_types(struct yoi_sdk_buf *b, uint32_t types);
extern const char *const yoi_sdk__schema_type_names[SCHEMA_TYPES];

static inline void schema_enter(struct schema_report *r, struct schema_place *p, yoi_str key,
                                size_t index) {
  *p = (struct schema_place){.up = r->at, .key = key, .index = index};
  r->at = p;
}

static inline void schema_leave(struct schema_report *r) {
  r->at = r->at->up;
}

/* ---- compiling: references ------------------------------------------------------- */

struct schema_ref {
  struct schema_ref *next; /* in the order of the text */
  struct schema_node *node;
  yoi_str target;
  const char *pointer; /* of the keyword, for messages */
};

/* Resolves every reference and refuses those that lead nowhere or only back.
 * nodes is put into another order. */
void yoi_sdk__schema_link(struct schema_report *r, const yoi_sdk_json *root,
                          struct schema_node **nodes, size_t n, const struct schema_ref *refs);

/* ---- a walk over a value ------------------------------------------------------------ */

/* A value, or the name of a member (json is NULL), which is a string. */
struct schema_value {
  const yoi_sdk_json *json;
  yoi_str name;
};

/* TELL reports; SCORE only counts how far the value is from fitting; TEST ends
 * at the first finding. */
enum schema_mode { SCHEMA_TELL, SCHEMA_SCORE, SCHEMA_TEST };

struct schema_walk {
  struct schema_report r;
  enum schema_mode mode;
  size_t level, base_level; /* of the place; where the branch that is scored began */
  uint64_t found, score;
  uint64_t steps;       /* left */
  uint64_t suggestions; /* likewise, of looking for names that were meant */
  uint32_t frames;
  const yoi_str *name; /* whose name is looked at, not its value */
};

/* What a finding says: the value is another thing altogether, or it lacks
 * something. The first counts far more against a branch. */
enum schema_kind { SCHEMA_OTHER_THING, SCHEMA_LACKS };

/* Looks at v; findings go where w->mode says. */
void yoi_sdk__schema_look(struct schema_walk *w, const struct schema_node *n,
                          const struct schema_value *v);
/* 1: go on. 0: the walk is over, or a test has failed. */
int yoi_sdk__schema_alive(struct schema_walk *w);
/* Takes n steps; 0 when there are not so many: the walk is over. */
int yoi_sdk__schema_spend(struct schema_walk *w, uint64_t n);
/* Counts a finding; 1 when the caller is to write the message and tell it. */
int yoi_sdk__schema_counts(struct schema_walk *w, enum schema_kind kind);
void yoi_sdk__schema_tell(struct schema_walk *w, int is_key);
/* Part of a message: a value of the schema, as JSON. */
void yoi_sdk__schema_write(struct schema_walk *w, const yoi_sdk_json *v, struct yoi_sdk_jsonw *out);
uint32_t yoi_sdk__schema_type_of(const struct schema_value *v);
int yoi_sdk__schema_is_type(const struct schema_value *v, uint32_t types);
/* "expected one of" and "expected an integer, found a string" */
void yoi_sdk__schema_wrong_type(struct schema_walk *w, uint32_t types,
                                const struct schema_value *v);

/* anyOf, oneOf, not, if; and contains, for the array v. */
void yoi_sdk__schema_choose(struct schema_walk *w, const struct schema_node *n,
                            const struct schema_value *v);
void yoi_sdk__schema_contains(struct schema_walk *w, const struct schema_node *n,
                              const yoi_sdk_json *v);

/* ---- values ------------------------------------------------------------------------- */

/* Deep equality as JSON Schema has it; each node takes from *steps, and at 0
 * the answer means nothing. */
int yoi_sdk__schema_equal(const yoi_sdk_json *a, const yoi_sdk_json *b, uint64_t *steps);
/* 1 and the indices of two equal items, 0 when all differ, -1: memory is short. */
int yoi_sdk__schema_twice(const yoi_sdk_json *array, uint64_t *steps, size_t *out_first,
                          size_t *out_second);
/* How much there is to write of it. */
uint64_t yoi_sdk__schema_weight(const yoi_sdk_json *v);
int yoi_sdk__schema_multiple(double n, double of);
/* Characters of s, which is UTF-8. */
size_t yoi_sdk__schema_characters(yoi_str s);

/* ---- the nearest name ------------------------------------------------------------------ */

struct schema_nearest {
  yoi_str word, name;
  size_t distance;
};
struct schema_nearest yoi_sdk__schema_nearest(yoi_str word);
/* Returns what it cost, in steps. */
uint64_t yoi_sdk__schema_nearest_try(struct schema_nearest *n, yoi_str name);

#endif
