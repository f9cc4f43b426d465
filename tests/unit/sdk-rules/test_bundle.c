/* test_bundle.c - the rules of a bundle: what they may say, what is refused and
 * where that stands, and that they decide about calls of tools only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/mem.h>
#include <sdk/rules.h>
#include <string.h>
#include <yoi/request.h>

#include "abi/sdk/rules/internal.h"

#define MS 1000000u
#define RULE(decision, more) "{\"name\":\"r\",\"decision\":\"" decision "\"" more "}"

static void refuses(const char *rules, int32_t code, const char *message, const char *details) {
  struct yoi_sdk_rules *r = NULL;
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_status st = yoi_sdk_rules_of_bundle(yoi_sdk_str(rules), &r, err);
  assert_int_equal(st, yoi_sdk_code_status(code));
  assert_int_equal(err->code, code);
  if (message != NULL) assert_string_equal(se.message, message);
  assert_string_equal(se.details, details);
  assert_null(r);
}

static struct yoi_sdk_rules *take(const char *rules) {
  struct yoi_sdk_rules *r = NULL;
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  if (yoi_sdk_rules_of_bundle(yoi_sdk_str(rules), &r, err) != YOI_OK)
    fail_msg("%s: %s", rules, se.message);
  return r;
}

static yoi_policy_request call(void) {
  return (yoi_policy_request){.size = sizeof(yoi_policy_request),
                              .origin = YOI_ORIGIN_RUNTIME,
                              .operation = YOI_LIT("tool.start"),
                              .principal = YOI_LIT("token:ci"),
                              .worker_id = YOI_LIT("ada"),
                              .tool = YOI_LIT("fs_write"),
                              .plugin = YOI_LIT("dev.yoi.tool-fs"),
                              .arguments = YOI_LIT("{\"path\":\"src/a.c\",\"url\":"
                                                   "\"https://docs.example.com/\"}"),
                              .grants = YOI_LIT("[\"mount:workspace:rw\"]")};
}

static uint32_t verdict(struct yoi_sdk_rules *r, const yoi_policy_request *q, uint64_t now_ns) {
  return yoi_sdk_rules_decide(r, q, now_ns)->verdict;
}

static void what_is_of_callers_is_refused(void **state) {
  static const struct {
    const char *key, *value;
  } rows[] = {
      {"operations", "[\"tool.start\"]"},
      {"principals", "[\"embed\"]"},
      {"origins", "[\"browser\"]"},
      {"runtimes", "[\"main\"]"},
      {"workers", "[\"a*\"]"},
      {"tokens", "{\"max\":1,\"per_ms\":1}"},
      {"operations", "[]"}, /* would change nothing, and says something */
      {"workers", "[]"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char rules[256], message[128], details[64];
    snprintf(rules, sizeof rules,
             "[{\"name\":\"first\",\"decision\":\"ask\"},"
             "{\"name\":\"a\",\"decision\":\"deny\",\"tools\":[\"*\"],\"%s\":%s}]",
             rows[i].key, rows[i].value);
    snprintf(message, sizeof message,
             "rule 'a': in a bundle it is about calls of tools and cannot have '%s'", rows[i].key);
    snprintf(details, sizeof details, "{\"pointer\":\"/1/%s\"}", rows[i].key);
    refuses(rules, YOI_CODE_UNSUPPORTED_DECLARATION, message, details);
  }
}

static void nothing_is_counted_per_runtime(void **state) {
  (void)state;
  refuses(
      "[" RULE("allow", ",\"rate\":{\"count\":1,\"per_ms\":1,\"per\":[\"tool\",\"runtime\"]}") "]",
      YOI_CODE_UNSUPPORTED_DECLARATION,
      "rule 'r': 'rate' of a bundle counts per principal, worker or tool, not per 'runtime'",
      "{\"pointer\":\"/0/rate/per/1\"}");
  refuses("[" RULE("deny", ",\"above\":{\"count\":1,\"per_ms\":1,\"per\":[\"runtime\"]}") "]",
          YOI_CODE_UNSUPPORTED_DECLARATION,
          "rule 'r': 'above' of a bundle counts per principal, worker or tool, not per 'runtime'",
          "{\"pointer\":\"/0/above/per/0\"}");
}

static void what_is_no_rule_is_invalid(void **state) {
  static const struct {
    const char *rules, *message, *pointer;
  } rows[] = {
      {"", NULL, ""},
      {"[", NULL, "/0"},
      {"{}", "the rules: expected an array, found an object", ""},
      {"[[]]", "the rules at /0: expected an object, found an array", "/0"},
      {"[{\"decision\":\"deny\"}]", "the rules at /0: key 'name' is missing", "/0"},
      {"[" RULE("maybe", "") "]", NULL, "/0/decision"},
      {"[" RULE("deny", ",\"tool\":[\"*\"]") "]", NULL, "/0/tool"},
      {"[" RULE("deny", ",\"a/b\":1") "]", NULL, "/0/a~1b"},
      {"[" RULE("deny", ",\"tools\":\"*\"") "]", NULL, "/0/tools"},
      {"[" RULE("deny", ",\"tools\":[\"\"]") "]", NULL, "/0/tools/0"},
      {"[" RULE("allow", ",\"rate\":{\"count\":0,\"per_ms\":1}") "]", NULL, "/0/rate/count"},
      {"[" RULE("deny", "") "," RULE("deny", "") "]", "rule 'r': there is another of the name 'r'",
       "/1/name"},
      {"[" RULE("deny", ",\"paths\":[\"../x\"]") "]",
       "rule 'r': the pattern '../x': no path that has '..' fits a pattern", "/0/paths"},
      {"[" RULE("deny", ",\"hosts\":{\"url\":\"*x\"}") "]", NULL, "/0/hosts"},
      {"[" RULE("allow", ",\"arguments\":{\"path\":\"src/**\"}") "]",
       "rule 'r': the pattern 'src/**': '**' is for 'paths', where '..' is seen", "/0/arguments"},
      {"[" RULE("deny", ",\"rate\":{\"count\":1,\"per_ms\":1}") "]",
       "rule 'r': a rate is for a rule that allows or asks, and its decision is 'deny'", "/0/rate"},
      {"[" RULE("allow", ",\"above\":{\"count\":1,\"per_ms\":1}") "]",
       "rule 'r': 'above' is for a rule that denies or asks, and its decision is 'allow'",
       "/0/above"},
      /* What is no rule is told before what is one that is not for bundles. */
      {"[" RULE("deny", ",\"operations\":[\"*\"]") ",{\"name\":\"b\"}]",
       "the rules at /1: key 'decision' is missing", "/1"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char details[64];
    snprintf(details, sizeof details, "{\"pointer\":\"%s\"}", rows[i].pointer);
    refuses(rows[i].rules, YOI_CODE_BUNDLE_INVALID, rows[i].message, details);
  }
}

/* Whether a rule with that member fits a call. */
static void each_key_that_is_taken_is_kept(void **state) {
  static const struct {
    const char *member;
    int fits;
  } rows[] = {
      {"\"reason\":\"because\"", 1},
      {"\"tools\":[\"fs_*\"]", 1},
      {"\"tools\":[\"shell_*\"]", 0},
      {"\"plugins\":[\"dev.yoi.tool-fs\"]", 1},
      {"\"plugins\":[\"org.*\"]", 0},
      {"\"read_only\":false", 1},
      {"\"read_only\":true", 0},
      {"\"grants\":[\"mount:workspace:*\"]", 1},
      {"\"grants\":[\"net:*\"]", 0},
      {"\"arguments\":{\"path\":\"*.c\"}", 1},
      {"\"arguments\":{\"path\":\"*.h\"}", 0},
      {"\"paths\":[\"src/**\"]", 1},
      {"\"paths\":[\"docs/**\"]", 0},
      {"\"hosts\":[\"*.example.com\"]", 1},
      {"\"hosts\":[\"example.com\"]", 0},
  };
  static const struct {
    const char *word;
    uint32_t verdict;
  } decisions[] = {
      {"allow", YOI_VERDICT_ALLOW}, {"ask", YOI_VERDICT_ASK}, {"deny", YOI_VERDICT_DENY}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t k = 0; k < sizeof decisions / sizeof *decisions; k++) {
      char rules[256];
      snprintf(rules, sizeof rules, "[{\"name\":\"r\",\"decision\":\"%s\",%s}]", decisions[k].word,
               rows[i].member);
      struct yoi_sdk_rules *r = take(rules);
      yoi_policy_request q = call();
      const struct yoi_sdk_rules_answer *x = yoi_sdk_rules_decide(r, &q, 1);
      uint32_t wanted = rows[i].fits ? decisions[k].verdict : YOI_VERDICT_ABSTAIN;
      if (x->verdict != wanted) fail_msg("%s: %u", rules, x->verdict);
      assert_true(yoi_sdk_str_is(x->rule, rows[i].fits ? "r" : ""));
      assert_true(yoi_sdk_str_is(x->reason, i == 0 ? "because" : ""));
      yoi_sdk_rules_free(r);
    }
}

/* Also one that names nothing: in a config an allow of this kind is about all
 * else, and a deny about operations, too. */
static void they_are_about_calls_of_tools_only(void **state) {
  static const char *const others[] = {"worker.stop", "host.workers", "model.start"};
  (void)state;
  for (int deny = 0; deny < 2; deny++) {
    struct yoi_sdk_rules *r = take(deny ? "[" RULE("deny", "") "]" : "[" RULE("allow", "") "]");
    yoi_policy_request q = call();
    assert_int_equal(verdict(r, &q, 1), deny ? YOI_VERDICT_DENY : YOI_VERDICT_ALLOW);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
      q.operation = yoi_sdk_str(others[i]);
      assert_int_equal(verdict(r, &q, 1), YOI_VERDICT_ABSTAIN);
    }
    yoi_sdk_rules_free(r);
  }
}

static void none_abstains(void **state) {
  yoi_policy_request q = call();
  struct yoi_sdk_rules *r = take("[]");
  const struct yoi_sdk_rules_answer *x = yoi_sdk_rules_decide(r, &q, 1);
  (void)state;
  assert_int_equal(x->verdict, YOI_VERDICT_ABSTAIN);
  assert_int_equal(x->rule.len, 0);
  assert_true(yoi_sdk_str_is(x->json, "{\"decision\":\"abstain\"}"));
  yoi_sdk_rules_free(r);
  yoi_sdk_rules_free(NULL);
}

/* Each that may be named has its own count; an ordinary one is per principal. */
static void calls_are_counted(void **state) {
  static const struct {
    const char *per;
    int principal, worker, tool; /* whether another of it has its own */
  } rows[] = {
      {"", 1, 0, 0},
      {",\"per\":[]", 0, 0, 0},
      {",\"per\":[\"principal\"]", 1, 0, 0},
      {",\"per\":[\"worker\"]", 0, 1, 0},
      {",\"per\":[\"tool\"]", 0, 0, 1},
      {",\"per\":[\"worker\",\"tool\"]", 0, 1, 1},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int above = 0; above < 2; above++) {
      char rules[256];
      uint32_t some = above ? YOI_VERDICT_ABSTAIN : YOI_VERDICT_ALLOW;
      snprintf(rules, sizeof rules,
               "[{\"name\":\"r\",\"decision\":\"%s\",\"%s\":{\"count\":1,\"per_ms\":1000%s}}]",
               above ? "deny" : "allow", above ? "above" : "rate", rows[i].per);
      struct yoi_sdk_rules *r = take(rules);
      yoi_policy_request q = call(), other;
      uint64_t now = 5000000000u;
      assert_int_equal(verdict(r, &q, now), some);
      const struct yoi_sdk_rules_answer *x = yoi_sdk_rules_decide(r, &q, now);
      assert_int_equal(x->verdict, YOI_VERDICT_DENY);
      assert_true(yoi_sdk_str_is(x->reason, "more than 1 in 1000 ms"));
      other = q;
      other.principal = YOI_LIT("embed");
      assert_int_equal(verdict(r, &other, now), rows[i].principal ? some : YOI_VERDICT_DENY);
      other = q;
      other.worker_id = YOI_LIT("ben");
      assert_int_equal(verdict(r, &other, now), rows[i].worker ? some : YOI_VERDICT_DENY);
      other = q;
      other.tool = YOI_LIT("fs_edit");
      assert_int_equal(verdict(r, &other, now), rows[i].tool ? some : YOI_VERDICT_DENY);
      q.asked_again = 1; /* the same call, before it starts */
      assert_int_equal(verdict(r, &q, now), some);
      q.asked_again = 0;
      assert_int_equal(verdict(r, &q, now + 2000 * MS), some);
      yoi_sdk_rules_free(r);
    }
}

static void there_may_be_so_many(void **state) {
  static char rules[RULES_MAX * 64];
  (void)state;
  for (int n = RULES_MAX; n <= RULES_MAX + 1; n++) {
    size_t at = (size_t)snprintf(rules, sizeof rules, "[");
    for (int i = 0; i < n; i++)
      at += (size_t)snprintf(rules + at, sizeof rules - at,
                             "%s{\"name\":\"r%d\",\"decision\":\"deny\"}", i > 0 ? "," : "", i);
    snprintf(rules + at, sizeof rules - at, "]");
    if (n == RULES_MAX)
      yoi_sdk_rules_free(take(rules));
    else
      refuses(rules, YOI_CODE_BUNDLE_INVALID, "more than 1024 rules", "{\"pointer\":\"\"}");
  }
}

/* Whichever allocation fails: it is memory, never the bundle, and nothing is left. */
static void memory_may_be_short(void **state) {
  static const char rules[] =
      "[" RULE("deny", ",\"hosts\":{\"/a/b\":[\"*.x\"]},\"above\":{\"count\":1,\"per_ms\":1}") "]";
  yoi_status st = YOI_RESOURCE_EXHAUSTED;
  uint64_t n = 0;
  (void)state;
  while (st != YOI_OK) {
    struct yoi_sdk_rules *r = NULL;
    struct yoi_sdk_error se;
    yoi_error *err = yoi_sdk_error_init(&se);
    (void)yoi_sdk_mem_fail_at(++n);
    st = yoi_sdk_rules_of_bundle(yoi_sdk_str(rules), &r, err);
    (void)yoi_sdk_mem_fail_at(0);
    yoi_sdk_rules_free(r);
    if (st == YOI_OK) break;
    assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
    if (err->code != YOI_CODE_INTERNAL) fail_msg("%llu: %s", (unsigned long long)n, se.message);
    assert_true(n < 100000);
  }
  assert_true(n > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_of_callers_is_refused),
      cmocka_unit_test(nothing_is_counted_per_runtime),
      cmocka_unit_test(what_is_no_rule_is_invalid),
      cmocka_unit_test(each_key_that_is_taken_is_kept),
      cmocka_unit_test(they_are_about_calls_of_tools_only),
      cmocka_unit_test(none_abstains),
      cmocka_unit_test(calls_are_counted),
      cmocka_unit_test(there_may_be_so_many),
      cmocka_unit_test(memory_may_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
