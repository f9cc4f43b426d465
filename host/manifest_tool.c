/* host/manifest_tool.c - what tools a plugin has, before it runs.
 *
 * All that a host, a profile and a model need to know of a tool stands here, so
 * a call is judged, and mostly refused, without any code of the plugin.
 * Invariants:
 *  1. The schema of the arguments is compiled here: a call is checked against
 *     it, and that cannot fail for the schema's own sake. A keyword that is not
 *     enforced refuses the plugin.
 *  2. What is not said is the careful answer: a tool changes something, twice is
 *     not as good as once, and it has two minutes.
 */
#include "manifest_tool.h"

#include <stdio.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <yoi/plugin.h>
#include <yoi/tool.h>

/* "tools/3/name" */
struct at {
  char text[64];
};

static struct at at(size_t i, const char *member) {
  struct at a;
  snprintf(a.text, sizeof a.text, "tools/%zu%s%s", i, member[0] != '\0' ? "/" : "", member);
  return a;
}

int yoi__kind_may_block(uint32_t kind) {
  return kind == YOI_KIND_MODEL || kind == YOI_KIND_TOOL;
}

/* Letters, digits, _ and -, as every model's wire takes them. */
static int name_valid(yoi_str s) {
  if (s.len == 0 || s.len > YOI_NAME_MAX) return 0;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    int good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    if (!good) return 0;
  }
  return 1;
}

static const struct {
  const char *name;
  int required;
} members[] = {{"name", 1},      {"description", 1}, {"parameters", 1}, {"grants", 0},
               {"read_only", 0}, {"idempotent", 0},  {"max_ms", 0}};
#define N_MEMBERS (sizeof members / sizeof *members)

static yoi_status check_members(const yoi_sdk_json *v, size_t i, yoi_error *err) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT)
    return yoi__manifest_refuse(err, at(i, "").text, "an object", v);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str names[N_MEMBERS], key = yoi_sdk_json_key(e), near;
    size_t k = 0;
    for (; k < N_MEMBERS && !yoi_sdk_str_is(key, members[k].name); k++)
      names[k] = yoi_sdk_str(members[k].name);
    if (k < N_MEMBERS) continue;
    near = yoi_sdk_nearest(key, names, N_MEMBERS);
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        near.len > 0 ? "manifest field 'tools/%zu': unknown member '%.*s', did "
                                       "you mean '%.*s'"
                                     : "manifest field 'tools/%zu': unknown member '%.*s'%.*s",
                        i, (int)yoi_sdk_utf8_cut(key, 64), key.ptr, YOI_ARG(near));
  }
  for (size_t k = 0; k < N_MEMBERS; k++)
    if (members[k].required && yoi_sdk_json_get(v, members[k].name) == NULL)
      return yoi__manifest_refuse(err, at(i, members[k].name).text, "a value", NULL);
  return YOI_OK;
}

static yoi_str written(const yoi_sdk_json *v) {
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
  yoi_str s = {NULL, 0};
  yoi_sdk_buf_init(&text, YOI_MANIFEST_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &text);
  yoi_sdk_json_write(v, &w);
  if (!text.failed) s = yoi_sdk_str_dup(yoi_sdk_buf_str(&text));
  yoi_sdk_buf_release(&text);
  return s;
}

static yoi_status read_parameters(struct yoi__manifest_tool *t, const yoi_sdk_json *v, size_t i,
                                  yoi_error *err) {
  struct yoi__first_finding f = {"", ""};
  yoi_str type = {NULL, 0};
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "type"), &type) || !yoi_sdk_str_is(type, "object"))
    return yoi__manifest_refuse(err, at(i, "parameters/type").text, "'object'",
                                yoi_sdk_json_get(v, "type"));
  yoi_status st = yoi_sdk_schema_new(v, yoi__manifest_keep, &f, &t->arguments);
  if (st == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "manifest field 'tools/%zu/parameters': no valid schema: '%s': %s", i,
                        f.pointer, f.message);
  t->parameters = written(v);
  if (t->parameters.ptr == NULL) return yoi_sdk_fail_memory(err);
  if (t->parameters.len > YOI_TOOL_PARAMETERS_MAX)
    return yoi__manifest_refuse(err, at(i, "parameters").text, "at most 32,768 bytes", v);
  return YOI_OK;
}

static yoi_status read_kinds(struct yoi__manifest_tool *t, const yoi_sdk_json *v, size_t i,
                             yoi_error *err) {
  static const char *const kinds[] = {"mount", "net", "shell", "git"};
  uint32_t seen = 0;
  if (v != NULL && yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY)
    return yoi__manifest_refuse(err, at(i, "grants").text, "an array", v);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str s = {NULL, 0};
    size_t k = 0;
    (void)yoi_sdk_json_str(e, &s);
    while (k < 4 && !yoi_sdk_str_is(s, kinds[k])) k++;
    if (k == 4 || (seen & 1u << k) != 0)
      return yoi__manifest_refuse(err, at(i, "grants").text,
                                  "some of 'mount', 'net', 'shell' and 'git', each once", e);
    seen |= 1u << k;
  }
  t->grants = v != NULL ? written(v) : yoi_sdk_str_dup(YOI_LIT("[]"));
  return t->grants.ptr != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static yoi_status read_flag(uint32_t *flags, uint32_t flag, const yoi_sdk_json *v, size_t i,
                            const char *member, yoi_error *err) {
  int on = 0;
  if (v == NULL) return YOI_OK;
  if (!yoi_sdk_json_bool(v, &on))
    return yoi__manifest_refuse(err, at(i, member).text, "true or false", v);
  *flags = on ? *flags | flag : *flags & ~flag;
  return YOI_OK;
}

static yoi_status read_tool(struct yoi__manifest *m, const yoi_sdk_json *v, size_t i,
                            yoi_error *err) {
  struct yoi__manifest_tool *t = &m->tools[i];
  const yoi_sdk_json *name = yoi_sdk_json_get(v, "name");
  const yoi_sdk_json *description = yoi_sdk_json_get(v, "description");
  const yoi_sdk_json *ms = yoi_sdk_json_get(v, "max_ms");
  int64_t n = YOI_TOOL_MS_DEFAULT;
  yoi_status st = check_members(v, i, err);
  if (st != YOI_OK) return st;
  if (!yoi_sdk_json_str(name, &t->name) || !name_valid(t->name))
    return yoi__manifest_refuse(err, at(i, "name").text, "1 to 64 letters, digits, '_' and '-'",
                                name);
  if (yoi__manifest_tool(m, t->name) != t)
    return yoi__manifest_refuse(err, at(i, "name").text, "a name of its own", name);
  if (!yoi_sdk_json_str(description, &t->description) || t->description.len == 0 ||
      t->description.len > YOI_TOOL_DESCRIPTION_MAX)
    return yoi__manifest_refuse(err, at(i, "description").text, "1 to 4,096 bytes", description);
  if (ms != NULL && (!yoi_sdk_json_int(ms, &n) || n < 1 || n > YOI_TOOL_MS_MAX))
    return yoi__manifest_refuse(err, at(i, "max_ms").text, "1 to 3600000", ms);
  t->max_ms = (uint32_t)n;
  st = read_flag(&t->flags, YOI_TOOL_READ_ONLY, yoi_sdk_json_get(v, "read_only"), i, "read_only",
                 err);
  if ((t->flags & YOI_TOOL_READ_ONLY) != 0) t->flags |= YOI_TOOL_IDEMPOTENT;
  if (st == YOI_OK)
    st = read_flag(&t->flags, YOI_TOOL_IDEMPOTENT, yoi_sdk_json_get(v, "idempotent"), i,
                   "idempotent", err);
  if (st == YOI_OK) st = read_kinds(t, yoi_sdk_json_get(v, "grants"), i, err);
  return st == YOI_OK ? read_parameters(t, yoi_sdk_json_get(v, "parameters"), i, err) : st;
}

yoi_status yoi__manifest_read_tools(struct yoi__manifest *m, const yoi_sdk_json *v,
                                    yoi_error *err) {
  size_t n = yoi_sdk_json_count(v);
  yoi_status st = YOI_OK;
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY || n == 0 || n > YOI_TOOLS_MAX)
    return yoi__manifest_refuse(err, "tools", "an array of 1 to 64 tools", v);
  m->tools = yoi_sdk_calloc(n, sizeof *m->tools);
  if (m->tools == NULL) return yoi_sdk_fail_memory(err);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL && st == YOI_OK;
       e = yoi_sdk_json_next(e)) {
    m->n_tools++;
    st = read_tool(m, e, m->n_tools - 1, err);
  }
  return st;
}

void yoi__manifest_tools_free(struct yoi__manifest *m) {
  for (size_t i = 0; i < m->n_tools; i++) {
    yoi_sdk_schema_free(m->tools[i].arguments);
    yoi_sdk_str_free(&m->tools[i].parameters);
    yoi_sdk_str_free(&m->tools[i].grants);
  }
  yoi_sdk_free(m->tools);
  m->tools = NULL;
  m->n_tools = 0;
}

const struct yoi__manifest_tool *yoi__manifest_tool(const struct yoi__manifest *m, yoi_str name) {
  for (size_t i = 0; i < m->n_tools; i++)
    if (yoi_sdk_str_eq(m->tools[i].name, name)) return &m->tools[i];
  return NULL;
}
