/* files.h - files for tests, in the empty directory that a test runs in, and
 * the built plugins that a test may copy there. Each asserts that it worked. */
#ifndef FILES_H
#define FILES_H

#include <stddef.h>

void files_write(const char *path, const void *bytes, size_t n);
void files_text(const char *path, const char *text);
/* Owned, NUL-terminated; to be given to test_free. */
char *files_read(const char *path, size_t *out_len);
void files_directory(const char *path);
/* Copies the built plugin of tests/plugins/NAME to `to`. */
void files_plugin(const char *name, const char *to);
/* Overwrites the one place of a file where `from` stands, filling up with
 * spaces. */
void files_patch(const char *path, const char *from, const char *to);
int files_exist(const char *path);
/* Entries of a directory whose names do not begin with a dot. */
int files_count(const char *dir);
/* 1 once this process has at most so many threads: one that was joined may stand
 * in /proc for a moment longer. 0 if it has more all the time. */
int files_threads_at_most(int n);
/* The path of a file of the source tree, valid until the next call. */
const char *files_source(const char *name);

#endif
