/* fs_edit.c - texts in place of others, all or none.
 *
 * The edits are made one behind another in memory, each in what those before it
 * have left, and only then the file is replaced: one that cannot be made leaves
 * the file as it was. Where all lines end in CR LF, fs_read does not show the
 * CR; so line feeds of `old` and `new` mean both there.
 */
#include "edit.h"

#include <string.h>

#include "replace.h"

struct editing {
  struct fs_target target;
  struct yoi_sdk_buf old, new; /* with CR LF */
  struct yoi_sdk_buf said;
};

static yoi_status edit_begin(struct fs_call *c, yoi_error *err) {
  struct editing *e = c->state;
  (void)err;
  fs_target_init(&e->target);
  yoi_sdk_buf_init(&e->old, 2 * YOI_TOOL_ARGUMENTS_MAX);
  yoi_sdk_buf_init(&e->new, 2 * YOI_TOOL_ARGUMENTS_MAX);
  yoi_sdk_buf_init(&e->said, c->fs->output_bytes - FS_ROOM_FOR_NOTES);
  return YOI_OK;
}

static void edit_end(struct fs_call *c) {
  struct editing *e = c->state;
  fs_target_release(&e->target);
  yoi_sdk_buf_release(&e->old);
  yoi_sdk_buf_release(&e->new);
  yoi_sdk_buf_release(&e->said);
}

/* With a CR before each LF that has none. */
static yoi_str with_cr(struct yoi_sdk_buf *out, yoi_str s) {
  yoi_sdk_buf_clear(out);
  for (size_t i = 0; i < s.len; i++) {
    if (s.ptr[i] == '\n' && (i == 0 || s.ptr[i - 1] != '\r')) yoi_sdk_buf_addc(out, '\r');
    yoi_sdk_buf_addc(out, s.ptr[i]);
  }
  return yoi_sdk_buf_str(out);
}

static yoi_status make_edits(struct fs_call *c, size_t *out_n, yoi_error *err) {
  struct editing *e = c->state;
  struct yoi_sdk_buf *text = &e->target.file.bytes;
  int crlf = fs_crlf(yoi_sdk_buf_str(text));
  const yoi_sdk_json *edit = yoi_sdk_json_first(yoi_sdk_json_get(c->arguments, "edits"));
  yoi_status st = YOI_OK;
  for (; edit && st == YOI_OK; edit = yoi_sdk_json_next(edit)) {
    yoi_str old = {NULL, 0}, new = {NULL, 0};
    int all = 0;
    ++*out_n;
    (void)yoi_sdk_json_str(yoi_sdk_json_get(edit, "old"), &old);
    (void)yoi_sdk_json_str(yoi_sdk_json_get(edit, "new"), &new);
    (void)yoi_sdk_json_bool(yoi_sdk_json_get(edit, "all"), &all);
    if (crlf) old = with_cr(&e->old, old);
    if (crlf) new = with_cr(&e->new, new);
    if (e->old.failed || e->new.failed) return yoi_sdk_fail_memory(err);
    if (fs_call_pause(c) == FS_CANCELLED) return fs_cancelled(err);
    st = fs_edit_text(text, old, new, all, *out_n, &e->said, err);
  }
  return st;
}

static yoi_status edit_step(struct fs_call *c, yoi_error *err) {
  struct editing *e = c->state;
  struct fs_target *t = &e->target;
  yoi_str expected = fs_text(c, "expected_revision", (yoi_str){NULL, 0});
  char revision[FS_REVISION_SIZE];
  size_t n = 0;
  yoi_status st = fs_target_open(c, 0, t, err);
  if (st == YOI_OK && !t->exists)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "'%s' is not there: fs_write makes it",
                        fs_show(c->path).text);
  if (st == YOI_OK) st = fs_target_expect(c, t, expected, err);
  if (st == YOI_OK) st = fs_file_must_be_text(&t->file, c->path, err);
  if (st == YOI_OK) st = make_edits(c, &n, err);
  yoi_str made = yoi_sdk_buf_str(&t->file.bytes);
  if (st == YOI_OK && !fs_revision(made, revision)) st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK) st = fs_target_replace(c, t, made, err);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_addf(&c->out, "changed '%s': %zu %s, %zu lines, %zu bytes, revision %s\n",
                   fs_show(c->path).text, n, n == 1 ? "edit" : "edits", fs_lines(made), made.len,
                   revision);
  yoi_sdk_buf_adds(&c->out, yoi_sdk_buf_str(&e->said));
  return YOI_OK;
}

const struct fs_op fs_edit_op = {
    .name = "fs_edit",
    .state_size = sizeof(struct editing),
    .begin = edit_begin,
    .step = edit_step,
    .end = edit_end,
};
