/* config_schema.c - yoi-host config-schema: the JSON Schema of a config, for
 * editors (docs/config.md).
 *
 * It is in the program, so that the schema at hand is always that of the
 * program at hand, also where no documentation is installed.
 */
#include <sdk/embed.h>
#include <stdio.h>

#include "cli.h"

YOI_SDK_EMBED(cli_schema_text, "docs/config.schema.json");

int cli_config_schema(int argc, char **argv) {
  if (argc > 1) return cli_usage_error("'%s' takes no argument", argv[0]);
  size_t n = (size_t)(cli_schema_text_end - cli_schema_text);
  return fwrite(cli_schema_text, 1, n, stdout) == n && fflush(stdout) == 0 ? CLI_OK : CLI_INTERNAL;
}
