/* value.h - what stands in the arguments of a call, as a text to compare. */
#ifndef VALUE_H
#define VALUE_H

#include <sdk/str.h>

#define VALUE_MAX 4096     /* bytes of a text that is compared */
#define VALUE_STEPS_MAX 16 /* of a JSON pointer */

/* Where a value is: the names of members, one behind the other. */
struct value_place {
  char *steps; /* each NUL-terminated; owned */
  uint32_t n;
};

/* The name of a member, or, with a slash in front, a JSON pointer (RFC 6901).
 * NULL, or what is wrong with it. */
const char *yoi__sdk_rules_value_place_open(struct value_place *p, yoi_str key);
void yoi__sdk_rules_value_place_close(struct value_place *p);
/* The raw value; {NULL,0}: there is none. */
yoi_str yoi__sdk_rules_value_find(const struct value_place *p, yoi_str arguments);

struct value {
  yoi_str text;
  int dots; /* it has a segment "..", between slashes or alone */
  struct yoi_sdk_buf unescaped;
  char room[VALUE_MAX];
};

/* 1: out->text is to be compared, in the way INDEX_* of index.h: a string, an
 * integer, true, false or null; as a path or the host of a URL strings alone.
 * 0: it cannot be. Released in both cases. */
int yoi__sdk_rules_value_read(struct value *out, uint32_t kind, yoi_str raw);
void yoi__sdk_rules_value_release(struct value *v);

#endif
