/* ask.c - bodies: strict in shape, whole in their errors.
 *
 * Everything that a caller sends is checked here, once, against the table of
 * fields in yoi/ops.h; what is not listed there is refused and never ignored.
 * Invariants:
 *
 *  1. Nothing of a refused body has any effect.
 *  2. A fingerprint is over the validated fields, in the table's order, with
 *     defaults filled in, each with its length: no other request has it.
 */
#include "ask.h"

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <stdio.h>

enum field_type { STRING, INTEGER, OBJECT, ARRAY, CONTENT };

struct field {
  uint32_t op;
  const char *name;
  enum field_type type;
  int64_t min, max;
};

static const struct field fields[] = {
#define FIELD(op, name, type, place, min, max) {YOI_OP_##op, name, type, min, max},
    YOI_OP_FIELDS(FIELD)
#undef FIELD
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

/* Which field it is stands in the details too: a host between that passes no
 * words on does pass that. */
static yoi_status refuse(yoi_error *err, const char *name, const char *what) {
  char details[96];
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%s' %s", name, what);
  int n = snprintf(details, sizeof details, "{\"field\":\"%s\"}", name);
  if (n > 0 && (size_t)n < sizeof details) yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

yoi_status eng_ask_refuse(yoi_error *err, const char *name, const char *what) {
  return refuse(err, name, what);
}

static yoi_status refuse_field(yoi_error *err, yoi_str name, uint32_t op) {
  char field[YOI_NAME_MAX + 1], what[80];
  if (!yoi_sdk_name_valid(name))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%.*s' is not a field of %s",
                        (int)(name.len > 64 ? yoi_sdk_utf8_cut(name, 64) : name.len), name.ptr,
                        yoi_sdk_op_name(op));
  memcpy(field, name.ptr, name.len);
  field[name.len] = '\0';
  snprintf(what, sizeof what, "is not a field of %s", yoi_sdk_op_name(op));
  return refuse(err, field, what);
}

static yoi_status check_integer(const struct field *f, const yoi_sdk_json *v, yoi_error *err) {
  int64_t n = 0;
  if (!yoi_sdk_json_int(v, &n)) return refuse(err, f->name, "is not an integer");
  if (n < f->min) return refuse(err, f->name, "is too small");
  if (n > f->max && strcmp(f->name, "limit") == 0)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE, "'limit' is larger than %lld",
                        (long long)f->max);
  return n > f->max ? refuse(err, f->name, "is too large") : YOI_OK;
}

static yoi_status check_field(const struct field *f, const yoi_sdk_json *v, yoi_error *err) {
  yoi_str s = {0};
  uint32_t type = yoi_sdk_json_type(v);
  switch (f->type) {
    case STRING:
      if (!yoi_sdk_json_str(v, &s)) return refuse(err, f->name, "is not a string");
      if (s.len < (size_t)f->min) return refuse(err, f->name, "is empty");
      if (s.len > (size_t)f->max) return refuse(err, f->name, "is too long");
      return YOI_OK;
    case INTEGER:
      return check_integer(f, v, err);
    case OBJECT:
      return type == YOI_SDK_JSON_OBJECT ? YOI_OK : refuse(err, f->name, "is not an object");
    case ARRAY:
      if (type != YOI_SDK_JSON_ARRAY) return refuse(err, f->name, "is not an array");
      return yoi_sdk_json_count(v) > (size_t)f->max ? refuse(err, f->name, "has too many elements")
                                                    : YOI_OK;
    case CONTENT:
      return type == YOI_SDK_JSON_STRING || type == YOI_SDK_JSON_ARRAY
                 ? YOI_OK
                 : refuse(err, f->name, "is neither a string nor an array of text parts");
  }
  return YOI_OK;
}

static const struct field *find_field(uint32_t op, yoi_str name) {
  for (size_t i = 0; i < N_FIELDS; i++)
    if (fields[i].op == op && yoi_sdk_str_is(name, fields[i].name)) return &fields[i];
  return NULL;
}

yoi_status eng_ask_parse(const yoi_request *req, yoi_sdk_json **out, yoi_error *err) {
  struct yoi_sdk_json_error jerr;
  size_t max = req->op == YOI_OP_WORKER_CREATE ? YOI_CREATE_BYTES_MAX : YOI_BODY_BYTES_MAX;
  *out = NULL;
  if (req->body.len == 0) return YOI_OK;
  if (req->body.len > max)
    return yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "the body is larger than %zu bytes", max);
  yoi_status st = yoi_sdk_json_parse(req->body, 0, out, &jerr);
  if (st != YOI_OK) {
    *out = NULL;
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON,
                        "the body is not valid JSON: %s at line %u, "
                        "column %u",
                        jerr.message, jerr.line, jerr.column);
  }
  if (yoi_sdk_json_type(*out) != YOI_SDK_JSON_OBJECT)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the body is not an object");
  for (const yoi_sdk_json *m = yoi_sdk_json_first(*out); m && st == YOI_OK;
       m = yoi_sdk_json_next(m)) {
    yoi_str name = yoi_sdk_json_key(m);
    const struct field *f = find_field(req->op, name);
    if (!f)
      st = refuse_field(err, name, req->op);
    else
      st = check_field(f, m, err);
  }
  if (st == YOI_OK) return YOI_OK;
  yoi_sdk_json_free(*out);
  *out = NULL;
  return st;
}

yoi_str eng_ask_str(const yoi_sdk_json *body, const char *name) {
  yoi_str s = {0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(body, name), &s);
  return s;
}

yoi_status eng_ask_limit(const yoi_sdk_json *body, size_t standard, size_t max, size_t *limit,
                         yoi_error *err) {
  int64_t n = (int64_t)standard;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(body, "limit"), &n);
  if ((uint64_t)n > max)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE, "'limit' is larger than %zu", max);
  *limit = (size_t)n;
  return YOI_OK;
}

static int finish_print(struct yoi_sdk_sha256 *h, struct eng_print *out) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (!h || !yoi_sdk_sha256_final(h, sha)) return 0;
  memcpy(out->b, sha, sizeof out->b);
  return 1;
}

yoi_status eng_ask_key(const yoi_request *req, struct eng_print *out, bool *keyed, yoi_error *err) {
  yoi_str key = req->idempotency_key;
  *keyed = key.len > 0;
  if (!*keyed) return YOI_OK;
  if (key.len >= 2 && key.ptr[0] == '"' && key.ptr[key.len - 1] == '"')
    key = (yoi_str){key.ptr + 1, key.len - 2};
  if (!yoi_sdk_token_valid(key, YOI_IDEMPOTENCY_KEY_MAX))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the idempotency key is not a token");
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  if (h) {
    yoi_sdk_sha256_field(h, yoi_sdk_str(yoi_sdk_op_name(req->op)));
    yoi_sdk_sha256_field(h, req->principal);
    yoi_sdk_sha256_field(h, key);
  }
  return finish_print(h, out) ? YOI_OK : yoi_sdk_fail_memory(err);
}

/* ---- worker.create ---- */

static int has_control(yoi_str s) {
  for (size_t i = 0; i < s.len; i++)
    if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) return 1;
  return 0;
}

/* The members of an object, all strings and not empty, into out[i] for
 * names[i]. */
static yoi_status read_strings(const yoi_sdk_json *o, const char *what, const char *const *names,
                               yoi_str *const *out, size_t n, yoi_error *err) {
  for (const yoi_sdk_json *m = yoi_sdk_json_first(o); m; m = yoi_sdk_json_next(m)) {
    size_t i = 0;
    while (i < n && !yoi_sdk_str_is(yoi_sdk_json_key(m), names[i])) i++;
    if (i == n) return refuse(err, what, "has a member that is not known");
    if (!yoi_sdk_json_str(m, out[i]) || out[i]->len == 0)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%s' of '%s' is not a string with text",
                          names[i], what);
  }
  return YOI_OK;
}

static yoi_status read_intent(struct eng_ask_create *a, const yoi_sdk_json *v, yoi_error *err) {
  static const char *const names[] = {"kind", "objective", "role", "purpose"};
  yoi_str *const out[] = {&a->intent_kind, &a->objective, &a->role, &a->purpose};
  yoi_status st = read_strings(v, "intent", names, out, 4, err);
  if (st != YOI_OK) return st;
  if (a->intent_kind.len == 0) a->intent_kind = YOI_LIT("assistant");
  if (a->objective.len + a->role.len + a->purpose.len > YOI_INTENT_MAX)
    return refuse(err, "intent", "is too long");
  if (yoi_sdk_str_is(a->intent_kind, "task"))
    return a->objective.len ? YOI_OK : refuse(err, "intent", "is a task and needs an objective");
  if (yoi_sdk_str_is(a->intent_kind, "role"))
    return a->role.len ? YOI_OK : refuse(err, "intent", "is a role and needs its name in 'role'");
  return yoi_sdk_str_is(a->intent_kind, "assistant")
             ? YOI_OK
             : refuse(err, "intent", "is of none of the kinds assistant, task, role");
}

static yoi_status read_profile(struct eng_ask_create *a, const yoi_sdk_json *v, yoi_error *err) {
  static const char *const names[] = {"kind", "value"};
  yoi_str *const out[] = {&a->profile_kind, &a->profile_value};
  yoi_status st = read_strings(v, "profile", names, out, 2, err);
  if (st != YOI_OK) return st;
  if (!v) a->profile_kind = YOI_LIT("runtime_default");
  if (yoi_sdk_str_is(a->profile_kind, "runtime_default"))
    return a->profile_value.len ? refuse(err, "profile", "is runtime_default and has no value")
                                : YOI_OK;
  int named = yoi_sdk_str_is(a->profile_kind, "named"), bundled = a->bundle_id.len > 0;
  if (!named && !yoi_sdk_str_is(a->profile_kind, "builtin"))
    return refuse(err, "profile", "is of none of the kinds runtime_default, builtin, named");
  if (a->profile_value.len == 0) return refuse(err, "profile", "needs a value");
  if (!yoi_sdk_name_valid(a->profile_value)) return refuse(err, "profile", "has no name as value");
  if (named && !bundled)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                        "profile '%.*s' would be in a bundle, and none is given",
                        YOI_ARG(a->profile_value));
  if (!named && bundled)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                        "profile '%.*s' is a builtin one, and a bundle is given; one of the "
                        "bundle is of the kind 'named'",
                        YOI_ARG(a->profile_value));
  return YOI_OK;
}

/* The default of a bundle is the one that a runtime without a default has. */
yoi_str eng_ask_profile(const struct eng_ask_create *a) {
  return a->profile_value.len == 0 && a->bundle_id.len > 0 ? YOI_LIT("companion")
                                                           : a->profile_value;
}

static yoi_status read_bundle(struct eng_ask_create *a, const yoi_sdk_json *v, yoi_error *err) {
  static const char *const names[] = {"id", "digest"};
  yoi_str *const out[] = {&a->bundle_id, &a->bundle_digest};
  if (!v) return YOI_OK;
  yoi_status st = read_strings(v, "config_bundle", names, out, 2, err);
  if (st != YOI_OK) return st;
  if (a->bundle_id.len == 0 || a->bundle_digest.len == 0)
    return refuse(err, "config_bundle", "needs both 'id' and 'digest'");
  if (!yoi_sdk_id_valid(a->bundle_id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER,
                        "'id' of 'config_bundle' is not an identifier");
  if (!yoi_sdk_digest_valid(a->bundle_digest))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER,
                        "'digest' of 'config_bundle' is not 'sha256:' and 64 digits of "
                        "lower-case hex");
  return YOI_OK;
}

static yoi_status read_workspace(struct eng_ask_create *a, yoi_error *err) {
  if (a->workspace.len == 0) return YOI_OK;
  if (!yoi_sdk_id_valid(a->workspace))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "'workspace' is not an identifier");
  return a->bundle_id.len > 0
             ? YOI_OK
             : refuse(err, "workspace", "is that of a bundle, and no 'config_bundle' is given");
}

/* Their names; whether the profile has them is seen once it is resolved. */
static yoi_status read_capabilities(struct eng_ask_create *a, const yoi_sdk_json *v,
                                    yoi_error *err) {
  static const char *const names[] = {"name", "reason"};
  yoi_status st = YOI_OK;
  a->capabilities = v;
  for (const yoi_sdk_json *o = yoi_sdk_json_first(v); o && st == YOI_OK; o = yoi_sdk_json_next(o)) {
    yoi_str name = {0}, reason = {0};
    yoi_str *const out[] = {&name, &reason};
    if (yoi_sdk_json_type(o) != YOI_SDK_JSON_OBJECT)
      st = refuse(err, "requested_capabilities", "has an element that is not an object");
    else
      st = read_strings(o, "requested_capabilities", names, out, 2, err);
    if (st == YOI_OK && (name.len == 0 || name.len > YOI_PLUGIN_ID_MAX || has_control(name)))
      st = refuse(err, "requested_capabilities", "has an element without a name");
    if (st == YOI_OK && reason.len > YOI_REASON_MAX)
      st = refuse(err, "requested_capabilities", "has a reason that is too long");
  }
  return st;
}

yoi_status eng_ask_granted(const struct eng_ask_create *a, const struct eng_spec *spec,
                           yoi_error *err) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  yoi_str first = {0};
  uint32_t n = 0;
  yoi_status st = YOI_OK;
  yoi_sdk_buf_init(&buf, YOI_CREATE_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "missing");
  yoi_sdk_jsonw_open(&w, '[');
  for (const yoi_sdk_json *o = yoi_sdk_json_first(a->capabilities); o; o = yoi_sdk_json_next(o)) {
    yoi_str name = eng_ask_str(o, "name");
    if (eng_spec_has(spec, name)) continue;
    if (n++ == 0) first = name;
    yoi_sdk_jsonw_str(&w, name);
  }
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_close(&w, '}');
  if (n > 0) {
    st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "the profile does not grant '%.*s'%s",
                      YOI_ARG(first), n > 1 ? " and others" : "");
    if (!buf.failed) yoi_sdk_fail_details(err, yoi_sdk_buf_str(&buf));
  }
  yoi_sdk_buf_release(&buf);
  return st;
}

static int print_create(struct eng_ask_create *a) {
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  if (!h) return 0;
  yoi_sdk_sha256_field(h, a->worker_id);
  yoi_sdk_sha256_field(h, a->display_name);
  yoi_sdk_sha256_field(h, a->intent_kind);
  yoi_sdk_sha256_field(h, a->objective);
  yoi_sdk_sha256_field(h, a->role);
  yoi_sdk_sha256_field(h, a->purpose);
  yoi_sdk_sha256_field(h, a->profile_kind);
  yoi_sdk_sha256_field(h, a->profile_value);
  yoi_sdk_sha256_field(h, a->bundle_id);
  yoi_sdk_sha256_field(h, a->bundle_digest);
  yoi_sdk_sha256_field(h, a->workspace);
  for (const yoi_sdk_json *o = yoi_sdk_json_first(a->capabilities); o; o = yoi_sdk_json_next(o)) {
    yoi_sdk_sha256_field(h, eng_ask_str(o, "name"));
    yoi_sdk_sha256_field(h, eng_ask_str(o, "reason"));
  }
  return finish_print(h, &a->print);
}

yoi_status eng_ask_create(struct eng_ask_create *a, const yoi_sdk_json *body, yoi_error *err) {
  *a = (struct eng_ask_create){
      .worker_id = eng_ask_str(body, "worker_id"),
      .display_name = eng_ask_str(body, "display_name"),
      .workspace = eng_ask_str(body, "workspace"),
  };
  if (yoi_sdk_json_get(body, "worker_id") && !yoi_sdk_id_valid(a->worker_id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "'worker_id' is not an identifier");
  if (has_control(a->display_name)) return refuse(err, "display_name", "has control characters");
  yoi_status st = read_intent(a, yoi_sdk_json_get(body, "intent"), err);
  if (st != YOI_OK) return st;
  st = read_bundle(a, yoi_sdk_json_get(body, "config_bundle"), err);
  if (st == YOI_OK) st = read_workspace(a, err);
  if (st == YOI_OK) st = read_profile(a, yoi_sdk_json_get(body, "profile"), err);
  if (st == YOI_OK)
    st = read_capabilities(a, yoi_sdk_json_get(body, "requested_capabilities"), err);
  if (st == YOI_OK && !print_create(a)) st = yoi_sdk_fail_memory(err);
  return st;
}

/* ---- worker.input ---- */

static yoi_status read_part(const yoi_sdk_json *o, yoi_str *text, yoi_error *err) {
  yoi_str type = {0};
  if (yoi_sdk_json_type(o) != YOI_SDK_JSON_OBJECT || yoi_sdk_json_count(o) != 2 ||
      !yoi_sdk_json_str(yoi_sdk_json_get(o, "type"), &type) || !yoi_sdk_str_is(type, "text") ||
      !yoi_sdk_json_str(yoi_sdk_json_get(o, "text"), text))
    return refuse(err, "content", "has a part that is not {\"type\":\"text\",\"text\":...}");
  return YOI_OK;
}

static void write_part(struct eng_ask_input *a, struct yoi_sdk_jsonw *w, yoi_str text) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "type", YOI_LIT("text"));
  yoi_sdk_jsonw_key(w, "text");
  a->text_at = a->content.len;
  yoi_sdk_jsonw_str(w, text);
  a->text_len = a->content.len - a->text_at;
  yoi_sdk_jsonw_close(w, '}');
}

static yoi_status read_content(struct eng_ask_input *a, const yoi_sdk_json *v, size_t max_bytes,
                               yoi_error *err) {
  struct yoi_sdk_jsonw w;
  yoi_str text = {0};
  size_t total = 0;
  yoi_status st = YOI_OK;
  yoi_sdk_jsonw_init(&w, &a->content);
  yoi_sdk_jsonw_open(&w, '[');
  if (yoi_sdk_json_str(v, &text)) {
    total = text.len;
    write_part(a, &w, text);
  } else {
    for (const yoi_sdk_json *o = yoi_sdk_json_first(v); o && st == YOI_OK;
         o = yoi_sdk_json_next(o)) {
      st = read_part(o, &text, err);
      total += text.len;
      if (st == YOI_OK) write_part(a, &w, text);
    }
    if (yoi_sdk_json_count(v) != 1) a->text_at = a->text_len = 0;
  }
  yoi_sdk_jsonw_close(&w, ']');
  if (st == YOI_OK && total > max_bytes)
    st = yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "'content' is larger than %zu bytes",
                      max_bytes);
  if (st == YOI_OK && total == 0) st = refuse(err, "content", "has no text");
  if (st == YOI_OK && a->content.failed) st = yoi_sdk_fail_memory(err);
  return st;
}

static const char *const busy_names[] = {
    [ENG_BUSY_REJECT] = "reject",
    [ENG_BUSY_QUEUE] = "queue",
    [ENG_BUSY_INTERRUPT] = "interrupt",
};

static yoi_status read_input_kind(struct eng_ask_input *a, const yoi_sdk_json *body,
                                  yoi_error *err) {
  yoi_str kind = eng_ask_str(body, "kind"), busy = eng_ask_str(body, "on_busy");
  a->is_system = yoi_sdk_str_is(kind, "system");
  if (kind.len > 0 && !a->is_system && !yoi_sdk_str_is(kind, "user"))
    return refuse(err, "kind", "is neither user nor system");
  unsigned i = 0;
  while (busy.len > 0 && i <= ENG_BUSY_INTERRUPT && !yoi_sdk_str_is(busy, busy_names[i])) i++;
  if (i > ENG_BUSY_INTERRUPT) return refuse(err, "on_busy", "is none of reject, queue, interrupt");
  a->on_busy = (enum eng_on_busy)i;
  if (a->is_system && a->on_busy != ENG_BUSY_REJECT)
    return refuse(err, "on_busy", "is for input of kind 'user': system text starts no turn");
  return YOI_OK;
}

yoi_status eng_ask_no_worker(yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_WORKER_NOT_FOUND, "there is no such worker");
}

yoi_status eng_ask_input(struct eng_ask_input *a, const yoi_sdk_json *body, size_t max_bytes,
                         int keyed, yoi_error *err) {
  *a = (struct eng_ask_input){0};
  yoi_sdk_buf_init(&a->content, YOI_JSON_BYTES_MAX);
  const yoi_sdk_json *content = yoi_sdk_json_get(body, "content");
  if (!content) return refuse(err, "content", "is missing");
  yoi_status st = read_input_kind(a, body, err);
  if (st == YOI_OK) st = read_content(a, content, max_bytes, err);
  if (st == YOI_OK && keyed) {
    struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
    if (h) {
      yoi_sdk_sha256_field(h, yoi_sdk_buf_str(&a->content));
      yoi_sdk_sha256_field(h, a->is_system ? YOI_LIT("system") : YOI_LIT("user"));
      yoi_sdk_sha256_field(h, yoi_sdk_str(busy_names[a->on_busy]));
    }
    if (!finish_print(h, &a->print)) st = yoi_sdk_fail_memory(err);
  }
  if (st != YOI_OK) yoi_sdk_buf_release(&a->content);
  return st;
}
