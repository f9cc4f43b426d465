/* rig.h - an engine on a fake host, for its unit tests.
 *
 * A rig has the memory store, completing at once or late; rig_settle lets
 * everything happen that can. The engine's tests run with both, since the
 * store must change nothing:
 *
 *   RIG_TESTS(name)   the test `name`, at once and late
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

struct rig {
  struct fake_host *fh;
  void *self;
  struct eng_store *store;
  bool late;
  uint64_t token;
  struct yoi_sdk_error se;
  yoi_error *err;
  char *text; /* of the last result, NUL-terminated; never NULL */
  uint32_t flags;
};

/* config and profile may be NULL. */
void rig_open(struct rig *r, bool late, const char *config, const char *profile);
/* The same with another state_kind: the memory store as if it were durable. */
void rig_open_kind(struct rig *r, bool late, const char *state_kind);
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
int rig_teardown(void **state);
#define RIG_TESTS(f)                                             \
  {#f " (at once)", f, rig_setup_at_once, rig_teardown, NULL}, { \
#f " (late)", f, rig_setup_late, rig_teardown, NULL          \
  }
/* For tests that need a config or a profile of their own: closes what setup
 * has opened and opens anew, in the same mode. */
void rig_reopen(struct rig *r, const char *config, const char *profile);

#endif
