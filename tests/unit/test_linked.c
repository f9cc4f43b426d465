/* Plugins that are linked into the program: found without a file, checked like
 * any other, first of their id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <yoi.h>

#include "host/config.h"
#include "host/loader.h"
#include "support/files.h"

#define MANIFEST_OF(id)                                                 \
  "{ \"manifest\": \"yoi.plugin/1\", \"id\": \"" id                     \
  "\", \"kind\": \"runtime\",\n  \"version\": \"1.0.0\", \"abi\": 1, "  \
  "\"interfaces\": [\"yoi.runtime/1\"],\n  \"threads\": \"parallel\", " \
  "\"config\": { \"type\": \"object\", \"additionalProperties\": false } }\n"

#define LINKED "dev.yoi.test.linked"

static yoi_status linked_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  (void)host, (void)config, (void)err;
  *out_self = NULL;
  return YOI_OK;
}

static void linked_close(void *self) {
  (void)self;
}

static yoi_status linked_start(void *self, const yoi_request *req, yoi_stream **out,
                               yoi_error *err) {
  (void)self, (void)req, (void)out;
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "nothing is answered");
}

static const yoi_runtime linked_runtime = {.size = sizeof linked_runtime,
                                           .thread_model = YOI_PARALLEL,
                                           .open = linked_open,
                                           .close = linked_close,
                                           .start = linked_start};

static const void *linked_get(yoi_str id) {
  return yoi_sdk_str_is(id, YOI_RUNTIME_ID) ? &linked_runtime : NULL;
}

static const yoi_plugin *linked_entry(void) {
  static const yoi_plugin plugin = {.size = sizeof plugin,
                                    .abi_minor = YOI_ABI_MINOR,
                                    .kind = YOI_KIND_RUNTIME,
                                    .id = {LINKED, sizeof LINKED - 1},
                                    .version = {"1.0.0", 5},
                                    .get_interface = linked_get};
  return &plugin;
}

#define ROW(text)                                                      \
  {.size = sizeof(yoi_linked_plugin), .entry = linked_entry, .manifest = text, \
   .manifest_end = (text) + sizeof(text) - 1}

static const char manifest[] = MANIFEST_OF(LINKED);
static const char same[] = MANIFEST_OF("dev.yoi.test.ctor");
static const char broken[] = "{ \"manifest\": \"yoi.plugin/2\" }";

static const yoi_linked_plugin good = ROW(manifest), again = ROW(manifest), other = ROW(same),
                               bad = ROW(broken);

static int teardown(void **state) {
  (void)state;
  return yoi_link_plugins(NULL, 0, NULL);
}

static struct yoi__config *load(const char *json, struct yoi_sdk_error *e) {
  struct yoi__config *c = NULL;
  (void)yoi__config_load(yoi_sdk_str(json), NULL, NULL, NULL, &c, yoi_sdk_error_init(e));
  return c;
}

static void it_is_found_without_a_file(void **state) {
  (void)state;
  static const yoi_linked_plugin *const rows[] = {&good, &again, &bad};
  const char json[] =
      "{\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\",\"plugin\":\"" LINKED "\"}]}";
  struct yoi_sdk_error e;
  struct yoi__config *c = load(json, &e);
  assert_null(c);
  assert_non_null(strstr(e.message, "no plugin has the id '" LINKED "'"));
  assert_int_equal(yoi_link_plugins(rows, 3, NULL), YOI_OK);
  c = load(json, &e);
  assert_non_null(c);
  struct yoi__plugin *p = c->runtimes[0].instance.plugin;
  assert_string_equal(p->manifest.id.ptr, LINKED);
  assert_string_equal(p->digest, "");
  assert_int_equal(yoi__plugin_load(p, NULL), YOI_OK);
  assert_null(p->handle);
  assert_ptr_equal(p->table.runtime.start, linked_start);
  assert_non_null(strstr(yoi__catalogue_passed(c->plugins, 0)->reason.ptr, "is taken by"));
  assert_non_null(strstr(yoi__catalogue_passed(c->plugins, 1)->reason.ptr,
                         "'manifest': expected 'yoi.plugin/1'"));
  yoi__config_free(c);
}

static void it_comes_before_a_file_of_its_id(void **state) {
  (void)state;
  static const yoi_linked_plugin *const rows[] = {&other};
  struct yoi_sdk_error e;
  files_directory("plug");
  files_plugin("ctor", "plug/ctor.so");
  assert_int_equal(yoi_link_plugins(rows, 1, NULL), YOI_OK);
  struct yoi__config *c = load("{\"plugin_path\":[\"plug\"]}", &e);
  assert_non_null(c);
  assert_int_equal(yoi__catalogue_count(c->plugins), 1);
  assert_ptr_equal(yoi__catalogue_at(c->plugins, 0)->linked, &other);
  assert_non_null(strstr(yoi__catalogue_passed(c->plugins, 0)->path.ptr, "plug/ctor.so"));
  /* Its table says another id than its manifest: that is found at the load. */
  assert_int_equal(yoi__plugin_load(yoi__catalogue_at(c->plugins, 0), yoi_sdk_error_init(&e)),
                   YOI_INTERNAL);
  assert_non_null(strstr(e.message, "table field 'id': expected 'dev.yoi.test.ctor'"));
  yoi__config_free(c);
}

static void it_cannot_be_pinned(void **state) {
  (void)state;
  static const yoi_linked_plugin *const rows[] = {&good};
  struct yoi_sdk_error e;
  assert_int_equal(yoi_link_plugins(rows, 1, NULL), YOI_OK);
  assert_null(load("{\"plugin_path\":[],\"plugins\":[{\"id\":\"" LINKED "\",\"digest\":\"sha256:"
                   "0000000000000000000000000000000000000000000000000000000000000000\"}]}",
                   &e));
  assert_non_null(strstr(e.message, "is linked into the program: there is no file to pin"));
}

static void rows_are_checked(void **state) {
  (void)state;
  static const yoi_linked_plugin
      small = {.size = offsetof(yoi_linked_plugin, manifest_end), .entry = linked_entry,
               .manifest = manifest},
      newer = {.size = sizeof newer, .reserved = 1, .entry = linked_entry, .manifest = manifest},
      empty = {.size = sizeof empty, .manifest = manifest},
      both = {.size = sizeof both, .entry = linked_entry, .manifest = manifest,
              .table = &linked_runtime},
      /* An older caller has no table: what stands behind its row is not looked at. */
      older = {.size = offsetof(yoi_linked_plugin, table), .manifest = manifest,
               .table = &linked_runtime},
      none = {.size = sizeof none, .entry = linked_entry},
      text = {.size = sizeof text, .entry = linked_entry, .manifest = manifest + 1,
              .manifest_end = manifest};
  static const struct {
    const yoi_linked_plugin *row;
    const char *words;
  } rows[] = {{NULL, "linked plugin 1: is NULL"},
              {&small, "'size'"},
              {&newer, "'reserved'"},
              {&empty, "one of the fields 'entry' and 'table'"},
              {&both, "one of the fields 'entry' and 'table'"},
              {&older, "one of the fields 'entry' and 'table'"},
              {&none, "'manifest'"},
              {&text, "'manifest'"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const yoi_linked_plugin *const table[] = {&good, rows[i].row};
    struct yoi_sdk_error e;
    assert_int_equal(yoi_link_plugins(table, 2, yoi_sdk_error_init(&e)), YOI_INVALID_ARGUMENT);
    if (strstr(e.message, rows[i].words) == NULL) fail_msg("%s", e.message);
  }
  /* One of a newer program: what is behind today's members says nothing, or what
   * nobody here knows. */
  struct {
    yoi_linked_plugin row;
    unsigned char tail[16];
  } longer = {.row = {.size = sizeof longer, .entry = linked_entry, .manifest = manifest}};
  const yoi_linked_plugin *const table[] = {&good, &longer.row};
  assert_int_equal(yoi_link_plugins(table, 2, NULL), YOI_OK);
  for (size_t i = 0; i < sizeof longer.tail; i += sizeof longer.tail - 1) {
    struct yoi_sdk_error e;
    char words[80];
    longer.tail[i] = 1;
    (void)snprintf(words, sizeof words, "linked plugin 1 has an unknown member at offset %zu",
                   sizeof longer.row + i);
    assert_int_equal(yoi_link_plugins(table, 2, yoi_sdk_error_init(&e)), YOI_UNIMPLEMENTED);
    assert_string_equal(e.message, words);
    longer.tail[i] = 0;
  }
  struct yoi_sdk_error e;
  assert_int_equal(yoi_link_plugins(NULL, 1, yoi_sdk_error_init(&e)), YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "is NULL"));
  assert_int_equal(yoi_link_plugins(NULL, 0, NULL), YOI_OK);
  const yoi_linked_plugin *many[YOI_PLUGINS_MAX + 1];
  for (size_t i = 0; i <= YOI_PLUGINS_MAX; i++) many[i] = &good;
  assert_int_equal(yoi_link_plugins(many, YOI_PLUGINS_MAX + 1, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_link_plugins(many, YOI_PLUGINS_MAX, NULL), YOI_OK);
}

static void memory_may_be_short_anywhere(void **state) {
  (void)state;
  static const yoi_linked_plugin *const rows[] = {&good, &bad, &again};
  assert_int_equal(yoi_link_plugins(rows, 3, NULL), YOI_OK);
  for (uint64_t n = 1; n < 200; n++) {
    (void)yoi_sdk_mem_fail_at(n);
    struct yoi__catalogue *c = yoi__catalogue_new();
    yoi_status st = c == NULL ? YOI_RESOURCE_EXHAUSTED : yoi__catalogue_link(c, NULL, 0, NULL);
    int done = yoi_sdk_mem_fail_at(0) < n;
    assert_true(st == YOI_OK || st == YOI_RESOURCE_EXHAUSTED);
    if (done) assert_int_equal(yoi__catalogue_count(c), 1);
    yoi__catalogue_free(c);
    if (done) return;
  }
  fail_msg("more allocations than expected");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(it_is_found_without_a_file, teardown),
      cmocka_unit_test_teardown(it_comes_before_a_file_of_its_id, teardown),
      cmocka_unit_test_teardown(it_cannot_be_pinned, teardown),
      cmocka_unit_test_teardown(rows_are_checked, teardown),
      cmocka_unit_test_teardown(memory_may_be_short_anywhere, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
