/* ingress-http/access.c - the access log: a line per answer, when it is out.
 *
 *   msg=request request_id=... method=GET path=/v1/workers/a status=404
 *       bytes=431 duration_ms=2 principal=token:t peer=10.0.0.7:4711
 *       user_agent=curl/8.5.0 trace_id=...
 *
 * What a line needs is copied when the header is whole, into one block of that
 * size, because most of a request is gone when its answer is out. The block
 * goes from the exchange to the stream that it becomes, which has its one line
 * (msg=stream) when it ends.
 *
 *  1. `off`: no block. `errors`, the default: a block, and a line for 400 and
 *     above and for streams that end in an error. `all`: a line for each.
 *     What is malformed has of these what was read of it.
 *  2. No query, no field but the user agent, no body: so no cursor and no
 *     token. Path and user agent are bounded and cut at a character.
 *  3. A principal is named once it has been checked, never as it was claimed.
 *  4. The log escapes; it also drops, and counts, when its reader is slow.
 */
#include "http.h"

#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>

struct http_access {
  uint64_t begun_ms;
  uint64_t bytes;
  uint16_t status, path_len, agent_len, trace_len, id_len;
  uint8_t method, failed, stream;
  char words[]; /* path, user agent, trace, request id */
};

static yoi_str cut(yoi_str s, size_t max) {
  if (s.len > max) s.len = yoi_sdk_utf8_cut(s, max);
  return s;
}

static char *put(char *at, yoi_str s) {
  if (s.len > 0) memcpy(at, s.ptr, s.len);
  return at + s.len;
}

void http_access_begin(struct http_conn *c) {
  struct http_exchange *x = c->x;
  struct http_request *r = &x->codec.req;
  if (c->access || c->loop->in->config.access_log == HTTP_ACCESS_OFF) return;
  yoi_str path = cut(http_request_path(r), YOI_HTTP_LOG_PATH_MAX);
  yoi_str agent = cut(http_request_field(r, HTTPF_USER_AGENT), YOI_HTTP_LOG_AGENT_MAX);
  yoi_str trace = http_exchange_trace(x), id = {x->request_id, x->request_id_len};
  struct http_access *a =
      yoi_sdk_malloc(sizeof *a + path.len + agent.len + trace.len + id.len);
  if (!a) return; /* the request goes on, without a line */
  *a = (struct http_access){.begun_ms = x->begun_ms,
                            .path_len = (uint16_t)path.len,
                            .agent_len = (uint16_t)agent.len,
                            .trace_len = (uint16_t)trace.len,
                            .id_len = (uint16_t)id.len,
                            .method = path.len > 0 ? r->method : HTTPM__COUNT};
  put(put(put(put(a->words, path), agent), trace), id);
  c->access = a;
}

void http_access_status(struct http_conn *c, int status) {
  if (c->access) c->access->status = (uint16_t)status;
}

void http_access_sent(struct http_conn *c, size_t bytes) {
  if (c->access) c->access->bytes += bytes;
}

void http_access_stream(struct http_conn *c) {
  if (c->access) c->access->stream = 1;
}

void http_access_failed(struct http_conn *c) {
  if (c->access) c->access->failed = 1;
}

/* ---- the line ------------------------------------------------------------------- */

struct line {
  yoi_log_field fields[10];
  size_t n;
};

static void add(struct line *l, yoi_str key, yoi_str value) {
  if (value.len > 0) l->fields[l->n++] = (yoi_log_field){key, value};
}

static void add_number(struct line *l, yoi_str key, char text[24], uint64_t n) {
  add(l, key, (yoi_str){text, (size_t)snprintf(text, 24, "%llu", (unsigned long long)n)});
}

static void write_line(struct http_conn *c, const struct http_access *a) {
  struct http_instance *in = c->loop->in;
  struct line l = {.n = 0};
  char status[24], bytes[24], duration[24], peer[HTTP_PEER_TEXT];
  uint64_t now_ms = in->clock->monotonic_ns(in->host) / 1000000u;
  const char *w = a->words;
  const char *agent = w + a->path_len, *trace = agent + a->agent_len, *id = trace + a->trace_len;
  const char *method = a->method < HTTPM__COUNT ? http_method_name(a->method) : "";
  http_peer_text(c->fd, peer);
  add(&l, YOI_LIT("method"), yoi_sdk_str(method));
  add(&l, YOI_LIT("path"), (yoi_str){w, a->path_len});
  add_number(&l, YOI_LIT("status"), status, a->status);
  add_number(&l, YOI_LIT("bytes"), bytes, a->bytes);
  add_number(&l, YOI_LIT("duration_ms"), duration, now_ms - a->begun_ms);
  if (c->pass) add(&l, YOI_LIT("principal"), yoi_sdk_str(c->pass->caller->principal));
  add(&l, YOI_LIT("peer"), yoi_sdk_str(peer));
  add(&l, YOI_LIT("user_agent"), (yoi_str){agent, a->agent_len});
  add(&l, YOI_LIT("trace_id"), (yoi_str){trace, a->trace_len});
  if (a->failed) add(&l, YOI_LIT("ended"), YOI_LIT("error"));
  in->log->write(in->host, a->status >= 500 ? YOI_LOG_WARN : YOI_LOG_INFO,
                 a->stream ? YOI_LIT("stream") : YOI_LIT("request"), (yoi_str){id, a->id_len},
                 l.fields, l.n);
}

void http_access_end(struct http_conn *c) {
  struct http_access *a = c->access;
  if (!a) return;
  c->access = NULL;
  if (a->status > 0 && (a->status >= 400 || a->failed ||
                        c->loop->in->config.access_log == HTTP_ACCESS_ALL))
    write_line(c, a);
  yoi_sdk_free(a);
}
