/* check.c - yoi-host check CONFIG: everything that is wrong with it, at once.
 *
 * One line per finding, file:line:column: message, in the order of the file,
 * as compilers say it, so that editors jump to it. Plugins' own schemas are
 * applied, and no code of a plugin runs.
 */
#include <stdio.h>

#include "cli.h"

int cli_check(int argc, char **argv) {
  struct cli_config c;
  if (argc != 2 || argv[1][0] == '-') return cli_usage_error("'check' takes one config file");
  int code = cli_config_read(argv[1], &c);
  if (code != CLI_OK) return code;
  int n = cli_config_findings(&c, 0);
  if (n == 0) printf("%s: ok\n", c.name);
  if (n < 0) cli_say("cannot check '%s': no memory", c.name);
  cli_config_release(&c);
  if (fflush(stdout) != 0) return CLI_FAILED;
  return n == 0 ? CLI_OK : n > 0 ? CLI_INVALID : CLI_FAILED;
}
