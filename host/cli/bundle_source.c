/* bundle_source.c - a bundle as a folder of readable files, and its bytes.
 *
 *   bundle.json      id, revision, workspace_id, created_at, provenance,
 *                    language, workspace
 *   SECTION.json     models, tools, plugins, grants, policies, workflows,
 *                    profiles: the array that has this name in the bundle
 *   prompts/NAME.md  a prompt, text/markdown; NAME.txt text/plain
 *
 * Invariants:
 *  1. The bytes depend on the texts of these files and on nothing else: no
 *     clock, no order of a folder, no mode, no locale, no name of a place.
 *  2. Comments, white space and the order of known members are not part of
 *     what is said, so they do not change the bytes. The order of entries is,
 *     and is kept. Prompts have none; they stand in byte order of their names.
 *  3. Every file in the folder is part of the bundle. One that is not, a link,
 *     or what is no regular file is refused: somebody believes that it counts.
 *  4. A prompt is the text of its file without one line feed at its end.
 *
 * The form of the bytes is that of `jq .`: two spaces a level, a value a line,
 * a line feed at the end; bundles that are kept under version control show what
 * changed. docs/bundles.md promises it: a change of the form is one of every
 * digest.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"

#define PROMPTS "prompts"
#define ENTRIES_MAX 1024 /* of a folder: far more than a bundle has prompts */
#define POINTER_MAX 256  /* as of the reader of JSON; a longer one loses its end */
#define PATH_BYTES_MAX 4096

/* The files of JSON; the first holds what stands at the top of the bundle. */
static const char *const sections[CLI_BUNDLE_SECTIONS] = {
    "bundle", "models", "tools", "plugins", "grants", "policies", "workflows", "profiles"};
/* What stands at the top, in the order of the bytes; sections follow. */
static const char *const top[] = {"id",         "revision", "workspace_id", "created_at",
                                  "provenance", "language", "workspace",    NULL};
/* And in entries of any section. */
static const char *const inner[] = {"name",   "project",    "id",        "source",  "detail",
                                    "ref",    "parameters", "plugin",    "version", "digests",
                                    "policy", "optional",   "grants",    "rules",   "prompt",
                                    "model",  "tools",      "workflows", "limits",  NULL};

/* ---- findings --------------------------------------------------------------- */

static void report(struct cli_bundle_source *s, const char *file, uint32_t line, uint32_t column,
                   const char *rule, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

static void say(struct cli_bundle_source *s, const char *file, struct cli_bundle_finding *f) {
  struct yoi_sdk_buf path;
  size_t n = strlen(s->path);
  while (n > 1 && s->path[n - 1] == '/') n--;
  yoi_sdk_buf_init(&path, 2 * PATH_BYTES_MAX);
  yoi_sdk_buf_add(&path, s->path, n);
  if (file[0]) yoi_sdk_buf_addc(&path, '/');
  yoi_sdk_buf_adds(&path, yoi_sdk_str(file));
  if (path.failed) s->failed = 1;
  f->file = path.data ? path.data : file;
  s->findings++;
  s->report(s->ctx, f);
  yoi_sdk_buf_release(&path);
}

static void report(struct cli_bundle_source *s, const char *file, uint32_t line, uint32_t column,
                   const char *rule, const char *pointer, const char *fmt, ...) {
  char message[CLI_LINE_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  struct cli_bundle_finding f = {.line = line,
                                 .column = column,
                                 .code = YOI_CODE_BUNDLE_INVALID,
                                 .rule = rule,
                                 .pointer = pointer,
                                 .message = message};
  say(s, file, &f);
}

/* ---- reading ---------------------------------------------------------------- */

static char *prompt_file(const char *name) {
  struct yoi_sdk_buf b;
  size_t n;
  yoi_sdk_buf_init(&b, PATH_BYTES_MAX);
  yoi_sdk_buf_addf(&b, PROMPTS "/%s", name);
  return yoi_sdk_buf_take(&b, &n);
}

/* Opens what a folder has under a name; -1: it was reported. A pipe is opened
 * without waiting for its other end, and a link not at all. */
static int open_entry(struct cli_bundle_source *s, int folder, const char *name, const char *file,
                      int want_folder) {
  int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  struct stat sb;
  const char *what = want_folder ? "expected a folder" : "expected a regular file";
  if (fd < 0 && errno == ELOOP) {
    report(s, file, 1, 1, "not-a-file", "", "is a symbolic link, %s", what);
  } else if (fd < 0 && (errno == ENXIO || errno == ENODEV)) {
    report(s, file, 1, 1, "not-a-file", "", "is a socket or a device, %s", what);
  } else if (fd < 0 || fstat(fd, &sb) != 0) {
    report(s, file, 1, 1, "unreadable", "", "cannot be read: %s", strerror(errno));
  } else if (want_folder ? S_ISDIR(sb.st_mode) : S_ISREG(sb.st_mode)) {
    return fd;
  } else {
    report(s, file, 1, 1, "not-a-file", "", "is %s, %s",
           S_ISDIR(sb.st_mode)    ? "a folder"
           : S_ISFIFO(sb.st_mode) ? "a pipe"
           : S_ISREG(sb.st_mode)  ? "a file"
                                  : "a device",
           what);
  }
  if (fd >= 0) close(fd);
  return -1;
}

/* Where the first byte stands that is no text, 0 when all is. */
static size_t not_text(yoi_str s) {
  size_t good = 0;
  if (yoi_sdk_utf8_valid(s) && (!s.len || !memchr(s.ptr, 0, s.len))) return 0;
  while (good < s.len && s.ptr[good]) {
    unsigned char c = (unsigned char)s.ptr[good];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n > s.len - good || !yoi_sdk_utf8_valid((yoi_str){s.ptr + good, n})) break;
    good += n;
  }
  return good + 1;
}

/* Reads one file. 0: it was reported, or memory is short. */
static int read_text(struct cli_bundle_source *s, int folder, const char *name, const char *file,
                     struct cli_bundle_text *out) {
  int fd = open_entry(s, folder, name, file, 0);
  if (fd < 0) return 0;
  out->text = cli_file_read(fd, YOI_BUNDLE_BYTES_MAX, &out->len);
  int why = errno;
  close(fd);
  if (!out->text && why == EFBIG) {
    report(s, file, 1, 1, "too-large", "", "is larger than %d bytes, more than a whole bundle",
           YOI_BUNDLE_BYTES_MAX);
  } else if (!out->text && why == ENOMEM) {
    s->failed = 1;
  } else if (!out->text) {
    report(s, file, 1, 1, "unreadable", "", "cannot be read: %s", strerror(why));
  }
  if (!out->text) return 0;
  out->file = yoi_sdk_strndup(file, strlen(file));
  if (!out->file) s->failed = 1;
  size_t at = not_text((yoi_str){out->text, out->len}), begin = 0;
  if (!at) return out->file != NULL;
  uint32_t line = 1;
  for (size_t i = 0; i + 1 < at; i++) {
    if (out->text[i] != '\n') continue;
    line++;
    begin = i + 1;
  }
  report(s, file, line, (uint32_t)(at - begin), "utf-8", "",
         "a byte that is no UTF-8 text, or is 0");
  return 0;
}

static void release_text(struct cli_bundle_text *t) {
  yoi_sdk_free(t->file);
  yoi_sdk_free(t->text);
  *t = (struct cli_bundle_text){0};
}

/* The names that a folder has, in byte order; -1: it was reported. Owned. */
static int list(struct cli_bundle_source *s, int fd, const char *file, char **names) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), n = 0;
  DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
  struct dirent *e;
  if (!d) {
    report(s, file, 1, 1, "unreadable", "", "cannot be listed: %s", strerror(errno));
    if (copy >= 0) close(copy);
    return -1;
  }
  while (errno = 0, (e = readdir(d)) != NULL) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (n == ENTRIES_MAX) {
      report(s, file, 1, 1, "too-large", "", "has more than %d files", ENTRIES_MAX);
      break;
    }
    char *name = yoi_sdk_strndup(e->d_name, strlen(e->d_name));
    if (!name) s->failed = 1;
    if (!name) break;
    int at = n++;
    for (; at > 0 && strcmp(names[at - 1], name) > 0; at--) names[at] = names[at - 1];
    names[at] = name;
  }
  if (!e && errno) report(s, file, 1, 1, "unreadable", "", "cannot be listed: %s", strerror(errno));
  closedir(d);
  return n;
}

/* The length of a prompt's name within the name of its file, and its type. */
static size_t prompt_name(const char *name, const char **out_type) {
  static const struct {
    const char *ending, *type;
  } types[] = {{".md", "text/markdown"}, {".txt", "text/plain"}};
  size_t n = strlen(name);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    size_t k = strlen(types[i].ending);
    if (n <= k || strcmp(name + n - k, types[i].ending) != 0) continue;
    *out_type = types[i].type;
    return n - k;
  }
  return 0;
}

static yoi_str name_of(const struct cli_bundle_text *prompt, const char **out_type) {
  const char *name = prompt->file + sizeof PROMPTS;
  return (yoi_str){name, prompt_name(name, out_type)};
}

/* A place for one more, behind which those of greater names stand. */
static struct cli_bundle_text *add_prompt(struct cli_bundle_source *s, struct cli_bundle_text *p) {
  const char *type;
  yoi_str name = name_of(p, &type);
  if (s->n_prompts == s->cap) {
    size_t cap = s->cap ? 2 * s->cap : 16;
    struct cli_bundle_text *more = yoi_sdk_reallocarray(s->prompts, cap, sizeof *more);
    if (!more) return NULL;
    s->prompts = more;
    s->cap = cap;
  }
  size_t at = s->n_prompts++;
  for (; at > 0 && yoi_sdk_str_cmp(name_of(&s->prompts[at - 1], &type), name) > 0; at--)
    s->prompts[at] = s->prompts[at - 1];
  s->prompts[at] = *p;
  return &s->prompts[at];
}

static void read_prompt(struct cli_bundle_source *s, int folder, const char *name) {
  char *file = prompt_file(name);
  const char *type;
  struct cli_bundle_text p = {0};
  size_t n = prompt_name(name, &type);
  if (!file) {
    s->failed = 1;
  } else if (!n) {
    report(s, file, 1, 1, "unknown-file", "", "is no prompt: expected NAME.md or NAME.txt");
  } else if (!yoi_sdk_name_valid((yoi_str){name, n})) {
    report(s, file, 1, 1, "name", "",
           "gives a prompt a name that is none: expected 1 to %d of A-Z a-z 0-9 _ - and '.'",
           YOI_ID_MAX);
  } else if (read_text(s, folder, name, file, &p)) {
    s->prompt_bytes += p.len;
    struct cli_bundle_text *kept = add_prompt(s, &p);
    if (!kept) s->failed = 1;
    if (kept) p = (struct cli_bundle_text){0};
    if (kept && kept > s->prompts && yoi_sdk_str_eq(name_of(kept, &type), name_of(kept - 1, &type)))
      report(s, file, 1, 1, "duplicate", "", "is a second prompt of the name '%.*s'", (int)n, name);
  }
  release_text(&p);
  yoi_sdk_free(file);
}

static void read_prompts(struct cli_bundle_source *s, int folder, char **names) {
  int fd = open_entry(s, folder, PROMPTS, PROMPTS, 1), n = fd < 0 ? 0 : list(s, fd, PROMPTS, names);
  for (int i = 0; i < n; i++) {
    if (!s->failed && s->prompt_bytes <= YOI_BUNDLE_BYTES_MAX) read_prompt(s, fd, names[i]);
    yoi_sdk_free(names[i]);
  }
  if (s->prompt_bytes > YOI_BUNDLE_BYTES_MAX)
    report(s, PROMPTS, 1, 1, "too-large", "", "prompts of more than %d bytes, more than a bundle",
           YOI_BUNDLE_BYTES_MAX);
  if (fd >= 0) close(fd);
}

/* The index of the section that a file has, -1: none. */
static int section_of(const char *name) {
  for (int i = 0; i < CLI_BUNDLE_SECTIONS; i++) {
    size_t n = strlen(sections[i]);
    if (!strncmp(name, sections[i], n) && !strcmp(name + n, ".json")) return i;
  }
  return -1;
}

static void read_entry(struct cli_bundle_source *s, int folder, const char *name, char **names) {
  int i = section_of(name);
  if (!strcmp(name, PROMPTS)) {
    read_prompts(s, folder, names);
  } else if (i >= 0) {
    if (!read_text(s, folder, name, name, &s->section[i])) release_text(&s->section[i]);
  } else {
    report(s, name, 1, 1, "unknown-file", "",
           "is no part of a bundle: expected bundle, models, tools, plugins, grants, policies, "
           "workflows or profiles with .json, or " PROMPTS "/");
  }
}

void cli_bundle_source_read(struct cli_bundle_source *s, int fd) {
  char **names = yoi_sdk_calloc(2 * ENTRIES_MAX, sizeof *names);
  int n = names ? list(s, fd, "", names) : 0, whole = 0;
  if (!names) s->failed = 1;
  for (int i = 0; i < n; i++) {
    if (!strcmp(names[i], "bundle.json")) whole = 1;
    if (!s->failed) read_entry(s, fd, names[i], names + ENTRIES_MAX);
    yoi_sdk_free(names[i]);
  }
  if (n >= 0 && names && !whole)
    report(s, "bundle.json", 1, 1, "missing-file", "",
           "is not there: it says whose bundle this is");
  yoi_sdk_free(names);
  close(fd);
}

void cli_bundle_source_release(struct cli_bundle_source *s) {
  for (int i = 0; i < CLI_BUNDLE_SECTIONS; i++) release_text(&s->section[i]);
  for (size_t i = 0; i < s->n_prompts; i++) release_text(&s->prompts[i]);
  yoi_sdk_free(s->prompts);
  s->prompts = NULL;
  s->n_prompts = s->cap = 0;
}

/* ---- building ---------------------------------------------------------------- */

static int is_one_of(yoi_str name, const char *const *names) {
  for (; *names; names++)
    if (yoi_sdk_str_is(name, *names)) return 1;
  return 0;
}

/* The members of an object: known ones in their order, then the others. */
static void write_members(struct yoi_sdk_jsonw *w, const yoi_sdk_json *v, const char *const *order,
                          int entries) {
  const yoi_sdk_json *m = yoi_sdk_json_first(v);
  for (const char *const *name = order; *name; name++) {
    const yoi_sdk_json *known = yoi_sdk_json_get(v, *name);
    if (!known) continue;
    yoi_sdk_jsonw_key(w, *name);
    if (entries && yoi_sdk_json_type(known) == YOI_SDK_JSON_OBJECT) {
      yoi_sdk_jsonw_open(w, '{');
      write_members(w, known, inner, 0);
      yoi_sdk_jsonw_close(w, '}');
    } else {
      yoi_sdk_json_write(known, w);
    }
  }
  for (; m; m = yoi_sdk_json_next(m)) {
    if (is_one_of(yoi_sdk_json_key(m), order)) continue;
    yoi_sdk_jsonw_keyn(w, yoi_sdk_json_key(m));
    yoi_sdk_json_write(m, w);
  }
}

static void write_section(struct yoi_sdk_jsonw *w, const yoi_sdk_json *v) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY) {
    yoi_sdk_json_write(v, w); /* the reader says what is wrong with it */
    return;
  }
  yoi_sdk_jsonw_open(w, '[');
  for (v = yoi_sdk_json_first(v); v; v = yoi_sdk_json_next(v)) {
    if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT) {
      yoi_sdk_json_write(v, w);
      continue;
    }
    yoi_sdk_jsonw_open(w, '{');
    write_members(w, v, inner, 0);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

static void write_prompts(struct cli_bundle_source *s, struct yoi_sdk_jsonw *w) {
  if (!s->n_prompts) return;
  yoi_sdk_jsonw_kopen(w, PROMPTS, '[');
  for (size_t i = 0; i < s->n_prompts; i++) {
    const char *type = "";
    yoi_str name = name_of(&s->prompts[i], &type), text = {s->prompts[i].text, s->prompts[i].len};
    if (text.len && text.ptr[text.len - 1] == '\n') text.len--;
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "name", name);
    yoi_sdk_jsonw_kstr(w, "media_type", yoi_sdk_str(type));
    yoi_sdk_jsonw_kstr(w, "text", text);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

/* What is written here stands in no source; what has a file of its own is not
 * said twice. */
static void check_top(struct cli_bundle_source *s, const yoi_sdk_json *v) {
  const struct cli_bundle_text *t = &s->section[0];
  const yoi_sdk_json *m = yoi_sdk_json_first(v);
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT)
    report(s, t->file, 1, 1, "type", "", "expected an object, found %s",
           yoi_sdk_json_type_name(yoi_sdk_json_type(v)));
  for (; m; m = yoi_sdk_json_next(m)) {
    yoi_str key = yoi_sdk_json_key(m);
    char pointer[POINTER_MAX];
    uint32_t line = 1, column = 1;
    int schema = yoi_sdk_str_is(key, "schema"), section = 1;
    while (section < CLI_BUNDLE_SECTIONS && !yoi_sdk_str_is(key, sections[section])) section++;
    if (!schema && section == CLI_BUNDLE_SECTIONS && !yoi_sdk_str_is(key, PROMPTS)) continue;
    snprintf(pointer, sizeof pointer, "/%.*s", YOI_ARG(key));
    yoi_sdk_json_locate((yoi_str){t->text, t->len}, YOI_SDK_JSON_COMMENTS, yoi_sdk_str(pointer), 1,
                        &line, &column);
    report(s, t->file, line, column, "unknown-member", pointer, "'%.*s' %s", YOI_ARG(key),
           schema ? "is written when the bundle is built" : "has a place of its own beside this");
  }
}

static void parse(struct cli_bundle_source *s, yoi_sdk_json **trees) {
  for (int i = 0; i < CLI_BUNDLE_SECTIONS; i++) {
    const struct cli_bundle_text *t = &s->section[i];
    struct yoi_sdk_json_error e;
    yoi_str text = {t->text, t->len};
    if (!t->file) continue;
    yoi_status st = yoi_sdk_json_parse(text, YOI_SDK_JSON_COMMENTS, &trees[i], &e);
    if (st == YOI_OK) continue;
    if (st == YOI_RESOURCE_EXHAUSTED && strcmp(e.message, "out of memory") == 0) {
      s->failed = 1;
    } else {
      report(s, t->file, e.line ? e.line : 1, e.column ? e.column : 1, "json", e.pointer, "%s",
             e.message);
    }
  }
  if (trees[0]) check_top(s, trees[0]);
}

void cli_bundle_indent(struct yoi_sdk_buf *out, yoi_str in) {
  size_t depth = 0, i = 0;
  while (i < in.len) {
    char c = in.ptr[i];
    if (c == '"') {
      size_t begin = i++;
      while (i < in.len && in.ptr[i] != '"') i += in.ptr[i] == '\\' ? 2 : 1;
      i++;
      yoi_sdk_buf_add(out, in.ptr + begin, (i < in.len ? i : in.len) - begin);
      continue;
    }
    int opens = c == '{' || c == '[', closes = c == '}' || c == ']';
    if (opens && i + 1 < in.len && (in.ptr[i + 1] == '}' || in.ptr[i + 1] == ']')) {
      yoi_sdk_buf_add(out, in.ptr + i, 2);
      i += 2;
      continue;
    }
    if (closes) depth--;
    if (!closes) yoi_sdk_buf_addc(out, c);
    if (opens) depth++;
    if (opens || closes || c == ',') {
      yoi_sdk_buf_addc(out, '\n');
      for (size_t k = 0; k < depth; k++) yoi_sdk_buf_adds(out, YOI_LIT("  "));
    }
    if (c == ':') yoi_sdk_buf_addc(out, ' ');
    if (closes) yoi_sdk_buf_addc(out, c);
    i++;
  }
}

void cli_bundle_source_build(struct cli_bundle_source *s, struct yoi_sdk_buf *out) {
  yoi_sdk_json *trees[CLI_BUNDLE_SECTIONS] = {0};
  struct yoi_sdk_buf compact;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&compact, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &compact);
  if (!s->failed) parse(s, trees);
  if (!s->failed && !s->findings) {
    yoi_sdk_jsonw_open(&w, '{');
    yoi_sdk_jsonw_kstr(&w, "schema", YOI_LIT("yoi.bundle/1"));
    write_members(&w, trees[0], top, 1);
    write_prompts(s, &w);
    for (int i = 1; i < CLI_BUNDLE_SECTIONS; i++) {
      if (!trees[i]) continue;
      yoi_sdk_jsonw_key(&w, sections[i]);
      write_section(&w, trees[i]);
    }
    yoi_sdk_jsonw_close(&w, '}');
    cli_bundle_indent(out, yoi_sdk_buf_str(&compact));
    yoi_sdk_buf_addc(out, '\n');
    if (compact.failed == YOI_OUT_OF_RANGE || out->failed == YOI_OUT_OF_RANGE)
      report(s, "", 1, 1, "too-large", "", "gives a bundle of more than %d bytes",
             YOI_BUNDLE_BYTES_MAX);
    else if (compact.failed || out->failed)
      s->failed = 1;
  }
  for (int i = 0; i < CLI_BUNDLE_SECTIONS; i++) yoi_sdk_json_free(trees[i]);
  yoi_sdk_buf_release(&compact);
}

/* ---- where a finding stands --------------------------------------------------- */

/* The file that the pointer leads into; *pointer becomes the one within it,
 * which is empty for a text. NULL: there is no such file. */
static const struct cli_bundle_text *file_of(struct cli_bundle_source *s, yoi_str *pointer,
                                             const char **out_missing) {
  yoi_str p = *pointer, rest = p;
  size_t n = 1;
  while (n < p.len && p.ptr[n] != '/') n++;
  yoi_str name = p.len ? (yoi_str){p.ptr + 1, n - 1} : p;
  if (p.len) rest = (yoi_str){p.ptr + n, p.len - n};
  *out_missing = PROMPTS;
  if (yoi_sdk_str_is(name, PROMPTS)) {
    uint64_t i = s->n_prompts;
    for (n = 1; n < rest.len && rest.ptr[n] != '/';) n++;
    *pointer = (yoi_str){"", 0};
    if (rest.len && yoi_sdk_parse_u64((yoi_str){rest.ptr + 1, n - 1}, s->n_prompts, &i) &&
        i < s->n_prompts)
      return &s->prompts[i];
    return NULL;
  }
  for (int i = 1; i < CLI_BUNDLE_SECTIONS; i++) {
    if (!yoi_sdk_str_is(name, sections[i])) continue;
    *pointer = rest;
    *out_missing = sections[i];
    return s->section[i].file ? &s->section[i] : NULL;
  }
  return &s->section[0];
}

/* Was it a member's name that the reader found wrong? */
static int is_key(yoi_str bytes, yoi_str pointer, const struct yoi_sdk_bundle_finding *f) {
  uint32_t line = 0, column = 0;
  return yoi_sdk_json_locate(bytes, 0, pointer, 1, &line, &column) && line == f->line &&
         column == f->column;
}

void cli_bundle_source_place(struct cli_bundle_source *s, yoi_str bytes,
                             const struct yoi_sdk_bundle_finding *f) {
  yoi_str pointer = yoi_sdk_str(f->pointer);
  const char *missing;
  int key = is_key(bytes, pointer, f);
  const struct cli_bundle_text *t = file_of(s, &pointer, &missing);
  struct cli_bundle_finding g = {.line = 1,
                                 .column = 1,
                                 .code = (int32_t)f->code,
                                 .rule = f->rule,
                                 .pointer = f->pointer,
                                 .message = f->message};
  char name[POINTER_MAX];
  snprintf(name, sizeof name, "%s%s", missing, strcmp(missing, PROMPTS) ? ".json" : "");
  /* What is missing stands where it is missing. */
  while (t && pointer.len &&
         !yoi_sdk_json_locate((yoi_str){t->text, t->len}, YOI_SDK_JSON_COMMENTS, pointer, key,
                              &g.line, &g.column)) {
    while (pointer.len && pointer.ptr[--pointer.len] != '/') continue;
    key = 0;
  }
  say(s, t ? t->file : name, &g);
}
