/* sources: plugins/ingress-http/codec.c plugins/ingress-http/fields.c
 *   plugins/ingress-http/router.c plugins/ingress-http/auth.c plugins/ingress-http/response.c
 *   abi/sdk/core /usr/share/llhttp;
 * flags: -isystem /usr/share/include/llhttp -w; libs: -lcjson -lcrypto
 *
 * The HTTP codec, the router, the guard and the answers on anything at all.
 * The first byte is the step in which the rest is fed; of the second bit 0 is
 * the surface, bit 1 a small body limit, bit 2 makes CR LF of each LF. What
 * must hold:
 *
 *  1. However the bytes are split, the same requests come out, with the same
 *     end: done, refused with the same code, or unfinished.
 *  2. A request that came out has one framing, one Host when it is HTTP/1.1,
 *     and no more body than was wanted.
 *  3. Every view stays within memory: pieces are freed after their feed.
 *  4. What is routed has checked ids and a query that became a JSON object.
 *  5. An answer has one blank line at the end of its head, whatever was asked,
 *     and its body is the JSON of its length.
 */
#include "plugins/ingress-http/auth.h"
#include "plugins/ingress-http/codec.h"
#include "plugins/ingress-http/response.h"
#include "plugins/ingress-http/router.h"
#include "must.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trace {
  struct yoi_sdk_buf text;
  size_t requests;
};

static void note(struct trace *t, const char *what, yoi_str s) {
  yoi_sdk_buf_addf(&t->text, "%s:%zu:", what, s.len);
  yoi_sdk_buf_adds(&t->text, s);
  yoi_sdk_buf_addc(&t->text, '\n');
}

static void check_request(const struct http_request *r, size_t body_max, struct trace *t) {
  yoi_str host = http_request_field(r, HTTPF_HOST);
  MUST(!(r->chunked && http_request_has(r, HTTPF_CONTENT_LENGTH)) || r->method == HTTPM_CONNECT);
  MUST(!r->chunked || r->minor == 1);
  MUST(r->minor == 0 || host.len > 0);
  MUST(r->body.len <= body_max);
  MUST(r->form != HTTP_TARGET_PATH || http_request_path(r).ptr[0] == '/');
  yoi_sdk_buf_addf(&t->text, "%d %d %d %d %d %d %d\n", r->method, r->minor, r->form, r->accept,
                   r->keep_alive, r->expect, r->chunked);
  note(t, "path", http_request_path(r));
  note(t, "query", http_request_query(r));
  note(t, "host", http_request_host(r));
  for (int f = 0; f < HTTPF__COUNT; f++) note(t, "field", http_request_field(r, f));
}

static void check_answer(const yoi_error *e, const char *allow, yoi_str request_id, int head) {
  struct yoi_sdk_buf out;
  struct http_reply r = {
      .date = "D", .head = (uint8_t)head, .request_id = request_id, .allow = allow, .close = 1};
  yoi_sdk_buf_init(&out, 65536);
  http_reply_error(&out, &r, e);
  MUST(!out.failed);
  char *end = memmem(out.data, out.len, "\r\n\r\n", 4);
  MUST(end && !memchr(out.data, 0, out.len));
  yoi_str body = {end + 4, out.len - (size_t)(end + 4 - out.data)};
  MUST(head ? body.len == 0 : body.len == r.length);
  MUST(head || yoi_sdk_json_check(body, 0, NULL) == YOI_OK);
  for (char *p = out.data; p < end; p++)
    MUST((*p >= 0x20 && *p < 0x7f) || *p == '\r' || *p == '\n');
  yoi_sdk_buf_release(&out);
}

static void check_route(const struct http_guard *guard, const struct http_request *r,
                        struct trace *t) {
  struct http_match m;
  struct http_params params;
  struct yoi_sdk_error e;
  struct yoi_sdk_buf body;
  yoi_str id = http_request_field(r, HTTPF_X_REQUEST_ID);
  if (!yoi_sdk_token_valid(id, YOI_REQUEST_ID_MAX)) id = YOI_LIT("made");
  yoi_sdk_buf_init(&body, 16384);
  yoi_status st = http_route(guard->surface, 1, r, &m, yoi_sdk_error_init(&e));
  if (st == YOI_OK) st = http_guard_check(guard, r, m.kind == HTTP_KIND_PAGE, m.no_token, &e.e);
  if (st == YOI_OK) {
    MUST(!m.runtime_id[0] || yoi_sdk_id_valid(yoi_sdk_str(m.runtime_id)));
    MUST(!m.worker_id[0] || yoi_sdk_id_valid(yoi_sdk_str(m.worker_id)));
    st = http_route_query(&m, r, &params, &body, &e.e);
  }
  if (st == YOI_OK) {
    MUST(body.len == 0 || yoi_sdk_json_check(yoi_sdk_buf_str(&body), 0, NULL) == YOI_OK);
    note(t, m.runtime_id, yoi_sdk_buf_str(&body));
  } else {
    MUST(yoi_sdk_code_http(e.e.code) >= 400);
    check_answer(&e.e, m.allow, id, m.head);
    note(t, yoi_sdk_code_name(e.e.code), yoi_sdk_str(e.message));
  }
  yoi_sdk_buf_release(&body);
}

static void run(const struct http_guard *guard, const uint8_t *p, size_t n, size_t step,
                size_t body_max, struct trace *t) {
  struct http_codec c;
  size_t at = 0;
  int st = HTTP_FEED_MORE;
  http_codec_init(&c);
  while (at < n && t->requests < REQUESTS_MAX) {
    size_t take = n - at < step ? n - at : step, off = 0;
    char *copy = malloc(take);
    MUST(copy);
    memcpy(copy, p + at, take);
    do {
      size_t used = 0;
      st = http_codec_feed(&c, copy + off, take - off, &used);
      MUST(used <= take - off);
      off += used;
      if (st == HTTP_FEED_HEAD) {
        MUST(http_codec_begun(&c));
        check_request(&c.req, SIZE_MAX, t);
        check_route(guard, &c.req, t);
        if (!http_codec_want(&c, body_max, 0)) st = HTTP_FEED_ERROR;
      } else if (st == HTTP_FEED_DONE) {
        MUST(c.req.body.len <= body_max);
        note(t, "body", c.req.body);
        if (c.req.body.len > 0) /* reads all of it */
          yoi_sdk_buf_addf(&t->text, "%d\n", yoi_sdk_utf8_valid(c.req.body));
        http_codec_release(&c);
        http_codec_init(&c);
        t->requests++;
      }
    } while (st != HTTP_FEED_ERROR && (st != HTTP_FEED_MORE || off < take));
    free(copy);
    at += off;
    if (st == HTTP_FEED_ERROR) break;
  }
  if (st == HTTP_FEED_ERROR) {
    struct yoi_sdk_error e;
    yoi_sdk_fail(yoi_sdk_error_init(&e), c.code, "%s", c.message);
    check_answer(&e.e, NULL, YOI_LIT("made"), 0);
    yoi_sdk_buf_addf(&t->text, "refused %d\n", c.code);
  }
  http_codec_release(&c);
}

static int one(const uint8_t *data, size_t size) {
  struct trace whole = {.requests = 0}, split = {.requests = 0};
  struct http_guard guard;
  size_t step = (size_t)data[0] + 1, body_max = (data[1] & 2) ? 8 : 4096;
  uint32_t surface = (data[1] & 1) ? YOI_SURFACE_BROWSER : YOI_SURFACE_RUNTIME;
  const yoi_listener on = {.size = sizeof on,
                           .surface = surface,
                           .flags = YOI_LISTEN_INSECURE,
                           .address = YOI_LIT("127.0.0.1:80")};
  MUST(http_guard_set(&guard, &on, 0, NULL) == YOI_OK);
  yoi_sdk_buf_init(&whole.text, 1u << 24);
  yoi_sdk_buf_init(&split.text, 1u << 24);
  run(&guard, data + 2, size - 2, size, body_max, &whole);
  run(&guard, data + 2, size - 2, step, body_max, &split);
  if (!whole.text.failed && !split.text.failed) {
    if (whole.text.len != split.text.len ||
        (whole.text.len > 0 && memcmp(whole.text.data, split.text.data, whole.text.len) != 0)) {
      fprintf(stderr, "whole:\n%s\nsplit:\n%s\n", whole.text.data ? whole.text.data : "",
              split.text.data ? split.text.data : "");
      abort();
    }
  }
  yoi_sdk_buf_release(&whole.text);
  yoi_sdk_buf_release(&split.text);
  http_guard_close(&guard);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || !(data[1] & 4)) return size < 2 ? 0 : one(data, size);
  uint8_t *text = malloc(2 * size);
  size_t n = 2;
  MUST(text);
  memcpy(text, data, 2);
  for (size_t i = 2; i < size; i++) {
    if (data[i] == '\n') text[n++] = '\r';
    text[n++] = data[i];
  }
  one(text, n);
  free(text);
  return 0;
}
