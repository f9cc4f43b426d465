/* index.c - many patterns, few of which are looked at.
 *
 * What stands before a pattern's first wildcard a text must begin with; where
 * nothing stands there, what is behind the last one it must end with. Patterns
 * lie in chains by the hash of that. Of a text the hash of each beginning is
 * known while it is walked over once, so that only the chains are looked into
 * whose patterns begin as the text does:
 *
 *   src/team-7/a.c     s  sr  src  src/  ...  src/team-7/  ...
 *                                  |          `-- "src/team-7" and all below it
 *                                  `-- "src/" and one star
 *
 * The same pattern in many rules is there once. One that has a wildcard at both
 * ends is looked at each time.
 */
#include "index.h"

#include <sdk/glob.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

#define SEED 14695981039346656037u /* FNV-1a; a chain is compared byte by byte */
#define STEP(h, c) (((h) ^ (unsigned char)(c)) * 1099511628211u)

int yoi__sdk_rules_index_add(struct index *x, yoi_str pattern, uint32_t rule) {
  if (x->n == x->room) {
    uint32_t room = x->room > 0 ? x->room * 2 : 8;
    struct index_pattern *all = yoi_sdk_realloc(x->all, room * sizeof *all);
    if (all == NULL) return 0;
    x->all = all;
    x->room = room;
  }
  struct index_pattern *p = &x->all[x->n];
  *p = (struct index_pattern){.text = yoi_sdk_str_dup(pattern)};
  if (p->text.ptr == NULL) return 0;
  bits_set(&p->rules, rule);
  x->n++;
  return 1;
}

static int in_order(const void *a, const void *b) {
  return yoi_sdk_str_cmp(((const struct index_pattern *)a)->text,
                         ((const struct index_pattern *)b)->text);
}

static void merge(struct index *x) {
  uint32_t kept = 0;
  qsort(x->all, x->n, sizeof *x->all, in_order);
  for (uint32_t i = 0; i < x->n; i++) {
    if (kept > 0 && yoi_sdk_str_eq(x->all[kept - 1].text, x->all[i].text)) {
      bits_or(&x->all[kept - 1].rules, &x->all[i].rules);
      yoi_sdk_str_free(&x->all[i].text);
    } else {
      x->all[kept++] = x->all[i];
    }
  }
  x->n = kept;
}

static int is_wild(char c) {
  return c == '*' || c == '?';
}

/* A slash beside two stars may be missing in a text: "src" fits "src/" and two
 * stars. */
static size_t literal_at(const struct index *x, yoi_str s, int from_end) {
  size_t n = 0, end = s.len;
  while (n < end && !is_wild(s.ptr[from_end ? end - 1 - n : n])) n++;
  if (n == end || n == 0 || x->kind != INDEX_PATH) return n;
  int slash = s.ptr[from_end ? end - n : n - 1] == '/';
  return slash ? n - 1 : n;
}

static uint64_t hash_of(yoi_str s, size_t n, int from_end) {
  uint64_t h = SEED;
  for (size_t i = 0; i < n; i++) h = STEP(h, s.ptr[from_end ? s.len - 1 - i : i]);
  return h;
}

static void put(struct index *x, uint32_t i) {
  struct index_pattern *p = &x->all[i];
  size_t n = literal_at(x, p->text, 0);
  int from_end = n == 0 && p->text.len > 0;
  uint32_t *chain = &x->rest;
  if (from_end) n = literal_at(x, p->text, 1);
  if (n > INDEX_LITERAL_MAX) n = INDEX_LITERAL_MAX;
  p->literal = (uint32_t)n;
  p->hash = hash_of(p->text, n, from_end);
  if (n > 0) {
    uint64_t *lengths = from_end ? x->end_lengths : x->begin_lengths;
    lengths[n / 64] |= (uint64_t)1 << n % 64;
    chain = &(from_end ? x->ends : x->begins)[p->hash & x->mask];
  }
  p->next = *chain;
  *chain = i + 1;
}

int yoi__sdk_rules_index_build(struct index *x) {
  if (x->n == 0) return 1;
  merge(x);
  uint32_t size = 16;
  while (size < x->n * 2) size *= 2;
  x->mask = size - 1;
  x->begins = yoi_sdk_calloc(size, sizeof *x->begins);
  x->ends = yoi_sdk_calloc(size, sizeof *x->ends);
  if (x->begins == NULL || x->ends == NULL) return 0;
  for (uint32_t i = 0; i < x->n; i++) put(x, i);
  return 1;
}

static int fits(const struct index *x, const struct index_pattern *p, yoi_str text) {
  return x->kind == INDEX_PATH ? yoi__sdk_rules_path_glob(p->text, text)
                               : yoi_sdk_glob(p->text, text);
}

static void walk(const struct index *x, uint32_t chain, size_t literal, uint64_t hash, yoi_str text,
                 struct bits *out) {
  while (chain != 0) {
    const struct index_pattern *p = &x->all[chain - 1];
    if (p->literal == literal && p->hash == hash && fits(x, p, text)) bits_or(out, &p->rules);
    chain = p->next;
  }
}

static void side(const struct index *x, const uint64_t *lengths, const uint32_t *chains,
                 int from_end, yoi_str text, struct bits *out) {
  size_t most = text.len < INDEX_LITERAL_MAX ? text.len : INDEX_LITERAL_MAX;
  uint64_t h = SEED;
  for (size_t i = 1; i <= most; i++) {
    h = STEP(h, text.ptr[from_end ? text.len - i : i - 1]);
    if ((lengths[i / 64] >> i % 64 & 1u) != 0) walk(x, chains[h & x->mask], i, h, text, out);
  }
}

void yoi__sdk_rules_index_find(const struct index *x, yoi_str text, struct bits *out) {
  if (x->n == 0) return;
  side(x, x->begin_lengths, x->begins, 0, text, out);
  side(x, x->end_lengths, x->ends, 1, text, out);
  walk(x, x->rest, 0, SEED, text, out);
}

void yoi__sdk_rules_index_free(struct index *x) {
  for (uint32_t i = 0; i < x->n; i++) yoi_sdk_str_free(&x->all[i].text);
  yoi_sdk_free(x->all);
  yoi_sdk_free(x->begins);
  yoi_sdk_free(x->ends);
  *x = (struct index){.n = 0};
}
