/* schema_nearest.c - the name that was meant: Levenshtein's distance. */
#include <sdk/str.h>

#include "schema_node.h"

/* By rows; longer words than names may be are far. */
static size_t distance(yoi_str a, yoi_str b) {
  size_t row[YOI_NAME_MAX + 1];
  if (a.len > YOI_NAME_MAX || b.len > YOI_NAME_MAX) return SIZE_MAX;
  for (size_t j = 0; j <= b.len; j++) row[j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.len; j++) {
      size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
      diagonal = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[b.len];
}

struct schema_nearest yoi_sdk__schema_nearest(yoi_str word) {
  return (struct schema_nearest){.word = word, .distance = word.len < 8 ? 3 : 4};
}

uint64_t yoi_sdk__schema_nearest_try(struct schema_nearest *n, yoi_str name) {
  yoi_str word = n->word;
  size_t apart = word.len > name.len ? word.len - name.len : name.len - word.len;
  if (apart >= n->distance || word.len > YOI_NAME_MAX) return 1;
  size_t d = distance(word, name);
  if (d < n->distance && d < name.len && d < word.len) {
    n->distance = d;
    n->name = name;
  }
  return 1 + word.len * name.len / 8;
}

yoi_str yoi_sdk_nearest(yoi_str word, const yoi_str *names, size_t n) {
  struct schema_nearest best = yoi_sdk__schema_nearest(word);
  for (size_t i = 0; i < n; i++) (void)yoi_sdk__schema_nearest_try(&best, names[i]);
  return best.name;
}
