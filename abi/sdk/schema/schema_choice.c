/* schema_choice.c - anyOf, oneOf, not, if and contains: schemas that are tried.
 *
 * A branch that does not fit is no finding by itself, so branches are looked
 * at without telling. When none fits, what helps is said, by the first of
 * these that applies:
 *
 *   every branch wants another type     "expected a string or null, found ..."
 *   every branch is an enum or a const  "expected one of [...]"
 *   one branch takes the value's type   the findings of that branch
 *   otherwise                           which branch is nearest, and then its
 *                                       findings
 *
 * The nearest branch is the one with the lowest score: a wrong type, const or
 * enum at its top weighs most, then one in a member of it, which is how an
 * object says which of several kinds it is.
 */
#include <sdk/str.h>
#include <string.h>

#include "schema_node.h"

/* Looks without telling; *out_score may be NULL, and then the first finding
 * ends it. 1: fits. */
static int try(struct schema_walk *w, const struct schema_node *n, const struct schema_value *v,
               uint64_t *out_score) {
  enum schema_mode mode = w->mode;
  size_t base_level = w->base_level;
  uint64_t found = w->found, score = w->score;
  if (mode != SCHEMA_SCORE) w->base_level = w->level;
  w->mode = out_score ? SCHEMA_SCORE : SCHEMA_TEST;
  w->found = w->score = 0;
  yoi_sdk__schema_look(w, n, v);
  int fits = w->found == 0;
  if (out_score) *out_score = w->score;
  w->mode = mode;
  w->base_level = base_level;
  w->found = found;
  w->score = score;
  return fits;
}

/* ---- what the branches say ----------------------------------------------------------- */

/* What a branch is by name: its own schema, or the one that it refers to. */
static const struct schema_node *target(const struct schema_node *n) {
  while (n->ref && n->types == SCHEMA_ANY && !n->choices && !n->constant) n = n->ref;
  return n;
}

static yoi_str last_token(yoi_str ref) {
  size_t i = ref.len;
  while (i > 0 && ref.ptr[i - 1] != '/') i--;
  return (yoi_str){ref.ptr + i, ref.len - i};
}

static yoi_str title(const struct schema_node *n) {
  yoi_str s = {NULL, 0};
  if (yoi_sdk_json_str(yoi_sdk_json_get(n->tree, "title"), &s)) return s;
  if (yoi_sdk_json_str(yoi_sdk_json_get(target(n)->tree, "title"), &s)) return s;
  if (yoi_sdk_json_str(yoi_sdk_json_get(n->tree, "$ref"), &s)) return last_token(s);
  return s;
}

/* Every value that the branches allow, as one list; 0 when one is no list. */
static int are_values(const struct schema_list *list) {
  for (size_t i = 0; i < list->n; i++) {
    const struct schema_node *n = target(list->nodes[i]);
    if (!n->constant && !n->choices) return 0;
  }
  return 1;
}

static void tell_values(struct schema_walk *w, const struct schema_list *list) {
  struct yoi_sdk_jsonw out;
  yoi_sdk_buf_adds(&w->r.message, YOI_LIT("expected one of "));
  yoi_sdk_jsonw_init(&out, &w->r.message);
  yoi_sdk_jsonw_open(&out, '[');
  for (size_t i = 0; i < list->n; i++) {
    const struct schema_node *n = target(list->nodes[i]);
    const yoi_sdk_json *c = yoi_sdk_json_first(n->choices);
    if (n->constant) yoi_sdk__schema_write(w, n->constant, &out);
    for (; c && !n->constant; c = yoi_sdk_json_next(c)) yoi_sdk__schema_write(w, c, &out);
  }
  yoi_sdk_jsonw_close(&out, ']');
  yoi_sdk__schema_tell(w, 0);
}

static void tell_nearest(struct schema_walk *w, const struct schema_list *list, size_t best,
                         const struct schema_value *v) {
  yoi_str name = yoi_sdk__schema_shown(title(list->nodes[best]));
  yoi_sdk_buf_addf(&w->r.message, "fits none of %zu alternatives; number %zu", list->n, best + 1);
  if (name.len) yoi_sdk_buf_addf(&w->r.message, ", '%.*s',", YOI_ARG(name));
  yoi_sdk_buf_adds(&w->r.message, YOI_LIT(" is nearest"));
  yoi_sdk__schema_tell(w, 0);
  yoi_sdk__schema_look(w, list->nodes[best], v);
}

/* What trying all branches came to. */
struct tries {
  size_t fit, first, second; /* how many fit, and the first two of them */
  size_t best;
  uint64_t score;
};

/* Looks for `enough` branches that fit; scores them when somebody asks how far
 * off they are. */
static struct tries try_all(struct schema_walk *w, const struct schema_list *list,
                            const struct schema_value *v, size_t enough, int scored) {
  struct tries t = {.score = UINT64_MAX};
  for (size_t i = 0; i < list->n && t.fit < enough && yoi_sdk__schema_alive(w); i++) {
    uint64_t score = 0;
    if (try(w, list->nodes[i], v, scored ? &score : NULL)) {
      if (t.fit++ == 0)
        t.first = i;
      else
        t.second = i;
    } else if (score < t.score) {
      t.score = score;
      t.best = i;
    }
  }
  return t;
}

/* None of the branches fits. */
static void explain(struct schema_walk *w, const struct schema_list *list,
                    const struct schema_value *v) {
  size_t takes = 0, last = 0;
  uint32_t types = 0;
  for (size_t i = 0; i < list->n; i++) {
    const struct schema_node *n = target(list->nodes[i]);
    if (n->never) continue;
    types |= n->types;
    if (!yoi_sdk__schema_is_type(v, n->types)) continue;
    takes++;
    last = i;
  }
  if (are_values(list)) {
    tell_values(w, list);
  } else if (takes == 0 && types != 0) {
    yoi_sdk__schema_wrong_type(w, types, v);
  } else if (takes == 1) {
    yoi_sdk__schema_look(w, list->nodes[last], v);
  } else {
    struct tries t = try_all(w, list, v, 1, 1);
    if (yoi_sdk__schema_alive(w)) tell_nearest(w, list, t.best, v);
  }
}

/* Counts that none fits, as far off as the nearest is. */
static void none_fits(struct schema_walk *w, const struct schema_list *list,
                      const struct schema_value *v, uint64_t score) {
  if (w->mode == SCHEMA_SCORE) w->score += score - 1;
  if (yoi_sdk__schema_counts(w, SCHEMA_LACKS)) explain(w, list, v);
}

static void check_any(struct schema_walk *w, const struct schema_list *list,
                      const struct schema_value *v) {
  struct tries t = try_all(w, list, v, 1, w->mode == SCHEMA_SCORE);
  if (t.fit == 0 && yoi_sdk__schema_alive(w)) none_fits(w, list, v, t.score);
}

static void check_one(struct schema_walk *w, const struct schema_list *list,
                      const struct schema_value *v) {
  struct tries t = try_all(w, list, v, 2, w->mode == SCHEMA_SCORE);
  if (t.fit == 1 || !yoi_sdk__schema_alive(w)) return;
  if (t.fit == 0) {
    none_fits(w, list, v, t.score);
    return;
  }
  if (!yoi_sdk__schema_counts(w, SCHEMA_LACKS)) return;
  yoi_sdk_buf_addf(&w->r.message, "fits the alternatives %zu and %zu of %zu, must fit exactly one",
                   t.first + 1, t.second + 1, list->n);
  yoi_sdk__schema_tell(w, 0);
}

/* ---- not, if ----------------------------------------------------------------------------- */

static void check_not(struct schema_walk *w, const struct schema_node *no,
                      const struct schema_value *v) {
  struct yoi_sdk_jsonw out;
  if (!try(w, no, v, NULL) || !yoi_sdk__schema_alive(w) ||
      !yoi_sdk__schema_counts(w, SCHEMA_OTHER_THING))
    return;
  yoi_sdk_jsonw_init(&out, &w->r.message);
  yoi_str name = yoi_sdk__schema_shown(title(no));
  if (no->constant || no->choices) {
    yoi_sdk_buf_adds(&w->r.message,
                     no->constant ? YOI_LIT("must not be ") : YOI_LIT("must be none of "));
    yoi_sdk__schema_write(w, no->constant ? no->constant : no->choices, &out);
  } else if (yoi_sdk_json_count(no->tree) == 1 && no->types != SCHEMA_ANY) {
    yoi_sdk_buf_adds(&w->r.message, YOI_LIT("must not be "));
    yoi_sdk__schema_types(&w->r.message, no->types);
  } else if (yoi_sdk_json_count(no->tree) == 1 && no->required) {
    yoi_sdk_buf_adds(&w->r.message, YOI_LIT("must not have all keys of "));
    yoi_sdk__schema_write(w, no->required, &out);
  } else if (name.len) {
    yoi_sdk_buf_addf(&w->r.message, "must not be '%.*s'", YOI_ARG(name));
  } else {
    yoi_sdk_buf_adds(&w->r.message, YOI_LIT("fits the schema in 'not', and must not"));
  }
  yoi_sdk__schema_tell(w, 0);
}

void yoi_sdk__schema_choose(struct schema_walk *w, const struct schema_node *n,
                            const struct schema_value *v) {
  if (n->any.n) check_any(w, &n->any, v);
  if (n->one.n && yoi_sdk__schema_alive(w)) check_one(w, &n->one, v);
  if (n->no && yoi_sdk__schema_alive(w)) check_not(w, n->no, v);
  if (!n->when || !yoi_sdk__schema_alive(w)) return;
  const struct schema_node *next = try(w, n->when, v, NULL) ? n->then : n->otherwise;
  if (next && yoi_sdk__schema_alive(w)) yoi_sdk__schema_look(w, next, v);
}

/* ---- contains ------------------------------------------------------------------------------ */

void yoi_sdk__schema_contains(struct schema_walk *w, const struct schema_node *n,
                              const yoi_sdk_json *v) {
  const struct schema_bounds *b = &n->contains_count;
  int64_t fit = 0;
  w->level++;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c && yoi_sdk__schema_alive(w);
       c = yoi_sdk_json_next(c)) {
    const struct schema_value value = {c, {NULL, 0}};
    fit += try(w, n->contains, &value, NULL);
  }
  w->level--;
  if (!yoi_sdk__schema_alive(w) || (fit >= b->min && fit <= b->max) ||
      !yoi_sdk__schema_counts(w, SCHEMA_LACKS))
    return;
  int64_t bound = fit < b->min ? b->min : b->max;
  yoi_str name = yoi_sdk__schema_shown(title(n->contains));
  yoi_sdk_buf_addf(&w->r.message, "must have at %s %lld item%s that fit%s ",
                   fit < b->min ? "least" : "most", (long long)bound, bound == 1 ? "" : "s",
                   bound == 1 ? "s" : "");
  if (name.len)
    yoi_sdk_buf_addf(&w->r.message, "'%.*s', ", YOI_ARG(name));
  else
    yoi_sdk_buf_adds(&w->r.message, YOI_LIT("'contains', "));
  yoi_sdk_buf_addf(&w->r.message, "and has %lld", (long long)fit);
  yoi_sdk__schema_tell(w, 0);
}
