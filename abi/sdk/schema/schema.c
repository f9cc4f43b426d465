/* schema.c - the enforced part of JSON Schema (2020-12) for configs.
 *
 * A schema is first compiled, which here means: every keyword in it is known
 * and well-formed, so that check never meets one that it would pass over in
 * silence. Checking walks value and schema together. Findings come in the
 * order of the text: what an object lacks at its beginning, then its members.
 * Writing is the same walk once more.
 *
 *  1. Each level of a walk goes one level down in the schema, whose depth
 *     compile bounds; the recursion is bounded by that.
 *  2. A value of the wrong type gets one finding and is not looked into.
 *  3. Messages name keys and what was expected, never a value: it may be a
 *     secret in the wrong place.
 *
 * To add a keyword: a row in `keywords` with its well-formedness, its effect
 * in check_value, a line in sdk/schema.h, and a test each.
 */
#include <sdk/schema.h>

#include <sdk/id.h>
#include <sdk/mem.h>
#include <string.h>

/* A walk: where it is, whom it tells, and what came of it. */
struct walk {
  struct yoi_sdk_buf pointer;
  struct yoi_sdk_buf message;
  yoi_sdk_schema_report_fn report;
  void *ctx;
  yoi_status st;
};

static void walk_init(struct walk *w, const char *base, yoi_sdk_schema_report_fn report,
                      void *ctx) {
  yoi_sdk_buf_init(&w->pointer, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&w->message, YOI_ERROR_MESSAGE_MAX - 1);
  yoi_sdk_buf_adds(&w->pointer, yoi_sdk_str(base));
  w->report = report;
  w->ctx = ctx;
  w->st = YOI_OK;
}

static yoi_status walk_end(struct walk *w) {
  yoi_status st = w->pointer.failed ? YOI_RESOURCE_EXHAUSTED : w->st;
  yoi_sdk_buf_release(&w->pointer);
  yoi_sdk_buf_release(&w->message);
  return st;
}

/* One token deeper; returns what leave needs. */
static size_t enter(struct walk *w, yoi_str token) {
  size_t before = w->pointer.len;
  yoi_sdk_buf_addc(&w->pointer, '/');
  for (size_t i = 0; i < token.len; i++) {
    char c = token.ptr[i];
    if (c == '~' || c == '/')
      yoi_sdk_buf_adds(&w->pointer, c == '~' ? YOI_LIT("~0") : YOI_LIT("~1"));
    else
      yoi_sdk_buf_addc(&w->pointer, c);
  }
  return before;
}

static size_t enter_index(struct walk *w, size_t index) {
  size_t before = w->pointer.len;
  yoi_sdk_buf_addf(&w->pointer, "/%zu", index);
  return before;
}

static void leave(struct walk *w, size_t before) {
  if (w->pointer.failed) return;
  w->pointer.len = before;
  if (w->pointer.data) w->pointer.data[before] = '\0';
}

/* The message is written into w->message first; what does not fit is cut at
 * an append. */
static void finding(struct walk *w, int is_key) {
  w->st = YOI_INVALID_ARGUMENT;
  if (w->report && !w->pointer.failed) {
    const char *pointer = w->pointer.data ? w->pointer.data : "";
    w->report(w->ctx, pointer, is_key, w->message.data ? w->message.data : "invalid");
  }
  yoi_sdk_buf_clear(&w->message);
}

static void say(struct walk *w, const char *message) {
  yoi_sdk_buf_adds(&w->message, yoi_sdk_str(message));
  finding(w, 0);
}

/* A name as messages show it: a key may have megabytes. */
static yoi_str shown(yoi_str name) {
  return (yoi_str){name.ptr, yoi_sdk_utf8_cut(name, YOI_PLUGIN_ID_MAX)};
}

/* ---- the nearest name ------------------------------------------------- */

/* Levenshtein's distance, by rows; longer words than names may be are far. */
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

struct nearest {
  yoi_str word, name;
  size_t distance;
};

static struct nearest nearest_to(yoi_str word) {
  return (struct nearest){.word = word, .distance = word.len < 8 ? 3 : 4};
}

static void nearest_try(struct nearest *n, yoi_str name) {
  size_t d = distance(n->word, name);
  if (d >= n->distance || d >= name.len || d >= n->word.len) return;
  n->distance = d;
  n->name = name;
}

yoi_str yoi_sdk_nearest(yoi_str word, const yoi_str *names, size_t n) {
  struct nearest best = nearest_to(word);
  for (size_t i = 0; i < n; i++) nearest_try(&best, names[i]);
  return best.name;
}

/* ---- compile ---------------------------------------------------------- */

static const char *const type_names[] = {"object",  "array",   "string", "number",
                                         "integer", "boolean", "null"};

static void compile_schema(struct walk *w, const yoi_sdk_json *schema, size_t depth);

static void compile_type(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  yoi_str name;
  (void)depth;
  if (yoi_sdk_json_str(v, &name)) {
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++)
      if (yoi_sdk_str_is(name, type_names[i])) return;
  }
  say(w, "expected the name of one type");
}

static void compile_properties(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT) {
    say(w, "expected an object of schemas");
    return;
  }
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c)) {
    size_t before = enter(w, yoi_sdk_json_key(c));
    compile_schema(w, c, depth + 1);
    leave(w, before);
  }
}

static void compile_required(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  (void)depth;
  int ok = yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c))
    ok = ok && yoi_sdk_json_type(c) == YOI_SDK_JSON_STRING;
  if (!ok) say(w, "expected an array of strings");
}

static void compile_additional(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_BOOL) compile_schema(w, v, depth + 1);
}

static void compile_items(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  compile_schema(w, v, depth + 1);
}

static void compile_enum(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  (void)depth;
  int ok = yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY && yoi_sdk_json_first(v);
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c)) {
    uint32_t t = yoi_sdk_json_type(c);
    ok = ok && (t == YOI_SDK_JSON_STRING || t == YOI_SDK_JSON_NUMBER || t == YOI_SDK_JSON_BOOL);
  }
  if (!ok) say(w, "expected a non-empty array of strings, numbers or booleans");
}

static void compile_number(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  (void)depth;
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_NUMBER) say(w, "expected a number");
}

static void compile_length(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  int64_t n;
  (void)depth;
  if (!yoi_sdk_json_int(v, &n) || n < 0) say(w, "expected a length in bytes");
}

/* What a string may have to look like; JSON Schema leaves names to whoever
 * enforces them, and editors pass over those that they do not know. */
static int is_secret(yoi_str s) {
  yoi_str prefix = YOI_LIT("secret:");
  return yoi_sdk_str_starts(s, prefix) &&
         yoi_sdk_name_valid((yoi_str){s.ptr + prefix.len, s.len - prefix.len});
}

static int is_http_url(yoi_str s) {
  size_t n = yoi_sdk_str_starts(s, YOI_LIT("http://"))    ? 7
             : yoi_sdk_str_starts(s, YOI_LIT("https://")) ? 8
                                                          : s.len;
  if (n == s.len || memchr("/:?#", s.ptr[n], 4) != NULL) return 0;
  for (size_t i = n; i < s.len; i++)
    if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f) return 0;
  return 1;
}

static int is_path(yoi_str s) {
  return s.len > 0;
}

static const struct format {
  const char *name;
  int (*fits)(yoi_str s);
  const char *expected;
} formats[] = {
    {"secret", is_secret, "expected 'secret:NAME', the name of a secret and never its value"},
    {"http-url", is_http_url, "expected an address that begins with http:// or https://"},
    {"path", is_path, "expected a path"},
};

static const struct format *find_format(const yoi_sdk_json *v) {
  yoi_str name;
  if (!yoi_sdk_json_str(v, &name)) return NULL;
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
    if (yoi_sdk_str_is(name, formats[i].name)) return &formats[i];
  return NULL;
}

static void compile_format(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  (void)depth;
  if (!find_format(v)) say(w, "expected the format 'secret', 'http-url' or 'path'");
}

static void compile_text(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  (void)depth;
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_STRING) say(w, "expected a string");
}

static void compile_anything(struct walk *w, const yoi_sdk_json *v, size_t depth) {
  (void)w;
  (void)v;
  (void)depth;
}

static const struct keyword {
  const char *name;
  void (*compile)(struct walk *w, const yoi_sdk_json *v, size_t depth);
} keywords[] = {
    {"type", compile_type},         {"properties", compile_properties},
    {"required", compile_required}, {"additionalProperties", compile_additional},
    {"items", compile_items},       {"enum", compile_enum},
    {"minimum", compile_number},    {"maximum", compile_number},
    {"minLength", compile_length},  {"maxLength", compile_length},
    {"format", compile_format},     {"$schema", compile_text},
    {"title", compile_text},        {"description", compile_text},
    {"default", compile_anything},
};

static const struct keyword *find_keyword(yoi_str name) {
  for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
    if (yoi_sdk_str_is(name, keywords[i].name)) return &keywords[i];
  return NULL;
}

static void compile_schema(struct walk *w, const yoi_sdk_json *schema, size_t depth) {
  if (yoi_sdk_json_type(schema) != YOI_SDK_JSON_OBJECT) {
    say(w, "expected a schema, which is an object");
    return;
  }
  if (depth >= YOI_SCHEMA_DEPTH_MAX) {
    say(w, "the schema is nested too deeply");
    return;
  }
  for (const yoi_sdk_json *c = yoi_sdk_json_first(schema); c; c = yoi_sdk_json_next(c)) {
    yoi_str name = yoi_sdk_json_key(c);
    const struct keyword *k = find_keyword(name);
    size_t before = enter(w, name);
    if (k) {
      k->compile(w, c, depth);
    } else {
      yoi_sdk_buf_addf(&w->message, "keyword '%.*s' is not enforced here", YOI_ARG(shown(name)));
      finding(w, 1);
    }
    leave(w, before);
  }
}

yoi_status yoi_sdk_schema_compile(const yoi_sdk_json *schema, yoi_sdk_schema_report_fn report,
                                  void *ctx) {
  struct walk w;
  walk_init(&w, "", report, ctx);
  compile_schema(&w, schema, 0);
  return walk_end(&w);
}

/* ---- check ------------------------------------------------------------ */

static const char *article(yoi_str type) {
  if (yoi_sdk_str_is(type, "null")) return "";
  return strchr("aio", type.ptr[0]) ? "an " : "a ";
}

static int has_type(const yoi_sdk_json *v, yoi_str type) {
  int64_t n;
  switch (yoi_sdk_json_type(v)) {
    case YOI_SDK_JSON_NULL:
      return yoi_sdk_str_is(type, "null");
    case YOI_SDK_JSON_BOOL:
      return yoi_sdk_str_is(type, "boolean");
    case YOI_SDK_JSON_NUMBER:
      return yoi_sdk_str_is(type, "number") ||
             (yoi_sdk_str_is(type, "integer") && yoi_sdk_json_int(v, &n));
    case YOI_SDK_JSON_STRING:
      return yoi_sdk_str_is(type, "string");
    case YOI_SDK_JSON_ARRAY:
      return yoi_sdk_str_is(type, "array");
    default:
      return yoi_sdk_str_is(type, "object");
  }
}

static int same(const yoi_sdk_json *a, const yoi_sdk_json *b) {
  double x, y;
  int p, q;
  yoi_str s, t;
  if (yoi_sdk_json_str(a, &s)) return yoi_sdk_json_str(b, &t) && yoi_sdk_str_eq(s, t);
  if (yoi_sdk_json_bool(a, &p)) return yoi_sdk_json_bool(b, &q) && p == q;
  return yoi_sdk_json_number(a, &x) && yoi_sdk_json_number(b, &y) && x == y;
}

static void check_enum(struct walk *w, const yoi_sdk_json *list, const yoi_sdk_json *v) {
  if (!list) return;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(list); c; c = yoi_sdk_json_next(c))
    if (same(c, v)) return;
  struct yoi_sdk_jsonw out;
  yoi_sdk_buf_adds(&w->message, YOI_LIT("expected one of "));
  yoi_sdk_jsonw_init(&out, &w->message);
  yoi_sdk_json_write(list, &out);
  finding(w, 0);
}

static void check_number(struct walk *w, const yoi_sdk_json *schema, double n) {
  double bound;
  struct yoi_sdk_jsonw out;
  yoi_sdk_jsonw_init(&out, &w->message);
  if (yoi_sdk_json_number(yoi_sdk_json_get(schema, "minimum"), &bound) && n < bound) {
    yoi_sdk_buf_adds(&w->message, YOI_LIT("must be at least "));
    yoi_sdk_jsonw_double(&out, bound);
    finding(w, 0);
  }
  if (yoi_sdk_json_number(yoi_sdk_json_get(schema, "maximum"), &bound) && n > bound) {
    out.comma = 0;
    yoi_sdk_buf_adds(&w->message, YOI_LIT("must be at most "));
    yoi_sdk_jsonw_double(&out, bound);
    finding(w, 0);
  }
}

static void check_string(struct walk *w, const yoi_sdk_json *schema, yoi_str s) {
  const struct format *format = find_format(yoi_sdk_json_get(schema, "format"));
  int64_t bound;
  if (format && !format->fits(s)) {
    say(w, format->expected);
    return;
  }
  if (yoi_sdk_json_int(yoi_sdk_json_get(schema, "minLength"), &bound) && s.len < (size_t)bound) {
    if (bound == 1)
      yoi_sdk_buf_adds(&w->message, YOI_LIT("must not be empty"));
    else
      yoi_sdk_buf_addf(&w->message, "must have at least %lld bytes", (long long)bound);
    finding(w, 0);
  }
  if (yoi_sdk_json_int(yoi_sdk_json_get(schema, "maxLength"), &bound) && s.len > (size_t)bound) {
    yoi_sdk_buf_addf(&w->message, "must have at most %lld bytes", (long long)bound);
    finding(w, 0);
  }
}

static void check_value(struct walk *w, const yoi_sdk_json *schema, const yoi_sdk_json *v);

/* What a member of that name has to fit; NULL: anything, or nothing does. */
static const yoi_sdk_json *schema_of(const yoi_sdk_json *schema, yoi_str name) {
  const yoi_sdk_json *known = yoi_sdk_json_getn(yoi_sdk_json_get(schema, "properties"), name);
  const yoi_sdk_json *additional = yoi_sdk_json_get(schema, "additionalProperties");
  if (known) return known;
  return yoi_sdk_json_type(additional) == YOI_SDK_JSON_OBJECT ? additional : NULL;
}

static void unknown_key(struct walk *w, const yoi_sdk_json *properties, yoi_str name) {
  struct nearest best = nearest_to(name);
  for (const yoi_sdk_json *c = yoi_sdk_json_first(properties); c; c = yoi_sdk_json_next(c))
    nearest_try(&best, yoi_sdk_json_key(c));
  yoi_sdk_buf_addf(&w->message, "unknown key '%.*s'", YOI_ARG(shown(name)));
  if (best.name.len)
    yoi_sdk_buf_addf(&w->message, "; the nearest known one is '%.*s'", YOI_ARG(best.name));
  finding(w, 1);
}

static void check_object(struct walk *w, const yoi_sdk_json *schema, const yoi_sdk_json *v) {
  const yoi_sdk_json *properties = yoi_sdk_json_get(schema, "properties");
  const yoi_sdk_json *required = yoi_sdk_json_get(schema, "required");
  int open = 1;
  (void)yoi_sdk_json_bool(yoi_sdk_json_get(schema, "additionalProperties"), &open);
  for (const yoi_sdk_json *c = yoi_sdk_json_first(required); c; c = yoi_sdk_json_next(c)) {
    yoi_str name;
    if (!yoi_sdk_json_str(c, &name) || yoi_sdk_json_getn(v, name)) continue;
    yoi_sdk_buf_addf(&w->message, "key '%.*s' is missing", YOI_ARG(shown(name)));
    finding(w, 0);
  }
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c)) {
    yoi_str name = yoi_sdk_json_key(c);
    const yoi_sdk_json *sub = schema_of(schema, name);
    size_t before = enter(w, name);
    if (sub)
      check_value(w, sub, c);
    else if (!open)
      unknown_key(w, properties, name);
    leave(w, before);
  }
}

static void check_array(struct walk *w, const yoi_sdk_json *schema, const yoi_sdk_json *v) {
  const yoi_sdk_json *items = yoi_sdk_json_get(schema, "items");
  size_t index = 0;
  if (!items) return;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c)) {
    size_t before = enter_index(w, index++);
    check_value(w, items, c);
    leave(w, before);
  }
}

static void check_value(struct walk *w, const yoi_sdk_json *schema, const yoi_sdk_json *v) {
  yoi_str type, s;
  double n;
  if (yoi_sdk_json_str(yoi_sdk_json_get(schema, "type"), &type) && !has_type(v, type)) {
    uint32_t found = yoi_sdk_json_type(v);
    yoi_sdk_buf_addf(&w->message, "expected %s%.*s", article(type), YOI_ARG(type));
    if (found != YOI_SDK_JSON_NUMBER || !yoi_sdk_str_is(type, "integer"))
      yoi_sdk_buf_addf(&w->message, ", found %s", yoi_sdk_json_type_name(found));
    finding(w, 0);
    return;
  }
  check_enum(w, yoi_sdk_json_get(schema, "enum"), v);
  if (yoi_sdk_json_number(v, &n)) check_number(w, schema, n);
  if (yoi_sdk_json_str(v, &s)) check_string(w, schema, s);
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT) check_object(w, schema, v);
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY) check_array(w, schema, v);
}

yoi_status yoi_sdk_schema_check(const yoi_sdk_json *schema, const yoi_sdk_json *value,
                                const char *base, yoi_sdk_schema_report_fn report, void *ctx) {
  struct walk w;
  walk_init(&w, base, report, ctx);
  check_value(&w, schema, value);
  return walk_end(&w);
}

/* ---- write ------------------------------------------------------------ */

struct writing {
  struct walk w;
  yoi_str dir;
  struct yoi_sdk_jsonw *out;
};

static void write_path(struct writing *x, yoi_str s) {
  struct yoi_sdk_buf path;
  int relative = s.len > 0 && s.ptr[0] != '/';
  int slash = relative && (x->dir.len == 0 || x->dir.ptr[x->dir.len - 1] != '/');
  if (relative && !yoi_sdk_utf8_valid(x->dir)) {
    say(&x->w, "expected an absolute path: the folder that it is relative to is not UTF-8");
    return;
  }
  if (s.len + (relative ? x->dir.len + (size_t)slash : 0) >= YOI_PATH_BYTES_MAX) {
    yoi_sdk_buf_addf(&x->w.message, "must have at most %d bytes%s", YOI_PATH_BYTES_MAX - 1,
                     relative ? " behind the folder that it is relative to" : "");
    finding(&x->w, 0);
    return;
  }
  yoi_sdk_buf_init(&path, YOI_PATH_BYTES_MAX);
  if (relative) yoi_sdk_buf_adds(&path, x->dir);
  if (slash) yoi_sdk_buf_addc(&path, '/');
  yoi_sdk_buf_adds(&path, s);
  if (path.failed) x->w.st = YOI_RESOURCE_EXHAUSTED;
  yoi_sdk_jsonw_str(x->out, yoi_sdk_buf_str(&path));
  yoi_sdk_buf_release(&path);
}

static void write_value(struct writing *x, const yoi_sdk_json *schema, const yoi_sdk_json *v) {
  uint32_t type = schema ? yoi_sdk_json_type(v) : YOI_SDK_JSON_NONE;
  yoi_str s, format;
  size_t index = 0;
  if (type != YOI_SDK_JSON_OBJECT && type != YOI_SDK_JSON_ARRAY) {
    if (yoi_sdk_json_str(yoi_sdk_json_get(schema, "format"), &format) &&
        yoi_sdk_str_is(format, "path") && yoi_sdk_json_str(v, &s))
      write_path(x, s);
    else
      yoi_sdk_json_write(v, x->out);
    return;
  }
  yoi_sdk_jsonw_open(x->out, type == YOI_SDK_JSON_OBJECT ? '{' : '[');
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c)) {
    int member = type == YOI_SDK_JSON_OBJECT;
    yoi_str name = member ? yoi_sdk_json_key(c) : (yoi_str){NULL, 0};
    size_t before = member ? enter(&x->w, name) : enter_index(&x->w, index++);
    if (member) yoi_sdk_jsonw_keyn(x->out, name);
    write_value(x, member ? schema_of(schema, name) : yoi_sdk_json_get(schema, "items"), c);
    leave(&x->w, before);
  }
  yoi_sdk_jsonw_close(x->out, type == YOI_SDK_JSON_OBJECT ? '}' : ']');
}

yoi_status yoi_sdk_schema_write(const yoi_sdk_json *schema, const yoi_sdk_json *value,
                                const char *base, yoi_str dir, yoi_sdk_schema_report_fn report,
                                void *ctx, struct yoi_sdk_jsonw *w) {
  struct writing x = {.dir = dir, .out = w};
  walk_init(&x.w, base, report, ctx);
  write_value(&x, schema, value);
  return walk_end(&x.w);
}
