/* ingress-http/response.h - answers and event frames to bytes, without I/O. */
#ifndef YOI_HTTP_RESPONSE_H
#define YOI_HTTP_RESPONSE_H

#include <sdk/error.h>
#include <sdk/str.h>
#include <yoi/stream.h>

#define HTTP_DATE_SIZE 30       /* IMF-fixdate and NUL */
#define HTTP_FRAME_HEAD_MAX 320 /* chunk size, cursor, kind and field names */
#define HTTP_HEAD_MAX 4096      /* of an answer: every field is bounded */

#define HTTP_TYPE_JSON "application/json"
#define HTTP_TYPE_SSE "text/event-stream"
#define HTTP_TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define HTTP_TYPE_HTML "text/html; charset=utf-8"

#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define HTTP_LAST_CHUNK "0\r\n\r\n"

struct http_reply {
  int status;
  const char *type; /* NULL: an answer without content */
  uint64_t length;  /* of the content */
  uint8_t chunked;  /* instead of a length */
  uint8_t close;    /* the connection ends with it */
  uint8_t head;     /* to a HEAD request: no content follows */
  uint8_t browser;  /* of a browser surface: what browsers are to keep to */
  const char *date;
  yoi_str request_id;
  const char *allow;    /* 405; NULL else */
  yoi_str location;     /* 201; empty else */
  yoi_str etag;         /* the inside of it; empty: none */
  yoi_str cookies[2];   /* Set-Cookie; empty: none */
  const char *policy;   /* Content-Security-Policy of a page; NULL: that of data */
  uint32_t retry_after_ms;
};

void http_date(uint64_t wall_ns, char out[HTTP_DATE_SIZE]);
const char *http_reason(int status);

/* Appends the status line and the fields. */
void http_reply_head(struct yoi_sdk_buf *b, const struct http_reply *r);
/* Appends a whole answer for an error: status, type and length of r are set
 * from e->code. */
void http_reply_error(struct yoi_sdk_buf *b, struct http_reply *r, const yoi_error *e);
/* The one error body. */
void http_error_body(struct yoi_sdk_buf *b, const yoi_error *e, yoi_str request_id);

/* What stands before an event's text: id, event and `data: `, with the size
 * of its chunk. Returns its length, 0 when the event cannot be framed (an
 * unknown kind, a line feed in its text or cursor). */
size_t http_frame_head(char out[HTTP_FRAME_HEAD_MAX], const yoi_event *ev, int chunked);
/* What stands behind it. */
yoi_str http_frame_tail(int chunked);
/* `retry:` once at the start, a comment as heartbeat. */
yoi_str http_frame_retry(int chunked);
yoi_str http_frame_heartbeat(int chunked);

#endif
