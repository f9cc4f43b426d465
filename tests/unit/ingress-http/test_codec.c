/* The HTTP codec: what it reads out of valid requests, however they are split,
 * and how it refuses what is hostile, nearly right, or too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugins/ingress-http/codec.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <yoi/ops.h>

#define H "Host: a\r\n"

/* What one message came to, as text, so that two runs are compared whole. */
struct outcome {
  char text[4096];
  size_t used;
  int st;
  int32_t code;
};

static void describe(struct http_codec *c, struct outcome *o) {
  struct http_request *r = &c->req;
  yoi_str path = http_request_path(r), query = http_request_query(r), host = http_request_host(r);
  int n = snprintf(o->text, sizeof o->text, "%s 1.%d form=%d %.*s?%.*s host=%.*s keep=%d expect=%d "
                   "accept=%d chunked=%d body=%.*s",
                   http_method_name(r->method), r->minor, r->form, YOI_ARG(path), YOI_ARG(query),
                   YOI_ARG(host), r->keep_alive, r->expect, r->accept, r->chunked,
                   YOI_ARG(r->body));
  for (int f = 0; f < HTTPF__COUNT; f++) {
    yoi_str v = http_request_field(r, f);
    if (http_request_has(r, f) && n > 0 && (size_t)n < sizeof o->text)
      n += snprintf(o->text + n, sizeof o->text - (size_t)n, " %d=%.*s", f, YOI_ARG(v));
  }
}

/* Feeds bytes in pieces that end at `cuts` (ascending); each piece lies in
 * memory of its own that is freed after its feed, so that a view into bytes
 * that are gone is found by the address sanitizer. */
static void run(const char *p, size_t n, const size_t *cuts, size_t n_cuts, size_t body_max,
                struct outcome *o) {
  struct http_codec c;
  size_t at = 0, piece = 0;
  memset(o, 0, sizeof *o);
  http_codec_init(&c);
  o->st = HTTP_FEED_MORE;
  while (at < n && (o->st == HTTP_FEED_MORE)) {
    while (piece < n_cuts && cuts[piece] <= at) piece++;
    size_t end = piece < n_cuts && cuts[piece] < n ? cuts[piece] : n, used = 0, off = 0;
    char *copy = yoi_sdk_strndup(p + at, end - at);
    assert_non_null(copy);
    for (;;) {
      o->st = http_codec_feed(&c, copy + off, end - at - off, &used);
      off += used;
      if (o->st != HTTP_FEED_HEAD) break;
      if (!http_codec_want(&c, body_max, 0)) {
        o->st = HTTP_FEED_ERROR;
        break;
      }
    }
    if (o->st == HTTP_FEED_MORE) assert_int_equal(off, end - at);
    if (o->st == HTTP_FEED_DONE) describe(&c, o);
    yoi_sdk_free(copy);
    at += off;
  }
  o->used = at;
  if (o->st == HTTP_FEED_ERROR) {
    o->code = c.code;
    assert_non_null(c.message);
    assert_int_equal(http_codec_feed(&c, "x", 1, &at), HTTP_FEED_ERROR);
  }
  http_codec_release(&c);
}

static void whole(const char *text, struct outcome *o) {
  run(text, strlen(text), NULL, 0, YOI_BODY_BYTES_MAX, o);
}

static const char *const good[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v1/workers?limit=3&after=x HTTP/1.1\r\nhOsT:   a.b:81  \r\nX-Other: 1\r\n\r\n",
    "\r\nGET /x HTTP/1.1\r\n" H "\r\n",
    "GET /x HTTP/1.0\r\n\r\n",
    "HEAD /x HTTP/1.1\r\n" H "Connection: Foo, CLOSE\r\n\r\n",
    "POST /x HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Type: application/json\r\n\r\nhello",
    "POST /x HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
    "POST /x HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\nA;ext=\"1\"\r\n0123456789\r\n00\r\n"
    "Trailer: yes\r\nOther: \r\n\r\n",
    "POST /x HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /x HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nok",
    "GET http://b:8/p?q=1 HTTP/1.1\r\n" H "\r\n",
    "OPTIONS * HTTP/1.1\r\n" H "\r\n",
    "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n",
    "GET /x HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "POST /x HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n"
    "Content-Length: 3\r\n\r\nabc",
    "POST /x HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n"
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET /x HTTP/1.1\r\n" H "Accept: text/event-stream;q=0\r\n"
    "Accept: a/b, application/json\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: [::1]:80\r\nAuthorization: Bearer x\r\nX-Request-Id: r\r\n"
    "Traceparent: t\r\nYoi-Hops: 1\r\nYoi-Timeout-Ms: 2\r\nLast-Event-ID: e\r\n"
    "Idempotency-Key: \"k\"\r\nOrigin: null\r\nSec-Fetch-Site: none\r\nX-Latin: \xe9\r\n\r\n",
    "GET /x HTTP/1.1\r\n" H "X-Request-Id: a\r\nX-Request-Id: b\r\n\r\n",
    "DELETE /x HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
};
#define N_GOOD (sizeof good / sizeof *good)

static void valid_requests_are_whole(void **state) {
  (void)state;
  for (size_t i = 0; i < N_GOOD; i++) {
    struct outcome o;
    whole(good[i], &o);
    if (o.st != HTTP_FEED_DONE) print_error("%zu: %s\n", i, good[i]);
    assert_int_equal(o.st, HTTP_FEED_DONE);
    assert_int_equal(o.used, strlen(good[i]));
  }
}

static void a_split_at_any_byte_changes_nothing(void **state) {
  (void)state;
  for (size_t i = 0; i < N_GOOD; i++) {
    struct outcome at_once, split;
    size_t n = strlen(good[i]), all[1024];
    whole(good[i], &at_once);
    for (size_t cut = 1; cut < n; cut++) {
      run(good[i], n, &cut, 1, YOI_BODY_BYTES_MAX, &split);
      assert_int_equal(split.st, HTTP_FEED_DONE);
      assert_string_equal(split.text, at_once.text);
    }
    for (size_t k = 0; k < n; k++) all[k] = k + 1;
    run(good[i], n, all, n, YOI_BODY_BYTES_MAX, &split);
    assert_int_equal(split.st, HTTP_FEED_DONE);
    assert_string_equal(split.text, at_once.text);
  }
}

static void what_follows_a_request_is_left(void **state) {
  (void)state;
  for (size_t i = 0; i < N_GOOD; i++) {
    char two[2048];
    struct outcome o;
    size_t n = strlen(good[i]);
    for (size_t cut = 1; cut < n; cut += 7) {
      snprintf(two, sizeof two, "%sGET /next HTTP/1.1\r\n", good[i]);
      run(two, strlen(two), &cut, 1, YOI_BODY_BYTES_MAX, &o);
      assert_int_equal(o.st, HTTP_FEED_DONE);
      assert_int_equal(o.used, n);
    }
  }
}

static void what_is_read(void **state) {
  (void)state;
  struct outcome o;
  whole(good[1], &o);
  assert_string_equal(o.text, "GET 1.1 form=0 /v1/workers?limit=3&after=x host=a.b:81 keep=1 "
                              "expect=0 accept=0 chunked=0 body= 0=a.b:81");
  whole(good[4], &o);
  assert_non_null(strstr(o.text, "keep=0"));
  whole(good[3], &o);
  assert_non_null(strstr(o.text, "1.0 form=0 /x? host= keep=0"));
  whole(good[7], &o);
  assert_non_null(strstr(o.text, "body=hello world"));
  whole(good[8], &o);
  assert_non_null(strstr(o.text, "body=0123456789"));
  whole(good[10], &o);
  assert_non_null(strstr(o.text, "expect=1"));
  whole(good[11], &o);
  assert_non_null(strstr(o.text, "/p?q=1 host=b:8"));
  whole(good[17], &o);
  assert_non_null(strstr(o.text, "accept=2"));
}

struct hostile {
  const char *why, *text;
  size_t len; /* 0: strlen */
  int32_t code;
};
#define BAD(why, text) {why, text, sizeof(text) - 1, YOI_CODE_INVALID_REQUEST}
#define POST_ "POST /x HTTP/1.1\r\n" H
#define CHUNKED POST_ "Transfer-Encoding: chunked\r\n\r\n"
static const struct hostile hostile[] = {
    BAD("two content-lengths", POST_ "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    BAD("the same content-length twice", POST_ "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    BAD("a list of lengths", POST_ "Content-Length: 1, 1\r\n\r\na"),
    BAD("a signed length", POST_ "Content-Length: +1\r\n\r\na"),
    BAD("a negative length", POST_ "Content-Length: -1\r\n\r\na"),
    BAD("a hexadecimal length", POST_ "Content-Length: 0x1\r\n\r\na"),
    BAD("an empty length", POST_ "Content-Length:\r\n\r\n"),
    BAD("a length with a space", POST_ "Content-Length: 1 1\r\n\r\na"),
    BAD("both framings", POST_ "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD("both framings, turned",
        POST_ "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    BAD("another coding", POST_ "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    BAD("chunked is not last", POST_ "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    BAD("chunked twice",
        POST_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD("an odd coding", POST_ "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    BAD("a coding with a tab in it", POST_ "Transfer-Encoding: chun\tked\r\n\r\n0\r\n\r\n"),
    BAD("an empty coding", POST_ "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
    BAD("chunked in HTTP/1.0", "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD("a chunk size that is none", CHUNKED "g\r\na\r\n0\r\n\r\n"),
    BAD("a chunk size with a prefix", CHUNKED "0x1\r\na\r\n0\r\n\r\n"),
    BAD("a chunk size with a sign", CHUNKED "+1\r\na\r\n0\r\n\r\n"),
    BAD("a space before the chunk size", CHUNKED " 1\r\na\r\n0\r\n\r\n"),
    BAD("a space behind the chunk size", CHUNKED "1 \r\na\r\n0\r\n\r\n"),
    BAD("no chunk size", CHUNKED "\r\na\r\n0\r\n\r\n"),
    BAD("a chunk size that overflows", CHUNKED "fffffffffffffffff\r\na\r\n0\r\n\r\n"),
    BAD("LF after the chunk size", CHUNKED "1\na\r\n0\r\n\r\n"),
    BAD("CR inside an extension", CHUNKED "1;a\rb\r\na\r\n0\r\n\r\n"),
    BAD("LF inside an extension", CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n"),
    BAD("a chunk longer than it says", CHUNKED "1\r\nab\r\n0\r\n\r\n"),
    BAD("LF after the chunk", CHUNKED "1\r\na\n0\r\n\r\n"),
    BAD("a trailer without a colon", CHUNKED "0\r\nabc\r\n\r\n"),
    BAD("a trailer with a space before its colon", CHUNKED "0\r\nabc : d\r\n\r\n"),
    BAD("a folded trailer", CHUNKED "0\r\na: b\r\n c\r\n\r\n"),
    BAD("LF in the trailers", CHUNKED "0\r\na: b\n\r\n"),
    BAD("LF at the end of the chunks", CHUNKED "0\r\n\n"),
    BAD("NUL in a trailer", CHUNKED "0\r\na: \0\r\n\r\n"),
    BAD("a folded line", "GET /x HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n"),
    BAD("a folded line with a tab", "GET /x HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n"),
    BAD("a folded first line", "GET /x HTTP/1.1\r\n Host: a\r\n\r\n"),
    BAD("a space before the colon", "GET /x HTTP/1.1\r\n" H "A : b\r\n\r\n"),
    BAD("a tab before the colon", "GET /x HTTP/1.1\r\n" H "A\t: b\r\n\r\n"),
    BAD("a space before the colon of a length", POST_ "Content-Length : 1\r\n\r\na"),
    BAD("no field name", "GET /x HTTP/1.1\r\n" H ": b\r\n\r\n"),
    BAD("no colon", "GET /x HTTP/1.1\r\n" H "abc\r\n\r\n"),
    BAD("a field name with a control", "GET /x HTTP/1.1\r\n" H "A\x01: b\r\n\r\n"),
    BAD("a field name in UTF-8", "GET /x HTTP/1.1\r\n" H "\xc3\xa9: b\r\n\r\n"),
    BAD("NUL in a value", "GET /x HTTP/1.1\r\n" H "A: b\0c\r\n\r\n"),
    BAD("NUL in a name", "GET /x HTTP/1.1\r\n" H "A\0: b\r\n\r\n"),
    BAD("NUL in the target", "GET /x\0y HTTP/1.1\r\n" H "\r\n"),
    BAD("a control in a value", "GET /x HTTP/1.1\r\n" H "A: b\x1b\r\n\r\n"),
    BAD("DEL in a value", "GET /x HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n"),
    BAD("bare LF after the request line", "GET /x HTTP/1.1\n" H "\r\n"),
    BAD("bare LF after a field", "GET /x HTTP/1.1\r\nHost: a\n\r\n"),
    BAD("bare LF at the end", "GET /x HTTP/1.1\r\n" H "\n"),
    BAD("bare CR in a field", "GET /x HTTP/1.1\r\n" H "A: b\rC: d\r\n\r\n"),
    BAD("bare CR before an end", "GET /x HTTP/1.1\r\n" H "A: b\r\r\n\r\n"),
    BAD("two empty lines first", "\r\n\r\nGET /x HTTP/1.1\r\n" H "\r\n"),
    BAD("no Host", "GET /x HTTP/1.1\r\n\r\n"),
    BAD("two Hosts", "GET /x HTTP/1.1\r\n" H H "\r\n"),
    BAD("an empty Host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n"),
    BAD("a Host with a path", "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    BAD("a Host with a user", "GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    BAD("a list of Hosts", "GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    BAD("HTTP/2.0", "GET /x HTTP/2.0\r\n" H "\r\n"),
    BAD("HTTP/1.2", "GET /x HTTP/1.2\r\n" H "\r\n"),
    BAD("HTTP/0.9", "GET /x\r\n"),
    BAD("HTTP/0.9 with a version", "GET /x HTTP/0.9\r\n\r\n"),
    BAD("lower-case version", "GET /x http/1.1\r\n" H "\r\n"),
    BAD("another protocol", "GET /x ICE/1.0\r\n" H "\r\n"),
    BAD("a version with a space", "GET /x HTTP/1.1 \r\n" H "\r\n"),
    BAD("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    BAD("an unknown method", "BREW /x HTTP/1.1\r\n" H "\r\n"),
    BAD("a method in lower case", "get /x HTTP/1.1\r\n" H "\r\n"),
    BAD("a method of WebDAV", "PROPFIND /x HTTP/1.1\r\n" H "\r\n"),
    BAD("no method", " /x HTTP/1.1\r\n" H "\r\n"),
    BAD("two spaces", "GET  /x HTTP/1.1\r\n" H "\r\n"),
    BAD("a tab for a space", "GET\t/x HTTP/1.1\r\n" H "\r\n"),
    BAD("a TAB in the target", "GET /x\ty HTTP/1.1\r\n" H "\r\n"),
    BAD("a space in the target", "GET /x y HTTP/1.1\r\n" H "\r\n"),
    BAD("raw UTF-8 in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"),
    BAD("a fragment", "GET /x#y HTTP/1.1\r\n" H "\r\n"),
    BAD("a relative target", "GET x HTTP/1.1\r\n" H "\r\n"),
    BAD("another scheme", "GET ftp://a/x HTTP/1.1\r\n" H "\r\n"),
    BAD("an absolute target without a path", "GET http://a HTTP/1.1\r\n" H "\r\n"),
    BAD("an absolute target with a user", "GET http://u@a/ HTTP/1.1\r\n" H "\r\n"),
    BAD("an absolute target without a host", "GET http:///x HTTP/1.1\r\n" H "\r\n"),
    BAD("a star for a GET", "GET * HTTP/1.1\r\n" H "\r\n"),
    BAD("a path for a CONNECT", "CONNECT /x HTTP/1.1\r\n" H "\r\n"),
    BAD("another expectation", POST_ "Expect: 200-ok\r\nContent-Length: 1\r\n\r\na"),
    BAD("two tokens", "GET /x HTTP/1.1\r\n" H "Authorization: a\r\nAuthorization: b\r\n\r\n"),
    BAD("two origins", "GET /x HTTP/1.1\r\n" H "Origin: a\r\nOrigin: b\r\n\r\n"),
    BAD("two keys", POST_ "Idempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n"),
    BAD("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    BAD("a long word", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    {"a length of 16 digits", POST_ "Content-Length: 1111111111111111\r\n\r\n", 0,
     YOI_CODE_PAYLOAD_TOO_LARGE},
    {"a length beyond the limit", POST_ "Content-Length: 1048577\r\n\r\n", 0,
     YOI_CODE_PAYLOAD_TOO_LARGE},
    {"a chunk beyond the limit", CHUNKED "100001\r\n", 0, YOI_CODE_PAYLOAD_TOO_LARGE},
};

static void hostile_requests_are_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    const struct hostile *h = &hostile[i];
    size_t n = h->len ? h->len : strlen(h->text), all[1024];
    struct outcome o;
    run(h->text, n, NULL, 0, YOI_BODY_BYTES_MAX, &o);
    if (o.st != HTTP_FEED_ERROR || o.code != h->code) print_error("whole: %s\n", h->why);
    assert_int_equal(o.st, HTTP_FEED_ERROR);
    assert_int_equal(o.code, h->code);
    for (size_t k = 0; k < n; k++) all[k] = k + 1;
    run(h->text, n, all, n, YOI_BODY_BYTES_MAX, &o);
    if (o.st != HTTP_FEED_ERROR || o.code != h->code) print_error("bytes: %s\n", h->why);
    assert_int_equal(o.st, HTTP_FEED_ERROR);
    assert_int_equal(o.code, h->code);
  }
}

/* A request whose parts have the given sizes. */
static char *sized(size_t target, size_t fields, size_t value, size_t *out_len) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 1 << 20);
  yoi_sdk_buf_addf(&b, "GET /");
  for (size_t i = 1; i < target; i++) yoi_sdk_buf_addc(&b, 'a');
  yoi_sdk_buf_addf(&b, " HTTP/1.1\r\n" H);
  for (size_t i = 0; i < fields; i++) {
    yoi_sdk_buf_addf(&b, "X-%zu: ", i);
    for (size_t k = 0; k < value; k++) yoi_sdk_buf_addc(&b, 'v');
    yoi_sdk_buf_addf(&b, "\r\n");
  }
  yoi_sdk_buf_addf(&b, "\r\n");
  assert_int_equal(b.failed, 0);
  return yoi_sdk_buf_take(&b, out_len);
}

static void check_size(size_t target, size_t fields, size_t value, int st) {
  struct outcome o;
  size_t n, cuts[64];
  char *text = sized(target, fields, value, &n);
  run(text, n, NULL, 0, 0, &o);
  assert_int_equal(o.st, st);
  if (st == HTTP_FEED_ERROR) assert_int_equal(o.code, YOI_CODE_HEADER_TOO_LARGE);
  for (size_t k = 0; k < 64; k++) cuts[k] = (k + 1) * 997;
  run(text, n, cuts, 64, 0, &o);
  assert_int_equal(o.st, st);
  if (st == HTTP_FEED_ERROR) assert_int_equal(o.code, YOI_CODE_HEADER_TOO_LARGE);
  yoi_sdk_free(text);
}

static void header_limits(void **state) {
  (void)state;
  check_size(YOI_HTTP_TARGET_MAX, 1, 1, HTTP_FEED_DONE);
  check_size(YOI_HTTP_TARGET_MAX + 1, 1, 1, HTTP_FEED_ERROR);
  check_size(1, YOI_HTTP_HEADERS_MAX - 1, 1, HTTP_FEED_DONE);
  check_size(1, YOI_HTTP_HEADERS_MAX, 1, HTTP_FEED_ERROR);
  size_t n, rest;
  yoi_sdk_free(sized(1, 1, 0, &rest));
  char *most = sized(1, 1, YOI_HTTP_HEADER_BYTES_MAX - rest, &n);
  assert_int_equal(n, YOI_HTTP_HEADER_BYTES_MAX);
  yoi_sdk_free(most);
  check_size(1, 1, YOI_HTTP_HEADER_BYTES_MAX - rest, HTTP_FEED_DONE);
  check_size(1, 1, YOI_HTTP_HEADER_BYTES_MAX - rest + 1, HTTP_FEED_ERROR);
  check_size(1, 1, 200000, HTTP_FEED_ERROR);
  check_size(200000, 1, 1, HTTP_FEED_ERROR);
}

static void body_limits(void **state) {
  (void)state;
  struct outcome o;
  static const char fits[] = POST_ "Content-Length: 4\r\n\r\nabcd";
  static const char chunks[] = CHUNKED "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
  run(fits, sizeof fits - 1, NULL, 0, 4, &o);
  assert_int_equal(o.st, HTTP_FEED_DONE);
  run(fits, sizeof fits - 1, NULL, 0, 3, &o);
  assert_int_equal(o.code, YOI_CODE_PAYLOAD_TOO_LARGE);
  run(chunks, sizeof chunks - 1, NULL, 0, 4, &o);
  assert_int_equal(o.st, HTTP_FEED_DONE);
  run(chunks, sizeof chunks - 1, NULL, 0, 3, &o);
  assert_int_equal(o.code, YOI_CODE_PAYLOAD_TOO_LARGE);
}

static void extensions_and_trailers_are_bounded(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  struct outcome o;
  yoi_sdk_buf_init(&b, 1 << 20);
  yoi_sdk_buf_addf(&b, CHUNKED "1;");
  for (size_t i = 0; i < YOI_HTTP_HEADER_BYTES_MAX + 1; i++) yoi_sdk_buf_addc(&b, 'e');
  run(b.data, b.len, NULL, 0, 100, &o);
  assert_int_equal(o.code, YOI_CODE_INVALID_REQUEST);
  yoi_sdk_buf_clear(&b);
  yoi_sdk_buf_addf(&b, CHUNKED "0\r\n");
  for (size_t i = 0; i < YOI_HTTP_HEADERS_MAX + 1; i++) yoi_sdk_buf_addf(&b, "a: b\r\n");
  yoi_sdk_buf_addf(&b, "\r\n");
  run(b.data, b.len, NULL, 0, 100, &o);
  assert_int_equal(o.code, YOI_CODE_INVALID_REQUEST);
  yoi_sdk_buf_release(&b);
}

static void a_discarded_body_is_not_kept(void **state) {
  (void)state;
  struct http_codec c;
  size_t used = 0;
  static const char head[] = POST_ "Content-Length: 4\r\n\r\n";
  http_codec_init(&c);
  assert_false(http_codec_begun(&c));
  assert_int_equal(http_codec_feed(&c, head, sizeof head - 1, &used), HTTP_FEED_HEAD);
  assert_true(http_codec_begun(&c));
  assert_true(http_codec_want(&c, 4, 1));
  assert_int_equal(http_codec_feed(&c, "ab", 2, &used), HTTP_FEED_MORE);
  assert_int_equal(http_codec_feed(&c, "cdX", 3, &used), HTTP_FEED_DONE);
  assert_int_equal(used, 2);
  assert_int_equal(c.req.body.len, 0);
  assert_int_equal(c.body.cap, 0);
  http_codec_release(&c);
}

static void memory_that_fails_is_internal(void **state) {
  (void)state;
  static const char text[] = CHUNKED "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
  for (uint64_t nth = 1; nth < 4; nth++) {
    struct http_codec c;
    int st = HTTP_FEED_MORE;
    http_codec_init(&c);
    yoi_sdk_mem_fail_at(nth);
    for (size_t i = 0; i < sizeof text - 1 && st == HTTP_FEED_MORE; i++) {
      size_t used = 0;
      st = http_codec_feed(&c, text + i, 1, &used);
      if (st == HTTP_FEED_HEAD) {
        http_codec_want(&c, 100, 0);
        st = http_codec_feed(&c, text + i + 1, 0, &used);
      }
    }
    yoi_sdk_mem_fail_at(0);
    assert_true(st == HTTP_FEED_DONE || (st == HTTP_FEED_ERROR && c.code == YOI_CODE_INTERNAL));
    http_codec_release(&c);
  }
}

/* What was read of a request that memory ended is looked at once more: its
 * answer has its id and its line in the log has its path. */
static void what_memory_ended_can_still_be_read(void **state) {
  (void)state;
  static const char head[] = "POST /path HTTP/1.1\r\n" H "X-Request-Id: q\r\n";
  static const char rest[] = "Content-Length: 2\r\n\r\n";
  char whole[sizeof head + sizeof rest];
  snprintf(whole, sizeof whole, "%s%s", head, rest);
  for (int with_body = 0; with_body < 2; with_body++) {
    const char *text = with_body ? whole : head;
    struct http_codec c;
    size_t used = 0;
    http_codec_init(&c);
    yoi_sdk_mem_fail_at(1);
    int st = http_codec_feed(&c, text, strlen(text), &used);
    if (st == HTTP_FEED_HEAD) {
      assert_true(http_codec_want(&c, 2, 0));
      st = http_codec_feed(&c, text + used, 0, &used);
    }
    assert_int_equal(yoi_sdk_mem_fail_at(0), 1);
    assert_int_equal(st, HTTP_FEED_ERROR);
    assert_int_equal(c.code, YOI_CODE_INTERNAL);
    assert_ptr_equal(c.req.base, text);
    assert_true(yoi_sdk_str_is(http_request_path(&c.req), "/path"));
    assert_true(yoi_sdk_str_is(http_request_field(&c.req, HTTPF_X_REQUEST_ID), "q"));
    http_codec_release(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(valid_requests_are_whole),
      cmocka_unit_test(a_split_at_any_byte_changes_nothing),
      cmocka_unit_test(what_follows_a_request_is_left),
      cmocka_unit_test(what_is_read),
      cmocka_unit_test(hostile_requests_are_refused),
      cmocka_unit_test(header_limits),
      cmocka_unit_test(body_limits),
      cmocka_unit_test(extensions_and_trailers_are_bounded),
      cmocka_unit_test(a_discarded_body_is_not_kept),
      cmocka_unit_test(memory_that_fails_is_internal),
      cmocka_unit_test(what_memory_ended_can_still_be_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
