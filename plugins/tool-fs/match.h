/* match.h - does a line have what is looked for: a text, or a pattern of
 * sdk/pattern.h; with or without regard to the case of A to Z. */
#ifndef TOOL_FS_MATCH_H
#define TOOL_FS_MATCH_H

#include <sdk/pattern.h>
#include <sdk/str.h>

struct fs_match {
  struct yoi_sdk_pattern *pattern; /* NULL: text is looked for as it is */
  struct yoi_sdk_buf text, line;   /* line: folded */
  int fold;
};

yoi_status fs_match_init(struct fs_match *m, yoi_str text, int literal, int fold, yoi_error *err);
void fs_match_release(struct fs_match *m);
/* 1, 0; -1: the line is too long for a pattern. -2: memory is short. */
int fs_match_line(struct fs_match *m, yoi_str line);

#endif
