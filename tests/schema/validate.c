/* validate.c - schemas and values from lines, for tests/schema/suite.py.
 *
 * A line is {"schema": S, "data": [V, ...]}; the answer is one line:
 * {"why": "POINTER: MESSAGE"} when S is refused, {"valid": [true, ...]} else,
 * and {"unread": "MESSAGE"} when the line is no JSON for this reader. Each
 * value is checked with and without a report, which must agree.
 *
 *   validate --time N   the time of a check of each value, N times over, in
 *                       nanoseconds: {"ns": [...]}
 */
#include <sdk/schema.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct first {
  char text[512];
};

static void keep_first(void *ctx, const char *pointer, int is_key, const char *message) {
  struct first *f = ctx;
  (void)is_key;
  if (f->text[0] == '\0') (void)snprintf(f->text, sizeof f->text, "%s: %s", pointer, message);
}

static double clock_ns(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(const struct yoi_sdk_schema *s, const yoi_sdk_json *v, long times,
                  struct yoi_sdk_jsonw *w) {
  struct first first = {""};
  double begin = clock_ns();
  yoi_status st = yoi_sdk_schema_test(s, v, "", keep_first, &first);
  for (long i = 1; i < times; i++) st = yoi_sdk_schema_test(s, v, "", keep_first, &first);
  if (times > 0) {
    yoi_sdk_jsonw_double(w, (clock_ns() - begin) / (double)times);
    return;
  }
  if (yoi_sdk_schema_test(s, v, "", NULL, NULL) != st || (st == YOI_OK) != (first.text[0] == 0)) {
    (void)fprintf(stderr, "validate: two answers for one value\n");
    exit(1);
  }
  yoi_sdk_jsonw_bool(w, st == YOI_OK);
}

static void answer(yoi_str line, long times, struct yoi_sdk_jsonw *w) {
  struct yoi_sdk_json_error err;
  struct yoi_sdk_schema *s = NULL;
  struct first first = {""};
  yoi_sdk_json *v = NULL;
  yoi_sdk_jsonw_open(w, '{');
  if (yoi_sdk_json_parse(line, 0, &v, &err) != YOI_OK) {
    yoi_sdk_jsonw_kstr(w, "unread", yoi_sdk_str(err.message));
  } else if (yoi_sdk_schema_new(yoi_sdk_json_get(v, "schema"), keep_first, &first, &s) != YOI_OK) {
    yoi_sdk_jsonw_kstr(w, "why", yoi_sdk_str(first.text));
  } else {
    const yoi_sdk_json *d = yoi_sdk_json_first(yoi_sdk_json_get(v, "data"));
    yoi_sdk_jsonw_key(w, times > 0 ? "ns" : "valid");
    yoi_sdk_jsonw_open(w, '[');
    for (; d; d = yoi_sdk_json_next(d)) check(s, d, times, w);
    yoi_sdk_jsonw_close(w, ']');
  }
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_schema_free(s);
  yoi_sdk_json_free(v);
}

int main(int argc, char **argv) {
  long times = argc > 2 && strcmp(argv[1], "--time") == 0 ? strtol(argv[2], NULL, 10) : 0;
  struct yoi_sdk_buf out;
  struct yoi_sdk_jsonw w;
  char *line = NULL;
  size_t cap = 0;
  ssize_t len;
  yoi_sdk_buf_init(&out, YOI_JSON_BYTES_MAX);
  while ((len = getline(&line, &cap, stdin)) > 0) {
    yoi_sdk_buf_clear(&out);
    yoi_sdk_jsonw_init(&w, &out);
    answer((yoi_str){line, (size_t)len}, times, &w);
    (void)printf("%s\n", out.data);
  }
  free(line);
  yoi_sdk_buf_release(&out);
  return 0;
}
