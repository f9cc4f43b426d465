/* Files are read up to their maximum and put there whole or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/cli/cli.h"
#include "tests/unit/cli/said.h"

/* The working directory is empty and this program's own (tests/run.py). */
static size_t files(void) {
  size_t n = 0;
  DIR *d = opendir(".");
  assert_non_null(d);
  while (readdir(d)) n++;
  closedir(d);
  return n - 2;
}

static char *read_back(const char *path, size_t max, size_t *out_len) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  char *text = cli_file_read(fd, max, out_len);
  int saved = errno;
  close(fd);
  errno = saved;
  return text;
}

static void what_is_written_is_read(void **state) {
  (void)state;
  static char large[100000];
  size_t n = 0;
  memset(large, 'x', sizeof large);
  for (size_t len = 0; len <= sizeof large; len = len ? len * 10 : 1) {
    assert_int_equal(cli_file_write("a", (yoi_str){large, len}), 1);
    char *text = read_back("a", sizeof large, &n);
    assert_non_null(text);
    assert_int_equal(n, len);
    assert_memory_equal(text, large, len);
    assert_int_equal(text[len], 0);
    yoi_sdk_free(text);
  }
  assert_int_equal(files(), 1);
  unlink("a");
}

static void one_byte_more_than_the_maximum_is_refused(void **state) {
  (void)state;
  size_t n = 0;
  assert_int_equal(cli_file_write("a", YOI_LIT("12345")), 1);
  char *text = read_back("a", 5, &n);
  assert_string_equal(text, "12345");
  yoi_sdk_free(text);
  errno = 0;
  assert_null(read_back("a", 4, &n));
  assert_int_equal(errno, EFBIG);
  unlink("a");
}

static void a_folder_is_not_read(void **state) {
  (void)state;
  size_t n = 0;
  errno = 0;
  assert_null(read_back(".", 10, &n));
  assert_int_equal(errno, EISDIR);
}

static void what_is_no_regular_file_stays(void **state) {
  (void)state;
  assert_int_equal(mkdir("folder", 0700), 0);
  assert_int_equal(mkfifo("pipe", 0600), 0);
  assert_int_equal(symlink("nowhere", "link"), 0);
  static const char *const names[] = {"folder", "pipe", "link", "no/file", "/dev/null", ""};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    said[0] = 0;
    assert_int_equal(cli_file_write(names[i], YOI_LIT("x")), 0);
    assert_non_null(strstr(said, "cannot write"));
  }
  assert_int_equal(files(), 3);
  rmdir("folder");
  unlink("pipe");
  unlink("link");
}

static void without_memory_the_old_file_stays(void **state) {
  (void)state;
  assert_int_equal(cli_file_write("a", YOI_LIT("old")), 1);
  for (uint64_t n = 1;; n++) {
    size_t len = 0;
    yoi_sdk_mem_fail_at(n);
    int ok = cli_file_write("a", YOI_LIT("new"));
    uint64_t made = yoi_sdk_mem_fail_at(0);
    assert_int_equal(files(), 1);
    yoi_sdk_mem_fail_at(n);
    char *text = read_back("a", 10, &len);
    yoi_sdk_mem_fail_at(0);
    if (text) assert_string_equal(text, ok ? "new" : "old");
    yoi_sdk_free(text);
    if (made < n) break;
    assert_int_equal(ok, 0);
  }
  unlink("a");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read),
      cmocka_unit_test(one_byte_more_than_the_maximum_is_refused),
      cmocka_unit_test(a_folder_is_not_read),
      cmocka_unit_test(what_is_no_regular_file_stays),
      cmocka_unit_test(without_memory_the_old_file_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
