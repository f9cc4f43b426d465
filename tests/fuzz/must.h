/* must.h - what has to hold for every input of a fuzz target: where it does not,
 * the target says what and where, and ends as a crash does. */
#ifndef FUZZ_MUST_H
#define FUZZ_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define MUST(x)                                                       \
  do {                                                                \
    if (!(x)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x); \
      abort();                                                        \
    }                                                                 \
  } while (0)

#endif
