/* version.c - versions of plugins, ranges of them, digests.
 *
 *   range       comparison *(" " comparison)     all of them hold
 *   comparison  ("=" | ">=" | ">" | "<=" | "<") version of 1 to 3 numbers
 *
 * A comparison looks at as many numbers as it has itself: "=1.4" is any 1.4,
 * ">1.4" begins with 1.5, "<=1.4" ends with the last 1.4, "<2" before 2.0.
 */
#include "reader.h"

#include <string.h>

#define PARTS 3
#define DIGITS_MAX 9
#define COMPARISONS_MAX 8

/* 1 to 3 numbers without leading zeros; 0: it is none. */
static size_t numbers(yoi_str s, uint64_t out[PARTS]) {
  size_t n = 0, i = 0;
  while (n < PARTS) {
    size_t begin = i;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9') i++;
    if (i - begin > DIGITS_MAX ||
        !yoi_sdk_parse_u64((yoi_str){s.ptr + begin, i - begin}, UINT32_MAX, &out[n]))
      return 0;
    n++;
    if (i == s.len) return n;
    if (s.ptr[i++] != '.') return 0;
  }
  return 0;
}

struct comparison {
  int less, equal, greater; /* which of them hold */
  uint64_t with[PARTS];
  size_t n;
};

/* Takes the next one; 0: it is none. */
static int comparison(yoi_str s, size_t *at, struct comparison *out) {
  size_t i = *at, end;
  *out = (struct comparison){.less = i < s.len && s.ptr[i] == '<',
                             .greater = i < s.len && s.ptr[i] == '>'};
  if (out->less || out->greater) i++;
  if (i < s.len && s.ptr[i] == '=') {
    out->equal = 1;
    i++;
  }
  if (i == *at) return 0;
  for (end = i; end < s.len && s.ptr[end] != ' ';) end++;
  out->n = numbers((yoi_str){s.ptr + i, end - i}, out->with);
  *at = end + 1; /* behind the space, or behind the end by one */
  return out->n > 0;
}

static int holds(const struct comparison *c, const uint64_t v[PARTS]) {
  for (size_t i = 0; i < c->n; i++)
    if (v[i] != c->with[i]) return v[i] < c->with[i] ? c->less : c->greater;
  return c->equal;
}

/* -1: no range; else whether all of it holds for v. */
static int within(yoi_str range, const uint64_t v[PARTS]) {
  struct comparison c;
  size_t at = 0, n = 0;
  int all = 1;
  while (at <= range.len) {
    if (n++ == COMPARISONS_MAX || !comparison(range, &at, &c)) return -1;
    all &= holds(&c, v);
  }
  return all;
}

int yoi_sdk__bundle_range_valid(yoi_str s) {
  static const uint64_t any[PARTS];
  return within(s, any) >= 0;
}

int yoi_sdk_version_in(yoi_str version, yoi_str range) {
  uint64_t v[PARTS] = {0};
  return numbers(version, v) >= 2 && within(range, v) == 1;
}

int yoi_sdk_digest_valid(yoi_str s) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  yoi_str prefix = YOI_LIT("sha256:");
  return yoi_sdk_str_starts(s, prefix) &&
         yoi_sdk_unhex((yoi_str){s.ptr + prefix.len, s.len - prefix.len}, sha, sizeof sha);
}
