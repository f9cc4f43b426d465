/* artefact_tool.c - artefact_read: the engine's own tool.
 *
 * A model that is shown the beginning and the end of an output can read the
 * rest. The call is one like others, with the same records; only that nothing
 * of the host is asked: it reads the history of its own worker and changes
 * nothing, so there is nothing to allow. It is a stream like that of a plugin,
 * so what holds for calls holds for it too: cancel, deadline, bounds.
 *
 *   start ---> a read of the store ---> the part, as one event ---> END
 *
 * Invariants:
 *  1. A part is at most the profile's tool_result_bytes, so that it is never an
 *     artefact itself.
 *  2. The read has references of the stream and of the turn: either may be let
 *     go before it completes.
 */
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>

#include "artefact.h"
#include "turn.h"

#define NAME "artefact_read"

/* process-wide: nobody changes them; those of other tools are a spec's own. */
static char own_name[] = NAME, no_plugin[] = "", no_grants[] = "[]";

const struct eng_spec_tool eng_artefact_tool = {
    .name = own_name,
    .plugin = no_plugin,
    .grants = no_grants,
    .verdict = YOI_VERDICT_ALLOW,
    .flags = YOI_TOOL_READ_ONLY | YOI_TOOL_IDEMPOTENT,
    .max_ms = YOI_TOOL_MS_DEFAULT,
    .there = true,
};

const char eng_artefact_offer[] =
    "{\"name\":\"" NAME
    "\",\"description\":\"Reads on in the output of an earlier call that was too long to be "
    "shown whole. Its artefact_id stands where the output was cut.\",\"parameters\":{"
    "\"type\":\"object\",\"properties\":{"
    "\"artefact_id\":{\"type\":\"string\",\"description\":\"as it stands in the cut output\"},"
    "\"start\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"the first byte, default 0\"},"
    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"how many bytes, default as "
    "many as can be shown\"}},\"required\":[\"artefact_id\"],\"additionalProperties\":false}}";

struct asked {
  uint64_t sequence;
  int64_t start, limit; /* limit 0: as much as may be */
};

/* NULL, or what is wrong with it. */
static const char *read_arguments(yoi_str text, struct asked *out) {
  yoi_str id = yoi_sdk_json_raw_get(text, "artefact_id");
  yoi_str start = yoi_sdk_json_raw_get(text, "start");
  yoi_str limit = yoi_sdk_json_raw_get(text, "limit");
  *out = (struct asked){0};
  if (id.len == 0) return "'artefact_id' is missing: it stands where an output was cut";
  if (id.len >= 2 && id.ptr[0] == '"') id = (yoi_str){id.ptr + 1, id.len - 2};
  if (!yoi_sdk_parse_u64(id, YOI_JSON_INT_MAX, &out->sequence) || out->sequence == 0)
    return "'artefact_id' is no artefact's: it stands where an output was cut";
  if (start.len > 0 && (!yoi_sdk_json_raw_int(start, &out->start) || out->start < 0))
    return "'start' is not a whole number from 0 on";
  if (limit.len > 0 && (!yoi_sdk_json_raw_int(limit, &out->limit) || out->limit < 1))
    return "'limit' is not a whole number from 1 on";
  return NULL;
}

int eng_artefact_judge(struct eng_call *c) {
  struct asked asked;
  const char *wrong = read_arguments(c->arguments, &asked);
  if (!wrong) return 1;
  eng_call_end(c, ENG_CALL_ERROR, YOI_CODE_INVALID_REQUEST, "%s", wrong);
  return 0;
}

/* ---- the stream ---- */

struct part {
  yoi_stream head;
  atomic_uint refs;
  struct eng_turn *turn;
  struct eng_read *read;
  atomic_bool there; /* the read has completed */
  bool cancelled, said;
  struct asked asked;
  size_t limit;
  struct yoi_sdk_buf text;
  yoi_event event;
  const yoi_event *batch;
  char note[128];
};

static void part_unref(struct part *p) {
  if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) return;
  eng_read_free(p->read);
  yoi_sdk_buf_release(&p->text);
  yoi_sdk_free(p);
}

static void on_read(struct eng_read *r) {
  struct part *p = r->ctx;
  struct eng_turn *t = p->turn;
  bool closing = atomic_load(&t->w->eng->closing);
  atomic_store(&p->there, true);
  part_unref(p);
  if (!closing) eng_turn_kick(t);
  eng_turn_unref(t);
}

static yoi_status fail(const struct part *p, yoi_error *err) {
  if (p->read->st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the history could not be read");
  if (p->text.failed) return yoi_sdk_fail_memory(err);
  return yoi_sdk_fail(err, YOI_CODE_ARTEFACT_NOT_FOUND,
                      "there is no artefact '%llu': its id stands where an output was cut",
                      (unsigned long long)p->asked.sequence);
}

static yoi_status say(struct part *p, const yoi_event *const **out, size_t *n, yoi_error *err) {
  uint64_t start = (uint64_t)p->asked.start;
  p->said = true;
  if (!eng_artefact_text(p->read, p->asked.sequence, &p->text)) return fail(p, err);
  yoi_str whole = yoi_sdk_buf_str(&p->text);
  yoi_str part = eng_artefact_part(whole, &start, p->limit);
  unsigned long long end = start + part.len;
  if (end < whole.len)
    (void)snprintf(p->note, sizeof p->note, "bytes %llu to %llu of %zu; it goes on at start %llu",
                   (unsigned long long)start, end, whole.len, end);
  else
    (void)snprintf(p->note, sizeof p->note, "bytes %llu to %llu of %zu; this is the end",
                   (unsigned long long)start, end, whole.len);
  p->event = (yoi_event){.size = sizeof p->event, .kind = YOI_EVENT_TOOL_OUTPUT, .text = part};
  p->batch = &p->event;
  *out = &p->batch;
  *n = 1;
  return YOI_OK;
}

static yoi_status part_next(yoi_stream *s, const yoi_event *const **out, size_t *n,
                            yoi_error *err) {
  struct part *p = (struct part *)s;
  if (p->cancelled) {
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  if (!atomic_load(&p->there)) return YOI_AGAIN;
  return p->said ? YOI_END : say(p, out, n, err);
}

static void part_cancel(yoi_stream *s) {
  ((struct part *)s)->cancelled = true; /* who cancels polls next */
}

static void part_release(yoi_stream *s) {
  if (s) part_unref((struct part *)s);
}

static const yoi_stream_ops part_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = part_next,
    .cancel = part_cancel,
    .release = part_release,
};

yoi_stream *eng_artefact_start(struct eng_turn *t, const struct eng_call *c) {
  struct eng_worker *w = t->w;
  struct part *p = yoi_sdk_calloc(1, sizeof *p);
  if (!p) return NULL;
  p->read = eng_read_new(on_read, p);
  if (!p->read) {
    yoi_sdk_free(p);
    return NULL;
  }
  size_t most = (size_t)w->spec->limits.tool_result_bytes;
  (void)read_arguments(c->arguments, &p->asked); /* it was judged */
  p->head.ops = &part_ops;
  p->limit = p->asked.limit > 0 && (uint64_t)p->asked.limit < most ? (size_t)p->asked.limit : most;
  p->turn = eng_turn_ref(t);
  yoi_sdk_buf_init(&p->text, YOI_JSON_BYTES_MAX);
  atomic_init(&p->refs, 2);
  if (!eng_read_start(p->read, w->eng->store, w->log, p->asked.sequence, 1)) return &p->head;
  atomic_store(&p->there, true); /* at once */
  part_unref(p);
  eng_turn_unref(t);
  return &p->head;
}

const char *eng_artefact_note(const yoi_stream *s) {
  return ((const struct part *)s)->note;
}
