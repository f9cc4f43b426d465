/* What changed between two texts: the least lines, with some around, and the
 * one text becomes the other by what is shown. */
#include <sdk/mem.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cli/bundle.h"

static void shows(yoi_str a, yoi_str b, const char *wanted) {
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 65536);
  cli_text_diff(&out, a, b);
  assert_int_equal(out.failed, 0);
  assert_string_equal(out.data ? out.data : "", wanted);
  yoi_sdk_buf_release(&out);
}

#define SHOWS(a, b, wanted) shows(YOI_LIT(a), YOI_LIT(b), wanted)

static void the_same_is_nothing(void **state) {
  (void)state;
  SHOWS("", "", "");
  SHOWS("a\nb", "a\nb", "");
  SHOWS("a", "a\n", "  (a line feed at the end)\n"); /* but this */
}

static void lines_are_taken_out_and_put_in(void **state) {
  (void)state;
  SHOWS("", "a\nb", "+ a\n+ b\n");
  SHOWS("a\nb\n", "", "- a\n- b\n");
  SHOWS("a\nb\nc", "a\nc", "  a\n- b\n  c\n");
  SHOWS("a\nc", "a\nb\nc", "  a\n+ b\n  c\n");
  SHOWS("a\nx\nc", "a\ny\nc", "  a\n- x\n+ y\n  c\n");
  SHOWS("a\n\nb", "a\nb", "  a\n-\n  b\n");
}

static void lines_that_moved_stay_where_more_of_them_are(void **state) {
  (void)state;
  SHOWS("a\nb\nc\nd", "b\nc\nd\na", "- a\n  b\n  c\n  d\n+ a\n");
}

static void what_is_far_from_a_change_is_left_out(void **state) {
  (void)state;
  SHOWS("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12",
        "  ...\n  2\n  3\n  4\n- 5\n+ five\n  6\n  7\n  8\n  ...\n");
}

static void nothing_acts_on_the_screen(void **state) {
  (void)state;
  SHOWS("a", "\x1b[2J", "- a\n+ \\u001b[2J\n");
}

/* Applies what is shown (no line is left out of small texts) to a. */
static void becomes(const char *a, const char *b) {
  struct yoi_sdk_buf out;
  char from[256] = "", to[256] = "";
  size_t common = 0, kept = 0;
  yoi_sdk_buf_init(&out, 65536);
  cli_text_diff(&out, yoi_sdk_str(a), yoi_sdk_str(b));
  for (char *line = out.data, *end; line && *line; line = end + 1) {
    end = strchr(line, '\n');
    if (line[0] != '+') strncat(from, line + 2, (size_t)(end - line - 1));
    if (line[0] != '-') strncat(to, line + 2, (size_t)(end - line - 1));
    kept += line[0] == ' ';
  }
  assert_string_equal(from, a);
  assert_string_equal(to, b);
  /* The longest common subsequence of lines of one letter, by brute force. */
  size_t n = strlen(a) / 2, m = strlen(b) / 2;
  for (size_t set = 0; set < (size_t)1 << n; set++) {
    size_t j = 0, size = 0, ok = 1;
    for (size_t i = 0; i < n && ok; i++) {
      if (!(set >> i & 1)) continue;
      while (j < m && b[2 * j] != a[2 * i]) j++;
      ok = j++ < m;
      size++;
    }
    if (ok && size > common) common = size;
  }
  assert_int_equal(kept, common);
  yoi_sdk_buf_release(&out);
}

/* Up to six lines, one in `odds` of them another. */
static void fill(char *text, int odds) {
  for (int i = 0, n = rand() % 7; i < n; i++) {
    *text++ = rand() % odds ? 'x' : 'y';
    *text++ = '\n';
  }
  *text = 0;
}

static void what_stays_is_as_much_as_can_stay(void **state) {
  (void)state;
  srand(7); /* the same in each run */
  for (int round = 0; round < 400; round++) {
    char a[32] = "", b[32] = "";
    /* Few enough that every line is near a change, or that all is the same. */
    fill(a, 2);
    fill(b, 3);
    struct yoi_sdk_buf out;
    yoi_sdk_buf_init(&out, 65536);
    cli_text_diff(&out, yoi_sdk_str(a), yoi_sdk_str(b));
    int whole = out.data && !strstr(out.data, "..."); /* equal ones show nothing */
    yoi_sdk_buf_release(&out);
    if (whole) becomes(a, b);
  }
}

/* More than the table holds: all out, all in. */
static void texts_without_end_are_bounded(void **state) {
  (void)state;
  struct yoi_sdk_buf a, b, out;
  size_t minus = 0, plus = 0, same = 0;
  yoi_sdk_buf_init(&a, 1 << 20);
  yoi_sdk_buf_init(&b, 1 << 20);
  yoi_sdk_buf_init(&out, 1 << 20);
  yoi_sdk_buf_adds(&a, YOI_LIT("head\n"));
  yoi_sdk_buf_adds(&b, YOI_LIT("head\n"));
  for (int i = 0; i < 3000; i++) {
    yoi_sdk_buf_addf(&a, "%d\n", i % 7);
    yoi_sdk_buf_addf(&b, "%d\n", i % 11);
  }
  yoi_sdk_buf_addf(&a, "a\n");
  yoi_sdk_buf_addf(&b, "b\n");
  cli_text_diff(&out, yoi_sdk_buf_str(&a), yoi_sdk_buf_str(&b));
  assert_int_equal(out.failed, 0);
  for (const char *line = out.data; *line; line = strchr(line, '\n') + 1) {
    minus += line[0] == '-';
    plus += line[0] == '+';
    same += line[0] == ' ';
  }
  /* 0 to 6 are the first lines of both. */
  assert_int_equal(minus, 3001 - 7);
  assert_int_equal(plus, 3001 - 7);
  assert_int_equal(same, 3 + 1);
  yoi_sdk_buf_release(&a);
  yoi_sdk_buf_release(&b);
  yoi_sdk_buf_release(&out);
}

static void without_memory_nothing_is_shown_as_all(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    struct yoi_sdk_buf out;
    yoi_sdk_buf_init(&out, 65536);
    yoi_sdk_mem_fail_at(n);
    cli_text_diff(&out, YOI_LIT("a\nb"), YOI_LIT("a\nc"));
    uint64_t made = yoi_sdk_mem_fail_at(0);
    int failed = out.failed;
    if (!failed) {
      /* Without the table all of it is out and in, which is the same here. */
      assert_string_equal(out.data, "  a\n- b\n+ c\n");
    }
    yoi_sdk_buf_release(&out);
    if (made < n) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_same_is_nothing),
      cmocka_unit_test(lines_are_taken_out_and_put_in),
      cmocka_unit_test(lines_that_moved_stay_where_more_of_them_are),
      cmocka_unit_test(what_is_far_from_a_change_is_left_out),
      cmocka_unit_test(nothing_acts_on_the_screen),
      cmocka_unit_test(what_stays_is_as_much_as_can_stay),
      cmocka_unit_test(texts_without_end_are_bounded),
      cmocka_unit_test(without_memory_nothing_is_shown_as_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
