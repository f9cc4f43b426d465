/* files.c - what files.h declares. YOI_BUILD and YOI_ROOT come from run.py;
 * without them a test is assumed to run at the top of the tree. */
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_BYTES 4096

void files_write(const char *path, const void *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(chmod(path, 0600), 0);
}

void files_text(const char *path, const char *text) {
  files_write(path, text, strlen(text));
}

char *files_read(const char *path, size_t *out_len) {
  struct stat sb;
  FILE *f = fopen(path, "rb");
  char *bytes;
  assert_non_null(f);
  assert_int_equal(fstat(fileno(f), &sb), 0);
  bytes = test_malloc((size_t)sb.st_size + 1);
  assert_int_equal(fread(bytes, 1, (size_t)sb.st_size, f), sb.st_size);
  bytes[sb.st_size] = '\0';
  fclose(f);
  *out_len = (size_t)sb.st_size;
  return bytes;
}

void files_directory(const char *path) {
  if (!files_exist(path)) assert_int_equal(mkdir(path, 0700), 0);
}

static const char *root(const char *variable, const char *otherwise) {
  const char *v = getenv(variable);
  return v != NULL ? v : otherwise;
}

void files_plugin(const char *name, const char *to) {
  char from[PATH_BYTES];
  size_t n = 0;
  char *bytes;
  snprintf(from, sizeof from, "%s/tests/plugins/%s.so", root("YOI_BUILD", "build"), name);
  bytes = files_read(from, &n);
  (void)unlink(to); /* or code that a test before has mapped changes */
  files_write(to, bytes, n);
  test_free(bytes);
}

void files_patch(const char *path, const char *from, const char *to) {
  size_t n = 0;
  char *bytes = files_read(path, &n), *at;
  assert_true(strlen(to) <= strlen(from));
  at = memmem(bytes, n, from, strlen(from));
  assert_non_null(at);
  assert_null(memmem(at + 1, n - (size_t)(at + 1 - bytes), from, strlen(from)));
  memset(at, ' ', strlen(from));
  memcpy(at, to, strlen(to));
  files_write(path, bytes, n);
  test_free(bytes);
}

int files_exist(const char *path) {
  return access(path, F_OK) == 0;
}

const char *files_source(const char *name) {
  static char path[PATH_BYTES]; /* process-wide: a test has one thread */
  snprintf(path, sizeof path, "%s/%s", root("YOI_ROOT", "."), name);
  return path;
}

int files_count(const char *dir) {
  DIR *d = opendir(dir);
  int n = 0;
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

int files_threads_at_most(int n) {
  for (int i = 0; i < 20000 && files_count("/proc/self/task") > n; i++) (void)poll(NULL, 0, 1);
  return files_count("/proc/self/task") <= n;
}
