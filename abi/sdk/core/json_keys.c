/* json_keys.c - is a key there twice?
 *
 * The keys of all open objects stand on one stack; an object remembers where
 * its own begin. Up to FEW keys each new one is compared with those before it,
 * which for small objects beats anything clever. A larger object is sorted
 * when it ends, by length and bytes: heap sort, since it needs no memory and
 * no recursion and its worst case, unlike a hash table's, cannot be provoked.
 *
 *  1. Keys are compared unescaped: "a" and "\u0061" are one key. Only keys
 *     that have a backslash are copied, into the arena.
 *  2. The first FEW keys are known to differ; at the end all are compared.
 */
#include "json_keys.h"

#include "json_text.h"

#include <sdk/hard.h>
#include <sdk/mem.h>
#include <string.h>
#include <yoi/limits.h>

#define FEW YOI_SDK_HARD(16, 2)

void yoi_sdk__json_keys_init(struct yoi_sdk__json_keys *k, const char *text) {
  k->text = text;
  k->v = k->local;
  k->n = 0;
  k->cap = sizeof k->local / sizeof k->local[0];
  yoi_sdk_buf_init(&k->arena, YOI_JSON_BYTES_MAX);
}

void yoi_sdk__json_keys_release(struct yoi_sdk__json_keys *k) {
  if (k->v != k->local) yoi_sdk_free(k->v);
  yoi_sdk_buf_release(&k->arena);
}

struct yoi_sdk__json_mark yoi_sdk__json_keys_mark(const struct yoi_sdk__json_keys *k) {
  return (struct yoi_sdk__json_mark){(uint32_t)k->n, (uint32_t)k->arena.len};
}

static const char *bytes(const struct yoi_sdk__json_keys *k, const struct yoi_sdk__json_key *key) {
  return key->arena == YOI_SDK__IN_TEXT ? k->text + key->at + 1 : k->arena.data + key->arena;
}

static int compare(const struct yoi_sdk__json_keys *k, const struct yoi_sdk__json_key *a,
                   const struct yoi_sdk__json_key *b) {
  if (a->len != b->len) return a->len < b->len ? -1 : 1;
  int c = a->len ? memcmp(bytes(k, a), bytes(k, b), a->len) : 0;
  return c;
}

static yoi_status grow(struct yoi_sdk__json_keys *k) {
  if (k->n < k->cap) return YOI_OK;
  size_t cap = YOI_SDK_MORE(k->cap, 1);
  struct yoi_sdk__json_key *v =
      yoi_sdk_reallocarray(k->v == k->local ? NULL : k->v, cap, sizeof *v);
  if (!v) return YOI_RESOURCE_EXHAUSTED;
  if (k->v == k->local) memcpy(v, k->local, sizeof k->local);
  k->v = v;
  k->cap = cap;
  return YOI_OK;
}

static yoi_status unescape(struct yoi_sdk__json_keys *k, struct yoi_sdk__json_key *key,
                           uint32_t raw) {
  const unsigned char *p = (const unsigned char *)k->text + key->at + 1, *end = p + raw;
  key->arena = (uint32_t)k->arena.len;
  while (p < end) {
    char c[4] = {(char)*p};
    size_t n = 1;
    int used = *p == '\\' ? yoi_sdk__json_escape_at(p, end, c, &n) : 1;
    if (used <= 0) return YOI_INTERNAL; /* the string passed before */
    yoi_sdk_buf_add(&k->arena, c, n);
    p += used;
  }
  key->len = (uint32_t)k->arena.len - key->arena;
  return k->arena.failed ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
}

yoi_status yoi_sdk__json_keys_add(struct yoi_sdk__json_keys *k, struct yoi_sdk__json_mark m,
                                  uint32_t at, uint32_t raw, int escaped) {
  yoi_status st = grow(k);
  if (st != YOI_OK) return st;
  struct yoi_sdk__json_key *key = &k->v[k->n];
  *key = (struct yoi_sdk__json_key){at, raw, YOI_SDK__IN_TEXT};
  if (escaped && (st = unescape(k, key, raw)) != YOI_OK) return st;
  if (k->n - m.keys < FEW) {
    for (size_t i = m.keys; i < k->n; i++)
      if (compare(k, &k->v[i], key) == 0) return YOI_ALREADY_EXISTS;
  }
  k->n++;
  return YOI_OK;
}

/* Equal keys stand in the order of the text. */
static int before(const struct yoi_sdk__json_keys *k, const struct yoi_sdk__json_key *a,
                  const struct yoi_sdk__json_key *b) {
  int c = compare(k, a, b);
  return c ? c < 0 : a->at < b->at;
}

static void sift(const struct yoi_sdk__json_keys *k, struct yoi_sdk__json_key *v, size_t root,
                 size_t n) {
  struct yoi_sdk__json_key moved = v[root];
  for (;;) {
    size_t child = 2 * root + 1;
    if (child >= n) break;
    if (child + 1 < n && before(k, &v[child], &v[child + 1])) child++;
    if (!before(k, &moved, &v[child])) break;
    v[root] = v[child];
    root = child;
  }
  v[root] = moved;
}

static void sort(const struct yoi_sdk__json_keys *k, struct yoi_sdk__json_key *v, size_t n) {
  for (size_t i = n / 2; i-- > 0;) sift(k, v, i, n);
  for (size_t last = n; last-- > 1;) {
    struct yoi_sdk__json_key top = v[0];
    v[0] = v[last];
    v[last] = top;
    sift(k, v, 0, last);
  }
}

yoi_status yoi_sdk__json_keys_close(struct yoi_sdk__json_keys *k, struct yoi_sdk__json_mark m,
                                    uint32_t *out_at) {
  struct yoi_sdk__json_key *v = k->v + m.keys;
  size_t n = k->n - m.keys;
  uint32_t at = UINT32_MAX;
  if (n > FEW) {
    sort(k, v, n);
    for (size_t i = 1; i < n; i++)
      if (compare(k, &v[i - 1], &v[i]) == 0 && v[i].at < at) at = v[i].at;
  }
  k->n = m.keys;
  k->arena.len = m.arena;
  if (at == UINT32_MAX) return YOI_OK;
  *out_at = at;
  return YOI_ALREADY_EXISTS;
}
