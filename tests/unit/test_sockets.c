/* test_sockets.c - sockets that the application has bound: which are taken, what
 * the host keeps of them, and what a config may say of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/bind.h"
#include "host/config.h"
#include "host/listen.h"
#include "host/sockets.h"
#include "support/files.h"

static int bound(const void *address, socklen_t len, int type) {
  int fd = socket(((const struct sockaddr *)address)->sa_family, type | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, address, len), 0);
  return fd;
}

static int listening(const void *address, socklen_t len) {
  int fd = bound(address, len, SOCK_STREAM);
  assert_int_equal(listen(fd, 8), 0);
  return fd;
}

static int on_v4(const char *text) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  assert_int_equal(inet_pton(AF_INET, text, &a.sin_addr), 1);
  return listening(&a, sizeof a);
}

/* With as few bytes of the name as it has: an abstract one has no end. */
static int on_unix(const char *path, size_t n) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  memcpy(a.sun_path, path, n);
  return listening(&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

/* An abstract one, which is the whole machine's: with a number that is ours. */
static const char *of_abstract(const char *what) {
  static char name[64];
  (void)snprintf(name, sizeof name, "@yoi-test-%s-%d", what, (int)getpid());
  return name;
}

static int on_abstract(const char *what) {
  char name[64];
  int n = snprintf(name, sizeof name, "%s", of_abstract(what));
  name[0] = '\0';
  return on_unix(name, (size_t)n);
}

static yoi_socket named(const char *name, int fd) {
  return (yoi_socket){.name = yoi_sdk_str(name), .fd = fd};
}

static struct yoi__sockets *taken(const yoi_socket *list, size_t n) {
  struct yoi__sockets *s = NULL;
  struct yoi_sdk_error e;
  if (yoi__sockets_take(list, n, &s, yoi_sdk_error_init(&e)) != YOI_OK) fail_msg("%s", e.message);
  return s;
}

static void refused(const yoi_socket *list, size_t n, const char *message) {
  struct yoi__sockets *s = (struct yoi__sockets *)(uintptr_t)8;
  struct yoi_sdk_error e;
  assert_int_equal(yoi__sockets_take(list, n, &s, yoi_sdk_error_init(&e)), YOI_INVALID_ARGUMENT);
  assert_string_equal(e.message, message);
}

/* ---- taking ------------------------------------------------------------------ */

static void a_copy_is_kept_and_closed_on_exec(void **state) {
  (void)state;
  int fd = on_v4("127.0.0.1");
  yoi_socket list[] = {named("web", fd)};
  struct yoi__sockets *s = taken(list, 1);
  const struct yoi__socket *web = yoi__sockets_find(s, YOI_LIT("web"));
  assert_ptr_equal(web, &s->all[0]);
  assert_null(yoi__sockets_find(s, YOI_LIT("we")));
  assert_null(yoi__sockets_find(s, YOI_LIT("webs")));
  assert_int_not_equal(web->fd, fd);
  assert_true(fcntl(web->fd, F_GETFD) & FD_CLOEXEC);
  close(fd); /* the application's own is its own */
  int client = socket(AF_INET, SOCK_STREAM, 0), copy = web->fd;
  assert_int_equal(connect(client, (const void *)&web->address, web->address_len), 0);
  close(client);
  yoi__sockets_free(s);
  assert_int_equal(fcntl(copy, F_GETFD), -1);
  assert_int_equal(errno, EBADF);
  yoi__sockets_free(NULL);
}

static void what_does_not_listen_is_refused(void **state) {
  (void)state;
  struct sockaddr_in any = {.sin_family = AF_INET};
  struct sockaddr_un packet = {.sun_family = AF_UNIX, .sun_path = "packet"};
  static const char stream[] = "socket 'x': expected a stream socket that listens";
  int pair[2], fds[5];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  fds[0] = bound(&any, sizeof any, SOCK_DGRAM);
  fds[1] = bound(&any, sizeof any, SOCK_STREAM); /* not yet */
  fds[2] = pair[0];
  fds[3] = open("/dev/null", O_RDONLY);
  fds[4] = bound(&packet, sizeof packet, SOCK_SEQPACKET);
  assert_int_equal(listen(fds[4], 1), 0);
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    yoi_socket list[] = {named("x", fds[i])};
    int next = dup(0);
    close(next);
    refused(list, 1, stream);
    assert_int_equal(dup(0), next); /* nothing is left open */
    close(next);
    close(fds[i]);
    refused(list, 1, "socket 'x': expected an open descriptor");
  }
  close(pair[1]);
  yoi_socket none[] = {named("x", -1)};
  refused(none, 1, "socket 'x': expected an open descriptor");
}

static void names_are_names_and_apart(void **state) {
  (void)state;
  int fd = on_v4("127.0.0.1");
  char longest[YOI_NAME_MAX + 2];
  memset(longest, 'n', sizeof longest);
  longest[YOI_NAME_MAX] = '\0';
  yoi_socket list[] = {named(longest, fd), named("b", fd)};
  yoi__sockets_free(taken(list, 2));
  list[1] = list[0];
  char message[200];
  snprintf(message, sizeof message, "socket '%s': expected a name of its own", longest);
  refused(list, 2, message);
  longest[YOI_NAME_MAX] = 'n';
  static const char *const bad[] = {"", "a b", "a:b", "a/b", "\xc3\xa4"};
  for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
    yoi_socket one[] = {named("", fd)};
    one[0].name = i == 0 ? (yoi_str){longest, YOI_NAME_MAX + 1} : yoi_sdk_str(bad[i - 1]);
    struct yoi__sockets *s = NULL;
    struct yoi_sdk_error e;
    assert_int_equal(yoi__sockets_take(one, 1, &s, yoi_sdk_error_init(&e)), YOI_INVALID_ARGUMENT);
    assert_non_null(strstr(e.message, ": expected a name of 1 to 64 of A-Z a-z 0-9 _ - ."));
  }
  list[0] = named("a", fd);
  list[0].reserved = 1;
  refused(list, 1, "socket 'a': expected 0 in its field 'reserved'");
  close(fd);
}

static void as_many_as_there_may_be_ingresses(void **state) {
  (void)state;
  int fd = on_v4("127.0.0.1");
  char names[YOI_INGRESS_MAX + 1][8];
  yoi_socket list[YOI_INGRESS_MAX + 1];
  for (int i = 0; i <= YOI_INGRESS_MAX; i++) {
    snprintf(names[i], sizeof names[i], "n%d", i);
    list[i] = named(names[i], fd);
  }
  struct yoi__sockets *s = taken(list, YOI_INGRESS_MAX);
  assert_int_equal(s->n, YOI_INGRESS_MAX);
  yoi__sockets_free(s);
  refused(list, YOI_INGRESS_MAX + 1, "options: expected at most 16 sockets");
  refused(NULL, 1, "options: expected at most 0 sockets");
  s = taken(NULL, 0);
  assert_int_equal(s->n, 0);
  yoi__sockets_free(s);
  close(fd);
}

/* ---- what a config says of them ------------------------------------------------ */

static char seen[4096]; /* process-wide: a test has one thread */

static void note(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                 const char *message) {
  size_t n = strlen(seen);
  (void)ctx, (void)line, (void)column;
  snprintf(seen + n, sizeof seen - n, "%s %s\n", pointer, message);
}

static int setup(void **state) {
  (void)state;
  files_directory("plug");
  files_plugin("ctor", "plug/ctor.so");
  files_plugin("shape", "plug/entry.so");
  files_patch("plug/entry.so", "\"id\": \"dev.yoi.test.shape\"", "\"id\": \"dev.yoi.test.entry\"");
  files_patch("plug/entry.so", "\"kind\": \"runtime\"", "\"kind\": \"ingress\"");
  files_patch("plug/entry.so", "[\"yoi.runtime/1\"]", "[\"yoi.ingress/1\"]");
  return 0;
}

#define ENTRY "{\"plugin\":\"dev.yoi.test.entry\",\"surface\":\"browser\",\"listen\":"
#define INSECURE                                                                           \
  "{\"plugin\":\"dev.yoi.test.entry\",\"surface\":\"runtime\",\"runtime\":\"r\","          \
  "\"insecure\":true,\"listen\":"

/* The findings of a config with these ingresses; "": it is given out, to *out. */
static const char *says(const char *entries, const struct yoi__sockets *sockets,
                        struct yoi__config **out) {
  char json[2048];
  struct yoi__config *c = NULL;
  snprintf(json, sizeof json,
           "{\"plugin_path\":[\"plug\"],\"runtimes\":[{\"id\":\"r\",\"plugin\":"
           "\"dev.yoi.test.ctor\"}],\"ingress\":[%s]}",
           entries);
  seen[0] = '\0';
  yoi_status st = yoi__config_load_own(yoi_sdk_str(json), NULL, (struct yoi__own){NULL, 0, sockets},
                                       note, NULL, &c, NULL);
  assert_int_equal(st, seen[0] == '\0' ? YOI_OK : YOI_INVALID_ARGUMENT);
  if (out != NULL) *out = c;
  else yoi__config_free(c);
  return seen;
}

static void a_config_names_them(void **state) {
  (void)state;
  int a = on_v4("127.0.0.1"), b = on_v4("127.0.0.1");
  const yoi_socket list[] = {named("web", a), named("v1", b)};
  struct yoi__sockets *s = taken(list, 2);
  struct yoi__config *c;
  assert_string_equal(says(ENTRY "\"socket:v1\"}," INSECURE "\"socket:web\"}", s, &c), "");
  assert_ptr_equal(c->ingress[0].socket, &s->all[1]);
  assert_ptr_equal(c->ingress[1].socket, &s->all[0]);
  assert_memory_equal(&c->ingress[0].address, &s->all[1].address, sizeof c->ingress[0].address);
  assert_int_equal(c->ingress[0].address_len, sizeof(struct sockaddr_in));
  yoi__config_free(c);
  assert_string_equal(says(ENTRY "\"socket:wep\"}", s, NULL),
                      "/ingress/0/listen no socket has the name 'wep'; given: 'web', 'v1'\n");
  assert_string_equal(says(ENTRY "\"socket:web\"}," ENTRY "\"socket:web\"}", s, NULL),
                      "/ingress/1/listen the socket is taken by /ingress/0\n");
  yoi__sockets_free(s);
  s = taken(NULL, 0);
  assert_string_equal(says(ENTRY "\"socket:web\"}", s, NULL),
                      "/ingress/0/listen no socket has the name 'web'; given: none\n");
  yoi__sockets_free(s);
  close(a);
  close(b);
}

static void where_they_are_not_known_a_name_is_checked_for_its_form(void **state) {
  (void)state;
  assert_string_equal(says(ENTRY "\"socket:web\"}," INSECURE "\"socket:v1\"}", NULL, NULL), "");
  assert_string_equal(says(ENTRY "\"socket:web\"}," ENTRY "\"socket:web\"}", NULL, NULL),
                      "/ingress/1/listen the socket is taken by /ingress/0\n");
  static const char *const bad[] = {"", "a b", "a:b", "a/b", "web:80"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char entry[200];
    snprintf(entry, sizeof entry, ENTRY "\"socket:%s\"}", bad[i]);
    assert_string_equal(says(entry, NULL, NULL), "/ingress/0/listen name of a socket: expected "
                                                 "1 to 64 of A-Z a-z 0-9 _ - .\n");
  }
}

/* What the config cannot show is asked of the kernel. */
static void rules_of_what_others_reach_hold_for_them(void **state) {
  (void)state;
  struct sockaddr_in6 any = {.sin6_family = AF_INET6};
  int probe = socket(AF_INET6, SOCK_STREAM, 0);
  int fds[5] = {on_v4("127.8.9.1"), on_unix("s.sock", 6), on_abstract("sockets"),
                on_v4("0.0.0.0"), -1};
  size_t n = 4;
  if (probe >= 0 && bind(probe, (void *)&any, sizeof any) == 0 && listen(probe, 1) == 0)
    fds[n++] = probe; /* both families, as a service manager binds it */
  for (size_t i = 0; i < n; i++) {
    const yoi_socket list[] = {named("s", fds[i])};
    struct yoi__sockets *s = taken(list, 1);
    assert_string_equal(says(ENTRY "\"socket:s\"}", s, NULL),
                        i < 3 ? ""
                              : "/ingress/0/listen a browser surface off loopback needs 'tokens' "
                                "in its 'config' to log in with\n");
    assert_string_equal(
        says(INSECURE "\"socket:s\"}", s, NULL),
        i < 3 ? "" : "/ingress/0/insecure a surface off loopback needs a 'token'\n");
    yoi__sockets_free(s);
    close(fds[i]);
  }
  if (n == 4 && probe >= 0) close(probe);
  unlink("s.sock");
}

static void an_address_is_one_listener_however_it_is_written(void **state) {
  (void)state;
  int tcp = on_v4("127.0.0.1"), file = on_unix("twice.sock", 10);
  int one = on_abstract("one"), two = on_abstract("two");
  const yoi_socket list[] = {named("a", tcp), named("b", tcp),  named("f", file),
                             named("g", one), named("h", two)};
  struct yoi__sockets *s = taken(list, 5);
  assert_string_equal(says(ENTRY "\"socket:a\"}," ENTRY "\"socket:b\"}", s, NULL),
                      "/ingress/1/listen the port is taken by /ingress/0\n");
  assert_string_equal(says(ENTRY "\"socket:g\"}," ENTRY "\"socket:h\"}", s, NULL), "");
  char entries[400];
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  assert_int_equal(getsockname(tcp, (void *)&at, &len), 0);
  snprintf(entries, sizeof entries, ENTRY "\"127.0.0.1:%u\"}," ENTRY "\"socket:a\"}",
           (unsigned)ntohs(at.sin_port));
  assert_string_equal(says(entries, s, NULL),
                      "/ingress/1/listen the port is taken by /ingress/0\n");
  yoi__sockets_free(s);
  close(tcp);
  close(file);
  close(one);
  close(two);
  unlink("twice.sock");
}

/* ---- listening there ------------------------------------------------------------ */

static void one_descriptor_for_all_loops(void **state) {
  (void)state;
  int fds[] = {on_v4("127.0.0.1"), on_unix("given.sock", 10), on_abstract("given")};
  char abstract[80];
  (void)snprintf(abstract, sizeof abstract, "unix:%s", of_abstract("given"));
  const char *const addresses[] = {"127.0.0.1:", "unix:given.sock", abstract};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    const yoi_socket list[] = {named("s", fds[i])};
    struct yoi__sockets *s = taken(list, 1);
    struct yoi__config *c;
    assert_string_equal(says(ENTRY "\"socket:s\"}", s, &c), "");
    for (int again = 0; again < 2; again++) { /* as a reload that takes it again */
      struct yoi__bound b = {0};
      assert_int_equal(yoi__bind(&c->ingress[0], 3, &b, NULL), YOI_OK);
      assert_int_equal(b.n, 1);
      assert_memory_equal(b.address, addresses[i], strlen(addresses[i]));
      assert_true(fcntl(b.fds[0], F_GETFL) & O_NONBLOCK);
      assert_true(fcntl(b.fds[0], F_GETFD) & FD_CLOEXEC);
      int client = socket(s->all[0].address.ss_family, SOCK_STREAM, 0);
      assert_int_equal(connect(client, (void *)&s->all[0].address, s->all[0].address_len), 0);
      int accepted = accept(b.fds[0], NULL, NULL);
      assert_true(accepted >= 0);
      close(accepted);
      close(client);
      yoi__bound_close(&b);
    }
    yoi__config_free(c);
    yoi__sockets_free(s);
    close(fds[i]);
  }
  assert_int_equal(unlink("given.sock"), 0); /* it is who bound it that removes it */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_copy_is_kept_and_closed_on_exec),
      cmocka_unit_test(what_does_not_listen_is_refused),
      cmocka_unit_test(names_are_names_and_apart),
      cmocka_unit_test(as_many_as_there_may_be_ingresses),
      cmocka_unit_test(a_config_names_them),
      cmocka_unit_test(where_they_are_not_known_a_name_is_checked_for_its_form),
      cmocka_unit_test(rules_of_what_others_reach_hold_for_them),
      cmocka_unit_test(an_address_is_one_listener_however_it_is_written),
      cmocka_unit_test(one_descriptor_for_all_loops),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
