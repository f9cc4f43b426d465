/* test_edit.c - one text in place of another, and what is said when it cannot be
 * done. */
#include "mount_rig.h"

#include "plugins/tool-fs/edit.h"
#include <sdk/mem.h>

static char said[4096];

/* The text behind an edit; fails when that fails. */
static const char *edited(const char *text, const char *old, const char *new, int all) {
  static char made[4096]; /* process-wide: a test has one thread */
  struct yoi_sdk_buf b, s;
  struct yoi_sdk_error e;
  yoi_sdk_buf_init(&b, 4096);
  yoi_sdk_buf_init(&s, 4096);
  yoi_sdk_buf_adds(&b, yoi_sdk_str(text));
  yoi_status st = fs_edit_text(&b, yoi_sdk_str(old), yoi_sdk_str(new), all, 1, &s,
                               yoi_sdk_error_init(&e));
  snprintf(made, sizeof made, "%s", st == YOI_OK ? b.data : e.message);
  snprintf(said, sizeof said, "%s", s.data ? s.data : "");
  if (st != YOI_OK) assert_string_equal(b.data, text);
  yoi_sdk_buf_release(&b);
  yoi_sdk_buf_release(&s);
  return made;
}

static void one_place_is_changed(void **state) {
  (void)state;
  assert_string_equal(edited("a\nb\nc\n", "b", "B\nB", 0), "a\nB\nB\nc\n");
  assert_string_equal(said, "@@ line 2 @@\n-b\n+B\n+B\n");
  assert_string_equal(edited("abc", "abc", "", 0), "");
  assert_string_equal(said, "@@ line 1 @@\n-abc\n");
  assert_string_equal(edited("a\nb\n", "\nb", "", 0), "a\n");
  assert_string_equal(edited("x\ny", "y", "z", 0), "x\nz");
}

static void all_places_are_changed_when_it_is_said(void **state) {
  (void)state;
  assert_string_equal(edited("aaaa", "aa", "b", 1), "bb");
  assert_string_equal(edited("a\na\na\n", "a", "aa", 1), "aa\naa\naa\n");
  assert_string_equal(said, "@@ line 1, and 2 more places @@\n-a\n+aa\n");
}

static void several_places_are_said_by_their_lines(void **state) {
  (void)state;
  assert_string_equal(edited("x\ny\nx\n\nx", "x", "z", 0),
                      "edit 1: 'old' stands 3 times in the file, at lines 1, 3, 5: take in more of "
                      "what is around the one that is meant, or say all: true. Nothing was "
                      "changed");
  mr_has(edited("x\nx\nx\nx\nx\nx\nx\nx\nx\n", "x", "z", 0),
         "stands 9 times in the file, at lines 1, 2, 3, 4, 5, 6, 7, 8 and more");
}

static void what_is_not_there_is_explained(void **state) {
  (void)state;
  mr_has(edited("a\n", "b", "c", 0),
         "edit 1: 'old' is not in the file: take it from what");
  mr_has(edited("int a;\n\tint b;\n", "1\tint a;\n2\t\tint b;", "c", 0),
         "'old' begins with the numbers of lines");
  mr_has(edited("if (x) {\n\treturn;\n}\n", "if (x) {\n    return;\n}", "c", 0),
         "at line 1 it is but for blanks or tabs at the ends of lines");
  mr_has(edited("a\nb  \nc\n", "b\nc\n", "x", 0), "at line 2 it is");
  mr_has(edited("", "b", "c", 0), "is not in the file");
  mr_has(edited("a", "a", "a", 0), "'old' and 'new' are the same");
  mr_has(edited("a\nb", "b\nc", "d", 0), "is not in the file");
}

static void a_hint_takes_no_time(void **state) {
  struct yoi_sdk_buf b, s;
  (void)state;
  yoi_sdk_buf_init(&b, 8000000);
  yoi_sdk_buf_init(&s, 4096);
  char *blank = test_calloc(1, 200000); /* each line is like each of these */
  memset(blank, '\n', 199998);
  blank[199998] = 'x';
  memset(yoi_sdk_buf_reserve(&b, 4000000), '\n', 4000000);
  b.len = 4000000;
  assert_int_equal(fs_edit_text(&b, yoi_sdk_str(blank), YOI_LIT(""), 0, 1, &s, NULL),
                   YOI_INVALID_ARGUMENT);
  test_free(blank);
  yoi_sdk_buf_release(&b);
  yoi_sdk_buf_release(&s);
}

static void a_file_does_not_grow_past_its_maximum(void **state) {
  struct yoi_sdk_buf b, s;
  struct yoi_sdk_error e;
  (void)state;
  for (size_t over = 0; over < 2; over++) {
    yoi_sdk_buf_init(&b, YOI_FS_FILE_BYTES_MAX);
    yoi_sdk_buf_init(&s, 4096);
    size_t n = YOI_FS_FILE_BYTES_MAX - 2 + over;
    memset(yoi_sdk_buf_reserve(&b, n), 'a', n);
    b.len = n;
    b.data[7] = 'b';
    yoi_error *err = yoi_sdk_error_init(&e);
    yoi_status st = fs_edit_text(&b, YOI_LIT("b"), YOI_LIT("ccc"), 0, 1, &s, err);
    assert_int_equal(st, over ? YOI_INVALID_ARGUMENT : YOI_OK);
    if (over) mr_has(e.message, "would have more than 33554432 bytes. Nothing was changed");
    assert_int_equal(b.len, YOI_FS_FILE_BYTES_MAX - over);
    yoi_sdk_buf_release(&b);
    yoi_sdk_buf_release(&s);
  }
}

static void long_edits_are_said_in_short(void **state) {
  (void)state;
  (void)edited("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\n5\n6\n7\n8\n", "x\n", 0);
  assert_string_equal(said, "@@ line 1 @@\n-1\n-2\n-3\n-4\n-5\n-6\n-... [2 lines more]\n+x\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_place_is_changed),
      cmocka_unit_test(all_places_are_changed_when_it_is_said),
      cmocka_unit_test(several_places_are_said_by_their_lines),
      cmocka_unit_test(what_is_not_there_is_explained),
      cmocka_unit_test(a_hint_takes_no_time),
      cmocka_unit_test(a_file_does_not_grow_past_its_maximum),
      cmocka_unit_test(long_edits_are_said_in_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
