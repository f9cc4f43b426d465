/* report.c - what the model is told.
 *
 * An answer, whatever its status, is a result: a page that says 404 is what
 * was asked for. What ends without one is an error, and so is a body that is
 * no text.
 *
 * A message names the URL that the model wrote or that a server sent it to,
 * since that is what has to be changed. It never names the address that a name
 * led to, nor what else would be allowed: a model that reads hostile pages
 * could be asked to carry a map of the network outside. The address is private
 * detail; the hosts that may be reached stand in the profile's text, where the
 * operator can put them if a model should know.
 */
#include "fetch.h"

#include <inttypes.h>
#include <sdk/error.h>
#include <string.h>
#include <strings.h>

#define URL_SAID 300 /* of a URL in a message, which has 512 bytes */

/* For "%.*s" of a URL, cut. */
static int said(const char *url) {
  size_t n = strlen(url);
  return (int)(n < URL_SAID ? n : URL_SAID);
}
#define SAY(c) said((c)->arguments.url.text), (c)->arguments.url.text

static int is(yoi_str s, const char *word) {
  return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* Header fields may hold anything; what is not printable ASCII is a '?'. */
static void add_plain(struct yoi_sdk_buf *to, yoi_str value, size_t max) {
  for (size_t i = 0; i < value.len && i < max; i++)
    yoi_sdk_buf_addc(to, value.ptr[i] >= ' ' && value.ptr[i] < 0x7f ? value.ptr[i] : '?');
}

static void set(struct yoi_sdk_buf *to, yoi_str value, size_t max) {
  yoi_sdk_buf_clear(to);
  add_plain(to, value, max);
}

void fetch_report_field(struct fetch_call *c, yoi_str name, yoi_str value) {
  static const char *const told[] = {"etag", "last-modified", "retry-after", "content-language"};
  if (is(name, "content-type")) set(&c->type, value, 255);
  if (is(name, "content-length")) set(&c->length, value, 20);
  if (is(name, "location")) {
    yoi_sdk_buf_clear(&c->location);
    yoi_sdk_buf_adds(&c->location, value); /* too long: it has failed, see fetch.c */
  }
  for (size_t i = 0; i < sizeof told / sizeof *told; i++)
    if (is(name, told[i]) && c->fields.len < 1024) {
      yoi_sdk_buf_adds(&c->fields, yoi_sdk_str(told[i]));
      yoi_sdk_buf_adds(&c->fields, YOI_LIT(": "));
      add_plain(&c->fields, value, 255);
      yoi_sdk_buf_addc(&c->fields, '\n');
    }
}

static yoi_status refuse_binary(struct fetch_call *c) {
  yoi_str type = yoi_sdk_buf_str(&c->type), length = yoi_sdk_buf_str(&c->length);
  yoi_error *err = yoi_sdk_error_init(&c->error);
  if (type.len == 0) type = YOI_LIT("of no named type");
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_MEDIA_TYPE,
                      "'%.*s' is no text that can be given: %.*s%s%.*s%s", SAY(c), YOI_ARG(type),
                      length.len ? ", " : "", YOI_ARG(length), length.len ? " bytes" : "");
}

static void add_head(struct fetch_call *c) {
  struct yoi_sdk_buf *b = &c->result;
  yoi_str type = yoi_sdk_buf_str(&c->type);
  if (type.len == 0) type = YOI_LIT("no type");
  yoi_sdk_buf_addf(b, "%u %.*s %s\n", c->http_status, YOI_ARG(type), c->arguments.url.text);
  yoi_sdk_buf_adds(b, yoi_sdk_buf_str(&c->fields));
  if (c->arguments.head && c->length.len)
    yoi_sdk_buf_addf(b, "content-length: %.*s\n", YOI_ARG(yoi_sdk_buf_str(&c->length)));
  if (c->moved)
    yoi_sdk_buf_adds(b, YOI_LIT("it redirects, but names no place to go to\n"));
}

static void add_note(struct fetch_call *c, uint32_t cut, uint64_t from, size_t n) {
  struct yoi_sdk_buf *b = &c->result;
  uint64_t next = from + n;
  if (c->content.why == FETCH_WHY_FULL)
    yoi_sdk_buf_addf(b,
                     "\n[bytes %" PRIu64 " to %" PRIu64
                     "; there is more: go on with \"offset\": %" PRIu64 "]",
                     from, next, next);
  else if (c->content.why == FETCH_WHY_DEEP)
    yoi_sdk_buf_addf(b,
                     "\n[cut: the page nests more than %d elements; \"as\": \"raw\" gives "
                     "its source]",
                     YOI_FETCH_DEPTH_MAX);
  else if (c->content.why == FETCH_WHY_ATTRIBUTES)
    yoi_sdk_buf_adds(b, YOI_LIT("\n[cut: a tag of the page has too many attributes; \"as\": "
                                "\"raw\" gives its source]"));
  else if (c->content.why == FETCH_WHY_BODY)
    yoi_sdk_buf_addf(b, "\n[cut: only the first %zu bytes of the answer are read]",
                     c->instance->body_bytes);
  else if (cut == YOI_SDK_HTTP_STALLED)
    yoi_sdk_buf_adds(b, YOI_LIT("\n[cut: the server stopped in the middle of the answer]"));
  else if (cut)
    yoi_sdk_buf_adds(b, YOI_LIT("\n[cut: the connection ended before the answer did]"));
  else if (n == 0 && c->window.passed)
    yoi_sdk_buf_addf(b, "[the text has %" PRIu64 " bytes: nothing is behind that offset]",
                     c->window.passed);
  else if (n == 0)
    yoi_sdk_buf_adds(b, YOI_LIT("[there is no text in it]"));
}

yoi_status fetch_report_answer(struct fetch_call *c, uint32_t cut) {
  uint64_t from = 0;
  if (c->content.why == FETCH_WHY_BINARY && !c->arguments.head) return refuse_binary(c);
  if (c->content.why == FETCH_WHY_MEMORY)
    return yoi_sdk_fail_memory(yoi_sdk_error_init(&c->error));
  add_head(c);
  if (!c->arguments.head) {
    yoi_str text = fetch_window_text(&c->window, &from);
    yoi_sdk_buf_addc(&c->result, '\n');
    yoi_sdk_buf_adds(&c->result, text);
    add_note(c, cut, from, text.len);
  }
  return c->result.failed ? yoi_sdk_fail_memory(yoi_sdk_error_init(&c->error)) : YOI_END;
}

yoi_status fetch_report_refused(struct fetch_call *c, const char *private_detail, yoi_error *err) {
  const struct yoi_sdk_url *u = &c->arguments.url;
  const char *after = c->redirects ? "it redirects to a place that is refused: " : "";
  yoi_status st;
  if (c->refused)
    st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                      "%sthe name '%.*s' leads to an address that may not be connected to", after,
                      said(u->host), u->host);
  else
    st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                      "%sport %u of '%.*s' is not granted to this call", after, u->port,
                      said(u->host), u->host);
  yoi_sdk_fail_private(err, "%s", private_detail);
  return st;
}

yoi_status fetch_report_failure(struct fetch_call *c, const struct yoi_sdk_http_result *r) {
  static const struct {
    uint32_t end;
    int32_t code;
    const char *what;
  } rows[] = {
      {YOI_SDK_HTTP_CONNECT, YOI_CODE_REMOTE_MALFORMED, "no connection can be made to"},
      {YOI_SDK_HTTP_TLS, YOI_CODE_REMOTE_MALFORMED, "no trusted TLS connection can be made to"},
      {YOI_SDK_HTTP_FIRST_BYTE, YOI_CODE_TIMEOUT, "no answer came in time from"},
      {YOI_SDK_HTTP_STALLED, YOI_CODE_TIMEOUT, "the answer stopped in the middle, from"},
      {YOI_SDK_HTTP_TOTAL, YOI_CODE_TIMEOUT, "the time of the call was over before the answer of"},
      {YOI_SDK_HTTP_CLOSED, YOI_CODE_REMOTE_MALFORMED, "the connection ended without an answer of"},
      {YOI_SDK_HTTP_MALFORMED, YOI_CODE_REMOTE_MALFORMED, "what came is no HTTP, from"},
      {YOI_SDK_HTTP_TOO_LARGE, YOI_CODE_REMOTE_MALFORMED, "the header is too large, of"},
  };
  yoi_error *err = yoi_sdk_error_init(&c->error);
  yoi_status st = YOI_INTERNAL;
  if (r->end == YOI_SDK_HTTP_CONNECT && c->refused)
    return fetch_report_refused(c, "by check_address", err);
  if (r->end == YOI_SDK_HTTP_CONNECT && r->unknown_name) {
    st = yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "the name '%.*s' is not known",
                      said(c->arguments.url.host), c->arguments.url.host);
  } else {
    size_t i = 0;
    while (i < sizeof rows / sizeof *rows && rows[i].end != r->end) i++;
    st = i < sizeof rows / sizeof *rows
             ? yoi_sdk_fail(err, rows[i].code, "%s '%.*s'", rows[i].what, SAY(c))
             : yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the request cannot be made");
  }
  yoi_sdk_fail_private(err, "%s: %s", yoi_sdk_http_end_name(r->end), r->detail);
  return st;
}
