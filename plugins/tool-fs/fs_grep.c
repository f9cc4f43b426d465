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
 *  3. A file is read within one step and searched in as many as it takes.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "match.h"
#include "search.h"

#define LOOK_EVERY 256   /* lines, and the clock is asked */
#define LONG_BYTES 4096  /* a line; then too */
#define SHOWN_BYTES 400  /* of a line: there are many of them */
#define KEPT (YOI_FS_CONTEXT_MAX + 1)

/* Where in a file it stands. */
struct place {
  size_t at;                   /* of the next line */
  int64_t line, shown, follow; /* shown: the last that is in the rows; follow:
                                * lines behind a find that are still wanted */
  size_t starts[KEPT];         /* of the last lines, by their number */
};

struct grepping {
  struct fs_search search;
  struct fs_match match;
  struct fs_file file;
  struct yoi_sdk_buf path; /* of the file, from where the walk began */
  struct place place;
  int64_t context;
  uint64_t bytes;
  size_t binary, large, unreadable, long_lines;
  int opened, in_file; /* in_file: there are lines left of it */
};

static yoi_status grep_begin(struct fs_call *c, yoi_error *err) {
  struct grepping *g = c->state;
  fs_file_init(&g->file);
  yoi_sdk_buf_init(&g->path, YOI_PATH_BYTES_MAX * 8);
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
  yoi_sdk_buf_release(&g->path);
}

static void put_row(struct yoi_sdk_buf *out, int64_t n, char mark, yoi_str line) {
  if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
  yoi_sdk_buf_addf(out, "%" PRId64 "%c", n, mark);
  fs_put_line(out, line, SHOWN_BYTES);
  yoi_sdk_buf_addc(out, '\n');
}

/* The line that was found, and those before it that were not shown yet. */
static void put_found(struct grepping *g, yoi_str line) {
  struct yoi_sdk_buf *out = &g->search.rows;
  struct place *p = &g->place;
  int64_t from = p->line - g->context;
  if (from <= p->shown) from = p->shown + 1;
  if (from < 1) from = 1;
  if (p->shown > 0 && from > p->shown + 1) yoi_sdk_buf_adds(out, YOI_LIT("--\n"));
  for (; from < p->line; from++) {
    size_t at = p->starts[from % KEPT];
    yoi_str before;
    if (fs_line(yoi_sdk_buf_str(&g->file.bytes), &at, &before)) put_row(out, from, '-', before);
  }
  put_row(out, p->line, ':', line);
  p->shown = p->line;
  p->follow = g->context;
}

/* The next line. OK; END: no more of them are wanted. */
static yoi_status one_line(struct fs_call *c, struct grepping *g, yoi_str line, yoi_error *err) {
  struct yoi_sdk_buf *rows = &g->search.rows;
  struct place *p = &g->place;
  size_t before = rows->len;
  int found = fs_match_line(&g->match, line);
  if (found == -2) return yoi_sdk_fail_memory(err);
  if (found == -1) g->long_lines++;
  if (found == 1) {
    if (p->shown == 0) {
      fs_search_put_path(c, rows, yoi_sdk_buf_str(&g->path));
      yoi_sdk_buf_addc(rows, '\n');
    }
    put_found(g, line);
    return fs_search_row(&g->search, before) ? YOI_OK : YOI_END;
  }
  if (p->follow > 0 && p->follow-- && p->shown == p->line - 1) {
    put_row(rows, p->line, '-', line);
    p->shown = p->line;
    if (rows->failed == YOI_OUT_OF_RANGE) return fs_search_row(&g->search, before), YOI_END;
  }
  return YOI_OK;
}

/* OK: the file is done with, or s->ended is said. AGAIN: the slice is over. */
static yoi_status grep_lines(struct fs_call *c, struct grepping *g, yoi_error *err) {
  yoi_str bytes = yoi_sdk_buf_str(&g->file.bytes), line;
  struct place *p = &g->place;
  yoi_status st = YOI_OK;
  while (st == YOI_OK) {
    size_t begin = p->at;
    g->in_file = fs_line(bytes, &p->at, &line);
    if (!g->in_file) return YOI_OK;
    p->starts[++p->line % KEPT] = begin;
    st = one_line(c, g, line, err);
    if (st == YOI_OK && (p->line % LOOK_EVERY == 0 || line.len > LONG_BYTES))
      st = fs_search_pause(c, &g->search, err);
  }
  return st == YOI_END ? YOI_OK : st;
}

static yoi_status grep_file(struct fs_call *c, struct grepping *g, int fd, yoi_str path,
                            yoi_error *err) {
  enum fs_read_end end = fs_file_read(&g->file, fd);
  g->bytes += g->file.bytes.len;
  yoi_sdk_buf_clear(&g->path);
  yoi_sdk_buf_adds(&g->path, path);
  if (end == FS_NO_MEMORY || g->path.failed) return yoi_sdk_fail_memory(err);
  if (end == FS_TOO_LARGE) return g->large++, YOI_OK;
  if (end == FS_FAILED) return g->unreadable++, YOI_OK;
  if (g->bytes > YOI_FS_SEARCH_BYTES_MAX)
    g->search.ended = "it has read as much as it may; begin further down, or narrow it";
  if (fs_file_kind(yoi_sdk_buf_str(&g->file.bytes))) return g->binary++, YOI_OK;
  g->place = (struct place){.line = 0};
  return grep_lines(c, g, err);
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

/* Opens path: a folder, or else a file, which is then all there is. */
static yoi_status grep_open(struct fs_call *c, struct grepping *g, yoi_error *err) {
  int fd;
  yoi_status st = fs_search_open(c, &g->search, err);
  g->opened = 1;
  if (st != YOI_INVALID_ARGUMENT) return st;
  st = fs_open(c, c->path, YOI_MOUNT_READ, &fd, err);
  if (st != YOI_OK) return st;
  st = grep_file(c, g, fd, (yoi_str){NULL, 0}, err);
  close(fd);
  return st;
}

static yoi_status grep_step(struct fs_call *c, yoi_error *err) {
  struct grepping *g = c->state;
  struct fs_entry e;
  yoi_status st = YOI_OK;
  if (!g->opened)
    st = grep_open(c, g, err);
  else if (g->in_file)
    st = grep_lines(c, g, err);
  while (st == YOI_OK) {
    st = g->search.walk ? fs_search_next(c, &g->search, &e, err) : YOI_END;
    if (st == YOI_OK) st = grep_entry(c, g, &e, err);
  }
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
