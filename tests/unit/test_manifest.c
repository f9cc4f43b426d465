/* Manifests: what is accepted, and that each refusal names the field, what was
 * expected and what was found. */
#include "host/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <yoi/plugin.h>

#define TEXT_MAX 8192

/* A good manifest in which the member `name` has this value instead; NULL
 * leaves the member out, and a name that it lacks is added. */
static const char *with(const char *name, const char *value) {
  static char text[TEXT_MAX]; /* process-wide: a test has one thread */
  static const char *const good[][2] = {
      {"manifest", "\"yoi.plugin/1\""},
      {"id", "\"org.example.thing\""},
      {"kind", "\"runtime\""},
      {"version", "\"1.20.3\""},
      {"abi", "1"},
      {"interfaces", "[\"yoi.runtime/1\", \"org.example.more/2\"]"},
      {"threads", "\"parallel\""},
      {"config", "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}"},
      {"grants", "[\"model:*\", \"model:main\"]"},
      {"display_name", "\"Thing\""},
      {"runtime_id", "\"thing\""},
  };
  size_t n = 0;
  int seen = 0;
  text[n++] = '{';
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    const char *v = good[i][1];
    if (name != NULL && strcmp(good[i][0], name) == 0) {
      seen = 1;
      if (value == NULL) continue;
      v = value;
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "\"%s\":%s,", good[i][0], v);
  }
  if (name != NULL && !seen)
    n += (size_t)snprintf(text + n, sizeof text - n, "\"%s\":%s,", name, value);
  text[n - 1] = '}';
  text[n] = '\0';
  return text;
}

static void refused(const char *text, const char *a, const char *b, const char *c) {
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  const char *parts[] = {a, b, c};
  assert_int_not_equal(yoi__manifest_parse(yoi_sdk_str(text), &m, yoi_sdk_error_init(&e)), YOI_OK);
  for (size_t i = 0; i < 3; i++) {
    if (strstr(e.message, parts[i]) == NULL)
      fail_msg("'%s' is not in '%s' of %s", parts[i], e.message, text);
  }
  assert_null(m.tree);
}

static void a_good_one(void **state) {
  (void)state;
  struct yoi__manifest m;
  assert_int_equal(yoi__manifest_parse(yoi_sdk_str(with(NULL, NULL)), &m, NULL), YOI_OK);
  assert_string_equal(m.id.ptr, "org.example.thing");
  assert_string_equal(m.version.ptr, "1.20.3");
  assert_string_equal(m.display_name.ptr, "Thing");
  assert_string_equal(m.runtime_id.ptr, "thing");
  assert_int_equal(m.kind, YOI_KIND_RUNTIME);
  assert_int_equal(m.threads, YOI_PARALLEL);
  assert_int_equal(m.n_interfaces, 2);
  assert_int_equal(m.n_grants, 2);
  assert_true(yoi__manifest_has(&m, YOI_LIT("org.example.more/2")));
  assert_false(yoi__manifest_has(&m, YOI_LIT("org.example.more/1")));
  assert_non_null(m.config);
  yoi__manifest_release(&m);
}

static void what_may_be_absent(void **state) {
  (void)state;
  static const char *const optional[] = {"grants", "display_name", "runtime_id"};
  static const char *const required[] = {"manifest", "id",         "kind",    "version",
                                         "abi",      "interfaces", "threads", "config"};
  struct yoi__manifest m;
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(yoi__manifest_parse(yoi_sdk_str(with(optional[i], NULL)), &m, NULL), YOI_OK);
    assert_string_equal(m.display_name.ptr, i == 1 ? "org.example.thing" : "Thing");
    yoi__manifest_release(&m);
  }
  for (size_t i = 0; i < sizeof required / sizeof *required; i++)
    refused(with(required[i], NULL), required[i], "expected", "found nothing");
}

static void each_field_is_checked(void **state) {
  (void)state;
  refused(with("manifest", "\"yoi.plugin/2\""), "'manifest'", "'yoi.plugin/1'",
          "found 'yoi.plugin/2'");
  refused(with("id", "\"thing\""), "'id'", "reverse DNS", "found 'thing'");
  refused(with("id", "7"), "'id'", "reverse DNS", "found 7");
  refused(with("kind", "\"wizard\""), "'kind'", "'ingress', 'policy' or 'tool'",
          "found 'wizard'");
  refused(with("version", "\"1.0\""), "'version'", "major.minor.patch", "found '1.0'");
  refused(with("version", "\"1.0.0.0\""), "'version'", "major.minor.patch", "1.0.0.0");
  refused(with("version", "\"1..0\""), "'version'", "major.minor.patch", "1..0");
  refused(with("version", "\"1.0.\""), "'version'", "major.minor.patch", "1.0.");
  refused(with("version", "\"01.0.0\""), "'version'", "major.minor.patch", "01.0.0");
  refused(with("abi", "2"), "'abi'", "expected 1", "found 2");
  refused(with("abi", "\"1\""), "'abi'", "expected 1", "found '1'");
  refused(with("interfaces", "\"yoi.runtime/1\""), "'interfaces'", "an array", "found");
  refused(with("interfaces", "[\"org.example.more/2\"]"), "'interfaces'", "'yoi.runtime/1'",
          "among");
  refused(with("interfaces", "[\"yoi.runtime/1\",\"yoi.runtime/1\"]"), "'interfaces'", "once",
          "found 'yoi.runtime/1'");
  refused(with("interfaces", "[1]"), "'interfaces'", "strings", "found 1");
  refused(with("threads", "\"green\""), "'threads'", "'parallel'", "found 'green'");
  refused(with("config", "true"), "'config'", "a schema", "found");
  refused(with("config", "{\"type\":\"array\"}"), "'config/type'", "'object'", "found 'array'");
  refused(with("config", "{\"type\":\"object\",\"unevaluatedItems\":\"x\"}"), "'config'",
          "unevaluatedItems", "no valid schema");
  refused(with("grants", "[\"model\"]"), "'grants'", "'model:NAME'", "found 'model'");
  refused(with("grants", "[\"model:a b\"]"), "'grants'", "a name of 1 to 64", "'model:a b'");
  refused(with("grants", "[\"mount:*\"]"), "'grants'", "for tools", "'mount:*'");
  refused(with("display_name", "\"\""), "'display_name'", "1 to 256", "found ''");
  refused(with("runtime_id", "\"No\""), "'runtime_id'", "a-z", "found 'No'");
  refused(with("kind", "\"model\""), "'interfaces'", "'yoi.model/1'", "among");
}

static void models_may_be_serial(void **state) {
  static const char text[] =
      "{\"manifest\":\"yoi.plugin/1\",\"id\":\"org.example.thing\",\"kind\":\"%s\","
      "\"version\":\"1.0.0\",\"abi\":1,\"interfaces\":[\"yoi.%s/1\"],\"threads\":\"serial\","
      "\"config\":{\"type\":\"object\"}}";
  static const char *const kinds[] = {"model", "runtime", "ingress"};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    struct yoi__manifest m;
    struct yoi_sdk_error e;
    char full[512];
    (void)snprintf(full, sizeof full, text, kinds[i], kinds[i]);
    yoi_status st = yoi__manifest_parse(yoi_sdk_str(full), &m, yoi_sdk_error_init(&e));
    if (i == 0) {
      assert_int_equal(st, YOI_OK);
      assert_int_equal(m.threads, YOI_SERIAL);
      yoi__manifest_release(&m);
    } else {
      assert_int_equal(e.e.code, YOI_CODE_UNSUPPORTED_DECLARATION);
    }
  }
}

/* A policy with these operations. */
static const char *policy_with(const char *operations) {
  static char text[512];
  (void)snprintf(text, sizeof text,
                 "{\"manifest\":\"yoi.plugin/1\",\"id\":\"org.example.p\",\"kind\":\"policy\","
                 "\"version\":\"1.0.0\",\"abi\":1,\"interfaces\":[\"yoi.policy/1\"],"
                 "\"threads\":\"parallel\",\"config\":{\"type\":\"object\"}%s%s}",
                 operations ? ",\"operations\":" : "", operations ? operations : "");
  return text;
}

static void a_policy_names_what_it_knows(void **state) {
  (void)state;
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  refused(policy_with(NULL), "'operations'", "a policy names what it knows", "");
  refused(policy_with("[]"), "'operations'", "a policy names what it knows", "");
  refused(with("operations", "[\"*\"]"), "'operations'", "only policies have one", "");
  const char *const wrong[] = {"[\"worker*\"]",      "[\"*.stop\"]", "[\"Worker.stop\"]",
                               "[\"a\",\"a\"]", "\"*\"",         "[\"\"]"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    refused(policy_with(wrong[i]), "'operations'", "expected", "found");
  const char *text = policy_with("[\"worker.*\",\"host.ready\"]");
  assert_int_equal(yoi__manifest_parse(yoi_sdk_str(text), &m, yoi_sdk_error_init(&e)), YOI_OK);
  assert_true(yoi__manifest_knows(&m, YOI_LIT("worker.stop")));
  assert_true(yoi__manifest_knows(&m, YOI_LIT("host.ready")));
  assert_false(yoi__manifest_knows(&m, YOI_LIT("host.readiness")));
  assert_false(yoi__manifest_knows(&m, YOI_LIT("workers.stop")));
  assert_false(yoi__manifest_knows(&m, YOI_LIT("runtime.describe")));
  yoi__manifest_release(&m);
}

static void later_features_are_refused_as_such(void **state) {
  (void)state;
  static const char *const later[][2] = {
      {"threads", "\"serial\""},
  };
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    struct yoi__manifest m;
    struct yoi_sdk_error e;
    const char *text = with(later[i][0], later[i][1]);
    refused(text, later[i][0], "not supported by this version", "'");
    assert_int_not_equal(yoi__manifest_parse(yoi_sdk_str(text), &m, yoi_sdk_error_init(&e)),
                         YOI_OK);
    assert_int_equal(e.e.code, YOI_CODE_UNSUPPORTED_DECLARATION);
  }
}

static void what_is_unknown_is_refused(void **state) {
  (void)state;
  refused(with("interface", "[]"), "unknown manifest field", "'interface'", "'interfaces'");
  refused(with("zzzzzzzzzz", "[]"), "unknown manifest field", "'zzzzzzzzzz'", "field");
  refused("[]", "expected an object", "found", "array");
  refused("{} {}", "not valid JSON", "line 1", "column");
  refused("{\"id\":\"a\",\"id\":\"b\"}", "not valid JSON", "line", "column");
  refused("", "not valid JSON", "line", "column");
  refused("{ /* no comments here */ }", "not valid JSON", "line", "column");
}

static void only_runtimes_have_a_runtime_id(void **state) {
  (void)state;
  char text[TEXT_MAX];
  snprintf(text, sizeof text, "%s", with("interfaces", "[\"yoi.model/1\"]"));
  memcpy(strstr(text, "\"runtime\""), "\"model\"  ", 9);
  refused(text, "'runtime_id'", "only runtimes", "manifest");
}

static void narrowed(const char *beside, size_t n_grants, const char *display_name) {
  struct yoi__manifest m;
  assert_int_equal(yoi__manifest_parse(yoi_sdk_str(with(NULL, NULL)), &m, NULL), YOI_OK);
  assert_int_equal(yoi__manifest_narrow(&m, yoi_sdk_str(beside), NULL), YOI_OK);
  assert_int_equal(m.n_grants, n_grants);
  assert_string_equal(m.display_name.ptr, display_name);
  yoi__manifest_release(&m);
}

static void not_narrowed(const char *beside, const char *why) {
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  assert_int_equal(yoi__manifest_parse(yoi_sdk_str(with(NULL, NULL)), &m, NULL), YOI_OK);
  assert_int_not_equal(yoi__manifest_narrow(&m, yoi_sdk_str(beside), yoi_sdk_error_init(&e)),
                       YOI_OK);
  if (strstr(e.message, why) == NULL) fail_msg("'%s' is not in '%s'", why, e.message);
  assert_int_equal(m.n_grants, 2);
  assert_string_equal(m.display_name.ptr, "Thing");
  yoi__manifest_release(&m);
}

static void a_file_beside_may_only_narrow(void **state) {
  (void)state;
  narrowed("{}", 2, "Thing");
  narrowed("{\"grants\":[]}", 0, "Thing");
  narrowed("{\"grants\":[\"model:main\"]}", 1, "Thing");
  narrowed("{\"display_name\":\"Packaged\"}", 2, "Packaged");
  narrowed("{\"isolation\":\"none\"}", 2, "Thing");
  not_narrowed("{\"grants\":[\"model:other\"]}", "'model:other'");
  not_narrowed("{\"grants\":[\"mount:x\"]}", "a part of the plugin's own");
  not_narrowed("{\"isolation\":\"process\"}", "is for tools, policies and models");
  not_narrowed("{\"id\":\"org.example.other\"}", "unknown manifest field 'id'");
  not_narrowed("{\"version\":\"2.0.0\"}", "unknown manifest field 'version'");
  not_narrowed("nonsense", "not valid JSON");
}

static void memory_may_be_short_anywhere(void **state) {
  (void)state;
  for (uint64_t n = 1; n < 400; n++) {
    struct yoi__manifest m;
    yoi_status st;
    (void)yoi_sdk_mem_fail_at(n);
    st = yoi__manifest_parse(yoi_sdk_str(with(NULL, NULL)), &m, NULL);
    if (st == YOI_OK) st = yoi__manifest_narrow(&m, YOI_LIT("{\"grants\":[]}"), NULL);
    yoi__manifest_release(&m);
    if (yoi_sdk_mem_fail_at(0) < n) {
      assert_int_equal(st, YOI_OK);
      return;
    }
  }
  fail_msg("more allocations than expected");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_good_one),
      cmocka_unit_test(what_may_be_absent),
      cmocka_unit_test(each_field_is_checked),
      cmocka_unit_test(models_may_be_serial),
      cmocka_unit_test(a_policy_names_what_it_knows),
      cmocka_unit_test(later_features_are_refused_as_such),
      cmocka_unit_test(what_is_unknown_is_refused),
      cmocka_unit_test(only_runtimes_have_a_runtime_id),
      cmocka_unit_test(a_file_beside_may_only_narrow),
      cmocka_unit_test(memory_may_be_short_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
