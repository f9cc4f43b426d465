/* ingress-http/response.c - answers and event frames to bytes.
 *
 * An answer is one run of bytes, made to be sent with one call: the head is
 * written here, the content mostly stays where the runtime put it. An event's
 * frame is its head, its text as it is, and a tail; nothing is copied.
 *
 *     answer   HTTP/1.1 200 OK .. CR LF CR LF   text
 *     frame    SIZE CR LF  id: .. event: .. data:   text   LF LF  CR LF
 *              (chunk)                                            (chunk)
 *
 *  1. No byte that a caller sent reaches a header field unchecked: request ids
 *     are tokens, locations are made of ids, the rest is ours.
 *  2. Every error has the one body of the API, with its request id.
 *  3. A frame's text is one line; what is not would end it early, so it is
 *     refused (the stream then ends as internal).
 */
#include "response.h"

#include <sdk/jsonw.h>
#include <string.h>
#include <yoi/limits.h>
#include <yoi/ops.h>

#define STR(x) #x
#define TEXT(x) STR(x)

void http_date(uint64_t wall_ns, char out[HTTP_DATE_SIZE]) {
  static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  uint64_t s = wall_ns / 1000000000u, day = s / 86400u, t = s % 86400u;
  /* Days to a date: Howard Hinnant, "chrono-Compatible Low-Level Date
   * Algorithms", civil_from_days, for days from 1970 on. */
  uint64_t z = day + 719468, era = z / 146097, doe = z - era * 146097;
  uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
  unsigned dom = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
  unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
  unsigned year = (unsigned)(yoe + era * 400 + (month <= 2));
  snprintf(out, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[(day + 4) % 7],
           dom % 100, months[month - 1], year % 10000, (unsigned)(t / 3600),
           (unsigned)(t / 60 % 60), (unsigned)(t % 60));
}

const char *http_reason(int status) {
  switch (status) {
  case 200: return "OK";
  case 201: return "Created";
  case 202: return "Accepted";
  case 204: return "No Content";
  case 304: return "Not Modified";
  case 400: return "Bad Request";
  case 401: return "Unauthorized";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 408: return "Request Timeout";
  case 409: return "Conflict";
  case 410: return "Gone";
  case 413: return "Content Too Large";
  case 415: return "Unsupported Media Type";
  case 422: return "Unprocessable Content";
  case 429: return "Too Many Requests";
  case 431: return "Request Header Fields Too Large";
  case 500: return "Internal Server Error";
  case 501: return "Not Implemented";
  case 502: return "Bad Gateway";
  case 503: return "Service Unavailable";
  case 504: return "Gateway Timeout";
  default: return "Unknown";
  }
}

/* ---- answers --------------------------------------------------------------- */

static void add(struct yoi_sdk_buf *b, const char *name, yoi_str value) {
  yoi_sdk_buf_add(b, name, strlen(name));
  yoi_sdk_buf_adds(b, value);
  yoi_sdk_buf_add(b, "\r\n", 2);
}

static void add_number(struct yoi_sdk_buf *b, const char *name, uint64_t n) {
  char digits[24];
  size_t at = sizeof digits;
  do digits[--at] = (char)('0' + n % 10);
  while (n /= 10);
  add(b, name, (yoi_str){digits + at, sizeof digits - at});
}

static void status_line(struct yoi_sdk_buf *b, int status) {
  char line[16] = "HTTP/1.1 000 ";
  line[9] = (char)('0' + status / 100 % 10);
  line[10] = (char)('0' + status / 10 % 10);
  line[11] = (char)('0' + status % 10);
  yoi_sdk_buf_add(b, line, 13);
  add(b, "", yoi_sdk_str(http_reason(status)));
}

/* What is data is no page: it loads nothing, runs nothing, is shown in no frame,
 * and is of no use to pages of others. */
static void add_browser(struct yoi_sdk_buf *b, const struct http_reply *r) {
  add(b, "Content-Security-Policy: ",
      yoi_sdk_str(r->policy ? r->policy : "default-src 'none'; frame-ancestors 'none'"));
  add(b, "X-Frame-Options: DENY", (yoi_str){NULL, 0});
  add(b, "Referrer-Policy: no-referrer", (yoi_str){NULL, 0});
  add(b, "Cross-Origin-Resource-Policy: same-origin", (yoi_str){NULL, 0});
  if (r->policy) add(b, "Cross-Origin-Opener-Policy: same-origin", (yoi_str){NULL, 0});
}

void http_reply_head(struct yoi_sdk_buf *b, const struct http_reply *r) {
  int events = r->type && strcmp(r->type, HTTP_TYPE_SSE) == 0;
  status_line(b, r->status);
  add(b, "Date: ", yoi_sdk_str(r->date));
  if (r->type) {
    add(b, "Content-Type: ", yoi_sdk_str(r->type));
    if (r->chunked) add(b, "Transfer-Encoding: chunked", (yoi_str){NULL, 0});
    else if (!events) add_number(b, "Content-Length: ", r->length);
  }
  /* What has a tag may be kept, but whether it is still there has to be asked. */
  if (r->etag.len > 0) {
    yoi_sdk_buf_addf(b, "ETag: \"%.*s\"\r\n", YOI_ARG(r->etag));
    add(b, "Cache-Control: private, no-cache", (yoi_str){NULL, 0});
  } else {
    add(b, "Cache-Control: no-store", (yoi_str){NULL, 0});
  }
  add(b, "X-Content-Type-Options: nosniff", (yoi_str){NULL, 0});
  if (r->browser) add_browser(b, r);
  for (size_t i = 0; i < 2; i++)
    if (r->cookies[i].len > 0) add(b, "Set-Cookie: ", r->cookies[i]);
  /* Proxies that gather an answer before passing it on would hold events. */
  if (events) add(b, "X-Accel-Buffering: no", (yoi_str){NULL, 0});
  if (r->request_id.len > 0) add(b, "X-Request-Id: ", r->request_id);
  if (r->allow && r->allow[0]) add(b, "Allow: ", yoi_sdk_str(r->allow));
  if (r->location.len > 0) add(b, "Location: ", r->location);
  if (r->status == 401) add(b, "WWW-Authenticate: Bearer", (yoi_str){NULL, 0});
  if (r->retry_after_ms > 0) add_number(b, "Retry-After: ", (r->retry_after_ms + 999u) / 1000u);
  if (r->close) add(b, "Connection: close", (yoi_str){NULL, 0});
  yoi_sdk_buf_add(b, "\r\n", 2);
}

void http_error_body(struct yoi_sdk_buf *b, const yoi_error *e, yoi_str request_id) {
  struct yoi_sdk_jsonw w;
  const char *name = yoi_sdk_code_name(e->code);
  yoi_sdk_jsonw_init(&w, b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "error");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "code", yoi_sdk_str(name ? name : "internal"));
  yoi_sdk_jsonw_kstr(&w, "message", yoi_sdk_str(e->message_cap > 0 ? e->message : NULL));
  yoi_sdk_jsonw_kstr(&w, "request_id", request_id);
  if (e->details_cap > 0 && e->details[0])
    yoi_sdk_jsonw_kraw(&w, "details", yoi_sdk_str(e->details));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
}

void http_reply_error(struct yoi_sdk_buf *b, struct http_reply *r, const yoi_error *e) {
  struct yoi_sdk_buf body;
  int status = yoi_sdk_code_http(e->code);
  yoi_sdk_buf_init(&body, 4 * (YOI_ERROR_MESSAGE_MAX + YOI_ERROR_DETAILS_MAX));
  http_error_body(&body, e, r->request_id);
  r->status = status ? status : 500;
  r->type = HTTP_TYPE_JSON;
  r->length = body.len;
  r->chunked = 0;
  if (r->status == 429 || r->status == 503) {
    r->retry_after_ms = e->retry_after_ms ? e->retry_after_ms : 1000;
  }
  http_reply_head(b, r);
  if (!r->head) yoi_sdk_buf_adds(b, yoi_sdk_buf_str(&body));
  yoi_sdk_buf_release(&body);
}

/* ---- frames ------------------------------------------------------------------ */

static size_t put(char *out, size_t at, const char *text, size_t n) {
  memcpy(out + at, text, n);
  return at + n;
}

static int one_line(yoi_str s) {
  return s.len == 0 || (!memchr(s.ptr, '\n', s.len) && !memchr(s.ptr, '\r', s.len));
}

size_t http_frame_head(char out[HTTP_FRAME_HEAD_MAX], const yoi_event *ev, int chunked) {
  static const char hex[] = "0123456789abcdef";
  char lines[HTTP_FRAME_HEAD_MAX];
  const char *name = yoi_sdk_event_name(ev->kind);
  size_t n = 0, at = 0;
  if (!name || !one_line(ev->text) || !one_line(ev->cursor) || ev->cursor.len > YOI_CURSOR_MAX)
    return 0;
  if (ev->cursor.len > 0) {
    if (memchr(ev->cursor.ptr, 0, ev->cursor.len)) return 0;
    n = put(lines, n, "id: ", 4);
    n = put(lines, n, ev->cursor.ptr, ev->cursor.len);
    n = put(lines, n, "\n", 1);
  }
  n = put(lines, n, "event: ", 7);
  n = put(lines, n, name, strlen(name));
  n = put(lines, n, "\ndata: ", 7);
  if (chunked) {
    size_t size = n + ev->text.len + 2;
    int shift = 60;
    while (shift > 0 && (size >> shift) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) out[at++] = hex[size >> shift & 15u];
    at = put(out, at, "\r\n", 2);
  }
  return put(out, at, lines, n);
}

yoi_str http_frame_tail(int chunked) { return chunked ? YOI_LIT("\n\n\r\n") : YOI_LIT("\n\n"); }

#define RETRY "retry: " TEXT(YOI_HTTP_RETRY_MS) "\n\n"
_Static_assert(sizeof RETRY - 1 == 13, "the chunk size below is 13 in hexadecimal");

yoi_str http_frame_retry(int chunked) {
  return chunked ? YOI_LIT("d\r\n" RETRY "\r\n") : YOI_LIT(RETRY);
}

yoi_str http_frame_heartbeat(int chunked) {
  return chunked ? YOI_LIT("3\r\n:\n\n\r\n") : YOI_LIT(":\n\n");
}
