/* test_fs_read.c - what a model sees of a file, and of what is none. */
#include "mount_rig.h"

static void lines_have_their_numbers(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a.c", "int a;\n\n\tint b;\n");
  const char *s = mr_do(g, "fs_read", "'path':'a.c'");
  mr_has(s, "'a.c': lines 1 to 3 of 3, 16 bytes, revision ");
  mr_has(s, "\n1\tint a;\n2\t\n3\t\tint b;\n");
  mr_lacks(s, "go on");
}

static void a_part_says_where_to_go_on(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "one\ntwo\nthree\nfour");
  const char *s = mr_do(g, "fs_read", "'path':'a','offset':2,'limit':2");
  mr_has(s, "lines 2 to 3 of 4");
  mr_has(s, "no line feed at the end; go on with offset 4\n2\ttwo\n3\tthree\n"
            "go on with offset 4\n");
  s = mr_do(g, "fs_read", "'path':'a','offset':4");
  mr_has(s, "\n4\tfour\n");
  mr_lacks(s, "go on");
  s = mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'a','offset':5");
  mr_has(s, "'a' has 4 lines, so that there is none at offset 5");
}

static void an_empty_file_is_said_to_be_empty(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "");
  assert_string_equal(mr_do(g, "fs_read", "'path':'a'"),
                      "'a': empty, 0 bytes, revision e3b0c44298fc1c14\n");
}

static void a_long_line_is_cut_at_its_maximum(void **state) {
  struct mount_rig *g = *state;
  char *line = test_calloc(1, YOI_FS_LINE_BYTES_MAX + 3);
  memset(line, 'x', YOI_FS_LINE_BYTES_MAX);
  files_text("m/a", line);
  mr_lacks(mr_do(g, "fs_read", "'path':'a'"), "...");
  line[YOI_FS_LINE_BYTES_MAX - 1] = '\xc3'; /* a character across the edge */
  line[YOI_FS_LINE_BYTES_MAX] = '\xa4';
  files_text("m/a", line);
  const char *s = mr_do(g, "fs_read", "'path':'a'");
  mr_has(s, "x ... [the line has 2001 bytes]\n");
  assert_int_equal(strspn(strstr(s, "\tx") + 1, "x"), YOI_FS_LINE_BYTES_MAX - 1);
  test_free(line);
}

static void a_result_fits_its_bytes(void **state) {
  struct mount_rig *g = *state;
  FILE *f = fopen("m/a", "w");
  for (int i = 1; i <= 5000; i++) fprintf(f, "line number %d\n", i);
  fclose(f);
  for (int pass = 0; pass < 2; pass++) {
    size_t most = pass ? YOI_FS_OUTPUT_BYTES_MIN : YOI_TOOL_RESULT_BYTES_DEFAULT, last = 0;
    if (pass) mr_config(g, "{\"output_bytes\":4096}");
    for (size_t next = 1; next != 0;) {
      char args[64];
      snprintf(args, sizeof args, "'path':'a','offset':%zu,'limit':100000", next);
      const char *s = mr_do(g, "fs_read", args), *more = strstr(s, "go on with offset ");
      assert_true(g->r.output_len <= most);
      assert_true(g->r.output_len > most - 1200 || !more);
      snprintf(args, sizeof args, "\n%zu\tline number %zu\n", next, next);
      mr_has(s, args); /* nothing is passed over */
      last = next;
      next = more ? strtoul(more + 18, NULL, 10) : 0;
      assert_true(next == 0 || next > last);
    }
    assert_true(last > 1 && last < 5000);
  }
}

static void what_is_binary_is_refused_with_its_kind(void **state) {
  struct mount_rig *g = *state;
  static const struct {
    const char *bytes;
    size_t n;
    const char *kind;
  } rows[] = {
      {"\x7f" "ELF\2\1\1\0", 8, "has 8 bytes and is a program or library (ELF)"},
      {"\x89PNG\r\n\x1a\n", 8, "a PNG picture"},
      {"text\0text", 9, "binary"},
      {"latin: \xe4", 8, "text in another encoding than UTF-8, or binary"},
      {"\xff\xfeh\0i\0", 6, "text in UTF-16"},
      {"cut \xe2\x98", 6, "text in another encoding"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    files_write("m/b", rows[i].bytes, rows[i].n);
    mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'b'"), rows[i].kind);
  }
  char *late = test_calloc(1, 300000); /* far behind what one would look at */
  memset(late, 'a', 299999);
  files_write("m/b", late, 300000);
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'b'"), "is binary");
  test_free(late);
}

static void large_files_are_refused_also_sparse_ones(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "");
  assert_int_equal(truncate("m/a", YOI_FS_FILE_BYTES_MAX + 1), 0);
  const char *s = mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'a'");
  mr_has(s, "'a' has 33554433 bytes or more, and files of at most 33554432 are read");
  assert_int_equal(truncate("m/a", (off_t)1 << 42), 0);
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'a'"), "4398046511104 bytes");
  assert_int_equal(truncate("m/a", YOI_FS_FILE_BYTES_MAX), 0);
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'a'"), "and is binary");
}

static void lines_in_cr_lf_are_shown_without_the_cr(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "one\r\ntwo\r\n");
  const char *s = mr_do(g, "fs_read", "'path':'a'");
  mr_has(s, "lines end in CR LF\n1\tone\n2\ttwo\n");
  files_text("m/a", "one\r\ntwo\n");
  s = mr_do(g, "fs_read", "'path':'a'");
  mr_has(s, "\n1\tone\r\n2\ttwo\n");
}

static void what_is_not_there_or_no_file_is_an_error(void **state) {
  struct mount_rig *g = *state;
  files_directory("m/d");
  assert_int_equal(mkfifo("m/f", 0600), 0);
  mr_has(mr_fails(g, YOI_NOT_FOUND, "fs_read", "'path':'none'"), "none");
  (void)mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'d'");
  (void)mr_fails(g, YOI_INVALID_ARGUMENT, "fs_read", "'path':'f'");
  (void)mr_fails(g, YOI_PERMISSION_DENIED, "fs_read", "'path':'a','mount':'other'");
  (void)mr_fails(g, YOI_PERMISSION_DENIED, "fs_read", "'path':'../outside/secret'");
}

static void the_revision_is_of_the_whole_content(void **state) {
  struct mount_rig *g = *state;
  char was[17];
  files_text("m/a", "one\ntwo\n");
  memcpy(was, mr_revision(g, "a"), sizeof was);
  files_text("m/a", "one\ntwo\n");
  assert_string_equal(mr_revision(g, "a"), was);
  files_text("m/a", "one\ntwx\n"); /* not in the part that is read */
  assert_string_not_equal(mr_revision(g, "a"), was);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(lines_have_their_numbers),
      MR_TEST(a_part_says_where_to_go_on),
      MR_TEST(an_empty_file_is_said_to_be_empty),
      MR_TEST(a_long_line_is_cut_at_its_maximum),
      MR_TEST(a_result_fits_its_bytes),
      MR_TEST(what_is_binary_is_refused_with_its_kind),
      MR_TEST(large_files_are_refused_also_sparse_ones),
      MR_TEST(lines_in_cr_lf_are_shown_without_the_cr),
      MR_TEST(what_is_not_there_or_no_file_is_an_error),
      MR_TEST(the_revision_is_of_the_whole_content),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
