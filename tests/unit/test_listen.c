/* test_listen.c - what `listen` may say; ports are test_config.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include <sdk/str.h>

#include "host/listen.h"

static struct sockaddr_storage at;
static socklen_t len;

static const char *path_of(const char *text, const char *base) {
  const char *why = yoi__listen_parse(yoi_sdk_str(text), base, &at, &len);
  if (why) fail_msg("%s", why);
  assert_int_equal(at.ss_family, AF_UNIX);
  assert_int_equal(len, sizeof(struct sockaddr_un));
  assert_int_equal(yoi__listen_loopback(&at), 1);
  return ((struct sockaddr_un *)&at)->sun_path;
}

static void paths_are_relative_to_the_config(void **state) {
  (void)state;
  assert_string_equal(path_of("unix:run/yoi.sock", "/etc/yoi"), "/etc/yoi/run/yoi.sock");
  assert_string_equal(path_of("unix:/run/yoi.sock", "/etc/yoi"), "/run/yoi.sock");
  assert_string_equal(path_of("unix:@x", "/etc"), "/etc/@x"); /* a name like any other */
}

static void the_kernel_takes_107_bytes(void **state) {
  char text[256], base[128];
  (void)state;
  for (size_t n = 100; n < 115; n++) {
    snprintf(text, sizeof text, "unix:/%0*d", (int)n - 1, 0);
    const char *why = yoi__listen_parse(yoi_sdk_str(text), "/", &at, &len);
    if (n <= 107) assert_null(why);
    else assert_memory_equal(why, "the path of a Unix socket has at most 107 bytes", 47);
  }
  memset(base, 'b', sizeof base);
  base[0] = '/';
  base[105] = '\0';
  assert_null(yoi__listen_parse(YOI_LIT("unix:x"), base, &at, &len));
  assert_non_null(yoi__listen_parse(YOI_LIT("unix:xy"), base, &at, &len));
}

static void what_names_no_socket_is_refused(void **state) {
  const yoi_str bad[] = {YOI_LIT("unix:"), YOI_LIT("unix:a/"), YOI_LIT("unix:/"),
                         YOI_LIT("unix:a\0b")};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_non_null(yoi__listen_parse(bad[i], "/etc", &at, &len));
}

static void one_path_is_one_listener(void **state) {
  struct sockaddr_storage a, b, c;
  (void)state;
  assert_null(yoi__listen_parse(YOI_LIT("unix:/etc/x"), "/", &a, &len));
  assert_null(yoi__listen_parse(YOI_LIT("unix:x"), "/etc", &b, &len));
  assert_null(yoi__listen_parse(YOI_LIT("127.0.0.1:1"), "/etc", &c, &len));
  assert_int_equal(yoi__listen_same(&a, &b), 1);
  assert_int_equal(yoi__listen_same(&a, &c), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths_are_relative_to_the_config),
      cmocka_unit_test(the_kernel_takes_107_bytes),
      cmocka_unit_test(what_names_no_socket_is_refused),
      cmocka_unit_test(one_path_is_one_listener),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
