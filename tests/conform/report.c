/* report.c - what came of the tests: a line each for people, or one JSON object
 * for programs (docs/conform.md has its members).
 */
#include "conform.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sdk/jsonw.h>

#define REPORT_BYTES_MAX (8u << 20)

const char *conform_result_name(uint32_t is) {
  static const char *const names[] = {"pass",    "fail",  "skip",      "crash",
                                      "timeout", "known", "unexpected"};
  return is < sizeof names / sizeof *names ? names[is] : "?";
}

static int is_bad(uint32_t is) {
  return is != CONFORM_PASS && is != CONFORM_SKIP;
}

void conform_say(const struct conform *c, const struct conform_result *r) {
  const struct conform_test *t = r->test;
  printf("%-10s %s\n", conform_result_name(r->is), t->id);
  if (r->is == CONFORM_SKIP) printf("           why:      %s\n", r->seen);
  if (!is_bad(r->is)) return;
  printf("           checks:   %s\n", t->says);
  if (r->seen[0]) printf("           seen:     %s\n", r->seen);
  if (r->expected[0]) printf("           expected: %s\n", r->expected);
  printf("           promise:  %s:%u: %s\n", t->header, conform_line(t), t->promise);
  if (r->reason[0]) printf("           known:    %s\n", r->reason);
  printf("           again:    --reproduce '%s:%llu'\n", t->id, (unsigned long long)r->seed);
  if (r->output[0]) printf("           output:   %.*s\n", (int)strcspn(r->output, "\n"), r->output);
  (void)c;
}

static void one(const struct conform_result *r, struct yoi_sdk_jsonw *w) {
  const struct conform_test *t = r->test;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "id", yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr(w, "result", yoi_sdk_str(conform_result_name(r->is)));
  yoi_sdk_jsonw_kint(w, "ms", (int64_t)r->ms);
  yoi_sdk_jsonw_kstr(w, "checks", yoi_sdk_str(t->says));
  yoi_sdk_jsonw_kstr(w, "header", yoi_sdk_str(t->header));
  yoi_sdk_jsonw_kint(w, "line", (int64_t)conform_line(t));
  if (r->is == CONFORM_SKIP) {
    yoi_sdk_jsonw_kstr(w, "why", yoi_sdk_str(r->seen));
  } else if (is_bad(r->is)) {
    yoi_sdk_jsonw_kstr(w, "seen", yoi_sdk_str(r->seen));
    yoi_sdk_jsonw_kstr_opt(w, "expected", yoi_sdk_str(r->expected));
    yoi_sdk_jsonw_kstr_opt(w, "reason", yoi_sdk_str(r->reason));
    if (r->signal) yoi_sdk_jsonw_kint(w, "signal", r->signal);
    yoi_sdk_jsonw_kstr_opt(w, "output", yoi_sdk_str(r->output));
  }
  yoi_sdk_jsonw_close(w, '}');
}

static void summary(const struct conform_result *all, size_t n, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_key(w, "summary");
  yoi_sdk_jsonw_open(w, '{');
  for (uint32_t is = CONFORM_PASS; is <= CONFORM_UNEXPECTED; is++) {
    int64_t count = 0;
    for (size_t i = 0; i < n; i++) count += all[i].is == is;
    yoi_sdk_jsonw_kint(w, conform_result_name(is), count);
  }
  yoi_sdk_jsonw_close(w, '}');
}

void conform_json(const struct conform *c, const struct conform_result *all, size_t n, int ok) {
  struct yoi_sdk_buf out;
  struct yoi_sdk_jsonw w;
  char seed[32];
  (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->options->seed);
  yoi_sdk_buf_init(&out, REPORT_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "schema", YOI_LIT("yoi.conform/1"));
  yoi_sdk_jsonw_key(&w, "plugin");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr_opt(&w, "file", yoi_sdk_str(c->options->file));
  yoi_sdk_jsonw_kstr(&w, "id", yoi_sdk_str(c->id));
  yoi_sdk_jsonw_kstr(&w, "version", yoi_sdk_str(c->version));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_kbool(&w, "isolated", c->options->isolated);
  yoi_sdk_jsonw_kstr(&w, "seed", yoi_sdk_str(seed));
  yoi_sdk_jsonw_key(&w, "tests");
  yoi_sdk_jsonw_open(&w, '[');
  for (size_t i = 0; i < n; i++) one(&all[i], &w);
  yoi_sdk_jsonw_close(&w, ']');
  summary(all, n, &w);
  yoi_sdk_jsonw_kbool(&w, "ok", ok);
  yoi_sdk_jsonw_close(&w, '}');
  printf("%.*s\n", YOI_ARG(yoi_sdk_buf_str(&out)));
  yoi_sdk_buf_release(&out);
}
