/* test_engine_watch.c - watching: cursors, replay, snapshots, lag, follow. */
#include <stdlib.h>
#include <yoi/limits.h>

#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define INPUT YOI_OP_WORKER_INPUT
#define STOP YOI_OP_WORKER_STOP
#define CANCEL YOI_OP_WORKER_CANCEL
#define DELETE YOI_OP_WORKER_DELETE
#define EVENTS YOI_OP_WORKER_EVENTS

static void make(struct rig *r) {
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
}

static void say(struct rig *r) {
  rig_ok(r, INPUT, "a", "{\"content\":\"hi\"}");
}

/* A cursor of worker a at that position. */
static const char *cursor_at(struct rig *r, unsigned sequence, unsigned index) {
  static char out[128];
  assert_int_equal(rig_call(r, GET, "a", ""), YOI_OK);
  (void)snprintf(out, sizeof out, "%s", rig_get(r, "worker.cursor") + 1);
  *strrchr(out, '-') = 0;
  char *at = strrchr(out, '-');
  (void)snprintf(at, sizeof out - (size_t)(at - out), "-%u-%u", sequence, index);
  return out;
}

/* An answer in n pieces, each behind a gate but the first. */
static void in_pieces(struct rig *r, int n) {
  struct fake_answer *a = fake_model_answer(r->fh);
  for (int i = 0; i < n; i++) {
    char text[16];
    if (i > 0) fake_answer_gate(a);
    (void)snprintf(text, sizeof text, "<%d>", i);
    fake_answer_text(a, text);
  }
  fake_answer_gate(a);
  fake_answer_finish(a, "stop");
}

static void open_gate(struct rig *r) {
  fake_model_open(r->fh);
  rig_settle(r);
}

static void a_snapshot_says_where_one_stands(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  ear_open(&e, r, "a", NULL);
  assert_true(ear_has(&e, "snapshot {\"worker\":{\"worker_id\":\"a\",\"state\":\"idle\""));
  assert_true(ear_has(&e, "\"sequence\":1,\"in_flight\":null}"));
  assert_string_equal(e.cursor, cursor_at(r, 1, 0));
  assert_int_equal(e.flags, 0);
  ear_close(&e);
}

static void a_snapshot_carries_the_text_in_flight(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  make(r);
  in_pieces(r, 3);
  say(r);
  open_gate(r);
  ear_open(&e, r, "a", NULL);
  assert_true(ear_has(&e, "\"step\":1,\"text\":\"<0><1>\",\"reasoning\":\"\"}}"));
  assert_true(ear_has(&e, "\"sequence\":3,"));
  ear_open(&f, r, "a", NULL); /* the same frame, shared */
  assert_string_equal(e.heard.data, f.heard.data);
  assert_string_equal(e.cursor, f.cursor);
  open_gate(r);
  open_gate(r);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot text.delta message.completed turn.ended");
  assert_int_equal(ear_count(&e, "<0>"), 2); /* in the snapshot and in the message */
  ear_close(&e);
  ear_close(&f);
}

static void events_are_flagged_and_numbered(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  say(r);
  ear_open(&e, r, "a", cursor_at(r, 0, 0));
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "worker.created input.accepted turn.started message.completed turn.ended");
  assert_int_equal(e.flags, YOI_EV_DURABLE | YOI_EV_REPLAYED);
  assert_true(ear_has(&e, "worker.created {\"sequence\":1,\"at\":\"2026-"));
  assert_true(ear_has(&e, "\"worker\":{\"worker_id\":\"a\",\"state\":\"idle\""));
  assert_true(ear_has(&e, "input.accepted {\"sequence\":2,"));
  assert_true(ear_has(&e,
                      "\"kind\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],"
                      "\"principal\":\"embed\"}"));
  assert_true(ear_has(&e, "\"model\":\"main\"}"));
  assert_string_equal(e.cursor, cursor_at(r, 5, 0));
  ear_close(&e);
}

/* The record of a create tells nothing private. */
static void keys_and_prints_are_shown_to_nobody(void **state) {
  struct rig *r = *state;
  struct ear e;
  yoi_request k = {.idempotency_key = YOI_LIT("canary-key")};
  assert_int_equal(rig_call_as(r, CREATE, "", "{\"worker_id\":\"a\"}", &k), YOI_OK);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"hi\"}", &k), YOI_OK);
  rig_settle(r);
  ear_open(&e, r, "a", cursor_at(r, 0, 0));
  ear_settle(&e);
  assert_int_equal(ear_count(&e, "canary"), 0);
  assert_int_equal(ear_count(&e, "companion.system"), 0);
  assert_int_equal(ear_count(&e, "\"key\""), 0);
  ear_close(&e);
}

/* Pitfall 63: cut anywhere, resume, and the union is the whole. */
static void a_stream_cut_anywhere_goes_on_without_a_gap(void **state) {
  struct rig *r = *state;
  for (unsigned cut = 0; cut < 12; cut++) {
    struct ear whole, part;
    rig_reopen(r, NULL, NULL);
    make(r);
    ear_open(&whole, r, "a", NULL);
    ear_open(&part, r, "a", NULL);
    in_pieces(r, 4);
    say(r);
    for (unsigned step = 0; step < 12; step++) {
      ear_settle(&whole);
      ear_settle(&part);
      if (step == cut) {
        char cursor[YOI_CURSOR_MAX + 1];
        memcpy(cursor, part.cursor, sizeof cursor);
        struct ear next;
        ear_open(&next, r, "a", cursor);
        memcpy(next.cursor, cursor, sizeof cursor);
        yoi_sdk_buf_clear(&next.heard);
        yoi_sdk_buf_adds(&next.heard, yoi_sdk_buf_str(&part.heard));
        ear_close(&part);
        part = next;
      }
      open_gate(r);
    }
    ear_settle(&whole);
    ear_settle(&part);
    assert_string_equal(whole.heard.data, part.heard.data);
    assert_string_equal(whole.cursor, part.cursor);
    ear_close(&whole);
    ear_close(&part);
  }
}

static void a_cursor_into_a_finished_message_gets_it_whole(void **state) {
  struct rig *r = *state;
  struct ear e;
  char cursor[YOI_CURSOR_MAX + 1];
  make(r);
  ear_open(&e, r, "a", NULL);
  in_pieces(r, 3);
  say(r);
  ear_settle(&e);
  memcpy(cursor, e.cursor, sizeof cursor); /* behind <0> */
  ear_close(&e);
  for (int i = 0; i < 3; i++) open_gate(r);
  ear_open(&e, r, "a", cursor);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "message.completed turn.ended");
  assert_true(ear_has(&e, "\"text\":\"<0><1><2>\""));
  ear_close(&e);
}

static void foreign_and_bad_cursors_are_refused(void **state) {
  struct rig *r = *state;
  char body[256], other[160];
  make(r);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"b\"}");
  (void)snprintf(other, sizeof other, "%s", rig_get(r, "worker.cursor"));
  (void)snprintf(body, sizeof body, "{\"cursor\":%s}", other);
  rig_refused(r, EVENTS, "a", body, YOI_CODE_CURSOR_EXPIRED);
  (void)snprintf(body, sizeof body, "{\"cursor\":\"%s\"}", cursor_at(r, 2, 0));
  rig_refused(r, EVENTS, "a", body, YOI_CODE_INVALID_REQUEST); /* ahead */
  char *at = strstr(body, "y1-");
  at[5] = at[5] == '0' ? '1' : '0';
  rig_refused(r, EVENTS, "a", body, YOI_CODE_CURSOR_EXPIRED);
  rig_refused(r, EVENTS, "a", "{\"cursor\":\"1\"}", YOI_CODE_INVALID_REQUEST);
  rig_refused(r, EVENTS, "a", "{\"cursor\":\"\"}", YOI_CODE_INVALID_REQUEST);
  rig_refused(r, EVENTS, "c", "", YOI_CODE_WORKER_NOT_FOUND);
}

static void a_cursor_at_the_end_waits_for_news(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  ear_open(&e, r, "a", cursor_at(r, 1, 0));
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "");
  assert_int_equal(e.st, YOI_AGAIN);
  say(r);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "input.accepted turn.started text.delta text.delta "
                      "message.completed turn.ended");
  ear_close(&e);
}

#define CAUGHT_UP "end {\"reason\":\"caught_up\",\"code\":null,\"retryable\":true,\"cursor\":\""

/* Also of a worker that sleeps: its `end` comes behind what had to be read. */
static void what_there_is_ends_where_others_wait(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  say(r);
  (void)rig_sleep(r);
  ear_once(&e, r, "a", cursor_at(r, 1, 0));
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "input.accepted turn.started message.completed turn.ended end");
  assert_true(ear_has(&e, CAUGHT_UP));
  assert_int_equal(e.st, YOI_END);
  ear_close(&e);
  (void)rig_sleep(r);
  ear_once(&e, r, "a", cursor_at(r, 5, 0));
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "end"); /* and never before it is known */
  assert_int_equal(e.st, YOI_END);
  ear_close(&e);
  (void)rig_sleep(r);
  ear_once(&e, r, "a", NULL);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "snapshot end");
  ear_close(&e);
  in_pieces(r, 3);
  say(r);
  open_gate(r);
  ear_once(&e, r, "a", cursor_at(r, 5, 0));
  ear_settle(&e);
  assert_true(ear_has(&e, "text.delta")); /* a turn that goes on is no reason to wait */
  assert_true(ear_has(&e, CAUGHT_UP));
  assert_int_equal(ear_count(&e, "turn.ended"), 0);
  ear_close(&e);
}

static void a_flag_is_for_its_operation_only(void **state) {
  struct rig *r = *state;
  yoi_request once = {.flags = YOI_REQ_ONCE}, follow = {.flags = YOI_REQ_FOLLOW};
  yoi_request strange = {.flags = 8};
  make(r);
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"x\"}", &once), YOI_INVALID_ARGUMENT);
  assert_int_equal(rig_call_as(r, EVENTS, "a", "", &follow), YOI_INVALID_ARGUMENT);
  assert_int_equal(rig_call_as(r, EVENTS, "a", "", &strange), YOI_UNIMPLEMENTED);
}

static void a_long_history_is_replayed_in_order(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  for (int i = 0; i < 60; i++) say(r);
  ear_open(&e, r, "a", cursor_at(r, 0, 0));
  ear_settle(&e);
  assert_int_equal(e.events, 1 + 60 * 4);
  unsigned last = 0;
  for (const char *p = e.heard.data; (p = strstr(p, "{\"sequence\":")) != NULL; p++) {
    unsigned n = (unsigned)strtoul(p + 12, NULL, 10);
    if (p[-1] != ' ') continue; /* not a record's own */
    assert_int_equal(n, last + 1);
    last = n;
  }
  assert_int_equal(last, 241);
  say(r);
  ear_settle(&e);
  assert_int_equal(e.events, 241 + 6);
  ear_close(&e);
  eng_store_mem_fail_read(r->store, 2, 1);
  ear_open(&e, r, "a", cursor_at(r, 0, 0));
  ear_settle(&e);
  assert_true(
      ear_has(&e, "end {\"reason\":\"error\",\"code\":\"store_error\",\"retryable\":true,"));
  assert_int_equal(e.st, YOI_END);
  char cursor[YOI_CURSOR_MAX + 1];
  memcpy(cursor, e.cursor, sizeof cursor);
  assert_true(ear_has(&e, cursor)); /* the end says where to go on */
  ear_close(&e);
}

/* Pitfall 35: a slow watcher loses only its own subscription. */
static void a_watcher_who_falls_behind_is_ended_as_lagged(void **state) {
  struct rig *r = *state;
  struct ear slow, quick, resumed;
  char cursor[YOI_CURSOR_MAX + 1];
  make(r);
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "first");
  fake_answer_gate(a);
  for (int i = 0; i < 12000; i++) {
    fake_answer_text(a, i % 100 ? "y" : "z");
    fake_answer_cut(a);
  }
  fake_answer_gate(a);
  fake_answer_finish(a, "stop");
  ear_open(&slow, r, "a", NULL);
  ear_open(&quick, r, "a", NULL);
  say(r);
  ear_settle(&slow);
  ear_settle(&quick);
  memcpy(cursor, slow.cursor, sizeof cursor);
  fake_model_open(r->fh);
  for (int i = 0; i < 100000 && fake_host_step(r->fh, 0) + fake_host_step(r->fh, 1) > 0; i++)
    ear_listen(&quick);
  ear_settle(&quick);
  assert_int_equal(ear_count(&quick, "text.delta "), 12001);
  ear_settle(&slow);
  assert_true(ear_has(&slow, "end {\"reason\":\"lagged\",\"code\":null,\"retryable\":true,"));
  assert_int_equal(slow.st, YOI_END);
  assert_true(ear_has(&slow, cursor));
  assert_int_equal(fake_metric(r->fh, "yoi_watchers_ended_total", "lagged"), 1);
  ear_close(&slow);
  /* A resume into deltas that are gone gets a snapshot, with all the text. */
  ear_open(&resumed, r, "a", cursor);
  ear_settle(&resumed);
  assert_string_equal(ear_kinds(&resumed), "snapshot");
  assert_true(ear_has(&resumed, "\"text\":\"firstzyyy"));
  /* One from before the turn gets its records first. */
  struct ear early;
  ear_open(&early, r, "a", cursor_at(r, 1, 0));
  ear_settle(&early);
  assert_string_equal(ear_kinds(&early), "input.accepted turn.started snapshot");
  open_gate(r);
  ear_settle(&resumed);
  ear_settle(&early);
  ear_settle(&quick);
  assert_string_equal(ear_kinds(&resumed), "snapshot message.completed turn.ended");
  assert_string_equal(ear_kinds(&early),
                      "input.accepted turn.started snapshot message.completed turn.ended");
  assert_int_equal(ear_count(&quick, "turn.ended "), 1);
  ear_close(&resumed);
  ear_close(&early);
  ear_close(&quick);
}

static void a_watcher_behind_a_whole_turn_gets_its_records(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  ear_open(&e, r, "a", NULL);
  say(r); /* nobody polls */
  say(r);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started message.completed turn.ended "
                      "input.accepted turn.started message.completed turn.ended");
  ear_close(&e);
}

static void the_last_turns_frames_are_kept_ten_seconds(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  make(r);
  ear_open(&e, r, "a", NULL);
  ear_open(&f, r, "a", NULL);
  say(r);
  fake_host_advance(r->fh, YOI_TURN_BUFFER_KEEP_MS - 100);
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e),
                      "snapshot input.accepted turn.started text.delta text.delta "
                      "message.completed turn.ended");
  fake_host_advance(r->fh, 200);
  rig_settle(r);
  ear_settle(&f);
  assert_string_equal(ear_kinds(&f),
                      "snapshot input.accepted turn.started message.completed turn.ended");
  assert_int_equal(fake_host_timers(r->fh), 0);
  ear_close(&e);
  ear_close(&f);
}

/* ---- wakes ---- */

/* Ten thousand watchers under one token cost one wake per event. */
static void a_shared_token_is_woken_once(void **state) {
  struct rig *r = *state;
  enum { N = 100 };
  yoi_stream *s[N];
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  make(r);
  uint64_t token = fake_token(r->fh), other = fake_token(r->fh);
  yoi_request shared = {.token = token}, own = {.token = other};
  for (int i = 0; i < N; i++) {
    s[i] = rig_start(r, EVENTS, "a", "", i < N - 1 ? &shared : &own);
    assert_int_equal(s[i]->ops->next(s[i], &evs, &n, r->err), YOI_OK);
    assert_int_equal(s[i]->ops->next(s[i], &evs, &n, r->err), YOI_AGAIN);
  }
  assert_int_equal(fake_token_wakes(r->fh, token), 0);
  rig_ok(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}");
  assert_int_equal(fake_token_wakes(r->fh, token), 1);
  assert_int_equal(fake_token_wakes(r->fh, other), 1);
  /* not armed again: nobody looked */
  rig_ok(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}");
  assert_int_equal(fake_token_wakes(r->fh, token), 0);
  for (int i = 0; i < N; i++) s[i]->ops->release(s[i]);
  fake_token_free(r->fh, token);
  fake_token_free(r->fh, other);
  say(r);
  assert_int_equal(fake_host_stale_wakes(r->fh), 0);
}

static void many_tokens_are_all_woken(void **state) {
  struct rig *r = *state;
  enum { N = 50 };
  struct ear e[N];
  make(r);
  for (int i = 0; i < N; i++) {
    ear_open(&e[i], r, "a", NULL);
    ear_listen(&e[i]);
    assert_int_equal(e[i].st, YOI_AGAIN);
  }
  rig_ok(r, INPUT, "a", "{\"content\":\"x\",\"kind\":\"system\"}");
  for (int i = 0; i < N; i++) assert_int_equal(fake_token_wakes(r->fh, e[i].token), 1);
  for (int i = 0; i < N; i++) {
    ear_settle(&e[i]);
    assert_string_equal(ear_kinds(&e[i]), "snapshot input.accepted");
    ear_close(&e[i]);
  }
}

/* ---- ends ---- */

static void a_deleted_workers_watchers_are_ended(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  make(r);
  ear_open(&e, r, "a", NULL);
  ear_open(&f, r, "a", cursor_at(r, 0, 0));
  ear_settle(&e);
  rig_ok(r, STOP, "a", "");
  ear_settle(&e);
  assert_int_equal(e.st, YOI_AGAIN);
  rig_ok(r, DELETE, "a", "");
  ear_settle(&e);
  ear_settle(&f);
  assert_string_equal(ear_kinds(&e), "snapshot worker.stopped end");
  assert_true(ear_has(&e,
                      "end {\"reason\":\"worker_deleted\",\"code\":\"worker_not_found\","
                      "\"retryable\":false,"));
  assert_string_equal(ear_kinds(&f), "end"); /* its history is gone */
  assert_int_equal(ear_poll(&e), YOI_END);   /* sticky */
  ear_close(&e);
  ear_close(&f);
  assert_int_equal(fake_metric(r->fh, "yoi_watchers_ended_total", "worker_deleted"), 2);
}

static void watchers_are_limited(void **state) {
  struct rig *r = *state;
  struct ear e, f;
  rig_reopen(r, "{\"limits\":{\"watchers\":2}}", NULL);
  make(r);
  ear_open(&e, r, "a", NULL);
  ear_open(&f, r, "a", NULL);
  rig_refused(r, EVENTS, "a", "", YOI_CODE_LIMIT_REACHED);
  yoi_request follow = {.flags = YOI_REQ_FOLLOW};
  assert_int_equal(rig_call_as(r, INPUT, "a", "{\"content\":\"x\"}", &follow),
                   YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(fake_model_requests(r->fh), 0); /* refused before it is accepted */
  ear_close(&e);
  ear_open(&e, r, "a", NULL);
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.counts.watchers"), "2");
  ear_close(&e);
  ear_close(&f);
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.counts.watchers"), "0");
}

static void a_cancelled_watch_ends_and_the_turn_goes_on(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  in_pieces(r, 1);
  ear_follow(&e, r, "a", "{\"content\":\"hi\"}", "");
  ear_settle(&e);
  e.s->ops->cancel(e.s);
  assert_int_equal(fake_token_wakes(r->fh, e.token), 1); /* counts as news */
  e.s->ops->cancel(e.s);
  assert_int_equal(fake_token_wakes(r->fh, e.token), 0);
  assert_int_equal(ear_poll(&e), YOI_CANCELLED);
  assert_int_equal(ear_poll(&e), YOI_CANCELLED);
  ear_close(&e);
  open_gate(r);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.turn.state"), "\"completed\"");
}

/* ---- follow ---- */

static void a_replayed_follow_gives_that_turn_to_its_end(void **state) {
  struct rig *r = *state;
  struct ear first, again;
  make(r);
  ear_follow(&first, r, "a", "{\"content\":\"hi\"}", "k");
  ear_settle(&first);
  say(r); /* a later turn is none of it */
  ear_follow(&again, r, "a", "{\"content\":\"hi\"}", "k");
  ear_settle(&again);
  assert_string_equal(ear_kinds(&again), "ack turn.started message.completed turn.ended end");
  assert_int_equal(again.st, YOI_END);
  size_t ack = strcspn(first.heard.data, "\n");
  assert_int_equal(strncmp(first.heard.data, again.heard.data, ack + 1), 0);
  ear_close(&first);
  ear_close(&again);
  /* while it still runs */
  in_pieces(r, 2);
  ear_follow(&first, r, "a", "{\"content\":\"yo\"}", "k2");
  ear_settle(&first);
  ear_follow(&again, r, "a", "{\"content\":\"yo\"}", "k2");
  ear_settle(&again);
  assert_string_equal(ear_kinds(&again), "ack turn.started text.delta");
  open_gate(r);
  open_gate(r);
  ear_settle(&again);
  ear_settle(&first);
  assert_string_equal(ear_kinds(&again), ear_kinds(&again));
  assert_string_equal(first.heard.data, again.heard.data);
  ear_close(&first);
  ear_close(&again);
}

static void an_ack_carries_no_id(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  in_pieces(r, 1);
  ear_follow(&e, r, "a", "{\"content\":\"hi\"}", "");
  for (int i = 0; i < 10 && e.events == 0; i++) {
    if (ear_poll(&e) == YOI_AGAIN) rig_settle(r);
  }
  assert_string_equal(ear_kinds(&e), "ack");
  assert_string_equal(e.cursor, "");
  assert_true(ear_has(&e, "ack {\"ack\":{\"turn_id\":\""));
  ear_close(&e);
}

static void a_followed_note_ends_at_once(void **state) {
  struct rig *r = *state;
  struct ear e;
  make(r);
  ear_follow(&e, r, "a", "{\"content\":\"x\",\"kind\":\"system\"}", "");
  ear_settle(&e);
  assert_string_equal(ear_kinds(&e), "ack end");
  assert_true(ear_has(&e, "\"reason\":\"turn_ended\""));
  ear_close(&e);
}

static void a_refused_follow_is_no_stream(void **state) {
  struct rig *r = *state;
  struct ear e;
  ear_follow(&e, r, "a", "{\"content\":\"hi\"}", "");
  assert_null(e.s);
  assert_int_equal(r->err->code, YOI_CODE_WORKER_NOT_FOUND);
  ear_close(&e);
  make(r);
  eng_store_mem_fail(r->store, 1, 1);
  ear_follow(&e, r, "a", "{\"content\":\"hi\"}", "");
  if (e.s) ear_settle(&e); /* late: the error comes from next */
  assert_int_equal(r->err->code, YOI_CODE_STORE_ERROR);
  ear_close(&e);
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.counts.watchers"), "0");
}

static void a_follow_ends_with_a_stop_and_with_a_cancel(void **state) {
  struct rig *r = *state;
  struct ear e;
  for (int stop = 0; stop < 2; stop++) {
    rig_reopen(r, NULL, NULL);
    make(r);
    in_pieces(r, 1);
    ear_follow(&e, r, "a", "{\"content\":\"hi\"}", "");
    rig_settle(r);
    rig_ok(r, stop ? STOP : CANCEL, "a", "");
    ear_settle(&e);
    assert_true(ear_has(&e, stop ? "worker_stopped" : "cancel_requested"));
    assert_true(ear_has(&e, "end {\"reason\":\"turn_ended\""));
    assert_int_equal(e.st, YOI_END);
    ear_close(&e);
  }
}

/* ---- release in every state ---- */

static void a_stream_may_be_released_at_any_time(void **state) {
  struct rig *r = *state;
  for (int polls = 0; polls < 6; polls++)
    for (int cancel = 0; cancel < 2; cancel++) {
      struct ear e, f, g;
      rig_reopen(r, NULL, NULL);
      make(r);
      for (int i = 0; i < 20; i++) say(r);
      in_pieces(r, 2);
      ear_open(&e, r, "a", NULL);
      ear_open(&f, r, "a", cursor_at(r, 0, 0));
      ear_follow(&g, r, "a", "{\"content\":\"hi\"}", "k");
      for (int i = 0; i < polls; i++) {
        (void)ear_poll(&e);
        (void)ear_poll(&f);
        (void)ear_poll(&g);
        if (i % 2 && r->late) (void)eng_store_mem_step(r->store);
      }
      if (cancel) {
        e.s->ops->cancel(e.s);
        f.s->ops->cancel(f.s);
        g.s->ops->cancel(g.s);
      }
      ear_close(&e);
      ear_close(&f);
      ear_close(&g);
      rig_settle(r);
      open_gate(r);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(a_snapshot_says_where_one_stands),
      RIG_TESTS(a_snapshot_carries_the_text_in_flight),
      RIG_TESTS(events_are_flagged_and_numbered),
      RIG_TESTS(keys_and_prints_are_shown_to_nobody),
      RIG_TESTS(a_stream_cut_anywhere_goes_on_without_a_gap),
      RIG_TESTS(a_cursor_into_a_finished_message_gets_it_whole),
      RIG_TESTS(foreign_and_bad_cursors_are_refused),
      RIG_TESTS(a_cursor_at_the_end_waits_for_news),
      RIG_TESTS(what_there_is_ends_where_others_wait),
      RIG_TESTS(a_flag_is_for_its_operation_only),
      RIG_TESTS(a_long_history_is_replayed_in_order),
      RIG_TESTS(a_watcher_who_falls_behind_is_ended_as_lagged),
      RIG_TESTS(a_watcher_behind_a_whole_turn_gets_its_records),
      RIG_TESTS(the_last_turns_frames_are_kept_ten_seconds),
      RIG_TESTS(a_shared_token_is_woken_once),
      RIG_TESTS(many_tokens_are_all_woken),
      RIG_TESTS(a_deleted_workers_watchers_are_ended),
      RIG_TESTS(watchers_are_limited),
      RIG_TESTS(a_cancelled_watch_ends_and_the_turn_goes_on),
      RIG_TESTS(a_replayed_follow_gives_that_turn_to_its_end),
      RIG_TESTS(an_ack_carries_no_id),
      RIG_TESTS(a_followed_note_ends_at_once),
      RIG_TESTS(a_refused_follow_is_no_stream),
      RIG_TESTS(a_follow_ends_with_a_stop_and_with_a_cancel),
      RIG_TESTS(a_stream_may_be_released_at_any_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
