/* plugin.c - dev.yoi.fs-store: workers that survive.
 *
 * The engine with a store of files, and nothing else. docs/store.md says what
 * lies on the disk and what is promised.
 */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>

#include "../engine/engine.h"
#include "offline.h"
#include "store_fs.h"

struct range {
  const char *name;
  uint64_t min, max, usual;
};

/* The host has checked it against the schema; a host that did not gets an
 * error, not a store that is out of its limits. */
static yoi_status read_number(const yoi_sdk_json *tree, const struct range *r, uint64_t *out,
                              yoi_error *err) {
  const yoi_sdk_json *v = yoi_sdk_json_get(tree, r->name);
  int64_t n = (int64_t)r->usual;
  if (v != NULL && (!yoi_sdk_json_int(v, &n) || n < (int64_t)r->min || n > (int64_t)r->max))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "config member '%s': expected an integer from %llu to %llu", r->name,
                        (unsigned long long)r->min, (unsigned long long)r->max);
  *out = (uint64_t)n;
  return YOI_OK;
}

static yoi_status read_config(const yoi_sdk_json *tree, struct fs_config *c, yoi_error *err) {
  static const struct range segment = {"segment_bytes", YOI_STORE_SEGMENT_BYTES_MIN,
                                       YOI_STORE_SEGMENT_BYTES_MAX,
                                       YOI_STORE_SEGMENT_BYTES_DEFAULT};
  static const struct range checkpoint = {"checkpoint_bytes", YOI_STORE_SEGMENT_BYTES_MIN,
                                          YOI_STORE_SEGMENT_BYTES_MAX,
                                          YOI_STORE_CHECKPOINT_BYTES_DEFAULT};
  static const struct range every = {"checkpoint_ms", YOI_STORE_CHECKPOINT_MS_MIN,
                                     YOI_STORE_CHECKPOINT_MS_MAX, YOI_STORE_CHECKPOINT_MS_DEFAULT};
  static const struct range relaxed = {"relaxed_ms", 1, YOI_STORE_RELAXED_MS_MAX,
                                       YOI_STORE_RELAXED_MS_DEFAULT};
  yoi_str durability = YOI_LIT("sync");
  (void)yoi_sdk_json_str(yoi_sdk_json_get(tree, "durability"), &durability);
  c->relaxed = yoi_sdk_str_is(durability, "relaxed");
  yoi_status st = read_number(tree, &segment, &c->segment_bytes, err);
  if (st == YOI_OK) st = read_number(tree, &checkpoint, &c->checkpoint_bytes, err);
  if (st == YOI_OK) st = read_number(tree, &every, &c->checkpoint_ms, err);
  if (st == YOI_OK) st = read_number(tree, &relaxed, &c->relaxed_ms, err);
  return st;
}

/* The member `retention`. */
static yoi_status read_retention(const yoi_sdk_json *tree, struct fs_config *c, yoi_error *err) {
  static const struct range age = {"max_age_s", 0, YOI_STORE_MAX_AGE_S_MAX, 0};
  static const struct range bytes = {"max_bytes", 0, YOI_STORE_MAX_BYTES_MAX, 0};
  int archive = 1;
  (void)yoi_sdk_json_bool(yoi_sdk_json_get(tree, "archive"), &archive);
  c->archive = archive != 0;
  yoi_status st = read_number(tree, &age, &c->max_age_s, err);
  return st == YOI_OK ? read_number(tree, &bytes, &c->max_bytes, err) : st;
}

static yoi_status make_store(const yoi_host *host, yoi_str config, struct eng_store **out,
                             yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  struct fs_config c = {0};
  yoi_str root = {0};
  yoi_status st = yoi_sdk_json_parse(config, 0, &tree, &jerr);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "invalid config: %s", jerr.message);
  if (!yoi_sdk_json_str(yoi_sdk_json_get(tree, "root"), &root) || root.len == 0)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "config member 'root': expected the path of a folder");
  if (st == YOI_OK) st = read_config(tree, &c, err);
  if (st == YOI_OK) st = read_retention(yoi_sdk_json_get(tree, "retention"), &c, err);
  if (st == YOI_OK) {
    c.root = yoi_sdk_strndup(root.ptr, root.len);
    st = c.root != NULL ? fs_store_new(host, &c, out, err) : yoi_sdk_fail_memory(err);
    yoi_sdk_free(c.root);
  }
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
      .history_max = YOI_STORE_HISTORY_BYTES_MAX,
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

static const struct yoi_sdk_interface fs_interfaces[] = {{YOI_RUNTIME_ID, &fs_store_table},
                                                         {YOI_WORKSPACES_ID, &fs_store_table},
                                                         {YOI_OFFLINE_ID, &fs_offline_table}};

YOI_SDK_PLUGIN_OF("dev.yoi.fs-store", "1.0.0", YOI_KIND_RUNTIME, fs_interfaces);
YOI_MANIFEST_FILE(MANIFEST);
