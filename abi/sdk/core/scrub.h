/* scrub.h - patterns of a set, for scrub.c and scrub_forms.c. Private to
 * sdk/core. */
#ifndef YOI_SDK_CORE_SCRUB_H
#define YOI_SDK_CORE_SCRUB_H

#include <sdk/scrub.h>

/* One way to write a value. */
struct yoi_sdk__pattern {
  const char *ptr; /* into the set's text */
  uint32_t len;
  uint32_t parent; /* the longest other one that this one begins with */
  uint32_t value;  /* index */
};

/* Writes the patterns of a value to `text` and `all`, or, when both are NULL,
 * only says how much there is; *out_bytes is what they take of `text`. */
size_t yoi_sdk__scrub_forms(yoi_str value, uint32_t index, char *text,
                            struct yoi_sdk__pattern *all, size_t *out_bytes);
/* A value without white space at its ends. */
yoi_str yoi_sdk__scrub_trim(yoi_str value);

#endif
