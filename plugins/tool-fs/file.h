/* file.h - one regular file: opened without doing anything to what else may
 * stand at its name, read whole, told apart from binary, named by a revision.
 *
 * A revision is 16 hex digits of the SHA-256 of all bytes: what somebody has
 * read, so that a change says what it was made for. */
#ifndef TOOL_FS_FILE_H
#define TOOL_FS_FILE_H

#include <sys/stat.h>

#include "call.h"

#define FS_REVISION_SIZE 17

struct fs_file {
  struct yoi_sdk_buf bytes; /* reused from one read to the next */
  struct stat sb;
  char revision[FS_REVISION_SIZE];
};

/* What is at one name of a folder, links not followed: O_PATH, and fstat. -1
 * and errno. */
int fs_look(int folder, const char *name, struct stat *out);
/* Opens it, once it was seen to be a regular file. ENXIO: it is none. */
int fs_open_name(int folder, const char *name, int flags, struct stat *out);

void fs_file_init(struct fs_file *f);
void fs_file_release(struct fs_file *f);
/* Why a file is not read. FAILED: errno says. */
enum fs_read_end { FS_READ, FS_TOO_LARGE, FS_FAILED, FS_NO_MEMORY };
/* All of fd, until its end wherever that is by then. */
enum fs_read_end fs_file_read(struct fs_file *f, int fd);
/* The same in words; and revision is set. */
yoi_status fs_file_load(struct fs_file *f, int fd, yoi_str path, yoi_error *err);

/* What kind of binary it is, "a PNG picture"; NULL: it is text, which is UTF-8
 * without NUL. */
const char *fs_file_kind(yoi_str bytes);
yoi_status fs_file_must_be_text(const struct fs_file *f, yoi_str path, yoi_error *err);

int fs_revision(yoi_str bytes, char out[FS_REVISION_SIZE]);

/* Lines: what ends in a line feed, and what stands behind the last one. */
size_t fs_lines(yoi_str bytes);
/* The line that begins at *at, without its line feed; *at moves behind it. 0 at
 * the end. */
int fs_line(yoi_str bytes, size_t *at, yoi_str *out);
/* 1: there are line feeds, and each stands behind a carriage return. */
int fs_crlf(yoi_str bytes);
/* Appends a line, cut at `most` bytes, which is then said. */
void fs_put_line(struct yoi_sdk_buf *out, yoi_str line, size_t most);

#endif
