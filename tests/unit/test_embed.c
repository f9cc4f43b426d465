/* test_embed.c - the embedding API with real plugins: a host from JSON, calls
 * in both modes, and every way out.
 */
#include <pthread.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoi.h>

#include <cmocka.h>

#define NULL_CONFIG(extra)                                              \
  "{\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\"]," \
  "\"runtimes\":[{\"id\":\"a\",\"plugin\":\"dev.yoi.test.null\"}],"     \
  "\"models\":[],\"ingress\":[]" extra "}"

static struct yoi_embed *host_of(const char *json) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  const char *build = getenv("YOI_BUILD");
  yoi_status st = yoi_host_new(json, strlen(json), build == NULL ? "build" : build, &host,
                               yoi_sdk_error_init(&e));
  if (st != YOI_OK) print_message("%s (%s)\n", e.message, e.private_detail);
  assert_int_equal(st, YOI_OK);
  return host;
}

static struct yoi_embed *started(const char *json) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = host_of(json);
  yoi_status st = yoi_host_start(host, yoi_sdk_error_init(&e));
  if (st != YOI_OK) print_message("%s (%s)\n", e.message, e.private_detail);
  assert_int_equal(st, YOI_OK);
  return host;
}

static yoi_request request_of(uint32_t op) {
  return (yoi_request){.size = sizeof(yoi_request), .op = op};
}

static void sync_works(const char *json) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = started(json);
  yoi_request r = request_of(YOI_OP_RUNTIME_DESCRIBE);
  char *text = NULL;
  size_t len = 0;
  assert_int_equal(yoi_call_sync(host, YOI_LIT("a"), &r, &text, &len, yoi_sdk_error_init(&e)),
                   YOI_OK);
  assert_non_null(strstr(text, "{\"runtime\":{\"display_name\":\"Null\""));
  assert_int_equal(len, strlen(text));
  yoi_free(text);
  yoi_host_free(host);
}

static void test_sync_threads(void **state) {
  (void)state;
  sync_works(NULL_CONFIG(""));
}

static void test_sync_step(void **state) {
  (void)state;
  sync_works(NULL_CONFIG(",\"step\":true"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sync_threads),
      cmocka_unit_test(test_sync_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
