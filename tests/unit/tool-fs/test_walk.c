/* test_walk.c - the limits of a walk at their edges, and its order. */
#include "mount_rig.h"

#include <sdk/mem.h>

#include "plugins/tool-fs/walk.h"

static struct fs_walk *walk(size_t depth, size_t folder, size_t entries) {
  struct fs_walk_limits limits = {depth, folder, entries};
  struct fs_walk *w =
      fs_walk_new(open("m", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &limits);
  assert_non_null(w);
  return w;
}

/* All paths, with a blank behind each. */
static const char *paths(struct fs_walk *w) {
  static char text[4096]; /* process-wide: a test has one thread */
  struct fs_entry e;
  int got;
  text[0] = 0;
  while ((got = fs_walk_next(w, &e)) == 1) {
    strncat(text, e.path.ptr, e.path.len);
    strncat(text, " ", 2);
  }
  assert_int_equal(got, 0);
  assert_int_equal(fs_walk_next(w, &e), 0);
  return text;
}

static void make_tree(void) {
  files_directory("m/b");
  files_directory("m/b/c");
  files_text("m/b/c/z", "");
  files_text("m/a", "");
  files_text("m/b0", "");
  files_text("m/b/x", "");
}

static void the_order_is_that_of_bytes(void **state) {
  (void)state;
  make_tree();
  files_text("m/\xff", "");
  files_text("m/Z", "");
  struct fs_walk *w = walk(64, 100, 100);
  assert_string_equal(paths(w), "Z a b b/c b/c/z b/x b0 \xff ");
  assert_int_equal(fs_walk_seen(w), 8);
  fs_walk_free(w);
}

static void each_limit_holds_at_its_edge(void **state) {
  (void)state;
  make_tree();
  struct fs_walk *w = walk(3, 3, 6);
  assert_string_equal(paths(w), "a b b/c b/c/z b/x b0 ");
  assert_false(fs_walk_left(w)->deep || fs_walk_left(w)->large || fs_walk_left(w)->entries);
  fs_walk_free(w);
  w = walk(2, 3, 6);
  assert_string_equal(paths(w), "a b b/c b/x b0 ");
  assert_int_equal(fs_walk_left(w)->deep, 1);
  fs_walk_free(w);
  w = walk(3, 2, 6);
  assert_string_equal(paths(w), "");
  assert_int_equal(fs_walk_left(w)->large, 1);
  fs_walk_free(w);
  w = walk(3, 3, 5);
  assert_string_equal(paths(w), "a b b/c ");
  assert_true(fs_walk_left(w)->entries);
  fs_walk_free(w);
  w = walk(3, 3, 0);
  assert_string_equal(paths(w), "");
  assert_true(fs_walk_left(w)->entries);
  fs_walk_free(w);
  assert_int_equal(fs_walk_limits.depth, YOI_FS_DEPTH_MAX);
  assert_int_equal(fs_walk_limits.folder, YOI_FS_FOLDER_ENTRIES_MAX);
  assert_int_equal(fs_walk_limits.entries, YOI_FS_WALK_ENTRIES_MAX);
}

static void a_folder_is_passed_over_when_it_is_said(void **state) {
  (void)state;
  make_tree();
  struct fs_walk *w = walk(64, 100, 100);
  struct fs_entry e;
  while (fs_walk_next(w, &e) == 1 && strcmp(e.name.ptr, "b") != 0) continue;
  fs_walk_skip(w);
  assert_string_equal(paths(w), "b0 ");
  fs_walk_free(w);
}

static void what_goes_away_meanwhile_is_passed_over(void **state) {
  (void)state;
  make_tree();
  struct fs_walk *w = walk(64, 100, 100);
  struct fs_entry e;
  while (fs_walk_next(w, &e) == 1 && strcmp(e.name.ptr, "b") != 0) continue;
  assert_int_equal(rename("m/b", "outside/b"), 0);
  assert_int_equal(symlink("../outside", "m/b"), 0); /* in its place */
  assert_string_equal(paths(w), "b0 ");
  fs_walk_free(w);
}

static void in_the_middle_it_can_be_given_up(void **state) {
  (void)state;
  make_tree();
  struct fs_walk *w = walk(64, 100, 100);
  struct fs_entry e;
  while (fs_walk_next(w, &e) == 1 && strcmp(e.name.ptr, "z") != 0) continue;
  size_t open_ones = mr_count("/proc/self/fd");
  fs_walk_free(w);
  assert_int_equal(mr_count("/proc/self/fd"), open_ones - 3);
}

static void without_memory_it_ends(void **state) {
  (void)state;
  make_tree();
  size_t open_ones = mr_count("/proc/self/fd");
  for (uint64_t n = 1;; n++) {
    struct fs_entry e;
    int got = -1;
    (void)yoi_sdk_mem_fail_at(n);
    struct fs_walk *w =
        fs_walk_new(open("m", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &fs_walk_limits);
    while (w && (got = fs_walk_next(w, &e)) == 1) continue;
    fs_walk_free(w);
    if (got == 0) break;
    assert_true(n < 100);
  }
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(mr_count("/proc/self/fd"), open_ones);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(the_order_is_that_of_bytes),
      MR_TEST(each_limit_holds_at_its_edge),
      MR_TEST(a_folder_is_passed_over_when_it_is_said),
      MR_TEST(what_goes_away_meanwhile_is_passed_over),
      MR_TEST(in_the_middle_it_can_be_given_up),
      MR_TEST(without_memory_it_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
