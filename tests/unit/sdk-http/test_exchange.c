/* test_exchange.c - one request of the HTTP client, against a server of its own:
 * what codings it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/plugin.h>
#include <yoi/tool.h>

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
  int heads, done;
  uint32_t end;
};

static int on_head(void *ctx, const struct yoi_sdk_http_head *head) {
  struct fetch *f = ctx;
  (void)head;
  f->heads++;
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
  *f = (struct fetch){0};
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_coding_that_nobody_asked_for_is_no_answer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
