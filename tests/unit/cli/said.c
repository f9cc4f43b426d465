/* Stands in for main.c in the tests of single files: what is said to a person
 * is kept here, the last line of it. */
#include "tests/unit/cli/said.h"

#include <stdarg.h>
#include <stdio.h>

#include "host/cli/cli.h"

char said[CLI_LINE_MAX];

void cli_say(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(said, sizeof said, fmt, args);
  va_end(args);
}
