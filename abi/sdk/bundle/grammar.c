/* grammar.c - what a text of each field may be, said positively.
 *
 * Each is one walk over the bytes of the whole text: nothing is trimmed or
 * folded first. What a grammar does not name cannot be in a bundle, so there is
 * no list of bad words here. Some grammars know more forms than this version can
 * enforce (BUNDLE_MORE): these are well written, and refused under another code.
 */
#include "reader.h"

#include <sdk/grant.h>
#include <string.h>

static int digit(char c) {
  return c >= '0' && c <= '9';
}

static int alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int alnum(char c) {
  return alpha(c) || digit(c);
}

/* 1 to max of letters, digits and these. */
static int of(yoi_str s, size_t max, const char *marks) {
  if (s.len < 1 || s.len > max) return 0;
  for (size_t i = 0; i < s.len; i++)
    if (!alnum(s.ptr[i]) && (s.ptr[i] == '\0' || strchr(marks, s.ptr[i]) == NULL)) return 0;
  return 1;
}

static int is_any(yoi_str s, const char *const *words, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (yoi_sdk_str_is(s, words[i])) return 1;
  return 0;
}

/* ---- the bundle ------------------------------------------------------------------ */

/* "yoi.bundle/1"; of a later version is well written. */
static int schema(yoi_str s) {
  yoi_str prefix = YOI_LIT("yoi.bundle/");
  uint64_t n;
  if (!yoi_sdk_str_starts(s, prefix)) return BUNDLE_BAD;
  yoi_str number = {s.ptr + prefix.len, s.len - prefix.len};
  if (!yoi_sdk_parse_u64(number, UINT32_MAX, &n) || n == 0) return BUNDLE_BAD;
  return n == 1 ? BUNDLE_GOOD : BUNDLE_MORE;
}

static int revision(yoi_str s) {
  return of(s, YOI_ID_MAX, "._+-");
}

static int source(yoi_str s) {
  return of(s, YOI_NAME_MAX, "._+@#-");
}

static int detail(yoi_str s) {
  return of(s, YOI_BUNDLE_DETAIL_MAX, "._+@#-");
}

/* A decimal of exactly n digits at s[at], from least to most. */
static int number(yoi_str s, size_t at, size_t n, unsigned least, unsigned most, unsigned *out) {
  unsigned v = 0;
  if (s.len < at + n) return 0;
  for (size_t i = at; i < at + n; i++) {
    if (!digit(s.ptr[i])) return 0;
    v = v * 10 + (unsigned)(s.ptr[i] - '0');
  }
  *out = v;
  return v >= least && v <= most;
}

static unsigned days_in(unsigned year, unsigned month) {
  static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : days[month - 1];
}

/* RFC 3339, a day of the calendar; without leap seconds, which no clock here
 * can say. */
static int date_time(yoi_str s) {
  unsigned year, month, day, n;
  if (s.len < 20 || s.len > 35) return 0;
  if (!number(s, 0, 4, 0, 9999, &year) || s.ptr[4] != '-' || !number(s, 5, 2, 1, 12, &month) ||
      s.ptr[7] != '-' || !number(s, 8, 2, 1, days_in(year, month), &day) || s.ptr[10] != 'T' ||
      !number(s, 11, 2, 0, 23, &n) || s.ptr[13] != ':' || !number(s, 14, 2, 0, 59, &n) ||
      s.ptr[16] != ':' || !number(s, 17, 2, 0, 59, &n))
    return 0;
  size_t i = 19;
  if (s.ptr[i] == '.') {
    size_t begin = ++i;
    while (i < s.len && digit(s.ptr[i])) i++;
    if (i == begin || i - begin > 9) return 0;
  }
  if (i + 1 == s.len) return s.ptr[i] == 'Z';
  return i + 6 == s.len && (s.ptr[i] == '+' || s.ptr[i] == '-') &&
         number(s, i + 1, 2, 0, 23, &n) && s.ptr[i + 3] == ':' && number(s, i + 4, 2, 0, 59, &n);
}

/* ---- language: BCP 47, well-formed (RFC 5646, 2.1) ---------------------------------- */

struct subtag {
  const char *p;
  size_t n;
  int letters, digits; /* all of it */
};

/* Takes the next one; 0: there is none, or it is none. */
static int subtag(yoi_str s, size_t *at, struct subtag *out) {
  size_t i = *at;
  if (i > s.len) return 0;
  *out = (struct subtag){s.ptr + i, 0, 1, 1};
  for (; i < s.len && s.ptr[i] != '-'; i++, out->n++) {
    if (!alnum(s.ptr[i])) return 0;
    if (!alpha(s.ptr[i])) out->letters = 0;
    if (!digit(s.ptr[i])) out->digits = 0;
  }
  *at = i + 1;
  return out->n >= 1 && out->n <= 8;
}

static int is_private(const struct subtag *t) {
  return t->n == 1 && (*t->p == 'x' || *t->p == 'X');
}

static int is_variant(const struct subtag *t) {
  return t->n >= 5 || (t->n == 4 && digit(*t->p));
}

/* What a subtag may be behind the one before; stages only go up. */
enum stage { EXTLANG, SCRIPT, REGION, VARIANT, EXTENSION, PRIVATE };

static int language(yoi_str s) {
  struct subtag t;
  size_t at = 0, extlangs = 0, inside = 1;
  if (s.len > YOI_LANGUAGE_MAX || !subtag(s, &at, &t)) return 0;
  enum stage stage = is_private(&t) ? PRIVATE : t.n <= 3 ? EXTLANG : SCRIPT;
  if (stage == PRIVATE) inside = 0;
  else if (!t.letters || t.n < 2) return 0;
  while (at <= s.len) {
    if (!subtag(s, &at, &t)) return 0;
    if (stage == PRIVATE) {
      inside++;
    } else if (t.n == 1) { /* a singleton begins an extension */
      if (inside == 0) return 0;
      stage = is_private(&t) ? PRIVATE : EXTENSION;
      inside = 0;
    } else if (stage == EXTENSION) {
      inside++;
    } else if (stage == EXTLANG && t.n == 3 && t.letters && extlangs < 3) {
      extlangs++;
    } else if (stage <= SCRIPT && t.n == 4 && t.letters) {
      stage = REGION;
    } else if (stage <= REGION && ((t.n == 2 && t.letters) || (t.n == 3 && t.digits))) {
      stage = VARIANT;
    } else if (stage <= VARIANT && is_variant(&t)) {
      stage = VARIANT;
    } else {
      return 0;
    }
  }
  return inside > 0;
}

/* ---- names ---------------------------------------------------------------------------- */

/* A line for people: letters of any script, digits, spaces within, few marks. No
 * control and format characters: what is shown is what is there. */
static int label(yoi_str s) {
  if (s.len < 1 || s.len > YOI_BUNDLE_LABEL_MAX || s.ptr[0] == ' ' || s.ptr[s.len - 1] == ' ')
    return 0;
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.ptr[i];
    unsigned char next = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
    if (c >= 0x80) {
      /* C1 controls, the soft hyphen; U+2000 to U+206F: spaces, directions; U+FE00
       * to U+FEFF by their first two bytes; private use */
      if (c == 0xC2 && (next < 0xA1 || next == 0xAD)) return 0;
      if (c == 0xE2 && (next == 0x80 || next == 0x81)) return 0;
      if (c == 0xEF && (next == 0xB8 || next == 0xBB || next == 0xBF || next < 0xA4)) return 0;
      if (c == 0xEE || c >= 0xF3) return 0;
    } else if (!alnum((char)c) && (c == 0 || strchr(" ._-+#&'(),!", c) == NULL)) {
      return 0;
    }
  }
  return 1;
}

static int tool_name(yoi_str s) {
  /* The engine's own tool: a bundle's would hide it. */
  return of(s, YOI_NAME_MAX, "_-") && !yoi_sdk_str_is(s, "artefact_read");
}

static int media_type(yoi_str s) {
  const char *slash = s.len > 0 ? memchr(s.ptr, '/', s.len) : NULL;
  if (yoi_sdk_str_is(s, "text/markdown") || yoi_sdk_str_is(s, "text/plain")) return BUNDLE_GOOD;
  if (slash == NULL) return BUNDLE_BAD;
  yoi_str type = {s.ptr, (size_t)(slash - s.ptr)};
  yoi_str sub = {slash + 1, s.len - type.len - 1};
  return of(type, YOI_NAME_MAX, "-") && of(sub, YOI_NAME_MAX, ".+-") ? BUNDLE_MORE : BUNDLE_BAD;
}

int yoi_sdk__bundle_split_ref(yoi_str s, yoi_str *out_kind, yoi_str *out_name) {
  const char *colon = s.len > 0 ? memchr(s.ptr, ':', s.len) : NULL;
  if (colon == NULL) return 0;
  *out_kind = (yoi_str){s.ptr, (size_t)(colon - s.ptr)};
  *out_name = (yoi_str){colon + 1, s.len - out_kind->len - 1};
  for (size_t i = 0; i < out_kind->len; i++)
    if (out_kind->ptr[i] < 'a' || out_kind->ptr[i] > 'z') return 0;
  return out_kind->len >= 1 && out_kind->len <= YOI_NAME_MAX && yoi_sdk_name_valid(*out_name);
}

/* A kind of something else, "file:x" among them, that is no place: these are
 * told apart before it is called well written. */
static int ref(yoi_str s, const char *kind) {
  yoi_str k, name;
  if (!yoi_sdk__bundle_split_ref(s, &k, &name)) return BUNDLE_BAD;
  if (yoi_sdk_str_is(k, kind)) return BUNDLE_GOOD;
  return yoi_sdk__bundle_location(s) != NULL ? BUNDLE_BAD : BUNDLE_MORE;
}

static int model_ref(yoi_str s) {
  return ref(s, "model");
}

static int prompt_ref(yoi_str s) {
  return ref(s, "prompt");
}

static int policy_word(yoi_str s) {
  static const char *const words[] = {"allow", "ask", "deny"};
  return is_any(s, words, 3);
}

/* A grant; of a kind that this version does not know, "secret:github" or
 * "queue:jobs:rw", is well written. */
static int grant_as(yoi_str s, const char *(*parse)(yoi_str, struct yoi_sdk_grant *)) {
  struct yoi_sdk_grant g;
  yoi_str kind, name;
  if (parse(s, &g) == NULL) return BUNDLE_GOOD;
  if (s.len > YOI_GRANT_MAX || yoi_sdk_grant_kind(s) != 0) return BUNDLE_BAD;
  if (yoi_sdk__bundle_location(s) != NULL) return BUNDLE_BAD;
  if (s.len > 3 && (memcmp(s.ptr + s.len - 3, ":ro", 3) == 0 ||
                    memcmp(s.ptr + s.len - 3, ":rw", 3) == 0))
    s.len -= 3;
  return yoi_sdk__bundle_split_ref(s, &kind, &name) ? BUNDLE_MORE : BUNDLE_BAD;
}

static int grant(yoi_str s) {
  return grant_as(s, yoi_sdk_grant_parse);
}

/* ---- prose, and patterns of rules ---------------------------------------------------- */

/* 1: a control character of ASCII or of Latin-1 stands at i. */
static int control(yoi_str s, size_t i) {
  unsigned char c = (unsigned char)s.ptr[i];
  return c < 0x20 || c == 0x7F ||
         (c == 0xC2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xA0);
}

static int prompt_text(yoi_str s) {
  if (s.len < 1 || s.len > YOI_BUNDLE_PROMPT_BYTES_MAX) return 0;
  for (size_t i = 0; i < s.len; i++)
    if (control(s, i) && s.ptr[i] != '\n' && s.ptr[i] != '\t' && s.ptr[i] != '\r') return 0;
  return 1;
}

static int reason(yoi_str s) {
  for (size_t i = 0; i < s.len; i++)
    if (control(s, i)) return 0;
  return s.len >= 1 && s.len <= YOI_POLICY_REASON_MAX;
}

/* Of names of tools and of ids of plugins. */
static int name_pattern(yoi_str s) {
  return of(s, YOI_PLUGIN_ID_MAX, "._-*?");
}

/* "KIND:NAME" with * and ? anywhere, ":ro" and ":rw" behind; or "*". */
static int grant_pattern(yoi_str s) {
  return of(s, YOI_GRANT_MAX, "._-*?:") && yoi_sdk__bundle_location(s) == NULL;
}

/* A place of one machine. Folders of a mount and public addresses, which are what
 * arguments of tools are about, are none in a rule. */
static int of_one_machine(yoi_str s) {
  static const char *const usual[] = {"path.socket",  "path.session", "path.cache",
                                      "endpoint.url", "endpoint.port"};
  const char *where = yoi_sdk__bundle_location(s);
  return where != NULL && (strchr("/~$%\\", s.ptr[0]) != NULL ||
                           !is_any(yoi_sdk_str(where), usual, sizeof usual / sizeof *usual));
}

/* Relative to a mount: a path below it, never around it. */
static int path_glob(yoi_str s) {
  if (s.len < 1 || s.len > YOI_GLOB_BYTES_MAX || of_one_machine(s)) return 0;
  for (size_t i = 0, begin = 0; i <= s.len; i++) {
    if (i < s.len && s.ptr[i] != '/') {
      unsigned char c = (unsigned char)s.ptr[i];
      if (c < 0x20 || c == 0x7F || c == '\\' || c == ':') return 0;
      continue;
    }
    if (i - begin == 2 && memcmp(s.ptr + begin, "..", 2) == 0) return 0;
    begin = i + 1;
  }
  return 1;
}

/* A host name, "*.NAME" or with other stars; no port, no brackets. */
static int host(yoi_str s) {
  if (s.len < 1 || s.len > 253 || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.') return 0;
  return of(s, 253, ".-*") && yoi_sdk__bundle_location(s) == NULL;
}

/* "://", and a user before the host, whatever is behind the user. */
static int has_user(yoi_str s) {
  int within = 0;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    if (within && c == '@') return 1;
    if (c == '/' || c == ' ') within = c == '/' && i >= 2 && memcmp(s.ptr + i - 2, ":/", 2) == 0;
  }
  return 0;
}

/* A pattern for an argument of a tool: any line that is no place of one machine. */
static int argument(yoi_str s) {
  for (size_t i = 0; i < s.len; i++)
    if (control(s, i)) return 0;
  return s.len <= YOI_BUNDLE_PATTERN_MAX && !of_one_machine(s) && !has_user(s);
}

/* A runtime does not know by which id it is called. */
static int per(yoi_str s) {
  static const char *const words[] = {"principal", "worker", "tool"};
  return yoi_sdk_str_is(s, "runtime") ? BUNDLE_MORE : is_any(s, words, 3);
}

/* ---- the table ------------------------------------------------------------------------- */

static int range(yoi_str s) {
  return yoi_sdk__bundle_range_valid(s);
}

#define GRAMMAR(name, rule, fits, expected) \
  const struct bundle_grammar yoi_sdk__bundle_##name = {rule, fits, expected}

GRAMMAR(schema, "schema", schema, "'yoi.bundle/1'");
GRAMMAR(id, "id", yoi_sdk_id_valid, "1 to 64 of a-z 0-9 . _ -, a letter or digit first");
GRAMMAR(revision, "revision", revision, "1 to 64 of A-Z a-z 0-9 . _ + -");
GRAMMAR(time, "created-at", date_time,
        "a time of RFC 3339 on a day of the calendar, '2026-06-26T00:00:00Z'");
GRAMMAR(source, "source", source, "1 to 64 of A-Z a-z 0-9 . _ + @ # -");
GRAMMAR(detail, "detail", detail, "1 to 256 of A-Z a-z 0-9 . _ + @ # -");
GRAMMAR(language, "language", language,
        "a language tag of BCP 47, 'en' or 'pt-BR', at most 35 bytes");
GRAMMAR(label, "label", label,
        "one line of at most 128 bytes, letters, digits, spaces within and . _ - + # & ' ( ) , !");
GRAMMAR(name, "name", yoi_sdk_name_valid, "1 to 64 of A-Z a-z 0-9 . _ -");
GRAMMAR(tool_name, "tool-name", tool_name, "1 to 64 of A-Z a-z 0-9 _ -, not 'artefact_read'");
GRAMMAR(plugin_id, "plugin-id", yoi_sdk_plugin_id_valid,
        "the id of a plugin, two or more labels of a-z 0-9 - with dots between");
GRAMMAR(media_type, "media-type", media_type, "'text/markdown' or 'text/plain'");
GRAMMAR(model_ref, "model-ref", model_ref, "'model:NAME'");
GRAMMAR(prompt_ref, "prompt-ref", prompt_ref, "'prompt:NAME'");
GRAMMAR(policy_word, "policy", policy_word, "'allow', 'ask' or 'deny'");
GRAMMAR(grant, "grant", grant,
        "'model:NAME', 'mount:NAME:ro', 'mount:NAME:rw', 'net:NAME', 'shell:NAME' or 'git:NAME'");
GRAMMAR(range, "version-range", range, "comparisons with spaces between, '>=1.0 <2'");
GRAMMAR(digest, "digest", yoi_sdk_digest_valid, "'sha256:' and 64 hex digits, lower case");
GRAMMAR(decision, "decision", policy_word, "'allow', 'ask' or 'deny'");
GRAMMAR(reason, "reason", reason, "one line of 1 to 256 bytes");
GRAMMAR(text, "text", prompt_text, "1 to 262144 bytes of text without control characters");
GRAMMAR(pattern, "pattern", name_pattern, "a name, or a pattern of one with * and ?");
GRAMMAR(grant_pattern, "grant-pattern", grant_pattern, "a grant, or a pattern of one with * and ?");
GRAMMAR(path_glob, "path-glob", path_glob, "a pattern of paths below a mount, 'docs/**'");
GRAMMAR(host, "host-pattern", host, "a host, or '*.NAME'");
GRAMMAR(argument, "argument-pattern", argument,
        "one line of at most 1024 bytes, no address with a user in it");
GRAMMAR(per, "per", per, "'principal', 'worker' or 'tool'");
