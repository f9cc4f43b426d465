/* tools.c - runs the calls of one answer of a model, all at once.
 *
 *   judge       what may run, what is asked for, what is refused (the host)
 *   stage       written down, in the append that has the answer itself
 *   look        starts what was written down as started; takes in what it
 *               says; writes down each result as it comes
 *   stop        cancels, and gives a grace to say what was done
 *
 * Invariants:
 *  1. A tool is started once, behind the append of its tool.started, and never
 *     when the turn is cut: `held` keeps a cancel from being acknowledged
 *     between the last look at that and the start.
 *  2. A call that a person allowed is judged once more before it is written down
 *     as started: what was forbidden meanwhile does not run.
 *  3. What is taken in is valid UTF-8 without NUL, and bounded. Behind the
 *     bound, and behind its deadline, a call is cancelled and has the grace that
 *     yoi/tool.h promises; then its stream is let go.
 *  4. One timer for all: the next deadline, grace or expiry.
 *  5. While people are waited for and nothing runs, the turn's own time stands
 *     still.
 */
#include "tools.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "artefact.h"
#include "shapes.h"

#define MS 1000000u

/* ---- the host, in the turn that it has for this one ---- */

static yoi_status find_at_host(const struct eng_turn *t, yoi_str plugin, yoi_str name,
                               yoi_tool_info *out) {
  const struct eng_engine *eng = t->w->eng;
  if (eng->turns) return eng->turns->tool_find(eng->host, t->host_turn, plugin, name, out, NULL);
  return eng->tools->find(eng->host, plugin, name, out, NULL);
}

static yoi_status decide_at_host(const struct eng_turn *t, const yoi_tool_call *call,
                                 yoi_tool_decision *out, yoi_error *err) {
  const struct eng_engine *eng = t->w->eng;
  if (eng->turns) return eng->turns->tool_decide(eng->host, t->host_turn, call, out, err);
  return eng->tools->decide(eng->host, call, out, err);
}

static yoi_status start_at_host(const struct eng_turn *t, const yoi_tool_call *call,
                                yoi_stream **out, yoi_error *err) {
  const struct eng_engine *eng = t->w->eng;
  if (eng->turns) return eng->turns->tool_start(eng->host, t->host_turn, call, out, err);
  return eng->tools->start(eng->host, call, out, err);
}

/* ---- may it run ---- */

/* The same whenever and wherever this call is looked at, and no other's: a model
 * may give the calls of two steps one id. 0: memory is short. */
static int key_of(const struct eng_turn *t, const struct eng_call *c, char hex[64]) {
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char number[2 * 24];
  if (!h) return 0;
  int n = snprintf(number, sizeof number, "%llu %u", (unsigned long long)t->w->epoch, t->step);
  yoi_sdk_sha256_field(h, t->w->entry.id);
  yoi_sdk_sha256_field(h, (yoi_str){number, (size_t)n});
  yoi_sdk_sha256_field(h, yoi_sdk_str(t->id));
  yoi_sdk_sha256_field(h, c->id);
  if (!yoi_sdk_sha256_final(h, sha)) return 0;
  yoi_sdk_hex(sha, sizeof sha, hex);
  return 1;
}

/* What the rules of its bundle say of a call, and which one does. */
struct of_bundle {
  uint32_t verdict;
  yoi_str rule, reason;
};

static struct of_bundle ask_bundle(const struct eng_turn *t, const yoi_tool_call *q,
                                   const struct eng_call *c) {
  struct of_bundle b = {.verdict = YOI_VERDICT_ABSTAIN};
  if (t->w->spec->n_rules == 0) return b;
  const yoi_policy_request req = {
      .size = sizeof req,
      .operation = YOI_LIT("tool.start"),
      .principal = q->principal,
      .worker_id = q->worker_id,
      .request_id = q->request_id,
      .tool = q->name,
      .plugin = q->plugin,
      .arguments = q->arguments,
      .grants = q->grants,
      .tool_flags = c->tool->flags,
      .asked_again = (q->flags & YOI_TOOL_CALL_DECIDED) != 0,
  };
  b.verdict = eng_spec_judge(t->w->spec, &req, eng_mono(t->w->eng), &b.rule, &b.reason);
  return b;
}

/* The host knows the layer and not its rules. */
static void name_rule(yoi_tool_decision *d, const struct of_bundle *b) {
  if (d->plugin[0] || strcmp(d->rule, "bundle") != 0 || b->rule.len == 0) return;
  (void)snprintf(d->rule, sizeof d->rule, "bundle/%.*s", YOI_ARG(b->rule));
  if (b->reason.len > 0)
    (void)snprintf(d->reason, sizeof d->reason, "%.*s",
                   (int)yoi_sdk_utf8_cut(b->reason, sizeof d->reason - 1), b->reason.ptr);
}

static yoi_tool_call question(const struct eng_turn *t, const struct eng_call *c,
                              struct of_bundle *out_bundle) {
  yoi_tool_call q = {
      .size = sizeof(yoi_tool_call),
      .flags = c->state == ENG_CALL_NEW && !c->judged ? 0 : YOI_TOOL_CALL_DECIDED,
      .deadline_ns = c->until,
      .token = t->token,
      .plugin = yoi_sdk_str(c->tool->plugin),
      .name = c->name,
      .arguments = c->arguments,
      .worker_id = t->w->entry.id,
      .call_id = c->id,
      .principal = t->principal,
      .grants = yoi_sdk_str(c->tool->grants),
      .approval = c->allowed ? yoi_sdk_str(c->approval) : (yoi_str){0},
      .approved_by = c->allowed ? yoi_sdk_str(c->approver) : (yoi_str){0},
      .request_id = t->request_id,
      .trace = t->trace,
      .profile_verdict = c->tool->verdict,
  };
  *out_bundle = ask_bundle(t, &q, c);
  q.bundle_verdict = out_bundle->verdict;
  return q;
}

/* The same call over and over: nothing new will come of it. */
static bool loops(struct eng_turn *t, const struct eng_call *c) {
  bool same = t->repeats > 0 && eng_print_eq(&t->repeated, &c->print);
  t->repeated = c->print;
  t->repeats = same ? t->repeats + 1 : 1;
  return t->repeats > YOI_TOOL_REPEATS_MAX;
}

/* An earlier one like it may have had its effect: a person is asked. */
static void ask_if_uncertain(struct eng_turn *t, struct eng_call *c) {
  if (c->said.verdict != YOI_VERDICT_ALLOW || eng_call_is_harmless(c)) return;
  pthread_mutex_lock(&t->w->mu);
  int uncertain = eng_uncertain_has(&t->w->uncertain, &c->print);
  pthread_mutex_unlock(&t->w->mu);
  if (!uncertain) return;
  c->said = (yoi_tool_decision){.size = sizeof c->said,
                                .verdict = YOI_VERDICT_ASK,
                                .rule = "uncertain",
                                .reason = "an earlier call like this may have had its effect"};
}

static void deny(struct eng_call *c) {
  const char *reason = c->said.reason[0] ? c->said.reason : "policy does not allow it";
  eng_call_end(c, ENG_CALL_DENIED, YOI_CODE_POLICY_DENIED, "the call was denied: %s", reason);
}

/* An approval is for the plugin as it was: another file is asked for anew. */
static void match_plugin(struct eng_turn *t, struct eng_call *c) {
  yoi_tool_info info = {.size = sizeof info};
  char quoted[YOI_SDK_DIGEST_SIZE + 2] = "null";
  if (find_at_host(t, yoi_sdk_str(c->tool->plugin), c->name, &info) != YOI_OK) info.digest.len = 0;
  (void)snprintf(c->digest, sizeof c->digest, "%.*s", YOI_ARG(info.digest));
  if (c->state != ENG_CALL_APPROVED) return;
  if (c->digest[0]) (void)snprintf(quoted, sizeof quoted, "\"%s\"", c->digest);
  yoi_str approval = yoi_sdk_json_raw_get(c->asked->ev.text, "approval");
  if (yoi_sdk_str_is(yoi_sdk_json_raw_get(approval, "tool_digest"), quoted)) return;
  pthread_mutex_lock(&t->w->mu);
  c->allowed = false;
  pthread_mutex_unlock(&t->w->mu);
}

/* Without any code of the tool; either `ended`, or `said`. */
static void judge(struct eng_turn *t, struct eng_call *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  if (c->broken) {
    eng_call_end(c, ENG_CALL_ERROR, YOI_CODE_INVALID_REQUEST,
                 "the arguments of '%.*s' are not a JSON object", YOI_ARG(c->name));
    return;
  }
  if (!c->tool || !c->tool->there) {
    eng_call_end(c, ENG_CALL_ERROR, YOI_CODE_NOT_FOUND, "there is no tool '%.*s'",
                 YOI_ARG(c->name));
    return;
  }
  if (c->state == ENG_CALL_NEW && !c->recorded && loops(t, c)) {
    eng_call_end(c, ENG_CALL_ERROR, YOI_CODE_LIMIT_REACHED,
                 "the same call was made %d times in a row: do something else, or stop",
                 YOI_TOOL_REPEATS_MAX);
    return;
  }
  if (c->tool == &eng_artefact_tool) { /* there is nothing to allow, and nobody to ask */
    c->said =
        (yoi_tool_decision){.size = sizeof c->said, .verdict = YOI_VERDICT_ALLOW, .rule = "engine"};
    c->judged = eng_artefact_judge(c) != 0;
    return;
  }
  match_plugin(t, c);
  struct of_bundle of_bundle;
  yoi_tool_call q = question(t, c, &of_bundle);
  c->said = (yoi_tool_decision){.size = sizeof c->said};
  yoi_status st = decide_at_host(t, &q, &c->said, err);
  c->judged = st == YOI_OK;
  name_rule(&c->said, &of_bundle);
  if (st != YOI_OK) {
    eng_call_end(c, ENG_CALL_ERROR, err->code, "%s", err->message);
  } else if (c->said.verdict != YOI_VERDICT_ALLOW && c->said.verdict != YOI_VERDICT_ASK) {
    c->said.verdict = YOI_VERDICT_DENY;
    deny(c);
  } else if (!c->allowed) {
    ask_if_uncertain(t, c);
  }
}

void eng_tools_judge(struct eng_turn *t) {
  for (uint32_t i = 0; i < t->n_calls; i++)
    if (!t->calls[i].judged && !t->calls[i].ended) judge(t, &t->calls[i]);
}

void eng_tools_forgo(struct eng_turn *t, const char *why) {
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    if (c->ended) continue;
    c->judged = false;
    eng_call_end(c, ENG_CALL_CANCELLED, YOI_CODE_LIMIT_REACHED, "the call was not made: %s", why);
  }
}

/* ---- writing down ---- */

static void stage_result(struct eng_stage *s, struct eng_turn *t, struct eng_call *c) {
  uint64_t most = t->w->spec->limits.tool_result_bytes;
  size_t said = strlen(c->outcome.message);
  t->tool_bytes += (c->output.len < most ? c->output.len : most) + said +
                   (c->outcome.status == ENG_CALL_OK ? 0 : sizeof "error: " - 1);
  eng_stage_add(s, eng_record_tool_completed(s, t, c, &c->outcome, true));
  c->next = ENG_CALL_OVER;
  c->status = c->outcome.status;
}

static void stage_asked(struct eng_stage *s, struct eng_turn *t, struct eng_call *c) {
  struct eng_frame *f = eng_record_approval_requested(s, t, c);
  eng_stage_add(s, f);
  eng_frame_unref(c->asked);
  c->asked = f ? eng_frame_ref(f) : NULL;
  c->judged = false; /* once more when a person has allowed it */
  c->next = ENG_CALL_WAITS;
}

static void stage_started(struct eng_stage *s, struct eng_turn *t, struct eng_call *c) {
  uint64_t until = eng_mono(t->w->eng) + (uint64_t)c->tool->max_ms * MS, end = eng_turn_until(t);
  c->until = until < end ? until : end;
  eng_stage_add(s, eng_record_tool_started(s, t, c));
  c->next = ENG_CALL_STARTED;
}

static bool is_to_be_staged(const struct eng_call *c) {
  if (c->state == ENG_CALL_OVER || c->next != ENG_CALL_NEW) return false;
  return c->ended || (c->judged && (c->state == ENG_CALL_NEW || c->state == ENG_CALL_APPROVED));
}

void eng_tools_stage(struct eng_stage *s, struct eng_turn *t) {
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    if (!is_to_be_staged(c)) continue;
    bool decides = c->state == ENG_CALL_NEW || c->state == ENG_CALL_APPROVED;
    if (decides && c->judged) eng_stage_add(s, eng_record_policy_decided(s, t, c));
    if (c->ended)
      stage_result(s, t, c);
    else if (c->said.verdict == YOI_VERDICT_ASK && !c->allowed)
      stage_asked(s, t, c);
    else
      stage_started(s, t, c);
  }
}

/* Nobody has answered in time. */
static void stage_expired(struct eng_stage *s, struct eng_turn *t, struct eng_call *c) {
  c->resolved = eng_stage_pos(s).sequence;
  c->expired = true;
  eng_stage_add(s, eng_record_approval_resolved(s, t, c, "expired", (yoi_str){0}, (yoi_str){0}));
  eng_call_end(c, ENG_CALL_DENIED, YOI_CODE_POLICY_DENIED,
               "the call was denied: nobody has allowed it in time");
  stage_result(s, t, c);
}

static bool is_expired(const struct eng_turn *t, const struct eng_call *c) {
  return c->state == ENG_CALL_WAITS && eng_wall(t->w->eng) >= c->expires;
}

static void stage_news(struct eng_turn *t, struct eng_after *after) {
  struct eng_stage *s = eng_stage_new(t->w, ENG_DO_STEP, 2 * t->n_calls);
  if (s) {
    s->turn = eng_turn_ref(t);
    for (uint32_t i = 0; i < t->n_calls; i++)
      if (is_expired(t, &t->calls[i])) stage_expired(s, t, &t->calls[i]);
    eng_tools_stage(s, t);
  }
  if (s && s->n == s->owed) /* its time came between the two looks at the clock */
    eng_stage_free(s);
  else if (!s || !eng_stage_commit(s, after))
    eng_turn_short(t, after);
}

/* 1: something is staged, or the turn has ended for want of memory, or what
 * others have staged is first. */
int eng_tools_write(struct eng_turn *t) {
  struct eng_worker *w = t->w;
  struct eng_after after = {0};
  bool news = false;
  pthread_mutex_lock(&w->mu); /* a person answers on any thread */
  for (uint32_t i = 0; i < t->n_calls && !news; i++)
    news = is_to_be_staged(&t->calls[i]) || is_expired(t, &t->calls[i]);
  if (news && t->state == ENG_TURN_TOOLS && t->cut != ENG_CUT_CANCEL && !w->stage)
    stage_news(t, &after);
  eng_worker_leave(w, &after);
  return news;
}

/* ---- running ---- */

static void let_go(struct eng_call *c) {
  yoi_stream *s = c->stream;
  c->stream = NULL;
  if (s) s->ops->release(s);
}

/* The last look before a start: with it a cancel waits. From here on it may have
 * had its effect. */
static bool hold(struct eng_turn *t, struct eng_call *c) {
  pthread_mutex_lock(&t->w->mu);
  bool may = t->state == ENG_TURN_TOOLS && t->cut == ENG_CUT_NONE && !t->w->stage;
  if (may) t->w->held = c->begun = true;
  pthread_mutex_unlock(&t->w->mu);
  return may;
}

static void start(struct eng_turn *t, struct eng_call *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  char key[64];
  struct of_bundle of_bundle;
  yoi_tool_call q = question(t, c, &of_bundle);
  if (!key_of(t, c, key)) {
    eng_call_end(c, ENG_CALL_ERROR, YOI_CODE_INTERNAL, "the tool was not started: memory is short");
    return;
  }
  q.idempotency_key = (yoi_str){key, sizeof key};
  if (!hold(t, c)) return;
  yoi_status st = YOI_OK;
  if (c->tool != &eng_artefact_tool)
    st = start_at_host(t, &q, &c->stream, err);
  else if (!(c->stream = eng_artefact_start(t, c)))
    st = yoi_sdk_fail_memory(err);
  eng_worker_unhold(t->w);
  if (st == YOI_OK) return;
  c->stream = NULL;
  /* Nothing of it has run. */
  enum eng_call_status status = st == YOI_PERMISSION_DENIED || st == YOI_FAILED_PRECONDITION
                                    ? ENG_CALL_DENIED
                                    : ENG_CALL_ERROR;
  eng_call_end(c, status, err->code, "%s", err->message);
}

/* Valid text, and no NUL: it goes into JSON that has to be read again. */
static void add_clean(struct yoi_sdk_buf *out, yoi_str s) {
  size_t from = 0;
  if (yoi_sdk_utf8_valid(s) && !memchr(s.ptr, 0, s.len)) {
    yoi_sdk_buf_adds(out, s);
    return;
  }
  for (size_t i = 0; i < s.len;) {
    size_t n = 1;
    while (n < 4 && i + n < s.len && ((unsigned char)s.ptr[i + n] & 0xC0) == 0x80) n++;
    yoi_str one = {s.ptr + i, n};
    if (s.ptr[i] == 0 || !yoi_sdk_utf8_valid(one)) {
      yoi_sdk_buf_add(out, s.ptr + from, i - from);
      yoi_sdk_buf_adds(out, YOI_LIT("\xEF\xBF\xBD"));
      from = i + n;
    }
    i += n;
  }
  yoi_sdk_buf_add(out, s.ptr + from, s.len - from);
}

static void show(struct eng_turn *t, struct eng_call *c, yoi_str text) {
  struct eng_after after = {0};
  if (text.len == 0 || c->progress >= YOI_TOOL_PROGRESS_BYTES_MAX) return;
  pthread_mutex_lock(&t->w->mu);
  while (text.len > 0 && t->state == ENG_TURN_TOOLS && c->progress < YOI_TOOL_PROGRESS_BYTES_MAX) {
    size_t room = YOI_TOOL_PROGRESS_BYTES_MAX - c->progress;
    if (room > YOI_DELTA_BYTES_MAX) room = YOI_DELTA_BYTES_MAX;
    size_t n = text.len > room ? yoi_sdk_utf8_cut(text, room) : text.len;
    if (n == 0) { /* less than a character is left */
      c->progress = YOI_TOOL_PROGRESS_BYTES_MAX;
      break;
    }
    struct eng_frame *f = eng_live_progress(t, c->id, (yoi_str){text.ptr, n});
    eng_worker_emit(t->w, f, &after);
    eng_frame_unref(f);
    c->progress += n;
    text = (yoi_str){text.ptr + n, text.len - n};
  }
  eng_worker_leave(t->w, &after);
}

/* Behind a piece that ended inside a character: takes the rest of it from text,
 * as far as it is there. */
static void join_tail(struct eng_call *c, yoi_str *text) {
  while (c->n_tail > 0 && text->len > 0) {
    c->tail[c->n_tail++] = *text->ptr;
    yoi_str one = {c->tail, c->n_tail};
    bool more = yoi_sdk_utf8_tail(one) == one.len;
    if (!more && !yoi_sdk_utf8_valid(one)) { /* it was none: this byte begins anew */
      one.len--;
    } else {
      text->ptr++;
      text->len--;
    }
    if (more) continue;
    add_clean(&c->output, one);
    c->n_tail = 0;
  }
}

static void take_output(struct eng_turn *t, struct eng_call *c, yoi_str text) {
  size_t before = c->output.len, had = before + c->n_tail;
  size_t room = had < YOI_TOOL_OUTPUT_MAX ? YOI_TOOL_OUTPUT_MAX - had : 0;
  if (text.len > room) {
    text.len = yoi_sdk_utf8_cut(text, room);
    c->full = true;
  }
  join_tail(c, &text);
  size_t tail = yoi_sdk_utf8_tail(text);
  add_clean(&c->output, (yoi_str){text.ptr, text.len - tail});
  if (tail > 0) memcpy(c->tail, text.ptr + text.len - tail, tail);
  if (tail > 0) c->n_tail = tail;
  if (c->output.failed) { /* replacements are longer than what they replace */
    c->output.failed = 0;
    c->full = true;
  }
  show(t, c, (yoi_str){c->output.data + before, c->output.len - before});
}

static void take_status(struct eng_turn *t, struct eng_call *c, yoi_str text) {
  struct yoi_sdk_buf clean;
  if (text.len > YOI_DELTA_BYTES_MAX) text.len = yoi_sdk_utf8_cut(text, YOI_DELTA_BYTES_MAX);
  yoi_sdk_buf_init(&clean, 4 * YOI_DELTA_BYTES_MAX);
  add_clean(&clean, text);
  if (!clean.failed) show(t, c, yoi_sdk_buf_str(&clean));
  yoi_sdk_buf_release(&clean);
}

/* How the stream ended. */
static void take_end(struct eng_call *c, yoi_status st, const yoi_error *err) {
  char note[128] = "";
  if (c->output.len == 0) (void)snprintf(note, sizeof note, "done, without output");
  if (c->tool == &eng_artefact_tool)
    (void)snprintf(note, sizeof note, "%s", eng_artefact_note(c->stream));
  let_go(c);
  if (c->n_tail > 0) add_clean(&c->output, (yoi_str){c->tail, c->n_tail});
  c->n_tail = 0;
  if (c->full) {
    eng_call_end(c, ENG_CALL_ERROR, YOI_CODE_LIMIT_REACHED,
                 "the output passed %d bytes, so the tool was stopped", YOI_TOOL_OUTPUT_MAX);
  } else if (st == YOI_END) {
    eng_call_end(c, ENG_CALL_OK, 0, "%s", note);
  } else if (st == YOI_UNKNOWN && !eng_call_is_harmless(c)) {
    eng_call_end(c, ENG_CALL_UNCERTAIN, err->code, "%s; what the tool did is not known",
                 err->message);
  } else if (st == YOI_CANCELLED && c->late) {
    eng_call_end(c, ENG_CALL_ERROR, YOI_CODE_TIMEOUT, "the tool took too long and was stopped");
  } else if (st == YOI_CANCELLED) {
    eng_call_end(c, ENG_CALL_CANCELLED, 0, "%s",
                 err->message[0] ? err->message : "the tool was stopped");
  } else {
    eng_call_end(c, ENG_CALL_ERROR, err->code, "%s", err->message);
  }
}

static void stop(struct eng_turn *t, struct eng_call *c) {
  if (c->stopped || !c->stream) return;
  c->stopped = true;
  c->until = eng_mono(t->w->eng) + (uint64_t)YOI_CANCEL_GRACE_MS * MS;
  c->stream->ops->cancel(c->stream);
}

/* 1: there was something. */
static int poll(struct eng_turn *t, struct eng_call *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  yoi_status st = c->stream->ops->next(c->stream, &evs, &n, err);
  if (st == YOI_AGAIN) return 0;
  if (st != YOI_OK) {
    take_end(c, st, err);
    return 1;
  }
  for (size_t i = 0; i < n && !c->full; i++) {
    if (evs[i]->kind == YOI_EVENT_TOOL_OUTPUT) take_output(t, c, evs[i]->text);
    if (evs[i]->kind == YOI_EVENT_TOOL_STATUS) take_status(t, c, evs[i]->text);
  }
  if (c->full) stop(t, c);
  return 1;
}

/* It had its time, or its grace. */
static void overdue(struct eng_turn *t, struct eng_call *c) {
  if (!c->stopped) {
    c->late = true;
    stop(t, c);
    return;
  }
  let_go(c);
  eng_call_end(c, eng_call_is_harmless(c) ? ENG_CALL_ERROR : ENG_CALL_UNCERTAIN, YOI_CODE_TIMEOUT,
               "the tool was stopped and did not end; what it did is not known");
}

static int run(struct eng_turn *t, bool may_start) {
  uint64_t now = eng_mono(t->w->eng);
  int more = 0;
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    if (c->state != ENG_CALL_STARTED || c->ended) continue;
    if (!c->begun && may_start) {
      start(t, c);
      more |= c->begun || c->ended;
    }
    if (!c->stream) continue;
    more |= poll(t, c);
    if (!c->stream || now < c->until) continue; /* one that floods too */
    overdue(t, c);
    more = 1;
  }
  return more;
}

/* ---- time ---- */

static void on_timer(void *ctx) {
  struct eng_turn *t = ctx;
  t->tool_timer = 0;
  t->tool_due = 0;
  eng_turn_kick(t);
  eng_turn_unref(t);
}

static void stop_timer(struct eng_turn *t) {
  if (!t->tool_timer) return;
  t->w->eng->loop->timer_cancel(t->w->eng->host, t->tool_timer);
  t->tool_timer = 0;
  t->tool_due = 0;
  eng_turn_unref(t); /* the caller has another */
}

static uint64_t next_due(const struct eng_turn *t) {
  const struct eng_engine *eng = t->w->eng;
  uint64_t due = UINT64_MAX, now = eng_mono(eng), wall = eng_wall(eng);
  for (uint32_t i = 0; i < t->n_calls; i++) {
    const struct eng_call *c = &t->calls[i];
    uint64_t at = UINT64_MAX;
    if (c->stream) at = c->until;
    if (c->state == ENG_CALL_WAITS) at = now + (c->expires > wall ? c->expires - wall : 0);
    if (at < due) due = at;
  }
  return due;
}

/* 0: the host has none left. */
static int set_timer(struct eng_turn *t) {
  struct eng_engine *eng = t->w->eng;
  uint64_t due = next_due(t);
  if (t->tool_timer && t->tool_due <= due && due != UINT64_MAX)
    return 1; /* it looks, and sets the next */
  stop_timer(t);
  if (due == UINT64_MAX) return 1;
  if (eng->loop->timer(eng->host, due, on_timer, t, &t->tool_timer) == YOI_OK) {
    t->tool_due = due;
    (void)eng_turn_ref(t);
    return 1;
  }
  t->tool_timer = 0;
  return 0;
}

void eng_tools_release(struct eng_turn *t) {
  stop_timer(t);
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    if (c->stream) c->stream->ops->cancel(c->stream);
    let_go(c);
  }
}

/* ---- the turn's calls ---- */

int eng_tools_run(const struct eng_turn *t) {
  for (uint32_t i = 0; i < t->n_calls; i++)
    if (t->calls[i].state == ENG_CALL_STARTED && !t->calls[i].ended) return 1;
  return 0;
}

int eng_tools_look(struct eng_turn *t) {
  eng_turn_clock(t, true);
  if (t->failed) return 1;
  int more = run(t, true);
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    bool undecided = c->state == ENG_CALL_APPROVED || c->state == ENG_CALL_NEW;
    if (undecided && !c->judged && !c->ended) judge(t, c);
  }
  if (eng_tools_write(t) || more) return 1;
  if (!set_timer(t)) {
    eng_turn_short_of_host(t);
    return 1;
  }
  if (!eng_tools_run(t)) eng_turn_clock(t, false);
  return 0;
}

enum eng_tools_stopped eng_tools_stop(struct eng_turn *t) {
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    stop(t, c);
    if (c->state == ENG_CALL_STARTED && !c->begun && !c->ended)
      eng_call_end(c, ENG_CALL_CANCELLED, 0, "the turn was ended before the tool was started");
  }
  int more = run(t, false);
  if (eng_tools_run(t) && more) return ENG_TOOLS_AGAIN;
  if (eng_tools_run(t) && set_timer(t)) return ENG_TOOLS_WAIT;
  for (uint32_t i = 0; i < t->n_calls; i++) /* nobody would say when their grace is over */
    if (t->calls[i].stream) overdue(t, &t->calls[i]);
  stop_timer(t);
  return ENG_TOOLS_QUIET;
}
