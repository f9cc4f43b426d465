/* t_worker.c - workers of a runtime that can make some: their lives, their inputs,
 * their events.
 *
 * The model behind them is the kit's own (companion.h), so that a turn can be made
 * to wait; behind --url it is whatever is there, and what needs that is a skip.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yoi/ops.h>

#include "rig.h"

#define CALL_MS 15000

/* The member of an object at "a.b"; a copy, or NULL. Strings lose their quotes. */
static char *at(const char *text, const char *path) {
  yoi_str v = yoi_sdk_str(text);
  while (v.len && *path) {
    size_t n = strcspn(path, ".");
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
    v = yoi_sdk_json_raw_get(v, name);
    path += n + (path[n] == '.');
  }
  if (!v.len) return NULL;
  if (v.len >= 2 && v.ptr[0] == '"') v = (yoi_str){v.ptr + 1, v.len - 2};
  return conform_text("%.*s", YOI_ARG(v));
}

static int is(const char *text, const char *path, const char *value) {
  char *v = at(text, path);
  int same = v && strcmp(v, value) == 0;
  free(v);
  return same;
}

struct life {
  struct rig_instance i;
  char id[64];
  char *born; /* the cursor of its creation */
};

static struct call op(struct conform *c, struct life *l, uint32_t o, const char *body,
                      const char *key) {
  struct call k;
  call_op(c, &l->i, o, l->id, body, key, 0, &k);
  return k;
}

static const char *result(const struct call *k) {
  const struct call_event *e = call_event(k, YOI_EVENT_RESULT);
  return e ? e->text : "";
}

static void must_fail(struct conform *c, const struct call *k, int32_t code, const char *what) {
  if (k->status <= YOI_OK || k->error.e.code != code)
    conform_fail(c, yoi_sdk_code_name(code), "%s: status %d, code %d: %s", what, k->status,
                 k->error.e.code, k->error.message);
}

/* A runtime, and the name for a worker that nobody has; skips without worker.create. */
static struct life begin(struct conform *c) {
  struct life l = {.i = rig_open(c), .born = NULL};
  struct call k;
  (void)snprintf(l.id, sizeof l.id, "conform-%08llx",
                 (unsigned long long)conform_random(c, 1ull << 32));
  call_op(c, &l.i, YOI_OP_RUNTIME_DESCRIBE, "", "", "", 0, &k);
  if (!strstr(result(&k), "\"worker.create\"") || !strstr(result(&k), "\"worker.input\""))
    conform_skip(c, "it makes no workers");
  return l;
}

static char *body_of(const struct life *l, const char *more) {
  return conform_text("{\"worker_id\":\"%s\"%s}", l->id, more);
}

static struct life begin_with_worker(struct conform *c) {
  struct life l = begin(c);
  struct call k;
  char *body = body_of(&l, "");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, "", 0, &k);
  free(body);
  l.born = at(result(&k), "worker.cursor");
  if (!l.born) conform_skip(c, "see worker.create: %s", k.error.message);
  return l;
}

static void end(struct conform *c, struct life *l) {
  (void)op(c, l, YOI_OP_WORKER_STOP, "", "");
  (void)op(c, l, YOI_OP_WORKER_DELETE, "", "");
  free(l->born);
  rig_close(c, &l->i);
}

/* An input, followed to the end of its turn. */
static struct call say(struct conform *c, struct life *l, const char *text, const char *key) {
  struct call k;
  char *body = conform_text("{\"content\":\"%s\"}", text);
  if (call_start_op(c, &l->i, YOI_OP_WORKER_INPUT, l->id, body, key, YOI_REQ_FOLLOW, &k))
    (void)call_finish(c, &k, CALL_MS);
  call_release(&k);
  free(body);
  return k;
}

/* ---- lives ------------------------------------------------------------------------- */

static void create(struct conform *c) {
  struct life l = begin(c);
  struct call k;
  char *body = body_of(&l, "");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, "", 0, &k);
  const struct call_event *e = call_event(&k, YOI_EVENT_RESULT);
  if (!e) conform_fail(c, "a worker", "status %d: %s", k.status, k.error.message);
  if (!is(e->text, "worker.worker_id", l.id) || !is(e->text, "worker.state", "idle"))
    conform_fail(c, "an idle worker of the given id", "%.400s", e->text);
  if ((e->flags & YOI_EV_CREATED) == 0)
    conform_fail(c, "YOI_EV_CREATED, since it is new", "flags %u", e->flags);
  struct call got = op(c, &l, YOI_OP_WORKER_GET, "", "");
  if (!is(result(&got), "worker.worker_id", l.id))
    conform_fail(c, "the same worker from worker.get", "status %d: %s", got.status,
                 got.error.message);
  free(body);
  end(c, &l);
}

static void create_replay(struct conform *c) {
  struct life l = begin(c);
  struct call a, b, other;
  char *body = body_of(&l, ""), *changed = body_of(&l, ",\"display_name\":\"Other\"");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, l.id, 0, &a);
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, l.id, 0, &b);
  if (!call_event(&a, YOI_EVENT_RESULT)) conform_skip(c, "see worker.create");
  const struct call_event *e = call_event(&b, YOI_EVENT_RESULT);
  if (!e || !is(e->text, "worker.worker_id", l.id))
    conform_fail(c, "the same worker once more", "status %d: %s", b.status, b.error.message);
  if (e->flags & YOI_EV_CREATED)
    conform_fail(c, "no YOI_EV_CREATED the second time", "it has that flag");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", changed, l.id, 0, &other);
  must_fail(c, &other, YOI_CODE_IDEMPOTENCY_CONFLICT, "another body under the same key");
  free(body);
  free(changed);
  end(c, &l);
}

static void create_conflict(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k;
  char *changed = body_of(&l, ",\"display_name\":\"Other\"");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", changed, "", 0, &k);
  must_fail(c, &k, YOI_CODE_WORKER_CONFLICT, "the id of another worker");
  free(changed);
  end(c, &l);
}

static void unknown(struct conform *c) {
  static const uint32_t ops[] = {YOI_OP_WORKER_GET,    YOI_OP_WORKER_CANCEL,     YOI_OP_WORKER_STOP,
                                 YOI_OP_WORKER_DELETE, YOI_OP_WORKER_TRANSCRIPT,
                                 YOI_OP_WORKER_EVENTS};
  struct life l = begin(c);
  for (size_t n = 0; n < sizeof ops / sizeof *ops; n++) {
    struct call k = op(c, &l, ops[n], "", "");
    must_fail(c, &k, YOI_CODE_WORKER_NOT_FOUND, yoi_sdk_op_name(ops[n]));
  }
  rig_close(c, &l.i);
}

static void stop(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k = op(c, &l, YOI_OP_WORKER_STOP, "", "");
  if (k.status != YOI_END) conform_fail(c, "an ack", "status %d: %s", k.status, k.error.message);
  k = op(c, &l, YOI_OP_WORKER_GET, "", "");
  if (!is(result(&k), "worker.state", "stopped"))
    conform_fail(c, "a stopped worker", "%.300s", result(&k));
  k = op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"x\"}", "");
  must_fail(c, &k, YOI_CODE_WORKER_STOPPED, "input to a stopped worker");
  k = op(c, &l, YOI_OP_WORKER_STOP, "", "");
  if (k.status != YOI_END)
    conform_fail(c, "stop may be repeated", "status %d: %s", k.status, k.error.message);
  end(c, &l);
}

static void delete(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k = op(c, &l, YOI_OP_WORKER_DELETE, "", "");
  must_fail(c, &k, YOI_CODE_WORKER_NOT_STOPPED, "delete of an idle worker");
  (void)op(c, &l, YOI_OP_WORKER_STOP, "", "");
  k = op(c, &l, YOI_OP_WORKER_DELETE, "", "");
  if (k.status != YOI_END)
    conform_fail(c, "it is deleted", "status %d: %s", k.status, k.error.message);
  k = op(c, &l, YOI_OP_WORKER_TRANSCRIPT, "", "");
  must_fail(c, &k, YOI_CODE_WORKER_NOT_FOUND, "transcript of a deleted worker");
  free(l.born);
  rig_close(c, &l.i);
}

/* ---- inputs -------------------------------------------------------------------------- */

static void follow(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k = say(c, &l, "hello", "");
  if (k.n == 0 || k.events[0].kind != YOI_EVENT_ACK)
    conform_fail(c, "an ACK first", "status %d: %s", k.status, k.error.message);
  if (k.status != YOI_END || k.events[k.n - 1].kind != YOI_EVENT_END)
    conform_fail(c, "`end` last, then END", "status %d, the last event is of kind %u", k.status,
                 k.events[k.n - 1].kind);
  if (!is(k.events[k.n - 1].text, "reason", "turn_ended"))
    conform_fail(c, "turn_ended", "%.200s", k.events[k.n - 1].text);
  size_t ended = 0;
  for (size_t n = 0; n < k.n; n++) ended += k.events[n].kind == YOI_EVENT_TURN_ENDED;
  if (ended != 1) conform_fail(c, "one turn.ended", "%zu", ended);
  end(c, &l);
}

static void input_replay(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call a = op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"hello\"}", "once");
  struct call b = op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"hello\"}", "once");
  char *turn = at(result(&a), "ack.turn_id");
  if (!turn) conform_skip(c, "see worker.follow: %s", a.error.message);
  if (!is(result(&b), "ack.turn_id", turn))
    conform_fail(c, "the ack of the first time", "%.300s, then %.300s", result(&a), result(&b));
  b = op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"other\"}", "once");
  must_fail(c, &b, YOI_CODE_IDEMPOTENCY_CONFLICT, "another input under the same key");
  free(turn);
  end(c, &l);
}

/* A turn that goes on until it is cancelled; skips when this one does not. */
static void start_waiting(struct conform *c, struct life *l, struct call *k) {
  if (!call_start_op(c, &l->i, YOI_OP_WORKER_INPUT, l->id, "{\"content\":\"wait\"}", "",
                     YOI_REQ_FOLLOW, k) ||
      !call_until(c, k, YOI_EVENT_TURN_STARTED, CALL_MS))
    conform_skip(c, "see worker.follow: %s", k->error.message);
  for (int n = 0; n < 10; n++) rig_pump(c, 2);
  struct call got = op(c, l, YOI_OP_WORKER_GET, "", "");
  if (!is(result(&got), "worker.state", "running"))
    conform_skip(c, "the model behind it does not wait");
}

static void busy(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k;
  start_waiting(c, &l, &k);
  struct call second = op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"x\"}", "");
  must_fail(c, &second, YOI_CODE_WORKER_BUSY, "input while a turn runs");
  (void)op(c, &l, YOI_OP_WORKER_CANCEL, "", "");
  (void)call_finish(c, &k, CALL_MS);
  call_release(&k);
  end(c, &l);
}

static void cancel(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k;
  start_waiting(c, &l, &k);
  struct call ack = op(c, &l, YOI_OP_WORKER_CANCEL, "", "");
  if (ack.status != YOI_END)
    conform_fail(c, "an ack", "status %d: %s", ack.status, ack.error.message);
  if (!call_finish(c, &k, CALL_MS)) conform_fail(c, "the turn ends", "it goes on");
  const struct call_event *e = call_event(&k, YOI_EVENT_TURN_ENDED);
  if (!e || !is(e->text, "turn.state", "cancelled"))
    conform_fail(c, "turn.ended as cancelled", "%.300s", e ? e->text : "none");
  call_release(&k);
  end(c, &l);
}

/* Who stops watching stops nothing. */
static void watch_is_no_hold(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k;
  start_waiting(c, &l, &k);
  k.stream->ops->cancel(k.stream);
  (void)call_finish(c, &k, 2000);
  call_release(&k);
  for (int n = 0; n < 10; n++) rig_pump(c, 2);
  struct call got = op(c, &l, YOI_OP_WORKER_GET, "", "");
  if (!is(result(&got), "worker.state", "running"))
    conform_fail(c, "the turn goes on when its watcher is gone", "%.300s", result(&got));
  end(c, &l);
}

/* ---- events ------------------------------------------------------------------------------ */

static struct call history(struct conform *c, struct life *l, const char *cursor) {
  struct call k;
  char *body = conform_text("{\"cursor\":\"%s\"}", cursor);
  call_op(c, &l->i, YOI_OP_WORKER_EVENTS, l->id, body, "", YOI_REQ_ONCE, &k);
  free(body);
  if (k.status != YOI_END)
    conform_fail(c, "the events from that cursor on, and END", "status %d: %s", k.status,
                 k.error.message);
  return k;
}

static void two_turns(struct conform *c, struct life *l) {
  struct call a = say(c, l, "hello", ""), b = say(c, l, "long", "");
  if (a.status != YOI_END || b.status != YOI_END) conform_skip(c, "see worker.follow");
}

/* Each item of the transcript that a message.completed brought, and no other. */
static void transcript(struct conform *c) {
  struct life l = begin_with_worker(c);
  two_turns(c, &l);
  struct call all = history(c, &l, l.born), t = op(c, &l, YOI_OP_WORKER_TRANSCRIPT, "", "");
  char *items = at(result(&t), "transcript.items");
  size_t pos = 0, n = 0;
  yoi_str item;
  if (!items) conform_fail(c, "a transcript with items", "%.300s", result(&t));
  while (yoi_sdk_json_raw_each(yoi_sdk_str(items), &pos, &item)) {
    if (!yoi_sdk_str_is(yoi_sdk_json_raw_get(item, "role"), "\"assistant\"")) continue;
    while (n < all.n && all.events[n].kind != YOI_EVENT_MESSAGE_COMPLETED) n++;
    yoi_str told = n < all.n ? yoi_sdk_json_raw_get(yoi_sdk_str(all.events[n].text), "item")
                             : (yoi_str){NULL, 0};
    if (!yoi_sdk_str_eq(yoi_sdk_json_raw_get(told, "content"),
                        yoi_sdk_json_raw_get(item, "content")))
      conform_fail(c, "the item that message.completed told of", "%.*s", YOI_ARG(item));
    n++;
  }
  while (n < all.n && all.events[n].kind != YOI_EVENT_MESSAGE_COMPLETED) n++;
  if (n < all.n)
    conform_fail(c, "no message that the transcript lacks", "%.300s", all.events[n].text);
  free(items);
  end(c, &l);
}

static void resume(struct conform *c) {
  struct life l = begin_with_worker(c);
  two_turns(c, &l);
  struct call all = history(c, &l, l.born);
  for (int round = 0; round < 8 && all.n > 2; round++) {
    size_t from = conform_random(c, all.n - 1);
    if (!all.events[from].cursor[0]) continue;
    struct call rest = history(c, &l, all.events[from].cursor);
    if (rest.n != all.n - from - 1)
      conform_fail(c, "exactly what came behind that cursor", "%zu events instead of %zu", rest.n,
                   all.n - from - 1);
    for (size_t n = 0; n < rest.n; n++)
      if (rest.events[n].kind != YOI_EVENT_END &&
          strcmp(rest.events[n].text, all.events[from + 1 + n].text) != 0)
        conform_fail(c, "the same events each time", "%.200s", rest.events[n].text);
  }
  end(c, &l);
}

static void cursors(struct conform *c) {
  static const char *const odd[] = {"{\"cursor\":\"x\"}", "{\"cursor\":\"../../etc\"}",
                                    "{\"cursor\":\"18446744073709551616\"}", "{\"cursor\":7}"};
  struct life l = begin_with_worker(c), other = l;
  for (size_t n = 0; n < sizeof odd / sizeof *odd; n++) {
    struct call k;
    call_op(c, &l.i, YOI_OP_WORKER_EVENTS, l.id, odd[n], "", YOI_REQ_ONCE, &k);
    if (k.status != YOI_INVALID_ARGUMENT && k.status != YOI_OUT_OF_RANGE)
      conform_fail(c, "invalid_request or cursor_expired", "%s: status %d", odd[n], k.status);
  }
  /* Another worker's cursor is none of this one's. */
  struct call made, k;
  (void)snprintf(other.id, sizeof other.id, "%.40s-2", l.id);
  char *body = body_of(&other, "");
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, "", 0, &made);
  other.born = at(result(&made), "worker.cursor");
  if (other.born) {
    char *foreign = conform_text("{\"cursor\":\"%s\"}", other.born);
    call_op(c, &l.i, YOI_OP_WORKER_EVENTS, l.id, foreign, "", YOI_REQ_ONCE, &k);
    if (k.status != YOI_INVALID_ARGUMENT && k.status != YOI_OUT_OF_RANGE)
      conform_fail(c, "another worker's cursor is refused", "status %d", k.status);
    free(foreign);
    (void)op(c, &other, YOI_OP_WORKER_STOP, "", "");
    (void)op(c, &other, YOI_OP_WORKER_DELETE, "", "");
  }
  free(body);
  end(c, &l);
}

static void watch_deleted(struct conform *c) {
  struct life l = begin_with_worker(c);
  struct call k;
  if (!call_start_op(c, &l.i, YOI_OP_WORKER_EVENTS, l.id, "", "", 0, &k))
    conform_fail(c, "a stream", "status %d: %s", k.status, k.error.message);
  if (!call_until(c, &k, YOI_EVENT_SNAPSHOT, CALL_MS))
    conform_fail(c, "a snapshot first", "status %d: %s", k.status, k.error.message);
  (void)op(c, &l, YOI_OP_WORKER_STOP, "", "");
  (void)op(c, &l, YOI_OP_WORKER_DELETE, "", "");
  const struct call_event *e = call_until(c, &k, YOI_EVENT_END, CALL_MS);
  if (!e || !is(e->text, "reason", "worker_deleted"))
    conform_fail(c, "`end` with worker_deleted", "%.200s", e ? e->text : "no end");
  call_release(&k);
  free(l.born);
  rig_close(c, &l.i);
}

static void drain(struct conform *c) {
  struct life l = begin_with_worker(c);
  const yoi_runtime *t = &c->rig->plugin->table.runtime;
  struct call k = {.status = YOI_OK};
  if (!t->drain) conform_skip(c, "it has nothing to drain");
  if (!rig_token_new(c, &k.token)) abort();
  k.status = t->drain(l.i.self, conform_now_ns() + 1000000000ull, k.token.token, &k.stream,
                      yoi_sdk_error_init(&k.error));
  if (k.status == YOI_OK && k.stream) (void)call_finish(c, &k, CALL_MS);
  if (k.stream && k.status != YOI_END)
    conform_fail(c, "END when all is done", "status %d: %s", k.status, k.error.message);
  struct call late = op(c, &l, YOI_OP_WORKER_INPUT, "{\"content\":\"x\"}", "");
  must_fail(c, &late, YOI_CODE_SHUTTING_DOWN, "input behind a drain");
  call_release(&k);
  rig_close(c, &l.i);
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
