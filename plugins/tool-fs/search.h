/* search.h - what fs_list, fs_glob and fs_grep share: a walk in slices, rows
 * until there are enough, and what is said about those that are not there. */
#ifndef TOOL_FS_SEARCH_H
#define TOOL_FS_SEARCH_H

#include <sdk/glob.h>

#include "walk.h"

struct fs_search {
  struct fs_walk *walk;
  struct yoi_sdk_globs *globs; /* NULL: every name fits */
  int by_name;                 /* it has no slash: it is about names alone */
  struct yoi_sdk_buf rows;
  int64_t n, limit;
  const char *ended; /* why it ended before all was seen; NULL: it did not */
};

/* Takes limit and, when it is not empty, a pattern from the arguments. */
yoi_status fs_search_begin(struct fs_call *c, struct fs_search *s, const char *pattern,
                           yoi_error *err);
/* Opens the folder c->path. */
yoi_status fs_search_open(struct fs_call *c, struct fs_search *s, yoi_error *err);
/* OK: go on. AGAIN: the slice is over. END: so is the time, and s->ended says it. */
yoi_status fs_search_pause(struct fs_call *c, struct fs_search *s, yoi_error *err);
/* OK: the next entry. END: all was seen, or s->ended says why not. AGAIN: the
 * slice is over. */
yoi_status fs_search_next(struct fs_call *c, struct fs_search *s, struct fs_entry *out,
                          yoi_error *err);
int fs_search_fits(const struct fs_search *s, yoi_str path, yoi_str name);
/* Its path from the root of the mount, as other tools take it. */
void fs_search_put_path(const struct fs_call *c, struct yoi_sdk_buf *out, yoi_str path);
/* A row ends; it began where rows had `before` bytes. 0: it had no room any
 * more, and is gone; or it was the last that is wanted. */
int fs_search_row(struct fs_search *s, size_t before);
/* The result: "WHAT: 3 files", the rows, what is missing. */
yoi_status fs_search_say(struct fs_call *c, struct fs_search *s, const char *one, const char *many,
                         yoi_error *err);
void fs_search_release(struct fs_search *s);

#endif
