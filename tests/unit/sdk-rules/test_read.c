/* test_read.c - what is refused when rules are read, and how many there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/mem.h>
#include <string.h>

#include "abi/sdk/rules/internal.h"

#define ALLOW(name, more) "{\"name\":\"" name "\",\"decision\":\"allow\"" more "}"
#define ASK(name, more) "{\"name\":\"" name "\",\"decision\":\"ask\"" more "}"
#define DENY(name, more) "{\"name\":\"" name "\",\"decision\":\"deny\"" more "}"

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
       "rule 'a': a rate is for a rule that allows or asks, and its decision is 'deny'"},
      {ASK("a", ",\"operations\":[\"worker.*\"]"),
       "rule 'a': a person can be asked about nothing but 'tool.start'"},
      {DENY("a", ",\"operations\":[\"worker.*\"],\"tools\":[\"*\"]"),
       "rule 'a': what it names is known of nothing but 'tool.start'"},
      {ALLOW("a", ",\"operations\":[\"tool.stat\"]"),
       "rule 'a': no operation is called 'tool.stat', did you mean 'tool.start'"},
      {ALLOW("a", ",\"above\":{\"count\":1,\"per_ms\":1}"),
       "rule 'a': 'above' is for a rule that denies or asks, and its decision is 'allow'"},
      {ALLOW("a", ",\"operations\":[\"worker.*\",\"model.start\"]"),
       "rule 'a': a model is called unless a rule denies it, and the decision is 'allow'"},
      {ASK("a", ",\"tokens\":{\"max\":1,\"per_ms\":1}"),
       "rule 'a': a model is called unless a rule denies it, and the decision is 'ask'"},
      {DENY("a", ",\"operations\":[\"model.start\"],\"tools\":[\"*\"]"),
       "rule 'a': what it names is known of nothing but 'tool.start'"},
      {DENY("a", ",\"origins\":[\"browser\"],\"tokens\":{\"max\":1,\"per_ms\":1}"),
       "rule 'a': the door is not known of 'model.start'"},
      {DENY("a", ",\"operations\":[\"worker.*\"],\"tokens\":{\"max\":1,\"per_ms\":1}"),
       "rule 'a': tokens are known of nothing but 'model.start'"},
      {DENY("a", ",\"above\":{\"count\":1,\"per_ms\":1},\"tokens\":{\"max\":1,\"per_ms\":1}"),
       "rule 'a': it cannot have 'above' and 'tokens'"},
      {DENY("a", ",\"operations\":[\"model.stat\"]"),
       "rule 'a': no operation is called 'model.stat', did you mean 'model.start'"},
      {DENY("a", ",\"paths\":[\"/etc/**\"]"),
       "rule 'a': the pattern '/etc/**': a path begins at its folder, not with '/'"},
      {DENY("a", ",\"paths\":{\"to\":[\"x\",\"a/../b\"]}"),
       "rule 'a': the pattern 'a/../b': no path that has '..' fits a pattern"},
      {DENY("a", ",\"hosts\":[\"*example.com\"]"),
       "rule 'a': the pattern '*example.com': a star of a host stands at its beginning, before a "
       "dot"},
      {ALLOW("a", ",\"arguments\":{\"path\":\"src/**\"}"),
       "rule 'a': the pattern 'src/**': '**' is for 'paths', where '..' is seen"},
      {ALLOW("a", ",\"arguments\":{\"/a~b\":\"x\"}"),
       "rule 'a': behind '~' stands 0 or 1 in a JSON pointer, not so in '/a~b'"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct yoi_sdk_rules *r = NULL;
    struct yoi_sdk_error se;
    char config[1024];
    snprintf(config, sizeof config, "{\"rules\":[%s]}", rows[i].rules);
    yoi_error *err = yoi_sdk_error_init(&se);
    assert_int_not_equal(yoi_sdk_rules_new(yoi_sdk_str(config), &r, err), YOI_OK);
    assert_string_equal(se.message, rows[i].message);
  }
}

static void there_may_be_so_many(void **state) {
  static char config[RULES_MAX * 64];
  (void)state;
  for (int n = RULES_MAX; n <= RULES_MAX + 1; n++) {
    struct yoi_sdk_rules *r = NULL;
    struct yoi_sdk_error se;
    size_t at = (size_t)snprintf(config, sizeof config, "{\"rules\":[");
    for (int i = 0; i < n; i++)
      at += (size_t)snprintf(config + at, sizeof config - at,
                             "%s{\"name\":\"r%d\",\"decision\":\"allow\"}", i > 0 ? "," : "", i);
    snprintf(config + at, sizeof config - at, "]}");
    yoi_error *err = yoi_sdk_error_init(&se);
    yoi_status st = yoi_sdk_rules_new(yoi_sdk_str(config), &r, err);
    assert_int_equal(st == YOI_OK, n == RULES_MAX);
    if (st == YOI_OK) yoi_sdk_rules_free(r);
  }
}

static void so_many_arguments_may_be_named(void **state) {
  char config[4096];
  (void)state;
  for (int n = RULES_ARGUMENTS_MAX; n <= RULES_ARGUMENTS_MAX + 1; n++) {
    struct yoi_sdk_rules *r = NULL;
    struct yoi_sdk_error se;
    size_t at = (size_t)snprintf(config, sizeof config, "{\"rules\":[");
    for (int i = 0; i < n; i++)
      at += (size_t)snprintf(config + at, sizeof config - at,
                             "%s{\"name\":\"r%d\",\"decision\":\"deny\",\"arguments\":"
                             "{\"a%d\":\"x\"}}%s",
                             i > 0 ? "," : "", i, i,
                             i == 0 ? "," DENY("again", ",\"arguments\":{\"a0\":\"y\"}") : "");
    snprintf(config + at, sizeof config - at, "]}");
    yoi_error *err = yoi_sdk_error_init(&se);
    yoi_status st = yoi_sdk_rules_new(yoi_sdk_str(config), &r, err);
    assert_int_equal(st == YOI_OK, n == RULES_ARGUMENTS_MAX);
    if (st == YOI_OK)
      yoi_sdk_rules_free(r);
    else
      assert_string_equal(se.message,
                          "rule 'r32': more than 32 arguments are looked at by all rules");
  }
}

/* Whichever allocation fails: it is said, and nothing is left. */
static void memory_may_be_short(void **state) {
  static const char config[] = "{\"rules\":[" ALLOW(
      "a",
      ",\"tools\":[\"x\",\"y\"],\"paths\":[\"src/**\"],"
      "\"rate\":{\"count\":1,\"per_ms\":1}") "," DENY("d",
                                                      ",\"hosts\":{\"/a/"
                                                      "b\":[\"*.x\"]},\"above\":{\"count\":1,\"per_"
                                                      "ms\":1}") "]}";
  yoi_status st = YOI_RESOURCE_EXHAUSTED;
  uint64_t n = 0;
  (void)state;
  while (st != YOI_OK) {
    struct yoi_sdk_rules *r = NULL;
    struct yoi_sdk_error se;
    yoi_error *err = yoi_sdk_error_init(&se);
    (void)yoi_sdk_mem_fail_at(++n);
    st = yoi_sdk_rules_new(yoi_sdk_str(config), &r, err);
    (void)yoi_sdk_mem_fail_at(0);
    if (st == YOI_OK) yoi_sdk_rules_free(r);
    assert_true(n < 1000);
  }
  assert_true(n > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_can_never_fit_is_refused),
      cmocka_unit_test(there_may_be_so_many),
      cmocka_unit_test(so_many_arguments_may_be_named),
      cmocka_unit_test(memory_may_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
