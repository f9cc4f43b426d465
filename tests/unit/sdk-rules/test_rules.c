/* test_rules.c - which rules fit, which of several counts, and how often one that
 * has a rate allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <string.h>
#include <yoi/request.h>

#include "abi/sdk/rules/internal.h"

#define MS 1000000u

struct asking {
  struct yoi_sdk_rules *rules;
  struct yoi_sdk_error se;
  yoi_policy_request req;
  uint64_t now;
};

static void open_rules(struct asking *a, const char *rules) {
  char config[4096];
  *a = (struct asking){.now = 5000000000u,
                       .req = {.size = sizeof a->req,
                               .origin = YOI_ORIGIN_RUNTIME,
                               .operation = YOI_LIT("worker.stop"),
                               .principal = YOI_LIT("token:ci"),
                               .runtime_id = YOI_LIT("main"),
                               .worker_id = YOI_LIT("ada")}};
  snprintf(config, sizeof config, "{\"rules\":[%s]}", rules);
  yoi_error *err = yoi_sdk_error_init(&a->se);
  if (yoi_sdk_rules_new(yoi_sdk_str(config), &a->rules, err) != YOI_OK)
    fail_msg("%s", a->se.message);
}

/* What stands in the JSON text stands beside it, too. */
static void is_whole(const struct yoi_sdk_rules_answer *x) {
  static const char *const words[] = {"abstain", "allow", "ask", "deny"};
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, 4096);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  assert_in_range(x->verdict, YOI_VERDICT_ABSTAIN, YOI_VERDICT_DENY);
  yoi_sdk_jsonw_kstr(&w, "decision", yoi_sdk_str(words[x->verdict]));
  yoi_sdk_jsonw_kstr_opt(&w, "rule", x->rule);
  yoi_sdk_jsonw_kstr_opt(&w, "reason", x->reason);
  yoi_sdk_jsonw_close(&w, '}');
  assert_true(yoi_sdk_str_eq(yoi_sdk_buf_str(&b), x->json));
  yoi_sdk_buf_release(&b);
}

static void says(struct asking *a, const char *part) {
  const struct yoi_sdk_rules_answer *x = yoi_sdk_rules_decide(a->rules, &a->req, a->now);
  const char *answer = x->json.ptr;
  is_whole(x);
  if (strstr(answer, part) == NULL) fail_msg("'%s' is not in %s", part, answer);
}

#define ALLOW(name, more) "{\"name\":\"" name "\",\"decision\":\"allow\"" more "}"
#define ONCE(name) ALLOW(name, ",\"rate\":{\"count\":1,\"per_ms\":1000}")
#define DENY(name, more) "{\"name\":\"" name "\",\"decision\":\"deny\"" more "}"

static void without_a_rule_that_fits_it_abstains(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, "");
  says(&a, "{\"decision\":\"abstain\"}");
  yoi_sdk_rules_free(a.rules);
  open_rules(&a, ALLOW("a", ",\"operations\":[\"worker.get\"]"));
  says(&a, "abstain");
  yoi_sdk_rules_free(a.rules);
}

static void all_that_a_rule_names_must_fit(void **state) {
  static const struct {
    const char *member;
    int fits;
  } rows[] = {
      {"\"operations\":[\"worker.get\",\"worker.*\"]", 1},
      {"\"operations\":[\"*\"]", 1},
      {"\"operations\":[\"worker.get\"]", 0},
      {"\"principals\":[\"token:*\"]", 1},
      {"\"principals\":[\"embed\"]", 0},
      {"\"origins\":[\"browser\",\"runtime\"]", 1},
      {"\"origins\":[\"browser\",\"embed\"]", 0},
      {"\"runtimes\":[\"m*\"]", 1},
      {"\"runtimes\":[\"main2\"]", 0},
      {"\"workers\":[\"a?a\"]", 1},
      {"\"workers\":[\"b*\"]", 0},
      {"\"workers\":[]", 1},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct asking a;
    char rule[256];
    snprintf(rule, sizeof rule, "{\"name\":\"r\",\"decision\":\"allow\",%s}", rows[i].member);
    open_rules(&a, rule);
    says(&a, rows[i].fits ? "{\"decision\":\"allow\",\"rule\":\"r\"}" : "abstain");
    yoi_sdk_rules_free(a.rules);
    snprintf(rule, sizeof rule, "{\"name\":\"r\",\"decision\":\"allow\",%s,\"runtimes\":[\"no\"]}",
             rows[i].member);
    if (strstr(rows[i].member, "runtimes") != NULL) continue;
    open_rules(&a, rule);
    says(&a, "abstain");
    yoi_sdk_rules_free(a.rules);
  }
}

static void what_is_about_no_worker_fits_no_worker(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ALLOW("a", ",\"workers\":[\"a*\"]"));
  a.req.worker_id = (yoi_str){NULL, 0};
  says(&a, "abstain");
  yoi_sdk_rules_free(a.rules);
}

static void a_deny_counts_wherever_it_stands(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ALLOW("a", "") "," DENY("d",
                                         ",\"workers\":[\"ada\"],"
                                         "\"reason\":\"she \\\"rests\\\"\""));
  says(&a, "{\"decision\":\"deny\",\"rule\":\"d\",\"reason\":\"she \\\"rests\\\"\"}");
  a.req.worker_id = YOI_LIT("ben");
  says(&a, "\"rule\":\"a\"");
  yoi_sdk_rules_free(a.rules);
}

static void a_rate_fills_up_again(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ALLOW("a", ",\"rate\":{\"count\":2,\"per_ms\":1000}"));
  says(&a, "allow");
  says(&a, "allow");
  says(&a, "{\"decision\":\"deny\",\"rule\":\"a\",\"reason\":\"more than 2 in 1000 ms\"}");
  a.req.principal = YOI_LIT("token:other"); /* has its own */
  says(&a, "allow");
  a.req.principal = YOI_LIT("token:ci");
  a.now += 499 * MS;
  says(&a, "deny");
  a.now += 2 * MS;
  says(&a, "allow");
  says(&a, "deny");
  a.now += 3600000ull * MS; /* no more than full */
  says(&a, "allow");
  says(&a, "allow");
  says(&a, "deny");
  a.now -= 1000 * MS; /* a clock that goes back gives nothing */
  says(&a, "deny");
  yoi_sdk_rules_free(a.rules);
}

static void another_rule_that_allows_helps(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ONCE("a") "," ONCE("b"));
  says(&a, "\"rule\":\"a\"");
  says(&a, "\"rule\":\"b\"");
  says(&a, "\"decision\":\"deny\",\"rule\":\"a\"");
  yoi_sdk_rules_free(a.rules);
}

static void what_is_denied_costs_no_rate(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ONCE("a") "," DENY("d", ",\"workers\":[\"ben\"]"));
  a.req.worker_id = YOI_LIT("ben");
  says(&a, "deny");
  a.req.worker_id = YOI_LIT("ada");
  says(&a, "allow");
  yoi_sdk_rules_free(a.rules);
}

/* More principals than are remembered: each is served, none is forgotten that
 * asked a moment ago. */
static void the_one_used_longest_ago_is_forgotten(void **state) {
  struct asking a;
  char name[32];
  (void)state;
  open_rules(&a, ALLOW("a", ",\"rate\":{\"count\":1,\"per_ms\":86400000}"));
  for (int i = 0; i <= QUOTA_RATES_MAX; i++) {
    snprintf(name, sizeof name, "token:%d", i);
    a.req.principal = yoi_sdk_str(name);
    a.now += MS;
    says(&a, "allow");
  }
  says(&a, "deny");
  a.req.principal = YOI_LIT("token:1");
  says(&a, "deny");
  a.req.principal = YOI_LIT("token:0");
  says(&a, "allow");
  yoi_sdk_rules_free(a.rules);
}

/* ---- calls of tools ----------------------------------------------------------- */

static void open_call(struct asking *a, const char *rules) {
  open_rules(a, rules);
  a->req.operation = YOI_LIT("tool.start");
  a->req.tool = YOI_LIT("fs_write");
  a->req.plugin = YOI_LIT("dev.yoi.tool-fs");
  a->req.arguments = YOI_LIT("{\"path\":\"src/a.c\",\"url\":\"https://docs.example.com/\"}");
  a->req.grants = YOI_LIT("[\"mount:workspace:rw\",\"net:docs\"]");
}

/* Whether a rule with that member fits a call, as one that allows and as one
 * that denies. */
static void what_a_rule_names_of_a_call(void **state) {
  static const struct {
    const char *member;
    int allow, deny;
  } rows[] = {
      {"\"operations\":[\"tool.start\"]", 1, 1},
      {"\"operations\":[\"tool.*\",\"worker.get\"]", 1, 1},
      {"\"operations\":[\"*\"]", 1, 1},
      {"\"operations\":[\"worker.*\"]", 0, 0},
      {"\"workers\":[\"ada\"]", 0, 1}, /* names nothing of a call */
      {"\"tools\":[\"fs_*\"]", 1, 1},
      {"\"tools\":[\"fs_read\",\"fs_list\"]", 0, 0},
      {"\"tools\":[\"fs_write\"],\"workers\":[\"ben\"]", 0, 0},
      {"\"plugins\":[\"dev.yoi.*\"]", 1, 1},
      {"\"plugins\":[\"org.*\"]", 0, 0},
      {"\"read_only\":false", 1, 1},
      {"\"read_only\":true", 0, 0},
      {"\"grants\":[\"mount:workspace:*\"]", 0, 1}, /* it uses more */
      {"\"grants\":[\"mount:*\",\"net:*\"]", 1, 1},
      {"\"grants\":[\"shell:*\"]", 0, 0},
      {"\"paths\":[\"src/**\"]", 1, 1},
      {"\"paths\":{\"path\":\"src/*.c\"}", 1, 1},
      {"\"paths\":{\"path\":[\"docs/**\",\"src\"]}", 0, 0},
      {"\"paths\":{\"to\":\"**\"}", 0, 0}, /* there is no such argument */
      {"\"hosts\":[\"*.example.com\"]", 1, 1},
      {"\"hosts\":{\"url\":\"docs.example.com\",\"/url\":[\"*\"]}", 1, 1},
      {"\"hosts\":[\"example.com\"]", 0, 0},
      {"\"arguments\":{\"path\":\"*.c\",\"/url\":\"https://*\"}", 1, 1},
      {"\"arguments\":{\"path\":\"*.c\",\"/url\":\"http://*\"}", 0, 0},
      {"\"arguments\":{\"path\":[\"x\",\"*.c\"]}", 1, 1},
      {"\"arguments\":{\"path\":[]},\"tools\":[\"*\"]", 1, 1},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int denies = 0; denies <= 1; denies++) {
      struct asking a;
      char rule[256];
      int fits = denies ? rows[i].deny : rows[i].allow;
      snprintf(rule, sizeof rule, "{\"name\":\"r\",\"decision\":\"%s\",%s}",
               denies ? "deny" : "allow", rows[i].member);
      open_call(&a, rule);
      if (fits ==
          (strstr(yoi_sdk_rules_decide(a.rules, &a.req, a.now)->json.ptr, "abstain") != NULL))
        fail_msg("%s", rule);
      yoi_sdk_rules_free(a.rules);
    }
  }
}

/* Arguments of which one rule that allows, asks or denies says something: what
 * nobody can be sure of fits what is strict. */
static void what_is_not_clear_is_not_allowed(void **state) {
  static const struct {
    const char *member, *arguments;
    int allow, strict;
  } rows[] = {
      {"\"paths\":[\"src/**\"]", "{\"path\":\"./src//x\"}", 1, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":\"src/../../etc/passwd\"}", 0, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":\"/src/x\"}", 0, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":\"other/..\"}", 0, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":12}", 0, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":\"other\"}", 0, 0},
      {"\"paths\":[\"src/**\"]", "{}", 0, 0},
      {"\"paths\":[\"src/**\"]", "{\"path\":[\"src/a\",\"src/b\"]}", 1, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":[\"src/a\",\"b\"]}", 0, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":[\"a\",\"b\"]}", 0, 0},
      {"\"paths\":[\"src/**\"]", "{\"path\":[\"a\",\"../b\"]}", 0, 1},
      {"\"paths\":[\"src/**\"]", "{\"path\":[]}", 0, 0},
      {"\"paths\":[\"src/**\"]", "{\"path\":[[\"src/a\"]]}", 0, 1},
      {"\"hosts\":[\"example.com\"]", "{\"url\":\"http://EXAMPLE.com.:80/\"}", 1, 1},
      {"\"hosts\":[\"example.com\"]", "{\"url\":\"http://example.com@x.y/\"}", 0, 1},
      {"\"hosts\":[\"example.com\"]", "{\"url\":\"http://x.y/example.com\"}", 0, 0},
      {"\"hosts\":[\"*.example.com\"]", "{\"url\":\"http://example.com/\"}", 0, 0},
      {"\"hosts\":[\"*.example.com\"]", "{\"url\":\"http://a.b.example.com/\"}", 1, 1},
      {"\"hosts\":[\"[::1]\"]", "{\"url\":\"http://[0:0::1]:80/\"}", 1, 1},
      {"\"arguments\":{\"command\":\"make *\"}", "{\"command\":\"make all\"}", 1, 1},
      {"\"arguments\":{\"command\":\"make *\"}", "{\"command\":\"make ../all\"}", 0, 1},
      {"\"arguments\":{\"command\":\"make ../*\"}", "{\"command\":\"make ../all\"}", 1, 1},
      {"\"arguments\":{\"command\":\"rm *\"}", "{\"command\":\"ls ../all\"}", 0, 0},
      {"\"arguments\":{\"deep\":\"true\"}", "{\"deep\":true}", 1, 1},
      {"\"arguments\":{\"deep\":\"true\"}", "{\"deep\":false}", 0, 0},
      {"\"arguments\":{\"n\":\"1?\"}", "{\"n\":12}", 1, 1},
      {"\"arguments\":{\"n\":\"1?\"}", "{\"n\":1.2e1}", 0, 1},
      {"\"arguments\":{\"n\":\"*\"}", "{\"n\":{\"a\":1}}", 0, 1},
      {"\"arguments\":{\"/args/0\":\"status\"}", "{\"args\":[\"status\",\"-s\"]}", 1, 1},
      {"\"arguments\":{\"args\":\"-*\"}", "{\"args\":[\"-a\",\"b\"]}", 0, 1},
  };
  static const char *const decisions[] = {"allow", "ask", "deny"};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int k = 0; k < 3; k++) {
      struct asking a;
      char rule[256];
      snprintf(rule, sizeof rule, "{\"name\":\"r\",\"decision\":\"%s\",%s}", decisions[k],
               rows[i].member);
      open_call(&a, rule);
      a.req.arguments = yoi_sdk_str(rows[i].arguments);
      int fits =
          strstr(yoi_sdk_rules_decide(a.rules, &a.req, a.now)->json.ptr, decisions[k]) != NULL;
      if (fits != (k == 0 ? rows[i].allow : rows[i].strict))
        fail_msg("%s: %s", rule, rows[i].arguments);
      yoi_sdk_rules_free(a.rules);
    }
  }
}

static void an_array_may_be_so_long(void **state) {
  char arguments[RULES_ELEMENTS_MAX * 4 + 32];
  (void)state;
  for (int denies = 0; denies <= 1; denies++) {
    for (int n = RULES_ELEMENTS_MAX; n <= RULES_ELEMENTS_MAX + 1; n++) {
      struct asking a;
      size_t at = (size_t)snprintf(arguments, sizeof arguments, "{\"path\":[");
      for (int i = 0; i < n; i++)
        at += (size_t)snprintf(arguments + at, sizeof arguments - at, "%s\"a\"", i > 0 ? "," : "");
      snprintf(arguments + at, sizeof arguments - at, "]}");
      open_call(&a, denies ? DENY("r", ",\"paths\":[\"b\"]") : ALLOW("r", ",\"paths\":[\"a\"]"));
      a.req.arguments = yoi_sdk_str(arguments);
      says(&a, (n > RULES_ELEMENTS_MAX) == denies ? "\"rule\":\"r\"" : "abstain");
      yoi_sdk_rules_free(a.rules);
    }
  }
}

static void a_door_that_is_not_known_is_not_allowed(void **state) {
  static const char members[] = "\"tools\":[\"*\"],\"origins\":[\"runtime\"]";
  (void)state;
  for (int denies = 0; denies <= 1; denies++) {
    for (uint32_t origin = 0; origin <= 4; origin++) {
      struct asking a;
      char rule[128];
      snprintf(rule, sizeof rule, "{\"name\":\"r\",\"decision\":\"%s\",%s}",
               denies ? "deny" : "allow", members);
      open_call(&a, rule);
      a.req.origin = origin;
      int known = origin >= YOI_ORIGIN_EMBED && origin <= YOI_ORIGIN_BROWSER;
      int fits = known ? origin == YOI_ORIGIN_RUNTIME : denies;
      says(&a, fits ? "\"rule\":\"r\"" : "abstain");
      yoi_sdk_rules_free(a.rules);
    }
  }
}

static void without_grants_it_uses_no_more_than_is_named(void **state) {
  struct asking a;
  (void)state;
  open_call(&a, ALLOW("a", ",\"grants\":[\"mount:*\"]"));
  a.req.grants = YOI_LIT("");
  says(&a, "\"rule\":\"a\"");
  a.req.grants = YOI_LIT("[]");
  says(&a, "\"rule\":\"a\"");
  yoi_sdk_rules_free(a.rules);
  open_call(&a, DENY("d", ",\"grants\":[\"mount:*\"]"));
  a.req.grants = YOI_LIT("");
  says(&a, "abstain");
  yoi_sdk_rules_free(a.rules);
}

#define ASK(name, more) "{\"name\":\"" name "\",\"decision\":\"ask\"" more "}"

static void ask_stands_between_deny_and_allow(void **state) {
  struct asking a;
  (void)state;
  open_call(&a, ALLOW("a", ",\"tools\":[\"*\"]") "," ASK("q", ",\"tools\":[\"fs_*\"]") "," DENY(
                    "d", ",\"paths\":[\"secret/**\"]"));
  says(&a, "{\"decision\":\"ask\",\"rule\":\"q\"}");
  a.req.tool = YOI_LIT("other");
  says(&a, "{\"decision\":\"allow\",\"rule\":\"a\"}");
  a.req.tool = YOI_LIT("fs_read");
  a.req.arguments = YOI_LIT("{\"path\":\"secret\"}");
  says(&a, "{\"decision\":\"deny\",\"rule\":\"d\"}");
  a.req.operation = YOI_LIT("worker.stop"); /* nothing of this is about it */
  says(&a, "abstain");
  yoi_sdk_rules_free(a.rules);
}

#define ABOVE(count) ",\"above\":{\"count\":" #count ",\"per_ms\":1000}"
#define CALLS ",\"tools\":[\"*\"]"

static void above_is_what_is_too_much(void **state) {
  struct asking a;
  (void)state;
  open_call(&a, ALLOW("a", CALLS) "," ASK("q", CALLS ABOVE(2)) "," DENY("d", CALLS ABOVE(3)));
  says(&a, "\"rule\":\"a\"");
  says(&a, "\"rule\":\"a\"");
  says(&a, "{\"decision\":\"ask\",\"rule\":\"q\",\"reason\":\"more than 2 in 1000 ms\"}");
  says(&a, "{\"decision\":\"deny\",\"rule\":\"d\",\"reason\":\"more than 3 in 1000 ms\"}");
  a.req.principal = YOI_LIT("token:other");
  says(&a, "\"rule\":\"a\"");
  a.req.principal = YOI_LIT("token:ci");
  a.now += 2000 * MS;
  says(&a, "\"rule\":\"a\"");
  yoi_sdk_rules_free(a.rules);
}

static void a_call_is_counted_once(void **state) {
  struct asking a;
  (void)state;
  open_call(&a, ALLOW("a", CALLS ",\"rate\":{\"count\":1,\"per_ms\":3600000}") "," DENY(
                    "d", CALLS ABOVE(1)));
  says(&a, "\"rule\":\"a\"");
  a.req.asked_again = 1;
  says(&a, "\"rule\":\"a\"");
  says(&a, "\"rule\":\"a\"");
  a.req.asked_again = 0;
  says(&a, "deny");
  yoi_sdk_rules_free(a.rules);
}

static const char two_and_a_rate[] =
    ALLOW("a", ",\"tools\":[\"fs_write\"],\"rate\":{\"count\":1,\"per_ms\":3600000}") "," ALLOW(
        "b", ",\"tools\":[\"fs_read\"]") "," DENY("two", CALLS ABOVE(2));

/* Also when it is denied by another limit, or by a rate. */
static void what_is_denied_is_not_counted(void **state) {
  struct asking a;
  (void)state;
  open_call(&a, ALLOW("a", CALLS) "," DENY("two", CALLS ABOVE(2)) "," DENY(
                    "one", ",\"tools\":[\"fs_write\"]" ABOVE(1)));
  says(&a, "\"rule\":\"a\"");
  says(&a, "\"rule\":\"one\"");
  says(&a, "\"rule\":\"one\"");
  a.req.tool = YOI_LIT("fs_read");
  says(&a, "\"rule\":\"a\"");
  says(&a, "\"rule\":\"two\"");
  yoi_sdk_rules_free(a.rules);
  open_call(&a, two_and_a_rate);
  says(&a, "\"rule\":\"a\"");
  says(&a, "{\"decision\":\"deny\",\"rule\":\"a\"");
  says(&a, "{\"decision\":\"deny\",\"rule\":\"a\"");
  a.req.tool = YOI_LIT("fs_read");
  says(&a, "\"rule\":\"b\"");
  says(&a, "\"rule\":\"two\"");
  yoi_sdk_rules_free(a.rules);
}

/* Another policy may allow it: a policy may be nothing but a limit. */
static void what_it_abstains_about_is_counted(void **state) {
  struct asking a;
  (void)state;
  open_call(&a, DENY("d", CALLS ABOVE(1)));
  says(&a, "abstain");
  says(&a, "\"rule\":\"d\"");
  yoi_sdk_rules_free(a.rules);
}

static void a_rate_of_an_ask_denies(void **state) {
  struct asking a;
  (void)state;
  open_call(&a, ALLOW("a", CALLS) "," ASK("q", CALLS ",\"rate\":{\"count\":1,\"per_ms\":1000,"
                                                     "\"per\":[\"worker\"]}"));
  says(&a, "\"decision\":\"ask\"");
  says(&a, "{\"decision\":\"deny\",\"rule\":\"q\"");
  a.req.worker_id = YOI_LIT("ben");
  says(&a, "\"decision\":\"ask\"");
  yoi_sdk_rules_free(a.rules);
}

static void ask_model(struct asking *a, uint64_t tokens) {
  a->req.operation = YOI_LIT("model.start");
  a->req.origin = 0;
  a->req.subject = YOI_LIT("main");
  a->req.tokens = tokens;
}

#define TOKENS(max, per) ",\"tokens\":{\"max\":" #max ",\"per_ms\":1000" per "}"

/* What was written of callers says nothing of models, silence no less. */
static void a_rule_is_about_models_when_it_says_so(void **state) {
  static const struct {
    const char *rule;
    int denies;
  } rows[] = {
      {DENY("r", ",\"origins\":[\"browser\"]"), 0},
      {DENY("r", ""), 0},
      {DENY("r", ",\"operations\":[\"*\"]"), 0},
      {DENY("r", ",\"operations\":[\"*.start\"]"), 0},
      {DENY("r", ",\"above\":{\"count\":1,\"per_ms\":1}"), 0},
      {ALLOW("r", ",\"operations\":[\"*\"],\"rate\":{\"count\":1,\"per_ms\":86400000}"), 0},
      {DENY("r", ",\"operations\":[\"model.start\"]"), 1},
      {DENY("r", ",\"operations\":[\"worker.get\",\"model.*\"],\"workers\":[\"a*\"]"), 1},
      {DENY("r", ",\"operations\":[\"model.*\"],\"workers\":[\"b*\"]"), 0},
      {DENY("r", TOKENS(99, "")), 1},
      {DENY("r", ",\"operations\":[\"model.start\"]" TOKENS(99, "")), 1},
      {DENY("r", ",\"principals\":[\"embed\"]" TOKENS(99, "")), 0},
      {DENY("r", TOKENS(100, "")), 0},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct asking a;
    open_rules(&a, rows[i].rule);
    ask_model(&a, 100);
    says(&a, rows[i].denies ? "\"decision\":\"deny\"" : "abstain");
    if (rows[i].denies == 0)
      says(&a, strstr(rows[i].rule, "tokens\":{\"max\":100,") ? "deny" : "abstain");
    yoi_sdk_rules_free(a.rules);
  }
}

static void a_budget_is_of_whom_it_says(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, DENY("day", TOKENS(250, "")) "," DENY("w", TOKENS(200, ",\"per\":[\"worker\"]")));
  ask_model(&a, 100);
  says(&a, "abstain");
  says(&a, "abstain");
  says(&a,
       "{\"decision\":\"deny\",\"rule\":\"day\",\"reason\":\"more than 250 tokens in 1000 ms\"}");
  a.req.tokens = 50; /* "day" has room, "w" has none, and then "day" was not taken from */
  says(&a, "\"rule\":\"w\"");
  a.req.worker_id = YOI_LIT("ben");
  says(&a, "abstain");
  says(&a, "\"rule\":\"day\"");
  a.req.tokens = 0; /* a later step of a turn that was counted */
  says(&a, "abstain");
  a.req.tokens = 150;
  a.req.principal = YOI_LIT("token:other");
  says(&a, "abstain");
  a.req.principal = YOI_LIT("token:ci");
  a.now += 999 * MS;
  says(&a, "\"rule\":\"day\"");
  a.now += 200 * MS;
  says(&a, "abstain");
  a.req.tokens = UINT64_MAX;
  says(&a, "deny");
  a.req.operation = YOI_LIT("worker.stop"); /* a budget is about nothing else */
  says(&a, "abstain");
  a.req.operation = YOI_LIT("tool.start");
  says(&a, "abstain");
  yoi_sdk_rules_free(a.rules);
}

/* Of generations each counts, not only the first of a turn. */
static void generations_may_be_so_many(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, DENY("r", ",\"operations\":[\"model.start\"]" ABOVE(2)));
  ask_model(&a, 100);
  says(&a, "abstain");
  a.req.tokens = 0;
  says(&a, "abstain");
  says(&a, "{\"decision\":\"deny\",\"rule\":\"r\",\"reason\":\"more than 2 in 1000 ms\"}");
  yoi_sdk_rules_free(a.rules);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_a_rule_that_fits_it_abstains),
      cmocka_unit_test(all_that_a_rule_names_must_fit),
      cmocka_unit_test(what_is_about_no_worker_fits_no_worker),
      cmocka_unit_test(a_deny_counts_wherever_it_stands),
      cmocka_unit_test(a_rate_fills_up_again),
      cmocka_unit_test(another_rule_that_allows_helps),
      cmocka_unit_test(what_is_denied_costs_no_rate),
      cmocka_unit_test(the_one_used_longest_ago_is_forgotten),
      cmocka_unit_test(what_a_rule_names_of_a_call),
      cmocka_unit_test(what_is_not_clear_is_not_allowed),
      cmocka_unit_test(an_array_may_be_so_long),
      cmocka_unit_test(a_door_that_is_not_known_is_not_allowed),
      cmocka_unit_test(without_grants_it_uses_no_more_than_is_named),
      cmocka_unit_test(ask_stands_between_deny_and_allow),
      cmocka_unit_test(above_is_what_is_too_much),
      cmocka_unit_test(a_call_is_counted_once),
      cmocka_unit_test(what_is_denied_is_not_counted),
      cmocka_unit_test(what_it_abstains_about_is_counted),
      cmocka_unit_test(a_rate_of_an_ask_denies),
      cmocka_unit_test(a_rule_is_about_models_when_it_says_so),
      cmocka_unit_test(a_budget_is_of_whom_it_says),
      cmocka_unit_test(generations_may_be_so_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
