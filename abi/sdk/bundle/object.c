/* object.c - objects by tables of their members, strings by their grammars. */
#include "reader.h"

#include <sdk/schema.h>
#include <string.h>

#define MEMBERS_MAX 24 /* of the largest table */

int yoi_sdk__bundle_type(struct bundle_reader *r, const yoi_sdk_json *v, uint32_t type) {
  if (yoi_sdk_json_type(v) == type) return 1;
  yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "type", "expected %s, not %s",
                      yoi_sdk_json_type_name(type), yoi_sdk_json_type_name(yoi_sdk_json_type(v)));
  return 0;
}

int yoi_sdk__bundle_string(struct bundle_reader *r, const yoi_sdk_json *v,
                           const struct bundle_grammar *g, yoi_str *out) {
  yoi_str s;
  const char *location;
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_STRING) || !yoi_sdk_json_str(v, &s)) return 0;
  int fits = g->fits(s);
  if (fits == BUNDLE_GOOD) {
    if (out != NULL) *out = s;
    return 1;
  }
  if (yoi_sdk__bundle_credential(&r->forms, s) != NULL) return 0; /* said already */
  if (fits == BUNDLE_MORE)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_UNSUPPORTED_DECLARATION, g->rule,
                        "this version supports %s", g->expected);
  else if ((location = yoi_sdk__bundle_location(s)) != NULL)
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_FORBIDDEN_CONTENT, location,
                        "paths and addresses belong into a host's config; expected %s",
                        g->expected);
  else
    yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, g->rule, "expected %s", g->expected);
  return 0;
}

int yoi_sdk__bundle_array(struct bundle_reader *r, const yoi_sdk_json *v, size_t max) {
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_ARRAY)) return 0;
  if (yoi_sdk_json_count(v) <= max) return 1;
  yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "count", "expected at most %zu entries", max);
  return 0;
}

static int stands_before(const yoi_sdk_json *list, const yoi_sdk_json *v) {
  yoi_str one, other;
  if (!yoi_sdk_json_str(v, &one)) return 0;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(list); e != v; e = yoi_sdk_json_next(e))
    if (yoi_sdk_json_str(e, &other) && yoi_sdk_str_eq(one, other)) return 1;
  return 0;
}

int yoi_sdk__bundle_strings(struct bundle_reader *r, const yoi_sdk_json *v,
                            const struct bundle_grammar *g, size_t max) {
  int good = yoi_sdk__bundle_array(r, v, max);
  if (!good) return 0;
  size_t i = 0;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e), i++) {
    struct bundle_place place;
    yoi_sdk__bundle_enter(r, &place, (yoi_str){NULL, 0}, i);
    if (!yoi_sdk__bundle_string(r, e, g, NULL)) {
      good = 0;
    } else if (stands_before(v, e)) {
      yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "duplicate",
                          "expected an entry that does not stand before");
      good = 0;
    }
    yoi_sdk__bundle_leave(r);
  }
  return good;
}

static void unknown(struct bundle_reader *r, yoi_str key, const struct bundle_member *members,
                    size_t n) {
  yoi_str names[MEMBERS_MAX], near;
  size_t shown = yoi_sdk_utf8_cut(key, YOI_NAME_MAX);
  if (yoi_sdk__bundle_credential(&r->forms, key) != NULL) return; /* said already */
  if (yoi_sdk__bundle_full(r, YOI_CODE_BUNDLE_INVALID)) return;   /* to look is not for nothing */
  for (size_t i = 0; i < n; i++) names[i] = yoi_sdk_str(members[i].name);
  near = yoi_sdk_nearest(key, names, n);
  if (near.len > 0)
    yoi_sdk__bundle_say(r, 1, YOI_CODE_BUNDLE_INVALID, "unknown-member",
                        "unknown member '%.*s'; is '%.*s' meant?", (int)shown, key.ptr,
                        YOI_ARG(near));
  else
    yoi_sdk__bundle_say(r, 1, YOI_CODE_BUNDLE_INVALID, "unknown-member", "unknown member '%.*s'",
                        (int)shown, key.ptr);
}

static const struct bundle_member *named(const struct bundle_member *members, size_t n,
                                         yoi_str key) {
  for (size_t i = 0; i < n; i++)
    if (yoi_sdk_str_is(key, members[i].name)) return &members[i];
  return NULL;
}

void yoi_sdk__bundle_object(struct bundle_reader *r, const yoi_sdk_json *v,
                            const struct bundle_member *members, size_t n, void *out) {
  if (!yoi_sdk__bundle_type(r, v, YOI_SDK_JSON_OBJECT)) return;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e)) {
    yoi_str key = yoi_sdk_json_key(e);
    const struct bundle_member *m = named(members, n, key);
    struct bundle_place place;
    yoi_sdk__bundle_enter(r, &place, key, 0);
    if (m != NULL) m->read(r, e, m, out != NULL ? (char *)out + m->offset : NULL);
    else unknown(r, key, members, n);
    yoi_sdk__bundle_leave(r);
  }
  for (size_t i = 0; i < n; i++)
    if (members[i].required && yoi_sdk_json_get(v, members[i].name) == NULL)
      yoi_sdk__bundle_say(r, 0, YOI_CODE_BUNDLE_INVALID, "required", "expected a member '%s'",
                          members[i].name);
}
