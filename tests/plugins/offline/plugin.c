/* offline - a runtime that keeps nothing, with a yoi.offline/1 that does what
 * its config says:
 *
 *   lines    how many lines each kind gets (1)
 *   text     what the message of a finding is
 *   status   what run answers in the end, with a message and a private detail
 *   ready    a file that is made once the run has said something; from then on
 *            it only asks, by way of progress, whether to stop
 *
 * The first output repeats verb, options and config. An unknown verb is
 * UNIMPLEMENTED; "worker" is refused for `check`.
 */
#include <sdk/plugin.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sdk/error.h>
#include <sdk/json.h>
#include <yoi/offline.h>
#include <yoi/runtime.h>

static yoi_status offline_open(const yoi_host *host, yoi_str config, void **out_self,
                               yoi_error *err) {
  static const char instance = 0;
  (void)host, (void)config, (void)err;
  *out_self = (void *)(uintptr_t)&instance;
  return YOI_OK;
}

static void offline_close(void *self) {
  (void)self;
}

static yoi_status offline_start(void *self, const yoi_request *req, yoi_stream **out,
                                yoi_error *err) {
  (void)self, (void)req;
  *out = NULL;
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the plugin 'offline' answers nothing");
}

static yoi_status say_one(const yoi_offline_sink *sink, uint32_t kind, yoi_str text, int64_t i) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  if (kind == YOI_OFFLINE_FINDING) {
    yoi_sdk_jsonw_kstr(&w, "severity", YOI_LIT("warning"));
    yoi_sdk_jsonw_kstr(&w, "file", YOI_LIT("kept/a.jsonl"));
    yoi_sdk_jsonw_kint(&w, "line", i);
    yoi_sdk_jsonw_kint(&w, "offset", 100 * i);
    yoi_sdk_jsonw_kstr(&w, "worker", YOI_LIT("w"));
  }
  yoi_sdk_jsonw_kstr(&w, "message", text);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_status st = YOI_RESOURCE_EXHAUSTED;
  if (!b.failed) st = sink->say(sink->ctx, kind, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
  return st;
}

static yoi_status say_what_was_asked(yoi_str config, yoi_str verb, yoi_str options,
                                     const yoi_offline_sink *sink) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "verb", verb);
  yoi_sdk_jsonw_kraw(&w, "options", options);
  yoi_sdk_jsonw_kraw(&w, "config", config);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_status st = YOI_RESOURCE_EXHAUSTED;
  if (!b.failed) st = sink->say(sink->ctx, YOI_OFFLINE_OUTPUT, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
  return st;
}

static yoi_status wait_for_stop(const char *ready, const yoi_offline_sink *sink) {
  int fd = open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  yoi_status st = YOI_OK;
  if (fd >= 0) close(fd);
  for (uint64_t i = 0; st == YOI_OK; i++) {
    usleep(1000); /* so that whoever waits for `ready` gets a turn */
    st = sink->progress(sink->ctx, YOI_LIT("waiting"), i, 0);
  }
  return YOI_CANCELLED;
}

static yoi_status run(const yoi_sdk_json *config, const yoi_offline_sink *sink, yoi_error *err) {
  int64_t lines = 1, status = YOI_OK;
  yoi_str text = YOI_LIT("something is as it is"), ready = {0};
  yoi_sdk_json_int(yoi_sdk_json_get(config, "lines"), &lines);
  yoi_sdk_json_int(yoi_sdk_json_get(config, "status"), &status);
  yoi_sdk_json_str(yoi_sdk_json_get(config, "text"), &text);
  yoi_sdk_json_str(yoi_sdk_json_get(config, "ready"), &ready);
  for (int64_t i = 1; i <= lines; i++) {
    if (sink->progress(sink->ctx, YOI_LIT("reading"), (uint64_t)i, (uint64_t)lines) != YOI_OK ||
        say_one(sink, YOI_OFFLINE_FINDING, text, i) != YOI_OK)
      return YOI_CANCELLED;
  }
  if (ready.len > 0) return wait_for_stop(ready.ptr, sink);
  if (status != YOI_OK) {
    (void)yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "it ended with %d", (int)status);
    yoi_sdk_fail_private(err, "in the folder of this test");
    return (yoi_status)status;
  }
  return say_one(sink, YOI_OFFLINE_SUMMARY, YOI_LIT("that was all"), 0);
}

static yoi_status offline_run(yoi_str config, yoi_str verb, yoi_str options,
                              const yoi_offline_sink *sink, yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  if (yoi_sdk_str_is(verb, "compact"))
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "there is no verb 'compact'");
  if (yoi_sdk_str_is(verb, "check") && yoi_sdk_json_raw_get(options, "worker").len > 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'check' has no option 'worker'");
  yoi_status st = yoi_sdk_json_parse(config, 0, &tree, NULL);
  if (st == YOI_OK) st = say_what_was_asked(config, verb, options, sink);
  if (st == YOI_OK) st = run(tree, sink, err);
  yoi_sdk_json_free(tree);
  return st;
}

static const yoi_runtime offline_runtime = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = offline_open,
    .close = offline_close,
    .start = offline_start,
};

static const yoi_offline offline_table = {.size = sizeof(yoi_offline), .run = offline_run};

static const struct yoi_sdk_interface offline_interfaces[] = {{YOI_RUNTIME_ID, &offline_runtime},
                                                              {YOI_OFFLINE_ID, &offline_table}};

YOI_SDK_PLUGIN_OF("dev.yoi.test.offline", "1.0.0", YOI_KIND_RUNTIME, offline_interfaces);
YOI_MANIFEST_FILE(MANIFEST);
