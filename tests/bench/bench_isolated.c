/* bench_isolated.c - what a process of its own adds to a call: the same plugin in
 * this process and in another, asked the same.
 *
 *   bench_isolated BUILD-DIRECTORY
 *
 * A decision of policy-rules with one rule, which somebody waits for; and a call
 * of tool-time, started, polled and woken on a loop, where the policy that is asked
 * about it is in this process. Each is asked by turns here and there, so that what
 * else the machine does is in both; so is the reference, a message of the size of a
 * question that a process sends back at once over a pair of the same kind. Prints
 * one line of JSON: medians in nanoseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sdk/error.h>
#include <sdk/str.h>

#include "../../host/clock.h"
#include "../../host/host.h"
#include "../../host/policy.h"
#include "../../host/tool.h"

#define CALLS 20000u
#define WARM 200u
#define WAIT_S 120

#define CONFIG                                                                            \
  "{\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\",\"plugins\"],"       \
  "\"worker_program\":\"yoi-worker\",\"loops\":1,"                                        \
  "\"runtimes\":[{\"id\":\"null\",\"plugin\":\"dev.yoi.test.null\"}],"                    \
  "\"models\":[],\"ingress\":[],\"policy\":[{\"plugin\":\"dev.yoi.policy-rules\","        \
  "\"config\":{\"rules\":[{\"name\":\"all\",\"decision\":\"allow\"},{\"name\":\"tools\"," \
  "\"decision\":\"allow\",\"tools\":[\"*\"]}]}}],\"plugins\":["                           \
  "{\"id\":\"dev.yoi.policy-rules\",\"isolation\":\"%s\",\"confine\":\"best_effort\"},"   \
  "{\"id\":\"dev.yoi.tool-time\",\"isolation\":\"%s\",\"confine\":\"best_effort\"}]}"

static void give_up(const char *what, const yoi_error *err) {
  fprintf(stderr, "bench_isolated: %s: %s %s\n", what, err->message, err->private_detail);
  exit(1);
}

static struct yoi_embed *host_of(const char *folder, const char *policy, const char *tool) {
  char text[2048];
  struct yoi_embed *host = NULL;
  struct yoi_sdk_error e;
  int n = snprintf(text, sizeof text, CONFIG, policy, tool);
  yoi_error *err = yoi_sdk_error_init(&e);
  if (yoi_host_new(text, (size_t)n, folder, &host, err) != YOI_OK) give_up("config", err);
  if (yoi_host_start(host, err) != YOI_OK) give_up("start", err);
  return host;
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static double median(uint64_t *all, size_t n) {
  qsort(all, n, sizeof *all, by_size);
  return (double)all[n / 2];
}

/* ---- the reference ------------------------------------------------------------ */

#define QUESTION_BYTES 200

/* The other end is a process that sends back what comes, until this one is closed. */
static int mirror(pid_t *out_pid) {
  char text[QUESTION_BYTES];
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) exit(1);
  *out_pid = fork();
  if (*out_pid < 0) exit(1);
  if (*out_pid > 0) {
    close(pair[1]);
    return pair[0];
  }
  close(pair[0]);
  for (ssize_t n; (n = recv(pair[1], text, sizeof text, 0)) > 0;)
    if (send(pair[1], text, (size_t)n, 0) != n) break;
  _exit(0);
}

static uint64_t round_trip(int fd) {
  char text[QUESTION_BYTES] = {0};
  uint64_t begin = yoi__now_ns();
  if (send(fd, text, sizeof text, 0) != sizeof text ||
      recv(fd, text, sizeof text, 0) != sizeof text)
    exit(1);
  return yoi__now_ns() - begin;
}

/* ---- decisions -------------------------------------------------------------- */

static uint64_t decide(struct yoi_embed *host) {
  const yoi_request req = {.size = sizeof req,
                           .op = YOI_OP_WORKER_GET,
                           .origin = YOI_ORIGIN_EMBED,
                           .principal = YOI_LIT("embed"),
                           .worker_id = YOI_LIT("w")};
  struct yoi_sdk_error e;
  uint64_t begin = yoi__now_ns();
  yoi_status st = yoi__policy_allows(host, YOI_LIT("null"), &req, yoi_sdk_error_init(&e));
  uint64_t took = yoi__now_ns() - begin;
  if (st != YOI_OK) give_up("decide", &e.e);
  return took;
}

/* ---- calls of a tool ----------------------------------------------------------- */

struct calls {
  struct yoi_embed *host;
  struct yoi__instance caller; /* what a runtime would be */
  struct yoi__holder holder;
  struct yoi__node start, look;
  uint64_t token, begin;
  yoi_stream *stream;
  uint64_t *times;
  size_t n, want;
  _Atomic int done;
};

static void look(void *ctx) {
  struct calls *c = ctx;
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  for (;;) {
    const yoi_event *const *events = NULL;
    size_t n = 0;
    if (c->stream == NULL) return;
    yoi_status st = c->stream->ops->next(c->stream, &events, &n, &e.e);
    if (st == YOI_AGAIN) return;
    if (st == YOI_OK) continue;
    if (st != YOI_END) give_up("call", &e.e);
    c->times[c->n++] = yoi__now_ns() - c->begin;
    c->stream->ops->release(c->stream);
    c->stream = NULL;
    atomic_store(&c->done, c->n == c->want);
    yoi__host_notify(c->host);
    return;
  }
}

static void start(void *ctx) {
  struct calls *c = ctx;
  struct yoi_sdk_error e;
  const yoi_tool_call call = {.size = sizeof call,
                              .token = c->token,
                              .plugin = YOI_LIT("dev.yoi.tool-time"),
                              .name = YOI_LIT("time_now"),
                              .arguments = YOI_LIT("{}"),
                              .principal = YOI_LIT("embed"),
                              .worker_id = YOI_LIT("w"),
                              .call_id = YOI_LIT("c")};
  c->begin = yoi__now_ns();
  if (yoi__tool_table.start(&c->caller.host, &call, &c->stream, yoi_sdk_error_init(&e)) != YOI_OK)
    give_up("start of a call", &e.e);
  look(c);
}

static void woken(void *self, uint64_t cookie) {
  struct calls *c = self;
  (void)cookie;
  yoi__loop_post_node(c->host->loops, 0, &c->look);
}

static int is_done(void *ctx) {
  struct calls *c = ctx;
  return atomic_load(&c->done);
}

static void call(struct calls *c, size_t n) {
  c->want = c->n + n;
  for (size_t i = 0; i < n; i++) {
    size_t want = c->n + 1;
    c->want = want;
    atomic_store(&c->done, 0);
    yoi__loop_post_node(c->host->loops, 0, &c->start);
    if (!yoi__host_wait(c->host, is_done, c, yoi__now_ns() + WAIT_S * 1000 * YOI__MS)) exit(1);
  }
}

static void calls_of(struct calls *c, struct yoi_embed *host) {
  *c = (struct calls){.host = host};
  c->caller.top = host;
  c->caller.name = YOI_LIT("null");
  c->caller.host.ctx = &c->caller;
  c->holder = (struct yoi__holder){.wake = woken, .self = c};
  c->start = (struct yoi__node){.fn = start, .ctx = c};
  c->look = (struct yoi__node){.fn = look, .ctx = c};
  c->times = calloc(CALLS + WARM, sizeof *c->times);
  if (c->times == NULL || yoi__token_new(host->tokens, &c->holder, 0, &c->token, NULL) != YOI_OK)
    exit(1);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: bench_isolated BUILD-DIRECTORY\n");
    return 2;
  }
  pid_t child;
  int fd = mirror(&child); /* before there are threads */
  struct yoi_embed *hosts[2] = {host_of(argv[1], "none", "none"),
                                host_of(argv[1], "process", "none")};
  struct yoi_embed *of_tools[2] = {hosts[0], host_of(argv[1], "none", "process")};
  static uint64_t decided[2][CALLS], bare[CALLS]; /* process-wide: too large for a stack */
  struct calls calls[2];
  double of_calls[2], of_decisions[2];
  for (size_t i = 0; i < 2; i++) {
    for (size_t k = 0; k < WARM; k++) (void)decide(hosts[i]);
    calls_of(&calls[i], of_tools[i]);
    call(&calls[i], WARM);
    calls[i].n = 0;
  }
  for (size_t k = 0; k < CALLS; k++) {
    for (size_t i = 0; i < 2; i++) decided[i][k] = decide(hosts[i]);
    bare[k] = round_trip(fd);
  }
  for (size_t k = 0; k < CALLS; k += 100)
    for (size_t i = 0; i < 2; i++) call(&calls[i], 100);
  for (size_t i = 0; i < 2; i++) {
    of_decisions[i] = median(decided[i], CALLS);
    of_calls[i] = median(calls[i].times, calls[i].n);
  }
  printf("{\"decide_ns\":%.0f,\"decide_apart_ns\":%.0f,\"call_ns\":%.0f,"
         "\"call_apart_ns\":%.0f,\"bare_ns\":%.0f}\n",
         of_decisions[0], of_decisions[1], of_calls[0], of_calls[1], median(bare, CALLS));
  close(fd);
  (void)waitpid(child, NULL, 0);
  for (size_t i = 0; i < 2; i++) {
    yoi__token_free(of_tools[i]->tokens, &calls[i].holder, calls[i].token);
    free(calls[i].times);
  }
  yoi_host_free(of_tools[1]);
  for (size_t i = 0; i < 2; i++) yoi_host_free(hosts[i]);
  return 0;
}
