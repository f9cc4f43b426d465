/* sdk/plugin.h - what the register macro of a plugin is.
 *
 *   YOI_SDK_PLUGIN("dev.yoi.null", "1.0.0", YOI_KIND_RUNTIME,
 *                  YOI_RUNTIME_ID, null_runtime)
 *   YOI_MANIFEST_FILE("null.yoi.json");
 */
#ifndef YOI_SDK_PLUGIN_H
#define YOI_SDK_PLUGIN_H

#include <sdk/str.h>
#include <yoi/host.h>
#include <yoi/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_SDK_PLUGIN_ENTRY(plugin_id, plugin_version, plugin_kind)         \
  YOI_API const yoi_plugin *yoi_plugin_entry_v1(void) {                      \
    static const yoi_plugin plugin = {                                       \
        .size = sizeof(yoi_plugin),                                          \
        .abi_minor = YOI_ABI_MINOR,                                          \
        .kind = (plugin_kind),                                               \
        .reserved = 0,                                                       \
        .id = {plugin_id, sizeof(plugin_id) - 1},                            \
        .version = {plugin_version, sizeof(plugin_version) - 1},             \
        .get_interface = yoi_sdk_plugin_get,                                 \
    };                                                                       \
    return &plugin;                                                          \
  }                                                                          \
  extern const yoi_plugin *yoi_plugin_entry_v1(void)

/* table: a static const interface struct, the only one of the plugin. */
#define YOI_SDK_PLUGIN(plugin_id, plugin_version, plugin_kind, interface_id, \
                       table)                                                \
  static const void *yoi_sdk_plugin_get(yoi_str id) {                        \
    return yoi_sdk_str_is(id, interface_id) ? (const void *)&(table) : NULL; \
  }                                                                          \
  YOI_SDK_PLUGIN_ENTRY(plugin_id, plugin_version, plugin_kind)

/* Several interfaces: the kind's own and, say, yoi.offline/1. interfaces: a
 * static const array of these rows, each with a table of static storage. */
struct yoi_sdk_interface {
  const char *id;
  const void *table;
};
#define YOI_SDK_PLUGIN_OF(plugin_id, plugin_version, plugin_kind, interfaces) \
  static const void *yoi_sdk_plugin_get(yoi_str id) {                        \
    for (size_t i = 0; i < sizeof(interfaces) / sizeof *(interfaces); i++)   \
      if (yoi_sdk_str_is(id, (interfaces)[i].id)) return (interfaces)[i].table; \
    return NULL;                                                             \
  }                                                                          \
  YOI_SDK_PLUGIN_ENTRY(plugin_id, plugin_version, plugin_kind)

/* One interface of the host, of at least min_size; NULL when it is not
 * there or older. */
const void *yoi_sdk_host_get(const yoi_host *h, const char *id,
                             size_t min_size);

#ifdef __cplusplus
}
#endif
#endif
