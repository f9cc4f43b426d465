/* linked.c - the plugins that are part of this program: none in yoi-host, all
 * of the tree's in yoi-host-static, for which `make static` compiles this file
 * again with their names as CLI_LINKED.
 *
 * The host knows no plugin by name in either; it is handed a table, as any
 * application may hand it one.
 */
#include "cli.h"

#ifdef CLI_LINKED
#define DECLARE(name) YOI_LINKED_PLUGIN(name);
#define ROW(name) &yoi_linked_##name,
CLI_LINKED(DECLARE)

static const yoi_linked_plugin *const rows[] = {CLI_LINKED(ROW)};

int cli_link_plugins(void) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  if (yoi_link_plugins(rows, sizeof rows / sizeof *rows, err) == YOI_OK) return 1;
  cli_say_error("cannot use the plugins of this program", err);
  return 0;
}
#else
int cli_link_plugins(void) {
  return 1;
}
#endif
