/* bench_turn.c - a load of turns from one thread, over kept connections.
 *
 *   bench_turn PORT yoi|direct CLIENTS TURNS [CHUNKS] [OPTIONS]
 *
 * yoi: each client creates a worker on runtime `bench` and sends it inputs,
 * each answered as an event stream to the end of its turn; after
 * TURNS_PER_WORKER a fresh worker is created, which is counted as overhead of
 * the turns, since that is how it is used. direct: the same number of streamed
 * chat completions, asked from the provider itself, with nothing between.
 * OPTIONS are for the mock provider, of whom CHUNKS deltas are expected; with
 * `stamp=1` each delta says when it was sent, and how late it came is sampled.
 *
 * Prints one JSON object: turns, seconds, client_cpu_s, bytes, p50_us, p99_us
 * (of whole turns), first_p50_us, first_p99_us (from the request to the first
 * delta, where stamps tell), late_p50_us, late_p99_us (from a delta's stamp to
 * its arrival), errors. An answer that is not 2xx, is cut short or has not all
 * of the text counts as an error.
 *
 *   CONNECT -> CREATE -> (TURN -> answer complete)* -> CREATE ... -> done
 */
#include "load.h"

#include <errno.h>
#include <sdk/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CLIENTS_MAX 1024
#define TURNS_MAX 10000000
#define TURNS_PER_WORKER 16
#define CHUNKS_MAX 4000   /* what the mock can say in one answer */
#define CHUNKS_DEFAULT 8  /* and what it says when it is not told */
#define OPTIONS_MAX 256
#define TEXT_MAX 65536
#define SILENCE_MS 20000 /* nobody says anything for so long: broken */
#define SAY "Say hello to the bench, please."

struct client {
  int fd;
  int creating;
  int turns; /* with this worker */
  uint64_t begin_ns;
  char worker[YOI_ID_MAX + 1];
  struct load_answer answer;
  size_t looked; /* of the answer, for stamps */
  uint64_t stamp;
  long stamps;
};

struct bench {
  int port, direct, epoll, stamped;
  long turns, begun, done, errors, chunks;
  uint64_t bytes;
  char say[OPTIONS_MAX + sizeof SAY + 24];
  char text[TEXT_MAX]; /* what every answer has to say */
  struct load_samples whole_us, first_us, late_us;
};

static int request(struct bench *b, struct client *c) {
  char text[2048], body[1024] = "{}";
  int n;
  load_answer_clear(&c->answer);
  c->looked = 0;
  c->stamp = 0;
  c->stamps = 0;
  c->begin_ns = load_now_ns();
  if (b->direct)
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"bench\",\"messages\":[{\"role\":\"system\",\"content\":"
                   "\"You are a companion.\"},{\"role\":\"user\",\"content\":\"%s\"}],"
                   "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
                   b->say);
  else if (!c->creating)
    (void)snprintf(body, sizeof body, "{\"content\":\"%s\"}", b->say);
  n = snprintf(text, sizeof text,
               "POST %s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
               b->direct ? "/v1/chat/completions" : "/api/runtimes/bench/workers",
               b->direct || c->creating ? "" : c->worker,
               b->direct || c->creating ? "" : "/input", b->port,
               b->direct || c->creating ? "" : "Accept: text/event-stream\r\n", strlen(body), body);
  return n > 0 && (size_t)n < sizeof text && load_send(c->fd, text, (size_t)n);
}

static int open_client(struct bench *b, struct client *c, size_t index) {
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
  c->fd = load_connect(b->port, index, 0);
  if (c->fd < 0 || epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) return 0;
  load_answer_init(&c->answer);
  c->creating = !b->direct;
  return 1;
}

static size_t count(const char *text, const char *word) {
  size_t n = 0;
  for (const char *p = text; (p = strstr(p, word)) != NULL; p++) n++;
  return n;
}

/* The answer says that all is well, and all of the text. */
static int right(const struct bench *b, const struct client *c, const char *body) {
  if (load_answer_status(&c->answer) / 100 != 2) return 0;
  if (b->stamped && c->stamps != b->chunks) return 0;
  if (b->direct) /* and one delta for the role */
    return strstr(body, "[DONE]") && count(body, "\"content\":\"") == (size_t)b->chunks + 1;
  return strstr(body, "\"state\":\"completed\"") && (b->stamped || strstr(body, b->text));
}

static int created(struct client *c, const char *body) {
  struct yoi_sdk_buf name;
  yoi_sdk_buf_init(&name, YOI_ID_MAX);
  yoi_str id =
      yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(yoi_sdk_str(body), "worker"), "worker_id");
  int good = load_answer_status(&c->answer) == 201 && yoi_sdk_json_raw_unescape(id, &name);
  (void)snprintf(c->worker, sizeof c->worker, "/%.*s", YOI_ARG(yoi_sdk_buf_str(&name)));
  yoi_sdk_buf_release(&name);
  c->creating = 0;
  c->turns = 0;
  return good;
}

static void wrong(struct bench *b, const struct client *c) {
  if (b->errors++ == 0)
    (void)fprintf(stderr, "bench_turn: %.2000s\n", c->answer.in.data ? c->answer.in.data : "");
}

/* One complete answer: count it and ask the next. 0 when nothing is left. */
static int answered(struct bench *b, struct client *c) {
  const char *body = c->answer.in.data + c->answer.body;
  if (c->creating) {
    if (!created(c, body)) {
      wrong(b, c);
      return 0;
    }
  } else {
    if (!right(b, c, body)) wrong(b, c);
    load_sample(&b->whole_us, (load_now_ns() - c->begin_ns) / 1000);
    b->done++;
    c->creating = !b->direct && ++c->turns == TURNS_PER_WORKER;
    if (b->begun == b->turns) return 0;
  }
  if (!c->creating) {
    if (b->begun == b->turns) return 0;
    b->begun++;
  }
  return request(b, c);
}

/* Samples the deltas that have come; a stamp may be cut where reading ends. */
static void stamps(struct bench *b, struct client *c, uint64_t now) {
  const char *from = c->answer.in.data + c->looked, *end = c->answer.in.data + c->answer.in.len;
  uint64_t at;
  while ((at = load_stamp(&from, end, c->stamp)) != 0) {
    if (c->stamps++ == 0) load_sample(&b->first_us, (now - c->begin_ns) / 1000);
    c->stamp = at;
    c->looked = (size_t)(from - c->answer.in.data);
    load_sample(&b->late_us, (now - at) / 1000);
  }
}

static int readable(struct bench *b, struct client *c) {
  long n = load_answer_read(&c->answer, c->fd);
  if (n == 0) return 1;
  if (n < 0) {
    wrong(b, c);
    return 0;
  }
  b->bytes += (uint64_t)n;
  if (b->stamped) stamps(b, c, load_now_ns());
  return load_answer_whole(&c->answer) ? answered(b, c) : 1;
}

static int arguments(struct bench *b, int argc, char **argv, long *out_clients) {
  if (argc < 5 || argc > 7) return 0;
  const char *options = argc > 6 ? argv[6] : "";
  b->port = (int)load_number(argv[1], 65535);
  b->direct = strcmp(argv[2], "direct") == 0;
  *out_clients = load_number(argv[3], CLIENTS_MAX);
  b->turns = load_number(argv[4], TURNS_MAX);
  b->chunks = argc > 5 ? load_number(argv[5], CHUNKS_MAX) : CHUNKS_DEFAULT;
  b->stamped = strstr(options, "stamp=1") != NULL;
  if (strlen(options) > OPTIONS_MAX || b->chunks <= 0) return 0;
  if (*options || b->chunks != CHUNKS_DEFAULT)
    (void)snprintf(b->say, sizeof b->say, "mode=text chunks=%ld %s", b->chunks, options);
  else
    (void)snprintf(b->say, sizeof b->say, "%s", SAY);
  for (long i = 0, n = 0; i < b->chunks; i++)
    n += snprintf(b->text + n, sizeof b->text - (size_t)n, "w%ld ", i);
  return b->port > 0 && *out_clients > 0 && b->turns > 0;
}

static void report(struct bench *b, double seconds) {
  (void)printf("{\"turns\":%ld,\"seconds\":%.4f,\"client_cpu_s\":%.4f,\"bytes\":%llu,"
               "\"p50_us\":%u,\"p99_us\":%u,\"first_p50_us\":%u,\"first_p99_us\":%u,"
               "\"late_p50_us\":%u,\"late_p99_us\":%u,\"errors\":%ld}\n",
               b->done, seconds, load_cpu_s(), (unsigned long long)b->bytes,
               load_quantile(&b->whole_us, 500), load_quantile(&b->whole_us, 990),
               load_quantile(&b->first_us, 500), load_quantile(&b->first_us, 990),
               load_quantile(&b->late_us, 500), load_quantile(&b->late_us, 990), b->errors);
  free(b->whole_us.at);
  free(b->first_us.at);
  free(b->late_us.at);
}

int main(int argc, char **argv) {
  static struct client clients[CLIENTS_MAX];
  static struct bench b;
  long n = 0, alive = 0;
  if (!arguments(&b, argc, argv, &n) || (b.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) {
    (void)fprintf(stderr, "usage: bench_turn PORT yoi|direct CLIENTS TURNS [CHUNKS] [OPTIONS]\n");
    return 2;
  }
  for (long i = 0; i < n; i++) {
    struct client *c = &clients[i];
    if (!open_client(&b, c, (size_t)i)) {
      perror("bench_turn: connect");
      return 1;
    }
    if (!c->creating) b.begun++;
    alive += request(&b, c);
  }
  uint64_t begin = load_now_ns();
  while (alive > 0) {
    struct epoll_event ready[64];
    int k = epoll_wait(b.epoll, ready, 64, SILENCE_MS);
    if (k == 0 || (k < 0 && errno != EINTR)) break;
    for (int i = 0; i < k; i++) {
      struct client *c = ready[i].data.ptr;
      if (readable(&b, c)) continue;
      (void)close(c->fd);
      load_answer_release(&c->answer);
      alive--;
    }
  }
  report(&b, (double)(load_now_ns() - begin) / 1e9);
  return b.done == b.turns && b.errors == 0 ? 0 : 1;
}
