/* host/profile.c - puts a runtime entry's `default_profile` into a create.
 *
 * The key belongs to the host, so that it holds for every runtime, whoever
 * wrote it; so the host answers `runtime_default` before it routes. What the
 * runtime gets is a request that names its profile, as a caller could have
 * sent it: its checks, its fingerprint for replays and its answer are the
 * same. Validation stays with the runtime: a body that is not understood here
 * is passed on untouched.
 */
#include "profile.h"

#include <sdk/json.h>
#include <string.h>
#include <yoi/limits.h>

/* 1: absent, or {"kind": "runtime_default"} and nothing else. */
static int is_default(const yoi_sdk_json *profile) {
  yoi_str kind = {NULL, 0};
  if (profile == NULL) return 1;
  return yoi_sdk_json_type(profile) == YOI_SDK_JSON_OBJECT && yoi_sdk_json_count(profile) == 1 &&
         yoi_sdk_json_str(yoi_sdk_json_get(profile, "kind"), &kind) &&
         yoi_sdk_str_is(kind, "runtime_default");
}

static void write_body(const yoi_sdk_json *tree, yoi_str name, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  for (const yoi_sdk_json *v = yoi_sdk_json_first(tree); v != NULL; v = yoi_sdk_json_next(v)) {
    yoi_str key = yoi_sdk_json_key(v);
    if (yoi_sdk_str_is(key, "profile")) continue;
    yoi_sdk_jsonw_keyn(&w, key);
    yoi_sdk_json_write(v, &w);
  }
  yoi_sdk_jsonw_key(&w, "profile");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "kind", YOI_LIT("builtin"));
  yoi_sdk_jsonw_kstr(&w, "value", name);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
}

yoi_status yoi__profile_default(yoi_str body, yoi_str name, struct yoi_sdk_buf *out) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error e;
  if (body.len == 0) body = YOI_LIT("{}");
  if (body.len > YOI_CREATE_BYTES_MAX) return YOI_OK;
  yoi_status st = yoi_sdk_json_parse(body, 0, &tree, &e);
  /* A limit that is passed has the same status; that is for the runtime to say. */
  int memory = st == YOI_RESOURCE_EXHAUSTED && strcmp(e.message, "out of memory") == 0;
  if (st == YOI_OK && yoi_sdk_json_type(tree) == YOI_SDK_JSON_OBJECT &&
      is_default(yoi_sdk_json_get(tree, "profile")))
    write_body(tree, name, out);
  yoi_sdk_json_free(tree);
  return memory || out->failed != 0 ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
}
