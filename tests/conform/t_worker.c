/* t_worker.c - workers of a runtime that can make some: their lives, their inputs,
 * their events.
 *
 * The model behind them is the kit's own (companion.h), so that a turn can be made
 * to wait; behind --url it is whatever is there, and what needs that is a skip.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/loop_impl.h"
#include "life.h"

static char *body_of(const struct life *l, const char *more) {
  return conform_text("{\"worker_id\":\"%s\"%s}", l->id, more);
}

/* ---- lives ------------------------------------------------------------------------- */

static void create(struct conform *c) {
  struct life l = life_begin(c, "worker.get");
  struct call k;
  char *body = body_of(&l, "");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, "", 0, &k);
  const struct call_event *e = call_event(&k, YOI_EVENT_RESULT);
  if (k.error.e.code == YOI_CODE_BUNDLE_REQUIRED) conform_skip(c, "it makes none without a bundle");
  if (!e) conform_fail(c, "a worker", "status %d: %s", k.status, k.error.message);
  if (!life_is(e->text, "worker.worker_id", l.id) || !life_is(e->text, "worker.state", "idle"))
    conform_fail(c, "an idle worker of the given id", "%.400s", e->text);
  if ((e->flags & YOI_EV_CREATED) == 0)
    conform_fail(c, "YOI_EV_CREATED, since it is new", "flags %u", e->flags);
  struct call got = life_op(c, &l, YOI_OP_WORKER_GET, "", "");
  if (!life_is(life_result(&got), "worker.worker_id", l.id))
    conform_fail(c, "the same worker from worker.get", "status %d: %s", got.status,
                 got.error.message);
  free(body);
  life_end(c, &l);
}

static void create_replay(struct conform *c) {
  struct life l = life_begin(c, "");
  struct call a, b, other;
  char *body = body_of(&l, ""), *changed = body_of(&l, ",\"display_name\":\"Other\"");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, l.id, 0, &a);
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, l.id, 0, &b);
  if (!call_event(&a, YOI_EVENT_RESULT)) conform_skip(c, "see worker.create");
  const struct call_event *e = call_event(&b, YOI_EVENT_RESULT);
  if (!e || !life_is(e->text, "worker.worker_id", l.id))
    conform_fail(c, "the same worker once more", "status %d: %s", b.status, b.error.message);
  if (e->flags & YOI_EV_CREATED)
    conform_fail(c, "no YOI_EV_CREATED the second time", "it has that flag");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", changed, l.id, 0, &other);
  life_must_fail(c, &other, YOI_CODE_IDEMPOTENCY_CONFLICT, "another body under the same key");
  free(body);
  free(changed);
  life_end(c, &l);
}

static void create_conflict(struct conform *c) {
  struct life l = life_with_worker(c, "");
  struct call k;
  char *changed = body_of(&l, ",\"display_name\":\"Other\"");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", changed, "", 0, &k);
  life_must_fail(c, &k, YOI_CODE_WORKER_CONFLICT, "the id of another worker");
  free(changed);
  life_end(c, &l);
}

static void unknown(struct conform *c) {
  static const uint32_t ops[] = {YOI_OP_WORKER_GET,    YOI_OP_WORKER_CANCEL,     YOI_OP_WORKER_STOP,
                                 YOI_OP_WORKER_DELETE, YOI_OP_WORKER_TRANSCRIPT,
                                 YOI_OP_WORKER_EVENTS};
  struct life l = life_begin(c, "worker.get worker.cancel worker.stop worker.delete "
                                "worker.transcript worker.events");
  for (size_t n = 0; n < sizeof ops / sizeof *ops; n++) {
    struct call k = life_op(c, &l, ops[n], "", "");
    life_must_fail(c, &k, YOI_CODE_WORKER_NOT_FOUND, yoi_sdk_op_name(ops[n]));
  }
  rig_close(c, &l.i);
}

static void stop(struct conform *c) {
  struct life l = life_with_worker(c, "worker.get worker.stop");
  struct call k = life_op(c, &l, YOI_OP_WORKER_STOP, "", "");
  if (k.status != YOI_END) conform_fail(c, "an ack", "status %d: %s", k.status, k.error.message);
  k = life_op(c, &l, YOI_OP_WORKER_GET, "", "");
  if (!life_is(life_result(&k), "worker.state", "stopped"))
    conform_fail(c, "a stopped worker", "%.300s", life_result(&k));
  k = life_op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"x\"}", "");
  life_must_fail(c, &k, YOI_CODE_WORKER_STOPPED, "input to a stopped worker");
  k = life_op(c, &l, YOI_OP_WORKER_STOP, "", "");
  if (k.status != YOI_END)
    conform_fail(c, "stop may be repeated", "status %d: %s", k.status, k.error.message);
  life_end(c, &l);
}

static void delete(struct conform *c) {
  struct life l = life_with_worker(c, "worker.stop worker.delete worker.transcript");
  struct call k = life_op(c, &l, YOI_OP_WORKER_DELETE, "", "");
  life_must_fail(c, &k, YOI_CODE_WORKER_NOT_STOPPED, "delete of an idle worker");
  (void)life_op(c, &l, YOI_OP_WORKER_STOP, "", "");
  k = life_op(c, &l, YOI_OP_WORKER_DELETE, "", "");
  if (k.status != YOI_END)
    conform_fail(c, "it is deleted", "status %d: %s", k.status, k.error.message);
  k = life_op(c, &l, YOI_OP_WORKER_TRANSCRIPT, "", "");
  life_must_fail(c, &k, YOI_CODE_WORKER_NOT_FOUND, "transcript of a deleted worker");
  free(l.born);
  rig_close(c, &l.i);
}

/* ---- inputs -------------------------------------------------------------------------- */

static void follow(struct conform *c) {
  struct life l = life_with_worker(c, "");
  struct call k = life_say(c, &l, "hello", "");
  if (k.n == 0 || k.events[0].kind != YOI_EVENT_ACK)
    conform_fail(c, "an ACK first", "status %d: %s", k.status, k.error.message);
  if (k.status != YOI_END || k.events[k.n - 1].kind != YOI_EVENT_END)
    conform_fail(c, "`end` last, then END", "status %d, the last event is of kind %u", k.status,
                 k.events[k.n - 1].kind);
  if (!life_is(k.events[k.n - 1].text, "reason", "turn_ended"))
    conform_fail(c, "turn_ended", "%.200s", k.events[k.n - 1].text);
  size_t ended = 0;
  for (size_t n = 0; n < k.n; n++) ended += k.events[n].kind == YOI_EVENT_TURN_ENDED;
  if (ended != 1) conform_fail(c, "one turn.ended", "%zu", ended);
  life_end(c, &l);
}

static void input_replay(struct conform *c) {
  struct life l = life_with_worker(c, "");
  struct call a = life_op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"hello\"}", "once");
  struct call b = life_op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"hello\"}", "once");
  char *turn = life_at(life_result(&a), "ack.turn_id");
  if (!turn) conform_skip(c, "see worker.follow: %s", a.error.message);
  if (!life_is(life_result(&b), "ack.turn_id", turn))
    conform_fail(c, "the ack of the first time", "%.300s, then %.300s", life_result(&a),
                 life_result(&b));
  b = life_op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"other\"}", "once");
  life_must_fail(c, &b, YOI_CODE_IDEMPOTENCY_CONFLICT, "another input under the same key");
  free(turn);
  life_end(c, &l);
}

static void it_is_over(struct conform *c, struct life *l, struct call *k)
    __attribute__((noreturn));

static void it_is_over(struct conform *c, struct life *l, struct call *k) {
  call_release(k);
  life_end(c, l);
  conform_skip(c, "the model behind it does not wait");
}

/* A turn that goes on until it is cancelled; skips when this one does not. */
static void start_waiting(struct conform *c, struct life *l, struct call *k) {
  if (!life_say_until(c, l, "wait", YOI_EVENT_TURN_STARTED, k))
    conform_skip(c, "see worker.follow: %s", k->error.message);
  for (int n = 0; n < 10; n++) rig_pump(c, 2);
  struct call got = life_op(c, l, YOI_OP_WORKER_GET, "", "");
  if (!life_is(life_result(&got), "worker.state", "running")) it_is_over(c, l, k);
}

/* A runtime of before 1.3 has not heard of YOI_REQ_ONCE, and says so. */
static void knows_once(struct conform *c, const struct call *k) {
  if (k->status == YOI_UNIMPLEMENTED) conform_skip(c, "YOI_REQ_ONCE of 1.3 is unknown to it");
}

/* What came behind that cursor. */
static struct call history(struct conform *c, struct life *l, const char *cursor) {
  struct call k;
  char *body = conform_text("{\"cursor\":\"%s\"}", cursor);
  call_op(c, &l->i, YOI_OP_WORKER_EVENTS, l->id, body, "", YOI_REQ_ONCE, &k);
  free(body);
  knows_once(c, &k);
  if (k.status != YOI_END)
    conform_fail(c, "the events from that cursor on, and END", "status %d: %s", k.status,
                 k.error.message);
  return k;
}

/* Skips when the turn has come to its own end, since nothing of it waited. */
static void must_wait(struct conform *c, struct life *l, struct call *k) {
  const struct call_event *e = call_event(k, YOI_EVENT_TURN_ENDED);
  if (c->options->url && e && life_is(e->text, "turn.state", "completed"))
    it_is_over(c, l, k);
}

static void busy(struct conform *c) {
  struct life l = life_with_worker(c, "worker.get worker.cancel");
  struct call k;
  start_waiting(c, &l, &k);
  struct call second = life_op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"x\"}", "");
  if (c->options->url && second.error.e.code != YOI_CODE_WORKER_BUSY) {
    (void)call_until(c, &k, YOI_EVENT_TURN_ENDED, LIFE_MS);
    must_wait(c, &l, &k);
  }
  life_must_fail(c, &second, YOI_CODE_WORKER_BUSY, "input while a turn runs");
  (void)life_op(c, &l, YOI_OP_WORKER_CANCEL, "", "");
  (void)call_finish(c, &k, LIFE_MS);
  call_release(&k);
  life_end(c, &l);
}

static void cancel(struct conform *c) {
  struct life l = life_with_worker(c, "worker.get worker.cancel");
  struct call k;
  start_waiting(c, &l, &k);
  struct call ack = life_op(c, &l, YOI_OP_WORKER_CANCEL, "", "");
  if (c->options->url) {
    (void)call_until(c, &k, YOI_EVENT_TURN_ENDED, LIFE_MS);
    must_wait(c, &l, &k);
  }
  if (ack.status != YOI_END)
    conform_fail(c, "an ack", "status %d: %s", ack.status, ack.error.message);
  if (!call_finish(c, &k, LIFE_MS)) conform_fail(c, "the turn ends", "it goes on");
  const struct call_event *e = call_event(&k, YOI_EVENT_TURN_ENDED);
  if (!e || !life_is(e->text, "turn.state", "cancelled"))
    conform_fail(c, "turn.ended as cancelled", "%.300s", e ? e->text : "none");
  call_release(&k);
  life_end(c, &l);
}

/* Who stops watching stops nothing. */
static void watch_is_no_hold(struct conform *c) {
  struct life l = life_with_worker(c, "worker.get");
  struct call k;
  start_waiting(c, &l, &k);
  k.stream->ops->cancel(k.stream);
  (void)call_finish(c, &k, 2000);
  call_release(&k);
  for (int n = 0; n < 10; n++) rig_pump(c, 2);
  struct call got = life_op(c, &l, YOI_OP_WORKER_GET, "", "");
  int runs = life_is(life_result(&got), "worker.state", "running");
  if (!runs && c->options->url) {
    struct call all = history(c, &l, l.born);
    must_wait(c, &l, &all);
  }
  if (!runs)
    conform_fail(c, "the turn goes on when its watcher is gone", "%.300s", life_result(&got));
  life_end(c, &l);
}

/* ---- events ------------------------------------------------------------------------------ */

static void two_turns(struct conform *c, struct life *l) {
  struct call a = life_say(c, l, "hello", ""), b = life_say(c, l, "long", "");
  if (a.status != YOI_END || b.status != YOI_END) conform_skip(c, "see worker.follow");
}

/* Nothing was compared: behind --url that is the model's matter. */
static void none_to_see(struct conform *c, const char *what) {
  if (c->options->url) conform_skip(c, "there is no %s", what);
  conform_fail(c, what, "none after two turns");
}

/* Each item of the transcript that a message.completed brought, and no other. */
static void transcript(struct conform *c) {
  struct life l = life_with_worker(c, "worker.events worker.transcript");
  two_turns(c, &l);
  struct call all = history(c, &l, l.born), t = life_op(c, &l, YOI_OP_WORKER_TRANSCRIPT, "", "");
  char *items = life_at(life_result(&t), "transcript.items");
  size_t pos = 0, n = 0, compared = 0;
  yoi_str item;
  if (!items) conform_fail(c, "a transcript with items", "%.300s", life_result(&t));
  while (yoi_sdk_json_raw_each(yoi_sdk_str(items), &pos, &item)) {
    if (!yoi_sdk_str_is(yoi_sdk_json_raw_get(item, "role"), "\"assistant\"")) continue;
    while (n < all.n && all.events[n].kind != YOI_EVENT_MESSAGE_COMPLETED) n++;
    yoi_str told = n < all.n ? yoi_sdk_json_raw_get(yoi_sdk_str(all.events[n].text), "item")
                             : (yoi_str){NULL, 0};
    if (!yoi_sdk_str_eq(yoi_sdk_json_raw_get(told, "content"),
                        yoi_sdk_json_raw_get(item, "content")))
      conform_fail(c, "the item that message.completed told of", "%.*s", YOI_ARG(item));
    n++;
    compared++;
  }
  while (n < all.n && all.events[n].kind != YOI_EVENT_MESSAGE_COMPLETED) n++;
  if (n < all.n)
    conform_fail(c, "no message that the transcript lacks", "%.300s", all.events[n].text);
  if (!compared) none_to_see(c, "message of the assistant");
  free(items);
  life_end(c, &l);
}

static void resume(struct conform *c) {
  struct life l = life_with_worker(c, "worker.events");
  two_turns(c, &l);
  struct call all = history(c, &l, l.born);
  size_t places[CALL_EVENTS_MAX], n_places = 0;
  for (size_t n = 0; n + 1 < all.n; n++)
    if (all.events[n].cursor[0]) places[n_places++] = n;
  if (!n_places) none_to_see(c, "event with a cursor");
  for (int round = 0; round < 8; round++) {
    size_t from = places[conform_random(c, n_places)];
    struct call rest = history(c, &l, all.events[from].cursor);
    if (rest.n != all.n - from - 1)
      conform_fail(c, "exactly what came behind that cursor", "%zu events instead of %zu", rest.n,
                   all.n - from - 1);
    for (size_t n = 0; n < rest.n; n++)
      if (rest.events[n].kind != YOI_EVENT_END &&
          strcmp(rest.events[n].text, all.events[from + 1 + n].text) != 0)
        conform_fail(c, "the same events each time", "%.200s", rest.events[n].text);
  }
  life_end(c, &l);
}

static void cursors(struct conform *c) {
  static const char *const odd[] = {"{\"cursor\":\"x\"}", "{\"cursor\":\"../../etc\"}",
                                    "{\"cursor\":\"18446744073709551616\"}", "{\"cursor\":7}"};
  struct life l = life_with_worker(c, "worker.events"), other = l;
  for (size_t n = 0; n < sizeof odd / sizeof *odd; n++) {
    struct call k;
    call_op(c, &l.i, YOI_OP_WORKER_EVENTS, l.id, odd[n], "", YOI_REQ_ONCE, &k);
    knows_once(c, &k);
    if (k.status != YOI_INVALID_ARGUMENT && k.status != YOI_OUT_OF_RANGE)
      conform_fail(c, "invalid_request or cursor_expired", "%s: status %d", odd[n], k.status);
  }
  /* Another worker's cursor is none of this one's. */
  struct call made, k;
  (void)snprintf(other.id, sizeof other.id, "%.40s-2", l.id);
  life_forget(c, &other);
  char *body = body_of(&other, "");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, "", 0, &made);
  other.born = life_at(life_result(&made), "worker.cursor");
  if (other.born) {
    char *foreign = conform_text("{\"cursor\":\"%s\"}", other.born);
    call_op(c, &l.i, YOI_OP_WORKER_EVENTS, l.id, foreign, "", YOI_REQ_ONCE, &k);
    if (k.status != YOI_INVALID_ARGUMENT && k.status != YOI_OUT_OF_RANGE)
      conform_fail(c, "another worker's cursor is refused", "status %d", k.status);
    free(foreign);
    life_forget(c, &other);
  }
  free(body);
  life_end(c, &l);
}

static void watch_deleted(struct conform *c) {
  struct life l = life_with_worker(c, "worker.events worker.stop worker.delete");
  struct call k;
  if (!call_start_op(c, &l.i, YOI_OP_WORKER_EVENTS, l.id, "", "", 0, &k))
    conform_fail(c, "a stream", "status %d: %s", k.status, k.error.message);
  if (!call_until(c, &k, YOI_EVENT_SNAPSHOT, LIFE_MS))
    conform_fail(c, "a snapshot first", "status %d: %s", k.status, k.error.message);
  (void)life_op(c, &l, YOI_OP_WORKER_STOP, "", "");
  (void)life_op(c, &l, YOI_OP_WORKER_DELETE, "", "");
  const struct call_event *e = call_until(c, &k, YOI_EVENT_END, LIFE_MS);
  if (!e || !life_is(e->text, "reason", "worker_deleted"))
    conform_fail(c, "`end` with worker_deleted", "%.200s", e ? e->text : "no end");
  call_release(&k);
  free(l.born);
  rig_close(c, &l.i);
}

static void drain(struct conform *c) {
  struct life l = life_with_worker(c, "");
  const yoi_runtime *t = &c->rig->plugin->table.runtime;
  struct call k = {.status = YOI_OK};
  if (!t->drain) conform_skip(c, "it has nothing to drain");
  if (!rig_token_new(c, &k.token)) abort();
  yoi__current_loop = NULL; /* [main] */
  k.status = t->drain(l.i.self, conform_now_ns() + 1000000000ull, k.token.token, &k.stream,
                      yoi_sdk_error_init(&k.error));
  yoi__current_loop = c->rig->loop;
  if (k.status != YOI_OK) k.stream = NULL;
  int waits = k.stream != NULL;
  if (waits) (void)call_finish(c, &k, LIFE_MS);
  if (k.status != (waits ? YOI_END : YOI_OK))
    conform_fail(c, "END when all is done", "status %d: %s", k.status, k.error.message);
  struct call late = life_op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"x\"}", "");
  life_must_fail(c, &late, YOI_CODE_SHUTTING_DOWN, "input behind a drain");
  call_release(&k);
  rig_close(c, &l.i);
  /* What is drained deletes nothing, so another one does, where the worker is still. */
  if (rig_try_open(c, NULL, NULL, &l.i, yoi_sdk_error_init(&k.error)) == YOI_OK) life_end(c, &l);
}

#define WORKER(name, fn, says, header, promise) \
  {"worker." name, ON_RUNTIME, 0, fn, says, header, promise}

extern const struct conform_test conform_worker[];
const struct conform_test conform_worker[] = {
    WORKER("create", create, "A worker that was made is there, idle, under its id.", "yoi/stream.h",
           "a result that made something new: HTTP 201"),
    WORKER("create-replay", create_replay, "The same create under the same key makes one worker.",
           "yoi/ops.h", "KEY when only an idempotency key (or a worker_id"),
    WORKER("create-conflict", create_conflict, "Two workers never have one id.", "yoi/ops.h",
           "\"worker_conflict\", 409"),
    WORKER("unknown", unknown, "A worker that is not there is worker_not_found.", "yoi/ops.h",
           "\"worker_not_found\", 404"),
    WORKER("stop", stop, "A stopped worker stays stopped.", "yoi/ops.h", "\"worker_stopped\", 409"),
    WORKER("delete", delete, "Only a stopped worker is deleted, and then it is gone.", "yoi/ops.h",
           "\"worker_not_stopped\", 409"),
    WORKER("follow", follow, "An input that is followed goes from its ack to the end of its turn.",
           "yoi/request.h", "worker.input: go on to the end of its turn"),
    WORKER("input-replay", input_replay, "The same input under the same key is one turn.",
           "yoi/ops.h", "KEY when only an idempotency key (or a worker_id"),
    WORKER("busy", busy, "A worker has one turn at a time.", "yoi/ops.h", "\"worker_busy\", 409"),
    WORKER("cancel", cancel, "A cancelled turn ends as cancelled.", "yoi/ops.h",
           "X(\"cancelled\", \"cancel_requested\")"),
    WORKER("watch-is-no-hold", watch_is_no_hold, "Who stops watching does not end the turn.",
           "yoi/stream.h", "cancel only requests:"),
    WORKER("transcript", transcript, "Events and transcript tell the same.", "yoi/stream.h",
           "is a record of the history"),
    WORKER("resume", resume, "Behind a cursor comes exactly what came behind it.", "yoi/stream.h",
           "where a watcher resumes after it; empty: no id"),
    WORKER("cursors", cursors, "A cursor that is none, or another worker's, is refused.",
           "yoi/ops.h", "\"cursor_expired\", 410"),
    WORKER("watch-deleted", watch_deleted, "Watchers of a deleted worker are told.",
           "yoi/runtime.h", "their last event is END's `end`."),
    WORKER("drain", drain, "A drain ends, and behind it no input is taken.", "yoi/runtime.h",
           "END of *out says that all is done and flushed."),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
