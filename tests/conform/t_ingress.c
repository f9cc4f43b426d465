/* t_ingress.c - what is promised of the kind, with its own requests and its answers. */
#include "rig.h"

extern const struct conform_test conform_ingress[];
const struct conform_test conform_ingress[] = {{NULL, 0, 0, NULL, NULL, NULL, NULL}};
