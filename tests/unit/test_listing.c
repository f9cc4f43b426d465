/* What yoi_host_plugins says of a config, and yoi_plugin_check of a file. */
#include "host/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "support/files.h"

#define CONFIG                              \
  "{\"plugin_path\":[\"plug\",\"gone\"],\n" \
  "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\"}],\"loops\":\"x\"}"

/* plug/: ctor.so, shape.so, and two that are passed over. */
static int setup(void **state) {
  (void)state;
  files_directory("plug");
  assert_int_equal(chmod("plug", 0700), 0);
  files_plugin("ctor", "plug/ctor.so");
  files_plugin("shape", "plug/shape.so");
  files_plugin("ctor", "plug/twice.so");
  files_text("plug/text.so", "not a shared object, but long enough to have an ELF header");
  setenv("YOI_TEST_CTOR", "ran", 1);
  (void)unlink("ran");
  return 0;
}

static yoi_sdk_json *parsed(char *text, size_t len) {
  yoi_sdk_json *tree = NULL;
  assert_int_equal(strlen(text), len);
  assert_int_equal(yoi_sdk_json_parse((yoi_str){text, len}, 0, &tree, NULL), YOI_OK);
  yoi_free(text);
  return tree;
}

static yoi_sdk_json *checked(const char *path, uint32_t flags) {
  char *text = NULL;
  size_t len = 0;
  assert_int_equal(yoi_plugin_check(path, flags, &text, &len, NULL), YOI_OK);
  return parsed(text, len);
}

static const yoi_sdk_json *row(const yoi_sdk_json *list, const char *key, const char *value) {
  const yoi_sdk_json *v = yoi_sdk_json_first(list);
  for (; v != NULL; v = yoi_sdk_json_next(v)) {
    yoi_str s = {NULL, 0};
    if (yoi_sdk_json_str(yoi_sdk_json_get(v, key), &s) && strstr(s.ptr, value) != NULL) return v;
  }
  fail_msg("no row has %s '%s'", key, value);
  return NULL;
}

static const char *text(const yoi_sdk_json *v, const char *key) {
  yoi_str s = {NULL, 0};
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, key), &s)) fail_msg("no text '%s'", key);
  return s.ptr;
}

static int truth(const yoi_sdk_json *v, const char *key) {
  int is = -1;
  assert_true(yoi_sdk_json_bool(yoi_sdk_json_get(v, key), &is));
  return is;
}

static void a_config_tells_what_it_finds(void **state) {
  (void)state;
  char *said = NULL;
  size_t len = 0;
  /* "loops" is wrong: what was found is told all the same. */
  assert_int_equal(yoi_host_plugins(CONFIG, strlen(CONFIG), NULL, &said, &len, NULL), YOI_OK);
  yoi_sdk_json *all = parsed(said, len);
  const yoi_sdk_json *plugins = yoi_sdk_json_get(all, "plugins");
  const yoi_sdk_json *passed = yoi_sdk_json_get(all, "passed_over");
  assert_int_equal(yoi_sdk_json_count(plugins), 2);
  const yoi_sdk_json *p = row(plugins, "id", "dev.yoi.test.ctor");
  assert_string_equal(text(p, "kind"), "runtime");
  assert_string_equal(text(p, "version"), "1.0.0");
  assert_string_equal(text(p, "threads"), "parallel");
  assert_string_equal(text(p, "runtime_id"), "ctor");
  assert_int_equal(strlen(text(p, "digest")), 71);
  assert_non_null(strstr(text(p, "path"), "plug/ctor.so"));
  assert_int_equal(truth(p, "linked"), 0);
  assert_null(yoi_sdk_json_get(p, "pin"));
  assert_string_equal(text(yoi_sdk_json_first(yoi_sdk_json_get(p, "used_by")), "name"), "r");
  assert_non_null(
      yoi_sdk_json_get(yoi_sdk_json_get(yoi_sdk_json_get(p, "config"), "properties"), "note"));
  p = row(plugins, "id", "dev.yoi.test.shape");
  assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(p, "used_by")), 0);
  assert_int_equal(yoi_sdk_json_count(passed), 3);
  assert_non_null(strstr(text(row(passed, "path", "text.so"), "reason"), "truncated"));
  assert_non_null(strstr(text(row(passed, "path", "twice.so"), "reason"), "is taken by"));
  assert_int_equal(truth(row(passed, "path", "gone"), "folder"), 1);
  assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(all, "searched")), 2);
  yoi_sdk_json_free(all);
  assert_false(files_exist("ran"));
}

static void text_that_is_no_config_finds_nothing(void **state) {
  (void)state;
  char *said = NULL;
  size_t len = 0;
  struct yoi_sdk_error e;
  assert_int_equal(yoi_host_plugins("{", 1, NULL, &said, &len, yoi_sdk_error_init(&e)), YOI_OK);
  assert_int_equal(e.e.code, 0); /* no error, and nothing said of one */
  assert_string_equal(e.message, "");
  yoi_sdk_json *all = parsed(said, len);
  assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(all, "plugins")), 0);
  yoi_sdk_json_free(all);
}

static void a_sound_file_is_ok_and_runs_when_asked_to(void **state) {
  (void)state;
  yoi_sdk_json *v = checked("plug/ctor.so", 0);
  int64_t generation = -1;
  assert_int_equal(truth(v, "ok"), 1);
  assert_int_equal(truth(v, "loaded"), 0);
  assert_null(yoi_sdk_json_get(v, "unpinnable"));
  assert_string_equal(text(yoi_sdk_json_get(v, "plugin"), "id"), "dev.yoi.test.ctor");
  yoi_sdk_json_free(v);
  assert_false(files_exist("ran"));
  assert_int_equal(chmod("plug/ctor.so", 0660), 0);
  v = checked("plug/ctor.so", YOI_PLUGIN_LOAD);
  assert_int_equal(truth(v, "ok"), 1);
  assert_int_equal(truth(v, "loaded"), 1);
  assert_non_null(strstr(text(v, "unpinnable"), "field 'mode' of its file"));
  assert_true(
      yoi_sdk_json_int(yoi_sdk_json_get(yoi_sdk_json_get(v, "plugin"), "generation"), &generation));
  assert_int_equal(generation, 1);
  yoi_sdk_json_free(v);
  assert_true(files_exist("ran"));
}

/* The findings are these, and no code ran for them. */
static void finds(const char *path, const char *const *expected, size_t n) {
  yoi_sdk_json *v = checked(path, YOI_PLUGIN_LOAD);
  const yoi_sdk_json *f = yoi_sdk_json_first(yoi_sdk_json_get(v, "findings"));
  assert_int_equal(truth(v, "ok"), 0);
  assert_int_equal(truth(v, "loaded"), 0);
  for (size_t i = 0; i < n; i++, f = yoi_sdk_json_next(f)) {
    yoi_str s = {NULL, 0};
    if (!yoi_sdk_json_str(f, &s)) fail_msg("%s: missing '%s'", path, expected[i]);
    if (strstr(s.ptr, expected[i]) == NULL)
      fail_msg("%s: '%s' is not '%s'", path, s.ptr, expected[i]);
  }
  assert_null(f);
  yoi_sdk_json_free(v);
  assert_false(files_exist("ran"));
}

#define FINDS(path, ...)                                       \
  do {                                                         \
    static const char *const expected[] = {__VA_ARGS__};       \
    finds(path, expected, sizeof expected / sizeof *expected); \
  } while (0)

static void everything_that_is_wrong_is_said_at_once(void **state) {
  (void)state;
  files_patch("plug/ctor.so", "\"abi\": 1", "\"abi\": 2");
  files_patch("plug/ctor.so", "\"version\": \"1.0.0\"", "\"version\": \"1.0\"");
  files_patch("plug/ctor.so", "\"runtime_id\"", "\"runtime_xx\"");
  assert_int_equal(chmod("plug/ctor.so", 0606), 0);
  assert_int_equal(chmod("plug", 0707), 0);
  FINDS("plug/ctor.so", "its folder is writable by everybody", "writable by everybody",
        "unknown manifest field 'runtime_xx', did you mean 'runtime_id'",
        "'version': expected major.minor.patch, found '1.0'", "'abi': expected 1, found 2");
}

static void files_that_are_none_are_said(void **state) {
  (void)state;
  assert_int_equal(symlink("ctor.so", "plug/link.so"), 0);
  FINDS("plug/link.so", "is a symbolic link");
  assert_int_equal(unlink("plug/link.so"), 0);
  FINDS("plug/absent.so", "No such file");
  FINDS("none/absent.so", "its folder cannot be opened: No such file");
  files_plugin("ctor", "plug/ctor.so.1");
  FINDS("plug/ctor.so.1", "name: expected one that ends in '.so'");
  files_directory("plug/folder.so");
  FINDS("plug/folder.so", "not a regular file");
  FINDS("plug/text.so", "truncated"); /* once, though two look for something in it */
  files_plugin("badentry", "plug/badentry.so");
  FINDS("plug/badentry.so",
        "entry symbol missing: expected 'yoi_plugin_entry_v1', found 'yoi_plugin_entry_v2'");
  files_text("plug/ctor.yoi.json", "{\"grants\":[\"model:*\"]}");
  FINDS("plug/ctor.so", "expected a part of the plugin's own");
  assert_int_equal(unlink("plug/ctor.yoi.json"), 0);
}

static void a_load_that_fails_is_a_finding(void **state) {
  (void)state;
  setenv("YOI_TEST_SHAPE", "id", 1);
  FINDS("plug/shape.so", "table field 'id': expected 'dev.yoi.test.shape'");
  setenv("YOI_TEST_SHAPE", "", 1);
}

static void arguments_are_checked(void **state) {
  (void)state;
  char path[YOI_PATH_BYTES_MAX + 1], *said = NULL;
  memset(path, 'a', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  assert_int_equal(yoi_plugin_check("x.so", 2, &said, NULL, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_plugin_check("", 0, &said, NULL, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_plugin_check(NULL, 0, &said, NULL, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_plugin_check(path, 0, &said, NULL, NULL), YOI_INVALID_ARGUMENT);
  assert_null(said);
  path[YOI_PATH_BYTES_MAX - 1] = '\0';
  yoi_sdk_json_free(checked(path, 0));
}

static void memory_may_be_short_anywhere(void **state) {
  (void)state;
  for (uint64_t n = 1; n < 2000; n++) {
    char *said = NULL;
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi_host_plugins(CONFIG, strlen(CONFIG), NULL, &said, NULL, NULL);
    if (st == YOI_OK) {
      yoi_free(said);
      said = NULL;
      st = yoi_plugin_check("plug/ctor.so", 0, &said, NULL, NULL);
    }
    int done = yoi_sdk_mem_fail_at(0) < n;
    assert_int_equal(st == YOI_OK, said != NULL);
    yoi_free(said);
    if (done) return;
  }
  fail_msg("more allocations than expected");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_config_tells_what_it_finds, setup),
      cmocka_unit_test_setup(text_that_is_no_config_finds_nothing, setup),
      cmocka_unit_test_setup(everything_that_is_wrong_is_said_at_once, setup),
      cmocka_unit_test_setup(files_that_are_none_are_said, setup),
      cmocka_unit_test_setup(a_load_that_fails_is_a_finding, setup),
      cmocka_unit_test_setup(a_sound_file_is_ok_and_runs_when_asked_to, setup),
      cmocka_unit_test_setup(arguments_are_checked, setup),
      cmocka_unit_test_setup(memory_may_be_short_anywhere, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
