/* lines.h - a file of lines, read from some place on: what all files of a
 * store are. */
#ifndef FS_LINES_H
#define FS_LINES_H

#include <sdk/str.h>

struct fs_lines {
  int fd; /* borrowed */
  uint64_t end;      /* nothing is read from here on */
  uint64_t at;       /* where the line that was given last begins */
  uint64_t next;     /* where the next one begins */
  uint64_t read_to;  /* the file, into buf */
  size_t used;       /* of buf: lines that were given */
  struct yoi_sdk_buf buf;
};

/* Lines that begin at `from` or behind, up to the byte `end`. */
void fs_lines_init(struct fs_lines *l, int fd, uint64_t from, uint64_t end);
void fs_lines_release(struct fs_lines *l);
/* The next line, without its line feed, valid until the next call. OK; END:
 * what is left (l->next to l->end) has no line feed, or begins with a zero; OUT_OF_RANGE: a line is
 * longer than any of ours, l->next stands at its beginning; INTERNAL: reading
 * failed, errno says why; RESOURCE_EXHAUSTED. */
yoi_status fs_lines_next(struct fs_lines *l, yoi_str *out);
/* The first byte from `from` on that is no zero, or `end`: behind zeros, of
 * which a damaged place may have some, the lines go on. */
uint64_t fs_behind_zeros(int fd, uint64_t from, uint64_t end);

#endif
