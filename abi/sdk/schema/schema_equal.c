/* schema_equal.c - values beside values: equality, repeated items, multiples.
 *
 * Equal is what JSON Schema calls equal: numbers by value (1 is 1.0), objects
 * whatever the order of their members, arrays in order. Numbers are doubles,
 * as in sdk/json.h.
 *
 *  1. Nothing here is free: each node that is looked at takes a step, members
 *     that are passed over take one per eight. At 0 steps the caller gives up
 *     and the answer means nothing.
 */
#include <sdk/mem.h>
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>

#include "schema_node.h"

static int charge(uint64_t *steps, uint64_t n) {
  *steps = *steps > n ? *steps - n : 0;
  return *steps > 0;
}

/* Members in one order are found at once, others by looking for them. */
static int equal_objects(const yoi_sdk_json *a, const yoi_sdk_json *b, uint64_t *steps) {
  const yoi_sdk_json *x = yoi_sdk_json_first(a), *y = yoi_sdk_json_first(b);
  size_t n = yoi_sdk_json_count(a);
  if (n != yoi_sdk_json_count(b) || !charge(steps, n / 8)) return 0;
  for (; x; x = yoi_sdk_json_next(x)) {
    yoi_str key = yoi_sdk_json_key(x);
    const yoi_sdk_json *other = y;
    if (!yoi_sdk_str_eq(key, yoi_sdk_json_key(y))) {
      other = yoi_sdk_json_getn(b, key);
      if (!charge(steps, n / 8 * (1 + key.len / 64))) return 0;
    }
    if (!charge(steps, key.len / 64)) return 0;
    if (!other || !yoi_sdk__schema_equal(x, other, steps)) return 0;
    y = yoi_sdk_json_next(y);
  }
  return 1;
}

int yoi_sdk__schema_equal(const yoi_sdk_json *a, const yoi_sdk_json *b, uint64_t *steps) {
  uint32_t type = yoi_sdk_json_type(a);
  yoi_str s = {NULL, 0}, t = {NULL, 0};
  double m = 0, n = 0;
  int p = 0, q = 0;
  if (type != yoi_sdk_json_type(b) || !charge(steps, 1)) return 0;
  switch (type) {
    case YOI_SDK_JSON_BOOL:
      return yoi_sdk_json_bool(a, &p) && yoi_sdk_json_bool(b, &q) && p == q;
    case YOI_SDK_JSON_NUMBER:
      return yoi_sdk_json_number(a, &m) && yoi_sdk_json_number(b, &n) && m == n;
    case YOI_SDK_JSON_STRING:
      (void)yoi_sdk_json_str(a, &s);
      (void)yoi_sdk_json_str(b, &t);
      return charge(steps, s.len / 64) && yoi_sdk_str_eq(s, t);
    case YOI_SDK_JSON_OBJECT:
      return equal_objects(a, b, steps);
    case YOI_SDK_JSON_ARRAY:
      a = yoi_sdk_json_first(a);
      b = yoi_sdk_json_first(b);
      for (; a && b; a = yoi_sdk_json_next(a), b = yoi_sdk_json_next(b))
        if (!yoi_sdk__schema_equal(a, b, steps)) return 0;
      return !a && !b;
    default:
      return 1;
  }
}

uint64_t yoi_sdk__schema_weight(const yoi_sdk_json *v) {
  yoi_str s;
  uint64_t n = yoi_sdk_json_str(v, &s) ? 1 + s.len / 16 : 1;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c))
    n += yoi_sdk__schema_weight(c) + yoi_sdk_json_key(c).len / 16;
  return n;
}

/* ---- repeated items ---------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ x) * 0x9E3779B97F4A7C15u;
  return h ^ h >> 32;
}

static uint64_t hash_text(uint64_t h, yoi_str s, uint64_t *steps) {
  if (!charge(steps, s.len / 64)) return 0;
  for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001B3u;
  return mix(h, s.len);
}

/* Equal values have one hash; members are summed up, whatever their order. */
static uint64_t hash(const yoi_sdk_json *v, uint64_t *steps) {
  uint32_t type = yoi_sdk_json_type(v);
  uint64_t h = mix(1, type), bits = 0, sum = 0;
  yoi_str s = {NULL, 0};
  double n = 0;
  int b = 0;
  if (!charge(steps, 1)) return 0;
  switch (type) {
    case YOI_SDK_JSON_BOOL:
      (void)yoi_sdk_json_bool(v, &b);
      return mix(h, (uint64_t)b);
    case YOI_SDK_JSON_NUMBER:
      (void)yoi_sdk_json_number(v, &n);
      n += 0.0; /* -0 is 0 */
      memcpy(&bits, &n, sizeof bits);
      return mix(h, bits);
    case YOI_SDK_JSON_STRING:
      (void)yoi_sdk_json_str(v, &s);
      return hash_text(h, s, steps);
    case YOI_SDK_JSON_OBJECT:
      for (v = yoi_sdk_json_first(v); v; v = yoi_sdk_json_next(v))
        sum += mix(hash_text(h, yoi_sdk_json_key(v), steps), hash(v, steps));
      return mix(h, sum);
    case YOI_SDK_JSON_ARRAY:
      for (v = yoi_sdk_json_first(v); v; v = yoi_sdk_json_next(v)) h = mix(h, hash(v, steps));
      return h;
    default:
      return h;
  }
}

struct item {
  uint64_t hash;
  size_t index;
  const yoi_sdk_json *v;
};

static int by_hash(const void *a, const void *b) {
  const struct item *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* Items of one hash stand together; only those are compared. */
static int find_twice(const struct item *items, size_t n, uint64_t *steps, size_t *out_first,
                      size_t *out_second) {
  for (size_t i = 0; i < n; i++) {
    for (size_t k = i + 1; k < n && items[k].hash == items[i].hash; k++) {
      if (*steps == 0) return 0;
      if (!yoi_sdk__schema_equal(items[i].v, items[k].v, steps)) continue;
      *out_first = items[i].index;
      *out_second = items[k].index;
      return 1;
    }
  }
  return 0;
}

int yoi_sdk__schema_twice(const yoi_sdk_json *array, uint64_t *steps, size_t *out_first,
                          size_t *out_second) {
  struct item few[16], *items = few;
  size_t n = yoi_sdk_json_count(array), i = 0;
  if (n < 2) return 0;
  if (n > sizeof few / sizeof *few) items = yoi_sdk_reallocarray(NULL, n, sizeof *items);
  if (!items) return -1;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(array); v; v = yoi_sdk_json_next(v), i++)
    items[i] = (struct item){hash(v, steps), i, v};
  qsort(items, n, sizeof *items, by_hash);
  int found = find_twice(items, n, steps, out_first, out_second);
  if (items != few) yoi_sdk_free(items);
  return found;
}

/* ---- numbers and characters --------------------------------------------------------- */

/* |n| as odd * 2^exponent, for n that is not 0. */
static uint64_t odd_part(double n, int *out_exponent) {
  uint64_t bits;
  memcpy(&bits, &n, sizeof bits);
  uint64_t fraction = bits & ((1ull << 52) - 1);
  int exponent = (int)(bits >> 52 & 0x7FF);
  if (exponent > 0)
    fraction |= 1ull << 52;
  else
    exponent = 1; /* denormal */
  int zeros = __builtin_ctzll(fraction);
  *out_exponent = exponent + zeros;
  return fraction >> zeros;
}

/* Whether x, above 0, is whole but for what rounding three times can do. */
static int is_about_whole(double x) {
  if (x > 1e12) return 0; /* the fraction would be mostly that */
  double whole = (double)(int64_t)(x + 0.5), off = x - whole;
  return whole > 0 && (off < 0 ? -off : off) <= x * 0x1p-51;
}

/* Exactly, as doubles; or as the decimals that were written: 19.99 is 1999
 * times 0.01, and any whole number is a multiple of 0.01. */
int yoi_sdk__schema_multiple(double n, double of) {
  int e, f;
  if (n == 0) return 1;
  uint64_t a = odd_part(n, &e), b = odd_part(of, &f);
  if (e >= f && a % b == 0) return 1;
  double size = n < 0 ? -n : n;
  int is_whole = e >= 1023 + 52;
  return is_about_whole(size / of) || (is_whole && is_about_whole(1 / of));
}

size_t yoi_sdk__schema_characters(yoi_str s) {
  size_t n = 0;
  for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
  return n;
}
