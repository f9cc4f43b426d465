/* host/offline.c - a verb on what a runtime keeps, while no host runs it.
 *
 * The host knows no format of storage: it finds the plugin that the config
 * names for the runtime, loads it under the rules of every load (loader.c),
 * and hands over config, verb and options. Invariants:
 *  1. No instance is opened, no secret is read, no thread is made.
 *  2. No code of a plugin has run before the whole config was found right.
 *  3. A plugin meets a sink with every member of this version, and a failure
 *     is never a state of streams.
 */
#include <string.h>

#include <sdk/json.h>

#include "config.h"

static yoi_status say_nothing(void *ctx, uint32_t kind, yoi_str json) {
  (void)ctx, (void)kind, (void)json;
  return YOI_OK;
}

static yoi_status show_nothing(void *ctx, yoi_str what, uint64_t done, uint64_t total) {
  (void)ctx, (void)what, (void)done, (void)total;
  return YOI_OK;
}

static yoi_offline_sink take_sink(const yoi_offline_sink *theirs) {
  yoi_offline_sink s = {0};
  if (theirs != NULL) memcpy(&s, theirs, theirs->size < sizeof s ? theirs->size : sizeof s);
  s.size = sizeof s;
  if (s.say == NULL) s.say = say_nothing;
  if (s.progress == NULL) s.progress = show_nothing;
  return s;
}

static yoi_status find(const struct yoi__config *c, yoi_str id, const yoi_offline **out,
                       const struct yoi__config_runtime **out_runtime, yoi_error *err) {
  const struct yoi__config_runtime *r = c->runtimes, *end = r + c->n_runtimes;
  while (r < end && !yoi_sdk_str_eq(r->id, id)) r++;
  if (r == end)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_NOT_FOUND, "the config has no runtime '%.*s'",
                        YOI_ARG(id));
  struct yoi__plugin *p = r->instance.plugin;
  if (!yoi__manifest_has(&p->manifest, YOI_LIT(YOI_OFFLINE_ID)))
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION,
                        "plugin '%.*s' of runtime '%.*s' keeps nothing that could be worked on: "
                        "it has no interface '" YOI_OFFLINE_ID "'",
                        YOI_ARG(p->manifest.id), YOI_ARG(id));
  yoi_status st = yoi__plugin_load(p, err);
  if (st != YOI_OK) return st;
  const yoi_offline *table = yoi__plugin_interface(p, YOI_OFFLINE_ID);
  if (table == NULL || !YOI_HAS(yoi_offline, table, run) || table->run == NULL)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL,
                        "plugin '%.*s': interface '" YOI_OFFLINE_ID "': member 'run' is missing",
                        YOI_ARG(p->manifest.id));
  *out = table;
  *out_runtime = r;
  return YOI_OK;
}

static yoi_status check_options(yoi_str options, yoi_error *err) {
  struct yoi_sdk_json_error e = {0};
  yoi_sdk_json *tree = NULL;
  yoi_status st = yoi_sdk_json_parse(options, 0, &tree, &e);
  int object = yoi_sdk_json_type(tree) == YOI_SDK_JSON_OBJECT;
  yoi_sdk_json_free(tree);
  if (st == YOI_OK && object) return YOI_OK;
  if (st == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "options: expected a JSON object%s%s",
                      e.message[0] != '\0' ? ": " : "", e.message);
}

yoi_status yoi_offline_run(const char *json, size_t len, const char *base_dir, yoi_str runtime_id,
                           yoi_str verb, yoi_str options, const yoi_offline_sink *sink,
                           yoi_error *err) {
  struct yoi__config *config = NULL;
  const struct yoi__config_runtime *r = NULL;
  const yoi_offline *table = NULL;
  yoi_offline_sink ours = take_sink(sink);
  if (options.len == 0) options = YOI_LIT("{}");
  yoi_status st = check_options(options, err);
  if (st != YOI_OK) return st;
  st = yoi__config_load((yoi_str){json, len}, base_dir, NULL, NULL, &config, err);
  if (st != YOI_OK) return st;
  st = find(config, runtime_id, &table, &r, err);
  if (st == YOI_OK) {
    st = table->run(r->instance.config, verb, options, &ours, err);
    if (st < YOI_OK) st = YOI_INTERNAL;
  }
  yoi__config_free(config);
  return st;
}
