/* scrub.c - many literal values found in a text, in one pass.
 *
 * Every pattern has at least MIN = 8 bytes, so every occurrence has its first
 * eight somewhere, and those hold five groups of four bytes. `skip` knows the
 * hash of each such group of each pattern, and with it how far behind it the
 * begin of a pattern may be: the table of Wu and Manber ("A fast algorithm for
 * multi-pattern searching", TR-94-17, University of Arizona, 1994). Where a
 * text at the offset + 4 has no such group, none of five offsets begins an
 * occurrence; four of these steps are taken at a time, with one branch, so the
 * processor has all of them under way. That is faster than a comparison of 16
 * bytes with several nibble tables, and plain C.
 *
 *   text     . . . . . . . . . . . . .      step: is the group known?
 *   offset   i       [i+4 .. i+7]            no:  i += 5
 *                                            yes: i += what the table says;
 *                                                 0: look closely, below
 *
 * What may begin at an offset is looked up in the sorted patterns, by one
 * binary search: the longest pattern that the text begins with is the greatest
 * one that is not above the text, or one of that one's parents; and a pattern
 * that goes on behind the end of the text stands right above. A text that
 * nobody made for it comes there once in a few kilobytes. The worst case, a
 * text that repeats the begin of a long periodic value, costs the length of
 * the value at each offset.
 *
 * Invariants
 *  1. What is held is always the begin of a pattern, so a hold names that and
 *     has no copy. It is the longest end of the text that may be one.
 *  2. An offset is decided for good, or it is the first that is held.
 *  3. What is given out between two markers is a run of the text, and a value
 *     in it would have been seen at its own offset: so none is. (A value that
 *     has a piece of a marker in it is not thought of.)
 *  4. All copies of values lie in `text`, which is wiped, or in the joined text
 *     of a scan, which is wiped too.
 */
#include "scrub.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/mem.h>
#include <yoi/limits.h>

typedef unsigned char byte;

#define MIN YOI_SECRET_SCRUB_MIN
#define GROUP 4               /* bytes that are hashed */
#define STEP (MIN - GROUP + 1) /* offsets that one unknown group decides */
#define STEPS 4               /* at a time */
#define BITS_MIN 10           /* of the table */
#define BITS_MAX 18           /* 256 KiB: stays in a second cache */
#define FEW 256 /* bytes that are joined without asking for memory */
#define PAIRS 65536 /* of bytes */
#define NONE UINT32_MAX
#define VALUE_MAX (UINT32_MAX / 32) /* its longest form has a length of 32 bits */

_Static_assert(MIN == 8, "keys are eight bytes");

struct yoi_sdk_scrub {
  uint32_t n, n_values;
  uint32_t first[257]; /* patterns that begin with a byte: first[c] to first[c + 1] */
  uint64_t pairs[PAIRS / 64]; /* a bit per two bytes: some pattern begins with them */
  uint64_t *keys;      /* their first eight bytes, as numbers that sort like them */
  struct yoi_sdk__pattern *all;
  yoi_str *markers; /* by value */
  char *text;       /* of patterns and markers */
  size_t text_len;
  uint32_t shift; /* of a hash */
  byte *skip;     /* 0: unknown, else 1 + how far on the next offset is */
};

/* ---- building ------------------------------------------------------------ */

static uint64_t key_of(const void *p) {
  uint64_t w;
  memcpy(&w, p, sizeof w);
  return be64toh(w);
}

static uint32_t hash(const void *p, uint32_t shift) {
  uint32_t w;
  memcpy(&w, p, sizeof w);
  return w * 2654435761u >> shift;
}

static int begins_with(const struct yoi_sdk__pattern *p, const struct yoi_sdk__pattern *with) {
  return p->len >= with->len && memcmp(p->ptr, with->ptr, with->len) == 0;
}

static int by_text(const void *a, const void *b) {
  const struct yoi_sdk__pattern *p = a, *q = b;
  int c = memcmp(p->ptr, q->ptr, p->len < q->len ? p->len : q->len);
  if (c != 0) return c;
  if (p->len != q->len) return p->len < q->len ? -1 : 1;
  return p->value < q->value ? -1 : p->value > q->value;
}

static void sort_patterns(struct yoi_sdk_scrub *s) {
  uint32_t n = 0;
  qsort(s->all, s->n, sizeof *s->all, by_text);
  for (uint32_t i = 0; i < s->n; i++) { /* of those alike the first value's */
    if (n > 0 && s->all[n - 1].len == s->all[i].len && begins_with(&s->all[n - 1], &s->all[i]))
      continue;
    s->all[n++] = s->all[i];
  }
  s->n = n;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t parent = i > 0 ? i - 1 : NONE;
    while (parent != NONE && !begins_with(&s->all[i], &s->all[parent]))
      parent = s->all[parent].parent;
    s->all[i].parent = parent;
    s->keys[i] = key_of(s->all[i].ptr);
    s->first[(byte)s->all[i].ptr[0] + 1] = i + 1;
    s->pairs[s->keys[i] >> 54] |= (uint64_t)1 << (s->keys[i] >> 48 & 63);
  }
  for (size_t c = 0; c < 256; c++)
    if (s->first[c + 1] < s->first[c]) s->first[c + 1] = s->first[c];
}

static int make_table(struct yoi_sdk_scrub *s) {
  uint32_t bits = BITS_MIN;
  while (bits < BITS_MAX && (1u << bits) / 16 < s->n * STEP) bits++;
  s->shift = 32 - bits;
  s->skip = yoi_sdk_calloc(1, (size_t)1 << bits);
  if (s->skip == NULL) return 0;
  for (uint32_t i = 0; i < s->n; i++) {
    for (uint32_t k = 0; k < STEP; k++) {
      byte *entry = &s->skip[hash(s->all[i].ptr + k, s->shift)];
      byte on = (byte)(1 + STEP - 1 - k);
      if (*entry == 0 || *entry > on) *entry = on;
    }
  }
  return 1;
}

#define MARKER_HEAD "[secret "
#define MARKER_BYTES(name_len) (sizeof MARKER_HEAD - 1 + (name_len) + 1)

static size_t write_marker(char *at, yoi_str name, yoi_str *out) {
  size_t head = sizeof MARKER_HEAD - 1;
  *out = (yoi_str){at, MARKER_BYTES(name.len)};
  memcpy(at, MARKER_HEAD, head);
  if (name.len > 0) memcpy(at + head, name.ptr, name.len);
  at[head + name.len] = ']';
  return out->len;
}

static void write_all(struct yoi_sdk_scrub *s, const struct yoi_sdk_scrub_value *values, size_t n) {
  size_t used = 0, bytes;
  uint32_t patterns = 0, v = 0;
  for (size_t i = 0; i < n; i++) {
    yoi_str value = yoi_sdk__scrub_trim(values[i].value);
    if (value.len < MIN) continue;
    patterns += (uint32_t)yoi_sdk__scrub_forms(value, v, s->text + used, s->all + patterns, &bytes);
    used += bytes;
    used += write_marker(s->text + used, values[i].name, &s->markers[v++]);
  }
}

int yoi_sdk_scrub_fits(yoi_str value) {
  return yoi_sdk__scrub_trim(value).len >= MIN;
}

yoi_status yoi_sdk_scrub_new(const struct yoi_sdk_scrub_value *values, size_t n,
                             struct yoi_sdk_scrub **out) {
  size_t patterns = 0, bytes = 0, n_values = 0, more;
  *out = NULL;
  for (size_t i = 0; i < n; i++) {
    yoi_str value = yoi_sdk__scrub_trim(values[i].value);
    if (value.len < MIN) continue;
    if (value.len > VALUE_MAX) return YOI_OUT_OF_RANGE;
    patterns += yoi_sdk__scrub_forms(value, 0, NULL, NULL, &more);
    bytes += more + MARKER_BYTES(values[i].name.len);
    n_values++;
  }
  if (n_values == 0) return YOI_OK;
  struct yoi_sdk_scrub *s = patterns > NONE / STEP ? NULL : yoi_sdk_calloc(1, sizeof *s);
  if (s == NULL) return YOI_RESOURCE_EXHAUSTED;
  s->n = (uint32_t)patterns;
  s->n_values = (uint32_t)n_values;
  s->text_len = bytes;
  s->text = yoi_sdk_malloc(bytes);
  s->all = yoi_sdk_calloc(patterns, sizeof *s->all);
  s->keys = yoi_sdk_calloc(patterns, sizeof *s->keys);
  s->markers = yoi_sdk_calloc(n_values, sizeof *s->markers);
  if (s->text != NULL && s->all != NULL && s->keys != NULL && s->markers != NULL) {
    write_all(s, values, n);
    sort_patterns(s);
    if (make_table(s)) {
      *out = s;
      return YOI_OK;
    }
  }
  yoi_sdk_scrub_free(s);
  return YOI_RESOURCE_EXHAUSTED;
}

void yoi_sdk_scrub_free(struct yoi_sdk_scrub *s) {
  if (s == NULL) return;
  if (s->text != NULL) yoi_sdk_wipe(s->text, s->text_len);
  if (s->keys != NULL) yoi_sdk_wipe(s->keys, s->n * sizeof *s->keys);
  yoi_sdk_free(s->text);
  yoi_sdk_free(s->all);
  yoi_sdk_free(s->keys);
  yoi_sdk_free(s->markers);
  yoi_sdk_free(s->skip);
  yoi_sdk_free(s);
}

/* ---- one offset ---------------------------------------------------------- */

/* What a text begins with. */
struct found {
  uint32_t whole; /* the longest pattern that is all there, or NONE */
  uint32_t open;  /* one that goes on behind the end of the text, or NONE */
};

/* The number of patterns, from lo to hi, that are not above the text. */
static uint32_t not_above(const struct yoi_sdk_scrub *s, const byte *p, size_t n, uint32_t lo,
                          uint32_t hi) {
  while (lo < hi) {
    uint32_t middle = lo + (hi - lo) / 2;
    const struct yoi_sdk__pattern *q = &s->all[middle];
    int c = memcmp(q->ptr, p, q->len < n ? q->len : n);
    if (c > 0 || (c == 0 && q->len > n))
      hi = middle;
    else
      lo = middle + 1;
  }
  return lo;
}

static struct found look_short(const struct yoi_sdk_scrub *s, const byte *p, size_t n) {
  uint64_t key = 0, mask = ~(uint64_t)0 << (64 - 8 * n);
  for (size_t i = 0; i < n; i++) key |= (uint64_t)p[i] << (56 - 8 * i);
  uint32_t lo = s->first[p[0]], end = s->first[p[0] + 1], hi = end;
  while (lo < hi) {
    uint32_t middle = lo + (hi - lo) / 2;
    if (s->keys[middle] < key)
      lo = middle + 1;
    else
      hi = middle;
  }
  return (struct found){NONE, lo < end && (s->keys[lo] & mask) == key ? lo : NONE};
}

static struct found look(const struct yoi_sdk_scrub *s, const byte *p, size_t n) {
  struct found f = {NONE, NONE};
  uint32_t pair = (uint32_t)p[0] << 8 | (n > 1 ? p[1] : 0);
  if (n > 1 && (s->pairs[pair >> 6] >> (pair & 63) & 1) == 0) return f;
  if (s->first[p[0]] == s->first[p[0] + 1]) return f;
  if (n < MIN) return look_short(s, p, n);
  uint32_t end = s->first[p[0] + 1], above = not_above(s, p, n, s->first[p[0]], end);
  if (above < end && s->all[above].len > n && memcmp(s->all[above].ptr, p, n) == 0) f.open = above;
  if (above == s->first[p[0]]) return f;
  f.whole = above - 1;
  while (f.whole != NONE &&
         (s->all[f.whole].len > n || memcmp(s->all[f.whole].ptr, p, s->all[f.whole].len) != 0))
    f.whole = s->all[f.whole].parent;
  return f;
}

/* ---- all offsets --------------------------------------------------------- */

/* The first offset from i on at which something may begin, or n. */
static size_t seek(const struct yoi_sdk_scrub *s, const byte *p, size_t i, size_t n) {
  const byte *skip = s->skip;
  uint32_t shift = s->shift;
  while (n - i >= MIN) {
    const byte *at = p + i + MIN - GROUP;
    if (n - i >= MIN + (STEPS - 1) * STEP &&
        (skip[hash(at, shift)] | skip[hash(at + STEP, shift)] | skip[hash(at + 2 * STEP, shift)] |
         skip[hash(at + 3 * STEP, shift)]) == 0) {
      i += STEPS * STEP;
      continue;
    }
    byte on = skip[hash(at, shift)];
    if (on == 1) return i;
    i += on == 0 ? STEP : on - 1u;
  }
  return i; /* the last few bytes are too few for a whole one */
}

/* Where the next whole or open one is, from *i on; 0: none is. whole: open ones
 * are not looked for. */
static int find(const struct yoi_sdk_scrub *s, const byte *p, size_t n, int whole, size_t *i,
                struct found *out) {
  while ((*i = seek(s, p, *i, n)) < n) {
    if (whole && n - *i < MIN) return 0;
    *out = look(s, p + *i, n - *i);
    if (out->whole != NONE || (!whole && out->open != NONE)) return 1;
    ++*i;
  }
  return 0;
}

size_t yoi_sdk_scrub_clean(const struct yoi_sdk_scrub *s, yoi_str text) {
  struct found f;
  size_t i = 0;
  if (s == NULL || text.len == 0) return text.len;
  return find(s, (const byte *)text.ptr, text.len, 0, &i, &f) ? i : text.len;
}

/* ---- what is given out --------------------------------------------------- */

/* What becomes of an end of the text that is the begin of a pattern. */
enum ending { HOLD, FLUSH, END, CUT };

struct scan {
  const struct yoi_sdk_scrub *s;
  const byte *p;
  size_t n;
  size_t at;    /* decided up to here */
  size_t given; /* handed out before, from the begin */
  struct yoi_sdk_buf *out;
  int changed;
};

static void give(struct scan *c, size_t to) {
  size_t from = c->at > c->given ? c->at : c->given;
  if (to > from) yoi_sdk_buf_add(c->out, c->p + from, to - from);
  c->at = to;
}

/* A pattern, or as much of it as there is, from i on. */
static void take_out(struct scan *c, size_t i, uint32_t pattern) {
  size_t len = c->s->all[pattern].len, left = c->n - i;
  give(c, i);
  yoi_sdk_buf_adds(c->out, c->s->markers[c->s->all[pattern].value]);
  c->at = i + (len < left ? len : left);
  c->changed = 1;
}

/* Decides as much as can be. *hold is what is held, or was flushed. */
static void scan(struct scan *c, enum ending ending, struct yoi_sdk_scrub_hold *hold) {
  struct found f, inner;
  size_t i = 0;
  *hold = (struct yoi_sdk_scrub_hold){0, 0, 0};
  while (find(c->s, c->p, c->n, ending == END, &i, &f)) {
    size_t begin = i;
    uint32_t open = f.open;
    if (open != NONE && ending == HOLD) {
      give(c, i);
      *hold = (struct yoi_sdk_scrub_hold){.pattern = open, .len = (uint32_t)(c->n - i)};
      if (c->given > i) hold->given = (uint32_t)(c->given - i);
      return;
    }
    if (f.whole == NONE) { /* it is not going on; is there a whole one behind its begin? */
      i++;
      if (!find(c->s, c->p, c->n, 1, &i, &inner)) {
        if (ending == CUT && c->n - begin >= MIN) take_out(c, begin, open);
        give(c, c->n);
        hold->pattern = open;
        hold->len = hold->given = (uint32_t)(c->n - begin);
        return;
      }
      f = inner;
    }
    take_out(c, i, f.whole);
    i = c->at;
  }
  give(c, c->n);
}

int yoi_sdk_scrub_text(const struct yoi_sdk_scrub *s, yoi_str text, uint32_t flags,
                       struct yoi_sdk_buf *out) {
  struct yoi_sdk_scrub_hold none;
  struct found f;
  size_t i = 0, before = out->len;
  int cut = (flags & YOI_SDK_SCRUB_CUT) != 0;
  if (s == NULL || text.len < MIN) return 0;
  if (!find(s, (const byte *)text.ptr, text.len, !cut, &i, &f)) return 0;
  struct scan c = {.s = s, .p = (const byte *)text.ptr, .n = text.len, .out = out};
  scan(&c, cut ? CUT : END, &none);
  if (c.changed || out->failed) return 1;
  if (out->data != NULL) out->data[out->len = before] = '\0';
  return 0;
}

/* ---- pieces -------------------------------------------------------------- */

/* What is held and the next piece, as one. */
static void join(const struct yoi_sdk_scrub *s, struct yoi_sdk_scrub_hold *hold, yoi_str text,
                 enum ending ending, struct yoi_sdk_buf *out) {
  size_t held = hold->len, n = held + text.len;
  char few[FEW], *joined = n <= FEW ? few : yoi_sdk_malloc(n);
  if (joined == NULL) {
    out->failed = YOI_RESOURCE_EXHAUSTED;
    return;
  }
  memcpy(joined, s->all[hold->pattern].ptr, held);
  if (text.len > 0) memcpy(joined + held, text.ptr, text.len);
  struct scan c = {
      .s = s, .p = (const byte *)joined, .n = n, .given = hold->given, .out = out};
  scan(&c, ending, hold);
  yoi_sdk_wipe(joined, n);
  if (joined != few) yoi_sdk_free(joined);
}

void yoi_sdk_scrub_add(const struct yoi_sdk_scrub *s, struct yoi_sdk_scrub_hold *hold, yoi_str text,
                       struct yoi_sdk_buf *out) {
  if (text.len == 0) return;
  if (s == NULL) {
    yoi_sdk_buf_adds(out, text);
    return;
  }
  if (hold->len == 0) {
    struct scan c = {.s = s, .p = (const byte *)text.ptr, .n = text.len, .out = out};
    scan(&c, HOLD, hold);
    return;
  }
  const struct yoi_sdk__pattern *p = &s->all[hold->pattern];
  if (text.len < p->len - hold->len && memcmp(p->ptr + hold->len, text.ptr, text.len) == 0)
    hold->len += (uint32_t)text.len; /* it goes on: a long value costs no more than its length */
  else
    join(s, hold, text, HOLD, out);
}

void yoi_sdk_scrub_flush(const struct yoi_sdk_scrub *s, struct yoi_sdk_scrub_hold *hold,
                         struct yoi_sdk_buf *out) {
  if (hold->len > hold->given) join(s, hold, (yoi_str){0}, FLUSH, out);
}

void yoi_sdk_scrub_end(const struct yoi_sdk_scrub *s, struct yoi_sdk_scrub_hold *hold,
                       struct yoi_sdk_buf *out) {
  if (hold->len > hold->given) join(s, hold, (yoi_str){0}, END, out);
  *hold = (struct yoi_sdk_scrub_hold){0, 0, 0};
}
