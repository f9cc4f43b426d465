/* test_bind.c - listening sockets: one per loop, and nobody else's port.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/bind.h"

static struct yoi__config_ingress on(const char *listen, uint16_t port, int v6) {
  struct yoi__config_ingress in = {.listen = yoi_sdk_str(listen)};
  if (v6) {
    struct sockaddr_in6 *a = (void *)&in.address;
    a->sin6_family = AF_INET6;
    a->sin6_addr = in6addr_loopback;
    a->sin6_port = htons(port);
    in.address_len = sizeof *a;
  } else {
    struct sockaddr_in *a = (void *)&in.address;
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->sin_port = htons(port);
    in.address_len = sizeof *a;
  }
  return in;
}

static uint16_t port_of(const struct yoi__bound *b) {
  uint64_t port = 0;
  assert_true(yoi_sdk_parse_u64(yoi_sdk_str(strrchr(b->address, ':') + 1), 65535, &port));
  return (uint16_t)port;
}

static void test_one_socket_per_loop_on_one_port(void **state) {
  (void)state;
  for (uint32_t n = 1; n <= 4; n++) {
    struct yoi__bound b = {0};
    struct yoi__config_ingress in = on("127.0.0.1:0", 0, 0);
    assert_int_equal(yoi__bind(&in, n, &b, NULL), YOI_OK);
    assert_int_equal(b.n, n);
    assert_memory_equal(b.address, "127.0.0.1:", 10);
    assert_int_not_equal(port_of(&b), 0);
    for (uint32_t i = 0; i < n; i++) {
      struct sockaddr_in a;
      socklen_t len = sizeof a;
      assert_int_equal(getsockname(b.fds[i], (struct sockaddr *)&a, &len), 0);
      assert_int_equal(ntohs(a.sin_port), port_of(&b));
    }
    yoi__bound_close(&b);
    assert_int_equal(b.n, 0);
  }
}

static void test_ipv6_is_written_in_brackets(void **state) {
  struct yoi__bound b = {0};
  struct yoi__config_ingress in = on("[::1]:0", 0, 1);
  (void)state;
  int probe = socket(AF_INET6, SOCK_STREAM, 0);
  int have = probe >= 0 && bind(probe, (void *)&in.address, in.address_len) == 0;
  if (probe >= 0) close(probe);
  if (!have) skip();
  assert_int_equal(yoi__bind(&in, 2, &b, NULL), YOI_OK);
  assert_memory_equal(b.address, "[::1]:", 6);
  yoi__bound_close(&b);
}

/* A second host of the same user must not join in and take half of the
 * connections: SO_REUSEPORT alone would let it. */
static void test_a_second_host_gets_address_in_use(void **state) {
  (void)state;
  for (uint32_t n = 1; n <= 2; n++)
    for (uint32_t m = 1; m <= 2; m++) {
      struct yoi__bound first = {0}, second = {0};
      struct yoi_sdk_error e;
      char listen[64], expect[128];
      struct yoi__config_ingress in = on("127.0.0.1:0", 0, 0);
      assert_int_equal(yoi__bind(&in, n, &first, NULL), YOI_OK);
      (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", port_of(&first));
      in = on(listen, port_of(&first), 0);
      assert_int_equal(yoi__bind(&in, m, &second, yoi_sdk_error_init(&e)), YOI_UNAVAILABLE);
      (void)snprintf(expect, sizeof expect, "cannot listen on '%s': address in use", listen);
      assert_string_equal(e.message, expect);
      assert_int_equal(second.n, 0);
      yoi__bound_close(&first);
      assert_int_equal(yoi__bind(&in, m, &second, NULL), YOI_OK); /* free again */
      yoi__bound_close(&second);
    }
}

/* Whoever has connected before the old one closes is accepted by the new one. */
static void test_another_goes_on_with_the_same_sockets(void **state) {
  (void)state;
  struct yoi__bound old = {0}, new = {0};
  struct yoi__config_ingress in = on("127.0.0.1:0", 0, 0);
  assert_int_equal(yoi__bind(&in, 1, &old, NULL), YOI_OK);
  assert_int_equal(yoi__bound_keep(&old, NULL), YOI_OK);
  int handed = old.fds[0];
  old.n = 0;
  assert_int_equal(yoi__bound_take(&old, &new, NULL), YOI_OK);
  assert_string_equal(new.address, old.address);
  struct sockaddr_in *a = (void *)&in.address;
  a->sin_port = htons(port_of(&old));
  int client = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(client, (void *)a, sizeof *a), 0);
  yoi__bound_forget(&old);
  close(handed);
  int accepted = accept(new.fds[0], NULL, NULL);
  assert_true(accepted >= 0);
  close(accepted);
  close(client);
  yoi__bound_inherit(&new, &old);
  yoi__bound_close(&old);
  yoi__bound_close(&new);
  client = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(client, (void *)a, sizeof *a), -1);
  close(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_socket_per_loop_on_one_port),
      cmocka_unit_test(test_ipv6_is_written_in_brackets),
      cmocka_unit_test(test_a_second_host_gets_address_in_use),
      cmocka_unit_test(test_another_goes_on_with_the_same_sockets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
