/* badentry - a plugin of another major version: its manifest says 1, its
 * entry is yoi_plugin_entry_v2. */
#include <yoi/plugin.h>

const void *yoi_plugin_entry_v2(void);

YOI_API const void *yoi_plugin_entry_v2(void) {
  return NULL;
}

YOI_MANIFEST_FILE(MANIFEST);
