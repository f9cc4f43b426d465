/* schema_compile.c - a tree of JSON becomes nodes that can be checked against.
 *
 * Every keyword is known and well-formed, or the schema is refused: what is
 * not enforced must not look as if it were. So are keywords that have no
 * effect for want of another one ("then" without "if").
 *
 *  1. Nodes borrow from the tree: texts, enum, const, required. It outlives
 *     them, and both are only read afterwards.
 *  2. The recursion is bounded by YOI_SCHEMA_DEPTH_MAX, the memory by
 *     YOI_SCHEMA_NODES_MAX and YOI_SCHEMA_STATES_MAX.
 *  3. A node is made before what is in it, and stays where it is; references
 *     are resolved when all of them are there (schema_refs.c).
 *
 * To add a keyword: a row in `keywords`, a field of the node, its effect in
 * schema_check.c, a line in sdk/schema.h, and a test each.
 */
#include <math.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>

#include "schema_node.h"

struct compile {
  struct schema_report r;
  struct yoi_sdk_schema *schema;
  struct schema_node **nodes;
  size_t n_nodes, cap_nodes;
  size_t states; /* left for patterns */
  struct schema_ref *refs, **last_ref;
  int too_many; /* said already */
  int plain;    /* nothing but what schema_write.c follows leads here */
  int has_path;
};

static void say(struct compile *c, const char *message) {
  yoi_sdk__schema_say(&c->r, message);
}

static int short_of_memory(const struct compile *c) {
  return c->r.st == YOI_RESOURCE_EXHAUSTED;
}

/* n zeroed elements that live as long as the schema; NULL when memory is short. */
static void *keep(struct compile *c, size_t n, size_t size) {
  size_t bytes;
  struct schema_block *b = NULL;
  if (!__builtin_mul_overflow(n, size, &bytes) && !__builtin_add_overflow(bytes, sizeof *b, &bytes))
    b = yoi_sdk_calloc(1, bytes);
  if (!b) {
    c->r.st = YOI_RESOURCE_EXHAUSTED;
    return NULL;
  }
  b->next = c->schema->blocks;
  c->schema->blocks = b;
  return b + 1;
}

/* ---- keywords ------------------------------------------------------------------- */

static struct schema_node *compile_schema(struct compile *c, const yoi_sdk_json *tree,
                                          size_t depth);

/* What a keyword is read with: the node, its value, how deep, and the field. */
struct site {
  struct schema_node *node;
  const yoi_sdk_json *v;
  size_t depth, offset;
};

static void *field(const struct site *s) {
  return (char *)s->node + s->offset;
}

static void read_schema(struct compile *c, const struct site *s) {
  *(struct schema_node **)field(s) = compile_schema(c, s->v, s->depth + 1);
}

static void read_schemas(struct compile *c, const struct site *s) {
  struct schema_list *list = field(s);
  size_t n = yoi_sdk_json_count(s->v);
  if (yoi_sdk_json_type(s->v) != YOI_SDK_JSON_ARRAY || n == 0) {
    say(c, "expected a non-empty array of schemas");
    return;
  }
  list->nodes = keep(c, n, sizeof *list->nodes);
  const yoi_sdk_json *v = yoi_sdk_json_first(s->v);
  for (; v && list->nodes && !c->too_many; v = yoi_sdk_json_next(v)) {
    struct schema_place place;
    schema_enter(&c->r, &place, (yoi_str){NULL, 0}, list->n);
    list->nodes[list->n] = compile_schema(c, v, s->depth + 1);
    schema_leave(&c->r);
    if (!list->nodes[list->n]) return;
    list->n++;
  }
}

static const struct yoi_sdk_pattern *compile_pattern(struct compile *c, yoi_str text) {
  const char *why;
  struct schema_block *b = keep(c, 1, 0);
  if (!b) return NULL;
  b--;
  b->pattern = yoi_sdk_pattern_new(text, &c->states, &why);
  if (!b->pattern && !why) c->r.st = YOI_RESOURCE_EXHAUSTED;
  if (why) say(c, why);
  return b->pattern;
}

/* An object of schemas, by keys or by patterns of keys. */
static void read_members(struct compile *c, const struct site *s, int patterns) {
  struct schema_entries *out = field(s);
  if (yoi_sdk_json_type(s->v) != YOI_SDK_JSON_OBJECT) {
    say(c, "expected an object of schemas");
    return;
  }
  out->at = keep(c, yoi_sdk_json_count(s->v), sizeof *out->at);
  const yoi_sdk_json *v = yoi_sdk_json_first(s->v);
  for (; v && out->at && !c->too_many; v = yoi_sdk_json_next(v)) {
    struct schema_place place;
    struct schema_entry e = {.key = yoi_sdk_json_key(v)};
    schema_enter(&c->r, &place, e.key, 0);
    if (patterns) e.pattern = compile_pattern(c, e.key);
    e.node = compile_schema(c, v, s->depth + 1);
    schema_leave(&c->r);
    if (!e.node || (patterns && !e.pattern)) continue;
    out->at[out->n++] = e;
  }
}

static int by_key(const void *a, const void *b) {
  const struct schema_entry *x = a, *y = b;
  return yoi_sdk_str_cmp(x->key, y->key);
}

static void read_properties(struct compile *c, const struct site *s) {
  read_members(c, s, 0);
  struct schema_entries *out = field(s);
  if (out->n > 1) qsort(out->at, out->n, sizeof *out->at, by_key);
}

static void read_dependents(struct compile *c, const struct site *s) {
  read_members(c, s, 0);
}

static void read_patterns(struct compile *c, const struct site *s) {
  read_members(c, s, 1);
}

/* Schemas that only references lead to. */
static void read_defs(struct compile *c, const struct site *s) {
  struct schema_node unused = {0};
  struct site defs = {&unused, s->v, s->depth, offsetof(struct schema_node, dependents)};
  read_members(c, &defs, 0);
}

static uint32_t type_bits(const yoi_sdk_json *v) {
  yoi_str name;
  if (!yoi_sdk_json_str(v, &name)) return 0;
  for (uint32_t t = 1; t < SCHEMA_TYPES; t++) {
    if (!yoi_sdk_str_is(name, yoi_sdk__schema_type_names[t])) continue;
    return t == YOI_SDK_JSON_NUMBER ? SCHEMA_BIT(t) | SCHEMA_BIT(SCHEMA_INTEGER) : SCHEMA_BIT(t);
  }
  return 0;
}

static void read_type(struct compile *c, const struct site *s) {
  uint32_t types = type_bits(s->v);
  int ok = types != 0;
  if (yoi_sdk_json_type(s->v) == YOI_SDK_JSON_ARRAY) {
    ok = yoi_sdk_json_first(s->v) != NULL;
    for (const yoi_sdk_json *v = yoi_sdk_json_first(s->v); v; v = yoi_sdk_json_next(v)) {
      ok = ok && type_bits(v) != 0;
      types |= type_bits(v);
    }
  }
  s->node->types = types;
  if (!ok) say(c, "expected the name of a type, or a non-empty array of them");
}

static int is_strings(const yoi_sdk_json *v) {
  int ok = yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY;
  for (v = yoi_sdk_json_first(v); v; v = yoi_sdk_json_next(v))
    ok = ok && yoi_sdk_json_type(v) == YOI_SDK_JSON_STRING;
  return ok;
}

static void read_tree(struct compile *c, const struct site *s) {
  (void)c;
  *(const yoi_sdk_json **)field(s) = s->v;
}

static void read_required(struct compile *c, const struct site *s) {
  if (is_strings(s->v))
    read_tree(c, s);
  else
    say(c, "expected an array of strings");
}

static void read_dependent(struct compile *c, const struct site *s) {
  int ok = yoi_sdk_json_type(s->v) == YOI_SDK_JSON_OBJECT;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(s->v); v; v = yoi_sdk_json_next(v))
    ok = ok && is_strings(v);
  if (ok)
    read_tree(c, s);
  else
    say(c, "expected an object of arrays of strings");
}

static void read_enum(struct compile *c, const struct site *s) {
  if (yoi_sdk_json_type(s->v) == YOI_SDK_JSON_ARRAY && yoi_sdk_json_first(s->v))
    read_tree(c, s);
  else
    say(c, "expected a non-empty array of values");
}

static void read_number(struct compile *c, const struct site *s) {
  if (!yoi_sdk_json_number(s->v, field(s))) say(c, "expected a number");
}

static void read_multiple(struct compile *c, const struct site *s) {
  if (!yoi_sdk_json_number(s->v, field(s)) || s->node->multiple <= 0)
    say(c, "expected a number above 0");
}

static void read_count(struct compile *c, const struct site *s) {
  int64_t n;
  if (yoi_sdk_json_int(s->v, &n) && n >= 0)
    *(int64_t *)field(s) = n;
  else
    say(c, "expected a whole number from 0 on");
}

static void read_unique(struct compile *c, const struct site *s) {
  int unique = 0;
  if (!yoi_sdk_json_bool(s->v, &unique)) say(c, "expected true or false");
  s->node->unique = unique != 0;
}

static void read_pattern(struct compile *c, const struct site *s) {
  if (!yoi_sdk_json_str(s->v, &s->node->pattern_text)) {
    say(c, "expected a regular expression");
    return;
  }
  s->node->pattern = compile_pattern(c, s->node->pattern_text);
}

/* ---- formats ----------------------------------------------------------------------- */

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

/* The standard's names are annotations, as it has them by default. */
static const struct schema_format formats[] = {
    {"secret", is_secret, "expected 'secret:NAME', the name of a secret and never its value"},
    {"http-url", is_http_url, "expected an address that begins with http:// or https://"},
    {"path", is_path, "expected a path"},
    {"date-time", NULL, NULL},
    {"date", NULL, NULL},
    {"time", NULL, NULL},
    {"duration", NULL, NULL},
    {"email", NULL, NULL},
    {"idn-email", NULL, NULL},
    {"hostname", NULL, NULL},
    {"idn-hostname", NULL, NULL},
    {"ipv4", NULL, NULL},
    {"ipv6", NULL, NULL},
    {"uri", NULL, NULL},
    {"uri-reference", NULL, NULL},
    {"iri", NULL, NULL},
    {"iri-reference", NULL, NULL},
    {"uuid", NULL, NULL},
    {"uri-template", NULL, NULL},
    {"json-pointer", NULL, NULL},
    {"relative-json-pointer", NULL, NULL},
    {"regex", NULL, NULL},
};

static void read_format(struct compile *c, const struct site *s) {
  yoi_str name = {NULL, 0};
  (void)yoi_sdk_json_str(s->v, &name);
  for (size_t i = 0; name.ptr && i < sizeof formats / sizeof *formats; i++) {
    if (!yoi_sdk_str_is(name, formats[i].name)) continue;
    if (formats[i].fits) s->node->format = &formats[i];
    if (formats[i].fits != is_path) return;
    c->has_path = 1;
    if (!c->plain)
      say(c, "'path' is enforced below 'properties', 'additionalProperties' and 'items' only");
    return;
  }
  say(c, "expected 'secret', 'http-url', 'path' or a format of JSON Schema, such as 'date-time'");
}

/* ---- references and annotations ------------------------------------------------------- */

static void read_ref(struct compile *c, const struct site *s) {
  yoi_str target;
  if (!yoi_sdk_json_str(s->v, &target)) {
    say(c, "expected a string");
    return;
  }
  struct schema_ref *ref = keep(c, 1, sizeof *ref);
  char *pointer = ref ? yoi_sdk__schema_where(&c->r) : NULL;
  size_t n = pointer ? strlen(pointer) + 1 : 0;
  char *kept = pointer ? keep(c, 1, n) : NULL;
  if (kept) {
    memcpy(kept, pointer, n);
    *ref = (struct schema_ref){.node = s->node, .target = target, .pointer = kept};
    *c->last_ref = ref;
    c->last_ref = &ref->next;
  } else {
    c->r.st = YOI_RESOURCE_EXHAUSTED;
  }
  yoi_sdk_free(pointer);
}

static void read_id(struct compile *c, const struct site *s) {
  if (yoi_sdk_json_type(s->v) != YOI_SDK_JSON_STRING) say(c, "expected a string");
  if (s->depth > 0) say(c, "a schema inside of another has no address of its own here");
}

static void read_text(struct compile *c, const struct site *s) {
  if (yoi_sdk_json_type(s->v) != YOI_SDK_JSON_STRING) say(c, "expected a string");
}

static void read_flag(struct compile *c, const struct site *s) {
  if (yoi_sdk_json_type(s->v) != YOI_SDK_JSON_BOOL) say(c, "expected true or false");
}

static void read_examples(struct compile *c, const struct site *s) {
  if (yoi_sdk_json_type(s->v) != YOI_SDK_JSON_ARRAY) say(c, "expected an array");
}

static void read_anything(struct compile *c, const struct site *s) {
  (void)c;
  (void)s;
}

/* ---- the table ---------------------------------------------------------------------- */

#define AT(member) offsetof(struct schema_node, member)

static const struct keyword {
  const char *name;
  void (*read)(struct compile *c, const struct site *s);
  size_t offset;
  const char *wants; /* without which it has no effect */
} keywords[] = {
    {"type", read_type, 0, NULL},
    {"enum", read_enum, AT(choices), NULL},
    {"const", read_tree, AT(constant), NULL},
    {"properties", read_properties, AT(properties), NULL},
    {"patternProperties", read_patterns, AT(patterns), NULL},
    {"additionalProperties", read_schema, AT(additional), NULL},
    {"propertyNames", read_schema, AT(names), NULL},
    {"required", read_required, AT(required), NULL},
    {"dependentRequired", read_dependent, AT(dependent), NULL},
    {"dependentSchemas", read_dependents, AT(dependents), NULL},
    {"minProperties", read_count, AT(keys_count.min), NULL},
    {"maxProperties", read_count, AT(keys_count.max), NULL},
    {"items", read_schema, AT(items), NULL},
    {"prefixItems", read_schemas, AT(prefix), NULL},
    {"contains", read_schema, AT(contains), NULL},
    {"minContains", read_count, AT(contains_count.min), "contains"},
    {"maxContains", read_count, AT(contains_count.max), "contains"},
    {"minItems", read_count, AT(items_count.min), NULL},
    {"maxItems", read_count, AT(items_count.max), NULL},
    {"uniqueItems", read_unique, 0, NULL},
    {"minimum", read_number, AT(minimum), NULL},
    {"maximum", read_number, AT(maximum), NULL},
    {"exclusiveMinimum", read_number, AT(above), NULL},
    {"exclusiveMaximum", read_number, AT(below), NULL},
    {"multipleOf", read_multiple, AT(multiple), NULL},
    {"minLength", read_count, AT(length.min), NULL},
    {"maxLength", read_count, AT(length.max), NULL},
    {"pattern", read_pattern, 0, NULL},
    {"format", read_format, 0, NULL},
    {"allOf", read_schemas, AT(all), NULL},
    {"anyOf", read_schemas, AT(any), NULL},
    {"oneOf", read_schemas, AT(one), NULL},
    {"not", read_schema, AT(no), NULL},
    {"if", read_schema, AT(when), NULL},
    {"then", read_schema, AT(then), "if"},
    {"else", read_schema, AT(otherwise), "if"},
    {"$ref", read_ref, 0, NULL},
    {"$defs", read_defs, 0, NULL},
    {"definitions", read_defs, 0, NULL},
    {"$schema", read_text, 0, NULL},
    {"$id", read_id, 0, NULL},
    {"$comment", read_text, 0, NULL},
    {"title", read_text, 0, NULL},
    {"description", read_text, 0, NULL},
    {"default", read_anything, 0, NULL},
    {"examples", read_examples, 0, NULL},
    {"deprecated", read_flag, 0, NULL},
    {"readOnly", read_flag, 0, NULL},
    {"writeOnly", read_flag, 0, NULL},
    {"contentEncoding", read_text, 0, NULL},
    {"contentMediaType", read_text, 0, NULL},
};

static const struct keyword *find_keyword(yoi_str name) {
  for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
    if (yoi_sdk_str_is(name, keywords[i].name)) return &keywords[i];
  return NULL;
}

static struct schema_node *new_node(struct compile *c, const yoi_sdk_json *tree) {
  const struct schema_bounds none = {0, INT64_MAX};
  if (c->too_many || short_of_memory(c)) return NULL;
  if (c->n_nodes == YOI_SCHEMA_NODES_MAX) {
    c->too_many = 1;
    yoi_sdk_buf_addf(&c->r.message, "more than %d schemas in one", YOI_SCHEMA_NODES_MAX);
    (void)yoi_sdk__schema_finding(&c->r, 0);
    return NULL;
  }
  if (c->n_nodes == c->cap_nodes) {
    size_t cap = c->cap_nodes ? c->cap_nodes * 2 : 16;
    void *nodes = yoi_sdk_reallocarray(c->nodes, cap, sizeof(struct schema_node *));
    if (!nodes) {
      c->r.st = YOI_RESOURCE_EXHAUSTED;
      return NULL;
    }
    c->nodes = nodes;
    c->cap_nodes = cap;
  }
  struct schema_node *n = keep(c, 1, sizeof *n);
  if (!n) return NULL;
  *n = (struct schema_node){.tree = tree,
                            .types = SCHEMA_ANY,
                            .length = none,
                            .items_count = none,
                            .keys_count = none,
                            .contains_count = {1, INT64_MAX},
                            .minimum = -INFINITY,
                            .maximum = INFINITY,
                            .above = -INFINITY,
                            .below = INFINITY};
  c->nodes[c->n_nodes++] = n;
  return n;
}

/* Whether writing a value follows a keyword of this schema. */
static int is_followed(const yoi_sdk_json *tree, const char *keyword) {
  if (strcmp(keyword, "additionalProperties") == 0)
    return yoi_sdk_json_get(tree, "patternProperties") == NULL;
  if (strcmp(keyword, "items") == 0) return yoi_sdk_json_get(tree, "prefixItems") == NULL;
  return strcmp(keyword, "properties") == 0 || strcmp(keyword, "format") == 0;
}

static void read_keyword(struct compile *c, struct schema_node *n, const yoi_sdk_json *v,
                         size_t depth) {
  yoi_str name = yoi_sdk_json_key(v);
  const struct keyword *k = find_keyword(name);
  struct schema_place place;
  schema_enter(&c->r, &place, name, 0);
  if (!k) {
    yoi_sdk_buf_addf(&c->r.message, "keyword '%.*s' is not enforced here",
                     YOI_ARG(yoi_sdk__schema_shown(name)));
    (void)yoi_sdk__schema_finding(&c->r, 1);
  } else if (k->wants && !yoi_sdk_json_get(n->tree, k->wants)) {
    yoi_sdk_buf_addf(&c->r.message, "'%s' has no effect without '%s'", k->name, k->wants);
    (void)yoi_sdk__schema_finding(&c->r, 1);
  } else {
    struct site s = {n, v, depth, k->offset};
    int plain = c->plain;
    c->plain = plain && is_followed(n->tree, k->name);
    k->read(c, &s);
    c->plain = plain;
  }
  schema_leave(&c->r);
}

static struct schema_node *compile_schema(struct compile *c, const yoi_sdk_json *tree,
                                          size_t depth) {
  int allowed = 1;
  int is_bool = yoi_sdk_json_bool(tree, &allowed);
  if (!is_bool && yoi_sdk_json_type(tree) != YOI_SDK_JSON_OBJECT) {
    say(c, "expected a schema, which is an object, true or false");
    return NULL;
  }
  if (depth >= YOI_SCHEMA_DEPTH_MAX) {
    say(c, "the schema is nested too deeply");
    return NULL;
  }
  struct schema_node *n = new_node(c, tree);
  if (!n) return NULL;
  n->never = !allowed;
  const yoi_sdk_json *v = yoi_sdk_json_first(tree);
  for (; v && !c->too_many && !short_of_memory(c); v = yoi_sdk_json_next(v))
    read_keyword(c, n, v, depth);
  return n;
}

/* ---- the schema ------------------------------------------------------------------------ */

void yoi_sdk_schema_free(struct yoi_sdk_schema *s) {
  if (!s) return;
  while (s->blocks) {
    struct schema_block *b = s->blocks;
    s->blocks = b->next;
    yoi_sdk_pattern_free(b->pattern);
    yoi_sdk_free(b);
  }
  yoi_sdk_free(s);
}

yoi_status yoi_sdk_schema_new(const yoi_sdk_json *tree, yoi_sdk_schema_report_fn report, void *ctx,
                              struct yoi_sdk_schema **out) {
  struct compile c = {.states = YOI_SCHEMA_STATES_MAX, .last_ref = &c.refs, .plain = 1};
  *out = NULL;
  yoi_sdk__schema_report_init(&c.r, "", report, ctx);
  c.schema = yoi_sdk_calloc(1, sizeof *c.schema);
  if (!c.schema) return YOI_RESOURCE_EXHAUSTED;
  c.schema->root = compile_schema(&c, tree, 0);
  if (c.has_path && c.refs) say(&c, "a schema with the format 'path' has no '$ref'");
  if (!c.too_many && !short_of_memory(&c))
    yoi_sdk__schema_link(&c.r, tree, c.nodes, c.n_nodes, c.refs);
  yoi_sdk_free(c.nodes);
  yoi_status st = yoi_sdk__schema_report_end(&c.r);
  if (st == YOI_OK)
    *out = c.schema;
  else
    yoi_sdk_schema_free(c.schema);
  return st;
}

yoi_status yoi_sdk_schema_compile(const yoi_sdk_json *schema, yoi_sdk_schema_report_fn report,
                                  void *ctx) {
  struct yoi_sdk_schema *s;
  yoi_status st = yoi_sdk_schema_new(schema, report, ctx, &s);
  yoi_sdk_schema_free(s);
  return st;
}
