/* walk.h - everything below a folder, one entry at a time: a folder, then what
 * is in it, names in the order of their bytes. */
#ifndef TOOL_FS_WALK_H
#define TOOL_FS_WALK_H

#include <dirent.h>

#include "call.h"

struct fs_walk;

/* How far it goes; those of limits.h, but for tests. */
struct fs_walk_limits {
  size_t depth;   /* folders in folders */
  size_t folder;  /* entries of one */
  size_t entries; /* of all that were read */
};
extern const struct fs_walk_limits fs_walk_limits;

struct fs_entry {
  yoi_str path; /* from the folder that the walk began in; valid until next */
  yoi_str name; /* its end, NUL-terminated */
  int folder;   /* the descriptor of the folder that it is in */
  int type;     /* DT_*; DT_UNKNOWN: it is gone */
  size_t depth; /* 1: in the first folder */
};

/* What it did not go into, or had to leave out. */
struct fs_walk_left {
  size_t deep, large, unreadable, git;
  int entries; /* it ended at that limit */
};

/* Takes over the descriptor, also when memory is short (NULL). */
struct fs_walk *fs_walk_new(int folder, const struct fs_walk_limits *limits);
/* 1: an entry. 0: there are no more. -1: memory is short. */
int fs_walk_next(struct fs_walk *w, struct fs_entry *out);
/* Does not go into the folder that next gave last. */
void fs_walk_skip(struct fs_walk *w);
const struct fs_walk_left *fs_walk_left(const struct fs_walk *w);
size_t fs_walk_seen(const struct fs_walk *w); /* entries */
void fs_walk_free(struct fs_walk *w);
/* Lines about what was left out. */
void fs_put_left(struct yoi_sdk_buf *out, const struct fs_walk_left *left);

#endif
