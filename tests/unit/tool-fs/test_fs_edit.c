/* test_fs_edit.c - edits of a file: all or none, for the revision that was read. */
#include "mount_rig.h"

static const char *args_for(const char *revision, const char *edits) {
  static char args[4096]; /* process-wide: a test has one thread */
  snprintf(args, sizeof args, "'path':'a','expected_revision':'%s','edits':[%s]", revision, edits);
  return args;
}

static void edits_follow_each_other(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "one\ntwo\nthree\n");
  const char *s = mr_do(g, "fs_edit",
                        args_for(mr_revision(g, "a"), "{'old':'two','new':'2'},"
                                                      "{'old':'2\\n','new':'zwei\\nzwo\\n'},"
                                                      "{'old':'o','new':'0','all':true}"));
  mr_has(s, "changed 'a': 3 edits, 4 lines, 19 bytes, revision ");
  mr_has(s, "@@ line 2 @@\n-two\n+2\n@@ line 2 @@\n-2\n+zwei\n+zwo\n"
            "@@ line 1, and 1 more places @@");
  mr_file_is("m/a", "0ne\nzwei\nzw0\nthree\n");
  char now[17];
  snprintf(now, sizeof now, "%.16s", strstr(s, "revision ") + 9);
  assert_string_equal(mr_revision(g, "a"), now); /* good for the next edit */
}

static void one_that_cannot_be_made_leaves_the_file(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "one\ntwo\n");
  const char *s = mr_fails(g, YOI_INVALID_ARGUMENT, "fs_edit",
                           args_for(mr_revision(g, "a"), "{'old':'one','new':'1'},"
                                                         "{'old':'one','new':'2'}"));
  mr_has(s, "edit 2: 'old' is not in the file as the edits before have left it");
  mr_file_is("m/a", "one\ntwo\n");
  assert_int_equal(mr_count("m"), 1);
}

static void the_revision_has_to_be_that_of_the_file(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "one\n");
  char was[17];
  memcpy(was, mr_revision(g, "a"), sizeof was);
  files_text("m/a", "one \n");
  mr_has(mr_fails(g, YOI_FAILED_PRECONDITION, "fs_edit", args_for(was, "{'old':'one','new':'1'}")),
         "'a' has changed since revision");
  mr_file_is("m/a", "one \n");
  assert_int_equal(unlink("m/a"), 0);
  mr_has(mr_fails(g, YOI_NOT_FOUND, "fs_edit", args_for(was, "{'old':'one','new':'1'}")),
         "'a' is not there: fs_write makes it");
}

static void twice_is_once(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "one\n");
  char was[17];
  memcpy(was, mr_revision(g, "a"), sizeof was);
  const char *args = args_for(was, "{'old':'one','new':'one one'}");
  (void)mr_do(g, "fs_edit", args);
  (void)mr_fails(g, YOI_FAILED_PRECONDITION, "fs_edit", args);
  mr_file_is("m/a", "one one\n");
}

static void cr_lf_is_kept(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "one\r\ntwo\r\nthree\r\n");
  (void)mr_do(g, "fs_edit",
              args_for(mr_revision(g, "a"), "{'old':'one\\ntwo','new':'1\\n2\\r\\n2'}"));
  mr_file_is("m/a", "1\r\n2\r\n2\r\nthree\r\n");
  files_text("m/a", "one\r\ntwo\n");
  (void)mr_fails(g, YOI_INVALID_ARGUMENT, "fs_edit",
                 args_for(mr_revision(g, "a"), "{'old':'one\\ntwo','new':'x'}"));
}

static void binary_files_and_links_are_not_edited(void **state) {
  struct mount_rig *g = *state;
  char now[17];
  files_write("m/a", "one\0", 4);
  const char *s = mr_fails(g, YOI_FAILED_PRECONDITION, "fs_edit",
                           args_for("0", "{'old':'o','new':'1'}"));
  snprintf(now, sizeof now, "%.16s", strstr(s, "it is ") + 6);
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_edit", args_for(now, "{'old':'o','new':'1'}")),
         "has 4 bytes and is binary");
  assert_int_equal(unlink("m/a"), 0);
  assert_int_equal(symlink("../outside/secret", "m/a"), 0);
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_edit", args_for(now, "{'old':'o','new':'1'}")),
         "is a symbolic link");
  mr_file_is("outside/secret", "the secret\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(edits_follow_each_other),
      MR_TEST(one_that_cannot_be_made_leaves_the_file),
      MR_TEST(the_revision_has_to_be_that_of_the_file),
      MR_TEST(twice_is_once),
      MR_TEST(cr_lf_is_kept),
      MR_TEST(binary_files_and_links_are_not_edited),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
