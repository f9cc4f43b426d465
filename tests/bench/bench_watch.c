/* bench_watch.c - many watchers of one worker, and some that never read.
 *
 *   bench_watch PORT TARGET WATCHERS TURNS STALLED
 *
 * Opens STALLED connections that ask for the event stream TARGET and never
 * read, then WATCHERS that do. When all of these have had their first event it
 * prints `watching`; whoever drives it lets the worker speak. When every
 * watcher has seen TURNS turns end it prints one JSON object, and when its
 * input ends it reads what the stalled ones still get, prints that too, and
 * ends.
 *
 * Every watcher's stream is parsed: chunks, lines, events. What it was told in
 * deltas has to be what message.completed says, and the same for all: `texts`
 * is the number of different ones. Where the deltas are stamps (load.h), the
 * fan-out of a delta is the time from its stamp to the last watcher that got
 * it, this program's own reading included.
 *
 *   HEAD -> SIZE -> DATA -> CRLF -> SIZE ... -> LAST (size 0)
 */
#include "load.h"

#include <errno.h>
#include <sdk/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WATCHERS_MAX 65536
#define TURNS_MAX 1000
#define STAMPS_MAX 100000   /* of all turns of one run */
#define LINE_MAX_BYTES 4194304
#define STALLED_RCVBUF 4096 /* what the kernel takes for who never reads */
#define SILENCE_MS 60000
#define STALLED_END_S 20

enum state { HEAD, SIZE, DATA, CRLF, LAST };
enum kind { OTHER, DELTA, MESSAGE, ENDED, END };

struct watcher {
  int fd;
  uint8_t state, kind, seen, done;
  uint32_t turns, stamps;
  size_t left;              /* of the chunk; while in SIZE, what it is so far */
  struct yoi_sdk_buf carry; /* a head or line that is not whole */
  uint64_t stamp, text, all, deltas;
};

struct watch {
  int epoll, port;
  const char *target;
  long n, n_stalled, turns, seen, done, errors;
  uint64_t bytes, now;
  struct watcher *at;
  uint64_t stamp[STAMPS_MAX];
  uint64_t last_ns[STAMPS_MAX];
};

static uint64_t fnv(uint64_t h, yoi_str s) {
  for (size_t i = 0; i < s.len; i++) h = (h ^ (uint8_t)s.ptr[i]) * 1099511628211u;
  return h;
}

static void wrong(struct watch *b, const char *what, yoi_str line) {
  if (b->errors++ < 3) (void)fprintf(stderr, "bench_watch: %s: %.300s\n", what, line.ptr);
}

/* ---- events ---------------------------------------------------------------- */

static void delta(struct watch *b, struct watcher *w, yoi_str data) {
  yoi_str text = yoi_sdk_json_raw_get(data, "text");
  if (text.len < 2) {
    wrong(b, "a delta without text", data);
    return;
  }
  text = (yoi_str){text.ptr + 1, text.len - 2};
  w->deltas++;
  w->text = fnv(w->text, text);
  const char *p = text.ptr;
  uint64_t at;
  while ((at = load_stamp(&p, text.ptr + text.len, w->stamp)) != 0) {
    uint32_t k = w->stamps++;
    w->stamp = at;
    if (k >= STAMPS_MAX) continue;
    if (b->stamp[k] == 0) b->stamp[k] = at;
    if (b->stamp[k] != at) wrong(b, "another text than the others'", data);
    if (b->now - at > b->last_ns[k]) b->last_ns[k] = b->now - at;
  }
}

/* The text of an assistant's message is what the deltas said. */
static void message(struct watch *b, struct watcher *w, yoi_str data) {
  yoi_str item = yoi_sdk_json_raw_get(data, "item");
  yoi_str role = yoi_sdk_json_raw_get(item, "role");
  if (!yoi_sdk_str_is(role, "\"assistant\"")) return;
  yoi_str content = yoi_sdk_json_raw_get(item, "content");
  const char *text = memmem(content.ptr, content.len, "\"text\":\"", 8);
  const char *end = text ? memchr(text + 8, '"', content.len - (size_t)(text + 8 - content.ptr))
                         : NULL;
  if (!end || fnv(0, (yoi_str){text + 8, (size_t)(end - text - 8)}) != w->text)
    wrong(b, "a message that is not its deltas", data);
  w->all = fnv(w->all, data);
  w->text = 0;
}

static void line(struct watch *b, struct watcher *w, yoi_str l) {
  static const struct {
    const char *name;
    enum kind kind;
  } kinds[] = {{"event: text.delta", DELTA},
               {"event: message.completed", MESSAGE},
               {"event: turn.ended", ENDED},
               {"event: end", END}};
  if (l.len > 7 && memcmp(l.ptr, "event: ", 7) == 0) {
    w->kind = OTHER;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
      if (yoi_sdk_str_is(l, kinds[i].name)) w->kind = (uint8_t)kinds[i].kind;
    if (!w->seen) b->seen++;
    w->seen = 1;
  }
  if (l.len < 6 || memcmp(l.ptr, "data: ", 6) != 0) return;
  yoi_str data = {l.ptr + 6, l.len - 6};
  if (w->kind == DELTA) delta(b, w, data);
  if (w->kind == MESSAGE) message(b, w, data);
  if (w->kind == END) wrong(b, "a stream was ended", data);
  if (w->kind != ENDED || ++w->turns != (uint32_t)b->turns) return;
  w->done = 1;
  b->done++;
}

/* ---- bytes ------------------------------------------------------------------ */

/* Lines of what is in a chunk; the last one may go on in the next. */
static void lines(struct watch *b, struct watcher *w, const char *p, size_t n) {
  while (n > 0) {
    const char *lf = memchr(p, '\n', n);
    size_t k = lf ? (size_t)(lf - p) : n;
    if (!lf || w->carry.len > 0) yoi_sdk_buf_add(&w->carry, p, k);
    if (!lf) return;
    if (w->carry.len > 0) {
      line(b, w, yoi_sdk_buf_str(&w->carry));
      yoi_sdk_buf_release(&w->carry);
    } else {
      line(b, w, (yoi_str){p, k});
    }
    p += k + 1;
    n -= k + 1;
  }
}

/* The head of the answer; the bytes of it that were taken. */
static size_t head(struct watch *b, struct watcher *w, const char *p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    yoi_sdk_buf_addc(&w->carry, p[i]);
    yoi_str h = yoi_sdk_buf_str(&w->carry);
    if (h.len < 4 || memcmp(h.ptr + h.len - 4, "\r\n\r\n", 4) != 0) continue;
    if (!memmem(h.ptr, h.len, " 200 ", 5) || !memmem(h.ptr, h.len, "chunked", 7))
      wrong(b, "no event stream", h);
    yoi_sdk_buf_release(&w->carry);
    w->state = SIZE;
    w->left = 0;
    return i + 1;
  }
  return n;
}

static size_t size(struct watch *b, struct watcher *w, char c) {
  unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 32) - 'a') + 10;
  if (c == '\n') w->state = w->left > 0 ? DATA : LAST;
  else if (c != '\r' && digit > 15) wrong(b, "no chunk size", (yoi_str){"", 0});
  else if (c != '\r') w->left = w->left * 16 + digit;
  return 1;
}

static void bytes(struct watch *b, struct watcher *w, const char *p, size_t n) {
  while (n > 0) {
    size_t k = 1;
    if (w->state == HEAD) {
      k = head(b, w, p, n);
    } else if (w->state == SIZE) {
      k = size(b, w, *p);
    } else if (w->state == DATA) {
      k = n < w->left ? n : w->left;
      lines(b, w, p, k);
      w->left -= k;
      if (w->left == 0) w->state = CRLF;
    } else if (w->state == CRLF && *p == '\n') {
      w->state = SIZE;
    }
    p += k;
    n -= k;
  }
}

static int readable(struct watch *b, struct watcher *w) {
  static char buf[LOAD_READ];
  ssize_t n = recv(w->fd, buf, sizeof buf, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
  if (n <= 0) return 0;
  b->now = load_now_ns();
  b->bytes += (uint64_t)n;
  bytes(b, w, buf, (size_t)n);
  return 1;
}

/* ---- watchers ----------------------------------------------------------------- */

static int ask(const struct watch *b, int fd) {
  char text[1024];
  int n = snprintf(text, sizeof text,
                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n",
                   b->target, b->port);
  return n > 0 && (size_t)n < sizeof text && load_send(fd, text, (size_t)n);
}

/* Reads whatever comes until `*count` is `goal`. */
static int until(struct watch *b, const long *count, long goal) {
  while (*count < goal) {
    struct epoll_event ready[256];
    int k = epoll_wait(b->epoll, ready, 256, SILENCE_MS);
    if (k == 0 || (k < 0 && errno != EINTR)) return 0;
    for (int i = 0; i < k; i++) {
      struct watcher *w = ready[i].data.ptr;
      if (readable(b, w)) continue;
      wrong(b, "a watcher was closed", (yoi_str){"", 0});
      (void)epoll_ctl(b->epoll, EPOLL_CTL_DEL, w->fd, NULL);
      if (!w->done) return 0;
    }
  }
  return 1;
}

static int open_all(struct watch *b) {
  for (long i = 0; i < b->n_stalled + b->n; i++) {
    struct watcher *w = &b->at[i];
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};
    yoi_sdk_buf_init(&w->carry, LINE_MAX_BYTES);
    w->fd = load_connect(b->port, (size_t)i, i < b->n_stalled ? STALLED_RCVBUF : 0);
    if (w->fd < 0 || !ask(b, w->fd)) {
      perror("bench_watch: connect");
      return 0;
    }
    if (i >= b->n_stalled && epoll_ctl(b->epoll, EPOLL_CTL_ADD, w->fd, &ev) != 0) return 0;
  }
  return until(b, &b->seen, b->n);
}

static long different(const struct watch *b) {
  long n = 0;
  for (long i = b->n_stalled; i < b->n_stalled + b->n; i++)
    n += i == b->n_stalled || b->at[i].all != b->at[b->n_stalled].all;
  return n;
}

static void report(struct watch *b, double seconds, double cpu) {
  struct load_samples fan_us = {0};
  uint64_t deltas = 0;
  for (size_t i = 0; i < STAMPS_MAX && b->stamp[i]; i++) load_sample(&fan_us, b->last_ns[i] / 1000);
  for (long i = 0; i < b->n_stalled + b->n; i++) deltas += b->at[i].deltas;
  (void)printf("{\"watchers\":%ld,\"turns\":%ld,\"seconds\":%.4f,\"client_cpu_s\":%.4f,"
               "\"bytes\":%llu,\"deltas\":%llu,\"stamps\":%zu,\"fan_p50_us\":%u,"
               "\"fan_p99_us\":%u,\"texts\":%ld,\"errors\":%ld}\n",
               b->n, b->turns, seconds, cpu, (unsigned long long)b->bytes,
               (unsigned long long)deltas, fan_us.n, load_quantile(&fan_us, 500),
               load_quantile(&fan_us, 990), different(b), b->errors);
  (void)fflush(stdout);
  free(fan_us.at);
}

/* What those that never read get when they do: the rest, and an end. */
static void stalled(struct watch *b) {
  uint64_t got = 0;
  long closed = 0, cut = 0;
  for (long i = 0; i < b->n_stalled; i++) {
    struct timeval limit = {.tv_sec = STALLED_END_S};
    char buf[LOAD_READ], tail[5] = "";
    ssize_t n;
    (void)setsockopt(b->at[i].fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while ((n = recv(b->at[i].fd, buf, sizeof buf, 0)) > 0) {
      got += (uint64_t)n;
      if (n >= 5) memcpy(tail, buf + n - 5, 5);
    }
    closed += n == 0 || errno == ECONNRESET;
    cut += memcmp(tail, "0\r\n\r\n", 5) != 0;
  }
  (void)printf("{\"stalled\":%ld,\"closed\":%ld,\"cut\":%ld,\"bytes\":%llu}\n", b->n_stalled,
               closed, cut, (unsigned long long)got);
}

int main(int argc, char **argv) {
  static struct watch b;
  char none[16];
  if (argc == 6) {
    b.port = (int)load_number(argv[1], 65535);
    b.target = argv[2];
    b.n = load_number(argv[3], WATCHERS_MAX);
    b.turns = load_number(argv[4], TURNS_MAX);
    b.n_stalled = load_number(argv[5], WATCHERS_MAX);
  }
  if (b.port <= 0 || b.n <= 0 || b.turns <= 0 || b.n_stalled < 0) {
    (void)fprintf(stderr, "usage: bench_watch PORT TARGET WATCHERS TURNS STALLED\n");
    return 2;
  }
  b.epoll = epoll_create1(EPOLL_CLOEXEC);
  b.at = calloc((size_t)(b.n + b.n_stalled), sizeof *b.at);
  if (b.epoll < 0 || !b.at || !load_files((size_t)(b.n + b.n_stalled) + 16)) {
    (void)fprintf(stderr, "bench_watch: not enough open files\n");
    return 1;
  }
  if (!open_all(&b)) {
    (void)fprintf(stderr, "bench_watch: %ld of %ld watch\n", b.seen, b.n);
    return 1;
  }
  (void)printf("watching\n");
  (void)fflush(stdout);
  uint64_t begin = load_now_ns();
  double cpu = load_cpu_s();
  int whole = until(&b, &b.done, b.n);
  report(&b, (double)(load_now_ns() - begin) / 1e9, load_cpu_s() - cpu);
  while (read(STDIN_FILENO, none, sizeof none) > 0) continue;
  stalled(&b);
  return whole && b.errors == 0 && different(&b) == 1 ? 0 : 1;
}
