/* test_text.c - what of a command's output is shown as it is, what becomes
 * visible, and that it makes no difference where the output was cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/tool-shell/shell.h"

#define BAD "\xef\xbf\xbd"

static const struct {
  const char *in, *out;
} rows[] = {
    {"", ""},
    {"plain", "plain\n"},
    {"line\n", "line\n"},
    {"a\tb\n\nc\n", "a\tb\n\nc\n"},
    {"a\r\nb\r\n", "a\nb\n"},
    {"10%\r20%\rdone\n", "10%\n20%\ndone\n"},
    {"a\r", "a\n"},
    {"\x1b[2J\x1b]0;t\x07", "\xe2\x90\x9b[2J\xe2\x90\x9b]0;t\xe2\x90\x87\n"},
    {"\x01\x1f\x7f\b", "\xe2\x90\x81\xe2\x90\x9f\xe2\x90\xa1\xe2\x90\x88\n"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f\n"},
    {"\xe2\x82\xac \xf0\x9f\x98\x80\n", "\xe2\x82\xac \xf0\x9f\x98\x80\n"},
    {"\xff\xfe", BAD BAD "\n"},
    {"\xc3", BAD "\n"},
    {"\xc3(", BAD "(\n"},
    {"\xe2\x82(", BAD "(\n"},
    {"\xe2\x82\n", BAD "\n"},
    {"\xc0\xaf", BAD BAD "\n"},             /* overlong */
    {"\xe0\x80\xaf", BAD BAD BAD "\n"},     /* overlong */
    {"\xed\xa0\x80", BAD BAD BAD "\n"},     /* a surrogate */
    {"\xf4\x90\x80\x80", BAD BAD BAD BAD "\n"}, /* past U+10FFFF */
    {"\xf0\x9f\x98", BAD "\n"},
    {"\xc2\x9b" "31m", BAD "31m\n"},        /* CSI of C1 */
    {"\xc2\xa0.", "\xc2\xa0.\n"},
    {"a\xe2\x80\xae" "b\xe2\x81\xa6" "c", "a" BAD "b" BAD "c\n"}, /* turns what follows */
    {"\xe2\x80\xa8\xe2\x80\xa9", BAD BAD "\n"},
    {"\xe2\x80\xa7", "\xe2\x80\xa7\n"},
};

static void same_wherever_it_is_cut(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len = strlen(rows[i].in);
    for (size_t cut = 0; cut <= len; cut++) {
      struct sh_text t = {.n_tail = 0};
      struct yoi_sdk_buf b;
      yoi_sdk_buf_init(&b, 256);
      /* Of memory that is exactly as long, so that reading past it shows. */
      char *first = malloc(cut + 1), *second = malloc(len - cut + 1);
      memcpy(first, rows[i].in, cut);
      memcpy(second, rows[i].in + cut, len - cut);
      sh_text_clean(&t, (yoi_str){first, cut}, 0, &b);
      sh_text_clean(&t, (yoi_str){second, len - cut}, 0, &b);
      sh_text_clean(&t, (yoi_str){NULL, 0}, 1, &b);
      assert_string_equal(b.data != NULL ? b.data : "", rows[i].out);
      assert_true(yoi_sdk_utf8_valid(yoi_sdk_buf_str(&b)));
      assert_true(b.len <= 3 * len + 1);
      free(first);
      free(second);
      yoi_sdk_buf_release(&b);
    }
  }
}

static void nul_becomes_visible(void **state) {
  struct sh_text t = {.n_tail = 0};
  struct yoi_sdk_buf b;
  (void)state;
  yoi_sdk_buf_init(&b, 16);
  sh_text_clean(&t, (yoi_str){"a\0b", 3}, 1, &b);
  assert_string_equal(b.data, "a\xe2\x90\x80" "b\n");
  yoi_sdk_buf_release(&b);
}

/* Any bytes give text, of which nothing acts. */
static void noise_is_harmless(void **state) {
  uint32_t seed = 12345;
  (void)state;
  for (int round = 0; round < 2000; round++) {
    char in[64];
    for (size_t i = 0; i < sizeof in; i++) {
      seed = seed * 1664525u + 1013904223u;
      in[i] = (char)(seed >> 24);
    }
    struct sh_text t = {.n_tail = 0};
    struct yoi_sdk_buf b;
    yoi_sdk_buf_init(&b, 3 * sizeof in + 1);
    sh_text_clean(&t, (yoi_str){in, sizeof in}, 1, &b);
    assert_false(b.failed);
    assert_true(yoi_sdk_utf8_valid(yoi_sdk_buf_str(&b)));
    for (size_t i = 0; i < b.len; i++)
      assert_true((unsigned char)b.data[i] >= 0x20 || b.data[i] == '\n' || b.data[i] == '\t');
    yoi_sdk_buf_release(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_wherever_it_is_cut),
      cmocka_unit_test(nul_becomes_visible),
      cmocka_unit_test(noise_is_harmless),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
