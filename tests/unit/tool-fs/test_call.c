/* test_call.c - names as a model sees them, and what the system says in words. */
#include "mount_rig.h"

#include <errno.h>
#include <sdk/mem.h>

#include "plugins/tool-fs/call.h"

static void names_are_escaped_and_cut(void **state) {
  char name[600];
  (void)state;
  assert_string_equal(fs_show(YOI_LIT("src/a.c")).text, "src/a.c");
  assert_string_equal(fs_show(YOI_LIT("a\nb\x01\x7f\xff")).text, "a\\nb\\u0001\\u007f\\xff");
  memset(name, 'x', sizeof name);
  struct fs_shown shown = fs_show((yoi_str){name, 252});
  assert_int_equal(strlen(shown.text), 252);
  shown = fs_show((yoi_str){name, 253});
  assert_int_equal(strlen(shown.text), 255);
  assert_string_equal(shown.text + 251, "x...");
  for (size_t i = 0; i < sizeof name; i += 2) memcpy(name + i, "\xc3\xa4", 2);
  shown = fs_show((yoi_str){name, sizeof name}); /* never in the middle of one */
  assert_true(yoi_sdk_utf8_valid(yoi_sdk_str(shown.text)));
  memset(name, 1, sizeof name);
  shown = fs_show((yoi_str){name, sizeof name});
  assert_true(strlen(shown.text) < sizeof shown.text);
  assert_non_null(strstr(shown.text, "..."));
}

static void failures_are_said_without_the_systems_words(void **state) {
  static const struct {
    int e;
    yoi_status st;
    const char *part;
  } rows[] = {
      {ENOENT, YOI_NOT_FOUND, "not there any more"},
      {ENOSPC, YOI_RESOURCE_EXHAUSTED, "no room"},
      {EDQUOT, YOI_RESOURCE_EXHAUSTED, "no room"},
      {EROFS, YOI_PERMISSION_DENIED, "nothing can be written"},
      {EACCES, YOI_PERMISSION_DENIED, "has not allowed it"},
      {ENAMETOOLONG, YOI_INVALID_ARGUMENT, "longer"},
      {ELOOP, YOI_INVALID_ARGUMENT, "neither a regular file nor a folder"},
      {EIO, YOI_INTERNAL, "cannot write 'a'"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct yoi_sdk_error e;
    yoi_error *err = yoi_sdk_error_init(&e);
    assert_int_equal(fs_fail_errno(err, rows[i].e, "write", YOI_LIT("a")), rows[i].st);
    mr_has(e.message, rows[i].part);
    mr_has(e.message, "'a'");
    mr_has(e.private_detail, "write: ");
  }
}

/* Memory is short at each place once: the call fails or ends, nothing is left. */
static void each_allocation_may_fail(void **state) {
  struct mount_rig *g = *state;
  static const char *const rows[][2] = {
      {"fs_read", "'path':'a'"},
      {"fs_list", "'depth':3"},
      {"fs_glob", "'pattern':'*.{a,b}'"},
      {"fs_grep", "'pattern':'a.c','ignore_case':true,'context':2"},
      {"fs_write", "'path':'new','content':'x'"},
      {"fs_edit", "'path':'a','expected_revision':'%s','edits':[{'old':'one','new':'1'}]"},
  };
  files_text("m/a", "one\nabc\n");
  files_directory("m/d");
  char revision[17];
  memcpy(revision, mr_revision(g, "a"), sizeof revision);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (uint64_t n = 1;; n++) {
      char args[256] = "", json[256];
      struct tool_result r;
      const char *mark = strstr(rows[i][1], "%s");
      snprintf(args, sizeof args, "%.*s%s%s", mark ? (int)(mark - rows[i][1]) : 0, rows[i][1],
               mark ? revision : "", mark ? mark + 2 : rows[i][1]);
      snprintf(json, sizeof json, "%s", mr_json(args));
      (void)yoi_sdk_mem_fail_at(n);
      tool_host_call(g->th, rows[i][0], json, "mount:workspace:rw", &r);
      yoi_status st = r.status;
      if (st != YOI_END) assert_true(r.error.message[0] != 0);
      tool_result_release(&r);
      uint64_t made = yoi_sdk_mem_fail_at(0);
      if (st == YOI_END && made < n) break;
      if (i == 4) (void)unlink("m/new");
      if (i == 5) files_text("m/a", "one\nabc\n");
      assert_true(n < 300);
    }
    assert_true(mr_count("m") <= 3);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(names_are_escaped_and_cut),
      MR_TEST(failures_are_said_without_the_systems_words),
      MR_TEST(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
