/* What a call was given: read whole or not at all, its handle good for its own
 * instance and until it is closed, also while other threads open and close. */
#include "host/given.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>

#include "support/host_fixture.h"

struct tools {
  struct host_fixture f;
  struct yoi__mount mounts[2];
  struct yoi__network networks[1];
  struct yoi__plugin plugin;
  struct yoi__instance a, b; /* two that want the same */
};

static int setup(void **state) {
  static struct tools t; /* process-wide: a test at a time */
  memset(&t, 0, sizeof t);
  host_fixture_init(&t.f, 1);
  t.mounts[0] = (struct yoi__mount){YOI_LIT("ro"), -1, 0};
  t.mounts[1] = (struct yoi__mount){YOI_LIT("rw"), -1, 1};
  t.networks[0] = (struct yoi__network){YOI_LIT("docs"), NULL, 0};
  t.f.config.local = (struct yoi__local){
      .mounts = t.mounts, .n_mounts = 2, .networks = t.networks, .n_networks = 1};
  t.plugin.manifest.kind = YOI_KIND_TOOL;
  t.plugin.manifest.id = YOI_LIT("org.example.t");
  t.plugin.manifest.n_grants = 2;
  t.plugin.manifest.grants[0] = YOI_LIT("mount:*");
  t.plugin.manifest.grants[1] = YOI_LIT("net:docs");
  assert_int_equal(yoi__host_of(&t.f.config, &t.f.host, NULL), YOI_OK);
  t.a.top = t.b.top = t.f.host;
  t.a.plugin = t.b.plugin = &t.plugin;
  *state = &t;
  return 0;
}

static int teardown(void **state) {
  struct tools *t = *state;
  t->f.config.local = (struct yoi__local){0};
  host_fixture_stop(&t->f);
  return 0;
}

static uint64_t begin(struct tools *t, struct yoi__instance *in, const char *grants) {
  uint64_t call = 0;
  struct yoi_sdk_error e;
  yoi_status st =
      yoi__given_open(t->f.host->setup, in, yoi_sdk_str(grants), &call, yoi_sdk_error_init(&e));
  if (st != YOI_OK) fail_msg("%s", e.message);
  assert_int_not_equal(call, 0);
  return call;
}

/* What is looked at is a copy. */
static yoi_status look(struct tools *t, const struct yoi__instance *in, uint64_t call,
                       struct yoi__given_list *l, yoi_error *err) {
  yoi_status st = yoi__given_get(t->f.host, in, call, l, err);
  assert_true((st == YOI_OK) == (l->setup != NULL));
  yoi__setup_give(l->setup);
  return st;
}

static void a_call_has_what_it_was_given(void **state) {
  struct tools *t = *state;
  struct yoi__given_list l;
  uint64_t call = begin(t, &t->a, "[\"mount:ro:ro\", \"net\\u003adocs\",\"mount:rw:rw\"]");
  assert_int_equal(look(t, &t->a, call, &l, NULL), YOI_OK);
  assert_int_equal(l.n, 3);
  assert_true(yoi_sdk_str_is(l.texts[0], "mount:ro:ro"));
  assert_true(yoi_sdk_str_is(l.texts[1], "net:docs"));
  assert_true(yoi_sdk_str_is(l.texts[2], "mount:rw:rw"));
  assert_true(l.grants[2].writable && yoi_sdk_str_is(l.grants[2].name, "rw"));
  static const struct {
    struct yoi_sdk_grant grant;
    yoi_status st;
  } cases[] = {
      {{YOI_SDK_GRANT_MOUNT, 0, {"ro", 2}}, YOI_OK},
      {{YOI_SDK_GRANT_MOUNT, 1, {"ro", 2}}, YOI_PERMISSION_DENIED},
      {{YOI_SDK_GRANT_MOUNT, 0, {"rw", 2}}, YOI_OK},
      {{YOI_SDK_GRANT_MOUNT, 1, {"rw", 2}}, YOI_OK},
      {{YOI_SDK_GRANT_MOUNT, 0, {"r", 1}}, YOI_PERMISSION_DENIED},
      {{YOI_SDK_GRANT_NET, 0, {"docs", 4}}, YOI_OK},
      {{YOI_SDK_GRANT_SHELL, 0, {"docs", 4}}, YOI_PERMISSION_DENIED},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(yoi__given_has(t->f.host, &t->a, call, &cases[i].grant, NULL, NULL),
                     cases[i].st);
  yoi__given_close(t->f.host, call);
  for (int i = 0; i < 2; i++) {
    call = begin(t, &t->a, i == 0 ? "" : "[]");
    assert_int_equal(look(t, &t->a, call, &l, NULL), YOI_OK);
    assert_int_equal(l.n, 0);
    assert_int_equal(yoi__given_has(t->f.host, &t->a, call, &cases[0].grant, NULL, NULL),
                     YOI_PERMISSION_DENIED);
    yoi__given_close(t->f.host, call);
  }
}

static void it_is_asked_again_at_each_use(void **state) {
  struct tools *t = *state;
  const struct yoi_sdk_grant read = {YOI_SDK_GRANT_MOUNT, 0, {"rw", 2}};
  const struct yoi_sdk_grant write = {YOI_SDK_GRANT_MOUNT, 1, {"rw", 2}};
  struct yoi_sdk_error e;
  uint64_t call = begin(t, &t->a, "[\"mount:rw:rw\"]");
  t->mounts[1].writable = 0;
  assert_int_equal(yoi__given_has(t->f.host, &t->a, call, &read, NULL, NULL), YOI_OK);
  assert_int_equal(yoi__given_has(t->f.host, &t->a, call, &write, NULL, yoi_sdk_error_init(&e)),
                   YOI_PERMISSION_DENIED);
  assert_non_null(strstr(e.message, "for reading only"));
  t->f.config.local.n_mounts = 1;
  assert_int_equal(yoi__given_has(t->f.host, &t->a, call, &read, NULL, yoi_sdk_error_init(&e)),
                   YOI_PERMISSION_DENIED);
  assert_non_null(strstr(e.message, "this host has no grant 'mount:rw:ro'"));
  yoi__given_close(t->f.host, call);
}

/* Its end may come while another thread still opens what it asked for. */
static void what_was_found_outlives_the_call(void **state) {
  struct tools *t = *state;
  const struct yoi_sdk_grant read = {YOI_SDK_GRANT_MOUNT, 0, {"rw", 2}};
  const struct yoi_sdk_grant other = {YOI_SDK_GRANT_MOUNT, 0, {"no", 2}};
  struct yoi__setup *s = t->f.host->setup, *found = NULL;
  uint64_t refs = atomic_load(&s->refs);
  struct yoi__given_list l;
  uint64_t call = begin(t, &t->a, "[\"mount:rw:rw\"]");
  assert_int_equal(yoi__given_get(t->f.host, &t->a, call, &l, NULL), YOI_OK);
  assert_int_equal(yoi__given_has(t->f.host, &t->a, call, &read, &found, NULL), YOI_OK);
  assert_ptr_equal(l.setup, s);
  assert_ptr_equal(found, s);
  yoi__given_close(t->f.host, call);
  assert_int_equal(atomic_load(&s->refs), refs + 2);
  yoi__setup_give(l.setup);
  yoi__setup_give(found);
  assert_int_equal(atomic_load(&s->refs), refs);
  call = begin(t, &t->a, "[\"mount:rw:rw\"]");
  assert_int_equal(yoi__given_has(t->f.host, &t->a, call, &other, &found, NULL),
                   YOI_PERMISSION_DENIED);
  assert_null(found);
  yoi__given_close(t->f.host, call);
  assert_int_equal(atomic_load(&s->refs), refs);
}

static void a_handle_is_good_for_its_own_call_only(void **state) {
  struct tools *t = *state;
  struct yoi__given_list l;
  struct yoi_sdk_error e;
  uint64_t call = begin(t, &t->a, "[\"mount:ro:ro\"]"), next, calls[40];
  assert_int_equal(look(t, &t->b, call, &l, yoi_sdk_error_init(&e)),
                   YOI_NOT_FOUND);
  assert_int_equal(e.e.code, YOI_CODE_NOT_FOUND);
  assert_int_equal(l.n, 0);
  static const uint64_t none[] = {0, 1, UINT64_MAX, 1ull << 20 | 999, 2ull << 20};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    assert_int_equal(look(t, &t->a, none[i], &l, NULL), YOI_NOT_FOUND);
    yoi__given_close(t->f.host, none[i]);
  }
  assert_int_equal(look(t, &t->a, call, &l, NULL), YOI_OK);
  yoi__given_close(t->f.host, call);
  yoi__given_close(t->f.host, call);
  next = begin(t, &t->a, "");
  assert_int_equal(look(t, &t->a, call, &l, NULL), YOI_NOT_FOUND);
  yoi__given_close(t->f.host, call); /* not the one that has its place now */
  assert_int_equal(look(t, &t->a, next, &l, NULL), YOI_OK);
  yoi__given_close(t->f.host, next);
  for (size_t i = 0; i < 40; i++) {
    calls[i] = begin(t, i % 2 == 0 ? &t->a : &t->b, "[\"net:docs\"]");
    for (size_t k = 0; k < i; k++) assert_int_not_equal(calls[i], calls[k]);
  }
  for (size_t i = 0; i < 40; i++) {
    assert_int_equal(look(t, i % 2 == 0 ? &t->a : &t->b, calls[i], &l, NULL),
                     YOI_OK);
    assert_int_equal(l.n, 1);
    yoi__given_close(t->f.host, calls[i]);
  }
  (void)begin(t, &t->a, "[\"net:docs\"]"); /* one that is never closed goes with the host */
}

static void a_list_is_taken_whole_or_not_at_all(void **state) {
  struct tools *t = *state;
  static const struct {
    const char *grants;
    yoi_status st;
    const char *part;
  } cases[] = {
      {"{}", YOI_INVALID_ARGUMENT, "expected an array"},
      {"\"mount:ro:ro\"", YOI_INVALID_ARGUMENT, "expected an array"},
      {"[", YOI_INVALID_ARGUMENT, "no valid JSON"},
      {"[] []", YOI_INVALID_ARGUMENT, "no valid JSON"},
      {"[1]", YOI_INVALID_ARGUMENT, "expected a string"},
      {"[\"mount:ro:ro\",\"mount:*\"]", YOI_INVALID_ARGUMENT, "'mount:*' is no grant"},
      {"[\"mount:ro:ro\",\"mount:ro\"]", YOI_INVALID_ARGUMENT, "'mount:NAME:ro'"},
      {"[\"mount:ro:ro\",\"mount:ro:rw\"]", YOI_PERMISSION_DENIED, "for reading only"},
      {"[\"mount:none:ro\"]", YOI_PERMISSION_DENIED, "no grant 'mount:none:ro'"},
      {"[\"net:other\"]", YOI_PERMISSION_DENIED, "does not want the grant 'net:other'"},
      {"[\"model:main\"]", YOI_PERMISSION_DENIED, "does not want the grant 'model:main'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t call = 7;
    struct yoi_sdk_error e, again;
    yoi_str grants = yoi_sdk_str(cases[i].grants);
    yoi_status st = yoi__given_open(t->f.host->setup, &t->a, grants, &call, yoi_sdk_error_init(&e));
    if (st != cases[i].st || strstr(e.message, cases[i].part) == NULL)
      fail_msg("'%s': %d, %s", cases[i].grants, st, e.message);
    assert_int_equal(call, 0);
    st = yoi__given_check(t->f.host->setup, &t->plugin, grants, yoi_sdk_error_init(&again));
    assert_int_equal(st, cases[i].st);
    assert_string_equal(again.message, e.message);
  }
  assert_int_equal(yoi__given_check(t->f.host->setup, &t->plugin, YOI_LIT("[\"net:docs\"]"), NULL),
                   YOI_OK);
  assert_int_equal(yoi__given_check(t->f.host->setup, &t->plugin, (yoi_str){NULL, 0}, NULL),
                   YOI_OK);
}

static void a_call_has_at_most_16_each_as_long_as_may_be(void **state) {
  struct tools *t = *state;
  char text[YOI_TOOL_GRANTS_MAX * (YOI_GRANT_MAX + 4)], name[YOI_NAME_MAX + 1];
  struct yoi__given_list l;
  uint64_t call = 0;
  memset(name, 'n', YOI_NAME_MAX);
  name[YOI_NAME_MAX] = '\0';
  t->mounts[0].name = yoi_sdk_str(name);
  for (int n = YOI_TOOL_GRANTS_MAX; n <= YOI_TOOL_GRANTS_MAX + 1; n++) {
    size_t at = 0;
    for (int i = 0; i < n; i++)
      at += (size_t)snprintf(text + at, sizeof text - at, "%c\"mount:%s:ro\"", i == 0 ? '[' : ',',
                             name);
    snprintf(text + at, sizeof text - at, "]");
    yoi_status st = yoi__given_open(t->f.host->setup, &t->a, yoi_sdk_str(text), &call, NULL);
    assert_int_equal(st, n == YOI_TOOL_GRANTS_MAX ? YOI_OK : YOI_INVALID_ARGUMENT);
    if (st != YOI_OK) continue;
    assert_int_equal(look(t, &t->a, call, &l, NULL), YOI_OK);
    assert_int_equal(l.n, YOI_TOOL_GRANTS_MAX);
    assert_true(yoi_sdk_str_is(l.grants[YOI_TOOL_GRANTS_MAX - 1].name, name));
    yoi__given_close(t->f.host, call);
  }
}

static void memory_that_is_short_is_said(void **state) {
  struct tools *t = *state;
  for (uint64_t n = 1;; n++) {
    uint64_t call = 7;
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st =
        yoi__given_open(t->f.host->setup, &t->a, YOI_LIT("[\"net:docs\"]"), &call, NULL);
    (void)yoi_sdk_mem_fail_at(0);
    if (st == YOI_OK) {
      assert_true(n > 2);
      break;
    }
    assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
    assert_int_equal(call, 0);
  }
}

#define THREADS 4
#define ROUNDS 3000

static void *open_and_close(void *ctx) {
  struct tools *t = ctx;
  const struct yoi_sdk_grant docs = {YOI_SDK_GRANT_NET, 0, {"docs", 4}};
  uint64_t old = 0;
  for (int i = 0; i < ROUNDS; i++) {
    struct yoi__given_list l;
    uint64_t call = 0;
    if (yoi__given_open(t->f.host->setup, &t->a, YOI_LIT("[\"net:docs\"]"), &call, NULL) !=
            YOI_OK ||
        yoi__given_has(t->f.host, &t->a, call, &docs, NULL, NULL) != YOI_OK ||
        look(t, &t->b, call, &l, NULL) != YOI_NOT_FOUND ||
        look(t, &t->a, old, &l, NULL) != YOI_NOT_FOUND)
      return t;
    yoi__given_close(t->f.host, call);
    old = call;
  }
  return NULL;
}

static void calls_come_and_go_on_all_threads(void **state) {
  struct tools *t = *state;
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, t), 0);
  for (int i = 0; i < THREADS; i++) {
    void *failed = t;
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    assert_null(failed);
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_call_has_what_it_was_given),
      TEST(it_is_asked_again_at_each_use),
      TEST(what_was_found_outlives_the_call),
      TEST(a_handle_is_good_for_its_own_call_only),
      TEST(a_list_is_taken_whole_or_not_at_all),
      TEST(a_call_has_at_most_16_each_as_long_as_may_be),
      TEST(memory_that_is_short_is_said),
      TEST(calls_come_and_go_on_all_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
