/* test_manifest.c - the limits that the manifest keeps are those of limits.h, and
 * hold at their edges. */
#include "mount_rig.h"

#include <sdk/schema.h>

static yoi_sdk_json *manifest;

static int load(void **state) {
  size_t n;
  char *text = files_read(files_source("plugins/tool-fs/tool-fs.yoi.json"), &n);
  (void)state;
  assert_int_equal(yoi_sdk_json_parse((yoi_str){text, n}, 0, &manifest, NULL), YOI_OK);
  test_free(text);
  return 0;
}

static int unload(void **state) {
  (void)state;
  yoi_sdk_json_free(manifest);
  return 0;
}

/* 1: the value, JSON with ' for ", fits. */
static int fits(const yoi_sdk_json *schema, const char *text) {
  struct yoi_sdk_schema *s;
  yoi_sdk_json *value;
  assert_int_equal(yoi_sdk_schema_new(schema, NULL, NULL, &s), YOI_OK);
  assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(mr_json(text)), 0, &value, NULL), YOI_OK);
  yoi_status st = yoi_sdk_schema_test(s, value, "", NULL, NULL);
  yoi_sdk_json_free(value);
  yoi_sdk_schema_free(s);
  return st == YOI_OK;
}

static const yoi_sdk_json *tool(const char *name) {
  const yoi_sdk_json *t = yoi_sdk_json_first(yoi_sdk_json_get(manifest, "tools"));
  yoi_str is;
  for (; t; t = yoi_sdk_json_next(t))
    if (yoi_sdk_json_str(yoi_sdk_json_get(t, "name"), &is) && yoi_sdk_str_is(is, name)) return t;
  fail_msg("no tool %s", name);
  return NULL;
}

static int takes(const char *name, const char *args) {
  return fits(yoi_sdk_json_get(tool(name), "parameters"), args);
}

static void numbers_have_their_maximum(void **state) {
  static const struct {
    const char *tool, *required, *member;
    long least, most;
  } rows[] = {
      {"fs_read", "'path':'a',", "limit", 1, YOI_FS_LINES_MAX},
      {"fs_list", "", "limit", 1, YOI_FS_ROWS_MAX},
      {"fs_list", "", "depth", 1, YOI_FS_DEPTH_MAX},
      {"fs_glob", "'pattern':'a',", "limit", 1, YOI_FS_ROWS_MAX},
      {"fs_grep", "'pattern':'a',", "limit", 1, YOI_FS_ROWS_MAX},
      {"fs_grep", "'pattern':'a',", "context", 0, YOI_FS_CONTEXT_MAX},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    long values[] = {rows[i].least - 1, rows[i].least, rows[i].most, rows[i].most + 1};
    for (size_t k = 0; k < 4; k++) {
      char args[128];
      snprintf(args, sizeof args, "%s'%s':%ld", rows[i].required, rows[i].member, values[k]);
      if (takes(rows[i].tool, args) != (k == 1 || k == 2)) fail_msg("%s %s", rows[i].tool, args);
    }
  }
  for (int over = 0; over < 2; over++) {
    char config[64];
    snprintf(config, sizeof config, "'output_bytes':%d", YOI_FS_OUTPUT_BYTES_MIN - over);
    assert_int_equal(fits(yoi_sdk_json_get(manifest, "config"), config), !over);
    snprintf(config, sizeof config, "'output_bytes':%d", YOI_TOOL_RESULT_BYTES_MAX + over);
    assert_int_equal(fits(yoi_sdk_json_get(manifest, "config"), config), !over);
  }
}

static void texts_and_lists_have_theirs(void **state) {
  char *args = test_calloc(1, 20000);
  (void)state;
  for (int over = 0; over < 2; over++) {
    snprintf(args, 20000, "'pattern':'%0*d'", YOI_FS_PATTERN_MAX + over, 0);
    assert_int_equal(takes("fs_grep", args), !over);
    snprintf(args, 20000, "'pattern':'%0*d'", YOI_GLOB_BYTES_MAX + over, 0);
    assert_int_equal(takes("fs_glob", args), !over);
    snprintf(args, 20000, "'path':'%0*d'", YOI_MOUNT_PATH_MAX + over, 0);
    assert_int_equal(takes("fs_read", args), !over);
    size_t n = (size_t)snprintf(args, 20000, "'path':'a','expected_revision':'0','edits':[");
    for (int i = 0; i < YOI_FS_EDITS_MAX + over; i++)
      n += (size_t)snprintf(args + n, 20000 - n, "%s{'old':'a','new':''}", i ? "," : "");
    snprintf(args + n, 20000 - n, "]");
    assert_int_equal(takes("fs_edit", args), !over);
  }
  assert_false(takes("fs_edit", "'path':'a','expected_revision':'0','edits':[]"));
  assert_false(takes("fs_edit", "'path':'a','expected_revision':'0',"
                                "'edits':[{'old':'','new':''}]"));
  assert_false(takes("fs_edit", "'path':'a','edits':[{'old':'a','new':''}]"));
  test_free(args);
}

static void what_changes_something_says_so(void **state) {
  static const char *const names[] = {"fs_read", "fs_list", "fs_glob", "fs_grep", "fs_write",
                                      "fs_edit"};
  (void)state;
  for (size_t i = 0; i < 6; i++) {
    int read_only = 0, idempotent = 0;
    (void)yoi_sdk_json_bool(yoi_sdk_json_get(tool(names[i]), "read_only"), &read_only);
    (void)yoi_sdk_json_bool(yoi_sdk_json_get(tool(names[i]), "idempotent"), &idempotent);
    assert_int_equal(read_only, i < 4);
    assert_false(idempotent); /* of what is read-only it is the default */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_have_their_maximum),
      cmocka_unit_test(texts_and_lists_have_theirs),
      cmocka_unit_test(what_changes_something_says_so),
  };
  return cmocka_run_group_tests(tests, load, unload);
}
