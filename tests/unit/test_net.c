/* Hosts, ports and addresses: what is one, what is listed, and each special
 * range at both of its edges. */
#include "host/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sdk/str.h>

#define L63 "a23456789012345678901234567890123456789012345678901234567890123"

static void an_entry_is_a_host_and_a_port(void **state) {
  (void)state;
  static const struct {
    const char *text, *name; /* "": an address */
    int below;
    uint32_t port;
  } good[] = {
      {"example.org:443", "example.org", 0, 443},
      {"Example.ORG.:443", "example.org", 0, 443},
      {"*.example.org:443", "example.org", 1, 443},
      {"*.org:1", "org", 1, 1},
      {"localhost:65535", "localhost", 0, 65535},
      {"a_b.c-d.e1:80", "a_b.c-d.e1", 0, 80},
      {L63 ".x:80", L63 ".x", 0, 80},
      {"127.0.0.1:8080", "", 0, 8080},
      {"[::1]:8080", "", 0, 8080},
      {"[2001:db8::1]:1", "", 0, 1},
      {"[::ffff:10.0.0.1]:1", "", 0, 1},
  };
  static const char *const bad[][2] = {
      {"example.org", "HOST:PORT"},
      {"", "HOST:PORT"},
      {"example.org:", "a port"},
      {"example.org:0", "a port"},
      {"example.org:65536", "a port"},
      {"example.org:*", "a port"},
      {"example.org:443x", "a port"},
      {"example.org:0443", "a port"},
      {"example.org: 443", "a port"},
      {"https://example.org:443", "brackets"},
      {"http://example.org", "a port"},
      {":443", "a host name"},
      {".:443", "a host name"},
      {"*:443", "a host name"},
      {"*.:443", "a host name"},
      {"*.*.org:443", "a host name"},
      {"a.*.org:443", "a host name"},
      {"*example.org:443", "a host name"},
      {".example.org:443", "a host name"},
      {"example..org:443", "a host name"},
      {"example.org..:443", "a host name"},
      {"exam ple.org:443", "a host name"},
      {"user@example.org:443", "a host name"},
      {"example.org/x:443", "a host name"},
      {"b\xc3\xbc"
       "cher.example:443",
       "a host name"},
      {L63 "4.x:80", "a host name"},
      {"::1:80", "brackets"},
      {"[::1]", "a port"},
      {"[::1:80", "an IPv6 address"},
      {"[127.0.0.1]:80", "an IPv6 address"},
      {"[fe80::1%eth0]:80", "an IPv6 address"},
      {"[]:80", "a host name"},
      {"127.1:80", "written in full"},
      {"0x7f000001:80", "written in full"},
      {"2130706433:80", "written in full"},
      {"127.0.0.256:80", "written in full"},
      {"0177.0.0.1:80", "written in full"},
      {"*.0.0.1:80", "written in full"},
      {"a.0x1:80", "written in full"},
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    struct yoi__endpoint e;
    const char *why = yoi__net_endpoint(yoi_sdk_str(good[i].text), &e);
    if (why != NULL) fail_msg("'%s': %s", good[i].text, why);
    assert_true(yoi_sdk_str_is(e.host.name, good[i].name));
    assert_int_equal(e.host.is_address, good[i].name[0] == '\0');
    assert_int_equal(e.below, good[i].below);
    assert_int_equal(e.port, good[i].port);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct yoi__endpoint e;
    const char *why = yoi__net_endpoint(yoi_sdk_str(bad[i][0]), &e);
    if (why == NULL || strstr(why, bad[i][1]) == NULL)
      fail_msg("'%s': %s", bad[i][0], why != NULL ? why : "taken");
  }
}

static void a_name_has_at_most_253_bytes(void **state) {
  (void)state;
  char text[YOI__HOST_NAME_MAX + 3];
  struct yoi__net_host h;
  for (size_t i = 0; i < sizeof text; i++) text[i] = i % 2 == 0 ? 'a' : '.';
  assert_null(yoi__net_host((yoi_str){text, YOI__HOST_NAME_MAX}, &h));
  assert_int_equal(h.name.len, YOI__HOST_NAME_MAX);
  assert_null(yoi__net_host((yoi_str){text, YOI__HOST_NAME_MAX + 1}, &h)); /* the last dot */
  assert_non_null(yoi__net_host((yoi_str){text, YOI__HOST_NAME_MAX + 2}, &h));
  assert_non_null(yoi__net_host((yoi_str){"a\0b", 3}, &h));
  assert_non_null(yoi__net_host((yoi_str){NULL, 0}, &h));
}

/* ---- lists -------------------------------------------------------------------- */

static int is_listed(const char *entry, const char *host, uint32_t port) {
  struct yoi__endpoint e;
  struct yoi__net_host h;
  assert_null(yoi__net_endpoint(yoi_sdk_str(entry), &e));
  if (yoi__net_host(yoi_sdk_str(host), &h) != NULL) return 0;
  assert_false(yoi__net_listed(&e, 0, &h, port));
  return yoi__net_listed(&e, 1, &h, port);
}

static void a_list_means_what_it_says_and_no_more(void **state) {
  (void)state;
  assert_true(is_listed("example.org:443", "example.org", 443));
  assert_true(is_listed("example.org:443", "EXAMPLE.org.", 443));
  assert_false(is_listed("example.org:443", "example.org", 80));
  assert_false(is_listed("example.org:443", "www.example.org", 443));
  assert_false(is_listed("example.org:443", "example.org.evil.test", 443));
  assert_false(is_listed("example.org:443", "notexample.org", 443));
  assert_true(is_listed("*.example.org:443", "www.example.org", 443));
  assert_true(is_listed("*.example.org:443", "a.b.Example.org.", 443));
  assert_false(is_listed("*.example.org:443", "example.org", 443));
  assert_false(is_listed("*.example.org:443", "notexample.org", 443));
  assert_false(is_listed("*.example.org:443", ".example.org", 443));
  assert_true(is_listed("127.0.0.1:80", "127.0.0.1", 80));
  assert_true(is_listed("127.0.0.1:80", "::ffff:127.0.0.1", 80));
  assert_true(is_listed("127.0.0.1:80", "[::ffff:7f00:1]", 80));
  assert_false(is_listed("127.0.0.1:80", "127.1", 80));
  assert_false(is_listed("127.0.0.1:80", "localhost", 80));
  assert_false(is_listed("localhost:80", "127.0.0.1", 80));
  assert_true(is_listed("[::1]:80", "::1", 80));
  assert_true(is_listed("[::1]:80", "[0:0:0:0:0:0:0:1]", 80));
  assert_false(is_listed("[::1]:80", "::2", 80));
  assert_false(is_listed("[::ffff:10.0.0.1]:80", "10.0.0.2", 80));
}

/* ---- ranges --------------------------------------------------------------------- */

static int is_special(const char *address) {
  struct yoi__net_host h;
  if (!yoi__net_address(yoi_sdk_str(address), &h)) fail_msg("'%s' is no address", address);
  return yoi__net_special(h.address);
}

static void each_range_ends_where_it_ends(void **state) {
  (void)state;
  /* before it, its first, its last, behind it; NULL: that is in a range too */
  static const char *const ranges[][4] = {
      {NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
      {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
      {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
      {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
      {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
      {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
      {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
      {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
      {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
      {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
      {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
      {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
      {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
      {"223.255.255.255", "224.0.0.0", "255.255.255.255", NULL},
      {NULL, "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
      {"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
      {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
       "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
      {"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
      {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    for (size_t k = 0; k < 4; k++)
      if (ranges[i][k] != NULL && is_special(ranges[i][k]) != (k == 1 || k == 2))
        fail_msg("%s", ranges[i][k]);
}

static void what_is_known_by_name_is_special(void **state) {
  (void)state;
  static const char *const special[] = {
      "::1",
      "fc00::",
      "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", /* unique local */
      "fe80::1",
      "febf::1",
      "fec0::1", /* link-local, site-local */
      "ff02::1",
      "100::1",
      "5f00::1",
      "64:ff9b:1::a00:1", /* discard, SRv6, local NAT64 */
      "2001:0:808:808::",
      "2001:20::1", /* Teredo, ORCHID */
      "::8.8.8.8",  /* IPv4-compatible, given up */
      "64:ff9b:0:0:1::808:808"};
  static const char *const public[] = {"8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1",
                                       "2620:4f:8000::1"};
  for (size_t i = 0; i < sizeof special / sizeof *special; i++)
    if (!is_special(special[i])) fail_msg("%s", special[i]);
  for (size_t i = 0; i < sizeof public / sizeof *public; i++)
    if (is_special(public[i])) fail_msg("%s", public[i]);
}

static void one_of_ipv4_inside_is_what_is_judged(void **state) {
  (void)state;
  static const char *const special[] = {"::ffff:127.0.0.1",   "::ffff:a00:1",  "64:ff9b::10.0.0.1",
                                        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::1",
                                        "::ffff:0.0.0.0"};
  static const char *const public[] = {"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"};
  for (size_t i = 0; i < sizeof special / sizeof *special; i++)
    if (!is_special(special[i])) fail_msg("%s", special[i]);
  for (size_t i = 0; i < sizeof public / sizeof *public; i++)
    if (is_special(public[i])) fail_msg("%s", public[i]);
}

static void loopback_is_all_of_it_in_each_form(void **state) {
  (void)state;
  static const char *const yes[] = {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"};
  static const char *const no[] = {"126.255.255.255", "128.0.0.0",         "::", "::2",
                                   "::127.0.0.1",     "64:ff9b::127.0.0.1"};
  struct yoi__net_host h;
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
    assert_true(yoi__net_address(yoi_sdk_str(yes[i]), &h));
    assert_true(yoi__net_loopback(h.address));
  }
  for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
    assert_true(yoi__net_address(yoi_sdk_str(no[i]), &h));
    assert_false(yoi__net_loopback(h.address));
  }
}

static void what_is_no_address_is_none(void **state) {
  (void)state;
  static const char *const none[] = {
      "",           "127.1",
      "0177.0.0.1", "256.0.0.1",
      "127.0.0.1 ", "fe80::1%eth0",
      "[::1]",      "::1::",
      "localhost",  "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255:0:0:0:0"};
  struct yoi__net_host h;
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    if (yoi__net_address(yoi_sdk_str(none[i]), &h)) fail_msg("'%s'", none[i]);
  assert_false(yoi__net_address((yoi_str){"::1\0", 4}, &h));
  assert_true(yoi__net_address(YOI_LIT("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), &h));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_entry_is_a_host_and_a_port),
      cmocka_unit_test(a_name_has_at_most_253_bytes),
      cmocka_unit_test(a_list_means_what_it_says_and_no_more),
      cmocka_unit_test(each_range_ends_where_it_ends),
      cmocka_unit_test(what_is_known_by_name_is_special),
      cmocka_unit_test(one_of_ipv4_inside_is_what_is_judged),
      cmocka_unit_test(loopback_is_all_of_it_in_each_form),
      cmocka_unit_test(what_is_no_address_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
