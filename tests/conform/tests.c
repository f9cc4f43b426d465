/* tests.c - the table of tests, and where in the headers their promises stand.
 *
 * The headers are part of the program, so that a line is that of the version
 * which the program was built with. A promise is compared word by word: where a
 * comment goes on in the next line does not matter.
 */
#include "conform.h"

#include <ctype.h>
#include <string.h>

#include <sdk/embed.h>

#define HEADERS(X)                                                                           \
  X(base) X(host) X(host_clock) X(host_grant) X(host_log) X(host_loop) X(host_metrics)       \
  X(host_mount) X(host_secret) X(ingress) X(limits) X(model) X(ops) X(plugin) X(policy)      \
  X(request) X(runtime) X(stream) X(tool)

#define EMBED(name) YOI_SDK_EMBED(conform_header_##name, "abi/yoi/" #name ".h");
HEADERS(EMBED)

static const struct header {
  const char *name, *begin, *end;
} headers[] = {
#define ROW(name) {"yoi/" #name ".h", conform_header_##name, conform_header_##name##_end},
    HEADERS(ROW)};

extern const struct conform_test conform_lib[], conform_env[], conform_inst[], conform_mem[],
    conform_stream[], conform_runtime[], conform_worker[], conform_tool[], conform_policy[],
    conform_model[], conform_ingress[], conform_bundle[], conform_call[];

const struct conform_test *const conform_groups[] = {
    conform_lib,  conform_env,    conform_inst, conform_mem,    conform_stream,  conform_runtime,
    conform_worker, conform_call, conform_bundle, conform_tool, conform_policy, conform_model,
    conform_ingress, NULL};

const struct conform_test *conform_test_at(size_t i) {
  for (size_t g = 0; conform_groups[g]; g++)
    for (const struct conform_test *t = conform_groups[g]; t->id; t++)
      if (i-- == 0) return t;
  return NULL;
}

static int is_gap(char ch) {
  return isspace((unsigned char)ch) || ch == '*';
}

/* How many bytes of text are these words; 0: it does not begin with them. */
static int begins(const char *text, const char *end, const char *words) {
  while (*words) {
    if (is_gap(*words)) {
      if (text == end || !is_gap(*text)) return 0;
      while (is_gap(*words)) words++;
      while (text < end && is_gap(*text)) text++;
    } else if (text == end || *text++ != *words++) {
      return 0;
    }
  }
  return 1;
}

unsigned conform_line(const struct conform_test *t) {
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    unsigned line = 1;
    if (strcmp(headers[i].name, t->header) != 0) continue;
    for (const char *at = headers[i].begin; at < headers[i].end; at++) {
      if (begins(at, headers[i].end, t->promise)) return line;
      line += *at == '\n';
    }
  }
  return 0;
}
