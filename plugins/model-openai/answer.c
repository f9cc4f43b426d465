/* answer.c - what a provider's chunks say, as events of yoi.model/1.
 *
 * Bytes in, events out; no network, no clock, so that every quirk is a unit
 * test. A chunk is checked once as JSON and then read in place: no tree is
 * built, the text of a delta is unescaped straight into the buffer that the
 * holder will be given.
 *
 * The chunks of one answer differ in one string and nothing else. So the last
 * plain text chunk is kept as a `shape`: when head and tail of the next one
 * are the same bytes and what lies between them is one valid JSON string, it
 * has been read already but for that string. That is exact, not a guess: the
 * bytes around it were accepted before, in the same places.
 *
 *   event --[DONE]--> done            close --> text's end, calls, USAGE, FINISH
 *     |---- error --> failure
 *     |---- same shape --> text
 *     \---- chunk --> error, usage, choices[0] --> delta, finish_reason
 *
 * Invariants:
 *  1. `emitted` is set before the first event can be seen by anybody.
 *  2. Text is UTF-8 and whole characters (text.c); a change of kind ends the
 *     text before it.
 *  3. USAGE at most once, FINISH exactly once, both in close.
 */
#include "oai.h"

#include <sdk/error.h>

void oai_answer_init(struct oai_answer *a) {
  memset(a, 0, sizeof *a);
  oai_out_init(&a->out);
  yoi_sdk_buf_init(&a->mended, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&a->scratch, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&a->shape, YOI_SSE_EVENT_MAX);
  for (int i = 0; i < OAI_USAGE_N; i++) a->usage[i] = -1;
}

void oai_answer_clear(struct oai_answer *a) {
  oai_out_clear(&a->out);
  oai_calls_clear(&a->calls);
  yoi_sdk_buf_clear(&a->mended);
  yoi_sdk_buf_clear(&a->scratch);
  yoi_sdk_buf_clear(&a->shape);
  a->text.n_held = 0;
  a->text_kind = a->finish = a->chunks = a->shape_kind = 0;
  a->done = a->closed = a->emitted = a->has_usage = 0;
  a->bytes[0] = a->bytes[1] = 0;
  a->odd_finish[0] = '\0';
  for (int i = 0; i < OAI_USAGE_N; i++) a->usage[i] = -1;
}

void oai_answer_release(struct oai_answer *a) {
  oai_out_release(&a->out);
  oai_calls_release(&a->calls);
  yoi_sdk_buf_release(&a->mended);
  yoi_sdk_buf_release(&a->scratch);
  yoi_sdk_buf_release(&a->shape);
}

static const char *failed(struct oai_failure *f, const char *kind, const char *what) {
  oai_failure_set(f, kind, "%s", what);
  return f->kind;
}

static int is_string(yoi_str raw) {
  return raw.len >= 2 && raw.ptr[0] == '"';
}

static int is_set(yoi_str raw) {
  return raw.len && !yoi_sdk_str_is(raw, "null");
}

#define NAME(s) {s, sizeof(s) - 1}

/* The values of those members of an object that have one of n names, in one
 * pass. Names are as they stand: no server escapes the letters of its own. */
static void members(yoi_str object, const yoi_str *names, yoi_str *out, size_t n) {
  size_t pos = 0;
  yoi_str key, value;
  while (yoi_sdk_json_raw_member(object, &pos, &key, &value))
    for (size_t i = 0; i < n; i++)
      if (key.len == names[i].len && memcmp(key.ptr, names[i].ptr, key.len) == 0) out[i] = value;
}

/* ---- text ------------------------------------------------------------------ */

static void end_text(struct oai_answer *a) {
  size_t from = a->out.fill.text.len;
  if (!a->text_kind) return;
  oai_text_end(&a->text, &a->out.fill.text);
  oai_out_commit(&a->out, a->text_kind, from);
}

/* After the text from `from` on was appended. */
static const char *text_written(struct oai_answer *a, uint32_t kind, size_t from,
                                struct oai_failure *f) {
  size_t n = a->out.fill.text.len - from;
  size_t *sum = &a->bytes[kind == YOI_EVENT_MODEL_REASONING];
  if (n) a->emitted = 1;
  oai_out_commit(&a->out, kind, from);
  if (a->out.failed) return failed(f, "too_large", "no memory for the answer's text");
  *sum += n;
  return *sum > YOI_MESSAGE_BYTES_MAX ? failed(f, "too_large", "the text passed its limit") : NULL;
}

/* raw: a string of the text that was checked; loose: the same place of the
 * original, when that had to be mended, else empty. */
static const char *add_text(struct oai_answer *a, uint32_t kind, yoi_str raw, yoi_str loose,
                            struct oai_failure *f) {
  struct yoi_sdk_buf *text = &a->out.fill.text;
  if (a->text_kind != kind) end_text(a);
  a->text_kind = kind;
  size_t from = text->len;
  if (!loose.len && a->text.n_held == 0) {
    yoi_sdk_json_raw_unescape(raw, text);
    return text_written(a, kind, from, f);
  }
  struct yoi_sdk_buf piece;
  yoi_sdk_buf_init(&piece, YOI_JSON_BYTES_MAX);
  int good = oai_text_loose(loose.len ? loose : raw, &a->scratch, &piece) && !piece.failed;
  if (good) oai_text_add(&a->text, yoi_sdk_buf_str(&piece), text);
  yoi_sdk_buf_release(&piece);
  return good ? text_written(a, kind, from, f) : failed(f, "too_large", "no memory for a delta");
}

/* ---- the same chunk again --------------------------------------------------- */

static int same_shape(const struct oai_answer *a, yoi_str data, yoi_str *out_raw) {
  size_t around = a->shape_head + a->shape_tail;
  if (!a->shape_kind || a->text.n_held || data.len < around + 2) return 0;
  const char *tail = data.ptr + data.len - a->shape_tail;
  if (memcmp(data.ptr, a->shape.data, a->shape_head) != 0 ||
      memcmp(tail, a->shape.data + a->shape.len - a->shape_tail, a->shape_tail) != 0)
    return 0;
  *out_raw = (yoi_str){data.ptr + a->shape_head, data.len - around};
  return out_raw->ptr[0] == '"' && yoi_sdk_json_check(*out_raw, 0, NULL) == YOI_OK;
}

static void keep_shape(struct oai_answer *a, yoi_str data, uint32_t kind, yoi_str raw) {
  yoi_sdk_buf_clear(&a->shape);
  yoi_sdk_buf_adds(&a->shape, data);
  a->shape_kind = a->shape.failed ? 0 : kind;
  a->shape_head = (size_t)(raw.ptr - data.ptr);
  a->shape_tail = data.len - a->shape_head - raw.len;
}

/* ---- a chunk ---------------------------------------------------------------- */

struct chunk {
  struct oai_answer *a;
  struct oai_failure *f;
  yoi_str json;     /* checked */
  yoi_str original; /* of the same length; empty when json is it */
  /* For the shape: the one text of this chunk, if it is no more than that. */
  uint32_t texts, others;
  uint32_t kind;
  yoi_str raw;
};

static const char *text_field(struct chunk *c, yoi_str raw, uint32_t kind) {
  yoi_str loose = {0};
  if (!is_string(raw)) return NULL;
  if (raw.len > 2) {
    c->texts++;
    c->kind = kind;
    c->raw = raw;
  }
  if (c->original.len)
    loose = (yoi_str){c->original.ptr + (raw.ptr - c->json.ptr), raw.len};
  return add_text(c->a, kind, raw, loose, c->f);
}

/* content is text, or in answers that are no streams a list of parts. */
static const char *content(struct chunk *c, yoi_str raw) {
  const char *kind = NULL;
  size_t pos = 0;
  yoi_str part;
  if (is_string(raw)) return text_field(c, raw, YOI_EVENT_MODEL_TEXT);
  if (!is_set(raw) || raw.ptr[0] != '[') return NULL;
  c->others++;
  while (!kind && yoi_sdk_json_raw_each(raw, &pos, &part))
    kind = text_field(c, yoi_sdk_json_raw_get(part, "text"), YOI_EVENT_MODEL_TEXT);
  return kind;
}

static const char *tool_calls(struct chunk *c, yoi_str list) {
  size_t pos = 0, n = 0, i = 0;
  yoi_str one;
  const char *kind = NULL;
  while (yoi_sdk_json_raw_each(list, &pos, &one)) n++;
  c->others += n > 0;
  for (pos = 0; !kind && yoi_sdk_json_raw_each(list, &pos, &one); i++)
    kind = oai_calls_add(&c->a->calls, one, i, n, c->f);
  return kind;
}

static const char *delta(struct chunk *c, yoi_str d) {
  enum { REASONING_CONTENT, REASONING, CONTENT, REFUSAL, TOOL_CALLS, FUNCTION_CALL, N };
  static const yoi_str names[N] = {
      [REASONING_CONTENT] = NAME("reasoning_content"), [REASONING] = NAME("reasoning"),
      [CONTENT] = NAME("content"),                     [REFUSAL] = NAME("refusal"),
      [TOOL_CALLS] = NAME("tool_calls"),               [FUNCTION_CALL] = NAME("function_call")};
  yoi_str v[N] = {{0}};
  members(d, names, v, N);
  yoi_str reasoning = is_string(v[REASONING_CONTENT]) ? v[REASONING_CONTENT] : v[REASONING];
  const char *kind = text_field(c, reasoning, YOI_EVENT_MODEL_REASONING);
  if (!kind) kind = content(c, v[CONTENT]);
  if (!kind) kind = text_field(c, v[REFUSAL], YOI_EVENT_MODEL_TEXT);
  if (!kind && is_set(v[TOOL_CALLS])) kind = tool_calls(c, v[TOOL_CALLS]);
  if (!kind && is_set(v[FUNCTION_CALL])) {
    c->others++;
    kind = oai_calls_add_legacy(&c->a->calls, v[FUNCTION_CALL], c->f);
  }
  return kind;
}

static void finish_reason(struct oai_answer *a, yoi_str raw) {
  static const struct {
    const char *word;
    uint32_t finish;
  } rows[] = {{"\"stop\"", OAI_FINISH_STOP},
              {"\"length\"", OAI_FINISH_LENGTH},
              {"\"tool_calls\"", OAI_FINISH_TOOLS},
              {"\"function_call\"", OAI_FINISH_TOOLS},
              {"\"content_filter\"", OAI_FINISH_FILTER}};
  if (!is_string(raw) || raw.len == 2) return;
  a->finish = OAI_FINISH_ODD;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (yoi_sdk_str_is(raw, rows[i].word)) a->finish = rows[i].finish;
  if (a->finish == OAI_FINISH_ODD)
    snprintf(a->odd_finish, sizeof a->odd_finish, "%.*s", (int)(raw.len < 30 ? raw.len - 2 : 28),
             raw.ptr + 1);
}

static void usage(struct oai_answer *a, yoi_str u) {
  enum { PROMPT, COMPLETION, CACHE_HIT, IN_DETAILS, OUT_DETAILS, N };
  static const yoi_str names[N] = {[PROMPT] = NAME("prompt_tokens"),
                                   [COMPLETION] = NAME("completion_tokens"),
                                   [CACHE_HIT] = NAME("prompt_cache_hit_tokens"),
                                   [IN_DETAILS] = NAME("prompt_tokens_details"),
                                   [OUT_DETAILS] = NAME("completion_tokens_details")};
  yoi_str v[N] = {{0}};
  members(u, names, v, N);
  yoi_str cached = yoi_sdk_json_raw_get(v[IN_DETAILS], "cached_tokens");
  if (!is_set(cached)) cached = v[CACHE_HIT];
  const yoi_str raw[OAI_USAGE_N] = {v[PROMPT], v[COMPLETION], cached,
                                    yoi_sdk_json_raw_get(v[OUT_DETAILS], "reasoning_tokens")};
  for (int i = 0; i < OAI_USAGE_N; i++) {
    int64_t n;
    if (!yoi_sdk_json_raw_int(raw[i], &n) || n < 0) continue;
    a->usage[i] = n;
    a->has_usage = 1;
  }
}

/* The one choice that we asked for; others are ignored. */
static const char *choices(struct chunk *c, yoi_str list) {
  enum { INDEX, DELTA, MESSAGE, FINISH, N };
  static const yoi_str names[N] = {[INDEX] = NAME("index"),
                                   [DELTA] = NAME("delta"),
                                   [MESSAGE] = NAME("message"),
                                   [FINISH] = NAME("finish_reason")};
  size_t pos = 0;
  yoi_str choice;
  const char *kind = NULL;
  while (!kind && yoi_sdk_json_raw_each(list, &pos, &choice)) {
    yoi_str v[N] = {{0}};
    int64_t index = 0;
    members(choice, names, v, N);
    if (yoi_sdk_json_raw_int(v[INDEX], &index) && index != 0) {
      c->others++;
      continue;
    }
    kind = delta(c, is_set(v[DELTA]) ? v[DELTA] : v[MESSAGE]);
    c->others += is_set(v[FINISH]) != 0;
    finish_reason(c->a, v[FINISH]);
  }
  return kind;
}

/* The JSON text to read: data, or its mended copy. */
static const char *checked(struct oai_answer *a, yoi_str data, struct chunk *c,
                           struct oai_failure *f) {
  yoi_status st = yoi_sdk_json_check(data, 0, NULL);
  c->json = data;
  if (st == YOI_INVALID_ARGUMENT) {
    yoi_sdk_buf_clear(&a->mended);
    if (!oai_text_mend(data, &a->mended)) return failed(f, "too_large", "no memory for a chunk");
    st = yoi_sdk_json_check(yoi_sdk_buf_str(&a->mended), 0, NULL);
    c->json = yoi_sdk_buf_str(&a->mended);
    c->original = data;
  }
  if (st == YOI_RESOURCE_EXHAUSTED) return failed(f, "too_large", "a chunk passed a limit");
  if (st != YOI_OK) {
    failed(f, "malformed", "a chunk is not JSON");
    oai_failure_quote(f, data);
    return f->kind;
  }
  return NULL;
}

static const char *chunk(struct oai_answer *a, yoi_str data, struct oai_failure *f) {
  enum { ERROR, CHOICES, USAGE, N };
  static const yoi_str names[N] = {
      [ERROR] = NAME("error"), [CHOICES] = NAME("choices"), [USAGE] = NAME("usage")};
  struct chunk c = {.a = a, .f = f};
  yoi_str v[N] = {{0}};
  const char *kind = checked(a, data, &c, f);
  if (kind) return kind;
  members(c.json, names, v, N);
  if (is_set(v[ERROR])) {
    oai_failure_event(f, c.json);
    return f->kind;
  }
  if (is_set(v[CHOICES])) a->chunks++;
  kind = choices(&c, v[CHOICES]);
  if (is_set(v[USAGE])) {
    c.others++;
    usage(a, v[USAGE]);
  }
  if (!kind && c.texts == 1 && c.others == 0 && !c.original.len) keep_shape(a, data, c.kind, c.raw);
  return kind;
}

static yoi_str trimmed(yoi_str s) {
  while (s.len && strchr(" \t", s.ptr[0])) s.ptr++, s.len--;
  while (s.len && strchr(" \t", s.ptr[s.len - 1])) s.len--;
  return s;
}

const char *oai_answer_event(struct oai_answer *a, yoi_str type, yoi_str data,
                             struct oai_failure *f) {
  yoi_str raw;
  if (a->done || a->closed) return NULL;
  if (same_shape(a, data, &raw)) return add_text(a, a->shape_kind, raw, (yoi_str){0}, f);
  data = trimmed(data);
  if (yoi_sdk_str_is(type, "error")) {
    oai_failure_event(f, data);
    return f->kind;
  }
  if (data.len == 0) return NULL;
  if (yoi_sdk_str_is(data, "[DONE]")) {
    a->done = 1;
    return NULL;
  }
  return chunk(a, data, f);
}

void oai_answer_rest(struct oai_answer *a, yoi_str data) {
  size_t pos = 0;
  yoi_str choice;
  data = trimmed(data);
  if (yoi_sdk_str_is(data, "[DONE]")) a->done = 1;
  if (yoi_sdk_json_check(data, 0, NULL) != YOI_OK) return;
  yoi_str list = yoi_sdk_json_raw_get(data, "choices");
  if (yoi_sdk_json_raw_each(list, &pos, &choice))
    finish_reason(a, yoi_sdk_json_raw_get(choice, "finish_reason"));
}

/* ---- the end ------------------------------------------------------------------ */

static void write_usage(struct oai_answer *a) {
  static const char *const keys[OAI_USAGE_N] = {"input_tokens", "output_tokens", "cached_tokens",
                                                "reasoning_tokens"};
  struct yoi_sdk_jsonw w;
  size_t from = a->out.fill.text.len;
  yoi_sdk_jsonw_init(&w, &a->out.fill.text);
  yoi_sdk_jsonw_open(&w, '{');
  for (int i = 0; i < OAI_USAGE_N; i++) {
    yoi_sdk_jsonw_key(&w, keys[i]);
    if (a->usage[i] < 0)
      yoi_sdk_jsonw_null(&w);
    else
      yoi_sdk_jsonw_int(&w, a->usage[i]);
  }
  yoi_sdk_jsonw_close(&w, '}');
  oai_out_commit(&a->out, YOI_EVENT_MODEL_USAGE, from);
}

const char *oai_answer_close(struct oai_answer *a, uint64_t wall_ns, struct oai_failure *f) {
  static const char *const words[] = {[OAI_FINISH_NONE] = "stop",
                                      [OAI_FINISH_STOP] = "stop",
                                      [OAI_FINISH_LENGTH] = "length",
                                      [OAI_FINISH_FILTER] = "content_filter",
                                      [OAI_FINISH_TOOLS] = "stop",
                                      [OAI_FINISH_ODD] = "stop"};
  int cut = a->finish == OAI_FINISH_LENGTH || a->finish == OAI_FINISH_FILTER;
  uint32_t n_calls;
  a->emitted = 1;
  end_text(a);
  const char *kind = oai_calls_emit(&a->calls, cut, wall_ns, &a->out, &n_calls, f);
  if (kind) return kind;
  /* With calls an answer asks for tools, whatever word the server chose. */
  const char *word = n_calls && !cut ? "tool_calls" : words[a->finish];
  if (a->has_usage) write_usage(a);
  size_t from = a->out.fill.text.len;
  yoi_sdk_buf_addf(&a->out.fill.text, "{\"finish_reason\":\"%s\"}", word);
  oai_out_commit(&a->out, YOI_EVENT_MODEL_FINISH, from);
  a->closed = 1;
  return a->out.failed ? failed(f, "too_large", "no memory for the answer's end") : NULL;
}
