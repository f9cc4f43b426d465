/* store_fs.h - a store of files: the inside.
 *
 *   append --> queue --> committer: log segment, fdatasync --> done
 *                                      |
 *                                      v chunks, in memory
 *                            keeper: worker files, index (a checkpoint)
 *   read ----> queue --> reader: worker file, then chunks --> done
 *
 * Threads: one committer, one keeper, FS_READERS readers; the engine calls
 * from any. Locks, never two at a time, none across file I/O or a callback:
 *   mu         the queue, all logs and their chunks, numbers
 *   reads.mu   the queues of the readers
 * What a member's comment names as the keeper's or the committer's is touched
 * by that thread alone; before the threads are started, by open.
 */
#ifndef FS_STORE_FS_H
#define FS_STORE_FS_H

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/hard.h>
#include <sdk/metric.h>
#include <stdatomic.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/limits.h>

#include "line.h"
#include "lines.h"
#include "root.h"
#include "shelf.h"

#define FS_READERS 2
#define FS_OFFSET_EVERY 64 /* records from one remembered offset to the next */

struct fs_config {
  char *root; /* borrowed for the call; the store has a copy */
  bool relaxed;            /* acknowledge before fdatasync */
  uint64_t relaxed_ms; /* and how long after it at most */
  uint64_t segment_bytes, checkpoint_bytes, checkpoint_ms;
  /* Stopped workers are kept so long, and so many bytes of them; 0: for ever,
   * all. */
  uint64_t max_age_s, max_bytes;
  bool archive; /* their histories get a second name before they go */
};

/* The lines of one append, immutable: durable in the log, not yet in the
 * worker's file. */
struct fs_chunk {
  struct fs_chunk *next, *prev, *skip; /* mu */
  uint64_t place;                      /* in its log: from 0, without a gap; mu */
  atomic_uint refs;
  uint32_t records, items; /* items: of them those that a transcript shows */
  enum eng_mark mark;
  uint64_t seq;  /* of its first record */
  uint64_t last; /* number of its last line */
  uint64_t stopped_ms; /* see eng_log */
  size_t len;
  char bytes[];
};

struct eng_log {
  struct eng_log *prev, *next; /* all; mu */
  struct eng_log *dirty_next;  /* mu */
  struct eng_log *keep_next;   /* of those that a checkpoint has taken; the keeper's */
  struct fs_chunk *chunks, *last_chunk; /* mu */
  struct eng_birth birth;
  uint64_t seq; /* of the last durable record; mu */
  /* The file: written by the keeper, under mu. */
  uint64_t file_bytes, file_seq;
  uint64_t stopped_ms; /* when it was stopped, in wall time; 0: not known; mu */
  uint64_t *offsets; /* of the records 1, 1 + FS_OFFSET_EVERY, ...; mu */
  uint32_t n_offsets, cap_offsets;
  uint32_t refs;            /* mu: the engine's, the queue's, the keeper's */
  uint8_t file_mark;        /* enum eng_mark: of file_seq */
  bool dirty;               /* mu */
  bool kept;                /* it has records: the ring has a reference; mu */
  bool stuck;               /* its file could not be written, see carry.c; mu */
  uint64_t lost_seq;        /* a record of it is known to be lost, or 0; mu */
  uint64_t removed_n;       /* number of its removal, or 0; mu */
  bool found;               /* before this start: its file may be there */
  bool torn;                /* behind what is known of its file there is more */
  bool damaged;             /* records of it are lost; mu */
  const char *id;           /* behind the struct */
};

struct fs_job {
  struct fs_job *next;
  struct eng_log *log; /* a reference */
  struct eng_ticket *ticket;
  bool removes;
  enum eng_mark mark;
  yoi_status st;
  struct fs_chunk *chunk;
  uint64_t first; /* its first line's number */
  size_t n;
  struct eng_frame *frames[]; /* references */
};

struct fs_read {
  struct fs_read *next;
  struct eng_log *log; /* a reference; NULL: a bundle is changed */
  struct eng_ticket *ticket;
  struct eng_text *bytes; /* of that bundle, a reference; NULL: it is removed */
  char digest[YOI_SDK_DIGEST_SIZE];
  uint64_t from;
  size_t limit;
  int items_only;
};

/* Asked of the committer by the keeper, which waits for it: see carry.c. */
struct fs_carry {
  struct eng_log *logs; /* by keep_next */
  uint64_t upto;        /* all but them have to be in the files up to here */
  int error;
  bool done; /* mu */
};

/* What waits for one reader. */
struct fs_reads {
  struct fs_store *s;
  pthread_mutex_t mu;
  pthread_cond_t work;
  struct fs_read *first, **tail;
  bool stopping;
};

/* The segment that is written to. The committer's. */
struct fs_segment {
  int fd;         /* -1: there is none */
  uint64_t first; /* number */
  uint64_t at;    /* where the next line goes */
  uint64_t size;  /* of the file: zeros from `at` on */
};

#define FS_EXPIRED_MAX YOI_SDK_HARD(1024, 2)

/* See store_amiss. */
enum fs_amiss {
  FS_AMISS_WRITE,
  FS_AMISS_SYNC,
  FS_AMISS_KEEP,
  FS_AMISS_ARCHIVE,
  FS_AMISS_INDEX,
  FS_AMISS_LOST,
  FS_AMISS_BUNDLE,
  FS_AMISS_COUNT
};

struct fs_metrics {
  uint32_t commit_time, records, bytes, checkpoint_time, recovery_time;
};

struct fs_store {
  struct eng_store head; /* first */
  struct fs_config config;
  struct fs_root root;
  const yoi_host *host;
  const yoi_host_clock *clock;
  const yoi_host_log *log; /* may be NULL */
  struct yoi_sdk_metrics metrics;
  struct fs_metrics metric;

  pthread_mutex_t mu;
  pthread_cond_t work; /* the committer's */
  pthread_cond_t keep; /* the keeper's */
  pthread_cond_t carried; /* of whoever waits for `carry` */
  struct fs_job *jobs, **jobs_tail;
  struct eng_log all; /* a ring: its prev and next */
  uint64_t n_logs;
  struct eng_log *dirty, **dirty_tail;
  uint64_t next_n;      /* the number of the next line; the committer's */
  uint64_t committed;   /* the last number that is in chunks or a file; mu */
  uint64_t log_bytes;   /* written since the last checkpoint; mu */
  uint64_t log_first;   /* of the segment that is written to, or 0; mu */
  struct fs_carry *carry; /* mu */
  uint64_t stuck_bytes;   /* of records whose files cannot be written; mu */
  bool stopping, committer_over; /* mu */
  bool changed; /* what the index on the disk says is not all; mu */
  struct {
    bool committer, keeper;
    size_t readers;
  } started;
  bool unsure; /* a sync of the files failed: no checkpoints; the keeper's */
  bool broken; /* a sync failed: nothing is written any more; mu */
  struct {
    uint64_t count, last_ns;
    bool now;
  } amiss[FS_AMISS_COUNT]; /* mu */

  /* Stopped workers that are kept no longer, oldest first, with references. */
  struct eng_log *expired[FS_EXPIRED_MAX]; /* mu */
  size_t n_expired, next_expired;          /* mu */

  struct fs_segment segment; /* the committer's */
  uint64_t durable;          /* the last number that was synced; the committer's */
  uint64_t unsynced_ns;      /* since when something is not; 0: all is */
  struct yoi_sdk_buf lines;  /* the committer's */

  struct fs_reads reads[FS_READERS];
  pthread_t committer, keeper, readers[FS_READERS];
};

static inline struct fs_store *fs_of(struct eng_store *s) {
  return (struct fs_store *)s;
}

/* store_fs.c */
yoi_status fs_store_new(const yoi_host *host, const struct fs_config *config,
                        struct eng_store **out, yoi_error *err);
/* For the operator, with a path; never public. */
void fs_log(const struct fs_store *s, uint32_t level, const char *msg, const char *file, int error);
uint64_t fs_mono(void); /* what conditions are waited for with */
/* mu held in these. */
void fs_amiss(struct fs_store *s, enum fs_amiss what);
void fs_amiss_over(struct fs_store *s, enum fs_amiss what);
/* A log in the ring with one reference, the engine's. NULL: memory is short. */
struct eng_log *fs_log_add(struct fs_store *s, yoi_str id, const struct eng_birth *birth);
void fs_log_unref(struct fs_store *s, struct eng_log *log);
/* The store's own reference, for as long as there are records. */
void fs_log_keep(struct eng_log *log);
void fs_log_let_go(struct fs_store *s, struct eng_log *log);
/* All of them, whoever refers to them: nobody will any more. */
void fs_logs_free(struct fs_store *s);
/* mu held: record seq of it is lost, and is in no file from which that could
 * be seen. */
void fs_log_lose(struct fs_store *s, struct eng_log *log, uint64_t seq);
void fs_log_dirty(struct fs_store *s, struct eng_log *log);

/* chunks.c; mu held, but in the first two. */
struct fs_chunk *fs_chunk_new(const char *bytes, size_t len);
void fs_chunk_unref(struct fs_chunk *c);
/* Behind the last; takes the reference over. */
void fs_log_chunk(struct fs_store *s, struct eng_log *log, struct fs_chunk *c);
/* The first one is in the file. */
void fs_log_chunk_let_go(struct eng_log *log);
/* The first chunk that has that record or a later one; NULL: there is none. */
struct fs_chunk *fs_log_chunk_at(const struct eng_log *log, uint64_t seq);
/* A step of that search: NULL when no earlier chunk can have the record. */
struct fs_chunk *fs_chunk_back(const struct eng_log *log, const struct fs_chunk *c, uint64_t seq);

/* commit.c */
void *fs_commit_run(void *store);
/* Writes s->lines, of which the first has that number, and syncs them; an
 * errno. */
int fs_commit_lines(struct fs_store *s, uint64_t first);
/* carry.c */
/* The records of these logs, and removals, are in the log once more, behind
 * *upto. An errno. The committer's thread, or while there is none. */
int fs_carry_over(struct fs_store *s, struct eng_log *logs, uint64_t *upto);
/* The same, from the keeper's thread. */
int fs_carry_ask(struct fs_store *s, struct eng_log *logs, uint64_t *upto);
/* mu held: there is no room for more of a worker whose file cannot be written. */
bool fs_carry_full(const struct fs_store *s, const struct eng_log *log);
/* segment.c: on the committer's thread, or while there is none. */
/* Nothing is written from now on. */
void fs_break(struct fs_store *s);
bool fs_is_broken(struct fs_store *s);
/* Writes whole lines, of which the first has that number, behind the last; 0,
 * or an errno: nothing was written. */
int fs_segment_write(struct fs_store *s, uint64_t first, const char *bytes, size_t n);
/* 0, or an errno: what was written may be there or not. */
int fs_segment_sync(struct fs_store *s);
/* Ends the one that is written to, and begins one at that number; an errno. */
int fs_segment_rotate(struct fs_store *s, uint64_t first, uint64_t size);
/* Nobody was told of the last n bytes: takes them out again, if it can. */
void fs_segment_cut(struct fs_store *s, size_t n);
void fs_segment_close(struct fs_store *s);
/* keep.c */
void *fs_keep_run(void *store);
/* 0, or an errno. */
int fs_keep_checkpoint(struct fs_store *s);
/* retain.c */
/* Finds out who is kept no longer. The keeper's; does nothing when all are. */
void fs_retain(struct fs_store *s);
/* The next of them; 0: there is none now. */
int fs_expired(struct fs_store *s, struct eng_expired *out);
/* read.c */
void *fs_read_run(void *queue);
void fs_read_put(struct fs_store *s, struct fs_read *r);
/* recover.c: names and numbers of all that is there. */
yoi_status fs_recover(struct fs_store *s, yoi_error *err);
/* index.c */
/* Writes it for what is in the files; an errno. The keeper's. */
int fs_index_write(struct fs_store *s, uint64_t upto);
/* OK, or DATA_LOSS: there is none that can be trusted; no log was added. */
yoi_status fs_index_read(struct fs_store *s, uint64_t *out_upto);

#endif
