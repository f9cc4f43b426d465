/* fs_grep.c - lines that have a text or fit a regular expression.
 *
 *   src/main.c
 *   11-int main(void) {
 *   12:  return run();
 *   --
 *
 * A path of its own line, then lines with their numbers: `:` behind that of one
 * that was found, `-` behind one that stands around it, `--` where lines were
 * passed over.
 *
 *  1. Links are not followed, in either kind: a file is searched once.
 *  2. Binary files, large ones and those that cannot be read are counted.
 *  3. A file is searched whole within a step, but for a cancel and the end of
 *     the time.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "match.h"
#include "search.h"

#define LOOK_EVERY 256    /* lines, and the clock is asked */
#define SHOWN_BYTES 400   /* of a line: there are many of them */
#define KEPT (YOI_FS_CONTEXT_MAX + 1)

struct grepping {
  struct fs_search search;
  struct fs_match match;
  struct fs_file file;
  int64_t context;
  uint64_t bytes;
  size_t binary, large, unreadable, long_lines;
};

/* Where in a file it stands. */
struct place {
  size_t at;                    /* of the next line */
  int64_t line, shown, follow;  /* shown: the last that is in the rows; follow:
                                 * lines behind a find that are still wanted */
  size_t starts[KEPT];          /* of the last lines, by their number */
};

static yoi_status grep_begin(struct fs_call *c, yoi_error *err) {
  struct grepping *g = c->state;
  fs_file_init(&g->file);
  g->context = fs_number(c, "context", 0);
  yoi_status st = fs_search_begin(c, &g->search, "glob", err);
  if (st != YOI_OK) return st;
  return fs_match_init(&g->match, fs_text(c, "pattern", (yoi_str){NULL, 0}),
                       fs_flag(c, "literal"), fs_flag(c, "ignore_case"), err);
}

static void grep_end(struct fs_call *c) {
  struct grepping *g = c->state;
  fs_search_release(&g->search);
  fs_match_release(&g->match);
  fs_file_release(&g->file);
}

static void put_row(struct yoi_sdk_buf *out, int64_t n, char mark, yoi_str line) {
  if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
  yoi_sdk_buf_addf(out, "%" PRId64 "%c", n, mark);
  fs_put_line(out, line, SHOWN_BYTES);
  yoi_sdk_buf_addc(out, '\n');
}

/* The line that was found, and those before it that were not shown yet. */
static void put_found(struct grepping *g, struct place *p, yoi_str bytes, yoi_str line) {
  struct yoi_sdk_buf *out = &g->search.rows;
  int64_t from = p->line - g->context;
  if (from <= p->shown) from = p->shown + 1;
  if (from < 1) from = 1;
  if (p->shown > 0 && from > p->shown + 1) yoi_sdk_buf_adds(out, YOI_LIT("--\n"));
  for (; from < p->line; from++) {
    size_t at = p->starts[from % KEPT];
    yoi_str before;
    if (fs_line(bytes, &at, &before)) put_row(out, from, '-', before);
  }
  put_row(out, p->line, ':', line);
  p->shown = p->line;
  p->follow = g->context;
}

/* One line. 0: no more of them are wanted. */
static int one_line(struct fs_call *c, struct grepping *g, struct place *p, yoi_str path,
                    yoi_str line, yoi_error *err, yoi_status *st) {
  struct yoi_sdk_buf *rows = &g->search.rows;
  size_t before = rows->len;
  int found = fs_match_line(&g->match, line);
  if (found == -2) return *st = yoi_sdk_fail_memory(err), 0;
  if (found == -1) g->long_lines++;
  if (found == 1) {
    if (p->shown == 0) {
      fs_search_put_path(c, rows, path);
      yoi_sdk_buf_addc(rows, '\n');
    }
    put_found(g, p, yoi_sdk_buf_str(&g->file.bytes), line);
    return fs_search_row(&g->search, before);
  }
  if (p->follow > 0 && p->follow-- && p->shown == p->line - 1) {
    put_row(rows, p->line, '-', line);
    p->shown = p->line;
    if (rows->failed == YOI_OUT_OF_RANGE) return fs_search_row(&g->search, before);
  }
  return 1;
}

static yoi_status grep_lines(struct fs_call *c, struct grepping *g, yoi_str path,
                             yoi_error *err) {
  yoi_str bytes = yoi_sdk_buf_str(&g->file.bytes), line;
  struct place p = {.line = 0};
  yoi_status st = YOI_OK;
  for (;;) {
    size_t begin = p.at;
    if (!fs_line(bytes, &p.at, &line)) return YOI_OK;
    p.starts[++p.line % KEPT] = begin;
    if (!one_line(c, g, &p, path, line, err, &st)) return st;
    if (p.line % LOOK_EVERY != 0 && line.len < YOI_FS_SEARCH_LINE_MAX / 4) continue;
    switch (fs_call_pause(c)) {
      case FS_CANCELLED:
        return fs_cancelled(err);
      case FS_TIME_OVER:
        g->search.ended = "its time was over; begin further down, or narrow it";
        return YOI_OK;
      default:
        break;
    }
  }
}

static yoi_status grep_file(struct fs_call *c, struct grepping *g, int fd, yoi_str path,
                            yoi_error *err) {
  enum fs_read_end end = fs_file_read(&g->file, fd);
  g->bytes += g->file.bytes.len;
  if (end == FS_NO_MEMORY) return yoi_sdk_fail_memory(err);
  if (end == FS_TOO_LARGE) return g->large++, YOI_OK;
  if (end == FS_FAILED) return g->unreadable++, YOI_OK;
  if (g->bytes > YOI_FS_SEARCH_BYTES_MAX)
    g->search.ended = "it has read as much as it may; begin further down, or narrow it";
  if (fs_file_kind(yoi_sdk_buf_str(&g->file.bytes))) return g->binary++, YOI_OK;
  return grep_lines(c, g, path, err);
}

static yoi_status grep_entry(struct fs_call *c, struct grepping *g, const struct fs_entry *e,
                             yoi_error *err) {
  struct stat sb;
  if (e->type != DT_REG || !fs_search_fits(&g->search, e->path, e->name)) return YOI_OK;
  int fd = fs_open_name(e->folder, e->name.ptr, O_RDONLY, &sb);
  if (fd < 0) return g->unreadable++, YOI_OK;
  yoi_status st = grep_file(c, g, fd, e->path, err);
  close(fd);
  return st;
}

static void put_counts(struct yoi_sdk_buf *out, const struct grepping *g) {
  static const char *const words[] = {"binary files", "files that are too large",
                                      "files that cannot be read",
                                      "lines that are too long for a regular expression"};
  size_t counts[] = {g->binary, g->large, g->unreadable, g->long_lines};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    if (counts[i]) yoi_sdk_buf_addf(out, "not searched: %zu %s\n", counts[i], words[i]);
}

/* Opens path: a folder, or else a file, which is searched at once. */
static yoi_status grep_open(struct fs_call *c, struct grepping *g, yoi_error *err) {
  int fd;
  yoi_status st = fs_search_open(c, &g->search, err);
  if (st != YOI_INVALID_ARGUMENT) return st;
  st = fs_open(c, c->path, YOI_MOUNT_READ, &fd, err);
  if (st != YOI_OK) return st;
  st = grep_file(c, g, fd, (yoi_str){NULL, 0}, err);
  close(fd);
  return st == YOI_OK ? YOI_END : st;
}

static yoi_status grep_step(struct fs_call *c, yoi_error *err) {
  struct grepping *g = c->state;
  struct fs_entry e;
  yoi_status st = g->search.walk ? YOI_OK : grep_open(c, g, err);
  while (st == YOI_OK && (st = fs_search_next(c, &g->search, &e, err)) == YOI_OK)
    st = grep_entry(c, g, &e, err);
  if (st != YOI_END) return st;
  st = fs_search_say(c, &g->search, "line found", "lines found", err);
  put_counts(&c->out, g);
  return st;
}

const struct fs_op fs_grep_op = {
    .name = "fs_grep",
    .state_size = sizeof(struct grepping),
    .begin = grep_begin,
    .step = grep_step,
    .end = grep_end,
};
