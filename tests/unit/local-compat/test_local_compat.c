/* dev.yoi.local-compat: what it shows of good records, and that bad ones, of
 * whatever kind, are corrupt workers and nobody else's trouble. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off: cmocka needs the four above */
#include <cmocka.h>
/* clang-format on */
#include <pthread.h>
#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yoi/plugin.h>
#include <yoi/runtime.h>

#include "tests/unit/support/fake_host.h"
#include "tests/unit/support/files.h"

struct rig {
  struct fake_host *fh;
  const yoi_runtime *table;
  void *self;
  struct yoi_sdk_error se;
  yoi_error *err;
  char *answer; /* of the last ask */
};

static struct rig rig;

#define ITEM(role, text) \
  "{\"role\":\"" role "\",\"text\":\"" text "\",\"created_at\":\"2026-06-26T00:00:01.5Z\"}"

static void record(const char *id, const char *more) {
  char path[128], text[4096];
  (void)snprintf(path, sizeof path, "records/%s.json", id);
  (void)snprintf(text, sizeof text,
                 "{\"worker_id\":\"%s\",\"created_at\":\"2026-06-26T00:00:00Z\",\"items\":[" ITEM(
                     "user", "hello") "," ITEM("assistant", "good \\u0064ay") "]%s}\n",
                 id, more);
  files_text(path, text);
}

static yoi_status open_with(const char *config) {
  return rig.table->open(fake_host_instance(rig.fh), yoi_sdk_str(config), &rig.self, rig.err);
}

static void close_it(void) {
  rig.table->close(rig.self);
  rig.self = NULL;
}

/* One operation; its answer stays in rig.answer. */
static yoi_status ask(uint32_t op, const char *id, const char *body) {
  yoi_request req = {.size = sizeof req,
                     .op = op,
                     .origin = YOI_ORIGIN_EMBED,
                     .worker_id = yoi_sdk_str(id),
                     .principal = YOI_LIT("embed"),
                     .body = yoi_sdk_str(body)};
  yoi_stream *s = NULL;
  const yoi_event *const *evs;
  size_t n;
  yoi_sdk_free(rig.answer);
  rig.answer = NULL;
  yoi_sdk_error_clear(rig.err);
  yoi_status st = rig.table->start(rig.self, &req, &s, rig.err);
  if (st != YOI_OK) {
    assert_null(s);
    return st;
  }
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 1);
  assert_int_equal(evs[0]->kind, YOI_EVENT_RESULT);
  assert_int_equal(yoi_sdk_json_check(evs[0]->text, 0, NULL), YOI_OK);
  rig.answer = yoi_sdk_strndup(evs[0]->text.ptr, evs[0]->text.len);
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_END);
  s->ops->release(s);
  return YOI_OK;
}

static void answers(uint32_t op, const char *id, const char *body, const char *expected) {
  assert_int_equal(ask(op, id, body), YOI_OK);
  assert_string_equal(rig.answer, expected);
}

static void refuses(uint32_t op, const char *id, const char *body, int32_t code) {
  assert_int_equal(ask(op, id, body), yoi_sdk_code_status(code));
  assert_string_equal(yoi_sdk_code_name(rig.err->code), yoi_sdk_code_name(code));
}

static void answer_has(const char *text) {
  if (!strstr(rig.answer, text)) fail_msg("'%s' is not in %s", text, rig.answer);
}

static int setup(void **state) {
  (void)state;
  memset(&rig, 0, sizeof rig);
  rig.err = yoi_sdk_error_init(&rig.se);
  rig.fh = fake_host_new(1);
  rig.table = yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_RUNTIME_ID));
  files_directory("records");
  return 0;
}

/* The next test starts with an empty folder. */
static int teardown(void **state) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
  char aside[] = "aside-?";
  (void)state;
  rig.table->close(rig.self);
  yoi_sdk_free(rig.answer);
  fake_host_free(rig.fh);
  for (size_t i = 0; i < sizeof letters - 1; i++) {
    aside[sizeof aside - 2] = letters[i];
    if (!files_exist(aside)) return files_exist("records") ? rename("records", aside) : 0;
  }
  return -1;
}

/* ---- what it shows ---------------------------------------------------- */

#define WORKER(id, name, state)                                              \
  "{\"worker_id\":\"" id "\",\"state\":\"" state "\",\"display_name\":" name \
  ",\"intent\":null,\"profile\":null,\"config_bundle\":null,"                \
  "\"capabilities\":[\"worker.get\",\"worker.transcript\"],"                 \
  "\"created_at\":\"2026-06-26T00:00:00.000Z\",\"cursor\":null"

static void workers_are_listed_in_byte_order(void **state) {
  (void)state;
  record("w2", ",\"state\":\"idle\",\"display_name\":\"Zwei \\u00fc\"");
  record("w1", "");
  record("w10", ",\"state\":\"stopped\",\"unknown\":{\"a\":[1]}");
  assert_int_equal(open_with("{\"root\":\"records\"}"), YOI_OK);
  answers(YOI_OP_WORKER_LIST, "", "",
          "{\"workers\":[" WORKER("w1", "null", "stopped") "}," WORKER(
              "w10", "null", "stopped") "}," WORKER("w2", "\"Zwei \xC3\xBC\"",
                                                    "idle") "}],\"next\":null}");
  answers(YOI_OP_WORKER_GET, "w2", "",
          "{\"worker\":" WORKER("w2", "\"Zwei \xC3\xBC\"", "idle") ",\"spec\":null}}");
  refuses(YOI_OP_WORKER_GET, "w3", "", YOI_CODE_WORKER_NOT_FOUND);
  refuses(YOI_OP_WORKER_TRANSCRIPT, "w", "", YOI_CODE_WORKER_NOT_FOUND);
}

static void pages(void **state) {
  (void)state;
  char id[16];
  for (int i = 0; i < 300; i++) {
    (void)snprintf(id, sizeof id, "w%03d", i);
    record(id, i % 3 ? "" : ",\"state\":\"idle\"");
  }
  assert_int_equal(open_with("{}"), YOI_OK);
  assert_int_equal(ask(YOI_OP_WORKER_LIST, "", ""), YOI_OK);
  answer_has("\"next\":\"w099\"");
  assert_int_equal(ask(YOI_OP_WORKER_LIST, "", "{\"limit\":256,\"after\":\"w043\"}"), YOI_OK);
  answer_has("[{\"worker_id\":\"w044\"");
  answer_has("\"next\":null");
  assert_int_equal(ask(YOI_OP_WORKER_LIST, "", "{\"after\":\"w0435\",\"limit\":1}"), YOI_OK);
  answer_has("[{\"worker_id\":\"w044\"");
  answer_has("\"next\":\"w044\"");
  assert_int_equal(ask(YOI_OP_WORKER_LIST, "", "{\"state\":\"idle\",\"limit\":100}"), YOI_OK);
  answer_has("\"worker_id\":\"w297\"");
  answer_has("\"next\":null"); /* the hundredth is the last of its state */
  answers(YOI_OP_WORKER_LIST, "", "{\"state\":\"running\"}", "{\"workers\":[],\"next\":null}");
  answers(YOI_OP_WORKER_LIST, "", "{\"after\":\"zz\"}", "{\"workers\":[],\"next\":null}");
}

#define SHOWN(n, role, text)                                            \
  "{\"sequence\":" n ",\"turn_id\":null,\"step\":null,\"role\":\"" role \
  "\",\"content\":[{\"type\":\"text\",\"text\":\"" text                 \
  "\"}],\"created_at\":\"2026-06-26T00:00:01.500Z\"}"

static void transcripts(void **state) {
  (void)state;
  record("w1", "");
  files_text("records/w0.json",
             "{\"worker_id\":\"w0\",\"created_at\":\"2026-06-26T00:00:00Z\",\"items\":[]}");
  assert_int_equal(open_with("{}"), YOI_OK);
#define HEAD(start, limit, total, next)                                       \
  "{\"transcript\":{\"start\":" start ",\"limit\":" limit ",\"total\":" total \
  ",\"next_start\":" next ",\"items\":["
  answers(YOI_OP_WORKER_TRANSCRIPT, "w1", "",
          HEAD("0", "256", "2", "null")
              SHOWN("1", "user", "hello") "," SHOWN("2", "assistant", "good day") "]}}");
  answers(YOI_OP_WORKER_TRANSCRIPT, "w1", "{\"limit\":1}",
          HEAD("0", "1", "2", "1") SHOWN("1", "user", "hello") "]}}");
  answers(YOI_OP_WORKER_TRANSCRIPT, "w1", "{\"start\":1,\"limit\":1}",
          HEAD("1", "1", "2", "null") SHOWN("2", "assistant", "good day") "]}}");
  answers(YOI_OP_WORKER_TRANSCRIPT, "w1", "{\"start\":9007199254740991}",
          HEAD("9007199254740991", "256", "2", "null") "]}}");
  answers(YOI_OP_WORKER_TRANSCRIPT, "w0", "", HEAD("0", "256", "0", "null") "]}}");
}

static void it_says_what_it_is(void **state) {
  (void)state;
  record("w1", "");
  assert_int_equal(open_with("{}"), YOI_OK);
  assert_int_equal(ask(YOI_OP_RUNTIME_DESCRIBE, "", ""), YOI_OK);
  answer_has("\"kind\":\"read_only_projection\"");
  answer_has("\"state_kind\":\"durable\",\"status\":\"ready\"");
  answer_has(
      "\"capabilities\":[\"runtime.describe\",\"worker.list\",\"worker.get\","
      "\"worker.transcript\"]");
  answer_has("\"counts\":{\"workers\":1,\"corrupt\":0}");
  answer_has("\"diagnostics\":[{\"code\":\"read_only_projection\",\"severity\":\"info\"");
  char *first = rig.answer;
  rig.answer = NULL;
  close_it();
  assert_int_equal(open_with("{\"root\":\"./records///\"}"), YOI_OK);
  answers(YOI_OP_RUNTIME_DESCRIBE, "", "", first); /* the same folder, the same instance */
  assert_null(strstr(first, "./records"));
  yoi_sdk_free(first);
}

static void everything_else_is_unsupported(void **state) {
  (void)state;
  record("w1", "");
  assert_int_equal(open_with("{}"), YOI_OK);
  for (uint32_t op = 0; op < YOI_OP__END + 2; op++) {
    if (op == YOI_OP_RUNTIME_DESCRIBE || op == YOI_OP_WORKER_LIST || op == YOI_OP_WORKER_GET ||
        op == YOI_OP_WORKER_TRANSCRIPT)
      continue;
    refuses(op, "w1", "{}", YOI_CODE_UNSUPPORTED_OPERATION);
  }
}

static void bodies_are_checked(void **state) {
  (void)state;
  static const char *const lists[] = {"[]",
                                      "{\"start\":0}",
                                      "{\"limit\":0}",
                                      "{\"limit\":1.5}",
                                      "{\"limit\":\"1\"}",
                                      "{\"after\":\"\"}",
                                      "{\"after\":\"../x\"}",
                                      "{\"after\":1}",
                                      "{\"state\":\"gone\"}",
                                      "{\"state\":1}",
                                      "{\"x\":1}"};
  static const char *const transcripts[] = {"{\"start\":-1}", "{\"start\":null}",
                                            "{\"after\":\"w\"}", "{\"limit\":-5}"};
  record("w1", "");
  assert_int_equal(open_with("{}"), YOI_OK);
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
    refuses(YOI_OP_WORKER_LIST, "", lists[i], YOI_CODE_INVALID_REQUEST);
  for (size_t i = 0; i < sizeof transcripts / sizeof transcripts[0]; i++)
    refuses(YOI_OP_WORKER_TRANSCRIPT, "w1", transcripts[i], YOI_CODE_INVALID_REQUEST);
  refuses(YOI_OP_WORKER_LIST, "", "{\"limit\":1", YOI_CODE_INVALID_JSON);
  refuses(YOI_OP_WORKER_LIST, "", "{\"limit\":257}", YOI_CODE_LIMIT_TOO_LARGE);
  refuses(YOI_OP_WORKER_TRANSCRIPT, "w1", "{\"limit\":257}", YOI_CODE_LIMIT_TOO_LARGE);
}

/* ---- bad records ------------------------------------------------------ */

/* The worker is corrupt for that reason, and the good one beside it is fine. */
static void corrupt(const char *id, const char *code, const char *words) {
  record("good", "");
  assert_int_equal(open_with("{}"), YOI_OK);
  assert_int_equal(ask(YOI_OP_WORKER_GET, id, ""), YOI_OK);
  answer_has("\"state\":\"corrupt\"");
  answer_has("\"capabilities\":[\"worker.get\"]");
  answer_has("\"created_at\":null");
  char wanted[256];
  (void)snprintf(wanted, sizeof wanted, "\"diagnostics\":[{\"code\":\"%s\"", code);
  answer_has(wanted);
  answer_has(words);
  assert_null(strstr(rig.answer, "SECRET"));
  refuses(YOI_OP_WORKER_TRANSCRIPT, id, "", YOI_CODE_STORE_CORRUPT);
  assert_int_equal(ask(YOI_OP_WORKER_LIST, "", "{\"state\":\"corrupt\"}"), YOI_OK);
  answer_has(id);
  assert_int_equal(ask(YOI_OP_WORKER_TRANSCRIPT, "good", ""), YOI_OK);
  assert_int_equal(ask(YOI_OP_RUNTIME_DESCRIBE, "", ""), YOI_OK);
  answer_has("\"counts\":{\"workers\":2,\"corrupt\":1}");
  answer_has("\"code\":\"records_corrupt\"");
  close_it();
}

static void a_record_that_does_not_fit_is_corrupt(void **state) {
  (void)state;
#define AT "\"created_at\":\"2026-06-26T00:00:00Z\""
#define BAD(rest) "{\"worker_id\":\"bad\"," rest "}"
#define BAD_ITEM(item) BAD(AT ",\"items\":[" ITEM("user", "x") "," item "]")
  static const struct {
    const char *text, *words;
  } rows[] = {
      {"", "line 1, column 1: unexpected end"},
      {"[]", "it is not an object"},
      {"{\n\"worker_id\":\"SECRET\",\n\"worker_id\":1}",
       "line 3, column 1: this key is there twice"},
      {"{\"worker_id\":\"SECRET\"," AT ",\"items\":[]}", "'worker_id' is not the name of its file"},
      {"{" AT ",\"items\":[]}", "'worker_id' is not the name"},
      {BAD("\"items\":[]"), "'created_at' is no time"},
      {BAD("\"items\":[],\"created_at\":\"2026-06-26 00:00:00Z\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":\"2026-06-26T00:00:00+01:00\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":\"2026-02-29T00:00:00Z\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":\"2026-13-01T00:00:00Z\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":\"2026-06-26T24:00:00Z\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":\"2026-06-26T00:00:00.Z\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":\"2026-06-26T00:00:00.1x4Z\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":\"2026-06-26T00:00:001Z\""), "'created_at'"},
      {BAD("\"items\":[],\"created_at\":1"), "'created_at'"},
      {BAD(AT), "'items' is not an array"},
      {BAD(AT ",\"items\":{}"), "'items' is not an array"},
      {BAD(AT ",\"items\":[],\"state\":\"running\""), "'state' is neither"},
      {BAD(AT ",\"items\":[],\"state\":null"), "'state' is neither"},
      {BAD(AT ",\"items\":[],\"display_name\":\"\""), "'display_name'"},
      {BAD(AT ",\"items\":[],\"display_name\":7"), "'display_name'"},
      {BAD_ITEM("1"), "item 1 needs"},
      {BAD_ITEM("{\"role\":\"SECRET\",\"text\":\"\"," AT "}"), "item 1 needs"},
      {BAD_ITEM("{\"role\":\"user\"," AT "}"), "item 1 needs"},
      {BAD_ITEM("{\"role\":\"user\",\"text\":[]," AT "}"), "item 1 needs"},
      {BAD_ITEM("{\"role\":\"user\",\"text\":\"\"}"), "item 1 needs"},
      {BAD_ITEM("{\"role\":\"user\",\"text\":\"\",\"created_at\":\"now\"}"), "item 1 needs"},
      {BAD_ITEM("{\"role\":\"user\",\"text\":\"\\u0000\"," AT "}"), "is not accepted"},
      {BAD_ITEM("{\"role\":\"user\",\"text\":\"\xFF\"," AT "}"), "invalid UTF-8"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    files_text("records/bad.json", rows[i].text);
    corrupt("bad", "record_malformed", rows[i].words);
  }
}

static void times_come_with_milliseconds(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000Z"},
      {"2026-06-26T00:00:00.1Z", "2026-06-26T00:00:00.100Z"},
      {"2026-06-26T00:00:00.12Z", "2026-06-26T00:00:00.120Z"},
      {"2026-06-26T00:00:00.123456789Z", "2026-06-26T00:00:00.123Z"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[256];
    (void)snprintf(text, sizeof text, "{\"worker_id\":\"w1\",\"created_at\":\"%s\",\"items\":[]}",
                   rows[i][0]);
    files_text("records/w1.json", text);
    assert_int_equal(open_with("{}"), YOI_OK);
    assert_int_equal(ask(YOI_OP_WORKER_GET, "w1", ""), YOI_OK);
    answer_has(rows[i][1]);
    close_it();
  }
}

static void a_symbolic_link_is_not_followed(void **state) {
  (void)state;
  files_text("elsewhere.json",
             "{\"worker_id\":\"bad\",\"created_at\":\"2026-06-26T00:00:00Z\","
             "\"items\":[" ITEM("user", "SECRET") "]}");
  assert_int_equal(symlink("../elsewhere.json", "records/bad.json"), 0);
  corrupt("bad", "record_unreadable", "symbolic link");
}

static void what_is_no_regular_file_is_not_opened_for_ever(void **state) {
  (void)state;
  assert_int_equal(mkfifo("records/bad.json", 0600), 0);
  corrupt("bad", "record_unreadable", "no regular file");
  assert_int_equal(unlink("records/bad.json"), 0);
  files_directory("records/bad.json");
  corrupt("bad", "record_unreadable", "no regular file");
}

static void a_file_has_a_largest_size(void **state) {
  (void)state;
  record("bad", "");
  assert_int_equal(truncate("records/bad.json", YOI_RECORD_BYTES_MAX + 1), 0);
  corrupt("bad", "record_too_large", "more than 8388608 bytes");
  assert_int_equal(truncate("records/bad.json", YOI_RECORD_BYTES_MAX), 0);
  corrupt("bad", "record_malformed", "column"); /* NULs behind the record */
}

static void all_files_together_are_bounded(void **state) {
  (void)state;
  char id[16], path[64];
  int each = YOI_RECORDS_BYTES_MAX / YOI_RECORD_BYTES_MAX;
  for (int i = 0; i < each + 2; i++) {
    (void)snprintf(id, sizeof id, "w%02d", i);
    (void)snprintf(path, sizeof path, "records/%s.json", id);
    record(id, "");
    if (i < each) assert_int_equal(truncate(path, YOI_RECORD_BYTES_MAX), 0);
  }
  assert_int_equal(open_with("{}"), YOI_OK);
  for (int i = each; i < each + 2; i++) {
    (void)snprintf(id, sizeof id, "w%02d", i);
    assert_int_equal(ask(YOI_OP_WORKER_GET, id, ""), YOI_OK);
    answer_has("record_not_read");
  }
}

static void more_files_than_are_read_are_counted(void **state) {
  (void)state;
  char path[64];
  for (int i = 0; i < YOI_RECORDS_MAX + 3; i++) {
    (void)snprintf(path, sizeof path, "records/w%05d.json", i);
    assert_int_equal(symlink("nowhere", path), 0);
  }
  assert_int_equal(open_with("{}"), YOI_OK);
  assert_int_equal(ask(YOI_OP_RUNTIME_DESCRIBE, "", ""), YOI_OK);
  answer_has("\"counts\":{\"workers\":65536,\"corrupt\":65536}");
  answer_has("\"code\":\"records_left_out\"");
  answer_has("\"count\":3,");
  answer_has("\"status\":\"degraded\"");
  assert_int_equal(ask(YOI_OP_WORKER_LIST, "", "{\"limit\":256}"), YOI_OK);
}

static void other_files_are_not_records(void **state) {
  (void)state;
  record("w1", "");
  files_text("records/README", "x");
  files_text("records/.hidden.json", "x");
  files_text("records/.json", "x");
  files_text("records/w2.json.tmp", "x");
  files_text("records/Upper.json", "x");
  files_text("records/a b.json", "x");
  assert_int_equal(open_with("{}"), YOI_OK);
  assert_int_equal(ask(YOI_OP_RUNTIME_DESCRIBE, "", ""), YOI_OK);
  answer_has("\"counts\":{\"workers\":1,\"corrupt\":0}");
  answer_has(
      "\"code\":\"records_ignored\",\"severity\":\"warning\",\"message\":\"files whose name "
      "is no worker id\",\"count\":2");
}

/* ---- the folder ------------------------------------------------------- */

static void an_empty_config_without_a_folder_lists_nothing_and_says_so(void **state) {
  (void)state;
  assert_int_equal(rmdir("records"), 0);
  assert_int_equal(open_with(""), YOI_OK);
  answers(YOI_OP_WORKER_LIST, "", "", "{\"workers\":[],\"next\":null}");
  refuses(YOI_OP_WORKER_GET, "w1", "", YOI_CODE_WORKER_NOT_FOUND);
  assert_int_equal(ask(YOI_OP_RUNTIME_DESCRIBE, "", ""), YOI_OK);
  answer_has("\"code\":\"records_missing\"");
  answer_has("\"instance_id\":\"records-none\"");
}

static void a_folder_that_was_asked_for_must_be_there(void **state) {
  (void)state;
  files_text("file", "x");
  assert_int_equal(symlink("records", "link"), 0);
  static const char *const configs[] = {"{\"root\":\"nowhere\"}", "{\"root\":\"file\"}",
                                        "{\"root\":\"link\"}", "{\"root\":\"link//\"}"};
  for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
    yoi_sdk_error_clear(rig.err);
    assert_int_equal(open_with(configs[i]), YOI_INVALID_ARGUMENT);
    assert_null(rig.self);
    assert_non_null(strstr(rig.se.message, "cannot open the folder of records"));
    assert_null(strstr(rig.se.message, "link'")); /* no path in what callers see */
    assert_true(rig.se.private_detail[0] != '\0');
  }
  assert_int_equal(unlink("link"), 0);
}

static void what_is_shown_is_as_old_as_the_open(void **state) {
  (void)state;
  record("w1", "");
  assert_int_equal(open_with("{}"), YOI_OK);
  record("w2", "");
  assert_int_equal(unlink("records/w1.json"), 0);
  assert_int_equal(ask(YOI_OP_WORKER_TRANSCRIPT, "w1", ""), YOI_OK);
  refuses(YOI_OP_WORKER_GET, "w2", "", YOI_CODE_WORKER_NOT_FOUND);
  close_it();
  assert_int_equal(open_with("{}"), YOI_OK);
  assert_int_equal(ask(YOI_OP_WORKER_GET, "w2", ""), YOI_OK);
  refuses(YOI_OP_WORKER_GET, "w1", "", YOI_CODE_WORKER_NOT_FOUND);
}

/* ---- memory, threads -------------------------------------------------- */

static void short_memory_fails_the_open_and_nothing_else(void **state) {
  (void)state;
  record("w1", ",\"display_name\":\"One\"");
  files_text("records/w2.json", "{");
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(open_with("{\"root\":\"records\"}"), YOI_OK);
  uint64_t n = yoi_sdk_mem_fail_at(0);
  close_it();
  assert_true(n > 5);
  for (uint64_t i = 1; i <= n; i++) {
    (void)yoi_sdk_mem_fail_at(i);
    yoi_status st = open_with("{\"root\":\"records\"}");
    (void)yoi_sdk_mem_fail_at(0);
    assert_int_not_equal(st, YOI_OK);
    assert_null(rig.self);
  }
  assert_int_equal(open_with("{}"), YOI_OK);
  static const uint32_t ops[] = {YOI_OP_RUNTIME_DESCRIBE, YOI_OP_WORKER_LIST, YOI_OP_WORKER_GET,
                                 YOI_OP_WORKER_TRANSCRIPT};
  for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++) {
    yoi_request req = {.size = sizeof req, .op = ops[o], .worker_id = YOI_LIT("w1")};
    for (uint64_t i = 1; i <= 3; i++) {
      yoi_stream *s = NULL;
      (void)yoi_sdk_mem_fail_at(i);
      yoi_status st = rig.table->start(rig.self, &req, &s, rig.err);
      (void)yoi_sdk_mem_fail_at(0);
      assert_int_equal(st == YOI_OK, s != NULL);
      if (i == 1) assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
      if (s) s->ops->release(s);
    }
  }
}

static void *read_on(void *unused) {
  (void)unused;
  size_t bytes = 0;
  for (int i = 0; i < 200; i++) {
    yoi_request req = {.size = sizeof req,
                       .op = i % 2 ? YOI_OP_WORKER_LIST : YOI_OP_WORKER_TRANSCRIPT};
    const yoi_event *const *evs;
    yoi_stream *s;
    size_t n;
    if (i % 2 == 0) req.worker_id = YOI_LIT("w1");
    if (rig.table->start(rig.self, &req, &s, NULL) != YOI_OK) return NULL;
    if (s->ops->next(s, &evs, &n, NULL) == YOI_OK) bytes += evs[0]->text.len;
    s->ops->release(s);
  }
  return bytes ? &rig : NULL;
}

static void any_thread_may_ask(void **state) {
  (void)state;
  pthread_t t[4];
  record("w1", "");
  record("w2", "");
  assert_int_equal(open_with("{}"), YOI_OK);
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, read_on, NULL), 0);
  for (int i = 0; i < 4; i++) {
    void *ok = NULL;
    (void)pthread_join(t[i], &ok);
    assert_non_null(ok);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(workers_are_listed_in_byte_order),
      TEST(pages),
      TEST(transcripts),
      TEST(it_says_what_it_is),
      TEST(everything_else_is_unsupported),
      TEST(bodies_are_checked),
      TEST(a_record_that_does_not_fit_is_corrupt),
      TEST(times_come_with_milliseconds),
      TEST(a_symbolic_link_is_not_followed),
      TEST(what_is_no_regular_file_is_not_opened_for_ever),
      TEST(a_file_has_a_largest_size),
      TEST(all_files_together_are_bounded),
      TEST(more_files_than_are_read_are_counted),
      TEST(other_files_are_not_records),
      TEST(an_empty_config_without_a_folder_lists_nothing_and_says_so),
      TEST(a_folder_that_was_asked_for_must_be_there),
      TEST(what_is_shown_is_as_old_as_the_open),
      TEST(short_memory_fails_the_open_and_nothing_else),
      TEST(any_thread_may_ask),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
