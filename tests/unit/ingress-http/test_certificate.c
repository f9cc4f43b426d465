/* A certificate that changes while memory is short: what one look could not
 * make, a later one does, at whatever allocation of the library it failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair.h"
#include "plugins/ingress-http/http.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/host_secret.h>

/* ---- the library's memory ------------------------------------------------ */

static uint64_t made, fail_from; /* 0: none fails */

static int short_of(void) { return ++made >= fail_from && fail_from > 0; }

static void *lib_malloc(size_t n, const char *file, int line) {
  (void)file, (void)line;
  return short_of() ? NULL : malloc(n);
}

static void *lib_realloc(void *p, size_t n, const char *file, int line) {
  (void)file, (void)line;
  return short_of() ? NULL : realloc(p, n);
}

static void lib_free(void *p, const char *file, int line) {
  (void)file, (void)line;
  free(p);
}

/* ---- the host ------------------------------------------------------------- */

static struct {
  struct pair pair; /* as the host's secrets have it */
  uint64_t generation;
  yoi_loop_fn fn; /* the one timer */
  void *ctx;
  unsigned reloaded, stays, refreshed;
} H;

static yoi_status get(const yoi_host *h, yoi_str name, char *buf, size_t cap, size_t *n,
                      yoi_error *err) {
  const char *text = yoi_sdk_str_is(name, "cert") ? H.pair.certificate : H.pair.key;
  (void)h, (void)err;
  *n = strlen(text);
  assert_true(*n <= cap);
  memcpy(buf, text, *n);
  return YOI_OK;
}
static void refresh(const yoi_host *h) { (void)h, H.refreshed++; }
static uint64_t generation(const yoi_host *h, yoi_str name) {
  return (void)h, (void)name, H.generation;
}
static const yoi_host_secret secrets = {sizeof secrets, 0, get, refresh, generation};

static const void *interface(const yoi_host *h, yoi_str id) {
  (void)h;
  return yoi_sdk_str_is(id, YOI_HOST_SECRET_ID) ? &secrets : NULL;
}

static uint64_t now_ns(const yoi_host *h) { return (void)h, 1000000000u; }
static const yoi_host_clock timepiece = {
    .size = sizeof timepiece, .monotonic_ns = now_ns, .wall_ns = now_ns};

static yoi_status timer(const yoi_host *h, uint64_t at, yoi_loop_fn fn, void *ctx, uint64_t *out) {
  (void)h, (void)at;
  H.fn = fn;
  H.ctx = ctx;
  *out = 1;
  return YOI_OK;
}
static const yoi_host_loop loops_of = {.size = sizeof loops_of, .timer = timer};

static uint32_t enabled(const yoi_host *h, uint32_t level) { return (void)h, (void)level, 1; }
static void write_log(const yoi_host *h, uint32_t level, yoi_str msg, yoi_str id,
                      const yoi_log_field *f, size_t n) {
  (void)h, (void)level, (void)id, (void)f, (void)n;
  H.reloaded += (unsigned)yoi_sdk_str_is(msg, "certificate reloaded");
  H.stays += (unsigned)yoi_sdk_str_is(msg, "certificate stays as it was");
}
static const yoi_host_log log_table = {sizeof log_table, 0, enabled, write_log};

static void issue(void) {
  pair_issue(&H.pair);
  H.generation++;
}

/* The files are read again, and what came of it is looked at. */
static void look_once(void) {
  unsigned before = H.refreshed;
  while (H.refreshed == before) H.fn(H.ctx);
  H.fn(H.ctx);
}

static void a_new_certificate_is_not_lost_when_memory_is_short(void **state) {
  static struct http_loop loop;
  static struct http_instance in;
  static const yoi_host host = {.size = sizeof host, .get_interface = interface};
  struct yoi_sdk_error err;
  yoi_sdk_json *config = NULL;
  uint64_t needed = 1;
  (void)state;
  in = (struct http_instance){.host = &host, .loops_of = &loops_of, .clock = &timepiece,
                              .log = &log_table, .n_loops = 1, .loops = &loop};
  loop.in = &in;
  issue();
  yoi_str text = YOI_LIT("{\"tls\":{\"certificate\":\"secret:cert\",\"key\":\"secret:key\"}}");
  assert_int_equal(yoi_sdk_json_parse(text, 0, &config, NULL), YOI_OK);
  assert_int_equal(http_certificate_open(&in, config, yoi_sdk_error_init(&err)), YOI_OK);
  http_certificate_watch(&loop);
  for (uint64_t from = 1; from <= needed; from += 1 + needed / 100) {
    struct ssl_ctx_st *shown = in.tls.ctx;
    issue();
    H.stays = H.reloaded = 0;
    made = 0;
    fail_from = from;
    look_once();
    if (H.reloaded == 0) look_once();
    fail_from = 0;
    assert_true(H.stays <= 1); /* once per change */
    if (H.reloaded == 0) {
      assert_int_equal(H.stays, 1);
      assert_ptr_equal(in.tls.ctx, shown);
      made = 0;
      look_once();
      needed = made;
    }
    assert_int_equal(H.reloaded, 1);
    look_once();
    assert_int_equal(H.reloaded, 1);
  }
  assert_true(needed > 100);
  http_tls_context_free(atomic_load(&loop.tls_next));
  http_certificate_close(&in);
  yoi_sdk_json_free(config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_new_certificate_is_not_lost_when_memory_is_short),
  };
  if (CRYPTO_set_mem_functions(lib_malloc, lib_realloc, lib_free) != 1) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
