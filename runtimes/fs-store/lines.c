/* lines.c - reads a file in blocks and gives its lines.
 *
 * A line that is longer than a block makes the buffer grow by doubling, up to
 * the longest that there can be. What ends a file without a line feed is no
 * line: nobody was told of it.
 */
#include "lines.h"

#include <errno.h>
#include <sdk/hard.h>
#include <string.h>
#include <unistd.h>
#include <yoi/limits.h>

#define BLOCK YOI_SDK_HARD(65536u, 97u)

void fs_lines_init(struct fs_lines *l, int fd, uint64_t from, uint64_t end) {
  *l = (struct fs_lines){.fd = fd, .end = end, .at = from, .next = from, .read_to = from};
  yoi_sdk_buf_init(&l->buf, YOI_STORE_LINE_MAX + BLOCK + 1);
}

void fs_lines_release(struct fs_lines *l) {
  yoi_sdk_buf_release(&l->buf);
}

/* One block more; END: there is none. */
static yoi_status more(struct fs_lines *l) {
  if (l->read_to >= l->end) return YOI_END;
  yoi_sdk_buf_drop(&l->buf, l->used);
  l->used = 0;
  size_t want = l->buf.len < BLOCK ? BLOCK : l->buf.len; /* long lines: by doubling */
  size_t room = YOI_STORE_LINE_MAX + BLOCK - l->buf.len;
  if (want > room) want = room;
  if (want > l->end - l->read_to) want = (size_t)(l->end - l->read_to);
  if (want == 0) return YOI_OUT_OF_RANGE;
  char *to = yoi_sdk_buf_reserve(&l->buf, want);
  if (to == NULL) return YOI_RESOURCE_EXHAUSTED;
  for (;;) {
    ssize_t got = pread(l->fd, to, yoi_sdk_short(want), (off_t)l->read_to);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return YOI_INTERNAL;
    if (got == 0) {
      l->end = l->read_to; /* the file is shorter than it was said to be */
      return YOI_END;
    }
    l->buf.len += (size_t)got;
    l->read_to += (uint64_t)got;
    return YOI_OK;
  }
}

yoi_status fs_lines_next(struct fs_lines *l, yoi_str *out) {
  size_t looked = l->used;
  for (;;) {
    const char *from = l->buf.data != NULL ? l->buf.data + l->used : "";
    size_t left = l->buf.len - l->used, done = looked - l->used;
    if (left > 0 && from[0] == '\0') return YOI_END; /* written ahead */
    const char *feed = left > done ? memchr(from + done, '\n', left - done) : NULL;
    if (feed != NULL) {
      *out = (yoi_str){from, (size_t)(feed - from)};
      if (out->len > YOI_STORE_LINE_MAX) return YOI_OUT_OF_RANGE;
      l->at = l->next;
      l->next += out->len + 1;
      l->used += out->len + 1;
      return YOI_OK;
    }
    yoi_status st = more(l);
    if (st != YOI_OK) return st;
    looked = l->used + left;
  }
}

uint64_t fs_behind_zeros(int fd, uint64_t from, uint64_t end) {
  char block[BLOCK];
  while (from < end) {
    size_t want = end - from < sizeof block ? (size_t)(end - from) : sizeof block;
    ssize_t got = pread(fd, block, want, (off_t)from);
    if (got <= 0) return end;
    for (ssize_t i = 0; i < got; i++)
      if (block[i] != '\0') return from + (uint64_t)i;
    from += (uint64_t)got;
  }
  return end;
}
