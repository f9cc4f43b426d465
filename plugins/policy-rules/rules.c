/* rules.c - reads the rules, and finds those that fit.
 *
 *   a rule that denies fits            --> deny
 *   one that allows fits, and has room --> allow; its rate is counted
 *   such fit, and none has room        --> deny, as too often
 *   none fits                          --> abstain
 *
 * Invariants:
 *  1. A rule that can never fit is refused when it is read: a pattern that no
 *     operation has is a mistake, and a deny that does nothing is a hole.
 *  2. Nothing is counted for what is denied.
 *  3. Answers are made once; deciding allocates nothing.
 */
#include "rules.h"

#include <sdk/glob.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <stdio.h>
#include <string.h>
#include <yoi/limits.h>
#include <yoi/ops.h>
#include <yoi/request.h>

/* ---- reading --------------------------------------------------------------- */

static yoi_str text(const yoi_sdk_json *v, const char *name) {
  yoi_str s = {"", 0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s);
  return s;
}

static yoi_status refuse(const struct rule *r, yoi_error *err, const char *why, yoi_str what) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "rule '%.*s': %s '%.*s'", YOI_ARG(r->name),
                      why, YOI_ARG(what));
}

static yoi_status read_set(const yoi_sdk_json *v, const char *name, struct rules_set *out,
                           yoi_error *err) {
  const yoi_sdk_json *list = yoi_sdk_json_get(v, name);
  size_t n = list != NULL ? yoi_sdk_json_count(list) : 0;
  if (n == 0) return YOI_OK;
  yoi_str *patterns = yoi_sdk_calloc(n, sizeof *patterns);
  if (patterns == NULL) return yoi_sdk_fail_memory(err);
  out->patterns = patterns;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(list); e != NULL; e = yoi_sdk_json_next(e))
    (void)yoi_sdk_json_str(e, &patterns[out->n++]);
  return YOI_OK;
}

static yoi_status check_operations(const struct rule *r, yoi_error *err) {
  for (size_t i = 0; i < r->operations.n; i++) {
    yoi_str names[YOI_OP__END];
    size_t n = 0, fits = 0;
    for (uint32_t op = 1; op <= YOI_OP__END; op++) {
      names[n] = op < YOI_OP__END ? yoi_sdk_str(yoi_sdk_op_name(op)) : YOI_LIT("tool.start");
      fits += (size_t)yoi_sdk_glob(r->operations.patterns[i], names[n++]);
    }
    if (fits > 0) continue;
    yoi_str near = yoi_sdk_nearest(r->operations.patterns[i], names, n);
    yoi_status st = refuse(r, err, "no operation is called", r->operations.patterns[i]);
    if (near.len == 0) return st;
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "rule '%.*s': no operation is called '%.*s', did you mean '%.*s'",
                        YOI_ARG(r->name), YOI_ARG(r->operations.patterns[i]), YOI_ARG(near));
  }
  return YOI_OK;
}

static uint32_t read_origins(const yoi_sdk_json *v) {
  static const char *const names[] = {[YOI_ORIGIN_EMBED] = "embed",
                                      [YOI_ORIGIN_RUNTIME] = "runtime",
                                      [YOI_ORIGIN_BROWSER] = "browser"};
  const yoi_sdk_json *list = yoi_sdk_json_get(v, "origins");
  uint32_t bits = 0;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(list); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str s = {"", 0};
    (void)yoi_sdk_json_str(e, &s);
    for (uint32_t i = YOI_ORIGIN_EMBED; i <= YOI_ORIGIN_BROWSER; i++)
      if (yoi_sdk_str_is(s, names[i])) bits |= 1u << i;
  }
  return bits;
}

static yoi_status read_rate(struct rule *r, const yoi_sdk_json *v, yoi_error *err) {
  const yoi_sdk_json *rate = yoi_sdk_json_get(v, "rate");
  int64_t count = 0, per_ms = 0;
  if (rate == NULL) return YOI_OK;
  if (r->denies)
    return refuse(r, err, "a rate is for a rule that allows, and its decision is", YOI_LIT("deny"));
  (void)yoi_sdk_json_int(yoi_sdk_json_get(rate, "count"), &count);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(rate, "per_ms"), &per_ms);
  r->rate.buckets = yoi_sdk_calloc(RULES_PRINCIPALS_MAX, sizeof *r->rate.buckets);
  if (r->rate.buckets == NULL) return yoi_sdk_fail_memory(err);
  r->rate.count = (uint32_t)count;
  r->rate.per_ns = (uint64_t)per_ms * 1000000u;
  return YOI_OK;
}

static char *write_answer(const struct rule *r, const char *decision, yoi_str reason) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  size_t len;
  yoi_sdk_buf_init(&b, 4096);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "decision", yoi_sdk_str(decision));
  yoi_sdk_jsonw_kstr(&w, "rule", r->name);
  yoi_sdk_jsonw_kstr_opt(&w, "reason", reason);
  yoi_sdk_jsonw_close(&w, '}');
  char *out = b.failed ? NULL : yoi_sdk_buf_take(&b, &len);
  yoi_sdk_buf_release(&b);
  return out;
}

static yoi_status write_answers(struct rule *r, const yoi_sdk_json *v, yoi_error *err) {
  char often[96];
  int n = snprintf(often, sizeof often, "more than %u in %llu ms", r->rate.count,
                   (unsigned long long)(r->rate.per_ns / 1000000u));
  r->answer = write_answer(r, r->denies ? "deny" : "allow", text(v, "reason"));
  r->too_often = write_answer(r, "deny", (yoi_str){often, (size_t)n});
  return r->answer != NULL && r->too_often != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static yoi_status read_rule(const struct rules *all, struct rule *r, const yoi_sdk_json *v,
                            yoi_error *err) {
  r->name = text(v, "name");
  r->denies = yoi_sdk_str_is(text(v, "decision"), "deny");
  for (const struct rule *other = all->all; other < r; other++)
    if (yoi_sdk_str_eq(other->name, r->name))
      return refuse(r, err, "there is another of the name", r->name);
  yoi_status st = read_set(v, "operations", &r->operations, err);
  if (st == YOI_OK) st = read_set(v, "principals", &r->principals, err);
  if (st == YOI_OK) st = read_set(v, "runtimes", &r->runtimes, err);
  if (st == YOI_OK) st = read_set(v, "workers", &r->workers, err);
  r->origins = read_origins(v);
  if (st == YOI_OK) st = check_operations(r, err);
  if (st == YOI_OK) st = read_rate(r, v, err);
  return st == YOI_OK ? write_answers(r, v, err) : st;
}

yoi_status rules_open(struct rules *r, yoi_str config, yoi_error *err) {
  struct yoi_sdk_json_error jerr;
  *r = (struct rules){0};
  yoi_status st = yoi_sdk_json_parse(config, 0, &r->tree, &jerr);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "invalid config: %s", jerr.message);
  const yoi_sdk_json *list = yoi_sdk_json_get(r->tree, "rules");
  size_t n = yoi_sdk_json_count(list);
  if (n > RULES_MAX) {
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "more than %d rules", RULES_MAX);
  } else {
    r->all = yoi_sdk_calloc(n + 1, sizeof *r->all);
    if (r->all == NULL) st = yoi_sdk_fail_memory(err);
  }
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v != NULL && st == YOI_OK;
       v = yoi_sdk_json_next(v)) {
    pthread_mutex_init(&r->all[r->n].rate.mu, NULL);
    st = read_rule(r, &r->all[r->n++], v, err);
  }
  if (st != YOI_OK) rules_close(r);
  return st;
}

void rules_close(struct rules *r) {
  for (size_t i = 0; i < r->n; i++) {
    struct rule *x = &r->all[i];
    const struct rules_set sets[] = {x->operations, x->principals, x->runtimes, x->workers};
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++)
      yoi_sdk_free((void *)(uintptr_t)sets[k].patterns);
    yoi_sdk_free(x->rate.buckets);
    yoi_sdk_free(x->answer);
    yoi_sdk_free(x->too_often);
    pthread_mutex_destroy(&x->rate.mu);
  }
  yoi_sdk_free(r->all);
  yoi_sdk_json_free(r->tree);
  *r = (struct rules){0};
}

/* ---- deciding ---------------------------------------------------------------- */

static int has(const struct rules_set *s, yoi_str word) {
  size_t i = 0;
  while (i < s->n && !yoi_sdk_glob(s->patterns[i], word)) i++;
  return s->n == 0 || i < s->n;
}

static int fits(const struct rule *r, const yoi_policy_request *q) {
  return (r->origins == 0 || (q->origin < 32 && (r->origins >> q->origin & 1u) != 0)) &&
         has(&r->operations, q->operation) && has(&r->principals, q->principal) &&
         has(&r->runtimes, q->runtime_id) && has(&r->workers, q->worker_id);
}

static uint64_t hash_of(yoi_str s) {
  uint64_t h = 14695981039346656037u; /* FNV-1a: principals come from the config */
  for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * 1099511628211u;
  return h != 0 ? h : 1;
}

/* The principal's, else the one that nobody has used for longest: by then it is
 * most likely full again. */
static struct rules_bucket *bucket_of(struct rules_rate *rate, uint64_t principal) {
  struct rules_bucket *oldest = rate->buckets;
  for (size_t i = 0; i < RULES_PRINCIPALS_MAX; i++) {
    struct rules_bucket *b = &rate->buckets[i];
    if (b->principal == principal) return b;
    if (b->at_ns < oldest->at_ns) oldest = b;
  }
  *oldest = (struct rules_bucket){.principal = principal, .left = rate->count};
  return oldest;
}

static int has_room(struct rules_rate *rate, yoi_str principal, uint64_t now_ns) {
  if (rate->count == 0) return 1;
  uint64_t id = hash_of(principal);
  pthread_mutex_lock(&rate->mu);
  struct rules_bucket *b = bucket_of(rate, id);
  uint64_t passed = now_ns > b->at_ns ? now_ns - b->at_ns : 0;
  b->left += (double)passed * rate->count / (double)rate->per_ns;
  if (b->left > rate->count) b->left = rate->count;
  b->at_ns = now_ns;
  int room = b->left >= 1;
  if (room) b->left -= 1;
  pthread_mutex_unlock(&rate->mu);
  return room;
}

const char *rules_decide(struct rules *r, const yoi_policy_request *req, uint64_t now_ns) {
  struct rule *full = NULL;
  for (size_t i = 0; i < r->n; i++)
    if (r->all[i].denies && fits(&r->all[i], req)) return r->all[i].answer;
  for (size_t i = 0; i < r->n; i++) {
    struct rule *x = &r->all[i];
    if (x->denies || !fits(x, req)) continue;
    if (has_room(&x->rate, req->principal, now_ns)) return x->answer;
    if (full == NULL) full = x;
  }
  return full != NULL ? full->too_often : "{\"decision\":\"abstain\"}";
}
