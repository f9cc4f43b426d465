/* fs_write.c - a whole file. A new one needs nothing; one that is there is only
 * replaced by whoever says which revision of it they have read. */
#include "replace.h"

struct writing {
  struct fs_target target;
};

static yoi_status write_begin(struct fs_call *c, yoi_error *err) {
  (void)err;
  fs_target_init(&((struct writing *)c->state)->target);
  return YOI_OK;
}

static void write_end(struct fs_call *c) {
  fs_target_release(&((struct writing *)c->state)->target);
}

static yoi_status write_step(struct fs_call *c, yoi_error *err) {
  struct fs_target *t = &((struct writing *)c->state)->target;
  yoi_str content = fs_text(c, "content", (yoi_str){NULL, 0});
  char revision[FS_REVISION_SIZE];
  yoi_status st = fs_target_open(c, fs_flag(c, "create_folders"), t, err);
  if (st == YOI_OK)
    st = fs_target_expect(c, t, fs_text(c, "expected_revision", (yoi_str){NULL, 0}), err);
  if (st == YOI_OK && !fs_revision(content, revision)) st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK) st = fs_target_replace(c, t, content, err);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_addf(&c->out, "%s '%s': %zu lines, %zu bytes, revision %s\n",
                   t->exists ? "replaced" : "made", fs_show(c->path).text, fs_lines(content),
                   content.len, revision);
  if (t->exists && t->file.sb.st_nlink > 1)
    yoi_sdk_buf_adds(&c->out, YOI_LIT("it had another name (a hard link), where the old content "
                                      "still is\n"));
  return YOI_OK;
}

const struct fs_op fs_write_op = {
    .name = "fs_write",
    .state_size = sizeof(struct writing),
    .begin = write_begin,
    .step = write_step,
    .end = write_end,
};
