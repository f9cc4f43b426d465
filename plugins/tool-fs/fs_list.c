/* fs_list.c - what is in a folder, and which files below it fit a pattern.
 *
 *   fs_list: names, a folder's with a slash, a file's with its size, a link's as
 *   such: where it leads is not read, for that may be a path of the host.
 *   fs_glob: paths of files and links from the root of the mount, as the other
 *   tools take them.
 */
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>

#include "search.h"

struct listing {
  struct fs_search search;
  int64_t depth;
};

static void listing_end(struct fs_call *c) {
  fs_search_release(&((struct listing *)c->state)->search);
}

static yoi_status list_begin(struct fs_call *c, yoi_error *err) {
  struct listing *l = c->state;
  l->depth = fs_number(c, "depth", 1);
  return fs_search_begin(c, &l->search, NULL, err);
}

static const char *kind(int type) {
  switch (type) {
    case DT_LNK:
      return " (link)";
    case DT_FIFO:
      return " (pipe)";
    case DT_SOCK:
      return " (socket)";
    case DT_CHR:
    case DT_BLK:
      return " (device)";
    default:
      return " (gone)";
  }
}

static void list_row(struct yoi_sdk_buf *out, const struct fs_entry *e) {
  struct stat sb;
  fs_put_name(out, e->path);
  if (e->type == DT_DIR) {
    yoi_sdk_buf_addc(out, '/');
  } else if (e->type != DT_REG) {
    yoi_sdk_buf_adds(out, yoi_sdk_str(kind(e->type)));
  } else if (fstatat(e->folder, e->name.ptr, &sb, AT_SYMLINK_NOFOLLOW) == 0) {
    yoi_sdk_buf_addf(out, " %lld", (long long)sb.st_size);
  }
  yoi_sdk_buf_addc(out, '\n');
}

static yoi_status list_step(struct fs_call *c, yoi_error *err) {
  struct listing *l = c->state;
  struct fs_search *s = &l->search;
  struct fs_entry e;
  yoi_status st = s->walk ? YOI_OK : fs_search_open(c, s, err);
  while (st == YOI_OK && (st = fs_search_next(c, s, &e, err)) == YOI_OK) {
    size_t before = s->rows.len;
    list_row(&s->rows, &e);
    if ((int64_t)e.depth == l->depth) fs_walk_skip(s->walk);
    (void)fs_search_row(s, before);
  }
  return st == YOI_END ? fs_search_say(c, s, "entry", "entries", err) : st;
}

static yoi_status glob_begin(struct fs_call *c, yoi_error *err) {
  return fs_search_begin(c, &((struct listing *)c->state)->search, "pattern", err);
}

static yoi_status glob_step(struct fs_call *c, yoi_error *err) {
  struct fs_search *s = &((struct listing *)c->state)->search;
  struct fs_entry e;
  yoi_status st = s->walk ? YOI_OK : fs_search_open(c, s, err);
  while (st == YOI_OK && (st = fs_search_next(c, s, &e, err)) == YOI_OK) {
    if ((e.type != DT_REG && e.type != DT_LNK) || !fs_search_fits(s, e.path, e.name)) continue;
    size_t before = s->rows.len;
    fs_search_put_path(c, &s->rows, e.path);
    yoi_sdk_buf_addc(&s->rows, '\n');
    (void)fs_search_row(s, before);
  }
  return st == YOI_END ? fs_search_say(c, s, "file", "files", err) : st;
}

const struct fs_op fs_list_op = {
    .name = "fs_list",
    .state_size = sizeof(struct listing),
    .begin = list_begin,
    .step = list_step,
    .end = listing_end,
};

const struct fs_op fs_glob_op = {
    .name = "fs_glob",
    .state_size = sizeof(struct listing),
    .begin = glob_begin,
    .step = glob_step,
    .end = listing_end,
};
