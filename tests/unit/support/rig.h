/* rig.h - an engine on a fake host, for its unit tests.
 *
 * A rig has the memory store, completing at once or late; rig_settle lets
 * everything happen that can. The engine's tests run with both, since the
 * store must change nothing:
 *
 *   RIG_TESTS(name)   the test `name`, at once and late; both again in a
 *                     store that outlives the engine, whose idle workers are
 *                     put to sleep whenever all is settled; and both again
 *                     with an engine that then begins anew if it is idle
 *
 * rig_restart is what kill -9 and a new start are to workers: the engine is
 * closed without a drain and another one is opened over what was stored.
 */
#ifndef RIG_H
#define RIG_H

#include <sdk/error.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <string.h>
#include <yoi/ops.h>
#include <yoi/request.h>

#include "fake_host.h"
#include "runtimes/engine/engine.h"
#include "runtimes/engine/store_mem.h"

/* at once; late: completions come from rig_settle; IN_VAULT: the store outlives
 * the engine; SLEEPY: and what is idle sleeps whenever all is settled;
 * RESTARTS: and once all sleep the engine is another one. */
#define RIG_LATE 1u
#define RIG_IN_VAULT 2u
#define RIG_SLEEPY 4u
#define RIG_RESTARTS 8u

struct rig {
  struct fake_host *fh;
  void *self;
  struct eng_store *store;
  struct eng_vault *vault; /* NULL: the store ends with the engine */
  unsigned mode;
  bool late;
  char *config, *profile, *kind;
  size_t streams;  /* that rig_start gave out, and that are not known to be released */
  size_t slept;    /* how often a worker was put to sleep */
  size_t restarts; /* and how often all began anew */
  uint64_t token;
  struct yoi_sdk_error se;
  yoi_error *err;
  char *text; /* of the last result, NUL-terminated; never NULL */
  uint32_t flags;
};

/* config and profile may be NULL. */
void rig_open(struct rig *r, bool late, const char *config, const char *profile);
/* The same with more of it; state_kind may be NULL. */
void rig_open_as(struct rig *r, unsigned mode, const char *config, const char *profile,
                 const char *state_kind);
/* Over a vault that is there; close frees it. */
void rig_open_over(struct rig *r, struct eng_vault *v);
/* In a vault: closes without a drain, and opens anew over what was stored. */
void rig_restart(struct rig *r);
/* The two halves of it, to do something to the vault in between. */
void rig_crash(struct rig *r);
void rig_begin_again(struct rig *r);
/* Puts every worker to sleep that nobody uses; how many. */
size_t rig_sleep(struct rig *r);
/* The same for this one; 0: it is in use, or sleeps. */
int rig_sleep_one(struct rig *r, const char *worker);
/* Drains nothing: as a host that closes with everything in flight. */
void rig_close(struct rig *r);
void rig_settle(struct rig *r);

/* A unary operation to its end; the text is in r->text. */
yoi_status rig_call(struct rig *r, uint32_t op, const char *worker, const char *body);
/* The same with more: what is set in `more` besides op, worker and body. */
yoi_status rig_call_as(struct rig *r, uint32_t op, const char *worker, const char *body,
                       const yoi_request *more);
/* Starts it only; NULL and r->err when it was refused. */
yoi_stream *rig_start(struct rig *r, uint32_t op, const char *worker, const char *body,
                      const yoi_request *more);
/* Takes a unary stream to its end and releases it. */
yoi_status rig_finish(struct rig *r, yoi_stream *s);
/* Asserts success, and settles. */
void rig_ok(struct rig *r, uint32_t op, const char *worker, const char *body);
/* Asserts that code. */
void rig_refused(struct rig *r, uint32_t op, const char *worker, const char *body, int32_t code);
int rig_has(const struct rig *r, const char *part);
/* The raw value of a member path "a.b" of the last result; static buffer. */
const char *rig_get(const struct rig *r, const char *path);
/* Asserts how the last turn of worker "a" ended, and that nothing is left of it. */
void rig_ended(struct rig *r, const char *want_state, const char *want_reason);

/* Somebody who watches. */
struct ear {
  struct rig *r;
  yoi_stream *s;
  uint64_t token;
  struct yoi_sdk_buf heard; /* "kind text\n" per event */
  char cursor[YOI_CURSOR_MAX + 1];
  size_t events;
  uint32_t flags; /* of the last event */
  yoi_status st;  /* of the last next that gave no event */
};
/* NULL: no cursor; then the snapshot is heard at once. */
void ear_open(struct ear *e, struct rig *r, const char *worker, const char *cursor);
/* Of what there is; without a cursor the snapshot is not waited for. */
void ear_once(struct ear *e, struct rig *r, const char *worker, const char *cursor);
/* An input that is followed. */
void ear_follow(struct ear *e, struct rig *r, const char *worker, const char *body,
                const char *key);
/* Polls until there is nothing; the state is in e->st. */
void ear_listen(struct ear *e);
/* Polls once. */
yoi_status ear_poll(struct ear *e);
/* Lets everything happen and listens, again and again, until all is quiet. */
void ear_settle(struct ear *e);
void ear_close(struct ear *e);
int ear_has(const struct ear *e, const char *part);
/* How often `part` was heard. */
size_t ear_count(const struct ear *e, const char *part);
/* The kinds heard, separated by blanks; static buffer. */
const char *ear_kinds(const struct ear *e);
void ear_forget(struct ear *e);

int rig_setup_at_once(void **state);
int rig_setup_late(void **state);
int rig_setup_sleepy(void **state);
int rig_setup_sleepy_late(void **state);
int rig_setup_restarts(void **state);
int rig_setup_restarts_late(void **state);
int rig_setup_vault(void **state);
int rig_setup_vault_late(void **state);
int rig_teardown(void **state);
#define RIG_TEST(f, how, setup) \
  { #f " (" how ")", f, setup, rig_teardown, NULL }
#define RIG_TESTS(f)                                                                               \
  RIG_TEST(f, "at once", rig_setup_at_once), RIG_TEST(f, "late", rig_setup_late),                  \
      RIG_TEST(f, "sleepy", rig_setup_sleepy), RIG_TEST(f, "sleepy, late", rig_setup_sleepy_late), \
      RIG_TEST(f, "restarts", rig_setup_restarts),                                                 \
      RIG_TEST(f, "restarts, late", rig_setup_restarts_late)
/* For those that say themselves which allocation fails. */
#define RIG_TESTS_OF_MEMORY(f)                                                    \
  RIG_TEST(f, "at once", rig_setup_at_once), RIG_TEST(f, "late", rig_setup_late), \
      RIG_TEST(f, "sleepy", rig_setup_sleepy), RIG_TEST(f, "sleepy, late", rig_setup_sleepy_late)
/* For tests of restarts. */
#define RIG_VAULT_TESTS(f) \
  RIG_TEST(f, "at once", rig_setup_vault), RIG_TEST(f, "late", rig_setup_vault_late)
/* For tests that need a config or a profile of their own: closes what setup
 * has opened and opens anew, in the same mode. */
void rig_reopen(struct rig *r, const char *config, const char *profile);

#endif
