/* fs_read.c - text with the numbers of its lines.
 *
 *   'src/main.c': lines 201 to 400 of 512, 15,310 bytes, revision 3f2a...
 *   201<TAB>static int main_loop(void) {
 *   ...
 *   go on with offset 401
 *
 * Models point at lines, go on from lines and get lines from fs_grep, and count
 * badly: so each line has its number, with a tab, which code seldom has inside,
 * and no padding, which costs tokens. fs_edit recognises numbers that were
 * copied along.
 *
 * Where to go on stands at the top and at the end: a profile that shows less
 * than was read cuts out the middle.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

struct reading {
  struct fs_file file;
  int64_t offset, limit;
};

static yoi_status read_begin(struct fs_call *c, yoi_error *err) {
  struct reading *r = c->state;
  (void)err;
  fs_file_init(&r->file);
  r->offset = fs_number(c, "offset", 1);
  r->limit = fs_number(c, "limit", YOI_FS_LINES_DEFAULT);
  return YOI_OK;
}

static void read_end(struct fs_call *c) {
  fs_file_release(&((struct reading *)c->state)->file);
}

/* Lines from `offset` on into body, as many as there is room for; the number of
 * the last one. */
static int64_t put_lines(struct yoi_sdk_buf *body, yoi_str bytes, const struct reading *r) {
  int crlf = fs_crlf(bytes);
  size_t at = 0;
  int64_t n = 0;
  yoi_str line;
  while (n < r->offset - 1 + r->limit && fs_line(bytes, &at, &line)) {
    if (++n < r->offset) continue;
    size_t before = body->len;
    if (crlf && line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    yoi_sdk_buf_addf(body, "%" PRId64 "\t", n);
    fs_put_line(body, line, YOI_FS_LINE_BYTES_MAX);
    yoi_sdk_buf_addc(body, '\n');
    if (body->failed == YOI_OUT_OF_RANGE) { /* the line does not fit any more */
      body->failed = 0;
      body->len = before;
      return n - 1;
    }
  }
  return n;
}

static void put_head(struct fs_call *c, const struct reading *r, int64_t last, size_t lines) {
  yoi_str bytes = yoi_sdk_buf_str(&r->file.bytes);
  yoi_sdk_buf_addf(&c->out, "'%s': ", fs_show(c->path).text);
  if (lines == 0)
    yoi_sdk_buf_adds(&c->out, YOI_LIT("empty"));
  else
    yoi_sdk_buf_addf(&c->out, "lines %" PRId64 " to %" PRId64 " of %zu", r->offset, last, lines);
  yoi_sdk_buf_addf(&c->out, ", %zu bytes, revision %s", bytes.len, r->file.revision);
  if (fs_crlf(bytes)) yoi_sdk_buf_adds(&c->out, YOI_LIT(", lines end in CR LF"));
  if (bytes.len > 0 && bytes.ptr[bytes.len - 1] != '\n')
    yoi_sdk_buf_adds(&c->out, YOI_LIT(", no line feed at the end"));
  if ((size_t)last < lines)
    yoi_sdk_buf_addf(&c->out, "; go on with offset %" PRId64, last + 1);
  yoi_sdk_buf_addc(&c->out, '\n');
}

static yoi_status read_step(struct fs_call *c, yoi_error *err) {
  struct reading *r = c->state;
  struct yoi_sdk_buf body;
  int fd;
  yoi_status st = fs_open(c, c->path, YOI_MOUNT_READ, &fd, err);
  if (st != YOI_OK) return st;
  st = fs_file_load(&r->file, fd, c->path, err);
  close(fd);
  if (st == YOI_OK) st = fs_file_must_be_text(&r->file, c->path, err);
  if (st != YOI_OK) return st;
  yoi_str bytes = yoi_sdk_buf_str(&r->file.bytes);
  size_t lines = fs_lines(bytes);
  if (r->offset > 1 && (uint64_t)r->offset > lines)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "'%s' has %zu lines, so that there is none at offset %" PRId64,
                        fs_show(c->path).text, lines, r->offset);
  yoi_sdk_buf_init(&body, c->fs->output_bytes - FS_ROOM_FOR_NOTES);
  int64_t last = put_lines(&body, bytes, r);
  put_head(c, r, last, lines);
  yoi_sdk_buf_adds(&c->out, yoi_sdk_buf_str(&body));
  if (body.failed) c->out.failed = body.failed;
  yoi_sdk_buf_release(&body);
  if ((size_t)last < lines)
    yoi_sdk_buf_addf(&c->out, "go on with offset %" PRId64 "\n", last + 1);
  return YOI_OK;
}

const struct fs_op fs_read_op = {
    .name = "fs_read",
    .state_size = sizeof(struct reading),
    .begin = read_begin,
    .step = read_step,
    .end = read_end,
};
