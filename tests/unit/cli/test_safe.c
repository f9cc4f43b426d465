/* What a person is shown of a stranger's text: every character is itself, or is
 * written as JSON would, so that reading it as JSON gives the text again. */
#include <sdk/json.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/cli/cli.h"

static void shows(yoi_str given, size_t most, const char *wanted) {
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 4096);
  cli_safe(&out, given, most);
  assert_int_equal(out.failed, 0);
  assert_string_equal(out.data ? out.data : "", wanted);
  yoi_sdk_buf_release(&out);
}

#define SHOWS(given, wanted) shows(YOI_LIT(given), 4096, wanted)

static void plain_text_is_itself(void **state) {
  (void)state;
  SHOWS("", "");
  SHOWS("{\"path\":\"a b\\n\"}", "{\"path\":\"a b\\n\"}");
  SHOWS("\xc3\xa4 \xe2\x98\x83 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
        "\xc3\xa4 \xe2\x98\x83 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80");
}

static void white_space_between_members_is_one_line(void **state) {
  (void)state;
  SHOWS("{\n\t\"a\": 1\r\n}", "{  \"a\": 1  }");
}

static void what_acts_or_hides_is_written_out(void **state) {
  (void)state;
  SHOWS("a\x1b[2Jb\x07", "a\\u001b[2Jb\\u0007");
  SHOWS("\x7f\xc2\x80\xc2\x9b\xc2\x9f", "\\u007f\\u0080\\u009b\\u009f");
  SHOWS("\xc2\xa0", "\xc2\xa0"); /* behind them: a space that is one */
  SHOWS("\xe2\x80\xaegnp.exe", "\\u202egnp.exe");
  SHOWS("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\x8b\xef\xbb\xbf", "\\u2028\\u2029\\u200b\\ufeff");
  SHOWS("\xe2\x81\xa6\xe2\x81\xa9", "\\u2066\\u2069");
  SHOWS("\xf3\xa0\x81\x81", "\\udb40\\udc41"); /* a tag */
  shows((yoi_str){"a\0b", 3}, 4096, "a\\u0000b");
}

/* Read as JSON, each character that a string may hold is there again. */
static void nothing_is_lost(void **state) {
  (void)state;
  for (uint32_t c = 0x80; c <= 0x10ffff; c += c < 0x3000 || c >= 0xe0000 ? 1 : 97) {
    char text[8] = "\"";
    size_t n = 1;
    if (c >= 0xd800 && c <= 0xdfff) continue;
    if (c < 0x800) {
      text[n++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
      text[n++] = (char)(0xe0 | c >> 12);
      text[n++] = (char)(0x80 | (c >> 6 & 63));
    } else {
      text[n++] = (char)(0xf0 | c >> 18);
      text[n++] = (char)(0x80 | (c >> 12 & 63));
      text[n++] = (char)(0x80 | (c >> 6 & 63));
    }
    text[n++] = (char)(0x80 | (c & 63));
    text[n++] = '"';
    struct yoi_sdk_buf shown, back;
    yoi_sdk_buf_init(&shown, 64);
    yoi_sdk_buf_init(&back, 64);
    cli_safe(&shown, (yoi_str){text, n}, 64);
    assert_int_equal(yoi_sdk_json_raw_unescape(yoi_sdk_buf_str(&shown), &back), 1);
    assert_int_equal(back.len, n - 2);
    assert_memory_equal(back.data, text + 1, n - 2);
    yoi_sdk_buf_release(&shown);
    yoi_sdk_buf_release(&back);
  }
}

static void what_is_left_out_is_said(void **state) {
  (void)state;
  shows(YOI_LIT("abcdef"), 6, "abcdef");
  shows(YOI_LIT("abcdefg"), 6, "abcdef [... and 1 bytes more ...]");
  shows(YOI_LIT("abc\xe2\x98\x83"), 4, "abc [... and 3 bytes more ...]"); /* no half character */
}

static void what_is_no_text_is_not_shown(void **state) {
  (void)state;
  SHOWS("abc\xff", "(4 bytes that are no text)");
  SHOWS("\xe2\x98", "(2 bytes that are no text)");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_text_is_itself),
      cmocka_unit_test(white_space_between_members_is_one_line),
      cmocka_unit_test(what_acts_or_hides_is_written_out),
      cmocka_unit_test(nothing_is_lost),
      cmocka_unit_test(what_is_left_out_is_said),
      cmocka_unit_test(what_is_no_text_is_not_shown),
  };
  return cmocka_run_group_tests_name("safe", tests, NULL, NULL);
}
