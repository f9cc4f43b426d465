/* t_tool.c - calls of each tool that may be called here (request.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yoi/limits.h>

#include "rig.h"

#define CALL_MS CONFORM_CALL_MS(c)

/* A call of the n-th tool, to its end; 0: it may not be called. */
static int call_tool(struct conform *c, struct rig_instance *i, size_t n, const char *name,
                     struct call *k) {
  struct paper p = {.how = PAPER_PLAIN};
  *k = (struct call){.status = YOI_OK};
  if (!rig_token_new(c, &k->token)) abort();
  union rig_request *req = rig_request_tool(c, i, &p, k->token.token, n);
  if (!req) return 0;
  if (name) req->tool.name = yoi_sdk_str(name);
  k->status = rig_ask(c, i, req, &k->stream, yoi_sdk_error_init(&k->error));
  paper_release(&p);
  if (k->status != YOI_OK) k->stream = NULL;
  (void)call_finish(c, k, CALL_MS);
  return 1;
}

static void each_tool(struct conform *c, void (*look)(struct conform *c, struct rig_instance *i,
                                                      size_t n, struct call *k)) {
  struct rig_instance i = rig_open(c);
  struct call k;
  size_t called = 0;
  for (size_t n = 0; n < c->rig->plugin->manifest.n_tools; n++) {
    if (!call_tool(c, &i, n, NULL, &k)) continue;
    called++;
    look(c, &i, n, &k);
    call_release(&k);
  }
  if (!called)
    conform_skip(c, "no tool of it is read-only and has arguments that can be made up; "
                    "'arguments' of a quirks file gives some");
  rig_close(c, &i);
}

static const char *name_of(const struct conform *c, size_t n) {
  return c->rig->plugin->manifest.tools[n].name.ptr;
}

static void look_at_output(struct conform *c, struct rig_instance *i, size_t n, struct call *k) {
  (void)i;
  for (size_t e = 0; e < k->n; e++) {
    const struct call_event *o = &k->events[e];
    if (o->kind != YOI_EVENT_TOOL_OUTPUT && o->kind != YOI_EVENT_TOOL_STATUS)
      conform_fail(c, "TOOL_OUTPUT and TOOL_STATUS", "'%s' says an event of kind %u", name_of(c, n),
                   o->kind);
    if (strlen(o->text) != o->len || !yoi_sdk_utf8_valid((yoi_str){o->text, o->len}))
      conform_fail(c, "UTF-8 without NUL", "event %zu of '%s' is none", e, name_of(c, n));
  }
}

static void output(struct conform *c) {
  each_tool(c, look_at_output);
}

static void look_at_size(struct conform *c, struct rig_instance *i, size_t n, struct call *k) {
  (void)i;
  if (k->bytes > YOI_TOOL_OUTPUT_MAX)
    conform_fail(c, "at most 1048576 bytes of a call", "'%s' says %llu", name_of(c, n),
                 (unsigned long long)k->bytes);
}

static void output_limit(struct conform *c) {
  each_tool(c, look_at_size);
}

static void look_at_error(struct conform *c, struct rig_instance *i, size_t n, struct call *k) {
  (void)i;
  if (k->status == YOI_END) return;
  if (k->status < YOI_CANCELLED || k->status > YOI_UNAUTHENTICATED)
    conform_fail(c, "END or an error of base.h", "'%s' ends with %d", name_of(c, n), k->status);
  if (!k->error.message[0])
    conform_fail(c, "a message for the model", "'%s' fails without one", name_of(c, n));
  if (strstr(k->error.message, c->folder))
    conform_fail(c, "no path of the host in a message", "'%s' says: %.300s", name_of(c, n),
                 k->error.message);
}

static void error(struct conform *c) {
  each_tool(c, look_at_error);
}

/* What an idempotent tool is asked twice. */
static void look_again(struct conform *c, struct rig_instance *i, size_t n, struct call *k) {
  struct call again;
  if ((c->rig->plugin->manifest.tools[n].flags & YOI_TOOL_IDEMPOTENT) == 0) return;
  (void)call_tool(c, i, n, NULL, &again);
  if (again.status != k->status)
    conform_fail(c, "twice is as good as once", "'%s' ends with %d, then with %d", name_of(c, n),
                 k->status, again.status);
  call_release(&again);
}

static void repeated(struct conform *c) {
  each_tool(c, look_again);
}

/* No host asks for it; a tool that takes it for another one does that one's work. */
static void unknown_name(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  int called = 0;
  for (size_t n = 0; !called && n < c->rig->plugin->manifest.n_tools; n++)
    called = call_tool(c, &i, n, "yoi_conform_unknown", &k);
  if (!called) conform_skip(c, "no tool of it can be called here");
  if (c->rig->plugin->manifest.n_tools > 1 && k.status == YOI_END)
    conform_fail(c, "an error", "it did something");
  call_release(&k);
  rig_close(c, &i);
}

#define TOOL(name, fn, says, promise) {"tool." name, ON_TOOL, 0, fn, says, "yoi/tool.h", promise}

extern const struct conform_test conform_tool[];
const struct conform_test conform_tool[] = {
    TOOL("output", output, "A call says UTF-8, as output or as where it stands.",
         "a piece of the result: UTF-8, in order"),
    TOOL("output-limit", output_limit, "A call says no more than a host takes.",
         "After YOI_TOOL_OUTPUT_MAX bytes of output the call is cancelled."),
    TOOL("error", error, "An error says why, and names nothing of the host.",
         "No path of the host, address or secret is in it."),
    TOOL("repeated", repeated, "A tool that is idempotent ends the same way twice.",
         "twice is as good as once"),
    TOOL("unknown-name", unknown_name, "A tool that it does not have is not another one.",
         "yoi_str name; /* of the tool */"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
