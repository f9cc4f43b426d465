/* minimal.c - the smallest application with a host in it: one worker, one
 * question, the answer as it comes. Run it: build/examples/minimal build
 * (the folder that has runtimes/ and plugins/). docs/embed.md explains it. */
#include <stdio.h>
#include <string.h>
#include <yoi.h>

static const char config[] =
    "{ \"step\": true, \"plugin_path\": [\"runtimes\", \"plugins\"],\n"
    "  \"runtimes\": [{ \"id\": \"local\", \"plugin\": \"dev.yoi.embedded\" }],\n"
    "  \"models\": [{ \"name\": \"main\", \"plugin\": \"dev.yoi.model-script\",\n"
    "    \"config\": { \"steps\": [{ \"say\": \"You said: \" }, { \"echo\": true }] } }] }";

static yoi_str str(const char *s) {
  return (yoi_str){s, strlen(s)};
}

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  if (ev && ev->kind == YOI_EVENT_MESSAGE_COMPLETED) {
    printf("%.*s\n", (int)ev->text.len, ev->text.ptr);
  }
  if (!ev && st != YOI_END) fprintf(stderr, "failed: %s\n", err->message);
  if (!ev) *(int *)ctx = st == YOI_END ? 1 : 2;
}

int main(int argc, char **argv) {
  char message[256] = "";
  yoi_error err = {.size = sizeof err, .message = message, .message_cap = sizeof message};
  yoi_request create = {.size = sizeof create, .op = YOI_OP_WORKER_CREATE,
                        .body = str("{\"worker_id\": \"ada\"}")};
  yoi_request input = {.size = sizeof input, .op = YOI_OP_WORKER_INPUT, .flags = YOI_REQ_FOLLOW,
                       .worker_id = str("ada"), .body = str("{\"content\": \"hello\"}")};
  struct yoi_embed *host = NULL;
  char *worker = NULL;
  int done = 0;

  if (yoi_host_new(config, strlen(config), argc > 1 ? argv[1] : NULL, &host, &err) == YOI_OK &&
      yoi_host_start(host, &err) == YOI_OK &&
      yoi_call_sync(host, str("local"), &create, &worker, NULL, &err) == YOI_OK &&
      yoi_call(host, str("local"), &input, on_event, &done, NULL, &err) == YOI_OK) {
    while (!done && yoi_host_step(host, -1, &err) == YOI_OK) continue;
  }
  if (message[0]) fprintf(stderr, "minimal: %s\n", message);
  yoi_free(worker);
  yoi_host_free(host);
  return done == 1 ? 0 : 1;
}
