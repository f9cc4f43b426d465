/* sdk/http/exchange.c - one request and its answer.
 *
 * An exchange owns an easy handle. Making one costs more than a whole request
 * on it, so that ended exchanges go to their loop's pool, with every option
 * that does not depend on the request still set; what is set per request is
 * the header list, the body and, when they change, the URL, the method and
 * the connect timeout. The header list is a chain of our own nodes over the
 * caller's lines: libcurl only reads it.
 *
 * Deadlines (sdk/http.h, 3): libcurl has the one for connecting, the others
 * are ours, computed by `due` from when the phase began. libcurl's low-speed
 * limit works in whole seconds and its total timeout would cut long answers.
 *
 * Invariants:
 *  1. An exchange is in its loop's active list from start to its end, and in
 *     the multi handle as long; then in the pool, or freed.
 *  2. `end` is set by whoever decides before libcurl does, once; libcurl's
 *     code counts only while it is 0.
 *  3. handler is NULL once nobody waits for it; then it ends without a
 *     callback, and its caller's text is gone.
 */
#include "internal.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <strings.h>

#define LEFT_BYTES_MAX 65536 /* read for the sake of the connection */

static uint64_t now_ns(const struct yoi_sdk_http_exchange *x) {
  const struct yoi_sdk_http *c = x->loop->client;
  return c->clock->monotonic_ns(c->host);
}

/* ---- what libcurl calls ------------------------------------------------ */

static int on_connected(void *ctx, char *peer, char *local, int peer_port, int local_port) {
  struct yoi_sdk_http_exchange *x = ctx;
  (void)peer, (void)local, (void)peer_port, (void)local_port;
  if (x->opened) yoi__sdk_http_connected(x);
  x->opened = 0;
  x->phase = YOI__SDK_HTTP_SENT;
  x->since_ns = now_ns(x);
  yoi__sdk_http_wake_at(x->loop, yoi__sdk_http_due(x));
  return CURL_PREREQFUNC_OK;
}

/* name is lower case, and n its length. */
static int is_field(yoi_str line, const char *name, size_t n) {
  if (line.len <= n || line.ptr[n] != ':') return 0;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)line.ptr[i];
    if (c >= 'A' && c <= 'Z') c = (unsigned char)(c + 32);
    if (c != (unsigned char)name[i]) return 0;
  }
  return 1;
}

static yoi_str trimmed(yoi_str v) {
  while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t')) v.ptr++, v.len--;
  while (v.len && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t')) v.len--;
  return v;
}

static void keep(char *to, yoi_str *out, yoi_str line, size_t n_name) {
  yoi_str v = trimmed((yoi_str){line.ptr + n_name + 1, line.len - n_name - 1});
  if (v.len > YOI__SDK_HTTP_VALUE_MAX) v.len = YOI__SDK_HTTP_VALUE_MAX;
  memcpy(to, v.ptr, v.len);
  *out = (yoi_str){to, v.len};
}

static void keep_field(struct yoi_sdk_http_exchange *x, yoi_str line) {
#define KEEP(name, member)                                  \
  if (is_field(line, name, sizeof(name) - 1)) {             \
    keep(x->member, &x->head.member, line, sizeof(name) - 1); \
    return;                                                 \
  }
  switch (line.ptr[0] | 0x20) {
    case 'c':
      KEEP("content-type", content_type)
      break;
    case 'r':
      KEEP("retry-after", retry_after)
      KEEP("retry-after-ms", retry_after_ms)
      break;
    case 'x':
      KEEP("x-should-retry", should_retry)
      KEEP("x-request-id", request_id)
      break;
  }
#undef KEEP
}

/* How many codings a list names; chunked and identity are none that cost anything. */
static uint32_t codings_of(yoi_str list) {
  uint32_t n = 0;
  while (list.len) {
    const char *comma = memchr(list.ptr, ',', list.len);
    yoi_str one = {list.ptr, comma ? (size_t)(comma - list.ptr) : list.len};
    list.ptr += comma ? one.len + 1 : one.len;
    list.len -= comma ? one.len + 1 : one.len;
    one = trimmed(one);
    n += one.len && (one.len != 7 || strncasecmp(one.ptr, "chunked", 7) != 0) &&
         (one.len != 8 || strncasecmp(one.ptr, "identity", 8) != 0);
  }
  return n;
}

/* What is not kept but looked at. 0: the answer is not to be read. libcurl undoes
 * each transfer coding, asked for or not, and takes them from 1xx answers too. */
static int look_at_field(struct yoi_sdk_http_exchange *x, yoi_str line) {
#define IS(name) is_field(line, name, sizeof(name) - 1)
  const char *colon = memchr(line.ptr, ':', line.len);
  uint32_t decodes = (x->flags & YOI_SDK_HTTP_DECODE) != 0;
  if (!colon) return 1;
  size_t n = (size_t)(colon - line.ptr);
  yoi_str value = trimmed((yoi_str){colon + 1, line.len - n - 1});
  if (IS("transfer-encoding") || (decodes && IS("content-encoding")))
    x->codings += codings_of(value);
  if (x->handler && x->handler->field)
    x->handler->field(x->ctx, x->head.status, (yoi_str){line.ptr, n}, value);
  return x->codings <= decodes;
#undef IS
}

static size_t on_header(char *p, size_t one, size_t n, void *ctx) {
  struct yoi_sdk_http_exchange *x = ctx;
  yoi_str line = {p, n};
  (void)one;
  x->header_bytes += n;
  if (x->header_bytes > YOI_HTTP_CLIENT_HEADER_BYTES_MAX) {
    x->end = YOI_SDK_HTTP_TOO_LARGE;
    return 0;
  }
  if (x->head_done) return n; /* a trailer */
  while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) line.len--;
  if (line.len >= 5 && memcmp(line.ptr, "HTTP/", 5) == 0) {
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    memset(&x->head, 0, sizeof x->head);
    x->head.status = status > 0 && status < 1000 ? (uint32_t)status : 0;
  } else if (line.len) {
    keep_field(x, line);
    if (!look_at_field(x, line)) {
      x->end = YOI_SDK_HTTP_MALFORMED;
      return 0;
    }
  } else if (x->head.status >= 200) { /* 1xx is followed by the real one */
    x->head_done = 1;
    if (x->handler && x->handler->head && x->handler->head(x->ctx, &x->head) != 0) {
      x->end = YOI_SDK_HTTP_STOPPED;
      return 0;
    }
  }
  return n;
}

static size_t on_body(char *p, size_t one, size_t n, void *ctx) {
  struct yoi_sdk_http_exchange *x = ctx;
  (void)one;
  x->since_ns = now_ns(x);
  if (x->phase != YOI__SDK_HTTP_FLOWING) {
    x->phase = YOI__SDK_HTTP_FLOWING;
    yoi__sdk_http_wake_at(x->loop, yoi__sdk_http_due(x));
  }
  if (n > x->response_max - x->body_bytes) {
    x->end = YOI_SDK_HTTP_TOO_LARGE;
    return 0;
  }
  x->body_bytes += n;
  for (size_t at = 0, part; x->handler && x->handler->body && at < n; at += part) {
    part = yoi_sdk_short(n - at); /* all of it, but for the hard mode */
    if (x->handler->body(x->ctx, (yoi_str){p + at, part}) == 0) continue;
    if (!x->end) x->end = YOI_SDK_HTTP_STOPPED;
    return 0;
  }
  return n;
}

/* ---- lists ------------------------------------------------------------- */

static void link_active(struct yoi_sdk_http_exchange *x) {
  struct yoi__sdk_http_loop *l = x->loop;
  x->prev = NULL;
  x->next = l->active;
  if (l->active) l->active->prev = x;
  l->active = x;
  l->n_active++;
}

static void unlink_active(struct yoi_sdk_http_exchange *x) {
  struct yoi__sdk_http_loop *l = x->loop;
  *(x->prev ? &x->prev->next : &l->active) = x->next;
  if (x->next) x->next->prev = x->prev;
  l->n_active--;
}

void yoi__sdk_http_exchange_free(struct yoi_sdk_http_exchange *x) {
  curl_easy_cleanup(x->easy);
  curl_url_cleanup(x->url);
  yoi_sdk_free(x->url_text);
  yoi_sdk_free(x);
}

static void put_back(struct yoi_sdk_http_exchange *x) {
  struct yoi__sdk_http_loop *l = x->loop;
  x->handler = NULL;
  if (l->n_pool >= YOI_HTTP_CLIENT_POOL_MAX) {
    yoi__sdk_http_exchange_free(x);
    return;
  }
  x->next = l->pool;
  l->pool = x;
  l->n_pool++;
}

static struct yoi_sdk_http_exchange *make(struct yoi__sdk_http_loop *l) {
  struct yoi_sdk_http_exchange *x = yoi_sdk_calloc(1, sizeof *x);
  CURL *e = x ? curl_easy_init() : NULL;
  if (!e) {
    yoi_sdk_free(x);
    return NULL;
  }
  x->loop = l;
  x->easy = e;
  int bad = 0;
#define SET(option, value) bad |= curl_easy_setopt(e, option, value) != CURLE_OK
  SET(CURLOPT_PRIVATE, (void *)x);
  SET(CURLOPT_ERRORBUFFER, x->error);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_QUICK_EXIT, 1L); /* never wait for a name look-up that hangs */
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_PROXY, "");
  SET(CURLOPT_NOPROXY, "*"); /* or the environment is asked each time */
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  if (l->client->ca_file) {
    SET(CURLOPT_CAINFO, l->client->ca_file);
    SET(CURLOPT_CAPATH, NULL); /* libcurl's own is the system's */
  }
  if (l->client->socket) SET(CURLOPT_UNIX_SOCKET_PATH, l->client->socket);
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_OPENSOCKETFUNCTION, yoi__sdk_http_opensocket_cb);
  SET(CURLOPT_OPENSOCKETDATA, x);
  SET(CURLOPT_CLOSESOCKETFUNCTION, yoi__sdk_http_closesocket_cb);
  SET(CURLOPT_CLOSESOCKETDATA, l);
  SET(CURLOPT_PREREQFUNCTION, on_connected);
  SET(CURLOPT_PREREQDATA, x);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, x);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, x);
  SET(CURLOPT_HTTPGET, 1L);
#undef SET
  if (!bad) return x;
  yoi__sdk_http_exchange_free(x);
  return NULL;
}

/* ---- from start to end -------------------------------------------------- */

/* The caller's lines behind one of ours: an empty Expect takes away the one
 * with which libcurl would hold back bodies of a megabyte for a second. */
static struct curl_slist *chain(struct yoi_sdk_http_exchange *x, const char *const *lines,
                                size_t n) {
  static const char no_expect[] = "Expect:";
  for (size_t i = 0; i <= n; i++) {
    x->lines[i].data = (char *)(uintptr_t)(i ? lines[i - 1] : no_expect);
    x->lines[i].next = i < n ? &x->lines[i + 1] : NULL;
  }
  return x->lines;
}

/* An exchange is nearly always for the URL that it had before, and libcurl
 * would take the text apart and put it together again each time. */
static CURLcode set_url(struct yoi_sdk_http_exchange *x, const char *text) {
  if (x->url_text && strcmp(x->url_text, text) == 0) return CURLE_OK;
  CURLU *url = curl_url();
  char *copy = yoi_sdk_strndup(text, strlen(text));
  if (!url || !copy || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK) {
    CURLcode code = url && copy ? CURLE_URL_MALFORMAT : CURLE_OUT_OF_MEMORY;
    curl_url_cleanup(url);
    yoi_sdk_free(copy);
    return code;
  }
  /* The text that libcurl derived from the old one goes first. */
  (void)curl_easy_setopt(x->easy, CURLOPT_URL, NULL);
  (void)curl_easy_setopt(x->easy, CURLOPT_CURLU, url);
  curl_url_cleanup(x->url);
  yoi_sdk_free(x->url_text);
  x->url = url;
  x->url_text = copy;
  return CURLE_OK;
}

/* Method, codings and whether a connection is shared, where they differ from
 * what the handle was last used for. */
static CURLcode set_flags(struct yoi_sdk_http_exchange *x, uint32_t flags, int alone) {
  CURLcode code = CURLE_OK;
  uint32_t changed = x->set_flags ^ flags;
  if (changed & YOI_SDK_HTTP_HEAD)
    code = flags & YOI_SDK_HTTP_HEAD ? curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L)
                                     : curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L);
  if (code == CURLE_OK && changed & YOI_SDK_HTTP_DECODE)
    code = curl_easy_setopt(x->easy, CURLOPT_ACCEPT_ENCODING,
                            flags & YOI_SDK_HTTP_DECODE ? "gzip, deflate" : NULL);
  if (code == CURLE_OK && (alone != x->alone || changed & YOI_SDK_HTTP_FRESH))
    code = curl_easy_setopt(x->easy, CURLOPT_FRESH_CONNECT,
                            alone || flags & YOI_SDK_HTTP_FRESH ? 1L : 0L);
  if (code == CURLE_OK && alone != x->alone)
    code = curl_easy_setopt(x->easy, CURLOPT_FORBID_REUSE, (long)alone);
  if (code == CURLE_OK) {
    x->set_flags = flags;
    x->alone = alone != 0;
  }
  return code;
}

/* Last, since the options that say what is sent set the method too. */
static CURLcode set_method(struct yoi_sdk_http_exchange *x, const char *method) {
  if (!method) method = "";
  if (strcmp(x->method, method) == 0) return CURLE_OK;
  if (strlen(method) >= sizeof x->method) return CURLE_BAD_FUNCTION_ARGUMENT;
  CURLcode code = curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, *method ? method : NULL);
  if (code == CURLE_OK) memcpy(x->method, method, strlen(method) + 1);
  return code;
}

static CURLcode set_request(struct yoi_sdk_http_exchange *x,
                            const struct yoi_sdk_http_request *req) {
  CURLcode code = set_url(x, req->url);
  if (code == CURLE_OK) code = set_flags(x, x->flags, x->guarded);
  if (code == CURLE_OK)
    code = curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, chain(x, req->headers, req->n_headers));
  if (code == CURLE_OK && x->connect_ms != req->connect_ms) {
    x->connect_ms = req->connect_ms;
    code = curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_ms);
  }
  if (code == CURLE_OK && req->body.ptr) {
    x->is_post = 1;
    x->post_bytes = (curl_off_t)req->body.len;
    code = curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.len);
    if (code == CURLE_OK) code = curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, req->body.ptr);
  } else if (code == CURLE_OK && x->is_post) {
    x->is_post = 0;
    x->post_bytes = 0;
    code = req->flags & YOI_SDK_HTTP_HEAD ? curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L)
                                          : curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L);
  }
  return code == CURLE_OK ? set_method(x, req->method) : code;
}

static uint64_t span_ns(uint32_t ms) { return ms ? (uint64_t)ms * 1000000 : UINT64_MAX; }

static uint64_t later(uint64_t at, uint64_t span) {
  return span > UINT64_MAX - at ? UINT64_MAX : at + span;
}

yoi_status yoi_sdk_http_start(struct yoi_sdk_http *c, const struct yoi_sdk_http_request *req,
                              const struct yoi_sdk_http_handler *handler, void *ctx,
                              struct yoi_sdk_http_exchange **out, yoi_error *err) {
  struct yoi__sdk_http_loop *l = yoi__sdk_http_loop_here(c, err);
  if (!l) return YOI_INTERNAL;
  if (req->n_headers > YOI_HTTP_CLIENT_HEADERS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "too many header lines in an HTTP request");
  struct yoi_sdk_http_exchange *x = l->pool;
  if (x) {
    l->pool = x->next;
    l->n_pool--;
  } else if (!(x = make(l))) {
    return yoi_sdk_fail_memory(err);
  }
  x->handler = handler;
  x->ctx = ctx;
  x->flags = req->flags;
  x->codings = 0;
  x->guarded = handler->connect != NULL;
  x->deadline_ns = req->deadline_ns ? req->deadline_ns : UINT64_MAX;
  x->first_byte_ns = span_ns(req->first_byte_ms);
  x->gap_ns = span_ns(req->gap_ms);
  x->response_max = req->response_max;
  x->body_bytes = x->header_bytes = 0;
  x->phase = YOI__SDK_HTTP_OPENING;
  x->end = YOI_SDK_HTTP_OK;
  x->paused = x->head_done = x->opened = 0;
  memset(&x->head, 0, sizeof x->head);
  x->error[0] = '\0';
  CURLcode code = set_request(x, req);
  CURLMcode mcode = code == CURLE_OK ? curl_multi_add_handle(l->multi, x->easy) : CURLM_OK;
  if (code != CURLE_OK || mcode != CURLM_OK) {
    yoi_status st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot start an HTTP request");
    yoi_sdk_fail_private(err, "libcurl: %s",
                         code != CURLE_OK ? curl_easy_strerror(code) : curl_multi_strerror(mcode));
    put_back(x);
    return st;
  }
  link_active(x);
  *out = x;
  if (x->deadline_ns != UINT64_MAX) yoi__sdk_http_wake_at(l, x->deadline_ns);
  yoi__sdk_http_kick(l, l->n_active);
  return YOI_OK;
}

uint64_t yoi__sdk_http_due(const struct yoi_sdk_http_exchange *x) {
  uint64_t at = UINT64_MAX;
  if (x->end) return 0;
  if (x->phase == YOI__SDK_HTTP_SENT) at = later(x->since_ns, x->first_byte_ns);
  if (x->phase == YOI__SDK_HTTP_FLOWING && !x->paused) at = later(x->since_ns, x->gap_ns);
  return at < x->deadline_ns ? at : x->deadline_ns;
}

void yoi__sdk_http_expire(struct yoi_sdk_http_exchange *x) {
  if (!x->end) {
    uint64_t now = now_ns(x);
    x->end = x->deadline_ns <= now               ? YOI_SDK_HTTP_TOTAL
             : x->phase == YOI__SDK_HTTP_FLOWING ? YOI_SDK_HTTP_STALLED
                                                 : YOI_SDK_HTTP_FIRST_BYTE;
  }
  yoi__sdk_http_ended(x, CURLE_ABORTED_BY_CALLBACK);
}

static void take_out(struct yoi_sdk_http_exchange *x) {
  if (x->opened) yoi__sdk_http_forget(x);
  curl_multi_remove_handle(x->loop->multi, x->easy);
  unlink_active(x);
}

void yoi__sdk_http_ended(struct yoi_sdk_http_exchange *x, CURLcode code) {
  const struct yoi_sdk_http_handler *handler = x->handler;
  struct yoi_sdk_http_result result = {
      .end = x->end ? x->end : yoi__sdk_http_classify(code, x->phase),
      .status = x->head_done ? x->head.status : 0,
      .sent = x->phase != YOI__SDK_HTTP_OPENING,
      .unknown_name = !x->end && code == CURLE_COULDNT_RESOLVE_HOST,
  };
  take_out(x);
  result.detail = x->end        ? yoi_sdk_http_end_name(x->end)
                  : x->error[0] ? x->error
                                : curl_easy_strerror(code);
  result.cause = x->end ? result.detail : yoi__sdk_http_cause(x->easy, code);
  if (handler && handler->done) handler->done(x->ctx, &result);
  put_back(x);
}

void yoi_sdk_http_cancel(struct yoi_sdk_http_exchange *x) {
  if (!x) return;
  take_out(x);
  put_back(x);
}

void yoi_sdk_http_leave(struct yoi_sdk_http_exchange *x, uint32_t ms) {
  curl_off_t sent = 0;
  curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
  if (!x->head_done || sent < x->post_bytes) {
    /* Something is still to be sent, or may be once more should the connection be
     * lost: of the caller's text, which goes now. */
    yoi_sdk_http_cancel(x);
    return;
  }
  uint64_t until = later(now_ns(x), (uint64_t)ms * 1000000);
  x->handler = NULL;
  if (until < x->deadline_ns) x->deadline_ns = until;
  x->response_max = x->body_bytes + LEFT_BYTES_MAX;
  if (x->paused) yoi_sdk_http_resume(x);
  yoi__sdk_http_wake_at(x->loop, x->deadline_ns);
}

void yoi_sdk_http_pause(struct yoi_sdk_http_exchange *x) {
  if (x->paused) return;
  x->paused = 1;
  curl_easy_pause(x->easy, CURLPAUSE_RECV);
}

void yoi_sdk_http_resume(struct yoi_sdk_http_exchange *x) {
  struct yoi__sdk_http_loop *l = x->loop;
  if (!x->paused) return;
  x->paused = 0;
  x->since_ns = now_ns(x);
  curl_easy_pause(x->easy, CURLPAUSE_CONT);
  yoi__sdk_http_wake_at(l, yoi__sdk_http_due(x));
}
