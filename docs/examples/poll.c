/* poll.c - a host inside an application's own loop, which serves something else
 * beside it: each line of standard input is asked of a worker, and the answers
 * are printed as they come. No thread, and nothing waits for one of the two
 * alone. Run it: build/examples/poll build (the folder that has runtimes/ and
 * plugins/). Of an installation it takes `yoi yoi-plugin`. docs/embed.md explains it. */
#include <errno.h>
#include <poll.h>
#include <sdk/jsonw.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yoi.h>

static const char config[] =
    "{ \"step\": true, \"plugin_path\": [\"runtimes\", \"plugins\"],\n"
    "  \"runtimes\": [{ \"id\": \"local\", \"plugin\": \"dev.yoi.embedded\" }],\n"
    "  \"models\": [{ \"name\": \"main\", \"plugin\": \"dev.yoi.model-script\",\n"
    "    \"config\": { \"steps\": [{ \"wait_ms\": 20 }, { \"say\": \"You said: \" },\n"
    "                            { \"echo\": true }] } }] }";

struct app {
  struct yoi_embed *host;
  char line[1024]; /* of standard input, as far as it was read */
  size_t len;
  int at_end, failed; /* of standard input; something */
  unsigned asked;     /* turns that have not ended */
};

/* The log of this host, with ours in front. */
static void on_log(void *ctx, uint32_t level, yoi_str line) {
  (void)ctx;
  fprintf(stderr, "poll[%u]: %.*s\n", (unsigned)level, YOI_ARG(line));
}

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct app *app = ctx;
  if (ev && ev->kind == YOI_EVENT_MESSAGE_COMPLETED) printf("%.*s\n", YOI_ARG(ev->text));
  if (ev) return;
  app->asked--;
  if (st == YOI_END) return;
  fprintf(stderr, "failed: %s\n", err->message);
  app->failed = 1;
}

/* A turn that runs is not waited for: the line queues behind it. */
static yoi_status ask(struct app *app, yoi_str line, yoi_error *err) {
  struct yoi_sdk_buf body;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&body, 2 * sizeof app->line * 6);
  yoi_sdk_jsonw_init(&w, &body);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "content", line);
  yoi_sdk_jsonw_kstr(&w, "on_busy", yoi_sdk_str("queue"));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_request input = {.size = sizeof input, .op = YOI_OP_WORKER_INPUT, .flags = YOI_REQ_FOLLOW,
                       .worker_id = yoi_sdk_str("ada"), .body = yoi_sdk_buf_str(&body)};
  yoi_status st = yoi_call(app->host, yoi_sdk_str("local"), &input, on_event, app, NULL, err);
  if (st == YOI_OK) app->asked++;
  yoi_sdk_buf_release(&body);
  return st;
}

/* What there is on standard input: whole lines are asked, the rest is kept. */
static yoi_status read_lines(struct app *app, yoi_error *err) {
  yoi_status st = YOI_OK;
  char *end;
  ssize_t n = read(STDIN_FILENO, app->line + app->len, sizeof app->line - app->len);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return YOI_OK;
  app->at_end = n <= 0;
  if (n > 0) app->len += (size_t)n;
  while (st == YOI_OK && (end = memchr(app->line, '\n', app->len)) != NULL) {
    size_t used = (size_t)(end - app->line) + 1;
    if (used > 1) st = ask(app, (yoi_str){app->line, used - 1}, err);
    app->len -= used;
    memmove(app->line, end + 1, app->len);
  }
  if (app->len == sizeof app->line) app->at_end = app->failed = 1; /* too long a line */
  return st;
}

static yoi_status run(struct app *app, yoi_error *err) {
  yoi_status st = YOI_OK;
  while (st == YOI_OK && (!app->at_end || app->asked > 0)) {
    struct pollfd fds[] = {{.fd = yoi_host_fd(app->host), .events = POLLIN},
                           {.fd = app->at_end ? -1 : STDIN_FILENO, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return YOI_INTERNAL;
    if (fds[1].revents != 0) st = read_lines(app, err);
    if (st == YOI_OK) st = yoi_host_step(app->host, 0, err); /* never waits */
  }
  return st;
}

int main(int argc, char **argv) {
  struct app app = {.host = NULL};
  char message[256] = "", *worker = NULL;
  yoi_error err = {.size = sizeof err, .message = message, .message_cap = sizeof message};
  yoi_host_options options = {.size = sizeof options, .base_dir = argc > 1 ? argv[1] : NULL,
                              .log = on_log};
  yoi_request create = {.size = sizeof create, .op = YOI_OP_WORKER_CREATE,
                        .body = yoi_sdk_str("{\"worker_id\": \"ada\"}")};
  setvbuf(stdout, NULL, _IOLBF, 0); /* also into a pipe each answer goes out at once */
  int ok = yoi_host_new_with(config, strlen(config), &options, &app.host, &err) == YOI_OK &&
           yoi_host_start(app.host, &err) == YOI_OK &&
           yoi_call_sync(app.host, yoi_sdk_str("local"), &create, &worker, NULL, &err) == YOI_OK &&
           run(&app, &err) == YOI_OK && !app.failed;
  if (message[0]) fprintf(stderr, "poll: %s\n", message);
  yoi_free(worker);
  yoi_host_free(app.host);
  return ok ? 0 : 1;
}
