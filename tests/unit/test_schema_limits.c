/* The limits of schemas and of checks, each at its edge: schemas and values
 * that are made to take time, memory or stack (yoi/limits.h). */
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/schemas.h"

static struct yoi_sdk_buf made; /* the text of a test, freed at its end */

static int setup(void **state) {
  (void)state;
  yoi_sdk_buf_init(&made, YOI_JSON_BYTES_MAX);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  yoi_sdk_buf_release(&made);
  return 0;
}

static void add(const char *text) {
  yoi_sdk_buf_adds(&made, yoi_sdk_str(text));
}

static void times(const char *text, int n) {
  for (int i = 0; i < n; i++) add(text);
}

/* The last finding of compiling what was made; "" when it compiles. */
struct last {
  char text[YOI_ERROR_MESSAGE_MAX];
};

static void keep_last(void *ctx, const char *pointer, int is_key, const char *message) {
  struct last *l = ctx;
  (void)pointer;
  (void)is_key;
  (void)snprintf(l->text, sizeof l->text, "%s", message);
}

static void compiles_or_says(const char *message) {
  struct last last = {""};
  yoi_sdk_json *v = schema_json(made.data);
  yoi_status st = yoi_sdk_schema_compile(v, keep_last, &last);
  assert_string_equal(last.text, message);
  assert_int_equal(st, *message ? YOI_INVALID_ARGUMENT : YOI_OK);
  yoi_sdk_json_free(v);
  yoi_sdk_buf_clear(&made);
}

static void says(const char *schema, const char *value, yoi_status status, const char *message) {
  struct last last = {""};
  struct yoi_sdk_schema *s;
  yoi_sdk_json *tree = schema_json(schema), *v = schema_json(value);
  assert_int_equal(yoi_sdk_schema_new(tree, NULL, NULL, &s), YOI_OK);
  assert_int_equal(yoi_sdk_schema_test(s, v, "", keep_last, &last), status);
  assert_string_equal(last.text, message);
  assert_int_equal(yoi_sdk_schema_test(s, v, "", NULL, NULL), status);
  yoi_sdk_schema_free(s);
  yoi_sdk_json_free(tree);
  yoi_sdk_json_free(v);
}

static const char too_long[] = "schema too complex for this value: more than 1000000 steps";

static void depth_of_a_schema(void **state) {
  (void)state;
  for (int depth = YOI_SCHEMA_DEPTH_MAX; depth <= YOI_SCHEMA_DEPTH_MAX + 1; depth++) {
    times("{\"not\":", depth - 1);
    add("{}");
    times("}", depth - 1);
    compiles_or_says(depth > YOI_SCHEMA_DEPTH_MAX ? "the schema is nested too deeply" : "");
  }
}

static void schemas_in_a_schema(void **state) {
  (void)state;
  for (int n = YOI_SCHEMA_NODES_MAX; n <= YOI_SCHEMA_NODES_MAX + 1; n++) {
    add("{\"anyOf\":[true");
    times(",{}", n - 2);
    add("]}");
    compiles_or_says(n > YOI_SCHEMA_NODES_MAX ? "more than 4096 schemas in one" : "");
  }
}

static void states_of_all_patterns(void **state) {
  (void)state;
  int whole = YOI_SCHEMA_STATES_MAX / 1024;
  for (int over = 0; over <= 1; over++) {
    add("{\"anyOf\":[true");
    times(",{\"pattern\":\"a{1023}\"}", whole);
    add(over ? ",{\"pattern\":\"\"}]}" : "]}");
    compiles_or_says(over ? "the pattern is too large" : "");
  }
}

static void references_one_after_the_other(void **state) {
  (void)state;
  /* A chain of n is n schemas inside each other for one value. */
  for (int n = YOI_SCHEMA_FRAMES_MAX - 1; n <= YOI_SCHEMA_FRAMES_MAX; n++) {
    add("{\"$ref\":\"#/$defs/0\",\"$defs\":{");
    for (int i = 0; i < n - 1; i++)
      yoi_sdk_buf_addf(&made, "\"%d\":{\"$ref\":\"#/$defs/%d\"},", i, i + 1);
    yoi_sdk_buf_addf(&made, "\"%d\":{\"type\":\"null\"}}}", n - 1);
    if (n < YOI_SCHEMA_FRAMES_MAX) {
      assert_int_equal(verdict(made.data, "null"), YOI_OK);
      assert_int_equal(verdict(made.data, "1"), YOI_INVALID_ARGUMENT);
      yoi_sdk_buf_clear(&made);
    } else {
      compiles_or_says("this leads through too many references");
    }
  }
  /* Behind one that was followed already, it is met when it is checked. */
  add("{\"$ref\":\"#/$defs/300\",\"$defs\":{");
  for (int i = 599; i > 0; i--)
    yoi_sdk_buf_addf(&made, "\"%d\":{\"$ref\":\"#/$defs/%d\"},", i, i - 1);
  add("\"0\":{},\"x\":{\"$ref\":\"#/$defs/599\"}},\"items\":{\"$ref\":\"#/$defs/x\"}}");
  says(made.data, "[]", YOI_OK, "");
  says(made.data, "[1]", YOI_OUT_OF_RANGE,
       "schema too complex for this value: more than 512 schemas inside each other");
}

static void schemas_inside_each_other(void **state) {
  (void)state;
  /* 64 levels of arrays, each 8 or 9 schemas deep. */
  for (int each = 8; each <= 9; each++) {
    add("{\"$defs\":{\"a\":{\"items\":{\"$ref\":\"#\"}}},");
    times("\"allOf\":[{", each - 3);
    add("\"$ref\":\"#/$defs/a\"");
    times("}]", each - 3);
    add("}");
    char value[2 * YOI_JSON_DEPTH_MAX + 1] = "";
    memset(value, '[', YOI_JSON_DEPTH_MAX);
    memset(value + YOI_JSON_DEPTH_MAX, ']', YOI_JSON_DEPTH_MAX);
    says(made.data, value, each == 8 ? YOI_OK : YOI_OUT_OF_RANGE,
         each == 8 ? ""
                   : "schema too complex for this value: more than 512 schemas inside each other");
    yoi_sdk_buf_clear(&made);
  }
}

/* Twice the same, twice: 2^n evaluations of one value. */
static void branches_that_multiply(void **state) {
  (void)state;
  static const char *const both[] = {"allOf", "anyOf", "oneOf"};
  for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
    add("{\"$ref\":\"#/$defs/0\",\"$defs\":{");
    for (int k = 0; k < 40; k++)
      yoi_sdk_buf_addf(&made,
                       "\"%d\":{\"%s\":[{\"$ref\":\"#/$defs/%d\"},{\"$ref\":\"#/$defs/%d\"}]},", k,
                       both[i], k + 1, k + 1);
    yoi_sdk_buf_addf(&made, "\"40\":{\"type\":\"%s\"}}}", i == 0 ? "null" : "string");
    says(made.data, "null", YOI_OUT_OF_RANGE, too_long);
    yoi_sdk_buf_clear(&made);
  }
}

/* A check of n members takes some n steps: the edge lies where it is said. */
static void steps_at_their_edge(void **state) {
  (void)state;
  struct yoi_sdk_json_error err;
  yoi_status before = YOI_OK;
  int changes = 0;
  for (int n = 0; n <= 130; n += 10) {
    yoi_sdk_json *tree, *v;
    struct yoi_sdk_schema *s;
    yoi_sdk_buf_clear(&made);
    add("{\"items\":{\"allOf\":[true");
    times(",{}", n);
    add("]}}");
    tree = schema_json(made.data);
    yoi_sdk_buf_clear(&made);
    add("[0");
    times(",0", 9999);
    add("]");
    assert_int_equal(yoi_sdk_json_parse(yoi_sdk_buf_str(&made), 0, &v, &err), YOI_OK);
    assert_int_equal(yoi_sdk_schema_new(tree, NULL, NULL, &s), YOI_OK);
    yoi_status st = yoi_sdk_schema_test(s, v, "", NULL, NULL);
    /* items / 8, and per item its node and each of n + 1 in it */
    assert_int_equal(
        st, 10000 / 8 + 10000 * (n + 2) < YOI_SCHEMA_STEPS_MAX ? YOI_OK : YOI_OUT_OF_RANGE);
    changes += st != before;
    before = st;
    yoi_sdk_schema_free(s);
    yoi_sdk_json_free(tree);
    yoi_sdk_json_free(v);
  }
  assert_int_equal(changes, 1);
}

/* Each takes far more than the limit when it is done without thought. */
static void work_that_is_no_node_counts_too(void **state) {
  (void)state;
  struct yoi_sdk_buf schema;
  yoi_sdk_buf_init(&schema, YOI_JSON_BYTES_MAX);
  /* enum: as many values as items */
  yoi_sdk_buf_adds(&schema, YOI_LIT("{\"items\":{\"enum\":[0"));
  for (int i = 1; i < 5000; i++) yoi_sdk_buf_addf(&schema, ",%d", i);
  yoi_sdk_buf_adds(&schema, YOI_LIT("]}}"));
  add("[4999");
  times(",4999", 4999);
  add("]");
  says(schema.data, made.data, YOI_OUT_OF_RANGE, too_long);
  /* required: as many names as members */
  yoi_sdk_buf_clear(&schema);
  yoi_sdk_buf_clear(&made);
  yoi_sdk_buf_adds(&schema, YOI_LIT("{\"required\":[\"0\""));
  add("{\"0\":0");
  for (int i = 1; i < 20000; i++) {
    yoi_sdk_buf_addf(&schema, ",\"%d\"", i);
    yoi_sdk_buf_addf(&made, ",\"%d\":0", i);
  }
  yoi_sdk_buf_adds(&schema, YOI_LIT("]}"));
  add("}");
  says(schema.data, made.data, YOI_OUT_OF_RANGE, too_long);
  /* a pattern with all its states alive, over a long text */
  yoi_sdk_buf_clear(&made);
  add("\"");
  times("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 2000);
  add("\"");
  says("{\"pattern\":\"(a?){900}b\"}", made.data, YOI_OUT_OF_RANGE, too_long);
  /* the pointer of each finding has a key of a megabyte */
  yoi_sdk_buf_clear(&made);
  add("{\"");
  times("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", 32768);
  add("\":[0");
  times(",0", 20000);
  add("]}");
  struct last last = {""};
  yoi_sdk_json *tree = schema_json("{\"additionalProperties\":{\"items\":{\"type\":\"null\"}}}");
  yoi_sdk_json *v = schema_json(made.data);
  assert_int_equal(yoi_sdk_schema_check(tree, v, "", keep_last, &last), YOI_OUT_OF_RANGE);
  assert_string_equal(last.text, too_long);
  yoi_sdk_json_free(tree);
  yoi_sdk_json_free(v);
  yoi_sdk_buf_release(&schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(depth_of_a_schema, setup, teardown),
      cmocka_unit_test_setup_teardown(schemas_in_a_schema, setup, teardown),
      cmocka_unit_test_setup_teardown(states_of_all_patterns, setup, teardown),
      cmocka_unit_test_setup_teardown(references_one_after_the_other, setup, teardown),
      cmocka_unit_test_setup_teardown(schemas_inside_each_other, setup, teardown),
      cmocka_unit_test_setup_teardown(branches_that_multiply, setup, teardown),
      cmocka_unit_test_setup_teardown(steps_at_their_edge, setup, teardown),
      cmocka_unit_test_setup_teardown(work_that_is_no_node_counts_too, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
