/* arguments.c - the command line of a verb: words and options in any order. */
#include <string.h>

#include "cli.h"

int cli_arguments(int argc, char **argv, const struct cli_option *options, size_t n_options,
                  const char **const *places, size_t n_places) {
  size_t n = 0;
  for (int i = 1; i < argc; i++) {
    size_t k = 0;
    while (k < n_options && strcmp(argv[i], options[k].name) != 0) k++;
    if (k < n_options && options[k].flag) {
      *options[k].flag = 1;
    } else if (k < n_options) {
      if (i + 1 == argc) return cli_usage_error("'%s' takes a value", argv[i]);
      *options[k].value = argv[++i];
    } else if (argv[i][0] == '-') {
      return cli_usage_error("unknown option '%s'", argv[i]);
    } else if (n == n_places) {
      return cli_usage_error("'%s' is one argument too many", argv[i]);
    } else {
      *places[n++] = argv[i];
    }
  }
  return CLI_OK;
}
