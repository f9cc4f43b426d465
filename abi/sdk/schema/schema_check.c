/* schema_check.c - a value beside a compiled schema.
 *
 * Findings come in the order of the text: what an object lacks at its
 * beginning, then its members; then what allOf, $ref and the choices say.
 *
 *  1. A check takes at most YOI_SCHEMA_STEPS_MAX steps. A step is a node of
 *     the schema beside a node of the value, or work of about that size (64
 *     bytes of text, 8 members passed over); then it ends as OUT_OF_RANGE,
 *     with one finding that says so.
 *  2. The recursion is at most YOI_SCHEMA_FRAMES_MAX nodes deep.
 *  3. A value of the wrong type gets one finding and is not looked into.
 *  4. A walk that only tests (SCHEMA_TEST) ends at its first finding, and
 *     writes no text.
 */
#include <math.h>
#include <sdk/str.h>
#include <string.h>

#include "schema_node.h"

/* ---- a walk ---------------------------------------------------------------------- */

static int over(const struct schema_walk *w) {
  return w->r.st == YOI_OUT_OF_RANGE || w->r.st == YOI_RESOURCE_EXHAUSTED;
}

int yoi_sdk__schema_alive(struct schema_walk *w) {
  return !over(w) && !(w->mode == SCHEMA_TEST && w->found > 0);
}

/* Told whatever the mode: nothing that was found out so far means anything. */
static void too_complex(struct schema_walk *w, const char *what, long long max) {
  if (over(w)) return;
  yoi_sdk_buf_clear(&w->r.message);
  yoi_sdk_buf_addf(&w->r.message, "schema too complex for this value: more than %lld %s", max,
                   what);
  (void)yoi_sdk__schema_finding(&w->r, 0);
  if (w->r.st != YOI_RESOURCE_EXHAUSTED) w->r.st = YOI_OUT_OF_RANGE;
}

int yoi_sdk__schema_spend(struct schema_walk *w, uint64_t n) {
  if (w->steps > n) {
    w->steps -= n;
    return !over(w);
  }
  w->steps = 0;
  too_complex(w, "steps", YOI_SCHEMA_STEPS_MAX);
  return 0;
}

int yoi_sdk__schema_counts(struct schema_walk *w, enum schema_kind kind) {
  if (over(w)) return 0;
  w->found++;
  if (w->mode != SCHEMA_SCORE) return w->mode == SCHEMA_TELL;
  /* Another thing at the top is no such branch; a level below, it is likely
   * the key that tells the branches apart. */
  size_t below = w->level - w->base_level;
  w->score += kind == SCHEMA_LACKS ? 1 : below == 0 ? 1u << 20 : below == 1 ? 1u << 10 : 4;
  return 0;
}

void yoi_sdk__schema_tell(struct schema_walk *w, int is_key) {
  if (w->name) {
    yoi_str text = yoi_sdk_buf_str(&w->r.message);
    struct yoi_sdk_buf about;
    yoi_sdk_buf_init(&about, w->r.message.max);
    yoi_sdk_buf_addf(&about, "key '%.*s': ", YOI_ARG(yoi_sdk__schema_shown(*w->name)));
    yoi_sdk_buf_add(&about, text.ptr, yoi_sdk_utf8_cut(text, about.max - about.len));
    yoi_sdk_buf_release(&w->r.message);
    w->r.message = about;
    is_key = 1;
  }
  size_t len = yoi_sdk__schema_finding(&w->r, is_key);
  (void)yoi_sdk__schema_spend(w, 1 + len / 64);
}

static void lacks(struct schema_walk *w, const char *message) {
  if (!yoi_sdk__schema_counts(w, SCHEMA_LACKS)) return;
  yoi_sdk_buf_adds(&w->r.message, yoi_sdk_str(message));
  yoi_sdk__schema_tell(w, 0);
}

/* ---- one value ------------------------------------------------------------------------ */

uint32_t yoi_sdk__schema_type_of(const struct schema_value *v) {
  return v->json ? yoi_sdk_json_type(v->json) : YOI_SDK_JSON_STRING;
}

int yoi_sdk__schema_is_type(const struct schema_value *v, uint32_t types) {
  uint32_t type = yoi_sdk__schema_type_of(v);
  int64_t n;
  if (types & SCHEMA_BIT(type)) return 1;
  return type == YOI_SDK_JSON_NUMBER && types & SCHEMA_BIT(SCHEMA_INTEGER) &&
         yoi_sdk_json_int(v->json, &n);
}

void yoi_sdk__schema_wrong_type(struct schema_walk *w, uint32_t types,
                                const struct schema_value *v) {
  uint32_t found = yoi_sdk__schema_type_of(v);
  yoi_sdk_buf_adds(&w->r.message, YOI_LIT("expected "));
  yoi_sdk__schema_types(&w->r.message, types);
  if (found != YOI_SDK_JSON_NUMBER || !(types & SCHEMA_BIT(SCHEMA_INTEGER)))
    yoi_sdk_buf_addf(&w->r.message, ", found %s", yoi_sdk_json_type_name(found));
  yoi_sdk__schema_tell(w, 0);
}

/* The schema false: whatever stands there must not. */
static void nothing_allowed(struct schema_walk *w) {
  const struct schema_place *p = w->r.at;
  if (!yoi_sdk__schema_counts(w, SCHEMA_OTHER_THING)) return;
  if (!p || w->name)
    yoi_sdk_buf_adds(&w->r.message, YOI_LIT("nothing is allowed here"));
  else if (p->key.ptr)
    yoi_sdk_buf_addf(&w->r.message, "key '%.*s' is not allowed here",
                     YOI_ARG(yoi_sdk__schema_shown(p->key)));
  else
    yoi_sdk_buf_adds(&w->r.message, YOI_LIT("no item is allowed here"));
  yoi_sdk__schema_tell(w, p && p->key.ptr);
}

static int equals(struct schema_walk *w, const yoi_sdk_json *wanted, const struct schema_value *v) {
  yoi_str s;
  if (v->json) return yoi_sdk__schema_equal(wanted, v->json, &w->steps);
  return yoi_sdk__schema_spend(w, 1) && yoi_sdk_json_str(wanted, &s) && yoi_sdk_str_eq(s, v->name);
}

void yoi_sdk__schema_write(struct schema_walk *w, const yoi_sdk_json *v,
                           struct yoi_sdk_jsonw *out) {
  uint64_t weight = yoi_sdk__schema_weight(v) / 4;
  yoi_sdk_json_write(v, out);
  w->steps -= weight < w->steps ? weight : w->steps; /* the finding is told, and is the last */
}

static void expected(struct schema_walk *w, const char *words, const yoi_sdk_json *wanted) {
  struct yoi_sdk_jsonw out;
  if (!yoi_sdk__schema_spend(w, 0) || !yoi_sdk__schema_counts(w, SCHEMA_OTHER_THING)) return;
  yoi_sdk_buf_adds(&w->r.message, yoi_sdk_str(words));
  yoi_sdk_jsonw_init(&out, &w->r.message);
  yoi_sdk__schema_write(w, wanted, &out);
  yoi_sdk__schema_tell(w, 0);
}

static void check_values(struct schema_walk *w, const struct schema_node *n,
                         const struct schema_value *v) {
  const yoi_sdk_json *c = yoi_sdk_json_first(n->choices);
  if (n->constant && !equals(w, n->constant, v)) expected(w, "expected ", n->constant);
  if (!n->choices) return;
  while (c && !equals(w, c, v)) c = yoi_sdk_json_next(c);
  if (!c) expected(w, "expected one of ", n->choices);
}

static void beyond(struct schema_walk *w, const char *words, double bound) {
  struct yoi_sdk_jsonw out;
  if (!yoi_sdk__schema_counts(w, SCHEMA_LACKS)) return;
  yoi_sdk_buf_adds(&w->r.message, yoi_sdk_str(words));
  yoi_sdk_jsonw_init(&out, &w->r.message);
  yoi_sdk_jsonw_double(&out, bound);
  yoi_sdk__schema_tell(w, 0);
}

static void check_number(struct schema_walk *w, const struct schema_node *n, double x) {
  if (x < n->minimum) beyond(w, "must be at least ", n->minimum);
  if (x > n->maximum) beyond(w, "must be at most ", n->maximum);
  if (x <= n->above) beyond(w, "must be more than ", n->above);
  if (x >= n->below) beyond(w, "must be less than ", n->below);
  if (n->multiple > 0 && !yoi_sdk__schema_multiple(x, n->multiple))
    beyond(w, "must be a multiple of ", n->multiple);
}

/* thing: "character", "item" or "key" */
static void check_count(struct schema_walk *w, const struct schema_bounds *b, int64_t n,
                        const char *thing) {
  int few = n < b->min;
  int64_t bound = few ? b->min : b->max;
  if ((!few && n <= b->max) || !yoi_sdk__schema_counts(w, SCHEMA_LACKS)) return;
  if (few && bound == 1)
    yoi_sdk_buf_adds(&w->r.message, YOI_LIT("must not be empty"));
  else
    yoi_sdk_buf_addf(&w->r.message, "must have at %s %lld %s%s", few ? "least" : "most",
                     (long long)bound, thing, bound == 1 ? "" : "s");
  yoi_sdk__schema_tell(w, 0);
}

static int is_bounded(const struct schema_bounds *b) {
  return b->min > 0 || b->max < INT64_MAX;
}

static int check_pattern(struct schema_walk *w, const struct yoi_sdk_pattern *p, yoi_str s) {
  int found = yoi_sdk_pattern_match(p, s, &w->steps);
  if (found == -2) w->r.st = YOI_RESOURCE_EXHAUSTED;
  if (found == -1) (void)yoi_sdk__schema_spend(w, w->steps);
  return found;
}

static void check_string(struct schema_walk *w, const struct schema_node *n, yoi_str s) {
  if (!yoi_sdk__schema_spend(w, s.len / 64)) return;
  if (n->format && !n->format->fits(s)) {
    lacks(w, n->format->expected);
    return;
  }
  if (is_bounded(&n->length))
    check_count(w, &n->length, (int64_t)yoi_sdk__schema_characters(s), "character");
  if (!n->pattern || check_pattern(w, n->pattern, s) != 0 ||
      !yoi_sdk__schema_counts(w, SCHEMA_LACKS))
    return;
  yoi_sdk_buf_addf(&w->r.message, "must match the pattern '%.*s'",
                   YOI_ARG(yoi_sdk__schema_shown(n->pattern_text)));
  yoi_sdk__schema_tell(w, 0);
}

/* ---- objects ------------------------------------------------------------------------- */

static const struct schema_entry *find_property(const struct schema_entries *e, yoi_str key) {
  size_t lo = 0, hi = e->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    int order = yoi_sdk_str_cmp(key, e->at[mid].key);
    if (order == 0) return &e->at[mid];
    if (order < 0)
      hi = mid;
    else
      lo = mid + 1;
  }
  return NULL;
}

static void unknown_key(struct schema_walk *w, const struct schema_node *n, yoi_str name) {
  struct schema_nearest best = yoi_sdk__schema_nearest(name);
  if (!yoi_sdk__schema_counts(w, SCHEMA_LACKS)) return;
  for (size_t i = 0; i < n->properties.n && w->suggestions > 0; i++) {
    uint64_t cost = yoi_sdk__schema_nearest_try(&best, n->properties.at[i].key);
    w->suggestions -= cost < w->suggestions ? cost : w->suggestions;
  }
  yoi_sdk_buf_addf(&w->r.message, "unknown key '%.*s'", YOI_ARG(yoi_sdk__schema_shown(name)));
  if (best.name.len)
    yoi_sdk_buf_addf(&w->r.message, "; the nearest known one is '%.*s'", YOI_ARG(best.name));
  yoi_sdk__schema_tell(w, 1);
}

static void check_name(struct schema_walk *w, const struct schema_node *n, yoi_str name) {
  struct schema_value v = {NULL, name};
  const yoi_str *outer = w->name;
  w->name = &name;
  yoi_sdk__schema_look(w, n, &v);
  w->name = outer;
}

static void check_member(struct schema_walk *w, const struct schema_node *n,
                         const yoi_sdk_json *member, yoi_str name) {
  const struct schema_value v = {member, {NULL, 0}};
  const struct schema_entry *known = find_property(&n->properties, name);
  int is_known = known != NULL;
  if (n->names) check_name(w, n->names, name);
  if (known) yoi_sdk__schema_look(w, known->node, &v);
  for (size_t i = 0; i < n->patterns.n && yoi_sdk__schema_alive(w); i++) {
    if (check_pattern(w, n->patterns.at[i].pattern, name) != 1) continue;
    is_known = 1;
    yoi_sdk__schema_look(w, n->patterns.at[i].node, &v);
  }
  if (is_known || !n->additional || !yoi_sdk__schema_alive(w)) return;
  if (n->additional->never)
    unknown_key(w, n, name);
  else
    yoi_sdk__schema_look(w, n->additional, &v);
}

/* The member of that name, for the price of passing over all of them. */
static const yoi_sdk_json *member_of(struct schema_walk *w, const yoi_sdk_json *v, yoi_str name,
                                     size_t members) {
  uint64_t cost = 1 + members / 8 * (1 + name.len / 64);
  return yoi_sdk__schema_spend(w, cost) ? yoi_sdk_json_getn(v, name) : NULL;
}

/* Each name in the list is there; `because` (may be empty) wants it. */
static void check_required(struct schema_walk *w, const yoi_sdk_json *list, yoi_str because,
                           const yoi_sdk_json *v, size_t members) {
  yoi_str name;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(list); c; c = yoi_sdk_json_next(c)) {
    if (!yoi_sdk__schema_alive(w)) return;
    if (!yoi_sdk_json_str(c, &name) || member_of(w, v, name, members) ||
        !yoi_sdk__schema_counts(w, SCHEMA_LACKS))
      continue;
    yoi_sdk_buf_addf(&w->r.message, "key '%.*s' is missing", YOI_ARG(yoi_sdk__schema_shown(name)));
    if (because.len)
      yoi_sdk_buf_addf(&w->r.message, ", which '%.*s' needs",
                       YOI_ARG(yoi_sdk__schema_shown(because)));
    yoi_sdk__schema_tell(w, 0);
  }
}

static void check_members(struct schema_walk *w, const struct schema_node *n,
                          const yoi_sdk_json *v) {
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c)) {
    struct schema_place place;
    yoi_str name = yoi_sdk_json_key(c);
    if (!yoi_sdk__schema_alive(w) || !yoi_sdk__schema_spend(w, 1 + name.len / 64)) return;
    schema_enter(&w->r, &place, name, 0);
    w->level++;
    check_member(w, n, c, name);
    w->level--;
    schema_leave(&w->r);
  }
}

static void check_object(struct schema_walk *w, const struct schema_node *n,
                         const struct schema_value *value) {
  const yoi_sdk_json *v = value->json, *c;
  const yoi_str nobody = {NULL, 0};
  size_t members = yoi_sdk_json_count(v);
  if (!yoi_sdk__schema_spend(w, members / 8)) return;
  check_count(w, &n->keys_count, (int64_t)members, "key");
  check_required(w, n->required, nobody, v, members);
  for (c = yoi_sdk_json_first(n->dependent); c && yoi_sdk__schema_alive(w);
       c = yoi_sdk_json_next(c)) {
    if (member_of(w, v, yoi_sdk_json_key(c), members))
      check_required(w, c, yoi_sdk_json_key(c), v, members);
  }
  if (n->properties.n || n->patterns.n || n->additional || n->names) check_members(w, n, v);
  for (size_t i = 0; i < n->dependents.n && yoi_sdk__schema_alive(w); i++) {
    const struct schema_entry *e = &n->dependents.at[i];
    if (member_of(w, v, e->key, members)) yoi_sdk__schema_look(w, e->node, value);
  }
}

/* ---- arrays --------------------------------------------------------------------------- */

static void check_unique(struct schema_walk *w, const yoi_sdk_json *v) {
  size_t first, second;
  int twice = yoi_sdk__schema_twice(v, &w->steps, &first, &second);
  if (twice < 0) w->r.st = YOI_RESOURCE_EXHAUSTED;
  if (!yoi_sdk__schema_spend(w, 0) || twice != 1) return;
  if (!yoi_sdk__schema_counts(w, SCHEMA_LACKS)) return;
  yoi_sdk_buf_addf(&w->r.message, "items must differ, and %zu and %zu are equal", first, second);
  yoi_sdk__schema_tell(w, 0);
}

static void check_array(struct schema_walk *w, const struct schema_node *n, const yoi_sdk_json *v) {
  size_t index = 0, items = yoi_sdk_json_count(v);
  if (!yoi_sdk__schema_spend(w, items / 8)) return;
  check_count(w, &n->items_count, (int64_t)items, "item");
  if (n->unique) check_unique(w, v);
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c), index++) {
    const struct schema_node *item = index < n->prefix.n ? n->prefix.nodes[index] : n->items;
    const struct schema_value value = {c, {NULL, 0}};
    struct schema_place place;
    if (!item || !yoi_sdk__schema_alive(w)) break;
    schema_enter(&w->r, &place, (yoi_str){NULL, 0}, index);
    w->level++;
    yoi_sdk__schema_look(w, item, &value);
    w->level--;
    schema_leave(&w->r);
  }
  if (n->contains && yoi_sdk__schema_alive(w)) yoi_sdk__schema_contains(w, n, v);
}

/* ---- a node ----------------------------------------------------------------------------- */

static void look_inside(struct schema_walk *w, const struct schema_node *n,
                        const struct schema_value *v) {
  yoi_str s = v->name;
  double x;
  if (n->constant || n->choices) check_values(w, n, v);
  if (!yoi_sdk__schema_alive(w)) return;
  if (!v->json || yoi_sdk_json_str(v->json, &s))
    check_string(w, n, s);
  else if (yoi_sdk_json_number(v->json, &x))
    check_number(w, n, x);
  else if (yoi_sdk_json_type(v->json) == YOI_SDK_JSON_OBJECT)
    check_object(w, n, v);
  else if (yoi_sdk_json_type(v->json) == YOI_SDK_JSON_ARRAY)
    check_array(w, n, v->json);
  if (n->ref && yoi_sdk__schema_alive(w)) yoi_sdk__schema_look(w, n->ref, v);
  for (size_t i = 0; i < n->all.n && yoi_sdk__schema_alive(w); i++)
    yoi_sdk__schema_look(w, n->all.nodes[i], v);
  if (yoi_sdk__schema_alive(w)) yoi_sdk__schema_choose(w, n, v);
}

void yoi_sdk__schema_look(struct schema_walk *w, const struct schema_node *n,
                          const struct schema_value *v) {
  if (!yoi_sdk__schema_alive(w) || !yoi_sdk__schema_spend(w, 1)) return;
  if (w->frames == YOI_SCHEMA_FRAMES_MAX) {
    too_complex(w, "schemas inside each other", YOI_SCHEMA_FRAMES_MAX);
    return;
  }
  w->frames++;
  if (n->never) {
    nothing_allowed(w);
  } else if (!yoi_sdk__schema_is_type(v, n->types)) {
    if (yoi_sdk__schema_counts(w, SCHEMA_OTHER_THING)) yoi_sdk__schema_wrong_type(w, n->types, v);
  } else {
    look_inside(w, n, v);
  }
  w->frames--;
}

yoi_status yoi_sdk_schema_test(const struct yoi_sdk_schema *schema, const yoi_sdk_json *value,
                               const char *base, yoi_sdk_schema_report_fn report, void *ctx) {
  struct schema_walk w = {.mode = report ? SCHEMA_TELL : SCHEMA_TEST,
                          .steps = YOI_SCHEMA_STEPS_MAX,
                          .suggestions = YOI_SCHEMA_STEPS_MAX / 8};
  struct schema_value v = {value, {NULL, 0}};
  yoi_sdk__schema_report_init(&w.r, base, report, ctx);
  yoi_sdk__schema_look(&w, schema->root, &v);
  if (w.found > 0 && w.r.st == YOI_OK) w.r.st = YOI_INVALID_ARGUMENT;
  return yoi_sdk__schema_report_end(&w.r);
}

yoi_status yoi_sdk_schema_check(const yoi_sdk_json *schema, const yoi_sdk_json *value,
                                const char *base, yoi_sdk_schema_report_fn report, void *ctx) {
  struct yoi_sdk_schema *s;
  yoi_status st = yoi_sdk_schema_new(schema, NULL, NULL, &s);
  if (st == YOI_OK) st = yoi_sdk_schema_test(s, value, base, report, ctx);
  yoi_sdk_schema_free(s);
  return st;
}
