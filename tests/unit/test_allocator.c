/* The application's heap, a program of its own since it is chosen once: all of the
 * library's memory is in it, and a thousand hosts leave no byte, descriptor or
 * thread. */
#include <errno.h>
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

/* What a test has the heap do. */
static _Atomic int64_t short_from, short_to; /* numbers of blocks that there is no memory for */
static _Atomic(struct yoi_embed *) woken_at_free; /* a host that is woken when memory is freed */
static _Atomic uint32_t wakes_failed;

#define MARK 0x0A110CA7EDu

static void *take(void *ctx, size_t n) {
  struct heap *h = ctx;
  assert_true(n > 0);
  int64_t number = atomic_fetch_add(&h->made, 1);
  if (number >= short_from && number < short_to) return NULL;
  struct head *b = malloc(sizeof *b + n);
  if (b == NULL) return NULL;
  *b = (struct head){.mark = MARK, .n = n};
  memset(b + 1, 0xA5, n);
  atomic_fetch_add(&h->bytes, (int64_t)n);
  atomic_fetch_add(&h->blocks, 1);
  return b + 1;
}

static void give(void *ctx, void *p) {
  struct heap *h = ctx;
  assert_non_null(p);
  struct head *b = (struct head *)p - 1;
  assert_int_equal(b->mark, MARK); /* ours, and not given back before */
  b->mark = 0;
  memset(p, 0xDD, b->n);
  atomic_fetch_sub(&h->bytes, (int64_t)b->n);
  atomic_fetch_sub(&h->blocks, 1);
  free(b);
  struct yoi_embed *host = woken_at_free;
  if (host == NULL) return;
  errno = 0;
  yoi_host_wakeup(host);
  wakes_failed += errno != 0;
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
  assert_true(files_threads_at_most(tasks));
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

/* ---- a start that fails --------------------------------------------------------- */

static int may_open; /* what open_if says */

static yoi_status open_if(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)host, (void)config, (void)out_self;
  return may_open ? YOI_OK : yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "not now");
}

static const yoi_runtime if_table = {.size = sizeof if_table,
                                     .thread_model = YOI_PARALLEL,
                                     .open = open_if,
                                     .close = own_close,
                                     .start = own_start};

static struct yoi_embed *host_if(int step, int opens) {
  static yoi_linked_plugin row;
  static const yoi_linked_plugin *const rows[] = {&row};
  const yoi_host_options o = {.size = sizeof o, .plugins = rows, .n_plugins = 1};
  const char *json = step ? "{\"step\":true,\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\","
                            "\"plugin\":\"com.example.own\"}]}"
                          : "{\"loops\":2,\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\","
                            "\"plugin\":\"com.example.own\"}]}";
  struct yoi_embed *host = NULL;
  row = own;
  row.table = &if_table;
  may_open = opens;
  assert_int_equal(yoi_host_new_with(json, strlen(json), &o, &host, NULL), YOI_OK);
  return host;
}

/* Another thread, or a signal, may wake at any moment: here at each block that is freed. */
static void a_wakeup_may_come_while_a_start_is_undone(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct yoi_embed *host = host_if(step, 0);
    woken_at_free = host;
    assert_int_equal(yoi_host_start(host, NULL), YOI_UNAVAILABLE);
    assert_int_equal(yoi_host_start(host, NULL), YOI_UNAVAILABLE);
    woken_at_free = NULL;
    assert_int_equal(wakes_failed, 0);
    may_open = 1;
    assert_int_equal(yoi_host_start(host, NULL), YOI_OK);
    yoi_host_free(host);
  }
  assert_int_equal(heap.blocks, 0);
}

/* The host keeps what a wakeup needs: one before the start is not lost. */
static void a_wakeup_before_the_start_ends_the_first_step(void **state) {
  (void)state;
  struct yoi_embed *host = host_if(1, 1);
  yoi_host_wakeup(host);
  assert_int_equal(yoi_host_start(host, NULL), YOI_OK);
  assert_int_equal(yoi_host_step(host, -1, NULL), YOI_OK); /* else it waits for ever */
  yoi_host_free(host);
  assert_int_equal(heap.blocks, 0);
}

/* Two blocks in a row: what undoes a start may need no memory. */
static void a_start_without_memory_is_undone(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    int64_t failed = 0;
    for (int was_short = 1; was_short; failed++) {
      struct yoi_embed *host = host_if(step, 1);
      short_from = heap.made + failed;
      short_to = short_from + 2;
      yoi_status st = yoi_host_start(host, NULL);
      was_short = heap.made > short_from;
      short_from = short_to = 0;
      if (st != YOI_OK) assert_int_equal(yoi_host_start(host, NULL), YOI_OK);
      yoi_host_free(host);
      assert_int_equal(heap.blocks, 0);
      assert_true(failed < 10000);
    }
    assert_true(failed > 10);
  }
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
      cmocka_unit_test(a_wakeup_may_come_while_a_start_is_undone),
      cmocka_unit_test(a_wakeup_before_the_start_ends_the_first_step),
      cmocka_unit_test(a_start_without_memory_is_undone),
      cmocka_unit_test(a_thousand_hosts_with_a_file),
      cmocka_unit_test(it_is_chosen_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
