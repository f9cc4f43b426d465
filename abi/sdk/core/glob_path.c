/* glob_path.c - patterns for paths: `**`, `*`, `?`, `[a-z]`, `{a,b}`.
 *
 * Two levels, and each is glob.c's: stars among characters within a component,
 * and double stars among components. On both only the last star that was met is
 * gone back to, so that there is neither recursion nor exponential time: no
 * more than pattern.len * path.len steps. Choices are written out beforehand,
 * and how many there may be is bounded.
 */
#include <sdk/glob.h>

#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>
#include <yoi/limits.h>

/* The character at s; bytes that are none stand for themselves. Its length. */
static size_t character(yoi_str s, size_t at, uint32_t *out) {
  const unsigned char *p = (const unsigned char *)s.ptr + at;
  size_t left = s.len - at, n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 1;
  *out = p[0];
  if (n == 1 || n > left || !yoi_sdk_utf8_valid((yoi_str){s.ptr + at, n})) return 1;
  *out = p[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) *out = *out << 6 | (p[i] & 0x3fu);
  return n;
}

/* The class that begins at p[at], "[a-z]": its length, and whether c is in it.
 * 0: there is no end to it. A ']' that stands first is of the class. */
static size_t class(yoi_str p, size_t at, uint32_t c, int *out_in) {
  size_t i = at + 1;
  int negated = i < p.len && (p.ptr[i] == '!' || p.ptr[i] == '^'), in = 0;
  i += (size_t)negated;
  for (size_t first = i; i < p.len && (p.ptr[i] != ']' || i == first);) {
    uint32_t low, high;
    i += character(p, i, &low);
    high = low;
    if (i + 1 < p.len && p.ptr[i] == '-' && p.ptr[i + 1] != ']')
      i += 1 + character(p, i + 1, &high);
    in |= c >= low && c <= high;
  }
  if (i >= p.len) return 0;
  *out_in = in != negated;
  return i + 1 - at;
}

/* One component against one: no slash is in either. */
static int component_fits(yoi_str pattern, yoi_str text) {
  size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
  while (t < text.len) {
    uint32_t c;
    size_t width = character(text, t, &c), taken = 0;
    int in = 0;
    if (p < pattern.len && pattern.ptr[p] == '*') {
      star = ++p;
      from = t;
      continue;
    }
    if (p < pattern.len && pattern.ptr[p] == '[') taken = class(pattern, p, c, &in);
    if (taken == 0 && p < pattern.len) {
      uint32_t want;
      taken = character(pattern, p, &want);
      in = want == '?' || (want == c && taken == width);
    }
    if (in) {
      p += taken;
      t += width;
    } else if (star != SIZE_MAX) {
      p = star;
      t = from += character(text, from, &c);
    } else {
      return 0;
    }
  }
  while (p < pattern.len && pattern.ptr[p] == '*') p++;
  return p == pattern.len;
}

/* The component that begins at `at`; that of s.len + 1 does not exist. */
static yoi_str component(yoi_str s, size_t at) {
  const char *slash = at < s.len ? memchr(s.ptr + at, '/', s.len - at) : NULL;
  return (yoi_str){s.ptr + at, slash ? (size_t)(slash - s.ptr) - at : s.len - at};
}

int yoi_sdk_glob_path(yoi_str pattern, yoi_str path) {
  static const yoi_str empty = {"", 0}; /* so that no pointer is NULL */
  size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
  if (pattern.len == 0) pattern = empty;
  if (path.len == 0) path = empty;
  while (t <= path.len) {
    yoi_str want = p <= pattern.len ? component(pattern, p) : empty, is = component(path, t);
    if (p <= pattern.len && yoi_sdk_str_is(want, "**")) {
      star = p += want.len + 1;
      from = t;
    } else if (p <= pattern.len && component_fits(want, is)) {
      p += want.len + 1;
      t += is.len + 1;
    } else if (star != SIZE_MAX) {
      p = star;
      t = from += component(path, from).len + 1;
    } else {
      return 0;
    }
  }
  while (p <= pattern.len && yoi_sdk_str_is(component(pattern, p), "**")) p += 3;
  return p > pattern.len;
}

/* ---- choices ---- */

struct yoi_sdk_globs {
  size_t n;
  char *patterns[YOI_GLOB_CHOICES_MAX];
};

/* The bracket that closes the one at s[at], or s.len; and whether a comma stands
 * between them that is theirs. */
static size_t closing(yoi_str s, size_t at, int *out_comma) {
  int depth = 0;
  *out_comma = 0;
  for (size_t i = at; i < s.len; i++) {
    if (s.ptr[i] == '{') depth++;
    if (s.ptr[i] == ',' && depth == 1) *out_comma = 1;
    if (s.ptr[i] == '}' && --depth == 0) return i;
  }
  return s.len;
}

/* The first choice of s; 0 when it has none. "{a}" is a name. */
static int choice(yoi_str s, size_t *out_begin, size_t *out_end) {
  for (size_t i = 0; i < s.len; i++) {
    int comma;
    if (s.ptr[i] != '{') continue;
    *out_end = closing(s, i, &comma);
    *out_begin = i;
    if (comma && *out_end < s.len) return 1;
  }
  return 0;
}

enum written { WHOLE, AGAIN, TOO_MANY, NO_MEMORY };

/* One of the choices of a text, with what is around it, as a pattern more. */
static enum written add(struct yoi_sdk_globs *g, yoi_str before, yoi_str one, yoi_str behind) {
  struct yoi_sdk_buf b;
  size_t len;
  if (g->n == YOI_GLOB_CHOICES_MAX) return TOO_MANY;
  yoi_sdk_buf_init(&b, YOI_GLOB_BYTES_MAX);
  yoi_sdk_buf_adds(&b, before);
  yoi_sdk_buf_adds(&b, one);
  yoi_sdk_buf_adds(&b, behind);
  g->patterns[g->n] = yoi_sdk_buf_take(&b, &len);
  yoi_sdk_buf_release(&b);
  return g->patterns[g->n] && g->patterns[g->n++] ? AGAIN : NO_MEMORY;
}

/* Takes the last pattern and puts one for each of its first choice there. */
static enum written write_out(struct yoi_sdk_globs *g) {
  yoi_str s = yoi_sdk_str(g->patterns[g->n - 1]);
  size_t begin, end, depth = 0;
  enum written w = AGAIN;
  if (!choice(s, &begin, &end)) return WHOLE;
  char *taken = g->patterns[--g->n];
  g->patterns[g->n] = NULL;
  for (size_t i = begin + 1, from = i; i <= end && w == AGAIN; i++) {
    if (s.ptr[i] == '{') depth++;
    if (depth == 0 && (s.ptr[i] == ',' || i == end)) {
      w = add(g, (yoi_str){s.ptr, begin}, (yoi_str){s.ptr + from, i - from},
              (yoi_str){s.ptr + end + 1, s.len - end - 1});
      from = i + 1;
    }
    if (s.ptr[i] == '}' && depth > 0) depth--;
  }
  yoi_sdk_free(taken);
  return w;
}

struct yoi_sdk_globs *yoi_sdk_globs_new(yoi_str pattern, const char **out_why) {
  enum written w = AGAIN;
  *out_why = "it is empty or too long";
  if (pattern.len == 0 || pattern.len > YOI_GLOB_BYTES_MAX) return NULL;
  *out_why = "there is a NUL in it";
  if (memchr(pattern.ptr, 0, pattern.len)) return NULL;
  *out_why = NULL;
  struct yoi_sdk_globs *g = yoi_sdk_calloc(1, sizeof *g);
  if (!g) return NULL;
  w = add(g, pattern, (yoi_str){NULL, 0}, (yoi_str){NULL, 0});
  /* Whole ones go to the front, so that the last is always the one to do. */
  for (size_t whole = 0; w == AGAIN && whole < g->n;) {
    w = write_out(g);
    if (w != WHOLE) continue;
    char *last = g->patterns[g->n - 1];
    g->patterns[g->n - 1] = g->patterns[whole];
    g->patterns[whole++] = last;
    w = AGAIN;
  }
  if (w == AGAIN) return g;
  if (w == TOO_MANY) *out_why = "it has too many choices";
  yoi_sdk_globs_free(g);
  return NULL;
}

void yoi_sdk_globs_free(struct yoi_sdk_globs *g) {
  if (!g) return;
  for (size_t i = 0; i < YOI_GLOB_CHOICES_MAX; i++) yoi_sdk_free(g->patterns[i]);
  yoi_sdk_free(g);
}

int yoi_sdk_globs_fit(const struct yoi_sdk_globs *g, yoi_str path) {
  for (size_t i = 0; i < g->n; i++)
    if (yoi_sdk_glob_path(yoi_sdk_str(g->patterns[i]), path)) return 1;
  return 0;
}
