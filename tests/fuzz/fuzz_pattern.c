/* sources: abi/sdk/core abi/sdk/schema/schema_pattern.c; libs: -lcjson -lcrypto
 *
 * Any text as a regular expression, and what stands behind its first NUL as the
 * text to search. What must hold:
 *
 *  1. Compiling keeps to its room and matching to its steps, which are linear
 *     in the text.
 *  2. P, (?:P), (?:P){1} and (?:P|[]) are found in the same texts.
 *  3. Where ^(?:P)$ is found, so is P; (?:P)? is found everywhere.
 */
#include <sdk/str.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>

#include <sdk/pattern.h>
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether it is found; -1 when it does not compile. */
static int found(const char *before, yoi_str p, const char *behind, yoi_str in) {
  struct yoi_sdk_buf b;
  const char *why;
  size_t room = YOI_SCHEMA_STATES_MAX;
  uint64_t all = (in.len + 1) * (1 + YOI_PATTERN_STATES_MAX / 4), steps = all;
  int answer = -1;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_adds(&b, yoi_sdk_str(before));
  yoi_sdk_buf_adds(&b, p);
  yoi_sdk_buf_adds(&b, yoi_sdk_str(behind));
  struct yoi_sdk_pattern *made = yoi_sdk_pattern_new(yoi_sdk_buf_str(&b), &room, &why);
  MUST(room <= YOI_SCHEMA_STATES_MAX && (made != NULL) != (why != NULL));
  if (made) {
    answer = yoi_sdk_pattern_match(made, in, &steps);
    MUST(answer == 0 || answer == 1);
  }
  yoi_sdk_pattern_free(made);
  yoi_sdk_buf_release(&b);
  return answer;
}

static int same(int a, int b) {
  return a < 0 || b < 0 || a == b; /* what is made around it may be too much */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data, *nul = size ? memchr(data, 0, size) : NULL;
  if (!nul) return 0;
  yoi_str p = {text, (size_t)(nul - text)}, in = {nul + 1, size - p.len - 1};
  int plain = found("", p, "", in);
  if (plain < 0) return 0;
  MUST(same(plain, found("(?:", p, ")", in)));
  MUST(same(plain, found("(?:", p, "){1}", in)));
  MUST(same(plain, found("(?:", p, "|[])", in)));
  MUST(same(1, found("(?:", p, ")?", in)));
  MUST(found("^(?:", p, ")$", in) < 1 || plain == 1);
  return 0;
}
