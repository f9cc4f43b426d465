/* test_page.c - HTML to text: what is shown, what is not, and what it costs
 * when somebody means ill. Each page is also fed in pieces of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/tool-http/fetch.h"

/* type: NULL is text/html. piece: bytes at a time. Freed by the caller. */
static char *text_of(const char *type, yoi_str body, size_t piece, size_t limit,
                     uint32_t *out_why) {
  struct yoi_sdk_url base;
  struct fetch_window w;
  struct fetch_content c;
  uint64_t from;
  assert_int_equal(yoi_sdk_url_parse(NULL, YOI_LIT("https://a.example/b/c"), &base, NULL), YOI_OK);
  fetch_window_init(&w, 0, limit);
  fetch_content_init(&c, yoi_sdk_str(type ? type : "text/html"), 0, &base, &w);
  for (size_t at = 0; at < body.len; at += piece) {
    size_t n = body.len - at < piece ? body.len - at : piece;
    if (fetch_content_feed(&c, (yoi_str){body.ptr + at, n})) break;
  }
  fetch_content_end(&c);
  yoi_str text = fetch_window_text(&w, &from);
  assert_true(yoi_sdk_utf8_valid(text));
  char *out = yoi_sdk_strndup(text.ptr ? text.ptr : "", text.len);
  assert_non_null(out);
  if (out_why) *out_why = c.why;
  fetch_content_release(&c);
  fetch_window_release(&w);
  yoi_sdk_url_release(&base);
  return out;
}

static void bytes_give(const char *type, yoi_str body, const char *want) {
  for (size_t piece = 1; piece <= body.len; piece = piece < 9 ? piece + 1 : piece * 3) {
    char *got = text_of(type, body, piece, 65536, NULL);
    if (strcmp(got, want) != 0)
      fail_msg("%s, by %zu\n got: '%s'\nwant: '%s'", body.ptr, piece, got, want);
    yoi_sdk_free(got);
  }
}

static void gives(const char *html, const char *want) {
  bytes_give(NULL, yoi_sdk_str(html), want);
}

static void text_is_kept_and_space_is_one_blank(void **state) {
  (void)state;
  gives("a", "a");
  gives("<p>one\n  two\t<b>th</b>ree </p>\n\n<p> four</p>", "one two three\n\nfour");
  gives("a<br>b<br><br>c", "a\nb\n\nc");
  gives("<div>a<div>b</div></div>c", "a\nb\nc");
  gives("<pre>\n  a\n    b\n</pre>c", "  a\n    b\n\n\nc");
  gives("&lt;a&gt; &amp;amp; &auml; &#x20ac; &#8364; &nope;",
        "<a> &amp; \xc3\xa4 \xe2\x82\xac \xe2\x82\xac &nope;");
  gives("<title> The  page </title><h1>Big</h1><h3>Small</h3>x",
        "The page\n\n# Big\n\n### Small\n\nx");
  gives("<p>a<hr>b", "a\n\n---\n\nb");
}

static void lists_and_tables_keep_their_shape(void **state) {
  (void)state;
  gives("<ul><li>a<li>b<ol><li>c<li>d</ol><li>e</ul>f",
        "- a\n- b\n  1. c\n  2. d\n- e\n\nf");
  gives("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a | b\n1 | 2");
}

static void links_are_kept_with_where_they_lead(void **state) {
  (void)state;
  gives("see <a href='x?y=1'>the <b>page</b></a>.", "see [the page](https://a.example/b/x?y=1).");
  gives("<a href=\"//c.example/\">c</a> <a href='#top'>top</a> <a>none</a>",
        "[c](https://c.example/) top none");
  gives("<a href='javascript:alert(1)'>j</a> <a href='data:a,b'>d</a> <a href='file:///x'>f</a>",
        "j d f");
  gives("<a href='http://user:word@c.example/'>u</a>", "u");
  gives("<a href=x></a>a<a href=y> </a>b", "a b");
  gives("<a href=x><img src=i alt='A  cat'></a><img alt=''><img>",
        "[[image: A cat]](https://a.example/b/x)");
  gives("<a href=x>a<a href=y>b", "[a](https://a.example/b/x)[b](https://a.example/b/y)");
}

static void what_is_not_shown_is_not_given(void **state) {
  (void)state;
  gives("<script>var a = '<p>no</p>';</script>yes<style>p{}</style>", "yes");
  gives("a<!-- no <b>no</b> -->b", "ab");
  gives("<div hidden>no<div>no</div></div>yes", "yes");
  gives("<p hidden>no<p>yes", "yes");
  gives("<p style='color:red; DISPLAY : none'>no</p>yes", "yes");
  gives("<span style='visibility:hidden'>no</span><span style='visibility:visible'>yes</span>",
        "yes");
  gives("<span aria-hidden=true>no</span>yes", "yes");
  gives("<noscript>no</noscript><template>no</template><svg><text>no</text></svg>yes", "yes");
  gives("<body style='display:none'>yes", "yes");
  gives("<select><option>no</select><textarea>no</textarea>yes", "yes");
}

static void charsets_become_utf8(void **state) {
  (void)state;
  bytes_give("text/html; charset=ISO-8859-1", YOI_LIT("\xe4\x80"), "\xc3\xa4\xe2\x82\xac");
  bytes_give("text/html", YOI_LIT("<meta charset='windows-1251'>\xe4"), "\xd0\xb4");
  bytes_give("text/html", YOI_LIT("<meta http-equiv=a content='text/html; charset=koi8-r'>\xc4"),
             "\xd0\xb4");
  bytes_give("text/html; charset=utf-8", YOI_LIT("<meta charset=windows-1251>\xc3\xa4"),
             "\xc3\xa4");
  bytes_give("text/html", YOI_LIT("\xe4\xf6"), "\xc3\xa4\xc3\xb6");
  bytes_give("text/html", YOI_LIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
             "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  bytes_give("text/plain", YOI_LIT("\xef\xbb\xbf""a"), "a");
  bytes_give("text/plain", YOI_LIT("\xff\xfe""a\0\x3d\xd8\x00\xde"), "a\xf0\x9f\x98\x80");
  bytes_give("text/plain; charset=utf-16be", YOI_LIT("\0a\0b"), "ab");
  bytes_give("text/plain; charset=shift_jis", YOI_LIT("\x83\x65\x83\x58\x83\x67"),
             "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88");
  bytes_give("application/xml", YOI_LIT("<?xml version='1.0' encoding='iso-8859-15'?>\xa4"),
             "<?xml version='1.0' encoding='iso-8859-15'?>\xe2\x82\xac");
  bytes_give("text/plain; charset=\"../../x\"", YOI_LIT("\xc3\xa4"), "\xc3\xa4");
  bytes_give("text/plain; charset=UTF-8//TRANSLIT", YOI_LIT("\xc3\xa4"), "\xc3\xa4");
}

static void what_is_no_character_is_marked(void **state) {
  (void)state;
  bytes_give("text/plain; charset=utf-8", YOI_LIT("a\xff""b\xc3"), "a\xef\xbf\xbd""b\xef\xbf\xbd");
  bytes_give("text/plain; charset=utf-8", YOI_LIT("\xed\xa0\x80x"),
             "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx");
  bytes_give("text/plain; charset=utf-8", YOI_LIT("\xc0\xafx"), "\xef\xbf\xbd\xef\xbf\xbdx");
  /* Beyond U+10FFFF, in four to six bytes. */
  bytes_give("text/plain; charset=utf-8", YOI_LIT("a\xf4\x90\x80\x80z\xf4\x8f\xbf\xbf"),
             "a\xef\xbf\xbdz\xf4\x8f\xbf\xbf");
  bytes_give("text/plain; charset=utf-8", YOI_LIT("a\xfa\x8e\x8e\x8e\x8ez"), "a\xef\xbf\xbdz");
  bytes_give("text/html; charset=utf-8", YOI_LIT("a&\xfd\x8e\x8e\x8e\x8e\x8ez"),
             "a&\xef\xbf\xbdz");
  bytes_give("text/plain", YOI_LIT("a\x1b[31m\x7f"), "a\xef\xbf\xbd[31m\xef\xbf\xbd");
  assert_null(fetch_charset_find(YOI_LIT("../../lib/x")));
  assert_null(fetch_charset_find(YOI_LIT("ISO-2022-CN-EXT")));
  assert_null(fetch_charset_find(YOI_LIT("")));
}

static uint32_t why_of(const char *type, yoi_str body) {
  uint32_t why;
  yoi_sdk_free(text_of(type, body, 16384, 16777216, &why));
  return why;
}

static void types_are_believed_as_far_as_bytes_bear_them_out(void **state) {
  (void)state;
  assert_int_equal(why_of("image/png", YOI_LIT("\x89PNG")), FETCH_WHY_BINARY);
  assert_int_equal(why_of("text/plain", YOI_LIT("a\0b")), FETCH_WHY_BINARY);
  assert_int_equal(why_of("text/html", YOI_LIT("a\0b")), FETCH_WHY_BINARY);
  assert_int_equal(why_of("application/octet-stream", YOI_LIT("a\x01")), FETCH_WHY_BINARY);
  assert_int_equal(why_of("application/octet-stream", YOI_LIT("a\n")), FETCH_WHY_NOTHING);
  bytes_give("application/octet-stream", YOI_LIT("a <b>"), "a <b>");
  bytes_give("", YOI_LIT(" <!DOCTYPE html><b>a"), "a");
  bytes_give("application/ld+json; a=b", YOI_LIT("{}"), "{}");
  bytes_give("TEXT/HTML ;charset=utf-8", YOI_LIT("<b>a"), "a");
}

/* ---- pages that mean ill ------------------------------------------------------ */

static char *many(const char *what, size_t n, size_t *out_len) {
  size_t len = strlen(what);
  char *all = malloc(n * len + 1);
  assert_non_null(all);
  for (size_t i = 0; i < n; i++) memcpy(all + i * len, what, len);
  all[n * len] = '\0';
  *out_len = n * len;
  return all;
}

static uint32_t why_many(const char *what, size_t n) {
  size_t len;
  char *all = many(what, n, &len);
  uint32_t why = why_of(NULL, (yoi_str){all, len});
  free(all);
  return why;
}

static void a_page_nests_as_deep_as_the_limit(void **state) {
  (void)state;
  /* html and body are two of them */
  assert_int_equal(why_many("<div>", YOI_FETCH_DEPTH_MAX - 2), FETCH_WHY_NOTHING);
  assert_int_equal(why_many("<div>", YOI_FETCH_DEPTH_MAX - 1), FETCH_WHY_DEEP);
  assert_int_equal(why_many("<div>", 100000), FETCH_WHY_DEEP);
  assert_int_equal(why_many("<b>", 100000), FETCH_WHY_DEEP);
  assert_int_equal(why_many("<table><tr><td>", 100000), FETCH_WHY_DEEP);
}

/* 2 MB of each take less than half a second; what is quadratic takes minutes. */
static void work_is_linear(void **state) {
  (void)state;
  static const char *const pieces[] = {"</i>", "<", "</", "<!--", "<!-- -- ", "&", "&#", "<?x ",
                                       "<p", "<script></a>", "<![CDATA[", "<a href=x>", "<br>",
                                       "<p>", "<li>", "</p>", "-->", "<!DOCTYPE ", "\r", "<b></b>",
                                       "<style></", "<title>", "<html a=b>", "<body a=b>", "a "};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
    (void)why_many(pieces[i], 2000000 / strlen(pieces[i]));
}

static void a_tag_has_its_limit(void **state) {
  size_t len;
  (void)state;
  char *names = malloc(2000000);
  assert_non_null(names);
  strncpy(names, "<a ", 4);
  for (len = 3; len < 1500000;) len += (size_t)snprintf(names + len, 32, "a%zx ", len);
  assert_int_equal(why_of(NULL, (yoi_str){names, len}), FETCH_WHY_ATTRIBUTES);
  free(names);
  /* one huge value is none of that */
  char *value = many("x", 1000000, &len);
  memcpy(value, "<a href='", 9);
  memcpy(value + len - 4, "'>ab", 4);
  assert_int_equal(why_of(NULL, (yoi_str){value, len}), FETCH_WHY_NOTHING);
  free(value);
}

/* The most that each of the limits lets the parser compare. */
static void work_at_the_limits_is_bounded(void **state) {
  size_t len, n = YOI_FETCH_DEPTH_MAX - 2;
  (void)state;
  char *page = many("</i>", 500000, &len);
  for (size_t i = 0; i < n; i++) memcpy(page + i * 3, "<b>", 3);
  memset(page + n * 3, ' ', (4 - n * 3 % 4) % 4);
  assert_int_equal(why_of(NULL, (yoi_str){page, len}), FETCH_WHY_NOTHING);
  free(page);
  page = malloc(2100000);
  assert_non_null(page);
  for (len = 0; len < 2000000;) {
    len += (size_t)snprintf(page + len, 32, "<a");
    for (unsigned i = 0; i < YOI_FETCH_ATTRIBUTES_MAX; i++)
      len += (size_t)snprintf(page + len, 32, " a%x", i);
    len += (size_t)snprintf(page + len, 32, ">");
  }
  assert_int_equal(why_of(NULL, (yoi_str){page, len}), FETCH_WHY_NOTHING);
  free(page);
}

/* Text without a tag is not held back until the end, and nothing is put into
 * it, or into what is no text. */
static void a_long_text_goes_on(void **state) {
  static const char *const around[][2] = {{"<p>", ""}, {"", ""}, {"<!--", "-->"},
                                          {"<script>", "</script>"}};
  (void)state;
  for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
    size_t len, head = strlen(around[i][0]);
    struct yoi_sdk_buf page;
    char *text = many("word ", 100000, &len);
    yoi_sdk_buf_init(&page, SIZE_MAX / 2);
    yoi_sdk_buf_add(&page, around[i][0], head);
    yoi_sdk_buf_add(&page, text, len);
    yoi_sdk_buf_adds(&page, yoi_sdk_str(around[i][1]));
    yoi_sdk_buf_adds(&page, YOI_LIT("end"));
    char *got = text_of(NULL, yoi_sdk_buf_str(&page), 16384, 16777216, NULL);
    memcpy(text + len - 1, " ", 1);
    assert_int_equal(strlen(got), i < 2 ? len + 3 : 3);
    assert_int_equal(strncmp(got, text, i < 2 ? len : 0), 0);
    assert_string_equal(got + strlen(got) - 3, "end");
    yoi_sdk_free(got);
    yoi_sdk_buf_release(&page);
    if (i < 2) { /* a window is full long before the end */
      uint32_t why;
      yoi_sdk_free(text_of(NULL, (yoi_str){text, len}, 16384, 1000, &why));
      assert_int_equal(why, FETCH_WHY_FULL);
    }
    free(text);
  }
}

/* Wherever a piece that the parser gets would end. */
static void a_character_is_never_cut(void **state) {
  (void)state;
  for (size_t i = 0; i < 12; i++) {
    size_t len, n = YOI_FETCH_HEAD_BYTES + YOI_FETCH_PIECE_BYTES - i;
    char *body = many("a", n + 16, &len), *want = many("a", n + 16, &len);
    memcpy(body + n, "&\xf0\x9f\x98\x80&\xc3\xa4&\xe2\x82\xac&z", 13);
    memcpy(want + n, "&\xf0\x9f\x98\x80&\xc3\xa4&\xe2\x82\xac&z", 13);
    char *got = text_of(NULL, (yoi_str){body, len}, 65536, 65536, NULL);
    assert_string_equal(got + n, want + n);
    yoi_sdk_free(got);
    free(want);
    free(body);
  }
}

static void a_nul_behind_the_first_bytes_is_marked(void **state) {
  size_t len;
  (void)state;
  char *body = many("a", YOI_FETCH_HEAD_BYTES + 3, &len);
  body[len - 2] = '\0';
  char *got = text_of(NULL, (yoi_str){body, len}, 1000, 65536, NULL);
  assert_int_equal(strlen(got), YOI_FETCH_HEAD_BYTES + 5);
  assert_string_equal(got + YOI_FETCH_HEAD_BYTES + 1, "\xef\xbf\xbd""a");
  yoi_sdk_free(got);
  free(body);
}

static void a_window_takes_whole_characters(void **state) {
  static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
  char joined[sizeof text] = "";
  (void)state;
  for (uint64_t offset = 0, from; offset < sizeof text - 1;) {
    struct fetch_window w;
    fetch_window_init(&w, offset, 4);
    for (size_t i = 0; i < sizeof text - 1; i++) fetch_window_add(&w, (yoi_str){text + i, 1});
    yoi_str s = fetch_window_text(&w, &from);
    assert_true(yoi_sdk_utf8_valid(s));
    assert_true(s.len > 0);
    assert_int_equal(from, offset);
    assert_int_equal(fetch_window_full(&w), offset + 4 < sizeof text - 1);
    strncat(joined, s.ptr, s.len);
    offset = from + s.len;
    fetch_window_release(&w);
  }
  assert_string_equal(joined, text);
  struct fetch_window w;
  uint64_t from;
  fetch_window_init(&w, 2, 4); /* inside of a character */
  fetch_window_add(&w, yoi_sdk_str(text));
  assert_string_equal(fetch_window_text(&w, &from).ptr, "\xe2\x82\xac");
  assert_int_equal(from, 3);
  fetch_window_release(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_is_kept_and_space_is_one_blank),
      cmocka_unit_test(lists_and_tables_keep_their_shape),
      cmocka_unit_test(links_are_kept_with_where_they_lead),
      cmocka_unit_test(what_is_not_shown_is_not_given),
      cmocka_unit_test(charsets_become_utf8),
      cmocka_unit_test(what_is_no_character_is_marked),
      cmocka_unit_test(types_are_believed_as_far_as_bytes_bear_them_out),
      cmocka_unit_test(a_page_nests_as_deep_as_the_limit),
      cmocka_unit_test(work_is_linear),
      cmocka_unit_test(a_tag_has_its_limit),
      cmocka_unit_test(work_at_the_limits_is_bounded),
      cmocka_unit_test(a_long_text_goes_on),
      cmocka_unit_test(a_character_is_never_cut),
      cmocka_unit_test(a_nul_behind_the_first_bytes_is_marked),
      cmocka_unit_test(a_window_takes_whole_characters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
