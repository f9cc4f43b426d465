/* ingress-http/wait.c - answers that are gathered from a stream.
 *
 * ?wait=SECONDS on worker.input: the follow stream is read until its turn has
 * ended, then 200 {turn, message}; when the time is over first, 202 with the
 * ack, and the turn goes on. What is kept is the ack, the last message of the
 * assistant and the turn; all else passes by.
 *
 * Batches of worker.events: {"events": [{"id"?, "event", "data"}], "cursor",
 * "end"}: what is there at once, or, with ?wait, the first news within that
 * time; `limit` events and HTTP_BATCH_BYTES at most. `cursor` is where the
 * next request goes on: behind what came, or behind more when the runtime says so
 * of what it left out, else the one that was given; `end` is null or the data of
 * the stream's end, which is an error's when one came, or the time was over, behind
 * the first events.
 *
 *  1. A quiet stream may be one that is not loaded yet, or not all of it. So a
 *     batch of what there is asks for that, YOI_REQ_ONCE, and is answered when the
 *     runtime says that this was all; its deadline is the operation's. Of a runtime
 *     that knows no such flag one is answered at the first pause, and none empty
 *     before HTTP_QUIET_MS.
 *  2. An ack that was given is an answer: an error behind it is not one.
 */
#include "http.h"

#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <string.h>

#define HTTP_BATCH_BYTES YOI_BODY_BYTES_MAX /* a batch ends when it passes this */

struct http_collect {
  uint8_t expired, has_turn, ended;
  uint32_t count;
  struct yoi_sdk_buf ack, message, turn; /* JSON */
  struct yoi_sdk_buf events;             /* the inside of the array */
  struct yoi_sdk_buf cursor;
};

static struct http_collect *collected(struct http_conn *c) {
  struct http_collect *w = c->x->collect;
  if (w) return w;
  w = yoi_sdk_calloc(1, sizeof *w);
  if (!w) return NULL;
  yoi_sdk_buf_init(&w->ack, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&w->message, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&w->turn, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&w->events, 2 * YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&w->cursor, YOI_CURSOR_MAX);
  c->x->collect = w;
  return w;
}

void http_wait_free(struct http_collect *w) {
  if (!w) return;
  yoi_sdk_buf_release(&w->ack);
  yoi_sdk_buf_release(&w->message);
  yoi_sdk_buf_release(&w->turn);
  yoi_sdk_buf_release(&w->events);
  yoi_sdk_buf_release(&w->cursor);
  yoi_sdk_free(w);
}

static void set(struct yoi_sdk_buf *b, yoi_str s) {
  yoi_sdk_buf_clear(b);
  yoi_sdk_buf_adds(b, s);
}

static int no_memory(struct http_conn *c) {
  struct yoi_sdk_error e;
  yoi_sdk_fail_memory(yoi_sdk_error_init(&e));
  http_answer_error(c, &e.e);
  return 1;
}

/* ---- one turn ------------------------------------------------------------- */

static void answer_ack(struct http_conn *c, struct http_collect *w) {
  http_answer_json(c, c->x->match.status, yoi_sdk_buf_str(&w->ack));
}

static int answer_turn(struct http_conn *c, struct http_collect *w) {
  struct yoi_sdk_buf body;
  struct yoi_sdk_jsonw j;
  yoi_sdk_buf_init(&body, 2 * YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&j, &body);
  yoi_sdk_jsonw_open(&j, '{');
  yoi_sdk_jsonw_kraw(&j, "turn", yoi_sdk_buf_str(&w->turn));
  yoi_sdk_jsonw_kraw(&j, "message", yoi_sdk_buf_str(&w->message));
  yoi_sdk_jsonw_close(&j, '}');
  if (body.failed | w->turn.failed | w->message.failed) no_memory(c);
  else http_answer_json(c, 200, yoi_sdk_buf_str(&body));
  yoi_sdk_buf_release(&body);
  return 1;
}

static void keep_message(struct http_collect *w, yoi_str data) {
  yoi_str item = yoi_sdk_json_raw_get(data, "item");
  if (yoi_sdk_str_is(yoi_sdk_json_raw_get(item, "role"), "\"assistant\"")) set(&w->message, item);
}

static int turn_events(struct http_conn *c, struct http_collect *w, const yoi_event *const *evs,
                       size_t n) {
  for (size_t i = 0; i < n; i++) {
    const yoi_event *ev = evs[i];
    if (ev->kind == YOI_EVENT_ACK) set(&w->ack, ev->text);
    else if (ev->kind == YOI_EVENT_MESSAGE_COMPLETED) keep_message(w, ev->text);
    else if (ev->kind == YOI_EVENT_TURN_ENDED) {
      set(&w->turn, yoi_sdk_json_raw_get(ev->text, "turn"));
      return answer_turn(c, w);
    }
  }
  return 0;
}

/* ---- a batch ---------------------------------------------------------------- */

static int answer_batch(struct http_conn *c, struct http_collect *w) {
  struct yoi_sdk_buf body;
  struct yoi_sdk_jsonw j;
  yoi_sdk_buf_init(&body, 4 * YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&j, &body);
  yoi_sdk_jsonw_open(&j, '{');
  yoi_sdk_jsonw_key(&j, "events");
  yoi_sdk_jsonw_open(&j, '[');
  yoi_sdk_buf_adds(&body, yoi_sdk_buf_str(&w->events));
  yoi_sdk_jsonw_close(&j, ']');
  yoi_sdk_jsonw_key(&j, "cursor");
  if (w->cursor.len > 0) yoi_sdk_jsonw_str(&j, yoi_sdk_buf_str(&w->cursor));
  else yoi_sdk_jsonw_null(&j);
  yoi_sdk_jsonw_kraw(&j, "end", w->ended ? yoi_sdk_buf_str(&w->turn) : YOI_LIT("null"));
  yoi_sdk_jsonw_close(&j, '}');
  if (body.failed | w->turn.failed) no_memory(c);
  else http_answer_json(c, 200, yoi_sdk_buf_str(&body));
  yoi_sdk_buf_release(&body);
  return 1;
}

static void add_event(struct http_collect *w, const yoi_event *ev) {
  struct yoi_sdk_jsonw j;
  const char *name = yoi_sdk_event_name(ev->kind);
  yoi_sdk_jsonw_init(&j, &w->events);
  if (w->count++ > 0) yoi_sdk_buf_addc(&w->events, ',');
  yoi_sdk_jsonw_open(&j, '{');
  yoi_sdk_jsonw_kstr_opt(&j, "id", ev->cursor);
  yoi_sdk_jsonw_kstr(&j, "event", yoi_sdk_str(name));
  yoi_sdk_jsonw_kraw(&j, "data", ev->text);
  yoi_sdk_jsonw_close(&j, '}');
  if (ev->cursor.len > 0) set(&w->cursor, ev->cursor);
}

void http_wait_from(struct http_conn *c, yoi_str body) {
  struct http_collect *w = collected(c);
  yoi_str cursor = yoi_sdk_json_raw_get(body, "cursor");
  if (!w || cursor.len < 3 || cursor.ptr[0] != '"') return;
  yoi_sdk_buf_clear(&w->cursor);
  (void)yoi_sdk_json_raw_unescape(cursor, &w->cursor);
}

static int batch_events(struct http_conn *c, struct http_collect *w, const yoi_event *const *evs,
                        size_t n) {
  uint32_t limit = c->x->params.has_limit ? c->x->params.limit : YOI_HTTP_BATCH_MAX;
  for (size_t i = 0; i < n; i++) {
    if (evs[i]->kind == YOI_EVENT_END) {
      yoi_str reason = yoi_sdk_json_raw_get(evs[i]->text, "reason");
      if (c->x->once && yoi_sdk_str_is(reason, "\"caught_up\"")) {
        http_wait_from(c, evs[i]->text); /* it may be behind the last one that was given */
        return answer_batch(c, w);
      }
      set(&w->turn, evs[i]->text);
      w->ended = 1;
      http_end_note(c, evs[i]->text);
      return answer_batch(c, w);
    }
    add_event(w, evs[i]);
    if (w->events.failed) return no_memory(c);
    if (w->count >= limit || w->events.len > HTTP_BATCH_BYTES) return answer_batch(c, w);
  }
  return 0;
}

/* ---- outside ------------------------------------------------------------------ */

int http_wait_events(struct http_conn *c, const yoi_event *const *evs, size_t n) {
  struct http_collect *w = collected(c);
  if (!w) return no_memory(c);
  return c->x->by == HTTP_BY_TURN ? turn_events(c, w, evs, n) : batch_events(c, w, evs, n);
}

/* Not all of what was asked for: behind events it is said in `end`. */
static int answer_failed(struct http_conn *c, struct http_collect *w, const yoi_error *err) {
  if (w->count == 0) {
    http_answer_error(c, err);
    return 1;
  }
  http_end_failed(c, err, yoi_sdk_buf_str(&w->cursor), &w->turn);
  w->ended = 1;
  return answer_batch(c, w);
}

static int answer_late(struct http_conn *c, struct http_collect *w) {
  struct yoi_sdk_error e;
  yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_TIMEOUT, "the deadline has passed");
  return answer_failed(c, w, &e.e);
}

int http_wait_quiet(struct http_conn *c, int expired) {
  struct http_collect *w = collected(c);
  if (!w) return no_memory(c);
  w->expired |= expired != 0;
  if (c->x->by == HTTP_BY_BATCH && c->x->once) return w->expired ? answer_late(c, w) : 0;
  if (c->x->by == HTTP_BY_BATCH) return w->count > 0 || w->expired ? answer_batch(c, w) : 0;
  if (!w->expired || w->ack.len == 0) return 0;
  answer_ack(c, w);
  return 1;
}

void http_wait_end(struct http_conn *c, yoi_status st, const yoi_error *err) {
  struct http_collect *w = collected(c);
  if (!w) no_memory(c);
  else if (c->x->by == HTTP_BY_BATCH && st == YOI_END) answer_batch(c, w);
  else if (c->x->by == HTTP_BY_BATCH) answer_failed(c, w, err);
  else if (w->ack.len > 0) answer_ack(c, w);
  else if (st != YOI_END) http_answer_error(c, err);
  else http_answer_code(c, YOI_CODE_INTERNAL, "the operation ended without an answer");
}
