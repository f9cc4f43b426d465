/* gap.h - what can be told from what lies behind a place of the log where the
 * next line is not. */
#ifndef FS_GAP_H
#define FS_GAP_H

#include <stdint.h>
#include <yoi/base.h>

/* These give OK, END (it is not so) or an error of reading. */
/* A sound line with that number begins near `from`, at *out_at, be it in the
 * middle of what was a line: the one before it may have lost its line feed. */
yoi_status fs_gap_find(int fd, uint64_t from, uint64_t end, uint64_t n, uint64_t *out_at);
/* Line n is not at `from`, and the line before it ended a batch. OK: a whole
 * batch begins with n + 1, at *out_at, so that n was a seal and nothing is
 * lost: a batch has two lines at least. */
yoi_status fs_gap_is_seal(int fd, uint64_t from, uint64_t end, uint64_t n, uint64_t *out_at);

#endif
