/* test_fs_list.c - what is in folders, and which files fit a pattern. */
#include "mount_rig.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static void make_tree(void) {
  static const char *const folders[] = {"m/src", "m/src/deep", "m/.git", "m/.git/objects", "m/b"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) files_directory(folders[i]);
  files_text("m/src/main.c", "int main;\n");
  files_text("m/src/deep/x.h", "x\n");
  files_text("m/src/deep/x.c", "");
  files_text("m/.git/objects/a.c", "no");
  files_text("m/b.c", "b");
  files_text("m/b/z.txt", "z");
}

static void one_level_is_listed(void **state) {
  struct mount_rig *g = *state;
  make_tree();
  assert_string_equal(mr_do(g, "fs_list", ""),
                      "'.': 4 entries\n.git/\nb/\nb.c 1\nsrc/\n");
  assert_string_equal(mr_do(g, "fs_list", "'path':'src'"),
                      "'src': 2 entries\ndeep/\nmain.c 10\n");
}

static void levels_follow_their_folder(void **state) {
  struct mount_rig *g = *state;
  make_tree();
  assert_string_equal(mr_do(g, "fs_list", "'depth':64"),
                      "'.': 9 entries\n.git/\nb/\nb/z.txt 1\nb.c 1\nsrc/\nsrc/deep/\n"
                      "src/deep/x.c 0\nsrc/deep/x.h 2\nsrc/main.c 10\n");
}

static void the_limit_is_said(void **state) {
  struct mount_rig *g = *state;
  make_tree();
  const char *s = mr_do(g, "fs_list", "'limit':2");
  mr_has(s, "'.': 2 entries\n.git/\nb/\nended early: that is the limit");
}

static void all_kinds_are_told_apart(void **state) {
  struct mount_rig *g = *state;
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "m/sock"};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
  close(fd);
  assert_int_equal(mkfifo("m/fifo", 0600), 0);
  assert_int_equal(symlink("/etc/passwd", "m/link"), 0);
  const char *s = mr_do(g, "fs_list", "");
  mr_has(s, "\nfifo (pipe)\nlink (link)\nsock (socket)\n");
  mr_lacks(s, "passwd");
}

static void names_are_shown_so_that_they_do_nothing(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a\nb", "");
  files_text("m/a\x1b[31m", "");
  files_text("m/bad\xff", "");
  files_text("m/quo\"te", "");
  files_text("m/\"q", "");
  files_text("m/\xc2\x9b" "csi", "");
  files_text("m/gr\xc3\xbc\xc3\x9f", "");
  const char *s = mr_do(g, "fs_list", "");
  mr_has(s, "\n\"a\\nb\" 0\n");
  mr_has(s, "\n\"a\\u001b[31m\" 0\n");
  mr_has(s, "\n\"bad\\xff\" 0\n");
  mr_has(s, "\nquo\"te 0\n");
  mr_has(s, "\n\"\\\"q\" 0\n");
  mr_has(s, "\n\"\\u009bcsi\" 0\n");
  mr_has(s, "\ngr\xc3\xbc\xc3\x9f 0\n");
  mr_has(mr_do(g, "fs_read", "'path':'a\\nb'"), "'a\\nb': empty");
}

static void links_are_not_gone_into(void **state) {
  struct mount_rig *g = *state;
  make_tree();
  assert_int_equal(symlink("..", "m/src/up"), 0);
  assert_int_equal(symlink("../outside", "m/out"), 0);
  const char *s = mr_do(g, "fs_list", "'depth':64");
  mr_has(s, "\nout (link)\n");
  mr_has(s, "\nsrc/up (link)\n");
  mr_lacks(s, "secret");
  mr_lacks(s, "src/up/");
  mr_has(mr_do(g, "fs_list", "'path':'src/up/b'"), "z.txt 1"); /* inside, as the mount allows */
  (void)mr_fails(g, YOI_PERMISSION_DENIED, "fs_list", "'path':'out'");
}

static void patterns_find_files(void **state) {
  struct mount_rig *g = *state;
  make_tree();
  assert_int_equal(symlink("b.c", "m/link.c"), 0);
  assert_string_equal(mr_do(g, "fs_glob", "'pattern':'*.c'"),
                      "'.': 4 files\nb.c\nlink.c\nsrc/deep/x.c\nsrc/main.c\n");
  assert_string_equal(mr_do(g, "fs_glob", "'pattern':'src/*.c'"), "'.': 1 file\nsrc/main.c\n");
  assert_string_equal(mr_do(g, "fs_glob", "'pattern':'./src/**/*.{c,h}'"),
                      "'.': 3 files\nsrc/deep/x.c\nsrc/deep/x.h\nsrc/main.c\n");
  assert_string_equal(mr_do(g, "fs_glob", "'pattern':'deep/*','path':'src'"),
                      "'src': 2 files\nsrc/deep/x.c\nsrc/deep/x.h\n");
  assert_string_equal(mr_do(g, "fs_glob", "'pattern':'*.h','path':'src/deep/'"),
                      "'src/deep/': 1 file\nsrc/deep/x.h\n");
  assert_string_equal(mr_do(g, "fs_glob", "'pattern':'**/a.c'"), "'.': 0 files\n");
  mr_has(mr_do(g, "fs_glob", "'pattern':'*','path':'.git'"), ".git/objects/a.c\n");
  mr_has(mr_do(g, "fs_glob", "'pattern':'*','limit':1"), "ended early");
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_glob",
                  "'pattern':'{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}'"),
         "it has too many choices. '**/*.{c,h}' is one");
}

static void a_full_result_ends_early_and_says_so(void **state) {
  struct mount_rig *g = *state;
  char name[128];
  for (int i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "m/%0100d", i);
    files_text(name, "");
  }
  mr_config(g, "{\"output_bytes\":4096}");
  const char *s = mr_do(g, "fs_list", "'limit':10000");
  assert_true(g->r.output_len <= 4096);
  mr_has(s, "ended early: what it has to say is as long as it may be");
  s = mr_do(g, "fs_glob", "'pattern':'*','limit':10000");
  assert_true(g->r.output_len <= 4096);
  mr_has(s, "ended early: what it has to say");
}

/* As in a folder of a mail server; the names are read and sorted at once. */
static void a_hundred_thousand_entries_are_found(void **state) {
  struct mount_rig *g = *state;
  char name[32];
  files_directory("m/d");
  int folder = open("m/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 100000; i++) {
    snprintf(name, sizeof name, "%05d", i);
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
  }
  close(folder);
  assert_string_equal(mr_do(g, "fs_glob", "'pattern':'*9999'"),
                      "'.': 10 files\nd/09999\nd/19999\nd/29999\nd/39999\nd/49999\nd/59999\n"
                      "d/69999\nd/79999\nd/89999\nd/99999\n");
  mr_has(mr_do(g, "fs_list", "'path':'d','limit':3"), "\n00000 0\n00001 0\n00002 0\nended early");
}

static void a_very_deep_tree_ends_at_its_maximum(void **state) {
  struct mount_rig *g = *state;
  int at = open("m", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 3000; i++) {
    assert_int_equal(mkdirat(at, "d", 0700), 0);
    int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(next >= 0);
    close(at);
    at = next;
  }
  close(at);
  const char *s = mr_do(g, "fs_list", "'depth':64,'limit':1000");
  mr_has(s, "'.': 64 entries\n");
  s = mr_do(g, "fs_glob", "'pattern':'*'");
  mr_has(s, "left out: 1 folders that lie too deep; begin further down");
  while (rename("m/d", "top") == 0) { /* deeper than a path: from the top, one by one */
    (void)rename("top/d", "m/d");
    assert_int_equal(rmdir("top"), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(one_level_is_listed),
      MR_TEST(levels_follow_their_folder),
      MR_TEST(the_limit_is_said),
      MR_TEST(all_kinds_are_told_apart),
      MR_TEST(names_are_shown_so_that_they_do_nothing),
      MR_TEST(links_are_not_gone_into),
      MR_TEST(patterns_find_files),
      MR_TEST(a_full_result_ends_early_and_says_so),
      MR_TEST(a_hundred_thousand_entries_are_found),
      MR_TEST(a_very_deep_tree_ends_at_its_maximum),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
