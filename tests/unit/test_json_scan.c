/* The strict pass: what is JSON, what is not, what is too much, and where an
 * error says it stands. Every text is checked, parsed, and parsed once more
 * from a copy that ends at the end of its heap block, for the sanitizer. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static yoi_status check(yoi_str text, uint32_t flags) {
  yoi_sdk_json *v;
  struct yoi_sdk_json_error err;
  char *copy = yoi_sdk_malloc(text.len);
  if (text.len) memcpy(copy, text.ptr, text.len);
  yoi_status st = yoi_sdk_json_check((yoi_str){copy, text.len}, flags, &err);
  assert_int_equal(yoi_sdk_json_check((yoi_str){copy, text.len}, flags, NULL), st);
  assert_int_equal(yoi_sdk_json_parse((yoi_str){copy, text.len}, flags, &v, NULL), st);
  assert_int_equal(v != NULL, st == YOI_OK);
  yoi_sdk_json_free(v);
  yoi_sdk_free(copy);
  return st;
}

#define TAKEN(s) assert_int_equal(check(YOI_LIT(s), 0), YOI_OK)
#define REFUSED(s) assert_int_equal(check(YOI_LIT(s), 0), YOI_INVALID_ARGUMENT)
#define TOO_MUCH(s) assert_int_equal(check(s, 0), YOI_RESOURCE_EXHAUSTED)

static void number_grammar(void **state) {
  (void)state;
  TAKEN("0");
  TAKEN("-0");
  TAKEN("-0.0e-0");
  TAKEN("10");
  TAKEN("-1.5e+10");
  TAKEN("1E5");
  TAKEN("0.0");
  TAKEN("1e05");
  TAKEN("9007199254740993");
  REFUSED("01");
  REFUSED("-");
  REFUSED("+1");
  REFUSED("--1");
  REFUSED("1.");
  REFUSED("1.e5");
  REFUSED(".5");
  REFUSED("-.5");
  REFUSED("1e");
  REFUSED("1e+");
  REFUSED("1e+-1");
  REFUSED("1.5.5");
  REFUSED("0x10");
  REFUSED("[01]");
  REFUSED("[1.]");
  REFUSED("-01");
  REFUSED("1a");
  REFUSED("NaN");
  REFUSED("Infinity");
  REFUSED("-Infinity");
  REFUSED("1_000");
  REFUSED("1,000");
}

static void infinite_numbers_are_refused(void **state) {
  (void)state;
  REFUSED("1e400");
  REFUSED("-1e400");
  REFUSED("1e309");
  TAKEN("1e308");
  TAKEN("1.7976931348623157e308");
  TAKEN("1.7976931348623158e308");
  /* Half-way between the largest double and 2^1024, above and below. */
  REFUSED("1.79769313486231580793728971405303415079934132710037826937e308");
  TAKEN("1.79769313486231580793728971405303415079934132710037826936e308");
  REFUSED("1.797693134862315808e308");
  REFUSED("1.7976931348623159e308");
  REFUSED("17976931348623159e292");
  TAKEN("17976931348623157e292");
  REFUSED("0.00000000017976931348623159e318");
  REFUSED("0.00000001e317");
  TAKEN("0.000000001e317");
  TAKEN("0e999999999");
  TAKEN("0.000e999999999");
  TAKEN("1e-999999999");
  TAKEN("123456789e-99999999999999999999");
  REFUSED("1e99999999999999999999");
  REFUSED("1E+309");
}

static void numbers_have_a_longest_form(void **state) {
  (void)state;
  char text[80];
  memset(text, '7', sizeof text);
  assert_int_equal(check((yoi_str){text, YOI_JSON_NUMBER_MAX}, 0), YOI_OK);
  TOO_MUCH(((yoi_str){text, YOI_JSON_NUMBER_MAX + 1}));
}

static void duplicate_keys_are_refused_unescaped(void **state) {
  (void)state;
  REFUSED("{\"a\":1,\"a\":2}");
  REFUSED("{\"a\":1,\"\\u0061\":2}");
  REFUSED("{\"\\u0061\":1,\"a\":2}");
  REFUSED("{\"\\u00e9\":1,\"\xC3\xA9\":2}");
  REFUSED("{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":2}");
  REFUSED("{\"\\/\":1,\"/\":2}");
  REFUSED("{\"\":1,\"\":2}");
  REFUSED("{\"x\":{\"a\":1,\"b\":2,\"a\":3}}");
  REFUSED("[{\"a\":{\"a\":1}},{\"b\":0,\"b\":{}}]");
  TAKEN("{\"a\":1,\"A\":2}");
  TAKEN("{\"a\":1,\"a \":2,\"\\\\u0061\":3}");
  TAKEN("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}");
}

/* Small objects are compared, large ones sorted: each pair of places, on both
 * sides of the border, with plain and with escaped keys, and nested. */
static void a_duplicate_is_found_at_every_place(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100000);
  for (int n = 2; n <= 40; n++) {
    for (int twin = -1; twin < n - 1; twin++) { /* -1: none */
      for (int escaped = 0; escaped < 2; escaped++) {
        yoi_sdk_buf_clear(&b);
        yoi_sdk_buf_adds(&b, YOI_LIT("{\"k0\":{\"k0\":["));
        yoi_sdk_buf_adds(&b, YOI_LIT("{"));
        for (int i = 0; i < n; i++) {
          int name = i == n - 1 && twin >= 0 ? twin : i;
          yoi_sdk_buf_addf(&b, "%s\"%s%d\":{\"k1\":0}", i ? "," : "",
                           escaped && i % 2 ? "\\u006b" : "k", name);
        }
        yoi_sdk_buf_adds(&b, YOI_LIT("}]}}"));
        assert_int_equal(check(yoi_sdk_buf_str(&b), 0), twin < 0 ? YOI_OK : YOI_INVALID_ARGUMENT);
      }
    }
  }
  yoi_sdk_buf_release(&b);
}

static void the_first_duplicate_of_a_large_object_is_named(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  struct yoi_sdk_json_error err;
  yoi_sdk_buf_init(&b, 1000000);
  yoi_sdk_buf_adds(&b, YOI_LIT("{\"o\":{"));
  for (int i = 0; i < 5000; i++)
    yoi_sdk_buf_addf(&b, "%s\n\"k%d\":1", i ? "," : "", i == 4000 ? 3999 : i == 4500 ? 1 : i);
  yoi_sdk_buf_adds(&b, YOI_LIT("}}"));
  assert_int_equal(yoi_sdk_json_check(yoi_sdk_buf_str(&b), 0, &err), YOI_INVALID_ARGUMENT);
  assert_string_equal(err.pointer, "/o/k3999");
  assert_int_equal(err.line, 4002);
  assert_int_equal(err.column, 1);
  yoi_sdk_buf_release(&b);
}

static void strings(void **state) {
  (void)state;
  TAKEN("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u00E9\"");
  TAKEN("\"\\ud83d\\ude00\"");
  TAKEN("\"\\uD83D\\uDE00\"");
  TAKEN("\"\\uffff\\u0001\"");
  TAKEN("\"\x7f\xEF\xBF\xBF\"");
  REFUSED("\"\\uzzzz\"");
  REFUSED("\"\\u12\"");
  REFUSED("\"\\u123");
  REFUSED("\"\\u+123\"");
  REFUSED("\"\\U0041\"");
  REFUSED("\"\\x41\"");
  REFUSED("\"\\'\"");
  REFUSED("\"\\0\"");
  REFUSED("\"\\\n\"");
  REFUSED("'a'");
  REFUSED("\"open");
  REFUSED("\"open\\");
  REFUSED("\"open\\\"");
}

static void a_nul_is_refused_in_both_forms(void **state) {
  (void)state;
  REFUSED("\"\\u0000\"");
  REFUSED("{\"ro\\u0000le\":1}");
  REFUSED("\"a\0b\"");
  REFUSED("{}\0");
  REFUSED("1\0002");
  REFUSED("\0");
}

static void lone_surrogates_are_refused(void **state) {
  (void)state;
  REFUSED("\"\\ud83d\"");
  REFUSED("\"\\ude00\"");
  REFUSED("\"\\ud83dx\"");
  REFUSED("\"\\ud83d\\n\"");
  REFUSED("\"\\ud83d\\ud83d\"");
  REFUSED("\"\\ude00\\ud83d\"");
  REFUSED("\"\\ud83d\\u0041\"");
  REFUSED("\"\\ud83d\\ude0\"");
  REFUSED("\"\\ud83d");
  REFUSED("{\"\\ud83d\":1}");
}

static void control_characters_are_refused(void **state) {
  (void)state;
  for (int c = 0; c < 0x20; c++) {
    for (size_t at = 1; at < 20; at++) {
      char text[22];
      memset(text, 'a', sizeof text);
      text[0] = text[21] = '"';
      text[at] = (char)c;
      assert_int_equal(check((yoi_str){text, sizeof text}, 0), YOI_INVALID_ARGUMENT);
    }
  }
}

static void invalid_utf8_is_refused(void **state) {
  (void)state;
  REFUSED("\"\xff\"");
  REFUSED("\"\xC0\xAF\"");
  REFUSED("\"\xED\xA0\x80\"");
  REFUSED("\"\xF4\x90\x80\x80\"");
  REFUSED("\"\xE2\x82\"");
  REFUSED("\"\x80\"");
  REFUSED("{\"\xC3\":1}");
  REFUSED("\"aaaaaaaaaaaa\xE2\x82");
  REFUSED("\xC3\xA9");
}

static void structure(void **state) {
  (void)state;
  REFUSED("");
  REFUSED("  ");
  REFUSED("[1,]");
  REFUSED("[,1]");
  REFUSED("[1,,2]");
  REFUSED("{\"a\":1,}");
  REFUSED("{,}");
  REFUSED("{a:1}");
  REFUSED("{\"a\" 1}");
  REFUSED("{\"a\"}");
  REFUSED("{\"a\":}");
  REFUSED("{1:1}");
  REFUSED("[1 2]");
  REFUSED("[1}");
  REFUSED("{\"a\":1]");
  REFUSED("[");
  REFUSED("]");
  REFUSED("{\"a\":");
  REFUSED("nul");
  REFUSED("nulls");
  REFUSED("True");
  REFUSED("tru");
  REFUSED("\v1");
  REFUSED(
      "\xC2\xA0"
      "1");
  TAKEN(" [ ] ");
  TAKEN("{ }");
  TAKEN("\r\n\t [ 1 , \"a\" , true , false , null , { \"a\" : { } } ] \n");
}

static void a_byte_order_mark_is_refused(void **state) {
  (void)state;
  REFUSED("\xEF\xBB\xBF{}");
  REFUSED("\xFF\xFE{\0}\0");
}

static void nothing_stands_behind_the_value(void **state) {
  (void)state;
  REFUSED("{} x");
  REFUSED("{}{}");
  REFUSED("1 2");
  REFUSED("\"a\"\"b\"");
  REFUSED("[]]");
  REFUSED("{},");
}

static void depth_64_is_taken_65_is_too_much(void **state) {
  (void)state;
  char text[4 * (YOI_JSON_DEPTH_MAX + 1)];
  size_t n = YOI_JSON_DEPTH_MAX;
  memset(text, '[', n);
  memset(text + n, ']', n);
  assert_int_equal(check((yoi_str){text, 2 * n}, 0), YOI_OK);
  n++;
  memset(text, '[', n);
  memset(text + n, ']', n);
  TOO_MUCH(((yoi_str){text, 2 * n}));
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 10000);
  for (int i = 0; i < YOI_JSON_DEPTH_MAX; i++) yoi_sdk_buf_adds(&b, YOI_LIT("{\"a\":"));
  yoi_sdk_buf_adds(&b, YOI_LIT("1"));
  for (int i = 0; i < YOI_JSON_DEPTH_MAX; i++) yoi_sdk_buf_addc(&b, '}');
  assert_int_equal(check(yoi_sdk_buf_str(&b), 0), YOI_OK);
  yoi_sdk_buf_release(&b);
  /* A million brackets neither recurse nor allocate. */
  char *many = yoi_sdk_malloc(1000000);
  memset(many, '[', 1000000);
  TOO_MUCH(((yoi_str){many, 1000000}));
  yoi_sdk_free(many);
}

static void the_node_limit_counts_values(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 1000000);
  yoi_sdk_buf_addc(&b, '['); /* the array is a value, too */
  for (int i = 1; i < YOI_JSON_NODES_MAX; i++) yoi_sdk_buf_addf(&b, "%s1", i > 1 ? "," : "");
  yoi_sdk_buf_addc(&b, ']');
  assert_int_equal(check(yoi_sdk_buf_str(&b), 0), YOI_OK);
  b.data[b.len - 1] = ',';
  yoi_sdk_buf_adds(&b, YOI_LIT("1]"));
  TOO_MUCH(yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
}

static void the_byte_limit(void **state) {
  (void)state;
  size_t n = YOI_JSON_BYTES_MAX;
  char *text = yoi_sdk_malloc(n + 1);
  memset(text, 'a', n + 1);
  text[0] = text[n - 1] = '"';
  assert_int_equal(yoi_sdk_json_check((yoi_str){text, n}, 0, NULL), YOI_OK);
  text[n] = ' ';
  assert_int_equal(yoi_sdk_json_check((yoi_str){text, n + 1}, 0, NULL), YOI_RESOURCE_EXHAUSTED);
  yoi_sdk_free(text);
}

static void comments_only_where_asked_for(void **state) {
  (void)state;
#define C YOI_SDK_JSON_COMMENTS
  static const struct {
    const char *text;
    yoi_status st;
  } cases[] = {
      {"// x\n1", YOI_OK},
      {"1 // x", YOI_OK},
      {"/**/1/***/", YOI_OK},
      {"/* \"quote */ \"//\" // \"", YOI_OK},
      {"{/*1*/\"a\"/*2*/:/*3*/1/*4*/,/*5*/\"b\"//\n:2/*6*/}", YOI_OK},
      {"[/*]*/]", YOI_OK},
      {"\"/* no comment */\"", YOI_OK},
      {"1 //", YOI_OK},
      {"/* open", YOI_INVALID_ARGUMENT},
      {"/* open *", YOI_INVALID_ARGUMENT},
      {"/*/ 1", YOI_INVALID_ARGUMENT},
      {"/ 1", YOI_INVALID_ARGUMENT},
      {"1 /", YOI_INVALID_ARGUMENT},
      {"# x\n1", YOI_INVALID_ARGUMENT},
      {"// only", YOI_INVALID_ARGUMENT},
      {"[1,/*x*/]", YOI_INVALID_ARGUMENT},
      {"nu/**/ll", YOI_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(check(yoi_sdk_str(cases[i].text), C), cases[i].st);
    int quoted = cases[i].text[0] == '"';
    assert_int_equal(check(yoi_sdk_str(cases[i].text), 0), quoted ? YOI_OK : YOI_INVALID_ARGUMENT);
  }
}

static void where(const char *text, uint32_t flags, uint32_t line, uint32_t column,
                  const char *pointer, const char *message) {
  struct yoi_sdk_json_error err;
  memset(&err, 0xAA, sizeof err);
  assert_int_not_equal(yoi_sdk_json_check(yoi_sdk_str(text), flags, &err), YOI_OK);
  assert_string_equal(err.message, message);
  assert_string_equal(err.pointer, pointer);
  assert_int_equal(err.line, line);
  assert_int_equal(err.column, column);
  size_t offset = 0;
  for (uint32_t l = 1; l < line; offset++) l += text[offset] == '\n';
  assert_int_equal(err.offset, offset + column - 1);
}

static void errors_say_where(void **state) {
  (void)state;
  where("", 0, 1, 1, "", "unexpected end of the text");
  where("{\r\n  \"a/b\": [1,\r\n   x]}", 0, 3, 4, "/a~1b/1",
        "expected a value; text stands in double quotes");
  where("{\n\"a~\\u00e9\" 1}", 0, 2, 12, "/a~0\xC3\xA9", "expected ':'");
  where("[1,\n2\n3]", 0, 3, 1, "", "expected ',' or ']'");
  where("{\"a\":{\"b\":1 \"c\"}}", 0, 1, 13, "/a", "expected ',' or '}'");
  where("{\"a\":{\"b\":1,}}", 0, 1, 13, "/a", "expected a key, since a comma stands before");
  where("[[0],[0,{\"x\":[tru]}]]", 0, 1, 15, "/1/1/x/0",
        "expected a value; text stands in double quotes");
  where("[True]", 0, 1, 2, "/0", "expected a value; true, false and null are lower case");
  where("['a']", 0, 1, 2, "/0", "expected a value; text stands in double quotes");
  where("[1,]", 0, 1, 4, "/1", "expected a value, since a comma stands before");
  where("{\"a\":]}", 0, 1, 6, "/a", "expected a value");
  where("{\"a\":{\"b\":1,c}}", 0, 1, 13, "/a", "expected a key in double quotes");
  where("{\"a\":1,\n \"a\":2}", 0, 2, 2, "/a", "this key is there twice");
  where("{\"a\":\"x\\u0000\"}", 0, 1, 8, "/a", "\\u0000 is not accepted");
  where("{\"a\\ud800\":1}", 0, 1, 4, "", "half of a surrogate pair");
  where("[\"\\q\"]", 0, 1, 3, "/0", "unknown escape");
  where("[\"a\tb\"]", 0, 1, 4, "/0", "a tab in a string is written \\t");
  where("[\"a\n\"]", 0, 1, 4, "/0", "a string ends on its line; a line feed in it is written \\n");
  where("[\"a\x01\"]", 0, 1, 4, "/0", "control character in a string");
  where("[\"ab\xFF\"]", 0, 1, 5, "/0", "invalid UTF-8");
  where("[0,-]", 0, 1, 5, "/1", "expected a digit");
  where("[0, 1e400]", 0, 1, 5, "/1", "number out of range");
  where("{\"a\":[1", 0, 1, 8, "/a", "unexpected end of the text, ']' is missing");
  where("{\"a\":1", 0, 1, 7, "", "unexpected end of the text, '}' is missing");
  where("{} {}", 0, 1, 4, "", "something stands behind the value");
  where("{\n/* \n", YOI_SDK_JSON_COMMENTS, 2, 1, "", "a comment without an end, or a stray '/'");
  where("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0, 1, 65,
        "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0"
        "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0",
        "nested more than 64 deep");
}

static void a_long_pointer_is_cut_at_a_token(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  struct yoi_sdk_json_error err;
  yoi_sdk_buf_init(&b, 10000);
  for (int key = 90; key < 260; key++) {
    yoi_sdk_buf_clear(&b);
    yoi_sdk_buf_addf(&b, "{\"%0100d\":{\"~%0*d\":x", 1, key, 2);
    assert_int_equal(yoi_sdk_json_check(yoi_sdk_buf_str(&b), 0, &err), YOI_INVALID_ARGUMENT);
    size_t whole = 101 + 1 + 2 + (size_t)key; /* /KEY/~0KEY */
    size_t n = strlen(err.pointer);
    assert_int_equal(n, whole < sizeof err.pointer ? whole : 101);
  }
  yoi_sdk_buf_release(&b);
}

static void short_memory_is_exhausted_never_wrong(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_buf_adds(&b, YOI_LIT("/**/{"));
  for (int i = 0; i < 300; i++) yoi_sdk_buf_addf(&b, "%s\"\\u006b%d\":[]", i ? "," : "", i);
  yoi_sdk_buf_addc(&b, '}');
  yoi_str text = yoi_sdk_buf_str(&b);
  yoi_sdk_json *v;
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(yoi_sdk_json_parse(text, YOI_SDK_JSON_COMMENTS, &v, NULL), YOI_OK);
  yoi_sdk_json_free(v);
  uint64_t n = yoi_sdk_mem_fail_at(0);
  assert_true(n > 3);
  for (uint64_t i = 1; i <= n; i++) {
    struct yoi_sdk_json_error err;
    (void)yoi_sdk_mem_fail_at(i);
    yoi_status st = yoi_sdk_json_parse(text, YOI_SDK_JSON_COMMENTS, &v, &err);
    (void)yoi_sdk_mem_fail_at(0);
    assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "out of memory");
    assert_null(v);
  }
  yoi_sdk_buf_release(&b);
}

static void ordinary_texts_are_checked_without_allocating(void **state) {
  (void)state;
  (void)yoi_sdk_mem_fail_at(0);
  TAKEN("{\"a\":[1,2,{\"b\":\"x\\n\"}],\"c\":null}");
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(
      yoi_sdk_json_check(YOI_LIT("{\"a\":[1,2,{\"b\":\"x\\n\"}],\"c\":null}"), 0, NULL), YOI_OK);
  assert_int_equal(yoi_sdk_mem_fail_at(0), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(number_grammar),
      cmocka_unit_test(infinite_numbers_are_refused),
      cmocka_unit_test(numbers_have_a_longest_form),
      cmocka_unit_test(duplicate_keys_are_refused_unescaped),
      cmocka_unit_test(a_duplicate_is_found_at_every_place),
      cmocka_unit_test(the_first_duplicate_of_a_large_object_is_named),
      cmocka_unit_test(strings),
      cmocka_unit_test(a_nul_is_refused_in_both_forms),
      cmocka_unit_test(lone_surrogates_are_refused),
      cmocka_unit_test(control_characters_are_refused),
      cmocka_unit_test(invalid_utf8_is_refused),
      cmocka_unit_test(structure),
      cmocka_unit_test(a_byte_order_mark_is_refused),
      cmocka_unit_test(nothing_stands_behind_the_value),
      cmocka_unit_test(depth_64_is_taken_65_is_too_much),
      cmocka_unit_test(the_node_limit_counts_values),
      cmocka_unit_test(the_byte_limit),
      cmocka_unit_test(comments_only_where_asked_for),
      cmocka_unit_test(errors_say_where),
      cmocka_unit_test(a_long_pointer_is_cut_at_a_token),
      cmocka_unit_test(short_memory_is_exhausted_never_wrong),
      cmocka_unit_test(ordinary_texts_are_checked_without_allocating),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
