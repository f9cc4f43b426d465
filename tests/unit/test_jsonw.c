/* The direct writer: commas, escapes, exact numbers in any locale, failures
 * that stay (sdk/jsonw.h). */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <float.h>
#include <locale.h>
#include <math.h>

static struct yoi_sdk_buf buf;
static struct yoi_sdk_jsonw w;

static void begin(void) {
  yoi_sdk_buf_release(&buf);
  yoi_sdk_buf_init(&buf, 100000);
  yoi_sdk_jsonw_init(&w, &buf);
}

static void commas(void **state) {
  (void)state;
  begin();
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "a");
  yoi_sdk_jsonw_open(&w, '[');
  yoi_sdk_jsonw_int(&w, 1);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_open(&w, '[');
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_kstr(&w, "b", YOI_LIT("x"));
  yoi_sdk_jsonw_kstr_opt(&w, "c", YOI_LIT(""));
  yoi_sdk_jsonw_kstr_opt(&w, "d", YOI_LIT("y"));
  yoi_sdk_jsonw_kint(&w, "e", -5);
  yoi_sdk_jsonw_kbool(&w, "f", 1);
  yoi_sdk_jsonw_kraw(&w, "g", YOI_LIT("[1]"));
  yoi_sdk_jsonw_kraw(&w, "h", YOI_LIT(""));
  yoi_sdk_jsonw_keyn(&w, YOI_LIT("i\"i"));
  yoi_sdk_jsonw_bool(&w, 0);
  yoi_sdk_jsonw_close(&w, '}');
  assert_string_equal(buf.data,
                      "{\"a\":[1,{},[],null],\"b\":\"x\",\"d\":\"y\",\"e\":-5,\"f\":true,"
                      "\"g\":[1],\"h\":null,\"i\\\"i\":false}");
}

static void escapes(void **state) {
  (void)state;
  begin();
  yoi_sdk_json_escape(&buf, YOI_LIT("\"\\/\b\f\n\r\t\x01\x1f\x7f \xC3\xA9\xE2\x80\xA8\0z"));
  assert_string_equal(
      buf.data, "\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xC3\xA9\xE2\x80\xA8\xEF\xBF\xBDz");
  /* The fast path sees eight bytes: a quote at each place. */
  for (size_t len = 1; len < 30; len++) {
    for (size_t at = 0; at < len; at++) {
      char text[32];
      memset(text, 'a', sizeof text);
      text[at] = '"';
      yoi_sdk_buf_clear(&buf);
      yoi_sdk_json_escape(&buf, (yoi_str){text, len});
      assert_int_equal(buf.len, len + 1);
      assert_int_equal(buf.data[at], '\\');
      assert_int_equal(buf.data[at + 1], '"');
    }
  }
}

static void invalid_utf8_becomes_the_replacement_character(void **state) {
  (void)state;
  begin();
  yoi_sdk_json_escape(&buf, YOI_LIT("a\xFF\xC3(\xED\xA0\x80z\xE2\x82"));
#define R "\xEF\xBF\xBD"
  assert_string_equal(buf.data, "a" R R "(" R R R "z" R R);
#undef R
  assert_true(yoi_sdk_utf8_valid(yoi_sdk_buf_str(&buf)));
}

static void integers_are_exact(void **state) {
  (void)state;
  begin();
  yoi_sdk_jsonw_open(&w, '[');
  yoi_sdk_jsonw_int(&w, INT64_MAX);
  yoi_sdk_jsonw_int(&w, INT64_MIN);
  yoi_sdk_jsonw_int(&w, 0);
  yoi_sdk_jsonw_int(&w, 9007199254740991);
  yoi_sdk_jsonw_close(&w, ']');
  assert_string_equal(buf.data, "[9223372036854775807,-9223372036854775808,0,9007199254740991]");
}

static const struct {
  double n;
  const char *text;
} doubles[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-1.5, "-1.5"},
    {0.1, "0.1"},
    {0.1 + 0.2, "0.30000000000000004"},
    {100, "100"},
    {1e15, "1000000000000000"},
    {9007199254740991.0, "9007199254740991"},
    {-9007199254740991.0, "-9007199254740991"},
    {9007199254740992.0, "9007199254740992"},
    {1e21, "1e+21"},
    {1e300, "1e+300"},
    {5e-324, "4.94065645841247e-324"},
    {DBL_MAX, "1.7976931348623157e+308"},
    {1.0 / 3, "0.3333333333333333"},
};

static void doubles_are_short_and_read_back(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
    begin();
    yoi_sdk_jsonw_double(&w, doubles[i].n);
    assert_string_equal(buf.data, doubles[i].text);
    assert_true(strtod(buf.data, NULL) == doubles[i].n);
  }
}

static void nan_and_infinity_are_null(void **state) {
  (void)state;
  begin();
  yoi_sdk_jsonw_open(&w, '[');
  yoi_sdk_jsonw_double(&w, (double)NAN);
  yoi_sdk_jsonw_double(&w, (double)INFINITY);
  yoi_sdk_jsonw_double(&w, -(double)INFINITY);
  yoi_sdk_jsonw_close(&w, ']');
  assert_string_equal(buf.data, "[null,null,null]");
}

/* An application may have set any locale. Where none with a comma is
 * installed, the C locale is all there is to test. */
static void numbers_do_not_follow_the_locale(void **state) {
  (void)state;
  static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8", "C"};
  for (size_t i = 0; i < 4; i++) {
    if (!setlocale(LC_ALL, names[i])) continue;
    begin();
    yoi_sdk_jsonw_double(&w, -1234.5e-10);
    assert_string_equal(buf.data, "-1.2345e-07");
    yoi_sdk_json *v;
    double n = 0;
    assert_int_equal(yoi_sdk_json_parse(YOI_LIT("1.5"), 0, &v, NULL), YOI_OK);
    assert_int_equal(yoi_sdk_json_number(v, &n), 1);
    assert_true(n == 1.5);
    yoi_sdk_json_free(v);
  }
  (void)setlocale(LC_ALL, "C");
}

static void failures_stay_in_the_buffer(void **state) {
  (void)state;
  struct yoi_sdk_buf small;
  struct yoi_sdk_jsonw v;
  yoi_sdk_buf_init(&small, 10);
  yoi_sdk_jsonw_init(&v, &small);
  yoi_sdk_jsonw_open(&v, '[');
  for (int i = 0; i < 20; i++) yoi_sdk_jsonw_int(&v, 123456);
  yoi_sdk_jsonw_close(&v, ']');
  assert_int_equal(small.failed, YOI_OUT_OF_RANGE);
  assert_true(small.len <= 10);
  yoi_sdk_buf_release(&small);
}

static int release(void **state) {
  (void)state;
  yoi_sdk_buf_release(&buf);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(commas),
      cmocka_unit_test(escapes),
      cmocka_unit_test(invalid_utf8_becomes_the_replacement_character),
      cmocka_unit_test(integers_are_exact),
      cmocka_unit_test(doubles_are_short_and_read_back),
      cmocka_unit_test(nan_and_infinity_are_null),
      cmocka_unit_test(numbers_do_not_follow_the_locale),
      cmocka_unit_test(failures_stay_in_the_buffer),
  };
  return cmocka_run_group_tests(tests, NULL, release);
}
