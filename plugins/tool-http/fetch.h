/* fetch.h - what the files of tool-http share.
 *
 *   plugin.c     the instance and its config
 *   arguments.c  what a call asks for
 *   fetch.c      one call: requests, redirects, its end
 *   report.c     what the model is told
 *   content.c    what a body is, and its way to text
 *   charset.c    any charset to UTF-8
 *   page.c       HTML to text
 *   window.c     the part of a text that was asked for
 *
 *   bytes --content--> charset --UTF-8--> page --text--> window
 *                                  \------- no HTML -----/
 *
 * A body is never held: what arrives goes through at once, so that a call
 * costs its window, what the parser has not understood yet, and no more.
 */
#ifndef TOOL_HTTP_FETCH_H
#define TOOL_HTTP_FETCH_H

#include <iconv.h>
#include <sdk/error.h>
#include <sdk/http.h>
#include <sdk/json.h>
#include <sdk/str.h>
#include <sdk/url.h>
#include <stdatomic.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_net.h>
#include <yoi/tool.h>

/* ---- window.c ------------------------------------------------------------- */

/* Of all text that comes by, the bytes from `offset` on, at most `limit`. */
struct fetch_window {
  uint64_t offset, passed; /* passed: all that came by */
  size_t limit;
  struct yoi_sdk_buf text;
};
void fetch_window_init(struct fetch_window *w, uint64_t offset, size_t limit);
void fetch_window_add(struct fetch_window *w, yoi_str text);
/* More came by than is wanted: nothing else needs to come. */
int fetch_window_full(const struct fetch_window *w);
/* What is in it, cut to whole characters; *out_from is where it begins. */
yoi_str fetch_window_text(const struct fetch_window *w, uint64_t *out_from);
void fetch_window_release(struct fetch_window *w);

/* ---- charset.c ------------------------------------------------------------ */

struct fetch_charset {
  iconv_t cd; /* (iconv_t)-1: not open */
  char held[16]; /* the head of a character */
  size_t n_held;
};
/* The name that iconv knows a label by, as browsers read labels; NULL: none. */
const char *fetch_charset_find(yoi_str label);
/* What a text is in, by its first bytes: a byte order mark, the label that its
 * type gave, the one inside of HTML or XML, else UTF-8 if it is and
 * windows-1252 if not. Never NULL. */
const char *fetch_charset_guess(yoi_str head, yoi_str label, int markup);
int fetch_charset_open(struct fetch_charset *c, const char *name); /* 0: it cannot be */
/* Appends bytes as UTF-8. What is none of the charset, and a control character
 * other than white space, is U+FFFD. */
void fetch_charset_feed(struct fetch_charset *c, yoi_str bytes, struct yoi_sdk_buf *out);
void fetch_charset_end(struct fetch_charset *c, struct yoi_sdk_buf *out);
void fetch_charset_close(struct fetch_charset *c);

/* ---- page.c --------------------------------------------------------------- */

/* Why it goes no further; also fetch_content.why */
#define FETCH_WHY_NOTHING 0u
#define FETCH_WHY_FULL 1u       /* the window is */
#define FETCH_WHY_BINARY 2u     /* it is no text */
#define FETCH_WHY_DEEP 3u       /* past YOI_FETCH_DEPTH_MAX */
#define FETCH_WHY_ATTRIBUTES 4u /* past YOI_FETCH_ATTRIBUTES_MAX */
#define FETCH_WHY_MEMORY 5u
#define FETCH_WHY_BODY 6u /* past body_bytes */

struct fetch_page;
/* base and to stay. NULL: memory is short. */
struct fetch_page *fetch_page_new(const struct yoi_sdk_url *base, struct fetch_window *to);
uint32_t fetch_page_feed(struct fetch_page *p, yoi_str utf8); /* FETCH_WHY_* */
uint32_t fetch_page_end(struct fetch_page *p);
void fetch_page_free(struct fetch_page *p);

/* ---- content.c ------------------------------------------------------------ */

#define FETCH_UNKNOWN 0u /* of no type that says anything: its bytes tell */
#define FETCH_TEXT 1u
#define FETCH_HTML 2u
#define FETCH_BINARY 3u

struct fetch_content {
  const struct yoi_sdk_url *base;
  struct fetch_window *to;
  uint32_t kind, why;
  int raw; /* HTML is text */
  int begun; /* kind and charset are known */
  char label[64]; /* the charset of its type */
  struct yoi_sdk_buf head, utf8;
  struct fetch_charset charset;
  struct fetch_page *page;
};
/* type: a content-type field's value. */
void fetch_content_init(struct fetch_content *c, yoi_str type, int raw,
                        const struct yoi_sdk_url *base, struct fetch_window *to);
/* 1: enough, `why` says what of. */
int fetch_content_feed(struct fetch_content *c, yoi_str bytes);
void fetch_content_end(struct fetch_content *c);
void fetch_content_release(struct fetch_content *c);

/* ---- arguments.c ---------------------------------------------------------- */

struct fetch_arguments {
  struct yoi_sdk_url url;
  int head, raw;
  int moved_host; /* a redirect led to another host or port */
  uint64_t offset;
  size_t limit;
  struct yoi_sdk_buf lines; /* header lines, each with a NUL behind it */
  size_t n_lines;
};
yoi_status fetch_arguments_read(yoi_str text, struct fetch_arguments *a, yoi_error *err);
void fetch_arguments_release(struct fetch_arguments *a);

/* ---- the instance --------------------------------------------------------- */

struct fetch_call;
struct fetch_loop {
  struct fetch_call *calls; /* all that are not freed */
};

struct fetch_instance {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_net *net;
  struct yoi_sdk_http *http;
  uint32_t connect_ms, first_byte_ms, gap_ms;
  size_t body_bytes;
  uint32_t n_loops;
  struct fetch_loop loops[];
};

/* ---- fetch.c -------------------------------------------------------------- */

/* fetch_call.state, drawn in fetch.c */
#define FETCH_ASKING 1u
#define FETCH_ENDED 2u

struct fetch_call {
  yoi_stream head; /* first: this is the ABI's stream */
  struct fetch_instance *instance;
  struct fetch_call *prev, *next; /* of its loop */
  uint32_t loop, state, redirects;
  uint64_t token, call, deadline_ns;
  yoi_status status; /* in ENDED: YOI_END, YOI_CANCELLED, else of error */
  uint8_t owed;      /* AGAIN was given out: one wake is due */
  uint8_t released;  /* only the cancelling task still knows it */
  uint8_t given;     /* next has handed out the result */
  uint8_t refused;   /* the host said no to an address */
  _Atomic uint32_t cancel_asked;
  struct yoi_sdk_http_exchange *x;
  struct fetch_arguments arguments; /* url: where it is now */
  /* of the answer that is read */
  uint32_t http_status;
  int moved; /* it is a redirect: `location` */
  size_t body_bytes;
  struct yoi_sdk_buf location, type;
  struct yoi_sdk_buf fields; /* what the model is told of the header, lines */
  struct yoi_sdk_buf length; /* content-length */
  struct fetch_content content;
  struct fetch_window window;
  struct yoi_sdk_buf result;
  yoi_event event;
  const yoi_event *events[1];
  struct yoi_sdk_error error;
};

yoi_status fetch_start(struct fetch_instance *i, const yoi_tool_request *req, yoi_stream **out,
                       yoi_error *err);
void fetch_call_free(struct fetch_call *c);

/* ---- report.c ------------------------------------------------------------- */

/* Keeps of a header field what the model is told. */
void fetch_report_field(struct fetch_call *c, yoi_str name, yoi_str value);
/* The answer as c->result, or c->error with its status. cut: how the exchange
 * ended, when that was not with the end of the answer. */
yoi_status fetch_report_answer(struct fetch_call *c, uint32_t cut);
/* There is no answer. */
yoi_status fetch_report_failure(struct fetch_call *c, const struct yoi_sdk_http_result *r);
/* The host does not let the call have c->arguments.url. */
yoi_status fetch_report_refused(struct fetch_call *c, const char *private_detail, yoi_error *err);

#endif
