/* t_model.c - what is promised of the kind, with its own requests and its answers. */
#include "rig.h"

extern const struct conform_test conform_model[];
const struct conform_test conform_model[] = {{NULL, 0, 0, NULL, NULL, NULL, NULL}};
