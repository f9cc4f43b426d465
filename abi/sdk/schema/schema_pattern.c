/* schema_pattern.c - `pattern`: regular expressions that cannot run away.
 *
 * A matcher that goes back and tries again takes exponential time on patterns
 * as short as ^(a+)+$, and patterns and texts both come from elsewhere. This
 * one never goes back: it keeps the set of all states that the text so far can
 * have led to and moves the whole set over one character (K. Thompson, 1968).
 * Nobody asks where a match begins or what a group held, so a state is nothing
 * but its number.
 *
 *   a|b   SPLIT -> a, JUMP end -> b          x*     SPLIT -> x, JUMP back
 *   x?    SPLIT -> x or behind it            x+     x, SPLIT back or on
 *   x{2,4}  x x (x (x)?)?
 *
 * Taken: characters, `.`, classes with ranges, \d \D \w \W \s \S, the escapes
 * \t \n \v \f \r \0 \cX \xHH \uHHHH \u{H...} and \ before punctuation, groups
 * (plain, ?: and named), alternatives, * + ? {n} {n,} {n,m} and their lazy
 * forms (which find in the same texts), ^ $ \b \B. Refused, because no set of
 * states can say it: back references and look-around. Refused, because it
 * would need tables of Unicode: \p. Letters are compared as they are.
 *
 *  1. Jumps are relative, so that a piece can be copied or moved as a whole;
 *     nothing points into a piece from outside of it.
 *  2. A set holds each state at most once: a step costs at most the number of
 *     states, and a loop around nothing ends.
 *  3. Whatever is made, also what {0} drops again, is taken from the room:
 *     compiling is bounded by it and by the length of the pattern.
 *
 * To add a form: parse_atom, and an operation with its case in match_at.
 */
#include <sdk/pattern.h>

#include <sdk/mem.h>
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>

enum op { CHAR, ANY, CLASS, SPLIT, JUMP, BEGIN, END, WORD, NO_WORD, MATCH };

struct state {
  uint8_t op;
  uint8_t negated; /* CLASS */
  int32_t x, y;    /* CHAR: which; CLASS: first range, how many; else jumps */
};

struct range {
  uint32_t lo, hi;
};

struct yoi_sdk_pattern {
  struct state *states;
  struct range *ranges;
  size_t n, n_ranges, cap, cap_ranges;
};

/* The states that one position of the text can be in. */
struct set {
  uint16_t *states;
  uint32_t *seen; /* by state: the position in whose set it last was */
  size_t n;
};

#define NOTHING UINT32_MAX /* no character: before the text, and behind it */
#define TOO_LARGE "the pattern is too large"
#define STATES_ON_STACK 128

/* ---- characters ----------------------------------------------------------- */

/* The character at s and its length; what is no UTF-8 is taken by bytes. */
static uint32_t decode(const char *s, const char *end, size_t *out_len) {
  const unsigned char *u = (const unsigned char *)s;
  size_t n = u[0] < 0xC2 ? 1 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : u[0] < 0xF5 ? 4 : 1;
  uint32_t c = u[0] & (0x7Fu >> n);
  *out_len = 1;
  if (n == 1 || n > (size_t)(end - s)) return u[0];
  for (size_t i = 1; i < n; i++) {
    if ((u[i] & 0xC0) != 0x80) return u[0];
    c = c << 6 | (u[i] & 0x3Fu);
  }
  *out_len = n;
  return c;
}

static const struct range digits[] = {{'0', '9'}};
static const struct range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct range spaces[] = {
    {0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

static int is_word(uint32_t c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
}

static int is_line_end(uint32_t c) {
  return c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029;
}

/* ---- parsing --------------------------------------------------------------- */

struct parse {
  const char *p, *end;
  struct yoi_sdk_pattern *out;
  size_t *room;
  const char *why;
  unsigned depth;
  int failed; /* with why, or without: memory is short */
};

static void refuse(struct parse *ps, const char *why) {
  if (ps->failed) return;
  ps->failed = 1;
  ps->why = why;
  ps->p = ps->end;
}

static int more(const struct parse *ps, char c) {
  return ps->p < ps->end && *ps->p == c;
}

static int take(struct parse *ps, char c) {
  if (!more(ps, c)) return 0;
  ps->p++;
  return 1;
}

static int take_word(struct parse *ps, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(ps->end - ps->p) < n || memcmp(ps->p, word, n) != 0) return 0;
  ps->p += n;
  return 1;
}

/* One more element in an array of the pattern; 0 when there is no room. */
static int grow(struct parse *ps, void **array, size_t n, size_t *cap, size_t size) {
  if (ps->failed) return 0;
  if (n >= YOI_PATTERN_STATES_MAX || *ps->room == 0) {
    refuse(ps, TOO_LARGE);
    return 0;
  }
  --*ps->room;
  if (n < *cap) return 1;
  size_t more_cap = *cap ? *cap * 2 : 16;
  void *bigger = yoi_sdk_reallocarray(*array, more_cap, size);
  if (!bigger) {
    refuse(ps, NULL);
    return 0;
  }
  *array = bigger;
  *cap = more_cap;
  return 1;
}

static void emit(struct parse *ps, struct state s) {
  struct yoi_sdk_pattern *p = ps->out;
  void *states = p->states;
  int ok = grow(ps, &states, p->n, &p->cap, sizeof *p->states);
  p->states = states;
  if (ok) p->states[p->n++] = s;
}

/* One state before the piece that begins at `start`. */
static void insert(struct parse *ps, size_t start, struct state s) {
  struct yoi_sdk_pattern *p = ps->out;
  emit(ps, s);
  if (ps->failed) return;
  memmove(p->states + start + 1, p->states + start, (p->n - 1 - start) * sizeof s);
  p->states[start] = s;
}

static void copy(struct parse *ps, size_t start, size_t len) {
  for (size_t i = 0; i < len && !ps->failed; i++) emit(ps, ps->out->states[start + i]);
}

static struct state split(int32_t x, int32_t y) {
  return (struct state){.op = SPLIT, .x = x, .y = y};
}

static void add_range(struct parse *ps, uint32_t lo, uint32_t hi) {
  struct yoi_sdk_pattern *p = ps->out;
  void *ranges = p->ranges;
  int ok = grow(ps, &ranges, p->n_ranges, &p->cap_ranges, sizeof *p->ranges);
  p->ranges = ranges;
  if (ok) p->ranges[p->n_ranges++] = (struct range){lo, hi};
}

/* The ranges of \d \w \s, or for the capital all between them. */
static int add_named(struct parse *ps, char name) {
  const struct range *r = digits;
  size_t n = sizeof digits / sizeof *digits;
  uint32_t from = 0;
  if (name == 'w' || name == 'W') {
    r = words;
    n = sizeof words / sizeof *words;
  } else if (name == 's' || name == 'S') {
    r = spaces;
    n = sizeof spaces / sizeof *spaces;
  } else if (name != 'd' && name != 'D') {
    return 0;
  }
  int inside = name >= 'a';
  for (size_t i = 0; i < n; i++) {
    if (inside)
      add_range(ps, r[i].lo, r[i].hi);
    else if (r[i].lo > from)
      add_range(ps, from, r[i].lo - 1);
    from = r[i].hi + 1;
  }
  if (!inside) add_range(ps, from, 0x10FFFF);
  return 1;
}

static int by_start(const void *a, const void *b) {
  const struct range *x = a, *y = b;
  return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* The ranges from `first` on as a class: in order and apart. */
static void emit_class(struct parse *ps, size_t first, int negated) {
  struct yoi_sdk_pattern *p = ps->out;
  struct range *r = p->ranges ? p->ranges + first : NULL;
  size_t n = p->n_ranges - first, kept = 0;
  if (ps->failed) return;
  if (n > 1) qsort(r, n, sizeof *r, by_start);
  for (size_t i = 0; i < n; i++) {
    if (kept > 0 && r[i].lo <= r[kept - 1].hi) {
      if (r[i].hi > r[kept - 1].hi) r[kept - 1].hi = r[i].hi;
    } else {
      r[kept++] = r[i];
    }
  }
  p->n_ranges = first + kept;
  emit(ps, (struct state){
               .op = CLASS, .negated = (uint8_t)negated, .x = (int32_t)first, .y = (int32_t)kept});
}

static uint32_t hex(struct parse *ps, size_t least, size_t most) {
  uint32_t c = 0;
  size_t n = 0;
  for (; n < most && ps->p < ps->end; n++, ps->p++) {
    char d = *ps->p;
    if (d >= '0' && d <= '9')
      c = c << 4 | (uint32_t)(d - '0');
    else if ((d | 32) >= 'a' && (d | 32) <= 'f')
      c = c << 4 | (uint32_t)((d | 32) - 'a' + 10);
    else
      break;
  }
  if (n < least) refuse(ps, "hexadecimal digits are missing behind '\\x' or '\\u'");
  return c;
}

/* What stands behind \u: a character, or half of one with its other half. */
static uint32_t unicode(struct parse *ps) {
  if (take(ps, '{')) {
    uint32_t c = hex(ps, 1, 6);
    if (!take(ps, '}') || c > 0x10FFFF) refuse(ps, "'\\u{' wants a character and '}'");
    return c;
  }
  uint32_t c = hex(ps, 4, 4);
  if (c < 0xD800 || c > 0xDFFF) return c;
  uint32_t low = take_word(ps, "\\u") ? hex(ps, 4, 4) : 0;
  if (c > 0xDBFF || low < 0xDC00 || low > 0xDFFF) refuse(ps, "half of a character behind '\\u'");
  return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

/* A character that stands behind a backslash. */
static uint32_t escaped(struct parse *ps) {
  static const char from[] = "tnvfr", to[] = "\t\n\v\f\r";
  size_t len;
  if (ps->p >= ps->end) {
    refuse(ps, "nothing behind the last '\\'");
    return 0;
  }
  char c = *ps->p;
  const char *known = memchr(from, c, sizeof from - 1);
  if (known) {
    ps->p++;
    return (uint32_t)to[known - from];
  }
  if (take(ps, 'x')) return hex(ps, 2, 2);
  if (take(ps, 'u')) return unicode(ps);
  if (take(ps, 'c')) {
    char letter = ps->p < ps->end ? *ps->p++ : 0;
    if ((letter | 32) < 'a' || (letter | 32) > 'z') refuse(ps, "'\\c' wants a letter");
    return (uint32_t)letter & 31;
  }
  if (take(ps, '0')) {
    if (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
      refuse(ps, "octal escapes are not supported");
    return 0;
  }
  if (is_word((unsigned char)c) && c != '_') {
    refuse(ps, c >= '1' && c <= '9' ? "back references are not supported"
               : c == 'k'           ? "back references are not supported"
               : (c | 32) == 'p'    ? "'\\p' is not supported"
                                    : "unknown escape behind '\\'");
    return 0;
  }
  uint32_t out = decode(ps->p, ps->end, &len);
  ps->p += len;
  return out;
}

/* One element of a class: a character, or 0 when it was \d and the like. */
static int class_item(struct parse *ps, uint32_t *out) {
  size_t len;
  if (!take(ps, '\\')) {
    *out = decode(ps->p, ps->end, &len);
    ps->p += len;
    return 1;
  }
  if (ps->p < ps->end && add_named(ps, *ps->p)) {
    ps->p++;
    return 0;
  }
  *out = take(ps, 'b') ? '\b' : escaped(ps);
  return 1;
}

/* A '-' beside \d and the like, first or last is itself. */
static void parse_class(struct parse *ps) {
  size_t first = ps->out->n_ranges;
  int negated = take(ps, '^');
  while (!ps->failed && !take(ps, ']')) {
    uint32_t lo, hi;
    if (ps->p >= ps->end) {
      refuse(ps, "']' is missing");
      return;
    }
    if (!class_item(ps, &lo)) continue;
    if (!more(ps, '-') || ps->p + 1 >= ps->end || ps->p[1] == ']') {
      add_range(ps, lo, lo);
      continue;
    }
    ps->p++;
    if (!class_item(ps, &hi)) {
      add_range(ps, lo, lo);
      add_range(ps, '-', '-');
    } else if (lo > hi) {
      refuse(ps, "a range of characters is the wrong way round");
    } else {
      add_range(ps, lo, hi);
    }
  }
  emit_class(ps, first, negated);
}

static void parse_alternatives(struct parse *ps);

static void parse_group(struct parse *ps) {
  if (++ps->depth > YOI_PATTERN_DEPTH_MAX) {
    refuse(ps, "groups are nested too deeply");
    return;
  }
  if (take(ps, '?') && !take(ps, ':')) {
    if (!take(ps, '<') || more(ps, '=') || more(ps, '!')) {
      refuse(ps, ps->p < ps->end && memchr("=!", *ps->p, 2) ? "look-around is not supported"
                                                            : "unknown form of group");
      return;
    }
    while (ps->p < ps->end && (is_word((unsigned char)*ps->p) || *ps->p == '$')) ps->p++;
    if (!take(ps, '>')) refuse(ps, "the name of a group wants '>'");
  }
  parse_alternatives(ps);
  if (!take(ps, ')')) refuse(ps, "')' is missing");
  ps->depth--;
}

/* 1: what was parsed can be repeated. */
static int parse_escape(struct parse *ps) {
  size_t first = ps->out->n_ranges;
  if (take(ps, 'b')) {
    emit(ps, (struct state){.op = WORD});
    return 0;
  }
  if (take(ps, 'B')) {
    emit(ps, (struct state){.op = NO_WORD});
    return 0;
  }
  if (ps->p < ps->end && add_named(ps, *ps->p)) {
    ps->p++;
    emit_class(ps, first, 0);
  } else {
    uint32_t c = escaped(ps);
    emit(ps, (struct state){.op = CHAR, .x = (int32_t)c});
  }
  return 1;
}

static int parse_atom(struct parse *ps) {
  size_t len;
  uint32_t c = decode(ps->p, ps->end, &len);
  ps->p += len;
  switch (c) {
    case '^':
      emit(ps, (struct state){.op = BEGIN});
      return 0;
    case '$':
      emit(ps, (struct state){.op = END});
      return 0;
    case '.':
      emit(ps, (struct state){.op = ANY});
      return 1;
    case '(':
      parse_group(ps);
      return 1;
    case '[':
      parse_class(ps);
      return 1;
    case '\\':
      return parse_escape(ps);
    case '*':
    case '+':
    case '?':
      refuse(ps, "nothing to repeat before '*', '+' or '?'");
      return 0;
    case '{':
      refuse(ps, "a '{' that is meant as such needs a '\\' before it");
      return 0;
    default:
      emit(ps, (struct state){.op = CHAR, .x = (int32_t)c});
      return 1;
  }
}

/* Digits; past the largest pattern it does not matter by how much. */
static int number(struct parse *ps, size_t *out) {
  const char *from = ps->p;
  size_t n = 0;
  for (; ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9'; ps->p++)
    if (n <= YOI_PATTERN_STATES_MAX) n = n * 10 + (size_t)(*ps->p - '0');
  *out = n;
  return ps->p > from;
}

/* min to max times the piece from `start` on; max of SIZE_MAX has no end. Who
 * leaves one of the optional pieces leaves all that follow: a set then holds
 * two states of them and not all. */
static void repeat(struct parse *ps, size_t start, size_t min, size_t max) {
  size_t len = ps->out->n - start, from = min == 0 ? start + 1 : start;
  int32_t jump = (int32_t)len;
  if (ps->failed || len == 0) return;
  if (max == 0) {
    ps->out->n = start;
    return;
  }
  for (size_t i = 1; i < min && !ps->failed; i++) copy(ps, start, len);
  if (max == SIZE_MAX) {
    if (min == 0) insert(ps, start, split(1, jump + 2));
    emit(ps, min == 0 ? (struct state){.op = JUMP, .x = -(jump + 1)} : split(-jump, 1));
    return;
  }
  for (size_t left = max - min; left > 0 && !ps->failed; left--) {
    struct state s = split(1, (int32_t)left * (jump + 1));
    if (min == 0 && left == max) {
      insert(ps, start, s);
    } else {
      emit(ps, s);
      copy(ps, from, len);
    }
  }
}

static void parse_piece(struct parse *ps) {
  size_t start = ps->out->n, min = 1, max = 1;
  int can = parse_atom(ps);
  if (take(ps, '*')) {
    min = 0;
    max = SIZE_MAX;
  } else if (take(ps, '+')) {
    max = SIZE_MAX;
  } else if (take(ps, '?')) {
    min = 0;
  } else if (take(ps, '{')) {
    int ok = number(ps, &min);
    max = min;
    if (take(ps, ',') && !number(ps, &max)) max = SIZE_MAX;
    if (!ok || !take(ps, '}') || max < min) refuse(ps, "expected {n}, {n,} or {n,m}");
  } else {
    return;
  }
  if (!can) refuse(ps, "'^', '$', '\\b' and '\\B' cannot be repeated");
  (void)take(ps, '?');
  repeat(ps, start, min, max);
}

static void parse_alternatives(struct parse *ps) {
  size_t last = SIZE_MAX; /* the jump to the end of all; each knows the one before */
  struct yoi_sdk_pattern *p = ps->out;
  for (;;) {
    size_t start = p->n;
    while (ps->p < ps->end && *ps->p != '|' && *ps->p != ')') parse_piece(ps);
    if (!take(ps, '|')) break;
    insert(ps, start, split(1, (int32_t)(p->n - start) + 2));
    emit(ps, (struct state){.op = JUMP, .x = last == SIZE_MAX ? -1 : (int32_t)last});
    last = p->n - 1;
  }
  while (!ps->failed && last != SIZE_MAX) {
    int32_t before = p->states[last].x;
    p->states[last].x = (int32_t)(p->n - last);
    last = before < 0 ? SIZE_MAX : (size_t)before;
  }
}

struct yoi_sdk_pattern *yoi_sdk_pattern_new(yoi_str text, size_t *room, const char **out_why) {
  struct yoi_sdk_pattern *p = yoi_sdk_calloc(1, sizeof *p);
  *out_why = NULL;
  if (!p) return NULL;
  struct parse ps = {.p = text.ptr, .end = text.ptr + text.len, .out = p, .room = room};
  parse_alternatives(&ps);
  if (ps.p < ps.end) refuse(&ps, "')' without '('");
  emit(&ps, (struct state){.op = MATCH});
  if (!ps.failed) return p;
  *out_why = ps.why;
  yoi_sdk_pattern_free(p);
  return NULL;
}

void yoi_sdk_pattern_free(struct yoi_sdk_pattern *p) {
  if (!p) return;
  yoi_sdk_free(p->states);
  yoi_sdk_free(p->ranges);
  yoi_sdk_free(p);
}

/* ---- matching --------------------------------------------------------------- */

static int in_class(const struct yoi_sdk_pattern *p, const struct state *s, uint32_t c) {
  size_t lo = (size_t)s->x, hi = lo + (size_t)s->y;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (c > p->ranges[mid].hi)
      lo = mid + 1;
    else if (c < p->ranges[mid].lo)
      hi = mid;
    else
      return !s->negated;
  }
  return s->negated;
}

static void put(struct set *set, size_t state, uint32_t position) {
  if (set->seen[state] == position) return;
  set->seen[state] = position;
  set->states[set->n++] = (uint16_t)state;
}

/* Moves the set `now` over c, which stands behind `before`; 1 when a match
 * ends before c. States that take no character join the set while it is read. */
static int match_at(const struct yoi_sdk_pattern *p, struct set *now, struct set *next,
                    uint32_t position, uint32_t before, uint32_t c) {
  int edge = (before != NOTHING && is_word(before)) != (c != NOTHING && is_word(c));
  for (size_t i = 0; i < now->n; i++) {
    size_t at = now->states[i];
    const struct state *s = &p->states[at];
    int taken = 0, passed = 0;
    switch ((enum op)s->op) {
      case CHAR:
        taken = c == (uint32_t)s->x;
        break;
      case ANY:
        taken = !is_line_end(c);
        break;
      case CLASS:
        taken = in_class(p, s, c);
        break;
      case SPLIT:
        put(now, at + (size_t)(ptrdiff_t)s->y, position);
        put(now, at + (size_t)(ptrdiff_t)s->x, position);
        break;
      case JUMP:
        put(now, at + (size_t)(ptrdiff_t)s->x, position);
        break;
      case BEGIN:
        passed = before == NOTHING;
        break;
      case END:
        passed = c == NOTHING;
        break;
      case WORD:
        passed = edge;
        break;
      case NO_WORD:
        passed = !edge;
        break;
      case MATCH:
        return 1;
    }
    if (passed) put(now, at + 1, position);
    if (taken && c != NOTHING) put(next, at + 1, position + 1);
  }
  return 0;
}

static int run(const struct yoi_sdk_pattern *p, struct set *now, struct set *next, yoi_str s,
               uint64_t *steps) {
  const char *at = s.ptr, *end = s.ptr + s.len;
  int anchored = p->states[0].op == BEGIN;
  uint32_t before = NOTHING;
  for (uint32_t position = 1;; position++) {
    size_t len = 0;
    uint32_t c = at < end ? decode(at, end, &len) : NOTHING;
    if (position == 1 || !anchored) put(now, 0, position);
    if (now->n == 0) return 0;
    if (match_at(p, now, next, position, before, c)) return 1;
    uint64_t cost = 1 + now->n / 4;
    if (*steps < cost) return -1;
    *steps -= cost;
    if (c == NOTHING) return 0;
    struct set *t = now;
    now = next;
    next = t;
    next->n = 0;
    before = c;
    at += len;
  }
}

int yoi_sdk_pattern_match(const struct yoi_sdk_pattern *p, yoi_str s, uint64_t *steps) {
  uint32_t few_seen[2 * STATES_ON_STACK], *seen = few_seen;
  uint16_t few_states[2 * STATES_ON_STACK], *states = few_states;
  size_t n = p->n;
  void *heap = NULL;
  if (n > STATES_ON_STACK) {
    heap = yoi_sdk_calloc(2 * n, sizeof *seen + sizeof *states);
    if (!heap) return -2;
    seen = heap;
    states = (uint16_t *)(seen + 2 * n);
  } else {
    memset(seen, 0, 2 * n * sizeof *seen);
  }
  struct set now = {states, seen, 0}, next = {states + n, seen + n, 0};
  int found = run(p, &now, &next, s, steps);
  yoi_sdk_free(heap);
  return found;
}
