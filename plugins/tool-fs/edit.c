/* edit.c - one text in place of another that stands in it once.
 *
 * Places do not overlap and are found from the left. What is not found is
 * looked for once more, with less regard: a model that is told what it did wrong
 * does it right the next time.
 */
#include "edit.h"

#include <sdk/error.h>
#include <stdio.h>
#include <string.h>

#include "file.h"

#define PLACES_SAID 8
#define LINES_SAID 6   /* of each side of an edit */
#define LINE_BYTES 160 /* of each of them */
#define ALIKE_MAX 1000000 /* pairs of lines that are compared for a hint */

static size_t line_of(yoi_str text, size_t at) {
  size_t n = 1;
  for (const char *p = text.ptr, *end = text.ptr + at; p < end; p++, n++) {
    p = memchr(p, '\n', (size_t)(end - p));
    if (!p) break;
  }
  return n;
}

/* The next place at or behind *at; 0: none. */
static int find(yoi_str text, yoi_str old, size_t *at) {
  const char *p = *at < text.len ? memmem(text.ptr + *at, text.len - *at, old.ptr, old.len) : NULL;
  if (!p) return 0;
  *at = (size_t)(p - text.ptr);
  return 1;
}

/* ---- why it was not found ---- */

static yoi_str trim(yoi_str s) {
  while (s.len > 0 && strchr(" \t\r", s.ptr[0]) && s.ptr[0]) s.ptr++, s.len--;
  while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1]) && s.ptr[s.len - 1]) s.len--;
  return s;
}

/* 1: each line begins with a number and a tab, as fs_read shows it. */
static int numbered(yoi_str old) {
  size_t at = 0;
  yoi_str line;
  while (fs_line(old, &at, &line)) {
    size_t digits = 0;
    while (digits < line.len && line.ptr[digits] >= '0' && line.ptr[digits] <= '9') digits++;
    if (digits == 0 || digits == line.len || line.ptr[digits] != '\t') return 0;
  }
  return 1;
}

/* The line where it stands but for blanks at both ends of lines; 0: nowhere. */
static size_t alike(yoi_str text, yoi_str old) {
  yoi_str want, is;
  size_t at = 0, n = 0, pairs = 0;
  while (fs_line(text, &at, &is)) {
    size_t here = at - is.len - 1, from = 0;
    n++;
    while (fs_line(old, &from, &want)) {
      if (++pairs > ALIKE_MAX) return 0;
      if (!fs_line(text, &here, &is) || !yoi_sdk_str_eq(trim(want), trim(is))) break;
      if (from >= old.len) return n;
    }
  }
  return 0;
}

static yoi_status not_found(yoi_str text, yoi_str old, size_t which, yoi_error *err) {
  if (numbered(old))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "edit %zu: 'old' begins with the numbers of lines, which fs_read shows and "
                        "which are not in the file: leave out each number and the tab behind it. "
                        "Nothing was changed",
                        which);
  size_t line = alike(text, old);
  if (line > 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "edit %zu: 'old' is not in the file as it stands, but at line %zu it is "
                        "but for blanks or tabs at the ends of lines: take them from there. "
                        "Nothing was changed",
                        which, line);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "edit %zu: 'old' is not in the file%s: take it from what fs_read shows. "
                      "Nothing was changed",
                      which, which > 1 ? " as the edits before have left it" : "");
}

static yoi_status too_many(yoi_str text, yoi_str old, size_t which, yoi_error *err) {
  struct yoi_sdk_buf lines;
  size_t n = 0;
  yoi_sdk_buf_init(&lines, 256);
  for (size_t at = 0; find(text, old, &at); at += old.len, n++)
    if (n < PLACES_SAID) yoi_sdk_buf_addf(&lines, "%s%zu", n ? ", " : "", line_of(text, at));
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                               "edit %zu: 'old' stands %zu times in the file, at lines %.*s%s: "
                               "take in more of what is around the one that is meant, or say "
                               "all: true. Nothing was changed",
                               which, n, YOI_ARG(yoi_sdk_buf_str(&lines)),
                               n > PLACES_SAID ? " and more" : "");
  yoi_sdk_buf_release(&lines);
  return st;
}

/* ---- what was done ---- */

static void say_lines(struct yoi_sdk_buf *said, char mark, yoi_str text) {
  size_t at = 0, n = 0, all = fs_lines(text);
  yoi_str line;
  while (n < LINES_SAID && fs_line(text, &at, &line)) {
    n++;
    yoi_sdk_buf_addc(said, mark);
    fs_put_line(said, line, LINE_BYTES);
    yoi_sdk_buf_addc(said, '\n');
  }
  if (all > n) yoi_sdk_buf_addf(said, "%c... [%zu lines more]\n", mark, all - n);
}

static void say(struct yoi_sdk_buf *said, size_t line, size_t times, yoi_str old, yoi_str new) {
  size_t before = said->len;
  yoi_sdk_buf_addf(said, "@@ line %zu", line);
  if (times > 1) yoi_sdk_buf_addf(said, ", and %zu more places", times - 1);
  yoi_sdk_buf_adds(said, YOI_LIT(" @@\n"));
  say_lines(said, '-', old);
  say_lines(said, '+', new);
  if (said->failed != YOI_OUT_OF_RANGE) return;
  said->failed = 0; /* there is no room for more: it was done all the same */
  said->len = before;
}

/* ---- the edit ---- */

yoi_status fs_edit_text(struct yoi_sdk_buf *text, yoi_str old, yoi_str new, int all, size_t which,
                        struct yoi_sdk_buf *said, yoi_error *err) {
  struct yoi_sdk_buf made;
  yoi_str is = yoi_sdk_buf_str(text);
  size_t at = 0, from = 0, times = 0;
  if (yoi_sdk_str_eq(old, new))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "edit %zu: 'old' and 'new' are the same. Nothing was changed", which);
  if (!find(is, old, &at)) return not_found(is, old, which, err);
  size_t first = at, again = at + old.len;
  if (!all && find(is, old, &again)) return too_many(is, old, which, err);
  yoi_sdk_buf_init(&made, YOI_FS_FILE_BYTES_MAX);
  do {
    yoi_sdk_buf_add(&made, is.ptr + from, at - from);
    yoi_sdk_buf_adds(&made, new);
    from = at += old.len;
    times++;
  } while (all && find(is, old, &at));
  yoi_sdk_buf_add(&made, is.ptr + from, is.len - from);
  if (made.failed) {
    int large = made.failed == YOI_OUT_OF_RANGE;
    yoi_sdk_buf_release(&made);
    if (!large) return yoi_sdk_fail_memory(err);
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "edit %zu: the file would have more than %d bytes. Nothing was changed",
                        which, YOI_FS_FILE_BYTES_MAX);
  }
  say(said, line_of(is, first), times, old, new);
  yoi_sdk_buf_release(text);
  *text = made;
  return YOI_OK;
}
