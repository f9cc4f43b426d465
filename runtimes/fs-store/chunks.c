/* chunks.c - the records of a worker that are not in its file yet.
 *
 * They are a list of chunks, each what one append brought. New ones come behind
 * the last, the first go when they are in the file, and reads begin anywhere,
 * mostly near the end. Of one busy worker there may be a hundred thousand, so
 * each chunk but the first in line knows two of those before it: the last one,
 * and the one whose place is its own without the lowest bit that is set.
 *
 *   place   0   1   2   3   4   5   6   7   8
 *           ^---+   ^---+   ^---+   ^---+   |      7 -> 6 -> 4 -> 0
 *           ^-------+       ^-------+       |      6 -> 4 -> 0
 *           ^---------------+               |      8 -> 0
 *           ^-------------------------------+
 *
 * Going back by whichever of the two does not go too far reaches any chunk in
 * at most the square of the places' bits. Invariants:
 *  1. Sequences and places rise along the list.
 *  2. A chunk that was let go may still stand in `skip` of later ones. It is
 *     told by its place, before anybody looks at it.
 */
#include <sdk/mem.h>
#include <string.h>

#include "store_fs.h"

struct fs_chunk *fs_chunk_new(const char *bytes, size_t len) {
  struct fs_chunk *c = yoi_sdk_malloc(sizeof *c + len);
  if (c == NULL) return NULL;
  *c = (struct fs_chunk){.len = len};
  atomic_init(&c->refs, 1);
  memcpy(c->bytes, bytes, len);
  return c;
}

void fs_chunk_unref(struct fs_chunk *c) {
  if (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
    yoi_sdk_free(c);
}

static uint64_t skipped(uint64_t place) {
  return place & (place - 1);
}

/* The last chunk of at most that place, which is below c's; or the first. */
static struct fs_chunk *back_to(const struct eng_log *log, struct fs_chunk *c, uint64_t place) {
  while (c != log->chunks && c->place > place) {
    uint64_t over = skipped(c->place);
    c = over >= place && over >= log->chunks->place ? c->skip : c->prev;
  }
  return c;
}

void fs_log_chunk(struct fs_store *s, struct eng_log *log, struct fs_chunk *c) {
  struct fs_chunk *last = log->last_chunk;
  c->next = NULL;
  c->prev = last;
  c->place = last != NULL ? last->place + 1 : 0;
  c->skip = last != NULL ? back_to(log, last, skipped(c->place)) : NULL;
  if (last != NULL)
    last->next = c;
  else
    log->chunks = c;
  log->last_chunk = c;
  log->seq = c->seq + c->records - 1;
  if (c->mark == ENG_MARK_STOPPED) log->stopped_ms = c->stopped_ms;
  fs_log_keep(log);
  fs_log_dirty(s, log);
}

void fs_log_chunk_let_go(struct eng_log *log) {
  struct fs_chunk *c = log->chunks;
  log->chunks = c->next;
  if (log->chunks == NULL)
    log->last_chunk = NULL;
  else
    log->chunks->prev = NULL;
  fs_chunk_unref(c);
}

struct fs_chunk *fs_chunk_back(const struct eng_log *log, const struct fs_chunk *c, uint64_t seq) {
  if (c == log->chunks || c->seq <= seq) return NULL;
  bool there = skipped(c->place) >= log->chunks->place;
  return there && c->skip->seq >= seq ? c->skip : c->prev;
}

struct fs_chunk *fs_log_chunk_at(const struct eng_log *log, uint64_t seq) {
  struct fs_chunk *c = log->last_chunk, *back;
  if (c == NULL) return NULL;
  while ((back = fs_chunk_back(log, c, seq)) != NULL) c = back;
  return c->seq + c->records <= seq ? c->next : c;
}
