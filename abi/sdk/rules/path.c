/* path.c - paths and their patterns, segment by segment.
 *
 * A path is compared as it is written: what a link would make of "a/../b" only
 * the file system can tell, so such a path fits nothing that allows. What is
 * left can be written in one way only.
 *
 * Matching is that of sdk/glob.c with segments for characters and "**" for the
 * star: only the last "**" is gone back to.
 */
#include "path.h"

#include <sdk/glob.h>
#include <sdk/str.h>
#include <string.h>

/* The segment at *at, and *at behind it. 0: there is none. */
static int next_segment(yoi_str s, size_t *at, yoi_str *out) {
  if (s.len == 0 || *at > s.len) return 0;
  const char *begin = s.ptr + *at, *slash = memchr(begin, '/', s.len - *at);
  *out = (yoi_str){begin, slash != NULL ? (size_t)(slash - begin) : s.len - *at};
  *at += out->len + 1;
  return 1;
}

int yoi__sdk_rules_path_normal(yoi_str path, char *out, size_t cap, size_t *out_len) {
  size_t at = 0, n = 0;
  yoi_str s;
  *out_len = 0;
  if (path.len > 0 && path.ptr[0] == '/') return 0;
  while (next_segment(path, &at, &s)) {
    if (s.len == 0 || yoi_sdk_str_is(s, ".")) continue;
    if (yoi_sdk_str_is(s, "..") || n + (n > 0) + s.len > cap) return 0;
    if (n > 0) out[n++] = '/';
    memcpy(out + n, s.ptr, s.len);
    n += s.len;
  }
  *out_len = n;
  return 1;
}

static int is_any(yoi_str segment) {
  return yoi_sdk_str_is(segment, "**");
}

static int has_two_stars(yoi_str s) {
  for (size_t i = 1; i < s.len; i++)
    if (s.ptr[i] == '*' && s.ptr[i - 1] == '*') return 1;
  return 0;
}

const char *yoi__sdk_rules_path_pattern(yoi_str pattern, char *out, size_t cap, size_t *out_len) {
  size_t at = 0;
  yoi_str s;
  if (pattern.len > 0 && pattern.ptr[0] == '/') return "a path begins at its folder, not with '/'";
  while (next_segment(pattern, &at, &s)) {
    if (yoi_sdk_str_is(s, "..")) return "no path that has '..' fits a pattern";
    if (!is_any(s) && has_two_stars(s)) return "'**' stands alone between slashes";
  }
  return yoi__sdk_rules_path_normal(pattern, out, cap, out_len) ? NULL : "it is too long";
}

int yoi__sdk_rules_path_glob(yoi_str pattern, yoi_str path) {
  size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
  yoi_str ps, ts;
  for (;;) {
    size_t past_p = p, past_t = t;
    int more = next_segment(pattern, &past_p, &ps);
    if (more && is_any(ps)) {
      star = p = past_p;
      from = t;
    } else if (!next_segment(path, &past_t, &ts)) {
      return !more;
    } else if (more && yoi_sdk_glob(ps, ts)) {
      p = past_p;
      t = past_t;
    } else if (star != SIZE_MAX) {
      (void)next_segment(path, &from, &ts);
      p = star;
      t = from;
    } else {
      return 0;
    }
  }
}
