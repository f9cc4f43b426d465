/* t_model.c - what a generation says, and in which order: events, their form, and
 * how a failure is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yoi/ops.h>

#include "rig.h"

#define CALL_MS CONFORM_CALL_MS(c)
#define MESSAGES 200

struct asking {
  yoi_str messages[MESSAGES];
  size_t n;
  yoi_str tools, parameters;
};

static void change(union rig_request *req, void *ctx) {
  const struct asking *a = ctx;
  if (a->n) req->model.messages = a->messages;
  if (a->n) req->model.n_messages = a->n;
  req->model.tools = a->tools;
  req->model.parameters = a->parameters;
}

/* A generation, to its end. */
static void generate(struct conform *c, struct rig_instance *i, struct asking *a, struct call *k) {
  *i = rig_open(c);
  if (call_start(c, i, k, change, a) && !call_finish(c, k, CALL_MS))
    conform_skip(c, "see stream.again-wakes: it does not end");
}

static void close_all(struct conform *c, struct rig_instance *i, struct call *k) {
  call_release(k);
  rig_close(c, i);
}

static void finish(struct conform *c) {
  struct asking a = {.n = 0};
  struct rig_instance i;
  struct call k;
  size_t n = 0;
  generate(c, &i, &a, &k);
  if (k.status != YOI_END) conform_skip(c, "the generation fails: %s", k.error.message);
  for (size_t e = 0; e < k.n; e++) n += k.events[e].kind == YOI_EVENT_MODEL_FINISH;
  if (n != 1) conform_fail(c, "exactly one MODEL_FINISH", "%zu", n);
  static const char *const reasons[] = {"\"stop\"", "\"length\"", "\"content_filter\"",
                                        "\"tool_calls\""};
  yoi_str reason = yoi_sdk_json_raw_get(
      yoi_sdk_str(call_event(&k, YOI_EVENT_MODEL_FINISH)->text), "finish_reason");
  for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++)
    if (yoi_sdk_str_is(reason, reasons[r])) reason = (yoi_str){NULL, 0};
  if (reason.ptr) conform_fail(c, "a finish_reason of model.h", "%.*s", YOI_ARG(reason));
  close_all(c, &i, &k);
}

static void kinds(struct conform *c) {
  struct asking a = {.n = 0};
  struct rig_instance i;
  struct call k;
  generate(c, &i, &a, &k);
  for (size_t e = 0; e < k.n; e++)
    if (k.events[e].kind < YOI_EVENT_MODEL_TEXT || k.events[e].kind > YOI_EVENT_MODEL_FINISH)
      conform_fail(c, "events of the class MODEL", "kind %u", k.events[e].kind);
  close_all(c, &i, &k);
}

static void text(struct conform *c) {
  struct asking a = {.n = 0};
  struct rig_instance i;
  struct call k;
  generate(c, &i, &a, &k);
  for (size_t e = 0; e < k.n; e++)
    if ((k.events[e].kind == YOI_EVENT_MODEL_TEXT ||
         k.events[e].kind == YOI_EVENT_MODEL_REASONING) &&
        !yoi_sdk_utf8_valid((yoi_str){k.events[e].text, k.events[e].len}))
      conform_fail(c, "whole characters of UTF-8 in each event", "event %zu is none", e);
  close_all(c, &i, &k);
}

static void usage(struct conform *c) {
  static const char *const members[] = {"input_tokens", "output_tokens", "cached_tokens",
                                        "reasoning_tokens"};
  struct asking a = {.n = 0};
  struct rig_instance i;
  struct call k;
  size_t n = 0;
  int64_t count;
  generate(c, &i, &a, &k);
  for (size_t e = 0; e < k.n; e++) n += k.events[e].kind == YOI_EVENT_MODEL_USAGE;
  if (n > 1) conform_fail(c, "at most one MODEL_USAGE", "%zu", n);
  for (size_t m = 0; n && m < sizeof members / sizeof *members; m++) {
    yoi_str v = yoi_sdk_json_raw_get(
        yoi_sdk_str(call_event(&k, YOI_EVENT_MODEL_USAGE)->text), members[m]);
    if (!yoi_sdk_str_is(v, "null") && !yoi_sdk_json_raw_int(v, &count))
      conform_fail(c, "an integer or null", "%s is %.*s", members[m], YOI_ARG(v));
  }
  close_all(c, &i, &k);
}

static void tool_call(struct conform *c) {
  struct asking a = {.tools = YOI_LIT("[{\"name\":\"conform_tool\",\"description\":\"A number.\","
                                      "\"parameters\":{\"type\":\"object\"}}]")};
  struct rig_instance i;
  struct call k;
  size_t n = 0;
  generate(c, &i, &a, &k);
  for (size_t e = 0; e < k.n; e++) {
    if (k.events[e].kind != YOI_EVENT_MODEL_TOOL_CALL) continue;
    yoi_str all = {k.events[e].text, k.events[e].len};
    struct yoi_sdk_buf inside;
    n++;
    yoi_sdk_buf_init(&inside, 1u << 20);
    if (yoi_sdk_json_check(all, 0, NULL) != YOI_OK)
      conform_fail(c, "one JSON object", "%.200s", k.events[e].text);
    if (!yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(all, "arguments"), &inside) ||
        yoi_sdk_json_check(yoi_sdk_buf_str(&inside), 0, NULL) != YOI_OK)
      conform_fail(c, "arguments: JSON text in a string", "%.200s", k.events[e].text);
    if (yoi_sdk_json_raw_get(all, "id").len < 3 || yoi_sdk_json_raw_get(all, "name").len < 3)
      conform_fail(c, "an id and a name", "%.200s", k.events[e].text);
    yoi_sdk_buf_release(&inside);
  }
  if (!n) conform_skip(c, "it asked for no tool");
  close_all(c, &i, &k);
}

static void many_messages(struct conform *c) {
  static struct asking a;
  struct rig_instance i;
  struct call k;
  a.messages[a.n++] = YOI_LIT("{\"role\":\"system\",\"content\":\"Be brief.\"}");
  while (a.n + 4 <= MESSAGES - 1) {
    a.messages[a.n++] = YOI_LIT("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"1 "
                                "\\u00e9\\ud83d\\ude00\"}]}");
    a.messages[a.n++] =
        YOI_LIT("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\","
                "\"type\":\"function\",\"function\":{\"name\":\"t\",\"arguments\":\"{}\"}}]}");
    a.messages[a.n++] = YOI_LIT("{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"2\"}");
    a.messages[a.n++] = YOI_LIT("{\"role\":\"assistant\",\"content\":\"3\"}");
  }
  a.messages[a.n++] = YOI_LIT("{\"role\":\"user\",\"content\":\"And now?\"}");
  generate(c, &i, &a, &k);
  if (k.status != YOI_END && k.error.e.code != YOI_CODE_MODEL_ERROR)
    conform_fail(c, "a generation, or a model_error", "status %d: %s", k.status, k.error.message);
  close_all(c, &i, &k);
}

static int is_known(yoi_str kind) {
#define KIND(name, retryable) \
  if (yoi_sdk_str_is(kind, "\"" name "\"")) return 1;
  YOI_MODEL_ERRORS(KIND)
  return 0;
}

static void look_at_error(struct conform *c, const struct call *k) {
  if (k->status == YOI_END || k->status == YOI_CANCELLED) return;
  if (k->error.e.code != YOI_CODE_MODEL_ERROR)
    conform_fail(c, "the code model_error", "status %d, code %d: %s", k->status, k->error.e.code,
                 k->error.message);
  yoi_str details = yoi_sdk_str(k->error.details);
  yoi_str kind = yoi_sdk_json_raw_get(details, "kind");
  yoi_str retryable = yoi_sdk_json_raw_get(details, "retryable");
  if (!is_known(kind))
    conform_fail(c, "details with a kind of YOI_MODEL_ERRORS", "%.200s", k->error.details);
  if (!yoi_sdk_str_is(retryable, "true") && !yoi_sdk_str_is(retryable, "false"))
    conform_fail(c, "retryable: true or false", "%.200s", k->error.details);
}

/* The usual generation, if it fails, and one with parameters that may be refused. */
static void error(struct conform *c) {
  struct asking a = {.n = 0}, odd = {.parameters = YOI_LIT("{\"temperature\":-1000}")};
  struct rig_instance i, other;
  struct call k;
  generate(c, &i, &a, &k);
  look_at_error(c, &k);
  close_all(c, &i, &k);
  generate(c, &other, &odd, &k);
  look_at_error(c, &k);
  close_all(c, &other, &k);
}

#define MODEL(name, fn, says, promise) \
  {"model." name, ON_MODEL, 0, fn, says, "yoi/model.h", promise}

extern const struct conform_test conform_model[];
const struct conform_test conform_model[] = {
    MODEL("kinds", kinds, "A generation says what models say.", "One stream is one generation:"),
    MODEL("text", text, "Texts are not cut inside of a character.",
          "(raw UTF-8, never cut inside a character)"),
    MODEL("finish", finish, "A generation says once how it finished.",
          "exactly one MODEL_FINISH"),
    MODEL("usage", usage, "It says at most once what was used, as numbers.",
          "at most one MODEL_USAGE"),
    MODEL("tool-call", tool_call, "A call of a tool is whole.",
          "MODEL_TOOL_CALL (whole: {\"id\",\"name\",\"arguments\"}, arguments as JSON text in a "
          "string)"),
    MODEL("many-messages", many_messages, "A long conversation with tools is taken.",
          "chat-completions message objects, JSON"),
    MODEL("error", error, "A failure says of which kind it is.",
          "A failure is an error with YOI_CODE_MODEL_ERROR and, in `details`,"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
