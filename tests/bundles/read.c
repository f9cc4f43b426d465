/* read.c - bundles from standard input, for tests/e2e/test_bundle_reader.py.
 *
 * Each is a line with its length and then its bytes; the answer is one line:
 * {"digest": D, "profiles": [...]} of a bundle, {"code", "message", "details",
 * "findings": [{"code","rule","pointer","message","line","column"}]} else. Each
 * is read again without a report, which must end with the same error.
 */
#include <sdk/bundle.h>
#include <sdk/error.h>
#include <sdk/jsonw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX 4194304u

static void write_finding(void *ctx, const struct yoi_sdk_bundle_finding *f) {
  struct yoi_sdk_jsonw *w = ctx;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "code", yoi_sdk_str(yoi_sdk_code_name((int32_t)f->code)));
  yoi_sdk_jsonw_kstr(w, "rule", yoi_sdk_str(f->rule));
  yoi_sdk_jsonw_kstr(w, "pointer", yoi_sdk_str(f->pointer));
  yoi_sdk_jsonw_kstr(w, "message", yoi_sdk_str(f->message));
  yoi_sdk_jsonw_kint(w, "line", f->line);
  yoi_sdk_jsonw_kint(w, "column", f->column);
  yoi_sdk_jsonw_close(w, '}');
}

static void answer(yoi_str bytes, struct yoi_sdk_jsonw *w) {
  struct yoi_sdk_bundle *b = NULL;
  struct yoi_sdk_error first, again;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_key(w, "findings");
  yoi_sdk_jsonw_open(w, '[');
  yoi_status st = yoi_sdk_bundle_new(bytes, write_finding, w, &b, yoi_sdk_error_init(&first));
  yoi_sdk_jsonw_close(w, ']');
  if (b != NULL) {
    yoi_sdk_jsonw_kstr(w, "digest", yoi_sdk_str(b->digest));
    yoi_sdk_jsonw_key(w, "profiles");
    yoi_sdk_jsonw_open(w, '[');
    for (uint32_t i = 0; i < b->n_profiles; i++) yoi_sdk_jsonw_str(w, b->profiles[i].name);
    yoi_sdk_jsonw_close(w, ']');
  } else {
    yoi_sdk_jsonw_kstr(w, "code", yoi_sdk_str(yoi_sdk_code_name(first.e.code)));
    yoi_sdk_jsonw_kstr(w, "message", yoi_sdk_str(first.message));
    yoi_sdk_jsonw_kraw(w, "details", yoi_sdk_str(first.details));
  }
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_bundle_free(b);
  if (yoi_sdk_bundle_new(bytes, NULL, NULL, &b, yoi_sdk_error_init(&again)) != st ||
      (st != YOI_OK && strcmp(first.message, again.message) != 0)) {
    (void)fprintf(stderr, "read: two answers for one bundle\n");
    exit(1);
  }
  yoi_sdk_bundle_free(b);
}

int main(void) {
  struct yoi_sdk_buf out;
  struct yoi_sdk_jsonw w;
  char *bytes = malloc(INPUT_BYTES_MAX), line[32];
  yoi_sdk_buf_init(&out, INPUT_BYTES_MAX);
  while (bytes != NULL && fgets(line, sizeof line, stdin) != NULL) {
    size_t len = strtoul(line, NULL, 10);
    if (len > INPUT_BYTES_MAX || fread(bytes, 1, len, stdin) != len) return 1;
    yoi_sdk_buf_clear(&out);
    yoi_sdk_jsonw_init(&w, &out);
    answer((yoi_str){bytes, len}, &w);
    if (printf("%s\n", out.data) < 0 || fflush(stdout) != 0) return 1;
  }
  free(bytes);
  yoi_sdk_buf_release(&out);
  return 0;
}
