/* config.c - the instance's config: checked, completed, made ready to send.
 *
 * The host has checked it against the manifest's schema; what is looked at
 * here is what a schema cannot say: that base_url is a URL without
 * credentials, that a key is a secret's name and not the key, that header
 * lines are lines. The secrets are read once, at open: the instance holds
 * them as finished header lines, which libcurl is shown and which are wiped
 * at close. A key that changes is a new config.
 *
 * No message says base_url or a value: both are the operator's own.
 */
#include "oai.h"

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <yoi/host_secret.h>

static yoi_status invalid(yoi_error *err, const char *what) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s", what);
}

static void wipe_and_free(char *s) {
  if (!s) return;
  yoi_sdk_wipe(s, strlen(s));
  yoi_sdk_free(s);
}

/* ---- secrets and header lines ---------------------------------------------- */

/* "secret:NAME" -> its value, which is then among c->secrets; any other text
 * stays what it is. *out is borrowed from c or from text. */
static yoi_status reveal(const yoi_host *host, struct oai_config *c, yoi_str text, yoi_str *out,
                         yoi_error *err) {
  *out = text;
  if (!yoi_sdk_str_starts(text, YOI_LIT("secret:"))) return YOI_OK;
  yoi_str name = {text.ptr + 7, text.len - 7};
  const yoi_host_secret *secret =
      yoi_sdk_host_get(host, YOI_HOST_SECRET_ID, offsetof(yoi_host_secret, refresh));
  if (!secret)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host lacks '%s'", YOI_HOST_SECRET_ID);
  char *value = yoi_sdk_calloc(1, YOI_SECRET_BYTES_MAX + 1);
  if (!value) return yoi_sdk_fail_memory(err);
  size_t n = 0;
  yoi_status st = secret->get(host, name, value, YOI_SECRET_BYTES_MAX, &n, err);
  if (st != YOI_OK) {
    yoi_sdk_free(value);
    return st;
  }
  /* Files end in a line feed; nobody means it. */
  while (n && (value[n - 1] == '\n' || value[n - 1] == '\r')) value[--n] = '\0';
  char *kept = yoi_sdk_strndup(value, n);
  yoi_sdk_wipe(value, YOI_SECRET_BYTES_MAX);
  yoi_sdk_free(value);
  if (!kept) return yoi_sdk_fail_memory(err);
  c->secrets[c->n_secrets++] = kept;
  *out = (yoi_str){kept, n};
  if (n == 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "secret '%.*s' is empty", YOI_ARG(name));
  return YOI_OK;
}

static int is_value(yoi_str s) {
  for (size_t i = 0; i < s.len; i++)
    if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) return 0;
  return 1;
}

static int is_token(yoi_str s) {
  static const char also[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    int alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alnum && !(c && strchr(also, c))) return 0;
  }
  return s.len > 0;
}

/* The fields that are ours or libcurl's to set. */
static int is_taken(yoi_str name, int has_key) {
  static const char *const taken[] = {"host",       "content-length", "content-type",
                                      "connection", "expect",         "transfer-encoding",
                                      "traceparent", "x-request-id",  "accept-encoding"};
  char lower[32];
  if (name.len >= sizeof lower) return 0;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  lower[name.len] = '\0';
  for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
    if (strcmp(lower, taken[i]) == 0) return 1;
  return has_key && strcmp(lower, "authorization") == 0;
}

static yoi_status add_line(struct oai_config *c, yoi_str name, const char *before, yoi_str value,
                           yoi_error *err) {
  size_t n = name.len + strlen(before) + value.len + 3;
  char *line = yoi_sdk_malloc(n);
  if (!line) return yoi_sdk_fail_memory(err);
  snprintf(line, n, "%.*s: %s%.*s", YOI_ARG(name), before, YOI_ARG(value));
  c->lines[c->n_lines++] = line;
  return YOI_OK;
}

static yoi_status read_headers(const yoi_host *host, const yoi_sdk_json *headers,
                               struct oai_config *c, int has_key, yoi_error *err) {
  yoi_status st = YOI_OK;
  /* Four lines are ours, two are the request's. */
  if (yoi_sdk_json_count(headers) > YOI_HTTP_CLIENT_HEADERS_MAX - 6)
    return invalid(err, "'headers' has too many members");
  for (const yoi_sdk_json *v = yoi_sdk_json_first(headers); v && st == YOI_OK;
       v = yoi_sdk_json_next(v)) {
    yoi_str name = yoi_sdk_json_key(v), text, value;
    if (!is_token(name) || is_taken(name, has_key))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'headers' may not have '%.*s'",
                          (int)yoi_sdk_utf8_cut(name, 64), name.ptr);
    if (!yoi_sdk_json_str(v, &text)) return invalid(err, "'headers' has a value that is no text");
    st = reveal(host, c, text, &value, err);
    if (st != YOI_OK) return st;
    if (!is_value(value))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "'headers' member '%.*s' has a control character", YOI_ARG(name));
    st = add_line(c, name, "", value, err);
  }
  return st;
}

static yoi_status read_key(const yoi_host *host, yoi_str text, struct oai_config *c,
                           yoi_error *err) {
  yoi_str value;
  if (!yoi_sdk_str_starts(text, YOI_LIT("secret:")))
    return invalid(err, "'api_key' must be 'secret:NAME', not the key itself");
  yoi_status st = reveal(host, c, text, &value, err);
  if (st != YOI_OK) return st;
  if (!is_value(value)) return invalid(err, "the secret of 'api_key' has a control character");
  return add_line(c, YOI_LIT("Authorization"), "Bearer ", value, err);
}

/* ---- the rest ----------------------------------------------------------------- */

static yoi_status read_url(yoi_str base, struct oai_config *c, int *out_exposed, yoi_error *err) {
  static const struct {
    const char *path;
    size_t member;
  } rows[] = {{"/chat/completions", offsetof(struct oai_config, chat_url)},
              {"/models", offsetof(struct oai_config, models_url)}};
  int tls = 0, loopback = 0;
  while (base.len && base.ptr[base.len - 1] == '/') base.len--;
  if (base.len > YOI_URL_MAX) return invalid(err, "'base_url' is too long");
  for (size_t i = 0; i < 2; i++) {
    size_t n = base.len + strlen(rows[i].path) + 1;
    char *url = yoi_sdk_malloc(n);
    if (!url) return yoi_sdk_fail_memory(err);
    snprintf(url, n, "%.*s%s", YOI_ARG(base), rows[i].path);
    *(char **)(void *)((char *)c + rows[i].member) = url;
  }
  if (!yoi_sdk_http_url_check(c->chat_url, &tls, &loopback))
    return invalid(err, "'base_url' must be an http or https URL without credentials or query");
  *out_exposed = !tls && !loopback;
  return YOI_OK;
}

static uint32_t number(const yoi_sdk_json *v, const char *name, uint32_t otherwise, uint32_t max) {
  int64_t n;
  if (!yoi_sdk_json_int(yoi_sdk_json_get(v, name), &n) || n < 0) return otherwise;
  return n > (int64_t)max ? max : (uint32_t)n;
}

static yoi_status read_parameters(const yoi_sdk_json *v, struct oai_config *c, yoi_error *err) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_str bad;
  if (!v) return YOI_OK;
  if (!oai_request_parameters_valid(v, &bad))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'parameters' may not set '%.*s'",
                        YOI_ARG(bad));
  yoi_sdk_buf_init(&b, YOI_CONFIG_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_json_write(v, &w);
  if (b.failed) {
    yoi_sdk_buf_release(&b);
    return yoi_sdk_fail_memory(err);
  }
  c->parameters = yoi_sdk_buf_take(&b, NULL);
  return YOI_OK;
}

static yoi_status read_all(const yoi_host *host, const yoi_sdk_json *v, struct oai_config *c,
                           yoi_error *err) {
  yoi_str base, key, model, ca_file;
  int exposed = 0;
  int has_key = yoi_sdk_json_str(yoi_sdk_json_get(v, "api_key"), &key);
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "base_url"), &base))
    return invalid(err, "'base_url' is missing");
  yoi_status st = read_url(base, c, &exposed, err);
  if (st == YOI_OK)
    st = add_line(c, YOI_LIT("Content-Type"), "", YOI_LIT("application/json"), err);
  if (st == YOI_OK)
    st = add_line(c, YOI_LIT("Accept"), "", YOI_LIT("text/event-stream, application/json"), err);
  if (st == YOI_OK) st = add_line(c, YOI_LIT("User-Agent"), "", YOI_LIT("yoi/1.0"), err);
  if (st == YOI_OK && has_key) st = read_key(host, key, c, err);
  if (st == YOI_OK) st = read_headers(host, yoi_sdk_json_get(v, "headers"), c, has_key, err);
  if (st == YOI_OK) st = read_parameters(yoi_sdk_json_get(v, "parameters"), c, err);
  if (st != YOI_OK) return st;
  if (yoi_sdk_json_str(yoi_sdk_json_get(v, "model"), &model)) {
    c->model = yoi_sdk_strndup(model.ptr, model.len);
    if (!c->model) return yoi_sdk_fail_memory(err);
  }
  if (yoi_sdk_json_str(yoi_sdk_json_get(v, "ca_file"), &ca_file)) {
    c->ca_file = yoi_sdk_strndup(ca_file.ptr, ca_file.len);
    if (!c->ca_file) return yoi_sdk_fail_memory(err);
  }
  yoi_str field = {0};
  yoi_sdk_json_str(yoi_sdk_json_get(v, "max_tokens_field"), &field);
  c->max_tokens_field = yoi_sdk_str_is(field, "max_completion_tokens") ? "max_completion_tokens"
                                                                       : "max_tokens";
  c->max_output_tokens = number(v, "max_output_tokens", 0, YOI_TOKENS_MAX_PER_TURN);
  c->connect_ms = number(v, "connect_ms", YOI_MODEL_CONNECT_MS, YOI_MODEL_MS_MAX);
  c->first_byte_ms = number(v, "first_byte_ms", YOI_MODEL_FIRST_BYTE_MS, YOI_MODEL_MS_MAX);
  c->gap_ms = number(v, "gap_ms", YOI_MODEL_GAP_MS, YOI_MODEL_MS_MAX);
  c->retries = number(v, "retries", YOI_MODEL_RETRIES_DEFAULT, YOI_MODEL_RETRIES_MAX);
  c->bare_key = exposed && c->n_secrets > 0;
  return YOI_OK;
}

yoi_status oai_config_read(const yoi_host *host, yoi_str text, struct oai_config *c,
                           yoi_error *err) {
  yoi_sdk_json *v = NULL;
  memset(c, 0, sizeof *c);
  if (yoi_sdk_json_parse(text, 0, &v, NULL) != YOI_OK) return invalid(err, "the config is no JSON");
  yoi_status st = read_all(host, v, c, err);
  yoi_sdk_json_free(v);
  if (st != YOI_OK) oai_config_release(c);
  return st;
}

void oai_config_release(struct oai_config *c) {
  yoi_sdk_free(c->chat_url);
  yoi_sdk_free(c->models_url);
  yoi_sdk_free(c->model);
  yoi_sdk_free(c->parameters);
  yoi_sdk_free(c->ca_file);
  for (size_t i = 0; i < c->n_lines; i++) wipe_and_free(c->lines[i]);
  for (size_t i = 0; i < c->n_secrets; i++) wipe_and_free(c->secrets[i]);
  memset(c, 0, sizeof *c);
}
