/* Bundles of a runtime: what is sent is the bytes under their own digest, and
 * what comes back is believed only when it has the digest that was asked for.
 * The runtime is played by this file, which can lie. */
#include <sdk/id.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cli/bundle.h"

#define TEXT_SIZE 256
#define BYTES "{ \"a\": \"bundle\" }\n"

/* What the runtime is asked, and answers. */
static struct {
  uint32_t op;
  int opened, calls, fail_at, freed;
  char runtime[TEXT_SIZE], subject[TEXT_SIZE], body[TEXT_SIZE];
  const char *answer;
  char written[TEXT_SIZE], said[TEXT_SIZE];
  int wrote;
} played;

static void keep(char *out, yoi_str s) {
  snprintf(out, TEXT_SIZE, "%.*s", YOI_ARG(s));
}

/* ---- the rest of the program, as this file needs it ---- */
int cli_config_read(const char *path, struct cli_config *out, const char **out_why) {
  (void)out_why;
  *out = (struct cli_config){.name = path};
  return strcmp(path, "wrong") == 0 ? CLI_INVALID : CLI_OK;
}

int cli_remote_is(const char *url) {
  return strncmp(url, "http", 4) == 0;
}

int cli_remote_config(const char *url, struct cli_config *out) {
  *out = (struct cli_config){.name = url};
  return CLI_OK;
}

void cli_config_release(struct cli_config *c) {
  c->name = NULL;
}

int cli_step_host(const struct cli_config *c, struct yoi_embed **out) {
  (void)c;
  played.opened++;
  *out = (struct yoi_embed *)&played;
  return CLI_OK;
}

yoi_status yoi_call_sync(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                         char **out_text, size_t *out_len, yoi_error *err) {
  assert_ptr_equal(host, &played);
  played.op = req->op;
  keep(played.runtime, runtime_id);
  keep(played.subject, req->subject);
  keep(played.body, req->body);
  if (++played.calls == played.fail_at)
    return yoi_sdk_fail(err, YOI_CODE_BUNDLE_NOT_FOUND, "no such bundle");
  *out_len = strlen(played.answer);
  *out_text = yoi_sdk_strndup(played.answer, *out_len);
  assert_non_null(*out_text);
  return YOI_OK;
}

void yoi_free(void *text) {
  yoi_sdk_free(text);
}

void yoi_host_free(struct yoi_embed *host) {
  if (host) played.freed++;
}

int cli_bundle_write(const char *to, yoi_str bytes) {
  (void)to;
  played.wrote++;
  keep(played.written, bytes);
  return CLI_OK;
}

void cli_say(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(played.said, sizeof played.said, fmt, args);
  va_end(args);
}

int cli_usage_error(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(played.said, sizeof played.said, fmt, args);
  va_end(args);
  return CLI_USAGE;
}

void cli_say_error(const char *what, const yoi_error *err) {
  snprintf(played.said, sizeof played.said, "%s: %s", what, err->message);
}

/* ---- tests ---- */
static void digest_of(const char *bytes, char out[YOI_SDK_DIGEST_SIZE]) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  assert_int_equal(yoi_sdk_sha256(bytes, strlen(bytes), sha), 1);
  yoi_sdk_digest_text(sha, out);
}

static int begin(void **state) {
  (void)state;
  memset(&played, 0, sizeof played);
  played.answer = "{\"bundle\":{}}";
  return 0;
}

static void the_bytes_are_sent_under_their_digest(void **state) {
  (void)state;
  char bytes[] = BYTES;
  struct yoi_sdk_bundle is = {.id = YOI_LIT("i"), .revision = YOI_LIT("1")};
  digest_of(bytes, is.digest);
  const struct cli_bundle two[] = {{.bytes = bytes, .len = strlen(bytes), .is = &is},
                                   {.bytes = bytes, .len = strlen(bytes), .is = &is}};
  assert_int_equal(cli_bundle_push("c", "r", two, 2, 1), CLI_OK);
  assert_int_equal(played.op, YOI_OP_BUNDLE_PUT);
  assert_string_equal(played.runtime, "r");
  assert_string_equal(played.subject, is.digest);
  assert_string_equal(played.body, BYTES);
  assert_int_equal(played.calls, 2);
  assert_int_equal(played.opened + played.freed, 2);
  played.fail_at = 3; /* the next */
  assert_int_equal(cli_bundle_push("c", "r", two, 2, 0), CLI_FAILED);
  assert_int_equal(played.calls, 3);
  assert_non_null(strstr(played.said, "no such bundle"));
  assert_int_equal(cli_bundle_push("wrong", "r", two, 2, 0), CLI_INVALID);
  assert_int_equal(played.calls, 3);
}

static void what_comes_is_what_was_asked_for(void **state) {
  (void)state;
  char digest[YOI_SDK_DIGEST_SIZE];
  digest_of(BYTES, digest);
  played.answer = BYTES;
  assert_int_equal(cli_bundle_pull("http://h", "r", digest, NULL), CLI_OK);
  assert_int_equal(cli_bundle_pull("c", "r", digest, NULL), CLI_OK);
  assert_int_equal(played.op, YOI_OP_BUNDLE_GET);
  assert_string_equal(played.subject, digest);
  assert_string_equal(played.body, "");
  assert_string_equal(played.written, BYTES);
}

/* One byte more, one less, another, none. */
static void a_runtime_that_lies_is_not_believed(void **state) {
  (void)state;
  static const char *const lies[] = {BYTES "\n", "{ \"a\": \"bundle\" }", "{ \"a\": \"bundlE\" }\n",
                                     ""};
  char digest[YOI_SDK_DIGEST_SIZE];
  digest_of(BYTES, digest);
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    played.answer = lies[i];
    played.said[0] = 0;
    assert_int_equal(cli_bundle_pull("c", "r", digest, "x"), CLI_FAILED);
    assert_non_null(strstr(played.said, "other bytes"));
  }
  assert_int_equal(played.wrote, 0);
  assert_int_equal(played.freed, (int)(sizeof lies / sizeof *lies));
}

static void what_is_no_digest_opens_nothing(void **state) {
  (void)state;
  char digest[YOI_SDK_DIGEST_SIZE];
  digest_of(BYTES, digest);
  digest[10] = 'G';
  static const char *const no[] = {"", "sha256:", "md5:00"};
  assert_int_equal(cli_bundle_pull("c", "r", digest, NULL), CLI_USAGE);
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    assert_int_equal(cli_bundle_pull("c", "r", no[i], NULL), CLI_USAGE);
  assert_int_equal(played.opened, 0);
}

static void one_that_is_not_there_writes_nothing(void **state) {
  (void)state;
  char digest[YOI_SDK_DIGEST_SIZE];
  digest_of(BYTES, digest);
  played.fail_at = 1;
  assert_int_equal(cli_bundle_pull("c", "r", digest, "x"), CLI_FAILED);
  assert_non_null(strstr(played.said, digest));
  assert_int_equal(played.wrote, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_bytes_are_sent_under_their_digest, begin),
      cmocka_unit_test_setup(what_comes_is_what_was_asked_for, begin),
      cmocka_unit_test_setup(a_runtime_that_lies_is_not_believed, begin),
      cmocka_unit_test_setup(what_is_no_digest_opens_nothing, begin),
      cmocka_unit_test_setup(one_that_is_not_there_writes_nothing, begin),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
