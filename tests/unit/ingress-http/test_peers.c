/* Who a peer is, how much it may have, and that the table holds only those
 * that have something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/ingress-http/peers.h"

static struct http_peers peers;

static struct sockaddr_storage v4(const char *text) {
  struct sockaddr_storage a = {.ss_family = AF_INET};
  assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr), 1);
  return a;
}

static struct sockaddr_storage v6(const char *text) {
  struct sockaddr_storage a = {.ss_family = AF_INET6};
  assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr), 1);
  return a;
}

static int same(struct sockaddr_storage a, struct sockaddr_storage b) {
  struct http_peer_key x = http_peer_key(-1, &a), y = http_peer_key(-1, &b);
  return x.id == y.id && x.family == y.family;
}

static void an_address_or_a_network_or_a_user(void **state) {
  (void)state;
  assert_true(same(v4("10.0.0.1"), v4("10.0.0.1")));
  assert_false(same(v4("10.0.0.1"), v4("10.0.0.2")));
  assert_true(same(v6("2001:db8:1:2::1"), v6("2001:db8:1:2:ffff::9")));
  assert_false(same(v6("2001:db8:1:2::1"), v6("2001:db8:1:3::1")));
  assert_false(same(v4("0.0.0.0"), v6("::"))); /* families are apart */
  assert_true(same(v4("10.0.0.1"), v6("::ffff:10.0.0.1"))); /* to a socket of both */
  assert_false(same(v6("::ffff:10.0.0.2"), v6("::ffff:10.0.0.1")));
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  struct sockaddr_storage here = {.ss_family = AF_UNIX};
  assert_int_equal(http_peer_key(pair[0], &here).id, getuid());
  char text[HTTP_PEER_TEXT], expect[HTTP_PEER_TEXT];
  snprintf(expect, sizeof expect, "uid=%u", (unsigned)getuid());
  http_peer_text(pair[0], text);
  assert_string_equal(text, expect);
  close(pair[0]);
  close(pair[1]);
  http_peer_text(-1, text);
  assert_string_equal(text, "gone");
}

static void this_machine_is_local(void **state) {
  (void)state;
  struct sockaddr_storage a[] = {v4("127.0.0.1"), v4("127.9.9.9"), v6("::1"),
                                 {.ss_family = AF_UNIX}, v6("::ffff:127.0.0.1"), v4("128.0.0.1"),
                                 v6("::2"), v6("::ffff:10.0.0.1"), v6("::127.0.0.1")};
  for (size_t i = 0; i < 9; i++) assert_int_equal(http_peer_local(&a[i]), i < 5);
}

/* A listener of both families sees who comes over IPv4 in an IPv6 address. */
static void a_listener_of_both_families_has_peers_of_both(void **state) {
  (void)state;
  struct sockaddr_in6 any = {.sin6_family = AF_INET6}, from;
  struct sockaddr_in to = {.sin_family = AF_INET}, me;
  socklen_t len = sizeof any, from_len = sizeof from, me_len = sizeof me;
  char text[HTTP_PEER_TEXT], expect[HTTP_PEER_TEXT];
  int off = 0, server = socket(AF_INET6, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  if (server < 0 || setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
      bind(server, (void *)&any, sizeof any) != 0)
    skip();
  assert_int_equal(listen(server, 1), 0);
  assert_int_equal(getsockname(server, (void *)&any, &len), 0);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = any.sin6_port;
  assert_int_equal(connect(client, (void *)&to, sizeof to), 0);
  assert_int_equal(getsockname(client, (void *)&me, &me_len), 0);
  int fd = accept(server, (void *)&from, &from_len);
  assert_true(fd >= 0);
  assert_int_equal(from.sin6_family, AF_INET6);
  snprintf(expect, sizeof expect, "127.0.0.1:%u", (unsigned)ntohs(me.sin_port));
  http_peer_text(fd, text);
  assert_string_equal(text, expect);
  close(fd);
  close(client);
  close(server);
}

static void caps_hold_per_peer_and_are_given_back(void **state) {
  struct http_peer_key a = {AF_INET, 1}, b = {AF_INET, 2};
  struct http_peer *of_a[3] = {NULL}, *of_b = NULL;
  (void)state;
  assert_true(http_peers_init(&peers));
  for (int i = 0; i < 2; i++) assert_int_equal(http_peers_enter(&peers, a, 2, &of_a[i]), 1);
  assert_ptr_equal(of_a[0], of_a[1]);
  assert_int_equal(http_peers_enter(&peers, a, 2, &of_a[2]), 0);
  assert_null(of_a[2]);
  assert_int_equal(http_peers_enter(&peers, b, 2, &of_b), 1);
  assert_int_equal(http_peers_stream(&peers, of_a[0], 1), 1);
  assert_int_equal(http_peers_stream(&peers, of_a[0], 1), 0);
  assert_int_equal(http_peers_stream(&peers, of_b, 1), 1);
  assert_int_equal(http_peers_stream(&peers, NULL, 1), 1); /* is not counted */
  http_peers_stream_end(&peers, of_a[0]);
  assert_int_equal(http_peers_stream(&peers, of_a[0], 1), 1);
  http_peers_stream_end(&peers, of_a[0]);
  http_peers_stream_end(&peers, of_b);
  http_peers_leave(&peers, of_a[0]);
  assert_int_equal(http_peers_enter(&peers, a, 2, &of_a[2]), 1);
  http_peers_leave(&peers, of_a[1]);
  http_peers_leave(&peers, of_a[2]);
  http_peers_leave(&peers, of_b);
  for (size_t i = 0; i < HTTP_PEER_BUCKETS; i++) assert_null(peers.buckets[i]);
  http_peers_free(&peers);
}

/* Many share a bucket: each leaves it alone, in any order. */
static void the_table_holds_only_who_is_there(void **state) {
  enum { MANY = 20000 };
  static struct http_peer *all[MANY];
  (void)state;
  assert_true(http_peers_init(&peers));
  for (uint64_t i = 0; i < MANY; i++)
    assert_int_equal(http_peers_enter(&peers, (struct http_peer_key){AF_INET, i}, 1, &all[i]), 1);
  for (uint64_t i = 0; i < MANY; i += 2) http_peers_leave(&peers, all[i]);
  size_t n = 0;
  for (size_t i = 0; i < HTTP_PEER_BUCKETS; i++)
    for (struct http_peer *p = peers.buckets[i]; p; p = p->next, n++)
      assert_int_equal(p->key.id % 2, 1);
  assert_int_equal(n, MANY / 2);
  for (uint64_t i = 1; i < MANY; i += 2) http_peers_leave(&peers, all[i]);
  for (size_t i = 0; i < HTTP_PEER_BUCKETS; i++) assert_null(peers.buckets[i]);
  http_peers_free(&peers);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_address_or_a_network_or_a_user),
      cmocka_unit_test(this_machine_is_local),
      cmocka_unit_test(a_listener_of_both_families_has_peers_of_both),
      cmocka_unit_test(caps_hold_per_peer_and_are_given_back),
      cmocka_unit_test(the_table_holds_only_who_is_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
