/* t_runtime.c - the operations that every runtime answers, be it without workers. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yoi/ops.h>

#include "rig.h"

#define UNKNOWN_OP 9999u

static struct call ask(struct conform *c, struct rig_instance *i, uint32_t op, uint32_t flags) {
  struct call k;
  call_op(c, i, op, "", "", "", flags, &k);
  return k;
}

static void describe(struct conform *c) {
  static const char *const members[] = {"display_name", "kind",       "version", "api_version",
                                        "instance_id",  "state_kind", "status",  "capabilities",
                                        "limits",       "counts",     "diagnostics"};
  struct rig_instance i = rig_open(c);
  struct call k = ask(c, &i, YOI_OP_RUNTIME_DESCRIBE, 0);
  const struct call_event *e = call_event(&k, YOI_EVENT_RESULT);
  if (k.status == YOI_UNAVAILABLE && !c->options->url)
    conform_skip(c, "it is unavailable: %s", k.error.message);
  if (!e) conform_fail(c, "a RESULT", "status %d: %s", k.status, k.error.message);
  yoi_str runtime = yoi_sdk_json_raw_get(yoi_sdk_str(e->text), "runtime"), name;
  for (size_t m = 0; m < sizeof members / sizeof *members; m++)
    if (!yoi_sdk_json_raw_get(runtime, members[m]).len)
      conform_fail(c, "{\"runtime\": {...}} with all of its members", "'%s' is missing",
                   members[m]);
  yoi_str list = yoi_sdk_json_raw_get(runtime, "capabilities");
  size_t pos = 0;
  while (yoi_sdk_json_raw_each(list, &pos, &name))
    if (name.len < 2 || !yoi_sdk_op_find((yoi_str){name.ptr + 1, name.len - 2}))
      conform_fail(c, "capabilities are operations of ops.h", "%.*s", YOI_ARG(name));
  rig_close(c, &i);
}

static void unary(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k = ask(c, &i, YOI_OP_WORKER_LIST, 0);
  if (k.status != YOI_END) conform_skip(c, "it does not list: %s", k.error.message);
  if (k.n != 1 || k.events[0].kind != YOI_EVENT_RESULT)
    conform_fail(c, "one RESULT, then END", "%zu events, the first of kind %u", k.n,
                 k.n ? k.events[0].kind : 0);
  if (strchr(k.events[0].text, '\n') ||
      yoi_sdk_json_check(yoi_sdk_str(k.events[0].text), 0, NULL) != YOI_OK)
    conform_fail(c, "one line of JSON", "%.300s", k.events[0].text);
  rig_close(c, &i);
}

static void list(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k = ask(c, &i, YOI_OP_WORKER_LIST, 0);
  const struct call_event *e = call_event(&k, YOI_EVENT_RESULT);
  if (!e) conform_skip(c, "it does not list: %s", k.error.message);
  yoi_str workers = yoi_sdk_json_raw_get(yoi_sdk_str(e->text), "workers"), one, last = {"", 0};
  size_t pos = 0;
  if (!workers.len || workers.ptr[0] != '[')
    conform_fail(c, "{\"workers\": [...], \"next\"}", "%.300s", e->text);
  if (!yoi_sdk_json_raw_get(yoi_sdk_str(e->text), "next").len)
    conform_fail(c, "{\"workers\": [...], \"next\"}", "'next' is missing");
  while (yoi_sdk_json_raw_each(workers, &pos, &one)) {
    yoi_str id = yoi_sdk_json_raw_get(one, "worker_id");
    if (!id.len || yoi_sdk_str_cmp(last, id) >= 0)
      conform_fail(c, "workers in byte order of their ids", "%.*s behind %.*s", YOI_ARG(id),
                   YOI_ARG(last));
    last = id;
  }
  rig_close(c, &i);
}

static void unknown_op(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k = ask(c, &i, UNKNOWN_OP, 0);
  if (k.status != YOI_UNIMPLEMENTED || k.error.e.code != YOI_CODE_UNSUPPORTED_OPERATION)
    conform_fail(c, "UNIMPLEMENTED with unsupported_operation", "status %d, code %d", k.status,
                 k.error.e.code);
  rig_close(c, &i);
}

static void unknown_flags(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k = ask(c, &i, YOI_OP_RUNTIME_DESCRIBE, 1u << 30);
  if (k.status != YOI_UNIMPLEMENTED)
    conform_fail(c, "unsupported_operation for a flag that it does not know", "status %d: %s",
                 k.status, k.error.message);
  rig_close(c, &i);
}

static void error_text(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k = ask(c, &i, UNKNOWN_OP, 0);
  const char *m = k.error.message;
  size_t n = strlen(m);
  if (n == 0) conform_fail(c, "a message", "none");
  if (!yoi_sdk_utf8_valid(yoi_sdk_str(m))) conform_fail(c, "UTF-8", "it is none");
  if (m[n - 1] == '.' || (isupper((unsigned char)m[0]) && !isupper((unsigned char)m[1])))
    conform_fail(c, "lower case, and no full stop", "%.300s", m);
  rig_close(c, &i);
}

#define RUNTIME(name, fn, says, header, promise) \
  {"runtime." name, ON_RUNTIME, 0, fn, says, header, promise}

extern const struct conform_test conform_runtime[];
const struct conform_test conform_runtime[] = {
    RUNTIME("describe", describe, "It says what it is, with operations that there are.",
            "yoi/runtime.h", "its text is the answer as it goes over /v1"),
    RUNTIME("unary", unary, "An operation that is not watched is one RESULT and END.",
            "yoi/runtime.h", "A unary operation is a stream of one RESULT event and END;"),
    RUNTIME("list", list, "Its list of workers has its form, in byte order.", "yoi/runtime.h",
            "its text is the answer as it goes over /v1"),
    RUNTIME("unknown-op", unknown_op, "An operation that it does not know is unsupported.",
            "yoi/runtime.h",
            "one that it does not know is UNIMPLEMENTED with YOI_CODE_UNSUPPORTED_OPERATION."),
    RUNTIME("unknown-flags", unknown_flags, "A flag that it does not know is refused.",
            "yoi/request.h",
            "a runtime that does not know one of them answers UNSUPPORTED_OPERATION."),
    RUNTIME("error-text", error_text, "A message begins in lower case and has no full stop.",
            "yoi/base.h", "Messages are lower case, without a full stop, subject in quotes."),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
