/* test_rules.c - which of several rules counts, how often one that has a rate
 * allows, and what is refused when rules are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <string.h>
#include <yoi/request.h>

#include "plugins/policy-rules/rules.h"

#define MS 1000000u

struct asking {
  struct rules rules;
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
  if (rules_open(&a->rules, yoi_sdk_str(config), err) != YOI_OK) fail_msg("%s", a->se.message);
}

static void says(struct asking *a, const char *part) {
  const char *answer = rules_decide(&a->rules, &a->req, a->now);
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
  rules_close(&a.rules);
  open_rules(&a, ALLOW("a", ",\"operations\":[\"worker.get\"]"));
  says(&a, "abstain");
  rules_close(&a.rules);
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
    rules_close(&a.rules);
    snprintf(rule, sizeof rule, "{\"name\":\"r\",\"decision\":\"allow\",%s,\"runtimes\":[\"no\"]}",
             rows[i].member);
    if (strstr(rows[i].member, "runtimes") != NULL) continue;
    open_rules(&a, rule);
    says(&a, "abstain");
    rules_close(&a.rules);
  }
}

static void what_is_about_no_worker_fits_no_worker(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ALLOW("a", ",\"workers\":[\"a*\"]"));
  a.req.worker_id = (yoi_str){NULL, 0};
  says(&a, "abstain");
  rules_close(&a.rules);
}

static void a_deny_counts_wherever_it_stands(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ALLOW("a", "") "," DENY("d", ",\"workers\":[\"ada\"],"
                                              "\"reason\":\"she \\\"rests\\\"\""));
  says(&a, "{\"decision\":\"deny\",\"rule\":\"d\",\"reason\":\"she \\\"rests\\\"\"}");
  a.req.worker_id = YOI_LIT("ben");
  says(&a, "\"rule\":\"a\"");
  rules_close(&a.rules);
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
  rules_close(&a.rules);
}

static void another_rule_that_allows_helps(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ONCE("a") "," ONCE("b"));
  says(&a, "\"rule\":\"a\"");
  says(&a, "\"rule\":\"b\"");
  says(&a, "\"decision\":\"deny\",\"rule\":\"a\"");
  rules_close(&a.rules);
}

static void what_is_denied_costs_no_rate(void **state) {
  struct asking a;
  (void)state;
  open_rules(&a, ONCE("a") "," DENY("d", ",\"workers\":[\"ben\"]"));
  a.req.worker_id = YOI_LIT("ben");
  says(&a, "deny");
  a.req.worker_id = YOI_LIT("ada");
  says(&a, "allow");
  rules_close(&a.rules);
}

/* More principals than are remembered: each is served, none is forgotten that
 * asked a moment ago. */
static void the_one_used_longest_ago_is_forgotten(void **state) {
  struct asking a;
  char name[32];
  (void)state;
  open_rules(&a, ALLOW("a", ",\"rate\":{\"count\":1,\"per_ms\":86400000}"));
  for (int i = 0; i <= RULES_PRINCIPALS_MAX; i++) {
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
  rules_close(&a.rules);
}

static void what_can_never_fit_is_refused(void **state) {
  static const struct {
    const char *rules, *message;
  } rows[] = {
      {ALLOW("a", ",\"operations\":[\"worker.stpo\"]"),
       "rule 'a': no operation is called 'worker.stpo', did you mean 'worker.stop'"},
      {ALLOW("a", ",\"operations\":[\"workers.*\"]"),
       "rule 'a': no operation is called 'workers.*'"},
      {ALLOW("a", "") "," DENY("a", ""), "rule 'a': there is another of the name 'a'"},
      {DENY("a", ",\"rate\":{\"count\":1,\"per_ms\":1}"),
       "rule 'a': a rate is for a rule that allows, and its decision is 'deny'"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct rules r;
    struct yoi_sdk_error se;
    char config[1024];
    snprintf(config, sizeof config, "{\"rules\":[%s]}", rows[i].rules);
    yoi_error *err = yoi_sdk_error_init(&se);
    assert_int_not_equal(rules_open(&r, yoi_sdk_str(config), err), YOI_OK);
    assert_string_equal(se.message, rows[i].message);
  }
}

static void there_may_be_so_many(void **state) {
  static char config[RULES_MAX * 64];
  (void)state;
  for (int n = RULES_MAX; n <= RULES_MAX + 1; n++) {
    struct rules r;
    struct yoi_sdk_error se;
    size_t at = (size_t)snprintf(config, sizeof config, "{\"rules\":[");
    for (int i = 0; i < n; i++)
      at += (size_t)snprintf(config + at, sizeof config - at,
                             "%s{\"name\":\"r%d\",\"decision\":\"allow\"}", i > 0 ? "," : "", i);
    snprintf(config + at, sizeof config - at, "]}");
    yoi_error *err = yoi_sdk_error_init(&se);
    yoi_status st = rules_open(&r, yoi_sdk_str(config), err);
    assert_int_equal(st == YOI_OK, n == RULES_MAX);
    if (st == YOI_OK) rules_close(&r);
  }
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
      cmocka_unit_test(what_can_never_fit_is_refused),
      cmocka_unit_test(there_may_be_so_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
