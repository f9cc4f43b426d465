/* bench_http.c - one request again and again, over kept connections.
 *
 *   bench_http PORT CLIENTS FROM COUNT STATUS METHOD TARGET [BODY]
 *
 * COUNT requests are sent, numbered from FROM; each `%` in TARGET and BODY is
 * replaced by the number, so that every one can be about another worker. An
 * answer of another status than STATUS, one that is not whole and a closed
 * connection are errors. Prints one JSON object: requests, seconds,
 * client_cpu_s, bytes (of answers), p50_us, p99_us, errors.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CLIENTS_MAX 1024
#define COUNT_MAX 100000000
#define REQUEST_MAX 4096
#define SILENCE_MS 10000 /* a server that says nothing for so long is broken */

struct client {
  int fd;
  uint64_t begin_ns;
  struct load_answer answer;
};

struct load {
  int port, status;
  long next, end, done, errors;
  const char *method, *target, *body;
  uint64_t bytes;
  struct load_samples latency_us;
};

static void fill(struct yoi_sdk_buf *out, const char *text, long number) {
  for (; *text; text++) {
    if (*text == '%') yoi_sdk_buf_addf(out, "%ld", number);
    else yoi_sdk_buf_add(out, text, 1);
  }
}

static int ask(struct load *l, struct client *c) {
  struct yoi_sdk_buf text, body;
  long number = l->next++;
  yoi_sdk_buf_init(&text, REQUEST_MAX);
  yoi_sdk_buf_init(&body, REQUEST_MAX);
  if (l->body) fill(&body, l->body, number);
  yoi_sdk_buf_addf(&text, "%s ", l->method);
  fill(&text, l->target, number);
  yoi_sdk_buf_addf(&text, " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", l->port);
  if (l->body)
    yoi_sdk_buf_addf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
  yoi_sdk_buf_addf(&text, "\r\n");
  yoi_sdk_buf_adds(&text, yoi_sdk_buf_str(&body));
  load_answer_clear(&c->answer);
  c->begin_ns = load_now_ns();
  int ok = !text.failed && !body.failed && load_send(c->fd, text.data, text.len);
  yoi_sdk_buf_release(&text);
  yoi_sdk_buf_release(&body);
  return ok;
}

/* 0 when this client is done with. */
static int readable(struct load *l, struct client *c) {
  long n = load_answer_read(&c->answer, c->fd);
  if (n < 0) {
    l->errors++;
    return 0;
  }
  if (n == 0 || !load_answer_whole(&c->answer)) return 1;
  int status = load_answer_status(&c->answer);
  if (status != l->status && l->errors++ == 0)
    (void)fprintf(stderr, "bench_http: %s %s: %.400s\n", l->method, l->target, c->answer.in.data);
  load_sample(&l->latency_us, (load_now_ns() - c->begin_ns) / 1000);
  l->bytes += c->answer.in.len;
  l->done++;
  if (l->next == l->end) return 0;
  if (ask(l, c)) return 1;
  l->errors++;
  return 0;
}

int main(int argc, char **argv) {
  static struct client clients[CLIENTS_MAX];
  if (argc < 8 || argc > 9) {
    (void)fprintf(stderr,
                  "usage: bench_http PORT CLIENTS FROM COUNT STATUS METHOD TARGET [BODY]\n");
    return 2;
  }
  struct load l = {.port = (int)load_number(argv[1], 65535),
                   .next = load_number(argv[3], COUNT_MAX),
                   .status = (int)load_number(argv[5], 599),
                   .method = argv[6],
                   .target = argv[7],
                   .body = argv[8]};
  long n = load_number(argv[2], CLIENTS_MAX), count = load_number(argv[4], COUNT_MAX);
  int ep = epoll_create1(EPOLL_CLOEXEC), alive = 0;
  if (l.port <= 0 || n <= 0 || l.next < 0 || count < 0 || l.status <= 0 || ep < 0) return 2;
  l.end = l.next + count;
  for (long i = 0; i < n && l.next < l.end; i++) {
    struct client *c = &clients[i];
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    load_answer_init(&c->answer);
    c->fd = load_connect(l.port, (size_t)i, 0);
    if (c->fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
      perror("bench_http: connect");
      return 1;
    }
    alive++;
  }
  uint64_t begin = load_now_ns();
  for (int i = 0; i < alive; i++)
    if (!ask(&l, &clients[i])) return 1;
  while (alive > 0) {
    struct epoll_event ready[64];
    int k = epoll_wait(ep, ready, 64, SILENCE_MS);
    if (k == 0 || (k < 0 && errno != EINTR)) break;
    for (int i = 0; i < k; i++) {
      struct client *c = ready[i].data.ptr;
      if (readable(&l, c)) continue;
      (void)close(c->fd);
      load_answer_release(&c->answer);
      alive--;
    }
  }
  double seconds = (double)(load_now_ns() - begin) / 1e9;
  (void)printf("{\"requests\":%ld,\"seconds\":%.4f,\"client_cpu_s\":%.4f,\"bytes\":%llu,"
               "\"p50_us\":%u,\"p99_us\":%u,\"errors\":%ld}\n",
               l.done, seconds, load_cpu_s(), (unsigned long long)l.bytes,
               load_quantile(&l.latency_us, 500), load_quantile(&l.latency_us, 990), l.errors);
  free(l.latency_us.at);
  return l.done == count && l.errors == 0 ? 0 : 1;
}
