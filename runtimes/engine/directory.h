/* directory.h - all workers of a runtime: found by id, paged in byte order
 * of id. Not locked; the engine does that. */
#ifndef ENG_DIRECTORY_H
#define ENG_DIRECTORY_H

#include <sdk/hard.h>
#include "table.h"

/* Embedded in a worker; id and hash stay as they are while it is listed. */
struct eng_entry {
  yoi_str id;
  uint64_t hash;
};

#define ENG_BLOCK_MAX YOI_SDK_HARD(256, 2)
struct eng_block {
  uint32_t n;
  struct eng_entry *entries[ENG_BLOCK_MAX];
};

struct eng_directory {
  struct eng_table table;
  struct eng_block **blocks;
  size_t n_blocks, cap_blocks;
  size_t n;
  uint64_t key[2];
};

/* 0 when there is no randomness for the hash. */
int eng_directory_init(struct eng_directory *d);
/* Frees the structure, not the entries. */
void eng_directory_release(struct eng_directory *d);
struct eng_entry *eng_directory_find(const struct eng_directory *d, yoi_str id);
/* Sets e->hash. ALREADY_EXISTS, or RESOURCE_EXHAUSTED: nothing changed. */
yoi_status eng_directory_insert(struct eng_directory *d, struct eng_entry *e);
void eng_directory_remove(struct eng_directory *d, struct eng_entry *e);
/* The first max entries behind the id `after` (empty: from the start) that
 * keep(ctx, e) wants (NULL: all), in order; how many. It looks at `looks`
 * entries at most: *out_seen is then the last that it looked at, to go on
 * behind, and otherwise NULL. *out_more: at least one more is wanted. */
size_t eng_directory_page(const struct eng_directory *d, yoi_str after,
                          int (*keep)(void *ctx, const struct eng_entry *e), void *ctx,
                          struct eng_entry **out, size_t max, size_t looks,
                          const struct eng_entry **out_seen, int *out_more);

#endif
