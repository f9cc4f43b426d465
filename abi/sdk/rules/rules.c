/* rules.c - finds the rules that fit, and the one that counts.
 *
 *   a deny fits                             --> deny
 *   an "above" that denies has no room      --> deny
 *   an ask fits, or an "above" that asks
 *     has no room                           --> ask
 *   an allow fits                           --> allow
 *   none fits                               --> abstain
 *
 * and an ask or allow that fits and has no room in its rate is passed over;
 * when all are, it is deny, as too often.
 *
 * What rules name is looked up once for all of them: each thing that is named
 * takes away the rules that do not fit, as a set of bits.
 *
 * Invariants:
 *  1. What cannot be compared (a path with "..", a URL that readers differ
 *     about, a text that is too long, a door that is not known) fits no rule
 *     that allows, and each that asks or denies.
 *  2. Of several values (an array, the grants of a call) all must fit a rule
 *     that allows, and one is enough for a rule that asks or denies.
 *  3. Nothing is counted for what this policy denies, and nothing twice for a
 *     call that was counted before.
 */
#include "internal.h"

/* ---- what fits ------------------------------------------------------------------- */

static void leave(struct bits *fit, const struct bits *by, const struct bits *found) {
  for (uint32_t i = 0; i < BITS_WORDS; i++) fit->w[i] &= ~by->w[i] | found->w[i];
}

static void look_up(const struct rules_named *named, yoi_str text, struct bits *fit) {
  struct bits found = {{0}};
  if (named->index.n == 0) return;
  yoi__sdk_rules_index_find(&named->index, text, &found);
  leave(fit, &named->by, &found);
}

/* Of several values: whom all fit, and whom one does. */
struct several {
  struct bits all, one;
  uint32_t n;
};

static void look_at(const struct rules_named *named, const struct bits *dots, yoi_str raw,
                    struct several *s) {
  struct value v;
  struct bits found = {{0}};
  int clear = s->n++ < RULES_ELEMENTS_MAX && yoi__sdk_rules_value_read(&v, named->index.kind, raw);
  if (s->n > RULES_ELEMENTS_MAX) return;
  if (clear) {
    yoi__sdk_rules_index_find(&named->index, v.text, &found);
    bits_or(&s->one, &found);
    if (v.dots && dots != NULL) bits_and(&found, dots);
  } else {
    s->one = named->by;
  }
  bits_and(&s->all, &found);
  yoi__sdk_rules_value_release(&v);
}

/* raw: a value, or an array of them. empty: what fits when there is none. */
static void look_at_all(const struct yoi_sdk_rules *r, const struct rules_named *named,
                        const struct bits *dots, yoi_str raw, const struct bits *empty,
                        struct bits *fit) {
  struct several s = {.all = named->by};
  struct bits found = {{0}};
  yoi_str e;
  size_t pos = 0;
  if (raw.len > 0 && raw.ptr[0] != '[') look_at(named, dots, raw, &s);
  if (raw.len > 0 && raw.ptr[0] == '[')
    while (s.n <= RULES_ELEMENTS_MAX && yoi_sdk_json_raw_each(raw, &pos, &e))
      look_at(named, dots, e, &s);
  if (s.n > RULES_ELEMENTS_MAX) {
    s.all = found;
    s.one = named->by;
  }
  for (uint32_t i = 0; i < BITS_WORDS; i++)
    found.w[i] =
        s.n == 0 ? empty->w[i] : (s.all.w[i] & r->allow.w[i]) | (s.one.w[i] & ~r->allow.w[i]);
  leave(fit, &named->by, &found);
}

static int is_asked_about(const struct rules_named *named, const struct bits *fit) {
  return bits_next(&named->by, fit, 0) < RULES_MAX;
}

static void look_into_call(const struct yoi_sdk_rules *r, const yoi_policy_request *q,
                           struct bits *fit) {
  static const struct bits none;
  const struct rules_named *grants = &r->names[GRANT];
  bits_and(fit, q->tool_flags & YOI_TOOL_READ_ONLY ? &r->of_reads : &r->of_writes);
  look_up(&r->names[TOOL], q->tool, fit);
  look_up(&r->names[PLUGIN], q->plugin, fit);
  /* A call without grants uses nothing but what a rule names. */
  if (is_asked_about(grants, fit)) look_at_all(r, grants, NULL, q->grants, &r->allow, fit);
  for (uint32_t i = 0; i < r->n_arguments; i++) {
    const struct rules_argument *a = &r->arguments[i];
    if (is_asked_about(&a->named, fit))
      look_at_all(r, &a->named, &a->dots, yoi__sdk_rules_value_find(&a->place, q->arguments), &none,
                  fit);
  }
}

static struct bits that_fit(const struct yoi_sdk_rules *r, const yoi_policy_request *q) {
  int call = yoi_sdk_str_is(q->operation, "tool.start");
  int model = yoi_sdk_str_is(q->operation, "model.start");
  struct bits fit = call ? r->of_calls : model ? r->of_models : r->of_operations;
  bits_and(&fit, &r->of_origin[q->origin < 4 ? q->origin : 0]);
  look_up(&r->names[OPERATION], q->operation, &fit);
  look_up(&r->names[PRINCIPAL], q->principal, &fit);
  look_up(&r->names[RUNTIME], q->runtime_id, &fit);
  look_up(&r->names[WORKER], q->worker_id, &fit);
  if (call) look_into_call(r, q, &fit);
  return fit;
}

/* ---- which counts ------------------------------------------------------------------ */

struct deciding {
  struct yoi_sdk_rules *r;
  const yoi_policy_request *q;
  uint64_t now_ns;
  struct bits fit;
};

static uint64_t amount_of(const struct rule *x, const yoi_policy_request *q) {
  return x->of_tokens ? q->tokens : 1;
}

/* Takes from each "above" that fits and decides so, those in *taken. The first
 * that has no room; NULL: all have. */
static struct rule *count_above(const struct deciding *d, struct bits *taken, uint32_t decision) {
  struct rule *full = NULL;
  for (uint32_t i = 0; (i = bits_next(&d->fit, &d->r->above, i)) < RULES_MAX; i++) {
    struct rule *x = &d->r->all[i];
    if (x->decision != decision) continue;
    uint64_t amount = amount_of(x, d->q);
    if (amount == 0) continue;
    if (yoi__sdk_rules_quota_take(&x->above, d->q, amount, d->now_ns))
      bits_set(taken, i);
    else if (full == NULL)
      full = x;
  }
  return full;
}

static void give_back(const struct deciding *d, const struct bits *taken) {
  for (uint32_t i = 0; (i = bits_next(taken, taken, i)) < RULES_MAX; i++)
    yoi__sdk_rules_quota_give(&d->r->all[i].above, d->q, amount_of(&d->r->all[i], d->q), d->now_ns);
}

/* The first that fits and has room in its rate; else *out_full is one that fits. */
static struct rule *first(const struct deciding *d, const struct bits *kind,
                          struct rule **out_full) {
  for (uint32_t i = 0; (i = bits_next(&d->fit, kind, i)) < RULES_MAX; i++) {
    struct rule *x = &d->r->all[i];
    if (bits_has(&d->r->above, i)) continue;
    if (d->q->asked_again || yoi__sdk_rules_quota_take(&x->rate, d->q, 1, d->now_ns)) return x;
    if (*out_full == NULL) *out_full = x;
  }
  return NULL;
}

#define ABSTAIN "{\"decision\":\"abstain\"}"
static const struct yoi_sdk_rules_answer abstained = {
    .verdict = YOI_VERDICT_ABSTAIN,
    .json = {ABSTAIN, sizeof ABSTAIN - 1},
};

const struct yoi_sdk_rules_answer *yoi_sdk_rules_decide(struct yoi_sdk_rules *r,
                                                        const yoi_policy_request *req,
                                                        uint64_t now_ns) {
  struct deciding d = {r, req, now_ns, that_fit(r, req)};
  struct bits taken = {{0}};
  struct rule *x, *full = NULL, *asks = NULL;
  for (uint32_t i = 0; (i = bits_next(&d.fit, &r->deny, i)) < RULES_MAX; i++)
    if (!bits_has(&r->above, i)) return &r->all[i].answer;
  if (!req->asked_again) {
    x = count_above(&d, &taken, YOI_VERDICT_DENY);
    if (x == NULL) asks = count_above(&d, &taken, YOI_VERDICT_ASK);
    if (x != NULL) {
      give_back(&d, &taken);
      return &x->answer;
    }
  }
  x = first(&d, &r->ask, &full);
  if (x == NULL && full == NULL) x = asks;
  if (x == NULL && full == NULL) x = first(&d, &r->allow, &full);
  if (x != NULL) return &x->answer;
  if (full == NULL) return &abstained;
  give_back(&d, &taken);
  return &full->too_often;
}
