/* search.c - a walk in slices, rows until there are enough.
 *
 * A search that ends early says why and what would help: a model that takes a
 * part for the whole draws the wrong conclusion.
 */
#include "search.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

yoi_status fs_search_begin(struct fs_call *c, struct fs_search *s, const char *pattern,
                           yoi_error *err) {
  yoi_str text = pattern ? fs_text(c, pattern, (yoi_str){NULL, 0}) : (yoi_str){NULL, 0};
  const char *why;
  yoi_sdk_buf_init(&s->rows, c->fs->output_bytes - FS_ROOM_FOR_NOTES);
  s->limit = fs_number(c, "limit", YOI_FS_ROWS_DEFAULT);
  if (!text.len) return YOI_OK;
  while (yoi_sdk_str_starts(text, YOI_LIT("./"))) text = (yoi_str){text.ptr + 2, text.len - 2};
  s->by_name = memchr(text.ptr, '/', text.len) == NULL;
  s->globs = yoi_sdk_globs_new(text, &why);
  if (s->globs) return YOI_OK;
  if (!why) return yoi_sdk_fail_memory(err);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "the pattern '%s' cannot be used: %s. '**/*.{c,h}' is one",
                      fs_show(text).text, why);
}

yoi_status fs_search_open(struct fs_call *c, struct fs_search *s, yoi_error *err) {
  int fd;
  yoi_status st = fs_open(c, c->path, YOI_MOUNT_READ | YOI_MOUNT_FOLDER, &fd, err);
  if (st != YOI_OK) return st;
  s->walk = fs_walk_new(fd, &fs_walk_limits);
  return s->walk ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status fs_search_pause(struct fs_call *c, struct fs_search *s, yoi_error *err) {
  switch (fs_call_pause(c)) {
    case FS_CANCELLED:
      return fs_cancelled(err);
    case FS_TIME_OVER:
      s->ended = "its time was over; begin further down, or narrow it";
      return YOI_END;
    case FS_SLICE_OVER:
      snprintf(c->status, sizeof c->status, "%zu entries seen, %" PRId64 " found",
               s->walk ? fs_walk_seen(s->walk) : 1, s->n);
      return YOI_AGAIN;
    default:
      return YOI_OK;
  }
}

yoi_status fs_search_next(struct fs_call *c, struct fs_search *s, struct fs_entry *out,
                          yoi_error *err) {
  yoi_status st = s->ended ? YOI_END : fs_search_pause(c, s, err);
  if (st != YOI_OK) return st;
  int got = fs_walk_next(s->walk, out);
  return got > 0 ? YOI_OK : got == 0 ? YOI_END : yoi_sdk_fail_memory(err);
}

int fs_search_fits(const struct fs_search *s, yoi_str path, yoi_str name) {
  return !s->globs || yoi_sdk_globs_fit(s->globs, s->by_name ? name : path);
}

void fs_search_put_path(const struct fs_call *c, struct yoi_sdk_buf *out, yoi_str path) {
  struct yoi_sdk_buf whole;
  yoi_str root = c->path;
  while (root.len > 0 && root.ptr[root.len - 1] == '/') root.len--;
  if (yoi_sdk_str_is(root, ".") || root.len == 0) {
    fs_put_name(out, path);
    return;
  }
  yoi_sdk_buf_init(&whole, root.len + path.len + 1);
  yoi_sdk_buf_adds(&whole, root);
  if (path.len > 0) yoi_sdk_buf_addc(&whole, '/'); /* else the root is a file */
  yoi_sdk_buf_adds(&whole, path);
  fs_put_name(out, yoi_sdk_buf_str(&whole));
  if (whole.failed) out->failed = whole.failed;
  yoi_sdk_buf_release(&whole);
}

int fs_search_row(struct fs_search *s, size_t before) {
  if (s->rows.failed == YOI_OUT_OF_RANGE) {
    s->rows.failed = 0;
    s->rows.len = before;
    s->ended = "what it has to say is as long as it may be; narrow it";
    return 0;
  }
  if (++s->n < s->limit) return 1;
  s->ended = "that is the limit; there may be more: narrow it, or give a higher limit";
  return 0;
}

yoi_status fs_search_say(struct fs_call *c, struct fs_search *s, const char *one, const char *many,
                         yoi_error *err) {
  yoi_sdk_buf_addf(&c->out, "'%s': %" PRId64 " %s\n", fs_show(c->path).text, s->n,
                   s->n == 1 ? one : many);
  yoi_sdk_buf_adds(&c->out, yoi_sdk_buf_str(&s->rows));
  if (s->ended) yoi_sdk_buf_addf(&c->out, "ended early: %s\n", s->ended);
  if (s->walk) fs_put_left(&c->out, fs_walk_left(s->walk));
  return s->rows.failed ? yoi_sdk_fail_memory(err) : YOI_OK;
}

void fs_search_release(struct fs_search *s) {
  fs_walk_free(s->walk);
  yoi_sdk_globs_free(s->globs);
  yoi_sdk_buf_release(&s->rows);
}
