/* bench_remote.c - one worker of another host, through http-remote and without.
 *
 *   bench_remote call CONFIG BUILD RUNTIME WORKER COUNT
 *   bench_remote curl URL COUNT
 *   bench_remote stream URL TURNS
 *
 * `call` starts the host of a config file in this process and gets the worker
 * COUNT times, one call after the other; `curl` sends the same request with
 * libcurl over one connection that is kept. `stream` watches events, says
 * `watching` at a snapshot and ends when so many turns have. Each prints one JSON
 * object: count, seconds and p50_ns, or bytes and seconds from the first input on.
 */
#include "load.h"

#include <curl/curl.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoi.h>
#include <yoi/ops.h>

#define COUNT_MAX 1000000
#define WARM 200 /* calls before those that count */

static char *read_file(const char *path, size_t *len) {
  static char text[65536];
  FILE *f = fopen(path, "r");
  if (!f) return NULL;
  *len = fread(text, 1, sizeof text, f);
  (void)fclose(f);
  return *len < sizeof text ? text : NULL;
}

static int report(struct load_samples *took, long count, uint64_t begin) {
  printf("{\"count\":%ld,\"seconds\":%.6f,\"p50_ns\":%u}\n", count,
         (double)(load_now_ns() - begin) / 1e9, load_quantile(took, 500));
  return 0;
}

static int by_call(char **argv, long count) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  size_t len = 0;
  char *config = read_file(argv[0], &len);
  struct load_samples took = {0};
  uint64_t begin = 0;
  yoi_request req = {.size = sizeof req,
                     .op = YOI_OP_WORKER_GET,
                     .origin = YOI_ORIGIN_EMBED,
                     .principal = YOI_LIT("embed"),
                     .worker_id = yoi_sdk_str(argv[3])};
  if (!config || yoi_host_new(config, len, argv[1], &host, yoi_sdk_error_init(&e)) != YOI_OK ||
      yoi_host_start(host, &e.e) != YOI_OK) {
    (void)fprintf(stderr, "bench_remote: %s\n", config ? e.message : "no config");
    return 1;
  }
  for (long i = -WARM; i < count; i++) {
    char *text = NULL;
    size_t n = 0;
    uint64_t now = load_now_ns();
    if (i == 0) begin = now;
    if (yoi_call_sync(host, yoi_sdk_str(argv[2]), &req, &text, &n, &e.e) != YOI_OK) {
      (void)fprintf(stderr, "bench_remote: %s\n", e.message);
      return 1;
    }
    if (i >= 0) load_sample(&took, load_now_ns() - now);
    yoi_free(text);
  }
  (void)report(&took, count, begin);
  yoi_host_free(host);
  return 0;
}

static size_t drop(char *data, size_t size, size_t n, void *ctx) {
  (void)data, (void)ctx;
  return size * n;
}

static int by_curl(const char *url, long count) {
  struct load_samples took = {0};
  uint64_t begin = 0;
  long status = 0;
  CURL *c = curl_easy_init();
  if (!c) return 1;
  (void)curl_easy_setopt(c, CURLOPT_URL, url);
  (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
  for (long i = -WARM; i < count; i++) {
    uint64_t now = load_now_ns();
    if (i == 0) begin = now;
    if (curl_easy_perform(c) != CURLE_OK ||
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status != 200) {
      (void)fprintf(stderr, "bench_remote: status %ld\n", status);
      return 1;
    }
    if (i >= 0) load_sample(&took, load_now_ns() - now);
  }
  curl_easy_cleanup(c);
  return report(&took, count, begin);
}

#define KEPT 64 /* bytes before a piece, in which a mark may have begun */

struct stream {
  char tail[KEPT + CURL_MAX_WRITE_SIZE + 1];
  size_t kept, bytes;
  uint64_t begin_ns;
  int watching;
  long turns;
};

/* Marks that end within the new bytes. */
static long count_new(const struct stream *s, const char *mark) {
  long n = 0;
  for (const char *at = s->tail; (at = strstr(at, mark)) != NULL; at++)
    n += (size_t)(at - s->tail) + strlen(mark) > s->kept;
  return n;
}

static size_t on_piece(char *data, size_t size, size_t n, void *ctx) {
  struct stream *s = ctx;
  (void)size;
  memcpy(s->tail + s->kept, data, n);
  size_t len = s->kept + n;
  s->tail[len] = '\0';
  if (!s->watching && count_new(s, "event: snapshot")) {
    s->watching = 1;
    puts("watching");
    (void)fflush(stdout);
  }
  if (!s->begin_ns && count_new(s, "event: input.accepted")) s->begin_ns = load_now_ns();
  if (s->begin_ns) s->bytes += n;
  s->turns -= count_new(s, "event: turn.ended");
  s->kept = len < KEPT ? len : KEPT;
  memmove(s->tail, s->tail + len - s->kept, s->kept);
  return s->turns <= 0 ? 0 : n;
}

static int by_stream(const char *url, long turns) {
  static struct stream s;
  s.turns = turns;
  CURL *c = curl_easy_init();
  struct curl_slist *accept = curl_slist_append(NULL, "Accept: text/event-stream");
  if (!c || !accept) return 1;
  (void)curl_easy_setopt(c, CURLOPT_URL, url);
  (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, accept);
  (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_piece);
  (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &s);
  (void)curl_easy_perform(c); /* ended by on_piece */
  uint64_t now = load_now_ns();
  curl_easy_cleanup(c);
  curl_slist_free_all(accept);
  if (s.turns > 0 || !s.begin_ns) return 1;
  printf("{\"bytes\":%zu,\"seconds\":%.6f}\n", s.bytes, (double)(now - s.begin_ns) / 1e9);
  return 0;
}

int main(int argc, char **argv) {
  long count = argc > 3 ? strtol(argv[argc - 1], NULL, 10) : 1;
  if (argc < 4 || count < 1 || count > COUNT_MAX) return 2;
  if (argc == 7 && strcmp(argv[1], "call") == 0) return by_call(argv + 2, count);
  if (argc == 4 && strcmp(argv[1], "curl") == 0) return by_curl(argv[2], count);
  if (argc == 4 && strcmp(argv[1], "stream") == 0) return by_stream(argv[2], count);
  return 2;
}
