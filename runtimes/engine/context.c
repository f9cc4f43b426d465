/* context.c - builds what a model is shown, from raw record text.
 *
 * The system message is the profile's prompt and a paragraph for the intent.
 * Then come whole turns, newest first, until the profile's context_tokens
 * (estimated as bytes / 3) are used up; the turn that runs is always there,
 * since nothing could be answered without it. No tree is built: a message is
 * put together from the raw JSON strings of its record. Invariants:
 *
 *  1. Turns are taken whole or not at all, and without gaps.
 *  2. Every tool call has exactly one result, behind it and before any other
 *     message, and in the order of the calls, whatever order they ended in; no
 *     result stands without its call. The engine appends one for each; here
 *     it is checked again, since a provider answers 400 for ever to a history
 *     in which one is missing. What does not fit is mended and counted.
 *  3. An input belongs to its turn: one that waited is shown before the items
 *     of its turn, and behind all of the turns before, wherever its record is.
 *  4. What is shown is chosen at once, under the lock; a read has no end, and
 *     what reached the log since is passed over.
 */
#include "context.h"

#include <assert.h>
#include <sdk/hard.h>
#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <yoi/ops.h>

#include "queue.h"

#define CONTEXT_BYTES_MAX ((size_t)64 << 20)
#define MESSAGE_OVERHEAD 15 /* a message costs some tokens of its own */

/* ---- what fits ---- */

/* Goes backwards through the items in the order in which a model sees them:
 * that of the records, but an input that had to wait stands where its turn
 * began, and nowhere while it waits. */
struct walk {
  const struct eng_worker *w;
  uint32_t items, begun; /* those that are still to come */
};

struct place {
  uint64_t at, sequence; /* where it stands, and of its record */
  uint32_t bytes;
  bool first;
};

static bool back(struct walk *k, struct place *out) {
  const struct eng_worker *w = k->w;
  while (k->items > 0 && (w->items[k->items - 1].flags & ENG_ITEM_APART)) k->items--;
  const struct eng_item *item = k->items > 0 ? &w->items[k->items - 1] : NULL;
  const struct eng_begun *begun = k->begun > 0 ? &w->queue->begun[k->begun - 1] : NULL;
  if (begun && (!item || begun->at > item->sequence)) {
    *out = (struct place){begun->at, begun->input, begun->bytes, true};
    k->begun--;
    return true;
  }
  if (!item) return false;
  *out = (struct place){item->sequence, item->sequence, item->bytes,
                        (item->flags & ENG_ITEM_FIRST) != 0};
  k->items--;
  return true;
}

/* Of the inputs that had to wait those whose turn the running one knows: what
 * a drain ended since, without its having begun, is for later turns. */
static uint32_t shown_begun(const struct eng_worker *w) {
  if (w->turn) return w->turn->n_begun;
  return w->queue ? w->queue->n_begun : 0;
}

static void choose(struct eng_context *c, const struct eng_worker *w, size_t system_bytes) {
  uint64_t budget = w->spec->limits.context_tokens * YOI_CONTEXT_BYTES_PER_TOKEN;
  uint64_t used = system_bytes, turn = 0, from = UINT64_MAX, to = 0;
  struct walk k = {.w = w, .items = w->n_items, .begun = shown_begun(w)};
  struct place p;
  bool newest = true;
  c->from = 1;
  while (back(&k, &p)) {
    turn += p.bytes + MESSAGE_OVERHEAD;
    if (p.sequence < from) from = p.sequence;
    if (p.sequence > to) to = p.sequence;
    if (!p.first) continue;
    if (!newest && used + turn > budget) break;
    newest = false;
    used += turn;
    turn = 0;
    c->first = p.at;
    c->from = from;
    c->to = to;
  }
}

/* Those that are shown, and those that must not be. 0: memory is short. */
static int remember_moved(struct eng_context *c, const struct eng_worker *w) {
  const struct eng_queue *q = w->queue;
  if (!q || q->n_begun + q->n == 0) return 1;
  c->moved = yoi_sdk_reallocarray(NULL, q->n_begun + q->n, sizeof *c->moved);
  if (!c->moved) return 0;
  uint32_t shown = shown_begun(w), i = shown;
  while (i > 0 && q->begun[i - 1].at >= c->first) i--;
  for (; i < q->n_begun; i++)
    c->moved[c->n_moved++] =
        (struct eng_moved){.input = q->begun[i].input, .at = i < shown ? q->begun[i].at : 0};
  for (const struct eng_turn *t = q->first; t; t = t->next)
    c->moved[c->n_moved++] = (struct eng_moved){.input = t->input_sequence};
  return 1;
}

/* ---- writing ---- */

static void message_end(struct eng_context *c) {
  if (c->n == c->cap) {
    size_t cap = YOI_SDK_MORE(c->cap, 16);
    size_t *ends = yoi_sdk_reallocarray(c->ends, cap, sizeof *ends);
    if (!ends) {
      c->buf.failed = YOI_RESOURCE_EXHAUSTED;
      return;
    }
    c->ends = ends;
    c->cap = cap;
  }
  c->ends[c->n++] = c->buf.len;
}

static void add_intent(struct eng_context *c, yoi_str intent, const char *name, yoi_str before,
                       bool *begun) {
  yoi_str raw = yoi_sdk_json_raw_get(intent, name);
  if (raw.len < 2) return;
  yoi_sdk_buf_adds(&c->buf, *begun ? YOI_LIT(" ") : YOI_LIT("\\n\\n"));
  yoi_sdk_buf_adds(&c->buf, before);
  yoi_sdk_buf_add(&c->buf, raw.ptr + 1, raw.len - 2);
  *begun = true;
}

static void add_system(struct eng_context *c, const struct eng_worker *w) {
  bool begun = false;
  yoi_sdk_buf_adds(&c->buf, YOI_LIT("{\"role\":\"system\",\"content\":\""));
  yoi_sdk_buf_adds(&c->buf, w->spec->prompt);
  add_intent(c, w->intent, "role", YOI_LIT("Your role: "), &begun);
  add_intent(c, w->intent, "objective", YOI_LIT("Your objective: "), &begun);
  add_intent(c, w->intent, "purpose", YOI_LIT("Its purpose: "), &begun);
  yoi_sdk_buf_adds(&c->buf, YOI_LIT("\"}"));
  message_end(c);
}

struct eng_context *eng_context_new(const struct eng_worker *w) {
  struct eng_context *c = yoi_sdk_calloc(1, sizeof *c);
  if (!c) return NULL;
  yoi_sdk_buf_init(&c->buf, CONTEXT_BYTES_MAX);
  (void)yoi_sdk_buf_reserve(&c->buf, 2048);
  add_system(c, w);
  choose(c, w, c->buf.len);
  if (remember_moved(c, w)) return c;
  eng_context_free(c);
  return NULL;
}

void eng_context_free(struct eng_context *c) {
  if (!c) return;
  for (size_t i = 0; i < c->n_moved; i++) eng_frame_unref(c->moved[i].frame);
  for (size_t i = 0; i < c->n_open; i++) eng_frame_unref(c->open[i].result);
  yoi_sdk_free(c->moved);
  yoi_sdk_buf_release(&c->buf);
  yoi_sdk_free(c->ends);
  yoi_sdk_free(c->open);
  yoi_sdk_free(c);
}

/* The text parts of a content array as the inside of one JSON string, a line
 * feed between parts. */
static void add_text(struct eng_context *c, yoi_str content) {
  yoi_str part;
  bool begun = false;
  for (size_t pos = 0; yoi_sdk_json_raw_each(content, &pos, &part);) {
    yoi_str text = yoi_sdk_json_raw_get(part, "text");
    if (text.len < 2) continue;
    if (begun) yoi_sdk_buf_adds(&c->buf, YOI_LIT("\\n"));
    yoi_sdk_buf_add(&c->buf, text.ptr + 1, text.len - 2);
    begun = true;
  }
}

static void message_begin(struct eng_context *c, yoi_str raw_role) {
  yoi_sdk_buf_adds(&c->buf, YOI_LIT("{\"role\":"));
  yoi_sdk_buf_adds(&c->buf, raw_role);
  yoi_sdk_buf_adds(&c->buf, YOI_LIT(",\"content\":\""));
}

static void tool_message(struct eng_context *c, yoi_str raw_id) {
  yoi_sdk_buf_adds(&c->buf, YOI_LIT("{\"role\":\"tool\",\"tool_call_id\":"));
  yoi_sdk_buf_adds(&c->buf, raw_id);
  yoi_sdk_buf_adds(&c->buf, YOI_LIT(",\"content\":\""));
}

/* ---- pairing ---- */

/* The result of a call, or that there is none. */
static void write_result(struct eng_context *c, const struct eng_open_call *o) {
  if (o->result) {
    yoi_str item = yoi_sdk_json_raw_get(o->result->ev.text, "item");
    tool_message(c, yoi_sdk_json_raw_get(item, "tool_call_id"));
    add_text(c, yoi_sdk_json_raw_get(item, "content"));
    yoi_sdk_buf_adds(&c->buf, YOI_LIT("\"}"));
  } else {
    /* The id stands in buf, which moves when it grows. */
    if (!yoi_sdk_buf_reserve(&c->buf, o->len + 128)) return;
    tool_message(c, (yoi_str){c->buf.data + o->at, o->len});
    yoi_sdk_buf_adds(&c->buf, YOI_LIT("error: no result was recorded\"}"));
    c->mended++;
  }
  message_end(c);
}

/* Writes those at the front that have results; all: the others too. */
static void write_open(struct eng_context *c, bool all) {
  size_t n = 0;
  for (; n < c->n_open && (all || c->open[n].result); n++) {
    write_result(c, &c->open[n]);
    eng_frame_unref(c->open[n].result);
  }
  if (n == 0) return;
  c->n_open -= n;
  memmove(c->open, &c->open[n], c->n_open * sizeof *c->open);
}

static void close_open(struct eng_context *c) {
  write_open(c, true);
}

static void expect(struct eng_context *c, size_t at, size_t len) {
  if (c->n_open == c->cap_open) {
    size_t cap = YOI_SDK_MORE(c->cap_open, 8);
    struct eng_open_call *open = yoi_sdk_reallocarray(c->open, cap, sizeof *open);
    if (!open) {
      c->buf.failed = YOI_RESOURCE_EXHAUSTED;
      return;
    }
    c->open = open;
    c->cap_open = cap;
  }
  c->open[c->n_open++] = (struct eng_open_call){.at = at, .len = len};
}

/* A result waits until those of the calls before it are there. */
static void settle(struct eng_context *c, struct eng_frame *f) {
  yoi_str item = yoi_sdk_json_raw_get(f->ev.text, "item");
  yoi_str raw_id = yoi_sdk_json_raw_get(item, "tool_call_id");
  for (size_t i = 0; i < c->n_open; i++) {
    struct eng_open_call *o = &c->open[i];
    yoi_str id = {c->buf.data + o->at, o->len};
    if (o->result || !yoi_sdk_str_eq(id, raw_id)) continue;
    o->result = eng_frame_ref(f);
    write_open(c, false);
    return;
  }
  c->mended++;
}

static void add_calls(struct eng_context *c, yoi_str calls) {
  yoi_str call;
  bool begun = false;
  yoi_sdk_buf_adds(&c->buf, YOI_LIT(",\"tool_calls\":["));
  for (size_t pos = 0; yoi_sdk_json_raw_each(calls, &pos, &call);) {
    yoi_str id = yoi_sdk_json_raw_get(call, "id");
    if (begun) yoi_sdk_buf_addc(&c->buf, ',');
    begun = true;
    yoi_sdk_buf_adds(&c->buf, YOI_LIT("{\"id\":"));
    expect(c, c->buf.len, id.len);
    yoi_sdk_buf_adds(&c->buf, id);
    yoi_sdk_buf_adds(&c->buf, YOI_LIT(",\"type\":\"function\",\"function\":{\"name\":"));
    yoi_sdk_buf_adds(&c->buf, yoi_sdk_json_raw_get(call, "name"));
    yoi_sdk_buf_adds(&c->buf, YOI_LIT(",\"arguments\":"));
    yoi_sdk_buf_adds(&c->buf, yoi_sdk_json_raw_get(call, "arguments"));
    yoi_sdk_buf_adds(&c->buf, YOI_LIT("}}"));
  }
  yoi_sdk_buf_addc(&c->buf, ']');
}

/* Most messages: one text and nothing else, copied in one piece. */
static int add_plain(struct eng_context *c, const struct eng_frame *f) {
#define TEXT(role) "{\"role\":\"" role "\",\"content\":"
#define BEFORE(role) \
  { TEXT(role), sizeof TEXT(role) - 1 }
  static const yoi_str before[] = {
      [ENG_ROLE_USER] = BEFORE("user"),
      [ENG_ROLE_SYSTEM] = BEFORE("system"),
      [ENG_ROLE_ASSISTANT] = BEFORE("assistant"),
  };
#undef BEFORE
#undef TEXT
  if (f->role == ENG_ROLE_UNKNOWN || f->content_len == 0) return 0;
  close_open(c);
  yoi_str role = before[f->role];
  char *at = yoi_sdk_buf_reserve(&c->buf, role.len + f->content_len + 2);
  if (!at) return 1;
  memcpy(at, role.ptr, role.len);
  memcpy(at + role.len, f->ev.text.ptr + f->content_at, f->content_len);
  at[role.len + f->content_len] = '}';
  at[role.len + f->content_len + 1] = 0;
  c->buf.len += role.len + f->content_len + 1;
  message_end(c);
  return 1;
}

static void add(struct eng_context *c, struct eng_frame *f) {
  yoi_str text = f->ev.text;
  if (c->buf.failed) return; /* calls whose ids did not fit stand in `open` */
  if (add_plain(c, f)) return;
  if (f->ev.kind == YOI_EVENT_INPUT_ACCEPTED) {
    close_open(c);
    message_begin(c, yoi_sdk_json_raw_get(text, "kind"));
    add_text(c, yoi_sdk_json_raw_get(text, "content"));
    yoi_sdk_buf_adds(&c->buf, YOI_LIT("\"}"));
    message_end(c);
  } else if (f->ev.kind == YOI_EVENT_MESSAGE_COMPLETED) {
    yoi_str item = yoi_sdk_json_raw_get(text, "item");
    close_open(c);
    message_begin(c, YOI_LIT("\"assistant\""));
    add_text(c, yoi_sdk_json_raw_get(item, "content"));
    yoi_sdk_buf_addc(&c->buf, '"');
    yoi_str calls = yoi_sdk_json_raw_get(item, "tool_calls");
    if (calls.len > 0) add_calls(c, calls);
    yoi_sdk_buf_addc(&c->buf, '}');
    message_end(c);
  } else if (f->ev.kind == YOI_EVENT_TOOL_COMPLETED) {
    settle(c, f);
  }
}

/* ---- those that had to wait ---- */

static struct eng_moved *find_moved(struct eng_context *c, uint64_t sequence) {
  for (size_t i = 0; i < c->n_moved; i++)
    if (c->moved[i].input == sequence) return &c->moved[i];
  return NULL;
}

/* What stands before that place. */
static void add_moved(struct eng_context *c, uint64_t before) {
  for (; c->next_moved < c->n_moved; c->next_moved++) {
    const struct eng_moved *m = &c->moved[c->next_moved];
    if (m->at == 0 || m->at >= before) return;
    if (m->frame) add(c, m->frame);
  }
}

void eng_context_add(struct eng_context *c, struct eng_frame *f) {
  uint64_t sequence = f->pos.sequence;
  if (sequence > c->to) return; /* an input that came after the choice: it waits */
  struct eng_moved *m = f->ev.kind == YOI_EVENT_INPUT_ACCEPTED ? find_moved(c, sequence) : NULL;
  if (m) m->frame = eng_frame_ref(f);
  if (m || sequence < c->first) return;
  add_moved(c, sequence);
  add(c, f);
}

int eng_context_finish(struct eng_context *c) {
  add_moved(c, UINT64_MAX);
  close_open(c);
  return !c->buf.failed;
}

yoi_str *eng_context_messages(const struct eng_context *c) {
  yoi_str *list = yoi_sdk_reallocarray(NULL, c->n ? c->n : 1, sizeof *list);
  if (!list) return NULL;
  size_t at = 0;
  for (size_t i = 0; i < c->n; i++) {
    list[i] = (yoi_str){c->buf.data + at, c->ends[i] - at};
    at = c->ends[i];
  }
  return list;
}
