/* host/manifest.c - what a plugin says about itself, checked before it runs.
 *
 * The host lists, explains, validates configs and refuses from the manifest
 * alone, so it is checked as strictly as a config: every member has one row
 * in `fields`, one that has none is refused (with the nearest known name),
 * and what this version cannot enforce (isolation, grants of a later
 * kind) is refused instead of kept. Invariants:
 *  1. A message says the field, what was expected, what was found.
 *  2. All texts point into `tree` or `beside`, which the manifest owns; both
 *     are NUL-terminated there.
 *  3. After parse the config schema is compiled: checking a config against
 *     it cannot fail for the schema's own sake.
 *
 * To add a member: a row in `fields`, a reader, a line in yoi/plugin.h.
 */
#include "manifest.h"

#include <stdio.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/schema.h>
#include <yoi/ingress.h>
#include <yoi/model.h>
#include <yoi/plugin.h>
#include <yoi/policy.h>
#include <yoi/runtime.h>
#include <yoi/tool.h>

#include "grant.h"
#include "manifest_tool.h"

#define FORMAT "yoi.plugin/1"

struct yoi__shown yoi__manifest_show(const yoi_sdk_json *v) {
  struct yoi__shown s;
  yoi_str t = {NULL, 0};
  int64_t n = 0;
  if (v == NULL) {
    snprintf(s.text, sizeof s.text, "nothing");
  } else if (yoi_sdk_json_str(v, &t)) {
    size_t cut = yoi_sdk_utf8_cut(t, 64);
    snprintf(s.text, sizeof s.text, "'%.*s'%s", (int)cut, t.ptr, cut < t.len ? "..." : "");
  } else if (yoi_sdk_json_int(v, &n)) {
    snprintf(s.text, sizeof s.text, "%lld", (long long)n);
  } else {
    snprintf(s.text, sizeof s.text, "%s", yoi_sdk_json_type_name(yoi_sdk_json_type(v)));
  }
  return s;
}

yoi_status yoi__manifest_refuse(yoi_error *err, const char *field, const char *expected,
                                const yoi_sdk_json *found) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "manifest field '%s': expected %s, found %s",
                      field, expected, yoi__manifest_show(found).text);
}

static yoi_status unsupported(yoi_error *err, const char *field, const yoi_sdk_json *found) {
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                      "manifest field '%s': %s is not supported by this version", field,
                      yoi__manifest_show(found).text);
}

/* ---- readers, one per member ------------------------------------------- */

static yoi_status read_format(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  yoi_str s = {NULL, 0};
  (void)m;
  if (yoi_sdk_json_str(v, &s) && yoi_sdk_str_is(s, FORMAT)) return YOI_OK;
  return yoi__manifest_refuse(err, "manifest", "'" FORMAT "'", v);
}

static yoi_status read_id(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  if (yoi_sdk_json_str(v, &m->id) && yoi_sdk_plugin_id_valid(m->id)) return YOI_OK;
  return yoi__manifest_refuse(err, "id", "a reverse DNS name of at most 128 bytes", v);
}

static yoi_status read_kind(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  yoi_str s = {NULL, 0};
  if (yoi_sdk_json_str(v, &s)) {
    if (yoi_sdk_str_is(s, "runtime")) m->kind = YOI_KIND_RUNTIME;
    if (yoi_sdk_str_is(s, "model")) m->kind = YOI_KIND_MODEL;
    if (yoi_sdk_str_is(s, "ingress")) m->kind = YOI_KIND_INGRESS;
    if (yoi_sdk_str_is(s, "policy")) m->kind = YOI_KIND_POLICY;
    if (yoi_sdk_str_is(s, "tool")) m->kind = YOI_KIND_TOOL;
  }
  if (m->kind != 0) return YOI_OK;
  return yoi__manifest_refuse(err, "kind", "'runtime', 'model', 'ingress', 'policy' or 'tool'", v);
}

/* major.minor.patch, each a decimal. */
static int version_valid(yoi_str s) {
  int parts = 0;
  while (parts < 3) {
    const char *dot = s.len > 0 ? memchr(s.ptr, '.', s.len) : NULL;
    size_t n = dot != NULL ? (size_t)(dot - s.ptr) : s.len;
    uint64_t number = 0;
    if (!yoi_sdk_parse_u64((yoi_str){s.ptr, n}, UINT32_MAX, &number)) return 0;
    parts++;
    if (dot == NULL) return parts == 3;
    s = (yoi_str){dot + 1, s.len - n - 1};
  }
  return 0;
}

static yoi_status read_version(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  if (yoi_sdk_json_str(v, &m->version) && version_valid(m->version)) return YOI_OK;
  return yoi__manifest_refuse(err, "version", "major.minor.patch", v);
}

static yoi_status read_abi(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  int64_t n = 0;
  (void)m;
  if (yoi_sdk_json_int(v, &n) && n == YOI_ABI_MAJOR) return YOI_OK;
  return yoi__manifest_refuse(err, "abi", "1", v);
}

/* Distinct strings of 1 to YOI_PLUGIN_ID_MAX bytes. */
static yoi_status read_list(const char *field, const yoi_sdk_json *v, yoi_str *list, size_t *n,
                            yoi_error *err) {
  *n = 0;
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY)
    return yoi__manifest_refuse(err, field, "an array of strings", v);
  if (yoi_sdk_json_count(v) > YOI__MANIFEST_LIST_MAX)
    return yoi__manifest_refuse(err, field, "at most 16 entries", v);
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str s = {NULL, 0};
    if (!yoi_sdk_json_str(e, &s) || s.len == 0 || s.len > YOI_PLUGIN_ID_MAX)
      return yoi__manifest_refuse(err, field, "strings of 1 to 128 bytes", e);
    for (size_t i = 0; i < *n; i++) {
      if (yoi_sdk_str_eq(list[i], s)) return yoi__manifest_refuse(err, field, "each entry once", e);
    }
    list[(*n)++] = s;
  }
  return YOI_OK;
}

static yoi_status read_interfaces(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  return read_list("interfaces", v, m->interfaces, &m->n_interfaces, err);
}

/* What a tool can have is in `local`, what others can have is a model. Beside a
 * plugin the kind is not said: there each must be one of the plugin's own. */
static yoi_status read_grants(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  yoi_status st = read_list("grants", v, m->grants, &m->n_grants, err);
  const yoi_sdk_json *e = yoi_sdk_json_first(v);
  for (size_t i = 0; st == YOI_OK && i < m->n_grants; i++, e = yoi_sdk_json_next(e)) {
    struct yoi_sdk_grant pattern;
    const char *expected = yoi_sdk_grant_pattern(m->grants[i], &pattern);
    if (expected == NULL && m->kind != 0 &&
        yoi__grant_local(&pattern) != (m->kind == YOI_KIND_TOOL))
      expected = yoi__grant_local(&pattern) ? "'model:NAME': the others are for tools"
                                            : "no model: tools have none";
    if (expected != NULL) st = yoi__manifest_refuse(err, "grants", expected, e);
  }
  return st;
}

static yoi_status read_threads(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  yoi_str s = {NULL, 0};
  if (yoi_sdk_json_str(v, &s)) {
    if (yoi_sdk_str_is(s, "parallel")) m->threads = YOI_PARALLEL;
    if (yoi_sdk_str_is(s, "serial")) {
      /* The others are called on loops, where nothing may block. */
      if (!yoi__kind_may_block(m->kind)) return unsupported(err, "threads", v);
      m->threads = YOI_SERIAL;
    }
  }
  if (m->threads != 0) return YOI_OK;
  return yoi__manifest_refuse(
      err, "threads", yoi__kind_may_block(m->kind) ? "'parallel' or 'serial'" : "'parallel'", v);
}

void yoi__manifest_keep(void *ctx, const char *pointer, int is_key, const char *message) {
  struct yoi__first_finding *f = ctx;
  (void)is_key;
  if (f->message[0] != '\0') return;
  snprintf(f->pointer, sizeof f->pointer, "%s", pointer);
  snprintf(f->message, sizeof f->message, "%s", message);
}

static yoi_status read_config(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  struct yoi__first_finding f = {"", ""};
  yoi_str type = {NULL, 0};
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT)
    return yoi__manifest_refuse(err, "config", "a schema", v);
  if (yoi_sdk_schema_compile(v, yoi__manifest_keep, &f) != YOI_OK) {
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "manifest field 'config': no valid schema: '%s': %s", f.pointer, f.message);
  }
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "type"), &type) || !yoi_sdk_str_is(type, "object"))
    return yoi__manifest_refuse(err, "config/type", "'object'", yoi_sdk_json_get(v, "type"));
  m->config = v;
  return YOI_OK;
}

static yoi_status read_isolation(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  yoi_str s = {NULL, 0};
  (void)yoi_sdk_json_str(v, &s);
  m->isolated = s.ptr != NULL && yoi_sdk_str_is(s, "process");
  if (m->isolated || (s.ptr != NULL && yoi_sdk_str_is(s, "none"))) return YOI_OK;
  return yoi__manifest_refuse(err, "isolation", "'none' or 'process'", v);
}

static yoi_status read_display_name(struct yoi__manifest *m, const yoi_sdk_json *v,
                                    yoi_error *err) {
  if (yoi_sdk_json_str(v, &m->display_name) && m->display_name.len > 0 &&
      m->display_name.len <= YOI_DISPLAY_NAME_MAX)
    return YOI_OK;
  return yoi__manifest_refuse(err, "display_name", "a string of 1 to 256 bytes", v);
}

static yoi_status read_runtime_id(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  if (yoi_sdk_json_str(v, &m->runtime_id) && yoi_sdk_id_valid(m->runtime_id)) return YOI_OK;
  return yoi__manifest_refuse(err, "runtime_id", "1 to 64 of a-z 0-9 . _ -, alphanumeric first", v);
}

/* Names of operations, of this version or a later one: "worker.stop", or a
 * beginning of them with a star. */
static yoi_status read_operations(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  yoi_status st = read_list("operations", v, m->operations, &m->n_operations, err);
  const yoi_sdk_json *e = yoi_sdk_json_first(v);
  for (size_t i = 0; st == YOI_OK && i < m->n_operations; i++, e = yoi_sdk_json_next(e)) {
    yoi_str s = m->operations[i];
    if (s.ptr[s.len - 1] == '*' && (s.len == 1 || s.ptr[s.len - 2] == '.')) s.len--;
    for (size_t k = 0; k < s.len; k++) {
      char c = s.ptr[k];
      if ((c >= 'a' && c <= 'z') || c == '.' || c == '_') continue;
      return yoi__manifest_refuse(err, "operations",
                                  "names such as 'worker.stop', 'worker.*' or '*'", e);
    }
  }
  return st;
}

int yoi__manifest_knows(const struct yoi__manifest *m, yoi_str operation) {
  for (size_t i = 0; i < m->n_operations; i++) {
    yoi_str s = m->operations[i];
    int begins = s.ptr[s.len - 1] == '*';
    if (begins) s.len--;
    if (begins ? yoi_sdk_str_starts(operation, s) : yoi_sdk_str_eq(operation, s)) return 1;
  }
  return 0;
}

static yoi_status read_tools(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err) {
  return yoi__manifest_read_tools(m, v, err);
}

/* ---- the table ----------------------------------------------------------- */

static const struct field {
  const char *name;
  yoi_status (*read)(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err);
  int required;
  int beside; /* may stand in the file beside the shared object */
} fields[] = {
    {"manifest", read_format, 1, 0},
    {"id", read_id, 1, 0},
    {"kind", read_kind, 1, 0},
    {"version", read_version, 1, 0},
    {"abi", read_abi, 1, 0},
    {"interfaces", read_interfaces, 1, 0},
    {"threads", read_threads, 1, 0},
    {"config", read_config, 1, 0},
    {"grants", read_grants, 0, 1},
    {"isolation", read_isolation, 0, 1},
    {"display_name", read_display_name, 0, 1},
    {"runtime_id", read_runtime_id, 0, 0},
    {"operations", read_operations, 0, 0},
    {"tools", read_tools, 0, 0},
};
#define N_FIELDS (sizeof fields / sizeof *fields)

/* The member is known, and allowed here. */
static yoi_status check_member(const yoi_sdk_json *v, int beside, yoi_error *err) {
  yoi_str names[N_FIELDS], key = yoi_sdk_json_key(v), near;
  size_t n = 0;
  for (size_t i = 0; i < N_FIELDS; i++) {
    if (beside && !fields[i].beside) continue;
    if (yoi_sdk_str_is(key, fields[i].name)) return YOI_OK;
    names[n++] = yoi_sdk_str(fields[i].name);
  }
  near = yoi_sdk_nearest(key, names, n);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      near.len > 0 ? "unknown manifest field '%.*s', did you mean '%.*s'"
                                   : "unknown manifest field '%.*s'%.*s",
                      (int)yoi_sdk_utf8_cut(key, 64), key.ptr, YOI_ARG(near));
}

static yoi_status check_known(const yoi_sdk_json *tree, int beside, yoi_error *err) {
  yoi_status st = YOI_OK;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(tree); st == YOI_OK && v != NULL;
       v = yoi_sdk_json_next(v))
    st = check_member(v, beside, err);
  return st;
}

static yoi_status parse_object(yoi_str text, yoi_sdk_json **out, yoi_error *err) {
  struct yoi_sdk_json_error e;
  yoi_status st = yoi_sdk_json_parse(text, 0, out, &e);
  if (st != YOI_OK) {
    yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "manifest is not valid JSON: line %u column %u: %s",
                 e.line, e.column, e.message);
    return st;
  }
  if (yoi_sdk_json_type(*out) == YOI_SDK_JSON_OBJECT) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "manifest: expected an object, found %s",
                      yoi__manifest_show(*out).text);
}

static const char *interface_of(uint32_t kind) {
  switch (kind) {
    case YOI_KIND_RUNTIME:
      return YOI_RUNTIME_ID;
    case YOI_KIND_MODEL:
      return YOI_MODEL_ID;
    case YOI_KIND_POLICY:
      return YOI_POLICY_ID;
    case YOI_KIND_TOOL:
      return YOI_TOOL_ID;
    default:
      return YOI_INGRESS_ID;
  }
}

static yoi_status read_field(struct yoi__manifest *m, const struct field *f, yoi_error *err) {
  const yoi_sdk_json *v = yoi_sdk_json_get(m->tree, f->name);
  return v != NULL || f->required ? f->read(m, v, err) : YOI_OK;
}

static yoi_status cannot_isolate(yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                      "manifest field 'isolation': 'process' is for tools, policies and models");
}

/* What no field says alone. */
static yoi_status check_whole(const struct yoi__manifest *m, yoi_error *err) {
  if (!yoi__manifest_has(m, yoi_sdk_str(interface_of(m->kind))))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "manifest field 'interfaces': expected '%s' among them",
                        interface_of(m->kind));
  if (m->runtime_id.len > 0 && m->kind != YOI_KIND_RUNTIME)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "manifest field 'runtime_id': only runtimes have one");
  if ((m->n_operations > 0) != (m->kind == YOI_KIND_POLICY))
    return yoi_sdk_fail(
        err, YOI_CODE_INVALID_REQUEST, "manifest field 'operations': %s",
        m->kind == YOI_KIND_POLICY ? "a policy names what it knows" : "only policies have one");
  if (m->isolated && !yoi__kind_isolates(m->kind)) return cannot_isolate(err);
  if ((m->n_tools > 0) != (m->kind == YOI_KIND_TOOL))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "manifest field 'tools': %s",
                        m->kind == YOI_KIND_TOOL ? "expected at least one" : "only tools have one");
  return YOI_OK;
}

yoi_status yoi__manifest_check(yoi_str text, yoi__manifest_report report, void *ctx) {
  struct yoi__manifest m;
  struct yoi_sdk_error e;
  yoi_error *err = yoi_sdk_error_init(&e);
  int faults = 0;
  memset(&m, 0, sizeof m);
  yoi_status st = parse_object(text, &m.tree, err);
  if (st != YOI_OK) {
    report(ctx, e.message);
    yoi__manifest_release(&m);
    return st;
  }
  for (const yoi_sdk_json *v = yoi_sdk_json_first(m.tree); v != NULL; v = yoi_sdk_json_next(v)) {
    if (check_member(v, 0, err) == YOI_OK) continue;
    report(ctx, e.message);
    faults++;
  }
  for (size_t i = 0; i < N_FIELDS; i++) {
    if (read_field(&m, &fields[i], err) == YOI_OK) continue;
    report(ctx, e.message);
    faults++;
  }
  if (faults == 0 && check_whole(&m, err) != YOI_OK) {
    report(ctx, e.message);
    faults++;
  }
  yoi__manifest_release(&m);
  return faults == 0 ? YOI_OK : YOI_INVALID_ARGUMENT;
}

yoi_status yoi__manifest_parse(yoi_str text, struct yoi__manifest *m, yoi_error *err) {
  yoi_status st;
  memset(m, 0, sizeof *m);
  st = parse_object(text, &m->tree, err);
  if (st == YOI_OK) st = check_known(m->tree, 0, err);
  for (size_t i = 0; st == YOI_OK && i < N_FIELDS; i++) st = read_field(m, &fields[i], err);
  if (st == YOI_OK) st = check_whole(m, err);
  if (m->display_name.len == 0) m->display_name = m->id;
  if (st != YOI_OK) yoi__manifest_release(m);
  return st;
}

yoi_status yoi__manifest_narrow(struct yoi__manifest *m, yoi_str text, yoi_error *err) {
  struct yoi__manifest beside;
  yoi_status st;
  memset(&beside, 0, sizeof beside);
  st = parse_object(text, &beside.beside, err);
  if (st == YOI_OK) st = check_known(beside.beside, 1, err);
  for (size_t i = 0; st == YOI_OK && i < N_FIELDS; i++) {
    const yoi_sdk_json *v = yoi_sdk_json_get(beside.beside, fields[i].name);
    if (v != NULL) st = fields[i].read(&beside, v, err);
  }
  for (size_t i = 0; st == YOI_OK && i < beside.n_grants; i++) {
    size_t k = 0;
    while (k < m->n_grants && !yoi_sdk_str_eq(m->grants[k], beside.grants[i])) k++;
    if (k == m->n_grants) {
      st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "manifest field 'grants': expected a part of the plugin's own, "
                        "found '%.*s'",
                        YOI_ARG(beside.grants[i]));
    }
  }
  if (st == YOI_OK && m->isolated && !beside.isolated &&
      yoi_sdk_json_get(beside.beside, "isolation") != NULL)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "manifest field 'isolation': expected 'process' as the plugin's own, found "
                      "'none'");
  if (st == YOI_OK && beside.isolated && !yoi__kind_isolates(m->kind)) st = cannot_isolate(err);
  if (st != YOI_OK) {
    yoi__manifest_release(&beside);
    return st;
  }
  m->isolated |= beside.isolated;
  if (yoi_sdk_json_get(beside.beside, "grants") != NULL) {
    memcpy(m->grants, beside.grants, sizeof m->grants);
    m->n_grants = beside.n_grants;
  }
  if (beside.display_name.len > 0) m->display_name = beside.display_name;
  m->beside = beside.beside;
  return YOI_OK;
}

void yoi__manifest_release(struct yoi__manifest *m) {
  yoi__manifest_tools_free(m);
  yoi_sdk_json_free(m->tree);
  yoi_sdk_json_free(m->beside);
  memset(m, 0, sizeof *m);
}

int yoi__manifest_has(const struct yoi__manifest *m, yoi_str interface) {
  for (size_t i = 0; i < m->n_interfaces; i++) {
    if (yoi_sdk_str_eq(m->interfaces[i], interface)) return 1;
  }
  return 0;
}
