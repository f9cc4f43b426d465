/* bundle.c - reads the rules of a bundle, of which nobody has checked anything.
 *
 * They are checked against the schema of rules, which also stands in the manifest
 * of the plugin dev.yoi.policy-rules (a test holds the two together). Of what that
 * allows, a bundle cannot say what is about callers and budgets.
 *
 * Invariants:
 *  1. What a bundle says and what nothing would enforce is refused, also where
 *     it would change nothing, as an empty array of principals.
 *  2. What is no rule at all is told before what is one that is not for bundles.
 */
#include <sdk/embed.h>
#include <sdk/jsonw.h>
#include <sdk/schema.h>
#include <stdio.h>

#include "internal.h"

YOI_SDK_EMBED(yoi__sdk_rules_schema, "abi/sdk/rules/rules.schema.json");

#define POINTER_MAX 256 /* as of json.h; a longer one is left out */

static void point_at(yoi_error *err, const char *pointer) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, YOI_ERROR_DETAILS_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "pointer", yoi_sdk_str(pointer));
  yoi_sdk_jsonw_close(&w, '}');
  if (!b.failed) yoi_sdk_fail_details(err, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
}

/* ---- the shape ------------------------------------------------------------------- */

struct shape {
  yoi_error *err;
  yoi_status st; /* of the first finding */
};

static void on_finding(void *ctx, const char *pointer, int is_key, const char *message) {
  struct shape *s = ctx;
  (void)is_key;
  if (s->st != YOI_OK) return;
  s->st = yoi_sdk_fail(s->err, YOI_CODE_BUNDLE_INVALID, "the rules%s%s: %s",
                       pointer[0] != '\0' ? " at " : "", pointer, message);
  point_at(s->err, pointer);
}

static yoi_status check_shape(const yoi_sdk_json *list, yoi_error *err) {
  struct shape s = {err, YOI_OK};
  yoi_sdk_json *schema = NULL;
  yoi_str text = {yoi__sdk_rules_schema,
                  (size_t)(yoi__sdk_rules_schema_end - yoi__sdk_rules_schema)};
  yoi_status st = yoi_sdk_json_parse(text, 0, &schema, NULL);
  if (st == YOI_OK) st = yoi_sdk_schema_check(schema, list, "", on_finding, &s);
  yoi_sdk_json_free(schema);
  return st == YOI_OK || s.st != YOI_OK ? s.st : yoi_sdk_fail_memory(err);
}

/* ---- what a bundle cannot say ------------------------------------------------------ */

static yoi_status refuse(yoi_error *err, const yoi_sdk_json *rule, uint32_t at, const char *where,
                         const char *why) {
  char pointer[POINTER_MAX];
  yoi_str name = {"", 0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(rule, "name"), &name);
  yoi_status st =
      yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION, "rule '%.*s': %s", YOI_ARG(name), why);
  snprintf(pointer, sizeof pointer, "/%u/%s", at, where);
  point_at(err, pointer);
  return st;
}

/* A runtime does not know by which id it is called. */
static yoi_status check_per(const yoi_sdk_json *rule, uint32_t at, const char *member,
                            yoi_error *err) {
  const yoi_sdk_json *per = yoi_sdk_json_get(yoi_sdk_json_get(rule, member), "per");
  const yoi_sdk_json *e = yoi_sdk_json_first(per);
  for (uint32_t i = 0; e != NULL; e = yoi_sdk_json_next(e), i++) {
    char where[64], why[128];
    yoi_str whose = {"", 0};
    (void)yoi_sdk_json_str(e, &whose);
    if (!yoi_sdk_str_is(whose, "runtime")) continue;
    snprintf(where, sizeof where, "%s/per/%u", member, i);
    snprintf(why, sizeof why,
             "'%s' of a bundle counts per principal, worker or tool, not per "
             "'runtime'",
             member);
    return refuse(err, rule, at, where, why);
  }
  return YOI_OK;
}

static yoi_status check_rule(const yoi_sdk_json *rule, uint32_t at, yoi_error *err) {
  static const char *const others[] = {"operations", "principals", "origins",
                                       "runtimes",   "workers",    "tokens"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    char why[128];
    if (yoi_sdk_json_get(rule, others[i]) == NULL) continue;
    snprintf(why, sizeof why, "in a bundle it is about calls of tools and cannot have '%s'",
             others[i]);
    return refuse(err, rule, at, others[i], why);
  }
  yoi_status st = check_per(rule, at, "rate", err);
  return st == YOI_OK ? check_per(rule, at, "above", err) : st;
}

static yoi_status check_said(const yoi_sdk_json *list, yoi_error *err) {
  yoi_status st = YOI_OK;
  uint32_t at = 0;
  const yoi_sdk_json *e = yoi_sdk_json_first(list);
  for (; e != NULL && st == YOI_OK; e = yoi_sdk_json_next(e)) st = check_rule(e, at++, err);
  return st;
}

/* ---- all of it --------------------------------------------------------------------- */

static yoi_status read_list(yoi_sdk_json *list, struct yoi_sdk_rules **out, yoi_error *err) {
  struct rules_where where;
  struct yoi_sdk_error said;
  char pointer[POINTER_MAX];
  yoi_error *why = yoi_sdk_error_init(&said);
  yoi_status st = yoi__sdk_rules_read(list, list, 1, out, &where, why);
  if (st == YOI_OK) return st;
  if (why->code == YOI_CODE_INTERNAL) return yoi_sdk_fail_memory(err);
  st = yoi_sdk_fail(err, YOI_CODE_BUNDLE_INVALID, "%s", said.message);
  pointer[0] = '\0';
  if (where.known)
    snprintf(pointer, sizeof pointer, "/%u%s%s", where.at, where.member != NULL ? "/" : "",
             where.member != NULL ? where.member : "");
  point_at(err, pointer);
  return st;
}

yoi_status yoi_sdk_rules_of_bundle(yoi_str rules, struct yoi_sdk_rules **out, yoi_error *err) {
  struct yoi_sdk_json_error jerr;
  yoi_sdk_json *list = NULL;
  if (yoi_sdk_json_parse(rules, 0, &list, &jerr) != YOI_OK) {
    /* The status is that of a limit, too, and then the text is to blame. */
    if (yoi_sdk_str_is(yoi_sdk_str(jerr.message), "out of memory")) return yoi_sdk_fail_memory(err);
    yoi_status st =
        yoi_sdk_fail(err, YOI_CODE_BUNDLE_INVALID, "the rules are not JSON: %s", jerr.message);
    point_at(err, jerr.pointer);
    return st;
  }
  yoi_status st = check_shape(list, err);
  if (st == YOI_OK) st = check_said(list, err);
  if (st == YOI_OK) return read_list(list, out, err);
  yoi_sdk_json_free(list);
  return st;
}
