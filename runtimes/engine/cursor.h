/* cursor.h - where a watcher stands: position in a worker's events, and its
 * opaque text. */
#ifndef ENG_CURSOR_H
#define ENG_CURSOR_H

#include <yoi/base.h>
#include <yoi/limits.h>

/* "Everything up to here": the sequence of the last record, and how many
 * frames that are no records came behind it. */
struct eng_pos {
  uint64_t sequence;
  uint32_t index;
};
/* <0, 0, >0 as a is before, at or behind b. */
int eng_pos_cmp(struct eng_pos a, struct eng_pos b);

struct eng_cursor {
  uint64_t epoch;  /* drawn when the worker was created */
  uint32_t worker; /* eng_cursor_worker of its id */
  struct eng_pos pos;
};

#define ENG_CURSOR_SIZE 64
uint32_t eng_cursor_worker(yoi_str worker_id);
/* Writes the text and a NUL; returns its length. */
size_t eng_cursor_write(const struct eng_cursor *c, char out[ENG_CURSOR_SIZE]);
/* 1 when s is exactly what write makes. */
int eng_cursor_parse(yoi_str s, struct eng_cursor *out);

#endif
