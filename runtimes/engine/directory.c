/* directory.c - a hash table for look-ups beside sorted blocks for pages.
 *
 * A list of a hundred thousand workers is asked for in pages, and a page must
 * not cost a sort. So ids also stand in order, in blocks of up to 256
 * pointers below one vector of blocks: an insertion moves at most 2 KiB of
 * one block, and a page is a binary search and a walk. Invariants:
 *
 *  1. Every entry stands in the table once and in exactly one block.
 *  2. No block is empty; ids rise inside a block and from block to block.
 *  3. insert either does all of it or changes nothing.
 */
#include "directory.h"

#include <assert.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/str.h>

int eng_directory_init(struct eng_directory *d) {
  *d = (struct eng_directory){0};
  return yoi_sdk_random(d->key, sizeof d->key);
}

void eng_directory_release(struct eng_directory *d) {
  for (size_t i = 0; i < d->n_blocks; i++) yoi_sdk_free(d->blocks[i]);
  yoi_sdk_free(d->blocks);
  eng_table_release(&d->table);
  *d = (struct eng_directory){0};
}

static int same_id(const void *value, const void *key) {
  const struct eng_entry *e = value;
  const yoi_str *id = key;
  return yoi_sdk_str_eq(e->id, *id);
}

struct eng_entry *eng_directory_find(const struct eng_directory *d, yoi_str id) {
  return eng_table_find(&d->table, eng_hash(d->key, id), same_id, &id);
}

/* The last block whose first id is <= id, or 0. */
static size_t block_of(const struct eng_directory *d, yoi_str id) {
  size_t low = 0, high = d->n_blocks;
  while (high - low > 1) {
    size_t mid = low + (high - low) / 2;
    if (yoi_sdk_str_cmp(d->blocks[mid]->entries[0]->id, id) <= 0)
      low = mid;
    else
      high = mid;
  }
  return low;
}

/* The first place in a block whose id is > id, or with `at`, >= id. */
static uint32_t place_in(const struct eng_block *b, yoi_str id, int at) {
  uint32_t low = 0, high = b->n;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    int c = yoi_sdk_str_cmp(b->entries[mid]->id, id);
    if (c < 0 || (c == 0 && !at))
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

static struct eng_block *block_insert(struct eng_directory *d, size_t at) {
  if (d->n_blocks == d->cap_blocks) {
    size_t cap = YOI_SDK_MORE(d->cap_blocks, 8);
    struct eng_block **blocks = yoi_sdk_reallocarray(d->blocks, cap, sizeof(struct eng_block *));
    if (!blocks) return NULL;
    d->blocks = blocks;
    d->cap_blocks = cap;
  }
  struct eng_block *b = yoi_sdk_calloc(1, sizeof *b);
  if (!b) return NULL;
  memmove(&d->blocks[at + 1], &d->blocks[at], (d->n_blocks - at) * sizeof *d->blocks);
  d->blocks[at] = b;
  d->n_blocks++;
  return b;
}

/* Makes room in block i: a full one gives half of itself to a new one,
 * except the last, behind which ids that rise (UUIDv7) begin a new one. */
static int split(struct eng_directory *d, size_t i, yoi_str id) {
  struct eng_block *b = d->blocks[i];
  if (b->n < ENG_BLOCK_MAX) return 1;
  int behind = i + 1 == d->n_blocks && place_in(b, id, 0) == b->n;
  struct eng_block *more = block_insert(d, i + 1);
  if (!more) return 0;
  if (behind) return 1;
  more->n = b->n / 2;
  b->n -= more->n;
  memcpy(more->entries, &b->entries[b->n], more->n * sizeof *b->entries);
  return 1;
}

yoi_status eng_directory_insert(struct eng_directory *d, struct eng_entry *e) {
  if (eng_directory_find(d, e->id)) return YOI_ALREADY_EXISTS;
  if (!eng_table_reserve(&d->table)) return YOI_RESOURCE_EXHAUSTED;
  if (d->n_blocks == 0 && !block_insert(d, 0)) return YOI_RESOURCE_EXHAUSTED;
  size_t i = block_of(d, e->id);
  if (!split(d, i, e->id)) return YOI_RESOURCE_EXHAUSTED;
  if (i + 1 < d->n_blocks) {
    const struct eng_block *next = d->blocks[i + 1];
    if (next->n == 0 || yoi_sdk_str_cmp(next->entries[0]->id, e->id) <= 0) i++;
  }
  struct eng_block *b = d->blocks[i];
  uint32_t at = place_in(b, e->id, 0);
  memmove(&b->entries[at + 1], &b->entries[at], (b->n - at) * sizeof *b->entries);
  b->entries[at] = e;
  b->n++;
  d->n++;
  e->hash = eng_hash(d->key, e->id);
  eng_table_put(&d->table, e->hash, e);
  return YOI_OK;
}

void eng_directory_remove(struct eng_directory *d, struct eng_entry *e) {
  if (d->n_blocks == 0) return;
  size_t i = block_of(d, e->id);
  struct eng_block *b = d->blocks[i];
  uint32_t at = place_in(b, e->id, 1);
  if (at == b->n || b->entries[at] != e) return;
  eng_table_remove(&d->table, e->hash, e);
  b->n--;
  d->n--;
  memmove(&b->entries[at], &b->entries[at + 1], (b->n - at) * sizeof *b->entries);
  if (b->n > 0) return;
  yoi_sdk_free(b);
  d->n_blocks--;
  memmove(&d->blocks[i], &d->blocks[i + 1], (d->n_blocks - i) * sizeof *d->blocks);
}

size_t eng_directory_page(const struct eng_directory *d, yoi_str after,
                          int (*keep)(void *ctx, const struct eng_entry *e), void *ctx,
                          struct eng_entry **out, size_t max, size_t looks,
                          const struct eng_entry **out_seen, int *out_more) {
  size_t n = 0;
  *out_more = 0;
  *out_seen = NULL;
  if (d->n_blocks == 0) return 0;
  size_t i = after.len ? block_of(d, after) : 0;
  uint32_t at = after.len ? place_in(d->blocks[i], after, 0) : 0;
  for (; i < d->n_blocks; i++, at = 0) {
    for (; at < d->blocks[i]->n; at++) {
      struct eng_entry *e = d->blocks[i]->entries[at];
      if (!keep || keep(ctx, e)) {
        if (n == max) {
          *out_more = 1;
          return n;
        }
        out[n++] = e;
      }
      if (--looks > 0) continue;
      *out_seen = e;
      return n;
    }
  }
  return n;
}
