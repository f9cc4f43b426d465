/* plugin.c - a tool that never gets as far as being asked: its entry, the first
 * of its code that runs, ends the process that it is in.
 */
#include <sdk/plugin.h>
#include <stdlib.h>

#include <yoi/tool.h>

YOI_API const yoi_plugin *yoi_plugin_entry_v1(void) {
  abort();
}

YOI_MANIFEST_FILE(MANIFEST);
