/* ingress-http/codec.c - bytes to requests; codec.h says what and why.
 *
 * The header block is walked once, line by line, as its lines arrive; a line
 * that is not whole yet is looked at for its end only, each byte once. What
 * the fields say is noted as offsets into the block, so that the block may
 * move. When it is whole, llhttp reads it too, in one piece, and the two
 * readings are compared: method, version, length and framing. A difference
 * is a refusal, never a choice.
 *
 * Bodies with a length are counted here; llhttp has nothing to add to them.
 * Chunked ones are walked byte by byte for their framing (sizes, line ends,
 * extensions, trailers) and decoded by llhttp; both must see the same end.
 * Trailers are checked and dropped: nothing of ours is asked for in them.
 */
#include "codec.h"

#include "fields.h"

#include <string.h>
#include <yoi/ops.h>

enum { ST_LINE, ST_FIELDS, ST_ANNOUNCED, ST_LENGTH, ST_CHUNKED, ST_DONE, ST_FAILED };

enum {
  CH_SIZE,         /* hexadecimal digits */
  CH_EXTENSION,    /* from ';' to CR */
  CH_SIZE_LF,
  CH_DATA,
  CH_DATA_CR,
  CH_DATA_LF,
  CH_TRAILER,      /* at the start of a trailer line */
  CH_TRAILER_NAME,
  CH_TRAILER_VALUE,
  CH_TRAILER_LF,
  CH_LAST_LF,
  CH_END,
  CH_TOO_LARGE,
  CH_BAD,
};

static const char *const method_names[] = {
#define NAME(sym, name) name,
    HTTP_METHODS(NAME)
#undef NAME
};

enum { ONE, DROP, LIST };
static const struct {
  const char *name;
  uint8_t len, rep;
} known_fields[] = {
#define FIELD(sym, name, rep) {name, sizeof(name) - 1, rep},
    HTTP_FIELDS(FIELD)
#undef FIELD
};

static int fail(struct http_codec *c, int32_t code, const char *message) {
  c->state = ST_FAILED;
  c->code = code;
  c->message = message;
  return HTTP_FEED_ERROR;
}

static int bad(struct http_codec *c, const char *message) {
  return fail(c, YOI_CODE_INVALID_REQUEST, message);
}

/* ---- llhttp ---------------------------------------------------------- */

static int on_body(llhttp_t *p, const char *at, size_t n) {
  struct http_codec *c = p->data;
  c->got += n;
  if (!c->discard) yoi_sdk_buf_add(&c->body, at, n);
  return 0;
}

static int on_complete(llhttp_t *p) {
  struct http_codec *c = p->data;
  c->complete = 1;
  return 0;
}

static const llhttp_settings_t settings = {.on_body = on_body, .on_message_complete = on_complete};

static int run_parser(struct http_codec *c, const char *p, size_t n) {
  c->parser.data = c;
  llhttp_errno_t e = llhttp_execute(&c->parser, p, n);
  /* Upgrade is ignored: the request is an ordinary one that ended here. */
  return e == HPE_OK || (e == HPE_PAUSED_UPGRADE && c->complete);
}

/* ---- request line ----------------------------------------------------- */

static int find_method(const char *p, size_t n) {
  for (int m = 0; m < HTTPM__COUNT; m++)
    if (strlen(method_names[m]) == n && memcmp(method_names[m], p, n) == 0) return m;
  return -1;
}

/* A request line that has not ended yet: what cannot become one is refused
 * at once, so that a TLS hello gets an answer and not a deadline. */
static int check_partial_line(struct http_codec *c, const char *p, size_t n) {
  for (size_t i = 0; i < n && p[i] != ' '; i++)
    if (!http_is_token((unsigned char)p[i]) || i >= 16) {
      if (p[i] == '\r' && i == 0) continue;
      return bad(c, "request line is malformed");
    }
  return HTTP_FEED_MORE;
}

static struct http_span span(const char *base, const char *p, size_t n) {
  return (struct http_span){(uint16_t)(p - base), (uint16_t)n};
}

static int absolute_target(struct http_codec *c, const char *base, const char *p, size_t n,
                           size_t scheme) {
  const char *host = p + scheme, *end = p + n, *q = host;
  while (q < end && *q != '/' && *q != '?') q++;
  if (!http_host_valid((yoi_str){host, (size_t)(q - host)}))
    return bad(c, "authority of the request target is malformed");
  c->req.authority = span(base, host, (size_t)(q - host));
  if (q == end || *q == '?') return bad(c, "request target has no path");
  c->req.path = span(base, q, (size_t)(end - q));
  return HTTP_FEED_MORE;
}

static int parse_target(struct http_codec *c, const char *base, const char *p, size_t n) {
  struct http_request *r = &c->req;
  yoi_str whole = {p, n};
  int st = HTTP_FEED_MORE;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)p[i] <= 0x20 || (unsigned char)p[i] >= 0x7f || p[i] == '#')
      return bad(c, "request target has a character that must be encoded");
  if (r->method == HTTPM_CONNECT) {
    r->form = HTTP_TARGET_AUTHORITY;
    if (!http_host_valid(whole)) return bad(c, "authority of the request target is malformed");
    r->authority = span(base, p, n);
    return st;
  }
  if (n == 1 && p[0] == '*') {
    r->form = HTTP_TARGET_STAR;
    return r->method == HTTPM_OPTIONS ? st : bad(c, "request target '*' is for OPTIONS only");
  }
  if (p[0] == '/') r->path = span(base, p, n);
  else if (n >= 7 && http_str_caseeq((yoi_str){p, 7}, "http://"))
    st = absolute_target(c, base, p, n, 7);
  else if (n >= 8 && http_str_caseeq((yoi_str){p, 8}, "https://"))
    st = absolute_target(c, base, p, n, 8);
  else return bad(c, "request target is malformed");
  if (st != HTTP_FEED_MORE) return st;
  const char *path = base + r->path.at, *query = memchr(path, '?', r->path.len);
  if (query) {
    size_t len = (size_t)(query - path);
    r->query = span(base, query + 1, r->path.len - len - 1u);
    r->path.len = (uint16_t)len;
  }
  return st;
}

static int parse_line(struct http_codec *c, const char *base, const char *p, size_t n) {
  const char *end = p + n;
  const char *sp = memchr(p, ' ', n);
  int method = sp ? find_method(p, (size_t)(sp - p)) : -1;
  if (!sp) return bad(c, "request line is malformed");
  if (method < 0) return bad(c, "method is not known");
  c->req.method = (uint8_t)method;
  const char *target = sp + 1, *stop = memchr(target, ' ', (size_t)(end - target));
  if (!stop || stop == target) return bad(c, "request line is malformed");
  if (stop - target > YOI_HTTP_TARGET_MAX)
    return fail(c, YOI_CODE_HEADER_TOO_LARGE, "request target is too long");
  if (end - stop != 9 || memcmp(stop + 1, "HTTP/1.", 7) != 0 || (stop[8] != '0' && stop[8] != '1'))
    return bad(c, "version is not HTTP/1.0 or HTTP/1.1");
  c->req.minor = (uint8_t)(stop[8] - '0');
  c->state = ST_FIELDS;
  return parse_target(c, base, target, (size_t)(stop - target));
}

/* ---- fields ------------------------------------------------------------ */

static void note_list(struct http_request *r, int f, yoi_str value) {
  size_t pos = 0;
  yoi_str token;
  if (f == HTTPF_ACCEPT) {
    r->accept |= (uint8_t)http_accept_bits(value);
    return;
  }
  while (http_list_next(value, &pos, &token))
    if (http_str_caseeq(token, "close")) r->keep_alive = 0;
}

static int note_field(struct http_codec *c, const char *base, yoi_str name, yoi_str value) {
  struct http_request *r = &c->req;
  int f = 0;
  while (f < HTTPF__COUNT &&
         (known_fields[f].len != name.len || !http_str_caseeq(name, known_fields[f].name)))
    f++;
  if (f == HTTPF__COUNT) return HTTP_FEED_MORE;
  uint32_t bit = 1u << f;
  if (known_fields[f].rep == LIST) {
    note_list(r, f, value);
  } else if (r->seen & bit) {
    if (known_fields[f].rep == ONE) return bad(c, "a header field is there twice");
    r->fields[f] = (struct http_span){0, 0};
    return HTTP_FEED_MORE;
  }
  r->seen |= bit;
  r->fields[f] = span(base, value.ptr, value.len);
  return HTTP_FEED_MORE;
}

static int parse_field(struct http_codec *c, const char *base, const char *p, size_t n) {
  if (++c->n_fields > YOI_HTTP_HEADERS_MAX)
    return fail(c, YOI_CODE_HEADER_TOO_LARGE, "too many header fields");
  if (p[0] == ' ' || p[0] == '\t') return bad(c, "folded header lines are not accepted");
  size_t i = 0;
  while (i < n && http_is_token((unsigned char)p[i])) i++;
  if (i == 0 || i == n || p[i] != ':') return bad(c, "header field name is malformed");
  yoi_str value = http_str_trim((yoi_str){p + i + 1, n - i - 1});
  for (size_t k = 0; k < value.len; k++) {
    unsigned char ch = (unsigned char)value.ptr[k];
    if ((ch < 0x20 && ch != '\t') || ch == 0x7f)
      return bad(c, "header field value has a control character");
  }
  return note_field(c, base, (yoi_str){p, i}, value);
}

/* ---- the whole header --------------------------------------------------- */

static int check_framing(struct http_codec *c) {
  struct http_request *r = &c->req;
  if (http_request_has(r, HTTPF_TRANSFER_ENCODING)) {
    if (r->minor == 0) return bad(c, "transfer-encoding in HTTP/1.0");
    if (http_request_has(r, HTTPF_CONTENT_LENGTH))
      return bad(c, "both content-length and transfer-encoding");
    if (!http_str_caseeq(http_request_field(r, HTTPF_TRANSFER_ENCODING), "chunked"))
      return bad(c, "transfer-encoding is not 'chunked'");
    r->chunked = 1;
  }
  if (http_request_has(r, HTTPF_CONTENT_LENGTH)) {
    yoi_str s = http_request_field(r, HTTPF_CONTENT_LENGTH);
    if (s.len == 0) return bad(c, "content-length is malformed");
    for (size_t i = 0; i < s.len; i++)
      if (s.ptr[i] < '0' || s.ptr[i] > '9') return bad(c, "content-length is malformed");
    /* 15 digits are more than any body here and far from overflow. */
    if (s.len > 15) return fail(c, YOI_CODE_PAYLOAD_TOO_LARGE, "body is too large");
    for (size_t i = 0; i < s.len; i++)
      r->content_length = r->content_length * 10 + (uint64_t)(s.ptr[i] - '0');
  }
  return HTTP_FEED_HEAD;
}

static int check_header(struct http_codec *c) {
  struct http_request *r = &c->req;
  int has_host = http_request_has(r, HTTPF_HOST);
  if (!has_host && r->minor == 1) return bad(c, "host is missing");
  if (has_host && !http_host_valid(http_request_field(r, HTTPF_HOST)))
    return bad(c, "host is malformed");
  if (http_request_has(r, HTTPF_EXPECT)) {
    if (!http_str_caseeq(http_request_field(r, HTTPF_EXPECT), "100-continue"))
      return bad(c, "expectation is not known");
    r->expect = r->minor == 1;
  }
  if (r->minor == 0) r->keep_alive = 0;
  int st = check_framing(c);
  /* What follows a CONNECT is not HTTP: it ends here, and so do we. */
  if (r->method == HTTPM_CONNECT) r->keep_alive = r->chunked = 0, r->content_length = 0;
  return st;
}

/* The second reading, by llhttp, of the block that we accepted. */
static int cross_check(struct http_codec *c, const char *base, size_t n) {
  struct http_request *r = &c->req;
  llhttp_init(&c->parser, HTTP_REQUEST, &settings);
  if (!run_parser(c, base, n)) return bad(c, "header is malformed");
  int has_body = r->chunked || r->content_length > 0;
  const char *name = llhttp_method_name((llhttp_method_t)c->parser.method);
  if (c->complete == has_body) return bad(c, "framing is ambiguous");
  if (strcmp(name, method_names[r->method]) != 0 || c->parser.http_minor != r->minor)
    return bad(c, "header is ambiguous");
  if (!c->complete && (!(c->parser.flags & F_CHUNKED) != !r->chunked ||
                       (!r->chunked && c->parser.content_length != r->content_length)))
    return bad(c, "framing is ambiguous");
  return HTTP_FEED_HEAD;
}

/* Walks the lines of base[0..n); *out_end is where the header ended. */
static int walk_lines(struct http_codec *c, const char *base, size_t n, size_t *out_end) {
  const char *lf;
  size_t bound = n < YOI_HTTP_HEADER_BYTES_MAX ? n : YOI_HTTP_HEADER_BYTES_MAX;
  while (bound > c->looked && (lf = memchr(base + c->looked, '\n', bound - c->looked))) {
    const char *line = base + c->line;
    size_t len = (size_t)(lf - line);
    int st = HTTP_FEED_MORE;
    c->line = c->looked = (uint32_t)(lf + 1 - base);
    if (len == 0 || line[len - 1] != '\r') return bad(c, "line does not end in CR LF");
    len--;
    if (memchr(line, '\r', len)) return bad(c, "CR inside a line");
    if (len == 0) {
      if (c->state == ST_FIELDS) {
        *out_end = c->line;
        return HTTP_FEED_HEAD;
      }
      /* One empty line before a request is ignored (RFC 9112 section 2.2). */
      if (c->line != 2) return bad(c, "request line is empty");
    } else {
      st = c->state == ST_LINE ? parse_line(c, base, line, len) : parse_field(c, base, line, len);
    }
    if (st != HTTP_FEED_MORE) return st;
  }
  c->looked = (uint32_t)bound;
  int st = HTTP_FEED_MORE;
  if (c->state == ST_LINE) st = check_partial_line(c, base + c->line, bound - c->line);
  if (st == HTTP_FEED_MORE && n >= YOI_HTTP_HEADER_BYTES_MAX)
    st = fail(c, YOI_CODE_HEADER_TOO_LARGE,
              c->state == ST_LINE ? "request line is too long" : "header is too large");
  return st;
}

static int feed_header(struct http_codec *c, const char *p, size_t n, size_t *used) {
  size_t kept = c->head.len, end = 0, take = n;
  const char *base = p;
  if (kept > 0) {
    /* Never keep more than one header can have; the rest stays outside. */
    size_t room = YOI_HTTP_HEADER_BYTES_MAX - kept;
    if (take > room) take = room;
    yoi_sdk_buf_add(&c->head, p, take);
    if (c->head.failed) return fail(c, YOI_CODE_INTERNAL, "out of memory");
    base = c->head.data;
  }
  c->req.base = base;
  int st = walk_lines(c, base, kept + take, &end);
  if (st == HTTP_FEED_MORE) {
    *used = n;
    if (kept == 0) yoi_sdk_buf_add(&c->head, p, n);
    /* What was read of it is looked at once more: it stays where it stands. */
    if (c->head.failed) return fail(c, YOI_CODE_INTERNAL, "out of memory");
    c->req.base = c->head.data;
    return st;
  }
  if (st != HTTP_FEED_HEAD) return st;
  *used = end - kept;
  if (kept > 0) c->head.len = end;
  if ((st = check_header(c)) != HTTP_FEED_HEAD) return st;
  if ((st = cross_check(c, base, end)) != HTTP_FEED_HEAD) return st;
  c->state = ST_ANNOUNCED;
  /* How much there is to keep while the body comes. */
  c->line = (uint32_t)end;
  return st;
}

/* ---- bodies ------------------------------------------------------------- */

/* A size line has ended; 0 refuses the body. */
static int chunk_size_end(struct http_codec *c) {
  if (c->chunk_digits == 0) return 0;
  c->chunk_digits = 0;
  c->announced += c->chunk_left;
  c->chunk_state = c->chunk_left > 0 ? CH_DATA : CH_TRAILER;
  /* Announced is enough to refuse: nothing beyond the limit is kept. */
  if (c->announced > c->body_max) c->chunk_state = CH_TOO_LARGE;
  return c->chunk_state != CH_TOO_LARGE;
}

static int chunk_digit(struct http_codec *c, unsigned char ch) {
  unsigned v = ch <= '9' ? ch - (unsigned)'0' : (ch | 0x20u) - 'a' + 10u;
  /* Eight digits are more than any body and far from overflow. */
  if (c->chunk_digits++ == 8) return 0;
  c->chunk_left = c->chunk_left << 4 | v;
  return 1;
}

static int is_hex(unsigned char ch) {
  return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f');
}

static int is_text(unsigned char ch) { return (ch >= 0x20 && ch != 0x7f) || ch == '\t'; }

/* One byte of a chunked body that is not data; 0 refuses it. */
static int chunk_step(struct http_codec *c, unsigned char ch) {
  switch (c->chunk_state) {
  case CH_SIZE:
    if (is_hex(ch)) return chunk_digit(c, ch);
    if (c->chunk_digits == 0) return 0;
    if (ch == '\r') return c->chunk_state = CH_SIZE_LF, 1;
    return ch == ';' ? (c->chunk_state = CH_EXTENSION, 1) : 0;
  case CH_EXTENSION:
    if (ch == '\r') return c->chunk_state = CH_SIZE_LF, 1;
    return is_text(ch);
  case CH_SIZE_LF: return ch == '\n' && chunk_size_end(c);
  case CH_DATA_CR: return c->chunk_state = CH_DATA_LF, ch == '\r';
  case CH_DATA_LF: return c->chunk_state = CH_SIZE, ch == '\n';
  case CH_TRAILER:
    if (ch == '\r') return c->chunk_state = CH_LAST_LF, 1;
    if (++c->n_fields > YOI_HTTP_HEADERS_MAX) return 0;
    return c->chunk_state = CH_TRAILER_NAME, http_is_token(ch);
  case CH_TRAILER_NAME:
    if (ch == ':') return c->chunk_state = CH_TRAILER_VALUE, 1;
    return http_is_token(ch);
  case CH_TRAILER_VALUE:
    if (ch == '\r') return c->chunk_state = CH_TRAILER_LF, 1;
    return is_text(ch);
  case CH_TRAILER_LF: return c->chunk_state = CH_TRAILER, ch == '\n';
  case CH_LAST_LF: return c->chunk_state = CH_END, ch == '\n';
  default: return 0;
  }
}

/* How many of n bytes belong to this body, up to what makes it CH_END,
 * CH_TOO_LARGE or CH_BAD. */
static size_t chunk_walk(struct http_codec *c, const char *p, size_t n) {
  size_t i = 0;
  while (i < n && c->chunk_state < CH_END) {
    if (c->chunk_state == CH_DATA) {
      uint64_t take = n - i < c->chunk_left ? n - i : c->chunk_left;
      i += (size_t)take;
      c->chunk_left -= take;
      if (c->chunk_left == 0) c->chunk_state = CH_DATA_CR;
      continue;
    }
    /* Extensions and trailers mean nothing here, so together they may have no
     * more than a header. */
    if (c->chunk_state >= CH_EXTENSION && c->chunk_state != CH_SIZE_LF &&
        c->chunk_state != CH_DATA_CR && c->chunk_state != CH_DATA_LF &&
        ++c->trailer_bytes > YOI_HTTP_HEADER_BYTES_MAX)
      c->chunk_state = CH_BAD;
    else if (!chunk_step(c, (unsigned char)p[i++]) && c->chunk_state != CH_TOO_LARGE)
      c->chunk_state = CH_BAD;
  }
  return i;
}

static int feed_chunked(struct http_codec *c, const char *p, size_t n, size_t *used) {
  size_t take = chunk_walk(c, p, n);
  if (c->chunk_state == CH_BAD) return bad(c, "chunked body is malformed");
  *used = take;
  if (take > 0 && !run_parser(c, p, take)) return bad(c, "chunked body is malformed");
  if (c->chunk_state == CH_TOO_LARGE)
    return fail(c, YOI_CODE_PAYLOAD_TOO_LARGE, "body is too large");
  if (c->body.failed) return fail(c, YOI_CODE_INTERNAL, "out of memory");
  if ((c->chunk_state == CH_END) != c->complete) return bad(c, "chunked body is ambiguous");
  if (!c->complete) return HTTP_FEED_MORE;
  c->req.body = yoi_sdk_buf_str(&c->body);
  c->state = ST_DONE;
  return HTTP_FEED_DONE;
}

static int feed_length(struct http_codec *c, const char *p, size_t n, size_t *used) {
  uint64_t left = c->req.content_length - c->got;
  size_t take = n < left ? n : (size_t)left;
  *used = take;
  if (c->got == 0 && take == left) {
    if (!c->discard) c->req.body = (yoi_str){p, take};
  } else if (!c->discard && take > 0) {
    yoi_sdk_buf_add(&c->body, p, take);
    if (c->body.failed) return fail(c, YOI_CODE_INTERNAL, "out of memory");
    c->req.body = yoi_sdk_buf_str(&c->body);
  }
  c->got += take;
  if (take < left) return HTTP_FEED_MORE;
  c->state = ST_DONE;
  return HTTP_FEED_DONE;
}

/* The header outlives the bytes that it came in. */
static int keep_header(struct http_codec *c) {
  if (c->head.len > 0) return 1;
  yoi_sdk_buf_add(&c->head, c->req.base, c->line);
  if (c->head.failed) return 0;
  c->req.base = c->head.data;
  return 1;
}

static int feed_body(struct http_codec *c, const char *p, size_t n, size_t *used) {
  int st;
  if (!http_request_has_body(&c->req)) {
    c->state = ST_DONE;
    return HTTP_FEED_DONE;
  }
  if (c->req.chunked) c->state = ST_CHUNKED;
  else c->state = ST_LENGTH;
  st = c->req.chunked ? feed_chunked(c, p, n, used) : feed_length(c, p, n, used);
  if (st == HTTP_FEED_MORE && !keep_header(c)) return fail(c, YOI_CODE_INTERNAL, "out of memory");
  return st;
}

/* ---- outside ------------------------------------------------------------- */

void http_codec_init(struct http_codec *c) {
  memset(c, 0, sizeof *c);
  c->req.keep_alive = 1;
  yoi_sdk_buf_init(&c->head, YOI_HTTP_HEADER_BYTES_MAX + 1);
  yoi_sdk_buf_init(&c->body, YOI_BODY_BYTES_MAX + 1);
}

void http_codec_release(struct http_codec *c) {
  yoi_sdk_buf_release(&c->head);
  yoi_sdk_buf_release(&c->body);
}

int http_codec_feed(struct http_codec *c, const char *p, size_t n, size_t *out_used) {
  *out_used = 0;
  switch (c->state) {
  case ST_LINE:
  case ST_FIELDS: return n > 0 ? feed_header(c, p, n, out_used) : HTTP_FEED_MORE;
  case ST_ANNOUNCED:
  case ST_LENGTH:
  case ST_CHUNKED: return feed_body(c, p, n, out_used);
  case ST_DONE: return HTTP_FEED_DONE;
  default: return HTTP_FEED_ERROR;
  }
}

int http_codec_want(struct http_codec *c, size_t body_max, int discard) {
  c->body_max = body_max < YOI_BODY_BYTES_MAX ? body_max : YOI_BODY_BYTES_MAX;
  c->discard = discard != 0;
  if (c->req.content_length <= c->body_max) return 1;
  fail(c, YOI_CODE_PAYLOAD_TOO_LARGE, "body is too large");
  return 0;
}

int http_codec_begun(const struct http_codec *c) {
  return c->state != ST_LINE || c->head.len > 0;
}

int http_request_has(const struct http_request *r, int field) {
  return (r->seen >> field & 1u) != 0;
}

static yoi_str at_span(const struct http_request *r, struct http_span s) {
  return s.len > 0 ? (yoi_str){r->base + s.at, s.len} : (yoi_str){NULL, 0};
}

yoi_str http_request_field(const struct http_request *r, int field) {
  return at_span(r, r->fields[field]);
}

yoi_str http_request_path(const struct http_request *r) { return at_span(r, r->path); }
yoi_str http_request_query(const struct http_request *r) { return at_span(r, r->query); }

yoi_str http_request_host(const struct http_request *r) {
  return r->authority.len > 0 ? at_span(r, r->authority) : http_request_field(r, HTTPF_HOST);
}

int http_request_has_body(const struct http_request *r) {
  return r->chunked || r->content_length > 0;
}

const char *http_method_name(uint8_t method) { return method_names[method]; }
