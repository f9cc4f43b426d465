/* Schemas: each keyword's effect, what is refused at compile, and the findings'
 * places and words (sdk/schema.h). */
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/schemas.h"

static void unknown_keywords_are_refused(void **state) {
  (void)state;
  static const char *const names[] = {"unevaluatedProperties", "$anchor",      "$dynamicRef",
                                      "contentSchema",         "dependencies", "$vocabulary",
                                      "additionalItems",       "Type",         "x-note"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char schema[64], finding[128];
    (void)snprintf(schema, sizeof schema, "{\"items\":{\"%s\":true}}", names[i]);
    (void)snprintf(finding, sizeof finding, "/items/%s#: keyword '%s' is not enforced here\n",
                   names[i], names[i]);
    compiles(schema, finding);
  }
  compiles("{\"properties\":{\"a\":{\"oneof\":[]}},\"not\":{\"x\":1}}",
           "/properties/a/oneof#: keyword 'oneof' is not enforced here\n"
           "/not/x#: keyword 'x' is not enforced here\n");
}

static void keywords_without_effect_are_refused(void **state) {
  (void)state;
  compiles("{\"then\":{},\"else\":{},\"minContains\":1,\"maxContains\":1}",
           "/then#: 'then' has no effect without 'if'\n"
           "/else#: 'else' has no effect without 'if'\n"
           "/minContains#: 'minContains' has no effect without 'contains'\n"
           "/maxContains#: 'maxContains' has no effect without 'contains'\n");
}

static void formats_are_enforced_or_annotations_or_refused(void **state) {
  (void)state;
  static const char secret[] = "{\"type\":\"string\",\"format\":\"secret\"}";
  static const char url[] = "{\"type\":\"string\",\"format\":\"http-url\",\"minLength\":8}";
  static const char no_secret[] =
      "/c: expected 'secret:NAME', the name of a secret and never its value\n";
  static const char no_url[] = "/c: expected an address that begins with http:// or https://\n";
  static const char no_format[] =
      "/format: expected 'secret', 'http-url', 'path' or a format of JSON Schema, such as "
      "'date-time'\n";
  static const char *const urls[] = {"\"http://h\"", "\"https://h/v1\"", "\"http://[::1]:1/\"",
                                     "\"https://\u00e9.example\""};
  static const char *const other[] = {"\"\"",          "\"h/v1\"",       "\"ftp://h\"",
                                      "\"http://\"",   "\"http:///v1\"", "\"https://:1\"",
                                      "\"HTTP://h\"",  "\"http://h x\"", "\"http://h\\n\"",
                                      "\" http://h\"", "\"http://?q\""};
  checks(secret, "\"secret:a.B_9-\"", "");
  checks(secret, "\"\"", no_secret);
  checks(secret, "\"secret:\"", no_secret);
  checks(secret, "\"Secret:a\"", no_secret);
  checks(secret, "\"sk-12345\"", no_secret);
  checks(secret, "\"secret:a b\"", no_secret);
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) checks(url, urls[i], "");
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) checks(url, other[i], no_url);
  checks("{\"format\":\"secret\"}", "1", "");
  checks("{\"format\":\"path\"}", "\"a\"", "");
  checks("{\"format\":\"path\"}", "\"\"", "/c: expected a path\n");
  checks("{\"format\":\"date-time\"}", "\"yesterday\"", "");
  compiles("{\"format\":\"int64\"}", no_format);
  compiles("{\"format\":\"\"}", no_format);
  compiles("{\"format\":1}", no_format);
}

static void malformed_keywords_are_refused(void **state) {
  (void)state;
  static const char schema[] = ": expected a schema, which is an object, true or false\n";
  static const char type[] = "/type: expected the name of a type, or a non-empty array of them\n";
  static const struct {
    const char *schema, *pointer, *finding;
  } rows[] = {
      {"[]", "", schema},
      {"{\"type\":[]}", "", type},
      {"{\"type\":[\"string\",1]}", "", type},
      {"{\"type\":\"text\"}", "", type},
      {"{\"type\":1}", "", type},
      {"{\"properties\":[]}", "/properties", ": expected an object of schemas\n"},
      {"{\"properties\":{\"a\":1}}", "/properties/a", schema},
      {"{\"patternProperties\":{\"(\":{}}}", "/patternProperties/(", ": ')' is missing\n"},
      {"{\"$defs\":{\"a\":null}}", "/$defs/a", schema},
      {"{\"required\":\"a\"}", "/required", ": expected an array of strings\n"},
      {"{\"required\":[1]}", "/required", ": expected an array of strings\n"},
      {"{\"dependentRequired\":{\"a\":[1]}}", "/dependentRequired",
       ": expected an object of arrays of strings\n"},
      {"{\"items\":[{}]}", "/items", schema},
      {"{\"prefixItems\":{}}", "/prefixItems", ": expected a non-empty array of schemas\n"},
      {"{\"anyOf\":[]}", "/anyOf", ": expected a non-empty array of schemas\n"},
      {"{\"allOf\":[{},1]}", "/allOf/1", schema},
      {"{\"additionalProperties\":1}", "/additionalProperties", schema},
      {"{\"enum\":[]}", "/enum", ": expected a non-empty array of values\n"},
      {"{\"minimum\":\"1\"}", "/minimum", ": expected a number\n"},
      {"{\"exclusiveMinimum\":true}", "/exclusiveMinimum", ": expected a number\n"},
      {"{\"multipleOf\":0}", "/multipleOf", ": expected a number above 0\n"},
      {"{\"maxLength\":-1}", "/maxLength", ": expected a whole number from 0 on\n"},
      {"{\"minItems\":1.5}", "/minItems", ": expected a whole number from 0 on\n"},
      {"{\"uniqueItems\":1}", "/uniqueItems", ": expected true or false\n"},
      {"{\"pattern\":1}", "/pattern", ": expected a regular expression\n"},
      {"{\"pattern\":\"a**\"}", "/pattern", ": nothing to repeat before '*', '+' or '?'\n"},
      {"{\"$ref\":1}", "/$ref", ": expected a string\n"},
      {"{\"title\":1}", "/title", ": expected a string\n"},
      {"{\"examples\":1}", "/examples", ": expected an array\n"},
      {"{\"readOnly\":1}", "/readOnly", ": expected true or false\n"},
      {"{\"not\":{\"$id\":\"x\"}}", "/not/$id",
       ": a schema inside of another has no address of its own here\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char finding[256];
    (void)snprintf(finding, sizeof finding, "%s%s", rows[i].pointer, rows[i].finding);
    compiles(rows[i].schema, finding);
  }
  compiles(
      "{\"$schema\":\"x\",\"$id\":\"y\",\"$comment\":\"c\",\"title\":\"t\",\"description\":\"d\","
      "\"default\":[{}],\"examples\":[1],\"deprecated\":true,\"readOnly\":false,"
      "\"writeOnly\":false,\"contentEncoding\":\"base64\",\"contentMediaType\":\"image/png\"}",
      "");
  compiles("true", "");
}

static void references_lead_somewhere_and_on(void **state) {
  (void)state;
  static const char list[] =
      "{\"$ref\":\"#/$defs/list\",\"$defs\":{\"list\":{\"type\":\"object\","
      "\"properties\":{\"n\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#/$defs/list\"}}}}}";
  static const char back[] = ": this leads back here without looking into the value\n";
  char text[200];
  checks(list, "{\"n\":1,\"next\":{\"n\":2,\"next\":{}}}", "");
  checks(list, "{\"n\":1,\"next\":{\"n\":2,\"next\":{\"n\":\"x\"}}}",
         "/c/next/next/n: expected an integer, found a string\n");
  checks("{\"items\":{\"$ref\":\"#\"},\"type\":\"array\"}", "[[],[[1]]]",
         "/c/1/0/0: expected an array, found a number\n");
  checks(
      "{\"$defs\":{\"a~/%\":{\"const\":1}},\"properties\":{"
      "\"x\":{\"$ref\":\"#/$defs/a~0~1%25\"},\"y\":{\"$ref\":\"#/properties/x\"}}}",
      "{\"x\":2,\"y\":3}", "/c/x: expected 1\n/c/y: expected 1\n");
  checks("{\"allOf\":[{\"type\":\"string\"}],\"minLength\":2,\"items\":{\"$ref\":\"#/allOf/0\"}}",
         "[1]", "/c/0: expected a string, found a number\n/c: expected a string, found an array\n");
  checks("{\"definitions\":{\"a\":{\"type\":\"null\"}},\"$ref\":\"#/definitions/a\"}", "null", "");
  compiles("{\"$ref\":\"#/$defs/b\"}", "/$ref: there is no schema '#/$defs/b'\n");
  compiles("{\"enum\":[{}],\"$ref\":\"#/enum/0\"}", "/$ref: there is no schema '#/enum/0'\n");
  compiles("{\"$ref\":\"#/$defs/%4\"}", "/$ref: there is no schema '#/$defs/%4'\n");
  compiles("{\"$ref\":\"#/$defs/~2\"}", "/$ref: there is no schema '#/$defs/~2'\n");
  static const char *const elsewhere[] = {"", "a", "#a", "https://h/s.json#/a", "/$defs/a"};
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
    (void)snprintf(text, sizeof text, "{\"items\":{\"$ref\":\"%s\"}}", elsewhere[i]);
    compiles(text,
             "/items/$ref: only references into the same schema are followed: '#' or "
             "'#/$defs/NAME'\n");
  }
  (void)snprintf(text, sizeof text, "/$ref%s", back);
  compiles("{\"$ref\":\"#\"}", text);
  (void)snprintf(text, sizeof text, "/$defs/b/not/$ref%s", back);
  compiles(
      "{\"$defs\":{\"a\":{\"anyOf\":[{},{\"$ref\":\"#/$defs/b\"}]},"
      "\"b\":{\"not\":{\"$ref\":\"#/$defs/a\"}}}}",
      text);
  (void)snprintf(text, sizeof text, "/$defs/a/dependentSchemas/k/$ref%s", back);
  compiles("{\"$defs\":{\"a\":{\"dependentSchemas\":{\"k\":{\"$ref\":\"#/$defs/a\"}}}}}", text);
}

static void types(void **state) {
  (void)state;
  static const char *const values[] = {"{}", "[]", "\"x\"", "1.5", "1", "true", "null"};
  static const char *const names[] = {"object",  "array",   "string", "number",
                                      "integer", "boolean", "null"};
  for (size_t i = 0; i < 7; i++) {
    for (size_t k = 0; k < 7; k++) {
      char schema[64];
      (void)snprintf(schema, sizeof schema, "{\"type\":\"%s\"}", names[i]);
      int fits = i == k || (i == 3 && k == 4);
      assert_int_equal(verdict(schema, values[k]), fits ? YOI_OK : YOI_INVALID_ARGUMENT);
      (void)snprintf(schema, sizeof schema, "{\"type\":[\"%s\",\"null\"]}", names[i]);
      assert_int_equal(verdict(schema, values[k]), fits || k == 6 ? YOI_OK : YOI_INVALID_ARGUMENT);
    }
  }
  checks("{\"type\":\"integer\"}", "1.5", "/c: expected an integer\n");
  checks("{\"type\":\"integer\"}", "2.0", "");
  checks("{\"type\":\"integer\"}", "9007199254740992", "/c: expected an integer\n");
  checks("{\"type\":\"object\"}", "[]", "/c: expected an object, found an array\n");
  checks("{\"type\":\"null\"}", "\"\"", "/c: expected null, found a string\n");
  checks("{\"type\":[\"string\",\"null\"]}", "1",
         "/c: expected a string or null, found a number\n");
  checks("{\"type\":[\"null\",\"integer\",\"string\",\"number\"]}", "[]",
         "/c: expected a string, a number or null, found an array\n");
  checks("true", "1", "");
  checks("false", "1", "/c: nothing is allowed here\n");
  checks("{\"properties\":{\"a\":false},\"prefixItems\":[true],\"items\":false}", "{\"a\":1}",
         "/c/a#: key 'a' is not allowed here\n");
  checks("{\"prefixItems\":[true],\"items\":false}", "[1,2]", "/c/1: no item is allowed here\n");
}

static void enums_and_constants(void **state) {
  (void)state;
  const char *s = "{\"enum\":[\"a\",1,true,null,[1,{\"x\":[]}],{\"a\":1,\"b\":2}]}";
  const char *no = "/c: expected one of [\"a\",1,true,null,[1,{\"x\":[]}],{\"a\":1,\"b\":2}]\n";
  static const char *const right[] = {
      "\"a\"", "1.0", "true", "null", "[1.0,{\"x\":[]}]", "{\"b\":2,\"a\":1}"};
  static const char *const wrong[] = {"\"A\"",
                                      "0",
                                      "false",
                                      "[]",
                                      "[1,{\"x\":[0]}]",
                                      "{}",
                                      "\"1\"",
                                      "{\"a\":1}",
                                      "{\"a\":1,\"c\":2}",
                                      "{\"a\":1,\"b\":2,\"c\":3}"};
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) checks(s, right[i], "");
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) checks(s, wrong[i], no);
  checks("{\"const\":{\"a\":[1]}}", "{\"a\":[1]}", "");
  checks("{\"const\":\"x\"}", "\"y\"", "/c: expected \"x\"\n");
  checks("{\"const\":false}", "0", "/c: expected false\n");
  checks("{\"const\":-0.0}", "0", "");
}

static void numbers(void **state) {
  (void)state;
  const char *s = "{\"minimum\":1,\"maximum\":2.5}";
  checks(s, "1", "");
  checks(s, "2.5", "");
  checks(s, "0.9", "/c: must be at least 1\n");
  checks(s, "2.6", "/c: must be at most 2.5\n");
  s = "{\"exclusiveMinimum\":1,\"exclusiveMaximum\":2}";
  checks(s, "1", "/c: must be more than 1\n");
  checks(s, "2", "/c: must be less than 2\n");
  checks(s, "1.5", "");
  checks(s, "\"0\"", "");
}

static void multiples(void **state) {
  (void)state;
  static const struct {
    const char *of, *right, *wrong;
  } rows[] = {{"5", "-15", "7"},
              {"0.01", "19.99", "19.995"},
              {"0.1", "0.3", "0.35"},
              {"0.0001", "0.0075", "0.00751"},
              {"1.1", "3.3", "3.4"},
              {"2", "0", "1"},
              {"3", "9007199254740990", "9007199254740991"},
              {"0.5", "1e300", "0.3"},
              {"0.01", "9007199254740991", "0.001"},
              {"1e300", "3e300", "1e299"},
              {"0.123456789", "0.246913578", "1e300"},
              {"5e-324", "1e-323", "0.0"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char schema[64], finding[64];
    (void)snprintf(schema, sizeof schema, "{\"multipleOf\":%s}", rows[i].of);
    (void)snprintf(finding, sizeof finding, "/c: must be a multiple of %s\n", rows[i].of);
    assert_int_equal(verdict(schema, rows[i].right), YOI_OK);
    if (i + 1 < sizeof rows / sizeof *rows)
      assert_int_equal(verdict(schema, rows[i].wrong), YOI_INVALID_ARGUMENT);
  }
  checks("{\"multipleOf\":0.5}", "0.3", "/c: must be a multiple of 0.5\n");
}

static void strings(void **state) {
  (void)state;
  const char *s = "{\"minLength\":2,\"maxLength\":3}";
  checks(s, "\"ab\"", "");
  checks(s, "\"\xC3\xA9\xF0\x9F\x90\xB2\"", ""); /* characters, not bytes */
  checks(s, "\"\xC3\xA9\"", "/c: must have at least 2 characters\n");
  checks(s, "\"abcd\"", "/c: must have at most 3 characters\n");
  checks("{\"minLength\":1}", "\"\"", "/c: must not be empty\n");
  checks("{\"maxLength\":1.0}", "\"ab\"", "/c: must have at most 1 character\n");
  checks("{\"pattern\":\"^[a-z]+$\"}", "\"ab\"", "");
  checks("{\"pattern\":\"^[a-z]+$\"}", "\"aB\"", "/c: must match the pattern '^[a-z]+$'\n");
  checks("{\"pattern\":\"b\"}", "\"abc\"", "");
  checks("{\"pattern\":\"b\"}", "1", "");
}

static void objects(void **state) {
  (void)state;
  const char *s =
      "{\"type\":\"object\",\"required\":[\"model\",\"a/b\"],\"additionalProperties\":false,"
      "\"properties\":{\"model\":{\"type\":\"string\"},\"base_url\":{},"
      "\"a/b\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0}}}}";
  checks(s, "{\"model\":\"x\",\"a/b\":[1,-1,\"x\"]}",
         "/c/a~1b/1: must be at least 0\n"
         "/c/a~1b/2: expected an integer, found a string\n");
  checks(s, "{\"modle\":1,\"bose_url\":1,\"zzz\":1}",
         "/c: key 'model' is missing\n/c: key 'a/b' is missing\n"
         "/c/modle#: unknown key 'modle'; the nearest known one is 'model'\n"
         "/c/bose_url#: unknown key 'bose_url'; the nearest known one is 'base_url'\n"
         "/c/zzz#: unknown key 'zzz'\n");
  checks("{\"additionalProperties\":{\"type\":\"string\"}}", "{\"x\":\"\",\"y\":1}",
         "/c/y: expected a string, found a number\n");
  checks("{\"properties\":{\"x\":{}}}", "{\"x\":\"\",\"y\":1}", "");
  checks("{\"minProperties\":1,\"maxProperties\":2}", "{}", "/c: must not be empty\n");
  checks("{\"minProperties\":1,\"maxProperties\":2}", "{\"a\":1,\"b\":2,\"c\":3}",
         "/c: must have at most 2 keys\n");
  checks("{\"dependentRequired\":{\"card\":[\"address\",\"name\"]}}", "{\"card\":1,\"name\":1}",
         "/c: key 'address' is missing, which 'card' needs\n");
  checks("{\"dependentRequired\":{\"card\":[\"address\"]}}", "{\"name\":1}", "");
  checks("{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"a\":1,\"b\":1}",
         "/c: must have at most 1 key\n");
  checks("{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"c\":1,\"b\":1}", "");
}

static void keys_by_pattern_and_by_name(void **state) {
  (void)state;
  const char *s =
      "{\"properties\":{\"x-a\":{\"minimum\":1}},\"patternProperties\":{\"^x-\":"
      "{\"type\":\"integer\"},\"a$\":{\"maximum\":5}},\"additionalProperties\":false}";
  checks(s, "{\"x-a\":2,\"x-b\":9}", "");
  checks(s, "{\"x-a\":0,\"x-b\":\"\",\"ba\":6,\"b\":1}",
         "/c/x-a: must be at least 1\n/c/x-b: expected an integer, found a string\n"
         "/c/ba: must be at most 5\n/c/b#: unknown key 'b'\n");
  checks("{\"propertyNames\":{\"pattern\":\"^[a-z]+$\",\"maxLength\":3}}", "{\"ab\":1,\"A2bc\":2}",
         "/c/A2bc#: key 'A2bc': must have at most 3 characters\n"
         "/c/A2bc#: key 'A2bc': must match the pattern '^[a-z]+$'\n");
  checks("{\"propertyNames\":{\"enum\":[\"a\",1]}}", "{\"a\":1,\"b\":2}",
         "/c/b#: key 'b': expected one of [\"a\",1]\n");
  checks("{\"propertyNames\":false}", "{\"b\":2}", "/c/b#: key 'b': nothing is allowed here\n");
  checks("{\"propertyNames\":{\"type\":\"number\"}}", "{\"b\":2}",
         "/c/b#: key 'b': expected a number, found a string\n");
}

static void arrays(void **state) {
  (void)state;
  const char *s =
      "{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"items\":{\"minimum\":1},"
      "\"minItems\":1,\"maxItems\":4}";
  checks(s, "[\"a\",null,1,2]", "");
  checks(s, "[\"a\"]", "");
  checks(s, "[]", "/c: must not be empty\n");
  checks(s, "[1,null,0,1,1]",
         "/c: must have at most 4 items\n/c/0: expected a string, found a number\n"
         "/c/2: must be at least 1\n");
  checks("{\"minItems\":2}", "[1]", "/c: must have at least 2 items\n");
  checks("{\"contains\":{\"const\":1}}", "[0,1,1]", "");
  checks("{\"contains\":{\"const\":1}}", "[0]",
         "/c: must have at least 1 item that fits 'contains', and has 0\n");
  checks("{\"contains\":{\"const\":1,\"title\":\"one\"},\"minContains\":2,\"maxContains\":3}",
         "[1]", "/c: must have at least 2 items that fit 'one', and has 1\n");
  checks("{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]",
         "/c: must have at most 1 item that fits 'contains', and has 2\n");
  checks("{\"contains\":{\"const\":1},\"minContains\":0}", "[]", "");
}

static void unique_items(void **state) {
  (void)state;
  const char *s = "{\"uniqueItems\":true}";
  checks(s, "[]", "");
  checks(s, "[1,true,\"1\",null,[1],[[1]],{\"a\":1},{\"a\":2},0,false,\"\"]", "");
  checks(s, "[1,2,1.0]", "/c: items must differ, and 0 and 2 are equal\n");
  checks(s, "[0,-0.0]", "/c: items must differ, and 0 and 1 are equal\n");
  checks(s, "[9,{\"a\":1,\"b\":[2]},{\"b\":[2],\"a\":1}]",
         "/c: items must differ, and 1 and 2 are equal\n");
  checks("{\"uniqueItems\":false}", "[1,1]", "");
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_addc(&b, '[');
  for (int i = 0; i < 50000; i++) yoi_sdk_buf_addf(&b, "%d,", i);
  yoi_sdk_buf_adds(&b, YOI_LIT("-1]"));
  checks(s, b.data, "");
  b.len -= 3;
  yoi_sdk_buf_adds(&b, YOI_LIT("777]"));
  checks(s, b.data, "/c: items must differ, and 777 and 50000 are equal\n");
  yoi_sdk_buf_release(&b);
}

static void nearest_names(void **state) {
  (void)state;
  const yoi_str names[] = {YOI_LIT("listen"), YOI_LIT("token"), YOI_LIT("id"),
                           YOI_LIT("first_byte_ms")};
  assert_true(yoi_sdk_str_is(yoi_sdk_nearest(YOI_LIT("lisen"), names, 4), "listen"));
  assert_true(yoi_sdk_str_is(yoi_sdk_nearest(YOI_LIT("tkn"), names, 4), "token"));
  assert_true(yoi_sdk_str_is(yoi_sdk_nearest(YOI_LIT("firstbytems_"), names, 4), "first_byte_ms"));
  assert_int_equal(yoi_sdk_nearest(YOI_LIT("toe"), names, 0).len, 0);
  assert_int_equal(yoi_sdk_nearest(YOI_LIT("xy"), names, 4).len, 0);
  assert_int_equal(yoi_sdk_nearest(YOI_LIT("tok123"), names, 4).len, 0);
}

/* Whatever allocation fails, the answer is the right one or none. */
static void memory_short(void **state) {
  (void)state;
  static const char *const schema =
      "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"z\"],"
      "\"properties\":{\"a\":{\"enum\":[\"x\"]},\"c\":{\"uniqueItems\":true},"
      "\"d\":{\"anyOf\":[{\"pattern\":\"^(ab|c){50}$\"},{\"minLength\":9}]},"
      "\"e\":{\"$ref\":\"#/$defs/e\"}},\"$defs\":{\"e\":{\"pattern\":\"[a-c]\"}},"
      "\"propertyNames\":{\"maxLength\":1}}";
  yoi_sdk_json *tree = schema_json(schema);
  yoi_sdk_json *v = schema_json(
      "{\"a\":\"y\",\"bb\":1,\"c\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,1],\"d\":\"x\","
      "\"e\":\"d\"}");
  for (int report = 0; report <= 1; report++) {
    struct yoi_sdk_buf b;
    uint64_t n = 1;
    for (uint64_t i = 0; i <= n; i++) {
      yoi_sdk_buf_init(&b, 100000);
      (void)yoi_sdk_mem_fail_at(i);
      yoi_status st = yoi_sdk_schema_check(tree, v, "/c", report ? schema_collect : NULL, &b);
      uint64_t made = yoi_sdk_mem_fail_at(0);
      if (i == 0) n = made;
      assert_true(st == YOI_INVALID_ARGUMENT || (i > 0 && st == YOI_RESOURCE_EXHAUSTED));
      yoi_sdk_buf_release(&b);
    }
    assert_true(n > 20);
  }
  yoi_sdk_json_free(tree);
  yoi_sdk_json_free(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unknown_keywords_are_refused),
      cmocka_unit_test(keywords_without_effect_are_refused),
      cmocka_unit_test(formats_are_enforced_or_annotations_or_refused),
      cmocka_unit_test(malformed_keywords_are_refused),
      cmocka_unit_test(references_lead_somewhere_and_on),
      cmocka_unit_test(types),
      cmocka_unit_test(enums_and_constants),
      cmocka_unit_test(numbers),
      cmocka_unit_test(multiples),
      cmocka_unit_test(strings),
      cmocka_unit_test(objects),
      cmocka_unit_test(keys_by_pattern_and_by_name),
      cmocka_unit_test(arrays),
      cmocka_unit_test(unique_items),
      cmocka_unit_test(nearest_names),
      cmocka_unit_test(memory_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
