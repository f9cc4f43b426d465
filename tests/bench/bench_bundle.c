/* bench_bundle.c - a bundle read, checked, looked through for credentials, hashed.
 *
 *   bench_bundle
 *
 * Two bundles of a megabyte: `prose`, prompts of words as people write them, and
 * `entries`, as many tools and rules as fit. Prints one JSON object: nanoseconds
 * for a megabyte of each, and of the hash alone; the best of several runs. A
 * bundle that is refused ends it.
 */
#include "load.h"

#include <sdk/bundle.h>
#include <stdio.h>
#include <stdlib.h>

#define RUNS 15

#define HEAD                                                                          \
  "{\"schema\":\"yoi.bundle/1\",\"id\":\"a\",\"revision\":\"1\",\"workspace_id\":\"w\"," \
  "\"created_at\":\"2026-06-26T00:00:00Z\",\"provenance\":{\"source\":\"bench\"},"        \
  "\"models\":[{\"name\":\"main\",\"ref\":\"model:m\"}],\"grants\":[\"model:m\"],"
#define PROFILE "{\"name\":\"x%d\",\"prompt\":\"p%d\",\"model\":\"main\"}"

/* Four prompts, a profile each. */
static void write_prose(struct yoi_sdk_buf *b) {
  static const char *const words[] = {"the ",   "worker ",  "reads ", "a ",     "file, ",
                                      "asks ",  "before ",  "it ",    "sends ", "anything ",
                                      "else: ", "see the ", "page.",  "\\n\\n", "task-list "};
  yoi_sdk_buf_adds(b, YOI_LIT(HEAD "\"prompts\":["));
  for (int i = 0; i < 4; i++) {
    yoi_sdk_buf_addf(b, "%s{\"name\":\"p%d\",\"text\":\"", i > 0 ? "," : "", i);
    for (size_t end = b->len + 250000, k = (size_t)i; b->len < end; k = k * 7 + 3)
      yoi_sdk_buf_adds(b, yoi_sdk_str(words[k / 4 % (sizeof words / sizeof *words)]));
    yoi_sdk_buf_adds(b, YOI_LIT("\"}"));
  }
  yoi_sdk_buf_adds(b, YOI_LIT("],\"profiles\":["));
  for (int i = 0; i < 4; i++) yoi_sdk_buf_addf(b, "%s" PROFILE, i > 0 ? "," : "", i, i);
  yoi_sdk_buf_adds(b, YOI_LIT("]}"));
}

static void write_entries(struct yoi_sdk_buf *b) {
  yoi_sdk_buf_adds(b, YOI_LIT(HEAD "\"prompts\":[{\"name\":\"p0\",\"text\":\"x\"}],"
                                   "\"policies\":["));
  for (int i = 0; b->len < 950000; i++) {
    yoi_sdk_buf_addf(b, "%s{\"name\":\"n%d\",\"plugin\":\"dev.yoi.policy-rules\",\"rules\":[",
                     i > 0 ? "," : "", i);
    for (int k = 0; k < 200; k++)
      yoi_sdk_buf_addf(b, "%s{\"name\":\"r%d\",\"decision\":\"deny\",\"tools\":[\"t%d_*\"],"
                          "\"reason\":\"not before somebody looked\"}",
                       k > 0 ? "," : "", k, k);
    yoi_sdk_buf_adds(b, YOI_LIT("]}"));
  }
  yoi_sdk_buf_addf(b, "],\"profiles\":[" PROFILE "]}", 0, 0);
}

static double read_ns(yoi_str text) {
  double least = 1e18;
  for (int i = 0; i < RUNS; i++) {
    struct yoi_sdk_bundle *b;
    uint64_t begin = load_now_ns();
    if (yoi_sdk_bundle_new(text, NULL, NULL, &b, NULL) != YOI_OK) {
      (void)fprintf(stderr, "bench_bundle: a bundle was refused\n");
      exit(1);
    }
    yoi_sdk_bundle_free(b);
    double ns = (double)(load_now_ns() - begin);
    if (ns < least) least = ns;
  }
  return least * 1e6 / (double)text.len;
}

static double hash_ns(yoi_str text) {
  double least = 1e18;
  for (int i = 0; i < RUNS; i++) {
    uint8_t sha[YOI_SDK_SHA256_SIZE];
    uint64_t begin = load_now_ns();
    if (!yoi_sdk_sha256(text.ptr, text.len, sha)) exit(1);
    double ns = (double)(load_now_ns() - begin);
    if (ns < least) least = ns;
  }
  return least * 1e6 / (double)text.len;
}

int main(void) {
  struct yoi_sdk_buf prose, entries;
  yoi_sdk_buf_init(&prose, YOI_BUNDLE_BYTES_MAX);
  yoi_sdk_buf_init(&entries, YOI_BUNDLE_BYTES_MAX);
  write_prose(&prose);
  write_entries(&entries);
  if (prose.failed || entries.failed) return 2;
  printf("{\"prose_ns\":%.0f,\"entries_ns\":%.0f,\"hash_ns\":%.0f}\n",
         read_ns(yoi_sdk_buf_str(&prose)), read_ns(yoi_sdk_buf_str(&entries)),
         hash_ns(yoi_sdk_buf_str(&prose)));
  yoi_sdk_buf_release(&prose);
  yoi_sdk_buf_release(&entries);
  return 0;
}
