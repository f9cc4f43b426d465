/* bench_scrub.c - known secrets looked for in a text that has none.
 *
 *   bench_scrub SECRETS
 *
 * Two texts of 8 MB: of words, as models write, and of random letters out of
 * which base64 is made, as the secrets are (20 to 200 bytes, every other with
 * the same eight first). Prints one JSON object: words_ns and random_ns for a
 * megabyte in one piece, delta_ns for a delta of six bytes through the batches
 * of a generation (host/scrub.c; with 0 secrets the host does not call that),
 * memcpy_ns and memchr_ns for a megabyte of the same text, both without a hit.
 * The best of several runs each, so that what else the machine does disturbs
 * least. A text that does not come out whole ends it.
 */
#include "load.h"

#include <sdk/scrub.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/ops.h>

#include "../../host/scrub.h"

#define TEXT_BYTES 8000000u
#define RUNS 9
#define SECRETS_MAX 1000
#define DELTA 6u
#define DELTAS 200000u

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint64_t state = 1; /* process-wide: of the one generator of numbers */

static uint32_t below(uint32_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33) % n;
}

static void fill_words(char *text) {
  static const char *const words[] = {
      "the ",    "of ",       "worker ",     "known ",  "values, ", "token",  "ization ", "\n\n",
      "return ", "  if (x) ", "\"key\": ", "engine ", "because ", "12345 ", "transcript "};
  for (size_t at = 0; at < TEXT_BYTES;) {
    const char *w = words[below(sizeof words / sizeof *words)];
    size_t n = strlen(w);
    if (n > TEXT_BYTES - at) n = TEXT_BYTES - at;
    memcpy(text + at, w, n);
    at += n;
  }
}

static struct yoi_sdk_scrub_value *make_secrets(size_t n) {
  struct yoi_sdk_scrub_value *v = calloc(n + 1, sizeof *v);
  for (size_t i = 0; v != NULL && i < n; i++) {
    size_t len = 20 + below(181);
    char *p = malloc(len);
    if (p == NULL) return NULL;
    for (size_t k = 0; k < len; k++) p[k] = letters[below(64)];
    if (i % 2) memcpy(p, "sk-proj-", 8);
    v[i] = (struct yoi_sdk_scrub_value){YOI_LIT("secret"), {p, len}};
  }
  return v;
}

static const struct yoi_sdk_scrub *the_set; /* process-wide: for the functions below */
static struct yoi__scrub_run *the_run;
static char *the_copy;

static int look(const char *text) {
  size_t at = 0;
  while (at < TEXT_BYTES) { /* a begin of a secret is looked at and passed */
    size_t n = yoi_sdk_scrub_clean(the_set, (yoi_str){text + at, TEXT_BYTES - at});
    if (at + n + 16 < TEXT_BYTES) return 0;
    at += n + 1;
  }
  return 1;
}

static int copy(const char *text) {
  memcpy(the_copy, text, TEXT_BYTES);
  return the_copy[below(TEXT_BYTES)] != '\x01';
}

static int search(const char *text) {
  return memchr(text, '\x01', TEXT_BYTES) == NULL;
}

static int say(const char *text) {
  size_t said = 0;
  for (size_t i = 0; i < DELTAS; i++) {
    yoi_event ev = {.size = sizeof ev,
                    .kind = YOI_EVENT_MODEL_TEXT,
                    .text = {text + i * DELTA, DELTA}};
    const yoi_event *at = &ev, *const *events = &at;
    size_t n = 1;
    if (yoi__scrub_events(the_run, &events, &n, NULL) != YOI_OK) return 0;
    for (size_t k = 0; k < n; k++) said += events[k]->text.len;
  }
  const yoi_event *const *events;
  size_t n;
  if (yoi__scrub_rest(the_run, &events, &n, NULL) != YOI_OK) return 0;
  for (size_t k = 0; k < n; k++) said += events[k]->text.len;
  return said == (size_t)DELTAS * DELTA;
}

/* Nanoseconds of the best run, for one of `parts`. */
static double best(int (*run)(const char *text), const char *text, double parts) {
  double least = 1e18;
  for (int i = 0; i < RUNS; i++) {
    uint64_t begin = load_now_ns();
    if (!run(text)) {
      fprintf(stderr, "bench_scrub: a text came out otherwise\n");
      exit(1);
    }
    double ns = (double)(load_now_ns() - begin);
    if (ns < least) least = ns;
  }
  return least / parts;
}

int main(int argc, char **argv) {
  long n = argc > 1 ? load_number(argv[1], SECRETS_MAX) : -1;
  struct yoi_sdk_scrub_value *values = n >= 0 ? make_secrets((size_t)n) : NULL;
  struct yoi__scrub *scrub = yoi__scrub_new();
  char *words = malloc(TEXT_BYTES), *random = malloc(TEXT_BYTES);
  the_copy = calloc(1, TEXT_BYTES);
  if (values == NULL || scrub == NULL || words == NULL || random == NULL || the_copy == NULL ||
      yoi__scrub_know(scrub, values, (size_t)n, NULL) != YOI_OK) {
    fprintf(stderr, "usage: bench_scrub SECRETS\n");
    return 2;
  }
  fill_words(words);
  for (size_t i = 0; i < TEXT_BYTES; i++) random[i] = letters[below(64)];
  struct yoi__scrub_set *set = yoi__scrub_take(scrub);
  the_set = yoi__scrub_of(set);
  the_run = yoi__scrub_run_new(scrub);
  if (the_run == NULL) return 2;
  double mb = TEXT_BYTES / 1e6;
  printf("{\"words_ns\":%.0f,\"random_ns\":%.0f,\"delta_ns\":%.1f,\"memcpy_ns\":%.0f,"
         "\"memchr_ns\":%.0f}\n",
         best(look, words, mb), best(look, random, mb), best(say, words, DELTAS),
         best(copy, words, mb), best(search, words, mb));
  yoi__scrub_run_free(the_run);
  yoi__scrub_give(set);
  yoi__scrub_free(scrub);
  return 0;
}
