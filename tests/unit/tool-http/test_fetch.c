/* test_fetch.c - http_fetch through its table, against a server of its own.
 *
 * Names are looked up here: `getaddrinfo` is the test's, and what a name leads
 * to may be another address each time it is asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>
#include <yoi/plugin.h>

#include "tests/unit/support/server.h"
#include "tests/unit/support/tool_host.h"

/* ---- names ------------------------------------------------------------------ */

static pthread_mutex_t names_mu = PTHREAD_MUTEX_INITIALIZER; /* looked up on threads */
static struct {
  const char *addresses[8]; /* one after the other; the last one stays */
  unsigned asked;
} names;

/* What "name.test" is, and how often it was looked up. */
static void name_is(const char *first, const char *then) {
  pthread_mutex_lock(&names_mu);
  memset(&names, 0, sizeof names);
  names.addresses[0] = first;
  names.addresses[1] = then;
  pthread_mutex_unlock(&names_mu);
}

static unsigned name_asked(void) {
  pthread_mutex_lock(&names_mu);
  unsigned n = names.asked;
  pthread_mutex_unlock(&names_mu);
  return n;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out) {
  typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  union {
    void *object;
    lookup *function;
  } real = {.object = dlsym(RTLD_NEXT, "getaddrinfo")};
  size_t n = node ? strlen(node) : 0;
  if (n >= 5 && strcmp(node + n - 5, ".test") == 0) {
    pthread_mutex_lock(&names_mu);
    unsigned i = names.asked++;
    while (i > 0 && (i >= 8 || !names.addresses[i])) i--;
    node = names.addresses[i];
    pthread_mutex_unlock(&names_mu);
    if (!node) return EAI_NONAME;
  }
  return real.function(node, service, hints, out);
}

/* ---- a test's things ----------------------------------------------------------- */

struct rig {
  struct server *server;
  struct tool_host *th;
  struct tool_result r;
  char args[YOI_FETCH_URL_MAX + 1024];
};

static void rig_open(struct rig *g, const char *config) {
  char entries[128];
  memset(g, 0, sizeof *g);
  g->server = server_new();
  g->th = tool_host_new(yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_TOOL_ID)));
  snprintf(entries, sizeof entries, "127.0.0.1:%d", g->server->port);
  tool_host_net(g->th, "here", entries);
  tool_host_open(g->th, config);
}

static void rig_close(struct rig *g) {
  tool_result_release(&g->r);
  tool_host_free(g->th);
  server_free(g->server);
}

/* Fetches /path of the server with more arguments, ",\"method\":\"HEAD\"". */
static const char *fetch(struct rig *g, const char *path, const char *more) {
  tool_result_release(&g->r);
  snprintf(g->args, sizeof g->args, "{\"url\":\"http://127.0.0.1:%d%s\"%s}", g->server->port, path,
           more);
  tool_host_call(g->th, "http_fetch", g->args, "net:here", &g->r);
  return g->r.output;
}

static void fetch_url(struct rig *g, const char *url, const char *grants) {
  tool_result_release(&g->r);
  snprintf(g->args, sizeof g->args, "{\"url\":\"%s\"}", url);
  tool_host_call(g->th, "http_fetch", g->args, grants, &g->r);
}

static void gave(struct rig *g, const char *text) {
  if (g->r.status != YOI_END) fail_msg("%s: %s", g->args, g->r.error.message);
  if (!strstr(g->r.output, text)) fail_msg("%s: '%.600s' lacks '%s'", g->args, g->r.output, text);
}

static void failed(struct rig *g, yoi_status st, const char *why) {
  if (g->r.status == YOI_END) fail_msg("%s: gave '%.600s'", g->args, g->r.output);
  if (!strstr(g->r.error.message, why)) fail_msg("%s: %s", g->args, g->r.error.message);
  if (g->r.status != st) fail_msg("%s: %d, %s", g->args, g->r.status, g->r.error.message);
  assert_int_equal(g->r.output_len, 0);
}

#define OK_TEXT "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

/* ---- what it gives ------------------------------------------------------------- */

static void a_page_comes_with_status_type_and_place(void **state) {
  struct rig g;
  char want[256];
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/a",
              "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"x\"\r\n"
              "Content-Length: 42\r\n\r\n<title>T</title><p>b <a href='/c'>link</a>",
              SERVER_CLOSES);
  server_says(g.server, "/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
              SERVER_CLOSES);
  server_says(g.server, "/204", "HTTP/1.1 204 No Content\r\n\r\n", SERVER_CLOSES);
  server_says(g.server, "/early",
              "HTTP/1.1 103 Early Hints\r\nETag: no\r\nLocation: /a\r\n\r\n" OK_TEXT "\r\nlate",
              SERVER_CLOSES);
  fetch(&g, "/a", "");
  snprintf(want, sizeof want,
           "200 text/html; charset=utf-8 http://127.0.0.1:%d/a\netag: \"x\"\n\nT\n\n"
           "b [link](http://127.0.0.1:%d/c)",
           g.server->port, g.server->port);
  gave(&g, "T");
  assert_string_equal(g.r.output, want);
  assert_int_equal(g.r.n_output, 1);
  gave((fetch(&g, "/a", ",\"as\":\"raw\""), &g), "<a href='/c'>");
  fetch(&g, "/404", "");
  gave(&g, "404 no type http://");
  gave(&g, "\n\nnone");
  fetch(&g, "/204", "");
  gave(&g, "[there is no text in it]");
  fetch(&g, "/early", "");
  gave(&g, "/early\n\nlate");
  rig_close(&g);
}

static void a_request_says_what_it_may_and_no_more(void **state) {
  struct rig g;
  char head[8192];
  (void)state;
  assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
  assert_int_equal(setenv("all_proxy", "http://127.0.0.1:1", 1), 0);
  rig_open(&g, "{}");
  server_says(g.server, "/a?b=c", OK_TEXT "\r\nx", SERVER_CLOSES);
  fetch(&g, "/a?b=c#part", ",\"headers\":{\"If-None-Match\":\"\\\"x\\\"\",\"Accept\":\"a/b\"}");
  gave(&g, "\n\nx");
  server_last(g.server, head, sizeof head);
  assert_int_equal(strncmp(head, "GET /a?b=c HTTP/1.1\r\n", 21), 0);
  assert_non_null(strstr(head, "\r\nIf-None-Match: \"x\"\r\n"));
  assert_non_null(strstr(head, "\r\nAccept: a/b\r\n"));
  assert_non_null(strstr(head, "\r\nUser-Agent: yoi-http-fetch/1.0\r\n"));
  assert_non_null(strstr(head, "\r\nAccept-Encoding: gzip, deflate\r\n"));
  assert_null(strstr(head, "request-1"));
  fetch(&g, "/a?b=c", ",\"headers\":{\"Accept\":\"a\\r\\nHost: b\"}");
  failed(&g, YOI_INVALID_ARGUMENT, "'Accept'");
  rig_close(&g);
  unsetenv("http_proxy");
  unsetenv("all_proxy");
}

static void head_gives_fields_and_no_text(void **state) {
  struct rig g;
  char head[8192];
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/a",
              "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4321\r\n"
              "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n",
              SERVER_CLOSES);
  fetch(&g, "/a", ",\"method\":\"HEAD\"");
  gave(&g, "200 image/png");
  gave(&g, "content-length: 4321\n");
  gave(&g, "last-modified: Thu");
  server_last(g.server, head, sizeof head);
  assert_int_equal(strncmp(head, "HEAD /a ", 8), 0);
  fetch(&g, "/a", ""); /* the same handle, another method */
  failed(&g, YOI_INVALID_ARGUMENT, "image/png, 4321 bytes");
  server_last(g.server, head, sizeof head);
  assert_int_equal(strncmp(head, "GET /a ", 7), 0);
  rig_close(&g);
}

static void pages_of_a_text_fit_together(void **state) {
  static const char sign[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 ";
  struct rig g;
  char *answer = malloc(70000), joined[8192] = "";
  size_t n = (size_t)snprintf(answer, 70000, OK_TEXT "\r\n"), from = n, have = 0;
  unsigned long offset = 0;
  (void)state;
  rig_open(&g, "{}");
  for (int i = 0; i < 100; i++, n += sizeof sign - 1) memcpy(answer + n, sign, sizeof sign);
  server_says(g.server, "/a", answer, SERVER_CLOSES);
  for (int pages = 0; pages < 10; pages++) {
    char more[64];
    snprintf(more, sizeof more, ",\"offset\":%lu,\"limit\":256", offset);
    const char *text = strstr(fetch(&g, "/a", more), "\n\n") + 2;
    const char *note = strstr(text, "\n[bytes ");
    size_t part = note ? (size_t)(note - text) : strlen(text);
    assert_true(have + part < sizeof joined);
    memcpy(joined + have, text, part);
    have += part;
    if (!note) break;
    offset = strtoul(strstr(note, "\"offset\": ") + 10, NULL, 10);
  }
  assert_string_equal(joined, answer + from);
  fetch(&g, "/a", ",\"offset\":5000");
  gave(&g, "[the text has 1100 bytes: nothing is behind that offset]");
  fetch(&g, "/a", ",\"limit\":1100");
  assert_null(strstr(g.r.output, "[bytes"));
  fetch(&g, "/a", ",\"limit\":258049");
  failed(&g, YOI_OUT_OF_RANGE, "258048");
  free(answer);
  rig_close(&g);
}

/* ---- where it may go ------------------------------------------------------------- */

static void what_is_not_granted_is_not_asked(void **state) {
  struct rig g;
  char url[256];
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/", OK_TEXT "\r\nx", SERVER_CLOSES);
  name_is("127.0.0.1", NULL);
  fetch_url(&g, "http://127.0.0.1:1/", "net:here");
  failed(&g, YOI_PERMISSION_DENIED, "port 1 of '127.0.0.1' is not granted");
  assert_int_equal(g.r.error.e.code, YOI_CODE_GRANT_MISSING);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", g.server->port);
  fetch_url(&g, url, "");
  failed(&g, YOI_PERMISSION_DENIED, "not granted");
  snprintf(url, sizeof url, "http://name.test:%d/", g.server->port);
  fetch_url(&g, url, "net:here");
  failed(&g, YOI_PERMISSION_DENIED, "'name.test' is not granted");
  assert_null(strstr(g.r.error.message, "127.0.0.1"));
  static const char *const other[] = {"file:///etc/passwd", "gopher://127.0.0.1:%d/",
                                      "http://x@127.0.0.1:%d/", "https://127.0.0.1:%d:1/"};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(url, sizeof url, other[i], g.server->port);
#pragma GCC diagnostic pop
    fetch_url(&g, url, "net:here");
    failed(&g, YOI_INVALID_ARGUMENT, "the URL is refused");
  }
  assert_int_equal(server_connections(g.server), 0);
  assert_int_equal(name_asked(), 0);
  /* other forms of what is granted are what is granted */
  snprintf(url, sizeof url, "http://2130706433:%d/", g.server->port);
  fetch_url(&g, url, "net:here");
  gave(&g, "\n\nx");
  rig_close(&g);
}

static void a_name_may_not_lead_inside(void **state) {
  static const char *const inside[] = {"127.0.0.1", "10.0.0.1",  "192.168.1.1", "169.254.169.254",
                                       "::1",       "fe80::1",   "fd00::1",     "0.0.0.0",
                                       "172.16.0.1", "100.64.0.1", "::ffff:127.0.0.1"};
  struct rig g;
  char url[128], entries[64];
  (void)state;
  for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
    rig_open(&g, "{}");
    server_says(g.server, "/", OK_TEXT "\r\nx", SERVER_CLOSES);
    snprintf(entries, sizeof entries, "name.test:%d", g.server->port);
    snprintf(url, sizeof url, "http://name.test:%d/", g.server->port);
    tool_host_net(g.th, "name", entries);
    name_is(inside[i], NULL);
    fetch_url(&g, url, "net:name");
    failed(&g, YOI_PERMISSION_DENIED, "'name.test' leads to an address");
    assert_null(strstr(g.r.error.message, inside[i]));
    assert_int_equal(server_connections(g.server), 0);
    rig_close(&g);
  }
}

/* What a name was a moment ago, and a connection that was allowed then, are of
 * no use to the next call. */
static void each_connection_is_asked_about(void **state) {
  struct rig g;
  char url[128], entries[64];
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/", OK_TEXT "Content-Length: 1\r\n\r\nx", SERVER_KEEPS);
  snprintf(entries, sizeof entries, "name.test:%d", g.server->port);
  snprintf(url, sizeof url, "http://name.test:%d/", g.server->port);
  tool_host_net(g.th, "name", entries);
  name_is("127.0.0.1", NULL);
  fetch_url(&g, url, "net:name net:here"); /* the address is granted too */
  gave(&g, "\n\nx");
  assert_int_equal(server_connections(g.server), 1);
  fetch_url(&g, url, "net:name");
  failed(&g, YOI_PERMISSION_DENIED, "leads to an address");
  assert_int_equal(server_connections(g.server), 1);
  fetch_url(&g, url, "net:name net:here");
  gave(&g, "\n\nx");
  assert_int_equal(server_connections(g.server), 2);
  rig_close(&g);
}

/* A public address for who looks first, a private one for who connects. */
static void a_name_that_changes_gains_nothing(void **state) {
  struct rig g;
  char url[128], entries[64];
  struct addrinfo *first = NULL;
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/", OK_TEXT "\r\nx", SERVER_CLOSES);
  snprintf(entries, sizeof entries, "name.test:%d", g.server->port);
  snprintf(url, sizeof url, "http://name.test:%d/", g.server->port);
  tool_host_net(g.th, "name", entries);
  name_is("93.184.216.34", "127.0.0.1");
  assert_int_equal(getaddrinfo("name.test", NULL, NULL, &first), 0);
  freeaddrinfo(first);
  fetch_url(&g, url, "net:name");
  failed(&g, YOI_PERMISSION_DENIED, "leads to an address");
  assert_int_equal(server_connections(g.server), 0);
  rig_close(&g);
}

static void an_unknown_name_is_said_to_be_one(void **state) {
  struct rig g;
  (void)state;
  rig_open(&g, "{}");
  tool_host_net(g.th, "name", "none.test:80 127.0.0.1:9");
  name_is(NULL, NULL);
  fetch_url(&g, "http://none.test/", "net:name");
  failed(&g, YOI_NOT_FOUND, "the name 'none.test' is not known");
  rig_close(&g);
}

/* ---- redirects ---------------------------------------------------------------- */

#define MOVED(to) "HTTP/1.1 302 Found\r\nLocation: " to "\r\nContent-Length: 0\r\n\r\n"

static void redirects_are_followed_within_what_is_granted(void **state) {
  static const struct {
    const char *path, *answer, *why;
  } refused[] = {
      {"/host", MOVED("http://other.example/"), "port 80 of 'other.example' is not granted"},
      {"/port", MOVED("http://127.0.0.1:1/"), "port 1 of '127.0.0.1' is not granted"},
      {"/inside", MOVED("//169.254.169.254/latest/meta-data"), "is not granted"},
      {"/number", MOVED("http://0x7f.2:%PORT%/"), "of '127.0.0.2' is not granted"},
      {"/six", MOVED("http://[::1]:%PORT%/"), "of '::1' is not granted"},
  }, none[] = {
      {"/file", MOVED("file:///etc/passwd"), "only 'http://'"},
      {"/gopher", MOVED("gopher://127.0.0.1:%PORT%/"), "only 'http://'"},
      {"/user", MOVED("http://u:p@127.0.0.1:%PORT%/e"), "a user or a password"},
      {"/loop", MOVED("/loop"), "more than 5 redirects"},
  };
  struct rig g;
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/e", OK_TEXT "\r\nend", SERVER_CLOSES);
  server_says(g.server, "/1", MOVED("e"), SERVER_KEEPS);
  server_says(g.server, "/2", MOVED("http://127.1:%PORT%/1"), SERVER_CLOSES);
  server_says(g.server, "/3", MOVED("//127.0.0.1:%PORT%/2"), SERVER_CLOSES);
  server_says(g.server, "/4", MOVED("/3#part"), SERVER_CLOSES);
  server_says(g.server, "/5", "HTTP/1.1 301 x\r\nLocation: /4\r\n\r\n", SERVER_HANGS);
  server_says(g.server, "/6", MOVED("/5"), SERVER_CLOSES);
  server_says(g.server, "/nowhere", "HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n", SERVER_CLOSES);
  fetch(&g, "/5", "");
  gave(&g, "/e\n\nend");
  fetch(&g, "/6", "");
  failed(&g, YOI_UNAVAILABLE, "more than 5 redirects");
  fetch(&g, "/nowhere", "");
  gave(&g, "names no place");
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    server_says(g.server, refused[i].path, refused[i].answer, SERVER_CLOSES);
    fetch(&g, refused[i].path, "");
    failed(&g, YOI_PERMISSION_DENIED, refused[i].why);
  }
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    server_says(g.server, none[i].path, none[i].answer, SERVER_CLOSES);
    fetch(&g, none[i].path, "");
    failed(&g, YOI_UNAVAILABLE, none[i].why);
  }
  rig_close(&g);
}

static void conditions_do_not_go_to_another_host(void **state) {
  struct rig g, other;
  char head[8192], to[128], entries[128];
  (void)state;
  rig_open(&g, "{}");
  rig_open(&other, "{}");
  snprintf(to, sizeof to, "HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:%d/b\r\n\r\n",
           other.server->port);
  server_says(g.server, "/a", to, SERVER_CLOSES);
  server_says(g.server, "/c", MOVED("/d"), SERVER_CLOSES);
  server_says(g.server, "/d", OK_TEXT "\r\nx", SERVER_CLOSES);
  server_says(other.server, "/b", OK_TEXT "\r\nx", SERVER_CLOSES);
  snprintf(entries, sizeof entries, "127.0.0.1:%d 127.0.0.1:%d", g.server->port,
           other.server->port);
  tool_host_net(g.th, "here", entries);
#define BOTH ",\"headers\":{\"If-None-Match\":\"x\",\"Accept-Language\":\"de\"}"
  fetch(&g, "/a", BOTH);
  gave(&g, "\n\nx");
  server_last(other.server, head, sizeof head);
  assert_null(strstr(head, "If-None-Match"));
  assert_non_null(strstr(head, "Accept-Language: de"));
  fetch(&g, "/c", BOTH);
  server_last(g.server, head, sizeof head);
  assert_int_equal(strncmp(head, "GET /d ", 7), 0);
  assert_non_null(strstr(head, "If-None-Match"));
  rig_close(&other);
  rig_close(&g);
}

/* ---- servers that mean ill ------------------------------------------------------- */

static void an_endless_body_ends(void **state) {
  struct rig g;
  (void)state;
  rig_open(&g, "{\"body_bytes\":100000}");
  server_says(g.server, "/a", OK_TEXT "\r\nabcdefgh", SERVER_REPEATS);
  server_says(g.server, "/html", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<script>a</b>",
              SERVER_REPEATS);
  fetch(&g, "/a", "");
  gave(&g, "[bytes 0 to 15360; there is more");
  fetch(&g, "/a", ",\"offset\":99000");
  gave(&g, "[cut: only the first 100000 bytes of the answer are read]");
  fetch(&g, "/html", "");
  gave(&g, "[cut: only the first 100000 bytes");
  rig_close(&g);
}

static void a_flood_of_fields_ends(void **state) {
  struct rig g;
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/a", "HTTP/1.1 200 OK\r\n\r\n", SERVER_CLOSES);
  char *many = malloc(80000);
  size_t n = (size_t)snprintf(many, 64, "HTTP/1.1 200 OK\r\n");
  while (n < 40000) n += (size_t)snprintf(many + n, 64, "A: bcdefghijklmnopqrstuvwxyz\r\n");
  server_says(g.server, "/many", many, SERVER_HANGS);
  memset(many + 20, 'x', 79975);
  memcpy(many + 79995, "\r\n\r\n", 5);
  server_says(g.server, "/long", many, SERVER_HANGS);
  n = (size_t)snprintf(many, 64, "HTTP/1.1 302 x\r\nLocation: /");
  memset(many + n, 'x', YOI_FETCH_URL_MAX);
  memcpy(many + n + YOI_FETCH_URL_MAX, "\r\n\r\n", 5);
  server_says(g.server, "/place", many, SERVER_CLOSES);
  fetch(&g, "/many", "");
  failed(&g, YOI_UNAVAILABLE, "the header is too large");
  fetch(&g, "/long", "");
  failed(&g, YOI_UNAVAILABLE, "the header is too large");
  fetch(&g, "/place", "");
  failed(&g, YOI_UNAVAILABLE, "the URL is too long");
  free(many);
  rig_close(&g);
}

/* A fixed Huffman block of n times 258 'a' (RFC 1951, 3.2.6), in gzip. */
static size_t bomb(unsigned char *out, size_t n) {
  static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
  size_t bit = sizeof head * 8;
  memcpy(out, head, sizeof head);
#define BITS(value, count)                                                     \
  for (int b_ = (count)-1; b_ >= 0; b_--, bit++)                               \
  out[bit / 8] = (unsigned char)(out[bit / 8] | (((value) >> b_ & 1) << bit % 8))
  BITS(6, 3);    /* last block 1, fixed 01: least bit first, so 1, 1, 0 */
  BITS(0x91, 8); /* 'a' */
  for (size_t i = 0; i < n; i++) {
    BITS(0xc5, 8); /* 258 more */
    BITS(0, 5);    /* of one byte back */
  }
  BITS(0, 7); /* end */
#undef BITS
  return bit / 8 + 1;
}

static void a_small_answer_may_not_become_a_large_one(void **state) {
  struct rig g;
  unsigned char *answer = calloc(1, 400000);
  (void)state;
  assert_non_null(answer);
  rig_open(&g, "{}");
  int head = snprintf((char *)answer, 128, OK_TEXT "Content-Encoding: gzip\r\n\r\n");
  size_t n = (size_t)head + bomb(answer + head, 200000); /* 51 MB */
  server_says_bytes(g.server, "/bomb", answer, n, SERVER_CLOSES);
  memset(answer, 0, 400000);
  head = snprintf((char *)answer, 128, OK_TEXT "Content-Encoding: gzip\r\n\r\n");
  n = (size_t)head + bomb(answer + head, 3);
  server_says_bytes(g.server, "/small", answer, n, SERVER_CLOSES);
  server_says(g.server, "/twice", OK_TEXT "Content-Encoding: gzip, gzip\r\n\r\nx", SERVER_CLOSES);
  server_says(g.server, "/two",
              OK_TEXT "Content-Encoding: gzip\r\nContent-Encoding: deflate\r\n\r\nx",
              SERVER_CLOSES);
  server_says(g.server, "/layers",
              OK_TEXT "Transfer-Encoding: gzip, chunked\r\nContent-Encoding: gzip\r\n\r\n0\r\n\r\n",
              SERVER_CLOSES);
  server_says(g.server, "/none", OK_TEXT "Content-Encoding: gzip\r\n\r\nno gzip", SERVER_CLOSES);
  fetch(&g, "/small", "");
  gave(&g, "aaaaaaaa");
  fetch(&g, "/bomb", ",\"offset\":4194000");
  gave(&g, "[cut: only the first 4194304 bytes");
  const char *const bad[] = {"/twice", "/two", "/layers", "/none"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    fetch(&g, bad[i], "");
    failed(&g, YOI_UNAVAILABLE, "no HTTP");
  }
  free(answer);
  rig_close(&g);
}

static void slow_servers_are_given_up(void **state) {
  struct rig g;
  (void)state;
  rig_open(&g, "{\"first_byte_ms\":100,\"gap_ms\":100}");
  server_says(g.server, "/silent", "", SERVER_HANGS);
  server_says(g.server, "/half", "HTTP/1.1 200 OK\r\nA: ", SERVER_HANGS);
  server_says(g.server, "/head", OK_TEXT "\r\n", SERVER_HANGS);
  server_says(g.server, "/some", OK_TEXT "Content-Length: 9\r\n\r\nsome", SERVER_HANGS);
  const char *const none[] = {"/silent", "/half", "/head"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    fetch(&g, none[i], "");
    failed(&g, YOI_DEADLINE_EXCEEDED, "no answer came in time");
  }
  fetch(&g, "/some", "");
  gave(&g, "\n\nsome\n[cut: the server stopped in the middle of the answer]");
  rig_close(&g);
}

static void the_deadline_of_a_call_is_kept(void **state) {
  struct rig g;
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/a", "", SERVER_HANGS);
  snprintf(g.args, sizeof g.args, "{\"url\":\"http://127.0.0.1:%d/a\"}", g.server->port);
  struct tool_call *c =
      tool_call_start(g.th, "http_fetch", g.args, "net:here", 100, &g.r);
  assert_non_null(c);
  tool_call_finish(c, &g.r);
  failed(&g, YOI_DEADLINE_EXCEEDED, "the time of the call was over");
  rig_close(&g);
}

static void lengths_that_are_wrong(void **state) {
  struct rig g;
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/short", OK_TEXT "Content-Length: 9\r\n\r\nsome", SERVER_CLOSES);
  server_says(g.server, "/long", OK_TEXT "Content-Length: 2\r\n\r\nsome", SERVER_CLOSES);
  server_says(g.server, "/chunks", OK_TEXT "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
              SERVER_CLOSES);
  server_says(g.server, "/huge", OK_TEXT "Content-Length: 99999999999999999999\r\n\r\nsome",
              SERVER_CLOSES);
  server_says(g.server, "/minus", OK_TEXT "Content-Length: -1\r\n\r\nsome", SERVER_CLOSES);
  server_says(g.server, "/nothing", "", SERVER_CLOSES);
  server_says(g.server, "/other", "220 mail ready\r\n\r\n", SERVER_CLOSES);
  fetch(&g, "/short", "");
  gave(&g, "\n\nsome\n[cut: the connection ended before the answer did]");
  fetch(&g, "/long", "");
  gave(&g, "\n\nso");
  assert_null(strstr(g.r.output, "some"));
  fetch(&g, "/chunks", "");
  gave(&g, "\n\nsome\n[cut: the connection ended");
  fetch(&g, "/huge", "");
  assert_true(g.r.status == YOI_END || g.r.status == YOI_UNAVAILABLE);
  fetch(&g, "/minus", "");
  assert_true(g.r.status == YOI_END || g.r.status == YOI_UNAVAILABLE);
  fetch(&g, "/nothing", "");
  failed(&g, YOI_UNAVAILABLE, "the connection ended without an answer");
  fetch(&g, "/other", "");
  failed(&g, YOI_UNAVAILABLE, "");
  rig_close(&g);
}

/* ---- its end ------------------------------------------------------------------- */

static void *cancel_elsewhere(void *call) {
  tool_call_cancel(call);
  return NULL;
}

static void a_call_that_is_cancelled_leaves_nothing(void **state) {
  struct rig g;
  pthread_t thread;
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/a", OK_TEXT "\r\nsome", SERVER_HANGS);
  snprintf(g.args, sizeof g.args, "{\"url\":\"http://127.0.0.1:%d/a\"}", g.server->port);
  for (int i = 0; i < 4; i++) {
    unsigned before = server_connections(g.server);
    struct tool_call *c = tool_call_start(g.th, "http_fetch", g.args, "net:here", 0, &g.r);
    assert_non_null(c);
    for (int n = 0; n < 1000 && i > 0 && server_connections(g.server) == before; n++)
      (void)tool_host_step(g.th, 10);
    if (i == 3) { /* released in the middle */
      tool_call_drop(c);
      break;
    }
    if (i == 2) {
      assert_int_equal(pthread_create(&thread, NULL, cancel_elsewhere, c), 0);
      assert_int_equal(pthread_join(thread, NULL), 0);
    } else {
      tool_call_cancel(c);
    }
    tool_call_cancel(c);
    tool_call_finish(c, &g.r);
    assert_int_equal(g.r.status, YOI_CANCELLED);
    tool_result_release(&g.r);
  }
  rig_close(&g);
}

static void calls_run_side_by_side(void **state) {
  struct rig g;
  struct tool_call *calls[8];
  struct tool_result r;
  (void)state;
  rig_open(&g, "{}");
  server_says(g.server, "/hangs", OK_TEXT "\r\nsome", SERVER_HANGS);
  server_says(g.server, "/a", OK_TEXT "\r\nx", SERVER_CLOSES);
  snprintf(g.args, sizeof g.args, "{\"url\":\"http://127.0.0.1:%d/hangs\"}", g.server->port);
  for (int i = 0; i < 8; i++)
    calls[i] = tool_call_start(g.th, "http_fetch", g.args, "net:here", 0, &r);
  fetch(&g, "/a", "");
  gave(&g, "\n\nx");
  for (int i = 0; i < 8; i++) {
    assert_false(tool_call_ended(calls[i]));
    tool_call_cancel(calls[i]);
    tool_call_finish(calls[i], &r);
    tool_result_release(&r);
  }
  rig_close(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_page_comes_with_status_type_and_place),
      cmocka_unit_test(a_request_says_what_it_may_and_no_more),
      cmocka_unit_test(head_gives_fields_and_no_text),
      cmocka_unit_test(pages_of_a_text_fit_together),
      cmocka_unit_test(what_is_not_granted_is_not_asked),
      cmocka_unit_test(a_name_may_not_lead_inside),
      cmocka_unit_test(each_connection_is_asked_about),
      cmocka_unit_test(a_name_that_changes_gains_nothing),
      cmocka_unit_test(an_unknown_name_is_said_to_be_one),
      cmocka_unit_test(redirects_are_followed_within_what_is_granted),
      cmocka_unit_test(conditions_do_not_go_to_another_host),
      cmocka_unit_test(an_endless_body_ends),
      cmocka_unit_test(a_flood_of_fields_ends),
      cmocka_unit_test(a_small_answer_may_not_become_a_large_one),
      cmocka_unit_test(slow_servers_are_given_up),
      cmocka_unit_test(the_deadline_of_a_call_is_kept),
      cmocka_unit_test(lengths_that_are_wrong),
      cmocka_unit_test(a_call_that_is_cancelled_leaves_nothing),
      cmocka_unit_test(calls_run_side_by_side),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
