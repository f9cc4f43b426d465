/* The application's heap, a program of its own since it is chosen once: all of the
 * library's memory is in it, and a thousand hosts leave no byte, descriptor or
 * thread. */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <sdk/stream.h>
#include <yoi.h>
#include <yoi/runtime.h>

#include "support/files.h"

/* A sanitizer's build is slower by far, and looks at each of fewer hosts more closely. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOSTS 100
#else
#define HOSTS 1000
#endif
#define WARM_UP 20 /* what is made once per process, and kept by libc for later */
#define SMALLEST 24

/* ---- a heap that counts --------------------------------------------------- */

struct head {
  _Alignas(16) uint64_t mark;
  uint64_t n;
};

struct heap {
  _Atomic int64_t bytes, blocks, made;
};

static struct heap heap; /* process-wide, as what is chosen */

#define MARK 0x0A110CA7EDu

static void *take(void *ctx, size_t n) {
  struct heap *h = ctx;
  assert_true(n > 0);
  struct head *b = malloc(sizeof *b + n);
  if (b == NULL) return NULL;
  *b = (struct head){.mark = MARK, .n = n};
  memset(b + 1, 0xA5, n);
  atomic_fetch_add(&h->bytes, (int64_t)n);
  atomic_fetch_add(&h->blocks, 1);
  atomic_fetch_add(&h->made, 1);
  return b + 1;
}

static void give(void *ctx, void *p) {
  struct heap *h = ctx;
  assert_non_null(p);
  struct head *b = (struct head *)p - 1;
  assert_int_equal(b->mark, MARK); /* ours, and not given back before */
  b->mark = 0;
  atomic_fetch_sub(&h->bytes, (int64_t)b->n);
  atomic_fetch_sub(&h->blocks, 1);
  free(b);
}

static void *resize(void *ctx, void *p, size_t n) {
  const struct head *b = (struct head *)p - 1;
  assert_non_null(p);
  void *moved = take(ctx, n);
  if (moved == NULL) return NULL;
  memcpy(moved, p, b->n < n ? b->n : n);
  give(ctx, p);
  return moved;
}

static const yoi_allocator counting = {.size = sizeof counting,
                                       .ctx = &heap,
                                       .allocate = take,
                                       .resize = resize,
                                       .release = give};

/* ---- a runtime of the application ------------------------------------------- */

static yoi_status own_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)host, (void)config, (void)out_self, (void)err;
  return YOI_OK;
}

static void own_close(void *self) {
  (void)self;
}

static yoi_status own_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  (void)self, (void)req;
  *out = yoi_sdk_stream_one(YOI_LIT("{\"own\":true}"), 0);
  return *out == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
}

static const yoi_runtime own_table = {.size = sizeof own_table,
                                      .thread_model = YOI_PARALLEL,
                                      .open = own_open,
                                      .close = own_close,
                                      .start = own_start};

static const yoi_linked_plugin own = {
    .size = sizeof own,
    .manifest = "{ \"manifest\": \"yoi.plugin/1\", \"id\": \"com.example.own\","
                "  \"kind\": \"runtime\", \"version\": \"1.0.0\", \"abi\": 1,"
                "  \"interfaces\": [\"yoi.runtime/1\"], \"threads\": \"parallel\","
                "  \"config\": { \"type\": \"object\" } }",
    .table = &own_table};

/* ---- what is left behind ----------------------------------------------------- */

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  (void)err;
  if (ev == NULL) *(yoi_status *)ctx = st;
}

/* Made, started, asked in both ways, a call left in flight, drained or not, freed. */
static void live_once(const char *json, const char *base, const char *id, int drain) {
  static const yoi_linked_plugin *const rows[] = {&own};
  const yoi_host_options o = {.size = sizeof o, .plugins = rows, .n_plugins = 1, .base_dir = base};
  yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  yoi_status ended = YOI_OK;
  char *text = NULL;
  if (yoi_host_new_with(json, strlen(json), &o, &host, yoi_sdk_error_init(&e)) != YOI_OK ||
      yoi_host_start(host, &e.e) != YOI_OK ||
      yoi_call_sync(host, yoi_sdk_str(id), &r, &text, NULL, &e.e) != YOI_OK ||
      yoi_call(host, yoi_sdk_str(id), &r, on_event, &ended, NULL, &e.e) != YOI_OK)
    fail_msg("%s (%s)", e.message, e.private_detail);
  yoi_free(text);
  if (drain) assert_int_equal(yoi_host_drain(host, 5000, NULL), YOI_OK);
  yoi_host_free(host);
  assert_true(ended == YOI_END || ended == YOI_CANCELLED);
}

static void a_thousand(const char *json, const char *base, const char *id) {
  for (int i = 0; i < WARM_UP; i++) live_once(json, base, id, i & 1);
  int fds = files_count("/proc/self/fd"), tasks = files_count("/proc/self/task");
  int64_t bytes = heap.bytes, blocks = heap.blocks, made = heap.made;
  struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < HOSTS; i++) live_once(json, base, id, i & 1);
  struct mallinfo2 after = mallinfo2();
  assert_int_equal(heap.blocks, blocks);
  assert_int_equal(heap.bytes, bytes);
  assert_true(heap.made > made + HOSTS);
  assert_int_equal(files_count("/proc/self/fd"), fds);
  assert_int_equal(files_count("/proc/self/task"), tasks);
  /* What cJSON, libcrypto and plugins have of libc, which counts the blocks that a
   * thread keeps for itself as used: below the smallest block per host. */
  assert_true(after.uordblks < before.uordblks + HOSTS * SMALLEST);
}

/* ---- the tests, in this order ------------------------------------------------- */

static void it_is_checked(void **state) {
  (void)state;
  yoi_allocator a = counting;
  struct yoi_sdk_error e;
  a.resize = NULL;
  assert_int_equal(yoi_use_allocator(&a, yoi_sdk_error_init(&e)), YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "a function is missing"));
  a = counting;
  a.size = offsetof(yoi_allocator, release); /* an older one has none */
  assert_int_equal(yoi_use_allocator(&a, NULL), YOI_INVALID_ARGUMENT);
  a.size = 0;
  assert_int_equal(yoi_use_allocator(&a, NULL), YOI_INVALID_ARGUMENT);
  a = counting;
  a.reserved = 1;
  assert_int_equal(yoi_use_allocator(&a, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_use_allocator(NULL, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_use_allocator(&counting, NULL), YOI_OK);
  assert_int_equal(heap.made, 0);
}

static void everything_comes_back(void **state) {
  (void)state;
  char *text = NULL;
  live_once("{\"step\":true,\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\","
            "\"plugin\":\"com.example.own\"}]}",
            NULL, "r", 1);
  assert_int_equal(heap.blocks, 0); /* nothing at all */
  assert_int_equal(heap.bytes, 0);
  assert_true(heap.made > 100);
  assert_int_equal(yoi_default_config(&text, NULL, NULL), YOI_OK);
  assert_int_equal(heap.blocks, 1); /* what the application is given is of its heap */
  yoi_free(text);
  assert_int_equal(heap.blocks, 0);
}

static void a_thousand_hosts_in_step_mode(void **state) {
  (void)state;
  a_thousand("{\"step\":true,\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\","
             "\"plugin\":\"com.example.own\"}]}",
             NULL, "r");
  assert_int_equal(heap.blocks, 0);
}

static void a_thousand_hosts_with_threads(void **state) {
  (void)state;
  a_thousand("{\"loops\":2,\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\","
             "\"plugin\":\"com.example.own\"}]}",
             NULL, "r");
  assert_int_equal(heap.blocks, 0);
}

/* Of a file: its code stays mapped, which is noted once. */
static void a_thousand_hosts_with_a_file(void **state) {
  (void)state;
  const char *build = getenv("YOI_BUILD");
  a_thousand("{\"loops\":2,\"log\":{\"level\":\"error\"},\"plugin_path\":[\"tests/plugins\"],"
             "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.null\"}]}",
             build == NULL ? "build" : build, "r");
}

static void it_is_chosen_once(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  assert_int_equal(yoi_use_allocator(&counting, yoi_sdk_error_init(&e)), YOI_FAILED_PRECONDITION);
  assert_non_null(strstr(e.message, "chosen once"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_is_checked),
      cmocka_unit_test(everything_comes_back),
      cmocka_unit_test(a_thousand_hosts_in_step_mode),
      cmocka_unit_test(a_thousand_hosts_with_threads),
      cmocka_unit_test(a_thousand_hosts_with_a_file),
      cmocka_unit_test(it_is_chosen_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
