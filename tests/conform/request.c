/* request.c - what the plugin is asked: the usual request of each kind.
 *
 * A tool that is not read-only is called only with arguments that the quirks file
 * gives, for what it does is done. Of the others the arguments are made from the
 * schema: the least that fits it.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/schema.h>
#include <yoi/limits.h>

#include "host/given.h"

#define EXAMPLE_MAX 65536
#define CALL_MS CONFORM_CALL_MS(c)

size_t rig_request_size(uint32_t kind) {
  return kind == YOI_KIND_RUNTIME ? sizeof(yoi_request)
         : kind == YOI_KIND_MODEL ? sizeof(yoi_model_request)
         : kind == YOI_KIND_TOOL  ? sizeof(yoi_tool_request)
                                  : sizeof(yoi_policy_request);
}

/* ---- arguments that fit a schema ----------------------------------------------- */

static void example(const yoi_sdk_json *schema, struct yoi_sdk_jsonw *w, unsigned depth);

static int first_of(const yoi_sdk_json *schema, const char *key, struct yoi_sdk_jsonw *w) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(schema, key));
  if (v) yoi_sdk_json_write(v, w);
  return v != NULL;
}

static void example_object(const yoi_sdk_json *schema, struct yoi_sdk_jsonw *w, unsigned depth) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(schema, "required"));
  yoi_sdk_jsonw_open(w, '{');
  for (; v; v = yoi_sdk_json_next(v)) {
    yoi_str key = {"", 0};
    if (!yoi_sdk_json_str(v, &key)) continue;
    yoi_sdk_jsonw_keyn(w, key);
    example(yoi_sdk_json_getn(yoi_sdk_json_get(schema, "properties"), key), w, depth + 1);
  }
  yoi_sdk_jsonw_close(w, '}');
}

static void example_string(const yoi_sdk_json *schema, struct yoi_sdk_jsonw *w) {
  static const char text[] = "README-README-README-README-README-README-README-README-README";
  int64_t least = 1, most = 6;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(schema, "minLength"), &least);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(schema, "maxLength"), &most);
  if (least < 6 && most >= 6) least = 6;
  if (least > (int64_t)sizeof text - 1) least = (int64_t)sizeof text - 1;
  yoi_sdk_jsonw_str(w, (yoi_str){text, (size_t)least});
}

static void example_number(const yoi_sdk_json *schema, struct yoi_sdk_jsonw *w) {
  int64_t n = 1, least, most;
  if (yoi_sdk_json_int(yoi_sdk_json_get(schema, "minimum"), &least) && n < least) n = least;
  if (yoi_sdk_json_int(yoi_sdk_json_get(schema, "maximum"), &most) && n > most) n = most;
  yoi_sdk_jsonw_int(w, n);
}

static void example(const yoi_sdk_json *schema, struct yoi_sdk_jsonw *w, unsigned depth) {
  const yoi_sdk_json *v;
  yoi_str type = {"", 0};
  if (depth > 16) {
    yoi_sdk_jsonw_null(w);
  } else if ((v = yoi_sdk_json_get(schema, "default")) || (v = yoi_sdk_json_get(schema, "const"))) {
    yoi_sdk_json_write(v, w);
  } else if (!first_of(schema, "examples", w) && !first_of(schema, "enum", w)) {
    v = yoi_sdk_json_get(schema, "type");
    if (yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY) v = yoi_sdk_json_first(v);
    (void)yoi_sdk_json_str(v, &type);
    if (yoi_sdk_str_is(type, "object")) {
      example_object(schema, w, depth);
    } else if (yoi_sdk_str_is(type, "array")) {
      int64_t n = 0;
      (void)yoi_sdk_json_int(yoi_sdk_json_get(schema, "minItems"), &n);
      yoi_sdk_jsonw_open(w, '[');
      for (int64_t i = 0; i < n && i < 64; i++)
        example(yoi_sdk_json_get(schema, "items"), w, depth + 1);
      yoi_sdk_jsonw_close(w, ']');
    } else if (yoi_sdk_str_is(type, "boolean")) {
      yoi_sdk_jsonw_bool(w, 0);
    } else if (yoi_sdk_str_is(type, "integer") || yoi_sdk_str_is(type, "number")) {
      example_number(schema, w);
    } else if (yoi_sdk_str_is(type, "null")) {
      yoi_sdk_jsonw_null(w);
    } else {
      example_string(schema, w);
    }
  }
}

/* 1: text has arguments of the tool. */
static int arguments_of(struct conform *c, const struct yoi__manifest_tool *t,
                        struct yoi_sdk_buf *text) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_json *tree = NULL;
  const yoi_sdk_json *given =
      yoi_sdk_json_getn(yoi_sdk_json_get(c->options->quirks, "arguments"), t->name);
  yoi_sdk_jsonw_init(&w, text);
  if (given) {
    yoi_sdk_json_write(given, &w);
    return !text->failed;
  }
  if ((t->flags & YOI_TOOL_READ_ONLY) == 0 ||
      yoi_sdk_json_parse(t->parameters, 0, &tree, NULL) != YOI_OK)
    return 0;
  example(tree, &w, 0);
  yoi_sdk_json_free(tree);
  tree = NULL;
  int fits = yoi_sdk_json_parse(yoi_sdk_buf_str(text), 0, &tree, NULL) == YOI_OK &&
             yoi_sdk_schema_test(t->arguments, tree, "", NULL, NULL) == YOI_OK;
  yoi_sdk_json_free(tree);
  return fits;
}

/* ---- requests ---------------------------------------------------------------------- */

/* The grants that the tool needs, all of the name `workspace`. */
static uint64_t given(struct conform *c, struct rig_instance *i,
                      const struct yoi__manifest_tool *t) {
  struct yoi_sdk_buf list;
  struct yoi_sdk_jsonw w;
  uint64_t call = 0;
  size_t pos = 0;
  yoi_str raw;
  yoi_sdk_buf_init(&list, 4096);
  yoi_sdk_jsonw_init(&w, &list);
  yoi_sdk_jsonw_open(&w, '[');
  while (yoi_sdk_json_raw_each(t->grants, &pos, &raw)) {
    struct yoi_sdk_buf one;
    yoi_sdk_buf_init(&one, 256);
    (void)yoi_sdk_json_raw_unescape(raw, &one);
    int mount = yoi_sdk_str_is(yoi_sdk_buf_str(&one), "mount");
    yoi_sdk_buf_addf(&one, mount ? ":workspace:rw" : ":workspace");
    yoi_sdk_jsonw_str(&w, yoi_sdk_buf_str(&one));
    yoi_sdk_buf_release(&one);
  }
  yoi_sdk_jsonw_close(&w, ']');
  struct yoi__setup *s = yoi__setup_now(c->rig->host);
  (void)yoi__given_open(s, i->in, yoi_sdk_buf_str(&list), &call, NULL);
  yoi__setup_give(s);
  yoi_sdk_buf_release(&list);
  return call;
}

union rig_request *rig_request_tool(struct conform *c, struct rig_instance *i, struct paper *p,
                                    uint64_t token, size_t n) {
  const struct yoi__manifest *m = &c->rig->plugin->manifest;
  const struct yoi__manifest_tool *t = n < m->n_tools ? &m->tools[n] : NULL;
  struct yoi_sdk_buf text;
  union rig_request *r = NULL;
  yoi_sdk_buf_init(&text, EXAMPLE_MAX);
  if (t && arguments_of(c, t, &text)) {
    r = paper_take(p, sizeof(yoi_tool_request));
    r->tool = (yoi_tool_request){
        .size = sizeof r->tool,
        .deadline_ns = conform_now_ns() + CALL_MS * 1000000ull,
        .token = token,
        .call = given(c, i, t),
        .name = paper_text(p, t->name),
        .arguments = paper_text(p, yoi_sdk_buf_str(&text)),
        .worker_id = paper_text(p, YOI_LIT("conform")),
        .idempotency_key = paper_text(p, YOI_LIT("0123456789abcdef0123456789abcdef"
                                                 "0123456789abcdef0123456789abcdef")),
        .request_id = paper_text(p, YOI_LIT("conform-1"))};
  }
  yoi_sdk_buf_release(&text);
  return r;
}

int rig_can_ask(struct conform *c) {
  const struct yoi__manifest *m = &c->rig->plugin->manifest;
  int can = c->kind != YOI_KIND_TOOL && c->kind != YOI_KIND_INGRESS;
  for (size_t n = 0; c->kind == YOI_KIND_TOOL && !can && n < m->n_tools; n++) {
    struct yoi_sdk_buf text;
    yoi_sdk_buf_init(&text, EXAMPLE_MAX);
    can = arguments_of(c, &m->tools[n], &text);
    yoi_sdk_buf_release(&text);
  }
  return can;
}

static void model_request(struct conform *c, struct paper *p, yoi_model_request *m,
                          uint64_t token) {
  yoi_str *message = paper_take(p, sizeof *message);
  *message = paper_text(p, YOI_LIT("{\"role\":\"user\",\"content\":\"Say hello.\"}"));
  *m = (yoi_model_request){.size = sizeof *m,
                           .max_output_tokens = 64,
                           .deadline_ns = conform_now_ns() + CALL_MS * 1000000ull,
                           .token = token,
                           .request_id = paper_text(p, YOI_LIT("conform-1")),
                           .messages = message,
                           .n_messages = 1};
}

union rig_request *rig_request(struct conform *c, struct rig_instance *i, struct paper *p,
                               uint64_t token) {
  union rig_request *r = NULL;
  if (c->kind == YOI_KIND_TOOL) {
    for (size_t n = 0; !r && n < c->rig->plugin->manifest.n_tools; n++)
      r = rig_request_tool(c, i, p, token, n);
    if (!r)
      conform_skip(c, "no tool of it is read-only and has arguments that can be made up; "
                      "'arguments' of a quirks file gives some");
    return r;
  }
  r = paper_take(p, rig_request_size(c->kind));
  if (c->kind == YOI_KIND_RUNTIME)
    r->runtime = (yoi_request){.size = sizeof r->runtime,
                               .op = YOI_OP_RUNTIME_DESCRIBE,
                               .origin = YOI_ORIGIN_EMBED,
                               .token = token,
                               .principal = paper_text(p, YOI_LIT("embed")),
                               .request_id = paper_text(p, YOI_LIT("conform-1"))};
  else if (c->kind == YOI_KIND_MODEL)
    model_request(c, p, &r->model, token);
  else
    r->policy = (yoi_policy_request){.size = sizeof r->policy,
                                     .origin = YOI_ORIGIN_RUNTIME,
                                     .deadline_ns = conform_now_ns() + CALL_MS * 1000000ull,
                                     .token = token,
                                     .operation = paper_text(p, YOI_LIT("worker.get")),
                                     .principal = paper_text(p, YOI_LIT("token:conform")),
                                     .runtime_id = paper_text(p, YOI_LIT("main")),
                                     .worker_id = paper_text(p, YOI_LIT("ada")),
                                     .request_id = paper_text(p, YOI_LIT("conform-1"))};
  return r;
}

union rig_request *rig_request_newer(struct conform *c, struct rig_instance *i, struct paper *p,
                                     uint64_t token, size_t odd) {
  union rig_request *req = rig_request(c, i, p, token);
  size_t size = rig_request_size(c->kind);
  union rig_request *newer = paper_take(p, size + RIG_TAIL);
  memcpy(newer, req, size);
  newer->size = (uint32_t)size + RIG_TAIL;
  if (odd < RIG_TAIL) ((char *)newer)[size + odd] = 1;
  return newer;
}

yoi_status rig_ask(struct conform *c, struct rig_instance *i, const union rig_request *req,
                   yoi_stream **out, yoi_error *err) {
  const struct yoi__plugin *p = c->rig->plugin;
  switch (c->kind) {
    case YOI_KIND_RUNTIME:
      return p->table.runtime.start(i->self, &req->runtime, out, err);
    case YOI_KIND_MODEL:
      return p->table.model.start(i->self, &req->model, out, err);
    case YOI_KIND_POLICY:
      return p->table.policy.start(i->self, &req->policy, out, err);
    default:
      return p->table.tool.start(i->self, &req->tool, out, err);
  }
}
