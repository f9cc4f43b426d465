/* fetch.c - one call, as the stream that the host polls.
 *
 *     start: arguments, check of host and port
 *       |
 *       v          an answer that redirects: check again
 *    ASKING <---------------------------------------------+
 *       |  \______________________________________________/
 *       |
 *       +-- the end of an answer, or enough of it --> ENDED (END)
 *       +-- no answer, refused ---------------------> ENDED (error)
 *       +-- cancel ---------------------------------> ENDED (CANCELLED)
 *
 * What a call may reach is asked twice (yoi/host_net.h): by name and port
 * before anything is looked up, and by address when libcurl is about to open
 * a socket to it. The second answer is about the very address of that socket,
 * and no connection is used for two exchanges, so a name that changes between
 * look-ups, or a kept connection of another call, gets nobody anywhere.
 *
 * Invariants:
 *  1. arguments.url is what is being fetched; nothing is started for a URL
 *     that `allowed` did not say yes to.
 *  2. A redirect is followed only for 301, 302, 303, 307 and 308, at most
 *     YOI_FETCH_REDIRECTS_MAX times, never from https to http. Its body is not
 *     read. Conditions (If-None-Match, ...) were about the first URL and do
 *     not go to another host.
 *  3. Everything is touched on the call's loop, but for cancel_asked and what
 *     never changes. cancel from elsewhere posts a task; while that task is on
 *     its way the memory stays, whoever has released the stream.
 *  4. One wake per AGAIN: `owed` is set when AGAIN is given out and cleared by
 *     the wake.
 */
#include "fetch.h"

#include <assert.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <string.h>
#include <strings.h>

static void end(struct fetch_call *c, yoi_status st) {
  assert(c->state != FETCH_ENDED);
  c->state = FETCH_ENDED;
  c->status = st;
  if (!c->owed) return;
  c->owed = 0;
  c->instance->host->wake(c->instance->host, c->token);
}

/* Name and port, before anything is looked up. */
static yoi_status allowed(struct fetch_call *c, yoi_error *err) {
  const struct fetch_instance *i = c->instance;
  struct yoi_sdk_error e;
  c->refused = 0;
  yoi_status st = i->net->check(i->host, c->call, yoi_sdk_str(c->arguments.url.host),
                                c->arguments.url.port, yoi_sdk_error_init(&e));
  return st == YOI_OK ? YOI_OK : fetch_report_refused(c, e.message, err);
}

/* ---- the exchange ---------------------------------------------------------- */

static int on_connect(void *ctx, yoi_str address, uint32_t port) {
  struct fetch_call *c = ctx;
  const struct fetch_instance *i = c->instance;
  if (port == c->arguments.url.port &&
      i->net->check_address(i->host, c->call, yoi_sdk_str(c->arguments.url.host), port, address,
                            NULL) == YOI_OK)
    return 1;
  c->refused = 1;
  return 0;
}

static void on_field(void *ctx, uint32_t status, yoi_str name, yoi_str value) {
  if (status >= 200) fetch_report_field(ctx, name, value);
}

static int is_redirect(uint32_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int on_head(void *ctx, const struct yoi_sdk_http_head *head) {
  struct fetch_call *c = ctx;
  c->http_status = head->status;
  c->moved = is_redirect(head->status) && (c->location.len || c->location.failed);
  if (c->moved) return 1; /* its body is of no interest */
  c->moved = is_redirect(head->status);
  fetch_window_init(&c->window, c->arguments.offset, c->arguments.limit);
  fetch_content_init(&c->content, yoi_sdk_buf_str(&c->type), c->arguments.raw, &c->arguments.url,
                     &c->window);
  /* What is no text does not need to come. */
  return c->content.why && !c->arguments.head;
}

static int on_body(void *ctx, yoi_str bytes) {
  struct fetch_call *c = ctx;
  size_t room = c->instance->body_bytes - c->body_bytes;
  int more = bytes.len > room;
  if (more) bytes.len = room;
  c->body_bytes += bytes.len;
  if (fetch_content_feed(&c->content, bytes)) return 1;
  if (!more) return 0;
  fetch_content_end(&c->content);
  if (!c->content.why) c->content.why = FETCH_WHY_BODY;
  return 1;
}

static void send_request(struct fetch_call *c);

/* To where the answer says; or the end. */
static void follow(struct fetch_call *c) {
  struct yoi_sdk_url *from = &c->arguments.url, to;
  yoi_error *err = yoi_sdk_error_init(&c->error);
  yoi_status st;
  if (c->redirects == YOI_FETCH_REDIRECTS_MAX) {
    end(c, yoi_sdk_fail(err, YOI_CODE_REMOTE_MALFORMED, "there are more than %d redirects",
                        YOI_FETCH_REDIRECTS_MAX));
    return;
  }
  struct yoi_sdk_error why;
  st = c->location.failed ? YOI_INVALID_ARGUMENT
                          : yoi_sdk_url_parse(from, yoi_sdk_buf_str(&c->location), &to,
                                              yoi_sdk_error_init(&why));
  if (st != YOI_OK) {
    end(c, yoi_sdk_fail(err, YOI_CODE_REMOTE_MALFORMED, "it redirects, but where to: %s",
                        c->location.failed ? "the URL is too long" : why.message));
    return;
  }
  if (from->tls && !to.tls) {
    yoi_sdk_url_release(&to);
    end(c, yoi_sdk_fail(err, YOI_CODE_REMOTE_MALFORMED,
                        "it redirects from https to http, which is not followed"));
    return;
  }
  if (from->port != to.port || strcmp(from->host, to.host) != 0) c->arguments.moved_host = 1;
  yoi_sdk_url_release(from);
  *from = to;
  c->redirects++;
  st = allowed(c, err);
  if (st == YOI_OK)
    send_request(c);
  else
    end(c, st);
}

static void on_done(void *ctx, const struct yoi_sdk_http_result *r) {
  struct fetch_call *c = ctx;
  c->x = NULL;
  if (c->http_status && c->moved && (c->location.len || c->location.failed)) {
    follow(c);
    return;
  }
  /* STOPPED is ours: there is enough of it. */
  int answered = r->end == YOI_SDK_HTTP_OK || r->end == YOI_SDK_HTTP_STOPPED;
  int partly = (r->end == YOI_SDK_HTTP_CLOSED || r->end == YOI_SDK_HTTP_STALLED) && c->body_bytes;
  if (!c->http_status || (!answered && !partly)) {
    end(c, fetch_report_failure(c, r));
    return;
  }
  if (!c->arguments.head) fetch_content_end(&c->content);
  end(c, fetch_report_answer(c, partly ? r->end : 0));
}

static const struct yoi_sdk_http_handler handler = {
    .head = on_head, .body = on_body, .done = on_done, .field = on_field, .connect = on_connect};

static int is_condition(const char *line) {
  return strncasecmp(line, "If-", 3) == 0;
}

static void send_request(struct fetch_call *c) {
  static const char agent[] = "User-Agent: yoi-http-fetch/1.0";
  struct fetch_instance *i = c->instance;
  const char *lines[YOI_FETCH_HEADERS_MAX + 1] = {agent};
  size_t n = 1;
  for (size_t at = 0; at < c->arguments.lines.len; at += strlen(c->arguments.lines.data + at) + 1) {
    const char *line = c->arguments.lines.data + at;
    if (!(c->arguments.moved_host && is_condition(line))) lines[n++] = line;
  }
  struct yoi_sdk_http_request req = {
      .url = c->arguments.url.text,
      .headers = lines,
      .n_headers = n,
      .connect_ms = i->connect_ms,
      .first_byte_ms = i->first_byte_ms,
      .gap_ms = i->gap_ms,
      .flags = YOI_SDK_HTTP_DECODE | (c->arguments.head ? YOI_SDK_HTTP_HEAD : 0),
      .deadline_ns = c->deadline_ns,
      .response_max = SIZE_MAX, /* on_body counts */
  };
  c->http_status = 0;
  c->moved = 0;
  c->body_bytes = 0;
  yoi_sdk_buf_release(&c->location);
  yoi_sdk_buf_init(&c->location, YOI_FETCH_URL_MAX);
  yoi_sdk_buf_clear(&c->type);
  yoi_sdk_buf_clear(&c->length);
  yoi_sdk_buf_clear(&c->fields);
  yoi_error *err = yoi_sdk_error_init(&c->error);
  yoi_status st = yoi_sdk_http_start(i->http, &req, &handler, c, &c->x, err);
  if (st != YOI_OK) end(c, st);
}

/* ---- the ABI's stream --------------------------------------------------------- */

static yoi_status next(yoi_stream *stream, const yoi_event *const **out_events, size_t *out_n,
                       yoi_error *err) {
  struct fetch_call *c = (struct fetch_call *)(void *)stream;
  if (c->state != FETCH_ENDED) {
    c->owed = 1;
    return YOI_AGAIN;
  }
  if (c->status == YOI_END && !c->given) {
    c->given = 1;
    c->event = (yoi_event){.size = sizeof c->event,
                           .kind = YOI_EVENT_TOOL_OUTPUT,
                           .text = yoi_sdk_buf_str(&c->result)};
    c->events[0] = &c->event;
    *out_events = c->events;
    *out_n = 1;
    return YOI_OK;
  }
  if (c->status == YOI_CANCELLED)
    yoi_sdk_error_clear(err);
  else if (c->status != YOI_END)
    yoi_sdk_error_copy(err, &c->error.e);
  return c->status;
}

/* On the call's loop. */
static void cancel_here(struct fetch_call *c) {
  if (c->state == FETCH_ENDED) return;
  yoi_sdk_http_cancel(c->x);
  c->x = NULL;
  end(c, YOI_CANCELLED);
}

static void cancel_task(void *ctx) {
  struct fetch_call *c = ctx;
  atomic_store(&c->cancel_asked, 0);
  if (c->released)
    fetch_call_free(c);
  else
    cancel_here(c);
}

static void cancel(yoi_stream *stream) {
  struct fetch_call *c = (struct fetch_call *)(void *)stream;
  struct fetch_instance *i = c->instance;
  if (i->loop->current(i->host) == c->loop) {
    cancel_here(c);
    return;
  }
  if (atomic_exchange(&c->cancel_asked, 1)) return;
  /* After a post that succeeded the call may be gone any moment. */
  if (i->loop->post(i->host, c->loop, cancel_task, c) != YOI_OK) atomic_store(&c->cancel_asked, 0);
}

static void release_here(void *ctx) {
  struct fetch_call *c = ctx;
  yoi_sdk_http_cancel(c->x);
  c->x = NULL;
  c->owed = 0;
  c->released = 1;
  if (!atomic_load(&c->cancel_asked)) fetch_call_free(c);
}

static void release(yoi_stream *stream) {
  struct fetch_call *c = (struct fetch_call *)(void *)stream;
  if (!c) return;
  struct fetch_instance *i = c->instance;
  /* Off its loop (a holder that is being torn down) the socket is not ours to
   * touch. When the post fails, close frees what is left. */
  if (i->loop->current(i->host) == c->loop)
    release_here(c);
  else
    (void)i->loop->post(i->host, c->loop, release_here, c);
}

static const yoi_stream_ops ops = {
    .size = sizeof ops, .next = next, .cancel = cancel, .release = release};

/* ---- making one ------------------------------------------------------------------ */

void fetch_call_free(struct fetch_call *c) {
  struct fetch_loop *l = &c->instance->loops[c->loop];
  *(c->prev ? &c->prev->next : &l->calls) = c->next;
  if (c->next) c->next->prev = c->prev;
  fetch_content_release(&c->content);
  fetch_window_release(&c->window);
  fetch_arguments_release(&c->arguments);
  yoi_sdk_buf_release(&c->location);
  yoi_sdk_buf_release(&c->type);
  yoi_sdk_buf_release(&c->length);
  yoi_sdk_buf_release(&c->fields);
  yoi_sdk_buf_release(&c->result);
  yoi_sdk_free(c);
}

yoi_status fetch_start(struct fetch_instance *i, const yoi_tool_request *req, yoi_stream **out,
                       yoi_error *err) {
  uint32_t loop = i->loop->current(i->host);
  if (loop >= i->n_loops)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "a call was started off the loops");
  struct fetch_call *c = yoi_sdk_calloc(1, sizeof *c);
  if (!c) return yoi_sdk_fail_memory(err);
  c->head.ops = &ops;
  c->instance = i;
  c->loop = loop;
  c->token = req->token;
  c->call = req->call;
  c->deadline_ns = req->deadline_ns;
  c->state = FETCH_ASKING;
  c->content.charset.cd = (iconv_t)-1;
  yoi_sdk_buf_init(&c->type, 256);
  yoi_sdk_buf_init(&c->length, 32);
  yoi_sdk_buf_init(&c->fields, 2048);
  yoi_sdk_buf_init(&c->result, YOI_TOOL_RESULT_BYTES_MAX);
  c->next = i->loops[loop].calls;
  if (c->next) c->next->prev = c;
  i->loops[loop].calls = c;
  yoi_status st = fetch_arguments_read(req->arguments, &c->arguments, err);
  if (st == YOI_OK) st = allowed(c, err);
  if (st != YOI_OK) {
    fetch_call_free(c);
    return st;
  }
  send_request(c);
  *out = &c->head;
  return YOI_OK;
}
