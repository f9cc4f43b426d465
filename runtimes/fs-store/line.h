/* line.h - the lines of a store's files; docs/store.md has their form.
 *
 * A line is written whole into one buffer and read whole from one: what is
 * not exactly what write makes is no line. No line is longer than
 * YOI_STORE_LINE_MAX.
 */
#ifndef FS_LINE_H
#define FS_LINE_H

#include <sdk/str.h>
#include <stdbool.h>

#include "../engine/store.h"

enum fs_line_kind {
  FS_LINE_RECORD,
  FS_LINE_REMOVAL,
  FS_LINE_BATCH,
  FS_LINE_SEAL,
  FS_LINE_HEAD,   /* of a segment */
  FS_LINE_INDEX,  /* first of the index */
  FS_LINE_WORKER, /* of the index */
  FS_LINE_END,    /* last of the index */
  FS_LINE_STORE   /* the only one of store.json */
};

/* What a line says; its texts stand in the line. What its kind does not have
 * is zero. */
struct fs_line {
  enum fs_line_kind kind;
  uint64_t n; /* of the log */
  yoi_str worker;
  uint64_t seq;
  /* a record */
  uint32_t event; /* YOI_EVENT_*; 0: of a newer version */
  bool more;      /* the append goes on with the next record */
  enum eng_mark mark;
  uint32_t role, content_at, content_len, turn_at; /* see struct eng_frame */
  yoi_str data, aux, spec;
  bool born; /* the first record: */
  struct eng_birth birth;
  /* the log's own */
  uint64_t durable, first;
  yoi_str batch; /* the inside of its array */
  yoi_str store; /* the store's UUID */
  /* the index */
  uint64_t upto, workers, bytes, stopped_ms;
};

/* Each appends one line, with its line feed. */
void fs_line_record(struct yoi_sdk_buf *b, const struct fs_line *l);
void fs_line_removal(struct yoi_sdk_buf *b, uint64_t n, yoi_str worker);
/* A batch is begun, given its records, and ended. */
void fs_line_batch_begin(struct yoi_sdk_buf *b, uint64_t n, size_t *out_start);
void fs_line_batch_add(struct yoi_sdk_buf *b, yoi_str worker, uint64_t seq);
void fs_line_batch_end(struct yoi_sdk_buf *b, size_t start, uint64_t durable);
void fs_line_seal(struct yoi_sdk_buf *b, uint64_t n, uint64_t durable);
void fs_line_head(struct yoi_sdk_buf *b, yoi_str store, uint64_t first);
void fs_line_index(struct yoi_sdk_buf *b, yoi_str store, uint64_t upto);
void fs_line_worker(struct yoi_sdk_buf *b, const struct fs_line *l);
void fs_line_end(struct yoi_sdk_buf *b, uint64_t workers);
void fs_line_store(struct yoi_sdk_buf *b, yoi_str store);

/* The same line, which is numbered, with another number; text is without its
 * line feed. */
void fs_line_renumber(struct yoi_sdk_buf *b, yoi_str text, uint64_t n);

/* 1: text, without its line feed, is a line whose sum is right. */
int fs_line_parse(yoi_str text, struct fs_line *out);
/* The next (worker, seq) of a batch; *pos is 0 at first. 0: no more. */
int fs_line_batch_next(const struct fs_line *batch, size_t *pos, yoi_str *out_worker,
                       uint64_t *out_seq);
/* When a record was made, as its data says, in ms of wall time; 0: it does not. */
uint64_t fs_line_at_ms(yoi_str data);
/* The word of a mark in a line. */
const char *fs_mark_name(enum eng_mark mark);

#endif
