/* own_tool.c - a tool that is a table of the application's own: a worker turns the
 * heating of a house that is a struct in this program. No plugin file and no
 * config file. Run it: build/examples/own_tool build (the folder that has runtimes/
 * and plugins/). docs/embed.md explains it. */
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/stream.h>
#include <stdio.h>
#include <string.h>
#include <yoi.h>
#include <yoi/tool.h>

struct house {
  int64_t celsius;
};

/* ---- the tool: what a plugin file would hold, without the file ---------- */

static const char manifest[] =
    "{ \"manifest\": \"yoi.plugin/1\", \"id\": \"com.example.heating\", \"kind\": \"tool\",\n"
    "  \"version\": \"1.0.0\", \"abi\": 1, \"interfaces\": [\"yoi.tool/1\"],\n"
    "  \"threads\": \"parallel\", \"config\": { \"type\": \"object\" },\n"
    "  \"tools\": [{ \"name\": \"heat_set\", \"idempotent\": true,\n"
    "    \"description\": \"Sets the temperature of the house, in degrees Celsius.\",\n"
    "    \"parameters\": { \"type\": \"object\", \"required\": [\"celsius\"], \"properties\": {\n"
    "      \"celsius\": { \"type\": \"integer\", \"minimum\": 5, \"maximum\": 25 } } } }] }";

/* *out_self is the row's `user` already: the house. */
static yoi_status heat_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)host, (void)config, (void)out_self, (void)err;
  return YOI_OK;
}

static void heat_close(void *self) {
  (void)self;
}

/* The arguments fit `parameters`: the host has looked. The host is stepped by
 * the thread that has the house, so no lock is needed. */
static yoi_status heat_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                             yoi_error *err) {
  struct house *house = self;
  yoi_sdk_json *arguments = NULL;
  char said[64];
  yoi_status st = yoi_sdk_json_parse(req->arguments, 0, &arguments, NULL);
  if (st != YOI_OK) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the arguments are no JSON");
  (void)yoi_sdk_json_int(yoi_sdk_json_get(arguments, "celsius"), &house->celsius);
  yoi_sdk_json_free(arguments);
  snprintf(said, sizeof said, "set to %d degrees", (int)house->celsius);
  *out = yoi_sdk_stream_output(yoi_sdk_str(said));
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_tool heat = {.size = sizeof heat,
                              .thread_model = YOI_PARALLEL,
                              .open = heat_open,
                              .close = heat_close,
                              .start = heat_start};

/* ---- the worker that has it: a profile of a bundle ---------------------- */

static const char bundle[] =
    "{ \"schema\": \"yoi.bundle/1\", \"id\": \"house\", \"revision\": \"1\",\n"
    "  \"workspace_id\": \"home\", \"created_at\": \"2026-01-01T00:00:00Z\",\n"
    "  \"provenance\": { \"source\": \"application\" }, \"grants\": [\"model:main\"],\n"
    "  \"prompts\": [{ \"name\": \"warden\", \"media_type\": \"text/plain\",\n"
    "    \"text\": \"You look after a house.\" }],\n"
    "  \"models\": [{ \"name\": \"main\", \"ref\": \"model:main\" }],\n"
    "  \"tools\": [{ \"name\": \"heat_set\", \"plugin\": \"com.example.heating\",\n"
    "    \"policy\": \"allow\" }],\n"
    "  \"profiles\": [{ \"name\": \"warden\", \"prompt\": \"warden\", \"model\": \"main\",\n"
    "    \"tools\": [\"heat_set\"] }] }";

static yoi_status call(struct yoi_embed *host, const yoi_request *req, yoi_error *err) {
  char *answer = NULL;
  yoi_status st = yoi_call_sync(host, yoi_sdk_str("local"), req, &answer, NULL, err);
  yoi_free(answer);
  return st;
}

/* Gives the bundle to the runtime, and makes a worker of it. */
static yoi_status make_worker(struct yoi_embed *host, yoi_error *err) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char digest[YOI_SDK_DIGEST_SIZE], body[256];
  const yoi_str bytes = {bundle, sizeof bundle - 1};
  if (!yoi_sdk_sha256(bytes.ptr, bytes.len, sha)) return yoi_sdk_fail_memory(err);
  yoi_sdk_digest_text(sha, digest);
  snprintf(body, sizeof body,
           "{\"worker_id\": \"ada\", \"config_bundle\": {\"id\": \"house\", \"digest\": \"%s\"},"
           " \"profile\": {\"kind\": \"named\", \"value\": \"warden\"}}",
           digest);
  yoi_request put = {.size = sizeof put, .op = YOI_OP_BUNDLE_PUT, .subject = yoi_sdk_str(digest),
                     .body = bytes};
  yoi_request create = {.size = sizeof create, .op = YOI_OP_WORKER_CREATE,
                        .body = yoi_sdk_str(body)};
  yoi_status st = call(host, &put, err);
  return st == YOI_OK ? call(host, &create, err) : st;
}

/* ---- the application ----------------------------------------------------- */

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  if (ev && ev->kind == YOI_EVENT_TOOL_COMPLETED) printf("%.*s\n", YOI_ARG(ev->text));
  if (!ev && st != YOI_END) fprintf(stderr, "failed: %s\n", err->message);
  if (!ev) *(int *)ctx = st == YOI_END ? 1 : 2;
}

/* The tool changes something: without a policy a person would be asked before it
 * runs. The model is a script, so that this runs anywhere. */
static struct yoi_config *configured(void) {
  struct yoi_config *c = yoi_config_new();
  yoi_config_set(c, "step", "true");
  yoi_config_set(c, "plugin_path", "[\"runtimes\", \"plugins\"]");
  yoi_config_set(c, "policy",
                 "[{ \"plugin\": \"dev.yoi.policy-rules\", \"config\": { \"rules\": [\n"
                 "  { \"name\": \"ours\", \"decision\": \"allow\",\n"
                 "    \"principals\": [\"embed\"] },\n"
                 "  { \"name\": \"heating\", \"decision\": \"allow\",\n"
                 "    \"tools\": [\"heat_set\"] }] } }]");
  yoi_config_runtime(c, "local", "dev.yoi.embedded", NULL);
  yoi_config_model(c, "main", "dev.yoi.model-script",
                   "{ \"turns\": [[{ \"call\": { \"name\": \"heat_set\",\n"
                   "                           \"arguments\": { \"celsius\": 21 } } }]],\n"
                   "  \"steps\": [{ \"say\": \"It is getting warmer.\" }] }");
  return c;
}

int main(int argc, char **argv) {
  char message[256] = "", *config = NULL;
  size_t len = 0;
  yoi_error err = {.size = sizeof err, .message = message, .message_cap = sizeof message};
  struct house house = {.celsius = 12};
  yoi_linked_plugin own = {.size = sizeof own, .manifest = manifest, .table = &heat,
                           .user = &house};
  const yoi_linked_plugin *const plugins[] = {&own};
  yoi_host_options options = {.size = sizeof options, .plugins = plugins, .n_plugins = 1,
                              .base_dir = argc > 1 ? argv[1] : NULL};
  yoi_request input = {.size = sizeof input, .op = YOI_OP_WORKER_INPUT, .flags = YOI_REQ_FOLLOW,
                       .worker_id = yoi_sdk_str("ada"),
                       .body = yoi_sdk_str("{\"content\": \"I am cold\"}")};
  struct yoi_config *c = configured();
  struct yoi_embed *host = NULL;
  int done = 0;

  if (yoi_config_text(c, &config, &len, &err) == YOI_OK &&
      yoi_host_new_with(config, len, &options, &host, &err) == YOI_OK &&
      yoi_host_start(host, &err) == YOI_OK && make_worker(host, &err) == YOI_OK &&
      yoi_call(host, yoi_sdk_str("local"), &input, on_event, &done, NULL, &err) == YOI_OK) {
    while (!done && yoi_host_step(host, -1, &err) == YOI_OK) continue;
  }
  if (message[0]) fprintf(stderr, "own_tool: %s\n", message);
  printf("the house is at %d degrees\n", (int)house.celsius);
  yoi_host_free(host);
  yoi_config_free(c);
  yoi_free(config);
  return done == 1 && house.celsius == 21 ? 0 : 1;
}
