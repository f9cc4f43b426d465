/* test_url.c - URLs of others: what is connected to is what was checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/url.h>
#include <string.h>

static void gives(const char *text, const char *want, const char *host, uint32_t port) {
  struct yoi_sdk_url u, again;
  struct yoi_sdk_error e;
  if (yoi_sdk_url_parse(NULL, yoi_sdk_str(text), &u, yoi_sdk_error_init(&e)) != YOI_OK)
    fail_msg("%s: %s", text, e.message);
  assert_string_equal(u.text, want);
  assert_string_equal(u.host, host);
  assert_int_equal(u.port, port);
  assert_int_equal(yoi_sdk_url_parse(NULL, yoi_sdk_str(u.text), &again, NULL), YOI_OK);
  assert_string_equal(again.text, u.text);
  assert_string_equal(again.host, u.host);
  yoi_sdk_url_release(&u);
  yoi_sdk_url_release(&again);
}

static void refuses(const char *text, const char *why) {
  struct yoi_sdk_url u;
  struct yoi_sdk_error e;
  if (yoi_sdk_url_parse(NULL, yoi_sdk_str(text), &u, yoi_sdk_error_init(&e)) == YOI_OK)
    fail_msg("%s: taken as %s", text, u.text);
  assert_int_equal(e.e.code, YOI_CODE_INVALID_REQUEST);
  if (!strstr(e.message, why)) fail_msg("%s: %s", text, e.message);
  assert_null(u.text);
  assert_null(u.host);
}

static void a_url_is_made_plain(void **state) {
  (void)state;
  gives("http://example.com", "http://example.com/", "example.com", 80);
  gives("HTTPS://Example.COM:8443/a/../b?x=y#part", "https://example.com:8443/b?x=y",
        "example.com", 8443);
  gives("https://example.com:443/", "https://example.com:443/", "example.com", 443);
  gives("http://example.com./", "http://example.com/", "example.com", 80);
  gives("http://example.com/a b?c d", "http://example.com/a%20b?c+d", "example.com", 80);
}

static void every_form_of_a_number_is_the_address(void **state) {
  static const char *const forms[] = {"127.0.0.1", "127.1",      "0x7f.1",     "0177.0.0.1",
                                      "2130706433", "0x7f000001", "017700000001", "127.0.0.1.",
                                      "127.1.",    "%31%32%37.0.0.1"};
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    char text[64];
    snprintf(text, sizeof text, "http://%s/", forms[i]);
    gives(text, "http://127.0.0.1/", "127.0.0.1", 80);
  }
  gives("http://[::1]:81/", "http://[::1]:81/", "::1", 81);
  gives("http://[::FFFF:127.0.0.1]/", "http://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1", 80);
}

static void other_letters_are_no_host(void **state) {
  (void)state;
  gives("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example",
        80);
  refuses("http://b\xc3\xbc""cher.example/", "xn--");
  refuses("http://b%c3%bc""cher.example/", "xn--");
  /* full-width digits, and a full stop of another script */
  refuses("http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "xn--");
  refuses("http://127\xe3\x80\x82""0\xe3\x80\x82""0\xe3\x80\x82""1/", "xn--");
}

static void what_two_readers_could_read_in_two_ways_is_refused(void **state) {
  (void)state;
  refuses("http://user@example.com/", "user or a password");
  refuses("http://user:word@example.com/", "user or a password");
  refuses("http://@example.com/", "user or a password");
  gives("http://a.example#@b.example@c.example/", "http://a.example/", "a.example", 80);
  refuses("http://a.example\\@b.example/", "");
  refuses("http:\\\\a.example/", "");
  refuses("http://a.example\\b/", "");
  refuses("http://a.exa mple/", "");
  refuses("http://a.example%00.b.example/", "");
  refuses("http://a.example%2f@b.example/", "");
  refuses("http://a.example%0d%0aX:y/", "");
  refuses("http://a.example\r\nHost: b/", "");
  refuses("http://a..", "");
  refuses("http://.a/", "");
  refuses("http://[fe80::1%25eth0]/", "zone");
  refuses("http://[::1", "");
  refuses("http://[::1]x/", "");
  refuses("http:///", "");
  refuses("http://", "");
  refuses("", "empty");
  refuses("//a.example/", "");
  refuses("a.example/", "");
}

static void only_http_and_only_real_ports(void **state) {
  static const char *const others[] = {
      "file:///etc/passwd", "gopher://a.example/",   "ftp://a.example/", "javascript:alert(1)",
      "data:text/plain,a",  "dict://a.example/d:a",  "ws://a.example/",  "unix:///run/socket",
      "mailto:a@b.example", "view-source:http://a/", "file://a.example/etc/passwd"};
  (void)state;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) refuses(others[i], "");
  refuses("http://a.example:0/", "port");
  refuses("http://a.example:65536/", "port");
  refuses("http://a.example:-1/", "port");
  refuses("http://a.example:8o/", "port");
  gives("http://a.example:65535/", "http://a.example:65535/", "a.example", 65535);
  gives("http://a.example:1/", "http://a.example:1/", "a.example", 1);
}

static void a_url_has_its_limit(void **state) {
  char text[YOI_FETCH_URL_MAX + 2];
  (void)state;
  memset(text, 'a', sizeof text);
  memcpy(text, "http://a.example/", 17);
  text[YOI_FETCH_URL_MAX + 1] = '\0';
  refuses(text, "too long");
  text[YOI_FETCH_URL_MAX] = '\0';
  gives(text, text, "a.example", 80);
  text[20] = ' '; /* becomes three bytes */
  refuses(text, "too long");
}

static void leads(const struct yoi_sdk_url *base, const char *to, const char *want) {
  char *got = yoi_sdk_url_link(base, yoi_sdk_str(to));
  if (want && !got) fail_msg("%s: nowhere", to);
  if (want) assert_string_equal(got, want);
  if (!want && got) fail_msg("%s: %s", to, got);
  yoi_sdk_free(got);
}

static void links_are_relative_to_their_page(void **state) {
  struct yoi_sdk_url base, to;
  (void)state;
  assert_int_equal(
      yoi_sdk_url_parse(NULL, YOI_LIT("https://a.example/b/c?d"), &base, NULL), YOI_OK);
  leads(&base, "x", "https://a.example/b/x");
  leads(&base, " \n../x#y ", "https://a.example/x#y");
  leads(&base, "//c.example", "https://c.example/");
  leads(&base, "?q=1", "https://a.example/b/c?q=1");
  leads(&base, "http://c.example/\xc3\xa4", "http://c.example/%c3%a4");
  leads(&base, "javascript:alert(1)", NULL);
  leads(&base, "data:text/html,a", NULL);
  leads(&base, "http://user:word@c.example/", NULL);
  leads(&base, "", NULL);
  assert_int_equal(yoi_sdk_url_parse(&base, YOI_LIT("//0x7f.1:81/"), &to, NULL), YOI_OK);
  assert_string_equal(to.text, "https://127.0.0.1:81/");
  yoi_sdk_url_release(&to);
  assert_int_equal(yoi_sdk_url_parse(&base, YOI_LIT("file:///x"), &to, NULL),
                   YOI_INVALID_ARGUMENT);
  yoi_sdk_url_release(&base);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_url_is_made_plain),
      cmocka_unit_test(every_form_of_a_number_is_the_address),
      cmocka_unit_test(other_letters_are_no_host),
      cmocka_unit_test(what_two_readers_could_read_in_two_ways_is_refused),
      cmocka_unit_test(only_http_and_only_real_ports),
      cmocka_unit_test(a_url_has_its_limit),
      cmocka_unit_test(links_are_relative_to_their_page),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
