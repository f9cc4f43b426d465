/* anyOf, oneOf, allOf, not, if: what fits, and what is said when nothing does
 * (abi/sdk/schema/schema_choice.c). */
#include <sdk/schema.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/schemas.h"

static void other_types_are_said_at_once(void **state) {
  (void)state;
  const char *s =
      "{\"anyOf\":[{\"type\":\"string\"},{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}],"
      "\"$defs\":{\"n\":{\"type\":\"integer\"}}}";
  checks(s, "1", "");
  checks(s, "null", "");
  checks(s, "[]", "/c: expected an integer, a string or null, found an array\n");
  checks("{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"boolean\"}]}", "1",
         "/c: expected a string or a boolean, found a number\n");
  checks("{\"anyOf\":[false,false]}", "1",
         "/c: fits none of 2 alternatives; number 1 is nearest\n/c: nothing is allowed here\n");
}

static void lists_of_values_are_one_list(void **state) {
  (void)state;
  const char *s =
      "{\"anyOf\":[{\"const\":\"a\"},{\"enum\":[1,null]},{\"$ref\":\"#/$defs/b\"}],"
      "\"$defs\":{\"b\":{\"const\":\"b\"}}}";
  checks(s, "\"b\"", "");
  checks(s, "\"c\"", "/c: expected one of [\"a\",1,null,\"b\"]\n");
}

static void the_only_branch_of_the_type_speaks(void **state) {
  (void)state;
  const char *s =
      "{\"anyOf\":[{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":"
      "{\"minimum\":1}}},{\"type\":\"null\"}]}";
  checks(s, "null", "");
  checks(s, "{\"a\":0}", "/c/a: must be at least 1\n");
  checks(s, "{}", "/c: key 'a' is missing\n");
}

/* Of several kinds of objects, the one that the value says it is. */
static void the_nearest_branch_is_told_apart_by_its_kind(void **state) {
  (void)state;
  const char *s =
      "{\"oneOf\":[{\"title\":\"circle\",\"properties\":{\"kind\":{\"const\":\"circle\"},"
      "\"r\":{\"type\":\"number\"}},\"required\":[\"kind\",\"r\"],\"additionalProperties\":false},"
      "{\"$ref\":\"#/$defs/square\"}],\"$defs\":{\"square\":{\"properties\":{"
      "\"kind\":{\"const\":\"square\"},\"side\":{\"type\":\"number\"},\"color\":{\"enum\":[\"red\"]"
      "}},\"required\":[\"kind\",\"side\"],\"additionalProperties\":false}}}";
  checks(s, "{\"kind\":\"square\",\"side\":1}", "");
  checks(s, "{\"kind\":\"circle\",\"side\":1}",
         "/c: fits none of 2 alternatives; number 1, 'circle', is nearest\n"
         "/c: key 'r' is missing\n/c/side#: unknown key 'side'\n");
  checks(s, "{\"kind\":\"square\",\"r\":1,\"sid\":2}",
         "/c: fits none of 2 alternatives; number 2, 'square', is nearest\n"
         "/c: key 'side' is missing\n/c/r#: unknown key 'r'\n"
         "/c/sid#: unknown key 'sid'; the nearest known one is 'side'\n");
}

static void the_fewest_findings_are_nearest(void **state) {
  (void)state;
  const char *s = "{\"anyOf\":[{\"minLength\":5,\"pattern\":\"^x\"},{\"maxLength\":1}]}";
  checks(s, "\"ab\"",
         "/c: fits none of 2 alternatives; number 2 is nearest\n"
         "/c: must have at most 1 character\n");
  s = "{\"anyOf\":[{\"anyOf\":[{\"minLength\":5,\"pattern\":\"^x\"},{\"minLength\":4}]},"
      "{\"minLength\":9,\"pattern\":\"^y\"}]}";
  checks(s, "\"ab\"",
         "/c: fits none of 2 alternatives; number 1 is nearest\n"
         "/c: fits none of 2 alternatives; number 2 is nearest\n"
         "/c: must have at least 4 characters\n");
}

static void exactly_one(void **state) {
  (void)state;
  const char *s = "{\"oneOf\":[{\"minimum\":5},{\"maximum\":3},{\"multipleOf\":4}]}";
  checks(s, "6", "");
  checks(s, "3", "");
  checks(s, "8", "/c: fits the alternatives 1 and 3 of 3, must fit exactly one\n");
}

static void all_speak_in_turn(void **state) {
  (void)state;
  checks("{\"allOf\":[{\"minimum\":5},{\"multipleOf\":2}],\"maximum\":0}", "3",
         "/c: must be at most 0\n/c: must be at least 5\n/c: must be a multiple of 2\n");
}

static void not_says_what_must_not_be(void **state) {
  (void)state;
  checks("{\"not\":{\"const\":\"a\"}}", "\"a\"", "/c: must not be \"a\"\n");
  checks("{\"not\":{\"enum\":[1,2]}}", "2", "/c: must be none of [1,2]\n");
  checks("{\"not\":{\"type\":[\"string\",\"null\"]}}", "\"\"",
         "/c: must not be a string or null\n");
  checks("{\"not\":{\"required\":[\"a\",\"b\"]}}", "{\"a\":1,\"b\":1}",
         "/c: must not have all keys of [\"a\",\"b\"]\n");
  checks("{\"not\":{\"title\":\"a port\",\"minimum\":1}}", "2", "/c: must not be 'a port'\n");
  checks("{\"not\":{\"minimum\":1}}", "2", "/c: fits the schema in 'not', and must not\n");
  checks("{\"not\":{\"minimum\":1}}", "0", "");
  checks("{\"properties\":{\"a\":{\"not\":{}}}}", "{\"a\":1}",
         "/c/a: fits the schema in 'not', and must not\n");
}

static void conditions(void **state) {
  (void)state;
  const char *s =
      "{\"if\":{\"properties\":{\"tls\":{\"const\":true}},\"required\":[\"tls\"]},"
      "\"then\":{\"required\":[\"key\"]},\"else\":{\"maxProperties\":1}}";
  checks(s, "{\"tls\":true,\"key\":1}", "");
  checks(s, "{\"tls\":true}", "/c: key 'key' is missing\n");
  checks(s, "{\"tls\":false,\"b\":1}", "/c: must have at most 1 key\n");
  checks(s, "{\"tls\":false}", "");
  checks("{\"if\":{\"minimum\":1}}", "0", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(other_types_are_said_at_once),
      cmocka_unit_test(lists_of_values_are_one_list),
      cmocka_unit_test(the_only_branch_of_the_type_speaks),
      cmocka_unit_test(the_nearest_branch_is_told_apart_by_its_kind),
      cmocka_unit_test(the_fewest_findings_are_nearest),
      cmocka_unit_test(exactly_one),
      cmocka_unit_test(all_speak_in_turn),
      cmocka_unit_test(not_says_what_must_not_be),
      cmocka_unit_test(conditions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
