/* config.c - the instance's config: checked and completed.
 *
 * The host has checked it against the manifest's schema; what is looked at
 * here is what a schema cannot say. The token stays with the host: what is
 * kept is its name, and each request asks for the value, so that a new one is
 * used without a restart. No message says base_url, a path or a value.
 */
#include "remote.h"

#include <sdk/mem.h>

static yoi_status invalid(yoi_error *err, const char *what) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s", what);
}

static uint32_t number(const yoi_sdk_json *v, const char *name, uint32_t usual, uint32_t max) {
  int64_t n;
  if (!yoi_sdk_json_int(yoi_sdk_json_get(v, name), &n) || n < 0) return usual;
  return n > (int64_t)max ? max : (uint32_t)n;
}

static yoi_status text(const yoi_sdk_json *v, const char *name, char **out, yoi_error *err) {
  yoi_str s;
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s)) return YOI_OK;
  *out = yoi_sdk_strndup(s.ptr, s.len);
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static yoi_status read_url(const yoi_sdk_json *v, struct rem_config *c, int *out_exposed,
                           yoi_error *err) {
  int tls = 0, loopback = 0;
  yoi_str base;
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "base_url"), &base))
    return invalid(err, "'base_url' is missing");
  while (base.len && base.ptr[base.len - 1] == '/') base.len--;
  if (base.len > YOI_URL_MAX) return invalid(err, "'base_url' is too long");
  c->base = yoi_sdk_strndup(base.ptr, base.len);
  if (!c->base) return yoi_sdk_fail_memory(err);
  if (!yoi_sdk_http_url_check(c->base, &tls, &loopback))
    return invalid(err, "'base_url' must be an http or https URL without credentials or query");
  *out_exposed = !tls && !loopback;
  return YOI_OK;
}

static yoi_status read_token(const yoi_sdk_json *v, struct rem_config *c, yoi_error *err) {
  yoi_str s, prefix = YOI_LIT("secret:");
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "token"), &s)) return YOI_OK;
  if (!yoi_sdk_str_starts(s, prefix))
    return invalid(err, "'token' must be 'secret:NAME', not the token itself");
  c->token = yoi_sdk_strndup(s.ptr + prefix.len, s.len - prefix.len);
  return c->token ? YOI_OK : yoi_sdk_fail_memory(err);
}

static yoi_status read_all(const yoi_sdk_json *v, struct rem_config *c, yoi_error *err) {
  int exposed = 0;
  yoi_status st = read_url(v, c, &exposed, err);
  if (st == YOI_OK) st = read_token(v, c, err);
  if (st == YOI_OK) st = text(v, "socket", &c->socket, err);
  if (st == YOI_OK) st = text(v, "ca_file", &c->ca_file, err);
  if (st == YOI_OK) st = text(v, "expect_instance", &c->expect_instance, err);
  c->connect_ms = number(v, "connect_ms", YOI_REMOTE_CONNECT_MS, YOI_REMOTE_MS_MAX);
  c->answer_ms = number(v, "answer_ms", YOI_REMOTE_ANSWER_MS, YOI_REMOTE_MS_MAX);
  c->idle_ms = number(v, "idle_ms", YOI_REMOTE_IDLE_MS, YOI_REMOTE_MS_MAX);
  c->probe_ms = number(v, "probe_ms", YOI_REMOTE_PROBE_MS, YOI_REMOTE_MS_MAX);
  c->resume_ms = number(v, "resume_ms", YOI_REMOTE_RESUME_MS, YOI_REMOTE_MS_MAX);
  c->retries = number(v, "retries", YOI_REMOTE_RETRIES_DEFAULT, YOI_REMOTE_RETRIES_MAX);
  c->bare_token = exposed && c->token && !c->socket;
  return st;
}

yoi_status rem_config_read(yoi_str json, struct rem_config *c, yoi_error *err) {
  yoi_sdk_json *v = NULL;
  memset(c, 0, sizeof *c);
  if (yoi_sdk_json_parse(json, 0, &v, NULL) != YOI_OK) return invalid(err, "the config is no JSON");
  yoi_status st = read_all(v, c, err);
  yoi_sdk_json_free(v);
  if (st != YOI_OK) rem_config_release(c);
  return st;
}

void rem_config_release(struct rem_config *c) {
  yoi_sdk_free(c->base);
  yoi_sdk_free(c->socket);
  yoi_sdk_free(c->ca_file);
  yoi_sdk_free(c->expect_instance);
  yoi_sdk_free(c->token);
  memset(c, 0, sizeof *c);
}
