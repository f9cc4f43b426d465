/* test_engine_expire.c - stopped workers that their store keeps no longer. */
#include "runtimes/engine/worker.h"
#include "support/history.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define STOP YOI_OP_WORKER_STOP

static uint64_t epoch_of(struct rig *r, const char *id) {
  struct eng_worker *w = eng_find(r->self, yoi_sdk_str(id));
  assert_non_null(w);
  uint64_t epoch = w->epoch;
  eng_worker_unref(w);
  return epoch;
}

/* The store names it, and the engine has asked. */
static void expire(struct rig *r, const char *id, uint64_t epoch) {
  eng_vault_expire(r->vault, id, epoch);
  fake_host_advance(r->fh, 1000);
  rig_settle(r);
}

/* The engine asks its store from here on. */
static void begin(struct rig *r) {
  rig_crash(r);
  eng_vault_expires(r->vault);
  rig_begin_again(r);
}

static uint64_t expired(struct rig *r) {
  return fake_metric(r->fh, "yoi_workers_expired_total", "");
}

static void make_stopped(struct rig *r) {
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_ok(r, STOP, "a", "");
}

static void a_stopped_worker_goes_and_its_id_is_free(void **state) {
  struct rig *r = *state;
  begin(r);
  make_stopped(r);
  uint64_t first = epoch_of(r, "a");
  assert_true(rig_sleep_one(r, "a"));
  expire(r, "a", first);
  assert_int_equal(expired(r), 1);
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
  make_stopped(r);
  assert_int_not_equal(epoch_of(r, "a"), first);
  expire(r, "a", first); /* another one is meant */
  rig_ok(r, GET, "a", "");
  assert_int_equal(expired(r), 1);
  rig_restart(r);
  expire(r, "a", epoch_of(r, "a"));
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
  rig_restart(r);
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
}

static void who_watches_is_told(void **state) {
  struct rig *r = *state;
  struct ear e;
  begin(r);
  make_stopped(r);
  ear_open(&e, r, "a", NULL);
  ear_settle(&e);
  expire(r, "a", epoch_of(r, "a"));
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot end");
  assert_true(ear_has(&e, "\"reason\":\"worker_deleted\""));
  ear_close(&e);
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
}

static void one_that_is_not_stopped_stays(void **state) {
  struct rig *r = *state;
  begin(r);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  expire(r, "a", epoch_of(r, "a"));
  rig_ok(r, GET, "a", "");
  expire(r, "none", 1);
  rig_ok(r, STOP, "a", "");
  uint64_t epoch = epoch_of(r, "a");
  rig_crash(r);
  eng_vault_damage(r->vault, "a", 2);
  rig_begin_again(r);
  expire(r, "a", epoch);
  rig_ok(r, GET, "a", "");
  assert_true(rig_has(r, "\"corrupt\""));
  assert_int_equal(expired(r), 0);
}

static void one_that_cannot_be_removed_is_named_again(void **state) {
  struct rig *r = *state;
  begin(r);
  make_stopped(r);
  eng_store_mem_fail(r->store, 1, 1);
  expire(r, "a", epoch_of(r, "a"));
  rig_ok(r, GET, "a", "");
  assert_int_equal(expired(r), 0);
  expire(r, "a", epoch_of(r, "a"));
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
  assert_int_equal(expired(r), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_VAULT_TESTS(a_stopped_worker_goes_and_its_id_is_free),
      RIG_VAULT_TESTS(who_watches_is_told),
      RIG_VAULT_TESTS(one_that_is_not_stopped_stays),
      RIG_VAULT_TESTS(one_that_cannot_be_removed_is_named_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
