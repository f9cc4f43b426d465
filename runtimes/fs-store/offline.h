/* offline.h - a store that no host holds: what the files offline*.c share.
 *
 *   offline.c         options, the verbs, what is said
 *   offline_root.c    the folder: opened and locked, never made
 *   offline_scan.c    the index, and the workers' files
 *   offline_log.c     the segments of the log
 *   offline_judge.c   what all of it means for each worker
 *   offline_settle.c  repair and compact: a copy beside, then all into files
 *   offline_out.c     export, cat, stat
 *
 * All verbs begin with the same reading of everything (fs_off_scan), which
 * writes nothing. What it finds is, per worker, a file that is sound up to
 * some byte and the lines of the log that go on from there: its chain. Each
 * chain is a state that the worker once had, since it ends behind a whole
 * append.
 */
#ifndef FS_OFFLINE_H
#define FS_OFFLINE_H

#include <sdk/error.h>
#include <sdk/id.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <yoi/offline.h>

#include "line.h"
#include "lines.h"
#include "root.h"

#define FS_PATH_SIZE (FS_NAME_SIZE + 16) /* "workers/" and a name, for people */

/* One append in the log, behind what the worker's file has. */
struct fs_piece {
  struct fs_piece *next;
  uint64_t segment, at, len; /* the segment's first number; bytes in it */
};

struct fs_seen {
  char id[YOI_ID_MAX + 1];
  struct eng_birth birth;
  enum eng_mark mark;
  uint64_t seq, last_n; /* of the chain's last record; 0: it has none */
  char first_at[YOI_SDK_TIME_SIZE], last_at[YOI_SDK_TIME_SIZE];

  bool has_file;
  bool file_old;       /* all in it is of a worker that was removed since */
  uint64_t first_n;    /* of the file's first record */
  uint64_t size, good; /* bytes of the file, and of its whole appends */
  uint64_t file_seq;
  uint64_t bad_line, bad_at; /* where it is no more what it should be; 0: sound */
  const char *bad;

  bool indexed;
  enum eng_mark index_mark;
  uint64_t index_seq, index_bytes, index_line;
  bool index_met; /* a record ends where the index says, and is the one */

  struct fs_piece *pieces, *last_piece;
  bool removed;          /* by the log, and not there again */
  bool in_log;           /* the log has something of it */
  uint64_t lost, behind; /* records known to be missing; behind such a gap */

  uint64_t looked;      /* the last record that was looked into */
  uint64_t turn, calls; /* hashes of what is open, see offline_judge.c */
  uint32_t n_calls;
};

/* A segment that a start found damaged, under its second name. */
struct fs_evidence {
  char name[FS_NAME_SIZE + 16];
};

struct fs_off {
  const yoi_offline_sink *sink;
  yoi_error *err;
  yoi_status stop; /* the sink's; nothing goes on then */
  bool check;      /* say warnings too, and look into records */
  bool apply;      /* repair, compact: do it */
  bool mends;      /* repair does it: the modes of files at once */
  bool is_private;
  yoi_str worker; /* only this one; empty: all */
  const char *to;
  const char *path;
  struct fs_root root;
  bool no_format;                  /* store.json is of no use */
  char adopted[YOI_SDK_UUID_SIZE]; /* then: whose the log and the index are */

  struct fs_seen **workers; /* by id, once scanned */
  size_t n, cap;
  struct fs_seen **slots; /* open addressing */
  size_t n_slots;

  bool index_good;
  uint64_t index_workers, upto;
  struct fs_evidence *evidence;
  size_t n_evidence;
  uint64_t *segments;
  size_t n_segments, cap_segments;
  uint64_t next_n; /* for the next line of the log */
  uint64_t bytes_workers, bytes_log, bytes_index, log_lines;
  uint64_t errors, warnings, steps, files;
};

struct fs_place {
  const char *file; /* NULL: none */
  uint64_t line, at;
  const char *worker; /* NULL: none */
};

/* ---- offline.c ---- */
extern const yoi_offline fs_offline_table;
/* Says a finding. code: one word for programs. */
void fs_off_error(struct fs_off *o, const struct fs_place *p, const char *code, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
void fs_off_warn(struct fs_off *o, const struct fs_place *p, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A step of repair or compact; "would ..." when nothing is done. */
void fs_off_step(struct fs_off *o, const struct fs_place *p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void fs_off_say(struct fs_off *o, uint32_t kind, const struct yoi_sdk_buf *json);
void fs_off_progress(struct fs_off *o, const char *what, uint64_t done, uint64_t total);
/* It cannot go on: STORE_ERROR with the file and errno. */
yoi_status fs_off_fail(struct fs_off *o, const char *what, const char *file, int error);

/* ---- offline_root.c ---- */
/* Opens what is there, and locks it. Makes nothing, and writes nothing. */
yoi_status fs_off_root_open(struct fs_off *o);
/* Modes, owner and kind of a file or folder; 1: it can be used. */
int fs_off_look(struct fs_off *o, int fd, mode_t type, const char *file, struct stat *sb);
/* Calls one(ctx) for each name in a folder but . and .. */
yoi_status fs_off_each(struct fs_off *o, int folder_fd, const char *folder,
                       yoi_status (*one)(struct fs_off *o, int folder_fd, const char *folder,
                                         const char *name));

/* ---- offline_scan.c ---- */
yoi_status fs_off_scan(struct fs_off *o);
void fs_off_release(struct fs_off *o);
struct fs_seen *fs_off_find(const struct fs_off *o, yoi_str id);
struct fs_seen *fs_off_add(struct fs_off *o, yoi_str id); /* NULL: no memory */
void fs_off_drop_pieces(struct fs_seen *w);

/* ---- offline_log.c ---- */
yoi_status fs_off_list_segments(struct fs_off *o);
yoi_status fs_off_read_log(struct fs_off *o);

/* ---- offline_judge.c ---- */
/* A record that goes on with a worker's chain. */
void fs_off_record(struct fs_off *o, struct fs_seen *w, const struct fs_line *l,
                   const struct fs_place *p);
void fs_off_judge(struct fs_off *o);
/* 1: something of it is lost. */
int fs_off_damaged(const struct fs_seen *w);
/* 1: a file of a worker that no host shows: the index, which is sound, does not
 * have it, nor does the log. It is left as it is. */
int fs_off_unknown(const struct fs_off *o, const struct fs_seen *w);

/* ---- offline_settle.c ---- */
yoi_status fs_off_settle(struct fs_off *o, bool repair);

/* ---- offline_out.c ---- */
yoi_status fs_off_export(struct fs_off *o);
yoi_status fs_off_cat(struct fs_off *o);
yoi_status fs_off_stat(struct fs_off *o);

#endif
