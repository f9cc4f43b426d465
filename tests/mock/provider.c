/* provider.c - a chat-completions provider that behaves as it is told.
 *
 *   provider [--port N] [--key KEY] [--models-fail N] [--models-empty]
 *            [--models-slow MS]
 *
 * Prints `listening PORT` and answers on 127.0.0.1 until it is killed. One
 * thread, epoll; an ordinary answer is made once and sent with one call, so
 * that a benchmark measures its client. Routes, under any prefix:
 *
 *   POST .../chat/completions   GET .../models
 *   GET /stats    {"chat","models","connections","open","closed_early"}; only
 *                 connections that asked for something else are counted, and
 *                 closed_early are those that the client closed mid-answer
 *   GET /last     the header and body of the last chat request
 *   POST /reset   sets the counts to 0
 *
 * What a chat request gets is said by the last `mode=...` in it, up to the
 * quote that ends that string: in its last user message, or in its model's
 * name. Options are separated by spaces. Without any: mode=text.
 *
 *   mode=text      `chunks` deltas "w0 ", "w1 ", ...
 *   mode=echo      the text behind the options' last " -- ", as chunks
 *   mode=unicode   deltas that end inside characters, raw=1: as raw bytes,
 *                  else as halves of surrogate pairs
 *   mode=reasoning field=reasoning_content|reasoning, then text
 *   mode=refusal   delta.refusal
 *   mode=tool      shape=... of the calls, below; a request whose last message
 *                  is a tool's gets mode=text
 *   mode=json      not a stream: one application/json answer
 *   mode=status    code=N, with after=, after_ms=, should=, type=, code_text=;
 *                  times=N key=K: only the first N requests of that key
 *   mode=error     `chunks` deltas, then an error: form=event|data|text,
 *                  type=, code_text=
 *   mode=html, mode=garbage, mode=empty, mode=plain
 *   mode=coded     an empty answer in a transfer coding that nobody asked for
 *   mode=huge      one line of size=N bytes
 *   options        chunks=8 size=N (bytes per delta) delay=MS (between events)
 *                  stamp=1 (a delta says when it is sent, "@" and nanoseconds)
 *                  first=MS (before the header) head=MS (between header and
 *                  body) split=1 (every byte a chunk of its own) eol=lf|crlf|cr
 *                  done=0 (no [DONE]) blank=0 (no last blank line) usage=
 *                  full|part|null|none|each finish=REASON (none: never) bom=1
 *                  comments=1 empty=1 (a first chunk without choices)
 *                  stall=K reset=K close=K (instead of event K)
 *                  keep=0 (Connection: close) keep=silent (just closes)
 *   shapes         fragments whole object noindex zero newid legacy two cut
 *                  bad noid long; file, work: of tools that there are
 */
#include "provider_answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 16777216
#define CONNS_MAX 65536

struct conn {
  int fd;
  uint8_t busy, counted, want_out, dead, waiting;
  struct yoi_sdk_buf in, out;
  size_t sent;
  /* a paced answer: events in `plan`, ends[i] is the end of event i */
  struct yoi_sdk_buf plan;
  uint32_t *ends;
  uint32_t n, i;
  uint64_t at_ms; /* when the next event goes, 0 = not paced */
  uint32_t delay, first, head_wait;
  int64_t stall, reset, shut;
  int bytewise, keep, stamped;
};

struct key {
  char name[32];
  uint32_t used;
};

struct provider {
  int ep, listener;
  const char *bearer;
  uint64_t models_fail, models_slow;
  int models_empty;
  struct conn *conns[CONNS_MAX];
  uint32_t n_waiting;
  int fd_end; /* above every connection's */
  uint64_t chat, models, connections, open, closed_early;
  struct yoi_sdk_buf last;
  struct yoi_sdk_buf plain; /* the whole answer to a request without options */
  struct key keys[256];
};

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- sending ------------------------------------------------------------ */

static void set_out(struct provider *p, struct conn *c, int want) {
  if (c->want_out == want) return;
  c->want_out = want != 0;
  struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | (want ? EPOLLOUT : 0u),
                           .data.ptr = c};
  epoll_ctl(p->ep, EPOLL_CTL_MOD, c->fd, &ev);
}

static void answer_done(struct provider *p, struct conn *c);

static void flush(struct provider *p, struct conn *c) {
  while (c->sent < c->out.len) {
    size_t part = yoi_sdk_short(c->out.len - c->sent);
    ssize_t n = send(c->fd, c->out.data + c->sent, part, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      set_out(p, c, 1);
      return;
    }
    if (n < 0) {
      c->dead = 1;
      return;
    }
    c->sent += (size_t)n;
  }
  yoi_sdk_buf_clear(&c->out);
  c->sent = 0;
  set_out(p, c, 0);
  if (c->busy && !c->at_ms && c->i == c->n) answer_done(p, c);
}

static void answer_done(struct provider *p, struct conn *c) {
  c->busy = 0;
  c->n = c->i = 0;
  if (!c->keep) c->dead = 1;
  (void)p;
}

static void head(struct conn *c, const char *status, const char *type, const char *more) {
  yoi_sdk_buf_addf(&c->out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nX-Request-Id: mock-1\r\n%s", status,
                   type, more);
}

/* A whole answer with a length. */
static void whole(struct provider *p, struct conn *c, const char *status, const char *type,
                  const char *more, yoi_str body) {
  head(c, status, type, more);
  yoi_sdk_buf_addf(&c->out, "Content-Length: %zu\r\n\r\n", body.len);
  yoi_sdk_buf_adds(&c->out, body);
  c->n = c->i = 0;
  c->at_ms = 0;
  flush(p, c);
}

static void add_chunked(struct yoi_sdk_buf *out, yoi_str bytes, int bytewise) {
  size_t step = bytewise ? 1 : bytes.len;
  for (size_t i = 0; i < bytes.len; i += step) {
    yoi_sdk_buf_addf(out, "%zx\r\n", step);
    yoi_sdk_buf_add(out, bytes.ptr + i, step);
    yoi_sdk_buf_adds(out, YOI_LIT("\r\n"));
  }
}

/* Puts the time into an event that has a place for it. */
static void stamp(char *event, size_t n) {
  char text[sizeof STAMP];
  struct timespec t;
  char *at = memmem(event, n, STAMP, sizeof STAMP - 1);
  if (!at) return;
  clock_gettime(CLOCK_MONOTONIC, &t);
  snprintf(text, sizeof text, "@%019lld", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
  memcpy(at, text, sizeof text - 1);
}

static void pace(struct provider *p, struct conn *c, uint64_t in_ms) {
  c->at_ms = now_ms() + in_ms;
  if (!c->waiting) p->n_waiting++;
  c->waiting = 1;
}

/* Sends what is due of a paced answer; all of it when nothing paces it. */
static void go_on(struct provider *p, struct conn *c) {
  int paced = c->delay > 0;
  c->at_ms = 0;
  while (c->i < c->n) {
    int64_t i = (int64_t)c->i;
    if (i == c->stall) { /* says nothing more until the client goes */
      flush(p, c);
      c->at_ms = UINT64_MAX;
      return;
    }
    if (i == c->shut || i == c->reset) {
      flush(p, c);
      if (i == c->reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      }
      c->busy = 0;
      c->dead = 1;
      return;
    }
    uint32_t from = c->i ? c->ends[c->i - 1] : 0;
    if (c->stamped) stamp(c->plan.data + from, c->ends[c->i] - from);
    add_chunked(&c->out, (yoi_str){c->plan.data + from, c->ends[c->i] - from}, c->bytewise);
    c->i++;
    if (paced && c->i < c->n) {
      flush(p, c);
      if (!c->dead) pace(p, c, c->delay);
      return;
    }
  }
  yoi_sdk_buf_adds(&c->out, YOI_LIT("0\r\n\r\n"));
  flush(p, c);
}

/* ---- requests ------------------------------------------------------------ */

static int key_used_up(struct provider *p, const struct spec *s) {
  int64_t times = num(s, "times", -1);
  if (times < 0) return 0;
  yoi_str name = opt(s, "key", "-");
  for (size_t i = 0; i < sizeof p->keys / sizeof p->keys[0]; i++) {
    struct key *k = &p->keys[i];
    if (!k->name[0]) snprintf(k->name, sizeof k->name, "%.*s", YOI_ARG(name));
    if (yoi_sdk_str_is(name, k->name)) return (int64_t)k->used++ >= times;
  }
  return 0;
}

static void refuse(struct provider *p, struct conn *c, const struct spec *s, int64_t code) {
  char status[32], more[512] = "";
  int n = 0;
  static const char *const names[][2] = {
      {"after", "Retry-After"}, {"after_ms", "Retry-After-Ms"}, {"should", "X-Should-Retry"}};
  for (size_t i = 0; i < 3; i++) {
    yoi_str v = opt(s, names[i][0], "");
    if (v.len && n < 256)
      n += snprintf(more + n, sizeof more - (size_t)n, "%s: %.*s\r\n", names[i][1],
                    (int)(v.len < 64 ? v.len : 64), v.ptr);
  }
  snprintf(status, sizeof status, "%d Refused", (int)code);
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, ANSWER_MAX);
  error_json(&b, s);
  whole(p, c, status, "application/json", more, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
}

static void chat(struct provider *p, struct conn *c, yoi_str body) {
  struct spec s;
  spec_of(body, &s);
  p->chat++;
  c->keep = !is(&s, "keep", "", "0") && !is(&s, "keep", "", "silent");
  if (!s.text[0]) {
    yoi_sdk_buf_adds(&c->out, yoi_sdk_buf_str(&p->plain));
    c->n = c->i = 0;
    flush(p, c);
    return;
  }
  yoi_str mode = opt(&s, "mode", "text");
  if (yoi_sdk_str_is(mode, "status") && !key_used_up(p, &s)) {
    refuse(p, c, &s, num(&s, "code", 500));
    return;
  }
  if (yoi_sdk_str_is(mode, "html")) {
    whole(p, c, "200 OK", "text/html", "", YOI_LIT("<!DOCTYPE html><html>Sign in</html>"));
    return;
  }
  if (yoi_sdk_str_is(mode, "plain")) {
    whole(p, c, "200 OK", "text/plain", "", YOI_LIT("all is well\n"));
    return;
  }
  if (yoi_sdk_str_is(mode, "empty")) {
    whole(p, c, "200 OK", "text/event-stream", "", (yoi_str){0});
    return;
  }
  if (yoi_sdk_str_is(mode, "coded")) {
    whole(p, c, "200 OK", "text/event-stream", "Transfer-Encoding: gzip\r\n", (yoi_str){0});
    return;
  }
  if (yoi_sdk_str_is(mode, "json")) {
    struct yoi_sdk_buf b;
    yoi_sdk_buf_init(&b, ANSWER_MAX);
    not_a_stream(&b, &s);
    whole(p, c, "200 OK", "application/json", "", yoi_sdk_buf_str(&b));
    yoi_sdk_buf_release(&b);
    return;
  }
  if (!c->ends) c->ends = yoi_sdk_calloc(EVENTS_MAX, sizeof *c->ends);
  if (!c->ends) {
    c->dead = 1;
    return;
  }
  yoi_sdk_buf_clear(&c->plan);
  struct answer a = {.s = &s, .out = &c->plan, .ends = c->ends};
  stream(&a);
  c->n = a.n;
  c->i = 0;
  c->stall = num(&s, "stall", -1);
  c->reset = num(&s, "reset", -1);
  c->shut = num(&s, "close", -1);
  c->delay = (uint32_t)num(&s, "delay", 0);
  c->bytewise = num(&s, "split", 0) != 0;
  c->stamped = num(&s, "stamp", 0) != 0;
  c->first = (uint32_t)num(&s, "first", 0);
  c->head_wait = (uint32_t)num(&s, "head", 0);
  if (!c->first) {
    head(c, "200 OK", "text/event-stream",
         is(&s, "keep", "", "0") ? "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 : "Transfer-Encoding: chunked\r\n\r\n");
    if (c->head_wait) flush(p, c);
  }
  if (c->first || c->head_wait) {
    pace(p, c, c->first ? c->first : c->head_wait);
    return;
  }
  go_on(p, c);
}

/* The answer to every request without options. */
static void make_plain(struct provider *p) {
  static const struct spec none = {.text = ""};
  static uint32_t ends[EVENTS_MAX];
  struct conn c = {.fd = -1};
  yoi_sdk_buf_init(&c.out, ANSWER_MAX);
  yoi_sdk_buf_init(&c.plan, ANSWER_MAX);
  struct answer a = {.s = &none, .out = &c.plan, .ends = ends};
  stream(&a);
  head(&c, "200 OK", "text/event-stream", "Transfer-Encoding: chunked\r\n\r\n");
  for (uint32_t i = 0; i < a.n; i++) {
    uint32_t from = i ? ends[i - 1] : 0;
    add_chunked(&c.out, (yoi_str){c.plan.data + from, ends[i] - from}, 0);
  }
  yoi_sdk_buf_adds(&c.out, YOI_LIT("0\r\n\r\n"));
  p->plain = c.out;
  yoi_sdk_buf_release(&c.plan);
}

static void models(struct provider *p, struct conn *c) {
  static const struct spec none = {.text = ""};
  p->models++;
  if (p->models_fail) {
    p->models_fail--;
    refuse(p, c, &none, 503);
    return;
  }
  whole(p, c, "200 OK", "application/json", "",
        p->models_empty ? YOI_LIT("{\"object\":\"list\",\"data\":[]}")
                        : YOI_LIT("{\"object\":\"list\",\"data\":[{\"id\":\"mock-1\",\"object\":"
                                  "\"model\"},{\"id\":\"mock-2\",\"object\":\"model\"}]}"));
}

static void stats(struct provider *p, struct conn *c) {
  char text[256];
  int n = snprintf(text, sizeof text,
                   "{\"chat\":%llu,\"models\":%llu,\"connections\":%llu,\"open\":%llu,"
                   "\"closed_early\":%llu}\n",
                   (unsigned long long)p->chat, (unsigned long long)p->models,
                   (unsigned long long)p->connections, (unsigned long long)p->open,
                   (unsigned long long)p->closed_early);
  whole(p, c, "200 OK", "application/json", "", (yoi_str){text, (size_t)n});
}

static int authorised(const struct provider *p, yoi_str all) {
  char line[256];
  if (!p->bearer) return 1;
  int n = snprintf(line, sizeof line, "\r\nAuthorization: Bearer %s\r\n", p->bearer);
  return memmem(all.ptr, all.len, line, (size_t)n) != NULL;
}

static int path_ends(yoi_str target, const char *end) {
  size_t n = strlen(end);
  return target.len >= n && memcmp(target.ptr + target.len - n, end, n) == 0;
}

static void route(struct provider *p, struct conn *c, yoi_str header, yoi_str body) {
  const char *sp = memchr(header.ptr, ' ', header.len);
  const char *sp2 = sp ? memchr(sp + 1, ' ', header.len - (size_t)(sp + 1 - header.ptr)) : NULL;
  yoi_str target = sp2 ? (yoi_str){sp + 1, (size_t)(sp2 - sp - 1)} : (yoi_str){0};
  c->busy = 1;
  c->keep = 1;
  if (yoi_sdk_str_is(target, "/stats")) {
    stats(p, c);
    return;
  }
  if (yoi_sdk_str_is(target, "/last")) {
    whole(p, c, "200 OK", "text/plain", "", yoi_sdk_buf_str(&p->last));
    return;
  }
  if (yoi_sdk_str_is(target, "/reset")) {
    p->chat = p->models = p->connections = p->closed_early = 0;
    whole(p, c, "200 OK", "text/plain", "", YOI_LIT("ok\n"));
    return;
  }
  if (!c->counted) {
    c->counted = 1;
    p->connections++;
    p->open++;
  }
  static const struct spec denied = {
      .text = "type=invalid_request_error code_text=invalid_api_key"};
  static const struct spec missing = {.text = "type=not_found_error"};
  if (!authorised(p, header)) {
    p->chat++;
    refuse(p, c, &denied, 401);
  } else if (path_ends(target, "/models")) {
    if (p->models_slow) {
      c->n = c->i = 0;
      pace(p, c, p->models_slow);
    } else {
      models(p, c);
    }
  } else if (path_ends(target, "/chat/completions")) {
    yoi_sdk_buf_clear(&p->last);
    yoi_sdk_buf_adds(&p->last, header);
    yoi_sdk_buf_adds(&p->last, body);
    chat(p, c, body);
  } else {
    refuse(p, c, &missing, 404);
  }
}

static size_t content_length(const char *header, const char *end) {
  static const char name[] = "content-length:";
  size_t length = 0;
  for (const char *at = header; (at = memchr(at, '\n', (size_t)(end - at))) != NULL;) {
    if (strncasecmp(++at, name, sizeof name - 1) != 0) continue;
    at += sizeof name - 1;
    while (*at == ' ') at++;
    for (; *at >= '0' && *at <= '9'; at++) length = length * 10 + (size_t)(*at - '0');
  }
  return length;
}

/* One whole request at the start of `in`, its length, or 0. */
static size_t request(yoi_str in, size_t *out_header) {
  const char *end = memmem(in.ptr, in.len, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t header = (size_t)(end - in.ptr) + 4;
  size_t length = content_length(in.ptr, end + 2);
  *out_header = header;
  return length <= REQUEST_MAX && in.len >= header + length ? header + length : 0;
}

static void serve(struct provider *p, struct conn *c) {
  size_t header, used = 0;
  while (!c->busy && !c->dead) {
    yoi_str in = {c->in.data + used, c->in.len - used};
    size_t n = in.len ? request(in, &header) : 0;
    if (!n) break;
    route(p, c, (yoi_str){in.ptr, header}, (yoi_str){in.ptr + header, n - header});
    used += n;
  }
  if (used) yoi_sdk_buf_drop(&c->in, used);
}

/* ---- connections ---------------------------------------------------------- */

static void drop(struct provider *p, struct conn *c) {
  if (c->counted) p->open--;
  if (c->waiting) p->n_waiting--;
  p->conns[c->fd] = NULL;
  close(c->fd);
  yoi_sdk_buf_release(&c->in);
  yoi_sdk_buf_release(&c->out);
  yoi_sdk_buf_release(&c->plan);
  yoi_sdk_free(c->ends);
  yoi_sdk_free(c);
}

static void on_accept(struct provider *p) {
  for (;;) {
    int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct conn *c = fd < CONNS_MAX ? yoi_sdk_calloc(1, sizeof *c) : NULL;
    if (!c) {
      close(fd);
      continue;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd;
    yoi_sdk_buf_init(&c->in, REQUEST_MAX);
    yoi_sdk_buf_init(&c->out, ANSWER_MAX);
    yoi_sdk_buf_init(&c->plan, ANSWER_MAX);
    p->conns[fd] = c;
    if (fd >= p->fd_end) p->fd_end = fd + 1;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
    epoll_ctl(p->ep, EPOLL_CTL_ADD, fd, &ev);
  }
}

static void on_conn(struct provider *p, struct conn *c, uint32_t events) {
  int gone = (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
  if (events & EPOLLIN) {
    char *to = yoi_sdk_buf_reserve(&c->in, 65536);
    ssize_t n = to ? recv(c->fd, to, 65536, 0) : 0;
    if (n > 0) c->in.len += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) gone = 1;
  }
  if (gone) {
    if (c->busy) p->closed_early++;
    drop(p, c);
    return;
  }
  if (events & EPOLLOUT) flush(p, c);
  if (c->in.len && c->in.data[0] == 0x16) { /* a TLS client's hello */
    yoi_sdk_buf_adds(&c->out, YOI_LIT("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
    flush(p, c);
    c->dead = 1;
  }
  serve(p, c);
  if (c->dead) drop(p, c);
}

/* Paced answers whose time has come. */
static int due(struct provider *p) {
  uint64_t now = now_ms(), next = UINT64_MAX;
  if (!p->n_waiting) return -1;
  for (int fd = 0; fd < p->fd_end; fd++) {
    struct conn *c = p->conns[fd];
    if (!c || !c->waiting) continue;
    if (c->at_ms <= now) {
      c->waiting = 0;
      p->n_waiting--;
      c->at_ms = 0;
      if (c->n == 0) {
        models(p, c);
      } else {
        if (c->first) {
          head(c, "200 OK", "text/event-stream", "Transfer-Encoding: chunked\r\n\r\n");
          c->first = 0;
        }
        go_on(p, c);
      }
      if (!c->busy && !c->dead) serve(p, c);
      if (c->dead) {
        drop(p, c);
        continue;
      }
    }
    if (c->waiting && c->at_ms < next) next = c->at_ms;
  }
  if (next == UINT64_MAX) return -1;
  return next > now ? (int)(next - now) : 0;
}

static int listen_on(struct provider *p, uint16_t port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  socklen_t len = sizeof at;
  int one = 1;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(p->listener, (struct sockaddr *)&at, len) != 0 || listen(p->listener, 4096) != 0 ||
      getsockname(p->listener, (struct sockaddr *)&at, &len) != 0) {
    perror("provider");
    return 0;
  }
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(p->ep, EPOLL_CTL_ADD, p->listener, &ev);
  printf("listening %u\n", (unsigned)ntohs(at.sin_port));
  fflush(stdout);
  return 1;
}

int main(int argc, char **argv) {
  struct provider *p = yoi_sdk_calloc(1, sizeof *p);
  uint64_t port = 0;
  if (!p) return 1;
  yoi_sdk_buf_init(&p->last, REQUEST_MAX);
  make_plain(p);
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    uint64_t n = 0;
    int has = yoi_sdk_parse_u64(yoi_sdk_str(value), INT32_MAX, &n);
    if (strcmp(argv[i], "--models-empty") == 0) {
      p->models_empty = 1;
      continue;
    }
    if (strcmp(argv[i], "--key") == 0)
      p->bearer = value;
    else if (strcmp(argv[i], "--port") == 0 && has && n < 65536)
      port = n;
    else if (strcmp(argv[i], "--models-fail") == 0 && has)
      p->models_fail = n;
    else if (strcmp(argv[i], "--models-slow") == 0 && has)
      p->models_slow = n;
    else {
      fprintf(stderr, "provider: '%s' is no option\n", argv[i]);
      return 2;
    }
    i++;
  }
  p->ep = epoll_create1(EPOLL_CLOEXEC);
  if (!listen_on(p, (uint16_t)port)) return 1;
  for (;;) {
    struct epoll_event evs[256];
    int n = epoll_wait(p->ep, evs, 256, due(p));
    for (int i = 0; i < n; i++) {
      if (evs[i].data.ptr)
        on_conn(p, evs[i].data.ptr, evs[i].events);
      else
        on_accept(p);
    }
  }
}
