/* The JSON reader: what it takes, what it refuses, and where it says so. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static yoi_status check(yoi_str text) {
  struct yoi_sdk_json_error err;
  yoi_sdk_json *v;
  yoi_status st = yoi_sdk_json_check(text, 0, &err);
  assert_int_equal(yoi_sdk_json_parse(text, 0, &v, NULL), st);
  assert_int_equal(v != NULL, st == YOI_OK);
  yoi_sdk_json_free(v);
  return st;
}

#define TAKEN(s) assert_int_equal(check(YOI_LIT(s)), YOI_OK)
#define REFUSED(s) assert_int_equal(check(YOI_LIT(s)), YOI_INVALID_ARGUMENT)

static void number_grammar(void **state) {
  (void)state;
  TAKEN("0");
  TAKEN("-0");
  TAKEN("10");
  TAKEN("-1.5e+10");
  TAKEN("1E5");
  TAKEN("0.0");
  REFUSED("01");
  REFUSED("-");
  REFUSED("+1");
  REFUSED("1.");
  REFUSED(".5");
  REFUSED("1e");
  REFUSED("1e+");
  REFUSED("0x10");
  REFUSED("[01]");
  REFUSED("[1.]");
  REFUSED("-01");
  REFUSED("NaN");
  REFUSED("Infinity");
}

static void infinite_numbers_are_refused(void **state) {
  (void)state;
  REFUSED("1e400");
  REFUSED("-1e400");
  REFUSED("1e309");
  TAKEN("1e308");
  TAKEN("1.7976931348623157e308");
  TAKEN("1.7976931348623158e308");
  REFUSED("1.7976931348623159e308");
  REFUSED("179769313486231590000e288");
  REFUSED("0.00000001e317");
  TAKEN("0.000000001e317");
  TAKEN("0e999999999");
  TAKEN("1e-999999999");
  REFUSED("1e99999999999999999999");
}

static void duplicate_keys_are_refused_unescaped(void **state) {
  (void)state;
  REFUSED("{\"a\":1,\"a\":2}");
  REFUSED("{\"a\":1,\"\\u0061\":2}");
  REFUSED("{\"\\u00e9\":1,\"\xC3\xA9\":2}");
  REFUSED("{\"\":1,\"\":2}");
  TAKEN("{\"a\":1,\"A\":2}");
  TAKEN("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}");
}

static void strings(void **state) {
  (void)state;
  TAKEN("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"");
  TAKEN("\"\\ud83d\\ude00\"");
  REFUSED("\"\\u0000\"");
  REFUSED("{\"ro\\u0000le\":1}");
  REFUSED("\"\\uzzzz\"");
  REFUSED("\"\\ud83d\"");
  REFUSED("\"\\ude00\"");
  REFUSED("\"\\ud83dx\"");
  REFUSED("\"\\ud83d\\ud83d\"");
  REFUSED("\"\\x41\"");
  REFUSED("\"a\nb\"");
  REFUSED("\"a\0b\"");
  REFUSED("\"\x1f\"");
  TAKEN("\"\x7f\"");
  REFUSED("\"\xff\"");
  REFUSED("\"\xC0\xAF\"");
  REFUSED("\"\xED\xA0\x80\"");
  REFUSED("\"\xE2\x82\"");
  REFUSED("\"open");
  REFUSED("\"open\\");
}

static void structure(void **state) {
  (void)state;
  REFUSED("");
  REFUSED("  ");
  REFUSED("\xEF\xBB\xBF{}");
  REFUSED("{} x");
  REFUSED("{}\0");
  REFUSED("1\0002");
  REFUSED("[1,]");
  REFUSED("{\"a\":1,}");
  REFUSED("{a:1}");
  REFUSED("{\"a\" 1}");
  REFUSED("{\"a\"}");
  REFUSED("{1:1}");
  REFUSED("[1 2]");
  REFUSED("[1}");
  REFUSED("nul");
  REFUSED("nulls");
  REFUSED("True");
  REFUSED("// x\n1");
  REFUSED("\v1");
  TAKEN(" [ ] ");
  TAKEN("{ }");
  TAKEN("\r\n\t [ 1 , \"a\" , true , false , null , { \"a\" : { } } ] \n");
}

static void getters(void **state) {
  (void)state;
  yoi_sdk_json *v;
  assert_int_equal(yoi_sdk_json_parse(YOI_LIT("{\"a\":9007199254740991,\"A\":1.5,\"s\":\"x\\n\","
                                              "\"b\":true,\"l\":[1,2],\"big\":9007199254740993}"),
                                      0, &v, NULL),
                   YOI_OK);
  int64_t n = 7;
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_get(v, "a"), &n), 1);
  assert_int_equal(n, 9007199254740991);
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_get(v, "A"), &n), 0);
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_get(v, "big"), &n), 0);
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_get(v, "none"), &n), 0);
  assert_int_equal(n, 9007199254740991);
  yoi_str s;
  assert_int_equal(yoi_sdk_json_str(yoi_sdk_json_get(v, "s"), &s), 1);
  assert_true(yoi_sdk_str_is(s, "x\n"));
  assert_int_equal(yoi_sdk_json_count(yoi_sdk_json_get(v, "l")), 2);
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 1000);
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_json_write(v, &w);
  assert_string_equal(b.data,
                      "{\"a\":9007199254740991,\"A\":1.5,\"s\":\"x\\n\",\"b\":true,"
                      "\"l\":[1,2],\"big\":9007199254740992}");
  yoi_sdk_buf_release(&b);
  yoi_sdk_json_free(v);
}

static void raw(void **state) {
  (void)state;
  yoi_str t = YOI_LIT("{\"a\\u0062\":{\"x\":\"}\\\\\"},\"n\":-12,\"l\":[1,[2,\"]\"],\"\\u00e9\"]}");
  assert_true(yoi_sdk_str_is(yoi_sdk_json_raw_get(t, "ab"), "{\"x\":\"}\\\\\"}"));
  int64_t n;
  assert_int_equal(yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(t, "n"), &n), 1);
  assert_int_equal(n, -12);
  assert_null(yoi_sdk_json_raw_get(t, "x").ptr);
  yoi_str l = yoi_sdk_json_raw_get(t, "l"), e;
  size_t pos = 0;
  assert_int_equal(yoi_sdk_json_raw_each(l, &pos, &e), 1);
  assert_true(yoi_sdk_str_is(e, "1"));
  assert_int_equal(yoi_sdk_json_raw_each(l, &pos, &e), 1);
  assert_true(yoi_sdk_str_is(e, "[2,\"]\"]"));
  assert_int_equal(yoi_sdk_json_raw_each(l, &pos, &e), 1);
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100);
  assert_int_equal(yoi_sdk_json_raw_unescape(e, &b), 1);
  assert_string_equal(b.data, "\xC3\xA9");
  yoi_sdk_buf_release(&b);
  assert_int_equal(yoi_sdk_json_raw_each(l, &pos, &e), 0);
}

static void errors_say_where(void **state) {
  (void)state;
  struct yoi_sdk_json_error err;
  yoi_str t = YOI_LIT("{\r\n  \"a/b\": [1,\r\n   x]}");
  assert_int_equal(yoi_sdk_json_check(t, 0, &err), YOI_INVALID_ARGUMENT);
  assert_int_equal(err.line, 3);
  assert_int_equal(err.column, 4);
  assert_int_equal(err.offset, 20);
  assert_string_equal(err.pointer, "/a~1b/1");
  uint32_t line, column;
  t = YOI_LIT("{ // one\n  \"a~b\": [1, /* , */ 2]}");
  assert_int_equal(yoi_sdk_json_check(t, YOI_SDK_JSON_COMMENTS, &err), YOI_OK);
  assert_int_equal(
      yoi_sdk_json_locate(t, YOI_SDK_JSON_COMMENTS, YOI_LIT("/a~0b/1"), 0, &line, &column), 1);
  assert_int_equal(line, 2);
  assert_int_equal(column, 22);
  assert_int_equal(
      yoi_sdk_json_locate(t, YOI_SDK_JSON_COMMENTS, YOI_LIT("/a~0b"), 1, &line, &column), 1);
  assert_int_equal(column, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(number_grammar),
      cmocka_unit_test(infinite_numbers_are_refused),
      cmocka_unit_test(duplicate_keys_are_refused_unescaped),
      cmocka_unit_test(strings),
      cmocka_unit_test(structure),
      cmocka_unit_test(getters),
      cmocka_unit_test(raw),
      cmocka_unit_test(errors_say_where),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
