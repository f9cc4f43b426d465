/* failure.c - what went wrong, as one of YOI_MODEL_ERRORS, in our words.
 *
 * A caller gets the kind, whether it is worth asking again, and a sentence of
 * ours. What the provider said, which may quote a key, a prompt or an
 * address, goes to the private detail, cut, and from there to the log only.
 *
 * Providers agree on little beyond the status. So the status decides, and the
 * error object is looked at where one status means two things: 429 is "slow
 * down" or "no money left", and inside a stream there is no status at all.
 */
#include "oai.h"

#include <sdk/error.h>
#include <sdk/retry.h>

/* Kind, retryable, and what callers read. The kinds are those of
 * YOI_MODEL_ERRORS, as a test sees to. */
static const struct {
  const char *kind;
  int retryable;
  const char *message;
} kinds[] = {
    {"connect", 1, "the model's provider could not be reached"},
    {"tls", 0, "no trusted connection to the model's provider could be made"},
    {"first_byte_timeout", 1, "the model's provider did not begin to answer in time"},
    {"stalled", 1, "the model's provider stopped in the middle of its answer"},
    {"total_timeout", 1, "the model's answer took too long"},
    {"closed", 1, "the model's provider closed the connection before its answer was complete"},
    {"malformed", 0, "the model's provider answered something that is no completion"},
    {"too_large", 0, "the model's answer passed a limit"},
    {"unauthorized", 0, "the model's provider did not accept the credentials"},
    {"not_found", 0, "the model's provider does not know the model or the address"},
    {"invalid_request", 0, "the model's provider refused the request as invalid"},
    {"rate_limited", 1, "the model's provider asks for fewer requests"},
    {"quota", 0, "the quota at the model's provider is used up"},
    {"overloaded", 1, "the model's provider is overloaded"},
    {"server_error", 1, "the model's provider failed"},
};

static size_t row_of(const char *kind) {
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (strcmp(kinds[i].kind, kind) == 0) return i;
  return sizeof kinds / sizeof kinds[0] - 1;
}

int oai_kind_retryable(const char *kind) {
  return kinds[row_of(kind)].retryable;
}

void oai_failure_set(struct oai_failure *f, const char *kind, const char *fmt, ...) {
  va_list ap;
  memset(f, 0, sizeof *f);
  f->kind = kinds[row_of(kind)].kind;
  f->again = kinds[row_of(kind)].retryable != 0;
  f->limited = strcmp(kind, "rate_limited") == 0;
  va_start(ap, fmt);
  vsnprintf(f->detail, sizeof f->detail, fmt, ap);
  va_end(ap);
}

void oai_failure_quote(struct oai_failure *f, yoi_str text) {
  size_t have = strlen(f->detail);
  if (have + 8 >= sizeof f->detail || text.len == 0) return;
  size_t room = sizeof f->detail - have - 3;
  size_t n = yoi_sdk_utf8_cut(text, text.len < room ? text.len : room);
  snprintf(f->detail + have, sizeof f->detail - have, ": %.*s", (int)n, text.ptr);
}

/* ---- the provider's error object ----------------------------------------- */

struct words {
  struct yoi_sdk_buf type, code, message;
  int64_t number; /* a code that is a number, else 0 */
};

static void word(yoi_str object, const char *name, struct yoi_sdk_buf *out) {
  yoi_sdk_buf_init(out, YOI_MODEL_ERROR_BODY_MAX);
  yoi_str raw = yoi_sdk_json_raw_get(object, name);
  if (!yoi_sdk_json_raw_unescape(raw, out)) yoi_sdk_buf_clear(out);
}

/* What stands in {"error": {...}}, {"error": "text"} or the object itself. */
static void words_read(yoi_str body, struct words *w) {
  yoi_str object = body;
  memset(w, 0, sizeof *w);
  if (body.len > YOI_MODEL_ERROR_BODY_MAX || yoi_sdk_json_check(body, 0, NULL) != YOI_OK)
    object = (yoi_str){0};
  yoi_str inner = yoi_sdk_json_raw_get(object, "error");
  if (inner.len && inner.ptr[0] == '{') object = inner;
  word(object, "type", &w->type);
  word(object, "code", &w->code);
  if (inner.len && inner.ptr[0] == '"')
    word(object, "error", &w->message);
  else
    word(object, "message", &w->message);
  if (!yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(object, "code"), &w->number)) w->number = 0;
}

static void words_release(struct words *w) {
  yoi_sdk_buf_release(&w->type);
  yoi_sdk_buf_release(&w->code);
  yoi_sdk_buf_release(&w->message);
}

static int says(const struct words *w, const char *what) {
  size_t n = strlen(what);
  return (w->type.len >= n && memmem(w->type.data, w->type.len, what, n)) ||
         (w->code.len >= n && memmem(w->code.data, w->code.len, what, n));
}

static const char *kind_of_words(const struct words *w, const char *otherwise) {
  static const char *const rows[][2] = {
      {"insufficient_quota", "quota"},
      {"billing", "quota"},
      {"rate_limit", "rate_limited"},
      {"overloaded", "overloaded"},
      {"unavailable", "overloaded"},
      {"authentication", "unauthorized"},
      {"invalid_api_key", "unauthorized"},
      {"permission", "unauthorized"},
      {"not_found", "not_found"},
      {"too_large", "too_large"},
      {"context_length", "invalid_request"},
      {"invalid_request", "invalid_request"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (says(w, rows[i][0])) return rows[i][1];
  return otherwise;
}

static const char *kind_of_status(uint32_t status, const struct words *w) {
  switch (status) {
    case 401:
    case 403:
      return "unauthorized";
    case 402:
      return "quota";
    case 404:
      return "not_found";
    case 408:
    case 409:
      return "server_error";
    case 413:
      return "too_large";
    case 429:
      return says(w, "insufficient_quota") || says(w, "billing") ? "quota" : "rate_limited";
    case 503:
    case 529:
      return "overloaded";
    default:
      break;
  }
  if (status >= 500 && status < 600) return "server_error";
  if (status >= 400 && status < 500) return "invalid_request";
  return "malformed"; /* a redirect, which is not followed */
}

static void quote_words(struct oai_failure *f, const struct words *w, yoi_str body) {
  if (w->code.len) oai_failure_quote(f, yoi_sdk_buf_str(&w->code));
  if (w->message.len)
    oai_failure_quote(f, yoi_sdk_buf_str(&w->message));
  else
    oai_failure_quote(f, body);
}

void oai_failure_http(struct oai_failure *f, uint32_t status, yoi_str should_retry, yoi_str body) {
  struct words w;
  words_read(body, &w);
  const char *kind = kind_of_status(status, &w);
  oai_failure_set(f, kind, "status %u", status);
  quote_words(f, &w, body);
  words_release(&w);
  f->status = status;
  /* The header may forbid a retry, but ask for one only where that can help:
   * a request that is invalid once is invalid for ever. */
  f->again = oai_kind_retryable(kind) && yoi_sdk_retry_wanted(status, should_retry);
}

void oai_failure_event(struct oai_failure *f, yoi_str data) {
  struct words w;
  words_read(data, &w);
  const char *kind = kind_of_words(&w, "server_error");
  if (w.number >= 400 && w.number < 600) kind = kind_of_status((uint32_t)w.number, &w);
  oai_failure_set(f, kind, "error inside the stream");
  quote_words(f, &w, data);
  words_release(&w);
}

void oai_failure_transport(struct oai_failure *f, const struct yoi_sdk_http_result *result) {
  /* The names of the two tables are the same where both have one. */
  const char *kind = result->end == YOI_SDK_HTTP_INTERNAL ? "connect"
                                                          : yoi_sdk_http_end_name(result->end);
  oai_failure_set(f, kind, "%s", result->detail);
  f->status = result->status;
  if (result->end == YOI_SDK_HTTP_TOTAL || result->end == YOI_SDK_HTTP_INTERNAL) f->again = 0;
}

yoi_status oai_failure_tell(const struct oai_failure *f, yoi_error *err) {
  size_t row = row_of(f->kind);
  char details[128];
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "%s", kinds[row].message);
  int n = snprintf(details, sizeof details, "{\"kind\":\"%s\",\"retryable\":%s}", kinds[row].kind,
                   kinds[row].retryable ? "true" : "false");
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  if (f->detail[0]) yoi_sdk_fail_private(err, "%s", f->detail);
  if (err && YOI_HAS(yoi_error, err, retry_after_ms)) {
    if (kinds[row].retryable) err->flags |= YOI_ERROR_RETRYABLE;
    err->retry_after_ms = f->retry_after_ms;
  }
  return st;
}
