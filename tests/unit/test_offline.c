/* yoi_offline_run: which plugin is asked, with what, and what it meets. The
 * plugin is linked, so that its table can be wrong in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <yoi.h>
#include <yoi/runtime.h>

#define MANIFEST_OF(interfaces)                                                               \
  "{ \"manifest\": \"yoi.plugin/1\", \"id\": \"dev.yoi.test.kept\", \"kind\": \"runtime\",\n" \
  "  \"version\": \"1.0.0\", \"abi\": 1, \"interfaces\": [" interfaces                        \
  "],\n"                                                                                      \
  "  \"threads\": \"parallel\", \"config\": { \"type\": \"object\",\n"                        \
  "  \"properties\": { \"root\": { \"format\": \"path\" } } } }\n"

static const char with[] = MANIFEST_OF("\"yoi.runtime/1\", \"yoi.offline/1\"");
static const char without[] = MANIFEST_OF("\"yoi.runtime/1\"");
static const char config[] =
    "{ \"plugin_path\": [], \"runtimes\": [\n"
    "  { \"id\": \"a\", \"plugin\": \"dev.yoi.test.kept\", \"config\": { \"root\": \"r\" } } ] }";

static int opened;

static yoi_status kept_open(const yoi_host *host, yoi_str c, void **out_self, yoi_error *err) {
  (void)host, (void)c, (void)err;
  *out_self = NULL;
  opened++;
  return YOI_OK;
}

static void kept_close(void *self) {
  (void)self;
}

static yoi_status kept_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  (void)self, (void)req, (void)out;
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "nothing is answered");
}

/* What run was given, and what it answers. */
static struct {
  char config[YOI_PATH_BYTES_MAX + 64], verb[16], options[64];
  int runs;
  yoi_status said, answer;
} seen;

static yoi_status kept_run(yoi_str c, yoi_str verb, yoi_str options, const yoi_offline_sink *sink,
                           yoi_error *err) {
  seen.runs++;
  snprintf(seen.config, sizeof seen.config, "%.*s", YOI_ARG(c));
  snprintf(seen.verb, sizeof seen.verb, "%.*s", YOI_ARG(verb));
  snprintf(seen.options, sizeof seen.options, "%.*s", YOI_ARG(options));
  assert_int_equal(sink->size, sizeof *sink);
  seen.said = sink->say(sink->ctx, YOI_OFFLINE_SUMMARY, YOI_LIT("{\"message\":\"done\"}"));
  if (seen.said == YOI_OK) seen.said = sink->progress(sink->ctx, YOI_LIT("reading"), 1, 2);
  if (seen.answer > YOI_OK) (void)yoi_sdk_fail(err, YOI_CODE_STORE_CORRUPT, "it is damaged");
  if (seen.answer > YOI_OK) yoi_sdk_fail_private(err, "in 'r/x'");
  return seen.answer;
}

static const yoi_runtime kept_runtime = {.size = sizeof kept_runtime,
                                         .thread_model = YOI_PARALLEL,
                                         .open = kept_open,
                                         .close = kept_close,
                                         .start = kept_start};
static yoi_offline kept_table;

static const void *kept_get(yoi_str id) {
  if (yoi_sdk_str_is(id, YOI_OFFLINE_ID)) return &kept_table;
  return yoi_sdk_str_is(id, YOI_RUNTIME_ID) ? &kept_runtime : NULL;
}

static const yoi_plugin *kept_entry(void) {
  static const yoi_plugin plugin = {.size = sizeof plugin,
                                    .abi_minor = YOI_ABI_MINOR,
                                    .kind = YOI_KIND_RUNTIME,
                                    .id = {"dev.yoi.test.kept", 17},
                                    .version = {"1.0.0", 5},
                                    .get_interface = kept_get};
  return &plugin;
}

static const yoi_linked_plugin row_with = {sizeof row_with, 0, kept_entry, with,
                                           with + sizeof with - 1, NULL, NULL};
static const yoi_linked_plugin row_without = {sizeof row_without, 0, kept_entry, without,
                                              without + sizeof without - 1, NULL, NULL};

static int setup(void **state) {
  static const yoi_linked_plugin *const rows[] = {&row_with};
  (void)state;
  memset(&seen, 0, sizeof seen);
  opened = 0;
  kept_table = (yoi_offline){.size = sizeof kept_table, .run = kept_run};
  return yoi_link_plugins(rows, 1, NULL);
}

static int teardown(void **state) {
  (void)state;
  return yoi_link_plugins(NULL, 0, NULL);
}

static struct yoi_sdk_error e;

static yoi_status run_in(const char *base_dir, const char *json, const char *id,
                         const char *options, const yoi_offline_sink *sink) {
  return yoi_offline_run(json, strlen(json), base_dir, yoi_sdk_str(id), YOI_LIT("check"),
                         yoi_sdk_str(options), sink, yoi_sdk_error_init(&e));
}

static yoi_status run(const char *json, const char *id, const char *options,
                      const yoi_offline_sink *sink) {
  return run_in(NULL, json, id, options, sink);
}

/* The config with a path below a folder; NULL is the working directory. */
static const char *root_below(const char *folder, const char *path) {
  static char text[sizeof seen.config]; /* process-wide: a test has one thread */
  char here[YOI_PATH_BYTES_MAX];
  if (folder == NULL) folder = getcwd(here, sizeof here);
  assert_non_null(folder);
  (void)snprintf(text, sizeof text, "{\"root\":\"%s%s\"}", folder, path);
  return text;
}

static void a_path_in_the_config_starts_from_the_folder_of_the_config(void **state) {
  static const char absolute[] =
      "{ \"plugin_path\": [], \"runtimes\": [\n"
      "  { \"id\": \"a\", \"plugin\": \"dev.yoi.test.kept\", \"config\": { \"root\": \"/r\" } } ] "
      "}";
  (void)state;
  assert_int_equal(run_in("/srv/yoi", config, "a", "", NULL), YOI_OK);
  assert_string_equal(seen.config, root_below("/srv/yoi", "/r"));
  assert_int_equal(run_in("/", config, "a", "", NULL), YOI_OK);
  assert_string_equal(seen.config, root_below("", "/r"));
  assert_int_equal(run_in("etc", config, "a", "", NULL), YOI_OK);
  assert_string_equal(seen.config, root_below(NULL, "/etc/r"));
  assert_int_equal(run_in("/srv/yoi", absolute, "a", "", NULL), YOI_OK);
  assert_string_equal(seen.config, root_below("", "/r"));
  assert_int_equal(run_in("/srv/\xff", absolute, "a", "", NULL), YOI_OK);
  assert_int_equal(seen.runs, 5);
  assert_int_equal(run_in("/srv/\xff", config, "a", "", NULL), YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "config line 2"));
  assert_non_null(strstr(e.message, "expected an absolute path"));
  assert_int_equal(seen.runs, 5);
}

static void config_verb_and_options_arrive_and_nothing_is_opened(void **state) {
  (void)state;
  assert_int_equal(run(config, "a", "{\"worker\":\"w\"}", NULL), YOI_OK);
  assert_string_equal(seen.config, root_below(NULL, "/r"));
  assert_string_equal(seen.verb, "check");
  assert_string_equal(seen.options, "{\"worker\":\"w\"}");
  assert_int_equal(run(config, "a", "", NULL), YOI_OK);
  assert_string_equal(seen.options, "{}");
  assert_int_equal(opened, 0);
}

static void options_that_are_no_object_never_arrive(void **state) {
  static const char *const bad[] = {"[]", "{", "\"x\"", "{\"a\":1,\"a\":2}", "{} {}"};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(run(config, "a", bad[i], NULL), YOI_INVALID_ARGUMENT);
    assert_non_null(strstr(e.message, "options: expected a JSON object"));
  }
  assert_int_equal(seen.runs, 0);
}

static void a_wrong_config_or_runtime_is_refused_before_any_code_runs(void **state) {
  static const yoi_linked_plugin *const rows[] = {&row_without};
  (void)state;
  assert_int_equal(run("{ \"runtimes\": 1 }", "a", "", NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(run(config, "b", "", NULL), YOI_NOT_FOUND);
  assert_int_equal(e.e.code, YOI_CODE_RUNTIME_NOT_FOUND);
  assert_string_equal(e.message, "the config has no runtime 'b'");
  assert_int_equal(yoi_link_plugins(rows, 1, NULL), YOI_OK);
  assert_int_equal(run(config, "a", "", NULL), YOI_UNIMPLEMENTED);
  assert_int_equal(e.e.code, YOI_CODE_UNSUPPORTED_OPERATION);
  assert_non_null(strstr(e.message, "no interface 'yoi.offline/1'"));
  assert_int_equal(seen.runs, 0);
}

static void a_table_without_run_is_refused(void **state) {
  (void)state;
  kept_table.run = NULL;
  assert_int_equal(run(config, "a", "", NULL), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "member 'run' is missing"));
  kept_table = (yoi_offline){.size = offsetof(yoi_offline, run), .run = kept_run};
  assert_int_equal(run(config, "a", "", NULL), YOI_INTERNAL);
  assert_int_equal(seen.runs, 0);
}

static void errors_come_whole_and_states_of_streams_never(void **state) {
  (void)state;
  seen.answer = YOI_DATA_LOSS;
  assert_int_equal(run(config, "a", "", NULL), YOI_DATA_LOSS);
  assert_string_equal(e.message, "it is damaged");
  assert_string_equal(e.private_detail, "in 'r/x'");
  seen.answer = YOI_AGAIN;
  assert_int_equal(run(config, "a", "", NULL), YOI_INTERNAL);
}

static yoi_status stop(void *ctx, uint32_t kind, yoi_str json) {
  ++*(int *)ctx;
  assert_int_equal(kind, YOI_OFFLINE_SUMMARY);
  assert_true(yoi_sdk_str_is(json, "{\"message\":\"done\"}"));
  return YOI_CANCELLED;
}

static void an_older_sink_has_what_it_has_and_may_say_stop(void **state) {
  int said = 0;
  yoi_offline_sink sink = {.size = sizeof sink, .ctx = &said, .say = stop};
  (void)state;
  assert_int_equal(run(config, "a", "", &sink), YOI_OK);
  assert_int_equal(said, 1);
  assert_int_equal(seen.said, YOI_CANCELLED);
  sink.size = offsetof(yoi_offline_sink, say);
  assert_int_equal(run(config, "a", "", &sink), YOI_OK);
  assert_int_equal(said, 1);
  assert_int_equal(seen.said, YOI_OK);
}

static void no_allocation_that_fails_is_a_crash(void **state) {
  (void)state;
  for (uint64_t n = 1; n < 4000; n++) {
    yoi_sdk_mem_fail_at(n);
    yoi_status st = run(config, "a", "{}", NULL);
    if (yoi_sdk_mem_fail_at(0) < n) {
      assert_int_equal(st, YOI_OK);
      return;
    }
    /* INTERNAL: the plugin was refused, INVALID_ARGUMENT: passed over. */
    assert_true(st == YOI_OK || st == YOI_RESOURCE_EXHAUSTED || st == YOI_INTERNAL ||
                st == YOI_INVALID_ARGUMENT);
    assert_true(st == YOI_OK || e.message[0] != 0);
  }
  fail();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(config_verb_and_options_arrive_and_nothing_is_opened),
      TEST(a_path_in_the_config_starts_from_the_folder_of_the_config),
      TEST(options_that_are_no_object_never_arrive),
      TEST(a_wrong_config_or_runtime_is_refused_before_any_code_runs),
      TEST(a_table_without_run_is_refused),
      TEST(errors_come_whole_and_states_of_streams_never),
      TEST(an_older_sink_has_what_it_has_and_may_say_stop),
      TEST(no_allocation_that_fails_is_a_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
