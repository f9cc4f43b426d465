/* schema_write.c - a checked value as text again, its paths made absolute.
 *
 * Value and schema are walked together. Compiling has refused "path" wherever
 * this walk would not come by: it knows properties, additionalProperties and
 * items, and nothing else leads to a path.
 */
#include <sdk/str.h>

#include "schema_node.h"

struct writing {
  struct schema_report r;
  yoi_str dir;
  struct yoi_sdk_jsonw *out;
};

/* What a member of that name has to fit; NULL: nothing that has a path. */
static const yoi_sdk_json *schema_of(const yoi_sdk_json *schema, yoi_str name) {
  const yoi_sdk_json *known = yoi_sdk_json_getn(yoi_sdk_json_get(schema, "properties"), name);
  if (known) return known;
  return yoi_sdk_json_get(schema, "patternProperties")
             ? NULL
             : yoi_sdk_json_get(schema, "additionalProperties");
}

static const yoi_sdk_json *items_of(const yoi_sdk_json *schema) {
  return yoi_sdk_json_get(schema, "prefixItems") ? NULL : yoi_sdk_json_get(schema, "items");
}

static void write_path(struct writing *x, yoi_str s) {
  struct yoi_sdk_buf path;
  int relative = s.len > 0 && s.ptr[0] != '/';
  int slash = relative && (x->dir.len == 0 || x->dir.ptr[x->dir.len - 1] != '/');
  if (relative && !yoi_sdk_utf8_valid(x->dir)) {
    yoi_sdk__schema_say(
        &x->r, "expected an absolute path: the folder that it is relative to is not UTF-8");
    return;
  }
  if (s.len + (relative ? x->dir.len + (size_t)slash : 0) >= YOI_PATH_BYTES_MAX) {
    yoi_sdk_buf_addf(&x->r.message, "must have at most %d bytes%s", YOI_PATH_BYTES_MAX - 1,
                     relative ? " behind the folder that it is relative to" : "");
    (void)yoi_sdk__schema_finding(&x->r, 0);
    return;
  }
  yoi_sdk_buf_init(&path, YOI_PATH_BYTES_MAX);
  if (relative) yoi_sdk_buf_adds(&path, x->dir);
  if (slash) yoi_sdk_buf_addc(&path, '/');
  yoi_sdk_buf_adds(&path, s);
  if (path.failed) x->r.st = YOI_RESOURCE_EXHAUSTED;
  yoi_sdk_jsonw_str(x->out, yoi_sdk_buf_str(&path));
  yoi_sdk_buf_release(&path);
}

static void write_value(struct writing *x, const yoi_sdk_json *schema, const yoi_sdk_json *v) {
  uint32_t type = schema ? yoi_sdk_json_type(v) : YOI_SDK_JSON_NONE;
  int member = type == YOI_SDK_JSON_OBJECT;
  yoi_str s, format;
  size_t index = 0;
  if (!member && type != YOI_SDK_JSON_ARRAY) {
    if (yoi_sdk_json_str(yoi_sdk_json_get(schema, "format"), &format) &&
        yoi_sdk_str_is(format, "path") && yoi_sdk_json_str(v, &s))
      write_path(x, s);
    else
      yoi_sdk_json_write(v, x->out);
    return;
  }
  yoi_sdk_jsonw_open(x->out, member ? '{' : '[');
  for (const yoi_sdk_json *c = yoi_sdk_json_first(v); c; c = yoi_sdk_json_next(c)) {
    yoi_str name = member ? yoi_sdk_json_key(c) : (yoi_str){NULL, 0};
    struct schema_place place;
    schema_enter(&x->r, &place, name, index++);
    if (member) yoi_sdk_jsonw_keyn(x->out, name);
    write_value(x, member ? schema_of(schema, name) : items_of(schema), c);
    schema_leave(&x->r);
  }
  yoi_sdk_jsonw_close(x->out, member ? '}' : ']');
}

yoi_status yoi_sdk_schema_write(const yoi_sdk_json *schema, const yoi_sdk_json *value,
                                const char *base, yoi_str dir, yoi_sdk_schema_report_fn report,
                                void *ctx, struct yoi_sdk_jsonw *w) {
  struct writing x = {.dir = dir, .out = w};
  yoi_sdk__schema_report_init(&x.r, base, report, ctx);
  write_value(&x, schema, value);
  return yoi_sdk__schema_report_end(&x.r);
}
