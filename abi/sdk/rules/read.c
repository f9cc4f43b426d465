/* read.c - reads the rules.
 *
 * Invariants:
 *  1. A rule that can never fit is refused: a pattern that no operation has, or
 *     that no path or host can have, is a mistake, and a deny that does nothing
 *     is a hole.
 *  2. A rule that names something of a tool, and one that asks, is about calls
 *     of tools. One that allows and names neither that nor operations is about
 *     everything but calls of tools: these are allowed where it is said. A rule of
 *     a bundle is about calls of tools whatever it names.
 *  3. A rule is about generations of a model when it names "model." in its
 *     operations, or tokens; "*" does not reach them. What was written about
 *     callers stays about callers, and of the door nobody knows any more by then.
 *  4. Answers are made here once.
 */
#include <sdk/glob.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <stdio.h>
#include <string.h>
#include <yoi/limits.h>
#include <yoi/ops.h>
#include <yoi/request.h>

#include "hostname.h"
#include "internal.h"
#include "path.h"

struct reading {
  struct yoi_sdk_rules *rules;
  struct rule *rule;  /* the current one */
  uint32_t at;        /* its number */
  const char *member; /* what of it is read */
  const yoi_sdk_json *v;
  int of_bundle;
  yoi_error *err;
};

static yoi_str text(const yoi_sdk_json *v, const char *name) {
  yoi_str s = {"", 0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s);
  return s;
}

static yoi_status refuse(const struct reading *r, const char *why, yoi_str what) {
  return yoi_sdk_fail(r->err, YOI_CODE_INVALID_REQUEST, "rule '%.*s': %s '%.*s'",
                      YOI_ARG(r->rule->name), why, YOI_ARG(what));
}

/* ---- names --------------------------------------------------------------------- */

static const struct {
  const char *member;
  int of_tools;
} names[RULES_NAMES] = {
    [OPERATION] = {"operations", 0}, [PRINCIPAL] = {"principals", 0}, [RUNTIME] = {"runtimes", 0},
    [WORKER] = {"workers", 0},       [TOOL] = {"tools", 1},           [PLUGIN] = {"plugins", 1},
    [GRANT] = {"grants", 1},
};

static yoi_status read_names(struct reading *r, enum rules_name name) {
  struct rules_named *named = &r->rules->names[name];
  r->member = names[name].member;
  const yoi_sdk_json *e = yoi_sdk_json_first(yoi_sdk_json_get(r->v, names[name].member));
  for (; e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str pattern = {"", 0};
    (void)yoi_sdk_json_str(e, &pattern);
    if (!yoi__sdk_rules_index_add(&named->index, pattern, r->at))
      return yoi_sdk_fail_memory(r->err);
    bits_set(&named->by, r->at);
  }
  return YOI_OK;
}

/* What is asked about: the operations, calls of tools, generations of models. */
#define CALL YOI_OP__END
#define MODEL (YOI_OP__END + 1)

static yoi_str asked_about(uint32_t i) {
  return i < CALL    ? yoi_sdk_str(yoi_sdk_op_name(i))
         : i == CALL ? YOI_LIT("tool.start")
                     : YOI_LIT("model.start");
}

static yoi_status no_operation(const struct reading *r, yoi_str pattern) {
  yoi_str all[MODEL];
  for (uint32_t i = 1; i <= MODEL; i++) all[i - 1] = asked_about(i);
  yoi_str near = yoi_sdk_nearest(pattern, all, MODEL);
  if (near.len == 0) return refuse(r, "no operation is called", pattern);
  return yoi_sdk_fail(r->err, YOI_CODE_INVALID_REQUEST,
                      "rule '%.*s': no operation is called '%.*s', did you mean '%.*s'",
                      YOI_ARG(r->rule->name), YOI_ARG(pattern), YOI_ARG(near));
}

static int is_of_models(yoi_str pattern) {
  return yoi_sdk_str_starts(pattern, YOI_LIT("model.")) &&
         yoi_sdk_glob(pattern, asked_about(MODEL));
}

/* What the patterns of a rule reach. */
struct reach {
  int operations, calls, models;
};

static yoi_status check_operations(const struct reading *r, struct reach *out) {
  const yoi_sdk_json *e = yoi_sdk_json_first(yoi_sdk_json_get(r->v, "operations"));
  for (; e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str pattern = {"", 0};
    uint32_t i = 1;
    (void)yoi_sdk_json_str(e, &pattern);
    while (i < CALL && !yoi_sdk_glob(pattern, asked_about(i))) i++;
    int calls = yoi_sdk_glob(pattern, asked_about(CALL)), models = is_of_models(pattern);
    if (i == CALL && !calls && !models) return no_operation(r, pattern);
    out->operations |= i < CALL;
    out->calls |= calls;
    out->models |= models;
  }
  return YOI_OK;
}

/* ---- arguments ------------------------------------------------------------------- */

static const struct {
  const char *member, *otherwise; /* of which argument a plain list is */
} compared[] = {
    [INDEX_TEXT] = {"arguments", ""},
    [INDEX_PATH] = {"paths", "path"},
    [INDEX_HOST] = {"hosts", "url"},
};

static yoi_status find_argument(struct reading *r, uint32_t kind, yoi_str key,
                                struct rules_argument **out) {
  struct yoi_sdk_rules *all = r->rules;
  for (uint32_t i = 0; i < all->n_arguments; i++) {
    *out = &all->arguments[i];
    if ((*out)->named.index.kind == kind && yoi_sdk_str_eq((*out)->key, key)) return YOI_OK;
  }
  if (all->n_arguments == RULES_ARGUMENTS_MAX)
    return yoi_sdk_fail(r->err, YOI_CODE_LIMIT_REACHED,
                        "rule '%.*s': more than %d arguments are looked at by all rules",
                        YOI_ARG(r->rule->name), RULES_ARGUMENTS_MAX);
  struct rules_argument *a = *out = &all->arguments[all->n_arguments++];
  a->named.index.kind = kind;
  a->key = key;
  const char *why = yoi__sdk_rules_value_place_open(&a->place, key);
  if (a->place.steps == NULL) return yoi_sdk_fail_memory(r->err);
  return why == NULL ? YOI_OK : refuse(r, why, key);
}

static int has_two_of(yoi_str s, char c) {
  for (size_t i = 1; i < s.len; i++)
    if (s.ptr[i] == c && s.ptr[i - 1] == c) return 1;
  return 0;
}

static yoi_status add_pattern(struct reading *r, struct rules_argument *a, yoi_str pattern) {
  char room[VALUE_MAX];
  const char *why = NULL;
  yoi_str made = {room, 0};
  switch (a->named.index.kind) {
    case INDEX_PATH:
      why = yoi__sdk_rules_path_pattern(pattern, room, sizeof room, &made.len);
      break;
    case INDEX_HOST:
      why = yoi__sdk_rules_hostname_pattern(pattern, room, &made.len);
      break;
    default:
      made = pattern;
      if (has_two_of(pattern, '*')) why = "'**' is for 'paths', where '..' is seen";
      if (has_two_of(pattern, '.')) bits_set(&a->dots, r->at);
  }
  if (why != NULL)
    return yoi_sdk_fail(r->err, YOI_CODE_INVALID_REQUEST, "rule '%.*s': the pattern '%.*s': %s",
                        YOI_ARG(r->rule->name), YOI_ARG(pattern), why);
  if (!yoi__sdk_rules_index_add(&a->named.index, made, r->at)) return yoi_sdk_fail_memory(r->err);
  bits_set(&a->named.by, r->at);
  return YOI_OK;
}

/* A pattern, or several of which one has to fit. */
static yoi_status add_patterns(struct reading *r, uint32_t kind, yoi_str key,
                               const yoi_sdk_json *v) {
  struct rules_argument *a = NULL;
  yoi_str pattern = {"", 0};
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY && yoi_sdk_json_count(v) == 0) return YOI_OK;
  yoi_status st = find_argument(r, kind, key, &a);
  if (st == YOI_OK && yoi_sdk_json_str(v, &pattern)) return add_pattern(r, a, pattern);
  const yoi_sdk_json *e = yoi_sdk_json_first(v);
  for (; e != NULL && st == YOI_OK; e = yoi_sdk_json_next(e)) {
    (void)yoi_sdk_json_str(e, &pattern);
    st = add_pattern(r, a, pattern);
  }
  return st;
}

static yoi_status read_arguments(struct reading *r, uint32_t kind) {
  const yoi_sdk_json *v = yoi_sdk_json_get(r->v, compared[kind].member), *e;
  yoi_status st = YOI_OK;
  r->member = compared[kind].member;
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY)
    return add_patterns(r, kind, yoi_sdk_str(compared[kind].otherwise), v);
  for (e = yoi_sdk_json_first(v); e != NULL && st == YOI_OK; e = yoi_sdk_json_next(e))
    st = add_patterns(r, kind, yoi_sdk_json_key(e), e);
  return st;
}

/* ---- what a rule is about ---------------------------------------------------------- */

static int is_about_tools(const struct reading *r) {
  const struct yoi_sdk_rules *all = r->rules;
  int about = yoi_sdk_json_get(r->v, "read_only") != NULL;
  for (uint32_t i = 0; i < RULES_NAMES; i++)
    about |= names[i].of_tools && bits_has(&all->names[i].by, r->at);
  for (uint32_t i = 0; i < all->n_arguments; i++)
    about |= bits_has(&all->arguments[i].named.by, r->at);
  return about;
}

/* A rule about generations can only deny, and knows of no door and no tool. */
static yoi_status check_models(const struct reading *r, int tools) {
  if (r->rule->decision != YOI_VERDICT_DENY)
    return refuse(r, "a model is called unless a rule denies it, and the decision is",
                  text(r->v, "decision"));
  if (tools) return refuse(r, "what it names is known of nothing but", YOI_LIT("tool.start"));
  if (yoi_sdk_json_count(yoi_sdk_json_get(r->v, "origins")) > 0)
    return refuse(r, "the door is not known of", YOI_LIT("model.start"));
  return YOI_OK;
}

static yoi_status read_kind(struct reading *r) {
  struct yoi_sdk_rules *all = r->rules;
  r->member = NULL;
  if (r->of_bundle) {
    bits_set(&all->of_calls, r->at);
    return YOI_OK;
  }
  struct reach reach = {0};
  int named = bits_has(&all->names[OPERATION].by, r->at);
  int tools = is_about_tools(r), asks = r->rule->decision == YOI_VERDICT_ASK;
  r->rule->of_tokens = yoi_sdk_json_get(r->v, "tokens") != NULL;
  yoi_status st = check_operations(r, &reach);
  if (st == YOI_OK && (reach.models || r->rule->of_tokens)) st = check_models(r, tools);
  if (st != YOI_OK) return st;
  if (r->rule->of_tokens && named && (reach.operations || reach.calls || !reach.models))
    return refuse(r, "tokens are known of nothing but", YOI_LIT("model.start"));
  if (reach.models || r->rule->of_tokens) bits_set(&all->of_models, r->at);
  if (r->rule->of_tokens) return YOI_OK;
  if (named && !reach.calls && (tools || asks))
    return refuse(
        r,
        asks ? "a person can be asked about nothing but" : "what it names is known of nothing but",
        YOI_LIT("tool.start"));
  if (named || tools || r->rule->decision != YOI_VERDICT_ALLOW) bits_set(&all->of_calls, r->at);
  if (!tools && !asks) bits_set(&all->of_operations, r->at);
  return YOI_OK;
}

static void read_origins(struct reading *r) {
  static const char *const origins[] = {"", "embed", "runtime", "browser"};
  const yoi_sdk_json *list = yoi_sdk_json_get(r->v, "origins"), *e;
  uint32_t said = 0;
  for (e = yoi_sdk_json_first(list); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str s = {"", 0};
    (void)yoi_sdk_json_str(e, &s);
    for (uint32_t i = YOI_ORIGIN_EMBED; i <= YOI_ORIGIN_BROWSER; i++)
      if (yoi_sdk_str_is(s, origins[i])) said |= 1u << i;
  }
  if (r->rule->decision != YOI_VERDICT_ALLOW) said |= said != 0; /* by a door not known, too */
  for (uint32_t i = 0; i <= YOI_ORIGIN_BROWSER; i++)
    if (said == 0 || (said >> i & 1u) != 0) bits_set(&r->rules->of_origin[i], r->at);
}

static void read_read_only(struct reading *r) {
  int wanted = 0;
  int any = !yoi_sdk_json_bool(yoi_sdk_json_get(r->v, "read_only"), &wanted);
  if (any || wanted) bits_set(&r->rules->of_reads, r->at);
  if (any || !wanted) bits_set(&r->rules->of_writes, r->at);
}

static void read_decision(struct reading *r) {
  yoi_str word = text(r->v, "decision");
  int asks = yoi_sdk_str_is(word, "ask"), allows = yoi_sdk_str_is(word, "allow");
  r->rule->decision = allows ? YOI_VERDICT_ALLOW : asks ? YOI_VERDICT_ASK : YOI_VERDICT_DENY;
  bits_set(allows ? &r->rules->allow : asks ? &r->rules->ask : &r->rules->deny, r->at);
}

/* ---- quotas ------------------------------------------------------------------------ */

static uint32_t read_per(const yoi_sdk_json *v) {
  static const char *const per[] = {"principal", "runtime", "worker", "tool"};
  const yoi_sdk_json *e = yoi_sdk_json_get(v, "per");
  uint32_t bits = 0;
  if (e == NULL) return QUOTA_PER_PRINCIPAL;
  for (e = yoi_sdk_json_first(e); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str s = {"", 0};
    (void)yoi_sdk_json_str(e, &s);
    for (uint32_t i = 0; i < 4; i++)
      if (yoi_sdk_str_is(s, per[i])) bits |= 1u << i;
  }
  return bits;
}

static yoi_status read_quota(struct reading *r, const char *member, uint32_t not_of,
                             const char *why, struct quota *out) {
  const yoi_sdk_json *v = yoi_sdk_json_get(r->v, member), *most;
  int64_t count = 0, per_ms = 0;
  if (v == NULL) return YOI_OK;
  r->member = member;
  if (out->most > 0) return refuse(r, "it cannot have 'above' and", yoi_sdk_str(member));
  if (r->rule->decision == not_of) return refuse(r, why, text(r->v, "decision"));
  most = yoi_sdk_json_get(v, "count");
  (void)yoi_sdk_json_int(most != NULL ? most : yoi_sdk_json_get(v, "max"), &count);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(v, "per_ms"), &per_ms);
  int window = out == &r->rule->above;
  if (window) bits_set(&r->rules->above, r->at);
  return yoi__sdk_rules_quota_open(out, window, read_per(v), (uint64_t)count,
                                   (uint64_t)per_ms * 1000000u)
             ? YOI_OK
             : yoi_sdk_fail_memory(r->err);
}

static yoi_status read_quotas(struct reading *r) {
  yoi_status st =
      read_quota(r, "rate", YOI_VERDICT_DENY,
                 "a rate is for a rule that allows or asks, and its decision is", &r->rule->rate);
  if (st == YOI_OK)
    st = read_quota(r, "above", YOI_VERDICT_ALLOW,
                    "'above' is for a rule that denies or asks, and its decision is",
                    &r->rule->above);
  return st != YOI_OK ? st : read_quota(r, "tokens", YOI_VERDICT_ABSTAIN, "", &r->rule->above);
}

/* ---- answers ----------------------------------------------------------------------- */

static int write_answer(struct yoi_sdk_rules_answer *out, const struct rule *r, yoi_str decision,
                        yoi_str reason) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, 4096);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "decision", decision);
  yoi_sdk_jsonw_kstr(&w, "rule", r->name);
  yoi_sdk_jsonw_kstr_opt(&w, "reason", reason);
  yoi_sdk_jsonw_close(&w, '}');
  out->rule = r->name;
  out->reason = reason;
  out->json.ptr = b.failed ? NULL : yoi_sdk_buf_take(&b, &out->json.len);
  yoi_sdk_buf_release(&b);
  return out->json.ptr != NULL;
}

static yoi_status write_answers(struct reading *r) {
  struct rule *x = r->rule;
  const struct quota *q = x->above.most > 0 ? &x->above : &x->rate;
  int n = snprintf(x->often, sizeof x->often, "more than %llu%s in %llu ms",
                   (unsigned long long)q->most, x->of_tokens ? " tokens" : "",
                   (unsigned long long)(q->per_ns / 1000000u));
  yoi_str reason = text(r->v, "reason"), too_often = {x->often, (size_t)n};
  if (reason.len == 0 && x->above.most > 0) reason = too_often;
  x->answer.verdict = x->decision;
  x->too_often.verdict = YOI_VERDICT_DENY;
  return write_answer(&x->answer, x, text(r->v, "decision"), reason) &&
                 write_answer(&x->too_often, x, YOI_LIT("deny"), too_often)
             ? YOI_OK
             : yoi_sdk_fail_memory(r->err);
}

/* ---- all of it --------------------------------------------------------------------- */

static yoi_status read_rule(struct reading *r) {
  yoi_status st = YOI_OK;
  r->member = "name";
  r->rule->name = text(r->v, "name");
  for (const struct rule *other = r->rules->all; other < r->rule; other++)
    if (yoi_sdk_str_eq(other->name, r->rule->name))
      return refuse(r, "there is another of the name", r->rule->name);
  read_decision(r);
  read_origins(r);
  read_read_only(r);
  for (uint32_t i = 0; i < RULES_NAMES && st == YOI_OK; i++) st = read_names(r, (enum rules_name)i);
  for (uint32_t i = INDEX_TEXT; i <= INDEX_HOST && st == YOI_OK; i++) st = read_arguments(r, i);
  if (st == YOI_OK) st = read_kind(r);
  if (st == YOI_OK) st = read_quotas(r);
  return st == YOI_OK ? write_answers(r) : st;
}

static int build(struct yoi_sdk_rules *r) {
  int good = 1;
  for (uint32_t i = 0; i < RULES_NAMES; i++)
    good = yoi__sdk_rules_index_build(&r->names[i].index) && good;
  for (uint32_t i = 0; i < r->n_arguments; i++)
    good = yoi__sdk_rules_index_build(&r->arguments[i].named.index) && good;
  return good;
}

static yoi_status read_all(struct reading *r, const yoi_sdk_json *list) {
  struct yoi_sdk_rules *all = r->rules;
  size_t n = yoi_sdk_json_count(list);
  if (n > RULES_MAX)
    return yoi_sdk_fail(r->err, YOI_CODE_LIMIT_REACHED, "more than %d rules", RULES_MAX);
  all->all = yoi_sdk_calloc(n + 1, sizeof *all->all);
  all->arguments = yoi_sdk_calloc(RULES_ARGUMENTS_MAX, sizeof *all->arguments);
  if (all->all == NULL || all->arguments == NULL) return yoi_sdk_fail_memory(r->err);
  for (r->v = yoi_sdk_json_first(list); r->v != NULL; r->v = yoi_sdk_json_next(r->v)) {
    r->at = all->n++;
    r->rule = &all->all[r->at];
    yoi_status st = read_rule(r);
    if (st != YOI_OK) return st;
  }
  return build(all) ? YOI_OK : yoi_sdk_fail_memory(r->err);
}

yoi_status yoi__sdk_rules_read(yoi_sdk_json *tree, const yoi_sdk_json *list, int of_bundle,
                               struct yoi_sdk_rules **out, struct rules_where *where,
                               yoi_error *err) {
  struct yoi_sdk_rules *all = yoi_sdk_calloc(1, sizeof *all);
  if (all == NULL) {
    yoi_sdk_json_free(tree);
    return yoi_sdk_fail_memory(err);
  }
  all->tree = tree;
  struct reading r = {.rules = all, .of_bundle = of_bundle, .err = err};
  yoi_status st = read_all(&r, list);
  *where = (struct rules_where){r.at, r.rule != NULL ? r.member : NULL, r.rule != NULL};
  if (st == YOI_OK)
    *out = all;
  else
    yoi_sdk_rules_free(all);
  return st;
}

yoi_status yoi_sdk_rules_new(yoi_str config, struct yoi_sdk_rules **out, yoi_error *err) {
  struct yoi_sdk_json_error jerr;
  struct rules_where where;
  yoi_sdk_json *tree = NULL;
  if (yoi_sdk_json_parse(config, 0, &tree, &jerr) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "invalid config: %s", jerr.message);
  return yoi__sdk_rules_read(tree, yoi_sdk_json_get(tree, "rules"), 0, out, &where, err);
}

void yoi_sdk_rules_free(struct yoi_sdk_rules *r) {
  if (r == NULL) return;
  for (uint32_t i = 0; i < r->n; i++) {
    yoi__sdk_rules_quota_close(&r->all[i].rate);
    yoi__sdk_rules_quota_close(&r->all[i].above);
    yoi_sdk_str_free(&r->all[i].answer.json);
    yoi_sdk_str_free(&r->all[i].too_often.json);
  }
  for (uint32_t i = 0; i < RULES_NAMES; i++) yoi__sdk_rules_index_free(&r->names[i].index);
  for (uint32_t i = 0; i < r->n_arguments; i++) {
    yoi__sdk_rules_index_free(&r->arguments[i].named.index);
    yoi__sdk_rules_value_place_close(&r->arguments[i].place);
  }
  yoi_sdk_free(r->arguments);
  yoi_sdk_free(r->all);
  yoi_sdk_json_free(r->tree);
  yoi_sdk_free(r);
}
