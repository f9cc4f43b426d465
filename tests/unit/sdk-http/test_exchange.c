/* test_exchange.c - one request of the HTTP client, against a server of its own:
 * what codings it takes, and what is left of one that nobody waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yoi/plugin.h>
#include <yoi/tool.h>

#include "abi/sdk/http/internal.h"
#include "tests/unit/support/server.h"
#include "tests/unit/support/tool_host.h"

#define STEPS_MAX 1000 /* of 10 ms, for anything that is waited for */
#define OK_ "HTTP/1.1 200 OK\r\n"
#define CHUNKED_BODY "\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
#define NEVER_MS 600000

/* A plugin that is nothing but the client. */
static struct yoi_sdk_http *client; /* process-wide: a test has one */

static yoi_status client_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  (void)config;
  yoi_status st = yoi_sdk_http_open(host, &client, err);
  *out_self = client;
  return st;
}

static yoi_status client_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                               yoi_error *err) {
  (void)self, (void)req, (void)out;
  return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "it has no tools");
}

static void client_close(void *self) { yoi_sdk_http_close(self); }

static const yoi_tool table = {.size = sizeof table,
                               .thread_model = YOI_PARALLEL,
                               .open = client_open,
                               .close = client_close,
                               .start = client_start};

struct rig {
  struct server *server;
  struct tool_host *th;
};

static void rig_open(struct rig *g) {
  g->server = server_new();
  g->th = tool_host_new(&table);
  tool_host_open(g->th, "{}");
}

static void rig_close(struct rig *g) {
  tool_host_free(g->th);
  server_free(g->server);
}

/* ---- one request ---------------------------------------------------------------- */

struct fetch {
  struct yoi_sdk_http_exchange *x;
  char *url, *line; /* of its own: gone once nobody waits for it */
  const char *lines[1];
  size_t body;
  int pauses, heads, done;
  uint32_t end;
};

static int on_head(void *ctx, const struct yoi_sdk_http_head *head) {
  struct fetch *f = ctx;
  (void)head;
  f->heads++;
  if (f->pauses) yoi_sdk_http_pause(f->x);
  return 0;
}

static int on_body(void *ctx, yoi_str bytes) {
  struct fetch *f = ctx;
  f->body += bytes.len;
  return 0;
}

static void on_done(void *ctx, const struct yoi_sdk_http_result *result) {
  struct fetch *f = ctx;
  f->done = 1;
  f->end = result->end;
}

static const struct yoi_sdk_http_handler handler = {
    .head = on_head, .body = on_body, .done = on_done};

static void forget(struct fetch *f) {
  free(f->url);
  free(f->line);
  f->url = f->line = NULL;
}

static void begin(struct fetch *f, const char *scheme, int port, const char *path,
                  uint32_t flags) {
  struct yoi_sdk_error e;
  *f = (struct fetch){.pauses = f->pauses};
  f->url = malloc(128);
  f->line = malloc(64);
  assert_true(f->url != NULL && f->line != NULL);
  snprintf(f->url, 128, "%s://127.0.0.1:%d%s", scheme, port, path);
  snprintf(f->line, 64, "X-Mine: yes");
  f->lines[0] = f->line;
  struct yoi_sdk_http_request req = {.url = f->url,
                                     .headers = f->lines,
                                     .n_headers = 1,
                                     .flags = flags,
                                     .response_max = 65536};
  assert_int_equal(
      yoi_sdk_http_start(client, &req, &handler, f, &f->x, yoi_sdk_error_init(&e)), YOI_OK);
}

/* Lets the loop run until *flag is set. */
static void run_until(struct rig *g, const int *flag) {
  for (int n = 0; !*flag && n < STEPS_MAX; n++) tool_host_step(g->th, 10);
  assert_true(*flag);
}

static void get(struct rig *g, struct fetch *f, const char *path, uint32_t flags) {
  begin(f, "http", g->server->port, path, flags);
  run_until(g, &f->done);
  forget(f);
}

/* ---- codings ---------------------------------------------------------------------- */

static void a_coding_that_nobody_asked_for_is_no_answer(void **state) {
  static const struct {
    const char *answer;
    uint32_t plain, decoded; /* how it ends without and with YOI_SDK_HTTP_DECODE */
  } rows[] = {
      {OK_ "Transfer-Encoding: chunked" CHUNKED_BODY, YOI_SDK_HTTP_OK, YOI_SDK_HTTP_OK},
      {OK_ "transfer-encoding:\tCHUNKED , " CHUNKED_BODY, YOI_SDK_HTTP_OK, YOI_SDK_HTTP_OK},
      {OK_ "Transfer-Encoding: identity, chunked" CHUNKED_BODY, YOI_SDK_HTTP_OK, YOI_SDK_HTTP_OK},
      {OK_ "Transfer-Encoding: gzip\r\n\r\nno gzip", YOI_SDK_HTTP_MALFORMED,
       YOI_SDK_HTTP_MALFORMED},
      {OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", YOI_SDK_HTTP_MALFORMED,
       YOI_SDK_HTTP_OK},
      {OK_ "TRANSFER-ENCODING: gzip, gzip, gzip\r\n\r\n", YOI_SDK_HTTP_MALFORMED,
       YOI_SDK_HTTP_MALFORMED},
      {OK_ "Transfer-Encoding: deflate\r\nTransfer-Encoding: deflate\r\n\r\n",
       YOI_SDK_HTTP_MALFORMED, YOI_SDK_HTTP_MALFORMED},
      {OK_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: deflate\r\n\r\n0\r\n\r\n",
       YOI_SDK_HTTP_MALFORMED, YOI_SDK_HTTP_OK},
      {OK_ "T: gzip, gzip\r\nC: gzip, gzip\r\nContent-Length: 0\r\n\r\n", YOI_SDK_HTTP_OK,
       YOI_SDK_HTTP_OK},
      /* undone when asked for only: what is not undone costs nothing */
      {OK_ "Content-Encoding: gzip, gzip\r\nContent-Length: 4\r\n\r\nbody", YOI_SDK_HTTP_OK,
       YOI_SDK_HTTP_MALFORMED},
      /* libcurl takes them from each answer, also from those before the last */
      {"HTTP/1.1 103 Early\r\nTransfer-Encoding: gzip, gzip\r\n\r\n" OK_ "\r\n",
       YOI_SDK_HTTP_MALFORMED, YOI_SDK_HTTP_MALFORMED},
      {"HTTP/1.1 103 Early\r\nContent-Encoding: gzip\r\n\r\n" OK_
       "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody",
       YOI_SDK_HTTP_OK, YOI_SDK_HTTP_MALFORMED},
  };
  struct rig g;
  struct fetch f = {0};
  (void)state;
  rig_open(&g);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char path[16];
    snprintf(path, sizeof path, "/%zu", i);
    server_says(g.server, path, rows[i].answer, SERVER_CLOSES);
    for (int decode = 0; decode < 2; decode++) {
      uint32_t want = decode ? rows[i].decoded : rows[i].plain;
      get(&g, &f, path, decode ? YOI_SDK_HTTP_DECODE : 0);
      if (f.end != want)
        fail_msg("%s: %s, not %s (decode: %d)", rows[i].answer, yoi_sdk_http_end_name(f.end),
                 yoi_sdk_http_end_name(want), decode);
      if (want == YOI_SDK_HTTP_MALFORMED) assert_int_equal(f.body, 0);
    }
  }
  rig_close(&g);
}

/* ---- what nobody waits for -------------------------------------------------------- */

/* Its header and URL may go as soon as it was left. */
static void leave(struct fetch *f) {
  yoi_sdk_http_leave(f->x, NEVER_MS);
  memset(f->line, '#', strlen(f->line));
  forget(f);
}

static uint32_t active(void) { return client->loops[0]->n_active; }

/* A connection that is still being made: the request is not sent any more. */
static void one_that_is_left_before_it_is_sent_is_not_sent(void **state) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof at;
  struct rig g;
  struct fetch f = {0};
  char hello[4096];
  (void)state;
  rig_open(&g);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&at, n) | listen(listener, 1), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
  begin(&f, "https", ntohs(at.sin_port), "/", 0);
  struct pollfd came = {.fd = listener, .events = POLLIN};
  for (int k = 0; poll(&came, 1, 0) == 0 && k < STEPS_MAX; k++) tool_host_step(g.th, 10);
  int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  came.fd = peer;
  for (int k = 0; poll(&came, 1, 0) == 0 && k < STEPS_MAX; k++) tool_host_step(g.th, 10);
  assert_true(recv(peer, hello, sizeof hello, MSG_DONTWAIT) > 0); /* it shakes hands */
  leave(&f);
  assert_int_equal(active(), 0);
  assert_int_equal(poll(&came, 1, 10 * STEPS_MAX), 1);
  assert_int_equal(recv(peer, hello, sizeof hello, MSG_DONTWAIT), 0);
  assert_int_equal(f.done + f.heads, 0);
  close(peer);
  close(listener);
  rig_close(&g);
}

/* Its connection might be lost, and libcurl would send it over another. */
static void one_that_is_left_before_an_answer_is_not_sent_again(void **state) {
  struct rig g;
  struct fetch f = {0};
  char head[8192] = "";
  (void)state;
  rig_open(&g);
  server_says(g.server, "/none", "", SERVER_HANGS);
  server_says(g.server, "/early", "HTTP/1.1 103 Early\r\n\r\n", SERVER_HANGS);
  const char *const paths[] = {"/none", "/early"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    begin(&f, "http", g.server->port, paths[i], 0);
    for (int k = 0; !strstr(head, paths[i]) && k < STEPS_MAX; k++) {
      tool_host_step(g.th, 10);
      server_last(g.server, head, sizeof head);
    }
    assert_non_null(strstr(head, paths[i]));
    leave(&f);
    assert_int_equal(active(), 0);
  }
  assert_int_equal(server_connections(g.server), 2);
  rig_close(&g);
}

static void the_rest_of_an_answer_is_read_for_its_connection(void **state) {
  struct rig g;
  struct fetch f = {.pauses = 1};
  (void)state;
  rig_open(&g);
  server_says(g.server, "/a", OK_ "Content-Length: 4\r\n\r\nbody", SERVER_KEEPS);
  begin(&f, "http", g.server->port, "/a", 0);
  run_until(&g, &f.heads);
  leave(&f);
  for (int k = 0; active() > 0 && k < STEPS_MAX; k++) tool_host_step(g.th, 10);
  f.pauses = 0;
  get(&g, &f, "/a", 0);
  assert_int_equal(f.end, YOI_SDK_HTTP_OK);
  assert_int_equal(server_connections(g.server), 1);
  rig_close(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_coding_that_nobody_asked_for_is_no_answer),
      cmocka_unit_test(one_that_is_left_before_it_is_sent_is_not_sent),
      cmocka_unit_test(one_that_is_left_before_an_answer_is_not_sent_again),
      cmocka_unit_test(the_rest_of_an_answer_is_read_for_its_connection),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
