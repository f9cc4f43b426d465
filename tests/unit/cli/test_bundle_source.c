/* A folder of readable files becomes bytes that depend on their texts only, and
 * a finding in the bytes is said of the file that it comes from. */
#include <fcntl.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/cli/bundle.h"

#define WORDS_MAX 4096

static const struct {
  const char *name, *text;
} tree[] = {
    {"bundle.json", "{\n  // whose\n  \"workspace_id\": \"w\", \"id\": \"i\" }"},
    {"tools.json", "[\n  { \"plugin\": \"p.q\",\n    \"name\": \"t\" }\n]"},
    {"profiles.json", "[]"},
    {"prompts/b.md", "B\n"},
    {"prompts/a.txt", "\"A\"\n\n"},
};
#define N_FILES (sizeof tree / sizeof *tree)

static void put(const char *name, const char *text) {
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  close(fd);
}

static int make(void **state) {
  (void)state;
  mkdir("prompts", 0700);
  for (size_t i = 0; i < N_FILES; i++) put(tree[i].name, tree[i].text);
  return 0;
}

static int clear(void **state) {
  (void)state;
  for (size_t i = 0; i < N_FILES; i++) unlink(tree[i].name);
  return rmdir("prompts");
}

struct words {
  char text[WORDS_MAX];
};

static void note(void *ctx, const struct cli_bundle_finding *f) {
  struct words *w = ctx;
  size_t n = strlen(w->text);
  snprintf(w->text + n, sizeof w->text - n, "%s:%u:%u %s %s\n", f->file, f->line, f->column,
           f->rule, f->pointer);
}

static struct cli_bundle_source read_here(struct words *w) {
  struct cli_bundle_source s = {.path = "./", .report = note, .ctx = w};
  cli_bundle_source_read(&s, open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return s;
}

static const char built[] =
    "{\n"
    "  \"schema\": \"yoi.bundle/1\",\n"
    "  \"id\": \"i\",\n"
    "  \"workspace_id\": \"w\",\n"
    "  \"prompts\": [\n"
    "    {\n"
    "      \"name\": \"a\",\n"
    "      \"media_type\": \"text/plain\",\n"
    "      \"text\": \"\\\"A\\\"\\n\"\n"
    "    },\n"
    "    {\n"
    "      \"name\": \"b\",\n"
    "      \"media_type\": \"text/markdown\",\n"
    "      \"text\": \"B\"\n"
    "    }\n"
    "  ],\n"
    "  \"tools\": [\n"
    "    {\n"
    "      \"name\": \"t\",\n"
    "      \"plugin\": \"p.q\"\n"
    "    }\n"
    "  ],\n"
    "  \"profiles\": []\n"
    "}\n";

static void the_bytes_are_these(void **state) {
  (void)state;
  struct words w = {""};
  struct yoi_sdk_buf out;
  struct cli_bundle_source s = read_here(&w);
  yoi_sdk_buf_init(&out, YOI_BUNDLE_BYTES_MAX);
  cli_bundle_source_build(&s, &out);
  assert_string_equal(w.text, "");
  assert_int_equal(s.findings + s.failed, 0);
  assert_string_equal(out.data, built);
  yoi_sdk_buf_release(&out);
  cli_bundle_source_release(&s);
}

static void place(struct cli_bundle_source *s, const char *pointer, int key, const char *wanted) {
  struct words *w = s->ctx;
  yoi_str bytes = {built, sizeof built - 1};
  struct yoi_sdk_bundle_finding f = {
      .code = YOI_CODE_BUNDLE_INVALID, .rule = "r", .pointer = pointer, .message = "m"};
  yoi_sdk_json_locate(bytes, 0, yoi_sdk_str(pointer), key, &f.line, &f.column);
  w->text[0] = 0;
  cli_bundle_source_place(s, bytes, &f);
  char line[WORDS_MAX];
  snprintf(line, sizeof line, "./%s r %s\n", wanted, pointer);
  /* The folder was named with a slash at its end, which is not said twice. */
  assert_string_equal(w->text, line);
}

static void a_finding_stands_in_its_source(void **state) {
  (void)state;
  struct words w = {""};
  struct cli_bundle_source s = read_here(&w);
  place(&s, "/id", 0, "bundle.json:3:30");
  place(&s, "/id", 1, "bundle.json:3:24");
  place(&s, "/workspace_id", 0, "bundle.json:3:19");
  place(&s, "/tools/0/name", 0, "tools.json:3:13");
  place(&s, "/tools/0/name", 1, "tools.json:3:5");
  place(&s, "/tools/0", 0, "tools.json:2:3");
  place(&s, "/prompts/0/text", 0, "prompts/a.txt:1:1");
  place(&s, "/prompts/1/name", 0, "prompts/b.md:1:1");
  place(&s, "/prompts", 0, "prompts:1:1");
  place(&s, "/profiles", 0, "profiles.json:1:1");
  cli_bundle_source_release(&s);
}

/* Also what is missing, and pointers that lead nowhere. */
static void a_finding_about_nothing_stands_near_by(void **state) {
  (void)state;
  struct words w = {""};
  struct cli_bundle_source s = read_here(&w);
  place(&s, "", 0, "bundle.json:1:1");
  place(&s, "/created_at", 0, "bundle.json:1:1");
  place(&s, "/tools/0/policy", 0, "tools.json:2:3");
  place(&s, "/tools/7/policy", 0, "tools.json:1:1");
  place(&s, "/models/0/name", 0, "models.json:1:1");
  place(&s, "/prompts/2/text", 0, "prompts:1:1");
  place(&s, "/prompts/-1/text", 0, "prompts:1:1");
  place(&s, "/prompts/00/text", 0, "prompts:1:1");
  cli_bundle_source_release(&s);
}

static void text_is_indented_as_it_stands(void **state) {
  (void)state;
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 4096);
  cli_bundle_indent(&out,
                    YOI_LIT("{\"a\":[],\"b\":{},\"c\":[1,{\"d\":\"{[,:\\\"\\\\\"}],\"e\":-0.5}"));
  assert_string_equal(out.data,
                      "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n"
                      "      \"d\": \"{[,:\\\"\\\\\"\n    }\n  ],\n  \"e\": -0.5\n}");
  yoi_sdk_buf_release(&out);
}

static void without_memory_there_is_no_bundle(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    struct words w = {""};
    struct yoi_sdk_buf out;
    yoi_sdk_mem_fail_at(n);
    struct cli_bundle_source s = read_here(&w);
    yoi_sdk_buf_init(&out, YOI_BUNDLE_BYTES_MAX);
    cli_bundle_source_build(&s, &out);
    uint64_t made = yoi_sdk_mem_fail_at(0);
    int whole = !s.failed && !s.findings;
    if (whole) assert_string_equal(out.data, built);
    yoi_sdk_buf_release(&out);
    cli_bundle_source_release(&s);
    if (made < n) {
      assert_int_equal(whole, 1);
      break;
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_bytes_are_these),
      cmocka_unit_test(a_finding_stands_in_its_source),
      cmocka_unit_test(a_finding_about_nothing_stands_near_by),
      cmocka_unit_test(text_is_indented_as_it_stands),
      cmocka_unit_test(without_memory_there_is_no_bundle),
  };
  return cmocka_run_group_tests(tests, make, clear);
}
