/* test_fs_grep.c - lines that are found, and what is said of files that are not
 * searched. */
#include "mount_rig.h"

static void lines_are_found_with_what_is_around_them(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "1\n2\nfind\n4\n5\n6\n7\n8\nfind me\nfind\n11\n");
  assert_string_equal(mr_do(g, "fs_grep", "'pattern':'find'"),
                      "'.': 3 lines found\na\n3:find\n--\n9:find me\n10:find\n");
  assert_string_equal(mr_do(g, "fs_grep", "'pattern':'^f.*d$','context':1"),
                      "'.': 2 lines found\na\n2-2\n3:find\n4-4\n--\n9-find me\n"
                      "10:find\n11-11\n");
  assert_string_equal(mr_do(g, "fs_grep", "'pattern':'find','context':3"),
                      "'.': 3 lines found\na\n1-1\n2-2\n3:find\n4-4\n5-5\n6-6\n7-7\n8-8\n"
                      "9:find me\n10:find\n11-11\n");
  assert_string_equal(mr_do(g, "fs_grep", "'pattern':'me','context':20"),
                      "'.': 1 line found\na\n1-1\n2-2\n3-find\n4-4\n5-5\n6-6\n7-7\n8-8\n9:find me\n"
                      "10-find\n11-11\n");
  assert_string_equal(mr_do(g, "fs_grep", "'pattern':'none'"), "'.': 0 lines found\n");
}

/* More lines than are remembered before a find. */
static void context_has_its_maximum_behind_many_lines(void **state) {
  struct mount_rig *g = *state;
  FILE *f = fopen("m/a", "w");
  for (int i = 1; i <= 100; i++) fprintf(f, "l%d\n", i);
  fclose(f);
  const char *s = mr_do(g, "fs_grep", "'pattern':'^l50$','context':20");
  mr_has(s, "\na\n30-l30\n31-l31\n");
  mr_has(s, "\n49-l49\n50:l50\n51-l51\n");
  mr_has(s, "\n70-l70\n");
  mr_lacks(s, "l71");
}

static void a_text_is_looked_for_as_it_stands(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "a.c(\nabc(\nA.C(\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'a.c(','literal':true"), "1 line found\na\n1:a.c(\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'a.C(','literal':true,'ignore_case':true"),
         "2 lines found\na\n1:a.c(\n--\n3:A.C(\n");
  const char *s = mr_fails(g, YOI_INVALID_ARGUMENT, "fs_grep", "'pattern':'a.c('");
  mr_has(s, "the pattern is no regular expression that can be used: ");
  mr_has(s, "; with literal: true it is looked for as it stands");
}

static void case_may_be_left_out_of_account(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "Hello World\nhello9\nHELLO\tX\n\xc3\x84\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'HELLO\\\\S','ignore_case':true"), "1 line found\na\n2:");
  mr_has(mr_do(g, "fs_grep", "'pattern':'[G-I]ello\\\\W','ignore_case':true"),
         "2 lines found\na\n1:Hello World\n--\n3:");
  mr_has(mr_do(g, "fs_grep", "'pattern':'\\u00c4','ignore_case':true"), "4:");
}

static void globs_narrow_it(void **state) {
  struct mount_rig *g = *state;
  files_directory("m/src");
  files_text("m/src/a.c", "x\n");
  files_text("m/src/a.h", "x\n");
  files_text("m/b.c", "x\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'x','glob':'*.c'"),
         "2 lines found\nb.c\n1:x\nsrc/a.c\n1:x\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'x','glob':'src/*.{h,c}'"),
         "2 lines found\nsrc/a.c\n1:x\nsrc/a.h\n1:x\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'x','path':'src','glob':'*.h'"),
         "'src': 1 line found\nsrc/a.h\n1:x\n");
}

static void a_file_is_searched_by_its_path(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a.c", "x\ny\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'y','path':'a.c'"), "'a.c': 1 line found\na.c\n2:y\n");
  (void)mr_fails(g, YOI_NOT_FOUND, "fs_grep", "'pattern':'y','path':'b.c'");
  assert_int_equal(mkfifo("m/f", 0600), 0);
  (void)mr_fails(g, YOI_INVALID_ARGUMENT, "fs_grep", "'pattern':'y','path':'f'");
}

static void what_is_not_searched_is_counted(void **state) {
  struct mount_rig *g = *state;
  files_write("m/bin", "x\0x\n", 4);
  files_write("m/bad", "x\xff\n", 3);
  files_text("m/large", "x");
  assert_int_equal(truncate("m/large", YOI_FS_FILE_BYTES_MAX + 1), 0);
  assert_int_equal(mkfifo("m/fifo", 0600), 0);
  assert_int_equal(symlink("../outside/secret", "m/link"), 0);
  const char *s = mr_do(g, "fs_grep", "'pattern':'.'");
  assert_string_equal(s,
                      "'.': 0 lines found\nnot searched: 2 binary files\n"
                      "not searched: 1 files that are too large\n");
}

static void so_much_is_read_and_no_more(void **state) {
  struct mount_rig *g = *state;
  for (int i = 0; i <= YOI_FS_SEARCH_BYTES_MAX / YOI_FS_FILE_BYTES_MAX; i++) {
    char name[16];
    if (i == YOI_FS_SEARCH_BYTES_MAX / YOI_FS_FILE_BYTES_MAX) {
      const char *s = mr_do(g, "fs_grep", "'pattern':'x'");
      if (strstr(s, "its time was over")) skip(); /* a machine that is too slow for so much */
      assert_string_equal(s, "'.': 0 lines found\nnot searched: 32 binary files\n");
    }
    snprintf(name, sizeof name, "m/%02d", i);
    files_text(name, "");
    assert_int_equal(truncate(name, YOI_FS_FILE_BYTES_MAX), 0);
  }
  files_text("m/z", "x");
  mr_has(mr_do(g, "fs_grep", "'pattern':'x'"), "ended early: it has read as much as it may");
}

static void long_lines_are_for_texts_only(void **state) {
  struct mount_rig *g = *state;
  char *line = test_calloc(1, YOI_FS_SEARCH_LINE_MAX + 3);
  memset(line, 'x', YOI_FS_SEARCH_LINE_MAX);
  line[YOI_FS_SEARCH_LINE_MAX - 1] = 'y';
  files_text("m/a", line);
  const char *s = mr_do(g, "fs_grep", "'pattern':'y$'");
  mr_has(s, "1 line found\na\n1:xxx");
  mr_has(s, "x ... [the line has 65536 bytes]\n");
  line[YOI_FS_SEARCH_LINE_MAX] = 'y';
  files_text("m/a", line);
  s = mr_do(g, "fs_grep", "'pattern':'y$'");
  mr_has(s, "0 lines found\nnot searched: 1 lines that are too long for a regular expression\n");
  mr_has(mr_do(g, "fs_grep", "'pattern':'yy','literal':true"), "1 line found");
  test_free(line);
}

static void the_limit_ends_it(void **state) {
  struct mount_rig *g = *state;
  files_text("m/a", "x\nx\nx\n");
  files_text("m/b", "x\n");
  const char *s = mr_do(g, "fs_grep", "'pattern':'x','limit':2");
  mr_has(s, "2 lines found\na\n1:x\n2:x\nended early: that is the limit");
  mr_lacks(s, "b\n");
  FILE *f = fopen("m/a", "w");
  for (int i = 0; i < 10000; i++) fprintf(f, "x%d\n", i);
  fclose(f);
  mr_config(g, "{\"output_bytes\":4096}");
  for (int context = 0; context <= 20; context += 4) {
    char args[80];
    snprintf(args, sizeof args, "'pattern':'0$','limit':10000,'context':%d", context);
    s = mr_do(g, "fs_grep", args);
    assert_true(g->r.output_len <= 4096 && g->r.output_len > 2500);
    mr_has(s, "ended early: what it has to say is as long as it may be");
  }
}

/* A pattern that others need exponential time for. */
static void a_pattern_cannot_run_away(void **state) {
  struct mount_rig *g = *state;
  char line[5001];
  memset(line, 'a', 5000);
  line[5000] = 0;
  files_text("m/a", line);
  mr_has(mr_do(g, "fs_grep", "'pattern':'^(a+)+$|(a|aa)*b'"), "1 line found\na\n1:aaa");
}

static void a_long_search_is_made_in_slices_and_ends_when_cancelled(void **state) {
  struct mount_rig *g = *state;
  struct tool_result r;
  char *text = test_calloc(1, 4000001);
  for (int i = 0; i < 4000000; i++) text[i] = i % 50 == 49 ? '\n' : 'a';
  for (int i = 0; i < 8; i++) {
    char name[16];
    snprintf(name, sizeof name, "m/%d", i);
    files_text(name, text);
  }
  test_free(text);
  /* Many states at each character, and no end. */
  const char *args = "{\"pattern\":\"(a?){500}b\"}";
  struct tool_call *c = tool_call_start(g->th, "fs_grep", args, "mount:workspace:ro", 0, &r);
  while (tool_call_result(c)->n_progress == 0 && !tool_call_ended(c))
    (void)tool_host_step(g->th, 0);
  assert_int_equal(tool_call_result(c)->n_progress, 1); /* others have their turn */
  tool_call_cancel(c);
  tool_call_finish(c, &r);
  assert_int_equal(r.status, YOI_CANCELLED);
  mr_has(r.progress, "entries seen, 0 found\n");
  tool_result_release(&r);
  /* A deadline that is near: it says what it has before that. */
  c = tool_call_start(g->th, "fs_grep", args, "mount:workspace:ro", 700, &r);
  tool_call_finish(c, &r);
  assert_int_equal(r.status, YOI_END);
  mr_has(r.output, "ended early: its time was over");
  tool_result_release(&r);
}

/* One large file alone takes many slices, and is found in as a small one. */
#if defined(__SANITIZE_THREAD__) /* its search must end before its time is over */
#define LARGE_LINES 6000
#elif defined(__SANITIZE_ADDRESS__)
#define LARGE_LINES 20000
#else
#define LARGE_LINES 60000
#endif
static void a_large_file_is_searched_in_slices(void **state) {
  struct mount_rig *g = *state;
  int bytes = 50 * LARGE_LINES;
  char *text = test_calloc(1, (size_t)bytes + 1), want[64];
  for (int i = 0; i < bytes; i++) text[i] = i % 50 == 49 ? '\n' : 'a';
  memcpy(text + bytes - 50, "find", 4);
  files_text("m/a", text);
  test_free(text);
  const char *s = mr_do(g, "fs_grep", "'pattern':'find|(a?){90}b','context':1,'path':'a'");
  (void)snprintf(want, sizeof want, "'a': 1 line found\na\n%d-aaa", LARGE_LINES - 1);
  mr_has(s, want);
  (void)snprintf(want, sizeof want, "\n%d:finda", LARGE_LINES);
  mr_has(s, want);
  assert_true(g->r.n_progress > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(lines_are_found_with_what_is_around_them),
      MR_TEST(context_has_its_maximum_behind_many_lines),
      MR_TEST(a_text_is_looked_for_as_it_stands),
      MR_TEST(case_may_be_left_out_of_account),
      MR_TEST(globs_narrow_it),
      MR_TEST(a_file_is_searched_by_its_path),
      MR_TEST(what_is_not_searched_is_counted),
      MR_TEST(so_much_is_read_and_no_more),
      MR_TEST(long_lines_are_for_texts_only),
      MR_TEST(the_limit_ends_it),
      MR_TEST(a_pattern_cannot_run_away),
      MR_TEST(a_large_file_is_searched_in_slices),
      MR_TEST(a_long_search_is_made_in_slices_and_ends_when_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
