/* naive_scrub.h - what sdk/scrub.h says, written as it is said: at each offset
 * each form is compared. For the unit test and the fuzz target.
 */
#ifndef NAIVE_SCRUB_H
#define NAIVE_SCRUB_H

#include "abi/sdk/core/scrub.h"

#define NAIVE_FORMS 512

struct naive {
  const struct yoi_sdk_scrub_value *values;
  struct yoi_sdk__pattern forms[NAIVE_FORMS];
  size_t n;
  char *text;
};

void naive_init(struct naive *r, const struct yoi_sdk_scrub_value *values, size_t n);
void naive_release(struct naive *r);
/* Appends what is decided of a text that may go on, or of a whole one. How much
 * of its end is not. */
size_t naive_scrub(const struct naive *r, yoi_str text, int whole, struct yoi_sdk_buf *out);
/* 1: a form stands in it. */
int naive_has(const struct naive *r, yoi_str text);

#endif
