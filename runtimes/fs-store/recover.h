/* recover.h - what recover.c and its parts share: while a store is opened, on
 * one thread. */
#ifndef FS_RECOVER_H
#define FS_RECOVER_H

#include "store_fs.h"

struct fs_slot {
  struct eng_log *log;
};

/* Logs by id; open addressing, cap a power of two. */
struct fs_names {
  struct fs_slot *slots;
  size_t n, cap;
};

struct fs_recovery {
  struct fs_store *s;
  struct fs_names names;
  uint64_t upto;   /* all lines up to this one are in the workers' files */
  uint64_t expect; /* the number of the next line */
  uint64_t sworn;  /* all up to this number was durable, said what lies behind a gap */
  bool batch_ended; /* the line before it was that of a batch */
  /* The lines of the batch that was found behind the last gap: [begin, end). */
  uint64_t batch_begin, batch_end;
  uint64_t *segments;
  size_t n_segments, cap_segments;
  /* An append of which not all lines were read. */
  struct yoi_sdk_buf group;
  struct eng_log *group_log;
  uint64_t group_seq;
  uint32_t group_records, group_items;
};

struct eng_log *fs_names_find(const struct fs_names *t, yoi_str id);
/* Adds it, or takes the place of one of that id. 0: memory is short. */
int fs_names_put(struct fs_names *t, struct eng_log *log);

/* replay.c: reads the log from r->upto on. */
yoi_status fs_replay(struct fs_recovery *r);
/* rebuild.c: reads all workers' files, where there is no index. */
yoi_status fs_rebuild(struct fs_recovery *r);
/* Reads the file of one that the index calls corrupt: is it? */
yoi_status fs_judge_again(struct fs_recovery *r, struct eng_log *log);

#endif
