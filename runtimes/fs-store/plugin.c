/* plugin.c - dev.yoi.fs-store: workers that survive.
 *
 * The engine with a store of files, and nothing else. docs/store.md says what
 * lies on the disk and what is promised.
 */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>

#include "../engine/engine.h"
#include "store_fs.h"

/* The schema has checked kinds and ranges. */
static uint64_t number(const yoi_sdk_json *tree, const char *name, uint64_t usual) {
  int64_t v = (int64_t)usual;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(tree, name), &v);
  return (uint64_t)v;
}

static yoi_status make_store(const yoi_host *host, yoi_str config, struct eng_store **out,
                             yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  yoi_str root = {0}, durability = YOI_LIT("sync");
  yoi_status st = yoi_sdk_json_parse(config, 0, &tree, &jerr);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "invalid config: %s", jerr.message);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(tree, "durability"), &durability);
  if (!yoi_sdk_json_str(yoi_sdk_json_get(tree, "root"), &root) || root.len == 0) {
    yoi_sdk_json_free(tree);
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "config member 'root': expected the path of a folder");
  }
  char *path = yoi_sdk_strndup(root.ptr, root.len);
  const struct fs_config c = {
      .root = path,
      .relaxed = yoi_sdk_str_is(durability, "relaxed"),
      .relaxed_ms = (uint32_t)number(tree, "relaxed_ms", 100),
      .segment_bytes = number(tree, "segment_bytes", YOI_STORE_SEGMENT_BYTES_DEFAULT),
      .checkpoint_bytes = number(tree, "checkpoint_bytes", YOI_STORE_CHECKPOINT_BYTES_DEFAULT),
      .checkpoint_ms = (uint32_t)number(tree, "checkpoint_ms", YOI_STORE_CHECKPOINT_MS_DEFAULT),
  };
  st = path != NULL ? fs_store_new(host, &c, out, err) : yoi_sdk_fail_memory(err);
  yoi_sdk_free(path);
  yoi_sdk_json_free(tree);
  return st;
}

static yoi_status store_runtime_open(const yoi_host *host, yoi_str config, void **out_self,
                                     yoi_error *err) {
  struct eng_options options = {
      .kind = YOI_LIT("fs-store"),
      .display_name = YOI_LIT("Files"),
      .version = YOI_LIT("1.0.0"),
      .state_kind = YOI_LIT("durable"),
  };
  yoi_status st = make_store(host, config, &options.store, err);
  return st == YOI_OK ? eng_open(host, config, &options, out_self, err) : st;
}

static const yoi_runtime fs_store_table = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = store_runtime_open,
    .close = eng_close,
    .start = eng_start,
    .wake = eng_wake,
    .drain = eng_drain,
};

YOI_SDK_PLUGIN("dev.yoi.fs-store", "1.0.0", YOI_KIND_RUNTIME, YOI_RUNTIME_ID, fs_store_table);
YOI_MANIFEST_FILE(MANIFEST);
