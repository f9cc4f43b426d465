/* The catalogue and the loader, with real shared objects: what is found, what
 * is passed over and why, what is refused before and after its code ran. */
#include "host/loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/mem.h>
#include <sdk/str.h>

#include "support/files.h"

#define CTOR YOI_LIT("dev.yoi.test.ctor")
#define SHAPE YOI_LIT("dev.yoi.test.shape")

static struct yoi__catalogue *scanned(const char *dir, int drop_in) {
  struct yoi__catalogue *c = yoi__catalogue_new();
  assert_non_null(c);
  assert_int_equal(yoi__catalogue_scan(c, dir, drop_in, NULL), YOI_OK);
  return c;
}

/* Empties a directory of files. */
static const char *fresh(void) {
  static int n;         /* process-wide: a test has one thread */
  static char name[32]; /* process-wide: the same */
  snprintf(name, sizeof name, "dir%d", n++);
  files_directory(name);
  return name;
}

static char *in(const char *dir, const char *name) {
  static char path[4][256]; /* process-wide: a test has one thread */
  static unsigned i;        /* process-wide: the same */
  char *p = path[i++ % 4];
  snprintf(p, sizeof path[0], "%s/%s", dir, name);
  return p;
}

static void passed_over(const struct yoi__catalogue *c, size_t i, const char *file,
                        const char *why) {
  const struct yoi__passed *p = yoi__catalogue_passed(c, i);
  assert_non_null(p);
  if (strstr(p->path.ptr, file) == NULL || strstr(p->reason.ptr, why) == NULL)
    fail_msg("'%s': '%s' is not '%s': '%s'", p->path.ptr, p->reason.ptr, file, why);
}

static void plugins_are_found_in_order(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi__catalogue *c;
  const struct yoi__plugin *p;
  files_plugin("shape", in(dir, "a.so"));
  files_plugin("ctor", in(dir, "z.so"));
  files_text(in(dir, "notes.txt"), "no plugin");
  c = scanned(dir, 0);
  assert_int_equal(yoi__catalogue_count(c), 2);
  assert_null(yoi__catalogue_passed(c, 0));
  p = yoi__catalogue_at(c, 0);
  assert_string_equal(p->manifest.id.ptr, CTOR.ptr);
  assert_int_equal(strncmp(p->digest, "sha256:", 7), 0);
  assert_int_equal(strlen(p->digest), 71);
  assert_ptr_equal(p, yoi__catalogue_find(c, CTOR));
  assert_string_equal(yoi__catalogue_at(c, 1)->manifest.id.ptr, SHAPE.ptr);
  assert_null(yoi__catalogue_at(c, 2));
  assert_null(yoi__catalogue_find(c, YOI_LIT("dev.yoi.test.none")));
  yoi__catalogue_free(c);
}

static void the_first_of_an_id_wins(void **state) {
  (void)state;
  struct yoi__catalogue *c;
  const char *two;
  char first[32];
  snprintf(first, sizeof first, "%s", fresh());
  two = fresh();
  files_plugin("ctor", in(first, "b.so"));
  files_plugin("ctor", in(first, "c.so"));
  files_plugin("ctor", in(two, "a.so"));
  c = scanned(first, 0);
  assert_int_equal(yoi__catalogue_scan(c, two, 0, NULL), YOI_OK);
  assert_int_equal(yoi__catalogue_count(c), 1);
  assert_non_null(strstr(yoi__catalogue_at(c, 0)->path.ptr, "b.so"));
  passed_over(c, 0, "c.so", "is taken by");
  passed_over(c, 1, "a.so", "which comes first");
  assert_string_equal(yoi__catalogue_passed(c, 1)->id.ptr, CTOR.ptr);
  yoi__catalogue_free(c);
}

static void unsafe_files_are_passed_over(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi__catalogue *c;
  struct yoi_sdk_buf text;
  files_plugin("ctor", in(dir, "world.so"));
  assert_int_equal(chmod(in(dir, "world.so"), 0602), 0);
  files_plugin("ctor", in(dir, "target"));
  assert_int_equal(symlink("target", in(dir, "link.so")), 0);
  assert_int_equal(mkfifo(in(dir, "fifo.so"), 0600), 0);
  files_directory(in(dir, "folder.so"));
  files_text(in(dir, "text.so"), "not a shared object, but long enough to have an ELF header");
  files_text(in(dir, "empty.so"), "");
  c = scanned(dir, 0);
  assert_int_equal(yoi__catalogue_count(c), 0);
  passed_over(c, 0, "empty.so", "truncated");
  passed_over(c, 1, "fifo.so", "not a regular file");
  passed_over(c, 2, "folder.so", "not a regular file");
  passed_over(c, 3, "link.so", "symbolic link");
  passed_over(c, 4, "text.so", "truncated");
  passed_over(c, 5, "world.so", "writable by everybody");
  assert_null(yoi__catalogue_passed(c, 6));
  yoi_sdk_buf_init(&text, 16384);
  yoi__catalogue_explain(c, &text);
  assert_non_null(strstr(text.data, "searched 'dir"));
  assert_non_null(strstr(text.data, "link.so': is a symbolic link"));
  yoi_sdk_buf_release(&text);
  yoi__catalogue_free(c);
}

static void unsafe_directories_are_passed_over(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi__catalogue *c;
  files_plugin("ctor", in(dir, "ctor.so"));
  assert_int_equal(chmod(dir, 0707), 0);
  c = scanned(dir, 0);
  assert_int_equal(yoi__catalogue_scan(c, "absent", 0, NULL), YOI_OK);
  assert_int_equal(yoi__catalogue_scan(c, in(dir, "ctor.so"), 0, NULL), YOI_OK);
  assert_int_equal(yoi__catalogue_count(c), 0);
  passed_over(c, 0, dir, "writable by everybody");
  passed_over(c, 1, "absent", "No such file");
  passed_over(c, 2, "ctor.so", "Not a directory");
  for (size_t i = 0; i < 3; i++) assert_int_equal(yoi__catalogue_passed(c, i)->directory, 1);
  yoi__catalogue_free(c);
}

/* The constructor of the test plugin would make this file. */
static void expect_no_code_ran(void) {
  assert_false(files_exist("ran"));
}

static void refusals_before_the_load_run_no_code(void **state) {
  (void)state;
  static const char *const breaks[][3] = {
      {"\"parallel\"", "\"serial\"", "'threads': 'serial' is not supported"},
      {"\"abi\": 1", "\"abi\": 2", "'abi': expected 1, found 2"},
      {"\"yoi.plugin/1\"", "\"yoi.plugin/9\"", "'manifest': expected"},
      {"\"kind\": \"runtime\"", "\"kind\": \"tool\"", "'interfaces': expected 'yoi.tool/1'"},
      {"\"runtime_id\"", "\"runtime_xx\"", "unknown manifest field 'runtime_xx'"},
      {".yoi.manifest", ".yoi.manifesT", "no manifest section"},
  };
  setenv("YOI_TEST_CTOR", "ran", 1);
  for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
    const char *dir = fresh();
    struct yoi__catalogue *c;
    files_plugin("ctor", in(dir, "ctor.so"));
    files_patch(in(dir, "ctor.so"), breaks[i][0], breaks[i][1]);
    c = scanned(dir, 0);
    assert_int_equal(yoi__catalogue_count(c), 0);
    passed_over(c, 0, "ctor.so", breaks[i][2]);
    yoi__catalogue_free(c);
  }
  expect_no_code_ran();
}

static void a_changed_file_is_refused_and_runs_no_code(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi_sdk_error e;
  struct yoi__catalogue *c;
  setenv("YOI_TEST_CTOR", "ran", 1);
  files_plugin("ctor", in(dir, "ctor.so"));
  c = scanned(dir, 0);
  assert_int_equal(unlink(in(dir, "ctor.so")), 0);
  files_plugin("ctor", in(dir, "ctor.so"));
  assert_int_equal(yoi__plugin_load(yoi__catalogue_at(c, 0), yoi_sdk_error_init(&e)), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "changed since it was hashed"));
  yoi__catalogue_free(c);
  files_plugin("ctor", in(dir, "ctor.so"));
  c = scanned(dir, 0);
  assert_int_equal(unlink(in(dir, "ctor.so")), 0);
  assert_int_equal(yoi__plugin_load(yoi__catalogue_at(c, 0), yoi_sdk_error_init(&e)), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "'dev.yoi.test.ctor': cannot open"));
  assert_null(strstr(e.message, dir));
  assert_non_null(strstr(e.private_detail, dir));
  yoi__catalogue_free(c);
  expect_no_code_ran();
}

static void a_load_runs_the_code_once(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi__catalogue *c;
  struct yoi__plugin *p;
  setenv("YOI_TEST_CTOR", "ran", 1);
  files_plugin("ctor", in(dir, "ctor.so"));
  c = scanned(dir, 0);
  expect_no_code_ran();
  p = yoi__catalogue_at(c, 0);
  assert_int_equal(p->state, YOI__PLUGIN_FOUND);
  assert_int_equal(yoi__plugin_load(p, NULL), YOI_OK);
  assert_true(files_exist("ran"));
  assert_int_equal(p->state, YOI__PLUGIN_LOADED);
  assert_int_equal(p->table.runtime.size, sizeof(yoi_runtime));
  assert_non_null(p->table.runtime.start);
  assert_null(p->table.runtime.wake);
  assert_int_equal(yoi__plugin_load(p, NULL), YOI_OK);
  yoi__catalogue_free(c);
  assert_int_equal(unlink("ran"), 0);
}

static void another_major_version_is_named(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi_sdk_error e;
  struct yoi__catalogue *c;
  files_plugin("badentry", in(dir, "badentry.so"));
  c = scanned(dir, 0);
  assert_int_equal(yoi__plugin_load(yoi__catalogue_at(c, 0), yoi_sdk_error_init(&e)), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "entry symbol missing"));
  assert_non_null(strstr(e.message, "expected 'yoi_plugin_entry_v1'"));
  assert_non_null(strstr(e.message, "found 'yoi_plugin_entry_v2'"));
  yoi__catalogue_free(c);
}

/* Loads the plugin `shape` while it is broken in this way. */
static yoi_status load_shape(const char *shape, struct yoi__plugin *copy, struct yoi_sdk_error *e) {
  static char dir[32]; /* process-wide: one copy of the plugin for all */
  struct yoi__catalogue *c;
  yoi_status st;
  if (dir[0] == '\0') {
    snprintf(dir, sizeof dir, "%s", fresh());
    files_plugin("shape", in(dir, "shape.so"));
  }
  setenv("YOI_TEST_SHAPE", shape, 1);
  c = scanned(dir, 0);
  st = yoi__plugin_load(yoi__catalogue_at(c, 0), yoi_sdk_error_init(e));
  *copy = *yoi__catalogue_at(c, 0);
  if (st != YOI_OK) { /* a refusal is remembered, whatever the plugin says now */
    struct yoi_sdk_error again;
    setenv("YOI_TEST_SHAPE", "", 1);
    assert_int_equal(copy->state, YOI__PLUGIN_REFUSED);
    assert_int_equal(yoi__plugin_load(yoi__catalogue_at(c, 0), yoi_sdk_error_init(&again)), st);
    assert_string_equal(again.message, e->message);
  }
  yoi__catalogue_free(c);
  return st;
}

static void tables_must_agree_with_the_manifest(void **state) {
  (void)state;
  static const char *const shapes[][3] = {
      {"null", "returned no table", "shape"},
      {"short", "'size': expected at least", "found"},
      {"reserved", "'reserved'", "expected 0"},
      {"noget", "'get_interface'", "NULL"},
      {"id", "'id': expected 'dev.yoi.test.shape'", "found 'dev.yoi.test.other'"},
      {"version", "'version': expected '1.0.0'", "found '1.0.1'"},
      {"kind", "'kind': expected 'runtime'", "found 2"},
      {"nointerface", "'yoi.runtime/1'", "missing"},
      {"tiny", "'yoi.runtime/1'", "'size'"},
      {"nostart", "'start'", "missing"},
      {"threads", "'thread_model': expected 1", "found 7"},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    struct yoi__plugin p;
    struct yoi_sdk_error e;
    assert_int_equal(load_shape(shapes[i][0], &p, &e), YOI_INTERNAL);
    if (strstr(e.message, shapes[i][1]) == NULL || strstr(e.message, shapes[i][2]) == NULL)
      fail_msg("%s: '%s'", shapes[i][0], e.message);
    assert_non_null(strstr(e.message, "'dev.yoi.test.shape'"));
    assert_non_null(strstr(e.private_detail, "shape.so"));
  }
}

static void serial_plugins_are_refused_as_not_supported(void **state) {
  (void)state;
  struct yoi__plugin p;
  struct yoi_sdk_error e;
  assert_int_equal(load_shape("serial", &p, &e), YOI_INVALID_ARGUMENT);
  assert_int_equal(e.e.code, YOI_CODE_UNSUPPORTED_DECLARATION);
  assert_non_null(strstr(e.message, "'serial' is not supported by this version"));
}

static void tables_of_other_sizes_are_copied(void **state) {
  (void)state;
  struct yoi__plugin p;
  struct yoi_sdk_error e;
  assert_int_equal(load_shape("", &p, &e), YOI_OK);
  assert_non_null(p.table.runtime.drain);
  assert_int_equal(load_shape("newer", &p, &e), YOI_OK);
  assert_int_equal(p.table.runtime.size, sizeof(yoi_runtime));
  assert_non_null(p.table.runtime.drain);
  assert_int_equal(load_shape("older", &p, &e), YOI_OK);
  assert_int_equal(p.table.runtime.size, offsetof(yoi_runtime, drain));
  assert_null(p.table.runtime.drain);
  assert_non_null(p.table.runtime.start);
}

static void a_file_beside_narrows(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi__catalogue *c;
  files_plugin("ctor", in(dir, "ctor.so"));
  files_text(in(dir, "ctor.yoi.json"), "{\"display_name\":\"Renamed\"}");
  c = scanned(dir, 0);
  assert_string_equal(yoi__catalogue_at(c, 0)->manifest.display_name.ptr, "Renamed");
  yoi__catalogue_free(c);
  files_text(in(dir, "ctor.yoi.json"), "{\"grants\":[\"model:*\"]}");
  c = scanned(dir, 0);
  passed_over(c, 0, "ctor.so", "expected a part of the plugin's own");
  yoi__catalogue_free(c);
  files_text(in(dir, "ctor.yoi.json"), "{}");
  assert_int_equal(chmod(in(dir, "ctor.yoi.json"), 0606), 0);
  c = scanned(dir, 0);
  passed_over(c, 0, "ctor.so", "'ctor.yoi.json': writable by everybody");
  yoi__catalogue_free(c);
}

/* In the folder where a plugin is made its manifest lies beside it. */
static void a_file_beside_may_be_the_manifest_itself(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi__catalogue *c;
  size_t n;
  char *own = files_read(files_source("tests/plugins/ctor/ctor.yoi.json"), &n);
  files_plugin("ctor", in(dir, "ctor.so"));
  files_write(in(dir, "ctor.yoi.json"), own, n);
  c = scanned(dir, 0);
  assert_int_equal(yoi__catalogue_count(c), 1);
  yoi__catalogue_free(c);
  files_write(in(dir, "ctor.yoi.json"), own, n - 1); /* not to the byte */
  c = scanned(dir, 0);
  passed_over(c, 0, "ctor.so", "manifest field");
  yoi__catalogue_free(c);
  test_free(own);
}

static void drop_in_folders_hold_runtimes_with_an_id(void **state) {
  (void)state;
  const char *dir = fresh();
  struct yoi__catalogue *c;
  files_plugin("ctor", in(dir, "ctor.so"));
  files_plugin("shape", in(dir, "shape.so"));
  c = scanned(dir, 1);
  assert_int_equal(yoi__catalogue_count(c), 1);
  assert_int_equal(yoi__catalogue_at(c, 0)->drop_in, 1);
  passed_over(c, 0, "shape.so", "'runtime_id': expected one");
  yoi__catalogue_free(c);
  /* Found on the search path before: the same bytes are the same plugin. */
  c = scanned(dir, 0);
  assert_int_equal(yoi__catalogue_at(c, 0)->drop_in, 0);
  assert_int_equal(yoi__catalogue_scan(c, dir, 1, NULL), YOI_OK);
  assert_int_equal(yoi__catalogue_count(c), 2);
  assert_int_equal(yoi__catalogue_find(c, CTOR)->drop_in, 1);
  assert_int_equal(yoi__catalogue_find(c, SHAPE)->drop_in, 0);
  files_patch(in(dir, "ctor.so"), "\"runtime_id\": \"ctor\"", "\"runtime_id\": \"crot\"");
  assert_int_equal(yoi__catalogue_scan(c, dir, 1, NULL), YOI_OK);
  passed_over(c, 1, "ctor.so", "is taken by");
  yoi__catalogue_free(c);
}

static void memory_may_be_short_anywhere(void **state) {
  (void)state;
  const char *dir = fresh();
  files_plugin("ctor", in(dir, "ctor.so"));
  for (uint64_t n = 1; n < 400; n++) {
    struct yoi__catalogue *c;
    (void)yoi_sdk_mem_fail_at(n);
    c = yoi__catalogue_new();
    if (c != NULL && yoi__catalogue_scan(c, dir, 0, NULL) == YOI_OK && yoi__catalogue_count(c) > 0)
      (void)yoi__plugin_load(yoi__catalogue_at(c, 0), NULL);
    yoi__catalogue_free(c);
    if (yoi_sdk_mem_fail_at(0) < n) return;
  }
  fail_msg("more allocations than expected");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plugins_are_found_in_order),
      cmocka_unit_test(the_first_of_an_id_wins),
      cmocka_unit_test(unsafe_files_are_passed_over),
      cmocka_unit_test(unsafe_directories_are_passed_over),
      cmocka_unit_test(refusals_before_the_load_run_no_code),
      cmocka_unit_test(a_changed_file_is_refused_and_runs_no_code),
      cmocka_unit_test(a_load_runs_the_code_once),
      cmocka_unit_test(another_major_version_is_named),
      cmocka_unit_test(tables_must_agree_with_the_manifest),
      cmocka_unit_test(serial_plugins_are_refused_as_not_supported),
      cmocka_unit_test(tables_of_other_sizes_are_copied),
      cmocka_unit_test(a_file_beside_narrows),
      cmocka_unit_test(a_file_beside_may_be_the_manifest_itself),
      cmocka_unit_test(drop_in_folders_hold_runtimes_with_an_id),
      cmocka_unit_test(memory_may_be_short_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
