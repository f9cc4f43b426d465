/* replace.h - a file takes another's place, whole or not at all. */
#ifndef TOOL_FS_REPLACE_H
#define TOOL_FS_REPLACE_H

#include "file.h"

/* A name in a folder, and what is there. */
struct fs_target {
  int folder; /* -1: none */
  char name[256];
  int exists;
  struct fs_file file; /* what is there, when it exists */
};

/* Looks up where c->path leads: its folder beneath the mount, for writing, and
 * what is at its last name, which is a regular file or nothing. make: folders
 * that are not there are made. Release it in any case. */
yoi_status fs_target_open(struct fs_call *c, int make, struct fs_target *t, yoi_error *err);
/* What is there has to be what `revision` names; an empty one: nothing is. */
yoi_status fs_target_expect(struct fs_call *c, const struct fs_target *t, yoi_str revision,
                            yoi_error *err);
/* Puts these bytes there. Fails without a trace, or has done it. */
yoi_status fs_target_replace(struct fs_call *c, const struct fs_target *t, yoi_str bytes,
                             yoi_error *err);
void fs_target_init(struct fs_target *t);
void fs_target_release(struct fs_target *t);

/* 1: a name of a file that replace makes, and that only a kill leaves behind. */
int fs_is_temporary(const char *name);

#endif
