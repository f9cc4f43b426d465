/* gap.c - finds lines next to a damaged one.
 *
 * A damaged line of the log's own (the head of a segment, a seal) costs no
 * record, and the batch behind it may be the last one and acknowledged, with
 * nothing behind it that says so. A bit of the line feed makes one line of two.
 */
#include "gap.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "line.h"
#include "lines.h"

#define NEAR 256 /* heads and seals are shorter */

typedef yoi_status fits_fn(int fd, uint64_t at, uint64_t end, uint64_t n);

/* The first place near `from` where `{"n":N,` stands and fits. */
static yoi_status find(int fd, uint64_t from, uint64_t end, uint64_t n, fits_fn *fits,
                       uint64_t *out_at) {
  char text[NEAR], word[32];
  size_t len = (size_t)snprintf(word, sizeof word, "{\"n\":%llu,", (unsigned long long)n);
  size_t want = end - from < sizeof text ? (size_t)(end - from) : sizeof text;
  ssize_t got = from < end ? pread(fd, text, want, (off_t)from) : 0;
  if (got < 0) return YOI_INTERNAL;
  const char *at = text, *last = text + got;
  yoi_status st = YOI_END;
  while (st == YOI_END && (at = memmem(at, (size_t)(last - at), word, len)) != NULL) {
    uint64_t there = from + (uint64_t)(at - text);
    st = fits(fd, there, end, n);
    if (st == YOI_OK) *out_at = there;
    at++;
  }
  return st;
}

/* What a line says that could be read or not. */
static yoi_status next(struct fs_lines *in, struct fs_line *l) {
  yoi_str text;
  yoi_status st = fs_lines_next(in, &text);
  if (st == YOI_RESOURCE_EXHAUSTED || st == YOI_INTERNAL) return st;
  return st == YOI_OK && fs_line_parse(text, l) ? YOI_OK : YOI_END;
}

static yoi_status is_line(int fd, uint64_t at, uint64_t end, uint64_t n) {
  struct fs_lines in;
  struct fs_line l;
  fs_lines_init(&in, fd, at, end);
  yoi_status st = next(&in, &l);
  fs_lines_release(&in);
  return st == YOI_OK && (l.kind > FS_LINE_SEAL || l.n != n) ? YOI_END : st;
}

static uint64_t count(const struct fs_line *batch) {
  size_t pos = 0;
  uint64_t seq, n = 0;
  yoi_str worker;
  while (fs_line_batch_next(batch, &pos, &worker, &seq)) n++;
  return n;
}

static yoi_status is_batch(int fd, uint64_t at, uint64_t end, uint64_t first) {
  struct fs_lines in;
  struct fs_line l;
  uint64_t n = first;
  yoi_status st;
  fs_lines_init(&in, fd, at, end);
  while ((st = next(&in, &l)) == YOI_OK && l.n == n &&
         (l.kind == FS_LINE_RECORD || l.kind == FS_LINE_REMOVAL))
    n++;
  if (st == YOI_OK && (l.kind != FS_LINE_BATCH || l.n != n || n == first || count(&l) != n - first))
    st = YOI_END;
  fs_lines_release(&in);
  return st;
}

yoi_status fs_gap_find(int fd, uint64_t from, uint64_t end, uint64_t n, uint64_t *out_at) {
  return find(fd, from, end, n, is_line, out_at);
}

yoi_status fs_gap_is_seal(int fd, uint64_t from, uint64_t end, uint64_t n, uint64_t *out_at) {
  return find(fd, from, end, n + 1, is_batch, out_at);
}
