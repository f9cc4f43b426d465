/* yoi/host_plugin.h - "yoi.host.plugin/1": which plugins this host has. */
#ifndef YOI_HOST_PLUGIN_H
#define YOI_HOST_PLUGIN_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_PLUGIN_ID "yoi.host.plugin/1"

typedef struct yoi_plugin_info {
  uint32_t size;
  uint32_t kind; /* YOI_KIND_* */
  yoi_str id;
  yoi_str version;
  yoi_str digest; /* sha256:HEX of the file */
} yoi_plugin_info;

typedef struct yoi_host_plugin {
  uint32_t size;
  uint32_t reserved;
  /* [any] Calls each(ctx, info) per registered plugin, in byte order of id,
   * before it returns; info is borrowed for that call. */
  void (*list)(const yoi_host *h,
               void (*each)(void *ctx, const yoi_plugin_info *info),
               void *ctx);
} yoi_host_plugin;

#ifdef __cplusplus
}
#endif
#endif
