/* replay.c - rebuilds from records exactly what the worker was.
 *
 * What is in memory of a worker follows from its records alone, so a worker
 * that was put to sleep, or whose process ended, is read and not guessed. The
 * texts come from a disk that an attacker or a careless editor may have
 * touched, and the checksum of a line only says that it is what was written
 * last: so every record is checked as JSON first, and then for being possible
 * where it stands:
 *
 *   worker.created --> IDLE <---------------------- turn.ended ------+
 *      the first       |  |  input.accepted, kind system: a note     |
 *                      |  +--> input.accepted --> turn.started --> RUNNING
 *                      |                                            messages,
 *                      |       worker.stopped                       tools,
 *                      +---------------------> STOPPED, the last    cancel
 *
 *   RUNNING too: input.accepted (it waits), turn.ended of one that waits
 *
 * Invariants:
 *  1. A record is taken whole or not at all; the first that makes no sense is
 *     where the worker is corrupt from, and what was before it can be read.
 *  2. Nothing is indexed with a number from a text that was not checked.
 *  3. An input waits iff its turn has neither started nor ended (queue.c). It
 *     had to wait iff another turn was there, which is what the engine asked
 *     when it accepted it; so items and places are those of then.
 *  4. Each call of a tool has one result. Those of an interrupted turn that
 *     have none are given one with the turn's end, in the same append, so that
 *     no later context lacks it.
 *  5. Calls of one message, and inputs that wait, are no more than the engine
 *     allows, so that a history that somebody made costs as much time as it is
 *     long.
 *  6. A turn that waits for a person goes on where it was; of its calls those
 *     that had been started get the result that nobody knows.
 *  7. An interrupted turn is owed its end like one that ended in memory: who
 *     dies before that append leaves the same records, and the next process
 *     does the same again.
 */
#include "replay.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "queue.h"

/* A full queue, one that interrupts, and one more in the record before which
 * that one has its end. */
#define WAITS_MAX (YOI_QUEUED_INPUTS_MAX + 2)

/* A turn that waits, in order. */
struct waits {
  char id[37];
  uint64_t sequence;
  uint32_t bytes, item; /* item: its place in w->items */
  bool front;
  bool fresh; /* nothing was before it: its turn.started comes next */
  char principal[YOI_PRINCIPAL_MAX + 1];
};

struct call {
  yoi_str id, whole; /* raw, in the frame that is held: its message's */
  struct eng_frame *frame, *asked;
  enum eng_call_state state;
  char approval[37], approver[YOI_PRINCIPAL_MAX + 1];
  uint64_t expires, resolved;
};

struct eng_replay {
  struct eng_worker *w;
  const char *why;
  bool memory; /* it was not the record's fault */
  uint64_t at; /* of the record that is looked at, wall time */
  yoi_str text;
  struct waits *waits;
  uint32_t n_waits, cap_waits;
  struct call *calls; /* without a result */
  uint32_t n_calls, cap_calls;
  bool created, stopped;
  /* the turn that runs */
  bool runs, cut;
  char turn[37], principal[YOI_PRINCIPAL_MAX + 1];
  uint64_t started, cancel_sequence, last_at;
  uint32_t step;
};

struct eng_replay *eng_replay_new(struct eng_worker *w) {
  struct eng_replay *r = yoi_sdk_calloc(1, sizeof *r);
  if (!r) return NULL;
  r->w = w;
  w->last = (struct eng_pos){0};
  return r;
}

static void forget_call(const struct call *c) {
  eng_frame_unref(c->frame);
  eng_frame_unref(c->asked);
}

static void forget_calls(struct eng_replay *r) {
  while (r->n_calls > 0) forget_call(&r->calls[--r->n_calls]);
}

void eng_replay_free(struct eng_replay *r) {
  if (!r) return;
  forget_calls(r);
  yoi_sdk_free(r->calls);
  yoi_sdk_free(r->waits);
  yoi_sdk_free(r);
}

const char *eng_replay_why(const struct eng_replay *r) {
  return r->why;
}

/* ---- what a record says ---- */

static int wrong(struct eng_replay *r, const char *why) {
  r->why = why;
  return 0;
}

static int no_memory(struct eng_replay *r) {
  r->memory = true;
  return 0;
}

/* The inside of a raw string without escapes. */
static int plain(yoi_str raw, yoi_str *out) {
  if (raw.len < 2 || raw.ptr[0] != '"' || memchr(raw.ptr, '\\', raw.len)) return 0;
  *out = (yoi_str){raw.ptr + 1, raw.len - 2};
  return 1;
}

static int is_text(yoi_str raw) {
  return raw.len >= 2 && raw.ptr[0] == '"';
}

static int is_object(yoi_str raw) {
  return raw.len >= 2 && raw.ptr[0] == '{';
}

static int raw_is(yoi_str raw, const char *s) {
  yoi_str v;
  return plain(raw, &v) && yoi_sdk_str_is(v, s);
}

/* 8-4-4-4-12 lower-case hex digits. */
static int is_uuid(yoi_str s) {
  if (s.len != 36) return 0;
  for (size_t i = 0; i < s.len; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    char c = s.ptr[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return 0;
  }
  return 1;
}

/* The record's turn_id; 0: it has none that is one. */
static int turn_of(yoi_str text, char out[37]) {
  yoi_str id;
  if (!plain(yoi_sdk_json_raw_get(text, "turn_id"), &id) || !is_uuid(id)) return 0;
  memcpy(out, id.ptr, 36);
  out[36] = 0;
  return 1;
}

static int time_of(yoi_str text, const char *name, uint64_t *out) {
  yoi_str s;
  return plain(yoi_sdk_json_raw_get(text, name), &s) && yoi_sdk_time_parse(s, out);
}

static int print_of(yoi_str aux, const char *name, struct eng_print *out) {
  yoi_str hex;
  return plain(yoi_sdk_json_raw_get(aux, name), &hex) && yoi_sdk_unhex(hex, out->b, sizeof out->b);
}

/* OK, or what add answers. */
static yoi_status check_text(struct eng_replay *r, yoi_str text, const char *why) {
  struct yoi_sdk_json_error jerr;
  yoi_status st = yoi_sdk_json_check(text, 0, &jerr);
  if (st == YOI_RESOURCE_EXHAUSTED && strcmp(jerr.message, "out of memory") == 0) return st;
  if (st == YOI_OK && text.ptr[0] == '{') return YOI_OK;
  r->why = why;
  return YOI_DATA_LOSS;
}

/* ---- the turn that runs ---- */

/* Empty when there is none; only the engine has written it. */
static void take_principal(yoi_str text, char out[YOI_PRINCIPAL_MAX + 1]) {
  yoi_str p;
  if (!plain(yoi_sdk_json_raw_get(text, "principal"), &p) || p.len > YOI_PRINCIPAL_MAX) p.len = 0;
  if (p.len > 0) memcpy(out, p.ptr, p.len);
  out[p.len] = 0;
}

static int needs_turn(struct eng_replay *r) {
  char id[37];
  if (!r->runs) return wrong(r, "it belongs to a turn, and none runs");
  if (!turn_of(r->text, id) || strcmp(id, r->turn) != 0)
    return wrong(r, "it is not of the turn that runs");
  return 1;
}

/* An item that is not an input's; its raw text. */
static int needs_item(struct eng_replay *r, const char *role, yoi_str *item) {
  *item = yoi_sdk_json_raw_get(r->text, "item");
  yoi_str content = is_object(*item) ? yoi_sdk_json_raw_get(*item, "content") : (yoi_str){0};
  if (!needs_turn(r)) return 0;
  if (!raw_is(yoi_sdk_json_raw_get(*item, "role"), role) || content.len == 0 ||
      content.ptr[0] != '[')
    return wrong(r, "its item is none");
  return 1;
}

static struct call *find_call(struct eng_replay *r, yoi_str raw_id) {
  for (uint32_t i = 0; i < r->n_calls; i++)
    if (yoi_sdk_str_eq(r->calls[i].id, raw_id)) return &r->calls[i];
  return NULL;
}

/* A text that is there, in a record of ours at most twice as long. */
static int is_text_of(yoi_str raw, size_t max) {
  return is_text(raw) && raw.len > 2 && raw.len <= 2 * max + 2;
}

static int add_call(struct eng_replay *r, struct eng_frame *f, yoi_str whole) {
  yoi_str raw_id = yoi_sdk_json_raw_get(whole, "id");
  if (!is_text(raw_id) || raw_id.len <= 2) return wrong(r, "a call has no id");
  if (!is_text_of(yoi_sdk_json_raw_get(whole, "name"), YOI_NAME_MAX) ||
      !is_text_of(yoi_sdk_json_raw_get(whole, "arguments"), YOI_TOOL_ARGUMENTS_MAX) ||
      raw_id.len > 6 * YOI_IDEMPOTENCY_KEY_MAX + 2)
    return wrong(r, "a call is not complete");
  if (r->n_calls == YOI_TOOL_CALLS_MAX) return wrong(r, "it has more calls than one can have");
  if (r->n_calls == r->cap_calls) {
    uint32_t cap = r->cap_calls ? 2 * r->cap_calls : 4;
    struct call *calls = yoi_sdk_reallocarray(r->calls, cap, sizeof *calls);
    if (!calls) return no_memory(r);
    r->calls = calls;
    r->cap_calls = cap;
  }
  r->calls[r->n_calls++] = (struct call){.id = raw_id, .whole = whole, .frame = eng_frame_ref(f)};
  return 1;
}

static int take_message(struct eng_replay *r, struct eng_frame *f) {
  yoi_str item, call;
  int64_t step = 0;
  if (!needs_item(r, "assistant", &item)) return 0;
  if (r->n_calls > 0) return wrong(r, "a call before it has no result");
  if (!yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(item, "step"), &step) || step < 1 ||
      step > YOI_STEPS_MAX)
    return wrong(r, "its step is none");
  yoi_str calls = yoi_sdk_json_raw_get(item, "tool_calls");
  for (size_t pos = 0; calls.len > 0 && yoi_sdk_json_raw_each(calls, &pos, &call);)
    if (!is_object(call) || !add_call(r, f, call))
      return r->memory || r->why ? 0 : wrong(r, "a call is none");
  r->step = (uint32_t)step;
  return 1;
}

/* Whatever else is said of a call: it must be one of the last message. */
static struct call *call_of(struct eng_replay *r, yoi_str raw_id) {
  struct call *c = is_text(raw_id) ? find_call(r, raw_id) : NULL;
  if (!c) (void)wrong(r, "no such call waits for a result");
  return c;
}

static int take_call(struct eng_replay *r, const struct eng_frame *f) {
  yoi_str id = f->ev.kind == YOI_EVENT_TOOL_REQUESTED
                   ? yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(r->text, "call"), "id")
                   : yoi_sdk_json_raw_get(r->text, "call_id");
  struct call *c = needs_turn(r) ? call_of(r, id) : NULL;
  if (!c) return 0;
  if (f->ev.kind != YOI_EVENT_TOOL_STARTED) return 1;
  if (c->state != ENG_CALL_NEW && c->state != ENG_CALL_APPROVED)
    return wrong(r, "the call was started, or waits for a person");
  c->state = ENG_CALL_STARTED;
  return 1;
}

static int take_asked(struct eng_replay *r, struct eng_frame *f) {
  yoi_str approval = yoi_sdk_json_raw_get(r->text, "approval"), id;
  if (!needs_turn(r) || !is_object(approval)) return wrong(r, "its approval is none");
  struct call *c = call_of(r, yoi_sdk_json_raw_get(approval, "call_id"));
  if (!c) return 0;
  if (c->state == ENG_CALL_STARTED || c->state == ENG_CALL_WAITS)
    return wrong(r, "the call was started, or waits for a person");
  if (!plain(yoi_sdk_json_raw_get(approval, "approval_id"), &id) || !is_uuid(id) ||
      !time_of(approval, "expires_at", &c->expires))
    return wrong(r, "its approval is none");
  memcpy(c->approval, id.ptr, 36);
  c->approval[36] = 0;
  eng_frame_unref(c->asked);
  c->asked = eng_frame_ref(f);
  c->state = ENG_CALL_WAITS;
  c->resolved = 0;
  return 1;
}

static void remember_resolved(struct eng_replay *r, const struct call *c, yoi_str decision) {
  struct eng_resolved_one one = {.sequence = c->resolved,
                                 .decision = raw_is(decision, "allow")  ? ENG_DECIDED_ALLOW
                                             : raw_is(decision, "deny") ? ENG_DECIDED_DENY
                                                                        : ENG_DECIDED_EXPIRED};
  memcpy(one.approval, c->approval, sizeof one.approval);
  memcpy(one.turn, r->turn, sizeof one.turn);
  eng_resolved_add(&r->w->resolved, &one);
}

/* Which call is meant says its id; that it waits for this approval is checked. */
static int take_resolved(struct eng_replay *r, const struct eng_frame *f) {
  yoi_str id, decision = yoi_sdk_json_raw_get(r->text, "decision");
  struct call *c = needs_turn(r) ? call_of(r, yoi_sdk_json_raw_get(r->text, "call_id")) : NULL;
  if (!c) return 0;
  if (c->state != ENG_CALL_WAITS || !plain(yoi_sdk_json_raw_get(r->text, "approval_id"), &id) ||
      !yoi_sdk_str_is(id, c->approval))
    return wrong(r, "no such approval is open");
  c->resolved = f->pos.sequence;
  remember_resolved(r, c, decision);
  if (!raw_is(decision, "allow")) {
    c->state = ENG_CALL_NEW; /* its result comes with it */
    return 1;
  }
  take_principal(r->text, c->approver);
  c->state = ENG_CALL_APPROVED;
  return 1;
}

/* Of which nobody knows what it did, or which has now been done. */
static int take_certainty(struct eng_replay *r, const struct call *c) {
  yoi_str status = yoi_sdk_json_raw_get(r->text, "status");
  bool uncertain = raw_is(status, "uncertain");
  struct eng_print print;
  if (!uncertain && (!raw_is(status, "ok") || r->w->uncertain.n == 0)) return 1;
  if (!eng_call_print(c->whole, &print)) return no_memory(r);
  if (uncertain)
    eng_uncertain_add(&r->w->uncertain, &print);
  else
    eng_uncertain_remove(&r->w->uncertain, &print);
  return 1;
}

static int take_result(struct eng_replay *r) {
  yoi_str item, id = yoi_sdk_json_raw_get(r->text, "call_id");
  if (!needs_item(r, "tool", &item)) return 0;
  struct call *c = is_text(id) ? find_call(r, id) : NULL;
  if (!c || !yoi_sdk_str_eq(yoi_sdk_json_raw_get(item, "tool_call_id"), id))
    return wrong(r, "no such call waits for a result");
  if (!take_certainty(r, c)) return 0;
  forget_call(c);
  memmove(c, c + 1, (size_t)(&r->calls[--r->n_calls] - c) * sizeof *c);
  return 1;
}

static int take_cancel(struct eng_replay *r, const struct eng_frame *f) {
  if (!needs_turn(r)) return 0;
  if (r->cut) return wrong(r, "the turn was cancelled before");
  r->cut = true;
  r->cancel_sequence = f->pos.sequence;
  return 1;
}

/* ---- those that wait ---- */

static int push_begun(struct eng_replay *r, const struct waits *x, uint64_t at) {
  struct eng_worker *w = r->w;
  if (!eng_queue_reserve(w)) return no_memory(r);
  struct eng_queue *q = w->queue;
  q->begun[q->n_begun++] = (struct eng_begun){.input = x->sequence, .at = at, .bytes = x->bytes};
  return 1;
}

static void drop_waits(struct eng_replay *r, uint32_t i) {
  memmove(&r->waits[i], &r->waits[i + 1], (--r->n_waits - i) * sizeof *r->waits);
}

/* The turn.started of one whose input nothing was before comes next; else it
 * waits like others. */
static void no_longer_fresh(struct eng_replay *r) {
  for (uint32_t i = 0; i < r->n_waits; i++) {
    if (!r->waits[i].fresh) continue;
    r->waits[i].fresh = false;
    r->w->items[r->waits[i].item].flags |= ENG_ITEM_APART;
  }
}

static int add_waits(struct eng_replay *r, const struct waits *x) {
  if (r->n_waits == WAITS_MAX) return wrong(r, "more inputs wait than can");
  if (r->n_waits == r->cap_waits) {
    uint32_t cap = r->cap_waits ? 2 * r->cap_waits : 4;
    struct waits *list = yoi_sdk_reallocarray(r->waits, cap, sizeof *list);
    if (!list) return no_memory(r);
    r->waits = list;
    r->cap_waits = cap;
  }
  uint32_t at = x->front ? 0 : r->n_waits;
  memmove(&r->waits[at + 1], &r->waits[at], (r->n_waits - at) * sizeof *r->waits);
  r->waits[at] = *x;
  r->n_waits++;
  return 1;
}

static int remember_key(struct eng_replay *r, const struct eng_frame *f, const char *turn) {
  yoi_str aux = eng_frame_aux(f);
  struct eng_idem_entry e = {.sequence = f->pos.sequence, .wall_ms = r->at / 1000000u};
  char hex[32];
  size_t n = 0;
  if (yoi_sdk_json_raw_get(aux, "key").len == 0) return 1;
  if (!print_of(aux, "key", &e.key) || !print_of(aux, "request", &e.request))
    return wrong(r, "its key is none");
  for (const char *c = turn; *c; c++)
    if (*c != '-') hex[n++] = *c;
  if (n > 0) (void)yoi_sdk_unhex((yoi_str){hex, n}, e.turn, sizeof e.turn);
  if (!eng_idem_reserve(&r->w->idem)) return no_memory(r);
  eng_idem_add(&r->w->idem, &e);
  return 1;
}

static int take_input(struct eng_replay *r, const struct eng_frame *f) {
  yoi_str kind = yoi_sdk_json_raw_get(r->text, "kind");
  yoi_str content = yoi_sdk_json_raw_get(r->text, "content");
  struct waits x = {.sequence = f->pos.sequence, .item = r->w->n_items};
  bool busy = r->runs || r->n_waits > 0, has_turn = turn_of(r->text, x.id) != 0;
  bool note = raw_is(kind, "system");
  if (!note && !raw_is(kind, "user")) return wrong(r, "its kind is neither user nor system");
  if (content.len == 0 || content.ptr[0] != '[') return wrong(r, "its content is no array");
  if (note == has_turn) return wrong(r, "its turn_id is missing, or should be");
  if (note && busy) return wrong(r, "system text came while a turn ran or waited");
  if (note) return remember_key(r, f, "");
  take_principal(r->text, x.principal);
  x.bytes = f->content_len ? f->content_len : (uint32_t)f->ev.text.len;
  x.fresh = !busy;
  x.front = busy && yoi_sdk_str_is(yoi_sdk_json_raw_get(eng_frame_aux(f), "front"), "true");
  for (uint32_t i = 0; i < r->n_waits; i++)
    if (strcmp(r->waits[i].id, x.id) == 0) return wrong(r, "its turn waits already");
  return add_waits(r, &x) && remember_key(r, f, x.id);
}

static int take_start(struct eng_replay *r, const struct eng_frame *f) {
  char id[37];
  if (r->runs) return wrong(r, "another turn runs");
  if (!turn_of(r->text, id) || r->n_waits == 0 || strcmp(r->waits[0].id, id) != 0)
    return wrong(r, "its turn is not the next one");
  if (!r->waits[0].fresh && !push_begun(r, &r->waits[0], f->pos.sequence)) return 0;
  memcpy(r->principal, r->waits[0].principal, sizeof r->principal);
  drop_waits(r, 0);
  memcpy(r->turn, id, sizeof id);
  r->runs = true;
  r->cut = false;
  r->step = 0;
  r->started = r->at;
  return 1;
}

static void keep_end(struct eng_replay *r, struct eng_frame *f) {
  eng_frame_unref(r->w->last_end);
  r->w->last_end = eng_frame_ref(f);
}

static int take_end(struct eng_replay *r, struct eng_frame *f) {
  yoi_str turn = yoi_sdk_json_raw_get(r->text, "turn"), state;
  char id[37], inner[37];
  uint32_t i = 0;
  if (!is_object(turn) || !turn_of(r->text, id) || !turn_of(turn, inner) ||
      strcmp(id, inner) != 0 || !plain(yoi_sdk_json_raw_get(turn, "state"), &state))
    return wrong(r, "its turn is none");
  if (r->runs && strcmp(id, r->turn) == 0) {
    if (r->n_calls > 0) return wrong(r, "a call of the turn has no result");
    r->runs = false;
    keep_end(r, f);
    return 1;
  }
  while (i < r->n_waits && strcmp(r->waits[i].id, id) != 0) i++;
  if (i == r->n_waits) return wrong(r, "its turn neither runs nor waits");
  if (!push_begun(r, &r->waits[i], f->pos.sequence)) return 0;
  /* One that could not be begun was owed its end, and shown as the last one. */
  if (yoi_sdk_str_is(state, "failed")) keep_end(r, f);
  drop_waits(r, i);
  return 1;
}

/* ---- the worker ---- */

/* The members that never change, as eng_shape_fixed wrote them. */
static int take_fixed(struct eng_replay *r, yoi_str worker) {
  static const char *const names[] = {"display_name", "intent", "profile", "config_bundle"};
  struct eng_worker *w = r->w;
  struct yoi_sdk_buf buf;
  size_t intent = 0;
  yoi_sdk_buf_init(&buf, 2 * YOI_JSON_BYTES_MAX);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    yoi_str raw = yoi_sdk_json_raw_get(worker, names[i]);
    if (i == 0 ? !is_text(raw) : i < 3 ? !is_object(raw) : raw.len == 0) {
      yoi_sdk_buf_release(&buf);
      return wrong(r, "its worker is not complete");
    }
    yoi_sdk_buf_addf(&buf, "%s\"%s\":", i > 0 ? "," : "", names[i]);
    if (i == 1) intent = buf.len;
    yoi_sdk_buf_adds(&buf, raw);
  }
  size_t len = 0;
  if (!buf.failed) w->fixed = yoi_sdk_buf_take(&buf, &len);
  yoi_sdk_buf_release(&buf);
  if (!w->fixed) return no_memory(r);
  w->intent = (yoi_str){w->fixed + intent, yoi_sdk_json_raw_get(worker, "intent").len};
  return 1;
}

static int take_created(struct eng_replay *r, const struct eng_frame *f) {
  struct eng_worker *w = r->w;
  yoi_str worker = yoi_sdk_json_raw_get(r->text, "worker"), id, aux = eng_frame_aux(f);
  struct eng_print key;
  struct eng_spec *spec = NULL;
  if (r->created) return wrong(r, "the worker was created before");
  if (!is_object(worker) || !plain(yoi_sdk_json_raw_get(worker, "worker_id"), &id) ||
      !yoi_sdk_str_eq(id, w->entry.id))
    return wrong(r, "it is of another worker");
  if (!time_of(worker, "created_at", &w->created_ns)) return wrong(r, "its created_at is none");
  if (!print_of(aux, "request", &w->print)) return wrong(r, "its request is none");
  bool keyed = print_of(aux, "key", &key) != 0;
  if (keyed != w->keyed || (keyed && !eng_print_eq(&key, &w->key)))
    return wrong(r, "its key is another");
  yoi_status st = f->shared ? eng_specs_restore(&w->eng->specs, f->shared, &spec) : YOI_DATA_LOSS;
  if (st == YOI_DATA_LOSS) return wrong(r, "its spec is none");
  if (st != YOI_OK) return no_memory(r);
  if (!take_fixed(r, worker)) {
    eng_spec_unref(&w->eng->specs, spec);
    return 0;
  }
  w->spec = spec;
  r->created = true;
  return 1;
}

static int take_stopped(struct eng_replay *r, const struct eng_frame *f) {
  struct eng_worker *w = r->w;
  if (r->runs || r->n_waits > 0) return wrong(r, "a turn runs or waits");
  w->stop_sequence = f->pos.sequence;
  w->stop_ended = yoi_sdk_str_is(yoi_sdk_json_raw_get(eng_frame_aux(f), "ended"), "true");
  r->stopped = true;
  return 1;
}

static int take(struct eng_replay *r, struct eng_frame *f) {
  switch (f->ev.kind) {
    case YOI_EVENT_WORKER_CREATED:
      return take_created(r, f);
    case YOI_EVENT_INPUT_ACCEPTED:
      return take_input(r, f);
    case YOI_EVENT_TURN_STARTED:
      return take_start(r, f);
    case YOI_EVENT_MESSAGE_COMPLETED:
      return take_message(r, f);
    case YOI_EVENT_TOOL_REQUESTED:
    case YOI_EVENT_TOOL_STARTED:
    case YOI_EVENT_POLICY_DECIDED:
      return take_call(r, f);
    case YOI_EVENT_TOOL_APPROVAL_REQUESTED:
      return take_asked(r, f);
    case YOI_EVENT_TOOL_APPROVAL_RESOLVED:
      return take_resolved(r, f);
    case YOI_EVENT_TOOL_COMPLETED:
      return take_result(r);
    case YOI_EVENT_TURN_CANCEL_REQUESTED:
      return take_cancel(r, f);
    case YOI_EVENT_TURN_ENDED:
      return take_end(r, f);
    case YOI_EVENT_WORKER_STOPPED:
      return take_stopped(r, f);
    case YOI_EVENT_DIAGNOSTIC:
      return 1;
    default: /* of a newer version */
      return wrong(r, "its kind is not known");
  }
}

static int reserve_item(struct eng_replay *r) {
  struct eng_worker *w = r->w;
  if (w->n_items < w->cap_items) return 1;
  uint32_t cap = w->cap_items ? w->cap_items + w->cap_items / 2 : 4;
  struct eng_item *grown = yoi_sdk_reallocarray(w->items, cap, sizeof *grown);
  if (!grown) return no_memory(r);
  w->items = grown;
  w->cap_items = cap;
  return 1;
}

static int in_order(struct eng_replay *r, const struct eng_frame *f) {
  int64_t said = 0;
  uint64_t next = r->w->last.sequence + 1;
  if (f->pos.sequence != next || f->pos.index != 0 ||
      !yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(r->text, "sequence"), &said) ||
      (uint64_t)said != next)
    return wrong(r, "its sequence is not the next one");
  if (!time_of(r->text, "at", &r->at)) return wrong(r, "its time is none");
  if (!r->created && f->ev.kind != YOI_EVENT_WORKER_CREATED)
    return wrong(r, "the worker was not created before");
  if (r->stopped) return wrong(r, "the worker was stopped before");
  return 1;
}

yoi_status eng_replay_add(struct eng_replay *r, struct eng_frame *f) {
  struct eng_worker *w = r->w;
  r->why = NULL;
  r->memory = false;
  r->text = f->ev.text;
  yoi_status st = check_text(r, f->ev.text, "it is not a JSON object");
  if (st == YOI_OK && f->aux_len > 0)
    st = check_text(r, eng_frame_aux(f), "its private part is not a JSON object");
  if (st != YOI_OK) return st;
  bool item = eng_frame_is_item(f) != 0, waits = r->n_waits > 0 || r->runs;
  int ok = in_order(r, f) && (!item || reserve_item(r));
  if (ok && f->ev.kind != YOI_EVENT_TURN_STARTED) no_longer_fresh(r);
  if (!ok || !take(r, f)) return r->memory ? YOI_RESOURCE_EXHAUSTED : YOI_DATA_LOSS;
  eng_worker_index(w, f, f->ev.kind == YOI_EVENT_INPUT_ACCEPTED && waits);
  w->last = f->pos;
  r->last_at = r->at;
  return YOI_OK;
}

/* ---- the end ---- */

/* One that was started is over, though nobody knows how. 0: memory is short. */
static int restore_call(struct eng_turn *t, const struct call *from) {
  if (!eng_call_restore(t, from->whole)) return 0;
  struct eng_call *c = &t->calls[t->n_calls - 1];
  c->recorded = true;
  c->state = from->state;
  c->expires = from->expires;
  c->resolved = from->resolved;
  c->allowed = from->state == ENG_CALL_APPROVED;
  c->begun = from->state == ENG_CALL_STARTED;
  c->asked = from->asked ? eng_frame_ref(from->asked) : NULL;
  memcpy(c->approval, from->approval, sizeof c->approval);
  c->approver = yoi_sdk_strndup(from->approver, strlen(from->approver));
  if (c->begun)
    eng_call_end(c, eng_call_is_harmless(c) ? ENG_CALL_ERROR : ENG_CALL_UNCERTAIN,
                 YOI_CODE_RUNTIME_UNAVAILABLE,
                 "the host was restarted while the tool ran; what it did is not known");
  return c->approver != NULL;
}

/* The turn that runs, with the calls that have no result. NULL: memory is
 * short. */
static struct eng_turn *restore_turn(struct eng_replay *r) {
  struct eng_turn *t = eng_turn_found(r->w, r->turn, yoi_sdk_str(r->principal));
  if (!t) return NULL;
  t->step = r->step;
  for (uint32_t i = 0; i < r->n_calls; i++) {
    if (restore_call(t, &r->calls[i])) continue;
    t->cleaned = true; /* it never began here */
    t->state = ENG_TURN_ENDED;
    eng_turn_unref(t);
    return NULL;
  }
  return t;
}

/* The turn that runs ran until its last record, as far as is known. */
static int owe_end(struct eng_replay *r, struct eng_after *after) {
  static const struct eng_end_of interrupted = {.ended = ENG_INTERRUPTED,
                                                .reason = "host_restarted"};
  static const struct eng_end_of cancelled = {.ended = ENG_CANCELLED, .reason = "cancel_requested"};
  struct eng_worker *w = r->w;
  struct eng_turn *t = restore_turn(r);
  if (!t) return 0;
  const struct eng_end_of *end = r->cut ? &cancelled : &interrupted;
  t->state = ENG_TURN_ENDED;
  t->cleaned = t->lost = true;
  t->cut = r->cut ? ENG_CUT_CANCEL : ENG_CUT_NONE;
  t->cancel_sequence = r->cancel_sequence;
  t->started_wall = r->started;
  for (uint32_t i = 0; i < t->n_calls; i++)
    if (!t->calls[i].ended)
      eng_call_end(&t->calls[i], ENG_CALL_ERROR, YOI_CODE_RUNTIME_UNAVAILABLE,
                   "the host was restarted before the tool was started");
  eng_worker_owe(w, t, end);
  t->started_mono = 1;
  t->ended_mono = 1 + (r->last_at > r->started ? r->last_at - r->started : 0);
  after->over[end->ended]++;
  return 1;
}

/* A person was asked, or has allowed it and it was not started: nothing has
 * to end because this process is another one. */
static bool goes_on(const struct eng_replay *r) {
  for (uint32_t i = 0; i < r->n_calls && !r->cut; i++)
    if (r->calls[i].state == ENG_CALL_WAITS || r->calls[i].state == ENG_CALL_APPROVED) return true;
  return false;
}

static int resume(struct eng_replay *r, struct eng_after *after) {
  struct eng_worker *w = r->w;
  struct eng_turn *t = restore_turn(r);
  if (!t) return 0;
  eng_turn_starts(t);
  t->started_wall = r->started;
  t->accepted_mono = t->started_mono;
  t->incomplete_usage = true;
  eng_worker_resume(w, t, after);
  return 1;
}

static int queue_all(struct eng_replay *r) {
  struct eng_worker *w = r->w;
  no_longer_fresh(r);
  for (uint32_t i = 0; i < r->n_waits; i++) {
    struct eng_turn *t = eng_queue_reserve(w)
                             ? eng_turn_found(w, r->waits[i].id, yoi_sdk_str(r->waits[i].principal))
                             : NULL;
    if (!t) return 0;
    t->input_sequence = r->waits[i].sequence;
    t->input_bytes = r->waits[i].bytes;
    eng_queue_add(w, t); /* they stand in order */
    t->front = r->waits[i].front;
  }
  return 1;
}

int eng_replay_end(struct eng_replay *r, struct eng_after *after) {
  struct eng_worker *w = r->w;
  bool on = r->runs && goes_on(r);
  if (queue_all(r) && (!r->runs || (on ? resume(r, after) : owe_end(r, after)))) {
    if (!on) atomic_store(&w->state, r->stopped ? ENG_STOPPED : ENG_IDLE);
    return 1;
  }
  while (eng_queue_first(w)) eng_turn_unref(eng_queue_take(w, w->last.sequence));
  return 0;
}

void eng_replay_corrupt(struct eng_replay *r) {
  struct eng_worker *w = r->w;
  no_longer_fresh(r);
  if (w->corrupt_ns == 0) w->corrupt_ns = eng_wall(w->eng);
  atomic_store(&w->state, ENG_CORRUPT);
}
