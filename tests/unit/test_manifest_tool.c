/* The member "tools" of a manifest: what is read, what is refused, and how much
 * of it there may be. */
#include "host/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <yoi/tool.h>

#define TOOL "\"name\":\"t\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}"

/* A plugin of tools with these. */
static const char *with(const char *tools) {
  static char text[40000];
  (void)snprintf(text, sizeof text,
                 "{\"manifest\":\"yoi.plugin/1\",\"id\":\"org.example.t\",\"kind\":\"tool\","
                 "\"version\":\"1.0.0\",\"abi\":1,\"interfaces\":[\"yoi.tool/1\"],"
                 "\"threads\":\"serial\",\"config\":{\"type\":\"object\"}%s%s}",
                 tools ? ",\"tools\":" : "", tools ? tools : "");
  return text;
}

static void refused(const char *tools, const char *a, const char *b) {
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  assert_int_not_equal(yoi__manifest_parse(yoi_sdk_str(with(tools)), &m, yoi_sdk_error_init(&e)),
                       YOI_OK);
  if (strstr(e.message, a) == NULL || strstr(e.message, b) == NULL)
    fail_msg("'%s' and '%s' are not both in '%s'", a, b, e.message);
  assert_null(m.tools);
}

static void what_is_not_said_is_the_careful_answer(void **state) {
  (void)state;
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  yoi_str text = yoi_sdk_str(with("[{" TOOL "}]"));
  assert_int_equal(yoi__manifest_parse(text, &m, yoi_sdk_error_init(&e)), YOI_OK);
  assert_int_equal(m.n_tools, 1);
  const struct yoi__manifest_tool *t = yoi__manifest_tool(&m, YOI_LIT("t"));
  assert_ptr_equal(t, &m.tools[0]);
  assert_null(yoi__manifest_tool(&m, YOI_LIT("T")));
  assert_int_equal(t->flags, 0);
  assert_int_equal(t->max_ms, YOI_TOOL_MS_DEFAULT);
  assert_string_equal(t->grants.ptr, "[]");
  assert_string_equal(t->parameters.ptr, "{\"type\":\"object\"}");
  assert_string_equal(t->description.ptr, "d");
  yoi__manifest_release(&m);
}

static void all_of_it_is_read(void **state) {
  (void)state;
  static const char two[] =
      "[{" TOOL
      ",\"read_only\":true,\"grants\":[\"mount\",\"net\"],\"max_ms\":3600000},"
      "{\"name\":\"A-z_9\",\"description\":\"x\",\"read_only\":true,\"idempotent\":false,"
      "\"max_ms\":1,\"parameters\":{\"type\":\"object\",\"required\":[\"p\"],"
      "\"properties\":{\"p\":{\"type\":\"string\"}}}}]";
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  yoi_sdk_json *v = NULL;
  assert_int_equal(yoi__manifest_parse(yoi_sdk_str(with(two)), &m, yoi_sdk_error_init(&e)), YOI_OK);
  assert_int_equal(m.tools[0].flags, YOI_TOOL_READ_ONLY | YOI_TOOL_IDEMPOTENT);
  assert_string_equal(m.tools[0].grants.ptr, "[\"mount\",\"net\"]");
  assert_int_equal(m.tools[0].max_ms, YOI_TOOL_MS_MAX);
  const struct yoi__manifest_tool *t = yoi__manifest_tool(&m, YOI_LIT("A-z_9"));
  assert_int_equal(t->flags, YOI_TOOL_READ_ONLY);
  assert_int_equal(t->max_ms, 1);
  assert_int_equal(yoi_sdk_json_parse(YOI_LIT("{\"p\":1}"), 0, &v, NULL), YOI_OK);
  assert_int_equal(yoi_sdk_schema_test(t->arguments, v, "", NULL, NULL), YOI_INVALID_ARGUMENT);
  yoi_sdk_json_free(v);
  yoi__manifest_release(&m);
}

static void each_member_is_checked(void **state) {
  (void)state;
  static const char *const wrong[][3] = {
      {NULL, "'tools'", "at least one"},
      {"[]", "'tools'", "1 to 64"},
      {"{}", "'tools'", "1 to 64"},
      {"[1]", "'tools/0'", "an object"},
      {"[{\"name\":\"t\"}]", "'tools/0/description'", "found nothing"},
      {"[{" TOOL ",\"readonly\":true}]", "'tools/0'", "did you mean 'read_only'"},
      {"[{" TOOL ",\"zzzzzz\":true}]", "'tools/0'", "unknown member 'zzzzzz'"},
      {"[{" TOOL "},{" TOOL "}]", "'tools/1/name'", "a name of its own"},
      {"[{" TOOL ",\"read_only\":1}]", "'tools/0/read_only'", "true or false"},
      {"[{" TOOL ",\"idempotent\":\"no\"}]", "'tools/0/idempotent'", "true or false"},
      {"[{" TOOL ",\"max_ms\":0}]", "'tools/0/max_ms'", "1 to 3600000"},
      {"[{" TOOL ",\"max_ms\":3600001}]", "'tools/0/max_ms'", "found 3600001"},
      {"[{" TOOL ",\"grants\":[\"disk\"]}]", "'tools/0/grants'", "found 'disk'"},
      {"[{" TOOL ",\"grants\":[\"net\",\"net\"]}]", "'tools/0/grants'", "each once"},
      {"[{" TOOL ",\"grants\":\"net\"}]", "'tools/0/grants'", "an array"},
      {"[{\"name\":\"a b\",\"description\":\"d\",\"parameters\":{}}]", "'tools/0/name'", "a b"},
      {"[{\"name\":\"\",\"description\":\"d\",\"parameters\":{}}]", "'tools/0/name'", "1 to 64"},
      {"[{\"name\":\"t\",\"description\":\"\",\"parameters\":{}}]", "'tools/0/description'",
       "1 to 4,096"},
      {"[{\"name\":\"t\",\"description\":\"d\",\"parameters\":{\"type\":\"array\"}}]",
       "'tools/0/parameters/type'", "'object'"},
      {"[{\"name\":\"t\",\"description\":\"d\",\"parameters\":{\"type\":\"object\","
       "\"unevaluatedProperties\":false}}]",
       "'tools/0/parameters'", "unevaluatedProperties"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    refused(wrong[i][0], wrong[i][1], wrong[i][2]);
}

/* n bytes of `what` in a tool whose other members are good. */
static const char *long_one(const char *what, size_t n) {
  static char text[120000];
  int name = strcmp(what, "name") == 0, description = strcmp(what, "description") == 0;
  static char fill[36000];
  memset(fill, 'x', n);
  fill[n] = '\0';
  (void)snprintf(text, sizeof text,
                 "[{\"name\":\"%s\",\"description\":\"%s\",\"parameters\":{\"type\":\"object\","
                 "\"title\":\"%s\"}}]",
                 name ? fill : "t", description ? fill : "d", name || description ? "" : fill);
  return text;
}

static void limits_hold_at_their_edges(void **state) {
  (void)state;
  static const struct {
    const char *what;
    size_t max;
  } edges[] = {
      {"name", YOI_NAME_MAX},
      {"description", YOI_TOOL_DESCRIPTION_MAX},
      {"parameters", YOI_TOOL_PARAMETERS_MAX - sizeof "{\"type\":\"object\",\"title\":\"\"}" + 1}};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
    struct yoi__manifest m;
    struct yoi_sdk_error e;
    yoi_str text = yoi_sdk_str(with(long_one(edges[i].what, edges[i].max)));
    yoi_status st = yoi__manifest_parse(text, &m, yoi_sdk_error_init(&e));
    if (st != YOI_OK) fail_msg("%s: %s", edges[i].what, e.message);
    yoi__manifest_release(&m);
    refused(long_one(edges[i].what, edges[i].max + 1), edges[i].what, "expected");
  }
}

static void a_plugin_has_at_most_64(void **state) {
  (void)state;
  static char text[12000];
  for (int n = YOI_TOOLS_MAX; n <= YOI_TOOLS_MAX + 1; n++) {
    size_t at = 0;
    for (int i = 0; i < n; i++)
      at += (size_t)snprintf(text + at, sizeof text - at,
                             "%c{\"name\":\"t%d\",\"description\":\"d\",\"parameters\":{\"type\":"
                             "\"object\"}}",
                             i == 0 ? '[' : ',', i);
    (void)snprintf(text + at, sizeof text - at, "]");
    struct yoi__manifest m;
    yoi_status st = yoi__manifest_parse(yoi_sdk_str(with(text)), &m, NULL);
    assert_int_equal(st == YOI_OK, n == YOI_TOOLS_MAX);
    if (st == YOI_OK) yoi__manifest_release(&m);
  }
}

/* A plugin of tools that wants these. */
static const char *wanting(const char *grants) {
  static char text[2000];
  (void)snprintf(text, sizeof text,
                 "{\"manifest\":\"yoi.plugin/1\",\"id\":\"org.example.t\",\"kind\":\"tool\","
                 "\"version\":\"1.0.0\",\"abi\":1,\"interfaces\":[\"yoi.tool/1\"],"
                 "\"threads\":\"serial\",\"config\":{\"type\":\"object\"},\"tools\":[{" TOOL
                 "}],\"grants\":%s}",
                 grants);
  return text;
}

static void tools_want_what_is_local(void **state) {
  (void)state;
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  static const char *const wrong[][2] = {
      {"[\"model:main\"]", "tools have none"},   {"[\"mount:a b\"]", "a name of 1 to 64"},
      {"[\"mount:*:rx\"]", "a name of 1 to 64"}, {"[\"disk:*\"]", "'mount:NAME:ro'"},
      {"[\"mount\"]", "'mount:NAME:ro'"},
  };
  yoi_str good = yoi_sdk_str(
      wanting("[\"mount:*\",\"mount:a:ro\",\"mount:b\",\"net:*\",\"shell:a\",\"git:*\"]"));
  assert_int_equal(yoi__manifest_parse(good, &m, NULL), YOI_OK);
  assert_int_equal(m.n_grants, 6);
  /* Beside the plugin fewer of them, by their text. */
  assert_int_equal(yoi__manifest_narrow(&m, YOI_LIT("{\"grants\":[\"net:x\"]}"), NULL),
                   YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi__manifest_narrow(&m, YOI_LIT("{\"grants\":[\"mount:b\"]}"), NULL), YOI_OK);
  assert_int_equal(m.n_grants, 1);
  yoi__manifest_release(&m);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    yoi_str text = yoi_sdk_str(wanting(wrong[i][0]));
    assert_int_not_equal(yoi__manifest_parse(text, &m, yoi_sdk_error_init(&e)), YOI_OK);
    if (strstr(e.message, wrong[i][1]) == NULL) fail_msg("%s: %s", wrong[i][0], e.message);
  }
}

static void only_tools_have_tools(void **state) {
  (void)state;
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  static const char text[] =
      "{\"manifest\":\"yoi.plugin/1\",\"id\":\"org.example.t\",\"kind\":\"model\","
      "\"version\":\"1.0.0\",\"abi\":1,\"interfaces\":[\"yoi.model/1\"],"
      "\"threads\":\"serial\",\"config\":{\"type\":\"object\"},\"tools\":[{" TOOL "}]}";
  assert_int_not_equal(yoi__manifest_parse(yoi_sdk_str(text), &m, yoi_sdk_error_init(&e)), YOI_OK);
  assert_non_null(strstr(e.message, "only tools have one"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_not_said_is_the_careful_answer),
      cmocka_unit_test(all_of_it_is_read),
      cmocka_unit_test(each_member_is_checked),
      cmocka_unit_test(limits_hold_at_their_edges),
      cmocka_unit_test(a_plugin_has_at_most_64),
      cmocka_unit_test(tools_want_what_is_local),
      cmocka_unit_test(only_tools_have_tools),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
