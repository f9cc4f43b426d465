/* plugin.c - dev.yoi.embedded: workers in memory.
 *
 * The engine with the memory store, and nothing else: no endpoint, token,
 * socket or path. Its config knows limits only. What it holds ends with the
 * process, and it says so (state_kind memory).
 */
#include <sdk/plugin.h>

#include "../engine/engine.h"
#include "../engine/store_mem.h"

static yoi_status embedded_open(const yoi_host *host, yoi_str config, void **out_self,
                                yoi_error *err) {
  const struct eng_options options = {
      .kind = YOI_LIT("embedded"),
      .display_name = YOI_LIT("Embedded"),
      .version = YOI_LIT("1.0.0"),
      .state_kind = YOI_LIT("memory"),
      .store = eng_store_mem_new(),
  };
  return eng_open(host, config, &options, out_self, err);
}

static const yoi_runtime embedded_table = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = embedded_open,
    .close = eng_close,
    .start = eng_start,
    .wake = eng_wake,
    .drain = eng_drain,
};

static const struct yoi_sdk_interface embedded_interfaces[] = {
    {YOI_RUNTIME_ID, &embedded_table}, {YOI_WORKSPACES_ID, &embedded_table}};

YOI_SDK_PLUGIN_OF("dev.yoi.embedded", "1.0.0", YOI_KIND_RUNTIME, embedded_interfaces);
YOI_MANIFEST_FILE(MANIFEST);
