/* call.c - calls of tools, as a model asks for them and as records say.
 *
 * Invariants:
 *  1. A call is whole or it is none; its arguments stand in the history as a
 *     JSON object, so that no later request is refused for them.
 *  2. Each call that is in the history gets exactly one result there, whatever
 *     ends its turn: what is open then is closed in the same append.
 *  3. Of a tool that was started and did not end nobody knows what it did; when
 *     twice is not as good as once, its result says so, and the same call is
 *     asked for before it runs again.
 */
#include "call.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdarg.h>
#include <stdio.h>

#include "shapes.h"
#include "uncertain.h"

static void call_release(struct eng_call *c) {
  eng_frame_unref(c->asked);
  yoi_sdk_buf_release(&c->output);
  yoi_sdk_free(c->approver);
  yoi_sdk_free(c->text);
}

void eng_calls_clear(struct eng_turn *t) {
  for (uint32_t i = 0; i < t->n_calls; i++) call_release(&t->calls[i]);
  yoi_sdk_free(t->calls);
  t->calls = NULL;
  t->n_calls = 0;
  t->call_bytes = 0;
}

/* The same id twice in an answer, or none, could not be paired with results. */
static int id_is_good(const struct eng_turn *t, yoi_str id) {
  if (id.len == 0 || id.len > YOI_IDEMPOTENCY_KEY_MAX) return 0;
  for (uint32_t i = 0; i < t->n_calls; i++)
    if (yoi_sdk_str_eq(t->calls[i].id, id)) return 0;
  return 1;
}

/* Names that no wire would take back become ones that it does. */
static void mend_name(char *name, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char c = name[i];
    int good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    if (!good) name[i] = '_';
  }
}

static int arguments_are_object(yoi_str s) {
  size_t i = 0;
  while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\n' || s.ptr[i] == '\t' || s.ptr[i] == '\r'))
    i++;
  return i < s.len && s.ptr[i] == '{' && yoi_sdk_json_check(s, 0, NULL) == YOI_OK;
}

static int make_print(yoi_str name, yoi_str arguments, struct eng_print *out) {
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (!h) return 0;
  yoi_sdk_sha256_field(h, name);
  yoi_sdk_sha256_field(h, arguments);
  if (!yoi_sdk_sha256_final(h, sha)) return 0;
  memcpy(out->b, sha, sizeof out->b);
  return 1;
}

/* The three texts in one allocation; arguments that are none become {}. */
static int add(struct eng_turn *t, yoi_str id, yoi_str name, yoi_str args) {
  struct eng_call *calls = yoi_sdk_reallocarray(t->calls, t->n_calls + 1u, sizeof *calls);
  if (!calls) return 0;
  t->calls = calls;
  struct eng_call *c = &calls[t->n_calls];
  *c = (struct eng_call){.broken = !arguments_are_object(args)};
  if (c->broken) args = YOI_LIT("{}");
  char *own = c->text = yoi_sdk_malloc(id.len + name.len + args.len + 1);
  if (!own) return 0;
  memcpy(own, id.ptr, id.len);
  memcpy(own + id.len, name.ptr, name.len);
  memcpy(own + id.len + name.len, args.ptr, args.len);
  mend_name(own + id.len, name.len);
  c->id = (yoi_str){own, id.len};
  c->name = (yoi_str){own + id.len, name.len};
  c->arguments = (yoi_str){own + id.len + name.len, args.len};
  yoi_sdk_buf_init(&c->output, YOI_TOOL_OUTPUT_MAX + 64);
  if (!make_print(c->name, c->arguments, &c->print)) {
    yoi_sdk_free(own);
    return 0;
  }
  c->tool = eng_spec_tool(t->w->spec, c->name);
  t->call_bytes += id.len + name.len + args.len;
  t->n_calls++;
  return 1;
}

struct parts {
  struct yoi_sdk_buf buf;
  yoi_str id, name, arguments;
};

/* 0: it is no call, or memory is short. */
static int read_parts(struct parts *p, yoi_str text) {
  yoi_sdk_buf_init(&p->buf, 2 * YOI_TOOL_ARGUMENTS_MAX + 8 * YOI_IDEMPOTENCY_KEY_MAX);
  int ok = yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(text, "id"), &p->buf);
  size_t id_end = p->buf.len;
  ok = ok && yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(text, "name"), &p->buf);
  size_t name_end = p->buf.len;
  ok = ok && yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(text, "arguments"), &p->buf);
  p->id = (yoi_str){p->buf.data, id_end};
  p->name = (yoi_str){p->buf.data + id_end, name_end - id_end};
  p->arguments = (yoi_str){p->buf.data + name_end, p->buf.len - name_end};
  return ok && name_end > id_end;
}

const char *eng_call_take(struct eng_turn *t, yoi_str text) {
  struct parts p;
  char made[32];
  if (t->n_calls == YOI_TOOL_CALLS_MAX) return "too_large";
  if (!read_parts(&p, text)) {
    yoi_sdk_buf_release(&p.buf);
    return "malformed";
  }
  for (uint32_t k = t->n_calls + 1u; !id_is_good(t, p.id); k++) { /* one may have been made so */
    int n = snprintf(made, sizeof made, "call_%u_%u", t->step, k);
    p.id = (yoi_str){made, (size_t)n};
  }
  if (p.name.len > YOI_NAME_MAX) p.name.len = yoi_sdk_utf8_cut(p.name, YOI_NAME_MAX);
  int added = !p.buf.failed && add(t, p.id, p.name, p.arguments);
  yoi_sdk_buf_release(&p.buf);
  return added ? NULL : "too_large";
}

int eng_call_restore(struct eng_turn *t, yoi_str text) {
  struct parts p;
  int ok = read_parts(&p, text) && !p.buf.failed && add(t, p.id, p.name, p.arguments);
  yoi_sdk_buf_release(&p.buf);
  return ok;
}

int eng_call_print(yoi_str text, struct eng_print *out) {
  struct parts p;
  int ok = read_parts(&p, text) && !p.buf.failed && make_print(p.name, p.arguments, out);
  yoi_sdk_buf_release(&p.buf);
  return ok;
}

bool eng_call_is_harmless(const struct eng_call *c) {
  return c->tool && (c->tool->flags & YOI_TOOL_IDEMPOTENT) != 0;
}

void eng_call_end(struct eng_call *c, enum eng_call_status status, int32_t code, const char *fmt,
                  ...) {
  struct eng_outcome *o = &c->outcome;
  va_list ap;
  c->ended = true;
  o->status = status;
  o->code = code;
  va_start(ap, fmt);
  int n = vsnprintf(o->message, sizeof o->message, fmt, ap);
  va_end(ap);
  if (n < 0) o->message[0] = '\0';
  /* Never cut inside a character: it goes into JSON. */
  yoi_str said = yoi_sdk_str(o->message);
  o->message[said.len - yoi_sdk_utf8_tail(said)] = '\0';
}

/* ---- under the worker's lock ---- */

void eng_calls_unstage(struct eng_turn *t) {
  for (uint32_t i = 0; t && i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    c->next = ENG_CALL_NEW;
    if (c->state != ENG_CALL_WAITS) continue;
    c->allowed = c->expired = false; /* nobody has said anything that counts */
    c->resolved = 0;
  }
}

uint32_t eng_calls_open(const struct eng_turn *t) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < t->n_calls; i++)
    n += t->calls[i].recorded && t->calls[i].state != ENG_CALL_OVER;
  return n;
}

bool eng_calls_wait(const struct eng_turn *t) {
  for (uint32_t i = 0; i < t->n_calls; i++)
    if (t->calls[i].state == ENG_CALL_WAITS) return true;
  return false;
}

static void outcome_of(const struct eng_call *c, struct eng_outcome *o) {
  bool harmless = eng_call_is_harmless(c);
  bool started = c->state == ENG_CALL_STARTED && c->begun;
  *o = (struct eng_outcome){.status =
                                started && !harmless ? ENG_CALL_UNCERTAIN : ENG_CALL_CANCELLED};
  (void)snprintf(o->message, sizeof o->message, "%s",
                 !started   ? "the turn was ended before the tool was started"
                 : harmless ? "the turn was ended while the tool ran"
                            : "the turn was ended while the tool ran; what it did is not known");
}

void eng_calls_stage_ends(struct eng_stage *s, struct eng_turn *t, bool own) {
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    struct eng_outcome o;
    if (!c->recorded || c->state == ENG_CALL_OVER) continue;
    outcome_of(c, &o);
    bool known = own && c->ended;
    eng_stage_add(s, eng_record_tool_completed(s, t, c, known ? &c->outcome : &o, known));
    c->status = known ? c->outcome.status : o.status;
    c->next = ENG_CALL_OVER;
  }
}

/* Who answers it again is told what became of it. */
static void remember_resolved(struct eng_turn *t, const struct eng_call *c) {
  struct eng_resolved_one one = {.sequence = c->resolved,
                                 .decision = c->expired   ? ENG_DECIDED_EXPIRED
                                             : c->allowed ? ENG_DECIDED_ALLOW
                                                          : ENG_DECIDED_DENY};
  if (c->state != ENG_CALL_WAITS || c->resolved == 0) return;
  memcpy(one.approval, c->approval, sizeof one.approval);
  memcpy(one.turn, t->id, sizeof one.turn);
  eng_resolved_add(&t->w->resolved, &one);
}

void eng_calls_applied(struct eng_turn *t) {
  for (uint32_t i = 0; i < t->n_calls; i++) {
    struct eng_call *c = &t->calls[i];
    if (!c->recorded) c->recorded = true;
    if (c->next == ENG_CALL_NEW) continue;
    remember_resolved(t, c);
    c->state = c->next;
    c->next = ENG_CALL_NEW;
    if (c->state != ENG_CALL_OVER) continue;
    if (c->status == ENG_CALL_UNCERTAIN && !eng_call_is_harmless(c))
      eng_uncertain_add(&t->w->uncertain, &c->print);
    if (c->status == ENG_CALL_OK) eng_uncertain_remove(&t->w->uncertain, &c->print);
  }
}
