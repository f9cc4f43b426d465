/* t_tool.c - what is promised of the kind, with its own requests and its answers. */
#include "rig.h"

extern const struct conform_test conform_tool[];
const struct conform_test conform_tool[] = {{NULL, 0, 0, NULL, NULL, NULL, NULL}};
