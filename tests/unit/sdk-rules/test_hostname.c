/* test_hostname.c - whose host a URL names, and of which it is not said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>

#include "abi/sdk/rules/hostname.h"

static void a_host_has_one_form(void **state) {
  static const struct {
    const char *url, *host; /* NULL: it is refused */
  } rows[] = {
      {"https://example.com/a?b#c", "example.com"},
      {"HTTPS://EXAMPLE.Com.:8443/", "example.com"},
      {"http://example.com", "example.com"},
      {"http://example.com?x=http://other.example", "example.com"},
      {"http://example.com#@evil.example", "example.com"},
      {"http://example.com:/", "example.com"},
      {"http://localhost:65535/", "localhost"},
      {"http://127.0.0.1/", "127.0.0.1"},
      {"http://[::1]:80/", "[::1]"},
      {"http://[2001:DB8:0:0::1]/", "[2001:db8::1]"},
      {"http://xn--bcher-kva.example/", "xn--bcher-kva.example"},
      {"http://3com.example/", "3com.example"},
      {"http://a_b.example/", "a_b.example"},
      /* somebody else would see another host */
      {"http://user@example.com/", NULL},
      {"http://example.com@evil.example/", NULL},
      {"http://example.com:80@evil.example/", NULL},
      {"http://example.com\\@evil.example/", NULL},
      {"http://evil.example\\.example.com/", NULL},
      {"http://example.com%2eevil.example/", NULL},
      {"http://example.com%00.evil/", NULL},
      {"http://exa mple.com/", NULL},
      {" http://example.com/", NULL},
      {"http://example.com/\n", NULL},
      {"http://ex\tample.com/", NULL},
      {"http://b\xc3\xbc"
       "cher.example/",
       NULL},
      {"http://example\xe3\x80\x82"
       "com/",
       NULL},
      {"http://2130706433/", NULL},
      {"http://0x7f.1/", NULL},
      {"http://0x7f000001/", NULL},
      {"http://127.1/", NULL},
      {"http://127.0.0.01/", NULL},
      {"http://0177.0.0.1/", NULL},
      {"http://127.0.0.1./", "127.0.0.1"},
      {"http://1.2.3.4.5/", NULL},
      {"http://[::ffff:127.0.0.1]/", NULL},
      {"http://[::127.0.0.1]/", NULL},
      {"http://[fe80::1%25eth0]/", NULL},
      {"http://[::1/", NULL},
      {"http://::1/", NULL},
      {"http://[::1]x/", NULL},
      {"http://[]/", NULL},
      {"http://[1.2.3.4]/", NULL},
      /* no host, or no such URL */
      {"http://example.com:65536/", NULL},
      {"http://example.com:8o/", NULL},
      {"http://example.com:000080/", NULL},
      {"http://example.com..", NULL},
      {"http://.example.com/", NULL},
      {"http://a..b/", NULL},
      {"http://./", NULL},
      {"http:///etc/passwd", NULL},
      {"http://:80/", NULL},
      {"http:example.com", NULL},
      {"//example.com/", NULL},
      {"file:///etc/passwd", NULL},
      {"ftp://example.com/", NULL},
      {"example.com", NULL},
      {"", NULL},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char out[HOSTNAME_MAX + 1];
    size_t len = 99;
    int good = yoi__sdk_rules_hostname_of_url(yoi_sdk_str(rows[i].url), out, &len);
    if (good != (rows[i].host != NULL)) fail_msg("'%s'", rows[i].url);
    if (good && (len != strlen(rows[i].host) || memcmp(out, rows[i].host, len) != 0))
      fail_msg("'%s': '%.*s'", rows[i].url, (int)len, out);
  }
}

static void labels_and_names_have_their_lengths(void **state) {
  char url[400], out[HOSTNAME_MAX + 1];
  size_t len;
  (void)state;
  for (int n = 63; n <= 64; n++) {
    (void)snprintf(url, sizeof url, "http://%0*d.example/", n, 0);
    assert_int_equal(yoi__sdk_rules_hostname_of_url(yoi_sdk_str(url), out, &len), n == 63);
  }
  for (int n = HOSTNAME_MAX; n <= HOSTNAME_MAX + 1; n++) {
    size_t at = (size_t)snprintf(url, sizeof url, "http://");
    for (int i = 0; i < n; i++) url[at++] = i % 2 != 0 && i < n - 1 ? '.' : 'a';
    url[at] = '\0';
    assert_int_equal(yoi__sdk_rules_hostname_of_url(yoi_sdk_str(url), out, &len),
                     n == HOSTNAME_MAX);
  }
}

static void patterns_have_the_same_form(void **state) {
  static const struct {
    const char *pattern, *normal, *why;
  } rows[] = {
      {"*.Example.COM.", "*.example.com", NULL},
      {"example.com", "example.com", NULL},
      {"*", "*", NULL},
      {"[::0001]", "[::1]", NULL},
      {"10.0.0.1", "10.0.0.1", NULL},
      {"*.host1", "*.host1", NULL},
      {"*example.com", NULL, "a star of a host stands at its beginning, before a dot"},
      {"a.*.com", NULL, "a star of a host stands at its beginning, before a dot"},
      {"*.*.com", NULL, "a star of a host stands at its beginning, before a dot"},
      {"*.", NULL, "expected a name, '*.NAME' or an address"},
      {"example.com:443", NULL, "expected a name, '*.NAME' or an address"},
      {"https://example.com", NULL, "expected a name, '*.NAME' or an address"},
      {"b\xc3\xbc"
       "cher.example",
       NULL, "expected a name, '*.NAME' or an address"},
      {"10.0", NULL, "expected a name, '*.NAME' or an address"},
      {"", NULL, "expected a name, '*.NAME' or an address"},
      {"*.10.0.0.1", NULL, "nothing is below an address"},
      {"*.[::1]", NULL, "nothing is below an address"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char out[HOSTNAME_MAX + 1];
    size_t len;
    const char *why = yoi__sdk_rules_hostname_pattern(yoi_sdk_str(rows[i].pattern), out, &len);
    if (rows[i].why != NULL) {
      assert_non_null(why);
      assert_string_equal(why, rows[i].why);
    } else {
      assert_null(why);
      assert_int_equal(len, strlen(rows[i].normal));
      assert_memory_equal(out, rows[i].normal, len);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_host_has_one_form),
      cmocka_unit_test(labels_and_names_have_their_lengths),
      cmocka_unit_test(patterns_have_the_same_form),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
