/* check.c - yoi-host check [CONFIG]: everything that is wrong with it, at once.
 *
 * One line per finding, file:line:column: message, in the order of the file,
 * as compilers say it, so that editors jump to it. Plugins' own schemas are
 * applied, no code of a plugin runs, no secret is read and no port is taken.
 * `--check` and `serve --check` are the same: how other servers call it.
 */
#include <stdio.h>

#include "cli.h"

int cli_check_file(const char *path) {
  struct cli_config c;
  int code = cli_config_read(path, &c, NULL);
  if (code != CLI_OK) return code;
  int n = cli_config_findings(&c, 0);
  if (n == 0) printf("%s: ok\n", c.name);
  if (n < 0) cli_say("cannot check '%s': no memory", c.name);
  cli_config_release(&c);
  if (fflush(stdout) != 0) return CLI_INTERNAL;
  return n == 0 ? CLI_OK : n > 0 ? CLI_INVALID : CLI_INTERNAL;
}

int cli_check(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : NULL;
  if (path && path[0] == '-') return cli_usage_error("unknown option '%s'", path);
  if (argc > 2) return cli_usage_error("'%s' is one argument too many", argv[2]);
  return cli_check_file(path);
}
